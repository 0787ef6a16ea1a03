"""What the client asks for before anything else: the discovery document and the list of algorithms.

The document holds exactly the routes that are answered; the client builds its methods from it. The
algorithm list is the one that comes with the installed client, whole, because the client cannot
build a call of what it does not know.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee.errors import EmulatorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from water_gee.emulator.routes import Route

API_VERSION = "v1"

_COMMON_PARAMETERS = (
    "$.xgafv",
    "access_token",
    "alt",
    "callback",
    "fields",
    "key",
    "oauth_token",
    "quotaUser",
    "uploadType",
    "upload_protocol",
)

_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "Message": {"id": "Message", "type": "object", "additionalProperties": {"type": "any"}},
    "Page": {
        "id": "Page",
        "type": "object",
        # Its presence makes the client generate the methods that fetch the next page.
        "properties": {"nextPageToken": {"type": "string"}},
    },
    "HttpBody": {"id": "HttpBody", "type": "object", "properties": {"data": {"type": "string"}}},
}


def document(routes: Iterable[Route], base_url: str) -> dict[str, Any]:
    """Return a Google API discovery document of some routes.

    Args:
        routes: What is answered.
        base_url: The server's address, without a slash at its end.
    """
    root: dict[str, Any] = {}
    for route in routes:
        *resources, method = route.id.split(".")
        place = root
        for resource in resources:
            place = place.setdefault("resources", {}).setdefault(resource, {})
        place.setdefault("methods", {})[method] = _method(route)
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"earthengine:{API_VERSION}",
        "name": "earthengine",
        "version": API_VERSION,
        "title": "Google Earth Engine API, emulated by water_gee",
        "protocol": "rest",
        "rootUrl": f"{base_url}/",
        "servicePath": "",
        "baseUrl": f"{base_url}/",
        "batchPath": "batch",
        "parameters": {
            **{name: {"type": "string", "location": "query"} for name in _COMMON_PARAMETERS},
            "prettyPrint": {"type": "boolean", "location": "query", "default": "true"},
        },
        "schemas": _SCHEMAS,
        "resources": root.get("resources", {}),
    }


def _method(route: Route) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        route.variable: {
            "type": "string",
            "location": "path",
            "required": True,
            "pattern": f"^{route.pattern}$",
        }
    }
    for name in route.query:
        kind = "integer" if name == "pageSize" else "string"
        parameters[name] = {"type": kind, "location": "query"}
    method: dict[str, Any] = {
        "id": f"earthengine.{route.id}",
        "path": f"{API_VERSION}/{{+{route.variable}}}{route.suffix}",
        "httpMethod": route.verb,
        "parameters": parameters,
        "parameterOrder": [route.variable],
        "response": {"$ref": route.response},
    }
    if route.verb in ("POST", "PATCH"):
        method["request"] = {"$ref": "Message"}
    return method


@functools.cache
def algorithms() -> bytes:
    """Return the client's own list of algorithms, as JSON in the wire's form.

    Raises:
        EmulatorError: The client is not installed, or this version of it brings no list.
    """
    found = importlib.util.find_spec("ee")
    if found is None or found.origin is None:
        raise EmulatorError(
            "earthengine-api is not installed; the emulator serves its algorithm list"
        )
    path = Path(found.origin).parent / "tests" / "algorithms.json"
    try:
        return path.read_bytes()
    except OSError as error:
        raise EmulatorError(
            f"this version of earthengine-api has no list of algorithms at {path}; "
            "install one that has, for example 1.7.50"
        ) from error
