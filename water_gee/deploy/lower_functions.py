"""What functions are in the kinds of the layer graph: `a + b`, `x / 255`, `x[:, 3:-3, 3:-3, :4]`.

Functional models hold these as they are, beside layers. Keras 3 has classes for them, Keras 2 names
of TensorFlow's functions or operations; the readers bring all to the keys of `FUNCTIONS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.building import RANK, Layer, Reference, Step
from water_gee.deploy.lower import (
    activation_steps,
    affine_step,
    concatenate,
    elu,
    gelu,
    leaky_relu,
    softmax,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from water_gee.deploy.lower import Reader

    Array = npt.NDArray[Any]


def _binary(op: str) -> Reader:
    """Two tensors, or one and numbers: `a + b`, `1 - x`, `x / 255`."""

    def reader(layer: Layer) -> list[Step]:
        first, second = layer.arguments[:2]
        if isinstance(first, Reference) and isinstance(second, Reference):
            if op == "divide":
                raise layer.refusal("one tensor is divided by another; divide by numbers only")
            return [Step("combine", {"op": op})]
        tensor_first = isinstance(first, Reference)
        number = np.asarray(second if tensor_first else first, np.float64)
        if op == "divide" and not tensor_first:
            raise layer.refusal("a number is divided by a tensor; divide by numbers only")
        return _with_number(layer, op, number, tensor_first=tensor_first)

    return reader


def _with_number(layer: Layer, op: str, number: Array, *, tensor_first: bool) -> list[Step]:
    if op == "add":
        return [affine_step(layer, 1, number)]
    if op == "subtract":
        return [affine_step(layer, 1, -number) if tensor_first else affine_step(layer, -1, number)]
    if op == "multiply":
        return [affine_step(layer, number, 0)]
    if op == "divide":
        if not number.all():
            raise layer.refusal("it divides by 0; divide by other numbers")
        return [affine_step(layer, 1 / number, 0)]
    relu = Step("activation", {"activation": "relu"})
    if op == "maximum":  # relu(x - c) + c
        return [affine_step(layer, 1, -number), relu, affine_step(layer, 1, number)]
    return [affine_step(layer, -1, number), relu, affine_step(layer, -1, number)]  # c - relu(c - x)


def _negative(layer: Layer) -> list[Step]:
    return [affine_step(layer, -1, 0)]


def _get_item(layer: Layer) -> list[Step]:
    """`x[:, 3:-3, 3:-3, :4]` and its kin: whole batches, a window, and any channels."""
    key = layer.arguments[1] if len(layer.arguments) > 1 else None
    parts = list(key) if isinstance(key, (tuple, list)) else [key]
    shown = ", ".join(show(part) for part in parts)
    rest = [at for at, part in enumerate(parts) if part is Ellipsis]
    if len(rest) > 1 or len(parts) > RANK + len(rest):
        raise layer.refusal(f"it takes [{shown}] of a tensor of {RANK} axes")
    for at in rest:
        parts[at : at + 1] = [slice(None)] * (RANK - len(parts) + 1)
    parts += [slice(None)] * (RANK - len(parts))
    slices = [part for part in parts if isinstance(part, slice)]
    if len(slices) != RANK or slices[0] != slice(None):
        raise layer.refusal(
            f"it takes [{shown}]; only a window and channels, as x[:, 3:-3, 3:-3, a:b], can be"
        )
    sides = [side for axis in (1, 2) for side in _cut(layer, slices[axis], axis, shown)]
    channels = tuple(range(*slices[-1].indices(layer.channels)))
    if not channels:
        raise layer.refusal(f"it takes [{shown}]: no channel of {layer.channels}")
    steps = [Step("crop", {"cropping": tuple(sides)})] if any(sides) else []
    if channels != tuple(range(layer.channels)):
        steps.append(Step("select", {"channels": channels}))
    return steps


def _cut(layer: Layer, part: slice, axis: int, shown: str) -> tuple[int, int]:
    """How many pixels a slice of rows or columns takes away before and behind."""
    size = layer.inputs[0].size[axis - 1]
    start, stop = part.start or 0, part.stop
    if part.step in {None, 1} and size is not None:
        first, last, _ = part.indices(size)
        if last > first:
            return first, size - last
    elif part.step in {None, 1} and start >= 0 and (stop is None or stop < 0):
        return start, -(stop or 0)
    raise layer.refusal(
        f"it takes [{shown}]; of rows and columns only windows counted from both ends, as 3:-3, "
        "can be taken"
    )


def show(part: Any) -> str:
    """A part of an index as one would write it."""
    if part is Ellipsis:
        return "..."
    if not isinstance(part, slice):
        return repr(part)
    ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
    return ":".join(ends if part.step is None else [*ends, str(part.step)])


def _plain(function: str) -> Reader:
    def reader(layer: Layer) -> list[Step]:
        return activation_steps(layer, function)

    return reader


FUNCTIONS: dict[str, Reader] = {
    "getitem": _get_item,
    "concatenate": concatenate,
    "add": _binary("add"),
    "subtract": _binary("subtract"),
    "multiply": _binary("multiply"),
    "divide": _binary("divide"),
    "maximum": _binary("maximum"),
    "minimum": _binary("minimum"),
    "negative": _negative,
    "leaky_relu": leaky_relu(0.2),
    "elu": elu,
    "gelu": gelu,
    "softmax": softmax,
    **{
        name: _plain(name)
        for name in ("relu", "relu6", "selu", "silu", "sigmoid", "hard_sigmoid", "tanh", "softplus")
    },
}
"""Functions that a functional model holds as they are, by the names of `keras.ops`."""
