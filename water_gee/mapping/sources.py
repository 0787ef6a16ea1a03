"""What a network can be run over: a tile store, a stack of features, or several stacks as one.

Several files are read as one through a VRT, GDAL's own description of a mosaic, kept in memory.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

from water_gee import raster
from water_gee.errors import RasterError, StoreError
from water_gee.imagery.recipe import Recipe, check_same
from water_gee.imagery.store import TileStore
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from water_gee.imagery.grid import Lattice

    Source = TileStore | Path | str | Sequence[Path | str]

_SLACK = 1e-3
"""Pixels by which the grids of two files may miss each other."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that `raster.map_windows` can read.

    Attributes:
        path: A file, or a name in GDAL's memory.
        within: The part to map; what lies around it is read for its neighbourhood only.
        nodata: What stands for not observed, besides NaN.
    """

    path: Path | str
    within: Window | None
    nodata: float | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A rectangle of a file, and where it goes in the mosaic."""

    path: Path
    part: Window
    row: int
    col: int


@contextlib.contextmanager
def opened(source: Source, recipe: Recipe) -> Iterator[Opened]:
    """Open a source of features.

    Args:
        source: A tile store or its folder; a GeoTIFF with one band for each feature; or several on
            one grid, of which later ones lie over earlier ones.
        recipe: What the features must have been made with; years may differ.

    Raises:
        StoreError: No store there, or an empty one.
        RecipeMismatchError: A store of another recipe.
        RasterError: A file that cannot be read, has other bands, or does not fit the others.
    """
    if isinstance(source, TileStore):
        with _mosaic(*_tiles(source, recipe), recipe) as mosaic:
            yield mosaic
    elif isinstance(source, (str, Path)):
        if Path(source).is_dir():
            with TileStore.open(source) as store, opened(store, recipe) as mosaic:
                yield mosaic
        else:
            header = _checked(Path(source), recipe)
            yield Opened(Path(source), None, header.nodata)
    else:
        paths = [Path(path) for path in source]
        if not paths:
            raise RasterError("no files to map; give one GeoTIFF of features or more")
        with _mosaic(*_files(paths, recipe), recipe) as mosaic:
            yield mosaic


def _checked(path: Path, recipe: Recipe) -> raster.Header:
    """The header of a stack of features.

    Raises:
        RasterError: It is none, or not of this recipe.
    """
    header = raster.describe(path)
    if not np.issubdtype(np.dtype(header.dtype), np.floating):
        raise RasterError(
            f"{path} holds {header.dtype}, and features are floating point; "
            "`water_gee.download_tiles` makes them"
        )
    wanted = recipe.features
    if any(header.names) and header.names != wanted:
        found = ", ".join(name or "(no name)" for name in header.names)
        raise RasterError(
            f"{path} has the bands {found}; the model takes {', '.join(wanted)}, in this order"
        )
    if len(header.names) != len(wanted):
        raise RasterError(
            f"{path} has {len(header.names)} bands; the model takes {len(wanted)}: "
            f"{', '.join(wanted)}"
        )
    return header


def _tiles(store: TileStore, recipe: Recipe) -> tuple[list[_Piece], Grid, Window, float | None]:
    """The tiles of a store: margins first, so that none covers a neighbour's own pixels."""
    check_same(recipe, store.recipe, ("the model", f"the store {store.path}"), ignore=("years",))
    cells = store.cells()
    if not cells:
        raise StoreError(f"the store {store.path} has no observed tile; download some first")
    lattice = cells[0].lattice
    margin = lattice.margin
    left = min(cell.origin[0] + cell.core.col for cell in cells) - margin
    right = max(cell.origin[0] + cell.core.col + cell.core.width for cell in cells) + margin
    top = max(cell.origin[1] - cell.core.row for cell in cells) + margin
    bottom = min(cell.origin[1] - cell.core.row - cell.core.height for cell in cells) - margin
    grid = _lattice_grid(lattice, left, top, right - left, top - bottom)
    pieces = []
    for parts in ("on_earth", "core"):
        for cell in cells:
            part: Window = getattr(cell, parts)
            row, col = top - cell.origin[1] + part.row, cell.origin[0] - left + part.col
            pieces.append(_Piece(store.image_path(cell), part, row, col))
    rows, cols = grid.shape
    within = Window(margin, margin, rows - 2 * margin, cols - 2 * margin)
    return pieces, grid, within, float("nan")


def _lattice_grid(lattice: Lattice, left: int, top: int, width: int, height: int) -> Grid:
    step, degrees = lattice.degrees(1), lattice.degrees
    corner = Affine(step, 0.0, degrees(left), 0.0, -step, degrees(top))
    return Grid(lattice.crs, corner, (height, width))


def _files(
    paths: list[Path], recipe: Recipe
) -> tuple[list[_Piece], Grid, Window | None, float | None]:
    """Files of one CRS and pixel size, laid out on the grid of the first."""
    headers = [_checked(path, recipe) for path in paths]
    first = headers[0].grid
    places = []
    for path, header in zip(paths, headers, strict=True):
        row, col = _offset(first, header.grid)
        if abs(row - round(row)) > _SLACK or abs(col - round(col)) > _SLACK:
            raise RasterError(
                f"{path} lies ({row % 1:.3g}, {col % 1:.3g}) pixels beside the grid of {paths[0]}; "
                "map it alone, or warp it onto that grid"
            )
        if not _same_number(header.nodata, headers[0].nodata):
            raise RasterError(
                f"{path} marks what was not observed by {header.nodata}, {paths[0]} by "
                f"{headers[0].nodata}; map them one by one"
            )
        places.append((round(row), round(col), header.grid.shape))
    top, left = min(row for row, _, _ in places), min(col for _, col, _ in places)
    rows = max(row + shape[0] for row, _, shape in places) - top
    cols = max(col + shape[1] for _, col, shape in places) - left
    pieces = [
        _Piece(path, Window(0, 0, *shape), row - top, col - left)
        for path, (row, col, shape) in zip(paths, places, strict=True)
    ]
    return pieces, first.window(top, left, rows, cols), None, headers[0].nodata


def _offset(first: Grid, other: Grid) -> tuple[float, float]:
    """`(row, col)` of another grid's corner, in pixels of the first.

    Raises:
        RasterError: Another CRS or pixel size.
    """
    a, b = first.transform, other.transform
    same_size = np.allclose((a.a, a.b, a.d, a.e), (b.a, b.b, b.d, b.e), rtol=1e-9, atol=1e-15)
    if first.crs != other.crs or not same_size:
        raise RasterError(
            "the files are on different grids (CRS or pixel size); map them one by one, or warp "
            "them onto one"
        )
    x, y = b.c - a.c, b.f - a.f
    scale = a.a * a.e - a.b * a.d
    return (a.a * y - a.d * x) / scale, (a.e * x - a.b * y) / scale


def _same_number(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return a == b or (np.isnan(a) and np.isnan(b))


@contextlib.contextmanager
def _mosaic(
    pieces: list[_Piece], grid: Grid, within: Window | None, nodata: float | None, recipe: Recipe
) -> Iterator[Opened]:
    empty = float("nan") if nodata is None else nodata
    text = _vrt(pieces, grid, empty, recipe.features)
    with MemoryFile(text.encode(), ext=".vrt") as memory:
        yield Opened(memory.name, within, nodata)


def _vrt(pieces: list[_Piece], grid: Grid, nodata: float, names: tuple[str, ...]) -> str:
    rows, cols = grid.shape
    t = grid.transform
    corner = ", ".join(repr(number) for number in (t.c, t.a, t.b, t.f, t.d, t.e))
    bands = [_band(pieces, index, name, nodata) for index, name in enumerate(names, 1)]
    return (
        f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}"><SRS>{escape(grid.crs)}</SRS>'
        f"<GeoTransform>{corner}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def _band(pieces: list[_Piece], index: int, name: str, nodata: float) -> str:
    sources = []
    for piece in pieces:
        part = piece.part
        size = f'xSize="{part.width}" ySize="{part.height}"'
        sources.append(
            "<ComplexSource>"
            f'<SourceFilename relativeToVRT="0">{escape(str(piece.path.resolve()))}'
            f"</SourceFilename><SourceBand>{index}</SourceBand>"
            f'<SrcRect xOff="{part.col}" yOff="{part.row}" {size}/>'
            f'<DstRect xOff="{piece.col}" yOff="{piece.row}" {size}/>'
            f"<NODATA>{nodata!r}</NODATA></ComplexSource>"
        )
    return (
        f'<VRTRasterBand dataType="Float32" band="{index}"><Description>{escape(name)}'
        f"</Description><NoDataValue>{nodata!r}</NoDataValue>{''.join(sources)}</VRTRasterBand>"
    )
