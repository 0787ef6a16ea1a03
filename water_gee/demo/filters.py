"""The few filters of scipy.ndimage that the demo uses, with types.

SciPy ships no annotations, and what checkers infer from its source is wrong; so its results are
named here, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage as _untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]
    Blobs = NDArray[np.int32]

_ndimage: Any = _untyped


def smooth(field: Field, sigma: float | tuple[float, float]) -> Field:
    """Blur with a Gaussian of `sigma` pixels; edges repeat."""
    out: Field = _ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)
    return out


def convolve(field: Field, kernel: Field) -> Field:
    """Convolve with a small kernel; edges repeat."""
    out: Field = _ndimage.convolve(field, kernel, mode="nearest")
    return out


def box_mean(field: Field, size: int) -> Field:
    """Mean of the `size` x `size` pixels around each."""
    out: Field = _ndimage.uniform_filter(field, size, mode="nearest")
    return out


def highest(field: Field, size: int) -> Field:
    """Largest of the `size` x `size` pixels around each."""
    out: Field = _ndimage.maximum_filter(field, size, mode="nearest")
    return out


def lowest(field: Field, size: int) -> Field:
    """Smallest of the `size` x `size` pixels around each."""
    out: Field = _ndimage.minimum_filter(field, size, mode="nearest")
    return out


def grow(mask: Mask, pixels: int = 1) -> Mask:
    """Add to a mask everything within `pixels` steps of it."""
    out: Mask = _ndimage.binary_dilation(mask, iterations=pixels)
    return out


def distance_inside(mask: Mask) -> Field:
    """Distance in pixels from each marked pixel to the nearest one that is not."""
    out: Field = _ndimage.distance_transform_edt(mask).astype(np.float32)
    return out


def blobs(mask: Mask) -> tuple[Blobs, int]:
    """Number the connected parts of a mask from 1; 0 is what is not marked.

    Returns:
        `int32` of the mask's shape, and how many parts there are.
    """
    numbers, count = _ndimage.label(mask)
    return numbers, int(count)


def lowest_of_blobs(field: Field, numbers: Blobs, count: int) -> Field:
    """Smallest value of a field in each numbered part, part 0 included."""
    out: Field = _ndimage.minimum(field, numbers, np.arange(count + 1)).astype(np.float32)
    return out


def rotated(field: Field, degrees: float) -> Field:
    """Turn a field about its centre; what comes in from outside is mirrored."""
    out: Field = _ndimage.rotate(field, degrees, reshape=False, mode="reflect")
    return out


def interpolated(field: Field, row: NDArray[np.float64], col: NDArray[np.float64]) -> Field:
    """Values between pixel centres, linearly; beyond the edge it repeats."""
    out: Field = _ndimage.map_coordinates(field, [row, col], order=1, mode="nearest")
    return out
