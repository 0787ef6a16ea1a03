"""Folders in the making: locked, renamed into place when whole, swept up if the writer died."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK_SUFFIX = ".lock"


def try_lock(path: Path) -> int | None:
    """Lock a file for this process, making it where it is not there.

    The lock ends with the process, however it ends.

    Returns:
        The file descriptor that holds the lock; None where another process has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def staged(parent: Path) -> Iterator[Path]:
    """Make a folder that no other process takes for abandoned; what is left in it at the end goes.

    Args:
        parent: The folder for folders in the making; on the same file system as their last place.
    """
    while True:
        folder = parent / uuid.uuid4().hex
        lock = folder.with_suffix(LOCK_SUFFIX)
        descriptor = try_lock(lock)
        if descriptor is not None:
            break
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def sweep(parent: Path) -> None:
    """Remove the folders whose writers died before they were done."""
    for lock in parent.glob(f"*{LOCK_SUFFIX}"):
        descriptor = try_lock(lock)
        if descriptor is None:
            continue
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)
    for folder in parent.iterdir():
        # The lock comes before the folder and goes after it: without one, nobody is at work.
        if folder.is_dir() and not folder.with_suffix(LOCK_SUFFIX).exists():
            shutil.rmtree(folder, ignore_errors=True)
