"""Scenes and rasters into the catalogue: right to the bit, or refused in one line."""

from __future__ import annotations

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time

import numpy as np
import pytest
import rasterio
from small_scene import MTL, NAME, SHAPE, TRANSFORM, pack, scene_bands, write_band, write_scene

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.ingest import ingest
from water_gee.errors import IngestError

ASSET = "LANDSAT/LC08/C02/T1_L2/LC08_132023_20200701"
NAMES = ["SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "QA_PIXEL"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "catalog"


def record_of(folder, asset_id):
    with Catalog.open(folder) as catalog:
        return catalog.image_record(asset_id)


def bands_of(folder, asset_id):
    """Every band as rasterio reads its file."""
    with Catalog.open(folder) as catalog:
        record = catalog.image_record(asset_id)
        found = {}
        for band in record.bands:
            with rasterio.open(catalog.path / record.folder / band.file) as dataset:
                found[band.name] = dataset.read(1, masked=True)
        return found


def refused(folder, paths, **options):
    with pytest.raises(IngestError) as caught:
        ingest(folder, paths, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_scene_gets_earth_engines_id_bands_and_properties(folder, tmp_path):
    assert ingest(folder, [write_scene(tmp_path / "scene")]) == [ASSET]
    record = record_of(folder, ASSET)
    assert [band.name for band in record.bands] == NAMES
    assert record.bands[0].projection.crs == "EPSG:32648"
    assert record.bands[0].projection.transform == tuple(TRANSFORM)[:6]
    assert record.bands[0].shape == SHAPE
    assert record.start_time == record.end_time == 1_593_574_937_123
    assert record.properties["WRS_PATH"] == 132
    assert record.properties["CLOUD_COVER"] == 12.5
    assert record.properties["LANDSAT_PRODUCT_ID"] == NAME
    assert not [name for name in record.properties if name.startswith("water_gee:")]
    with Catalog.open(folder) as catalog:
        assert catalog.record("LANDSAT/LC08/C02/T1_L2").type == "IMAGE_COLLECTION"
        assert catalog.record("LANDSAT/LC08/C02").type == "FOLDER"


def test_pixels_are_the_files_own_and_fill_is_masked_everywhere(folder, tmp_path):
    expected = scene_bands()
    expected["QA_PIXEL"][5, 5] = 1  # fill here, although the reflectances are not 0
    expected["SR_B4"][7, 7] = 0  # missing in one band alone
    ingest(folder, [write_scene(tmp_path / "scene", bands=expected)])
    for name, found in bands_of(folder, ASSET).items():
        valid = expected["QA_PIXEL"] != 1
        if name != "QA_PIXEL":
            valid = valid & (expected[name] != 0)
        np.testing.assert_array_equal(~np.ma.getmaskarray(found), valid)
        np.testing.assert_array_equal(found.data[valid], expected[name][valid])


@pytest.mark.parametrize("name", ["scene.tar", f"{NAME}.tar.gz", "scene.tgz"])
def test_a_tar_is_a_scene_too(folder, tmp_path, name):
    tar = pack(write_scene(tmp_path / "scene"), tmp_path / name)
    assert ingest(folder, [tar]) == [ASSET]
    found = bands_of(folder, ASSET)
    np.testing.assert_array_equal(found["SR_B2"].data, scene_bands()["SR_B2"])
    with Catalog.open(folder) as catalog:
        assert not list(catalog.staging.iterdir())


def test_names_in_a_tar_are_never_paths(folder, tmp_path):
    scene = write_scene(tmp_path / "scene")
    tar = pack(scene, tmp_path / "scene.tar", prefix="../../../outside/")
    with tarfile.open(tar, "a") as archive:
        link = tarfile.TarInfo(f"{NAME}_SR_B1.TIF")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../x_MTL.txt.exe"), io.BytesIO())
    assert ingest(folder, [tar]) == [ASSET]
    assert not (tmp_path.parent / "outside").exists()
    assert [band.name for band in record_of(folder, ASSET).bands] == NAMES


def test_a_folder_of_folders_and_tars_gives_all_its_scenes(folder, tmp_path):
    many = tmp_path / "many"
    write_scene(many / "a")
    other = "LC08_L2SP_132023_20200717_20200913_02_T2"
    write_scene(
        tmp_path / "b", name=other, DATE_ACQUIRED="2020-07-17", LANDSAT_PRODUCT_ID=f'"{other}"'
    )
    pack(tmp_path / "b", many / "b.tar")
    (many / "notes.txt").write_text("not for us")
    (many / "empty").mkdir()
    second = "LANDSAT/LC08/C02/T2_L2/LC08_132023_20200717"
    assert sorted(ingest(folder, [many])) == sorted([ASSET, second])
    assert ingest(folder, [many / "a" / f"{NAME}_MTL.txt"]) == [ASSET]


def test_the_same_again_is_skipped_and_a_change_replaces(folder, tmp_path):
    scene = write_scene(tmp_path / "scene")
    ingest(folder, [scene])
    version = record_of(folder, ASSET).updated
    assert ingest(folder, [scene]) == [ASSET]
    assert record_of(folder, ASSET).updated == version
    changed = scene_bands()["SR_B2"]
    changed[3, 3] = 12345
    write_band(scene / f"{NAME}_SR_B2.TIF", changed)
    ingest(folder, [scene])
    assert record_of(folder, ASSET).updated > version
    assert bands_of(folder, ASSET)["SR_B2"][3, 3] == 12345
    ingest(folder, [scene], properties={"season": "summer"})
    assert record_of(folder, ASSET).properties["season"] == "summer"


def test_without_qa_one_is_made_and_says_so(folder, tmp_path):
    bands = scene_bands()
    del bands["QA_PIXEL"]
    bands["SR_B4"][4, :4] = 9000  # red 0.0475
    bands["SR_B5"][4, :4] = 8000  # nir 0.02: water
    ingest(folder, [write_scene(tmp_path / "scene", bands=bands)])
    record = record_of(folder, ASSET)
    assert record.properties["water_gee:qa_source"] == "CFMask water test, made at ingest"
    qa = bands_of(folder, ASSET)["QA_PIXEL"]
    assert np.ma.getmaskarray(qa)[0].all()
    assert (qa[4, :4] == 21952).all()
    red, nir = (bands[name] * 0.0000275 - 0.2 for name in ("SR_B4", "SR_B5"))
    ndvi = (nir - red) / (nir + red)
    water = ((ndvi < 0.01) & (nir < 0.11)) | ((ndvi < 0.1) & (nir < 0.05))
    np.testing.assert_array_equal(qa.data[1:] == 21952, water[1:])


def test_files_without_a_place_take_it_from_the_metadata(folder, tmp_path):
    scene = write_scene(tmp_path / "scene", bands={})
    for name, values in scene_bands().items():
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            write_band(
                scene / f"{NAME}_{name}.TIF", values, crs=None, transform=rasterio.Affine.identity()
            )
    ingest(folder, [scene])
    # The metadata gives the centre of the corner pixel.
    assert record_of(folder, ASSET).bands[0].projection.transform == tuple(TRANSFORM)[:6]
    write_scene(scene, bands={}, REFLECTIVE_LINES="13")
    assert "12 x 9 pixels and no georeference, the MTL describes 13 x 9" in refused(folder, [scene])


def test_elevation_goes_where_earth_engine_has_it(folder, tmp_path):
    heights = np.array([[100.5, -32767.0], [7.0, 8.0]], np.float32)
    write_band(tmp_path / "N52 E105.tif", heights, nodata=-32767)
    glo30 = "COPERNICUS/DEM/GLO30"
    assert ingest(folder, [tmp_path / "N52 E105.tif"], dem=True) == [f"{glo30}/N52_E105"]
    found = bands_of(folder, f"{glo30}/N52_E105")
    assert list(found) == ["DEM"]
    assert np.ma.getmaskarray(found["DEM"]).tolist() == [[False, True], [False, False]]
    path = [tmp_path / "N52 E105.tif"]
    assert ingest(folder, path, asset_id=f"{glo30}/mine") == [f"{glo30}/mine"]
    assert ingest(folder, path, asset_id=glo30) == [f"{glo30}/N52_E105"]
    assert ingest(folder, path, asset_id="CGIAR/SRTM90_V4") == ["CGIAR/SRTM90_V4"]
    assert list(bands_of(folder, "CGIAR/SRTM90_V4")) == ["elevation"]
    with Catalog.open(folder) as catalog:
        assert len(catalog.load_collection(glo30)) == 2


def test_a_plain_raster_needs_an_id_and_takes_properties(folder, tmp_path):
    path = tmp_path / "plain.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=2, width=3, count=2, dtype="int16", crs="EPSG:32648",
        transform=TRANSFORM, nodata=-1,
    ) as dataset:  # fmt: skip
        dataset.write(np.arange(12, dtype=np.int16).reshape(2, 2, 3) - 1)
        dataset.descriptions = ("red", "nir")
    made = ingest(
        folder,
        [path],
        asset_id="projects/local/assets/deep/er/plain",
        properties={"system:time_start": "2020-07-01", "system:time_end": 5, "who": "me"},
    )
    assert made == ["projects/local/assets/deep/er/plain"]
    record = record_of(folder, made[0])
    assert (record.start_time, record.end_time) == (1_593_561_600_000, 5)
    assert record.properties == {"who": "me"}
    found = bands_of(folder, made[0])
    assert list(found) == ["red", "nir"]
    assert np.ma.getmaskarray(found["red"]).sum() == 1
    many = ingest(folder, [path, path], asset_id="projects/local/assets/series")
    assert many == ["projects/local/assets/series/plain"] * 2
    with Catalog.open(folder) as catalog:
        assert len(catalog.load_collection("projects/local/assets/series")) == 1


def test_an_alpha_band_is_a_mask(folder, tmp_path):
    path = tmp_path / "rgba.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=2, width=2, count=4, dtype="uint8", crs="EPSG:32648",
        transform=TRANSFORM, photometric="RGB", alpha="yes",
    ) as dataset:  # fmt: skip
        dataset.write(np.array([[[1, 2], [3, 4]]] * 3 + [[[255, 0], [255, 255]]], np.uint8))
    (made,) = ingest(folder, [path], asset_id="projects/local/assets/rgba")
    found = bands_of(folder, made)
    assert list(found) == ["b1", "b2", "b3"]
    assert np.ma.getmaskarray(found["b2"]).tolist() == [[False, True], [False, False]]


# What is refused ---------------------------------------------------------------------------------


def test_a_missing_band_is_named(folder, tmp_path):
    bands = scene_bands()
    del bands["SR_B3"]
    message = refused(folder, [write_scene(tmp_path / "scene", bands=bands)])
    assert message == f"{NAME}: band SR_B3 is missing (there is no {NAME}_SR_B3.TIF)"


def test_bands_on_two_grids_are_named(folder, tmp_path):
    scene = write_scene(tmp_path / "scene")
    moved = rasterio.Affine(30.0, 0.0, 500040.0, 0.0, -30.0, 5800020.0)
    write_band(scene / f"{NAME}_SR_B6.TIF", scene_bands()["SR_B6"], transform=moved)
    assert refused(folder, [scene]) == f"{NAME}: SR_B2 and SR_B6 have different grids"
    write_band(scene / f"{NAME}_SR_B6.TIF", scene_bands()["SR_B6"][:5])
    assert "SR_B2 and SR_B6 have different grids" in refused(folder, [scene])


@pytest.mark.parametrize("field", ["WRS_PATH", "DATE_ACQUIRED", "SCENE_CENTER_TIME", "CLOUD_COVER",
                                   "SPACECRAFT_ID", "SUN_ELEVATION"])  # fmt: skip
def test_a_field_that_is_not_there_is_named(folder, tmp_path, field):
    message = refused(folder, [write_scene(tmp_path / "scene", **{field: None})])
    assert message == f"{NAME}_MTL.txt lacks the field {field}"


def test_metadata_of_another_scene_is_refused(folder, tmp_path):
    other = NAME.replace("0701", "0702")
    scene = write_scene(tmp_path / "a", mtl=MTL.format(name=other))
    assert f"describes another scene: {other}" in refused(folder, [scene])
    scene = write_scene(tmp_path / "b", mtl_name=other, mtl=MTL.format(name=other))
    message = refused(folder, [scene])
    assert f"no {NAME}_MTL.txt beside it" in message
    assert "describes another scene" in message
    scene = write_scene(tmp_path / "c", DATE_ACQUIRED="2020-07-02")
    assert "describes another scene: path 132, row 23, 20200702" in refused(folder, [scene])
    scene = write_scene(tmp_path / "d", SPACECRAFT_ID='"LANDSAT_9"')
    assert "sensor LC08 of LANDSAT_9" in refused(folder, [scene])


def test_bands_without_metadata_are_refused(folder, tmp_path):
    scene = write_scene(tmp_path / "scene")
    (scene / f"{NAME}_MTL.txt").unlink()
    assert f"no {NAME}_MTL.txt beside it" in refused(folder, [scene])


def test_files_that_are_no_rasters_are_named(folder, tmp_path):
    scene = write_scene(tmp_path / "scene")
    (scene / f"{NAME}_SR_B4.TIF").write_bytes(b"this is no raster")
    assert f"{NAME}_SR_B4.TIF is no raster" in refused(folder, [scene])
    whole = (scene / f"{NAME}_SR_B5.TIF").read_bytes()
    write_band(scene / f"{NAME}_SR_B4.TIF", scene_bands()["SR_B4"])
    (scene / f"{NAME}_SR_B5.TIF").write_bytes(whole[: len(whole) - 60])
    assert "SR_B5.TIF" in refused(folder, [scene])
    text = tmp_path / "text.tif"
    text.write_text("hello")
    assert "is no raster" in refused(folder, [text], asset_id="projects/local/assets/x")


def test_a_broken_tar_is_refused(folder, tmp_path):
    tar = pack(write_scene(tmp_path / "scene"), tmp_path / "scene.tar.gz")
    content = tar.read_bytes()
    tar.write_bytes(content[: len(content) // 2])
    assert "is damaged or no tar" in refused(folder, [tar])
    tar.write_bytes(b"not a tar")
    assert "is damaged or no tar" in refused(folder, [tar])
    with tarfile.open(tar, "w:gz"):
        pass
    assert "holds no Landsat scene" in refused(folder, [tar])
    with Catalog.open(folder) as catalog:
        assert not list(catalog.staging.iterdir())


def test_level_1_is_refused_with_what_is_needed(folder, tmp_path):
    scene = write_scene(tmp_path / "scene", bands={"B2": scene_bands()["SR_B2"]})
    assert "Level 2 surface reflectance (SR_B*) is needed" in refused(folder, [scene])


def test_other_faults_are_one_line_each(folder, tmp_path):
    plain = tmp_path / "plain.tif"
    write_band(plain, np.ones((2, 2), np.uint8))
    assert "does not exist" in refused(folder, [tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    assert "holds no Landsat scene" in refused(folder, [tmp_path / "empty"])
    assert "needs an asset id" in refused(folder, [plain])
    assert "Invalid asset id" in refused(folder, [plain], asset_id="a b")
    for properties, about in (
        ({"system:time_start": "soon"}, "system:time_start is neither"),
        ({"system:index": "x"}, "system:index follows from the image"),
        ({"who": object()}, "the property who is a object"),
    ):
        assert about in refused(
            folder, [plain], asset_id="projects/local/assets/x", properties=properties
        )
    two = tmp_path / "two.tif"
    with rasterio.open(
        two, "w", driver="GTiff", height=2, width=2, count=2, dtype="uint8", crs="EPSG:32648",
        transform=TRANSFORM,
    ):  # fmt: skip
        pass
    assert "2 bands; elevation is a single band" in refused(folder, [two], dem=True)
    placeless = tmp_path / "placeless.tif"
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_band(
            placeless, np.ones((2, 2), np.uint8), crs=None, transform=rasterio.Affine.identity()
        )
    message = refused(folder, [placeless], asset_id="projects/local/assets/x")
    assert "has no coordinate reference system" in message
    write_band(tmp_path / "c.tif", np.ones((2, 2), np.complex64))
    assert "complex64" in refused(folder, [tmp_path / "c.tif"], asset_id="projects/local/assets/x")


def test_a_full_disk_is_one_line_and_leaves_nothing(folder, tmp_path):
    write_scene(tmp_path / "scene")
    big = np.random.default_rng(0).integers(1, 60000, (900, 900)).astype(np.uint16)
    write_band(tmp_path / "big.tif", big)
    code = textwrap.dedent(
        """
        import resource, sys
        from water_gee.emulator.ingest import ingest
        from water_gee.errors import IngestError

        # A file may not grow beyond a megabyte: writing fails as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        try:
            ingest(sys.argv[1], [sys.argv[2]], asset_id="projects/local/assets/big")
        except IngestError as error:
            print(error)
        """
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "big.tif")],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    lines = found.stdout.splitlines()
    assert len(lines) == 1, found
    assert "big.tif cannot be ingested: cannot write" in lines[0]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    with Catalog.open(folder) as catalog:
        assert catalog.record("projects/local/assets/big") is None
        assert not list(catalog.staging.iterdir())
        assert not [path for path in catalog.pixels.rglob("*") if path.is_file()]


def test_a_full_disk_is_called_so(folder, tmp_path, monkeypatch):
    import water_gee.emulator.bandfiles as bandfiles

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bandfiles, "flush", full)
    message = refused(folder, [write_scene(tmp_path / "scene")])
    assert "is full; make room or use another catalogue folder" in message


RUNNER = textwrap.dedent(
    """
    import sys
    from water_gee.emulator.ingest import ingest

    print("begins", flush=True)
    print(ingest(sys.argv[1], sys.argv[2:]), flush=True)
    """
)


def test_killed_midway_the_same_call_goes_on(folder, tmp_path):
    scenes = []
    for day in range(1, 7):
        name = NAME.replace("20200701", f"2020070{day}")
        write_scene(tmp_path / f"s{day}", name=name, DATE_ACQUIRED=f"2020-07-0{day}")
        scenes.append(str(tmp_path / f"s{day}"))
    runner = [sys.executable, "-c", RUNNER, str(folder), *scenes]
    for pause in (0.05, 0.2, 0.4):
        process = subprocess.Popen(runner, stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    made = ingest(folder, scenes)
    assert len(set(made)) == 6
    for asset_id in made:
        found = bands_of(folder, asset_id)
        np.testing.assert_array_equal(found["SR_B2"].data, scene_bands()["SR_B2"])
    with Catalog.open(folder) as catalog:
        assert not list(catalog.staging.iterdir())


# Real scenes -------------------------------------------------------------------------------------


def test_canberra_is_converted_from_collection_1(folder, shared_data):
    source = shared_data / "landsat8_c1_canberra"
    (made,) = ingest(folder, [source])
    assert made == "LANDSAT/LC08/C02/T1_L2/LC08_091084_20190205"
    record = record_of(folder, made)
    assert record.start_time == 1_549_410_974_512
    assert record.properties["water_gee:converted_from"].startswith("Landsat Collection 1")
    assert record.properties["SPACECRAFT_ID"] == "LANDSAT_8"
    assert "water_gee:qa_source" not in record.properties
    found = bands_of(folder, made)
    assert list(found) == [*(f"SR_B{band}" for band in range(1, 8)), "QA_PIXEL"]
    (qa_file,) = source.glob("*_pixel_qa.tif")
    with rasterio.open(qa_file) as dataset:
        pixel_qa = dataset.read(1)
    fill = pixel_qa == 1
    np.testing.assert_array_equal(np.ma.getmaskarray(found["QA_PIXEL"]), fill)
    water = (found["QA_PIXEL"].data & 128) > 0
    np.testing.assert_array_equal(water, (pixel_qa & 4) > 0)
    assert water.sum() == 3883
    (green_file,) = source.glob("*_sr_band3.tif")
    with rasterio.open(green_file) as dataset:
        reflectance = dataset.read(1) * 0.0001
        assert record.bands[0].projection.transform == tuple(dataset.transform)[:6]
    back = found["SR_B3"].data * 0.0000275 - 0.2
    valid = ~np.ma.getmaskarray(found["SR_B3"])
    np.testing.assert_array_equal(valid, ~fill)
    assert np.abs(back - reflectance)[valid].max() < 0.0000138


def test_manaus_and_brumadinho_have_their_places_and_a_qa_made_here(folder, shared_data):
    made = ingest(folder, sorted((shared_data / "landsat_c2l2").glob("*.tar.gz")))
    assert made == [
        "LANDSAT/LC08/C02/T1_L2/LC08_218074_20190114",
        "LANDSAT/LC08/C02/T1_L2/LC08_218074_20190130",
        "LANDSAT/LC09/C02/T1_L2/LC09_231062_20230723",
    ]
    record, found = record_of(folder, made[2]), bands_of(folder, made[2])
    (stack,) = (shared_data / "landsat_c2l2").glob("LC09*_SR_stack.tif")
    with rasterio.open(stack) as dataset:
        assert record.bands[0].projection.crs == f"EPSG:{dataset.crs.to_epsg()}"
        assert record.bands[0].projection.transform == tuple(dataset.transform)[:6]
        assert record.bands[0].shape == dataset.shape
        for index, name in enumerate(dataset.descriptions, start=1):
            difference = found[name].data.astype(int) - dataset.read(index)
            assert np.abs(difference).max() <= 16  # the stack's numbers were rounded
    assert record.properties["water_gee:qa_source"] == "CFMask water test, made at ingest"
    assert record.properties["DATE_ACQUIRED"] == "2023-07-23"
    water = found["QA_PIXEL"].data == 21952
    assert 0.35 < water.mean() < 0.47


def test_whole_scenes_with_xml_metadata_and_true_qa(folder, shared_data):
    made = ingest(folder, [shared_data / "landsat_c2l2_qa"])
    assert sorted(made) == [
        "LANDSAT/LC08/C02/T1_L2/LC08_008059_20191201",
        "LANDSAT/LC08/C02/T2_L2/LC08_005009_20150710",
    ]
    found = bands_of(folder, "LANDSAT/LC08/C02/T1_L2/LC08_008059_20191201")
    (qa_file,) = (shared_data / "landsat_c2l2_qa" / "colombia_2019").glob("*_QA_PIXEL.TIF")
    with rasterio.open(qa_file) as dataset:
        qa = dataset.read(1)
    np.testing.assert_array_equal(found["QA_PIXEL"].data, qa)
    for band in found.values():
        np.testing.assert_array_equal(np.ma.getmaskarray(band), qa == 1)


def test_tucurui_is_level_1_and_its_elevation_is_taken(folder, shared_data, tmp_path):
    source = shared_data / "landsat5_tucurui"
    assert "holds Level 1 digital numbers" in refused(folder, [source])
    (made,) = ingest(folder, [source / "srtm_lsat.tif"], dem=True)
    with rasterio.open(source / "srtm_lsat.tif") as dataset:
        np.testing.assert_array_equal(bands_of(folder, made)["DEM"].data, dataset.read(1))


def test_one_bad_scene_leaves_those_before_it(folder, tmp_path):
    good = write_scene(tmp_path / "good")
    bad = tmp_path / "bad"
    shutil.copytree(good, bad)
    os.remove(bad / f"{NAME}_SR_B2.TIF")  # noqa: PTH107
    refused(folder, [good, bad])
    assert record_of(folder, ASSET).id == ASSET


@pytest.mark.parametrize("whole", [True, False])
def test_a_sentinel_2_crop_goes_into_its_collection_and_its_classes_are_not_averaged(
    folder, tmp_path, whole
):
    """One file alone made a folder of the collection's id, which no ImageCollection loads."""
    path = tmp_path / "20200711T102031_20200711T102031_T48UXC.tif"
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 2, "dtype": "uint16"}
    with rasterio.open(path, "w", crs="EPSG:32648", transform=TRANSFORM, **profile) as target:
        target.write(np.array([[[1, 2], [3, 4]], [[6, 6], [4, 6]]], np.uint16))
        target.descriptions = ("B3", "SCL")
    collection = "COPERNICUS/S2_SR_HARMONIZED"
    asset_id = collection if whole else f"{collection}/{path.stem}"
    assert ingest(folder, [path], asset_id=asset_id) == [f"{collection}/{path.stem}"]
    record = record_of(folder, f"{collection}/{path.stem}")
    assert {band.name: band.policy for band in record.bands} == {"B3": "MEAN", "SCL": "SAMPLE"}
    with Catalog.open(folder) as catalog:
        assert catalog.record(collection).type == "IMAGE_COLLECTION"
