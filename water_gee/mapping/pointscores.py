"""What labelled points say of a map: its accuracy and the area of water, with standard errors.

The estimators are those of `scores.of_strata`: Olofsson et al. (2014), and where strata are parts
of the map's classes, Stehman (2014). Points count by the area of their stratum, not one like
another, so that rare classes can have many points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from water_gee.errors import RasterError
from water_gee.files import one_line
from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER
from water_gee.mapping import areas, maps, references, scores
from water_gee.mapping import points as drawing
from water_gee.mapping.points import ANSWER, DESIGN, STRATA

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.mapping.scores import Estimate

    Codes = npt.NDArray[np.uint8]

_WATER = frozenset({"water", "w", "1", "1.0", "true", "yes"})
_LAND = frozenset({"land", "l", "0", "0.0", "false", "no"})
_OPEN = frozenset({"", "nan", "none", "<na>", "?", "unclear", "unsure", "255", "255.0"})
"""Answers, in small letters: water, land, and none."""


@dataclass(frozen=True, slots=True)
class PointScores:
    """How a map agrees with labelled points.

    Attributes:
        points: Name of their file.
        strata: Name, area in km², labelled points, and those of them where the map is right.
        accuracy: Share of the mapped area that the map has right.
        precision: Share of the map's water that is water (user's accuracy).
        recall: Share of the water that the map has (producer's accuracy).
        iou: Water that both have, over water that either has.
        water_km2: Area of water by the points.
        land_km2: Area of land by the points.
        map_water_km2: Area of water in the map.
        left_out: Points without an answer, or where the map was not observed.
        notes: What a reader should know.
    """

    points: str
    strata: tuple[tuple[str, float, int, int], ...]
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    iou: Estimate
    water_km2: Estimate
    land_km2: Estimate
    map_water_km2: float
    left_out: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them: estimates with standard error and 95% interval."""
        plain: dict[str, Any] = {"points": self.points}
        for name in _ESTIMATES:
            low, high = self.interval(name)
            found: Estimate = getattr(self, name)
            four = {"value": found.value, "standard_error": found.error, "low": low, "high": high}
            plain[name] = {key: None if v != v else v for key, v in four.items()}
        names = ("stratum", "area_km2", "points", "right")
        plain["strata"] = [dict(zip(names, each, strict=True)) for each in self.strata]
        return plain | {
            "map_water_km2": self.map_water_km2,
            "left_out": self.left_out,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """The figures for people."""
        count = sum(each[2] for each in self.strata)
        lines = [f"points  {self.points}: {count} labelled, {self.left_out} left out", ""]
        width = max(map(len, _ESTIMATES.values()))
        for name, label in _ESTIMATES.items():
            found: Estimate = getattr(self, name)
            low, high = self.interval(name)
            lines.append(
                f"{label:<{width}}  {found.value:.3f}  standard error {found.error:.3f}  "
                f"95% {low:.3f} to {high:.3f}"
            )
        lines.append(f"{'water in the map, km²':<{width}}  {self.map_water_km2:.3f}")
        lines.append("")
        wide = max(len(each[0]) for each in self.strata)
        for stratum, km2, points, right in self.strata:
            lines.append(f"{stratum:<{wide}}  {km2:12.3f} km²  {points:5d} points, {right} right")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def interval(self, name: str) -> tuple[float, float]:
        """The 95% interval of an estimate, kept within 0 to 1 for shares, and above 0 for areas."""
        found: Estimate = getattr(self, name)
        low, high = found.interval
        if high != high:
            return low, high
        return max(0.0, low), high if name.endswith("km2") else min(1.0, high)


_ESTIMATES = {
    "accuracy": "overall accuracy",
    "precision": "user's accuracy of water (precision)",
    "recall": "producer's accuracy of water (recall)",
    "iou": "IoU of water",
    "water_km2": "water, km²",
    "land_km2": "land, km²",
}
"""The estimates, and what people call them."""


def evaluate_points(
    map_path: Path | str,
    points: Path | str,
    *,
    column: str = ANSWER,
    progress: bool = True,
) -> PointScores:
    """Estimate a map's accuracy, and the area of water, from points that people have labelled.

    Args:
        map_path: The map that the points were drawn from.
        points: What `draw_points` wrote, with answers in it; or any file of points drawn at random
            within the map's classes, a CSV with `lon` and `lat` for example. Then the strata are
            the map's classes, with their areas.
        column: With the answers: water or land (also w and l, 1 and 0). Empty ones are left out.
        progress: Whether to draw bars.

    Returns:
        Estimates with standard errors.

    Raises:
        RasterError: No such file or column, an answer that is neither, points that were drawn from
            another map, or a stratum with fewer than two answers.
    """
    chart, source = maps.open_map(map_path), Path(points)
    table = _read(source, chart.grid.crs)
    if column not in table.columns:
        known = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise RasterError(f"{source} has no column {column!r}; it has {known}")
    design = _design(source)
    near = float(design["near_shore_px"].iloc[0]) if design is not None else 0.0
    answers = _answers(table[column], source)
    stratum = _strata_at(chart, table, near, progress)
    if design is not None:
        _check(design, stratum, source, chart)
    seen = stratum != NOT_OBSERVED
    used = seen & (answers != NOT_OBSERVED)
    if not seen.any():
        raise RasterError(f"no point of {source} lies where {chart.path} was observed")
    sizes = _sizes(chart, design, progress)
    counts = np.zeros((len(STRATA), 2, 2))
    np.add.at(counts, (stratum[used], stratum[used] % 2, answers[used]), 1)
    _refuse_few(counts, sizes, source, column)
    found = scores.of_strata(counts, sizes)
    return PointScores(
        points=source.name,
        strata=tuple(
            (STRATA[k], float(sizes[k]), int(counts[k].sum()), int(np.trace(counts[k])))
            for k in range(len(STRATA))
            if sizes[k] > 0
        ),
        accuracy=found.accuracy,
        precision=found.precision[WATER],
        recall=found.recall[WATER],
        iou=found.iou[WATER],
        water_km2=found.areas[WATER],
        land_km2=found.areas[LAND],
        map_water_km2=float(sizes[1] + sizes[3]),
        left_out=len(table) - int(used.sum()),
        notes=tuple(_notes(stratum, answers, design)),
    )


def _read(source: Path, crs: str) -> geopandas.GeoDataFrame:
    """The points of a file in a CRS."""
    if not source.exists():
        raise RasterError(f"{source}: no such file")
    if source.suffix.lower() == ".csv":
        try:
            plain = pd.read_csv(source, dtype=str, keep_default_na=False)
            lon, lat = (_degrees(plain[name], source) for name in ("lon", "lat"))
        except (KeyError, ValueError, UnicodeDecodeError) as error:
            raise RasterError(
                f"{source}: a CSV of points needs columns lon and lat, in degrees"
            ) from error
        table = geopandas.GeoDataFrame(
            plain, geometry=geopandas.points_from_xy(lon, lat), crs="EPSG:4326"
        ).to_crs(crs)
    else:
        table = references.read_features(source, crs)
    if not (table.geom_type == "Point").all():
        raise RasterError(f"{source} holds other shapes than points")
    return table


def _degrees(texts: pd.Series[Any], source: Path) -> pd.Series[Any]:
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        row = int(wrong[0])
        raise RasterError(
            f"{source}: {texts.name} of point {row + 1} is {str(texts.iloc[row])!r}, not degrees"
        )
    return numbers


def _design(source: Path) -> pd.DataFrame | None:
    """How the points were drawn, where the file says it."""
    if source.suffix.lower() != ".gpkg":
        return None
    try:
        if DESIGN not in {str(name) for name, _ in pyogrio.list_layers(source)}:
            return None
        table: pd.DataFrame = pyogrio.read_dataframe(source, layer=DESIGN, read_geometry=False)
    except (DataLayerError, DataSourceError) as error:
        raise RasterError(f"cannot read {source}: {one_line(error)}") from error
    needed = {"stratum", "area_km2", "points", "near_shore_px"}
    if not needed <= set(table.columns) or not set(table["stratum"]) <= set(STRATA) or table.empty:
        raise RasterError(f"{source}: its layer {DESIGN!r} is not what `water-gee points` writes")
    return table


def _answers(given: pd.Series[Any], source: Path) -> Codes:
    """0 land, 1 water, 255 no answer."""
    texts = given.astype("string").fillna("").str.strip().str.lower()
    out = np.full(len(texts), NOT_OBSERVED, np.uint8)
    for k, said in enumerate(texts):
        if said in _WATER:
            out[k] = WATER
        elif said in _LAND:
            out[k] = LAND
        elif said not in _OPEN:
            raise RasterError(
                f"{source}: the answer {str(given.iloc[k])!r} is neither water nor land; leave "
                "those that are unclear empty"
            )
    return out


def _strata_at(chart: WaterMap, table: Any, near_shore: float, progress: bool) -> Codes:
    """The map's stratum at each point; 255 outside and where not observed."""
    t = ~chart.grid.transform
    x, y = (np.asarray(axis, dtype=np.float64) for axis in (table.geometry.x, table.geometry.y))
    rows = np.floor(t.d * x + t.e * y + t.f)
    cols = np.floor(t.a * x + t.b * y + t.c)
    out = np.full(x.shape, NOT_OBSERVED, dtype=np.uint8)

    def wanted(core: Any) -> npt.NDArray[np.bool_]:
        here = (rows >= core.row) & (rows < core.row + core.height)
        return np.asarray(here & (cols >= core.col) & (cols < core.col + core.width))

    for core, codes in drawing.windows_of(
        chart, near_shore, progress=progress, wanted=lambda core: bool(wanted(core).any())
    ):
        here = wanted(core)
        out[here] = codes[(rows[here] - core.row).astype(int), (cols[here] - core.col).astype(int)]
    return out


def _check(design: pd.DataFrame, stratum: Codes, source: Path, chart: WaterMap) -> None:
    """Refuse points that this map cannot have given."""
    was = f", but from {design['map'].iloc[0]}" if "map" in design else ""
    for name, drawn in zip(design["stratum"], design["points"], strict=True):
        here = int((stratum == STRATA.index(name)).sum())
        if here > int(drawn):
            raise RasterError(
                f"{source} was not drawn from {chart.path}{was}: {drawn} of its points were drawn "
                f"from {name}, and {here} of them lie there in this map"
            )
    for code, name in enumerate(STRATA):
        here = int((stratum == code).sum())
        if here and name not in set(design["stratum"]):
            raise RasterError(
                f"{source} was not drawn from {chart.path}{was}: none of its points were drawn "
                f"from {name}, and {here} of them lie there in this map"
            )


def _sizes(chart: WaterMap, design: pd.DataFrame | None, progress: bool) -> npt.NDArray[np.float64]:
    """Area of each stratum, km²."""
    sizes = np.zeros(len(STRATA))
    if design is None:
        measured = areas.measure(chart.path, progress=progress)
        sizes[LAND], sizes[WATER] = measured.land_km2, measured.water_km2
        return sizes
    for name, size in zip(design["stratum"], design["area_km2"], strict=True):
        sizes[STRATA.index(name)] = float(size)
    return sizes


def _refuse_few(
    counts: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], source: Path, column: str
) -> None:
    for k, name in enumerate(STRATA):
        answered = int(counts[k].sum())
        if sizes[k] > 0 and answered < drawing.FEWEST:
            raise RasterError(
                f"{source}: answers in {column!r} for {answered} point(s) of the map's {name}; a "
                f"standard error needs {drawing.FEWEST} or more of each stratum"
            )


def _notes(stratum: Codes, answers: Codes, design: pd.DataFrame | None) -> Sequence[str]:
    notes = []
    if design is None:
        notes.append(
            "nothing says how the points were drawn; taken as drawn at random within the map's "
            "classes"
        )
    elif (gone := int(design["points"].sum()) - len(answers)) > 0:
        notes.append(f"{gone} of the points drawn are missing from the file")
    away = int((stratum == NOT_OBSERVED).sum())
    if away:
        notes.append(f"{away} points lie outside the map, or where it was not observed")
    empty = int(((answers == NOT_OBSERVED) & (stratum != NOT_OBSERVED)).sum())
    if empty:
        notes.append(
            f"{empty} points have no answer; if they are harder than the others, the map looks "
            "better than it is"
        )
    return notes
