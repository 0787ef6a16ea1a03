"""`Array`: n-dimensional arrays of numbers. What array images do, they do the same way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import arraymath, pixeltypes
from water_gee.emulator.arrays import cat as concatenated
from water_gee.emulator.arrays import elementwise
from water_gee.emulator.coerce import array_of, coerce
from water_gee.emulator.functions import image_matrix
from water_gee.emulator.functions import reducer as reducers
from water_gee.emulator.functions.image_bands import CASTS, clamped
from water_gee.emulator.functions.image_logic import LOGIC
from water_gee.emulator.functions.image_math import BINARY, BITWISE, OLD_NAMES, UNARY, Binary
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import BOOLEAN, DOUBLE, INT32, Array, PixelType, Reducer

if TYPE_CHECKING:
    from collections.abc import Callable

    from water_gee.emulator.pixels import Values


def _made(values: Any, kind: PixelType) -> Array:
    numbers = np.asarray(values).astype(kind.dtype)
    return Array(numbers, replace(kind, dimensions=numbers.ndim))


def _applied(array: Array, function: Callable[[Values], Values], kind: PixelType) -> Array:
    """Return one array changed by a function of many."""
    with np.errstate(all="ignore"):
        return _made(function(array.values[None])[0], kind)


def _free(kind: PixelType) -> PixelType:
    return pixeltypes.ranged(kind, pixeltypes.UNBOUNDED)


@REGISTRY.function("Array")
def array(values: Any, pixelType: PixelType | None = None) -> Array:
    """Make an array of a number, of nested lists of numbers, or of another array."""
    if isinstance(values, Array) and pixelType is None:
        return values
    numbers = values.values if isinstance(values, Array) else values
    found = array_of(numbers)
    if found is None:
        raise bad_request(
            "Array: Parameter 'values' must be a number or (nested) lists of numbers; inner lists "
            "at the same depth must have the same length."
        )
    if pixelType is not None:
        return _made(clamped(found.values, pixelType), pixelType)
    if found.values.size == 0:
        raise bad_request("Array: A pixelType is required where there are no numbers.")
    return found


@REGISTRY.function("Array.cat")
def cat(arrays: list[Any], axis: int = 0) -> Array:
    """Put arrays behind each other along an axis."""
    where = "Array.cat"
    found: list[Array] = [coerce(one, Array, f"{where}, argument 'arrays'") for one in arrays]
    if not found:
        raise bad_request(f"{where}: At least one array is needed.")
    kind = pixeltypes.union(one.type for one in found)
    return _made(concatenated([one.values[None] for one in found], axis, where)[0], kind)


@REGISTRY.function("Array.reshape")
def reshape(array: Array, shape: Array) -> Array:
    """Give an array other axes; one length may be -1."""
    lengths = shape.values.reshape(-1).astype(int).tolist()
    return _applied(
        array, lambda values: arraymath.reshaped(values, lengths, "Array.reshape"), array.type
    )


@REGISTRY.function("Array.length")
def length(array: Array) -> Array:
    """Return the length of each axis."""
    return _made(np.array(array.values.shape, np.int64), INT32)


@REGISTRY.function("Array.toList")
def to_list(array: Array) -> list[Any]:
    """Return an array as nested lists of numbers."""
    found = array.values.tolist()
    return found if isinstance(found, list) else [found]


@REGISTRY.function("Array.get")
def get(array: Array, position: list[Any]) -> float:
    """Return the number at a position."""
    at = [int(index) for index in position]
    found: float = arraymath.picked(array.values[None], at, "Array.get")[0].item()
    return found


@REGISTRY.function("Array.cut")
def cut(array: Array, position: list[Any]) -> Array:
    """Keep one position of each axis, or all of them where -1 is given."""
    where = "Array.cut"
    if len(position) != array.values.ndim:
        raise bad_request(
            f"{where}: The position must have one coordinate for each of the {array.values.ndim} "
            f"dimension(s). Got {len(position)}."
        )
    values = array.values
    for axis, index in enumerate(int(one) for one in position):
        if index != -1:
            if not 0 <= index < values.shape[axis]:
                raise bad_request(f"{where}: Position {index} is out of bounds on axis {axis}.")
            values = values.take([index], axis=axis)
    return _made(values, array.type)


@REGISTRY.function("Array.slice")
def slice_(
    array: Array, axis: int = 0, start: int = 0, end: int | None = None, step: int = 1
) -> Array:
    """Keep every `step`-th position of an axis from `start` up to `end`."""
    return _applied(
        array,
        lambda values: arraymath.sliced(values, axis, start, end, step, "Array.slice"),
        array.type,
    )


@REGISTRY.function("Array.project")
def project(array: Array, axes: list[Any]) -> Array:
    """Keep some axes; those dropped have one position at most."""
    kept = [int(axis) for axis in axes]
    return _applied(
        array, lambda values: arraymath.projected(values, kept, "Array.project"), array.type
    )


@REGISTRY.function("Array.transpose", "Array.matrixTranspose")
def transpose(array: Array, axis1: int = 0, axis2: int = 1) -> Array:
    """Swap two axes."""
    return _applied(
        array,
        lambda values: arraymath.transposed(values, axis1, axis2, "Array.transpose"),
        array.type,
    )


@REGISTRY.function("Array.repeat")
def repeat(array: Array, axis: int = 0, copies: int = 2) -> Array:
    """Repeat an array along an axis, which may be a new one."""
    return _applied(
        array, lambda values: arraymath.repeated(values, axis, copies, "Array.repeat"), array.type
    )


@REGISTRY.function("Array.pad")
def pad(array: Array, lengths: list[Any], pad: float = 0.0) -> Array:
    """Append a value along each axis up to a length."""
    to = [int(one) for one in lengths]
    return _applied(
        array, lambda values: arraymath.padded(values, to, pad, "Array.pad"), array.type
    )


@REGISTRY.function("Array.mask")
def mask(input: Array, mask: Array) -> Array:
    """Keep the positions where another array is not 0."""
    found = arraymath.masked(input.values[None], mask.values[None], "Array.mask")
    return _made(found[0], input.type)


@REGISTRY.function("Array.sort")
def sort(array: Array, keys: Array | None = None) -> Array:
    """Sort along one axis, by the numbers themselves or by keys."""
    by = None if keys is None else keys.values[None]
    return _applied(array, lambda values: arraymath.ordered(values, by, "Array.sort"), array.type)


@REGISTRY.function("Array.argmax")
def argmax(array: Array) -> list[Any]:
    """Return the position of the largest number, the first of equals."""
    if array.values.size == 0:
        raise bad_request("Array.argmax: The array is empty.")
    found: list[Any] = arraymath.argmax(array.values[None])[0].tolist()
    return found


@REGISTRY.function("Array.reduce")
def reduce(array: Array, reducer: Reducer, axes: list[Any], fieldAxis: int | None = None) -> Array:
    """Reduce along axes, which keep one position."""
    chosen = [int(axis) for axis in axes]
    kind = pixeltypes.union(reducer.result_type(replace(array.type, dimensions=0)))
    return _applied(
        array,
        lambda values: arraymath.reduced(values, reducer, chosen, fieldAxis, "Array.reduce"),
        kind,
    )


@REGISTRY.function("Array.accum")
def accum(array: Array, axis: int, reducer: Reducer | None = None) -> Array:
    """Reduce, at each position of an axis, what lies up to it: by default to the sum."""
    chosen = reducers.SUM if reducer is None else reducer
    kind = pixeltypes.union(chosen.result_type(replace(array.type, dimensions=0)))
    return _applied(
        array, lambda values: arraymath.accumulated(values, axis, chosen, "Array.accum"), kind
    )


@REGISTRY.function("Array.dotProduct")
def dot_product(array1: Array, array2: Array) -> float:
    """Return the dot product of two arrays of one dimension."""
    found: float = arraymath.dot(array1.values[None], array2.values[None], "Array.dotProduct")[
        0
    ].item()
    return found


@REGISTRY.function("Array.identity")
def identity(size: int) -> Array:
    """Make an identity matrix."""
    return _made(arraymath.identity(size, "Array.identity"), BOOLEAN)


@REGISTRY.function("Array.bitsToArray")
def bits_to_array(input: float) -> Array:
    """Return the bits of a whole number as 0 and 1, the lowest first, up to the highest set."""
    number = int(input) & (2**64 - 1)
    bits = [(number >> place) & 1 for place in range(max(1, number.bit_length()))]
    return _made(bits, BOOLEAN)


# -------------------------------------------------------------------------------- number by number


def _binary(name: str, operator: Binary) -> Callable[[Array, Array], Array]:
    def function(left: Array, right: Array) -> Array:
        kind = operator.rule(_loose(left.type), _loose(right.type))
        combined = elementwise(operator.make(kind.dtype), name)
        with np.errstate(all="ignore"):
            return _made(combined(left.values[None], right.values[None])[0], kind)

    function.__doc__ = f"{operator.summary.rstrip('.')}, number by number."
    function.__doc__ = function.__doc__.replace("image", "array")
    function.__module__ = __name__
    return function


def _loose(kind: PixelType) -> PixelType:
    """Return a type without a range where it is no whole one: numbers are not known beforehand."""
    return kind if kind.precision == "int" else _free(kind)


for _name, _operator in {**BINARY, **BITWISE, **LOGIC}.items():
    _wire = [f"Array.{one}" for one in (_name, OLD_NAMES.get(_name)) if one is not None]
    REGISTRY.function(*_wire)(_binary(_wire[0], _operator))


def _unary(summary: str, function: Any, rule: Any) -> Callable[[Array], Array]:
    def call(input: Array) -> Array:
        kind = rule(input.type)
        with np.errstate(all="ignore"):
            return _made(function(input.values), kind)

    call.__doc__ = summary.replace("image", "array")
    call.__module__ = __name__
    return call


for _name, _one in UNARY.items():
    _wire = [f"Array.{one}" for one in (_name, OLD_NAMES.get(_name)) if one is not None]
    REGISTRY.function(*_wire)(_unary(_one.summary, _one.function, _one.rule))

REGISTRY.function("Array.not")(
    _unary("Say where a number is 0.", lambda values: values == 0, lambda _: BOOLEAN)
)


def _cast(kind: PixelType) -> Callable[[Array], Array]:
    def convert(input: Array) -> Array:
        """Return the array with its numbers cast to a type."""
        return _made(clamped(input.values, kind), kind)

    convert.__module__ = __name__
    return convert


for _kind, _names in CASTS.items():
    REGISTRY.function(*(f"Array.{_name}" for _name in _names))(_cast(_kind))


# ---------------------------------------------------------------------------------------- matrices


@REGISTRY.function("Array.matrixMultiply")
def matrix_multiply(left: Array, right: Array) -> Array:
    """Return the product of two matrices."""
    found = arraymath.product(left.values[None], right.values[None], "Array.matrixMultiply")
    return _made(found[0], _free(left.type.union(right.type)))


@REGISTRY.function("Array.matrixSolve")
def matrix_solve(left: Array, right: Array) -> Array:
    """Return x of A x = B, in the sense of least squares where A is tall."""
    return _made(
        arraymath.solved(left.values[None], right.values[None], "Array.matrixSolve")[0], DOUBLE
    )


def _matrix(name: str, operation: image_matrix.Matrices) -> Callable[..., Any]:
    def compute(input: Array) -> Any:
        return operation.function(input.values[None], name)[0]

    if operation.dimensions == 0:

        def number(input: Array) -> float:
            found: float = compute(input).item()
            return found

        call: Callable[..., Any] = number
    else:

        def matrix(input: Array) -> Array:
            return _made(compute(input), DOUBLE if operation.double else input.type)

        call = matrix
    call.__doc__ = operation.summary
    call.__module__ = __name__
    return call


for _name, _operation in image_matrix.UNARY.items():
    REGISTRY.function(f"Array.{_name}")(_matrix(f"Array.{_name}", _operation))
