"""Where training stands, in one file, so that a killed run goes on where it was."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.files import write_bytes

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Standing:
    """Where training stands after an epoch.

    Attributes:
        rows: One an epoch, as `history.csv` has them.
        state: Weights and the optimizer's variables.
        best: The same of the best epoch.
        best_epoch: Its number.
        best_iou: Its validation IoU.
    """

    rows: list[dict[str, float]]
    state: list[Any]
    best: list[Any]
    best_epoch: int
    best_iou: float


def save(path: Path, key: str, standing: Standing) -> None:
    """Write a checkpoint; `key` says of which data and settings."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        about = {"key": key, "rows": standing.rows, "best_epoch": standing.best_epoch}
        members.writestr("about.json", json.dumps({**about, "best_iou": standing.best_iou}))
        for name, values in (("state", standing.state), ("best", standing.best)):
            packed = io.BytesIO()
            np.savez(packed, *values)
            members.writestr(f"{name}.npz", packed.getvalue())
    write_bytes(path, archive.getvalue())


def load(path: Path, key: str) -> Standing | None:
    """Read a checkpoint of the same data and settings; None where there is no such, or no whole."""
    try:
        with zipfile.ZipFile(path) as members:
            about = json.loads(members.read("about.json"))
            if about["key"] != key:
                return None
            state, best = (_arrays(members.read(f"{name}.npz")) for name in ("state", "best"))
        rows, epoch, iou = (about[name] for name in ("rows", "best_epoch", "best_iou"))
        return Standing(rows, state, best, epoch, iou)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def _arrays(packed: bytes) -> list[Any]:
    with np.load(io.BytesIO(packed)) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
