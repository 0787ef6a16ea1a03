"""One training run: epochs with early stopping, validation, logs, and a checkpoint after each."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm.auto import tqdm

from water_gee.metrics import Confusion
from water_gee.training import checkpoint, history
from water_gee.training.fit import versions
from water_gee.training.patches import land_factor, lighter, on_shore
from water_gee.training.pool import Kept, Pool, capacity
from water_gee.training.sampling import Place
from water_gee.training.tiles import digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from water_gee.training.dense import Trainer
    from water_gee.training.fit import Settings
    from water_gee.training.patches import Samples
    from water_gee.training.split import Split
    from water_gee.training.tiles import Entry, Tiles

_NAMED = ("name", "keras_history", "input_layers", "output_layers")
"""Where Keras' description of a network has names of its parts."""


class Run:
    """A run; a context manager, because a thread reads ahead.

    Attributes:
        trainer: The network in training.
        rows: One an epoch done: `epoch`, `loss`, `validation_iou`, `learning_rate`, `seconds`.
        best_epoch: The epoch whose weights are kept.
        best_iou: Its validation IoU.
        checkpoint: The file that a killed run is taken up from.
    """

    def __init__(
        self,
        trainer: Trainer,
        tiles: Tiles,
        entries: Sequence[Entry],
        parts: Split,
        settings: Settings,
        target: Path,
        tensorboard: Path | None = None,
    ) -> None:
        self.trainer = trainer
        self.settings = settings
        self.rows: list[dict[str, float]] = []
        self.best: list[Any] = []
        self.best_iou, self.best_epoch = -1.0, 0
        self.checkpoint = target.with_name(f".{target.stem}.checkpoint.zip")
        self._folder, self._tensorboard = target.parent, tensorboard
        self._tiles, self._parts = tiles, parts
        by_name = {entry.name: entry for entry in entries}
        training = [by_name[name] for name in parts.training]
        water, shore, far = (
            float(sum(getattr(entry, kind) for entry in training))
            for kind in ("water", "shore", "far")
        )
        self._far = land_factor(water, shore, far, settings.sampling.land)
        validation = [by_name[name] for name in parts.validation]
        self._key = _key(trainer, training, validation, parts, settings)
        held, kept = capacity(tiles.bytes_each, len(parts.training), len(parts.validation))
        wet = [entry.name for entry in training if entry.water]
        self._pool = Pool(parts.training, wet, self._place, held, settings.seed)
        self._validation = Kept(parts.validation, self._judged, kept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._pool.__exit__(*problem)

    # ------------------------------------------------------------------ tiles

    def _place(self, name: str) -> Place:
        """A tile as it trains, in balance, with its samples found."""
        sampling = self.settings.sampling
        tile = self._parts.trains(self._tiles.read(name))
        alone = sampling.window == 1
        # Pixels drawn one by one are in balance by how they are drawn, and near shores likewise.
        place = Place.of(tile, stratified=sampling.stratified, shore=alone and sampling.shore > 1)
        weighed = tile if alone else lighter(tile, self._far)
        weight = weighed.weight
        if not alone and sampling.shore > 1:
            weight = np.where(on_shore(tile), weight * sampling.shore, weight)
        water, land = self.settings.class_weights
        weight = np.where(tile.water == 1, weight * water, weight * land)
        return replace(place, tile=replace(tile, weight=weight.astype(np.float32)))

    def _judged(self, name: str) -> Samples:
        return self._parts.validates(self._tiles.read(name))

    # ------------------------------------------------------------------ epochs

    def all(self, *, progress: bool = False) -> None:
        """Train until nothing gets better, and go back to the best weights."""
        self._resume()
        settings = self.settings
        with (
            history.Events(self._tensorboard) as events,
            tqdm(
                total=settings.epochs,
                initial=len(self.rows),
                desc="train",
                unit="epoch",
                disable=not progress,
            ) as bar,
        ):
            while len(self.rows) < settings.epochs and not self._tired():
                self._epoch(len(self.rows) + 1)
                history.write_table(self._folder, self.rows)
                events.add(self.rows[-1])
                bar.update()
                bar.set_postfix(IoU=f"{self.rows[-1]['validation_iou']:.4f}", refresh=False)
        self.trainer.restore(self.best)

    def _tired(self) -> bool:
        return len(self.rows) - self.best_epoch >= self.settings.patience

    def _epoch(self, number: int) -> None:
        started = time.perf_counter()
        rate = self.trainer.rate
        places = self._pool.epoch(number, ahead=number < self.settings.epochs)
        loss = self.trainer.learn(places, number, self.settings.steps)
        counts = [self._confusion(tile) for tile in self._validation]
        iou = sum(counts[1:], start=counts[0]).iou
        iou = iou if np.isfinite(iou) else 0.0
        self.rows.append(
            {
                "epoch": number,
                "loss": loss,
                "validation_iou": iou,
                "learning_rate": rate,
                "seconds": round(time.perf_counter() - started, 2),
            }
        )
        state = self.trainer.state()
        if iou > self.best_iou:
            self.best, self.best_iou, self.best_epoch = state, iou, number
        standing = checkpoint.Standing(self.rows, state, self.best, self.best_epoch, self.best_iou)
        checkpoint.save(self.checkpoint, self._key, standing)

    def _confusion(self, tile: Samples) -> Confusion:
        used = tile.weight > 0
        predicted = (self.trainer.probability(tile) > 0.5).astype(np.uint8)
        return Confusion.of(tile.water[used], predicted[used])

    def scores(self) -> dict[str, float]:
        """IoU of each validation cell that has water, with the weights kept."""
        return {
            tile.name: round(self._confusion(tile).iou, 4)
            for tile in self._validation
            if tile.counts[0]
        }

    def _resume(self) -> None:
        """Take up a checkpoint of the same data and settings, and no other."""
        fresh = self.trainer.state()
        standing = checkpoint.load(self.checkpoint, self._key)
        if standing is None:
            return
        try:
            self.trainer.restore(standing.best)
            self.trainer.restore(standing.state)
        except (ValueError, TypeError):
            self.trainer.restore(fresh)
            return
        self.rows, self.best = standing.rows, standing.best
        self.best_epoch, self.best_iou = standing.best_epoch, standing.best_iou


def _key(
    trainer: Trainer,
    training: Sequence[Entry],
    validation: Sequence[Entry],
    parts: Split,
    settings: Settings,
) -> str:
    """A digest of everything that weights depend on."""
    data = digest(training), digest(validation), asdict(parts)
    network = _architecture(json.loads(trainer.network.to_json()), {})
    optimizer = type(trainer.optimizer).__name__, _architecture(trainer.optimizer.get_config(), {})
    about = (*data, network, optimizer, asdict(settings), versions())
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _architecture(part: Any, names: dict[str, int], key: str = "") -> Any:
    """What Keras says of a network or an optimizer, its parts numbered instead of named.

    Names that Keras gives, as `conv2d_1`, count what the process has built before, and say nothing
    of what is computed. A `dtype` is known by its name, and keeps it.

    Args:
        part: As read from JSON.
        names: The numbers given so far.
        key: What the part stands under.
    """
    if isinstance(part, dict):
        return {
            name: value if name == "dtype" else _architecture(value, names, name)
            for name, value in part.items()
        }
    if isinstance(part, list | tuple):
        return [_architecture(each, names, key) for each in part]
    if key in _NAMED and isinstance(part, str):
        return names.setdefault(part, len(names))
    return part
