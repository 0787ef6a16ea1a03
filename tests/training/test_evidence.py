"""What each witness says of patches of known cover, and that their words add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from small_water import (
    CHAR,
    DEEP,
    DESERT,
    FOREST,
    GRASS,
    SALT,
    SHADOW,
    SNOW,
    TURBID,
    WET_SOIL,
    spectrum,
)

from water_gee.training import evidence
from water_gee.training.evidence import haze_of, repeated, weigh
from water_gee.training.methods import Tile

SIDE = 40
INSIDE = np.s_[2:-2, 2:-2]


def everywhere(value, shape=(SIDE, SIDE)):
    return np.full(shape, value, np.float32)


def patch(cover, qa=0, elevation=None, **bands):
    """A tile of one cover, one QA label, and evidence that is the same all over."""
    features = spectrum(np.zeros((SIDE, SIDE), int), (cover,), elevation=elevation)
    found = {name: everywhere(value) for name, value in bands.items()}
    return Tile("a", features, np.full((SIDE, SIDE), qa, np.uint8), found)


def odds(*patched, **bands):
    """What is said in the middle of a patch."""
    return float(weigh(patch(*patched, **bands)).log_odds[20, 20])


def said(name, *patched, **bands):
    return float(weigh(patch(*patched, **bands)).parts[name][20, 20])


def seasons(clear, water):
    return {"clear_count": clear, "water_count": water}


def slope(east, south):
    """Metres of a plane on pixels of 30 m, 500 m at its lowest."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    metres = 30.0 * (east * cols + south * rows)
    return metres - metres.min() + 500


# ---------------------------------------------------------------------- spectrum


@pytest.mark.parametrize("cover", [DEEP, TURBID])
@pytest.mark.parametrize("qa", [0, 1])
def test_open_water_is_water_whatever_the_qa_bit_of_one_observation_says(cover, qa):
    assert (weigh(patch(cover, qa)).log_odds > 1).all()


@pytest.mark.parametrize("cover", [FOREST, GRASS, DESERT])
def test_forest_grass_and_desert_are_land_though_every_observation_had_the_water_bit(cover):
    assert odds(cover, 1) < 0
    assert odds(cover, 1, **seasons(9, 9)) < 0


def test_the_clearer_the_water_the_more_the_spectrum_says():
    assert said("spectrum", DEEP) > said("spectrum", WET_SOIL) > said("spectrum", FOREST)


def test_swir2_that_is_missing_says_neither_yes_nor_no():
    """A band of NaN, and none at all: SWIR1 stands in, and char is not told from mud."""
    without = weigh(patch(CHAR, 1))
    blank = weigh(patch(CHAR, 1, SWIR2=np.nan))
    np.testing.assert_array_equal(blank.log_odds, without.log_odds)
    as_swir1 = weigh(patch(CHAR, 1, SWIR2=CHAR[4]))
    np.testing.assert_array_equal(as_swir1.parts["spectrum"], without.parts["spectrum"])


def test_swir2_tells_where_it_is_and_leaves_the_rest_to_swir1():
    tile = patch(WET_SOIL, SWIR2=0.5)
    tile.evidence["SWIR2"][:, 20:] = np.nan
    found = weigh(tile).parts["spectrum"]
    np.testing.assert_array_equal(found[:, 20:], weigh(patch(WET_SOIL)).parts["spectrum"][:, 20:])
    assert (found[:, :20] < found[0, 20]).all()


# ---------------------------------------------------------------------- what is no water


def test_char_is_land_where_swir2_is_known_though_the_qa_bit_calls_it_water():
    assert odds(CHAR, 1, SWIR2=0.10) < 0


def test_snow_is_land_though_its_mndwi_is_that_of_water():
    tile = patch(SNOW, 1)
    assert (tile.features[5] > 0.5).all()
    found = weigh(tile)
    assert (found.log_odds < 0).all()
    assert (found.parts["snow"] < 0).all()
    for water in (DEEP, TURBID):
        assert said("snow", water) == 0


def test_salt_is_land_though_the_qa_bit_calls_it_water():
    assert said("spectrum", SALT) > 0
    assert odds(SALT, 1) < 0
    for water in (DEEP, TURBID):
        assert said("brightness", water) == 0


# ---------------------------------------------------------------------- the QA bit


def test_many_observations_that_agree_on_land_overrule_a_weak_spectrum():
    assert odds(WET_SOIL, 0) > 0
    assert odds(WET_SOIL, 0, **seasons(9, 0)) < 0
    assert odds(DEEP, 0, **seasons(9, 0)) > 0  # no bit overrules a clear one


def test_many_observations_that_agree_on_water_say_more_than_one():
    once, often = (said("qa", WET_SOIL, 1, **seasons(count, count)) for count in (1, 9))
    assert often > once > 0


def test_the_more_observations_had_the_bit_the_more_it_speaks_for_water():
    spoken = [said("qa", WET_SOIL, int(count > 4), **seasons(8, count)) for count in range(9)]
    assert spoken == sorted(spoken)
    assert spoken[0] < 0 < spoken[-1]


@pytest.mark.parametrize("qa", [0, 1])
def test_half_the_observations_against_half_is_no_evidence(qa):
    assert said("qa", WET_SOIL, qa, **seasons(8, 4)) == 0


@pytest.mark.parametrize("qa", [0, 1])
@pytest.mark.parametrize(
    "bands",
    [
        {},
        {"clear_count": 5},
        {"water_count": 5},
        seasons(np.nan, np.nan),
        seasons(4, np.nan),
        seasons(0, 0),
    ],
)
def test_without_counts_the_label_says_less_than_a_season_that_agrees(qa, bands):
    found = said("qa", WET_SOIL, qa, **bands)
    assert found == said("qa", WET_SOIL, qa)
    assert not repeated(patch(WET_SOIL, qa, **bands)).any()
    assert abs(found) < abs(said("qa", WET_SOIL, qa, **seasons(9, 9 * qa)))
    assert found * (2 * qa - 1) >= 0


# ---------------------------------------------------------------------- terrain


def test_ground_that_descends_is_no_water_and_gentle_ground_may_be():
    steep, gentle = slope(0.5, 0.3), slope(0.004, 0.003)
    assert (weigh(patch(SHADOW, 0, steep)).log_odds[INSIDE] < 0).all()
    assert (weigh(patch(SHADOW, 0, gentle)).log_odds[INSIDE] > 0).all()
    assert (weigh(patch(DEEP, 0, gentle)).parts["terrain"] == 0).all()


def test_a_slope_turned_from_the_sun_is_shade_though_the_qa_bit_calls_it_water():
    """It falls to the east; the sun stands low in the west, and then in the east."""
    falling = slope(-0.5, 0.0)
    dark, lit = ({"sun_azimuth": a, "sun_elevation": 25} for a in (270, 90))
    shaded = weigh(patch(SHADOW, 1, falling, **dark))
    assert (shaded.log_odds[INSIDE] < 0).all()
    unlit, known = shaded.parts["terrain"], weigh(patch(SHADOW, 1, falling, **lit)).parts["terrain"]
    unknown = weigh(patch(SHADOW, 1, falling)).parts["terrain"]
    assert (unlit[INSIDE] < known[INSIDE]).all()
    assert (known[INSIDE] >= unknown[INSIDE]).all()


def test_a_stream_that_seems_to_descend_between_sunlit_banks_is_doubted_little():
    """Where the sun is not known, or stands behind the banks, it may be shade."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    valley = 500 + 8.0 * rows + 12.0 * abs(cols - SIDE // 2)
    stream = (slice(1, 3), SIDE // 2)  # up to 16 m above where it leaves the tile
    sunlit = weigh(patch(SHADOW, 1, valley, sun_azimuth=0, sun_elevation=60)).parts["terrain"]
    shaded = weigh(patch(SHADOW, 1, valley, sun_azimuth=180, sun_elevation=8)).parts["terrain"]
    unknown = weigh(patch(SHADOW, 1, valley)).parts["terrain"]
    assert (unknown[stream] < -1).all()
    np.testing.assert_allclose(sunlit[stream], 0.2 * unknown[stream], rtol=1e-4)
    assert (shaded[stream] <= unknown[stream]).all()


def test_a_sunlit_slope_high_above_drainage_is_doubted_in_full():
    falling = slope(-0.5, 0.0)
    lit = weigh(patch(SHADOW, 1, falling, sun_azimuth=90, sun_elevation=25)).parts["terrain"]
    unknown = weigh(patch(SHADOW, 1, falling)).parts["terrain"]
    high = (slice(5, -5), slice(3, SIDE // 2))
    np.testing.assert_array_equal(lit[high], unknown[high])


def test_a_lake_in_the_shade_of_a_mountain_is_not_doubted():
    """Level water has nothing to turn from the sun; the far side of the mountain has."""
    rows, _ = np.mgrid[:SIDE, :SIDE]
    metres = 500 + np.where(abs(rows - 20) < 4, 600.0 - 150 * abs(rows - 20), 0)
    tile = patch(DEEP, 1, metres, sun_azimuth=180, sun_elevation=30)
    terrain = weigh(tile).parts["terrain"]
    assert (terrain[2:16] == 0).all()
    assert (terrain[26:-2] == 0).all()
    assert (terrain[17:20, 2:-2] < 0).all()


@pytest.mark.parametrize(
    "sun",
    [
        {},
        {"sun_azimuth": 270.0},
        {"sun_elevation": 25.0},
        {"sun_azimuth": np.nan, "sun_elevation": np.nan},
    ],
)
def test_without_a_sun_there_is_no_shade(sun):
    falling = slope(-0.5, 0.0)
    wanted = weigh(patch(SHADOW, 1, falling)).log_odds
    np.testing.assert_array_equal(weigh(patch(SHADOW, 1, falling, **sun)).log_odds, wanted)


def test_azimuths_around_north_have_their_mean_in_the_north():
    """350 and 10 degrees: in the south of a ridge there is shade, as at 0, and not as at 180."""
    falling = slope(0.0, -0.5)
    tile = patch(SHADOW, 1, falling, sun_azimuth=350, sun_elevation=25)
    tile.evidence["sun_azimuth"][:, ::2] = 10
    north, south = (
        weigh(patch(SHADOW, 1, falling, sun_azimuth=a, sun_elevation=25)).parts["terrain"]
        for a in (0, 180)
    )
    np.testing.assert_array_equal(weigh(tile).parts["terrain"], north)
    assert (north[INSIDE] < south[INSIDE]).all()


def test_without_an_elevation_model_the_ground_says_nothing():
    for metres in (None, everywhere(0.0), everywhere(1800.0)):
        found = weigh(patch(DEEP, 0, metres, sun_azimuth=160, sun_elevation=12))
        assert not found.parts["terrain"].any()


def test_a_hole_in_the_clouds_is_no_pit():
    """Elevation is unknown under clouds; a lake 1,500 m up does not descend into them."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    lake = np.hypot(rows - 20, cols - 20) < 15
    metres = np.where(lake, 1500.0, 1500 + 3.0 * (np.hypot(rows - 20, cols - 20) - 15))
    tile = patch(DEEP, 1, metres, sun_azimuth=160, sun_elevation=30)
    tile.features[:, 14:22, 12:20] = np.nan
    tile.features[:, :6, :9] = np.nan
    tile.qa[np.isnan(tile.features[0])] = 255
    found = weigh(tile)
    assert (found.parts["terrain"][lake] == 0).all()
    assert (found.log_odds[lake & found.observed] > 0).all()


# ---------------------------------------------------------------------- shadows of clouds


def under_clouds(sun_azimuth=None):
    """Grass under clouds, their shadows 16 rows up and 20 columns left, and a lake."""
    side = 160
    field = gaussian_filter(np.random.default_rng(3).normal(size=(side, side)), 4.0)
    clouds = field > np.quantile(field, 0.95)
    wide = np.pad(clouds, 30)
    shaded = np.roll(wide, (-16, -20), (0, 1))[30:-30, 30:-30] & ~clouds
    rows, cols = np.mgrid[:side, :side]
    lake = (np.hypot(rows - 120, cols - 40) < 12) & ~shaded & ~clouds
    cover = np.where(lake, 1, np.where(shaded, 2, 0))
    features = spectrum(cover, (GRASS, DEEP, SHADOW), noise=0.003)
    features[:, clouds] = np.nan
    qa = np.where(clouds, 255, lake | shaded).astype(np.uint8)
    bands = {}
    if sun_azimuth is not None:
        bands = {
            "sun_azimuth": everywhere(sun_azimuth, (side, side)),
            "sun_elevation": everywhere(45.0, (side, side)),
        }
    return Tile("a", features, qa, bands), shaded, lake


def test_shadows_of_clouds_speak_against_water_where_they_lie():
    tile, shaded, lake = under_clouds()
    found = weigh(tile)
    assert found.shadows is not None
    assert found.shadows.shift == (-16, -20)
    spoken = found.parts["shadow"]
    assert (spoken[shaded] < 0).mean() > 0.98
    assert (spoken == 0)[~found.shadows.zone].all()
    far = lake & ~found.shadows.zone
    assert far.any()
    assert (found.log_odds[far] > 0).all()


def test_the_suns_azimuth_agrees_with_shadows_or_rules_them_out():
    """Up and left of the clouds: the sun stands in the south-east."""
    for azimuth, seen in ((129, True), (309, False)):
        tile, _, _ = under_clouds(azimuth)
        found = weigh(tile)
        assert (found.shadows is not None) == seen
        assert found.parts["shadow"].any() == seen


# ---------------------------------------------------------------------- haze


AIR = np.array([0.09, 0.055, 0.03, 0.012], np.float32)
"""Path reflectance of a clear day in Blue, Green, Red and NIR at the top of the atmosphere."""


def landscape(lake=(0.021, 0.016, 0.011, 0.005, 0.004)):
    """A lake of one part in fifty, forest, grass and wet soil."""
    cover = np.zeros((60, 60), int)
    cover[:, 20:] = 1
    cover[:, 45:] = 2
    cover[5:13, 5:14] = 3
    return spectrum(cover, (FOREST, GRASS, WET_SOIL, lake), noise=0.0005), cover


def test_air_is_taken_off_reflectance_at_the_top_of_the_atmosphere():
    clear, cover = landscape()
    hazy = clear.copy()
    hazy[:4] += AIR[:, None, None]
    hazy[5] = (hazy[1] - hazy[4]) / (hazy[1] + hazy[4])
    np.testing.assert_allclose(haze_of(hazy), AIR, atol=0.006)
    np.testing.assert_allclose(haze_of(clear), 0, atol=0.004)
    qa = np.zeros(cover.shape, np.uint8)
    through, without = (weigh(Tile("a", each, qa)) for each in (hazy, clear))
    np.testing.assert_allclose(through.haze, AIR, atol=0.006)
    assert ((through.log_odds > 0) == (without.log_odds > 0))[cover != 2].all()
    assert (through.log_odds[cover == 3] > 0).all()
    assert (through.log_odds[cover == 0] < 0).all()


def test_turbid_water_is_not_taken_for_haze():
    """Its red exceeds clear water's by more than its blue, which air never does."""
    found = haze_of(patch(TURBID).features)
    assert found[2] < 0.5 * TURBID[2]
    assert found[3] < 0.5 * TURBID[3]
    assert (weigh(patch(TURBID)).log_odds > 0).all()
    beside_forest, _ = landscape(TURBID)
    np.testing.assert_allclose(haze_of(beside_forest), 0, atol=0.004)


def test_a_desert_without_a_dark_object_has_no_haze():
    assert not haze_of(patch(DESERT).features).any()


def test_what_was_not_observed_is_no_dark_object():
    features, _ = landscape()
    features[:4] += AIR[:, None, None]
    features[:, 30:50, 30:50] = np.nan
    features[:4, 0, 0] = 0  # dark, but lacking a band
    features[4, 0, 0] = np.nan
    np.testing.assert_allclose(haze_of(features), AIR, atol=0.006)
    assert not haze_of(np.full_like(features, np.nan)).any()


# ---------------------------------------------------------------------- together


def mosaic(seed=0):
    """Every cover at random in squares, noise, relief, holes, counts and a sun."""
    rng = np.random.default_rng(seed)
    cover = rng.integers(0, 9, (15, 15)).repeat(4, axis=0).repeat(4, axis=1)
    table = (DEEP, TURBID, FOREST, SNOW, SHADOW, SALT, CHAR, WET_SOIL, DESERT)
    relief = gaussian_filter(rng.normal(size=cover.shape), 3) * 800 + 900
    features = spectrum(cover, table, noise=0.01, seed=seed, elevation=relief)
    qa = rng.integers(0, 2, cover.shape).astype(np.uint8)
    features[:, 10:20, 30:42] = np.nan
    qa[10:20, 30:42] = 255
    clear = rng.integers(0, 8, cover.shape)
    bands = {
        "SWIR2": rng.uniform(0, 0.4, cover.shape),
        "clear_count": clear,
        "water_count": rng.integers(0, clear + 1),
        "sun_azimuth": rng.normal(150, 3, cover.shape),
        "sun_elevation": rng.normal(40, 1, cover.shape),
    }
    return Tile("a", features, qa, {k: v.astype(np.float32) for k, v in bands.items()})


@pytest.mark.parametrize("seed", range(4))
def test_the_witnesses_words_add_up_and_no_sum_is_believed_beyond_the_limit(seed):
    found = weigh(mosaic(seed))
    assert tuple(found.parts) == evidence.WITNESSES
    total = sum(part.astype(np.float64) for part in found.parts.values())
    seen = found.observed
    limited = np.clip(total, -evidence.LIMIT, evidence.LIMIT)
    np.testing.assert_allclose(found.log_odds[seen], limited[seen], atol=1e-4)
    assert (abs(total[seen]) > evidence.LIMIT).any()
    for part in found.parts.values():
        assert part.dtype == np.float32
        assert np.isfinite(part).all()


def test_nothing_is_said_where_nothing_was_observed():
    tile = mosaic()
    tile.features[3, 50, 50] = np.nan  # the label says observed, one feature does not
    tile.qa[55, 5] = 255  # the features do, the label does not
    found = weigh(tile)
    unseen = np.isnan(tile.features).any(axis=0) | (tile.qa == 255)
    np.testing.assert_array_equal(found.observed, ~unseen)
    np.testing.assert_array_equal(np.isnan(found.log_odds), unseen)
    for part in found.parts.values():
        assert not part[unseen].any()


def test_a_tile_of_which_nothing_was_observed_is_heard_too():
    tile = patch(DEEP, 255, slope(0.2, 0.1), SWIR2=np.nan)
    tile.features[:] = np.nan
    found = weigh(tile)
    assert np.isnan(found.log_odds).all()
    assert found.shadows is None
    assert not found.haze.any()


def test_reflectance_of_nothing_or_less_is_heard_without_a_warning():
    for value in (0.0, -0.05):
        tile = patch(DEEP, 1, SWIR2=value)
        tile.features[:5], tile.features[5] = value, 0
        assert np.isfinite(weigh(tile).log_odds).all()


def test_a_lone_doubtful_pixel_leans_to_what_lies_around_it():
    among = []
    for cover in (FOREST, DEEP):
        around = spectrum(np.zeros((SIDE, SIDE), int), (cover,))
        around[:, 20, 20] = patch(WET_SOIL).features[:, 20, 20]
        around[:4, 0, 0] = evidence.CLEAR_WATER  # one dark object, so that haze is the same
        tile = Tile("a", around, np.zeros((SIDE, SIDE), np.uint8))
        among.append(weigh(tile))
    land, water = (float(each.parts["neighbours"][20, 20]) for each in among)
    assert land < 0 < water


def test_hearing_the_witnesses_changes_nothing_of_the_tile():
    tile, same = mosaic(), mosaic()
    weigh(tile)
    np.testing.assert_array_equal(tile.features, same.features)
    np.testing.assert_array_equal(tile.qa, same.qa)
    for name, band in same.evidence.items():
        np.testing.assert_array_equal(tile.evidence[name], band)


def test_pixels_of_other_sizes_make_other_slopes():
    """30 m of fall a pixel are steep where pixels are small, and gentle where they are large."""
    falling = patch(DEEP, 0, slope(0.5, 0.0))
    small = weigh(replace(falling, pixel=(10.0, 10.0))).parts["terrain"]
    large = weigh(replace(falling, pixel=(500.0, 500.0))).parts["terrain"]
    assert (small[INSIDE] < large[INSIDE]).all()
