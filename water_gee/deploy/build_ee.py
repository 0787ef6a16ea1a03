"""Layer graph -> `ee.Image`: the network as convolutions that run in Earth Engine.

The form is the published one, one 3 x 3 `ee.Kernel.fixed` for each pair of channels, made shallow:
the products of a filter stand side by side in one image and are summed by one `reduce`, instead of
by a chain of `add` that overruns the client's recursion and the service's nesting limit. A 1 x 1
layer is a sum of bands times constants.

Nothing undocumented is relied upon. Every input pixel is unmasked first, so no convolution meets a
masked pixel or an edge; whether a pixel's window was observed is computed beside the network and
masks the result at the end. Kernels are cross-correlated, as `parity.probe_orientation` asks of the
connected service before anything is exported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee

from water_gee.deploy.graph import INPUT, LayerGraph
from water_gee.deploy.kernels import KERNELS, cat
from water_gee.deploy.layers import extents, margins
from water_gee.deploy.passes import simplify
from water_gee.errors import DeployError
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

EE_FUNCTIONS = frozenset(
    {
        "Image.add", "Image.cat", "Image.constant", "Image.convolve", "Image.divide", "Image.erf",
        "Image.exp", "Image.gt", "Image.gte", "Image.log", "Image.mask", "Image.max", "Image.min",
        "Image.multiply", "Image.reduce", "Image.reduceNeighborhood", "Image.rename",
        "Image.select", "Image.sqrt", "Image.subtract", "Image.tanh", "Image.toFloat",
        "Image.toUint8", "Image.unmask", "Image.updateMask", "Kernel.fixed", "Reducer.max",
        "Reducer.mean", "Reducer.min", "Reducer.sum",
    }
)  # fmt: skip
"""Everything that a converted network calls, by the names on the wire."""

WATER_BAND = "water"
PROBABILITY_BAND = "probability"

MAX_REQUEST_BYTES = 10_485_760
"""The service's limit of a request body (developers.google.com/earth-engine/guides/usage)."""

MAX_NESTING = 100
"""How deep JSON may nest; from a comment in the client's own serialiser."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large an expression is.

    Attributes:
        bytes: Of its JSON, as the client sends it.
        calls: Function calls in it.
        nesting: Its deepest nesting of JSON objects and arrays.
    """

    bytes: int
    calls: int
    nesting: int


def to_ee(
    model: TrainedModel | LayerGraph | Path | str | Any,
    image: ee.Image | None = None,
    *,
    probability: bool = True,
) -> ee.Image:
    """Rewrite a network as an Earth Engine image.

    The image is computed in whatever pixels are asked of it, and the network was trained in those
    of its recipe: export it in these, as `deploy_to_gee` does.

    Args:
        model: A trained model or its file; with `image` given, also a bare Keras network or a
            `LayerGraph`. Its output is a softmax over (water, land), or one sigmoid.
        image: The features. By default the composite of the model's own recipe.
        probability: Whether to add the band `probability`.

    Returns:
        Band `water`, uint8, 1 where the probability of water is 0.5 or more, else 0; and
        `probability`, float, of water. Masked wherever one pixel of the network's window is masked
        in one of the features.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
        DeployError: The network's output is no probability, or nothing says what its features are.
        ModelError: No model there.
    """
    graph, features = _network_and_features(model, image)
    graph = simplify(graph)
    _check_output(graph)
    rows, cols = margins(graph)
    raw = features.toFloat()
    water = network_image(graph, raw.unmask(0, False)).select([0], [PROBABILITY_BAND])
    bands = [water.gte(0.5).toUint8().rename([WATER_BAND])]
    if probability:
        bands.append(water.toFloat())
    return cat(bands).updateMask(_window_observed(raw, rows, cols))


def network_image(graph: LayerGraph, features: ee.Image) -> ee.Image:
    """The network's output, one float band for each channel, nothing masked.

    Args:
        graph: Any network of which every layer has an Earth Engine rule.
        features: One float band for each input channel, in order, unmasked everywhere.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    extents(graph)
    made: dict[str, ee.Image] = {}
    for node in graph:
        inputs = [features] if node.kind == INPUT else [made[name] for name in node.inputs]
        made[node.name] = KERNELS[node.kind](node, inputs)
    return made[graph.output]


def read_graph(network: Any) -> LayerGraph:
    """The graph of a Keras network; a graph is returned as it is.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    if isinstance(network, LayerGraph):
        return network
    from water_gee.deploy import read_keras  # loads TensorFlow

    return read_keras.read(network)


def measure(expression: Mapping[str, Any]) -> Size:
    """Measure an expression as `ee.serializer.encode` gives it."""
    calls, deepest = 0, 0
    stack: list[tuple[Any, int]] = [(expression, 1)]
    while stack:
        value, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            calls += "functionName" in value or "functionReference" in value
            children: list[Any] = list(value.values())
        else:
            children = list(value)
        stack.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return Size(len(json.dumps(expression)), calls, deepest)


def _network_and_features(
    model: TrainedModel | LayerGraph | Path | str | Any, image: ee.Image | None
) -> tuple[LayerGraph, ee.Image]:
    """The graph, and an image that has its features as bands in order, named `f0`, `f1`, ..."""
    if isinstance(model, (TrainedModel, Path, str)):
        trained = resolve(model)
        graph = read_graph(trained.network)
        if image is None:
            from water_gee.imagery.composite import feature_image

            image = feature_image(trained.recipe)
        selectors: list[Any] = list(trained.recipe.features)
    else:
        graph = read_graph(model)
        selectors = list(range(graph.input.attributes["channels"]))
        if image is None:
            raise DeployError(
                "a bare network does not say how its features are made; give the image of them, "
                "or a model that water_gee.train() made"
            )
    # Arithmetic matches bands by name where names agree: these agree with no others.
    names = [f"f{index}" for index in range(len(selectors))]
    return graph, ee.Image(image).select(selectors, names)


def _check_output(graph: LayerGraph) -> None:
    """Refuse a network of which the first channel is no probability of water."""
    last = graph[graph.output]
    function = last.attributes.get("activation") if last.kind == "activation" else None
    channels = extents(graph)[graph.output].channels
    if (function, channels) not in {("softmax", 2), ("sigmoid", 1)}:
        raise DeployError(
            f"the network ends in {last.name!r} ({function or last.kind}, {channels} channels); "
            "its output must be a softmax over (water, land) or one sigmoid"
        )


def _window_observed(features: ee.Image, rows: int, cols: int) -> ee.Image:
    """One band, 1 where all features of all pixels of the window are observed, else 0."""
    observed = features.mask().reduce(ee.Reducer.min()).gt(0).unmask(0, False).toFloat()
    height, width = 2 * rows + 1, 2 * cols + 1
    ones = ee.Kernel.fixed(weights=[[1] * width] * height)
    return observed.convolve(ones).gte(height * width - 0.5)
