"""Several processes at one store: who fetches which cell, and how far each download is.

A process says that it lives by holding a lock on a file of its own, which the system takes from it
however it ends. What a dead one had claimed is anybody's.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

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
        area: WKB, EPSG:4326.
        cells: Tiles that it is to bring, those that were there included.
        there: Tiles that it found there, so far.
        fetched: Tiles that it has brought.
        began: When, UTC, ISO 8601.
        ended: When, or None: it runs, or was killed.
        running: Whether its process is at work.
    """

    number: int
    area: bytes
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
        order: Its number in the manifest.
        cells: Tiles that it is to bring.

    Args:
        manifest: Of the store.
        area: WKB, EPSG:4326.
        cells: Tiles that it is to bring.

    Raises:
        StoreError: The store cannot be written.
    """

    def __init__(self, manifest: Manifest, area: bytes, cells: int) -> None:
        self._manifest = manifest
        self.cells = cells
        self._owner = uuid.uuid4().hex[:12]
        self._path = _lock_of(manifest.folder, self._owner)
        self._lock = contextlib.ExitStack()
        with refusing(manifest.folder):
            self._lock.enter_context(locked(self._path))
        try:
            with manifest.transaction() as connection:
                made = connection.execute(
                    "INSERT INTO orders (owner, area, cells, there, fetched, began) "
                    "VALUES (?, ?, ?, 0, 0, ?)",
                    (self._owner, area, cells, now()),
                )
                self.order = int(made.lastrowid or 0)
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._manifest.commit(
                [
                    ("DELETE FROM claims WHERE owner = ?", (self._owner,)),
                    ("UPDATE orders SET ended = ? WHERE id = ?", (now(), self.order)),
                ]
            )
        finally:
            self._leave()

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
            connection.execute(
                "UPDATE orders SET there = there + ? WHERE id = ?",
                (len(there) - len(missing), self.order),
            )
        return Claim(there, free, others)

    def _leave(self) -> None:
        self._lock.close()
        self._path.unlink(missing_ok=True)


def orders(manifest: Manifest) -> list[Order]:
    """Downloads into a store, the last one first."""
    if not manifest.has_table("orders"):
        return []
    found = manifest.ask(
        "SELECT id, area, cells, there, fetched, began, ended, owner FROM orders ORDER BY id DESC"
    )
    made = []
    for number, area, cells, there, fetched, began, ended, owner in found:
        running = ended is None and is_at_work(manifest.folder, owner)
        made.append(Order(number, area, cells, there, fetched, began, ended, running))
    return made


def is_at_work(folder: Path, owner: str) -> bool:
    """Whether the process of that name, which is at work in a store or was, still lives."""
    path = _lock_of(folder, owner)
    if not path.exists():
        return False
    try:
        with locked(path) as got:
            if got:
                path.unlink(missing_ok=True)
            return not got
    except PermissionError:  # a lock of somebody else, whom only he can ask
        return True


def _lock_of(folder: Path, owner: str) -> Path:
    return folder / f".download-{owner}.lock"
