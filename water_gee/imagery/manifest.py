"""The manifest of a tile store: what is there, what failed, who is at what; one SQLite file.

Rows of several threads that finish together go into one transaction, after the folders that hold
their files are on the disk: a row never speaks of a file that a power cut could take away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import threading
import time
import warnings
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import tenacity

from water_gee._version import __version__
from water_gee.errors import NetworkMountWarning, StoreError, WaterGeeError
from water_gee.files import network_mount, sync
from water_gee.imagery.recipe import Recipe, check_same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

NAME = "manifest.sqlite"

State = Literal["done", "empty"]

BUSY_SECONDS = 60
"""How long to wait for another process that writes."""

_CHUNK = 500
"""Ids in one question; SQLite takes 999 parameters where it was built long ago."""

_TABLES = (
    "meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "tiles (cell TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('done', 'empty')), "
    "water INTEGER NOT NULL, valid INTEGER NOT NULL, pixels INTEGER NOT NULL, "
    "written TEXT NOT NULL)",
    "failures (cell TEXT PRIMARY KEY, times INTEGER NOT NULL, error TEXT NOT NULL, "
    "at TEXT NOT NULL)",
    "claims (cell TEXT PRIMARY KEY, owner TEXT NOT NULL)",
    "orders (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, area BLOB NOT NULL, "
    "cells INTEGER NOT NULL, there INTEGER NOT NULL, fetched INTEGER NOT NULL, "
    "began TEXT NOT NULL, ended TEXT)",
)

_ADDED = {
    "attempts": "INTEGER",
    "seconds": "REAL",
    "bytes": "INTEGER",
    "images": "BLOB",
    "masks": "BLOB",
    "evidence": "BLOB",
}
"""Columns of `tiles` that manifests did not always have; of older tiles they are not known."""

_PAGE = 10_000
"""Rows read at once."""


@dataclass(frozen=True, slots=True)
class TileRow:
    """A tile in the manifest.

    Attributes:
        cell: Its id.
        state: `done`, or `empty` where not one pixel was observed.
        water: Pixels with label 1, margin included.
        valid: Observed pixels, margin included.
        pixels: All pixels, margin included.
        written: When, UTC, ISO 8601.
        attempts: Requests that it took; None: not known.
        seconds: From the first request to the files on the disk; None: not known.
        bytes: Of its files together; None: not known.
    """

    cell: str
    state: State
    water: int
    valid: int
    pixels: int
    written: str
    attempts: int | None = None
    seconds: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A tile that could not be fetched.

    Attributes:
        cell: Its id.
        times: Downloads that it has failed.
        error: What was said last.
        at: When, UTC, ISO 8601.
    """

    cell: str
    times: int
    error: str
    at: str


@dataclass(slots=True)
class _Entry:
    """What one thread wants written."""

    statements: Sequence[tuple[str, Sequence[Any]]]
    folders: Sequence[Path]
    recipe: Recipe | None
    done: bool = False


@dataclass(slots=True)
class Manifest:
    """The manifest of one folder; its methods may be called from several threads.

    Attributes:
        folder: The store's.
        seconds: Spent with it so far, waiting for other processes included.
    """

    folder: Path
    seconds: float = 0.0
    _connection: sqlite3.Connection = field(init=False)
    _columns: tuple[str, ...] = field(init=False)
    _lock: threading.RLock = field(init=False, default_factory=threading.RLock)
    _queue: list[_Entry] = field(init=False, default_factory=list)
    _queue_lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    @classmethod
    def open(cls, folder: Path, recipe: Recipe | None = None) -> Manifest:
        """Open a store's manifest, or make one, or bring an older one up to date.

        Args:
            folder: Of the store.
            recipe: What to put into one that has no tile; None: only open it.

        Raises:
            StoreError: It cannot be opened, made, or is no manifest.
        """
        manifest = cls(folder)
        # Who only looks may do so without the right to write: SQLite then reads what is there.
        how = "rwc" if recipe is not None else "rw" if os.access(folder, os.W_OK) else "ro"
        if how == "ro" and not (folder / f"{NAME}-wal").exists():
            how = "ro&immutable=1"
        with refusing(folder):
            manifest._connection = sqlite3.connect(
                f"file:{quote(str((folder / NAME).absolute()))}?mode={how}",
                uri=True,
                timeout=BUSY_SECONDS,
                check_same_thread=False,
                isolation_level=None,
            )
        try:
            with refusing(folder):
                manifest._start(recipe)
        except BaseException:
            manifest._connection.close()
            raise
        return manifest

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # ------------------------------------------------------------------ reading

    def recipe(self) -> Recipe:
        """What the tiles are made with.

        Raises:
            StoreError: It holds none.
        """
        return Recipe.from_dict(json.loads(self._recipe_text()))

    def rows(self) -> Iterator[TileRow]:
        """Its tiles, by id; not all are in memory at once."""
        known = [each.name for each in fields(TileRow) if each.name in self._columns]
        query = f"SELECT {', '.join(known)} FROM tiles WHERE cell > ? ORDER BY cell LIMIT {_PAGE}"
        last = ""
        while page := self.ask(query, (last,)):
            for row in page:
                yield TileRow(**dict(zip(known, row, strict=True)))
            last = page[-1][0]

    def digests(self, cell: str) -> dict[str, bytes]:
        """SHA-256 of a tile's files, by folder; empty where nobody computed them."""
        names = [name for name in ("images", "masks", "evidence") if name in self._columns]
        if not names:
            return {}
        found = self.ask(f"SELECT {', '.join(names)} FROM tiles WHERE cell = ?", (cell,))
        pairs = zip(names, found[0], strict=True) if found else ()
        return {name: bytes(digest) for name, digest in pairs if digest is not None}

    def counts(self) -> dict[str, int]:
        """How many tiles are `done`, are `empty`, and `failed`; and `bytes`, of all together."""
        found: dict[str, int] = {"done": 0, "empty": 0, "failed": 0, "bytes": 0}
        size = "TOTAL(bytes)" if "bytes" in self._columns else "0"
        for state, number, total in self.ask(
            f"SELECT state, COUNT(*), {size} FROM tiles GROUP BY state"
        ):
            found[state] = number
            found["bytes"] += int(total)
        found["failed"] = len(self.failures())
        return found

    def there(self, cells: Sequence[str]) -> set[str]:
        """Which of some cells have a tile."""
        with self._measured():
            return {cell for (cell,) in self.select("SELECT cell FROM tiles", cells)}

    def failures(self) -> list[Failure]:
        """Tiles that could not be fetched the last time, by id."""
        if not self.has_table("failures"):
            return []
        found = self.ask("SELECT cell, times, error, at FROM failures ORDER BY cell")
        return [Failure(*row) for row in found]

    def written_since(self, moment: str) -> int:
        """How many tiles were written since a moment, UTC, ISO 8601."""
        return int(self.ask("SELECT COUNT(*) FROM tiles WHERE written >= ?", (moment,))[0][0])

    # ------------------------------------------------------------------ writing

    def put(
        self,
        row: TileRow,
        digests: Mapping[str, bytes],
        recipe: Recipe,
        folders: Sequence[Path] = (),
        order: int | None = None,
    ) -> None:
        """Enter a tile whose files are written.

        Args:
            row: What is known of it.
            digests: SHA-256 of its files, by folder.
            recipe: What it was made with.
            folders: Those of its files, to be on the disk before the row is.
            order: The download that brought it.

        Raises:
            RecipeMismatchError: The store has become another recipe's.
            StoreError: The manifest cannot be written.
        """
        names = [each.name for each in fields(TileRow)]
        values = {name: getattr(row, name) for name in names} | dict(digests)
        marks = ", ".join("?" * len(values))
        statements: list[tuple[str, Sequence[Any]]] = [
            (
                f"INSERT OR REPLACE INTO tiles ({', '.join(values)}) VALUES ({marks})",
                tuple(values.values()),
            ),
            ("DELETE FROM failures WHERE cell = ?", (row.cell,)),
            ("DELETE FROM claims WHERE cell = ?", (row.cell,)),
        ]
        if order is not None:
            statements.append(("UPDATE orders SET fetched = fetched + 1 WHERE id = ?", (order,)))
        self.commit(statements, folders, recipe)

    def put_failure(self, cell: str, error: str) -> None:
        """Enter that a tile could not be fetched; it is anybody's again."""
        self.commit(
            [
                (
                    "INSERT INTO failures VALUES (?, 1, ?, ?) ON CONFLICT (cell) DO UPDATE "
                    "SET times = times + 1, error = excluded.error, at = excluded.at",
                    (cell, error, now()),
                ),
                ("DELETE FROM claims WHERE cell = ?", (cell,)),
            ]
        )

    def forget(self, cells: Iterable[str]) -> None:
        """Drop rows, so that the tiles count as missing."""
        self.commit([("DELETE FROM tiles WHERE cell = ?", (cell,)) for cell in cells])

    # ------------------------------------------------------------------ SQL

    def _start(self, recipe: Recipe | None) -> None:
        """Prepare the file; put a recipe into one without tiles."""
        if recipe is not None:
            self._set_journal()
            with self.transaction() as connection:
                for table in _TABLES:
                    connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                there = self._table_columns()
                for name, kind in _ADDED.items():
                    if name not in there:
                        connection.execute(f"ALTER TABLE tiles ADD COLUMN {name} {kind}")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._columns = self._table_columns()
        if recipe is not None:
            text = json.dumps(recipe.to_dict())
            with self.transaction():
                self._connection.executemany(
                    "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                    (("recipe", text), ("version", __version__)),
                )
                # A season that turned out empty must not bind the store to its recipe.
                self._connection.execute(
                    "UPDATE meta SET value = ? "
                    "WHERE key = 'recipe' AND NOT EXISTS (SELECT * FROM tiles)",
                    (text,),
                )

    def _set_journal(self) -> None:
        """Choose how changes are kept; SQLite itself does not wait here for other processes."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_delay(BUSY_SECONDS),
            wait=tenacity.wait_random(0.01, 0.1),
            retry=tenacity.retry_if_exception_message(match="database is locked"),
            reraise=True,
        )
        retrying(self._connection.execute, f"PRAGMA journal_mode={self._journal_mode()}")

    def _journal_mode(self) -> str:
        """WAL, but for a network mount, where processes cannot share its memory (wal.html)."""
        mount = network_mount(self.folder)
        if mount is None:
            return "WAL"
        warnings.warn(
            f"{self.folder} lies on a network mount ({mount}): its manifest is kept with a "
            "rollback journal, which is slower; a local disk is the better place for a store",
            NetworkMountWarning,
            stacklevel=7,
        )
        return "TRUNCATE"

    def _table_columns(self) -> tuple[str, ...]:
        found = self._connection.execute("PRAGMA table_info(tiles)").fetchall()
        return tuple(str(row[1]) for row in found)

    def _recipe_text(self) -> str:
        found = self.ask("SELECT value FROM meta WHERE key = 'recipe'")
        if not found:
            raise StoreError("its manifest holds no recipe; remove it and download anew")
        return str(found[0][0])

    def has_table(self, name: str) -> bool:
        """Whether this manifest, which may be an older one, has a table."""
        return bool(self.ask("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)))

    def ask(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows that answer a query."""
        with self._measured():
            return self._connection.execute(query, values).fetchall()

    def select(self, query: str, cells: Sequence[str]) -> Iterator[Any]:
        """The rows of some cells, for whoever is alone at the store."""
        for first in range(0, len(cells), _CHUNK):
            part = cells[first : first + _CHUNK]
            marks = ", ".join("?" * len(part))
            yield from self._connection.execute(f"{query} WHERE cell IN ({marks})", part)

    def commit(
        self,
        statements: Sequence[tuple[str, Sequence[Any]]],
        folders: Sequence[Path] = (),
        recipe: Recipe | None = None,
    ) -> None:
        """Write statements of this thread, and with them those of every thread that waits.

        Args:
            statements: SQL, and its values.
            folders: To be on the disk before.
            recipe: That the store must have; None: any.

        Raises:
            RecipeMismatchError: It has another one.
            StoreError: The manifest cannot be written; nothing of these statements is.
        """
        entry = _Entry(statements, folders, recipe)
        with self._queue_lock:
            self._queue.append(entry)
        with self._lock:
            if not entry.done:
                began = time.perf_counter()
                try:
                    self._lead(entry)
                finally:
                    self.seconds += time.perf_counter() - began

    def _lead(self, entry: _Entry) -> None:
        """Write what is waiting; where that fails, each writes its own, so that it knows why."""
        batch: list[_Entry] = []
        try:
            with self._queue_lock:
                batch, self._queue = self._queue, []
            self._write(batch)
        except BaseException as error:
            with self._queue_lock:
                self._queue = [each for each in batch if each is not entry] + self._queue
            if len(batch) < 2 or not isinstance(error, Exception):
                raise
            batch = [entry]
            self._write(batch)
        for each in batch:
            each.done = True

    def _write(self, batch: Sequence[_Entry]) -> None:
        with refusing(self.folder):
            for folder in dict.fromkeys(path for each in batch for path in each.folders):
                sync(folder)
            with self._begun():
                for recipe in {each.recipe for each in batch if each.recipe is not None}:
                    self._check_recipe(recipe)
                for each in batch:
                    for statement, values in each.statements:
                        self._connection.execute(statement, values)

    def _check_recipe(self, recipe: Recipe) -> None:
        if self._recipe_text() != json.dumps(recipe.to_dict()):
            check_same(recipe, self.recipe(), ("this download", f"the store {self.folder}"))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone at the store, of all threads and processes; all of the block is kept, or nothing.

        Raises:
            StoreError: What SQLite says against it.
        """
        with self._measured(), self._begun():
            yield self._connection

    @contextlib.contextmanager
    def _begun(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # what came first is what is told
                    self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _measured(self) -> Iterator[None]:
        """Alone at the file; what SQLite says against it becomes one line."""
        with self._lock, refusing(self.folder):
            began = time.perf_counter()
            try:
                yield
            finally:
                self.seconds += time.perf_counter() - began


@contextlib.contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into one line.

    Raises:
        StoreError: They said something.
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, WaterGeeError):
            raise
        if "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC:
            line = (
                f"the tile store {folder}: the disk is full; free some space and run the same again"
            )
            raise StoreError(line) from error
        raise StoreError(f"the tile store {folder} cannot be used: {error}") from error


def now() -> str:
    """This moment, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
