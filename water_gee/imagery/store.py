"""Tiles on disk: GeoTIFFs in four folders, and a manifest that says which of them are whole.

    STORE/manifest.sqlite     the recipe; one row a tile, written after its files
    STORE/images/CELL.tif     float32 (feature, row, col), NaN where nothing was observed
    STORE/masks/CELL.tif      uint8, the QA label: 0 land, 1 water, 255 not observed
    STORE/evidence/CELL.tif   float32, bands of `recipe.EVIDENCE`, NaN where nothing is known
    STORE/labels/CELL.tif     uint8, the corrected label, same codes
    STORE/water_gee.log

A file appears under its name when it is whole, so that a kill at any instant loses at most the tile
in hand. Several processes may fill one store. Its manifest runs in WAL mode on a local disk, and
with a rollback journal on a network mount.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from water_gee import raster
from water_gee.errors import RasterError, StoreError
from water_gee.files import remove_leftovers, write_bytes
from water_gee.imagery.grid import Cell, cell_from_id
from water_gee.imagery.manifest import NAME, Manifest, TileRow, now, refusing
from water_gee.imagery.recipe import EVIDENCE, Recipe, check_same

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterable, Mapping, Sequence

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


class TileStore:
    """A folder of tiles of one recipe; safe to use from several threads.

    Attributes:
        path: The folder.
        recipe: What its tiles were made with.
        manifest: What is known of its tiles, and of downloads into it.
    """

    def __init__(self, path: Path, recipe: Recipe, manifest: Manifest) -> None:
        self.path = path
        self.recipe = recipe
        self.manifest = manifest

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
        if not create and not (folder / NAME).is_file():
            raise StoreError(
                f"no tile store at {folder}; make one with `water_gee.download_tiles(area)` or "
                "`water-gee download`"
            )
        if create:
            with refusing(folder):
                for name in ("", *_FOLDERS):
                    (folder / name).mkdir(parents=True, exist_ok=True)
        manifest = Manifest.open(folder, recipe if create else None)
        try:
            kept = manifest.recipe()
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
        self.manifest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = self.manifest.counts()
        return f"TileStore({str(self.path)!r}, {counts['done'] + counts['empty']} tiles)"

    # ------------------------------------------------------------------ what there is

    def rows(self) -> list[TileRow]:
        """The manifest: tiles whose files are there, by id."""
        return [row for row in self.manifest.rows() if self.has_tile(row.cell)]

    def cells(self, *, empty: bool = False) -> list[Cell]:
        """The cells that have a tile, by id; those without one observed pixel only if asked for."""
        return [
            cell_from_id(row.cell, self.recipe)
            for row in self.rows()
            if empty or row.state != "empty"
        ]

    def has_tile(self, cell: Cell | str) -> bool:
        """Whether the files of a cell's features and QA label are there."""
        return self._has(IMAGES, _id(cell)) and self._has(MASKS, _id(cell))

    def has_label(self, cell: Cell | str, folder: str = LABELS) -> bool:
        """Whether a corrected label was written for a cell."""
        return self._has(folder, _id(cell))

    def image_path(self, cell: Cell | str) -> Path:
        """Where the features of a cell are."""
        return self.file(IMAGES, _id(cell))

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
        path = self.file(EVIDENCE_FOLDER, _id(cell))
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
        tags = raster.describe(self.file(folder, _id(cell))).tags
        return {name: text for name, text in tags.items() if name != "AREA_OR_POINT"}

    # ------------------------------------------------------------------ writing

    def write_tile(
        self,
        cell: Cell,
        image: FloatArray,
        mask: ByteArray,
        evidence: Mapping[str, FloatArray] | None = None,
        *,
        attempts: int | None = None,
        seconds: float | None = None,
        order: int | None = None,
    ) -> TileRow:
        """Write a tile, and last its row in the manifest.

        Args:
            cell: Where it lies.
            image: `float32 (feature, row, col)`, NaN where nothing was observed.
            mask: `uint8 (row, col)`: 0 land, 1 water, 255 not observed.
            evidence: Bands of `recipe.EVIDENCE`, `float32 (row, col)`, NaN where nothing is known.
            attempts: Requests that it took.
            seconds: Since the first of them.
            order: The download that brought it, as `claims.Presence` numbered it.

        Returns:
            The row.

        Raises:
            StoreError: Arrays of another shape, a mask with other codes, evidence of other names.
            RasterError: The disk is full.
        """
        self._check(cell, image, mask)
        bands = _checked_evidence(cell, evidence or {})
        files = {
            IMAGES: self._packed_floats(cell, image, self.recipe.features),
            MASKS: self._packed_codes(cell, (mask,)),
        }
        with refusing(self.path):
            (self.path / EVIDENCE_FOLDER).mkdir(exist_ok=True)
            if not bands:
                self.file(EVIDENCE_FOLDER, cell.id).unlink(missing_ok=True)
        if bands:
            values = np.stack(list(bands.values()))
            files[EVIDENCE_FOLDER] = self._packed_floats(cell, values, bands)
        digests, size = {}, 0
        for folder, packed in files.items():
            with packed as data:
                digests[folder] = hashlib.sha256(data).digest()
                size += len(data)
                write_bytes(self.file(folder, cell.id), data, sync_folder=False)
        valid = int(np.count_nonzero(mask != NOT_OBSERVED))
        row = TileRow(
            cell=cell.id,
            state="done" if valid else "empty",
            water=int(np.count_nonzero(mask == WATER)),
            valid=valid,
            pixels=mask.size,
            written=now(),
            attempts=attempts,
            seconds=round(seconds, 3) if seconds is not None else None,
            bytes=size,
        )
        folders = [self.path / folder for folder in files]
        self.manifest.put(row, digests, self.recipe, folders, order)
        return row

    def _packed_floats(
        self, cell: Cell, bands: FloatArray, names: Iterable[str]
    ) -> contextlib.AbstractContextManager[memoryview]:
        return raster.packed(
            bands.astype(np.float32, copy=False),
            cell.grid,
            nodata=float("nan"),
            names=tuple(names),
            profile=_profile(cell),
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
        with refusing(self.path):
            (self.path / folder).mkdir(exist_ok=True)
        path = self.file(folder, place.id)
        with self._packed_codes(
            place, (label,) if percent is None else (label, percent), tags
        ) as data:
            write_bytes(path, data)
        return path

    def _packed_codes(
        self, cell: Cell, bands: Sequence[ByteArray], tags: Mapping[str, str] | None = None
    ) -> contextlib.AbstractContextManager[memoryview]:
        return raster.packed(
            np.stack(bands).astype(np.uint8, copy=False),
            cell.grid,
            nodata=NOT_OBSERVED,
            names=LABEL_BANDS[: len(bands)],
            tags=tags,
            colormap=COLORS,
            profile=_profile(cell),
        )

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
        path = self.file(folder, _id(cell))
        if not path.exists():
            raise RasterError(f"{path}: no such tile; download it, or correct its label, first")
        values = raster.read(path).values
        if len(values) not in bands:
            known = " or ".join(map(str, bands))
            raise RasterError(f"{path} has {len(values)} bands, not {known}; remove it to renew it")
        return values

    def _has(self, folder: str, cell_id: str) -> bool:
        return self.file(folder, cell_id).exists()

    def file(self, folder: str, cell_id: str) -> Path:
        """Where a file of a tile is, in one of the store's folders."""
        return self.path / folder / f"{cell_id}.tif"


def _checked_evidence(cell: Cell, evidence: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The bands in their order, refused where one has another name or shape."""
    for name, values in evidence.items():
        if name not in EVIDENCE:
            raise StoreError(f"{cell.id}: evidence {name!r}; there is {', '.join(EVIDENCE)}")
        if values.shape != cell.shape:
            raise StoreError(f"{cell.id}: {name} {values.shape}, a tile has {cell.shape}")
    return {name: evidence[name] for name in EVIDENCE if name in evidence}


def _profile(cell: Cell) -> raster.Profile:
    """ZSTD of level 1, in blocks no larger than a small tile: what is beyond it is packed, too."""
    return raster.Profile(level=1, block=min(256, -(-cell.shape[0] // 16) * 16))


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


def _id(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.id
