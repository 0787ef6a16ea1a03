"""Probabilities against what is so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, jaccard_score

from water_gee.mapping.calibration import Gauge


def made(cells=8, side=60, bend=1.0, seed=0):
    """Probabilities, and water that has probability ** bend."""
    random = np.random.default_rng(seed)
    for _ in range(cells):
        p = random.beta(0.7, 1.2, (side, side))
        yield p, (random.random(p.shape) < p**bend).astype(np.uint8)


def gauged(pairs):
    gauge = Gauge("model")
    for number, (p, y) in enumerate(pairs):
        gauge.add(number, p, y)
    return gauge


def joined(pairs):
    pairs = list(pairs)
    return np.concatenate([p.ravel() for p, _ in pairs]), np.concatenate(
        [y.ravel() for _, y in pairs]
    )


def test_curve_and_brier_score_are_those_of_scikit_learn():
    found = gauged(made(bend=1.6)).result(times=50)
    p, y = joined(made(bend=1.6))
    share, mean = calibration_curve(y, p, n_bins=10)
    assert [each.water.value for each in found.bins] == pytest.approx(share)
    assert [each.probability for each in found.bins] == pytest.approx(mean)
    assert sum(each.pixels for each in found.bins) == found.pixels == p.size
    assert found.brier.value == pytest.approx(brier_score_loss(y, p))
    assert found.skill.value == pytest.approx(1 - found.brier.value / y.var())
    weights = np.histogram(p, 10, (0, 1))[0] / p.size
    assert found.error.value == pytest.approx(float(weights @ np.abs(share - mean)))
    assert found.brier.low < found.brier.value < found.brier.high


def test_true_probabilities_are_calibrated_and_bent_ones_are_not():
    good, bent = (gauged(made(bend=bend)).result(times=50) for bend in (1, 2.5))
    assert good.error.value < 0.02 < 0.1 < bent.error.value
    assert all(each.water.low <= each.probability + 0.05 for each in good.bins)


def test_the_threshold_is_the_best_of_all_and_its_gain_is_measured_elsewhere():
    pairs = list(made(bend=0.5))
    found = gauged(pairs).result()
    p, y = joined(pairs)
    tried = np.arange(200) / 200
    ious = [jaccard_score(y, p >= t) for t in tried]
    assert found.curve == pytest.approx(ious)
    best = found.threshold
    assert best.value == tried[int(np.argmax(ious))] < 0.4
    assert best.iou == pytest.approx(max(ious))
    assert best.iou_default == pytest.approx(ious[100])
    assert f1_score(y, p >= best.value) == pytest.approx(2 * best.iou / (1 + best.iou))
    assert 0 < best.gain.low < best.gain.value <= best.iou - best.iou_default + 1e-12
    assert best.gain_f1.value > 0
    assert best.advice.startswith(f"water from {best.value:g} on is better than from 0.5: +0.")


def test_a_threshold_that_fits_one_cell_alone_is_not_advised():
    """All of one cell is water at 0.45; elsewhere some land is at 0.46, and all water at 0.6."""
    random = np.random.default_rng(1)
    pairs = [(np.full((40, 40), 0.453), np.ones((40, 40), np.uint8))]
    for _ in range(9):
        kind = random.choice(3, (40, 40), p=[0.4, 0.57, 0.03])
        pairs.append((np.array([0.6, 0.2, 0.463])[kind], (kind == 0).astype(np.uint8)))
    found = gauged(pairs).result()
    assert found.threshold.value == 0.45
    assert found.threshold.iou > found.threshold.iou_default
    assert found.threshold.gain.value < 0
    assert found.threshold.advice.startswith("keep 0.5: 0.45 gains -0.0")


def test_pixels_without_probability_or_reference_do_not_count():
    p = np.array([[0.9, np.nan, 0.2, 0.4]])
    y = np.array([[1, 1, 0, 255]], np.uint8)
    found = gauged([(p, y)]).result()
    assert found.pixels == 2
    assert found.brier.value == pytest.approx((0.01 + 0.04) / 2)
    assert np.isnan(found.threshold.gain.value)
    assert "too little ground" in found.threshold.advice
    assert gauged([(p, np.full((1, 4), 255, np.uint8))]).result() is None


def test_the_ends_are_in_the_last_bins():
    p, y = np.array([[0.0, 1.0, 0.5]]), np.array([[0, 1, 1]], np.uint8)
    found = gauged([(p, y)]).result()
    assert [each.pixels for each in found.bins] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert found.threshold.iou_default == 1.0
    assert found.threshold.value == 0.5
    assert found.threshold.advice


def test_without_intervals_the_advice_does_not_blame_the_ground():
    advice = gauged(made(bend=0.5)).result(times=0).threshold.advice
    assert "too little ground" not in advice
    assert "without an interval nothing says whether that holds" in advice


def test_figures_are_plain_json():
    plain = json.loads(json.dumps(gauged(made()).result(times=20).to_dict()))
    assert plain["threshold"]["advice"]
    assert plain["bins"][0]["water"]["value"] is not None
    assert "curve" not in plain
