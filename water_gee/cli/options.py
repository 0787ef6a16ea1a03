"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from water_gee.imagery.recipe import Recipe

DEFAULT_STORE = "./water_gee_tiles"


class Integers(click.ParamType[tuple[int, ...]]):
    """Whole numbers: `2020`, `2018,2020`, `6-8`, `1-3,12`."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        found: list[int] = []
        for part in str(value).split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdigit() or (dash and not last.strip().isdigit()):
                self.fail(f"{value!r} is not like 2020, 2018,2020 or 6-8", param, ctx)
            low, high = int(first), int(last) if dash else int(first)
            run = self.run(low, high)
            if not run:
                self.fail(f"{part!r} {self.refusal}", param, ctx)
            found += run
        return tuple(found)

    refusal = "runs backwards or too far"

    def run(self, low: int, high: int) -> Sequence[int]:
        """The numbers that `low-high` means; none where it means none."""
        return range(low, high + 1) if high - low <= 1000 else ()


class Months(Integers):
    """Months in the order of their season: `6-8`, `1,2`, and over New Year `12-2`, `12,1,2`."""

    name = "months"
    refusal = "is no run of months; they are 1 to 12"

    def run(self, low: int, high: int) -> Sequence[int]:
        """The months that `low-high` means, over New Year where it runs backwards."""
        if not (1 <= low <= 12 and 1 <= high <= 12):
            return ()
        return [(month - 1) % 12 + 1 for month in range(low, high + 1 + 12 * (high < low))]


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas."""

    name = "names"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


class Measure(click.ParamType[tuple[float, str]]):
    """A size with its unit: areas in m² (`2500m2`, `0.25ha`), lengths in px or m (`1px`, `30m`)."""

    name = "size"
    _UNITS: ClassVar[Mapping[str, Mapping[str, tuple[float, str]]]] = {
        "area": {"m2": (1.0, "m2"), "m²": (1.0, "m2"), "ha": (1e4, "m2"), "km2": (1e6, "m2"),
                 "km²": (1e6, "m2"), "": (1.0, "m2")},
        "length": {"px": (1.0, "px"), "m": (1.0, "m")},
    }  # fmt: skip

    def __init__(self, what: str) -> None:
        self.units = self._UNITS[what]

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, str]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(\S*)\s*", str(value))
        if found is None or found[2] not in self.units:
            like = ", ".join(f"5{unit}" for unit in self.units if unit and unit.isascii())
            self.fail(f"{value!r} is not like {like}", param, ctx)
        factor, unit = self.units[found[2]]
        return float(found[1]) * factor, unit


def _together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def store(what: str) -> Callable[[Any], Any]:
    """`--store`: a folder of tiles."""
    return click.option("--store", default=DEFAULT_STORE, show_default=True, help=what)


seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                    help="Of everything random; the same seed gives the same result.")  # fmt: skip

connection = _together(
    click.option("--project", help="Google Cloud project registered for Earth Engine."),
    click.option("--url", help="A server that speaks the Earth Engine REST API."),
    click.option("--catalog", help="Folder for the emulator, instead of ./catalog."),
)
"""Whom to talk to; without any: $WATER_GEE_URL, $WATER_GEE_CATALOG, ./catalog."""

recipe = _together(
    click.option("--recipe", help="TOML file with the recipe's fields."),
    click.option("--sensors", type=Names(), help="For example landsat8,landsat9."),
    click.option("--years", type=Integers(), help="For example 2020 or 2018-2020."),
    click.option("--months", type=Months(),
                 help="For example 6-8; 12-2 is a winter named by the year of its January."),
    click.option("--min-clear", type=click.IntRange(min=1), metavar="N",
                 help="Pixels with fewer clear observations in the season are not observed."),
    click.option("--max-cloud", type=click.FloatRange(0, 100), metavar="PERCENT",
                 help="Leave out images with more cloud, as their own property says."),
)  # fmt: skip
"""What is mapped."""


def recipe_fields(
    recipe: str | None,
    sensors: tuple[str, ...] | None = None,
    years: tuple[int, ...] | None = None,
    months: tuple[int, ...] | None = None,
    dem: str | None = None,
    min_clear: int | None = None,
    max_cloud: float | None = None,
) -> dict[str, Any]:
    """The fields that were given, by option or in the recipe's file; options beat the file."""
    from water_gee.settings import read_recipe

    fields = read_recipe(recipe) if recipe is not None else {}
    given = {
        "sensors": sensors,
        "years": years,
        "months": months,
        "dem": dem,
        "min_clear": min_clear,
        "max_cloud": max_cloud,
    }
    return fields | {name: value for name, value in given.items() if value is not None}


def make_recipe(fields: dict[str, Any]) -> Recipe | None:
    """A recipe of these fields, or None where none was given."""
    from water_gee.imagery.recipe import Recipe

    return Recipe.from_dict(fields) if fields else None


def connect(project: str | None, url: str | None, catalog: str | None) -> None:
    """Start the session asked for; with nothing given, it starts itself when it is needed."""
    if project or url or catalog:
        from water_gee import session

        session.connect(project=project, url=url, catalog=catalog)
