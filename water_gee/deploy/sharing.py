"""Who may look at the maps: members of an asset's policy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ee import data

from water_gee.deploy.service import asking
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterable

VIEWER = "roles/viewer"
"""The role that reads (the client's own name for it in `setAssetAcl`)."""

_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|domain:[^\s@:]+\.[^\s@:]+"
    r"|(user|group|serviceAccount):[^\s@:]+@[^\s@:]+\.[^\s@:]+"
)


def check_readers(readers: str | Iterable[str]) -> tuple[str, ...]:
    """Check names before anything is asked of the service.

    Returns:
        Each once, in order.

    Raises:
        DeployError: One that no policy has.
    """
    given = [readers] if isinstance(readers, str) else list(readers)
    for reader in given:
        if not isinstance(reader, str) or not _MEMBER.fullmatch(reader):
            raise DeployError(
                f"readers: {reader!r} is nobody; write user:NAME@HOST, group:NAME@HOST, "
                "serviceAccount:NAME@HOST, domain:HOST, allAuthenticatedUsers or allUsers"
            )
    return tuple(dict.fromkeys(given))


def share(asset_id: str, readers: Iterable[str]) -> None:
    """Let others read an asset; who could before still can.

    Images inside a collection have its policy, so a collection is shared as a whole.

    Args:
        asset_id: An image, or a collection.
        readers: From `check_readers`.

    Raises:
        DeployError: The service refused.
    """
    wanted = set(readers)
    if not wanted:
        return
    with asking(f"cannot share {asset_id}"):
        policy: dict[str, Any] = data.getIamPolicy(asset_id)
        bindings: list[dict[str, Any]] = [dict(one) for one in policy.get("bindings", [])]
        viewers = next((one for one in bindings if one.get("role") == VIEWER), None)
        if viewers is None:
            viewers = {"role": VIEWER, "members": []}
            bindings.append(viewers)
        if wanted <= set(viewers.get("members", [])):
            return
        viewers["members"] = sorted({*viewers.get("members", []), *wanted})
        data.setIamPolicy(asset_id, {**policy, "bindings": bindings})
