from __future__ import annotations

import numpy as np
import pytest

from water_gee.demo import noise


def test_a_fractal_field_is_normal_and_repeats_with_its_generator():
    fields = [
        noise.fractal((120, 90), noise.generator(1, "x"), slope=1.5, coarsest=40) for _ in range(2)
    ]
    assert np.array_equal(*fields)
    assert fields[0].mean() == pytest.approx(0, abs=1e-5)
    assert fields[0].std() == pytest.approx(1, abs=1e-4)


def test_parts_draw_independently_of_each_other():
    first = noise.generator(1, "terrain").random(4)
    assert not np.allclose(first, noise.generator(1, "waters").random(4))
    assert not np.allclose(first, noise.generator(2, "terrain").random(4))
    assert np.array_equal(first, noise.generator(1, "terrain").random(4))


def test_steeper_spectra_are_smoother():
    rough, smooth = (
        noise.fractal((128, 128), noise.generator(2, "x"), slope=slope) for slope in (0.5, 2.0)
    )
    assert np.abs(np.diff(smooth)).mean() < 0.3 * np.abs(np.diff(rough)).mean()


@pytest.mark.parametrize("factor", [2, 3, 6])
def test_enlarging_a_linear_ramp_gives_the_finer_ramp(factor):
    rows, cols = 7, 9
    ramp = (2 * np.arange(rows)[:, None] + 5 * np.arange(cols)).astype(np.float32)
    fine = noise.enlarge(ramp, factor, (rows * factor, cols * factor))
    row, col = ((np.arange(n * factor) + 0.5) / factor - 0.5 for n in (rows, cols))
    expected = 2 * row[:, None] + 5 * col
    inner = (slice(factor, -factor), slice(factor, -factor))
    assert fine[inner] == pytest.approx(expected[inner], abs=1e-4)


def test_shrinking_undoes_enlarging_on_average():
    field = noise.fractal((20, 20), noise.generator(3, "x"), slope=1.5)
    assert noise.shrink(noise.enlarge(field, 3, (60, 60)), 3).mean() == pytest.approx(
        field.mean(), abs=1e-6
    )
    assert noise.shrink(np.ones((6, 9), np.float32), 3).shape == (2, 3)


def test_unit_is_even_over_zero_to_one():
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    shares = np.histogram(noise.unit(values), bins=10, range=(0, 1))[0] / 100_000
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.015)
