"""Pixels as files: the values, the types, and above all the masks."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import rasterio

from water_gee.emulator.encode import Picture, encode, to_geotiff, to_jpeg, to_npy, to_png
from water_gee.emulator.pixels import Block
from water_gee.emulator.values import BYTE, DOUBLE, FLOAT, INT64, PixelType, Projection
from water_gee.errors import ServiceError

UTM = Projection("EPSG:32648", (30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0))


def picture(*bands):
    names, types, blocks = zip(*bands, strict=True)
    return Picture(names, types, blocks, UTM)


def opened(content):
    return rasterio.open(io.BytesIO(content))


def test_npy_has_a_field_a_band_of_the_smallest_type():
    image = picture(
        ("a", BYTE, Block(np.array([[1, 2]], np.int32))),
        ("b", PixelType("int", 0, 1), Block(np.array([[True, False]]))),
        ("c", FLOAT, Block(np.array([[0.5, np.nan]], np.float32), np.array([[True, False]]))),
        ("d", INT64, Block(np.array([[2**40, 1]]))),
    )
    found = np.load(io.BytesIO(to_npy(image)))
    assert [found.dtype[name].name for name in "abcd"] == ["uint8", "uint8", "float32", "int64"]
    assert found["c"].tolist() == [[0.5, 0.0]]
    assert found["d"].tolist() == [[2**40, 1]]


def test_a_geotiff_keeps_float_masks_as_nan():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    mask = np.array([[True, False, True], [True, True, True]])
    with opened(
        to_geotiff(picture(("x", FLOAT, Block(values, mask)), ("y", BYTE, Block(values))))
    ) as d:
        assert d.dtypes == ("float32", "float32")
        assert np.isnan(d.nodata)
        assert d.descriptions == ("x", "y")
        np.testing.assert_array_equal(d.read_masks(1) > 0, mask)
        assert (d.read_masks(2) > 0).all()
        np.testing.assert_array_equal(d.read(2), values)


@pytest.mark.parametrize(
    ("observed", "nodata", "dtype"),
    [
        ([5, 6], 0, "uint8"),
        ([0, 6], 255, "uint8"),
        ([0, 255], 1, "uint8"),
        (list(range(256)), -32768, "int16"),
    ],
)
def test_an_integer_mask_takes_a_value_no_pixel_has(observed, nodata, dtype):
    values = np.array([[*observed, 9]], np.int32)
    mask = np.ones(values.shape, bool)
    mask[0, -1] = False
    with opened(to_geotiff(picture(("x", BYTE, Block(values, mask))))) as dataset:
        assert (dataset.nodata, dataset.dtypes[0]) == (nodata, dtype)
        np.testing.assert_array_equal(dataset.read_masks(1) > 0, mask)
        np.testing.assert_array_equal(dataset.read(1)[mask], values[mask])


def test_a_geotiff_without_masked_pixels_has_no_nodata():
    block = Block(np.zeros((300, 300), np.int32), np.ones((300, 300), bool))
    with opened(to_geotiff(picture(("x", BYTE, block)))) as dataset:
        assert dataset.nodata is None
        assert dataset.profile["tiled"]
        assert tuple(dataset.transform)[:6] == UTM.transform


def test_bands_of_several_types_share_one_that_holds_all():
    image = picture(
        ("a", PixelType("int", 0, 65535), Block(np.array([[65535]]))),
        ("b", PixelType("int", -5, 5), Block(np.array([[-5]]))),
        ("c", DOUBLE, Block(np.array([[0.1]]))),
    )
    with opened(to_geotiff(image)) as dataset:
        assert dataset.dtypes[0] == "float64"
        assert dataset.read().ravel().tolist() == [65535, -5, 0.1]


def test_archives_name_their_files_and_are_the_same_bytes_again():
    image = picture(("a", BYTE, Block(np.ones((2, 2)))), ("b", BYTE, Block(np.ones((2, 2)))))
    content, kind = encode(image, "ZIPPED_GEO_TIFF_PER_BAND", {}, "name")
    assert kind == "application/zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["name.a.tif", "name.b.tif"]
    assert encode(image, "ZIPPED_GEO_TIFF_PER_BAND", {}, "name")[0] == content
    single, _ = encode(image, "ZIPPED_GEO_TIFF", {}, "name")
    with zipfile.ZipFile(io.BytesIO(single)) as archive:
        assert archive.namelist() == ["name.tif"]


def rgba(content):
    from matplotlib.image import imread

    return np.rint(imread(io.BytesIO(content), format="png") * 255).astype(int)


def test_a_palette_runs_from_its_first_color_to_its_last():
    values = np.array([[0.0, 5.0, 10.0, 99.0]])
    options = {"paletteColors": ["red", "#0000FF"], "ranges": [{"max": 10}]}
    found = rgba(to_png(picture(("x", DOUBLE, Block(values))), options))
    assert found[0, 0].tolist() == [255, 0, 0, 255]
    assert found[0, 2].tolist() == found[0, 3].tolist() == [0, 0, 255, 255]
    assert abs(found[0, 1] - [128, 0, 128, 255]).max() <= 1


def test_three_bands_are_red_green_blue_with_a_range_each():
    one = [("abc"[i], DOUBLE, Block(np.array([[float(10 * i + 5)]]))) for i in range(3)]
    options = {"ranges": [{"min": 10 * i, "max": 10 * i + 10} for i in range(3)], "opacity": 0.5}
    assert np.abs(rgba(to_png(picture(*one), options))[0, 0] - [128, 128, 128, 128]).max() <= 1


def test_gamma_brightens():
    image = picture(("x", DOUBLE, Block(np.array([[0.25]]))))
    options = {"ranges": [{"max": 1}], "gamma": {"value": 2.0}}
    assert abs(rgba(to_png(image, options))[0, 0, 0] - 128) <= 1


def test_a_jpeg_is_one():
    image = picture(("x", BYTE, Block(np.full((16, 16), 200))))
    content = to_jpeg(image, {})
    assert content.startswith(b"\xff\xd8")
    assert encode(image, "JPEG", {}, "")[1] == "image/jpeg"


@pytest.mark.parametrize(
    ("bands", "options", "about"),
    [
        (2, {}, "one band or three"),
        (3, {"paletteColors": ["red"]}, "palette"),
        (1, {"paletteColors": ["reddish"]}, "reddish"),
        (1, {"gamma": 0}, "gamma"),
        (1, {"opacity": "x"}, "opacity"),
        (1, {"ranges": [{"min": "a"}]}, "min"),
        (3, {"ranges": [{}, {}]}, "ranges"),
    ],
)
def test_pictures_that_cannot_be_made_are_refused(bands, options, about):
    image = picture(*[(str(i), BYTE, Block(np.ones((2, 2)))) for i in range(bands)])
    with pytest.raises(ServiceError, match=about) as caught:
        to_png(image, options)
    assert caught.value.code == 400


def test_an_unknown_format_is_refused_by_name():
    with pytest.raises(ServiceError, match="TF_RECORD_IMAGE"):
        encode(picture(("x", BYTE, Block(np.ones((2, 2))))), "TF_RECORD_IMAGE", {}, "x")
