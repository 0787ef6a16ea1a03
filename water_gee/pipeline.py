"""One function over a raster of any size: a reader, the network and a writer beside each other.

The raster is cut into parts, a strip of windows each, and every part becomes a small file in a
hidden folder beside the output. When all parts are there they are copied into the
Cloud-Optimized GeoTIFF. A process killed at any instant leaves whole parts only, and the same
call goes on from them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile

from water_gee import vrt
from water_gee._version import __version__
from water_gee.errors import (
    ClusterError,
    DownloadError,
    RasterError,
    SessionError,
    WriteFailedError,
)
from water_gee.files import (
    atomic,
    give_back_memory,
    locked,
    publish,
    refuse_write,
    temporary_name,
)
from water_gee.geotiff import (
    Header,
    Output,
    Profile,
    band_numbers,
    created,
    header_of,
    opened,
    read_back,
    reading,
    to_cog,
    writing,
)
from water_gee.windows import Grid, Padded, Window, core_of, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Function = Callable[[Array], Array | Sequence[Array]]
    Progress = Callable[[Iterator[Any], int], Iterator[Any]]

SIZE = 512
"""Side of a window in pixels: that of a block in most Cloud-Optimized GeoTIFFs."""

PANEL = 4
"""Windows in a row of a part. Wider rasters are worked off in panels, which bounds the memory."""

AHEAD = 2
"""Windows read before they are needed, and windows made before they are written."""

CACHE_BYTES = (64 << 20, 512 << 20)
"""Least and most for GDAL's block cache, which by default takes 5% of the machine's memory."""

OPEN_PARTS = 8
"""Parts open at once while they are copied into the outputs."""

LASTING = (
    *(KeyboardInterrupt, SystemExit),
    *(SessionError, DownloadError, ClusterError, WriteFailedError),
)
"""What ends a run that the same call may go on from: finished parts stay."""

_FORMAT = 1
"""Of the parts; raised when they change."""


class Reader(Protocol):
    """Something windows are read from, in a thread of its own."""

    @property
    def header(self) -> Header:
        """Its grid, bands and nodata."""
        ...

    @property
    def threads(self) -> int:
        """How many windows may be read at once."""
        ...

    def read(self, window: Window) -> Array:
        """The pixels of a window, `(band, row, col)`."""
        ...


class FileReader:
    """Bands of a file. A context manager; GDAL's block cache is bounded while it is open.

    Args:
        path: Anything GDAL reads.
        bands: Names, or numbers from 1; all by default.

    Raises:
        RasterError: No such file, no raster, or without a band asked for.
    """

    threads = 1

    def __init__(self, path: Path | str, bands: Sequence[str | int] | None = None) -> None:
        self._path = path
        with contextlib.ExitStack() as files:
            files.enter_context(rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS"))
            self._source = files.enter_context(opened(path))
            self.header = header_of(self._source)
            self._numbers = band_numbers(path, self.header.names, bands)
            files.enter_context(rasterio.Env(GDAL_CACHEMAX=self._cache_bytes()))
            self._files = files.pop_all()

    def read(self, window: Window) -> Array:
        """The pixels of a window; errors name the file."""
        with rasterio.Env(), reading(self._path):
            values: Array = self._source.read(self._numbers, window=window.rasterio)
        return values

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def _cache_bytes(self) -> int:
        """Enough that a block which two strips share is unpacked once.

        Between two uses of a block all those pass that a strip touches: its own, and a row of
        blocks above and below for the halo.
        """
        rows, cols = self._source.block_shapes[0]
        width = min(self.header.grid.shape[1] + cols, SIZE * PANEL + 2 * cols)
        pixel = len(self._source.dtypes) * np.dtype(self.header.dtype).itemsize
        least, most = CACHE_BYTES
        needed = 1.1 * (SIZE + 2 * rows) * width * pixel
        return int(min(max(needed, least), most))


@dataclass(frozen=True, slots=True)
class Job:
    """What is written, and in which parts: plain facts that may be sent to another process.

    Attributes:
        folder: Of the parts.
        outputs: The files to write.
        shape: Of the whole source, `(row, col)`.
        within: The part of the source that is mapped.
        grid: Of the outputs.
        size: Side of a window, in pixels of the source.
        halo: Pixels around each window.
        scale: Output pixels to one input pixel along a side.
        fill: Stands for the halo beyond the raster.
    """

    folder: Path
    outputs: tuple[Output, ...]
    shape: tuple[int, int]
    within: Window
    grid: Grid
    size: int
    halo: int
    scale: int
    fill: float

    @property
    def parts(self) -> tuple[Window, ...]:
        """Strips of windows, panel by panel, each from the top; in pixels of the source."""
        area, width = self.within, self.size * PANEL
        bottom, right = area.row + area.height, area.col + area.width
        return tuple(
            Window(row, col, min(self.size, bottom - row), min(width, right - col))
            for col in range(area.col, right, width)
            for row in range(area.row, bottom, self.size)
        )

    @property
    def missing(self) -> list[Window]:
        """The parts that no finished file holds yet."""
        return [part for part in self.parts if not all(p.exists() for p in self.paths(part))]

    def paths(self, part: Window) -> list[Path]:
        """The files of a part, one for each output."""
        name = f"{part.row:07d}_{part.col:07d}"
        return [self.folder / f"{name}_{number}.tif" for number in range(len(self.outputs))]

    def place(self, core: Window, inside: Window) -> Window:
        """Where a window lies in a part's, or the whole output's, pixels."""
        k = self.scale
        row, col = core.row - inside.row, core.col - inside.col
        return Window(row * k, col * k, core.height * k, core.width * k)

    def steps(self, part: Window) -> Iterator[Padded]:
        """The windows of a part."""
        return windows(self.shape, self.size, self.halo, part)


def map_windows(
    source: Path | str | Reader,
    out: Output | Sequence[Output],
    function: Function,
    *,
    size: int = SIZE,
    halo: int = 0,
    scale: int = 1,
    bands: Sequence[str | int] | None = None,
    fill: float | None = None,
    within: Window | None = None,
    key: str | None = None,
    progress: Progress | None = None,
    threads: int = 1,
) -> tuple[Path, ...]:
    """Run a function over a raster of any size, window by window, without seams.

    One thread reads ahead, this one or several call the function, and another writes; a few windows
    wait between them, so that memory does not grow with the raster. An error of any of them is
    raised here.

    Args:
        source: The raster to read.
        out: The Cloud-Optimized GeoTIFFs to write, one for each array that `function` returns.
        function: From `(band, core + 2 halo, core + 2 halo)` to one array or one for each output,
            `(band, row, col)` or `(row, col)`, over the core alone or over all it was given.
        size: Side of a core in pixels.
        halo: Pixels around each core.
        scale: Output pixels to one input pixel along a side.
        bands: The bands of a file that `function` gets; all by default.
        fill: Stands for the halo beyond the raster; by default NaN for floating point, the
            file's nodata or else 0 for integers.
        within: The part of the raster to map; what lies around it serves as halo. All by default.
        key: Says all that the pixels depend on: the source's content and the function. With it,
            what a killed run has finished is not computed again; without, every call starts anew.
        progress: Wraps the windows still to be made; called with them and their number.
        threads: How many windows `function` is called with at once, each in a thread of its own;
            1 stays in this one.

    Returns:
        The paths written. They appear together, at the end.

    Raises:
        RasterError: The source cannot be read, or another process writes the same output; no output
            is then touched.
        WriteFailedError: The disk is full; likewise.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, (str, Path)):
            reader: Reader = stack.enter_context(FileReader(source, bands))
        else:
            reader = source
        job = plan(reader.header, out, key, size, halo, scale, fill, within)
        stack.enter_context(kept(job, key))
        compute(job, job.missing, reader, function, progress, threads)
        return assemble(job)


def plan(
    header: Header,
    out: Output | Sequence[Output],
    key: str | None,
    size: int = SIZE,
    halo: int = 0,
    scale: int = 1,
    fill: float | None = None,
    within: Window | None = None,
) -> Job:
    """The job of a call of `map_windows`; nothing is written yet."""
    outputs = (out,) if isinstance(out, Output) else tuple(out)
    next(windows(header.grid.shape, size, halo))  # refuses sizes that cover nothing
    area = within or Window(0, 0, *header.grid.shape)
    if fill is None:
        floating = np.issubdtype(np.dtype(header.dtype), np.floating)
        fill = float("nan") if floating else (header.nodata if header.nodata is not None else 0)
    first = outputs[0].path
    folder = (parts_folder(first) if key is not None else temporary_name(first)).absolute()
    grid = header.grid.window(area.row, area.col, area.height, area.width).scaled(scale)
    return Job(folder, outputs, header.grid.shape, area, grid, size, halo, scale, fill)


def parts_folder(out: Path) -> Path:
    """Where the finished parts of an output wait: `.OUT.parts` beside it."""
    return out.with_name(f".{out.name}.parts")


@contextlib.contextmanager
def kept(job: Job, key: str | None) -> Iterator[None]:
    """Hold the parts' folder: made or taken up at the start, removed at the end.

    It stays where the same call may go on from it: after a kill, Ctrl-C, a service that failed, or
    a disk that is full.

    Raises:
        RasterError: The folder cannot be written, or another process holds it.
    """
    target = job.outputs[0].path
    try:
        if target.is_dir():
            raise RasterError(f"{target} is a folder; name the file to write")
        job.folder.mkdir(exist_ok=True)
        lock = contextlib.ExitStack()
        mine = lock.enter_context(locked(job.folder / "lock"))
    except OSError as error:
        if isinstance(error, RasterError):
            raise
        refuse_write(target, error)
    with lock:
        if not mine:
            raise RasterError(f"{target} is being written by another process; let that one end")
        stays = False
        try:
            _take_up(job, key)
            yield
        except LASTING:
            stays = key is not None
            raise
        finally:
            if not stays:
                shutil.rmtree(job.folder, ignore_errors=True)


def _take_up(job: Job, key: str | None) -> None:
    """Empty the folder of what another job, or a killed process, left in it."""
    facts = [
        *(_FORMAT, __version__, key, job.shape, job.size, job.halo, job.scale, PANEL),
        *(repr(item) for item in (job.within, job.grid, job.fill)),
        *([o.dtype, repr(o.nodata), list(o.names)] for o in job.outputs),
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    mark = job.folder / "job"
    same = mark.is_file() and mark.read_text(encoding="ascii", errors="replace") == digest
    for path in job.folder.iterdir():
        if path.name != "lock" and (not same or path.suffix == ".tmp"):
            path.unlink()
    if not same:
        with atomic(mark) as temporary:
            temporary.write_text(digest, encoding="ascii")


# ----------------------------------------------------------------------------------- the threads


def compute(
    job: Job,
    parts: Iterable[Window],
    reader: Reader,
    function: Function,
    progress: Progress | None = None,
    threads: int = 1,
) -> None:
    """Make the files of some parts; see `map_windows`.

    Raises:
        RasterError: The source cannot be read.
        WriteFailedError: The disk is full.
        CoverageError: The function's result has another size.
    """
    todo = [(part, step) for part in parts for step in job.steps(part)]
    ahead = threads + AHEAD + reader.threads - 1
    readers = ThreadPoolExecutor(reader.threads, "water_gee-read")
    makers = ThreadPoolExecutor(threads, "water_gee-make")
    writers = ThreadPoolExecutor(1, "water_gee-write")
    files = _PartFiles(job)
    made: deque[Callable[[], list[Array]]] = deque()
    written: deque[Future[None]] = deque()
    try:
        coming = iter(todo)
        for part, step in iter(todo) if progress is None else progress(iter(todo), len(todo)):
            while len(made) < ahead and (following := next(coming, None)) is not None:
                read = readers.submit(_read, reader, following[1], job.fill)
                make = functools.partial(_make, function, read)
                made.append(make if threads == 1 else makers.submit(make).result)
            arrays = made.popleft()()
            if len(written) >= AHEAD:
                written.popleft().result()
            written.append(writers.submit(files.write, part, step, arrays))
        written.append(writers.submit(files.finish))
        for future in written:
            future.result()
    finally:
        for pool in (readers, makers, writers):
            pool.shutdown(cancel_futures=True)
        files.abandon()


def _make(function: Function, read: Future[Array]) -> list[Array]:
    results = function(read.result())
    return [results] if isinstance(results, np.ndarray) else list(results)


def _read(reader: Reader, step: Padded, fill: float) -> Array:
    values = reader.read(step.outer)
    if step.pad == ((0, 0), (0, 0)):
        return values
    return np.pad(values, ((0, 0), *step.pad), constant_values=fill)


class _PartFiles:
    """The files of the part that is being written; used by one thread at a time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._part: Window | None = None
        self._open: list[tuple[Any, contextlib.ExitStack, Path, Path]] = []
        self._failed = False

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """After an error nothing more is written: no part may get its name a window short."""
        if self._failed:
            raise RuntimeError("an earlier window could not be written")
        try:
            with rasterio.Env():
                yield
        except BaseException:
            self._failed = True
            raise

    def write(self, part: Window, step: Padded, arrays: list[Array]) -> None:
        """Write a window; the part before is finished when another one begins."""
        job = self._job
        with self._working():
            if part != self._part:
                self.finish()
                self._begin(part)
            place = job.place(step.core, part)
            for (target, *_), array, output in zip(self._open, arrays, job.outputs, strict=True):
                values = core_of(array, place, job.halo * job.scale)
                with writing(output.path):
                    target.write(values, window=place.rasterio)

    def finish(self) -> None:
        """Close the files, see that they can be read, and give them their names."""
        with self._working():
            for (_, stack, temporary, path), output in zip(
                self._open, self._job.outputs, strict=self._part is not None
            ):
                with writing(output.path):
                    stack.close()
                    read_back(temporary)
                    publish(temporary, path)
        self._open, self._part = [], None

    def abandon(self) -> None:
        """Remove what is not finished."""
        for _, stack, temporary, _ in self._open:
            with contextlib.suppress(Exception):  # the error that led here is raised already
                stack.close()
            temporary.unlink(missing_ok=True)
        self._open = []

    def _begin(self, part: Window) -> None:
        job = self._job
        place = job.place(part, part)
        # Its own place does not matter, only that it has one: GDAL warns of files without.
        grid = Grid("", Affine(2, 0, 0, 0, -2, 0), (place.height, place.width))
        for path, output in zip(job.paths(part), job.outputs, strict=True):
            plain = Output(path, output.dtype, output.nodata, output.names)
            temporary = temporary_name(path)
            stack = contextlib.ExitStack()
            with writing(output.path):
                target = stack.enter_context(created(temporary, plain, grid, Profile(block=512)))
            self._open.append((target, stack, temporary, path))
        self._part = part


# -------------------------------------------------------------------------------------- the end


def assemble(job: Job) -> tuple[Path, ...]:
    """Copy all parts into the outputs, which appear together.

    Raises:
        WriteFailedError: The disk is full, or a part cannot be read.
    """
    with contextlib.ExitStack() as stack:
        finals = [stack.enter_context(atomic(output.path)) for output in job.outputs]
        for final in finals:  # GDAL's own temporary file, where it is interrupted
            stack.callback(final.with_name(f"{final.name}.ovr.tmp").unlink, missing_ok=True)
        # What reading needed is given back first: copying needs memory of its own, two blocks for
        # each part that is open.
        few = rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES[0], GDAL_MAX_DATASET_POOL_SIZE=OPEN_PARTS)
        stack.enter_context(few)
        give_back_memory()
        with ThreadPoolExecutor(len(finals)) as pool:
            tasks = [pool.submit(_copy, job, number, final) for number, final in enumerate(finals)]
        for task in tasks:
            task.result()
    return tuple(output.path for output in job.outputs)


def _copy(job: Job, number: int, final: Path) -> None:
    output = job.outputs[number]
    pieces = []
    for part in job.parts:
        place = job.place(part, job.within)
        whole = Window(0, 0, place.height, place.width)
        pieces.append(vrt.Piece(job.paths(part)[number], whole, place.row, place.col))
    text = vrt.mosaic(
        pieces,
        job.grid,
        dtype=output.dtype,
        nodata=output.nodata,
        names=output.names,
        overlap=False,
        tags=output.tags,
        colormap=output.colormap,
    )
    with rasterio.Env(), MemoryFile(text.encode(), ext=".vrt") as memory, writing(output.path):
        to_cog(memory.name, final, output, max(1, (os.cpu_count() or 1) // len(job.outputs)))
        read_back(final)
