"""Faults on purpose: what goes wrong at the real service now and then, at will and repeatable.

    with start("catalog", faults=Faults(task_failure=0.02, seed=1)) as emulator: ...
    water-gee emulator start --catalog DIR --fail-tasks 0.02 --seed 1

    requests = RequestFaults(latency=0.5, too_many=0.02)
    with start("catalog", faults=Faults(requests=requests, slots=40)) as emulator: ...
    water-gee emulator start --catalog DIR --faults latency=0.5,429=0.02 --slots 40 --seed 1

A client that is to survive failing tasks, a full queue, an account without rights or a network that
loses answers can be tried against them without an account, and gets the same faults every time:
whether a task fails follows from the seed, its description and how many tasks of that description
came before it; whether a request does, from the seed, its content and how often it came before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from water_gee.emulator.assets import LEGACY_PREFIX
from water_gee.emulator.errors import permission_denied
from water_gee.emulator.limits import MAX_QUEUED_TASKS
from water_gee.emulator.requestfaults import NO_REQUEST_FAULTS, Fault, RequestFaults
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
        seed: Of which ones; the same seed fails the same tasks and requests.
        messages: What failing tasks say, one of these each.
        denied: Projects of somebody else, such as `projects/other`: nothing in them may be read or
            written.
        max_queued: Tasks that may wait; 3,000 at the real service.
        storage: Bytes that all assets may take; None for no limit.
        requests: What happens to requests for data.
        slots: Most requests for data at once, 40 at the real service; one more is refused with 429.
            None for no limit: they wait for their turn.
        canned: Whether pixels are computed once for each kind of request (`canned`), so that
            clients alone are measured. Later answers are the first one's bytes, wherever they are.

    Raises:
        EmulatorError: A share outside 0 to 1, no message, no room in the queue or no slot.
    """

    task_failure: float = 0.0
    seed: int = 0
    messages: tuple[str, ...] = (INTERNAL,)
    denied: tuple[str, ...] = ()
    max_queued: int = MAX_QUEUED_TASKS
    storage: int | None = None
    requests: RequestFaults = NO_REQUEST_FAULTS
    slots: int | None = None
    canned: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.task_failure <= 1.0:
            raise EmulatorError(f"task_failure {self.task_failure!r}: must be from 0 to 1")
        if not self.messages:
            raise EmulatorError("messages: failing tasks have to say something")
        if self.max_queued < 1:
            raise EmulatorError(f"max_queued {self.max_queued!r}: must be at least 1")
        if self.slots is not None and self.slots < 1:
            raise EmulatorError(f"slots {self.slots!r}: must be at least 1")

    @property
    def need_http(self) -> bool:
        """Whether some of them happen on the way between client and service."""
        return self.requests != NO_REQUEST_FAULTS or self.slots is not None or self.canned

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

    def of_request(self, digest: bytes, before: int) -> tuple[Fault | None, float]:
        """Say what is to happen to a request.

        Args:
            digest: Stands for its method, path and body.
            before: How often it came before.

        Returns:
            The fault, mostly None, and a number from 0 to 1 that settles its details.
        """
        whether, how, _ = self._dice(f"request {digest.hex()} {before}")
        return self.requests.at(whether), how

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
