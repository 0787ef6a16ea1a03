"""The emulator without a socket: an object in the place of the client's HTTP transport.

    transport = InProcessTransport(Service(Catalog.open(folder)))
    ee.Initialize(credentials=AnonymousCredentials(), project="local", url=LOCAL_URL,
                  http_transport=transport)

What follows an address (downloads, thumbnails) is fetched with `InProcessTransport.request` or,
over HTTP, from `server.Emulator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from water_gee.emulator.routes import handle
from water_gee.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from water_gee.emulator.service import Service

LOCAL_URL = "http://emulator.invalid"
"""An address that no machine has; nothing is ever sent there."""


class InProcessTransport:
    """Answers the client's requests with a service in the same process.

    Args:
        service: What answers.

    Raises:
        EmulatorError: The service has faults that happen on the way, where nothing is here.
    """

    def __init__(self, service: Service) -> None:
        if service.faults.need_http:
            raise EmulatorError(
                "faults of requests, slots and canned answers need HTTP: use emulator.start()"
            )
        self.service = service

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int | None = None,
        connection_type: Any = None,
    ) -> tuple[Any, bytes]:
        """Answer one request, as `httplib2.Http.request` does.

        Returns:
            `httplib2.Response` and the body.
        """
        del redirections, connection_type
        import httplib2

        content = body.encode() if isinstance(body, str) else body or b""
        answer = handle(self.service, method, uri, headers or {}, content)
        return httplib2.Response({**answer.headers, "status": str(answer.status)}), answer.body

    def close(self) -> None:
        """Do nothing: there is no connection."""
