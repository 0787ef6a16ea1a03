"""A season of Landsat 8 acquisitions of the synthetic ground, as Collection 2 Level 2 integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, light, noise, oversight, quality, sky
from water_gee.demo.mtl import SceneFacts
from water_gee.demo.regimes import NONE
from water_gee.demo.schedule import WRS_ROW
from water_gee.demo.site import PIXEL
from water_gee.demo.spectra import BANDS, CODE, KINDS, SNOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from water_gee.demo.landcover import Ground
    from water_gee.demo.regimes import Regime
    from water_gee.demo.schedule import Acquisition
    from water_gee.demo.site import Site

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

SCALE, OFFSET = 2.75e-05, -0.2
"""Reflectance = DN x SCALE + OFFSET (Collection 2 Level 2)."""

_SLANT = 15.0
"""Angle of the swath's edges from grid north at 52° N, in degrees."""

_NOISE = (0.0012, 0.0012, 0.0012, 0.0018, 0.0016, 0.0014)
"""Noise of one pixel in each band, reflectance."""

_HAZE = (0.0045, 0.0032, 0.0024, 0.0014, 0.0008, 0.0006)
"""What the atmospheric correction leaves, over some kilometres, reflectance."""


@dataclass(frozen=True, slots=True)
class View:
    """One acquisition's light and sky, before pixels are made.

    Attributes:
        facts: The pass.
        sun: Azimuth and elevation in degrees.
        direct: Direct light relative to flat ground.
        diffuse: Diffuse light relative to open ground.
        sky: Clouds and shadows.
        seen: Inside the swath.
        lasts: Share of the snow at each pixel that lies on that day.
        snow: Share of each pixel under snow on that day.
    """

    facts: Acquisition
    sun: tuple[float, float]
    direct: Field
    diffuse: Field
    sky: sky.Sky
    seen: Mask
    lasts: Field
    snow: Field


@dataclass(frozen=True, slots=True)
class Scene:
    """One finished scene.

    Attributes:
        facts: For its metadata file.
        bands: Name -> `uint16 (row, col)`: the six reflectances and QA_PIXEL.
    """

    facts: SceneFacts
    bands: dict[str, NDArray[np.uint16]]


def make_scenes(site: Site, ground: Ground, seed: int, regime: Regime = NONE) -> Iterator[Scene]:
    """Take the season's pictures, one after the other.

    Args:
        site: Where.
        ground: What is there.
        seed: The season's seed.
        regime: When they are taken, below which sky, and what their QA gets wrong.
    """
    still, green = _reflectance(ground)
    common = oversight.habits(regime.weather, ground, seed)
    views = [_view(site, ground, facts, seed, regime, common) for facts in regime.schedule]
    near_infrared = BANDS.index("SR_B5")
    darkness = np.mean(
        [_lit(still[near_infrared] + green[near_infrared], v, near_infrared) for v in views], axis=0
    ).astype(np.float32)
    looks = [_look(ground, view, seed, regime) for view in views]
    weakness = quality.find_weakness(ground, darkness, seed, regime.errors, _spoilt_share(looks))
    truth = ground.water >= 0.5
    wrong = quality.scale_errors(
        weakness, looks, truth, seed, regime.errors, regime.target, regime.most
    )
    for view, one in zip(views, looks, strict=True):
        rng = noise.generator(seed, f"sensor {view.facts.product}")
        bands = _expose(ground, view, still, green, rng)
        water = one.water(weakness, wrong)
        # What passes for water did not pass for snow.
        snow = (view.snow > 0.5) & ~(water & (regime is not NONE))
        bands["QA_PIXEL"] = quality.pack(view.sky, view.seen, water, snow)
        cover = 100 * float(view.sky.is_cloud[view.seen].mean())
        facts = SceneFacts(
            product=view.facts.product,
            when=view.facts.when,
            made=view.facts.made,
            path=view.facts.path,
            row=WRS_ROW,
            sun=view.sun,
            cloud_cover=cover,
        )
        yield Scene(facts, bands)


def _view(
    site: Site,
    ground: Ground,
    facts: Acquisition,
    seed: int,
    regime: Regime,
    common: oversight.Habits,
) -> View:
    west, south, east, north = site.bounds
    sun = light.sun_position(facts.when, (west + east) / 2, (south + north) / 2)
    direct, diffuse = light.illumination(ground.elevation, PIXEL, *sun)
    above = sky.make_sky(
        site.shape,
        noise.generator(seed, f"sky {facts.product}"),
        clouds=facts.clouds * regime.weather.clouds,
        cirrus=facts.cirrus,
        sun=sun,
        gather=common.gather,
        soft=regime.weather.soft,
    )
    chance = noise.generator(seed, f"oversight {facts.product}")
    above = oversight.overlook(above, regime.weather, common, chance)
    seen = sky.inside_swath(site.shape, facts.west, facts.east, _SLANT)
    lasts = _lasting(ground.melt, facts.melted, regime.world.thaw)
    snow = ground.shares[SNOW[0]] * lasts
    for code in SNOW[1:]:
        snow += ground.shares[code] * lasts
    return View(facts, sun, direct, diffuse, above, seen, lasts, snow)


def _lasting(melt: Field, melted: float, thaw: float) -> Field:
    """Share of the snow that lies still, given how late it lasts everywhere."""
    if not thaw:
        return (melt >= melted).astype(np.float32)
    out: Field = np.clip((melt - melted) / thaw + 0.5, 0, 1).astype(np.float32)
    return out


def _look(ground: Ground, view: View, seed: int, regime: Regime) -> quality.Look:
    """What the acquisition's QA makes of the ground."""
    weather = regime.weather
    overlooks = weather.missed_shadow > 0 or weather.missed_fringe
    return quality.look(
        ground,
        view.sky,
        view.seen,
        noise.generator(seed, f"look {view.facts.product}"),
        once=regime is NONE,
        spoilt=oversight.left_over(view.sky, weather, ground.water >= 0.5) if overlooks else None,
        mixed=regime.mixed,
    )


def _spoilt_share(looks: Sequence[quality.Look]) -> Field | None:
    """Share of the clear observations that clouds spoil; None where that is no matter."""
    spoilt = [one.spoilt & one.clear for one in looks if one.spoilt is not None]
    if not spoilt:
        return None
    clear = np.sum([one.clear for one in looks], axis=0, dtype=np.float32)
    out: Field = (np.sum(spoilt, axis=0) / np.maximum(clear, 1)).astype(np.float32)
    return out


def _reflectance(ground: Ground) -> tuple[Field, Field]:
    """Reflectance of the evenly lit ground, `(band, row, col)`: what stays, what follows leaves."""
    still = np.zeros((len(BANDS), *ground.water.shape), dtype=np.float32)
    green = np.zeros_like(still)
    for kind, share in zip(KINDS, ground.shares, strict=True):
        if not share.any():
            continue
        place = ground.variation[kind.axis]
        for band, (low, high) in enumerate(zip(kind.low, kind.high, strict=True)):
            part = share * (np.float32(low) + np.float32(high - low) * place)
            (green if kind.green else still)[band] += part
    return still, green


def _lit(reflectance: Field, view: View, band: int) -> Field:
    """Reflectance as the product shows it: not corrected for relief, nor for cloud shadow."""
    diffuse = np.float32(light.SKYLIGHT[band])
    direct = view.direct * (1 - view.sky.shadow)
    lit: Field = reflectance * ((1 - diffuse) * direct + diffuse * view.diffuse)
    lit += np.float32(light.ADJACENT[band]) * np.maximum(1 - direct, 0)
    return lit


def _expose(
    ground: Ground, view: View, still: Field, green: Field, rng: np.random.Generator
) -> dict[str, NDArray[np.uint16]]:
    """Make the six bands of one scene as stored integers, fill as 0."""
    leaf = view.facts.leaf
    rock = KINDS[CODE["rock"]]
    snows = [code for code in SNOW if ground.shares[code].any()]
    haze = noise.fractal(ground.water.shape, rng, slope=1.8, coarsest=300)
    blur = _spread(rng)
    out = {}
    for band, name in enumerate(BANDS):
        # Near infrared rises with the leaves; red falls.
        season = leaf if band == BANDS.index("SR_B5") else 1 + 0.5 * (1 - leaf)
        flat = still[band] + np.float32(season) * green[band]
        for code in snows:
            snow, bared = KINDS[code], ground.shares[code] - ground.shares[code] * view.lasts
            age = ground.variation[snow.axis]
            was = np.float32(snow.low[band]) + np.float32(snow.high[band] - snow.low[band]) * age
            flat += bared * (np.float32(rock.low[band]) - was)
        seen = filters.convolve(_lit(np.maximum(flat, 0), view, band), blur)
        seen += np.float32(_HAZE[band]) * (haze + np.float32(rng.normal(0, 0.4)))
        grain = rng.standard_normal(seen.shape, dtype=np.float32)
        seen += grain * (np.float32(_NOISE[band]) + np.float32(0.008) * np.abs(seen))
        seen += view.sky.cirrus * np.float32(0.5 * sky.CIRRUS_COLOUR[band])
        seen += view.sky.cloud * (np.float32(sky.CLOUD_COLOUR[band]) - seen)
        stored = np.clip(np.rint((seen - OFFSET) / SCALE), 1, 65535).astype(np.uint16)
        out[name] = np.where(view.seen, stored, np.uint16(0))
    return out


def _spread(rng: np.random.Generator) -> Field:
    """The sensor's point spread over 3 x 3 pixels, with the scene's misregistration in it."""
    down, right = rng.normal(0, 0.10, size=2)
    step = np.arange(-1, 2)
    kernel = np.outer(
        np.exp(-((step - down) ** 2) / (2 * quality.BLUR**2)),
        np.exp(-((step - right) ** 2) / (2 * quality.BLUR**2)),
    )
    out: Field = (kernel / kernel.sum()).astype(np.float32)
    return out
