"""`water-gee polygons`, `series` and `compare`: what they print, and how they refuse."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from water_shapes import STEP, blobs, drawn, write_map

from water_gee import session

MODULE = [sys.executable, "-m", "water_gee"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if session._current is not None:
        session._current.close()


@pytest.fixture
def maps(tmp_path):
    """Maps of three years, by name."""
    found = {}
    for year in (2018, 2019, 2020):
        lake = shapely.Point(60, 60).buffer(20 + 5 * (year - 2018))
        path = tmp_path / f"map_{year}.tif"
        found[year] = write_map(path, drawn(lake, size=150), years=[year])
    return found


@pytest.fixture
def refused(call, tmp_path):
    """Run a command that must be refused: its one line. Nothing may be left behind."""

    def refused(*arguments, status=1):
        before = sorted(str(path) for path in tmp_path.rglob("*"))
        ended, out, err = call("-q", *arguments)
        assert (ended, out) == (status, ""), err
        assert err.startswith("water-gee: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert "please report it" not in err
        assert sorted(str(path) for path in tmp_path.rglob("*")) == before
        return err

    return refused


# ------------------------------------------------------------------------------ what they do


def test_polygons_are_written_beside_the_map(call, maps, tmp_path):
    status, out, err = call("polygons", "map_2018.tif")
    assert (status, out) == (0, "map_2018.gpkg\n")
    assert "1 bodies (0 river, 1 lake, 0 unclear)" in err
    assert len(geopandas.read_file(tmp_path / "map_2018.gpkg", layer="water")) == 1


@pytest.mark.parametrize(
    ("minimum", "count"), [("0", 2), ("100m2", 2), ("0.05 ha", 1), ("0.0005km2", 1), ("900", 0)]
)
def test_smallest_bodies_are_given_in_the_units_of_the_field(call, tmp_path, minimum, count):
    values = np.zeros((20, 20))
    values[2, 2], values[10, 10:12] = 1, 1
    write_map(tmp_path / "m.tif", values)
    # A pixel of this map has 555 m²; 900 is more than one of them, and less than two.
    expected = {"900": 1, "0.05 ha": 2, "0.0005km2": 2}.get(minimum, count)
    status, _, err = call("-q", "polygons", "m.tif", "--out", "w.gpkg", "--minimum", minimum)
    assert (status, err) == (0, "")
    assert len(geopandas.read_file("w.gpkg", layer="water")) == expected


@pytest.mark.parametrize("simplify", ["0px", "1.5px", "60m"])
def test_shores_are_simplified_as_asked(call, maps, simplify):
    status, _, _ = call("-q", "polygons", "map_2018.tif", "--out", "w.gpkg", "--simplify", simplify)
    assert status == 0
    count = shapely.get_num_coordinates(geopandas.read_file("w.gpkg", layer="water").geometry[0])
    assert (count > 60) == (simplify == "0px")


def test_a_series_takes_years_from_names_or_as_told(call, maps, tmp_path):
    (tmp_path / "map_2019.tif").rename(tmp_path / "latest.tif")
    given = ["map_2018.tif", "2021=latest.tif", "map_2020.tif"]
    status, out, err = call("series", *given, "--out", "out", "--steps", "--no-plots")
    assert (status, out) == (0, "out\n")
    assert "2018 to 2020: gain" in err
    assert "2020 to 2021: gain" in err
    assert (tmp_path / "out" / "change_2020_2021.tif").exists()
    assert not (tmp_path / "out" / "areas.png").exists()


def test_pairs_are_compared_as_asked(call, maps, tmp_path):
    given = [*(f"map_{year}.tif" for year in maps), "--out", "out", "--no-plots"]
    status, _, _ = call("-q", "series", *given, "--compare", "2019:2020", "--compare", "2020:2018")
    assert status == 0
    names = {path.name for path in (tmp_path / "out").glob("change*.tif")}
    assert names == {"change_2019_2020.tif", "change_2020_2018.tif"}


def test_scores_are_printed_a_line_each_or_as_json(call, maps):
    status, out, _ = call("-q", "compare", "map_2018.tif", "map_2019.tif")
    assert status == 0
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["reference"] == "map_2019.tif"
    assert 0.5 < float(lines["iou"].split()[0]) < 1
    status, out, _ = call("-q", "compare", "map_2018.tif", "map_2019.tif", "--json")
    assert json.loads(out)["fp"] == 0


def test_each_command_says_how_it_is_used(call):
    for name in ("polygons", "series", "compare"):
        status, out, _ = call(name, "--help")
        assert status == 0
        assert "Usage: water-gee" in out
        assert name in call("--help")[1]


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("polygons", "no.tif"), "no.tif: no such file"),
        (("polygons", "map_2018.tif", "--out", "no/w.gpkg"), "the folder no does not exist"),
        (("polygons", "map_2018.tif", "--probability", "map_2019.tif"), "not probabilities"),
        (("series", "map_2018.tif", "2019=no.tif", "--out", "out"), "no.tif: no such file"),
        (("series", "map_2018.tif", "--out", "out"), "two maps or more, not 1"),
        (("series", "map_2018.tif", "2018=map_2019.tif", "--out", "out"), "2018 is given twice"),
        (("series", "map_2018.tif", "soon=map_2019.tif", "--out", "out"), "'soon' is no year"),
        (("series", "map_2018.tif", "2022=small.tif", "--out", "out"), "different grids"),
        (("series", "map_2018.tif", "map_2019.tif", "--out", "a/b"), "the folder a does not exist"),
        (("series", "map_2018.tif", "map_2019.tif", "--out", "small.tif"), "is a file"),
        (
            ("series", "map_2018.tif", "map_2019.tif", "--out", "out", "--compare", "2018:2030"),
            "no map of 2030",
        ),
        (("compare", "map_2018.tif", "no.tif"), "no.tif: no such file"),
        (("compare", "map_2018.tif", "away.tif", "--out", "a.tif"), "lies outside"),
        (("compare", "map_2018.tif", "map_2019.tif", "--out", "no/a.tif"), "no does not exist"),
        (("compare", "map_2018.tif", "jrc"), "no catalogue at"),
        (
            ("compare", "map_2018.tif", "map_2019.tif", "--water", "1", "--ignore", "1"),
            "1 is water",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(refused, maps, tmp_path, arguments, words):
    write_map(tmp_path / "small.tif", np.zeros((20, 20)))
    write_map(tmp_path / "away.tif", np.zeros((9, 9)), transform=Affine(STEP, 0, 9, 0, -STEP, 9))
    assert words in refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("polygons",), "Missing argument 'MAP'"),
        (("polygons", "map_2018.tif", "--minimum", "5 acres"), "'5 acres' is not like 5m2"),
        (("polygons", "map_2018.tif", "--simplify", "-3px"), "is not like 5px, 5m"),
        (("series", "map.tif", "--out", "out"), "its name does not say one year"),
        (("series", "2018=map.tif"), "Missing option '--out'"),
        (("series", "2018=a", "--out", "o", "--steps", "--compare", "1:2"), "not both"),
        (("series", "2018=a", "--out", "o", "--compare", "2018"), "two periods as 2018:2020"),
        (("compare", "map.tif"), "Missing argument 'REFERENCE'"),
        (("compare", "a.tif", "b.gpkg", "--column", "c", "--out", "x.tif"), "points give no map"),
    ],
)
def test_wrong_usage_has_status_two(refused, arguments, words):
    assert words in refused(*arguments, status=2)


@pytest.mark.parametrize(
    "command",
    [
        ("polygons", "bad.tif", "--out", "out.gpkg"),
        ("series", "map_2018.tif", "2022=bad.tif", "--out", "out"),
        ("compare", "bad.tif", "map_2018.tif", "--out", "out.tif"),
    ],
)
@pytest.mark.parametrize("kind", ["values", "probability", "text", "no crs", "cut short"])
def test_what_is_no_water_map_is_refused_by_all(refused, maps, tmp_path, command, kind):
    bad = tmp_path / "bad.tif"
    if kind == "values":
        write_map(bad, np.full((150, 150), 7))
    elif kind == "probability":
        from water_shapes import write_probability

        write_probability(bad, np.full((150, 150), 0.5), like=maps[2018])
    elif kind == "text":
        bad.write_text("no raster")
    elif kind == "no crs":
        write_map(bad, np.zeros((150, 150)), crs="")
    else:
        whole = write_map(bad, blobs(1, (150, 150))).read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
    assert "bad.tif" in refused(*command)


@pytest.mark.parametrize(
    "command",
    [
        ("polygons", "../map_2018.tif", "--out", "w.gpkg"),
        ("series", "../map_2018.tif", "../map_2019.tif", "--out", "out"),
        ("compare", "../map_2018.tif", "../map_2019.tif", "--out", "a.tif"),
    ],
)
def test_a_read_only_folder_is_named(call, maps, tmp_path, monkeypatch, command):
    folder = tmp_path / "locked"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")
        status, _, err = call("-q", *command)
    finally:
        folder.chmod(0o755)
    assert status == 1
    assert "cannot be written" in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ("polygons", "big.tif", "--out", "out/w.gpkg", "--minimum", "0", "--simplify", "0px"),
        ("series", "2018=big.tif", "2019=other.tif", "--out", "out/series"),
        ("compare", "big.tif", "other.tif", "--out", "out/a.tif"),
    ],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, command):
    """Files may not grow beyond some bytes: what a full disk does to whoever writes."""
    random = np.random.default_rng(0)
    for name in ("big", "other"):
        write_map(tmp_path / f"{name}.tif", random.random((400, 400)) < 0.4)
    (tmp_path / "out").mkdir()

    def small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*MODULE, "-q", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=small_disk,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("water-gee: ")]
    assert len(lines) == 1
    assert "cannot write" in lines[0]
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
