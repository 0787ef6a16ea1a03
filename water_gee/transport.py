"""The HTTP that the Earth Engine client is given: open connections, and a time for each answer.

The client's own reads answers in pieces of 10 KB, keeps ten connections, and has one deadline for
every request; proxies, certificates and `.netrc` are heeded as there, by requests.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from typing import TYPE_CHECKING, Any

from water_gee.errors import TruncatedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECTIONS = 64
"""Kept open to one host: the service takes 40 requests at once."""

CONNECT_SECONDS = 30.0
"""To reach the server; then the time for the answer begins."""

_own = threading.local()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give this thread's requests so many seconds, while the block runs, to begin an answer.

    So many seconds may also pass between two pieces of it.
    """
    before = getattr(_own, "seconds", None)
    _own.seconds = seconds
    try:
        yield
    finally:
        _own.seconds = before


class Transport:
    """What `ee.Initialize(http_transport=...)` takes; may be used from several threads.

    Attributes:
        seconds: As given.

    Args:
        seconds: For an answer, where `within` says nothing else.
    """

    def __init__(self, seconds: float) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.seconds = seconds
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        redirections: int | None = None,
        connection_type: Any = None,
    ) -> tuple[Any, bytes]:
        """Send one request, as `httplib2.Http.request` does.

        Returns:
            `httplib2.Response` and the body.

        Raises:
            ConnectionError: The server cannot be reached, or breaks the connection.
            TimeoutError: No answer in time.
            TruncatedError: The answer ended early.
        """
        del redirections, connection_type
        import httplib2
        import requests
        import urllib3

        seconds = getattr(_own, "seconds", None) or self.seconds
        try:
            with self._session.request(
                method,
                uri,
                data=body,
                headers=dict(headers or {}),
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
                stream=True,
            ) as response:
                content = response.raw.read(decode_content=True)
        except requests.exceptions.ConnectTimeout as error:
            raise ConnectionError(f"{uri.partition('?')[0]} cannot be reached") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise TimeoutError(f"no answer within {seconds:.0f} s") from error
        except (
            requests.exceptions.ContentDecodingError,
            urllib3.exceptions.DecodeError,
        ) as error:
            raise TruncatedError(f"the answer was cut short: {error}") from error
        except urllib3.exceptions.ProtocolError as error:
            if isinstance(error.args[-1], http.client.IncompleteRead):
                raise TruncatedError(f"the answer was cut short: {error.args[-1]}") from error
            raise ConnectionError(error) from error
        except (requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError(error) from error
        found = httplib2.Response({**response.headers, "status": str(response.status_code)})
        found.reason = response.reason
        return found, content

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
