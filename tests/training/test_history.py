"""The training curve as other programs read it."""

from __future__ import annotations

import csv

from matplotlib.image import imread

from water_gee.training import history

ROWS = [
    {"epoch": 1, "loss": 0.5, "validation_iou": 0.7, "seconds": 1.5},
    {"epoch": 2, "loss": 0.25, "validation_iou": 0.8, "seconds": 1.25},
]


def test_the_curve_is_written_as_a_table_and_a_picture(tmp_path):
    history.write(tmp_path, ROWS, best_epoch=2)
    with (tmp_path / "history.csv").open() as lines:
        found = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    assert found == ROWS
    picture = imread(tmp_path / "history.png")
    assert picture.shape[:2] == (440, 770)
    assert picture[..., :3].std() > 0.02
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.png"]


def test_a_curve_of_one_epoch_can_be_drawn(tmp_path):
    history.write(tmp_path, ROWS[:1], best_epoch=1)
    assert (tmp_path / "history.png").stat().st_size > 1000
