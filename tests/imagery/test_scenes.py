"""Scenes on disk: ingested by a child process, described over the wire."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import shapely

from water_gee import session
from water_gee.errors import AoiError, IngestError, RecipeError
from water_gee.imagery import scenes
from water_gee.imagery.scenes import Scene


def scene(**changes):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    facts = {
        "asset": "LANDSAT/LC08/C02/T1_L2/LC08_1",
        "sensor": "landsat8",
        "year": 2019,
        "month": 1,
        "footprint": square,
        "qa_made": None,
    }
    return Scene(**facts | changes)


@pytest.fixture
def connected(tiny_catalog):
    with session.connect(catalog=tiny_catalog):
        yield


def test_a_recipe_takes_what_is_not_given_from_the_scenes():
    found = [scene(), scene(sensor="landsat9", year=2022, month=12), scene(sensor=None)]
    recipe = scenes.recipe_for(found, {"dem": "none"})
    assert recipe.sensors == ("landsat8", "landsat9")
    assert (recipe.years, recipe.months, recipe.dem) == ((2019, 2022), (1, 12), None)
    assert scenes.recipe_for(found, {"months": [7]}).months == (7,)
    assert scenes.recipe_for(found[1::-1], {}).months == (1, 12)


def test_scenes_that_say_nothing_need_a_whole_recipe():
    nothing = [scene(sensor=None, year=None)]
    with pytest.raises(RecipeError, match="must name `sensors`, `years` and `months`"):
        scenes.recipe_for(nothing, {"years": [2019]})
    given = {"sensors": ["landsat5"], "years": [1990], "months": [8]}
    assert scenes.recipe_for(nothing, given).sensors == ("landsat5",)


def test_the_area_is_all_that_scenes_cover():
    far = {"type": "Polygon", "coordinates": [[[5, 5], [6, 5], [6, 6], [5, 6], [5, 5]]]}
    area = scenes.area_of([scene(), scene(footprint=None), scene(footprint=far)])
    assert area.equals(shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6)]))


def test_scenes_without_footprint_have_no_area():
    with pytest.raises(AoiError, match="give an area"):
        scenes.area_of([scene(footprint=None)])


def test_what_was_ingested_is_described_over_the_wire(connected):
    (found,) = scenes.describe(["LANDSAT/LC08/C02/T1_L2/LC08_133024_20200609"])
    assert (found.sensor, found.year, found.month, found.qa_made) == ("landsat8", 2020, 6, None)
    west, south, east, north = scenes.area_of([found]).bounds
    assert west < 104.1 < 104.2 < east
    assert south < 51.71 < 51.83 < north


def test_an_asset_that_is_not_there_is_one_line(connected):
    with pytest.raises(IngestError, match="cannot be read"):
        scenes.describe(["LANDSAT/LC08/C02/T1_L2/LC08_000000_20200609"])


def test_a_real_scene_without_qa_says_so(shared_data, tmp_path):
    archive = (
        shared_data / "landsat_c2l2" / ("LC09_L2SP_231062_20230723_20230802_02_T1-cropped.tar.gz")
    )
    assets = scenes.ingest(tmp_path / "catalog", [archive])
    with session.connect(catalog=tmp_path / "catalog"):
        (found,) = scenes.describe(assets)
    assert found.asset == "LANDSAT/LC09/C02/T1_L2/LC09_231062_20230723"
    assert (found.sensor, found.year, found.month) == ("landsat9", 2023, 7)
    assert "CFMask" in found.qa_made


def test_what_ingest_refuses_comes_back_in_its_own_words(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(IngestError, match="holds no Landsat scene") as refused:
        scenes.ingest(tmp_path / "catalog", [tmp_path / "empty"])
    assert not str(refused.value).startswith("water-gee")


def test_the_child_ends_when_its_parent_is_killed(tiny_season, tmp_path):
    """The parent is killed while the child still has most of its scenes before it."""
    code = f"""
from pathlib import Path
from water_gee.imagery import scenes
scenes.ingest(Path({str(tmp_path / "catalog")!r}), {[str(s) for s in tiny_season.scenes]!r})
"""
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "catalog").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _members(parent.pid) == 2
    parent.kill()
    parent.wait()
    while _members(parent.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _members(parent.pid) == 0


def _members(session_id: int) -> int:
    """Living processes of a session (field 6 of /proc/PID/stat, after the name in brackets)."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, owner = entry.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        count += int(owner) == session_id and state != "Z"
    return count
