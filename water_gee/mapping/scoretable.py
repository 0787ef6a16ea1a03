"""The table of scores: what it holds, as JSON, as CSV, and as text for people."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from water_gee.mapping.bootstrap import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from water_gee.mapping.bootstrap import Measured
    from water_gee.mapping.calibration import Calibration
    from water_gee.metrics import Confusion

ALL = "all"
"""The group of all pixels."""

COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True, slots=True)
class Scores:
    """A row of the table, over all pixels or those of a group.

    Attributes:
        row: What is scored.
        group: `all`, a land-cover stratum, or a band of distance to the shore.
        confusion: Counts of pixels.
        scores: `iou`, `f1`, `precision`, `recall`, `accuracy`, `kappa`, and `land_recall`, which is
            the share of the reference's land that the row has as land; with 95% intervals.
        differences: The same of each score less that of the row compared with, by the same
            resamples.
        not_observed: Pixels that the reference knows and this row does not; None in groups.
    """

    row: str
    group: str
    confusion: Confusion
    scores: Mapping[str, Measured]
    differences: Mapping[str, Measured]
    not_observed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them."""
        return {
            "row": self.row,
            "group": self.group,
            **{name: getattr(self.confusion, name) for name in COUNTS},
            "not_observed": self.not_observed,
            "scores": {name: found.to_dict() for name, found in self.scores.items()},
            "differences": {name: found.to_dict() for name, found in self.differences.items()},
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well labels and maps agree with a reference, all of them on the same pixels.

    Attributes:
        reference: Its name.
        against: The row that differences are taken from.
        rows: Over all common pixels.
        strata: By land-cover stratum (of `training.strata.STRATA`); empty without a store.
        shore: By distance to the reference's shore.
        calibrations: Of the rows with probabilities.
        pixels: Common pixels: the reference and every row say something.
        known: Pixels that the reference says something about.
        cells: Cells, or squares of a map, with common pixels.
        unit: What the intervals draw again: `cell`, or `block`.
        units: How many of them.
        resamples: Of the bootstrap.
        seed: Of it.
        notes: What a reader should know.
    """

    reference: str
    against: str
    rows: tuple[Scores, ...]
    strata: tuple[Scores, ...]
    shore: tuple[Scores, ...]
    calibrations: tuple[Calibration, ...]
    pixels: int
    known: int
    cells: int
    unit: str
    units: int
    resamples: int
    seed: int
    notes: tuple[str, ...]

    def __getitem__(self, row: str) -> Scores:
        """A row over all pixels, by its name.

        Raises:
            KeyError: There is none.
        """
        for found in self.rows:
            if found.row == row:
                return found
        raise KeyError(row)

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them; None where there is nothing to measure."""
        facts = ("reference", "against", "pixels", "known", "cells", "unit", "units")
        more = ("resamples", "seed")
        return {
            **{name: getattr(self, name) for name in (*facts, *more)},
            "notes": list(self.notes),
            "rows": [found.to_dict() for found in self.rows],
            "strata": [found.to_dict() for found in self.strata],
            "shore": [found.to_dict() for found in self.shore],
            "calibrations": [found.to_dict() for found in self.calibrations],
        }

    def to_csv(self) -> str:
        """A line for each row and group, numbers in full; empty where there is nothing."""
        bounds = [f"{name}{end}" for name in NAMES for end in ("", "_low", "_high")]
        apart = [f"{name}_difference{end}" for name in NAMES for end in ("", "_low", "_high")]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["by", "group", "row", *COUNTS, "not_observed", *bounds, *apart])
        for by, lines in (("all", self.rows), ("stratum", self.strata), ("shore", self.shore)):
            for found in lines:
                numbers: list[Any] = [getattr(found.confusion, name) for name in COUNTS]
                numbers.append(found.not_observed)
                for table in (found.scores, found.differences):
                    for name in NAMES:
                        at = table[name]
                        numbers += [at.value, at.low, at.high]
                cells = ["" if v is None or v != v else v for v in numbers]
                writer.writerow([by, found.group, found.row, *cells])
        return text.getvalue()

    def __str__(self) -> str:
        """The table for people."""
        return text(self)


# ------------------------------------------------------------------------------------ as text


def text(found: Evaluation) -> str:
    """Lay out an evaluation as text, at most about 110 columns wide."""
    water = found.rows[0].confusion
    share = (water.tp + water.fn) / max(found.pixels, 1)
    drawn = f"{found.units} {found.unit}s" if found.units > 1 else "none: one unit"
    parts = [
        f"reference     {found.reference}\n"
        f"compared      {found.pixels:,} pixels of {found.cells} cell{'s' * (found.cells > 1)}, "
        f"{share:.1%} of them water\n"
        f"intervals     95%, {drawn} drawn again {found.resamples:,} times",
        _main(found),
        _counts(found),
    ]
    if found.strata:
        parts.append(_groups("by land cover: IoU / accuracy", found.strata, _stratum))
    if found.shore:
        title = "by distance to the shore: share right of water / of land"
        parts.append(_groups(title, found.shore, _both_sides))
    parts += [_calibration(item) for item in found.calibrations]
    if found.notes:
        parts.append("\n".join(f"note: {note}" for note in found.notes))
    return "\n\n".join(parts)


def _main(found: Evaluation) -> str:
    others = ("f1", "precision", "recall", "accuracy", "kappa")
    head = ["", "IoU", "95%", "F1", *others[1:]]
    head += [f"IoU less {found.against}", "not observed"]
    lines = [head]
    for each in found.rows:
        line = [each.row, _number(each.scores["iou"].value), _span(each.scores["iou"])]
        line += [_number(each.scores[name].value) for name in others]
        line.append("" if each.row == found.against else _signed(each.differences["iou"]))
        line.append(f"{each.not_observed:,}")
        lines.append(line)
    return _aligned(lines)


def _counts(found: Evaluation) -> str:
    head = ["pixels", "water in both", "row only", "reference only", "land in both"]
    lines = [
        [each.row, *(f"{getattr(each.confusion, name):,}" for name in COUNTS)]
        for each in found.rows
    ]
    return _aligned([head, *lines])


def _groups(title: str, groups: Sequence[Scores], shown: Callable[[Scores], str]) -> str:
    names = list(dict.fromkeys(each.group for each in groups))
    rows = list(dict.fromkeys(each.row for each in groups))
    table = {(each.row, each.group): each for each in groups}
    lines = [["", *names]]
    sizes = [table[rows[0], name].confusion.total for name in names]
    lines.append(["pixels", *(f"{size:,}" for size in sizes)])
    lines += [[row, *(shown(table[row, name]) for name in names)] for row in rows]
    return f"{title}\n{_aligned(lines)}"


def _stratum(each: Scores) -> str:
    return f"{_number(each.scores['iou'].value)} / {_number(each.scores['accuracy'].value)}"


def _both_sides(each: Scores) -> str:
    return f"{_number(each.scores['recall'].value)} / {_number(each.scores['land_recall'].value)}"


def _calibration(item: Calibration) -> str:
    lines = [["probability", "pixels", "mean", "is water", "95%"]]
    lines += [
        [
            f"{each.low:.1f} to {each.high:.1f}",
            f"{each.pixels:,}",
            _number(each.probability),
            _number(each.water.value),
            _span(each.water),
        ]
        for each in item.bins
    ]
    return (
        f"probabilities of {item.row}: calibration error {_with_span(item.error)}, Brier score "
        f"{_with_span(item.brier)}, skill {_with_span(item.skill)}\n"
        f"{_aligned(lines)}\nthreshold: {item.threshold.advice}"
    )


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    out = []
    for line in lines:
        first = line[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        out.append("  ".join((first, *rest)).rstrip())
    return "\n".join(out)


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"


def _span(found: Measured) -> str:
    return "" if found.low != found.low else f"{found.low:.3f} to {found.high:.3f}"


def _with_span(found: Measured) -> str:
    span = _span(found)
    return f"{_number(found.value)} ({span})" if span else _number(found.value)


def _signed(found: Measured) -> str:
    if found.value != found.value:
        return "-"
    if found.low != found.low:
        return f"{found.value:+.3f}"
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
