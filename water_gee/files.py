"""Files that appear whole or not at all: temporary name in the same folder, sync, rename."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from water_gee.errors import RasterError, WaterGeeError, WriteFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\w*|afs|9p|ncpfs|lustre|gpfs|beegfs\w*|ceph|glusterfs|orangefs|"
    r"fuse\.(sshfs|gcsfuse|s3fs|rclone|glusterfs|ceph\S*|davfs|blobfuse\S*|goofys)|davfs"
)
"""File systems, as Linux calls them, whose files several machines see."""

_MOUNTS = Path("/proc/self/mounts")

_NEARLY_NOTHING = 1 << 20
"""Bytes; a disk with less free than this is called full when a write to it fails."""


@contextlib.contextmanager
def atomic(path: Path | str, *, sync_folder: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; at the end, sync that file and rename it to `path`.

    On an error, or a kill, `path` stays what it was. Without `sync_folder` the new name may be
    lost with the power, until somebody syncs the folder.

    Raises:
        RasterError: The disk is full, or the folder cannot be written.
    """
    target = Path(path)
    temporary = temporary_name(target)
    try:
        yield temporary
        publish(temporary, target, sync_folder=sync_folder)
    except OSError as error:
        if isinstance(error, WaterGeeError):
            raise
        refuse_write(target, error)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def temporary_name(target: Path) -> Path:
    """A name beside `target` that tells whose it is; `remove_leftovers` knows such names."""
    return target.with_name(f".{target.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


def publish(temporary: Path, target: Path, *, sync_folder: bool = True) -> None:
    """Sync a finished file and give it its name."""
    sync(temporary)
    temporary.replace(target)
    if sync_folder:
        sync(target.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock file while the block runs; a killed process lets go of it.

    Yields:
        Whether this process has it; False where another one does.
    """
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:  # a file system without locks
            pass
        yield True


def write_bytes(path: Path | str, data: bytes | memoryview, *, sync_folder: bool = True) -> None:
    """Write a file as `atomic` does.

    Args:
        path: Its folder must exist.
        data: What it is to hold.
        sync_folder: Whether to wait until its name is on the disk, too; who writes many files
            into a folder calls `sync` for the folder once.

    Raises:
        RasterError: The disk is full, or the folder cannot be written.
    """
    with atomic(path, sync_folder=sync_folder) as temporary:
        temporary.write_bytes(data)


def network_mount(path: Path) -> str | None:
    """The kind of network file system that a path lies on, such as `nfs4`; None: a local one.

    Only Linux says; elsewhere every path counts as local.
    """
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    kinds: dict[Path, str] = {}
    for line in lines:
        _, mount, kind, *_ = line.split(" ")
        # Blanks are written as \040; of two mounts on one folder the later one is seen.
        folder = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount))
        if place.is_relative_to(folder):
            kinds[folder] = kind
    kind = kinds[max(kinds, key=lambda folder: len(folder.parts))] if kinds else ""
    return kind if _NETWORK.fullmatch(kind) else None


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of processes that were killed, not of living ones."""
    for leftover in folder.glob(".*.tmp*"):
        owner = leftover.name.split(".tmp")[0].rpartition(".")[2].partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def give_back_memory() -> None:
    """Return freed memory to the system where the C library keeps it: glibc's, for each thread."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_write(path: Path, error: BaseException) -> NoReturn:
    """Say in one line why a file could not be written.

    Raises:
        WriteFailedError: Always.
    """
    number = error.errno if isinstance(error, OSError) else None
    text = one_line(error)
    folder = path.parent
    if number == errno.ENOENT or not folder.is_dir():
        reason = f"the folder {folder} does not exist"
    elif number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        reason = f"the folder {folder} cannot be written"
    elif (
        number in _DISK_FULL
        or any(os.strerror(code) in text for code in _DISK_FULL)
        or shutil.disk_usage(folder).free < _NEARLY_NOTHING
    ):
        reason = "the disk is full; free some space and run the same again"
    else:
        reason = f"{text}; {shutil.disk_usage(folder).free >> 20} MB are free on that disk"
    raise WriteFailedError(f"cannot write {path}: {reason}") from error


def refuse_same(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace what is read.

    Raises:
        RasterError: The output is one of the inputs.
    """
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise RasterError(f"{out} is what is read; give the output another name")


def one_line(error: BaseException) -> str:
    """The message of an error, or of its cause, without line breaks."""
    cause = error.__cause__ if error.__cause__ is not None else error
    return " ".join(str(cause).split()) or type(error).__name__


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
