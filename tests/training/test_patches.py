"""Which pixels are samples, what they weigh and where they go, against plain loops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.ndimage import distance_transform_cdt

from water_gee.errors import FewCellsWarning, TrainingError
from water_gee.imagery.recipe import Recipe
from water_gee.training.patches import (
    GAP,
    MARGIN,
    SHORE,
    Crops,
    Samples,
    balanced,
    check_classes,
    check_settings,
    samples,
    split,
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


# --------------------------------------------------------------------------------------- split


def wet_and_dry(count):
    """Cells of which every third has no water at all."""
    return [tile(f"E{i}", lake() if i % 3 else np.zeros((40, 40))) for i in range(count)]


@pytest.mark.parametrize("count", [4, 9, 17])
def test_cells_are_set_aside_whole_and_both_parts_have_both_classes(count):
    tiles = wet_and_dry(count)
    for seed in range(5):
        training, validation = split(tiles, seed)
        names = [[each.name for each in part] for part in (training, validation)]
        assert not set(names[0]) & set(names[1])
        assert sorted(names[0] + names[1]) == sorted(each.name for each in tiles)
        assert len(validation) == count // 4
        for part in (training, validation):
            assert sum(each.water.sum() for each in part) > 0
            assert sum((each.water == 0).sum() for each in part) > 0


def test_the_seed_alone_decides_the_split():
    tiles = wet_and_dry(17)
    names = [[each.name for each in split(tiles, seed)[1]] for seed in (0, 0, 1, 2, 3)]
    assert names[0] == names[1]
    assert len({tuple(each) for each in names}) > 1


def test_few_cells_are_split_by_blocks_seven_pixels_apart():
    rng = np.random.default_rng(0)
    tiles = [tile(name, rng.integers(0, 2, (501, 380))) for name in "ab"]
    with pytest.warns(FewCellsWarning, match=r"^2 cell\(s\): validation takes blocks .* 7 pixels"):
        training, validation = split(tiles, 0)
    for whole, trains, validates in zip(tiles, training, validation, strict=True):
        assert trains.name == validates.name == whole.name
        inside = validates.weight > 0
        away = distance_transform_cdt(~inside, "chessboard")  # 1 beside a validation pixel
        np.testing.assert_array_equal(trains.weight > 0, away > GAP)
        assert 0.15 < inside.mean() < 0.35


def test_one_wet_cell_among_many_is_split_by_blocks():
    tiles = [tile("wet", np.random.default_rng(0).integers(0, 2, (260, 260)))]
    tiles += [tile(f"dry{i}", np.zeros((260, 260))) for i in range(4)]
    with pytest.warns(FewCellsWarning, match="blocks inside cells"):
        training, validation = split(tiles, 0)
    assert len(training) == len(validation) == 5
    assert training[0].counts[0] > 0 < validation[0].counts[0]


def test_too_little_water_to_set_aside_is_said():
    water = np.zeros((40, 40), np.uint8)
    water[3, 3] = 1
    with pytest.warns(FewCellsWarning, match="what trains also validates"):
        training, validation = split([tile("a", water)], 0)
    assert training[0].counts == validation[0].counts == (1, 1599)


def test_whole_cells_are_set_aside_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split(wet_and_dry(8), 0)


# --------------------------------------------------------------------------------------- crops


def numbered(name, water):
    """A tile whose first feature is each pixel's own number, and whose last is 0."""
    water = np.asarray(water, np.uint8)
    height, width = (n + 2 * MARGIN for n in water.shape)
    features = np.zeros((height, width, 8), np.float32)
    features[..., 0] = np.arange(height * width).reshape(height, width)
    weight = np.random.default_rng(5).random(water.shape).astype(np.float32) + 0.1
    return Samples(name, features, water, weight)


def test_windows_keep_features_labels_and_weights_together_however_turned():
    whole = numbered("a", np.random.default_rng(1).integers(0, 2, (50, 41)))
    corners = set()
    generator = np.random.default_rng(0)
    for _ in range(20):
        features, water, weight = Crops([whole], side=16, batch=4).draw(generator)
        assert features.shape == (4, 22, 22, 8)
        assert water.shape == weight.shape == (4, 16, 16)
        numbers = features[:, MARGIN:-MARGIN, MARGIN:-MARGIN, 0].astype(int)
        rows, cols = numbers // 47 - MARGIN, numbers % 47 - MARGIN
        np.testing.assert_array_equal(water, whole.water[rows, cols])
        np.testing.assert_array_equal(weight, whole.weight[rows, cols])
        corners |= {tuple(np.sign([c[0, 1] - c[0, 0], c[1, 0] - c[0, 0]])) for c in numbers}
        steps = {abs(int(c[0, 1] - c[0, 0])) for c in numbers}
        assert steps <= {1, 47}
    assert corners == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_every_other_window_lies_around_water_even_where_water_is_rare():
    water = np.zeros((200, 200), np.uint8)
    water[150, 20] = 1
    tiles = [tile("dry", np.zeros((200, 200))), tile("wet", water)]
    generator = np.random.default_rng(0)
    for _ in range(10):
        _, found, _ = Crops(tiles, side=16).draw(generator)
        assert (found[::2].sum(axis=(1, 2)) == 1).all()


def test_only_the_height_above_the_sea_is_changed_and_relief_is_kept():
    whole = numbered("a", lake(60))
    whole.features[..., 1:] = np.random.default_rng(0).random((66, 66, 7))
    features, _, _ = Crops([whole], side=16).draw(np.random.default_rng(0))
    flat = whole.features.reshape(-1, 8)
    shifts = []
    for window in features:
        source = flat[window[..., 0].astype(int)]
        np.testing.assert_array_equal(window[..., :-1], source[..., :-1])
        shift = window[..., -1] - source[..., -1]
        np.testing.assert_allclose(shift, shift[0, 0], atol=1e-6)
        shifts.append(float(shift[0, 0]))
    assert len(set(shifts)) == len(shifts)
    assert (whole.features[..., 0] == numbered("a", lake(60)).features[..., 0]).all()


def test_a_tile_smaller_than_a_window_is_taken_whole():
    features, water, _ = Crops([numbered("a", lake(20))]).draw(np.random.default_rng(0))
    assert features.shape == (8, 26, 26, 8)
    assert (water.sum(axis=(1, 2)) == lake(20).sum()).all()
