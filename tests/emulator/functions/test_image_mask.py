"""Masks: set, multiplied, read, filled, clipped."""

from __future__ import annotations

import numpy as np
import pytest
from studio import UTM, same

VALUES = np.arange(20.0).reshape(4, 5)
HOLES = np.ones((4, 5), bool)
HOLES[1, 1:3] = False
HOLES[3, 4] = False
SHAPE = (4, 5)


def test_masks_multiply(studio):
    other = np.ones(SHAPE)
    other[0, :2] = [0, 0.5]
    image = studio.raster(VALUES, mask=HOLES).updateMask(studio.raster(other))
    values, mask = studio.blocks(image)["b1"]
    expected = HOLES * other
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, expected.astype(np.float32))
    twice = studio.blocks(image.updateMask(studio.raster(other)))["b1"][1]
    np.testing.assert_array_equal(twice, (HOLES * other**2).astype(np.float32))
    np.testing.assert_array_equal(values, VALUES)


def test_a_masked_mask_masks(studio):
    mask = studio.raster(np.ones(SHAPE, np.uint8), mask=HOLES)
    same(studio.pixels(studio.raster(VALUES).updateMask(mask)), VALUES, HOLES)


def test_an_update_never_unmasks(studio):
    image = studio.raster(VALUES, mask=HOLES).updateMask(1)
    same(studio.pixels(image), VALUES, HOLES)


def test_masks_are_clamped(studio):
    values = np.array([[5, -3, 0, 1, 2]], np.int16)
    image = studio.raster(np.ones((1, 5))).updateMask(studio.raster(values))
    assert studio.blocks(image, (1, 5))["b1"][1].tolist() == [[True, False, False, True, True]]


def test_one_mask_serves_all_bands_or_one_each(studio):
    image = studio.raster(VALUES, VALUES)
    one = studio.blocks(image.updateMask(studio.raster(HOLES.astype(np.uint8))))
    assert all((mask == HOLES).all() for _, mask in one.values())
    each = studio.raster(HOLES.astype(np.uint8), np.ones(SHAPE, np.uint8))
    assert studio.blocks(image.updateMask(each))["b2"][1].all()
    three = studio.raster(VALUES, VALUES, VALUES)
    assert "1 band or as many" in studio.refused(image.updateMask(three))


def test_an_image_masks_itself(studio):
    values = np.array([[0.0, 0.5, 1, 2, -1]])
    mask = studio.blocks(studio.raster(values).selfMask(), (1, 5))["b1"][1]
    assert mask.tolist() == [[0, 0.5, 1, 1, 0]]


def test_the_mask_can_be_read(studio):
    image = studio.raster(VALUES, VALUES, mask=HOLES).mask()
    found = studio.blocks(image)
    assert list(found) == ["b1", "b2"]
    np.testing.assert_array_equal(found["b1"][0], HOLES.astype(np.float32))
    assert found["b1"][1].all()
    fractions = np.linspace(0, 1, 20, dtype=np.float32).reshape(4, 5)
    read = studio.blocks(studio.raster(VALUES, mask=fractions).mask())["b1"][0]
    np.testing.assert_array_equal(read, fractions)
    # Beyond the raster nothing is observed, and the mask says so.
    beyond = studio.blocks(image.select(0), (6, 7))["b1"][0]
    assert beyond[:4, :5].sum() == HOLES.sum()
    assert beyond.sum() == HOLES.sum()


def test_a_set_mask_replaces_and_fills_with_zero(studio):
    image = studio.raster(VALUES, mask=HOLES).mask(studio.raster(np.ones(SHAPE, np.uint8)))
    same(studio.pixels(image), np.where(HOLES, VALUES, 0))
    hidden = studio.raster(VALUES).mask(studio.raster(HOLES.astype(np.uint8)))
    same(studio.pixels(hidden), VALUES, HOLES)


def test_holes_are_filled_with_zero_a_number_or_an_image(studio):
    image = studio.raster(VALUES, mask=HOLES)
    same(studio.pixels(image.unmask()), np.where(HOLES, VALUES, 0))
    same(studio.pixels(image.unmask(-9.5)), np.where(HOLES, VALUES, -9.5))
    other = np.ones(SHAPE, bool)
    other[3, 4] = False
    filled = image.unmask(studio.raster(VALUES * 2, mask=other))
    same(studio.pixels(filled), np.where(HOLES, VALUES, VALUES * 2), HOLES | other)


def test_fractional_masks_stay_where_they_are_above_zero(studio):
    mask = np.full(SHAPE, 0.25, np.float32)
    mask[0, 0] = 0
    values, found = studio.blocks(studio.raster(VALUES + 1, mask=mask).unmask(7))["b1"]
    assert values[0, 0] == 7
    assert found[0, 0] == 1
    assert (found.ravel()[1:] == 0.25).all()


def test_filling_stays_in_the_footprint_unless_told_otherwise(studio):
    image = studio.raster(VALUES, mask=HOLES)
    inside = np.zeros((6, 7), bool)
    inside[:4, :5] = True
    expected = np.zeros((6, 7))
    expected[:4, :5] = np.where(HOLES, VALUES, 0)
    same(studio.pixels(image.unmask(0), (6, 7)), expected, inside)
    same(studio.pixels(image.unmask(0, False), (6, 7)), expected)
    assert studio.compute(image.unmask(0)).footprint is not None
    assert studio.compute(image.unmask(0, False)).footprint is None


def test_values_are_replaced_where_a_test_holds(studio):
    test = VALUES > 9
    value = studio.raster(-VALUES, mask=HOLES)
    image = studio.raster(VALUES).where(studio.raster(test.astype(np.uint8)), value)
    # Where the value is masked, the input stays; the input's own mask is kept.
    same(studio.pixels(image), np.where(test & HOLES, -VALUES, VALUES))
    masked = studio.raster(VALUES, mask=HOLES).where(1, 5)
    same(studio.pixels(masked), np.full(SHAPE, 5), HOLES)
    undecided = studio.raster(VALUES).where(studio.raster(np.ones(SHAPE), mask=HOLES), 5)
    same(studio.pixels(undecided), np.where(HOLES, 5, VALUES))


def test_one_image_lies_over_another(studio):
    bottom, top = studio.raster(VALUES), studio.raster(VALUES * 10, mask=HOLES)
    same(studio.pixels(bottom.blend(top)), np.where(HOLES, VALUES * 10, VALUES))
    same(studio.pixels(top.blend(bottom)), VALUES)
    half = studio.raster(np.full(SHAPE, 10.0), mask=np.full(SHAPE, 0.25, np.float32))
    same(studio.pixels(studio.raster(np.full(SHAPE, 2.0)).blend(half)), np.full(SHAPE, 4.0))


def rectangle(studio, west, south, east, north):
    return studio.client.Geometry.Rectangle(
        [west, south, east, north], proj="EPSG:32648", geodesic=False
    )


def test_clipping_keeps_pixels_whose_centre_is_inside(studio):
    # Columns 1 and 2 (centres 500045, 500075), rows 0 to 2 (centres 5999985 ... 5999925).
    region = rectangle(studio, 500_040, 5_999_920, 500_080, 6_000_000)
    expected = np.zeros(SHAPE, bool)
    expected[:3, 1:3] = True
    clipped = studio.raster(VALUES, mask=HOLES, properties={"a": 1}).clip(region)
    same(studio.pixels(clipped), VALUES, expected & HOLES)
    assert studio.compute(clipped).properties["a"] == 1
    feature = studio.client.Feature(region)
    same(studio.pixels(studio.raster(VALUES).clip(feature)), VALUES, expected)


def test_clipping_to_an_oblique_shape(studio):
    # A right triangle over 4 x 4 pixels: the centre (c + .5, r + .5) is inside where c < r, and on
    # the edge, which counts, where c = r.
    corners = [(500_000, 6_000_000), (500_000, 5_999_880), (500_120, 5_999_880)]
    region = studio.client.Geometry.Polygon([corners], "EPSG:32648", False)
    mask = ~np.ma.getmaskarray(studio.pixels(studio.raster(np.ones((4, 4))).clip(region), (4, 4)))
    below = np.tril(np.ones((4, 4), bool), -1)
    assert (mask[below]).all()
    assert not mask[np.triu(np.ones((4, 4), bool), 1)].any()


def test_clipping_to_many_features(studio):
    regions = [
        rectangle(studio, 500_000, 5_999_970, 500_030, 6_000_000),
        rectangle(studio, 500_090, 5_999_880, 500_150, 5_999_910),
    ]
    collection = studio.client.FeatureCollection([studio.client.Feature(one) for one in regions])
    expected = np.zeros(SHAPE, bool)
    expected[0, 0] = expected[3, 3:5] = True
    same(studio.pixels(studio.raster(VALUES).clipToCollection(collection)), VALUES, expected)
    empty = studio.client.FeatureCollection([])
    assert "no geometries" in studio.refused(studio.raster(VALUES).clipToCollection(empty))


@pytest.mark.parametrize("shape", [(200, 300)])
def test_large_regions_equal_shapely_point_by_point(studio, shape):
    import shapely

    star = shapely.Point(504_500, 5_997_000).buffer(2_500, quad_segs=5)
    star = star.difference(shapely.box(504_000, 5_996_000, 504_700, 5_998_800))
    region = studio.client.Geometry(shapely.geometry.mapping(star), "EPSG:32648", False)
    found = ~np.ma.getmaskarray(studio.pixels(studio.client.Image(1).clip(region), shape))
    cols, rows = np.meshgrid(np.arange(300) + 0.5, np.arange(200) + 0.5)
    x, y = UTM.coordinates(cols, rows)
    np.testing.assert_array_equal(found, shapely.contains_xy(star, x, y))
