"""The images of a season one by one: what they are called, whose they are, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
import shapely
import shapely.geometry

from water_gee.errors import DownloadError
from water_gee.imagery import composite
from water_gee.imagery import sensors as products

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    def reaches(self, cell: Cell) -> bool:
        """Whether it may have pixels of a cell."""
        return self.footprint is None or bool(self.footprint.intersects(cell.polygon))


def acquisitions(
    recipe: Recipe, area: Any, attempts: Callable[[Callable[[], Any]], Any]
) -> list[Acquisition]:
    """List the images of a recipe's season over an area, sensor by sensor, by name.

    Args:
        recipe: Sensors, years and months.
        area: EPSG:4326.
        attempts: Calls the service until it answers.

    Raises:
        DownloadError: Two images have the same name.
    """
    region = composite.boxes(area)
    found: dict[str, Acquisition] = {}
    for name in recipe.sensors:
        for each in _listed(products.sensor(name), recipe, region, attempts):
            if each.name in found:
                raise DownloadError(
                    f"two images are called {each.name}, of {found[each.name].sensor} and of "
                    f"{each.sensor}; download these sensors into stores of their own"
                )
            found[each.name] = each
    return list(found.values())


def _listed(
    sensor: Sensor, recipe: Recipe, region: ee.Geometry, attempts: Callable[[Any], Any]
) -> Iterator[Acquisition]:
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
