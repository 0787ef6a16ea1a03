"""How large is the 38,514-parameter network as an Earth Engine expression, in each form?

python benchmarks/graph_size.py [--digits N] [--model M.keras]

Prints one line of JSON for each form. Nothing is sent, no service is needed: expressions are built
at Python's default recursion limit and encoded as the client encodes them. The published graph of
this network's forerunner stands at 8.7 MB and 50,195 calls.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from water_gee import session
from water_gee.deploy.build_ee import FORMS, prepared, table_rules, to_ee, water_map
from water_gee.deploy.costs import multiply_adds
from water_gee.deploy.limits import Size, measure
from water_gee.deploy.matrix import array_bytes
from water_gee.training.model import load
from water_gee.training.network import pixel_cnn

PUBLISHED = Size(bytes=8_700_000, calls=50_195, nesting=0)
"""The seed's graph of the same network."""

RECURSION_LIMIT = 1000
BARS = {
    "kernels": {"bytes": 2_200_000, "nesting": 70},
    "matrix": {"bytes": 600_000, "calls": 130, "nesting": 70},
    "assets": {"bytes": 20_000, "nesting": 70},
}
"""What each form may take at most."""

ASSET = "projects/local/assets/features"
TABLE = "projects/local/assets/water_weights"
PACKAGES = ("earthengine-api", "keras", "numpy")


def trained(seed: int) -> Any:
    """Random weights of full precision, biases too: zeros would be left out."""
    import keras

    keras.utils.set_random_seed(seed)
    network = pixel_cnn(8, 8)
    for variable in network.weights:
        variable.assign(keras.random.normal(variable.shape, stddev=0.2))
    return network


def built(graph: Any, form: str) -> tuple[Size, float]:
    """The size of the map over a stored image, and the seconds it took to write it out."""
    import ee

    start = time.perf_counter()
    features = ee.Image(ASSET)
    if form == "assets":
        image = water_map(graph, features, table_rules(graph, TABLE))
    else:
        image = to_ee(graph, features, form=form)
    size = measure(ee.serializer.encode(image, for_cloud_api=True))
    return size, round(time.perf_counter() - start, 2)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digits", type=int, help="round the weights to so many digits")
    parser.add_argument("--model", type=Path, help="a trained model instead of random weights")
    options = parser.parse_args(arguments)
    network = load(options.model).network if options.model else trained(options.seed)
    graph = prepared(network, options.digits)
    if sys.getrecursionlimit() != RECURSION_LIMIT:
        raise SystemExit(f"the recursion limit is {sys.getrecursionlimit()}, not Python's default")
    held = True
    with session.building():
        for form in FORMS:
            size, seconds = built(graph, form)
            bars = BARS[form]
            figures = {"bytes": size.bytes, "calls": size.calls, "nesting": size.nesting}
            holds = all(figures[name] <= bar for name, bar in bars.items())
            held &= holds
            line = {
                "name": "graph_size",
                "form": form,
                "figure": size.bytes,
                "unit": "bytes of JSON as the client sends it",
                "against": "the published graph of the same network",
                "against_figure": PUBLISHED.bytes,
                "ratio": size.bytes / PUBLISHED.bytes,
                "bar": bars,
                "holds": holds,
                "calls": size.calls,
                "published_calls": PUBLISHED.calls,
                "nesting": size.nesting,
                "array_bytes_per_pixel": (
                    0 if form == "kernels" else max(array_bytes(node) for node in graph)
                ),
                "multiply_adds_per_pixel": multiply_adds(graph),
                "parameters": graph.parameters,
                "digits": options.digits,
                "seconds": seconds,
                "recursion_limit": sys.getrecursionlimit(),
                "versions": {name: metadata.version(name) for name in PACKAGES},
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "load_average": [round(load, 2) for load in os.getloadavg()],
            }
            print(json.dumps(line), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
