"""One expression under many requests: the network is encoded once a year, not once a tile.

The client encodes an image into a flat table of nodes, which takes a second or two for a network of
ten thousand kernels. What differs between the tiles of a year is a dozen nodes on top, so those are
encoded over a placeholder, and the table is put in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ee
from ee import serializer

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Expression = dict[str, Any]

_PLACEHOLDER = "water_gee/placeholder"


def stock(image: ee.Image) -> Expression:
    """Encode an image that others will stand on."""
    encoded: Expression = serializer.encode(image)
    return encoded


def placeholder() -> ee.Image:
    """Stands for such an image while something is built on top of it."""
    image: ee.Image = ee.Image(_PLACEHOLDER)
    return image


def graft(below: Mapping[str, Any], top: ee.Image) -> Expression:
    """Encode an image built on `placeholder()`, with an encoded one in its place.

    Args:
        below: From `stock`; not changed, and shared by the result.
        top: What was built on the placeholder.

    Raises:
        DeployError: The placeholder is not in it.
    """
    above: Expression = serializer.encode(top)
    first = 1 + max(int(key) for key in below["values"])
    names = {key: str(first + number) for number, key in enumerate(above["values"])}
    found = False

    def moved(node: Any) -> Any:
        nonlocal found
        if isinstance(node, list):
            return [moved(one) for one in node]
        if not isinstance(node, dict):
            return node
        if _is_placeholder(node):
            found = True
            return {"valueReference": below["result"]}
        return {key: _value(key, value) for key, value in node.items()}

    def _value(key: str, value: Any) -> Any:
        if key == "constantValue":
            return value
        if key in ("valueReference", "functionReference") and isinstance(value, str):
            return names[value]
        return moved(value)

    values = {names[key]: moved(node) for key, node in above["values"].items()}
    if not found:
        raise DeployError("an image that does not stand on the placeholder cannot be grafted")
    return {"result": names[above["result"]], "values": {**below["values"], **values}}


def _is_placeholder(node: Mapping[str, Any]) -> bool:
    call = node.get("functionInvocationValue")
    if not isinstance(call, dict) or call.get("functionName") != "Image.load":
        return False
    asset = call.get("arguments", {}).get("id", {})
    return bool(asset.get("constantValue") == _PLACEHOLDER)
