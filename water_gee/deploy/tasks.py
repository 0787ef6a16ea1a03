"""Export tasks: found again after a restart, watched until they end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ee import data
from tqdm.auto import tqdm

from water_gee.deploy.service import asking
from water_gee.errors import ExportFailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ACTIVE = {"PENDING", "RUNNING"}
_SUCCEEDED = "SUCCEEDED"
_ENDED = {_SUCCEEDED, "FAILED", "CANCELLED"}

FIRST_POLL, LONGEST_POLL = 0.25, 15.0
"""Seconds between two looks at the tasks: a tenth of the time waited so far, within these."""


@dataclass(frozen=True, slots=True)
class Export:
    """A task and what it makes.

    Attributes:
        asset_id: The asset that will stand when it has ended.
        task: The operation's name, `projects/P/operations/ID`.
    """

    asset_id: str
    task: str


def active(descriptions: Sequence[str]) -> dict[str, str]:
    """The tasks of these descriptions that wait or run: description -> operation name.

    Raises:
        DeployError: The service refused.
    """
    wanted = set(descriptions)
    with asking("cannot list the tasks"):
        operations: list[dict[str, Any]] = data.listOperations()
    found = {}
    for operation in operations:
        metadata = operation.get("metadata", {})
        description = metadata.get("description")
        if description in wanted and metadata.get("state") in _ACTIVE:
            found[description] = str(operation["name"])
    return found


def watch(exports: Sequence[Export], *, progress: bool) -> None:
    """Wait until every task has ended.

    Args:
        exports: What to wait for.
        progress: Whether to draw a bar.

    Raises:
        ExportFailedError: Some failed or were cancelled; it holds the service's message for each.
        KeyboardInterrupt: Tasks go on at the service, and a line says so.
    """
    waiting = {export.task: export.asset_id for export in exports}
    failures: dict[str, str] = {}
    begun = time.monotonic()
    with tqdm(total=len(waiting), desc="exports", unit="map", disable=not progress) as bar:
        try:
            while waiting:
                states: Counter[str] = Counter()
                for task, asset_id in list(waiting.items()):
                    with asking(f"cannot ask for the task of {asset_id}"):
                        operation = data.getOperation(task)
                    state = str(operation.get("metadata", {}).get("state"))
                    states[state.lower()] += 1
                    if state not in _ENDED:
                        continue
                    if state != _SUCCEEDED:
                        failures[asset_id] = _why(operation, state)
                    del waiting[task]
                    bar.update()
                bar.set_postfix(states)
                if waiting:
                    waited = time.monotonic() - begun
                    time.sleep(min(max(waited / 10, FIRST_POLL), LONGEST_POLL))
        except KeyboardInterrupt:
            tqdm.write(
                f"stopped watching; {len(waiting)} export(s) go on at the service, and the same "
                "call takes them up again",
                file=sys.stderr,
            )
            raise
    if failures:
        raise ExportFailedError(failures)


def _why(operation: dict[str, Any], state: str) -> str:
    message = operation.get("error", {}).get("message")
    return " ".join(str(message).split()) if message else state.lower()
