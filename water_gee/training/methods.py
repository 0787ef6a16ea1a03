"""What a method of label correction is given, and what it gives back.

A method is prepared once on all tiles of a store, and then corrects them one by one; what it needs
to remember in between is its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Tile:
    """What is known of a tile.

    Attributes:
        name: The cell's id.
        features: float32 `(8, row, col)`, the eight features in order, NaN where not observed, the
            margin included.
        qa: uint8 `(row, col)`: 0 land, 1 water, 255 not observed.
        evidence: Bands of `composite.EVIDENCE` by name, float32 `(row, col)`, NaN where unknown;
            what the store does not have is missing.
        pixel: Height of a row and width of a column in metres, at the tile's centre.
    """

    name: str
    features: FloatArray
    qa: ByteArray
    evidence: Mapping[str, FloatArray] = field(default_factory=dict)
    pixel: tuple[float, float] = (30.0, 30.0)


class Tiles(Protocol):
    """The tiles of a store that are to be corrected, read when asked for."""

    @property
    def names(self) -> Sequence[str]:
        """Their ids, in order."""
        ...

    @property
    def wet(self) -> Sequence[str]:
        """The ids of those with QA water, in order."""
        ...

    def read(self, name: str) -> Tile:
        """Read one."""
        ...


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected label.

    Attributes:
        label: uint8 `(row, col)`: 0 land, 1 water, 255 not observed or not decided.
        record: What was done and how far it is to be trusted, plain JSON values.
        percent: uint8 `(row, col)`: how likely water is, 255 where `label` is; None where the
            method knows classes alone.
    """

    label: ByteArray
    record: Mapping[str, Any]
    percent: ByteArray | None = None


class Method(Protocol):
    """A way to correct labels."""

    name: str

    def prepare(self, tiles: Tiles, *, seed: int, progress: bool) -> None:
        """Learn what is learned from all tiles at once; may do nothing.

        Raises:
            LabelError: There is nothing to learn from.
        """
        ...

    def correct(self, tile: Tile) -> Correction | None:
        """Correct one tile; None where the method leaves its label alone."""
        ...
