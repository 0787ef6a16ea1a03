"""Cloud-Optimized GeoTIFFs written window by window, from whatever several sources give."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from water_gee.files import atomic, refuse_write
from water_gee.imagery.store import NOT_OBSERVED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.windows import Grid, Window

    Colormap = Mapping[int, tuple[int, int, int, int]]

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Layer:
    """One band of bytes to be written; 255 is not observed.

    Attributes:
        name: Of the band.
        colours: The colour table.
        overviews: `mode` for classes, `nearest` for quantities.
        tags: The file's metadata.
    """

    name: str
    colours: Colormap | None
    overviews: str = "mode"
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Writer:
    """An open file."""

    path: Path
    target: Any

    def write(self, values: npt.NDArray[Any], window: Window) -> None:
        """Write `uint8 (row, col)` into a window.

        Raises:
            RasterError: The disk is full.
        """
        with _refusing(self.path):
            self.target.write(values, 1, window=window.rasterio)


@contextlib.contextmanager
def writing(path: Path, grid: Grid, layer: Layer) -> Iterator[Writer]:
    """Open a file to write; it appears whole when the block ends, or not at all.

    Raises:
        RasterError: The disk is full, or the folder cannot be written.
    """
    with atomic(path) as final:
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "No such folder", str(path.parent))
        plain = final.with_name(f"{final.name}.plain")
        try:
            with _refusing(path):
                target = _created(plain, grid, layer)
            with target:
                yield Writer(path, target)
            with _refusing(path):
                rasterio.shutil.copy(
                    str(plain),
                    str(final),
                    driver="COG",
                    compress="ZSTD",
                    level=6,
                    predictor="STANDARD",
                    overview_resampling=layer.overviews.upper(),
                    bigtiff="IF_SAFER",
                )
                _read_back(final)
        finally:
            with contextlib.suppress(OSError):
                plain.unlink(missing_ok=True)


def _created(plain: Path, grid: Grid, layer: Layer) -> Any:
    target = rasterio.open(
        plain,
        "w",
        driver="GTiff",
        height=grid.shape[0],
        width=grid.shape[1],
        count=1,
        dtype="uint8",
        crs=CRS.from_user_input(grid.crs),
        transform=grid.transform,
        nodata=NOT_OBSERVED,
        compress="zstd",
        zstd_level=1,
        tiled=True,
        blockxsize=_BLOCK,
        blockysize=_BLOCK,
        bigtiff="if_safer",
    )
    if layer.colours is not None:
        target.colorinterp = [ColorInterp.palette]
        target.write_colormap(1, dict(layer.colours))
    target.descriptions = (layer.name,)
    target.update_tags(**dict(layer.tags))
    return target


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        refuse_write(path, error)


def _read_back(path: Path) -> None:
    """Read a file block by block: GDAL tells nobody when the disk is full while it closes."""
    with rasterio.open(path) as source:
        for _, block in source.block_windows(1):
            source.read(1, window=block)
