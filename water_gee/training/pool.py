"""Which tiles are in memory while a network trains, however many there are on the disk.

Where all fit, all are held. Else an epoch draws from so many as fit, half of them from the tiles
with water and half from all, and a quarter of them are others in the next epoch. Which ones hangs
on the seed and the epoch's number alone, so that a run taken up after a kill sees the same; a
thread reads ahead, which changes when tiles are read, and nothing else.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BYTES = 560_000_000
"""Memory for tiles, training and validation together; 51 of the default tiles."""

VALIDATION_SHARE = 4
"""One in so many of the tiles held is for validation, where not all fit."""

REFRESHED = 4
"""One in so many of the tiles held for training is another one in the next epoch."""

FEWEST_HELD = 4

T = TypeVar("T")


def capacity(bytes_each: int, training: int, validation: int) -> tuple[int, int]:
    """How many tiles are held for training and for validation.

    Args:
        bytes_each: Memory one takes.
        training: How many there are.
        validation: How many there are.
    """
    room = max(FEWEST_HELD, BYTES // max(1, bytes_each))
    if training + validation <= room:
        return training, validation
    kept = min(validation, room // VALIDATION_SHARE)
    # Those read ahead for the next epoch take room too.
    held = max(2, (room - kept) * REFRESHED // (REFRESHED + 1))
    return min(training, held), kept


class Pool(Generic[T]):
    """Tiles held, epoch by epoch.

    Args:
        names: All tiles.
        wet: Those of them with water.
        read: Reads one.
        held: How many are held at once.
        seed: Of their order.
    """

    def __init__(
        self,
        names: Sequence[str],
        wet: Sequence[str],
        read: Callable[[str], T],
        held: int,
        seed: int,
    ) -> None:
        self.names, self.wet, self.held, self.seed = list(names), list(wet), held, seed
        self._read = read
        self._tiles: dict[str, T] = {}
        self._ahead: dict[str, Future[T]] = {}
        self._reader = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.shutdown(cancel_futures=True)

    def members(self, epoch: int) -> list[str]:
        """The tiles an epoch draws from, in order; epochs count from 1."""
        if len(self.names) <= self.held:
            return self.names
        half = self.held // 2
        decks = ((self.wet, half, 0), (self.names, self.held - half, 1))
        found: set[str] = set()
        for deck, count, kind in decks:
            fresh = max(1, count // REFRESHED)
            first = (epoch - 1) * fresh
            found.update(self._dealt(deck, kind, at) for at in range(first, first + count) if deck)
        return [name for name in self.names if name in found]

    def epoch(self, number: int, *, ahead: bool = True) -> list[T]:
        """The tiles of an epoch, read where they are not held; what the next needs is begun."""
        wanted = self.members(number)
        self._tiles = {name: tile for name, tile in self._tiles.items() if name in set(wanted)}
        for name in wanted:
            if name not in self._tiles:
                waiting = self._ahead.pop(name, None)
                self._tiles[name] = self._read(name) if waiting is None else waiting.result()
        for left in self._ahead.values():
            left.cancel()
        following = self.members(number + 1) if ahead else []
        self._ahead = {
            name: self._reader.submit(self._read, name)
            for name in following
            if name not in self._tiles
        }
        return [self._tiles[name] for name in wanted]

    def _dealt(self, deck: list[str], kind: int, at: int) -> str:
        """The card at a place of an endless deck, shuffled anew each time through."""
        turn, place = divmod(at, len(deck))
        order = np.random.default_rng([self.seed, kind, turn]).permutation(len(deck))
        return deck[int(order[place])]


class Kept(Generic[T]):
    """Tiles gone through again and again, the first ones held, the others read each time."""

    def __init__(self, names: Sequence[str], read: Callable[[str], T], held: int) -> None:
        self.names = list(names)
        self._read = read
        self._held = held
        self._tiles: dict[str, T] = {}

    def __iter__(self) -> Iterator[T]:
        for name in self.names:
            tile = self._tiles.get(name)
            if tile is None:
                tile = self._read(name)
                if len(self._tiles) < self._held:
                    self._tiles[name] = tile
            yield tile
