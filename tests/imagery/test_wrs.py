"""Frames of Landsat's paths and rows: against published latitudes and against real scenes."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.features import shapes

from water_gee.errors import AoiError
from water_gee.imagery import wrs
from water_gee.imagery.aoi import read_aoi

GEOD = pyproj.Geod(ellps="WGS84")


def km(first, second):
    return GEOD.inv(*first, *second)[2] / 1000


@pytest.mark.parametrize(
    ("row", "degrees", "minutes"),
    [(1, 80, 47), (60, 0, 0), (122, -81, -51), (246, 81, 51), (248, 81, 22)],
)
def test_latitudes_are_those_of_the_handbook_to_the_minute(row, degrees, minutes):
    assert wrs.centre(1, row)[1] == pytest.approx(degrees + minutes / 60, abs=0.5 / 60)


def test_paths_are_counted_westward_from_64_6_degrees_west():
    assert wrs.centre(1, 60) == pytest.approx((-64.6, 0.0))
    assert wrs.centre(2, 60)[0] == pytest.approx(-64.6 - 360 / 233)
    assert wrs.centre(233, 60)[0] == pytest.approx(-64.6 + 360 / 233)


def test_after_the_last_row_comes_the_first_of_the_path_flown_next():
    """16 days have 233 orbits, so that the next one lies 16 paths to the west."""
    last, following = wrs.centre(1, 248), wrs.centre(17, 1)
    step = km(wrs.centre(1, 247), last)
    assert km(last, following) == pytest.approx(step, rel=0.01)


def corners(text):
    """Path, row, and the middle of the corners, of a scene's metadata as text or XML."""
    found = {
        name: float(value)
        for name, value in re.findall(r"(\w+)(?:\s*=\s*|>)\"?([-+.\d]+)", text)
        if name.startswith(("CORNER_", "WRS_"))
    }
    middle = [
        np.mean([found[f"CORNER_{corner}_{what}_PRODUCT"] for corner in ("UL", "UR", "LL", "LR")])
        for what in ("LON", "LAT")
    ]
    return int(found["WRS_PATH"]), int(found["WRS_ROW"]), middle


@pytest.mark.parametrize(
    "name",
    [
        "landsat_c2l2_qa/colombia_2019/LC08_L2SP_008059_20191201_20200825_02_T1_MTL.xml",
        "landsat_c2l2_qa/greenland_2015/LC08_L2SP_005009_20150710_20200908_02_T2_MTL.xml",
        "landsat5_tucurui/LT52240631988227CUB02_MTL.txt",
    ],
)
def test_real_scenes_lie_within_some_kilometres(shared_data, name):
    text = (shared_data / name).read_text(encoding="utf-8", errors="replace")
    path, row, middle = corners(text)
    assert km(wrs.centre(path, row), middle) < 7


@pytest.mark.parametrize("place", ["colombia_2019", "greenland_2015"])
def test_a_frame_lies_in_the_scene_that_was_taken(shared_data, place):
    (path,) = (shared_data / "landsat_c2l2_qa" / place).glob("*QA_PIXEL*")
    numbers = re.match(r"LC08_L2SP_(\d{3})(\d{3})_", path.name)
    with rasterio.open(path) as source:
        seen = (source.read(1) != 1).astype(np.uint8)
        ground = [g for g, value in shapes(seen, transform=source.transform) if value == 1]
        taken = shapely.union_all([shapely.geometry.shape(g) for g in ground]).convex_hull
        to = pyproj.Transformer.from_crs(4326, source.crs, always_xy=True)
    corners = np.array(wrs.footprint(int(numbers[1]), int(numbers[2])).exterior.coords)
    frame = shapely.Polygon(np.column_stack(to.transform(*corners.T)))
    assert frame.intersection(taken).area / frame.area > 0.98
    assert frame.intersection(taken).area / taken.area > 0.88
    assert frame.centroid.distance(taken.centroid) < 5000


@pytest.mark.parametrize(("path", "row"), [(132, 23), (1, 1), (76, 60), (200, 122), (233, 248)])
def test_a_frame_is_185_by_180_km(path, row):
    ring = wrs.footprint(path, row).exterior.coords[:]
    sides = [km(a, b) for a, b in itertools.pairwise(ring)]
    assert sides == pytest.approx([185, 180, 185, 180], rel=0.01)


def test_rows_of_a_path_overlap_and_so_do_paths():
    here = wrs.footprint(132, 23)
    for neighbour in (wrs.footprint(132, 24), wrs.footprint(133, 23)):
        assert 0.02 < here.intersection(neighbour).area / here.area < 0.6


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("wrs:132/023", [(132, 23)]),
        ("WRS-2: 132 / 23", [(132, 23)]),
        ("wrs:132/023,132/024; 133/23", [(132, 23), (132, 24), (133, 23)]),
        ("wrs:132/023 132/024", [(132, 23), (132, 24)]),
        ("path 132 row 23", [(132, 23)]),
        ("Path 132, Row 23; path 132 row 24", [(132, 23), (132, 24)]),
        ("path 132 row 23 and path 132 row 24", [(132, 23), (132, 24)]),
    ],
)
def test_rows_are_written_in_these_ways(text, rows):
    assert wrs.read_rows(text) == rows
    assert read_aoi(text).equals(shapely.union_all([wrs.footprint(*each) for each in rows]))


def test_a_frame_across_180_degrees_is_two_parts():
    area = read_aoi("wrs:76/60")
    assert area.bounds[0] == -180
    assert area.bounds[2] == 180
    assert area.area == pytest.approx(read_aoi("wrs:60/60").area, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wrs:234/1", "path 234 row 1: WRS-2 has paths 1 to 233 and rows 1 to 248; write wrs:132"),
        ("wrs:0/60", "path 0 row 60"),
        ("wrs:132/249", "path 132 row 249"),
        ("path 300 row 23", "path 300 row 23"),
        ("wrs:132/023,1/200", "path 1 row 200: rows 123 to 246 are flown northward, by night"),
        ("wrs1:132/23", "only WRS-2 is known"),
        ("wrs:132", "'wrs:132' is no path and row; write wrs:132/023"),
        ("wrs:132/023,", "is no path and row"),
        ("wrs:", "is no path and row"),
        ("wrs:a/b", "is no path and row"),
        ("path 132 row 23 and 24", "is no path and row"),
    ],
)
def test_what_is_no_row_by_day_is_one_clear_line(text, words):
    with pytest.raises(AoiError, match=words) as caught:
        read_aoi(text)
    assert "\n" not in str(caught.value)
