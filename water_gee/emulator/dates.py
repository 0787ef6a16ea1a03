"""Instants and calendars: ISO text, time zones, units, and the Joda patterns people format with."""

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
    """Return a datetime as whole milliseconds since 1970, rounded down; without a zone it is UTC."""
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

    Whole months and years, and whole days and weeks, are those of the calendar in the time zone; what is
    left of a fraction is the same fraction of the unit's length.
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
    """Return one field of an instant: `year`, `month` (1-12), `week`, `day` (of month), `hour` ...."""
    step = unit(name)
    moment = to_datetime(value, timezone)
    if step == "week":
        return moment.isocalendar().week
    return int(getattr(moment, step))


_TOKEN = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)


def joda(value: int, pattern: str, timezone: str | None = None) -> str:
    """Format an instant by a Joda pattern such as `YYYY-MM-dd'T'HH:mm:ss`.

    Raises:
        ServiceError: 400: a letter that stands for nothing here.
    """
    moment = to_datetime(value, timezone)
    return "".join(_field(moment, match[0]) for match in _TOKEN.finditer(pattern))


def _field(moment: datetime.datetime, token: str) -> str:
    """Return what one token of a Joda pattern stands for."""
    letter, width = token[0], len(token)
    if letter == "'":
        return token[1:-1].replace("''", "'") or "'"
    if not letter.isalpha():
        return token
    if letter in "yYx" and width == 2:
        return f"{(moment.isocalendar().year if letter == 'x' else moment.year) % 100:02d}"
    if letter in "ME" and width >= 3:
        names = {
            "M": (calendar.month_abbr, calendar.month_name),
            "E": (calendar.day_abbr, calendar.day_name),
        }
        index = moment.month if letter == "M" else moment.weekday()
        return str(names[letter][width >= 4][index])
    if letter == "E":
        return calendar.day_abbr[moment.weekday()]
    if letter == "a":
        return "AM" if moment.hour < 12 else "PM"
    if letter == "G":
        return "AD"
    if letter == "S":
        return f"{moment.microsecond:06d}"[:width].ljust(width, "0")
    if letter in "zZ":
        return _zone_name(moment, token)
    number = _NUMBERS.get(letter)
    if number is None:
        raise bad_request(f"Date.format: Illegal pattern component: {token}")
    return f"{number(moment):0{width}d}"


_NUMBERS = {
    "y": lambda t: t.year,
    "Y": lambda t: t.year,
    "x": lambda t: t.isocalendar().year,
    "M": lambda t: t.month,
    "w": lambda t: t.isocalendar().week,
    "D": lambda t: t.timetuple().tm_yday,
    "d": lambda t: t.day,
    "e": lambda t: t.isoweekday(),
    "H": lambda t: t.hour,
    "k": lambda t: t.hour or 24,
    "K": lambda t: t.hour % 12,
    "h": lambda t: t.hour % 12 or 12,
    "m": lambda t: t.minute,
    "s": lambda t: t.second,
    "C": lambda t: t.year // 100,
}


def _zone_name(moment: datetime.datetime, token: str) -> str:
    offset = moment.utcoffset() or datetime.timedelta()
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    if token == "Z":
        return f"{sign}{hours:02d}{rest:02d}"
    if token == "ZZ":
        return f"{sign}{hours:02d}:{rest:02d}"
    return moment.tzname() or "UTC"


_READERS = {
    "y": r"(?P<year>-?\d{1,4})",
    "Y": r"(?P<year>-?\d{1,4})",
    "M": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "D": r"(?P<yearday>\d{1,3})",
    "H": r"(?P<hour>\d{1,2})",
    "h": r"(?P<hour12>\d{1,2})",
    "m": r"(?P<minute>\d{1,2})",
    "s": r"(?P<second>\d{1,2})",
    "S": r"(?P<fraction>\d{1,9})",
    "a": r"(?P<half>[AaPp][Mm])",
    "Z": r"(?P<zone>Z|[+-]\d{2}:?\d{2})",
}


def parse_joda(pattern: str, text: str, timezone: str | None = None) -> int:
    """Return what a text written by a Joda pattern stands for, in milliseconds.

    Raises:
        ServiceError: 400: the text does not fit, or the pattern is not known here.
    """
    expression = "".join(_reader(match[0]) for match in _TOKEN.finditer(pattern))
    match = re.fullmatch(expression, text)
    if match is None:
        raise bad_request(f'Date.parse: Invalid format: "{text}" is malformed for "{pattern}".')
    got = {name: value for name, value in match.groupdict().items() if value is not None}
    month = got.get("month", "1")
    if not month.isdigit():
        month = str(_month_number(month))
    hour = int(got.get("hour", 0))
    if "hour12" in got:
        hour = int(got["hour12"]) % 12 + (12 if got.get("half", "am").lower() == "pm" else 0)
    try:
        moment = datetime.datetime(
            int(got.get("year", 1970)),
            int(month),
            int(got.get("day", 1)),
            hour,
            int(got.get("minute", 0)),
            int(got.get("second", 0)),
            int(got.get("fraction", "0")[:6].ljust(6, "0")),
            tzinfo=zone(got.get("zone", timezone)),
        )
    except ValueError as error:
        raise bad_request(f'Date.parse: Cannot parse "{text}": {error}.') from error
    if "yearday" in got:
        moment += datetime.timedelta(days=int(got["yearday"]) - 1)
    return to_millis(moment)


def _reader(token: str) -> str:
    """Return the regular expression for one token of a Joda pattern."""
    letter = token[0]
    if letter == "'":
        return re.escape(token[1:-1].replace("''", "'") or "'")
    if not letter.isalpha():
        return re.escape(token)
    if letter == "M" and len(token) >= 3:
        return r"(?P<month>[A-Za-z]+)"
    if letter not in _READERS:
        raise bad_request(f"Date.parse: Illegal pattern component: {token}")
    reader = _READERS[letter]
    # Joda reads numbers that touch each other, as in yyyyMMdd, by their width.
    return re.sub(r"\{1,\d\}", f"{{{len(token)}}}", reader) if len(token) > 1 else reader


def _month_number(name: str) -> int:
    for names in (calendar.month_abbr, calendar.month_name):
        for number, known in enumerate(names):
            if known and known.lower() == name.lower():
                return number
    raise bad_request(f"Date.parse: Unknown month '{name}'.")
