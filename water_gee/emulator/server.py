"""The emulator over HTTP, on this machine alone."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.errors import body_of, payload_too_large, refusal
from water_gee.emulator.faults import NO_FAULTS
from water_gee.emulator.limits import MAX_CONCURRENT_REQUESTS, MAX_REQUEST_BYTES
from water_gee.emulator.routes import JSON_TYPE, Answer, handle
from water_gee.emulator.service import Service
from water_gee.errors import EmulatorError, ServiceError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from water_gee.emulator.faults import Faults

HOST = "127.0.0.1"
"""The only address served: the emulator knows no accounts."""

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names this machine may be called by; a page elsewhere that was given our address has another."""

START_SECONDS = 60.0

GRACE_SECONDS = 5.0
"""How long requests may go on once the server is told to stop."""

METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS"]


def application(service: Service) -> Starlette:
    """Return the ASGI application of a service; requests are answered in threads."""

    async def answer(request: Request) -> Response:
        try:
            _check_host(request)
            body = await _body(request)
        except ServiceError as error:
            return _response(_refused(error))
        # As it came: a decoded path may hold what would be taken for its end.
        path = request.scope.get("raw_path", b"/").decode("latin-1")
        target = f"http://{request.headers['host']}{path}?{request.url.query}"
        headers = dict(request.headers)
        # The pool has 40 threads, as many as the service answers requests at once.
        return _response(
            await run_in_threadpool(handle, service, request.method, target, headers, body)
        )

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


def _check_host(request: Request) -> None:
    host = request.headers.get("host", "").rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    if name.lower() not in LOCAL_NAMES:
        raise refusal(403, f"This server answers to {', '.join(LOCAL_NAMES)}, not to '{host}'.")


async def _body(request: Request) -> bytes:
    """Read a body, up to the limit; a longer one is refused without being read."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > MAX_REQUEST_BYTES:
        raise payload_too_large(MAX_REQUEST_BYTES)
    parts = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_REQUEST_BYTES:
            raise payload_too_large(MAX_REQUEST_BYTES)
        parts.append(part)
    return b"".join(parts)


def _refused(error: ServiceError) -> Answer:
    return Answer(error.code, JSON_TYPE, json.dumps(body_of(error)).encode())


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)


class Emulator:
    """A server over a catalogue, in threads of this process; a context manager.

    Args:
        catalog: The catalogue's folder.
        port: Where to listen; 0 for any free port.
        faults: What is to go wrong.

    Raises:
        EmulatorError: There is no catalogue, or the port is taken.
    """

    def __init__(self, catalog: str | Path, port: int = 0, faults: Faults = NO_FAULTS) -> None:
        self._service = Service(Catalog.open(catalog), faults=faults)
        try:
            self._socket = _listen(port)
        except BaseException:
            self._service.close()
            raise
        self._url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(self._service),
                log_level="warning",
                # Its own would shut down every handler of this process, and close their streams.
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=int(GRACE_SECONDS),
            )
        )
        self._thread = threading.Thread(target=self._serve, name="emulator", daemon=True)
        self._failure: BaseException | None = None
        self._stopped = False
        self._thread.start()
        self._wait()

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._url

    @property
    def service(self) -> Service:
        """What answers."""
        return self._service

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the start
            self._failure = error

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.stop()
                raise EmulatorError(f"the emulator did not start: {self._failure or 'no answer'}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Answer what is being asked, then end; tasks in hand go on when it is served next."""
        if self._stopped:
            return
        self._server.should_exit = True
        self._thread.join(GRACE_SECONDS)
        if self._thread.is_alive():
            self._service.interrupt()
            self._thread.join()
        self._stopped = True
        with contextlib.suppress(OSError):
            self._socket.close()
        self._service.close()


def _listen(port: int) -> socket.socket:
    # Naming the protocol is what makes asyncio send small answers at once (TCP_NODELAY); without it
    # every answer on an open connection waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(MAX_CONCURRENT_REQUESTS)
    except (OSError, OverflowError) as error:
        listener.close()
        raise EmulatorError(f"port {port} of {HOST} cannot be used: {error}") from error
    return listener


def start(catalog: str | Path, port: int = 0, faults: Faults = NO_FAULTS) -> Emulator:
    """Serve a catalogue; returns when the server is ready.

    Args:
        catalog: The catalogue's folder.
        port: Where to listen on this machine; 0 for any free port.
        faults: What is to go wrong, for clients that are to survive it.

    Raises:
        EmulatorError: There is no catalogue, or the port is taken.
    """
    return Emulator(catalog, port, faults)
