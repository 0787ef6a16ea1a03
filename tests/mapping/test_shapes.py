"""Rivers and lakes are told apart by shape: drawn ones, whose kind is known."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity
from water_shapes import bodies_of, channel, drawn

from water_gee.mapping import shapes
from water_gee.mapping.simplify import simplified

T = np.linspace(0, 1, 400)
MIDDLE = shapely.Point(200, 200)


def arc(degrees, radius, width, turn=0.0):
    """A bend: part of a circle."""
    a = np.radians(turn + np.linspace(0, degrees, 200))
    return channel(200 + radius * np.cos(a), 200 + radius * np.sin(a), width)


def scattered(seed, count, west, south, east, north):
    random = np.random.default_rng(seed)
    return zip(random.uniform(west, east, count), random.uniform(south, north, count), strict=True)


def braided(seed):
    belt = channel(20 + 360 * T, 200 + 20 * np.sin(4 * np.pi * T), 40)
    bars = [
        shapely.affinity.scale(shapely.Point(x, y).buffer(1), 8, 4)
        for x, y in scattered(seed, 90, 30, 170, 370, 230)
    ]
    return belt.difference(shapely.union_all(bars))


def with_islands(seed, count):
    islands = [shapely.Point(*at).buffer(2) for at in scattered(seed, count, 120, 120, 280, 280)]
    return MIDDLE.buffer(90).difference(shapely.union_all(islands))


def reservoir(seed):
    random = np.random.default_rng(seed)
    arms = [
        channel(200 + 170 * T * np.cos(a), 200 + 170 * T * np.sin(a) + 15 * np.sin(6 * T), 9)
        for a in np.linspace(0, 6, 8) + random.uniform(-0.2, 0.2, 8)
    ]
    return shapely.union_all([channel(60 + 280 * T, 200 + 30 * np.sin(5 * T), 45), *arms])


RIVERS = {
    "straight": channel(20 + 360 * T, 30 + 200 * T, 4),
    "nearly level": channel(20 + 360 * T, 100 + 30 * T, 3),
    "wide": channel(10 + 380 * T, 190 + 20 * T, 30),
    "meandering": channel(20 + 360 * T, 200 + 60 * np.sin(10 * np.pi * T), 5),
    "one pixel wide": channel(20 + 360 * T, 200 + 60 * np.sin(10 * np.pi * T), 1.6),
    "widening": shapely.union_all(
        [channel(20 + 360 * T[i : i + 2], [200, 200], 4 + 10 * T[i]) for i in range(398)]
    ),
    "braided": braided(0),
    "braided again": braided(1),
    "forked": shapely.union_all(
        [channel(200 - 180 * T, 200 + s * 90 * T, 5) for s in (-1, 1)]
        + [channel(200 + 180 * T, 200 + 20 * T, 7)]
    ),
    "delta": shapely.union_all(
        [channel(200 + 190 * T * np.cos(a), 200 + 190 * T * np.sin(a), 4) for a in range(4)]
    ),
    "network round land": shapely.union_all(
        [MIDDLE.buffer(100).exterior.buffer(2), channel(20 + 360 * T, 200 + 0 * T, 4)]
    ),
}
LAKES = {
    "round": MIDDLE.buffer(60),
    "pond": MIDDLE.buffer(3),
    "long oval": shapely.affinity.scale(MIDDLE.buffer(40), 3, 0.75),
    "bay-rich": shapely.Polygon(
        [
            (
                200 + (70 + 25 * np.sin(7 * a)) * np.cos(a),
                200 + (70 + 25 * np.sin(7 * a)) * np.sin(a),
            )
            for a in np.linspace(0, 2 * np.pi, 300)
        ]
    ),
    "with islands": with_islands(0, 80),
    "with brooks": shapely.union_all(
        [
            MIDDLE.buffer(60),
            channel(200 + 150 * T, 200 + 100 * T, 3),
            channel(200 - 180 * T, 200 + 40 * T, 3),
        ]
    ),
    "reservoir with arms": reservoir(0),
    "reservoir again": reservoir(1),
    "ox-bow of three quarters": arc(270, 25, 10),
    "ox-bow, turned": arc(270, 30, 10, turn=77),
    "ox-bow, nearly closed": arc(315, 30, 8, turn=200),
    "ox-bow, wide": arc(250, 40, 18),
}


def form_of(tmp_path, shape, cut=0.0):
    found = bodies_of(tmp_path, drawn(shape))
    largest = int(np.argmax(found.pixels))
    outlines = simplified(found.outlines, np.full(len(found.outlines), 1.5))[[largest]]
    area = found.pixels[[largest]].astype(float)
    return shapes.forms(outlines, area, np.array([cut]))


@pytest.mark.parametrize("name", RIVERS)
def test_rivers_are_rivers(tmp_path, name):
    assert form_of(tmp_path, RIVERS[name]).kind[0] == "river"


@pytest.mark.parametrize("name", LAKES)
def test_lakes_are_lakes(tmp_path, name):
    assert form_of(tmp_path, LAKES[name]).kind[0] == "lake"


@pytest.mark.parametrize("turn", range(0, 180, 30))
@pytest.mark.parametrize(("name", "kind"), [("meandering", "river"), ("long oval", "lake")])
def test_the_kind_does_not_depend_on_the_direction(tmp_path, name, kind, turn):
    shape = {**RIVERS, **LAKES}[name]
    smaller = shapely.affinity.scale(shape, 0.7, 0.7, origin=(200, 200))
    turned = shapely.affinity.rotate(smaller, turn, origin=(200, 200))
    assert form_of(tmp_path, turned).kind[0] == kind


@pytest.mark.parametrize("width", [2.0, 3.0, 5.0, 9.0, 16.0])
@pytest.mark.parametrize("bends", [0, 3, 6])
def test_width_and_length_of_a_channel_are_those_it_was_drawn_with(tmp_path, width, bends):
    x, y = 20 + 360 * T, 200 + 40 * np.sin(bends * np.pi * T) + 17 * T
    length = float(np.hypot(np.diff(x), np.diff(y)).sum())
    found = form_of(tmp_path, channel(x, y, width))
    assert found.width_m[0] == pytest.approx(width, rel=0.08)
    assert found.length_m[0] == pytest.approx(length, rel=0.08)


def test_the_threads_of_a_braided_river_have_their_own_width(tmp_path):
    found = form_of(tmp_path, braided(0))
    assert found.width_m[0] < 15
    belt = form_of(tmp_path, channel(20 + 360 * T, 200 + 20 * np.sin(4 * np.pi * T), 40))
    assert belt.width_m[0] > 35


def test_a_body_that_is_mostly_cut_is_unclear(tmp_path):
    for shape in (RIVERS["straight"], LAKES["round"]):
        assert form_of(tmp_path, shape, cut=0.3).kind[0] == "unclear"
        assert form_of(tmp_path, shape, cut=0.2).kind[0] != "unclear"


def test_a_bend_that_the_map_cuts_is_no_ox_bow(tmp_path):
    bend = LAKES["ox-bow of three quarters"]
    assert form_of(tmp_path, bend, cut=0.0).kind[0] == "lake"
    assert form_of(tmp_path, bend, cut=0.05).kind[0] == "river"


@pytest.mark.parametrize(("width", "length"), [(1.0, 1.0), (3.0, 40.0), (20.0, 25.0)])
def test_a_rectangle_is_its_own_equivalent(width, length):
    found = shapes.equivalent_rectangle(
        np.array([width * length]), np.array([2 * (width + length)])
    )
    assert found[0][0] == pytest.approx(width)
    assert found[1][0] == pytest.approx(length)


def test_what_is_rounder_than_a_square_is_a_square():
    width, length = shapes.equivalent_rectangle(np.array([np.pi]), np.array([2 * np.pi]))
    assert width[0] == pytest.approx(length[0]) == pytest.approx(np.sqrt(np.pi))


def test_no_bodies_have_no_forms():
    assert len(shapes.forms(np.empty(0, dtype=object), np.zeros(0), np.zeros(0)).kind) == 0
