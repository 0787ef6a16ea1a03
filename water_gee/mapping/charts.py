"""Plots of a series: areas with their doubts, and a picture of what changed."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.enums import Resampling

from water_gee import metrics, raster
from water_gee.mapping import styles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from water_gee.mapping.styles import Category, Colour

_LONGEST = 1200
"""Pixels of the longer side of a picture of a map."""

_MOST_LABELS = 30
_SIGMAS = 1.96
_UNSEEN = (1.0, 1.0, 1.0)


def areas_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Plot the areas of a series.

    Dots are the water that each map observed, bars 95% of what its probabilities leave open (1.96
    standard deviations), the band what pixels that were not observed could add. The line is the
    water among the pixels that all maps observed: the one to compare.

    Args:
        rows: Of `areas.csv`.

    Returns:
        A PNG; equal rows give equal bytes.
    """
    from matplotlib.figure import Figure

    at = np.array([_time(str(row["period"])) for row in rows])
    apart = float(np.diff(at).min()) if len(at) > 1 else 1.0
    water, low, high, common = (
        np.array([float(row[name]) for row in rows])
        for name in ("water_km2", "low_km2", "high_km2", "common_water_km2")
    )
    doubt = [row["sd_km2"] for row in rows]
    figure = Figure(figsize=(max(5.5, min(14.0, 2.5 + 0.5 * len(rows))), 4.2), dpi=120)
    axes = figure.subplots()
    blue, grey = rgb(styles.WATER_COLOUR), (0.45, 0.45, 0.48)
    if (high > low).any():
        axes.bar(
            at,
            high - low,
            bottom=low,
            width=0.5 * apart,
            color=(0.85, 0.85, 0.87),
            label="if what was not observed were water",
        )
    axes.plot(at, common, "-", color=grey, lw=1.5, label="water on pixels observed every time")
    sizes = [0.0 if value is None else _SIGMAS * float(value) for value in doubt]
    with_bars = any(value is not None for value in doubt)
    axes.errorbar(
        at,
        water,
        yerr=sizes if with_bars else None,
        fmt="o",
        color=blue,
        ecolor=blue,
        capsize=4,
        ms=6,
        label="water observed" + (", with 95% interval" if with_bars else ""),
    )
    named = slice(None, None, -(-len(rows) // _MOST_LABELS))
    axes.set_xticks(at[named], [str(row["period"]) for row in rows[named]])
    if len(rows) > 8:
        axes.tick_params(axis="x", rotation=90)
    axes.set_xlim(at[0] - 0.6 * apart, at[-1] + 0.6 * apart)
    axes.set_ylim(0, 1.12 * max(float(high.max()), float((water + np.array(sizes)).max()), 1e-9))
    axes.set_ylabel("water, km²")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=(0.92, 0.92, 0.92))
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=1)
    return png(figure)


def change_png(path: Path, title: str, row: Mapping[str, Any]) -> bytes:
    """Picture a change map, with its areas in the legend.

    Args:
        path: The change map.
        title: Over the picture.
        row: Of `changes.csv`.
    """
    names = ("land_in_both_km2", "water_in_both_km2", "gain_km2", "loss_km2")
    labels = [
        f"{item.name}: {float(row[name]):,.2f} km²"
        for item, name in zip(styles.CHANGE, names, strict=True)
    ]
    labels.append(f"not comparable: {float(row['not_comparable_km2']):,.2f} km²")
    return class_png(path, title, styles.CHANGE, labels)


def class_png(
    path: Path, title: str, categories: Sequence[Category], labels: Sequence[str]
) -> bytes:
    """Picture a class raster of any size, as it lies on the ground.

    Args:
        path: The raster; 255 is shown white.
        title: Over the picture.
        categories: Its classes.
        labels: For the legend: one for each class, then one for 255.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    codes, aspect = _small(path)
    table = np.full((256, 3), _UNSEEN)
    for item in categories:
        table[int(item.value)] = rgb(item.colour)
    rows, cols = codes.shape
    ratio = rows / cols * aspect
    width = 7.0 if ratio <= 1 else max(3.5, 7.0 / ratio)
    figure = Figure(figsize=(width, min(9.0, width * ratio) + 1.5), dpi=130)
    axes = figure.subplots()
    axes.imshow(table[codes], aspect=aspect, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=11)
    colours = [*(rgb(item.colour) for item in categories), _UNSEEN]
    patches = [
        Patch(facecolor=colour, edgecolor=(0.6, 0.6, 0.6), lw=0.5, label=label)
        for colour, label in zip(colours, labels, strict=True)
    ]
    axes.legend(
        handles=patches,
        frameon=False,
        fontsize=8,
        ncols=2 if width > 5 else 1,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
    )
    return png(figure)


def _small(path: Path) -> tuple[Any, float]:
    """The codes, averaged down by their mode, and the height of a pixel over its width."""
    grid = raster.describe(path).grid
    rows, cols = grid.shape
    share = min(1.0, _LONGEST / max(rows, cols))
    shape = (max(1, round(rows * share)), max(1, round(cols * share)))
    with rasterio.open(path) as source:
        codes = source.read(1, out_shape=shape, resampling=Resampling.mode)
    middle = (np.array([rows / 2]), np.array([cols / 2]))
    across, down = metrics.pixel_sides_m(grid.transform, *middle, crs=grid.crs)
    aspect = float(down[0] / across[0]) if across[0] > 0 else 1.0
    return codes, aspect if math.isfinite(aspect) and aspect > 0 else 1.0


def _time(period: str) -> float:
    """A period as a year with its fraction, so that missing years leave gaps."""
    year, _, month = period.partition("-")
    return int(year) + (int(month) - 1) / 12 if month else float(year)


def rgb(colour: Colour) -> tuple[float, float, float]:
    """A colour as Matplotlib takes it, 0 to 1."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def png(figure: Figure) -> bytes:
    """Encode a figure; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": ""})
    return buffer.getvalue()
