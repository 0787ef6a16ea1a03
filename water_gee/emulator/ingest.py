"""Scenes and rasters into a catalogue, as the images Earth Engine would have of them."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import re
import shutil
import sqlite3
import tarfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio._err import CPLE_BaseError

from water_gee.emulator.assets import IMAGE, AssetRecord, canonical_id
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.rasters import Target, open_raster_bands, raster_target, split_properties
from water_gee.emulator.scenes import QA_SOURCE, Scene, find_scenes, open_bands
from water_gee.errors import IngestError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from water_gee.emulator.newband import NewBand

LOG = logging.getLogger(__name__)

INGEST_VERSION = 1
"""Raised when the same files would make another image than before."""

LOW_SPACE = 1_000_000
"""Bytes free below which a failed write is put down to a full disk."""

_TAR = re.compile(r".+\.(tar|tar\.gz|tgz|tar\.bz2|tar\.xz)", re.IGNORECASE)
_MTL = re.compile(r"(.+)_MTL\.(txt|xml)", re.IGNORECASE)
_WANTED = re.compile(r".*(_MTL\.(txt|xml)|_(SR|ST|QA|sr|pixel)_\w+\.tiff?)", re.IGNORECASE)


def ingest(
    catalog_dir: str | Path,
    paths: Sequence[str | Path],
    *,
    asset_id: str | None = None,
    properties: Mapping[str, Any] | None = None,
    dem: bool = False,
) -> list[str]:
    """Put scenes and rasters into a catalogue, which is made where there is none.

    What was ingested before from the same files is skipped; a changed file makes its image anew. A
    kill at any instant leaves a catalogue of whole images.

    Args:
        catalog_dir: The catalogue's folder.
        paths: Landsat Collection 2 Level 2 or Collection 1 surface reflectance scenes (a folder
            with an MTL file, a folder of such, or a tar), or GeoTIFFs.
        asset_id: The image's id; for several GeoTIFFs the collection they go into. A scene has one
            of its own. A GeoTIFF needs one, except with `dem`.
        properties: Set on every image, over those of the product; `system:time_start` and
            `system:time_end` as ISO 8601 or as milliseconds since 1970 UTC.
        dem: Whether the GeoTIFFs are elevation: images of `COPERNICUS/DEM/GLO30`, band `DEM`.

    Returns:
        The ids of the images, in order.

    Raises:
        IngestError: Something cannot be ingested; one line says what and why. What came before it
            is kept.
        EmulatorError: The catalogue cannot be opened.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    if asset_id is not None:
        asset_id = _checked_id(asset_id)
    extra = dict(properties or {})
    split_properties(extra)
    with Catalog.open(catalog_dir, create=True) as catalog:
        job = _Job(catalog, asset_id, extra, dem, many=len(paths) > 1)
        return [made for path in paths for made in job.take(Path(path).expanduser())]


def _checked_id(asset_id: str) -> str:
    try:
        return canonical_id(asset_id)
    except ServiceError as error:
        raise IngestError(error.message) from error


class _Job:
    """One call of `ingest`."""

    def __init__(
        self,
        catalog: Catalog,
        asset_id: str | None,
        properties: Mapping[str, Any],
        dem: bool,
        *,
        many: bool,
    ) -> None:
        self.catalog = catalog
        self.asset_id = asset_id
        self.properties = properties
        self.dem = dem
        self.many = many

    def take(self, path: Path) -> list[str]:
        """Ingest whatever a path names."""
        try:
            if path.is_dir():
                return self._folder(path)
            if not path.is_file():
                raise IngestError(f"{path} does not exist")
            if _TAR.fullmatch(path.name):
                return self._tar(path)
            match = _MTL.fullmatch(path.name)
            if match is not None:
                return [
                    self._scene(scene, _digest(path.parent.glob(f"{match[1]}_*")))
                    for scene in find_scenes(path.parent)
                    if scene.name == match[1]
                ]
            return [self._raster(path)]
        except ServiceError as error:
            raise IngestError(f"{path}: {error.message}") from error
        except (OSError, CPLE_BaseError, sqlite3.OperationalError) as error:
            if isinstance(error, IngestError):
                raise
            raise _explained(path, self.catalog.path, error) from error

    def _folder(self, folder: Path) -> list[str]:
        made = [
            self._scene(scene, _digest(folder.glob(f"{scene.name}_*")))
            for scene in find_scenes(folder)
        ]
        for path in sorted(folder.iterdir()):
            if path.is_dir() and _holds_scenes(path):
                made.extend(self._folder(path))
            elif path.is_file() and _TAR.fullmatch(path.name):
                made.extend(self._tar(path))
        if not made:
            raise IngestError(
                f"{folder} holds no Landsat scene: no file ends in _MTL.txt or .tar; name a plain "
                "GeoTIFF itself, with an asset id"
            )
        return made

    def _tar(self, path: Path) -> list[str]:
        digest = _digest([path])
        with self.catalog.stage() as folder:
            _extract(path, folder)
            scenes = find_scenes(folder)
            if not scenes:
                raise IngestError(f"{path} holds no Landsat scene: no _MTL.txt in it")
            return [self._scene(scene, digest) for scene in scenes]

    def _scene(self, scene: Scene, digest: str) -> str:
        asset_id = self.asset_id or scene.asset_id
        time = scene.metadata.acquired()
        target = Target(asset_id, {**scene.properties(), **self.properties}, time, time)
        source = self._source(digest, target)
        if self._stands(asset_id, source):
            return asset_id
        if QA_SOURCE in target.properties:
            LOG.warning("%s has no QA_PIXEL; %s", scene.name, target.properties[QA_SOURCE])
        with open_bands(scene) as bands:
            self._store(target, bands, source)
        return asset_id

    def _raster(self, path: Path) -> str:
        target = raster_target(self.catalog, path, self.asset_id, self.dem, self.many)
        target = target.with_properties(self.properties)
        source = self._source(_digest([path]), target)
        if self._stands(target.asset_id, source):
            return target.asset_id
        with open_raster_bands(path, target) as bands:
            self._store(target, bands, source)
        return target.asset_id

    def _source(self, digest: str, target: Target) -> str:
        facts = [digest, INGEST_VERSION, target.band, dict(self.properties)]
        return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()

    def _stands(self, asset_id: str, source: str) -> bool:
        record: AssetRecord | None = self.catalog.record(asset_id)
        stands = record is not None and record.type == IMAGE and record.source == source
        if stands:
            LOG.info("%s is there already", asset_id)
        return stands

    def _store(self, target: Target, bands: Sequence[NewBand], source: str) -> None:
        properties, start, end = split_properties(target.properties)
        self.catalog.ensure_parents(target.asset_id, collection=target.in_collection)
        self.catalog.add_image(
            target.asset_id,
            bands,
            properties,
            start_time=target.start_time if start is None else start,
            end_time=target.end_time if end is None else end,
            source=source,
        )
        LOG.info("%s ingested", target.asset_id)


def _holds_scenes(folder: Path) -> bool:
    """Say whether a folder or one below it holds an MTL file or a tar."""
    return any(_MTL.fullmatch(path.name) or _TAR.fullmatch(path.name) for path in folder.rglob("*"))


def _digest(paths: Iterator[Path] | Sequence[Path]) -> str:
    """Return what tells files from others: names, sizes and times of change."""
    seen = []
    for path in sorted(paths):
        status = path.stat()
        seen.append((path.name, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _extract(path: Path, folder: Path) -> None:
    """Unpack the metadata and bands of a scene, flat: a name in a tar is never a path."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                stream = archive.extractfile(member) if member.isfile() else None
                if stream is None or not _WANTED.fullmatch(name):
                    continue
                with stream, (folder / name).open("wb") as out:
                    shutil.copyfileobj(stream, out, 1 << 20)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise IngestError(f"{path} is damaged or no tar: {_first_line(error)}") from error


def _explained(path: Path, catalog: Path, error: Exception) -> IngestError:
    """Return why a write failed, in one line."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    full = full or "disk is full" in str(error) or "No space left" in str(error)
    if full or shutil.disk_usage(catalog).free < LOW_SPACE:
        return IngestError(
            f"{path}: the disk of {catalog} is full; make room or use another catalogue folder"
        )
    return IngestError(f"{path} cannot be ingested: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
