"""Which tiles are held hangs on the seed and the epoch alone, and there are never too many."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise

import pytest

from water_gee.training import pool
from water_gee.training.pool import Kept, Pool, capacity

NAMES = [f"E{number:03}" for number in range(100)]
WET = NAMES[::20]


def dealt(epochs, seed=0, held=16):
    with Pool(NAMES, WET, str.lower, held, seed) as tiles:
        return [tiles.epoch(number) for number in epochs]


def test_all_are_held_where_they_fit():
    assert dealt([1, 2], held=100) == [[name.lower() for name in NAMES]] * 2


def test_the_seed_and_the_epoch_alone_decide_what_is_held():
    whole = dealt(range(1, 9))
    assert dealt(range(5, 9)) == whole[4:]
    assert dealt([8]) == whole[7:]
    assert dealt([1], seed=1) != whole[:1]


def test_an_epoch_holds_no_more_than_asked_and_always_water():
    for tiles in dealt(range(1, 40)):
        assert 8 <= len(tiles) <= 16
        assert {name.lower() for name in WET} & set(tiles)
        assert tiles == sorted(tiles)


def test_a_quarter_changes_from_epoch_to_epoch_and_in_the_end_all_are_seen():
    epochs = dealt(range(1, 61))
    new = [len(set(after) - set(before)) for before, after in pairwise(epochs)]
    assert max(new) <= 4
    seen = Counter(name for tiles in epochs for name in tiles)
    assert len(seen) == 100


def test_a_tile_is_read_once_for_as_long_as_it_is_held():
    reads, lock = Counter(), threading.Lock()

    def read(name):
        with lock:
            reads[name] += 1
        return name

    with Pool(NAMES, WET, read, 16, 0) as tiles:
        spans = [set(tiles.epoch(number, ahead=number < 30)) for number in range(1, 31)]
    arrivals = Counter(
        name for before, now in zip([set(), *spans], spans, strict=False) for name in now - before
    )
    assert reads == arrivals


def test_what_cannot_be_read_ahead_is_told_when_its_turn_comes():
    def read(name):
        if name != "E000":
            raise OSError(f"{name} is gone")
        return name

    with Pool(["E000"], [], read, 4, 0) as tiles:
        assert tiles.epoch(1) == ["E000"]
    with Pool(NAMES, WET, read, 4, 0) as tiles, pytest.raises(OSError, match="is gone"):
        tiles.epoch(1)


@pytest.mark.parametrize(
    ("room", "training", "validation", "expected"),
    [
        (50, 30, 20, (30, 20)),  # all fit
        (50, 1500, 32, (30, 12)),  # 38 for training, of which a fifth are read ahead
        (50, 1500, 4, (36, 4)),
        (1, 1500, 32, (2, 1)),  # never none
    ],
)
def test_memory_is_shared_between_training_and_validation(
    room, training, validation, expected, monkeypatch
):
    monkeypatch.setattr(pool, "BYTES", room * 1000)
    assert capacity(1000, training, validation) == expected


def test_of_tiles_gone_through_again_the_first_are_kept():
    reads = []

    def read(name):
        reads.append(name)
        return name.lower()

    tiles = Kept(["A", "B", "C"], read, held=2)
    assert [list(tiles), list(tiles)] == [["a", "b", "c"]] * 2
    assert reads == ["A", "B", "C", "C"]
