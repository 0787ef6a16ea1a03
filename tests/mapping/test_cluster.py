"""Maps by the workers of a Dask cluster: processes of their own that share only the disk."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from affine import Affine
from networks import small_cnn, undecided

from water_gee import pipeline, raster
from water_gee.errors import ClusterError, MissingExtraError, RasterError, ScenesFailedError
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.cluster import Cluster, map_part
from water_gee.mapping.predict import Mapper, predict
from water_gee.training.model import TrainedModel, save
from water_gee.windows import Grid

RECIPE = Recipe(cell=0.01, pixels=40)
ENDED = 60


def spawn(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        **options,
    )


def worker(address, name):
    return spawn(
        *("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"),
        *("--no-dashboard", "--name", name),
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A scheduler and two workers, each a process of its own."""
    folder = tmp_path_factory.mktemp("dask")
    facts = folder / "scheduler.json"
    processes = [
        spawn(
            *("distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1"),
            *("--no-dashboard", "--no-show", "--scheduler-file", str(facts)),
            cwd=folder,
        )
    ]
    try:
        deadline = time.monotonic() + ENDED
        while not facts.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        import json

        found = json.loads(facts.read_text())["address"]
        processes += [worker(found, name) for name in ("one", "two")]
        yield found
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    return save(TrainedModel(undecided(small_cnn()), RECIPE, {}), path)


def stack(path, values, col=0):
    grid = Grid("EPSG:32650", Affine(30, 0, 600_000 + 30 * col, 0, -30, 5e6), values.shape[1:])
    raster.write(path, values, grid, nodata=float("nan"), names=RECIPE.features)
    return path


def features(rows, cols, seed=0):
    values = np.random.default_rng(seed).normal(0.2, 0.5, (8, rows, cols)).astype(np.float32)
    values[:, rows // 2, cols // 3] = np.nan
    return values


def test_a_cluster_makes_the_same_bytes(address, model, tmp_path, monkeypatch):
    """One file from its path, and a mosaic with a model that has no file."""
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 64)
    values = features(200, 150)
    whole = stack(tmp_path / "a.tif", values)
    halves = [
        stack(tmp_path / "left.tif", values[:, :, :80]),
        stack(tmp_path / "right.tif", values[:, :, 70:], col=70),
    ]
    options = {"probability": True, "progress": False}
    predict(model, whole, tmp_path / "here.tif", **options)
    monkeypatch.chdir(tmp_path)
    predict(model.path, "a.tif", "there.tif", dask=address, **options)
    nowhere = TrainedModel(model.network, RECIPE, {})
    predict(nowhere, halves, tmp_path / "halves.tif", dask=address, **options)
    for name in ("there", "halves"):
        for kind in ("", "_probability"):
            made = (tmp_path / f"{name}{kind}.tif").read_bytes()
            assert made == (tmp_path / f"here{kind}.tif").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_cluster_maps_many_scenes(address, model, tmp_path):
    scenes = [stack(tmp_path / f"s{i}.tif", features(60, 50, i)) for i in range(5)]
    scenes[3].write_text("no raster")
    with pytest.raises(ScenesFailedError, match=r"1 of 5 .*s3\.tif"):
        predict(model, scenes, tmp_path / "maps", dask=address, progress=False)
    predict(model, scenes[4], tmp_path / "here.tif", progress=False)
    assert (tmp_path / "maps" / "s4_water.tif").read_bytes() == (tmp_path / "here.tif").read_bytes()
    assert len(list((tmp_path / "maps").glob("*_water.tif"))) == 4


def test_an_error_of_a_worker_is_one_line_and_nothing_is_left(address, model, tmp_path):
    source = stack(tmp_path / "a.tif", features(300, 300))
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2] + bytes(9000) + whole[len(whole) // 2 + 9000 :])
    with pytest.raises(RasterError, match=r"cannot read .*a\.tif") as caught:
        predict(model, source, tmp_path / "map.tif", dask=address, progress=False)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_worker_says_whether_it_could_not_write_or_not_read(model, tmp_path):
    """After the first the finished parts stay."""
    source = stack(tmp_path / "a.tif", features(60, 50))
    mapper = Mapper(model, probability=False, aoi=None, years=None, cluster=None, progress=False)
    with mapper.opened(source) as opened:
        header, outputs = opened.reader.header, mapper.outputs(tmp_path / "map.tif", opened)
        job = pipeline.plan(header, outputs, "key", 512, 3, fill=float("nan"))
    (part,), digest = job.parts, model.digest()
    why, unwritten = map_part(job, part, str(source), str(model.path), digest, None)
    assert unwritten
    assert "No such file or directory" in why
    job.folder.mkdir()
    why, unwritten = map_part(job, part, str(tmp_path / "b"), str(model.path), digest, None)
    assert "no such file" in why
    assert not unwritten
    assert map_part(job, part, str(source), str(model.path), digest, None) == ("", False)


def test_a_lost_worker_loses_nothing(address, model, tmp_path, monkeypatch):
    """A third worker is killed while it has parts in hand."""
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 32)
    source = stack(tmp_path / "a.tif", features(600, 100))
    predict(model, source, tmp_path / "here.tif", progress=False)
    third = worker(address, "three")
    folder = tmp_path / ".there.tif.parts"

    def kill():
        deadline = time.monotonic() + ENDED
        while not list(folder.glob("0*.tif")) and time.monotonic() < deadline:
            time.sleep(0.02)
        third.send_signal(signal.SIGKILL)

    try:
        with Cluster(address) as cluster:
            cluster._client.wait_for_workers(3, timeout=ENDED)
        killer = threading.Thread(target=kill)
        killer.start()
        predict(model, source, tmp_path / "there.tif", dask=address, progress=False)
        killer.join()
    finally:
        third.kill()
        third.wait()
    assert (tmp_path / "there.tif").read_bytes() == (tmp_path / "here.tif").read_bytes()


def test_a_task_carries_names_and_numbers_only(model, tmp_path, monkeypatch):
    """No open file, no SQLite, no weights: a kilobyte or two, whatever the raster."""
    source = stack(tmp_path / "a.tif", features(60, 50))
    sent = []

    class Client:
        def submit(self, *task, **_options):
            sent.append(task)
            raise ClusterError("enough")

        def wait_for_workers(self, *_, **__):
            pass

    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = "nowhere", Client()
    from water_gee.mapping.predict import Mapper

    mapper = Mapper(model, probability=True, aoi=None, years=None, cluster=cluster, progress=False)
    with pytest.raises(ClusterError, match="enough"):
        mapper.map(source, tmp_path / "map.tif")
    ((_function, *arguments),) = sent
    assert len(pickle.dumps(arguments)) < 8_000
    assert str(source.resolve()) in arguments
    assert str(model.path.resolve()) in arguments


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "nonsense", "tcp://no.such.host:8786", "tcp://foo..bar:1"]
)
def test_where_nobody_answers_is_one_line_within_seconds(model, tmp_path, address):
    source = stack(tmp_path / "a.tif", features(20, 20))
    began = time.monotonic()
    with pytest.raises(ClusterError, match="no Dask scheduler answers at") as caught:
        predict(model, source, tmp_path / "map.tif", dask=address)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_lookup_that_hangs_is_left_behind(model, tmp_path, monkeypatch):
    answered, plain = threading.Event(), socket.getaddrinfo

    def hanging(host, *arguments, **options):
        if host == "no.such.host":
            answered.wait(60)
        return plain(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr("water_gee.mapping.cluster.ANSWER_SECONDS", 0.5)
    source = stack(tmp_path / "a.tif", features(20, 20))
    began = time.monotonic()
    with pytest.raises(ClusterError, match="no Dask scheduler answers at"):
        predict(model, source, tmp_path / "map.tif", dask="tcp://no.such.host:8786")
    assert time.monotonic() - began < 20
    answered.set()


def test_without_dask_the_extra_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'water-gee\[dask\]'"):
        predict(model, tmp_path / "a.tif", tmp_path / "map.tif", dask="tcp://127.0.0.1:8786")
