"""What is sent to make a map: the network over the composite of a year, cut to a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ee
from ee import batch, data

from water_gee.deploy import graft
from water_gee.deploy.build_ee import WATER_BAND
from water_gee.deploy.limits import check_size
from water_gee.deploy.service import asking
from water_gee.errors import DeployError
from water_gee.imagery import composite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from water_gee.deploy.plan import Map
    from water_gee.deploy.tiles import Area
    from water_gee.imagery.recipe import Recipe

_INSET = 0.01
"""Pixels by which the exported region keeps from the edge of its outermost pixels: a region that
ends on an edge exactly could be rounded to one more row."""

KEPT = 2
"""Years whose networks are kept encoded; tasks are sent year by year."""


class Requests:
    """Sends the exports of a deployment.

    Args:
        image: From a recipe to the network over its composite, with all bands that are exported.
        overwrite: Whether images there may be replaced.
    """

    def __init__(self, image: Callable[[Recipe], ee.Image], *, overwrite: bool) -> None:
        self._image = image
        self._overwrite = overwrite
        self._stocks: dict[Recipe, dict[str, Any]] = {}

    def request(self, wanted: Map) -> dict[str, Any]:
        """The body of an `ExportImageRequest`."""
        prepared = self._prepared(wanted)
        request = dict(prepared.config or {})
        request["expression"] = graft.graft(self._stock(wanted.recipe), request["expression"])
        return request

    def send(self, wanted: Map, request_id: str) -> dict[str, Any]:
        """Start an export; the same id again starts nothing anew.

        Returns:
            The operation.

        Raises:
            DeployError: The service refused.
        """
        with asking(f"cannot export {wanted.asset_id}"):
            operation: dict[str, Any] = data.exportImage(request_id, self.request(wanted))
        return operation

    def check_size(self, wanted: Map) -> None:
        """Refuse a request that the service would not take.

        Raises:
            DeployError: It is too large, or nested too deep.
        """
        check_size(self.request(wanted)["expression"], f"the request for {wanted.asset_id}")

    def _stock(self, recipe: Recipe) -> dict[str, Any]:
        if recipe not in self._stocks:
            while len(self._stocks) >= KEPT:
                del self._stocks[next(iter(self._stocks))]
            self._stocks[recipe] = graft.stock(self._image(recipe))
        return self._stocks[recipe]

    def _prepared(self, wanted: Map) -> batch.Task:
        """The export over a placeholder, not started."""
        tile = wanted.tile
        grid = tile.grid
        step, (rows, cols) = grid.transform, grid.shape
        image = graft.placeholder()
        if not tile.area.is_rectangle:
            image = image.clip(ee.Geometry(tile.area.outline, geodesic=False))
        west, north = grid.point(_INSET, _INSET)
        east, south = grid.point(rows - _INSET, cols - _INSET)
        return batch.Export.image.toAsset(
            image=ee.Image(image.set(wanted.properties)),
            description=wanted.description,
            assetId=wanted.asset_id,
            pyramidingPolicy={".default": "mean", WATER_BAND: "mode"},
            region=ee.Geometry.Rectangle([west, south, east, north], None, False),
            crs=grid.crs,
            crsTransform=[step.a, step.b, step.c, step.d, step.e, step.f],
            # Twice, should the service count a row more than there is.
            maxPixels=2 * rows * cols,
            overwrite=self._overwrite,
        )


def check_season(recipes: Iterable[Recipe], area: Area) -> None:
    """Make sure that every year has an image over the area, before anything is exported.

    Raises:
        DeployError: One has none; it says which, and whether there is one at any time.
    """
    given = list(recipes)
    west, south, east, north = area.grid.bounds
    region = ee.Geometry.Rectangle([west, south, east, north], None, False)

    def count(recipe: Recipe, any_time: bool) -> Any:
        return composite.scenes(recipe, any_time=any_time).filterBounds(region).limit(1).size()

    with asking("cannot count the images over the area"):
        counts = ee.List([count(recipe, False) for recipe in given]).getInfo() or []
        empty = [recipe for recipe, number in zip(given, counts, strict=True) if not number]
        if not empty:
            return
        ever = ee.Number(count(empty[0], True)).getInfo()
    where = f"the area (W {west:.3f}, S {south:.3f}, E {east:.3f}, N {north:.3f})"
    sensors = ", ".join(empty[0].sensors)
    if not ever:
        raise DeployError(
            f"no image of {sensors} at any time over {where}: it lies outside the collection; give "
            "another area"
        )
    years = sorted({year for recipe in empty for year in recipe.years})
    season = empty[0].replace(years=years).season_text
    raise DeployError(f"no image of {sensors} in {season} over {where}; give other years")
