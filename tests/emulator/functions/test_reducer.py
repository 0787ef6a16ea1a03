"""Reducers over stacks against NumPy, masks and weights included."""

from __future__ import annotations

import numpy as np
import pytest

RNG = np.random.default_rng(11)
STACK = np.round(RNG.normal(size=(7, 6, 5)), 1)
VALID = RNG.random((7, 6, 5)) > 0.35
VALID[:, 0, 0] = False
HIDDEN = np.where(VALID, STACK, np.nan)
SOME = VALID.any(axis=0)


@pytest.fixture
def reducer(studio):
    """Return a reducer by name and arguments."""
    return lambda name, *args: studio.compute(getattr(studio.client.Reducer, name)(*args))


def one(result):
    ((values, mask),) = result
    shape = np.shape(values)
    return np.asarray(values), np.ones(shape, bool) if mask is None else np.asarray(mask)


def check(result, expected, observed=SOME, tolerance=1e-12):
    values, mask = one(result)
    np.testing.assert_array_equal(mask, observed)
    np.testing.assert_allclose(values[observed], expected[observed], rtol=tolerance, atol=1e-12)


@pytest.mark.filterwarnings("ignore:All-NaN", "ignore:Mean of empty", "ignore:Degrees of freedom")
@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mean", np.nanmean),
        ("median", np.nanmedian),
        ("min", np.nanmin),
        ("max", np.nanmax),
        ("product", np.nanprod),
        ("variance", np.nanvar),
        ("stdDev", np.nanstd),
    ],
)
def test_masked_values_are_left_out(reducer, name, function):
    check(reducer(name).reduce(STACK, VALID), function(HIDDEN, axis=0))
    everywhere = np.ones((6, 5), bool)
    check(reducer(name).reduce(STACK, None), function(STACK, axis=0), everywhere)


@pytest.mark.filterwarnings("ignore:Degrees of freedom")
@pytest.mark.parametrize(
    ("name", "function"), [("sampleVariance", np.nanvar), ("sampleStdDev", np.nanstd)]
)
def test_samples_need_two_values(reducer, name, function):
    expected = function(HIDDEN, axis=0, ddof=1)
    check(reducer(name).reduce(STACK, VALID), expected, VALID.sum(axis=0) > 1)


def test_sums_and_counts(reducer):
    check(reducer("sum").reduce(STACK, VALID), np.nansum(HIDDEN, axis=0))
    everywhere = np.ones((6, 5), bool)
    check(reducer("count").reduce(STACK, VALID), VALID.sum(axis=0), everywhere)
    check(reducer("countEvery").reduce(STACK, VALID), np.full((6, 5), 7), everywhere)


def test_weights_weigh_sums_and_means_and_nothing_else(reducer):
    weights = np.where(VALID, RNG.random(STACK.shape), 0).astype(np.float32)
    double = weights.astype(float)
    total = (STACK * double).sum(axis=0)
    check(reducer("sum").reduce(STACK, weights), total)
    with np.errstate(invalid="ignore"):
        check(reducer("mean").reduce(STACK, weights), total / double.sum(axis=0))
    check(reducer("count").reduce(STACK, weights), VALID.sum(axis=0), np.ones((6, 5), bool))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 32, 33, 50])
def test_medians_of_any_number(reducer, count):
    stack = RNG.normal(size=(count, 4, 3)).astype(np.float32)
    values, _ = one(reducer("median").reduce(stack, None))
    np.testing.assert_allclose(values, np.median(stack.astype(float), axis=0), rtol=1e-6)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(reducer):
    stack = np.array([3, 1, 10, 2], np.uint8).reshape(4, 1, 1)
    assert one(reducer("median").reduce(stack, None))[0] == 2.5
    three = np.array([True, True, False, True]).reshape(4, 1, 1)
    assert one(reducer("median").reduce(stack, three))[0] == 2


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_percentiles_interpolate(reducer):
    chosen = reducer("percentile", [0, 10, 50, 87.5, 100])
    assert chosen.outputs == ("p0", "p10", "p50", "p87_5", "p100")
    expected = np.nanpercentile(HIDDEN, [0, 10, 50, 87.5, 100], axis=0)
    for found, wanted in zip(chosen.reduce(STACK, VALID), expected, strict=True):
        check([found], wanted)
    assert reducer("percentile", [5, 95], ["low", "high"]).outputs == ("low", "high")


def test_the_first_and_last_observed(reducer):
    first = np.array([next((v for v in column if v == v), 0) for column in HIDDEN.reshape(7, -1).T])
    last = np.array(
        [next((v for v in column[::-1] if v == v), 0) for column in HIDDEN.reshape(7, -1).T]
    )
    check(reducer("first").reduce(STACK, VALID), first.reshape(6, 5))
    check(reducer("lastNonNull").reduce(STACK, VALID), last.reshape(6, 5))


def test_modes_distinct_values_and_runs(reducer):
    stack = RNG.integers(0, 3, (9, 6, 5)).astype(np.uint8)
    valid = RNG.random(stack.shape) > 0.3
    valid[0] = True
    flat, seen = stack.reshape(9, -1).T, valid.reshape(9, -1).T
    kept = [column[mask] for column, mask in zip(flat, seen, strict=True)]
    everywhere = np.ones((6, 5), bool)
    mode = np.array([np.bincount(column).argmax() for column in kept]).reshape(6, 5)
    check(reducer("mode").reduce(stack, valid), mode, everywhere)
    distinct = np.array([len(set(column.tolist())) for column in kept]).reshape(6, 5)
    check(reducer("countDistinct").reduce(stack, valid), distinct, everywhere)
    runs = np.array([1 + np.count_nonzero(np.diff(column.astype(int))) for column in kept])
    check(reducer("countRuns").reduce(stack, valid), runs.reshape(6, 5), everywhere)


def test_truth_and_bits(reducer):
    stack = np.array([[12, 0, 7], [10, 4, 7], [8, 0, 7]], np.int32).reshape(3, 1, 3)
    valid = np.ones(stack.shape, bool)
    valid[:, 0, 2] = [True, False, False]
    observed = np.ones((1, 3), bool)
    check(reducer("allNonZero").reduce(stack, valid), np.array([[1, 0, 1]]), observed)
    check(reducer("anyNonZero").reduce(stack, valid), np.array([[1, 1, 1]]), observed)
    check(reducer("bitwiseAnd").reduce(stack, valid), np.array([[8, 0, 7]]), observed)
    check(reducer("bitwiseOr").reduce(stack, valid), np.array([[14, 4, 7]]), observed)


def test_extremes_take_other_inputs_along(reducer):
    other = np.arange(STACK.size, dtype=float).reshape(STACK.shape)
    chosen = reducer("max", 2)
    assert (chosen.inputs, chosen.outputs) == (2, ("max", "max1"))
    found = chosen.reduce(STACK, other, VALID)
    index = np.where(VALID, STACK, -np.inf).argmax(axis=0)
    check(found[:1], np.take_along_axis(STACK, index[None], 0)[0])
    check(found[1:], np.take_along_axis(other, index[None], 0)[0])


def test_a_line_is_fitted(reducer):
    x, y = RNG.normal(size=(2, 20))
    (slope, _), (offset, _) = reducer("linearFit").reduce(x, y, np.ones(20))
    assert [slope, offset] == pytest.approx(np.polyfit(x, y, 1).tolist())
    weights = RNG.random(20)
    (slope, _), (offset, _) = reducer("linearFit").reduce(x, y, weights)
    assert [slope, offset] == pytest.approx(np.polyfit(x, y, 1, w=np.sqrt(weights)).tolist())
    _, (_, fits) = reducer("linearFit").reduce(np.ones(3), np.arange(3.0), np.ones(3))
    assert not fits


def test_reducers_side_by_side(studio, reducer):
    both = studio.client.Reducer.mean().combine(studio.client.Reducer.max(), "", True)
    chosen = studio.compute(both)
    assert (chosen.inputs, chosen.outputs) == (1, ("mean", "max"))
    mean, highest = chosen.reduce(STACK, None)
    np.testing.assert_allclose(mean[0], STACK.mean(axis=0))
    np.testing.assert_array_equal(highest[0], STACK.max(axis=0))
    apart = studio.client.Reducer.mean().combine(studio.client.Reducer.mean(), "second_")
    assert studio.compute(apart).inputs == 2
    assert studio.compute(apart).outputs == ("mean", "second_mean")
    assert studio.info(apart.getOutputs()) == ["mean", "second_mean"]
    clash = studio.client.Reducer.mean().combine(studio.client.Reducer.mean())
    assert "'outputPrefix'" in studio.refused(clash)


def test_outputs_are_renamed_or_dropped(studio):
    chosen = studio.compute(studio.client.Reducer.minMax().setOutputs(["", "top"]))
    assert chosen.outputs == ("top",)
    np.testing.assert_array_equal(chosen.reduce(STACK, None)[0][0], STACK.max(axis=0))
    assert "2 output" in studio.refused(studio.client.Reducer.minMax().setOutputs(["a"]))


def test_unweighted_and_split_weights(studio):
    values, weights = np.array([1.0, 2, 9]), np.array([0.5, 0.25, 0])
    plain = studio.compute(studio.client.Reducer.mean().unweighted())
    assert one(plain.reduce(values, weights))[0] == 1.5
    split = studio.compute(studio.client.Reducer.mean().splitWeights())
    assert split.inputs == 2
    found = one(split.reduce(values, weights, np.ones(3)))[0]
    assert found == pytest.approx((0.5 + 0.5) / 0.75)


def test_repeated_and_named_copies(studio):
    repeated = studio.compute(studio.client.Reducer.mean().repeat(3))
    assert (repeated.inputs, repeated.outputs) == (3, ("mean",))
    columns = [np.array([1.0, 3]), np.array([5.0, 5]), np.array([0.0, 1])]
    assert repeated.reduce(*columns, np.ones(2)) == [([2, 5, 0.5], None)]
    each = studio.compute(studio.client.Reducer.minMax().forEach(["a", "b"]))
    assert each.outputs == ("a_min", "a_max", "b_min", "b_max")
    image = studio.client.Image([1, 2]).rename(["x", "y"])
    named = studio.compute(studio.client.Reducer.sum().forEachBand(image))
    assert (named.inputs, named.outputs) == (2, ("x", "y"))


def test_histograms_and_lists(studio):
    reducers = studio.client.Reducer
    values, weights = np.array([1, 2, 2, 5]), np.array([1.0, 0.5, 1, 0])
    table = studio.compute(reducers.frequencyHistogram()).reduce(values, weights)
    assert table == [({"1": 1, "2": 1.5}, None)]
    fixed = studio.compute(reducers.fixedHistogram(0, 4, 2)).reduce(values, weights)
    assert fixed[0][0].values.tolist() == [[0, 1.0], [2, 1.5]]
    summed = studio.compute(reducers.fixedHistogram(0, 4, 2, True)).reduce(values, weights)
    assert summed[0][0].values.tolist() == [[0, 1.0], [2, 2.5]]
    assert studio.compute(reducers.toList()).reduce(values, weights)[0][0] == [1, 2, 2]
    pairs = studio.compute(reducers.toList(2)).reduce(values, values * 2, weights)
    assert pairs[0][0] == [[1, 2], [2, 4], [2, 4]]


def test_histogram_buckets_are_powers_of_two(studio):
    values = np.array([0.0, 0.4, 1.9, 3.2, 3.3])
    ((found, _),) = studio.compute(studio.client.Reducer.histogram(4)).reduce(values, None)
    assert found["bucketWidth"] == 1
    assert found["bucketMin"] == 0
    assert found["histogram"] == [2, 1, 0, 2]
    assert found["bucketMeans"] == pytest.approx([0.2, 1.9, 2.5, 3.25])


def test_groups(studio):
    grouped = studio.compute(studio.client.Reducer.sum().group(1, "class"))
    values, classes = np.array([1.0, 2, 4, 8]), np.array([7, 3, 7, 3])
    weights = np.array([1, 1, 0.5, 0])
    assert grouped.reduce(values, classes, weights) == [
        ([{"class": 3, "sum": 2.0}, {"class": 7, "sum": 3.0}], None)
    ]
    assert (grouped.inputs, grouped.outputs) == (2, ("groups",))


def test_a_region_with_nothing_in_it(studio, reducer):
    nothing = np.empty(0)
    assert one(reducer("sum").reduce(nothing, nothing))[0] == 0
    assert one(reducer("count").reduce(nothing, nothing))[0] == 0
    for name in ("mean", "median", "max", "first", "mode", "stdDev", "product", "anyNonZero"):
        assert not one(reducer(name).reduce(nothing, nothing))[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sum", "double"),
        ("mean", "double"),
        ("median", "double"),
        ("max", "int"),
        ("mode", "int"),
        ("count", "int"),
        ("stdDev", "double"),
    ],
)
def test_types_of_outputs(studio, name, expected):
    made = studio.compute(getattr(studio.client.Reducer, name)())
    from water_gee.emulator.values import BYTE, FLOAT

    assert made.result_type(BYTE)[0].precision == expected
    floats = "float" if name not in ("sum", "count") else expected
    assert made.result_type(FLOAT)[0].precision == floats


def test_reducers_that_cannot_be_are_refused(studio):
    reducers = studio.client.Reducer
    assert "from 0 to 100" in studio.refused(reducers.percentile([101]))
    assert "cannot have 1 names" in studio.refused(reducers.percentile([1, 2], ["a"]))
    assert "'numInputs'" in studio.refused(reducers.max(0))
    assert "'groupField'" in studio.refused(reducers.sum().group(5))
    assert "not implemented" in studio.refused(reducers.kendallsCorrelation(2))
    image = studio.client.Image([1, 2])
    assert "regions only" in studio.refused_pixels(image.reduce(reducers.toList()))
