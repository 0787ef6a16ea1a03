"""What a synthetic world is made of: how much water, relief and cover it has, and its weather.

The defaults are those of the season without a noise regime. What `regimes` changes, it changes
here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class World:
    """The ground of a season. Shares are of all ground.

    Attributes:
        relief: Height of the mountains, relative to those of the season without a regime.
        lakes: Share that lakes take.
        widest: Width in metres of the river with the largest catchment.
        broadest: Width in metres beyond which no river grows.
        narrowest: Width in metres below which a creek is not drawn.
        snow: Share under snow at the start of the season.
        wet_snow: Share of that snow which is old, wet and dark.
        thaw: How gradually snow thins out at its edge, as a part of its melting time; 0: at once.
        burnt: Share of burnt ground.
        wetland: Share of wetland.
        town: Share of small towns, without streets.
        silt: How much more of the water is turbid, in standard deviations of its pattern; above
            0 the siltiest water is saturated with sediment and mud lies beside it.
        flat: Depth in metres up to which lakes are shallow enough for weed and a bright bottom.
        weeds: How much more of that is overgrown, in standard deviations; above 0 some of it by
            floating plants.
        lava: Share of lava fields.
        city: Share of a city with streets, roofs and shade between buildings.
        playa: Share of salt flats.
    """

    relief: float = 1.0
    lakes: float = 0.078
    widest: float = 290.0
    broadest: float = 290.0
    narrowest: float = 9.0
    snow: float = 0.018
    wet_snow: float = 0.0
    thaw: float = 0.0
    burnt: float = 0.030
    wetland: float = 0.110
    town: float = 0.005
    silt: float = 0.0
    flat: float = 2.2
    weeds: float = 0.0
    lava: float = 0.0
    city: float = 0.0
    playa: float = 0.0


@dataclass(frozen=True, slots=True)
class Weather:
    """The clouds of a season, and what the QA overlooks of them.

    Attributes:
        clouds: Share of cloud, relative to that of the schedule.
        over: What the same clouds come back to: hills, or the shores of lakes; None: nothing.
        soft: How wide clouds' fringes are, relative to those of the season without a regime.
        missed_shadow: Share of the clouds' shadows that the QA does not mark.
        missed_fringe: Whether the QA marks only the thick middle of clouds.
    """

    clouds: float = 1.0
    over: Literal["hills", "shores"] | None = None
    soft: float = 1.0
    missed_shadow: float = 0.0
    missed_fringe: bool = False


PLAIN = World()
FAIR = Weather()
