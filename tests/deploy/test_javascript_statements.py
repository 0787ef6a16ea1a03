"""Expressions as JavaScript: run under Node, the statements make the same expression again."""

from __future__ import annotations

import json

import code_editor
import pytest

from water_gee.deploy.javascript_calls import Client
from water_gee.deploy.javascript_statements import script
from water_gee.errors import DeployError


@pytest.fixture(scope="module")
def client(ee):
    return Client(ee.ApiFunction.allSignatures())


@pytest.fixture(scope="module", params=["stand-in", "Google's client"])
def editor(request):
    """Runs scripts; Google's own client only where `WATER_GEE_EARTHENGINE_JS` names its folder."""
    google = request.param != "stand-in"
    if google and not code_editor.GOOGLES:
        pytest.skip("WATER_GEE_EARTHENGINE_JS names no folder of Google's JavaScript client")

    def run(*scripts):
        client = code_editor.GOOGLES if google else None
        return code_editor.run(*scripts, names=["result"], client=client)

    return run


def text_of(written):
    return "\n".join([*written.helpers, *written.weights, *written.statements])


def call(function, /, **arguments):
    return {"functionInvocationValue": {"functionName": function, "arguments": arguments}}


def constant(value):
    return {"constantValue": value}


def table(root, **values):
    return {"result": "root", "values": {"root": root, **values}}


@pytest.fixture
def agrees(ee, client, editor):
    """Asserts that objects, or expressions, come back as they were; returns their scripts."""

    def agrees(*objects):
        plain = [
            each if isinstance(each, dict) else json.loads(json.dumps(ee.serializer.encode(each)))
            for each in objects
        ]
        texts = [text_of(script(each, client, "result")) for each in plain]
        for given, text, back in zip(plain, texts, editor(*texts), strict=True):
            assert "error" not in back, (back, text)
            assert code_editor.meaning(back["values"]["result"]) == code_editor.meaning(given), text
        return texts[0] if len(texts) == 1 else texts

    return agrees


def test_calls_become_methods_of_the_public_client(ee, agrees):
    image = ee.Image("a/b").select(["x", "y"]).add(1.5).convolve(ee.Kernel.square(2, "pixels"))
    text = agrees(image.reduce(ee.Reducer.max()))
    assert text == (
        "var image1 = ee.Image('a/b').select(['x', 'y']).add(1.5)"
        ".convolve(ee.Kernel.square(2, 'pixels'));\n"
        "var result = image1.reduce(ee.Reducer.max());"
    )


def test_a_mapped_function_keeps_its_variables_inside(ee, agrees):
    def double(image):
        clear = image.select("qa").eq(0)
        return image.updateMask(clear).addBands(clear.rename("clear"))

    text = agrees(ee.ImageCollection("c").filterDate("2020-01-01", "2021-01-01").map(double))
    assert "ee.Filter.date('2020-01-01', '2021-01-01')" in text
    assert ".map(function (" in text
    assert text.index("function (") < text.index("var clear = ") < text.index("return")


def test_functions_that_share_what_is_inside_them(ee, agrees):
    """The wire has one value for both bodies; each function needs its own variable for it."""

    def masked(image):
        valid = image.select(0).gt(0)
        return image.updateMask(valid).multiply(valid)

    both = ee.ImageCollection("a").map(masked).merge(ee.ImageCollection("b").map(masked))
    agrees(both.median())


def test_functions_inside_functions_see_the_outer_arguments(ee, agrees):
    def outer(first):
        first = ee.Number(first)
        shared = first.multiply(10)
        inner = ee.List([1, 2]).map(lambda second: shared.add(ee.Number(second)).add(shared))
        return ee.List(inner).add(shared)

    agrees(ee.List.sequence(0, 3).map(outer))


def test_a_value_outside_is_made_once_outside(ee, agrees):
    constant = ee.Image("big").reduce(ee.Reducer.sum())
    text = agrees(ee.ImageCollection("c").map(lambda image: image.add(constant).divide(constant)))
    assert text.count("ee.Image('big')") == 1
    assert text.index("ee.Image('big')") < text.index("function")


def test_iterating_aggregating_and_text_expressions(ee, agrees):
    images = ee.ImageCollection("c")
    agrees(
        images.iterate(lambda image, total: ee.Image(total).add(image), ee.Image(0)),
        ee.FeatureCollection("t").filter(ee.Filter.eq("a", 1)).aggregate_array("b"),
        ee.Image("i").expression("b(0) * x + exp(y)", {"x": ee.Image("j"), "y": 2}),
        ee.Image("i").set("count", images.size()).set({"a": [1, "b"], "c": {"d": None or 0}}),
        images.filter(ee.Filter.Or(ee.Filter.lt("p", 3), ee.Filter.eq("q", "x").Not())).mosaic(),
        ee.Image([1, 2, 3]).clip(ee.Geometry.Rectangle([0, 1, 2, 3], None, False)),
        ee.Image(ee.Array([[1, 2.5], [3, -4]])).matrixMultiply(ee.Image("i").toArray()),
        ee.Dictionary({"when": ee.Date("2020-01-01").advance(1, "month"), "x": 1}),
        ee.Image("i").neighborhoodToArray(ee.Kernel.fixed(3, 3, [[1, 1, 1]] * 3)),
        ee.FeatureCollection([ee.Feature(ee.Geometry.Point(1, 2), {"name": "é 'quoted' \u2028"})]),
    )


def test_numbers_and_texts_come_through_exactly(agrees):
    numbers = [0, -0.0, 1, -1, 0.1, 1e-05, 1.7976931348623157e308, 5e-324, 2**53, 1 / 3, 123456.75,
               1e22, -2.5e-10]  # fmt: skip
    texts = [
        "",
        "'",
        '"',
        "\\",
        "\n",
        "\u2028",
        "é",
        "日本",
        "\U0001f30a",
        "</script>",
        "*/",
        "\x7f",
    ]
    words = {"a b": 1, "default": 2, "1": 3, "é": 4, "class": [None, True, False]}
    agrees(table(call("List.cat", list=constant(numbers), other=constant([texts, words]))))


def test_every_function_of_the_service_can_be_called(client, agrees):
    """With all its arguments; most by a method, the others by `ee.apply`."""
    expressions = []
    for signature in client.signatures.values():
        arguments = {
            name: _sample(kind)
            for name, kind in zip(signature.parameters, signature.types, strict=True)
        }
        body = call("Image.add", image1={"argumentReference": "x"}, image2=_sample("Image"))
        expressions.append(table(call(signature.name, **arguments), body=body))
    assert len(agrees(*expressions)) == len(client.signatures) > 900


_SAMPLES = {
    "Image": call("Image.load", id=constant("image")),
    "ImageCollection": call("ImageCollection.load", id=constant("images")),
    "FeatureCollection": call("Collection.loadTable", tableId=constant("table")),
    "Element": call("Image.load", id=constant("element")),
    "Geometry": call("GeometryConstructors.Point", coordinates=constant([1, 2])),
    "Kernel": call("Kernel.square", radius=constant(2)),
    "Reducer": call("Reducer.mean"),
    "Filter": call("Filter.equals", leftField=constant("a"), rightValue=constant(1)),
    "Projection": call("Projection", crs=constant("EPSG:4326")),
    "Array": call("Array", values=constant([[1, 2], [3, 4]])),
    "Date": call("Date", value=constant(123)),
    "DateRange": call("DateRange", start=constant(1), end=constant(2)),
    "ErrorMargin": call("ErrorMargin", value=constant(1)),
    "Classifier": call("Classifier.smileCart"),
    "Clusterer": call("Clusterer.wekaKMeans", nClusters=constant(3)),
    "PixelType": call("PixelType", precision=constant("int")),
    "Join": call("Join.inner", primaryKey=constant("p")),
    "Model": call("Model.fromVertexAi", endpoint=constant("e")),
    "Blob": call("Blob", url=constant("u")),
    "String": constant("text"),
    "Dictionary": constant({"key": 1, "other": [1, 2]}),
    "List": constant([1, 2]),
    "Boolean": constant(True),
    "Algorithm": {"functionDefinitionValue": {"argumentNames": ["x"], "body": "body"}},
    **{kind: constant(3) for kind in ("Number", "Float", "Long", "Integer", "Short", "Byte")},
}
_SAMPLES["Feature"] = call("Feature", geometry=_SAMPLES["Geometry"])
_SAMPLES["Collection"] = _SAMPLES["FeatureCollection"]
_SAMPLES["ConfusionMatrix"] = call("ConfusionMatrix", array=_SAMPLES["Array"])


def _sample(kind):
    return _SAMPLES.get(kind, constant(7))


def test_long_chains_do_not_overrun_the_stack(ee, client, editor):
    image = ee.Image("i")
    for index in range(150):
        image = image.add(index)
    expression = json.loads(json.dumps(ee.serializer.encode(image)))
    values = {}
    for index in range(1_500):  # longer than Python's client can write
        before = {"valueReference": str(index - 1)} if index else _sample("Image")
        values[str(index)] = call(
            "Image.add", image1=before, image2=call("Image.constant", value=constant(index))
        )
    long = {"result": "1499", "values": values}
    for each in (expression, long):
        text = text_of(script(each, client, "result"))
        (back,) = editor(text)
        assert code_editor.meaning(back["values"]["result"]) == code_editor.meaning(each)
        assert text == text_of(script(each, client, "result"))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (constant(float("nan")), "holds the number nan"),
        (constant([1.0, float("-inf")]), "holds the number -inf"),
        ({"integerValue": str(2**60 + 1)}, "no more than 53 bits"),
        (constant(10**400), "a number of 1329 bits"),
        ({"bytesValue": "AAAA"}, "a bytesValue, which JavaScript's client cannot send"),
        (constant({"__proto__": 1}), "the key '__proto__'"),
        (constant({"constructor": 1}), "the key 'constructor'"),
        ({"argumentReference": "x"}, "an argument of a function outside of it"),
        (call("Image.add", image1=_sample("Image"), image2=constant("text")), "into an ee.Image"),
        (call("Image.add", image1=_sample("Image"), image2={"valueReference": "list"}), "ee.Image"),
        (
            {"functionInvocationValue": {"functionReference": "made", "arguments": {}}},
            "calls a function that it computes",
        ),
    ],
)  # fmt: skip
def test_what_javascript_cannot_say_is_refused_in_a_line(client, node, message):
    made = call("List.get", list=constant([1]), index=constant(0))
    with pytest.raises(DeployError, match=message) as refused:
        script(table(node, made=made, list=constant([1, 2])), client, "result")
    assert "\n" not in str(refused.value)


def test_whole_numbers_that_a_double_holds_are_not_refused(agrees):
    agrees(table(call("Number.add", left={"integerValue": str(2**60)}, right=constant(1))))


def test_names_are_no_words_of_the_language_and_never_taken(ee, client, agrees):
    image = ee.Image("i")
    bands = [
        image.select([i], [name]).add(i) for i, name in enumerate(("var", "Map", "result", "ok"))
    ]
    text = agrees(image.addBands(bands))
    assert "var ok = " in text
    for word in ("var", "Map", "result"):
        assert f"var {word} = ee" not in text
    written = script(json.loads(json.dumps(ee.serializer.encode(image))), client, "result")
    assert written.statements == ("var result = ee.Image('i');",)
