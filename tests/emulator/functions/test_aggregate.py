"""AggregateFeatureCollection: against the statistics module."""

from __future__ import annotations

import statistics

import pytest

NUMBERS = [4, 8, 6, 5, 3]


@pytest.fixture
def rows(client):
    """Return features with the numbers, and one without."""
    features = [client.Feature(None, {"n": number, "s": str(number % 2)}) for number in NUMBERS]
    return client.FeatureCollection([*features, client.Feature(None)])


EXPECTED = {
    "count": 5,
    "count_distinct": 5,
    "min": 3,
    "max": 8,
    "sum": 26,
    "product": 2880,
    "mean": statistics.mean(NUMBERS),
    "sample_sd": statistics.stdev(NUMBERS),
    "sample_var": statistics.variance(NUMBERS),
    "total_sd": statistics.pstdev(NUMBERS),
    "total_var": statistics.pvariance(NUMBERS),
    "array": NUMBERS,
    "first": 4,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_aggregates(rows, info, name):
    assert info(getattr(rows, f"aggregate_{name}")("n")) == pytest.approx(EXPECTED[name])


def test_histogram_counts_by_value(rows, info):
    assert info(rows.aggregate_histogram("s")) == {"0": 3, "1": 2}


def test_stats_hold_them_all(rows, info):
    stats = info(rows.aggregate_stats("n"))
    assert {name: stats[name] for name in ("total_count", "valid_count")} == {
        "total_count": 6,
        "valid_count": 5,
    }
    for name in ("sum", "mean", "sample_sd", "sample_var", "total_sd", "total_var", "min", "max"):
        assert stats[name] == pytest.approx(EXPECTED[name])


def test_strings_have_an_order_but_no_mean(rows, info, refused):
    assert info(rows.aggregate_max("s")) == "1"
    assert "must be a number" in refused(rows.aggregate_mean("s"))


def test_nothing_aggregates_to_null_or_zero(client, info):
    none = client.FeatureCollection([])
    assert info(none.aggregate_mean("n")) is None
    assert info(none.aggregate_max("n")) is None
    assert info(none.aggregate_first("n")) is None
    assert info(none.aggregate_total_sd("n")) is None
    assert info(none.aggregate_sum("n")) == 0
    assert info(none.aggregate_array("n")) == []
