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
import shapely
from shapely.geometry.base import BaseGeometry

from water_gee.errors import AoiError
from water_gee.imagery import wrs
from water_gee.imagery.degrees import Area as Area
from water_gee.imagery.degrees import box, on_earth, to_degrees
from water_gee.imagery.vector_files import REMEDY, exists, from_geojson, one_line, read_file

_WKT = re.compile(
    r"\s*(SRID=\d+;\s*)?((MULTI)?(POLYGON|POINT|LINESTRING)|GEOMETRYCOLLECTION)"
    r"(\s+(Z|M|ZM))?\s*(\(|EMPTY\b)",
    re.I,
)
_NUMBERS = re.compile(r"\s*[-+.\deE]+(\s*,\s*|\s+)[-+.\deE]+.*")
_LONG = 1000
"""Characters. A longer text that is no file was not meant as the name of one."""

_TABLE = "ee:"
_OWN_TABLE = re.compile(r"projects/[^/\s]+/assets/\S+|users/[^/\s]+/\S+")


def read_aoi(area: Any) -> Area:
    """Read an area of interest.

    Args:
        area: One of
            - `(west, south, east, north)` in degrees, where west above east crosses 180°;
            - a path to a GeoJSON, Shapefile (also zipped), GeoPackage, KML, KMZ or anything else
              pyogrio reads; all features of all layers are joined;
            - GeoJSON or WKT as text, or a GeoJSON mapping; a file of that name comes first;
            - `wrs:132/023`, `wrs:132/023,132/024` or `path 132 row 23`: frames of Landsat's paths
              and rows, as `wrs` computes them;
            - `ee:` and the id of a table in Earth Engine; `projects/P/assets/...` and `users/...`
              are understood without it where no file has that name;
            - a shapely polygon, or an object with `__geo_interface__`, such as a GeoDataFrame;
            - an `ee.Geometry`, `ee.Feature` or `ee.FeatureCollection`;
            - a list of any of these, all of which are joined.

            Longitudes may run on beyond 180° to 360°, as in 170 to 190. Lines and points beside
            polygons do not count.

    Returns:
        A valid polygon or multipolygon, longitudes within ±180, latitudes within ±90.

    Raises:
        AoiError: Not an area: unreadable, empty, points or lines, out of range.
        SessionError: A table, and no service.

    Warns:
        AreaRepairedWarning: Polygons crossed themselves, or rings were not closed.
    """
    return on_earth(_geometry(area))


def _geometry(area: Any) -> BaseGeometry:
    """Find out what was given, and read it; coordinates are in EPSG:4326 from here on."""
    if isinstance(area, BaseGeometry):
        return area
    if type(area).__module__.partition(".")[0] == "ee":
        return _from_earth_engine(area)
    if isinstance(area, Path):
        return read_file(area)
    if isinstance(area, str):
        return _from_text(area)
    if isinstance(area, Mapping):
        return from_geojson(area, "the mapping")
    if hasattr(area, "to_crs") and getattr(area, "crs", None) is not None:
        shapes = [shape for shape in area.geometry if shape is not None]
        return shapely.GeometryCollection(
            to_degrees(shapes, area.crs, f"the {type(area).__name__}")
        )
    if hasattr(area, "__geo_interface__"):
        return from_geojson(area.__geo_interface__, type(area).__name__)
    if hasattr(area, "tolist") and not isinstance(area, memoryview):
        area = area.tolist()
    if isinstance(area, Sequence) and not isinstance(area, bytes | bytearray | memoryview):
        return _from_several(area)
    raise AoiError(f"a {type(area).__name__} is no area; {REMEDY}")


def _from_several(given: Sequence[Any]) -> BaseGeometry:
    """Four numbers are a box; anything else in a list is an area of its own."""
    if given and not any(isinstance(each, Real) for each in given):
        return shapely.GeometryCollection([_geometry(each) for each in given])
    if len(given) != 4 or not all(isinstance(n, Real) and math.isfinite(n) for n in given):
        raise AoiError(f"an area of {repr(given)[:80]}: not four numbers; {REMEDY}")
    west, south, east, north = (float(number) for number in given)
    return box(west, south, east, north)


def _from_text(text: str) -> BaseGeometry:
    if exists(text):
        return read_file(Path(text))
    if text.lstrip().startswith("{"):
        try:
            return from_geojson(json.loads(text), "the GeoJSON text")
        except (ValueError, RecursionError) as error:
            raise AoiError(f"the GeoJSON text is cut short or broken: {error}") from error
    if _WKT.match(text):
        return _from_wkt(text)
    if wrs.names_rows(text):
        frames = [wrs.footprint(path, row) for path, row in wrs.read_rows(text)]
        return shapely.MultiPolygon(frames)
    if text.startswith(_TABLE):
        return _from_table(text.removeprefix(_TABLE).strip())
    if _NUMBERS.fullmatch(text):
        try:
            return _from_several([float(number) for number in re.split(r"[,\s]+", text.strip())])
        except ValueError as error:
            if isinstance(error, AoiError):
                raise
            raise AoiError(f"{text[:60]!r} is no box: {error}; {REMEDY}") from error
    if _OWN_TABLE.fullmatch(text.strip()):
        return _from_table(text.strip())
    if not text.strip() or len(text) > _LONG or not text.isprintable():
        raise AoiError(f"{text[:60]!r} is no area; {REMEDY}")
    return read_file(Path(text))


def _from_wkt(text: str) -> BaseGeometry:
    try:
        with np.errstate(invalid="ignore"):  # of NaN, which `on_earth` refuses by name
            return shapely.from_wkt(re.sub(r"^\s*SRID=4326;", "", text, flags=re.I))
    except shapely.errors.ShapelyError as error:
        raise AoiError(f"the WKT {text[:60]!r} cannot be read: {one_line(error)}") from error


def _from_table(asset: str) -> BaseGeometry:
    """A table in Earth Engine by its id: all of its features."""
    import ee

    from water_gee import session

    if not asset or re.search(r"\s", asset):
        raise AoiError(f"{_TABLE}{asset}: no asset id; one looks like ee:projects/P/assets/basins")
    session.ensure()
    return _asked(ee.FeatureCollection(asset).geometry(), f"the table {asset}")


def _from_earth_engine(thing: Any) -> BaseGeometry:
    """Ask the client; only a computed geometry asks the service."""
    import ee

    if hasattr(thing, "geometry"):
        thing = thing.geometry()
    if not isinstance(thing, ee.Geometry):
        raise AoiError(f"an ee.{type(thing).__name__} is no area; {REMEDY}")
    if thing.func is None:
        return from_geojson(thing.toGeoJSON(), "the ee.Geometry", rings_close=False)
    return _asked(thing, "the ee.Geometry")


def _asked(geometry: Any, what: str) -> BaseGeometry:
    import ee

    from water_gee import session

    try:
        with session.talking():
            found = geometry.getInfo()
    except ee.EEException as error:
        raise AoiError(f"{what} cannot be computed: {one_line(error)}") from error
    return from_geojson(found or {}, what, rings_close=False)
