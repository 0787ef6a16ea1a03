"""One HTTP request and the way back, over ASGI; and how its connection ends before its time.

ASGI has no word for a connection that breaks. `Connections` therefore gives the server a protocol
class that notes each connection's transport (`asyncio.Protocol.connection_made`) under the client's
address, which ASGI passes on. Who ends a connection waits until the server has noticed; it takes
that for a client that left, and says nothing.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from anyio import CancelScope
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from water_gee.emulator.digest import digest_of
from water_gee.emulator.errors import body_of, payload_too_large, refusal
from water_gee.emulator.limits import MAX_REQUEST_BYTES
from water_gee.emulator.routes import JSON_TYPE, Answer

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Receive, Scope, Send

    from water_gee.errors import ServiceError

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names this machine may be called by; a page elsewhere that was given our address has another."""


@dataclass(slots=True)
class Exchange:
    """One request, read to its end.

    Attributes:
        client: Address and port it came from.
        method: HTTP method.
        path: As it came, encoded; without parameters.
        target: The whole address.
        headers: By lower-case name.
        body: The message; emptied as soon as nobody needs it.
        receive: From now on it tells only that the client left.
        send: Takes the answer.
        computing: Around what computes the answer; cancelled when the client leaves.
    """

    client: tuple[str, int]
    method: str
    path: str
    target: str
    headers: dict[str, str]
    body: bytes
    receive: Receive
    send: Send
    computing: CancelScope = field(default_factory=CancelScope)

    @property
    def digest(self) -> bytes:
        """What stands for method, path and body."""
        return digest_of(f"{self.method} {self.path}\n".encode("latin-1"), self.body)


async def read(scope: Scope, receive: Receive, send: Send) -> Exchange | None:
    """Read a request.

    Returns:
        None where the client left meanwhile.

    Raises:
        ServiceError: 403: it is meant for another host. 400: its body is above the limit, and is
            not read.
    """
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }
    _check_host(headers.get("host", ""))
    body = await _body(headers, receive)
    if body is None:
        return None
    # As it came: a decoded path may hold what would be taken for its end.
    path = scope.get("raw_path", b"/").decode("latin-1")
    target = f"http://{headers['host']}{path}?{scope['query_string'].decode('latin-1')}"
    return Exchange(scope["client"], scope["method"], path, target, headers, body, receive, send)


def _check_host(host: str) -> None:
    host = host.rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    if name.lower() not in LOCAL_NAMES:
        raise refusal(403, f"This server answers to {', '.join(LOCAL_NAMES)}, not to '{host}'.")


async def _body(headers: dict[str, str], receive: Receive) -> bytes | None:
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > MAX_REQUEST_BYTES:
        raise payload_too_large(MAX_REQUEST_BYTES)
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_REQUEST_BYTES:
            raise payload_too_large(MAX_REQUEST_BYTES)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def respond(send: Send, answer: Answer, share: float = 1.0) -> None:
    """Send an answer, or the beginning of one.

    Args:
        send: Takes it.
        answer: What is announced.
        share: How much of its body is sent; below 1 at least the last byte is missing.
    """
    headers = [(name.lower().encode(), text.encode()) for name, text in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    body = answer.body
    whole = share >= 1.0
    if not whole:
        body = body[: min(int(share * len(body)), len(body) - 1)]
    await send({"type": "http.response.body", "body": body, "more_body": not whole})


def refused(error: ServiceError) -> Answer:
    """Return a refusal as it is sent."""
    return Answer(error.code, JSON_TYPE, json.dumps(body_of(error)).encode())


class Connections:
    """The open connections of a server, by the client's address and port."""

    def __init__(self) -> None:
        self._transports: dict[Any, asyncio.Transport] = {}

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """The server's own HTTP protocol, noting its connections here."""
        transports = self._transports

        class Noted(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self._client = transport.get_extra_info("peername")
                self._noted = transports[self._client] = cast("asyncio.Transport", transport)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                # The address may be another connection's by now.
                if transports.get(self._client) is self._noted:
                    del transports[self._client]
                super().connection_lost(exc)

        return Noted

    def abort(self, client: tuple[str, int]) -> None:
        """End a connection at once, whatever was not yet sent on it."""
        if (transport := self._transports.get(client)) is not None:
            transport.abort()

    def close(self, client: tuple[str, int]) -> None:
        """End a connection after what was sent on it."""
        if (transport := self._transports.get(client)) is not None:
            transport.close()

    def reset(self, client: tuple[str, int]) -> None:
        """End a connection at once, with a TCP reset."""
        if (transport := self._transports.get(client)) is not None:
            # Lingering for 0 s is what makes a socket end with RST and not with FIN (socket(7)).
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.abort(client)
