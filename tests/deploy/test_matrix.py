"""The array form: what it sends, and what the emulator makes of it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from emulated import ASSET, Emulated, on_the_wire
from networks import conv, graph, small_cnn, undecided

from water_gee.deploy import build_ee, matrix
from water_gee.deploy.graph import Node
from water_gee.deploy.layers import run_numpy
from water_gee.deploy.limits import measure
from water_gee.deploy.matrix import MATRIX, array_bytes
from water_gee.errors import DeployError
from water_gee.training.network import pixel_cnn


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """8 bands of 20 x 22 pixels, two of them with a hole."""
    values = np.random.default_rng(7).normal(0.2, 0.6, (8, 20, 22)).astype(np.float32)
    values[3, 9, 11] = values[0, 2, 18] = np.nan
    with Emulated(tmp_path_factory.mktemp("matrix"), values) as service:
        yield service


@pytest.fixture(scope="module")
def image(emulated):
    import ee

    return ee.Image(ASSET)


def weights(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.4, shape).astype(np.float32)


@pytest.mark.parametrize("skip", [8, 7])
def test_the_pixel_network_is_keras(emulated, image, skip):
    network = undecided(pixel_cnn(8, skip))
    found = emulated.fetch(build_ee.to_ee(network, image, form="matrix"))
    inner = found[3:-3, 3:-3, 1]
    expected = np.asarray(network(emulated.array(8)[None]))[0, :, :, 0]
    seen = np.isfinite(inner)
    assert 0 < (~seen).sum() < seen.size
    np.testing.assert_allclose(inner[seen], expected[seen], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[3:-3, 3:-3, 0][seen], expected[seen] >= 0.5)


def test_a_network_is_the_published_form_to_the_last_digits(emulated, image):
    """Both forms round to float32 behind each layer, so they hardly differ."""
    network = undecided(small_cnn())
    plain = emulated.fetch(build_ee.to_ee(network, image, form="kernels"))
    found = emulated.fetch(build_ee.to_ee(network, image, form="matrix"))
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(plain))
    np.testing.assert_allclose(found[..., 1], plain[..., 1], rtol=0, atol=1e-6)


def test_the_expression_is_small_flat_and_of_known_calls(image):
    """It was made at Python's default depth of recursion."""
    assert sys.getrecursionlimit() == 1000
    network = pixel_cnn(8)
    for variable in network.weights:
        variable.assign(weights(variable.shape))
    expression = on_the_wire(build_ee.to_ee(network, image, form="matrix"))
    size = measure(expression)
    assert size.bytes <= 600_000
    assert size.calls <= 130
    assert size.nesting <= 70
    known = build_ee.EE_FUNCTIONS | matrix.FUNCTIONS | {"Image.load"}
    assert functions(expression) <= known


def functions(value):
    if isinstance(value, dict):
        own = {value["functionName"]} if "functionName" in value else set()
        return own.union(*(functions(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(functions(part) for part in value))
    return set()


def test_weights_are_sent_as_the_float32_they_are(image):
    kernel = weights((3, 3, 2, 3))
    node = conv("a", "x", kernel, (0.1, -0.2, 0.3))
    expression = on_the_wire(matrix.MATRIX["conv"](node, [image.select([0, 1])]))
    (found,) = (one for one in arrays(expression) if np.shape(one) == (3, 18))
    np.testing.assert_array_equal(
        np.array(found, np.float32), kernel.transpose(3, 2, 0, 1).reshape(3, 18)
    )


def arrays(value):
    """The constants that `Array` is called with."""
    if isinstance(value, list):
        return [one for part in value for one in arrays(part)]
    if not isinstance(value, dict):
        return []
    found = [one for part in value.values() for one in arrays(part)]
    if value.get("functionName") == "Array":
        constant = value["arguments"]["values"].get("constantValue")
        found += [] if constant is None else [constant]
    return found


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 3, 8, 4), {}),
        ((1, 1, 8, 4), {}),
        ((5, 1, 8, 2), {}),
        ((1, 3, 8, 3), {"dilation": (1, 3)}),
        ((3, 5, 8, 2), {"dilation": (2, 1)}),
        ((3, 3, 2, 8), {"groups": 4}),
        ((3, 3, 4, 6), {"groups": 2, "dilation": (2, 2)}),
        ((1, 1, 4, 2), {"groups": 2}),
        ((3, 3, 1, 8), {"groups": 8}),
        ((3, 3, 8, 1), {}),
    ],
)
def test_a_convolution_of_any_kind_is_the_numpy_rule(emulated, shape, options):
    kernel, bias = weights(shape), weights(shape[3:], 1)
    node = Node("a", "conv", ("x",), {**options}, {"kernel": kernel, "bias": bias})
    network = graph(8, node)
    expected = run_numpy(network, emulated.array(8).astype(np.float64))
    found = emulated.says(network, MATRIX)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_one_band_into_one_band(emulated):
    network = graph(1, conv("a", "x", weights((3, 3, 1, 1)), (0.5,)))
    expected = run_numpy(network, emulated.array(1).astype(np.float64))
    np.testing.assert_allclose(emulated.says(network, MATRIX), expected, rtol=0, atol=1e-5)


def test_groups_are_products_of_their_own_and_single_bands_kernels(image):
    def calls(groups, channels):
        kernel = weights((3, 3, channels, 8))
        bias = weights((8,))
        node = Node("a", "conv", ("x",), {"groups": groups}, {"kernel": kernel, "bias": bias})
        text = json.dumps(on_the_wire(MATRIX["conv"](node, [image])))
        return text.count('"Image.matrixMultiply"'), text.count('"Kernel.fixed"')

    assert calls(1, 8) == (1, 0)
    assert calls(4, 2) == (4, 0)
    assert calls(8, 1) == (0, 8)


def test_the_arrays_of_a_pixel_are_counted(emulated):
    del emulated
    assert array_bytes(Node("x", "input", (), {"channels": 3})) == 0
    one = conv("a", "x", np.zeros((1, 1, 72, 128)))
    assert array_bytes(one) == 8 * (2 * 72 + 2 * 128)
    wide = conv("a", "x", np.zeros((3, 3, 40, 64)))
    assert array_bytes(wide) == 8 * (3 * 360 + 2 * 64)
    single = Node("a", "conv", ("x",), {"groups": 8}, {"kernel": np.zeros((3, 3, 1, 8))})
    assert array_bytes(single) == 0


def test_a_form_that_is_none_is_refused(image):
    network = undecided(small_cnn())
    with pytest.raises(DeployError, match="no form 'arrays'; there are auto, kernels, matrix"):
        build_ee.to_ee(network, image, form="arrays")
    simple = build_ee.prepared(network)
    with pytest.raises(DeployError, match="no form 'assets' without a table"):
        build_ee.network_image(simple, image, form="assets")
    found = build_ee.network_image(simple, image, form="matrix")
    assert '"Image.matrixMultiply"' in json.dumps(on_the_wire(found))


def test_a_network_too_large_for_a_form_gets_the_next_or_is_refused(image, monkeypatch):
    """As if the service took less: the small network in 13 kB, then in 7, then not at all."""
    network = undecided(small_cnn())
    monkeypatch.setattr(build_ee, "RESERVE_BYTES", 0)
    monkeypatch.setattr(build_ee, "_SMALL", 0)
    sizes = {
        form: measure(on_the_wire(build_ee.to_ee(network, image, form=form))).bytes
        for form in ("kernels", "matrix")
    }
    assert sizes["matrix"] < sizes["kernels"]
    monkeypatch.setattr(build_ee, "MAX_REQUEST_BYTES", sizes["kernels"] - 1)
    chosen = json.dumps(on_the_wire(build_ee.to_ee(network, image)))
    assert '"Image.matrixMultiply"' in chosen
    with pytest.raises(DeployError, match="in the form 'kernels' the network takes more than"):
        build_ee.to_ee(network, image, form="kernels")
    monkeypatch.setattr(build_ee, "MAX_REQUEST_BYTES", sizes["matrix"] - 1)
    with pytest.raises(DeployError, match="weights_asset=ASSET_ID"):
        build_ee.to_ee(network, image)


def test_rounded_weights_are_shorter_text(image):
    network = undecided(small_cnn())
    exact, short = (
        measure(on_the_wire(build_ee.to_ee(network, image, form="matrix", digits=digits))).bytes
        for digits in (None, 3)
    )
    assert short < exact
