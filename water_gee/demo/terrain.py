"""Synthetic relief with drainage: mountains, valleys cut by running water, basins, rivers.

Uplift and stream-power erosion alternate on a 120 m grid until valleys branch as real ones do;
finer relief is added on the 60 m grid, where depressions are filled and rivers are traced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import drainage
from water_gee.demo import filters, noise
from water_gee.demo.world import PLAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.site import Site
    from water_gee.demo.world import World

    Field = NDArray[np.floating[Any]]

COARSE = 2
"""Landsat pixels per hydrology pixel and side: 60 m."""

_SKIRT = 32
"""60 m pixels around the site, cut off at the end, because drainage misbehaves along the border."""

_AGES = 14
"""Rounds of uplift and erosion; valleys reach the water divides after about ten."""

_BASIN_SHARE = 0.125
"""Share of the ground that basins should take, more than the lakes will fill."""

_LOWEST, _HIGHEST = 430.0, 1900.0
"""Elevation in metres of the outlet and of the highest summit of a 3 x 3 season."""


@dataclass(frozen=True, slots=True)
class Relief:
    """The ground and what runs over it, on the 60 m grid, skirt included.

    Attributes:
        bed: Elevation of the ground in metres, lake beds included.
        level: Elevation with every depression filled to its spill point.
        tree: The drainage tree.
        area: Flow accumulation in square metres.
        upland: 0 on the plain to 1 in the mountains.
        skirt: Pixels to cut off on every side.
    """

    bed: Field
    level: Field
    tree: drainage.Drainage
    area: Field
    upland: Field
    skirt: int


def make_relief(site: Site, seed: int, world: World = PLAIN) -> Relief:
    """Raise and carve the ground of a season.

    Args:
        site: Where.
        seed: The season's seed.
        world: How high its mountains are.
    """
    rng = noise.generator(seed, "terrain")
    shape = _coarse_shape(site)
    upland, height, outlets = _carved(shape, rng, world.relief * _relief_height(site))
    bed = _detailed(height, upland, outlets, rng)
    bed = _with_basins(bed, upland, rng)
    tree = drainage.drain(bed, outlets)
    area = drainage.accumulate(tree) * np.float32(60.0**2)
    return Relief(bed, drainage.fill(bed, tree), tree, area, upland, _SKIRT)


def slope_of(elevation: Field, spacing: float) -> tuple[Field, Field]:
    """Rise to the east and to the south, in metres per metre."""
    south, east = (np.gradient(elevation, spacing, axis=axis) for axis in (0, 1))
    return np.asarray(east, np.float32), np.asarray(south, np.float32)


def _coarse_shape(site: Site) -> tuple[int, int]:
    """Shape of the 60 m grid with its skirt, both sides even."""
    rows, cols = (n // COARSE + 2 * _SKIRT for n in site.shape)
    return rows + rows % 2, cols + cols % 2


def _relief_height(site: Site) -> float:
    """Height difference in metres: small sites have small mountains, no steeper than others."""
    extent = float(np.sqrt(site.cells[0] * site.cells[1])) / 3
    return float((_HIGHEST - _LOWEST) * min(1.0, extent) ** 0.7)


def _carved(
    shape: tuple[int, int], rng: np.random.Generator, height: float
) -> tuple[Field, Field, NDArray[np.bool_]]:
    """Raise mountains and let streams cut them, on a grid twice as coarse as `shape`."""
    rows, cols = shape[0] // 2, shape[1] // 2
    angle = rng.uniform(0, 2 * np.pi)
    south, east = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : cols * 1j].astype(np.float32)
    trend = np.cos(angle) * east + np.sin(angle) * south
    swell = noise.fractal((rows, cols), rng, slope=2.2)
    upland = _ramp(trend * 1.5 + 0.75 * swell, 0.58, 0.14)
    edge = np.zeros((rows, cols), dtype=bool)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    outlets = edge & (trend <= np.quantile(trend[edge], 0.12))
    surface = 40 * trend + 60 * noise.fractal((rows, cols), rng, slope=1.7) * (0.5 + upland)
    strength = 0.3 * np.exp(0.35 * noise.fractal((rows, cols), rng, slope=1.2))
    for _ in range(_AGES):
        surface = surface + 4 + 55 * upland
        tree = drainage.drain(surface, outlets)
        area = drainage.accumulate(tree) * np.float32(120.0**2)
        surface = drainage.fill(surface, tree)
        surface = drainage.erode(surface, tree, area, strength, 120.0)
        surface = filters.smooth(surface, 0.5)  # creep: what rounds hilltops
    surface -= surface.min()
    surface *= height / surface.max()
    fine = noise.enlarge(surface + np.float32(_LOWEST), 2, shape)
    doors = np.zeros(shape, dtype=bool)
    doors[::2, ::2] = outlets
    doors[1::2, 1::2] = outlets
    border = np.zeros(shape, dtype=bool)
    border[[0, -1], :] = border[:, [0, -1]] = True
    return noise.enlarge(upland, 2, shape), fine, doors & border


def _detailed(
    height: Field, upland: Field, outlets: NDArray[np.bool_], rng: np.random.Generator
) -> Field:
    """Add the relief that the coarse grid cannot hold, then fill the pits that come with it."""
    rough = noise.fractal(height.shape, rng, slope=1.9, coarsest=24)
    rough_height = height + rough * (1.0 + 21 * upland)
    return drainage.fill(rough_height, drainage.drain(rough_height, outlets))


def _with_basins(bed: Field, upland: Field, rng: np.random.Generator) -> Field:
    """Sink basins of irregular outline: wide shallow ones into the plain, tarns into the mountains.

    A basin lies below the lowest ground around it, so it holds water by construction; on a slope
    only the lowest part of its outline becomes one.
    """
    broad = noise.fractal(bed.shape, rng, slope=1.6, coarsest=70, finest=4)
    small = noise.fractal(bed.shape, rng, slope=1.3, coarsest=22, finest=4)
    wanted = 0.85 * broad + 0.35 * small
    plain = (wanted > np.quantile(wanted, 0.72)) & (upland < 0.5)
    tarn = (small > np.quantile(small, 0.95)) & (upland >= 0.5)
    target = np.full_like(bed, np.inf)
    for tolerance in (22, 35, 55, 85):  # metres of slope that a basin may be cut into
        target = _floors(bed, plain | tarn, np.where(upland < 0.5, np.float32(tolerance), 45))
        if np.isfinite(target).mean() >= _BASIN_SHARE:
            break
    depth = filters.distance_inside(np.isfinite(target))
    sunk = np.minimum(bed, target - np.minimum(0.6 + 1.0 * depth, 14.0).astype(np.float32))
    shores = filters.grow(np.isfinite(target), 2)
    out: Field = np.where(shores, filters.smooth(sunk, 0.8), sunk)
    return out


def _floors(bed: Field, outline: NDArray[np.bool_], tolerance: Field) -> Field:
    """The lowest ground of each basin, at its pixels; infinite elsewhere."""
    blobs, count = filters.blobs(outline)
    lowest = filters.lowest_of_blobs(bed, blobs, count)
    blobs, count = filters.blobs(outline & (bed < lowest[blobs] + tolerance))
    lowest = filters.lowest_of_blobs(bed, blobs, count)
    lowest[np.bincount(blobs.ravel(), minlength=count + 1) < 3] = np.inf
    lowest[0] = np.inf
    out: Field = lowest[blobs]
    return out


def _ramp(field: Field, quantile: float, width: float) -> Field:
    """Turn a field into 0 below and 1 above one of its quantiles, with a smooth ramp between."""
    low, high = np.quantile(field, [quantile - width, quantile + width])
    x = np.clip((field - low) / (high - low), 0, 1)
    out: Field = (x * x * (3 - 2 * x)).astype(np.float32)
    return out
