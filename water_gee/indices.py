"""Water indices and tests, pixel by pixel, of reflectance from 0 to 1.

All take arrays of one shape, any shape, with NaN where nothing was observed, and give NaN or
`NOT_OBSERVED` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.metrics import NOT_OBSERVED

if TYPE_CHECKING:
    import numpy.typing as npt

    Field = npt.NDArray[np.floating[Any]]
    Codes = npt.NDArray[np.uint8]

MNDWI_WATER = 0.124
"""DSWE test 1: MNDWI above this."""


def ratio(a: Field, b: Field) -> Field:
    """(a - b)/(a + b); 0 where both sum to 0."""
    total = a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total == 0, np.float32(0), (a - b) / total)


def mndwi(green: Field, swir1: Field) -> Field:
    """(Green - SWIR1)/(Green + SWIR1) (H. Xu 2006, International Journal of Remote Sensing 27)."""
    return ratio(green, swir1)


def ndvi(nir: Field, red: Field) -> Field:
    """(NIR - Red)/(NIR + Red)."""
    return ratio(nir, red)


def awei_sh(blue: Field, green: Field, nir: Field, swir1: Field, swir2: Field) -> Field:
    """AWEIsh, above 0 over water, with cloud or terrain shadow in mind.

    G. Feyisa, H. Meilby, R. Fensholt, S. Proud 2014, Remote Sensing of Environment 140.
    """
    return blue + 2.5 * green - 1.5 * (nir + swir1) - 0.25 * swir2


def awei_nsh(green: Field, nir: Field, swir1: Field, swir2: Field) -> Field:
    """AWEInsh, above 0 over water, for scenes without shadow; source as `awei_sh`."""
    return 4 * (green - swir1) - (0.25 * nir + 2.75 * swir2)


def dswe_passed(
    blue: Field, green: Field, red: Field, nir: Field, swir1: Field, swir2: Field
) -> Codes:
    """Count the tests of the Landsat Dynamic Surface Water Extent that a pixel passes.

    In order: MNDWI > 0.124; Green + Red > NIR + SWIR1; AWEsh > 0; the conservative test for partial
    surface water (MNDWI > -0.44, SWIR1 < 0.09, NIR < 0.15, NDVI < 0.7) and the aggressive one
    (MNDWI > -0.5, Blue < 0.1, SWIR1 < 0.3, SWIR2 < 0.1, NIR < 0.25). J. Jones 2019, Remote Sensing
    11, 374; thresholds of the USGS algorithm description LSDS-1331.

    Returns:
        uint8, 0 to 5; 255 where a band is NaN.
    """
    wetness, green_up = mndwi(green, swir1), ndvi(nir, red)
    with np.errstate(invalid="ignore"):
        tests = (
            wetness > MNDWI_WATER,
            green + red > nir + swir1,
            awei_sh(blue, green, nir, swir1, swir2) > 0,
            (wetness > -0.44) & (swir1 < 0.09) & (nir < 0.15) & (green_up < 0.7),
            (wetness > -0.5) & (blue < 0.1) & (swir1 < 0.3) & (swir2 < 0.1) & (nir < 0.25),
        )
    passed = sum((test.astype(np.uint8) for test in tests), np.zeros(np.shape(blue), np.uint8))
    unseen = np.isnan(blue + green + red + nir + swir1 + swir2)
    return np.where(unseen, np.uint8(NOT_OBSERVED), passed).astype(np.uint8)


def dswe_water(
    blue: Field, green: Field, red: Field, nir: Field, swir1: Field, swir2: Field
) -> Codes:
    """Water where at least three of the five tests of `dswe_passed` hold.

    Three or more are what DSWE's classes of high and moderate confidence have in common. Its
    terrain and snow masks are not applied.

    Returns:
        uint8: 0 land, 1 water, 255 not observed.
    """
    passed = dswe_passed(blue, green, red, nir, swir1, swir2)
    return np.where(passed == NOT_OBSERVED, passed, passed >= 3).astype(np.uint8)


def above(index: Field, threshold: float = 0.0) -> Codes:
    """Water where an index is above a threshold: 0 land, 1 water, 255 where it is NaN."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(index), NOT_OBSERVED, index > threshold).astype(np.uint8)


def cfmask_water(red: Field, nir: Field) -> Codes:
    """The water test of CFMask: (NDVI < 0.01 and NIR < 0.11) or (NDVI < 0.1 and NIR < 0.05).

    Z. Zhu, C. Woodcock 2012, Remote Sensing of Environment 118, equation 5.

    Returns:
        uint8: 0 land, 1 water, 255 not observed.
    """
    green_up = ndvi(nir, red)
    with np.errstate(invalid="ignore"):
        water = ((green_up < 0.01) & (nir < 0.11)) | ((green_up < 0.1) & (nir < 0.05))
    return np.where(np.isnan(red + nir), NOT_OBSERVED, water).astype(np.uint8)


def otsu(values: Field, bins: int = 256) -> float:
    """The threshold that parts values best in two: N. Otsu 1979, IEEE Trans. SMC 9.

    Args:
        values: Any shape; NaN is left out. Clipped to [-1, 1], where indices lie.
        bins: Of the histogram.

    Returns:
        The threshold; NaN where there is no value.
    """
    seen = np.asarray(values, dtype=np.float64)
    seen = np.clip(seen[np.isfinite(seen)], -1.0, 1.0)
    if not seen.size:
        return float("nan")
    counts, edges = np.histogram(seen, bins, (-1.0, 1.0))
    return otsu_of_counts(counts, edges)


def otsu_of_counts(counts: npt.NDArray[Any], edges: npt.NDArray[Any]) -> float:
    """`otsu` of values that were counted already, those of many tiles for example.

    Args:
        counts: `(bin,)`.
        edges: `(bin + 1,)`, rising.

    Returns:
        The edge that parts them; NaN where nothing was counted.
    """
    if not counts.sum():
        return float("nan")
    centres = (edges[:-1] + edges[1:]) / 2
    below, sums = counts.cumsum(), (counts * centres).cumsum()
    beyond = below[-1] - below
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = sums / below - (sums[-1] - sums) / beyond
    between = np.nan_to_num(below * beyond * apart**2)
    return float(edges[1:][int(np.argmax(between))])
