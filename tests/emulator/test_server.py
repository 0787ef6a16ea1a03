"""The server and its command: this machine alone, ready when they say so, gone when told."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
import requests
from small_catalog import FIRST, connect

import water_gee.emulator
from water_gee.emulator.limits import MAX_REQUEST_BYTES
from water_gee.emulator.routes import ROUTES, handle
from water_gee.errors import EmulatorError


@pytest.fixture(scope="module")
def emulator(filled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server") / "catalog"
    shutil.copytree(filled, folder)
    with water_gee.emulator.start(folder) as running:
        yield running


def raw(emulator, method, path, headers=(), body=None, host=None):
    """One request without any client's help: status, JSON."""
    parts = urlsplit(emulator.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or parts.netloc)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content)


def test_a_server_is_ready_when_it_starts_and_on_loopback_alone(emulator):
    assert emulator.url.startswith("http://127.0.0.1:")
    assert requests.get(f"{emulator.url}/v1/projects/p/config", timeout=10).status_code == 200


def test_stopping_frees_the_port_and_may_be_repeated(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "catalog")
    running = water_gee.emulator.start(tmp_path / "catalog")
    port = urlsplit(running.url).port
    running.stop()
    running.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(running.url, timeout=5)
    again = water_gee.emulator.start(tmp_path / "catalog", port)
    assert urlsplit(again.url).port == port
    again.stop()


def test_no_catalogue_and_a_taken_port_are_one_line_each(filled, tmp_path):
    with pytest.raises(EmulatorError, match="no catalogue in"):
        water_gee.emulator.start(tmp_path / "none")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmulatorError, match=f"port {port} of 127.0.0.1 cannot be used"):
            water_gee.emulator.start(filled, port)
    with pytest.raises(EmulatorError, match="port 99999"):
        water_gee.emulator.start(filled, 99999)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_host_names_are_refused(emulator, host):
    status, answer = raw(emulator, "GET", "/v1/projects/p/config", host=host or " ")
    assert status == 403
    assert answer["error"]["status"] == "PERMISSION_DENIED"


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "127.0.0.1", "[::1]:1"])
def test_this_machines_names_are_answered(emulator, host):
    assert raw(emulator, "GET", "/v1/projects/p/config", host=host)[0] == 200


def test_a_body_that_announces_too_much_is_not_read(emulator):
    headers = [("Content-Length", str(MAX_REQUEST_BYTES + 1))]
    status, answer = raw(emulator, "POST", "/v1/projects/p/value:compute", headers)
    assert status == 400
    assert answer["error"]["message"] == "Request payload size exceeds the limit: 10485760 bytes."


def test_a_body_in_chunks_is_counted(emulator):
    def chunks():
        for _ in range(12):
            yield b"x" * (1 << 20)

    answer = requests.post(f"{emulator.url}/v1/projects/p/value:compute", data=chunks(), timeout=30)
    assert answer.status_code == 400
    assert "10485760" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "about"),
    [
        ("GET", "/", None, 404, "Method not found: GET /"),
        ("GET", "/v1/projects/p/nothing", None, 404, "Method not found"),
        ("GET", "/v2/projects/p/config", None, 404, "Method not found"),
        ("PUT", "/v1/projects/p/config", b"", 404, "Method not found"),
        ("POST", "/v1/projects/p/value:compute", b"{nonsense", 400, "Invalid JSON payload"),
        ("POST", "/v1/projects/p/value:compute", b"[1]", 400, "expected an object"),
        ("POST", "/v1/projects/p/value:compute", b"", 400, "expression"),
        ("POST", "/v1/projects/p/value:compute", b'{"expression": 5}', 400, "expression"),
        ("POST", "/v1/projects/p/value:compute", b'{"expression": {}}', 400, ""),
        ("POST", "/v1/projects/p/image:export", b"{}", 400, "expression"),
        ("POST", "/v1/projects/p/image:export", b'{"expression": {}}', 400, "assetExportOptions"),
        ("POST", "/v1/projects/p/thumbnails", b'{"fileFormat": "X"}', 400, "'X'"),
        ("POST", "/v1/projects/p/assets?assetId=", b"{}", 400, ""),
        ("GET", "/v1/projects/p/assets/a/..%2f..%2fb", None, 400, "Invalid asset id"),
        ("GET", "/v1/projects/p/assets/%2e%2e/x", None, 400, "Invalid asset id"),
        ("GET", "/v1/projects/p/assets/a%3fb%23c", None, 400, "Invalid asset id"),
        ("GET", "/v1/projects/p/operations?pageSize=x", None, 400, "pageSize"),
        ("POST", "/v1/projects/p/operations/X:wait", b'{"timeout": "soon"}', 400, "timeout"),
        ("PATCH", "/v1/projects/p/assets/none", b"{}", 404, "does not exist"),
    ],
)
def test_every_fault_of_the_caller_is_a_4xx_in_the_services_form(
    emulator, method, path, body, code, about
):
    status, answer = raw(emulator, method, path, body=body)
    assert status == code
    assert set(answer) == {"error"}
    assert answer["error"]["code"] == code
    assert about in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


def test_deep_json_is_refused_and_not_fallen_into(emulator):
    body = b'{"expression": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    status, answer = raw(emulator, "POST", "/v1/projects/p/value:compute", body=body)
    assert status == 400
    assert "error" in answer


def test_a_fault_of_ours_is_a_500_that_says_so(emulator, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(emulator.service, "value", broken)
    status, answer = raw(emulator, "POST", "/v1/projects/p/value:compute", body=b"{}")
    assert (status, answer["error"]["status"]) == (500, "INTERNAL")
    assert "a bug" in answer["error"]["message"]
    assert "a bug" in caplog.text


def test_the_discovery_document_holds_the_routes_and_no_more(emulator):
    document = requests.get(
        f"{emulator.url}/$discovery/rest?version=v1&prettyPrint=false", timeout=10
    ).json()
    assert document["rootUrl"] == f"{emulator.url}/"
    found = {}

    def walk(place, prefix):
        for name, method in place.get("methods", {}).items():
            found[prefix + name] = method
        for name, resource in place.get("resources", {}).items():
            walk(resource, f"{prefix}{name}.")

    walk(document, "")
    assert set(found) == {route.id for route in ROUTES}
    listing = found["projects.assets.listAssets"]
    assert listing["path"] == "v1/{+parent}:listAssets"
    assert set(listing["parameters"]) == {"parent", "pageSize", "pageToken", "filter", "view"}
    assert document["schemas"]["Page"]["properties"] == {"nextPageToken": {"type": "string"}}


def test_the_algorithm_list_is_the_clients_own(emulator):
    import ee

    listed = requests.get(f"{emulator.url}/v1/projects/p/algorithms", timeout=10).json()
    with open(os.path.join(os.path.dirname(ee.__file__), "tests", "algorithms.json")) as file:  # noqa: PTH118, PTH120, PTH123
        assert listed == json.load(file)
    assert len(listed["algorithms"]) > 900


def test_partial_answers_hold_the_fields_asked_for(emulator):
    status, answer = raw(
        emulator, "GET", f"/v1/projects/earthengine-public/assets/{FIRST}?fields=id,type"
    )
    assert (status, answer) == (200, {"id": FIRST, "type": "IMAGE"})


def test_many_ask_at_once(emulator):
    statuses = []

    def ask():
        body = {
            "expression": {
                "result": "0",
                "values": {
                    "0": {
                        "functionInvocationValue": {
                            "functionName": "Number.add",
                            "arguments": {
                                "left": {"constantValue": 1},
                                "right": {"constantValue": 2},
                            },
                        }
                    }
                },
            }
        }
        answer = requests.post(f"{emulator.url}/v1/projects/p/value:compute", json=body, timeout=60)
        statuses.append((answer.status_code, answer.json().get("result")))

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [(200, 3)] * 60


def test_the_same_answers_come_without_a_socket(emulator):
    path = f"/v1/projects/earthengine-public/assets/{FIRST}"
    answer = handle(emulator.service, "GET", path, {}, b"")
    assert json.loads(answer.body) == raw(emulator, "GET", path)[1]
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_stopping_does_not_wait_for_long_evaluations(filled, tmp_path, monkeypatch):
    from ee import serializer

    monkeypatch.setattr("water_gee.emulator.server.GRACE_SECONDS", 0.3)
    shutil.copytree(filled, tmp_path / "catalog")
    running = water_gee.emulator.start(tmp_path / "catalog")
    ee = connect(running.url)
    image = ee.Image.pixelLonLat().select("latitude")
    for _ in range(40):
        image = image.convolve(ee.Kernel.square(9)).sin()
    expression = serializer.encode(image, for_cloud_api=True)
    grid = {
        "dimensions": {"width": 2000, "height": 2000},
        "affineTransform": {"scaleX": 1e-4, "scaleY": -1e-4},
    }
    answers = []

    def ask():
        body = {"expression": expression, "grid": grid, "fileFormat": "NPY"}
        answers.append(
            requests.post(
                f"{running.url}/v1/projects/p/image:computePixels", json=body, timeout=120
            )
        )

    asking = threading.Thread(target=ask)
    asking.start()
    end = time.monotonic() + 20
    while not running.service._contexts:
        assert time.monotonic() < end
        time.sleep(0.01)
    begun = time.monotonic()
    running.stop()
    assert time.monotonic() - begun < 30
    asking.join()
    ee.data.reset()


# The command -------------------------------------------------------------------------------------


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "water_gee.emulator", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def ended(process):
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


@pytest.fixture
def own(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "catalog")
    return tmp_path / "catalog"


@pytest.mark.parametrize("flag", [[], ["--end-with-parent"]])
def test_the_command_says_where_and_ends_with_its_input(own, flag):
    process = command("--catalog", own, "--port", 0, *flag, stdin=subprocess.PIPE)
    url = json.loads(process.stdout.readline())["url"]
    assert requests.get(f"{url}/v1/projects/p/config", timeout=10).status_code == 200
    process.stdin.close()
    process.stdin = None
    assert ended(process) == (0, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_ends_on_signals_without_a_traceback(own, number):
    process = command("--catalog", own, stdin=subprocess.DEVNULL)
    assert process.stdout.readline()
    process.send_signal(number)
    assert ended(process) == (0, b"", b"")


def test_the_command_outlives_an_input_that_is_no_pipe(own):
    process = command("--catalog", own, stdin=subprocess.DEVNULL)
    url = json.loads(process.stdout.readline())["url"]
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.7)
    assert requests.get(f"{url}/v1/projects/p/config", timeout=10).status_code == 200
    process.terminate()
    assert ended(process)[0] == 0


def test_the_command_refuses_in_one_line(tmp_path):
    code, out, err = ended(command("--catalog", tmp_path / "none", stdin=subprocess.DEVNULL))
    assert (code, out) == (1, b"")
    assert err.decode().startswith("no catalogue in ")
    assert err.count(b"\n") == 1


def test_importing_the_emulator_loads_no_server():
    code = "import sys, water_gee.emulator; print('starlette' in sys.modules, 'ee' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
    with pytest.raises(AttributeError, match="no attribute 'stop'"):
        water_gee.emulator.stop  # noqa: B018
