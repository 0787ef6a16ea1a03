"""Deployments of this machine and their tasks, as the service has them now."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ee import data

from water_gee import session
from water_gee.deploy import record, tasks
from water_gee.deploy.progress import Table
from water_gee.deploy.service import asking
from water_gee.errors import DeployError
from water_gee.imagery.recipe import Recipe

if TYPE_CHECKING:
    from water_gee.deploy.export import Deployment
    from water_gee.deploy.record import Deployed, Record, Sent

ENDED = {tasks.DONE, tasks.FAILED, tasks.CUT, "cancelled", "lost"}
"""States in which nothing goes on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest task for one map.

    Attributes:
        asset: What it makes.
        label: The year it is counted under.
        state: `pending`, `running`, `done`, `failed`, `cut` (replaced by quarters), `cancelled`,
            or `lost`: the service does not know it.
        attempt: From 1.
        seconds: Since it was sent.
        error: What the service said, None without an error.
        operation: Its name.
    """

    asset: str
    label: str
    state: str
    attempt: int
    seconds: float
    error: str | None
    operation: str | None


@dataclass(frozen=True, slots=True)
class Overview:
    """One deployment.

    Attributes:
        deployed: What the record says.
        entries: The newest task for each map for which one was sent.
    """

    deployed: Deployed
    entries: tuple[Entry, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many maps are in each state; those without a task in the record are `not sent`."""
        found: dict[str, int] = {}
        for entry in self.entries:
            found[entry.state] = found.get(entry.state, 0) + 1
        missing = self.deployed.maps - len(self.entries)
        if self.deployed.state == record.UNFINISHED and missing > 0 and tasks.CUT not in found:
            found["not sent"] = missing
        return found

    @property
    def is_active(self) -> bool:
        """Whether a task of it waits or runs."""
        return any(entry.state not in ENDED for entry in self.entries)

    def lines(self, *, all_tasks: bool = False) -> list[str]:
        """As text: one line in all, and one for each task that has not gone well."""
        about = self.deployed
        shown = ", ".join(f"{number:,} {state}" for state, number in sorted(self.counts.items()))
        age = _age(time.time() - about.created)
        head = f"{about.target}  {about.state}, begun {age} ago, {about.maps:,} map(s)"
        lines = [f"{head}: {shown or 'no task sent'}"]
        for entry in self.entries:
            if all_tasks or entry.state != tasks.DONE:
                error = f"  {entry.error}" if entry.error else ""
                again = f"  attempt {entry.attempt}" if entry.attempt > 1 else ""
                lines.append(
                    f"  {entry.state:<9} {_age(entry.seconds):>5}  {entry.asset}{again}{error}"
                )
        return lines


def overviews(target: str | None = None) -> list[Overview]:
    """The deployments in the record of the session's project, the oldest first.

    Args:
        target: Only that of this asset id.

    Raises:
        DeployError: There is none of that id, or the service refused.
        SessionError: No service.
    """
    current = session.ensure()
    with record.Record() as book:
        chosen = _chosen(book, current.project, target)
        known = {str(one["name"]): one for one in tasks.operations()} if chosen else {}
        return [Overview(each, _entries(book.tasks(each.id), known)) for each in chosen]


def watch(target: str | None = None, *, progress: bool = True) -> list[Overview]:
    """Wait until no task of the deployments waits or runs; starts none.

    Raises:
        DeployError: There is no deployment of that id, or the service refused.
        SessionError: No service.
    """
    begun = time.monotonic()
    table: Table | None = None
    while True:
        found = overviews(target)
        if progress:
            counts: dict[str, dict[str, int]] = {}
            for overview in found:
                for entry in overview.entries:
                    states = counts.setdefault(entry.label, {})
                    state = tasks.FAILED if entry.state in {"cancelled", "lost"} else entry.state
                    states[state] = states.get(state, 0) + 1
            if counts:
                table = table or Table(sorted(counts), out=sys.stderr)
                table.draw(counts)
        if not any(overview.is_active for overview in found):
            if table is not None:
                table.close()
            return found
        waited = time.monotonic() - begun
        time.sleep(min(max(waited / 10, tasks.FIRST_POLL), tasks.LONGEST_POLL))


def resume(target: str | None = None, *, progress: bool = True) -> list[Deployment]:
    """Go on with the deployments that are not finished, as their calls said.

    Raises:
        DeployError: There is none of that id, or its model was in memory only.
        WaterGeeError: As `deploy_to_gee`.
    """
    from water_gee.deploy.export import deploy_to_gee

    current = session.ensure()
    with record.Record() as book:
        chosen = _chosen(book, current.project, target)
    done = []
    for each in chosen:
        if each.state != record.UNFINISHED and target is None:
            continue
        arguments = dict(each.arguments)
        if arguments.get("recipe") is not None:
            arguments["recipe"] = Recipe.from_dict(arguments["recipe"])
        if arguments.get("model") is None:
            raise DeployError(
                f"{each.target}: its model was in memory only; call deploy_to_gee again with it"
            )
        done.append(deploy_to_gee(**arguments, progress=progress))
    return done


def cancel(target: str | None = None) -> int:
    """Cancel the tasks of the deployments that wait or run; what stands stays.

    Returns:
        How many were.

    Raises:
        DeployError: There is no deployment of that id, or the service refused.
        SessionError: No service.
    """
    number = 0
    for overview in overviews(target):
        for entry in overview.entries:
            if entry.state not in ENDED and entry.operation is not None:
                with asking(f"cannot cancel the task of {entry.asset}"):
                    data.cancelOperation(entry.operation)
                number += 1
        if overview.deployed.state == record.UNFINISHED:
            with record.Record() as book:
                book.end(overview.deployed.id, record.CANCELLED)
    return number


def _chosen(book: Record, project: str, target: str | None) -> list[Deployed]:
    found = book.deployments(project)
    if target is None:
        return found
    wanted = target.strip().rstrip("/")
    chosen = [each for each in found if each.target == wanted]
    if not chosen:
        raise DeployError(
            f"no deployment to {wanted} in {book.path}; `water-gee tasks` lists those there are"
        )
    return chosen


def _entries(sent: list[Sent], known: dict[str, dict[str, Any]]) -> tuple[Entry, ...]:
    newest: dict[tuple[str, str], Sent] = {}
    for one in sent:
        before = newest.get((one.asset, one.mark))
        if before is None or one.attempt >= before.attempt:
            newest[one.asset, one.mark] = one
    return tuple(_entry(one, known) for one in newest.values())


def _entry(sent: Sent, known: dict[str, dict[str, Any]]) -> Entry:
    state, error = sent.state, sent.error
    if state in (record.SENDING, record.SENT):
        operation = known.get(sent.operation) if sent.operation is not None else None
        state = "lost"
        if operation is not None:
            at_service = str(operation.get("metadata", {}).get("state"))
            states = {
                "PENDING": tasks.PENDING, "SUCCEEDED": tasks.DONE, "FAILED": tasks.FAILED,
                "CANCELLED": "cancelled",
            }  # fmt: skip
            state = states.get(at_service, tasks.RUNNING)
            error = tasks.why(operation) if state in ENDED else None
    elif error == "cancelled":
        state = "cancelled"
    age = max(0.0, time.time() - sent.sent)
    return Entry(sent.asset, sent.label, state, sent.attempt, age, error, sent.operation)


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
