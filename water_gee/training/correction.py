"""The default correction of labels: independent evidence, and a network that learns from it.

1. Every witness of `evidence` is heard on every pixel; their log-odds add up.
2. Two networks learn from what the witnesses are sure of, each from its half of the blocks of all
   tiles, and judge the other half: no pixel is judged by a network that learned from its label.
   Where too little is sure for two, one network judges what it learned from.
3. Their word joins the witnesses', and they learn from the new sum, until labels stop changing.
4. Positive is water, negative land; where the sum is near 0 the pixel is left «not observed».
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from water_gee import indices
from water_gee.errors import LabelError, TrainingError
from water_gee.training import checkpoint, evidence
from water_gee.training.methods import Correction
from water_gee.training.patches import MARGIN, NOT_OBSERVED, balanced, samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from water_gee.training.dense import Trainer
    from water_gee.training.evidence import Weighed
    from water_gee.training.methods import Tile, Tiles
    from water_gee.training.patches import FloatArray, Samples

BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]

MOST_TILES = 64
"""Tiles the networks learn from, about 10 MB each; the others only get labels from them."""

BLOCKS = (128, 64, 32)
"""Pixels a side of the blocks that the two networks learn from by turns; the first size with which
both have water and land."""

STEPS = (120, 40, 40)
"""Training steps of each network, round by round."""

SETTLED = 0.002
"""Share of the pixels learned from that change their class; below it the rounds end."""

TRUST = 1.5
"""What log-odds are multiplied with to give the probability that networks learn from."""

NETWORK, NETWORK_MOST = 0.25, 0.75
"""What part of a network's log-odds is believed, and at most: it learned the others' mistakes."""

UNDECIDED = 0.1
"""Sums nearer to 0 than this decide nothing."""

FEWEST_SURE = 50
"""Pixels of each class that the witnesses must be sure of."""

SURE = 1.5
"""Log-odds from which they are."""

DOUBTFUL = 0.15
"""Share of undecided pixels, or of those on which network and witnesses disagree, from which a
tile's correction is not to be trusted."""

_KINDS = (*evidence.WITNESSES, "network")


@dataclass(frozen=True, slots=True)
class _Learned:
    """A tile that the networks learn from."""

    start: Samples
    odds: FloatArray
    """float32 `(row, col)` without margin: the witnesses' log-odds, NaN where not observed."""
    half: ByteArray
    """uint8 `(row, col)` without margin: which network learns from a pixel, 0 or 1."""


class EvidenceMethod:
    """See the module; one instance corrects the tiles of one store."""

    name = "evidence"

    def __init__(self, keep: Path | None = None, key: str = "") -> None:
        """Start anew, or go on.

        Args:
            keep: A file for what was learned so far, so that a killed call goes on after its last
                round.
            key: Of the tiles and settings; a file of others is not taken up.
        """
        self._keep, self._key = keep, key
        self._trainers: list[Trainer] = []
        self._order: dict[str, int] = {}
        self._block = 0

    def prepare(self, tiles: Tiles, *, seed: int, progress: bool) -> None:
        """Train the two networks, round after round.

        Raises:
            LabelError: The witnesses are sure of no water, or of no land.
        """
        from water_gee.training.dense import Trainer

        names = _spread(tiles.names, tiles.wet, seed)
        learned = [self._look(tiles.read(name)) for name in names]
        sure = [sum(int((sign * tile.odds > SURE).sum()) for tile in learned) for sign in (1, -1)]
        for count, kind in zip(sure, ("water", "land"), strict=True):
            if count < FEWEST_SURE:
                raise LabelError(
                    f"only {count} pixels of {len(learned)} tile(s) are surely {kind}: there is "
                    f"nothing to learn {kind} from; take a larger area or another season"
                )
        self._block = _fitting_block(learned)
        learned = [
            replace(tile, half=_half(tile.odds.shape, self._block, number))
            for number, tile in enumerate(learned)
        ]
        self._order = {name: number for number, name in enumerate(names)}
        halves = 2 if self._block else 1
        bands = learned[0].start.features.shape[-1]
        self._trainers = [
            Trainer(bands, (seed + half) % 2**32, sum(STEPS)) for half in range(halves)
        ]
        self._rounds(learned, progress)

    def correct(self, tile: Tile) -> Correction:
        """Label one tile."""
        weighed = evidence.weigh(tile)
        said = self._network(tile, weighed)
        parts = {**weighed.parts, "network": said}
        total = np.clip(weighed.log_odds + said, -evidence.LIMIT, evidence.LIMIT)
        label = np.full(tile.qa.shape, NOT_OBSERVED, np.uint8)
        label[total > UNDECIDED] = 1
        label[total < -UNDECIDED] = 0
        return Correction(label, _record(tile.qa, label, parts, weighed))

    # ------------------------------------------------------------------ training

    def _look(self, tile: Tile) -> _Learned:
        weighed = evidence.weigh(tile)
        inner = slice(MARGIN, -MARGIN)
        odds = weighed.log_odds
        start = _samples(tile, weighed)
        return _Learned(start, odds[inner, inner], np.zeros(start.water.shape, np.uint8))

    def _rounds(self, learned: Sequence[_Learned], progress: bool) -> None:
        changes = self._resume()
        belief = [self._joined(tile) if changes else tile.odds for tile in learned]
        total, walked = (len(self._trainers) * sum(part) for part in (STEPS, STEPS[: len(changes)]))
        with tqdm(
            total=total, initial=walked, desc="correction", unit="step", disable=not progress
        ) as bar:
            while len(changes) < len(STEPS) and not (changes and changes[-1] < SETTLED):
                turn = len(changes), STEPS[len(changes)]
                for half, trainer in enumerate(self._trainers):
                    _learn(trainer, learned, belief, half, turn)
                    bar.update(turn[1])
                before, belief = belief, [self._joined(tile) for tile in learned]
                changes.append(_changed(before, belief))
                self._remember(changes)

    def _remember(self, changes: Sequence[float]) -> None:
        if self._keep is not None:
            rows = [{"changed": share} for share in changes]
            state = [value for trainer in self._trainers for value in trainer.state()]
            checkpoint.save(self._keep, self._key, checkpoint.Standing(rows, state, [], 0, 0.0))

    def _resume(self) -> list[float]:
        """Take up what was learned before: by how much labels changed in each round done."""
        kept = checkpoint.load(self._keep, self._key) if self._keep is not None else None
        if kept is None:
            return []
        each = len(kept.state) // len(self._trainers)
        for number, trainer in enumerate(self._trainers):
            trainer.restore(kept.state[number * each : (number + 1) * each])
        return [row["changed"] for row in kept.rows]

    def _joined(self, tile: _Learned) -> FloatArray:
        """The witnesses' log-odds with those of the network that did not learn from them."""
        each = [_log_odds(trainer.probability(tile.start)) for trainer in self._trainers]
        said = np.where(tile.half == 0, each[-1], each[0])
        known = tile.start.weight > 0
        return np.asarray(tile.odds + np.where(known, said, 0), np.float32)

    def _network(self, tile: Tile, weighed: Weighed) -> FloatArray:
        """What the networks say of a tile, 0 where they see no whole window."""
        start = _samples(tile, weighed)
        each = [_log_odds(trainer.probability(start)) for trainer in self._trainers]
        number = self._order.get(tile.name)
        if number is None:
            said = np.mean(each, axis=0)
        else:
            said = np.where(_half(start.water.shape, self._block, number) == 0, each[-1], each[0])
        whole = np.zeros(tile.qa.shape, np.float32)
        inner = slice(MARGIN, -MARGIN)
        whole[inner, inner] = np.where(start.weight > 0, said, 0)
        return whole


def _spread(names: Sequence[str], wet: Sequence[str], seed: int) -> list[str]:
    """Choose the tiles the networks learn from: half of them with water, where there are so many.

    A dry region would else be learned from tiles without any.
    """
    if len(names) <= MOST_TILES:
        return list(names)
    generator = np.random.default_rng(seed)
    chosen = set(generator.permutation(np.asarray(wet))[: MOST_TILES // 2].tolist())
    rest = [name for name in names if name not in chosen]
    chosen |= set(generator.permutation(np.asarray(rest))[: MOST_TILES - len(chosen)].tolist())
    return [name for name in names if name in chosen]


def _samples(tile: Tile, weighed: Weighed) -> Samples:
    """A tile as the networks see it: through clear air, and without what lies in shadow.

    In the shadow of a cloud a lake looks like any lake, but the witnesses call it land or say
    nothing; there is nothing to learn, and nothing to be asked.
    """
    odds = weighed.log_odds
    label = np.where(np.isnan(odds), NOT_OBSERVED, odds > 0).astype(np.uint8)
    if weighed.shadows is not None:
        label[weighed.shadows.zone] = NOT_OBSERVED
    clear = tile.features.copy()
    clear[:4] -= weighed.haze[:, np.newaxis, np.newaxis]
    clear[5] = indices.mndwi(np.maximum(clear[1], 1e-3), np.maximum(clear[4], 1e-3))
    return samples(tile.name, clear, label)


def _learn(
    trainer: Trainer,
    learned: Sequence[_Learned],
    belief: Sequence[FloatArray],
    half: int,
    turn: tuple[int, int],
) -> None:
    """Train one network on its half of the blocks, each pixel as heavy as its label is sure."""
    number, steps = turn
    current = []
    for tile, odds in zip(learned, belief, strict=True):
        known = np.nan_to_num(odds)
        sure = np.abs(2 / (1 + np.exp(-TRUST * known)) - 1).astype(np.float32)
        weight = np.where((tile.start.weight > 0) & (tile.half == half), sure, 0)
        current.append(replace(tile.start, water=(known > 0).astype(np.uint8), weight=weight))
    try:
        weighed = balanced(current)
    except TrainingError as error:
        raise LabelError(str(error)) from error
    for part in range(0, steps, 20):
        trainer.epoch(weighed, number * 1000 + part, min(20, steps - part))


def _fitting_block(learned: Sequence[_Learned]) -> int:
    """The largest blocks with which both halves have water and land; 0 where none do."""
    for block in BLOCKS:
        counts = np.zeros((2, 2), np.int64)
        for number, tile in enumerate(learned):
            half = _half(tile.odds.shape, block, number)
            for side in (0, 1):
                there = (tile.start.weight > 0) & (half == side)
                counts[side] += [(there & (sign * tile.odds > SURE)).sum() for sign in (1, -1)]
        if counts.min() >= FEWEST_SURE:
            return block
    return 0


def _half(shape: tuple[int, ...], block: int, number: int) -> ByteArray:
    """Which of the two networks learns from a pixel: squares of a chessboard; 0 without blocks."""
    if not block:
        return np.zeros(shape, np.uint8)
    row, col = (np.arange(size) // block for size in shape)
    return np.asarray((row[:, np.newaxis] + col + number) % 2, np.uint8)


def _log_odds(probability: FloatArray) -> FloatArray:
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    odds = NETWORK * np.log(kept / (1 - kept))
    return np.asarray(np.clip(odds, -NETWORK_MOST, NETWORK_MOST), np.float32)


def _changed(before: Sequence[FloatArray], after: Sequence[FloatArray]) -> float:
    moved = sum(int(((a > 0) != (b > 0)).sum()) for a, b in zip(before, after, strict=True))
    return moved / max(1, sum(int(np.isfinite(a).sum()) for a in before))


# ------------------------------------------------------------------ the record


def _record(
    qa: ByteArray, label: ByteArray, parts: dict[str, FloatArray], weighed: Weighed
) -> dict[str, Any]:
    """How much changed, by whom, and whether to believe it."""
    seen = weighed.observed
    observed = max(1, int(seen.sum()))

    def share(mask: BoolArray) -> float:
        return round(float((mask & seen).sum()) / observed, 6)

    stack = np.stack([parts[name] for name in _KINDS])
    to_water, to_land = (qa == 0) & (label == 1), (qa == 1) & (label == 0)
    undecided = share(label == NOT_OBSERVED)
    witnesses = weighed.log_odds
    against = share((parts["network"] * witnesses < 0) & (np.abs(witnesses) > UNDECIDED))
    record: dict[str, Any] = {
        "to_water": share(to_water),
        "to_land": share(to_land),
        "undecided": undecided,
        "by": {
            "to_water": _by(stack, to_water & seen, 1, observed),
            "to_land": _by(stack, to_land & seen, -1, observed),
        },
        "network_disagrees": against,
        "haze": [round(float(value), 4) for value in weighed.haze],
    }
    if weighed.shadows is not None:
        record["cloud_shadow_shift"] = list(weighed.shadows.shift)
    why = _doubt(undecided, against, qa, label)
    return {**record, "trusted": why is None, **({"why": why} if why else {})}


def _by(
    stack: npt.NDArray[np.floating[Any]], mask: BoolArray, sign: int, observed: int
) -> dict[str, float]:
    """Shares of the tile that changed, by the witness that spoke loudest for the change."""
    loudest = np.argmax(sign * stack[:, mask], axis=0)
    counts = np.bincount(loudest, minlength=len(_KINDS))
    return {
        name: round(float(count) / observed, 6)
        for name, count in zip(_KINDS, counts, strict=True)
        if count
    }


def _doubt(undecided: float, against: float, qa: ByteArray, label: ByteArray) -> str | None:
    if undecided > DOUBTFUL:
        return f"{undecided:.0%} of the pixels are undecided"
    if against > DOUBTFUL:
        return f"network and evidence disagree on {against:.0%} of the pixels"
    was, now = int((qa == 1).sum()), int((label == 1).sum())
    kept = int(((qa == 1) & (label == 1)).sum())
    if was >= 100 and kept < 0.2 * was:
        return f"of {was} QA-water pixels {kept} are left"
    if now >= 100 and kept < 0.2 * now:
        return f"of {now} water pixels the QA band knew {kept}"
    return None
