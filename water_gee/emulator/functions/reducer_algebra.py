"""Reducers out of reducers: side by side, renamed, unweighted, by group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import statistics
from water_gee.emulator.functions.reducer_tables import flat
from water_gee.emulator.regional import plain
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import DOUBLE, Image, PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.emulator.statistics import Values, Weights


@REGISTRY.function("Reducer.combine")
def combine(
    reducer1: Reducer, reducer2: Reducer, outputPrefix: str = "", sharedInputs: bool = False
) -> Reducer:
    """Return two reducers side by side, over the same inputs or each over its own."""
    if sharedInputs and reducer1.inputs != reducer2.inputs:
        raise bad_request(
            "Reducer.combine: Reducers that share inputs must have the same number of them. "
            f"Got {reducer1.inputs} and {reducer2.inputs}."
        )
    outputs = reducer1.outputs + tuple(outputPrefix + name for name in reducer2.outputs)
    repeated = [name for name in outputs if outputs.count(name) > 1]
    if repeated:
        raise bad_request(
            f"Reducer.combine: Both reducers have an output named '{repeated[0]}'; "
            "give an 'outputPrefix'."
        )
    second = 0 if sharedInputs else reducer1.inputs

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        *stacks, weights = arguments
        one = reducer1.reduce(*stacks[: reducer1.inputs], weights, counted=counted)
        two = reducer2.reduce(*stacks[second : second + reducer2.inputs], weights, counted=counted)
        return [*one, *two]

    return Reducer(
        "combine",
        outputs,
        reduce,
        lambda kind: reducer1.result_type(kind) + reducer2.result_type(kind),
        reducer1.inputs if sharedInputs else reducer1.inputs + reducer2.inputs,
    )


def side_by_side(one: Reducer, count: int, outputs: Sequence[str]) -> Reducer:
    """Return copies of a reducer, each over inputs of its own, with all their outputs in order."""

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        *stacks, weights = arguments
        results = []
        for copy in range(count):
            mine = stacks[copy * one.inputs : (copy + 1) * one.inputs]
            results += one.reduce(*mine, weights, counted=counted)
        return results

    return Reducer(
        one.name,
        tuple(outputs),
        reduce,
        lambda kind: one.result_type(kind) * count,
        one.inputs * count,
    )


@REGISTRY.function("Reducer.repeat")
def repeat(reducer: Reducer, count: int) -> Reducer:
    """Return copies of a reducer over inputs of their own, each output a list; for regions."""
    if count < 1:
        raise bad_request(f"Reducer.repeat: 'count' must be at least 1. Got {count}.")
    copies = side_by_side(reducer, count, list(reducer.outputs) * count)
    width = len(reducer.outputs)

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        flat("repeat", arguments[0])
        results = copies.reduce(*arguments, counted=counted)
        lists = [[plain(*one) for one in results[index::width]] for index in range(width)]
        return [(found, None) for found in lists]

    return replace(copies, outputs=reducer.outputs, reduce=reduce, result_type=reducer.result_type)


@REGISTRY.function("Reducer.forEach")
def for_each(reducer: Reducer, outputNames: list[str]) -> Reducer:
    """Return a copy of a reducer for each name, over inputs of its own."""
    return _for_each(reducer, outputNames)


@REGISTRY.function("Reducer.forEachBand")
def for_each_band(reducer: Reducer, image: Image) -> Reducer:
    """Return a copy of a reducer for each band of an image, named like them."""
    return _for_each(reducer, image.names)


def _for_each(reducer: Reducer, names: Sequence[str]) -> Reducer:
    if not names:
        raise bad_request("Reducer.forEach: There are no output names.")
    outputs = (
        list(names)
        if len(reducer.outputs) == 1
        else [f"{name}_{output}" for name in names for output in reducer.outputs]
    )
    return side_by_side(reducer, len(names), outputs)


@REGISTRY.function("Reducer.setOutputs")
def set_outputs(reducer: Reducer, outputs: list[str]) -> Reducer:
    """Return a reducer with its outputs renamed; those without a name are dropped."""
    if len(outputs) != len(reducer.outputs):
        raise bad_request(
            f"Reducer.setOutputs: The reducer has {len(reducer.outputs)} output(s). "
            f"Got {len(outputs)} name(s)."
        )
    kept = [index for index, name in enumerate(outputs) if name]

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        results = reducer.reduce(*arguments, counted=counted)
        return [results[index] for index in kept]

    def types(kind: PixelType) -> tuple[PixelType, ...]:
        found = reducer.result_type(kind)
        return tuple(found[index] for index in kept)

    names = tuple(outputs[index] for index in kept)
    return replace(reducer, outputs=names, reduce=reduce, result_type=types)


@REGISTRY.function("Reducer.getOutputs")
def get_outputs(reducer: Reducer) -> list[Any]:
    """Return the names of a reducer's outputs."""
    return list(reducer.outputs)


@REGISTRY.function("Reducer.unweighted")
def unweighted(reducer: Reducer) -> Reducer:
    """Return a reducer that counts whole pixels."""

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        *stacks, weights = arguments
        valid = counted if counted is not None else statistics.valid_of(weights)
        return reducer.reduce(*stacks, valid, counted=counted)

    return replace(reducer, reduce=reduce)


@REGISTRY.function("Reducer.splitWeights")
def split_weights(reducer: Reducer) -> Reducer:
    """Return a reducer that takes each value's weight as a second input."""
    if reducer.inputs != 1:
        raise bad_request(
            "Reducer.splitWeights: Reducers of several inputs are not implemented by this emulator."
        )

    def reduce(values: Values, given: Values, weights: Weights, counted: Weights = None) -> Any:
        valid = counted if counted is not None else statistics.valid_of(weights)
        own = given.astype(np.float64)
        return reducer.reduce(values, own if valid is None else np.where(valid, own, 0.0))

    return replace(reducer, reduce=reduce, inputs=2)


@REGISTRY.function("Reducer.group")
def group(reducer: Reducer, groupField: int = 0, groupName: str = "group") -> Reducer:
    """Return a reducer of each group of records with one value in a field; for regions."""
    if not 0 <= groupField <= reducer.inputs:
        raise bad_request(
            f"Reducer.group: 'groupField' must be from 0 to {reducer.inputs}. Got {groupField}."
        )

    def reduce(*arguments: Any, counted: Weights = None) -> list[Any]:
        *stacks, weights = arguments
        flat("group", stacks[0])
        keys = stacks.pop(groupField)
        alive = statistics.valid_of(weights)
        groups = []
        for key in np.unique(keys if alive is None else keys[alive]):
            mine = keys == key
            results = reducer.reduce(
                *(stack[mine] for stack in stacks),
                None if weights is None else weights[mine],
                counted=None if counted is None else counted[mine],
            )
            named = zip(reducer.outputs, results, strict=True)
            groups.append({groupName: key.item(), **{name: plain(*one) for name, one in named}})
        return [(groups, None)]

    return Reducer("group", ("groups",), reduce, lambda _: (DOUBLE,), reducer.inputs + 1)
