"""The rows of a table of scores: labels of a store, maps, models, and what indices alone give."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping as Named
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import indices, raster
from water_gee.errors import RasterError, StoreError
from water_gee.imagery.recipe import MAY_DIFFER, Recipe, check_same
from water_gee.imagery.store import LABELS, LAND, NOT_OBSERVED, WATER, TileStore
from water_gee.mapping import maps, references
from water_gee.mapping.ground import There

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from water_gee.mapping.ground import Ground
    from water_gee.mapping.references import Values
    from water_gee.training.model import TrainedModel

    Codes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

QA_BIT = "QA bit"
CORRECTED = "corrected labels"
"""What the rows of a store's own labels are called."""

THRESHOLD = 0.5
"""Probability from which `predict` has water."""

_BINS = 2000
"""Of the histogram that the one threshold of all tiles comes from: steps of 0.001."""

_FOLDERS = ("images", "masks", "evidence")
"""Folders of a store that hold no labels."""


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


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given to be scored, sorted.

    Attributes:
        store: A tile store, or None.
        rasters: Name -> file of a map or of probabilities.
        models: Name -> trained model, or its file.
    """

    store: TileStore | None
    rasters: Mapping[str, Path]
    models: Mapping[str, TrainedModel | Path]


@contextlib.contextmanager
def sorted_out(given: Any) -> Iterator[Sources]:
    """Sort what a user gave: stores by their folder, models by their ending, the rest are rasters.

    Args:
        given: One or several, or names with them.

    Raises:
        StoreError: A folder that is no store, or a second store.
        RasterError: Two of one name, or none at all.
    """
    with contextlib.ExitStack() as files:
        store: TileStore | None = None
        rasters: dict[str, Path] = {}
        models: dict[str, TrainedModel | Path] = {}
        for name, source in _named(given):
            if isinstance(source, TileStore):
                if store is not None:
                    raise StoreError(f"{source} is a second store; give one, and its folders")
                store = source
                continue
            if not isinstance(source, str | Path):
                _put(models, rasters, name if name is not None else "model", source)
                continue
            path = Path(source)
            if path.is_dir() or not (path.exists() or path.suffix):
                if store is not None:
                    raise StoreError(f"{path} is a second store; give one, and its folders")
                store = files.enter_context(TileStore.open(path))
                continue
            if not path.exists():
                raise RasterError(f"{path}: no such file or folder")
            shown = name if name is not None else path.stem
            if path.suffix == ".keras":
                _put(models, rasters, shown, path)
            else:
                _put(rasters, models, shown, path)
        if store is None and not rasters:
            what = "a model needs a store to map" if models else "nothing is given"
            raise RasterError(f"{what}: give a tile store, or maps")
        if store is None and models:
            raise RasterError(f"{next(iter(models))}: a model needs a store to map; give one, too")
        yield Sources(store, rasters, models)


def _put(into: dict[str, Any], other: Mapping[str, Any], name: str, source: Any) -> None:
    if name in into or name in other:
        raise RasterError(f"two rows are called {name!r}; name them, as NAME=FILE")
    into[name] = source


def _named(given: Any) -> Iterable[tuple[str | None, Any]]:
    if isinstance(given, Named):
        return [(str(name), source) for name, source in given.items()]
    if isinstance(given, list | tuple):
        return [pair for item in given for pair in _named(item)]
    name, equals, path = str(given).partition("=") if isinstance(given, str) else ("", "", "")
    if equals and not Path(str(given)).exists():
        return [(name, path)]
    return [(None, given)]


# ------------------------------------------------------------------------------------ labels


def labels(store: TileStore, folders: Sequence[str] | None) -> tuple[list[Row], list[str]]:
    """The QA bit, and the labels of folders.

    Args:
        store: The tiles.
        folders: Which; by default the corrected labels, if there are any.

    Returns:
        Rows, and what is to be said about them.

    Raises:
        StoreError: A folder that is not there, or has no label.
    """
    rows, notes = [Row(QA_BIT, lambda there: there.qa)], []
    cells = store.cells()
    for folder in (LABELS,) if folders is None else folders:
        having = sum(store.has_label(cell, folder) for cell in cells)
        if not having:
            if folders is None:
                notes.append(f"{CORRECTED}: {store.path} has none; `water-gee labels` makes them")
                continue
            raise StoreError(_no_labels(store, folder))
        name = CORRECTED if folder == LABELS else folder
        own = folder == LABELS
        if having < len(cells):
            instead = "the QA bit stands there, as in training" if own else "not observed there"
            notes.append(
                f"{name}: {len(cells) - having} of {len(cells)} cells have none; {instead}"
            )
        rows.append(Row(name, _label(folder, own)))
    return rows, notes


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


# ------------------------------------------------------------------------------------ baselines


@dataclass(frozen=True, slots=True)
class _Index:
    """A baseline: the bands it needs, and what it makes of them."""

    name: str
    bands: tuple[str, ...]
    water: Callable[..., Codes]


_SIX = ("Blue", "Green", "Red", "NIR", "SWIR1", "SWIR2")

_BASELINES = (
    _Index("MNDWI > 0", ("mNDWI",), indices.above),
    _Index(
        "AWEIsh > 0",
        ("Blue", "Green", "NIR", "SWIR1", "SWIR2"),
        lambda *bands: indices.above(indices.awei_sh(*bands)),
    ),
    _Index(
        "AWEInsh > 0",
        ("Green", "NIR", "SWIR1", "SWIR2"),
        lambda *bands: indices.above(indices.awei_nsh(*bands)),
    ),
    _Index("DSWE 3 of 5", _SIX, indices.dswe_water),
)


def baselines(
    ground: Ground, bar: Callable[[Sequence[Any]], Iterable[Any]]
) -> tuple[list[Row], list[str]]:
    """What indices alone make of a store's tiles; reads all of them once.

    Args:
        ground: Cells of a store.
        bar: What draws progress over them.

    Returns:
        Rows, and why some are missing.
    """
    if ground.store is None:
        return [], ["baselines: a map has no bands to make them of; give the tile store, too"]
    features = ground.store.recipe.features
    edges = np.linspace(-1.0, 1.0, _BINS + 1)
    counts, without = np.zeros(_BINS), 0
    for place in bar(ground.places):
        there = There(ground, place)
        swir2 = there.margin_evidence.get("SWIR2")
        without += swir2 is None or not np.isfinite(swir2).any()
        if "mNDWI" in features:
            seen = there.band("mNDWI")
            counts += np.histogram(np.clip(seen[np.isfinite(seen)], -1, 1), edges)[0]
    rows, notes = [], []
    for index in _BASELINES:
        missing = [band for band in index.bands if band not in features and band != "SWIR2"]
        if missing:
            notes.append(f"{index.name}: this recipe has no {missing[0]}")
        elif "SWIR2" in index.bands and without:
            of = f"{without} of {len(ground.places)} tiles have no SWIR2"
            notes.append(f"{index.name}: {of}; downloading them anew brings it")
        else:
            rows.append(Row(index.name, _of_bands(index)))
        if index.bands == ("mNDWI",) and not missing:
            cut = indices.otsu_of_counts(counts, edges)
            otsu = _Index(f"MNDWI > {cut:.3f} (Otsu)", ("mNDWI",), _above(cut))
            rows.append(Row(otsu.name, _of_bands(otsu)))
            notes.append(f"{otsu.name}: one threshold for all {len(ground.places)} tiles together")
    return rows, notes


def _of_bands(index: _Index) -> Callable[[There], Codes]:
    return lambda there: index.water(*(there.band(name) for name in index.bands))


def _above(cut: float) -> Callable[..., Codes]:
    return lambda values: indices.above(values, cut)


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
        known = seen[np.isfinite(seen)]
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
    own = maps.recipe_of(tags)
    if ground.store is None or not own:
        return []
    wanted = ground.store.recipe.to_dict()
    apart = [key for key in own if key in wanted and own[key] != wanted[key]]
    if not apart:
        return []
    shown = "; ".join(f"{key}: {own[key]!r} / {wanted[key]!r}" for key in apart)
    return [f"{name}: made with another recipe than the store ({shown})"]


# ------------------------------------------------------------------------------------ models


def of_model(name: str, model: TrainedModel | Path, ground: Ground, threshold: float) -> Row:
    """What a model maps of each tile, from the tile alone.

    Raises:
        ModelError: No model.
        RecipeMismatchError: It was trained on another recipe than the store's.
    """
    from water_gee.mapping.classifier import Classifier
    from water_gee.training.model import resolve

    trained = resolve(model)
    recipe = ground.store.recipe if ground.store is not None else Recipe()
    where = (str(name), f"the store {ground.chart.path}")
    check_same(trained.recipe, recipe, where, ignore=MAY_DIFFER)
    classifier = Classifier(trained.network)

    def read(there: There) -> Floats:
        found: Floats = there.core(classifier(there.tile)[1]).astype(np.float64)
        return found

    return _of_likely(name, read, threshold)
