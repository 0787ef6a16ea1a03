"""Reading a synthetic season without the demo's own code."""

from __future__ import annotations

import numpy as np
import rasterio


def band(scene, name):
    """A band of a scene folder as an array."""
    with rasterio.open(scene / f"{scene.name}_{name}.TIF") as file:
        return file.read(1)


def raster_of(path):
    with rasterio.open(path) as file:
        return file.read(1)


def clear(qa):
    """Observed by bits 0 to 4 of QA_PIXEL, written out here once more."""
    return (qa & (1 | 2 | 4 | 8 | 16)) == 0


def majority_label(season):
    """Water where more than half of the clear observations have bit 7; and how many there were."""
    water = clears = 0
    for scene in season.scenes:
        qa = band(scene, "QA_PIXEL")
        water = water + (clear(qa) & (qa & 128 > 0)).astype(int)
        clears = clears + clear(qa).astype(int)
    return 2 * water > clears, clears


def intersection_over_union(a, b, where):
    return np.count_nonzero(a & b & where) / np.count_nonzero((a | b) & where)
