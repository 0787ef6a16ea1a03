"""One module per family of Earth Engine's own list; importing this package fills the registry."""

from __future__ import annotations

from water_gee.emulator.functions import (
    collection,
    constructors,
    control,
    date,
    element,
    feature,
    filter,
    geometry,
    imagecollection,
    projection,
)

FAMILIES = (
    collection,
    constructors,
    control,
    date,
    element,
    feature,
    filter,
    geometry,
    imagecollection,
    projection,
)
"""Every family, in alphabetical order."""
