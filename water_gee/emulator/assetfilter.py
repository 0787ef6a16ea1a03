"""The `filter` of asset lists: comparisons and `intersects`, joined by AND.

startTime >= "2019-01-01T00:00:00.000Z" AND properties.CLOUD_COVER < 20
AND intersects("{'type': 'Point', 'coordinates': [0, 0]}")
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import shapely
from shapely.geometry import shape

from water_gee.emulator.assets import AssetRecord, milliseconds
from water_gee.emulator.errors import bad_request

Test = Callable[[AssetRecord], bool]

_TERM = re.compile(
    r"""\s*(?:
        intersects\(\s*"(?P<region>[^"]*)"\s*\)
        | (?P<field>startTime|endTime|type|id|name|properties\.[\w:.-]+)
          \s*(?P<operator><=|>=|!=|=|<|>)\s*
          (?P<value>"[^"]*"|'[^']*'|[^\s"']+)
    )\s*""",
    re.VERBOSE,
)
_AND = re.compile(r"\s*AND\s+", re.IGNORECASE)

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "=": operator.eq,
        "!=": operator.ne,
    }
)


def parse_filter(text: str) -> Test:
    """Return the test that a filter text stands for; an empty one lets everything pass.

    Raises:
        ServiceError: 400: it is malformed.
    """
    tests: list[Test] = []
    place = 0
    while place < len(text.rstrip()):
        if tests:
            joint = _AND.match(text, place)
            if joint is None:
                raise _malformed(text, place)
            place = joint.end()
        term = _TERM.match(text, place)
        if term is None:
            raise _malformed(text, place)
        tests.append(_test(term))
        place = term.end()
    return lambda record: all(test(record) for test in tests)


def _malformed(text: str, place: int) -> Exception:
    return bad_request(f"filter: not understood from here on: {text[place : place + 60]!r}")


def _test(term: re.Match[str]) -> Test:
    if term["region"] is not None:
        return _intersects(term["region"])
    name, compare = term["field"], _OPERATORS[term["operator"]]
    wanted = _literal(term["value"])
    if name in ("startTime", "endTime"):
        wanted = _instant(str(wanted))

    def test(record: AssetRecord) -> bool:
        found = _field(record, name)
        if isinstance(found, str) != isinstance(wanted, str) or found is None:
            return False
        return compare(found, wanted)

    return test


def _field(record: AssetRecord, name: str) -> Any:
    known: dict[str, Any] = {
        "startTime": record.start_time,
        "endTime": record.end_time if record.end_time is not None else record.start_time,
        "type": record.type,
        "id": record.id,
        "name": record.to_rest(full=False)["name"],
    }
    if name in known:
        return known[name]
    return record.properties.get(name.removeprefix("properties."))


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return text[1:-1]
    try:
        return float(text)
    except ValueError:
        return text


def _instant(text: str) -> int:
    try:
        return milliseconds(text)
    except ValueError:
        raise bad_request(f"filter: {text!r} is no time.") from None


def _intersects(region: str) -> Test:
    try:
        if region.lstrip().startswith("{"):
            area = shape(json.loads(region.replace("'", '"')))
        else:
            area = shapely.from_wkt(region)
    except (ValueError, KeyError, TypeError, AttributeError, shapely.errors.ShapelyError) as error:
        raise bad_request("filter: intersects() takes GeoJSON or WKT.") from error

    def test(record: AssetRecord) -> bool:
        return record.footprint is not None and bool(shape(dict(record.footprint)).intersects(area))

    return test
