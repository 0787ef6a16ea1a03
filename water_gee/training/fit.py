"""`train()`: tiles and labels to a model with its record."""

from __future__ import annotations

import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee._version import __version__
from water_gee.errors import TrainingError
from water_gee.files import one_line
from water_gee.imagery.store import TileStore
from water_gee.training import history
from water_gee.training import split as places
from water_gee.training.augment import Augmentation
from water_gee.training.patches import check_counts, check_settings
from water_gee.training.sampling import RATE, Sampling
from water_gee.training.strata import STRATA
from water_gee.training.tiles import Tiles, digest, index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.training.dense import Precision, Way
    from water_gee.training.model import TrainedModel
    from water_gee.training.tiles import Entry

EPOCHS = 14
STEPS = 50
"""Steps an epoch: 8 windows of 32 x 32 pixels each."""

PATIENCE = 7
"""Epochs without a better validation IoU after which training ends: half of them, since the best
weights come when the learning rate falls."""

MODEL = "model.keras"
LABELS = {"corrected": "labels", "qa": "masks"}
"""What labels are called, and their folders in the store."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a network is trained with; see `train`."""

    network: str
    seed: int
    epochs: int
    steps: int
    patience: int
    rate: float
    sampling: Sampling
    augmentation: Augmentation
    class_weights: tuple[float, float]
    way: Way
    precision: Precision

    def check(self) -> None:
        """Refuse what nothing can be trained with.

        Raises:
            TrainingError: A setting is out of range.
        """
        from water_gee.training.dense import check_way

        for name in ("epochs", "steps", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise TrainingError(f"{name} must be at least 1, not {value}")
        if not 0 < self.rate <= 1:
            raise TrainingError(f"rate must be above 0 and at most 1, not {self.rate}")
        weights = self.class_weights
        if len(weights) != 2 or not all(0 < each < np.inf for each in weights):
            raise TrainingError(
                f"class_weights are two numbers above 0, of water and of land, not {weights}"
            )
        check_way(self.way, self.precision)


def train(
    store: TileStore | Path | str = "./water_gee_tiles",
    *,
    out: Path | str | None = None,
    labels: str = "corrected",
    network: str = "pixel_cnn",
    seed: int = 0,
    epochs: int = EPOCHS,
    steps: int | None = None,
    patience: int | None = None,
    rate: float = RATE,
    sampling: Sampling | None = None,
    augmentation: Augmentation | None = None,
    class_weights: tuple[float, float] = (1.0, 1.0),
    way: Way = "auto",
    precision: Precision = "float32",
    tensorboard: Path | str | None = None,
    progress: bool = True,
) -> TrainedModel:
    """Train a network on a store's tiles.

    Labels are corrected first where that was not done, or not finished. Cells for validation are
    set aside whole, and the weights of the epoch with the best validation IoU are kept. Tiles are
    streamed: any number trains in the same memory. The same store, seed and settings give the same
    weights, bit for bit, on one machine, also where training was killed and taken up again.

    Args:
        store: A tile store or its folder.
        out: The model's file; default `model.keras` in the store's folder. `history.csv` and
            `history.png` are written beside it.
        labels: `corrected`, `qa`, or a folder of the store.
        network: One of `training.network.NETWORKS`, or `MODULE:FUNCTION`.
        seed: Of weights, samples and the split; from 0 to 2 ** 32 - 1.
        epochs: At most so many.
        steps: Steps an epoch; by default 50.
        patience: Epochs without a better validation IoU after which training ends; by default 7.
        rate: The first learning rate; after a warm-up, a cosine takes it to a fiftieth.
        sampling: Which pixels a step sees: `training.sampling.Sampling`. By default 8 windows of
            32 x 32 pixels, half of them around water, the others around land by kind of ground.
        augmentation: What is changed at random: `training.augment.Augmentation`.
        class_weights: What a water and what a land pixel counts, on top of the balance.
        way: `dense`, `patches` or `auto`: whether the network runs over whole windows or over the
            chosen pixels' own; the loss is the same.
        precision: `float32`, or `bfloat16` for graphics processors that compute faster in it; on
            a processor without such arithmetic it is 2.5 times slower.
        tensorboard: A folder for TensorBoard's event files; none where not given.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        The trained model, as its file holds it.

    Raises:
        TrainingError: No tiles, no water or no land in the labels, tiles or labels that fit neither
            each other nor the recipe, other features than the eight, no such network, a setting
            out of range, or a folder for TensorBoard that cannot be written.
        LabelError: Labels had to be corrected first, and no tile has enough QA water.
        StoreError: The store cannot be read.
        ModelError: `out` does not end in `.keras`, or its folder does not exist; or a network of
            one's own cannot be used.
    """
    settings = Settings(
        network,
        seed,
        epochs,
        STEPS if steps is None else steps,
        PATIENCE if patience is None else patience,
        rate,
        Sampling() if sampling is None else sampling,
        Augmentation() if augmentation is None else augmentation,
        class_weights,
        way,
        precision,
    )
    settings.check()
    logs = None if tensorboard is None else Path(tensorboard)
    if isinstance(store, TileStore):
        return _train(store, out, labels, settings, logs, progress)
    with TileStore.open(store) as opened:
        return _train(opened, out, labels, settings, logs, progress)


def _train(
    store: TileStore,
    out: Path | str | None,
    labels: str,
    settings: Settings,
    tensorboard: Path | None,
    progress: bool,
) -> TrainedModel:
    from water_gee.training import model, scaling
    from water_gee.training.dense import Trainer
    from water_gee.training.run import Run

    check_settings(store.recipe, settings.seed)
    target = Path(out) if out is not None else store.path / MODEL
    model.check_target(target)
    if tensorboard is not None:
        _check_logs(tensorboard)
    # Before anything long: a network that cannot be is refused at once.
    trainer = Trainer(
        len(store.recipe.features),
        settings.seed,
        settings.epochs * settings.steps,
        settings.rate,
        network=settings.network,
        way=settings.way,
        precision=settings.precision,
        sampling=settings.sampling,
        augmentation=settings.augmentation,
    )
    if labels == "corrected":
        _correct_missing(store, settings.seed, progress)
    started = time.perf_counter()
    tiles = Tiles(store, LABELS.get(labels, labels), trainer.halo)
    entries = [entry for entry in index(tiles, progress=progress) if sum(entry.counts)]
    water, land = (sum(counts) for counts in zip(*(e.counts for e in entries), strict=True))
    check_counts(water, land, len(entries))
    parts = places.split(entries, settings.seed, tiles.read, tiles.margin)
    with Run(trainer, tiles, entries, parts, settings, target, tensorboard) as run:
        run.all(progress=progress)
        record = _record(entries, parts, settings) | {
            "labels": labels,
            "epochs": len(run.rows),
            "best_epoch": run.best_epoch,
            "validation_iou": run.best_iou,
            "curve": run.rows,
            "scores_by_cell": run.scores(),
            "seconds": round(time.perf_counter() - started, 1),
        }
        network = scaling.finish(run.trainer.finished())
        trained = model.save(model.TrainedModel(network, store.recipe, record, None), target)
        history.write(target.parent, run.rows, run.best_epoch)
        run.checkpoint.unlink(missing_ok=True)
    return trained


def _check_logs(folder: Path) -> None:
    """Refuse a folder that no log can be written into, and make it where it is not there yet.

    Raises:
        TrainingError: It cannot be made, or no file can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TrainingError(
            f"cannot write TensorBoard's files into {folder}: {one_line(error)}"
        ) from error


def _record(entries: Sequence[Entry], parts: places.Split, settings: Settings) -> dict[str, Any]:
    """What is known before training begins."""
    from water_gee.training.scaling import CENTER, SCALE

    ground = np.sum([entry.strata for entry in entries], axis=0)
    return {
        "network": settings.network,
        "cells": [entry.name for entry in entries],
        "validation_cells": list(parts.validation),
        "validated_by": parts.by,
        "seed": settings.seed,
        "settings": asdict(settings) | {"class_weights": list(settings.class_weights)},
        "normalisation": {"center": CENTER.tolist(), "scale": SCALE.tolist()},
        "samples": {
            "water": sum(entry.water for entry in entries),
            "land": sum(entry.land for entry in entries),
            "land_by_stratum": dict(zip(STRATA, ground.tolist(), strict=True)),
        },
        "data_sha256": digest(entries),
        "versions": versions(),
    }


def _correct_missing(store: TileStore, seed: int, progress: bool) -> None:
    """Correct labels where there are none, where that was not finished, or tiles came since.

    Labels that somebody else wrote are left alone.
    """
    from water_gee.training.labels import denoise_labels, settings_of, unfinished

    cells = store.cells()
    given = settings_of(store)
    if given is None and not unfinished(store) and any(store.has_label(cell) for cell in cells):
        return
    if cells:
        method, kept = given if given is not None else ("evidence", seed)
        denoise_labels(store, method=method, seed=kept, progress=progress)


def versions() -> dict[str, str]:
    """Of what weights depend on."""
    from water_gee.training.backend import keras, tf

    return {
        "water_gee": __version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
