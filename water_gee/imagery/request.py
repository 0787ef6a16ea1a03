"""One request for pixels, and one tile of one request or a few."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from water_gee import session
from water_gee.errors import DownloadError, TruncatedError
from water_gee.imagery.retries import Asker
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.windows import Grid, Window

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


_NPY = b"\x93NUMPY"
_HEAD = 1 << 16
"""Bytes; an array's header is shorter."""

DEEPEST = 3
"""Times that tiles are quartered before anybody says that they are too much."""

RELAX = 50
"""Of so many tiles one is asked for in larger parts than the others needed."""

LEAST_SIDE = 16
"""Pixels; a request for less is not quartered any more."""

_TOO_MUCH = re.compile(
    r"memory limit exceeded|total request size|computation timed out|"
    r"pixel grid dimensions .* must be less",
    re.IGNORECASE,
)
"""What the service says of a request that smaller ones may stand for."""


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
        attempts: Requests that it took.
    """

    features: npt.NDArray[np.float32]
    mask: npt.NDArray[np.uint8]
    evidence: dict[str, npt.NDArray[np.float32]]
    attempts: int


@dataclass(slots=True)
class Cut:
    """How tiles are cut into requests, which is learned from what the service refuses.

    Attributes:
        depth: How often a request for a whole tile is quartered before it is sent.
    """

    depth: int = 0
    _tiles: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def first(self) -> int:
        """The depth to begin a tile with; now and then one less, as tiles differ."""
        with self._lock:
            self._tiles += 1
            return max(self.depth - (self._tiles % RELAX == 0), 0)

    def came(self, depth: int) -> None:
        """Note that a tile came whole at this depth; a deeper one need not be tried first."""
        with self._lock:
            self.depth = min(self.depth, depth)

    def parted(self, depth: int) -> None:
        """Note that a tile came in parts of this depth, after it was too much in larger ones."""
        with self._lock:
            self.depth = max(self.depth, min(depth, DEEPEST))


def request_tile(
    cell: Cell,
    recipe: Recipe,
    image: Any = None,
    sensor: str | None = None,
    *,
    asker: Asker | None = None,
    cut: Cut | None = None,
) -> TilePixels:
    """Ask for one tile; in several requests where it is too large for one.

    A request that needs more memory or time than the service gives to one is repeated as four for
    its quarters, and these likewise.

    Args:
        cell: Which.
        recipe: Of the cell's lattice.
        image: `composite.request_image(recipe, evidence=True)`, where it is at hand, or `encoded`.
        sensor: Whose acquisition the cell is of, where it is of one.
        asker: How to ask; by default one that does not count requests.
        cut: What is known of how much may be asked for at once.

    Returns:
        The tile. What of it lies beyond ±180 or ±90 is not asked for and not observed.

    Raises:
        DownloadError: The answer is not what was asked for.
        Exception: As `Asker.ask` says.
    """
    from water_gee.imagery import composite, evidence

    part = cell.on_earth
    names = (*recipe.features, composite.WATER, *evidence.CARRIED)
    scene = (sensor, cell.scene) if sensor is not None else None
    if image is None:
        image = encoded(composite.request_image(recipe, evidence=True, scene=scene))
    request = _Request(cell, image, names, asker or Asker(), cut or Cut())
    strips = [request.pixels(window) for window in _strips(cell, recipe, evidence.BYTES)]
    pixels = np.concatenate(strips) if len(strips) > 1 else strips[0]
    features = np.full((len(recipe.features), *cell.shape), np.nan, np.float32)
    mask = np.full(cell.shape, NOT_OBSERVED, np.uint8)
    mask[part.slices] = pixels[composite.WATER]
    seen = mask[part.slices] != NOT_OBSERVED
    for band, name in enumerate(recipe.features):
        np.copyto(features[band][part.slices], pixels[name], where=seen)
    found = {}
    for name, values in evidence.unpack(pixels, seen, composite.FILL).items():
        found[name] = np.full(cell.shape, np.nan, np.float32)
        found[name][part.slices] = values
    return TilePixels(features, mask, found, request.attempts)


@dataclass(slots=True)
class _Request:
    """What is asked for one tile."""

    cell: Cell
    image: Any
    names: tuple[str, ...]
    asker: Asker
    cut: Cut
    attempts: int = 0

    def pixels(self, window: Window) -> npt.NDArray[Any]:
        """A window of the tile, whole or stitched from quarters."""
        first = self.cut.first()
        found, depth = self._pixels(window, 0, first)
        if depth > first:
            self.cut.parted(depth)
        elif depth < self.cut.depth:
            self.cut.came(depth)
        return found

    def _pixels(self, window: Window, depth: int, first: int) -> tuple[npt.NDArray[Any], int]:
        """The pixels, and how often a part of them was quartered; not sent before depth `first`."""
        quarters = _quarters(window)
        if depth >= first or not quarters:
            try:
                found, attempts = self.asker.ask(
                    lambda: request_pixels(self.image, self.names, grid_of(self.cell, window)),
                    self.cell.id,
                )
            except Exception as error:
                if not is_too_much(error) or not quarters:
                    raise
                self.attempts += 1
            else:
                self.attempts += attempts
                return found, depth
        parts = [self._pixels(quarter, depth + 1, first) for quarter in quarters]
        (upper_left, upper_right, lower_left, lower_right), depths = zip(*parts, strict=True)
        rows = (np.hstack((upper_left, upper_right)), np.hstack((lower_left, lower_right)))
        return np.vstack(rows), max(depths)


def is_too_much(error: BaseException) -> bool:
    """Whether the service says that one request asks for more than it gives to one."""
    return session.http_status(error) in (400, 413) and bool(_TOO_MUCH.search(str(error)))


def _quarters(window: Window) -> list[Window]:
    """A window's quarters, row by row; none where it is too small to be cut."""
    top, left = window.height // 2, window.width // 2
    if min(top, left) < LEAST_SIDE:
        return []
    bottom, right = window.height - top, window.width - left
    return [
        Window(window.row, window.col, top, left),
        Window(window.row, window.col + left, top, right),
        Window(window.row + top, window.col, bottom, left),
        Window(window.row + top, window.col + left, bottom, right),
    ]


def _strips(cell: Cell, recipe: Recipe, beside: int) -> Iterator[Window]:
    """The tile's rows, as few requests as its bytes allow, from the north."""
    part = cell.on_earth
    rows = max(1, MAX_REQUEST_BYTES // (part.width * (_label_bytes(recipe) + beside)))
    for first in range(0, part.height, rows):
        yield Window(part.row + first, part.col, min(rows, part.height - first), part.width)


def grid_of(cell: Cell, window: Window) -> Grid:
    """Where the pixels of a part of a tile lie.

    Its corner is the very number that the lattice has, not what an affine transform makes of it.
    """
    col, row = cell.origin
    transform, degrees = cell.grid.transform, cell.lattice.degrees
    west, north = degrees(col + window.col), degrees(row - window.row)
    corner = Affine(transform.a, 0.0, west, 0.0, transform.e, north)
    return Grid(cell.lattice.crs, corner, (window.height, window.width))


def request_pixels(image: Any, names: tuple[str, ...], grid: Grid) -> npt.NDArray[Any]:
    """Ask for a window of an image.

    Args:
        image: Its bands are `names`; masked pixels come as 0. Or what `encoded` made of it.
        names: Of the bands, in order.
        grid: The window.

    Returns:
        A structured array `(row, col)`, one field for each band.

    Raises:
        DownloadError: The answer is not what was asked for.
    """
    from ee import data, serializer

    steps = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    known = {"crsCode": grid.crs} if grid.crs.startswith("EPSG:") else {"crsWkt": grid.crs}
    rows, cols = grid.shape
    body = {
        "expression": image if isinstance(image, dict) else serializer.encode(image),
        "fileFormat": "NPY",
        "grid": {
            "dimensions": {"width": cols, "height": rows},
            "affineTransform": dict(zip(steps, grid.transform[:6], strict=True)),
            **known,
        },
    }
    if tag := data.getWorkloadTag():
        body["workloadTag"] = tag
    # What `data.computePixels` does, but for the encoding, which it does for every request anew and
    # which takes three quarters of its time.
    call = (
        data._get_cloud_projects_raw()
        .image()
        .computePixels(project=data._get_projects_path(), body=body)
    )
    return _unpack(data._execute_cloud_call(call), names, grid.shape)


def encoded(image: Any) -> dict[str, Any]:
    """An expression as it goes over the wire, for `request_pixels` to send it often."""
    from ee import serializer

    expression: dict[str, Any] = serializer.encode(image)
    return expression


def _unpack(answer: bytes, names: tuple[str, ...], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """The array in an NPY, not copied; it must hold the bands asked for over the grid asked for."""
    if not answer.startswith(_NPY):
        raise DownloadError(f"the answer is no NPY array, it begins {answer[:20]!r}")
    try:
        head = io.BytesIO(answer[:_HEAD])
        version = np.lib.format.read_magic(head)
        format_ = np.lib.format
        read = format_.read_array_header_1_0 if version == (1, 0) else format_.read_array_header_2_0
        found, by_column, dtype = read(head)
        start, count = head.tell(), int(np.prod(found))
        pixels = np.frombuffer(answer, dtype, count, start).reshape(found)
    except ValueError as error:
        raise TruncatedError(f"the answer ends after {len(answer)} bytes") from error
    if by_column:
        raise DownloadError("the answer is an array by columns, not by rows")
    if pixels.dtype.names != names or pixels.shape != shape:
        raise DownloadError(
            f"asked for bands {names} of {shape} pixels, got {pixels.dtype.names} of {pixels.shape}"
        )
    return pixels
