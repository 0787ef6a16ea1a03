"""What `getInfo` answers for a value: JSON in the form Earth Engine gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from shapely.geometry import LinearRing, Polygon

from water_gee.emulator import values as v
from water_gee.emulator.classifiers import Classifier
from water_gee.emulator.coerce import type_name
from water_gee.emulator.geojson import geometry_to_json, number
from water_gee.emulator.registry import bad_request


def to_json(value: Any) -> Any:
    """Return a value as `getInfo` shows it.

    Args:
        value: Anything an expression can result in.

    Returns:
        JSON; whole numbers come without a fraction, as the service writes them.

    Raises:
        ServiceError: 400: the value has no such form, a function for example.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (list, tuple)):
        return [to_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(value[key]) for key in sorted(value)}
    form = _FORMS.get(type(value))
    if form is None:
        raise bad_request(f"A value of type {type_name(value)} cannot be returned.")
    return form(value)


def _pixel_type(value: v.PixelType) -> dict[str, Any]:
    result: dict[str, Any] = {"type": "PixelType", "precision": value.precision}
    if value.minimum is not None:
        result["min"] = number(value.minimum)
    if value.maximum is not None:
        result["max"] = number(value.maximum)
    if value.dimensions:
        result["dimensions"] = value.dimensions
    return result


def _projection(value: v.Projection) -> dict[str, Any]:
    return {"type": "Projection", **crs_json(value.crs), "transform": _numbers(value.transform)}


def crs_json(crs: str) -> dict[str, str]:
    """Return a CRS as `crs` (a code) or `wkt`."""
    return {"wkt" if "[" in crs else "crs": crs}


def _numbers(many: tuple[float, ...]) -> list[float]:
    return [number(one) for one in many]


def band_json(band: v.Band) -> dict[str, Any]:
    """Return a band as images list it."""
    result: dict[str, Any] = {"id": band.name, "data_type": _pixel_type(band.type)}
    if band.dimensions is not None:
        result["dimensions"] = list(band.dimensions)
    result.update(crs_json(band.projection.crs))
    result["crs_transform"] = _numbers(band.projection.transform)
    return result


def _image(value: v.Image) -> dict[str, Any]:
    result: dict[str, Any] = {"type": "Image", "bands": [band_json(band) for band in value.bands]}
    if value.id is not None:
        result["id"] = value.id
    properties = dict(value.properties)
    version = properties.pop("system:version", None)
    if version is not None:
        result["version"] = to_json(version)
    if value.footprint is not None and value.footprint.shape is not None:
        properties.setdefault("system:footprint", _footprint(value.footprint))
    if properties:
        result["properties"] = to_json(properties)
    return result


def _footprint(geometry: v.Geometry) -> v.Geometry:
    """Return an image's footprint as its property shows it: the outer ring, where it is one."""
    shape = geometry.shape
    if isinstance(shape, Polygon) and not shape.interiors and not shape.is_empty:
        return v.Geometry(LinearRing(shape.exterior.coords), geometry.crs, geometry.geodesic)
    return geometry


def _feature(value: v.Feature) -> dict[str, Any]:
    properties = dict(value.properties)
    index = properties.pop("system:index", None)
    geometry = None if value.geometry is None else geometry_to_json(value.geometry)
    result: dict[str, Any] = {"type": "Feature", "geometry": geometry}
    if index is not None:
        result["id"] = str(index)
    result["properties"] = to_json(properties)
    return result


def _collection(value: v.Collection) -> dict[str, Any]:
    result: dict[str, Any] = {"type": value.kind}
    if value.kind == "FeatureCollection":
        result["columns"] = columns(value)
    else:
        result["bands"] = []
    if value.id is not None:
        result["id"] = value.id
    properties = dict(value.properties)
    version = properties.pop("system:version", None)
    if version is not None:
        result["version"] = to_json(version)
    if properties:
        result["properties"] = to_json(properties)
    result["features"] = [to_json(item) for item in value]
    return result


def columns(collection: v.Collection) -> dict[str, str]:
    """Return a feature collection's property names, each with the type of the first value found."""
    found: dict[str, str] = {}
    for item in collection:
        if not isinstance(item, v.Collection):
            for name, one in item.properties.items():
                found.setdefault(name, _column_type(one))
    return dict(sorted(found.items()))


def _column_type(value: Any) -> str:
    name = type_name(value)
    return f"{name}<Object>" if name in ("List", "Dictionary") else name


def _filter(value: v.Filter) -> dict[str, Any]:
    return {key: to_json(one) for key, one in value.description.items()}


def _array(value: v.Array) -> Any:
    return to_json(value.values.tolist())


def _kernel(value: v.Kernel) -> dict[str, Any]:
    row, col = value.center
    return {
        "type": "Kernel",
        "center": [col, row],
        "weights": to_json(value.weights.tolist()),
        "normalize": value.normalized,
    }


def _reducer(value: v.Reducer) -> dict[str, Any]:
    return {"type": f"Reducer.{value.name}", "outputs": list(value.outputs)}


def _classifier(value: Classifier) -> dict[str, Any]:
    return {
        "type": f"Classifier.{value.name}",
        "treeStrings": list(value.texts),
        "mode": value.mode,
    }


_FORMS: dict[type, Callable[[Any], Any]] = {
    v.Image: _image,
    v.Feature: _feature,
    v.Collection: _collection,
    v.Geometry: geometry_to_json,
    v.Date: lambda value: {"type": "Date", "value": value.value},
    v.DateRange: lambda value: {"type": "DateRange", "dates": [value.start, value.end]},
    v.Projection: _projection,
    v.PixelType: _pixel_type,
    v.ErrorMargin: lambda value: {
        "type": "ErrorMargin",
        "unit": value.unit,
        "value": number(value.value),
    },
    v.Filter: _filter,
    v.Array: _array,
    v.Kernel: _kernel,
    v.Reducer: _reducer,
    Classifier: _classifier,
}
"""How each class of `values` is shown."""
