"""Labels and maps against one reference: a table of scores with intervals, on the same pixels.

`compare` holds one map against one reference and shows where they differ; here several are held
against it side by side, with what indices alone would have given. Everything is read cell by cell,
and only counts are kept.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import RasterError, StoreError
from water_gee.imagery.grid import place_of
from water_gee.imagery.store import NOT_OBSERVED, WATER
from water_gee.mapping import baselines as indices_alone
from water_gee.mapping import bootstrap, named, references, rows
from water_gee.mapping import given as givens
from water_gee.mapping import ground as grounds
from water_gee.mapping.bootstrap import Tally
from water_gee.mapping.calibration import Gauge
from water_gee.mapping.ground import There
from water_gee.mapping.references import Classes
from water_gee.mapping.scoretable import ALL, Evaluation, Scores
from water_gee.mapping.shorebands import SHORE, WIDEST, Bands
from water_gee.metrics import Confusion
from water_gee.training.strata import STRATA
from water_gee.windows import Window

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.store import TileStore
    from water_gee.mapping.given import Sources
    from water_gee.mapping.ground import Ground, Place
    from water_gee.mapping.references import Reference
    from water_gee.mapping.rows import Row

    Codes = npt.NDArray[np.uint8]

_LOST = 0.1
"""Share of the reference's pixels that rows may fail to observe before that is said."""


def evaluate(
    sources: Any,
    reference: Path | str,
    *,
    labels: Sequence[str] | None = None,
    cells: Sequence[str] | None = None,
    held_out: Any = None,
    baselines: bool = True,
    against: str | None = None,
    water: Collection[int] = (WATER,),
    land: Collection[int] | None = None,
    ignore: Collection[int] = (NOT_OBSERVED,),
    above: float | None = None,
    years: Sequence[int] | None = None,
    months: Sequence[int] | None = None,
    threshold: float = rows.THRESHOLD,
    shore: Sequence[float] = SHORE,
    shore_unit: str = "px",
    charts: Path | str | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Score labels and maps against a reference, side by side and on the same pixels.

    Args:
        sources: What is scored, one or several, in a list or by name:
            - a tile store or its folder: its QA bit, its labels, and baselines made of its bands;
            - a map (0 land, 1 water, 255 not observed) on any grid; the probabilities beside it,
              `MAP_probability.tif`, are looked at as well;
            - a raster of probabilities of water;
            - a trained model or its file, which maps the store's tiles.
            Without a store, the first map's grid is used, and there are no baselines.
        reference: A raster on any grid, a file of polygons of water (land is everywhere else), or
            by name a map that the connected service has; as `compare` takes it.
        labels: Folders of labels in the store; by default the corrected labels, if there are any.
        cells: Ids of the store's cells to score; all by default.
        held_out: A model or its file: only cells that it did not learn from are scored, those that
            it was validated on among them.
        baselines: Whether to add MNDWI > 0, MNDWI by one threshold of Otsu's over all tiles, AWEI
            with and without shadow, and three of the five tests of DSWE.
        against: The row that the others are compared with; by default the QA bit, else the first.
        water: Values of a reference raster that are water.
        land: Values that are land; all others by default.
        ignore: Values that say nothing, besides its nodata.
        above: Of a reference that holds a share of water: from which value on it is water.
        years: Of a reference by name; those of the recipe by default.
        months: Of `dynamic-world`; those of the recipe by default.
        threshold: Probability from which there is water, for rows that have probabilities.
        shore: Bounds of the bands of distance to the reference's shore, rising.
        shore_unit: `px` or `m`.
        charts: A folder for pictures of the table and of the calibration.
        resamples: Of the bootstrap; 0 for no intervals.
        seed: Of it.
        progress: Whether to draw bars.

    Returns:
        The table. `str()` of it is for people, `to_dict()` and `to_csv()` for programs.

    Raises:
        RasterError: A file that is no map or reference, a reference elsewhere, or one that says
            nothing where the rows do.
        StoreError: No store there, an empty one, or one without the labels or cells asked for.
        ModelError: No model.
        RecipeMismatchError: A model of another recipe than the store's.
        DownloadError: The connected service has no such reference.
        SessionError: No service.
    """
    classes = Classes(tuple(water), None if land is None else tuple(land), tuple(ignore), above)
    bands = Bands.of(shore, shore_unit)
    if not 0 < threshold < 1:
        raise RasterError(f"threshold {threshold:g}: give a probability between 0 and 1")
    with givens.sorted_out(sources) as given, contextlib.ExitStack() as files:
        ground, margin = _ground(given, bands, _chosen(given.store, cells, held_out))
        truth = files.enter_context(_reference(reference, ground, classes, years, months))
        scored, notes = _rows(given, ground, labels, baselines, threshold, files, progress)
        base = _index_of(against, scored)
        run = _Run(ground, margin, truth, scored, bands)
        for place in _bar("evaluate", progress)(ground.places):
            run.add(place)
        found = run.result(base, resamples, seed, notes)
    if charts is not None:
        from water_gee.mapping import scorecharts

        scorecharts.write(charts, found)
    return found


def _bar(what: str, on: bool) -> Any:
    def draw(places: Sequence[Any]) -> Iterable[Any]:
        from tqdm.auto import tqdm

        return tqdm(places, desc=what, unit="cell", disable=not on)

    return draw


# ------------------------------------------------------------------------------------ what


def _chosen(
    store: TileStore | None, cells: Sequence[str] | None, held_out: Any
) -> Sequence[Cell] | None:
    """The tiles to score; None for all."""
    if cells is None and held_out is None:
        return None
    if store is None:
        raise StoreError("a map has no cells to choose from; give the tile store, too")
    found = store.cells()
    if cells is not None:
        known = {place_of(cell.id) for cell in found} | {cell.id for cell in found}
        for name in cells:
            if name not in known:
                raise StoreError(f"{store.path} has no observed tile of a cell {name!r}")
        found = [cell for cell in found if cell.id in cells or place_of(cell.id) in cells]
    if held_out is not None:
        learned = rows.learned_from(held_out)
        found = [cell for cell in found if place_of(cell.id) not in learned]
        if not found:
            raise StoreError(f"the model learned from every cell of {store.path}; none is held out")
    return found


def _ground(given: Sources, bands: Bands, cells: Sequence[Cell] | None) -> tuple[Ground, int]:
    """Where to score, and how far beyond the places the reference is read."""

    def made(margin: int) -> Ground:
        if given.store is not None:
            return grounds.of_store(given.store, margin, cells)
        return grounds.of_map(next(iter(given.rasters.values())), margin)

    ground = made(0)
    smallest = 1.0
    if bands.unit == "m":
        smallest = min(min(ground.pixel_m(place)) for place in ground.places)
    margin = math.ceil(bands.bounds[-1] / max(smallest, 1e-9)) + 1
    if margin > WIDEST:
        raise RasterError(
            f"bands of up to {bands.bounds[-1]:g} {bands.unit} from the shore are more than "
            f"{WIDEST} pixels; give smaller ones"
        )
    return made(margin), margin


@contextlib.contextmanager
def _reference(
    reference: Path | str,
    ground: Ground,
    classes: Classes,
    years: Sequence[int] | None,
    months: Sequence[int] | None,
) -> Iterator[Reference]:
    if named.is_name(reference):
        yield named.served(str(reference), ground.chart, years, months)
        return
    with references.opened(reference, ground.chart, classes) as opened:
        yield opened


def _rows(
    given: Sources,
    ground: Ground,
    folders: Sequence[str] | None,
    baselines: bool,
    threshold: float,
    files: contextlib.ExitStack,
    progress: bool,
) -> tuple[list[Row], list[str]]:
    """Everything that is scored, in the order of the table, and what is to be said about it."""
    found: list[Row] = []
    notes: list[str] = []
    if given.store is not None:
        cells = [place.cell for place in ground.places if place.cell is not None]
        some, said = rows.labels(given.store, folders, cells)
        found, notes = found + some, notes + said
    elif folders is not None:
        raise RasterError(f"labels {', '.join(folders)}: a map has none; give the tile store, too")
    for name, path in given.rasters.items():
        row, said = rows.of_raster(name, path, ground, threshold, files)
        found, notes = [*found, row], notes + said
    for name, model in given.models.items():
        row, said = rows.of_model(name, model, ground, threshold, files)
        found, notes = [*found, row], notes + said
    if baselines:
        some, said = indices_alone.baselines(ground, _bar("baselines", progress))
        found, notes = found + some, notes + said
    names = [row.name for row in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RasterError(f"two rows are called {twice[0]!r}; name them, as NAME=FILE")
    return found, notes


def _index_of(against: str | None, scored: Sequence[Row]) -> int:
    names = [row.name for row in scored]
    if against is None:
        return 0
    if against not in names:
        raise RasterError(f"no row is called {against!r}; there are {', '.join(names)}")
    return names.index(against)


# ------------------------------------------------------------------------------------ the pass


class _Run:
    """Counts that grow cell by cell."""

    def __init__(
        self,
        ground: Ground,
        margin: int,
        truth: Reference,
        scored: Sequence[Row],
        bands: Bands,
    ) -> None:
        self.ground, self.margin, self.truth, self.bands = ground, margin, truth, bands
        self.scored = scored
        self.tally = Tally(len(scored), (len(STRATA), len(bands.names)))
        self.gauges = {row.name: Gauge(row.name) for row in scored if row.likely is not None}
        self.unseen = np.zeros(len(scored), np.int64)
        self.known = 0

    def add(self, place: Place) -> None:
        """Take in a cell."""
        window, m = place.window, self.margin
        wide = self.truth.read(
            Window(window.row - m, window.col - m, window.height + 2 * m, window.width + 2 * m)
        )
        reference = wide[m : m + window.height, m : m + window.width]
        said = reference != NOT_OBSERVED
        if not said.any():
            return
        there = There(self.ground, place)
        found = [row.read(there) for row in self.scored]
        common = said.copy()
        for k, codes in enumerate(found):
            seen = codes != NOT_OBSERVED
            self.unseen[k] += int(np.count_nonzero(said & ~seen))
            common &= seen
        self.known += int(np.count_nonzero(said))
        for row in self.scored:
            if row.likely is not None:
                self.gauges[row.name].add(place.key, row.likely(there), reference)
        if not common.any():
            return
        away = self.bands.of_pixels(wide, self.ground.pixel_m(place))
        stratum = there.stratum
        members = [
            None if stratum is None else stratum[common],
            away[m : m + window.height, m : m + window.width][common],
        ]
        outcomes = [bootstrap.outcomes(codes, reference, common) for codes in found]
        self.tally.add(place.key, outcomes, common, members)

    def result(self, base: int, resamples: int, seed: int, notes: list[str]) -> Evaluation:
        """Score what was counted."""
        if not self.known:
            raise RasterError(
                f"{self.truth.name} says nothing about {self.ground.chart.path}: it has no data "
                "there"
            )
        counts = self.tally.counts()
        if not len(counts):
            raise RasterError(self._nothing_in_common())
        scored = bootstrap.score(counts, base, times=resamples, seed=seed)
        table = [
            Scores(
                row.name,
                name,
                Confusion(*(int(v) for v in scored.total[k, group])),
                {score: at(k, group) for score, at in scored.scores.items()},
                {score: at(k, group) for score, at in scored.differences.items()},
                int(self.unseen[k]) if group == 0 else None,
            )
            for group, name in enumerate((ALL, *STRATA, *self.bands.names))
            if scored.total[0, group].any()
            for k, row in enumerate(self.scored)
        ]
        gauges = [gauge.result(times=resamples, seed=seed) for gauge in self.gauges.values()]
        total = table[0].confusion
        units = self.tally.units
        return Evaluation(
            reference=self.truth.name,
            against=self.scored[base].name,
            rows=tuple(each for each in table if each.group == ALL),
            strata=tuple(each for each in table if each.group in STRATA),
            shore=tuple(each for each in table if each.group in self.bands.names),
            calibrations=tuple(found for found in gauges if found is not None),
            pixels=total.total,
            known=self.known,
            cells=len(units),
            unit=units.name,
            units=len(counts),
            resamples=resamples,
            seed=seed,
            notes=(*notes, *self._notes(total, len(counts))),
        )

    def _nothing_in_common(self) -> str:
        most = int(np.argmax(self.unseen))
        return (
            f"{self.truth.name} and the rows share no pixel where all say something: of "
            f"{self.known:,} pixels of the reference, {self.scored[most].name!r} did not observe "
            f"{int(self.unseen[most]):,}"
        )

    def _notes(self, total: Confusion, units: int) -> Iterator[str]:
        if self.tally.units.name == "block":
            yield (
                f"intervals: only {len(self.tally.units)} cell(s), so {units} blocks of "
                f"{bootstrap.BLOCK} pixels inside them are drawn instead, and the intervals are "
                "rather too narrow"
            )
        elif units < bootstrap.MANY:
            yield f"intervals: of {units} cells only, rather too narrow"
        if total.tp + total.fn == 0:
            yield f"{self.truth.name} has no water here, so that there is none to find"
        elif total.tn + total.fp == 0:
            yield f"{self.truth.name} has no land here, so that nothing can be taken for water"
        if total.total < (1 - _LOST) * self.known:
            most = int(np.argmax(self.unseen))
            yield (
                f"compared on {total.total / self.known:.0%} of the reference's pixels: "
                f"{self.scored[most].name!r} did not observe {self.unseen[most] / self.known:.0%}"
            )
