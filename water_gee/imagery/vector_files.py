"""Shapes of GeoJSON and of vector files, in degrees."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
import shapely.geometry
from pyproj.exceptions import CRSError

from water_gee.errors import AoiError, AreaRepairedWarning
from water_gee.imagery.degrees import to_degrees

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

ARCHIVES = (".zip", ".kmz")

_IN_ARCHIVES = (".shp", ".gpkg", ".kml", ".geojson", ".json", ".fgb", ".gml")

REMEDY = (
    "give (west, south, east, north) in degrees, a GeoJSON, Shapefile, GeoPackage or KML, "
    "wrs:PATH/ROW, ee:TABLE, or a polygon"
)


def read_file(path: Path) -> BaseGeometry:
    """All shapes of all layers of a file, or of the vector files in an archive.

    Raises:
        AoiError: There is no such file, nothing that GDAL reads, no shape in it, or no CRS.
    """
    if not path.exists():
        raise AoiError(f"{path}: no such file; {REMEDY}")
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            plain = json.loads(path.read_text(encoding="utf-8-sig"))
        except (ValueError, OSError) as error:
            raise AoiError(f"{path} is no GeoJSON: {error}") from error
        if not isinstance(plain, Mapping):
            raise AoiError(f"{path} is no GeoJSON: it holds a {type(plain).__name__}")
        if plain.get("type") != "Topology":
            return from_geojson(plain, str(path))
    shapes = [shape for source in _sources(path) for shape in _tables(path, source)]
    if not shapes:
        raise AoiError(f"{path} holds no shapes; {REMEDY}")
    return shapely.GeometryCollection(shapes)


def _sources(path: Path) -> list[str]:
    """What GDAL is to open: the file, or the members of an archive."""
    if path.suffix.lower() not in ARCHIVES:
        return [str(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise AoiError(f"{path} is no archive: {error}") from error
    hidden = ("__MACOSX/", "._")
    found = [
        name
        for name in sorted(names)
        if PurePosixPath(name).suffix.lower() in _IN_ARCHIVES and not name.startswith(hidden)
    ]
    if not found:
        raise AoiError(f"{path} holds none of {', '.join(_IN_ARCHIVES)}; {REMEDY}")
    return [f"/vsizip/{path.resolve()}/{name}" for name in found]


def _tables(path: Path, source: str) -> list[BaseGeometry]:
    """The shapes of every layer of a source, in degrees."""
    import pyogrio
    from pyogrio import errors

    shapes: list[BaseGeometry] = []
    try:
        for name, kind in pyogrio.list_layers(source):
            if kind is None:
                continue
            table = pyogrio.read_dataframe(source, layer=str(name), columns=[])
            crs = table.crs
            if crs is None and len(table) and not _in_degrees(table.total_bounds):
                raise AoiError(
                    f"{path} says no CRS, and its coordinates are no degrees; add the .prj"
                )
            kept = [shape for shape in table.geometry if shape is not None]
            shapes += kept if crs is None else to_degrees(kept, crs)
    except (errors.DataSourceError, errors.DataLayerError) as error:
        raise AoiError(f"{path} is no vector file that GDAL reads; {REMEDY}") from error
    except (errors.GeometryError, errors.FeatureError, shapely.errors.ShapelyError) as error:
        raise AoiError(f"{path} has a shape that cannot be read: {one_line(error)}") from error
    return shapes


def from_geojson(
    mapping: Mapping[str, Any], what: str, *, rings_close: bool = True
) -> BaseGeometry:
    """The shapes of a GeoJSON mapping.

    Args:
        mapping: Geometry, Feature or FeatureCollection; of RFC 7946, or with the older `crs`.
        what: What to call it in a message.
        rings_close: Whether a ring must end where it begins; Earth Engine's need not.

    Raises:
        AoiError: It is none.

    Warns:
        AreaRepairedWarning: A ring was not closed.
    """
    kind = mapping.get("type")
    try:
        if kind == "FeatureCollection":
            parts = [feature["geometry"] for feature in mapping["features"]]
        elif kind == "Feature":
            parts = [mapping["geometry"]]
        elif kind is not None:
            parts = [mapping]
        else:
            raise AoiError(f"{what} has no `type`, so it is no GeoJSON; {REMEDY}")
        given = [dict(part) for part in parts if part is not None]
        with np.errstate(invalid="ignore"):  # of NaN, which `on_earth` refuses by name
            shapes = [shapely.geometry.shape(part) for part in given]
        broken = sum(_unclosed(part) for part in given) if rings_close else 0
    except (
        *(KeyError, TypeError, ValueError, AttributeError, IndexError),
        shapely.errors.ShapelyError,
    ) as error:
        if isinstance(error, AoiError):
            raise
        why = one_line(error) or type(error).__name__
        raise AoiError(f"{what} is no GeoJSON with shapes: {why}") from error
    if broken:
        warnings.warn(
            f"{what}: {broken} rings did not end where they began, and were closed",
            AreaRepairedWarning,
            stacklevel=4,
        )
    return shapely.GeometryCollection(to_degrees(shapes, _system(mapping.get("crs"), what)))


def one_line(error: BaseException) -> str:
    """An error's text without its line breaks."""
    return " ".join(str(error).split())


def _unclosed(part: Mapping[str, Any]) -> int:
    """Rings of a geometry whose last corner is not the first."""
    kind = part["type"]
    if kind == "GeometryCollection":
        return sum(_unclosed(each) for each in part["geometries"])
    if kind not in ("Polygon", "MultiPolygon"):
        return 0
    polygons = part["coordinates"] if kind == "MultiPolygon" else [part["coordinates"]]
    return sum(bool(len(ring)) and list(ring[0]) != list(ring[-1]) for p in polygons for ring in p)


def _system(crs: Any, what: str) -> pyproj.CRS:
    """The CRS of the `crs` member, which old GeoJSON and Earth Engine write."""
    if not crs:
        return pyproj.CRS.from_epsg(4326)
    name = crs.get("properties", {}).get("name") if isinstance(crs, Mapping) else crs
    try:
        return pyproj.CRS.from_user_input("OGC:CRS84" if "CRS84" in str(name) else name)
    except CRSError as error:
        raise AoiError(f"{what} is in an unknown CRS: {name!r}") from error


def _in_degrees(bounds: Any) -> bool:
    west, south, east, north = (float(number) for number in bounds)
    return max(abs(west), abs(east)) <= 360 and max(abs(south), abs(north)) <= 90
