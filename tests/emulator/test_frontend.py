"""Requests that are refused, delayed, cut off or lost; as clients see it, over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import uvicorn
from small_catalog import FIRST, connect
from uvicorn.server import ServerState

from water_gee.emulator import Faults, RequestFaults, start
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.exchange import Connections
from water_gee.emulator.service import Service
from water_gee.emulator.transport import InProcessTransport
from water_gee.errors import EmulatorError

BUSY = (
    "Too Many Requests: Request was rejected because the request rate or concurrency limit was "
    "exceeded."
)
PIXELS = "/v1/projects/p/image:computePixels"
VALUE = "/v1/projects/p/value:compute"


@pytest.fixture
def serve(filled, tmp_path):
    """Start emulators over copies of the small catalogue, with the faults asked for."""
    with ExitStack() as stack:

        def serve(seed=0, slots=None, canned=False, **shares):
            folder = tmp_path / f"catalog{time.monotonic_ns()}"
            shutil.copytree(filled, folder)
            faults = Faults(seed=seed, requests=RequestFaults(**shares), slots=slots, canned=canned)
            return stack.enter_context(start(folder, faults=faults))

        yield serve
    import ee

    ee.data.reset()


def plus(number):
    """A request for a value that costs nothing: 1 + number."""
    call = {
        "functionName": "Number.add",
        "arguments": {"left": {"constantValue": 1}, "right": {"constantValue": number}},
    }
    return {"expression": {"result": "0", "values": {"0": {"functionInvocationValue": call}}}}


def coordinates(x, side=8):
    """A request for the coordinates of pixels east of x, 16 bytes each."""
    call = {"functionName": "Image.pixelLonLat", "arguments": {}}
    affine = {"scaleX": 0.1, "scaleY": -0.1, "translateX": x, "translateY": 50}
    return {
        "expression": {"result": "0", "values": {"0": {"functionInvocationValue": call}}},
        "fileFormat": "NPY",
        "grid": {"dimensions": {"width": side, "height": side}, "affineTransform": affine},
    }


def opened(emulator, timeout=30):
    """A connection."""
    parts = urlsplit(emulator.url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def send(connection, wire, path=VALUE):
    connection.request("POST", path, json.dumps(wire), {"Content-Type": "application/json"})


def ask(emulator, wire, path=VALUE):
    """One request on a connection of its own: status and body, or the name of what went wrong."""
    connection = opened(emulator)
    try:
        send(connection, wire, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, b""
    finally:
        connection.close()


def until(condition, seconds=20):
    """Wait for something that is about to be so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


# What happens ------------------------------------------------------------------------------------


def test_a_client_initialises_whatever_happens_to_requests_for_data(serve):
    emulator = serve(reset=1.0, slots=1, latency=30.0)
    ee = connect(emulator.url)
    assert ee.data.getAsset(FIRST)["type"] == "IMAGE"
    assert emulator.requests.total == 0


def test_requests_beyond_the_rate_are_refused_in_the_service_s_words(serve):
    emulator = serve(too_many=1.0, latency=60.0)
    connection = opened(emulator)
    for _ in range(2):  # The connection stays open, and there is no latency.
        send(connection, plus(1))
        answer = connection.getresponse()
        assert answer.status == 429
        assert json.loads(answer.read()) == {
            "error": {"code": 429, "message": BUSY, "status": "RESOURCE_EXHAUSTED"}
        }
    connection.close()
    assert emulator.requests.faults == {"429": 2}
    assert emulator.requests.statuses == {429: 2}


def test_the_stock_client_asks_again_after_429(serve, monkeypatch):
    monkeypatch.setattr("random.random", lambda: 0.0)  # It waits for a random time.
    emulator = serve(too_many=0.5, seed=3)
    ee = connect(emulator.url)
    found = [ee.Number(1).add(n).getInfo() for n in range(10)]
    assert found == list(range(1, 11))
    assert emulator.requests.statuses[200] == 10
    assert emulator.requests.statuses[429] > 0


def test_server_errors_come_in_four_kinds(serve):
    emulator = serve(server_error=1.0)
    found = {}
    for n in range(40):
        status, body = ask(emulator, plus(n))
        found[status] = body
    assert set(found) == {500, 502, 503, 504}
    assert json.loads(found[500])["error"] == {
        "code": 500,
        "message": "An internal error has occurred",
        "status": "INTERNAL",
    }
    assert json.loads(found[503])["error"] == {
        "code": 503,
        "message": "The service is currently unavailable.",
        "status": "UNAVAILABLE",
    }
    for code in (502, 504):
        assert f"Error {code} (Server Error)" in found[code].decode()
        assert "Please try again in 30 seconds." in found[code].decode()
    assert emulator.requests.faults == {"5xx": 40}


def test_an_answer_that_is_cut_off_is_shorter_than_announced(serve, caplog):
    emulator = serve(truncate=1.0)
    for n in range(20):
        connection = opened(emulator)
        send(connection, plus(n))
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as raised:
            answer.read()
        assert len(raised.value.partial) < int(answer.headers["Content-Length"])
        connection.close()
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.post(f"{emulator.url}{VALUE}", json=plus(1), timeout=30)
    assert emulator.requests.faults == {"truncate": 21}
    until(lambda: emulator.requests.at_once == 0)
    assert caplog.records == []


def test_a_reset_connection_is_an_error_without_an_answer(serve, caplog):
    emulator = serve(reset=1.0)
    connection = opened(emulator)
    send(connection, plus(1))
    with pytest.raises(ConnectionResetError):
        connection.getresponse()
    connection.close()
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{emulator.url}{VALUE}", json=plus(1), timeout=30)
    assert emulator.requests.faults == {"reset": 2}
    assert emulator.requests.statuses == {}
    until(lambda: emulator.requests.at_once == 0)
    assert caplog.records == []


def test_a_request_that_hangs_has_no_answer_and_ends_with_its_client_or_the_server(serve, caplog):
    emulator = serve(hang=1.0)
    with pytest.raises(requests.ReadTimeout):
        requests.post(f"{emulator.url}{VALUE}", json=plus(1), timeout=(30, 0.3))
    until(lambda: emulator.requests.at_once == 0)
    waiting = [opened(emulator) for _ in range(5)]
    for n, connection in enumerate(waiting):
        send(connection, plus(n))
    until(lambda: emulator.requests.at_once == 5)
    begun = time.monotonic()
    emulator.stop()
    assert time.monotonic() - begun < 4
    for connection in waiting:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            connection.getresponse()
        connection.close()
    assert caplog.records == []


def test_latency_costs_no_thread(serve):
    emulator = serve(latency=1000.0)
    before = threading.active_count()
    waiting = [opened(emulator) for _ in range(150)]
    for n, connection in enumerate(waiting):
        send(connection, plus(n))
    until(lambda: emulator.requests.at_once == 150)
    assert threading.active_count() <= before + 40  # So many compute at most.
    emulator.stop()
    for connection in waiting:
        connection.close()
    assert emulator.requests.peak == 150
    assert emulator.requests.statuses == {}


def test_every_request_takes_its_latency(serve):
    emulator = serve(latency=0.3, server_error=0.5)
    for n in range(6):
        begun = time.monotonic()
        ask(emulator, plus(n))
        assert time.monotonic() - begun >= 0.3
    assert 0 < emulator.requests.faults["5xx"] < 6


def test_a_server_that_stops_does_not_wait_for_latency(serve, caplog):
    emulator = serve(latency=100.0)
    connection = opened(emulator)
    send(connection, plus(1))
    until(lambda: emulator.requests.at_once == 1)
    begun = time.monotonic()
    emulator.stop()
    assert time.monotonic() - begun < 4
    connection.close()
    assert caplog.records == []


# To which requests -------------------------------------------------------------------------------


def outcomes(emulator, order, threads=20):
    """What became of each request, asked twice in an order."""

    def one(n):
        status, body = ask(emulator, plus(n))
        if status == 200:
            assert json.loads(body) == {"result": 1 + n}
        return n, status

    with ThreadPoolExecutor(threads) as pool:
        first = dict(pool.map(one, order))
        second = dict(pool.map(one, reversed(order)))
    return first, second


def test_the_same_requests_meet_the_same_faults_in_any_order(serve):
    shares = {"too_many": 0.2, "server_error": 0.1, "truncate": 0.1, "reset": 0.1}
    order = list(range(200))
    first, second = outcomes(serve(seed=4, **shares), order)
    mixed = np.random.default_rng(0).permutation(order).tolist()
    emulator = serve(seed=4, **shares)
    assert outcomes(emulator, mixed) == (first, second)
    assert outcomes(serve(seed=5, **shares), order) != (first, second)
    # The same request again is another throw of the dice.
    assert first != second
    found = Counter(first.values()) + Counter(second.values())
    counts = emulator.requests
    assert counts.total == 400
    assert counts.statuses == {
        status: count + (counts.faults["truncate"] if status == 200 else 0)
        for status, count in found.items()
        if isinstance(status, int)
    }
    assert found["IncompleteRead"] == counts.faults["truncate"]
    assert found["ConnectionResetError"] == counts.faults["reset"]
    for name, share in (("429", 0.2), ("5xx", 0.1), ("truncate", 0.1), ("reset", 0.1)):
        assert abs(counts.faults[name] - 400 * share) < 4 * (400 * share * (1 - share)) ** 0.5


# Slots -------------------------------------------------------------------------------------------


def test_a_request_beyond_the_slots_is_refused_at_once(serve):
    emulator = serve(slots=3, hang=1.0)
    waiting = [opened(emulator) for _ in range(3)]
    for n, connection in enumerate(waiting):
        send(connection, plus(n))
    until(lambda: emulator.requests.at_once == 3)
    status, body = ask(emulator, plus(3))
    assert (status, json.loads(body)["error"]["message"]) == (429, BUSY)
    assert requests.get(f"{emulator.url}/v1/projects/p/config", timeout=30).status_code == 200
    # A client that leaves makes room.
    waiting.pop().close()
    until(lambda: emulator.requests.at_once == 2)
    waiting.append(opened(emulator))
    send(waiting[-1], plus(4))
    until(lambda: emulator.requests.at_once == 3)
    assert emulator.requests.peak == 3
    assert emulator.requests.faults == {"hang": 4, "slots": 1}
    for connection in waiting:
        connection.close()


def test_a_client_that_leaves_during_latency_makes_room(serve):
    emulator = serve(slots=1, latency=100.0)
    connection = opened(emulator)
    send(connection, plus(1))
    until(lambda: emulator.requests.at_once == 1)
    assert ask(emulator, plus(2))[0] == 429
    connection.close()
    until(lambda: emulator.requests.at_once == 0)


def test_a_client_that_leaves_during_a_computation_makes_room(serve, monkeypatch):
    emulator = serve(slots=1)
    going_on, ended = threading.Event(), threading.Event()
    usual = emulator.service.value

    def slow(*given):
        going_on.wait(30)
        ended.set()
        return usual(*given)

    monkeypatch.setattr(emulator.service, "value", slow)
    connection = opened(emulator)
    send(connection, plus(1))
    until(lambda: emulator.requests.at_once == 1)
    connection.close()
    until(lambda: emulator.requests.at_once == 0)
    assert not ended.is_set()
    going_on.set()
    assert ask(emulator, plus(2))[0] == 200


@pytest.fixture
def held_up(monkeypatch):
    """Keep an emulator's computations from going on: what began, and what lets them."""
    going_on = threading.Event()

    def held_up(emulator):
        begun = []
        usual = emulator.service.value

        def slow(*given):
            begun.append(given)
            going_on.wait(60)
            return usual(*given)

        monkeypatch.setattr(emulator.service, "value", slow)
        return begun, going_on

    yield held_up
    going_on.set()


def come_and_leave(emulator, wires, path=VALUE):
    """Send requests that get slots, and close their connections."""
    leaving = [opened(emulator) for _ in wires]
    for connection, wire in zip(leaving, wires, strict=True):
        send(connection, wire, path)
    until(lambda: emulator.requests.at_once == len(wires))
    for connection in leaving:
        connection.close()
    until(lambda: emulator.requests.at_once == 0)


def test_what_has_not_begun_when_its_client_leaves_is_never_computed(serve, held_up, caplog):
    emulator = serve(slots=50)
    begun, going_on = held_up(emulator)
    for batch in range(4):
        come_and_leave(emulator, [plus(50 * batch + n) for n in range(50)])
    going_on.set()
    assert ask(emulator, plus(1))[0] == 200
    # One a processor was being computed, and in a machine of many no more than there are threads.
    assert len(begun) <= min(os.cpu_count(), 40) + 1
    emulator.stop()
    assert caplog.records == []


def test_a_kind_of_pixels_is_still_kept_where_its_first_client_leaves(serve, held_up):
    emulator = serve(slots=5, canned=True)
    begun, going_on = held_up(emulator)
    come_and_leave(emulator, [coordinates(n) for n in range(5)], PIXELS)
    until(lambda: begun)
    going_on.set()
    assert ask(emulator, coordinates(6), PIXELS)[0] == 200
    assert len(begun) == 1
    assert emulator.requests.canned == 1


def test_a_client_that_does_not_read_holds_no_slot_and_keeps_no_server(serve, caplog):
    emulator = serve(slots=1, truncate=1.0)
    waiting = []
    for n in range(4):  # The beginnings of 16 MB: some are more than a connection takes unread.
        waiting.append(opened(emulator))
        send(waiting[-1], coordinates(n, side=1000), PIXELS)
        until(lambda n=n: emulator.requests.faults["truncate"] == n + 1)
        until(lambda: emulator.requests.at_once == 0)
    begun = time.monotonic()
    emulator.stop()
    assert time.monotonic() - begun < 4
    for connection in waiting:
        connection.close()
    assert emulator.requests.faults == {"truncate": 4}
    assert caplog.records == []


def test_requests_that_wait_hold_no_message(serve):
    emulator = serve(hang=0.5, latency=1000.0)
    wires = [plus(n) | {"workloadTag": "x" * 1_000_000} for n in range(40)]
    tracemalloc.start()
    try:
        waiting = [opened(emulator) for _ in wires]
        for connection, wire in zip(waiting, wires, strict=True):
            send(connection, wire)
        until(lambda: emulator.requests.at_once == 40)
        # The last ones are still being computed.
        until(lambda: tracemalloc.get_traced_memory()[0] < 10_000_000)
    finally:
        tracemalloc.stop()
    assert 0 < emulator.requests.faults["hang"] < 40
    emulator.stop()
    for connection in waiting:
        connection.close()


def test_requests_refused_for_want_of_a_slot_do_not_change_what_happens_to_others(serve):
    free = serve(seed=9, too_many=0.5)
    expected = [[ask(free, plus(n))[0] for _ in range(3)] for n in range(10)]
    full = serve(seed=9, too_many=0.5, slots=1, latency=0.2)
    found = []
    for n in range(10):
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: ask(full, plus(1000)), range(3)))
        found.append([ask(full, plus(n))[0] for _ in range(3)])
    assert full.requests.faults["slots"] > 0
    assert found == expected


def test_never_more_requests_are_in_work_than_there_are_slots(serve):
    emulator = serve(slots=4, latency=0.05)
    with ThreadPoolExecutor(12) as pool:
        statuses = Counter(
            status for status, _ in pool.map(lambda n: ask(emulator, plus(n)), range(60))
        )
    assert set(statuses) == {200, 429}
    assert emulator.requests.peak == 4
    assert emulator.requests.total == 60
    assert emulator.requests.faults == {"slots": statuses[429]}
    until(lambda: emulator.requests.at_once == 0)


# Canned answers ----------------------------------------------------------------------------------


@pytest.fixture
def picture(serve):
    """Ask a canned emulator for pixels of the coordinates; the emulator, and how to ask."""
    emulator = serve(canned=True)
    ee = connect(emulator.url)
    from ee import serializer

    image = ee.Image.pixelLonLat().toFloat()
    expression = serializer.encode(image, for_cloud_api=True)

    def picture(x, y, side=16, bands=("longitude",), file_format="NPY"):
        grid = {
            "dimensions": {"width": side, "height": side},
            "affineTransform": {"scaleX": 0.1, "scaleY": -0.1, "translateX": x, "translateY": y},
            "crsCode": "EPSG:4326",
        }
        wire = {
            "expression": expression,
            "grid": grid,
            "fileFormat": file_format,
            "bandIds": list(bands),
        }
        return ask(emulator, wire, PIXELS)

    return emulator, picture


def test_pixels_are_computed_once_and_every_place_gets_the_same_bytes(picture):
    emulator, ask_for = picture
    status, first = ask_for(10.0, 50.0)
    assert status == 200
    assert np.load(io.BytesIO(first))["longitude"][0, 0] == pytest.approx(10.05)
    for n in range(20):
        assert ask_for(10.0 + n, 50.0 - n) == (200, first)
    assert emulator.requests.canned == 20
    assert emulator.requests.statuses == {200: 21}


def test_other_grids_bands_and_formats_are_computed_anew(picture):
    emulator, ask_for = picture
    found = {
        ask_for(10.0, 50.0, **options)[1]
        for options in (
            {},
            {"side": 17},
            {"bands": ("latitude",)},
            {"bands": ("latitude", "longitude")},
            {"file_format": "GEO_TIFF"},
        )
        for _ in range(2)
    }
    assert len(found) == 5
    assert emulator.requests.canned == 5


def test_a_refusal_is_not_kept(picture):
    emulator, ask_for = picture
    for _ in range(2):
        assert ask_for(10.0, 50.0, bands=("none",))[0] == 400
    assert emulator.requests.canned == 0


def test_requests_of_one_kind_that_come_together_are_computed_once(picture, monkeypatch):
    emulator, ask_for = picture
    computed = []
    usual = emulator.service.pixels

    def counted(*given, **options):
        computed.append(given)
        time.sleep(0.3)
        return usual(*given, **options)

    monkeypatch.setattr(emulator.service, "pixels", counted)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: ask_for(10.0 + n, 50.0), range(8)))
    assert len(found) == 1
    assert len(computed) == 1


def test_downloads_by_address_are_of_one_kind_where_shape_and_bands_agree(serve):
    emulator = serve(canned=True)
    ee = connect(emulator.url)
    image = ee.Image.pixelLonLat().toFloat()

    def fetched(west, degrees, bands):
        region = ee.Geometry.Rectangle([west, 50.0, west + degrees, 51.0], None, False)
        url = image.getDownloadURL(
            {"region": region, "crs": "EPSG:4326", "scale": 11132, "format": "NPY", "bands": bands}
        )
        return requests.get(url, timeout=30).content

    first = fetched(10.0, 1.0, ["longitude"])
    assert fetched(20.0, 1.0, ["longitude"]) == first
    assert emulator.requests.canned == 1
    assert fetched(10.0, 2.0, ["longitude"]) != first
    assert fetched(10.0, 1.0, ["latitude"]) != first
    assert emulator.requests.canned == 1


@pytest.mark.parametrize("canned", [False, True])
def test_a_grid_that_is_none_is_refused_when_an_address_is_asked_for(serve, canned):
    wire = coordinates(10)
    wire["grid"]["crsCode"] = "EPSG:99999999"
    status, body = ask(serve(canned=canned), wire, "/v1/projects/p/thumbnails")
    assert status == 400
    assert json.loads(body)["error"]["message"] == (
        "grid: The CRS 'EPSG:99999999' is not recognized."
    )


def test_values_are_never_canned(serve):
    emulator = serve(canned=True)
    assert [json.loads(ask(emulator, plus(n))[1])["result"] for n in (1, 2, 1)] == [2, 3, 2]
    assert emulator.requests.canned == 0


def test_canned_answers_meet_faults_as_others_do(serve):
    emulator = serve(canned=True, slots=40, truncate=0.5, latency=0.01)
    found = Counter(ask(emulator, coordinates(n), PIXELS)[0] for n in range(40))
    assert set(found) == {200, "IncompleteRead"}
    assert emulator.requests.canned == 39


# Connections -------------------------------------------------------------------------------------


def test_a_connection_that_ends_late_takes_no_other_with_it():
    ended = []

    class Transport(asyncio.Transport):
        def get_extra_info(self, name, default=None):
            return {"peername": ("127.0.0.1", 5000), "sockname": ("127.0.0.1", 80)}.get(name)

        def abort(self):
            ended.append(self)

    async def reuse_an_address():
        connections = Connections()
        config = uvicorn.Config(None, log_config=None, lifespan="off")
        config.load()
        first, second = (connections.protocol(config, ServerState(), {}) for _ in range(2))
        first.connection_made(Transport())
        later = Transport()
        second.connection_made(later)
        first.connection_lost(ConnectionResetError())
        connections.abort(("127.0.0.1", 5000))
        assert ended == [later]
        second.connection_lost(ConnectionResetError())
        connections.abort(("127.0.0.1", 5000))
        assert ended == [later]

    asyncio.run(reuse_an_address())


# How it is asked for -----------------------------------------------------------------------------


def test_without_a_socket_nothing_happens_on_the_way(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "catalog")
    for faults in (
        Faults(requests=RequestFaults(latency=1.0)),
        Faults(slots=40),
        Faults(canned=True),
    ):
        with (
            Service(Catalog.open(tmp_path / "catalog"), tasks=False, faults=faults) as service,
            pytest.raises(
                EmulatorError, match=r"faults of requests, slots and canned answers need"
            ),
        ):
            InProcessTransport(service)


MODULE = [sys.executable, "-m", "water_gee.emulator"]
COMMAND = [sys.executable, "-m", "water_gee", "emulator", "start"]


@pytest.mark.parametrize("command", [MODULE, COMMAND], ids=["module", "command"])
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--faults", "429=2"], "faults: 429=2.0: a share is from 0 to 1"),
        (["--faults", ""], "faults: '' is not like 429=0.02"),
    ],
)
def test_settings_that_are_none_end_a_command_in_one_line(filled, command, options, line):
    ended = subprocess.run(
        [*command, "--catalog", str(filled), *options], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.removeprefix("water-gee: ") == f"{line}\n"


@pytest.mark.parametrize("command", [MODULE, COMMAND], ids=["module", "command"])
def test_the_commands_take_all_of_it(filled, tmp_path, serve, command):
    here = serve(seed=7, reset=0.5)
    expected = [ask(here, plus(n))[0] for n in range(8)]
    assert set(expected) == {200, "ConnectionResetError"}
    shutil.copytree(filled, tmp_path / "catalog")
    options = ["--faults", "latency=0.3,reset=0.5", "--seed", "7", "--slots", "2", "--canned"]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [*command, "--catalog", str(tmp_path / "catalog"), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
        stack.callback(process.terminate)
        there = SimpleNamespace(url=json.loads(process.stdout.readline())["url"])
        begun = time.monotonic()
        assert [ask(there, plus(n))[0] for n in range(8)] == expected
        assert time.monotonic() - begun >= 8 * 0.3
        answers = [ask(there, coordinates(n), PIXELS) for n in range(8)]
        pixels = [body for status, body in answers if status == 200]
        assert len(pixels) > 1
        assert len(set(pixels)) == 1
        # Of many that come within their latency, no more than two have a slot.
        with ThreadPoolExecutor(20) as pool:
            together = Counter(pool.map(lambda n: ask(there, plus(n))[0], range(20)))
        assert together[429] > 0
