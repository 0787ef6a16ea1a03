"""A client that deploys a network of one layer: quick to begin, so that it can be killed often.

python deploy_client.py URL TARGET YEARS MAX_PIXELS

It says `begun` on standard output when it is about to look at the service.
"""

from __future__ import annotations

import sys
import types


def network():
    """Water where the sum of features is large: 1 x 1 pixel, softmax over two channels."""
    import numpy as np

    from water_gee.deploy.graph import LayerGraph, Node

    kernel = np.zeros((1, 1, 8, 2), np.float32)
    kernel[..., 0], kernel[..., 1] = -2, 2
    bias = np.array([1.0, -1.0], np.float32)
    return LayerGraph(
        (
            Node("x", "input", (), {"channels": 8}),
            Node(
                "last", "conv", ("x",), {"activation": "linear"}, {"kernel": kernel, "bias": bias}
            ),
            Node("said", "activation", ("last",), {"activation": "softmax"}),
        ),
        "said",
    )


def main() -> None:
    """Deploy, and print the summary."""
    url, target, years, max_pixels, cells, side = sys.argv[1:]
    # Its layers are given: no Keras is needed, whose import takes longer than all the rest.
    backend = types.ModuleType("water_gee.training.backend")
    backend.keras = types.SimpleNamespace(Model=object)
    sys.modules["water_gee.training.backend"] = backend

    from water_gee import session
    from water_gee.deploy.export import deploy_to_gee
    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel

    recipe = Recipe(
        years=(2013,), months=(7,), dem=None, cell=round(0.135 * int(side) / 501, 6),
        pixels=int(side),
    )  # fmt: skip
    trained = TrainedModel(network(), recipe, {"cells": cells.split(",")})
    session.connect(url=url)
    print("begun", flush=True)
    first, _, last = years.partition("-")
    done = deploy_to_gee(
        trained,
        target,
        years=range(int(first), int(last) + 1),
        max_pixels=int(max_pixels),
        in_flight=6,
        progress=False,
    )
    print(*done.assets)
    print(done.summary, file=sys.stderr)


if __name__ == "__main__":
    main()
