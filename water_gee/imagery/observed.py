"""What one scene says, as Earth Engine expressions: QA band in words, counts as reflectance.

`Sensor` holds the facts; `Sensor.says` is the same for arrays.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ee

from water_gee.imagery.harmony import HARMONIES, HARMONIZED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.imagery.sensors import Sensor


def says(sensor: Sensor, name: str, qa: Any) -> Any:
    """Where a QA band says something."""
    mask = sensor.mask([name])
    return qa.bitwiseAnd(mask).neq(0) if mask else qa.eq(sensor.classes([name])[0])


def says_none(sensor: Sensor, names: tuple[str, ...], qa: Any) -> Any:
    """Where a QA band says none of several things."""
    mask = sensor.mask(names)
    if mask:
        return qa.bitwiseAnd(mask).eq(0)
    others = [qa.neq(value) for value in sensor.classes(names)]
    return functools.reduce(lambda a, b: a.And(b), others)


def reflectances(
    counts: Any, bands: Sequence[str], sensor: Sensor, harmonize: bool | str = False
) -> Any:
    """Counts to reflectance, never at or below 0; as OLI's where that is asked for.

    Then of one type for all instruments, whatever its range: a collection is merged of them.

    Args:
        counts: An image with `bands`.
        bands: Names from `sensors.BANDS`.
        sensor: What measured.
        harmonize: A regression of `harmony`, or False.
    """
    found = counts.max(sensor.floor).multiply(sensor.scale).add(sensor.offset)
    if not isinstance(harmonize, str):
        return found
    if sensor.instrument not in HARMONIZED:
        return found.toDouble()
    lines = [HARMONIES[harmonize][band] for band in bands]
    slopes = ee.Image.constant([slope for _, slope in lines])
    intercepts = ee.Image.constant([intercept for intercept, _ in lines])
    darkest = sensor.floor * sensor.scale + sensor.offset
    return found.multiply(slopes).add(intercepts).max(darkest).toDouble()
