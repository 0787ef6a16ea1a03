"""Small scenes with known water, as arrays and as stores of small tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from water_gee.imagery.grid import cells_for
from water_gee.imagery.store import TileStore

# Surface reflectance: blue, green, red, NIR, SWIR1.
DEEP = (0.04, 0.05, 0.03, 0.02, 0.01)
TURBID = (0.08, 0.12, 0.13, 0.06, 0.03)
FOREST = (0.02, 0.04, 0.03, 0.25, 0.12)
SNOW = (0.80, 0.80, 0.78, 0.70, 0.10)
SHADOW = (0.03, 0.03, 0.02, 0.02, 0.015)
GRASS = (0.04, 0.07, 0.06, 0.30, 0.20)
DESERT = (0.16, 0.22, 0.28, 0.33, 0.40)
SALT = (0.30, 0.38, 0.42, 0.44, 0.28)
CHAR = (0.04, 0.045, 0.05, 0.07, 0.09)
WET_SOIL = (0.06, 0.07, 0.075, 0.08, 0.075)
"""Halfway between water and land: it passes a test for water or two."""


def spectrum(classes, table, noise=0.0, seed=0, elevation=None):
    """Eight features of a picture of classes; the line feature is left at 0."""
    bands = np.array(table, np.float64)[classes].transpose(2, 0, 1)
    bands = bands + np.random.default_rng(seed).normal(0, 1, bands.shape) * noise
    green, swir = bands[1], bands[4]
    mndwi = (green - swir) / (green + swir)
    height = np.zeros(classes.shape) if elevation is None else elevation / 4000
    return np.stack([*bands, mndwi, np.zeros(classes.shape), height]).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    features: np.ndarray
    truth: np.ndarray
    qa: np.ndarray


def scene(seed, side, hole=True):
    """Lakes in a forest; QA misses a fifth of the lakes' area and invents ponds."""
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.normal(size=(side, side)), 5, mode="wrap")
    truth = (field > np.quantile(field, 0.75)).astype(np.uint8)
    features = spectrum(truth, (FOREST, DEEP), noise=0.003, seed=seed)
    qa = truth.copy()
    for value, count in ((0, 14), (1, 6)):
        places = np.argwhere(truth != value)
        for row, col in places[rng.choice(len(places), count * side * side // 17956 + 1)]:
            qa[row : row + 9, col : col + 9][truth[row : row + 9, col : col + 9] != value] = value
    if hole:
        qa[20:25, 10:40] = 255
        features[:, 20:25, 10:40] = np.nan
    return Scene(features, np.where(qa == 255, 255, truth).astype(np.uint8), qa)


def cells(recipe, count):
    from shapely.geometry import box

    found = list(cells_for(box(104.09, 51.85, 104.34, 52.10), recipe))
    assert len(found) >= count
    return found[:count]


def store_of(path, scenes, recipe):
    store = TileStore.open(path, recipe, create=True)
    for cell, each in zip(cells(recipe, len(scenes)), scenes, strict=True):
        store.write_tile(cell, each.features, each.qa)
    return store
