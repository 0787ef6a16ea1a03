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

from water_gee.errors import TrainingError
from water_gee.training.augment import Augmentation
from water_gee.training.dense import STRIP, Trainer, check_way
from water_gee.training.model import weights_digest
from water_gee.training.sampling import Draw, Place, Sampling


def batch(side=24, windows=3, **settings):
    sampling = Sampling(window=side, windows=windows, **settings)
    draw = Draw([Place.of(some())], sampling, Augmentation())
    return draw.batch(np.random.default_rng(0))


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


def expected_loss(network, drawn):
    p = np.stack([patch_probabilities(network, each) for each in drawn.features])
    p = p.astype(np.float64)
    entropy = -(drawn.water * np.log(p) + (1 - drawn.water) * np.log(1 - p))
    return (entropy * drawn.weight).sum() / drawn.weight.sum()


@pytest.mark.parametrize("way", ["dense", "patches"])
@pytest.mark.parametrize("pixels", [None, 60])
def test_the_loss_in_either_way_is_the_weighted_loss_over_patches(way, pixels):
    trainer = Trainer(8, 0, 20, way=way)
    drawn = batch(pixels=pixels)
    expected = expected_loss(trainer.network, drawn)
    assert trainer.step(drawn) == pytest.approx(expected, abs=1e-5)


def test_both_ways_lead_to_the_same_weights():
    ends = []
    for way in ("dense", "patches"):
        trainer = Trainer(8, 0, 20, way=way)
        for _ in range(3):
            trainer.step(batch(16, 2))
        ends.append(trainer.network.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


@pytest.mark.parametrize(("pixels", "side"), [(None, 30), (57, 30), (56, 7)])
def test_the_faster_way_is_taken_by_the_share_of_pixels_chosen(pixels, side):
    """Of 576 pixels: all, and a few more or fewer than a tenth."""
    trainer = Trainer(8, 0, 20)
    drawn = batch(windows=1)
    if pixels is not None:
        few = np.zeros(drawn.weight.size, np.float32)
        few[: 58 if pixels == 57 else pixels] = 1
        drawn = type(drawn)(drawn.features, drawn.water, few.reshape(drawn.weight.shape))
    taken = []
    trainer._step = lambda features, *_: taken.append(features.shape) or 0.0
    trainer.step(drawn)
    assert taken[0][1:3] == (side, side)


def test_a_pixel_of_weight_zero_teaches_nothing():
    drawn = batch(windows=2)
    drawn.weight[:, :, 12:] = 0
    digests = set()
    for other in (drawn.water, np.where(drawn.weight > 0, drawn.water, 1 - drawn.water)):
        trainer = Trainer(8, 0, 20)
        trainer.step(type(drawn)(drawn.features, other, drawn.weight))
        digests.add(weights_digest(trainer.network))
    assert len(digests) == 1


def test_sixteen_bits_learn_about_the_same_and_are_saved_in_32():
    whole, half = (Trainer(8, 0, 20, precision=name) for name in ("float32", "bfloat16"))
    losses = [trainer.step(batch(16, 2)) for trainer in (whole, half)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert {layer.compute_dtype for layer in half.network.layers} == {"float32", "bfloat16"}
    assert {weight.dtype for weight in half.network.weights} == {"float32"}
    finished = half.finished()
    assert {layer.compute_dtype for layer in finished.layers} == {"float32"}
    whole.network.set_weights(finished.get_weights())
    features = batch(16, 2).features
    np.testing.assert_array_equal(finished(features), whole.network(features))


@pytest.mark.parametrize(("way", "precision"), [("fast", "float32"), ("auto", "float16")])
def test_a_way_or_precision_that_there_is_not_is_refused(way, precision):
    with pytest.raises(TrainingError, match="must be one of"):
        check_way(way, precision)


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
