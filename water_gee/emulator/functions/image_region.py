"""The pixels of regions: reduced to numbers, or sampled one by one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from water_gee.emulator.pixels import Context, Values, evaluate, transformer
from water_gee.emulator.regional import Gathered, Region, gather, groups_of_bands, reduced
from water_gee.emulator.regions import chosen, on_grid, window_of
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.services import Services
from water_gee.emulator.values import (
    DEFAULT_CRS,
    Array,
    Band,
    Collection,
    Feature,
    Geometry,
    Image,
    PixelType,
    Projection,
    Reducer,
    merged,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SAMPLE_PIXELS = 262_144
"""Pixels of one sampleRectangle answer (the service's own error message)."""

MAX_PIXELS_IN_MEMORY = 50_000_000
"""Pixels of a band gathered at once: a region is reduced as a whole."""


def region_of(image: Image, geometry: Geometry | None, where: str) -> Geometry:
    """Return a bounded region: the one given, or the image's footprint.

    Raises:
        ServiceError: 400: neither is bounded.
    """
    found = image.footprint if geometry is None else geometry
    if found is None or found.shape is None:
        raise bad_request(
            f"{where}: Provide 'geometry' parameter when aggregating over an unbounded image."
        )
    return found


def _limited(
    geometry: Geometry, projection: Projection, limit: int, best_effort: bool, where: str
) -> Region:
    """Return a region on a grid that holds no more pixels than allowed.

    Raises:
        ServiceError: 400: it holds more, and coarser pixels were not asked for.
    """
    region = Region.of(geometry, projection)
    if region.pixels > limit and not best_effort:
        raise bad_request(
            f"{where}: Too many pixels in the region. Found {region.pixels}, but maxPixels "
            f"allows only {limit}.\nEnsure that you are not aggregating at a higher resolution "
            "than you intended; that is the most frequent cause of this error. If not, then you "
            "may set the 'maxPixels' argument to a limit suitable for your computation; set "
            "'bestEffort' to true to aggregate at whatever scale results in fewer total pixels "
            "than the limit; or both."
        )
    factor = 2
    while region.pixels > limit:
        a, b, c, d, e, f = projection.transform
        coarse = (a * factor, b * factor, c, d * factor, e * factor, f)
        region = Region.of(geometry, Projection(projection.crs, coarse))
        factor *= 2
    if region.pixels > MAX_PIXELS_IN_MEMORY:
        raise bad_request(f"{where}: User memory limit exceeded.")
    return region


@REGISTRY.function("Image.reduceRegion")
def reduce_region(
    services: Services,
    image: Image,
    reducer: Reducer,
    geometry: Geometry | None = None,
    scale: float | None = None,
    crs: Projection | None = None,
    crsTransform: list[float] | None = None,
    bestEffort: bool = False,
    maxPixels: int = 10_000_000,
    tileScale: float = 1.0,
) -> dict[str, Any]:
    """Return a reducer's outputs over the pixels of a region, by band or output."""
    where = "Image.reduceRegion"
    if not image.bands:
        return {}
    area = region_of(image, geometry, where)
    projection = chosen(image.bands[0].projection, crs, crsTransform, scale, where)
    region = _limited(area, projection, maxPixels, bestEffort, where)
    groups = groups_of_bands(image, reducer, where)
    gathered = gather([band.node for band in image.bands], region, services.pixels)
    result: dict[str, Any] = {}
    for group in groups:
        found = reduced(gathered, reducer, group)
        result.update(zip(_names(image, reducer, group), found, strict=True))
    return result


def _names(image: Image, reducer: Reducer, bands: Sequence[int]) -> list[str]:
    """Return what a reducer's outputs are called: `band`, `band_output`, or `output`."""
    if reducer.inputs != 1:
        return list(reducer.outputs)
    band = image.names[bands[0]]
    if len(reducer.outputs) == 1:
        return [band]
    return [f"{band}_{output}" for output in reducer.outputs]


@REGISTRY.function("Image.reduceRegions")
def reduce_regions(
    services: Services,
    image: Image,
    collection: Collection,
    reducer: Reducer,
    scale: float | None = None,
    crs: Projection | None = None,
    crsTransform: list[float] | None = None,
    tileScale: float = 1.0,
    maxPixelsPerRegion: int | None = None,
) -> Collection:
    """Return features with a reducer's outputs over each among their properties."""
    where = "Image.reduceRegions"
    if not image.bands:
        return collection
    projection = chosen(image.bands[0].projection, crs, crsTransform, scale, where)
    limit = MAX_PIXELS_IN_MEMORY if maxPixelsPerRegion is None else maxPixelsPerRegion
    groups = groups_of_bands(image, reducer, where)
    nodes = [band.node for band in image.bands]
    features = []
    for element in collection:
        if element.geometry is None or element.geometry.shape is None:
            features.append(element)
            continue
        region = _limited(element.geometry, projection, limit, False, where)
        gathered = gather(nodes, region, services.pixels)
        found: dict[str, Any] = {}
        for group in groups:
            single = len(image.bands) == 1
            names = list(reducer.outputs) if single else _names(image, reducer, group)
            found.update(zip(names, reduced(gathered, reducer, group), strict=True))
        features.append(element.with_properties(found))
    return collection.with_items(features)


def _with_gaps(values: Values, mask: Values, keep: Sequence[int]) -> list[Any]:
    observed = (mask > 0).tolist()
    return [_pixel(values[place]) if observed[place] else None for place in keep]


def _pixel(value: Any) -> Any:
    """Return what a pixel holds: a number, or an array."""
    held = np.asarray(value)
    return held.item() if held.ndim == 0 else Array(held, PixelType.of_dtype(held.dtype))


def _sampled(gathered: Gathered, keep: Sequence[int]) -> list[list[Any]]:
    """Return, for each kept pixel, the value of each band, None where it is masked."""
    columns = [
        _with_gaps(values, mask, keep)
        for values, mask in zip(gathered.values, gathered.masks, strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _centers(gathered: Gathered, region: Region, keep: Sequence[int]) -> list[Geometry]:
    """Return the centres of kept pixels as points in degrees."""
    index = list(keep)
    cols, rows = gathered.cols[index] + 0.5, gathered.rows[index] + 0.5
    x, y = region.projection.grid.coordinates(cols, rows)
    lon, lat = transformer(region.projection.crs, DEFAULT_CRS).transform(x, y)
    return [Geometry(point) for point in shapely.points(lon, lat)]


def _features(
    image: Image,
    gathered: Gathered,
    region: Region,
    keep: Sequence[int],
    properties: Mapping[str, Any],
    *,
    drop_nulls: bool,
    geometries: bool,
) -> list[Feature]:
    points = _centers(gathered, region, keep) if geometries else [None] * len(keep)
    features = []
    for row, point in zip(_sampled(gathered, keep), points, strict=True):
        if drop_nulls and any(value is None for value in row):
            continue
        named = dict(zip(image.names, row, strict=True))
        features.append(Feature(point, merged(properties, named)))
    return features


def _numbered(features: Sequence[Feature]) -> Collection:
    return Collection(
        tuple(one.with_properties({"system:index": str(i)}) for i, one in enumerate(features)),
        "FeatureCollection",
    )


@REGISTRY.function("Image.sample", arrays=True)
def sample(
    services: Services,
    image: Image,
    region: Geometry | None = None,
    scale: float | None = None,
    projection: Projection | None = None,
    factor: float | None = None,
    numPixels: int | None = None,
    seed: int = 0,
    dropNulls: bool = True,
    tileScale: float = 1.0,
    geometries: bool = False,
) -> Collection:
    """Return a feature for each pixel of a region, or for some of them at random."""
    where = "Image.sample"
    if factor is not None and numPixels is not None:
        raise bad_request(f"{where}: Only one of 'factor' and 'numPixels' may be given.")
    if factor is not None and not 0 < factor <= 1:
        raise bad_request(f"{where}: 'factor' must be above 0 and at most 1. Got {factor}.")
    if not image.bands:
        raise bad_request(f"{where}: The image has no bands.")
    area = region_of(image, region, where)
    grid = chosen(image.bands[0].projection, projection, None, scale, where)
    found = _limited(area, grid, MAX_PIXELS_IN_MEMORY, False, where)
    gathered = gather([band.node for band in image.bands], found, services.pixels)
    inside = np.flatnonzero(gathered.centers)
    random = np.random.default_rng(seed)
    if factor is not None:
        inside = inside[random.random(len(inside)) < factor]
    elif numPixels is not None and numPixels < len(inside):
        inside = np.sort(random.choice(inside, max(0, numPixels), replace=False))
    return _numbered(
        _features(
            image, gathered, found, inside.tolist(), {}, drop_nulls=dropNulls, geometries=geometries
        )
    )


@REGISTRY.function("Image.sampleRegions", arrays=True)
def sample_regions(
    services: Services,
    image: Image,
    collection: Collection,
    properties: list[str] | None = None,
    scale: float | None = None,
    projection: Projection | None = None,
    tileScale: float = 1.0,
    geometries: bool = False,
) -> Collection:
    """Return a feature for each pixel of each feature, with that feature's properties."""
    where = "Image.sampleRegions"
    if not image.bands:
        raise bad_request(f"{where}: The image has no bands.")
    grid = chosen(image.bands[0].projection, projection, None, scale, where)
    nodes = [band.node for band in image.bands]
    features: list[Feature] = []
    for element in collection:
        if element.geometry is None or element.geometry.shape is None:
            continue
        copied = {
            name: value
            for name, value in element.properties.items()
            if (name in properties if properties is not None else not name.startswith("system:"))
        }
        region = _limited(element.geometry, grid, MAX_PIXELS_IN_MEMORY, False, where)
        gathered = gather(nodes, region, services.pixels)
        keep = np.flatnonzero(gathered.centers).tolist()
        features += _features(
            image, gathered, region, keep, copied, drop_nulls=True, geometries=geometries
        )
    return _numbered(features)


@REGISTRY.function("Image.sampleRectangle")
def sample_rectangle(
    services: Services,
    image: Image,
    region: Geometry | None = None,
    properties: list[str] | None = None,
    defaultValue: float | None = None,
    defaultArrayValue: Array | None = None,
) -> Feature:
    """Return a feature with a matrix of pixels for each band, each in its own projection."""
    where = "Image.sampleRectangle"
    area = image.footprint if region is None else region
    if area is None or area.shape is None:
        raise bad_request(f"{where}: Provide 'region' parameter when sampling an unbounded image.")
    names = (
        [name for name in image.properties if not name.startswith("system:")]
        if properties is None
        else properties
    )
    kept = {name: image.properties[name] for name in names if name in image.properties}
    arrays = {
        band.name: _rectangle(band, area, defaultValue, services.pixels) for band in image.bands
    }
    return Feature(area, merged(kept, arrays))


def _rectangle(band: Band, area: Geometry, default: float | None, context: Context) -> Array:
    where = "Image.sampleRectangle"
    grid = band.projection.grid
    west, north, east, south = on_grid(area, grid).bounds
    window = window_of(shapely.box(west, north, east, south))
    if window.area > MAX_SAMPLE_PIXELS:
        raise bad_request(
            f"{where}: Too many pixels in sample; must be <= {MAX_SAMPLE_PIXELS}. "
            f"Got {window.area}."
        )
    block = evaluate([band.node], grid, window, context)[0]
    valid = block.valid()
    values = block.values
    if valid is not None:
        if default is None:
            raise bad_request(
                f"{where}: Fully masked pixels / pixels outside of the image footprint when "
                f"sampling band '{band.name}' with no default value set. Note that calling "
                "sampleRectangle() on an image after ee.Image.clip() may result in a sampling "
                "bounding box outside the geometry passed to clip()."
            )
        values = np.where(valid, values, default)
        if band.type.precision == "int" and default == math.floor(default):
            values = values.astype(np.int64)
    return Array(values, band.type)
