"""Maps of several years, or months: a table of areas, what changed, and how often there was water.

Pixels are compared only where both maps observed them. What was not observed in one of them is
neither gained nor lost: change maps have it as 255, and tables give the figures twice, for all that
each map observed and for what is common.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from water_gee.errors import RasterError
from water_gee.files import refuse_write, sync, write_bytes
from water_gee.imagery.store import NOT_OBSERVED, WATER
from water_gee.mapping import areas, changes, cogs, maps, stac, styles, vectors
from water_gee.mapping.changes import GAIN, LOSS, ChangeSums
from water_gee.mapping.periods import Period, check_distinct
from water_gee.mapping.trace import trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.windows import Window

    Codes = npt.NDArray[np.uint8]

Pairs = Literal["ends", "steps"]

_STACK_BYTES = 1 << 26
"""Pixels of all maps in memory at once."""

OCCURRENCE_STOPS: tuple[tuple[int, styles.Colour], ...] = (
    (0, styles.LAND_COLOUR),
    (1, (214, 234, 248)),
    (50, (86, 160, 211)),
    (100, (8, 48, 107)),
)


@dataclass(frozen=True, slots=True)
class Series:
    """What was written.

    Attributes:
        out: The folder.
        areas: `areas.csv`, a row a period.
        changes: `changes.csv`, a row for each pair that was compared.
        files: All files, `areas` and `changes` among them.
        rows: The rows of `areas.csv`.
        change_rows: The rows of `changes.csv`.
    """

    out: Path
    areas: Path
    changes: Path
    files: tuple[Path, ...]
    rows: tuple[dict[str, Any], ...]
    change_rows: tuple[dict[str, Any], ...]


def series(
    maps_by_year: Mapping[int | str, Path | str] | Sequence[tuple[int | str, Path | str]],
    out: Path | str,
    *,
    pairs: Pairs | Sequence[tuple[int | str, int | str]] = "ends",
    minimum_m2: float = vectors.MINIMUM_M2,
    tolerance: float = vectors.TOLERANCE,
    probability: bool = True,
    plots: bool = True,
    progress: bool = False,
) -> Series:
    """Make tables, change maps, occurrence and plots of a series of water maps.

    The folder gets

    | file | |
    |---|---|
    | `areas.csv` | a row a period: km² of water, bounds, what was observed |
    | `changes.csv` | a row a pair: km² gained, lost, kept, not comparable |
    | `change_2018_2020.tif` | 0 land in both, 1 water in both, 2 gain, 3 loss, 255 not comparable |
    | `change_2018_2020.gpkg` | gain and loss as polygons, layer `change` |
    | `occurrence.tif` | percent of the observed periods with water, 255 never observed |
    | `observations.tif` | number of periods observed |
    | `seasonality_2020.tif`, `seasonality_2020_months.tif` | of maps of months: never, seasonal, \
permanent water; and the number of months with water |
    | `areas.png`, `change_2018_2020.png` | pictures |

    with a style for QGIS and a STAC item beside each map.

    Args:
        maps_by_year: Water maps on one grid, by year (`2020`) or by month (`"2020-07"`).
        out: The folder; its files appear together when all are whole.
        pairs: What to compare: the first and the last (`"ends"`), each with the next (`"steps"`),
            or pairs of keys.
        minimum_m2: Smallest polygon of gain or loss, m².
        tolerance: Of their outlines, in pixels; see `vectors.polygons`.
        probability: Whether to take the probabilities that `predict` wrote beside the maps, for the
            standard deviation of areas.
        plots: Whether to draw pictures.
        progress: Whether to draw bars.

    Returns:
        What was written, and the rows of the tables.

    Raises:
        RasterError: Fewer than two maps, a year twice, other grids, no water map, or a full disk;
            the folder is then as it was.
    """
    charts = _opened(maps_by_year)
    compared = _pairs(list(charts), pairs)
    target = Path(out)
    with _folder(target) as made:
        job = _Job(charts, compared, made, probability)
        job.run(progress)
        for first, last in compared:
            _polygons(made, first, last, minimum_m2, tolerance, progress)
        if plots:
            _plots(made, job, compared)
        _write_csv(made / "areas.csv", job.rows)
        _write_csv(made / "changes.csv", job.change_rows)
        _items(made, list(charts), compared)
        names = sorted(path.name for path in made.iterdir())
    return Series(
        out=target,
        areas=target / "areas.csv",
        changes=target / "changes.csv",
        files=tuple(target / name for name in names),
        rows=tuple(job.rows),
        change_rows=tuple(job.change_rows),
    )


def change_name(first: Period, last: Period) -> str:
    """Stem of the files about what changed between two periods."""
    return f"change_{first}_{last}"


# ------------------------------------------------------------------------------------ what is given


def _opened(
    given: Mapping[int | str, Path | str] | Sequence[tuple[int | str, Path | str]],
) -> dict[Period, WaterMap]:
    items = list(given.items()) if isinstance(given, Mapping) else list(given)
    periods = [Period.of(key) for key, _ in items]
    check_distinct(periods)
    if len(items) < 2:
        raise RasterError(f"a series needs two maps or more, not {len(items)}")
    charts = {period: maps.open_map(path) for period, (_, path) in zip(periods, items, strict=True)}
    charts = dict(sorted(charts.items()))
    first, *others = ((chart.path, chart.grid) for chart in charts.values())
    maps.check_same_grid(first, *others)
    return charts


def _pairs(
    periods: list[Period], pairs: Pairs | Sequence[tuple[int | str, int | str]]
) -> list[tuple[Period, Period]]:
    if pairs == "ends":
        return [(periods[0], periods[-1])]
    if pairs == "steps":
        return list(itertools.pairwise(periods))
    if not isinstance(pairs, list | tuple):
        raise RasterError(f"pairs={pairs!r}: use 'ends', 'steps' or pairs of years")
    found = []
    for a, b in pairs:
        first, last = Period.of(a), Period.of(b)
        for period in (first, last):
            if period not in periods:
                known = ", ".join(map(str, periods))
                raise RasterError(f"no map of {period} to compare; there are {known}")
        if first == last:
            raise RasterError(f"{first} compared with itself; give two periods")
        if (first, last) not in found:
            found.append((first, last))
    return found


@contextlib.contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder beside the target, whose files move there at the end."""
    made = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        try:
            if target.exists() and not target.is_dir():
                raise RasterError(f"{target} is a file; give a folder")
            made.mkdir()
        except OSError as error:
            if isinstance(error, RasterError):
                raise
            refuse_write(target, error)
        yield made
        try:
            target.mkdir(exist_ok=True)
            for path in sorted(made.iterdir()):
                path.replace(target / path.name)
            sync(target)
        except OSError as error:
            refuse_write(target / "areas.csv", error)
    finally:
        shutil.rmtree(made, ignore_errors=True)


# ------------------------------------------------------------------------------------ windows


class _Job:
    """One pass over all maps, window by window."""

    def __init__(
        self,
        charts: dict[Period, WaterMap],
        pairs: list[tuple[Period, Period]],
        folder: Path,
        probability: bool,
    ) -> None:
        self.charts, self.pairs, self.folder = charts, pairs, folder
        self.periods = list(charts)
        self.grid = next(iter(charts.values())).grid
        self.likely = {
            period: maps.probability_beside(chart) if probability else None
            for period, chart in charts.items()
        }
        self.years = sorted({period.year for period in charts if period.month})
        self.sums = {period: areas.Sums() for period in charts}
        self.common = dict.fromkeys(charts, 0.0)
        self.common_m2 = 0.0
        self.changes = {pair: ChangeSums() for pair in pairs}
        self.rows: list[dict[str, Any]] = []
        self.change_rows: list[dict[str, Any]] = []

    def run(self, progress: bool) -> None:
        """Write the rasters and fill the tables."""
        fits = int((_STACK_BYTES / len(self.charts)) ** 0.5) // 256 * 256
        size = max(256, min(maps.WINDOW, fits))
        with contextlib.ExitStack() as files:
            writers = {
                name: files.enter_context(
                    cogs.writing(self.folder / f"{name}.tif", self.grid, layer)
                )
                for name, layer in self._layers().items()
            }
            steps = maps.counted(self.grid.shape, size, 0, maps.bar("series", on=progress))
            for step in steps:
                for name, values in self._window(step.core):
                    writers[name].write(values, step.core)
        self._tables()

    def _layers(self) -> dict[str, cogs.Layer]:
        found = {
            change_name(*pair): cogs.Layer("change", styles.colour_table(styles.CHANGE))
            for pair in self.pairs
        }
        ramp = styles.ramp(OCCURRENCE_STOPS)
        found["occurrence"] = cogs.Layer("occurrence", ramp, "nearest")
        found["observations"] = cogs.Layer("observations", None, "nearest")
        for year in self.years:
            table = styles.colour_table(styles.SEASONALITY)
            found[f"seasonality_{year}"] = cogs.Layer("seasonality", table)
            months = styles.ramp(month_stops())
            found[f"seasonality_{year}_months"] = cogs.Layer("months", months, "nearest")
        tags = {"water_gee_periods": " ".join(map(str, self.periods))}
        return {
            name: cogs.Layer(layer.name, layer.colours, layer.overviews, tags)
            for name, layer in found.items()
        }

    def _window(self, core: Window) -> Iterator[tuple[str, Codes]]:
        """The rasters' values in a window; the sums grow on the way."""
        stack = np.stack([chart.read(core) for chart in self.charts.values()])
        ground = next(iter(self.charts.values())).areas_m2(core)
        together = (stack != NOT_OBSERVED).all(axis=0)
        self.common_m2 += areas.covered(together, ground)
        codes = dict(zip(self.periods, stack, strict=True))
        for period, own in codes.items():
            self.sums[period].add(own, ground, areas.read_likely(self.likely[period], core))
            self.common[period] += areas.covered((own == WATER) & together, ground)
        for first, last in self.pairs:
            what = changes.change(codes[first], codes[last])
            self.changes[first, last].add(codes[first], codes[last], what, ground)
            yield change_name(first, last), what
        yield from zip(("occurrence", "observations"), changes.occurrence(stack), strict=True)
        for year in self.years:
            own = np.stack([codes[period] for period in self.periods if period.year == year])
            months, kind = changes.seasonality(own)
            yield f"seasonality_{year}", kind
            yield f"seasonality_{year}_months", months

    def _tables(self) -> None:
        for period, chart in self.charts.items():
            found = self.sums[period].areas()
            self.rows.append(
                {
                    "period": str(period),
                    "water_km2": found.water_km2,
                    "low_km2": found.low_km2,
                    "high_km2": found.high_km2,
                    "sd_km2": found.sd_km2,
                    "expected_km2": found.expected_km2,
                    "common_water_km2": self.common[period] / 1e6,
                    "common_km2": self.common_m2 / 1e6,
                    "observed_km2": found.water_km2 + found.land_km2,
                    "not_observed_km2": found.unobserved_km2,
                    "observed_share": found.observed_share,
                    "map": chart.path.name,
                }
            )
        for (first, last), sums in self.changes.items():
            self.change_rows.append({"from": str(first), "to": str(last), **sums.row()})


def month_stops() -> tuple[tuple[int, styles.Colour], ...]:
    """Colours of 0 to 12 months with water."""
    return ((0, styles.LAND_COLOUR), (1, styles.SEASONAL_COLOUR), (12, styles.WATER_COLOUR))


# ------------------------------------------------------------------------------------ the rest


def _polygons(
    folder: Path,
    first: Period,
    last: Period,
    minimum_m2: float,
    tolerance: float,
    progress: bool,
) -> None:
    """Gain and loss as polygons."""
    name = change_name(first, last)
    codes = tuple(int(item.value) for item in styles.CHANGE)
    chart = maps.open_map(folder / f"{name}.tif", classes=codes)
    tables = []
    for code, kind in ((GAIN, "gain"), (LOSS, "loss")):
        bar = maps.bar(kind, on=progress)
        found = trace(chart, code=code, minimum_m2=minimum_m2, progress=bar)
        table = vectors.body_table(chart.grid, found, tolerance)
        table["kind"] = kind
        tables.append(table)
    whole = pd.concat([table for table in tables if len(table)] or tables[:1])
    whole = whole.sort_values("area_m2", ascending=False, kind="stable").reset_index(drop=True)
    whole["id"] = np.arange(1, len(whole) + 1, dtype=np.int64)
    whole.insert(2, "period_from", str(first))
    whole.insert(3, "period_to", str(last))
    kept = whole.drop(columns=["width_m", "length_m", "elongation", "islands"])
    vectors.write_geopackage(
        kept,
        folder / f"{name}.gpkg",
        layer="change",
        style=("kind", styles.CHANGED, f"Water gained and lost, {first} to {last}"),
    )


def _plots(folder: Path, job: _Job, pairs: list[tuple[Period, Period]]) -> None:
    from water_gee.mapping import charts

    write_bytes(folder / "areas.png", charts.areas_png(job.rows))
    for (first, last), row in zip(pairs, job.change_rows, strict=True):
        name = change_name(first, last)
        picture = charts.change_png(folder / f"{name}.tif", f"{first} to {last}", row)
        write_bytes(folder / f"{name}.png", picture)


def _items(folder: Path, periods: list[Period], pairs: list[tuple[Period, Period]]) -> None:
    """Styles and STAC items."""
    whole = (periods[0].days[0], periods[-1].days[1])
    for first, last in pairs:
        name = change_name(first, last)
        earlier, later = sorted((first, last))
        own = {"polygons": folder / f"{name}.gpkg", "picture": folder / f"{name}.png"}
        stac.write_item(
            folder / f"{name}.tif",
            period=(earlier.days[0], later.days[1]),
            categories=styles.CHANGE,
            title=f"Change of surface water from {first} to {last}",
            assets={key: path for key, path in own.items() if path.is_file()},
        )
    stops = [(float(at), colour) for at, colour in OCCURRENCE_STOPS]
    stac.write_quantity_item(
        folder / "occurrence.tif", whole, stops, "%", "Share of observed periods with water"
    )
    most = float(len(periods))
    count = [(0.0, (240, 240, 240)), (most, (60, 60, 60))]
    stac.write_quantity_item(
        folder / "observations.tif", whole, count, "", "Number of periods observed"
    )
    for year in sorted({period.year for period in periods if period.month}):
        days = Period(year).days
        title = f"Seasonality of surface water in {year}"
        stac.write_item(
            folder / f"seasonality_{year}.tif",
            period=days,
            categories=styles.SEASONALITY,
            title=title,
        )
        months = [(float(at), colour) for at, colour in month_stops()]
        path = folder / f"seasonality_{year}_months.tif"
        stac.write_quantity_item(path, days, months, "months", f"Months with water in {year}")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows; numbers with six decimals (m²), nothing where there is no figure."""
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow(
            {
                name: "" if value is None else f"{value:.6f}" if isinstance(value, float) else value
                for name, value in row.items()
            }
        )
    write_bytes(path, text.getvalue().encode())
