"""The default correction of labels: evidence, and networks that learn from it.

1. Every witness of `evidence` is heard on every pixel; their log-odds add up.
2. Networks learn from the QA labels, each from one half of the blocks of all tiles, and judge the
   other half: what the QA band says of such ground elsewhere. Where a season's label is wrong
   by chance, this is right. Their word for water, and that for land, are believed as far as they
   are right where the other witnesses are sure. One observation's label is wrong for what the
   pixel looks like, which a network learns; none is asked then.
3. Others learn the same way from the sum, each pixel as heavy as its sum is sure; their word
   joins it, and they learn from the new one, until labels stop changing. They are believed more
   where those of the QA labels are: there errors do not go with looks.
4. Positive is water, negative land; where the sum is near 0 the pixel is left «not observed».

So no pixel is judged by a network that learned from its label. Where too little is sure for two
halves, none learns from the QA labels, and one network judges what it learned from.
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
from water_gee.training.sampling import Sampling

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
"""Tiles the networks learn from, about 17 MB each; the others only get labels from them."""

BLOCKS = (128, 64, 32)
"""Pixels a side of the blocks that the two networks learn from by turns; the first size with which
both have water and land."""

ELSEWHERE_STEPS = (200, 200, 200)
STEPS = (400, 100, 100)
"""Training steps of each network that learns from QA labels, and from the sum, round by round.
Networks of a third as many steps are worth little: of QA labels with an IoU of 0.61 on thin rivers
of the synthetic season they judged with 0.73, where these reach 0.81 to 0.82."""

PASSES, FEWEST_STEPS = 20, 20
"""How often a network sees each of its pixels, on average, at most: of few tiles it learns in fewer
steps, though not in fewer a round than these."""

ELSEWHERE_NETWORKS, NETWORKS = 2, 1
"""Networks to a half. The mean of two judges better than one, of QA labels: thin rivers with an IoU
of 0.824 after 0.812, the ordinary season with 0.920 after 0.916 (three: 0.829 and 0.921)."""

SETTLED = 0.002
"""Share of the pixels learned from that change their class; below it the rounds end."""

TRUST = 1.5
"""What log-odds are multiplied with to give the probability that networks learn from."""

ONCE_ELSEWHERE, ALWAYS_ELSEWHERE = (0.0, 0.0), (10.0, 4.0)
ONCE_NETWORK, ALWAYS_NETWORK = (0.25, 0.75), (1.25, 2.5)
"""What part of the log-odds of both kinds of networks is believed, and at most, where the QA label
is one observation's and where it is a season's, as far as networks of the QA labels are right
(without any, as of one observation). What the QA bit mistakes once it mistakes for what the pixel
looks like: a network mistakes it too, and so, less, one that learned from corrections."""

SURE_ALONE = 2.0
"""Log-odds of the witnesses that know nothing of the QA bit, from which these judge the networks of
the QA labels."""

MISSED, TAKEN = 0.04, 0.25
"""Share of the sure water that these networks call land, from which their word for land is not
believed at all; and sure land that they call water, of as much sure water, from which their word
for water is not: below, all the more. Apart, for they tell of two errors of the QA band: what it
misses by looks (shallow and turbid water of the synthetic season: 0.04 and 0.08; where errors are
strewn 0.01 or less) and what it takes for water (roofs: 0.58; char: 0.17; else 0.01 to 0.09)."""

UNDECIDED = 0.1
"""Sums nearer to 0 than this decide nothing."""

CERTAIN = 3.0
"""Sums from which a label is 0 or 100 percent; nearer to 0 in proportion. Networks trained on
percents rather than classes mapped held-out thin rivers with 0.824, not 0.820, and the ordinary
season with 0.919, not 0.918 (means of four seeds each, 7 of 8 pairs better); with 6, the expected
areas came out up to a quarter too large."""

FEWEST_SURE = 50
"""Pixels of each class that the witnesses must be sure of."""

SURE = 1.5
"""Log-odds from which they are."""

DOUBTFUL = 0.15
"""Share of undecided pixels, or of those on which networks and witnesses disagree, from which a
tile's correction is not to be trusted."""

_KINDS = (*evidence.WITNESSES, "elsewhere", "network")
_OF_QA = ("qa", "neighbours")


@dataclass(frozen=True, slots=True)
class _Learned:
    """A tile that the networks learn from."""

    start: Samples
    odds: FloatArray
    """float32 `(row, col)` without margin: the witnesses' log-odds, NaN where not observed."""
    qa: FloatArray
    """float32 `(row, col)` without margin: the QA label as log-odds, sure where it is a season's,
    0 where it is one observation's."""
    often: FloatArray
    """float32 `(row, col)` without margin: 1 where it is a season's, 0 where one observation's."""
    alone: FloatArray
    """float32 `(row, col)` without margin: the log-odds of the witnesses that know nothing of the
    QA bit."""
    half: ByteArray
    """uint8 `(row, col)` without margin: which network learns from a pixel, 0 or 1."""


@dataclass(frozen=True, slots=True)
class _Jury:
    """Networks that each learn from one half of the blocks, or from all, where there is but one."""

    networks: Sequence[Trainer]
    """Of one half and of the other by turns; there may be none."""
    steps: Sequence[int]
    """Training steps of each network, round by round."""
    once: tuple[float, float]
    always: tuple[float, float]
    """What part of their log-odds is believed, and at most; see `ONCE_NETWORK`."""
    credit: tuple[float, float] = (1.0, 1.0)
    """How far a season counts for more than one observation, of their word for water and of that
    for land."""

    def learn(
        self,
        learned: Sequence[_Learned],
        belief: Sequence[FloatArray],
        number: int,
        bar: tqdm[Any],
    ) -> None:
        """Train each network on its half of the tiles, for the steps of a round."""
        for index, network in enumerate(self.networks):
            _learn(network, learned, belief, index % 2, (number, self.steps[number]))
            bar.update(self.steps[number])

    def join(
        self, learned: Sequence[_Learned], witnesses: Sequence[FloatArray]
    ) -> list[FloatArray]:
        """Their word on top of others', for every tile."""
        return [
            odds + self.say(tile.start, tile.often, tile.half)
            for tile, odds in zip(learned, witnesses, strict=True)
        ]

    def say(self, start: Samples, often: FloatArray, half: ByteArray | None) -> FloatArray:
        """Log-odds of a tile's samples, 0 elsewhere, of networks that did not learn from them.

        Args:
            start: The tile.
            often: How far its QA label is a season's.
            half: From which half each pixel is; None for a tile that none learned from, of which
                all are asked.
        """
        heard = any(self.once) or (any(self.credit) and often.any())
        if not (self.networks and heard):
            return np.zeros(start.water.shape, np.float32)
        each = np.stack([_log_odds(network.probability(start)) for network in self.networks])
        if half is None or len(each) == 1:
            said = each.mean(axis=0)
        else:
            said = np.where(half == 0, each[1::2].mean(axis=0), each[::2].mean(axis=0))
        share = often * np.where(said > 0, *self.credit)
        part, most = (
            once + share * (always - once)
            for once, always in zip(self.once, self.always, strict=True)
        )
        believed = np.clip(part * said, -most, most)
        return np.where(start.weight > 0, believed, 0).astype(np.float32)


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
        self._juries: Sequence[_Jury] = ()
        self._order: dict[str, int] = {}
        self._block = 0

    def prepare(self, tiles: Tiles, *, seed: int, progress: bool) -> None:
        """Train the networks, round after round.

        Raises:
            LabelError: The witnesses are sure of no water, or of no land.
        """
        names = _spread(tiles.names, tiles.wet, seed)
        learned = [self._look(tiles.read(name)) for name in names]
        sure = [sum(int((sign * tile.odds > SURE).sum()) for tile in learned) for sign in (1, -1)]
        for count, kind in zip(sure, ("water", "land"), strict=True):
            if count < FEWEST_SURE:
                raise LabelError(
                    f"only {count} pixels of {len(learned)} tile(s) are surely {kind}: there is "
                    f"nothing to learn {kind} from; take a larger area or another season"
                )
        self._block, learned = _halved(learned)
        self._order = {name: number for number, name in enumerate(names)}
        self._juries = _juries(learned, seed, halves=self._block > 0)
        self._rounds(learned, progress)

    def correct(self, tile: Tile) -> Correction:
        """Label one tile."""
        weighed = evidence.weigh(tile)
        elsewhere, network = self._said(tile, weighed)
        parts = {**weighed.parts, "elsewhere": elsewhere, "network": network}
        total = np.clip(weighed.log_odds + elsewhere + network, -evidence.LIMIT, evidence.LIMIT)
        label = np.full(tile.qa.shape, NOT_OBSERVED, np.uint8)
        label[total > UNDECIDED] = 1
        label[total < -UNDECIDED] = 0
        likely = np.clip(50 + 50 * np.nan_to_num(total) / CERTAIN, 0, 100)
        percent = np.where(label == NOT_OBSERVED, NOT_OBSERVED, np.rint(likely)).astype(np.uint8)
        return Correction(label, _record(tile.qa, label, parts, weighed), percent)

    # ------------------------------------------------------------------ training

    def _look(self, tile: Tile) -> _Learned:
        weighed = evidence.weigh(tile)
        inner = slice(MARGIN, -MARGIN)
        odds = weighed.log_odds
        start = _samples(tile, weighed)
        often = evidence.repeated(tile)[inner, inner]
        qa = often * np.where(tile.qa[inner, inner] == 1, evidence.LIMIT, -evidence.LIMIT)
        told = [part for name, part in weighed.parts.items() if name not in _OF_QA]
        alone = np.sum(told, axis=0)[inner, inner]
        half = np.zeros(start.water.shape, np.uint8)
        return _Learned(start, odds[inner, inner], qa.astype(np.float32), often, alone, half)

    def _rounds(self, learned: Sequence[_Learned], progress: bool) -> None:
        elsewhere, corrected = self._juries
        plan = [len(jury.networks) * steps for jury in self._juries for steps in jury.steps]
        changes = self._resume()
        walked = sum(plan[: len(changes)])
        with tqdm(
            total=sum(plan), initial=walked, desc="correction", unit="step", disable=not progress
        ) as bar:
            while len(changes) < len(elsewhere.steps):
                elsewhere.learn(learned, [tile.qa for tile in learned], len(changes), bar)
                self._remember(changes, 1.0)
            said = [elsewhere.say(tile.start, tile.often, tile.half) for tile in learned]
            credit = _credit(learned, said)
            witnesses = [
                np.asarray(tile.odds + _credited(word, credit), np.float32)
                for tile, word in zip(learned, said, strict=True)
            ]
            if any(credit) and _fewest(learned, witnesses) < FEWEST_SURE:
                credit, witnesses = (0.0, 0.0), [tile.odds for tile in learned]
            corrected = replace(corrected, credit=credit)
            self._juries = (replace(elsewhere, credit=credit), corrected)
            belief = witnesses
            if len(changes) > len(elsewhere.steps):
                belief = corrected.join(learned, witnesses)
            while len(changes) < len(plan) and (not changes or changes[-1] >= SETTLED):
                corrected.learn(learned, belief, len(changes) - len(elsewhere.steps), bar)
                before, belief = belief, corrected.join(learned, witnesses)
                self._remember(changes, _changed(before, belief))

    def _remember(self, changes: list[float], changed: float) -> None:
        changes.append(changed)
        if self._keep is not None:
            rows = [{"changed": share} for share in changes]
            state = [value for network in self._all() for value in network.state()]
            checkpoint.save(self._keep, self._key, checkpoint.Standing(rows, state, [], 0, 0.0))

    def _resume(self) -> list[float]:
        """Take up what was learned before: by how much labels changed in each round done."""
        kept = checkpoint.load(self._keep, self._key) if self._keep is not None else None
        if kept is None:
            return []
        networks = self._all()
        fresh = [network.state() for network in networks]
        each = len(kept.state) // len(networks)
        try:
            for number, network in enumerate(networks):
                network.restore(kept.state[number * each : (number + 1) * each])
        except (ValueError, TypeError):  # of other networks
            for network, state in zip(networks, fresh, strict=True):
                network.restore(state)
            return []
        return [row["changed"] for row in kept.rows]

    def _all(self) -> list[Trainer]:
        return [network for jury in self._juries for network in jury.networks]

    def _said(self, tile: Tile, weighed: Weighed) -> list[FloatArray]:
        """What both juries say of a tile, 0 where they see no whole window."""
        start = _samples(tile, weighed)
        often = evidence.repeated(tile)[MARGIN:-MARGIN, MARGIN:-MARGIN]
        number = self._order.get(tile.name)
        half = None if number is None else _half(start.water.shape, self._block, number)
        return [np.pad(jury.say(start, often, half), MARGIN) for jury in self._juries]


def _juries(learned: Sequence[_Learned], seed: int, *, halves: bool) -> tuple[_Jury, _Jury]:
    """Make the networks: of the QA labels, if both halves have enough, and of the corrected."""
    from water_gee.training.dense import Trainer

    bands = learned[0].start.features.shape[-1]
    pixels = sum(int((tile.start.weight > 0).sum()) for tile in learned) / (2 if halves else 1)

    def made(count: int, steps: Sequence[int], first: int) -> list[Trainer]:
        seeds = [(seed + first + number) % 2**32 for number in range(count)]
        return [Trainer(bands, each, sum(steps)) for each in seeds]

    known = halves and _fewest(learned, [tile.qa for tile in learned]) >= FEWEST_SURE
    count = 2 * NETWORKS if halves else 1
    first, then = _fitting(ELSEWHERE_STEPS, pixels), _fitting(STEPS, pixels)
    of_qa = made(2 * ELSEWHERE_NETWORKS, first, count) if known else []
    return (
        _Jury(of_qa, first if known else (), ONCE_ELSEWHERE, ALWAYS_ELSEWHERE),
        _Jury(made(count, then, 0), then, ONCE_NETWORK, ALWAYS_NETWORK),
    )


def _fitting(steps: Sequence[int], pixels: float) -> tuple[int, ...]:
    """Steps round by round, as many as suit so many pixels to learn from."""
    sampling = Sampling()
    enough = PASSES * pixels / (sampling.windows * sampling.window**2)
    part = min(1.0, enough / sum(steps))
    return tuple(max(min(FEWEST_STEPS, each), round(part * each)) for each in steps)


def _credit(learned: Sequence[_Learned], said: Sequence[FloatArray]) -> tuple[float, float]:
    """How far networks of the QA labels are to be believed, 0 to 1: that it is water, or land.

    That is by how often they are right where witnesses are sure without the QA bit.
    """
    missed = taken = water = 0
    for tile, word in zip(learned, said, strict=True):
        wet, dry = tile.alone > SURE_ALONE, tile.alone < -SURE_ALONE
        water += int((wet & (word != 0)).sum())
        missed += int((wet & (word < 0)).sum())
        taken += int((dry & (word > 0)).sum())
    if water < FEWEST_SURE:
        return 0.0, 0.0
    return max(0.0, 1 - taken / (TAKEN * water)), max(0.0, 1 - missed / (MISSED * water))


def _credited(word: FloatArray, credit: tuple[float, float]) -> FloatArray:
    """What `_Jury.say` gives with this credit, of what it gave with all of it, for `once` 0."""
    for_water, for_land = credit
    return np.asarray(word * np.where(word > 0, for_water, for_land), np.float32)


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


def _halved(learned: Sequence[_Learned]) -> tuple[int, list[_Learned]]:
    """Share the pixels of tiles between two networks.

    Returns:
        The side of the blocks, the largest with which both have water and land, and the tiles; 0
        where there are no such blocks, and all pixels are one network's.
    """
    for block in BLOCKS:
        shared = _shared(learned, block)
        if _fewest(shared, [tile.odds for tile in shared]) >= FEWEST_SURE:
            return block, shared
    return 0, _shared(learned, 0)


def _shared(learned: Sequence[_Learned], block: int) -> list[_Learned]:
    return [
        replace(tile, half=_half(tile.odds.shape, block, number))
        for number, tile in enumerate(learned)
    ]


def _fewest(learned: Sequence[_Learned], belief: Sequence[FloatArray]) -> int:
    """Samples that are surely water or surely land, whichever are fewer, in the poorer half."""
    counts = np.zeros((2, 2), np.int64)
    for tile, odds in zip(learned, belief, strict=True):
        for side in (0, 1):
            there = (tile.start.weight > 0) & (tile.half == side)
            counts[side] += [(there & (sign * odds > SURE)).sum() for sign in (1, -1)]
    return int(counts.min())


def _half(shape: tuple[int, ...], block: int, number: int) -> ByteArray:
    """Which of the two networks learns from a pixel: squares of a chessboard; 0 without blocks."""
    if not block:
        return np.zeros(shape, np.uint8)
    row, col = (np.arange(size) // block for size in shape)
    return np.asarray((row[:, np.newaxis] + col + number) % 2, np.uint8)


def _log_odds(probability: FloatArray) -> FloatArray:
    kept = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)), np.float32)


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
    networks = parts["elsewhere"] + parts["network"]
    against = share((networks * witnesses < 0) & (np.abs(witnesses) > UNDECIDED))
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
        return f"networks and evidence disagree on {against:.0%} of the pixels"
    was, now = int((qa == 1).sum()), int((label == 1).sum())
    kept = int(((qa == 1) & (label == 1)).sum())
    if was >= 100 and kept < 0.2 * was:
        return f"of {was} QA-water pixels {kept} are left"
    if now >= 100 and kept < 0.2 * now:
        return f"of {now} water pixels the QA band knew {kept}"
    return None
