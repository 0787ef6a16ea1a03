"""JavaScript literals and lines, read without running them."""

from __future__ import annotations

import json

import pytest

from water_gee.deploy import javascript_text as js
from water_gee.errors import DeployError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "-0"),
        (2.0, "2"),
        (-7, "-7"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (1e300, "1e+300"),
        (2**53, "9007199254740992"),
        (2.0**60, "1.152921504606847e+18"),
        (True, "true"),
        (None, "null"),
        ("plain", "'plain'"),
        ('{"a": 1}', "'{\"a\": 1}'"),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("é\u2028\U0001f30a", '"\\u00e9\\u2028\\ud83c\\udf0a"'),
        ([], "[]"),
        ([1, [2.5, "x"]], "[1, [2.5, 'x']]"),
        ({}, "{}"),
        ({"a": 1, "b c": 2, "new": 3, "7": 4}, "{a: 1, 'b c': 2, 'new': 3, '7': 4}"),
    ],
)
def test_literals(value, text):
    assert js.render(js.literal(value)) == text


def test_numbers_read_back_as_the_same_double():
    for value in (1 / 3, 5e-324, 1.7976931348623157e308, 123456789.125, -1e-5, 2**70):
        assert float(js.number(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [[1.0, float("-inf")]]])
def test_numbers_that_no_request_carries_are_refused(value):
    with pytest.raises(DeployError, match="which no request can carry"):
        js.literal(value)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**200) - 1, 10**400])
def test_whole_numbers_that_no_double_holds_are_refused(value):
    with pytest.raises(DeployError, match="no more than 53 bits"):
        js.literal(value)


def test_long_lists_of_numbers_fill_their_lines():
    text = js.statement("weights", js.literal([0.125] * 100))
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("var weights = [", "];")
    assert max(map(len, lines)) <= js.WIDTH
    assert min(map(len, lines[1:-2])) > js.WIDTH - 10
    assert json.loads(text.removeprefix("var weights = ").removesuffix(";")) == [0.125] * 100


def test_rows_of_a_matrix_stand_under_each_other():
    kernel = js.literal([[0, -1, 0]] * 3)
    code = js.call("ee.Kernel.fixed", js.keyed([("weights", kernel)]))
    assert js.statement("kernel", code) == (
        "var kernel = ee.Kernel.fixed({weights: [[0, -1, 0], [0, -1, 0], [0, -1, 0]]});"
    )
    wide = js.literal([list(range(1000, 1010))] * 3)
    row = "[1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009]"
    assert js.render(wide) == f"[\n  {row},\n  {row},\n  {row}\n]"


def test_columns_of_a_matrix_fill_their_lines():
    lines = js.render(js.literal([[value / 8] for value in range(60)])).splitlines()
    assert lines[1] == "  [0], [0.125], [0.25], [0.375], [0.5], [0.625], [0.75], [0.875], [1]," + (
        " [1.125], [1.25], [1.375],"
    )


def test_chains_of_methods_break_before_their_points():
    parts = [js.Text("image1")]
    for name in ("convolve", "multiply", "add", "divide"):
        parts += [js.Text(f".{name}"), js.Group("(", (js.Text(f"{name}_by_something"),), ")")]
    code = js.Joined(tuple(parts))
    assert js.statement("out", code) == (
        "var out = image1.convolve(convolve_by_something)\n"
        "  .multiply(multiply_by_something)\n"
        "  .add(add_by_something)\n"
        "  .divide(divide_by_something);"
    )


def test_a_comment_cannot_be_ended_by_what_it_says():
    text = js.header(["a model */ alert(1) /*", "née\u2028"])
    assert text == "/**\n * a model * / alert(1) /*\n * n\\xe9e\\u2028\n */"


def test_names():
    assert js.is_identifier("water_1")
    for word in ("", "1a", "a-b", "class", "NaN", "é", "a\n"):
        assert not js.is_identifier(word)
