"""Pictures of a table of scores: IoU with intervals, groups, and the calibration."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.files import write_bytes
from water_gee.mapping import styles
from water_gee.mapping.calibration import DEFAULT, STEPS
from water_gee.mapping.charts import png, rgb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from water_gee.mapping.bootstrap import Measured
    from water_gee.mapping.calibration import Calibration
    from water_gee.mapping.scoretable import Evaluation, Scores

_GREY = (0.45, 0.45, 0.48)
_PALE = (0.90, 0.90, 0.92)
_MANY = ("#1f78b4", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#999933")
"""Told apart by the colour-blind: M. Okabe, K. Ito (2008), Color Universal Design."""
_MARKS = "osD^vPX*"


def write(folder: Path | str, found: Evaluation) -> list[Path]:
    """Draw everything that there is into a folder, which is made where it is missing.

    Returns:
        `scores.png`, `strata.png`, `shore.png`, and `calibration_ROW.png` of each row with
        probabilities, numbered where two rows would have the same.

    Raises:
        RasterError: The folder cannot be written.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = {"scores": scores_png(found)}
    if found.strata:
        panels = {"IoU by land cover": "iou", "share right": "accuracy"}
        pictures["strata"] = groups_png(found.strata, panels)
    if found.shore:
        panels = {"share right of water, by distance to the shore": "recall",
                  "share right of land": "land_recall"}  # fmt: skip
        pictures["shore"] = groups_png(found.shore, panels)
    for item in found.calibrations:
        pictures[_free(f"calibration_{_plain(item.row)}", pictures)] = calibration_png(item)
    paths = [target / f"{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        write_bytes(path, picture)
    return paths


def scores_png(found: Evaluation) -> bytes:
    """IoU of each row with its interval, and how far it lies from the row compared with."""
    from matplotlib.figure import Figure

    names = [each.row for each in found.rows]
    at = np.arange(len(names))[::-1]
    figure = Figure(figsize=(9.0, 1.4 + 0.36 * len(names)), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
    for axes, table, title in (
        (left, [each.scores["iou"] for each in found.rows], "IoU of water, 95%"),
        (right, [each.differences["iou"] for each in found.rows], f"IoU less {found.against}, 95%"),
    ):
        _dots(axes, table, at)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", color=_PALE)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
    right.axvline(0, color=_GREY, lw=1)
    left.set_yticks(at, names)
    left.set_ylim(-0.6, len(names) - 0.4)
    figure.supxlabel(
        f"{found.reference}: {found.pixels:,} pixels, {found.units} {found.unit}s",
        fontsize=8,
        color=_GREY,
    )
    return png(figure)


def _dots(axes: Any, table: Sequence[Measured], at: Any) -> None:
    blue = rgb(styles.WATER_COLOUR)
    values = np.array([each.value for each in table])
    low, high = np.array([each.low for each in table]), np.array([each.high for each in table])
    axes.hlines(at, low, high, color=blue, lw=2.5, alpha=0.55)
    axes.plot(values, at, "o", color=blue, ms=6)


def groups_png(groups: Sequence[Scores], panels: Mapping[str, str]) -> bytes:
    """Scores of each row in each group, with intervals, side by side.

    Args:
        groups: Of an evaluation: `strata`, or `shore`.
        panels: Title -> score.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(each.group for each in groups))
    width = 1.1 + max(4.4, 0.95 * len(names))
    figure = Figure(figsize=(width * len(panels), 4.4), dpi=120, layout="constrained")
    parts = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    sizes = {each.group: each.confusion.total for each in groups}
    for axes, (title, score) in zip(parts, panels.items(), strict=True):
        _rows(axes, groups, names, score)
        ticks = [f"{name}\n{_short(sizes[name])} px" for name in names]
        axes.set_xticks(range(len(names)), ticks, fontsize=8)
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="y", color=_PALE)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    parts[0].set_ylim(max(-0.02, parts[0].get_ylim()[0]), 1.02)
    _legend(figure, parts[0])
    return png(figure)


def _short(pixels: int) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if pixels >= size:
            return f"{pixels / size:.3g}{unit}"
    return str(pixels)


def _rows(axes: Any, groups: Sequence[Scores], names: Sequence[str], score: str) -> None:
    table = {(each.row, each.group): each.scores[score] for each in groups}
    rows = list(dict.fromkeys(each.row for each in groups))
    for k, row in enumerate(rows):
        at = np.arange(len(names)) + (k - (len(rows) - 1) / 2) * 0.75 / max(len(rows), 2)
        found = [table[row, name] for name in names]
        colour, mark = _MANY[k % len(_MANY)], _MARKS[k // len(_MANY) % len(_MARKS)]
        low, high = [each.low for each in found], [each.high for each in found]
        axes.vlines(at, low, high, color=colour, lw=2, alpha=0.5)
        axes.plot(at, [each.value for each in found], mark, color=colour, ms=5, label=row)


def _legend(figure: Any, axes: Any) -> None:
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False, fontsize=8)  # fmt: skip


def calibration_png(item: Calibration) -> bytes:
    """The reliability curve over a histogram, and IoU by threshold."""
    from matplotlib.figure import Figure

    blue = rgb(styles.WATER_COLOUR)
    figure = Figure(figsize=(10.0, 5.0), dpi=120, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3.2, 1), width_ratios=(1, 1.1))
    curve, counts = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    some = [each for each in item.bins if each.pixels]
    x, y = [each.probability for each in some], [each.water.value for each in some]
    curve.plot([0, 1], [0, 1], "--", color=_GREY, lw=1)
    curve.vlines(x, [b.water.low for b in some], [b.water.high for b in some], color=blue, lw=2.5,
                 alpha=0.5)  # fmt: skip
    curve.plot(x, y, "o-", color=blue, ms=5, lw=1, clip_on=False)
    curve.set_ylabel("share that is water")
    curve.set_title(
        f"{item.row}: calibration error {item.error.value:.3f}, Brier {item.brier.value:.3f}",
        fontsize=10,
    )
    width = item.bins[0].high - item.bins[0].low
    counts.bar([b.low for b in item.bins], [b.pixels for b in item.bins], width, align="edge",
               color=_PALE, edgecolor=_GREY, lw=0.5)  # fmt: skip
    counts.set_yscale("log")
    counts.set_ylim(bottom=0.8)
    counts.set_ylabel("pixels")
    counts.set_xlabel("probability of water")
    _threshold(figure.add_subplot(grid[:, 1]), item)
    for axes in figure.axes:
        axes.set_xlim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def _threshold(axes: Any, item: Calibration) -> None:
    blue, best = rgb(styles.WATER_COLOUR), item.threshold
    axes.plot(np.arange(STEPS) / STEPS, item.curve, color=blue, lw=1.5)
    axes.plot([DEFAULT], [best.iou_default], "o", color=_GREY, label=f"{DEFAULT:g}")
    axes.plot([best.value], [best.iou], "D", color="#d55e00", label=f"largest: {best.value:g}")
    axes.set_xlabel("threshold")
    axes.set_title("IoU by threshold", fontsize=10)
    # Thresholds near 0 call everything water, and would press all others together.
    inner = np.array(item.curve[STEPS // 50 : -STEPS // 50])
    lowest = float(np.nanmin(inner)) if np.isfinite(inner).any() else 0.0
    axes.set_ylim(max(-0.02, lowest - 0.05), min(1.02, best.iou + 0.05))
    axes.grid(color=_PALE)
    axes.legend(frameon=False, fontsize=9)
    gain = best.gain
    if np.isfinite(gain.low):
        axes.text(
            0.02,
            0.02,
            f"gain on cells left out: {gain.value:+.3f}\n95% {gain.low:+.3f} to {gain.high:+.3f}",
            transform=axes.transAxes,
            fontsize=8,
            color=_GREY,
        )


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def _free(name: str, taken: Collection[str]) -> str:
    """A name, or `NAME_2`, `NAME_3`, ... where that is taken."""
    several = (f"{name}_{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], several) if each not in taken)
