"""Keras = NumPy = Earth Engine on the same pixels, or an error that names the worst one.

Offline the graph is held against Keras. On the connected service, whichever it is, a probe asks how
`convolve` lays its kernels, and then one window of features and the deployed probabilities of the
same pixels come home: what Keras says of the first must be the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
import numpy as np

from water_gee.deploy import layers
from water_gee.deploy.build_ee import PROBABILITY_BAND, read_graph
from water_gee.deploy.graph import LayerGraph
from water_gee.deploy.layers import run_numpy
from water_gee.deploy.service import fetch
from water_gee.errors import DeployError, ParityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from water_gee.imagery.grid import Cell
    from water_gee.windows import Grid

    Array = npt.NDArray[Any]
    FloatArray = npt.NDArray[np.float32]

BAR = 1e-4
"""The largest difference in probability that a deployment may show on the connected service."""

OFFLINE_BAR = 1e-5
"""The largest between Keras and NumPy."""

WINDOW = 64
"""Side of the window compared, in pixels."""

MAX_WINDOWS = 12
"""How many windows are looked at to find one that says something."""

_UNDECIDED = (0.02, 0.98)
_ENOUGH_UNDECIDED = 20


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two sets of probabilities that agree.

    Attributes:
        pixels: How many were compared.
        undecided: How many of them are neither clearly water nor clearly land.
        largest: The largest difference.
    """

    pixels: int
    undecided: int
    largest: float


@dataclass(frozen=True, slots=True)
class View:
    """A window of features, and what Keras says of it.

    Attributes:
        grid: Where the probabilities lie.
        expected: Probability of water, `float32 (row, col)`, NaN where not classified.
    """

    grid: Grid
    expected: FloatArray

    @property
    def observed(self) -> int:
        """Pixels that are classified."""
        return int(np.isfinite(self.expected).sum())

    @property
    def undecided(self) -> int:
        """Pixels on which a wrong network would show: neither clearly water nor clearly land."""
        low, high = _UNDECIDED
        return int(((self.expected > low) & (self.expected < high)).sum())

    @property
    def tells(self) -> bool:
        """Whether this window is enough to go by."""
        return self.undecided >= _ENOUGH_UNDECIDED and self.observed * 2 >= self.expected.size


def agree(expected: Array, found: Array, bar: float, what: str) -> Agreement:
    """Compare probabilities pixel by pixel.

    Args:
        expected: `(row, col)`, NaN where not observed.
        found: The same pixels, NaN where masked.
        bar: The largest difference allowed; a pixel that only one of them has counts as infinite.
        what: The two, for the message.

    Raises:
        ParityError: They differ by more; it names the worst pixel.
    """
    seen = np.isfinite(expected)
    difference = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    difference[~seen & ~np.isfinite(found)] = 0.0
    difference[seen != np.isfinite(found)] = np.inf
    largest = float(difference.max(initial=0.0))
    if largest > bar:
        row, col = np.unravel_index(int(difference.argmax()), difference.shape)
        raise ParityError((int(row), int(col)), largest, bar, what)
    low, high = _UNDECIDED
    undecided = int(((expected > low) & (expected < high)).sum())
    return Agreement(int(seen.sum()), undecided, largest)


def keras_probability(network: Any, features: FloatArray) -> FloatArray:
    """What a Keras network says: probability of water, NaN where a window is not all observed.

    Args:
        network: `(n, row, col, feature)` -> `(n, row - 2 m, col - 2 m, class)`, class 0 = water; or
            the graph of one, which NumPy computes.
        features: `float32 (feature, row, col)`, NaN where not observed.

    Returns:
        `float32 (row - 2 m, col - 2 m)`.
    """
    if isinstance(network, LayerGraph):  # of a file that no Keras loads any more
        return numpy_probability(network, features, np.float32).astype(np.float32)
    from water_gee.training.soundness import neutral  # loads TensorFlow

    fill = neutral(network)
    filled = _channels_last(features, fill)
    said = np.asarray(network(filled[np.newaxis], training=False))[0, :, :, 0]
    return _masked(said, features, whole=fill is None)


def numpy_probability(graph: LayerGraph, features: FloatArray, dtype: Any = np.float64) -> Array:
    """The same as the rules of the layer graph have it, computed in `dtype`."""
    values = layers.neutral(graph)
    fill = None if values is None else np.array(values, np.float32)
    said = run_numpy(graph, _channels_last(features, fill).astype(dtype))[..., 0]
    return _masked(said, features, whole=fill is None)


def check_numpy(
    network: Any, graph: LayerGraph, features: FloatArray, bar: float = OFFLINE_BAR
) -> Agreement:
    """Hold a graph against the network that it was read from.

    Raises:
        ParityError: They differ; it names the worst pixel.
    """
    expected = keras_probability(network, features)
    return agree(expected, numpy_probability(graph, features), bar, "Keras and its layer graph")


def probe_orientation(grid: Grid) -> None:
    """Ask the connected service how `convolve` lays a kernel: by one pixel of 1 in a field of 0.

    A cross-correlation, as Keras computes it, answers with the kernel turned by half a circle.

    Args:
        grid: North-up pixels in degrees; the first five rows and columns are used.

    Raises:
        ParityError: The service lays kernels in another way; deployed networks would be wrong.
        DeployError: The service refused.
    """
    side, centre = 5, 2
    window = grid.window(0, 0, side, side)
    west, north = window.point(centre, centre)
    east, south = window.point(centre + 1, centre + 1)
    place = ee.Image.pixelLonLat()
    lon, lat = place.select("longitude"), place.select("latitude")
    inside = lon.gt(west).multiply(lon.lt(east)).multiply(lat.gt(south)).multiply(lat.lt(north))
    weights = np.arange(1.0, 10.0).reshape(3, 3)
    kernel = ee.Kernel.fixed(weights=weights.tolist())
    found = fetch(inside.toFloat().convolve(kernel), window, "the kernel probe")[0]
    expected = np.zeros((side, side))
    expected[1:-1, 1:-1] = weights[::-1, ::-1]
    agree(expected, found, 1e-3, "the kernel probe's answer and a cross-correlation")


def find_view(network: Any, features: ee.Image, cells: Sequence[Cell]) -> View:
    """Find a window inside the cells on which a wrong deployment would show.

    Windows at the middle of cells come first, then those at their quarters. The first that is
    mostly observed and has pixels of either class to compare is taken, or else the best seen.

    Args:
        network: The Keras network.
        features: The composite of its recipe.
        cells: Where the deployment is to be.

    Raises:
        DeployError: No window with one classified pixel.
    """
    best: View | None = None
    around = max(layers.margins(read_graph(network)))
    for cell, row, col in _places(cells):
        margin = max(cell.lattice.margin, around)
        outer = cell.grid.window(row - margin, col - margin, *(WINDOW + 2 * margin,) * 2)
        values = fetch(features, outer, f"the features of {cell.id}")
        expected = keras_probability(network, values)
        # What the network leaves of a window: its own margin need not be the recipe's.
        rows, cols = expected.shape
        top, left = (outer.shape[0] - rows) // 2, (outer.shape[1] - cols) // 2
        view = View(outer.window(top, left, rows, cols), expected)
        if best is None or (view.undecided, view.observed) > (best.undecided, best.observed):
            best = view
        if view.tells:
            break
    if best is None or not best.observed:
        raise DeployError(
            "no observed pixel to check the deployment on, in "
            f"{min(len(cells) * 5, MAX_WINDOWS)} windows of {WINDOW} x {WINDOW} inside the area; "
            "give another area or other years"
        )
    return best


def check_window(view: View, deployed: ee.Image, bar: float = BAR) -> Agreement:
    """Hold the deployed image against what Keras says of one window.

    Args:
        view: The window, from `find_view`.
        deployed: The image that is to be exported, with its band `probability`.
        bar: The largest difference allowed.

    Raises:
        ParityError: They differ; it names the worst pixel of the window.
        DeployError: The service refused.
    """
    found = fetch(deployed.select([PROBABILITY_BAND]), view.grid, "the deployed network")[0]
    return agree(view.expected, found, bar, "Keras and the deployed network")


def _places(cells: Sequence[Cell]) -> list[tuple[Cell, int, int]]:
    """Where windows may lie: a cell, and the window's upper left pixel in its tile."""
    middle_first = sorted(range(len(cells)), key=lambda index: abs(2 * index + 1 - len(cells)))
    spread = [cells[index] for index in middle_first[:: max(1, len(cells) // MAX_WINDOWS)]]
    places = []
    for down, across in ((2, 2), (1, 1), (1, 3), (3, 1), (3, 3)):
        for cell in spread:
            core = cell.core
            rows, cols = max(core.height - WINDOW, 0), max(core.width - WINDOW, 0)
            places.append((cell, core.row + rows * down // 4, core.col + cols * across // 4))
    return places[:MAX_WINDOWS]


def _channels_last(features: FloatArray, neutral: FloatArray | None) -> FloatArray:
    fill = 0.0 if neutral is None else neutral[:, np.newaxis, np.newaxis]
    filled = np.where(np.isnan(features), fill, features).astype(np.float32, copy=False)
    return np.ascontiguousarray(filled.transpose(1, 2, 0))


def _masked(said: Array, features: FloatArray, *, whole: bool) -> Array:
    """Put NaN where one pixel of the window, or of 7 x 7 of it, lacks one feature."""
    observed: Array = np.asarray(np.isfinite(features).all(axis=0))
    sides = []
    for axis in (0, 1):
        reach = (observed.shape[axis] - said.shape[axis]) // 2
        near = reach if whole else min(reach, layers.NEAR)
        observed = observed.take(range(reach - near, observed.shape[axis] - reach + near), axis)
        sides.append(2 * near + 1)
    windows = np.lib.stride_tricks.sliding_window_view(observed, sides)
    return np.where(windows.all(axis=(2, 3)), said, np.asarray(np.nan, said.dtype))
