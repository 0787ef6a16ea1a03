"""The demo: a synthetic season through the whole job, scored against its known water.

    season      OUT/synthetic_season
    ingest, download, labels, train, map, deploy     the main job, in OUT (see `workflow`)
    ceiling     the same network trained on the truth, in OUT/ceiling
    scores      OUT/truth.json, and OUT/report.html anew with them

Every stage is skipped where its result stands.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import indices, raster, workflow
from water_gee._version import __version__
from water_gee.demo import truth
from water_gee.demo.season import FOLDER, Season, make_season
from water_gee.files import write_bytes
from water_gee.imagery.store import COLORS, NOT_OBSERVED, TileStore
from water_gee.journal import Journal, digest, file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from water_gee.imagery.grid import Cell
    from water_gee.workflow import RunResult

    Codes = NDArray[np.uint8]

TRUTH_LABELS = "synthetic_truth"
"""Folder of the tile store that holds the truth as labels."""

TRUTH_RASTER = "synthetic_truth.tif"

NAMES = {
    "qa": "QA labels",
    "mndwi": "MNDWI > 0",
    "dswe": "DSWE, 3 of 5 tests",
    "corrected": "corrected labels",
    "map": "final map",
    "ceiling": "network trained on the truth",
}
"""What is scored, in the order of the table."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo found.

    Attributes:
        out: The folder.
        seed: Of season and job.
        cells: Lattice cells, `(rows, cols)`.
        scores: Key of `NAMES` -> `iou`, `f1`, `accuracy`, and pixels `observed` and `missing`.
        seconds: Of each stage when it was made.
        report: The HTML page.
        regime: Noise regime of the season; None: without one.
    """

    out: Path
    seed: int
    cells: tuple[int, int]
    scores: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    report: Path
    regime: str | None = None

    @property
    def gap_closed(self) -> float:
        """How much of the way from the QA labels to the ceiling the map went, by IoU."""
        low, high = self.scores["qa"]["iou"], self.scores["ceiling"]["iou"]
        return (self.scores["map"]["iou"] - low) / (high - low) if high != low else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values: the scores by name, `seconds` by stage, and what was run."""
        return {
            "synthetic": True,
            **{name: dict(values) for name, values in self.scores.items()},
            "gap_closed": self.gap_closed,
            "seconds": dict(self.seconds),
            "seed": self.seed,
            "cells": list(self.cells),
            "regime": self.regime,
            "out": str(self.out),
            "version": __version__,
        }

    def table(self) -> str:
        """Write the scores and times for people."""
        width = max(len(label) for label in NAMES.values())
        lines = [
            f"synthetic season{_of(self.regime)}, seed {self.seed}, "
            f"{self.cells[0]} x {self.cells[1]} cells",
            "",
            f"{'against the truth':<{width}}     IoU      F1  accuracy  not observed",
        ]
        for name, label in NAMES.items():
            row = self.scores[name]
            lines.append(
                f"{label:<{width}}  {row['iou']:.4f}  {row['f1']:.4f}    {row['accuracy']:.4f}"
                f"  {int(row['missing']):>9,} px"
            )
        times = ", ".join(f"{name} {value:.0f}" for name, value in self.seconds.items())
        return "\n".join(
            [
                *lines,
                "",
                f"the map closes {100 * self.gap_closed:.0f} % of the gap in IoU between the QA "
                "labels and the network trained on the truth",
                f"seconds: {times}; together {sum(self.seconds.values()):.0f}",
                f"report: {self.report}",
            ]
        )


def run_demo(
    out: Path | str = "water_gee_demo",
    *,
    seed: int = 0,
    cells: tuple[int, int] = (3, 3),
    regime: str | None = None,
    progress: bool = True,
) -> DemoResult:
    """Make a synthetic season with known water, run the whole job over it, and score everything.

    Args:
        out: Folder of results; what stands there is not made again.
        seed: Same seed, same numbers.
        cells: Lattice cells, `(rows, cols)`.
        regime: Noise regime of the season, see `regimes.REGIMES`; None: a little of everything.
        progress: Whether to draw progress bars on standard error.

    Raises:
        WaterGeeError: Any part of the job refuses; the message says what and what to do.
    """
    folder = Path(out).absolute()
    season = make_season(folder, seed, cells, regime)
    run = workflow.run(
        season.bounds,
        scenes=season.scenes,
        dem=season.dem,
        out=folder,
        seed=seed,
        progress=progress,
    )
    with TileStore.open(run.tiles) as store:
        seconds = {"season": season.seconds, **run.seconds}
        seconds |= _ceiling(store, season, run, folder / "ceiling", seed, progress)
        started = time.perf_counter()
        scores, codes = _scores(store, season, run, folder / "ceiling" / "ceiling.tif")
        raster.write_cog(
            folder / TRUTH_RASTER,
            codes,
            raster.describe(run.map).grid,
            nodata=NOT_OBSERVED,
            names=("water",),
            tags={"SYNTHETIC": "true"},
            colormap=COLORS,
            overviews="mode",
        )
        seconds["scores"] = round(time.perf_counter() - started, 3)
    _tell(folder, season, run, scores, seconds)
    return DemoResult(folder, seed, cells, scores, seconds, run.report, regime)


def _ceiling(
    store: TileStore, season: Season, run: RunResult, folder: Path, seed: int, progress: bool
) -> dict[str, float]:
    """Train the same network on the truth and map with it: the best there is to reach."""
    from water_gee.mapping.predict import predict
    from water_gee.training.fit import train

    model, chart = folder / "ceiling.keras", folder / "ceiling.tif"
    rows = [asdict(row) for row in store.rows()]
    made_of = (season.seed, season.cells, *([season.regime] if season.regime else []))
    key = digest(__version__, *made_of, seed, rows, file_digest(run.model))
    with Journal.open(folder) as book:
        standing = book.standing("ceiling", key)
        if standing is None:
            book.begin("ceiling", key)
            started = time.perf_counter()
            for cell in store.cells():
                store.write_label(cell, truth.truth_on(season, cell.grid), TRUTH_LABELS)
            train(store, out=model, labels=TRUTH_LABELS, seed=seed, progress=progress)
            predict(model, store, chart, progress=progress)
            standing = book.end("ceiling", [model, chart], {}, time.perf_counter() - started)
    return {"ceiling": standing.seconds}


def _scores(
    store: TileStore, season: Season, run: RunResult, ceiling: Path
) -> tuple[dict[str, dict[str, float]], Codes]:
    """Score everything on the map's grid; return the scores and the truth there."""
    grid = raster.describe(run.map).grid
    reference = truth.truth_on(season, grid)
    names = list(store.recipe.features)
    bands = np.full((len(names), *grid.shape), np.nan, dtype=np.float32)
    qa = np.full(grid.shape, NOT_OBSERVED, dtype=np.uint8)
    corrected = qa.copy()
    for cell in store.cells():
        place = _place(cell, grid)
        inner = cell.core.slices
        bands[:, *place] = store.read_image(cell)[:, *inner]
        qa[place] = store.read_mask(cell)[inner]
        # A tile with hardly any water is not corrected; its QA label is what is trained on.
        read: Callable[[Cell], Codes] = (
            store.read_label if store.has_label(cell) else store.read_mask
        )
        corrected[place] = read(cell)[inner]
    blue, green, red, nir, swir1 = (
        bands[names.index(name)] for name in ("Blue", "Green", "Red", "NIR", "SWIR1")
    )
    codes = {
        "qa": qa,
        "mndwi": indices.above(bands[names.index("mNDWI")]),
        "dswe": indices.dswe_water(blue, green, red, nir, swir1, truth.swir2_on(season, grid)),
        "corrected": corrected,
        "map": raster.read(run.map, bands=[1]).values[0],
        "ceiling": raster.read(ceiling, bands=[1]).values[0],
    }
    return {name: truth.score(reference, codes[name]).to_dict() for name in NAMES}, reference


def _place(cell: Cell, grid: raster.Grid) -> tuple[slice, slice]:
    """Where a cell, without margin, lies in a grid on the same lattice."""
    west, _, _, north = cell.bounds
    row = round((north - grid.transform.f) / grid.transform.e)
    col = round((west - grid.transform.c) / grid.transform.a)
    return slice(row, row + cell.core.height), slice(col, col + cell.core.width)


def _of(regime: str | None) -> str:
    """Words for the season's regime."""
    return "" if regime is None else f" of the noise regime «{regime}»"


def _tell(
    folder: Path,
    season: Season,
    run: RunResult,
    scores: Mapping[str, Mapping[str, float]],
    seconds: Mapping[str, float],
) -> None:
    """Write what is known of the truth, and the report with it, unless it says so already."""
    from water_gee.mapping import report

    known = {
        "synthetic": True,
        "note": (
            f"Season {FOLDER}{_of(season.regime)} with seed {season.seed}: six Landsat 8 "
            f"acquisitions over {season.cells[0]} x {season.cells[1]} cells, whose water is known "
            "to 10 m."
        ),
        "truth": TRUTH_RASTER,
        "map_sha256": file_digest(run.map),
        "scores": [{"label": NAMES[name], **values} for name, values in scores.items()],
        "seconds": {name: seconds[name] for name in ("season", "ceiling")},
    }
    text = json.dumps(known, indent=1).encode()
    told = folder / report.KNOWN
    if told.exists() and told.read_bytes() == text and run.report.exists():
        return
    # The same page as the job would make by now, so that it stands when the demo is called again.
    write_bytes(told, text)
    report.write(run.report, title=folder.name, notes=run.notes)
