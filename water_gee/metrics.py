"""How well a water map agrees with another: confusion counts, the scores made of them, and areas.

Scores are properties of the four counts: counts of many tiles are added first and scored once,
since the mean of per-tile scores would give a dry tile the weight of a lake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj

from water_gee.errors import GridError

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import ArrayLike, NDArray

NOT_OBSERVED = 255
"""The code of a pixel that was not observed, in every class raster of this package."""

_NODE_PIXELS = 256
_NODE_METRES = 10_000.0
"""How far apart, at most, the points are at which a projection is asked for the size of a pixel;
in between it is interpolated. 10 km bound the error to about one part in a million."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of agreement between a reference and a map, for one positive class.

    A score whose denominator is 0 (no positive pixel on either side, say) is NaN: there is nothing
    to measure, which is neither 0 nor 1.
    """

    tp: int
    """Positive in both."""
    fp: int
    """Positive in the map only."""
    fn: int
    """Positive in the reference only."""
    tn: int
    """Positive in neither."""

    @classmethod
    def of(
        cls,
        truth: ArrayLike,
        predicted: ArrayLike,
        *,
        positive: int = 1,
        ignore: int | None = NOT_OBSERVED,
    ) -> Confusion:
        """Count agreement pixel by pixel.

        Args:
            truth: Reference classes, any shape. NaN counts as `ignore`.
            predicted: Classes of the map, the same shape.
            positive: The class that is scored.
            ignore: Pixels with this code on either side are left out; None leaves out NaN only.

        Returns:
            The four counts.

        Raises:
            GridError: The shapes differ.
        """
        reference, found = np.asarray(truth), np.asarray(predicted)
        if reference.shape != found.shape:
            raise GridError(
                f"truth has shape {reference.shape}, the map {found.shape}; "
                "bring both to one grid before comparing them"
            )
        used = _counted(reference, ignore) & _counted(found, ignore)
        is_true, is_found = (reference == positive) & used, (found == positive) & used
        tp = int(np.count_nonzero(is_true & is_found))
        true, positives = int(np.count_nonzero(is_true)), int(np.count_nonzero(is_found))
        total = int(np.count_nonzero(used))
        return cls(tp=tp, fp=positives - tp, fn=true - tp, tn=total - true - positives + tp)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def total(self) -> int:
        """Pixels counted."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def iou(self) -> float:
        """Intersection over union of the positive class."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (Dice coefficient)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the map's positives that are right (user's accuracy)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the true positives that the map has (producer's accuracy)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of pixels on which both agree."""
        return _ratio(self.tp + self.tn, self.total)

    @property
    def kappa(self) -> float:
        """Cohen's kappa: agreement beyond what the two class shares would give by chance.

        Cohen, J. (1960), Educational and Psychological Measurement 20, 37-46.
        """
        n = self.total
        chance = (self.tp + self.fp) * (self.tp + self.fn)
        chance += (self.tn + self.fn) * (self.tn + self.fp)
        return _ratio(n * (self.tp + self.tn) - chance, n * n - chance)

    def to_dict(self) -> dict[str, float]:
        """Give counts and scores as plain numbers, scores without a value as NaN."""
        counts = {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}
        names = ("iou", "f1", "precision", "recall", "accuracy", "kappa")
        return counts | {name: float(getattr(self, name)) for name in names}


def area_km2(
    values: ArrayLike, transform: Affine, *, crs: str = "EPSG:4326", positive: int = 1
) -> float:
    """Measure the ground that a class covers, on the ellipsoid.

    In geographic coordinates every row has its own pixel area, exact on the ellipsoid; in projected
    ones the pixel is measured where it lies on the ellipsoid (see `pixel_areas_m2`).

    Args:
        values: Classes, `(row, col)`.
        transform: Pixel to coordinates, in units of `crs`.
        crs: Anything `pyproj.CRS` reads.
        positive: The class to measure.

    Returns:
        Square kilometres.

    Raises:
        GridError: `values` has no two axes, or a geographic grid is rotated.
    """
    chosen = np.asarray(values) == positive
    if chosen.ndim != 2:
        raise GridError(f"an area needs a (row, col) array, not one of shape {chosen.shape}")
    system = pyproj.CRS.from_user_input(crs)
    if system.is_geographic:
        per_row = pixel_areas_km2(transform, chosen.shape[0], crs=crs)
        return float(chosen.sum(axis=1) @ per_row)
    return float((chosen * pixel_areas_m2(transform, chosen.shape, crs=crs)).sum()) / 1e6


def pixel_areas_km2(transform: Affine, rows: int, *, crs: str = "EPSG:4326") -> NDArray[np.float64]:
    """Area of one pixel of each row of a north-up geographic grid.

    The area between two parallels of an ellipsoid is elementary (Snyder, J. P. (1987), USGS
    Professional Paper 1395, eq. 3-12 with 3-16's q): `b^2 / 2 * width * (f(top) - f(bottom))` with
    `f(lat) = s / (1 - e^2 s^2) + atanh(e s) / e` and `s = sin(lat)`.

    Args:
        transform: Pixel to degrees.
        rows: Number of rows.
        crs: A geographic system; its ellipsoid is used.

    Returns:
        `float64 (row,)`, square kilometres.

    Raises:
        GridError: The grid is rotated or the system is not geographic.
    """
    system = pyproj.CRS.from_user_input(crs)
    if not system.is_geographic or transform.b != 0 or transform.d != 0:
        raise GridError(f"areas by row need a north-up geographic grid, not {transform!r} in {crs}")
    return _bands_km2(transform, 0, rows, system)


def pixel_areas_m2(
    transform: Affine,
    shape: tuple[int, int],
    *,
    crs: str = "EPSG:4326",
    part: tuple[slice, slice] | None = None,
) -> NDArray[np.float64]:
    """Area of each pixel on the ellipsoid, whatever the coordinates.

    A north-up geographic grid has the closed form of `pixel_areas_km2`. Elsewhere a pixel's area is
    that of the parallelogram of its two sides on the ellipsoid, taken at points at most 256 pixels
    and 10 km apart and interpolated in between. A projection's own areal scale is not asked for:
    that of web Mercator, say, is true on a sphere only.

    Args:
        transform: Pixel to coordinates, in units of `crs`.
        shape: The whole grid, `(row, col)`.
        crs: Anything `pyproj.CRS` reads that has an ellipsoid.
        part: The rows and columns wanted; all by default. A part has the values of the whole.

    Returns:
        `float64 (row, 1)` for north-up geographic grids, else `(row, col)`, square metres. 0 where
        the projection has no place on the Earth.

    Raises:
        GridError: The system names no ellipsoid.
    """
    rows, cols = part if part is not None else (slice(0, shape[0]), slice(0, shape[1]))
    system = pyproj.CRS.from_user_input(crs)
    if system.is_geographic and transform.b == 0 and transform.d == 0:
        return 1e6 * _bands_km2(transform, rows.start, rows.stop, system)[:, np.newaxis]
    middle = (shape[0] / 2, shape[1] / 2)
    width, height = pixel_sides_m(transform, np.array([middle[0]]), np.array([middle[1]]), crs=crs)
    longest = max(float(width[0]), float(height[0]))
    pixels = int(_NODE_METRES / longest) if longest > 0 else _NODE_PIXELS
    step = max(1, min(_NODE_PIXELS, pixels))
    at_rows, at_cols = (
        step * np.arange(span.start // step, -(-span.stop // step) + 1) for span in (rows, cols)
    )
    r, c = np.meshgrid(at_rows, at_cols, indexing="ij")
    across, down = _sides(transform, r.ravel(), c.ravel(), system)
    cross = np.cross(across, down, axis=0)
    nodes = np.nan_to_num(np.sqrt((cross * cross).sum(axis=0))).reshape(r.shape)
    wanted_rows = np.arange(rows.start, rows.stop) + 0.5
    wanted_cols = np.arange(cols.start, cols.stop) + 0.5
    wide = np.stack([np.interp(wanted_cols, at_cols, row) for row in nodes])
    low = np.clip(np.searchsorted(at_rows, wanted_rows, "right") - 1, 0, len(at_rows) - 2)
    share = ((wanted_rows - at_rows[low]) / step)[:, np.newaxis]
    areas: NDArray[np.float64] = wide[low] * (1 - share) + wide[low + 1] * share
    return areas


def pixel_sides_m(
    transform: Affine, rows: ArrayLike, cols: ArrayLike, *, crs: str = "EPSG:4326"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths on the ellipsoid of a pixel's two sides.

    Args:
        transform: Pixel to coordinates, in units of `crs`.
        rows: Where, in pixels, any number of places.
        cols: The same number.
        crs: Anything `pyproj.CRS` reads that has an ellipsoid.

    Returns:
        Along the row and along the column, `float64 (place,)`, metres.

    Raises:
        GridError: The system names no ellipsoid.
    """
    system = pyproj.CRS.from_user_input(crs)
    r, c = np.asarray(rows, np.float64), np.asarray(cols, np.float64)
    across, down = _sides(transform, r, c, system)
    return (
        np.nan_to_num(np.sqrt((across * across).sum(axis=0))),
        np.nan_to_num(np.sqrt((down * down).sum(axis=0))),
    )


def _bands_km2(transform: Affine, start: int, stop: int, system: pyproj.CRS) -> NDArray[np.float64]:
    """Area of one pixel of each of some rows of a north-up geographic grid, km²."""
    geod = system.get_geod()
    if geod is None:
        raise GridError(f"{system.name} names no ellipsoid to measure areas on")
    e = math.sqrt(geod.es)
    edges = transform.f + transform.e * np.arange(start, stop + 1)
    s = np.sin(np.radians(np.clip(edges, -90.0, 90.0)))
    primitive = s / (1.0 - geod.es * s * s) + (np.arctanh(e * s) / e if e > 0 else s)
    band = np.abs(np.diff(primitive)) * 0.5 * geod.b**2
    areas: NDArray[np.float64] = band * (math.radians(abs(transform.a)) / 1e6)
    return areas


def _counted(values: NDArray[np.generic], ignore: int | None) -> NDArray[np.bool_]:
    """Pixels that take part: neither the ignored code nor NaN."""
    used = np.ones(values.shape, bool) if ignore is None else np.asarray(values != ignore)
    if np.issubdtype(values.dtype, np.floating):
        used &= ~np.isnan(values)
    return used


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _sides(
    transform: Affine, rows: NDArray[Any], cols: NDArray[Any], system: pyproj.CRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two sides of pixels as vectors in space, `(3, place)` metres; NaN off the Earth.

    Differences of geocentric places know no date line and no pole.
    """
    geod, geodetic = system.get_geod(), system.geodetic_crs
    if geod is None or geodetic is None:
        raise GridError(f"{system.name} names no ellipsoid to measure areas on")
    to_degrees = pyproj.Transformer.from_crs(system, geodetic, always_xy=True)

    def place(r: NDArray[Any], c: NDArray[Any]) -> NDArray[np.float64]:
        x = transform.a * c + transform.b * r + transform.c
        y = transform.d * c + transform.e * r + transform.f
        lon, lat = (np.asarray(v, dtype=np.float64) for v in to_degrees.transform(x, y))
        off = ~(np.isfinite(lon) & np.isfinite(lat))
        lon, lat = np.radians(np.where(off, 0, lon)), np.radians(np.where(off, 0, lat))
        normal = geod.a / np.sqrt(1 - geod.es * np.sin(lat) ** 2)
        found = np.stack(
            [
                normal * np.cos(lat) * np.cos(lon),
                normal * np.cos(lat) * np.sin(lon),
                normal * (1 - geod.es) * np.sin(lat),
            ]
        )
        found[:, off] = np.nan
        return found

    return (
        place(rows, cols + 0.5) - place(rows, cols - 0.5),
        place(rows + 0.5, cols) - place(rows - 0.5, cols),
    )
