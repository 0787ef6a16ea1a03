"""Which pixels a request is about."""

from __future__ import annotations

import pytest
import shapely

from water_gee.emulator.footprint import outline
from water_gee.emulator.gridrequest import native_request, wire_request
from water_gee.emulator.nodes import Constant
from water_gee.emulator.pixels import Window
from water_gee.emulator.values import BYTE, Band, Geometry, Image, Projection
from water_gee.errors import ServiceError

UTM = Projection("EPSG:32648", (30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0))
DEGREES = Projection("EPSG:4326", (0.135 / 501, 0.0, 0.0, 0.0, -0.135 / 501, 0.0))


def image(projection=UTM, dimensions=None, footprint=None):
    return Image(
        (Band("b", BYTE, Constant(1, "uint8"), projection, dimensions),), footprint=footprint
    )


def box(*bounds, crs="EPSG:4326"):
    return Geometry(shapely.box(*bounds), crs, geodesic=False)


def test_a_raster_is_its_own_window_whatever_its_outline():
    shape = shapely.geometry.shape(outline(UTM, (4000, 5000)))
    found = native_request(
        image(dimensions=(5000, 4000), footprint=Geometry(shape, geodesic=False))
    )
    assert found.window == Window(0, 0, 4000, 5000)
    assert found.projection == UTM


def test_a_footprint_is_widened_to_whole_pixels():
    found = native_request(image(footprint=box(500100, 5799901, 500221, 5799990, crs="EPSG:32648")))
    assert found.window == Window(1, 3, 3, 5)
    assert found.projection.transform == (30, 0, 500100, 0, -30, 5799990)


def test_edges_on_pixel_edges_add_no_pixel():
    # 0.135 degrees are 501 pixels; the products are off in the last bit.
    for col in range(-900, 900, 7):
        west, south = col * 0.135, 52 * 0.135
        found = native_request(
            image(DEGREES, footprint=box(west, south, west + 0.135, south + 0.135))
        )
        assert found.window == Window(-53 * 501, col * 501, 501, 501)


def test_a_clipped_raster_ends_where_the_raster_does():
    clip = box(499000, 5799000, 500100, 5899000, crs="EPSG:32648")
    found = native_request(image(dimensions=(50, 40), footprint=clip))
    assert found.window == Window(0, 0, 34, 3)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (image(), "Unable to export unbounded image."),
        (image(footprint=Geometry(None)), "Unable to export unbounded image."),
        (image(footprint=Geometry(shapely.Polygon())), "holds no pixel"),
        (
            image(dimensions=(5, 5), footprint=box(0, 0, 1, 1, crs="EPSG:32648")),
            "holds no pixel",
        ),
        (Image(), "Image has no bands."),
    ],
)
def test_images_without_an_end_or_a_pixel_are_refused(what, message):
    with pytest.raises(ServiceError, match=message):
        native_request(what)


def test_the_wire_says_as_much_as_it_likes():
    raster = image(dimensions=(50, 40))
    assert wire_request(raster, None) == wire_request(raster, {}) == native_request(raster)
    affine = {"scaleX": 0.5, "scaleY": -0.25, "translateX": 10}
    found = wire_request(
        raster,
        {
            "crsCode": "EPSG:4326",
            "affineTransform": affine,
            "dimensions": {"width": 7, "height": 3},
        },
    )
    assert found.grid.transform == (0.5, 0, 10, 0, -0.25, 0)
    assert found.grid.crs == "EPSG:4326"
    assert found.window == Window(0, 0, 3, 7)
    part = wire_request(raster, {"dimensions": {"width": 7, "height": 3}})
    assert (part.grid, part.window) == (UTM.grid, Window(0, 0, 3, 7))
    wkt = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],' + (
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
    )
    grid = {"crsWkt": wkt, "affineTransform": affine, "dimensions": {"width": 1, "height": 1}}
    assert wire_request(raster, grid).grid.crs == wkt
