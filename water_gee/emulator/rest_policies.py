"""Routes of policies: who may read and write an asset. They are kept and shown, and bind nobody.

The emulator knows one caller, who owns everything. An image inside a collection has its
collection's policy; the service refuses one of its own in the words used here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from water_gee.emulator.assets import (
    IMAGE,
    IMAGE_COLLECTION,
    canonical_id,
    is_public,
    parent_of,
    rest_name,
)
from water_gee.emulator.errors import (
    asset_missing,
    bad_request,
    in_collection,
    policy_changed,
    read_only,
)

if TYPE_CHECKING:
    import sqlite3

    from water_gee.emulator.routes import Request
    from water_gee.emulator.service import Service

OWNER, EDITOR, VIEWER = "roles/owner", "roles/editor", "roles/viewer"
CALLER = "user:you@local.invalid"

MAX_POLICY_BYTES = 65_536
"""Longest policy taken; the reference says «a few 10s of KB»."""

_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|(user|group|serviceAccount):[^\s@:]+@[^\s@:]+\.[^\s@:]+"
    r"|domain:[^\s@:]+\.[^\s@:]+|project(Owner|Editor|Viewer):[a-z][a-z0-9\-]*"
)

_TABLE = """
CREATE TABLE policies (id TEXT PRIMARY KEY, bindings TEXT NOT NULL)
"""
_WITH_ITS_ASSET = """
CREATE TRIGGER policies_end AFTER DELETE ON assets
BEGIN DELETE FROM policies WHERE id = OLD.id; END
"""


def get_policy(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Show an asset's policy."""
    del request
    return _shown(_stored(service, _policed(service, name)))


def set_policy(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Replace an asset's policy; its owner stays."""
    asset_id = _policed(service, name)
    given = request.message.get("policy")
    if not isinstance(given, Mapping):
        raise bad_request("policy: expected an object.")
    bindings = _checked(given.get("bindings") or [])
    with service.catalog.database.transaction() as connection:
        etag = given.get("etag")
        if etag and etag != _shown(_stored(service, asset_id))["etag"]:
            raise policy_changed()
        if not _has_table(connection):
            connection.execute(_TABLE)
            connection.execute(_WITH_ITS_ASSET)
        connection.execute(
            "INSERT OR REPLACE INTO policies (id, bindings) VALUES (?, ?)",
            (asset_id, json.dumps(bindings)),
        )
    return _shown(bindings)


def _policed(service: Service, name: str) -> str:
    """The id of an asset that has a policy of its own.

    Raises:
        ServiceError: 404: there is none; 403: it is public; 400: it has its collection's.
    """
    asset_id = canonical_id(name)
    record = service.catalog.record(asset_id)
    if record is None:
        raise asset_missing(rest_name(asset_id))
    if is_public(asset_id):
        raise read_only(rest_name(asset_id))
    parent = service.catalog.record(parent_of(asset_id))
    if record.type == IMAGE and parent is not None and parent.type == IMAGE_COLLECTION:
        raise in_collection(asset_id)
    return asset_id


def _stored(service: Service, asset_id: str) -> list[dict[str, Any]]:
    connection = service.catalog.database.connection()
    row = None
    if _has_table(connection):
        row = connection.execute(
            "SELECT bindings FROM policies WHERE id = ?", (asset_id,)
        ).fetchone()
    found: list[dict[str, Any]] = [] if row is None else json.loads(row["bindings"])
    return found or [{"role": OWNER, "members": [CALLER]}]


def _has_table(connection: sqlite3.Connection) -> bool:
    row = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'policies'"
    ).fetchone()
    return row is not None


def _shown(bindings: list[dict[str, Any]]) -> dict[str, Any]:
    mark = hashlib.sha256(json.dumps(bindings).encode()).hexdigest()[:16]
    return {"version": 1, "etag": mark, "bindings": bindings}


def _checked(given: Any) -> list[dict[str, Any]]:
    """Bindings in order of their roles, the owner's among them.

    Raises:
        ServiceError: 400: a role or member that is none, or too many.
    """
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
        raise bad_request("policy.bindings: expected a list of objects.")
    members: dict[str, set[str]] = {OWNER: {CALLER}}
    for binding in given:
        role = binding.get("role")
        if role not in (OWNER, EDITOR, VIEWER):
            raise bad_request(f"Role {role} is not supported for this resource.")
        for member in binding.get("members") or []:
            if not isinstance(member, str) or not _MEMBER.fullmatch(member):
                raise bad_request(f"Invalid member '{member}' in the policy.")
            members.setdefault(role, set()).add(member)
    bindings: list[dict[str, Any]] = [
        {"role": role, "members": sorted(members[role])} for role in sorted(members)
    ]
    if len(json.dumps(bindings)) > MAX_POLICY_BYTES:
        raise bad_request(f"The policy is larger than {MAX_POLICY_BYTES} bytes.")
    return bindings
