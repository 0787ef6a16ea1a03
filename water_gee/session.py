"""The one place that starts an Earth Engine session: Google's, or the emulator's.

Nothing above this module asks which of the two it talks to.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
from importlib import resources
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from water_gee.errors import SessionError
from water_gee.transport import Transport
from water_gee.transport import within as within

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL_PROJECT = "local"
"""The project of a server that has no accounts; assets lie at `projects/local/assets/...`."""

DEADLINE_SECONDS = 360
"""Longer than the five minutes that the service gives an interactive request."""

READY_SECONDS = 60
"""How long an emulator may take to start."""

EMULATOR = (sys.executable, "-m", "water_gee.emulator")
"""The command that serves a catalogue; it prints `{"url": ...}` when it is ready."""

_NOWHERE = "http://nowhere.invalid"
_CATALOG = "catalog"
_lock = threading.RLock()
_current: Session | None = None


class Session:
    """A connection to an Earth Engine service; a context manager.

    Attributes:
        url: The service's address.
        project: What requests are made for.
        catalog: The emulator's folder where this session started one.
    """

    def __init__(
        self, url: str, project: str, catalog: Path | None = None, child: Child | None = None
    ) -> None:
        self.url = url
        self.project = project
        self.catalog = catalog
        self._child = child

    @property
    def alive(self) -> bool:
        """Whether it can be used: not closed, and the emulator it started still runs."""
        return self is _current and (self._child is None or self._child.running)

    def close(self) -> None:
        """End the session, and the emulator that it started."""
        global _current
        with _lock:
            if self._child is not None:
                self._child.stop()
                self._child = None
            if _current is self:
                _current = None
                ee = sys.modules.get("ee")
                if ee is not None:
                    ee.data.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Session(url={self.url!r}, project={self.project!r})"


def connect(
    *,
    project: str | None = None,
    url: str | None = None,
    catalog: Path | str | None = None,
    high_volume: bool = True,
) -> Session:
    """Start a session; the one before it ends.

    With `project` alone it is Google's Earth Engine, for which `earthengine authenticate` was run
    once. With `url` it is the server there, with `catalog` an emulator over that folder, started as
    a child process that ends with this one. With nothing: `$WATER_GEE_URL`, else an emulator over
    `$WATER_GEE_CATALOG` or `./catalog`.

    Args:
        project: A Google Cloud project registered for Earth Engine; `local` for other servers.
        url: Of a server that speaks the Earth Engine REST API.
        catalog: A folder that `water-gee emulator ingest` has filled.
        high_volume: Whether to use Google's endpoint for many small requests.

    Raises:
        SessionError: No catalogue, no server there, or no account; with the remedies.
    """
    global _current
    if url is not None and catalog is not None:
        raise SessionError("connect: give `url` or `catalog`, not both")
    if url is None and catalog is None and project is None:
        url = os.environ.get("WATER_GEE_URL") or None
        if url is None:
            catalog = os.environ.get("WATER_GEE_CATALOG") or _CATALOG
    with _lock:
        if _current is not None:
            _current.close()
        if url is not None:
            session = _served(url.rstrip("/"), project)
        elif catalog is not None:
            session = _emulated(Path(catalog), project)
        else:
            session = _google(str(project), high_volume)
        _current = session
        return session


def ensure() -> Session:
    """The current session; the caller's own `ee.Initialize`; or else what `connect()` starts.

    An emulator that has died is started anew.

    Raises:
        SessionError: As in `connect`.
    """
    global _current
    with _lock:
        if _current is not None:
            if _current.alive:
                return _current
            return connect(catalog=_current.catalog, project=_current.project)
        ee = sys.modules.get("ee")
        if ee is not None and ee.data.is_initialized():
            state = ee.data._get_state()
            _current = Session(str(state.cloud_api_base_url), str(state.cloud_api_user_project))
            return _current
        return connect()


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Let expressions be built where no session stands, from the lists that the client brings.

    Nothing is asked of any service; what needs one fails. A session that stands is used as it is.

    Raises:
        SessionError: This version of the client brings no lists.
    """
    import ee
    from ee import data, deprecation
    from google.auth import credentials

    if data.is_initialized():
        yield
        return
    known: dict[str, Any] = deprecation.deprecated_assets
    known.setdefault("_", None)
    anonymous: Any = credentials.AnonymousCredentials
    with _lock:
        ee.Initialize(
            credentials=anonymous(), url=_NOWHERE, project=LOCAL_PROJECT, http_transport=_Lists()
        )
    try:
        yield
    finally:
        ee.Reset()


def current() -> Session | None:
    """The current session where it can still be used; none is started."""
    return _current if _current is not None and _current.alive else None


def alive() -> bool:
    """Whether the current session, if any, can still be used."""
    return _current is None or _current.alive


# -------------------------------------------------------------------------- kinds of sessions


def _served(url: str, project: str | None) -> Session:
    if _is_google(url):
        return _google(project or "", high_volume=False, url=url)
    _initialize(url, project or LOCAL_PROJECT)
    return Session(url, project or LOCAL_PROJECT)


def _emulated(catalog: Path, project: str | None) -> Session:
    if not catalog.is_dir():
        raise SessionError(
            f"no Earth Engine to talk to: no catalogue at {catalog.absolute()}; use "
            "connect(project='your-project') for Google's, `water-gee demo` for a synthetic "
            "season, or `water-gee emulator ingest --catalog DIR SCENE...` for scenes of your own"
        )
    child = Child(catalog)
    try:
        _initialize(child.url, project or LOCAL_PROJECT)
    except BaseException:
        child.stop()
        raise
    return Session(child.url, project or LOCAL_PROJECT, catalog, child)


def _google(project: str, high_volume: bool, url: str | None = None) -> Session:
    import ee
    from ee import data

    volume = data.HIGH_VOLUME_API_BASE_URL if high_volume else data.DEFAULT_CLOUD_API_BASE_URL
    address = url or volume
    transport = Transport(DEADLINE_SECONDS)
    with talking(address):
        ee.Initialize(project=project or None, url=address, http_transport=transport)
    return Session(address, project)


def _initialize(url: str, project: str) -> None:
    """Point the client at a server that knows no accounts."""
    import ee
    import requests
    from ee import deprecation
    from google.auth import credentials

    # The client would retry an address where nobody answers for a minute.
    try:
        answer = requests.get(f"{url}/$discovery/rest?version=v1", timeout=30)
    except requests.exceptions.RequestException as error:
        raise SessionError(
            f"no server answers at {url}; start one with `water-gee emulator start`, or correct "
            "the url or $WATER_GEE_URL"
        ) from error
    if answer.status_code != 200:
        raise SessionError(
            f"{url} answers, but not as an Earth Engine service does (HTTP {answer.status_code})"
        )
    # Initialize would otherwise fetch a list from the internet, with no timeout.
    known: dict[str, Any] = deprecation.deprecated_assets
    known.setdefault("_", None)
    anonymous: Any = credentials.AnonymousCredentials
    with talking(url):
        ee.Initialize(
            credentials=anonymous(),
            url=url,
            project=project,
            http_transport=Transport(DEADLINE_SECONDS),
        )


class _Lists:
    """A transport that answers from the lists in the client's own package, and nothing else."""

    def request(self, uri: str, *_: object, **__: object) -> tuple[Any, bytes]:
        """Answer as `httplib2.Http.request` does."""
        import httplib2

        name = "algorithms" if uri.rpartition("/")[2].startswith("algorithms") else ""
        name = "cloud_api_discovery_document" if "discovery" in uri else name
        if not name:
            raise SessionError("no Earth Engine to talk to: only expressions can be built here")
        path = resources.files("ee").joinpath("tests", f"{name}.json")
        if not path.is_file():
            raise SessionError(
                f"this version of earthengine-api brings no {name}.json; install one that does, "
                "for example 1.7.50"
            )
        return httplib2.Response({"status": "200"}), path.read_bytes()


def _is_google(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "googleapis.com" or host.endswith(".googleapis.com")


class Child:
    """An emulator in a process of its own, which ends when this one does.

    It reads its standard input, whose other end only this process holds: however this process ends,
    that input closes.
    """

    def __init__(self, catalog: Path) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        self._process = subprocess.Popen(
            [*EMULATOR, "--catalog", str(catalog), "--port", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Ctrl-C at the terminal must not end it under the tiles in hand.
            process_group=0,
        )
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._drain, args=(lines,), daemon=True).start()
        try:
            self.url = str(json.loads(lines.get(timeout=READY_SECONDS))["url"])
        except (queue.Empty, ValueError, KeyError, TypeError) as error:
            why = self.stop()
            raise SessionError(f"the emulator over {catalog} did not start: {why}") from error
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)

    @property
    def running(self) -> bool:
        """Whether the process still is."""
        return self._process.poll() is None

    def stop(self) -> str:
        """Close its input, wait until it has ended, and return the last line it logged."""
        atexit.unregister(self.stop)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._log.closed:
            return ""
        with self._log as log:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _drain(self, lines: queue.Queue[bytes]) -> None:
        """Pass the first line on, and keep reading, so that the child never waits for a reader."""
        output = self._process.stdout
        if output is not None:
            with output:
                lines.put(output.readline())
                for _ in output:
                    pass


# -------------------------------------------------------------------------- what can go wrong


@contextlib.contextmanager
def talking(to: str | None = None) -> Iterator[None]:
    """Turn a server that is gone, or an account that is refused, into one line.

    Other errors of the service pass as the client raises them.

    Raises:
        SessionError: No answer, or HTTP 401 or 403.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, SessionError):
            raise
        where = to or (_current.url if _current is not None else "the Earth Engine service")
        if is_gone(error):
            raise SessionError(
                f"{where} no longer answers ({_short(error)}); start the server again, or check "
                "the network, then run the same again"
            ) from error
        if http_status(error) in (401, 403) or _asks_for_login(error):
            raise SessionError(
                f"{where} refuses the account: {_short(error)}; run `earthengine authenticate` "
                "once, and give the id of a Cloud project registered for Earth Engine"
            ) from error
        raise


def http_status(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client, which keeps it as the error's context."""
    seen: BaseException | None = error
    while seen is not None:
        status = getattr(getattr(seen, "resp", None), "status", None)
        if status is not None:
            return int(status)
        seen = seen.__cause__ or seen.__context__
    return None


def is_gone(error: BaseException) -> bool:
    """Whether an error means that there was no answer at all."""
    nothing = isinstance(error, (ConnectionError, TimeoutError)) or type(error).__name__ in (
        "TransportError",  # google.auth, while it renews a token
        "ServerNotFoundError",  # httplib2
    )
    return nothing and http_status(error) is None


def _asks_for_login(error: BaseException) -> bool:
    # google.auth's; the last is what anonymous credentials say to HTTP 401.
    if type(error).__name__ in ("RefreshError", "DefaultCredentialsError", "InvalidOperation"):
        return True
    words = r"authenticat|authoriz|no project found"
    return http_status(error) is None and bool(re.search(words, str(error), re.IGNORECASE))


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
