"""Skies that come back to the same places, and what the QA overlooks of their clouds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from water_gee.demo.landcover import Ground
    from water_gee.demo.sky import Sky
    from water_gee.demo.world import Weather

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

_DARK = 0.3
"""Share of direct light taken away from which a shadow can be taken for water."""

_DIM = 0.2
"""The same, at the edge of a shadow."""

_VEILED = 0.10
"""Opacity of cloud from which a pixel is no longer what lies below."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the season's skies have in common, on the 30 m grid.

    Attributes:
        gather: Where clouds gather, mean 0 and standard deviation 1; None: anywhere.
        overlooked: Even over [0, 1]: where the QA goes wrong about shadows, the lower the more.
    """

    gather: Field | None
    overlooked: Field


def habits(weather: Weather, ground: Ground, seed: int) -> Habits:
    """Find what comes back.

    Args:
        weather: Of the season.
        ground: Below it.
        seed: The season's seed.
    """
    rng = noise.generator(seed, "habits of the sky")
    shape = ground.water.shape
    lasting = noise.fractal(shape, rng, slope=1.5, coarsest=48, finest=6)
    overlooked = noise.unit(noise.fractal(shape, rng, slope=1.5, coarsest=90, finest=6))
    gather: Field | None = None
    if weather.over == "hills":
        gather = lasting + 0.5 * _normal(filters.smooth(ground.elevation, 6))
    elif weather.over == "shores":
        # Where the breeze from a lake meets the air over land, clouds stand along the shore.
        near = filters.smooth(ground.water, 8)
        gather = lasting + 0.8 * _normal(near * (1 - near))
    return Habits(None if gather is None else _normal(gather), overlooked)


def overlook(sky: Sky, weather: Weather, common: Habits, rng: np.random.Generator) -> Sky:
    """Take from a sky's QA masks what the QA does not see.

    CFMask misses a shadow where it guesses the cloud's height wrong, and cloud where it is thin
    (Z. Zhu, C. Woodcock 2012; S. Foga et al. 2017, Remote Sensing of Environment 194).

    Args:
        sky: As it is.
        weather: What is overlooked.
        common: Where, through the season.
        rng: Where this day's chance comes from.
    """
    if weather.missed_shadow:
        daily = noise.unit(noise.fractal(sky.cloud.shape, rng, slope=1.5, coarsest=60, finest=6))
        seen = 0.8 * common.overlooked + 0.2 * daily > weather.missed_shadow
        sky = replace(sky, is_shadow=sky.is_shadow & seen)
    if weather.missed_fringe:
        thick = sky.cloud > 0.62
        near = filters.grow(thick, 2)
        sky = replace(
            sky,
            is_cloud=thick,
            is_dilated=near & ~thick,
            is_shadow=sky.is_shadow & ~thick,
            is_thin=(sky.cloud > 0.12) & ~near,
        )
    return sky


def left_over(sky: Sky, weather: Weather, water: Mask) -> Mask:
    """Mark what the QA takes for a clear view and is not: shade on land, thin cloud over water.

    Args:
        sky: With its QA masks as they are after `overlook`.
        weather: Which oversights count.
        water: The truth.
    """
    unseen = np.zeros(sky.cloud.shape, dtype=bool)
    if weather.missed_shadow:
        unseen |= ~water & (sky.shadow > _DARK)
    if weather.missed_fringe:
        unseen |= np.where(water, sky.cloud > _VEILED, sky.shadow > _DIM)
    return unseen & ~(sky.is_cloud | sky.is_dilated | sky.is_shadow | sky.is_cirrus)


def _normal(field: Field) -> Field:
    out: Field = ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)
    return out
