"""Does a network trained on corrected labels map new ground better than one trained on QA labels?

    python benchmarks/held_out.py [--seasons NAME ...] [--cells 2x2] [--networks 3] [--seed 0]
                                  [--keep DIR]

For each of the ten noise regimes of the synthetic season, and for the season that has all of them,
every other cell is held out, then the others. On the cells that are left, and knowing nothing of
the rest, labels are corrected and networks trained, alike but for their labels: QA bit, corrected,
and known water, which is what any label can do at most: where that network is not the best, there
was too little ground to learn from for the set to say much. Two networks of the same labels differ
by as much as 0.02 for their seeds alone, so there are `--networks` of the QA and of the corrected
labels, seed by seed. All map the cells held out, and are scored against the known water by
intersection over union of all maps of a kind together. Intervals are 95 %, of a bootstrap over
blocks of 64 x 64 pixels, or over cells where there are five; that of the difference draws the same
blocks for both. With `--keep` seasons and tiles stay in DIR; those that
`benchmarks/regimes.py --keep DIR` made of as many `--cells` serve.

The figure is the smallest difference. It holds where the corrected labels' network is the better
one on every set of held-out cells.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regimes

from water_gee import denoise_labels
from water_gee.demo.regimes import REGIMES
from water_gee.demo.run import TRUTH_LABELS
from water_gee.imagery.store import NOT_OBSERVED, TileStore
from water_gee.mapping.bootstrap import Tally, outcomes, score
from water_gee.mapping.classifier import Classifier
from water_gee.training.fit import train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.imagery.grid import Cell

LABELS = {"qa": "qa", "corrected": "corrected", "truth": TRUTH_LABELS}
ALL = "all"
"""The season without a regime, which has a little of everything."""


def copied(store: TileStore, cells: Sequence[Cell], folder: Path) -> TileStore:
    """A store of some of the cells, with the known water as labels."""
    made = TileStore.open(folder, store.recipe, create=True)
    for cell in cells:
        made.write_tile(
            cell, store.read_image(cell), store.read_mask(cell), store.read_evidence(cell)
        )
        unseen = store.read_mask(cell) == NOT_OBSERVED
        known = np.where(unseen, NOT_OBSERVED, store.read_label(cell, TRUTH_LABELS))
        made.write_label(cell, known.astype(np.uint8), TRUTH_LABELS)
    return made


def compared(
    store: TileStore, train_on: Sequence[Cell], held: Sequence[Cell], seeds: Sequence[int]
) -> dict[str, Any]:
    """IoU of the networks on the cells held out, and their difference, with intervals."""
    tally = Tally(len(LABELS))
    with (
        tempfile.TemporaryDirectory() as temporary,
        copied(store, train_on, Path(temporary) / "tiles") as part,
    ):
        denoise_labels(part, seed=seeds[0], progress=False)
        networks = {
            name: [_network(part, of, seed) for seed in (seeds[:1] if name == "truth" else seeds)]
            for name, of in LABELS.items()
        }
    for cell in held:
        features, core = store.read_image(cell), cell.core.slices
        known = store.read_label(cell, TRUTH_LABELS)[core]
        maps = {
            name: [network(features)[0][core] for network in made]
            for name, made in networks.items()
        }
        for number in range(len(seeds)):
            turn = [made[number % len(made)] for made in maps.values()]
            seen = np.all([found != NOT_OBSERVED for found in (known, *turn)], axis=0)
            tally.add(cell.id, [outcomes(found, known, seen) for found in turn], seen)
    rows = list(LABELS)
    scored = score(tally.counts(), rows.index("qa"))

    def shown(of: Any, row: str) -> list[float]:
        found = of["iou"](rows.index(row), 0)
        return [round(float(value), 4) for value in (found.value, found.low, found.high)]

    return {
        **{name: shown(scored.scores, name) for name in LABELS},
        "difference": shown(scored.differences, "corrected"),
        "cells": [cell.id for cell in held],
        "drawn": tally.units.name,
    }


def _network(part: TileStore, labels: str, seed: int) -> Classifier:
    out = part.path / "model.keras"
    return Classifier(train(part, out=out, labels=labels, seed=seed, progress=False).network)


def judge(base: Path, season: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Both halves of a season's cells, each held out once; said as soon as it is known."""
    folder, regime = base / season.replace(" ", "_"), None if season == ALL else season
    rows = []
    with regimes.store_of(folder, regime, asked.cells, asked.seed) as store:
        cells = store.cells()
        for first in (0, 1):
            held, rest = cells[first::2], cells[1 - first :: 2]
            seeds = range(asked.seed, asked.seed + asked.networks)
            found = compared(store, rest, held, seeds)
            qa, corrected, truth, apart = (found[name] for name in (*LABELS, "difference"))
            print(
                f"{season:<16}{first + 1}  qa {qa[0]:.4f}  corrected {corrected[0]:.4f}"
                f"  {apart[0]:+.4f} ({apart[1]:+.4f} .. {apart[2]:+.4f})  truth {truth[0]:.4f}",
                file=sys.stderr,
                flush=True,
            )
            rows.append({"season": season, **found})
    return rows


def main() -> None:
    """Train, score and print the line."""
    names = [*REGIMES, ALL]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seasons", nargs="+", choices=names, default=names)
    parser.add_argument("--cells", type=regimes.grid_size, default=(2, 2))
    parser.add_argument("--networks", type=int, default=3, help="of each kind of labels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep seasons and tiles here")
    asked = parser.parse_args()
    if asked.cells[0] * asked.cells[1] < 2:
        parser.error("--cells: at least two, of which one is held out")
    if asked.networks < 1:
        parser.error("--networks: at least one")
    with tempfile.TemporaryDirectory() as temporary:
        base = (asked.keep or Path(temporary)).absolute()
        rows = [row for name in asked.seasons for row in judge(base, name, asked)]
    worst = min(rows, key=lambda row: float(row["difference"][0]))
    least, low, high = worst["difference"]
    line = {
        "name": "held_out",
        "figure": least,
        "interval": [low, high],
        "unit": f"IoU above the network of QA labels, the least of all sets ({worst['season']})",
        "against": "network of QA labels, same cells (IoU)",
        "against_figure": worst["qa"][0],
        "ratio": round(worst["corrected"][0] / worst["qa"][0], 4),
        "bar": 0,
        "holds": least > 0,
        "better_on": sum(row["difference"][0] > 0 for row in rows),
        "interval_above_0": sum(row["difference"][1] > 0 for row in rows),
        "of": len(rows),
        "sets": rows,
        "grid": list(asked.cells),
        "networks": asked.networks,
        "seed": asked.seed,
    }
    regimes.finish(line)


if __name__ == "__main__":
    main()
