"""Filter: which of a handful of features pass, worked by hand."""

from __future__ import annotations

import datetime

import pytest


def ms(*fields):
    return int(datetime.datetime(*fields, tzinfo=datetime.UTC).timestamp() * 1000)


@pytest.fixture
def passing(client, info):
    """Return a function that gives the names of the features a filter lets through."""
    rows = [
        ("a", (0, 0), {"n": 1, "s": "LC08_x", "l": [1, 2], "system:time_start": ms(2020, 1, 15)}),
        ("b", (10, 0), {"n": 2, "s": "LC09_y", "l": [3], "system:time_start": ms(2020, 6, 1)}),
        ("c", (20, 0), {"n": 3.5, "s": "LE07_z", "m": 3.5, "system:time_start": ms(2020, 12, 31)}),
        ("d", (30, 0), {"other": 1}),
    ]
    features = [
        client.Feature(client.Geometry.Point(place), {**properties, "name": name})
        for name, place, properties in rows
    ]
    collection = client.FeatureCollection([*features, client.Feature(None, {"name": "e"})])

    def names(chosen):
        return "".join(info(collection.filter(chosen).aggregate_array("name")))

    return names


COMPARISONS = [
    ("eq", "n", 2, "b"),
    ("eq", "n", 2.0, "b"),
    ("eq", "n", "2", ""),
    ("eq", "s", "LC08_x", "a"),
    ("neq", "n", 2, "acde"),
    ("lt", "n", 2, "a"),
    # The client writes these two as the opposites of gt and lt.
    ("lte", "n", 2, "abde"),
    ("gte", "n", 2, "bcde"),
    ("gt", "n", 2, "c"),
    ("gt", "s", "LC08", "abc"),
    ("gt", "n", "1", ""),
]


@pytest.mark.parametrize(("name", "field", "operand", "expected"), COMPARISONS)
def test_comparisons(client, passing, name, field, operand, expected):
    assert passing(getattr(client.Filter, name)(field, operand)) == expected


def test_short_and_long_wire_names_mean_the_same(client, passing):
    call = client.apifunction.ApiFunction.call_
    pairs = [
        ("eq", "equals", "b"),
        ("lt", "lessThan", "a"),
        ("lte", "lessThanOrEquals", "ab"),
        ("gt", "greaterThan", "c"),
        ("gte", "greaterThanOrEquals", "bc"),
        ("neq", "notEquals", "ac"),
    ]
    for short, long, expected in pairs:
        assert passing(call(f"Filter.{short}", "n", 2)) == expected
        assert passing(call(f"Filter.{long}", "n", 2)) == expected


def test_a_missing_property_fails_the_filter_and_passes_its_opposite(client, passing):
    assert passing(client.Filter.eq("n", 1)) == "a"
    assert passing(client.Filter.eq("n", 1).Not()) == "bcde"


def test_two_fields_of_one_element(client, passing):
    assert passing(client.Filter.equals(leftField="n", rightField="m")) == "c"


def test_strings(client, passing):
    assert passing(client.Filter.stringStartsWith("s", "LC")) == "ab"
    assert passing(client.Filter.stringEndsWith("s", "_z")) == "c"
    assert passing(client.Filter.stringContains("s", "0")) == "abc"
    assert passing(client.Filter.stringContains("n", "1")) == ""


def test_lists_and_ranges(client, passing):
    assert passing(client.Filter.inList("n", [1, 3.5, "x"])) == "ac"
    call = client.apifunction.ApiFunction.call_
    assert passing(call("Filter.inList", "n", [1, 3.5, "x"])) == "ac"
    assert passing(client.Filter.listContains("l", 2)) == "a"
    assert passing(client.Filter.rangeContains("n", 2, 3.5)) == "bc"
    assert passing(client.Filter.maxDifference(0.5, "n", 1.5)) == "ab"
    assert passing(client.Filter.notNull(["n", "l"])) == "ab"
    assert passing(client.Filter.notNull(["n"]).Not()) == "de"
    assert passing(client.Filter.hasType("s", "String")) == "abc"


def test_and_or_not(client, passing):
    low, high = client.Filter.lt("n", 2), client.Filter.gt("n", 3)
    assert passing(client.Filter.Or(low, high)) == "ac"
    assert passing(client.Filter.And(client.Filter.gt("n", 0), high.Not())) == "ab"


def test_dates(client, passing):
    assert passing(client.Filter.date("2020-01-15", "2020-06-01")) == "a"
    assert passing(client.Filter.date("2020-06-01")) == "b"
    assert passing(client.Filter.date("2020-01-01", "2021-01-01")) == "abc"


def test_a_date_compares_as_its_milliseconds(client, passing):
    assert passing(client.Filter.gt("system:time_start", client.Date("2020-05-31"))) == "bc"


def test_calendar_ranges_hold_both_ends_and_wrap(client, passing, refused):
    calendar = client.Filter.calendarRange
    assert passing(calendar(6, 8, "month")) == "b"
    assert passing(calendar(12, 1, "month")) == "ac"
    assert passing(calendar(2020, field="year")) == "abc"
    assert passing(calendar(15, 15)) == "a"
    assert passing(calendar(366, 366, "day_of_year")) == "c"
    assert passing(calendar(31, 31, "day_of_month")) == "c"
    assert passing(calendar(1, 1, "day_of_week")) == "b"
    assert passing(calendar(0, 0, "hour")) == "abc"
    assert passing(calendar(0, 0, "minute")) == "abc"
    assert passing(calendar(23, 23, "week")) == "b"
    assert passing(client.Filter.dayOfYear(1, 153)) == "ab"
    assert refused(client.FeatureCollection([]).filter(calendar(1, 2, "era"))).startswith(
        "Filter.calendarRange: Unknown calendar field"
    )


def test_places(client, passing):
    box = client.Geometry.Rectangle([5, -5, 25, 5])
    assert passing(client.Filter.bounds(box)) == "bc"
    assert passing(client.Filter.intersects(".geo", box)) == "bc"
    assert passing(client.Filter.disjoint(".geo", box)) == "ad"
    assert passing(client.Filter.isContained(".geo", box)) == "bc"
    assert passing(client.Filter.contains(leftValue=box, rightField=".geo")) == "bc"
    assert passing(client.Filter.area(0, 1)) == "abcd"


def test_hidden_filters(client, passing):
    call = client.apifunction.ApiFunction.call_
    assert passing(call("Filter.always")) == "abcde"
    assert passing(call("Filter.never")) == ""
    assert passing(call("Filter.hasGeometry")) == "abcd"


def test_bounds_of_a_collection_are_its_geometries(client, passing):
    places = client.FeatureCollection(
        [client.Geometry.Point([0, 0]).buffer(1000), client.Geometry.Point([20, 0]).buffer(1000)]
    )
    assert passing(client.Filter.bounds(places)) == "ac"


def test_distance_is_in_metres_on_the_ellipsoid(client, passing):
    # 10 degrees along the equator are 1,113,194.9 m.
    near = client.Filter.withinDistance
    origin = client.Geometry.Point([0, 0])
    assert passing(near(1_113_200, ".geo", origin)) == "ab"
    assert passing(near(1_113_190, ".geo", origin)) == "a"


def test_an_operand_has_to_be_given_once(client, refused):
    call = client.apifunction.ApiFunction.call_
    both = call("Filter.equals", leftField="n", leftValue=1, rightValue=1)
    assert refused(client.FeatureCollection([]).filter(both)) == (
        "Filter.equals: exactly one of 'leftField' and 'leftValue' is needed."
    )


def test_a_filter_shows_what_it_is(client, info):
    assert info(client.Filter.gt("n", 2)) == {
        "type": "Filter.greaterThan",
        "leftField": "n",
        "rightValue": 2,
    }
