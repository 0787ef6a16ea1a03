"""The images of a season one by one: what they are called, whose they are, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
import shapely
import shapely.geometry

from water_gee.errors import DownloadError, EmptySeasonError
from water_gee.imagery import composite
from water_gee.imagery import sensors as products
from water_gee.imagery.retries import attempts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

    from water_gee.imagery.grid import Cell
    from water_gee.imagery.recipe import Recipe
    from water_gee.imagery.sensors import Sensor

PAGE = 1000
"""Images asked for at once; the service gives no more than 5,000 elements of a collection."""

_SLACK = 0.05
"""Degrees around a footprint: its edges are geodesics, and are taken for straight lines here."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """An image of one sensor.

    Attributes:
        name: Its index in its collection, which says path and row, or MGRS tile, and date.
        sensor: As a recipe names it.
        footprint: Degrees; None where it is unknown, unbounded or crosses 180°.
    """

    name: str
    sensor: str
    footprint: BaseGeometry | None

    def reached(self, cells: Sequence[Cell]) -> list[Cell]:
        """The cells that it may have pixels of."""
        if self.footprint is None:
            return list(cells)
        shapely.prepare(self.footprint)
        boxes = shapely.box(*np.array([cell.bounds for cell in cells]).T)
        reached = shapely.intersects(self.footprint, boxes)
        return [cell for cell, yes in zip(cells, reached, strict=True) if yes]


def acquisitions(recipe: Recipe, area: Any) -> list[Acquisition]:
    """List the images of a recipe's season over an area, sensor by sensor, by name.

    Args:
        recipe: Sensors, years and months.
        area: EPSG:4326.

    Raises:
        DownloadError: Two images have the same name.
    """
    region = composite.boxes(area)
    found: dict[str, Acquisition] = {}
    for name in recipe.sensors:
        for each in _listed(products.sensor(name), recipe, region):
            if each.name in found:
                raise DownloadError(
                    f"two images are called {each.name}, of {found[each.name].sensor} and of "
                    f"{each.sensor}; download these sensors into stores of their own"
                )
            found[each.name] = each
    return list(found.values())


def _listed(sensor: Sensor, recipe: Recipe, region: ee.Geometry) -> Iterator[Acquisition]:
    collection = composite.images(sensor, recipe).filterBounds(region)

    def about(image: Any) -> Any:
        one = ee.Image(image)
        return ee.Feature(one.geometry(), {"name": one.get("system:index")})

    start = 0
    while True:
        page = attempts(collection.toList(PAGE, start).map(about).getInfo)
        ordered = sorted(page, key=lambda feature: str(feature["properties"]["name"]))
        for feature in ordered:
            name = str(feature["properties"]["name"])
            yield Acquisition(name, sensor.name, _footprint(feature.get("geometry")))
        if len(page) < PAGE:
            return
        start += PAGE


def _footprint(geometry: Any) -> BaseGeometry | None:
    if not isinstance(geometry, dict) or not geometry.get("coordinates"):
        return None
    if geometry["type"] in ("LinearRing", "LineString"):
        geometry = {"type": "Polygon", "coordinates": [geometry["coordinates"]]}
    shape = shapely.make_valid(shapely.geometry.shape(geometry))
    west, _, east, _ = shape.bounds
    beyond = west < -180 or east > 180
    return None if not shape.area or beyond or east - west > 180 else shape.buffer(_SLACK)


def check_season(recipe: Recipe, area: Any) -> None:
    """Ask for the number of images before asking for tiles.

    Args:
        recipe: Sensors, years, months and how cloudy.
        area: EPSG:4326.

    Raises:
        EmptySeasonError: None; it says whether there is one at another time.
        SessionError: Nobody answers, or the account is refused.
    """
    region = composite.boxes(area)

    def count(any_time: bool) -> int:
        scenes = composite.scenes(recipe, any_time=any_time).filterBounds(region)
        return int(attempts(scenes.limit(1).size().getInfo))

    if count(any_time=False):
        return
    west, south, east, north = area.bounds
    where = f"the area (W {west:.3f}, S {south:.3f}, E {east:.3f}, N {north:.3f})"
    sensors = ", ".join(recipe.sensors)
    if not count(any_time=True):
        raise EmptySeasonError(
            f"no image of {sensors} at any time over {where}: it lies outside all images of this "
            "catalogue; choose another area or sensor, or ingest scenes of it"
        )
    fields = "`months`, `years` or `sensors`"
    if recipe.max_cloud is not None:
        fields += ", or a higher `max_cloud`,"
    raise EmptySeasonError(
        f"no image of {sensors} in {recipe.season_text} over {where}; widen it with more {fields} "
        "in the recipe"
    )
