"""How well label corrections do on each of the ten noise regimes of the synthetic season.

    python benchmarks/regimes.py [--regimes NAME ...] [--methods NAME ...] [--cells 1x2] [--seed 0]
                                 [--keep DIR]

For each regime a season is made, ingested and downloaded through the emulator, and corrected by
every method. Everything is scored against the known water by intersection over union, over the
pixels that were observed. What a method leaves undecided counts as its QA label says; beside it
stands the score without those pixels. With `--keep` seasons and stores stay in DIR, and another run
makes only the corrections.

The figure is the worst regime's IoU of the first method. It holds where that method is better than
the QA label in every regime, and better than the seed's method and than DSWE in all but one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from water_gee import denoise_labels, indices, session
from water_gee.demo import truth
from water_gee.demo.regimes import REGIMES
from water_gee.demo.run import TRUTH_LABELS
from water_gee.demo.season import make_season
from water_gee.imagery import scenes
from water_gee.imagery.download import download_tiles
from water_gee.imagery.store import NOT_OBSERVED, TileStore
from water_gee.metrics import Confusion
from water_gee.training.labels import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from water_gee.imagery.grid import Cell

    Codes = NDArray[np.uint8]

EXCEPT = {"qa": 0, "seed": 1, "dswe": 1}
"""In how many regimes the first method need not be better than each of these."""

BASELINES = ("qa", "mndwi", "dswe")

PACKAGES = ("water-gee", "earthengine-api", "tensorflow", "keras", "rasterio", "numpy")


def store_of(folder: Path, regime: str | None, cells: tuple[int, int], seed: int) -> TileStore:
    """The tiles of a regime, with the truth beside the labels; made where they do not stand."""
    done = folder / "ready.json"
    facts = {"regime": regime, "cells": list(cells), "seed": seed}
    season = make_season(folder, seed, cells, regime)
    if done.exists() and json.loads(done.read_text()) == facts | {"seconds": season.seconds}:
        return TileStore.open(folder / "tiles")
    for name in ("catalog", "tiles"):
        shutil.rmtree(folder / name, ignore_errors=True)
    assets = scenes.ingest(folder / "catalog", season.scenes)
    scenes.ingest(folder / "catalog", [season.dem], dem=True)
    with session.connect(catalog=folder / "catalog"):
        recipe = scenes.recipe_for(scenes.describe(assets), {})
        store = download_tiles(season.bounds, folder / "tiles", recipe, threads=2, progress=False)
    shutil.rmtree(folder / "catalog")
    for cell in store.cells():
        store.write_label(cell, truth.truth_on(season, cell.grid), TRUTH_LABELS)
    done.write_text(json.dumps(facts | {"seconds": season.seconds}))
    return store


def corrected(store: TileStore, method: str, seed: int) -> float:
    """Correct the labels from nothing, into `labels_METHOD`; returns the seconds."""
    folder = f"labels_{method}"
    shutil.rmtree(store.path / folder, ignore_errors=True)
    for name in (f"{folder}.json", f".{folder}.checkpoint.zip"):
        (store.path / name).unlink(missing_ok=True)
    started = time.perf_counter()
    denoise_labels(store, method=method, seed=seed, folder=folder, progress=False)
    return round(time.perf_counter() - started, 1)


def dswe(store: TileStore, cell: Cell) -> Codes:
    """DSWE, three of five tests, with SWIR2 from the evidence layer."""
    bands = dict(zip(store.recipe.features, store.read_image(cell), strict=True))
    blue, green, red, nir, swir1 = (bands[n] for n in ("Blue", "Green", "Red", "NIR", "SWIR1"))
    return indices.dswe_water(blue, green, red, nir, swir1, store.read_evidence(cell)["SWIR2"])


def mndwi(store: TileStore, cell: Cell) -> Codes:
    """MNDWI above 0."""
    return indices.above(store.read_image(cell)[store.recipe.features.index("mNDWI")])


def score(store: TileStore, codes_of: Callable[[Cell], Codes]) -> dict[str, float]:
    """IoU over a store, with undecided pixels as the QA label has them, and without them."""
    whole, decided, undecided = Confusion(0, 0, 0, 0), Confusion(0, 0, 0, 0), 0
    for cell in store.cells():
        inner = cell.core.slices
        known = store.read_label(cell, TRUTH_LABELS)[inner]
        qa, codes = store.read_mask(cell)[inner], codes_of(cell)[inner]
        seen = qa != NOT_OBSERVED
        open_ = seen & (codes == NOT_OBSERVED)
        whole += Confusion.of(known, np.where(seen, np.where(open_, qa, codes), NOT_OBSERVED))
        decided += Confusion.of(known, np.where(seen, codes, NOT_OBSERVED))
        undecided += int(open_.sum())
    return {
        "iou": round(whole.iou, 4),
        "iou_decided": round(decided.iou, 4),
        "undecided": round(undecided / max(1, whole.total), 4),
    }


def judge(folder: Path, regime: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Score everything on one regime, and say each score when it is there."""
    found: dict[str, Any] = {}

    def tell(name: str, values: dict[str, float]) -> None:
        found[name] = values
        print(f"{regime:<16}{name:<10}{values['iou']:.4f}", file=sys.stderr, flush=True)

    with store_of(folder, regime, asked.cells, asked.seed) as store:
        tell("qa", score(store, store.read_mask))
        tell("mndwi", score(store, lambda cell: mndwi(store, cell)))
        tell("dswe", score(store, lambda cell: dswe(store, cell)))
        for method in asked.methods:
            seconds = corrected(store, method, asked.seed)
            scores = score(store, store_reader(store, f"labels_{method}"))
            tell(method, scores | {"seconds": seconds})
    return found


def store_reader(store: TileStore, folder: str) -> Callable[[Cell], Codes]:
    """Reads labels of one folder; of a tile that a method left alone, the QA label."""
    return lambda cell: (
        store.read_label(cell, folder) if store.has_label(cell, folder) else store.read_mask(cell)
    )


def counts(table: dict[str, dict[str, Any]], ours: str, names: Sequence[str]) -> dict[str, Any]:
    """In how many regimes our method is better than each of the others."""
    return {
        name: sum(row[ours]["iou"] > row[name]["iou"] for row in table.values())
        for name in names
        if name != ours
    }


def grid_size(text: str) -> tuple[int, int]:
    """`1x2`: rows and columns."""
    rows, cols = text.split("x")
    return int(rows), int(cols)


def finish(line: dict[str, Any]) -> NoReturn:
    """Print the line with what it was measured on, and leave with its verdict."""
    measured_on = {
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    print(json.dumps(line | measured_on))
    sys.exit(0 if line["holds"] else 1)


def main() -> None:
    """Run the regimes and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--regimes", nargs="+", choices=list(REGIMES), default=list(REGIMES))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=METHODS)
    parser.add_argument("--cells", type=grid_size, default=(1, 2))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep seasons and stores here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = (asked.keep or Path(temporary)).absolute()
        table = {name: judge(base / name.replace(" ", "_"), name, asked) for name in asked.regimes}
    ours = asked.methods[0] if asked.methods else "qa"
    better = counts(table, ours, (*BASELINES, *asked.methods))
    worst = min(table, key=lambda name: float(table[name][ours]["iou"]))
    line = {
        "name": "regimes",
        "figure": table[worst][ours]["iou"],
        "unit": f"IoU of `{ours}` in its worst regime ({worst})",
        "against": "QA label, same regime",
        "against_figure": table[worst]["qa"]["iou"],
        "ratio": round(table[worst][ours]["iou"] / table[worst]["qa"]["iou"], 4),
        "bar": {name: len(table) - fewer for name, fewer in EXCEPT.items()},
        "better_in": better,
        "of": len(table),
        "holds": all(better.get(name, 0) >= len(table) - fewer for name, fewer in EXCEPT.items()),
        "table": table,
        "cells": list(asked.cells),
        "seed": asked.seed,
    }
    finish(line)


if __name__ == "__main__":
    main()
