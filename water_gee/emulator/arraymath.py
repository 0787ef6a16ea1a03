"""What `Array` and array images do, once: functions of many arrays of one shape, `(n, *array)`.

Meanings are those of the client's own descriptions and of the examples in Google's reference; what
these leave open is written down in `docs/decisions/array-images.md`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator.arrays import objects
from water_gee.emulator.registry import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.emulator.pixels import Values
    from water_gee.emulator.values import Reducer

PRODUCT_BYTES = 32_000_000
"""Bytes of one factor that are multiplied at once."""


def check_axis(axis: int, values: Values, where: str) -> None:
    """Refuse an axis that arrays do not have.

    Raises:
        ServiceError: 400.
    """
    if not 0 <= axis < values.ndim - 1:
        raise bad_request(
            f"{where}: Array axis {axis} is out of range for arrays of {values.ndim - 1} "
            "dimension(s)."
        )


def reshaped(values: Values, lengths: Sequence[int], where: str) -> Values:
    """Give arrays other axes; their numbers stay in order, row by row. One length may be -1."""
    shape = [int(length) for length in lengths]
    size = math.prod(values.shape[1:])
    if shape.count(-1) == 1:
        rest = math.prod(length for length in shape if length != -1)
        if rest and size % rest == 0:
            shape[shape.index(-1)] = size // rest
    if min(shape, default=0) < 0 or math.prod(shape) != size:
        raise bad_request(
            f"{where}: Cannot reshape array of shape {list(values.shape[1:])} "
            f"to {list(map(int, lengths))}."
        )
    return values.reshape(len(values), *shape)


def projected(values: Values, axes: Sequence[int], where: str) -> Values:
    """Keep some axes; those dropped have at most one position."""
    dimensions = values.ndim - 1
    for axis in axes:
        check_axis(axis, values, where)
    dropped = [axis for axis in range(dimensions) if axis not in axes]
    long = [axis for axis in dropped if values.shape[axis + 1] > 1]
    if long:
        raise bad_request(
            f"{where}: Dropped axes must be at most length 1. "
            f"Axis {long[0]} has length {values.shape[long[0] + 1]}."
        )
    if len(set(axes)) != len(axes):
        raise bad_request(f"{where}: An axis is named twice: {list(axes)}.")
    # What is dropped goes last; where its length is 0 nothing is left of the array.
    order = [0, *(axis + 1 for axis in axes), *(axis + 1 for axis in dropped)]
    moved = values.transpose(order)
    if any(values.shape[axis + 1] == 0 for axis in dropped):
        return np.zeros((len(values), *(0 for _ in axes)), values.dtype)
    return moved.reshape(moved.shape[: 1 + len(axes)])


def sliced(values: Values, axis: int, start: int, end: int | None, step: int, where: str) -> Values:
    """Keep every `step`-th position of an axis; negative positions count from its end."""
    check_axis(axis, values, where)
    if step < 1:
        raise bad_request(f"{where}: 'step' must be positive. Got {step}.")
    cut = [slice(None)] * values.ndim
    cut[axis + 1] = slice(start, end, step)
    return values[tuple(cut)]


def repeated(values: Values, axis: int, copies: int, where: str) -> Values:
    """Put copies of arrays behind each other; an axis beyond theirs is made first."""
    if copies < 0 or axis < 0:
        raise bad_request(f"{where}: 'axis' and 'copies' must not be negative.")
    missing = axis + 2 - values.ndim
    if missing > 0:
        values = values.reshape(*values.shape, *(1,) * missing)
    return np.concatenate([values] * copies, axis=axis + 1) if copies else (
        values.take([], axis=axis + 1)
    )  # fmt: skip


def transposed(values: Values, axis1: int, axis2: int, where: str) -> Values:
    """Swap two axes."""
    check_axis(axis1, values, where)
    check_axis(axis2, values, where)
    return values.swapaxes(axis1 + 1, axis2 + 1)


def padded(values: Values, lengths: Sequence[int], pad: float, where: str) -> Values:
    """Append a value along each axis up to a length; what is longer stays."""
    if len(lengths) != values.ndim - 1:
        raise bad_request(
            f"{where}: 'lengths' needs one length for each of the {values.ndim - 1} dimension(s). "
            f"Got {list(lengths)}."
        )
    grow = [(0, max(0, wanted - have)) for wanted, have in
            zip(lengths, values.shape[1:], strict=True)]  # fmt: skip
    return np.pad(values, [(0, 0), *grow], constant_values=pad)


def masked(values: Values, mask: Values, where: str) -> Values:
    """Keep positions where the mask is not 0.

    The mask has the arrays' shape, or more than one position along one axis alone: then slices
    along this axis are kept. Arrays of one dimension alone can be thinned out number by number.
    """
    if mask.ndim != values.ndim:
        raise bad_request(
            f"{where}: The mask must have as many dimensions as the array ({values.ndim - 1}). "
            f"Got {mask.ndim - 1}."
        )
    long = [axis for axis in range(1, mask.ndim) if mask.shape[axis] != 1]
    if len(long) > 1:
        raise bad_request(
            f"{where}: The mask can have several positions along one axis only. "
            f"Got shape {list(mask.shape[1:])}."
        )
    axis = long[0] if long else 1
    if mask.shape[axis] != values.shape[axis]:
        raise bad_request(
            f"{where}: The mask has {mask.shape[axis]} position(s) on axis {axis - 1}, "
            f"the array {values.shape[axis]}."
        )
    keep = mask.reshape(len(mask), -1) != 0
    return objects([
        one.compress(kept, axis=axis - 1) for one, kept in zip(values, keep, strict=True)
    ])  # fmt: skip


def ordered(values: Values, keys: Values | None, where: str) -> Values:
    """Sort along the one axis on which the keys (by default the values) have several positions."""
    keys = values if keys is None else keys
    if keys.ndim != values.ndim:
        raise bad_request(f"{where}: The keys must have as many dimensions as the array.")
    long = [axis for axis in range(1, keys.ndim) if keys.shape[axis] != 1]
    if len(long) > 1:
        raise bad_request(
            f"{where}: The keys can have several positions along one axis only. "
            f"Got shape {list(keys.shape[1:])}."
        )
    axis = long[0] if long else 1
    if keys.shape[axis] != values.shape[axis]:
        raise bad_request(
            f"{where}: There are {keys.shape[axis]} keys for {values.shape[axis]} positions."
        )
    order = keys.reshape(len(keys), -1).argsort(axis=1, kind="stable")
    order = order.reshape(len(keys), *(-1 if one == axis else 1 for one in range(1, keys.ndim)))
    return np.asarray(np.take_along_axis(values, order, axis=axis))


def argmax(values: Values) -> Values:
    """Return the place of each array's largest number, the first of equals, as `(n, axes)`."""
    flat = values.reshape(len(values), -1).argmax(axis=1)
    return np.stack(np.unravel_index(flat, values.shape[1:]), axis=1)


def picked(values: Values, position: Sequence[int], where: str) -> Values:
    """Return the number at a place."""
    if len(position) != values.ndim - 1:
        raise bad_request(
            f"{where}: The position must have one coordinate for each of the {values.ndim - 1} "
            f"dimension(s). Got {len(position)}."
        )
    for axis, (index, length) in enumerate(zip(position, values.shape[1:], strict=True)):
        if not 0 <= index < length:
            raise bad_request(
                f"{where}: Position {list(map(int, position))} is out of bounds: axis {axis} has "
                f"length {length}."
            )
    return values.reshape(len(values), -1)[:, np.ravel_multi_index(position, values.shape[1:])]


def reduced(
    values: Values, reducer: Reducer, axes: Sequence[int], field: int | None, where: str
) -> Values:
    """Reduce along axes, which keep one position; `field` holds a reducer's inputs and outputs."""
    for axis in (*axes, *([] if field is None else [field])):
        check_axis(axis, values, where)
    several = reducer.inputs > 1 or len(reducer.outputs) > 1
    if several and (field is None or field in axes):
        raise bad_request(
            f"{where}: A reducer of several inputs or outputs needs a 'fieldAxis' that is not "
            "reduced."
        )
    if several and field is not None and values.shape[field + 1] != reducer.inputs:
        raise bad_request(
            f"{where}: The field axis must have length {reducer.inputs}, one for each input of the "
            f"reducer. Got {values.shape[field + 1]}."
        )
    parts = [values] if not several or field is None else [
        values.take([index], axis=field + 1) for index in range(reducer.inputs)
    ]  # fmt: skip
    places = [axis + 1 for axis in axes]
    kept = [1 if axis in places else length for axis, length in enumerate(parts[0].shape)]
    stacks = [
        np.moveaxis(part, places, range(len(places))).reshape(-1, *_rest(part.shape, places))
        for part in parts
    ]
    with np.errstate(all="ignore"):
        outputs = reducer.reduce(*stacks, None)
    shown = [np.asarray(one).reshape(kept) for one, _ in outputs]
    return shown[0] if len(shown) == 1 else np.concatenate(shown, axis=(field or 0) + 1)


def _rest(shape: tuple[int, ...], places: Sequence[int]) -> list[int]:
    return [length for axis, length in enumerate(shape) if axis not in places]


def accumulated(values: Values, axis: int, reducer: Reducer, where: str) -> Values:
    """Reduce, at each position of an axis, what lies up to it."""
    check_axis(axis, values, where)
    if reducer.inputs > 1 or len(reducer.outputs) > 1:
        raise bad_request(f"{where}: The reducer must have a single input and output.")
    length = values.shape[axis + 1]
    parts = [
        reduced(values.take(range(end), axis=axis + 1), reducer, [axis], None, where)
        for end in range(1, length + 1)
    ]
    return np.concatenate(parts, axis=axis + 1) if parts else values


def matrices(values: Values, where: str) -> Values:
    """Return arrays as matrices: one dimension is a single column.

    Raises:
        ServiceError: 400: they have more than two dimensions.
    """
    if values.ndim == 2:
        return values[:, :, None]
    if values.ndim != 3:
        raise bad_request(
            f"{where}: Matrices must be arrays of 2 dimensions. Got {values.ndim - 1}."
        )
    return values


def product(left: Values, right: Values, where: str) -> Values:
    """Multiply matrices; one matrix for all pixels takes a single product of two matrices."""
    one, two = matrices(left, where), matrices(right, where)
    if one.shape[2] != two.shape[1]:
        raise bad_request(
            f"{where}: The left matrix has {one.shape[2]} column(s), the right one "
            f"{two.shape[1]} row(s): {list(left.shape[1:])} x {list(right.shape[1:])}."
        )
    kind = np.result_type(one, two)
    if len(one) > 1 and one.strides[0] == 0:
        return _times_constant(two.swapaxes(1, 2), one[0].T, kind).swapaxes(1, 2)
    if len(two) > 1 and two.strides[0] == 0:
        return _times_constant(one, two[0], kind)
    return np.asarray(np.matmul(one.astype(kind, copy=False), two.astype(kind, copy=False)))


def _times_constant(values: Values, matrix: Values, kind: np.dtype[Any]) -> Values:
    """Multiply `(n, rows, k)` by one `(k, columns)`, in strips: one call of BLAS each."""
    count, rows, inner = values.shape
    factor = np.ascontiguousarray(matrix, kind)
    result = np.empty((count, rows, factor.shape[1]), kind)
    strip = max(1, PRODUCT_BYTES // max(1, rows * inner * kind.itemsize))
    for first in range(0, count, strip):
        part = values[first : first + strip].astype(kind, copy=False)
        out = part.reshape(-1, inner) @ factor
        result[first : first + strip] = out.reshape(len(part), rows, -1)
    return result


def identity(size: int, where: str) -> Values:
    """Return the identity matrix, whole numbers."""
    if not 1 <= size <= 1000:
        raise bad_request(f"{where}: 'size' must be from 1 to 1000. Got {size}.")
    return np.eye(size, dtype=np.int64)


def square(values: Values, where: str) -> Values:
    """Return square matrices as doubles.

    Raises:
        ServiceError: 400: they are not square.
    """
    found = matrices(values, where)
    if found.shape[1] != found.shape[2]:
        raise bad_request(f"{where}: The matrix must be square. Got {list(values.shape[1:])}.")
    return found.astype(np.float64)


def inverse(values: Values, where: str) -> Values:
    """Invert square matrices."""
    found = square(values, where)
    try:
        return np.asarray(np.linalg.inv(found))
    except np.linalg.LinAlgError as error:
        raise bad_request(f"{where}: The matrix is singular.") from error


def pseudo_inverse(values: Values, where: str) -> Values:
    """Return Moore-Penrose pseudo-inverses."""
    return np.asarray(np.linalg.pinv(matrices(values, where).astype(np.float64)))


def solved(left: Values, right: Values, where: str) -> Values:
    """Solve A x = B, in the sense of least squares where A has more rows than columns."""
    a = matrices(left, where).astype(np.float64)
    b = matrices(right, where).astype(np.float64)
    if a.shape[1] != b.shape[1]:
        raise bad_request(
            f"{where}: Both matrices need as many rows. Got {list(left.shape[1:])} and "
            f"{list(right.shape[1:])}."
        )
    if a.shape[1] != a.shape[2]:
        return np.asarray(np.matmul(np.linalg.pinv(a), b))
    try:
        return np.asarray(np.linalg.solve(a, b))
    except np.linalg.LinAlgError as error:
        raise bad_request(f"{where}: The matrix is singular.") from error


def diagonal(values: Values, where: str) -> Values:
    """Return the diagonals of matrices, each as one column."""
    return np.asarray(np.diagonal(matrices(values, where), axis1=1, axis2=2)[:, :, None])


def to_diagonal(values: Values, where: str) -> Values:
    """Return square matrices with the numbers of single columns on their diagonals."""
    column = matrices(values, where)
    if column.shape[2] != 1:
        raise bad_request(f"{where}: A single column is needed. Got {list(values.shape[1:])}.")
    return np.asarray(column * np.eye(column.shape[1], dtype=values.dtype))


def determinant(values: Values, where: str) -> Values:
    """Return determinants."""
    return np.asarray(np.linalg.det(square(values, where)))


def trace(values: Values, where: str) -> Values:
    """Return the sums of diagonals."""
    return np.asarray(np.trace(square(values, where), axis1=1, axis2=2))


def norm(values: Values, where: str) -> Values:
    """Return Frobenius norms."""
    found = matrices(values, where).astype(np.float64)
    return np.asarray(np.sqrt((found * found).sum(axis=(1, 2))))


def dot(left: Values, right: Values, where: str) -> Values:
    """Return the dot products of arrays of one dimension."""
    if left.ndim != 2 or left.shape[1:] != right.shape[1:]:
        raise bad_request(
            f"{where}: Two arrays of 1 dimension and equal length are needed. Got "
            f"{list(left.shape[1:])} and {list(right.shape[1:])}."
        )
    return np.asarray((left * right).sum(axis=1))


def by_parameters(
    function: Callable[..., Values], values: Sequence[Values], parameters: Values
) -> Values:
    """Call a function once for each set of parameters that pixels have.

    Args:
        function: `(*values, parameters (p,)) -> values`.
        values: Arrays `(n, *array)`.
        parameters: `(n, p)`.
    """
    rows, place = np.unique(parameters, axis=0, return_inverse=True)
    if len(rows) == 1:
        return function(*values, rows[0])
    made = objects([None] * len(parameters))
    for index, row in enumerate(rows):
        members = np.flatnonzero(place.reshape(-1) == index)
        found = function(*(one[members] for one in values), row)
        for member, one in zip(members, found, strict=True):
            made[member] = one
    return made
