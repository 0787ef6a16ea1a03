"""TM and ETM+ surface reflectance as OLI would have measured it.

Source: Roy, Kovalskyy, Zhang, Vermote, Yan, Kumar, Egorov (2016), Characterization of Landsat-7 to
Landsat-8 reflective wavelength and normalized difference vegetation index continuity, Remote
Sensing of Environment 185, 57-70, doi 10.1016/j.rse.2015.12.024, table 2, surface reflectance, in
the direction OLI = intercept + slope x ETM+. They regress ETM+ and OLI of the years before
Collection 1 over the conterminous United States; that they hold for TM, and for Collection 2, is
common practice and not their finding.

Ordinary least squares (`ols`) draws every value towards the mean of what was regressed, mostly
vegetation: dark water's near infrared of 0.01 becomes 0.050 and its SWIR1 0.034, so that mNDWI of
lakes falls. The reduced major axis (`rma`) of the same table does not.
"""

from __future__ import annotations

from water_gee.imagery.sensors import BANDS

HARMONIES: dict[str, dict[str, tuple[float, float]]] = {
    name: {
        band: (intercept, slope)
        for band, intercept, slope in zip(BANDS, intercepts, slopes, strict=True)
    }
    for name, intercepts, slopes in (
        (
            "ols",
            (0.0003, 0.0088, 0.0061, 0.0412, 0.0254, 0.0172),
            (0.8474, 0.8483, 0.9047, 0.8462, 0.8937, 0.9071),
        ),
        (
            "rma",
            (-0.0095, -0.0016, -0.0022, -0.0021, -0.0030, 0.0029),
            (0.9785, 0.9542, 0.9825, 1.0073, 1.0171, 0.9949),
        ),
    )
}
"""Regression -> band -> `(intercept, slope)`."""

HARMONIZED = ("TM", "ETM+")
"""The instruments that are brought to OLI."""
