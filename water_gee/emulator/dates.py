"""Instants and calendars: ISO text, time zones, units."""

from __future__ import annotations

import calendar
import datetime
import re
import zoneinfo

from water_gee.emulator.registry import bad_request

DAY_MS = 86_400_000

MILLISECONDS = {
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
    "month": 365.25 / 12 * DAY_MS,
    "year": 365.25 * DAY_MS,
}
"""Length of each unit; a month and a year are those of the Julian calendar on average."""

_ISO = re.compile(
    r"(?P<year>-?\d{1,6})(?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2})"
    r"(?:[T ](?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2}(?:[.,]\d+)?))?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?)?)?"
)

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def zone(name: str | None) -> datetime.tzinfo:
    """Return a time zone by its name (`UTC`, `America/Los_Angeles`, `+05:30`), UTC where None.

    Raises:
        ServiceError: 400: no such zone.
    """
    if name is None or name in ("UTC", "Z", "GMT", ""):
        return datetime.UTC
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name)
    if offset:
        sign = -1 if offset[1] == "-" else 1
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        return datetime.timezone(sign * datetime.timedelta(minutes=minutes))
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise bad_request(f"The datetime zone id '{name}' is not recognised") from error


def to_datetime(value: int, timezone: str | None = None) -> datetime.datetime:
    """Return an instant in milliseconds as a datetime.

    Raises:
        ServiceError: 400: outside the years 1 to 9999.
    """
    try:
        return (_EPOCH + datetime.timedelta(milliseconds=value)).astimezone(zone(timezone))
    except (OverflowError, ValueError) as error:
        raise bad_request(f"Date: {value} ms is outside the years 1 to 9999.") from error


def to_millis(moment: datetime.datetime) -> int:
    """Return a datetime as whole milliseconds since 1970, rounded down; UTC without a zone."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def parse_iso(text: str, timezone: str | None = None) -> int:
    """Return what `2020`, `2020-06`, `2020-06-01` or `2020-06-01T10:20:30.5Z` stand for.

    Args:
        text: An ISO 8601 date or date and time.
        timezone: Where the text does not say.

    Raises:
        ServiceError: 400: it is none.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise bad_request(f'Date: Invalid format: "{text}".')
    parts = match.groupdict()
    second = float((parts["second"] or "0").replace(",", "."))
    try:
        moment = datetime.datetime(
            int(parts["year"]),
            int(parts["month"] or 1),
            int(parts["day"] or 1),
            int(parts["hour"] or 0),
            int(parts["minute"] or 0),
            tzinfo=zone(parts["zone"] or timezone),
        )
    except ValueError as error:
        raise bad_request(f'Date: Cannot parse "{text}": {error}.') from error
    return to_millis(moment) + int(second * 1000 + 1e-6)


def unit(name: str, allowed: tuple[str, ...] = tuple(MILLISECONDS)) -> str:
    """Return a unit's name in the singular.

    Raises:
        ServiceError: 400: no such unit.
    """
    singular = name.lower().removesuffix("s")
    if singular not in allowed:
        raise bad_request(f"Date: Unknown unit '{name}'; known: {', '.join(allowed)}.")
    return singular


def add_months(moment: datetime.datetime, months: int) -> datetime.datetime:
    """Return the same day and time some months on, or the month's last day where it is shorter."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    try:
        day = min(moment.day, calendar.monthrange(year, month + 1)[1])
        return moment.replace(year=year, month=month + 1, day=day)
    except (ValueError, calendar.IllegalMonthError) as error:
        raise bad_request(f"Date: the year {year} is outside 1 to 9999.") from error


def advance(value: int, delta: float, name: str, timezone: str | None = None) -> int:
    """Return an instant moved by a number of units; months and years keep the local time of day.

    Whole years, months, weeks and days are those of the calendar in the time zone; what is left of
    a fraction is the same fraction of the unit's length.
    """
    step = unit(name)
    whole = int(delta)
    rest = round((delta - whole) * MILLISECONDS[step])
    if step in ("second", "minute", "hour"):
        return value + round(delta * MILLISECONDS[step])
    moment = to_datetime(value, timezone)
    if step in ("day", "week"):
        naive = moment.replace(tzinfo=None) + datetime.timedelta(**{step + "s": whole})
        moment = naive.replace(tzinfo=moment.tzinfo)
    else:
        moment = add_months(moment, whole * (12 if step == "year" else 1))
    return to_millis(moment) + rest


def floor(value: int, name: str, timezone: str | None = None) -> int:
    """Return the beginning of the unit that an instant lies in; a week begins on Monday."""
    step = unit(name)
    moment = to_datetime(value, timezone)
    cut = {"microsecond": 0}
    for smaller in ("second", "minute", "hour"):
        if step == smaller:
            break
        cut[smaller] = 0
    moment = moment.replace(**cut)  # type: ignore[arg-type]
    if step == "week":
        moment -= datetime.timedelta(days=moment.weekday())
    elif step in ("month", "year"):
        moment = moment.replace(day=1)
        if step == "year":
            moment = moment.replace(month=1)
    return to_millis(moment)


def get(value: int, name: str, timezone: str | None = None) -> int:
    """Return a field of an instant: `year`, `month` (1-12), `week`, `day` (of month), `hour`..."""
    step = unit(name)
    moment = to_datetime(value, timezone)
    if step == "week":
        return moment.isocalendar().week
    return int(getattr(moment, step))
