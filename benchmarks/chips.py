"""Hand-labelled chips, as arrays and as a tile store.

Two layouts of `.npz` are read. `img` (row, col, 6) reflectance of Blue, Green, Red, NIR, SWIR1 and
SWIR2 with `msk` (row, col, 1) or (row, col), 0 shadow, 1 water, 2 snow, 3 land, 4 cloud: one date,
no QA band, no elevation; the raw label is CFMask's water test. And `image` (chip, 12, row, col)
with `label` (chip, row, col), 1 water: bands 1 to 6 the same six times 10,000, 7 a QA band in HLS'
Fmask bits, 9 elevation in metres; the raw label is its water bit.

Cloud is not observed: NaN in the features, 255 in raw label and reference. Shadow and snow are
land.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee import indices
from water_gee.imagery.composite import ELEVATION_UNIT
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import NOT_OBSERVED, TileStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]
    ByteArray = npt.NDArray[np.uint8]

BANDS = ("Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2")

CLOUD, WATER = 4, 1
"""Codes of `msk`."""

MARGIN = 3
"""Of the store's tiles; a chip's own outermost pixels."""

PIXEL_METRES = 30.0

DEGREE_METRES = 111_320.0
"""Of longitude, at the equator."""

# HLS Fmask: 1 cloud, 2 adjacent to cloud, 3 cloud shadow, 5 water; 255 is fill.
QA_OBSCURED, QA_WATER, QA_FILL = 0b1110, 1 << 5, 255

SCALE = 1e-4

_ENDS = (((0, -2), (0, 2)), ((-2, 0), (2, 0)), ((-2, -2), (2, 2)), ((-2, 2), (2, -2)))
"""Steps `(row, col)` from a pixel to the two ends of each direction of the line feature."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A piece of a scene with a reference.

    Attributes:
        name: Of its file, and its number there.
        bands: float32 `(6, row, col)`, reflectance in the order of `BANDS`, NaN where not observed.
        raw: uint8 `(row, col)`, the label to be corrected: 0 land, 1 water, 255 not observed.
        reference: uint8 `(row, col)`, the same codes, by hand.
        elevation: float32 `(row, col)`, metres; None where there is none.
    """

    name: str
    bands: FloatArray
    raw: ByteArray
    reference: ByteArray
    elevation: FloatArray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        return self.raw.shape[0], self.raw.shape[1]

    @property
    def features(self) -> FloatArray:
        """The eight features, float32 `(8, row, col)`, as the package's composite defines them."""
        wet = indices.mndwi(self.bands[1], self.bands[4]).astype(np.float32)
        height = np.zeros(self.shape, np.float32) if self.elevation is None else self.elevation
        stacked = np.stack([*self.bands[:5], wet, line(wet), height / ELEVATION_UNIT])
        stacked[:, np.isnan(self.bands).any(axis=0)] = np.nan
        return np.asarray(stacked, np.float32)


def line(index: FloatArray) -> FloatArray:
    """The line feature of an index: the largest of four 5 x 5 kernels' responses.

    2 at the centre, -1 at the two ends of a direction; an end that was not observed, or lies
    outside, counts as the centre.

    Args:
        index: float32 `(row, col)`, NaN where not observed.

    Returns:
        float32 `(row, col)`, NaN where the centre was not observed.
    """
    rows, cols = index.shape
    around = np.pad(index, 2, constant_values=np.nan)

    def end(step: tuple[int, int]) -> FloatArray:
        down, right = step
        there = around[2 + down : 2 + down + rows, 2 + right : 2 + right + cols]
        return np.where(np.isnan(there), index, there)

    responses = [2 * index - end(first) - end(second) for first, second in _ENDS]
    return np.maximum.reduce(responses).astype(np.float32)


def read(folder: Path) -> list[Chip]:
    """Every chip of a folder's `.npz` files, by name.

    Raises:
        SystemExit: There is none, or one of another layout.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise SystemExit(f"{folder}: no .npz files; --data names a folder of labelled chips")
    return [chip for path in paths for chip in _read_file(path)]


def _read_file(path: Path) -> list[Chip]:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    if {"img", "msk"} <= content.keys():
        return [_one_date(path.stem, content["img"], content["msk"])]
    if {"image", "label"} <= content.keys():
        names = content.get("id", np.arange(len(content["image"])))
        return [
            _with_qa(f"{path.stem}-{int(number):03d}", image, label)
            for number, image, label in zip(names, content["image"], content["label"], strict=True)
        ]
    raise SystemExit(
        f"{path}: holds {', '.join(content)}; known are img with msk, image with label"
    )


def _one_date(name: str, image: npt.NDArray[np.generic], mask: npt.NDArray[np.generic]) -> Chip:
    bands = np.moveaxis(image, -1, 0).astype(np.float32)
    codes = np.asarray(mask).reshape(image.shape[:2])
    bands[:, (codes == CLOUD) | np.isnan(bands).any(axis=0)] = np.nan
    return _chip(name, bands, indices.cfmask_water(bands[2], bands[3]), codes == WATER, None)


def _with_qa(name: str, image: npt.NDArray[np.generic], label: npt.NDArray[np.generic]) -> Chip:
    qa = image[7].astype(int)
    bands = image[1:7].astype(np.float32) * np.float32(SCALE)
    bands[:, ((qa & QA_OBSCURED) != 0) | (qa == QA_FILL)] = np.nan
    water = ((qa & QA_WATER) != 0).astype(np.uint8)
    return _chip(name, bands, water, label == WATER, image[9].astype(np.float32))


def _chip(
    name: str,
    bands: FloatArray,
    raw: ByteArray,
    water: npt.NDArray[np.bool_],
    elevation: FloatArray | None,
) -> Chip:
    unseen = np.isnan(bands).any(axis=0)
    codes = [np.where(unseen, NOT_OBSERVED, found).astype(np.uint8) for found in (raw, water)]
    return Chip(name, bands, codes[0], codes[1], elevation)


# ---------------------------------------------------------------------- as a store


def recipe_of(chips: Sequence[Chip]) -> Recipe:
    """A recipe whose tiles hold any of the chips; pixels of about 30 m."""
    side = max(max(chip.shape) for chip in chips)
    pixels = side - 2 * MARGIN
    # Three decimals, as the id of a cell has them.
    cell = max(0.001, math.ceil(pixels * PIXEL_METRES / DEGREE_METRES * 1000) / 1000)
    if all(chip.elevation is None for chip in chips):
        return Recipe(pixels=pixels, margin=MARGIN, cell=cell, dem=None)
    return Recipe(pixels=pixels, margin=MARGIN, cell=cell)


def make_store(folder: Path, chips: Sequence[Chip]) -> TileStore:
    """Write chips as the tiles of a new store, in a row along the equator, a cell apart.

    A chip lies in the upper left corner of its tile; what is beyond it was not observed.
    """
    recipe = recipe_of(chips)
    store = TileStore.open(folder, recipe, create=True)
    for cell, chip in zip(cells(recipe, len(chips)), chips, strict=True):
        features, swir2 = _padded(chip.features, recipe.side), _padded(chip.bands[5:], recipe.side)
        mask = np.full((recipe.side, recipe.side), NOT_OBSERVED, np.uint8)
        mask[: chip.shape[0], : chip.shape[1]] = chip.raw
        store.write_tile(cell, features, mask, evidence={"SWIR2": swir2[0]})
    return store


def cells(recipe: Recipe, count: int) -> list[Cell]:
    """The cells of a store's chips, in the order of the chips."""
    lattice = Lattice.of(recipe)
    return [Cell(2 * number, 0, lattice) for number in range(count)]


def read_label(store: TileStore, number: int, chip: Chip, folder: str) -> ByteArray:
    """The corrected label of a chip, the raw label where the store has none; uint8 `(row, col)`."""
    cell = cells(store.recipe, number + 1)[number]
    found = store.has_label(cell, folder)
    label = store.read_label(cell, folder) if found else store.read_mask(cell)
    return label[: chip.shape[0], : chip.shape[1]]


def _padded(values: FloatArray, side: int) -> FloatArray:
    padded = np.full((len(values), side, side), np.nan, np.float32)
    padded[:, : values.shape[1], : values.shape[2]] = values
    return padded
