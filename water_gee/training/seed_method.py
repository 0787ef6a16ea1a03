"""The published correction of labels, tile by tile, for comparison.

Each tile with more than 100 QA-water pixels gets three networks, one after another. The first
learns from the QA label, each other one from what its predecessor is sure of; what the third calls
water is the tile's label. Seven bands go in (Blue, Green, Red, NIR, NDVI, mNDWI, elevation in
metres / 4000), 7 x 7 pixels a sample, as many samples of land as of water; batches of 16, Adam at
1e-5, 30, 5 and 5 epochs. Sure water has a probability above 0.95 and more than five of its seven
bands within three standard deviations of the mean of all such pixels.

The arithmetic is that of `model.fit` on gathered patches, step by step, but thousands of steps run
in one compiled loop that reads its patches from the tile, and tiles are mapped whole. What the
description leaves open, and where its published code differs from it:
`docs/decisions/the-seed-method.md`.

Tiles do not depend on each other, nor on their order: a tile's label file is the unit that a
stopped run takes up again.
"""

from __future__ import annotations

import functools
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee import indices
from water_gee.imagery.recipe import FEATURES
from water_gee.metrics import NOT_OBSERVED
from water_gee.training.backend import keras, tf
from water_gee.training.methods import Correction
from water_gee.training.network import HALO, LAND, WATER, pixel_cnn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.training.methods import ByteArray, FloatArray, Tile, Tiles

    BoolArray = npt.NDArray[np.bool_]
    Weights = list[FloatArray]

BANDS = ("Blue", "Green", "Red", "NIR", "NDVI", "mNDWI", "elevation")
"""What the network sees, in order."""

FEWEST_WATER = 100
"""QA-water pixels, margin included, that a tile must exceed."""

EPOCHS = (30, 5, 5)
BATCH = 16
RATE = 1e-5

TOO_HIGH = 0.35
"""Elevation / 4000 from which a sample carries no target: 1,400 m."""

SURE = 0.95
"""Probability of water that a label of the next round must exceed."""

DEVIATIONS = 3.0
FEWEST_BANDS = 5
"""Bands within `DEVIATIONS` that a label of the next round must exceed."""

# Keras' own defaults of Adam.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7

_CHUNK = 1024
"""Steps a call of the compiled loop; an epoch of a full tile has about 6,000."""

_STRIP = 126
"""Rows mapped at once."""

_SIDE = 2 * HALO + 1


@dataclass(frozen=True, slots=True)
class Scene:
    """A tile as the method sees it.

    Attributes:
        bands: float32 `(row, col, 7)`, 0 where not observed.
        usable: bool `(row - 6, col - 6)`: the whole 7 x 7 window was observed.
        qa_water: bool `(row - 6, col - 6)`: usable, with the QA bit.
    """

    bands: FloatArray
    usable: BoolArray
    qa_water: BoolArray

    @classmethod
    def of(cls, tile: Tile) -> Scene:
        """Take from a tile what is needed."""
        named: dict[str, FloatArray] = dict(zip(FEATURES, tile.features, strict=True))
        named |= {"NDVI": indices.ndvi(named["NIR"], named["Red"])}
        stacked = np.stack([named[band] for band in BANDS], axis=-1).astype(np.float32)
        observed = np.isfinite(tile.features).all(axis=0) & (tile.qa != NOT_OBSERVED)
        windows = np.lib.stride_tricks.sliding_window_view(observed, (_SIDE, _SIDE))
        usable = np.asarray(windows.all(axis=(2, 3)))
        inner = tile.qa[HALO:-HALO, HALO:-HALO]
        return cls(np.where(observed[..., None], stacked, 0), usable, usable & (inner == 1))


@dataclass(frozen=True, slots=True)
class Drawn:
    """One round's samples.

    Attributes:
        corner: int32 `(sample,)`: upper left pixel of each window, counted through the flattened
            tile, margin included.
        target: float32 `(sample, 2)`: (1, 0) water, (0, 1) land, (0, 0) none.
    """

    corner: npt.NDArray[np.int32]
    target: FloatArray


def draw(scene: Scene, water: BoolArray, generator: np.random.Generator) -> Drawn:
    """Choose a round's samples: all water, and as much of the rest.

    Where water is half of the usable pixels or more, all the rest is taken.

    Args:
        scene: The tile.
        water: bool `(row - 6, col - 6)`, within `scene.usable`.
        generator: Chooses the land.
    """
    rest = np.flatnonzero(scene.usable & ~water)
    count = int(water.sum())
    if count < scene.usable.sum() / 2:
        rest = generator.choice(rest, count, replace=False)
    kind = np.zeros(water.shape, np.uint8)
    kind[water] = 1
    kind.flat[rest] = 2
    rows, cols = np.nonzero(kind)
    target = np.stack([kind[rows, cols] == 1, kind[rows, cols] == 2], axis=-1)
    high = scene.bands[rows + HALO, cols + HALO, BANDS.index("elevation")] >= TOO_HIGH
    target[high] = False
    corner = rows * scene.bands.shape[1] + cols
    return Drawn(corner.astype(np.int32), target.astype(np.float32))


def sure_water(scene: Scene, probability: FloatArray) -> BoolArray:
    """What a round is sure of: the label of the next.

    Args:
        scene: The tile.
        probability: Of water, float32 `(row - 6, col - 6)`.

    Returns:
        bool `(row - 6, col - 6)`.
    """
    likely = scene.usable & (probability > SURE)
    if likely.sum() < 2:
        return np.zeros_like(likely)
    inner = scene.bands[HALO:-HALO, HALO:-HALO].astype(np.float64)
    mean, deviation = inner[likely].mean(axis=0), inner[likely].std(axis=0, ddof=1)
    reach = DEVIATIONS * deviation
    inside = (inner > mean - reach) & (inner < mean + reach)
    return np.asarray(likely & (inside.sum(axis=-1) > FEWEST_BANDS))


# ---------------------------------------------------------------------- the network


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
        both moments), the steps done before, the steps to do, and for each of `_CHUNK` steps the
        samples' corners `(step, batch)`, targets `(step, batch, 2)` and weights `(step, batch)`. It
        returns the state.
    """
    reach = np.arange(_SIDE, dtype=np.int32)
    window = (reach[:, None] * width + reach).ravel()

    def gradients(weights: Any, tile: Any, corner: Any, target: Any, weight: Any) -> Any:
        pixels = tf.gather(tile, corner[:, None] + window)
        x = tf.reshape(pixels, (batch, _SIDE, _SIDE, len(BANDS)))
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
            return compiled(tf.ensure_shape(tile, (height * width, len(BANDS))), *rest)

    return on_processor


def train_network(
    scene: Scene,
    drawn: Drawn,
    weights: Weights,
    epochs: int,
    generator: np.random.Generator,
    *,
    batch: int = BATCH,
    rate: float = RATE,
) -> Weights:
    """Train a network from its first weights, in batches shuffled anew each epoch.

    The last batch of an epoch holds what is left, and its loss is the mean over that.

    Returns:
        The trained weights, in the order of `get_weights()`.
    """
    height, width, bands = scene.bands.shape
    run = compiled_steps(height, width, batch)
    with tf.device("/CPU:0"):
        tile, speed = tf.constant(scene.bands.reshape(-1, bands)), tf.constant(rate, tf.float32)
        first = [tf.constant(weight) for weight in weights]
        state = (first, [tf.zeros_like(w) for w in first], [tf.zeros_like(w) for w in first])
    done = 0
    for _ in range(epochs):
        order = generator.permutation(len(drawn.corner))
        for start in range(0, len(order), batch * _CHUNK):
            chosen = order[start : start + batch * _CHUNK]
            steps = -(-len(chosen) // batch)
            samples = _padded(drawn, chosen, batch)
            state = run(tile, speed, state, tf.constant(done), tf.constant(steps), samples)
            done += steps
    return [weight.numpy() for weight in state[0]]


def _padded(drawn: Drawn, chosen: npt.NDArray[np.int64], batch: int) -> tuple[Any, Any, Any]:
    """A chunk's samples as full batches; what fills them up has weight 0."""
    size, count = batch * _CHUNK, len(chosen)
    corner, target = np.zeros(size, np.int32), np.zeros((size, 2), np.float32)
    weight = np.zeros(size, np.float32)
    corner[:count], target[:count] = drawn.corner[chosen], drawn.target[chosen]
    whole = count - count % batch
    weight[:whole] = 1 / batch
    weight[whole:count] = 1 / max(1, count - whole)
    shape = (_CHUNK, batch)
    return (
        tf.constant(corner.reshape(shape)),
        tf.constant(target.reshape(*shape, 2)),
        tf.constant(weight.reshape(shape)),
    )


class Mapper:
    """A network that takes any weights and maps whole tiles; one serves a process."""

    def __init__(self) -> None:
        self.network = pixel_cnn(len(BANDS), len(BANDS))
        self.shapes = [weight.shape for weight in self.network.get_weights()]
        self._lock = threading.Lock()
        self._forward: Any = tf.function(
            lambda x: self.network(x, training=False),
            input_signature=[tf.TensorSpec((1, None, None, len(BANDS)), tf.float32)],
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


# ---------------------------------------------------------------------- the method


class SeedMethod:
    """The published correction, as a method of `denoise_labels`.

    Its figures are the published ones; others serve tests and experiments.

    Args:
        epochs: Of each round.
        batch: Samples a step.
        rate: Of Adam.
    """

    name = "seed"

    def __init__(
        self, epochs: Sequence[int] = EPOCHS, *, batch: int = BATCH, rate: float = RATE
    ) -> None:
        self.epochs = tuple(epochs)
        self.batch = batch
        self.rate = rate
        self._seed = 0

    def prepare(self, tiles: Tiles, *, seed: int, progress: bool) -> None:  # noqa: ARG002
        """Compile for the tiles' size; nothing is learned across tiles."""
        self._seed = seed
        if tiles.names:
            scene = Scene.of(tiles.read(tiles.names[0]))
            nothing = Drawn(np.zeros(1, np.int32), np.zeros((1, 2), np.float32))
            self._train(scene, nothing, 1, np.random.default_rng(seed))

    def correct(self, tile: Tile) -> Correction | None:
        """Correct one tile; from several threads at once if wanted.

        Pixels whose window was not observed whole, the margin among them, keep their QA label.
        A tile where a round is sure of no water, so that the next has nothing to learn from, keeps
        its QA label everywhere; its record says so.

        Args:
            tile: With all eight features.

        Returns:
            The label and a record: `rounds` (of each, `samples`, `without_target`, and `water`,
            the pixels it is sure of), `to_water` and `to_land` (shares of the observed pixels that
            changed), `trusted`, `reason` where it is not, `seconds`. None for a tile with too few
            QA-water pixels.
        """
        if int((tile.qa == 1).sum()) <= FEWEST_WATER:
            return None
        started = time.perf_counter()
        scene = Scene.of(tile)
        rounds: list[dict[str, int]] = []
        said = self._rounds(tile.name, scene, rounds)
        label = tile.qa.copy()
        if said is not None:
            inner = label[HALO:-HALO, HALO:-HALO]
            inner[scene.usable] = said[scene.usable]
        record: dict[str, Any] = {
            "rounds": rounds,
            **_changes(tile.qa, label),
            "trusted": said is not None,
            "seconds": round(time.perf_counter() - started, 2),
        }
        if said is None:
            record["reason"] = f"no sure water for round {len(rounds) + 1}"
        return Correction(label, record)

    def _rounds(self, name: str, scene: Scene, rounds: list[dict[str, int]]) -> ByteArray | None:
        """What the last network says; None where one has no water to learn from."""
        water = scene.qa_water
        probability = np.zeros((*water.shape, 2), np.float32)
        for number, epochs in enumerate(self.epochs):
            if not water.any():
                return None
            # Of the tile and the round alone, so that tiles may come in any order.
            generator = np.random.default_rng([self._seed, zlib.crc32(name.encode()), number])
            drawn = draw(scene, water, generator)
            weights = self._train(scene, drawn, epochs, generator)
            probability = mapper().probability(weights, scene.bands)
            water = sure_water(scene, probability[..., WATER])
            rounds.append(
                {
                    "samples": len(drawn.corner),
                    "without_target": int((drawn.target.sum(axis=1) == 0).sum()),
                    "water": int(water.sum()),
                }
            )
        return np.asarray(probability[..., WATER] > probability[..., LAND], np.uint8)

    def _train(
        self, scene: Scene, drawn: Drawn, epochs: int, generator: np.random.Generator
    ) -> Weights:
        first = fresh_weights(mapper().shapes, generator)
        return train_network(
            scene, drawn, first, epochs, generator, batch=self.batch, rate=self.rate
        )


def _changes(qa: ByteArray, label: ByteArray) -> dict[str, float]:
    observed = max(1, int((qa != NOT_OBSERVED).sum()))
    return {
        "to_water": round(float(((qa == 0) & (label == 1)).sum()) / observed, 6),
        "to_land": round(float(((qa == 1) & (label == 0)).sum()) / observed, 6),
    }
