"""What covers the synthetic ground: 10 m classes where they would sit, and their 30 m shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import districts, filters, noise
from water_gee.demo.lie import distance_to_towns, lie_of_the_land, top
from water_gee.demo.site import FINE
from water_gee.demo.spectra import CODE, KINDS
from water_gee.demo.world import PLAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.lie import Lie
    from water_gee.demo.site import Site
    from water_gee.demo.terrain import Relief
    from water_gee.demo.waters import Waters
    from water_gee.demo.world import World

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]


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


def make_ground(
    site: Site, relief: Relief, waters: Waters, seed: int, world: World = PLAIN
) -> Ground:
    """Cover the ground of a season.

    Args:
        site: Where.
        relief: Its ground.
        waters: Its water.
        seed: The season's seed.
        world: How much of each cover it has.
    """
    rng = noise.generator(seed, "landcover")
    lie = lie_of_the_land(site, relief, waters)
    cover, snow = _land(site, lie, rng, world)
    districts.lay(site, lie, cover, world, seed)
    _along_rivers(site, cover, waters, rng)
    _under_water(site, lie, cover, waters, rng, world)
    shares = np.zeros((len(KINDS), *site.shape), dtype=np.float32)
    for code in np.unique(cover):
        shares[code] = _share(cover, int(code))
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


def _land(
    site: Site, lie: Lie, rng: np.random.Generator, world: World
) -> tuple[NDArray[np.uint8], Field]:
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
    town = -distance_to_towns(site, lie, rng) + 0.25 * rough
    tilled, crop = _farmland(site, lie, field(1.6, 250), rng)

    cover = np.full(site.fine_shape, CODE["grass"], dtype=np.uint8)

    def lay(name: str, score: Field, above: float = 0.0) -> None:
        cover[noise.enlarge(score, FINE, site.fine_shape) > above] = CODE[name]

    lay("tilled soil", tilled)
    lay("crop", crop)
    lay("conifer", trees)
    lay("broadleaf", np.minimum(trees, mixed))
    lay("burnt", burnt, top(burnt, world.burnt))
    lay("built", town, top(town, world.town))
    lay("rock", scree)
    lay("wetland", wet, top(wet, world.wetland))
    snowline = top(snow, world.snow)
    lay("snow", snow, snowline)
    if world.wet_snow:
        # The lower snow has melted and frozen again for weeks.
        firm = top(snow, world.snow * (1 - world.wet_snow))
        old = snow + np.float32(0.03) * field(1.0, 20)
        fine = noise.enlarge(np.where(snow > snowline, old, np.float32(1e3)), FINE, site.fine_shape)
        cover[(cover == CODE["snow"]) & (fine < firm)] = CODE["wet snow"]
    lasts = np.clip((snow - snowline) / (snow.max() - snowline), 0, 1)
    return cover, lasts.astype(np.float32)


def _farmland(site: Site, lie: Lie, where: Field, rng: np.random.Generator) -> tuple[Field, Field]:
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


def _along_rivers(
    site: Site, cover: NDArray[np.uint8], waters: Waters, rng: np.random.Generator
) -> None:
    """Lay gravel bars beside rivers, in reaches."""
    reach = noise.fractal(site.shape, rng, slope=1.2, coarsest=60)
    banks = filters.grow(waters.river, 3)
    banks &= noise.enlarge(reach, FINE, site.fine_shape) > 1.0
    cover[banks] = CODE["gravel"]


def _under_water(
    site: Site,
    lie: Lie,
    cover: NDArray[np.uint8],
    waters: Waters,
    rng: np.random.Generator,
    world: World,
) -> None:
    """Set the kind of water: by depth, by sediment, by weed in shallow lakes."""
    silt, bloom, weed = (
        noise.enlarge(
            noise.fractal(site.shape, rng, slope=slope, coarsest=coarsest), FINE, site.fine_shape
        )
        for slope, coarsest in ((1.8, 240), (1.5, 120), (1.3, 70))
    )
    if world.silt:
        # Mud that falls dry beside the silt, where the ground is flat.
        flat = noise.enlarge(lie.slope, FINE, site.fine_shape) < 0.04
        cover[filters.grow(waters.lake | waters.river, 9) & flat & (weed > 0.2)] = CODE["wet mud"]
    silt += np.float32(world.silt)
    cover[waters.lake | waters.river] = CODE["clear water"]
    cover[waters.lake & (silt > 0.9)] = CODE["turbid water"]
    flat = waters.lake & (waters.depth < world.flat)
    cover[flat & (weed > 0.2)] = CODE["shallow water"]
    cover[flat & (weed < world.weeds - 0.9)] = CODE["weedy water"]
    cover[waters.lake & (waters.depth < 4) & (bloom > 0.9)] = CODE["algal bloom"]
    cover[waters.river & (silt > 0.1)] = CODE["turbid water"]
    cover[waters.river & (silt < 0.1) & (weed > 0.6)] = CODE["shallow water"]
    if world.silt:
        cover[(cover == CODE["turbid water"]) & (silt > 1.6)] = CODE["silt-laden water"]
    if world.weeds:
        cover[flat & (bloom < world.weeds - 1.2)] = CODE["floating plants"]


def _share(cover: NDArray[np.uint8], code: int) -> Field:
    """Share of one class in each block of `FINE` x `FINE` pixels."""
    rows, cols = cover.shape
    blocks = (cover == code).reshape(rows // FINE, FINE, cols // FINE, FINE)
    counted = blocks.sum(axis=(1, 3), dtype=np.uint8)
    out: Field = counted.astype(np.float32) / np.float32(FINE * FINE)
    return out
