"""Exports to assets: exact pixels, exact masks, and states that survive a crash."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import rasterio
from small_catalog import COLLECTION, FIRST, UTM, client_in_process, scene_arrays

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.service import Service
from water_gee.emulator.tasks import CANCELLED, FAILED, PENDING, RUNNING, SUCCEEDED

ASSET = "projects/local/assets/maps/out"


def stored(catalog, asset_id=ASSET):
    """Every band of an asset as rasterio reads its file: name -> masked array."""
    record = catalog.image_record(asset_id)
    found = {}
    for band in record.bands:
        with rasterio.open(catalog.path / record.folder / band.file) as dataset:
            found[band.name] = dataset.read(1, masked=True)
    return record, found


def test_an_export_keeps_pixels_masks_names_and_properties(ee_session):
    ee = ee_session.ee
    image = ee.Image(FIRST)
    green = image.select("SR_B3").multiply(0.0000275).add(-0.2).toFloat().rename("Green")
    water = image.select("QA_PIXEL").bitwiseAnd(128).gt(0).toByte().rename("water")
    both = green.addBands(water).set({"note": "x", "system:time_start": 1234})
    done = ee_session.export(both, ASSET, overwrite=True)
    assert (done.state, done.progress, done.error) == (SUCCEEDED, 1.0, None)
    record, bands = stored(ee_session.service.catalog)
    arrays = scene_arrays(FIRST)
    mask = arrays["SR_B3"] != 0
    np.testing.assert_array_equal(~np.ma.getmaskarray(bands["Green"]), mask)
    expected = (arrays["SR_B3"] * 0.0000275 - 0.2).astype(np.float32)
    np.testing.assert_array_equal(bands["Green"].data[mask], expected[mask])
    qa = arrays["QA_PIXEL"]
    np.testing.assert_array_equal(~np.ma.getmaskarray(bands["water"]), qa != 1)
    np.testing.assert_array_equal(bands["water"].data[qa != 1], (qa[qa != 1] & 128) > 0)
    assert bands["water"].dtype == np.uint8
    assert record.properties["note"] == "x"
    assert record.start_time == 1234
    info = ee.Image(ASSET).getInfo()
    assert [band["id"] for band in info["bands"]] == ["Green", "water"]
    assert info["bands"][0]["crs_transform"] == [30, 0, 500010, 0, -30, 5800020]
    assert info["bands"][0]["dimensions"] == [50, 40]
    assert info["properties"]["note"] == "x"
    again = ee_session.pixels(ee.Image(ASSET), ["Green"], (40, 50), UTM.transform)["Green"]
    np.testing.assert_array_equal(again, np.where(mask, expected, 0))


def test_a_task_is_seen_as_the_client_sees_tasks(ee_session):
    ee = ee_session.ee
    task = ee.batch.Export.image.toAsset(
        image=ee.Image(FIRST), description="seen", assetId=f"{ASSET}_seen", overwrite=True
    )
    task.start()
    ee_session.service.tasks.wait(task.id, 60)
    status = task.status()
    assert status["state"] == "COMPLETED"
    assert status["description"] == "seen"
    assert status["task_type"] == "EXPORT_IMAGE"
    assert status["destination_uris"] == [f"{ASSET}_seen"]
    created, started = status["creation_timestamp_ms"], status["start_timestamp_ms"]
    assert created <= started <= status["update_timestamp_ms"]
    assert not task.active()
    listed = ee.data.listOperations()
    assert task.id in [one["name"].rpartition("/")[2] for one in listed]
    task.cancel()  # too late: nothing changes
    assert task.status()["state"] == "COMPLETED"


def test_crs_and_transform_give_that_grid_over_the_region(ee_session):
    ee = ee_session.ee
    done = ee_session.export(
        ee.Image(FIRST).select("SR_B2"),
        ASSET,
        overwrite=True,
        crs="EPSG:4326",
        crsTransform=[0.0004, 0, 105, 0, -0.0003, 52.36],
        region=ee.Geometry.Rectangle([105.003, 52.343, 105.011, 52.349], None, False),
    )
    assert done.state == SUCCEEDED, done.error
    record, bands = stored(ee_session.service.catalog)
    band = record.bands[0]
    # Columns 7.5 to 27.5 and rows 36.67 to 56.67, outward to whole pixels.
    assert band.shape == (57 - 36, 28 - 7)
    expected = (0.0004, 0, 105 + 7 * 0.0004, 0, -0.0003, 52.36 - 36 * 0.0003)
    np.testing.assert_allclose(band.projection.transform, expected, atol=1e-12)
    assert bands["SR_B2"].count() > 0


def test_a_scale_gives_square_pixels_of_that_size(ee_session):
    done = ee_session.export(
        ee_session.ee.Image(FIRST).select("SR_B2"), ASSET, overwrite=True, scale=60
    )
    assert done.state == SUCCEEDED, done.error
    band = ee_session.service.catalog.image_record(ASSET).bands[0]
    assert band.projection.transform == (60, 0, 500010, 0, -60, 5800020)
    assert band.shape == (20, 25)


def test_a_computed_image_larger_than_one_window_has_no_seams(ee_session):
    ee = ee_session.ee
    image = ee.Image.pixelLonLat().reproject("EPSG:4326", [0.001, 0, 10, 0, -0.001, 50])
    region = ee.Geometry.Rectangle([10, 49.4, 10.7, 50], None, False)
    done = ee_session.export(image.clip(region).toFloat(), ASSET, overwrite=True)
    assert done.state == SUCCEEDED, done.error
    _, bands = stored(ee_session.service.catalog)
    lon, lat = np.meshgrid(10 + 0.001 * (np.arange(700) + 0.5), 50 - 0.001 * (np.arange(600) + 0.5))
    assert bands["longitude"].count() == 700 * 600
    np.testing.assert_allclose(bands["longitude"].data, lon, atol=1e-6)
    np.testing.assert_allclose(bands["latitude"].data, lat, atol=4e-6)


def test_masks_between_0_and_1_survive_an_export(ee_session):
    ee = ee_session.ee
    image = ee.Image(FIRST).select("SR_B2")
    part = image.updateMask(image.divide(50000))
    assert ee_session.export(part, ASSET, overwrite=True).state == SUCCEEDED
    mask = ee_session.pixels(ee.Image(ASSET).mask(), ["SR_B2"], (40, 50), UTM.transform)["SR_B2"]
    expected = (scene_arrays(FIRST)["SR_B2"] / 50000).astype(np.float32)
    np.testing.assert_allclose(mask, expected, rtol=1e-6)


def test_without_overwrite_an_asset_stays(ee_session):
    image = ee_session.ee.Image(FIRST)
    assert ee_session.export(image, f"{ASSET}_kept").state == SUCCEEDED
    version = ee_session.service.catalog.record(f"{ASSET}_kept").updated
    again = ee_session.export(image, f"{ASSET}_kept")
    assert again.state == FAILED
    assert again.error == f"Cannot overwrite asset '{ASSET}_kept': it already exists."
    assert ee_session.service.catalog.record(f"{ASSET}_kept").updated == version


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda ee: ee.Image(1), {}, "Unable to export unbounded image."),
        (
            lambda ee: ee.Image(FIRST),
            {"maxPixels": 1999},
            "Export too large: specified 2000 pixels (max: 1999). Specify higher maxPixels value "
            "if you intend to export a large area.",
        ),
        (
            lambda ee: ee.Image(FIRST),
            {"assetId": "projects/local/assets/no/where"},
            "Asset 'projects/local/assets/no' does not exist or doesn't allow this operation.",
        ),
        (
            lambda ee: ee.Image(FIRST),
            {"assetId": "projects/local/assets/maps"},
            "Cannot overwrite asset 'projects/local/assets/maps': it already exists.",
        ),
    ],
)
def test_what_cannot_be_exported_fails_in_the_services_words(ee_session, make, options, message):
    options = {"overwrite": True, **options}
    asset_id = options.pop("assetId", ASSET)
    done = ee_session.export(make(ee_session.ee), asset_id, **options)
    assert (done.state, done.error) == (FAILED, message)
    assert not list(ee_session.service.catalog.staging.iterdir())


@pytest.mark.parametrize(
    ("make", "about"),
    [
        (lambda ee: (ee.Image("no/such"), ASSET), "Image asset 'no/such' not found"),
        (lambda ee: (ee.Image(FIRST).select("nope"), ASSET), "nope"),
        (lambda ee: (ee.Image(FIRST), "projects/local/assets/a b"), "Invalid asset id"),
        (lambda ee: (ee.Image(FIRST), "LANDSAT/x"), "Permission denied"),
    ],
)
def test_what_can_be_refused_at_once_is(ee_session, make, about):
    image, asset_id = make(ee_session.ee)
    task = ee_session.ee.batch.Export.image.toAsset(image=image, assetId=asset_id)
    with pytest.raises(ee_session.ee.EEException, match=about):
        task.start()


def test_exports_elsewhere_are_refused_by_name(ee_session):
    task = ee_session.ee.batch.Export.image.toDrive(image=ee_session.ee.Image(FIRST))
    with pytest.raises(ee_session.ee.EEException, match="fileExportOptions"):
        task.start()


def test_a_pyramiding_policy_is_kept_or_refused(ee_session):
    ee = ee_session.ee
    done = ee_session.export(
        ee.Image(FIRST), ASSET, overwrite=True, pyramidingPolicy={"QA_PIXEL": "mode"}
    )
    assert done.state == SUCCEEDED, done.error
    bands = ee.data.getAsset(ASSET)["bands"]
    assert [band["pyramidingPolicy"] for band in bands] == ["MEAN", "MEAN", "MEAN", "MODE"]
    task = ee.batch.Export.image.toAsset(
        image=ee.Image(FIRST), assetId=ASSET, pyramidingPolicy={".default": "median"}
    )
    with pytest.raises(ee.EEException, match="MEDIAN"):
        task.start()


def test_the_same_request_twice_is_one_task(ee_session):
    ee = ee_session.ee
    request = {
        "expression": ee.Image(FIRST),
        "description": "once",
        "assetExportOptions": {
            "earthEngineDestination": {"name": f"{ASSET}_once", "overwrite": True}
        },
    }
    one = ee.data.exportImage("same-request", dict(request))
    two = ee.data.exportImage("same-request", dict(request))
    assert one["name"] == two["name"]
    operations = [
        one for one in ee.data.listOperations() if one["metadata"]["description"] == "once"
    ]
    assert len(operations) == 1
    with pytest.raises(ee.EEException, match="60 characters"):
        ee.data.exportImage("x" * 61, dict(request))


def test_an_unknown_operation_is_not_found(ee_session):
    with pytest.raises(ee_session.ee.EEException, match="'NONE' not found"):
        ee_session.ee.data.getOperation("projects/local/operations/NONE")
    with pytest.raises(ee_session.ee.EEException, match="'NONE' not found"):
        ee_session.ee.data.cancelOperation("projects/local/operations/NONE")


def wire_request(image, asset_id, **more):
    from ee import serializer

    return {
        "expression": serializer.encode(image, for_cloud_api=True),
        "assetExportOptions": {"earthEngineDestination": {"name": asset_id, "overwrite": True}},
        **more,
    }


def test_tasks_run_by_priority_and_wait_for_somebody_to_run_them(local):
    catalog, tasks = local.service.catalog, local.service.tasks
    tasks.stop()
    image = local.ee.Image(FIRST).select("SR_B2")
    low = tasks.submit("local", wire_request(image, f"{ASSET}_low", priority={"value": 1}))
    high = tasks.submit("local", wire_request(image, f"{ASSET}_high", priority={"value": 900}))
    assert {one.state for one in tasks.all("local")} == {PENDING}
    dropped = tasks.submit("local", wire_request(image, f"{ASSET}_dropped"))
    tasks.cancel(dropped.id)
    assert tasks.get(dropped.id).state == CANCELLED
    with Service(Catalog.open(catalog.path), workers=1) as service:
        assert service.tasks.wait(low.id, 60).state == SUCCEEDED
        assert service.tasks.wait(high.id, 60).state == SUCCEEDED
        assert service.tasks.get(high.id).started <= service.tasks.get(low.id).started
        assert service.tasks.get(dropped.id).state == CANCELLED
        assert service.catalog.record(f"{ASSET}_dropped") is None


def slow_image(ee, factor=9000):
    """An image of many windows."""
    grid = [1e-5, 0, 10, 0, -1e-5, 50]
    region = ee.Geometry.Rectangle([10, 50 - factor * 1e-5, 10 + factor * 1e-5, 50], None, False)
    return ee.Image.pixelLonLat().reproject("EPSG:4326", grid).clip(region).toFloat()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_running_task_can_be_cancelled(local):
    tasks = local.service.tasks
    task = tasks.submit("local", wire_request(slow_image(local.ee), ASSET))
    until(lambda: tasks.get(task.id).state == RUNNING)
    tasks.cancel(task.id)
    done = tasks.wait(task.id, 30)
    assert done.state == CANCELLED
    assert done.ended is not None
    shown = done.to_rest()
    assert shown["done"]
    assert shown["error"]["message"] == "Cancelled."
    assert local.service.catalog.record(ASSET) is None
    until(lambda: not list(local.service.catalog.staging.iterdir()))


def test_a_server_that_stops_leaves_its_tasks_to_the_next(local):
    tasks, path = local.service.tasks, local.service.catalog.path
    image = slow_image(local.ee, 1500)
    task = tasks.submit("local", wire_request(image, ASSET))
    until(lambda: tasks.get(task.id).state == RUNNING)
    tasks.stop()
    assert tasks.get(task.id).state == PENDING
    with Service(Catalog.open(path)) as service:
        done = service.tasks.wait(task.id, 60)
        assert (done.state, done.attempt) == (SUCCEEDED, 2)
        assert service.catalog.record(ASSET) is not None


def heavy_image(ee):
    """An image of which one window takes long."""
    image = ee.Image.pixelLonLat().select("latitude")
    for _ in range(60):
        image = image.convolve(ee.Kernel.square(9)).sin()
    return image.reproject("EPSG:4326", [1e-4, 0, 10, 0, -1e-4, 50]).clip(
        ee.Geometry.Rectangle([10, 49.9, 10.1, 50], None, False)
    )


def test_a_window_in_hand_is_given_up(local):
    tasks = local.service.tasks
    task = tasks.submit("local", wire_request(heavy_image(local.ee), ASSET))
    until(lambda: task.id in tasks._running)
    time.sleep(0.1)
    begun = time.monotonic()
    tasks.cancel(task.id)
    assert tasks.wait(task.id, 30).state == CANCELLED
    again = tasks.submit("local", wire_request(heavy_image(local.ee), ASSET))
    until(lambda: again.id in tasks._running)
    tasks.stop()
    assert tasks.get(again.id).state == PENDING
    assert time.monotonic() - begun < 20


RUNNER = textwrap.dedent(
    """
    import sys, time
    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.service import Service

    with Service(Catalog.open(sys.argv[1])) as service:
        print("ready", flush=True)
        time.sleep(600)
    """
)


def test_a_task_killed_with_its_process_is_run_again(local):
    path = local.service.catalog.path
    local.service.tasks.stop()
    image = slow_image(local.ee, 3000)
    task = local.service.tasks.submit("local", wire_request(image, ASSET))
    process = subprocess.Popen([sys.executable, "-c", RUNNER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    until(lambda: local.service.tasks.get(task.id).state == RUNNING)
    until(lambda: any(path.glob("staging/*/*.tif")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert local.service.tasks.get(task.id).state == RUNNING
    with Service(Catalog.open(path)) as service:
        # What the dead process had begun is gone.
        done = service.tasks.wait(task.id, 120)
        assert (done.state, done.attempt) == (SUCCEEDED, 2)
        assert service.catalog.image_record(ASSET).bands[0].shape == (3000, 3000)
        until(lambda: not list(service.catalog.staging.iterdir()))


def test_a_second_server_leaves_the_tasks_of_the_first_alone(local):
    tasks = local.service.tasks
    task = tasks.submit("local", wire_request(slow_image(local.ee), ASSET))
    until(lambda: tasks.get(task.id).state == RUNNING)
    with Service(Catalog.open(local.service.catalog.path)) as second:
        assert second.tasks.get(task.id).state == RUNNING
        second.tasks.cancel(task.id)
        assert second.tasks.wait(task.id, 30).state == CANCELLED
        assert second.tasks.get(task.id).attempt == 1


def test_a_full_disk_fails_the_task_in_one_line(local, monkeypatch):
    from water_gee.emulator.bandfiles import BandWriter

    def full(self, window, block):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BandWriter, "write", full)
    done = local.export(local.ee.Image(FIRST), ASSET)
    assert done.state == FAILED
    assert "No space left on device" in done.error
    assert "\n" not in done.error


def test_a_database_that_fails_for_a_moment_does_not_end_the_workers(local, monkeypatch, caplog):
    tasks = local.service.tasks
    claim, failures = tasks._claim, iter(range(3))

    def sometimes():
        for _ in failures:
            raise sqlite3.OperationalError("disk I/O error")
        return claim()

    monkeypatch.setattr(tasks, "_claim", sometimes)
    assert local.export(local.ee.Image(FIRST), ASSET).state == SUCCEEDED
    assert "disk I/O error" in caplog.text


def test_what_a_task_stumbles_over_ends_it(local, monkeypatch):
    from water_gee.emulator import export

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(export, "export_image", broken)
    done = local.export(local.ee.Image(FIRST), ASSET)
    assert (done.state, done.error) == (FAILED, "Internal error: a bug")


def test_a_collection_can_be_exported_into(local):
    local.ee.data.createAsset({"type": "IMAGE_COLLECTION"}, "projects/local/assets/series")
    done = local.export(local.ee.Image(FIRST), "projects/local/assets/series/a")
    assert done.state == SUCCEEDED
    assert local.ee.ImageCollection("projects/local/assets/series").size().getInfo() == 1
    composite = local.ee.ImageCollection(COLLECTION).median()
    assert json.dumps(composite.getInfo())


def test_clients_of_two_catalogues_do_not_meet(filled, tmp_path):
    with Catalog.open(tmp_path / "empty", create=True):
        pass
    with (
        client_in_process(tmp_path / "empty") as client,
        pytest.raises(client.ee.EEException, match="not found"),
    ):
        client.ee.Image(FIRST).getInfo()
