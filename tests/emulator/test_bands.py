"""Names that occur once, and what is computed from constants."""

from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import box

from water_gee.emulator.bands import (
    cast,
    check_names,
    inherited,
    placed_like,
    pointwise,
    uniquely_named,
)
from water_gee.emulator.nodes import Constant, Pointwise
from water_gee.emulator.values import DOUBLE, FLOAT, Band, Geometry, Image, Projection
from water_gee.errors import ServiceError


def band(name, projection=None, dimensions=None):
    node = Constant(1.0, np.float64)
    return Band(name, DOUBLE, node, projection or Projection(), dimensions)


@pytest.mark.parametrize(
    ("names", "taken", "expected"),
    [
        (["a", "a", "a"], [], ["a", "a_1", "a_2"]),
        (["a", "a_1", "a"], [], ["a", "a_1", "a_2"]),
        (["a", "b"], ["a", "a_1"], ["a_2", "b"]),
        ([], ["a"], []),
    ],
)
def test_names_get_the_next_free_number(names, taken, expected):
    made = uniquely_named([band(name) for name in names], taken)
    assert [one.name for one in made] == expected


def test_many_equal_names_take_no_time():
    made = uniquely_named([band("b")] * 5000)
    assert made[-1].name == "b_4999"


def test_names_must_be_strings_that_occur_once():
    assert check_names(["a", "b"], "F") == ["a", "b"]
    for names in (["a", 1], ["a", ""], ["a", "a"]):
        with pytest.raises(ServiceError, match=r"^F: "):
            check_names(names, "F")


def test_constants_stay_constants():
    two = Constant(2, np.int32)
    folded = pointwise([two, two], np.multiply, DOUBLE)
    assert isinstance(folded, Constant)
    assert folded.value == 4.0
    assert isinstance(folded.value, float)
    mixed = Pointwise([two], lambda a: a, np.float64)
    assert isinstance(pointwise([two, mixed], np.add, DOUBLE), Pointwise)


def test_a_cast_to_the_same_type_is_no_node():
    node = Constant(2.0, np.float64)
    assert cast(node, DOUBLE) is node
    assert cast(node, FLOAT).dtype == np.float32


def test_the_first_projection_of_ones_own_and_the_first_footprint():
    utm = Projection("EPSG:32648", (30.0, 0, 0, 0, -30.0, 0))
    made = placed_like(band("x"), band("constant"), band("y", utm, (4, 5)))
    assert (made.projection, made.dimensions) == (utm, (4, 5))
    footprint = Geometry(box(0, 0, 1, 1))
    image = inherited(Image(properties={"a": 1}), [band("x")], Image(footprint=footprint))
    assert image.footprint is footprint
    assert dict(image.properties) == {}
