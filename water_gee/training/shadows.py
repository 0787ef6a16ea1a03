"""Shadows of clouds, found by shifting the clouds.

Shadow darkens the ground as water does, and a shadow of grass under haze passes every index for
water. But shadows are the clouds over again, all moved by about the same way: the sun's. Where the
unobserved pixels of a tile, moved by one distance, fall on dark ground far more often than any
chance would have it, they are clouds, and the dark ground there is their shadow.

The geometry is that of cloud and shadow matching in Fmask (Z. Zhu, C. Woodcock 2012, Remote
Sensing of Environment 118, section 3.2), with one distance for a tile instead of one for each
cloud: what is wanted is evidence, not a mask. The thresholds are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]

FARTHEST = 3500.0
"""Metres from a cloud to its shadow: a cloud 2 km high under a sun 30 degrees high."""

NEAREST = 150.0
"""Metres below which cloud and shadow cannot be told apart."""

FEWEST_CLOUDS, MOST_CLOUDS = 0.003, 0.7
"""Share of a tile that is unobserved, between which shadows are looked for."""

DARK = 0.75
"""Share of the lit ground's reflectance, near infrared and SWIR1 alike, below which it is dark."""

SHARE = 0.25
"""By how much the share of dark pixels under the shifted clouds must exceed the tile's."""

BEYOND_CHANCE = 1.6
"""How many times the gain of every shift that leads elsewhere."""

SPREAD = 0.1
"""Clouds differ in height: shadows lie this much nearer or farther than the distance found."""

GROW = 1
"""Pixels around a shifted cloud that count with it."""

_BLOCK = 64
"""Pixels a side of the blocks in which the lit ground's level is taken."""


@dataclass(frozen=True, slots=True)
class Shadows:
    """Where shadows of clouds lie.

    Attributes:
        zone: bool `(row, col)`: under a cloud moved by the distance found, and observed.
        shift: Rows down and columns right from a cloud to its shadow.
        share: Share of the ground under the moved clouds that is dark.
        base: Share of all observed ground that is dark.
    """

    zone: BoolArray
    shift: tuple[int, int]
    share: float
    base: float


def find(
    nir: FloatArray,
    swir1: FloatArray,
    pixel: tuple[float, float] = (30.0, 30.0),
    sun_azimuth: float | None = None,
) -> Shadows | None:
    """Find where the clouds of a tile throw their shadows.

    Args:
        nir: Near infrared reflectance, float32 `(row, col)`, NaN where not observed, which is taken
            for cloud: what else is not observed lies in no one direction from dark ground.
        swir1: SWIR1 reflectance, likewise.
        pixel: Height of a row and width of a column in metres.
        sun_azimuth: Degrees clockwise from north, where known: shadows lie away from it.

    Returns:
        None where there are no clouds, or no shift makes more of the ground dark than others do.
    """
    cloud = ~(np.isfinite(nir) & np.isfinite(swir1))
    if not FEWEST_CLOUDS <= cloud.mean() <= MOST_CLOUDS:
        return None
    dark = _is_dark(nir, cloud) & _is_dark(swir1, cloud)
    reach = [
        int(min(FARTHEST / size, side // 3)) for size, side in zip(pixel, nir.shape, strict=True)
    ]
    rows, cols = (np.arange(-most, most + 1) for most in reach)
    hits, seen = (_overlaps(cloud, mask, rows, cols) for mask in (dark, ~cloud))
    base = float(dark.sum() / max(1, (~cloud).sum()))
    gain = np.where(seen > 0.2 * cloud.sum(), hits / np.maximum(seen, 1) - base, 0.0)
    south, east = rows[:, np.newaxis] * pixel[0], cols[np.newaxis] * pixel[1]
    length = np.hypot(south, east)
    gain[(length < NEAREST) | (length > FARTHEST)] = 0
    allowed = np.ones_like(gain, bool)
    if sun_azimuth is not None and np.isfinite(sun_azimuth):
        allowed = np.cos(np.arctan2(east, -south) - np.radians(sun_azimuth + 180)) > np.cos(
            np.radians(25)
        )
    best = np.unravel_index(int(np.argmax(np.where(allowed, gain, -1))), gain.shape)
    peak = float(gain[best])
    # Shifts more than 60 degrees off the one found.
    across = (south * south[best[0], 0] + east * east[0, best[1]]) < 0.5 * length * length[best]
    if peak < SHARE or peak < BEYOND_CHANCE * float(gain[across].max(initial=0.0)):
        return None
    shift = int(rows[best[0]]), int(cols[best[1]])
    return Shadows(_under(cloud, shift), shift, peak + base, base)


def _is_dark(band: FloatArray, cloud: BoolArray) -> BoolArray:
    """Pixels well below the lit ground around them."""
    from scipy.ndimage import zoom

    height, width = band.shape
    down, across = max(1, round(height / _BLOCK)), max(1, round(width / _BLOCK))
    whole = float(np.nanpercentile(band, 70))
    lit = np.full((down, across), whole, np.float64)
    for i in range(down):
        for j in range(across):
            part = band[
                max(0, (i - 1) * _BLOCK) : (i + 2) * _BLOCK,
                max(0, (j - 1) * _BLOCK) : (j + 2) * _BLOCK,
            ]
            if np.isfinite(part).any():
                lit[i, j] = np.nanpercentile(part, 70)
    step = (height / down, width / across)
    level = np.asarray(zoom(lit, step, order=1, mode="nearest", grid_mode=True))
    with np.errstate(invalid="ignore"):
        return np.asarray((band < DARK * level[:height, :width]) & ~cloud)


def _overlaps(
    cloud: BoolArray, mask: BoolArray, rows: npt.NDArray[np.int_], cols: npt.NDArray[np.int_]
) -> npt.NDArray[np.float64]:
    """How many pixels of a mask lie under the clouds, for every shift."""
    from scipy.fft import irfft2, rfft2

    size = (2 * cloud.shape[0], 2 * cloud.shape[1])
    clouds, others = (np.asarray(rfft2(part.astype(np.float64), size)) for part in (cloud, mask))
    found = np.asarray(irfft2(np.conj(clouds) * others, size))
    return np.asarray(np.round(found[np.ix_(rows % size[0], cols % size[1])]), np.float64)


def _under(cloud: BoolArray, shift: tuple[int, int]) -> BoolArray:
    """Observed pixels under the clouds, moved by the shift or a little less or more."""
    from scipy.ndimage import binary_dilation

    height, width = cloud.shape
    zone = np.zeros_like(cloud)
    steps = max(2, round(2 * SPREAD * max(map(abs, shift))))
    for share in np.linspace(1 - SPREAD, 1 + SPREAD, steps + 1):
        down, right = round(share * shift[0]), round(share * shift[1])
        source = cloud[
            max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
        ]
        zone[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)] |= (
            source
        )
    grown = np.asarray(binary_dilation(zone, np.ones((2 * GROW + 1, 2 * GROW + 1), bool)), bool)
    return np.asarray(grown & ~cloud)
