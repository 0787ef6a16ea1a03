"""Trees in R's text form: what `print` of `rpart` and `tree` writes, and what is no such thing."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.emulator.treetext import MAX_NODE, parse_trees
from water_gee.errors import ServiceError

RPART = """n= 150

node), split, n, loss, yval, (yprob)
      * denotes terminal node

 1) root 150 100 1 (0.33333333 0.33333333 0.33333333)
   2) swir1< 0.1245 50   0 3 (0.00000000 0.00000000 1.00000000) *
   3) swir1>=0.1245 100  50 1 (0.50000000 0.50000000 0.00000000)
     6) mndwi>=-0.05 54   5 1 (0.90740741 0.09259259 0.00000000) *
     7) mndwi< -0.05 46   1 2 (0.02173913 0.97826087 0.00000000) *
"""
"""As `print.rpart` writes one, class probabilities and all; the second split goes left by >=."""

TREE = """node), split, n, deviance, yval
      * denotes terminal node

1) root 92 3.1e+01 -0.5
  2) blue < 1e-05 40 0.02 -1.25 *
  3) blue > 1e-05 52 0.01 0.125 *
"""
"""As `print.tree` writes one: spaces around the sign, exponents, negative values."""

BARE = "1) root 9999 9999 9999\n2) a<=2 9999 9999 7 *\n3) a>2 9999 9999 -8.5 *"


def of(text, **columns):
    (tree,) = parse_trees(text, "Here")
    assert set(tree.features) == set(columns)
    return tree.evaluate(np.array([columns[name] for name in tree.features], float)).tolist()


def refused(text):
    with pytest.raises(ServiceError) as caught:
        parse_trees(text, "Here")
    assert caught.value.code == 400
    return caught.value.message


def test_a_classification_tree_of_rpart_is_read():
    swir1 = [0.1, 0.1244, 0.1245, 0.2, 0.2, 0.2]
    mndwi = [9.0, 9.0, -0.05, -0.05, -0.0501, 1.0]
    assert of(RPART, swir1=swir1, mndwi=mndwi) == [3, 3, 1, 1, 2, 1]


def test_a_regression_tree_is_read_with_exponents_and_signs():
    assert of(TREE, blue=[0.9e-5, 1e-5, 1.1e-5]) == [-1.25, 0.125, 0.125]


def test_ties_go_where_the_sign_says():
    below = "1) root 1 0 0\n2) a<2 1 0 7 *\n3) a>=2 1 0 8 *"
    upto = "1) root 1 0 0\n2) a <= 2 1 0 7 *\n3) a > 2 1 0 8 *"
    swapped = "1) root 1 0 0\n2) a > 2 1 0 8 *\n3) a <= 2 1 0 7 *"
    assert of(below, a=[1.5, 2, 2.5]) == [7, 8, 8]
    assert of(upto, a=[1.5, 2, 2.5]) == [7, 7, 8]
    assert of(swapped, a=[1.5, 2, 2.5]) == [7, 7, 8]


def test_lines_need_neither_spaces_nor_indentation():
    assert of(BARE, a=[2, 2.1]) == [7, -8.5]


def test_a_root_that_is_a_leaf_is_a_tree():
    (tree,) = parse_trees("n= 5\n\n1) root 5 0.2 0.75 *\n", "Here")
    assert tree.features == ()
    assert tree.evaluate(np.empty((0, 3))).tolist() == [0.75] * 3


def test_one_string_may_hold_many_trees():
    trees = parse_trees(RPART + "\n" + BARE + "\n" + BARE, "Here")
    assert [len(tree.value) for tree in trees] == [5, 3, 3]


def test_names_may_hold_digits_points_and_dashes():
    text = "1) root 1 0 0\n2) 1_B2.mean-x<=2 1 0 7 *\n3) 1_B2.mean-x>2 1 0 8 *"
    assert of(text, **{"1_B2.mean-x": [2.0, 3.0]}) == [7, 8]


def test_thresholds_are_doubles():
    limit = 0.1 + 2**-56
    assert limit != 0.1
    text = f"1) root 1 0 0\n2) a<={limit!r} 1 0 1 *\n3) a>{limit!r} 1 0 0 *"
    assert of(text, a=[limit, np.nextafter(limit, 1)]) == [1, 0]


def test_a_number_out_of_order_is_refused_in_the_services_own_words():
    text = "1) root 9 9 9 (0.5)\n  2) a <= 1 9 9 0.1\n    4) b <= 2 9 9 0.2\n  3) a > 1 9 9 0.3 *\n"
    assert refused(text) == "Here: Error parsing line 4: expected 8, got 3."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No decision tree found"),
        ("node), split, n, loss, yval, (yprob)", "No decision tree found"),
        ("hello", "Error parsing line 1: 'hello' is no node"),
        ("2) a<1 1 0 1 *", "expected 1, got 2"),
        ("1) root 1 0 0", "expected 2, got the end of the tree"),
        ("1) root 1 0 0\n2) a<1 1 0 1 *", "expected 3, got the end of the tree"),
        ("1) root 1 0 0\n3) a<1 1 0 1 *", "expected 2, got 3"),
        ("1) root 1 0 0 *\n2) a<1 1 0 1 *", "expected the end of the tree, got 2"),
        ("1) root 1 0 0\n2) a<=1 1 0 1 *\n3) a>=1 1 0 2 *", "not the opposite"),
        ("1) root 1 0 0\n2) a>=1 1 0 1 *\n3) a<=1 1 0 2 *", "not the opposite"),
        ("1) root 1 0 0\n2) a<1 1 0 1 *\n3) a>=1.5 1 0 2 *", "not the opposite"),
        ("1) root 1 0 0\n2) a<1 1 0 1 *\n3) b>=1 1 0 2 *", "not the opposite"),
        ("1) root 1 0 0\n2) a<1 1 0 1 *\n3) a<1 1 0 2 *", "not the opposite"),
        ("1) root 1 0 0\n2) s=a,b 1 0 1 *\n3) s=c 1 0 2 *", "tests a category"),
        ("1) root 1 0 0\n2) a b<1 1 0 1 *\n3) a b>=1 1 0 2 *", "begins with no test"),
        ("1) root 1 0 0\n2) a<inf 1 0 1 *\n3) a>=inf 1 0 2 *", "begins with no test"),
        ("1) root 1 0 0\n2) a<1e999 1 0 1 *\n3) a>=1e999 1 0 2 *", "out of range"),
        ("1) root 1 0 0\n2) a<1 1 0 nan *\n3) a>=1 1 0 2 *", "expected count, loss and value"),
        ("1) root 1 0 0\n2) a<1 1 0 setosa *\n3) a>=1 1 0 2 *", "expected count, loss and value"),
        ("1) root 1 0 0\n2) a<1 1 0 *\n3) a>=1 1 0 2 *", "expected count, loss and value"),
        ("1) root 1 0 0\n2) a<1 1 0 1 * x\n3) a>=1 1 0 2 *", "expected count, loss and value"),
        ("0) root 1 0 0", "node 0 is not between"),
        (f"{MAX_NODE + 1}) a<1 1 0 1 *", "is not between"),
    ],
)
def test_what_is_no_tree_is_refused_with_its_line(text, message):
    said = refused(text)
    assert message in said
    assert said.startswith("Here: ")
    assert "\n" not in said
