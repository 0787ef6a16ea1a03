"""`water-gee emit`: a script is written, or refused in one line."""

from __future__ import annotations

import os

import pytest

from water_gee.imagery.recipe import Recipe
from water_gee.training.model import TrainedModel, save
from water_gee.training.network import pixel_cnn


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    return save(TrainedModel(pixel_cnn(), Recipe(dem=None), {}), path).path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_script_is_written_without_any_service(call, model, tmp_path):
    """Neither account nor catalogue is there to talk to."""
    status, out, err = call(
        "emit", model, "--out", "map.js", "--aoi", "106.6,52.2,106.9,52.3", "--years",
        "2019-2021", "--digits", 4, "--no-probability",
    )  # fmt: skip
    assert (status, out, err) == (0, "map.js\n", "")
    script = (tmp_path / "map.js").read_text()
    assert "'water 2020': waterMapOf('2020-06-01', '2020-09-01')" in script
    assert "Rectangle([106.6, 52.2, 106.9, 52.3], null, false)" in script
    assert "probability of" not in script
    assert len(script) < 450_000


def test_the_same_command_writes_the_same_file(call, model, tmp_path):
    for name in ("a.js", "b.js"):
        assert call("emit", model, "--out", name)[0] == 0
    assert (tmp_path / "a.js").read_bytes() == (tmp_path / "b.js").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["none.keras", "--out", "x.js"], 1, "there is no model at none.keras"),
        (["MODEL", "--out", "no/x.js"], 1, "the folder no does not exist"),
        (["MODEL", "--out", "."], 1, "is a folder; give the name of a file in it"),
        (["MODEL", "--out", "x.js", "--aoi", "atlantis"], 1, "atlantis"),
        (["MODEL", "--out", "x.js", "--years", "1066"], 1, "1066"),
        (["MODEL", "--out", "x.js", "--form", "assets"], 1, "store_weights"),
        (["MODEL", "--out", "x.js", "--weights-asset", "projects/p/assets/w"], 1, "no catalogue"),
        (["MODEL"], 2, "Missing option '--out'"),
        (["MODEL", "--out", "x.js", "--form", "poem"], 2, "'poem' is not one of"),
        (["MODEL", "--out", "x.js", "--digits", "0"], 2, "0 is not in the range"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(call, model, tmp_path, arguments, status, words):
    given = [model if each == "MODEL" else each for each in arguments]
    found, out, err = call("-q", "emit", *given)
    assert (found, out) == (status, ""), err
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(call, model, tmp_path):
    tmp_path.chmod(0o500)
    try:
        status, _, err = call("-q", "emit", model, "--out", "x.js")
    finally:
        tmp_path.chmod(0o700)
    assert status == 1
    assert "cannot be written" in err
