"""Pixels that hold arrays.

Where all arrays of a band have one shape, as nearly always, a block's values are one NumPy array
`(row, col, *array)` and an operation is done on all pixels at once. Where shapes differ from pixel
to pixel, values are `(row, col)` objects, an array each, and the operation is done once for each
shape there is. Either way a function gets arrays of one shape, stacked along a first axis.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.errors import bad_request
from water_gee.emulator.pixels import Block, Context, Grid, Item, Node, Values, Window, mask_and

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Function = Callable[..., Values]
    """`(*values (n, *array)) -> (n, *array)`, or n objects where shapes differ."""


def joined(parts: Sequence[Values], axis: int) -> Values:
    """Return pixels side by side, as objects where their arrays differ in shape."""
    if len({part.shape[2:] for part in parts}) == 1 and not any(_ragged(part) for part in parts):
        return np.concatenate(parts, axis=axis)
    return np.concatenate([_objects(part) for part in parts], axis=axis)


def listed(parts: Sequence[Values]) -> Values:
    """Return pixels `(n, *array)` behind each other, as objects where their arrays differ."""
    if len({part.shape[1:] for part in parts}) == 1 and not any(_ragged(part) for part in parts):
        return np.concatenate(parts)
    return objects([pixel for part in parts for pixel in part])


def _ragged(values: Values) -> bool:
    return values.dtype == object


def _objects(values: Values) -> Values:
    """Return `(row, col)` objects of `(row, col, *array)`."""
    if _ragged(values):
        return values
    return _filled(values.shape[:2], values.reshape(-1, *values.shape[2:]))


def _filled(shape: tuple[int, ...], items: Iterable[Any]) -> Values:
    found = np.empty(math.prod(shape), object)
    for index, item in enumerate(items):
        found[index] = item
    return found.reshape(shape)


def objects(items: Sequence[Any]) -> Values:
    """Return arrays of several shapes as `(n,)` objects."""
    return _filled((len(items),), items)


def over_pixels(function: Function, blocks: Sequence[Block], dtype: npt.DTypeLike) -> Block:
    """Apply a function to each pixel's arrays, observed where all of them are.

    Args:
        function: Gets the arrays of many pixels, one shape for each block.
        blocks: Over one window.
        dtype: The type of the result's numbers.
    """
    mask = mask_and(*(block.mask for block in blocks))
    shape = blocks[0].shape
    with np.errstate(all="ignore"):
        if not any(_ragged(block.values) for block in blocks):
            made = function(*(flat(block.values) for block in blocks))
            return _block(made, shape, mask, dtype)
        return _block(_by_shapes(function, blocks, mask), shape, mask, dtype)


def flat(values: Values) -> Values:
    """Return `(row, col, *array)` as `(n, *array)`."""
    return values.reshape(-1, *values.shape[2:])


def _by_shapes(function: Function, blocks: Sequence[Block], mask: Values | None) -> Values:
    columns = [_objects(block.values).reshape(-1) for block in blocks]
    count = len(columns[0])
    seen = range(count) if mask is None else np.flatnonzero(mask.reshape(-1) > 0).tolist()
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for pixel in seen:
        shapes = tuple(np.shape(column[pixel]) for column in columns)
        groups.setdefault(shapes, []).append(pixel)
    made = np.empty(count, object)
    for members in groups.values():
        stacks = [np.stack([column[pixel] for pixel in members]) for column in columns]
        for pixel, one in zip(members, function(*stacks), strict=True):
            made[pixel] = one
    return made


def _block(
    made: Values, shape: tuple[int, int], mask: Values | None, dtype: npt.DTypeLike
) -> Block:
    if not _ragged(made):
        return Block(made.reshape(*shape, *made.shape[1:]).astype(dtype, copy=False), mask)
    observed = None if mask is None else mask.reshape(-1) > 0
    return uniform(made, shape, mask, dtype, observed)


def uniform(
    made: Values,
    shape: tuple[int, int],
    mask: Values | None,
    dtype: npt.DTypeLike,
    observed: Values | None = None,
) -> Block:
    """Return a block of `(n,)` arrays: as one array where all that are observed have one shape.

    Args:
        made: An array for each pixel, None where nothing was made.
        shape: `(row, col)`.
        mask: The block's.
        dtype: The type of the numbers.
        observed: Where the mask is above 0 `(n,)`; worked out where it is not given.
    """
    if observed is None:
        observed = np.ones(len(made), bool) if mask is None else mask.reshape(-1) > 0
    seen = [one for one, there in zip(made, observed, strict=True) if there]
    shapes = {np.shape(one) for one in seen}
    if len(shapes) == 1:
        item = shapes.pop()
        values = np.zeros((len(made), *item), dtype)
        values[observed] = np.stack(seen)
        return Block(values.reshape(*shape, *item), mask)
    empty = np.zeros((0,) * (np.ndim(seen[0]) if seen else 1), dtype)
    arrays = (
        np.asarray(one, dtype) if there else empty
        for one, there in zip(made, observed, strict=True)
    )
    return Block(_filled(shape, arrays), mask)


class ArrayConstant(Node):
    """One array everywhere, never masked; takes no memory."""

    __slots__ = ("array",)

    def __init__(self, array: Values, dtype: npt.DTypeLike) -> None:
        super().__init__((), dtype, array.shape)
        self.array = np.ascontiguousarray(array, dtype)

    def bytes(self, area: int) -> int:
        """Return 0: every pixel looks at one array."""
        del area
        return 0

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Return a view of the array."""
        return Block(np.broadcast_to(self.array, (*window.shape, *self.array.shape)))


class ArrayNode(Node):
    """A function of its inputs' arrays, pixel by pixel, observed where all inputs are.

    Args:
        inputs: The bands combined.
        function: As `over_pixels` takes it.
        dtype: The type of the result's numbers.
        item: The result's shape.
    """

    __slots__ = ("function",)

    def __init__(
        self, inputs: Sequence[Node], function: Function, dtype: npt.DTypeLike, item: Item
    ) -> None:
        super().__init__(inputs, dtype, item)
        self.function = function

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Apply the function."""
        present = [block for block in blocks if block is not None]
        return over_pixels(self.function, present, self.dtype)


def array_node(
    inputs: Sequence[Node], function: Function, dtype: npt.DTypeLike, item: Item | str = "found"
) -> Node:
    """Return a node that applies a function to each pixel's arrays; of constants, a constant.

    Args:
        inputs: The bands combined.
        function: As `over_pixels` takes it.
        dtype: The type of the result's numbers.
        item: The result's shape; "found" tries the function on one pixel of zeros, so that arrays
            that do not fit are refused before any pixel is computed.

    Raises:
        ServiceError: 400: the function refuses the shapes.
    """
    from water_gee.emulator.nodes import Constant

    known = [
        node.array
        if isinstance(node, ArrayConstant)
        else np.asarray(node.value, node.dtype)
        if isinstance(node, Constant)
        else None
        for node in inputs
    ]
    constants = [array[None] for array in known if array is not None]
    if len(constants) == len(inputs):
        with np.errstate(all="ignore"):
            made = np.asarray(function(*constants)[0]).astype(dtype)
        return Constant(made.item(), dtype) if made.ndim == 0 else ArrayConstant(made, dtype)
    if item == "found":
        item = _tried(inputs, function)
    assert not isinstance(item, str)
    return ArrayNode(inputs, function, dtype, item)


def _tried(inputs: Sequence[Node], function: Function) -> Item:
    if any(node.item is None for node in inputs):
        return None
    zeros = [np.zeros((1, *(node.item or ())), node.dtype) for node in inputs]
    with np.errstate(all="ignore"):
        made = function(*zeros)
    return None if _ragged(made) else made.shape[1:]


def elementwise(function: Function, where: str) -> Function:
    """Return a function of numbers as one of arrays of equal shape, or of arrays and numbers.

    Raises:
        ServiceError: 400: when it is called with arrays of different shapes.
    """

    def called(*values: Values) -> Values:
        shapes = {one.shape[1:] for one in values if one.ndim > 1}
        if len(shapes) > 1:
            shown = " and ".join(str(list(one.shape[1:])) for one in values)
            raise bad_request(
                f"{where}: Arrays must have the same shape, or one be a number. Got {shown}."
            )
        width = max(one.ndim for one in values)
        return function(*(one.reshape(*one.shape, *(1,) * (width - one.ndim)) for one in values))

    return called


class NeighborhoodArray(Node):
    """The pixels around each pixel as a 2-D array: axis 0 is y, axis 1 is x.

    Args:
        source: A band of numbers.
        shape: `(row, col)` of the neighbourhood.
        center: The pixel's own place in it.
        fill: What stands for masked neighbours.
    """

    __slots__ = ("fill", "halo", "shape")

    def __init__(
        self, source: Node, shape: tuple[int, int], center: tuple[int, int], fill: float
    ) -> None:
        super().__init__((source,), source.dtype, shape)
        (rows, cols), (row, col) = shape, center
        self.shape = shape
        self.halo = (row, rows - 1 - row, col, cols - 1 - col)
        self.fill = fill

    def bytes(self, area: int) -> int:
        """Return what the band takes: neighbourhoods are views of it."""
        return area * (self.dtype.itemsize + 1)

    def needs(self, index: int, grid: Grid, window: Window, context: Context) -> Window | None:
        """Return the window with its halo."""
        return window.grow(self.halo)

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Look at each pixel's neighbours."""
        block = blocks[0]
        assert block is not None
        valid = block.valid()
        values = block.values if valid is None else np.where(valid, block.values, self.fill)
        around = np.lib.stride_tricks.sliding_window_view(
            values.astype(self.dtype, copy=False), self.shape
        )
        top, _, left, _ = self.halo
        own = None
        if block.mask is not None:
            own = block.mask[top : top + window.height, left : left + window.width]
        return Block(around, own)


class Concatenated(Node):
    """The arrays of several bands, one behind the other along an axis.

    Args:
        inputs: Bands of numbers, or of arrays of as many dimensions.
        axis: At most the inputs' dimensions; equal to them, it is a new one.
        dtype: The union of the inputs'.
        item: The result's shape.
    """

    __slots__ = ("axis",)

    def __init__(self, inputs: Sequence[Node], axis: int, dtype: npt.DTypeLike, item: Item) -> None:
        super().__init__(inputs, dtype, item)
        self.axis = axis

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Copy the arrays behind each other."""
        present = [block for block in blocks if block is not None]
        if any(_ragged(block.values) for block in present):
            return over_pixels(lambda *values: cat(values, self.axis), present, self.dtype)
        mask = mask_and(*(block.mask for block in present))
        values = [block.values.astype(self.dtype, copy=False) for block in present]
        new = self.axis == values[0].ndim - 2
        join: Callable[..., Values] = np.stack if new else np.concatenate
        return Block(join(values, axis=2 + self.axis), mask)


def cat(values: Sequence[Values], axis: int, where: str = "Image.toArray") -> Values:
    """Concatenate arrays `(n, *array)` along one of their axes, or along a new last one.

    Raises:
        ServiceError: 400: their other axes differ in length.
    """
    values = [one for one in values if one.ndim != 2 or one.shape[1] or axis != 0] or list(
        values[:1]
    )
    dimensions = values[0].ndim - 1
    if not 0 <= axis <= dimensions:
        raise bad_request(
            f"{where}: The axis must be from 0 to {dimensions}, the arrays' dimensions. Got {axis}."
        )
    rest = {tuple(np.delete(one.shape[1:], axis) if axis < dimensions else one.shape[1:])
            for one in values}  # fmt: skip
    if len(rest) > 1 or len({one.ndim for one in values}) > 1:
        shown = " and ".join(str(list(one.shape[1:])) for one in values)
        raise bad_request(
            f"{where}: Arrays must have the same lengths on all axes but {axis}. Got {shown}."
        )
    join: Callable[..., Values] = np.stack if axis == dimensions else np.concatenate
    return join(values, axis=axis + 1)


class Flattened(Node):
    """One number of each pixel's array. All numbers are cut out of the arrays in one go.

    Args:
        source: The band of arrays.
        item: The shape the arrays have to have.
        place: Which number, counted row by row.
    """

    __slots__ = ("place", "shape")

    def __init__(self, source: Node, item: tuple[int, ...], place: int) -> None:
        super().__init__((source,), source.dtype)
        self.shape = item
        self.place = place

    def batch(self) -> object | None:
        """Return what the numbers of one array share."""
        return (Flattened, self.inputs, self.shape)

    def compute(
        self, grid: Grid, window: Window, blocks: Sequence[Block | None], context: Context
    ) -> Block:
        """Cut out this number alone."""
        return self.compute_batch([self], grid, window, blocks, context)[0]

    def compute_batch(
        self,
        nodes: Sequence[Node],
        grid: Grid,
        window: Window,
        blocks: Sequence[Block | None],
        context: Context,
    ) -> list[Block]:
        """Cut out several numbers."""
        block = over_pixels(self._checked, [b for b in blocks if b is not None], self.dtype)
        planes = np.ascontiguousarray(block.values.reshape(window.area, -1).T)
        return [
            Block(planes[node.place].reshape(window.shape), block.mask)
            for node in nodes
            if isinstance(node, Flattened)
        ]

    def _checked(self, values: Values) -> Values:
        if values.shape[1:] != self.shape:
            raise bad_request(
                f"Image.arrayFlatten: The labels are for arrays of shape {list(self.shape)}. "
                f"Got {list(values.shape[1:])}."
            )
        return values
