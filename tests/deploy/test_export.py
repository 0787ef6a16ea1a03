"""Deployments: checked before, watched, taken up again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from networks import small_cnn, undecided
from tiny_service import TinyService, destination_of, properties_of

from water_gee.deploy import export, limits, tasks
from water_gee.deploy.export import deploy_to_gee
from water_gee.errors import (
    AssetIdError,
    DeployError,
    ExportFailedError,
    ModelError,
    ParityError,
    UnsupportedLayerError,
)
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel

ASSET = "projects/local/assets/water"
RECIPE = Recipe(cell=0.025, pixels=100)
STEP = float(RECIPE.pixel_degrees)
CELLS = ["E0.000_N0.000", "E0.025_N0.000"]


@pytest.fixture(scope="module")
def trained():
    return TrainedModel(undecided(small_cnn()), RECIPE, {"cells": CELLS})


@pytest.fixture
def service(ee, monkeypatch):
    """A connected service where every year looks the same; tasks end at the second look."""
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image("here"))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    monkeypatch.setattr(tasks, "FIRST_POLL", 0.001)
    monkeypatch.setattr(tasks, "PAUSE", 0.001)
    values = np.random.default_rng(4).normal(0.2, 0.5, (8, 110, 210)).astype(np.float32)
    tiny = TinyService(values, RECIPE.features, west=-5, north=105, step=STEP)
    return tiny.install(monkeypatch)


def test_one_map_is_checked_exported_watched_and_there(trained, service):
    done = deploy_to_gee(trained, ASSET, progress=False)
    assert done.assets == (ASSET,)
    assert done.standing == ()
    assert len(done.tasks) == 1
    assert done.checked.pixels == 64 * 64
    assert done.checked.largest < 1e-6
    assert service.assets[ASSET]["type"] == "IMAGE"


def test_the_asset_says_what_it_was_made_of(trained, service):
    deploy_to_gee(trained, ASSET, progress=False)
    properties = service.assets[ASSET]["properties"]
    assert properties["water_gee_model"] == trained.digest()
    assert Recipe.from_dict(json.loads(properties["water_gee_recipe"])) == RECIPE
    assert properties["year"] == 2020
    assert properties["system:time_start"] == 1_590_969_600_000  # 2020-06-01T00:00Z
    assert len(properties["water_gee_version"]) >= 5


def calls(request, name):
    """The arguments of every call of a function in a request."""
    found, todo = [], [request["expression"]]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("functionName") == name:
                found.append(value["arguments"])
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return found


def test_the_request_asks_for_the_lattice_pixels_of_the_cells(trained, service):
    deploy_to_gee(trained, ASSET, progress=False)
    (request,) = service.requests
    (reproject,) = calls(request, "Image.reproject")
    expected = [STEP, 0, 0, 0, -STEP, 0.025]
    np.testing.assert_allclose(reproject["crsTransform"]["constantValue"], expected, rtol=1e-15)
    (clip,) = calls(request, "Image.clip")
    corners = clip["geometry"]["functionInvocationValue"]["arguments"]["coordinates"]
    lon, lat = np.array(corners["constantValue"]).reshape(-1, 2).T / STEP
    assert np.floor(lon.min()) == 0
    assert np.ceil(lon.max()) == 200
    assert np.floor(lat.min()) == 0
    assert np.ceil(lat.max()) == 100
    assert int(request["maxPixels"]["value"]) >= 200 * 100
    options = request["assetExportOptions"]
    assert destination_of(request) == ASSET
    assert not options["earthEngineDestination"]["overwrite"]
    assert options["pyramidingPolicyOverrides"] == {"water": "MODE"}
    assert options["pyramidingPolicy"] == "MEAN"


def test_cells_in_an_l_are_cut_out(trained, service):
    area = {
        "type": "Polygon",
        "coordinates": [
            [[0.01, 0.01], [0.04, 0.01], [0.04, 0.015], [0.015, 0.015], [0.01, 0.04], [0.01, 0.01]]
        ],
    }
    service.values = np.random.default_rng(4).normal(0.2, 0.5, (8, 210, 210)).astype(np.float32)
    service.north = 205
    deploy_to_gee(trained, ASSET, area, progress=False)
    (request,) = service.requests
    assert len(calls(request, "Image.clip")) == 2


def test_several_years_are_a_collection_of_one_map_each(trained, service):
    done = deploy_to_gee(trained, ASSET, years=[2021, 2019], progress=False)
    assert done.assets == (f"{ASSET}/2019", f"{ASSET}/2021")
    assert service.assets[ASSET]["type"] == "IMAGE_COLLECTION"
    years = [service.assets[asset]["properties"]["year"] for asset in done.assets]
    assert years == [2019, 2021]


def test_what_stands_is_left_alone_and_nothing_is_asked_twice(trained, service):
    deploy_to_gee(trained, ASSET, years=[2019, 2021], progress=False)
    asked, sent = service.pixel_requests, len(service.requests)
    done = deploy_to_gee(trained, ASSET, years=[2019, 2021], progress=False)
    assert done.standing == done.assets
    assert done.tasks == ()
    assert done.checked is None
    assert (service.pixel_requests, len(service.requests)) == (asked, sent)


def test_a_year_more_is_one_export_more(trained, service):
    deploy_to_gee(trained, ASSET, years=[2019, 2021], progress=False)
    done = deploy_to_gee(trained, ASSET, years=[2019, 2020, 2021], progress=False)
    assert done.standing == (f"{ASSET}/2019", f"{ASSET}/2021")
    assert [properties_of(r["expression"])["year"] for r in service.requests] == [2019, 2021, 2020]


def test_tasks_that_still_run_are_taken_up_again(trained, service):
    started = deploy_to_gee(trained, ASSET, wait=False, progress=False)
    assert ASSET not in service.assets
    again = deploy_to_gee(trained, ASSET, progress=False)
    assert again.tasks == started.tasks
    assert again.checked is None
    assert len(service.requests) == 1
    assert service.assets[ASSET]["type"] == "IMAGE"


def test_a_task_that_failed_before_is_started_anew(trained, service):
    service.outcome = ("FAILED", "out of memory")
    with pytest.raises(ExportFailedError):
        deploy_to_gee(trained, ASSET, progress=False)
    service.outcome = "SUCCEEDED"
    deploy_to_gee(trained, ASSET, progress=False)
    assert len(service.requests) == 2
    assert service.assets[ASSET]["type"] == "IMAGE"


def test_an_asset_of_something_else_is_refused_unless_overwritten(trained, service):
    service.assets[ASSET] = {"type": "IMAGE", "properties": {"mine": 1}}
    with pytest.raises(DeployError, match=r"is there already.*if_exists='overwrite'"):
        deploy_to_gee(trained, ASSET, progress=False)
    assert service.requests == []
    deploy_to_gee(trained, ASSET, if_exists="overwrite", progress=False)
    destination = service.requests[0]["assetExportOptions"]["earthEngineDestination"]
    assert destination["overwrite"]
    assert service.assets[ASSET]["properties"]["year"] == 2020


def test_a_folder_is_never_overwritten(trained, service):
    service.assets[ASSET] = {"type": "FOLDER"}
    with pytest.raises(DeployError, match=r"is no image \(FOLDER\)"):
        deploy_to_gee(trained, ASSET, if_exists="overwrite", progress=False)


def nothing_was_left_behind(service):
    return service.requests == [] and service.assets == {} and service.operations == {}


def test_nothing_is_exported_where_kernels_are_flipped(trained, service):
    service.flip = True
    with pytest.raises(ParityError, match="kernel probe"):
        deploy_to_gee(trained, ASSET, years=[2019, 2020], progress=False)
    assert nothing_was_left_behind(service)


def test_nothing_is_exported_where_the_deployed_network_says_something_else(trained, service):
    def spoil(table):
        if table.dtype.names == ("probability",):
            table["probability"][17, 40] += 2e-4
        return table

    service.spoil = spoil
    with pytest.raises(ParityError, match=r"pixel \(row 17, col 40\)") as caught:
        deploy_to_gee(trained, ASSET, progress=False)
    assert caught.value.worst == (17, 40)
    assert caught.value.difference == pytest.approx(2e-4, rel=0.01)
    assert nothing_was_left_behind(service)


def test_nothing_is_exported_where_nothing_was_observed(trained, service):
    service.values[:] = np.nan
    with pytest.raises(DeployError, match="no observed pixel"):
        deploy_to_gee(trained, ASSET, progress=False)
    assert nothing_was_left_behind(service)


def test_a_failed_export_comes_with_the_message_of_the_service(trained, service):
    service.outcome = ("FAILED", "User memory limit\nexceeded.")
    with pytest.raises(ExportFailedError) as caught:
        deploy_to_gee(trained, ASSET, years=[2019, 2020], progress=False)
    assert caught.value.failures == {
        f"{ASSET}/2019": "User memory limit exceeded.",
        f"{ASSET}/2020": "User memory limit exceeded.",
    }
    assert "\n" not in str(caught.value)


def test_a_cancelled_export_is_a_failure(trained, service):
    service.outcome = "CANCELLED"
    with pytest.raises(ExportFailedError, match=f"{ASSET}: cancelled"):
        deploy_to_gee(trained, ASSET, progress=False)


def test_a_task_that_leaves_no_asset_is_a_failure(trained, service):
    service.end = lambda operation: operation["metadata"].update(state="SUCCEEDED")
    with pytest.raises(ExportFailedError, match="it is not there"):
        deploy_to_gee(trained, ASSET, progress=False)


def test_ctrl_c_leaves_the_tasks_running_and_says_so(trained, service, monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks.time, "sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        deploy_to_gee(trained, ASSET, progress=False)
    assert "1 export(s) go on at the service, and the same call, or" in capsys.readouterr().err
    (operation,) = service.operations.values()
    assert operation["metadata"]["state"] == "PENDING"
    monkeypatch.undo()


def test_bad_arguments_are_refused_before_the_service_is_asked(trained, tmp_path):
    """Without a session: none of these needs one."""
    with pytest.raises(AssetIdError):
        deploy_to_gee(trained, "water")
    with pytest.raises(ModelError, match="no model at"):
        deploy_to_gee(tmp_path / "none.keras", ASSET)
    with pytest.raises(DeployError, match="no years"):
        deploy_to_gee(trained, ASSET, years=[])
    bare = TrainedModel(trained.network, RECIPE, {})
    with pytest.raises(DeployError, match="give the area"):
        deploy_to_gee(bare, ASSET)
    inputs = keras.Input((None, None, 8))
    same = keras.layers.Conv2D(2, 3, padding="same", activation="softmax", name="odd")
    padded = TrainedModel(keras.Model(inputs, same(inputs)), RECIPE, {"cells": CELLS})
    with pytest.raises(UnsupportedLayerError, match="'odd'"):
        deploy_to_gee(padded, ASSET)


def test_a_folder_that_does_not_exist_is_named(trained, service):
    with pytest.raises(AssetIdError, match="no folder projects/local/assets/maps"):
        deploy_to_gee(trained, "projects/local/assets/maps/water", progress=False)
    assert nothing_was_left_behind(service)


def test_a_request_over_the_limit_is_not_sent(trained, service, monkeypatch):
    monkeypatch.setattr(limits, "MAX_REQUEST_BYTES", 10_000)
    with pytest.raises(DeployError, match=r"has [\d,]+ bytes .* takes 10,000 and 100"):
        deploy_to_gee(trained, ASSET, progress=False)
    assert nothing_was_left_behind(service)
