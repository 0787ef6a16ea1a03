"""Tiles on disk: GeoTIFFs in four folders, and a manifest that says which of them are whole.

    STORE/manifest.sqlite     the recipe; one row a tile, written after its files
    STORE/images/CELL.tif     float32 (feature, row, col), NaN where nothing was observed
    STORE/masks/CELL.tif      uint8, the QA label: 0 land, 1 water, 255 not observed
    STORE/evidence/CELL.tif   float32, bands of `recipe.EVIDENCE`, NaN where nothing is known
    STORE/labels/CELL.tif     uint8, the corrected label, same codes
    STORE/water_gee.log

A file appears under its name when it is whole, so that a kill at any instant loses at most the tile
in hand. SQLite runs in WAL mode, which needs a local disk.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from water_gee import raster
from water_gee._version import __version__
from water_gee.errors import RasterError, StoreError, WaterGeeError
from water_gee.files import remove_leftovers
from water_gee.imagery.grid import Cell, cell_from_id
from water_gee.imagery.recipe import EVIDENCE, Recipe, check_same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]
    ByteArray = npt.NDArray[np.uint8]

LAND, WATER, NOT_OBSERVED = 0, 1, raster.NOT_OBSERVED
"""The codes of masks, labels and maps."""

LABEL_BANDS = ("water", "percent")
"""The codes, and how likely water is, which not every label says."""

COLORS = {LAND: (222, 214, 196, 255), WATER: (31, 120, 180, 255), NOT_OBSERVED: (0, 0, 0, 0)}
"""How viewers show the codes."""

IMAGES, MASKS, EVIDENCE_FOLDER, LABELS = "images", "masks", "evidence", "labels"

_FOLDERS = (IMAGES, MASKS, EVIDENCE_FOLDER, LABELS)

State = Literal["done", "empty"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tiles (
    cell TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('done', 'empty')),
    water INTEGER NOT NULL,
    valid INTEGER NOT NULL,
    pixels INTEGER NOT NULL,
    written TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class TileRow:
    """A tile in the manifest.

    Attributes:
        cell: Its id.
        state: `done`, or `empty` where not one pixel was observed.
        water: Pixels with label 1, margin included.
        valid: Observed pixels, margin included.
        pixels: All pixels, margin included.
        written: When, UTC, ISO 8601.
    """

    cell: str
    state: State
    water: int
    valid: int
    pixels: int
    written: str


class TileStore:
    """A folder of tiles of one recipe; safe to use from several threads.

    Attributes:
        path: The folder.
        recipe: What its tiles were made with.
    """

    def __init__(self, path: Path, recipe: Recipe, manifest: sqlite3.Connection) -> None:
        self.path = path
        self.recipe = recipe
        self._manifest = manifest
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, path: Path | str, recipe: Recipe | None = None, create: bool = False
    ) -> TileStore:
        """Open a store; one without a single tile takes the recipe it is opened with.

        Args:
            path: Its folder.
            recipe: What its tiles must have been made with; needed to create one.
            create: Whether to make one where there is none.

        Raises:
            StoreError: No store there, or one that cannot be read or written.
            RecipeMismatchError: It was made with another recipe.
        """
        folder = Path(path)
        database = folder / "manifest.sqlite"
        if not create and not database.is_file():
            raise StoreError(
                f"no tile store at {folder}; make one with `water_gee.download_tiles(area)` or "
                "`water-gee download`"
            )
        with _refusing(folder):
            if create:
                for name in ("", *_FOLDERS):
                    (folder / name).mkdir(parents=True, exist_ok=True)
            manifest = sqlite3.connect(database, timeout=60, check_same_thread=False)
        try:
            with _refusing(folder):
                kept = _start(manifest, recipe if create else None)
            if recipe is not None:
                check_same(recipe, kept, ("the recipe asked for", f"the store {folder}"))
        except BaseException:
            manifest.close()
            raise
        if create:
            for name in _FOLDERS:
                remove_leftovers(folder / name)
        return cls(folder, kept, manifest)

    def close(self) -> None:
        """Close the manifest; the store can then no longer be used."""
        with self._lock:
            self._manifest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TileStore({str(self.path)!r}, {len(self.rows())} tiles)"

    # ------------------------------------------------------------------ what there is

    def rows(self) -> list[TileRow]:
        """The manifest: tiles whose files are there, by id."""
        found = self._ask(
            "SELECT cell, state, water, valid, pixels, written FROM tiles ORDER BY cell"
        )
        rows = [TileRow(*row) for row in found]
        return [row for row in rows if self._has(IMAGES, row.cell) and self._has(MASKS, row.cell)]

    def cells(self, *, empty: bool = False) -> list[Cell]:
        """The cells that have a tile, by id; those without one observed pixel only if asked for."""
        return [
            cell_from_id(row.cell, self.recipe)
            for row in self.rows()
            if empty or row.state != "empty"
        ]

    def has_label(self, cell: Cell | str, folder: str = LABELS) -> bool:
        """Whether a corrected label was written for a cell."""
        return self._has(folder, _id(cell))

    def image_path(self, cell: Cell | str) -> Path:
        """Where the features of a cell are."""
        return self._file(IMAGES, _id(cell))

    # ------------------------------------------------------------------ reading

    def read_image(self, cell: Cell | str) -> FloatArray:
        """The features of a cell, `float32 (feature, row, col)`, NaN where nothing was observed.

        Raises:
            RasterError: No such tile, or its file is broken.
        """
        return np.asarray(self._read(IMAGES, cell, len(self.recipe.features)), dtype=np.float32)

    def read_mask(self, cell: Cell | str) -> ByteArray:
        """The QA label of a cell, `uint8 (row, col)`: 0 land, 1 water, 255 not observed.

        Raises:
            RasterError: No such tile, or its file is broken.
        """
        return np.asarray(self._read(MASKS, cell, 1)[0], dtype=np.uint8)

    def read_label(self, cell: Cell | str, folder: str = LABELS) -> ByteArray:
        """The corrected label of a cell, or one of another folder; codes as in `read_mask`.

        Raises:
            RasterError: No such label, or its file is broken.
        """
        return np.asarray(self._read(folder, cell, 1, 2)[0], dtype=np.uint8)

    def read_evidence(self, cell: Cell | str) -> dict[str, FloatArray]:
        """What else is known of a cell's pixels, by the names of `recipe.EVIDENCE`.

        Returns:
            Each `float32 (row, col)`, NaN where nothing is known. A band that the tile does not
            have is left out; tiles of older versions have none.

        Raises:
            RasterError: Its file is broken.
        """
        path = self._file(EVIDENCE_FOLDER, _id(cell))
        if not path.exists():
            return {}
        found = raster.read(path)
        return {
            name: np.asarray(values, dtype=np.float32)
            for name, values in zip(found.names, found.values, strict=True)
            if name in EVIDENCE
        }

    def label_tags(self, cell: Cell | str, folder: str = LABELS) -> dict[str, str]:
        """What was written down with a label, as `write_label` was given it.

        Raises:
            RasterError: No such label, or its file is broken.
        """
        tags = raster.describe(self._file(folder, _id(cell))).tags
        return {name: text for name, text in tags.items() if name != "AREA_OR_POINT"}

    # ------------------------------------------------------------------ writing

    def write_tile(
        self,
        cell: Cell,
        image: FloatArray,
        mask: ByteArray,
        evidence: Mapping[str, FloatArray] | None = None,
    ) -> TileRow:
        """Write a tile, and last its row in the manifest.

        Args:
            cell: Where it lies.
            image: `float32 (feature, row, col)`, NaN where nothing was observed.
            mask: `uint8 (row, col)`: 0 land, 1 water, 255 not observed.
            evidence: Bands of `recipe.EVIDENCE`, `float32 (row, col)`, NaN where nothing is known.

        Returns:
            The row.

        Raises:
            StoreError: Arrays of another shape, a mask with other codes, evidence of other names.
            RasterError: The disk is full.
        """
        self._check(cell, image, mask)
        self._write_evidence(cell, evidence or {})
        profile = raster.Profile(level=1)
        raster.write(
            self._file(IMAGES, cell.id),
            image.astype(np.float32, copy=False),
            cell.grid,
            nodata=float("nan"),
            names=self.recipe.features,
            profile=profile,
        )
        self._write_codes(MASKS, cell, (mask,))
        valid = int(np.count_nonzero(mask != NOT_OBSERVED))
        row = TileRow(
            cell.id,
            "done" if valid else "empty",
            int(np.count_nonzero(mask == WATER)),
            valid,
            mask.size,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._lock, _refusing(self.path), self._manifest:
            check_same(
                self.recipe, _recipe_of(self._manifest), ("this download", f"the store {self.path}")
            )
            self._manifest.execute(
                "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?, ?, ?)",
                (row.cell, row.state, row.water, row.valid, row.pixels, row.written),
            )
        return row

    def _write_evidence(self, cell: Cell, evidence: Mapping[str, FloatArray]) -> None:
        for name, values in evidence.items():
            if name not in EVIDENCE:
                raise StoreError(f"{cell.id}: evidence {name!r}; there is {', '.join(EVIDENCE)}")
            if values.shape != cell.shape:
                raise StoreError(f"{cell.id}: {name} {values.shape}, a tile has {cell.shape}")
        names = [name for name in EVIDENCE if name in evidence]
        path = self._file(EVIDENCE_FOLDER, cell.id)
        with _refusing(self.path):
            path.parent.mkdir(exist_ok=True)
            if not names:
                path.unlink(missing_ok=True)
                return
        raster.write(
            path,
            np.stack([evidence[name] for name in names]).astype(np.float32, copy=False),
            cell.grid,
            nodata=float("nan"),
            names=names,
            profile=raster.Profile(level=1),
        )

    def write_label(
        self,
        cell: Cell | str,
        label: ByteArray,
        folder: str = LABELS,
        tags: Mapping[str, str] | None = None,
        percent: ByteArray | None = None,
    ) -> Path:
        """Write a corrected label.

        Args:
            cell: Where it lies.
            label: `uint8 (row, col)`, codes as in `read_mask`.
            folder: Of the store, for labels of another kind.
            tags: What to write down with it; `label_tags` reads it.
            percent: How likely water is, `uint8 (row, col)` from 0 to 100, 255 where the label is
                255; the file's second band.

        Returns:
            The file.

        Raises:
            StoreError: An array of another shape, with other codes, or percents that contradict
                the label.
            RasterError: The disk is full.
        """
        place = cell if isinstance(cell, Cell) else cell_from_id(cell, self.recipe)
        self._check(place, None, label)
        if percent is not None:
            check_percent(place.id, label, percent)
        with _refusing(self.path):
            (self.path / folder).mkdir(exist_ok=True)
        bands = (label,) if percent is None else (label, percent)
        return self._write_codes(folder, place, bands, tags)

    def _write_codes(
        self,
        folder: str,
        cell: Cell,
        bands: Sequence[ByteArray],
        tags: Mapping[str, str] | None = None,
    ) -> Path:
        path = self._file(folder, cell.id)
        raster.write(
            path,
            np.stack(bands).astype(np.uint8, copy=False),
            cell.grid,
            nodata=NOT_OBSERVED,
            names=LABEL_BANDS[: len(bands)],
            tags=tags,
            colormap=COLORS,
            profile=raster.Profile(level=1),
        )
        return path

    # ------------------------------------------------------------------ helpers

    def _check(self, cell: Cell, image: FloatArray | None, codes: ByteArray) -> None:
        if codes.shape != cell.shape:
            raise StoreError(f"{cell.id}: codes {codes.shape}, a tile has {cell.shape}")
        if not np.isin(codes, (LAND, WATER, NOT_OBSERVED)).all():
            raise StoreError(f"{cell.id}: codes other than 0 land, 1 water, 255 not observed")
        wanted = (len(self.recipe.features), *cell.shape)
        if image is not None and image.shape != wanted:
            raise StoreError(f"{cell.id}: features {image.shape}, this recipe has {wanted}")

    def _read(self, folder: str, cell: Cell | str, *bands: int) -> npt.NDArray[Any]:
        path = self._file(folder, _id(cell))
        if not path.exists():
            raise RasterError(f"{path}: no such tile; download it, or correct its label, first")
        values = raster.read(path).values
        if len(values) not in bands:
            known = " or ".join(map(str, bands))
            raise RasterError(f"{path} has {len(values)} bands, not {known}; remove it to renew it")
        return values

    def _has(self, folder: str, cell_id: str) -> bool:
        return self._file(folder, cell_id).exists()

    def _file(self, folder: str, cell_id: str) -> Path:
        return self.path / folder / f"{cell_id}.tif"

    def _ask(self, query: str) -> list[Any]:
        with self._lock, _refusing(self.path):
            return self._manifest.execute(query).fetchall()


def check_percent(name: str, label: ByteArray, percent: ByteArray) -> None:
    """Refuse percents that contradict a label.

    Raises:
        StoreError: Another shape, values above 100, a percent where there is no label, or the
            likelier class is not the label's.
    """
    if percent.shape != label.shape:
        raise StoreError(f"{name}: percents {percent.shape}, the label has {label.shape}")
    known = label != NOT_OBSERVED
    sound = np.where(known, percent <= 100, percent == NOT_OBSERVED)
    sound &= ~known | np.where(label == WATER, percent >= 50, percent <= 50)
    if not sound.all():
        row, col = np.argwhere(~sound)[0]
        raise StoreError(
            f"{name}: {percent[row, col]} percent water where the label is {label[row, col]} "
            f"(row {row}, column {col}); 0 to 100 on the label's side of 50, 255 where it is 255"
        )


def _start(manifest: sqlite3.Connection, recipe: Recipe | None) -> Recipe:
    """Prepare a manifest, put a recipe into a new one, and return the one it has."""
    if recipe is not None:
        manifest.execute("PRAGMA journal_mode=WAL")
        manifest.executescript(_SCHEMA)
    manifest.execute("PRAGMA synchronous=NORMAL")
    if recipe is not None:
        text = json.dumps(recipe.to_dict())
        with manifest:
            manifest.executemany(
                "INSERT OR IGNORE INTO meta VALUES (?, ?)",
                (("recipe", text), ("version", __version__)),
            )
            # A season that turned out empty must not bind the store to its recipe.
            manifest.execute(
                "UPDATE meta SET value = ? "
                "WHERE key = 'recipe' AND NOT EXISTS (SELECT * FROM tiles)",
                (text,),
            )
    return _recipe_of(manifest)


def _recipe_of(manifest: sqlite3.Connection) -> Recipe:
    found = manifest.execute("SELECT value FROM meta WHERE key = 'recipe'").fetchone()
    if found is None:
        raise StoreError("its manifest holds no recipe; remove it and download anew")
    return Recipe.from_dict(json.loads(found[0]))


def _id(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.id


@contextlib.contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into one line."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, WaterGeeError):
            raise
        raise StoreError(f"the tile store {folder} cannot be used: {error}") from error
