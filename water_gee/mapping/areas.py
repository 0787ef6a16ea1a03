"""How much water a map has, on the ellipsoid, and how sure that is.

Three different doubts are kept apart, since they do not add up:

- **What was not observed** is neither land nor water. `low_km2` has none of it as water,
  `high_km2` all of it: the truth about the mapped pixels lies between, whatever the sky hid.
- **What the network doubts.** With probabilities `p` that are calibrated, the water area is a sum
  of independent draws with mean `sum(a p)` and variance `sum(a² p (1 - p))`, `a` the pixel's area.
  Errors of neighbours are not independent: they share most of their input. They are taken as one
  within squares of `CORRELATION_PIXELS` a side (the network's window), which multiplies the
  variance by that number squared; for squares of equal doubt that is exact, else an upper bound
  (Cauchy-Schwarz). Errors shared by a whole lake, such as a wrong label rule, are not in it.
- **Where the shore runs inside its pixel**: `shore_sd_m2`, for single bodies.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER
from water_gee.mapping import maps

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.windows import Window

CORRELATION_PIXELS = 7
"""Side of the squares within which a network's errors are taken as one: its window."""

_SHORE_SHARE = 0.6872


@dataclass(frozen=True, slots=True)
class Areas:
    """Areas of a map on the ellipsoid, in km².

    Attributes:
        water_km2: Of the pixels classified as water.
        land_km2: Of those classified as land.
        unobserved_km2: Of those that were not observed.
        expected_km2: The sum of the probabilities of water; None without probabilities.
        sd_km2: One standard deviation of the water area, from probabilities; None without.
        water_pixels: Number of them.
        observed_pixels: Water and land.
        pixels: All.
    """

    water_km2: float
    land_km2: float
    unobserved_km2: float
    expected_km2: float | None
    sd_km2: float | None
    water_pixels: int
    observed_pixels: int
    pixels: int

    @property
    def low_km2(self) -> float:
        """The water if nothing that was not observed were water."""
        return self.water_km2

    @property
    def high_km2(self) -> float:
        """The water if all that was not observed were water."""
        return self.water_km2 + self.unobserved_km2

    @property
    def mapped_km2(self) -> float:
        """Everything, observed or not."""
        return self.water_km2 + self.land_km2 + self.unobserved_km2

    @property
    def observed_share(self) -> float:
        """The part of the mapped area that was observed, 0 to 1; NaN for a map of no area."""
        whole = self.mapped_km2
        return (self.water_km2 + self.land_km2) / whole if whole else math.nan

    def to_dict(self) -> dict[str, float | int | None]:
        """All figures as plain numbers."""
        more = ("low_km2", "high_km2", "mapped_km2", "observed_share")
        return asdict(self) | {name: getattr(self, name) for name in more}


def measure(
    path: Path | str,
    probability: Path | str | None = None,
    *,
    correlation: float = CORRELATION_PIXELS,
    progress: bool = False,
) -> Areas:
    """Measure the water of a map of any size.

    Args:
        path: The map: 0 land, 1 water, 255 not observed, in any CRS.
        probability: The probability of water on the same grid, NaN where not observed.
        correlation: Pixels along a side within which errors are taken as one; 1 for independent.
        progress: Whether to draw a bar.

    Returns:
        Areas on the CRS's ellipsoid. A geographic grid has the closed form between two parallels
        (Snyder, J. P. (1987), USGS Professional Paper 1395, eq. 3-12), any other the size of each
        pixel where it lies.

    Raises:
        RasterError: No water map, or probabilities on another grid.
    """
    chart = maps.open_map(path)
    likely = maps.open_probability(probability, chart) if probability is not None else None
    total = Sums()
    for step in chart.windows(maps.bar("area", on=progress)):
        codes = chart.read(step.core)
        total.add(codes, chart.areas_m2(step.core), read_likely(likely, step.core))
    return total.areas(correlation)


def read_likely(path: Path | None, window: Window) -> npt.NDArray[np.float64] | None:
    """Probabilities of a window, or None where the map has none."""
    return None if path is None else maps.read_probability(path, window)


@dataclass(slots=True)
class Sums:
    """What windows add up to; `areas` gives the result.

    Attributes:
        area: Code -> m².
        count: Code -> pixels.
        expected: m² of water by probability.
        variance: m⁴, as if pixels were independent.
        likely: Whether probabilities were given.
    """

    area: dict[int, float]
    count: dict[int, int]
    expected: float = 0.0
    variance: float = 0.0
    likely: bool = False

    def __init__(self) -> None:
        self.area = dict.fromkeys((LAND, WATER, NOT_OBSERVED), 0.0)
        self.count = dict.fromkeys((LAND, WATER, NOT_OBSERVED), 0)
        self.expected = self.variance = 0.0
        self.likely = False

    def add(
        self,
        codes: npt.NDArray[np.uint8],
        areas: npt.NDArray[np.float64],
        probability: npt.NDArray[np.float64] | None = None,
    ) -> None:
        """Take in a window: codes `(row, col)`, m² `(row, 1)` or `(row, col)`, probabilities."""
        for code in self.area:
            here = codes == code
            self.area[code] += covered(here, areas)
            self.count[code] += int(np.count_nonzero(here))
        if probability is not None:
            self.likely = True
            seen = np.isfinite(probability) & (codes != NOT_OBSERVED)
            p = np.where(seen, probability, 0.0)
            self.expected += covered(p, areas)
            self.variance += covered(p * (1 - p), areas * areas)

    def areas(self, correlation: float = CORRELATION_PIXELS) -> Areas:
        """The result."""
        sd = correlation * math.sqrt(self.variance) / 1e6
        return Areas(
            water_km2=self.area[WATER] / 1e6,
            land_km2=self.area[LAND] / 1e6,
            unobserved_km2=self.area[NOT_OBSERVED] / 1e6,
            expected_km2=self.expected / 1e6 if self.likely else None,
            sd_km2=sd if self.likely else None,
            water_pixels=self.count[WATER],
            observed_pixels=self.count[WATER] + self.count[LAND],
            pixels=sum(self.count.values()),
        )


def covered(share: npt.NDArray[Any], areas: npt.NDArray[np.float64]) -> float:
    """Sum of `share * areas`, `(row, col)` times `(row, 1)` or `(row, col)`."""
    if areas.shape[1] == 1:
        return float(share.sum(axis=1, dtype=np.float64) @ areas[:, 0])
    return float((share * areas).sum())


def shore_sd_m2(
    perimeter_m: npt.NDArray[np.float64], pixel_m: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """One standard deviation of the area of bodies whose shore runs anywhere inside its pixels.

    The pixels along the shore, `perimeter / pixel`, are each half wrong at most, and 68.72% of them
    lie within one standard deviation: Hanshaw, M. N. and Bookhagen, B. (2014), Glacial areas, lake
    areas, and snow lines from 1975 to 2012, The Cryosphere 8, 359-376. A cautious figure: it lets
    all of them err to the same side.

    Args:
        perimeter_m: Length of the shores, m.
        pixel_m: Side of a pixel there, m.

    Returns:
        m², the same shape.
    """
    return perimeter_m / pixel_m * _SHORE_SHARE * pixel_m * pixel_m / 2
