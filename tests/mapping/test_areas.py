"""Areas are those on the ellipsoid, in every CRS, and say how sure they are."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from water_shapes import STEP, band_km2, write_map, write_probability

from water_gee import metrics, raster
from water_gee.errors import GridError, RasterError
from water_gee.mapping import areas, maps
from water_gee.mapping.areas import measure
from water_gee.mapping.compare import compare
from water_gee.mapping.points import draw_points
from water_gee.mapping.vectors import polygons
from water_gee.metrics import Confusion

WGS84 = pyproj.Geod(ellps="WGS84")
BAR = 1e-3
"""The largest relative error that areas may have."""

PLACES = [(104.3, 0.0), (105.7, 45.0), (103.2, 70.0), (-70.1, -45.0)]


def utm_of(lon, lat):
    return f"EPSG:{(32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1}"


def grid_around(lon, lat, crs, metres, pixels):
    """A north-up grid whose middle is a place; pixels of so many metres, on the ground roughly."""
    if crs == "EPSG:4326":
        down = metres / 111_200
        across = down / max(np.cos(np.radians(lat)), 0.05)
        x, y = lon, lat
    else:
        across = down = metres
        x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    # Half a pixel off, so that no centre lies on an edge of the shapes.
    left, top = x - across * (pixels / 2 + 0.31), y + down * (pixels / 2 + 0.27)
    return Affine(across, 0, left, 0, -down, top)


def centres(transform, crs, pixels):
    """Longitude and latitude of the pixels' centres."""
    col, row = np.meshgrid(np.arange(pixels) + 0.5, np.arange(pixels) + 0.5)
    x, y = transform.c + transform.a * col, transform.f + transform.e * row
    if crs == "EPSG:4326":
        return x, y
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)


@pytest.mark.parametrize("kind", ["degrees", "utm", "web mercator"])
@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_a_geodesic_disc_has_its_exact_area(tmp_path, lon, lat, kind):
    crs = {"degrees": "EPSG:4326", "utm": utm_of(lon, lat), "web mercator": "EPSG:3857"}[kind]
    radius, pixels = 15_000.0, 760
    stretch = 1 / np.cos(np.radians(lat)) if kind == "web mercator" else 1.0
    transform = grid_around(lon, lat, crs, 42.0 * stretch, pixels)
    there_lon, there_lat = centres(transform, crs, pixels)
    same = np.ones_like(there_lon)
    _, _, away = WGS84.inv(lon * same, lat * same, there_lon, there_lat)
    values = (np.asarray(away) <= radius).astype(np.uint8)
    assert not values[0].any()
    assert not values[:, 0].any()

    turns = np.linspace(0, 360, 3601)[:-1]
    edge = WGS84.fwd(np.full(3600, lon), np.full(3600, lat), turns, np.full(3600, radius))
    exact = abs(WGS84.polygon_area_perimeter(edge[0], edge[1])[0]) / 1e6

    path = write_map(tmp_path / "map.tif", values, crs=crs, transform=transform)
    assert measure(path).water_km2 == pytest.approx(exact, rel=BAR)
    assert polygons(path, tmp_path / "w.gpkg").area_km2 == pytest.approx(exact, rel=BAR)
    whole = metrics.area_km2(values, transform, crs=crs)
    assert measure(path).water_km2 == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("kind", ["degrees", "utm"])
@pytest.mark.parametrize(("lon", "lat"), PLACES)
def test_a_rectangle_between_parallels_and_meridians_has_its_closed_form(tmp_path, lon, lat, kind):
    crs = "EPSG:4326" if kind == "degrees" else utm_of(lon, lat)
    transform = grid_around(lon, lat, crs, 30.0, 700)
    there_lon, there_lat = centres(transform, crs, 700)
    tall = 0.12
    wide = tall / max(np.cos(np.radians(lat)), 0.3)
    inside = (np.abs(there_lon - lon) < wide / 2) & (np.abs(there_lat - lat) < tall / 2)
    path = write_map(tmp_path / "map.tif", inside, crs=crs, transform=transform)
    exact = band_km2(lat - tall / 2, lat + tall / 2, wide)
    found = measure(path)
    assert found.water_km2 == pytest.approx(exact, rel=BAR)
    assert polygons(path, tmp_path / "w.gpkg").area_km2 == pytest.approx(found.water_km2, rel=1e-9)


@pytest.mark.parametrize("latitude", [0.0, 45.0, 70.0, 89.9])
def test_degrees_have_the_closed_form_to_the_last_digits(latitude):
    top = latitude + 10 * STEP
    found = metrics.pixel_areas_m2(Affine(STEP, 0, 100, 0, -STEP, top), (20, 30)).sum() * 30 / 1e6
    assert found == pytest.approx(band_km2(top - 20 * STEP, top, 30 * STEP), rel=1e-9)


def test_the_cap_of_a_polar_grid_has_its_closed_form(tmp_path):
    """The pole itself is in the middle of the grid, where longitude means nothing."""
    transform = Affine(2000, 0, -600_700, 0, -2000, 600_300)
    lon, lat = centres(transform, "EPSG:3413", 600)
    del lon
    path = write_map(tmp_path / "map.tif", lat > 85.5, crs="EPSG:3413", transform=transform)
    assert measure(path).water_km2 == pytest.approx(band_km2(85.5, 90, 360), rel=BAR)


def test_web_mercator_is_measured_on_the_ellipsoid_not_on_its_sphere():
    """Its own areal scale is 0.67% off at the equator."""
    lon, lat = pyproj.Transformer.from_crs(3857, 4326, always_xy=True).transform(
        [0, 3000], [0, 3000]
    )
    exact = band_km2(lat[0], lat[1], lon[1] - lon[0])
    found = metrics.area_km2(np.ones((100, 100)), Affine(30, 0, 0, 0, -30, 3000), crs="EPSG:3857")
    assert found == pytest.approx(exact, rel=1e-6)
    assert abs(9.0 / exact - 1) > 0.006


def test_a_grid_over_the_date_line_is_whole():
    crs, transform = "EPSG:32660", Affine(30, 0, 680_000, 0, -30, 6_000_000)
    lon = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(
        [680_000, 740_000], [5_950_000] * 2
    )[0]
    assert lon[0] > 0 > lon[1]
    found = metrics.pixel_areas_m2(transform, (500, 2000), crs=crs)
    assert found.min() > 895
    assert found.max() < 905


def test_a_rotated_grid_has_the_area_of_the_straight_one():
    straight = metrics.pixel_areas_m2(
        Affine(30, 0, 500_000, 0, -30, 5_000_000), (9, 9), crs="EPSG:32648"
    )
    turned = metrics.pixel_areas_m2(
        Affine(18, 24, 500_000, 24, -18, 5_000_000), (9, 9), crs="EPSG:32648"
    )
    assert turned.mean() == pytest.approx(straight.mean(), rel=1e-6)


def test_a_part_has_the_pixels_of_the_whole_bit_by_bit():
    transform = Affine(30, 0, 300_000, 0, -30, 5_800_000)
    whole = metrics.pixel_areas_m2(transform, (700, 900), crs="EPSG:32648")
    part = (slice(130, 611), slice(255, 770))
    found = metrics.pixel_areas_m2(transform, (700, 900), crs="EPSG:32648", part=part)
    assert np.array_equal(found, whole[part])


def test_pixels_beyond_a_projection_have_no_area():
    """The corners of a Mollweide map lie nowhere on the Earth."""
    found = metrics.pixel_areas_m2(
        Affine(361e3, 0, -18.05e6, 0, -180.5e3, 9.025e6), (100, 100), crs="ESRI:54009"
    )
    assert found[0, 0] == 0
    assert found[50, 50] > 6e10
    assert found.sum() / 1e6 == pytest.approx(510_065_621.7, rel=0.03)


def test_a_system_without_ellipsoid_is_refused():
    axes = 'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]'
    local = f'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],{axes}]'
    with pytest.raises(GridError, match="no ellipsoid"):
        metrics.pixel_areas_m2(Affine(1, 0, 0, 0, -1, 0), (2, 2), crs=local)


def test_what_was_not_observed_bounds_the_water(tmp_path):
    values = np.zeros((40, 50), np.uint8)
    values[:10], values[10:15] = 1, 255
    found = measure(write_map(tmp_path / "map.tif", values))
    pixel = band_km2(52 - 10 * STEP, 52, 50 * STEP) / 500
    assert found.water_km2 == pytest.approx(500 * pixel, rel=1e-6)
    assert found.low_km2 == found.water_km2
    assert found.high_km2 == pytest.approx(750 * pixel, rel=1e-4)
    assert found.observed_share == pytest.approx(0.875, rel=1e-3)
    assert (found.water_pixels, found.observed_pixels, found.pixels) == (500, 1750, 2000)
    assert found.mapped_km2 == pytest.approx(2000 * pixel, rel=1e-3)
    assert found.expected_km2 is None
    assert found.sd_km2 is None


def test_a_value_that_the_file_calls_nodata_is_not_observed(tmp_path):
    values = np.zeros((10, 10), np.uint8)
    values[2:4] = 7
    found = measure(write_map(tmp_path / "map.tif", values, nodata=7))
    assert found.observed_pixels == 80
    assert found.unobserved_km2 > 0


def test_probabilities_give_the_expected_area_and_its_spread(tmp_path):
    p = np.full((60, 60), 0.9)
    p[:, 30:], p[:7] = 0.2, np.nan
    values = np.where(np.isnan(p), 255, p >= 0.5)
    path = write_map(tmp_path / "map.tif", values)
    likely = write_probability(tmp_path / "p.tif", p, like=path)
    found = measure(path, likely, correlation=1)
    pixel = band_km2(52 - 60 * STEP, 52, 60 * STEP) / 3600
    assert found.expected_km2 == pytest.approx(pixel * 53 * (30 * 0.9 + 30 * 0.2), rel=1e-4)
    independent = pixel * np.sqrt(53 * 30 * (0.09 + 0.16))
    assert found.sd_km2 == pytest.approx(independent, rel=1e-4)
    assert measure(path, likely).sd_km2 == pytest.approx(7 * independent, rel=1e-4)


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_probabilities_hidden_by_a_mask_are_not_counted(tmp_path, nodata):
    """Other programs hide what was not seen with a mask, whatever lies below it."""
    path = write_map(tmp_path / "map.tif", np.ones((10, 10)))
    p = np.full((10, 10), 0.5, np.float32)
    seen = write_probability(
        tmp_path / "seen.tif", np.where(np.arange(10) < 4, p, np.nan), like=path
    )
    masked = tmp_path / "masked.tif"
    with rasterio.open(seen) as like:
        profile = like.profile | {"nodata": nodata}
    below = p if nodata is None else np.where(np.arange(10) < 4, p, np.float32(nodata))
    with rasterio.open(masked, "w", **profile) as file:
        file.write(below, 1)
        file.write_mask(np.tile(np.arange(10) < (4 if nodata is None else 5), (10, 1)))
    assert measure(path, masked).expected_km2 == measure(path, seen).expected_km2


def test_correlated_draws_spread_as_said():
    """Squares of 7 x 7 pixels drawn as one: seven times the spread of single pixels."""
    random = np.random.default_rng(0)
    squares = random.random((4000, 10, 10)) < 0.3
    spread = (49 * squares.sum(axis=(1, 2))).std()
    sums = areas.Sums()
    p = np.full((70, 70), 0.3)
    sums.add(np.zeros((70, 70), np.uint8), np.ones((70, 1)), p)
    assert sums.areas().sd_km2 * 1e6 == pytest.approx(spread, rel=0.05)


def test_the_shore_of_a_square_lake():
    """Four kilometres of shore in pixels of 30 m: 1 sigma of 0.6872 times half the edge pixels."""
    found = areas.shore_sd_m2(np.array([4000.0]), np.array([30.0]))
    assert found[0] == pytest.approx(4000 / 30 * 0.6872 * 900 / 2)


@pytest.mark.parametrize("size", [64, 1000])
def test_windows_leave_no_trace(tmp_path, monkeypatch, size):
    values = (np.random.default_rng(2).random((150, 170)) < 0.4).astype(np.uint8)
    path = write_map(
        tmp_path / "map.tif", values, crs="EPSG:32648", transform=Affine(30, 0, 3e5, 0, -30, 5.8e6)
    )
    exact = measure(path).water_km2
    monkeypatch.setattr(maps, "WINDOW", size)
    monkeypatch.setattr(maps.WaterMap.windows, "__kwdefaults__", {"size": size})
    assert measure(path).water_km2 == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.unlink(), "no such file"),
        (lambda p: p.write_bytes(b"no raster"), "cannot read"),
        (lambda p: write_map(p, np.full((4, 4), 3)), "holds the value 3"),
        (lambda p: write_map(p, np.ones((4, 4)), crs=""), "has no CRS"),
    ],
)
def test_what_is_no_water_map_is_refused_in_one_line(tmp_path, spoil, words):
    path = write_map(tmp_path / "map.tif", np.zeros((4, 4)))
    spoil(path)
    with pytest.raises(RasterError, match=words) as caught:
        measure(path)
    assert "\n" not in str(caught.value)


def test_probabilities_of_another_grid_or_kind_are_refused(tmp_path):
    path = write_map(tmp_path / "map.tif", np.ones((8, 8)))
    small = write_map(tmp_path / "small.tif", np.ones((4, 4)))
    other = write_probability(tmp_path / "p.tif", np.ones((4, 4)), like=small)
    with pytest.raises(RasterError, match=r"different grids .8 x 8 and 4 x 4"):
        measure(path, other)
    with pytest.raises(RasterError, match="not probabilities"):
        measure(path, path)
    wild = write_probability(tmp_path / "wild.tif", np.full((8, 8), 2.5), like=path)
    with pytest.raises(RasterError, match="outside 0 to 1"):
        measure(path, wild)
    endless = write_probability(tmp_path / "endless.tif", np.full((8, 8), -np.inf), like=path)
    with pytest.raises(RasterError, match="outside 0 to 1"):
        measure(path, endless)


def test_the_outline_of_a_disc_measured_by_pyproj_agrees(tmp_path):
    """The polygons that are written, measured by somebody else, have the area they say."""
    import geopandas

    col, row = np.meshgrid(np.arange(200), np.arange(200))
    values = (col - 100) ** 2 + (row - 100) ** 2 < 80**2
    path = write_map(tmp_path / "map.tif", values)
    polygons(path, tmp_path / "w.gpkg", tolerance=0)
    table = geopandas.read_file(tmp_path / "w.gpkg", layer="water")
    shape = shapely.segmentize(table.geometry[0], 0.001)
    area = abs(WGS84.geometry_area_perimeter(shape)[0])
    assert table.area_m2[0] == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_what_a_map_masks_was_not_observed(tmp_path, kind):
    """Without a nodata value, a mask or an alpha band says what was seen."""
    values, seen = np.zeros((60, 80), np.uint8), np.ones((60, 80), bool)
    values[:, 20:60], seen[:, 40:] = 1, False
    whole = write_map(tmp_path / "whole.tif", np.where(seen, values, 255))
    bands = [values] if kind == "mask" else [values, np.where(seen, 255, 0).astype(np.uint8)]
    path = tmp_path / "masked.tif"
    header = raster.describe(whole)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=60, width=80, count=len(bands), dtype="uint8",
            crs=header.grid.crs, transform=header.grid.transform, photometric="MINISBLACK",
            **({"alpha": "YES"} if kind == "alpha" else {}),
        ) as target,
    ):  # fmt: skip
        target.write(np.stack(bands))
        if kind == "mask":
            target.write_mask(seen)
    assert measure(path).to_dict() == measure(whole).to_dict()
    drawn = draw_points(path, tmp_path / "points.gpkg", number=2400, progress=False)
    assert drawn.points == {"land": 1200, "water": 1200}
    assert compare(path, whole).confusion == Confusion.of(values[seen], values[seen])
    assert compare(whole, path).confusion == Confusion.of(values[seen], values[seen])
