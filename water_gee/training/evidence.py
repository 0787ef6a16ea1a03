"""What the bands alone say of water, pixel by pixel, without asking the QA band.

The three tests for open water are those of USGS' Dynamic Surface Water Extent (Jones 2019, Remote
Sensing 11(4), 374); SWIR2 is not among the features, and SWIR1 stands in for it. Its two tests for
partial water are not used. The thresholds for snow, slope and stillness are our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee.imagery.composite import ELEVATION_UNIT

if TYPE_CHECKING:
    from water_gee.training.scaling import FloatArray

BoolArray = npt.NDArray[np.bool_]

MNDWI_WATER = 0.124
"""DSWE test 1: MNDWI above this."""

STEEP = 0.15
"""Rise over run above which a pixel is no water: lakes are level."""

STEEPER = 0.2

PIXEL_METERS = 30.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Pixels of a tile that are sure, whatever the QA band says.

    Attributes:
        water: bool `(row, col)`: every test for open water holds, here and all around.
        land: bool `(row, col)`: none holds, here and all around, or it is snow or a steep slope.
    """

    water: BoolArray
    land: BoolArray


def gather(features: FloatArray, qa: npt.NDArray[np.uint8]) -> Evidence:
    """Find the sure pixels of a tile.

    Args:
        features: float32 `(8, row, col)`, the eight features in order, NaN where not observed.
        qa: uint8 `(row, col)`: 0, 1, 255. What the QA band calls water is sure land only where it
            is snow or steep.

    Returns:
        Both masks; a pixel may be in neither.
    """
    observed = (qa != 255) & np.isfinite(features).all(axis=0)
    blue, green, red, nir, swir, mndwi, line, elevation = np.nan_to_num(features)
    wet = mndwi > MNDWI_WATER
    visible = green + red > nir + swir
    # AWEsh (Feyisa et al. 2014) with SWIR1 in place of SWIR2.
    awesh = blue + 2.5 * green - 1.5 * (nir + swir) - 0.25 * swir > 0
    snow = (mndwi > 0.15) & (nir > 0.11) & (green > 0.1) & (nir > 0.6 * green) & (blue > 0.8 * red)
    slope = steepness(elevation)
    open_water = wet & visible & awesh & ~snow & (slope < STEEP)
    dry = (~wet & ~visible & ~awesh) | snow
    solid = snow | (slope > STEEPER)
    quiet = _mean((mndwi > -0.05) | (line > 0.35), 3) == 0
    land = (
        (_mean(dry & observed, 1) > 0.99) & ((qa == 0) | quiet | solid) & ((mndwi < -0.05) | solid)
    )
    water = _mean(open_water & observed, 1) > 0.99
    return Evidence(water & observed, land & observed & ~water)


def steepness(elevation: FloatArray) -> FloatArray:
    """Rise over run, by Horn's 3 x 3 differences (Horn 1981).

    Args:
        elevation: The feature: metres / 4000, `(row, col)`. Columns count as 30 m apart like rows;
            away from the equator they are closer, and east-west slopes come out too gentle there
            (by 0.62 at 52 degrees; the thresholds were set so).

    Returns:
        float32 `(row, col)`; 0 where there is no elevation model.
    """
    z = np.pad(elevation * ELEVATION_UNIT, 1, mode="edge")
    run = 8 * PIXEL_METERS
    east = (z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    )
    south = (z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]) - (
        z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    )
    return np.asarray(np.hypot(east / run, south / run), np.float32)


def _mean(mask: BoolArray, radius: int) -> FloatArray:
    """Share of a square neighbourhood that is set."""
    from scipy.ndimage import uniform_filter

    share = uniform_filter(mask.astype(np.float64), size=2 * radius + 1, mode="nearest")
    return np.asarray(np.round(share, 9), np.float32)
