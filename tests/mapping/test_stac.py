"""Items that others can read: what a map is, where, of when, and what belongs to it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

import numpy as np
import pyproj
import pystac
import pytest
import shapely.geometry
from affine import Affine
from water_shapes import STEP, blobs, write_map, write_probability

from water_gee.errors import RasterError
from water_gee.mapping import footprint, maps, stac
from water_gee.mapping.vectors import polygons


@pytest.fixture
def chart(tmp_path):
    values = np.zeros((60, 80), np.uint8)
    values[20:40, 20:40], values[:, 70:] = 1, 255
    path = write_map(tmp_path / "map.tif", values, years=[2019, 2020])
    write_probability(tmp_path / "map_probability.tif", np.full((60, 80), 0.25), like=path)
    polygons(path, tmp_path / "water.gpkg")
    return path


def item_of(chart, **options):
    return json.loads(stac.write_item(chart, **options).read_text())


def test_the_item_is_valid_and_read_by_pystac(chart):
    path = stac.write_item(chart, assets={"polygons": chart.with_name("water.gpkg")})
    assert path.name == "map.json"
    item = pystac.Item.from_file(str(path))
    assert set(item.assets) == {"map", "probability", "style", "polygons"}
    for asset in item.assets.values():
        assert (path.parent / asset.href).is_file()
        assert asset.href.startswith("./")
    # The core's schema comes with pystac; those of extensions would be fetched.
    item.stac_extensions = []
    item.validate()


def test_dates_come_from_the_recipe_or_are_given(chart, tmp_path):
    when = item_of(chart)["properties"]
    assert when["datetime"] is None
    assert when["start_datetime"] == "2019-06-01T00:00:00Z"
    assert when["end_datetime"] == "2020-08-31T23:59:59Z"
    given = item_of(chart, period=(dt.date(2001, 2, 3), dt.date(2001, 2, 28)))["properties"]
    assert given["start_datetime"] == "2001-02-03T00:00:00Z"
    bare = write_map(tmp_path / "bare.tif", np.ones((4, 4)))
    with pytest.raises(RasterError, match="does not say which years"):
        stac.write_item(bare)
    assert not bare.with_suffix(".json").exists()


def test_a_season_over_new_year_begins_in_the_year_before():
    assert stac.season([2019, 2020], [12, 1, 2]) == (dt.date(2018, 12, 1), dt.date(2020, 2, 29))
    assert stac.season([2020], [1, 2, 12]) == (dt.date(2020, 1, 1), dt.date(2020, 12, 31))


def test_facts_are_those_of_the_file(chart):
    plain = item_of(chart)
    facts = plain["properties"]
    assert facts["proj:code"] == "EPSG:4326"
    assert facts["proj:shape"] == [60, 80]
    assert facts["proj:transform"] == [STEP, 0, 104.0, 0, -STEP, 52.0]
    assert facts["gsd"] == pytest.approx(30, abs=0.1)
    asset = plain["assets"]["map"]
    assert asset["file:size"] == chart.stat().st_size
    digest = hashlib.sha256(chart.read_bytes()).hexdigest()
    assert asset["file:checksum"] == f"1220{digest}"
    (band,) = asset["bands"]
    assert (band["data_type"], band["nodata"]) == ("uint8", 255)
    classes = {c["value"]: c for c in band["classification:classes"]}
    assert classes[1]["name"] == "water"
    assert classes[1]["color_hint"] == "1F78B4"
    assert classes[255]["nodata"] is True
    assert plain["assets"]["probability"]["bands"][0]["nodata"] == "nan"


def test_the_geometry_is_what_was_observed(chart):
    plain = item_of(chart)
    shape = shapely.geometry.shape(plain["geometry"])
    assert shape.bounds == pytest.approx((104, 52 - 60 * STEP, 104 + 70 * STEP, 52), abs=1e-6)
    assert plain["bbox"] == pytest.approx(list(shape.bounds))
    assert shape.exterior.is_ccw


def test_equal_maps_give_equal_items(chart):
    first = stac.write_item(chart).read_bytes()
    assert stac.write_item(chart).read_bytes() == first


def test_the_style_beside_the_map_names_its_classes(chart):
    stac.write_item(chart)
    style = chart.with_suffix(".qml").read_text()
    assert style.startswith("<!DOCTYPE qgis")
    assert 'type="paletted"' in style
    assert 'value="1" color="#1f78b4" alpha="255" label="water"' in style
    assert '255" color' not in style


def test_an_asset_that_is_not_there_is_named(chart):
    with pytest.raises(RasterError, match=r"nothing.gpkg: no such file"):
        stac.write_item(chart, assets={"polygons": chart.with_name("nothing.gpkg")})


def test_files_elsewhere_are_linked_by_the_way_to_them(chart, tmp_path):
    (tmp_path / "items").mkdir()
    plain = json.loads(stac.write_item(chart, tmp_path / "items" / "a.json").read_text())
    assert plain["assets"]["map"]["href"] == "../map.tif"


# ------------------------------------------------------------------------------ footprints


def outline_of(path):
    plain = footprint.footprint(maps.open_map(path))
    return shapely.geometry.shape(plain), footprint.bounding_box(plain)


def test_a_projected_map_has_its_outline_on_the_earth(tmp_path):
    place = Affine(30, 0, 300_000, 0, -30, 5_800_000)
    path = write_map(tmp_path / "m.tif", np.zeros((500, 400)), crs="EPSG:32648", transform=place)
    shape, _ = outline_of(path)
    back = pyproj.Transformer.from_crs(4326, 32648, always_xy=True)
    x, y = back.transform(*np.array(shape.exterior.coords).T)
    on_edge = np.minimum.reduce(
        [np.abs(x - 300_000), np.abs(x - 312_000), np.abs(y - 5_800_000), np.abs(y - 5_785_000)]
    )
    assert on_edge.max() < 0.05
    assert shape.is_valid


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32601"])
def test_a_map_over_the_date_line_is_cut_there(tmp_path, crs):
    if crs == "EPSG:4326":
        place = Affine(0.01, 0, 179.5, 0, -0.01, 60)
    else:
        x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(179.5, 60)
        place = Affine(1000, 0, x, 0, -1000, y)
    path = write_map(tmp_path / "m.tif", np.zeros((100, 100)), crs=crs, transform=place)
    shape, box = outline_of(path)
    assert shape.geom_type == "MultiPolygon"
    assert shape.is_valid
    west, south, east, north = box
    assert west > 179
    assert east < -178
    assert south < north
    assert -180 <= shape.bounds[0] <= shape.bounds[2] <= 180


def test_outlines_stay_light_and_hold_what_was_seen(tmp_path):
    random = np.random.default_rng(0)
    values = np.where(blobs(0, (900, 900), 0.5) == 1, 0, 255)
    values[random.random((900, 900)) < 0.2] = 255
    shape, _ = outline_of(write_map(tmp_path / "m.tif", values))
    assert shape.is_valid
    assert sum(len(p.exterior.coords) for p in getattr(shape, "geoms", [shape])) <= 500


def test_a_map_of_nothing_has_the_outline_of_its_grid(tmp_path):
    shape, _ = outline_of(write_map(tmp_path / "m.tif", np.full((10, 10), 255)))
    assert shape.area == pytest.approx((10 * STEP) ** 2, rel=1e-4)


def test_clouds_in_two_places_make_holes_and_parts(tmp_path):
    values = np.zeros((300, 300), np.uint8)
    values[100:180, 100:180] = 255
    values[:, 250:260] = 255
    shape, _ = outline_of(write_map(tmp_path / "m.tif", values))
    assert shape.geom_type == "MultiPolygon"
    assert sum(len(part.interiors) for part in shape.geoms) == 1
    assert shape.area / STEP**2 == pytest.approx(300 * 290 - 6400, rel=0.01)
