"""Images whose pixels are matrices, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def pair(client, studio):
    """Two bands and their values `(2, row, col)`."""
    values = np.random.default_rng(5).normal(size=(2, 4, 5))
    return client.Image.cat([studio.raster(values[0]), studio.raster(values[1])]), values


def bands(studio, image):
    return np.stack([values for values, _ in studio.blocks(image).values()])


def test_one_matrix_times_the_pixels_is_the_guides_tasseled_cap(client, studio, pair):
    # ee.Image(coefficients).matrixMultiply(column).arrayProject([0]).arrayFlatten([...])
    image, values = pair
    weights = np.array([[0.5, -2.0], [1.5, 3.0], [0.25, 7.0]])
    column = image.toArray().toArray(1)
    made = client.Image(client.Array(weights.tolist())).matrixMultiply(column)
    made = made.arrayProject([0]).arrayFlatten([["x", "y", "z"]])
    expected = np.tensordot(weights, values, 1)
    np.testing.assert_allclose(bands(studio, made), expected, rtol=1e-14)


def test_the_pixels_times_one_matrix(client, studio, pair):
    image, values = pair
    weights = np.array([[0.5, -2.0, 1.0], [1.5, 3.0, 0.25]])
    row = image.toArray().toArray(1).matrixTranspose()
    made = row.matrixMultiply(client.Image(client.Array(weights.tolist())))
    made = made.arrayProject([1]).arrayFlatten([["x", "y", "z"]])
    expected = np.tensordot(weights.T, values, 1)
    np.testing.assert_allclose(bands(studio, made), expected, rtol=1e-14)


def test_every_pixel_has_its_own_matrix(client, studio, pair):
    image, values = pair
    column = image.toArray().toArray(1)
    square = column.matrixMultiply(column.matrixTranspose())
    flat = square.arrayFlatten([["a", "b"], ["a", "b"]])
    expected = np.einsum("iyx,jyx->ijyx", values, values).reshape(4, 4, 5)
    np.testing.assert_allclose(bands(studio, flat), expected, rtol=1e-14)
    shifted = square.add(client.Image.matrixIdentity(2))
    solution = shifted.matrixSolve(column).arrayProject([0]).arrayFlatten([["a", "b"]])
    matrices = expected.reshape(2, 2, 4, 5).transpose(2, 3, 0, 1) + np.eye(2)
    solved = np.linalg.solve(matrices, values.transpose(1, 2, 0)[..., None])[..., 0]
    np.testing.assert_allclose(bands(studio, solution), solved.transpose(2, 0, 1), rtol=1e-10)
    back = shifted.matrixInverse().matrixMultiply(shifted).arrayFlatten([["a", "b"], ["a", "b"]])
    np.testing.assert_allclose(
        bands(studio, back), np.broadcast_to([[[1]], [[0]], [[0]], [[1]]], (4, 4, 5)), atol=1e-12
    )
    np.testing.assert_allclose(
        studio.pixels(shifted.matrixDeterminant()), np.linalg.det(matrices), rtol=1e-10
    )
    np.testing.assert_allclose(
        studio.pixels(square.matrixTrace()), (values**2).sum(axis=0), rtol=1e-14
    )


def test_whole_numbers_stay_whole(client, studio):
    two = client.Image(client.Array([[1, 2]])).matrixMultiply(client.Array([[3], [4]]))
    assert studio.info(two)["bands"][0]["data_type"]["precision"] == "int"
    assert studio.pixels(two.arrayGet([0, 0]))[0, 0] == 11


def test_a_singular_matrix_is_refused(client, studio, pair):
    image, _ = pair
    column = image.toArray().toArray(1)
    flat = column.matrixMultiply(column.matrixTranspose()).multiply(0).matrixInverse()
    message = studio.refused_pixels(flat.arrayGet([0, 0]))
    assert message == "Image.matrixInverse: The matrix is singular."


def test_matrices_that_do_not_fit_are_refused_before_a_pixel_is_read(client, studio, pair):
    image, _ = pair
    weights = client.Image(client.Array([[1, 2, 3]]))
    message = studio.refused(weights.matrixMultiply(image.toArray().toArray(1)))
    assert "3 column(s)" in message
    assert "2 row(s)" in message
    assert "holds numbers" in studio.refused(weights.matrixMultiply(image))
