"""A table of how many maps of each year wait, run, stand or failed."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from water_gee.deploy.tasks import DONE, FAILED, PENDING, RUNNING, WAITING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    Counts = Mapping[str, Mapping[str, int]]

COLUMNS = {
    "to send": (WAITING,),
    "pending": (PENDING,),
    "running": (RUNNING,),
    "done": (DONE,),
    "failed": (FAILED,),
}
"""Heading -> the states counted under it."""

LINE_SECONDS = 30.0
"""Where the table cannot be redrawn in place, a line is written this often, and at the end."""

MAX_ROWS = 40


class Table:
    """Draws counts on a terminal in place, elsewhere as a line now and then.

    Args:
        standing: How many maps of each year stood before, counted as done.
        labels: The years, in order.
        out: Where to; standard error by default.
    """

    def __init__(
        self,
        labels: Sequence[str],
        standing: Mapping[str, int] | None = None,
        out: TextIO | None = None,
    ) -> None:
        self._labels = list(labels)
        self._standing = dict(standing or {})
        self._out = out or sys.stderr
        self._in_place = self._out.isatty()
        self._height = 0
        self._last = ""
        self._written = time.monotonic()

    def draw(self, counts: Counts) -> None:
        """Show counts, `counts[year][state]`."""
        if self._in_place:
            lines = self.lines(counts)
            text = "\n".join(lines)
            if text != self._last:
                up = f"\x1b[{self._height}A" if self._height else ""
                self._out.write(up + "".join(f"\x1b[2K{line}\n" for line in lines))
                self._out.flush()
                self._height, self._last = len(lines), text
            return
        self._last = self.line(counts)
        if time.monotonic() - self._written >= LINE_SECONDS:
            self._write_line()

    def close(self) -> None:
        """Leave the last state standing."""
        if not self._in_place and self._last:
            self._write_line()

    def lines(self, counts: Counts) -> list[str]:
        """The table as text."""
        totals = self._totals(counts)
        rows = [("year", *COLUMNS)]
        rows += [(label, *(f"{n:,}" for n in row)) for label, row in totals.items()]
        if len(rows) > MAX_ROWS:
            rows = rows[:1]
        everything = [sum(column) for column in zip(*totals.values(), strict=True)]
        rows.append(("all", *(f"{n:,}" for n in everything)))
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
        return [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]

    def line(self, counts: Counts) -> str:
        """The totals in one line."""
        totals = self._totals(counts).values()
        everything = [sum(column) for column in zip(*totals, strict=True)]
        return "exports: " + ", ".join(
            f"{number:,} {name}" for name, number in zip(COLUMNS, everything, strict=True) if number
        )

    def _totals(self, counts: Counts) -> dict[str, list[int]]:
        labels = [*self._labels, *(label for label in counts if label not in self._labels)]
        found = {}
        for label in labels:
            states = counts.get(label, {})
            row = [sum(states.get(state, 0) for state in each) for each in COLUMNS.values()]
            row[list(COLUMNS).index("done")] += self._standing.get(label, 0)
            found[label] = row
        return found

    def _write_line(self) -> None:
        self._written = time.monotonic()
        self._out.write(self._last + "\n")
        self._out.flush()
