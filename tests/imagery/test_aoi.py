"""Whatever people call an area becomes one polygon, or one clear line."""

from __future__ import annotations

import json
import zipfile

import ee
import fake_service
import geopandas
import numpy as np
import pyproj
import pytest
import shapely
import small_catalog

from water_gee.emulator.catalog import Catalog
from water_gee.errors import AoiError, AreaRepairedWarning
from water_gee.imagery.aoi import read_aoi

LAKE = shapely.Polygon([(149.05, -35.35), (149.20, -35.35), (149.20, -35.25), (149.05, -35.25)])
GEOMETRY = {"type": "Polygon", "coordinates": [list(map(list, LAKE.exterior.coords))]}
FINE = shapely.segmentize(LAKE, 0.005)
"""The same with edges of half a kilometre, which are straight in UTM too."""
FEATURE = {"type": "Feature", "properties": {}, "geometry": GEOMETRY}
SITE = 'LOCAL_CS["site",UNIT["metre",1]]'
NAMED_SITE = {"type": "name", "properties": {"name": SITE}}
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
        geopandas.GeoDataFrame(geometry=[FINE], crs="EPSG:4326").to_crs("EPSG:32755"),
        [LAKE, shapely.box(149.1, -35.3, 149.2, -35.28)],
        [(149.05, -35.35, 149.1, -35.25), "149.1,-35.35,149.2,-35.25"],
        np.array([[149.05, -35.35, 149.1, -35.25], [149.1, -35.35, 149.2, -35.25]]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_every_way_to_say_it_means_the_same(given):
    assert same(read_aoi(given))


@pytest.mark.parametrize("name", ["a.geojson", "a.json", "a.shp", "a.gpkg"])
def test_files_are_read_whatever_their_crs(tmp_path, name):
    path = tmp_path / name
    table = geopandas.GeoDataFrame({"id": [1]}, geometry=[FINE], crs="EPSG:4326")
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


def test_several_files_are_one_area(tmp_path):
    files = []
    for west in (10, 11):
        files.append(tmp_path / f"{west}.geojson")
        table = geopandas.GeoSeries([shapely.box(west, 10, west + 1, 11)], crs="EPSG:4326")
        files[-1].write_text(table.to_json())
    assert same(read_aoi(files), shapely.box(10, 10, 12, 11))
    assert same(read_aoi([str(files[0]), (11, 10, 12, 11)]), shapely.box(10, 10, 12, 11))


KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Folder><name>lakes</name>{}</Folder>
</Document></kml>"""
PLACE = "<Placemark><{0}><outerBoundaryIs><LinearRing><coordinates>{1}</coordinates></LinearRing>\
</outerBoundaryIs></{0}></Placemark>"
RING = " ".join(f"{x},{y},0" for x, y in LAKE.exterior.coords)


def test_kml_and_kmz_are_read(tmp_path):
    text = KML.format(PLACE.format("Polygon", RING))
    (tmp_path / "a.kml").write_text(text)
    assert same(read_aoi(tmp_path / "a.kml"))
    with zipfile.ZipFile(tmp_path / "a.kmz", "w") as archive:
        archive.writestr("doc.kml", text)
    assert same(read_aoi(tmp_path / "a.kmz"))


def test_zipped_shapefiles_are_read_from_any_folder_inside(tmp_path):
    (tmp_path / "a").mkdir()
    for name, shape in (("west", shapely.box(1, 1, 2, 2)), ("east", shapely.box(2, 1, 3, 2))):
        table = geopandas.GeoSeries([shape], crs="EPSG:4326").to_crs("EPSG:3857")
        table.to_file(tmp_path / "a" / f"{name}.shp")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in (tmp_path / "a").iterdir():
            archive.write(path, f"some folder/{path.name}")
            archive.writestr(f"__MACOSX/some folder/._{path.name}", b"what a Mac puts there")
    assert same(read_aoi(str(tmp_path / "b.zip")), shapely.box(1, 1, 3, 2))


def test_a_bow_tie_is_made_valid_which_is_said_and_height_is_dropped():
    bow = shapely.Polygon([(0, 0, 5), (1, 1, 5), (1, 0, 5), (0, 1, 5)])
    with pytest.warns(AreaRepairedWarning, match=r"1 of 2 polygons .* \(Self-intersection"):
        area = read_aoi(shapely.MultiPolygon([bow, shapely.box(5, 5, 6, 6)]))
    assert area.is_valid
    assert not area.has_z
    assert area.area == pytest.approx(1.5)


def test_a_ring_that_is_not_closed_is_closed_which_is_said():
    ring = list(map(list, LAKE.exterior.coords))[:-1]
    for kind, coordinates in (("Polygon", [ring]), ("MultiPolygon", [[ring]])):
        with pytest.warns(AreaRepairedWarning, match="1 rings did not end where they began"):
            assert same(read_aoi({"type": kind, "coordinates": coordinates}))


def test_holes_stay_and_corners_given_twice_say_nothing():
    outer = [(0, 0), (4, 0), (4, 0), (4, 4), (0, 4), (0, 4), (0, 0)]
    inner = [(1, 1), (1, 2), (2, 2), (2, 1), (1, 1), (1, 1)]
    assert read_aoi(shapely.Polygon(outer, [inner])).area == 15


def test_collections_in_collections_and_empty_parts_are_looked_through():
    inner = shapely.GeometryCollection(
        [shapely.Polygon(), LAKE, shapely.LineString([(0, 0), (1, 1)])]
    )
    assert same(read_aoi(shapely.GeometryCollection([shapely.Point(), inner])))


@pytest.mark.parametrize(
    "given",
    [
        (170, 10, 190, 11),
        (170, 10, -170, 11),
        shapely.box(170, 10, 190, 11),
        shapely.box(-190, 10, -170, 11),
        shapely.MultiPolygon([shapely.box(170, 10, 180, 11), shapely.box(180, 10, 190, 11)]),
        [(170, 10, 180, 11), (-180, 10, -170, 11)],
    ],
)
def test_longitudes_beyond_180_degrees_are_those_of_the_other_side(given):
    parts = shapely.MultiPolygon([shapely.box(170, 10, 180, 11), shapely.box(-180, 10, -170, 11)])
    area = read_aoi(given)
    assert same(area, parts)
    assert area.bounds == (-180, 10, 180, 11)
    assert same(read_aoi(area), parts)


def test_longitudes_of_0_to_360_mean_what_they_say():
    assert same(read_aoi((200, 10, 220, 11)), shapely.box(-160, 10, -140, 11))
    assert read_aoi((0, -60, 360, 60)).bounds == (-180, -60, 180, 60)


def test_what_rounding_puts_beyond_180_and_90_degrees_is_cut():
    beyond = np.nextafter(180.0, 181)
    assert read_aoi((179, 89, beyond, np.nextafter(90.0, 91))).bounds == (179, 89, 180, 90)


def test_wide_boxes_and_the_planet_stay_what_they_are_however_often_they_are_read():
    for bounds in ((-170, -60, 170, 60), (-180, -90, 180, 90), (-180, 60, 180, 90)):
        area = read_aoi(read_aoi(bounds))
        assert same(area, shapely.box(*bounds))
        assert same(read_aoi(shapely.geometry.mapping(area)), shapely.box(*bounds))


def test_an_edge_that_may_go_either_way_around_is_refused():
    leap = shapely.Polygon([(179, -17), (-179, -17), (-179, -16), (179, -16)])
    with pytest.raises(AoiError, match="from longitude 179 to -179, at latitude -17") as caught:
        read_aoi(leap)
    assert "beyond it (179 to 181)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_projected_area_across_180_degrees_is_cut_there():
    square = shapely.box(100_000, 8_000_000, 300_000, 8_100_000)
    area = read_aoi(geopandas.GeoSeries([square], crs="EPSG:32701"))
    assert area.geom_type == "MultiPolygon"
    assert sum(map(ground, area.geoms)) == pytest.approx(20_000e6, rel=2e-3)
    assert area.bounds[0::2] == (-180, 180)


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
def test_a_projected_area_may_hold_a_pole_or_go_around_it(crs, pole):
    square, hole = shapely.box(-1e6, -1e6, 1e6, 1e6), shapely.box(-4e5, -4e5, 4e5, 4e5)
    whole, cap, ring = (
        read_aoi(geopandas.GeoSeries([shape], crs=crs))
        for shape in (square, hole, square.difference(hole))
    )
    assert whole.bounds[0::2] == (-180, 180)
    assert pole in whole.bounds
    assert pole not in ring.bounds
    assert whole.area == pytest.approx(cap.area + ring.area, rel=1e-3)
    # Around the poles these projections make areas 2 to 6 % smaller.
    assert sum(map(ground, parts(whole))) == pytest.approx(4e12, rel=0.07)


DRAWN = {
    "over Europe": ("EPSG:3035", shapely.box(4.0e6, 3.5e6, 6.0e6, 5.0e6)),
    "beside the north pole": ("EPSG:3413", shapely.box(1e5, -1e6, 1e6, 1e6)),
    "with an edge through the north pole": ("EPSG:3413", shapely.box(0, -1e6, 1e6, 1e6)),
    "beside the south pole": ("EPSG:3031", shapely.box(-2e6, 3e5, 2e6, 2e6)),
    "over more than half the Earth": ("EPSG:3832", shapely.box(-5.5e6, -2e6, 1.55e7, 3e6)),
    "a hook that winds back": (
        "EPSG:3031",
        shapely.LineString(
            [
                ((5e5 + 9e4 * turn) * np.cos(turn), (5e5 + 9e4 * turn) * np.sin(turn))
                for turn in np.linspace(0, 14, 300)
            ]
        ).buffer(5e4),
    ),
}


@pytest.mark.parametrize("where", DRAWN)
def test_a_projected_area_covers_the_ground_it_was_drawn_on(where):
    crs, drawn = DRAWN[where]
    area = read_aoi(geopandas.GeoSeries([drawn], crs=crs))
    west, south, east, north = drawn.buffer(3e5).bounds
    x, y = np.random.default_rng(0).uniform((west, south), (east, north), (20_000, 2)).T
    near_edge = shapely.dwithin(shapely.points(x, y), drawn.boundary, 3000)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    shapely.prepare(area)
    assert not (
        (shapely.contains_xy(area, lon, lat) != shapely.contains_xy(drawn, x, y)) & ~near_edge
    ).any()


def test_small_projected_areas_keep_the_corners_they_have():
    pond = shapely.box(691_000, 6_093_000, 691_900, 6_093_500)
    assert len(read_aoi(geopandas.GeoSeries([pond], crs="EPSG:32755")).exterior.coords) == 5


def test_an_area_partly_outside_its_projection_is_one_clear_line():
    beyond = geopandas.GeoSeries([shapely.box(0, 0, 5e7, 1e6)], crs="EPSG:32755")
    with pytest.raises(AoiError, match=r"^the GeoSeries: its point .* lies outside the projection"):
        read_aoi(beyond)


@pytest.mark.parametrize(
    ("given", "degrees", "bounds"),
    [
        ((100, -10, 50, 10), 310, (-180, -10, 180, 10)),
        ((100, -10, 0, 10), 260, (-180, -10, 180, 10)),
        ((-50, -10, -100, 10), 310, (-180, -10, 180, 10)),
        ((170, -10, -170, 10), 20, (-180, -10, 180, 10)),
    ],
)
def test_a_box_goes_east_from_west_however_far(given, degrees, bounds):
    area = read_aoi(given)
    assert area.area == pytest.approx(20 * degrees)
    assert area.bounds == bounds


def test_several_areas_may_write_longitudes_their_own_way():
    both = read_aoi([shapely.box(170, 10, 190, 11), shapely.box(-190, 10, -170, 11)])
    assert same(both, read_aoi((170, 10, -170, 11)))


def parts(area):
    return getattr(area, "geoms", [area])


def ground(polygon):
    """Square metres, with the corners of edges along parallels put close together."""
    fine = shapely.segmentize(polygon, 0.2)
    return abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(fine)[0])


def test_old_geojson_may_name_its_crs():
    moved = geopandas.GeoSeries([FINE], crs="EPSG:4326").to_crs("EPSG:32755")[0]
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


@pytest.fixture
def emulated(tmp_path):
    """The stock client over an emulator that has a table of two boxes and an image."""
    folder = tmp_path / "catalog"
    with Catalog.open(folder, create=True) as catalog:
        small_catalog.fill(catalog)
    with small_catalog.client_in_process(folder) as client:
        boxes = [shapely.box(10, 10, 11, 11), shapely.box(11, 10, 12, 11)]
        features = [
            client.ee.Feature(client.ee.Geometry(shapely.geometry.mapping(box), None, False))
            for box in boxes
        ]
        task = client.ee.batch.Export.table.toAsset(
            client.ee.FeatureCollection(features),
            description="basins",
            assetId="projects/local/assets/basins",
        )
        task.start()
        client.service.tasks.wait(task.id, 60)
        yield client


@pytest.mark.parametrize("marker", ["", "ee:", "ee: "])
def test_a_table_in_earth_engine_is_read_by_its_id(emulated, marker):
    assert same(read_aoi(marker + "projects/local/assets/basins"), shapely.box(10, 10, 12, 11))


def test_a_file_of_that_name_comes_before_a_table(emulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "projects" / "local" / "assets" / "basins"
    path.parent.mkdir(parents=True)
    geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_file(path, driver="GPKG")
    assert same(read_aoi("projects/local/assets/basins"))


@pytest.mark.parametrize(
    "asset",
    [
        "projects/local/assets/nothing",
        "users/me/nothing",
        "ee:WWF/HydroSHEDS/v1/Basins/hybas_4",
        f"ee:{small_catalog.FIRST}",
    ],
)
def test_what_is_no_table_is_one_clear_line(emulated, asset):
    with pytest.raises(
        AoiError, match=f"the table {asset.removeprefix('ee:')} cannot be"
    ) as caught:
        read_aoi(asset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((149.05, -135.0, 149.2, -35.0), "latitude -135 is outside -90..90"),
        ((-35.35, 149.05, -35.25, 149.20), "swapped"),
        ((691000, 6093000, 692000, 6094000), "coordinates in degrees"),
        ((170, 10, 400, 11), r"longitude 400 is outside -360\.\.360"),
        ((-200, 10, 190, 11), "goes more than once around the Earth"),
        ((200, 10, 170, 11), "is empty"),
        ((0, 80, 1, 91), "latitude 91 is outside -90..90"),
        ((1, 2, 3), "not four numbers"),
        ((1, 2, 3, float("nan")), "not four numbers"),
        (("a", "b", "c", "d"), "a: no such file"),
        ((1, 2, 3, "4"), "not four numbers"),
        ([], "not four numbers"),
        ([[0, 0], [1, 0], [1, 1]], r"an area of \[0, 0\]: not four numbers"),
        ("", "'' is no area; give"),
        ("x" * 5000, "x' is no area; give"),
        ("ee:", "no asset id; one looks like ee:projects"),
        ("ee:a b", "no asset id"),
        ((10, 20, 12, 20), r"is empty: it must be \(west, south, east, north\)"),
        ((10, 20, 10, 21), "is empty"),
        (shapely.Polygon(), "empty"),
        (shapely.Point(1, 1), "a point has no area"),
        (shapely.LineString([(0, 0), (1, 1)]), "a linestring has no area"),
        (shapely.Polygon([(0, 0), (1, 1), (2, 2)]), "a polygon has no area"),
        ("POLYGON ((0 0, 1 0, 1 NaN, 0 0))", "a coordinate that is no number"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [NaN, 1], [0, 0]]]}', "no number"),
        ("POLYGON ((0 0, 1 0, 1 1))", "cannot be read: .* closed linestring"),
        ({"type": "FeatureCollection", "features": []}, "empty"),
        ({"type": "Point", "coordinates": [1, 2]}, "a point has no area"),
        ({"type": "Polygon"}, "no GeoJSON"),
        ({"type": "Circle", "coordinates": []}, "no GeoJSON"),
        ({"coordinates": []}, "no `type`"),
        ('{"type": "Polygon", ', "cut short"),
        ("POLYGON ((0 0, 1 1", "cannot be read"),
        ("nowhere.gpkg", "nowhere.gpkg: no such file"),
        ("polygon.geojson", "polygon.geojson: no such file"),
        ("two\nlines", r"'two\\nlines' is no area"),
        (b"\x01\x02\x03\x04", "a bytes is no area"),
        (bytearray(4), "a bytearray is no area"),
        (memoryview(b"\x01\x02\x03\x04"), "a memoryview is no area"),
        ('{"a":' + "[" * 100_000, "cut short or broken: maximum recursion depth"),
        (f"wrs:{'1' * 5000}/1", "is no path and row"),
        (f"path {'1' * 5000} row 1", "is no area"),
        (GEOMETRY | {"crs": {"type": "name", "properties": None}}, "the mapping is in an unknown"),
        (
            GEOMETRY | {"crs": {"type": "name"}},
            "the mapping is in an unknown CRS: {'type': 'name'}",
        ),
        (GEOMETRY | {"crs": "nonsense"}, "the mapping is in an unknown CRS: 'nonsense'"),
        (GEOMETRY | {"crs": NAMED_SITE}, "the mapping: its CRS, 'site', does not say where"),
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


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.kml", KML.format(""), r"a\.kml holds no shapes; give"),
        ("a.kml", KML[:80], r"a\.kml is no vector file"),
        ("a.kml", "", r"a\.kml is no vector file"),
        ("a.zip", "nothing", r"a\.zip is no archive"),
        ("a.kmz", "nothing", r"a\.kmz is no archive"),
        ("a.geojson", "[1, 2]", r"a\.geojson is no GeoJSON: it holds a list"),
        ("a.geojson", '{"type": "Polygon", "coordinates": [[1, 2]]}', "no GeoJSON with shapes"),
    ],
)
def test_a_file_without_shapes_is_one_clear_line(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(AoiError, match=words) as caught:
        read_aoi(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Non closed ring:RuntimeWarning")
def test_a_kml_ring_that_is_not_closed_is_refused_by_name(tmp_path):
    ring = RING.rpartition(" ")[0]
    (tmp_path / "a.kml").write_text(KML.format(PLACE.format("Polygon", ring)))
    with pytest.raises(AoiError, match=r"a\.kml has a shape that cannot be read: .* closed"):
        read_aoi(tmp_path / "a.kml")


def test_an_archive_without_vector_files_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(AoiError, match=r"a\.zip holds none of \.shp, \.gpkg"):
        read_aoi(tmp_path / "a.zip")


def test_a_file_that_is_no_vector_file_is_named(tmp_path):
    path = tmp_path / "area.shp"
    path.write_text("nothing")
    with pytest.raises(AoiError, match=r"area\.shp is no vector file"):
        read_aoi(path)
    path = tmp_path / "area.geojson"
    path.write_text("nothing")
    with pytest.raises(AoiError, match=r"area\.geojson is no GeoJSON"):
        read_aoi(path)


@pytest.mark.parametrize(
    "name", ["polygon.geojson", "point (1).geojson", "path132row23.geojson", "wrs:1.geojson"]
)
def test_an_existing_file_is_read_whatever_its_name_looks_like(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(json.dumps(COLLECTION))
    assert same(read_aoi(name))


@pytest.mark.parametrize("stray", ["metadata.json", "sub/._in.geojson", "__MACOSX/._in.geojson"])
def test_what_lies_beside_the_area_in_an_archive_does_not_spoil_it(tmp_path, stray):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.geojson", json.dumps(COLLECTION))
        archive.writestr(stray, '{"made": "by hand"}')
    assert same(read_aoi(tmp_path / "a.zip"))


def test_the_member_of_an_archive_that_cannot_be_read_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.geojson", json.dumps(COLLECTION))
        archive.writestr("other.gpkg", "nothing")
    with pytest.raises(AoiError, match=r"a\.zip/other\.gpkg is no vector file"):
        read_aoi(tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["a.shp", "a.gpkg"])
def test_a_file_in_a_system_of_no_place_on_the_earth_is_named(tmp_path, name):
    geopandas.GeoSeries([LAKE], crs=SITE).to_file(tmp_path / name)
    with pytest.raises(AoiError, match=f"{name}: its CRS, 'site', does not say where"):
        read_aoi(tmp_path / name)


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_only_a_shapefile_is_said_to_lack_its_prj(tmp_path):
    geopandas.GeoSeries([shapely.box(0, 0, 1000, 1000)]).to_file(tmp_path / "a.gpkg")
    with pytest.raises(AoiError, match=r"says no CRS, .* are no degrees; set its CRS"):
        read_aoi(tmp_path / "a.gpkg")


@pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
def test_a_shapefile_of_rows_without_shapes_holds_none(tmp_path):
    rows = geopandas.GeoDataFrame({"id": [1, 2]}, geometry=[None, None])
    rows.to_file(tmp_path / "a.shp")
    with pytest.raises(AoiError, match=r"a\.shp holds no shapes"):
        read_aoi(tmp_path / "a.shp")


def test_a_shapefile_without_crs_must_be_in_degrees(tmp_path):
    path = tmp_path / "a.shp"
    moved = geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_crs("EPSG:32755")
    moved.to_file(path)
    path.with_suffix(".prj").unlink()
    with pytest.raises(AoiError, match=r"says no CRS, .*; add the \.prj"):
        read_aoi(path)
    geopandas.GeoSeries([LAKE], crs="EPSG:4326").to_file(path)
    path.with_suffix(".prj").unlink()
    assert same(read_aoi(path))
