"""Rows that indices alone give: what a method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee import indices
from water_gee.mapping.ground import There
from water_gee.mapping.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from water_gee.mapping.ground import Ground

    Codes = npt.NDArray[np.uint8]

_BINS = 2000
"""Of the histogram that the one threshold of all tiles comes from: steps of 0.001."""


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
