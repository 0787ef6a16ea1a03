"""What windows of a series add up to: areas by period, changes between two, gaps and bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.imagery.store import LAND, NOT_OBSERVED, WATER
from water_gee.mapping.areas import covered

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]

BOTH_LAND, BOTH_WATER, GAIN, LOSS = 0, 1, 2, 3
"""The codes of a change map; 255 where either was not observed."""

_CODES = np.array([[BOTH_LAND, GAIN], [LOSS, BOTH_WATER]], dtype=np.uint8)


def change(first: Codes, last: Codes) -> Codes:
    """Compare two maps pixel by pixel.

    Returns:
        `uint8`: 0 land in both, 1 water in both, 2 gain, 3 loss, 255 where either was not observed.
    """
    out = _CODES[np.minimum(first, 1), np.minimum(last, 1)]
    out[(first == NOT_OBSERVED) | (last == NOT_OBSERVED)] = NOT_OBSERVED
    return out


def occurrence(stack: Codes) -> tuple[Codes, Codes]:
    """How often there was water.

    Args:
        stack: `(period, row, col)`.

    Returns:
        Percent of the observed periods with water, rounded, 255 where none was observed; and the
        number of observed periods, at most 254; both `uint8 (row, col)`.
    """
    observed = (stack != NOT_OBSERVED).sum(axis=0, dtype=np.int32)
    water = (stack == WATER).sum(axis=0, dtype=np.int32)
    percent = np.rint(100 * water / np.maximum(observed, 1))
    percent[observed == 0] = NOT_OBSERVED
    return percent.astype(np.uint8), np.minimum(observed, 254).astype(np.uint8)


def seasonality(stack: Codes) -> tuple[Codes, Codes]:
    """How many months of a year had water.

    Named as in Pekel, J.-F. et al. (2016), High-resolution mapping of global surface water and its
    long-term changes, Nature 540, 418-422: permanent water is there in every month that was
    observed, seasonal water in some.

    Args:
        stack: `(month, row, col)` of one year.

    Returns:
        The months with water, 255 where none was observed; and 0 never, 1 seasonal, 2 permanent,
        255 not observed; both `uint8 (row, col)`.
    """
    observed = (stack != NOT_OBSERVED).sum(axis=0)
    months = (stack == WATER).sum(axis=0)
    kind = np.where(months == 0, 0, np.where(months == observed, 2, 1))
    unseen = observed == 0
    months[unseen], kind[unseen] = NOT_OBSERVED, NOT_OBSERVED
    return months.astype(np.uint8), kind.astype(np.uint8)


@dataclass(slots=True)
class ChangeSums:
    """m² of a change between two maps; `row` gives km².

    Attributes:
        by_code: Code of the change map -> m².
        only: What one map says where the other was not observed, `(which, class)` -> m².
        neither: m² observed in neither.
    """

    by_code: dict[int, float] = field(
        default_factory=lambda: dict.fromkeys((BOTH_LAND, BOTH_WATER, GAIN, LOSS), 0.0)
    )
    only: dict[tuple[str, int], float] = field(
        default_factory=lambda: {(w, c): 0.0 for w in ("first", "last") for c in (LAND, WATER)}
    )
    neither: float = 0.0

    def add(self, first: Codes, last: Codes, codes: Codes, areas: Floats) -> None:
        """Take in a window: both maps, their change, and m² of the pixels."""
        for code in self.by_code:
            self.by_code[code] += covered(codes == code, areas)
        no_first, no_last = first == NOT_OBSERVED, last == NOT_OBSERVED
        for value in (LAND, WATER):
            self.only["first", value] += covered(no_last & (first == value), areas)
            self.only["last", value] += covered(no_first & (last == value), areas)
        self.neither += covered(no_first & no_last, areas)

    def row(self) -> dict[str, float]:
        """The figures in km², by column.

        `net_km2` counts pixels observed in both. `net_low_km2` and `net_high_km2` bound it whatever
        the pixels that were not were: water that was not seen again may have gone, and so on.
        """
        land, both, gain, loss = (
            self.by_code[code] for code in (BOTH_LAND, BOTH_WATER, GAIN, LOSS)
        )
        only = self.only
        net = gain - loss
        low = net - only["first", WATER] - only["last", LAND] - self.neither
        high = net + only["first", LAND] + only["last", WATER] + self.neither
        unseen = sum(only.values()) + self.neither
        figures: dict[str, Any] = {
            "water_from_km2": both + loss + only["first", WATER],
            "water_to_km2": both + gain + only["last", WATER],
            "common_water_from_km2": both + loss,
            "common_water_to_km2": both + gain,
            "gain_km2": gain,
            "loss_km2": loss,
            "net_km2": net,
            "net_low_km2": low,
            "net_high_km2": high,
            "water_in_both_km2": both,
            "land_in_both_km2": land,
            "common_km2": land + both + gain + loss,
            "not_comparable_km2": unseen,
        }
        return {name: value / 1e6 for name, value in figures.items()}
