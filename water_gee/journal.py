"""Which stages of a run are done, with what, and whether their results still stand.

One JSON file beside the results, replaced as a whole. A stage is entered twice: when it begins,
with the digest of its inputs, and when it ends, with a fingerprint of every output. So a kill at
any instant leaves a stage that either stands or is begun, and what a begun one left behind is only
taken up by a stage with the same inputs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from water_gee.errors import StoreError
from water_gee.files import remove_leftovers, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FORMAT = 1
"""Version of the file; a reader refuses newer ones."""

NAME = "run.json"
LOCK = ".run.lock"

LOCK_SECONDS = 5.0
"""How long to wait for a run that is just ending."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stage in the journal.

    Attributes:
        stage: Its name.
        inputs: Digest of everything its result depends on.
        done: Whether it ended; a begun one has the outputs and facts of the time before.
        outputs: Path relative to the journal's folder -> `[bytes, mtime in ns, SHA-256]`.
        facts: What later stages and the report read of it, plain JSON values.
        seconds: How long it took.
    """

    stage: str
    inputs: str
    done: bool
    outputs: dict[str, list[Any]]
    facts: dict[str, Any]
    seconds: float

    @property
    def digest(self) -> str:
        """Of the outputs' content and the facts, for the inputs of the next stage."""
        content = {path: mark[2] for path, mark in self.outputs.items()}
        return digest(self.inputs, content, self.facts)


class Journal:
    """The journal of one folder of results, locked while it is open; a context manager.

    Attributes:
        folder: Where the results are.
    """

    def __init__(self, folder: Path, entries: dict[str, Entry], lock: IO[bytes]) -> None:
        self.folder = folder
        self._entries = entries
        self._lock = lock

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Make the folder where there is none, lock it and read its journal.

        Raises:
            StoreError: The folder cannot be made, is in use, or has a newer journal.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("ab")
        except OSError as error:
            raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
        try:
            _take(lock, folder)
            remove_leftovers(folder)
            return cls(folder, _read(folder / NAME), lock)
        except BaseException:
            lock.close()
            raise

    def close(self) -> None:
        """Let the next run have the folder."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def entry(self, stage: str) -> Entry | None:
        """What is known of a stage, done or begun."""
        return self._entries.get(stage)

    def standing(self, stage: str, inputs: str) -> Entry | None:
        """The entry of a stage that ended with these inputs and whose outputs are unchanged."""
        entry = self._entries.get(stage)
        if entry is None or not entry.done or entry.inputs != inputs:
            return None
        whole = all(_same(self.folder / path, mark) for path, mark in entry.outputs.items())
        return entry if whole else None

    def changed(self, stage: str) -> list[Path]:
        """Outputs of a stage that are there, but no longer what was written."""
        entry = self._entries.get(stage)
        marks = entry.outputs if entry is not None else {}
        paths = {self.folder / name: mark for name, mark in marks.items()}
        return [path for path, mark in paths.items() if path.exists() and not _same(path, mark)]

    def begin(self, stage: str, inputs: str) -> None:
        """Enter that a stage is being made; what was known of it stays until it ends."""
        old = self._entries.get(stage)
        outputs = old.outputs if old is not None and old.inputs == inputs else {}
        self._put(Entry(stage, inputs, False, outputs, old.facts if old is not None else {}, 0.0))

    def end(
        self, stage: str, outputs: Iterable[Path], facts: Mapping[str, Any], seconds: float
    ) -> Entry:
        """Enter that the stage begun is made.

        Args:
            stage: Its name.
            outputs: Its files, inside the journal's folder.
            facts: Plain JSON values.
            seconds: How long it took.

        Raises:
            StoreError: One of the files is not there.
        """
        marks = {_name(path, self.folder): _mark(path) for path in sorted(set(outputs))}
        inputs = self._entries[stage].inputs
        # As it would be read back, so that a run that goes on sees the same digests.
        plain = json.loads(json.dumps(dict(facts)))
        entry = Entry(stage, inputs, True, marks, plain, round(seconds, 3))
        self._put(entry)
        return entry

    def forget(self, stage: str) -> None:
        """Drop what is known of a stage."""
        if self._entries.pop(stage, None) is not None:
            self._save()

    def _put(self, entry: Entry) -> None:
        self._entries[entry.stage] = entry
        self._save()

    def _save(self) -> None:
        stages = {
            name: {
                "inputs": entry.inputs,
                "done": entry.done,
                "outputs": entry.outputs,
                "facts": entry.facts,
                "seconds": entry.seconds,
            }
            for name, entry in self._entries.items()
        }
        text = json.dumps({"format": FORMAT, "stages": stages}, indent=1, sort_keys=True)
        write_bytes(self.folder / NAME, text.encode())


def digest(*parts: Any) -> str:
    """SHA-256 of plain JSON values, in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _mark(path: Path) -> list[Any]:
    try:
        about = path.stat()
        return [about.st_size, about.st_mtime_ns, file_digest(path)]
    except OSError as error:
        raise StoreError(f"{path} should be there by now, but: {error.strerror}") from error


def _same(path: Path, mark: list[Any]) -> bool:
    """Whether a file is what it was; its content is read only where its time has changed."""
    try:
        about = path.stat()
        if about.st_size != mark[0]:
            return False
        return bool(about.st_mtime_ns == mark[1] or file_digest(path) == mark[2])
    except OSError:
        return False


def _take(lock: IO[bytes], folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"another run is at work in {folder}; wait for it, or use another folder"
                ) from error
            time.sleep(0.1)
        else:
            os.set_inheritable(lock.fileno(), False)
            return


def _read(path: Path) -> dict[str, Entry]:
    """The entries of a journal; a file that is no journal counts as none, all is made anew."""
    try:
        plain = json.loads(path.read_bytes())
        newer = int(plain["format"]) > FORMAT
        entries = {name: Entry(stage=name, **about) for name, about in plain["stages"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    if newer:
        raise StoreError(f"{path} was written by a newer water_gee; update the package")
    return entries
