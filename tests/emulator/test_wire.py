"""The stock client, unmodified, on both seams."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import rasterio
from small_catalog import COLLECTION, DEM, FIRST, SECOND, SHAPE, TIMES, UTM, scene_arrays


def refusal(session, call):
    with pytest.raises(session.ee.EEException) as caught:
        call()
    return str(caught.value)


def test_the_client_starts_and_counts(ee_session):
    ee = ee_session.ee
    assert ee.Number(1).add(2).getInfo() == 3
    assert ee.String("a").cat("b").getInfo() == "ab"


def test_an_image_asset_describes_itself(ee_session):
    info = ee_session.ee.Image(FIRST).getInfo()
    assert info["type"] == "Image"
    assert info["id"] == FIRST
    assert [band["id"] for band in info["bands"]] == ["SR_B2", "SR_B3", "SR_B6", "QA_PIXEL"]
    band = info["bands"][0]
    assert band["data_type"] == {"type": "PixelType", "precision": "int", "min": 0, "max": 65535}
    assert band["dimensions"] == [50, 40]
    assert band["crs"] == "EPSG:32648"
    assert band["crs_transform"] == [30, 0, 500010, 0, -30, 5800020]
    assert info["properties"]["system:time_start"] == TIMES[FIRST]
    assert info["properties"]["system:index"] == "LC08_132023_20200701"
    assert info["properties"]["WRS_PATH"] == 132


def test_a_collection_holds_its_images_in_order_of_time(ee_session):
    collection = ee_session.ee.ImageCollection(COLLECTION)
    assert collection.size().getInfo() == 2
    ids = [image["id"] for image in collection.getInfo()["features"]]
    assert ids == [FIRST, SECOND]


def test_unknown_assets_are_refused_in_the_services_words(ee_session):
    ee = ee_session.ee
    assert refusal(ee_session, ee.Image("no/such").getInfo) == (
        "Image.load: Image asset 'no/such' not found "
        "(does not exist or caller does not have access)."
    )
    assert refusal(ee_session, ee.ImageCollection("no/such").getInfo) == (
        "ImageCollection.load: ImageCollection asset 'no/such' not found "
        "(does not exist or caller does not have access)."
    )
    assert "is not an Image." in refusal(ee_session, ee.Image(COLLECTION).getInfo)
    assert "is not an ImageCollection." in refusal(ee_session, ee.ImageCollection(FIRST).getInfo)
    # No id leaves the catalogue's folder.
    assert "not found" in refusal(ee_session, ee.Image("../../../etc/passwd").getInfo)


def test_an_unknown_function_is_refused_by_name(ee_session):
    ee = ee_session.ee
    message = refusal(ee_session, ee.Algorithms.CannyEdgeDetector(ee.Image(1), 1).getInfo)
    assert "CannyEdgeDetector" in message


def test_pixels_come_as_a_structured_array_with_masked_pixels_0(ee_session):
    image = ee_session.ee.Image(FIRST)
    found = ee_session.pixels(image, ["SR_B3", "QA_PIXEL"], SHAPE, UTM.transform)
    arrays = scene_arrays(FIRST)
    assert found.dtype.names == ("SR_B3", "QA_PIXEL")
    assert found.dtype["SR_B3"] == np.uint16
    np.testing.assert_array_equal(found["SR_B3"], arrays["SR_B3"])
    np.testing.assert_array_equal(
        found["QA_PIXEL"], np.where(arrays["QA_PIXEL"] == 1, 0, arrays["QA_PIXEL"])
    )


def test_a_grid_beyond_the_image_is_masked_there(ee_session):
    a, b, c, d, e, f = UTM.transform
    shifted = (a, b, c - 60, d, e, f + 90)
    found = ee_session.pixels(ee_session.ee.Image(FIRST), ["SR_B2"], (46, 54), shifted)["SR_B2"]
    expected = np.zeros((46, 54), np.uint16)
    expected[3:43, 2:52] = scene_arrays(FIRST)["SR_B2"]
    np.testing.assert_array_equal(found, expected)


def test_a_geotiff_carries_grid_names_and_mask(ee_session):
    image = ee_session.ee.Image(FIRST)
    content = ee_session.pixels(image, ["SR_B3"], SHAPE, UTM.transform, file_format="GEO_TIFF")
    with rasterio.open(io.BytesIO(content)) as dataset:
        assert dataset.descriptions == ("SR_B3",)
        assert dataset.crs.to_epsg() == 32648
        assert tuple(dataset.transform)[:6] == UTM.transform
        array = scene_arrays(FIRST)["SR_B3"]
        np.testing.assert_array_equal(dataset.read_masks(1) > 0, array != 0)
        np.testing.assert_array_equal(dataset.read(1)[array != 0], array[array != 0])


def test_another_projection_samples_the_nearest_pixel(ee_session):
    transform = (0.0004, 0.0, 105.0002, 0.0, -0.0003, 52.349)
    found = ee_session.pixels(
        ee_session.ee.Image(FIRST), ["SR_B2"], (20, 30), transform, "EPSG:4326"
    )["SR_B2"]
    from pyproj import Transformer

    lon, lat = np.meshgrid(
        105.0002 + 0.0004 * (np.arange(30) + 0.5), 52.349 - 0.0003 * (np.arange(20) + 0.5)
    )
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32648", always_xy=True)
    x, y = to_utm.transform(lon, lat)
    col = np.floor((x - 500010) / 30).astype(int)
    row = np.floor((5800020 - y) / 30).astype(int)
    inside = (col >= 0) & (col < 50) & (row >= 0) & (row < 40)
    array = scene_arrays(FIRST)["SR_B2"]
    expected = np.where(inside, array[np.clip(row, 0, 39), np.clip(col, 0, 49)], 0)
    assert inside.any()
    np.testing.assert_array_equal(found, expected)


def test_coarser_pixels_are_means_of_those_observed(ee_session):
    a, b, c, d, e, f = UTM.transform
    coarse = (2 * a, b, c, d, 2 * e, f)
    found = ee_session.pixels(ee_session.ee.Image(FIRST), ["SR_B3"], (20, 25), coarse)["SR_B3"]
    array = scene_arrays(FIRST)["SR_B3"].astype(float)
    cells = np.where(array == 0, np.nan, array).reshape(20, 2, 25, 2)
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="empty slice"):
        expected = np.nanmean(cells, axis=(1, 3))
    np.testing.assert_array_equal(found == 0, np.isnan(expected))
    assert np.nanmax(np.abs(np.where(found == 0, np.nan, found) - expected)) <= 0.5


def test_downloads_follow_the_address_given(ee_session):
    ee = ee_session.ee
    image = ee.Image(FIRST).select(["SR_B2", "QA_PIXEL"])
    content = ee_session.fetch(image.getDownloadURL({"format": "GEO_TIFF"}))
    with rasterio.open(io.BytesIO(content)) as dataset:
        assert dataset.shape == SHAPE
        np.testing.assert_array_equal(dataset.read(1), scene_arrays(FIRST)["SR_B2"])
    content = ee_session.fetch(image.getDownloadURL({"name": "../x"}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["x.SR_B2.tif", "x.QA_PIXEL.tif"]
    content = ee_session.fetch(image.getDownloadURL({"format": "ZIPPED_GEO_TIFF"}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["LC08_132023_20200701.tif"]
    content = ee_session.fetch(image.getDownloadURL({"format": "NPY", "bands": ["SR_B2"]}))
    assert np.load(io.BytesIO(content)).dtype.names == ("SR_B2",)


def test_a_download_of_a_grid_and_region_has_just_those_pixels(ee_session):
    ee = ee_session.ee
    region = ee.Geometry.Rectangle([500100, 5799600, 500400, 5799900], "EPSG:32648", False)
    url = (
        ee.Image(FIRST)
        .select("SR_B2")
        .getDownloadURL(
            {
                "format": "GEO_TIFF",
                "crs": "EPSG:32648",
                "crs_transform": list(UTM.transform),
                "region": region,
            }
        )
    )
    with rasterio.open(io.BytesIO(ee_session.fetch(url))) as dataset:
        assert dataset.bounds == (500100, 5799600, 500400, 5799900)
        np.testing.assert_array_equal(dataset.read(1), scene_arrays(FIRST)["SR_B2"][4:14, 3:13])


def test_what_has_no_end_cannot_be_downloaded(ee_session):
    ee = ee_session.ee
    assert refusal(ee_session, lambda: ee.Image(1).getDownloadURL()) == (
        "Unable to export unbounded image."
    )


def test_an_unknown_download_is_not_found(ee_session):
    url = ee_session.ee.Image(FIRST).getDownloadURL({"format": "NPY"})
    assert ee_session.status(url) == 200
    assert ee_session.status(url.replace("/thumbnails/", "/thumbnails/x")) == 404


def test_pixels_of_an_asset_need_no_expression(ee_session):
    found = ee_session.ee.data.getPixels(
        {"assetId": FIRST, "fileFormat": "NUMPY_NDARRAY", "bandIds": ["SR_B2"]}
    )
    np.testing.assert_array_equal(found["SR_B2"], scene_arrays(FIRST)["SR_B2"])
    region = {"type": "Polygon", "coordinates": [[[105.001, 52.345], [105.004, 52.345],
              [105.004, 52.348], [105.001, 52.348], [105.001, 52.345]]]}  # fmt: skip
    part = ee_session.ee.data.getPixels(
        {"assetId": FIRST, "fileFormat": "NUMPY_NDARRAY", "bandIds": ["SR_B2"], "region": region}
    )
    assert part.shape[0] < 40
    assert "does not exist" in refusal(
        ee_session,
        lambda: ee_session.ee.data.getPixels({"assetId": "no/such", "fileFormat": "NPY"}),
    )


def test_limits_are_the_services(ee_session):
    ee = ee_session.ee
    image = ee.Image(FIRST)

    def ask(shape, bands=("SR_B2",), picture=image):
        return refusal(
            ee_session, lambda: ee_session.pixels(picture, list(bands), shape, UTM.transform)
        )

    assert ask((4, 40000)) == (
        "Pixel grid dimensions (40000x4) must be less than or equal to 32768."
    )
    assert ask((6000, 6000)) == (
        "Total request size (72000000 bytes) must be less than or equal to 50331648 bytes."
    )
    assert ask((4, 4), ["SR_B9"]).startswith(
        "Image.select: Band pattern 'SR_B9' did not match any bands. Available bands: [SR_B2,"
    )
    many = ee.Image.constant([1] * 1025)
    assert "1024" in ask((4, 4), (), many)
    long = ee.String("x" * 11_000_000)
    assert refusal(ee_session, long.getInfo) == (
        "Request payload size exceeds the limit: 10485760 bytes."
    )


@pytest.mark.parametrize(
    ("grid", "about"),
    [
        ({"dimensions": {"width": 0, "height": 3}}, "grid.dimensions.width"),
        ({"dimensions": {"width": 3, "height": "x"}}, "grid.dimensions.height"),
        ({"affineTransform": {"scaleX": 1}, "dimensions": {"width": 1, "height": 1}}, "invertible"),
        ({"affineTransform": {"scalex": 1}}, "scalex"),
        ({"affineTransform": {"scaleX": "1"}}, "scaleX"),
        ({"crsCode": "EPSG:123456"}, "EPSG:123456"),
    ],
)
def test_a_malformed_grid_is_refused(ee_session, grid, about):
    request = {"expression": ee_session.ee.Image(FIRST), "fileFormat": "NPY", "grid": grid}
    assert about in refusal(ee_session, lambda: ee_session.ee.data.computePixels(request))


def test_without_a_grid_pixels_are_the_images_own(ee_session):
    request = {
        "expression": ee_session.ee.Image(FIRST),
        "fileFormat": "NUMPY_NDARRAY",
        "bandIds": ["SR_B6"],
    }
    found = ee_session.ee.data.computePixels(request)
    np.testing.assert_array_equal(found["SR_B6"], scene_arrays(FIRST)["SR_B6"])


def test_a_picture_is_a_png_transparent_where_masked(ee_session):
    request = {
        "expression": ee_session.ee.Image(FIRST),
        "fileFormat": "PNG",
        "bandIds": ["SR_B3"],
        "visualizationOptions": {"ranges": [{"min": 0, "max": 65535}]},
    }
    content = ee_session.ee.data.computePixels(request)
    from matplotlib.image import imread

    picture = imread(io.BytesIO(content), format="png")
    array = scene_arrays(FIRST)["SR_B3"]
    np.testing.assert_array_equal(picture[..., 3] > 0, array != 0)
    np.testing.assert_allclose(picture[..., 0][array != 0] * 65535, array[array != 0], atol=130)


def test_a_thumbnail_is_visualised_by_the_expression(ee_session):
    image = ee_session.ee.Image(FIRST).select(["SR_B6", "SR_B3", "SR_B2"])
    url = image.getThumbURL({"min": 0, "max": 65535, "format": "png"})
    from matplotlib.image import imread

    picture = imread(io.BytesIO(ee_session.fetch(url)), format="png")
    arrays = scene_arrays(FIRST)
    observed = (arrays["SR_B3"] != 0) & (arrays["SR_B2"] != 0)
    np.testing.assert_array_equal(picture[..., 3] > 0, observed)
    for channel, name in enumerate(("SR_B6", "SR_B3", "SR_B2")):
        shade = picture[..., channel][observed] * 255
        assert np.abs(shade - arrays[name][observed] / 65535 * 255).max() <= 1.01


def test_unknown_formats_are_refused_by_name(ee_session):
    image = ee_session.ee.Image(FIRST)
    message = refusal(ee_session, lambda: image.getDownloadURL({"format": "TFRECORD"}))
    assert "TF_RECORD_IMAGE" in message


def test_folders_and_collections_are_made_listed_changed_and_deleted(ee_session):
    data = ee_session.ee.data
    root = "projects/local/assets/made"
    made = data.createFolder(root)
    assert made["type"] == "FOLDER"
    assert made["id"] == made["name"] == root
    data.createAsset({"type": "IMAGE_COLLECTION", "properties": {"a": 1}}, f"{root}/series")
    assert [asset["id"] for asset in data.listAssets(root)["assets"]] == [f"{root}/series"]
    assert data.getAsset(f"{root}/series")["properties"] == {"a": 1}
    data.updateAsset(
        f"{root}/series",
        {"properties": {"b": 2, "a": None}, "startTime": "2020-06-01T00:00:00Z"},
        ['properties."a"', "properties.b", "start_time"],
    )
    changed = data.getAsset(f"{root}/series")
    assert changed["properties"] == {"b": 2}
    assert changed["startTime"] == "2020-06-01T00:00:00.000Z"
    assert "not empty" in refusal(ee_session, lambda: data.deleteAsset(root))
    assert "already exists" in refusal(ee_session, lambda: data.createFolder(root))
    data.deleteAsset(f"{root}/series")
    data.deleteAsset(root)
    assert refusal(ee_session, lambda: data.deleteAsset(root)) == (
        f"Asset '{root}' does not exist or doesn't allow this operation."
    )


def test_an_asset_shows_its_bands_and_grid(ee_session):
    asset = ee_session.ee.data.getAsset(FIRST)
    assert asset["name"] == f"projects/earthengine-public/assets/{FIRST}"
    assert asset["id"] == FIRST
    assert asset["type"] == "IMAGE"
    assert asset["startTime"] == "2020-07-01T03:00:00.000Z"
    assert asset["properties"] == {"WRS_PATH": 132, "CLOUD_COVER": 10.5}
    band = asset["bands"][0]
    assert band["id"] == "SR_B2"
    assert band["dataType"] == {"precision": "INT", "range": {"max": 65535}}
    assert band["grid"]["crsCode"] == "EPSG:32648"
    assert band["grid"]["dimensions"] == {"width": 50, "height": 40}
    assert band["grid"]["affineTransform"] == {
        "scaleX": 30, "translateX": 500010, "scaleY": -30, "translateY": 5800020,
    }  # fmt: skip
    assert asset["geometry"]["type"] == "Polygon"


def test_lists_come_in_pages_and_filtered(ee_session):
    data = ee_session.ee.data

    def listed(**options):
        found = data.listAssets({"parent": COLLECTION, **options})
        return [asset["id"] for asset in found["assets"]], found.get("nextPageToken")

    assert listed() == ([FIRST, SECOND], None)
    page, token = listed(pageSize=1)
    assert page == [FIRST]
    assert listed(pageSize=1, pageToken=token) == ([SECOND], None)
    assert listed(filter="properties.CLOUD_COVER < 20")[0] == [FIRST]
    assert listed(filter='startTime >= "2020-07-10T00:00:00Z" AND type = IMAGE')[0] == [SECOND]
    found = data.listImages(
        {
            "parent": COLLECTION,
            "region": {"type": "Point", "coordinates": [0, 0]},
            "startTime": "2020-01-01T00:00:00Z",
        }
    )
    assert found["images"] == []
    message = refusal(ee_session, lambda: listed(filter="cloud? yes"))
    assert message.startswith("filter: not understood")


def test_a_project_lists_its_root_whichever_way_the_client_asks(ee_session):
    ee = ee_session.ee
    listed = ee.data.listAssets("projects/local/assets")["assets"]
    assert "projects/local/assets/maps" in [asset["id"] for asset in listed]
    assert ee.data.listBuckets("projects/local")["assets"] == listed
    assert ee.data.getAsset("projects/local/assets")["type"] == "FOLDER"


def test_an_address_too_long_for_one_line_comes_as_a_form(ee_session):
    # googleapiclient turns a GET of more than 2048 letters into a POST.
    condition = " AND ".join(["properties.CLOUD_COVER < 20"] * 100)
    found = ee_session.ee.data.listAssets({"parent": COLLECTION, "filter": condition})
    assert [asset["id"] for asset in found["assets"]] == [FIRST]


def test_the_public_catalogue_is_read_only(ee_session):
    data = ee_session.ee.data
    for call in (
        lambda: data.deleteAsset(FIRST),
        lambda: data.createFolder("LANDSAT/new"),
        lambda: data.updateAsset(FIRST, {"properties": {}}, ["properties"]),
    ):
        assert "Permission denied" in refusal(ee_session, call)
    assert data.getAsset(FIRST)


@pytest.mark.parametrize("bad", ["a b", "x/../y", "x//y", "ü", "x" * 300])
def test_a_malformed_asset_id_is_refused(ee_session, bad):
    data = ee_session.ee.data
    message = refusal(ee_session, lambda: data.createFolder(f"projects/local/assets/{bad}"))
    assert message.startswith("Invalid asset id")


def test_a_parent_that_is_not_there_is_named(ee_session):
    data = ee_session.ee.data
    message = refusal(ee_session, lambda: data.createFolder("projects/local/assets/no/where"))
    assert message == (
        "Asset 'projects/local/assets/no' does not exist or doesn't allow this operation."
    )


def test_only_folders_and_collections_are_made_empty(ee_session):
    data = ee_session.ee.data
    message = refusal(
        ee_session, lambda: data.createAsset({"type": "TABLE"}, "projects/local/assets/table")
    )
    assert "'TABLE'" in message


def test_a_project_has_settings_that_cannot_be_changed(ee_session):
    data = ee_session.ee.data
    assert data.getProjectConfig()["maxConcurrentExports"] == 2
    message = refusal(ee_session, lambda: data.updateProjectConfig({"maxConcurrentExports": 9}))
    assert "cannot be changed" in message


def test_elevation_is_float_with_gaps_masked(ee_session):
    found = ee_session.ee.data.getPixels({"assetId": DEM, "fileFormat": "NUMPY_NDARRAY"})
    assert found.dtype["DEM"] == np.float32
    assert (found["DEM"][0, :5] == 0).all()
    assert (found["DEM"][1:] > 399).all()


def test_legacy_ids_are_kept_apart_from_projects(ee_session):
    data = ee_session.ee.data
    data.createFolder("users/someone/old")
    asset = data.getAsset("users/someone/old")
    assert asset["id"] == "users/someone/old"
    assert asset["name"] == "projects/earthengine-legacy/assets/users/someone/old"
    data.deleteAsset("users/someone/old")
