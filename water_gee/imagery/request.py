"""One request for pixels, and one tile of one request or a few."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from water_gee.errors import DownloadError
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.windows import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.recipe import Recipe

MAX_REQUEST_BYTES = 48 * 1024 * 1024
"""Uncompressed pixels of one computePixels request, from its reference page."""

MAX_REQUESTS = 4
"""Requests of that size that features and label of a tile may take; a default cell in pixels of
10 m, 1503 a side, takes half of that. Larger tiles fill the memory of a training run by threes."""


def check_size(recipe: Recipe) -> None:
    """Refuse tiles that are too large.

    Raises:
        DownloadError: Their features and label take more than `MAX_REQUESTS` requests.
    """
    size = recipe.side**2 * _label_bytes(recipe)
    if size > MAX_REQUESTS * MAX_REQUEST_BYTES:
        raise DownloadError(
            f"a tile of {recipe.side} x {recipe.side} pixels has {size} bytes, the service gives "
            f"{MAX_REQUEST_BYTES} at once, and {MAX_REQUESTS} requests a tile are enough; use "
            "fewer `pixels` and a smaller `cell` in the recipe"
        )


def _label_bytes(recipe: Recipe) -> int:
    """Of a pixel's features and label."""
    return 4 * len(recipe.features) + 1


@dataclass(frozen=True, slots=True)
class TilePixels:
    """A tile as it came home.

    Attributes:
        features: `float32 (feature, row, col)`, NaN where nothing was observed.
        mask: The QA label, `uint8 (row, col)`: 0 land, 1 water, 255 not observed.
        evidence: `recipe.EVIDENCE`, each `float32 (row, col)`, NaN where nothing is known; a band
            without any value is left out.
    """

    features: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    evidence: dict[str, npt.NDArray[np.float32]]


def request_tile(
    cell: Cell, recipe: Recipe, image: Any = None, sensor: str | None = None
) -> TilePixels:
    """Ask for one tile, once; in several requests, row by row, where it is too large for one.

    Args:
        cell: Which.
        recipe: Of the cell's lattice.
        image: `composite.request_image(recipe, evidence=True)`, where it is at hand.
        sensor: Whose acquisition the cell is of, where it is of one.

    Returns:
        The tile. What of it lies beyond ±180 or ±90 is not asked for and not observed.

    Raises:
        DownloadError: The answer is not what was asked for.
    """
    from water_gee.imagery import composite, evidence

    part = cell.on_earth
    names = (*recipe.features, composite.WATER, *evidence.CARRIED)
    scene = (sensor, cell.scene) if sensor is not None else None
    if image is None:
        image = composite.request_image(recipe, evidence=True, scene=scene)
    strips = [request_pixels(image, names, grid) for grid in _strips(cell, recipe, evidence.BYTES)]
    pixels = np.concatenate(strips)
    features = np.full((len(recipe.features), *cell.shape), np.nan, np.float32)
    mask = np.full(cell.shape, NOT_OBSERVED, np.uint8)
    mask[part.slices] = pixels[composite.WATER]
    seen = mask[part.slices] != NOT_OBSERVED
    for band, name in enumerate(recipe.features):
        features[band][part.slices] = np.where(seen, pixels[name], np.nan)
    found = {}
    for name, values in evidence.unpack(pixels, seen, composite.FILL).items():
        found[name] = np.full(cell.shape, np.nan, np.float32)
        found[name][part.slices] = values
    return TilePixels(features, mask, found)


def _strips(cell: Cell, recipe: Recipe, beside: int) -> Iterator[Grid]:
    """The tile's rows, as few requests as its bytes allow, from the north.

    Corners are the very numbers that the lattice has, not what an affine transform makes of them.
    """
    part, (col, row) = cell.on_earth, cell.origin
    transform, degrees = cell.grid.transform, cell.lattice.degrees
    rows = max(1, MAX_REQUEST_BYTES // (part.width * (_label_bytes(recipe) + beside)))
    west = degrees(col + part.col)
    for first in range(0, part.height, rows):
        north = degrees(row - part.row - first)
        corner = Affine(transform.a, 0.0, west, 0.0, transform.e, north)
        yield Grid(recipe.crs, corner, (min(rows, part.height - first), part.width))


def request_pixels(image: Any, names: tuple[str, ...], grid: Grid) -> npt.NDArray[Any]:
    """Ask for a window of an image.

    Args:
        image: Its bands are `names`; masked pixels come as 0.
        names: Of the bands, in order.
        grid: The window.

    Returns:
        A structured array `(row, col)`, one field for each band.

    Raises:
        DownloadError: The answer is not what was asked for.
    """
    from ee import data

    steps = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    known = {"crsCode": grid.crs} if grid.crs.startswith("EPSG:") else {"crsWkt": grid.crs}
    rows, cols = grid.shape
    answer = data.computePixels(
        {
            "expression": image,
            "fileFormat": "NPY",
            "grid": {
                "dimensions": {"width": cols, "height": rows},
                "affineTransform": dict(zip(steps, grid.transform[:6], strict=True)),
                **known,
            },
        }
    )
    return _unpack(answer, names, grid.shape)


def _unpack(answer: bytes, names: tuple[str, ...], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Load NPY, and see that it holds the bands asked for, in order, over the grid asked for."""
    try:
        pixels: npt.NDArray[Any] = np.load(io.BytesIO(answer))
    except (ValueError, EOFError, OSError) as error:
        raise DownloadError(f"the answer is no NPY array, it begins {answer[:20]!r}") from error
    if pixels.dtype.names != names or pixels.shape != shape:
        raise DownloadError(
            f"asked for bands {names} of {shape} pixels, got {pixels.dtype.names} of {pixels.shape}"
        )
    return pixels
