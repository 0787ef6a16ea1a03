"""When the synthetic season's acquisitions were taken: in summer, or where a regime asks, not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

WRS_ROW = 24


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One pass over the site.

    Attributes:
        when: Time over the centre, UTC.
        made: Day of the product, YYYYMMDD.
        path: WRS-2 path: 133, or a neighbour that sees a part.
        clouds: Share of the scene under cloud.
        cirrus: Share under cirrus.
        leaf: How green plants are, 1 in midsummer.
        melted: Share of the snow that is gone.
        west: Western edge of the swath as a share of the width; None: outside.
        east: Eastern edge likewise.
    """

    when: datetime
    made: str
    path: int
    clouds: float
    cirrus: float
    leaf: float
    melted: float
    west: float | None = None
    east: float | None = None

    @property
    def product(self) -> str:
        """Landsat product id."""
        day = self.when.strftime("%Y%m%d")
        return f"LC08_L2SP_{self.path:03d}{WRS_ROW:03d}_{day}_{self.made}_02_T1"


def _at(month: int, day: int, minute: int, second: int) -> datetime:
    return datetime(2020, month, day, 3, minute, second, 320000, tzinfo=UTC)


SUMMER: tuple[Acquisition, ...] = (
    Acquisition(_at(6, 9, 45, 17), "20200824", 133, 0.05, 0.02, 0.90, 0.00),
    Acquisition(_at(6, 16, 51, 29), "20200824", 134, 0.18, 0.00, 0.96, 0.10, east=0.66),
    Acquisition(_at(6, 25, 45, 23), "20200823", 133, 0.12, 0.04, 1.00, 0.22, west=0.05),
    Acquisition(_at(7, 20, 39, 20), "20200911", 132, 0.10, 0.00, 1.04, 0.40, west=0.31),
    Acquisition(_at(7, 27, 45, 36), "20200908", 133, 0.24, 0.06, 1.03, 0.48, east=0.97),
    Acquisition(_at(8, 12, 45, 42), "20200918", 133, 0.09, 0.03, 0.98, 0.55, west=0.03),
)
"""Sixteen days between passes on one path; the western neighbour follows a week later."""

SPRING: tuple[Acquisition, ...] = (
    Acquisition(_at(4, 22, 45, 1), "20200822", 133, 0.06, 0.02, 0.62, 0.00),
    Acquisition(_at(5, 8, 44, 54), "20200820", 133, 0.14, 0.03, 0.68, 0.05, west=0.04),
    Acquisition(_at(5, 15, 51, 8), "20200820", 134, 0.10, 0.00, 0.74, 0.08, east=0.66),
    Acquisition(_at(5, 17, 38, 49), "20200820", 132, 0.16, 0.00, 0.75, 0.09, west=0.31),
    Acquisition(_at(5, 24, 45, 4), "20200820", 133, 0.08, 0.05, 0.80, 0.13, east=0.97),
    Acquisition(_at(6, 9, 45, 17), "20200824", 133, 0.05, 0.02, 0.90, 0.22),
)
"""While the snow melts."""

AUTUMN: tuple[Acquisition, ...] = (
    Acquisition(_at(9, 13, 45, 52), "20200920", 133, 0.07, 0.02, 0.86, 0.60),
    Acquisition(_at(9, 20, 52, 5), "20201005", 134, 0.12, 0.00, 0.83, 0.62, east=0.66),
    Acquisition(_at(9, 22, 39, 45), "20201005", 132, 0.09, 0.03, 0.82, 0.62, west=0.31),
    Acquisition(_at(9, 29, 45, 57), "20201007", 133, 0.15, 0.00, 0.79, 0.64, west=0.05),
    Acquisition(_at(10, 15, 46, 1), "20201104", 133, 0.10, 0.04, 0.74, 0.66, east=0.97),
    Acquisition(_at(10, 31, 46, 0), "20201106", 133, 0.06, 0.02, 0.70, 0.68, west=0.03),
)
"""The sun stands between 42 and 24 degrees high, so that shadows are long."""
