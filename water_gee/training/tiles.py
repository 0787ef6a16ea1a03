"""The tiles of a store as samples, read when asked for, and an index of what they hold.

The index says of each tile how many samples of which kind it has, so that a split, weights and
draws can be made without all tiles in memory. It stands in the store, `index_LABELS.json`, and a
tile is looked at again only where one of its files is another one than before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from water_gee import raster
from water_gee.errors import RasterError, TrainingError
from water_gee.files import give_back_memory, write_bytes
from water_gee.imagery.store import EVIDENCE_FOLDER, IMAGES, LABEL_BANDS, check_percent
from water_gee.training.patches import MARGIN, masses, samples
from water_gee.training.strata import STRATA, strata

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.store import TileStore
    from water_gee.training.patches import Samples

MASKS = "masks"

FORMAT = 1
"""Of the index; to be raised where samples or strata are counted in another way."""

READERS = 2
"""Threads that index; each holds a tile and what is made of it, about 60 MB."""

KEPT_EVERY = 64
"""Tiles after which an index in the making is written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tile holds.

    Attributes:
        name: The cell's id.
        stamp: Sizes and times of its files, by which they are known again.
        digest: SHA-256 of its files, features and label.
        water: Samples of water.
        shore: Samples of land within 3 pixels of water.
        far: Samples of other land.
        strata: Samples of land by kind of ground, as `STRATA`.
    """

    name: str
    stamp: str
    digest: str
    water: int
    shore: int
    far: int
    strata: tuple[int, ...]

    @property
    def land(self) -> int:
        """Samples of land."""
        return self.shore + self.far

    @property
    def counts(self) -> tuple[int, int]:
        """Samples of water and of land."""
        return self.water, self.land


class Tiles:
    """A store's tiles as samples.

    Whole tiles are read, not windows: a window of 70 x 70 pixels takes 25 ms (four blocks of each
    band are unpacked for it), a tile 67 ms, and a tile in memory gives dozens of windows.

    Args:
        store: The store.
        folder: Where labels lie. A tile without one there brings its QA label: tiles with hardly
            any water are not corrected, and are kept for their land.
        margin: Pixels the network loses on each side.

    Raises:
        TrainingError: There is no tile, not one label in the folder, or it is no folder of labels.
    """

    def __init__(self, store: TileStore, folder: str, margin: int = MARGIN) -> None:
        if folder in (IMAGES, EVIDENCE_FOLDER):
            raise TrainingError(
                f"{store.path}: {folder!r} holds no labels, but what the store knows of its tiles; "
                "name another folder"
            )
        self.store = store
        self.folder = folder
        self.margin = max(MARGIN, margin)
        self._cells = {cell.id: cell for cell in store.cells()}
        if not self._cells:
            raise TrainingError(
                f"{store.path} holds no tiles with observed pixels; download_tiles() fetches them"
            )
        if folder != MASKS and not any(store.has_label(cell, folder) for cell in self._cells):
            raise TrainingError(f"{store.path} has no labels in {folder!r}")

    @property
    def names(self) -> list[str]:
        """The cells' ids, in order."""
        return list(self._cells)

    @property
    def bytes_each(self) -> int:
        """Memory one tile takes as samples."""
        cell = next(iter(self._cells.values()))
        bands = len(self.store.recipe.features)
        # Features and weight are float32; water, percent and stratum bytes; positions 4 bytes.
        return cell.shape[0] * cell.shape[1] * (4 * bands + 4 + 1 + 1 + 1 + 4)

    def read(self, name: str) -> Samples:
        """Read a tile as samples, with strata.

        Raises:
            TrainingError: Features and label do not fit each other, the recipe or the cell.
            RasterError: A file is missing or broken.
        """
        cell = self._cells[name]
        image, label = self._files(name)
        self._check(image, cell)
        self._check(label, cell, codes=True)
        features = self.store.read_image(cell)
        found = raster.read(label)
        codes, percent = found.values[0], None
        if tuple(found.names) == LABEL_BANDS:
            percent = found.values[1]
            check_percent(name, codes, percent)
        ground = strata(features)
        return samples(name, features, codes, margin=self.margin, stratum=ground, percent=percent)

    def look(self, name: str) -> Entry:
        """Count what a tile holds."""
        tile = self.read(name)
        water, shore, far = masses(tile)
        used = tile.weight > 0
        ground = np.zeros(0, np.uint8) if tile.stratum is None else tile.stratum
        land = ground[used & (tile.water == 0)]
        kinds = np.bincount(land, minlength=len(STRATA))[: len(STRATA)]
        total = hashlib.sha256()
        for path in self._files(name):
            total.update(path.read_bytes())
        counts = int(water), int(shore), int(far)
        return Entry(name, self.stamp(name), total.hexdigest(), *counts, tuple(kinds.tolist()))

    def stamp(self, name: str) -> str:
        """Sizes and times of a tile's files."""
        found = [path.stat() for path in self._files(name)]
        return " ".join(f"{each.st_size}:{each.st_mtime_ns}" for each in found)

    def _files(self, name: str) -> tuple[Path, Path]:
        folder = self.folder
        if folder != MASKS and not self.store.has_label(name, folder):
            folder = MASKS
        return self.store.image_path(name), self.store.path / folder / f"{name}.tif"

    def _check(self, path: Path, cell: Cell, *, codes: bool = False) -> None:
        """Refuse a file of another grid or recipe than the cell's."""
        if not path.is_file():
            raise RasterError(f"{path}: no such tile; download it, or correct its label, first")
        found = raster.describe(path)
        features = self.store.recipe.features
        if not codes and tuple(found.names) != features:
            raise TrainingError(
                f"{path} holds the bands {', '.join(map(str, found.names))}, the store's recipe "
                f"has {', '.join(features)}; it was made with another recipe, remove it and "
                "download it again"
            )
        # Shapes are told apart with the arrays at hand, by `samples`.
        grid = found.grid
        same = grid.crs == cell.grid.crs and grid.transform.almost_equals(cell.grid.transform, 1e-9)
        if not same:
            raise TrainingError(
                f"{path} lies on another grid than its cell {cell.id}; "
                f"make {'the labels of this tile' if codes else 'this tile'} again"
            )


def index(tiles: Tiles, *, progress: bool = False) -> list[Entry]:
    """Look at every tile of a store, or only at those that changed since.

    Returns:
        One entry a tile, in the order of `tiles.names`, also of those without samples.

    Raises:
        TrainingError: Not one tile has samples, or one cannot be used.
        RasterError: A file is broken.
    """
    path = tiles.store.path / f"index_{tiles.folder}.json"
    known = _known(path, tiles)
    fresh = [name for name in tiles.names if name not in known]
    if fresh:
        with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as readers:
            looks = readers.map(tiles.look, fresh)
            bar = tqdm(looks, "index", len(fresh), unit="tile", disable=not progress)
            try:
                for number, entry in enumerate(bar, 1):
                    known[entry.name] = entry
                    if number % KEPT_EVERY == 0:
                        _keep(path, tiles, known)
            except BaseException:
                readers.shutdown(cancel_futures=True)
                raise
            finally:
                _keep(path, tiles, known)
        give_back_memory()
    entries = [known[name] for name in tiles.names]
    if not any(entry.water + entry.land for entry in entries):
        side = 2 * MARGIN + 1
        raise TrainingError(
            f"{tiles.store.path}: no tile has a pixel whose {side} x {side} window was observed "
            "and labelled; take more months or years"
        )
    return entries


def digest(entries: Sequence[Entry]) -> str:
    """SHA-256 over names and files of tiles, in order."""
    parts = [(entry.name, entry.digest) for entry in entries]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _known(path: Path, tiles: Tiles) -> dict[str, Entry]:
    """Entries that still hold; none where the index is missing, broken or of another kind."""
    try:
        about = json.loads(path.read_text())
        if (about["format"], about["margin"]) != (FORMAT, tiles.margin):
            return {}
        names = set(tiles.names)
        entries = [Entry(**each | {"strata": tuple(each["strata"])}) for each in about["tiles"]]
        return {each.name: each for each in entries if each.name in names
                and each.stamp == tiles.stamp(each.name)}  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(path: Path, tiles: Tiles, entries: dict[str, Entry]) -> None:
    about: dict[str, Any] = {"format": FORMAT, "margin": tiles.margin}
    about["tiles"] = [asdict(entries[name]) for name in tiles.names if name in entries]
    # A store that cannot be written can still be trained on.
    with contextlib.suppress(RasterError):
        write_bytes(path, json.dumps(about).encode())
