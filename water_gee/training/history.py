"""The training curve, as CSV and as a picture."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from water_gee.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CSV = "history.csv"
PNG = "history.png"


def write(folder: Path, rows: Sequence[Mapping[str, float]], best_epoch: int) -> None:
    """Write `history.csv` and `history.png` into a folder.

    Args:
        folder: Where.
        rows: One an epoch: `epoch`, `loss`, `validation_iou`, `seconds`.
        best_epoch: The epoch whose weights were kept.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_bytes(folder / CSV, text.getvalue().encode())
    write_bytes(folder / PNG, _picture(rows, best_epoch))


def _picture(rows: Sequence[Mapping[str, float]], best_epoch: int) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in rows]
    left = figure.add_subplot()
    left.plot(epochs, [row["loss"] for row in rows], color="#b0562a", marker="o", label="loss")
    left.set_xlabel("epoch")
    left.set_ylabel("training loss", color="#b0562a")
    left.set_ylim(bottom=0)
    right = left.twinx()
    right.plot(
        epochs, [row["validation_iou"] for row in rows], color="#1f5fa8", marker="s", label="IoU"
    )
    right.set_ylabel("validation IoU of water", color="#1f5fa8")
    right.axvline(best_epoch, color="0.6", linestyle=":", label="kept")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return image.getvalue()
