from __future__ import annotations

import functools
import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage
from season_files import clear, intersection_over_union, raster_of

from water_gee.demo import landcover, places, regimes, scenes, terrain, waters
from water_gee.demo import season as seasons
from water_gee.demo.regimes import REGIMES
from water_gee.demo.season import make_season
from water_gee.demo.site import Site
from water_gee.demo.spectra import BANDS, CODE, KINDS
from water_gee.errors import RecipeError

NAMES = [
    "terrain shadow",
    "cloud shadow",
    "snow",
    "turbid",
    "shallow",
    "thin river",
    "burnt",
    "urban",
    "cloud edge",
    "salt flat",
]
SITE = Site(
    (1, 1), (104.09, 51.71, 104.2, 51.78), Affine(30, 0, 575505, 0, -30, 5736015), (270, 264)
)
SEED = 5


@dataclass(frozen=True)
class Made:
    """A regime's small world, its scenes, and what its season says."""

    ground: Any
    cover: np.ndarray
    scenes: list
    label: np.ndarray
    clears: np.ndarray

    @property
    def truth(self):
        return self.ground.water >= 0.5

    @property
    def seen(self):
        return self.clears > 0

    @property
    def wrong(self):
        return self.seen & (self.label != self.truth)

    def share(self, *names):
        return sum(self.ground.shares[CODE[name]] for name in names)

    def reflectance(self, name):
        """Median of the clear observations."""
        stack = [
            np.where(clear(s.bands["QA_PIXEL"]), s.bands[name] * 2.75e-5 - 0.2, np.nan)
            for s in self.scenes
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # nowhere clear
            return np.nanmedian(np.stack(stack), axis=0)


@functools.cache
def made(name, seed=SEED):
    """Make a small world of a regime in memory."""
    regime = regimes.regime_of(name)
    covers = []
    with pytest.MonkeyPatch.context() as patch:
        under_water = landcover._under_water

        def last(site, lie, cover, *rest):
            under_water(site, lie, cover, *rest)
            covers.append(cover.copy())

        patch.setattr(landcover, "_under_water", last)
        relief = terrain.make_relief(SITE, seed, regime.world)
        water = waters.make_waters(SITE, relief, seed, regime.world)
        ground = landcover.make_ground(SITE, relief, water, seed, regime.world)
    taken = list(scenes.make_scenes(SITE, ground, seed, regime))
    qa = [scene.bands["QA_PIXEL"] for scene in taken]
    count = sum(clear(q) & (q & 128 > 0) for q in qa)
    clears = sum(clear(q).astype(int) for q in qa)
    return Made(ground, covers[0], taken, 2 * np.asarray(count, int) > clears, clears)


def near(mask, pixels):
    return ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=pixels)


def steep(world):
    south, east = np.gradient(ndimage.gaussian_filter(world.ground.elevation, 1), 30)
    return np.hypot(south, east) > 0.15


def clouded(world):
    """Pixels that are near a cloud of the QA in some acquisition."""
    out = np.zeros_like(world.truth)
    for scene in world.scenes:
        out |= scene.bands["QA_PIXEL"] & 8 > 0
    return out


def narrow(world):
    return ndimage.uniform_filter(world.ground.water, 5) < 0.6


def dark(world, limit):
    return world.reflectance("SR_B5") < limit


PLACES = {
    "terrain shadow": lambda w: ~w.truth & steep(w) & dark(w, 0.16),
    "cloud shadow": lambda w: ~w.truth & near(clouded(w), 60),
    "snow": lambda w: ~w.truth & near(w.share("snow", "wet snow") > 0.1, 1),
    "turbid": lambda w: w.truth & (w.share("turbid water", "silt-laden water") > 0.6),
    "shallow": lambda w: (
        w.truth & (w.share("shallow water", "weedy water", "algal bloom", "floating plants") > 0.5)
    ),
    "thin river": lambda w: (w.ground.water > 0) & (narrow(w) | (w.ground.water < 1)),
    "burnt": lambda w: ~w.truth & (w.share("burnt", "lava") > 0.5),
    "urban": lambda w: ~w.truth & (w.share("asphalt", "dark roof", "building shade") > 0.5),
    "cloud edge": lambda w: near(clouded(w), 60),
    "salt flat": lambda w: w.share("wet salt", "brine") > 0.5,
}
"""Where the errors of a regime may be, as the world shows it."""

PRESENT = {
    "terrain shadow": lambda w: (~w.truth & steep(w) & dark(w, 0.115)).mean() / 0.03,
    "cloud shadow": lambda w: np.mean(
        [(s.bands["QA_PIXEL"] & 8 > 0).mean() for s in w.scenes]
    ) / 0.12,
    "snow": lambda w: w.share("snow", "wet snow").mean() / 0.2,
    "turbid": lambda w: w.share("turbid water", "silt-laden water").sum()
    / w.ground.water.sum() / 0.6,
    "shallow": lambda w: w.share("shallow water", "weedy water", "floating plants").sum()
    / w.ground.water.sum() / 0.4,
    "thin river": lambda w: narrow(w)[w.truth].mean() / 0.85,
    "burnt": lambda w: w.share("burnt", "lava").mean() / 0.15,
    "urban": lambda w: w.share("asphalt", "dark roof", "building shade").mean() / 0.08,
    "cloud edge": lambda w: np.mean(
        [(s.bands["QA_PIXEL"] & 8 > 0).mean() for s in w.scenes]
    ) / 0.06,
    "salt flat": lambda w: w.share("salt crust", "wet salt", "brine").mean() / 0.12,
}  # fmt: skip
"""How much there is of what a regime is about, relative to what there must be."""


def test_there_are_ten_regimes_with_names_and_a_line_about_each():
    assert list(REGIMES) == NAMES
    for name, regime in REGIMES.items():
        assert regime.name == name
        assert "\n" not in regime.about
        assert set(regime.errors) <= set(places.KIND_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_regime_has_enough_of_what_it_is_about(name):
    assert PRESENT[name](made(name)) >= 1
    assert made(name).truth.mean() > 0.008
    assert made(name).seen.mean() > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_the_label_is_wrong_only_where_the_regime_has_it_wrong(name):
    world = made(name)
    # Pixels about half under water fall to either side in every label.
    half = np.abs(world.ground.water - 0.5) < 0.2
    where = PLACES[name](world)
    assert not (world.wrong & ~where & ~half).any()
    assert (world.wrong & where).sum() > 4 * (world.wrong & ~where).sum()


@pytest.mark.parametrize("name", NAMES)
def test_the_label_is_as_good_as_stated_and_most_of_its_place_is_right(name):
    world = made(name)
    inner = np.zeros_like(world.seen)
    inner[30:-30, 30:-30] = True
    iou = intersection_over_union(world.label, world.truth, world.seen & inner)
    low, high = REGIMES[name].target
    assert low - 0.02 < iou < high + 0.06
    where = PLACES[name](world) & world.seen
    assert world.wrong[where].mean() < 0.65


@pytest.mark.parametrize("name", ["burnt", "cloud shadow", "salt flat"])
def test_errors_come_in_patches_and_come_back(name):
    world = made(name)
    # Of a wrong pixel's neighbours more are wrong than of any pixel of the place.
    where = PLACES[name](world) & world.seen
    beside = ndimage.shift(world.wrong.astype(np.uint8), (0, 1), order=0) > 0
    assert beside[world.wrong].mean() > 1.5 * world.wrong[where].mean()
    again = []
    for scene in world.scenes:
        qa = scene.bands["QA_PIXEL"]
        here = clear(qa) & world.wrong
        if here.sum() > 50:
            again.append(((qa & 128 > 0) != world.truth)[here].mean())
    assert np.mean(again) > 0.6


@pytest.mark.parametrize("name", [None, *NAMES])
def test_the_fraction_is_the_mean_of_the_finer_mask(name):
    world = made(name)
    wet = np.isin(world.cover, [code for code, kind in enumerate(KINDS) if kind.water])
    rows, cols = SITE.shape
    mean = wet.reshape(rows, 3, cols, 3).sum(axis=(1, 3)).astype(np.float32) / np.float32(9)
    written = seasons._fraction(world.ground, regimes.regime_of(name))
    assert written.dtype == np.float32
    if name is None:
        assert written == pytest.approx(mean, abs=2e-7)
    else:
        assert np.array_equal(written, mean)
    assert np.array_equal(world.truth, mean >= 0.5)


def test_shares_add_up_to_the_whole_ground():
    for name in (None, *NAMES):
        assert made(name).ground.shares.sum(axis=0) == pytest.approx(1, abs=1e-5)


def test_covers_of_the_regimes_are_in_no_other_season():
    special = [kind.name for kind in KINDS[16:]]
    assert special[0] == "wet snow"
    for name in (None, "terrain shadow", "cloud shadow", "thin river", "cloud edge"):
        assert not made(name).share(*special).any()


@pytest.mark.parametrize("name", ["snow", "cloud edge"])
def test_the_same_seed_gives_the_same_pixels(name):
    first, again, other = made(name), made.__wrapped__(name), made(name, SEED + 1)
    for band in (*BANDS, "QA_PIXEL"):
        for one, two in zip(first.scenes, again.scenes, strict=True):
            assert np.array_equal(one.bands[band], two.bands[band])
    assert not np.array_equal(first.truth, other.truth)


def test_grounds_reflect_as_they_are_known_to():
    def mndwi(world):
        green, swir = world.reflectance("SR_B3"), world.reflectance("SR_B6")
        return (green - swir) / (green + swir)

    salt, snow, burnt = made("salt flat"), made("snow"), made("burnt")
    town, silt, weed = made("urban"), made("turbid"), made("shallow")
    # Wet salt is bright, and still MNDWI takes it for water; snow likewise.
    wet = (salt.share("wet salt") > 0.9) & salt.seen
    assert np.median(salt.reflectance("SR_B3")[wet]) > 0.15
    assert np.median(mndwi(salt)[wet]) > 0.1
    white = (snow.share("snow") > 0.9) & snow.seen
    assert np.median(mndwi(snow)[white]) > 0.4
    # Lava is dark and flat, and MNDWI sees that it is dry.
    lava = (burnt.share("lava") > 0.9) & burnt.seen
    assert np.median(burnt.reflectance("SR_B5")[lava]) < 0.1
    assert np.median(mndwi(burnt)[lava]) < -0.1
    roofs = (town.share("dark roof", "building shade", "asphalt") > 0.9) & town.seen
    assert np.median(town.reflectance("SR_B5")[roofs]) < 0.12
    # Silt is brightest in the red, and weed in the near infrared.
    muddy = (silt.share("silt-laden water") > 0.9) & silt.seen
    assert np.median((silt.reflectance("SR_B4") - silt.reflectance("SR_B3"))[muddy]) > 0.02
    leaves = (weed.share("floating plants") > 0.9) & weed.seen
    assert np.median((weed.reflectance("SR_B5") / weed.reflectance("SR_B4"))[leaves]) > 2


def test_a_low_sun_shines_on_the_shaded_slopes_only():
    assert max(scene.facts.sun[1] for scene in made("terrain shadow").scenes) < 43
    assert min(scene.facts.sun[1] for scene in made("burnt").scenes) > 48


def test_rivers_are_half_a_pixel_to_two_pixels_wide():
    world = REGIMES["thin river"].world
    assert world.narrowest == 15
    assert world.broadest == 60
    wet = np.isin(made("thin river").cover, [c for c, kind in enumerate(KINDS) if kind.water])
    # No water is deeper inland than a 60 m river's middle, but for a pond here and there.
    inside = ndimage.distance_transform_edt(wet)
    assert (inside[wet] <= 4.3).mean() > 0.9


def test_a_season_on_disk_says_its_regime_and_no_other_stands_in_for_it(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        seasons, "_fill", lambda folder, site, seed, regime: calls.append(regime.name) or ["a"]
    )
    for name in (None, "snow", "snow", "burnt", None):
        season = make_season(tmp_path, 3, (1, 1), name)
        assert season.regime == name
        facts = json.loads((season.folder / "synthetic_season.json").read_text())
        assert facts.get("regime") == name
    assert calls == ["", "snow", "burnt", ""]


def test_a_regime_on_disk_is_whole(tmp_path):
    season = make_season(tmp_path, 2, (1, 1), "urban")
    assert len(season.scenes) == 6
    truth, fraction = raster_of(season.truth), raster_of(season.fraction)
    assert np.array_equal(truth == 1, fraction >= 0.5)
    assert np.array_equal(fraction, np.rint(fraction * 9).astype(np.float32) / np.float32(9))
    with rasterio.open(season.dem) as file:
        assert np.isfinite(file.read(1)).all()
    assert make_season(tmp_path, 2, (1, 1), "urban") == season


def test_an_unknown_regime_is_refused_in_one_line_naming_the_known(tmp_path):
    with pytest.raises(RecipeError, match=re.escape("'fog'")) as caught:
        make_season(tmp_path, 0, (1, 1), "fog")
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in NAMES)
    assert not list(tmp_path.iterdir())
