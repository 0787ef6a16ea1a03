"""Trees as text: what a line looks like, numbers in full, names that fit."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from water_gee.deploy.ensemble import LEAF, Output, Tree, constant
from water_gee.deploy.tree_text import checked_names, decimal, texts, write
from water_gee.errors import DeployError

TREE = Tree(
    np.array([0, LEAF, 1, LEAF, LEAF]),
    np.array([0.25, 0, -1.5, 0, 0]),
    np.array([1, 0, 3, 0, 0]),
    np.array([2, 0, 4, 0, 0]),
    np.array([0, 0.875, 0, 0.5, 1e-7]),
)


def test_a_tree_looks_as_r_prints_it():
    assert write(TREE, ["mNDWI", "SWIR1"]) == (
        "1) root 1 0 0\n"
        "2) mNDWI <= 0.25 1 0 0.875 *\n"
        "3) mNDWI > 0.25 1 0 0\n"
        "6) SWIR1 <= -1.5 1 0 0.5 *\n"
        "7) SWIR1 > -1.5 1 0 0.0000001 *\n"
    )


def test_a_strict_test_is_written_so():
    strict = Tree(*(getattr(TREE, name) for name in TREE.__slots__[:5]), strict=True)
    lines = write(strict, ["a", "b"]).splitlines()
    assert lines[1].startswith("2) a < 0.25 ")
    assert lines[2].startswith("3) a >= 0.25 ")


def test_a_single_leaf_is_written_as_two_equal_ones():
    assert write(constant(0.1), ["a"]) == "1) root 1 0 0\n2) a <= 0 1 0 0.1 *\n3) a > 0 1 0 0.1 *\n"


@settings(derandomize=True, deadline=None, max_examples=500)
@given(some.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_plain_and_read_back_as_they_were(number):
    text = decimal(number)
    assert re.fullmatch(r"-?\d+(\.\d+)?", text)
    assert float(text) == number
    assert text != "-0"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-30, "0." + "0" * 29 + "1"),
        (1e30, "1" + "0" * 30),
        (-0.0, "0"),
        (0.1, "0.1"),
        (float(np.float32(0.1)), "0.10000000149011612"),
        (100.0, "100"),
        (5e-324, "0." + "0" * 323 + "5"),
    ],
)
def test_awkward_numbers(number, text):
    assert decimal(number) == text
    assert Decimal(text) == Decimal(repr(number))


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_refused(number):
    with pytest.raises(DeployError, match="must be finite"):
        decimal(number)


def test_the_mean_of_a_forests_strings_needs_no_scaling_and_a_sums_does():
    trees = (constant(0.25), constant(0.75))
    assert ["0.25 *" in text for text in texts(Output(trees, mean=True), ["a"])] == [True, False]
    both = texts(Output(trees, base=10.0), ["a"])
    # 2 x 0.25 + 10 and 2 x 0.75 + 10: their mean is 11, the sum and the base.
    assert ["10.5 *" in both[0], "11.5 *" in both[1]] == [True, True]


@pytest.mark.parametrize("name", ["Band 1", "", "a<b", "a=b", "(x", "x*", "ä", "root", "a-b", 3])
def test_names_that_the_text_cannot_hold_are_refused(name):
    with pytest.raises(DeployError, match="cannot be named in a tree's text") as caught:
        checked_names(["B2", name])
    assert "\n" not in str(caught.value)


def test_names_that_fit_are_kept():
    names = ("B2", "1_swir", "sur_refl_b01.mean", "SR_B4")
    assert checked_names(names) == names
    with pytest.raises(DeployError, match="'B2' is given twice"):
        checked_names(["B2", "B3", "B2"])


def test_a_forest_with_deep_trees_still_has_exact_halves():
    """Three strings for two trees would scale by 1.5, and one half be off by a bit."""
    rows = 40
    chain = Tree(
        np.array([0, LEAF] * rows + [LEAF]),
        np.array([one for step in range(rows) for one in (step / 7, 0.0)] + [0.0]),
        np.array([one for step in range(rows) for one in (2 * step + 1, 0)] + [0]),
        np.array([one for step in range(rows) for one in (2 * step + 2, 0)] + [0]),
        np.array([1.0] * (2 * rows + 1)),
    )
    strings = texts(Output((chain, constant(0.0), constant(0.0)), mean=True), ["a"])
    assert len(strings) == 6
    values = {line.split()[-2] for text in strings for line in text.splitlines() if "*" in line}
    assert values == {"0", "2"}
