"""A few steps of training on one made-up tile, for this process and for another."""

from __future__ import annotations

import numpy as np

from water_gee.training.dense import Trainer
from water_gee.training.model import weights_digest
from water_gee.training.patches import Samples


def some(height=40, width=44):
    """A tile whose water is where its mNDWI is high."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(height + 6, width + 6, 8)).astype(np.float32)
    water = (features[3:-3, 3:-3, 5] > 0.3).astype(np.uint8)
    return Samples("a", features, water, rng.random((height, width)).astype(np.float32))


def run(seed=7):
    """Two epochs of two steps: the weights' digest and the losses."""
    trainer = Trainer(8, seed, 20)
    losses = [trainer.epoch([some()], number, 2) for number in (1, 2)]
    return weights_digest(trainer.network), losses
