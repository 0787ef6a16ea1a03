"""`Element`: properties of whatever has them, images and features alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from water_gee.emulator import properties as props
from water_gee.emulator.coerce import coerce
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Array, Element, Geometry


@REGISTRY.function("Element.get")
def get(object: Element, property: str) -> Any:
    """Return a property, null where there is none."""
    return props.get(object, property)


def _typed(element: Element, property: str, annotation: Any, where: str) -> Any:
    value = props.get(element, property)
    return None if value is None else coerce(value, annotation, f"{where}, property '{property}'")


@REGISTRY.function("Element.getNumber")
def get_number(object: Element, property: str) -> float | None:
    """Return a property that is a number."""
    number: float | None = _typed(object, property, float, "Element.getNumber")
    return number


@REGISTRY.function("Element.getString")
def get_string(object: Element, property: str) -> str | None:
    """Return a property that is a string."""
    string: str | None = _typed(object, property, str, "Element.getString")
    return string


@REGISTRY.function("Element.getArray")
def get_array(object: Element, property: str) -> Array | None:
    """Return a property that is an array."""
    array: Array | None = _typed(object, property, Array, "Element.getArray")
    return array


@REGISTRY.function("Element.set")
def set_(object: Element, key: str, value: Any = None) -> Element:
    """Set one property; null removes it, `system:footprint` of an image moves its footprint."""
    return object.with_properties({key: value})


@REGISTRY.function("Element.setMulti")
def set_multi(object: Element, properties: dict[str, Any]) -> Element:
    """Set the properties of a dictionary."""
    return object.with_properties(properties)


@REGISTRY.function("Element.propertyNames")
def property_names(element: Element) -> list[str]:
    """Return the names of all properties."""
    return props.names(element)


@REGISTRY.function("Element.toDictionary")
def to_dictionary(element: Element, properties: list[str] | None = None) -> dict[str, Any]:
    """Return some properties, or all that are not the system's."""
    if properties is None:
        return props.ordinary(element)
    return {name: props.get(element, name) for name in properties}


@REGISTRY.function("Element.copyProperties", "Image.copyProperties")
def copy_properties(
    destination: Element | None = None,
    source: Element | None = None,
    properties: list[str] | None = None,
    exclude: list[str] | None = None,
) -> Element:
    """Copy properties: those named, else all but the system's and the excluded ones."""
    if destination is None:
        raise bad_request(
            "Element.copyProperties: Parameter 'destination' is required and may not be null."
        )
    if source is None:
        return destination
    if properties is not None and exclude is not None:
        raise bad_request("Element.copyProperties: give 'properties' or 'exclude', not both.")
    if properties is not None:
        chosen = {name: props.get(source, name) for name in properties}
        return destination.with_properties({k: v for k, v in chosen.items() if v is not None})
    left_out = set(exclude or ())
    ordinary = props.ordinary(source)
    return destination.with_properties({k: v for k, v in ordinary.items() if k not in left_out})


@REGISTRY.function("Element.replaceProperties")
def replace_properties(destination: Element, source: Element | None = None) -> Element:
    """Drop an element's properties and take another's; its index stays."""
    index = props.index_of(destination)
    kept = {} if index is None else {"system:index": index}
    taken = {} if source is None else props.ordinary(source)
    return replace(destination, properties={}).with_properties({**taken, **kept})


@REGISTRY.function("Element.geometry")
def geometry(
    feature: Element,
    maxError: Any = None,
    proj: Any = None,
    geodesics: bool | None = None,
) -> Geometry | None:
    """Return an element's geometry."""
    return props.geometry_of(feature)
