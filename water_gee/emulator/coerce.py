"""Values to the types that functions ask for, as Earth Engine promotes them."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from water_gee.emulator import values as v
from water_gee.emulator.arrays import ArrayConstant
from water_gee.emulator.classifiers import Classifier
from water_gee.emulator.nodes import Constant
from water_gee.errors import ServiceError

if TYPE_CHECKING:
    from water_gee.emulator.pixels import Node

_PLAIN: dict[Any, str] = {
    str: "String",
    int: "Integer",
    float: "Number",
    bool: "Boolean",
    list: "List",
    dict: "Dictionary",
    v.Image: "Image",
    v.Feature: "Feature",
    v.Element: "Element",
    v.Collection: "Collection",
    v.Geometry: "Geometry",
    v.Projection: "Projection",
    v.PixelType: "PixelType",
    v.Kernel: "Kernel",
    v.Reducer: "Reducer",
    Classifier: "Classifier",
    v.Filter: "Filter",
    v.Date: "Date",
    v.DateRange: "DateRange",
    v.ErrorMargin: "ErrorMargin",
    v.Array: "Array",
    v.Function: "Algorithm",
    Any: "Object",
}
"""Annotations a registered function may use, with Earth Engine's name for the type."""


def is_wire_type(annotation: Any) -> bool:
    """Say whether a parameter may be annotated so."""
    return _base(annotation) in _PLAIN


def wire_type(annotation: Any) -> str:
    """Return Earth Engine's name for an annotation, without what a list or dictionary holds."""
    return _PLAIN[_base(annotation)]


def _base(annotation: Any) -> Any:
    """Strip `| None` and what is in the brackets."""
    if annotation == v.Element:
        return v.Element
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        rest = [part for part in typing.get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return _base(rest[0])
        joined: Any = rest[0]
        for part in rest[1:]:
            joined = joined | part
        return v.Element if joined == v.Element else annotation
    return typing.get_origin(annotation) or annotation


def type_name(value: Any) -> str:
    """Return Earth Engine's name for what a value is."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "Boolean"
    if isinstance(value, int):
        return "Integer"
    if isinstance(value, float):
        return "Float"
    if isinstance(value, v.Collection):
        return value.kind
    for kind in (list, dict, str):
        if isinstance(value, kind):
            return _PLAIN[kind]
    return _PLAIN.get(type(value), type(value).__name__)


def coerce(value: Any, annotation: Any, where: str) -> Any:
    """Return `value` as the annotated type.

    Args:
        value: Anything but None.
        annotation: A type of `_PLAIN`, possibly with `| None` or brackets.
        where: The function and argument, for the message.

    Raises:
        ServiceError: 400: it is none and cannot be made one.
    """
    target = _base(annotation)
    promote = _PROMOTIONS.get(target)
    result = promote(value) if promote is not None else None
    if result is None and target in (Any, object):
        return value
    if result is None:
        raise ServiceError(
            400,
            "INVALID_ARGUMENT",
            f"{where}: Invalid type. Expected type: {_shown(target)}. "
            f"Actual type: {type_name(value)}.",
        )
    return result


def _shown(target: Any) -> str:
    name = _PLAIN[target]
    return "Image<unknown bands>" if name == "Image" else name


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, (int, float)) else None


def _integer(value: Any) -> Any:
    number = _number(value)
    return None if number is None else int(number)


def _float(value: Any) -> Any:
    """Numbers keep being whole or not: `Number` holds both."""
    return _number(value)


def _boolean(value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return bool(value)
    return None


def _string(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _list(value: Any) -> Any:
    if isinstance(value, v.Array):
        return value.values.tolist()
    return list(value) if isinstance(value, (list, tuple)) else None


def _dictionary(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return dict(value.properties) if isinstance(value, (v.Feature, v.Image)) else None


def constant_image(value: Any) -> v.Image:
    """Return an image of a number, an array or a list of these: `constant`, `constant_1`, ..."""
    bands = []
    for index, one in enumerate(value if isinstance(value, list) else [value]):
        name = "constant" if index == 0 else f"constant_{index}"
        if isinstance(one, v.Array) and one.values.ndim:
            node: Node = ArrayConstant(one.values, one.type.dtype)
            bands.append(v.Band(name, replace(one.type, dimensions=one.values.ndim), node))
            continue
        number = one.values.item() if isinstance(one, v.Array) else one
        kind = v.PixelType.of_constant(number)
        bands.append(v.Band(name, kind, Constant(number, kind.dtype)))
    return v.Image(tuple(bands))


def _image(value: Any) -> Any:
    if isinstance(value, v.Image):
        return value
    if isinstance(value, (bool, int, float, v.Array)):
        return constant_image(value)
    held = (int, float, v.Array)
    if isinstance(value, list) and all(isinstance(one, held) for one in value) and value:
        return constant_image(value)
    return None


def _feature(value: Any) -> Any:
    if isinstance(value, v.Geometry):
        return v.Feature(value)
    return value if isinstance(value, v.Feature) else None


def _element(value: Any) -> Any:
    return value if isinstance(value, (v.Image, v.Feature)) else None


def _collection(value: Any) -> Any:
    if isinstance(value, v.Collection):
        return value
    if isinstance(value, v.Image):
        return v.Collection((value,), "ImageCollection")
    if isinstance(value, (v.Feature, v.Geometry)):
        return v.Collection((_feature(value),), "FeatureCollection")
    return None


def _geometry(value: Any) -> Any:
    if isinstance(value, v.Geometry):
        return value
    if isinstance(value, (v.Feature, v.Image)):
        return value.geometry if value.geometry is not None else v.Geometry(None)
    if isinstance(value, v.Collection):
        from water_gee.emulator.geodesy import union_of

        return union_of(value)
    if isinstance(value, Mapping) and "type" in value:
        from water_gee.emulator.geojson import geometry_from_json

        return geometry_from_json(value)
    return None


@functools.lru_cache(maxsize=256)
def checked_crs(name: str) -> str:
    """Return a CRS's name.

    Raises:
        ServiceError: 400: no such CRS.
    """
    try:
        CRS.from_user_input(name)
    except CRSError as error:
        raise ServiceError(
            400,
            "INVALID_ARGUMENT",
            f"Projection: The CRS of a map projection could not be parsed: '{name}'.",
        ) from error
    return name


def _projection(value: Any) -> Any:
    if isinstance(value, v.Projection):
        return value
    return v.Projection(checked_crs(value)) if isinstance(value, str) else None


_TYPE_NAMES: dict[str, v.PixelType] = {
    "float": v.FLOAT,
    "double": v.DOUBLE,
    "byte": v.BYTE,
    "short": v.PixelType("int", *v.INTEGER_RANGES["int16"]),
    "int": v.INT32,
    "long": v.INT64,
    **{name: v.PixelType("int", *bounds) for name, bounds in v.INTEGER_RANGES.items()},
}


def _pixel_type(value: Any) -> Any:
    if isinstance(value, v.PixelType):
        return value
    return _TYPE_NAMES.get(value) if isinstance(value, str) else None


def _date(value: Any) -> Any:
    if isinstance(value, v.Date):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return v.Date(int(value))
    if isinstance(value, str):
        from water_gee.emulator.dates import parse_iso

        return v.Date(parse_iso(value))
    return None


def _date_range(value: Any) -> Any:
    if isinstance(value, v.DateRange):
        return value
    date = _date(value)
    return None if date is None else v.DateRange(date.value, date.value + 1)


def _error_margin(value: Any) -> Any:
    if isinstance(value, v.ErrorMargin):
        return value
    number = _number(value)
    return None if number is None else v.ErrorMargin(float(number))


def _array(value: Any) -> Any:
    if isinstance(value, v.Array):
        return value
    return array_of(value) if isinstance(value, (list, int, float)) else None


def array_of(value: Any) -> v.Array | None:
    """Return numbers in nested lists as an array, None where they are none.

    It is whole, in the numbers' own range, where all of them are, and double else.
    """
    try:
        found = np.asarray(value)
    except ValueError:
        return None
    if found.dtype.kind not in "biuf" and found.size:
        return None
    kind = v.DOUBLE
    if found.dtype.kind != "f":
        low, high = (int(found.min()), int(found.max())) if found.size else (0, 0)
        kind = v.PixelType("int", low, high)
    return v.Array(found.astype(kind.dtype), replace(kind, dimensions=found.ndim))


def _same(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, kind) else None


_PROMOTIONS: dict[Any, Callable[[Any], Any]] = {
    str: _string,
    int: _integer,
    float: _float,
    bool: _boolean,
    list: _list,
    dict: _dictionary,
    v.Image: _image,
    v.Feature: _feature,
    v.Element: _element,
    v.Collection: _collection,
    v.Geometry: _geometry,
    v.Projection: _projection,
    v.PixelType: _pixel_type,
    v.Kernel: _same(v.Kernel),
    v.Reducer: _same(v.Reducer),
    Classifier: _same(Classifier),
    v.Filter: _same(v.Filter),
    v.Date: _date,
    v.DateRange: _date_range,
    v.ErrorMargin: _error_margin,
    v.Array: _array,
    v.Function: _same(v.Function),
}
