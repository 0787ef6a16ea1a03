"""Array images whose pixels are matrices. One matrix for all pixels is multiplied in one go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator import arraymath
from water_gee.emulator.arrays import ArrayConstant, array_node
from water_gee.emulator.bands import inherited, paired, placed_like
from water_gee.emulator.functions.image_array import check_arrays, each_band
from water_gee.emulator.pixeltypes import UNBOUNDED, ranged
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import DOUBLE, Band, Image, PixelType

if TYPE_CHECKING:
    from collections.abc import Callable

    from water_gee.emulator.pixels import Item, Node, Values


@dataclass(frozen=True, slots=True)
class Matrices:
    """A function of one matrix.

    Attributes:
        function: `(values, where) -> values`.
        dimensions: Of the result.
        double: Whether the result is double whatever went in.
        item: From the matrix' shape to the result's, where the function cannot be tried on zeros.
        summary: What it does, one sentence.
    """

    function: Callable[[Values, str], Values]
    dimensions: int
    double: bool
    summary: str
    item: Callable[[tuple[int, ...]], tuple[int, ...]] | None = None


def _turned(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[::-1]


UNARY: dict[str, Matrices] = {
    "matrixInverse": Matrices(
        arraymath.inverse, 2, True, "Return the inverses of square matrices.", _turned
    ),
    "matrixPseudoInverse": Matrices(
        arraymath.pseudo_inverse, 2, True, "Return Moore-Penrose pseudo-inverses.", _turned
    ),
    "matrixDeterminant": Matrices(arraymath.determinant, 0, True, "Return determinants."),
    "matrixTrace": Matrices(arraymath.trace, 0, True, "Return the sums of diagonals."),
    "matrixFnorm": Matrices(arraymath.norm, 0, True, "Return Frobenius norms."),
    "matrixDiagonal": Matrices(
        arraymath.diagonal, 2, False, "Return diagonals, each in a single column."
    ),
    "matrixToDiag": Matrices(
        arraymath.to_diagonal, 2, False, "Return diagonal matrices of single columns."
    ),
}
"""Functions of `value`, by their names without the family."""


def _unary(name: str, operation: Matrices) -> Callable[[Image], Image]:
    def function(value: Image) -> Image:
        def kind(before: PixelType) -> PixelType:
            return DOUBLE if operation.double else ranged(before, UNBOUNDED)

        bands: list[Band] = []
        for band in value.bands:
            shape = band.node.item
            item: Item | str = "found"
            if operation.item is not None:
                item = None if shape is None or len(shape) != 2 else operation.item(shape)
            one = each_band(
                Image((band,)),
                lambda values: operation.function(values, name),
                name,
                lambda _: operation.dimensions,
                kind,
                item,
            )
            bands.extend(one.bands)
        return inherited(value, bands)

    function.__doc__ = operation.summary
    return function


for _name, _operation in UNARY.items():
    REGISTRY.function(f"Image.{_name}", arrays=True)(_unary(f"Image.{_name}", _operation))


def _binary(
    one: Image,
    two: Image,
    function: Callable[[Values, Values, str], Values],
    kind: Callable[[PixelType], PixelType],
    where: str,
    item: Callable[[Node, Node], Item | str],
) -> Image:
    bands = []
    for name, first, second in paired(one, two, where):
        for band in (first, second):
            check_arrays(band, where)
        made = replace(kind(first.type.union(second.type)), dimensions=2)
        node = array_node(
            [first.node, second.node],
            lambda a, b: function(a, b, where),
            made.dtype,
            item(first.node, second.node),
        )
        bands.append(placed_like(Band(name, made, node), first, second))
    return inherited(one, bands, two)


@REGISTRY.function("Image.matrixMultiply", arrays=True)
def matrix_multiply(image1: Image, image2: Image) -> Image:
    """Return the matrix products of matched bands."""
    return _binary(
        image1,
        image2,
        arraymath.product,
        lambda kind: ranged(kind, UNBOUNDED),
        "Image.matrixMultiply",
        lambda _, __: "found",
    )


@REGISTRY.function("Image.matrixSolve", arrays=True)
def matrix_solve(image1: Image, image2: Image) -> Image:
    """Return x of A x = B for matched bands, in the sense of least squares where A is tall."""

    def item(a: Node, b: Node) -> Item:
        if a.item is None or b.item is None or not len(a.item) == len(b.item) == 2:
            return None
        if a.item[0] != b.item[0]:
            raise bad_request(
                f"Image.matrixSolve: Both matrices need as many rows. Got {list(a.item)} and "
                f"{list(b.item)}."
            )
        return a.item[1], b.item[1]

    return _binary(image1, image2, arraymath.solved, lambda _: DOUBLE, "Image.matrixSolve", item)


@REGISTRY.function("Image.matrixIdentity")
def matrix_identity(size: int) -> Image:
    """Return an image of which every pixel is an identity matrix."""
    kind = PixelType("int", 0, 1, 2)
    array = arraymath.identity(size, "Image.matrixIdentity")
    return Image((Band("constant", kind, ArrayConstant(array, np.int32)),))
