"""How well a water map agrees with another: confusion counts, the scores made of them, and areas.

Scores are properties of the four counts: counts of many tiles are added first and scored once,
since the mean of per-tile scores would give a dry tile the weight of a lake.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyproj

from water_gee.errors import GridError

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import ArrayLike, NDArray

NOT_OBSERVED = 255
"""The code of a pixel that was not observed, in every class raster of this package."""

_FACTOR_NODES = 33
"""Nodes a side at which a projection's areal scale is asked for; interpolated in between."""


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
    ones the nominal pixel area is divided by the projection's local areal scale.

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
    return float((chosen / _areal_scale(transform, chosen.shape, system)).sum()) * _nominal_km2(
        transform, system
    )


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
    geod = system.get_geod()
    if geod is None:
        raise GridError(f"{crs} names no ellipsoid to measure areas on")
    e = math.sqrt(geod.es)
    edges = np.radians(np.clip(transform.f + transform.e * np.arange(rows + 1), -90.0, 90.0))
    s = np.sin(edges)
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


def _nominal_km2(transform: Affine, system: pyproj.CRS) -> float:
    """Pixel area as the projection's own plane has it."""
    unit = system.axis_info[0].unit_conversion_factor
    return float(abs(transform.determinant)) * unit * unit / 1e6


def _areal_scale(
    transform: Affine, shape: tuple[int, ...], system: pyproj.CRS
) -> NDArray[np.float64]:
    """Areal scale of a projection at every pixel centre, interpolated between a few nodes."""
    height, width = shape
    rows = np.linspace(0.5, height - 0.5, min(height, _FACTOR_NODES))
    cols = np.linspace(0.5, width - 0.5, min(width, _FACTOR_NODES))
    c, r = np.meshgrid(cols, rows)
    x = transform.a * c + transform.b * r + transform.c
    y = transform.d * c + transform.e * r + transform.f
    to_degrees = pyproj.Transformer.from_crs(system, system.geodetic_crs, always_xy=True)
    lon, lat = to_degrees.transform(x, y)
    nodes = np.asarray(pyproj.Proj(system).get_factors(lon, lat).areal_scale, dtype=np.float64)
    wide = np.stack([np.interp(np.arange(width) + 0.5, cols, row) for row in nodes])
    return np.stack([np.interp(np.arange(height) + 0.5, rows, col) for col in wide.T], axis=1)
