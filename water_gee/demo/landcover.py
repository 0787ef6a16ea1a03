"""What covers the synthetic ground: 10 m classes where they would sit, and their 30 m shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise, terrain
from water_gee.demo.site import FINE, PIXEL
from water_gee.demo.spectra import CODE, KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.site import Site
    from water_gee.demo.terrain import Relief
    from water_gee.demo.waters import Waters

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

SNOW_SHARE, BURNT_SHARE, WETLAND_SHARE, TOWN_SHARE = 0.018, 0.030, 0.110, 0.005
"""Shares of the ground, so that every seed has some of each."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything about the surface that does not change within the season, on the 30 m grid.

    Attributes:
        elevation: Metres; lakes are flat.
        shares: `float32 (kind, row, col)` in `spectra.KINDS` order, adding up to 1.
        water: Share of each pixel under water, `float32 (row, col)`.
        variation: Three fields in [0, 1] that move covers between the ends of their range.
        melt: How late snow lasts, in [0, 1]; only where there is snow.
    """

    elevation: Field
    shares: Field
    water: Field
    variation: Field
    melt: Field


def make_ground(site: Site, relief: Relief, waters: Waters, seed: int) -> Ground:
    """Cover the ground of a season.

    Args:
        site: Where.
        relief: Its ground.
        waters: Its water.
        seed: The season's seed.
    """
    rng = noise.generator(seed, "landcover")
    lie = _lie_of_the_land(site, relief, waters)
    cover, snow = _land(site, lie, rng)
    _along_rivers(site, cover, waters, rng)
    _under_water(site, cover, waters, rng)
    shares = np.stack([_share(cover, code) for code in range(len(KINDS))])
    water = shares[[code for code, kind in enumerate(KINDS) if kind.water]].sum(axis=0)
    variation = np.stack(
        [
            noise.unit(
                0.8 * noise.fractal(site.shape, rng, slope=1.2, coarsest=160)
                + 0.6 * noise.fractal(site.shape, rng, slope=0.6, coarsest=12)
            )
            for _ in range(3)
        ]
    )
    return Ground(lie.elevation, shares, water.astype(np.float32), variation, snow)


@dataclass(frozen=True, slots=True)
class _Lie:
    """What covers depend on, on the 30 m grid."""

    elevation: Field
    height: Field  # 0 lowest to 1 highest
    slope: Field  # metres per metre
    north: Field  # how much a slope looks north, metres per metre
    upland: Field
    wet: Field  # 0 dry to 1 where water gathers


def _lie_of_the_land(site: Site, relief: Relief, waters: Waters) -> _Lie:
    def bring(field: Field) -> Field:
        rows, cols = site.shape
        cut = field[
            relief.skirt : relief.skirt + rows // terrain.COARSE,
            relief.skirt : relief.skirt + cols // terrain.COARSE,
        ]
        return noise.enlarge(cut, terrain.COARSE, site.shape)

    elevation = bring(waters.surface)
    east, south = terrain.slope_of(elevation, PIXEL)
    slope = np.hypot(east, south)
    gathers = np.log10(relief.area) + 2 * filters.smooth(waters.basin.astype(np.float32), 1.5)
    height = (elevation - elevation.min()) / (elevation.max() - elevation.min())
    return _Lie(elevation, height, slope, south, bring(relief.upland), bring(gathers))


def _land(site: Site, lie: _Lie, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Field]:
    """Classes of the dry ground at 10 m, and how long snow lasts at 30 m."""

    def field(slope: float, coarsest: float) -> Field:
        return noise.fractal(site.shape, rng, slope=slope, coarsest=coarsest)

    patchy = field(1.5, 200)
    rough = field(0.9, 30)
    trees = 2.2 * lie.upland + 1.6 * lie.slope + 0.9 * patchy + 0.35 * rough - 1.15
    trees -= 9 * np.maximum(lie.height - 0.72, 0)
    mixed = field(1.4, 90) + 0.4 * rough - 1.5 * (lie.height - 0.15)
    scree = lie.slope - 0.88 + 2.2 * np.maximum(lie.height - 0.70, 0) + 0.10 * rough
    snow = lie.height + 0.22 * lie.north + 0.05 * field(1.2, 40)
    burnt = field(1.8, 150) + 0.35 * rough + np.where(trees > 0, 1.0, -0.5)
    wet = 0.55 * lie.wet + 0.7 * field(1.3, 60) + 0.3 * rough - 14 * lie.slope - 1.5 * lie.upland
    town = -_distance_to_towns(site, lie, rng) + 0.25 * rough
    tilled, crop = _farmland(site, lie, field(1.6, 250), rng)

    cover = np.full(site.fine_shape, CODE["grass"], dtype=np.uint8)

    def lay(name: str, score: Field, above: float = 0.0) -> None:
        cover[noise.enlarge(score, FINE, site.fine_shape) > above] = CODE[name]

    lay("tilled soil", tilled)
    lay("crop", crop)
    lay("conifer", trees)
    lay("broadleaf", np.minimum(trees, mixed))
    lay("burnt", burnt, _top(burnt, BURNT_SHARE))
    lay("built", town, _top(town, TOWN_SHARE))
    lay("rock", scree)
    lay("wetland", wet, _top(wet, WETLAND_SHARE))
    snowline = _top(snow, SNOW_SHARE)
    lay("snow", snow, snowline)
    lasts = np.clip((snow - snowline) / (snow.max() - snowline), 0, 1)
    return cover, lasts.astype(np.float32)


def _farmland(site: Site, lie: _Lie, where: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Fields on the flat, along one direction: positive where soil is bare, where crops stand."""
    angle = rng.uniform(0, np.pi)
    row, col = np.mgrid[0 : site.shape[0], 0 : site.shape[1]].astype(np.float32)
    along = np.cos(angle) * col + np.sin(angle) * row
    across = -np.sin(angle) * col + np.cos(angle) * row
    number = np.floor(along / 21).astype(np.int64) * 7919 + np.floor(across / 11).astype(np.int64)
    use = np.random.default_rng(rng.integers(2**32)).permutation(4096)[number % 4096] / 4096
    flat = 0.6 * where - 22 * lie.slope - 2.5 * lie.upland - 0.25
    tilled = np.where(use < 0.38, flat, np.float32(-1))
    crop = np.where(use > 0.62, flat, np.float32(-1))
    return tilled.astype(np.float32), crop.astype(np.float32)


def _distance_to_towns(site: Site, lie: _Lie, rng: np.random.Generator) -> Field:
    """Distance in kilometres to the nearest of a few towns on flat ground."""
    suited = np.flatnonzero((lie.slope < 0.06) & (lie.upland < 0.4))
    if not suited.size:
        suited = np.arange(lie.slope.size)
    centres = rng.choice(suited, size=1 + site.cells[0] * site.cells[1] // 3)
    apart = np.ones(site.shape, dtype=bool)
    apart.ravel()[centres] = False
    return filters.distance_inside(apart) * np.float32(PIXEL / 1000)


def _along_rivers(
    site: Site, cover: NDArray[np.uint8], waters: Waters, rng: np.random.Generator
) -> None:
    """Lay gravel bars beside rivers, in reaches."""
    reach = noise.fractal(site.shape, rng, slope=1.2, coarsest=60)
    banks = filters.grow(waters.river, 3)
    banks &= noise.enlarge(reach, FINE, site.fine_shape) > 1.0
    cover[banks] = CODE["gravel"]


def _under_water(
    site: Site, cover: NDArray[np.uint8], waters: Waters, rng: np.random.Generator
) -> None:
    """Set the kind of water: by depth, by sediment, by weed in shallow lakes."""
    silt = noise.enlarge(
        noise.fractal(site.shape, rng, slope=1.8, coarsest=240), FINE, site.fine_shape
    )
    bloom = noise.enlarge(
        noise.fractal(site.shape, rng, slope=1.5, coarsest=120), FINE, site.fine_shape
    )
    weed = noise.enlarge(
        noise.fractal(site.shape, rng, slope=1.3, coarsest=70), FINE, site.fine_shape
    )
    cover[waters.lake | waters.river] = CODE["clear water"]
    cover[waters.lake & (silt > 0.9)] = CODE["turbid water"]
    flat = waters.lake & (waters.depth < 2.2)
    cover[flat & (weed > 0.2)] = CODE["shallow water"]
    cover[flat & (weed < -0.9)] = CODE["weedy water"]
    cover[waters.lake & (waters.depth < 4) & (bloom > 0.9)] = CODE["algal bloom"]
    cover[waters.river & (silt > 0.1)] = CODE["turbid water"]
    cover[waters.river & (silt < 0.1) & (weed > 0.6)] = CODE["shallow water"]


def _share(cover: NDArray[np.uint8], code: int) -> Field:
    """Share of one class in each block of `FINE` x `FINE` pixels."""
    rows, cols = cover.shape
    blocks = (cover == code).reshape(rows // FINE, FINE, cols // FINE, FINE)
    counted = blocks.sum(axis=(1, 3), dtype=np.uint8)
    out: Field = counted.astype(np.float32) / np.float32(FINE * FINE)
    return out


def _top(score: Field, share: float) -> float:
    """The value that a given share of a field exceeds."""
    return float(np.quantile(score[::3, ::3], 1 - share))
