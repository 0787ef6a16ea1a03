"""Array images against the examples that Google's reference prints, and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from studio import UTM

from water_gee.emulator.pixels import Context, Window, evaluate

GRID_SHAPE = (3, 4)


@pytest.fixture
def arrays(studio):
    """Return what gives the array of each pixel `(row, col, *array)` of an image's only band."""

    def compute(thing, shape=GRID_SHAPE, context=None):
        (band,) = studio.compute(thing).bands
        window = Window(0, 0, *shape)
        (block,) = evaluate([band.node], UTM, window, context or Context())
        assert block.shape == shape
        return block

    return compute


@pytest.fixture
def pixel(arrays, client):
    """Return what gives one pixel's array as lists, on unbounded images all the same."""

    def compute(thing):
        block = arrays(thing, (2, 2))
        assert block.mask is None
        items = [np.asarray(item) for row in block.values for item in row]
        assert all(np.array_equal(item, items[0]) for item in items)
        return items[0].tolist()

    return compute


@pytest.fixture
def line(client):
    """Return what makes an image of 1-D arrays."""

    def make(*numbers):
        return client.Image(list(numbers)).toArray()

    return make


@pytest.fixture
def table(client, line):
    """Return what makes an image of 2-D arrays from numbers and lengths."""

    def make(numbers, rows, cols):
        return line(*numbers).arrayReshape(client.Image([rows, cols]).toArray(), 2)

    return make


def test_bands_become_an_array_and_a_column(client, line, pixel):
    assert pixel(line(0, 1, 2)) == [0, 1, 2]
    assert pixel(line(0, 1, 2).toArray(1)) == [[0], [1], [2]]
    assert pixel(client.Image(client.Array([[1, 2], [3, 4]]))) == [[1, 2], [3, 4]]


def test_a_reshaped_array_is_filled_row_by_row(client, line, table, pixel):
    assert pixel(table(range(6), 2, 3)) == [[0, 1, 2], [3, 4, 5]]
    assert pixel(table(range(6), 3, -1)) == [[0, 1], [2, 3], [4, 5]]
    flat = table(range(6), 2, 3).arrayReshape(client.Image([-1]).toArray(), 1)
    assert pixel(flat) == [0, 1, 2, 3, 4, 5]


def test_axes_are_projected_transposed_and_repeated(line, pixel):
    column = line(0, 1, 2).toArray(1)
    assert pixel(column.arrayProject([0])) == [0, 1, 2]
    assert pixel(column.arrayTranspose()) == [[0, 1, 2]]
    assert pixel(line(0, 1, 2).arrayRepeat(0, 3)) == [0, 1, 2] * 3
    assert pixel(line(0, 1, 2).arrayRepeat(1, 3)) == [[0, 0, 0], [1, 1, 1], [2, 2, 2]]
    assert pixel(line(0, 1).arrayRepeat(1, 2).arrayRepeat(0, 2)) == [[0, 0], [1, 1]] * 2


def test_an_array_is_flattened_into_bands_named_by_labels(client, line, studio):
    two = line(0, 1, 2).arrayRepeat(1, 2)
    flat = two.arrayFlatten([["row0", "row1", "row2"], ["col0", "col1"]])
    names = ["row0_col0", "row0_col1", "row1_col0", "row1_col1", "row2_col0", "row2_col1"]
    assert studio.info(flat.bandNames()) == names
    found = studio.blocks(flat, (2, 2))
    assert [values[0, 0] for values, _ in found.values()] == [0, 0, 1, 1, 2, 2]
    assert studio.info(line(1).arrayFlatten([["x"]], "-").bandNames()) == ["x"]


def test_arrays_are_sliced(line, table, pixel):
    twelve = line(*range(12))
    assert pixel(twelve.arraySlice(0, 0, 3)) == [0, 1, 2]
    assert pixel(twelve.arraySlice(0, -3)) == [9, 10, 11]
    assert pixel(twelve.arraySlice(0, 3, 6)) == [3, 4, 5]
    assert pixel(twelve.arraySlice(0, 4)) == list(range(4, 12))
    assert pixel(twelve.arraySlice(0, 0, None, 3)) == [0, 3, 6, 9]
    assert pixel(twelve.arraySlice(0, 5, 5)) == []
    three = table(range(12), 3, 4)
    assert pixel(three.arraySlice(0, 1, 2)) == [[4, 5, 6, 7]]
    assert pixel(three.arraySlice(1, 1, 2)) == [[1], [5], [9]]
    assert pixel(three.arraySlice(1, 0, -1)) == [[0, 1, 2], [4, 5, 6], [8, 9, 10]]


def test_arrays_are_put_behind_each_other(line, pixel):
    a, b = line(0, 1, 2), line(3, 4, 5)
    assert pixel(a.arrayCat(b, 0)) == [0, 1, 2, 3, 4, 5]
    assert pixel(a.arrayCat(b, 1)) == [[0, 3], [1, 4], [2, 5]]
    assert pixel(a.toArray(1).arrayCat(b.toArray(1), 0)) == [[0], [1], [2], [3], [4], [5]]
    assert pixel(a.toArray(1).arrayCat(b.toArray(1), 1)) == [[0, 3], [1, 4], [2, 5]]


def test_arrays_are_reduced_along_axes(client, line, table, pixel):
    total, ends = client.Reducer.sum(), client.Reducer.minMax()
    assert pixel(line(*range(6)).arrayReduce(total, [0])) == [15]
    two = table(range(6), 2, 3)
    assert pixel(two.arrayReduce(total, [0])) == [[3, 5, 7]]
    assert pixel(two.arrayReduce(total, [1])) == [[3], [12]]
    assert pixel(two.arrayReduce(total, [0, 1])) == [[15]]
    assert pixel(line(*range(6)).toArray(1).arrayReduce(ends, [0], 1)) == [[0, 5]]
    assert pixel(two.toArray(2).arrayReduce(ends, [0], 2)) == [[[0, 3], [1, 4], [2, 5]]]


def test_arrays_are_accumulated(client, line, table, pixel):
    assert pixel(line(1, 2, 3).arrayAccum(0)) == [1, 3, 6]
    three = table(range(1, 10), 3, 3)
    assert pixel(three.arrayAccum(0, client.Reducer.sum())) == [[1, 2, 3], [5, 7, 9], [12, 15, 18]]
    assert pixel(three.arrayAccum(1, client.Reducer.sum())) == [[1, 3, 6], [4, 9, 15], [7, 15, 24]]


def test_arrays_are_padded(line, table, pixel):
    assert pixel(line(0, 1, 2).arrayPad([5], 9)) == [0, 1, 2, 9, 9]
    assert pixel(table(range(6), 2, 3).arrayPad([3, 5], 9)) == [
        [0, 1, 2, 9, 9],
        [3, 4, 5, 9, 9],
        [9, 9, 9, 9, 9],
    ]


def test_arrays_are_sorted_by_their_numbers_or_by_keys(line, table, pixel):
    numbers = (0, 10, 6, 5, 4, 7, 11, 1, 2, 9, 8, 3)
    keys = line(99, 98, 50, 45, 23, 18, 9, 8, 7, 5, 2, 0)
    assert pixel(line(*numbers).arraySort()) == sorted(numbers)
    assert pixel(line(*numbers).arraySort(keys)) == [3, 8, 9, 2, 1, 11, 7, 4, 5, 6, 10, 0]
    three = table(numbers, 3, 4)
    rows = line(3, 2, 1, 0).toArray(1).arrayTranspose()
    assert pixel(three.arraySort(rows)) == [[5, 6, 10, 0], [1, 11, 7, 4], [3, 8, 9, 2]]
    columns = line(2, 1, 0).toArray(1)
    assert pixel(three.arraySort(columns)) == [[2, 9, 8, 3], [4, 7, 11, 1], [0, 10, 6, 5]]


def test_arrays_are_thinned_out_by_a_mask(line, table, pixel):
    # A comparison with one number meets every number of the array: the page of arrayMask.
    six = line(0, 1, 2, 4, 0, 5)
    assert pixel(six.lte(2)) == [1, 1, 1, 0, 1, 0]
    assert pixel(six.arrayMask(six.lte(2))) == [0, 1, 2, 0]
    assert pixel(six.arrayMask(six)) == [1, 2, 4, 5]
    two = table([0, 1, 2, 4, 0, 5], 2, 3)
    assert pixel(two.arrayMask(two.arraySlice(0, 1, 2))) == [[0, 2], [4, 5]]
    assert pixel(two.arrayMask(two.arraySlice(1, 1, 2))) == [[0, 1, 2]]


def test_places_lengths_and_products(client, line, table, pixel):
    six = (0, 1, 5, 2, 3, 4)
    assert pixel(line(*six).arrayArgmax()) == [2]
    assert pixel(table(six, 2, 3).arrayArgmax()) == [0, 2]
    assert pixel(table(range(6), 2, 3).arrayGet([0, 2])) == 2
    assert pixel(line(*range(6)).arrayGet(3)) == 3
    column = line(0, 1, 2).toArray(1)
    assert pixel(column.arrayDimensions()) == 2
    assert pixel(column.arrayLengths()) == [3, 1]
    assert pixel(column.arrayLength(0)) == 3
    assert pixel(column.arrayLength(1)) == 1
    assert pixel(line(0, 1, 2).arrayDotProduct(line(3, 4, 5))) == 14


def test_a_neighbourhood_has_rows_before_columns(client, studio, arrays):
    values = np.arange(20.0).reshape(4, 5)
    kernel = client.Kernel.rectangle(1, 1)
    block = arrays(studio.raster(values).neighborhoodToArray(kernel), (4, 5))
    assert block.values[1, 2].tolist() == values[0:3, 1:4].tolist()
    # An image's edge is masked: the default value stands for what lies beyond.
    assert block.values[0, 0].tolist() == [[0, 0, 0], [0, 0, 1], [0, 5, 6]]
    assert block.mask is None or block.mask.all()


def test_masked_neighbours_take_the_default_and_the_centre_keeps_its_mask(client, studio, arrays):
    values = np.arange(9.0).reshape(3, 3)
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)
    kernel = client.Kernel.fixed(weights=[[9, 9, 9]])
    block = arrays(studio.raster(values, mask=mask).neighborhoodToArray(kernel, -7), (3, 3))
    assert block.mask.tolist() == mask.tolist()
    assert block.values[1, 1].tolist() == [[3, 4, -7]]
    assert block.values[2, 2].tolist() == [[7, 8, -7]]


def test_a_default_is_cut_to_the_bands_type(client, studio, arrays):
    whole = studio.raster(np.array([[1, 2]], np.uint8))
    kernel = client.Kernel.fixed(weights=[[1, 1, 1]])
    assert arrays(whole.neighborhoodToArray(kernel, 3.9), (1, 2)).values[0, 0].tolist() == [
        [3, 1, 2]
    ]
    assert arrays(whole.neighborhoodToArray(kernel, -4), (1, 2)).values[0, 0].tolist() == [
        [0, 1, 2]
    ]


def test_an_array_is_masked_where_any_band_is(client, studio, arrays):
    holes = np.array([[1, 0, 1]], bool)
    one = studio.raster(np.array([[1.0, 2, 3]]), mask=holes)
    two = studio.raster(np.array([[4.0, 5, 6]]))
    block = arrays(client.Image.cat([one, two]).toArray(), (1, 3))
    assert block.mask.tolist() == holes.tolist()
    assert block.values[0, 2].tolist() == [3, 6]


def test_operators_work_number_by_number(line, pixel):
    a, b = line(1, 2, 3), line(10, 20, 30)
    assert pixel(a.add(b)) == [11, 22, 33]
    assert pixel(b.divide(a)) == [10, 10, 10]
    assert pixel(a.max(2)) == [2, 2, 3]
    assert pixel(a.subtract(2).abs().toByte()) == [1, 0, 1]
    assert pixel(a.eq(2).Not()) == [1, 0, 1]
    assert pixel(a.exp()) == pytest.approx(np.exp([1, 2, 3]).tolist(), rel=1e-15)


def test_shapes_may_differ_from_pixel_to_pixel(client, studio, arrays):
    # Each pixel keeps the numbers that are not 0: one, two, none; the last one is masked.
    one = studio.raster(np.array([[1.0, 3, 0, 9]]), mask=np.array([[1, 1, 1, 0]], bool))
    two = studio.raster(np.array([[0.0, 4, 0, 9]]))
    thin = client.Image.cat([one, two]).toArray()
    thin = thin.arrayMask(thin)
    block = arrays(thin, (1, 4))
    assert [block.values[0, place].tolist() for place in range(3)] == [[1], [3, 4], []]
    assert block.mask.tolist() == [[True, True, True, False]]
    length = arrays(thin.arrayLength(0), (1, 4))
    assert length.values[0, :3].tolist() == [1, 2, 0]
    doubled = arrays(thin.multiply(2).arrayCat(thin, 0), (1, 4))
    assert [doubled.values[0, place].tolist() for place in range(3)] == [[2, 1], [6, 8, 3, 4], []]
    total = arrays(thin.arrayReduce(client.Reducer.sum(), [0]).arrayGet(0), (1, 4))
    assert total.values[0, :2].tolist() == [1, 7]
    padded = arrays(thin.arrayPad([2]).arrayFlatten([["a", "b"]]).select("b"), (1, 4))
    assert padded.values[0, :3].tolist() == [0, 4, 0]


def test_positions_may_differ_from_pixel_to_pixel(client, studio, arrays):
    place = studio.raster(np.array([[0, 2, 1]], np.int32))
    six = client.Image([10, 20, 30]).toArray()
    assert arrays(six.arrayGet(place), (1, 3)).values.tolist() == [[10, 30, 20]]
    cut = arrays(six.arraySlice(0, place), (1, 3))
    assert [cut.values[0, n].tolist() for n in range(3)] == [[10, 20, 30], [30], [20, 30]]


def test_windows_cut_for_memory_give_the_same_arrays(client, studio, arrays):
    values = np.random.default_rng(3).normal(size=(96, 80))
    image = studio.raster(values).neighborhoodToArray(client.Kernel.square(1))
    image = image.arrayReshape(client.Image([9]).toArray(), 1)
    whole = arrays(image, (96, 80)).values
    pieces = arrays(image, (96, 80), Context(budget=100_000)).values
    assert np.array_equal(whole, pieces)


def test_arrays_are_masked_clipped_and_sampled(client, studio):
    values = np.arange(12.0).reshape(3, 4)
    image = studio.raster(values).addBands(studio.raster(values * 2)).toArray()
    image = image.updateMask(studio.raster(values).gt(2)).rename("pair")
    rows = studio.info(image.sample())
    assert [row["properties"]["pair"] for row in rows["features"]][:2] == [[3, 6], [4, 8]]
    assert len(rows["features"]) == 9


def test_an_array_image_is_described_with_its_dimensions(client, studio):
    shown = studio.info(client.Image([1.5, 2]).toArray().toArray(1))
    (band,) = shown["bands"]
    assert band["id"] == "array"
    assert band["data_type"]["dimensions"] == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda ee, a: a.arrayReshape(ee.Image([4]).toArray(), 1), "Cannot reshape array"),
        (lambda ee, a: a.arrayProject([1]), "axis 1 is out of range"),
        (lambda ee, a: a.toArray(1).arrayProject([1]), "at most length 1"),
        (lambda ee, a: a.arrayFlatten([["x", "y"]]), "arrays of shape [2]. Got [3]"),
        (lambda ee, a: a.arrayFlatten([["x", "x", "z"]]), "Duplicate band name"),
        (lambda ee, a: a.arrayFlatten([["x", "y", "z"], ["w"]]), "2 list(s) of labels"),
        (lambda ee, a: a.add(ee.Image([1, 2]).toArray()), "Got [3] and [2]"),
        (lambda ee, a: a.arrayCat(ee.Image(1), 0), "holds numbers"),
        (lambda ee, a: ee.Image(1).arrayProject([0]), "holds numbers"),
        (lambda ee, a: a.arrayGet(7), "out of bounds"),
        (lambda ee, a: a.arrayGet([0, 0]), "1 band(s)"),
        (lambda ee, a: a.convolve(ee.Kernel.square(1)), "holds arrays of 1 dimension"),
        (lambda ee, a: a.reduce(ee.Reducer.sum()), "Image.reduce: The band 'array' holds arrays"),
        (lambda ee, a: a.neighborhoodToArray(ee.Kernel.square(1)), "holds arrays"),
        (lambda ee, a: ee.Image(1).updateMask(a), "argument 'mask'"),
        (lambda ee, a: a.matrixMultiply(a), "column(s)"),
        (lambda ee, a: a.arrayReduce(ee.Reducer.minMax(), [0]), "needs a 'fieldAxis'"),
        (lambda ee, a: a.arraySlice(0, 0, 2, 0), "'step' must be positive"),
        (lambda ee, a: a.toArray(3), "'axis' must be from 0 to 1"),
        (
            lambda ee, a: ee.Image(1).neighborhoodToArray(ee.Kernel.square(30, "meters")),
            "Kernels in meters",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(client, studio, line, make, words):
    message = studio.refused(make(client, line(1, 2, 3)))
    assert words in message
    assert "\n" not in message


def test_arrays_of_another_shape_than_known_are_refused_at_the_pixel(client, studio):
    thin = client.Image(studio.raster(np.array([[1.0, 0]]))).addBands(5).toArray()
    thin = thin.arrayMask(thin)
    message = studio.refused_pixels(thin.arrayFlatten([["a", "b"]]), (1, 2))
    assert "arrays of shape [2]. Got [1]" in message
