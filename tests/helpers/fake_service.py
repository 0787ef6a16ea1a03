"""A service that answers the stock client in process, with whatever a test wants it to say."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee
import httplib2
import numpy as np
from google.auth.credentials import AnonymousCredentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "http://service.invalid"

ALGORITHMS = Path(ee.__file__).parent / "tests" / "algorithms.json"


def _post(name: str, path: str) -> dict[str, Any]:
    return {
        "id": f"earthengine.projects.{name}",
        "path": f"v1/{{+project}}/{path}",
        "flatPath": f"v1/projects/{{projectsId}}/{path}",
        "httpMethod": "POST",
        "parameterOrder": ["project"],
        "parameters": {
            "project": {
                "type": "string",
                "required": True,
                "location": "path",
                "pattern": "^projects/[^/]+$",
            }
        },
        "request": {"$ref": "Any"},
        "response": {"$ref": "Any"},
    }


def discovery() -> dict[str, Any]:
    listing = _post("algorithms.list", "algorithms")
    listing["httpMethod"] = "GET"
    listing["path"] = "v1/{+parent}/algorithms"
    listing["parameterOrder"] = ["parent"]
    listing["parameters"] = {"parent": listing["parameters"]["project"]}
    del listing["request"]
    resources = {
        "algorithms": {"methods": {"list": listing}},
        "image": {
            "methods": {"computePixels": _post("image.computePixels", "image:computePixels")}
        },
        "value": {"methods": {"compute": _post("value.compute", "value:compute")}},
    }
    return {
        "kind": "discovery#restDescription",
        "name": "earthengine",
        "version": "v1",
        "rootUrl": URL,
        "servicePath": "",
        "baseUrl": URL,
        "batchPath": "batch",
        "parameters": {"prettyPrint": {"type": "boolean", "location": "query"}},
        "schemas": {"Any": {"id": "Any", "type": "object", "properties": {}}},
        "resources": {"projects": {"resources": resources}},
    }


class RefusalError(Exception):
    """An error in the service's own form."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass
class FakeService:
    """The client's HTTP transport.

    `pixels` gets the body of a computePixels request and gives NPY bytes, or raises a
    `RefusalError` or an `OSError`; `value` gets the body of a value:compute request and gives JSON.
    """

    pixels: Callable[[dict[str, Any]], bytes] = lambda body: b""
    value: Callable[[dict[str, Any]], Any] = lambda body: 1
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any
    ) -> tuple[httplib2.Response, bytes]:
        if "discovery" in uri:
            return answer(200, json.dumps(discovery()).encode())
        if "/algorithms" in uri:
            return answer(200, ALGORITHMS.read_bytes())
        kind = uri.split("?")[0].rpartition("/")[2]
        sent = json.loads(body)
        with self.lock:
            self.requests.append((kind, sent))
        try:
            if kind == "image:computePixels":
                return answer(200, self.pixels(sent), "application/octet-stream")
            return answer(200, json.dumps({"result": self.value(sent)}).encode())
        except RefusalError as refusal:
            error = {"code": refusal.code, "message": str(refusal), "status": "REFUSED"}
            return answer(refusal.code, json.dumps({"error": error}).encode())

    def count(self, kind: str) -> int:
        return sum(1 for name, _ in self.requests if name == kind)


def answer(
    status: int, content: bytes, kind: str = "application/json"
) -> tuple[httplib2.Response, bytes]:
    return httplib2.Response({"status": str(status), "content-type": kind}), content


@contextmanager
def client_of(service: FakeService) -> Iterator[FakeService]:
    """Point the stock client at a service, and forget it afterwards."""
    ee.deprecation.deprecated_assets = {"_": None}
    ee.Initialize(
        credentials=AnonymousCredentials(), project="local", url=URL, http_transport=service
    )
    try:
        yield service
    finally:
        ee.data.reset()


def npy(names: tuple[str, ...], shape: tuple[int, int], **bands: Any) -> bytes:
    """Pixels as the service sends them: a structured array, features float32, codes integers."""
    integers = {"water": np.uint8, "water_count": np.uint16, "clear_count": np.uint16}
    integers |= dict.fromkeys(("sun_north", "sun_east", "sun_elevation"), np.int16)
    kinds = [(name, integers.get(name, np.float32)) for name in names]
    pixels = np.zeros(shape, kinds)
    for name, values in bands.items():
        pixels[name] = values
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()
