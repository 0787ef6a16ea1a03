"""Keras 2 -> layer graph: `.h5` files, which Keras 3 cannot load when they hold slices.

Such a file has the network's settings as JSON in the attribute `model_config`, and in the group
`model_weights` one group for each layer, with the names of its arrays in `weight_names`. Slices
made before TensorFlow 2.4 are layers `TensorFlowOpLayer` that hold a node of TensorFlow's graph and
the constants it reads; later ones are `SlicingOpLambda`, and arithmetic `TFOpLambda`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from water_gee.deploy import lower
from water_gee.deploy.building import RANK, Builder, Layer, Reference
from water_gee.deploy.lower_functions import FUNCTIONS
from water_gee.deploy.lower_tensorflow import unwrapped
from water_gee.errors import ModelError, UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from water_gee.deploy.graph import LayerGraph
    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel

    Array = npt.NDArray[Any]
    Key = tuple[str, int, int]
    """A layer, which of its calls, and which of its outputs."""
    Call = tuple[int, int, Any]
    """The number that references to a call have, its place among the calls, and what it reads."""

SUFFIXES = (".h5", ".hdf5")

_MODELS = {"Functional", "Model", "Sequential"}


def is_h5(path: Any) -> bool:
    """Whether this names a Keras 2 file, by its ending."""
    return isinstance(path, (str, Path)) and Path(path).suffix.lower() in SUFFIXES


def read(path: Path | str, *, same_as_valid: bool = False) -> LayerGraph:
    """Read a Keras 2 model saved whole, `model.save("model.h5")`.

    A file of this kind that Keras 3 wrote is read by Keras 3.

    Args:
        path: The file. Its network has one input `(n, row, col, channel)`, which may have a fixed
            size, as of patches; it is read as one for images of any size.
        same_as_valid: As `read_keras.read` has it.

    Raises:
        ModelError: There is no such file, or it holds no model of one input and one output.
        UnsupportedLayerError: A layer without a form on Earth Engine; layer, kind and remedy named.
    """
    source = Path(path)
    if not source.is_file():
        raise ModelError(f"there is no model at {source}")
    try:
        with h5py.File(source) as file:
            config = _config(file, source)
            newer = _texts([file.attrs.get("keras_version", "2")])[0].startswith("3")
            weights = {} if newer else _weights(file, source)
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{source} is no HDF5 file of a Keras model: {error}") from error
    if newer:
        return _read_keras_3(source, same_as_valid)
    reading = _Reading(source, weights, same_as_valid)
    try:
        outputs = reading.model(config, None, "", None)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(
            f"{source} has a configuration that cannot be read ({type(error).__name__}: {error})"
        ) from error
    if len(outputs) != 1:
        raise ModelError(f"{source} has {len(outputs)} outputs; a network here has one")
    return reading.builder.graph(outputs[0])


def _read_keras_3(source: Path, same_as_valid: bool) -> LayerGraph:
    from water_gee.deploy import read_keras  # loads TensorFlow
    from water_gee.training.backend import keras

    try:
        network: Any = keras.saving.load_model(source, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{source} holds no network that Keras can load: {lines[0]}") from error
    return read_keras.read(network, same_as_valid=same_as_valid)


def load(path: Path | str, recipe: Recipe, *, same_as_valid: bool = False) -> TrainedModel:
    """A Keras 2 file as a model of this package: to be used, saved and deployed like any other.

    Args:
        path: The file. Its first output channel is the probability of water.
        recipe: How the features it was trained on were made; the file does not say.
        same_as_valid: As `read` has it.

    Returns:
        The network rebuilt in Keras 3 with this recipe, in memory only; `training.model.save`
        writes it.

    Raises:
        ModelError: As `read`, or the recipe has another number of features.
        UnsupportedLayerError: As `read`.
    """
    from water_gee.deploy import rebuild  # loads TensorFlow
    from water_gee.training.model import TrainedModel

    graph = read(path, same_as_valid=same_as_valid)
    channels = graph.input.attributes["channels"]
    if channels != len(recipe.features):
        raise ModelError(
            f"{path}: the network takes {channels} features, its recipe has {len(recipe.features)}"
        )
    return TrainedModel(rebuild.network(graph), recipe, {"read_from": Path(path).name})


def _config(file: h5py.File, source: Path) -> dict[str, Any]:
    text = file.attrs.get("model_config")
    if text is None:
        raise ModelError(
            f"{source} holds weights and no model; save it whole, with model.save('model.h5')"
        )
    config = json.loads(text)
    if not isinstance(config, dict) or config.get("class_name") not in _MODELS:
        kind = config.get("class_name") if isinstance(config, dict) else type(config).__name__
        raise ModelError(f"{source} holds a {kind}; only functional and sequential models are read")
    return config


def _weights(file: h5py.File, source: Path) -> dict[str, dict[str, Array]]:
    """The arrays of each layer of the outermost model, by their full names."""
    groups: Any = file["model_weights"]
    found: dict[str, dict[str, Array]] = {}
    for layer in _texts(groups.attrs["layer_names"]):
        group = groups[layer]
        names = _texts(group.attrs["weight_names"])
        found[layer] = {name: np.asarray(group[name]) for name in names}
    if not found:
        raise ModelError(f"{source} holds no layers")
    return found


def _texts(names: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


class _Reading:
    """One file being read."""

    def __init__(
        self, source: Path, weights: Mapping[str, Mapping[str, Array]], same_as_valid: bool
    ) -> None:
        self.source = source
        self.weights = weights
        self.builder = Builder(same_as_valid=same_as_valid)
        self.inputs = 0

    def model(
        self,
        config: Mapping[str, Any],
        sources: Sequence[str] | None,
        prefix: str,
        weights: Mapping[str, Array] | None,
    ) -> list[str]:
        """Put a model's layers; returns the nodes of its outputs.

        Args:
            config: `{class_name, config}`.
            sources: The nodes that it reads; None for the network itself.
            prefix: Before the names of its layers.
            weights: The arrays of the model that this one is a layer of.
        """
        about = config["config"]
        if config["class_name"] == "Sequential":
            return self._sequential(about, sources, prefix, weights)
        names: dict[Key, str] = {}
        if sources is not None:
            names = dict(zip(_references(about["input_layers"]), sources, strict=True))
        waiting = _calls(about)
        while waiting:
            left = [item for item in waiting if not self._put(*item, names, prefix, weights)]
            if len(left) == len(waiting):
                stuck = left[0][0]["name"]
                raise ModelError(f"{self.source}: layer {stuck!r} reads what is not there")
            waiting = left
        return [names[key] for key in _references(about["output_layers"])]

    def _sequential(
        self,
        about: Any,
        sources: Sequence[str] | None,
        prefix: str,
        weights: Mapping[str, Array] | None,
    ) -> list[str]:
        layers = about["layers"] if isinstance(about, dict) else about  # a bare list before 2.2.3
        source = sources[0] if sources else None
        for layer in layers:
            if source is None:
                shape = _shape(layer["config"])
                if shape is None:
                    raise ModelError(
                        f"{self.source}: its first layer has no input shape; build the model "
                        "before saving it"
                    )
                source = self._input(layer["config"]["name"], shape)
            if layer["class_name"] == "InputLayer":
                continue
            (source,) = self._layer(layer, [source], (), prefix, 0, weights)
        if source is None:
            raise ModelError(f"{self.source} holds no layers")
        return [source]

    def _put(
        self,
        layer: Mapping[str, Any],
        call: Call,
        names: dict[Key, str],
        prefix: str,
        weights: Mapping[str, Array] | None,
    ) -> bool:
        """Put one call of a layer if all that it reads is there already."""
        number, order, inbound = call
        name = layer.get("name") or layer["config"]["name"]
        if layer["class_name"] == "InputLayer":
            if (name, 0, 0) not in names:
                shape = _shape(layer["config"]) or ()
                names[name, 0, 0] = self._input(prefix + name, shape)
            return True
        keys, arguments = _inbound(inbound)
        if any(key not in names for key in keys):
            return False
        read = [names[key] for key in keys]
        outputs = self._layer({**layer, "name": name}, read, arguments, prefix, order, weights)
        for index, output in enumerate(outputs):
            names[name, number, index] = output
        return True

    def _input(self, name: str, shape: Sequence[int | None]) -> str:
        self.inputs += 1
        if self.inputs > 1:
            raise ModelError(f"{self.source} has several inputs; a network here has one")
        if len(shape) != RANK or shape[-1] is None:
            reason = f"its shape is {tuple(shape)}; it must be (None, row, col, channels)"
            raise UnsupportedLayerError(name, "InputLayer", reason)
        return self.builder.input(name, int(shape[-1]), (shape[1], shape[2]))

    def _layer(
        self,
        layer: Mapping[str, Any],
        read: list[str],
        arguments: tuple[Any, ...],
        prefix: str,
        order: int,
        weights: Mapping[str, Array] | None,
    ) -> list[str]:
        """Put one call of a layer, or of a model that is one; returns the nodes of its outputs."""
        kind, config = str(layer["class_name"]), layer["config"]
        own = str(layer.get("name") or config["name"])
        name = prefix + (own if order == 0 else f"{own}_call{order}")
        if kind in _MODELS:
            inner = weights if weights is not None else self.weights.get(own, {})
            return self.model(layer, read, f"{name}/", inner)
        arrays = self._arrays(own, weights)
        inputs = tuple(self.builder.tensors[source] for source in read)
        same = self.builder.same_as_valid
        described = Layer(name, kind, config, arrays, inputs, arguments, 2, same)
        if kind in lower.LAYERS:
            steps = lower.LAYERS[kind](described)
        else:
            function = unwrapped(described)
            if function is None:
                raise lower.refuse(described)
            steps = FUNCTIONS[function.kind](function)
        return [self.builder.put(name, steps, read)]

    def _arrays(self, layer: str, weights: Mapping[str, Array] | None) -> dict[str, Array]:
        """A layer's arrays by the last part of their names; in a nested model, those of its own."""
        if weights is None:
            weights = self.weights.get(layer, {})
            return {_last(name): array for name, array in weights.items()}
        mine = [name for name in weights if layer in name.split("/")[:-1]]
        found = {_last(name): weights[name] for name in mine}
        if len(found) != len(mine):
            raise ModelError(f"{self.source} has two layers {layer!r} in one model; rename one")
        return found


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1].split(":")[0]


def _shape(config: Mapping[str, Any]) -> list[int | None] | None:
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    return None if shape is None else list(shape)


def _references(layers: Any) -> list[Key]:
    """`[[name, call, output], ...]`, of which Keras leaves out the outer list for a single one."""
    many = layers if isinstance(layers[0], list) else [layers]
    return [(str(name), int(call), int(index)) for name, call, index in many]


def _calls(about: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Call]]:
    """Every call of every layer, numbered as references to it are; an input is one of nothing.

    A model among the layers counts its own making as call 0, which is not among its calls.
    """
    layers = [(layer, layer.get("inbound_nodes") or [[]]) for layer in about["layers"]]
    read = [key for _, calls in layers for call in calls for key in _inbound(call)[0]]
    first: dict[str, int] = {}
    for name, call, _ in read + _references(about["output_layers"]):
        first[name] = min(call, first.get(name, call))
    found: list[tuple[Mapping[str, Any], Call]] = []
    for layer, calls in layers:
        start = first.get(layer.get("name", ""), 0) if layer["class_name"] in _MODELS else 0
        found += [(layer, (start + order, order, call)) for order, call in enumerate(calls)]
    return found


def _inbound(call: Any) -> tuple[list[Key], tuple[Any, ...]]:
    """What one call reads, and its arguments in order, a `Reference` for each of these.

    `[name, call, output, arguments]` for each input, or that alone; an input that is a number is
    `["_CONSTANT_VALUE", -1, number, arguments]`. Further tensors are among the arguments, as
    `[name, call, output]`.
    """
    entries = [call] if call and not isinstance(call[0], list) else call
    keys: list[Key] = []
    arguments: list[Any] = []

    def refer(name: Any, number: Any, index: Any, *_: Any) -> Reference:
        keys.append((str(name), int(number), int(index)))
        return Reference(len(keys) - 1)

    named: dict[str, Any] = {}
    for entry in entries:
        constant = entry[0] == "_CONSTANT_VALUE"
        arguments.append(entry[2] if constant else refer(*entry))
        named.update(entry[3] if len(entry) > 3 else {})
    for name, value in named.items():
        if name == "name" or value is None:
            continue
        is_tensor = isinstance(value, list) and len(value) == 3 and isinstance(value[0], str)
        arguments.append(refer(*value) if is_tensor else (name, value))
    return keys, tuple(arguments)
