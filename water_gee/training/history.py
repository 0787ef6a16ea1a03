"""The training curve: as CSV, as a picture, and as TensorBoard reads it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Self

from water_gee.errors import TrainingError
from water_gee.files import one_line, write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CSV = "history.csv"
PNG = "history.png"


def write(folder: Path, rows: Sequence[Mapping[str, float]], best_epoch: int) -> None:
    """Write `history.csv` and `history.png` into a folder.

    Args:
        folder: Where.
        rows: One an epoch: `epoch`, `loss`, `validation_iou`, and what else is known of it.
        best_epoch: The epoch whose weights were kept.
    """
    write_table(folder, rows)
    write_bytes(folder / PNG, _picture(rows, best_epoch))


def write_table(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv` alone, as after each epoch."""
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_bytes(folder / CSV, text.getvalue().encode())


class Events:
    """TensorBoard's event file of a run; does nothing without a folder.

    Args:
        folder: Where; made if need be.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            from water_gee.training.backend import tf

            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._writer = tf.summary.create_file_writer(str(folder))
            except (OSError, tf.errors.OpError) as error:
                raise TrainingError(
                    f"cannot write TensorBoard's files into {folder}: {one_line(error)}"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, row: Mapping[str, float]) -> None:
        """Log an epoch's numbers, under their names."""
        if self._writer is None:
            return
        from water_gee.training.backend import tf

        # `tf.summary.scalar` asks for the package tensorboard, which only who looks needs.
        about = tf.compat.v1.SummaryMetadata()
        about.plugin_data.plugin_name = "scalars"
        with self._writer.as_default(step=int(row["epoch"])):
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=about)
        self._writer.flush()


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
