"""The far network from tiles to maps: trained by name, saved, mapped on the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from small_water import scene, store_of

from water_gee import raster
from water_gee.imagery.recipe import Recipe
from water_gee.mapping.predict import predict
from water_gee.training.fit import train
from water_gee.training.model import load
from water_gee.training.network import halo, needed, neutral
from water_gee.training.sampling import Sampling
from water_gee.training.scaling import CENTER

SETTINGS = {
    "labels": "qa", "epochs": 1, "steps": 2, "progress": False,
    "sampling": Sampling(window=16, windows=2),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    recipe = Recipe(pixels=64, years=(2023,))
    folder = tmp_path_factory.mktemp("far") / "store"
    with store_of(folder, [scene(seed, 70) for seed in range(4)], recipe) as made:
        yield made


def test_the_far_network_is_trained_saved_and_mapped_like_the_published_one(store, tmp_path):
    far = train(store, out=tmp_path / "far.keras", network="context_cnn", **SETTINGS)
    near = train(store, out=tmp_path / "near.keras", **SETTINGS)
    found = load(tmp_path / "far.keras")
    assert found.digest() == far.digest()
    assert (halo(found.network), needed(found.network)) == (15, 3)
    np.testing.assert_allclose(neutral(found.network), CENTER, rtol=1e-6)
    assert neutral(near.network) is None
    assert far.record["samples"] == near.record["samples"]
    maps = [
        raster.read(predict(model, store, tmp_path / f"{name}.tif", progress=False)).values[0]
        for name, model in (("far", found), ("near", near))
    ]
    np.testing.assert_array_equal(maps[0] == 255, maps[1] == 255)
    assert (maps[0] != 255).mean() > 0.5


def test_the_same_seed_gives_the_same_far_network(store, tmp_path):
    digests = {
        train(store, out=tmp_path / "a.keras", network="context_cnn", seed=5, **SETTINGS).digest()
        for _ in range(2)
    }
    assert len(digests) == 1
