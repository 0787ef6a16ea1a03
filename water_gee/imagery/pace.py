"""How many requests to have at once: more while that pays, fewer as soon as it does not.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989), in rounds: a round
is as many answers as requests were at once, of requests that began after the last change. Until the
first sign of too much the level doubles. Signs are answers 429, as a share of a round, for single
ones come at any level; and times that grow with the level, which costs and brings nothing.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = 8
"""Requests at once, to begin with."""

TOO_MANY = 0.1
"""Share of 429 in a round from which on the level falls; below a third of it, it may rise."""

SLOWER = 1.5
"""Times the time of the fastest round, from which on a lower level is tried."""

LESS = 0.8
"""Of the level, tried when answers have become slow."""

FORGETS = 1.02
"""By which the time of the fastest round grows with every round: services change."""

_FEWEST = 8
"""Answers in a round, at least."""


@dataclass(slots=True)
class Slot:
    """A request under way.

    Attributes:
        began: When, on the pace's clock.
        refused: Whether the answer was 429.
        answered: Whether the answer was what was asked for.
    """

    began: float
    refused: bool = False
    answered: bool = False


class Pace:
    """The number of requests at once; its methods may be called from several threads.

    Args:
        most: The level is never above.
        clock: Seconds that never go back.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._level = float(min(FIRST, most))
        self._active = 0
        self._changed = threading.Condition()
        self._doubling = True
        self._fastest: float | None = None
        self._trial: tuple[float, float] | None = None
        self._seconds: list[float] = []
        self._refused = 0
        self._since = clock()

    @property
    def level(self) -> int:
        """Requests at once, at this moment at most."""
        return max(1, int(self._level))

    @contextlib.contextmanager
    def slot(self) -> Iterator[Slot]:
        """Wait for a place; the block is the request, and says in the slot how it ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._active < self.level)
            self._active += 1
            slot = Slot(self._clock())
        try:
            yield slot
        finally:
            with self._changed:
                self._active -= 1
                self._note(slot)
                self._changed.notify_all()

    def _note(self, slot: Slot) -> None:
        """Count an answer; requests that began before the last change say nothing of this level."""
        if slot.began < self._since:
            return
        if slot.answered:
            self._seconds.append(self._clock() - slot.began)
        elif slot.refused:
            self._refused += 1
        if len(self._seconds) + self._refused >= max(self.level, _FEWEST):
            self._set(self._next())

    def _set(self, level: float) -> None:
        changed = int(level) != self.level
        self._level = min(max(level, 1.0), float(self._most))
        self._seconds.clear()
        self._refused = 0
        if changed:
            self._since = self._clock()

    def _next(self) -> float:
        """The level after a round."""
        share = self._refused / (self._refused + len(self._seconds))
        if share > TOO_MANY:
            self._doubling, self._trial = False, None
            return self._level * max(0.5, 1.0 - share)
        now = statistics.median(self._seconds)
        fastest = now if self._fastest is None else min(self._fastest * FORGETS, now)
        trial, self._trial = self._trial, None
        if trial is not None and now > trial[1] * (1 + LESS) / 2:
            # Fewer at once are not faster: it is what is asked for that takes longer.
            self._fastest = now
            return trial[0]
        self._fastest = fastest
        if now > fastest * SLOWER:
            self._doubling = False
            self._trial = (self._level, now)
            return self._level * LESS
        if share > TOO_MANY / 3:
            return self._level
        return self._level * 2 if self._doubling else self._level + 1
