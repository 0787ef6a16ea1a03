"""The array form: a convolution is one product of two matrices at each pixel.

The neighbourhood of a pixel in all channels is one column of numbers, the weights of a layer are
one matrix, and `matrixMultiply` is the layer: a dozen calls, where the published form needs a
kernel for each pair of channels. Everything else is as `kernels.py` has it, so that every rule
takes bands and gives bands.

    neighborhoodToArray   each band: rows x columns (axis 0 is y, axis 1 is x)
    toArray(0)            all bands: (channels * rows) x columns
    arrayReshape          (channels * rows * columns) x 1
    matrixMultiply        filters x 1, of weights filters x (channels * rows * columns)
    add                   the biases, filters x 1
    arrayProject, arrayFlatten   a band for each filter

Arrays meet arrays of their own shape alone; nothing is left to broadcasting.
"""

from __future__ import annotations

import zlib
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any, Protocol

import ee

from water_gee.deploy.kernels import KERNELS, cat, numbers
from water_gee.deploy.layers import dilation, groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from water_gee.deploy.graph import Node

    Array = npt.NDArray[np.float32]
    Rule = Callable[[Node, Sequence[ee.Image]], ee.Image]

FUNCTIONS = frozenset(
    {
        "Array", "Image.arrayFlatten", "Image.arrayProject", "Image.arrayReshape",
        "Image.arraySlice", "Image.matrixMultiply", "Image.neighborhoodToArray", "Image.toArray",
        "Kernel.rectangle",
    }
)  # fmt: skip
"""What this form calls beyond the published one, by the names on the wire."""


class Held(Protocol):
    """Where the weights of a layer are kept, and how a column of numbers is multiplied by them.

    A call takes a name for them, the matrix `float32 (filters, numbers)`, the biases
    `float32 (filters,)` and an image of columns `(numbers, 1)`; it gives an image of columns
    `(filters, 1)`: the matrix times the column, plus the biases.
    """

    def __call__(self, key: str, matrix: Array, bias: Array, column: ee.Image) -> ee.Image:
        """Return the image."""
        ...


def inline(key: str, matrix: Array, bias: Array, column: ee.Image) -> ee.Image:
    """Weights as constants in the expression itself."""
    del key
    sums: ee.Image = ee.Image(ee.Array(numbers(matrix))).matrixMultiply(column)
    if not bias.any():
        return sums
    shifted: ee.Image = sums.add(ee.Image(ee.Array(numbers(bias[:, None]))))
    return shifted


def rules(held: Held) -> dict[str, Rule]:
    """The rule of every kind of layer, with weights that are held somewhere."""

    def conv(node: Node, inputs: Sequence[ee.Image]) -> ee.Image:
        kernel = node.weights["kernel"]
        if kernel.shape[2] == 1 and groups(node) > 1:
            return KERNELS["conv"](node, inputs)  # a filter reads one band: nothing to gather
        parts = _in_groups(node, inputs[0])
        images = [
            _product(image, weights, bias, dilation(node), held, _key(node, place, len(parts)))
            for place, (image, weights, bias) in enumerate(parts)
        ]
        whole = cat(images).toFloat()
        if "activation" not in node.attributes:
            return whole
        return KERNELS["activation"](node, [whole])

    return {**KERNELS, "conv": conv}


def _key(node: Node, group: int, count: int) -> str:
    return node.name if count == 1 else f"{node.name}/{group}"


def _in_groups(node: Node, image: ee.Image) -> list[tuple[ee.Image, Array, Array]]:
    """For each group of a convolution: the bands it reads, its kernel and its biases."""
    kernel, bias = node.weights["kernel"], node.weights["bias"]
    count = groups(node)
    if count == 1:
        return [(image, kernel, bias)]
    channels, filters = kernel.shape[2], kernel.shape[3] // count
    parts = []
    for group in range(count):
        read = list(range(group * channels, (group + 1) * channels))
        made = slice(group * filters, (group + 1) * filters)
        parts.append((image.select(read), kernel[..., made], bias[made]))
    return parts


def _product(
    image: ee.Image,
    kernel: Array,
    bias: Array,
    apart: tuple[int, int],
    held: Held,
    key: str,
) -> ee.Image:
    """The sums of one group, a band for each filter."""
    filters = kernel.shape[3]
    # In the order of the column: channels, then rows, then columns of the neighbourhood.
    matrix = kernel.transpose(3, 2, 0, 1).reshape(filters, -1)
    sums = held(key, matrix, bias, _column(image, kernel.shape, apart))
    bands: ee.Image = sums.arrayProject([0]).arrayFlatten([_names(key, filters)])
    return bands


def _names(key: str, count: int) -> list[str]:
    """Names for the bands of a layer, others than other layers have.

    The client writes a text that occurs twice once and refers to it, which takes more room than
    the name itself.
    """
    first, second = divmod(zlib.crc32(key.encode()) % 26**2, 26)
    prefix = ascii_lowercase[first] + ascii_lowercase[second]
    return [f"{prefix}{number}" for number in range(count)]


def _column(image: ee.Image, shape: tuple[int, ...], apart: tuple[int, int]) -> ee.Image:
    """All numbers that a filter reads at a pixel, as one column."""
    rows, cols, channels, _ = shape
    if (rows, cols) == (1, 1):
        return image.toArray().toArray(1)
    (down, across), (up, side) = apart, (rows // 2, cols // 2)
    around = image.neighborhoodToArray(ee.Kernel.rectangle(side * across, up * down, "pixels"))
    for axis, step in enumerate((down, across)):
        if step > 1:  # a dilated kernel reads every so many-th pixel
            around = around.arraySlice(axis=axis, step=step)
    lengths = ee.Image(ee.Array([channels * rows * cols, 1]))
    column: ee.Image = around.toArray(0).arrayReshape(lengths, 2)
    return column


MATRIX: dict[str, Rule] = rules(inline)
"""Kind -> rule, as `layers.SHAPE` has them: `kernels.KERNELS` with convolutions as products."""


def array_bytes(node: Node) -> int:
    """How many bytes of arrays a layer makes for each pixel, in double precision; 0 for none."""
    if node.kind != "conv":
        return 0
    kernel: Any = node.weights["kernel"]
    rows, cols, channels, filters = kernel.shape
    if channels == 1 and groups(node) > 1:
        return 0
    (down, across) = dilation(node)
    around = ((rows - 1) * down + 1) * ((cols - 1) * across + 1) * channels * groups(node)
    column = rows * cols * channels * groups(node)
    # Neighbourhoods, the arrays of all bands, their column, products and sums with the biases.
    copies = 2 if (rows, cols) == (1, 1) else 3
    return int(8 * ((copies - 1) * column + max(around, column) + 2 * filters))
