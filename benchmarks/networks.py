"""What the network that sees 31 x 31 pixels costs and brings, against the published one.

python benchmarks/networks.py [--stores FOLDER ...] [--steps N] [--labels synthetic_truth]

Prints one line of JSON: bytes of the expression against those of `pixel_cnn`, with parameters,
calls, work and processor time. With tile stores that hold the truth as labels (those of
`benchmarks/regimes.py --keep FOLDER`, or of `water-gee demo`) both networks are trained on half of
the cells of all stores together and scored on the others, then the other way round; every pixel
whose 7 x 7 window was observed counts, for both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.costs import estimate
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.mapping.classifier import Classifier
from water_gee.metrics import Confusion
from water_gee.training import network as networks
from water_gee.training.dense import Trainer
from water_gee.training.model import TrainedModel
from water_gee.training.scaling import finish
from water_gee.training.tiles import Tiles

if TYPE_CHECKING:
    from water_gee.training.patches import Samples

NAMES = ("pixel_cnn", "context_cnn")
BAR = 0.75
"""The far network's expression, of the published one's bytes."""

SIDE = 512
PACKAGES = ("earthengine-api", "keras", "numpy", "tensorflow")


def cost(name: str) -> dict[str, Any]:
    """Size, work and speed of a network with random weights."""
    network = finish(networks.build(name))
    found = estimate(TrainedModel(network, Recipe(), {}))
    classifier = Classifier(network)
    around = classifier.halo
    values = np.zeros((8, SIDE + 2 * around, SIDE + 2 * around), np.float32)
    times = []
    for _ in range(5):
        started = time.process_time()
        classifier(values)
        times.append(time.process_time() - started)
    forms = {
        form: {"bytes": each.size.bytes, "calls": each.size.calls, "nesting": each.size.nesting}
        for form, each in found.costs.items()
    }
    return {
        "window": 2 * around + 1,
        "parameters": network.count_params(),
        "multiply_adds": found.multiply_adds,
        "forms": forms,
        "map_cpu_seconds": round(min(times), 3),
    }


def halves(folders: list[Path], labels: str, around: int) -> list[list[tuple[str, Samples]]]:
    """The cells of every store, every other one in another half, each with its store's name."""
    parts: list[list[tuple[str, Samples]]] = [[], []]
    for folder in folders:
        with TileStore.open(folder) as store:
            tiles = Tiles(store, labels, around)
            for number, name in enumerate(tiles.names):
                parts[number % 2].append((folder.name, tiles.read(name)))
    return parts


def scores(name: str, folders: list[Path], options: argparse.Namespace) -> dict[str, Any]:
    """IoU of a network on cells it was not trained on, of each store and of all."""
    around = networks.halo(networks.build(name))
    parts = halves(folders, options.labels, around)
    counts: dict[str, list[Confusion]] = {}
    seconds = 0.0
    for held in (0, 1):
        started = time.process_time()
        trainer = Trainer(8, options.seed, options.steps, network=name)
        trainer.epoch([tile for _, tile in parts[1 - held]], 1, options.steps)
        seconds += time.process_time() - started
        for store, tile in parts[held]:
            used = tile.weight > 0
            said = (trainer.probability(tile) >= 0.5).astype(np.uint8)
            counts.setdefault(store, []).append(Confusion.of(tile.water[used], said[used]))
    total = sum(
        (each for found in counts.values() for each in found[1:]), start=Confusion(0, 0, 0, 0)
    )
    total = sum((found[0] for found in counts.values()), start=total)
    each = {store: round(sum(c[1:], start=c[0]).iou, 4) for store, c in counts.items()}
    return {
        "iou": round(total.iou, 4),
        "iou_by_store": each,
        "train_cpu_seconds": round(seconds, 1),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=Path, nargs="*", default=[])
    parser.add_argument("--labels", default="synthetic_truth")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = {name: cost(name) for name in NAMES}
    if options.stores:
        for name in NAMES:
            found[name] |= scores(name, options.stores, options)
            print(name, json.dumps(found[name]), file=sys.stderr)
    figures = [found[name]["forms"]["kernels"]["bytes"] for name in reversed(NAMES)]
    ratio = figures[0] / figures[1]
    line = {
        "name": "networks",
        "figure": figures[0],
        "unit": "bytes of the expression",
        "against": NAMES[0],
        "against_figure": figures[1],
        "ratio": round(ratio, 3),
        "bar": BAR,
        "holds": ratio <= BAR,
        "networks": found,
        "steps": options.steps if options.stores else None,
        "seed": options.seed,
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    print(json.dumps(line))
    return 0 if line["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
