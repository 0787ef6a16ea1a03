from __future__ import annotations

import contextlib
import math
import sqlite3
from xml.etree import ElementTree

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from water_shapes import band_km2, blobs, channel, drawn, write_map, write_probability

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
    expected = band_km2(52 - 15 * STEP, 52 - 5 * STEP, 10 * STEP)
    expected -= band_km2(52 - 11 * STEP, 52 - 9 * STEP, 4 * STEP)
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
    assert table.area_m2[0] / 1e6 == pytest.approx(band_km2(59.9, 60.0, 6.0), rel=1e-6)


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


def test_the_map_is_not_replaced_and_polygons_go_into_a_geopackage(tmp_path):
    source = class_raster(tmp_path / "map.tif", np.ones((20, 20), np.uint8))
    before = source.read_bytes()
    with pytest.raises(RasterError, match=r"map\.tif is what is read"):
        polygons(source, source)
    with pytest.raises(RasterError, match=r"water\.txt is no name of a GeoPackage"):
        polygons(source, tmp_path / "water.txt")
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]


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


# ------------------------------------------------------------------------------ what rows say


def read_back(path, layer="water"):
    return geopandas.read_file(path, layer=layer)


def test_rivers_lakes_and_cut_bodies_are_told_apart_with_their_sizes(tmp_path):
    t = np.linspace(0, 1, 300)
    river = channel(150 + 180 * t, 60 + 30 * np.sin(9 * t), 4)
    values = drawn(river, shapely.Point(200, 250).buffer(40), shapely.Point(0, 380).buffer(15))
    source = class_raster(tmp_path / "map.tif", values)
    written = polygons(source, tmp_path / "water.gpkg")
    table = read_back(tmp_path / "water.gpkg")
    assert list(table["kind"]) == ["lake", "river", "unclear"]
    assert written.kinds == {"river": 1, "lake": 1, "unclear": 1}
    across, down = 30.0 * 0.617, 30.0
    lake, stream = table.iloc[0], table.iloc[1]
    assert lake.perimeter_m == pytest.approx(np.pi * 40 * (across + down), rel=0.05)
    assert stream.width_m == pytest.approx(4 * (across + down) / 2, rel=0.25)
    assert stream.elongation > 40
    assert lake.elongation < 3
    assert list(table["touches_edge"]) == [False, False, True]


def test_doubt_grows_with_the_shore_not_with_the_area(tmp_path):
    values = drawn(shapely.Point(100, 100).buffer(60), shapely.box(200, 10, 203, 390))
    polygons(class_raster(tmp_path / "map.tif", values), tmp_path / "water.gpkg")
    table = read_back(tmp_path / "water.gpkg")
    share = table.area_sd_m2 / table.area_m2
    assert share[0] < 0.02
    assert share[1] > 0.2
    pixel = math.sqrt(table.area_m2[0] / table.pixels[0])
    expected = table.perimeter_m[0] / pixel * 0.6872 * pixel**2 / 2
    assert table.area_sd_m2[0] == pytest.approx(expected, rel=1e-6)


def test_a_body_says_what_cuts_it(tmp_path):
    values = np.zeros((30, 30), np.uint8)
    values[2:8, 2:8] = 1
    values[2:8, 20:] = 1
    values[20:26, 2:8], values[20:26, 8] = 1, 255
    polygons(class_raster(tmp_path / "map.tif", values), tmp_path / "water.gpkg")
    table = read_back(tmp_path / "water.gpkg").set_index("pixels", append=True)
    cuts = sorted(zip(table.touches_edge, table.touches_unobserved, strict=True))
    assert cuts == [(False, False), (False, True), (True, False)]


def test_probability_comes_from_beside_the_map_if_it_is_its_own(tmp_path):
    values = drawn(shapely.Point(100, 100).buffer(30), size=200)
    source = write_map(tmp_path / "map.tif", values, years=[2020])
    likely = tmp_path / "map_probability.tif"
    write_probability(likely, np.where(values == 1, 0.875, 0.05), like=source)
    polygons(source, tmp_path / "water.gpkg")
    assert read_back(tmp_path / "water.gpkg").probability[0] == pytest.approx(0.875)
    polygons(source, tmp_path / "water.gpkg", probability=False)
    assert "probability" not in read_back(tmp_path / "water.gpkg")
    other = write_map(tmp_path / "map.tif", values, years=[2021])
    polygons(other, tmp_path / "water.gpkg")
    assert "probability" not in read_back(tmp_path / "water.gpkg")
    polygons(other, tmp_path / "water.gpkg", probability=likely)
    assert "probability" in read_back(tmp_path / "water.gpkg")


def test_outlines_written_have_the_area_they_say(tmp_path):
    """Simplified and all: within half a percent, for bodies of ten pixels up."""
    values = blobs(11, shape=(200, 200), share=0.4)
    source = class_raster(
        tmp_path / "map.tif", values, crs=UTM, transform=Affine(30, 0, 500_000, 0, -30, 5_700_000)
    )
    polygons(source, tmp_path / "water.gpkg", minimum_m2=9000)
    table = read_back(tmp_path / "water.gpkg")
    assert table.geometry.is_valid.all()
    nominal = table.geometry.area * table.area_m2.sum() / (table.pixels.sum() * 900)
    assert nominal.sum() == pytest.approx(table.area_m2.sum(), rel=0.002)
    assert (abs(nominal - table.area_m2) / table.area_m2).max() < 0.035


def test_a_tolerance_in_metres_is_one_on_the_ground(tmp_path):
    values = drawn(shapely.Point(200, 200).buffer(150))
    source = class_raster(tmp_path / "map.tif", values)
    counts = []
    for metres in (0, 30, 300):
        polygons(source, tmp_path / "water.gpkg", tolerance_m=metres)
        table = read_back(tmp_path / "water.gpkg")
        counts.append(shapely.get_num_coordinates(table.geometry[0]))
    assert counts[0] > 600 > 100 > counts[1] > counts[2]
    polygons(source, tmp_path / "exact.gpkg", tolerance=0)
    exact = read_back(tmp_path / "exact.gpkg").to_crs(UTM).geometry[0]
    moved = table.to_crs(UTM).geometry[0]
    assert shapely.hausdorff_distance(exact.boundary, moved.boundary) < 500


@pytest.mark.parametrize("options", [{"minimum_m2": -1}, {"tolerance": float("nan")}])
def test_sizes_that_make_no_sense_are_refused(tmp_path, options):
    source = class_raster(tmp_path / "map.tif", np.ones((5, 5)))
    with pytest.raises(RasterError, match="must be a number from 0 up"):
        polygons(source, tmp_path / "water.gpkg", **options)


# ------------------------------------------------------------------------------ QGIS


@pytest.fixture
def package(tmp_path):
    values = drawn(shapely.Point(100, 100).buffer(30), size=200)
    polygons(class_raster(tmp_path / "map.tif", values), tmp_path / "water.gpkg")
    return tmp_path / "water.gpkg"


def test_qgis_finds_the_style_where_it_looks_for_it(package):
    with contextlib.closing(sqlite3.connect(package)) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(layer_styles)")]
        row = dict(zip(names, *database.execute("SELECT * FROM layer_styles"), strict=True))
        (geometry,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = 'water'"
        ).fetchone()
        kind = database.execute(
            "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'"
        ).fetchone()
        check = database.execute("PRAGMA integrity_check").fetchone()
    assert names == [
        *("id", "f_table_catalog", "f_table_schema", "f_table_name", "f_geometry_column"),
        *("styleName", "styleQML", "styleSLD", "useAsDefault", "description", "owner", "ui"),
        "update_time",
    ]
    assert (row["f_table_catalog"], row["f_table_schema"]) == ("", "")
    assert (row["f_table_name"], row["f_geometry_column"]) == ("water", geometry)
    assert row["useAsDefault"] == 1
    assert kind == ("attributes",)
    assert check == ("ok",)


def test_the_style_has_a_symbol_for_each_kind(package):
    with contextlib.closing(sqlite3.connect(package)) as database:
        qml, sld = database.execute("SELECT styleQML, styleSLD FROM layer_styles").fetchone()
    renderer = ElementTree.fromstring(qml.split("\n", 1)[1]).find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "kind")
    symbols = {symbol.get("name") for symbol in renderer.iter("symbol")}
    kinds = {c.get("value"): c.get("symbol") for c in renderer.iter("category")}
    assert set(kinds) == {"river", "lake", "unclear"}
    assert set(kinds.values()) == symbols
    rules = ElementTree.fromstring(sld.encode()).iter("{http://www.opengis.net/se}Rule")
    assert len(list(rules)) == 3


def test_a_package_is_read_as_an_area_too(package):
    """The table of styles is no layer of shapes: it must not stop whoever reads them all."""
    from water_gee.imagery.aoi import read_aoi

    assert read_aoi(package).area > 0


def test_a_full_disk_leaves_the_package_that_was_there(package, monkeypatch):
    before = package.read_bytes()
    source = class_raster(package.with_name("other.tif"), np.ones((9, 9)))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("water_gee.mapping.styles.add_to_geopackage", full)
    with pytest.raises(RasterError, match="disk is full"):
        polygons(source, package)
    assert package.read_bytes() == before
    assert sorted(p.name for p in package.parent.iterdir()) == [
        "map.tif",
        "other.tif",
        package.name,
    ]
