"""Keras, NumPy and the serialised graph in the emulator: the same probabilities of 10^6 pixels?

python benchmarks/parity.py [--form kernels|matrix|assets|all] [--pixels N] [--skip-bands 7]
                            [--model M.keras --features STACK.tif] [--digits N]

Prints one line of JSON for each form. Without a model the weights are random and the last layer is
balanced, so that probabilities spread over [0, 1]. For `assets` the weights are stored in a table
of the emulator first, and read from it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ee
import numpy as np

from water_gee import raster
from water_gee.deploy import weights
from water_gee.deploy.build_ee import FORMS, prepared, to_ee
from water_gee.deploy.limits import measure
from water_gee.deploy.parity import numpy_probability
from water_gee.deploy.service import fetch
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.ingest import ingest
from water_gee.emulator.service import Service
from water_gee.emulator.transport import LOCAL_URL, InProcessTransport
from water_gee.imagery.grid import Cell
from water_gee.imagery.recipe import FEATURES
from water_gee.mapping.predict import Classifier
from water_gee.training.model import load
from water_gee.training.network import pixel_cnn
from water_gee.windows import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from water_gee.deploy.graph import LayerGraph

    Array = npt.NDArray[Any]
    FloatArray = npt.NDArray[np.float32]

T = TypeVar("T")

BAR = 1e-5
TIE = 1e-6
ASSET = "projects/local/assets/features"
TABLE = "projects/local/assets/weights"
ASKED = 500  # side of the windows asked of the emulator
PACKAGES = ("earthengine-api", "keras", "tensorflow", "numpy")


def random_network(skip_bands: int, seed: int) -> Any:
    """He weights, some biases, and a last layer that is decided, but as often for either side."""
    network = pixel_cnn(8, skip_bands)
    generator = np.random.default_rng(seed)
    for layer in network.layers:
        for variable in layer.weights:
            inputs = np.prod(variable.shape[:-1]) if len(variable.shape) > 1 else 20
            variable.assign(generator.normal(0, math.sqrt(2 / inputs), variable.shape))
    said = np.asarray(network(random_features(100, 100, seed).transpose(1, 2, 0)[None]))
    logit = np.log(said[..., 0] / said[..., 1])
    last, gain = network.layers[-1], 3 / logit.std()
    last.kernel.assign(last.kernel.numpy() * gain)
    water, land = last.bias.numpy() * gain
    last.bias.assign([water - np.median(logit) * gain, land])
    return network


def random_features(rows: int, cols: int, seed: int) -> FloatArray:
    """Reflectances, indices and heights in their own ranges: broad forms and noise."""
    generator = np.random.default_rng(seed)
    down, across = np.mgrid[:rows, :cols] / 40.0
    low = np.array([0, 0, 0, 0, 0, -1, -2, 0])[:, None, None]
    high = np.array([0.25, 0.3, 0.3, 0.5, 0.4, 1, 3, 0.8])[:, None, None]
    waves = generator.uniform(0.2, 2, (8, 4))
    forms = np.stack([np.sin(a * down + c) * np.sin(b * across + d) for a, b, c, d in waves])
    shape = 0.5 + 0.3 * forms + generator.normal(0, 0.15, (8, rows, cols))
    return (low + (high - low) * shape).astype(np.float32)


def connect(folder: str, values: FloatArray) -> Grid:
    """The emulator in this process, over one asset of these features; returns their grid."""
    cell = Cell(790, 387)
    grid = Grid(cell.grid.crs, cell.grid.transform, values.shape[1:])
    stack = Path(folder) / "features.tif"
    raster.write(stack, values, grid, nodata=math.nan, names=FEATURES[: len(values)])
    ingest(Path(folder) / "catalog", [stack], asset_id=ASSET)
    from google.auth.credentials import AnonymousCredentials

    ee.deprecation.deprecated_assets = {"_": None}
    ee.Initialize(
        credentials=AnonymousCredentials(),
        project="local",
        url=LOCAL_URL,
        http_transport=InProcessTransport(Service(Catalog.open(Path(folder) / "catalog"))),
    )
    return grid


def emulated(image: ee.Image, grid: Grid, halo: int) -> FloatArray:
    """Class and probability of every pixel but the halo, asked for in windows."""
    rows, cols = grid.shape[0] - 2 * halo, grid.shape[1] - 2 * halo
    out = np.empty((2, rows, cols), np.float32)
    for row in range(0, rows, ASKED):
        for col in range(0, cols, ASKED):
            height, width = min(ASKED, rows - row), min(ASKED, cols - col)
            window = grid.window(row + halo, col + halo, height, width)
            part = fetch(image, window, "the network")
            out[:, row : row + height, col : col + width] = part
    return out


def in_numpy(graph: LayerGraph, values: FloatArray, halo: int) -> Array:
    """The layer graph in float64, in strips."""
    rows = values.shape[1] - 2 * halo
    strips = [
        numpy_probability(graph, values[:, row : min(row + 100, rows) + 2 * halo])
        for row in range(0, rows, 100)
    ]
    return np.concatenate(strips)


def largest(a: Array, b: Array) -> float:
    """The largest difference; infinite where only one of them has a pixel."""
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return math.inf
    return float(np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))


def timed(function: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    start = time.perf_counter()
    value = function(*arguments)
    return value, round(time.perf_counter() - start, 2)


def stored(graph: LayerGraph) -> str:
    """A table of the weights, once its task has ended."""
    task = weights.store_weights(graph, TABLE)
    while task.active():
        time.sleep(0.1)
    state = task.status()
    if state["state"] != "COMPLETED":
        raise SystemExit(f"the weights were not stored: {state}")
    return TABLE


def in_keras(network: Any, values: FloatArray) -> tuple[Array, Array, int, float]:
    """Class, probability, halo and seconds."""
    classifier = Classifier(network)
    halo = classifier.halo
    inner = np.s_[halo:-halo, halo:-halo]
    (water, probability), seconds = timed(classifier, values)
    return water[inner], probability[inner], halo, seconds


def run_form(graph: LayerGraph, form: str, grid: Grid, halo: int) -> tuple[FloatArray, dict]:
    """Class and probability as the emulator has them, and what the expression took."""
    image, build_seconds = timed(
        lambda: to_ee(
            graph,
            ee.Image(ASSET),
            form=form,
            weights_asset=stored(graph) if form == "assets" else None,
        )
    )
    expression, encode_seconds = timed(ee.serializer.encode, image)
    size = measure(expression)
    served, emulator_seconds = timed(emulated, image, grid, halo)
    return served, {
        "json_bytes": size.bytes,
        "calls": size.calls,
        "nesting": size.nesting,
        "seconds": {
            "build": build_seconds,
            "encode": encode_seconds,
            "emulator": emulator_seconds,
        },
    }


def compare(
    network: Any, values: FloatArray, forms: list[str], digits: int | None
) -> Iterator[dict[str, Any]]:
    """Run Keras and NumPy once and each form; yield what there is to say of each."""
    graph = prepared(network, digits)
    water, keras, halo, keras_seconds = in_keras(network, values)
    numpy, numpy_seconds = timed(in_numpy, graph, values, halo)
    seen = water != 255
    clear = seen & (np.abs(keras - 0.5) > TIE)
    with tempfile.TemporaryDirectory() as folder:
        grid = connect(folder, values)
        for form in forms:
            served, facts = run_form(graph, form, grid, halo)
            facts["seconds"] |= {"keras": keras_seconds, "numpy": numpy_seconds}
            yield {
                "form": form,
                "figure": largest(keras, served[1]),
                "numpy_to_keras": largest(keras, numpy),
                "numpy_to_emulator": largest(numpy, served[1]),
                "equal_classes": float(np.mean(served[0][clear] == water[clear])),
                "quantiles": [
                    round(float(q), 4) for q in np.nanquantile(keras, (0.05, 0.25, 0.5, 0.75, 0.95))
                ],
                "ties": int((seen & ~clear).sum()),
                "pixels": int(seen.sum()),
                "not_observed": int((~seen).sum()),
                "undecided": int(((keras > 0.02) & (keras < 0.98)).sum()),
                "water_fraction": round(float(water[seen].mean()), 4),
                "parameters": graph.parameters,
                "digits": digits,
                **facts,
            }
        ee.Reset()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--form", choices=(*FORMS, "all"), default="kernels")
    parser.add_argument("--pixels", type=int, default=1_000_000)
    parser.add_argument("--skip-bands", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digits", type=int, help="round the weights to so many digits")
    parser.add_argument("--model", type=Path, help="a trained model instead of random weights")
    parser.add_argument("--features", type=Path, help="a stack of features instead of random ones")
    options = parser.parse_args(arguments)
    if options.model:
        network = load(options.model).network
    else:
        network = random_network(options.skip_bands, options.seed)
    if options.features:
        values = raster.read(options.features).values.astype(np.float32)
    else:
        # A little more than asked for: the windows around holes are not classified.
        side = math.ceil(math.sqrt(1.004 * options.pixels)) + 6
        values = random_features(side, side, options.seed + 1)
        holes = np.random.default_rng(options.seed + 2).integers(0, side, (max(side // 40, 1), 2))
        values[:, holes[:, 0], holes[:, 1]] = np.nan
    random = options.model is None and options.features is None
    forms = list(FORMS) if options.form == "all" else [options.form]
    held = True
    for facts in compare(network, values, forms, options.digits):
        held &= report(facts, random)
    return 0 if held else 1


def report(facts: dict[str, Any], random: bool) -> bool:
    """Print the line of one form; say whether it holds."""
    worst = max(facts["figure"], facts["numpy_to_keras"], facts["numpy_to_emulator"])
    against = facts["numpy_to_keras"]
    line = {
        "name": "parity",
        "form": facts.pop("form"),
        "figure": facts.pop("figure"),
        "unit": "largest difference in probability, emulator to Keras",
        "against": "largest difference, NumPy (float64) to Keras",
        "against_figure": against,
        "bar": BAR,
        "equal_classes_bar": 1.0,
        "random": random,
        **facts,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
    line["ratio"] = line["figure"] / against if against else None
    line["holds"] = worst <= BAR and facts["equal_classes"] == 1.0
    print(json.dumps(line), flush=True)
    return bool(line["holds"])


if __name__ == "__main__":
    sys.exit(main())
