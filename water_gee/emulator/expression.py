"""Expressions from the wire to a checked, flat list of operations.

The wire form is a table of nodes that refer to each other and may also be written inside one
another. Parsing lays all of them out in one list and checks it, with a stack of its own: a graph
may be as deep as it likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from water_gee.emulator.registry import Registry, bad_request


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Attributes:
        kind: `constant`, `argument`, `list`, `dictionary`, `call`, `apply` (a function value, the
            last operand) or `function`.
        value: The constant; the argument's name; the wire name of the function called.
        names: Keys of a dictionary, argument names of a call or of a function.
        operands: Indices of the operations read, in the order of `names`; a function's body.
    """

    kind: str
    value: Any = None
    names: tuple[str, ...] = ()
    operands: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    Attributes:
        ops: All operations.
        result: The index of the result.
        free: For each operation, the function arguments it depends on.
        order: For the result and each function body, what has to be computed, operands first.
    """

    ops: tuple[Op, ...]
    result: int
    free: tuple[frozenset[str], ...]
    order: Mapping[int, tuple[int, ...]]


def parse(wire: Mapping[str, Any], registry: Registry) -> Expression:
    """Parse and check an expression.

    Args:
        wire: `{"result": id, "values": {id: node}}`.
        registry: The functions there are.

    Raises:
        ServiceError: 400: malformed, cyclic, an unknown function, a missing or unexpected argument.
    """
    values = wire.get("values") if isinstance(wire, Mapping) else None
    if not isinstance(values, Mapping) or wire.get("result") not in values:
        raise bad_request("Invalid JSON payload received: expression needs 'values' and 'result'.")
    parser = _Parser(values)
    result = parser.reference(wire["result"])
    parser.drain()
    ops = tuple(parser.resolved(index) for index in range(len(parser.ops)))
    _check_calls(ops, registry)
    sorted_all = _ordered(ops, _roots(ops, result), bodies=True)
    free = _free(ops, sorted_all)
    order = {root: _ordered(ops, [root], bodies=False) for root in _roots(ops, result)}
    return Expression(ops, result, free, order)


@dataclass(slots=True)
class _Parser:
    values: Mapping[str, Any]
    ops: list[Op | None] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[int, Any]] = field(default_factory=list)

    def reference(self, name: object) -> int:
        """Return the place of a node of the table, to be parsed later where it is new."""
        if not isinstance(name, str) or name not in self.values:
            raise bad_request(f"Expression refers to the value '{name}', which it does not hold.")
        if name not in self.places:
            self.places[name] = self.place(self.values[name])
        return self.places[name]

    def place(self, node: Any) -> int:
        """Return a place for a node, to be parsed later."""
        if isinstance(node, Mapping) and node.get("valueReference") in self.places:
            return self.places[node["valueReference"]]
        self.ops.append(None)
        self.waiting.append((len(self.ops) - 1, node))
        return len(self.ops) - 1

    def drain(self) -> None:
        """Parse until nothing waits."""
        while self.waiting:
            index, node = self.waiting.pop()
            self.ops[index] = self.parse(node)

    def parse(self, node: Any) -> Op:
        """Parse one node; what is inside it waits."""
        if not isinstance(node, Mapping) or len(node) != 1:
            raise bad_request("Invalid JSON payload received: a value needs exactly one kind.")
        ((kind, body),) = node.items()
        if kind == "constantValue":
            return Op("constant", body)
        if kind == "integerValue":
            return Op("constant", int(body))
        if kind == "argumentReference":
            return Op("argument", str(body))
        if kind == "valueReference":
            return Op("alias", operands=(self.reference(body),))
        if kind == "arrayValue":
            return Op("list", operands=tuple(self.place(one) for one in body.get("values", ())))
        if kind == "dictionaryValue":
            items = body.get("values", {})
            places = tuple(self.place(one) for one in items.values())
            return Op("dictionary", names=tuple(items), operands=places)
        if kind == "functionDefinitionValue":
            names = tuple(body.get("argumentNames", ()))
            return Op("function", names=names, operands=(self.reference(body.get("body")),))
        if kind == "functionInvocationValue":
            return self.call(body)
        raise bad_request(f"Values of kind '{kind}' are not implemented by this emulator.")

    def call(self, body: Mapping[str, Any]) -> Op:
        arguments = body.get("arguments", {})
        places = tuple(self.place(one) for one in arguments.values())
        if "functionName" in body:
            name = str(body["functionName"]).removeprefix("algorithms/")
            return Op("call", name, tuple(arguments), places)
        function = self.reference(body.get("functionReference"))
        return Op("apply", None, tuple(arguments), (*places, function))

    def resolved(self, index: int) -> Op:
        """Return an operation that reads no aliases."""
        op = self.ops[index]
        assert op is not None
        if op.kind == "alias":
            return op
        return Op(op.kind, op.value, op.names, tuple(self.target(one) for one in op.operands))

    def target(self, index: int) -> int:
        """Follow aliases to what they stand for."""
        seen = set()
        while (op := self.ops[index]) is not None and op.kind == "alias":
            if index in seen:
                raise bad_request("Expression is cyclic.")
            seen.add(index)
            index = op.operands[0]
        return index


def _roots(ops: Sequence[Op], result: int) -> list[int]:
    bodies = {op.operands[0] for op in ops if op.kind == "function"}
    if ops[result].kind == "alias":
        raise bad_request("Expression's result is only a reference.")
    return [result, *sorted(bodies - {result})]


def _ordered(ops: Sequence[Op], roots: Sequence[int], *, bodies: bool) -> tuple[int, ...]:
    """Sort what the roots read, operands first; with `bodies`, functions read their bodies."""
    state: dict[int, int] = {}
    order: list[int] = []
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        index, ready = stack.pop()
        if ready:
            state[index] = 2
            order.append(index)
            continue
        if state.get(index) == 2:
            continue
        if state.get(index) == 1:
            raise bad_request("Expression is cyclic.")
        state[index] = 1
        stack.append((index, True))
        if ops[index].kind != "function" or bodies:
            for operand in reversed(ops[index].operands):
                if state.get(operand) == 1:
                    raise bad_request("Expression is cyclic.")
                if operand not in state:
                    stack.append((operand, False))
    return tuple(order)


def _free(ops: Sequence[Op], order: Sequence[int]) -> tuple[frozenset[str], ...]:
    nothing: frozenset[str] = frozenset()
    free = [nothing] * len(ops)
    for index in order:
        op = ops[index]
        if op.kind == "argument":
            free[index] = frozenset((op.value,))
        elif op.operands:
            union = nothing.union(*(free[operand] for operand in op.operands))
            free[index] = union - set(op.names) if op.kind == "function" else union
    return tuple(free)


def _check_calls(ops: Sequence[Op], registry: Registry) -> None:
    """Refuse unknown functions and arguments before anything runs."""
    for op in ops:
        if op.kind != "call":
            continue
        entry = registry.get(op.value)
        known = {parameter.name for parameter in entry.parameters}
        for name in op.names:
            if name not in known:
                raise bad_request(f"{entry.name}: Unexpected argument '{name}'.")
        for parameter in entry.parameters:
            if parameter.required and parameter.name not in op.names:
                raise bad_request(f"{entry.name}: Parameter '{parameter.name}' is required.")
