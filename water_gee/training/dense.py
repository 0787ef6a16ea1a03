"""Training on whole windows: one step, one epoch, and what a network says of a tile.

The loss is softmax cross-entropy, weighted pixel by pixel. Steps draw from a generator made of the
seed and the epoch's number, so that a run taken up after any epoch goes on as if it had never
stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee.training.backend import keras, make_repeatable, tf
from water_gee.training.network import pixel_cnn
from water_gee.training.patches import MARGIN, Crops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.training.patches import FloatArray, Samples

LEARNING_RATE = 2e-3
FINAL_LEARNING_RATE = 0.02
"""The cosine ends at this share of the first rate."""

STRIP = 126
"""Rows classified at once: 132 with the margin, which keeps a strip in cache."""


class Trainer:
    """A network in training, with its optimizer.

    Args:
        bands: Features a pixel.
        seed: Of weights and samples.
        steps: In all, for the learning rate's cosine.
        rate: The first learning rate.
    """

    def __init__(self, bands: int, seed: int, steps: int, rate: float = LEARNING_RATE) -> None:
        make_repeatable(seed)
        self.seed = seed
        self.network = pixel_cnn(bands, bands)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate * 0.1,
            max(1, steps - 10),
            alpha=FINAL_LEARNING_RATE,
            warmup_target=rate,
            warmup_steps=min(10, max(1, steps // 10)),
        )
        self.optimizer = keras.optimizers.Adam(schedule)  # pyright: ignore[reportArgumentType]
        self.optimizer.build(self.network.trainable_variables)
        self._step = tf.function(self._one_step, reduce_retracing=True)
        self._forward = tf.function(
            lambda features: self.network(features, training=False), reduce_retracing=True
        )

    def _one_step(self, features: tf.Tensor, water: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            probability = tf.clip_by_value(
                self.network(features, training=True)[..., 0], 1e-6, 1 - 1e-6
            )
            each = -(water * tf.math.log(probability) + (1 - water) * tf.math.log(1 - probability))
            loss = tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
        gradients = tape.gradient(loss, self.network.trainable_variables)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def epoch(self, tiles: Sequence[Samples], number: int, steps: int) -> float:
        """Train for some steps and return the mean loss."""
        generator = np.random.default_rng([self.seed, number])
        crops = Crops(tiles)
        losses = [float(self._step(*crops.draw(generator))) for _ in range(steps)]
        return float(np.mean(losses))

    def probability(self, tile: Samples) -> FloatArray:
        """Return the probability of water, float32 `(row, col)` without the margin."""
        height, width = tile.weight.shape
        result = np.empty((height, width), np.float32)
        for top in range(0, height, STRIP):
            rows = min(STRIP, height - top)
            window = tile.features[None, top : top + rows + 2 * MARGIN]
            result[top : top + rows] = self._forward(window).numpy()[0, :, :, 0]
        return result

    def state(self) -> list[npt.NDArray[np.generic]]:
        """Return every number training depends on: weights, then the optimizer's variables."""
        variables = [*self.network.variables, *self.optimizer.variables]
        return [np.array(variable.numpy()) for variable in variables]

    def restore(self, state: Sequence[npt.NDArray[np.generic]]) -> None:
        """Go back to a state."""
        variables = [*self.network.variables, *self.optimizer.variables]
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
