"""The record of deployments on this machine: what was asked for, and every task that was sent.

One SQLite file, `$WATER_GEE_TASKS`, or else `water_gee/tasks.sqlite` in the user's state folder
(`$XDG_STATE_HOME`, `~/.local/state`). It is what `water-gee tasks` lists and resumes. It is never
believed against the service: whether a map stands is asked of its asset, and whether a task runs of
the task list, so that a lost record loses nothing but history.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = 1

WAIT_SECONDS = 60.0
"""How long one process waits for another that writes."""

SENDING, SENT, DONE, FAILED, CUT = "sending", "sent", "done", "failed", "cut"
"""States of a task: about to be sent, sent, ended with its asset, without it, replaced by parts."""

UNFINISHED, FINISHED, CANCELLED = "unfinished", "finished", "cancelled"
"""States of a deployment; one that ended with failures is unfinished, it can be resumed."""

_SCHEMA = """
CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    project TEXT NOT NULL,
    arguments TEXT NOT NULL,
    maps INTEGER NOT NULL,
    state TEXT NOT NULL,
    runs INTEGER NOT NULL,
    checked TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL
);
CREATE TABLE tasks (
    deployment TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    asset TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    label TEXT NOT NULL,
    mark TEXT NOT NULL,
    operation TEXT,
    state TEXT NOT NULL,
    error TEXT,
    sent REAL NOT NULL,
    updated REAL NOT NULL,
    PRIMARY KEY (deployment, asset, mark, attempt)
);
"""


@dataclass(frozen=True, slots=True)
class Deployed:
    """One deployment in the record.

    Attributes:
        id: Digest of what it makes.
        target: The asset id given.
        project: Whose tasks they are.
        arguments: Of the call that made it, as JSON values; without a `model` it was in memory.
        maps: How many images it makes.
        state: `unfinished`, `finished` or `cancelled`.
        runs: How many times it was begun or taken up again.
        checked: Where and when the network was held against Keras, None before.
        created: Seconds since 1970.
        updated: The same.
    """

    id: str
    target: str
    project: str
    arguments: dict[str, Any]
    maps: int
    state: str
    runs: int
    checked: dict[str, Any] | None
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class Sent:
    """One task in the record.

    Attributes:
        asset: What it makes.
        attempt: From 1.
        label: What its map is counted under.
        mark: Of the map.
        operation: Its name at the service, None where that is not known (yet).
        state: `sending`, `sent`, `done`, `failed` or `cut`.
        error: What the service said.
        sent: Seconds since 1970.
        updated: The same.
    """

    asset: str
    attempt: int
    label: str
    mark: str
    operation: str | None
    state: str
    error: str | None
    sent: float
    updated: float


def default_path() -> Path:
    """Where the record is."""
    given = os.environ.get("WATER_GEE_TASKS")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("XDG_STATE_HOME")
    base = Path(home) if home else Path.home() / ".local" / "state"
    return base / "water_gee" / "tasks.sqlite"


class Record:
    """The record, open; a context manager. Several processes may write to one.

    Args:
        path: The file; made where there is none. By default the user's.

    Raises:
        DeployError: It cannot be made or read.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        with self._refusing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=WAIT_SECONDS, isolation_level=None
            )
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA foreign_keys = ON")
            with self._transaction():
                (version,) = self._connection.execute("PRAGMA user_version").fetchone()
                if version not in (0, VERSION):
                    raise DeployError(
                        f"{self.path} was written by another version of water_gee; update the "
                        "package, or set WATER_GEE_TASKS to another file"
                    )
                if version == 0:
                    for statement in _SCHEMA.strip().split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # ------------------------------------------------------------------ writing

    def begin(
        self, key: str, target: str, project: str, arguments: Mapping[str, Any], maps: int
    ) -> Deployed:
        """Enter that a deployment is begun, or taken up again."""
        now = time.time()
        self._write(
            "INSERT INTO deployments VALUES (?, ?, ?, ?, ?, ?, 1, NULL, ?, ?) ON CONFLICT (id) DO "
            "UPDATE SET runs = runs + 1, state = excluded.state, maps = excluded.maps, "
            "arguments = excluded.arguments, updated = excluded.updated",
            key,
            target,
            project,
            json.dumps(dict(arguments)),
            maps,
            UNFINISHED,
            now,
            now,
        )
        found = self.deployment(key)
        assert found is not None
        return found

    def note_checked(self, key: str, checked: Mapping[str, Any]) -> None:
        """Enter that the network was held against Keras."""
        self._write("UPDATE deployments SET checked = ? WHERE id = ?", json.dumps(checked), key)

    def end(self, key: str, state: str) -> None:
        """Enter how a deployment stands."""
        self._write(
            "UPDATE deployments SET state = ?, updated = ? WHERE id = ?", state, time.time(), key
        )

    def forget(self, key: str) -> None:
        """Drop a deployment and its tasks."""
        self._write("DELETE FROM deployments WHERE id = ?", key)

    def note(
        self,
        key: str,
        asset: str,
        mark: str,
        attempt: int,
        label: str,
        state: str,
        *,
        operation: str | None = None,
        error: str | None = None,
    ) -> None:
        """Enter how a task stands."""
        now = time.time()
        self._write(
            "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "state = excluded.state, error = excluded.error, updated = excluded.updated, "
            "operation = COALESCE(excluded.operation, operation)",
            key,
            asset,
            attempt,
            label,
            mark,
            operation,
            state,
            error,
            now,
            now,
        )

    # ------------------------------------------------------------------ reading

    def deployment(self, key: str) -> Deployed | None:
        """One deployment."""
        with self._refusing():
            row = self._connection.execute(
                "SELECT * FROM deployments WHERE id = ?", (key,)
            ).fetchone()
        return None if row is None else _deployed(row)

    def deployments(self, project: str | None = None) -> list[Deployed]:
        """All deployments, the oldest first."""
        with self._refusing():
            rows = self._connection.execute(
                "SELECT * FROM deployments WHERE ? IS NULL OR project = ? ORDER BY created",
                (project, project),
            ).fetchall()
        return [_deployed(row) for row in rows]

    def tasks(self, key: str) -> list[Sent]:
        """The tasks of a deployment, in the order in which they were first sent."""
        with self._refusing():
            rows = self._connection.execute(
                "SELECT asset, attempt, label, mark, operation, state, error, sent, updated "
                "FROM tasks WHERE deployment = ? ORDER BY rowid",
                (key,),
            ).fetchall()
        return [Sent(**dict(row)) for row in rows]

    def attempts(self, key: str, mark: str) -> dict[int, str]:
        """The tasks for one map: number -> state."""
        with self._refusing():
            rows = self._connection.execute(
                "SELECT attempt, state FROM tasks WHERE deployment = ? AND mark = ?", (key, mark)
            ).fetchall()
        return {int(row["attempt"]): str(row["state"]) for row in rows}

    # ------------------------------------------------------------------ inside

    def _write(self, sql: str, *values: Any) -> None:
        with self._refusing():
            self._connection.execute(sql, values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, DeployError):
                raise
            raise DeployError(
                f"the record of tasks {self.path} cannot be used: {error}; set WATER_GEE_TASKS to "
                "another file"
            ) from error


def _deployed(row: sqlite3.Row) -> Deployed:
    facts = dict(row)
    checked = facts.pop("checked")
    arguments = json.loads(facts.pop("arguments"))
    return Deployed(
        **facts, arguments=arguments, checked=None if checked is None else json.loads(checked)
    )
