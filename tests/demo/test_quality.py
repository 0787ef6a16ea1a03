from __future__ import annotations

import numpy as np
import pytest
from season_files import band, clear, intersection_over_union, majority_label, raster_of

from water_gee.demo import quality
from water_gee.demo.season import make_season
from water_gee.demo.sky import Sky

HANDBOOK = {
    # Landsat 8-9 Collection 2 Level 2 Science Product Guide, table 6-3, and whole real scenes.
    "fill": 1,
    "clear land": 21824,
    "clear water": 21952,
    "dilated cloud over land": 21762,
    "dilated cloud over water": 21890,
    "cloud": 22280,
    "middle confidence cloud": 22080,
    "cloud shadow over land": 23888,
    "cloud shadow over water": 23888 + 128,
    "snow": 30048,
    "cirrus and cloud": 55052,
    "cirrus": 54596,
}


def packed(**flags):
    shape = (1, 1)
    no, zero = np.zeros(shape, bool), np.zeros(shape, np.float32)

    def mask(name):
        return np.full(shape, flags.get(name, False))

    above = Sky(
        zero,
        zero,
        zero,
        mask("cloud"),
        mask("dilated"),
        mask("shadow"),
        mask("cirrus"),
        mask("thin"),
    )
    seen = np.full(shape, not flags.get("fill", False))
    qa = quality.pack(above, seen, mask("water"), mask("snow"))
    assert qa.dtype == np.uint16
    assert not no.any()
    return int(qa[0, 0])


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("fill", {"fill": True}),
        ("clear land", {}),
        ("clear water", {"water": True}),
        ("dilated cloud over land", {"dilated": True}),
        ("dilated cloud over water", {"dilated": True, "water": True}),
        ("cloud", {"cloud": True}),
        ("cloud", {"cloud": True, "water": True}),
        ("middle confidence cloud", {"thin": True}),
        ("cloud shadow over land", {"shadow": True}),
        ("cloud shadow over water", {"shadow": True, "water": True}),
        ("snow", {"snow": True}),
        ("cirrus", {"cirrus": True}),
        ("cirrus and cloud", {"cirrus": True, "cloud": True}),
    ],
)
def test_codes_are_those_of_the_handbook(name, flags):
    assert packed(**flags) == HANDBOOK[name]


def test_the_seasonal_label_is_as_good_as_it_should_be_and_no_better(season):
    label, clears = majority_label(season)
    truth = raster_of(season.truth) == 1
    iou = intersection_over_union(label, truth, clears > 0)
    assert 0.65 < iou < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("cells", [(1, 1), (3, 3)])
def test_the_seasonal_label_is_in_its_range_for_any_seed(tmp_path, seed, cells):
    made = make_season(tmp_path, seed, cells)
    label, clears = majority_label(made)
    iou = intersection_over_union(label, raster_of(made.truth) == 1, clears > 0)
    assert 0.65 < iou < 0.85


def test_errors_go_both_ways_and_mostly_stay_through_the_season(season):
    label, clears = majority_label(season)
    truth = raster_of(season.truth) == 1
    seen = clears > 0
    water = np.count_nonzero(truth & seen)
    false, missed = label & ~truth & seen, ~label & truth & seen
    assert np.count_nonzero(false) > 0.04 * water
    assert np.count_nonzero(missed) > 0.04 * water
    again = []
    for scene in season.scenes:
        qa = band(scene, "QA_PIXEL")
        here = clear(qa) & (false | missed)
        again.append(((qa & 128 > 0) != truth)[here].mean())
    assert np.mean(again) > 0.7


def test_most_of_every_kind_of_place_stays_right(season):
    # Wrong land pixels are few among those that look like them: dark in the near infrared.
    label, clears = majority_label(season)
    truth = raster_of(season.truth) == 1
    stack = np.stack(
        [
            np.where(clear(band(s, "QA_PIXEL")), band(s, "SR_B5") * 2.75e-5 - 0.2, np.nan)
            for s in season.scenes
        ]
    )
    seen = clears > 0
    dark = np.zeros_like(truth)
    dark[seen] = np.nanmean(stack[:, seen], axis=0) < 0.15
    wrong = label[dark & ~truth & seen].mean()
    assert 0.02 < wrong < 0.45


def test_the_share_of_errors_meets_its_target_on_made_up_places():
    rng = np.random.default_rng(0)
    shape = (200, 200)
    truth = np.zeros(shape, bool)
    truth[50:150, 50:110] = True
    kind = np.where(truth, quality.KIND_NAMES.index("silt"), 0).astype(np.int8)
    rank = rng.random(shape, dtype=np.float32)
    zero = np.zeros(shape, np.float32)
    no = np.zeros(shape, bool)
    looks = [quality.Look(np.ones(shape, bool), truth, zero, no) for _ in range(3)]
    weakness = quality.Weakness(kind, rank)
    wrong = quality.scale_errors(weakness, looks, truth, seed=1)
    reached = quality.majority_iou(weakness, looks, truth, wrong)
    assert quality.TARGET[0] - 0.01 < reached < quality.TARGET[1] + 0.01
