"""Bands on disk: Cloud-Optimized GeoTIFFs, one per band, written and read window by window.

A masked pixel is one with the file's nodata value or, where there is none, one that the file's
internal mask leaves out; so every other program sees the same mask. Pyramids have pixels 2^level
times as large as the band's.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError

from water_gee.emulator.errors import refusal
from water_gee.emulator.pixels import Block, Values, Window
from water_gee.emulator.values import INTEGER_RANGES, Projection

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_SIDE = 256
"""Pixels a side of a file's tiles."""

OPEN_FILES = 128
"""Idle files kept open for the next reader."""

RESAMPLING = MappingProxyType(
    {"MEAN": Resampling.average, "SAMPLE": Resampling.nearest, "MODE": Resampling.mode}
)
"""Pyramiding policies that can be followed, with GDAL's name for each."""


def levels_of(shape: tuple[int, int]) -> int:
    """Return how many coarser levels a raster of `(row, col)` pixels has below its own."""
    return int(math.log2(max(1, min(shape))))


def narrowed(values: Values, dtype: np.dtype[Any]) -> Values:
    """Return values in a smaller type, cut off at its ends rather than wrapped around."""
    if values.dtype == dtype:
        return values
    if dtype.name in INTEGER_RANGES:
        low, high = INTEGER_RANGES[dtype.name]
        values = np.clip(values, low, high)
    return values.astype(dtype)


class BandWriter:
    """Writes one band window by window; `close` makes the file.

    Args:
        path: Where the file goes. The folder must exist; a second file lies beside it until
            `close`.
        projection: The raster's grid.
        shape: `(row, col)`.
        dtype: The pixels' type in the file.
        policy: A key of `RESAMPLING`.
        nodata: The value of masked pixels; None for an internal mask, made when the first masked
            pixel comes.
        name: The band's name, kept as its description.

    Raises:
        OSError: The file cannot be written: the disk is full, the folder is gone.
    """

    def __init__(
        self,
        path: Path,
        projection: Projection,
        shape: tuple[int, int],
        dtype: npt.DTypeLike,
        *,
        policy: str = "MEAN",
        nodata: float | None = None,
        name: str = "",
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.policy = policy
        self.nodata = nodata
        self.projection = projection
        self._name = name
        self._draft = path.with_suffix(".draft.tif")
        self._masked = False
        self._written: list[Window] = []
        self._fraction: BandWriter | None = None
        with _as_os_error(path), self._environment():
            self._dataset = rasterio.open(
                self._draft,
                "w",
                driver="GTiff",
                height=shape[0],
                width=shape[1],
                count=1,
                dtype=self.dtype.name,
                nodata=nodata,
                crs=projection.crs,
                transform=rasterio.Affine(*projection.transform),
                tiled=True,
                blockxsize=BLOCK_SIDE,
                blockysize=BLOCK_SIDE,
                bigtiff="if_safer",
            )
            if name:
                self._dataset.set_band_description(1, name)

    @property
    def fraction_path(self) -> Path:
        """Where the masks between 0 and 1 go, should there be any."""
        return self.path.with_suffix(".mask.tif")

    @property
    def has_fractions(self) -> bool:
        """Whether a mask between 0 and 1 was written."""
        return self._fraction is not None

    def write(self, window: Window, block: Block) -> None:
        """Write a block; windows are written once each and cover the raster in the end."""
        values = narrowed(block.values, self.dtype)
        valid = block.valid()
        if valid is not None:
            empty = 0 if self.nodata is None else self.nodata
            values = np.where(valid, values, np.asarray(empty, self.dtype))
        with _as_os_error(self.path), self._environment():
            self._dataset.write(values, 1, window=ranges(window))
            if self.nodata is None:
                self._write_mask(window, valid)
        self._write_fraction(window, block)
        self._written.append(window)

    def _write_mask(self, window: Window, valid: Values | None) -> None:
        if valid is None or valid.all():
            if self._masked:
                self._dataset.write_mask(
                    np.full(window.shape, 255, np.uint8), window=ranges(window)
                )
            return
        if not self._masked:
            self._masked = True
            for earlier in self._written:
                self._dataset.write_mask(
                    np.full(earlier.shape, 255, np.uint8), window=ranges(earlier)
                )
        self._dataset.write_mask(valid.astype(np.uint8) * 255, window=ranges(window))

    def _write_fraction(self, window: Window, block: Block) -> None:
        mask = block.mask
        partly = (
            mask is not None and mask.dtype != np.bool_ and bool(((mask > 0) & (mask < 1)).any())
        )
        if partly and self._fraction is None:
            self._fraction = BandWriter(
                self.fraction_path, self.projection, self.shape, np.float32, policy=self.policy
            )
            for earlier in self._written:
                # What was whole before is 1 where it is valid; the file's own mask says where.
                self._fraction.write(earlier, Block(np.ones(earlier.shape, np.float32)))
        if self._fraction is not None:
            share = np.ones(window.shape, np.float32) if mask is None else mask.astype(np.float32)
            self._fraction.write(window, Block(share))

    def close(self) -> None:
        """Add the pyramid, make the Cloud-Optimized file, flush it to the disk."""
        with _as_os_error(self.path), self._environment():
            self._dataset.close()
            levels = levels_of(self.shape)
            if levels:
                with rasterio.open(self._draft, "r+") as dataset:
                    factors = [2**level for level in range(1, levels + 1)]
                    dataset.build_overviews(factors, RESAMPLING[self.policy])
            rasterio.shutil.copy(
                str(self._draft),
                str(self.path),
                driver="COG",
                COMPRESS="ZSTD",
                LEVEL=1,
                PREDICTOR="YES",
                BLOCKSIZE=BLOCK_SIDE,
                BIGTIFF="IF_SAFER",
                STATISTICS="NO",
                OVERVIEWS="FORCE_USE_EXISTING" if levels else "NONE",
            )
            flush(self.path)
        self._draft.unlink()
        if self._fraction is not None:
            self._fraction.close()

    def abandon(self) -> None:
        """Leave the file unmade."""
        with contextlib.suppress(RasterioError, OSError):
            self._dataset.close()
        self._draft.unlink(missing_ok=True)
        if self._fraction is not None:
            self._fraction.abandon()

    @staticmethod
    def _environment() -> rasterio.Env:
        return rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, COMPRESS_OVERVIEW="ZSTD")


@contextlib.contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    """Turn what GDAL says of a file it cannot write into an OSError of one line."""
    try:
        yield
    except RasterioError as error:
        detail = str(error.__cause__ or error).splitlines()[0]
        raise OSError(f"cannot write {path.name}: {detail}") from error


def ranges(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a window as rasterio takes it: rows and columns, each from and to."""
    return (
        (window.row, window.row + window.height),
        (window.col, window.col + window.width),
    )


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class HandlePool:
    """Open files for many threads: a reader has one to itself and leaves it open for the next.

    Args:
        capacity: How many idle files stay open.
    """

    def __init__(self, capacity: int = OPEN_FILES) -> None:
        self._capacity = capacity
        self._idle: dict[tuple[Path, int], list[Any]] = {}
        self._order: list[tuple[Path, int]] = []
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def dataset(self, path: Path, level: int) -> Iterator[Any]:
        """Lend a dataset; level 0 is the file's own, level n its n-th overview."""
        key = (path, level)
        handle = None
        with self._lock:
            waiting = self._idle.get(key)
            if waiting:
                handle = waiting.pop()
                self._order.remove(key)
        if handle is None:
            options: dict[str, Any] = {} if level == 0 else {"overview_level": level - 1}
            handle = rasterio.open(path, **options)
        try:
            yield handle
        except BaseException:
            handle.close()
            raise
        self._keep(key, handle)

    def _keep(self, key: tuple[Path, int], handle: Any) -> None:
        surplus = []
        with self._lock:
            self._idle.setdefault(key, []).append(handle)
            self._order.append(key)
            while len(self._order) > self._capacity:
                surplus.append(self._idle[self._order.pop(0)].pop(0))
        for one in surplus:
            one.close()

    def forget(self, folder: Path) -> None:
        """Close idle files below a folder, so that their space is given back."""
        with self._lock:
            gone = [key for key in self._idle if folder in key[0].parents]
            handles = [handle for key in gone for handle in self._idle.pop(key)]
            self._order = [key for key in self._order if key not in gone]
        for handle in handles:
            handle.close()

    def close(self) -> None:
        """Close every idle file."""
        self.forget(Path("/"))


def read_block(
    pool: HandlePool, path: Path, level: int, window: Window, fraction: Path | None = None
) -> Block:
    """Read a window of a level of a band.

    Args:
        pool: Where open files come from.
        path: The band's file, absolute.
        level: 0 for the band's own pixels, n for pixels 2^n times as large.
        window: Inside the level.
        fraction: File with masks between 0 and 1, None for none.

    Raises:
        ServiceError: 503 where the file is gone (the asset was replaced), 500 where it cannot be
            read.
    """
    try:
        with pool.dataset(path, level) as dataset:
            values = dataset.read(1, window=ranges(window))
            mask = _mask(dataset, values, window)
        if fraction is not None:
            with pool.dataset(fraction, level) as dataset:
                share = dataset.read(1, window=ranges(window))
            mask = share if mask is None else np.where(mask, share, np.float32(0))
    except RasterioError as error:
        if not path.exists():
            raise refusal(503, f"{path.name} was replaced while it was read; ask again") from error
        raise refusal(500, f"{path} cannot be read: {error}") from error
    return Block(values, mask)


def _mask(dataset: Any, values: Values, window: Window) -> Values | None:
    """Return where a band just read is observed, None where everywhere."""
    (flags,) = dataset.mask_flag_enums
    if MaskFlags.all_valid in flags:
        return None
    if MaskFlags.nodata in flags:
        nodata = dataset.nodata
        valid: Values = ~np.isnan(values) if math.isnan(nodata) else values != nodata
    else:
        valid = dataset.read_masks(1, window=ranges(window)) > 0
    return None if valid.all() else valid
