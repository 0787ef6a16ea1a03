"""What is mapped: tiles, model and deployment carry the same recipe."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from water_gee.errors import RecipeError, RecipeMismatchError
from water_gee.imagery import season as seasons
from water_gee.imagery.harmony import HARMONIES
from water_gee.imagery.sensors import COMMON_BANDS, SENSORS, sensor

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

FEATURES = (*COMMON_BANDS, "mNDWI", "line", "elevation")
"""The eight features, in the order in which the network reads them."""

EVIDENCE = ("SWIR2", "water_count", "clear_count", "sun_azimuth", "sun_elevation")
"""What else a tile brings home, to judge its label by; no network reads it.

Median reflectance; clear observations with the QA water bit, and clear observations; mean azimuth
(degrees clockwise from north) and mean elevation (degrees) of the sun over the clear observations.
"""

NO_DEM = "none"
"""How a recipe without elevation model is written down: TOML has no null."""

LATTICE_CRS = "EPSG:4326"

COMPOSITES = ("median", "mean", "scene")
"""What becomes of the observations: one tile a cell, or one a cell and acquisition."""

MAY_DIFFER = ("years", "composite", "min_clear", "max_cloud")
"""What may differ between a model and what it maps: it has learned what a pixel looks like."""

MAX_MIN_CLEAR = 1000
"""The largest `min_clear` that is taken: a slip, such as a year in its place, lies above."""

_LATER: dict[str, Any] = {
    "composite": "median",
    "harmonize": False,
    "min_clear": 1,
    "max_cloud": None,
}
"""Fields that recipes did not always have, and what they meant then. Where they still mean it they
are not written down, so that older stores and models have the recipes and digests they had."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a feature tile comes about.

    Attributes:
        sensors: Names from `sensors.SENSORS`; their observations are merged.
        years: Each gives a season.
        months: Of those years, 1 to 12, ascending; or, with January right after December, a season
            over New Year, such as `(12, 1, 2)`, that begins in the year before: that of 2020 begins
            in December 2019.
        dem: Asset id of the elevation model in metres, or None: elevation 0 everywhere.
        features: Names from `FEATURES`.
        crs: Of the tiles; the lattice is in EPSG:4326.
        cell: Side of a cell in degrees.
        pixels: Pixels along a cell's side.
        margin: Pixels added on every side of a tile.
        composite: `median` or `mean` of the season's clear observations, or `scene`: a tile for
            each acquisition. Features of the season as a whole, which predict and deploy ask for,
            are the median where this is `scene`.
        harmonize: Whether TM and ETM+ are brought to OLI: `ols` or `rma`, the regression of
            `harmony`; True is `ols`.
        min_clear: A pixel of a season with fewer clear observations is not observed; how many an
            observed one has is the tile's evidence `clear_count`. A tile of one scene has one, and
            keeps it.
        max_cloud: Images with more cloud than so many percent, by their own property
            (`Sensor.cloud`), are left out; one that does not say is kept. None: all are taken.

    Raises:
        RecipeError: A field is out of range, or sensors that must not be merged.
        UnknownSensorError: A sensor that is not in the table.
    """

    sensors: tuple[str, ...] = ("landsat8",)
    years: tuple[int, ...] = (2020,)
    months: tuple[int, ...] = (6, 7, 8)
    dem: str | None = "COPERNICUS/DEM/GLO30"
    features: tuple[str, ...] = FEATURES
    crs: str = LATTICE_CRS
    cell: float = 0.135
    pixels: int = 501
    margin: int = 3
    composite: str = "median"
    harmonize: bool | str = False
    min_clear: int = 1
    max_cloud: float | None = None

    def __post_init__(self) -> None:
        order = list(SENSORS)
        names = {sensor(name).name for name in _strings("sensors", self.sensors)}
        object.__setattr__(self, "sensors", tuple(sorted(names, key=order.index)))
        object.__setattr__(self, "years", _integers("years", self.years, 1972, 2999))
        object.__setattr__(self, "months", seasons.ordered(_several("months", self.months)))
        object.__setattr__(self, "features", _strings("features", self.features))
        _check_features(self.features)
        object.__setattr__(self, "dem", _elevation(self.dem))
        for name in ("cell", "pixels", "margin"):
            if not isinstance(value := getattr(self, name), int | float) or value is True:
                raise RecipeError(f"{name} {value!r}: must be a number")
        if self.crs != LATTICE_CRS:
            raise RecipeError(f"crs {self.crs!r}: the lattice is in {LATTICE_CRS}")
        if not 0 < self.cell <= 10:
            raise RecipeError(f"cell {self.cell!r}: must be above 0 and at most 10 degrees")
        if not (isinstance(self.pixels, int) and 1 <= self.pixels <= 4096):
            raise RecipeError(f"pixels {self.pixels!r}: must be a whole number from 1 to 4096")
        if not (isinstance(self.margin, int) and 0 <= self.margin < self.pixels):
            raise RecipeError(f"margin {self.margin!r}: must be at least 0 and below `pixels`")
        if self.composite not in COMPOSITES:
            raise RecipeError(f"composite {self.composite!r}: one of {', '.join(COMPOSITES)}")
        object.__setattr__(self, "harmonize", _harmony(self.harmonize))
        _check_clear(self.min_clear)
        object.__setattr__(self, "max_cloud", _percent(self.max_cloud))
        _check_families(self.sensors, self.harmonize)

    @property
    def side(self) -> int:
        """Pixels along a tile's side, margins included."""
        return self.pixels + 2 * self.margin

    @property
    def pixel_degrees(self) -> Fraction:
        """Side of a pixel in degrees, exactly: 135/501000 by default."""
        return Fraction(str(self.cell)) / self.pixels

    @property
    def season(self) -> Recipe:
        """What a map of the season is made with: `median` where tiles are of single scenes."""
        return self.replace(composite="median") if self.composite == "scene" else self

    @property
    def season_text(self) -> str:
        """Which images are asked for, in words: `months 6, 7, 8 of 2020`."""
        clouds = "" if self.max_cloud is None else f", at most {self.max_cloud:g} % cloud"
        return seasons.in_words(self.months, self.years) + clouds

    def to_dict(self) -> dict[str, Any]:
        """The recipe in types that JSON and TOML share; later fields only where not as before."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain = {key: v for key, v in plain.items() if key not in _LATER or v != _LATER[key]}
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in plain.items()}
        return plain | {"dem": self.dem if self.dem is not None else NO_DEM}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote; fields left out take their defaults.

        Raises:
            RecipeError: A field that no recipe has, or one out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for key in plain:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                meant = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
                raise RecipeError(f"a recipe has no field {key!r}{meant}")
        try:
            return cls(**plain)
        except TypeError as error:
            raise RecipeError(f"a recipe with a field of the wrong type: {error}") from error

    def digest(self) -> str:
        """SHA-256 of the recipe, in hexadecimal; equal recipes have equal ones."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def replace(self, **changes: Any) -> Recipe:
        """The same with some fields changed.

        Raises:
            RecipeError: As in `from_dict`.
        """
        return Recipe.from_dict(self.to_dict() | changes)


def check_same(
    a: Recipe, b: Recipe, where: tuple[str, str], *, ignore: Collection[str] = ()
) -> None:
    """Refuse to go on with things of two recipes.

    Args:
        a: The recipe of the first.
        b: The recipe of the second.
        where: What the two are called, for the message.
        ignore: Fields that may differ, for example `years` where a model maps other years.

    Raises:
        RecipeMismatchError: They differ; it names the fields and both values.
    """
    left, right = _LATER | a.to_dict(), _LATER | b.to_dict()
    differences = {
        name: (left[name], right[name])
        for name in left
        if name not in ignore and left[name] != right[name]
    }
    if differences:
        raise RecipeMismatchError(where, differences)


def _elevation(given: Any) -> str | None:
    """The model's name; None for `none`, and for the `false` of a file."""
    if given is None or given is False:
        return None
    if not isinstance(given, str):
        raise RecipeError(f"dem {given!r}: the name of an elevation model, or {NO_DEM!r}")
    return None if given.strip().lower() in ("", NO_DEM) else given


def _several(name: str, given: Any) -> Iterable[Any]:
    """One number is a list of one."""
    if isinstance(given, int):
        return (given,)
    try:
        iter(given)
    except TypeError:
        raise RecipeError(f"{name}: whole numbers, not {given!r}") from None
    values: Iterable[Any] = given
    return values


def _integers(name: str, given: Any, low: int, high: int) -> tuple[int, ...]:
    values = tuple(_several(name, given))
    wrong = [v for v in values if isinstance(v, bool) or not isinstance(v, int)]
    wrong += [v for v in values if v not in wrong and not low <= v <= high]
    if wrong or not values:
        shown = f"{wrong[0]!r} among them" if wrong else "none given"
        raise RecipeError(f"{name}: whole numbers from {low} to {high}, {shown}")
    return tuple(sorted(set(values)))


def _strings(name: str, given: Any) -> tuple[str, ...]:
    values: Iterable[Any] = (given,) if isinstance(given, str) else given
    kept = tuple(values)
    if not kept or not all(isinstance(value, str) for value in kept):
        raise RecipeError(f"{name}: one name or more, not {given!r}")
    return kept


def _check_features(features: tuple[str, ...]) -> None:
    unknown = [name for name in features if name not in FEATURES]
    if unknown or len(set(features)) != len(features):
        what = f"{unknown[0]!r} is unknown" if unknown else "one is given twice"
        raise RecipeError(f"features: {what}; there are {', '.join(FEATURES)}")


def _harmony(given: bool | str) -> bool | str:
    if given is True:
        return "ols"
    if given is False or given == "none":
        return False
    if given not in HARMONIES:
        raise RecipeError(f"harmonize {given!r}: false, or one of {', '.join(HARMONIES)}")
    return given


def _check_clear(given: Any) -> None:
    whole = isinstance(given, int) and not isinstance(given, bool)
    if not whole or not 1 <= given <= MAX_MIN_CLEAR:
        raise RecipeError(f"min_clear {given!r}: a whole number from 1 to {MAX_MIN_CLEAR}")


def _percent(given: Any) -> float | None:
    if given is None:
        return None
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if not number or not math.isfinite(given) or not 0 <= given <= 100:
        raise RecipeError(f"max_cloud {given!r}: a number from 0 to 100, in percent")
    return float(given)


def _check_families(names: tuple[str, ...], harmonize: bool | str) -> None:
    families: dict[str, str] = {}
    for name in names:
        families.setdefault(sensor(name).family, name)
    if len(families) > 1:
        raise RecipeError(
            f"sensors: {' and '.join(families.values())} come from different processors and their "
            "reflectances are not alike; take one family, or hls_l30 with hls_s30, which are made "
            "to be merged"
        )
    if harmonize and "landsat" not in families:
        raise RecipeError(
            f"harmonize {harmonize!r}: it brings TM and ETM+ of Landsat to OLI, and {names[0]} is "
            "of another family; leave it out"
        )
