"""Properties of images and features as functions see them, with geometry and system properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from water_gee.emulator.values import Collection, Element, Geometry, Image

if TYPE_CHECKING:
    from collections.abc import Mapping

GEOMETRY_SELECTORS = (".geo", ".all")
"""What a filter calls an element's geometry."""


def geometry_of(element: Element) -> Geometry | None:
    """Return the geometry: an image without a footprint is unbounded, a feature may have none."""
    if isinstance(element, Image) and element.footprint is None:
        return Geometry(None)
    return element.geometry


def get(element: Element, name: str) -> Any:
    """Return a property, None where there is none."""
    if name in element.properties:
        return element.properties[name]
    if name in GEOMETRY_SELECTORS:
        return geometry_of(element)
    return _system(element).get(name)


def _system(element: Element) -> Mapping[str, Any]:
    """Return the properties an image has by being one."""
    if not isinstance(element, Image):
        return {}
    system: dict[str, Any] = {"system:bands": list(element.names)}
    system["system:band_names"] = list(element.names)
    if element.id is not None:
        system["system:id"] = element.id
    if element.footprint is not None:
        system["system:footprint"] = element.footprint
    return system


def names(element: Element) -> list[str]:
    """Return the names of all properties, those of the system last."""
    return list(dict.fromkeys([*element.properties, *_system(element)]))


def ordinary(element: Element) -> dict[str, Any]:
    """Return the properties that are not the system's."""
    return {k: v for k, v in element.properties.items() if not k.startswith("system:")}


def index_of(element: Element) -> str | None:
    """Return an element's `system:index`, None where it has none."""
    index = element.properties.get("system:index")
    return None if index is None else str(index)


def indexed(element: Any, index: str) -> Any:
    """Return an element under another `system:index`; anything else as it is."""
    if isinstance(element, Collection):
        return element
    return element.with_properties({"system:index": index})
