"""Water maps that Earth Engine serves by name, as references on a map's own grid.

| name | asset | water is |
|---|---|---|
| `jrc-yearly` | `JRC/GSW1_4/YearlyHistory` | `waterClass` 2 seasonal, 3 permanent; 0 no data |
| `jrc` | `JRC/GSW1_4/GlobalSurfaceWater` | `occurrence` at least 50%; masked is never water |
| `dynamic-world` | `GOOGLE/DYNAMICWORLD/V1` | `label` 0 in more than half of the observations |

Sources: Pekel, J.-F. et al. (2016), High-resolution mapping of global surface water and its
long-term changes, Nature 540, 418-422; Brown, C. F. et al. (2022), Dynamic World, Near real-time
global 10 m land use land cover mapping, Scientific Data 9, 251.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform_bounds

from water_gee import session
from water_gee.errors import DownloadError, RasterError
from water_gee.imagery import season as seasons
from water_gee.imagery.request import MAX_REQUEST_BYTES, request_pixels
from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.windows import Window

NAMES = {
    "jrc-yearly": "JRC/GSW1_4/YearlyHistory",
    "jrc": "JRC/GSW1_4/GlobalSurfaceWater",
    "dynamic-world": "GOOGLE/DYNAMICWORLD/V1",
}
"""Short name -> asset."""

OCCURRENCE = 50
"""Percent of observations from which `jrc` is water."""


def asset_of(name: str) -> str | None:
    """The asset that a short name or an asset id means; None for anything else."""
    if name.lower() in NAMES:
        return NAMES[name.lower()]
    return name if name in NAMES.values() else None


def is_name(reference: Path | str) -> bool:
    """Whether a reference is one by name, and no file of that name is there."""
    return asset_of(str(reference)) is not None and not Path(reference).exists()


@dataclass(frozen=True, slots=True)
class Served:
    """A reference that the connected service computes, window by window.

    Attributes:
        name: The asset, and the years.
        grid: That of the map.
        image: One band `water`: 0, 1, 255.
    """

    name: str
    grid: Any
    image: Any

    def read(self, window: Window) -> npt.NDArray[np.uint8]:
        """Fetch a window; see `references.Reference`.

        Raises:
            DownloadError: The service refuses, or answers something else.
            SessionError: It has gone.
        """
        from ee.ee_exception import EEException

        if window.height * window.width > MAX_REQUEST_BYTES:
            raise DownloadError(f"a window of {window.height} x {window.width} is too large to ask")
        part = self.grid.window(window.row, window.col, window.height, window.width)
        try:
            with session.talking():
                pixels = request_pixels(self.image, ("water",), part)
        except (EEException, DownloadError) as error:
            raise DownloadError(f"{self.name}: {' '.join(str(error).split())}") from error
        values = np.asarray(pixels["water"], dtype=np.uint8)
        if not np.isin(values, (LAND, WATER, NOT_OBSERVED)).all():
            raise DownloadError(f"{self.name}: the answer holds other values than 0, 1 and 255")
        return values


def served(
    name: str, chart: WaterMap, years: Sequence[int] | None, months: Sequence[int] | None
) -> Served:
    """Find a reference on the connected service.

    Args:
        name: A short name or an asset id of `NAMES`.
        chart: The map.
        years: Of the reference; by default those of the map's recipe.
        months: Of Dynamic World, in the order of a recipe's; by default those of the map's recipe,
            else all.

    Raises:
        DownloadError: The service has no such asset, or nothing of those years.
        RasterError: The years are not known.
        SessionError: No service.
    """
    import ee
    from ee import data
    from ee.ee_exception import EEException

    asset = asset_of(name) or name
    connected = session.ensure()
    try:
        with session.talking():
            data.getAsset(asset)
    except EEException as error:
        raise DownloadError(
            f"this service ({connected.url}) has no {asset}; connect to Google's Earth Engine "
            "(--project), or compare with a file"
        ) from error
    if asset == NAMES["jrc"]:
        return Served(asset, chart.grid, _codes(_always(asset)))
    when = _years(chart, years, asset)
    if asset == NAMES["jrc-yearly"]:
        found = ee.ImageCollection(asset).filter(ee.Filter.inList("year", when))
        water = found.map(_seasonal_or_permanent)
    else:
        found = _dynamic_world(asset, chart, when, months)
        water = found.map(_labelled_water)
    shown = ", ".join(map(str, when))
    try:
        with session.talking():
            count = int(found.limit(1).size().getInfo())
    except EEException as error:
        raise DownloadError(f"{asset}: {' '.join(str(error).split())}") from error
    if not count:
        raise DownloadError(f"{asset} has no image of {shown} here; choose other `years`")
    return Served(f"{asset} {shown}", chart.grid, _codes(water.mean().gt(0.5)))


def _years(chart: WaterMap, years: Sequence[int] | None, asset: str) -> list[int]:
    found = years if years is not None else chart.recipe.get("years")
    if not found:
        raise RasterError(
            f"{chart.path} does not say which years it shows; say which of {asset} to compare with"
        )
    return [int(year) for year in found]


def _codes(water: Any) -> Any:
    """One band `water`: 0, 1, and 255 where the image is masked."""
    return water.rename(["water"]).toByte().unmask(NOT_OBSERVED, False)


def _always(asset: str) -> Any:
    import ee

    return ee.Image(asset).select(["occurrence"]).unmask(0, False).gte(OCCURRENCE)


def _seasonal_or_permanent(image: Any) -> Any:
    import ee

    said = ee.Image(image).select(["waterClass"])
    return said.gte(2).updateMask(said.gt(0))


def _labelled_water(image: Any) -> Any:
    import ee

    return ee.Image(image).select(["label"]).eq(0)


def _dynamic_world(
    asset: str, chart: WaterMap, years: Sequence[int], months: Sequence[int] | None
) -> Any:
    import ee

    wanted = months if months is not None else chart.recipe.get("months") or range(1, 13)
    spans = seasons.spans(years, seasons.ordered(int(month) for month in wanted))
    filters = [ee.Filter.date(str(first), str(after)) for first, after in spans]
    west, south, east, north = transform_bounds(
        CRS.from_user_input(chart.grid.crs), CRS.from_epsg(4326), *chart.grid.bounds
    )
    region = ee.Geometry.BBox(west, south, east, north)
    when = filters[0] if len(filters) == 1 else ee.Filter.Or(*filters)
    return ee.ImageCollection(asset).filter(when).filterBounds(region)
