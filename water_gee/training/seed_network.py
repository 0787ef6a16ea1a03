"""The network of the published correction: trained in one compiled loop, mapped whole.

A step is a step of `model.fit` on 16 gathered patches, number for number up to rounding: the same
loss, the same Adam, the same order. But a thousand steps run in one compiled loop that reads its
patches from the tile, with the convolutions of 7 x 7 windows as products of matrices.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.training.backend import keras, tf
from water_gee.training.network import HALO, pixel_cnn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from water_gee.training.methods import FloatArray

    Weights = list[FloatArray]

BANDS = 7
"""That the network sees."""

CHUNK = 1024
"""Steps a call of the compiled loop; an epoch of a full tile has about 6,000."""

# Keras' own defaults of Adam.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

_STRIP = 126
"""Rows mapped at once."""

_SIDE = 2 * HALO + 1


def fresh_weights(shapes: Sequence[tuple[int, ...]], generator: np.random.Generator) -> Weights:
    """Draw a network's first weights as Keras does: Glorot uniform kernels, biases 0."""
    weights: Weights = []
    for shape in shapes:
        if len(shape) == 1:
            weights.append(np.zeros(shape, np.float32))
            continue
        glorot = keras.initializers.GlorotUniform(seed=int(generator.integers(2**31)))
        weights.append(np.asarray(glorot(shape), np.float32))
    return weights


def _as_columns(x: Any) -> Any:
    """The 3 x 3 windows of `(n, h, w, band)`, `(n * (h - 2) * (w - 2), 9 * band)`."""
    height, width, bands = (int(size) for size in (x.shape[1] - 2, x.shape[2] - 2, x.shape[3]))
    shifted = [x[:, row : row + height, col : col + width] for row in range(3) for col in range(3)]
    return tf.reshape(tf.concat(shifted, axis=-1), (-1, 9 * bands))


def _logits(weights: Sequence[Any], x: Any) -> Any:
    """`pixel_cnn` on `(n, 7, 7, band)` windows before its softmax, as products of matrices."""
    bands = x.shape[3]

    def layer(number: int, columns: Any) -> Any:
        kernel, bias = weights[2 * number], weights[2 * number + 1]
        return columns @ tf.reshape(kernel, (-1, kernel.shape[-1])) + bias

    first = tf.reshape(tf.nn.relu(layer(0, _as_columns(x))), (-1, 5, 5, weights[0].shape[-1]))
    second = tf.reshape(tf.nn.relu(layer(1, _as_columns(first))), (-1, 9, weights[2].shape[-1]))
    joined = tf.concat([second, tf.reshape(x[:, 2:5, 2:5], (-1, 9, bands))], axis=-1)
    third = tf.nn.relu(layer(2, tf.reshape(joined, (-1, 9 * (weights[2].shape[-1] + bands)))))
    hidden = tf.nn.relu(layer(3, tf.concat([third, x[:, 3, 3]], axis=-1)))
    return layer(4, hidden)


@functools.cache
def compiled_steps(height: int, width: int, batch: int) -> Callable[..., Any]:
    """The loop of training steps over a tile of this size, compiled at its first call.

    Returns:
        A function of the tile's bands `(height * width, 7)`, Adam's rate, the state (weights and
        both moments), the steps done before, the steps to do, and for each of `CHUNK` steps the
        samples' corners `(step, batch)`, targets `(step, batch, 2)` and weights `(step, batch)`. It
        returns the state.
    """
    reach = np.arange(_SIDE, dtype=np.int32)
    window = (reach[:, None] * width + reach).ravel()

    def gradients(weights: Any, tile: Any, corner: Any, target: Any, weight: Any) -> Any:
        pixels = tf.gather(tile, corner[:, None] + window)
        x = tf.reshape(pixels, (batch, _SIDE, _SIDE, BANDS))
        with tf.GradientTape() as tape:
            tape.watch(weights)
            # As Keras computes it of a softmax: the gradient is probability - target, also where
            # there is no target.
            each = tf.nn.softmax_cross_entropy_with_logits(target, _logits(weights, x))
            loss = tf.reduce_sum(each * weight)
        return tape.gradient(loss, weights)

    def step(number: Any, rate: Any, state: Any, tile: Any, sample: Any) -> Any:
        weights, first, second = state
        slope = gradients(weights, tile, *sample)
        count = tf.cast(number + 1, tf.float32)
        alpha = rate * tf.sqrt(1 - tf.pow(_BETA_2, count)) / (1 - tf.pow(_BETA_1, count))
        first = [m + (g - m) * (1 - _BETA_1) for m, g in zip(first, slope, strict=True)]
        second = [v + (g * g - v) * (1 - _BETA_2) for v, g in zip(second, slope, strict=True)]
        weights = [
            w - m * alpha / (tf.sqrt(v) + _EPSILON)
            for w, m, v in zip(weights, first, second, strict=True)
        ]
        return weights, first, second

    def steps(tile: Any, rate: Any, state: Any, done: Any, count: Any, samples: Any) -> Any:
        def body(number: Any, state: Any) -> Any:
            sample = [each[number] for each in samples]
            return number + 1, step(done + number, rate, state, tile, sample)

        return tf.while_loop(lambda number, _: number < count, body, (0, state))[1]

    compiled = tf.function(steps, jit_compile=True)

    def on_processor(tile: Any, *rest: Any) -> Any:
        # Steps this small are slower on an accelerator.
        with tf.device("/CPU:0"):
            return compiled(tf.ensure_shape(tile, (height * width, BANDS)), *rest)

    return on_processor


def train_network(
    bands: FloatArray,
    corner: npt.NDArray[np.int32],
    target: FloatArray,
    weights: Weights,
    epochs: int,
    generator: np.random.Generator,
    *,
    batch: int,
    rate: float,
) -> Weights:
    """Train a network from its first weights, in batches shuffled anew each epoch.

    The last batch of an epoch holds what is left, and its loss is the mean over that.

    Args:
        bands: A tile, float32 `(row, col, 7)`.
        corner: int32 `(sample,)`: upper left pixel of each sample's 7 x 7 window, counted through
            the flattened tile.
        target: float32 `(sample, 2)`: (1, 0) water, (0, 1) land, (0, 0) none.
        weights: As `fresh_weights` draws them.
        epochs: How often all samples are seen.
        generator: Shuffles them.
        batch: Samples a step.
        rate: Of Adam.

    Returns:
        The trained weights, in the order of `get_weights()`.
    """
    height, width = bands.shape[:2]
    run = compiled_steps(height, width, batch)
    with tf.device("/CPU:0"):
        tile, speed = tf.constant(bands.reshape(-1, BANDS)), tf.constant(rate, tf.float32)
        first = [tf.constant(weight) for weight in weights]
        state = (first, [tf.zeros_like(w) for w in first], [tf.zeros_like(w) for w in first])
    done = 0
    for _ in range(epochs):
        order = generator.permutation(len(corner))
        for start in range(0, len(order), batch * CHUNK):
            chosen = order[start : start + batch * CHUNK]
            steps = -(-len(chosen) // batch)
            samples = _padded(corner[chosen], target[chosen], batch)
            state = run(tile, speed, state, tf.constant(done), tf.constant(steps), samples)
            done += steps
    return [weight.numpy() for weight in state[0]]


def _padded(corner: npt.NDArray[np.int32], target: FloatArray, batch: int) -> tuple[Any, Any, Any]:
    """A chunk's samples as full batches; what fills them up has weight 0."""
    size, count = batch * CHUNK, len(corner)
    corners, targets = np.zeros(size, np.int32), np.zeros((size, 2), np.float32)
    weight = np.zeros(size, np.float32)
    corners[:count], targets[:count] = corner, target
    whole = count - count % batch
    weight[:whole] = 1 / batch
    weight[whole:count] = 1 / max(1, count - whole)
    shape = (CHUNK, batch)
    return (
        tf.constant(corners.reshape(shape)),
        tf.constant(targets.reshape(*shape, 2)),
        tf.constant(weight.reshape(shape)),
    )


class Mapper:
    """A network that takes any weights and maps whole tiles; one serves a process."""

    def __init__(self) -> None:
        self.network = pixel_cnn(BANDS, BANDS)
        self.shapes = [weight.shape for weight in self.network.get_weights()]
        self._lock = threading.Lock()
        self._forward: Any = tf.function(
            lambda x: self.network(x, training=False),
            input_signature=[tf.TensorSpec((1, None, None, BANDS), tf.float32)],
        )

    def probability(self, weights: Weights, bands: FloatArray) -> FloatArray:
        """Both classes' probabilities wherever a window fits, float32 `(row - 6, col - 6, 2)`."""
        height, width = (size - 2 * HALO for size in bands.shape[:2])
        result = np.empty((height, width, 2), np.float32)
        with self._lock:
            self.network.set_weights(weights)
            for top in range(0, height, _STRIP):
                rows = min(_STRIP, height - top)
                strip = bands[np.newaxis, top : top + rows + 2 * HALO]
                result[top : top + rows] = self._forward(strip).numpy()[0]
        return result


@functools.cache
def mapper() -> Mapper:
    """The process' one."""
    return Mapper()
