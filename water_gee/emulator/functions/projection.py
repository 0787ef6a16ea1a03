"""`Projection`, `PixelType` and `ErrorMargin`."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyproj import CRS

from water_gee.emulator.coerce import checked_crs, coerce
from water_gee.emulator.geojson import number
from water_gee.emulator.nodes import pixel_meters
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    DOUBLE,
    FLOAT,
    INTEGER_RANGES,
    ErrorMargin,
    PixelType,
    Projection,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@REGISTRY.function("Projection")
def projection(
    crs: Any, transform: list[Any] | None = None, transformWkt: str | None = None
) -> Projection:
    """Make a projection of a CRS (code or WKT) and the affine from pixels to coordinates."""
    if transform is not None and transformWkt is not None:
        raise bad_request("Projection: give 'transform' or 'transformWkt', not both.")
    if isinstance(crs, Projection):
        base = crs
    else:
        base = Projection(checked_crs(coerce(crs, str, "Projection, argument 'crs'")))
    if transformWkt is not None:
        return replace(base, transform=_from_wkt(transformWkt))
    if transform is None:
        return base
    numbers = [coerce(one, float, "Projection, argument 'transform'") for one in transform]
    if len(numbers) != 6:
        raise bad_request(f"Projection: a transform has 6 numbers, not {len(numbers)}.")
    a, b, c, d, e, f = map(float, numbers)
    if a * e - b * d == 0:
        raise bad_request("Projection: the transform is not invertible.")
    return replace(base, transform=(a, b, c, d, e, f))


def _from_wkt(text: str) -> tuple[float, float, float, float, float, float]:
    """Read `PARAM_MT["Affine", PARAMETER["elt_0_0", 30.0], ...]`."""
    found = {
        (int(row), int(col)): float(value)
        for row, col, value in re.findall(r'"elt_(\d)_(\d)",\s*([-+0-9.eE]+)', text)
    }
    if "affine" not in text.lower():
        raise bad_request("Projection, argument 'transformWkt': not an affine transform.")
    identity = {(0, 0): 1.0, (1, 1): 1.0}
    row = [found.get(k, identity.get(k, 0.0)) for k in ((0, 0), (0, 1), (0, 2))]
    low = [found.get(k, identity.get(k, 0.0)) for k in ((1, 0), (1, 1), (1, 2))]
    return (row[0], row[1], row[2], low[0], low[1], low[2])


def affine_wkt(transform: tuple[float, ...]) -> str:
    """Write an affine as Earth Engine does: only what differs from the identity."""
    lines = ['PARAM_MT["Affine"', 'PARAMETER["num_row", 3]', 'PARAMETER["num_col", 3]']
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    for place, (value, same) in enumerate(zip(transform, identity, strict=True)):
        if value != same:
            lines.append(f'PARAMETER["elt_{place // 3}_{place % 3}", {float(value)}]')
    return ", \n  ".join(lines) + "]"


@REGISTRY.function("Projection.atScale")
def at_scale(projection: Projection, meters: float) -> Projection:
    """Return the projection with pixels of a nominal size, in units of its CRS, its origin kept."""
    factor = meters / nominal_scale(projection)
    return scale(projection, factor, factor)


@REGISTRY.function("Projection.crs")
def crs(projection: Projection) -> str:
    """Return the authority code or WKT of the CRS."""
    return projection.crs


@REGISTRY.function("Projection.nominalScale")
def nominal_scale(proj: Projection) -> float:
    """Return the side of a pixel in metres at the CRS's true scale; a degree as on the equator."""
    return pixel_meters(proj.grid)


@REGISTRY.function("Projection.scale")
def scale(projection: Projection, x: float, y: float) -> Projection:
    """Return the projection with pixels x times as wide and y times as high."""
    a, b, c, d, e, f = projection.transform
    return replace(projection, transform=(a * x, b * y, c, d * x, e * y, f))


@REGISTRY.function("Projection.translate")
def translate(projection: Projection, x: float, y: float) -> Projection:
    """Return the projection with its origin moved by x columns and y rows."""
    a, b, c, d, e, f = projection.transform
    return replace(projection, transform=(a, b, c + a * x + b * y, d, e, f + d * x + e * y))


@REGISTRY.function("Projection.transform")
def transform(projection: Projection) -> str:
    """Return the affine as WKT."""
    return affine_wkt(projection.transform)


@REGISTRY.function("Projection.wkt")
def wkt(projection: Projection) -> str:
    """Return the CRS as WKT 1."""
    parsed = CRS.from_user_input(projection.crs)
    return str(parsed.to_wkt("WKT1_GDAL", pretty=True))


@REGISTRY.function("PixelType")
def pixel_type(
    precision: Any,
    minValue: float | None = None,
    maxValue: float | None = None,
    dimensions: int = 0,
) -> PixelType:
    """Make a pixel type of `int`, `float` or `double`, with the range of its values."""
    if isinstance(precision, PixelType):
        return precision
    if precision not in ("int", "float", "double"):
        named: PixelType = coerce(precision, PixelType, "PixelType, argument 'precision'")
        return replace(named, dimensions=dimensions)
    if precision == "int" and (minValue is None or maxValue is None):
        low, high = INTEGER_RANGES["int32"]
        minValue = low if minValue is None else minValue
        maxValue = high if maxValue is None else maxValue
    if minValue is not None and maxValue is not None and minValue > maxValue:
        raise bad_request("PixelType: 'minValue' is larger than 'maxValue'.")
    return PixelType(precision, minValue, maxValue, dimensions)


@REGISTRY.function("PixelType.precision")
def precision(pixelType: PixelType) -> str:
    """Return `int`, `float` or `double`."""
    return pixelType.precision


@REGISTRY.function("PixelType.minValue")
def min_value(pixelType: PixelType) -> float:
    """Return the smallest value; minus infinity where there is no bound."""
    return -math.inf if pixelType.minimum is None else number(pixelType.minimum)


@REGISTRY.function("PixelType.maxValue")
def max_value(pixelType: PixelType) -> float:
    """Return the largest value; infinity where there is no bound."""
    return math.inf if pixelType.maximum is None else number(pixelType.maximum)


@REGISTRY.function("PixelType.dimensions")
def dimensions(pixelType: PixelType) -> int:
    """Return in how many dimensions a pixel is an array, 0 for a number."""
    return pixelType.dimensions


def _named_type(name: str, kind: PixelType) -> Callable[[], PixelType]:
    def make() -> PixelType:
        return kind

    make.__doc__ = f"Return the pixel type {name}."
    return make


_TYPES = {
    "float": FLOAT,
    "double": DOUBLE,
    **{name: PixelType("int", *span) for name, span in INTEGER_RANGES.items()},
}

for _name, _kind in _TYPES.items():
    REGISTRY.function(f"PixelType.{_name}")(_named_type(_name, _kind))


@REGISTRY.function("ErrorMargin")
def error_margin(value: float | None = None, unit: str = "meters") -> ErrorMargin:
    """Make an error margin, in `meters`, `projected` units, or `infinite`."""
    if unit not in ("meters", "projected", "infinite"):
        raise bad_request(
            f"ErrorMargin: unit must be 'meters', 'projected' or 'infinite', not '{unit}'."
        )
    if value is None and unit != "infinite":
        raise bad_request("ErrorMargin: Parameter 'value' is required.")
    return ErrorMargin(math.inf if value is None else float(value), unit)
