"""What every network must be, whoever wrote it: windows with a centre, and one softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import ModelError
from water_gee.training.backend import keras
from water_gee.training.scaling import LAYER

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]

HALO = 3
"""Pixels that `pixel_cnn` loses at each side: it sees 7 x 7."""

WATER, LAND = 0, 1
"""Output channels."""

BANDS = 8
"""Features a pixel, in the order of `recipe.FEATURES`."""

MAX_HALO = 64
"""The largest halo taken, 129 x 129 pixels: maps are made in blocks of 256, of which a larger one
would more than double the work."""

_SIDES = (301, 302)
"""Rows and columns of two rasters that a network is asked about; what one side hides, as strides
do, the other shows."""

_SAME = 1e-4
"""Probabilities of one pixel that differ by more, from one cut of the raster to another, are not
rounding."""

_TRIES = 3
"""Random changes of a row before it is taken for unseen."""

_AXES = 4
"""Of a tensor: `(n, row, col, channel)`."""

_CODE = {"Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"}
"""Stock layers that hold code, which Keras does not load unless told to trust it."""


def halo(network: Any) -> int:
    """Pixels that a network needs around each pixel, on every side alike.

    Read off the network itself: how many rows and columns less it gives than it is given.

    Args:
        network: A Keras model, `(n, row, col, band)` -> `(n, row - 2 halo, col - 2 halo, class)`.

    Raises:
        ModelError: It does not keep the pixels' size, loses them unevenly, or needs too many.
    """
    (rows, cols), other = (_lost(network, side) for side in _SIDES)
    if other != (rows, cols) or rows != cols or rows < 0 or rows % 2:
        made = ", and ".join(
            f"{side - down} x {side - across} pixels of {side} x {side}"
            for side, (down, across) in zip(_SIDES, ((rows, cols), other), strict=True)
        )
        raise ModelError(
            f"the network makes {made}; it must lose as many on every side, whatever the size: "
            "no strides, odd kernels"
        )
    if rows // 2 > MAX_HALO:
        raise ModelError(
            f"the network sees {rows + 1} x {rows + 1} pixels; at most "
            f"{2 * MAX_HALO + 1} x {2 * MAX_HALO + 1} can be mapped"
        )
    return int(rows // 2)


def neutral(network: Any) -> FloatArray | None:
    """What stands for an unobserved pixel far from the one that is classified, feature by feature.

    A network saved by `scaling.finish` begins with a layer that scales; the values that it makes 0
    are those that were put in place of unobserved pixels in training.

    Returns:
        float32 `(band,)`; None of any other network: it knows of no such values.
    """
    layers = getattr(network, "layers", [])
    if len(layers) != len(("features", LAYER, "network")) or layers[1].name != LAYER:
        return None
    if not isinstance(layers[1], keras.layers.Rescaling):
        return None
    slope, offset = (np.asarray(part, np.float64) for part in (layers[1].scale, layers[1].offset))
    bands = int(network.input_shape[-1])
    return np.broadcast_to(-offset / slope, (bands,)).astype(np.float32)


def needed(network: Any) -> int:
    """Pixels around each pixel that must be observed for it to be classified.

    All that the network sees; or 3, where it sees farther and has `neutral` values for the rest.

    Raises:
        ModelError: As `halo`.
    """
    around = halo(network)
    return around if neutral(network) is None else min(around, HALO)


def _lost(network: Any, side: int) -> tuple[int, int]:
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != _AXES:
        raise ModelError("the network does not take one input (n, row, col, band)")
    try:
        made = network.compute_output_shape((1, side, side, shape[-1]))
        rows, cols = int(made[1]), int(made[2])
    except Exception as error:  # Keras raises whatever its parts raise
        raise ModelError(
            f"the network takes no {side} x {side} pixels ({first_line(error)}); "
            "it must take any size"
        ) from error
    return side - rows, side - cols


def check(network: Any, bands: int = BANDS, name: str = "") -> int:
    """See that a network can be trained, mapped and saved; returns its halo.

    What cannot be read off it is measured: pixels of one raster are classified in two cuts of it,
    and the answers must be the same; and what the answer depends on must have the pixel in its
    middle. This also finds padding of any kind, and layers that look at the whole image.

    Args:
        network: What a builder made.
        bands: Features a pixel.
        name: For messages.

    Raises:
        ModelError: It takes other bands, has other outputs than a softmax over (water, land), has
            parts that no Keras loads without the code of them, or does not give every pixel the
            same answer however the raster is cut.
    """
    try:
        _check_shapes(network, bands)
        _check_parts(network)
        around = halo(network)
        _check_measured(network, bands, around)
    except ModelError as error:
        if name:
            raise ModelError(f"network {name!r}: {error}") from error
        raise
    return around


def _check_shapes(network: Any, bands: int) -> None:
    if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
        raise ModelError(
            f"the network is no Keras model, but {type(network).__name__}; "
            "give keras.Model(inputs, outputs)"
        )
    given, made = network.input_shape, network.output_shape
    if not isinstance(given, tuple) or not isinstance(made, tuple):
        raise ModelError("the network has several inputs or outputs; one of each is needed")
    if len(given) != _AXES or given[1:3] != (None, None):
        raise ModelError(
            f"the network takes {given}; its input must be keras.Input((None, None, {bands}))"
        )
    if given[-1] != bands:
        raise ModelError(f"the network takes {given[-1]} bands, not {bands}")
    if len(made) != _AXES or made[-1] != len((WATER, LAND)):
        raise ModelError(
            f"the network gives {made}; its output must be a softmax of 2 channels, water and "
            "land, at every pixel"
        )


def _check_parts(network: Any) -> None:
    for part in _parts(network):
        if not type(part).__module__.startswith("keras.src.") or type(part).__name__ in _CODE:
            raise ModelError(
                f"the network's part {part.name!r} ({type(part).__name__}) is code of one's own, "
                "which a saved model does not carry; use stock layers of Keras"
            )


def _parts(network: Any) -> Iterator[Any]:
    """Layers and functions, also those of models inside it."""
    for part in getattr(network, "operations", network.layers):
        if isinstance(part, keras.Model):
            yield from _parts(part)
        else:
            yield part


def _check_measured(network: Any, bands: int, around: int) -> None:
    """See that answers are probabilities, do not depend on cuts, and belong to the middle."""
    whole = check_cuts(network, bands, around)
    total = whole.sum(axis=-1)
    if not np.allclose(total, 1, atol=_SAME) or whole.min() < 0:
        raise ModelError(
            f"the network's channels sum to {float(total.flat[0]):.4g} at a pixel; its "
            "last layer must be a softmax over water and land"
        )
    size = 2 * around + 1
    _check_centred(network, _noise((1, size, size, bands)))


def check_cuts(network: Any, bands: int, around: int) -> FloatArray:
    """Classify a small raster whole and in cuts of one window: what padding would show.

    Args:
        network: Takes any size.
        bands: Features a pixel.
        around: Its halo.

    Returns:
        What it says of the whole, `float32 (1, row, col, class)`.

    Raises:
        ModelError: It says something else of the cuts.
    """
    size = 2 * around + 1
    values = _noise((1, size + 3, size + 4, bands))
    whole = _said(network, values)
    for row, col in ((0, 0), (1, 2), (3, 4)):
        cut = _said(network, values[:, row : row + size, col : col + size])
        if not np.allclose(cut[0, 0, 0], whole[0, row, col], atol=_SAME):
            raise ModelError(
                "the network gives a pixel another answer where the raster is cut otherwise; use "
                "padding='valid', and no layer that looks at the whole image"
            )
    return whole


def _noise(shape: tuple[int, ...]) -> FloatArray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _check_centred(network: Any, values: FloatArray) -> None:
    """Refuse a window that reaches farther on one side than on the other."""
    unseen = [_unseen(network, values, axis, end) for axis in (1, 2) for end in (False, True)]
    if unseen[0] != unseen[1] or unseen[2] != unseen[3]:
        raise ModelError(
            f"the network's window reaches {unseen} pixels less than the {values.shape[1]} x "
            f"{values.shape[2]} that it takes (top, bottom, left, right), so that it has no "
            "centre; crop both sides alike"
        )


def _unseen(network: Any, values: FloatArray, axis: int, end: bool) -> int:
    """Rows, or columns, at one side of a window that change nothing."""
    length = int(values.shape[axis])
    before = _said(network, values)
    generator = np.random.default_rng(1)
    for depth in range(length):
        for _ in range(_TRIES):
            changed = np.moveaxis(values.copy(), axis, 0)
            line = changed[length - 1 - depth if end else depth]
            line += 10 * generator.normal(size=line.shape).astype(np.float32)
            if (_said(network, np.moveaxis(changed, 0, axis)) != before).any():
                return depth
    return length


def _said(network: Any, values: FloatArray) -> FloatArray:
    return np.asarray(network(values, training=False), np.float32)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, shortened; or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
