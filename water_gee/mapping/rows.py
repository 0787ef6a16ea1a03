"""The rows of a table of scores: labels of a store, maps, and what models map."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import raster
from water_gee.errors import ModelError, RasterError, StoreError
from water_gee.imagery.grid import place_of
from water_gee.imagery.recipe import MAY_DIFFER, Recipe, check_same
from water_gee.imagery.store import (
    EVIDENCE_FOLDER,
    IMAGES,
    LABELS,
    LAND,
    MASKS,
    NOT_OBSERVED,
    WATER,
    TileStore,
)
from water_gee.mapping import maps, references
from water_gee.training import labels as corrections
from water_gee.windows import windows

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.imagery.grid import Cell
    from water_gee.mapping.classifier import Classifier
    from water_gee.mapping.ground import Ground, There
    from water_gee.mapping.references import Values
    from water_gee.training.model import TrainedModel

    Codes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

QA_BIT = "QA bit"
CORRECTED = "corrected labels"
"""What the rows of a store's own labels are called."""

THRESHOLD = 0.5
"""Probability from which `predict` has water."""

_MEASURED = (IMAGES, EVIDENCE_FOLDER)
"""Folders of a store that hold what was measured."""

_FOLDERS = (*_MEASURED, MASKS)
"""Those, and the QA bit's, which is a row of its own."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is scored.

    Attributes:
        name: In the table.
        read: A place -> 0 land, 1 water, 255 not observed, `uint8 (row, col)`.
        likely: A place -> probability of water, `float64 (row, col)`, NaN where there is none; None
            for rows without probabilities.
    """

    name: str
    read: Callable[[There], Codes]
    likely: Callable[[There], Floats] | None = None


# ------------------------------------------------------------------------------------ labels


def labels(
    store: TileStore, folders: Sequence[str] | None, cells: Sequence[Cell]
) -> tuple[list[Row], list[str]]:
    """The QA bit, and the labels of folders.

    Args:
        store: The tiles.
        folders: Which; by default the corrected labels, if there are any.
        cells: The tiles that are scored.

    Returns:
        Rows, and what is to be said about them.

    Raises:
        StoreError: A folder that is not there, has no label, or holds something else.
    """
    rows, notes = [Row(QA_BIT, lambda there: there.qa)], []
    for folder in (LABELS,) if folders is None else folders:
        if store.path / folder in [store.path / name for name in _MEASURED]:
            raise StoreError(_no_labels(store, folder))
        having = sum(store.has_label(cell, folder) for cell in cells)
        if not having:
            if folders is None:
                notes.append(f"{CORRECTED}: {store.path} has none; `water-gee labels` makes them")
                continue
            raise StoreError(_no_labels(store, folder))
        name = CORRECTED if folder == LABELS else folder
        # A correction leaves tiles with too little water to their QA label, and has a record.
        own = folder == LABELS or (store.path / f"{folder}.json").is_file()
        if having < len(cells):
            instead = "the QA bit stands there, as in training" if own else "not observed there"
            notes.append(
                f"{name}: {len(cells) - having} of {len(cells)} cells have none; {instead}"
            )
        if folder == LABELS:
            notes += _corrected_by(store)
        rows.append(Row(name, _label(folder, own)))
    return rows, notes


def _corrected_by(store: TileStore) -> list[str]:
    """How the store's labels were corrected, as far as it is known."""
    if corrections.unfinished(store):
        return [f"{CORRECTED}: begun and not finished; `water-gee labels` goes on with it"]
    found = corrections.settings_of(store)
    return [] if found is None else [f"{CORRECTED}: by the method {found[0]!r}, seed {found[1]}"]


def _label(folder: str, own: bool) -> Callable[[There], Codes]:
    def read(there: There) -> Codes:
        found = there.label(folder)
        if found is not None:
            return found
        return there.qa if own else there.nothing()

    return read


def _no_labels(store: TileStore, folder: str) -> str:
    if folder == LABELS:
        return f"{store.path} has no corrected labels; `water-gee labels` makes them"
    present = sorted(
        path.name
        for path in store.path.iterdir()
        if path.is_dir() and path.name not in _FOLDERS and any(path.glob("*.tif"))
    )
    known = ", ".join(present) if present else "no folder of labels"
    return f"{store.path} has no labels in {folder!r}; it has {known}"


# ------------------------------------------------------------------------------------ maps


def of_raster(
    name: str, path: Path, ground: Ground, threshold: float, files: contextlib.ExitStack
) -> tuple[Row, list[str]]:
    """A map, with the probabilities beside it; or a raster of probabilities.

    Args:
        name: Of the row.
        path: The raster, on any grid.
        ground: Where it is read.
        threshold: Probability from which there is water.
        files: What closes them.

    Returns:
        The row, and what is to be said about it.

    Raises:
        RasterError: It cannot be read, or lies elsewhere.
    """
    header = raster.describe(path)
    values = files.enter_context(references.on_grid(path, ground.chart))
    notes = _other_recipe(name, header.tags, ground)
    if np.issubdtype(np.dtype(header.dtype), np.floating):
        return _probable(name, values, threshold), notes
    chart = maps.open_map(path)
    beside = maps.probability_beside(chart)
    if beside is None:
        return Row(name, lambda there: _classes(values, there)), notes
    likely = files.enter_context(references.on_grid(beside, ground.chart))
    probable = _probable(name, likely, threshold)
    if threshold != THRESHOLD:
        return probable, [*notes, f"{name}: water from a probability of {threshold:g} on"]
    return Row(name, lambda there: _classes(values, there), probable.likely), notes


def _probable(name: str, values: Values, threshold: float) -> Row:
    def read(there: There) -> Floats:
        found, missing = values.read(there.place.window)
        seen = np.where(missing, np.nan, found).astype(np.float64)
        known = seen[~np.isnan(seen)]
        if known.size and (known.min() < -1e-6 or known.max() > 1 + 1e-6):
            raise RasterError(
                f"{values.name} holds values outside 0 to 1, so they are no probabilities"
            )
        clipped: Floats = np.clip(seen, 0.0, 1.0)
        return clipped

    return _of_likely(name, read, threshold)


def _of_likely(name: str, read: Callable[[There], Floats], threshold: float) -> Row:
    """A row of probabilities, which are read once at a place."""

    def likely(there: There) -> Floats:
        found: Floats = there.once(name, lambda: read(there))
        return found

    return Row(name, lambda there: decided(likely(there), threshold), likely)


def decided(likely: Floats, threshold: float) -> Codes:
    """Water from a probability on: 0 land, 1 water, 255 where it is NaN."""
    with np.errstate(invalid="ignore"):
        water = likely >= threshold
    return np.where(np.isnan(likely), NOT_OBSERVED, water).astype(np.uint8)


def _classes(values: Values, there: There) -> Codes:
    found, missing = values.read(there.place.window)
    unseen = missing | (found == NOT_OBSERVED)
    strange = ~(np.isin(found, (LAND, WATER)) | unseen)
    if strange.any():
        raise RasterError(
            f"{values.name} holds the value {int(found[strange][0])}, so it is no water map: one "
            "has 0, 1 and 255 for not observed; recode it first"
        )
    return np.where(unseen, NOT_OBSERVED, found).astype(np.uint8)


def _other_recipe(name: str, tags: Mapping[str, str], ground: Ground) -> list[str]:
    """Say it where a map was made with another recipe than the store."""
    carried = maps.recipe_of(tags)
    if ground.store is None or not carried:
        return []
    plain = Recipe().to_dict()
    left_out = {each.name: each.default for each in fields(Recipe) if each.name not in plain}
    own, wanted = left_out | carried, left_out | ground.store.recipe.to_dict()
    apart = [key for key in own if key in wanted and own[key] != wanted[key]]
    if not apart:
        return []
    shown = "; ".join(f"{key}: {own[key]!r} / {wanted[key]!r}" for key in apart)
    return [f"{name}: made with another recipe than the store ({shown})"]


# ------------------------------------------------------------------------------------ models


def learned_from(model: Any) -> frozenset[str]:
    """The places of the cells that a model was trained on, without those of its validation.

    Raises:
        ModelError: No model, or one that does not say what it was trained on.
    """
    from water_gee.training.model import resolve

    record = resolve(model).record
    cells, apart = record.get("cells"), record.get("validation_cells", [])
    if not isinstance(cells, list):
        raise ModelError(f"{model} does not say which cells it was trained on")
    by_cells = record.get("validated_by") == "cells"
    kept = set(apart) if by_cells else set()
    return frozenset(place_of(str(cell)) for cell in cells if cell not in kept)


def of_model(
    name: str,
    model: TrainedModel | Path,
    ground: Ground,
    threshold: float,
    files: contextlib.ExitStack,
) -> tuple[Row, list[str]]:
    """What a model maps of a store's cells, as `predict` maps them: with their neighbours around.

    Of tiles of single scenes, which `predict` does not take, each is mapped alone.

    Args:
        name: Of the row.
        model: A trained model, or its file.
        ground: Where it maps.
        threshold: Probability from which there is water.
        files: What closes the tiles.

    Returns:
        The row, and whether the model has seen these cells before.

    Raises:
        ModelError: No model.
        RecipeMismatchError: It was trained on another recipe than the store's.
        StoreError: There is no store.
    """
    from water_gee.mapping.classifier import Classifier
    from water_gee.training.model import resolve

    trained = resolve(model)
    store = ground.store
    if store is None:
        raise StoreError(f"{ground.chart.path} is a map: it has no tiles")
    where = (str(name), f"the store {ground.chart.path}")
    check_same(trained.recipe, store.recipe, where, ignore=MAY_DIFFER)
    classifier = Classifier(trained.network)
    # Tiles of scenes lie over each other, so that they make no mosaic.
    if store.recipe.composite == "scene":
        read = _of_tile(classifier)
    else:
        read = _of_mosaic(classifier, store, ground, files)

    notes = []
    if isinstance(trained.record.get("cells"), list):
        learned = learned_from(trained)
        seen = {place.key for place in ground.places if place_of(place.name) in learned}
        if seen:
            notes.append(
                f"{name}: learned from {len(seen)} of these {len(ground.keys)} cells, which "
                "flatters it; score those held out"
            )
    return _of_likely(name, read, threshold), notes


def _of_mosaic(
    classifier: Classifier, store: TileStore, ground: Ground, files: contextlib.ExitStack
) -> Callable[[There], Floats]:
    """Probabilities of a place, from all tiles of the store as `predict` puts them together."""
    from water_gee.mapping import sources

    mosaic = files.enter_context(sources.opened(store, store.recipe, classifier.halo))
    grid, halo = mosaic.reader.header.grid, classifier.halo
    # Both grids are of the store's lattice, so that whole pixels lie between their corners.
    ours, theirs = ground.chart.grid.transform, grid.transform
    down, right = round((ours.f - theirs.f) / theirs.e), round((ours.c - theirs.c) / theirs.a)

    def read(there: There) -> Floats:
        core = replace(
            there.place.window,
            row=there.place.window.row + down,
            col=there.place.window.col + right,
        )
        (step,) = windows(grid.shape, max(there.shape), halo, core)
        seen = mosaic.reader.read(step.outer)
        around = np.pad(seen, ((0, 0), *step.pad), constant_values=np.nan)
        return _inner(classifier(around)[1], halo)

    return read


def _of_tile(classifier: Classifier) -> Callable[[There], Floats]:
    """Probabilities of a place, from its tile alone; nothing is observed around that."""
    halo = classifier.halo

    def read(there: There) -> Floats:
        around = np.pad(there.tile, ((0, 0), (halo, halo), (halo, halo)), constant_values=np.nan)
        found: Floats = there.core(_inner(classifier(around)[1], halo))
        return found

    return read


def _inner(likely: npt.NDArray[np.float32], halo: int) -> Floats:
    """Without the border of `halo` pixels, which is never classified."""
    rows, cols = likely.shape
    return likely[halo : rows - halo, halo : cols - halo].astype(np.float64)
