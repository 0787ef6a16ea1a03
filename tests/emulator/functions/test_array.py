"""`Array` against the examples that Google's reference prints."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def array(client):
    return client.Array


def test_arrays_are_made_of_numbers_lists_and_arrays(client, array, info):
    assert info(array([0])) == [0]
    assert info(array([[0, 1], [2, 3]])) == [[0, 1], [2, 3]]
    assert info(array([client.Number(123).toUint8()])) == [123]
    assert info(array(client.List.sequence(0, 10, 2))) == [0, 2, 4, 6, 8, 10]
    assert info(array(array([1, 2, 3]))) == [1, 2, 3]
    assert info(array([], client.PixelType.int8())) == []
    assert info(array([[], []], client.PixelType.float())) == [[], []]
    assert info(array([0.5, 1.5]).length()) == [2]
    assert info(array([[1, 2, 3]]).length()) == [1, 3]
    assert info(array([1.9, 300], "uint8")) == [1, 255]


def test_arrays_are_put_behind_each_other(client, array, info):
    empty = array([], client.PixelType.int8())
    one, two = array([1]), array([2])
    assert info(array.cat([empty, one])) == [1]
    assert info(array.cat([empty, empty])) == []
    assert info(array.cat([one, two], 0)) == [1, 2]
    assert info(array.cat([one, two], 1)) == [[1, 2]]
    c, d = array([[0], [1], [2]]), array([[3], [4], [5]])
    assert info(array.cat([c, d], 1)) == [[0, 3], [1, 4], [2, 5]]
    assert info(array.cat([c, d], 2)) == [[[0, 3]], [[1, 4]], [[2, 5]]]
    e = array([[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    f = array([[[10, 11], [12, 13]], [[14, 15], [16, 17]]])
    assert info(array.cat([e, f], 1)) == [
        [[0, 1], [2, 3], [10, 11], [12, 13]],
        [[4, 5], [6, 7], [14, 15], [16, 17]],
    ]


def test_numbers_are_combined_one_by_one(client, array, info):
    empty = array([], client.PixelType.int8())
    assert info(empty.add(empty)) == []
    assert info(array([0]).add(1)) == [1]
    assert info(array([5, 6]).add([7, 8])) == [12, 14]
    assert info(array([[0, 1, 2], [3, 4, 5]]).add(1)) == [[1, 2, 3], [4, 5, 6]]
    assert info(array([3, 4]).divide([2, 4])) == [1.5, 1]
    assert info(array([2]).divide(0)) == [0]
    assert info(array([1, 2]).gt(1)) == [0, 1]
    assert info(array([0, 2]).Not()) == [1, 0]
    assert info(array([-1.5, 2]).abs()) == [1.5, 2]
    assert info(array([-1.5, 2.7]).toInt()) == [-1, 2]
    assert info(array([6]).bitwise_and([3])) == [2]
    assert info(array([0, 1]).exp()) == pytest.approx([1, np.e], rel=1e-15)


def test_arrays_are_cut_and_sliced(array, info):
    assert info(array([0, 1, 2]).cut([-1])) == [0, 1, 2]
    assert info(array([[0, 1, 2], [3, 4, 5]]).cut([-1, 0])) == [[0], [3]]
    assert info(array([[0, 1, 2], [3, 4, 5]]).cut([1, -1])) == [[3, 4, 5]]
    six = array([1, 2, 3, 4, 5, 6])
    assert info(six.slice()) == [1, 2, 3, 4, 5, 6]
    assert info(six.slice(0, 0, 10, 1)) == [1, 2, 3, 4, 5, 6]
    assert info(six.slice(0, 6)) == []
    assert info(six.slice(0, -2, 6)) == [5, 6]
    assert info(six.slice(0, 0, 6, 4)) == [1, 5]
    assert info(array([[1, 2], [3, 4], [5, 6]]).slice(0, 0, 3, 2)) == [[1, 2], [5, 6]]
    assert info(array([[1, 2], [3, 4], [5, 6]]).slice(1, 1)) == [[2], [4], [6]]


def test_arrays_are_accumulated_and_reduced(client, array, info):
    reducer = client.Reducer
    four = array([2, -2, 3, 1])
    assert info(array([-2, 1, 9]).accum(0)) == [-2, -1, 8]
    assert info(array([[1, 3], [5, 7]]).accum(1)) == [[1, 4], [5, 12]]
    assert info(four.accum(0, reducer.max())) == [2, 2, 3, 3]
    assert info(four.accum(0, reducer.mean())) == [2, 0, 1, 1]
    assert info(four.accum(0, reducer.product())) == [2, -4, -12, -12]
    assert info(four.reduce(reducer.sum(), [0])) == [4]


def test_arrays_change_shape(array, info):
    two = array([[0, 1, 2], [3, 4, 5]])
    assert info(two.reshape([3, -1])) == [[0, 1], [2, 3], [4, 5]]
    assert info(two.transpose()) == [[0, 3], [1, 4], [2, 5]]
    assert info(array([[1], [2]]).project([0])) == [1, 2]
    assert info(array([1, 2]).repeat(1, 2)) == [[1, 1], [2, 2]]
    assert info(array([1]).pad([3], 7)) == [1, 7, 7]
    assert info(two.toList()) == [[0, 1, 2], [3, 4, 5]]
    assert info(two.get([1, 2])) == 5
    assert info(array([3, 1, 2]).sort()) == [1, 2, 3]
    assert info(array([3, 1, 2]).mask([1, 0, 1])) == [3, 2]
    assert info(array([[0, 1], [5, 2]]).argmax()) == [1, 0]
    assert info(array([1, 2]).dotProduct([3, 4])) == 11


def test_matrices_are_multiplied_inverted_and_solved(client, array, info):
    a = np.array([[2.0, 1], [1, 3]])
    assert info(array(a.tolist()).matrixMultiply([[1], [2]])) == [[4], [7]]
    assert info(array(a.tolist()).matrixInverse()) == [
        pytest.approx(row) for row in np.linalg.inv(a).tolist()
    ]
    assert info(array(a.tolist()).matrixSolve([[3], [4]])) == [[pytest.approx(1)], [1]]
    tall = [[1.0, 0], [1, 1], [1, 2]]
    fit = np.linalg.lstsq(np.array(tall), np.array([[1.0], [3], [5]]), rcond=None)[0]
    assert np.allclose(info(array(tall).matrixSolve([[1], [3], [5]])), fit)
    assert info(array(a.tolist()).matrixDeterminant()) == pytest.approx(5)
    assert info(array(a.tolist()).matrixTrace()) == 5
    assert info(array([[3, 4]]).matrixFnorm()) == 5
    assert info(array(a.tolist()).matrixDiagonal()) == [[2], [3]]
    assert info(array([[1], [2]]).matrixToDiag()) == [[1, 0], [0, 2]]
    assert info(array.identity(2)) == [[1, 0], [0, 1]]


def test_numbers_survive_as_text(client, array, info):
    text = client.String("[[0.1, -3e-05], [1, 2.5]]")
    found = array(client.List(text.decodeJSON()))
    assert info(found) == [[0.1, -3e-05], [1, 2.5]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda ee: ee.Array([[1, 2], [3]]), "inner lists"),
        (lambda ee: ee.Array(["a"]), "must be a number"),
        (lambda ee: ee.Array([]), "pixelType is required"),
        (lambda ee: ee.Array([1, 2]).add([1, 2, 3]), "Array.add: Arrays must have the same shape"),
        (lambda ee: ee.Array([1, 2]).reshape([3]), "Array.reshape: Cannot reshape"),
        (lambda ee: ee.Array.cat([ee.Array([[1]]), ee.Array([[1, 2]])], 0), "but 0"),
        (lambda ee: ee.Array([[1, 2]]).matrixMultiply([[1, 2]]), "2 column(s)"),
        (lambda ee: ee.Array([[1, 1], [1, 1]]).matrixInverse(), "singular"),
        (lambda ee: ee.Array([[1, 2]]).matrixDeterminant(), "square"),
        (lambda ee: ee.Array([1]).get([3]), "out of bounds"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(client, refused, make, words):
    message = refused(make(client))
    assert words in message
    assert "\n" not in message
