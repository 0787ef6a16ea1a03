"""Cells to tiles, in threads: one request a tile, retried, resumed by the manifest."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity
from tqdm.auto import tqdm

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
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.request import MAX_REQUEST_BYTES as MAX_REQUEST_BYTES
from water_gee.imagery.request import check_size, request_tile
from water_gee.imagery.request import request_pixels as request_pixels
from water_gee.imagery.store import TileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.store import TileRow

LOG = logging.getLogger("water_gee")

DEFAULT_STORE = "./water_gee_tiles"

MAX_THREADS = 40
"""Requests at once: https://developers.google.com/earth-engine/guides/usage."""

ATTEMPTS = 6
"""Requests for one tile, the first among them."""

WAIT = tenacity.wait_random_exponential(multiplier=1, max=60)
"""Seconds before the next: at random up to 1, 2, 4 ... 60, so that threads do not return as one."""

_TRANSIENT = {408, 429, 500, 502, 503, 504}
"""HTTP statuses that pass; 400, 401, 403, 404 do not, and 501 means never."""

_ALIKE = 8
"""So many first tiles that fail, and none that succeeds, fail for a reason common to all."""

_LOG_BYTES = 5_000_000


def download_tiles(
    aoi: Any,
    store: Path | str = DEFAULT_STORE,
    recipe: Recipe | None = None,
    *,
    threads: int = 8,
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
        threads: Requests at once, at most 40.
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
    if not 1 <= threads <= MAX_THREADS:
        raise DownloadError(f"threads={threads}: from 1 to {MAX_THREADS}, the service's own limit")
    session.ensure()
    area = read_aoi(aoi)
    wanted = _recipe(Path(store), recipe, years)
    check_size(wanted)
    tiles = TileStore.open(store, wanted, create=True)
    try:
        with _logging(tiles.path):
            _fill(tiles, area, threads, progress)
    except BaseException:
        tiles.close()
        raise
    return tiles


def _fill(tiles: TileStore, area: Any, threads: int, progress: bool) -> None:
    cells = list(cells_for(area, tiles.recipe))
    if not cells:
        raise AoiError("the area is smaller than a millimetre; coordinates are in degrees")
    there = {row.cell for row in tiles.rows()}
    sensors: dict[str, str] = {}
    if tiles.recipe.composite == "scene":
        with own_retries():
            cells, sensors = _of_scenes(cells, tiles.recipe, area)
    missing = [cell for cell in cells if cell.id not in there]
    LOG.info("%d tiles, %d there: %s", len(cells), len(cells) - len(missing), tiles.recipe)
    if missing:
        with own_retries():
            if not sensors:
                check_season(tiles.recipe, area)
            _Download(tiles, threads, progress, len(cells), sensors).run(missing)
    asked = {cell.id for cell in cells}
    if all(row.state == "empty" for row in tiles.rows() if row.cell in asked):
        line = f"{tiles.path}: not one pixel was observed in {len(cells)} tiles, for clouds or fill"
        LOG.warning(line)
        warnings.warn(f"{line}; widen months, years or sensors", EmptyTileWarning, stacklevel=3)


def _of_scenes(
    cells: Sequence[Cell], recipe: Recipe, area: Any
) -> tuple[list[Cell], dict[str, str]]:
    """Cells times the acquisitions that reach them, and the sensor of each acquisition."""
    from water_gee.imagery.acquisitions import acquisitions

    check_season(recipe, area)
    found = acquisitions(recipe, area, attempts)
    pairs = [cell.of(each.name) for each in found for cell in cells if each.reaches(cell)]
    if not pairs:
        raise EmptySeasonError(
            f"none of the {len(found)} images near the area reaches one of its {len(cells)} cells; "
            "choose another area, or widen `months`, `years` or `sensors` in the recipe"
        )
    return pairs, {each.name: each.sensor for each in found}


def _recipe(path: Path, recipe: Recipe | None, years: int | Iterable[int] | None) -> Recipe:
    """The recipe given, or the store's, or the default; with the years given."""
    if recipe is None:
        if (path / "manifest.sqlite").is_file():
            with TileStore.open(path) as there:
                recipe = there.recipe
        else:
            recipe = Recipe()
    if years is None:
        return recipe
    return recipe.replace(years=years if isinstance(years, int) else list(years))


def check_season(recipe: Recipe, area: Any) -> None:
    """Ask for the number of images before asking for tiles.

    Raises:
        EmptySeasonError: None; it says whether there is one at another time.
    """
    from water_gee.imagery import composite

    region = composite.boxes(area)

    def count(any_time: bool) -> int:
        scenes = composite.scenes(recipe, any_time=any_time).filterBounds(region)
        return int(attempts(scenes.limit(1).size().getInfo))

    if count(any_time=False):
        return
    west, south, east, north = area.bounds
    where = f"the area (W {west:.3f}, S {south:.3f}, E {east:.3f}, N {north:.3f})"
    sensors = ", ".join(recipe.sensors)
    if not count(any_time=True):
        raise EmptySeasonError(
            f"no image of {sensors} at any time over {where}: it lies outside all images of this "
            "catalogue; choose another area or sensor, or ingest scenes of it"
        )
    raise EmptySeasonError(
        f"no image of {sensors} in months {_list(recipe.months)} of {_list(recipe.years)} over "
        f"{where}; widen it with more `months`, `years` or `sensors` in the recipe"
    )


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)


# ---------------------------------------------------------------------------------- retries


def _passes(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    status = session.http_status(error)
    if status is not None:
        return status in _TRANSIENT
    # With a server of our own that has ended there is no later.
    return session.is_gone(error) and session.alive()


def attempts(
    request: Callable[[], Any], stop: threading.Event | None = None, what: str = ""
) -> Any:
    """Call the service until it answers, or gives a reason that does not pass.

    Raises:
        SessionError: Nobody answers after all attempts, or the account is refused.
        DownloadError: The service did not end within the session's deadline, attempt after attempt.
        Exception: What the client raises for anything else.
    """
    event = stop if stop is not None else threading.Event()
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_when_event_set(event),
        wait=WAIT,
        sleep=tenacity.sleep_using_event(event),
        retry=tenacity.retry_if_exception(_passes),
        before_sleep=lambda state: LOG.warning(
            "%s attempt %d: %s", what, state.attempt_number, _reason(state)
        ),
        reraise=True,
    )
    with session.talking():
        try:
            return retrying(request)
        except TimeoutError as error:
            raise DownloadError(f"no answer in time, {ATTEMPTS} times: {error}") from error


def _reason(state: tenacity.RetryCallState) -> str:
    error = state.outcome.exception() if state.outcome is not None else None
    return f"HTTP {session.http_status(error)}: {error}" if error is not None else ""


@contextlib.contextmanager
def own_retries() -> Iterator[None]:
    """Switch the client's own retries off: it hides five of 429 and 5xx inside each attempt."""
    from ee import data

    before = data._get_state().max_retries
    data.setMaxRetries(0)
    try:
        yield
    finally:
        data.setMaxRetries(before)


# ---------------------------------------------------------------------------------- all tiles


@dataclass(slots=True)
class _Download:
    """One run of the thread pool."""

    store: TileStore
    threads: int
    progress: bool
    total: int
    sensors: Mapping[str, str]
    image: Any = None

    def run(self, cells: Sequence[Cell]) -> None:
        """Fetch tiles; see `download_tiles` for what it raises."""
        from water_gee.imagery import composite

        if not self.sensors:
            self.image = composite.request_image(self.store.recipe, evidence=True)
        stop = threading.Event()
        failures: dict[str, str] = {}
        bar = tqdm(
            total=self.total,
            initial=self.total - len(cells),
            desc="tiles",
            unit="tile",
            disable=not self.progress,
        )
        pool = ThreadPoolExecutor(self.threads, "water_gee-download")
        try:
            with bar:
                self._collect(pool, cells, stop, failures, bar)
        except KeyboardInterrupt:
            # Requests in hand end and are kept; those that wait for another attempt give up.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            line = f"stopped: {self._kept()}"
            LOG.warning(line)
            raise KeyboardInterrupt(line) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
        if failures:
            LOG.error("%d tiles failed: %s", len(failures), failures)
            raise TileFailedError(failures, self.total)

    def _collect(
        self,
        pool: ThreadPoolExecutor,
        cells: Sequence[Cell],
        stop: threading.Event,
        failures: dict[str, str],
        bar: tqdm[Any],
    ) -> None:
        """Keep the pool busy and gather results, a few tiles ahead of the threads."""
        waiting: dict[Future[TileRow], Cell] = {}
        queue = iter(cells)
        done = 0
        for cell in queue:
            waiting[pool.submit(self._fetch, cell, stop)] = cell
            if len(waiting) == 2 * self.threads:
                break
        while waiting:
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                cell = waiting.pop(future)
                error = future.exception()
                if error is None:
                    done += 1
                    bar.update()
                else:
                    failures[cell.id] = " ".join(str(error).split())
                    self._give_up(error, failures, done, len(cells))
                following = next(queue, None)
                if following is not None:
                    waiting[pool.submit(self._fetch, following, stop)] = following

    def _fetch(self, cell: Cell, stop: threading.Event) -> TileRow:
        """Request and write one tile, in a thread."""
        began = time.monotonic()
        recipe, sensor = self.store.recipe, self.sensors.get(cell.scene)
        tile = attempts(lambda: request_tile(cell, recipe, self.image, sensor), stop, cell.id)
        row = self.store.write_tile(cell, tile.features, tile.mask, tile.evidence)
        LOG.info(
            "%s %s: %d water of %d observed, %.1f s",
            *(cell.id, row.state, row.water, row.valid, time.monotonic() - began),
        )
        return row

    def _give_up(
        self, error: BaseException, failures: dict[str, str], done: int, asked: int
    ) -> None:
        """Stop for what would fail every other tile as well.

        Raises:
            WaterGeeError: As `download_tiles` says.
        """
        if isinstance(error, WaterGeeError) and not isinstance(error, DownloadError):
            LOG.error("stopped: %s", error)
            raise error
        if not isinstance(error, Exception):
            raise error
        kept = self._kept()
        if session.http_status(error) == 429:
            raise QuotaError(
                f"the service still says after {ATTEMPTS} attempts: {error}; {kept}; wait, use "
                "fewer `threads`, or look at the project's quota"
            ) from error
        if not done and len(failures) >= min(_ALIKE, asked) and len(set(failures.values())) == 1:
            dem = self.store.recipe.dem
            about = f"; name another `dem` in the recipe, or None: elevation 0; {kept}"
            hint = about if dem is not None and dem in str(error) else f"; {kept}"
            raise DownloadError(f"the service refuses every tile: {error}{hint}") from error

    def _kept(self) -> str:
        kept = len(self.store.rows())
        return f"{kept} tiles are in {self.store.path}, the same call goes on from there"


@contextlib.contextmanager
def _logging(folder: Path) -> Iterator[None]:
    """Log into the store; the handler lets several processes write and rotate one file."""
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    handler = ConcurrentRotatingFileHandler(
        folder / "water_gee.log", maxBytes=_LOG_BYTES, backupCount=3, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)
        handler.close()
