"""Tasks: queued in the catalogue's database, run by worker threads, resumed after a crash.

One process at a time runs the tasks of a catalogue (it holds a lock that ends with it); others may
queue, list and cancel. A task that was running when its process died is queued again: nothing of it
was published, because the asset and the task's success are stored in one transaction.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from water_gee.emulator.assets import rest_name, timestamp
from water_gee.emulator.errors import operation_missing, queue_full, storage_full
from water_gee.emulator.export import ExportRequest
from water_gee.emulator.faults import INTERNAL, NO_FAULTS
from water_gee.emulator.limits import TASK_WORKERS
from water_gee.emulator.pixels import Context
from water_gee.emulator.staging import try_lock
from water_gee.emulator.tables import TableRequest
from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.faults import Failure, Faults

LOG = logging.getLogger(__name__)

PENDING, RUNNING, CANCELLING = "PENDING", "RUNNING", "CANCELLING"
SUCCEEDED, CANCELLED, FAILED = "SUCCEEDED", "CANCELLED", "FAILED"
FINISHED = (SUCCEEDED, CANCELLED, FAILED)

POLL_SECONDS = 0.5
"""How often workers look for tasks that another process queued, or cancelled."""

LOCK_FILE = "tasks.lock"

KINDS: Mapping[str, type[ExportRequest] | type[TableRequest]] = {
    ExportRequest.kind: ExportRequest,
    TableRequest.kind: TableRequest,
}
"""What can be exported, by the type its tasks have."""

_COLUMNS = (
    "id, project, state, kind, description, priority, attempt, progress, created, started, "
    "updated, ended, error"
)
"""Everything about an operation but its request."""


class TaskFailedOnPurpose(Exception):  # noqa: N818 - not an error
    """The task is one of those that are to fail."""


class TaskStopped(Exception):  # noqa: N818 - not an error
    """The task is to end now: it was cancelled, or its process is shutting down."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One task.

    Attributes:
        id: Unique.
        project: Whose it is, without `projects/`.
        state: `PENDING`, `RUNNING`, `CANCELLING`, `SUCCEEDED`, `CANCELLED` or `FAILED`.
        kind: `EXPORT_IMAGE` or `EXPORT_FEATURES`.
        description: The caller's name for it.
        target: The asset it made; empty while there is none.
        priority: Higher first.
        attempt: How many times it was begun.
        progress: From 0 to 1.
        created: Milliseconds since 1970.
        started: The same, None before.
        updated: The same.
        ended: The same, None before.
        error: Why it failed, None if it did not.
    """

    id: str
    project: str
    state: str
    kind: str
    description: str
    target: str
    priority: int
    attempt: int
    progress: float
    created: int
    started: int | None
    updated: int
    ended: int | None
    error: str | None

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return f"projects/{self.project}/operations/{self.id}"

    def to_rest(self) -> dict[str, Any]:
        """Return the operation as the service shows it."""
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.earthengine.v1.OperationMetadata",
            "state": self.state,
            "description": self.description,
            "priority": self.priority,
            "createTime": timestamp(self.created),
            "updateTime": timestamp(self.updated),
            "type": self.kind,
            "attempt": self.attempt,
            "progress": self.progress,
        }
        if self.started is not None:
            metadata["startTime"] = timestamp(self.started)
        if self.ended is not None:
            metadata["endTime"] = timestamp(self.ended)
        shown: dict[str, Any] = {"name": self.name, "metadata": metadata}
        if self.state not in FINISHED:
            return shown
        shown["done"] = True
        if self.state == SUCCEEDED:
            metadata["destinationUris"] = [rest_name(self.target)]
            shown["response"] = {
                "@type": f"type.googleapis.com/google.earthengine.v1.{KINDS[self.kind].response}"
            }
        elif self.state == FAILED:
            message = self.error or INTERNAL
            shown["error"] = {"code": 13 if message == INTERNAL else 3, "message": message}
        else:
            shown["error"] = {"code": 1, "message": "Cancelled."}
        return shown


class Tasks:
    """The tasks of a catalogue, and the threads that run them.

    Args:
        catalog: Where they are stored, and where their results go.
        compute: From an expression in wire form to its value.
        workers: How many run at once.
        faults: What is to go wrong with them.
    """

    def __init__(
        self,
        catalog: Catalog,
        compute: Callable[[Mapping[str, Any]], Any],
        workers: int = TASK_WORKERS,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.catalog = catalog
        self.faults = faults
        self._compute = compute
        self._wake = threading.Condition()
        self._stopping = False
        self._lock_file: int | None = None
        self._running: dict[str, Context] = {}
        self._targets: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"task-{number}", daemon=True)
            for number in range(workers)
        ]

    def start(self) -> None:
        """Begin to run tasks."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop; tasks in hand are queued again for whoever serves the catalogue next."""
        with self._wake:
            self._stopping = True
            for context in self._running.values():
                context.deadline = 0.0
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    # Asking ------------------------------------------------------------------------------------

    def submit(
        self, project: str, wire: Mapping[str, Any], kind: str = ExportRequest.kind
    ) -> Operation:
        """Queue an export; the same `requestId` again returns the same operation.

        Args:
            project: Whose it is.
            wire: The request.
            kind: One of `KINDS`.

        Raises:
            ServiceError: 400: the request is malformed, its expression cannot be evaluated or is no
                image (no features), or too many tasks wait; 403: the asset is to lie where the
                caller may not write.
        """
        checked = KINDS[kind].of(wire)
        request = checked.to
        self.faults.check("projects.assets.create", rest_name(request.asset_id))
        if request.request_id:
            found = self._by_request(request.request_id)
            if found is not None:
                return found
        checked.checked(self._compute(request.expression))
        now = _now()
        row = (secrets.token_hex(12).upper(), project, request.request_id or None, PENDING)
        with self.catalog.database.transaction() as connection:
            (waiting,) = connection.execute(
                "SELECT COUNT(*) FROM operations WHERE state = ?", (PENDING,)
            ).fetchone()
            if waiting >= self.faults.max_queued:
                raise queue_full(self.faults.max_queued)
            connection.execute(
                "INSERT OR IGNORE INTO operations (id, project, request_id, state, kind, "
                "description, request, priority, attempt, progress, created, updated) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)",
                (*row, kind, request.description, json.dumps(wire), request.priority, now, now),
            )
        with self._wake:
            self._wake.notify()
        found = self._by_request(request.request_id) if request.request_id else None
        return found or self.get(row[0])

    def get(self, operation_id: str) -> Operation:
        """Return an operation.

        Raises:
            ServiceError: 404: there is none of that id.
        """
        row = self._query(
            f"SELECT {_COLUMNS} FROM operations WHERE id = ?", operation_id
        ).fetchone()
        if row is None:
            raise operation_missing(operation_id)
        return self._operation(row)

    def all(self, project: str) -> list[Operation]:
        """Return a project's operations, the newest first."""
        rows = self._query(
            f"SELECT {_COLUMNS} FROM operations WHERE project = ? "
            "ORDER BY created DESC, rowid DESC",
            project,
        )
        return [self._operation(row) for row in rows]

    def cancel(self, operation_id: str) -> None:
        """Ask for an operation to end; one that has ended stays as it is.

        Raises:
            ServiceError: 404: there is none of that id.
        """
        self.get(operation_id)
        now = _now()
        with self.catalog.database.transaction() as connection:
            connection.execute(
                "UPDATE operations SET state = ?, updated = ?, ended = ? "
                "WHERE id = ? AND state = ?",
                (CANCELLED, now, now, operation_id, PENDING),
            )
            connection.execute(
                "UPDATE operations SET state = ?, updated = ? WHERE id = ? AND state = ?",
                (CANCELLING, now, operation_id, RUNNING),
            )
        with self._wake:
            if operation_id in self._running:
                # The window in hand is given up, too.
                self._running[operation_id].deadline = 0.0

    def wait(self, operation_id: str, seconds: float) -> Operation:
        """Return an operation once it has ended, or after some seconds as it then is."""
        until = time.monotonic() + seconds
        while True:
            found = self.get(operation_id)
            if found.state in FINISHED or time.monotonic() >= until:
                return found
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))

    def _by_request(self, request_id: str) -> Operation | None:
        row = self._query(
            f"SELECT {_COLUMNS} FROM operations WHERE request_id = ?", request_id
        ).fetchone()
        return None if row is None else self._operation(row)

    def _operation(self, row: sqlite3.Row) -> Operation:
        return Operation(target=self._target(row["id"], row["state"]), **dict(row))

    def _target(self, operation_id: str, state: str) -> str:
        """Return the asset that a task made; requests hold megabytes and are read once for it."""
        if state != SUCCEEDED:
            return ""
        if operation_id not in self._targets:
            self._targets[operation_id] = self._request(operation_id).to.asset_id
        return self._targets[operation_id]

    def _request(self, operation_id: str) -> ExportRequest | TableRequest:
        kind, text = self._query(
            "SELECT kind, request FROM operations WHERE id = ?", operation_id
        ).fetchone()
        return KINDS[kind].of(json.loads(text))

    def _query(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self.catalog.database.connection().execute(sql, values)

    # Running -----------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._stopping:
            try:
                operation = self._claim() if self._owns() else None
                if operation is not None:
                    self._run(operation)
                    continue
            except (sqlite3.Error, OSError):
                # A full disk, a database that others keep busy: the next round may do better.
                LOG.exception("tasks of %s", self.catalog.path)
            with self._wake:
                if not self._stopping:
                    self._wake.wait(POLL_SECONDS)

    def _owns(self) -> bool:
        """Say whether this process runs the catalogue's tasks; take over where nobody does."""
        with self._wake:
            if self._lock_file is not None:
                return True
            held = try_lock(self.catalog.path / LOCK_FILE)
            if held is None:
                return False
            try:
                self._requeue()
            except sqlite3.Error:
                os.close(held)
                raise
            self._lock_file = held
            return True

    def _requeue(self) -> None:
        """Queue again what was running when the process before this one ended."""
        now = _now()
        with self.catalog.database.transaction() as connection:
            connection.execute(
                "UPDATE operations SET state = ?, progress = 0, updated = ? WHERE state = ?",
                (PENDING, now, RUNNING),
            )
            connection.execute(
                "UPDATE operations SET state = ?, updated = ?, ended = ? WHERE state = ?",
                (CANCELLED, now, now, CANCELLING),
            )

    def _claim(self) -> Operation | None:
        if self._query("SELECT 1 FROM operations WHERE state = ?", PENDING).fetchone() is None:
            return None
        now = _now()
        with self.catalog.database.transaction() as connection:
            row = connection.execute(
                "UPDATE operations SET state = ?, attempt = attempt + 1, updated = ?, "
                "started = COALESCE(started, ?) WHERE id = (SELECT id FROM operations "
                "WHERE state = ? ORDER BY priority DESC, created, rowid LIMIT 1) "
                f"RETURNING {_COLUMNS}",
                (RUNNING, now, now, PENDING),
            ).fetchone()
        return None if row is None else self._operation(row)

    def _run(self, operation: Operation) -> None:
        reported = time.monotonic()
        failure = self._failure(operation)

        def step(share: float) -> None:
            nonlocal reported
            if self._stopping:
                raise TaskStopped
            if failure is not None and share >= failure.share:
                raise TaskFailedOnPurpose
            (state,) = self._query(
                "SELECT state FROM operations WHERE id = ?", operation.id
            ).fetchone()
            if state == CANCELLING:
                raise TaskStopped
            if time.monotonic() - reported > POLL_SECONDS:
                reported = time.monotonic()
                self._query(
                    "UPDATE operations SET progress = ?, updated = ? WHERE id = ?",
                    share,
                    _now(),
                    operation.id,
                )

        def done() -> None:
            # The last moment to fail at: everything is written, nothing is published.
            if failure is not None:
                raise TaskFailedOnPurpose
            self._end(operation, SUCCEEDED)

        try:
            request = self._request(operation.id)
            value = self._compute(request.to.expression)
            self._check_storage()
            with self._context(operation) as context:
                request.run(
                    self.catalog,
                    value,
                    step,
                    done,
                    context,
                )
        except TaskFailedOnPurpose:
            self._end(operation, FAILED, failure.message if failure is not None else None)
        except TaskStopped:
            self._stopped(operation)
        except ServiceError as error:
            if self._stopping or self.get(operation.id).state == CANCELLING:
                self._stopped(operation)
            else:
                self._end(operation, FAILED, error.message)
        except OSError as error:
            self._end(operation, FAILED, f"Export failed: {str(error).splitlines()[0]}")
        except Exception as error:
            LOG.exception("task %s failed", operation.id)
            self._end(operation, FAILED, f"Internal error: {error}")

    def _failure(self, operation: Operation) -> Failure | None:
        """Return how a task is to fail, None if it is not."""
        (before,) = self._query(
            "SELECT COUNT(*) FROM operations WHERE description = ? AND rowid < "
            "(SELECT rowid FROM operations WHERE id = ?)",
            operation.description,
            operation.id,
        ).fetchone()
        return self.faults.of_task(operation.description, before)

    def _check_storage(self) -> None:
        limit = self.faults.storage
        if limit is not None:
            (taken,) = self._query("SELECT COALESCE(SUM(size), 0) FROM assets").fetchone()
            if taken >= limit:
                raise storage_full(limit)

    @contextmanager
    def _context(self, operation: Operation) -> Iterator[Context]:
        """Yield the context of a task's evaluation, which `stop` and `cancel` may end."""
        context = Context()
        with self._wake:
            if self._stopping:
                raise TaskStopped
            self._running[operation.id] = context
        try:
            yield context
        finally:
            with self._wake:
                del self._running[operation.id]

    def _stopped(self, operation: Operation) -> None:
        if self.get(operation.id).state == CANCELLING:
            self._end(operation, CANCELLED)
            return
        self._query(
            "UPDATE operations SET state = ?, progress = 0, updated = ? WHERE id = ?",
            PENDING,
            _now(),
            operation.id,
        )

    def _end(self, operation: Operation, state: str, error: str | None = None) -> None:
        now = _now()
        progress = 1.0 if state == SUCCEEDED else self.get(operation.id).progress
        self._query(
            "UPDATE operations SET state = ?, progress = ?, updated = ?, ended = ?, error = ? "
            "WHERE id = ?",
            state,
            progress,
            now,
            now,
            error,
            operation.id,
        )


def _now() -> int:
    """Return milliseconds since 1970."""
    return time.time_ns() // 1_000_000
