"""What a converted network costs, before anything is sent: bytes, calls, nesting, work a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee
import numpy as np

from water_gee import session
from water_gee.deploy import matrix, weights
from water_gee.deploy.build_ee import (
    AUTO,
    FORMS,
    RULES,
    features_of,
    fits,
    least_bytes,
    prepared,
    table_rules,
    water_map,
)
from water_gee.deploy.limits import MAX_NESTING, MAX_REQUEST_BYTES, Size, measure
from water_gee.errors import DeployError
from water_gee.training.model import TrainedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from water_gee.deploy.graph import LayerGraph, Node

_TABLE = "projects/a-project-of-thirty-characters/assets/folder/water_weights"
"""Stands for the table of weights where nobody has named one; as long as they are."""

_FEATURES = "projects/a-project-of-thirty-characters/assets/folder/features"
"""Stands for the features of a bare network."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one form of a network costs.

    Attributes:
        form: `kernels`, `matrix` or `assets`.
        size: Of the expression; of a network that is much too large, the bytes it takes at least,
            and no calls.
        array_bytes: Arrays that are made for each pixel, in bytes; 0 where there are none.
        table_bytes: Of the request that stores the weights; 0 where they are in the expression.
        fits: Whether the service takes all of it.
    """

    form: str
    size: Size
    array_bytes: int
    table_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a network costs in each form; `print` it for a table.

    Attributes:
        costs: By form, in the order in which they are tried.
        chosen: The form asked for, or the first that fits; None where none does.
        parameters: Weights of the network, as they are written.
        multiply_adds: Multiplications, each with an addition, at one pixel.
        with_composite: Whether the expression of the features is counted, as it is for a trained
            model.
    """

    costs: Mapping[str, Cost]
    chosen: str | None
    parameters: int
    multiply_adds: int
    with_composite: bool

    @property
    def form(self) -> str | None:
        """The form chosen."""
        return self.chosen

    @property
    def fits(self) -> bool:
        """Whether the service takes the form chosen."""
        return self.chosen is not None and self.costs[self.chosen].fits

    @property
    def bytes(self) -> int | None:
        """Of the body of a request, in the form chosen."""
        return None if self.chosen is None else self.costs[self.chosen].size.bytes

    @property
    def calls(self) -> int | None:
        """Functions called, in the form chosen."""
        return None if self.chosen is None else self.costs[self.chosen].size.calls

    @property
    def nesting(self) -> int | None:
        """Deepest nesting of the request, in the form chosen."""
        return None if self.chosen is None else self.costs[self.chosen].size.nesting

    @property
    def array_bytes(self) -> int | None:
        """Arrays that are made for each pixel, in bytes, in the form chosen."""
        return None if self.chosen is None else self.costs[self.chosen].array_bytes

    def __str__(self) -> str:
        """Return a table of the forms, and what is true of all of them."""
        of_what = "with the composite" if self.with_composite else "without a composite"
        lines = [
            f"{self.parameters:,} weights, {self.multiply_adds:,} multiply-adds a pixel; requests "
            f"{of_what}, of at most {MAX_REQUEST_BYTES:,} bytes nested {MAX_NESTING} deep",
            f"{'form':10}{'bytes':>13}{'calls':>9}{'nesting':>9}{'arrays/pixel':>14}"
            f"{'table bytes':>13}",
        ]
        for cost in self.costs.values():
            size = cost.size
            shown = (
                f"{size.bytes:,}" if size.calls else f">{size.bytes:,}",
                f"{size.calls:,}" if size.calls else "",
                f"{size.nesting}" if size.calls else "",
                f"{cost.array_bytes:,}" if cost.array_bytes else "",
                f"{cost.table_bytes:,}" if cost.table_bytes else "",
            )
            widths = (13, 9, 9, 14, 13)
            row = "".join(f"{text:>{width}}" for text, width in zip(shown, widths, strict=True))
            note = "" if cost.fits else "too large"
            if cost.form == self.chosen:
                note = "chosen" if cost.fits else "chosen, but too large"
            lines.append(f"{cost.form:10}{row}  {note}".rstrip())
        if self.chosen is None:
            lines.append("no form fits: round the weights (digits=4), or use a smaller network")
        return "\n".join(lines)


def estimate(
    model: TrainedModel | LayerGraph | Path | str | Any,
    form: str | None = None,
    *,
    image: ee.Image | None = None,
    digits: int | None = None,
) -> Estimate:
    """Say what a network costs as an Earth Engine expression; nothing is sent.

    Every form is written out and measured. For a trained model that is the whole request, with
    the composite its features are made of; a bare network is measured over a stored image.

    Args:
        model: A trained model or its file, a Keras network, or a `LayerGraph`.
        form: The form that is to be used; by default the first that fits of `kernels`, `matrix`
            and `assets`.
        image: The features, instead of the composite.
        digits: Significant digits to round the weights to.

    Returns:
        The costs of each form; `.chosen` is one of them, `print` shows a table.

    Raises:
        DeployError: No such form.
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
    """
    if form not in (None, AUTO, *FORMS):
        raise DeployError(f"no form {form!r}; there are {', '.join((AUTO, *FORMS))}")
    with session.building():
        whole = image is None and isinstance(model, (TrainedModel, Path, str))
        stands_for = None if whole else ee.Image(_FEATURES) if image is None else image
        network, features = features_of(model, stands_for)
        graph = prepared(network, digits)
        costs = {name: _cost(graph, features, name) for name in FORMS}
    chosen = form if form not in (None, AUTO) else None
    if chosen is None:
        chosen = next((name for name, cost in costs.items() if cost.fits), None)
    return Estimate(costs, chosen, graph.parameters, multiply_adds(graph), whole)


def _cost(graph: LayerGraph, features: ee.Image, form: str) -> Cost:
    arrays = max((matrix.array_bytes(node) for node in graph), default=0)
    if form != "assets":
        size = _measured(graph, form, lambda: water_map(graph, features, RULES[form]))
        return Cost(form, size, arrays if form == "matrix" else 0, 0, fits(size))
    size = measure(_encoded(water_map(graph, features, table_rules(graph, _TABLE))))
    least = least_bytes(graph, "matrix")
    table = least
    if least <= MAX_REQUEST_BYTES:
        table = weights.request_bytes(weights.table_of(graph))
    return Cost(form, size, arrays, table, fits(size) and table <= MAX_REQUEST_BYTES)


def _measured(graph: LayerGraph, form: str, make: Callable[[], ee.Image]) -> Size:
    """Measure an expression, or only guess where it is much too large to be written out."""
    least = least_bytes(graph, form)
    if least > MAX_REQUEST_BYTES:
        return Size(least, 0, 0)
    return measure(_encoded(make()))


def _encoded(image: ee.Image) -> Any:
    return ee.serializer.encode(image, for_cloud_api=True)


def multiply_adds(graph: LayerGraph) -> int:
    """How many products are summed at one pixel, in all layers that have weights."""
    return sum(_products(node) for node in graph)


def _products(node: Node) -> int:
    if node.kind == "conv":
        # A weight is used once at a pixel: it belongs to one filter, and to one tap of it.
        return int(node.weights["kernel"].size)
    if node.kind in ("affine", "normalize"):
        return int(np.size(node.weights["scale"]))
    return 0
