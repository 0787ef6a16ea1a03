"""Date and DateRange: expected answers come from Python's calendar and the reference."""

from __future__ import annotations

import datetime

import pytest


def ms(*fields, tz=datetime.UTC):
    return int(datetime.datetime(*fields, tzinfo=tz).timestamp() * 1000)


PARSED = [
    ("2020", ms(2020, 1, 1)),
    ("2020-06", ms(2020, 6, 1)),
    ("2020-6-1", ms(2020, 6, 1)),
    ("2020-06-01", ms(2020, 6, 1)),
    ("1996-01-01T08:00", ms(1996, 1, 1, 8)),
    ("2020-06-01T10:20:30", ms(2020, 6, 1, 10, 20, 30)),
    ("2020-06-01T10:20:30.25Z", ms(2020, 6, 1, 10, 20, 30) + 250),
    ("2020-06-01T10:20:30+02:00", ms(2020, 6, 1, 8, 20, 30)),
    ("1969-12-31T23:59:59.999", -1),
]


@pytest.mark.parametrize(("text", "expected"), PARSED)
def test_strings_are_dates(client, info, text, expected):
    assert info(client.Date(text)) == {"type": "Date", "value": expected}
    assert info(client.Date(text).millis()) == expected


def test_numbers_datetimes_and_zones_are_dates(client, info, refused):
    moment = datetime.datetime(2020, 6, 1, 12, tzinfo=datetime.UTC)
    assert info(client.Date(moment).millis()) == ms(2020, 6, 1, 12)
    assert info(client.Date(1234567890123).millis()) == 1234567890123
    assert info(client.Date("2020-06-01", "America/Los_Angeles").millis()) == ms(2020, 6, 1, 7)
    assert info(client.Date("2020-06-01", "+05:30").millis()) == ms(2020, 5, 31, 18, 30)
    assert refused(client.Date("yesterday")).startswith("Date: Invalid format")
    assert refused(client.Date("2020-13-01")).startswith("Date: Cannot parse")
    assert "datetime zone id 'Mars'" in refused(client.Date("2020-01-01", "Mars"))


@pytest.mark.parametrize(
    ("start", "delta", "unit", "expected"),
    [
        ((2020, 1, 31), 1, "month", (2020, 2, 29)),
        ((2020, 2, 29), 1, "year", (2021, 2, 28)),
        ((2020, 3, 31), -1, "month", (2020, 2, 29)),
        ((2020, 12, 15), 2, "months", (2021, 2, 15)),
        ((2020, 2, 28), 2, "days", (2020, 3, 1)),
        ((2020, 1, 1), 1, "week", (2020, 1, 8)),
        ((2020, 1, 1), 0.5, "day", (2020, 1, 1, 12)),
        ((2020, 1, 1), 1.5, "hour", (2020, 1, 1, 1, 30)),
        ((2020, 1, 1), -1, "minute", (2019, 12, 31, 23, 59)),
        ((2020, 1, 1), 90, "second", (2020, 1, 1, 0, 1, 30)),
    ],
)
def test_advance(client, info, start, delta, unit, expected):
    assert info(client.Date(ms(*start)).advance(delta, unit).millis()) == ms(*expected)


def test_days_keep_the_time_of_day_where_clocks_change(client, info):
    date = client.Date("2021-03-13T12:00", "America/New_York")
    assert info(date.advance(1, "day").millis()) == ms(2021, 3, 14, 17)
    assert info(date.advance(1, "day", "America/New_York").millis()) == ms(2021, 3, 14, 16)


def test_unknown_units_are_refused(client, refused):
    assert refused(client.Date(0).advance(1, "fortnight")).startswith("Date: Unknown unit")
    assert "outside the years" in refused(client.Date(10**17).get("year"))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("year", 2021),
        ("month", 1),
        ("week", 53),
        ("day", 3),
        ("hour", 14),
        ("minute", 5),
        ("second", 9),
    ],
)
def test_get(client, info, unit, expected):
    assert info(client.Date("2021-01-03T14:05:09").get(unit)) == expected


def test_get_in_a_zone(client, info):
    assert info(client.Date("2021-01-01").get("year", "America/Los_Angeles")) == 2020


def test_relative_units_count_from_zero(client, info, refused):
    date = client.Date("2020-12-31T23:00")
    assert info(date.getRelative("day", "year")) == 365
    assert info(date.getRelative("month", "year")) == 11
    assert info(date.getRelative("week", "year")) == 52
    assert info(date.getRelative("hour", "day")) == 23
    assert info(date.getRelative("day", "month")) == 30
    assert refused(date.getRelative("year", "day")).startswith("Date.getRelative: ")


def test_range_and_fraction(client, info):
    date = client.Date("2013-03-15")
    assert info(date.getRange("year")) == {
        "type": "DateRange",
        "dates": [ms(2013, 1, 1), ms(2014, 1, 1)],
    }
    assert info(date.getRange("month").end().millis()) == ms(2013, 4, 1)
    assert info(date.getRange("week").start().millis()) == ms(2013, 3, 11)
    assert info(client.Date("2013-07-02T12:00").getFraction("year")) == 0.5


def test_differences_are_in_units_of_average_length(client, info):
    one, two = client.Date("2020-01-01"), client.Date("2020-01-15")
    assert info(two.difference(one, "days")) == 14
    assert info(one.difference(two, "weeks")) == -2
    assert info(client.Date("2021-01-01").difference(one, "year")) == pytest.approx(366 / 365.25)
    assert info(client.Date.unitRatio("day", "minute")) == 1440
    assert info(client.Date.unitRatio("year", "month")) == 12


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, "2020-06-01T09:05:03"),
        ("YYYY-MM-dd", "2020-06-01"),
        ("yyyyMMdd", "20200601"),
        ("YY-M-d", "20-6-1"),
        ("YYYY-MM-dd'T'HH:mm:ss.SSS'Z'", "2020-06-01T09:05:03.007Z"),
        ("MMM d, YYYY", "Jun 1, 2020"),
        ("EEEE, MMMM dd", "Monday, June 01"),
        ("EEE", "Mon"),
        ("DDD", "153"),
        ("D", "153"),
        ("hh:mm a", "09:05 AM"),
        ("xxxx-'W'ww-e", "2020-W23-1"),
        ("Z", "+0000"),
        ("'it''s' HH", "it's 09"),
    ],
)
def test_format(client, info, pattern, expected):
    date = client.Date(ms(2020, 6, 1, 9, 5, 3) + 7)
    assert info(date.format(pattern)) == expected


def test_format_in_a_zone(client, info, refused):
    date = client.Date("2020-06-01")
    assert info(date.format("YYYY-MM-dd HH:mm ZZ", "Asia/Kolkata")) == "2020-06-01 05:30 +05:30"
    assert refused(date.format("q")).startswith("Date.format: Illegal pattern")


def test_parse_reads_what_format_writes(client, info, refused):
    parse = client.Date.parse
    assert info(parse("YYYY-MM-dd", "2020-06-01").millis()) == ms(2020, 6, 1)
    assert info(parse("yyyyMMdd", "20200601").millis()) == ms(2020, 6, 1)
    assert info(parse("YYYYDDD", "2020153").millis()) == ms(2020, 6, 1)
    assert info(parse("d MMM YYYY hh:mm a", "1 Jun 2020 12:30 PM").millis()) == ms(
        2020, 6, 1, 12, 30
    )
    assert info(parse("YYYY-MM-dd", "2020-06-01", "+02:00").millis()) == ms(2020, 5, 31, 22)
    assert "is malformed" in refused(parse("YYYY-MM-dd", "June"))


def test_from_ymd_and_update(client, info, refused):
    assert info(client.Date.fromYMD(2020, 2, 29).millis()) == ms(2020, 2, 29)
    assert info(client.Date.fromYMD(2020, 2, 29, "UTC").millis()) == ms(2020, 2, 29)
    assert refused(client.Date.fromYMD(2021, 2, 29)).startswith("Date.fromYMD: ")
    date = client.Date("2020-06-01T10:20:30")
    assert info(date.update(year=2021, hour=0).millis()) == ms(2021, 6, 1, 0, 20, 30)
    assert info(date.update(second=1.5).millis()) == ms(2020, 6, 1, 10, 20, 1) + 500
    assert refused(date.update(month=13)).startswith("Date.update: ")


def test_ranges(client, info):
    year = client.DateRange("2020-01-01", "2021-01-01")
    june = client.DateRange("2020-06-01", "2020-07-01")
    later = client.DateRange("2021-06-01", "2021-07-01")
    assert info(year.contains("2020-12-31T23:59")) is True
    assert info(year.contains("2021-01-01")) is False
    assert info(year.contains(june)) is True
    assert info(year.intersects(june)) is True
    assert info(year.intersects(later)) is False
    assert info(year.intersection(june))["dates"] == [ms(2020, 6, 1), ms(2020, 7, 1)]
    assert info(year.intersection(later).isEmpty()) is True
    assert info(june.union(later))["dates"] == [ms(2020, 6, 1), ms(2021, 7, 1)]
    assert info(june.start().millis()) == ms(2020, 6, 1)
    assert info(client.DateRange("2020-01-01"))["dates"] == [ms(2020, 1, 1), ms(2020, 1, 1) + 1]


def test_unbounded_range(client, info):
    everything = client.DateRange.unbounded()
    assert info(everything.isUnbounded()) is True
    assert info(everything.contains("1500-01-01")) is True
    assert info(client.DateRange("2020", "2021").isUnbounded()) is False
