"""`water-gee evaluate` and `points`: what they print and write, and how they refuse."""

from __future__ import annotations

import csv
import json

import geopandas
import numpy as np
import pyogrio
import pytest
import scored_store
from water_shapes import blobs, write_map

from water_gee import session


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if session._current is not None:
        session._current.close()


@pytest.fixture
def scored(tmp_path):
    """The store where it is looked for when none is given, and `truth.tif`."""
    found = scored_store.make(tmp_path, cells=5)
    found.path.rename(tmp_path / "water_gee_tiles")
    return found


def test_a_store_is_scored_without_saying_where(call, scored):
    status, out, err = call("-q", "evaluate", "--reference", "truth.tif")
    assert (status, err) == (0, "")
    main = out.split("\n\n")[1]
    lines = {line.split("  ")[0]: line for line in main.splitlines()}
    assert {"QA bit", "corrected labels", "MNDWI > 0", "AWEIsh > 0", "DSWE 3 of 5"} <= set(lines)
    assert "reference     truth.tif" in out
    assert "by land cover: IoU / accuracy" in out
    assert "by distance to the shore" in out
    # Of rows that are compared with another, the difference has an interval.
    assert " to +0." in lines["corrected labels"]


def test_figures_as_json_csv_and_pictures(call, scored, tmp_path):
    status, out, _ = call("-q", "evaluate", "--reference", "truth.tif", "--json", "--csv", "s.csv",
                          "--charts", "pictures", "--resamples", "50", "--no-baselines",
                          "--against", "corrected labels", "--shore", "1,3px")  # fmt: skip
    assert status == 0
    plain = json.loads(out)
    assert [each["row"] for each in plain["rows"]] == ["QA bit", "corrected labels"]
    assert plain["against"] == "corrected labels"
    assert plain["rows"][0]["differences"]["iou"]["value"] < 0
    assert {each["group"] for each in plain["shore"]} == {"0-1 px", "1-3 px", "> 3 px"}
    with (tmp_path / "s.csv").open() as lines:
        table = list(csv.DictReader(lines))
    assert float(table[0]["iou"]) == plain["rows"][0]["scores"]["iou"]["value"]
    assert table[0]["tp"] == str(plain["rows"][0]["tp"])
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        "scores.png", "strata.png", "shore.png"
    }  # fmt: skip


def test_maps_are_scored_with_the_store_or_without(call, scored, tmp_path):
    better = scored.write(tmp_path / "better.tif", scored.truth)
    options = ("--reference", "truth.tif", "--json", "--resamples", "0", "--no-baselines")
    _, out, _ = call("-q", "evaluate", better, "old=truth.tif", *options)
    assert [each["row"] for each in json.loads(out)["rows"]] == ["better", "old"]
    _, out, _ = call("-q", "evaluate", better, "--store", "water_gee_tiles", *options)
    rows = json.loads(out)["rows"]
    assert [each["row"] for each in rows] == ["QA bit", "corrected labels", "better"]
    assert rows[2]["scores"]["iou"]["value"] == 1
    assert rows[2]["scores"]["iou"]["low"] is None


def test_points_are_drawn_labelled_and_evaluated(call, tmp_path):
    values = blobs(1, (200, 220), share=0.3)
    write_map(tmp_path / "map.tif", values)
    status, out, err = call(
        "points", "map.tif", "--out", "p.gpkg", "-n", "120", "--near-shore", "2"
    )
    assert (status, out) == (0, "p.gpkg\n")
    assert "km² of water near the shore" in err
    table = geopandas.read_file("p.gpkg", layer="points")
    step = scored_store.Lattice.of(scored_store.Recipe()).degrees(1)
    rows = ((52 - table["lat"]) / step).astype(int)
    cols = ((table["lon"] - 104) / step).astype(int)
    table["reference"] = np.where(values[rows, cols] == 1, "water", "land")
    pyogrio.write_dataframe(table, "p.gpkg", layer="points", driver="GPKG")
    status, out, err = call("-q", "evaluate", "map.tif", "--points", "p.gpkg")
    assert (status, err) == (0, "")
    assert "overall accuracy                       1.000  standard error 0.000" in out
    _, out, _ = call("-q", "evaluate", "map.tif", "--points", "p.gpkg", "--json")
    assert json.loads(out)["recall"]["value"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reference", "no.tif"), "no.tif: no such file"),
        (("--reference", "truth.tif", "--store", "none"), "no tile store at none; make one with"),
        (
            ("--reference", "truth.tif", "--labels", "mine"),
            "has no labels in 'mine'; it has labels",
        ),
        (("--reference", "truth.tif", "--against", "him"), "no row is called 'him'"),
        (("none.tif", "--reference", "truth.tif"), "none.tif: no such file or folder"),
        (("--reference", "truth.tif", "--csv", "truth.tif"), "is what is read"),
        (("a=m.tif", "--reference", "truth.tif", "--csv", "m.tif"), "is what is read"),
        (("--reference", "truth.tif", "--csv", "m.keras", "--held-out", "m.keras"), "is what is"),
        (("truth.tif", "--points", "truth.tif"), "cannot read truth.tif"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_line(refused, scored, tmp_path, arguments, words):
    scored.write(tmp_path / "m.tif", scored.truth)
    (tmp_path / "m.keras").write_bytes(b"a model")
    assert words in refused("evaluate", *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --reference or --points"),
        (("--reference", "a", "--points", "b"), "give either --reference or --points"),
        (("--points", "b"), "--points needs the one MAP"),
        (("m.tif", "--points", "b", "--csv", "c"), "--csv goes with --reference"),
        (("m.tif", "--points", "b", "--held-out", "c"), "--held-out goes with --reference"),
        (("--reference", "a", "--column", "b"), "--column is one of --points"),
        (("--reference", "a", "--shore", "1,2"), "is not like 1,2,4,8px or 30,60,120m"),
    ],
)
def test_wrong_usage_is_told(call, arguments, words):
    status, out, err = call("evaluate", *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
