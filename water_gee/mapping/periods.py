"""Years and months as keys of maps: `2020`, `"2020"`, `"2020-07"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from water_gee.errors import RasterError
from water_gee.mapping.stac import season

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

_TEXT = re.compile(r"(\d{4})(?:-(\d{1,2}))?")
_IN_NAME = re.compile(r"(?<!\d)((?:19|2\d)\d{2})(?:[-_](0[1-9]|1[0-2]))?(?!\d)")


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A year, or a month of one; they sort by time."""

    year: int
    month: int = 0

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}" if self.month else f"{self.year:04d}"

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """Its first and last day."""
        months = (self.month,) if self.month else tuple(range(1, 13))
        return season((self.year,), months)

    @classmethod
    def of(cls, key: int | str) -> Period:
        """Read a key.

        Raises:
            RasterError: It is neither a year nor a month.
        """
        found = None if isinstance(key, bool) else _TEXT.fullmatch(str(key).strip())
        period = cls(int(found[1]), int(found[2] or 0)) if found else None
        if period is None or not period.year or period.month > 12 or (found and found[2] == "00"):
            raise RasterError(f"{key!r} is no year like 2020 and no month like 2020-07")
        return period

    @classmethod
    def in_name(cls, name: str) -> Period | None:
        """The year or month that a file name has; None where it has none, or several."""
        found = {cls(int(year), int(month or 0)) for year, month in _IN_NAME.findall(name)}
        return found.pop() if len(found) == 1 else None


def check_distinct(periods: Iterable[Period]) -> None:
    """Refuse a period that is there twice, and years among months.

    Raises:
        RasterError: With the one that is.
    """
    seen: set[Period] = set()
    for period in periods:
        if period in seen:
            raise RasterError(f"{period} is given twice; a series takes one map for each")
        seen.add(period)
    if len({bool(period.month) for period in seen}) > 1:
        raise RasterError("years and months are mixed; a series takes maps of one or the other")
