"""The client's HTTP: what breaks on the way has a name, and no request waits for ever."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from water_gee.errors import TruncatedError
from water_gee.transport import Transport, within

BODY = bytes(range(256)) * 4000


def answer(body, length=None, extra=""):
    size = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{extra}\r\n".encode() + body


@contextmanager
def server(respond):
    """A server that hands each connection's requests, one by one, to a function; counts both."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = {"connections": 0, "requests": 0}

    def serve(connection):
        with connection:
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
                while b"\r\n\r\n" in data:
                    _, _, data = data.partition(b"\r\n\r\n")
                    seen["requests"] += 1
                    if not respond(connection, seen["requests"]):
                        return

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen["connections"] += 1
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def transport():
    made = Transport(30)
    yield made
    made.close()


def test_answers_come_whole_over_one_connection(transport):
    with server(lambda to, _: to.sendall(answer(BODY)) is None) as (url, seen):
        for _ in range(5):
            found, content = transport.request(url, "POST", body=None)
            assert (found.status, content) == (200, BODY)
    assert seen == {"connections": 1, "requests": 5}


def test_packed_answers_are_unpacked(transport):
    packed = answer(gzip.compress(BODY), extra="Content-Encoding: gzip\r\n")
    with server(lambda to, _: to.sendall(packed) is None) as (url, _):
        assert transport.request(url)[1] == BODY


@pytest.mark.parametrize(
    "short",
    [
        answer(BODY[:1000], len(BODY)),
        answer(gzip.compress(BODY)[:-40], len(BODY), extra="Content-Encoding: gzip\r\n"),
    ],
)
def test_an_answer_that_ends_early_is_told(transport, short):
    with (
        server(lambda to, _: to.sendall(short)) as (url, _),
        pytest.raises(TruncatedError, match="cut short"),
    ):
        transport.request(url)


def test_a_connection_that_breaks_is_told(transport):
    with server(lambda to, _: False) as (url, _), pytest.raises(ConnectionError):
        transport.request(url)


def test_nobody_there_is_told(transport):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionError, match="refused"):
        transport.request(f"http://127.0.0.1:{port}/")


def test_no_request_waits_longer_than_it_may(transport):
    with server(lambda to, _: True) as (url, _):
        began = time.monotonic()
        with within(0.2), pytest.raises(TimeoutError, match="no answer within"):
            transport.request(url)
        assert time.monotonic() - began < 5


def test_the_time_is_each_threads_own(transport):
    def late(to, number):
        time.sleep(0.5)
        return to.sendall(answer(b"late")) is None

    with server(late) as (url, _):
        outcomes = {}

        def ask(name, seconds):
            with within(seconds):
                try:
                    outcomes[name] = transport.request(url)[1]
                except TimeoutError:
                    outcomes[name] = "given up"

        threads = [
            threading.Thread(target=ask, args=("hasty", 0.1)),
            threading.Thread(target=ask, args=("patient", 20)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == {"hasty": "given up", "patient": b"late"}
