"""The catalogue's database: SQLite in WAL mode, a connection a thread, every write on the disk."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS assets (
    id TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    type TEXT NOT NULL,
    properties TEXT NOT NULL,
    start_time INTEGER,
    end_time INTEGER,
    footprint TEXT,
    bands TEXT NOT NULL,
    folder TEXT,
    size INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    source TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS assets_by_parent ON assets (parent, start_time, id);
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    request_id TEXT UNIQUE,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    request TEXT NOT NULL,
    priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    progress REAL NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    updated INTEGER NOT NULL,
    ended INTEGER,
    error TEXT
);
CREATE INDEX IF NOT EXISTS operations_by_state ON operations (state, priority DESC, created);
"""


WAIT_SECONDS = 60
"""How long a writer waits for another one."""


class Database:
    """Connections to one file, for many threads.

    Args:
        path: The file; made where it is not there.

    Raises:
        sqlite3.Error: It is no database, or one of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            self._prepare()
        except sqlite3.Error:
            self.close()
            raise

    def _prepare(self) -> None:
        connection = self.connection()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(
                f"it was made by another version of this package (schema {version}, "
                f"this one reads {SCHEMA_VERSION})"
            )
        if version == 0:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection; every statement commits by itself."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(
                self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            found.row_factory = sqlite3.Row
            with self._lock:
                self._connections.append(found)
            _begin_wal(found)
            found.execute("PRAGMA synchronous = FULL")
            self._local.connection = found
        return found

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write several things or none of them; other writers wait."""
        connection = self.connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def close(self) -> None:
        """Close every connection; nothing may be asked after."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._local = threading.local()


def _begin_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL mode; unlike other writers, the switch does not wait for its turn by itself."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return
