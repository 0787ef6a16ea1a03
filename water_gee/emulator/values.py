"""What flows between the functions of an expression.

Numbers, strings, booleans, lists, dictionaries and None are Python's own. Everything else Earth
Engine has a type for is one of the frozen classes here. An image holds no pixels: each band points
at a node of the pixel graph (`pixels.Node`), which is asked for a window when somebody wants to
see it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.pixels import Grid, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shapely.geometry.base import BaseGeometry

INTEGER_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "int8": (-128, 127),
        "uint8": (0, 255),
        "int16": (-32768, 32767),
        "uint16": (0, 65535),
        "int32": (-(2**31), 2**31 - 1),
        "uint32": (0, 2**32 - 1),
        "int64": (-(2**63), 2**63 - 1),
    }
)
"""Integer types by the name NumPy and the wire share, with their ranges."""


@dataclass(frozen=True, slots=True)
class PixelType:
    """The type of a band's pixels.

    Attributes:
        precision: `int`, `float` (32 bit) or `double`.
        minimum: Smallest value, None where unbounded.
        maximum: Largest value, None where unbounded.
        dimensions: 0 for a number in each pixel, n for an n-dimensional array.
    """

    precision: str
    minimum: float | None = None
    maximum: float | None = None
    dimensions: int = 0

    @classmethod
    def of_dtype(cls, dtype: npt.DTypeLike) -> PixelType:
        """Return the pixel type that a raster of this NumPy type has."""
        kind = np.dtype(dtype)
        if kind == np.float32:
            return FLOAT
        if kind.kind == "f":
            return DOUBLE
        if kind.kind == "b":
            return BOOLEAN
        return cls("int", *INTEGER_RANGES[kind.name])

    @classmethod
    def of_constant(cls, value: float | int | bool) -> PixelType:
        """Return the type of a constant: its own value is the whole range."""
        if isinstance(value, int):
            return cls("int", int(value), int(value))
        return cls("double", float(value), float(value))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type pixels are computed in: int32, int64, float32 or float64."""
        if self.precision == "float":
            return np.dtype(np.float32)
        if self.precision == "double":
            return np.dtype(np.float64)
        low, high = INTEGER_RANGES["int32"]
        fits = (
            self.minimum is not None
            and self.maximum is not None
            and low <= self.minimum
            and self.maximum <= high
        )
        return np.dtype(np.int32 if fits else np.int64)

    @property
    def storage(self) -> np.dtype[Any]:
        """The smallest NumPy type a file or an answer holds these pixels in."""
        if self.precision != "int":
            return self.dtype
        low = self.minimum if self.minimum is not None else -math.inf
        high = self.maximum if self.maximum is not None else math.inf
        for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
            bottom, top = INTEGER_RANGES[name]
            if bottom <= low and high <= top:
                return np.dtype(name)
        return np.dtype(np.int64)

    def union(self, other: PixelType) -> PixelType:
        """Return the smallest type that holds both."""
        order = ("int", "float", "double")
        precision = order[max(order.index(self.precision), order.index(other.precision))]
        if {self.precision, other.precision} == {"int", "float"}:
            wide = self if self.precision == "int" else other
            if wide.storage.itemsize > 2 and wide.minimum != wide.maximum:
                precision = "double"
        lows, highs = (self.minimum, other.minimum), (self.maximum, other.maximum)
        return PixelType(
            precision,
            None if None in lows else min(low for low in lows if low is not None),
            None if None in highs else max(high for high in highs if high is not None),
            max(self.dimensions, other.dimensions),
        )


FLOAT = PixelType("float")
DOUBLE = PixelType("double")
BOOLEAN = PixelType("int", 0, 1)
BYTE = PixelType("int", 0, 255)
INT32 = PixelType("int", *INTEGER_RANGES["int32"])
INT64 = PixelType("int", *INTEGER_RANGES["int64"])

DEFAULT_CRS = "EPSG:4326"


@dataclass(frozen=True, slots=True)
class Projection:
    """A coordinate reference system and the size and place of its pixels.

    Attributes:
        crs: An authority code such as `EPSG:32648`, or WKT.
        transform: `(scaleX, shearX, translateX, shearY, scaleY, translateY)`: from pixel (column,
            row) to coordinates, in Earth Engine's order.
    """

    crs: str = DEFAULT_CRS
    transform: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @property
    def grid(self) -> Grid:
        """The same, as a pixel grid."""
        return Grid(self.crs, self.transform)


WGS84_ONE_DEGREE = Projection()
"""The default projection of constants and composites."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band of an image.

    Attributes:
        name: The band's name.
        type: The pixels' type.
        node: Where the pixels come from.
        projection: The default projection.
        dimensions: `(columns, rows)` of a bounded raster, None where unbounded.
    """

    name: str
    type: PixelType
    node: Node
    projection: Projection = WGS84_ONE_DEGREE
    dimensions: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """A shape on the Earth.

    Attributes:
        shape: Its coordinates in `crs`; None for an unbounded geometry.
        crs: The coordinate reference system of `shape`.
        geodesic: Whether edges are the shortest lines on the ellipsoid rather than straight in
            `crs`.
    """

    shape: BaseGeometry | None
    crs: str = DEFAULT_CRS
    geodesic: bool = True


EMPTY_PROPERTIES: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Feature:
    """A geometry with properties."""

    geometry: Geometry | None = None
    properties: Mapping[str, Any] = field(default_factory=lambda: EMPTY_PROPERTIES)

    def with_properties(self, changes: Mapping[str, Any]) -> Feature:
        """Return a copy with some properties set; those set to None are removed."""
        return replace(self, properties=merged(self.properties, changes))


@dataclass(frozen=True, slots=True)
class Image:
    """Bands, properties and a footprint.

    Attributes:
        bands: In order; names are unique.
        properties: `system:index`, `system:time_start` (ms) and so on. `id` is apart.
        id: The asset's id, None for a computed image.
        footprint: None where unbounded.
    """

    bands: tuple[Band, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=lambda: EMPTY_PROPERTIES)
    id: str | None = None
    footprint: Geometry | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The bands' names, in order."""
        return tuple(band.name for band in self.bands)

    @property
    def geometry(self) -> Geometry | None:
        """The footprint, under the name every element has it."""
        return self.footprint

    def with_bands(self, bands: Iterable[Band]) -> Image:
        """Return a copy with other bands and the same metadata."""
        return replace(self, bands=tuple(bands))

    def with_properties(self, changes: Mapping[str, Any]) -> Image:
        """Return a copy with some properties set; those set to None are removed."""
        return replace(self, properties=merged(self.properties, changes))


Element = Image | Feature


@dataclass(frozen=True, slots=True)
class Collection:
    """Elements in order, with properties of their own.

    Attributes:
        items: Images or features, or collections to be flattened; loading them reads records,
            never pixels.
        kind: `ImageCollection` or `FeatureCollection`.
        properties: The collection's.
        id: The asset's id, None for a computed collection.
    """

    items: Sequence[Any]
    kind: str
    properties: Mapping[str, Any] = field(default_factory=lambda: EMPTY_PROPERTIES)
    id: str | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def with_items(self, items: Iterable[Any]) -> Collection:
        """Return a copy with other elements and the same metadata."""
        return replace(self, items=tuple(items))


@dataclass(frozen=True, slots=True)
class Date:
    """An instant, in milliseconds since 1970-01-01 UTC."""

    value: int


@dataclass(frozen=True, slots=True)
class DateRange:
    """From `start` (inclusive) to `end` (exclusive), in milliseconds since 1970-01-01 UTC."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ErrorMargin:
    """A distance by which a result may be off, in `meters` or `projected` units."""

    value: float
    unit: str = "meters"


@dataclass(frozen=True, slots=True)
class Kernel:
    """Weights around a centre pixel, for a cross-correlation: nothing is flipped.

    Attributes:
        weights: `float64 (row, col)`.
        center: `(row, col)` of the centre within `weights`.
        normalized: Whether the weights were scaled to sum to 1 (already done).
        in_meters: From the side of a pixel in metres to the kernel, where it was drawn in metres;
            `weights` are those for pixels of 30 m then.
    """

    weights: npt.NDArray[np.float64]
    center: tuple[int, int]
    normalized: bool = False
    in_meters: Callable[[float], Kernel] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A test of one element.

    Attributes:
        test: Whether an element passes.
        description: What `getInfo` shows.
    """

    test: Callable[[Element], bool]
    description: Mapping[str, Any] = field(default_factory=lambda: EMPTY_PROPERTIES)


@dataclass(frozen=True, slots=True)
class Reducer:
    """How many values become few.

    Attributes:
        name: `mean`, `sum`, ...; names a result where there is one output.
        outputs: Names of the outputs, in order.
        reduce: `(stack (n, ...) of values, weights or mask (n, ...)) -> one (values, mask) per
            output`. The stack's first axis is reduced; a weight of 0 leaves a value out.
        result_type: From the input's pixel type to each output's.
        inputs: How many inputs one observation has.
    """

    name: str
    outputs: tuple[str, ...]
    reduce: Callable[..., list[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]]
    result_type: Callable[[PixelType], tuple[PixelType, ...]]
    inputs: int = 1


@dataclass(frozen=True, slots=True)
class Function:
    """A function value: a closure over the graph, or a registered function by name.

    Attributes:
        arguments: Names, in order.
        call: Called with positional values.
    """

    arguments: tuple[str, ...]
    call: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Array:
    """An n-dimensional array of numbers."""

    values: npt.NDArray[Any]
    type: PixelType = DOUBLE


def merged(properties: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `properties` with `changes` made; None removes."""
    result = {**properties, **changes}
    return MappingProxyType({name: value for name, value in result.items() if value is not None})
