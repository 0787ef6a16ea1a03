"""Routes of assets: made, shown, listed, changed, deleted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from water_gee.emulator.assetfilter import parse_filter
from water_gee.emulator.assets import (
    FOLDER,
    IMAGE,
    IMAGE_COLLECTION,
    AssetRecord,
    canonical_id,
    is_public,
    is_root,
    milliseconds,
    rest_name,
)
from water_gee.emulator.errors import asset_missing, bad_request, read_only
from water_gee.emulator.rest_tasks import page

if TYPE_CHECKING:
    from water_gee.emulator.routes import Request
    from water_gee.emulator.service import Service

CREATABLE = (FOLDER, IMAGE_COLLECTION)

_PROPERTY_PATH = re.compile(r'properties\.(?:"(.+)"|(.+))')
_TIME_FIELDS = {
    "start_time": "startTime",
    "startTime": "startTime",
    "end_time": "endTime",
    "endTime": "endTime",
}


def get(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Show an asset."""
    del request
    return _found(service, name).to_rest()


def _found(service: Service, name: str) -> AssetRecord:
    asset_id = canonical_id(name)
    record = service.catalog.record(asset_id)
    if record is None:
        raise asset_missing(rest_name(asset_id))
    return record


def list_root(service: Service, name: str, request: Request) -> dict[str, Any]:
    """List what lies in a project's root folder."""
    return list_assets(service, f"{name}/assets", request)


def list_assets(service: Service, name: str, request: Request) -> dict[str, Any]:
    """List what lies right below a folder or image collection."""
    record = _found(service, name)
    if record.type == IMAGE:
        raise bad_request(f"Asset '{record.id}' is not a folder or an image collection.")
    passes = parse_filter(request.query.get("filter") or "")
    children = [child for child in service.catalog.children(record.id) if passes(child)]
    found, token = page(children, request)
    full = request.query.get("view") != "BASIC"
    shown: dict[str, Any] = {"assets": [child.to_rest(full=full) for child in found]}
    return shown if token is None else {**shown, "nextPageToken": token}


def create(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Make an empty folder or image collection."""
    path = request.query.get("assetId") or ""
    asset_id = canonical_id(f"{name}/assets/{path}")
    service.faults.check("projects.assets.create", asset_id)
    _check_writable(asset_id)
    kind = request.message.get("type")
    if kind not in CREATABLE:
        raise bad_request(
            f"Asset type {kind!r} cannot be created empty; use {' or '.join(CREATABLE)}."
        )
    properties = request.message.get("properties") or {}
    return service.catalog.create_container(asset_id, kind, _properties(properties)).to_rest()


def _check_writable(asset_id: str) -> None:
    if is_public(asset_id):
        raise read_only(rest_name(asset_id))
    if is_root(asset_id):
        raise bad_request(f"'{asset_id}' is a root folder; it is there without being made.")


def delete(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Remove an asset."""
    del request
    record = _found(service, name)
    _check_writable(record.id)
    service.catalog.delete(record.id)
    return {}


def patch(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Change properties or times of an asset: those the mask names, all where it names none."""
    record = _found(service, name)
    _check_writable(record.id)
    given = request.message.get("asset") or {}
    if not isinstance(given, Mapping):
        raise bad_request("asset: expected an object.")
    paths = _paths(request.message.get("updateMask"))
    return service.catalog.update(
        record.id, lambda current: _changed(current, given, paths)
    ).to_rest()


def _paths(mask: Any) -> list[str]:
    paths = mask.get("paths") if isinstance(mask, Mapping) else mask
    if isinstance(paths, str):
        paths = paths.split(",")
    return [str(path) for path in paths or ("properties", "start_time", "end_time")]


def _changed(record: AssetRecord, given: Mapping[str, Any], paths: list[str]) -> AssetRecord:
    new = _properties(given.get("properties") or {})
    properties = dict(record.properties)
    start, end = record.start_time, record.end_time
    for path in paths:
        match = _PROPERTY_PATH.fullmatch(path)
        if path == "properties":
            properties = new
        elif match is not None:
            key = match[1] or match[2]
            properties.pop(key, None)
            if key in new:
                properties[key] = new[key]
        elif path in _TIME_FIELDS:
            text = given.get(path) or given.get(_TIME_FIELDS[path])
            time = None if text is None else _time(str(text), path)
            start, end = (time, end) if "start" in path else (start, time)
        else:
            raise bad_request(f"updateMask: '{path}' cannot be updated.")
    return replace(record, properties=properties, start_time=start, end_time=end)


def _time(text: str, path: str) -> int:
    try:
        return milliseconds(text)
    except ValueError:
        raise bad_request(f"asset.{path}: '{text}' is no time.") from None


def _properties(given: Any) -> dict[str, Any]:
    """Return properties without those set to null."""
    if not isinstance(given, Mapping):
        raise bad_request("asset.properties: expected an object.")
    return {str(name): value for name, value in given.items() if value is not None}
