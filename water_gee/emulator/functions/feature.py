"""`Feature`: a geometry with properties; what a geometry can do, a feature can too."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from shapely.geometry import MultiPoint

from water_gee.emulator import properties as props
from water_gee.emulator.coerce import coerce
from water_gee.emulator.functions import geometry as geometries
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import (
    Array,
    Element,
    ErrorMargin,
    Feature,
    Geometry,
    Image,
    Projection,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@REGISTRY.function("Feature")
def feature(
    geometry: Any = None,
    metadata: dict[str, Any] | None = None,
    geometryKey: str | None = None,
) -> Feature:
    """Make a feature of a geometry and properties; a feature is taken as it is."""
    if isinstance(geometry, Feature):
        return geometry.with_properties(metadata or {})
    where = "Feature, argument 'geometry'"
    shape = None if geometry is None else coerce(geometry, Geometry, where)
    return Feature(shape).with_properties(metadata or {})


@REGISTRY.function("Feature.id")
def id_(element: Element) -> str | None:
    """Return an element's id within its collection, null outside one."""
    return props.index_of(element)


@REGISTRY.function("Feature.geometry")
def geometry(
    feature: Element,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
    geodesics: bool | None = None,
) -> Geometry | None:
    """Return an element's geometry, in another projection where one is given."""
    shape = props.geometry_of(feature)
    if shape is None or proj is None:
        return shape
    return geometries.transform(shape, proj, maxError, geodesics)


@REGISTRY.function("Feature.setGeometry")
def set_geometry(feature: Element, geometry: Geometry | None = None) -> Element:
    """Give an element another geometry."""
    if isinstance(feature, Image):
        return replace(feature, footprint=geometry)
    return replace(feature, geometry=geometry)


@REGISTRY.function("Feature.select")
def select(
    input: Element,
    propertySelectors: list[str],
    newProperties: list[str] | None = None,
    retainGeometry: bool = True,
) -> Element:
    """Keep some properties, by name or regular expression, and rename them; the index stays."""
    chosen: list[str] = []
    for selector in propertySelectors:
        names = [n for n in input.properties if n == selector or re.fullmatch(selector, n)]
        chosen += [name for name in names if name not in chosen]
    new = chosen if newProperties is None else newProperties
    if len(new) != len(chosen):
        raise bad_request(
            f"Feature.select: {len(chosen)} properties selected but {len(new)} new names given."
        )
    kept = {to: input.properties[name] for name, to in zip(chosen, new, strict=True)}
    if "system:index" in input.properties:
        kept["system:index"] = input.properties["system:index"]
    bare = replace(input, properties={}).with_properties(kept)
    if not retainGeometry and isinstance(bare, Feature):
        return replace(bare, geometry=None)
    return bare


@REGISTRY.function("Feature.toArray")
def to_array(feature: Feature, properties: list[str]) -> Array:
    """Put properties that are numbers into an array."""
    where = "Feature.toArray, argument 'properties'"
    return Array(np.array([coerce(props.get(feature, name), float, where) for name in properties]))


def _of(element: Element) -> Geometry:
    """Return an element's geometry, an empty one where it has none."""
    shape = props.geometry_of(element)
    return Geometry(MultiPoint()) if shape is None else shape


def _registered(name: str) -> tuple[Callable[..., Any], str]:
    """Return what `Geometry.<name>` does, and how it says so."""
    entry = REGISTRY.get(f"Geometry.{name}")
    return entry.implementation, str(inspect.getdoc(entry.implementation))


def _measure(name: str) -> Callable[..., float]:
    function, summary = _registered(name)

    def measure(
        feature: Element, maxError: ErrorMargin | None = None, proj: Projection | None = None
    ) -> float:
        return float(function(_of(feature), maxError, proj))

    measure.__doc__ = summary
    return measure


def _change(name: str) -> Callable[..., Element]:
    function, summary = _registered(name)

    def change(
        feature: Element, maxError: ErrorMargin | None = None, proj: Projection | None = None
    ) -> Element:
        return set_geometry(feature, function(_of(feature), maxError, proj))

    change.__doc__ = summary
    return change


def _predicate(name: str) -> Callable[..., bool]:
    function, summary = _registered(name)

    def test(
        left: Element,
        right: Element,
        maxError: ErrorMargin | None = None,
        proj: Projection | None = None,
    ) -> bool:
        return bool(function(_of(left), _of(right), maxError, proj))

    test.__doc__ = summary
    return test


def _combination(name: str) -> Callable[..., Element]:
    function, summary = _registered(name)

    def combine(
        left: Element,
        right: Element,
        maxError: ErrorMargin | None = None,
        proj: Projection | None = None,
    ) -> Element:
        return set_geometry(left, function(_of(left), _of(right), maxError, proj))

    combine.__doc__ = summary
    return combine


_SAME_AS_GEOMETRY: tuple[tuple[Callable[[str], Callable[..., Any]], tuple[str, ...]], ...] = (
    (_measure, ("area", "length", "perimeter")),
    (_change, ("bounds", "centroid", "convexHull", "dissolve")),
    (_predicate, ("contains", "containedIn", "disjoint", "intersects")),
    (_combination, ("difference", "intersection", "symmetricDifference", "union")),
)
"""Functions of features that are those of their geometries; results keep the (left) properties."""

for _make, _names in _SAME_AS_GEOMETRY:
    for _name in _names:
        REGISTRY.function(f"Feature.{_name}")(_make(_name))


@REGISTRY.function("Feature.buffer")
def buffer(
    feature: Element,
    distance: float,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> Element:
    """Give an element everything within a distance of its geometry."""
    return set_geometry(feature, geometries.buffer(_of(feature), distance, maxError, proj))


@REGISTRY.function("Feature.simplify")
def simplify(feature: Element, maxError: ErrorMargin, proj: Projection | None = None) -> Element:
    """Give an element a geometry of fewer points."""
    return set_geometry(feature, geometries.simplify(_of(feature), maxError, proj))


@REGISTRY.function("Feature.transform")
def transform(
    feature: Element,
    proj: Projection = Projection(),  # noqa: B008 - frozen
    maxError: ErrorMargin | None = None,
    geodesic: bool | None = None,
) -> Element:
    """Give an element its geometry in another CRS."""
    return set_geometry(feature, geometries.transform(_of(feature), proj, maxError, geodesic))


@REGISTRY.function("Feature.distance")
def distance(
    left: Element,
    right: Element,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
    spherical: bool = False,
) -> float:
    """Return the shortest distance between two elements' geometries."""
    return geometries.distance(_of(left), _of(right), maxError, proj, spherical)


@REGISTRY.function("Feature.withinDistance")
def within_distance(
    left: Element,
    right: Element,
    distance: float,
    maxError: ErrorMargin | None = None,
    proj: Projection | None = None,
) -> bool:
    """Say whether two elements' geometries are at most a distance apart."""
    return geometries.within_distance(_of(left), _of(right), distance, maxError, proj)
