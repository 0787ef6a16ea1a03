"""A map against references: files on any grid, polygons, points, and maps that a service has."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from water_shapes import STEP, blobs, write_map, write_probability

from water_gee import raster, session
from water_gee.emulator import start
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.ingest import ingest
from water_gee.errors import DownloadError, RasterError
from water_gee.mapping import scores
from water_gee.mapping.compare import agreement, compare, compare_points
from water_gee.mapping.evaluate import evaluate
from water_gee.metrics import Confusion

PLACE = Affine(30, 0, 500_010, 0, -30, 5_800_020)
UTM = "EPSG:32648"


@pytest.fixture
def pair(tmp_path):
    """A map and a reference on one grid that differ here and there."""
    mapped, reference = blobs(1, (300, 400)), blobs(1, (300, 400))
    random = np.random.default_rng(3)
    flip = random.random(mapped.shape) < 0.1
    reference = np.where(flip & (reference != 255), 1 - reference, reference).astype(np.uint8)
    reference[:20] = 255
    one = write_map(tmp_path / "map.tif", mapped, crs=UTM, transform=PLACE, years=[2020])
    two = write_map(tmp_path / "reference.tif", reference, crs=UTM, transform=PLACE)
    return one, two, mapped, reference


def test_counts_and_scores_are_those_of_the_pixels(pair):
    one, two, mapped, reference = pair
    found = compare(one, two)
    assert found.confusion == Confusion.of(reference, mapped)
    used = (mapped != 255) & (reference != 255)
    assert found.common_km2 == pytest.approx(used.sum() * 900 / 1e6, rel=2e-3)
    assert found.common_km2 + found.not_comparable_km2 == pytest.approx(108, rel=2e-3)
    more = int((mapped[used] == 1).sum()) - int((reference[used] == 1).sum())
    assert found.difference_km2 == pytest.approx(more * 900 / 1e6, rel=2e-3)
    assert found.to_dict()["iou"] == found.confusion.iou


def test_the_agreement_map_shows_where(pair, tmp_path):
    one, two, mapped, reference = pair
    compare(one, two, tmp_path / "agree.tif")
    with rasterio.open(tmp_path / "agree.tif") as source:
        codes = source.read(1)
        assert source.colormap(1)[2][:3] == (230, 140, 20)
        assert source.tags()["water_gee_reference"] == "reference.tif"
    assert np.array_equal(codes, agreement(mapped, reference))
    assert (codes[:20] == 255).all()
    scores_there = json.loads((tmp_path / "agree_scores.json").read_text())
    assert scores_there["reference"] == "reference.tif"
    assert "water in the map only" in (tmp_path / "agree.qml").read_text()
    assert json.loads((tmp_path / "agree.json").read_text())["id"] == "agree"


def test_a_reference_on_another_grid_is_taken_at_the_pixels_centres(pair, tmp_path):
    one, _, mapped, _ = pair
    coarse = blobs(9, (150, 150))
    place = Affine(0.0009, 0, 104.95, 0, -0.0006, 52.40)
    other = write_map(tmp_path / "coarse.tif", coarse, transform=place)
    col, row = np.meshgrid(np.arange(400) + 0.5, np.arange(300) + 0.5)
    to_degrees = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(500_010 + 30 * col, 5_800_020 - 30 * row)
    down, right = ((52.40 - lat) // 0.0006).astype(int), ((lon - 104.95) // 0.0009).astype(int)
    inside = (down >= 0) & (down < 150) & (right >= 0) & (right < 150)
    expected = np.where(inside, coarse[np.clip(down, 0, 149), np.clip(right, 0, 149)], 255)
    assert 0.2 < inside.mean() < 1
    exact, found = Confusion.of(expected, mapped), compare(one, other).confusion
    # GDAL interpolates places between exact ones: a thousandth of a pixel, at some edges.
    for name in ("tp", "fp", "fn", "tn"):
        assert abs(getattr(exact, name) - getattr(found, name)) < 0.001 * exact.total


def test_beyond_a_reference_without_nodata_nothing_is_said(pair, tmp_path):
    one, _, _, _ = pair
    part = np.ones((100, 100), np.uint8)
    other = write_map(tmp_path / "part.tif", part, crs=UTM, transform=PLACE, nodata=None)
    found = compare(one, other)
    assert found.confusion.total <= 100 * 100
    assert found.confusion.tn == 0


def test_classes_of_a_reference_are_what_one_says(pair, tmp_path):
    one, _, mapped, _ = pair
    cover = np.where(mapped == 1, 80, 10).astype(np.uint8)
    cover[:50], cover[50:60] = 0, 200
    other = write_map(tmp_path / "cover.tif", cover, crs=UTM, transform=PLACE, nodata=None)
    perfect = compare(one, other, water=[80], land=[10], ignore=[0])
    assert perfect.confusion.iou == 1.0
    assert perfect.confusion.total == (mapped[60:] != 255).sum()
    with pytest.raises(RasterError, match="80 is water and something else"):
        compare(one, other, water=[80], land=[10, 80])


def test_polygons_are_water_where_they_are_and_land_elsewhere(pair, tmp_path):
    one, _, mapped, _ = pair
    shape = shapely.box(500_010 + 3000, 5_800_020 - 6000, 500_010 + 9000, 5_800_020 - 3000)
    table = geopandas.GeoDataFrame(geometry=[shape], crs=UTM).to_crs("EPSG:4326")
    table.to_file(tmp_path / "lakes.geojson", driver="GeoJSON")
    reference = np.zeros(mapped.shape, np.uint8)
    reference[100:200, 100:300] = 1
    found = compare(one, tmp_path / "lakes.geojson").confusion
    exact = Confusion.of(reference, mapped)
    assert found.total == exact.total
    assert abs(found.tp - exact.tp) <= 4


@pytest.mark.parametrize("before", [1, 3])
def test_an_alpha_band_says_where_a_reference_has_values(pair, tmp_path, before):
    """Grey or colour with alpha, without nodata, on a part of the map."""
    one, _, mapped, _ = pair
    values, seen = np.where(mapped == 1, 1, 0).astype(np.uint8)[:200], np.full((200, 400), 255)
    seen[:, :150] = 0
    with rasterio.open(
        tmp_path / "alpha.tif", "w", driver="GTiff", height=200, width=400, count=before + 1,
        dtype="uint8", crs=UTM, transform=PLACE, alpha="YES",
        photometric="RGB" if before == 3 else "MINISBLACK",
    ) as target:  # fmt: skip
        target.write(np.stack([values] * before + [seen.astype(np.uint8)]))
    found = compare(one, tmp_path / "alpha.tif").confusion
    assert found == Confusion.of(values[:, 150:], mapped[:200, 150:])


def write_globe(path, *, step=0.5):
    """A raster of the whole globe in degrees, water to the east of 105 degrees."""
    shape = (round(180 / step), round(360 / step))
    lon = -180 + step * (np.arange(shape[1]) + 0.5)
    values = np.broadcast_to(lon > 105, shape)
    return write_map(path, values, transform=Affine(step, 0, -180, 0, -step, 90))


@pytest.mark.parametrize(("x", "wet"), [(450_000, False), (500_010, True)])
def test_a_raster_of_the_globe_covers_a_map_of_a_part_of_it(tmp_path, x, wet):
    """With both poles in it, the globe has wrong bounds in a UTM zone: its eastern half."""
    place = Affine(30, 0, x, 0, -30, 5_800_020)
    one = write_map(tmp_path / "one.tif", np.ones((300, 400)), crs=UTM, transform=place)
    found = compare(one, write_globe(tmp_path / "globe.tif")).confusion
    assert found.total == 300 * 400
    assert found.tp == (found.total if wet else 0)


@pytest.mark.parametrize("crs", [UTM, "EPSG:3413", "EPSG:3857"])
@pytest.mark.parametrize("kind", ["globe", "half", "ring"])
def test_water_far_wider_than_the_map_is_water_there(tmp_path, crs, kind):
    """Oceans and layers of the globe, beside a small lake as any layer has them."""
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(105.1, 52.3)
    place = Affine(30, 0, x - 3000, 0, -30, y + 3000)
    one = write_map(tmp_path / "one.tif", np.ones((200, 200)), crs=crs, transform=place)
    everything = shapely.box(-180, -90, 180, 90)
    shape = {
        "globe": everything,
        "half": shapely.box(105.1, -90, 180, 90),
        "ring": everything - shapely.box(104, 51, 105.1, 53),
    }[kind]
    lake = shapely.box(20, 50, 20.1, 50.1)
    table = geopandas.GeoDataFrame(geometry=[lake, shape], crs="EPSG:4326")
    table.to_file(tmp_path / "ocean.gpkg")
    col, row = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    lon, _ = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(
        place.c + 30 * col, place.f - 30 * row
    )
    wet = np.ones((200, 200), bool) if kind == "globe" else lon > 105.1
    found = compare(one, tmp_path / "ocean.gpkg").confusion
    assert found.total == 200 * 200
    assert found.tp == pytest.approx(wet.sum(), abs=4)


@pytest.mark.parametrize(
    "shape", [shapely.box(179.8, -80, 180, 80), shapely.box(179.8, -80, 190, 80)]
)
def test_water_across_the_date_line_is_water_there(tmp_path, shape):
    """A map on both sides of 180 degrees, and an ocean that ends there or goes on beyond."""
    place = Affine(100, 0, 790_000, 0, -100, 50_000)
    one = write_map(tmp_path / "one.tif", np.ones((300, 600)), crs="EPSG:32660", transform=place)
    table = geopandas.GeoDataFrame(
        geometry=[shape, shapely.box(-180, -80, -179, 80)], crs="EPSG:4326"
    )
    table.to_file(tmp_path / "ocean.gpkg")
    col, row = np.meshgrid(np.arange(600) + 0.5, np.arange(300) + 0.5)
    lon, _ = pyproj.Transformer.from_crs("EPSG:32660", "EPSG:4326", always_xy=True).transform(
        place.c + 100 * col, place.f - 100 * row
    )
    wet = ((lon > 179.8) | (lon < -179)).sum()
    assert 0 < wet < lon.size
    assert compare(one, tmp_path / "ocean.gpkg").confusion.tp == pytest.approx(wet, abs=4)


def test_water_around_the_pole_is_water_there(tmp_path):
    place = Affine(10_000, 0, -1_000_000, 0, -10_000, 1_000_000)
    one = write_map(tmp_path / "one.tif", np.ones((200, 200)), crs="EPSG:3413", transform=place)
    table = geopandas.GeoDataFrame(geometry=[shapely.box(-180, 85, 180, 90)], crs="EPSG:4326")
    table.to_file(tmp_path / "ocean.gpkg")
    col, row = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    _, lat = pyproj.Transformer.from_crs("EPSG:3413", "EPSG:4326", always_xy=True).transform(
        place.c + 10_000 * col, place.f - 10_000 * row
    )
    found = compare(one, tmp_path / "ocean.gpkg").confusion.tp
    assert found == pytest.approx((lat > 85).sum(), abs=20)


def test_a_polygon_without_a_finite_shape_on_the_map_is_refused_by_its_number(tmp_path):
    globe = write_globe(tmp_path / "globe.tif", step=5)
    shapes = [shapely.box(5e5, 5.8e6, 6e5, 5.9e6), shapely.box(1e12, 1e12, 1e13, 1e13)]
    geopandas.GeoDataFrame(geometry=shapes, crs=UTM).to_file(tmp_path / "far.gpkg")
    with pytest.raises(RasterError, match=r"its feature 2 has no finite shape") as caught:
        compare(globe, tmp_path / "far.gpkg")
    assert "\n" not in str(caught.value)


def test_polygons_elsewhere_are_refused_with_both_places(pair, tmp_path):
    one, _, _, _ = pair
    table = geopandas.GeoDataFrame(geometry=[shapely.box(20, 50, 21, 51)], crs="EPSG:4326")
    table.to_file(tmp_path / "away.gpkg")
    with pytest.raises(RasterError, match=r"away.gpkg lies outside .*covers 20, 50, 21, 51, the"):
        compare(one, tmp_path / "away.gpkg")


@pytest.mark.parametrize("above", [float("nan"), float("inf"), -float("inf")])
def test_water_from_no_finite_value_on_is_refused(pair, above):
    one, two, _, _ = pair
    with pytest.raises(RasterError, match=r"--above.*give a finite number") as caught:
        evaluate(one, two, above=above, progress=False)
    assert "\n" not in str(caught.value)


def test_a_map_compared_with_its_own_polygons_agrees(pair, tmp_path):
    from water_gee.mapping.vectors import polygons

    one, _, _, _ = pair
    polygons(one, tmp_path / "own.gpkg", minimum_m2=0, tolerance=0)
    assert compare(one, tmp_path / "own.gpkg").confusion.iou == 1.0


# ------------------------------------------------------------------------------ intervals


def test_intervals_hold_the_score_of_the_country_a_map_is_a_part_of():
    """Maps drawn from one population: about 95% of the intervals hold its score."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        quality = random.beta(8, 2, size=60)
        n, water = 400, random.binomial(400, random.beta(2, 3, size=60))
        tp = random.binomial(water, quality)
        fp = random.binomial(n - water, 0.05)
        counts = np.stack([tp, fp, water - tp, n - water - fp], axis=1).astype(float)
        low, high = scores.intervals(counts, np.zeros((60, 2)))["recall"]
        held += low <= 0.8 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_few_blocks_give_no_interval(tmp_path):
    path = write_map(tmp_path / "m.tif", blobs(1, (60, 60)))
    found = compare(path, path)
    assert found.intervals == {}
    assert found.confusion.iou == 1


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=30))
def test_scores_are_those_of_the_counts(rows):
    counts = np.array(rows, dtype=float)
    found = scores.of_counts(counts)
    for index, (tp, fp, fn, tn) in enumerate(rows):
        one = Confusion(tp, fp, fn, tn)
        for name in scores.NAMES:
            assert found[name][index] == pytest.approx(getattr(one, name), nan_ok=True)
    for low, high in scores.intervals(counts, counts[:, :2]).values():
        assert low <= high


# ------------------------------------------------------------------------------ points


def test_a_stratified_sample_worked_by_hand():
    """565 points where the map has land, 75 where it has water; eqs. 1-11 written out."""
    counts = np.array([[556.0, 9.0], [9.0, 66.0]])
    km2 = np.array([9_800_000, 200_000]) * 900 / 1e6
    found = scores.of_sample(counts, km2)
    w = np.array([0.98, 0.02])
    omitted, right = 9 / 565, 66 / 75
    assert found["precision"].value == pytest.approx(0.88)
    assert found["precision"].error == pytest.approx(np.sqrt(0.88 * 0.12 / 74))
    share = w[0] * omitted + w[1] * right
    assert found["water_km2"].value == pytest.approx(9000 * share)
    spread = np.sqrt(
        w[0] ** 2 * omitted * (1 - omitted) / 564 + w[1] ** 2 * right * (1 - right) / 74
    )
    assert found["water_km2"].error == pytest.approx(9000 * spread)
    assert found["recall"].value == pytest.approx(w[1] * right / share)
    assert found["accuracy"].value == pytest.approx(w[0] * 556 / 565 + w[1] * 0.88)


def test_sampled_areas_hold_the_truth():
    """Points drawn from a map with known errors: 95% intervals hold the true area."""
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        missed, right = random.binomial(150, 0.04), random.binomial(100, 0.9)
        counts = np.array([[150 - missed, missed], [100 - right, right]], float)
        estimate = scores.of_sample(counts, np.array([900.0, 100.0]))["water_km2"]
        low, high = estimate.interval
        held += low <= 900 * 0.04 + 100 * 0.9 <= high
    assert 0.90 <= held / 400 <= 0.98


@pytest.fixture
def points(pair, tmp_path):
    """A hundred points in degrees, some of them off the map; and the same in the map's CRS."""
    random = np.random.default_rng(4)
    x = 500_010 + random.uniform(-300, 12_000, 100)
    y = 5_800_020 - random.uniform(0, 9000, 100)
    table = geopandas.GeoDataFrame(
        {"class": random.integers(0, 2, 100)}, geometry=geopandas.points_from_xy(x, y), crs=UTM
    )
    table.to_crs("EPSG:4326").to_file(tmp_path / "points.gpkg")
    return tmp_path / "points.gpkg", table


def test_points_are_compared_where_they_lie(pair, points):
    one, _, mapped, _ = pair
    path, table = points
    found = compare_points(one, path, column="class")
    expected = []
    for shape, said in zip(table.geometry, table["class"], strict=True):
        row, col = int((5_800_020 - shape.y) // 30), int((shape.x - 500_010) // 30)
        code = mapped[row, col] if 0 <= row < 300 and 0 <= col < 400 else 255
        if code != 255:
            expected.append((said, code))
    truth, codes = map(np.array, zip(*expected, strict=True))
    assert found.confusion == Confusion.of(truth, codes)
    assert found.left_out == 100 - len(expected) > 0
    assert found.to_dict()["water_km2_standard_error"] > 0


def test_points_without_their_column_or_off_the_map_are_refused(pair, points, tmp_path):
    one, _, _, _ = pair
    path, table = points
    with pytest.raises(RasterError, match="no column 'water'; it has class"):
        compare_points(one, path, column="water")
    away = table.set_geometry(table.translate(1e6, 0))
    away.to_file(tmp_path / "away.gpkg")
    with pytest.raises(RasterError, match="no point of"):
        compare_points(one, tmp_path / "away.gpkg", column="class")
    with pytest.raises(RasterError, match="holds points or lines"):
        compare(one, path)


# ------------------------------------------------------------------------------ by name


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An emulator with a year of JRC, its occurrence, and two dates of Dynamic World."""
    folder = tmp_path_factory.mktemp("served")
    catalog = folder / "catalog"
    truth = blobs(1, (300, 400))
    history = np.where(truth == 255, 0, np.where(truth == 1, 3, 1)).astype(np.uint8)
    history[100:120] = np.where(history[100:120] == 3, 2, history[100:120])
    occurrence = np.where(truth == 1, 80, 20).astype(np.uint8)
    occurrence[:50] = 0
    label = np.where(truth == 1, 0, 4).astype(np.uint8)
    cloudy = label.copy()
    cloudy[:100] = 255
    grid = raster.Grid(UTM, PLACE, truth.shape)

    def put(asset, name, values, nodata, **properties):
        path = folder / f"{name}.tif"
        raster.write(path, values, grid, nodata=nodata, names=(name,))
        if properties:
            with Catalog.open(catalog, create=True) as opened:
                opened.ensure_parents(asset, collection=True)
        ingest(catalog, [path], asset_id=asset, properties=properties)

    put("JRC/GSW1_4/YearlyHistory/2020", "waterClass", history, None, year=2020)
    put("JRC/GSW1_4/GlobalSurfaceWater", "occurrence", occurrence, 0)
    for day, values in (("20200704", label), ("20200811", cloudy), ("20201224", 4 - label)):
        when = f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00Z"
        asset = f"GOOGLE/DYNAMICWORLD/V1/{day}"
        put(asset, "label", values, 255, **{"system:time_start": when})
    with start(catalog) as server:
        yield server.url, truth


@pytest.fixture
def service(served):
    """The same, connected to; gives the water that all of them show."""
    url, truth = served
    with session.connect(url=url):
        yield truth


@pytest.fixture
def mapped(tmp_path):
    return write_map(
        tmp_path / "map.tif", blobs(1, (300, 400)), crs=UTM, transform=PLACE, years=[2020]
    )


def test_a_reference_by_name_scores_a_table_as_well(service, mapped):
    found = evaluate(mapped, "jrc-yearly", progress=False, resamples=20)
    assert found.reference == "JRC/GSW1_4/YearlyHistory 2020"
    assert found["map"].confusion == compare(mapped, "jrc-yearly").confusion


@pytest.mark.parametrize("name", ["jrc-yearly", "JRC/GSW1_4/YearlyHistory"])
def test_jrc_by_name_has_seasonal_and_permanent_water(service, mapped, name):
    found = compare(mapped, name)
    assert found.reference == "JRC/GSW1_4/YearlyHistory 2020"
    assert found.confusion == Confusion.of(service, blobs(1, (300, 400)))
    assert found.confusion.iou == 1.0


def test_jrc_occurrence_is_water_from_half_the_time_on(service, mapped):
    found = compare(mapped, "jrc").confusion
    expected = np.where(service == 1, 1, 0)
    expected[:50] = 0
    assert found == Confusion.of(expected, blobs(1, (300, 400)))


def test_dynamic_world_is_the_majority_of_the_season(service, mapped, tmp_path):
    """The recipe's months leave December's image out, which says the contrary."""
    found = compare(mapped, "dynamic-world", tmp_path / "agree.tif")
    assert found.reference == "GOOGLE/DYNAMICWORLD/V1 2020"
    expected = np.where(service == 1, 1, 0)
    assert found.confusion == Confusion.of(expected, blobs(1, (300, 400)))
    winter = compare(mapped, "dynamic-world", months=[12]).confusion
    assert winter.tp == 0
    assert compare(mapped, "dynamic-world", months=[12, 1], years=[2021]).confusion == winter


def test_windows_of_a_served_reference_leave_no_trace(service, mapped, monkeypatch):
    whole = compare(mapped, "jrc-yearly").confusion
    monkeypatch.setattr(
        "water_gee.mapping.maps.WaterMap.windows.__kwdefaults__", {"size": 128}, raising=False
    )
    assert compare(mapped, "jrc-yearly").confusion == whole


def test_a_map_in_degrees_is_compared_on_its_own_grid(service, tmp_path):
    place = Affine(0.0005, 0, 105.02, 0, -0.0003, 52.33)
    path = write_map(tmp_path / "degrees.tif", blobs(2, (90, 110)), transform=place, years=[2020])
    local = np.zeros((300, 400), np.uint8)
    local[:] = np.where(service == 255, 0, np.where(service == 1, 3, 1))
    other = write_map(tmp_path / "same.tif", local, crs=UTM, transform=PLACE, nodata=None)
    by_file = compare(path, other, water=[2, 3], ignore=[0]).confusion
    by_name = compare(path, "jrc-yearly").confusion
    assert by_name.total == pytest.approx(by_file.total, abs=5)
    assert by_name.tp == pytest.approx(by_file.tp, abs=5)


def test_years_that_a_reference_lacks_are_named(service, mapped, tmp_path):
    with pytest.raises(DownloadError, match="has no image of 1999"):
        compare(mapped, "jrc-yearly", years=[1999])
    bare = write_map(tmp_path / "bare.tif", np.ones((9, 9)), crs=UTM, transform=PLACE)
    with pytest.raises(RasterError, match="does not say which years"):
        compare(bare, "jrc-yearly")


def test_a_service_without_the_reference_says_so(tmp_path, mapped):
    empty = tmp_path / "empty"
    path = write_map(tmp_path / "x.tif", np.ones((4, 4)))
    ingest(empty, [path], asset_id="projects/local/assets/x")
    with start(empty) as server, session.connect(url=server.url):
        with pytest.raises(DownloadError, match="has no GOOGLE/DYNAMICWORLD/V1") as caught:
            compare(mapped, "dynamic-world", tmp_path / "agree.tif")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "agree.tif").exists()


# ------------------------------------------------------------------------------ bad input


def test_a_reference_elsewhere_is_refused_with_both_places(pair, tmp_path):
    one, _, _, _ = pair
    away = write_map(tmp_path / "away.tif", np.ones((9, 9)))
    with pytest.raises(RasterError, match=r"away.tif lies outside .*map.tif") as caught:
        compare(one, away, tmp_path / "agree.tif")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "agree.tif").exists()


@pytest.mark.parametrize("out", [None, "agree.tif"])
def test_a_reference_that_says_nothing_here_leaves_nothing_behind(pair, tmp_path, out):
    one, _, _, _ = pair
    blank = write_map(tmp_path / "blank.tif", np.full((300, 400), 255), crs=UTM, transform=PLACE)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(RasterError, match="share no pixel"):
        compare(one, blank, None if out is None else tmp_path / out)
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nothing.tif", None, "no such file"),
        ("text.tif", b"text", "neither a raster nor a file of polygons"),
        ("empty.geojson", b'{"type": "FeatureCollection", "features": []}', "no feature"),
    ],
)
def test_files_that_are_no_reference_are_refused(pair, tmp_path, name, content, words):
    one, _, _, _ = pair
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RasterError, match=words):
        compare(one, tmp_path / name)


def test_a_raster_of_measures_is_no_reference(pair, tmp_path):
    one, _, _, _ = pair
    with pytest.raises(RasterError, match="holds measures, not classes"):
        compare(one, write_probability(tmp_path / "p.tif", np.full((300, 400), 0.7), like=one))


def test_neither_map_nor_reference_is_replaced(pair):
    one, two, _, _ = pair
    for out in (one, two):
        before = out.read_bytes()
        with pytest.raises(RasterError, match="is what is read; give the output another name"):
            compare(one, two, out)
        assert out.read_bytes() == before


def test_tables_are_plain_json(pair):
    one, two, _, _ = pair
    plain = json.loads(json.dumps(compare(one, two).to_dict()))
    assert plain["intervals_95"] == {} or plain["intervals_95"]["iou"][0] <= plain["iou"]
    assert pd.notna(plain["kappa"])
    assert STEP > 0
