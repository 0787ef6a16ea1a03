"""Faults on purpose: the same every time, in the service's own words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from small_catalog import FIRST, Client, client_in_process, connect

from water_gee.emulator import Faults, start
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.faults import INTERNAL, OUT_OF_MEMORY, PERMISSIONS
from water_gee.emulator.limits import MAX_QUEUED_TASKS
from water_gee.emulator.routes import ROUTES
from water_gee.emulator.service import Service
from water_gee.emulator.transport import LOCAL_URL, InProcessTransport
from water_gee.errors import EmulatorError, ServiceError

ASSET = "projects/local/assets/maps/out"


@pytest.fixture
def client(filled, tmp_path):
    """The stock client over a copy of the small catalogue, with the faults asked for."""
    opened = []

    def client(faults, *, tasks=True):
        folder = tmp_path / f"catalog{len(opened)}"
        shutil.copytree(filled, folder)
        service = Service(Catalog.open(folder), tasks=tasks, faults=faults)
        opened.append(service)
        transport = InProcessTransport(service)
        return Client(connect(LOCAL_URL, http_transport=transport), service, None, None)

    yield client
    for service in opened:
        service.close()
    import ee

    ee.data.reset()


def test_a_share_of_tasks_fails_and_the_same_ones_again():
    faults = Faults(task_failure=0.02, seed=1)
    fated = [n for n in range(10_000) if faults.of_task(f"map {n}", 0) is not None]
    assert 150 < len(fated) < 250
    assert [n for n in range(10_000) if faults.of_task(f"map {n}", 0) is not None] == fated
    other = Faults(task_failure=0.02, seed=2)
    assert [n for n in range(10_000) if other.of_task(f"map {n}", 0) is not None] != fated
    # A second task for the same map is another throw of the dice.
    assert sum(faults.of_task(f"map {n}", 1) is not None for n in fated) < len(fated) / 4


def test_no_faults_are_none():
    assert all(Faults().of_task(f"map {n}", 0) is None for n in range(1000))
    assert Faults().max_queued == MAX_QUEUED_TASKS == 3000


def test_failures_come_at_any_point_of_the_work_with_any_of_the_messages():
    faults = Faults(task_failure=1.0, messages=("one", "two"))
    found = [faults.of_task(f"map {n}", 0) for n in range(500)]
    assert {one.message for one in found} == {"one", "two"}
    shares = sorted(one.share for one in found)
    assert shares[0] < 0.05
    assert shares[-1] > 0.95


@pytest.mark.parametrize(
    "wrong", [{"task_failure": 1.5}, {"task_failure": -0.1}, {"messages": ()}, {"max_queued": 0}]
)
def test_faults_that_are_none_are_refused(wrong):
    with pytest.raises(EmulatorError):
        Faults(**wrong)


def test_a_failed_task_says_so_and_leaves_nothing(client):
    session = client(Faults(task_failure=1.0))
    done = session.export(session.ee.Image(FIRST), ASSET)
    assert (done.state, done.error) == ("FAILED", INTERNAL)
    (shown,) = session.ee.data.listOperations()
    assert shown["error"] == {"code": 13, "message": INTERNAL}
    assert session.service.catalog.record(ASSET) is None
    assert list(session.service.catalog.staging.iterdir()) == []


def test_words_can_be_chosen(client):
    session = client(Faults(task_failure=1.0, messages=(OUT_OF_MEMORY,)))
    assert session.export(session.ee.Image(FIRST), ASSET).error == OUT_OF_MEMORY


def test_a_task_that_failed_may_succeed_the_next_time(client):
    # By its name: the first throw of this description is a failure, the second is none.
    faults = next(
        faults
        for seed in range(100)
        if (faults := Faults(task_failure=0.5, seed=seed)).of_task("test", 0)
        and not faults.of_task("test", 1)
    )
    session = client(faults)
    assert session.export(session.ee.Image(FIRST), ASSET).state == "FAILED"
    assert session.export(session.ee.Image(FIRST), ASSET).state == "SUCCEEDED"


def test_a_full_queue_is_refused_in_the_service_s_words(client):
    session = client(Faults(max_queued=2), tasks=False)
    ee = session.ee

    def begin(name):
        task = ee.batch.Export.image.toAsset(
            image=ee.Image(FIRST), description=name, assetId=f"{ASSET}_{name}"
        )
        task.start()

    begin("a")
    begin("b")
    with pytest.raises(
        ee.EEException,
        match=r"Too many tasks already in the queue \(2\)\. Please wait for some of them",
    ):
        begin("c")
    assert len(ee.data.listOperations()) == 2


def test_the_same_request_again_is_no_other_task(client):
    session = client(Faults(max_queued=1), tasks=False)
    ee = session.ee
    request = {
        "expression": ee.Image(FIRST),
        "description": "once",
        "assetExportOptions": {"earthEngineDestination": {"name": ASSET}},
    }
    first = ee.data.exportImage("the-same-id", request)
    again = ee.data.exportImage("the-same-id", request)  # though the queue is full
    assert again["name"] == first["name"]
    assert len(ee.data.listOperations()) == 1


def test_a_project_of_somebody_else_is_closed(client):
    session = client(Faults(denied=("projects/other",)))
    ee = session.ee
    asked = {
        "get": lambda: ee.data.getAsset("projects/other/assets/maps"),
        "list": lambda: ee.data.listAssets("projects/other/assets/maps"),
        "create": lambda: ee.data.createAsset({"type": "FOLDER"}, "projects/other/assets/maps"),
        "delete": lambda: ee.data.deleteAsset("projects/other/assets/maps"),
        "getIamPolicy": lambda: ee.data.getIamPolicy("projects/other/assets/maps"),
    }
    for verb, ask in asked.items():
        with pytest.raises(
            ee.EEException,
            match=rf"Permission 'earthengine\.assets\.{verb}' denied on resource "
            r"'projects/other.*' \(or it may not exist\)\.",
        ):
            ask()
    with pytest.raises(ee.EEException, match=r"earthengine\.assets\.create"):
        session.export(ee.Image(FIRST), "projects/other/assets/out")
    assert ee.data.listOperations() == []
    assert ee.data.getAsset("projects/local/assets/maps")["type"] == "FOLDER"


def test_every_route_that_needs_a_permission_exists():
    assert set(PERMISSIONS) <= {route.id for route in ROUTES}


def test_storage_that_is_full_ends_tasks(client):
    session = client(Faults(storage=1))
    done = session.export(session.ee.Image(FIRST), ASSET)
    assert done.state == "FAILED"
    assert done.error == "Asset storage quota exceeded: the project may store 1 bytes."


def test_a_served_emulator_takes_faults_from_python_and_from_the_command_line(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "catalog")
    faults = Faults(denied=("projects/other",))
    with start(tmp_path / "catalog", faults=faults) as server, pytest.raises(ServiceError):
        server.service.faults.check("projects.assets.get", "projects/other/assets/a")
    command = [sys.executable, "-m", "water_gee.emulator", "--catalog", str(tmp_path / "catalog")]
    refused = subprocess.run(
        [*command, "--fail-tasks", "2"], stdin=subprocess.PIPE, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert refused.stderr == "task_failure 2.0: must be from 0 to 1\n"
    with subprocess.Popen(
        [*command, "--fail-tasks", "1", "--seed", "3", "--fail-message", "no"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        ee = connect(json.loads(process.stdout.readline())["url"])
        task = ee.batch.Export.image.toAsset(
            image=ee.Image(FIRST), description="test", assetId=ASSET
        )
        task.start()
        while task.active():
            pass
        assert task.status()["error_message"] == "no"
        ee.data.reset()
        process.stdin.close()
        process.wait(30)


def test_without_faults_nothing_changes(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "catalog")
    with client_in_process(tmp_path / "catalog") as session:
        assert session.export(session.ee.Image(FIRST), ASSET).state == "SUCCEEDED"
