"""Kernels against the matrices that the reference prints on their pages."""

from __future__ import annotations

import math

import numpy as np
import pytest


@pytest.fixture
def weights(studio):
    """Return a kernel's weights and focus."""

    def read(kernel):
        made = studio.compute(kernel)
        return made.weights.tolist(), made.center

    return read


def truncated(matrix, digits=3):
    """Cut off decimals, as the reference's pages do."""
    return [[math.floor(one * 10**digits + 1e-9) / 10**digits for one in row] for row in matrix]


OCTAGON = [
    [0.000, 0.000, 0.027, 0.027, 0.027, 0.000, 0.000],
    [0.000, 0.027, 0.027, 0.027, 0.027, 0.027, 0.000],
    [0.027, 0.027, 0.027, 0.027, 0.027, 0.027, 0.027],
    [0.027, 0.027, 0.027, 0.027, 0.027, 0.027, 0.027],
    [0.027, 0.027, 0.027, 0.027, 0.027, 0.027, 0.027],
    [0.000, 0.027, 0.027, 0.027, 0.027, 0.027, 0.000],
    [0.000, 0.000, 0.027, 0.027, 0.027, 0.000, 0.000],
]
EUCLIDEAN = [
    [4.242, 3.605, 3.162, 3.000, 3.162, 3.605, 4.242],
    [3.605, 2.828, 2.236, 2.000, 2.236, 2.828, 3.605],
    [3.162, 2.236, 1.414, 1.000, 1.414, 2.236, 3.162],
    [3.000, 2.000, 1.000, 0.000, 1.000, 2.000, 3.000],
    [3.162, 2.236, 1.414, 1.000, 1.414, 2.236, 3.162],
    [3.605, 2.828, 2.236, 2.000, 2.236, 2.828, 3.605],
    [4.242, 3.605, 3.162, 3.000, 3.162, 3.605, 4.242],
]
GAUSSIAN = [
    [0.002, 0.013, 0.021, 0.013, 0.002],
    [0.013, 0.059, 0.098, 0.059, 0.013],
    [0.021, 0.098, 0.162, 0.098, 0.021],
    [0.013, 0.059, 0.098, 0.059, 0.013],
    [0.002, 0.013, 0.021, 0.013, 0.002],
]


def test_kernels_are_those_the_reference_prints(client, weights):
    kernel = client.Kernel
    assert truncated(weights(kernel.octagon(3))[0]) == OCTAGON
    assert truncated(weights(kernel.euclidean(3))[0]) == EUCLIDEAN
    assert truncated(weights(kernel.gaussian(3))[0]) == GAUSSIAN
    assert truncated(weights(kernel.square(3))[0], 2) == [[0.02] * 7] * 7
    assert truncated(weights(kernel.rectangle(2, 1))[0]) == [[0.066] * 5] * 3
    assert weights(kernel.sobel())[0] == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert weights(kernel.prewitt())[0] == [[1, 0, -1]] * 3
    assert weights(kernel.roberts()) == ([[1, 0], [0, -1]], (1, 1))


@pytest.mark.parametrize(
    ("name", "count"),
    # Pixels of radius 3: x²+y² <= 9, |x|+|y| <= 3, the two diagonals, the two axes.
    [("circle", 29), ("diamond", 25), ("cross", 13), ("plus", 13), ("square", 49)],
)
def test_boolean_kernels_sum_to_one(client, weights, name, count):
    matrix, center = weights(getattr(client.Kernel, name)(3))
    assert center == (3, 3)
    assert np.count_nonzero(matrix) == count
    assert np.sum(matrix) == pytest.approx(1)
    plain, _ = weights(getattr(client.Kernel, name)(3, "pixels", False, 2.5))
    assert set(np.unique(plain)) <= {0, 2.5}


def test_a_circle_of_one_and_a_half_pixels_has_nine(client, weights):
    assert weights(client.Kernel.circle(1.5, "pixels", False))[0] == [[1, 1, 1]] * 3


def test_distance_kernels(client, weights):
    assert weights(client.Kernel.manhattan(1))[0] == [[2, 1, 2], [1, 0, 1], [2, 1, 2]]
    assert weights(client.Kernel.chebyshev(2))[0][0] == [2, 2, 2, 2, 2]


def test_edge_detectors_and_laplacians(client, weights):
    assert weights(client.Kernel.laplacian4())[0] == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert weights(client.Kernel.laplacian8(2))[0] == [[2, 2, 2], [2, -16, 2], [2, 2, 2]]
    assert weights(client.Kernel.kirsch())[0][0] == [5, 5, 5]
    assert weights(client.Kernel.compass())[0][1] == [1, -2, -1]


def test_fixed_weights_stay_as_they_are(client, weights):
    rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert weights(client.Kernel.fixed(weights=rows)) == (rows, (1, 1))
    assert weights(client.Kernel.fixed(3, 3, rows, 0, 2)) == (rows, (2, 0))
    even = [[1, 2], [3, 4]]
    assert weights(client.Kernel.fixed(2, 2, even))[1] == (0, 0)
    summed = weights(client.Kernel.fixed(3, 3, rows, -1, -1, True))[0]
    assert np.sum(summed) == pytest.approx(1)


def test_fixed_weights_that_make_no_kernel_are_refused(client, studio):
    fixed = client.Kernel.fixed
    assert studio.refused(fixed(3, 3, [[1, 2], [3, 4]])).startswith("Kernel.fixed: 'weights' has 2")
    assert studio.refused(fixed(weights=[[1, 2], [3]])).startswith("Kernel.fixed: ")
    assert "outside the kernel" in studio.refused(fixed(2, 2, [[1, 2], [3, 4]], 2, 0))


def test_rotation_as_the_reference_shows_it(client, weights):
    sobel = client.Kernel.sobel()
    assert weights(sobel.rotate(1))[0] == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert weights(sobel.rotate(-2))[0] == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    off_center = client.Kernel.fixed(3, 1, [[1, 2, 3]], 0, 0)
    assert weights(off_center.rotate(1)) == ([[1], [2], [3]], (0, 0))
    assert weights(off_center.rotate(2)) == ([[3, 2, 1]], (0, 2))


def test_sums_of_kernels_as_the_reference_shows_them(client, weights):
    total, center = weights(
        client.Kernel.chebyshev(3).add(client.Kernel.square(1, "pixels", False, 100))
    )
    assert center == (3, 3)
    assert total == [
        [3, 3, 3, 3, 3, 3, 3],
        [3, 2, 2, 2, 2, 2, 3],
        [3, 2, 101, 101, 101, 2, 3],
        [3, 2, 101, 100, 101, 2, 3],
        [3, 2, 101, 101, 101, 2, 3],
        [3, 2, 2, 2, 2, 2, 3],
        [3, 3, 3, 3, 3, 3, 3],
    ]


def test_inverse_leaves_zeros(client, weights):
    kernel = client.Kernel.fixed(3, 1, [[2, 0, -4]]).inverse()
    assert weights(kernel)[0] == [[0.5, 0, -0.25]]


def test_kernels_in_metres_are_drawn_for_each_size_of_pixels(client, studio):
    kernel = studio.compute(client.Kernel.circle(100, "meters", False))
    assert kernel.in_meters(100.0).weights.tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert kernel.in_meters(50.0).weights.shape == (5, 5)
    rectangle = studio.compute(client.Kernel.rectangle(60, 30, "meters").inverse())
    assert rectangle.in_meters(30.0).weights.shape == (3, 5)
    assert rectangle.in_meters(30.0).weights[0, 0] == pytest.approx(15)
    gaussian = studio.compute(client.Kernel.gaussian(90, 30, "meters"))
    pixels = studio.compute(client.Kernel.gaussian(3, 1))
    np.testing.assert_allclose(gaussian.in_meters(30.0).weights, pixels.weights)
    circle = client.Kernel.circle(100, "meters")
    assert "Kernel.rotate: Kernels in meters" in studio.refused(circle.rotate(1))
    assert "Kernel.add: Kernels in meters" in studio.refused(circle.add(circle))
    assert "must not be negative" in studio.refused(client.Kernel.square(-1, "meters"))


def test_kernels_that_cannot_be_are_refused(client, studio):
    assert "Unit 'feet' is unknown" in studio.refused(client.Kernel.circle(3, "feet"))
    assert "must not be negative" in studio.refused(client.Kernel.square(-1))
    assert "from 1 to 1023" in studio.refused(client.Kernel.square(5000))
    assert "'sigma'" in studio.refused(client.Kernel.gaussian(3, 0))
