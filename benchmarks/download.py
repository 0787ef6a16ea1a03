"""How near does the download come to what the service allows, and how do others fare?

    python benchmarks/download.py [--sides NAME ...] [--rounds 60] [--seed 0] [--keep DIR]

The service is the emulator in a process of its own, on this machine: 40 slots, every answer after
a fixed latency, pixels computed once and repeated (`--canned`). The ceiling is 40 / latency. Sides:

large     tiles of 507 px at 2 s
small     tiles of 128 px at 0.5 s
faults    the same with 429, 5xx, answers cut short, requests that hang, connections reset
cpu       tiles of 507 px without latency: time of a processor for a tile, and how much of it the
          stock client takes for the request alone
geedim    geedim 2, cell by cell on the same cells, its default and `max_tile_size=32`, each with
          the best of its numbers of requests at once; and its own way, all cells as one raster
xee       all cells as one dataset, loaded by 40 threads
seed      the published notebooks' way: 11 `sampleRectangle` a tile, threads in batches of 8

geedim and xee are not among this package's requirements: `pip install geedim xee` brings them; what
is not installed is left out, and said. Prints one line of JSON for every side.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee import download_tiles, session
from water_gee.demo.season import make_season
from water_gee.imagery import composite, scenes
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.request import grid_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from water_gee.imagery.recipe import Recipe

SLOTS = 40
FAULTS = "latency={latency},429=0.02,5xx=0.01,truncate=0.005,hang=0.001,reset=0.002"
BARS = {"large": 0.90, "small": 0.94, "faults": 0.80, "geedim": 3.0, "geedim_32": 1.5}
SMALL_CELL = "0.0344"
"""Degrees; 122 px with a margin of 3 on each side are 128, near 30 m."""

PEER_CELLS = 12
PACKAGES = ("earthengine-api", "rasterio", "numpy", "uvicorn")


@contextlib.contextmanager
def serving(catalog: Path, faults: str) -> Iterator[subprocess.Popen[str]]:
    """The emulator in a process of its own, and the stock client connected to it."""
    command = [sys.executable, "-m", "water_gee.emulator", "--catalog", str(catalog), "--port", "0"]
    command += ["--slots", str(SLOTS), "--canned"]
    if faults:
        command += ["--faults", faults]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        with session.connect(url=url):
            yield server
        server.stdin.close()


def cpu_of(server: subprocess.Popen[str]) -> float:
    """Seconds of processor that the server has taken."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def square(recipe: Recipe, centre: tuple[float, float], number: int) -> list[Cell]:
    """So many cells, or a few more, in a square whose middle is over the scenes."""
    lattice = Lattice.of(recipe)
    side = 1
    while side * side < number:
        side += 1
    col, row = lattice.index(centre[0]) - side // 2, lattice.index(centre[1]) - side // 2
    return [Cell(col + i, row + j, lattice) for j in range(side) for i in range(side)]


def box(cells: Sequence[Cell]) -> tuple[float, float, float, float]:
    """A box that holds these cells and no others."""
    step = float(cells[0].lattice.cell) / 10
    west, south = cells[0].bounds[:2]
    east, north = cells[-1].bounds[2:]
    return west + step, south + step, east - step, north - step


def ours(
    catalog: Path, recipe: Recipe, centre: Any, number: int, faults: str, folder: Path
) -> dict[str, Any]:
    """A download of so many tiles, after one whose answer the server repeats."""
    cells = square(recipe, centre, number)
    with serving(catalog, faults) as server:
        download_tiles(box(square(recipe, centre, 1)), folder / "first", recipe, progress=False)
        busy, served, began = time.process_time(), cpu_of(server), time.perf_counter()
        with download_tiles(box(cells), folder / "tiles", recipe, progress=False) as store:
            seconds = time.perf_counter() - began
            busy, served = time.process_time() - busy, cpu_of(server) - served
            counts, manifest = store.manifest.counts(), store.manifest.seconds
            tried = sum(row.attempts or 0 for row in store.manifest.rows())
    shutil.rmtree(folder)
    assert counts["done"] + counts["empty"] == len(cells)
    return {
        "tiles": len(cells),
        "seconds": round(seconds, 2),
        "rate": round(len(cells) / seconds, 3),
        "requests": tried,
        "cpu_ms_per_tile": round(1e3 * busy / len(cells), 2),
        "server_cpu_ms_per_tile": round(1e3 * served / len(cells), 2),
        "manifest_share_of_time": round(manifest / seconds, 4),
        "mb_per_s": round(counts["bytes"] / seconds / 1e6, 1),
    }


def against_ceiling(name: str, latency: float, found: dict[str, Any]) -> dict[str, Any]:
    """A side of ours beside 40 / latency."""
    ceiling = SLOTS / latency
    share = found["rate"] / ceiling
    return {
        "name": f"download_{name}",
        "figure": found["rate"],
        "unit": "tiles/s",
        "against": f"ceiling: {SLOTS} slots / {latency} s",
        "against_figure": ceiling,
        "ratio": round(share, 3),
        "bar": BARS[name],
        "holds": share >= BARS[name],
        "rounds": round(found["tiles"] / SLOTS, 1),
        **found,
    }


def stock_client(catalog: Path, recipe: Recipe, centre: Any, number: int) -> float:
    """Milliseconds of processor that the stock client takes to bring one tile and drop it."""
    import ee
    from google.auth.credentials import AnonymousCredentials

    cell = square(recipe, centre, 1)[0]
    grid = grid_of(cell, cell.on_earth)
    steps = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    with serving(catalog, ""):
        url = session.ensure().url
        ee.Initialize(credentials=AnonymousCredentials(), url=url, project="local")
        image = composite.request_image(recipe, evidence=True)
        params = {
            "expression": image,
            "fileFormat": "NPY",
            "grid": {
                "dimensions": {"width": grid.shape[1], "height": grid.shape[0]},
                "affineTransform": dict(zip(steps, grid.transform[:6], strict=True)),
                "crsCode": grid.crs,
            },
        }
        ee.data.computePixels(params)
        with ThreadPoolExecutor(SLOTS) as pool:
            busy = time.process_time()
            list(pool.map(lambda _: len(ee.data.computePixels(params)), range(number)))
            return 1e3 * (time.process_time() - busy) / number


def cpu(catalog: Path, recipe: Recipe, centre: Any, number: int, folder: Path) -> dict[str, Any]:
    """What a tile costs, and the stock client's part of it."""
    found = ours(catalog, recipe, centre, number, "", folder)
    stock = stock_client(catalog, recipe, centre, number)
    both = found["cpu_ms_per_tile"] + found["server_cpu_ms_per_tile"]
    return {
        "name": "download_cpu",
        "figure": found["cpu_ms_per_tile"],
        "unit": "ms of processor a tile of 507 px: request, decode, pack, hash, write",
        "against": "stock client: request alone (ms)",
        "against_figure": round(stock, 2),
        "ratio": round(found["cpu_ms_per_tile"] / stock, 2),
        "bar": None,
        "with_the_server": round(both, 2),
        **found,
    }


# ------------------------------------------------------------------------------------- others


def geedim(
    catalog: Path, recipe: Recipe, centre: Any, latency: float, ours_rate: float, folder: Path
) -> dict[str, Any]:
    """Cell by cell, with both tile sizes and several numbers of requests; then as one raster."""
    import ee
    import geedim  # noqa: F401  (adds `.gd`)

    cells = square(recipe, centre, PEER_CELLS)

    def fetch(image: Any, grid: Any, path: Path, **options: Any) -> None:
        prepared = image.gd.prepareForExport(
            crs=grid.crs, crs_transform=grid.transform[:6], shape=grid.shape, dtype="float32"
        )
        prepared.gd.toGeoTIFF(path, overwrite=True, **options)

    folder.mkdir()
    rates: dict[str, float] = {}
    with serving(catalog, f"latency={latency}"):
        image = composite.tile_image(recipe).select(list(recipe.features))
        for label, size in (("default", 4), ("max_tile_size=32", 32)):
            for requests in (1, 8, 32, 40):
                began = time.perf_counter()
                for cell in cells:
                    path = folder / f"{cell.id}.tif"
                    fetch(image, cell.grid, path, max_tile_size=size, max_requests=requests)
                rate = len(cells) / (time.perf_counter() - began)
                rates[label] = max(rates.get(label, 0.0), rate)
        whole = _around(cells)
        began = time.perf_counter()
        fetch(image, whole, folder / "mosaic.tif", max_tile_size=32, max_requests=40)
        mosaic = len(cells) / (time.perf_counter() - began)
    del ee
    shutil.rmtree(folder)
    return {
        "name": "download_geedim",
        "figure": round(ours_rate, 3),
        "unit": "tiles of 507 px a second, ours",
        "against": "geedim cell by cell, its default",
        "against_figure": round(rates["default"], 3),
        "ratio": round(ours_rate / rates["default"], 2),
        "bar": BARS["geedim"],
        "ratio_max_tile_size_32": round(ours_rate / rates["max_tile_size=32"], 2),
        "bar_max_tile_size_32": BARS["geedim_32"],
        "holds": ours_rate >= BARS["geedim"] * rates["default"]
        and ours_rate >= BARS["geedim_32"] * rates["max_tile_size=32"],
        "rate_max_tile_size_32": round(rates["max_tile_size=32"], 3),
        "rate_as_one_raster": round(mosaic, 3),
        "cells": len(cells),
    }


def _around(cells: Sequence[Cell]) -> Any:
    """The grid of a square of cells, without margins."""
    from affine import Affine

    from water_gee.raster import Grid

    first, last = cells[0], cells[-1]
    pixels = first.lattice.pixels
    rows, cols = (last.row - first.row + 1) * pixels, (last.col - first.col + 1) * pixels
    step, degrees = first.lattice.degrees(1), first.lattice.degrees
    corner = (degrees(first.col * pixels), degrees((last.row + 1) * pixels))
    return Grid(first.lattice.crs, Affine(step, 0, corner[0], 0, -step, corner[1]), (rows, cols))


def xee(
    catalog: Path, recipe: Recipe, centre: Any, latency: float, ours_rate: float
) -> dict[str, Any]:
    """All cells as one lazy dataset, loaded by 40 threads."""
    import dask
    import ee
    import xarray

    cells = square(recipe, centre, PEER_CELLS)
    whole = _around(cells)
    with serving(catalog, f"latency={latency}"):
        image = (
            composite.tile_image(recipe).select(list(recipe.features)).set("system:time_start", 0)
        )
        began = time.perf_counter()
        opened = xarray.open_dataset(
            ee.ImageCollection([image]),
            engine="ee",
            crs=whole.crs,
            crs_transform=tuple(whole.transform[:6]),
            shape_2d=(whole.shape[1], whole.shape[0]),
            chunks={"x": 512, "y": 512, "time": 1},
        )
        with dask.config.set(scheduler="threads", num_workers=SLOTS):
            opened.load()
        rate = len(cells) / (time.perf_counter() - began)
    return {
        "name": "download_xee",
        "figure": round(ours_rate, 3),
        "unit": "tiles of 507 px a second, ours",
        "against": "xee, chunks of 512 px, 40 threads, not written",
        "against_figure": round(rate, 3),
        "ratio": round(ours_rate / rate, 2),
        "bar": None,
        "cells": len(cells),
    }


def seed(
    catalog: Path, recipe: Recipe, centre: Any, latency: float, ours_rate: float
) -> dict[str, Any]:
    """Eleven bands of a tile, one after the other, eight tiles at once, the next eight after."""
    import ee

    cells = square(recipe, centre, 16)
    with serving(catalog, f"latency={latency}"):
        image = composite.request_image(recipe, evidence=True)
        names = [*recipe.features, "water", "SWIR2", "clear_count"]

        def fetch(cell: Cell) -> None:
            region = ee.Geometry.Rectangle(list(cell.bounds), None, False)
            grid = cell.grid
            fixed = image.reproject(grid.crs, list(grid.transform[:6]))
            for name in names:
                fixed.select(name).sampleRectangle(region, defaultValue=255).getInfo()

        began = time.perf_counter()
        for first in range(0, len(cells), 8):
            threads = [
                threading.Thread(target=fetch, args=(cell,)) for cell in cells[first : first + 8]
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        rate = len(cells) / (time.perf_counter() - began)
    return {
        "name": "download_seed",
        "figure": round(ours_rate, 3),
        "unit": "tiles of 128 px a second, ours",
        "against": "11 sampleRectangle a tile, 8 threads in batches, not written",
        "against_figure": round(rate, 3),
        "ratio": round(ours_rate / rate, 2),
        "bar": None,
        "cells": len(cells),
    }


# --------------------------------------------------------------------------------------- all


def main() -> int:
    """Run the sides that were asked for."""
    names = ["large", "small", "faults", "cpu", "geedim", "xee", "seed"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sides", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=60, help="times 40 tiles, of each of ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep the season here")
    asked = parser.parse_args()
    missing = [each for each in ("geedim", "xee") if importlib.util.find_spec(each) is None]
    for each in set(missing) & set(asked.sides):
        print(f"{each} is not installed; left out", file=sys.stderr)
    sides = [side for side in asked.sides if side not in missing]
    with tempfile.TemporaryDirectory() as temporary:
        base = (asked.keep or Path(temporary)).absolute()
        season = make_season(base / "season", asked.seed, (1, 1), None)
        catalog = base / "catalog"
        shutil.rmtree(catalog, ignore_errors=True)
        assets = scenes.ingest(catalog, season.scenes)
        scenes.ingest(catalog, [season.dem], dem=True)
        with session.connect(catalog=catalog):
            large = scenes.recipe_for(scenes.describe(assets), {})
        small = large.replace(cell=float(SMALL_CELL), pixels=122)
        west, south, east, north = season.bounds
        centre = ((west + east) / 2, (south + north) / 2)
        tiles, work = SLOTS * asked.rounds, Path(temporary) / "work"
        rates: dict[str, float] = {}

        def of_ours(name: str, recipe: Recipe, latency: float, faults: str) -> dict[str, Any]:
            found = ours(catalog, recipe, centre, tiles, faults, work)
            rates[name] = found["rate"]
            return against_ceiling(name, latency, found)

        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "large": lambda: of_ours("large", large, 2.0, "latency=2"),
            "small": lambda: of_ours("small", small, 0.5, "latency=0.5"),
            "faults": lambda: of_ours("faults", small, 0.5, FAULTS.format(latency=0.5)),
            "cpu": lambda: cpu(catalog, large, centre, 200, work),
            "geedim": lambda: geedim(catalog, large, centre, 2.0, rate_of("large"), work),
            "xee": lambda: xee(catalog, large, centre, 2.0, rate_of("large")),
            "seed": lambda: seed(catalog, small, centre, 0.5, rate_of("small")),
        }

        def rate_of(name: str) -> float:
            if name not in rates:
                runs[name]()
            return rates[name]

        held = True
        for side in sides:
            line = runs[side]() | {
                "seed": asked.seed,
                "versions": {each: metadata.version(each) for each in PACKAGES},
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load": [round(each, 2) for each in os.getloadavg()],
            }
            held &= bool(line.get("holds", True))
            print(json.dumps(line), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
