"""Samples of points against the published examples."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.mapping import scores

# Olofsson et al. (2014), Remote Sensing of Environment 148, table 8: rows are the map's classes,
# deforestation, forest gain, stable forest, stable non-forest; 640 points, 10 million pixels.
OLOFSSON = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], float)
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000], float)


def by_class(counts):
    """Counts by stratum where strata are the map's classes."""
    table = np.zeros((len(counts), *counts.shape))
    for k, row in enumerate(counts):
        table[k, k] = row
    return table


def test_the_worked_example_of_olofsson_and_others():
    found = scores.of_strata(by_class(OLOFSSON), PIXELS)
    assert found.areas[0].value == pytest.approx(235_086, abs=1)
    assert 1.96 * found.areas[0].error == pytest.approx(68_418, abs=1)
    hectares = 0.09
    assert hectares * found.areas[0].value == pytest.approx(21_158, abs=1)
    assert hectares * 1.96 * found.areas[0].error == pytest.approx(6_158, abs=1)
    users = [round(each.value, 2) for each in found.precision]
    assert users == [0.88, 0.73, 0.93, 0.96]
    halves = [round(1.96 * each.error, 2) for each in found.precision]
    assert halves == [0.07, 0.10, 0.04, 0.02]
    assert [round(each.value, 2) for each in found.recall] == [0.75, 0.85, 0.93, 0.96]
    assert round(1.96 * found.recall[0].error, 2) == 0.21
    assert round(found.accuracy.value, 2) == 0.95
    assert round(1.96 * found.accuracy.error, 2) == 0.02


def test_the_worked_example_of_stehman_where_strata_are_no_classes():
    """Stehman (2014): ten points in each of four strata; pairs of map and reference class."""
    pairs = (
        {"AA": 5, "AC": 1, "AB": 1, "BA": 1, "BB": 1, "BC": 1},
        {"AA": 1, "BB": 5, "BA": 2, "BB2": 2},
        {"BC": 2, "BB": 1, "BA": 1, "CC": 3, "CD": 2, "CB": 1},
        {"DD": 7, "DC": 2, "DB": 1},
    )
    counts = np.zeros((4, 4, 4))
    for stratum, table in enumerate(pairs):
        for (mapped, said, *_), number in table.items():
            counts[stratum, "ABCD".index(mapped), "ABCD".index(said)] += number
    found = scores.of_strata(counts, np.array([40_000, 30_000, 20_000, 10_000], float))
    assert found.areas[0].value / 1e5 == pytest.approx(0.35)
    assert found.areas[0].error / 1e5 == pytest.approx(0.082, abs=5e-4)
    assert found.areas[2].value / 1e5 == pytest.approx(0.20)
    assert found.areas[2].error / 1e5 == pytest.approx(0.064, abs=5e-4)
    assert found.accuracy.value == pytest.approx(0.63)
    assert found.accuracy.error == pytest.approx(0.085, abs=5e-4)
    assert found.precision[1].value == pytest.approx(0.574, abs=5e-4)
    assert found.precision[1].error == pytest.approx(0.125, abs=5e-4)
    assert found.recall[1].value == pytest.approx(0.794, abs=5e-4)


def test_two_classes_worked_by_hand():
    """W = 0.6, 0.4: 0.48 + 0.36 is right; S(p) = sqrt(0.36 * 0.16 / 9 + 0.16 * 0.09 / 9)."""
    found = scores.of_strata(by_class(np.array([[8.0, 2.0], [1.0, 9.0]])), np.array([60.0, 40.0]))
    assert found.accuracy.value == pytest.approx(0.84)
    assert found.areas[0].value == pytest.approx(52.0)
    assert found.areas[0].error == pytest.approx(100 * np.sqrt(0.008))
    assert found.recall[0].value == pytest.approx(0.48 / 0.52)
    assert found.iou[0].value == pytest.approx(0.48 / (0.6 + 0.52 - 0.48))


def test_errors_hold_the_truth_where_shores_are_strata_of_their_own():
    """Samples drawn again and again from a made-up map: 95% intervals hold its true figures."""
    random = np.random.default_rng(0)
    areas = np.array([700.0, 100.0, 150.0, 50.0])
    right = np.array([0.99, 0.95, 0.75, 0.8])
    points = np.array([150, 60, 120, 80])
    wrong_land = areas[0] * 0.01 + areas[2] * 0.25
    both = areas[1] * 0.95 + areas[3] * 0.8
    truth = {
        "accuracy": float(areas @ right / areas.sum()),
        "recall": both / (both + wrong_land),
        "precision": both / 150,
        "iou": both / (150 + wrong_land),
    }
    held = dict.fromkeys(truth, 0)
    for _ in range(600):
        hits = random.binomial(points, right)
        counts = np.zeros((4, 2, 2))
        for k in range(4):
            counts[k, k % 2, k % 2], counts[k, k % 2, 1 - k % 2] = hits[k], points[k] - hits[k]
        found = scores.of_strata(counts, areas)
        for name, value in truth.items():
            one = getattr(found, name)
            low, high = (one if name == "accuracy" else one[1]).interval
            held[name] += low <= value <= high
    for name, count in held.items():
        assert 0.91 <= count / 600 <= 0.98, name


def test_what_has_no_point_has_no_figure_and_one_point_no_error():
    found = scores.of_strata(by_class(np.array([[5.0, 1.0], [0.0, 1.0]])), np.array([9.0, 1.0]))
    assert np.isfinite(found.accuracy.value)
    assert np.isnan(found.accuracy.error)
    empty = scores.of_strata(by_class(np.array([[5.0, 1.0], [0.0, 0.0]])), np.array([9.0, 1.0]))
    assert np.isnan(empty.accuracy.value)
    unmapped = scores.of_strata(by_class(np.array([[5.0, 1.0], [0.0, 0.0]])), np.array([9.0, 0.0]))
    assert unmapped.accuracy.value == pytest.approx(5 / 6)
