"""Layer graph -> `ee.Image`: the network as an expression that runs in Earth Engine.

It can be written in three forms (`to_ee`): `kernels.py`, `matrix.py`, and the latter with weights
from a table (`weights.py`).

Nothing undocumented is relied upon. Every input pixel is unmasked first, so no convolution meets a
masked pixel or an edge; whether a pixel's window was observed is computed beside the network and
masks the result at the end. Kernels are cross-correlated, as `parity.probe_orientation` asks of the
connected service before anything is exported.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee

from water_gee.deploy import matrix, read_h5, read_sklearn, trees, weights
from water_gee.deploy.graph import INPUT, LayerGraph
from water_gee.deploy.kernels import KERNELS, cat
from water_gee.deploy.layers import extents, needed, neutral
from water_gee.deploy.limits import MAX_NESTING, MAX_REQUEST_BYTES, measure
from water_gee.deploy.passes import simplify
from water_gee.errors import DeployError
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from water_gee.deploy.graph import Node
    from water_gee.deploy.limits import Size

    Rule = Callable[[Node, Sequence[ee.Image]], ee.Image]

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
"""Everything that a network in the form `kernels` calls, by the names on the wire; the others call
`matrix.FUNCTIONS` and `weights.FUNCTIONS` besides."""

WATER_BAND = "water"
PROBABILITY_BAND = "probability"

RESERVE_BYTES = 65_536
"""Kept free in a request for what an export puts around the expression: region, properties."""

AUTO = "auto"
FORMS = ("kernels", "matrix", "assets")
"""How a network can be written, in the order in which `auto` tries them."""

RULES: Mapping[str, Mapping[str, Rule]] = {"kernels": KERNELS, "matrix": matrix.MATRIX}
"""Form -> rules, for those that hold the weights themselves."""

_SMALL = 50_000
"""Weights up to which nothing is measured: at some 60 bytes each they fit in any form."""

_LEAST_BYTES = {"kernels": 30, "matrix": 4}
"""Bytes that a weight takes at least; what cannot fit is not even written out."""


def to_ee(
    model: TrainedModel | LayerGraph | Path | str | Any,
    image: ee.Image | None = None,
    *,
    form: str = AUTO,
    probability: bool = True,
    digits: int | None = None,
    weights_asset: str | None = None,
    same_as_valid: bool = False,
) -> ee.Image:
    """Rewrite a network as an Earth Engine image.

    The image is computed in whatever pixels are asked of it, and the network was trained in those
    of its recipe: export it in these, as `deploy_to_gee` does.

    Args:
        model: A trained model or its file; with `image` given, also a bare Keras network, a Keras 2
            file (`.h5`), a `LayerGraph`, a network of scikit-learn (`read_sklearn.read`) or a model
            of trees (`trees.trees_to_ee`). Its output is a softmax over (water, land), or one
            sigmoid.
        image: The features. By default the composite of the model's own recipe.
        form: How the network is written. `kernels`: one kernel for each pair of channels, the
            published form. `matrix`: one product of matrices a layer, a quarter of the size.
            `assets`: the same with the weights in a table, for a request of some kilobytes.
            `auto`: the first of these that the service takes.
        probability: Whether to add the band `probability`.
        digits: Significant digits to round the weights to; by default they are exact.
        weights_asset: The table of the weights, made by `weights.store_weights`; asked for by
            `assets`, and used by `auto` where nothing else fits.
        same_as_valid: Treat `same` padding as `valid`, see `read_keras.read`; it is refused
            otherwise.

    Returns:
        Band `water`, uint8, 1 where the probability of water is 0.5 or more, else 0; and
        `probability`, float, of water. Masked wherever one pixel of the network's window is masked
        in one of the features; of one that sees farther than 7 x 7 and was trained here, of those.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
        DeployError: The network's output is no probability, nothing says what its features are,
            the expression is larger than the service takes, or there is no table of this network's
            weights.
        ModelError: No model there.
    """
    if form not in (AUTO, *FORMS):
        raise DeployError(f"no form {form!r}; there are {', '.join((AUTO, *FORMS))}")
    if trees.is_tree_model(model):
        if form != AUTO or digits is not None or weights_asset is not None:
            raise DeployError(
                "form, digits and weights_asset are for networks, and this is a model of trees; "
                "leave them out, or see water_gee.deploy.trees.trees_to_ee"
            )
        return trees.trees_to_ee(model, image, probability=probability)
    network, features = features_of(model, image, same_as_valid=same_as_valid)
    graph = prepared(network, digits)
    _check_output(graph)
    if form == "assets" or (form == AUTO and not _may_fit(graph, "matrix")):
        return _from_table(graph, features, probability, weights_asset)
    for name in ("kernels", "matrix") if form == AUTO else (form,):
        if not _may_fit(graph, name):
            continue
        made = water_map(graph, features, RULES[name], probability=probability)
        if graph.parameters <= _SMALL or fits(measure(_encoded(made))):
            return made
    if form == AUTO:
        return _from_table(graph, features, probability, weights_asset)
    raise DeployError(
        f"in the form {form!r} the network takes more than the {MAX_REQUEST_BYTES:,} bytes of a "
        "request; give form='matrix', round the weights (digits=4), or store them with "
        "water_gee.deploy.weights.store_weights and give form='assets'"
    )


def prepared(model: Any, digits: int | None = None, *, same_as_valid: bool = False) -> LayerGraph:
    """The simplified graph that expressions are made of, its weights rounded if asked.

    Args:
        model: A trained model or its file, a Keras network or a Keras 2 file, or a `LayerGraph`.
        digits: Significant digits.
        same_as_valid: As `to_ee` has it.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
    """
    if isinstance(model, (TrainedModel, Path, str)) and not read_h5.is_h5(model):
        model = resolve(model).network
    return simplify(read_graph(model, same_as_valid=same_as_valid), digits=digits)


def water_map(
    graph: LayerGraph,
    features: ee.Image,
    rules: Mapping[str, Rule],
    *,
    probability: bool = True,
) -> ee.Image:
    """The map of a simplified network by some rules; see `to_ee` for its bands and mask."""
    rows, cols = needed(graph)
    raw = features.toFloat()
    filled = _filled(raw, neutral(graph))
    water = run_rules(graph, filled, rules).select([0], [PROBABILITY_BAND])
    bands = [water.gte(0.5).toUint8().rename([WATER_BAND])]
    if probability:
        bands.append(water.toFloat())
    return cat(bands).updateMask(_window_observed(raw, rows, cols))


def _from_table(
    graph: LayerGraph, features: ee.Image, probability: bool, weights_asset: str | None
) -> ee.Image:
    if weights_asset is None:
        raise DeployError(
            "the form 'assets' reads the weights from a table: store it with "
            "water_gee.deploy.weights.store_weights(model, ASSET_ID), wait for its task, and give "
            "weights_asset=ASSET_ID"
        )
    weights.check(weights_asset, graph)
    return water_map(graph, features, table_rules(graph, weights_asset), probability=probability)


def table_rules(graph: LayerGraph, weights_asset: str) -> dict[str, Rule]:
    """The rules of the matrix form that read weights from a table."""
    return matrix.rules(weights.Table(weights_asset, graph.digest()))


def network_image(
    graph: LayerGraph,
    features: ee.Image,
    form: str = "kernels",
    weights_asset: str | None = None,
) -> ee.Image:
    """The network's output, one float band for each channel, nothing masked.

    Args:
        graph: Any network of which every layer has an Earth Engine rule.
        features: One float band for each input channel, in order, unmasked everywhere.
        form: `kernels`, `matrix` or `assets`.
        weights_asset: For `assets`: the table of this graph's weights.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
        DeployError: No such form, or no table for it.
    """
    if form == "assets" and weights_asset is not None:
        return run_rules(graph, features, table_rules(graph, weights_asset))
    if form not in RULES:
        raise DeployError(f"no form {form!r} without a table; there are {', '.join(RULES)}")
    return run_rules(graph, features, RULES[form])


def run_rules(graph: LayerGraph, features: ee.Image, rules: Mapping[str, Rule]) -> ee.Image:
    """The output of a graph by rules, one band for each channel.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    extents(graph)
    made: dict[str, ee.Image] = {}
    for node in graph:
        inputs = [features] if node.kind == INPUT else [made[name] for name in node.inputs]
        made[node.name] = rules[node.kind](node, inputs)
    return made[graph.output]


def read_graph(network: Any, *, same_as_valid: bool = False) -> LayerGraph:
    """The graph of a network of Keras or scikit-learn; a graph is returned as it is.

    Args:
        network: Built in memory, or a Keras 2 file (`.h5`).
        same_as_valid: As `to_ee` has it.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    if isinstance(network, LayerGraph):
        return network
    if read_sklearn.is_network(network):
        return read_sklearn.read(network)
    if read_h5.is_h5(network):
        return read_h5.read(network, same_as_valid=same_as_valid)
    from water_gee.deploy import read_keras  # loads TensorFlow

    return read_keras.read(network, same_as_valid=same_as_valid)


def fits(size: Size) -> bool:
    """Whether the service takes an expression of this size, with room for what is put around it."""
    return size.bytes + RESERVE_BYTES <= MAX_REQUEST_BYTES and size.nesting <= MAX_NESTING


def _encoded(image: ee.Image) -> Any:
    return ee.serializer.encode(image, for_cloud_api=True)


def least_bytes(graph: LayerGraph, form: str) -> int:
    """Fewer bytes than a network takes in a form; for the table of `assets` as for `matrix`."""
    return graph.parameters * _LEAST_BYTES[form]


def _may_fit(graph: LayerGraph, form: str) -> bool:
    """Whether it is worth while to write a network out and measure it."""
    return least_bytes(graph, form) <= MAX_REQUEST_BYTES


def features_of(
    model: TrainedModel | LayerGraph | Path | str | Any,
    image: ee.Image | None,
    *,
    same_as_valid: bool = False,
) -> tuple[LayerGraph, ee.Image]:
    """The graph, and an image that has its features as bands in order, named `f0`, `f1`, ...

    Args:
        model: As `to_ee` takes it.
        image: The features; by default the composite of the model's own recipe.
        same_as_valid: As `to_ee` has it.

    Raises:
        DeployError: Nothing says what the features are.
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
    """
    if isinstance(model, (TrainedModel, Path, str)) and not read_h5.is_h5(model):
        trained = resolve(model)
        graph = read_graph(trained.network, same_as_valid=same_as_valid)
        if image is None:
            from water_gee.imagery.composite import feature_image

            image = feature_image(trained.recipe)
        selectors: list[Any] = list(trained.recipe.features)
    else:
        graph = read_graph(model, same_as_valid=same_as_valid)
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


def _filled(raw: ee.Image, values: tuple[float, ...] | None) -> ee.Image:
    """The features, unmasked everywhere: 0 where not observed, or these values.

    What `unmask` makes of an image of several bands is not documented, so only 0 is filled in.
    """
    if values is None:
        return raw.unmask(0, False)
    fill = ee.Image.constant(list(values))
    return raw.subtract(fill).unmask(0, False).add(fill).toFloat()


def _window_observed(features: ee.Image, rows: int, cols: int) -> ee.Image:
    """One band, 1 where all features of all pixels of the window are observed, else 0."""
    observed = features.mask().reduce(ee.Reducer.min()).gt(0).unmask(0, False).toFloat()
    height, width = 2 * rows + 1, 2 * cols + 1
    ones = ee.Kernel.fixed(weights=[[1] * width] * height)
    return observed.convolve(ones).gte(height * width - 0.5)
