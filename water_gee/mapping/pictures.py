"""Small pictures of tiles, labels and maps, for reports.

Every picture covers the cells of a store side by side, averaged down to a few hundred pixels, so
that a river one pixel wide pales instead of breaking.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import image

from water_gee import raster
from water_gee.imagery.store import COLORS, LAND, NOT_OBSERVED, WATER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.store import TileStore

    Pixels = NDArray[np.uint8]
    Colour = tuple[int, int, int]

LONGEST = 760
"""Longest side of a picture in pixels."""

UNSEEN: Colour = (150, 150, 150)
"""Grey: not observed."""

CLASS_COLOURS: dict[int, Colour] = {
    LAND: COLORS[LAND][:3],
    WATER: COLORS[WATER][:3],
    NOT_OBSERVED: UNSEEN,
}

AGREED_LAND: Colour = (240, 238, 232)
AGREED_WATER: Colour = (150, 190, 220)
ONLY_MAP: Colour = (230, 140, 20)
ONLY_REFERENCE: Colour = (200, 30, 60)
"""Differences: water in the map only, water in the reference only; apart for the colour-blind."""

FALSE_COLOUR = ("SWIR1", "NIR", "Red")
"""Bands shown as red, green and blue: water dark or blue, plants green, bare ground pink."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where the cells of a store lie in a picture.

    Attributes:
        cells: Cell -> `(row, col)` of its upper left corner in the picture.
        side: Pixels along a cell's side.
        shape: `(row, col)` of the picture.
        aspect: Width over height as it is on the ground.
    """

    cells: Mapping[Cell, tuple[int, int]]
    side: int
    shape: tuple[int, int]
    aspect: float


def sheet(cells: Sequence[Cell]) -> Sheet:
    """Lay out cells side by side.

    Args:
        cells: At least one.
    """
    left, top = min(cell.col for cell in cells), max(cell.row for cell in cells)
    cols = max(cell.col for cell in cells) - left + 1
    rows = top - min(cell.row for cell in cells) + 1
    side = max(1, min(cells[0].lattice.pixels, LONGEST // max(rows, cols)))
    places = {cell: ((top - cell.row) * side, (cell.col - left) * side) for cell in cells}
    middle = math.radians(sum(cell.bounds[1] + cell.bounds[3] for cell in cells) / 2 / len(cells))
    return Sheet(places, side, (rows * side, cols * side), cols * math.cos(middle) / rows)


def false_colour(store: TileStore, on: Sheet) -> Pixels:
    """Picture the composite in `FALSE_COLOUR`, stretched to what there is of each band."""
    names = list(store.recipe.features)
    bands = [names.index(name) for name in FALSE_COLOUR if name in names] or [0, 0, 0]
    values = np.full((*on.shape, 3), np.nan, dtype=np.float32)
    for cell, place in on.cells.items():
        file = raster.read(store.image_path(cell), bands=[band + 1 for band in bands]).values
        part = file[:, *cell.core.slices].astype(np.float32).transpose(1, 2, 0)
        _paste(values, _averaged(np.broadcast_to(part, (*part.shape[:2], 3)), on.side), place)
    seen = np.isfinite(values).all(axis=2)
    out = np.empty((*on.shape, 3), dtype=np.uint8)
    for band in range(3):
        there = values[..., band][seen]
        low, high = np.percentile(there, [1, 99]) if there.size else (0.0, 1.0)
        share = np.clip((values[..., band] - low) / max(high - low, 1e-6), 0, 1)
        # Five bits a band are enough for the eye and halve the file.
        out[..., band] = (np.nan_to_num(share) ** 0.8 * 255).astype(np.uint8) & 0xF8
    out[~seen] = UNSEEN
    return out


def classes(read: Callable[[Cell], Pixels | None], on: Sheet) -> Pixels:
    """Picture codes.

    Args:
        read: Codes of a cell without margin: 0 land, 1 water, 255 not observed; None: no such tile.
        on: The layout.
    """
    return _painted(read, on, CLASS_COLOURS)


def differences(
    read: Callable[[Cell], Pixels | None], reference: Callable[[Cell], Pixels | None], on: Sheet
) -> Pixels:
    """Picture where codes differ from reference codes; grey where either was not observed."""

    def compared(cell: Cell) -> Pixels | None:
        ours, theirs = read(cell), reference(cell)
        if ours is None or theirs is None:
            return None
        both = (ours == WATER) + 2 * (theirs == WATER).astype(np.uint8)
        unseen = (ours == NOT_OBSERVED) | (theirs == NOT_OBSERVED)
        return np.where(unseen, NOT_OBSERVED, both).astype(np.uint8)

    colours = {0: AGREED_LAND, 1: ONLY_MAP, 2: ONLY_REFERENCE, 3: AGREED_WATER}
    return _painted(compared, on, {**colours, NOT_OBSERVED: UNSEEN})


def from_raster(path: Path) -> Callable[[Cell], Pixels | None]:
    """Make a reader of a class raster on the lattice: the codes of a cell, without margin."""
    grid = raster.describe(path).grid

    def read(cell: Cell) -> Pixels | None:
        west, _, _, north = cell.bounds
        row = round((north - grid.transform.f) / grid.transform.e)
        col = round((west - grid.transform.c) / grid.transform.a)
        window = raster.Window(row, col, cell.core.height, cell.core.width)
        inside = 0 <= row <= grid.shape[0] - window.height
        if not inside or not 0 <= col <= grid.shape[1] - window.width:
            return None
        return np.asarray(raster.read(path, bands=[1], window=window).values[0], dtype=np.uint8)

    return read


def png(pixels: Pixels) -> bytes:
    """Encode `uint8 (row, col, 3)`; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    image.imsave(
        buffer, pixels, format="png", metadata={"Software": ""}, pil_kwargs={"optimize": True}
    )
    return buffer.getvalue()


def data_uri(content: bytes) -> str:
    """Put a PNG where a page expects an address."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _painted(
    read: Callable[[Cell], Pixels | None], on: Sheet, colours: Mapping[int, Colour]
) -> Pixels:
    table = np.zeros((256, 3), dtype=np.float32)
    for code, colour in colours.items():
        table[code] = colour
    values = np.full((*on.shape, 3), UNSEEN, dtype=np.float32)
    for cell, place in on.cells.items():
        codes = read(cell)
        if codes is not None:
            _paste(values, _averaged(table[codes], on.side), place)
    return np.rint(values).astype(np.uint8)


def _averaged(values: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Average `(row, col, channel)` down to `side` x `side` blocks of nearly equal size."""
    out: NDArray[Any] = values.astype(np.float32)
    for axis in (0, 1):
        size = values.shape[axis]
        if size <= side:
            out = np.take(out, np.arange(side) * size // side, axis=axis)
            continue
        starts = np.arange(side) * size // side
        counts = np.diff(np.append(starts, size)).astype(np.float32)
        out = np.add.reduceat(out, starts, axis=axis)
        out /= counts[:, None, None] if axis == 0 else counts[None, :, None]
    return out


def _paste(canvas: NDArray[np.float32], part: NDArray[np.float32], at: tuple[int, int]) -> None:
    row, col = at
    canvas[row : row + part.shape[0], col : col + part.shape[1]] = part
