"""Asset ids and what stands under them."""

from __future__ import annotations

import re
from typing import Any

from ee import EEException, data

from water_gee import session
from water_gee.deploy.service import asking
from water_gee.errors import AssetIdError

JOB = "water_gee_job"
"""The property by which an asset says what it is a result of."""

_PROJECT = r"projects/(?:[a-z0-9.\-]+:)?[a-z][a-z0-9\-]*/assets"
_LEGACY = r"users/[A-Za-z0-9_.\-]+"
_ROOT = re.compile(rf"(?:{_PROJECT}|{_LEGACY})(?=/)")
_PART = re.compile(r"[A-Za-z0-9_\-]+")
_LONGEST = 100

NOT_FOUND = 404


def check_id(asset_id: str) -> str:
    """Check an asset id before anything is asked of the service.

    Returns:
        The id, without a slash at its end.

    Raises:
        AssetIdError: The service would not take it; the message says why.
    """
    if not isinstance(asset_id, str) or not asset_id.strip():
        raise AssetIdError(f"{asset_id!r} is no asset id; give projects/YOUR-PROJECT/assets/water")
    trimmed = asset_id.strip().rstrip("/")
    root = _ROOT.match(trimmed)
    if root is None:
        raise AssetIdError(
            f"{asset_id!r} is no asset id; it begins with projects/YOUR-PROJECT/assets/ or "
            "users/YOUR-NAME/ and goes on with a name"
        )
    for part in trimmed[root.end() + 1 :].split("/"):
        if not _PART.fullmatch(part) or len(part) > _LONGEST:
            raise AssetIdError(
                f"{asset_id!r}: {part!r} is no name of an asset or folder; use 1 to {_LONGEST} "
                "letters, digits, _ and -"
            )
    return trimmed


def look_up(asset_id: str) -> dict[str, Any] | None:
    """What stands under an id, or None.

    Raises:
        DeployError: The service refused.
    """
    with asking(f"cannot look up {asset_id}"):
        try:
            found: dict[str, Any] = data.getAsset(asset_id)
        except EEException as error:
            if session.http_status(error) == NOT_FOUND:
                return None
            raise
    return found


def children(asset_id: str) -> dict[str, dict[str, Any]]:
    """What lies right below a collection or folder, by id.

    Raises:
        DeployError: The service refused.
    """
    with asking(f"cannot list {asset_id}"):
        listed: list[dict[str, Any]] = data.listAssets({"parent": asset_id})["assets"]
    return {f"{asset_id}/{str(asset['name']).rpartition('/')[2]}": asset for asset in listed}


def remove(asset_id: str) -> None:
    """Remove an asset.

    Raises:
        DeployError: The service refused.
    """
    with asking(f"cannot remove {asset_id}"):
        data.deleteAsset(asset_id)


def job_of(asset: dict[str, Any]) -> str | None:
    """The job that an asset is the result of, if it is one of ours."""
    job = asset.get("properties", {}).get(JOB)
    return str(job) if job is not None else None


def check_parent(asset_id: str) -> None:
    """Make sure that there is a folder to put an asset into.

    Raises:
        AssetIdError: There is none.
    """
    parent = asset_id.rpartition("/")[0]
    root = _ROOT.match(asset_id)
    if root is not None and root.group() == parent:
        return
    if look_up(parent) is None:
        raise AssetIdError(
            f"{asset_id}: there is no folder {parent}; make it with "
            f"`earthengine create folder {parent}`"
        )


def make_collection(asset_id: str) -> None:
    """Make an empty image collection.

    Raises:
        DeployError: The service refused.
    """
    with asking(f"cannot make the collection {asset_id}"):
        data.createAsset({"type": "IMAGE_COLLECTION"}, asset_id)
