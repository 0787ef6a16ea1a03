"""Grounds that only some noise regimes have: cities, lava fields, salt flats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise
from water_gee.demo.lie import distance_to_towns, top
from water_gee.demo.light import shifted
from water_gee.demo.site import FINE
from water_gee.demo.spectra import CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.lie import Lie
    from water_gee.demo.site import Site
    from water_gee.demo.world import World

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]
    Cover = NDArray[np.uint8]

BLOCK = (11, 15)
"""Sides of a city block in 10 m pixels, the streets around it included."""

_USES = 4096
"""Blocks after which uses repeat."""


def lay(site: Site, lie: Lie, cover: Cover, world: World, seed: int) -> None:
    """Lay a world's special grounds over the ordinary ones, in place.

    Args:
        site: Where.
        lie: The lie of the land.
        cover: Codes of `spectra.KINDS` on the 10 m grid.
        world: How much there is of each.
        seed: The season's seed; every ground draws from a generator of its own.
    """
    for share, build in ((world.lava, _lava), (world.playa, _playa), (world.city, _city)):
        if share:
            build(site, lie, cover, share, noise.generator(seed, build.__name__))


def _lava(site: Site, lie: Lie, cover: Cover, share: float, rng: np.random.Generator) -> None:
    """Flows with lobed edges, and islands of older ground in them."""
    flow = noise.fractal(site.shape, rng, slope=1.9, coarsest=160)
    flow += 0.25 * noise.fractal(site.shape, rng, slope=0.9, coarsest=24) - lie.slope
    islands = noise.fractal(site.shape, rng, slope=1.2, coarsest=16)
    flow[islands > 1.7] = -np.inf
    cover[_fine(site, np.maximum(flow, -9)) > top(flow, share)] = CODE["lava"]


def _playa(site: Site, lie: Lie, cover: Cover, share: float, rng: np.random.Generator) -> None:
    """Salt on the flattest low ground: dry crust, wet salt lower down, brine in the lowest."""
    low = noise.fractal(site.shape, rng, slope=2.0, coarsest=220)
    low += 0.12 * noise.fractal(site.shape, rng, slope=1.0, coarsest=20)
    low -= 12 * filters.smooth(lie.slope, 3) + 1.5 * lie.upland + 2.0 * lie.height
    edge = top(low, share)
    flat = _fine(site, low)
    # Water seeps up in patches, more of it towards the middle.
    damp = 0.9 * (low - edge) + 0.55 * noise.fractal(site.shape, rng, slope=1.5, coarsest=70)
    damp += 0.22 * noise.fractal(site.shape, rng, slope=0.9, coarsest=10)
    seep = _fine(site, damp)
    inside = flat > edge
    wet, brine = np.quantile(seep[inside], [0.42, 0.80])
    cover[inside] = CODE["salt crust"]
    cover[inside & (seep > wet)] = CODE["wet salt"]
    cover[inside & (seep > brine)] = CODE["brine"]


def _city(site: Site, lie: Lie, cover: Cover, share: float, rng: np.random.Generator) -> None:
    """Blocks between streets: houses and gardens, halls, towers with their shade, parks."""
    centre = -distance_to_towns(site, lie, rng, 2 * site.cells[0] * site.cells[1])
    rough = noise.fractal(site.shape, rng, slope=1.2, coarsest=40)
    score = centre + 0.5 * rough
    inside = _fine(site, score) > top(score, share)
    trade = _fine(site, noise.fractal(site.shape, rng, slope=1.5, coarsest=90))
    inner = _fine(site, centre) > np.quantile(centre[score > top(score, share)], 0.6)
    # Streets run along one direction, as they were staked out.
    angle = rng.uniform(0.1, 0.5 * np.pi - 0.1)
    row, col = np.mgrid[0 : site.fine_shape[0], 0 : site.fine_shape[1]].astype(np.float32)
    along = np.floor(np.cos(angle) * col + np.sin(angle) * row).astype(np.int32) + 100_000
    across = np.floor(-np.sin(angle) * col + np.cos(angle) * row).astype(np.int32) + 100_000
    number = (along // BLOCK[0]) * 7919 + across // BLOCK[1]
    chance = rng.permutation(_USES)[number % _USES] / np.float32(_USES)
    roof_of = rng.permutation(_USES)[number % _USES] / np.float32(_USES)
    at, beside = along % BLOCK[0], across % BLOCK[1]

    town = _houses(site, rng)
    halls = chance < 0.34 + 0.22 * trade
    towers = ~halls & (chance < 0.62) & inner
    parks = ~halls & (chance > 0.90)
    roof = np.where(roof_of < 0.62, CODE["dark roof"], CODE["built"]).astype(np.uint8)
    roof[roof_of > 0.86] = CODE["bright roof"]
    yard = np.where(roof_of % 0.1 < 0.05, CODE["asphalt"], CODE["built"]).astype(np.uint8)
    town = np.where(parks, np.where(at < 7, CODE["grass"], CODE["broadleaf"]), town)
    town = np.where(halls | towers, yard, town).astype(np.uint8)
    hall = halls & (at >= 2) & (at < 10) & (beside >= 2) & (beside < 13)
    town[hall] = roof[hall]
    tower = towers & (at >= 2) & (at < 6) & (beside % 7 >= 2) & (beside % 7 < 6)
    _raise_towers(town, tower, inside)
    town[tower] = roof[tower]
    town[(at == 0) | (beside == 0)] = CODE["asphalt"]
    cover[inside] = town[inside]


def _houses(site: Site, rng: np.random.Generator) -> Cover:
    """Houses, drives, trees and lawns, pixel by pixel."""
    names = ("built", "dark roof", "asphalt", "grass", "broadleaf", "bright roof")
    until = np.cumsum((0.27, 0.16, 0.16, 0.17, 0.20))
    which = np.searchsorted(until, rng.random(site.fine_shape, dtype=np.float32))
    codes = np.array([CODE[name] for name in names], dtype=np.uint8)
    return np.asarray(codes[which], dtype=np.uint8)


def _raise_towers(town: Cover, tower: Mask, inside: Mask) -> None:
    """Lay the shade of towers 40 m high away from the late-morning sun, to the north-north-west."""
    walls = tower.astype(np.float32)
    for down, right in ((-1, 0), (-1, -1), (-2, -1), (-3, -1)):
        shade = (shifted(walls, down, right) > 0) & ~tower & inside
        town[shade] = CODE["building shade"]


def _fine(site: Site, field: Field) -> Field:
    return noise.enlarge(field, FINE, site.fine_shape)
