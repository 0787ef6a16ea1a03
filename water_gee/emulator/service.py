"""What stands behind the routes: a catalogue, an evaluator, tasks, pictures asked for."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from water_gee.emulator.coerce import coerce
from water_gee.emulator.encode import Picture, encode
from water_gee.emulator.errors import (
    abandoned,
    answer_too_large,
    bad_request,
    grid_too_large,
    no_such_band,
    too_many_bands,
)
from water_gee.emulator.evaluator import Evaluator
from water_gee.emulator.faults import NO_FAULTS
from water_gee.emulator.gridrequest import PixelRequest, wire_request
from water_gee.emulator.limits import (
    INTERACTIVE_SECONDS,
    MAX_COMPUTE_BANDS,
    MAX_COMPUTE_BYTES,
    MAX_COMPUTE_SIDE,
)
from water_gee.emulator.pixels import Context, evaluate
from water_gee.emulator.tasks import Tasks
from water_gee.emulator.values import Image

if TYPE_CHECKING:
    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.faults import Faults

LOG = logging.getLogger(__name__)

KEPT_THUMBNAILS = 1_000
"""Pictures that can be fetched by name at one time; the oldest are forgotten."""


Wanted = Callable[[], bool]
"""Says whether anybody still waits for an answer."""


def always() -> bool:
    """Say yes, for those who cannot leave."""
    return True


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture or download that was asked for.

    Attributes:
        wire: The request.
        kind: The same for those that differ in their pixels alone; None where nobody asks for it.
    """

    wire: Mapping[str, Any]
    kind: bytes | None


class Service:
    """One catalogue, served.

    Args:
        catalog: What is served; closed by `close`.
        tasks: Whether this service runs exports, too.
        workers: How many evaluations run at once; by default one a processor.
        faults: What is to go wrong.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        tasks: bool = True,
        workers: int | None = None,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.catalog = catalog
        self.faults = faults
        self.evaluator = Evaluator(catalog)
        self.tasks = Tasks(catalog, self.value, faults=faults)
        self._slots = threading.BoundedSemaphore(workers or os.cpu_count() or 1)
        self._thumbnails: OrderedDict[str, Thumbnail] = OrderedDict()
        self._contexts: list[Context] = []
        self._lock = threading.Lock()
        if tasks:
            self.tasks.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop evaluations and tasks, and close the catalogue."""
        self.interrupt()
        self.tasks.stop()
        self.catalog.close()

    @contextmanager
    def evaluation(self, wanted: Wanted = always) -> Iterator[Context]:
        """Wait for a turn, and yield the context of one interactive evaluation.

        Args:
            wanted: Asked when its turn has come.

        Raises:
            ServiceError: 499: nobody waits for it any more. 400: it needs too much memory.
        """
        with self._slots:
            if not wanted():
                raise abandoned()
            context = Context(deadline=time.monotonic() + INTERACTIVE_SECONDS)
            self._contexts.append(context)
            try:
                yield context
            except MemoryError as error:
                raise bad_request("User memory limit exceeded.") from error
            finally:
                self._contexts.remove(context)

    def interrupt(self) -> None:
        """Give up the interactive evaluations under way; their callers hear that time is over."""
        for context in list(self._contexts):
            context.deadline = 0.0

    def value(self, expression: Any, context: Context | None = None) -> Any:
        """Return the value of an expression in wire form.

        Raises:
            ServiceError: 400: it cannot be computed.
        """
        if not isinstance(expression, Mapping):
            raise bad_request("expression: expected an object.")
        return self.evaluator.compute(expression, context)

    def image(self, expression: Any, context: Context | None = None) -> Image:
        """Return the image an expression results in.

        Raises:
            ServiceError: 400: it cannot be computed, or results in something else.
        """
        found: Image = coerce(self.value(expression, context), Image, "expression")
        return found

    def pixels(
        self,
        image: Image,
        wire: Mapping[str, Any],
        *,
        bytes_limit: int = MAX_COMPUTE_BYTES,
        side_limit: int = MAX_COMPUTE_SIDE,
        context: Context | None = None,
    ) -> tuple[bytes, str]:
        """Compute and encode the pixels that a request asks for.

        Args:
            image: Of which.
            wire: `{bandIds, grid, fileFormat, visualizationOptions, filenamePrefix}`, all optional.
            bytes_limit: Most bytes of pixels.
            side_limit: Most pixels a side.
            context: Budget and deadline.

        Returns:
            A file and its content type.

        Raises:
            ServiceError: 400: too large, malformed, or not computable.
        """
        image = with_bands(image, wire.get("bandIds"))
        file_format = str(wire.get("fileFormat") or "AUTO_JPEG_PNG")
        options = wire.get("visualizationOptions") or {}
        if not isinstance(options, Mapping):
            raise bad_request("visualizationOptions: expected an object.")
        request = wire_request(image, wire.get("grid"))
        check_size(image, request, bytes_limit, side_limit)
        nodes = [band.node for band in image.bands]
        blocks = evaluate(nodes, request.grid, request.window, context)
        picture = Picture(
            image.names,
            tuple(band.type for band in image.bands),
            tuple(blocks),
            request.projection,
        )
        return encode(picture, file_format, options, _prefix(image, wire.get("filenamePrefix")))

    # Pictures that are asked for first and fetched later ---------------------------------------

    def keep_thumbnail(self, name: str, thumbnail: Thumbnail) -> None:
        """Remember a picture under a name."""
        with self._lock:
            self._thumbnails[name] = thumbnail
            while len(self._thumbnails) > KEPT_THUMBNAILS:
                self._thumbnails.popitem(last=False)

    def thumbnail(self, name: str) -> Thumbnail | None:
        """Return what was remembered under a name, None where nothing is."""
        with self._lock:
            return self._thumbnails.get(name)


def with_bands(image: Image, names: Any) -> Image:
    """Return an image of some bands, in the order named; of all where none are.

    Raises:
        ServiceError: 400: a band is not there, or named twice.
    """
    if not names:
        return image
    if not isinstance(names, list):
        raise bad_request("bandIds: expected a list of band names.")
    known = {band.name: band for band in image.bands}
    for name in names:
        if name not in known:
            raise no_such_band(str(name), image.names)
    if len(set(names)) != len(names):
        raise bad_request("bandIds: a band is named twice.")
    return image.with_bands(known[name] for name in names)


def check_size(image: Image, request: PixelRequest, bytes_limit: int, side_limit: int) -> None:
    """Refuse pixels that are too many, before any is computed.

    Raises:
        ServiceError: 400, in the service's words.
    """
    for band in image.bands:
        if band.type.dimensions:
            raise bad_request(
                f"The band '{band.name}' holds arrays, which no file format here does."
            )
    if len(image.bands) > MAX_COMPUTE_BANDS:
        raise too_many_bands(len(image.bands), MAX_COMPUTE_BANDS)
    height, width = request.window.shape
    if max(height, width) > side_limit:
        raise grid_too_large(width, height, side_limit)
    size = request.window.area * sum(band.type.storage.itemsize for band in image.bands)
    if size > bytes_limit:
        raise answer_too_large(size, bytes_limit)


def _prefix(image: Image, given: Any) -> str:
    """Return what file names in an archive begin with: never a path."""
    name = str(given or image.id or "download").rpartition("/")[2]
    plain = "".join(letter if letter.isalnum() or letter in "_-. " else "_" for letter in name)
    return plain.strip(". ")[:100] or "download"
