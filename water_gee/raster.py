"""Rasters of any size: GeoTIFFs that carry their grid, windows, one loop for every network.

Arrays are `(band, row, col)`. A file is written under a temporary name beside its target, synced,
and renamed, so that a reader never sees half of one. Whatever rasterio or the disk says against it
becomes one line in a `RasterError`.

What stands behind these names: `geotiff.py` (whole files), `windows.py` (grids and windows),
`pipeline.py` (a function over a raster, window by window).
"""

from __future__ import annotations

from water_gee.files import atomic, write_bytes
from water_gee.geotiff import (
    NOT_OBSERVED,
    Header,
    Output,
    Profile,
    Raster,
    describe,
    packed,
    read,
    unwarned,
    write,
    write_cog,
)
from water_gee.pipeline import map_windows
from water_gee.windows import Grid, Padded, Window, windows

__all__ = [
    "NOT_OBSERVED",
    "Grid",
    "Header",
    "Output",
    "Padded",
    "Profile",
    "Raster",
    "Window",
    "atomic",
    "describe",
    "map_windows",
    "packed",
    "read",
    "unwarned",
    "windows",
    "write",
    "write_bytes",
    "write_cog",
]
