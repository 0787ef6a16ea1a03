"""QA labels to corrected labels.

The published method trains a network on each tile's QA water, keeps what it is confident of, and
trains again, three rounds. Here one network learns from all tiles at once, in seconds a tile, and
it does not learn from the QA label alone: pixels that the bands themselves prove to be open water
or dry land (`evidence`) count in full and overrule it; all others count half. In a second round
the pixels that the network doubts count less. Where it ends up sure, its word is the label.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from water_gee._version import __version__
from water_gee.errors import LabelError, TrainingError
from water_gee.files import write_bytes
from water_gee.imagery.store import TileStore
from water_gee.training.evidence import gather
from water_gee.training.patches import MARGIN, NOT_OBSERVED, balanced, check_settings, samples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from water_gee.imagery.grid import Cell
    from water_gee.training.patches import ByteArray, FloatArray, Samples

FEWEST_WATER = 100
"""QA water pixels below which a tile is not corrected: there the bit is mostly noise."""

ROUNDS = (100, 50)
"""Training steps of each round."""

DOUBTED = 0.5
"""Weight of a QA label that the bands neither prove nor refute."""

CONFIDENT = 0.9
"""Probability of a class from which a label of the first round counts in full in the second."""

MOST_TILES = 64
"""Tiles the shared network learns from; the others only get labels from it."""

RECORD = "labels.json"


@dataclass(frozen=True, slots=True)
class _Tile:
    cell: Cell
    start: Samples
    sure: ByteArray
    """uint8 `(row, col)` without margin: 0 land, 1 water, 255 not sure."""


def denoise_labels(
    store: TileStore | Path | str = "./water_gee_tiles", *, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Correct a store's QA labels; the results stand in `labels/` of the store.

    Tiles with fewer than 100 QA-water pixels keep their QA label and get none of their own, as the
    published method skips them. Not observed stays 255. A store corrected with the same seed is
    left as it is; a killed call, started again, makes the same labels.

    Args:
        store: A tile store or its folder.
        seed: Of the network's weights and samples; from 0 to 2 ** 32 - 1.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        What was done, as the store's `labels.json` holds it: `cells` (id -> share of its observed
        pixels that changed to water and to land), `skipped`, `seed`, `seconds`.

    Raises:
        LabelError: No tile has enough QA water, or no land.
        TrainingError: Other features than the eight, or a seed out of range.
        StoreError: The store cannot be read or written.
    """
    if not isinstance(store, TileStore):
        with TileStore.open(store) as opened:
            return denoise_labels(opened, seed=seed, progress=progress)
    check_settings(store.recipe, seed)
    started = time.perf_counter()
    cells, skipped = _choose(store)
    key = _key(store, cells, seed)
    standing = _standing(store, cells, key)
    if standing is not None:
        return standing
    trainer = _train(store, _spread(cells, seed), seed, progress)
    # From here on labels of two corrections may stand side by side, until the record is written.
    write_bytes(store.path / RECORD, json.dumps({"unfinished": key, "seed": seed}).encode())
    changes: dict[str, dict[str, float]] = {}
    for cell in tqdm(cells, desc="labels", unit="tile", disable=not progress):
        tile = _read(store, cell)
        qa = store.read_mask(cell)
        label = _label(tile, trainer.probability(tile.start), qa)
        store.write_label(cell, label)
        changes[cell.id] = _changes(qa, label)
    record = {
        "key": key,
        "version": __version__,
        "seed": seed,
        "cells": changes,
        "skipped": skipped,
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_bytes(store.path / RECORD, json.dumps(record, indent=1).encode())
    return record


def _choose(store: TileStore) -> tuple[list[Cell], list[str]]:
    """Cells to correct, and the ids of those with too little water."""
    water = {row.cell: row.water for row in store.rows()}
    cells = store.cells()
    if not cells:
        raise LabelError(
            f"{store.path} holds no tiles with observed pixels; download_tiles() fetches them"
        )
    chosen = [cell for cell in cells if water[cell.id] >= FEWEST_WATER]
    if not chosen:
        most = max(water[cell.id] for cell in cells)
        raise LabelError(
            f"{store.path}: none of its {len(cells)} tile(s) has {FEWEST_WATER} QA-water pixels "
            f"(the most is {most}): there is nothing to learn water from; take a larger area or "
            "another season"
        )
    return chosen, [cell.id for cell in cells if water[cell.id] < FEWEST_WATER]


def _spread(cells: Sequence[Cell], seed: int) -> list[Cell]:
    """Choose the cells the network learns from."""
    if len(cells) <= MOST_TILES:
        return list(cells)
    chosen = np.random.default_rng(seed).choice(len(cells), MOST_TILES, replace=False)
    return [cells[index] for index in sorted(chosen)]


def _key(store: TileStore, cells: Sequence[Cell], seed: int) -> str:
    """A digest of everything the labels depend on."""
    rows = {row.cell: (row.water, row.valid, row.written) for row in store.rows()}
    parts = (
        __version__,
        store.recipe.digest(),
        [(cell.id, rows[cell.id]) for cell in cells],
        seed,
        ROUNDS,
        DOUBTED,
        CONFIDENT,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _standing(store: TileStore, cells: Sequence[Cell], key: str) -> dict[str, Any] | None:
    """The record of labels that stand already, None where they do not."""
    record = _record(store)
    if record.get("key") != key or not all(store.has_label(cell) for cell in cells):
        return None
    return record


def unfinished(store: TileStore) -> bool:
    """Whether a correction of this store was begun and did not come to its end."""
    return "unfinished" in _record(store)


def seed_of(store: TileStore) -> int | None:
    """The seed this store's labels were corrected with, or None where nothing says how."""
    seed = _record(store).get("seed")
    return seed if isinstance(seed, int) else None


def _record(store: TileStore) -> dict[str, Any]:
    """What `labels.json` holds; nothing where it is missing or broken."""
    try:
        record = json.loads((store.path / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _read(store: TileStore, cell: Cell) -> _Tile:
    features, qa = store.read_image(cell), store.read_mask(cell)
    return _tile(cell, features, qa)


def _tile(cell: Cell, features: FloatArray, qa: ByteArray) -> _Tile:
    found = gather(features, qa)
    label = np.where(found.water, 1, np.where(found.land, 0, qa)).astype(np.uint8)
    weight = np.where(found.water | found.land, 1.0, DOUBTED).astype(np.float32)
    sure = np.where(found.water, 1, np.where(found.land, 0, NOT_OBSERVED)).astype(np.uint8)
    inner = slice(MARGIN, -MARGIN)
    return _Tile(cell, samples(cell.id, features, label, weight), sure[inner, inner])


def _train(store: TileStore, cells: Sequence[Cell], seed: int, progress: bool) -> Any:
    from water_gee.training.dense import Trainer

    tiles = [_read(store, cell) for cell in cells]
    trainer = Trainer(tiles[0].start.features.shape[-1], seed, sum(ROUNDS))
    current = [tile.start for tile in tiles]
    with tqdm(total=sum(ROUNDS), desc="correction", unit="step", disable=not progress) as bar:
        for number, steps in enumerate(ROUNDS):
            if number:
                current = [_second_look(tile, trainer.probability(tile.start)) for tile in tiles]
            try:
                weighed = balanced(current)
            except TrainingError as error:
                raise LabelError(f"{store.path}: {error}") from error
            for part in range(0, steps, 10):
                done = min(10, steps - part)
                trainer.epoch(weighed, number * 1000 + part, done)
                bar.update(done)
    return trainer


def _second_look(tile: _Tile, probability: FloatArray) -> Samples:
    """Give each pixel the network's word, at full weight where it is sure of it."""
    sure = tile.sure != NOT_OBSERVED
    water = np.where(sure, tile.sure, probability > 0.5).astype(np.uint8)
    confident = np.maximum(probability, 1 - probability) >= CONFIDENT
    agree = water == tile.start.water
    trust = np.where(sure | (confident & agree), 1.0, np.where(confident | agree, 0.5, 0.2))
    weight = np.where(tile.start.weight > 0, trust, 0).astype(np.float32)
    return replace(tile.start, water=water, weight=weight)


def _label(tile: _Tile, probability: FloatArray, qa: ByteArray) -> ByteArray:
    """The corrected label of a tile, with margin; the QA label where the network has no say."""
    label = qa.copy()
    inner = label[MARGIN:-MARGIN, MARGIN:-MARGIN]
    judged = tile.start.weight > 0
    decided = np.where(tile.sure == NOT_OBSERVED, (probability > 0.5).astype(np.uint8), tile.sure)
    inner[judged] = decided[judged]
    return label


def _changes(qa: ByteArray, label: ByteArray) -> dict[str, float]:
    observed = max(1, int((qa != NOT_OBSERVED).sum()))
    return {
        "to_water": round(float(((qa == 0) & (label == 1)).sum()) / observed, 6),
        "to_land": round(float(((qa == 1) & (label == 0)).sum()) / observed, 6),
    }
