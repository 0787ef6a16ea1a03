"""What covers depend on: height, slope, wetness, and how far the next town is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise, terrain
from water_gee.demo.site import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.site import Site
    from water_gee.demo.terrain import Relief
    from water_gee.demo.waters import Waters

    Field = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Lie:
    """The lie of the land, on the 30 m grid.

    Attributes:
        elevation: Metres; lakes are flat.
        height: 0 lowest to 1 highest.
        slope: Metres per metre.
        north: How much a slope looks north, metres per metre.
        upland: 0 on the plain to 1 in the mountains.
        wet: Where water gathers: the more, the higher; no unit.
    """

    elevation: Field
    height: Field
    slope: Field
    north: Field
    upland: Field
    wet: Field


def lie_of_the_land(site: Site, relief: Relief, waters: Waters) -> Lie:
    """Bring ground and water to the 30 m grid.

    Args:
        site: Where.
        relief: Its ground.
        waters: Its water.
    """

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
    return Lie(elevation, height, slope, south, bring(relief.upland), bring(gathers))


def distance_to_towns(
    site: Site, lie: Lie, rng: np.random.Generator, count: int | None = None
) -> Field:
    """Distance in kilometres to the nearest of a few towns on flat ground.

    Args:
        site: Where.
        lie: The lie of the land.
        rng: Where chance comes from.
        count: How many towns; else one for every three cells, and one more.
    """
    suited = np.flatnonzero((lie.slope < 0.06) & (lie.upland < 0.4))
    if not suited.size:
        suited = np.arange(lie.slope.size)
    if count is None:
        count = 1 + site.cells[0] * site.cells[1] // 3
    centres = rng.choice(suited, size=count)
    apart = np.ones(site.shape, dtype=bool)
    apart.ravel()[centres] = False
    return filters.distance_inside(apart) * np.float32(PIXEL / 1000)


def top(score: Field, share: float) -> float:
    """The value that a given share of a field exceeds."""
    return float(np.quantile(score[::3, ::3], 1 - share))
