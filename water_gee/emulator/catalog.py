"""The catalogue: one folder of assets.

    catalog.sqlite     ids, properties, footprints, bands; operations
    pixels/<id>/@<version>/<band>.tif
    staging/           folders in the making

Files come first and rows last, and nothing is overwritten in place: a new version of an asset is a
new folder. A process may be killed at any instant; what it was writing is swept up when the
catalogue is opened next. SQLite in WAL mode lets one process write while others read; the folder
has to be on a disk of this machine.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from shapely.geometry import shape as shape_of

from water_gee.emulator.assets import (
    FOLDER,
    IMAGE,
    IMAGE_COLLECTION,
    TABLE,
    AssetRecord,
    BandRecord,
    bands_from_text,
    bands_to_text,
    canonical_id,
    is_root,
    parent_of,
    rest_name,
)
from water_gee.emulator.bandfiles import HandlePool, flush, read_block
from water_gee.emulator.database import Database
from water_gee.emulator.errors import (
    asset_missing,
    bad_request,
    cannot_overwrite,
    load_failed,
    wrong_asset_type,
)
from water_gee.emulator.footprint import outline
from water_gee.emulator.newband import NewBand, write_bands
from water_gee.emulator.nodes import Source, Warp
from water_gee.emulator.staging import staged, sweep
from water_gee.emulator.tablefile import TableCache
from water_gee.emulator.values import Band, Collection, Geometry, Image
from water_gee.errors import EmulatorError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from water_gee.emulator.pixels import Block, Window

DATABASE = "catalog.sqlite"

_COLUMNS = (
    "id, type, properties, start_time, end_time, footprint, bands, folder, size, updated, source"
)

KEPT_IMAGES = 4_096
"""Images remembered as values, so that two loads of one asset share their pixel nodes."""


class Catalog:
    """Assets and operations below one folder; safe for many threads and processes of one machine.

    Make one with `Catalog.open`. It loads assets for the evaluator (`services.AssetLoader`).
    """

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        self.database = database
        self.pool = HandlePool()
        self._images: dict[str, tuple[int, Image]] = {}
        self._tables = TableCache()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: str | Path, *, create: bool = False) -> Catalog:
        """Open a catalogue, sweeping up after writers that were killed.

        Args:
            path: Its folder.
            create: Make it where it is not there.

        Raises:
            EmulatorError: There is none, or the folder cannot be used as one.
        """
        folder = Path(path).expanduser().resolve()
        if not (folder / DATABASE).is_file() and not create:
            raise EmulatorError(
                f"no catalogue in {folder}; make one with 'water-gee emulator ingest --catalog "
                f"{folder} SCENE...'"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            catalog = cls(folder, Database(folder / DATABASE))
            catalog.pixels.mkdir(exist_ok=True)
            catalog.staging.mkdir(exist_ok=True)
            sweep(catalog.staging)
        except (OSError, sqlite3.Error) as error:
            raise EmulatorError(f"{folder} cannot be used as a catalogue: {error}") from error
        return catalog

    @property
    def pixels(self) -> Path:
        """Where the bands lie."""
        return self.path / "pixels"

    @property
    def staging(self) -> Path:
        """Where folders are made."""
        return self.path / "staging"

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every file and connection; the catalogue must not be used after."""
        self.pool.close()
        self.database.close()

    # Reading -----------------------------------------------------------------------------------

    def record(self, asset_id: str) -> AssetRecord | None:
        """Return what is known of an asset, None where there is none; roots are always there."""
        row = (
            self.database.connection()
            .execute(f"SELECT {_COLUMNS} FROM assets WHERE id = ?", (asset_id,))
            .fetchone()
        )
        if row is not None:
            return _record(row)
        return AssetRecord(asset_id, FOLDER) if is_root(asset_id) else None

    def image_record(self, asset_id: str) -> AssetRecord:
        """Return the record of an image, under any form of its id.

        Raises:
            ServiceError: 400, as `Image.load` says it.
        """
        record = self._loaded("Image.load", "Image", asset_id)
        if record.type != IMAGE:
            raise wrong_asset_type("Image.load", asset_id, "Image")
        return record

    def _loaded(self, function: str, kind: str, asset_id: str) -> AssetRecord:
        try:
            record = self.record(canonical_id(asset_id))
        except ServiceError:
            record = None
        if record is None or is_root(record.id):
            raise load_failed(function, kind, asset_id)
        return record

    def list_images(self, collection_id: str) -> list[AssetRecord]:
        """Return the images right below a collection or folder, by time (none: last) and id."""
        return [record for record in self.children(collection_id) if record.type == IMAGE]

    def children(self, parent_id: str) -> list[AssetRecord]:
        """Return what lies right below a folder or collection, by time and id."""
        rows = self.database.connection().execute(
            f"SELECT {_COLUMNS} FROM assets WHERE parent = ? "
            "ORDER BY start_time IS NULL, start_time, id",
            (parent_id,),
        )
        return [_record(row) for row in rows]

    def load_image(self, asset_id: str) -> Image:
        """Return an image asset as a value; its pixels are read when they are needed.

        Raises:
            ServiceError: 400, as `Image.load` says it.
        """
        return self._image(self.image_record(asset_id))

    def load_collection(self, asset_id: str) -> Collection:
        """Return an image collection as a value, its images by time and index.

        Raises:
            ServiceError: 400, as `ImageCollection.load` says it.
        """
        record = self._loaded("ImageCollection.load", "ImageCollection", asset_id)
        if record.type != IMAGE_COLLECTION:
            raise wrong_asset_type("ImageCollection.load", asset_id, "ImageCollection")
        images = tuple(self._image(image) for image in self.list_images(record.id))
        properties = MappingProxyType({**record.properties, "system:version": record.updated})
        return Collection(images, "ImageCollection", properties, record.id)

    def load_table(self, asset_id: str) -> Collection:
        """Return a table as a value.

        Raises:
            ServiceError: 400, as `Collection.loadTable` says it.
        """
        record = self._loaded("Collection.loadTable", "Collection", asset_id)
        if record.type != TABLE:
            raise wrong_asset_type("Collection.loadTable", asset_id, "FeatureCollection")
        assert record.folder is not None
        return self._tables.load(self.path / record.folder, record)

    def _image(self, record: AssetRecord) -> Image:
        known = self._images.get(record.id)
        if known is not None and known[0] == record.updated:
            return known[1]
        footprint = None
        if record.footprint is not None:
            footprint = Geometry(shape_of(dict(record.footprint)), geodesic=False)
        image = Image(
            tuple(self._band(record, band) for band in record.bands),
            MappingProxyType(record.image_properties()),
            record.id,
            footprint,
        )
        with self._lock:
            while len(self._images) >= KEPT_IMAGES:
                self._images.pop(next(iter(self._images)))
            self._images[record.id] = (record.updated, image)
        return image

    def _band(self, record: AssetRecord, band: BandRecord) -> Band:
        assert record.folder is not None
        folder = self.path / record.folder
        path = folder / band.file
        fraction = None if band.fraction_file is None else folder / band.fraction_file

        def read(level: int, window: Window) -> Block:
            return read_block(self.pool, path, level, window, fraction)

        grid = band.projection.grid
        source = Source(grid, band.shape, read, band.type.dtype)
        rows, cols = band.shape
        return Band(band.name, band.type, Warp(source, grid), band.projection, (cols, rows))

    # Writing -----------------------------------------------------------------------------------

    def create_container(
        self, asset_id: str, kind: str, properties: Mapping[str, Any] | None = None
    ) -> AssetRecord:
        """Make an empty folder or image collection.

        Raises:
            ServiceError: 400: the parent is not there, or the id is taken.
        """
        made = AssetRecord(asset_id, kind, dict(properties or {}), updated=_now())
        with self.database.transaction():
            if self.record(asset_id) is not None:
                raise cannot_overwrite(asset_id)
            self._check_parent(asset_id)
            self._insert(made)
        return made

    def create_folder(self, asset_id: str) -> AssetRecord:
        """Make an empty folder; see `create_container`."""
        return self.create_container(asset_id, FOLDER)

    def ensure_parents(self, asset_id: str, *, collection: bool = False) -> None:
        """Make the folders above an asset where they are not there.

        Args:
            asset_id: The asset.
            collection: Whether the one right above it is an image collection.

        Raises:
            ServiceError: 400: something above it is an image, or a folder where a collection is
                wanted.
        """
        with self.database.transaction():
            missing = []
            parent = parent_of(asset_id)
            while parent and not is_root(parent) and self.record(parent) is None:
                missing.append(parent)
                parent = parent_of(parent)
            for index, folder in enumerate(missing):
                kind = IMAGE_COLLECTION if collection and index == 0 else FOLDER
                self._insert(AssetRecord(folder, kind, updated=_now()))
            self._check_parent(asset_id)

    def _check_parent(self, asset_id: str) -> None:
        parent = parent_of(asset_id)
        record = self.record(parent)
        if record is None:
            raise asset_missing(rest_name(parent))
        if record.type in (IMAGE, TABLE):
            what = "an image" if record.type == IMAGE else "a table"
            raise bad_request(f"Parent of asset '{asset_id}' is {what}; operation not allowed.")

    def check_free(self, asset_id: str, *, overwrite: bool, kind: str = IMAGE) -> None:
        """Check that an asset may be written, before it is computed.

        Args:
            asset_id: Its id.
            overwrite: Whether an asset of the same kind may be replaced.
            kind: `IMAGE` or `TABLE`.

        Raises:
            ServiceError: 400: the id is taken; 404: the parent is not there.
        """
        old = self.record(asset_id)
        if old is not None and (not overwrite or old.type != kind):
            raise cannot_overwrite(asset_id)
        self._check_parent(asset_id)

    @contextlib.contextmanager
    def stage(self) -> Iterator[Path]:
        """Make a folder for the files of an asset; `publish` takes it."""
        with staged(self.staging) as folder:
            yield folder

    def publish(
        self,
        staged_folder: Path,
        record: AssetRecord,
        *,
        overwrite: bool,
        also: Callable[[], None] | None = None,
    ) -> AssetRecord:
        """Make an image or table of the files in a staged folder, all of it or none.

        Args:
            staged_folder: From `stage`, with the files that `record.bands` name, or a table's.
            record: What to store; folder, size and version are filled in here.
            overwrite: Whether an asset of that id and type may be replaced.
            also: What else is stored with the row or not at all, in the same transaction.

        Raises:
            ServiceError: 400: the id is taken, or the parent is not there.
            OSError: The disk is full.
        """
        size = sum(file.stat().st_size for file in staged_folder.iterdir())
        flush(staged_folder)
        home = self.pixels / record.id
        version = _now()
        place = home / f"@{version:x}"
        with self.database.transaction():
            self.check_free(record.id, overwrite=overwrite, kind=record.type)
            home.mkdir(parents=True, exist_ok=True)
            staged_folder.rename(place)
            flush(home)
            folder = str(place.relative_to(self.path))
            done = replace(record, folder=folder, size=size, updated=version)
            try:
                self._insert(done)
                if also is not None:
                    also()
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
        self._tidy(record.id)
        return done

    def add_image(
        self,
        asset_id: str,
        bands: Sequence[NewBand],
        properties: Mapping[str, Any] | None = None,
        *,
        start_time: int | None = None,
        end_time: int | None = None,
        source: str = "",
        overwrite: bool = True,
    ) -> AssetRecord:
        """Write bands and make an image of them.

        Args:
            asset_id: The plain id; its parent has to be there.
            bands: In order.
            properties: Without those that start with `system:`.
            start_time: Milliseconds since 1970 UTC.
            end_time: The same.
            source: A digest of what the bands come from.
            overwrite: Whether an image of that id may be replaced.

        Raises:
            ServiceError: 400: the id is taken or malformed, or the parent is not there.
            OSError: The disk is full.
        """
        with self.stage() as folder:
            records = write_bands(folder, bands)
            record = AssetRecord(
                canonical_id(asset_id),
                IMAGE,
                dict(properties or {}),
                start_time,
                end_time,
                outline(records[0].projection, records[0].shape),
                records,
                source=source,
            )
            return self.publish(folder, record, overwrite=overwrite)

    def update(self, asset_id: str, change: Callable[[AssetRecord], AssetRecord]) -> AssetRecord:
        """Store other properties or times of an asset; its files stay as they are.

        Args:
            asset_id: The asset.
            change: From the record to the changed record.

        Raises:
            ServiceError: 404: there is no such asset.
        """
        with self.database.transaction():
            record = self.record(asset_id)
            if record is None or is_root(asset_id):
                raise asset_missing(rest_name(asset_id))
            changed = replace(change(record), updated=_now())
            self._insert(changed)
        return changed

    def delete(self, asset_id: str) -> None:
        """Remove an asset and its files.

        Raises:
            ServiceError: 404: there is none; 400: it is a folder or collection with something in
                it.
        """
        with self.database.transaction() as connection:
            if self.record(asset_id) is None or is_root(asset_id):
                raise asset_missing(rest_name(asset_id))
            if self.children(asset_id):
                raise bad_request(f"Cannot delete asset '{asset_id}': it is not empty.")
            connection.execute("DELETE FROM assets WHERE id = ?", (asset_id,))
        with self._lock:
            self._images.pop(asset_id, None)
        self._tidy(asset_id)

    def _insert(self, record: AssetRecord) -> None:
        self.database.connection().execute(
            f"INSERT OR REPLACE INTO assets (parent, {_COLUMNS}) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                parent_of(record.id),
                record.id,
                record.type,
                json.dumps(dict(record.properties)),
                record.start_time,
                record.end_time,
                None if record.footprint is None else json.dumps(record.footprint),
                bands_to_text(record.bands),
                record.folder,
                record.size,
                record.updated,
                record.source,
            ),
        )

    def _tidy(self, asset_id: str) -> None:
        """Remove the versions of an asset's files that no row names."""
        home = self.pixels / asset_id
        # As the only writer: nobody else is between renaming a folder and storing its row.
        with self.database.transaction() as connection:
            # Ids that differ in case share their folder on some file systems.
            rows = connection.execute(
                "SELECT folder FROM assets WHERE id = ? COLLATE NOCASE", (asset_id,)
            )
            named = {self.path / row["folder"] for row in rows if row["folder"] is not None}
            for version in home.glob("@*"):
                if version not in named:
                    self.pool.forget(version)
                    shutil.rmtree(version, ignore_errors=True)
            with contextlib.suppress(OSError):
                home.rmdir()


def _now() -> int:
    """Return microseconds since 1970."""
    return time.time_ns() // 1_000


def _record(row: sqlite3.Row) -> AssetRecord:
    return AssetRecord(
        row["id"],
        row["type"],
        json.loads(row["properties"]),
        row["start_time"],
        row["end_time"],
        None if row["footprint"] is None else json.loads(row["footprint"]),
        bands_from_text(row["bands"]),
        row["folder"],
        row["size"],
        row["updated"],
        row["source"],
    )
