"""Projection, PixelType, ErrorMargin: against pyproj and hand-worked affines."""

from __future__ import annotations

import math

import pytest
from pyproj import CRS


@pytest.fixture
def utm(client):
    return client.Projection("EPSG:32648", [30, 0, 500000, 0, -30, 1000000])


def test_construction(client, utm, info, refused):
    assert info(utm) == {
        "type": "Projection",
        "crs": "EPSG:32648",
        "transform": [30, 0, 500000, 0, -30, 1000000],
    }
    assert refused(client.Projection("EPSG:99999999")).startswith("Projection: The CRS")
    assert refused(client.Projection("EPSG:4326", [1, 2])).startswith("Projection: a transform")
    assert "not invertible" in refused(client.Projection("EPSG:4326", [0, 0, 0, 0, 0, 0]))


def test_wkt_is_taken_and_given(client, info):
    text = CRS.from_epsg(32648).to_wkt("WKT1_GDAL")
    made = client.Projection(text)
    assert info(made.nominalScale()) == 1
    assert CRS.from_wkt(info(client.Projection("EPSG:32648").wkt())) == CRS.from_epsg(32648)
    assert info(made) == {"type": "Projection", "wkt": text, "transform": [1, 0, 0, 0, 1, 0]}


def test_transform_as_wkt_comes_and_goes(client, utm, info, refused):
    text = info(utm.transform())
    assert text.startswith('PARAM_MT["Affine"')
    assert 'PARAMETER["elt_0_0", 30.0]' in text
    again = client.Projection("EPSG:32648", None, text)
    assert info(again) == info(utm)
    both = client.Projection("EPSG:32648", [1, 0, 0, 0, 1, 0], text)
    assert "not both" in refused(both)
    assert "not an affine" in refused(client.Projection("EPSG:4326", None, "PARAM_MT[]"))


def test_scales(client, utm, info):
    assert info(utm.nominalScale()) == 30
    # A degree on the equator of the WGS 84 ellipsoid: 2 pi 6378137 / 360.
    assert info(client.Projection("EPSG:4326").nominalScale()) == pytest.approx(111319.49079327358)
    assert info(utm.atScale(60))["transform"] == [60, 0, 500000, 0, -60, 1000000]
    assert info(utm.scale(2, 3))["transform"] == [60, 0, 500000, 0, -90, 1000000]
    assert info(utm.translate(1, 2))["transform"] == [30, 0, 500030, 0, -30, 999940]
    degree = client.Projection("EPSG:4326").atScale(30)
    assert info(degree)["transform"][0] == pytest.approx(30 / 111319.49079327358)


def test_scaling_a_sheared_grid_scales_its_columns_and_rows(client, info):
    sheared = client.Projection("EPSG:32648", [3, 1, 10, 2, 4, 20])
    assert info(sheared.scale(10, 100))["transform"] == [30, 100, 10, 20, 400, 20]


def test_crs(utm, info):
    assert info(utm.crs()) == "EPSG:32648"


TYPES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-2147483648, 2147483647),
    "uint32": (0, 4294967295),
    "int64": (-9223372036854775808, 9223372036854775807),
}


@pytest.mark.parametrize("name", TYPES)
def test_integer_types(client, info, name):
    made = getattr(client.PixelType, name)()
    low, high = TYPES[name]
    assert info(made) == {"type": "PixelType", "precision": "int", "min": low, "max": high}
    assert info(made.minValue()) == low
    assert info(made.maxValue()) == high


def test_other_types(client, info, value, refused):
    assert info(client.PixelType.float()) == {"type": "PixelType", "precision": "float"}
    assert info(client.PixelType.double()) == {"type": "PixelType", "precision": "double"}
    made = client.PixelType("int", 0, 10, 1)
    assert info(made) == {
        "type": "PixelType",
        "precision": "int",
        "min": 0,
        "max": 10,
        "dimensions": 1,
    }
    assert info(made.precision()) == "int"
    assert info(made.dimensions()) == 1
    assert value(client.PixelType.float().maxValue()) == math.inf
    assert value(client.PixelType.float().minValue()) == -math.inf
    assert refused(client.PixelType("int", 1, 0)).startswith("PixelType: ")
    assert refused(client.PixelType("complex")).startswith("PixelType, argument 'precision'")


def test_error_margins(client, info, refused):
    assert info(client.ErrorMargin(5)) == {"type": "ErrorMargin", "unit": "meters", "value": 5}
    assert info(client.ErrorMargin(5, "projected"))["unit"] == "projected"
    assert refused(client.ErrorMargin(5, "miles")).startswith("ErrorMargin: unit")
    call = client.apifunction.ApiFunction.call_
    assert refused(call("ErrorMargin")) == "ErrorMargin: Parameter 'value' is required."
