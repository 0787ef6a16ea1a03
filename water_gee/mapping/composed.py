"""Features that a service composes while they are mapped: nothing is downloaded first.

Windows are asked for on the recipe's lattice, so that their pixels are those of its tiles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine

from water_gee import session
from water_gee.errors import AoiError, DownloadError, EmptySeasonError
from water_gee.imagery.acquisitions import check_season
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.grid import Lattice
from water_gee.imagery.request import request_pixels
from water_gee.imagery.retries import attempts, own_retries
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.raster import Header
from water_gee.windows import Grid, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from water_gee.imagery.aoi import Area
    from water_gee.imagery.recipe import Recipe

THREADS = 4
"""Windows asked for at once."""

INSIDE = "inside"
"""The band after the features: 1 in the area asked for, 0 outside."""

_DATABASE = "catalog.sqlite"
_ROUNDING = Fraction(1, 10**6)
"""Of a pixel: an area that reaches less far into it came from rounding."""


def is_catalog(source: Path | str) -> bool:
    """Whether a path is the folder of an emulator's catalogue."""
    return (Path(source) / _DATABASE).is_file()


@contextlib.contextmanager
def opened(
    source: session.Session | Path | str,
    recipe: Recipe,
    halo: int,
    aoi: Any,
    years: int | Iterable[int] | None,
) -> Iterator[tuple[Composed, Window]]:
    """Open a service's composite of an area; see `sources.opened`.

    Yields:
        The reader, and the area's rectangle inside it, which the halo surrounds.
    """
    from water_gee.imagery import composite

    if not isinstance(source, session.Session):
        _connect(Path(source))
    recipe = recipe.season
    if years is not None:
        recipe = recipe.replace(years=years if isinstance(years, int) else list(years))
    with own_retries(), _refusing():
        if aoi is None:
            if isinstance(source, session.Session) and source.catalog is None:
                raise AoiError("what area? A service has scenes of everywhere; give `aoi`")
            area = _footprint(recipe)
        else:
            area = read_aoi(aoi)
        check_season(recipe, area)
        reader = Composed(
            recipe, area, halo, composite.request_image(recipe), _scenes(recipe, area)
        )
        yield reader, reader.within


class Composed:
    """Windows of the features of an area, asked of the service.

    Attributes:
        header: The lattice's pixels around the area, and the bands: features, then `inside`.
        within: The area's rectangle.
        identity: Recipe, area and the scenes that the composite is made of.
        recipe: That of the composite, its years included.
    """

    threads = THREADS

    def __init__(self, recipe: Recipe, area: Area, halo: int, image: Any, scenes: str) -> None:
        self.recipe, self._area, self._image = recipe, area, image
        self._lattice = Lattice.of(recipe)
        west, north, east, south = _pixels(area, self._lattice)
        limits = self._lattice.limit(180), self._lattice.limit(90)
        self._left, self._top = max(west - halo, -limits[0]), min(north + halo, limits[1])
        right, bottom = min(east + halo, limits[0]), max(south - halo, -limits[1])
        self.within = Window(self._top - north, west - self._left, north - south, east - west)
        grid = self._grid(Window(0, 0, self._top - bottom, right - self._left))
        names = (*recipe.features, INSIDE)
        self.header = Header(grid, names, float("nan"), {}, "float32")
        self.identity = (
            recipe.digest(),
            area.wkt,
            hashlib.sha256(scenes.encode()).hexdigest(),
        )

    def read(self, window: Window) -> npt.NDArray[np.float32]:
        """Features and `inside` of a window, `float32 (band, row, col)`, NaN where not observed."""
        from water_gee.imagery import composite

        recipe, grid = self.recipe, self._grid(window)
        values = np.full((len(recipe.features) + 1, *grid.shape), np.nan, np.float32)
        values[-1] = 0
        if not self._area.intersects(shapely.box(*grid.bounds)):
            return values
        values[-1] = _inside(self._area, grid)
        names = (*recipe.features, composite.WATER)
        with _refusing():
            pixels = attempts(lambda: request_pixels(self._image, names, grid))
        seen = pixels[composite.WATER] != NOT_OBSERVED
        for band, name in enumerate(recipe.features):
            values[band] = np.where(seen, pixels[name], np.nan)
        return values

    def _grid(self, window: Window) -> Grid:
        """A window's own grid, from the lattice's integers."""
        step, degrees = self._lattice.degrees(1), self._lattice.degrees
        west, north = degrees(self._left + window.col), degrees(self._top - window.row)
        corner = Affine(step, 0.0, west, 0.0, -step, north)
        return Grid(self._lattice.crs, corner, (window.height, window.width))


def _pixels(area: Area, lattice: Lattice) -> tuple[int, int, int, int]:
    """The pixel edges around an area, counted from 0: west, north, east, south."""
    west, south, east, north = (
        Fraction(number) * lattice.pixels / lattice.cell for number in area.bounds
    )
    left, low = math.floor(west + _ROUNDING), math.floor(south + _ROUNDING)
    right, high = math.ceil(east - _ROUNDING), math.ceil(north - _ROUNDING)
    if right <= left or high <= low:
        raise AoiError("the area is smaller than a pixel")
    return left, high, right, low


def _inside(area: Area, grid: Grid) -> npt.NDArray[np.bool_]:
    """The pixels whose centre lies in an area or on its edge.

    rasterio.features.geometry_mask does nearly the same, but hides a warning of its own in a way
    that other threads undo.
    """
    box = shapely.box(*grid.bounds)
    if area.contains(box):
        return np.ones(grid.shape, bool)
    own = shapely.from_wkb(area.wkb)  # what `prepare` makes is not to be shared by threads
    shapely.prepare(own)
    (rows, cols), t = grid.shape, grid.transform
    x, y = t.c + t.a * (np.arange(cols) + 0.5), t.f + t.e * (np.arange(rows) + 0.5)
    return shapely.intersects_xy(own, x[np.newaxis], y[:, np.newaxis])


def _footprint(recipe: Recipe) -> Area:
    """The ground that the season's scenes cover.

    Raises:
        EmptySeasonError: There is none.
    """
    from water_gee.imagery import composite

    scenes = composite.scenes(recipe)
    if not attempts(scenes.limit(1).size().getInfo):
        raise EmptySeasonError(
            f"the catalogue has no image of {', '.join(recipe.sensors)} in {recipe.season_text}; "
            "give other `years`, or ingest scenes"
        )
    return read_aoi(attempts(scenes.geometry().getInfo))


def _scenes(recipe: Recipe, area: Area) -> str:
    """The scenes of an area's season, and their versions, as text."""
    import ee

    from water_gee.imagery import composite

    west, south, east, north = area.bounds
    box = ee.Geometry.Rectangle([west, south, east, north], None, False)
    scenes = composite.scenes(recipe).filterBounds(box)
    marks = {name: scenes.aggregate_array(f"system:{name}") for name in ("index", "version")}
    return json.dumps(attempts(ee.Dictionary(marks).getInfo), sort_keys=True)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Turn what the service answers to a wrong request into one line."""
    import ee

    try:
        yield
    except ee.EEException as error:
        said = " ".join(str(error).split())
        raise DownloadError(f"the service could not compose the features: {said}") from error


def _connect(catalog: Path) -> None:
    """Make the catalogue the session, unless it is already."""
    now = session.current()
    if now is None or now.catalog is None or now.catalog.resolve() != catalog.resolve():
        session.connect(catalog=catalog)
