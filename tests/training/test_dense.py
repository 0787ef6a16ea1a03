"""Training on whole windows is training on 7 x 7 patches, and repeats bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_training
from numpy.lib.stride_tricks import sliding_window_view
from small_training import run, some

from water_gee.training.dense import STRIP, Trainer
from water_gee.training.model import weights_digest
from water_gee.training.patches import Crops


def patch_probabilities(network, features):
    """Each pixel's answer from its own 7 x 7 patch."""
    patches = sliding_window_view(features, (7, 7), axis=(0, 1))
    height, width = patches.shape[:2]
    patches = np.moveaxis(patches.reshape(-1, features.shape[-1], 7, 7), 1, -1)
    answer = np.concatenate(
        [np.asarray(network(patches[i : i + 4096])) for i in range(0, len(patches), 4096)]
    )
    assert answer.shape[1:3] == (1, 1)
    return answer[:, 0, 0, 0].reshape(height, width)


def test_the_loss_over_windows_is_the_weighted_loss_over_patches():
    trainer = Trainer(8, 0, 20)
    features, water, weight = Crops([some()], side=24, batch=3).draw(np.random.default_rng(0))
    p = np.stack([patch_probabilities(trainer.network, each) for each in features])
    p = p.astype(np.float64)
    entropy = -(water * np.log(p) + (1 - water) * np.log(1 - p))
    expected = (entropy * weight).sum() / weight.sum()
    assert float(trainer._step(features, water, weight)) == pytest.approx(expected, abs=1e-5)


def test_a_pixel_of_weight_zero_teaches_nothing():
    features, water, weight = Crops([some()], side=24, batch=2).draw(np.random.default_rng(0))
    weight[:, :, 12:] = 0
    digests = set()
    for other in (water, np.where(weight > 0, water, 1 - water)):
        trainer = Trainer(8, 0, 20)
        trainer._step(features, other, weight)
        digests.add(weights_digest(trainer.network))
    assert len(digests) == 1


def test_a_tile_is_judged_as_patch_by_patch_across_the_strips():
    tile = some(STRIP + 10, 15)
    trainer = Trainer(8, 3, 20)
    found = trainer.probability(tile)
    assert found.dtype == np.float32
    expected = patch_probabilities(trainer.network, tile.features)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_steps_bring_the_loss_down():
    trainer = Trainer(8, 0, 40)
    losses = [trainer.epoch([some()], number, 4) for number in range(6)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_does_not():
    first, losses = run()
    assert run() == (first, losses)
    assert run(seed=8)[0] != first


def test_another_process_gives_the_same_weights_bit_for_bit():
    code = "from small_training import run; print(run()[0])"
    helpers = str(Path(small_training.__file__).parent)
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": helpers}
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert answer.stdout.split() == [run()[0]]


def test_a_state_taken_and_restored_goes_on_as_if_nothing_had_happened():
    whole, _ = run()
    first = Trainer(8, 7, 20)
    first.epoch([some()], 1, 2)
    state = first.state()
    first.epoch([some()], 2, 1)  # its arrays are copies: going on does not change them
    second = Trainer(8, 7, 20)
    second.restore(state)
    second.epoch([some()], 2, 2)
    assert weights_digest(second.network) == whole
