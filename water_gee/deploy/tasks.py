"""Export tasks: sent within the queue, watched, repeated or cut where that helps.

Every start carries an id that follows from the map and the number of the attempt. A client that was
killed between sending and noting it down sends the same id again, and the service takes one of the
two; what stands and what runs is asked of the service, never of memory.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ee import data
from tqdm.auto import tqdm

from water_gee import session
from water_gee.deploy import record as book
from water_gee.deploy.service import asking, words
from water_gee.errors import DeployError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from water_gee.deploy.plan import Map
    from water_gee.deploy.progress import Table
    from water_gee.deploy.record import Record

MAX_QUEUED = 3_000
"""Tasks that may wait at the service (usage guide)."""

IN_FLIGHT = 500
"""Tasks sent and not ended, unless told otherwise: enough to keep the service busy for long."""

ATTEMPTS = 3
"""Tasks for one map, unless told otherwise."""

FIRST_POLL, LONGEST_POLL = 0.25, 15.0
"""Seconds between two looks at the tasks: a tenth of the time waited so far, within these."""

PAUSE = 2.0
"""Seconds before a map is tried again, doubled each time; a full queue is asked as often."""

FEW = 8
"""Tasks that are asked for one by one instead of in a list."""

PATIENCE = 600.0
"""Seconds without an answer of the service after which watching ends; its tasks go on meanwhile."""

SLICE_SECONDS = 2.0
"""How long tasks are sent before the others are looked at."""

_ACTIVE = {"PENDING", "RUNNING", "CANCELLING"}
_SUCCEEDED = "SUCCEEDED"

_MEMORY = re.compile(r"memory (limit|capacity)|out of memory", re.I)
_SLOW = re.compile(r"timed? ?out|deadline|took too long", re.I)
_PASSING = re.compile(
    r"internal error|backend error|unavailable|try again|retry|temporar|execution failed|aborted",
    re.I,
)
_NEVER = re.compile(r"quota|permission|denied|not found|does not exist|cannot overwrite", re.I)
_FULL = re.compile(r"too many tasks|already in the queue", re.I)
_TRANSIENT_CODES = {4, 10, 13, 14}
"""Of `google.rpc.Code`: deadline exceeded, aborted, internal, unavailable."""

WAITING, PENDING, RUNNING, DONE, FAILED, CUT = (
    "waiting", "pending", "running", "done", "failed", "cut",
)  # fmt: skip

Send = Callable[["Map", str], dict[str, Any]]
"""From a map and a request id to the operation that makes it."""

Stands = Callable[["Map"], bool]
"""Whether a map is there."""


@dataclass(slots=True)
class Job:
    """A map on its way.

    Attributes:
        map: What it makes.
        attempt: Number of the newest task for it, 0 before the first.
        tries: Tasks for it that this call sent.
        state: Where it is.
        operation: The newest task.
        error: What the service said last.
        not_before: When it may be sent, by `time.monotonic`.
    """

    map: Map
    attempt: int = 0
    tries: int = 0
    state: str = WAITING
    operation: str | None = None
    error: str | None = None
    not_before: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it has still to end."""
        return self.state in (WAITING, PENDING, RUNNING)

    @property
    def in_flight(self) -> bool:
        """Whether the service has it."""
        return self.state in (PENDING, RUNNING)


@dataclass(slots=True)
class Known:
    """What the service's list says of the tasks of one description.

    Attributes:
        active: The one that waits or runs, with its state.
        ended: Names of those that have ended, the newest first, with state and error.
    """

    active: tuple[str, str] | None = None
    ended: list[tuple[str, str, str | None]] = field(default_factory=list)


def known() -> dict[str, Known]:
    """What the service knows of the project's tasks, by description.

    Raises:
        DeployError: The service refused.
    """
    found: dict[str, Known] = {}
    for operation in operations():
        metadata = operation.get("metadata", {})
        here = found.setdefault(str(metadata.get("description")), Known())
        name, state = str(operation["name"]), str(metadata.get("state"))
        if state in _ACTIVE:
            here.active = name, state
        else:
            here.ended.append((name, state, why(operation)))
    return found


def operations() -> list[dict[str, Any]]:
    """The project's tasks, the newest first.

    Raises:
        DeployError: The service refused.
    """
    with asking("cannot list the tasks"):
        found: list[dict[str, Any]] = data.listOperations()
    return found


def has_ended(operation: dict[str, Any]) -> bool:
    """Whether a task neither waits nor runs."""
    return str(operation.get("metadata", {}).get("state")) not in _ACTIVE


def why(operation: dict[str, Any]) -> str | None:
    """What the service says of a task that has ended without success."""
    state = str(operation.get("metadata", {}).get("state"))
    if state == _SUCCEEDED:
        return None
    message = operation.get("error", {}).get("message")
    return " ".join(str(message).split()) if message else state.lower()


def remedy(message: str, code: int | None = None) -> str:
    """What a failure asks for: `again`, `smaller`, or `nothing`: the same would fail again."""
    if _MEMORY.search(message):
        return "smaller"
    if _NEVER.search(message):
        return "nothing"
    if _SLOW.search(message) or _PASSING.search(message) or code in _TRANSIENT_CODES:
        return "again"
    return "nothing"


class Run:
    """Tasks of one call, from the first that is sent to the last that ends.

    Args:
        record: Where everything is entered.
        key: The deployment's in the record.
        send: Starts a task.
        stands: Whether a map is there, asked of the service.
        there: Asset id -> job of what was there when the call began.
        tasks: What the service knew of tasks then, from `known`.
        attempts: Tasks for one map, at most.
        in_flight: Tasks sent and not ended, at most.
        may_cut: Whether maps may be replaced by their quarters: not where one image was asked for.
        table: Draws the progress; None draws nothing.
    """

    def __init__(
        self,
        record: Record,
        key: str,
        send: Send,
        stands: Stands,
        there: Mapping[str, str | None],
        tasks: Mapping[str, Known],
        *,
        attempts: int = ATTEMPTS,
        in_flight: int = IN_FLIGHT,
        may_cut: bool = True,
        table: Table | None = None,
    ) -> None:
        self.jobs: list[Job] = []
        self.setbacks: list[tuple[str, str]] = []
        self.sent: list[str] = []
        self._record, self._key = record, key
        self._send, self._stands = send, stands
        self._there, self._tasks = there, tasks
        self._attempts, self._in_flight, self._may_cut = attempts, in_flight, may_cut
        self._table = table
        self._queue_asked = 0.0
        self._gone_since: float | None = None

    # ------------------------------------------------------------------ what is to be done

    def add(self, wanted: Map) -> Job:
        """Take a map on: as it stands, as a task that runs, as its quarters, or to be sent."""
        job = Job(wanted)
        self.jobs.append(job)
        if self._there.get(wanted.asset_id) == wanted.job:
            job.state = DONE
            return job
        about = self._tasks.get(wanted.description, Known())
        before = self._record.attempts(self._key, wanted.mark)
        self._catch_up(job, about, before)
        job.attempt = max(
            len(about.ended), *(n for n, state in before.items() if state != book.SENDING), 0
        )
        if about.active is not None:
            job.operation, state = about.active
            job.state = PENDING if state == "PENDING" else RUNNING
            job.attempt = len(about.ended) + 1
            self._note(job, book.SENT)
            return job
        last = about.ended[0][2] if about.ended else None
        was_cut = book.CUT in before.values() or (last is not None and remedy(last) == "smaller")
        parts = wanted.quarters() if self._may_cut else ()
        if parts and (was_cut or any(self._is_known(part) for part in parts)):
            job.state = CUT
            for part in parts:
                self.add(part)
        return job

    def _is_known(self, part: Map) -> bool:
        return part.description in self._tasks or self._there.get(part.asset_id) == part.job

    def _catch_up(self, job: Job, about: Known, before: Mapping[int, str]) -> None:
        """Enter what ended while nobody looked."""
        for number, (name, _, error) in enumerate(reversed(about.ended), start=1):
            if before.get(number) in (book.SENDING, book.SENT):
                state = book.FAILED if error is not None else book.DONE
                self._note(job, state, attempt=number, error=error, operation=name)

    @property
    def open(self) -> list[Job]:
        """Those that have not ended."""
        return [job for job in self.jobs if job.is_open]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many maps of each year are in each state."""
        found: dict[str, dict[str, int]] = {}
        for job in self.jobs:
            if job.state != CUT:
                states = found.setdefault(job.map.label, {})
                states[job.state] = states.get(job.state, 0) + 1
        return found

    # ------------------------------------------------------------------ doing it

    def go(self, *, wait: bool) -> None:
        """Send tasks and, if asked, wait until each has ended.

        Raises:
            DeployError: The service refuses to start tasks.
            SessionError: It is gone; the tasks go on.
            KeyboardInterrupt: Tasks go on at the service, and a line says so.
        """
        begun, full = time.monotonic(), False
        try:
            while self.open:
                with self._patience():
                    full = self._send_some(self._in_flight if wait else MAX_QUEUED)
                    self._draw()
                    if wait:
                        self._look()
                        self._draw()
                if not wait and (full or not any(job.state == WAITING for job in self.jobs)):
                    break
                if self.open and (full or wait):
                    self._rest(time.monotonic() - begun)
        except KeyboardInterrupt:
            left = sum(job.in_flight for job in self.jobs)
            tqdm.write(
                f"stopped watching; {left} export(s) go on at the service, and the same call, or "
                "`water-gee tasks --resume`, takes them up again",
                file=sys.stderr,
            )
            raise
        finally:
            if self._table is not None:
                self._table.close()

    @contextlib.contextmanager
    def _patience(self) -> Iterator[None]:
        """Bear a service that does not answer, for a while.

        Raises:
            SessionError: It is gone for longer, or refuses the account.
        """
        try:
            yield
        except SessionError as error:
            now = time.monotonic()
            if error.__cause__ is None or not session.is_gone(error.__cause__):
                raise
            if self._gone_since is None:
                self._gone_since = now
                tqdm.write(
                    f"the service does not answer; asking again for {PATIENCE / 60:.0f} minutes",
                    file=sys.stderr,
                )
            if now - self._gone_since >= PATIENCE:
                raise
            time.sleep(PAUSE)
        else:
            self._gone_since = None

    def _rest(self, waited: float) -> None:
        now = time.monotonic()
        ready = any(job.state == WAITING and job.not_before <= now for job in self.jobs)
        if ready and self._queue_asked <= now and self._room(self._in_flight):
            return  # there is more to send at once
        time.sleep(min(max(waited / 10, FIRST_POLL), LONGEST_POLL))

    def _room(self, limit: int) -> bool:
        return sum(job.in_flight for job in self.jobs) < limit

    def _send_some(self, limit: int) -> bool:
        """Send what may be sent, for a while; returns whether the queue is full."""
        until = time.monotonic() + SLICE_SECONDS
        for job in self.jobs:
            now = time.monotonic()
            if job.state != WAITING or job.not_before > now:
                continue
            if now < self._queue_asked or not self._room(limit):
                return True
            if not self._start(job):
                self._queue_asked = time.monotonic() + PAUSE
                return True
            if time.monotonic() > until:
                break
        return False

    def _start(self, job: Job) -> bool:
        """Send a task; returns whether the queue had room for it."""
        attempt = job.attempt + 1
        self._note(job, book.SENDING, attempt=attempt)
        try:
            operation = self._send(job.map, f"{job.map.mark}-{attempt}")
        except DeployError as error:
            if _FULL.search(words(error)):
                return False
            self._note(job, book.FAILED, attempt=attempt, error=words(error))
            raise
        job.attempt, job.operation, job.state = attempt, str(operation["name"]), PENDING
        state = str(operation.get("metadata", {}).get("state") or "PENDING")
        if state not in _ACTIVE:
            # The service has met this id before: a task that ended long ago, not one of this call.
            job.state = WAITING
            self._note(job, book.FAILED, error="ended before")
            return True
        job.tries += 1
        self.sent.append(job.operation)
        self._note(job, book.SENT)
        return True

    def _look(self) -> None:
        """See which tasks have ended."""
        flying = [job for job in self.jobs if job.in_flight]
        found: dict[str, dict[str, Any]] = {}
        if len(flying) > FEW:
            found = {str(one["name"]): one for one in operations()}
        for job in flying:
            operation = found.get(str(job.operation))
            if operation is None:
                with asking(f"cannot ask for the task of {job.map.asset_id}"):
                    operation = data.getOperation(str(job.operation))
            state = str(operation.get("metadata", {}).get("state"))
            if state in _ACTIVE:
                job.state = PENDING if state == "PENDING" else RUNNING
                continue
            self._ended(job, operation)

    def _ended(self, job: Job, operation: dict[str, Any]) -> None:
        message = why(operation)
        if message is None or self._stands(job.map):
            job.state, job.error = DONE, None
            self._note(job, book.DONE)
            return
        cancelled = operation.get("metadata", {}).get("state") == "CANCELLED"
        code = operation.get("error", {}).get("code")
        what = "nothing" if cancelled else remedy(message, code)
        job.error = message
        self._note(job, book.FAILED, error=message)
        if what == "again" and job.tries < self._attempts:
            self.setbacks.append((job.map.asset_id, message))
            job.state = WAITING
            job.not_before = time.monotonic() + PAUSE * 2 ** max(0, job.tries - 1)
            return
        smaller = what == "smaller" or bool(_SLOW.search(message))
        parts = job.map.quarters() if smaller and self._may_cut and not cancelled else ()
        if parts:
            self.setbacks.append((job.map.asset_id, message))
            job.state = CUT
            self._note(job, book.CUT, error=message)
            for part in parts:
                self.add(part)
            return
        job.state = FAILED

    def _note(
        self,
        job: Job,
        state: str,
        *,
        attempt: int | None = None,
        error: str | None = None,
        operation: str | None = None,
    ) -> None:
        wanted = job.map
        self._record.note(
            self._key,
            wanted.asset_id,
            wanted.mark,
            attempt or job.attempt,
            wanted.label,
            state,
            operation=job.operation if attempt is None else operation,
            error=error,
        )

    def _draw(self) -> None:
        if self._table is not None:
            self._table.draw(self.counts())
