"""ImageCollection: composites against NumPy, one pixel at a time."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.emulator import values as v
from water_gee.emulator.evaluator import Evaluator
from water_gee.emulator.nodes import Placed
from water_gee.emulator.pixels import Block, Context, Grid, Window, evaluate
from water_gee.emulator.registry import bad_request
from water_gee.errors import ServiceError

SHAPE = (7, 5)
GRID = Grid("EPSG:32648", (30.0, 0.0, 500000.0, 0.0, -30.0, 1000000.0))
WINDOW = Window(0, 0, *SHAPE)
UTM = v.Projection(GRID.crs, GRID.transform)


def band(name, values, mask=None, kind=None):
    """Return a band that has an array at the test's window and knows nothing elsewhere."""

    def pixels(grid, window, context):
        cut = (
            slice(window.row, window.row + window.height),
            slice(window.col, window.col + window.width),
        )
        return Block(values[cut], None if mask is None else mask[cut])

    kind = kind or v.PixelType.of_dtype(values.dtype)
    return v.Band(name, kind, Placed((), pixels, kind.dtype), UTM)


class Assets:
    """Collections of images made of arrays."""

    def __init__(self, collections):
        self.collections = collections

    def load_image(self, asset_id):
        raise bad_request(f"Image.load: Image asset '{asset_id}' not found")

    def load_collection(self, asset_id):
        if asset_id not in self.collections:
            raise bad_request(f"ImageCollection.load: asset '{asset_id}' not found")
        images = tuple(
            v.Image(tuple(bands), {"system:index": f"i{place}", "system:time_start": place})
            for place, bands in enumerate(self.collections[asset_id])
        )
        return v.Collection(images, "ImageCollection")


def season(count, masked, seed=3, dtype=np.uint16):
    """Return stacks of values and masks, `(n, row, col)`."""
    rng = np.random.default_rng(seed)
    stack = rng.integers(0, 9, (count, *SHAPE)).astype(dtype)
    return stack, (rng.random(stack.shape) > 0.4) if masked else None


STACKS = {
    "even": season(4, False),
    "odd": season(5, False, seed=4, dtype=np.float32),
    "holes": season(6, True),
    "float": season(5, True, seed=5, dtype=np.float32),
    "many": season(60, True, seed=6),
}


@pytest.fixture(scope="module")
def evaluator():
    collections = {
        name: [
            [band("a", values, None if mask is None else mask[place])]
            for place, values in enumerate(stack)
        ]
        for name, (stack, mask) in STACKS.items()
    }
    one, two = np.ones(SHAPE, np.uint8), np.full(SHAPE, 2, np.uint8)
    collections["pair"] = [
        [band("a", one), band("q", one)],
        [band("q", two, np.eye(*SHAPE) > 0), band("a", two)],
    ]
    collections["uneven"] = [[band("a", one)], [band("a", one), band("b", one)]]
    return Evaluator(Assets(collections))


@pytest.fixture
def image(client, evaluator):
    """Return a function that evaluates an image."""
    return lambda thing: evaluator.compute(client.serializer.encode(thing, for_cloud_api=True))


@pytest.fixture
def pixels(image):
    """Return a function that gives an image's bands as masked arrays."""

    def compute(thing):
        bands = image(thing).bands
        blocks = evaluate([one.node for one in bands], GRID, WINDOW)
        arrays = {}
        for one, block in zip(bands, blocks, strict=True):
            valid = np.ones(SHAPE, bool) if block.mask is None else block.mask > 0
            assert block.values.dtype == one.type.dtype
            arrays[one.name] = np.ma.array(block.values, mask=~valid)
        return arrays

    return compute


def masked(name):
    stack, mask = STACKS[name]
    return np.ma.array(stack.astype(np.float64), mask=False if mask is None else ~mask)


def mode(stack):
    """Return the commonest value of each place, the smallest of several."""
    result = np.ma.masked_all(SHAPE)
    for place in np.ndindex(SHAPE):
        column = stack[(slice(None), *place)].compressed()
        if column.size:
            found, often = np.unique(column, return_counts=True)
            result[place] = found[np.argmax(often)]
    return result


EXPECTED = {
    "min": lambda stack: stack.min(axis=0),
    "max": lambda stack: stack.max(axis=0),
    "mean": lambda stack: stack.mean(axis=0),
    "median": lambda stack: np.ma.median(stack, axis=0),
    "sum": lambda stack: stack.sum(axis=0),
    "product": lambda stack: stack.prod(axis=0),
    "mode": mode,
    "And": lambda stack: (stack != 0).all(axis=0).astype(float),
    "Or": lambda stack: (stack != 0).any(axis=0).astype(float),
}


def assert_same(found, expected):
    assert np.array_equal(np.ma.getmaskarray(found), np.ma.getmaskarray(expected))
    np.testing.assert_allclose(found.compressed(), expected.compressed(), rtol=1e-6)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("name", EXPECTED)
def test_composites_are_numpys(client, pixels, name, stack):
    found = pixels(getattr(client.ImageCollection(stack), name)())
    assert list(found) == ["a"]
    assert_same(found["a"], EXPECTED[name](masked(stack)))


@pytest.mark.parametrize("stack", STACKS)
def test_count_is_never_masked(client, pixels, stack):
    found = pixels(client.ImageCollection(stack).count())["a"]
    assert not np.ma.getmaskarray(found).any()
    assert np.array_equal(found.data, masked(stack).count(axis=0))


def test_medians_of_even_counts_are_between_the_middle_two(client, pixels):
    ordered = np.sort(STACKS["even"][0].astype(float), axis=0)
    found = pixels(client.ImageCollection("even").median())["a"]
    assert np.array_equal(found.data, (ordered[1] + ordered[2]) / 2)


def test_reduce_names_bands_by_output(client, pixels):
    found = pixels(client.ImageCollection("holes").reduce(client.Reducer.minMax()))
    assert list(found) == ["a_min", "a_max"]
    assert_same(found["a_min"], masked("holes").min(axis=0))
    assert_same(found["a_max"], masked("holes").max(axis=0))
    percentiles = client.ImageCollection("odd").reduce(client.Reducer.percentile([0, 50, 100]))
    found = pixels(percentiles)
    assert list(found) == ["a_p0", "a_p50", "a_p100"]
    assert_same(found["a_p50"], np.ma.median(masked("odd"), axis=0))


def test_a_reducer_of_two_inputs_takes_both_bands(client, pixels, image):
    pair = client.ImageCollection("pair").select(["a", "q"])
    found = pixels(pair.reduce(client.Reducer.linearFit()))
    assert list(found) == ["scale", "offset"]
    # Two points (1, 1) and (2, 2) on the diagonal, one elsewhere.
    assert found["scale"][0, 0] == pytest.approx(1)
    assert found["offset"][0, 0] == pytest.approx(0, abs=1e-12)
    with pytest.raises(ServiceError, match="the reducer has 2 inputs but the images have 1 bands"):
        image(pair.select("a").reduce(client.Reducer.linearFit()))


def test_composites_are_on_one_degree_of_wgs84_without_bounds(client, image):
    for composite in (
        client.ImageCollection("holes").median(),
        client.ImageCollection("holes").mosaic(),
        client.ImageCollection("holes").reduce(client.Reducer.mean()),
    ):
        made = image(composite)
        assert made.bands[0].projection == v.WGS84_ONE_DEGREE
        assert made.bands[0].dimensions is None
        assert made.footprint is None
        assert dict(made.properties) == {}


def test_an_empty_collection_gives_an_image_without_bands(client, image):
    none = client.ImageCollection("holes").filterDate("1980", "1981")
    for composite in (none.median(), none.mosaic(), none.toBands(), none.reduce("mean")):
        assert image(composite).bands == ()


def test_mosaic_puts_the_last_observed_on_top(client, pixels):
    stack = masked("holes")
    expected = np.ma.masked_all(SHAPE)
    for layer in stack:
        expected = np.ma.where(np.ma.getmaskarray(layer), expected, layer)
    assert_same(pixels(client.ImageCollection("holes").mosaic())["a"], expected)


def test_bands_are_matched_by_name(client, pixels):
    found = pixels(client.ImageCollection("pair").mosaic())
    assert list(found) == ["a", "q"]
    assert np.array_equal(found["a"].data, np.full(SHAPE, 2))
    assert np.array_equal(found["q"].data, np.where(np.eye(*SHAPE) > 0, 2, 1))


def test_quality_mosaic_takes_the_best_pixel(client, pixels, image):
    found = pixels(client.ImageCollection("pair").qualityMosaic("q"))
    assert np.array_equal(found["a"].data, np.where(np.eye(*SHAPE) > 0, 2, 1))
    assert np.array_equal(found["q"].data, np.where(np.eye(*SHAPE) > 0, 2, 1))
    with pytest.raises(ServiceError, match="Quality band 'z' is not in the collection"):
        image(client.ImageCollection("pair").qualityMosaic("z"))


def test_images_of_other_bands_are_refused_in_the_services_words(client, image):
    with pytest.raises(ServiceError) as caught:
        image(client.ImageCollection("uneven").median())
    assert caught.value.message == (
        "reduce.median: Expected a homogeneous image collection, but an image with incompatible "
        "bands was encountered:\nFirst image type: 1 bands ([a]).\n"
        "Current image type: 2 bands ([a, b]).\nSome bands might require explicit casts."
    )


def test_to_bands_names_bands_by_index(client, pixels, image):
    found = pixels(client.ImageCollection("even").limit(2).toBands())
    assert list(found) == ["i0_a", "i1_a"]
    assert np.array_equal(found["i1_a"].data, STACKS["even"][0][1])
    assert image(client.ImageCollection("even").toBands()).bands[0].projection == UTM


def test_from_images(client, info, value):
    made = client.ImageCollection([client.Image(1), client.Image(2).set("system:index", "x")])
    assert info(made.aggregate_array("system:index")) == ["0", "x"]
    nested = client.ImageCollection.fromImages([made, client.Image(3)])
    assert info(nested.size()) == 3
    assert value(client.ImageCollection([])).kind == "ImageCollection"


def test_merge_and_first(client, image):
    both = client.ImageCollection("even").merge(client.ImageCollection("pair").select("a"))
    merged = image(both)
    assert [one.properties["system:index"] for one in merged] == [
        "1_i0", "1_i1", "1_i2", "1_i3", "2_i0", "2_i1",
    ]  # fmt: skip
    assert merged.kind == "ImageCollection"
    assert image(both.first()).names == ("a",)


def test_map_keeps_being_of_images(client, pixels, image):
    doubled = client.ImageCollection("even").map(lambda one: one.multiply(2))
    assert image(doubled).kind == "ImageCollection"
    assert np.array_equal(
        pixels(doubled.max())["a"].data, STACKS["even"][0].max(axis=0).astype(int) * 2
    )


def test_an_unknown_collection_is_refused(client, image):
    with pytest.raises(ServiceError, match="asset 'NONE' not found"):
        image(client.ImageCollection("NONE").size())


def test_cast_adds_masked_bands(client, pixels, image):
    made = client.ImageCollection("uneven").cast({"a": "uint8", "b": "float"}, ["a", "b"])
    first = client.Image(made.toList(1).get(0))
    found = pixels(first)
    assert list(found) == ["a", "b"]
    assert np.ma.getmaskarray(found["b"]).all()
    assert image(first).bands[1].type == v.FLOAT
    with pytest.raises(ServiceError, match="lacks the band 'b'"):
        image(client.ImageCollection("uneven").cast({"a": "int8"}, ["a"]))


def test_cast_holds_the_range(client, pixels):
    scaled = client.ImageCollection("even").map(lambda one: one.multiply(100))
    cast = scaled.cast({"a": "uint8"}, ["a"])
    assert pixels(cast.max())["a"].data.max() == 255


def test_combine_joins_by_index(client, image):
    pair = client.ImageCollection("pair").select("a")
    joined = image(client.ImageCollection("even").combine(pair))
    assert [one.names for one in joined] == [("a", "a_1"), ("a", "a_1")]
    over = image(client.ImageCollection("even").combine(pair, True))
    assert [one.names for one in over] == [("a",), ("a",)]


def test_strips_do_not_show(client, image, monkeypatch):
    from water_gee.emulator import stack

    node = image(client.ImageCollection("many").median()).bands[0].node
    whole = evaluate([node], GRID, WINDOW, Context())[0]
    monkeypatch.setattr(stack, "STRIP_BYTES", 60 * 5 * 4 * 2)
    cut = evaluate([node], GRID, WINDOW, Context())[0]
    assert np.array_equal(whole.values, cut.values)
    assert (whole.mask is None) == (cut.mask is None)
    assert whole.mask is None or np.array_equal(whole.mask, cut.mask)
