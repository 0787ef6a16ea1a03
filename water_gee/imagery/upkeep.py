"""What a tile store holds, whether it is sound, and how to mend it."""

from __future__ import annotations

import hashlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import shapely

from water_gee import raster
from water_gee.errors import RasterError, StoreError
from water_gee.imagery.claims import orders
from water_gee.imagery.grid import cell_from_id, cells_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from water_gee.imagery.claims import Order
    from water_gee.imagery.grid import Cell
    from water_gee.imagery.manifest import TileRow
    from water_gee.imagery.store import TileStore

RATE_SECONDS = 300
"""The last tiles, whose number says how fast a download is."""

_BATCH = 1000

Fault = Literal["missing", "changed", "unreadable"]


@dataclass(frozen=True, slots=True)
class Status:
    """What is in a store.

    Attributes:
        done: Tiles with an observed pixel.
        empty: Tiles without one.
        failed: Tiles that could not be fetched the last time.
        bytes: Of the tiles whose size is known.
        orders: Downloads at work in it, or the last one where none is.
        per_second: Tiles a second in the last `RATE_SECONDS`; None where nothing is at work.
        seconds_left: At this rate; None where nothing is at work or came.
    """

    done: int
    empty: int
    failed: int
    bytes: int
    orders: list[Order]
    per_second: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A file of a tile that is not what was written.

    Attributes:
        cell: The tile's id.
        folder: Of the file.
        fault: `missing`, `changed` since it was written, or `unreadable` where no digest is known.
    """

    cell: str
    folder: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        tiles: Looked at.
        unknown: Tiles of older versions, without digests: read, not compared.
        broken: Files that are not what was written, by cell.
    """

    tiles: int
    unknown: int
    broken: list[Broken]


def status(store: TileStore, moment: datetime | None = None) -> Status:
    """What is in a store, and how far downloads into it are.

    Args:
        store: Any process may fill it meanwhile.
        moment: Now, UTC, unless another one.
    """
    counts = store.manifest.counts()
    all_orders = orders(store.manifest)
    running = [order for order in all_orders if order.running]
    rate = left = None
    if running:
        until = moment or datetime.now(UTC)
        began = min(datetime.fromisoformat(order.began) for order in running)
        since = max(began, until - timedelta(seconds=RATE_SECONDS))
        written = store.manifest.written_since(since.isoformat(timespec="seconds"))
        rate = written / max((until - since).total_seconds(), 1.0)
        missing = max(order.cells - order.there - order.fetched for order in running)
        left = missing / rate if rate else None
    return Status(
        counts["done"],
        counts["empty"],
        counts["failed"],
        counts["bytes"],
        running or all_orders[:1],
        rate,
        left,
    )


def verify(store: TileStore) -> Verification:
    """Read every file of every tile again, and compare it with what was written.

    Raises:
        StoreError: The manifest cannot be read.
    """
    tiles = unknown = 0
    broken: list[Broken] = []
    rows = store.manifest.rows()
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        while batch := list(itertools.islice(rows, _BATCH)):
            for known, found in pool.map(lambda row: _check(store, row), batch):
                tiles += 1
                unknown += not known
                broken.extend(found)
    return Verification(tiles, unknown, broken)


def repair(store: TileStore, threads: int | None = None, progress: bool = True) -> int:
    """Fetch again what is missing or broken: files, tiles that failed, tiles that never came.

    What ought to be there is what the downloads into this store asked for.

    Args:
        store: Opened with `create=True`.
        threads: Requests at once, at most.
        progress: Whether to show a progress bar.

    Returns:
        Tiles fetched.

    Raises:
        WaterGeeError: As `download_tiles` says.
    """
    from water_gee.imagery import download

    again = {each.cell for each in verify(store).broken}
    store.manifest.forget(again)
    again |= {failure.cell for failure in store.manifest.failures()}
    limit = threads if threads is not None else download.MAX_THREADS
    fetched = 0
    area = asked_area(store)
    if area is not None:
        fetched += download.fill(store, area, limit, progress)
    again -= store.manifest.there(sorted(again))
    if again:
        cells = [cell_from_id(cell, store.recipe) for cell in sorted(again)]
        around = shapely.union_all([cell.polygon for cell in cells])
        fetched += download.fill(store, around, limit, progress, only=cells)
    return fetched


def asked_area(store: TileStore) -> Any:
    """The area of all downloads into a store, EPSG:4326; None where nobody wrote it down."""
    if not store.manifest.has_table("orders"):
        return None
    areas = [row[0] for row in store.manifest.ask("SELECT DISTINCT area FROM orders")]
    return shapely.union_all(shapely.from_wkb(areas)) if areas else None


def missing_cells(store: TileStore) -> Iterator[Cell]:
    """The cells of the downloads into a store that have no tile; none where tiles are of scenes.

    Which scenes reach a cell only the service knows: the same download goes on with those.
    """
    area = asked_area(store)
    if area is None or store.recipe.composite == "scene":
        return
    cells = iter(cells_for(area, store.recipe))
    while batch := list(itertools.islice(cells, _BATCH)):
        there = store.manifest.there([cell.id for cell in batch])
        yield from (cell for cell in batch if cell.id not in there or not store.has_tile(cell))


def _check(store: TileStore, row: TileRow) -> tuple[bool, list[Broken]]:
    digests = store.manifest.digests(row.cell)
    if digests:
        found = [
            Broken(row.cell, folder, fault)
            for folder, digest in digests.items()
            if (fault := _fault(store, row.cell, folder, digest)) is not None
        ]
        return True, found
    found = [
        Broken(row.cell, folder, fault)
        for folder in ("images", "masks", "evidence")
        if (fault := _unreadable(store, row.cell, folder)) is not None
    ]
    return False, found


def _fault(store: TileStore, cell: str, folder: str, digest: bytes) -> Fault | None:
    try:
        with store.file(folder, cell).open("rb") as handle:
            same = hashlib.file_digest(handle, "sha256").digest() == digest
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        raise StoreError(f"cannot read {store.file(folder, cell)}: {error.strerror}") from error
    return None if same else "changed"


def _unreadable(store: TileStore, cell: str, folder: str) -> Fault | None:
    path = store.file(folder, cell)
    if not path.exists():
        # Older tiles may do without evidence.
        return None if folder == "evidence" else "missing"
    try:
        raster.read(path)
    except RasterError:
        return "unreadable"
    return None
