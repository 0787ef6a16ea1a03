"""Whatever people call an area becomes one polygon, or one clear line."""

from __future__ import annotations

import json

import ee
import fake_service
import geopandas
import numpy as np
import pytest
import shapely

from water_gee.errors import AoiError
from water_gee.imagery.aoi import read_aoi

LAKE = shapely.Polygon([(149.05, -35.35), (149.20, -35.35), (149.20, -35.25), (149.05, -35.25)])
GEOMETRY = {"type": "Polygon", "coordinates": [list(map(list, LAKE.exterior.coords))]}
FEATURE = {"type": "Feature", "properties": {}, "geometry": GEOMETRY}
COLLECTION = {"type": "FeatureCollection", "features": [FEATURE]}


def same(area, other=LAKE):
    return area.is_valid and area.symmetric_difference(other).area < 1e-9


@pytest.mark.parametrize(
    "given",
    [
        (149.05, -35.35, 149.20, -35.25),
        [149.05, -35.35, 149.20, -35.25],
        np.array([149.05, -35.35, 149.20, -35.25]),
        "149.05, -35.35, 149.20, -35.25",
        "149.05 -35.35 149.20 -35.25",
        GEOMETRY,
        FEATURE,
        COLLECTION,
        json.dumps(COLLECTION),
        LAKE.wkt,
        "SRID=4326;" + LAKE.wkt,
        LAKE,
        shapely.MultiPolygon([LAKE]),
        shapely.GeometryCollection([LAKE, shapely.Point(0, 0)]),
        geopandas.GeoSeries([LAKE], crs="EPSG:4326"),
        geopandas.GeoDataFrame(geometry=[LAKE], crs="EPSG:4326").to_crs("EPSG:32755"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_every_way_to_say_it_means_the_same(given):
    assert same(read_aoi(given))


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.shp", "a.gpkg"])
def test_files_are_read_whatever_their_crs(tmp_path, name):
    path = tmp_path / name
    table = geopandas.GeoDataFrame({"id": [1]}, geometry=[LAKE], crs="EPSG:4326")
    if name.endswith(("shp", "gpkg")):
        table = table.to_crs("EPSG:32755")
        table.to_file(path)
    else:
        path.write_text(table.to_json())
    assert same(read_aoi(path))
    assert same(read_aoi(str(path)))


def test_a_folder_of_features_is_one_area(tmp_path):
    path = tmp_path / "parts.gpkg"
    left, right = shapely.box(10, 10, 11, 11), shapely.box(11, 10, 12, 11)
    for layer, shape in (("left", left), ("right", right)):
        geopandas.GeoDataFrame(geometry=[shape], crs="EPSG:4326").to_file(path, layer=layer)
    assert same(read_aoi(path), shapely.box(10, 10, 12, 11))


def test_a_box_with_west_above_east_crosses_180_degrees():
    area = read_aoi((179.5, -17, -179.5, -16))
    assert area.area == pytest.approx(1.0)
    assert area.bounds == (-180, -17, 180, -16)


def test_a_bow_tie_is_made_valid_and_height_is_dropped():
    bow = shapely.Polygon([(0, 0, 5), (1, 1, 5), (1, 0, 5), (0, 1, 5)])
    area = read_aoi(bow)
    assert area.is_valid
    assert not area.has_z
    assert area.area == pytest.approx(0.5)


def test_old_geojson_may_name_its_crs():
    moved = geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_crs("EPSG:32755")[0]
    named = shapely.geometry.mapping(moved) | {
        "crs": {"type": "name", "properties": {"name": "EPSG:32755"}}
    }
    assert same(read_aoi(named))


def test_the_clients_geometries_are_read_without_a_request():
    service = fake_service.FakeService()
    with fake_service.client_of(service):
        assert same(read_aoi(ee.Geometry.Rectangle([149.05, -35.35, 149.20, -35.25])))
        assert same(read_aoi(ee.Geometry(GEOMETRY)))
    assert service.requests == []


def test_computed_geometries_are_asked_for():
    service = fake_service.FakeService(value=lambda body: GEOMETRY)
    with fake_service.client_of(service):
        assert same(read_aoi(ee.Geometry.Point([149.1, -35.3]).buffer(5000)))
        assert same(read_aoi(ee.FeatureCollection("projects/me/assets/lakes")))
    assert service.count("value:compute") == 2


def test_a_computed_geometry_that_fails_is_one_line():
    def refuse(body):
        raise fake_service.RefusalError(400, "no such table")

    with (
        fake_service.client_of(fake_service.FakeService(value=refuse)),
        pytest.raises(AoiError, match="no such table"),
    ):
        read_aoi(ee.FeatureCollection("projects/me/assets/lakes"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((149.05, -135.0, 149.2, -35.0), "latitude -135 is outside -90..90"),
        ((-35.35, 149.05, -35.25, 149.20), "swapped"),
        ((691000, 6093000, 692000, 6094000), "coordinates in degrees"),
        ((170, 10, 190, 11), r"longitude 190 is outside -180\.\.180"),
        ((1, 2, 3), "not four numbers"),
        ((1, 2, 3, float("nan")), "not four numbers"),
        (("a", "b", "c", "d"), "not four numbers"),
        ((10, 20, 12, 20), r"is empty: it must be \(west, south, east, north\)"),
        ((10, 20, 10, 21), "is empty"),
        (shapely.Polygon(), "empty"),
        (shapely.Point(1, 1), "a point has no area"),
        (shapely.LineString([(0, 0), (1, 1)]), "a linestring has no area"),
        (shapely.box(170, 0, 190, 1), "longitude 190"),
        ({"type": "FeatureCollection", "features": []}, "empty"),
        ({"type": "Point", "coordinates": [1, 2]}, "a point has no area"),
        ({"type": "Polygon"}, "no GeoJSON"),
        ({"type": "Circle", "coordinates": []}, "no GeoJSON"),
        ({"coordinates": []}, "no `type`"),
        ('{"type": "Polygon", ', "cut short"),
        ("POLYGON ((0 0, 1 1", "cannot be read"),
        ("nowhere.gpkg", "nowhere.gpkg: no such file"),
        ("1,2,x", "is no box"),
        (42, "a int is no area"),
        (None, "a NoneType is no area"),
    ],
)
def test_what_is_no_area_is_one_clear_line(given, words):
    with pytest.raises(AoiError, match=words) as caught:
        read_aoi(given)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_file_that_is_no_vector_file_is_named(tmp_path):
    path = tmp_path / "area.shp"
    path.write_text("nothing")
    with pytest.raises(AoiError, match=r"area\.shp is no vector file"):
        read_aoi(path)
    path = tmp_path / "area.geojson"
    path.write_text("nothing")
    with pytest.raises(AoiError, match=r"area\.geojson is no GeoJSON"):
        read_aoi(path)


def test_a_shapefile_without_crs_must_be_in_degrees(tmp_path):
    path = tmp_path / "a.shp"
    moved = geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_crs("EPSG:32755")
    moved.to_file(path)
    path.with_suffix(".prj").unlink()
    with pytest.raises(AoiError, match="says no CRS"):
        read_aoi(path)
    geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_file(path)
    path.with_suffix(".prj").unlink()
    assert same(read_aoi(path))
