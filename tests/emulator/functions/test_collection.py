"""Collection: what is kept, in which order, under which index."""

from __future__ import annotations

import statistics

import pytest


@pytest.fixture
def rows(client):
    """Return four features with numbers 3, 1, 2 and none."""
    numbers = [3, 1, 2, None]
    return client.FeatureCollection(
        [
            client.Feature(
                client.Geometry.Point([place, 0]), {} if number is None else {"n": number}
            )
            for place, number in enumerate(numbers)
        ]
    )


@pytest.fixture
def indices(info):
    """Return a function that gives the indices of a collection's elements."""
    return lambda collection: info(collection.aggregate_array("system:index"))


def test_elements_are_numbered(client, rows, indices, info):
    assert indices(rows) == ["0", "1", "2", "3"]
    assert info(rows.size()) == 4


def test_a_given_index_stays(client, indices):
    feature = {"type": "Feature", "id": "x", "properties": {}, "geometry": None}
    named = client.FeatureCollection(
        [
            client.Feature(client.Geometry.Point([0, 0]), {"system:index": "x"}),
            client.Feature(client.Geometry.Point([0, 0])),
        ]
    )
    assert feature["id"] == "x"
    assert indices(named) == ["x", "1"]


def test_sort_and_limit(rows, indices):
    assert indices(rows.sort("n")) == ["1", "2", "0", "3"]
    assert indices(rows.sort("n", False)) == ["0", "2", "1", "3"]
    assert indices(rows.limit(2)) == ["0", "1"]
    assert indices(rows.limit(2, "n")) == ["1", "2"]
    assert indices(rows.limit(99)) == ["0", "1", "2", "3"]


def test_first_of_none_is_null(client, info, rows):
    assert info(rows.first())["id"] == "0"
    assert info(client.FeatureCollection([]).first()) is None


def test_map_keeps_indices(client, rows, indices):
    bare = rows.map(lambda feature: client.Feature(None, {"m": 1}))
    assert indices(bare) == ["0", "1", "2", "3"]


def test_map_names_the_element_that_fails(client, rows, refused):
    failing = rows.map(lambda f: f.set("x", client.List([1]).get(f.get("n"))))
    assert refused(failing) == (
        "Error in map(ID=0):\nList.get: List index must be between 0 and 0, or -1 and -1. Found 3."
    )


def test_map_must_return_an_element(client, rows, refused):
    assert refused(rows.map(lambda feature: client.Number(1), False)) == (
        "Collection.map: A mapped algorithm must return a Feature or Image."
    )


def test_map_drops_nulls_where_told(client, rows, indices):
    kept = rows.map(lambda f: client.Algorithms.If(f.propertyNames().contains("n"), f, None), True)
    assert indices(kept) == ["0", "1", "2"]


def test_nested_maps_see_both_elements(client, rows, info):
    near = rows.map(
        lambda one: one.set(
            "near",
            rows.map(lambda two: two.set("d", one.geometry().distance(two.geometry())))
            .filter(client.Filter.lt("d", 150_000))
            .size(),
        )
    )
    assert info(near.aggregate_array("near")) == [2, 3, 3, 2]


def test_iterate(client, rows, info):
    total = rows.filter(client.Filter.notNull(["n"])).iterate(
        lambda feature, state: client.Number(state).add(feature.getNumber("n")), 10
    )
    assert info(total) == 16


def test_to_list(rows, info, refused):
    assert [one["id"] for one in info(rows.toList(2, 1))] == ["1", "2"]
    assert len(info(rows.toList(99))) == 4
    assert refused(rows.toList(0)).startswith("Collection.toList: ")


def test_merge_prefixes_indices(client, rows, indices):
    other = client.FeatureCollection([client.Feature(None, {"n": 9})])
    assert indices(rows.limit(2).merge(other)) == ["1_0", "1_1", "2_0"]


def test_flatten(client, rows, indices, refused):
    nested = client.FeatureCollection([rows.limit(2), rows.limit(1)])
    assert indices(nested.flatten()) == ["0_0", "0_1", "1_0"]
    assert refused(rows.flatten()).startswith("Collection.flatten: ")


def test_distinct(client, indices):
    repeated = client.FeatureCollection(
        [client.Feature(None, {"a": a, "b": b}) for a, b in [(1, 1), (1, 2), (1.0, 1), (2, 1)]]
    )
    assert indices(repeated.distinct("a")) == ["0", "3"]
    assert indices(repeated.distinct(["a", "b"])) == ["0", "1", "3"]


def test_remap_drops_what_it_does_not_know(rows, info, refused):
    assert info(rows.remap([3, 2], [30, 20], "n").aggregate_array("n")) == [30, 20]
    assert refused(rows.remap([3], [1, 2], "n")).startswith("Collection.remap: ")


def test_geometry_bounds_and_union(client, rows, info):
    assert info(rows.geometry())["coordinates"] == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert info(rows.geometry().bounds())["coordinates"][0][0] == [0, 0]
    assert info(rows.bounds().coordinates().get(0)) == [[0, 0], [3, 0], [3, 0], [0, 0], [0, 0]]
    merged = info(rows.union())
    assert [feature["id"] for feature in merged["features"]] == ["union_result"]


def test_bounds_in_a_projection(client, info):
    point = client.FeatureCollection([client.Geometry.Point([105, 10])])
    box = info(point.bounds(proj=client.Projection("EPSG:32648")))
    # On the zone's central meridian: 0.9996 of the meridian arc of 10 degrees, 1,105,854.833 m.
    assert box["coordinates"][0][0] == pytest.approx([500_000, 1_105_412.491], abs=0.01)


def test_reduce_columns(client, rows, info, refused):
    assert info(rows.reduceColumns(client.Reducer.mean(), ["n"])) == {"mean": 2}
    with_weights = client.FeatureCollection(
        [client.Feature(None, {"n": n, "w": w}) for n, w in [(1, 3), (5, 1)]]
    )
    weighted = with_weights.reduceColumns(client.Reducer.mean(), ["n"], ["w"])
    assert info(weighted) == {"mean": 2}
    assert "needs 1 selector(s)" in refused(rows.reduceColumns(client.Reducer.mean(), ["a", "b"]))


def test_random_column_depends_on_seed_and_keys_alone(client, rows, info):
    many = client.FeatureCollection(
        client.List.sequence(1, 500).map(lambda n: client.Feature(None, {"n": n}))
    )
    numbers = info(many.randomColumn(seed=1).aggregate_array("random"))
    assert numbers == info(many.randomColumn(seed=1).aggregate_array("random"))
    assert numbers != info(many.randomColumn(seed=2).aggregate_array("random"))
    assert all(0 <= number < 1 for number in numbers)
    assert statistics.mean(numbers) == pytest.approx(0.5, abs=0.05)
    normal = info(many.randomColumn("z", 1, "normal").aggregate_array("z"))
    assert statistics.stdev(normal) == pytest.approx(1, abs=0.15)


def test_tables_are_refused_by_name(client, refused):
    assert refused(client.FeatureCollection("USDOS/LSIB_SIMPLE/2017")).startswith(
        "Collection.loadTable: Collection asset 'USDOS/LSIB_SIMPLE/2017' not found"
    )


def test_filters_may_be_text(rows, indices, refused):
    assert indices(rows.filter("n > 1")) == ["0", "2"]
    assert refused(rows.filter("n >")).startswith("Filter.expression: ")
