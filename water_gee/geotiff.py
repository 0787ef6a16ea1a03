"""GeoTIFFs that carry their grid: read, described, written whole, as Cloud-Optimized ones too.

Arrays are `(band, row, col)`. A file is written under a temporary name beside its target, synced,
and renamed, so that a reader never sees half of one. Whatever rasterio or the disk says against it
becomes one line in a `RasterError`.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile

from water_gee.errors import RasterError, WaterGeeError
from water_gee.files import one_line, refuse_write, write_bytes
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Colormap = Mapping[int, tuple[int, int, int, int]]

NOT_OBSERVED = 255
"""The class of a pixel that was not observed, in every uint8 raster of this package."""


_filters = threading.Lock()


@dataclass(frozen=True, slots=True)
class Raster:
    """A raster in memory.

    Attributes:
        values: `(band, row, col)`; nodata values as they are in the file.
        grid: Where the pixels lie.
        names: One for each band; empty strings where the file names none.
        nodata: The value of pixels not observed; `nan`, 255, ..., or None.
        tags: The file's own metadata.
    """

    values: Array
    grid: Grid
    names: tuple[str, ...]
    nodata: float | None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """A raster's facts without its pixels; see `Raster`."""

    grid: Grid
    names: tuple[str, ...]
    nodata: float | None
    tags: dict[str, str]
    dtype: str


@dataclass(frozen=True, slots=True)
class Profile:
    """How pixels are packed into a GeoTIFF.

    Attributes:
        level: ZSTD level; 1 packs a tile in a tenth of the time of 9 and to nearly the same size.
        block: Side of the file's tiles in pixels, a multiple of 16.
        interleave: `band` where bands are read one by one, `pixel` where together.
    """

    level: int = 1
    block: int = 256
    interleave: Literal["band", "pixel"] = "band"

    def options(self, dtype: Any) -> dict[str, Any]:
        """GDAL's creation options; floating point takes predictor 3, integers predictor 2."""
        predictor = 3 if np.issubdtype(np.dtype(dtype), np.floating) else 2
        return {
            "compress": "zstd",
            "zstd_level": self.level,
            "predictor": predictor,
            "tiled": True,
            "blockxsize": self.block,
            "blockysize": self.block,
            "interleave": self.interleave,
            "bigtiff": "if_safer",
        }


@dataclass(frozen=True, slots=True)
class Output:
    """A file to write.

    Attributes:
        path: The Cloud-Optimized GeoTIFF.
        dtype: For example `uint8`.
        nodata: The value of pixels not observed, or None.
        names: One for each band.
        tags: Metadata to put into the file.
        colormap: Class -> `(red, green, blue, alpha)`, for the first of one or two uint8 bands.
        overviews: How overviews are made: `mode` for classes, `average` for quantities.
    """

    path: Path
    dtype: str
    nodata: float | None
    names: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    colormap: Colormap | None = None
    overviews: str = "nearest"


# ---------------------------------------------------------------------------------------- reading


def describe(path: Path | str) -> Header:
    """Read a raster's grid, band names and nodata, without its pixels.

    Raises:
        RasterError: No such file, or no raster.
    """
    with opened(path) as source:
        return header_of(source)


def read(
    path: Path | str, *, bands: Sequence[str | int] | None = None, window: Window | None = None
) -> Raster:
    """Read a raster.

    Args:
        path: Anything GDAL reads.
        bands: Names, or numbers from 1; all by default.
        window: The part to read; all by default.

    Returns:
        Values as they are in the file, NaN or 255 for nodata left alone.

    Raises:
        RasterError: No such file, no raster, cut short, or without a band asked for.
    """
    with opened(path) as source:
        header = header_of(source)
        numbers = band_numbers(path, header.names, bands)
        part = window or Window(0, 0, *header.grid.shape)
        with reading(path):
            values = source.read(numbers, window=part.rasterio)
    names = tuple(header.names[number - 1] for number in numbers)
    grid = header.grid.window(part.row, part.col, part.height, part.width)
    return Raster(values, grid, names, header.nodata, header.tags)


def header_of(source: Any) -> Header:
    """The facts of an open file."""
    crs = ""
    if source.crs is not None:
        code = source.crs.to_epsg()
        crs = f"EPSG:{code}" if code is not None else source.crs.to_wkt()
    grid = Grid(crs, source.transform, (source.height, source.width))
    names = tuple(name or "" for name in source.descriptions)
    return Header(grid, names, source.nodata, dict(source.tags()), source.dtypes[0])


def band_numbers(
    path: Path | str, names: tuple[str, ...], bands: Sequence[str | int] | None
) -> list[int]:
    """Numbers, from 1, of bands given by name or number.

    Raises:
        RasterError: A band that is not there.
    """
    if bands is None:
        return list(range(1, len(names) + 1))
    numbers = []
    for band in bands:
        if isinstance(band, str) and band in names:
            numbers.append(names.index(band) + 1)
        elif isinstance(band, int) and 1 <= band <= len(names):
            numbers.append(band)
        else:
            has = ", ".join(name or str(i) for i, name in enumerate(names, 1))
            raise RasterError(f"{path} has no band {band!r}; it has {has}")
    return numbers


@contextlib.contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what GDAL says while it reads into one line that names the file."""
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        raise RasterError(f"cannot read {path}: {one_line(error)}") from error


@contextlib.contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Turn what GDAL or the system says while it writes into one line that names the file."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as error:
        if isinstance(error, WaterGeeError):
            raise
        refuse_write(Path(path), error)


def opened(path: Path | str) -> Any:
    """Open a raster to be read.

    Raises:
        RasterError: No such file, or no raster.
    """
    if isinstance(path, Path) and not path.exists():
        raise RasterError(f"{path}: no such file")
    with reading(path), unwarned():
        return rasterio.open(path)


# ---------------------------------------------------------------------------------------- writing


def write(
    path: Path | str,
    values: Array,
    grid: Grid,
    *,
    nodata: float | None,
    names: Sequence[str],
    tags: Mapping[str, str] | None = None,
    colormap: Colormap | None = None,
    profile: Profile | None = None,
) -> None:
    """Write a GeoTIFF.

    Args:
        path: Its folder must exist.
        values: `(band, row, col)`, or `(row, col)` for one band.
        grid: Where the pixels lie; its shape must be that of `values`.
        nodata: The value of pixels not observed, or None.
        names: One for each band.
        tags: Metadata to put into the file.
        colormap: Class -> `(red, green, blue, alpha)`, for the first of one or two uint8 bands.
        profile: How the pixels are packed.

    Raises:
        RasterError: Disk full, folder missing or read-only; nothing is left behind.
    """
    with packed(
        values, grid, nodata=nodata, names=names, tags=tags, colormap=colormap, profile=profile
    ) as data:
        write_bytes(path, data)


@contextlib.contextmanager
def packed(
    values: Array,
    grid: Grid,
    *,
    nodata: float | None,
    names: Sequence[str],
    tags: Mapping[str, str] | None = None,
    colormap: Colormap | None = None,
    profile: Profile | None = None,
) -> Iterator[memoryview]:
    """Give the bytes of the GeoTIFF that `write` would write, until the block ends."""
    name = Path("the packed raster")
    output = Output(name, str(values.dtype), nodata, tuple(names), tags or {}, colormap)
    with _in_memory(values, grid, output, profile or Profile()) as memory:
        yield memory.getbuffer()


def write_cog(
    path: Path | str,
    values: Array,
    grid: Grid,
    *,
    nodata: float | None,
    names: Sequence[str],
    tags: Mapping[str, str] | None = None,
    colormap: Colormap | None = None,
    overviews: str = "nearest",
) -> None:
    """Write a Cloud-Optimized GeoTIFF; arguments and errors are those of `write`.

    `overviews` says how they are made: `mode` for classes, `average` for quantities.
    """
    kind = str(values.dtype)
    output = Output(Path(path), kind, nodata, tuple(names), tags or {}, colormap, overviews)
    with (
        _in_memory(values, grid, output, Profile()) as memory,
        MemoryFile(ext=".tif") as cog,
    ):
        to_cog(memory.name, cog.name, output)
        write_bytes(path, cog.getbuffer())


@contextlib.contextmanager
def _in_memory(values: Array, grid: Grid, output: Output, profile: Profile) -> Iterator[MemoryFile]:
    """Pack the array in memory: what fails on the way to the disk is then a plain `OSError`."""
    cube = values[np.newaxis] if values.ndim == 2 else values
    if cube.ndim != 3 or cube.shape[1:] != grid.shape or len(cube) != len(output.names):
        raise RasterError(
            f"values {values.shape} do not fit {len(output.names)} band(s) of a grid "
            f"{grid.shape}; give (band, row, col) and one name for each band"
        )
    with MemoryFile(ext=".tif") as memory:
        with created(memory.name, output, grid, profile) as target:
            target.write(cube)
        yield memory


@contextlib.contextmanager
def created(name: Path | str, output: Output, grid: Grid, profile: Profile) -> Iterator[Any]:
    """Create a GeoTIFF and give it to be filled."""
    with _unplaced(grid):
        opened = rasterio.open(
            name,
            "w",
            driver="GTiff",
            height=grid.shape[0],
            width=grid.shape[1],
            count=len(output.names),
            dtype=output.dtype,
            crs=_crs(grid.crs),
            transform=grid.transform,
            nodata=output.nodata,
            **profile.options(output.dtype),
        )
    with opened as target:
        if output.colormap is not None:
            others = [ColorInterp.undefined] * (len(output.names) - 1)
            target.colorinterp = [ColorInterp.palette, *others]
            target.write_colormap(1, dict(output.colormap))
        target.descriptions = output.names
        target.update_tags(**dict(output.tags))
        yield target


@contextlib.contextmanager
def _unplaced(grid: Grid) -> Iterator[None]:
    """No warning for a raster that says itself that it lies nowhere.

    Filters of warnings belong to the process: they are left alone where nothing would be warned of,
    for files are made in threads.
    """
    if grid.transform not in (Affine.identity(), Affine.scale(1, -1)):
        yield
        return
    with unwarned():
        yield


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """No warning of rasters that lie nowhere, which rasterio's own functions make as well.

    One thread at a time changes the process's filters: two at once would undo each other's.
    """
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _crs(text: str) -> CRS | None:
    if not text:
        return None
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise RasterError(f"no coordinate reference system: {text[:80]!r}") from error


def to_cog(source: Path | str, target: Path | str, output: Output, threads: int = 0) -> None:
    """Copy a raster into a Cloud-Optimized GeoTIFF, its tags, names and colours with it.

    `threads` pack blocks; by default one for each core.

    Classes are packed at level 6; level 1 packs floating point to nearly the same size in half the
    time.
    """
    floating = np.issubdtype(np.dtype(output.dtype), np.floating)
    rasterio.shutil.copy(
        str(source),
        str(target),
        driver="COG",
        compress="ZSTD",
        level=1 if floating else 6,
        predictor="FLOATING_POINT" if floating else "STANDARD",
        overview_resampling=output.overviews.upper(),
        bigtiff="IF_SAFER",
        num_threads=threads or "ALL_CPUS",
    )


def read_back(path: Path) -> None:
    """Read a file block by block: GDAL tells nobody when the disk is full while it closes."""
    with rasterio.open(path) as source:
        for _, block in source.block_windows(1):
            source.read(window=block)
