"""Synthetic water maps on the disk, and areas of shapes that are known without our code."""

from __future__ import annotations

import json
import math

import numpy as np
import shapely
from affine import Affine
from rasterio import features
from scipy import ndimage

from water_gee import raster
from water_gee.imagery.store import COLORS
from water_gee.mapping import maps
from water_gee.mapping.trace import trace

STEP = 0.135 / 501
UTM = "EPSG:32648"


def write_map(path, values, *, crs="EPSG:4326", transform=None, nodata=255, years=None):
    """A class raster; by default at 104° E, 52° N with the lattice's pixels."""
    rows = np.asarray(values, dtype=np.uint8)
    grid = raster.Grid(crs, transform or Affine(STEP, 0, 104.0, 0, -STEP, 52.0), rows.shape)
    recipe = {"years": list(years or ()), "months": [6, 7, 8]}
    tags = {"water_gee_recipe": json.dumps(recipe)} if years else {}
    raster.write(path, rows, grid, nodata=nodata, names=("water",), colormap=COLORS, tags=tags)
    return path


def write_probability(path, values, *, like):
    """Probabilities on the grid of a map."""
    header = raster.describe(like)
    rows = np.asarray(values, dtype=np.float32)
    raster.write(
        path, rows, header.grid, nodata=float("nan"), names=("probability",), tags=header.tags
    )
    return path


def drawn(*shapes, size=400):
    """`uint8 (size, size)`: 1 where a pixel's centre lies in one of the shapes, in pixels."""
    return features.rasterize([(shape, 1) for shape in shapes], out_shape=(size, size))


def channel(x, y, width):
    """A strip of water along a line, in pixels."""
    return shapely.LineString(np.column_stack([x, y])).buffer(width / 2)


def band_km2(south, north, width_degrees):
    """Area between two parallels of WGS84 by Simpson's rule, an integral of our own."""
    a, f = 6378137.0, 1 / 298.257223563
    e2 = f * (2 - f)

    def strip(latitude):
        s, c = math.sin(latitude), math.cos(latitude)
        w = 1 - e2 * s * s
        meridian, parallel = a * (1 - e2) / w**1.5, a * c / math.sqrt(w)
        return meridian * parallel

    n = 400
    latitudes = [math.radians(south + (north - south) * i / n) for i in range(n + 1)]
    weights = [1 if i in (0, n) else 4 if i % 2 else 2 for i in range(n + 1)]
    total = sum(w * strip(x) for w, x in zip(weights, latitudes, strict=True))
    step = math.radians((north - south) / n)
    return total * step / 3 * math.radians(width_degrees) / 1e6


def bodies_of(folder, values, **options):
    """The bodies of an array, written and traced."""
    return trace(maps.open_map(write_map(folder / "map.tif", values)), **options)


def blobs(seed, shape=(90, 120), share=0.5):
    """Random smooth shores, with a few pixels that were not observed."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.random(shape), 2)
    values = (smooth > np.quantile(smooth, 1 - share)).astype(np.uint8)
    values[random.random(shape) < 0.02] = 255
    return values
