"""What stands for unobserved pixels, and how many must be observed."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.errors import ModelError
from water_gee.training.backend import keras
from water_gee.training.scaling import CENTER, LAYER, finish
from water_gee.training.soundness import check_cuts, halo, needed, neutral

L = keras.layers


def seeing(size, name="own"):
    features = keras.Input((None, None, 8))
    return keras.Model(features, L.Conv2D(2, size, activation="softmax")(features), name=name)


@pytest.mark.parametrize(
    ("size", "of_the_bare", "of_the_saved"), [(3, 1, 1), (7, 3, 3), (11, 5, 3)]
)
def test_seven_by_seven_are_needed_where_the_rest_can_be_filled(size, of_the_bare, of_the_saved):
    bare = seeing(size)
    saved = finish(bare)
    assert (needed(bare), needed(saved)) == (of_the_bare, of_the_saved)
    assert halo(saved) == size // 2


def test_the_values_that_say_nothing_are_those_that_the_first_layer_makes_zero():
    saved = finish(seeing(9))
    values = neutral(saved)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, CENTER, rtol=1e-6)
    np.testing.assert_allclose(saved.get_layer(LAYER)(values[None]), 0, atol=1e-6)


def test_other_networks_know_of_no_such_values():
    features = keras.Input((None, None, 8))
    scaled = L.Rescaling(1 / 255, name=LAYER)(features)
    joined = L.Concatenate()([features, scaled])
    two_readers = keras.Model(features, L.Conv2D(2, 9, activation="softmax")(joined))
    for network in (seeing(9), two_readers, object()):
        assert neutral(network) is None


def test_a_look_at_the_answers_of_a_raster_cut_otherwise():
    assert check_cuts(seeing(5), 8, 2).shape == (1, 4, 5, 2)
    features = keras.Input((None, None, 8))
    padded = L.Conv2D(2, 5, padding="same", activation="softmax")(features)
    with pytest.raises(ModelError, match="padding='valid'"):
        check_cuts(keras.Model(features, padded), 8, 0)
