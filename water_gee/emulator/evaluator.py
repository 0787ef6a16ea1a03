"""Expressions to values: each operation once per scope, in order."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from water_gee.emulator.expression import Expression, Op, parse
from water_gee.emulator.pixels import Context
from water_gee.emulator.registry import REGISTRY, Registry, bad_request
from water_gee.emulator.services import AssetLoader, NoAssets, Services
from water_gee.emulator.values import Function
from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG = logging.getLogger(__name__)

_FAULTS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    NotImplementedError,
)
"""What a function may stumble over where its caller gave it something it did not expect."""


@dataclass(slots=True)
class Frame:
    """The arguments of one function call and what was computed with them."""

    bindings: Mapping[str, Any]
    parent: Frame | None = None
    memo: dict[int, Any] = field(default_factory=dict)

    def home(self, free: frozenset[str]) -> Frame:
        """Return the innermost frame that binds any of the arguments, else the outermost."""
        frame = self
        while frame.parent is not None and not (free and free & frame.bindings.keys()):
            frame = frame.parent
        return frame

    def lookup(self, name: str) -> Any:
        """Return an argument's value.

        Raises:
            ServiceError: 400: no function around binds it.
        """
        frame: Frame | None = self
        while frame is not None:
            if name in frame.bindings:
                return frame.bindings[name]
            frame = frame.parent
        raise bad_request(f"Argument '{name}' is not bound by any function around it.")


class Evaluator:
    """Computes expressions against a catalogue.

    Args:
        assets: Where images and collections come from.
        registry: The functions there are; by default all of this package's.
    """

    def __init__(self, assets: AssetLoader | None = None, registry: Registry | None = None) -> None:
        self.assets = assets if assets is not None else NoAssets()
        self.registry = registry if registry is not None else standard_registry()

    def compute(self, wire: Mapping[str, Any], context: Context | None = None) -> Any:
        """Return the value of an expression in wire form.

        Args:
            wire: `{"result": id, "values": {id: node}}`.
            context: Budget and deadline of the request.

        Raises:
            ServiceError: 400: the expression cannot be computed; the message names the function.
        """
        expression = parse(wire, self.registry)
        services = Services(self.assets, context or Context())
        return _Run(expression, self.registry, services).value(expression.result, Frame({}))


def standard_registry() -> Registry:
    """Return the registry with all function families loaded."""
    import water_gee.emulator.functions

    assert water_gee.emulator.functions  # imported for what it registers
    return REGISTRY


@dataclass(slots=True)
class _Run:
    expression: Expression
    registry: Registry
    services: Services

    def value(self, root: int, frame: Frame) -> Any:
        """Compute the result, or the body of a function, in a frame."""
        ops, free = self.expression.ops, self.expression.free
        for index in self.expression.order[root]:
            home = frame.home(free[index])
            if index not in home.memo:
                home.memo[index] = self.apply(ops[index], home, frame)
        return frame.home(free[root]).memo[root]

    def apply(self, op: Op, home: Frame, frame: Frame) -> Any:
        """Compute one operation whose operands are there."""
        if op.kind == "constant":
            return op.value
        if op.kind == "argument":
            return home.lookup(op.value)
        if op.kind == "function":
            return self.closure(op, home)
        free = self.expression.free
        values = [frame.home(free[operand]).memo[operand] for operand in op.operands]
        if op.kind == "list":
            return values
        if op.kind == "dictionary":
            return dict(zip(op.names, values, strict=True))
        if op.kind == "apply":
            return self.apply_function(op, values)
        return self.call(op.value, dict(zip(op.names, values, strict=True)))

    def closure(self, op: Op, frame: Frame) -> Function:
        """Return a function value that remembers the frame it was made in."""
        body = op.operands[0]

        def call(*values: Any) -> Any:
            if len(values) != len(op.names):
                raise bad_request(
                    f"A function of {len(op.names)} argument(s) was called with {len(values)}."
                )
            bindings = dict(zip(op.names, values, strict=True))
            return self.value(body, Frame(bindings, frame))

        return Function(op.names, call)

    def apply_function(self, op: Op, values: list[Any]) -> Any:
        """Call a function value with arguments by name."""
        function = values[-1]
        if not isinstance(function, Function):
            raise bad_request("functionReference does not refer to a function.")
        named = dict(zip(op.names, values[:-1], strict=True))
        missing = [name for name in function.arguments if name not in named]
        if missing:
            raise bad_request(f"Parameter '{missing[0]}' is required.")
        return function.call(*(named[name] for name in function.arguments))

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a registered function; what it stumbles over is the caller's fault, by name."""
        try:
            return self.registry.get(name).call(arguments, self.services)
        except ServiceError:
            raise
        except RecursionError as error:
            raise bad_request(f"{name}: Functions are nested too deeply.") from error
        except _FAULTS as error:
            LOG.exception("%s failed", name)
            raise bad_request(f"{name}: {error}") from error
