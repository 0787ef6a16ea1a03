"""Walks through an expression as the wire has it: `{"result": id, "values": {id: node}}`.

Nothing recurses from value to value, so chains may be as long as they like; within one value the
client nests no deeper than its limit of 50.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Node = Mapping[str, Any]
    Values = Mapping[str, Node]


PARAMETER = "_PARAMETER_"
"""Begins the names of arguments that `with_parameters` puts in."""


def resolved(node: Node, values: Values) -> Node:
    """A node, references followed."""
    while "valueReference" in node:
        node = values[str(node["valueReference"])]
    return node


def constant(node: Node | None, values: Values) -> Any:
    """A node's value if it is a constant or a list of such, else None."""
    if not node:
        return None
    found = resolved(node, values)
    if "arrayValue" in found:
        parts = [constant(part, values) for part in found["arrayValue"]["values"]]
        return None if any(part is None for part in parts) else parts
    return found.get("constantValue")


def number_of(node: Node, values: Values) -> float | None:
    """The number of a constant image, which the client makes of a number by itself."""
    call = node.get("functionInvocationValue", {})
    if call.get("functionName") != "Image.constant":
        return None
    value = constant(call["arguments"].get("value"), values)
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if numeric else None


def hint(node: Node | None, values: Values) -> str | None:
    """What a value is called: the one band that it names, if it does."""
    call = (node or {}).get("functionInvocationValue", {})
    key = {"Image.rename": "names", "Image.select": "newNames"}.get(call.get("functionName"))
    found = constant(call.get("arguments", {}).get(key), values) if key else None
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], str):
        return found[0]
    return None


def children(node: Node) -> Iterator[Node]:
    """The nodes inside a node, in order."""
    if "arrayValue" in node:
        yield from node["arrayValue"]["values"]
    elif "dictionaryValue" in node:
        yield from node["dictionaryValue"]["values"].values()
    elif "functionInvocationValue" in node:
        yield from (node["functionInvocationValue"].get("arguments") or {}).values()


def inside(node: Node) -> Iterator[Node]:
    """A node and all inside it."""
    todo = [node]
    while todo:
        each = todo.pop()
        yield each
        todo.extend(reversed(list(children(each))))


def referred(node: Node) -> list[str]:
    """The values that a node refers to, in order."""
    found = []
    for each in inside(node):
        if "valueReference" in each:
            found.append(str(each["valueReference"]))
        elif "functionDefinitionValue" in each:
            found.append(str(each["functionDefinitionValue"]["body"]))
        elif "functionReference" in each.get("functionInvocationValue", {}):
            found.append(str(each["functionInvocationValue"]["functionReference"]))
    return found


def in_order(values: Values, root: str) -> list[str]:
    """The values below one, each after those that it refers to."""
    order: list[str] = []
    seen = {root}
    stack = [(root, iter(referred(values[root])))]
    while stack:
        name, children = stack[-1]
        for child in children:
            if child not in seen:
                seen.add(child)
                stack.append((child, iter(referred(values[child]))))
                break
        else:
            order.append(name)
            stack.pop()
    return order


def free_arguments(values: Values, order: list[str]) -> dict[str, frozenset[str]]:
    """For each value the arguments of functions around it that it uses."""
    free: dict[str, frozenset[str]] = {}
    for name in order:
        found: set[str] = set()
        for each in inside(values[name]):
            if "argumentReference" in each:
                found.add(str(each["argumentReference"]))
            elif "valueReference" in each:
                found |= free[str(each["valueReference"])]
            elif "functionDefinitionValue" in each:
                definition = each["functionDefinitionValue"]
                found |= free[str(definition["body"])] - set(definition["argumentNames"])
            elif "functionReference" in each.get("functionInvocationValue", {}):
                found |= free[str(each["functionInvocationValue"]["functionReference"])]
        free[name] = frozenset(found)
    return free


def frequent(values: Values, order: list[str]) -> Counter[tuple[str, tuple[str, ...]]]:
    """How often each function is called, by the arguments given."""
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for name in order:
        for each in inside(values[name]):
            call = each.get("functionInvocationValue", {})
            if "functionName" in call:
                arguments = tuple(sorted(call.get("arguments") or {}))
                found[str(call["functionName"]), arguments] += 1
    return found


def with_parameters(
    expressions: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], list[list[Any]]]:
    """One function for expressions that differ in constants alone.

    Args:
        expressions: Two or more.

    Returns:
        An expression that is a function, and the arguments that make each of the expressions.

    Raises:
        DeployError: They differ in more.
    """
    found: dict[tuple[Any, ...], str] = {}
    names = itertools.count()

    def merged(nodes: Sequence[Any]) -> Any:
        first = nodes[0]
        if all(node == first for node in nodes):
            return first
        if all(isinstance(node, dict) and list(node) == ["constantValue"] for node in nodes):
            row = tuple(json.dumps(node["constantValue"]) for node in nodes)
            if row not in found:
                found[row] = f"{PARAMETER}{next(names)}"
            return {"argumentReference": found[row]}
        if isinstance(first, dict) and all(
            isinstance(node, dict) and list(node) == list(first) for node in nodes
        ):
            return {key: merged([node[key] for node in nodes]) for key in first}
        if isinstance(first, list) and all(
            isinstance(node, list) and len(node) == len(first) for node in nodes
        ):
            return [merged(parts) for parts in zip(*nodes, strict=True)]
        raise DeployError("these maps differ in more than a number or a date; write one by one")

    values = merged([expression["values"] for expression in expressions])
    body = merged([expression["result"] for expression in expressions])
    order = sorted(found)
    definition = {"argumentNames": [found[row] for row in order], "body": body}
    function = {"function": {"functionDefinitionValue": definition}}
    shared = {"result": "function", "values": values | function}
    rows = [[json.loads(row[index]) for row in order] for index in range(len(expressions))]
    return shared, rows
