"""What is changed at random about a window before a network learns from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee.errors import TrainingError
from water_gee.training.scaling import CENTER, SCALE

if TYPE_CHECKING:
    from water_gee.training.patches import FloatArray

REFLECTANCES = 5
"""The first features: reflectances. mNDWI and line follow, which no common factor changes."""

MOST_JITTER = 0.5
"""Beyond this a factor of three spreads could be negative."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is changed at random, window by window.

    Attributes:
        turns: Whether windows are turned by quarters and mirrored: water has no direction.
        jitter: Spread of a factor on all reflectances of a window. Scenes differ so, by what is
            left of haze, sun and view angle (surface reflectance is good to about 5%); one factor
            for all bands, because mNDWI and line are ratios of them and stay true.
        elevation: Spread, in units of the scaled feature (400 m), of a constant added to a window's
            elevation. Absolute height is no evidence of water anywhere else; relief is.
    """

    turns: bool = True
    jitter: float = 0.0
    elevation: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= MOST_JITTER:
            raise TrainingError(f"jitter must be from 0 to {MOST_JITTER}, not {self.jitter}")
        if not 0 <= self.elevation < np.inf:
            raise TrainingError(f"elevation must be 0 or more, not {self.elevation}")


def change(
    features: FloatArray, augmentation: Augmentation, generator: np.random.Generator
) -> None:
    """Change brightness and height of windows, each by its own draw, in place.

    Args:
        features: float32 `(n, row, col, band)`, scaled.
        augmentation: How much.
        generator: Asked for as many numbers, whatever the settings.
    """
    height, gain = generator.normal(size=(2, len(features), 1, 1, 1)).astype(np.float32)
    if augmentation.jitter:
        factor = np.maximum(1 + np.float32(augmentation.jitter) * gain, np.float32(0.1))
        zero = (CENTER / SCALE)[:REFLECTANCES]
        bands = features[..., :REFLECTANCES]
        bands *= factor
        bands += (factor - 1) * zero
    if augmentation.elevation:
        features[..., -1] += np.float32(augmentation.elevation) * height[..., 0]
