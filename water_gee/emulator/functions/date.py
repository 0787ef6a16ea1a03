"""`Date` and `DateRange`: instants in milliseconds UTC, calendars in any time zone."""

from __future__ import annotations

import datetime
import math
from typing import Any

from water_gee.emulator import dates, joda
from water_gee.emulator.coerce import coerce
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Date, DateRange

FIRST_MS, LAST_MS = -(2**63), 2**63 - 1
"""The ends of an unbounded range."""

RELATIVE = ("second", "minute", "hour", "day", "week", "month", "year")


def instant(value: Any, timezone: str | None, where: str) -> int:
    """Return a date, a number of milliseconds or an ISO string as milliseconds."""
    if isinstance(value, str):
        return dates.parse_iso(value, timezone)
    date: Date = coerce(value, Date, where)
    return date.value


@REGISTRY.function("Date")
def date(value: Any, timeZone: str | None = None) -> Date:
    """Make a date of milliseconds since 1970 UTC, an ISO string, or a date."""
    return Date(instant(value, timeZone, "Date, argument 'value'"))


@REGISTRY.function("Date.fromYMD")
def from_ymd(year: int, month: int, day: int, timeZone: str | None = None) -> Date:
    """Make a date of year, month and day, at midnight of the time zone."""
    try:
        moment = datetime.datetime(year, month, day, tzinfo=dates.zone(timeZone))
    except ValueError as error:
        raise bad_request(f"Date.fromYMD: {error}.") from error
    return Date(dates.to_millis(moment))


@REGISTRY.function("Date.millis")
def millis(date: Date) -> int:
    """Return milliseconds since 1970-01-01 UTC."""
    return date.value


@REGISTRY.function("Date.advance")
def advance(date: Date, delta: float, unit: str, timeZone: str | None = None) -> Date:
    """Move a date by a number of units."""
    return Date(dates.advance(date.value, delta, unit, timeZone))


@REGISTRY.function("Date.get")
def get(date: Date, unit: str, timeZone: str | None = None) -> int:
    """Return a field: year, month (1-12), week (1-53), day (1-31), hour, minute or second."""
    return dates.get(date.value, unit, timeZone)


def _unit_bounds(date: Date, unit: str, timezone: str | None) -> tuple[int, int]:
    start = dates.floor(date.value, unit, timezone)
    return start, dates.advance(start, 1, unit, timezone)


@REGISTRY.function("Date.getFraction")
def get_fraction(date: Date, unit: str, timeZone: str | None = None) -> float:
    """Return how much of the unit that holds the date is over, from 0 to 1."""
    start, end = _unit_bounds(date, unit, timeZone)
    return (date.value - start) / (end - start)


@REGISTRY.function("Date.getRange")
def get_range(date: Date, unit: str, timeZone: str | None = None) -> DateRange:
    """Return the whole unit that holds the date."""
    return DateRange(*_unit_bounds(date, unit, timeZone))


@REGISTRY.function("Date.getRelative")
def get_relative(date: Date, unit: str, inUnit: str, timeZone: str | None = None) -> int:
    """Return how many whole units of the larger unit are over: `day` in `year` is 0 to 365."""
    small, large = dates.unit(unit), dates.unit(inUnit)
    if RELATIVE.index(small) >= RELATIVE.index(large):
        raise bad_request(f"Date.getRelative: '{unit}' is not smaller than '{inUnit}'.")
    start = dates.floor(date.value, large, timeZone)
    if small == "month":
        return dates.get(date.value, "month", timeZone) - 1
    if small in ("day", "week"):
        days = dates.to_datetime(date.value, timeZone).toordinal()
        days -= dates.to_datetime(start, timeZone).toordinal()
        return days // (7 if small == "week" else 1)
    return int((date.value - start) // dates.MILLISECONDS[small])


@REGISTRY.function("Date.difference")
def difference(date: Date, start: Date, unit: str) -> float:
    """Return `date - start` in units of average length."""
    return (date.value - start.value) / dates.MILLISECONDS[dates.unit(unit)]


@REGISTRY.function("Date.unitRatio")
def unit_ratio(numerator: str, denominator: str) -> float:
    """Return how many of the second unit make one of the first."""
    return dates.MILLISECONDS[dates.unit(numerator)] / dates.MILLISECONDS[dates.unit(denominator)]


@REGISTRY.function("Date.format")
def format_(date: Date, format: str | None = None, timeZone: str | None = None) -> str:
    """Write a date by a Joda pattern, by default `YYYY-MM-dd'T'HH:mm:ss`."""
    return joda.write(date.value, format or "YYYY-MM-dd'T'HH:mm:ss", timeZone)


@REGISTRY.function("Date.parse")
def parse(format: str, date: str, timeZone: str | None = None) -> Date:
    """Read a date written by a Joda pattern."""
    return Date(joda.read(format, date, timeZone))


@REGISTRY.function("Date.update")
def update(
    date: Date,
    year: int | None = None,
    month: int | None = None,
    day: int | None = None,
    hour: int | None = None,
    minute: int | None = None,
    second: float | None = None,
    timeZone: str | None = None,
) -> Date:
    """Set some fields of a date, in a time zone."""
    fields: dict[str, Any] = {
        "year": year, "month": month, "day": day, "hour": hour, "minute": minute,
    }  # fmt: skip
    changes = {name: value for name, value in fields.items() if value is not None}
    if second is not None:
        changes["second"] = math.floor(second)
        changes["microsecond"] = round((second - math.floor(second)) * 1e6)
    moment = dates.to_datetime(date.value, timeZone)
    try:
        return Date(dates.to_millis(moment.replace(**changes)))
    except ValueError as error:
        raise bad_request(f"Date.update: {error}.") from error


@REGISTRY.function("DateRange")
def date_range(start: Any, end: Any = None, timeZone: str | None = None) -> DateRange:
    """Make a range from `start` (inclusive) to `end` (exclusive), by default one millisecond."""
    if isinstance(start, DateRange):
        return start
    first = instant(start, timeZone, "DateRange, argument 'start'")
    last = first + 1 if end is None else instant(end, timeZone, "DateRange, argument 'end'")
    return DateRange(first, last)


@REGISTRY.function("DateRange.unbounded")
def unbounded() -> DateRange:
    """Return all of time."""
    return DateRange(FIRST_MS, LAST_MS)


@REGISTRY.function("DateRange.start")
def range_start(dateRange: DateRange) -> Date:
    """Return the first instant."""
    return Date(dateRange.start)


@REGISTRY.function("DateRange.end")
def range_end(dateRange: DateRange) -> Date:
    """Return the instant after the last."""
    return Date(dateRange.end)


@REGISTRY.function("DateRange.isEmpty")
def is_empty(dateRange: DateRange) -> bool:
    """Say whether no instant is in the range."""
    return dateRange.start >= dateRange.end


@REGISTRY.function("DateRange.isUnbounded")
def is_unbounded(dateRange: DateRange) -> bool:
    """Say whether all of time is in the range."""
    return dateRange.start == FIRST_MS and dateRange.end == LAST_MS


@REGISTRY.function("DateRange.contains")
def range_contains(dateRange: DateRange, other: Any) -> bool:
    """Say whether a date, or every date of another range, is in the range."""
    if isinstance(other, DateRange):
        return dateRange.start <= other.start and other.end <= dateRange.end
    moment = instant(other, None, "DateRange.contains, argument 'other'")
    return dateRange.start <= moment < dateRange.end


@REGISTRY.function("DateRange.intersects")
def range_intersects(dateRange: DateRange, other: DateRange) -> bool:
    """Say whether two ranges share an instant."""
    return max(dateRange.start, other.start) < min(dateRange.end, other.end)


@REGISTRY.function("DateRange.intersection")
def range_intersection(dateRange: DateRange, other: DateRange) -> DateRange:
    """Return the instants that are in both ranges."""
    start = max(dateRange.start, other.start)
    return DateRange(start, max(start, min(dateRange.end, other.end)))


@REGISTRY.function("DateRange.union")
def range_union(dateRange: DateRange, other: DateRange) -> DateRange:
    """Return the shortest range that holds both."""
    return DateRange(min(dateRange.start, other.start), max(dateRange.end, other.end))
