"""Filters as text: which of a handful of features pass, worked by hand."""

from __future__ import annotations

import pytest

CASES = [
    ("n > 1", "bc"),
    ("n >= 2 && n < 3", "b"),
    ("n == 1 or s == 'z'", "ac"),
    ("!(n == 1)", "bcd"),
    ('not n == 1 and s != "y"', "c"),
    ("1 < n", "bc"),
    ("n in [1, 3.5]", "ac"),
    ("n not in [1, 3.5]", "bd"),
    ("s in ['x', 'y']", "ab"),
    ("system:time_start <= 2e3", "ab"),
    ("n == m", "b"),
    ("n < -1 || (n > 1 && (m == 2))", "b"),
]


@pytest.fixture
def rows(client):
    rows = [
        ("a", {"n": 1, "s": "x", "system:time_start": 1000}),
        ("b", {"n": 2, "s": "y", "m": 2, "system:time_start": 2000}),
        ("c", {"n": 3.5, "s": "z", "system:time_start": 3000}),
        ("d", {}),
    ]
    return client.FeatureCollection(
        [client.Feature(None, {**properties, "name": name}) for name, properties in rows]
    )


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_expressions(client, rows, info, text, expected):
    passing = rows.filter(client.Filter.expression(text))
    assert "".join(info(passing.aggregate_array("name"))) == expected
    assert "".join(info(rows.filter(text).aggregate_array("name"))) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("n >", "'the end'"),
        ("n > 1)", "')'"),
        ("(n > 1", "'the end'"),
        ("n ~ 1", "'~'"),
        ("n in 5", "'5'"),
        ("n + 1 > 2", "'+'"),
        ("", "'the end'"),
    ],
)
def test_what_is_no_expression_is_refused(client, rows, refused, text, shown):
    call = client.apifunction.ApiFunction.call_
    message = refused(rows.filter(call("Filter.expression", text)))
    assert message == f"Filter.expression: Unexpected {shown} in '{text}'."


def test_nesting_has_an_end(client, rows, refused):
    text = "(" * 200 + "n > 1" + ")" * 200
    assert "nested too deeply" in refused(rows.filter(client.Filter.expression(text)))
