"""`train()`: tiles and labels to a model with its record."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import time
import warnings
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from water_gee._version import __version__
from water_gee.errors import TrainingError, WaterGeeWarning
from water_gee.files import write_bytes
from water_gee.imagery.store import TileStore
from water_gee.metrics import Confusion
from water_gee.training import history
from water_gee.training.patches import balanced, check_classes, check_settings, samples, split

if TYPE_CHECKING:
    from water_gee.imagery.grid import Cell
    from water_gee.training.dense import Trainer
    from water_gee.training.model import TrainedModel
    from water_gee.training.patches import Samples

EPOCHS = 14
STEPS = 25
"""Steps an epoch: 8 windows of 64 x 64 pixels each."""

PATIENCE = 4
"""Epochs without a better validation IoU after which training ends."""

MOST_CELLS = 256
"""Cells that are read for training, about 10 MB each; more are not needed for 38,514 weights."""

MODEL = "model.keras"
LABELS = {"corrected": "labels", "qa": "masks"}
"""What labels are called, and their folders in the store."""


def train(
    store: TileStore | Path | str = "./water_gee_tiles",
    *,
    out: Path | str | None = None,
    labels: str = "corrected",
    seed: int = 0,
    epochs: int = EPOCHS,
    progress: bool = True,
) -> TrainedModel:
    """Train the network on a store's tiles.

    Labels are corrected first where that was not done, or not finished. Water and land count
    alike; cells for validation are set aside whole, and the weights of the epoch with the best
    validation IoU are kept. The same store and seed give the same weights, bit for bit, on one
    machine, also where training was killed and taken up again.

    Args:
        store: A tile store or its folder.
        out: The model's file; default `model.keras` in the store's folder. `history.csv` and
            `history.png` are written beside it.
        labels: `corrected`, `qa`, or a folder of the store.
        seed: Of weights, samples and the split; from 0 to 2 ** 32 - 1.
        epochs: At most so many, of 25 steps each.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        The trained model, as its file holds it.

    Raises:
        TrainingError: No tiles, no water or no land in the labels, other features than the eight,
            or a setting out of range.
        LabelError: Labels had to be corrected first, and no tile has enough QA water.
        StoreError: The store cannot be read.
        ModelError: `out` does not end in `.keras`, or its folder does not exist.
    """
    if epochs < 1:
        raise TrainingError(f"epochs must be at least 1, not {epochs}")
    if not isinstance(store, TileStore):
        with TileStore.open(store) as opened:
            return train(
                opened, out=out, labels=labels, seed=seed, epochs=epochs, progress=progress
            )
    from water_gee.training import model
    from water_gee.training.scaling import fold

    check_settings(store.recipe, seed)
    target = Path(out) if out is not None else store.path / MODEL
    model.check_target(target)
    if labels == "corrected":
        _correct_missing(store, seed, progress)
    started = time.perf_counter()
    tiles = load_samples(store, LABELS.get(labels, labels), seed)
    check_classes(tiles)
    training, validation = split(tiles, seed)
    training = balanced(training)
    run = _Fit.of(training, validation, seed, epochs, target, progress)
    run.all()
    fold(run.trainer.network)
    record = {
        "cells": [tile.name for tile in tiles],
        "validation_cells": [tile.name for tile in validation],
        "validated_by": run.validated_by(),
        "labels": labels,
        "seed": seed,
        "epochs": len(run.rows),
        "best_epoch": run.best_epoch,
        "validation_iou": run.best_iou,
        "scores_by_cell": run.scores(),
        "samples": {
            "water": sum(tile.counts[0] for tile in tiles),
            "land": sum(tile.counts[1] for tile in tiles),
        },
        "data_sha256": data_digest(tiles),
        "seconds": round(time.perf_counter() - started, 1),
        "versions": _versions(),
    }
    trained = model.save(
        model.TrainedModel(run.trainer.network, store.recipe, record, None), target
    )
    history.write(target.parent, run.rows, run.best_epoch)
    run.checkpoint.unlink(missing_ok=True)
    return trained


def _correct_missing(store: TileStore, seed: int, progress: bool) -> None:
    """Correct labels where there are none, where that was not finished, or tiles came since.

    Labels that somebody else wrote are left alone.
    """
    from water_gee.training.labels import denoise_labels, seed_of, unfinished

    cells = store.cells()
    given = seed_of(store)
    if given is None and not unfinished(store) and any(store.has_label(cell) for cell in cells):
        return
    if cells:
        denoise_labels(store, seed=seed if given is None else given, progress=progress)


def load_samples(store: TileStore, folder: str, seed: int = 0) -> list[Samples]:
    """Read a store's tiles as samples, those without one usable pixel left out.

    A tile without a label in `folder` brings its QA label: tiles with hardly any water are not
    corrected, and are kept for their land. Of more than 256 cells, 256 chosen by the seed are read,
    and a warning says so: all of them are held in memory.

    Raises:
        TrainingError: There is no tile, or none with a usable pixel.
    """
    cells = store.cells()
    if not cells:
        raise TrainingError(
            f"{store.path} holds no tiles with observed pixels; download_tiles() fetches them"
        )
    if folder != "masks" and not any(store.has_label(cell, folder) for cell in cells):
        raise TrainingError(f"{store.path} has no labels in {folder!r}")
    tiles = []
    for cell in _spread(cells, seed):
        corrected = folder != "masks" and store.has_label(cell, folder)
        label = store.read_label(cell, folder) if corrected else store.read_mask(cell)
        tile = samples(cell.id, store.read_image(cell), label)
        if tile.weight.any():
            tiles.append(tile)
    if not tiles:
        raise TrainingError(
            f"{store.path}: no tile has a pixel whose 7 x 7 window was observed and labelled; "
            "take more months or years"
        )
    return tiles


def _spread(cells: list[Cell], seed: int) -> list[Cell]:
    if len(cells) <= MOST_CELLS:
        return cells
    warnings.warn(
        f"training reads {MOST_CELLS} of {len(cells)} cells, chosen by the seed",
        WaterGeeWarning,
        stacklevel=4,
    )
    chosen = np.random.default_rng(seed).choice(len(cells), MOST_CELLS, replace=False)
    return [cells[index] for index in sorted(chosen)]


def data_digest(tiles: list[Samples]) -> str:
    """SHA-256 over features, labels and weights of the samples, in order."""
    total = hashlib.sha256()
    for tile in tiles:
        total.update(tile.name.encode())
        for part in (tile.features, tile.water, tile.weight):
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def _versions() -> dict[str, str]:
    from water_gee.training.backend import keras, tf

    return {
        "water_gee": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(slots=True)
class _Fit:
    """Epochs with early stopping, and a checkpoint after each."""

    trainer: Trainer
    training: list[Samples]
    validation: list[Samples]
    epochs: int
    checkpoint: Path
    key: str
    progress: bool
    rows: list[dict[str, float]] = field(default_factory=list)
    best: list[Any] = field(default_factory=list)
    best_iou: float = -1.0
    best_epoch: int = 0

    @classmethod
    def of(
        cls,
        training: list[Samples],
        validation: list[Samples],
        seed: int,
        epochs: int,
        target: Path,
        progress: bool,
    ) -> _Fit:
        from water_gee.training.dense import Trainer

        trainer = Trainer(training[0].features.shape[-1], seed, epochs * STEPS)
        data = data_digest(training), data_digest(validation)
        parts = (*data, seed, epochs, STEPS, PATIENCE, _versions())
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        checkpoint = target.with_name(f".{target.stem}.checkpoint.zip")
        return cls(trainer, training, validation, epochs, checkpoint, key, progress)

    def all(self) -> None:
        """Train until nothing gets better, and go back to the best weights."""
        self._resume()
        with tqdm(
            total=self.epochs,
            initial=len(self.rows),
            desc="train",
            unit="epoch",
            disable=not self.progress,
        ) as bar:
            while len(self.rows) < self.epochs and not self._tired():
                self._epoch(len(self.rows) + 1)
                bar.update()
                bar.set_postfix(IoU=f"{self.rows[-1]['validation_iou']:.4f}", refresh=False)
        self.trainer.restore(self.best)

    def _tired(self) -> bool:
        return len(self.rows) - self.best_epoch >= PATIENCE

    def _epoch(self, number: int) -> None:
        started = time.perf_counter()
        loss = self.trainer.epoch(self.training, number, STEPS)
        counts = [_confusion(self.trainer, tile) for tile in self.validation]
        iou = sum(counts[1:], start=counts[0]).iou
        iou = iou if np.isfinite(iou) else 0.0
        self.rows.append(
            {
                "epoch": number,
                "loss": loss,
                "validation_iou": iou,
                "seconds": round(time.perf_counter() - started, 2),
            }
        )
        state = self.trainer.state()
        if iou > self.best_iou:
            self.best, self.best_iou, self.best_epoch = state, iou, number
        self._save(state)

    def scores(self) -> dict[str, float]:
        """IoU of each validation cell that has water, with the weights kept."""
        return {
            tile.name: round(_confusion(self.trainer, tile).iou, 4)
            for tile in self.validation
            if tile.counts[0]
        }

    def validated_by(self) -> str:
        """What validated: whole `cells`, `blocks` inside them, or the `training` pixels."""
        names = {tile.name for tile in self.training}
        shared = [tile for tile in self.validation if tile.name in names]
        if not shared:
            return "cells"
        used = {tile.name: tile.weight > 0 for tile in self.training}
        apart = not any((used[tile.name] & (tile.weight > 0)).any() for tile in shared)
        return "blocks" if apart else "training"

    def _save(self, state: list[Any]) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as members:
            about = {"key": self.key, "rows": self.rows, "best_epoch": self.best_epoch}
            members.writestr("about.json", json.dumps({**about, "best_iou": self.best_iou}))
            for name, values in (("state", state), ("best", self.best)):
                packed = io.BytesIO()
                np.savez(packed, *values)
                members.writestr(f"{name}.npz", packed.getvalue())
        write_bytes(self.checkpoint, archive.getvalue())

    def _resume(self) -> None:
        """Take up a checkpoint of the same data and settings, and no other."""
        fresh = self.trainer.state()
        try:
            with zipfile.ZipFile(self.checkpoint) as members:
                about = json.loads(members.read("about.json"))
                if about["key"] != self.key:
                    return
                state, best = (_arrays(members.read(f"{name}.npz")) for name in ("state", "best"))
            rows, best_epoch, best_iou = (
                about[name] for name in ("rows", "best_epoch", "best_iou")
            )
            self.trainer.restore(best)
            self.trainer.restore(state)
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
            self.trainer.restore(fresh)
            return
        self.rows, self.best = rows, best
        self.best_epoch, self.best_iou = best_epoch, best_iou


def _arrays(packed: bytes) -> list[Any]:
    with np.load(io.BytesIO(packed)) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]


def _confusion(trainer: Trainer, tile: Samples) -> Confusion:
    used = tile.weight > 0
    predicted = (trainer.probability(tile) > 0.5).astype(np.uint8)
    return Confusion.of(tile.water[used], predicted[used])
