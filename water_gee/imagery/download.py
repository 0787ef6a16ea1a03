"""Cells to tiles, in threads: one request a tile, retried, resumed by the manifest."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from water_gee import session
from water_gee.errors import (
    AoiError,
    DownloadError,
    EmptySeasonError,
    EmptyTileWarning,
    QuotaError,
    TileFailedError,
    WaterGeeError,
)
from water_gee.imagery import retries
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.claims import Presence
from water_gee.imagery.grid import Cell, cells_for, count_cells
from water_gee.imagery.manifest import NAME
from water_gee.imagery.pace import Pace
from water_gee.imagery.progress import LOG, Bar, logging_to
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.request import Cut, check_size, encoded, request_tile
from water_gee.imagery.retries import SERVICE, Asker, own_retries
from water_gee.imagery.store import TileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from water_gee.imagery.manifest import TileRow

DEFAULT_STORE = "./water_gee_tiles"

MAX_THREADS = 40
"""Requests at once: https://developers.google.com/earth-engine/guides/usage."""

_BESIDE = 8
"""Threads beside those that ask: tiles being unpacked and written, or waiting to be asked again."""

_CLAIMED = 64
"""Cells claimed at once, when the last ones are in hand."""

_OTHERS_SECONDS = 1.0
"""Between two looks at what other processes are fetching."""

_ALIKE = 8
"""So many first tiles that fail alike, and none that succeeds, fail for a reason common to all."""

_ALIKE_AFTER = 200
"""So many in a row, where others were there or came before."""


def download_tiles(
    aoi: Any,
    store: Path | str = DEFAULT_STORE,
    recipe: Recipe | None = None,
    *,
    threads: int = MAX_THREADS,
    years: int | Iterable[int] | None = None,
    progress: bool = True,
) -> TileStore:
    """Bring an area home as feature tiles with noisy labels.

    The same call goes on where it stopped, whatever stopped it: tiles in the manifest are not
    asked for again. Ctrl-C finishes the tiles in hand first. With features and label comes what
    labels are judged by, `recipe.EVIDENCE`, in the same request.

    With `Recipe(composite="scene")` the season's images are listed first, and each that reaches a
    cell gives a tile of its own, `CELL@IMAGE`.

    Args:
        aoi: An area, as `aoi.read_aoi` takes it.
        store: The folder for the tiles.
        recipe: What to map; that of the store if there is one, else `Recipe()`.
        threads: Requests at once, at most; how many pay is found out while it runs.
        years: Other years than the recipe's.
        progress: Whether to show a progress bar.

    Returns:
        The store, with a tile for every cell of the area, or every cell and image.

    Raises:
        AoiError: No area.
        RecipeMismatchError: The store was made with another recipe.
        SessionError: No service, or none any more.
        EmptySeasonError: No image over the area in the season, or at any time.
        QuotaError: The service keeps saying that there were too many requests.
        TileFailedError: Some tiles failed; the others are kept.
        DownloadError: The service refuses what every tile asks.
        RasterError: The disk is full.
    """
    if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise DownloadError(
            f"threads={threads!r}: from 1 to {MAX_THREADS}, the service's own limit"
        )
    session.ensure()
    area = read_aoi(aoi)
    wanted = _recipe(Path(store), recipe, years)
    check_size(wanted)
    tiles = TileStore.open(store, wanted, create=True)
    try:
        with logging_to(tiles.path):
            fill(tiles, area, threads, progress)
    except BaseException:
        tiles.close()
        raise
    return tiles


def fill(
    tiles: TileStore,
    area: Any,
    threads: int = MAX_THREADS,
    progress: bool = True,
    *,
    only: Sequence[Cell] | None = None,
) -> int:
    """Bring the tiles of an area that are not there; see `download_tiles`.

    Args:
        tiles: Where to.
        area: A polygon, EPSG:4326.
        threads: Requests at once, at most.
        progress: Whether to show a progress bar.
        only: Nothing but these of its tiles.

    Returns:
        Tiles fetched.
    """
    recipe = tiles.recipe
    sensors: dict[str, str] = {}
    with own_retries():
        cells: Iterable[Cell] = cells_for(area, recipe) if only is None else only
        total = count_cells(area, recipe) if only is None else len(only)
        if not total:
            raise AoiError("the area is smaller than a millimetre; coordinates are in degrees")
        if recipe.composite == "scene":
            pairs, sensors = _of_scenes(recipe, area, only)
            cells, total = pairs, len(pairs)
        LOG.info("%d tiles: %s", total, recipe)
        with Presence(tiles.manifest, shapely.to_wkb(area), total) as presence:
            run = _Download(tiles, presence, area, sensors, threads)
            run.run(cells, total, progress)
    if not run.seen:
        line = f"{tiles.path}: not one pixel was observed in {total} tiles, for clouds or fill"
        if recipe.min_clear > 1:
            line += f", {recipe.min_clear} times at least"
        LOG.warning(line)
        warnings.warn(f"{line}; widen months, years or sensors", EmptyTileWarning, stacklevel=4)
    return run.fetched


def _of_scenes(
    recipe: Recipe, area: Any, only: Sequence[Cell] | None
) -> tuple[list[Cell], dict[str, str]]:
    """Cells times the acquisitions that reach them, and the sensor of each acquisition."""
    from water_gee.imagery.acquisitions import acquisitions, check_season

    check_season(recipe, area)
    found = acquisitions(recipe, area)
    places, wanted = list(cells_for(area, recipe)), None
    if only is not None:
        places = sorted({Cell(cell.col, cell.row, cell.lattice) for cell in only})
        wanted = {cell.id for cell in only}
    pairs = [cell.of(each.name) for each in found for cell in each.reached(places)]
    pairs = [cell for cell in pairs if wanted is None or cell.id in wanted]
    if not pairs:
        raise EmptySeasonError(
            f"none of the {len(found)} images near the area reaches one of its {len(places)} "
            "cells; choose another area, or widen `months`, `years` or `sensors` in the recipe"
        )
    return pairs, {each.name: each.sensor for each in found}


def _recipe(path: Path, recipe: Recipe | None, years: int | Iterable[int] | None) -> Recipe:
    """The recipe given, or the store's, or the default; with the years given."""
    if recipe is None:
        if (path / NAME).is_file():
            with TileStore.open(path) as there:
                recipe = there.recipe
        else:
            recipe = Recipe()
    if years is None:
        return recipe
    return recipe.replace(years=years if isinstance(years, int) else list(years))


# ---------------------------------------------------------------------------------- all tiles


@dataclass(slots=True)
class _Download:
    """One run of the thread pool."""

    store: TileStore
    presence: Presence
    area: Any
    sensors: Mapping[str, str]
    threads: int
    image: Any = None
    cut: Cut = field(default_factory=Cut)
    stop: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(init=False)
    asker: Asker = field(init=False)
    writers: threading.Semaphore = field(init=False)
    failures: dict[str, str] = field(default_factory=dict)
    others: list[Cell] = field(default_factory=list)
    fetched: int = 0
    alike: int = 0
    seen: bool = False

    def __post_init__(self) -> None:
        self.pace = Pace(self.threads)
        self.asker = Asker(self.pace, self.stop)
        # More at once would only hold more pixels in memory.
        self.writers = threading.Semaphore(max(2, os.cpu_count() or 2))

    def run(self, cells: Iterable[Cell], total: int, progress: bool) -> None:
        """Fetch tiles; see `download_tiles` for what it raises."""
        pool = ThreadPoolExecutor(self.threads + _BESIDE, "water_gee-download")
        bar = Bar(total, progress, self._said)
        try:
            with bar:
                self._collect(pool, self._mine(cells, bar), bar)
        except KeyboardInterrupt:
            # Requests in hand end and are kept; those that wait for another attempt give up.
            self.stop.set()
            SERVICE.warning("stopping: the tiles in hand are finished first")
            pool.shutdown(wait=True, cancel_futures=True)
            line = f"stopped: {self._kept()}"
            LOG.warning(line)
            raise KeyboardInterrupt(line) from None
        finally:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if self.failures:
            LOG.error("%d tiles failed", len(self.failures))
            raise TileFailedError(self.failures, total)

    def _mine(self, cells: Iterable[Cell], bar: Bar) -> Iterator[Cell]:
        """The cells that are not there and that no other process fetches, claimed a few at once."""
        source = iter(cells)
        while batch := list(itertools.islice(source, _CLAIMED)):
            mine = self._claim(batch, bar)
            if mine and self.presence.order is None:
                self._prepare()
                self.presence.begin()
            yield from mine

    def _claim(self, batch: Sequence[Cell], bar: Bar) -> list[Cell]:
        by_id = {cell.id: cell for cell in batch}
        claim = self.presence.claim(list(by_id))
        gone = [cell for cell in claim.there if not self.store.has_tile(cell)]
        mine = claim.mine
        if gone:
            again = self.presence.claim(gone, gone)
            mine = mine + again.mine
            self.others.extend(by_id[cell] for cell in again.others)
        bar.skip(len(claim.there) - len(gone))
        self.seen |= any(state == "done" for cell, state in claim.there.items() if cell not in gone)
        self.others.extend(by_id[cell] for cell in claim.others)
        return [by_id[cell] for cell in mine]

    def _prepare(self) -> None:
        """Ask, before the first tile, whether there are images; none is asked for without need."""
        from water_gee.imagery import composite
        from water_gee.imagery.acquisitions import check_season

        if not self.sensors:
            check_season(self.store.recipe, self.area)
            self.image = encoded(composite.request_image(self.store.recipe, evidence=True))

    def _collect(self, pool: ThreadPoolExecutor, cells: Iterator[Cell], bar: Bar) -> None:
        """Keep every thread busy, gather results as they come, and look at what others do."""
        finished: queue.SimpleQueue[Future[TileRow]] = queue.SimpleQueue()
        waiting: dict[Future[TileRow], Cell] = {}
        looked = time.monotonic()
        while True:
            room = self.threads + _BESIDE - len(waiting) if not self.stop.is_set() else 0
            following = list(itertools.islice(cells, room))
            if room and not following and time.monotonic() - looked > _OTHERS_SECONDS:
                looked = time.monotonic()
                batch, self.others = self.others, []
                cells = iter(self._claim(batch, bar)) if batch else cells
                following = list(itertools.islice(cells, room))
            for cell in following:
                future = pool.submit(self._fetch, cell)
                waiting[future] = cell
                future.add_done_callback(finished.put)
            if not waiting and (self.stop.is_set() or not self.others):
                return
            try:
                future = finished.get(timeout=_OTHERS_SECONDS)
            except queue.Empty:
                bar.refresh()
            else:
                self._take(future, waiting.pop(future), bar)

    def _take(self, future: Future[TileRow], cell: Cell, bar: Bar) -> None:
        error = future.exception()
        if error is None:
            row = future.result()
            self.fetched += 1
            self.alike = 0
            self.seen |= row.state == "done"
            bar.add(row.bytes or 0)
        elif not isinstance(error, retries.Stopped):
            said = " ".join(str(error).split())
            self.alike = self.alike + 1 if said == next(reversed(self.failures.values()), "") else 1
            self.failures[cell.id] = said
            self.store.manifest.put_failure(cell.id, said)
            LOG.error("%s: %s", cell.id, said, extra={"facts": {"cell": cell.id}})
            self._give_up(error)

    def _fetch(self, cell: Cell) -> TileRow:
        """Request and write one tile, in a thread."""
        began = time.monotonic()
        recipe, sensor = self.store.recipe, self.sensors.get(cell.scene)
        tile = request_tile(cell, recipe, self.image, sensor, asker=self.asker, cut=self.cut)
        with self.writers:
            row = self.store.write_tile(
                *(cell, tile.features, tile.mask, tile.evidence),
                attempts=tile.attempts,
                seconds=time.monotonic() - began,
                order=self.presence.order,
            )
        LOG.info(
            *("%s %s: %d water of %d observed", row.cell, row.state, row.water, row.valid),
            extra={"facts": asdict(row)},
        )
        return row

    def _give_up(self, error: BaseException) -> None:
        """Stop for what would fail every other tile as well.

        Raises:
            WaterGeeError: As `download_tiles` says.
        """
        if isinstance(error, WaterGeeError) and not isinstance(error, DownloadError):
            LOG.error("stopped: %s", error)
            raise error
        if not isinstance(error, Exception):
            raise error
        if session.http_status(error) == 429:
            raise QuotaError(
                f"the service still says after {retries.ATTEMPTS} attempts: {error}; "
                f"{self._kept()}; wait, use fewer `threads`, or look at the project's quota"
            ) from error
        # Where some tiles came, more have to fail before it is plain that it is not they.
        served = self.fetched or self.presence.there
        if self.alike < (_ALIKE_AFTER if served else min(_ALIKE, self.presence.cells)):
            return
        dem = self.store.recipe.dem
        about = "; name another `dem` in the recipe, or None: elevation 0"
        hint = about if dem is not None and dem in str(error) else ""
        raise DownloadError(
            f"the service refuses every tile: {error}{hint}; {self._kept()}"
        ) from error

    def _said(self) -> str:
        if self.asker.gone:
            return "nobody answers, waiting"
        return f"{self.pace.level} at once, {self.asker.retried} retries"

    def _kept(self) -> str:
        counts = self.store.manifest.counts()
        kept = counts["done"] + counts["empty"]
        return f"{kept} tiles are in {self.store.path}, the same call goes on from there"
