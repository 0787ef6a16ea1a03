"""List: expected answers are the reference's examples or worked by hand."""

from __future__ import annotations

import pytest

SEQUENCES = [
    ({"start": 0, "end": 5}, [0, 1, 2, 3, 4, 5]),
    ({"start": 0, "end": 10, "step": 2}, [0, 2, 4, 6, 8, 10]),
    ({"start": 0, "step": 2, "count": 6}, [0, 2, 4, 6, 8, 10]),
    ({"start": 0, "step": -2, "count": 6}, [0, -2, -4, -6, -8, -10]),
    ({"start": 0, "end": 10, "step": 2, "count": 3}, [0, 5, 10]),
    ({"start": 10, "count": 3}, [10, 11, 12]),
    ({"start": 3, "step": 2, "end": 6}, [3, 5]),
    ({"start": -1e9, "end": 1e9, "count": 3}, [-1000000000, 0, 1000000000]),
    ({"start": 0, "end": 0.3, "step": 0.1}, [0, 0.1, 0.2, pytest.approx(0.3)]),
]


@pytest.mark.parametrize(("arguments", "expected"), SEQUENCES)
def test_sequence(client, info, arguments, expected):
    assert info(client.List.sequence(**arguments)) == expected


def test_sequence_needs_an_end_and_a_step(client, refused):
    assert refused(client.List.sequence(1)).startswith("List.sequence: At least one of")
    assert refused(client.List.sequence(1, 2, 0)).startswith("List.sequence: step")
    assert refused(client.List.sequence(0, 1e12)).startswith("List.sequence: more than")


def test_get_counts_from_either_end(client, info, refused):
    letters = client.List(["a", "b", "c"])
    assert info(letters.get(0)) == "a"
    assert info(letters.get(-1)) == "c"
    assert refused(letters.get(3)) == (
        "List.get: List index must be between 0 and 2, or -3 and -1. Found 3."
    )
    assert refused(client.List([]).get(0)).startswith("List.get: List index is out of bounds")


def test_typed_getters(client, info, refused):
    mixed = client.List([1.5, "a", [[1, 2]], client.Geometry.Point([1, 2])])
    assert info(mixed.getNumber(0)) == 1.5
    assert info(mixed.getString(1)) == "a"
    assert info(mixed.getArray(2)) == [[1, 2]]
    assert info(mixed.getGeometry(3)) == {"type": "Point", "coordinates": [1, 2]}
    assert "Expected type: Number" in refused(mixed.getNumber(1))


def test_slice(client, info):
    five = client.List([0, 1, 2, 3, 4])
    assert info(five.slice(1)) == [1, 2, 3, 4]
    assert info(five.slice(1, 3)) == [1, 2]
    assert info(five.slice(-2)) == [3, 4]
    assert info(five.slice(0, 5, 2)) == [0, 2, 4]
    assert info(five.slice(0, 99)) == [0, 1, 2, 3, 4]


def test_splice(client, info):
    five = client.List([0, 1, 2, 3, 4])
    assert info(five.splice(2, 1)) == [0, 1, 3, 4]
    assert info(five.splice(-2, 1)) == [0, 1, 2, 4]
    assert info(five.splice(1, 3)) == [0, 4]
    assert info(five.splice(2, 0, ["X", "Y", "Z"])) == [0, 1, "X", "Y", "Z", 2, 3, 4]


def test_ends_and_order(client, info):
    three = client.List([3, 1, 2])
    assert info(three.add(4)) == [3, 1, 2, 4]
    assert info(three.cat([4, 5])) == [3, 1, 2, 4, 5]
    assert info(three.reverse()) == [2, 1, 3]
    assert info(three.sort()) == [1, 2, 3]
    assert info(three.sort([1, 3, 2])) == [3, 2, 1]
    assert info(three.rotate(1)) == [2, 3, 1]
    assert info(three.rotate(-1)) == [1, 2, 3]
    assert info(three.swap(0, -1)) == [2, 1, 3]
    assert info(three.size()) == info(three.length()) == 3


def test_sort_puts_numbers_before_strings(client, info):
    assert info(client.List(["b", 2, "a", 1.5]).sort()) == [1.5, 2, "a", "b"]


def test_changes_of_single_elements(client, info, refused):
    letters = client.List(["a", "b", "a"])
    assert info(letters.insert(1, "x")) == ["a", "x", "b", "a"]
    assert info(letters.insert(-1, "x")) == ["a", "b", "x", "a"]
    assert info(letters.set(-1, "c")) == ["a", "b", "c"]
    assert info(letters.remove("a")) == ["b", "a"]
    assert info(letters.removeAll(["a"])) == ["b"]
    assert info(letters.replace("a", "z")) == ["z", "b", "a"]
    assert info(letters.replaceAll("a", "z")) == ["z", "b", "z"]
    assert refused(letters.insert(9, "x")).startswith("List.insert: index 9")


def test_what_is_in_a_list(client, info):
    numbers = client.List([1, 2, 2, 3, [1, 2]])
    assert info(numbers.contains(2.0)) is True
    assert info(numbers.contains([1, 2])) is True
    assert info(numbers.contains("2")) is False
    assert info(numbers.containsAll([1, 3])) is True
    assert info(numbers.containsAll([1, 4])) is False
    assert info(numbers.indexOf(2)) == 1
    assert info(numbers.indexOf(9)) == -1
    assert info(numbers.frequency(2)) == 2
    assert info(numbers.distinct()) == [1, 2, 3, [1, 2]]
    assert info(numbers.equals([1, 2, 2, 3, [1, 2]])) is True
    assert info(numbers.equals([1, 2])) is False
    assert info(client.List([1, 2, 1, 2]).indexOfSublist([1, 2])) == 0
    assert info(client.List([1, 2, 1, 2]).lastIndexOfSubList([1, 2])) == 2
    assert info(client.List([1]).indexOfSublist([1, 2])) == -1


def test_lists_of_lists(client, info):
    assert info(client.List([1, [2, [3, [4]]], []]).flatten()) == [1, 2, 3, 4]
    assert info(client.List([1, 2, 3]).zip(["a", "b"])) == [[1, "a"], [2, "b"]]
    assert info(client.List([[1, "a"], [2, "b"]]).unzip()) == [[1, 2], ["a", "b"]]


def test_deep_lists_need_no_deep_stack(client, value):
    nested: list = [1]
    for _ in range(5000):
        nested = [nested]
    from water_gee.emulator.functions.list_ import flatten

    assert flatten(nested) == [1]


def test_map_iterate_and_filter(client, info):
    numbers = client.List([1, 2, 3, 4])
    assert info(numbers.map(lambda n: client.Number(n).multiply(10))) == [10, 20, 30, 40]
    assert info(numbers.iterate(lambda n, total: client.Number(n).add(total), 100)) == 110
    assert info(numbers.filter(client.Filter.gt("item", 2))) == [3, 4]


def test_map_drops_nulls_where_told(client, info):
    flags = client.List([1, 0, 2])
    kept = flags.map(lambda n: client.Algorithms.If(n, n, None), True)
    assert info(kept) == [1, 2]


def test_repeat_join_and_shuffle(client, info, refused):
    assert info(client.List.repeat("x", 3)) == ["x", "x", "x"]
    assert refused(client.List.repeat(1, -1)).startswith("List.repeat: count")
    assert info(client.List([1, "a", 2.5]).join(", ")) == "1, a, 2.5"
    shuffled = info(client.List.sequence(0, 99).shuffle(7))
    assert sorted(shuffled) == list(range(100))
    assert shuffled != list(range(100))
    assert info(client.List.sequence(0, 99).shuffle(7)) == shuffled


def test_reduce(client, info):
    numbers = client.List([4, 1, 3, 2])
    assert info(numbers.reduce(client.Reducer.sum())) == 10
    assert info(numbers.reduce(client.Reducer.mean())) == 2.5
    assert info(numbers.reduce(client.Reducer.median())) == 2.5
    assert info(numbers.reduce(client.Reducer.minMax())) == {"min": 1, "max": 4}
    assert info(client.List([1, None, 3]).reduce(client.Reducer.count())) == 2


def test_reduce_of_pairs_feeds_reducers_of_several_inputs(client, info):
    line = client.List([[0, 1], [1, 3], [2, 5]])
    fit = info(line.reduce(client.Reducer.linearFit()))
    assert fit == {"scale": pytest.approx(2), "offset": pytest.approx(1)}
