"""Whatever people call an area, as one polygon in EPSG:4326."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
import shapely.geometry
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from water_gee.errors import AoiError

Area = shapely.Polygon | shapely.MultiPolygon

_REMEDY = (
    "give (west, south, east, north) in degrees, a GeoJSON, Shapefile or GeoPackage, or a polygon"
)
_WKT = re.compile(
    r"\s*(SRID=\d+;\s*)?(MULTI)?(POLYGON|POINT|LINESTRING)|\s*GEOMETRYCOLLECTION", re.I
)
_NUMBERS = re.compile(r"\s*[-+.\deE]+(\s*,\s*|\s+)[-+.\deE]+.*")
_LATITUDE, _LONGITUDE = 90.0, 180.0


def read_aoi(area: Any) -> Area:
    """Read an area of interest.

    Args:
        area: One of
            - `(west, south, east, north)` in degrees, where west above east crosses 180°;
            - a path to a GeoJSON, Shapefile, GeoPackage or anything else pyogrio reads; all
              features of all layers are joined;
            - GeoJSON or WKT as text, or a GeoJSON mapping;
            - a shapely polygon, or an object with `__geo_interface__`, such as a GeoDataFrame;
            - an `ee.Geometry`, `ee.Feature` or `ee.FeatureCollection`.

    Returns:
        A valid polygon or multipolygon, longitudes within ±180, latitudes within ±90.

    Raises:
        AoiError: Not an area: unreadable, empty, points or lines, out of range.
    """
    return _checked(_polygons(_geometry(area)))


def _geometry(area: Any) -> BaseGeometry:
    """Find out what was given, and read it; coordinates are in EPSG:4326 from here on."""
    if isinstance(area, BaseGeometry):
        return area
    if type(area).__module__.partition(".")[0] == "ee":
        return _from_earth_engine(area)
    if isinstance(area, Path):
        return _from_file(area)
    if isinstance(area, str):
        return _from_text(area)
    if isinstance(area, Mapping):
        return _from_geojson(area, "the mapping")
    if hasattr(area, "to_crs") and getattr(area, "crs", None) is not None:
        return _from_geojson(area.to_crs("EPSG:4326").__geo_interface__, "the table")
    if hasattr(area, "__geo_interface__"):
        return _from_geojson(area.__geo_interface__, type(area).__name__)
    if hasattr(area, "tolist"):
        area = area.tolist()
    if isinstance(area, Sequence):
        return _from_box(area)
    raise AoiError(f"a {type(area).__name__} is no area; {_REMEDY}")


def _from_box(numbers: Sequence[Any]) -> BaseGeometry:
    if len(numbers) != 4 or not all(isinstance(n, Real) and math.isfinite(n) for n in numbers):
        shown = repr(numbers)[:80]
        raise AoiError(f"an area of {shown}: not four numbers; {_REMEDY}")
    west, south, east, north = (float(number) for number in numbers)
    _check_range((west, south, east, north))
    if south >= north or west == east:
        raise AoiError(
            f"the box ({west:g}, {south:g}, {east:g}, {north:g}) is empty: "
            "it must be (west, south, east, north)"
        )
    if west < east:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon(
        [
            shapely.box(west, south, _LONGITUDE, north),
            shapely.box(-_LONGITUDE, south, east, north),
        ]
    )


def _from_text(text: str) -> BaseGeometry:
    if text.lstrip().startswith("{"):
        try:
            return _from_geojson(json.loads(text), "the GeoJSON text")
        except json.JSONDecodeError as error:
            raise AoiError(f"the GeoJSON text is cut short or broken: {error}") from error
    if _WKT.match(text):
        try:
            return shapely.from_wkt(re.sub(r"^\s*SRID=4326;", "", text, flags=re.I))
        except shapely.errors.ShapelyError as error:
            raise AoiError(f"the WKT {text[:60]!r} cannot be read: {error}") from error
    if _NUMBERS.fullmatch(text) and not Path(text).exists():
        try:
            return _from_box([float(number) for number in re.split(r"[,\s]+", text.strip())])
        except ValueError as error:
            raise AoiError(f"{text[:60]!r} is no box: {error}; {_REMEDY}") from error
    return _from_file(Path(text))


def _from_file(path: Path) -> BaseGeometry:
    if not path.exists():
        raise AoiError(f"{path}: no such file; {_REMEDY}")
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            return _from_geojson(json.loads(path.read_text(encoding="utf-8")), str(path))
        except (ValueError, OSError) as error:
            if isinstance(error, AoiError):
                raise
            raise AoiError(f"{path} is no GeoJSON: {error}") from error
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        tables = [pyogrio.read_dataframe(path, layer=layer, columns=[]) for layer in layers]
    except (DataSourceError, DataLayerError) as error:
        raise AoiError(f"{path} is no vector file that GDAL reads; {_REMEDY}") from error
    shapes: list[BaseGeometry] = []
    for table in tables:
        if table.crs is not None:
            table = table.to_crs("EPSG:4326")
        elif len(table) and not _within(table.total_bounds):
            raise AoiError(f"{path} says no CRS, and its coordinates are no degrees; add the .prj")
        shapes.extend(shape for shape in table.geometry if shape is not None)
    if not shapes:
        raise AoiError(f"{path} holds no shapes; {_REMEDY}")
    return shapely.GeometryCollection(shapes)


def _from_geojson(mapping: Mapping[str, Any], what: str) -> BaseGeometry:
    kind = mapping.get("type")
    try:
        if kind == "FeatureCollection":
            parts = [feature["geometry"] for feature in mapping["features"]]
        elif kind == "Feature":
            parts = [mapping["geometry"]]
        elif kind is not None:
            parts = [mapping]
        else:
            raise AoiError(f"{what} has no `type`, so it is no GeoJSON; {_REMEDY}")
        shapes = [shapely.geometry.shape(dict(part)) for part in parts if part is not None]
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        if isinstance(error, AoiError):
            raise
        raise AoiError(
            f"{what} is no GeoJSON with shapes: {error or type(error).__name__}"
        ) from error
    shape = shapes[0] if len(shapes) == 1 else shapely.GeometryCollection(shapes)
    return _to_degrees(shape, mapping.get("crs"), what)


def _to_degrees(shape: BaseGeometry, crs: Any, what: str) -> BaseGeometry:
    """Follow the `crs` member, which old GeoJSON and Earth Engine write."""
    if not crs:
        return shape
    name = crs.get("properties", {}).get("name") if isinstance(crs, Mapping) else crs
    try:
        system = pyproj.CRS.from_user_input(name)
    except CRSError as error:
        raise AoiError(f"{what} is in an unknown CRS: {name!r}") from error
    if system.to_epsg() == 4326 or "CRS84" in str(name):
        return shape
    transformer = pyproj.Transformer.from_crs(system, "EPSG:4326", always_xy=True)
    return shapely.transform(
        shape, lambda points: np.column_stack(transformer.transform(points[:, 0], points[:, 1]))
    )


def _from_earth_engine(thing: Any) -> BaseGeometry:
    """Ask the client; only a computed geometry asks the service."""
    import ee

    from water_gee import session

    if hasattr(thing, "geometry"):
        thing = thing.geometry()
    if not isinstance(thing, ee.Geometry):
        raise AoiError(f"an ee.{type(thing).__name__} is no area; {_REMEDY}")
    if thing.func is None:
        return _from_geojson(thing.toGeoJSON(), "the ee.Geometry")
    try:
        with session.talking():
            return _from_geojson(thing.getInfo() or {}, "the ee.Geometry")
    except ee.EEException as error:
        raise AoiError(f"the ee.Geometry cannot be computed: {error}") from error


def _polygons(shape: BaseGeometry) -> Area:
    """Keep the polygons of a shape, made valid and joined."""
    if shape.is_empty:
        raise AoiError(f"the area is empty; {_REMEDY}")
    if not shapely.is_valid(shape):
        shape = shapely.make_valid(shape)
    parts = shapely.get_parts(shape)
    while any(part.geom_type == "GeometryCollection" for part in parts):
        parts = shapely.get_parts(parts)
    flat = shapely.get_parts(shapely.force_2d(parts))
    areas = [part for part in flat if part.geom_type == "Polygon" and part.area > 0]
    if not areas:
        kinds = " and ".join(sorted({part.geom_type.lower() for part in flat}))
        raise AoiError(f"a {kinds} has no area; draw a polygon around it, or buffer it")
    joined = shapely.make_valid(shapely.union_all(areas))
    if not isinstance(joined, Area):
        raise AoiError(f"the area cannot be joined into polygons; {_REMEDY}")
    return joined


def _checked(area: Area) -> Area:
    _check_range(area.bounds)
    return area


def _check_range(bounds: tuple[float, float, float, float]) -> None:
    west, south, east, north = bounds
    if not all(math.isfinite(number) for number in bounds):
        raise AoiError(f"the area has a coordinate that is no number; {_REMEDY}")
    for latitude in (south, north):
        if abs(latitude) > _LATITUDE:
            swapped = all(abs(n) <= _LATITUDE for n in (west, east)) and abs(latitude) <= _LONGITUDE
            hint = (
                "; are longitude and latitude swapped?" if swapped else "; coordinates in degrees?"
            )
            raise AoiError(f"latitude {latitude:g} is outside -90..90{hint}")
    for longitude in (west, east):
        if abs(longitude) > _LONGITUDE:
            raise AoiError(
                f"longitude {longitude:g} is outside -180..180; "
                "an area across 180° is two polygons, or a box with west above east"
            )


def _within(bounds: Any) -> bool:
    west, south, east, north = (float(number) for number in bounds)
    return max(abs(west), abs(east)) <= _LONGITUDE and max(abs(south), abs(north)) <= _LATITUDE
