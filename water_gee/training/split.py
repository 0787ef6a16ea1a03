"""Training and validation, by place: cells set aside whole, or blocks inside cells."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from water_gee.errors import FewCellsWarning
from water_gee.imagery.grid import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.training.patches import BoolArray, Samples
    from water_gee.training.tiles import Entry

    Read = Callable[[str], Samples]

FEWEST_CELLS = 4
"""With fewer cells than this, validation takes blocks inside cells."""

VALIDATION_SHARE = 4
"""One cell, or block, in so many validates."""

MOST_VALIDATION = 32
"""Cells that validate, at most: 8 million pixels, which are judged after each epoch."""

DRAWS = 16
"""Random choices of blocks, of which the fairest validates."""

GAP = 7
"""Pixels between training and validation blocks, at least, so that no window is seen by both."""

BLOCK = 125
"""Pixels a side of a block, about."""


@dataclass(frozen=True, slots=True)
class Split:
    """Which tiles train, which validate, and which part of them.

    Attributes:
        training: Names of tiles.
        validation: Names of tiles.
        by: Whole `cells`, `blocks` inside them, or the `training` pixels themselves.
        seed: Of the blocks.
        draw: Which choice of blocks.
        gap: Pixels between the two parts of a tile.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    by: Literal["cells", "blocks", "training"]
    seed: int = 0
    draw: int = 0
    gap: int = GAP

    def trains(self, tile: Samples) -> Samples:
        """A tile as it trains."""
        if self.by != "blocks":
            return tile
        from scipy.ndimage import maximum_filter

        inside = blocks(tile, self.seed, self.draw).astype(np.uint8)
        around = maximum_filter(inside, size=2 * self.gap + 1, mode="constant") > 0
        return replace(tile, weight=np.where(around, 0, tile.weight).astype(np.float32))

    def validates(self, tile: Samples) -> Samples:
        """A tile as it validates."""
        if self.by != "blocks":
            return tile
        inside = blocks(tile, self.seed, self.draw)
        return replace(tile, weight=np.where(inside, tile.weight, 0).astype(np.float32))


def split(entries: Sequence[Entry], seed: int, read: Read, margin: int) -> Split:
    """Split tiles into training and validation, by place.

    Cells for validation are set aside whole, with all their scenes: one in four, at most 32, chosen
    by the seed, so that both parts have water and land. With fewer than four cells, or where whole
    cells cannot be chosen so, blocks of about 125 pixels are taken instead, apart from those that
    train by what a network sees; where not even blocks have both, what trains also validates. A
    `FewCellsWarning` says so.

    Args:
        entries: What the tiles hold; those without samples are left out.
        seed: Of the choice.
        read: Reads a tile, where blocks have to be looked at.
        margin: Pixels the network loses on each side.
    """
    entries = [entry for entry in entries if sum(entry.counts)]
    names = [entry.name for entry in entries]
    chosen = _whole_cells(entries, seed)
    if chosen:
        held = [entry for entry in entries if place_of(entry.name) in chosen]
        training = tuple(name for name in names if place_of(name) not in chosen)
        return Split(training, _few(held, seed), "cells")
    found = _blocks(entries, seed, read, max(GAP, 2 * margin + 1))
    if found is not None:
        how = (
            f"validation takes blocks inside cells, {found.gap} pixels apart from those that "
            "train, instead of whole cells"
        )
    else:
        found = Split(tuple(names), _few(entries, seed), "training")
        how = "too little water or land to set any aside, so what trains also validates"
    warnings.warn(f"{len(names)} cell(s): {how}", FewCellsWarning, stacklevel=3)
    return found


def _whole_cells(entries: Sequence[Entry], seed: int) -> set[str]:
    """Places to set aside; none where that cannot be done with both classes in both parts."""
    ground: dict[str, tuple[int, int]] = {}
    for entry in entries:
        water, land = ground.get(place_of(entry.name), (0, 0))
        ground[place_of(entry.name)] = water + entry.water, land + entry.land
    if len(ground) < FEWEST_CELLS:
        return set()
    names, counts = list(ground), np.array(list(ground.values()))
    order = np.random.default_rng(seed).permutation(len(names))
    wanted = min(len(names) // VALIDATION_SHARE, MOST_VALIDATION)
    totals = counts.sum(axis=0)
    # Every run of so many in random order; of those that leave both classes to both parts, the one
    # with the fairest share of the water. In dry regions most have hardly any.
    runs = (np.arange(len(names))[:, np.newaxis] + np.arange(wanted)) % len(names)
    held = counts[order[runs]].sum(axis=1)
    fits = ((held > 0) & (held < totals)).all(axis=1)
    if not fits.any():
        return set()
    away = np.abs(held[:, 0] / totals[0] - wanted / len(names))
    fairest = int(np.argmin(np.where(fits, away, np.inf)))
    return {names[int(index)] for index in order[runs[fairest]]}


def _few(entries: Sequence[Entry], seed: int) -> tuple[str, ...]:
    """At most 32 tiles, those with water first, in the order of the entries."""
    order = np.random.default_rng(seed).permutation(len(entries))
    ranked = sorted(order, key=lambda index: entries[index].water == 0)
    kept = set(ranked[:MOST_VALIDATION])
    return tuple(entry.name for index, entry in enumerate(entries) if index in kept)


def _blocks(entries: Sequence[Entry], seed: int, read: Read, gap: int) -> Split | None:
    """Of some random choices of blocks, take the one that sets a quarter of the water aside."""
    held = np.zeros(DRAWS)
    for entry in entries:
        if entry.water:
            tile = read(entry.name)
            water = (tile.water == 1) & (tile.weight > 0)
            held += [int((blocks(tile, seed, draw) & water).sum()) for draw in range(DRAWS)]
    water_in_all = sum(entry.water for entry in entries)
    draw = int(np.argmin(np.abs(held / max(1, water_in_all) - 1 / VALIDATION_SHARE)))
    names = tuple(entry.name for entry in entries)
    found = Split(names, _few(entries, seed), "blocks", seed, draw, gap)
    parts = ((found.trains, found.training), (found.validates, found.validation))
    both = (_has_both(read, part, names) for part, names in parts)
    return found if all(both) else None


def _has_both(read: Read, part: Callable[[Samples], Samples], names: Sequence[str]) -> bool:
    water = land = 0
    for name in names:
        counts = part(read(name)).counts
        water, land = water + counts[0], land + counts[1]
        if water and land:
            return True
    return False


def blocks(tile: Samples, seed: int, draw: int) -> BoolArray:
    """Mark one in four of the blocks, of about 125 pixels a side, that part a tile."""
    # They hang on the place's name alone: in whatever order tiles are read, and in all its scenes.
    generator = np.random.default_rng([seed, draw, *place_of(tile.name).encode()])
    height, width = tile.weight.shape
    down, across = max(1, round(height / BLOCK)), max(1, round(width / BLOCK))
    chosen = np.zeros(down * across, bool)
    chosen[generator.permutation(chosen.size)[: max(1, chosen.size // VALIDATION_SHARE)]] = True
    rows = np.minimum(np.arange(height) * down // height, down - 1)
    cols = np.minimum(np.arange(width) * across // width, across - 1)
    return np.asarray(chosen.reshape(down, across)[np.ix_(rows, cols)])
