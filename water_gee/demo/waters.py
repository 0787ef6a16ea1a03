"""Standing and running water on the 10 m truth: lakes, reservoirs, ponds, rivers and creeks.

Lakes fill depressions up to a share of the ground that is fixed beforehand, so that every seed has
about as much water; the depressions left dry become wetland. Rivers follow the drainage tree and
widen with the square root of their catchment (hydraulic geometry: L. Leopold, T. Maddock 1953, USGS
Professional Paper 252).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import drainage
from water_gee.demo import filters, noise
from water_gee.demo.site import FINE, PIXEL
from water_gee.demo.terrain import COARSE
from water_gee.demo.world import PLAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.site import Site
    from water_gee.demo.terrain import Relief
    from water_gee.demo.world import World

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

_STEP = PIXEL * COARSE  # 60 m
_UNIT = PIXEL / FINE  # 10 m


@dataclass(frozen=True, slots=True)
class Waters:
    """Where the water is.

    Attributes:
        lake: Standing water, bool on the 10 m grid of the site.
        river: Running water, bool on the same grid.
        depth: Depth of standing water in metres, 0 elsewhere; on the 10 m grid.
        basin: Depressions without water, bool on the 60 m grid with skirt.
        surface: Ground or lake level in metres, on the 60 m grid with skirt.
    """

    lake: Mask
    river: Mask
    depth: Field
    basin: Mask
    surface: Field


def make_waters(site: Site, relief: Relief, seed: int, world: World = PLAIN) -> Waters:
    """Let water into the ground of a season.

    Args:
        site: Where.
        relief: Its ground.
        seed: The season's seed.
        world: How much water it has.
    """
    rng = noise.generator(seed, "waters")
    dam = _dam_level(relief, rng)
    level = np.fmax(relief.level, dam)
    flooded, basin = _chosen(level - relief.bed, np.isfinite(dam), rng, world)
    surface = np.where(flooded, level, relief.bed)
    lake, depth = _shores(site, relief, level, flooded, rng)
    river = _rivers(site, relief, rng, world)
    return Waters(lake, river & ~lake, depth, basin, surface)


def _dam_level(relief: Relief, rng: np.random.Generator) -> Field:
    """Level of a reservoir behind a dam in a mountain valley; NaN where it does not reach."""
    level = np.full(relief.bed.shape, np.nan, dtype=np.float32)
    inner = np.zeros(relief.bed.shape, dtype=bool)
    cut = relief.skirt + 20
    inner[cut:-cut, cut:-cut] = True
    share = relief.area / relief.area.max()
    sites = np.flatnonzero(inner & (share > 0.015) & (share < 0.3) & (relief.upland > 0.6))
    allowed = np.array([0.003, 0.02]) * relief.bed.size
    for site in rng.permutation(sites)[:16]:
        start = np.zeros(relief.bed.size, dtype=bool)
        start[site] = True
        upstream = drainage.carry_upstream(relief.tree, start.reshape(relief.bed.shape))
        height = relief.bed.ravel()[site] + np.float32(45)
        pool = upstream & (relief.bed < height)
        if allowed[0] < pool.sum() < allowed[1]:
            level[pool] = height
            break
    return level


def _chosen(depth: Field, dam: Mask, rng: np.random.Generator, world: World) -> tuple[Mask, Mask]:
    """Fill depressions in random order up to the lakes' share; return the filled and the dry."""
    hollow, count = filters.blobs(depth > 0.5)
    sizes = np.bincount(hollow.ravel(), minlength=count + 1)
    order = rng.permutation(np.arange(1, count + 1))
    # Large ones mostly come first, or a handful of ponds would use up the quota.
    order = order[np.argsort(-np.sqrt(sizes[order]) * rng.uniform(0.2, 1, count), kind="stable")]
    quota = world.lakes * depth.size - dam.sum()
    total = np.cumsum(sizes[order])
    wet = np.zeros(count + 1, dtype=bool)
    wet[order[total <= quota]] = True
    filled = wet[hollow] | dam
    return filled, (hollow > 0) & ~filled


def _shores(
    site: Site, relief: Relief, level: Field, flooded: Mask, rng: np.random.Generator
) -> tuple[Mask, Field]:
    """Draw shorelines at 10 m: where finer ground lies below the lake's level."""
    factor, shape, skirt = COARSE * FINE, site.fine_shape, relief.skirt
    near = filters.highest(np.where(flooded, level, np.float32(-np.inf)), 3)

    def crop(field: Field) -> Field:
        return field[skirt : skirt + shape[0] // factor, skirt : skirt + shape[1] // factor]

    ground = noise.enlarge(crop(relief.bed), factor, shape)
    wrinkle = noise.fractal(site.shape, rng, slope=1.4, coarsest=20)
    ground += 0.5 * noise.enlarge(wrinkle, FINE, shape)
    depth = np.repeat(np.repeat(crop(near), factor, axis=0), factor, axis=1)[: shape[0], : shape[1]]
    depth -= ground
    np.maximum(depth, 0, out=depth)
    return depth > 0, depth


def _rivers(site: Site, relief: Relief, rng: np.random.Generator, world: World) -> Mask:
    """Draw rivers as bands around smoothed paths down the drainage tree."""
    width = world.widest * np.sqrt(relief.area / relief.area.max()).ravel()
    width = np.minimum(width, world.broadest)
    nodes = np.flatnonzero(width >= world.narrowest)
    row, col = _paths(relief, nodes, width, rng)
    receiver = relief.tree.receiver[nodes]
    spacing = np.maximum(8.0, width[nodes] / 4)
    pieces = np.ceil(1.5 * _STEP / spacing).astype(np.intp)
    which = np.repeat(np.arange(nodes.size), pieces)
    first = np.cumsum(pieces) - pieces
    along = (np.arange(which.size) - first[which]) / pieces[which]
    a, b = nodes[which], receiver[which]
    # From 60 m pixels, skirt included, to 10 m pixels of the site.
    factor = COARSE * FINE
    y = (row[a] + along * (row[b] - row[a]) + 0.5 - relief.skirt) * factor - 0.5
    x = (col[a] + along * (col[b] - col[a]) + 0.5 - relief.skirt) * factor - 0.5
    radius = (width[a] + along * (width[b] - width[a])) / (2 * _UNIT)
    return _stamp(site.fine_shape, y, x, radius)


def _paths(
    relief: Relief, nodes: NDArray[np.intp], width: Field, rng: np.random.Generator
) -> tuple[Field, Field]:
    """Positions of river nodes in 60 m pixels: bent, then smoothed along the flow."""
    rows, cols = relief.bed.shape
    row, col = (n.astype(np.float32).ravel() for n in np.mgrid[0:rows, 0:cols])
    swing = np.clip(width / 60, 0.4, 1.6)
    for axis in (row, col):
        bend = 1.2 * noise.fractal((rows, cols), rng, slope=1.0, coarsest=18, finest=7)
        axis += bend.ravel() * swing
    receiver = relief.tree.receiver
    # The donor with the largest catchment is written last and stays.
    donor = np.arange(rows * cols, dtype=np.int32)
    climbing = nodes[np.argsort(width[nodes], kind="stable")].astype(np.int32)
    donor[receiver[climbing]] = climbing
    for _ in range(3):
        for axis in (row, col):
            axis[nodes] = 0.5 * axis[nodes] + 0.25 * (axis[receiver[nodes]] + axis[donor[nodes]])
    return row, col


def _stamp(shape: tuple[int, int], y: Field, x: Field, radius: Field) -> Mask:
    """Mark every pixel whose centre lies within `radius` of one of the points (all in pixels)."""
    out = np.zeros(shape, dtype=bool)
    reach = np.maximum(np.ceil(radius - 0.5), 0).astype(np.intp)
    for size in np.unique(reach):
        mine = reach == size
        py, px, r = y[mine], x[mine], np.maximum(radius[mine], 0.5)
        cy, cx = np.rint(py).astype(np.intp), np.rint(px).astype(np.intp)
        for dy in range(-size, size + 1):
            for dx in range(-size, size + 1):
                ny, nx = cy + dy, cx + dx
                hit = (ny - py) ** 2 + (nx - px) ** 2 <= r * r
                hit &= (ny >= 0) & (ny < shape[0]) & (nx >= 0) & (nx < shape[1])
                out[ny[hit], nx[hit]] = True
    return out
