"""What fits no other family: chance, tables of values, painted shapes, an image's name and date."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from water_gee.emulator.bands import inherited, pointwise
from water_gee.emulator.nodes import Blockwise, Placed
from water_gee.emulator.pixels import Block, Context, Grid, Values, Window, mask_and
from water_gee.emulator.pixeltypes import ranged, union
from water_gee.emulator.regions import coverage, inside, on_grid
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    DOUBLE,
    Band,
    Collection,
    Date,
    Element,
    Feature,
    Geometry,
    Image,
    PixelType,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@REGISTRY.function("Image.id")
def element_id(element: Element) -> str:
    """Return an element's id within its collection, empty where it has none."""
    return str(element.properties.get("system:index", ""))


@REGISTRY.function("Image.date")
def date(image: Image) -> Date:
    """Return when an image was acquired: its `system:time_start`."""
    start = image.properties.get("system:time_start")
    if isinstance(start, Date):
        return start
    if isinstance(start, bool) or not isinstance(start, (int, float)):
        raise bad_request("Image.date: The image has no 'system:time_start'.")
    return Date(int(start))


_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mixed(keys: Values) -> Values:
    """Scatter 64-bit keys (splitmix64, Steele, Lea and Flood 2014)."""
    keys = keys + np.uint64(_GOLDEN)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(_FIRST)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(_SECOND)
    result: Values = keys ^ (keys >> np.uint64(31))
    return result


def uniform(grid: Grid, window: Window, seed: int) -> Values:
    """Return numbers in [0, 1) that depend on place and seed alone, float64 `(row, col)`."""
    x, y = grid.centers(window)
    a, b, _, d, e, _ = grid.transform
    size = math.sqrt(abs(a * e - b * d))
    # 1024ths of a pixel tell places apart however the grid's origin is shifted.
    keys = [np.rint(one / size * 1024).astype(np.int64).view(np.uint64) for one in (x, y)]
    start = np.asarray(seed, np.int64).view(np.uint64)
    with np.errstate(over="ignore"):
        mixed = _mixed(keys[0] ^ _mixed(keys[1] ^ _mixed(start[None])))
    numbers: Values = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


@REGISTRY.function("Image.random")
def random(seed: int = 0, distribution: str = "uniform") -> Image:
    """Return a random number at each pixel, the same for the same place, pixel size and seed."""
    if distribution not in ("uniform", "normal"):
        raise bad_request(
            f"Image.random: 'distribution' must be 'uniform' or 'normal'. Got '{distribution}'."
        )

    def number(grid: Grid, window: Window, context: Context) -> Block:
        first = uniform(grid, window, seed)
        if distribution == "uniform":
            return Block(first)
        # Box and Muller 1958; 1 - u keeps clear of the logarithm of 0.
        second = uniform(grid, window, ~seed)
        return Block(np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * math.pi * second))

    kind = PixelType("double", 0.0, 1.0) if distribution == "uniform" else DOUBLE
    return Image((Band("random", kind, Placed((), number, np.float64)),))


@REGISTRY.function("Image.remap")
def remap(
    image: Image,
    from_: list[Any],
    to: list[Any],
    defaultValue: Any = None,
    bandName: str | None = None,
) -> Image:
    """Return one band, `remapped`, with values replaced by a table; others masked, or a default."""
    where = "Image.remap"
    if len(from_) != len(to) or not from_:
        raise bad_request(
            f"{where}: 'from' and 'to' must be lists of one length. Got {len(from_)} and {len(to)}."
        )
    numbers = [*from_, *to, *([] if defaultValue is None else [defaultValue])]
    if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in numbers):
        raise bad_request(f"{where}: Only numbers can be remapped by this emulator.")
    band = _named(image, bandName, where)
    outcomes = [*to, *([] if defaultValue is None else [defaultValue])]
    kind = union([PixelType.of_constant(one) for one in outcomes])
    order = np.argsort(np.asarray(from_, np.float64), kind="stable")
    keys, targets = np.asarray(from_, np.float64)[order], np.asarray(to)[order]

    def mapped(block: Block) -> Block:
        place = np.minimum(np.searchsorted(keys, block.values), len(keys) - 1)
        known = keys[place] == block.values
        if defaultValue is not None:
            return Block(np.where(known, targets[place], defaultValue), block.mask)
        return Block(targets[place], mask_and(block.mask, known))

    node = Blockwise((band.node,), mapped, kind.dtype)
    return image.with_bands([replace(band, name="remapped", type=kind, node=node)])


def _named(image: Image, name: str | None, where: str) -> Band:
    for band in image.bands:
        if name is None or band.name == name:
            return band
    raise bad_request(
        f"{where}: No band named '{name}'. Available band names: [{', '.join(image.names)}]."
        if name is not None
        else f"{where}: The image has no bands."
    )


@REGISTRY.function("Image.interpolate")
def interpolate(
    image: Image, x: list[float], y: list[float], behavior: str = "extrapolate"
) -> Image:
    """Return the first band put through a piecewise-linear function."""
    where = "Image.interpolate"
    if len(x) != len(y) or len(x) < 2 or any(a >= b for a, b in pairwise(x)):
        raise bad_request(f"{where}: 'x' must increase strictly and have as many values as 'y'.")
    if behavior not in ("extrapolate", "clamp", "mask", "input"):
        raise bad_request(
            f"{where}: 'behavior' must be 'extrapolate', 'clamp', 'mask' or 'input'. "
            f"Got '{behavior}'."
        )
    band = _named(image, None, where)
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def value(block: Block) -> Block:
        given = block.values.astype(np.float64)
        outside = (given < xs[0]) | (given > xs[-1])
        found = np.interp(given, xs, ys)
        if behavior == "extrapolate":
            low = ys[0] + (given - xs[0]) * (ys[1] - ys[0]) / (xs[1] - xs[0])
            high = ys[-1] + (given - xs[-1]) * (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
            found = np.where(given < xs[0], low, np.where(given > xs[-1], high, found))
        elif behavior == "input":
            found = np.where(outside, given, found)
        mask = mask_and(block.mask, ~outside) if behavior == "mask" else block.mask
        return Block(found, mask)

    node = Blockwise((band.node,), value, np.float64)
    return inherited(image, [replace(band, type=DOUBLE, node=node)])


@REGISTRY.function("Image.paint")
def paint(image: Image, featureCollection: Collection, color: Any = 0, width: Any = None) -> Image:
    """Return the image with a value where features cover it, or where their outlines run."""
    shapes = [
        (one.geometry, _of_feature(color, one, "color"), _of_feature(width, one, "width"))
        for one in featureCollection
        if isinstance(one, Feature) and one.geometry is not None
    ]
    colors = [PixelType.of_constant(value) for _, value, _ in shapes if value is not None]

    def painted(grid: Grid, window: Window, context: Context, block: Block) -> Block:
        values = block.values.copy()
        for geometry, value, line in shapes:
            covered = _covered(geometry, line, grid, window, context)
            values[covered] = value
        return Block(values, block.mask)

    bands = []
    for band in image.bands:
        kind = union([band.type, *colors])
        node = pointwise([band.node], lambda values: values, kind)
        bands.append(replace(band, type=kind, node=Placed((node,), painted, kind.dtype)))
    return image.with_bands(bands)


def _of_feature(given: Any, feature: Feature, what: str) -> float | None:
    value = feature.properties.get(given) if isinstance(given, str) else given
    if value is None and given is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_request(f"Image.paint: '{what}' must be a number. Got {value!r}.")
    return value


def _covered(
    geometry: Geometry, line: float | None, grid: Grid, window: Window, context: Context
) -> Values:
    if geometry.shape is None or (line is None and shapely.get_dimensions(geometry.shape) == 2):
        found = inside(geometry)(grid, window, context)
        return np.ones(window.shape, bool) if found is None else found
    shape = on_grid(geometry, grid)
    outline = shape.boundary if shapely.get_dimensions(shape) == 2 else shape
    if line is not None and line > 1:
        return coverage(outline.buffer(line / 2), window)[1]
    return coverage(outline, window)[1]


def colors_of(palette: Any, where: str) -> Values:
    """Return colours, float64 `(n, 3)` in [0, 255], of CSS names and hexadecimal digits.

    Raises:
        ServiceError: 400: one is no colour.
    """
    names = palette.split(",") if isinstance(palette, str) else palette
    if not isinstance(names, list) or not names:
        raise bad_request(f"{where}: 'palette' must be a list of colours.")
    return np.array([_color(name, where) for name in names], np.float64)


def _color(name: Any, where: str) -> tuple[int, int, int]:
    from matplotlib.colors import CSS4_COLORS

    text = str(name).strip().lower().removeprefix("#")
    text = str(CSS4_COLORS.get(text, text)).removeprefix("#").lower()
    if len(text) == 3:
        text = "".join(digit * 2 for digit in text)
    try:
        if len(text) != 6:
            raise ValueError(text)
        red, green, blue = (int(text[place : place + 2], 16) for place in (0, 2, 4))
    except ValueError as error:
        raise bad_request(f"{where}: Invalid color '{name}' in palette.") from error
    return red, green, blue


@REGISTRY.function("Image.visualize")
def visualize(
    image: Image,
    bands: Any = None,
    gain: Any = None,
    bias: Any = None,
    min: Any = None,
    max: Any = None,
    gamma: Any = None,
    opacity: float | None = None,
    palette: Any = None,
    forceRgbOutput: bool = False,
) -> Image:
    """Return an 8-bit picture of an image: `vis-red`, `vis-green`, `vis-blue`, or `vis-gray`."""
    where = "Image.visualize"
    chosen = _shown_bands(image, bands, palette, where)
    stretch = [
        _stretch(band, where, *values)
        for band, *values in zip(
            chosen,
            *(_each(one, len(chosen), where) for one in (gain, bias, min, max, gamma)),
            strict=True,
        )
    ]
    alpha = 1.0 if opacity is None else float(opacity)
    kind = PixelType("int", 0, 255)
    if palette is not None:
        table = colors_of(palette, where)
        made = [(chosen[0], stretch[0], table[:, channel]) for channel in range(3)]
    else:
        copies = 3 if len(chosen) == 1 and forceRgbOutput else 1
        gray = np.array([0.0, 255.0])
        made = [(band, one, gray) for band, one in zip(chosen, stretch, strict=True)] * copies
    names = ["vis-gray"] if len(made) == 1 else ["vis-red", "vis-green", "vis-blue"]
    shown = [
        replace(
            band,
            name=name,
            type=kind,
            node=Blockwise((band.node,), _painter(one, table, alpha), kind.dtype),
        )
        for name, (band, one, table) in zip(names, made, strict=True)
    ]
    return image.with_bands(shown)


def _painter(
    stretch: Callable[[Values], Values], table: Values, alpha: float
) -> Callable[[Block], Block]:
    """Return the function from values to one channel: stretched to [0, 1], looked up, rounded."""

    def channel(block: Block) -> Block:
        place = np.nan_to_num(np.clip(stretch(block.values.astype(np.float64)), 0, 1))
        if len(table) == 1:
            values = np.full(place.shape, table[0])
        else:
            values = np.interp(place * (len(table) - 1), np.arange(len(table)), table)
        mask = block.mask
        if alpha != 1:
            own = np.float32(1) if mask is None else mask.astype(np.float32)
            mask = np.broadcast_to(own * np.float32(np.clip(alpha, 0, 1)), values.shape)
        return Block(np.floor(values + 0.5), mask)

    return channel


def _shown_bands(image: Image, bands: Any, palette: Any, where: str) -> list[Band]:
    if bands is None:
        chosen = list(image.bands[: 3 if len(image.bands) >= 3 and palette is None else 1])
    else:
        names = bands.split(",") if isinstance(bands, str) else bands
        chosen = [_named(image, str(name).strip(), where) for name in names]
    if len(chosen) not in (1, 3):
        raise bad_request(f"{where}: Must specify 1 or 3 bands. Got {len(chosen)}.")
    if palette is not None and len(chosen) != 1:
        raise bad_request(f"{where}: Palettes can only be used with a single band.")
    return chosen


def _each(given: Any, count: int, where: str) -> list[float | None]:
    """Return an option for each band: one value for all, or a list."""
    if isinstance(given, str):
        try:
            given = [float(part) for part in given.split(",")]
        except ValueError as error:
            raise bad_request(f"{where}: Not a number: '{given}'.") from error
    values = given if isinstance(given, list) else [given]
    if len(values) == 1:
        values = values * count
    if len(values) != count:
        raise bad_request(f"{where}: Options must have 1 or {count} values. Got {len(values)}.")
    return values


def _stretch(
    band: Band,
    where: str,
    gain: float | None,
    bias: float | None,
    low: float | None,
    high: float | None,
    gamma: float | None,
) -> Callable[[Values], Values]:
    """Return the function from a band's values to [0, 1] that its options ask for."""
    if (gain is not None or bias is not None) and (low is not None or high is not None):
        raise bad_request(f"{where}: 'gain' and 'bias' exclude 'min' and 'max'.")
    if gamma is not None and not gamma > 0:
        raise bad_request(f"{where}: 'gamma' must be positive. Got {gamma}.")
    if gain is not None or bias is not None:
        factor = (1.0 if gain is None else gain) / 255
        start = (0.0 if bias is None else bias) / 255
    else:
        bottom, top = _default_range(band.type)
        first = bottom if low is None else low
        last = top if high is None else high
        factor = 1 / (last - first) if last != first else math.inf
        start = -first * factor if last != first else 0.0
    power = 1.0 if gamma is None else 1 / gamma

    def stretched(values: Values) -> Values:
        if math.isinf(factor):
            first_value = low if low is not None else 0
            place = (values > first_value).astype(np.float64)
        else:
            place = np.clip(values * factor + start, 0, 1)
        return place if power == 1 else place**power

    return stretched


def _default_range(kind: PixelType) -> tuple[float, float]:
    """Return what is stretched by default: [0, 1] for floats, else the stored type's range."""
    if kind.precision != "int":
        return 0.0, 1.0
    info = np.iinfo(ranged(kind, (kind.minimum, kind.maximum)).storage)
    return float(info.min), float(info.max)
