"""Whole runs: killed, streamed, logged, by patches, with other networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import small_water
from shapely.geometry import box
from small_water import scene

from water_gee.errors import ModelError, TrainingError
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.training import dense, pool
from water_gee.training import network as networks
from water_gee.training.augment import Augmentation
from water_gee.training.dense import Trainer
from water_gee.training.fit import train
from water_gee.training.model import load
from water_gee.training.sampling import Sampling

SMALL = Sampling(window=16, windows=2)

CHILD = """
import sys
from pathlib import Path
from water_gee.training.fit import train
from water_gee.training.sampling import Sampling
train(sys.argv[1], out=sys.argv[2], labels="qa", epochs=12, steps=2, patience=12,
      sampling=Sampling(window=16, windows=2), progress=False)
"""


def trained(store, out, **settings):
    quick = {"labels": "qa", "epochs": 2, "steps": 2, "sampling": SMALL, "progress": False}
    return train(store, out=out, **quick | settings)


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Eight tiles of 70 x 70 pixels, of which the last three are dry."""
    recipe = Recipe(pixels=64, years=(2023,))
    scenes = [scene(seed, 70) for seed in range(8)]
    for each in scenes[5:]:
        each.qa[each.qa == 1] = 0
    folder = tmp_path_factory.mktemp("eight") / "store"
    places = list(cells_for(box(104.09, 51.85, 104.60, 52.10), recipe))
    with TileStore.open(folder, recipe, create=True) as store:
        for cell, each in zip(places, scenes, strict=True):
            store.write_tile(cell, each.features, each.qa)
    return folder


def test_a_process_killed_by_the_system_goes_on_to_the_same_weights(eight, tmp_path):
    """SIGKILL after some epochs; the same call, in another process, ends as one never killed."""
    out = tmp_path / "killed.keras"
    standing = out.with_name(".killed.checkpoint.zip")
    helpers = str(Path(small_water.__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, helpers])}
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(eight), str(out)], env=environment)
    try:
        deadline = time.monotonic() + 240
        while not standing.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    assert standing.exists()
    assert not out.exists()
    begun, learn = [], Trainer.learn

    def noted(self, places, number, steps):
        begun.append(number)
        return learn(self, places, number, steps)

    settings = {"epochs": 12, "patience": 12}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trainer, "learn", noted)
        again = trained(eight, out, **settings)
    assert begun[0] > 1
    assert begun[-1] == 12
    whole = trained(eight, tmp_path / "whole.keras", **settings)
    assert again.digest() == whole.digest()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in again.record["curve"]]
    assert rows == [
        {k: v for k, v in row.items() if k != "seconds"} for row in whole.record["curve"]
    ]


def test_streamed_tiles_repeat_and_are_taken_up_after_a_kill(eight, tmp_path, monkeypatch):
    """Four tiles fit; six train and two validate."""
    monkeypatch.setattr(pool, "BYTES", 1)
    held, learn = [], Trainer.learn

    def noted(self, places, number, steps):
        held.append([place.tile.name for place in places])
        if number == 3 and len(held) == 3:
            raise KeyboardInterrupt
        return learn(self, places, number, steps)

    monkeypatch.setattr(Trainer, "learn", noted)
    out = tmp_path / "a.keras"
    with pytest.raises(KeyboardInterrupt):
        trained(eight, out, epochs=4)
    first = trained(eight, out, epochs=4)
    whole = trained(eight, tmp_path / "b.keras", epochs=4)
    assert first.digest() == whole.digest()
    assert held[:3] + held[4:5] == held[5:]
    assert held[3] == held[2]
    assert max(map(len, held)) <= 2
    assert len({name for names in held for name in names}) > 2


def test_patches_and_windows_of_the_chosen_pixels_learn_the_same(eight, tmp_path):
    some = Sampling(window=16, windows=2, pixels=20)
    ways = [
        trained(eight, tmp_path / f"{way}.keras", way=way, sampling=some)
        for way in ("dense", "patches")
    ]
    losses = [[row["loss"] for row in each.record["curve"]] for each in ways]
    np.testing.assert_allclose(*losses, atol=1e-4)


def test_pixels_one_by_one_train_too_and_the_published_settings_can_be_asked_for(eight, tmp_path):
    published = Sampling(window=1, windows=64, water=1 / 6, stratified=False)
    made = trained(eight, tmp_path / "a.keras", sampling=published)
    assert made.record["settings"]["sampling"]["window"] == 1
    hard = trained(eight, tmp_path / "b.keras", sampling=Sampling(window=1, windows=64, shore=4.0))
    assert hard.digest() != made.digest()


def test_settings_change_what_is_learned(eight, tmp_path):
    """And each one alone is enough for another network."""
    settings = [
        {},
        {"class_weights": (1.0, 3.0)},
        {"augmentation": Augmentation(jitter=0.2)},
        {"sampling": Sampling(window=16, windows=2, shore=5.0)},
    ]
    digests = [
        trained(eight, tmp_path / f"{number}.keras", epochs=1, steps=1, **each).digest()
        for number, each in enumerate(settings)
    ]
    assert len(set(digests)) == len(settings)


def seeing_far(bands):
    """A network of 11 x 11 pixels."""
    keras = networks.keras
    features = keras.Input((None, None, bands))
    x = keras.layers.Conv2D(4, 11, activation="relu")(features)
    return keras.Model(features, keras.layers.Conv2D(2, 1, activation="softmax")(x))


def test_a_network_that_sees_farther_is_trained_and_saved(eight, tmp_path, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "seeing_far", seeing_far)
    made = trained(eight, tmp_path / "a.keras", network="seeing_far")
    assert made.record["network"] == "seeing_far"
    found = load(tmp_path / "a.keras")
    assert networks.halo(found.network) == 5
    with TileStore.open(eight) as store:
        features = np.nan_to_num(np.moveaxis(store.read_image(store.cells()[0]), 0, -1))
    assert np.asarray(found.network(features[None])).shape == (1, 60, 60, 2)


def nameless(activation):
    """A builder of a network whose layers get their names from Keras."""
    keras = networks.keras

    def build(bands):
        features = keras.Input((None, None, bands))
        x = keras.layers.Conv2D(4, 3, activation=activation)(features)
        x = keras.layers.Concatenate()([x, keras.layers.Cropping2D(1)(features)]) * 2.0
        inner = keras.Sequential([keras.layers.Conv2D(2, 1, activation="softmax")])
        return keras.Model(features, inner(x))

    return build


@pytest.fixture
def taken_up_in(eight, tmp_path, monkeypatch):
    """The epoch in which a call goes on from the checkpoint of one that was killed in its second.

    The first use kills that call itself, and so gives 1.
    """
    kept = []

    def epoch(network):
        begun, learn = [], Trainer.learn

        def until(self, places, number, steps):
            begun.append(number)
            if kept or number == 2:
                raise KeyboardInterrupt
            return learn(self, places, number, steps)

        with monkeypatch.context() as patched:
            patched.setattr(Trainer, "learn", until)
            with pytest.raises(KeyboardInterrupt):
                trained(eight, tmp_path / "a.keras", network=network)
        kept.append(begun)
        return begun[0]

    return epoch


@pytest.mark.parametrize("network", ["pixel_cnn", "context_cnn", "mine"])
def test_a_checkpoint_is_taken_up_by_the_same_network_and_optimizer(
    taken_up_in, monkeypatch, network
):
    monkeypatch.setitem(networks.NETWORKS, "mine", nameless("relu"))
    assert taken_up_in(network) == 1
    assert taken_up_in(network) == 2
    with monkeypatch.context() as patched:
        patched.setattr(dense, "MEMORY", 0.5)
        assert taken_up_in(network) == 1
    with monkeypatch.context() as patched:
        patched.setattr(networks.keras.optimizers, "Nadam", networks.keras.optimizers.Adam)
        assert taken_up_in(network) == 1
    assert taken_up_in(network) == 2


def test_a_checkpoint_of_a_network_that_was_changed_since_is_not_taken_up(taken_up_in, monkeypatch):
    """Its weights have the same shapes, and its layers other names than before in any case."""
    monkeypatch.setitem(networks.NETWORKS, "mine", nameless("relu"))
    assert taken_up_in("mine") == 1
    monkeypatch.setitem(networks.NETWORKS, "mine", nameless("tanh"))
    assert taken_up_in("mine") == 1
    monkeypatch.setitem(networks.NETWORKS, "mine", nameless("relu"))
    assert taken_up_in("mine") == 2


def test_the_record_says_how_the_network_came_about(eight, tmp_path):
    made = trained(eight, tmp_path / "a.keras", seed=5)
    record = load(tmp_path / "a.keras").record
    assert record == json.loads(json.dumps(made.record))
    assert record["seed"] == record["settings"]["seed"] == 5
    assert [row["epoch"] for row in record["curve"]] == [1, 2]
    assert set(record["curve"][0]) == {
        "epoch", "loss", "validation_iou", "learning_rate", "seconds"
    }  # fmt: skip
    assert len(record["normalisation"]["center"]) == 8
    assert len(record["data_sha256"]) == 64
    land = record["samples"]["land_by_stratum"]
    assert sum(land.values()) == record["samples"]["land"]
    other = trained(eight, tmp_path / "b.keras", seed=6)
    assert other.record["data_sha256"] == record["data_sha256"]


def test_tensorboard_finds_every_epoch(eight, tmp_path):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    from water_gee.training.backend import tf

    made = trained(eight, tmp_path / "a.keras", tensorboard=tmp_path / "logs" / "a")
    (events,) = (tmp_path / "logs" / "a").iterdir()
    found = {
        (value.tag, event.step): float(tf.make_ndarray(value.tensor))
        for event in summary_iterator(str(events))
        for value in event.summary.value
    }
    for row in made.record["curve"]:
        for name in ("loss", "validation_iou", "learning_rate"):
            assert found[name, row["epoch"]] == pytest.approx(row[name], rel=1e-6)


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"rate": 0.0}, "rate must be above 0 and at most 1"),
        ({"class_weights": (1.0, 0.0)}, "class_weights are two numbers above 0"),
        ({"way": "fast"}, "way must be one of auto, dense, patches, not 'fast'"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16"),
        ({"network": "resnet"}, "no network 'resnet'; there are pixel_cnn"),
    ],
)
def test_settings_that_nothing_can_be_trained_with_are_refused(eight, tmp_path, settings, words):
    with pytest.raises(TrainingError, match=words) as caught:
        trained(eight, tmp_path / "a.keras", **settings)
    assert "\n" not in str(caught.value)


def test_a_network_for_other_bands_is_refused(eight, tmp_path, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "six", lambda _: networks.pixel_cnn(6))
    with pytest.raises(ModelError, match="six") as caught:
        trained(eight, tmp_path / "a.keras", network="six")
    assert "\n" not in str(caught.value)


def test_a_tensorboard_folder_that_cannot_be_is_refused(eight, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot write TensorBoard's files into"):
        trained(eight, tmp_path / "a.keras", tensorboard=tmp_path / "file")
