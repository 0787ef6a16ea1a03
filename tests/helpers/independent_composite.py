"""The composite of one cell, computed from the scenes' own files with NumPy, rasterio and pyproj.

A second opinion on what `water_gee.imagery.composite` and the emulator make together. It shares no
line with them and imports nothing of the package; it follows the description: Collection 2 Level 2
counts, QA_PIXEL bits 0 to 4 clear, medians, the majority of the water bit, eight features.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from pyproj import Transformer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ORDER = ("Blue", "Green", "Red", "NIR", "SWIR1")
PIXEL = Fraction(135, 501_000)
"""Degrees: 0.135 in 501."""

SIDE = 507
MARGIN = 3
NUDGE = 1e-10
"""Degrees."""

HALO = 2
"""Pixels beyond the tile that its line feature looks at."""


@dataclass(frozen=True)
class SceneFiles:
    """One acquisition: a file for each of `ORDER`, and the QA band.

    `collection1` files hold reflectance x 10,000 with fill -9999, and `pixel_qa` with bits 0 fill,
    2 water, 3 shadow, 5 cloud, and 8-9 confidence of cirrus. `swir2` and `sun` (azimuth,
    elevation), where they are known, are only for `evidence`.
    """

    bands: Mapping[str, Path]
    qa: Path
    collection1: bool = False
    swir2: Path | None = None
    sun: tuple[float, float] | None = None


@dataclass(frozen=True)
class Tile:
    """Features `float32 (8, row, col)` and label `uint8 (row, col)`; NaN and 255: not observed.

    `elevations (4, row, col)` are the feature elevation with pixel centres moved by a hundredth of
    a millimetre to each corner: where they differ, a centre lies on an edge between two pixels of
    the elevation model (one arc second and 0.135°/501 meet every 167 pixels), and both are nearest.
    """

    features: np.ndarray
    label: np.ndarray
    elevations: np.ndarray

    def difference(self, features: np.ndarray) -> np.ndarray:
        """The largest difference of each feature from another tile's."""
        apart = np.abs(features.astype(float) - self.features)
        apart[7] = np.abs(features[7].astype(float) - self.elevations).min(0)
        return np.array([np.nanmax(band, initial=0) for band in apart])


def composite(
    scenes: Sequence[SceneFiles], corner: tuple[str, str], dem: Path | None = None
) -> Tile:
    """The tile of the cell whose lower left corner is `corner`, `("149.040", "-35.370")`."""
    lon, lat = centres(corner)
    reflectance, water = zip(*(observe(scene, lon, lat) for scene in scenes), strict=True)
    medians = np.stack([median(np.stack(band)) for band in zip(*reflectance, strict=True)])
    votes = np.stack(water)
    clear = (votes >= 0).sum(0)
    wet = (votes == 1).sum(0)
    seen = clear > 0
    assert (seen == np.isfinite(medians).all(0)).all()

    green, swir = medians[1], medians[4]
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(green + swir == 0, 0.0, (green - swir) / (green + swir))
    index[~seen] = np.nan
    heights = np.zeros((4, *lon.shape))
    if dem is not None:
        corners = [(a, b) for a in (-NUDGE, NUDGE) for b in (-NUDGE, NUDGE)]
        heights = np.stack([elevation(dem, lon + a, lat + b) for a, b in corners])
    features = np.stack([*medians, index, line(index), heights[0] / 4000])
    features[:, ~seen] = np.nan
    elevations = np.where(seen, heights / 4000, np.nan)
    label = np.where(seen, 2 * wet > clear, 255).astype(np.uint8)
    inner = slice(HALO, HALO + SIDE)
    return Tile(
        features[:, inner, inner].astype(np.float32),
        label[inner, inner],
        elevations[:, inner, inner],
    )


def centres(corner: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of the pixel centres of a cell's tile and `HALO` around it."""
    west, south = (Fraction(number) for number in corner)
    if (west / PIXEL).denominator != 1 or (south / PIXEL).denominator != 1:
        raise ValueError(f"{corner} is no corner of the lattice")
    first_col = west / PIXEL - MARGIN - HALO
    first_row = south / PIXEL + 501 + MARGIN + HALO
    count = SIDE + 2 * HALO
    lon = np.array([float((first_col + i + Fraction(1, 2)) * PIXEL) for i in range(count)])
    lat = np.array([float((first_row - i - Fraction(1, 2)) * PIXEL) for i in range(count)])
    lon, lat = np.meshgrid(lon, lat)
    return lon, lat


def evidence(scenes: Sequence[SceneFiles], corner: tuple[str, str]) -> dict[str, np.ndarray]:
    """What else the scenes say of a tile's pixels, `float64 (row, col)`, NaN where nothing."""
    lon, lat = (part[HALO:-HALO, HALO:-HALO] for part in centres(corner))
    votes = np.stack([observe(scene, lon, lat)[1] for scene in scenes])
    clear = votes >= 0
    found = {"water_count": (votes == 1).sum(0), "clear_count": clear.sum(0)}
    swir2, north, east, height = (np.zeros(votes.shape) for _ in range(4))
    for i, scene in enumerate(scenes):
        counts = nearest(scene.swir2, lon, lat)
        if scene.collection1:
            counts = np.where(counts == -9999, 0, np.floor((counts + 2000) * 40 / 11 + 0.5))
        good = clear[i] & (counts >= 1) & (counts <= 43636)
        swir2[i] = np.where(good, np.maximum(counts, 7273) * 0.0000275 - 0.2, np.nan)
        azimuth, elevation = scene.sun or (np.nan, np.nan)
        north[i], east[i] = np.cos(np.deg2rad(azimuth)), np.sin(np.deg2rad(azimuth))
        height[i] = elevation
    found["SWIR2"] = median(swir2)
    weights = clear / np.maximum(clear.sum(0), 1)
    vector = (weights * north).sum(0) + 1j * (weights * east).sum(0)
    found["sun_azimuth"] = np.rad2deg(np.angle(vector)) % 360
    found["sun_elevation"] = (weights * height).sum(0)
    return {name: np.where(clear.any(0), values, np.nan) for name, values in found.items()}


def observe(scene: SceneFiles, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reflectance `(5, row, col)`, NaN where it does not count; votes: 1 water, 0 land, -1 none."""
    counts = np.stack([nearest(scene.bands[name], lon, lat) for name in ORDER])
    qa = nearest(scene.qa, lon, lat)
    if scene.collection1:
        # Reflectance v / 10,000 is the count (v / 10,000 + 0.2) / 0.0000275 = (v + 2000) x 40 / 11.
        fill = counts == -9999
        exact = (counts + 2000) * 40
        counts = np.where(fill, 0, np.clip((2 * exact + 11) // 22, 1, 65535))
        cirrus = (qa >> 8) & 3
        obscured = (qa & 0b101001) != 0
        obscured |= cirrus == 3
        wet = (qa >> 2) & 1
    else:
        obscured = (qa & 0b11111) != 0
        wet = (qa >> 7) & 1
    outside = qa == OUTSIDE
    usable = ~obscured & ~outside & ((counts >= 1) & (counts <= 43636)).all(0)
    reflectance = np.maximum(counts, 7273) * 0.0000275 - 0.2
    return np.where(usable, reflectance, np.nan), np.where(usable, wet, -1)


OUTSIDE = -(1 << 40)


def nearest(path: Path, lon: np.ndarray, lat: np.ndarray, fill: int = OUTSIDE) -> np.ndarray:
    """The value of the pixel that a place lies in, `int64`; `fill` outside the file."""
    with rasterio.open(path) as source:
        values = source.read(1)
        where = ~source.transform
        crs = source.crs
    x, y = Transformer.from_crs(4326, crs.to_wkt(), always_xy=True).transform(lon, lat)
    col = np.floor(where.a * x + where.b * y + where.c).astype(int)
    row = np.floor(where.d * x + where.e * y + where.f).astype(int)
    inside = (row >= 0) & (row < values.shape[0]) & (col >= 0) & (col < values.shape[1])
    kind = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float64
    found = np.full(lon.shape, fill, kind)
    found[inside] = values[row[inside], col[inside]]
    return found


def elevation(path: Path, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Metres; 0 outside the file and in its gaps."""
    metres = nearest(path, lon, lat).astype(float)
    with rasterio.open(path) as source:
        gap = source.nodata
    bad = (metres == OUTSIDE) | ~np.isfinite(metres)
    if gap is not None:
        bad |= metres == gap
    return np.where(bad, 0.0, metres)


def median(values: np.ndarray) -> np.ndarray:
    """Along the first axis, without NaN; with an even count the mean of the two in the middle."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    count = np.isfinite(ordered).sum(0)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0)[None], 0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(values) - 1)[None], 0)[0]
    return np.where(count > 0, (low + high) / 2, np.nan)


def line(index: np.ndarray) -> np.ndarray:
    """Of four directions the largest of 2 c - a - b, a and b two pixels away on either side.

    One that was not observed counts as c.
    """
    framed = np.pad(index, HALO, constant_values=np.nan)
    rows, cols = index.shape

    def shifted(down: int, right: int) -> np.ndarray:
        there = framed[HALO + down : HALO + down + rows, HALO + right : HALO + right + cols]
        return np.where(np.isnan(there), index, there)

    return np.max(
        [
            2 * index - shifted(-down, -right) - shifted(down, right)
            for down, right in ((0, 2), (2, 0), (2, 2), (2, -2))
        ],
        axis=0,
    )


def scene_in(folder: Path, *, collection1: bool = False) -> SceneFiles:
    """The files of a Landsat scene, as the USGS names them: 8 and 9 have blue in band 2."""
    blue = 2 if folder.name.startswith(("LC", "landsat8")) else 1
    names = [f"sr_band{n}" if collection1 else f"SR_B{n}" for n in range(blue, blue + 5)]
    qa = "pixel_qa" if collection1 else "QA_PIXEL"

    def one(name: str) -> Path:
        found = [
            p
            for p in folder.iterdir()
            if p.stem.endswith(f"_{name}") and p.suffix.lower() == ".tif"
        ]
        if len(found) != 1:
            raise FileNotFoundError(f"{len(found)} files *_{name}.tif in {folder}")
        return found[0]

    bands = {common: one(name) for common, name in zip(ORDER, names, strict=True)}
    swir2 = one("sr_band7" if collection1 else "SR_B7")
    return SceneFiles(bands, one(qa), collection1, swir2, sun_of(folder))


def sun_of(folder: Path) -> tuple[float, float] | None:
    """Azimuth and elevation as the scene's metadata say them."""
    for path in folder.glob("*_MTL.txt"):
        lines = (line.partition("=") for line in path.read_text().splitlines())
        facts = {name.strip(): value.strip() for name, _, value in lines}
        return float(facts["SUN_AZIMUTH"]), float(facts["SUN_ELEVATION"])
    return None
