"""`Collection`: elements in order, images and features alike."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from water_gee.emulator import geodesy, reducing
from water_gee.emulator import properties as props
from water_gee.emulator.coerce import coerce
from water_gee.emulator.compare import equal, hashable, sort_key
from water_gee.emulator.functions.filter_expression import expression
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.services import Services
from water_gee.emulator.values import (
    Collection,
    Element,
    ErrorMargin,
    Feature,
    Filter,
    Function,
    Geometry,
    Image,
    Projection,
    Reducer,
)
from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable


def kind_of(items: Iterable[Any], otherwise: str = "FeatureCollection") -> str:
    """Return what a collection of these elements is: of images where all are images."""
    kinds = {isinstance(item, Image) for item in items}
    if not kinds:
        return otherwise
    return "ImageCollection" if kinds == {True} else "FeatureCollection"


def of_elements(items: Iterable[Any]) -> Collection:
    """Return a collection of elements; those without an index are numbered `0`, `1`, ..."""
    numbered = tuple(
        item
        if isinstance(item, Collection) or props.index_of(item) is not None
        else props.indexed(item, str(place))
        for place, item in enumerate(items)
    )
    return Collection(numbered, kind_of(numbered))


@REGISTRY.function("Collection")
def collection(features: list[Any]) -> Collection:
    """Make a collection of a list of features, geometries or images; collections may be members."""
    members = [
        one
        if isinstance(one, (Image, Collection))
        else coerce(one, Feature, "Collection, argument 'features'")
        for one in features
    ]
    return of_elements(members)


@REGISTRY.function("Collection.loadTable")
def load_table(
    services: Services, tableId: str, geometryColumn: str | None = None, version: int = -1
) -> Collection:
    """Return the features of a table asset."""
    if version != -1:
        raise bad_request(
            "Collection.loadTable: Asset versions are not implemented by this emulator."
        )
    return services.assets.load_table(tableId)


@REGISTRY.function("Collection.filter")
def filter_(collection: Collection, filter: Any) -> Collection:
    """Keep the elements that pass a filter, or a filter written as text."""
    test = expression(filter) if isinstance(filter, str) else filter
    chosen: Filter = coerce(test, Filter, "Collection.filter, argument 'filter'")
    return collection.with_items(item for item in collection if chosen.test(item))


@REGISTRY.function("Collection.size")
def size(collection: Collection) -> int:
    """Count the elements."""
    return len(collection)


@REGISTRY.function("Collection.first")
def first(collection: Collection) -> Element | None:
    """Return the first element, null where there is none."""
    return next(iter(collection), None)


@REGISTRY.function("Collection.limit")
def limit(
    collection: Collection,
    limit: int | None = None,
    key: str | None = None,
    ascending: bool = True,
) -> Collection:
    """Sort by a property, where one is named, and keep the first elements.

    Elements without the property come last, in either direction.
    """
    items = list(collection)
    if key is not None:
        there = [item for item in items if props.get(item, key) is not None]
        rest = [item for item in items if props.get(item, key) is None]
        there.sort(key=lambda item: sort_key(props.get(item, key)), reverse=not ascending)
        items = there + rest
    if limit is not None:
        if limit < 0:
            raise bad_request("Collection.limit: Limit must not be negative.")
        items = items[:limit]
    return collection.with_items(items)


@REGISTRY.function("Collection.map")
def map_(collection: Collection, baseAlgorithm: Function, dropNulls: bool = False) -> Collection:
    """Call a function on each element; results keep their element's index."""
    results: list[Any] = []
    for place, item in enumerate(collection):
        index = props.index_of(item) if not isinstance(item, Collection) else None
        label = str(place) if index is None else index
        result = call_on(baseAlgorithm, label, item)
        if result is None and dropNulls:
            continue
        if isinstance(result, Geometry):
            result = Feature(result)
        if not isinstance(result, (Image, Feature, Collection)):
            raise bad_request("Collection.map: A mapped algorithm must return a Feature or Image.")
        results.append(props.indexed(result, label))
    otherwise = collection.kind
    return Collection(tuple(results), kind_of(results, otherwise), collection.properties)


def call_on(function: Function, label: str, *values: Any) -> Any:
    """Call a mapped function; its errors name the element.

    Raises:
        ServiceError: 400: as the function's, with «Error in map(ID=...)» before it.
    """
    try:
        return function.call(*values)
    except ServiceError as error:
        message = f"Error in map(ID={label}):\n{error.message}"
        raise ServiceError(error.code, error.status, message) from error


@REGISTRY.function("Collection.iterate")
def iterate(collection: Collection, function: Function, first: Any = None) -> Any:
    """Call a function on each element and the last result; return the last."""
    state = first
    for item in collection:
        state = function.call(item, state)
    return state


@REGISTRY.function("Collection.toList")
def to_list(collection: Collection, count: int, offset: int = 0) -> list[Any]:
    """Return up to `count` elements after the first `offset`."""
    if count < 1 or offset < 0:
        raise bad_request("Collection.toList: count must be positive, offset not negative.")
    return list(collection.items[offset : offset + count])


def merged_items(one: Collection, two: Collection) -> list[Any]:
    """Return the elements of both, their indices prefixed `1_` and `2_`."""
    return [
        props.indexed(item, f"{number}_{props.index_of(item)}")
        for number, members in ((1, one), (2, two))
        for item in members
    ]


@REGISTRY.function("Collection.merge")
def merge(collection1: Collection, collection2: Collection) -> Collection:
    """Put two collections one after the other; indices get the prefixes `1_` and `2_`."""
    items = merged_items(collection1, collection2)
    return Collection(tuple(items), kind_of(items, collection1.kind))


@REGISTRY.function("Collection.flatten")
def flatten(collection: Collection) -> Collection:
    """Put the elements of a collection of collections into one; indices become `outer_inner`."""
    items: list[Any] = []
    for place, member in enumerate(collection):
        if not isinstance(member, Collection):
            raise bad_request("Collection.flatten: every element must be a collection.")
        items += [props.indexed(item, f"{place}_{props.index_of(item)}") for item in member]
    return Collection(tuple(items), kind_of(items))


@REGISTRY.function("Collection.distinct")
def distinct(collection: Collection, properties: Any) -> Collection:
    """Keep the first of the elements that agree in some properties."""
    names = [properties] if isinstance(properties, str) else properties
    names = coerce(names, list, "Collection.distinct, argument 'properties'")
    seen: dict[Any, Element] = {}
    for item in collection:
        seen.setdefault(hashable([props.get(item, name) for name in names]), item)
    return collection.with_items(seen.values())


@REGISTRY.function("Collection.remap")
def remap(
    collection: Collection, lookupIn: list[Any], lookupOut: list[int], columnName: str
) -> Collection:
    """Replace a property's values by a table; elements with other values are dropped."""
    if len(lookupIn) != len(lookupOut):
        raise bad_request("Collection.remap: 'lookupIn' and 'lookupOut' must be of the same size.")
    kept: list[Element] = []
    for item in collection:
        value = props.get(item, columnName)
        for source, target in zip(lookupIn, lookupOut, strict=True):
            if equal(value, source):
                kept.append(item.with_properties({columnName: target}))
                break
    return collection.with_items(kept)


@REGISTRY.function("Collection.geometry")
def geometry(collection: Collection, maxError: ErrorMargin | None = None) -> Geometry:
    """Merge the geometries of all elements."""
    return geodesy.union_of(collection)


@REGISTRY.function("Collection.bounds")
def bounds(
    collection: Collection, maxError: ErrorMargin | None = None, proj: Projection | None = None
) -> Geometry:
    """Return the rectangle around all elements, in EPSG:4326 or the projection given."""
    return geodesy.bounds(geodesy.union_of(collection), proj)


@REGISTRY.function("Collection.union")
def union(collection: Collection, maxError: ErrorMargin | None = None) -> Collection:
    """Merge all geometries into one feature, `union_result`."""
    merged = Feature(geodesy.union_of(collection))
    return Collection((props.indexed(merged, "union_result"),), "FeatureCollection")


@REGISTRY.function("Collection.reduceColumns")
def reduce_columns(
    collection: Collection,
    reducer: Reducer,
    selectors: list[str],
    weightSelectors: list[str] | None = None,
) -> dict[str, Any]:
    """Reduce properties over all elements that have them, to a dictionary of the outputs."""
    where = "Collection.reduceColumns"
    if len(selectors) != reducer.inputs:
        raise bad_request(
            f"{where}: the reducer needs {reducer.inputs} selector(s), not {len(selectors)}."
        )
    rows = [[props.get(item, name) for name in selectors] for item in collection]
    weights = None
    if weightSelectors:
        if len(weightSelectors) != 1:
            raise bad_request(f"{where}: one weight selector at most is implemented here.")
        weights = [
            coerce(props.get(item, weightSelectors[0]) or 0, float, where) for item in collection
        ]
    return reducing.reduce_rows(reducer, rows, where, weights)


@REGISTRY.function("Collection.randomColumn")
def random_column(
    collection: Collection,
    columnName: str = "random",
    seed: int = 0,
    distribution: str = "uniform",
    rowKeys: list[str] | None = None,
) -> Collection:
    """Add a property of random numbers that depend on nothing but the seed and the row keys.

    They are uniform in [0, 1) or normal (mean 0, deviation 1), and not those of the service.
    """
    if distribution not in ("uniform", "normal"):
        raise bad_request(
            "Collection.randomColumn: distribution must be 'uniform' or 'normal', "
            f"not '{distribution}'."
        )
    keys = rowKeys or ["system:index"]
    results = []
    for item in collection:
        row = [seed, *(hashable(props.get(item, key)) for key in keys)]
        dice = random.Random(repr(row))
        number = dice.random() if distribution == "uniform" else dice.gauss(0, 1)
        results.append(item.with_properties({columnName: number}))
    return collection.with_items(results)
