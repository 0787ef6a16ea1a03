"""Training a network: one step in either of two ways, one epoch, and what it says of a tile.

The loss is softmax cross-entropy, weighted pixel by pixel, over the chosen pixels of a batch of
windows. Dense runs the network over whole windows; patches runs it over the chosen pixels' own
windows, cut out on the fly. Both are the same sum. Dense costs the same however few pixels are
chosen, patches as much as there are pixels.

Steps draw from a generator made of the seed and the epoch's number, so that a run taken up after
any epoch goes on as if it had never stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from water_gee.errors import TrainingError
from water_gee.training import network as networks
from water_gee.training.augment import Augmentation
from water_gee.training.backend import keras, make_repeatable, tf
from water_gee.training.sampling import RATE, Draw, Place, Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.training.patches import FloatArray, Samples
    from water_gee.training.sampling import Batch

Way = Literal["auto", "dense", "patches"]
WAYS = ("auto", "dense", "patches")

Precision = Literal["float32", "bfloat16"]
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

MEMORY = 0.99
"""How much the optimizer keeps of its mean square gradient: it looks back some 100 steps, a good
part of a run. With Nesterov's step (Nadam: T. Dozat 2016) at 8e-3 a run reached a validation IoU of
0.984 after 390 and 450 steps (two seeds), with Adam at 16e-3 after 580 and 540."""

FINAL_LEARNING_RATE = 0.02
"""The cosine ends at this share of the first rate."""

PATCHES_BELOW = 0.1
"""Share of a window's pixels below which patches are faster: windows of 64 x 64 take 8.8 times as
many pixels a second as batches of 4,096 patches (2 cores), which have to be cut out besides."""

STRIP = 126
"""Rows classified at once: 132 with the margin, which keeps a strip in cache."""


class Trainer:
    """A network in training, with its optimizer.

    Args:
        bands: Features a pixel.
        seed: Of weights and samples.
        steps: In all, for the learning rate's cosine.
        rate: The first learning rate.
        network: Its name, see `network.build`.
        way: `dense`, `patches`, or `auto`: what is faster for the share of pixels chosen.
        precision: `bfloat16` computes most of it in 16 bits, which graphics processors do faster
            (and 2 cores 2.5 times slower, measured); weights, output and loss stay float32.
        sampling: How pixels are chosen, where tiles are given.
        augmentation: What is changed about them, where tiles are given.
    """

    def __init__(
        self,
        bands: int,
        seed: int,
        steps: int,
        rate: float = RATE,
        *,
        network: str = networks.DEFAULT,
        way: Way = "auto",
        precision: Precision = "float32",
        sampling: Sampling | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        make_repeatable(seed)
        self.seed = seed
        self.way = way
        self.sampling = sampling or Sampling()
        self.augmentation = augmentation or Augmentation()
        self.network = networks.build(network, bands)
        _compute_in(self.network, PRECISIONS[precision])
        self.halo = networks.halo(self.network)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate * 0.1,
            max(1, steps - 10),
            alpha=FINAL_LEARNING_RATE,
            warmup_target=rate,
            warmup_steps=min(10, max(1, steps // 10)),
        )
        self._schedule = schedule
        rated: Any = schedule
        self.optimizer = keras.optimizers.Nadam(rated, beta_2=MEMORY)
        self.optimizer.build(self.network.trainable_variables)
        self._step = tf.function(self._one_step, reduce_retracing=True)
        self._forward = tf.function(
            lambda features: self.network(features, training=False), reduce_retracing=True
        )

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        now: Any = self._schedule(self.optimizer.iterations)
        return float(now)

    def _loss(self, features: Any, water: Any, weight: Any, training: bool) -> Any:
        said = tf.cast(self.network(features, training=training)[..., 0], tf.float32)
        probability = tf.clip_by_value(said, 1e-6, 1 - 1e-6)
        each = -(water * tf.math.log(probability) + (1 - water) * tf.math.log(1 - probability))
        return tf.reduce_sum(each * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)

    def _one_step(self, features: tf.Tensor, water: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = self._loss(features, water, weight, training=True)
        gradients = tape.gradient(loss, self.network.trainable_variables)
        self.optimizer.apply(gradients, self.network.trainable_variables)
        return loss

    def step(self, batch: Batch) -> float:
        """Learn from a batch, in the way that was chosen or is faster, and return the loss."""
        side = batch.water.shape[1]
        few = self.way == "auto" and batch.share < PATCHES_BELOW
        if side > 1 and (few or self.way == "patches"):
            batch = batch.patches()
        return float(self._step(batch.features, batch.water, batch.weight))

    def draws(self, places: Sequence[Place]) -> Draw:
        """What steps are drawn with."""
        return Draw(places, self.sampling, self.augmentation, self.halo)

    def epoch(self, tiles: Sequence[Samples], number: int, steps: int) -> float:
        """Train for some steps on tiles in memory and return the mean loss."""
        alone = self.sampling.window == 1 and self.sampling.shore > 1
        stratified = self.sampling.stratified
        places = [Place.of(tile, stratified=stratified, shore=alone) for tile in tiles]
        return self.learn(places, number, steps)

    def learn(self, places: Sequence[Place], number: int, steps: int) -> float:
        """Train for some steps, the samples of the tiles found already; return the mean loss."""
        generator = np.random.default_rng([self.seed, number])
        draw = self.draws(places)
        return float(np.mean([self.step(draw.batch(generator)) for _ in range(steps)]))

    def probability(self, tile: Samples) -> FloatArray:
        """Return the probability of water, float32 `(row, col)` without the margin."""
        height, width = tile.weight.shape
        extra = tile.margin - self.halo
        result = np.empty((height, width), np.float32)
        for top in range(0, height, STRIP):
            rows = min(STRIP, height - top)
            seen = slice(top + extra, top + extra + rows + 2 * self.halo)
            across = slice(extra, extra + width + 2 * self.halo)
            window = tile.features[None, seen, across]
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

    def finished(self) -> keras.Model:
        """The network, computing in float32 from here on."""
        _compute_in(self.network, "float32")
        return self.network


def check_way(way: str, precision: str) -> None:
    """Refuse ways and precisions that there are not.

    Raises:
        TrainingError: It is neither of them.
    """
    if way not in WAYS:
        raise TrainingError(f"way must be one of {', '.join(WAYS)}, not {way!r}")
    if precision not in PRECISIONS:
        raise TrainingError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")


def _compute_in(network: keras.Model, policy: str) -> None:
    """Let all layers but the last compute in a precision: 8 bits cannot tell 0.998 from 1."""
    for layer in network.layers[:-1]:
        layer.dtype_policy = policy
