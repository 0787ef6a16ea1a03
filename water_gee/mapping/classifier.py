"""A network over arrays of any size: classes and probabilities that do not show how it was cut.

The network runs in full convolution over blocks of one fixed shape, each with the exact halo of its
window. So a pixel's probability does not depend, bit by bit, on how the raster was cut.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import ModelError
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.training.backend import tf
from water_gee.training.soundness import check_cuts, halo, needed, neutral

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]
    ByteArray = npt.NDArray[np.uint8]

BLOCK = (256, 256)
"""Rows and columns of the blocks that the network is given, halo not counted. Halos take 4.7% of
the work; 512 x 512 would take 2.4% and four times the memory, once for each of the `LANES`."""

LANES = 2
"""Blocks in work at once: a single one leaves cores idle between its layers, and on two cores a
third gains nothing more."""


class Classifier:
    """A network ready to run over features of any size, in `LANES` threads at once.

    Attributes:
        halo: Pixels that the network sees around each pixel.
        needed: Those of them that must be observed.

    Raises:
        ModelError: A network that does not keep the pixels' size, loses them unevenly, gives other
            classes, or says something else of a pixel where the raster is cut otherwise, as
            padding does.
    """

    def __init__(self, network: Any) -> None:
        self.halo, self._features = _shape_of(network)
        self.needed, fill = needed(network), neutral(network)
        self._fills = None if fill is None else fill[:, np.newaxis, np.newaxis]
        shape = (self._features, BLOCK[0] + 2 * self.halo, BLOCK[1] + 2 * self.halo)
        # One array for all blocks of a lane: memory asked for anew costs more than the copy.
        self._lanes: SimpleQueue[FloatArray] = SimpleQueue()
        for _ in range(LANES):
            self._lanes.put(_aligned(shape))

        def probability(features: Any) -> Any:
            channels_last = tf.transpose(features, (1, 2, 0))[tf.newaxis]
            return network(channels_last, training=False)[0, :, :, 0]

        signature = [tf.TensorSpec(shape, tf.float32)]
        self._block = tf.function(probability, input_signature=signature).get_concrete_function()

    def __call__(self, features: FloatArray) -> tuple[ByteArray, FloatArray]:
        """Classify; see `classify`."""
        if features.ndim != 3 or features.shape[0] != self._features:
            raise ModelError(
                f"features {features.shape} do not fit the network, which takes "
                f"({self._features}, row, col)"
            )
        water = np.full(features.shape[1:], NOT_OBSERVED, np.uint8)
        probability = np.full(features.shape[1:], np.nan, np.float32)
        rows, cols = (size - 2 * self.halo for size in features.shape[1:])
        given = self._lanes.get()
        try:
            for row in range(0, rows, BLOCK[0]):
                for col in range(0, cols, BLOCK[1]):
                    self._fill(given, water, probability, features, row, col)
        finally:
            self._lanes.put(given)
        return water, probability

    def _fill(
        self,
        given: FloatArray,
        water: ByteArray,
        probability: FloatArray,
        features: FloatArray,
        row: int,
        col: int,
    ) -> None:
        """Put one block into the results; `(row, col)` is the corner of its windows."""
        halo = self.halo
        part = features[:, row : row + given.shape[1], col : col + given.shape[2]]
        rows, cols = part.shape[1:]
        given[:, :rows, :cols] = part
        given[:, rows:], given[:, :, cols:] = 0, 0
        whole = None
        # A sum is finite only where all of its terms are, and takes a tenth of the time.
        with np.errstate(over="ignore", invalid="ignore"):
            total = given.sum()
        if not np.isfinite(total):
            observed = np.asarray(np.isfinite(given).all(axis=0))
            far = halo - self.needed
            near = observed[far : rows - far, far : cols - far]
            whole = _windows_whole(near, self.needed)
            if not whole.any():
                return
            if self._fills is None:
                np.copyto(given, 0, where=~observed)
            else:
                np.copyto(given, self._fills, where=~np.isfinite(given))
        height, width = rows - 2 * halo, cols - 2 * halo
        tensor = tf.experimental.dlpack.from_dlpack(given.__dlpack__())
        said = self._block(tensor).numpy()[:height, :width]
        into = np.s_[row + halo : row + halo + height, col + halo : col + halo + width]
        classes = (said >= 0.5).view(np.uint8)
        if whole is None:
            water[into], probability[into] = classes, said
        else:
            water[into][whole], probability[into][whole] = classes[whole], said[whole]


def classify(network: Any, features: FloatArray) -> tuple[ByteArray, FloatArray]:
    """Classify every pixel whose window was observed, as far as it must be (`network.needed`).

    Args:
        network: Keras model, `(n, row, col, feature)` -> `(n, row - 2 halo, col - 2 halo, class)`,
            class 0 = water.
        features: `float32 (feature, row, col)`, NaN where not observed.

    Returns:
        Classes, `uint8 (row, col)`: 0 land, 1 water, 255 not classified; and the probability of
        water, `float32 (row, col)`, NaN where not classified. A border of `halo` pixels never is.

    Raises:
        ModelError: Features that the network does not take.
    """
    return Classifier(network)(features)


def _shape_of(network: Any) -> tuple[int, int]:
    """Halo and number of features of a network.

    Raises:
        ModelError: It cannot be run over rasters of any size, block by block.
    """
    around, bands = halo(network), int(network.input_shape[-1])
    classes = network.output_shape[-1]
    if classes not in (1, 2):
        raise ModelError(
            f"the network gives {classes} channels; a map takes a softmax over (water, land), or "
            "one sigmoid"
        )
    check_cuts(network, bands, around)
    return around, bands


def _aligned(shape: tuple[int, ...]) -> FloatArray:
    """Zeros that TensorFlow takes as they lie, without a copy: from a multiple of 64 bytes."""
    size = int(np.prod(shape)) * 4
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(np.float32).reshape(shape)


def _windows_whole(observed: npt.NDArray[Any], halo: int) -> npt.NDArray[Any]:
    """Whether all pixels of each pixel's window are observed, `(row - 2 halo, col - 2 halo)`."""
    size = 2 * halo + 1
    rows, cols = (length - 2 * halo for length in observed.shape)
    down = np.logical_and.reduce([observed[i : i + rows] for i in range(size)])
    return np.asarray(np.logical_and.reduce([down[:, i : i + cols] for i in range(size)]))
