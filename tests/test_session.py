"""Who a session talks to, how it ends, and what it says when there is nobody."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import ee
import fake_service
import pytest

from water_gee import session
from water_gee.errors import SessionError

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()
    ee.data.reset()


class Handler(BaseHTTPRequestHandler):
    """The fake service over HTTP."""

    service = fake_service.FakeService(value=lambda body: 3)

    def _answer(self):
        size = int(self.headers.get("content-length", 0))
        head, content = self.service.request(self.path, self.command, self.rfile.read(size))
        self.send_response(head.status)
        self.send_header("content-type", head["content-type"])
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


STAND_IN = f"""
import json, os, sys, threading
sys.path[:0] = [{str(REPOSITORY / "tests" / "helpers")!r}, {str(REPOSITORY)!r}]
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import fake_service
class Handler(BaseHTTPRequestHandler):
    service = fake_service.FakeService(value=lambda body: os.getpid())
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        head, content = self.service.request(self.path, self.command, body)
        self.send_response(head.status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    do_POST = do_GET
    def log_message(self, *args):
        pass
assert sys.argv[1] == "--catalog" and sys.argv[3:] == ["--port", "0"]
httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=httpd.serve_forever, daemon=True).start()
print(json.dumps({{"url": f"http://127.0.0.1:{{httpd.server_port}}"}}), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """A small program in place of the emulator, with the same manners."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(session, "EMULATOR", (sys.executable, str(script)))
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    return catalog


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or ") Z" not in status.read_text()


def test_a_url_is_used_as_it_is(server):
    with session.connect(url=server + "/") as current:
        assert (current.url, current.project) == (server, "local")
        assert current.alive
        assert ee.Number(1).add(2).getInfo() == 3
    assert not current.alive


def test_the_environment_names_the_server_where_nothing_else_does(server, monkeypatch):
    monkeypatch.setenv("WATER_GEE_URL", server)
    assert session.connect().url == server


def test_a_project_may_be_given_to_a_server_of_ones_own(server):
    assert session.connect(url=server, project="lakes").project == "lakes"


def test_ensure_keeps_what_there_is(server):
    current = session.connect(url=server)
    assert session.ensure() is current


def test_ensure_takes_over_the_callers_own_initialize():
    with fake_service.client_of(fake_service.FakeService()):
        current = session.ensure()
        assert (current.url, current.project) == (fake_service.URL, "local")


def test_a_request_that_never_ends_is_given_up_one_day(server):
    session.connect(url=server)
    assert ee.data._get_state().http_transport.seconds == session.DEADLINE_SECONDS > 300


def test_no_catalogue_is_one_line_with_the_remedies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SessionError) as caught:
        session.ensure()
    line = str(caught.value)
    assert "\n" not in line
    for remedy in ("connect(project=", "water-gee demo", "water-gee emulator ingest"):
        assert remedy in line
    assert str(tmp_path / "catalog") in line


def test_nobody_at_the_url_is_said_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with pytest.raises(SessionError, match=r"no server answers at http://127\.0\.0\.1:\d+"):
        session.connect(url=url)
    assert time.monotonic() - began < 10


def test_url_and_catalogue_exclude_each_other(tmp_path):
    with pytest.raises(SessionError, match="not both"):
        session.connect(url="http://127.0.0.1:1", catalog=tmp_path)


def test_a_catalogue_starts_a_child_that_ends_with_the_session(stand_in):
    current = session.connect(catalog=stand_in)
    child = ee.Number(1).getInfo()
    assert child not in (os.getpid(), None)
    assert lives(child)
    current.close()
    assert not lives(child)


def test_the_environment_names_the_catalogue(stand_in, monkeypatch):
    monkeypatch.setenv("WATER_GEE_CATALOG", str(stand_in))
    assert session.connect().catalog == stand_in


def test_a_new_session_ends_the_one_before(stand_in, server):
    session.connect(catalog=stand_in)
    child = ee.Number(1).getInfo()
    session.connect(url=server)
    assert not lives(child)


def test_ensure_starts_a_dead_emulator_anew(stand_in):
    session.connect(catalog=stand_in)
    child = ee.Number(1).getInfo()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not session.alive())
    again = session.ensure()
    assert again.alive
    assert ee.Number(1).getInfo() != child


def test_an_emulator_that_does_not_start_says_why(stand_in, monkeypatch):
    command = (sys.executable, "-c", "raise SystemExit('the catalogue is of another version')")
    monkeypatch.setattr(session, "EMULATOR", command)
    with pytest.raises(SessionError, match=r"did not start: the catalogue is of another version"):
        session.connect(catalog=stand_in)


def test_the_child_ends_even_when_its_parent_is_killed(stand_in):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                import sys, time
                sys.path.insert(0, {str(REPOSITORY)!r})
                import ee
                from water_gee import session
                session.EMULATOR = {session.EMULATOR!r}
                session.connect(catalog={str(stand_in)!r})
                print(ee.Number(1).getInfo(), flush=True)
                time.sleep(60)
                """
            ),
        ],
        stdout=subprocess.PIPE,
    )
    with parent:
        child = int(parent.stdout.readline())
        assert lives(child)
        parent.kill()
    wait_until(lambda: not lives(child))


def test_a_server_that_is_gone_is_one_line(stand_in):
    session.connect(catalog=stand_in)
    ee.data.setMaxRetries(0)
    os.kill(ee.Number(1).getInfo(), signal.SIGKILL)
    wait_until(lambda: not session.alive())
    line = r"127\.0\.0\.1:\d+ no longer answers"
    with pytest.raises(SessionError, match=line) as caught, session.talking():
        ee.Number(2).getInfo()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_account_is_one_line_with_the_remedy(code):
    def refuse(body):
        raise fake_service.RefusalError(code, "Caller does not have permission")

    with (
        fake_service.client_of(fake_service.FakeService(value=refuse)),
        pytest.raises(SessionError, match="earthengine authenticate"),
        session.talking(),
    ):
        ee.Number(1).getInfo()


def test_other_errors_of_the_service_pass_and_keep_their_status():
    def refuse(body):
        raise fake_service.RefusalError(400, "Image.load: no such asset")

    with fake_service.client_of(fake_service.FakeService(value=refuse)):
        with pytest.raises(ee.EEException, match="no such asset") as caught, session.talking():
            ee.Number(1).getInfo()
        assert session.http_status(caught.value) == 400


def test_google_without_an_account_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(SessionError, match="earthengine authenticate") as caught:
        session.connect(project="my-project")
    assert "\n" not in str(caught.value)
