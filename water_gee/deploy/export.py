"""A trained model as water maps in Earth Engine: checked, exported, watched, taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
from ee import batch, serializer

from water_gee import session
from water_gee.deploy import assets, parity, tasks
from water_gee.deploy.build_ee import (
    MAX_NESTING,
    MAX_REQUEST_BYTES,
    WATER_BAND,
    measure,
    read_graph,
    to_ee,
)
from water_gee.deploy.plan import Area, Map, area_of, maps_of
from water_gee.deploy.service import asking
from water_gee.errors import DeployError, ExportFailedError
from water_gee.imagery.composite import feature_image
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from water_gee.deploy.graph import LayerGraph

_INSET = 0.01
"""Pixels by which the exported region keeps from the edge of its outermost pixels: a region that
ends on an edge exactly could be rounded to one more row."""

_DEFAULT_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a call of `deploy_to_gee` has led to.

    Attributes:
        assets: The ids of all maps, by year.
        tasks: The operations that make or made them, for those that did not stand before.
        standing: The ids of those that stood already.
        checked: How well the deployed network and Keras agree; None where nothing was exported.
    """

    assets: tuple[str, ...]
    tasks: tuple[str, ...]
    standing: tuple[str, ...]
    checked: parity.Agreement | None


def deploy_to_gee(
    model: TrainedModel | Path | str,
    asset_id: str,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    *,
    overwrite: bool = False,
    probability: bool = True,
    wait: bool = True,
    progress: bool = True,
) -> Deployment:
    """Export water maps made by a trained network inside Earth Engine.

    Before anything is exported the connected service is asked how it lays kernels, and the deployed
    network is held against Keras on one window of its own features. The maps lie on the lattice of
    the recipe, pixel for pixel where local maps lie, and cover whole cells. Maps that stand already
    are left, and tasks that still run are taken up again.

    Args:
        model: A trained model, or its file.
        asset_id: `projects/YOUR-PROJECT/assets/...`. With several years the collection that holds
            one asset for each, named by its year.
        aoi: The area, as `download_tiles` takes it. By default the cells the model was trained on.
        years: One map for each. By default one map of all the recipe's years together.
        overwrite: Whether to replace assets of another model, recipe, year or area.
        probability: Whether the maps have a band `probability`.
        wait: Whether to wait for the tasks.
        progress: Whether to draw a bar meanwhile.

    Returns:
        The assets and tasks.

    Raises:
        AssetIdError: The id is malformed, or its folder does not exist.
        AoiError: No area.
        ParityError: Deployed network and Keras disagree; nothing was exported.
        ExportFailedError: Tasks ended without an asset.
        DeployError: Something else stands there, or the service refused.
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
        RecipeError: A year that is none.
        SessionError: No service.
    """
    target = assets.check_id(asset_id)
    trained = resolve(model)
    graph = read_graph(trained.network)
    area = area_of(trained, aoi)
    maps = maps_of(trained, target, area, years, probability=probability)
    session.ensure()
    missing = [each for each in maps if not _stands(each, overwrite)]
    ids = tuple(each.asset_id for each in maps)
    standing = tuple(each.asset_id for each in maps if each not in missing)
    if not missing:
        return Deployment(ids, (), standing, None)
    running = tasks.active([each.description for each in missing])
    new = [each for each in missing if each.description not in running]
    checked = None
    if new:
        collection_lacks = len(maps) > 1 and assets.lacks_collection(target)
        if len(maps) == 1:
            assets.check_parent(target)
        checked = _check(trained, graph, new[0], area)
        if collection_lacks:
            assets.make_collection(target)
    exports = []
    for each in missing:
        task = running.get(each.description)
        if task is None:
            prepared = _prepared(each, _image(each, graph, area, probability), area, overwrite)
            if each is new[0]:  # the others differ in a year
                _check_size(prepared, each.asset_id)
            task = _started(prepared, each.asset_id)
        exports.append(tasks.Export(each.asset_id, task))
    if wait:
        tasks.watch(exports, progress=progress)
        _look_again(missing)
    return Deployment(ids, tuple(export.task for export in exports), standing, checked)


def _stands(wanted: Map, overwrite: bool) -> bool:
    """Whether the map is there already.

    Raises:
        DeployError: Something else is, and it may not be replaced.
    """
    standing = assets.look_up(wanted.asset_id)
    if standing is None:
        return False
    if assets.job_of(standing) == wanted.job:
        return True
    if standing.get("type") != "IMAGE":
        raise DeployError(
            f"{wanted.asset_id} is there and is no image ({standing.get('type')}); give another id"
        )
    if not overwrite:
        raise DeployError(
            f"{wanted.asset_id} is there already, from another model, recipe, year or area; give "
            "another id, or overwrite=True to replace it"
        )
    return False


def _check(trained: TrainedModel, graph: LayerGraph, first: Map, area: Area) -> parity.Agreement:
    """Probe and compare on the connected service."""
    features = _features(first)
    parity.probe_orientation(area.grid)
    view = parity.find_view(trained.network, features, area.cells)
    return parity.check_window(view, to_ee(graph, features))


def _features(wanted: Map) -> ee.Image:
    recipe = wanted.recipe
    features: ee.Image = feature_image(recipe).select(list(recipe.features))
    return features


def _image(wanted: Map, graph: LayerGraph, area: Area, probability: bool) -> ee.Image:
    """What is exported: the network over the composite, cut to the cells, with its properties."""
    image = to_ee(graph, _features(wanted), probability=probability)
    if not area.is_rectangle:
        image = image.clip(ee.Geometry(area.outline, geodesic=False))
    labelled: ee.Image = ee.Image(image.set(wanted.properties))
    return labelled


def _prepared(wanted: Map, image: ee.Image, area: Area, overwrite: bool) -> batch.Task:
    """The export of one map, not yet started."""
    step = area.grid.transform
    rows, cols = area.grid.shape
    west, north = area.grid.point(_INSET, _INSET)
    east, south = area.grid.point(rows - _INSET, cols - _INSET)
    return batch.Export.image.toAsset(
        image=image,
        description=wanted.description,
        assetId=wanted.asset_id,
        pyramidingPolicy={".default": "mean", WATER_BAND: "mode"},
        region=ee.Geometry.Rectangle([west, south, east, north], None, False),
        crs=area.grid.crs,
        crsTransform=[step.a, step.b, step.c, step.d, step.e, step.f],
        maxPixels=max(rows * cols * 2, _DEFAULT_MAX_PIXELS),
        overwrite=overwrite,
    )


def _started(task: batch.Task, asset_id: str) -> str:
    """Start an export; returns the operation's name."""
    with asking(f"cannot export {asset_id}"):
        task.start()
    return str(task.operation_name)


def _check_size(task: batch.Task, asset_id: str) -> None:
    size = measure(serializer.encode((task.config or {})["expression"]))
    if size.bytes > MAX_REQUEST_BYTES or size.nesting > MAX_NESTING:
        raise DeployError(
            f"the request for {asset_id} has {size.bytes:,} bytes and nests {size.nesting} deep; "
            f"the service takes {MAX_REQUEST_BYTES:,} and {MAX_NESTING}; map a simpler area, or "
            "use a smaller network"
        )


def _look_again(maps: list[Map]) -> None:
    """A task that says it succeeded must have left its asset.

    Raises:
        ExportFailedError: One has not.
    """
    lost = {}
    for each in maps:
        standing = assets.look_up(each.asset_id)
        if standing is None or assets.job_of(standing) != each.job:
            lost[each.asset_id] = "its task ended, but it is not there; run the same again"
    if lost:
        raise ExportFailedError(lost)
