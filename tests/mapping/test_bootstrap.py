"""Counts of cells, and intervals from drawing them again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from water_gee.mapping import bootstrap
from water_gee.mapping.bootstrap import BLOCK, FEWEST, Tally, outcomes


def cells(count, seed=0, side=40):
    """Maps and references of some cells."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        truth = (random.random((side, side)) < 0.3).astype(np.uint8)
        good = np.where(random.random(truth.shape) < 0.05, 1 - truth, truth)
        poor = np.where(random.random(truth.shape) < 0.2, 1 - truth, truth)
        yield truth, good.astype(np.uint8), poor.astype(np.uint8)


def tallied(count, **options):
    tally = Tally(2)
    for number, (truth, *rows) in enumerate(cells(count, **options)):
        common = np.ones(truth.shape, bool)
        tally.add(number, [outcomes(row, truth, common) for row in rows], common)
    return tally


def test_scores_are_those_of_scikit_learn():
    tally = tallied(7)
    found = bootstrap.score(tally.counts(), 0, times=50)
    truth = np.concatenate([t.ravel() for t, _, _ in cells(7)])
    for row in (0, 1):
        said = np.concatenate([c[1 + row].ravel() for c in cells(7)])
        assert found.scores["iou"](row, 0).value == pytest.approx(sk.jaccard_score(truth, said))
        assert found.scores["f1"](row, 0).value == pytest.approx(sk.f1_score(truth, said))
        assert found.scores["kappa"](row, 0).value == pytest.approx(
            sk.cohen_kappa_score(truth, said)
        )
        assert found.scores["precision"](row, 0).value == pytest.approx(
            sk.precision_score(truth, said)
        )
        assert found.scores["recall"](row, 0).value == pytest.approx(sk.recall_score(truth, said))
        assert found.scores["accuracy"](row, 0).value == pytest.approx((truth == said).mean())
        assert found.scores["land_recall"](row, 0).value == pytest.approx(
            sk.recall_score(truth, said, pos_label=0)
        )


def test_an_interval_is_that_of_resampling_written_out():
    """The same resampling with another generator and a loop; equal but for chance."""
    counts = tallied(12, side=12).counts()
    found = bootstrap.score(counts, 0, times=4000, seed=1)
    random, drawn = np.random.default_rng(99), []
    for _ in range(4000):
        tp, fp, fn, _ = counts[random.integers(0, 12, 12), 1, 0].sum(axis=0)
        drawn.append(tp / (tp + fp + fn))
    low, high = np.percentile(drawn, [2.5, 97.5])
    measured = found.scores["iou"](1, 0)
    assert measured.low == pytest.approx(low, abs=0.1 * (high - low))
    assert measured.high == pytest.approx(high, abs=0.1 * (high - low))


def test_intervals_hold_the_score_of_the_country():
    random = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        water = random.integers(50, 200, 40)
        found = random.binomial(water, random.beta(8, 2, 40))
        counts = np.zeros((40, 1, 1, 4), np.int64)
        counts[:, 0, 0, 0], counts[:, 0, 0, 2] = found, water - found
        measured = bootstrap.score(counts, 0, times=400, seed=seed).scores["recall"](0, 0)
        held += measured.low <= 0.8 <= measured.high
    assert 0.89 <= held / 200 <= 0.98


def test_differences_are_paired():
    """Cells differ widely, the two maps of a cell hardly: only a paired interval sees it."""
    random = np.random.default_rng(3)
    counts = np.zeros((30, 2, 1, 4), np.int64)
    hits = random.integers(20, 90, 30)
    for row in (0, 1):
        counts[:, row, 0, 0], counts[:, row, 0, 2] = hits + 2 * row, 100 - hits - 2 * row
    found = bootstrap.score(counts, 0, times=1000)
    apart, alone = found.differences["recall"](1, 0), found.scores["recall"](1, 0)
    assert apart.value == pytest.approx(0.02)
    assert (apart.low, apart.high) == pytest.approx((0.02, 0.02))
    assert alone.high - alone.low > 0.1
    own = found.differences["iou"](0, 0)
    assert (own.value, own.low, own.high) == (0, 0, 0)


def test_resamples_are_equal_for_equal_seeds_and_however_they_are_cut(monkeypatch):
    counts = tallied(9).counts()
    whole = bootstrap.resampled(counts, 100, 5)
    monkeypatch.setattr(bootstrap, "_CHUNK", 9 * 7)
    assert np.array_equal(bootstrap.resampled(counts, 100, 5), whole)
    assert not np.array_equal(bootstrap.resampled(counts, 100, 6), whole)
    assert (whole.sum(axis=-1)[:, 0, 0] == 9 * 1600).all()


def test_few_cells_are_cut_into_blocks_and_many_are_not():
    side = 2 * BLOCK + 10
    few, many = tallied(2, side=side), tallied(FEWEST, side=side)
    assert (few.units.name, len(few.counts())) == ("block", 18)
    assert (many.units.name, len(many.counts())) == ("cell", FEWEST)
    truth, good, _ = next(iter(cells(1, side=side)))
    corner = few.counts()[0, 0, 0]
    part = truth[:BLOCK, :BLOCK], good[:BLOCK, :BLOCK]
    assert corner[0] == (part[0] & part[1]).sum()
    assert few.counts()[:9].sum(axis=0)[0, 0, 0] == (truth & good).sum()


def test_scenes_of_a_cell_are_drawn_together():
    tally = Tally(1)
    for truth, good, _ in cells(12):
        common = np.ones(truth.shape, bool)
        tally.add("here" if len(tally.units) else "there", [outcomes(good, truth, common)], common)
    assert len(tally.units) == 2
    assert tally.counts().sum() == 12 * 1600


def test_groups_are_counted_apart_and_unknown_ones_not_at_all():
    tally = Tally(1, (3, 2))
    truth = np.array([[1, 1, 0, 0]], np.uint8)
    mapped = np.array([[1, 0, 1, 0]], np.uint8)
    common = np.ones(truth.shape, bool)
    stratum = np.array([0, 2, 2, 255], np.uint8)
    tally.add("a", [outcomes(mapped, truth, common)], common, [stratum, None])
    total = tally.counts().sum(axis=0)[0]
    assert total.tolist() == [
        [1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]
    ]  # fmt: skip


def test_what_cannot_be_measured_is_nan_and_one_unit_has_no_interval():
    counts = np.zeros((3, 1, 1, 4), np.int64)
    counts[..., 3] = 10
    found = bootstrap.score(counts, 0, times=20)
    iou = found.scores["iou"](0, 0)
    assert np.isnan([iou.value, iou.low, iou.high]).all()
    assert iou.to_dict() == {"value": None, "low": None, "high": None}
    assert found.scores["accuracy"](0, 0).low == 1
    alone = bootstrap.score(counts[:1], 0).scores["accuracy"](0, 0)
    assert alone.value == 1
    assert np.isnan(alone.low)
