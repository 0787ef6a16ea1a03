"""Expressions on the wire become a flat, checked list of operations."""

from __future__ import annotations

from typing import Any

import pytest

from water_gee.emulator.expression import parse
from water_gee.emulator.registry import Registry
from water_gee.errors import ServiceError


@pytest.fixture
def registry() -> Registry:
    made = Registry()

    @made.function("Number.add")
    def add(left: float, right: float) -> float:
        """Add two numbers."""
        return left + right

    return made


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def number(value: float) -> dict[str, Any]:
    return {"constantValue": value}


def wire(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"result": "0", "values": {"0": result, **others}}


def refusal(registry: Registry, expression: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        parse(expression, registry)
    assert caught.value.code == 400
    return caught.value.message


def test_an_unknown_function_is_refused_by_name(registry: Registry) -> None:
    assert "Image.hough" in refusal(registry, wire(call("Image.hough")))


def test_a_missing_argument_is_refused_by_name(registry: Registry) -> None:
    message = refusal(registry, wire(call("Number.add", left=number(1))))
    assert message == "Number.add: Parameter 'right' is required."


def test_an_argument_nobody_knows_is_refused_by_name(registry: Registry) -> None:
    extra = call("Number.add", left=number(1), right=number(2), middle=number(3))
    assert refusal(registry, wire(extra)) == "Number.add: Unexpected argument 'middle'."


def test_a_reference_to_nothing_is_refused(registry: Registry) -> None:
    dangling = call("Number.add", left=number(1), right={"valueReference": "9"})
    assert "'9'" in refusal(registry, wire(dangling))


def test_a_graph_that_reads_itself_is_refused(registry: Registry) -> None:
    cyclic = call("Number.add", left=number(1), right={"valueReference": "0"})
    assert refusal(registry, wire(cyclic)) == "Expression is cyclic."
    loop = {"result": "0", "values": {"0": {"valueReference": "1"}, "1": {"valueReference": "0"}}}
    assert "only a reference" in refusal(registry, loop) or "cyclic" in refusal(registry, loop)


def test_a_function_whose_body_holds_the_function_is_refused(registry: Registry) -> None:
    body = {"functionDefinitionValue": {"argumentNames": ["x"], "body": "0"}}
    assert refusal(registry, wire(body)) == "Expression is cyclic."


@pytest.mark.parametrize(
    "expression",
    [
        None,
        [],
        {},
        {"result": "0"},
        {"result": "1", "values": {"0": {"constantValue": 1}}},
        {"result": "0", "values": {"0": 7}},
        {"result": "0", "values": {"0": {}}},
        {"result": "0", "values": {"0": {"constantValue": 1, "integerValue": "1"}}},
        {"result": "0", "values": {"0": {"bytesValue": "AA=="}}},
    ],
)
def test_what_is_no_expression_is_refused(registry: Registry, expression: Any) -> None:
    assert refusal(registry, expression)


def test_a_graph_of_50_000_nested_calls_needs_no_deep_stack(registry: Registry) -> None:
    values: dict[str, Any] = {"0": number(0)}
    for index in range(1, 50_001):
        values[str(index)] = call(
            "Number.add", left={"valueReference": str(index - 1)}, right=number(1)
        )
    expression = parse({"result": "50000", "values": values}, registry)
    order = expression.order[expression.result]
    assert len(order) == 50_000 + 50_001
    assert order[-1] == expression.result


def test_arguments_are_free_until_their_function_binds_them(registry: Registry) -> None:
    body = call("Number.add", left={"argumentReference": "x"}, right={"argumentReference": "y"})
    function = {"functionDefinitionValue": {"argumentNames": ["x"], "body": "1"}}
    expression = parse(wire(function, **{"1": body}), registry)
    assert expression.free[expression.result] == {"y"}
