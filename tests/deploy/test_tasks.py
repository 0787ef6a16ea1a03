"""Tasks that fail, queues that are full, clients that are killed: every map stands, once."""

from __future__ import annotations

import numpy as np
import pytest
from networks import small_cnn, undecided
from tiny_service import TinyService, destination_of, properties_of

from water_gee.deploy import export, overview, tasks
from water_gee.deploy.export import deploy_to_gee
from water_gee.deploy.parity import Agreement
from water_gee.deploy.record import Record
from water_gee.deploy.tasks import remedy
from water_gee.errors import DeployError, ExportFailedError, SessionError
from water_gee.imagery.recipe import Recipe
from water_gee.training.model import TrainedModel, save

ASSET = "projects/local/assets/water"
RECIPE = Recipe(cell=0.05, pixels=200)
CELLS = ["E0.000_N0.000", "E0.050_N0.000", "E0.000_N0.050", "E0.050_N0.050"]
TILE = RECIPE.pixels**2


@pytest.fixture(scope="module")
def trained():
    return TrainedModel(undecided(small_cnn()), RECIPE, {"cells": CELLS})


@pytest.fixture
def service(ee, monkeypatch):
    """A connected service where every year looks the same; tasks end at the second look."""
    monkeypatch.setattr(export, "feature_image", lambda recipe: ee.Image("here"))
    monkeypatch.setattr(export, "check_season", lambda recipes, area: None)
    agreed = Agreement(64 * 64, 1000, 0.0)  # test_export.py has the checks
    monkeypatch.setattr(export._Deploying, "_agreement", lambda self, recipe: agreed)
    monkeypatch.setattr(tasks, "FIRST_POLL", 0.001)
    monkeypatch.setattr(tasks, "PAUSE", 0.001)
    monkeypatch.setattr(tasks, "FEW", 1000)
    values = np.random.default_rng(4).normal(0.2, 0.5, (8, 410, 410)).astype(np.float32)
    tiny = TinyService(
        values, RECIPE.features, west=-5, north=405, step=float(RECIPE.pixel_degrees)
    )
    return tiny.install(monkeypatch)


def deploy(trained, **options):
    options = {"years": [2019, 2020], "max_pixels": TILE, "progress": False} | options
    return deploy_to_gee(trained, ASSET, **options)


def standing(service):
    """Asset id -> pixels it says it has, of every image of the collection."""
    return {
        name: asset["properties"]["water_gee_pixels"]
        for name, asset in service.assets.items()
        if asset["type"] == "IMAGE"
    }


def sent(service):
    """How often an export to each asset was begun."""
    names = [destination_of(request) for request in service.requests]
    return {name: names.count(name) for name in names}


def failing(message, *, first, where=""):
    """An outcome: the first tasks for assets whose names end so fail."""
    left = {}

    def outcome(operation):
        name = destination_of(operation["request"])
        left.setdefault(name, first if name.endswith(where) else 0)
        if left[name]:
            left[name] -= 1
            return "FAILED", message
        return "SUCCEEDED"

    return outcome


def test_four_tiles_of_two_years_are_eight_maps(trained, service):
    done = deploy(trained)
    assert len(done.assets) == len(set(done.assets)) == 8
    assert set(standing(service)) == set(done.assets)
    assert service.assets[ASSET]["type"] == "IMAGE_COLLECTION"
    assert done.summary == "8 map(s); 8 task(s) started or taken up"


def test_a_network_is_encoded_once_a_year(trained, service, monkeypatch):
    from water_gee.deploy import graft

    encoded = []
    stock = graft.stock
    monkeypatch.setattr(graft, "stock", lambda image: encoded.append(1) or stock(image))
    deploy(trained)
    assert len(encoded) == 2


def test_each_tile_is_computed_of_its_own_year(trained, service):
    deploy(trained)
    for request in service.requests:
        label = destination_of(request).rpartition("/")[2][:4]
        assert properties_of(request["expression"])["year"] == int(label)


def test_failures_of_the_service_are_repeated(trained, service):
    service.outcome = failing("Internal error.", first=2)
    done = deploy(trained)
    assert set(sent(service).values()) == {3}
    assert len(standing(service)) == 8
    assert len(done.retried) == 16
    assert {why for _, why in done.retried} == {"Internal error."}
    assert "16 task(s) failed and were repeated" in done.summary


def test_after_the_last_attempt_the_message_is_the_service_s(trained, service):
    service.outcome = failing("Internal error.", first=99, where="2019_E0p000_N0p000")
    with pytest.raises(ExportFailedError, match="1 of 8 export") as caught:
        deploy(trained)
    assert caught.value.failures == {f"{ASSET}/2019_E0p000_N0p000": "Internal error."}
    assert sent(service)[f"{ASSET}/2019_E0p000_N0p000"] == 3
    assert len(standing(service)) == 7
    service.outcome = "SUCCEEDED"
    again = deploy(trained)
    assert len(again.standing) == 7
    assert len(standing(service)) == 8
    assert again.runs == 2


@pytest.mark.parametrize(
    "message",
    [
        "Asset storage quota exceeded: the project may store 5 bytes.",
        "Permission 'earthengine.assets.create' denied on resource 'x' (or it may not exist).",
        "Image.select: Band pattern 'Blue' did not match any bands.",
    ],
)
def test_what_would_fail_again_is_not_repeated(trained, service, message):
    service.outcome = ("FAILED", message)
    with pytest.raises(ExportFailedError) as caught:
        deploy(trained, years=2020)
    assert set(sent(service).values()) == {1}
    assert set(caught.value.failures.values()) == {message}
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("message", "code", "expected"),
    [
        ("Internal error.", 13, "again"),
        ("Computation timed out.", None, "again"),
        ("The service is currently unavailable.", 14, "again"),
        ("Something without words", 13, "again"),
        ("Execution failed; out of memory.", 8, "smaller"),
        ("User memory limit exceeded.", 3, "smaller"),
        ("Earth Engine memory capacity exceeded.", None, "smaller"),
        ("Image.load: Image asset 'x' not found.", 3, "nothing"),
        ("Cannot overwrite asset 'x': it already exists.", 3, "nothing"),
        ("Quota exceeded; try again tomorrow.", 8, "nothing"),
    ],
)
def test_words_of_the_service_say_what_helps(message, code, expected):
    assert remedy(message, code) == expected


def test_what_is_too_large_is_cut_into_quarters(trained, service):
    service.outcome = failing("User memory limit exceeded.", first=1, where="2019_E0p050_N0p000")
    done = deploy(trained)
    there = standing(service)
    assert set(there) == set(done.assets)
    assert len(there) == 7 + 4
    parts = {name for name in there if name.startswith(f"{ASSET}/2019_E0p050_N0p000")}
    assert {name[-3:] for name in parts} == {"_nw", "_ne", "_sw", "_se"}
    covered = np.zeros((400, 400), int)
    for name, text in there.items():
        if "/2019" in name:
            west, south, east, north = map(int, text.split(","))
            covered[south:north, west:east] += 1
    assert (covered == 1).all()
    again = deploy(trained)
    assert again.tasks == ()
    assert standing(service) == there


def test_quarters_are_found_again_without_the_record(trained, service, monkeypatch, tmp_path):
    service.outcome = failing("User memory limit exceeded.", first=1, where="2019_E0p050_N0p000")
    deploy(trained)
    there, begun = standing(service), len(service.requests)
    monkeypatch.setenv("WATER_GEE_TASKS", str(tmp_path / "another.sqlite"))
    service.operations.clear()
    again = deploy(trained)
    assert standing(service) == there
    assert set(again.assets) == set(there)
    assert len(service.requests) == begun


def test_one_image_is_never_made_a_collection_for_want_of_memory(trained, service):
    service.outcome = ("FAILED", "User memory limit exceeded.")
    with pytest.raises(ExportFailedError):
        deploy(trained, years=2020, max_pixels=10**8)
    assert len(service.requests) == 1


def test_a_full_queue_is_waited_for(trained, service):
    refused = []
    start = service.exportImage

    def narrow(request_id, request):
        waiting = [o for o in service.operations.values() if o["metadata"]["state"] == "PENDING"]
        service.refusal = None
        if len(waiting) >= 2:
            refused.append(request_id)
            service.refusal = (
                "Too many tasks already in the queue (2). Please wait for some of them to complete."
            )
        return start(request_id, request)

    service.install_one("exportImage", narrow)
    done = deploy(trained)
    assert refused
    assert len(standing(service)) == len(done.assets) == 8
    assert set(sent(service).values()) == {1}


def gone(*_):
    raise ConnectionError("connection refused")


def test_a_service_that_does_not_answer_for_a_while_is_asked_again(trained, service, capsys):
    start, get, asked = service.exportImage, service.getOperation, []

    def now_and_then(call):
        def ask(*arguments):
            asked.append(arguments)
            return gone() if len(asked) % 5 == 3 else call(*arguments)

        return ask

    service.install_one("exportImage", now_and_then(start))
    service.install_one("getOperation", now_and_then(get))
    done = deploy(trained)
    assert len(standing(service)) == len(done.assets) == 8
    assert set(sent(service).values()) == {1}
    assert "does not answer; asking again for 10 minutes" in capsys.readouterr().err


def test_a_service_that_is_gone_for_long_is_given_up_and_found_again(trained, service, monkeypatch):
    monkeypatch.setattr(tasks, "PATIENCE", 0.01)
    get = service.getOperation
    service.install_one("getOperation", gone)
    with pytest.raises(SessionError, match="no longer answers"):
        deploy(trained)
    service.install_one("getOperation", get)
    deploy(trained)
    assert len(standing(service)) == 8
    assert set(sent(service).values()) == {1}


def test_few_are_in_flight_where_few_may_be(trained, service):
    most = []
    start = service.exportImage

    def counted(request_id, request):
        states = [o["metadata"]["state"] for o in service.operations.values()]
        most.append(states.count("PENDING"))
        return start(request_id, request)

    service.install_one("exportImage", counted)
    deploy(trained, in_flight=3)
    assert max(most) <= 2
    assert len(standing(service)) == 8


def test_without_waiting_all_are_queued_and_the_same_call_watches_them(trained, service):
    first = deploy(trained, wait=False)
    assert len(first.tasks) == 8
    assert standing(service) == {}
    (entry,) = overview.overviews()
    assert entry.counts == {"pending": 8}
    second = deploy(trained)
    assert sorted(second.tasks) == sorted(first.tasks)
    assert set(sent(service).values()) == {1}
    assert overview.overviews()[0].deployed.state == "finished"


class Killed(BaseException):
    """The client is gone, at once."""


@pytest.mark.parametrize("nth", [1, 2, 3, 7])
def test_killed_between_sending_and_noting_it_down_nothing_is_begun_twice(
    trained, service, monkeypatch, nth
):
    note, noted = Record.note, []

    def dies(self, key, asset, mark, attempt, label, state, **rest):
        if state == "sent":
            noted.append(asset)
            if len(noted) == nth:
                raise Killed
        note(self, key, asset, mark, attempt, label, state, **rest)

    monkeypatch.setattr(Record, "note", dies)
    with pytest.raises(Killed):
        deploy(trained)
    monkeypatch.setattr(Record, "note", note)
    done = deploy(trained)
    assert set(sent(service).values()) == {1}
    assert len(standing(service)) == len(done.assets) == 8
    assert done.runs == 2


def test_killed_before_the_request_left_it_is_sent(trained, service, monkeypatch):
    start = service.exportImage

    def dies(request_id, request):
        raise Killed

    service.install_one("exportImage", dies)
    with pytest.raises(Killed):
        deploy(trained)
    service.install_one("exportImage", start)
    done = deploy(trained)
    assert set(sent(service).values()) == {1}
    assert len(standing(service)) == len(done.assets) == 8


def test_failures_while_nobody_looked_are_told_and_repeated(trained, service):
    deploy(trained, wait=False)
    service.outcome = ("FAILED", "Internal error.")
    for operation in list(service.operations.values())[:3]:
        service.end(operation)
    service.outcome = "SUCCEEDED"
    done = deploy(trained)
    assert len(done.retried) == 3
    assert len(standing(service)) == 8
    assert sorted(sent(service).values()) == [1] * 5 + [2] * 3


def test_an_asset_that_was_deleted_is_made_again(trained, service):
    deploy(trained)
    del service.assets[f"{ASSET}/2019_E0p000_N0p000"]
    done = deploy(trained)
    assert len(done.tasks) == 1
    assert len(standing(service)) == 8


def test_a_lost_record_loses_nothing(trained, service, monkeypatch, tmp_path):
    deploy(trained, wait=False)
    monkeypatch.setenv("WATER_GEE_TASKS", str(tmp_path / "another.sqlite"))
    done = deploy(trained)
    assert set(sent(service).values()) == {1}
    assert len(standing(service)) == len(done.assets) == 8


def test_a_record_that_cannot_be_written_is_one_line(trained, service, monkeypatch):
    monkeypatch.setenv("WATER_GEE_TASKS", "/proc/nowhere/tasks.sqlite")
    with pytest.raises(DeployError, match="set WATER_GEE_TASKS to another file") as caught:
        deploy(trained)
    assert "\n" not in str(caught.value)
    assert (service.requests, service.assets) == ([], {})


# ------------------------------------------------------------------ what stands already


@pytest.fixture(scope="module")
def other():
    return TrainedModel(undecided(small_cnn(), seed=3), RECIPE, {"cells": CELLS})


def test_maps_of_another_model_are_kept_or_replaced_as_asked(trained, other, service):
    deploy(trained, years=[2019, 2020])
    before = {name: asset["properties"] for name, asset in service.assets.items() if "/20" in name}
    with pytest.raises(
        DeployError, match=r"is there already, from another model.*if_exists='skip'"
    ):
        deploy(other, years=[2020, 2021])
    assert len(standing(service)) == 8
    kept = deploy(other, years=[2020, 2021], if_exists="skip")
    assert len(kept.skipped) == 4
    assert len(kept.tasks) == 4
    assert "4 skipped, something else stands there" in kept.summary
    assert all(service.assets[name]["properties"] == before[name] for name in before)
    done = deploy(other, years=[2020, 2021], if_exists="overwrite")
    assert len(done.standing) == len(done.tasks) == 4
    models = {service.assets[name]["properties"]["water_gee_model"] for name in done.assets}
    assert models == {other.digest()}


def test_the_same_pixels_never_lie_in_a_collection_twice(trained, service):
    deploy(trained)
    with pytest.raises(DeployError, match="cut in another way; give the same max_pixels"):
        deploy(trained, max_pixels=10**8)
    assert len(standing(service)) == 8
    skipped = deploy(trained, max_pixels=10**8, if_exists="skip")
    assert skipped.tasks == ()
    done = deploy(trained, max_pixels=10**8, if_exists="overwrite")
    assert len(done.replaced) == 8
    assert standing(service) == dict.fromkeys(done.assets, "0,0,400,400")
    assert done.assets == (f"{ASSET}/2019", f"{ASSET}/2020")


def test_what_reaches_beyond_the_area_is_not_removed(trained, service):
    deploy(trained, max_pixels=10**8)
    with pytest.raises(DeployError, match="reaches beyond this area; remove it yourself"):
        deploy(trained, aoi=(0.01, 0.01, 0.09, 0.02), if_exists="overwrite")
    assert len(standing(service)) == 2


def test_another_area_may_lie_in_the_same_collection(trained, service):
    deploy(trained, aoi=(0.01, 0.01, 0.02, 0.02), max_pixels=TILE * 2)
    with pytest.raises(DeployError, match="is there already"):
        deploy(trained, aoi=(0.06, 0.06, 0.07, 0.07), max_pixels=TILE * 2)
    deploy(trained, aoi=(0.01, 0.06, 0.09, 0.09), max_pixels=TILE)
    assert len(standing(service)) == 2 + 4


# ------------------------------------------------------------------ who may look


def test_readers_are_added_to_the_policy_of_the_collection(trained, service):
    deploy(trained, readers=["user:a@example.org", "allUsers"])
    bindings = {one["role"]: one["members"] for one in service.policies[ASSET]["bindings"]}
    assert bindings["roles/viewer"] == ["allUsers", "user:a@example.org"]
    assert bindings["roles/owner"] == ["user:me@example.com"]
    deploy(trained, readers="group:g@example.org")
    bindings = {one["role"]: one["members"] for one in service.policies[ASSET]["bindings"]}
    assert bindings["roles/viewer"] == ["allUsers", "group:g@example.org", "user:a@example.org"]


def test_one_image_is_shared_once_it_is_there(trained, service):
    deploy(trained, years=2020, max_pixels=10**8, readers=["allUsers"])
    assert service.policies[ASSET]["bindings"][-1]["members"] == ["allUsers"]


@pytest.mark.parametrize("nobody", ["a@example.org", "user:", "everybody", "", "user:a b@c.de"])
def test_a_reader_who_is_nobody_is_refused_before_anything(trained, service, nobody):
    with pytest.raises(DeployError, match="is nobody; write user:NAME@HOST"):
        deploy(trained, readers=[nobody])
    assert (service.requests, service.assets) == ([], {})


# ------------------------------------------------------------------ nothing left behind


def nothing_was_left_behind(service):
    return service.requests == [] and service.assets == {} and overview.overviews() == []


def test_no_permission_is_one_line(trained, service):
    service.denied = True
    with pytest.raises(DeployError, match="ask its owner for the role") as caught:
        deploy(trained)
    assert len(str(caught.value).splitlines()) == 1
    assert nothing_was_left_behind(service)


def test_a_refused_start_takes_its_collection_back(trained, service):
    service.refusal = "Export too large: specified 9 pixels (max: 1)."
    with pytest.raises(DeployError, match=r"cannot export .*: Export too large"):
        deploy(trained)
    assert nothing_was_left_behind(service)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"if_exists": "replace"}, "if_exists 'replace': must be one of fail, skip, overwrite"),
        ({"attempts": 0}, "attempts 0: must be a whole number from 1 to 100"),
        ({"in_flight": 3001}, "in_flight 3001: must be a whole number from 1 to 3,000"),
        ({"max_pixels": 100}, "one cell of the recipe has 40,000 pixels"),
        ({"years": "soon"}, "years"),
        ({"years": [1066]}, "years: whole numbers from 1972 to 2999, 1066 among them"),
    ],
)
def test_an_option_that_is_none_is_refused_before_anything(trained, service, options, words):
    with pytest.raises((DeployError, ValueError), match=words) as caught:
        deploy(trained, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert nothing_was_left_behind(service)


# ------------------------------------------------------------------ the overview


def test_a_deployment_is_resumed_from_its_record(trained, service, tmp_path):
    path = tmp_path / "model.keras"
    save(trained, path)
    service.outcome = failing("Internal error.", first=99, where="E0p050_N0p050")
    with pytest.raises(ExportFailedError):
        deploy_to_gee(
            path, ASSET, (0.01, 0.01, 0.09, 0.09), [2019, 2020], max_pixels=TILE, progress=False
        )
    (before,) = overview.overviews()
    assert before.counts == {"done": 6, "failed": 2}
    text = "\n".join(before.lines())
    assert "unfinished" in text
    assert text.count("Internal error.") == 2
    assert len(before.lines(all_tasks=True)) == 9
    service.outcome = "SUCCEEDED"
    (done,) = overview.resume(progress=False)
    assert len(done.assets) == 8
    assert overview.resume(progress=False) == []


def test_a_model_in_memory_cannot_be_resumed_by_its_record(trained, service):
    deploy(trained, wait=False)
    with pytest.raises(DeployError, match="its model was in memory only"):
        overview.resume(progress=False)


def test_tasks_are_watched_without_starting_any(trained, service):
    deploy(trained, wait=False)
    for operation in service.operations.values():
        operation["polls"] = 5
    service.advance_lists = True
    (after,) = overview.watch(progress=False)
    assert after.counts == {"done": 8}


def test_tasks_are_cancelled(trained, service):
    deploy(trained, wait=False)
    assert overview.cancel(ASSET) == 8
    (after,) = overview.overviews(ASSET)
    assert after.counts == {"cancelled": 8}
    assert after.deployed.state == "cancelled"
    assert not after.is_active


def test_a_deployment_that_is_not_in_the_record_is_named(service):
    with pytest.raises(DeployError, match="no deployment to projects/local/assets/water"):
        overview.overviews(ASSET)
