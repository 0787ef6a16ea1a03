"""Dates written and read by Joda patterns, such as `YYYY-MM-dd'T'HH:mm:ss`."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

from water_gee.emulator.dates import to_datetime, to_millis, zone
from water_gee.emulator.registry import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_TOKEN = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|.", re.DOTALL)


def write(value: int, pattern: str, timezone: str | None = None) -> str:
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
        name = MONTHS[moment.month - 1] if letter == "M" else DAYS[moment.weekday()]
        return name if width >= 4 else name[:3]
    if letter == "E":
        return DAYS[moment.weekday()][:3]
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


_NUMBERS: dict[str, Callable[[datetime.datetime], int]] = {
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


def read(pattern: str, text: str, timezone: str | None = None) -> int:
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
    for number, known in enumerate(MONTHS, start=1):
        if name.lower() in (known.lower(), known[:3].lower()):
            return number
    raise bad_request(f"Date.parse: Unknown month '{name}'.")
