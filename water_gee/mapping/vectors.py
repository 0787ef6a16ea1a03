"""Water polygons of a class raster, with their areas on the ellipsoid, as a GeoPackage."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import shapely
import shapely.geometry
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio import features

from water_gee import raster
from water_gee.errors import RasterError
from water_gee.files import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from water_gee.raster import Raster

LAYER = "water"
"""The GeoPackage's one layer."""

MINIMUM_KM2 = 0.0025
"""Smallest water body kept by default: about three Landsat pixels."""

_LONGEST_EDGE_M = 2000.0
"""Edges are cut to this length before areas are measured, so that a straight line of the raster's
own coordinates and the shortest line on the ellipsoid do not part."""

_EPOCH = "2000-01-01T00:00:00.000Z"
"""Written into every file as its date, so that equal maps give equal files."""


@dataclass(frozen=True, slots=True)
class WaterBodies:
    """What was written.

    Attributes:
        path: The GeoPackage.
        count: Polygons in it.
        area_km2: Their area together, on the ellipsoid.
        dropped: Polygons left out because they were smaller than asked for.
    """

    path: Path
    count: int
    area_km2: float
    dropped: int


def polygons(
    map_path: Path | str,
    gpkg_path: Path | str,
    *,
    minimum_km2: float = MINIMUM_KM2,
    positive: int = 1,
) -> WaterBodies:
    """Turn the water of a class raster into polygons.

    Pixels that touch at a corner belong together, so that a diagonal river is one body. Islands are
    holes. What was not observed is neither water nor land: a body ends there.

    Args:
        map_path: Class raster, uint8, its first band is read.
        gpkg_path: The GeoPackage, in the raster's CRS: layer `water`, one multipolygon a row, the
            largest first, with `id` (from 1), `area_km2` and `perimeter_km` (both on the ellipsoid,
            holes taken off the area and counted in the perimeter). It appears whole or not at all.
        minimum_km2: Bodies smaller than this are left out.
        positive: The class that is water.

    Returns:
        How many polygons, and their area.

    Raises:
        RasterError: No such raster, one without CRS or of floating point, or a full disk.
    """
    source = raster.read(Path(map_path), bands=[1])
    if not source.grid.crs:
        raise RasterError(f"{map_path} has no CRS, so its water has no area; give it one")
    if not np.issubdtype(source.values.dtype, np.integer):
        raise RasterError(
            f"{map_path} holds {source.values.dtype}, not classes; give the map, not probabilities"
        )
    bodies = _bodies(source, positive)
    measured = _measured(bodies, source.grid.crs)
    kept = measured["area_km2"].to_numpy() >= minimum_km2
    dropped = int((~kept).sum())
    # Position breaks ties, so that the order never depends on how the bodies were found.
    table = measured[kept].sort_values("area_km2", ascending=False, kind="stable")
    table.insert(0, "id", np.arange(1, len(table) + 1, dtype=np.int32))
    _write(table, Path(gpkg_path))
    return WaterBodies(Path(gpkg_path), len(table), float(table["area_km2"].sum()), dropped)


def _bodies(source: Raster, positive: int) -> list[Any]:
    """The connected parts of a class, as valid multipolygons in the raster's coordinates."""
    water = np.asarray(source.values[0] == positive, dtype=np.uint8)
    found = features.shapes(
        water, mask=water.astype(bool), connectivity=8, transform=source.grid.transform
    )
    # Pixels joined at a corner only make a ring that touches itself there.
    return [
        shapely.MultiPolygon(_polygons_in(shapely.make_valid(shapely.geometry.shape(shape))))
        for shape, _ in found
    ]


def _polygons_in(geometry: Any) -> list[Any]:
    """The polygons of a geometry, however it is nested."""
    if geometry.geom_type == "Polygon":
        return [geometry]
    parts = getattr(geometry, "geoms", ())
    return [polygon for part in parts for polygon in _polygons_in(part)]


def _measured(bodies: list[Any], crs: str) -> geopandas.GeoDataFrame:
    """A table of bodies with area and perimeter on the ellipsoid."""
    system = pyproj.CRS.from_user_input(crs)
    geodetic = system.geodetic_crs
    geod = system.get_geod()
    if geodetic is None or geod is None:
        raise RasterError(f"{crs} names no ellipsoid to measure areas on; warp the map first")
    unit = system.axis_info[0].unit_conversion_factor  # metres, or radians for degrees
    longest = _LONGEST_EDGE_M / (unit * (6.4e6 if system.is_geographic else 1.0))
    to_degrees = pyproj.Transformer.from_crs(system, geodetic, always_xy=True)

    def on_ellipsoid(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_degrees.transform(points[:, 0], points[:, 1]))

    areas, perimeters = [], []
    for body in bodies:
        placed = shapely.transform(shapely.segmentize(body, longest), on_ellipsoid)
        area, perimeter = _of_polygons(placed, geod)
        areas.append(area / 1e6)
        perimeters.append(perimeter / 1e3)
    columns = {
        "area_km2": np.array(areas, dtype=np.float64),
        "perimeter_km": np.array(perimeters, dtype=np.float64),
    }
    return geopandas.GeoDataFrame(columns, geometry=bodies, crs=crs)


def _of_polygons(body: Any, geod: pyproj.Geod) -> tuple[float, float]:
    """Area in square metres and perimeter in metres; pyproj signs areas by the ring's direction."""
    area = perimeter = 0.0
    for polygon in _polygons_in(body):
        outer, length = geod.geometry_area_perimeter(shapely.Polygon(polygon.exterior))
        area += abs(outer)
        perimeter += length
        for ring in polygon.interiors:
            hole, length = geod.geometry_area_perimeter(shapely.Polygon(ring))
            area -= abs(hole)
            perimeter += length
    return area, perimeter


def _write(table: geopandas.GeoDataFrame, path: Path) -> None:
    """Write a GeoPackage under a temporary name, then rename it."""
    with atomic(path) as temporary, _dated(_EPOCH):
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "No such folder", str(path.parent))
        # GDAL wants the ending; the name still counts as a leftover if the process is killed.
        named = temporary.with_name(f"{temporary.name}.gpkg")
        try:
            pyogrio.write_dataframe(
                table,
                named,
                layer=LAYER,
                driver="GPKG",
                geometry_type="MultiPolygon",
                promote_to_multi=True,
            )
            named.replace(temporary)
        except (DataLayerError, DataSourceError) as error:
            raise OSError(str(error)) from error
        finally:
            named.unlink(missing_ok=True)


@contextlib.contextmanager
def _dated(when: str) -> Iterator[None]:
    """Have GDAL write a fixed date into its files."""
    name = "OGR_CURRENT_DATE"
    before = pyogrio.get_gdal_config_option(name)
    pyogrio.set_gdal_config_options({name: when})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({name: before})
