"""The emulator over HTTP, on this machine alone."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import uvicorn

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.exchange import Connections
from water_gee.emulator.faults import NO_FAULTS
from water_gee.emulator.frontend import FrontEnd
from water_gee.emulator.limits import MAX_CONCURRENT_REQUESTS
from water_gee.emulator.service import Service
from water_gee.errors import EmulatorError

if TYPE_CHECKING:
    from pathlib import Path

    from water_gee.emulator.faults import Faults
    from water_gee.emulator.frontend import RequestCounts

HOST = "127.0.0.1"
"""The only address served: the emulator knows no accounts."""

START_SECONDS = 60.0

GRACE_SECONDS = 5.0
"""How long requests may go on once the server is told to stop."""


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
        connections = Connections()
        self._front_end = FrontEnd(self._service, connections)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._front_end,
                http=connections.protocol,
                ws="none",
                # Else a header could rename the client that a connection is known by.
                proxy_headers=False,
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

    @property
    def requests(self) -> RequestCounts:
        """How many requests for data came, and what happened to them."""
        return self._front_end.counts

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
        """Answer what is being computed, then end; tasks in hand go on when it is served next.

        Requests that only wait, for their latency or for ever, lose their connection.
        """
        if self._stopped:
            return
        self._server.should_exit = True
        self._front_end.stop()
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
