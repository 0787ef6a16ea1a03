"""Weights in a table: stored whole, read exactly, refused when they are another network's."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from emulated import ASSET, Emulated, on_the_wire
from networks import conv, graph, small_cnn, undecided

from water_gee.deploy import build_ee, matrix, weights
from water_gee.deploy.limits import measure
from water_gee.errors import AssetIdError, DeployError
from water_gee.training.network import pixel_cnn

TABLE = "projects/local/assets/weights"


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    values = np.random.default_rng(7).normal(0.2, 0.6, (8, 20, 22)).astype(np.float32)
    values[3, 9, 11] = np.nan
    with Emulated(tmp_path_factory.mktemp("weights"), values) as service:
        yield service


@pytest.fixture(scope="module")
def image(emulated):
    import ee

    return ee.Image(ASSET)


@pytest.fixture(scope="module")
def network():
    return undecided(pixel_cnn(8))


def store(model, asset_id=TABLE, **options):
    """Store weights and wait for them."""
    task = weights.store_weights(model, asset_id, overwrite=True, **options)
    while task.active():
        time.sleep(0.05)
    assert task.status()["state"] == "COMPLETED"
    return asset_id


@pytest.fixture
def table(emulated, network):
    return store(network)


def test_the_map_is_keras_with_the_weights_elsewhere(emulated, image, network, table):
    made = build_ee.to_ee(network, image, form="assets", weights_asset=table)
    found = emulated.fetch(made)[3:-3, 3:-3]
    expected = np.asarray(network(emulated.array(8)[None]))[0, :, :, 0]
    seen = np.isfinite(found[..., 1])
    assert 0 < (~seen).sum() < seen.size
    np.testing.assert_allclose(found[seen][:, 1], expected[seen], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[seen][:, 0], expected[seen] >= 0.5)


def test_the_request_is_small_and_calls_what_is_listed(image, network, table):
    expression = on_the_wire(build_ee.to_ee(network, image, form="assets", weights_asset=table))
    size = measure(expression)
    assert size.bytes <= 20_000
    assert size.nesting <= 70
    known = build_ee.EE_FUNCTIONS | matrix.FUNCTIONS | weights.FUNCTIONS | {"Image.load"}
    assert functions(expression) <= known


def functions(value):
    if isinstance(value, dict):
        own = {value["functionName"]} if "functionName" in value else set()
        return own.union(*(functions(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(functions(part) for part in value))
    return set()


def test_a_table_holds_every_weight_as_the_float32_it_is(emulated, network, table):
    """Read back as the service has it, the parts of a layer joined in their order."""
    import ee

    simple = build_ee.prepared(network)
    rows = ee.FeatureCollection(table).getInfo()["features"]
    found = [row["properties"] for row in rows]
    assert {row["digest"] for row in found} == {simple.digest()}
    assert max(len(row["text"]) for row in found) <= weights.MAX_TEXT == 100_000
    assert max(row["part"] for row in found) > 0
    for node in simple:
        if node.kind != "conv":
            continue
        parts = sorted((row["part"], row["text"]) for row in found if row["layer"] == node.name)
        whole = np.array(json.loads("".join(text for _, text in parts)), np.float32)
        kernel = node.weights["kernel"]
        np.testing.assert_array_equal(
            whole[:, :-1], kernel.transpose(3, 2, 0, 1).reshape(kernel.shape[3], -1)
        )
        np.testing.assert_array_equal(whole[:, -1], node.weights["bias"])


def test_groups_have_rows_of_their_own(emulated):
    del emulated
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)
    node = conv("mix", "x", kernel)
    node = type(node)("mix", "conv", ("x",), {"groups": 2}, node.weights)
    assert [row.layer for row in weights.rows_of(graph(8, node))] == ["mix/0", "mix/1"]


def test_a_table_of_another_network_is_refused(emulated, image, network):
    small = undecided(small_cnn())
    other = store(small, f"{TABLE}_other")
    with pytest.raises(DeployError, match=r"of another network; store them with .*store_weights"):
        build_ee.to_ee(network, image, form="assets", weights_asset=other)
    build_ee.to_ee(small, image, form="assets", weights_asset=other)


def test_a_table_rounded_otherwise_is_refused(emulated, image):
    small = undecided(small_cnn())
    rounded = store(small, f"{TABLE}_rounded", digits=3)
    with pytest.raises(DeployError, match="with the same digits as the map"):
        build_ee.to_ee(small, image, form="assets", weights_asset=rounded)
    build_ee.to_ee(small, image, form="assets", weights_asset=rounded, digits=3)


def test_a_table_with_rows_missing_is_refused(emulated, image):
    import ee

    small = undecided(small_cnn())
    whole = store(small, f"{TABLE}_whole")
    task = ee.batch.Export.table.toAsset(
        ee.FeatureCollection(whole).limit(2), assetId=f"{TABLE}_part", overwrite=True
    )
    task.start()
    while task.active():
        time.sleep(0.05)
    with pytest.raises(DeployError, match=r"this network only in part \(2 rows\)"):
        build_ee.to_ee(small, image, form="assets", weights_asset=f"{TABLE}_part")


def test_a_replaced_table_gives_no_map_rather_than_a_wrong_one(emulated, image, network):
    """The expression asks for rows of its own digest; another network's are not taken."""
    small = undecided(small_cnn())
    place = store(small, f"{TABLE}_replaced")
    made = build_ee.to_ee(small, image, form="assets", weights_asset=place)
    emulated.fetch(made)
    store(network, place)
    with pytest.raises(DeployError, match="the service could not compute"):
        emulated.fetch(made)


def test_what_is_no_table_is_refused_in_a_line(emulated, image):
    small = undecided(small_cnn())
    with pytest.raises(DeployError, match=r"store it with .*store_weights\(model, ASSET_ID\)"):
        build_ee.to_ee(small, image, form="assets")
    for asset, words in (
        ("projects/local/assets/nothing", r"no weights in .*nothing \(store them with"),
        (ASSET, "is no table but IMAGE"),
    ):
        with pytest.raises(DeployError, match=words) as caught:
            build_ee.to_ee(small, image, form="assets", weights_asset=asset)
        assert "\n" not in str(caught.value)
    with pytest.raises(AssetIdError):
        build_ee.to_ee(small, image, form="assets", weights_asset="no id")
    with pytest.raises(AssetIdError):
        weights.store_weights(small, "no id")


def test_more_weights_than_a_request_takes_are_refused(emulated, monkeypatch):
    monkeypatch.setattr(weights, "MAX_REQUEST_BYTES", 1_000)
    with pytest.raises(DeployError, match=r"in one request; round them \(digits=4\)"):
        weights.store_weights(undecided(small_cnn()), f"{TABLE}_large")


def test_auto_falls_back_on_the_table(emulated, image, monkeypatch):
    small = undecided(small_cnn())
    place = store(small, f"{TABLE}_auto")
    monkeypatch.setattr(build_ee, "_SMALL", 0)
    monkeypatch.setattr(build_ee, "RESERVE_BYTES", build_ee.MAX_REQUEST_BYTES)
    made = build_ee.to_ee(small, image, weights_asset=place)
    assert '"Collection.loadTable"' in json.dumps(on_the_wire(made))
