"""The published correction of labels, tile by tile, for comparison.

Each tile with more than 100 QA-water pixels gets three networks, one after another. The first
learns from the QA label, each other one from what its predecessor is sure of; what the third calls
water is the tile's label. Seven bands go in (Blue, Green, Red, NIR, NDVI, mNDWI, elevation in
metres / 4000), 7 x 7 pixels a sample, as many samples of land as of water; batches of 16, Adam at
1e-5, 30, 5 and 5 epochs. Sure water has a probability above 0.95 and more than five of its seven
bands within three standard deviations of the mean of all such pixels.

The arithmetic is that of `model.fit` on gathered patches, faster: see `seed_network`. What the
description leaves open, and where its published code differs from it:
`docs/decisions/the-published-correction.md`.

Tiles do not depend on each other, nor on their order: a tile's label file is the unit that a
stopped run takes up again.
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee import indices
from water_gee.imagery.recipe import FEATURES
from water_gee.metrics import NOT_OBSERVED
from water_gee.training.methods import Correction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.training.methods import ByteArray, FloatArray, Tile, Tiles
    from water_gee.training.seed_network import Weights

    BoolArray = npt.NDArray[np.bool_]

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

_HALO = 3
"""Pixels that the network loses at each side."""

_SIDE = 2 * _HALO + 1


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
        inner = tile.qa[_HALO:-_HALO, _HALO:-_HALO]
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
    high = scene.bands[rows + _HALO, cols + _HALO, BANDS.index("elevation")] >= TOO_HIGH
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
    inner = scene.bands[_HALO:-_HALO, _HALO:-_HALO].astype(np.float64)
    mean, deviation = inner[likely].mean(axis=0), inner[likely].std(axis=0, ddof=1)
    reach = DEVIATIONS * deviation
    inside = (inner > mean - reach) & (inner < mean + reach)
    return np.asarray(likely & (inside.sum(axis=-1) > FEWEST_BANDS))


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
            changed), `trusted`, `why` where it is not, `seconds`. None for a tile with too few
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
            inner = label[_HALO:-_HALO, _HALO:-_HALO]
            inner[scene.usable] = said[scene.usable]
        record: dict[str, Any] = {
            "rounds": rounds,
            **_changes(tile.qa, label),
            "trusted": said is not None,
            "seconds": round(time.perf_counter() - started, 2),
        }
        if said is None:
            record["why"] = f"no sure water for round {len(rounds) + 1}"
        return Correction(label, record)

    def _rounds(self, name: str, scene: Scene, rounds: list[dict[str, int]]) -> ByteArray | None:
        """What the last network says; None where one has no water to learn from."""
        from water_gee.training.seed_network import mapper

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
            water = sure_water(scene, probability[..., 0])
            rounds.append(
                {
                    "samples": len(drawn.corner),
                    "without_target": int((drawn.target.sum(axis=1) == 0).sum()),
                    "water": int(water.sum()),
                }
            )
        return np.asarray(probability[..., 0] > probability[..., 1], np.uint8)

    def _train(
        self, scene: Scene, drawn: Drawn, epochs: int, generator: np.random.Generator
    ) -> Weights:
        from water_gee.training.seed_network import fresh_weights, mapper, train_network

        return train_network(
            scene.bands,
            drawn.corner,
            drawn.target,
            fresh_weights(mapper().shapes, generator),
            epochs,
            generator,
            batch=self.batch,
            rate=self.rate,
        )


def _changes(qa: ByteArray, label: ByteArray) -> dict[str, float]:
    observed = max(1, int((qa != NOT_OBSERVED).sum()))
    return {
        "to_water": round(float(((qa == 0) & (label == 1)).sum()) / observed, 6),
        "to_land": round(float(((qa == 1) & (label == 0)).sum()) / observed, 6),
    }
