"""What stands between the socket and the routes: slots, faults, canned answers, counts.

One ASGI application. What computes runs in threads; whatever only waits (latency, a request that
hangs) is a timer of the event loop, so that thousands of them cost no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool

from water_gee.emulator.canned import CannedAnswers, kind_of_body
from water_gee.emulator.errors import (
    front_end_page,
    internal_error,
    too_many_requests,
    unavailable,
)
from water_gee.emulator.exchange import Exchange, read, refused, respond
from water_gee.emulator.requestfaults import NO_REQUEST_FAULTS, Fault, Repeats
from water_gee.emulator.routes import Answer, find_route, handle
from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from starlette.types import Receive, Scope, Send

    from water_gee.emulator.exchange import Connections
    from water_gee.emulator.routes import Route
    from water_gee.emulator.service import Service

HTML = "text/html; charset=UTF-8"

SERVER_ERRORS = (
    refused(internal_error()),
    Answer(502, HTML, front_end_page(502).encode()),
    refused(unavailable()),
    Answer(504, HTML, front_end_page(504).encode()),
)
"""What a server error is answered with, one of these each."""

SLOTS = "slots"
"""The name in `RequestCounts.faults` for requests that found no slot."""


@dataclass(slots=True)
class RequestCounts:
    """Requests for data since the server started.

    Attributes:
        total: All that came, those refused included.
        at_once: In work now: computed, waiting for their latency, or hanging. An answer handed to
            its connection is none any more, however long the client takes to read it.
        peak: Most in work at once.
        statuses: How many were answered with each HTTP status; in none are those that hang or whose
            connection is reset. With slots or faults nor are those whose client left before;
            without, nobody asks whether it did.
        faults: How many met each fault, by the command line's names, and `slots` for those refused
            because no slot was free.
        canned: How many were answered with the bytes of an earlier answer.
    """

    total: int = 0
    at_once: int = 0
    peak: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    canned: int = 0

    @contextlib.contextmanager
    def in_work(self) -> Iterator[None]:
        """Count a request as being in work."""
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        try:
            yield
        finally:
            self.at_once -= 1


class FrontEnd:
    """The ASGI application of a service.

    Args:
        service: What answers, and the faults.
        connections: Those of the server it runs in.
    """

    def __init__(self, service: Service, connections: Connections) -> None:
        self.counts = RequestCounts()
        self._service = service
        self._faults = service.faults
        self._connections = connections
        self._repeats = Repeats()
        self._canned = CannedAnswers() if service.faults.canned else None
        # Without either nobody asks whether the client is still there.
        self._watched = self._faults.slots is not None or self._faults.requests != NO_REQUEST_FAULTS
        self._waiting: set[tuple[str, int]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            exchange = await read(scope, receive, send)
        except ServiceError as error:
            await respond(send, refused(error))
            return
        if exchange is None:
            return
        found = find_route(exchange.method, unquote(exchange.path))
        if found is not None and found[0].data:
            await self._data(exchange, *found)
        else:
            await respond(send, await self._computed(exchange))

    def stop(self) -> None:
        """Let go of the requests that only wait: their connections are closed. From any thread."""
        self._stopping = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop has ended, and they with it.
                self._loop.call_soon_threadsafe(self._end_waiting)

    def _end_waiting(self) -> None:
        for client in list(self._waiting):
            self._connections.abort(client)

    async def _computed(self, exchange: Exchange) -> Answer:
        # The pool has 40 threads, as many as the service answers requests at once.
        return await run_in_threadpool(
            handle,
            self._service,
            exchange.method,
            exchange.target,
            exchange.headers,
            exchange.body,
            lambda: not exchange.computing.cancel_called,
        )

    # Requests for data --------------------------------------------------------------------------

    async def _data(self, exchange: Exchange, route: Route, name: str) -> None:
        self.counts.total += 1
        slots = self._faults.slots
        if slots is not None and self.counts.at_once >= slots:
            self.counts.faults[SLOTS] += 1
            await self._respond(exchange, refused(too_many_requests()))
            return
        with self.counts.in_work():
            rest = await self._in_work(exchange, route, name)
        if rest is not None:
            await rest

    async def _in_work(
        self, exchange: Exchange, route: Route, name: str
    ) -> Awaitable[object] | None:
        """Let happen to a request that has its slot what is to happen to it.

        Returns:
            What has to end before the server does, but holds no slot: what a thread is computing
            for a client that left, or a connection that is being ended.
        """
        fault, how = self._fault(exchange)
        if fault is Fault.TOO_MANY:
            await self._respond(exchange, refused(too_many_requests()))
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + self._faults.requests.latency
        answer = None
        if fault is None or fault is Fault.TRUNCATE:
            kind = self._kind(exchange, route, name)
            answer = self._kept(kind)
            if answer is None:
                computing = asyncio.ensure_future(self._unless_left(exchange, kind))
                if self._watched and await self._left(exchange, computing=computing):
                    exchange.computing.cancel()
                    return computing
                answer = await computing
        elif fault is Fault.SERVER_ERROR:
            answer = SERVER_ERRORS[int(how * len(SERVER_ERRORS))]
        exchange.body = b""  # It may be large, and the wait long.
        if fault is Fault.HANG:
            await self._left(exchange)
        elif until <= loop.time() or not await self._left(exchange, until - loop.time()):
            return await self._deliver(exchange, answer, fault, how)
        return None

    def _fault(self, exchange: Exchange) -> tuple[Fault | None, float]:
        if self._faults.requests == NO_REQUEST_FAULTS:
            return None, 0.0
        digest = exchange.digest
        fault, how = self._faults.of_request(digest, self._repeats.count(digest))
        if fault is not None:
            self.counts.faults[fault.value] += 1
        return fault, how

    async def _deliver(
        self, exchange: Exchange, answer: Answer | None, fault: Fault | None, how: float
    ) -> Awaitable[object] | None:
        if answer is not None:
            await self._respond(exchange, answer, how if fault is Fault.TRUNCATE else 1.0)
        if fault is Fault.TRUNCATE:
            self._connections.close(exchange.client)
        elif fault is Fault.RESET:
            self._connections.reset(exchange.client)
        else:
            return None
        return self._left(exchange)  # Until the server knows that the connection has ended.

    async def _left(
        self,
        exchange: Exchange,
        seconds: float | None = None,
        computing: asyncio.Future[Answer | None] | None = None,
    ) -> bool:
        """Wait, for a time or for an answer; at once True where the client has left meanwhile.

        A server that stops closes the connections of those that wait for no answer.
        """
        # The body was read: all that still comes is that the client left.
        gone = asyncio.ensure_future(exchange.receive())
        if computing is None:
            self._loop = asyncio.get_running_loop()
            self._waiting.add(exchange.client)
            if self._stopping:
                self._end_waiting()
        awaited: set[asyncio.Future[Any]] = {gone} if computing is None else {gone, computing}
        try:
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return gone.done()
        finally:
            self._waiting.discard(exchange.client)
            gone.cancel()

    async def _respond(self, exchange: Exchange, answer: Answer, share: float = 1.0) -> None:
        self.counts.statuses[answer.status] += 1
        await respond(exchange.send, answer, share)

    # Canned answers -----------------------------------------------------------------------------

    def _kept(self, kind: bytes | None) -> Answer | None:
        answer = None if self._canned is None or kind is None else self._canned.get(kind)
        if answer is not None:
            self.counts.canned += 1
        return answer

    async def _unless_left(self, exchange: Exchange, kind: bytes | None) -> Answer | None:
        """Compute an answer; None where the client left before a thread had begun.

        What runs in a thread runs to its end: that much of what nobody waits for there is at most.
        """
        with exchange.computing:
            return await self._once(exchange, kind)
        return None

    async def _once(self, exchange: Exchange, kind: bytes | None) -> Answer:
        """Compute an answer; of one kind, one at a time, and the first is kept."""
        if self._canned is None or kind is None:
            return await self._computed(exchange)
        async with self._canned.turn(kind):
            answer = self._kept(kind)
            if answer is None:
                answer = await self._computed(exchange)
                if answer.status == 200:
                    self._canned.keep(kind, answer)
            return answer

    def _kind(self, exchange: Exchange, route: Route, name: str) -> bytes | None:
        """Return what requests answered with the same pixels have in common, None for no pixels."""
        if self._canned is None:
            return None
        if route.id == "projects.thumbnails.getPixels":
            kept = self._service.thumbnail(name)
            return None if kept is None else kept.kind
        if route.id in ("projects.image.computePixels", "projects.assets.getPixels"):
            return kind_of_body(exchange.path, exchange.body)
        return None
