"""`ImageCollection.getRegion`: a table of the pixels of many images."""

from __future__ import annotations

from typing import Any

import numpy as np

from water_gee.emulator import properties as props
from water_gee.emulator.describe import to_json
from water_gee.emulator.functions.imagecollection import alike, images_of
from water_gee.emulator.pixels import transformer
from water_gee.emulator.regional import Region, gather
from water_gee.emulator.regions import chosen, inside
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.services import Services
from water_gee.emulator.values import DEFAULT_CRS, Collection, Geometry, Image, Projection

MAX_VALUES = 1_048_576
"""Values a table may hold (the function's documentation)."""

WHERE = "ImageCollection.getRegion"


@REGISTRY.function(WHERE)
def get_region(
    collection: Collection,
    geometry: Geometry,
    services: Services,
    scale: float | None = None,
    crs: Projection = Projection(),  # noqa: B008 - frozen
    crsTransform: list[float] | None = None,
) -> list[Any]:
    """List id, longitude, latitude, time and all bands of each image at each pixel of a region.

    The first row holds the names; masked values are null. Pixels count where the region touches
    them and the image's footprint holds their centre.
    """
    images = images_of(collection, WHERE)
    names = [name for name, _ in alike(images, WHERE)]
    header: list[Any] = ["id", "longitude", "latitude", "time", *names]
    projection = chosen(crs, None, crsTransform, scale, WHERE)
    if geometry.shape is None:
        raise bad_request(f"{WHERE}: The region is unbounded.")
    region = Region.of(geometry, projection)
    if region.pixels * max(1, len(names)) * len(images) > MAX_VALUES:
        raise bad_request(
            f"{WHERE}: Too many values: {region.pixels} points x {len(names)} bands x "
            f"{len(images)} images > {MAX_VALUES}."
        )
    tables = [_rows(image, names, region, services) for image in images]
    return [header, *(row for rows in zip(*tables, strict=True) for row in rows if row is not None)]


def _rows(
    image: Image, names: list[str], region: Region, services: Services
) -> list[list[Any] | None]:
    """Return an image's row for each pixel of a region, None outside its footprint."""
    bands = {band.name: band for band in image.bands}
    gathered = gather([bands[name].node for name in names], region, services.pixels)
    x, y = region.projection.grid.coordinates(gathered.cols + 0.5, gathered.rows + 0.5)
    lons, lats = transformer(region.projection.crs, DEFAULT_CRS).transform(x, y)
    held = _held(image, region, gathered.rows, gathered.cols, services)
    index, time = props.index_of(image), props.get(image, "system:time_start")
    rows: list[list[Any] | None] = []
    for place in range(len(gathered.rows)):
        if not held[place]:
            rows.append(None)
            continue
        found = [
            values[place].item() if mask[place] > 0 else None
            for values, mask in zip(gathered.values, gathered.masks, strict=True)
        ]
        rows.append([index, float(lons[place]), float(lats[place]), to_json(time), *found])
    return rows


def _held(image: Image, region: Region, rows: Any, cols: Any, services: Services) -> Any:
    """Return whether the image's footprint holds the centres of pixels."""
    footprint = props.geometry_of(image)
    if footprint is None or footprint.shape is None or not len(rows):
        return np.ones(len(rows), bool)
    window = region.window
    mask = inside(footprint)(region.projection.grid, window, services.pixels)
    if mask is None:
        return np.ones(len(rows), bool)
    return mask[rows - window.row, cols - window.col]
