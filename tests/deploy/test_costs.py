"""What a network costs, said before anything is sent."""

from __future__ import annotations

import json
import sys
import textwrap
from subprocess import run

import numpy as np
import pytest
from networks import conv, graph, small_cnn, undecided

from water_gee import deploy
from water_gee.deploy import build_ee, costs
from water_gee.errors import DeployError
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.model import TrainedModel
from water_gee.training.network import pixel_cnn


@pytest.fixture(scope="module")
def network():
    return undecided(pixel_cnn(8))


def test_every_form_is_measured_as_the_client_sends_it(ee, network):
    found = deploy.estimate(network, image=ee.Image("here"))
    assert list(found.costs) == ["kernels", "matrix", "assets"]
    for form in ("kernels", "matrix"):
        made = build_ee.to_ee(network, ee.Image("here"), form=form)
        body = len(json.dumps(ee.serializer.encode(made)))
        assert found.costs[form].size.bytes == body
    assert found.costs["assets"].size.bytes <= 20_000
    assert found.costs["kernels"].array_bytes == 0
    # Layer 3 gathers 40 x 9 numbers three times and makes 64 sums twice, 8 bytes each.
    assert found.costs["matrix"].array_bytes == 8 * (3 * 360 + 2 * 64)
    assert found.costs["assets"].table_bytes > 400_000
    assert (found.chosen, found.form, found.fits) == ("kernels", "kernels", True)
    assert found.bytes == found.costs["kernels"].size.bytes
    assert found.calls == found.costs["kernels"].size.calls
    assert found.nesting == found.costs["kernels"].size.nesting
    assert found.array_bytes == 0


def test_work_is_counted_a_pixel(network):
    found = deploy.estimate(network)
    weights = 9 * (8 * 16 + 16 * 32 + 40 * 64) + 72 * 128 + 128 * 2
    assert found.multiply_adds == weights
    assert found.parameters == weights + 16 + 32 + 64 + 128 + 2 == 38_514
    assert not found.with_composite


def test_a_trained_model_is_measured_with_its_composite():
    bare = undecided(small_cnn())
    whole = deploy.estimate(TrainedModel(bare, Recipe(), {}))
    part = deploy.estimate(bare)
    assert whole.with_composite
    for form in whole.costs:
        assert whole.costs[form].size.bytes > part.costs[form].size.bytes + 5_000
        assert whole.costs[form].size.calls > part.costs[form].size.calls + 50


def test_the_table_shows_every_form_and_what_is_chosen(network):
    lines = str(deploy.estimate(network, "matrix")).splitlines()
    assert lines[0].startswith("38,514 weights, 38,272 multiply-adds a pixel; requests without")
    assert [line.split()[0] for line in lines[1:]] == ["form", "kernels", "matrix", "assets"]
    assert [line.endswith("chosen") for line in lines[1:]] == [False, False, True, False]
    assert len({len(line) for line in lines}) <= 4
    assert max(map(len, lines)) <= 140


def test_the_form_is_the_first_that_fits(monkeypatch):
    bare = undecided(small_cnn())
    sizes = {form: cost.size.bytes for form, cost in deploy.estimate(bare).costs.items()}
    monkeypatch.setattr(build_ee, "RESERVE_BYTES", build_ee.MAX_REQUEST_BYTES - sizes["matrix"])
    found = deploy.estimate(bare)
    assert found.chosen == "matrix"
    assert not found.costs["kernels"].fits
    asked = deploy.estimate(bare, "kernels")
    assert (asked.chosen, asked.fits) == ("kernels", False)
    assert "chosen, but too large" in str(asked)
    monkeypatch.setattr(build_ee, "RESERVE_BYTES", build_ee.MAX_REQUEST_BYTES)
    nothing = deploy.estimate(bare)
    assert nothing.chosen is nothing.form is nothing.bytes is nothing.calls is None
    assert not nothing.fits
    assert "no form fits" in str(nothing)


def test_what_is_much_too_large_is_not_written_out(monkeypatch):
    """Millions of weights would take minutes; their bytes are said to be at least so many."""
    monkeypatch.setattr(costs, "water_map", unwanted_for("kernels", costs.water_map))
    inputs = keras.Input((None, None, 8))
    wide = keras.layers.Conv2D(700, 7)(keras.layers.Conv2D(40, 1)(inputs))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(wide))
    monkeypatch.setattr(build_ee, "_LEAST_BYTES", {"kernels": 30, "matrix": 30})
    found = deploy.estimate(network)
    assert found.costs["kernels"].size.calls == 0
    assert not any(cost.fits for cost in found.costs.values())
    assert f">{found.parameters * 30:,}" in str(found)


def unwanted_for(form, make):
    def checked(graph, features, rules, **options):
        assert rules is not build_ee.RULES[form]
        return make(graph, features, rules, **options)

    return checked


def test_rounded_weights_are_estimated_rounded():
    bare = undecided(small_cnn())
    exact, rounded = deploy.estimate(bare), deploy.estimate(bare, digits=3)
    assert rounded.costs["matrix"].size.bytes < exact.costs["matrix"].size.bytes
    assert rounded.costs["assets"].table_bytes < exact.costs["assets"].table_bytes


def test_other_layers_count_with_their_weights():
    kernel = np.ones((1, 1, 4, 2), np.float32)
    nodes = graph(4, conv("a", "x", kernel, activation="softmax"))
    assert costs.multiply_adds(nodes) == 8


def test_a_form_that_is_none_is_refused():
    with pytest.raises(DeployError, match="no form 'arrays'; there are auto, kernels, matrix"):
        deploy.estimate(undecided(small_cnn()), "arrays")


def test_the_package_is_light_until_it_is_asked():
    code = """
        import sys
        import water_gee.deploy
        assert not {"ee", "keras", "tensorflow"} & set(sys.modules)
        try:
            water_gee.deploy.nonsense
        except AttributeError as error:
            print(error)
    """
    done = run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.strip() == "module 'water_gee.deploy' has no attribute 'nonsense'"
    assert callable(deploy.estimate)
