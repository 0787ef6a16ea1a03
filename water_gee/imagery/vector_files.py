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
from pyproj.exceptions import CRSError, ProjError

from water_gee.errors import AoiError, AreaRepairedWarning
from water_gee.imagery.degrees import flat, to_degrees

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_ARCHIVES = (".zip", ".kmz")

_IN_ARCHIVES = (".shp", ".gpkg", ".kml", ".geojson", ".json", ".fgb", ".gml")

REMEDY = (
    "give (west, south, east, north) in degrees, a GeoJSON, Shapefile, GeoPackage or KML, "
    "wrs:PATH/ROW, ee:TABLE, or a polygon"
)


def exists(name: Path | str) -> bool:
    """Whether there is a file or folder of a name; none has one that is empty or too long."""
    try:
        return bool(str(name).strip()) and Path(name).exists()
    except (OSError, ValueError):
        return False


def read_file(path: Path) -> BaseGeometry:
    """All shapes of all layers of a file, or of the vector files in an archive.

    Raises:
        AoiError: There is no such file, nothing that GDAL reads, no shape in it, or no CRS.
    """
    if not exists(path):
        raise AoiError(f"{path}: no such file; {REMEDY}")
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            plain = json.loads(path.read_text(encoding="utf-8-sig"))
        except (ValueError, OSError, RecursionError) as error:
            raise AoiError(f"{path} is no GeoJSON: {error}") from error
        if not isinstance(plain, Mapping):
            raise AoiError(f"{path} is no GeoJSON: it holds a {type(plain).__name__}")
        if plain.get("type") != "Topology":
            return from_geojson(plain, str(path))
    shapes = [shape for what, source in _sources(path) for shape in _tables(what, source)]
    if not shapes:
        raise AoiError(f"{path} holds no shapes; {REMEDY}")
    return shapely.GeometryCollection(shapes)


def _sources(path: Path) -> list[tuple[str, str]]:
    """What GDAL is to open, and what to call it: the file, or the members of an archive.

    Of several members those in JSON that are no vector file are left out: they describe another.
    """
    if path.suffix.lower() not in _ARCHIVES:
        return [(str(path), str(path))]
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise AoiError(f"{path} is no archive: {error}") from error
    members = [PurePosixPath(name) for name in sorted(names)]
    found = [
        (f"{path}/{member}", f"/vsizip/{path.resolve()}/{member}")
        for member in members
        if member.suffix.lower() in _IN_ARCHIVES
        and not (member.name.startswith("._") or "__MACOSX" in member.parts)
    ]
    if not found:
        raise AoiError(f"{path} holds none of {', '.join(_IN_ARCHIVES)}; {REMEDY}")
    sound = [each for each in found if not each[1].lower().endswith(".json") or _opens(each[1])]
    return sound or found


def _opens(source: str) -> bool:
    import pyogrio
    from pyogrio import errors

    try:
        pyogrio.list_layers(source)
    except errors.DataSourceError:
        return False
    return True


def _tables(what: str, source: str) -> list[BaseGeometry]:
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
            kept = [shape for shape in table.geometry if shape is not None]
            if crs is None and not _in_degrees(kept):
                remedy = "add the .prj" if source.lower().endswith(".shp") else "set its CRS"
                raise AoiError(f"{what} says no CRS, and its coordinates are no degrees; {remedy}")
            shapes += kept if crs is None else to_degrees(kept, crs, what)
    except (errors.DataSourceError, errors.DataLayerError) as error:
        raise AoiError(f"{what} is no vector file that GDAL reads; {REMEDY}") from error
    except (errors.GeometryError, errors.FeatureError, shapely.errors.ShapelyError) as error:
        raise AoiError(f"{what} has a shape that cannot be read: {one_line(error)}") from error
    except CRSError as error:
        raise AoiError(f"{what} is in an unknown CRS: {one_line(error)}") from error
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
        *(KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError),
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
    system = _system(mapping.get("crs"), what)
    return shapely.GeometryCollection(to_degrees(shapes, system, what))


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
    name = crs
    if isinstance(crs, Mapping):
        properties = crs.get("properties")
        name = properties.get("name") if isinstance(properties, Mapping) else properties
    try:
        return pyproj.CRS.from_user_input("OGC:CRS84" if "CRS84" in str(name) else name)
    except (ProjError, TypeError, ValueError) as error:
        raise AoiError(f"{what} is in an unknown CRS: {repr(crs)[:80]}") from error


def _in_degrees(shapes: list[BaseGeometry]) -> bool:
    parts = flat(shapes)
    if not len(parts):
        return True
    west, south, east, north = (float(number) for number in shapely.total_bounds(parts))
    return max(abs(west), abs(east)) <= 360 and max(abs(south), abs(north)) <= 90
