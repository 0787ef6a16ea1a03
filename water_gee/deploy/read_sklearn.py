"""Networks and linear classifiers of scikit-learn -> `LayerGraph`, scalers before them included.

Each pixel stands alone: a dense layer is a 1 x 1 convolution. scikit-learn's classifiers of two
classes have one output, the probability of the second class, where Keras would have two; the graph
has one too, the probability of water, whichever class that is. Models of trees are no networks:
`read_trees.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.graph import INPUT, LayerGraph, Node
from water_gee.deploy.model_kinds import (
    classes_of,
    fitted,
    kind_of,
    place_of_water,
    unpacked,
    unsupported,
)
from water_gee.deploy.scalers import scaler_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from water_gee.deploy.ensemble import Step

    Array = npt.NDArray[Any]
    Layers = list[tuple[Array, Array, str]]
    """Kernel `(in, out)`, bias `(out,)`, activation, layer by layer."""

_ACTIVATIONS = {
    "identity": "linear",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
}
"""scikit-learn's names -> those of `activations.py`."""


def is_network(model: Any) -> bool:
    """Whether a model is one of those read here, or a pipeline that ends in one."""
    return kind_of(unpacked(model)[1], READERS) is not None


def read(model: Any, *, water_class: Any = None) -> LayerGraph:
    """Read a fitted network or linear classifier.

    Args:
        model: An `MLPClassifier`, `MLPRegressor`, `LogisticRegression`, `SGDClassifier` or
            `LinearSVC`, alone or behind scalers in a `Pipeline`.
        water_class: Of two classes, the one that is water; by default 1, or one named «water».

    Returns:
        A graph that ends in one sigmoid, the probability of water, for two classes; in a softmax
        over the classes in order for more; in a linear layer for a regression. A support vector
        machine knows no probability: its sigmoid is 0.5 at the border between the classes, and no
        more than a score elsewhere.

    Raises:
        UnsupportedLayerError: Another model or scaler.
        DeployError: Not fitted, or no such class.
    """
    scalers, final = unpacked(model)
    kind = kind_of(final, READERS)
    if kind is None:
        raise unsupported(final, "it is no network; known: " + ", ".join(sorted(READERS)))
    layers = READERS[kind](final)
    kernel, bias, activation = layers[-1]
    if activation == "sigmoid" and place_of_water(classes_of(final) or (), water_class) == 0:
        layers[-1] = (-kernel, -bias, activation)
    steps = [step for scaler in scalers for step in scaler_steps(scaler)]
    return _graph(steps, layers)


def _graph(steps: Sequence[Step], layers: Layers) -> LayerGraph:
    nodes = [Node("features", INPUT, attributes={"channels": len(layers[0][0])})]

    def put(name: str, kind: str, weights: dict[str, Array], **attributes: Any) -> None:
        single = {key: np.asarray(array, np.float32) for key, array in weights.items()}
        nodes.append(Node(name, kind, (nodes[-1].name,), attributes, single))

    for index, step in enumerate(steps):
        scale, offset = _affine(step)
        put(f"scale_{index}", "affine", {"scale": scale, "offset": offset})
    for index, (kernel, bias, activation) in enumerate(layers):
        put(f"dense_{index}", "conv", {"kernel": kernel[None, None], "bias": bias})
        if activation != "linear":
            put(f"{activation}_{index}", "activation", {}, activation=activation)
    return LayerGraph(tuple(nodes), nodes[-1].name)


def _affine(step: Step) -> tuple[Array, Array]:
    """A scaler's step as scale and offset."""
    ones, zeros = np.ones(len(step.by)), np.zeros(len(step.by))
    forms: dict[str, Callable[[], tuple[Array, Array]]] = {
        "subtract": lambda: (ones, -step.by),
        "add": lambda: (ones, step.by),
        "multiply": lambda: (step.by, zeros),
        "divide": lambda: (1 / step.by, zeros),
    }
    return forms[step.how]()


# ----------------------------------------------------------------------------------------- readers


def _perceptron(model: Any) -> Layers:
    kernels = fitted(model, "coefs_")
    last = model.out_activation_
    if last == "logistic" and kernels[-1].shape[1] != 1:
        raise unsupported(model, "it gives several labels at once; train one model for each")
    names = [model.activation] * (len(kernels) - 1) + [last]
    for name in names:
        if name not in _ACTIVATIONS:
            raise unsupported(model, f"its activation {name!r} is not known here")
    return [
        (np.asarray(kernel), np.asarray(bias), _ACTIVATIONS[name])
        for kernel, bias, name in zip(kernels, model.intercepts_, names, strict=True)
    ]


def _linear(model: Any) -> Layers:
    """A plane between two classes; a softmax over planes where the model is one."""
    kernel = np.asarray(fitted(model, "coef_")).T
    bias = np.broadcast_to(np.asarray(model.intercept_, np.float64), kernel.shape[1:])
    if kernel.shape[1] == 1:
        return [(kernel, bias, "sigmoid")]
    joint = kind_of(model, ("sklearn.LogisticRegression",)) and model.solver != "liblinear"
    if not joint or getattr(model, "multi_class", None) == "ovr":
        raise unsupported(
            model,
            "it has one plane for each class; of more than two classes, use "
            "LogisticRegression with another solver than 'liblinear'",
        )
    return [(kernel, bias, "softmax")]


def _descent(model: Any) -> Layers:
    if model.loss not in ("log_loss", "hinge", "squared_hinge"):
        raise unsupported(model, f"its loss {model.loss!r} has no sigmoid; use 'log_loss'")
    return _linear(model)


READERS: dict[str, Callable[[Any], Layers]] = {
    "sklearn.MLPClassifier": _perceptron,
    "sklearn.MLPRegressor": _perceptron,
    "sklearn.LogisticRegression": _linear,
    "sklearn.SGDClassifier": _descent,
    "sklearn.LinearSVC": _linear,
}
"""By library and class; a class derived from one of these is read like it."""
