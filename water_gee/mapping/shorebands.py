"""Bands of distance to a reference's shore, on both of its sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from water_gee.errors import RasterError
from water_gee.imagery.store import LAND, WATER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Codes = npt.NDArray[np.uint8]

SHORE = (1.0, 2.0, 4.0, 8.0)
"""Bounds of the bands, in pixels."""

WIDEST = 256
"""Pixels that the bands may reach."""


@dataclass(frozen=True, slots=True)
class Bands:
    """Bands of distance to the shore.

    Attributes:
        bounds: Where they end, rising; the last band has all that lies beyond.
        unit: `px` or `m`.
    """

    bounds: tuple[float, ...]
    unit: str

    @classmethod
    def of(cls, bounds: Sequence[float], unit: str) -> Bands:
        """Take bounds that a user gave.

        Raises:
            RasterError: They do not rise, or are in another unit.
        """
        given = tuple(float(bound) for bound in bounds)
        if unit not in ("px", "m"):
            raise RasterError(f"distances to the shore are in px or m, not {unit!r}")
        rising = all(a < b for a, b in zip((0.0, *given), given, strict=False))
        if not given or not rising or not math.isfinite(given[-1]):
            raise RasterError("bounds of distances to the shore: positive numbers, rising")
        return cls(given, unit)

    @property
    def names(self) -> tuple[str, ...]:
        """`0-1 px`, ..., `> 8 px`."""
        pairs = zip((0.0, *self.bounds[:-1]), self.bounds, strict=True)
        inner = [f"{a:g}-{b:g} {self.unit}" for a, b in pairs]
        return (*inner, f"> {self.bounds[-1]:g} {self.unit}")

    def of_pixels(self, reference: Codes, pixel_m: tuple[float, float]) -> Codes:
        """The band of each pixel of a reference, by the side that it lies on.

        The shore runs between a pixel of water and one of land; the distance is that from a
        pixel's centre, so that a pixel at the shore has half a pixel.
        """
        sampling = pixel_m if self.unit == "m" else (1.0, 1.0)
        away = np.full(reference.shape, np.inf)
        for own, other in ((WATER, LAND), (LAND, WATER)):
            here, there = reference == own, reference != other
            if here.any() and not there.all():
                away[here] = np.asarray(ndimage.distance_transform_edt(there, sampling))[here]
        away -= sum(sampling) / 4
        return np.searchsorted(self.bounds, away, side="left").astype(np.uint8)
