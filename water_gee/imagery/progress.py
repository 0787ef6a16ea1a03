"""What a download shows and writes down while it runs: a bar, and a log of JSON lines."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from tqdm.auto import tqdm

from water_gee.errors import WaterGeeWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOG = logging.getLogger("water_gee")

LOG_NAME = "water_gee.log"

_LOG_BYTES = 5_000_000


class Bar:
    """A progress bar in terminal or notebook; a context manager.

    Args:
        total: Tiles of the whole download, those that are there included.
        shown: Whether to show it.
        state: How requests go, in a few words.
    """

    def __init__(self, total: int, shown: bool, state: Callable[[], str]) -> None:
        self._bar: Any = tqdm(total=total, desc="tiles", unit="tile", disable=not shown)
        self._state = state
        self._bytes = 0
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def skip(self, number: int) -> None:
        """Count tiles that were there: they say nothing of the speed."""
        if not self._bar.disable:
            self._bar.initial += number
            self._bar.update(number)

    def add(self, size: int) -> None:
        """Count a tile of so many bytes on the disk."""
        self._bytes += size
        self._say()
        self._bar.update()

    def refresh(self) -> None:
        """Draw the bar, though no tile has come."""
        self._say()
        self._bar.refresh()

    def _say(self) -> None:
        rate = self._bytes / max(time.monotonic() - self._began, 1e-3) / 1e6
        # The bar itself shows a change at most ten times a second.
        self._bar.set_postfix_str(f"{rate:.1f} MB/s, {self._state()}", refresh=False)


class _Lines(logging.Formatter):
    """Each record as a JSON object: time (UTC), process, level, message, and what `extra` adds."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        told = {
            "time": moment.isoformat(timespec="milliseconds"),
            "process": record.process,
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        return json.dumps(told, ensure_ascii=False)


@contextlib.contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Log into the store; the handler lets several processes write and rotate one file."""
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    class Handler(ConcurrentRotatingFileHandler):
        """Says in one line, once, that the log cannot be written; tiles say it for themselves."""

        told = False

        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
            if not self.told:
                self.told = True
                warnings.warn(
                    f"{folder / LOG_NAME} cannot be written ({sys.exception()}); the download goes "
                    f"on, not noted is: {record.getMessage()}",
                    WaterGeeWarning,
                    stacklevel=2,
                )

    handler = Handler(folder / LOG_NAME, maxBytes=_LOG_BYTES, backupCount=3, encoding="utf-8")
    handler.setFormatter(_Lines())
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)
        handler.close()
