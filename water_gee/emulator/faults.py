"""Faults on purpose: what goes wrong at the real service now and then, at will and repeatable.

    with start("catalog", faults=Faults(task_failure=0.02, seed=1)) as emulator: ...
    water-gee emulator start --catalog DIR --fail-tasks 0.02 --seed 1

A client that is to survive failing tasks, a full queue or an account without rights can be tried
against them without an account, and gets the same faults every time: whether a task fails follows
from the seed, its description and how many tasks of that description came before it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from water_gee.emulator.assets import LEGACY_PREFIX
from water_gee.emulator.errors import permission_denied
from water_gee.emulator.limits import MAX_QUEUED_TASKS
from water_gee.errors import EmulatorError

INTERNAL = "Internal error."
TIMED_OUT = "Computation timed out."
OUT_OF_MEMORY = "User memory limit exceeded."
"""What the service says of a task that failed for no fault of its expression."""

PERMISSIONS = {
    "projects.assets.get": "earthengine.assets.get",
    "projects.assets.getPixels": "earthengine.assets.get",
    "projects.assets.listAssets": "earthengine.assets.list",
    "projects.listAssets": "earthengine.assets.list",
    "projects.assets.create": "earthengine.assets.create",
    "projects.assets.delete": "earthengine.assets.delete",
    "projects.assets.patch": "earthengine.assets.update",
    "projects.assets.getIamPolicy": "earthengine.assets.getIamPolicy",
    "projects.assets.setIamPolicy": "earthengine.assets.setIamPolicy",
    "projects.image.export": "earthengine.exports.create",
}
"""What a method needs (cloud.google.com/iam/docs/roles-permissions/earthengine)."""

_SCALE = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a task is to end.

    Attributes:
        share: Of its pixels computed until then, from 0 to 1.
        message: What it says.
    """

    share: float
    message: str


@dataclass(frozen=True, slots=True)
class Faults:
    """What is to go wrong.

    Attributes:
        task_failure: Share of tasks that fail, from 0 to 1, each at some point of its work.
        seed: Of which ones; the same seed fails the same tasks.
        messages: What failing tasks say, one of these each.
        denied: Projects of somebody else, such as `projects/other`: nothing in them may be read or
            written.
        max_queued: Tasks that may wait; 3,000 at the real service.
        storage: Bytes that all assets may take; None for no limit.

    Raises:
        EmulatorError: A share outside 0 to 1, or no message.
    """

    task_failure: float = 0.0
    seed: int = 0
    messages: tuple[str, ...] = (INTERNAL,)
    denied: tuple[str, ...] = ()
    max_queued: int = MAX_QUEUED_TASKS
    storage: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.task_failure <= 1.0:
            raise EmulatorError(f"task_failure {self.task_failure!r}: must be from 0 to 1")
        if not self.messages:
            raise EmulatorError("messages: failing tasks have to say something")
        if self.max_queued < 1:
            raise EmulatorError(f"max_queued {self.max_queued!r}: must be at least 1")

    def of_task(self, description: str, before: int) -> Failure | None:
        """Say how a task is to fail, None if it is not.

        Args:
            description: The caller's name for it.
            before: How many tasks of that name there were before it.
        """
        whether, when, which = self._dice(f"{description} {before}")
        if whether >= self.task_failure:
            return None
        return Failure(when, self.messages[int(which * len(self.messages))])

    def check(self, method: str, name: str) -> None:
        """Refuse what touches a project of somebody else.

        Args:
            method: Of the API, for example `projects.assets.get`.
            name: The resource.

        Raises:
            ServiceError: 403, in the service's words.
        """
        permission = PERMISSIONS.get(method)
        # As the client writes projects of short names.
        name = name.removeprefix(LEGACY_PREFIX)
        for prefix in self.denied if permission is not None else ():
            if name == prefix or name.startswith(f"{prefix}/"):
                raise permission_denied(str(permission), name)

    def _dice(self, text: str) -> tuple[float, float, float]:
        """Three numbers from 0 to 1 that follow from the seed and a text."""
        rolled = hashlib.sha256(f"{self.seed} {text}".encode()).digest()
        first, second, third = (
            int.from_bytes(rolled[start : start + 8], "big") / _SCALE for start in (0, 8, 16)
        )
        return first, second, third


NO_FAULTS = Faults()
