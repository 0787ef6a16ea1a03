"""The kinds of error of the QA's water bit, and where each of them sits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters
from water_gee.demo.site import PIXEL
from water_gee.demo.spectra import CODE
from water_gee.demo.terrain import slope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from water_gee.demo.landcover import Ground

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]
    Place = tuple[Mask, Field]

FALSE_KINDS = {
    "terrain shadow": 0.055,
    "wet ground": 0.045,
    "burnt ground": 0.028,
    "shore": 0.025,
    "snow edge": 0.012,
    "dark soil": 0.008,
}
"""Land called water in a season without a regime, as a share of the water area before scaling."""

MISSED_KINDS = {"silt": 0.035, "narrow": 0.030, "shallow": 0.030}
"""Water called land, likewise."""

_REGIME_FALSE = ("cloud shadow", "melting snow", "roofs and shade", "cloud edge", "wet salt")
_REGIME_MISSED = ("thin cloud", "bright brine")

KIND_NAMES = (*FALSE_KINDS, *_REGIME_FALSE, *MISSED_KINDS, *_REGIME_MISSED)
"""Every kind; the first `FALSE_COUNT` call land water, the others water land."""

FALSE_COUNT = len(FALSE_KINDS) + len(_REGIME_FALSE)

ORDINARY = {**FALSE_KINDS, **MISSED_KINDS}
"""The kinds of a season without a regime, and their weights."""

_SNOWY = 0.3
"""Share of snow in a pixel from which it is no ordinary ground."""


def find_places(
    ground: Ground, darkness: Field, kinds: Collection[str], overlooked: Field
) -> dict[str, Place]:
    """Find where each kind of error sits, and how bad the evidence is there.

    Where two kinds meet, the first has the place.

    Args:
        ground: The covers.
        darkness: Season's mean near infrared reflectance of the lit ground, `(row, col)`.
        kinds: Which of `KIND_NAMES`.
        overlooked: Share of the season's clear observations that clouds spoil unnoticed.
    """
    finders: dict[str, Callable[[], Place]] = {
        "shore": lambda: (_land(ground) & (ground.water > 0.2), ground.water),
        "snow edge": lambda: (_land(ground) & _ring(ground), -darkness),
        "melting snow": lambda: _melting(ground, darkness),
        "burnt ground": lambda: (_mostly(ground, "burnt", "lava"), -darkness),
        "wet ground": lambda: (_mostly(ground, "wetland"), -darkness),
        "dark soil": lambda: (_mostly(ground, "tilled soil", "built"), -darkness),
        "roofs and shade": lambda: (
            _mostly(ground, "asphalt", "dark roof", "building shade"),
            -darkness,
        ),
        "wet salt": lambda: (_mostly(ground, "wet salt"), -darkness),
        "terrain shadow": lambda: (_shaded(ground, darkness), -darkness),
        "cloud shadow": lambda: (_land(ground) & (overlooked > 0), 2 * overlooked - darkness),
        "cloud edge": lambda: (_land(ground) & (overlooked > 0), overlooked),
        "narrow": lambda: (
            ~_land(ground) & (filters.box_mean(ground.water, 5) < 0.5),
            -ground.water,
        ),
        "silt": lambda: (
            _covered(ground, 0.6, "turbid water", "silt-laden water"),
            ground.variation[2],
        ),
        "shallow": lambda: (
            _covered(ground, 0.5, "shallow water", "weedy water", "algal bloom", "floating plants"),
            _share(ground, "algal bloom", "floating plants"),
        ),
        "thin cloud": lambda: (~_land(ground) & (overlooked > 0), overlooked),
        "bright brine": lambda: (_covered(ground, 0.5, "brine"), ground.variation[2]),
    }
    return {name: find() for name, find in finders.items() if name in kinds}


def _land(ground: Ground) -> Mask:
    return ground.water < 0.5


def _share(ground: Ground, *names: str) -> Field:
    """Share of some covers in each pixel."""
    first, *others = (ground.shares[CODE[name]] for name in names)
    total: Field = first
    for other in others:
        total = total + other
    return total


def _mostly(ground: Ground, *names: str) -> Mask:
    """Land of some covers."""
    return _land(ground) & (_share(ground, *names) > 0.5)


def _covered(ground: Ground, least: float, *names: str) -> Mask:
    """Water of some kinds."""
    return ~_land(ground) & (_share(ground, *names) > least)


def _snowy(ground: Ground) -> Mask:
    return _share(ground, "snow", "wet snow") > _SNOWY


def _ring(ground: Ground) -> Mask:
    """The ground up to three pixels beside snow."""
    snowy = _snowy(ground)
    return filters.grow(snowy, 3) & ~snowy


def _melting(ground: Ground, darkness: Field) -> Place:
    """Snow that is wet, patchy or in shade: too dark in the near infrared to pass for snow.

    CFMask calls snow only what reflects more than 0.11 there.
    """
    some = _share(ground, "snow", "wet snow") > 0.1
    return _land(ground) & filters.grow(some) & (darkness < 0.22), -darkness


def _shaded(ground: Ground, darkness: Field) -> Mask:
    """Steep slopes that are dark through the season."""
    steep = np.hypot(*slope_of(filters.smooth(ground.elevation, 1.0), PIXEL)) > 0.2
    return _land(ground) & steep & (darkness < 0.115) & ~_snowy(ground)
