"""The synthetic season on disk: scenes as USGS packs them, the truth, the elevation model."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from pyproj import Transformer

from water_gee import raster
from water_gee.demo import filters, landcover, noise, regimes, scenes, terrain, waters
from water_gee.demo.mtl import ORIGIN, write_mtl
from water_gee.demo.site import FINE, PIXEL, UTM, Site, make_site
from water_gee.errors import WaterGeeError
from water_gee.files import refuse_write, sync, write_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "synthetic_season"
VERSION = 1
"""Raised whenever the same seed would give other pixels."""

_FACTS = "synthetic_season.json"
_NOTE = """SYNTHETIC. Everything in this folder was computed by the water_gee demo.

The scenes are named and packed like Landsat 8 Collection 2 Level 2 products so that the ordinary
reader takes them; no satellite saw this ground and no such place exists.
"""
_SECOND = 1 / 3600


@dataclass(frozen=True, slots=True)
class Season:
    """A synthetic season on disk.

    Attributes:
        folder: Where it is.
        seed: What it was made from.
        cells: Lattice cells, `(rows, cols)`.
        bounds: Area of interest in degrees: west, south, east, north.
        scenes: Scene folders, by date.
        truth: GeoTIFF, uint8: 1 where water covers at least half of a 30 m pixel.
        fraction: GeoTIFF, float32: share of each 30 m pixel under water, exact: ninths, by the
            truth at 10 m.
        dem: GeoTIFF, float32 metres, EPSG:4326, one arc second.
        seconds: How long it took to make.
        regime: Name of its noise regime; None: without one.
    """

    folder: Path
    seed: int
    cells: tuple[int, int]
    bounds: tuple[float, float, float, float]
    scenes: tuple[Path, ...]
    truth: Path
    fraction: Path
    dem: Path
    seconds: float
    regime: str | None = None


def make_season(
    folder: Path,
    seed: int = 0,
    cells: tuple[int, int] = (3, 3),
    regime: str | None = None,
) -> Season:
    """Make a synthetic season with known water, or open the one that stands.

    Args:
        folder: Where it goes; the season is put into `folder/synthetic_season`.
        seed: Same seed, same pixels.
        cells: Lattice cells, `(rows, cols)`.
        regime: Name of a noise regime in `regimes.REGIMES`: a world with one kind of error in its
            QA. Without one there is a little of everything.

    Raises:
        GridError: `cells` below 1.
        RecipeError: No such regime.
        RasterError: The disk is full, or the folder cannot be written; nothing is left behind.
    """
    started = time.monotonic()
    site = make_site(cells)
    kind = regimes.regime_of(regime)
    final = folder / FOLDER
    standing = _standing(final, site, seed, regime)
    if standing is not None:
        return standing
    draft = folder / f".{FOLDER}.draft"
    try:
        for old in (draft, final):
            if old.exists():
                shutil.rmtree(old)
        draft.mkdir(parents=True)
        names = _fill(draft, site, seed, kind)
        facts = {
            "synthetic": True,
            **_wanted(seed, site, regime),
            "bounds": list(site.bounds),
            "scenes": names,
            "seconds": round(time.monotonic() - started, 3),
        }
        write_bytes(draft / "SYNTHETIC.txt", _NOTE.encode())
        write_bytes(draft / _FACTS, json.dumps(facts, indent=1).encode())
        draft.replace(final)
        sync(folder)
    except OSError as error:
        if isinstance(error, WaterGeeError):
            raise
        refuse_write(final, error)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _season(final, site, facts)


def _wanted(seed: int, site: Site, regime: str | None) -> dict[str, Any]:
    """What makes a season the one that is asked for."""
    facts: dict[str, Any] = {"version": VERSION, "seed": seed, "cells": list(site.cells)}
    if regime is not None:
        facts |= {"regime": regime, "regime_version": regimes.VERSION}
    return facts


def _fill(folder: Path, site: Site, seed: int, regime: regimes.Regime) -> list[str]:
    relief = terrain.make_relief(site, seed, regime.world)
    water = waters.make_waters(site, relief, seed, regime.world)
    ground = landcover.make_ground(site, relief, water, seed, regime.world)
    del relief, water
    _write(
        folder / "synthetic_truth_water.tif", (ground.water >= 0.5).astype(np.uint8), site.transform
    )
    _write(folder / "synthetic_truth_fraction.tif", _fraction(ground, regime), site.transform)
    _write_dem(folder / "synthetic_dem.tif", site, ground, seed)
    names = []
    for scene in scenes.make_scenes(site, ground, seed, regime):
        product = scene.facts.product
        names.append(product)
        (folder / product).mkdir()
        for band, values in scene.bands.items():
            _write(folder / product / f"{product}_{band}.TIF", values, site.transform)
        text = write_mtl(scene.facts, site)
        write_bytes(folder / product / f"{product}_MTL.txt", text.encode())
    return names


def _fraction(ground: landcover.Ground, regime: regimes.Regime) -> NDArray[np.float32]:
    """Share of water as float32 ninths.

    The shares of the kinds of water, added up in float32, are a last bit off in a few pixels; the
    season without a regime keeps them so, for its pixels never change.
    """
    if regime is regimes.NONE:
        return np.asarray(ground.water, np.float32)
    ninths = np.rint(ground.water * FINE**2).astype(np.float32)
    return np.asarray(ninths / np.float32(FINE**2), np.float32)


def _write(path: Path, values: NDArray[Any], transform: Affine, crs: str = UTM) -> None:
    grid = raster.Grid(crs, transform, (values.shape[0], values.shape[1]))
    tags = {"SYNTHETIC": "true", "TIFFTAG_IMAGEDESCRIPTION": ORIGIN}
    name = path.stem.rpartition("02_T1_")[2] if path.suffix == ".TIF" else path.stem
    raster.write(path, values, grid, nodata=None, names=(name,), tags=tags)


def _write_dem(path: Path, site: Site, ground: landcover.Ground, seed: int) -> None:
    """Sample the elevation at arc seconds, with a metre of noise on land."""
    rough = noise.generator(seed, "dem").standard_normal(site.shape, dtype=np.float32)
    dry = filters.lowest(1 - ground.water, 3)
    heights = ground.elevation + 0.8 * rough * dry
    skirt = 0.004
    west, south, east, north = site.bounds
    left = np.floor((west - skirt) / _SECOND) * _SECOND
    top = np.ceil((north + skirt) / _SECOND) * _SECOND
    width = int(np.ceil((east + skirt - left) / _SECOND))
    height = int(np.ceil((top - south + skirt) / _SECOND))
    longitude = left + (np.arange(width) + 0.5) * _SECOND
    forward = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    out = np.empty((height, width), dtype=np.float32)
    for first in range(0, height, 256):
        latitude = top - (np.arange(first, min(first + 256, height)) + 0.5) * _SECOND
        x, y = forward.transform(*np.meshgrid(longitude, latitude))
        col = (x - site.transform.c) / PIXEL - 0.5
        row = (site.transform.f - y) / PIXEL - 0.5
        part = filters.interpolated(heights, row, col)
        out[first : first + 256] = part
    _write(path, out, Affine(_SECOND, 0, left, 0, -_SECOND, top), "EPSG:4326")


def _standing(folder: Path, site: Site, seed: int, regime: str | None) -> Season | None:
    """The season that stands in a folder, if it is the one asked for."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(facts, dict):
        return None
    wanted = _wanted(seed, site, regime)
    if any(facts.get(name) != value for name, value in wanted.items()):
        return None
    if facts.get("regime") != regime:
        return None
    return _season(folder, site, facts)


def _season(folder: Path, site: Site, facts: dict[str, Any]) -> Season:
    return Season(
        folder,
        int(facts["seed"]),
        site.cells,
        site.bounds,
        tuple(folder / name for name in facts["scenes"]),
        folder / "synthetic_truth_water.tif",
        folder / "synthetic_truth_fraction.tif",
        folder / "synthetic_dem.tif",
        float(facts["seconds"]),
        facts.get("regime"),
    )
