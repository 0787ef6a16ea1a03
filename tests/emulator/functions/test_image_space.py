"""Projections, grids and resampling against pyproj, GDAL and hand-worked pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
from pyproj import Geod, Transformer
from rasterio.warp import Resampling, reproject
from studio import UTM, same

from water_gee.emulator.pixels import Grid

VALUES = np.random.default_rng(3).normal(size=(40, 50))
DEGREES = Grid("EPSG:4326", (0.0003, 0.0, 105.0, 0.0, -0.0003, 54.148))


def pixel_centers(grid, shape):
    cols, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    return grid.coordinates(cols, rows)


def test_other_grids_take_the_nearest_pixel(studio):
    shape = (50, 90)
    found = studio.pixels(studio.raster(VALUES), shape, grid=DEGREES)
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32648", always_xy=True).transform(
        *pixel_centers(DEGREES, shape)
    )
    col, row = np.floor((x - 500_000) / 30).astype(int), np.floor((6_000_000 - y) / 30).astype(int)
    inside = (row >= 0) & (row < 40) & (col >= 0) & (col < 50)
    assert inside.sum() > 300
    assert not inside.all()
    same(found, np.where(inside, VALUES[row % 40, col % 50], 0), inside)


def warped(method, shape, grid, values=VALUES):
    out = np.zeros(shape)
    reproject(
        values,
        out,
        src_transform=rasterio.Affine(*UTM.transform),
        src_crs="EPSG:32648",
        dst_transform=rasterio.Affine(*grid.transform),
        dst_crs=grid.crs,
        resampling=method,
        tolerance=0,
        XSCALE=1,
        YSCALE=1,
    )
    return out


@pytest.mark.parametrize(
    ("mode", "method"), [("bilinear", Resampling.bilinear), ("bicubic", Resampling.cubic)]
)
def test_resampling_equals_gdals_inside(studio, mode, method):
    # Half a pixel's shift and 1.1 of its size: every neighbour is inside the raster.
    grid = Grid("EPSG:32648", (33.0, 0.0, 500_107.0, 0.0, -33.0, 5_999_893.0))
    shape = (24, 30)
    found = studio.pixels(studio.raster(VALUES).resample(mode), shape, grid=grid)
    np.testing.assert_allclose(found, warped(method, shape, grid), atol=2e-5)


def test_resampling_leaves_the_own_grid_alone(studio):
    same(studio.pixels(studio.raster(VALUES).resample("bicubic"), (40, 50)), VALUES)


def test_a_sum_is_resampled_as_a_whole(studio):
    grid = Grid("EPSG:32648", (33.0, 0.0, 500_107.0, 0.0, -33.0, 5_999_893.0))
    image = studio.raster(VALUES).gt(0).resample("bilinear")
    found = studio.pixels(image, (24, 30), grid=grid)
    np.testing.assert_allclose(
        found, warped(Resampling.bilinear, (24, 30), grid, (VALUES > 0).astype(float)), atol=2e-5
    )
    # Sampled first and compared then, there are no values between 0 and 1.
    assert ((found > 0.01) & (found < 0.99)).any()


def test_masked_neighbours_have_no_say_in_a_resampled_pixel(studio):
    mask = np.ones((2, 2), bool)
    mask[0, 1] = False
    image = studio.raster(np.array([[1.0, 100.0], [3.0, 5.0]]), mask=mask).resample("bilinear")
    middle = Grid("EPSG:32648", (2.0, 0.0, 500_029.0 - 2, 0.0, -2.0, 5_999_971.0))
    center_col = (500_027 + 1 - 500_000) / 30 - 0.5
    center_row = (6_000_000 - 5_999_970) / 30 - 0.5
    weights = np.outer([1 - center_row, center_row], [1 - center_col, center_col]) * mask
    expected = (weights * [[1, 100], [3, 5]]).sum() / weights.sum()
    found = studio.pixels(image, (1, 1), grid=middle)
    assert found[0, 0] == pytest.approx(expected)


def test_a_composite_has_no_pixels_to_interpolate(studio):
    image = studio.client.Image.pixelLonLat().select(0)
    from water_gee.emulator.nodes import Placed

    assert isinstance(studio.compute(image.resample("bilinear")).bands[0].node, Placed)
    assert "Unknown mode" in studio.refused(image.resample("cubic"))


def test_reprojection_fixes_the_grid_of_what_comes_before(studio):
    # Neighbours are 60 m apart after the reprojection, whatever grid is asked for.
    kernel = studio.client.Kernel.fixed(3, 1, [[-1, 0, 1]])
    x = studio.client.Image.pixelCoordinates("EPSG:32648").select("x")
    fixed = x.convolve(kernel).reproject("EPSG:32648", None, 60)
    free = x.convolve(kernel)
    grid = Grid("EPSG:32648", (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0))
    same(studio.pixels(fixed, (3, 3), grid=grid), np.full((3, 3), 120.0), tolerance=1e-9)
    same(studio.pixels(free, (3, 3), grid=grid), np.full((3, 3), 20.0), tolerance=1e-9)


def test_reprojection_takes_transform_scale_or_projection(studio):
    image = studio.raster(VALUES)
    transform = [60.0, 0.0, 500_000.0, 0.0, -60.0, 6_000_000.0]
    done = image.reproject("EPSG:32648", transform)
    band = studio.compute(done).bands[0]
    assert list(band.projection.transform) == transform
    assert band.dimensions is None
    coarse = studio.pixels(done, (20, 25), grid=Grid("EPSG:32648", tuple(transform)))
    # Twice as large pixels: the raster's pyramid is read, and repeated on the fine grid.
    fine = studio.pixels(done, (40, 50))
    np.testing.assert_array_equal(fine, np.kron(coarse, np.ones((2, 2))))
    assert "Only one of" in studio.refused(image.reproject("EPSG:32648", transform, 60))
    assert "6 numbers" in studio.refused(image.reproject("EPSG:32648", [1, 2, 3]))
    assert "not invertible" in studio.refused(image.reproject("EPSG:32648", [0] * 6))
    assert "'EPSG:999999'" in studio.refused(image.reproject("EPSG:999999"))


def test_scale_is_a_nominal_size_in_metres(studio):
    image = studio.client.Image(1)
    degrees = studio.compute(image.reproject("EPSG:4326", None, 30)).bands[0].projection
    # The guide on reduceRegion gives 30 m as 0.00026949458523585647 degrees.
    assert degrees.transform[0] == pytest.approx(0.00026949458523585647, rel=1e-15)
    utm = studio.raster(VALUES)
    scaled = utm.setDefaultProjection(utm.projection(), None, 45)
    assert studio.info(scaled.projection())["transform"] == [45, 0, 500_000, 0, -45, 6_000_000]
    assert "positive" in studio.refused(image.reproject("EPSG:4326", None, 0))


def test_a_default_projection_changes_no_pixel(studio):
    image = studio.raster(VALUES)
    moved = image.setDefaultProjection("EPSG:4326", [1, 0, 0, 0, 1, 0])
    same(studio.pixels(moved, (40, 50)), VALUES)
    assert studio.info(moved.projection())["crs"] == "EPSG:4326"


def test_the_projection_of_unlike_bands_is_refused(studio):
    image = studio.raster(VALUES)
    mixed = image.addBands(image.reproject("EPSG:4326", None, 30))
    assert studio.refused(mixed.projection()) == (
        "Image.projection: The bands of the specified image contains different projections. "
        "Use Image.select to pick a single band."
    )
    assert "no bands" in studio.refused(image.select([]).projection())


def rectangle(studio, *bounds):
    return studio.client.Geometry.Rectangle(bounds, proj="EPSG:32648", geodesic=False)


def call(studio, image, **arguments):
    return studio.client.ApiFunction.apply_(
        "Image.clipToBoundsAndScale", {"input": image, **arguments}
    )


def test_a_scaled_clip_covers_the_pixels_of_its_grid_that_the_region_reaches(studio):
    image = studio.raster(VALUES).setDefaultProjection("EPSG:32648", [1, 0, 0, 0, -1, 0])
    region = rectangle(studio, 500_045, 5_999_900, 500_130, 5_999_975)
    found = studio.compute(call(studio, image, geometry=region, scale=30))
    # Edges are the next multiples of 30 m: 500040 = 16668 x 30, 5999880 = 199996 x 30.
    assert found.bands[0].projection.transform == (30, 0, 0, 0, -30, 0)
    assert found.footprint.shape.bounds == (500_040, 5_999_880, 500_130, 6_000_000)
    assert found.footprint.geodesic is False


@pytest.mark.parametrize(
    ("size", "shape", "step"),
    [({"width": 10, "height": 4}, (4, 10), (9, 15)), ({"maxDimension": 9}, (6, 9), (10, 10))],
)
def test_a_clip_is_scaled_to_dimensions(studio, size, shape, step):
    region = rectangle(studio, 500_000, 5_999_900, 500_090, 5_999_960)
    image = studio.client.Image.pixelCoordinates("EPSG:32648").select("x")
    found = studio.compute(call(studio, image, geometry=region, **size))
    transform = found.bands[0].projection.transform
    assert transform == (step[0], 0, 500_000, 0, -step[1], 5_999_960)
    bounds = found.footprint.shape.bounds
    assert round((bounds[2] - bounds[0]) / step[0]) == shape[1]
    assert round((bounds[3] - bounds[1]) / step[1]) == shape[0]


def test_clips_that_cannot_be_scaled_are_refused(studio):
    image, region = studio.client.Image(1), rectangle(studio, 500_000, 0, 500_090, 30)
    assert "given together" in studio.refused(call(studio, image, geometry=region, width=3))
    both = call(studio, image, geometry=region, maxDimension=3, scale=30)
    assert "Only one of" in studio.refused(both)
    assert "unbounded" in studio.refused(call(studio, image, scale=30))
    assert "at least 1" in studio.refused(call(studio, image, geometry=region, maxDimension=0))


def test_every_pixel_knows_its_place(studio):
    found = studio.blocks(studio.client.Image.pixelLonLat(), (3, 4))
    x, y = pixel_centers(UTM, (3, 4))
    lon, lat = Transformer.from_crs("EPSG:32648", "EPSG:4326", always_xy=True).transform(x, y)
    np.testing.assert_allclose(found["longitude"][0], lon, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["latitude"][0], lat, rtol=0, atol=1e-12)
    projection = studio.client.Projection("EPSG:32648", list(UTM.transform))
    places = studio.blocks(studio.client.Image.pixelCoordinates(projection), (3, 4))
    np.testing.assert_allclose(places["x"][0][0], [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(places["y"][0][:, 0], [0.5, 1.5, 2.5])


@pytest.mark.parametrize("latitude", [0.0, 52.3, 80.0, -33.0])
def test_pixel_areas_are_geodesic(studio, latitude):
    grid = Grid("EPSG:4326", (0.01, 0.0, 106.0, 0.0, -0.01, latitude + 0.02))
    area = studio.pixels(studio.client.Image.pixelArea(), (2, 1), grid=grid)
    north = latitude + 0.02
    # Parallels are no geodesics: corners every 1e-5 degrees along them.
    west_east = np.linspace(106, 106.01, 1001)
    ring_x = np.concatenate([west_east, west_east[::-1]])
    ring_y = np.concatenate([np.full(1001, north), np.full(1001, north - 0.01)])
    expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(ring_x, ring_y)[0])
    assert area[0, 0] == pytest.approx(expected, rel=1e-6)


def test_pixel_areas_in_utm_are_scaled_by_its_distortion(studio):
    # On the central meridian the scale is 0.9996.
    area = studio.pixels(studio.client.Image.pixelArea(), (1, 1))
    assert area[0, 0] == pytest.approx(900 / 0.9996**2, rel=1e-6)


def test_the_geometry_of_an_image(studio):
    image = studio.raster(VALUES)
    found = studio.compute(image.geometry())
    assert found.shape.bounds == (500_000, 5_998_800, 501_500, 6_000_000)
    degrees = studio.compute(image.geometry(1, "EPSG:4326", False))
    assert degrees.crs == "EPSG:4326"
    assert degrees.shape.bounds[0] == pytest.approx(105.0, abs=1e-9)
    assert studio.compute(studio.client.Image(1).geometry()).shape is None


def test_coarse_requests_of_a_resampled_sum_are_computed_on_coarse_pixels(studio):
    from water_gee.emulator.nodes import Warp

    node = studio.compute(studio.raster(VALUES).add(1).resample("bilinear")).bands[0].node
    assert isinstance(node, Warp)
    eight = Grid("EPSG:32648", (240.0, 0.0, 500_000.0, 0.0, -240.0, 6_000_000.0))
    ((_, computed_on),) = node.edges(eight)
    assert computed_on.transform[0] == pytest.approx(240)
    assert math.isclose(node.edges(UTM)[0][1].transform[0], 30)
