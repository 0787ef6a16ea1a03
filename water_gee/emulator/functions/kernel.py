"""Kernels: weights around a pixel. Their matrices are those that the reference prints."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.statistics import Values
from water_gee.emulator.values import Kernel

Shape = Callable[[Values, Values], Values]
"""From offsets x and y in pixels to weights."""

MAX_SIDE = 1023
"""Pixels a side of the largest kernel; a slip in the radius shall not take all memory."""


def made(weights: Values, center: tuple[int, int], magnitude: float, normalize: bool) -> Kernel:
    """Return a kernel, its weights scaled to sum to 1 if asked, then by a magnitude."""
    scaled = np.asarray(weights, np.float64)
    total = scaled.sum()
    if normalize and total != 0:
        scaled = scaled / total
    return Kernel(scaled * magnitude, center, normalize)


def around(
    shape: Shape, x_radius: int, y_radius: int, magnitude: float, normalize: bool, where: str
) -> Kernel:
    """Return a kernel drawn around its centre pixel.

    Raises:
        ServiceError: 400: it is too large.
    """
    if min(x_radius, y_radius) < 0 or 2 * max(x_radius, y_radius) + 1 > MAX_SIDE:
        raise bad_request(
            f"{where}: The kernel must be from 1 to {MAX_SIDE} pixels wide and high; "
            f"its radius is {max(x_radius, y_radius)}."
        )
    y, x = np.mgrid[-y_radius : y_radius + 1, -x_radius : x_radius + 1].astype(np.float64)
    return made(shape(x, y), (y_radius, x_radius), magnitude, normalize)


def pixels(radius: float, units: str, where: str) -> float:
    """Return a radius in pixels.

    Raises:
        ServiceError: 400: it is negative, or neither in pixels nor in metres.
    """
    if units not in ("pixels", "meters"):
        raise bad_request(f"{where}: Unit '{units}' is unknown; use 'pixels' or 'meters'.")
    if not (math.isfinite(radius) and radius >= 0):
        raise bad_request(f"{where}: The radius must not be negative. Got {radius}.")
    return radius


NOMINAL_SIDE = 30.0
"""Metres of the pixels a kernel drawn in metres is shown for."""


def scaled(draw: Callable[[float], Kernel]) -> Kernel:
    """Return a kernel that is drawn anew for each size of pixels, in metres."""
    return replace(draw(NOMINAL_SIDE), in_meters=draw)


def unscaled(kernel: Kernel, where: str) -> Kernel:
    """Return a kernel drawn in pixels.

    Raises:
        ServiceError: 400: it was drawn in metres.
    """
    if kernel.in_meters is not None:
        raise bad_request(
            f"{where}: Kernels in meters are not implemented here by this emulator; use 'pixels'."
        )
    return kernel


def shape_function(name: str, radius: float) -> Shape:
    """Return the weights of a round or angular kernel of a radius, by its name.

    Raises:
        ServiceError: 400: there is none of that name.
    """
    near = radius + 1e-9
    shapes: dict[str, Shape] = {
        "square": lambda x, _: np.ones_like(x),
        "circle": lambda x, y: x * x + y * y <= near * near,
        "diamond": lambda x, y: abs(x) + abs(y) <= near,
        "octagon": lambda x, y: abs(x) + abs(y) <= near * math.sqrt(2),
        "plus": lambda x, y: (x == 0) | (y == 0),
        "cross": lambda x, y: abs(x) == abs(y),
        "euclidean": np.hypot,
        "manhattan": lambda x, y: abs(x) + abs(y),
        "chebyshev": lambda x, y: np.maximum(abs(x), abs(y)),
    }
    if name not in shapes:
        raise bad_request(f"Kernel: Unknown kernel type '{name}'; known: {', '.join(shapes)}.")
    return shapes[name]


def of_shape(
    name: str, radius: float, units: str, normalize: bool, magnitude: float, where: str
) -> Kernel:
    """Return a kernel of a named shape."""
    if units == "meters":
        pixels(radius, units, where)
        return scaled(
            lambda side: of_shape(name, radius / side, "pixels", normalize, magnitude, where)
        )
    size = math.floor(pixels(radius, units, where) + 1e-9)
    return around(shape_function(name, radius), size, size, magnitude, normalize, where)


def _register(name: str, normalized: bool, summary: str) -> None:
    where = f"Kernel.{name}"

    def construct(
        radius: float, units: str = "pixels", normalize: bool = normalized, magnitude: float = 1.0
    ) -> Kernel:
        return of_shape(name, radius, units, normalize, magnitude, where)

    construct.__doc__ = summary
    REGISTRY.function(where)(construct)


_BOOLEAN_SHAPES = ("square", "circle", "diamond", "octagon", "plus", "cross")
_DISTANCES = ("euclidean", "manhattan", "chebyshev")

for _name in _BOOLEAN_SHAPES:
    _register(_name, True, f"Return a {_name} of equal weights.")
for _name in _DISTANCES:
    _register(_name, False, f"Return the {_name} distance of each pixel from the centre.")


@REGISTRY.function("Kernel.rectangle")
def rectangle(
    xRadius: float,
    yRadius: float,
    units: str = "pixels",
    normalize: bool = True,
    magnitude: float = 1.0,
) -> Kernel:
    """Return a rectangle of equal weights."""
    where = "Kernel.rectangle"
    if units == "meters":
        return scaled(
            lambda side: rectangle(xRadius / side, yRadius / side, "pixels", normalize, magnitude)
        )
    x, y = (int(pixels(radius, units, where) + 1e-9) for radius in (xRadius, yRadius))
    return around(shape_function("square", 0), x, y, magnitude, normalize, where)


@REGISTRY.function("Kernel.gaussian")
def gaussian(
    radius: float,
    sigma: float = 1.0,
    units: str = "pixels",
    normalize: bool = True,
    magnitude: float = 1.0,
) -> Kernel:
    """Return a Gaussian sampled at pixel centres nearer than the radius along each axis."""
    where = "Kernel.gaussian"
    if units == "meters":
        return scaled(
            lambda side: gaussian(radius / side, sigma / side, "pixels", normalize, magnitude)
        )
    size = max(0, math.ceil(pixels(radius, units, where)) - 1)
    if not sigma > 0:
        raise bad_request(f"{where}: 'sigma' must be positive. Got {sigma}.")

    def weights(x: Values, y: Values) -> Values:
        found: Values = np.exp(-(x * x + y * y) / (2 * sigma**2)) / (2 * math.pi * sigma**2)
        return found

    return around(weights, size, size, magnitude, normalize, where)


_FIXED: dict[str, tuple[list[list[float]], str]] = {
    "laplacian4": (
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        "Return the Laplacian of the four nearest neighbours.",
    ),
    "laplacian8": (
        [[1, 1, 1], [1, -8, 1], [1, 1, 1]],
        "Return the Laplacian of all eight neighbours.",
    ),
    "sobel": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "Return Sobel's edge detector along x."),
    "prewitt": ([[1, 0, -1], [1, 0, -1], [1, 0, -1]], "Return Prewitt's edge detector along x."),
    "compass": ([[1, 1, -1], [1, -2, -1], [1, 1, -1]], "Return Prewitt's compass edge detector."),
    "kirsch": ([[5, 5, 5], [-3, 0, -3], [-3, -3, -3]], "Return Kirsch's compass edge detector."),
    "roberts": ([[1, 0], [0, -1]], "Return Roberts' 2x2 edge detector, its centre lower right."),
}


def _register_fixed(name: str, weights: list[list[float]], summary: str) -> None:
    def construct(magnitude: float = 1.0, normalize: bool = False) -> Kernel:
        return made(np.asarray(weights), (1, 1), magnitude, normalize)

    construct.__doc__ = summary
    REGISTRY.function(f"Kernel.{name}")(construct)


for _name, (_weights, _summary) in _FIXED.items():
    _register_fixed(_name, _weights, _summary)


@REGISTRY.function("Kernel.fixed")
def fixed(
    *,
    width: int = -1,
    height: int = -1,
    weights: list[list[Any]],
    x: int = -1,
    y: int = -1,
    normalize: bool = False,
) -> Kernel:
    """Return a kernel of given weights, rows from the top, its focus in the centre by default."""
    where = "Kernel.fixed"
    try:
        matrix = np.asarray(weights, np.float64)
    except (TypeError, ValueError) as error:
        raise bad_request(f"{where}: 'weights' must be a matrix of numbers.") from error
    if matrix.ndim != 2 or 0 in matrix.shape or max(matrix.shape) > MAX_SIDE:
        raise bad_request(
            f"{where}: 'weights' must be a matrix of 1 to {MAX_SIDE} rows and columns. "
            f"Its shape is {list(matrix.shape)}."
        )
    rows, cols = matrix.shape
    if (width not in (-1, cols)) or (height not in (-1, rows)):
        raise bad_request(
            f"{where}: 'weights' has {rows} row(s) of {cols}; "
            f"'height' and 'width' say {height} and {width}."
        )
    focus = ((rows - 1) // 2 if y == -1 else y, (cols - 1) // 2 if x == -1 else x)
    if not (0 <= focus[0] < rows and 0 <= focus[1] < cols):
        raise bad_request(f"{where}: The focus (x {x}, y {y}) lies outside the kernel.")
    return made(matrix, focus, 1.0, normalize)


@REGISTRY.function("Kernel.rotate")
def rotate(kernel: Kernel, rotations: int) -> Kernel:
    """Return a kernel turned clockwise by a number of right angles."""
    drawn = unscaled(kernel, "Kernel.rotate")
    weights, (row, col) = drawn.weights, drawn.center
    for _ in range(rotations % 4):
        row, col = col, weights.shape[0] - 1 - row
        weights = np.rot90(weights, -1)
    return Kernel(np.ascontiguousarray(weights), (row, col), kernel.normalized)


@REGISTRY.function("Kernel.add")
def add(kernel1: Kernel, kernel2: Kernel, normalize: bool = False) -> Kernel:
    """Return the sum of two kernels laid on each other centre on centre."""
    both = tuple(unscaled(kernel, "Kernel.add") for kernel in (kernel1, kernel2))
    before = [max(kernel.center[axis] for kernel in both) for axis in (0, 1)]
    after = [
        max(kernel.weights.shape[axis] - kernel.center[axis] for kernel in both) for axis in (0, 1)
    ]
    total = np.zeros((before[0] + after[0], before[1] + after[1]))
    for kernel in both:
        top, left = before[0] - kernel.center[0], before[1] - kernel.center[1]
        rows, cols = kernel.weights.shape
        total[top : top + rows, left : left + cols] += kernel.weights
    return made(total, (before[0], before[1]), 1.0, normalize)


@REGISTRY.function("Kernel.inverse")
def inverse(kernel: Kernel) -> Kernel:
    """Return a kernel with 1 / weight for each weight that is not 0."""
    if kernel.in_meters is not None:
        draw = kernel.in_meters
        return scaled(lambda side: inverse(draw(side)))
    zero = kernel.weights == 0
    weights = np.where(zero, 0, 1 / np.where(zero, 1, kernel.weights))
    return Kernel(weights, kernel.center, False)
