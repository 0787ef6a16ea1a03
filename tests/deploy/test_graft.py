"""A network encoded once, under many images."""

from __future__ import annotations

import json

import pytest

from water_gee.deploy import graft
from water_gee.errors import DeployError


def references(value):
    """Every `valueReference` below a value, constants left out."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key in ("valueReference", "functionReference") and isinstance(one, str):
                yield one
            elif key != "constantValue":
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def unfolded(expression, node=None):
    """An expression as one tree, whatever its keys."""
    if node is None:
        return unfolded(expression, expression["values"][expression["result"]])
    if isinstance(node, list):
        return [unfolded(expression, one) for one in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"valueReference"}:
        return unfolded(expression, expression["values"][node["valueReference"]])
    return {
        key: value if key == "constantValue" else unfolded(expression, value)
        for key, value in node.items()
    }


def below(ee):
    image = ee.Image("a").add(ee.Image("b")).multiply(ee.Image("a"))
    return image.addBands(image.sqrt())


def above(ee, image):
    region = ee.Geometry.Rectangle([0, 0, 1, 1], None, False)
    both = image.clip(region).set({"year": 2020, "valueReference": "0"})
    return ee.Image(both.addBands(image.select([0]))).reproject("EPSG:4326", [1, 0, 0, 0, -1, 0])


def test_a_graft_is_what_the_client_would_have_encoded(ee):
    whole = ee.serializer.encode(above(ee, below(ee)))
    grafted = graft.graft(graft.stock(below(ee)), above(ee, graft.placeholder()))
    assert unfolded(grafted) == unfolded(whole)
    assert "placeholder" not in json.dumps(grafted)


def test_every_reference_leads_somewhere_and_the_stock_is_not_changed(ee):
    stock = graft.stock(below(ee))
    before = json.dumps(stock)
    grafted = graft.graft(stock, above(ee, graft.placeholder()))
    assert set(references(grafted)) <= set(grafted["values"])
    assert set(stock["values"]) < set(grafted["values"])
    assert json.dumps(stock) == before


def test_the_stock_itself_can_be_what_is_asked_for(ee):
    stock = graft.stock(below(ee))
    assert unfolded(graft.graft(stock, graft.placeholder())) == unfolded(stock)


def test_what_does_not_stand_on_the_placeholder_is_refused(ee):
    with pytest.raises(DeployError, match="does not stand on the placeholder"):
        graft.graft(graft.stock(below(ee)), ee.Image("c"))
