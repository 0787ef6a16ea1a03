"""Which pixels are samples and what they weigh, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt

from water_gee.errors import TrainingError
from water_gee.imagery.recipe import Recipe
from water_gee.training.patches import (
    MARGIN,
    SHORE,
    Samples,
    balanced,
    check_classes,
    check_settings,
    on_shore,
    samples,
    usable,
)

INNER = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]


def tile(name, water, weight=None):
    water = np.asarray(water, np.uint8)
    height, width = water.shape
    weight = np.ones(water.shape, np.float32) if weight is None else weight
    return Samples(name, np.zeros((height + 6, width + 6, 8), np.float32), water, weight)


def lake(side=40, radius=6):
    rows, cols = np.ogrid[:side, :side]
    return ((rows - side // 2) ** 2 + (cols - side // 2) ** 2 < radius**2).astype(np.uint8)


# ------------------------------------------------------------------------------------- samples


def test_a_pixel_is_usable_where_each_of_its_49_neighbours_is_observed():
    rng = np.random.default_rng(0)
    features = rng.random((8, 40, 31)).astype(np.float32)
    for band, row, col in zip(*(rng.integers(0, n, 12) for n in features.shape), strict=True):
        features[band, row, col] = rng.choice([np.nan, np.inf])
    found = usable(features)
    assert found.shape == (34, 25)
    for row in range(34):
        for col in range(25):
            window = features[:, row : row + 7, col : col + 7]
            assert found[row, col] == np.isfinite(window).all()
    assert 0.2 < found.mean() < 0.9


def test_pixels_without_label_or_without_a_whole_window_are_no_samples():
    labels = np.zeros((20, 22), np.uint8)
    labels[:, 10:] = 1
    labels[12, 15] = 255
    features = np.zeros((8, 20, 22), np.float32)
    features[3, 5, 6] = np.nan
    found = samples("a", features, labels)
    expected = np.ones((20, 22))
    expected[12, 15] = 0
    expected[2:9, 3:10] = 0  # every window that holds (5, 6)
    np.testing.assert_array_equal(found.weight, expected[INNER])
    np.testing.assert_array_equal(found.water == 1, labels[INNER] == 1)
    assert found.features.shape == (20, 22, 8)
    assert np.isfinite(found.features).all()
    water = int((expected * (labels == 1))[INNER].sum())
    assert found.counts == (water, int(expected[INNER].sum()) - water)


def test_a_sample_weighs_what_its_label_is_trusted():
    trust = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    found = samples("a", np.zeros((8, 12, 12), np.float32), np.ones((12, 12), np.uint8), trust)
    np.testing.assert_array_equal(found.weight, trust[INNER])


def test_labels_of_another_shape_are_refused_by_name():
    with pytest.raises(TrainingError, match=r"^E1: labels are \(9, 9\), features \(10, 10\)"):
        samples("E1", np.zeros((8, 10, 10), np.float32), np.zeros((9, 9), np.uint8))


def test_a_tile_without_room_for_a_window_is_refused():
    with pytest.raises(TrainingError, match="no whole 7 x 7 window"):
        samples("E1", np.zeros((8, 6, 10), np.float32), np.zeros((6, 10), np.uint8))


# ------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(TrainingError, match=f"from 0 to 4294967295, not {seed}"):
        check_settings(Recipe(), seed)


def test_features_other_than_the_eight_are_refused():
    with pytest.raises(TrainingError, match=r"the recipe has Green, SWIR1$"):
        check_settings(Recipe(features=("Green", "SWIR1")), 0)


def test_one_class_alone_is_refused_by_its_name():
    with pytest.raises(TrainingError, match=r"no labelled water in 2 tile\(s\)"):
        check_classes([tile("a", np.zeros((9, 9))), tile("b", np.zeros((9, 9)))])
    with pytest.raises(TrainingError, match=r"no labelled land in 1 tile\(s\)"):
        check_classes([tile("a", np.ones((9, 9)))])


# ------------------------------------------------------------------------------------- weights


def shore_and_far(water):
    """Land near water and other land, by chessboard distance."""
    distance = distance_transform_cdt(water == 0, "chessboard")
    return (water == 0) & (distance <= SHORE), distance > SHORE


def test_land_counts_as_much_as_water_where_there_is_land_enough():
    waters = [lake(80, 20), lake(80, 22), np.zeros((80, 80), np.uint8)]
    found = balanced([tile(str(index), water) for index, water in enumerate(waters)])
    land = sum(float(each.weight[each.water == 0].sum()) for each in found)
    assert land == pytest.approx(sum(int(water.sum()) for water in waters), rel=1e-5)


def test_water_and_its_shore_keep_their_weight_and_far_land_shares_one():
    water = lake(80, 20)
    (found,) = balanced([tile("a", water)])
    shore, far = shore_and_far(water)
    assert (found.weight[water == 1] == 1).all()
    assert (found.weight[shore] == 1).all()
    assert np.unique(found.weight[far]).size == 1
    assert 0.1 <= found.weight[far][0] < 1


def test_far_land_never_falls_below_a_tenth():
    water = lake(100, 3)
    (found,) = balanced([tile("a", water)])
    _, far = shore_and_far(water)
    np.testing.assert_allclose(found.weight[far], 0.1)


def test_what_is_no_sample_stays_none_and_half_trust_stays_half():
    water = lake(40)
    weight = np.full(water.shape, 0.5, np.float32)
    weight[:5] = 0
    (found,) = balanced([tile("a", water, weight)])
    assert (found.weight[:5] == 0).all()
    assert (found.weight[water == 1] == 0.5).all()


def test_hard_pixels_are_those_near_both_water_and_land():
    water = lake(40)
    weight = np.ones(water.shape, np.float32)
    weight[:, :18] = 0
    found = on_shore(tile("a", water, weight))
    used = weight > 0
    near = [
        distance_transform_cdt(~(used & (water == kind)), "chessboard") <= SHORE for kind in (0, 1)
    ]
    np.testing.assert_array_equal(found, near[0] & near[1])
    assert 0 < found.sum() < water.size / 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [(7, np.uint8), (-9999, np.int16), (-1, np.int8), (0.99, np.float32), (np.nan, np.float64)],
)
def test_labels_with_other_codes_are_refused_by_name(code, kind):
    labels = np.zeros((9, 9), kind)
    labels[4, 4] = code
    words = rf"^E1: labels hold {code}, and not only 0 land, 1 water"
    with pytest.raises(TrainingError, match=words):
        samples("E1", np.zeros((8, 9, 9), np.float32), labels)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_the_three_codes_are_known_in_whatever_type(kind):
    labels = np.full((9, 9), 255, kind)
    labels[3:6, 3:6] = [[0, 0, 1], [1, 1, 255], [0, 255, 255]]
    assert samples("E1", np.zeros((8, 9, 9), np.float32), labels).counts == (3, 3)


def test_a_network_that_sees_farther_has_the_same_samples():
    """Around the tile, and in holes, the features are 0: their means."""
    features = np.ones((8, 30, 32), np.float32)
    features[2, 4, 4] = np.nan
    labels = np.ones((30, 32), np.uint8)
    ground = np.arange(960).reshape(30, 32) % 7
    near, far = (samples("a", features, labels, margin=m, stratum=ground) for m in (1, 5))
    assert far.weight.shape == far.water.shape == far.stratum.shape == (24, 26)
    assert (near.margin, far.margin) == (3, 5)
    expected = np.ones((24, 26))
    expected[:5, :5] = 0
    for found in (near, far):
        np.testing.assert_array_equal(found.weight, expected)
    np.testing.assert_array_equal(far.stratum, ground[3:-3, 3:-3])
    np.testing.assert_array_equal(far.features[2:-2, 2:-2], near.features)
    assert far.features.shape == (34, 36, 8)
    assert not far.features[:2].any()
    assert not far.features[:, -2:].any()
