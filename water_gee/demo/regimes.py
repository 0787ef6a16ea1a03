"""Ten noise regimes: worlds in which the QA's water bit has one kind of error, and only that.

A regime decides the world (enough of the ground, water or cloud that its errors come from) and the
errors. All else is as in the season without a regime: exact truth, mixed pixels, covers that vary,
haze, noise, light on slopes, adjacent light, misregistration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from water_gee.demo.places import ORDINARY
from water_gee.demo.quality import MOST_WRONG, TARGET
from water_gee.demo.schedule import AUTUMN, SPRING, SUMMER
from water_gee.demo.world import FAIR, PLAIN, Weather, World
from water_gee.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from water_gee.demo.schedule import Acquisition

VERSION = 1
"""Raised whenever a regime with the same seed would give other pixels."""


@dataclass(frozen=True, slots=True)
class Regime:
    """A kind of world and of error.

    Attributes:
        name: As users write it; empty for the season without a regime.
        about: What goes wrong, in a line.
        errors: Kinds of `places.KIND_NAMES`, and their weights: shares of the water area before
            they are scaled to meet the target.
        target: Between which the IoU of the seasonal QA label with the truth is drawn.
        world: The ground.
        weather: The clouds.
        schedule: The acquisitions.
        most: Share of a place's pixels that may be wrong, and what it is raised to where the target
            is out of reach: a world with little of what goes wrong has a better label.
        mixed: Whether the QA sees water through the sensor's blur, so that it errs at every mixed
            pixel, and not only in places.
    """

    name: str
    about: str
    errors: Mapping[str, float]
    target: tuple[float, float] = (0.62, 0.74)
    world: World = PLAIN
    weather: Weather = FAIR
    schedule: tuple[Acquisition, ...] = field(default=SUMMER, repr=False)
    most: tuple[float, ...] = (0.42, 0.6)
    mixed: bool = False


NONE = Regime("", "all ordinary kinds of error, few of each", ORDINARY, TARGET, most=MOST_WRONG)
"""The season without a regime."""

REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        Regime(
            "terrain shadow",
            "steep slopes in the shade of a low autumn sun are called water",
            {"terrain shadow": 0.3},
            world=World(relief=1.6, lakes=0.060),
            schedule=AUTUMN,
        ),
        Regime(
            "cloud shadow",
            "shadows of clouds over the same hills each time; the QA misses many, calls them water",
            {"cloud shadow": 0.3},
            weather=Weather(clouds=2.0, over="hills", missed_shadow=0.6),
        ),
        Regime(
            "snow",
            "melting, patchy and shaded snow is called water",
            {"melting snow": 0.3},
            world=World(snow=0.24, wet_snow=0.45, thaw=0.08, relief=1.25),
            schedule=SPRING,
        ),
        Regime(
            "turbid",
            "water bright with sediment is called land",
            {"silt": 0.3},
            world=World(silt=1.7, widest=420, broadest=420, lakes=0.07),
        ),
        Regime(
            "shallow",
            "water over a bright bottom, full of weed or under floating plants is called land",
            {"shallow": 0.3},
            world=World(flat=5.0, weeds=1.0, wetland=0.13, widest=160),
        ),
        Regime(
            "thin river",
            "rivers of half a pixel to two pixels are broken, or drawn too wide",
            {"narrow": 0.2, "shore": 0.2},
            target=(0.56, 0.66),
            world=World(lakes=0.004, widest=330, broadest=60, narrowest=15),
            mixed=True,
        ),
        Regime(
            "burnt",
            "burnt ground and lava are called water",
            {"burnt ground": 0.3},
            world=World(burnt=0.16, lava=0.09),
        ),
        Regime(
            "urban",
            "dark roofs, asphalt and the shade between buildings are called water",
            {"roofs and shade": 0.3},
            world=World(city=0.22, lakes=0.06),
        ),
        Regime(
            "cloud edge",
            "unmarked fringes of clouds: water below is called land, dim land water",
            {"thin cloud": 0.2, "cloud edge": 0.1},
            weather=Weather(clouds=2.2, over="shores", soft=3.5, missed_fringe=True),
        ),
        Regime(
            "salt flat",
            "wet salt is called water, brine over a bright bottom land",
            {"wet salt": 0.2, "bright brine": 0.1},
            world=World(playa=0.22, lakes=0.03, wetland=0.06, widest=160),
        ),
    )
}
"""Name -> regime."""


def regime_of(name: str | None) -> Regime:
    """Find a regime by its name; without a name, the season without one.

    Raises:
        RecipeError: There is none of this name.
    """
    if name is None:
        return NONE
    if name not in REGIMES:
        raise RecipeError(f"no noise regime {name!r}; there are: {', '.join(REGIMES)}")
    return REGIMES[name]
