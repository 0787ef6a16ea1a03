"""Made-up images of any sensor in an emulator's catalogue, and what NumPy makes of them.

Shares no line with `water_gee.imagery`: bands, scales and codes are written out here once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
from independent_composite import line, median
from pyproj import Transformer

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.newband import NewBand
from water_gee.emulator.values import Projection

WEST, NORTH, SIDE = 684_915.0, 6_085_650.0, 60
CRS = "EPSG:32755"
CELL = ("149.0400", "-35.3700")
PIXELS, MARGIN, DEGREES = 50, 3, Fraction("0.0135")
"""A small cell with pixels of about 30 m."""

LANDSAT = {"scale": 0.0000275, "offset": -0.2, "low": 1, "high": 43636, "floor": 7273}
SENTINEL2 = {"scale": 0.0001, "offset": 0.0, "low": 0, "high": 10000, "floor": 1}
HLS = {"scale": 1.0, "offset": 0.0, "low": -0.2, "high": 1.0, "floor": 0.0001}
OLS = {
    "slope": (0.8474, 0.8483, 0.9047, 0.8462, 0.8937, 0.9071),
    "intercept": (0.0003, 0.0088, 0.0061, 0.0412, 0.0254, 0.0172),
}


@dataclass
class Made:
    """An image: counts `(6, row, col)` in the order Blue to SWIR2, codes, and facts."""

    sensor: str
    name: str
    day: datetime
    counts: np.ndarray
    codes: np.ndarray
    azimuth: float
    elevation: float
    west: float = WEST
    properties: dict = field(default_factory=dict)

    @property
    def facts(self) -> dict:
        family = self.sensor.rstrip("0123456789")
        return {"landsat": LANDSAT, "sentinel": SENTINEL2}.get(family, HLS)

    def clear_and_wet(self) -> tuple[np.ndarray, np.ndarray]:
        if self.sensor == "sentinel2":
            return ~np.isin(self.codes, (0, 1, 3, 8, 9, 10)), self.codes == 6
        if self.sensor.startswith("hls"):
            return (self.codes & 0b1110) == 0, (self.codes & 0b100000) > 0
        return (self.codes & 0b11111) == 0, (self.codes & 0b10000000) > 0


IDS = {
    "landsat5": ("LANDSAT/LT05/C02/T1_L2", ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")),
    "landsat7": ("LANDSAT/LE07/C02/T1_L2", ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")),
    "landsat8": ("LANDSAT/LC08/C02/T1_L2", ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")),
    "sentinel2": ("COPERNICUS/S2_SR_HARMONIZED", ("B2", "B3", "B4", "B8", "B11", "B12")),
    "hls_l30": ("NASA/HLS/HLSL30/v002", ("B2", "B3", "B4", "B5", "B6", "B7")),
    "hls_s30": ("NASA/HLS/HLSS30/v002", ("B2", "B3", "B4", "B8A", "B11", "B12")),
}


def image(sensor: str, name: str, day: str, seed: int, *, moved: int = 0) -> Made:
    """Lakes, clouds, dark and saturated pixels; `moved` pixels to the east."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices((SIDE, SIDE))
    wet = np.sin(rows / 9) + np.cos((cols + moved) / 7) > 0.9
    made = Made(
        sensor,
        name,
        datetime.fromisoformat(day).replace(tzinfo=UTC),
        np.zeros((6, SIDE, SIDE)),
        np.zeros((SIDE, SIDE), int),
        azimuth=float((350 + 7 * seed) % 360),
        elevation=30.0 + seed,
        west=WEST + 30 * moved,
    )
    facts = made.facts
    for band in range(6):
        level = np.where(wet, 0.03 - 0.006 * band, 0.06 + 0.03 * band)
        level = level + rng.normal(0, 0.015, wet.shape)
        counts = (level - facts["offset"]) / facts["scale"]
        made.counts[band] = counts.astype(np.float32) if facts is HLS else np.rint(counts)
    made.counts[5, 30:34] = 2 if facts is HLS else 60_000  # SWIR2 alone is saturated
    made.counts[1, 10:12] = 2 if facts is HLS else 60_000
    if facts is SENTINEL2:
        made.counts = np.clip(made.counts, 0, 65_535)
    cloudy = rng.random(wet.shape) < 0.3
    kind = rng.integers(0, 6, wet.shape)
    if sensor == "sentinel2":
        made.codes = np.where(cloudy, np.array([0, 1, 3, 8, 9, 10])[kind], np.where(wet, 6, 4))
        made.codes[kind == 5] = np.where(cloudy, 10, np.where(wet, 6, 11))[kind == 5]
    elif facts is HLS:
        made.codes = np.where(wet, 32, 0) | np.where(cloudy, 2 << (kind % 3), 0) | 0b11000000
    else:
        made.codes = np.where(wet, 128, 64) | np.where(cloudy, 1 << (kind % 5), 0)
    return made


def put(folder, images) -> None:
    """Write images into a catalogue."""
    with Catalog.open(folder, create=True) as catalog:
        for each in images:
            collection, names = IDS[each.sensor]
            asset = f"{collection}/{each.name}"
            catalog.ensure_parents(asset, collection=True)
            grid = Projection(CRS, (30.0, 0.0, each.west, 0.0, -30.0, NORTH))
            dtype = np.float32 if each.facts is HLS else np.uint16
            bands = [
                NewBand.of_array(band, values.astype(dtype), grid)
                for band, values in zip(names, each.counts, strict=True)
            ]
            qa, kind = {"sentinel2": ("SCL", np.uint8)}.get(each.sensor, ("QA_PIXEL", np.uint16))
            qa, kind = ("Fmask", np.uint8) if each.facts is HLS else (qa, kind)
            bands.append(NewBand.of_array(qa, each.codes.astype(kind), grid, policy="SAMPLE"))
            time = int(each.day.timestamp() * 1000)
            properties = each.properties or sun_of(each)
            catalog.add_image(asset, bands, properties, start_time=time, end_time=time)


def sun_of(each: Made) -> dict:
    """The properties that say where the sun stood, under the product's own names."""
    if each.sensor.startswith("landsat"):
        return {"SUN_AZIMUTH": each.azimuth, "SUN_ELEVATION": each.elevation}
    word = "SOLAR" if each.sensor == "sentinel2" else "SUN"
    return {
        f"MEAN_{word}_AZIMUTH_ANGLE": each.azimuth,
        f"MEAN_{word}_ZENITH_ANGLE": 90 - each.elevation,
    }


def expected(
    images, *, how="median", ols=False, min_clear=1
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Features without elevation `(7, row, col)`, label and evidence of the cell's tile."""
    halo = 2
    step = DEGREES / PIXELS
    count = PIXELS + 2 * MARGIN + 2 * halo
    first_col = Fraction(CELL[0]) / step - MARGIN - halo
    first_row = Fraction(CELL[1]) / step + PIXELS + MARGIN + halo
    lon = [float((first_col + i + Fraction(1, 2)) * step) for i in range(count)]
    lat = [float((first_row - i - Fraction(1, 2)) * step) for i in range(count)]
    x, y = Transformer.from_crs(4326, CRS, always_xy=True).transform(*np.meshgrid(lon, lat))
    values, votes, suns = [], [], []
    for each in images:
        col = np.floor((x - each.west) / 30).astype(int)
        row = np.floor((NORTH - y) / 30).astype(int)
        inside = (row >= 0) & (row < SIDE) & (col >= 0) & (col < SIDE)
        row, col = np.where(inside, row, 0), np.where(inside, col, 0)
        facts = each.facts
        clear, wet = (part[row, col] for part in each.clear_and_wet())
        dtype = np.float32 if facts is HLS else float
        counts = each.counts.astype(dtype).astype(float)[:, row, col]
        valid = (counts >= facts["low"]) & (counts <= facts["high"])
        usable = inside & clear & valid[:5].all(0)
        reflectance = np.maximum(counts, facts["floor"]) * facts["scale"] + facts["offset"]
        if ols and each.sensor in ("landsat5", "landsat7"):
            slope, intercept = (np.array(OLS[name])[:, None, None] for name in OLS)
            reflectance = intercept + slope * reflectance
        reflectance[5] = np.where(valid[5], reflectance[5], np.nan)
        values.append(np.where(usable, reflectance, np.nan))
        votes.append(np.where(usable, wet, np.nan))
        suns.append(np.where(usable, np.exp(1j * np.deg2rad(each.azimuth)), np.nan))
    values, votes, suns = np.stack(values), np.stack(votes), np.stack(suns)
    heights = np.array([each.elevation for each in images])[:, None, None]
    seen = np.isfinite(votes)
    any_seen = seen.sum(0) >= min_clear
    bands = np.stack([_reduced(values[:, band], how) for band in range(6)])
    bands[:, ~any_seen] = np.nan
    green, swir = bands[1], bands[4]
    index = (green - swir) / (green + swir)
    features = np.stack([*bands[:5], index, line(index)])
    share = np.nansum(votes, 0) / np.maximum(seen.sum(0), 1)
    label = np.where(any_seen, share > 0.5, 255).astype(np.uint8)
    known = np.maximum(seen.sum(0), 1)
    evidence = {
        "SWIR2": bands[5],
        "water_count": np.nansum(votes, 0),
        "clear_count": seen.sum(0),
        "sun_azimuth": np.rad2deg(np.angle(np.nansum(suns, 0))) % 360,
        "sun_elevation": (seen * heights).sum(0) / known,
    }
    inner = (slice(halo, -halo), slice(halo, -halo))
    evidence = {name: np.where(any_seen, band, np.nan)[inner] for name, band in evidence.items()}
    return features[:, *inner], label[inner], evidence


def _reduced(values: np.ndarray, how: str) -> np.ndarray:
    if how == "median":
        return median(values)
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan)
