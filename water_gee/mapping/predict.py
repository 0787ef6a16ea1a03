"""A trained network over rasters of any size: classes and probabilities without seams.

The network runs in full convolution over blocks of one fixed shape, each with the exact halo of its
window. So a pixel's probability does not depend, bit by bit, on how the raster was cut.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from water_gee import raster
from water_gee._version import __version__
from water_gee.errors import ModelError
from water_gee.files import remove_leftovers
from water_gee.imagery.store import COLORS, NOT_OBSERVED
from water_gee.mapping.sources import opened
from water_gee.training.backend import tf
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from water_gee.mapping.sources import Source
    from water_gee.windows import Padded

    FloatArray = npt.NDArray[np.float32]
    ByteArray = npt.NDArray[np.uint8]

BLOCK = 256
"""Side of the blocks that the network is given, halo not counted, in pixels."""

WINDOW = 1024
"""Side of the windows that are read and written, in pixels."""


class Classifier:
    """A network ready to run over features of any size.

    Attributes:
        halo: Pixels that the network needs around each pixel.

    Raises:
        ModelError: A network that does not keep the pixels' size, or loses them unevenly.
    """

    def __init__(self, network: Any) -> None:
        self.halo, self._features = _shape_of(network)
        side = BLOCK + 2 * self.halo

        def probability(features: Any) -> Any:
            channels_last = tf.transpose(features, (1, 2, 0))[tf.newaxis]
            return network(channels_last, training=False)[0, :, :, 0]

        signature = [tf.TensorSpec((self._features, side, side), tf.float32)]
        self._block = tf.function(probability, input_signature=signature)

    def __call__(self, features: FloatArray) -> tuple[ByteArray, FloatArray]:
        """Classify; see `classify`."""
        if features.ndim != 3 or features.shape[0] != self._features:
            raise ModelError(
                f"features {features.shape} do not fit the network, which takes "
                f"({self._features}, row, col)"
            )
        observed = np.asarray(np.isfinite(features).all(axis=0))
        filled = np.where(observed, features, np.float32(0))
        probability = np.full(observed.shape, np.nan, np.float32)
        rows, cols = (size - 2 * self.halo for size in observed.shape)
        for row in range(0, rows, BLOCK):
            for col in range(0, cols, BLOCK):
                self._fill(probability, filled, observed, row, col)
        water = np.where(probability >= 0.5, np.uint8(1), np.uint8(0))
        water[np.isnan(probability)] = NOT_OBSERVED
        return water, probability

    def _fill(
        self, out: FloatArray, filled: FloatArray, observed: npt.NDArray[Any], row: int, col: int
    ) -> None:
        """Put one block into `out`; `(row, col)` is the corner of its windows."""
        side, halo = BLOCK + 2 * self.halo, self.halo
        around = (slice(row, row + side), slice(col, col + side))
        whole = _windows_whole(observed[around], halo)
        if not whole.any():
            return
        given = filled[:, *around]
        block = np.zeros((self._features, side, side), np.float32)
        block[:, : given.shape[1], : given.shape[2]] = given
        height, width = whole.shape
        said = self._block(tf.constant(block)).numpy()[:height, :width]
        top, left = row + halo, col + halo
        out[top : top + height, left : left + width] = np.where(whole, said, np.float32("nan"))


def classify(network: Any, features: FloatArray) -> tuple[ByteArray, FloatArray]:
    """Classify every pixel whose whole window was observed.

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


def predict(
    model: TrainedModel | Path | str,
    source: Source,
    out: Path | str,
    *,
    probability: bool = False,
    progress: bool = True,
) -> Path:
    """Map water over local rasters.

    Args:
        model: A trained model, or its file.
        source: A tile store or its folder, of which the cells are mapped as one; a GeoTIFF with one
            float band for each feature of the model's recipe; or several on one grid.
        out: The map, a Cloud-Optimized GeoTIFF: uint8, 0 land, 1 water, 255 not observed, with a
            colour table. It appears whole or not at all.
        probability: Whether to write the probability of water beside it, float32, NaN where not
            observed, as `OUT_probability.tif`.
        progress: Whether to draw a bar.

    Returns:
        The map's path.

    Raises:
        ModelError: No model there.
        RasterError: A source that cannot be read or has other bands, or a full disk.
        RecipeMismatchError: A store of another recipe.
        StoreError: No store there, or an empty one.
    """
    trained = resolve(model)
    target = Path(out)
    classifier = Classifier(trained.network)
    tags = {
        "water_gee_model": trained.digest(),
        "water_gee_recipe": json.dumps(trained.recipe.to_dict(), sort_keys=True),
        "water_gee_version": __version__,
    }
    outputs = [
        raster.Output(target, "uint8", NOT_OBSERVED, ("water",), tags, COLORS, overviews="mode")
    ]
    if probability:
        beside, names = probability_path(target), ("probability",)
        outputs.append(
            raster.Output(beside, "float32", float("nan"), names, tags, overviews="average")
        )
    remove_leftovers(target.parent)
    with opened(source, trained.recipe) as features:

        def function(values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
            given = values.astype(np.float32)
            if features.nodata is not None:
                given[values == features.nodata] = np.nan
            return list(classifier(given)[: len(outputs)])

        raster.map_windows(
            features.path,
            outputs,
            function,
            size=WINDOW,
            halo=classifier.halo,
            fill=float("nan"),
            within=features.within,
            progress=_bar if progress else None,
        )
    return target


def probability_path(out: Path | str) -> Path:
    """Where `predict` writes probabilities: beside the map, `OUT_probability.tif`."""
    target = Path(out)
    return target.with_name(f"{target.stem}_probability.tif")


def _shape_of(network: Any) -> tuple[int, int]:
    """Halo and number of features of a network."""
    bands = network.input_shape[-1]
    side = 101
    given, made = (1, side, side, bands), network.compute_output_shape((1, side, side, bands))
    lost = (given[1] - made[1], given[2] - made[2])
    if lost[0] != lost[1] or lost[0] % 2 or lost[0] < 0:
        raise ModelError(
            f"the network makes {made[1:3]} pixels of {given[1:3]}; they must be lost evenly"
        )
    return lost[0] // 2, int(bands)


def _windows_whole(observed: npt.NDArray[Any], halo: int) -> npt.NDArray[Any]:
    """Whether all pixels of each pixel's window are observed, `(row - 2 halo, col - 2 halo)`."""
    size = 2 * halo + 1
    rows, cols = (length - 2 * halo for length in observed.shape)
    down = np.logical_and.reduce([observed[i : i + rows] for i in range(size)])
    return np.asarray(np.logical_and.reduce([down[:, i : i + cols] for i in range(size)]))


def _bar(steps: Iterator[Padded], total: int) -> Iterator[Padded]:
    return iter(tqdm(steps, total=total, desc="map", unit="window"))
