"""How large an expression is, and how large the service takes one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REQUEST_BYTES = 10_485_760
"""The service's limit of a request body (developers.google.com/earth-engine/guides/usage)."""

MAX_NESTING = 100
"""How deep JSON may nest; from a comment in the client's own serialiser."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large an expression is.

    Attributes:
        bytes: Of its JSON, as the client sends it.
        calls: Function calls in it.
        nesting: Its deepest nesting of JSON objects and arrays.
    """

    bytes: int
    calls: int
    nesting: int


def measure(expression: Mapping[str, Any]) -> Size:
    """Measure an expression as `ee.serializer.encode` gives it."""
    calls, deepest = 0, 0
    stack: list[tuple[Any, int]] = [(expression, 1)]
    while stack:
        value, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            calls += "functionName" in value or "functionReference" in value
            children: list[Any] = list(value.values())
        else:
            children = list(value)
        stack.extend((child, depth + 1) for child in children if isinstance(child, (dict, list)))
    return Size(len(json.dumps(expression)), calls, deepest)


def check_size(expression: Mapping[str, Any], what: str) -> Size:
    """Refuse an expression that the service would not take.

    Args:
        expression: As `ee.serializer.encode` gives it.
        what: Its name, for the message.

    Raises:
        DeployError: It is too large, or nested too deep.
    """
    size = measure(expression)
    if size.bytes > MAX_REQUEST_BYTES or size.nesting > MAX_NESTING:
        raise DeployError(
            f"{what} has {size.bytes:,} bytes and nests {size.nesting} deep; the service takes "
            f"{MAX_REQUEST_BYTES:,} and {MAX_NESTING}; give another form, fewer digits, a simpler "
            "area, or a smaller network"
        )
    return size
