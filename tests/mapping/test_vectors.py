from __future__ import annotations

import math

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine

from water_gee import raster
from water_gee.errors import RasterError
from water_gee.mapping.vectors import polygons

UTM = "EPSG:32648"
STEP = 0.135 / 501
COLUMNS = [
    *("id", "kind", "area_m2", "area_sd_m2", "perimeter_m", "width_m", "length_m", "elongation"),
    *("islands", "pixels", "touches_unobserved", "touches_edge"),
]


def class_raster(path, values, *, crs="EPSG:4326", transform=None):
    rows = np.asarray(values, dtype=np.uint8)
    grid = raster.Grid(crs, transform or Affine(STEP, 0, 104.0, 0, -STEP, 52.0), rows.shape)
    raster.write(path, rows, grid, nodata=255, names=("water",))
    return path


def ellipsoid_area_km2(south, north, width_degrees):
    """Area between two parallels of WGS84 by Simpson's rule, an integral of our own."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)

    def strip(latitude):
        s, c = math.sin(latitude), math.cos(latitude)
        w = 1 - e2 * s * s
        meridian, parallel = a * (1 - e2) / w**1.5, a * c / math.sqrt(w)
        return meridian * parallel

    n = 200
    latitudes = [math.radians(south + (north - south) * i / n) for i in range(n + 1)]
    weights = [1 if i in (0, n) else 4 if i % 2 else 2 for i in range(n + 1)]
    total = sum(w * strip(x) for w, x in zip(weights, latitudes, strict=True))
    step = math.radians((north - south) / n)
    return total * step / 3 * math.radians(width_degrees) / 1e6


def test_a_lake_with_an_island_keeps_its_hole_and_loses_its_area(tmp_path):
    values = np.zeros((20, 20), dtype=np.uint8)
    values[5:15, 5:15] = 1
    values[9:11, 8:12] = 0
    source = class_raster(tmp_path / "map.tif", values)

    written = polygons(source, tmp_path / "water.gpkg")

    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    assert written.count == len(table) == 1
    body = table.geometry[0]
    assert [len(part.interiors) for part in body.geoms] == [1]
    expected = ellipsoid_area_km2(52 - 15 * STEP, 52 - 5 * STEP, 10 * STEP)
    expected -= ellipsoid_area_km2(52 - 11 * STEP, 52 - 9 * STEP, 4 * STEP)
    assert table.area_m2[0] / 1e6 == pytest.approx(expected, rel=1e-6)
    assert written.area_km2 == pytest.approx(expected, rel=1e-6)


def test_the_area_of_a_wide_body_does_not_follow_great_circles(tmp_path):
    step = 0.01
    values = np.ones((10, 600), dtype=np.uint8)
    source = class_raster(
        tmp_path / "map.tif", values, transform=Affine(step, 0, 100, 0, -step, 60.0)
    )
    polygons(source, tmp_path / "water.gpkg")
    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    assert table.area_m2[0] / 1e6 == pytest.approx(ellipsoid_area_km2(59.9, 60.0, 6.0), rel=1e-6)


def test_projected_maps_keep_their_crs_and_are_measured_on_the_ellipsoid(tmp_path):
    values = np.zeros((30, 30), dtype=np.uint8)
    values[10:20, 10:20] = 1
    # Far from the central meridian the plane of UTM is about 1.002 times too large a side.
    source = class_raster(
        tmp_path / "map.tif", values, crs=UTM, transform=Affine(30, 0, 850000, 0, -30, 5700000)
    )
    polygons(source, tmp_path / "water.gpkg")
    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    assert table.crs == pyproj.CRS(UTM)
    scale = (
        pyproj.Proj(UTM).get_factors(*pyproj.Proj(UTM)(850450, 5699550, inverse=True)).areal_scale
    )
    assert scale > 1.002
    assert table.area_m2[0] / 1e6 == pytest.approx(0.09 / scale, rel=1e-5)


def test_pixels_that_touch_at_a_corner_are_one_valid_body(tmp_path):
    values = np.eye(12, dtype=np.uint8)
    values[0, 11] = 1
    source = class_raster(tmp_path / "map.tif", values)
    polygons(source, tmp_path / "water.gpkg", minimum_m2=0, tolerance=0)
    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    assert len(table) == 2
    assert table.geometry.is_valid.all()
    pixel = table.area_m2[1] / 1e6
    assert table.area_m2[0] / 1e6 == pytest.approx(12 * pixel, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_polygons_hold_exactly_the_centres_of_water_pixels(tmp_path, seed):
    values = (np.random.default_rng(seed).random((25, 30)) < 0.45).astype(np.uint8)
    source = class_raster(tmp_path / "map.tif", values)
    polygons(source, tmp_path / "water.gpkg", minimum_m2=0, tolerance=0)
    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    col, row = np.meshgrid(np.arange(30) + 0.5, np.arange(25) + 0.5)
    x, y = 104.0 + STEP * col, 52.0 - STEP * row
    covered = sum(
        shapely.contains_xy(body, x.ravel(), y.ravel()).reshape(x.shape).astype(int)
        for body in table.geometry
    )
    assert np.array_equal(covered, values)


def test_small_bodies_are_left_out_and_counted(tmp_path):
    values = np.zeros((20, 20), dtype=np.uint8)
    values[2, 2] = 1
    values[10:15, 10:15] = 1
    source = class_raster(tmp_path / "map.tif", values)
    written = polygons(source, tmp_path / "water.gpkg", minimum_m2=1000)
    assert (written.count, written.dropped) == (1, 1)


def test_rows_go_from_the_largest_to_the_smallest(tmp_path):
    values = np.zeros((20, 20), dtype=np.uint8)
    values[0:3, 0:3] = 1
    values[10:19, 10:19] = 1
    values[5:9, 0:4] = 1
    polygons(class_raster(tmp_path / "map.tif", values), tmp_path / "water.gpkg")
    table = geopandas.read_file(tmp_path / "water.gpkg", layer="water")
    assert list(table["id"]) == [1, 2, 3]
    assert table.area_m2.is_monotonic_decreasing


def test_what_was_not_observed_is_no_water(tmp_path):
    values = np.full((20, 20), 255, dtype=np.uint8)
    values[5:15, 5:15] = 1
    values[5:15, 9:11] = 255
    polygons(class_raster(tmp_path / "map.tif", values), tmp_path / "water.gpkg")
    assert len(geopandas.read_file(tmp_path / "water.gpkg", layer="water")) == 2


def test_a_dry_map_gives_an_empty_layer_with_its_columns(tmp_path):
    source = class_raster(tmp_path / "map.tif", np.zeros((9, 9)))
    assert polygons(source, tmp_path / "water.gpkg").count == 0
    info = pyogrio.read_info(tmp_path / "water.gpkg", layer="water")
    assert info["features"] == 0
    assert list(info["fields"]) == COLUMNS
    assert info["crs"] == "EPSG:4326"


def test_equal_maps_give_equal_files(tmp_path):
    values = (np.random.default_rng(1).random((40, 40)) < 0.3).astype(np.uint8)
    source = class_raster(tmp_path / "map.tif", values)
    for name in ("a.gpkg", "b.gpkg"):
        polygons(source, tmp_path / name)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_a_map_without_crs_is_refused_in_one_line(tmp_path):
    source = class_raster(tmp_path / "map.tif", np.ones((5, 5)), crs="")
    with pytest.raises(RasterError, match="has no CRS") as caught:
        polygons(source, tmp_path / "water.gpkg")
    assert "\n" not in str(caught.value)


def test_probabilities_are_refused(tmp_path):
    grid = raster.Grid("EPSG:4326", Affine(STEP, 0, 104, 0, -STEP, 52), (4, 4))
    raster.write(
        tmp_path / "p.tif",
        np.zeros((4, 4), np.float32),
        grid,
        nodata=float("nan"),
        names=("probability",),
    )
    with pytest.raises(RasterError, match="not classes"):
        polygons(tmp_path / "p.tif", tmp_path / "water.gpkg")


def test_a_missing_folder_is_named_and_nothing_is_left(tmp_path):
    source = class_raster(tmp_path / "map.tif", np.ones((5, 5)))
    with pytest.raises(RasterError, match="does not exist"):
        polygons(source, tmp_path / "nowhere" / "water.gpkg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif"]


def test_a_missing_map_is_named(tmp_path):
    with pytest.raises(RasterError, match="no such file"):
        polygons(tmp_path / "map.tif", tmp_path / "water.gpkg")
