"""`Filter`: tests of one element. An element that lacks what a test asks for fails it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from water_gee.emulator import dates, geodesy
from water_gee.emulator import properties as props
from water_gee.emulator.coerce import coerce, type_name
from water_gee.emulator.compare import comparable, equal, order
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    Collection,
    DateRange,
    Element,
    ErrorMargin,
    Feature,
    Filter,
    Geometry,
    Image,
)
from water_gee.errors import ServiceError

Test = Callable[[Any, Any], bool]


def _operand(field: str | None, value: Any, side: str, name: str) -> Callable[[Element], Any]:
    """Return how one side of a comparison is had from an element."""
    if (field is None) == (value is None):
        raise bad_request(f"{name}: exactly one of '{side}Field' and '{side}Value' is needed.")
    if field is not None:
        return lambda element: props.get(element, field)
    return lambda _element: value


def _binary(name: str, test: Test, described: dict[str, Any]) -> Filter:
    """Return a filter that compares two operands, neither of them null."""
    left = _operand(described["leftField"], described["leftValue"], "left", name)
    right = _operand(described["rightField"], described["rightValue"], "right", name)

    def passes(element: Element) -> bool:
        one, two = left(element), right(element)
        return one is not None and two is not None and test(one, two)

    shown = {key: value for key, value in described.items() if value is not None}
    return Filter(passes, {"type": name, **shown})


def _ordered(accepted: tuple[int, ...]) -> Test:
    return lambda one, two: order(one, two) in accepted


def _strings(test: Callable[[str, str], bool]) -> Test:
    return lambda one, two: isinstance(one, str) and isinstance(two, str) and test(one, two)


def _in(one: Any, many: Any) -> bool:
    return isinstance(many, list) and any(equal(one, member) for member in many)


def _in_range(span: Any, moment: Any) -> bool:
    moment = comparable(moment)
    if not isinstance(moment, (int, float)):
        return False
    covered: DateRange = coerce(span, DateRange, "Filter.dateRangeContains, argument 'leftValue'")
    return covered.start <= moment < covered.end


_COMPARISONS: tuple[tuple[tuple[str, ...], str, Test], ...] = (
    (("Filter.eq", "Filter.equals"), "Pass where the operands are equal.", equal),
    (
        ("Filter.neq", "Filter.notEquals"),
        "Pass where the operands are there and differ.",
        lambda one, two: not equal(one, two),
    ),
    (("Filter.lt", "Filter.lessThan"), "Pass where left < right.", _ordered((-1,))),
    (
        ("Filter.lte", "Filter.lessThanOrEquals"),
        "Pass where left <= right.",
        _ordered((-1, 0)),
    ),
    (("Filter.gt", "Filter.greaterThan"), "Pass where left > right.", _ordered((1,))),
    (
        ("Filter.gte", "Filter.greaterThanOrEquals"),
        "Pass where left >= right.",
        _ordered((0, 1)),
    ),
    (
        ("Filter.stringStartsWith",),
        "Pass where the left string starts with the right one.",
        _strings(str.startswith),
    ),
    (
        ("Filter.stringEndsWith",),
        "Pass where the left string ends with the right one.",
        _strings(str.endswith),
    ),
    (
        ("Filter.stringContains",),
        "Pass where the left string holds the right one.",
        _strings(str.__contains__),
    ),
    (("Filter.inList",), "Pass where the left operand is a member of the right list.", _in),
    (
        ("Filter.listContains",),
        "Pass where the left list has the right operand as a member.",
        lambda many, one: _in(one, many),
    ),
    (
        ("Filter.hasType",),
        "Pass where the left operand has the type that the right one names.",
        lambda one, name: type_name(one) == name,
    ),
    (
        ("Filter.dateRangeContains",),
        "Pass where the left date range contains the right date or milliseconds.",
        _in_range,
    ),
)


def _comparison(name: str, summary: str, test: Test) -> Callable[..., Filter]:
    def compare(
        leftField: str | None = None,
        rightValue: Any = None,
        rightField: str | None = None,
        leftValue: Any = None,
    ) -> Filter:
        return _binary(
            name,
            test,
            {
                "leftField": leftField,
                "rightValue": rightValue,
                "rightField": rightField,
                "leftValue": leftValue,
            },
        )

    compare.__doc__ = summary
    return compare


for _names, _summary, _test in _COMPARISONS:
    for _name in _names:
        REGISTRY.function(_name)(_comparison(_name, _summary, _test))


def as_geometry(value: Any, where: str) -> Geometry | None:
    """Return what an operand covers, None where it is no geometry."""
    if isinstance(value, (Feature, Image)):
        return props.geometry_of(value)
    if isinstance(value, Collection):
        return geodesy.union_of(value)
    try:
        geometry: Geometry = coerce(value, Geometry, where)
    except ServiceError:
        return None
    return geometry


def _spatial(name: str, test: Callable[[Geometry, Geometry], bool]) -> Test:
    def passes(one: Any, two: Any) -> bool:
        left, right = as_geometry(one, name), as_geometry(two, name)
        return left is not None and right is not None and test(left, right)

    return passes


_SPATIAL: tuple[tuple[str, str, Callable[[Geometry, Geometry], bool]], ...] = (
    ("Filter.intersects", "Pass where the operands share a point.", geodesy.intersects),
    (
        "Filter.disjoint",
        "Pass where the operands share no point.",
        lambda one, two: not geodesy.intersects(one, two),
    ),
    ("Filter.contains", "Pass where left contains right.", geodesy.contains),
    (
        "Filter.isContained",
        "Pass where right contains left.",
        lambda one, two: geodesy.contains(two, one),
    ),
)


def _spatial_comparison(name: str, summary: str, test: Test) -> Callable[..., Filter]:
    def compare(
        leftField: str | None = None,
        rightValue: Any = None,
        rightField: str | None = None,
        leftValue: Any = None,
        maxError: ErrorMargin | None = None,
    ) -> Filter:
        return _comparison(name, summary, test)(leftField, rightValue, rightField, leftValue)

    compare.__doc__ = summary
    return compare


for _name, _summary, _check in _SPATIAL:
    REGISTRY.function(_name)(_spatial_comparison(_name, _summary, _spatial(_name, _check)))


@REGISTRY.function("Filter.withinDistance")
def within_distance(
    distance: float,
    leftField: str | None = None,
    rightValue: Any = None,
    rightField: str | None = None,
    leftValue: Any = None,
    maxError: ErrorMargin | None = None,
) -> Filter:
    """Pass where the operands are at most a distance (metres) apart."""
    test = _spatial(
        "Filter.withinDistance", lambda one, two: geodesy.distance(one, two) <= distance
    )
    return _comparison("Filter.withinDistance", "", test)(
        leftField, rightValue, rightField, leftValue
    )


@REGISTRY.function("Filter.maxDifference")
def max_difference(
    difference: float,
    leftField: str | None = None,
    rightValue: Any = None,
    rightField: str | None = None,
    leftValue: Any = None,
) -> Filter:
    """Pass where the operands, numbers or dates (in milliseconds), differ by at most so much."""

    def near(one: Any, two: Any) -> bool:
        one, two = comparable(one), comparable(two)
        numbers = isinstance(one, (int, float)) and isinstance(two, (int, float))
        return numbers and abs(one - two) <= difference

    return _comparison("Filter.maxDifference", "", near)(
        leftField, rightValue, rightField, leftValue
    )


@REGISTRY.function("Filter.rangeContains")
def range_contains(field: str, minValue: Any, maxValue: Any) -> Filter:
    """Pass where minValue <= field <= maxValue."""

    def passes(element: Element) -> bool:
        value = props.get(element, field)
        if value is None:
            return False
        return order(minValue, value) in (-1, 0) and order(value, maxValue) in (-1, 0)

    shown = {"field": field, "minValue": minValue, "maxValue": maxValue}
    return Filter(passes, {"type": "Filter.rangeContains", **shown})


@REGISTRY.function("Filter.notNull")
def not_null(properties: list[str]) -> Filter:
    """Pass where all of some properties are there."""
    return Filter(
        lambda element: all(props.get(element, name) is not None for name in properties),
        {"type": "Filter.notNull", "properties": properties},
    )


def _filters(many: list[Any], where: str) -> list[Filter]:
    return [coerce(one, Filter, where) for one in many]


@REGISTRY.function("Filter.and")
def and_(filters: list[Filter]) -> Filter:
    """Pass where every filter does."""
    members = _filters(filters, "Filter.and, argument 'filters'")
    return Filter(
        lambda element: all(member.test(element) for member in members),
        {"type": "Filter.and", "filters": [member.description for member in members]},
    )


@REGISTRY.function("Filter.or")
def or_(filters: list[Filter]) -> Filter:
    """Pass where any filter does."""
    members = _filters(filters, "Filter.or, argument 'filters'")
    return Filter(
        lambda element: any(member.test(element) for member in members),
        {"type": "Filter.or", "filters": [member.description for member in members]},
    )


@REGISTRY.function("Filter.not")
def not_(filter: Filter) -> Filter:
    """Pass where a filter does not; so an element without the property asked for passes."""
    return Filter(
        lambda element: not filter.test(element),
        {"type": "Filter.not", "filter": filter.description},
    )


_CALENDAR: dict[str, Callable[[Any], int]] = {
    "minute": lambda moment: moment.minute,
    "hour": lambda moment: moment.hour,
    "day_of_month": lambda moment: moment.day,
    "day_of_week": lambda moment: moment.isoweekday(),
    "day_of_year": lambda moment: moment.timetuple().tm_yday,
    "week": lambda moment: moment.isocalendar().week,
    "month": lambda moment: moment.month,
    "year": lambda moment: moment.year,
}
"""Fields of the calendar; months and days count from 1, a week begins on Monday."""


@REGISTRY.function("Filter.calendarRange")
def calendar_range(start: int, end: int | None = None, field: str = "day_of_year") -> Filter:
    """Pass where a calendar field of the start time lies in a range, ends included.

    Where end < start the range wraps: value >= start or value <= end. Times are in UTC.
    """
    read = _CALENDAR.get(field.lower())
    if read is None:
        raise bad_request(f"Filter.calendarRange: Unknown calendar field '{field}'.")
    last = start if end is None else end

    def passes(element: Element) -> bool:
        moment = comparable(props.get(element, "system:time_start"))
        if not isinstance(moment, (int, float)):
            return False
        value = read(dates.to_datetime(int(moment)))
        if last < start:
            return value >= start or value <= last
        return start <= value <= last

    shown = {"start": start, "end": last, "field": field}
    return Filter(passes, {"type": "Filter.calendarRange", **shown})


@REGISTRY.function("Filter.dayOfYear")
def day_of_year(start: int, end: int) -> Filter:
    """Pass where the start time's day of the year (from 1) lies in a range, ends included."""
    return calendar_range(start, end, "day_of_year")


@REGISTRY.function("Filter.always")
def always() -> Filter:
    """Pass everything."""
    return Filter(lambda _element: True, {"type": "Filter.always"})


@REGISTRY.function("Filter.never")
def never() -> Filter:
    """Pass nothing."""
    return Filter(lambda _element: False, {"type": "Filter.never"})


@REGISTRY.function("Filter.hasGeometry")
def has_geometry() -> Filter:
    """Pass elements that have a geometry."""
    return Filter(
        lambda element: props.geometry_of(element) is not None, {"type": "Filter.hasGeometry"}
    )


@REGISTRY.function("Filter.area")
def area(
    min: float, max: float, maxError: ErrorMargin | None = None, geometrySelector: str | None = None
) -> Filter:
    """Pass where the geometry's area (square metres) lies in [min, max]."""

    def passes(element: Element) -> bool:
        geometry = as_geometry(props.get(element, geometrySelector or ".geo"), "Filter.area")
        return geometry is not None and min <= geodesy.area(geometry) <= max

    return Filter(passes, {"type": "Filter.area", "min": min, "max": max})
