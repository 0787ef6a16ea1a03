"""`water-gee train`: what is asked for arrives, and one line for what cannot be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from water_gee.training.augment import Augmentation
from water_gee.training.sampling import Sampling


@pytest.fixture
def asked(monkeypatch):
    """What `train()` was called with."""
    found = {}

    def train(store, **settings):
        found.update(settings, store=store)
        return SimpleNamespace(path="a.keras")

    monkeypatch.setattr("water_gee.training.fit.train", train)
    return found


def test_nothing_given_leaves_every_default_to_the_package(call, asked):
    assert call("train", "--store", "tiles")[:2] == (0, "a.keras\n")
    assert asked.pop("store") == "tiles"
    progress = asked.pop("progress")
    assert isinstance(progress, bool)
    assert asked == {
        "out": None, "labels": "corrected", "network": "pixel_cnn", "seed": 0, "sampling": None,
        "augmentation": None, "way": "auto", "precision": "float32", "tensorboard": None,
    }  # fmt: skip


def test_settings_arrive(call, asked):
    line = "--network context_cnn --epochs 3 --steps 7 --patience 2 --rate 0.001 --window 1"
    line += " --windows 4096 --water 0.2 --shore 3 --random-land --jitter 0.05 --way patches"
    line += " --tensorboard logs --labels qa --seed 4 --out b.keras --precision bfloat16"
    assert call("train", "--store", "tiles", *line.split())[0] == 0
    assert asked["sampling"] == Sampling(
        window=1, windows=4096, water=0.2, shore=3.0, stratified=False
    )
    assert asked["augmentation"] == Augmentation(jitter=0.05)
    wanted = {"network": "context_cnn", "epochs": 3, "steps": 7, "patience": 2, "rate": 0.001,
              "way": "patches", "precision": "bfloat16", "tensorboard": "logs", "labels": "qa",
              "seed": 4, "out": "b.keras"}  # fmt: skip
    assert {name: asked[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--windows", "0"], "windows must be a whole number from 1"),
        (["--window", "512", "--windows", "99"], "pixels a step, more than"),
        (["--jitter", "2"], "jitter must be from 0 to 0.5"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(call, words, line):
    status, out, err = call("train", "--store", "none", *words)
    assert status != 0
    assert out == ""
    assert line in err
    assert err.count("\n") == 1
