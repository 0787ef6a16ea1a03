"""A deployment over years and tiles, with tasks that fail and a client that is killed.

python benchmarks/deployment.py [--years 9] [--cells 4] [--kills 10] [--fail 0.02] [--seed 1]

The emulator is served by a process of its own, the client is `water-gee deploy` in another, which
is sent SIGKILL at random instants and begun again with the same command. At the end every map has
to be there, once and whole. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.newband import NewBand
from water_gee.emulator.values import Projection
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

COLLECTION = "LANDSAT/LC08/C02/T1_L2"
CORNER = (2.97, 45.09)
"""In the lower left cell, degrees east and north."""

TARGET = "projects/local/assets/water"
BANDS = ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6")
LAND, WATER = (0.05, 0.08, 0.09, 0.25, 0.2), (0.03, 0.04, 0.03, 0.02, 0.01)
CLEAR, CLEAR_WATER, CLOUD = 21824, 21952, 22280
PACKAGES = ("earthengine-api", "numpy", "tensorflow")


# ---------------------------------------------------------------------------------- the season


def cells_of(side: int, recipe: Recipe) -> list[Cell]:
    """A square of cells."""
    lattice = Lattice.of(recipe)
    col, row = (lattice.index(degrees) for degrees in CORNER)
    return [
        Cell(col + across, row + down, lattice) for down in range(side) for across in range(side)
    ]


def make_catalog(folder: Path, recipe: Recipe, cells: Sequence[Cell], years: Sequence[int]) -> None:
    """Two scenes a year over the cells: lakes that move, land, some cloud; all of it made up."""
    west, south, east, north = shapely.union_all([cell.polygon for cell in cells]).bounds
    to_utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32631", always_xy=True)
    left, bottom, right, top = to_utm.transform_bounds(west, south, east, north)
    x, y = math.floor(left / 30 - 8) * 30, math.ceil(top / 30 + 8) * 30
    shape = math.ceil((y - bottom) / 30) + 8, math.ceil((right - x) / 30) + 8
    place = Projection("EPSG:32631", (30.0, 0.0, float(x), 0.0, -30.0, float(y)))
    with Catalog.open(folder, create=True) as catalog:
        catalog.ensure_parents(f"{COLLECTION}/any", collection=True)
        for year in years:
            for day, month in ((1, 7), (17, 7)):
                name = f"{COLLECTION}/LC08_196028_{year}{month:02d}{day:02d}"
                moment = int(np.datetime64(f"{year}-{month:02d}-{day:02d}T10:30", "ms").astype(int))
                catalog.add_image(
                    name,
                    [
                        NewBand.of_array(band, values, place, nodata=1 if band == "QA_PIXEL" else 0)
                        for band, values in scene(year, day, shape).items()
                    ],
                    {"CLOUD_COVER": 5.0},
                    start_time=moment,
                    end_time=moment,
                )
    assert recipe.dem is None, "the catalogue has no elevation"


def scene(year: int, day: int, shape: tuple[int, int]) -> dict[str, Array]:
    """The digital numbers of one day."""
    water = forms(year, shape, 40) > 0.55
    cloud = forms(year * 100 + day, shape, 120) > 0.93
    noise = np.random.default_rng(year * 100 + day)
    found = {}
    for band, land, lake in zip(BANDS, LAND, WATER, strict=True):
        reflectance = np.where(water, lake, land) + noise.normal(0, 0.01, shape)
        counts = np.clip((reflectance + 0.2) / 0.0000275, 1, 43_000)
        found[band] = counts.astype(np.uint16)
    qa = np.where(water, CLEAR_WATER, CLEAR)
    found["QA_PIXEL"] = np.where(cloud, CLOUD, qa).astype(np.uint16)
    return found


def forms(seed: int, shape: tuple[int, int], size: int) -> Array:
    """A smooth field from 0 to 1 with forms of about `size` pixels."""
    coarse = np.random.default_rng(seed).random(
        (shape[0] // size + 2, shape[1] // size + 2), np.float32
    )
    rows, cols = (
        np.linspace(0, n - 1.001, side) for n, side in zip(coarse.shape, shape, strict=True)
    )
    r, c = rows.astype(int), cols.astype(int)
    dr, dc = (rows - r)[:, None], (cols - c)[None, :]
    north = coarse[r][:, c] * (1 - dc) + coarse[r][:, c + 1] * dc
    south = coarse[r + 1][:, c] * (1 - dc) + coarse[r + 1][:, c + 1] * dc
    mixed: Array = north * (1 - dr) + south * dr
    return mixed


# ---------------------------------------------------------------------------------- the model


def make_model(path: Path, recipe: Recipe, cells: Sequence[Cell], seed: int) -> int:
    """The network of 38,514 parameters with random weights, as often on either side of 0.5.

    Returns:
        How many parameters it has.
    """
    from water_gee.deploy.service import fetch
    from water_gee.imagery.composite import feature_image
    from water_gee.training.model import TrainedModel, save
    from water_gee.training.network import pixel_cnn

    features = fetch(feature_image(recipe), cells[0].grid.window(100, 100, 120, 120), "features")
    network = pixel_cnn(len(recipe.features))
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        for variable in layer.weights:
            inputs = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 20
            variable.assign(generator.normal(0, math.sqrt(2 / inputs), variable.shape))
    said = np.asarray(network(np.nan_to_num(features).transpose(1, 2, 0)[None]))
    logit = np.log(said[..., 0] / said[..., 1])
    last, gain = network.layers[-1], 3 / logit.std()
    last.kernel.assign(last.kernel.numpy() * gain)
    water, land = last.bias.numpy() * gain
    last.bias.assign([water - np.median(logit) * gain, land])
    save(TrainedModel(network, recipe, {"cells": [cell.id for cell in cells]}), path)
    return int(network.count_params())


# ---------------------------------------------------------------------------------- the run


@contextlib.contextmanager
def served(catalog: Path, fail: float, seed: int) -> Iterator[str]:
    """An emulator in a process of its own; yields its address."""
    command = [sys.executable, "-m", "water_gee.emulator", "--catalog", str(catalog)]
    command += ["--fail-tasks", str(fail), "--seed", str(seed)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.stdin.close()
        process.wait(120)
        process.stdout.close()


@dataclass
class Outcome:
    """What became of a client that was killed and begun again.

    Attributes:
        kills: After how many seconds it was killed, each time.
        seconds: From the first start to the end of the last client.
        said: What the last one wrote on standard error.
        listed: What it wrote on standard output: the maps.
        status: Its exit status.
    """

    kills: list[float] = field(default_factory=list)
    seconds: float = 0.0
    said: str = ""
    listed: list[str] = field(default_factory=list)
    status: int = 0


def run_and_kill(
    command: Sequence[str], record: Path, delays: Sequence[float], log: Path
) -> Outcome:
    """Begin a client again and again, kill it after each delay, and let the last one end."""
    environment = {**os.environ, "WATER_GEE_TASKS": str(record), "TF_CPP_MIN_LOG_LEVEL": "3"}
    outcome, begun = Outcome(), time.monotonic()
    for delay in [*delays, None]:
        with log.open("w+") as errors:
            client = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
            try:
                out, _ = client.communicate(timeout=delay)
            except subprocess.TimeoutExpired:
                client.kill()  # SIGKILL
                client.communicate()
                outcome.kills.append(round(float(delay or 0), 2))
                continue
            errors.seek(0)
            outcome.said, outcome.listed = errors.read(), out.split()
            outcome.status = client.returncode
            break
    outcome.seconds = time.monotonic() - begun
    return outcome


@dataclass
class Audit:
    """What is in a catalogue after a deployment.

    Attributes:
        assets: Images below the target.
        incomplete: Of them, those that are not whole: a band, a property or a row missing.
        twice: Maps for which more than one task succeeded.
        leftovers: Files and folders that belong to no asset.
        tasks: How many tasks there were.
        failed: Of them, those that failed.
        open: Of them, those that have not ended.
    """

    assets: list[str]
    incomplete: list[str]
    twice: list[str]
    leftovers: list[str]
    tasks: int
    failed: int
    open: int


def audit(catalog: Path, bands: Sequence[str], shapes: dict[str, tuple[int, int]]) -> Audit:
    """Look at the files and tables of a catalogue that nobody serves any more.

    Args:
        catalog: Its folder.
        bands: Of each map.
        shapes: Asset id -> `(row, col)` that it has to have.
    """
    import rasterio

    with Catalog.open(catalog) as opened:
        records = opened.children(TARGET)
        incomplete = []
        for one in records:
            whole = [band.name for band in one.bands] == list(bands)
            whole &= "water_gee_job" in one.properties and one.start_time is not None
            for band in one.bands:
                with rasterio.open(opened.path / str(one.folder) / band.file) as dataset:
                    whole &= dataset.shape == shapes.get(one.id)
                    dataset.read(1)
            if not whole:
                incomplete.append(one.id)
        named = {str(opened.path / str(one.folder)) for one in records}
        folders = {str(path) for path in (opened.pixels / TARGET).glob("*/@*")}
        leftovers = sorted(folders - named) + [str(path) for path in opened.staging.iterdir()]
        rows = (
            opened.database.connection()
            .execute("SELECT description, state FROM operations")
            .fetchall()
        )
    good = [row["description"] for row in rows if row["state"] == "SUCCEEDED"]
    return Audit(
        [one.id for one in records],
        incomplete,
        sorted({name for name in good if good.count(name) > 1}),
        leftovers,
        len(rows),
        sum(row["state"] == "FAILED" for row in rows),
        sum(row["state"] not in ("SUCCEEDED", "FAILED", "CANCELLED") for row in rows),
    )


def expected_shapes(
    recipe: Recipe, cells: Sequence[Cell], years: Sequence[int]
) -> dict[str, tuple[int, int]]:
    """Asset id -> `(row, col)`, one tile a cell, worked out without the plan's own code."""
    found = {}
    for year in years:
        for cell in cells:
            found[f"{TARGET}/{year}_{cell.id.replace('.', 'p')}"] = (recipe.pixels, recipe.pixels)
    return found


def agreement(url: str, model: Path, assets: Sequence[str], recipe: Recipe) -> float:
    """The largest difference between deployed probabilities and Keras, a window of each asset."""
    import ee

    from water_gee import session
    from water_gee.deploy.service import fetch
    from water_gee.imagery.composite import feature_image
    from water_gee.imagery.grid import cell_from_id
    from water_gee.mapping.predict import classify
    from water_gee.training.model import load

    network, worst = load(model).network, 0.0
    with session.connect(url=url):
        for asset in assets:
            year, name = re.fullmatch(r".*/(\d+)_(.*)", asset).groups()  # type: ignore[union-attr]
            cell = cell_from_id(name.replace("p", "."), recipe)
            middle = recipe.pixels // 2 - 35
            grid = cell.grid.window(middle, middle, 70, 70)
            features = fetch(feature_image(recipe.replace(years=(int(year),))), grid, "features")
            _, expected = classify(network, features)
            found = fetch(ee.Image(asset).select("probability"), grid, asset)[0]
            inner = np.s_[3:-3, 3:-3]
            seen = np.isfinite(expected[inner])
            if not seen.any() or not (seen == np.isfinite(found[inner])).all():
                return math.inf
            worst = max(worst, float(np.abs(expected[inner] - found[inner])[seen].max()))
    return worst


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 0 where the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=9)
    parser.add_argument("--cells", type=int, default=4, help="along each side of the area")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--longest", type=float, default=90.0, help="seconds until a kill, at most")
    parser.add_argument("--fail", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--form", default="auto")
    parser.add_argument("--pixels", type=int, default=501, help="along each side of a cell")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        line = measure(options, Path(folder))
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if line["holds"] else 1


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make everything, run it, and say how it went."""
    from water_gee import session

    years = list(range(2013, 2013 + options.years))
    cell = 0.135 * options.pixels / 501
    recipe = Recipe(
        years=(years[0],), months=(7,), dem=None, cell=round(cell, 6), pixels=options.pixels
    )
    cells = cells_of(options.cells, recipe)
    catalog, model = folder / "catalog", folder / "model.keras"
    make_catalog(catalog, recipe, cells, years)
    with session.connect(catalog=catalog):
        parameters = make_model(model, recipe, cells, options.seed)
    dice = random.Random(options.seed)
    delays = [dice.uniform(0.5, options.longest) for _ in range(options.kills)]
    with served(catalog, options.fail, options.seed) as url:
        command = [
            sys.executable, "-m", "water_gee", "deploy", str(model), TARGET,
            "--years", f"{years[0]}-{years[-1]}", "--max-pixels", str(recipe.pixels**2),
            "--form", options.form, "--url", url,
        ]  # fmt: skip
        outcome = run_and_kill(command, folder / "tasks.sqlite", delays, folder / "log")
        shapes = expected_shapes(recipe, cells, years)
        there = [name for name in sorted(shapes) if name in set(outcome.listed)]
        worst = agreement(url, model, there[:: max(1, len(there) // options.years)], recipe)
    found = audit(catalog, ["water", "probability"], shapes)
    holds = (
        outcome.status == 0
        and sorted(found.assets) == sorted(shapes) == sorted(outcome.listed)
        and not (found.incomplete or found.twice or found.leftovers or found.open)
        and len(outcome.kills) == options.kills
        and worst <= 1e-5
    )
    return {
        "name": "deployment",
        "figure": len(found.assets) - len(found.incomplete),
        "unit": "maps that stand, once and whole",
        "against": "maps asked for",
        "against_figure": len(shapes),
        "ratio": round((len(found.assets) - len(found.incomplete)) / len(shapes), 4),
        "bar": 1.0,
        "holds": bool(holds),
        "parameters": parameters,
        "pixels": len(shapes) * recipe.pixels**2,
        "tasks": found.tasks,
        "tasks_failed": found.failed,
        "tasks_open": found.open,
        "made_twice": len(found.twice),
        "half_made": len(found.incomplete),
        "leftovers": len(found.leftovers),
        "killed_after_s": outcome.kills,
        "seconds": round(outcome.seconds, 1),
        "largest_difference": worst,
        "status": outcome.status,
        "summary": outcome.said.strip().splitlines()[-1:] or "",
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
