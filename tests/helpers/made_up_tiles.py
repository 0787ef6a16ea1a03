"""Tiles of made-up pixels, as the service would send them, of an area of six cells."""

from __future__ import annotations

import numpy as np
from fake_service import npy

from water_gee.imagery import evidence
from water_gee.imagery.download import download_tiles
from water_gee.imagery.recipe import Recipe

SMALL = Recipe(pixels=26, years=2023)
SIDE = 32
NAMES = (*SMALL.features, "water", *evidence.CARRIED)
AREA = (149.05, -35.35, 149.40, -35.15)  # 2 x 3 cells
CELLS = 6


def west(body):
    return body["grid"]["affineTransform"]["translateX"]


def whole(body):
    """A tile whose bands hold 0.1, 0.2 ...; water in one corner, a hole in the other."""
    size = body["grid"]["dimensions"]
    shape = (size["height"], size["width"])
    bands = {name: np.full(shape, 0.1 * (i + 1)) for i, name in enumerate(SMALL.features)}
    bands["water"] = np.zeros(shape)
    bands["water"][:5, :5] = 1
    bands |= {"SWIR2": np.full(shape, 0.05), "water_count": bands["water"] * 255}
    bands |= {"clear_count": np.full(shape, 255.0), "sun_elevation": np.full(shape, 3150)}
    bands |= {"sun_north": np.full(shape, 15_000), "sun_east": np.full(shape, -15_000)}
    for name, values in bands.items():
        values[-4:, -4:] = evidence.ABSENT if name.startswith("sun") else 255
    return npy(NAMES, shape, **bands)


def get(tmp_path, **options):
    options = {"recipe": SMALL, "threads": 3, "progress": False} | options
    return download_tiles(AREA, tmp_path / "tiles", **options)
