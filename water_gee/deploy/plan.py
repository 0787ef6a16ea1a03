"""What a deployment is to make: years and tiles, each with its pixels and its identity."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from water_gee._version import __version__
from water_gee.deploy.assets import JOB, check_id
from water_gee.deploy.graph import digest_of
from water_gee.deploy.tiles import Area, Tile, cut
from water_gee.errors import DeployError
from water_gee.imagery import season as seasons
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.grid import Lattice, cell_from_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel

FORMAT = 2
"""Goes into every job's digest; a change of what is exported raises it."""

MAX_PIXELS = 100_000_000
"""Pixels of one export: what the service takes unless told otherwise (`maxPixels`)."""

BOX = "water_gee_pixels"
"""The property with the lattice pixels of an asset: `west,south,east,north`."""

TASKS_AT_ONCE = 2
"""Tasks that the service runs at once, on average (usage guide, «concurrent batch tasks»)."""

MAX_ASSETS = 10_000
MAX_STORED = 250_000_000_000
"""Assets, and bytes of them, that a project may have unless it asked for more (usage guide)."""

_BYTES = {True: 5, False: 1}
"""Of a pixel: `water` uint8, and `probability` float."""


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """One image that is to stand, made by one export.

    Attributes:
        asset_id: Where.
        label: What it is counted under: its year or years.
        recipe: The model's, with the years of this map.
        tile: Its pixels.
        facts: What else makes it what it is: digest of the model and the like.
    """

    asset_id: str
    label: str
    recipe: Recipe
    tile: Tile
    facts: dict[str, Any]

    @property
    def job(self) -> str:
        """Digest of everything that makes the map what it is."""
        facts = self.facts | {
            "format": FORMAT,
            "recipe": self.recipe.digest(),
            "area": self.tile.area.digest(),
            "pixels": self.tile.box.text,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def properties(self) -> dict[str, Any]:
        """What the asset carries."""
        start, end = _season(self.recipe)
        return {
            JOB: self.job,
            BOX: self.tile.box.text,
            "water_gee_model": self.facts["model"],
            "water_gee_recipe": json.dumps(self.recipe.to_dict(), sort_keys=True),
            "water_gee_version": __version__,
            "year": self.recipe.years[0],
            "years": ",".join(str(year) for year in self.recipe.years),
            "system:time_start": start,
            "system:time_end": end,
        }

    @property
    def mark(self) -> str:
        """Tells this map at this place from any other, 32 hexadecimal digits."""
        return hashlib.sha256(f"{self.asset_id} {self.job}".encode()).hexdigest()[:32]

    @property
    def description(self) -> str:
        """The task's name, by which it is found again."""
        leaf = self.asset_id.rpartition("/")[2][:60]
        return f"water_gee_{leaf}_{self.mark[:16]}"

    def quarters(self) -> tuple[Map, ...]:
        """The same in up to four smaller maps; nothing where it is too small for that."""
        stem = self.asset_id.removesuffix(_suffix(self.tile, self._tiled))
        return tuple(
            Map(f"{stem}{_suffix(tile, self._tiled)}", self.label, self.recipe, tile, self.facts)
            for tile in self.tile.quarters()
        )

    @property
    def _tiled(self) -> bool:
        return self.asset_id.endswith(f"_{self.tile.name}{self.tile.part}")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The exports of a deployment; iterating gives its maps, year by year.

    Attributes:
        target: The asset id given.
        is_collection: Whether the maps lie in a collection of that id, or one is the id itself.
        recipes: One for each year.
        area: All cells.
        tiles: How they are cut.
        facts: What makes the maps what they are, beside recipe and pixels.
        estimate: What the expression of the network costs, of `water_gee.deploy.estimate`; None
            where nobody asked.
    """

    target: str
    is_collection: bool
    recipes: tuple[Recipe, ...]
    area: Area
    tiles: tuple[Tile, ...]
    facts: dict[str, Any]
    estimate: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.recipes) * len(self.tiles)

    def __iter__(self) -> Iterator[Map]:
        for recipe in self.recipes:
            label = _label(recipe)
            for tile in self.tiles:
                asset_id = self.target
                if self.is_collection:
                    asset_id += f"/{label}{_suffix(tile, len(self.tiles) > 1)}"
                yield Map(asset_id, label, recipe, tile, self.facts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The years, as maps are counted under."""
        return tuple(_label(recipe) for recipe in self.recipes)

    @property
    def pixels(self) -> int:
        """Pixels of all maps, in all years."""
        return len(self.recipes) * sum(tile.box.pixels for tile in self.tiles)

    @property
    def bytes(self) -> int:
        """Bytes of all maps, uncompressed and without pyramids; the service says neither."""
        return self.pixels * _BYTES[bool(self.facts["probability"])]

    @property
    def multiply_adds(self) -> int | None:
        """Multiplications of the network in all pixels; None without an estimate."""
        each = getattr(self.estimate, "multiply_adds", None)
        return None if each is None else int(each) * self.pixels

    @property
    def digest(self) -> str:
        """What the deployment is, wherever it stands half-done, hexadecimal."""
        facts = self.facts | {
            "target": self.target,
            "recipes": [recipe.digest() for recipe in self.recipes],
            "area": self.area.digest(),
            "tiles": [tile.box.text for tile in self.tiles],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def table(self) -> str:
        """The plan as lines of text: tasks, sizes and costs by year and in total."""
        rows = [("year", "tasks", "pixels", "largest", "MB")]
        each = sum(tile.box.pixels for tile in self.tiles)
        largest = max(tile.box.pixels for tile in self.tiles)
        share = self.bytes / len(self.recipes) / 1e6
        rows += [
            (label, f"{len(self.tiles):,}", f"{each:,}", f"{largest:,}", f"{share:,.0f}")
            for label in self.labels
        ]
        total = f"{len(self):,}", f"{self.pixels:,}", f"{largest:,}", f"{self.bytes / 1e6:,.0f}"
        rows.append(("all", *total))
        widths = [max(len(row[index]) for row in rows) for index in range(5)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        place = "a collection" if self.is_collection else "one image"
        west, south, east, north = self.area.grid.bounds
        return "\n".join(
            [
                f"{self.target}: {place}; {self.area.count:,} cells, "
                f"W {west:.3f}, S {south:.3f}, E {east:.3f}, N {north:.3f}",
                *lines,
                "MB: uncompressed, without the pyramids that the service adds (about a third).",
                *self._costs(),
            ]
        )

    def _costs(self) -> list[str]:
        lines = []
        if len(self) > MAX_ASSETS or self.bytes > MAX_STORED:
            lines.append(
                f"Quota: a project may store {MAX_ASSETS:,} assets and {MAX_STORED / 1e9:,.0f} GB "
                "unless it has asked for more; the files are compressed, by how much depends."
            )
        if self.estimate is not None:
            lines.append(f"Expression: {describe(self.estimate)}.")
        work = self.multiply_adds
        if work is not None:
            lines.append(
                f"Network: {work:.3g} multiply-adds, beside the composites of "
                f"{', '.join(self.recipes[0].sensors)} in {len(self.recipes[0].months)} months a "
                "year."
            )
        lines.append(
            f"Cost: billed in EECU-hours, about {TASKS_AT_ONCE} tasks run at once; how many hours "
            "this takes nobody knows before a task has run (its operation says then)."
        )
        return lines


def describe(estimate: Any) -> str:
    """An estimate in a line: the form chosen and its sizes."""
    names = {
        "form": "form {}",
        "bytes": "{:,} bytes",
        "calls": "{:,} calls",
        "nesting": "nested {} deep",
        "multiply_adds": "{:,} multiply-adds a pixel",
    }
    found = {name: getattr(estimate, name, None) for name in names}
    return ", ".join(
        names[name].format(value) for name, value in found.items() if value is not None
    )


def plan_for(
    trained: TrainedModel,
    asset_id: str,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    *,
    probability: bool = True,
    digits: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Plan:
    """The plan of a deployment; asks nothing of the service.

    Raises:
        AssetIdError: The id is malformed.
        AoiError: No area.
        DeployError: No cells, no years, or a cell has more pixels than the limit.
        RecipeError: A year that is none.
    """
    target = check_id(asset_id)
    recipes = _recipes(trained.recipe, years)
    area = area_of(trained, aoi)
    tiles = cut(area, max_pixels)
    facts: dict[str, Any] = {"model": digest_of(trained), "probability": probability}
    if digits is not None:
        facts["digits"] = digits
    several = len(recipes) > 1 or len(tiles) > 1
    return Plan(target, several, recipes, area, tiles, facts)


def plan_deployment(
    model: TrainedModel | Path | str | Any,
    asset_id: str,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    *,
    form: str = "auto",
    probability: bool = True,
    digits: int | None = None,
    max_pixels: int = MAX_PIXELS,
    recipe: Recipe | None = None,
) -> Plan:
    """Say what `deploy_to_gee` would export, without asking the service anything.

    Args:
        model: A trained model, or its file.
        asset_id: Where the maps are to stand, as `deploy_to_gee` takes it.
        aoi: The area; by default the cells the model was trained on.
        years: One map, or set of tiles, for each.
        form: How the network is to be written; `auto` chooses.
        probability: Whether the maps have a band `probability`.
        digits: Significant digits to round the weights to; by default they are exact.
        max_pixels: Most pixels of one export.
        recipe: Of a network that has none of its own.

    Returns:
        The plan; `print(plan.table())` shows tasks, sizes and what is known of the cost.

    Raises:
        AssetIdError: The id is malformed.
        AoiError: No area.
        DeployError: No cells, no years, or a cell has more pixels than the limit.
        ModelError: No model there.
        RecipeError: A year that is none.
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    from water_gee.deploy.costs import estimate
    from water_gee.deploy.network import resolve_with

    trained = resolve_with(model, recipe)
    plan = plan_for(
        trained,
        asset_id,
        aoi,
        years,
        probability=probability,
        digits=digits,
        max_pixels=max_pixels,
    )
    return replace(plan, estimate=estimate(trained, form, digits=digits))


def area_of(trained: TrainedModel, aoi: Any) -> Area:
    """The cells that share ground with an area, or those that the model was trained on.

    Raises:
        AoiError: No area.
        DeployError: No cells.
    """
    if aoi is not None:
        found = Area.covering(read_aoi(aoi), Lattice.of(trained.recipe))
        if found is None:
            raise DeployError(
                "the area shares ground with no cell of the lattice; give another area"
            )
        return found
    names = trained.record.get("cells") or ()
    cells = [cell_from_id(name, trained.recipe) for name in names]
    if not cells:
        raise DeployError("the model's record names no cells to map; give the area to map")
    return Area.of(cells)


def _recipes(recipe: Recipe, years: int | Iterable[int] | None) -> tuple[Recipe, ...]:
    """One recipe for each year given, or the recipe itself."""
    recipe = recipe.season
    if years is None:
        return (recipe,)
    try:
        given = [years] if isinstance(years, int) else sorted(set(years))
    except TypeError:
        raise DeployError(
            f"years: a year or several, such as [2019, 2020], not {years!r}"
        ) from None
    if not given:
        raise DeployError("no years given; leave them out to map the recipe's")
    return tuple(recipe.replace(years=(year,)) for year in given)


@functools.lru_cache(maxsize=256)
def _season(recipe: Recipe) -> tuple[int, int]:
    """From the first day of the first season until after the last of the last, in ms, UTC."""
    spans = seasons.spans(recipe.years, recipe.months)
    first, after = (
        datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (spans[0][0], spans[-1][1])
    )
    return int(first.timestamp() * 1000), int(after.timestamp() * 1000)


def _label(recipe: Recipe) -> str:
    """`2020`, or `2018-2020`, or `2016-2018-2020` where years lie between."""
    years = recipe.years
    run = years == tuple(range(years[0], years[-1] + 1))
    shown = (years[0], years[-1]) if run and len(years) > 1 else years
    return "-".join(str(year) for year in shown)


def _suffix(tile: Tile, tiled: bool) -> str:
    return f"_{tile.name}{tile.part}" if tiled else tile.part
