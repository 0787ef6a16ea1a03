"""Clouds, their shadows, cirrus, and the slanted edge of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, noise
from water_gee.demo.light import shifted
from water_gee.demo.site import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

CLOUD_COLOUR = (0.62, 0.61, 0.62, 0.64, 0.48, 0.38)
CIRRUS_COLOUR = (0.10, 0.095, 0.09, 0.09, 0.045, 0.035)
"""Reflectance of thick cloud and of cirrus in `spectra.BANDS`."""

_SKIRT = 110
"""Pixels of sky around the scene, whose shadows fall into it."""


@dataclass(frozen=True, slots=True)
class Sky:
    """What stands between ground and sensor in one acquisition, on the 30 m grid.

    Attributes:
        cloud: Opacity, 0 to 1.
        shadow: Share of direct light taken away, 0 to 1.
        cirrus: Amount, 0 to 1.
        is_cloud: What the QA calls cloud.
        is_dilated: The ring around it that the QA calls dilated cloud.
        is_shadow: What the QA calls cloud shadow: a little off the true one, as real ones are.
        is_cirrus: What the QA calls cirrus.
        is_thin: Cloud of middle confidence that is not flagged.
    """

    cloud: Field
    shadow: Field
    cirrus: Field
    is_cloud: Mask
    is_dilated: Mask
    is_shadow: Mask
    is_cirrus: Mask
    is_thin: Mask


def make_sky(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    clouds: float,
    cirrus: float,
    sun: tuple[float, float],
    gather: Field | None = None,
    soft: float = 1.0,
) -> Sky:
    """Put clouds over a scene.

    Args:
        shape: `(row, col)` of the 30 m grid.
        rng: Where the clouds come from.
        clouds: Share of the scene under cloud.
        cirrus: Share under cirrus.
        sun: Azimuth and elevation in degrees.
        gather: Where clouds gather every day, `(row, col)`, mean 0 and standard deviation 1.
        soft: How wide the clouds' fringes are.
    """
    rows, cols = shape
    big = (rows + 2 * _SKIRT, cols + 2 * _SKIRT)
    here = (slice(_SKIRT, _SKIRT + rows), slice(_SKIRT, _SKIRT + cols))
    opacity = _opacity(big, rng, clouds, gather, soft)
    # Clouds that come back to a place have their base at one height.
    height = rng.uniform(900, 1900) if gather is None else rng.uniform(1250, 1450)
    away = math.radians(sun[0] + 180)
    length = height / math.tan(math.radians(sun[1])) / PIXEL
    down, right = round(-length * math.cos(away)), round(length * math.sin(away))
    shade = filters.smooth(shifted(opacity, down, right), 0.7)[here]
    # The QA guesses the cloud's height, so its shadow lies a pixel or two off.
    error = rng.integers(-2, 3, size=2)
    guess = shifted(opacity, down + int(error[0]), right + int(error[1]))[here] > 0.45
    cloud = opacity[here]
    veil = _veil(shape, rng, cirrus)
    is_cloud = cloud > 0.35
    near = filters.grow(is_cloud, 3)
    return Sky(
        cloud,
        (0.9 * shade * (1 - cloud)).astype(np.float32),
        veil,
        is_cloud,
        near & ~is_cloud,
        filters.grow(guess) & ~is_cloud,
        veil > 0.3,
        (cloud > 0.12) & ~near,
    )


def inside_swath(
    shape: tuple[int, int], west: float | None, east: float | None, slant: float
) -> Mask:
    """Mark what one pass of the satellite saw.

    Args:
        shape: `(row, col)` of the 30 m grid.
        west: Where the western edge crosses the middle row, as a share of the width; None: outside.
        east: The same for the eastern edge.
        slant: Angle of the edges from grid north in degrees, clockwise.
    """
    rows, cols = shape
    row, col = np.mgrid[0:rows, 0:cols].astype(np.float32)
    along = (col + (row - rows / 2) * math.tan(math.radians(slant))) / cols
    seen = np.ones(shape, dtype=bool)
    if west is not None:
        seen &= along >= west
    if east is not None:
        seen &= along <= east
    return seen


def _opacity(
    shape: tuple[int, int],
    rng: np.random.Generator,
    share: float,
    gather: Field | None,
    soft: float,
) -> Field:
    """Clouds with soft edges over a given share of the sky."""
    field = noise.fractal(shape, rng, slope=1.75, coarsest=260)
    field += 0.16 * noise.fractal(shape, rng, slope=1.0, coarsest=16)
    if share <= 0:
        return np.zeros(shape, dtype=np.float32)
    if gather is not None:
        field = 0.55 * field + 0.85 * np.pad(gather, _SKIRT, mode="reflect")
    edge = float(np.quantile(field[::3, ::3], 1 - share))
    thickness = np.clip((field - edge) / (0.35 * soft) + 0.35, 0, None)
    opacity: Field = (1 - np.exp(-1.3 * thickness)) * (field > edge - 0.12 * soft)
    return opacity.astype(np.float32)


def _veil(shape: tuple[int, int], rng: np.random.Generator, share: float) -> Field:
    """Cirrus: long soft streaks over a given share of the sky."""
    if share <= 0:
        return np.zeros(shape, dtype=np.float32)
    small = (-(-shape[0] // 8), -(-shape[1] // 8))
    field = noise.fractal(small, rng, slope=1.2, coarsest=60)
    streaks = filters.smooth(filters.rotated(field, 20), (1, 7))
    edge = float(np.quantile(streaks, 1 - share))
    amount = np.clip((streaks - edge) / (streaks.std() + 1e-9), 0, 1).astype(np.float32)
    return noise.enlarge(amount, 8, shape)
