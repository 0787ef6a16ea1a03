"""Expressions as text against the same arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from studio import same

NIR = np.array([[0.5, 0.4, 0.3], [0.2, 0.1, 0.05]])
RED = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.05]])
BLUE = np.array([[0.05, 0.06, 0.07], [0.08, 0.09, 0.1]])
MASK = np.array([[1, 1, 0], [1, 1, 1]], bool)
SHAPE = (2, 3)


@pytest.fixture
def image(studio):
    return studio.raster(BLUE, RED, NIR, names=["B2", "B4", "B5"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b('B5') - b('B4')", NIR - RED),
        ("(b(2) - b(1)) / (b(2) + b(1))", (NIR - RED) / (NIR + RED)),
        ('b("B5") + 2 * b("B4") ** 2', NIR + 2 * RED**2),
        ("-b(0) ** 2", -(BLUE**2)),
        ("2 ** 3 ** 2 + 0.0 * b(0)", np.full(SHAPE, 512.0)),
        ("b(0) - b(1) - b(2)", BLUE - RED - NIR),
        ("b(0) / b(1) / 2", BLUE / RED / 2),
        ("b(2) > b(1)", NIR > RED),
        ("b(2) >= 0.4 && b(1) < 0.2 || b(0) == 0.1", (NIR >= 0.4) & (RED < 0.2) | (BLUE == 0.1)),
        ("!(b(2) != b(1))", NIR == RED),
        ("b(2) > 0.25 ^ b(1) > 0.25", (NIR > 0.25) ^ (RED > 0.25)),
        ("b(2) > 0.25 ? b(2) : -1", np.where(NIR > 0.25, NIR, -1)),
        (
            "b(0) > 0.08 ? 1 : b(0) > 0.06 ? 2 : 3",
            np.where(BLUE > 0.08, 1, np.where(BLUE > 0.06, 2, 3)),
        ),
        ("sqrt(pow(b(0), 2) + pow(b(1), 2))", np.hypot(BLUE, RED)),
        (
            "max(b(0), b(1), b(2)) + min(b(0), 0.07)",
            np.max([BLUE, RED, NIR], axis=0) + np.minimum(BLUE, 0.07),
        ),
        ("log(b(0)) * exp(b(1)) - abs(-1e-1)", np.log(BLUE) * np.exp(RED) - 0.1),
        ("b(1) % 0.3", np.fmod(RED, 0.3)),
        ("+b(1)", RED),
    ],
)
def test_expressions_of_bands(studio, image, text, expected):
    same(studio.pixels(image.expression(text), SHAPE), expected, tolerance=1e-14)


def test_the_guides_vegetation_index(studio, image):
    index = image.expression(
        "2.5 * ((NIR - RED) / (NIR + 6 * RED - 7.5 * BLUE + 1))",
        {"NIR": image.select("B5"), "RED": image.select("B4"), "BLUE": image.select("B2")},
    )
    expected = 2.5 * ((NIR - RED) / (NIR + 6 * RED - 7.5 * BLUE + 1))
    same(studio.pixels(index, SHAPE), expected, tolerance=1e-13)


def test_bands_of_other_images(studio, image):
    found = studio.client.Image().expression("x.B5 - x['B4'] + x[0]", {"x": image})
    same(studio.pixels(found, SHAPE), NIR - RED + BLUE, tolerance=1e-14)


def test_whole_numbers_are_divided_down_to_whole_numbers(studio):
    # The guide: 10 / 20 = 0, and 10 * 1.0 / 20 = 0.5.
    image = studio.raster(np.array([[10, 45, 7]], np.int16), np.array([[20, 20, 0]], np.int16))
    same(studio.pixels(image.expression("b(0) / b(1)"), (1, 3)), [[0, 2, 0]])
    same(studio.pixels(image.expression("b(0) * 1.0 / b(1)"), (1, 3)), [[0.5, 2.25, 0]])
    assert studio.info(image.expression("b(0) / b(1)").bandTypes())["b1"]["precision"] == "int"


def test_what_is_masked_anywhere_is_masked(studio, image):
    masked = studio.raster(RED, mask=MASK)
    found = image.expression("b(0) > 0 ? b(1) : m", {"m": masked})
    same(studio.pixels(found, SHAPE), RED, MASK)


def test_results_may_be_named(studio, image):
    found = image.expression("ndvi = (b(2) - b(1)) / (b(2) + b(1))")
    assert studio.info(found.bandNames()) == ["ndvi"]
    assert studio.info(image.expression("b() * 2").bandNames()) == ["B2", "B4", "B5"]
    assert studio.info(image.expression("b('B5', 0) * 2").bandNames()) == ["B5", "B2"]


def test_long_chains_need_no_deep_stack(studio, image):
    text = "+".join(["b(0)"] * 3000)
    same(studio.pixels(image.expression(text), SHAPE), BLUE * 3000, tolerance=1e-11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b(0) +", "Unexpected 'end of expression', expected a number, a name or '('"),
        ("(b(0)", "expected ')'"),
        ("b(0) b(1)", "Unexpected 'b', expected an operator or the end"),
        ("b(0) # 3", "Cannot read the expression from '# 3' on"),
        ("b(0) & 3", "Unexpected '&'"),
        ("sinc(b(0))", "Function 'sinc' is not implemented by this emulator"),
        ("sqrt(b(0), 2)", "sqrt() takes 1 argument(s). Got 2"),
        ("b(x)", "expected a band's name in quotes or its number"),
        ("SWIR + 1", "Unknown variable 'SWIR'"),
        ("b('B9')", "Image.select: Band pattern 'B9' did not match any bands"),
        ("(" * 150 + "b(0)" + ")" * 150, "nested too deeply"),
        ("2 **" * 150 + "b(0)", "nested too deeply"),
    ],
)
def test_expressions_that_cannot_be_are_refused(studio, image, text, message):
    assert message in studio.refused(image.expression(text))
