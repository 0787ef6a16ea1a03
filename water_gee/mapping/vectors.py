"""Water bodies of a map as polygons: rivers and lakes with their sizes, as a GeoPackage."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from water_gee import metrics
from water_gee.errors import RasterError
from water_gee.files import atomic, refuse_same, remove_leftovers
from water_gee.mapping import areas, maps, shapes, styles
from water_gee.mapping.simplify import simplified
from water_gee.mapping.trace import trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.mapping.trace import Bodies
    from water_gee.windows import Grid

    Floats = npt.NDArray[np.float64]
    Shapes = npt.NDArray[np.object_]

LAYER = "water"
"""The GeoPackage's one layer."""

MINIMUM_M2 = 2500.0
"""Smallest water body kept by default: about three Landsat pixels."""

TOLERANCE = 1.5
"""Pixels; how far a simplified shore may lie from that of the pixels."""

_LONGEST_EDGE_M = 2000.0
"""Edges are cut to this length before they are measured, so that a straight line of the raster's
own coordinates and the shortest line on the ellipsoid do not part."""

_STEPS = 1.5
"""Pixels; shores are judged and measured without the steps of the raster, whatever is written."""


@dataclass(frozen=True, slots=True)
class WaterBodies:
    """What was written.

    Attributes:
        path: The GeoPackage.
        count: Polygons in it.
        area_km2: Their area together, on the ellipsoid.
        dropped: Bodies left out because they were smaller than asked for.
        dropped_km2: Their area together.
        kinds: How many of each kind: `river`, `lake`, `unclear`.
    """

    path: Path
    count: int
    area_km2: float
    dropped: int
    dropped_km2: float = 0.0
    kinds: Mapping[str, int] = field(default_factory=dict)


def polygons(
    map_path: Path | str,
    gpkg_path: Path | str,
    *,
    minimum_m2: float = MINIMUM_M2,
    tolerance: float = TOLERANCE,
    tolerance_m: float | None = None,
    probability: Path | str | bool = True,
    progress: bool = False,
) -> WaterBodies:
    """Turn the water of a map of any size into polygons.

    Pixels that touch at a corner belong together, so that a diagonal river is one body. Islands are
    holes. What was not observed is neither water nor land: a body ends there, and says so.

    The layer `water` has one multipolygon a row, in the map's CRS, the largest first:

    | column | |
    |---|---|
    | `id` | from 1 |
    | `kind` | `river`, `lake` or `unclear`, by shape: see `water_gee.mapping.shapes` |
    | `area_m2` | of the body's pixels on the ellipsoid, islands not counted, m² |
    | `area_sd_m2` | one standard deviation of it, from shores inside pixels: `areas.shore_sd_m2` |
    | `perimeter_m` | length of the shores without the steps of pixels, islands' with them, m |
    | `width_m`, `length_m` | mean width and length along the middle, m |
    | `elongation` | length over width of what was judged |
    | `islands` | number of holes |
    | `pixels` | number of water pixels |
    | `touches_unobserved` | whether pixels that were not observed cut it |
    | `touches_edge` | whether the map's edge cuts it |
    | `probability` | mean probability of water, if probabilities are known |

    Args:
        map_path: Water map: 0 land, 1 water, 255 not observed.
        gpkg_path: The GeoPackage. It appears whole or not at all, with a style for QGIS.
        minimum_m2: Bodies smaller than this are left out, m².
        tolerance: How far a shore may be moved to make it simpler (Douglas and Peucker's rule), in
            pixels; 1.5 takes away the steps of pixels, 0 keeps them. Areas are those of the pixels
            either way.
        tolerance_m: The same in metres, instead of `tolerance`.
        probability: Probability of water on the same grid; True takes that which `predict` wrote
            beside the map, if it is there; False none.
        progress: Whether to draw a bar.

    Returns:
        How many polygons, and their area.

    Raises:
        RasterError: No such map, no water map, or a disk that is full.
    """
    chart = maps.open_map(map_path)
    _check_numbers(minimum_m2=minimum_m2, tolerance=tolerance, tolerance_m=tolerance_m)
    refuse_same(Path(gpkg_path), [Path(map_path)])
    if Path(gpkg_path).suffix.lower() != ".gpkg":
        raise RasterError(f"{gpkg_path} is no name of a GeoPackage; let it end in .gpkg")
    likely = resolve_probability(chart, probability)
    found = trace(
        chart,
        minimum_m2=minimum_m2,
        probability=likely,
        progress=maps.bar("polygons", on=progress),
    )
    known = likely is not None
    table = body_table(chart.grid, found, tolerance, tolerance_m, with_probability=known)
    write_geopackage(
        table,
        Path(gpkg_path),
        layer=LAYER,
        style=("kind", styles.BODIES, "Water bodies by kind"),
    )
    kinds = table["kind"].value_counts()
    return WaterBodies(
        path=Path(gpkg_path),
        count=len(table),
        area_km2=float(table["area_m2"].sum()) / 1e6,
        dropped=found.dropped,
        dropped_km2=found.dropped_m2 / 1e6,
        kinds={str(item.value): int(kinds.get(item.value, 0)) for item in styles.BODIES},
    )


def resolve_probability(chart: WaterMap, probability: Path | str | bool) -> Path | None:
    """The file with a map's probabilities, checked; see `polygons`."""
    if isinstance(probability, bool):
        return maps.probability_beside(chart) if probability else None
    return maps.open_probability(probability, chart)


def _check_numbers(**numbers: float | None) -> None:
    for name, value in numbers.items():
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise RasterError(f"{name}={value!r}: must be a number from 0 up")


def body_table(
    grid: Grid,
    found: Bodies,
    tolerance: float,
    tolerance_m: float | None = None,
    *,
    with_probability: bool = False,
) -> geopandas.GeoDataFrame:
    """The rows of `polygons`."""
    across, down = _pixel_sides(grid, found.outlines)
    wanted = np.full(len(found.outlines), tolerance)
    if tolerance_m is not None:
        wanted = tolerance_m / np.maximum(np.maximum(across, down), 1e-9)
    smooth = simplified(found.outlines, np.full(len(found.outlines), _STEPS))
    same = np.array_equal(wanted, np.full(len(wanted), _STEPS))
    shown = smooth if same else simplified(found.outlines, wanted)
    cut = (found.unobserved + found.edge) / np.maximum(found.sides, 1)
    form = shapes.forms(_scaled(smooth, across, down), found.area_m2, cut)
    perimeter = _perimeters_m(placed(smooth, grid), grid.crs)
    pixel = np.sqrt(found.area_m2 / np.maximum(found.pixels, 1))
    columns: dict[str, Any] = {
        "kind": form.kind.astype(object),
        "area_m2": found.area_m2,
        "area_sd_m2": areas.shore_sd_m2(perimeter, np.maximum(pixel, 1e-9)),
        "perimeter_m": perimeter,
        "width_m": form.width_m,
        "length_m": form.length_m,
        "elongation": form.elongation,
        "islands": _holes(found.outlines),
        "pixels": found.pixels,
        "touches_unobserved": found.unobserved > 0,
        "touches_edge": found.edge > 0,
    }
    if with_probability:
        columns["probability"] = found.probability
    # Place breaks ties, so that the order never depends on how bodies were found.
    order = np.argsort(-found.area_m2, kind="stable")
    table = geopandas.GeoDataFrame(columns, geometry=placed(shown, grid), crs=grid.crs)
    table = table.iloc[order].reset_index(drop=True)
    table.insert(0, "id", np.arange(1, len(table) + 1, dtype=np.int64))
    return table


def placed(outlines: Shapes, grid: Grid) -> Shapes:
    """Outlines in pixels, put where they lie in the grid's CRS."""
    t = grid.transform

    def on_the_ground(points: Floats) -> Floats:
        col, row = points[:, 0], points[:, 1]
        return np.column_stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f])

    out: Shapes = np.asarray(shapely.transform(outlines, on_the_ground), dtype=object)
    return out


def _pixel_sides(grid: Grid, outlines: Shapes) -> tuple[Floats, Floats]:
    """Metres of a pixel along the row and along the column, in the middle of each body."""
    if len(outlines) == 0:
        return np.zeros(0), np.zeros(0)
    bounds = shapely.bounds(outlines)
    cols, rows = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    return metrics.pixel_sides_m(grid.transform, rows, cols, crs=grid.crs)


def _scaled(outlines: Shapes, across: Floats, down: Floats) -> Shapes:
    """Outlines in pixels, in metres."""
    points, body = shapely.get_coordinates(outlines, return_index=True)
    points *= np.column_stack([across, down])[body]
    out: Shapes = shapely.set_coordinates(outlines.copy(), points)
    return out


def _perimeters_m(bodies: Shapes, crs: str) -> Floats:
    """Length of the rings of each body on the ellipsoid, m."""
    system = pyproj.CRS.from_user_input(crs)
    geod = system.get_geod()
    if len(bodies) == 0 or geod is None:
        return np.zeros(len(bodies))
    unit = system.axis_info[0].unit_conversion_factor  # metres, or radians for degrees
    longest = _LONGEST_EDGE_M / (unit * (6.4e6 if system.is_geographic else 1.0))
    to_degrees = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    parts, owner = shapely.get_parts(bodies, return_index=True)
    rings, polygon = shapely.get_rings(parts, return_index=True)
    body = owner[polygon]
    points, ring = shapely.get_coordinates(shapely.segmentize(rings, longest), return_index=True)
    lon, lat = to_degrees.transform(points[:, 0], points[:, 1])
    same = ring[1:] == ring[:-1]
    _, _, lengths = geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    total = np.bincount(body[ring[1:][same]], np.asarray(lengths)[same], len(bodies))
    return np.asarray(total, dtype=np.float64)


def _holes(outlines: Shapes) -> npt.NDArray[np.int64]:
    parts, body = shapely.get_parts(outlines, return_index=True)
    counts = shapely.get_num_interior_rings(parts)
    return np.bincount(body, counts, len(outlines)).astype(np.int64)


def write_geopackage(
    table: geopandas.GeoDataFrame,
    path: Path,
    *,
    layer: str,
    style: tuple[str, Sequence[styles.Category], str],
) -> None:
    """Write a layer of polygons with its style, under a temporary name, then rename it.

    Args:
        table: The rows.
        path: The GeoPackage.
        layer: Name of its layer.
        style: The column that tells colours, its categories, and a line about them.

    Raises:
        RasterError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    with geopackage(path) as named:
        pyogrio.write_dataframe(
            table,
            named,
            layer=layer,
            driver="GPKG",
            geometry_type="MultiPolygon",
            promote_to_multi=True,
        )
        styles.add_to_geopackage(named, layer, *style)


@contextlib.contextmanager
def geopackage(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write a GeoPackage to, then rename it.

    Raises:
        RasterError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    remove_leftovers(path.parent)
    with atomic(path) as temporary, _dated(styles.EPOCH):
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "No such folder", str(path.parent))
        # GDAL wants the ending; the name still counts as a leftover if the process is killed.
        named = temporary.with_name(f"{temporary.name}.gpkg")
        try:
            yield named
            named.replace(temporary)
        except (DataLayerError, DataSourceError) as error:
            raise OSError(str(error)) from error
        finally:
            for ending in ("", "-journal", "-wal", "-shm"):
                named.with_name(f"{named.name}{ending}").unlink(missing_ok=True)


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
