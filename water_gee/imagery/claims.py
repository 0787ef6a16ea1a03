"""Several processes at one store: who fetches which cell, and how far each download is.

A process says that it lives by holding a lock on a file of its own, which the system takes from it
however it ends. What a dead one had claimed is anybody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from water_gee.errors import StoreError
from water_gee.files import locked
from water_gee.imagery.manifest import now, refusing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from water_gee.imagery.manifest import Manifest, State


@dataclass(frozen=True, slots=True)
class Order:
    """A download, of this process or another, running or over.

    Attributes:
        number: Its row.
        cells: Tiles that it is to bring, those that were there included.
        there: Tiles that it found there, so far.
        fetched: Tiles that it has brought.
        began: When, UTC, ISO 8601.
        ended: When all of it was there; None: it runs, was stopped, or some tiles failed.
        running: Whether its process is at work.
    """

    number: int
    cells: int
    there: int
    fetched: int
    began: str
    ended: str | None
    running: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Who fetches which of some cells.

    Attributes:
        there: Cell -> state, of those in the manifest.
        mine: Cells that are now this process's to fetch.
        others: Cells that another process is fetching.
    """

    there: dict[str, State]
    mine: list[str]
    others: list[str]


class Presence:
    """One download at work in a store; a context manager.

    Attributes:
        order: Its number in the manifest; None until `begin`.
        cells: Tiles that it is to bring.
        there: Tiles that it found there, so far.

    Args:
        manifest: Of the store.
        area: WKB, EPSG:4326.
        cells: Tiles that it is to bring.

    Raises:
        StoreError: The store cannot be written.
    """

    def __init__(self, manifest: Manifest, area: bytes, cells: int) -> None:
        self.order: int | None = None
        self.cells = cells
        self.there = 0
        self._area = area
        self._manifest = manifest
        self._owner = uuid.uuid4().hex[:12]
        self._path = _lock_of(manifest.folder, self._owner)
        self._lock = contextlib.ExitStack()
        with refusing(manifest.folder):
            self._lock.enter_context(locked(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = now() if kind is None else None
        try:
            self._manifest.commit(
                [
                    ("DELETE FROM claims WHERE owner = ?", (self._owner,)),
                    ("UPDATE orders SET ended = ? WHERE id = ?", (ended, self.order)),
                ]
            )
        except StoreError:
            if kind is None:  # otherwise what went wrong before is what is told
                raise
        finally:
            self._lock.close()
            self._path.unlink(missing_ok=True)

    def begin(self) -> None:
        """Enter the download, so that a repair knows what it was to bring."""
        with self._manifest.transaction() as connection:
            made = connection.execute(
                "INSERT INTO orders (owner, area, cells, there, fetched, began) "
                "VALUES (?, ?, ?, ?, 0, ?)",
                (self._owner, self._area, self.cells, self.there, now()),
            )
            self.order = int(made.lastrowid or 0)

    def claim(self, cells: Sequence[str], gone: Iterable[str] = ()) -> Claim:
        """Find out which cells have a tile, and claim those that nobody has or fetches.

        Args:
            cells: Ids.
            gone: Those of them that were found in the manifest, but whose files are not there.
        """
        missing = set(gone)
        free, others = [], []
        with self._manifest.transaction() as connection:
            found = self._manifest.select("SELECT cell, state FROM tiles", cells)
            there = {cell: state for cell, state in found if cell not in missing}
            claimed = dict(self._manifest.select("SELECT cell, owner FROM claims", cells))
            owners = set(claimed.values()) - {self._owner}
            dead = {owner for owner in owners if not is_at_work(self._manifest.folder, owner)}
            for cell in cells:
                owner = claimed.get(cell, self._owner)
                if cell not in there and (owner == self._owner or owner in dead):
                    free.append(cell)
                elif cell not in there:
                    others.append(cell)
            for owner in dead:
                connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))
            connection.executemany(
                "INSERT OR REPLACE INTO claims VALUES (?, ?)",
                [(cell, self._owner) for cell in free],
            )
            self.there += len(there) - len(missing)
            connection.execute("UPDATE orders SET there = ? WHERE id = ?", (self.there, self.order))
        return Claim(there, free, others)

    def drop(self, cell: str) -> None:
        """Let others have a cell that could not be fetched."""
        self._manifest.commit([("DELETE FROM claims WHERE cell = ?", (cell,))])


def orders(manifest: Manifest) -> list[Order]:
    """Downloads into a store, the last one first."""
    if not manifest.has_table("orders"):
        return []
    found = manifest.ask(
        "SELECT id, cells, there, fetched, began, ended, owner FROM orders ORDER BY id DESC"
    )
    made = []
    for number, cells, there, fetched, began, ended, owner in found:
        running = ended is None and is_at_work(manifest.folder, owner)
        made.append(Order(number, cells, there, fetched, began, ended, running))
    return made


def is_at_work(folder: Path, owner: str) -> bool:
    """Whether the process of that name, which is at work in a store or was, still lives."""
    path = _lock_of(folder, owner)
    try:
        with path.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        # Held; or on a file system that knows no locks, where nobody can tell.
        return True
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    return False


def _lock_of(folder: Path, owner: str) -> Path:
    return folder / f".download-{owner}.lock"
