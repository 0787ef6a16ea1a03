"""How fast does a network learn from whole windows, against single patches, and in what memory?

    python benchmarks/training.py [--samples 48000] [--cells 8] [--memory] [--tiles 2000]

Prints one JSON line, of three figures:

- the time in which training on windows reaches the validation IoU of patch training, of the time
  that needs: batches of 16 (the published way) and of 4,096, ten epochs over the same patches;
- labelled pixels a second where all pixels are used, windows to batches of 4,096 patches, and the
  difference of the loss on the same pixels;
- `--memory`, instead of both: peak of resident memory while a store of 2,000 tiles trains.

Patches are cut out before their clock starts; windows are drawn while theirs runs. Judging on the
held-out cells is in nobody's time. The ground is made here: lakes, rivers, fields, forest, bare and
built-up land on hills with shaded slopes, mixed at edges at three times the resolution.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from scipy.ndimage import gaussian_filter
from shapely.geometry import box

from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.metrics import Confusion
from water_gee.training.augment import Augmentation
from water_gee.training.patches import balanced, samples
from water_gee.training.sampling import Batch, Draw, Place, Sampling
from water_gee.training.strata import strata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from water_gee.training.dense import Trainer
    from water_gee.training.patches import Samples

BARS = {"of_batch_16": 1 / 20, "of_batch_4096": 1.0, "pixel_rate": 5.0, "loss": 1e-4}
MEMORY_BAR = 2e9
PASSES = 10
LAND_TO_WATER = 5
"""The published way: at most five times as much land as water, ten epochs."""
WINDOWS = Sampling(window=16, windows=8)
STEPS = 600
"""Our way: 2,048 pixels a step, in eight windows, with the trainer's own optimizer and rate."""
PUBLISHED_RATE = 1e-3
"""Of the patches, with Adam, which the published way trains with, though at 1e-5. A cosine ends
both."""
JUDGED, EVERY = 20, 10
"""Times that patches are judged, evenly; steps of ours between two judgements."""
PACKAGES = ("keras", "tensorflow", "numpy", "rasterio")
SIDE = 507

# Surface reflectance: blue, green, red, NIR, SWIR1.
SPECTRA = {
    "deep": (0.04, 0.05, 0.03, 0.02, 0.01),
    "turbid": (0.08, 0.12, 0.13, 0.07, 0.03),
    "forest": (0.02, 0.04, 0.03, 0.25, 0.12),
    "field": (0.05, 0.09, 0.08, 0.30, 0.22),
    "bare": (0.10, 0.14, 0.19, 0.26, 0.34),
    "built": (0.10, 0.12, 0.14, 0.19, 0.20),
}

CHILD = """
import json, sys, time, warnings
from water_gee.training.fit import train
start = time.perf_counter()
made = train(sys.argv[1], out=sys.argv[2], labels="qa", epochs=int(sys.argv[3]), progress=False)
seconds = time.perf_counter() - start
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"seconds": round(seconds), "peak": int(peak[0]) * 1024,
                  "training_seconds": sum(row["seconds"] for row in made.record["curve"]),
                  "tiles": len(made.record["cells"])}))
"""


def ground(seed: int, side: int = SIDE) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Eight features of a made-up tile, and where more than half of a pixel is water."""
    fine, rng = 3 * side, np.random.default_rng(seed)

    def forms(size: float) -> npt.NDArray[Any]:
        small = rng.normal(size=(fine // 3 + 1, fine // 3 + 1))
        form = gaussian_filter(small, size, mode="wrap")
        form = np.kron(form, np.ones((3, 3)))[:fine, :fine]
        return gaussian_filter(form, 2) / form.std()

    hills, lakes, cover, bends = forms(40), forms(12), forms(8), forms(25)
    wet = (lakes - 0.8 * hills > 2.0) | (np.abs(bends - 0.3) < 0.02 + 0.02 * (forms(40) > 0))
    kinds = list(SPECTRA)
    land = np.select([cover > 1.5, cover > 0.7, cover < -1.2], [5, 4, 3], 2)
    codes = np.where(wet, np.where(forms(30) > 0.5, 1, 0), land)
    table = np.array([SPECTRA[kind] for kind in kinds])
    elevation = np.where(wet, np.median(hills), np.maximum(hills, np.median(hills))) * 250
    south, east = np.gradient(gaussian_filter(elevation, 3), 10.0)
    light = np.clip(1 - 1.6 * (east * 0.8 + south * 0.6), 0.12, 1.4)
    bands = table[codes] * (light * rng.normal(1, 0.08, (fine, fine)))[..., None]
    bands = bands.reshape(side, 3, side, 3, 5).mean(axis=(1, 3))
    bands = np.maximum(
        bands * (1 + 0.1 * forms_like(rng, side)) + rng.normal(0, 0.004, bands.shape), 0
    )
    share = wet.reshape(side, 3, side, 3).mean(axis=(1, 3))
    height = elevation.reshape(side, 3, side, 3).mean(axis=(1, 3)) / 4000
    counts = np.round(np.moveaxis(bands, -1, 0) / 2.75e-5) * 2.75e-5
    mndwi = (counts[1] - counts[4]) / np.maximum(counts[1] + counts[4], 1e-6)
    values = [*counts, mndwi, line(mndwi), height]
    return np.stack(values).astype(np.float32), (share > 0.5).astype(np.uint8)


def forms_like(rng: np.random.Generator, side: int) -> npt.NDArray[Any]:
    """Haze: broad, one factor for all bands."""
    form = gaussian_filter(rng.normal(size=(side, side)), 30, mode="wrap")
    return (form / form.std())[..., None]


def line(index: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The line feature: the largest of four 5 x 5 responses."""
    padded = np.pad(index, 2, mode="edge")
    rows, cols = index.shape
    ends = [((0, 2), (4, 2)), ((2, 0), (2, 4)), ((0, 0), (4, 4)), ((0, 4), (4, 0))]
    cut = {(r, c): padded[r : r + rows, c : c + cols] for pair in ends for r, c in pair}
    return np.max([2 * index - cut[one] - cut[other] for one, other in ends], axis=0)


# ------------------------------------------------------------------------------------------ speed


@dataclass(frozen=True, slots=True)
class Reached:
    """Where training is: seconds spent on steps, of the wall clock and of cores, and its score."""

    seconds: float
    core_seconds: float
    iou: float


def reach(
    trainer: Trainer, batches: Iterator[Batch], judged: Sequence[Samples], every: int
) -> Iterator[Reached]:
    """Train, and judge after every so many steps."""
    spent = core = 0.0
    trainer.step(next(batches))  # builds the graph, in nobody's time
    while True:
        start, core_start, done = time.perf_counter(), time.process_time(), 0
        for batch in itertools.islice(batches, every):
            trainer.step(batch)
            done += 1
        spent += time.perf_counter() - start
        core += time.process_time() - core_start
        if not done:
            return
        yield Reached(round(spent, 2), round(core, 2), round(iou(trainer, judged), 4))


def iou(trainer: Trainer, judged: Sequence[Samples]) -> float:
    counts = [
        Confusion.of(tile.water, (trainer.probability(tile) > 0.5).astype(np.uint8))
        for tile in judged
    ]
    return float(sum(counts[1:], start=counts[0]).iou)


def in_patches(whole: Batch, size: int) -> Iterator[Batch]:
    """Ten passes over the same patches, shuffled anew each time."""
    generator = np.random.default_rng(0)
    for _ in range(PASSES):
        order = generator.permutation(len(whole.features))
        for start in range(0, len(order) - size + 1, size):
            part = order[start : start + size]
            yield Batch(whole.features[part], whole.water[part], whole.weight[part])


def endless(draw: Draw) -> Iterator[Batch]:
    """Windows drawn while the clock runs."""
    generator = np.random.default_rng(0)
    while True:
        yield draw.batch(generator)


def times(samples_: int, count: int, make: Callable[..., Trainer]) -> dict[str, Any]:
    """Seconds to reach what patches reach, in all three ways."""
    tiles = []
    for seed in range(count):
        features, water = ground(seed)
        tiles.append(samples(str(seed), features, water, stratum=strata(features)))
    held, training = tiles[: count // 4], tiles[count // 4 :]
    published = Sampling(
        window=1, windows=samples_, water=1 / (1 + LAND_TO_WATER), stratified=False
    )
    still = Augmentation(turns=False, elevation=0)
    drawn = Draw([Place.of(tile) for tile in training], published, still)
    whole = drawn.batch(np.random.default_rng(0))
    found: dict[str, Any] = {}
    weighed = [Place.of(tile) for tile in balanced(training)]
    for size in (4096, 16):
        steps = PASSES * (samples_ // size)
        trainer = published_optimizer(make(steps=steps, rate=PUBLISHED_RATE))
        every = max(1, steps // JUDGED)
        rival = max(reach(trainer, in_patches(whole, size), held, every), key=lambda r: r.iou)
        trainer = make(steps=STEPS, sampling=WINDOWS)
        windows = itertools.islice(endless(trainer.draws(weighed)), STEPS)
        for ours in reach(trainer, windows, held, EVERY):
            if ours.iou >= rival.iou:
                break
        ratio = round(ours.seconds / rival.seconds, 4) if ours.iou >= rival.iou else None
        found[f"batch_{size}"] = asdict(rival)
        found[f"windows_to_{size}"] = asdict(ours)
        found[f"of_batch_{size}"] = ratio
    return found


def published_optimizer(trainer: Trainer) -> Trainer:
    """The same network in the hands of Adam."""
    from water_gee.training.backend import keras

    rated: Any = trainer._schedule
    trainer.optimizer = keras.optimizers.Adam(rated)
    trainer.optimizer.build(trainer.network.trainable_variables)
    return trainer


def rates(make: Callable[..., Trainer], seconds: float = 3.0) -> dict[str, Any]:
    """Labelled pixels a second in both ways, and how far their losses are apart."""
    features, water = ground(0)
    tile = samples("0", features, water)
    trainer = make(steps=1000)
    everything = Sampling(window=64, windows=8)
    batch = Draw([Place.of(tile)], everything, Augmentation()).batch(np.random.default_rng(0))
    patches = batch.patches()
    parts = [
        Batch(*(getattr(patches, name)[start : start + 4096]
                for name in ("features", "water", "weight")))
        for start in range(0, len(patches.features), 4096)
    ]  # fmt: skip
    losses = [float(trainer._loss(b.features, b.water, b.weight, False)) for b in (batch, *parts)]
    weights = [part.weight.sum() for part in parts]
    apart = abs(losses[0] - float(np.average(losses[1:], weights=weights)))

    def speed(one: Batch) -> float:
        trainer.step(one)
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            trainer.step(one)
            done += one.weight.size
        return done / (time.perf_counter() - start)

    trainer.way = "dense"
    turns = [(speed(batch), speed(parts[0])) for _ in range(3)]
    dense, single = (float(np.median(column)) for column in zip(*turns, strict=True))
    ratio = float(np.median([one / other for one, other in turns]))
    return {"windows": round(dense), "patches": round(single), "ratio": round(ratio, 2),
            "loss_apart": float(f"{apart:.2g}")}  # fmt: skip


# ----------------------------------------------------------------------------------------- memory


def memory(folder: Path, tiles: int, epochs: int) -> dict[str, Any]:
    """Peak of resident memory of a training process on so many tiles."""
    recipe = Recipe(years=(2020,))
    across = int(np.ceil(np.sqrt(tiles))) * 0.135
    places = list(cells_for(box(10, 40, 10 + across, 40 + across), recipe))[:tiles]
    kinds = min(8, tiles)
    with TileStore.open(folder / "store", recipe, create=True) as store:
        for seed, cell in enumerate(places[:kinds]):
            store.write_tile(cell, *ground(seed))
        rows = {row.cell: row for row in store.rows()}
    files = {name: [(folder / "store" / name / f"{cell.id}.tif").read_bytes()
                    for cell in places[:kinds]] for name in ("images", "masks")}  # fmt: skip
    with sqlite3.connect(folder / "store" / "manifest.sqlite") as manifest:
        for number, cell in enumerate(places[kinds:]):
            for name, known in files.items():
                path = folder / "store" / name / f"{cell.id}.tif"
                path.write_bytes(known[number % kinds])
                with rasterio.open(path, "r+") as target:
                    target.transform = cell.grid.transform
            like = rows[places[number % kinds].id]
            manifest.execute(
                "INSERT INTO tiles VALUES (?, ?, ?, ?, ?, ?)",
                (cell.id, like.state, like.water, like.valid, like.pixels, like.written),
            )
    manifest.close()
    command = [sys.executable, "-c", CHILD, str(folder / "store"), str(folder / "a.keras")]
    done = subprocess.run([*command, str(epochs)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=48_000, help="patches of one epoch")
    parser.add_argument("--cells", type=int, default=8, help="a quarter of them is held out")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--tiles", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=6, help="of the run whose memory is measured")
    parser.add_argument("--folder", type=Path, help="for the tiles; else a temporary one")
    asked = parser.parse_args()
    if asked.memory:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            found = memory(Path(folder), asked.tiles, asked.epochs)
        figures = {
            "figure": round(found["peak"] / 1e9, 3),
            "unit": f"GB of resident memory at most, {asked.tiles} tiles",
            "against": "the bar",
            "against_figure": MEMORY_BAR / 1e9,
            "ratio": round(found["peak"] / MEMORY_BAR, 3),
            "bar": MEMORY_BAR / 1e9,
            "holds": found["peak"] <= MEMORY_BAR,
            **found,
        }
    else:
        from water_gee.training.dense import Trainer

        def make(steps: int, **settings: Any) -> Trainer:
            return Trainer(8, 0, steps, **settings)

        rate = rates(make)
        found = times(asked.samples, asked.cells, make)
        first, second = (found[f"of_batch_{size}"] for size in (16, 4096))
        figures = {
            "figure": first,
            "unit": "of the seconds that batches of 16 patches take to their best validation IoU",
            "against": "batches of 16 patches, seconds",
            "against_figure": found["batch_16"]["seconds"],
            "ratio": first,
            "bar": BARS["of_batch_16"],
            "holds": first is not None
            and second is not None
            and first <= BARS["of_batch_16"]
            and second <= BARS["of_batch_4096"]
            and rate["ratio"] >= BARS["pixel_rate"]
            and rate["loss_apart"] <= BARS["loss"],
            "bars": BARS,
            **found,
            "pixels_per_second": rate,
            "samples": asked.samples,
            "cells": asked.cells,
        }
    line_ = {
        "name": "training",
        **figures,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    print(json.dumps(line_))
    sys.exit(0 if line_["holds"] else 1)


if __name__ == "__main__":
    main()
