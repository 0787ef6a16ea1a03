"""What reducers rest on: sorting networks, medians, weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from water_gee.emulator import statistics


@pytest.mark.parametrize("size", range(1, 14))
def test_the_network_sorts(size):
    """A network that sorts all zeros and ones sorts everything (Knuth, 5.3.4)."""
    columns = (np.arange(2**size)[None] >> np.arange(size)[:, None]) & 1
    found = statistics.in_order(columns.reshape(size, 1, -1).astype(float), None)
    np.testing.assert_array_equal(found[:, 0], np.sort(columns, axis=0))


@given(
    arrays.arrays(np.float32, (6, 3, 4), elements=st.floats(-1000, 1000, width=32)),
    arrays.arrays(bool, (6, 3, 4)),
)
@settings(max_examples=60, deadline=None)
def test_medians_equal_numpys(values, valid):
    found, mask = statistics.median(values, valid)
    seen = valid.any(axis=0)
    assert mask is None or (mask == seen).all()
    hidden = np.ma.median(np.ma.masked_array(values.astype(float), ~valid), axis=0)
    np.testing.assert_allclose(found[seen], np.ma.getdata(hidden)[seen], rtol=1e-6)


def test_what_does_not_count_is_sorted_behind():
    values = np.array([[3, 1], [2, 9], [1, 5]], np.int16).reshape(3, 1, 2)
    valid = np.array([[True, False], [True, True], [False, True]]).reshape(3, 1, 2)
    found = statistics.in_order(values, valid)
    assert found[:, 0].T.tolist() == [[2, 3, np.inf], [5, 9, np.inf]]


def test_many_places_are_sorted_in_chunks(monkeypatch):
    values = np.random.default_rng(0).normal(size=(5, 40, 50))
    monkeypatch.setattr(statistics, "CHUNK", 17)
    np.testing.assert_array_equal(statistics.in_order(values, None), np.sort(values, axis=0))


def test_inputs_are_left_as_they_are():
    values = np.random.default_rng(0).normal(size=(5, 4, 4))
    before = values.copy()
    for function in (statistics.median, statistics.mode, statistics.mean, statistics.total):
        function(values, np.ones(values.shape, bool))
    np.testing.assert_array_equal(values, before)


def test_extremes_of_every_type():
    valid = np.array([True, False, True]).reshape(3, 1)
    for kind in (np.uint8, np.int16, np.float32, bool):
        values = np.array([1, 0, 1], kind).reshape(3, 1)
        assert statistics.extreme(values, valid, largest=False)[0] == [1]
        inverted = np.array([0, 1, 0], kind).reshape(3, 1)
        assert statistics.extreme(inverted, valid, largest=True)[0] == [0]
