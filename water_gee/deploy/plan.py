"""What a deployment is to make: maps, each with its years, its pixels and its identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import shapely
from affine import Affine

from water_gee._version import __version__
from water_gee.deploy.assets import JOB
from water_gee.errors import DeployError
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.grid import Cell, cell_from_id, cells_for
from water_gee.windows import Grid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel

FORMAT = 1
"""Goes into every job's digest; a change of what is exported raises it."""


@dataclass(frozen=True, slots=True)
class Area:
    """The cells of a deployment, as pixels.

    Attributes:
        cells: In the order of `grid.cells_for`, or of the model's record.
        grid: The smallest grid of lattice pixels that holds them all.
    """

    cells: tuple[Cell, ...]
    grid: Grid

    @classmethod
    def of(cls, cells: tuple[Cell, ...]) -> Area:
        """The area of one cell or more, margins left out."""
        lattice = cells[0].lattice
        left = min(cell.origin[0] + cell.core.col for cell in cells)
        right = max(cell.origin[0] + cell.core.col + cell.core.width for cell in cells)
        top = max(cell.origin[1] - cell.core.row for cell in cells)
        bottom = min(cell.origin[1] - cell.core.row - cell.core.height for cell in cells)
        step = lattice.degrees(1)
        corner = Affine(step, 0.0, lattice.degrees(left), 0.0, -step, lattice.degrees(top))
        return cls(cells, Grid(lattice.crs, corner, (top - bottom, right - left)))

    @property
    def is_rectangle(self) -> bool:
        """Whether the cells fill their grid."""
        rows, cols = self.grid.shape
        return sum(c.core.height * c.core.width for c in self.cells) == rows * cols

    @property
    def outline(self) -> dict[str, Any]:
        """The union of the cells as GeoJSON, EPSG:4326."""
        union = shapely.union_all([cell.polygon for cell in self.cells])
        return dict(shapely.geometry.mapping(union))


@dataclass(frozen=True, slots=True)
class Map:
    """One map that is to stand.

    Attributes:
        asset_id: Where.
        recipe: The model's, with the years of this map.
        properties: What the asset carries.
    """

    asset_id: str
    recipe: Recipe
    properties: dict[str, Any]

    @property
    def job(self) -> str:
        """Digest of everything that makes the map what it is."""
        return str(self.properties[JOB])

    @property
    def description(self) -> str:
        """The task's name, by which it is found again."""
        leaf = self.asset_id.rpartition("/")[2][:60]
        mark = hashlib.sha256(f"{self.asset_id} {self.job}".encode()).hexdigest()
        return f"water_gee_{leaf}_{mark[:16]}"


def area_of(trained: TrainedModel, aoi: Any) -> Area:
    """The cells that share ground with an area, or those that the model was trained on.

    Raises:
        AoiError: No area.
        DeployError: No cells.
    """
    if aoi is not None:
        cells = tuple(cells_for(read_aoi(aoi), trained.recipe))
    else:
        names = trained.record.get("cells") or ()
        cells = tuple(cell_from_id(name, trained.recipe) for name in names)
    if not cells:
        raise DeployError(
            "the model's record names no cells to map; give the area to map"
            if aoi is None
            else "the area shares ground with no cell of the lattice; give another area"
        )
    return Area.of(cells)


def maps_of(
    trained: TrainedModel,
    asset_id: str,
    area: Area,
    years: int | Iterable[int] | None,
    *,
    probability: bool,
) -> tuple[Map, ...]:
    """The maps of a deployment: one for each year given, or one of all the recipe's years.

    Raises:
        DeployError: An empty list of years.
        RecipeError: A year that is none.
    """
    if years is None:
        return (_map(trained, asset_id, area, trained.recipe, probability),)
    given = [years] if isinstance(years, int) else sorted(set(years))
    if not given:
        raise DeployError("no years given; leave them out to map the recipe's")
    return tuple(
        _map(
            trained,
            asset_id if len(given) == 1 else f"{asset_id}/{year}",
            area,
            trained.recipe.replace(years=(year,)),
            probability,
        )
        for year in given
    )


def _map(
    trained: TrainedModel, asset_id: str, area: Area, recipe: Recipe, probability: bool
) -> Map:
    facts = {
        "format": FORMAT,
        "model": trained.digest(),
        "recipe": recipe.digest(),
        "cells": sorted(cell.id for cell in area.cells),
        "probability": probability,
    }
    start, end = _season(recipe)
    properties = {
        JOB: hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        "water_gee_model": trained.digest(),
        "water_gee_recipe": json.dumps(recipe.to_dict(), sort_keys=True),
        "water_gee_version": __version__,
        "year": recipe.years[0],
        "years": ",".join(str(year) for year in recipe.years),
        "system:time_start": start,
        "system:time_end": end,
    }
    return Map(asset_id, recipe, properties)


def _season(recipe: Recipe) -> tuple[int, int]:
    """From the first month of the first year until after the last of the last, in ms, UTC."""
    year, month = recipe.years[-1], recipe.months[-1]
    first = datetime(recipe.years[0], recipe.months[0], 1, tzinfo=UTC)
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp() * 1000), int(after.timestamp() * 1000)
