"""What a network can be run over: a tile store, stacks of features, or what a service composes.

Several files are read as one through a VRT, GDAL's own description of a mosaic, kept in memory.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

from water_gee import raster, vrt
from water_gee.errors import AoiError, RasterError, StoreError
from water_gee.imagery.recipe import MAY_DIFFER, Recipe, check_same
from water_gee.imagery.store import TileStore
from water_gee.mapping import composed
from water_gee.pipeline import FileReader
from water_gee.session import Session
from water_gee.vrt import Piece
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from water_gee.imagery.grid import Lattice
    from water_gee.pipeline import Reader

    Source = TileStore | Session | Path | str | Sequence[Path | str]

_SLACK = 1e-3
"""Pixels by which the grids of two files may miss each other."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that `raster.map_windows` can read.

    Attributes:
        reader: Gives windows of the features.
        within: The part to map; what lies around it is read for its neighbourhood only.
        nodata: What stands for not observed, besides NaN.
        identity: Changes when the pixels do: names, sizes and times of files, or scenes.
        recipe: What the pixels were made with; of files, which do not say it, that of the model.
        path: The file, where it is one.
        text: The VRT, where it is several.
        clipped: Whether a last band says which pixels lie in the area asked for.
    """

    reader: Reader
    within: Window | None
    nodata: float | None
    identity: tuple[Any, ...]
    recipe: Recipe
    path: Path | None = None
    text: str | None = None
    clipped: bool = False


@contextlib.contextmanager
def opened(
    source: Source,
    recipe: Recipe,
    halo: int,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
) -> Iterator[Opened]:
    """Open a source of features.

    Args:
        source: A tile store or its folder; a GeoTIFF with one band for each feature; several on
            one grid, of which later ones lie over earlier ones; the folder of an emulator's
            catalogue; or a session.
        recipe: What the features must have been made with; years and composite may differ.
        halo: Pixels around the area that the network sees.
        aoi: The area to be composed, for a catalogue or a session.
        years: Other years than the recipe's, for a catalogue or a session.

    Raises:
        StoreError: No store there, an empty one, or one with a tile for each acquisition.
        RecipeMismatchError: A store of another recipe.
        RasterError: A file that cannot be read, has other bands, or does not fit the others.
        AoiError: No area, or one for files, which have their own.
        SessionError: Nobody answers.
    """
    if isinstance(source, Session) or (
        isinstance(source, (str, Path)) and composed.is_catalog(source)
    ):
        with composed.opened(source, recipe, halo, aoi, years) as (reader, within):
            yield Opened(reader, within, None, reader.identity, reader.recipe, clipped=True)
        return
    if aoi is not None or years is not None:
        raise AoiError(
            f"`aoi` and `years` are for what a service composes, not for {source!s:.80}; leave "
            "them out, or name a catalogue"
        )
    if isinstance(source, TileStore):
        with _mosaic(*_tiles(source, recipe), source.recipe) as mosaic:
            yield mosaic
    elif isinstance(source, (str, Path)):
        path = Path(source)
        if path.is_dir():
            with TileStore.open(path) as store, opened(store, recipe, halo) as mosaic:
                yield mosaic
        else:
            header = _checked(path, recipe)
            with FileReader(path) as reader:
                yield Opened(reader, None, header.nodata, (_identity(path),), recipe, path=path)
    else:
        paths = [Path(path) for path in source]
        if not paths:
            raise RasterError("no files to map; give one GeoTIFF of features or more")
        with _mosaic(*_files(paths, recipe), recipe) as mosaic:
            yield mosaic


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        about = path.stat()
    except OSError as error:
        raise RasterError(f"cannot read {path}: {error.strerror}") from error
    return str(path.resolve()), about.st_size, about.st_mtime_ns


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


def _tiles(store: TileStore, recipe: Recipe) -> tuple[list[Piece], Grid, Window, float | None]:
    """The tiles of a store: margins first, so that none covers a neighbour's own pixels."""
    check_same(recipe, store.recipe, ("the model", f"the store {store.path}"), ignore=MAY_DIFFER)
    if store.recipe.composite == "scene":
        raise StoreError(
            f"the store {store.path} has a tile for each acquisition, which lie over each other; "
            "map the season instead: give the catalogue or session and an area, or a store of the "
            "same recipe with composite='median'"
        )
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
            pieces.append(Piece(store.image_path(cell), part, row, col))
    rows, cols = grid.shape
    within = Window(margin, margin, rows - 2 * margin, cols - 2 * margin)
    return pieces, grid, within, float("nan")


def _lattice_grid(lattice: Lattice, left: int, top: int, width: int, height: int) -> Grid:
    step, degrees = lattice.degrees(1), lattice.degrees
    corner = Affine(step, 0.0, degrees(left), 0.0, -step, degrees(top))
    return Grid(lattice.crs, corner, (height, width))


def _files(
    paths: list[Path], recipe: Recipe
) -> tuple[list[Piece], Grid, Window | None, float | None]:
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
        Piece(path, Window(0, 0, *shape), row - top, col - left)
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
    pieces: list[Piece], grid: Grid, within: Window | None, nodata: float | None, recipe: Recipe
) -> Iterator[Opened]:
    empty = float("nan") if nodata is None else nodata
    text = vrt.mosaic(
        pieces, grid, dtype="float32", nodata=empty, names=recipe.features, overlap=True
    )
    files = {piece.path: None for piece in pieces}
    identity = (text, *(_identity(path) for path in files))
    with MemoryFile(text.encode(), ext=".vrt") as memory, FileReader(memory.name) as reader:
        yield Opened(reader, within, nodata, identity, recipe, text=text)
