"""What goes wrong with single requests: which of them, and how often.

    RequestFaults.parse("latency=0.5,429=0.02,5xx=0.01,truncate=0.005,hang=0.001,reset=0.002")

How a fault looks on the wire is the front end's part (`frontend`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from water_gee.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED_REQUESTS = 100_000
"""Different requests whose repetitions are counted; the one longest unseen is forgotten and starts
anew."""


class Fault(StrEnum):
    """What can happen to a request, as the command line names it."""

    TOO_MANY = "429"
    SERVER_ERROR = "5xx"
    TRUNCATE = "truncate"
    HANG = "hang"
    RESET = "reset"


_FIELDS = {"latency": "latency", **{fault.value: fault.name.lower() for fault in Fault}}


@dataclass(frozen=True, slots=True)
class RequestFaults:
    """What happens to requests for data; a request meets one of the faults at most.

    Attributes:
        latency: Seconds a request takes at least; those refused with 429 take none.
        too_many: Share refused with 429, from 0 to 1 as the others.
        server_error: Share answered 500, 502, 503 or 504, each as often.
        truncate: Share whose answer ends before its `Content-Length`, and the connection with it.
        hang: Share never answered: the connection stays open until the client closes it or the
            server stops.
        reset: Share whose connection is reset in place of an answer.
        shares: Of all requests, those that meet each fault: the shares above.

    Raises:
        EmulatorError: A time below 0, a share outside 0 to 1, or shares that add up to more than 1.
    """

    latency: float = 0.0
    too_many: float = 0.0
    server_error: float = 0.0
    truncate: float = 0.0
    hang: float = 0.0
    reset: float = 0.0
    shares: Mapping[Fault, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shares = {fault: getattr(self, fault.name.lower()) for fault in Fault}
        object.__setattr__(self, "shares", shares)
        if not (math.isfinite(self.latency) and self.latency >= 0):
            raise EmulatorError(f"faults: latency={self.latency!r}: must be seconds, 0 or more")
        for fault, share in self.shares.items():
            if not 0.0 <= share <= 1.0:
                raise EmulatorError(f"faults: {fault}={share!r}: a share is from 0 to 1")
        if sum(self.shares.values()) > 1.0 + 1e-9:
            raise EmulatorError("faults: the shares add up to more than 1")

    @classmethod
    def parse(cls, text: str | None) -> RequestFaults:
        """Read `latency=0.5,429=0.02`: the names are `latency` and those of `Fault`.

        Args:
            text: None where nothing is to happen.

        Raises:
            EmulatorError: A name that is none or comes twice, a value that is no number or out of
                range, or nothing at all.
        """
        found: dict[str, float] = {}
        for part in () if text is None else text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise EmulatorError(f"faults: {part.strip()!r} is not like 429=0.02")
            if name not in _FIELDS:
                raise EmulatorError(
                    f"faults: no fault is called {name!r}; {', '.join(_FIELDS)} are"
                )
            if _FIELDS[name] in found:
                raise EmulatorError(f"faults: {name} is given twice")
            try:
                found[_FIELDS[name]] = float(value)
            except ValueError as error:
                raise EmulatorError(f"faults: {name}={value}: not a number") from error
        return cls(**found)

    def at(self, place: float) -> Fault | None:
        """Return the fault at a place from 0 to 1, where each takes up its share; mostly None."""
        for fault, share in self.shares.items():
            if place < share:
                return fault
            place -= share
        return None


NO_REQUEST_FAULTS = RequestFaults()


class Repeats:
    """How often each request came; bounded.

    Args:
        limit: Different requests remembered.
    """

    def __init__(self, limit: int = REMEMBERED_REQUESTS) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._seen)

    def count(self, digest: bytes) -> int:
        """Return how often this request came before, and count it."""
        before = self._seen.pop(digest, 0)
        self._seen[digest] = before + 1
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        return before
