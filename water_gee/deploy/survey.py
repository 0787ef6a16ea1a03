"""What already stands where a deployment is to put its maps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from water_gee.deploy import assets
from water_gee.deploy.plan import BOX
from water_gee.deploy.tiles import CORNERS, Box
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from water_gee.deploy.plan import Map, Plan

IfExists = Literal["fail", "skip", "overwrite"]
IF_EXISTS: tuple[IfExists, ...] = ("fail", "skip", "overwrite")
"""What to do about assets of another model, recipe, year or area."""

_REMEDY = "give another id, if_exists='skip' to leave it, or if_exists='overwrite' to replace it"
_PARTS = re.compile(rf"(_({'|'.join(CORNERS)}))+$")


@dataclass(slots=True)
class Survey:
    """What was found.

    Attributes:
        jobs: Asset id -> its job; None for images of something else.
        missing: Maps that are not there.
        standing: Maps that are.
        skipped: Maps that are not made, because something else is in their place.
        replaced: Assets to remove once the maps stand: cut in another way, they would lie twice.
        has_target: Whether the target itself is there.
    """

    jobs: dict[str, str | None] = field(default_factory=dict)
    missing: list[Map] = field(default_factory=list)
    standing: list[Map] = field(default_factory=list)
    skipped: list[Map] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    has_target: bool = False


def survey(plan: Plan, if_exists: IfExists) -> Survey:
    """Look at the target and what lies in it.

    Raises:
        AssetIdError: There is no folder to put it into.
        DeployError: Something else is in the way, or the service refused.
    """
    target = assets.look_up(plan.target)
    found = Survey(has_target=target is not None)
    if target is None:
        assets.check_parent(plan.target)
        found.missing = list(plan)
        return found
    kind = target.get("type")
    if not plan.is_collection:
        if kind != "IMAGE":
            raise DeployError(
                f"{plan.target} is there and is no image ({kind}); give another id, or several "
                "years to put a collection there"
            )
        standing = {plan.target: target}
    elif kind not in {"IMAGE_COLLECTION", "FOLDER"}:
        raise DeployError(
            f"{plan.target} is there and is no collection ({kind}), but {len(plan)} maps need one; "
            "give another id"
        )
    else:
        standing = assets.children(plan.target)
    found.jobs = {name: assets.job_of(asset) for name, asset in standing.items()}
    boxes = _boxes(standing)
    for wanted in plan:
        _sort(wanted, found, standing, boxes, if_exists, plan.area.box)
    return found


def _sort(
    wanted: Map,
    found: Survey,
    standing: Mapping[str, Any],
    boxes: Mapping[str, tuple[str, Box]],
    if_exists: IfExists,
    whole: Box,
) -> None:
    """Enter one map as standing, missing or skipped.

    Raises:
        DeployError: Something is in its way and may not be replaced.
    """
    if found.jobs.get(wanted.asset_id) == wanted.job:
        found.standing.append(wanted)
        return
    here = standing.get(wanted.asset_id)
    if here is not None and here.get("type") != "IMAGE":
        raise DeployError(
            f"{wanted.asset_id} is there and is no image ({here.get('type')}); give another id"
        )
    ours = _part_jobs(wanted) if any(_PARTS.search(name) for name in boxes) else {}
    beside = [
        name
        for name, (years, box) in boxes.items()
        if name != wanted.asset_id
        and years == wanted.properties["years"]
        and box.meets(wanted.tile.box)
        and ours.get(name, "") != found.jobs[name]
    ]
    if here is None and not beside:
        found.missing.append(wanted)
    elif if_exists == "skip":
        found.skipped.append(wanted)
    elif if_exists == "overwrite":
        for name in beside:
            if not boxes[name][1].common(whole) == boxes[name][1]:
                raise DeployError(
                    f"{name} has some of the same pixels and reaches beyond this area; remove it "
                    "yourself, or give another id"
                )
        found.replaced += [name for name in beside if name not in found.replaced]
        found.missing.append(wanted)
    elif here is not None:
        raise DeployError(
            f"{wanted.asset_id} is there already, from another model, recipe, year or area; "
            f"{_REMEDY}"
        )
    else:
        raise DeployError(
            f"{beside[0]} has pixels of {wanted.asset_id} already, from another model or cut in "
            f"another way; give the same max_pixels as then, another id, or if_exists='overwrite' "
            "to replace it"
        )


def _boxes(standing: Mapping[str, Any]) -> dict[str, tuple[str, Box]]:
    """Asset id -> its years and pixels, for images of ours."""
    found = {}
    for name, asset in standing.items():
        properties = asset.get("properties", {})
        box = Box.read(properties.get(BOX)) if assets.job_of(asset) is not None else None
        if box is not None:
            found[name] = str(properties.get("years")), box
    return found


def _part_jobs(wanted: Map) -> dict[str, str]:
    """The jobs of a map's quarters and of theirs, by asset id."""
    found, todo = {}, list(wanted.quarters())
    while todo:
        part = todo.pop()
        found[part.asset_id] = part.job
        if len(found) < 64:
            todo += part.quarters()
    return found
