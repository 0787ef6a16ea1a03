"""Bands on their way into the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from water_gee.emulator.assets import BandRecord
from water_gee.emulator.bandfiles import BandWriter
from water_gee.emulator.pixels import Block, Mask, Values, Window
from water_gee.emulator.values import PixelType, Projection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STRIP_ROWS = 512
"""Rows read and written at once; a multiple of the files' tiles."""


@dataclass(frozen=True, slots=True)
class NewBand:
    """A band to be written.

    Attributes:
        name: The band's name.
        projection: Its grid.
        shape: `(row, col)`.
        dtype: The pixels' type in the file.
        read: From a window to its pixels.
        nodata: The value of masked pixels in the file; None for an internal mask.
        policy: How coarser pixels are made: `MEAN`, `SAMPLE` or `MODE`.
    """

    name: str
    projection: Projection
    shape: tuple[int, int]
    dtype: npt.DTypeLike
    read: Callable[[Window], Block]
    nodata: float | None = None
    policy: str = "MEAN"

    @classmethod
    def of_array(
        cls,
        name: str,
        values: Values,
        projection: Projection,
        *,
        mask: Mask = None,
        nodata: float | None = None,
        policy: str = "MEAN",
    ) -> NewBand:
        """Return a band of an array `(row, col)`; a pixel equal to `nodata` is masked."""
        rows, cols = values.shape
        whole = Window(0, 0, rows, cols)

        def read(window: Window) -> Block:
            return Block(values, mask).view(whole, window)

        return cls(name, projection, (rows, cols), values.dtype, read, nodata, policy)


def strips(shape: tuple[int, int], rows: int = STRIP_ROWS) -> Iterator[Window]:
    """Yield full-width windows that cover a raster from top to bottom."""
    for top in range(0, shape[0], rows):
        yield Window(top, 0, min(rows, shape[0] - top), shape[1])


def file_name(index: int, name: str) -> str:
    """Return a safe file name for a band; the index keeps names apart that differ in case alone."""
    plain = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)
    return f"{index:03d}_{plain[:80]}.tif"


def write_bands(folder: Path, bands: Sequence[NewBand]) -> tuple[BandRecord, ...]:
    """Write bands into a folder, one after the other, a strip at a time.

    Raises:
        OSError: The disk is full.
    """
    records = []
    for index, band in enumerate(bands):
        writer = BandWriter(
            folder / file_name(index, band.name),
            band.projection,
            band.shape,
            band.dtype,
            policy=band.policy,
            nodata=band.nodata,
            name=band.name,
        )
        try:
            for window in strips(band.shape):
                writer.write(window, band.read(window))
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        records.append(record_of(writer, band.name, PixelType.of_dtype(np.dtype(band.dtype))))
    return tuple(records)


def record_of(writer: BandWriter, name: str, kind: PixelType) -> BandRecord:
    """Return the record of a band whose file is made."""
    return BandRecord(
        name,
        kind,
        writer.projection,
        writer.shape,
        writer.path.name,
        writer.policy,
        writer.fraction_path.name if writer.has_fractions else None,
    )
