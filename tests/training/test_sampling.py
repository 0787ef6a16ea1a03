"""What a step sees: windows kept together, placed by class and ground, pixels by their weight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from water_gee.errors import TrainingError
from water_gee.training.augment import Augmentation, change
from water_gee.training.patches import MARGIN, Samples, on_shore
from water_gee.training.sampling import Batch, Draw, Place, Sampling
from water_gee.training.scaling import CENTER, SCALE
from water_gee.training.strata import STRATA


def lake(side=40, radius=6):
    rows, cols = np.ogrid[:side, :side]
    return ((rows - side // 2) ** 2 + (cols - side // 2) ** 2 < radius**2).astype(np.uint8)


def numbered(name, water, margin=MARGIN, stratum=None):
    """A tile whose first feature is each pixel's own number, and whose last is 0."""
    water = np.asarray(water, np.uint8)
    height, width = (n + 2 * margin for n in water.shape)
    features = np.zeros((height, width, 8), np.float32)
    features[..., 0] = np.arange(height * width).reshape(height, width)
    weight = np.random.default_rng(5).random(water.shape).astype(np.float32) + 0.1
    return Samples(name, features, water, weight, stratum)


def draw(tiles, halo=MARGIN, augmentation=None, **sampling):
    settings = Sampling(**({"window": 16, "windows": 4} | sampling))
    places = [Place.of(tile, stratified=settings.stratified) for tile in tiles]
    return Draw(places, settings, augmentation or Augmentation(), halo)


def flat(tile, margin=MARGIN):
    """Pixel number -> position in the tile without margin."""
    width = tile.features.shape[1]
    return lambda numbers: (numbers // width - margin, numbers % width - margin)


# ------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(("margin", "halo"), [(3, 3), (3, 1), (5, 5)])
def test_windows_keep_features_labels_and_weights_together_however_turned(margin, halo):
    whole = numbered("a", np.random.default_rng(1).integers(0, 2, (50, 41)), margin)
    corners, generator = set(), np.random.default_rng(0)
    drawn = draw([whole], halo)
    inner = slice(halo, -halo)
    for _ in range(20):
        batch = drawn.batch(generator)
        assert batch.features.shape == (4, 16 + 2 * halo, 16 + 2 * halo, 8)
        assert batch.water.shape == batch.weight.shape == (4, 16, 16)
        numbers = batch.features[:, inner, inner, 0].astype(int)
        place = flat(whole, margin)(numbers)
        np.testing.assert_array_equal(batch.water, whole.water[place])
        np.testing.assert_array_equal(batch.weight, whole.weight[place])
        corners |= {tuple(np.sign([c[0, 1] - c[0, 0], c[1, 0] - c[0, 0]])) for c in numbers}
        width = 41 + 2 * margin
        assert {abs(int(c[0, 1] - c[0, 0])) for c in numbers} <= {1, width}
    assert corners == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_where_labels_say_how_likely_water_is_that_is_learned_however_turned():
    random = np.random.default_rng(1)
    whole = numbered("a", random.integers(0, 2, (50, 41)))
    percent = np.where(whole.water == 1, 51, 0) + random.integers(0, 50, (50, 41))
    drawn = draw([replace(whole, percent=percent.astype(np.uint8))])
    for _ in range(8):
        batch = drawn.batch(random)
        place = flat(whole)(batch.features[:, 3:-3, 3:-3, 0].astype(int))
        assert batch.water.dtype == np.float32
        np.testing.assert_allclose(batch.water, percent[place] / 100, rtol=1e-6)
        np.testing.assert_array_equal(batch.weight, whole.weight[place])


def test_windows_stay_as_they_are_where_that_is_asked():
    whole = numbered("a", lake())
    batch = draw([whole], augmentation=Augmentation(turns=False, elevation=0)).batch(
        np.random.default_rng(0)
    )
    numbers = batch.features[..., 0]
    assert (np.diff(numbers, axis=2) == 1).all()
    assert (batch.features[..., -1] == 0).all()


def test_half_of_the_windows_lie_around_water_even_where_water_is_rare():
    water = np.zeros((200, 200), np.uint8)
    water[150, 20] = 1
    tiles = [numbered("dry", np.zeros((200, 200))), numbered("wet", water)]
    generator = np.random.default_rng(0)
    drawn = draw(tiles, windows=8)
    for _ in range(10):
        found = drawn.batch(generator).water.sum(axis=(1, 2))
        assert (found[:4] == 1).all()
    half = draw(tiles, windows=8, water=0.25).batch(generator).water.sum(axis=(1, 2))
    assert (half[:2] == 1).all()
    assert half[3:].sum() < 5


def test_tiles_of_one_class_are_drawn_from_too():
    generator = np.random.default_rng(0)
    for value in (0, 1):
        batch = draw([numbered("a", np.full((30, 30), value))]).batch(generator)
        assert (batch.water == value).all()


def test_a_tile_smaller_than_a_window_is_taken_whole():
    batch = draw([numbered("a", lake(20))], window=64, windows=8).batch(np.random.default_rng(0))
    assert batch.features.shape == (8, 26, 26, 8)
    assert (batch.water.sum(axis=(1, 2)) == lake(20).sum()).all()


# ----------------------------------------------------------------------------- pixels one by one


def kinds_seen(stratified, count=400):
    """Land of which 1% is urban, the rest vegetation: how many of the land pixels are urban."""
    stratum = np.full((100, 100), STRATA.index("vegetation"), np.uint8)
    stratum[:10, :10] = STRATA.index("urban")
    tile = numbered("a", np.zeros((100, 100)), stratum=stratum)
    batch = draw([tile], window=1, windows=count, stratified=stratified).batch(
        np.random.default_rng(0)
    )
    numbers = batch.features[:, 3, 3, 0].astype(int)
    return int((stratum[flat(tile)(numbers)] == STRATA.index("urban")).sum())


def test_rare_land_is_seen_by_the_root_of_its_area_and_at_random_by_its_area():
    share = 100**0.5 / (100**0.5 + 9900**0.5)
    assert kinds_seen(True) == pytest.approx(400 * share, abs=1)
    assert kinds_seen(False) == pytest.approx(4, abs=4)


def test_a_window_of_one_pixel_is_a_patch_of_a_sample():
    tile = numbered("a", lake())
    tile.weight[:, :20] = 0
    batch = draw([tile], window=1, windows=64).batch(np.random.default_rng(0))
    assert batch.features.shape == (64, 7, 7, 8)
    assert batch.water.shape == (64, 1, 1)
    rows, cols = flat(tile)(batch.features[:, 3, 3, 0].astype(int))
    assert (cols >= 20).all()
    np.testing.assert_array_equal(batch.water[:, 0, 0], tile.water[rows, cols])
    assert batch.water.sum() == 32
    assert batch.share == 1


def test_pixels_near_shores_are_likelier_as_many_times_as_asked():
    tile = numbered("a", lake(80, 25))
    hard = on_shore(tile)

    counts = {}
    for times in (1.0, 4.0):
        settings = Sampling(window=1, windows=4000, shore=times, stratified=False, water=0)
        place = Place.of(tile, stratified=False, shore=times > 1)
        batch = Draw([place], settings, Augmentation(), MARGIN).batch(np.random.default_rng(0))
        near = hard[flat(tile)(batch.features[:, 3, 3, 0].astype(int))]
        counts[times] = near.mean()
    land = tile.water == 0
    base = hard[land].mean()
    assert counts[1.0] == pytest.approx(base, abs=0.02)
    assert counts[4.0] == pytest.approx(4 * base / (4 * base + 1 - base), abs=0.03)


# ------------------------------------------------------------------------------- chosen pixels


def test_chosen_pixels_are_as_many_as_asked_and_likelier_the_more_they_weigh():
    tile = numbered("a", np.random.default_rng(1).integers(0, 2, (60, 60)))
    tile.weight[:] = 1
    tile.weight[:, 30:] = 3
    tile.weight[:5] = 0
    whole = draw([tile], window=60, windows=1, pixels=500,
                 augmentation=Augmentation(turns=False))  # fmt: skip
    generator, total = np.random.default_rng(0), np.zeros((60, 60))
    for _ in range(40):
        batch = whole.batch(generator)
        assert batch.weight.sum() == 500
        total += batch.weight[0]
    assert (total[:5] == 0).all()
    assert total[5:, 30:].mean() / total[5:, :30].mean() == pytest.approx(3, rel=0.05)


def test_patches_of_a_batch_are_its_chosen_pixels_with_their_surroundings():
    tile = numbered("a", np.random.default_rng(1).integers(0, 2, (60, 60)))
    batch = draw([tile], pixels=50).batch(np.random.default_rng(3))
    found = batch.patches()
    chosen = np.argwhere(batch.weight > 0)
    assert found.features.shape == (len(chosen), 7, 7, 8)
    for patch, water, weight, (n, row, col) in zip(
        found.features, found.water, found.weight, chosen, strict=True
    ):
        np.testing.assert_array_equal(patch, batch.features[n, row : row + 7, col : col + 7])
        assert water[0, 0] == batch.water[n, row, col]
        assert weight[0, 0] == batch.weight[n, row, col]


def test_windows_without_a_sample_have_no_patches():
    nothing = np.zeros((1, 4, 4), np.float32)
    found = Batch(np.zeros((1, 10, 10, 8), np.float32), nothing, nothing).patches()
    assert found.features.shape == (0, 7, 7, 8)


# -------------------------------------------------------------------------------- augmentation


def test_only_the_height_above_the_sea_is_changed_and_relief_is_kept():
    whole = numbered("a", lake(60))
    whole.features[..., 1:] = np.random.default_rng(0).random((66, 66, 7))
    before = whole.features.copy()
    batch = draw([whole], windows=8).batch(np.random.default_rng(0))
    source = before.reshape(-1, 8)
    shifts = []
    for window in batch.features:
        was = source[window[..., 0].astype(int)]
        np.testing.assert_array_equal(window[..., :-1], was[..., :-1])
        shift = window[..., -1] - was[..., -1]
        np.testing.assert_allclose(shift, shift[0, 0], atol=1e-6)
        shifts.append(float(shift[0, 0]))
    assert len(set(shifts)) == len(shifts)
    np.testing.assert_array_equal(whole.features, before)


def test_jitter_is_one_factor_on_all_reflectances_and_leaves_their_ratios():
    raw = np.random.default_rng(0).uniform(0.02, 0.5, (6, 9, 9, 8)).astype(np.float32)
    windows = (raw - CENTER) / SCALE
    change(windows, Augmentation(jitter=0.1, elevation=0), np.random.default_rng(1))
    after = windows * SCALE + CENTER
    factors = after[..., :5] / raw[..., :5]
    for each in factors:
        np.testing.assert_allclose(each, each.flat[0], rtol=1e-4)
    assert 0.03 < factors.std(axis=0).mean() < 0.25
    np.testing.assert_allclose(after[..., 5:], raw[..., 5:], rtol=1e-5)
    index = [(x[..., 1] - x[..., 4]) / (x[..., 1] + x[..., 4]) for x in (raw, after)]
    np.testing.assert_allclose(*index, atol=1e-4)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 0}, "window must be a whole number from 1 to 512, not 0"),
        ({"windows": 0}, "windows must be a whole number from 1"),
        ({"windows": 2.5}, "windows must be a whole number"),
        ({"window": 512, "windows": 17}, "4456448 pixels a step, more than 4194304"),
        ({"pixels": 0}, "pixels must be a whole number from 1 to 8192, not 0"),
        ({"pixels": 40000}, "pixels must be"),
        ({"water": 1.5}, "water must be a share"),
        ({"land": 0}, "land must be above 0"),
        ({"shore": 0.5}, "shore must be from 1 to 100, not 0.5"),
        ({"shore": 1e9, "window": 1}, "shore must be from 1 to 100, not 1000000000.0"),
        ({"shore": float("nan")}, "shore must be from 1 to 100, not nan"),
    ],
)
def test_sampling_out_of_range_is_refused(settings, words):
    with pytest.raises(TrainingError, match=words):
        Sampling(**settings)


@pytest.mark.parametrize("settings", [{"jitter": -0.1}, {"jitter": 0.6}, {"elevation": -1}])
def test_augmentation_out_of_range_is_refused(settings):
    with pytest.raises(TrainingError, match="must be"):
        Augmentation(**settings)
