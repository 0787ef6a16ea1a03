"""What does the manifest of a very large download cost?

    python benchmarks/manifest.py [--tiles 100000] [--planet] [--latency 2.0]

First, so many tiles of 32 px are downloaded from the emulator, in a process of its own, that
repeats one answer (`--canned`): peak of memory of the downloading process, and the share of its
time that it spends with the manifest. Then, with `--planet`, every cell of the lattice is claimed
and entered, as if fetched: no pixels, and a clock that is only counted, at 40 requests of
`--latency` seconds at once. Prints one line of JSON for each.

The service's monthly quotas are in EECU-hours; what a tile takes of them nobody here could measure,
so the line says what it may take for the planet to be done in one month.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import shapely

from water_gee.imagery.claims import Presence
from water_gee.imagery.grid import cells_for, count_cells
from water_gee.imagery.manifest import TileRow, now
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

MEMORY_BAR = 400e6
SHARE_BAR = 0.03
SLOTS = 40
QUOTAS = {"community": 150, "contributor": 1000, "partner": 100_000}
"""EECU-hours a month, noncommercial, from 2026-04-27 on (the service's quota page)."""

_BATCH = 64

CHILD = """
import json, sys, time
from water_gee import session
from water_gee.imagery.download import download_tiles
from water_gee.imagery.recipe import Recipe
url, folder, recipe, area = json.loads(sys.argv[1])
session.connect(url=url)
began = time.perf_counter()
with download_tiles(area, folder, Recipe.from_dict(recipe), progress=False) as store:
    seconds = time.perf_counter() - began
    counts, manifest = store.manifest.counts(), store.manifest.seconds
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"seconds": seconds, "tiles": counts["done"] + counts["empty"],
                  "manifest": manifest, "peak": int(peak[0]) * 1024}))
"""


def downloaded(tiles: int, folder: Path) -> dict[str, Any]:
    """A download of so many small tiles, in a process of its own."""
    from download import box, serving, square

    from water_gee import session
    from water_gee.demo.season import make_season
    from water_gee.imagery import scenes

    season = make_season(folder / "season", 0, (1, 1), None)
    assets = scenes.ingest(folder / "catalog", season.scenes)
    scenes.ingest(folder / "catalog", [season.dem], dem=True)
    with session.connect(catalog=folder / "catalog"):
        recipe = scenes.recipe_for(scenes.describe(assets), {}).replace(cell=0.009, pixels=26)
    west, south, east, north = season.bounds
    cells = square(recipe, ((west + east) / 2, (south + north) / 2), tiles)
    with serving(folder / "catalog", ""):
        order = [session.ensure().url, str(folder / "tiles"), recipe.to_dict(), box(cells)]
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(order)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    found = json.loads(done.stdout)
    share = found["manifest"] / found["seconds"]
    size = (folder / "tiles" / "manifest.sqlite").stat().st_size
    return {
        "name": "manifest_download",
        "figure": round(found["peak"] / 1e6, 1),
        "unit": f"MB, peak memory of a download of {found['tiles']} tiles",
        "against": "bar (MB)",
        "against_figure": MEMORY_BAR / 1e6,
        "ratio": round(found["peak"] / MEMORY_BAR, 3),
        "manifest_share_of_time": round(share, 4),
        "bars": {"peak_mb": MEMORY_BAR / 1e6, "manifest_share_of_time": SHARE_BAR},
        "holds": found["peak"] <= MEMORY_BAR and share <= SHARE_BAR,
        "tiles_per_s": round(found["tiles"] / found["seconds"], 1),
        "manifest_mb": round(size / 1e6, 1),
    }


def planet(latency: float, folder: Path) -> dict[str, Any]:
    """Every cell claimed and entered; requests cost virtual time alone."""
    recipe = Recipe()
    area = shapely.box(-180, -90, 180, 90)
    began = time.perf_counter()
    total = count_cells(area, recipe)
    counting = time.perf_counter() - began
    digests = {name: bytes(32) for name in ("images", "masks", "evidence")}
    clock, entered = 0.0, 0
    with TileStore.open(folder, recipe, create=True) as store:
        manifest = store.manifest
        began = time.perf_counter()
        with Presence(manifest, shapely.to_wkb(area), total) as presence:
            cells = iter(cells_for(area, recipe))
            while batch := list(itertools.islice(cells, _BATCH)):
                for cell in presence.claim([cell.id for cell in batch]).mine:
                    counts = (1000, 250_000, 257_049)
                    row = TileRow(cell, "done", *counts, now(), 1, latency, 5_000_000)
                    manifest.put(row, digests, recipe, order=presence.order)
                    entered += 1
                clock += len(batch) * latency / SLOTS
        seconds, spent = time.perf_counter() - began, manifest.seconds
    size = sum(path.stat().st_size for path in folder.glob("manifest.sqlite*"))
    peak = int(
        next(
            line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
    )
    return {
        "name": "manifest_planet",
        "figure": entered,
        "unit": "cells of the planet, claimed and entered",
        "against": "cells counted beforehand",
        "against_figure": total,
        "ratio": round(entered / total, 6),
        "holds": entered == total,
        "seconds": round(seconds, 1),
        "seconds_to_count": round(counting, 2),
        "manifest_us_per_cell": round(1e6 * spent / entered, 1),
        "manifest_share_of_virtual_time": round(spent / clock, 6),
        "manifest_gb": round(size / 1e9, 3),
        "peak_mb": round(peak / 1e3, 1),
        "latency_s": latency,
        "days_at_40_at_once": round(clock / 86_400, 2),
        "eecu_seconds_a_tile_for_one_month": {
            name: round(hours * 3600 / total, 3) for name, hours in QUOTAS.items()
        },
    }


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tiles", type=int, default=100_000, help="0: none")
    parser.add_argument("--planet", action="store_true")
    parser.add_argument("--latency", type=float, default=2.0, help="seconds, of the simulation")
    asked = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as temporary:
        runs = []
        if asked.tiles:
            runs.append(lambda: downloaded(asked.tiles, Path(temporary) / "download"))
        if asked.planet:
            runs.append(lambda: planet(asked.latency, Path(temporary) / "planet"))
        for run in runs:
            line = run() | {
                "versions": {"numpy": metadata.version("numpy"), "shapely": shapely.__version__},
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": [round(each, 2) for each in os.getloadavg()],
            }
            held &= bool(line["holds"])
            print(json.dumps(line), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
