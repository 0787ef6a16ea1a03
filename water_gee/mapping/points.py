"""Points for people to look up: drawn at random within the classes of a map.

The design is that of Olofsson, P. et al. (2014), Good practices for estimating area and assessing
accuracy of land change, Remote Sensing of Environment 148, 42-57: strata are the map's classes, a
rare class gets at least so many points, the others share the rest by their area. The pixels near
the map's shore, where most errors are, can be strata of their own.

One pass over the map draws the points: every pixel is given an exponential random number over its
area, and the smallest of each stratum are its sample (P. Efraimidis, P. Spirakis (2006),
Information Processing Letters 97, 181-185).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pyproj
from pyogrio.errors import DataLayerError, DataSourceError
from scipy import ndimage

from water_gee._version import __version__
from water_gee.errors import RasterError
from water_gee.files import refuse_same
from water_gee.imagery.store import LAND, WATER
from water_gee.mapping import areas, maps, pointstyle, styles
from water_gee.mapping.vectors import geopackage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.windows import Padded, Window

    Codes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

STRATA = ("land", "water", "land near the shore", "water near the shore")
"""The strata by code; a code's map class is its remainder by 2."""

LAYER, DESIGN = "points", "design"
"""The layers of a file of points: what people fill in, and how it was drawn."""

ANSWER = "reference"
"""The column that people fill in: water or land."""

MINIMUM = 50
"""Points that a stratum gets at least: Olofsson et al. (2014), section 5.1.2, advise 50 to 100 for
rare classes."""

FEWEST = 2
"""Points of a stratum from which there is a standard error."""

_WIDEST = 100
"""Pixels that the shore may be wide."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample of points.

    Attributes:
        path: The file.
        points: Stratum -> points.
        areas_km2: Stratum -> its area in the map.
    """

    path: Path
    points: dict[str, int]
    areas_km2: dict[str, float]


def draw_points(
    map_path: Path | str,
    out: Path | str,
    *,
    number: int = 500,
    near_shore: float = 0,
    minimum: int | None = None,
    show_class: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Drawn:
    """Draw a stratified random sample of a map's pixels, to be labelled by people.

    Args:
        map_path: Water map of any size: 0 land, 1 water, 255 not observed, where nothing is drawn.
        out: A GeoPackage. Its layer `points` has a point at the centre of each pixel drawn, in
            EPSG:4326, in random order, with `id`, `lon`, `lat`, the empty column `reference` for
            water or land, and `note`; `design` says how they were drawn, for `evaluate_points`.
        number: Points in all.
        near_shore: Pixels from the map's shore within which land and water are strata of their
            own; 0 for none.
        minimum: Points that each stratum gets at least; 50, or fewer where `number` is small.
        show_class: Whether to write the map's class and stratum beside each point. Whoever labels
            points should not know it.
        seed: Equal seeds draw equal points.
        progress: Whether to draw a bar.

    Returns:
        How many points each stratum got.

    Raises:
        RasterError: No water map, one without observed pixels, too few points, or a stratum with
            fewer than two pixels; or `out` holds points that somebody has labelled.
        WriteFailedError: The disk is full.
    """
    chart, target = maps.open_map(map_path), Path(out)
    if target.suffix.lower() != ".gpkg":
        raise RasterError(f"{target}: points are written as a GeoPackage; name it .gpkg")
    refuse_same(target, [chart.path])
    _refuse_labelled(target)
    if not 0 <= near_shore <= _WIDEST:
        raise RasterError(f"{near_shore:g} pixels near the shore: give 0 to {_WIDEST}")
    kept = _pass(chart, number, near_shore, seed, progress)
    sizes = _allocate(kept, number, minimum, chart.path)
    rows, cols, codes = (
        np.concatenate([part[k][: sizes[code]] for code, part in enumerate(kept.best)])
        for k in (1, 2, 3)
    )
    order = np.random.default_rng((seed, 1)).permutation(len(rows))
    table = _table(chart, rows[order], cols[order], codes[order].astype(np.uint8), show_class)
    used = [code for code in range(len(STRATA)) if kept.pixels[code]]
    design = pd.DataFrame(
        {
            "stratum": [STRATA[code] for code in used],
            "map_class": [code % 2 for code in used],
            "area_km2": [kept.area[code] / 1e6 for code in used],
            "pixels": [int(kept.pixels[code]) for code in used],
            "points": [sizes[code] for code in used],
            "near_shore_px": float(near_shore),
            "map": chart.path.name,
            "facts": json.dumps(
                {"seed": seed, "version": __version__, "model": chart.tags.get("water_gee_model")}
            ),
        }
    )
    with geopackage(target) as named:
        pyogrio.write_dataframe(table, named, layer=LAYER, driver="GPKG", geometry_type="Point")
        pyogrio.write_dataframe(design, named, layer=DESIGN, driver="GPKG", append=True)
        qml = pointstyle.point_qml(ANSWER, ("water", "land"))
        styles.put_style(named, LAYER, (qml, ""), "what is labelled, and what is open")
    return Drawn(
        target,
        {STRATA[code]: sizes[code] for code in used},
        {STRATA[code]: kept.area[code] / 1e6 for code in used},
    )


def _refuse_labelled(target: Path) -> None:
    """Keep answers: they are hours of somebody's work."""
    if not target.exists():
        return
    try:
        if LAYER not in {str(name) for name, _ in pyogrio.list_layers(target)}:
            return
        table = pyogrio.read_dataframe(target, layer=LAYER, read_geometry=False)
    except (DataLayerError, DataSourceError):
        return  # no GeoPackage: nothing that is known to be worth keeping
    if ANSWER not in table.columns:
        return
    answers = int((table[ANSWER].astype("string").fillna("").str.strip() != "").sum())
    if answers:
        raise RasterError(
            f"{target} holds {answers} labelled point(s): give another name, or remove the file"
        )


# ------------------------------------------------------------------------------------ strata


def strata_of(codes: Codes, near_shore: float) -> Codes:
    """The stratum of each pixel of a map, an index into `STRATA`; 255 where not observed.

    Args:
        codes: 0 land, 1 water, 255 not observed.
        near_shore: Pixels between a pixel's centre and the nearest one of the other class, less
            the half that belongs to it, that are near; 0 for no strata by distance.
    """
    out = codes.copy()
    if near_shore <= 0:
        return out
    for own, other in ((WATER, LAND), (LAND, WATER)):
        there = codes != other
        if there.all():
            continue
        close = np.asarray(ndimage.distance_transform_edt(there)) - 0.5 <= near_shore
        out[(codes == own) & close] = own + 2
    return out


def windows_of(
    chart: WaterMap,
    near_shore: float,
    *,
    progress: bool,
    wanted: Callable[[Window], bool] | None = None,
) -> Iterator[tuple[Window, Codes]]:
    """Windows of a map, with the strata of their pixels.

    Args:
        chart: The map.
        near_shore: As in `strata_of`.
        progress: Whether to draw a bar.
        wanted: Which windows; all by default.

    Yields:
        The window, and `uint8 (row, col)`.
    """
    halo = math.ceil(near_shore) + 1 if near_shore > 0 else 0
    bar = maps.bar("points", on=progress)
    for step in maps.counted(chart.grid.shape, maps.WINDOW, halo, bar):
        if wanted is None or wanted(step.core):
            yield step.core, _core(strata_of(chart.read(step.outer), near_shore), step)


def _core(values: Codes, step: Padded) -> Codes:
    row, col = step.core.row - step.outer.row, step.core.col - step.outer.col
    return values[row : row + step.core.height, col : col + step.core.width]


# ------------------------------------------------------------------------------------ drawing


class _Kept:
    """What a pass over a map has found.

    Attributes:
        best: Of each stratum, the pixels with the smallest keys: keys, rows, columns, codes.
        area: Stratum -> m².
        pixels: Stratum -> pixels.
    """

    def __init__(self) -> None:
        nothing = np.zeros(0)
        whole = np.zeros(0, np.int64)
        self.best: list[tuple[npt.NDArray[Any], ...]] = [(nothing, whole, whole, whole)] * 4
        self.area: Floats = np.zeros(len(STRATA))
        self.pixels = np.zeros(len(STRATA), np.int64)


def _pass(chart: WaterMap, number: int, near_shore: float, seed: int, progress: bool) -> _Kept:
    kept = _Kept()
    for core, codes in windows_of(chart, near_shore, progress=progress):
        ground = np.broadcast_to(chart.areas_m2(core), codes.shape)
        random = np.random.default_rng((seed, 0, core.row, core.col))
        keys = random.exponential(size=codes.shape)
        for code in range(len(STRATA)):
            here = codes == code
            if not here.any():
                continue
            kept.area[code] += areas.covered(here, ground)
            kept.pixels[code] += int(np.count_nonzero(here))
            row, col = np.nonzero(here)
            key = keys[here] / ground[here]
            before = kept.best[code]
            key = np.concatenate([before[0], key])
            row = np.concatenate([before[1], row + core.row])
            col = np.concatenate([before[2], col + core.col])
            first = _smallest(key, number)
            chosen = np.full(len(first), code)
            kept.best[code] = (key[first], row[first], col[first], chosen)
    return kept


def _smallest(keys: Floats, number: int) -> npt.NDArray[np.int64]:
    """The places of the smallest keys, in their order."""
    some = np.arange(len(keys))
    if len(keys) > number:
        some = np.argpartition(keys, number)[:number]
    return np.asarray(some[np.argsort(keys[some], kind="stable")], np.int64)


def _allocate(kept: _Kept, number: int, minimum: int | None, path: Path) -> list[int]:
    """Points of each stratum: at least so many, the rest by area."""
    used = [code for code in range(len(STRATA)) if kept.pixels[code]]
    if not used:
        raise RasterError(f"{path} has no observed pixel to draw")
    for code in used:
        if kept.pixels[code] < FEWEST:
            raise RasterError(
                f"{path}: the stratum {STRATA[code]!r} has {kept.pixels[code]} pixel; an accuracy "
                f"needs {FEWEST} points of each, so draw with another --near-shore, or another map"
            )
    least = min(MINIMUM, max(FEWEST, number // (2 * len(used)))) if minimum is None else minimum
    if least < FEWEST or least * len(used) > number:
        raise RasterError(
            f"{number} points do not give each of {len(used)} strata {max(least, FEWEST)}: draw "
            f"at least {max(least, FEWEST) * len(used)}, with a minimum of {FEWEST} or more"
        )
    room = {code: int(kept.pixels[code]) for code in used}
    sizes = {code: min(least, room[code]) for code in used}
    fixed: set[int] = set()
    while True:
        free = [code for code in used if code not in fixed]
        left = number - sum(sizes[code] for code in fixed)
        shares = _rounded([kept.area[code] for code in free], left)
        wanted = dict(zip(free, shares, strict=True))
        out = [c for c in free if not min(least, room[c]) <= wanted[c] <= room[c]]
        if not out:
            sizes.update(wanted)
            return [sizes.get(code, 0) for code in range(len(STRATA))]
        for code in out:
            sizes[code] = min(max(wanted[code], least), room[code])
            fixed.add(code)
        if len(fixed) == len(used):
            return [sizes.get(code, 0) for code in range(len(STRATA))]


def _rounded(weights: Sequence[float], whole: int) -> list[int]:
    """Share whole points by weight; the largest remainders get what is left."""
    total = sum(weights)
    exact = [whole * weight / total for weight in weights]
    sizes = [math.floor(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda k: sizes[k] - exact[k])
    for k in order[: max(0, whole - sum(sizes))]:
        sizes[k] += 1
    return sizes


def _table(
    chart: WaterMap, rows: Any, cols: Any, codes: Codes, show_class: bool
) -> geopandas.GeoDataFrame:
    t = chart.grid.transform
    x = t.a * (cols + 0.5) + t.b * (rows + 0.5) + t.c
    y = t.d * (cols + 0.5) + t.e * (rows + 0.5) + t.f
    to_degrees = pyproj.Transformer.from_crs(chart.grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(x, y)
    columns: dict[str, Any] = {"id": np.arange(1, len(rows) + 1), "lon": lon, "lat": lat}
    if show_class:
        columns["map_class"] = np.where(codes % 2 == WATER, "water", "land")
        columns["stratum"] = np.array(STRATA)[codes]
    empty = np.full(len(rows), None, dtype=object)
    columns |= {ANSWER: empty, "note": empty}
    places = geopandas.points_from_xy(lon, lat)
    return geopandas.GeoDataFrame(columns, geometry=places, crs="EPSG:4326")
