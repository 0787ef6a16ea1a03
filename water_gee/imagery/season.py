"""Months of a year as a season, over New Year too, and the days they are.

A season that runs over New Year has the name of the year in which January lies, as climatologists
call December 2019 to February 2020 the winter (DJF) of 2020; so do hydrologists with a water year
that begins in October (U.S. Geological Survey).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Set
from typing import TYPE_CHECKING, Any

from water_gee.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Span = tuple[dt.date, dt.date]
"""The first day, and the day after the last."""

_REMEDY = "write them as in a year, such as 6, 7, 8, or over New Year, such as 11, 12, 1, 2"


def ordered(months: Iterable[Any]) -> tuple[int, ...]:
    """Check months and put them in the order of their season.

    Args:
        months: From 1 to 12, in the order of time: as in a year, or over New Year, with January
            right after December. A set has no order and is of one calendar year.

    Returns:
        Each month once: ascending, or ascending to 12 and again from 1.

    Raises:
        RecipeError: None, no month, or an order that is neither.
    """
    given = list(months)
    for month in given:
        if isinstance(month, bool) or not isinstance(month, int) or not 1 <= month <= 12:
            raise RecipeError(f"months: whole numbers from 1 to 12, {month!r} among them")
    if not given:
        raise RecipeError("months: whole numbers from 1 to 12, none given")
    unique = tuple(sorted(given) if isinstance(months, Set) else dict.fromkeys(given))
    if unique == tuple(sorted(unique)):
        return unique
    before = unique[: unique.index(1)] if 1 in unique else ()
    after = unique[len(before) :]
    rising = all(part == tuple(sorted(part)) for part in (before, after))
    if not (rising and before and before[-1] == 12 and after[-1] < before[0]):
        shown = ", ".join(map(str, given))
        raise RecipeError(f"months {shown}: out of order; {_REMEDY}")
    return unique


def dated(year: int, months: Sequence[int]) -> list[tuple[int, int]]:
    """`(year, month)` of a season, in the order of time; `months` as `ordered` gives them."""
    return [(year - (month > months[-1]), month) for month in months]


def spans(years: Iterable[int], months: Sequence[int]) -> list[Span]:
    """The days of the seasons of some years, one span for each run of months.

    Args:
        years: Each gives a season.
        months: As `ordered` gives them.
    """
    found: list[Span] = []
    for year in years:
        own: list[Span] = []
        for its_year, month in dated(year, months):
            first = dt.date(its_year, month, 1)
            after = dt.date(its_year + month // 12, month % 12 + 1, 1)
            if own and own[-1][1] == first:
                own[-1] = (own[-1][0], after)
            else:
                own.append((first, after))
        found.extend(own)
    return found


def in_words(months: Sequence[int], years: Iterable[int]) -> str:
    """`months 6, 7, 8 of 2019, 2020`, or `months 12 (of the year before), 1, 2 of 2020`."""
    early = [str(month) for month in months if month > months[-1]]
    late = [str(month) for month in months if month <= months[-1]]
    parts = [f"{', '.join(early)} (of the year before)"] if early else []
    shown = ", ".join([*parts, *late])
    return f"months {shown} of {', '.join(map(str, years))}"
