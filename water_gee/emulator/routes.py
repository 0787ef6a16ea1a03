"""The REST API, independent of what carries it: a request in, an answer out.

Every route is one entry of `ROUTES`; the discovery document is made of the same table.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from water_gee.emulator import discovery, rest_assets, rest_pixels, rest_policies, rest_tasks
from water_gee.emulator.errors import bad_request, body_of, payload_too_large, refusal
from water_gee.emulator.limits import MAX_REQUEST_BYTES
from water_gee.emulator.service import Service, Wanted, always
from water_gee.errors import EmulatorError, ServiceError

LOG = logging.getLogger(__name__)

PROJECT = r"projects/[^/]+"
ASSET = r"projects/[^/]+/assets/[^:]*"
OPERATION = r"projects/[^/]+/operations/[^/:]+"
THUMBNAIL = r"projects/[^/]+/thumbnails/[^/:]+"
CONFIG = r"projects/[^/]+/config"

JSON_TYPE = "application/json; charset=UTF-8"


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
        method: `GET`, `POST`, ...; an override is already applied.
        path: Decoded, without the version.
        query: The parameters of the address, or of the form that stands for one too long.
        body: The message of a POST or PATCH, empty for none.
        base_url: The address the client used, without a slash at its end.
        wanted: Says whether anybody still waits for the answer.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base_url: str = ""
    wanted: Wanted = always

    @cached_property
    def message(self) -> dict[str, Any]:
        """The body as JSON.

        Raises:
            ServiceError: 400: it is no JSON object.
        """
        if not self.body.strip():
            return {}
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise bad_request(f"Invalid JSON payload received: {reason}.") from error
        if not isinstance(found, dict):
            raise bad_request("Invalid JSON payload received: expected an object.")
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets.

    Attributes:
        status: HTTP code.
        content_type: Of the body.
        body: The bytes.
    """

    status: int
    content_type: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers."""
        return {"Content-Type": self.content_type, "Content-Length": str(len(self.body))}


Handler = Callable[[Service, str, Request], Any]
"""From the service, the name in the address and the request to JSON, or to bytes with a type."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of the API.

    Attributes:
        id: Its place in the client's tree, for example `projects.assets.get`.
        verb: HTTP method.
        variable: The name the client gives the part of the path that varies.
        pattern: Regular expression of that part.
        suffix: The rest of the path.
        handler: What answers it.
        query: Parameters of the address.
        response: A schema of the discovery document.
        data: Whether it computes: what the service counts as a request at once, and refuses, delays
            and loses (`frontend`).
    """

    id: str
    verb: str
    variable: str
    pattern: str
    suffix: str
    handler: Handler
    query: tuple[str, ...] = ()
    response: str = "Message"
    data: bool = False

    def match(self, method: str, path: str) -> str | None:
        """Return the part of the path that varies, None where this route is not meant."""
        if method != self.verb:
            return None
        found = re.fullmatch(f"({self.pattern}){re.escape(self.suffix)}", path)
        return None if found is None else found[1]


def _algorithms(service: Service, name: str, request: Request) -> tuple[bytes, str]:
    del service, name, request
    return discovery.algorithms(), JSON_TYPE


_PAGE = ("pageSize", "pageToken")
_LIST = (*_PAGE, "filter", "view")

ROUTES: tuple[Route, ...] = (
    Route("projects.algorithms.list", "GET", "parent", PROJECT, "/algorithms", _algorithms),
    Route(
        "projects.value.compute",
        "POST",
        "project",
        PROJECT,
        "/value:compute",
        rest_pixels.value,
        data=True,
    ),
    Route(
        "projects.image.computePixels",
        "POST",
        "project",
        PROJECT,
        "/image:computePixels",
        rest_pixels.compute_pixels,
        response="HttpBody",
        data=True,
    ),
    Route("projects.image.export", "POST", "project", PROJECT, "/image:export", rest_tasks.export),
    Route(
        "projects.table.export",
        "POST",
        "project",
        PROJECT,
        "/table:export",
        rest_tasks.export_table,
    ),
    Route(
        "projects.thumbnails.create",
        "POST",
        "parent",
        PROJECT,
        "/thumbnails",
        rest_pixels.create_thumbnail,
        ("workloadTag",),
        data=True,
    ),
    Route(
        "projects.thumbnails.getPixels",
        "GET",
        "name",
        THUMBNAIL,
        ":getPixels",
        rest_pixels.thumbnail_pixels,
        response="HttpBody",
        data=True,
    ),
    Route(
        "projects.operations.list",
        "GET",
        "name",
        PROJECT,
        "/operations",
        rest_tasks.list_operations,
        (*_PAGE, "filter"),
        "Page",
    ),
    Route("projects.operations.get", "GET", "name", OPERATION, "", rest_tasks.get_operation),
    Route("projects.operations.cancel", "POST", "name", OPERATION, ":cancel", rest_tasks.cancel),
    Route("projects.operations.wait", "POST", "name", OPERATION, ":wait", rest_tasks.wait),
    Route(
        "projects.listAssets",
        "GET",
        "parent",
        PROJECT,
        ":listAssets",
        rest_assets.list_root,
        _LIST,
        "Page",
    ),
    Route(
        "projects.assets.listAssets",
        "GET",
        "parent",
        ASSET,
        ":listAssets",
        rest_assets.list_assets,
        _LIST,
        "Page",
    ),
    Route(
        "projects.assets.create",
        "POST",
        "parent",
        PROJECT,
        "/assets",
        rest_assets.create,
        ("assetId", "overwrite"),
    ),
    Route(
        "projects.assets.getPixels",
        "POST",
        "name",
        ASSET,
        ":getPixels",
        rest_pixels.asset_pixels,
        response="HttpBody",
        data=True,
    ),
    Route("projects.assets.get", "GET", "name", ASSET, "", rest_assets.get),
    Route("projects.assets.delete", "DELETE", "name", ASSET, "", rest_assets.delete),
    Route(
        "projects.assets.getIamPolicy",
        "POST",
        "resource",
        ASSET,
        ":getIamPolicy",
        rest_policies.get_policy,
    ),
    Route(
        "projects.assets.setIamPolicy",
        "POST",
        "resource",
        ASSET,
        ":setIamPolicy",
        rest_policies.set_policy,
    ),
    Route("projects.assets.patch", "PATCH", "name", ASSET, "", rest_assets.patch),
    Route("projects.getConfig", "GET", "name", CONFIG, "", rest_tasks.get_config),
    Route(
        "projects.updateConfig",
        "PATCH",
        "name",
        CONFIG,
        "",
        rest_tasks.update_config,
        ("updateMask",),
    ),
)

_VERSIONED = re.compile(r"/v1(?:alpha|beta)?/(.+)")


def find_route(method: str, path: str) -> tuple[Route, str] | None:
    """Return what answers a request, and the part of the path that varies; None where nothing does.

    Args:
        method: HTTP method.
        path: Decoded, with the version.
    """
    versioned = _VERSIONED.fullmatch(path)
    if versioned is None:
        return None
    for route in ROUTES:
        name = route.match(method, versioned[1])
        if name is not None:
            return route, name
    return None


def handle(
    service: Service,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    wanted: Wanted = always,
) -> Answer:
    """Answer one request; whatever happens, there is an answer in the service's form.

    Args:
        service: What answers.
        method: HTTP method.
        target: The address, with or without scheme and host.
        headers: By name, in any case.
        body: The bytes that came with it.
        wanted: Says whether anybody still waits for the answer.
    """
    try:
        request = _request(method, target, headers, body, wanted)
        return _dispatch(service, request)
    except ServiceError as error:
        return _refused(error)
    except EmulatorError as error:
        LOG.error("%s", error)
        return _refused(refusal(500, str(error)))
    except sqlite3.OperationalError as error:
        LOG.exception("%s %s", method, target[:200])
        return _refused(refusal(503, f"The catalogue cannot be used: {error}"))
    except Exception as error:
        LOG.exception("%s %s", method, target[:200])
        return _refused(refusal(500, f"Internal error: {type(error).__name__}: {error}"))


def _request(
    method: str, target: str, headers: Mapping[str, str], body: bytes, wanted: Wanted
) -> Request:
    if len(body) > MAX_REQUEST_BYTES:
        raise payload_too_large(MAX_REQUEST_BYTES)
    given = {name.lower(): value for name, value in headers.items()}
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    override = given.get("x-http-method-override", "").upper()
    if method == "POST" and override:
        method = override
        if override == "GET":
            # An address too long for one line: its parameters came as a form.
            query |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            body = b""
    scheme, host = parts.scheme or "http", parts.netloc or given.get("host", "")
    return Request(method, unquote(parts.path), query, body, f"{scheme}://{host}", wanted)


def _dispatch(service: Service, request: Request) -> Answer:
    if request.path == "/$discovery/rest":
        return _json(discovery.document(ROUTES, request.base_url))
    found = find_route(request.method, request.path)
    if found is None:
        raise refusal(404, f"Method not found: {request.method} {request.path[:200]}")
    route, name = found
    service.faults.check(route.id, name)
    return _answered(route.handler(service, name, request), request)


def _answered(found: Any, request: Request) -> Answer:
    if isinstance(found, tuple):
        content, content_type = found
        return Answer(200, content_type, content)
    fields = request.query.get("fields")
    if fields and fields != "*" and isinstance(found, dict):
        wanted = set(fields.split(","))
        found = {name: value for name, value in found.items() if name in wanted}
    return _json(found)


def _json(message: Any, status: int = 200) -> Answer:
    return Answer(status, JSON_TYPE, json.dumps(message).encode())


def _refused(error: ServiceError) -> Answer:
    return _json(body_of(error), error.code)
