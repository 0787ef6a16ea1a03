"""QA labels to corrected labels, tile by tile, by one of several methods.

    evidence    the default, see `correction`
    seed        the published method, see `seed_method`

A label file carries the key of the correction that made it, and its quality record: a killed call,
started again, keeps the labels that stand.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from water_gee._version import __version__
from water_gee.errors import LabelError, RasterError
from water_gee.files import write_bytes
from water_gee.imagery.store import EVIDENCE_FOLDER, IMAGES, LABELS, MASKS, TileStore
from water_gee.metrics import pixel_sides_m
from water_gee.training.methods import Tile
from water_gee.training.patches import check_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from water_gee.imagery.grid import Cell
    from water_gee.training.methods import Correction, Method

METHODS = ("evidence", "seed")

FEWEST_WATER = 100
"""QA-water pixels in a store below which nothing is corrected: there the bit is mostly noise."""

FORMAT = 2
"""Of the corrections; raised when methods change, so that labels of older ones are made again."""

RECORD = "labels.json"

_KEY, _QUALITY = "WATER_GEE_CORRECTION", "WATER_GEE_QUALITY"
"""Tags of a label file."""


def denoise_labels(
    store: TileStore | Path | str = "./water_gee_tiles",
    *,
    method: str = "evidence",
    seed: int = 0,
    folder: str = LABELS,
    progress: bool = True,
) -> dict[str, Any]:
    """Correct a store's QA labels; the results stand in `labels/` of the store.

    The default method weighs all that is known of a pixel: the bit's agreement through the season,
    the spectrum, terrain, shadows of clouds, and networks that learned from other pixels. Where
    they decide nothing, the label is 255, «not observed»; not observed stays 255. A second band
    says how likely water is, in percent. `seed` is the published method; it leaves tiles with at
    most 100 QA-water pixels without a label of their own.

    A store corrected in the same way is left as it is; a killed call, started again, goes on.

    Args:
        store: A tile store or its folder.
        method: `evidence` or `seed`.
        seed: Of the networks' weights and samples; from 0 to 2 ** 32 - 1.
        folder: Of the store, for the labels; with another than `labels` methods stand side by side.
        progress: Whether to draw a progress bar on standard error.

    Returns:
        What was done, as `labels.json` of the store (`FOLDER.json` for another folder) holds it:
        `method`, `seed`, `cells` (id -> quality record: shares of the observed pixels that changed
        `to_water` and `to_land`, and more by method), `skipped`, `untrusted` (id -> why),
        `seconds`.

    Raises:
        LabelError: An unknown method, a folder that tiles stand in, or no tile has enough water, or
            enough land.
        TrainingError: Other features than the eight, or a seed out of range.
        StoreError: The store cannot be read or written.
    """
    if not isinstance(store, TileStore):
        with TileStore.open(store) as opened:
            return denoise_labels(
                opened, method=method, seed=seed, folder=folder, progress=progress
            )
    _check_method(method)
    if folder in (IMAGES, MASKS, EVIDENCE_FOLDER):
        raise LabelError(f"labels cannot be written to {folder!r}: the store's tiles stand there")
    check_settings(store.recipe, seed)
    started = time.perf_counter()
    tiles = _tiles(store)
    key = _key(store, tiles.names, method, seed)
    standing = _standing(store, folder, key)
    if standing is not None:
        return standing
    keep = store.path / f".{folder}.checkpoint.zip"
    made = _correct(tiles, _method(method, keep, key), folder, key, seed, progress)
    cells = {name: record for name, record in made.items() if record is not None}
    record = {
        "key": key,
        "version": __version__,
        "method": method,
        "seed": seed,
        "cells": cells,
        "skipped": [name for name in tiles.names if name not in cells],
        "untrusted": {
            name: record.get("why", "") for name, record in cells.items() if not _trusted(record)
        },
        "seconds": round(time.perf_counter() - started, 1),
    }
    write_bytes(_record_path(store, folder), json.dumps(record, indent=1).encode())
    keep.unlink(missing_ok=True)
    return record


def unfinished(store: TileStore) -> bool:
    """Whether a correction of this store was begun and did not come to its end."""
    return "unfinished" in _record(store, LABELS)


def settings_of(store: TileStore) -> tuple[str, int] | None:
    """Method and seed this store's labels were corrected with, or None where nothing says how."""
    record = _record(store, LABELS)
    method, seed = record.get("method", "evidence"), record.get("seed")
    return (str(method), seed) if isinstance(seed, int) else None


def _check_method(name: str) -> None:
    """Refuse a method that there is not.

    Raises:
        LabelError: There is no such method.
    """
    if name not in METHODS:
        raise LabelError(
            f"unknown method {name!r} of label correction; known: {', '.join(METHODS)}"
        )


def _method(name: str, keep: Path, key: str) -> Method:
    """Make a method by its name; Keras is loaded when it is prepared."""
    if name == "seed":
        from water_gee.training.seed_method import SeedMethod

        return SeedMethod()
    from water_gee.training.correction import EvidenceMethod

    return EvidenceMethod(keep, key)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """A store's tiles as methods read them."""

    store: TileStore
    cells: Mapping[str, Cell]
    wet: Sequence[str]

    @property
    def names(self) -> Sequence[str]:
        return list(self.cells)

    def read(self, name: str) -> Tile:
        cell = self.cells[name]
        rows, cols = cell.shape
        width, height = pixel_sides_m(
            cell.grid.transform, [rows / 2], [cols / 2], crs=cell.grid.crs
        )
        return Tile(
            name,
            self.store.read_image(cell),
            self.store.read_mask(cell),
            self.store.read_evidence(cell),
            (float(height[0]), float(width[0])),
        )


def _tiles(store: TileStore) -> _Tiles:
    cells = {cell.id: cell for cell in store.cells()}
    if not cells:
        raise LabelError(
            f"{store.path} holds no tiles with observed pixels; download_tiles() fetches them"
        )
    water = {row.cell: row.water for row in store.rows() if row.cell in cells}
    if sum(water.values()) < FEWEST_WATER:
        raise LabelError(
            f"{store.path}: its {len(cells)} tile(s) have {sum(water.values())} QA-water pixels "
            f"together, and {FEWEST_WATER} are needed: there is nothing to learn water from; take "
            "a larger area or another season"
        )
    return _Tiles(store, cells, [name for name in cells if water[name]])


def _correct(
    tiles: _Tiles, method: Method, folder: str, key: str, seed: int, progress: bool
) -> dict[str, dict[str, Any] | None]:
    """Correct every tile whose label does not stand; the records of all."""
    store = tiles.store
    made: dict[str, dict[str, Any] | None] = {
        name: _quality(store, name, folder, key) for name in tiles.names
    }
    missing = [name for name in tiles.names if made[name] is None]
    if not missing:
        return made
    try:
        method.prepare(tiles, seed=seed, progress=progress)
    except LabelError as error:
        raise LabelError(f"{store.path}: {error}") from error
    # From here on labels of two corrections may stand side by side, until the record is written.
    begun = {"unfinished": key, "method": method.name, "seed": seed}
    write_bytes(_record_path(store, folder), json.dumps(begun).encode())
    for name in tqdm(missing, desc="labels", unit="tile", disable=not progress):
        found = method.correct(tiles.read(name))
        if found is not None:
            made[name] = _write(store, name, folder, key, found)
        else:  # and no label of another correction
            (store.path / folder / f"{name}.tif").unlink(missing_ok=True)
    return made


def _write(store: TileStore, name: str, folder: str, key: str, found: Correction) -> dict[str, Any]:
    record = dict(found.record)
    tags = {_KEY: key, _QUALITY: json.dumps(record)}
    store.write_label(name, found.label, folder, tags, found.percent)
    return record


def _quality(store: TileStore, name: str, folder: str, key: str) -> dict[str, Any] | None:
    """The record of a label that stands from the same correction; a broken file is no label."""
    if not store.has_label(name, folder):
        return None
    try:
        tags = store.label_tags(name, folder)
        if tags.get(_KEY) != key:
            return None
        record = json.loads(tags.get(_QUALITY, "{}"))
    except (RasterError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _trusted(record: Mapping[str, Any]) -> bool:
    return bool(record.get("trusted", True))


def _key(store: TileStore, names: Sequence[str], method: str, seed: int) -> str:
    """A digest of everything the labels depend on."""
    rows = {row.cell: (row.water, row.valid, row.written) for row in store.rows()}
    parts = (
        FORMAT,
        __version__,
        store.recipe.digest(),
        [(name, rows[name]) for name in names],
        method,
        seed,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _standing(store: TileStore, folder: str, key: str) -> dict[str, Any] | None:
    """The record of labels that stand already, None where they do not."""
    record = _record(store, folder)
    if record.get("key") != key:
        return None
    return record if all(store.has_label(name, folder) for name in record["cells"]) else None


def _record_path(store: TileStore, folder: str) -> Path:
    return store.path / (RECORD if folder == LABELS else f"{folder}.json")


def _record(store: TileStore, folder: str) -> dict[str, Any]:
    """What a record holds; nothing where it is missing or broken."""
    try:
        record = json.loads(_record_path(store, folder).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
