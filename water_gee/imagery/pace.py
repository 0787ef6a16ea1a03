"""How many requests to have at once: more while that pays, fewer as soon as it does not.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain 1989), in rounds: a round
is as many answers as requests are at once, of requests that began after the last change. A higher
level is a trial, and is kept if it brings at least half of what it promises; until one does not,
the level doubles. Signs of too much are answers 429, as a share of a round, for single ones come at
any level; and answers that become slow: then a lower level is the trial.
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

STEP = 4
"""Requests at once that a trial adds, once doubling has come to its end."""

LESS = 0.75
"""What of a level is kept when it is too much."""

PAYS = 0.5
"""Of the speed that a higher level promises: what it has to bring."""

SLOWER = 1.5
"""Times the usual time of an answer, from which on a lower level is tried."""

TOO_MANY = 0.1
"""Share of 429 in a round that is too much; from a third of it on, no more is tried."""

HOLD = 10
"""Rounds after a trial that did not pay before the next one."""

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


class Level:
    """How many requests at once pay, learned from their answers.

    Attributes:
        most: The level is never above.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._level = float(min(FIRST, most))
        self._doubling = True
        self._hold = 0
        self._usual: float | None = None
        self._trial: _Trial | None = None
        self._seconds: list[float] = []
        self._refused = 0
        self._since = 0.0

    def __int__(self) -> int:
        return max(1, int(self._level))

    def note(self, slot: Slot, now: float) -> None:
        """Count an answer; requests that began before the last change say nothing of this level.

        Args:
            slot: The request.
            now: When it ended, on the clock that it began on.
        """
        if slot.began < self._since:
            return
        if slot.answered:
            self._seconds.append(now - slot.began)
        elif slot.refused:
            self._refused += 1
        if len(self._seconds) + self._refused < max(int(self), _FEWEST):
            return
        before = int(self)
        self._level = min(max(self._next(), 1.0), float(self.most))
        self._seconds.clear()
        self._refused = 0
        if int(self) != before:
            self._since = now

    def _next(self) -> float:
        """The level after a round."""
        trial, self._trial = self._trial, None
        share = self._refused / (self._refused + len(self._seconds))
        if share > TOO_MANY:
            self._doubling, self._hold, self._usual = False, HOLD, None
            return trial.level if trial is not None and trial.up else self._level * LESS
        now = statistics.median(self._seconds)
        rate = self._level / now
        if trial is not None and trial.up and rate < trial.rate * _worth(self._level / trial.level):
            self._doubling, self._hold = False, HOLD
            return trial.level
        if trial is not None and not trial.up:
            self._usual, self._hold = now, HOLD
            # Where fewer at once are slower, it is what is asked for that takes longer.
            paid = trial.rate > rate * _worth(trial.level / self._level)
            return trial.level if paid else self._level
        self._usual = now if self._usual is None or trial is not None else min(self._usual, now)
        if now > self._usual * SLOWER and self._level > 1:
            self._trial = _Trial(self._level, rate, up=False)
            return self._level * LESS
        self._hold = max(self._hold - 1, 0)
        if self._hold or share > TOO_MANY / 3 or self._level >= self.most:
            return self._level
        self._trial = _Trial(self._level, rate, up=True)
        return self._level * 2 if self._doubling else self._level + STEP


@dataclass(frozen=True, slots=True)
class _Trial:
    """The level that is compared with, and its answers a second."""

    level: float
    rate: float
    up: bool


def _worth(grown: float) -> float:
    """Times the speed that a level so many times as high has to bring."""
    return 1 + PAYS * (grown - 1)


class Pace:
    """Lets so many requests pass at once; its methods may be called from several threads.

    Args:
        most: At once, whatever pays.
        clock: Seconds that never go back.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._level = Level(most)
        self._clock = clock
        self._active = 0
        self._changed = threading.Condition()

    @property
    def level(self) -> int:
        """Requests at once, at this moment at most."""
        return int(self._level)

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
                self._level.note(slot, self._clock())
                # Waking all that wait, for one place, costs more than a small tile does.
                self._changed.notify(max(self.level - self._active, 0))
