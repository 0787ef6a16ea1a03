"""Each operation is computed once per scope; functions close over what is around them."""

from __future__ import annotations

from typing import Any

import pytest

from water_gee.emulator.evaluator import Evaluator
from water_gee.emulator.registry import Registry
from water_gee.emulator.values import Function  # noqa: TC001 - read at run time
from water_gee.errors import ServiceError

CALLS: list[tuple[float, float]] = []


@pytest.fixture
def evaluator() -> Evaluator:
    CALLS.clear()
    made = Registry()

    @made.function("Number.add")
    def add(left: float, right: float = 10) -> float:
        """Add two numbers."""
        CALLS.append((left, right))
        return left + right

    @made.function("List.map")
    def each(list_: list[Any], function: Function) -> list[Any]:
        """Call a function on each element."""
        return [function.call(one) for one in list_]

    @made.function("Number.broken")
    def broken(value: float) -> float:
        """Stumble."""
        raise ValueError("a message from within")

    return Evaluator(registry=made)


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def ref(name: str) -> dict[str, str]:
    return {"valueReference": name}


def arg(name: str) -> dict[str, str]:
    return {"argumentReference": name}


def const(value: Any) -> dict[str, Any]:
    return {"constantValue": value}


def function(names: list[str], body: str) -> dict[str, Any]:
    return {"functionDefinitionValue": {"argumentNames": names, "body": body}}


def compute(evaluator: Evaluator, name: str, /, **values: Any) -> Any:
    return evaluator.compute({"result": name, "values": values})


def test_a_shared_node_is_computed_once(evaluator: Evaluator) -> None:
    values = {
        "a": call("Number.add", left=const(1), right=const(2)),
        "b": call("Number.add", left=ref("a"), right=ref("a")),
    }
    assert compute(evaluator, "b", **values) == 6
    assert CALLS == [(1, 2), (3, 3)]


def test_a_missing_argument_takes_its_default(evaluator: Evaluator) -> None:
    assert compute(evaluator, "a", a=call("Number.add", left=const(1))) == 11
    assert compute(evaluator, "a", a=call("Number.add", left=const(1), right=const(None))) == 11


def test_lists_and_dictionaries_hold_computed_values(evaluator: Evaluator) -> None:
    both = {
        "dictionaryValue": {
            "values": {
                "x": {"arrayValue": {"values": [const(1), {"integerValue": "7"}]}},
                "y": call("Number.add", left=const(2), right=const(3)),
            }
        }
    }
    assert compute(evaluator, "a", a=both) == {"x": [1, 7], "y": 5}


def test_a_mapped_function_sees_its_argument_and_what_is_around_it(evaluator: Evaluator) -> None:
    values = {
        "result": call("List.map", list=const([1, 2, 3]), function=ref("f")),
        "f": function(["x"], "body"),
        "body": call("Number.add", left=arg("x"), right=ref("outside")),
        "outside": call("Number.add", left=const(100), right=const(0)),
    }
    assert compute(evaluator, "result", **values) == [101, 102, 103]
    assert CALLS.count((100, 0)) == 1


def test_nested_functions_close_over_the_outer_argument(evaluator: Evaluator) -> None:
    values = {
        "result": call("List.map", list=const([1, 2]), function=ref("outer")),
        "outer": function(["_MAPPING_VAR_1_0"], "inner_map"),
        "inner_map": call("List.map", list=const([10, 20]), function=ref("inner")),
        "inner": function(["_MAPPING_VAR_0_0"], "sum"),
        "sum": call("Number.add", left=arg("_MAPPING_VAR_1_0"), right=arg("_MAPPING_VAR_0_0")),
    }
    assert compute(evaluator, "result", **values) == [[11, 21], [12, 22]]


def test_what_depends_on_the_outer_argument_alone_is_computed_once_per_outer_call(
    evaluator: Evaluator,
) -> None:
    values = {
        "result": call("List.map", list=const([1, 2]), function=ref("outer")),
        "outer": function(["o"], "inner_map"),
        "inner_map": call("List.map", list=const([10, 20, 30]), function=ref("inner")),
        "inner": function(["i"], "sum"),
        "sum": call("Number.add", left=ref("shared"), right=arg("i")),
        "shared": call("Number.add", left=arg("o"), right=const(1000)),
    }
    assert compute(evaluator, "result", **values) == [[1011, 1021, 1031], [1012, 1022, 1032]]
    assert [pair for pair in CALLS if pair[1] == 1000] == [(1, 1000), (2, 1000)]


def test_a_function_value_can_be_called_by_reference(evaluator: Evaluator) -> None:
    values = {
        "f": function(["a", "b"], "sum"),
        "sum": call("Number.add", left=arg("a"), right=arg("b")),
        "result": {
            "functionInvocationValue": {
                "functionReference": "f",
                "arguments": {"b": const(2), "a": const(40)},
            }
        },
    }
    assert compute(evaluator, "result", **values) == 42


def test_50_000_nested_calls_are_computed(evaluator: Evaluator) -> None:
    values: dict[str, Any] = {"0": const(0)}
    for index in range(1, 50_001):
        values[str(index)] = call("Number.add", left=ref(str(index - 1)), right=const(1))
    assert compute(evaluator, "50000", **values) == 50_000


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            call("Number.add", left=const("one")),
            "Number.add, argument 'left': Invalid type. Expected type: Number. "
            "Actual type: String.",
        ),
        (call("Number.broken", value=const(1)), "Number.broken: a message from within"),
        (arg("nobody"), "Argument 'nobody' is not bound by any function around it."),
    ],
)
def test_a_fault_is_a_400_that_names_the_function(
    evaluator: Evaluator, node: dict[str, Any], message: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        compute(evaluator, "a", a=node)
    assert caught.value.code == 400
    assert caught.value.message == message
