"""`Feature`: a geometry with properties; what a geometry can do, a feature can too."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from water_gee.emulator import properties as props
from water_gee.emulator.coerce import coerce
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
    moved: Geometry = REGISTRY.get("Geometry.transform").implementation(
        shape, proj, maxError, geodesics
    )
    return moved


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
