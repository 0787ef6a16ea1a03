"""What goes wrong, in one line; and what the package logs, on standard error."""

from __future__ import annotations

import errno
import logging
import sys
from typing import TYPE_CHECKING

import click

from water_gee.errors import WaterGeeError, WaterGeeWarning

if TYPE_CHECKING:
    from typing import TextIO

REFUSED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


class _Lines(logging.Handler):
    """Log records as plain lines that do not break progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        from tqdm.auto import tqdm

        prefix = "water-gee: note: " if record.levelno >= logging.WARNING else ""
        tqdm.write(f"{prefix}{record.getMessage()}", file=sys.stderr)


def listen(quiet: bool) -> None:
    """Show what the package logs: stages and notes, or with `quiet` nothing."""
    logger = logging.getLogger("water_gee")
    for handler in [h for h in logger.handlers if isinstance(h, _Lines)]:
        logger.removeHandler(handler)
    handler = _Lines()
    handler.setLevel(logging.ERROR if quiet else logging.INFO)
    handler.addFilter(_for_the_user)
    logger.addHandler(handler)
    logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _for_the_user(record: logging.LogRecord) -> bool:
    """The job's own lines and what is worth a warning; single tiles are in the store's log file."""
    if record.name == "water_gee.workflow":
        return True
    return record.name != "water_gee" and record.levelno >= logging.WARNING


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Show a warning of this package as one line; those of libraries say nothing to its user."""
    if issubclass(category, WaterGeeWarning):
        click.echo(f"water-gee: warning: {one_line(message)}", err=True)


def explain(error: BaseException) -> tuple[int, str]:
    """The exit status of an error, and its line; an empty one says nothing."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else REFUSED), ""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED, "stopped; what was done is kept, the same command goes on from there"
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx is not None else "water-gee"
        return USAGE, f"{one_line(error.format_message())} (see {command} --help)"
    if isinstance(error, click.ClickException):
        return error.exit_code, one_line(error.format_message())
    if isinstance(error, BrokenPipeError):
        return REFUSED, ""
    if isinstance(error, WaterGeeError):
        return REFUSED, one_line(error)
    return REFUSED, _foreign(error)


def _foreign(error: BaseException) -> str:
    """What an error of a library means to a user."""
    if isinstance(error, ConnectionError):
        return f"no connection: {one_line(error)}; is the server up?"
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space and run the same again"
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: " if error.filename else ""
        return f"{what}{error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory; map a smaller area, or with fewer threads"
    if type(error).__name__ == "EEException":
        return f"Earth Engine: {one_line(error)}"
    return (
        f"unexpected {type(error).__name__}: {one_line(error)} "
        "(water-gee --debug COMMAND shows where; please report it)"
    )


def one_line(message: object) -> str:
    """Text without line breaks."""
    return " ".join(str(message).split())
