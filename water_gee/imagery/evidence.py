"""What a tile brings home beside features and label, to judge the label by; never a feature.

On the wire the sun's azimuth travels as the mean of its unit vectors, in whole numbers: 14 bytes a
pixel for all of `CARRIED`. `unpack` turns what came home into `EVIDENCE`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import ee
import numpy as np

from water_gee.imagery.observed import reflectances
from water_gee.imagery.recipe import EVIDENCE

if TYPE_CHECKING:
    import numpy.typing as npt

    from water_gee.imagery.sensors import Sensor

    FloatArray = npt.NDArray[np.float32]

SUN = ("sun_north", "sun_east", "sun_elevation")
CARRIED = ("SWIR2", "water_count", "clear_count", *SUN)
"""The bands of a request; counts are uint16, of the sun int16."""

BYTES = 4 + 5 * 2
"""Of a pixel of `CARRIED`."""

ABSENT = -32768
"""Of the sun's bands, where no observation says where it stood."""

_VECTOR, _DEGREE = 30_000, 100
"""A unit vector's length, and a degree, in the whole numbers of `SUN`."""

_NO_ANGLE = -999


def of_scene(scene: Any, sensor: Sensor, harmonize: bool | str = False) -> ee.Image:
    """SWIR2's reflectance and the sun's place in one scene, each masked where it is not known."""
    low, high = sensor.valid
    native = sensor.native("SWIR2")
    # Scenes cropped to the bands of the features have none: `addBands` keeps one that is there.
    counts = scene.addBands(ee.Image.constant(0).selfMask().rename(native)).select([native])
    measured = counts.gte(low).And(counts.lte(high))
    swir2 = reflectances(counts, ("SWIR2",), sensor, harmonize).updateMask(measured)
    image: ee.Image = swir2.rename("SWIR2").toFloat().addBands(_sun_of(scene, sensor))
    return image


def _sun_of(scene: Any, sensor: Sensor) -> Any:
    def angle(name: str) -> Any:
        given = ee.List([scene.get(name), _NO_ANGLE])
        return ee.Number(given.reduce(ee.Reducer.firstNonNull()))

    azimuth, height = angle(sensor.sun.azimuth), angle(sensor.sun.height)
    known = azimuth.gte(-360).And(height.gte(-90))
    turned = azimuth.multiply(math.pi / 180)
    elevation = ee.Number(90).subtract(height) if sensor.sun.zenith else height
    angles = ee.List([turned.cos(), turned.sin(), elevation, known])
    image = ee.Image.constant(angles).rename([*SUN, "known"])
    return image.select(list(SUN)).toFloat().updateMask(image.select("known"))


def of_season(observations: Any, water: str) -> Any:
    """`CARRIED` without SWIR2: counts of the votes in a band, means of where the sun stood."""
    votes = observations.select(water)
    vectors = observations.select(list(SUN)).mean()
    scaled = vectors.multiply(ee.Image.constant([_VECTOR, _VECTOR, _DEGREE]))
    return (
        votes.sum()
        .rename("water_count")
        .addBands(votes.count().rename("clear_count"))
        .toUint16()
        .addBands(scaled.round().toInt16().unmask(ABSENT, False))
    )


def unpack(
    pixels: npt.NDArray[Any], seen: npt.NDArray[np.bool_], fill: float
) -> dict[str, FloatArray]:
    """What came home, in `EVIDENCE`'s names and units.

    Args:
        pixels: A structured array `(row, col)` with fields `CARRIED`.
        seen: Where the tile was observed; a count says nothing of it.
        fill: What stands where SWIR2 has no value.

    Returns:
        `float32 (row, col)`, NaN where nothing is known; a band without any value is left out.
    """
    north, east = (pixels[name].astype(np.float64) for name in SUN[:2])
    known = seen & (pixels[SUN[0]] != ABSENT)
    azimuth = (np.degrees(np.arctan2(east, north)) % 360).astype(np.float32)
    azimuth[azimuth == 360] = 0  # a hair below, rounded to 32 bits
    found = {
        "SWIR2": (pixels["SWIR2"], seen & (pixels["SWIR2"] != fill)),
        "water_count": (pixels["water_count"], seen),
        "clear_count": (pixels["clear_count"], seen),
        "sun_azimuth": (azimuth, known & ((north != 0) | (east != 0))),
        "sun_elevation": (pixels["sun_elevation"] / np.float32(_DEGREE), known),
    }
    return {
        name: np.where(found[name][1], found[name][0], np.nan).astype(np.float32)
        for name in EVIDENCE
        if found[name][1].any()
    }
