"""Reducers applied to lists and tables of plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.compare import comparable
from water_gee.emulator.regional import plain
from water_gee.emulator.registry import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.emulator.values import Reducer


def reduce_rows(
    reducer: Reducer,
    rows: Sequence[Sequence[Any]],
    where: str,
    weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Reduce rows of one value for each of the reducer's inputs.

    Args:
        reducer: The reducer.
        rows: Rows with a null in them are left out.
        where: The function, for messages.
        weights: One per row; 1 where None.

    Returns:
        The outputs by name; null where there is nothing to tell.

    Raises:
        ServiceError: 400: a value is no number.
    """
    factors = [1.0] * len(rows) if weights is None else weights
    kept = [(row, w) for row, w in zip(rows, factors, strict=True) if None not in row]
    if any(len(row) != reducer.inputs for row, _ in kept):
        raise bad_request(f"{where}: the reducer needs {reducer.inputs} input(s) for each element.")
    stacks = [column([row[place] for row, _ in kept], where) for place in range(reducer.inputs)]
    mask = None if weights is None else np.array([weight for _, weight in kept], np.float64)
    with np.errstate(all="ignore"):
        outputs = reducer.reduce(*stacks, mask)
    return {
        name: plain(values, observed)
        for name, (values, observed) in zip(reducer.outputs, outputs, strict=True)
    }


def column(values: Sequence[Any], where: str) -> npt.NDArray[Any]:
    """Return values as an array: of whole numbers, of doubles, or of objects that are no numbers.

    Raises:
        ServiceError: 400: numbers among other things.
    """
    plain_values = [comparable(value) for value in values]
    numbers = [isinstance(value, (int, float)) for value in plain_values]
    if all(numbers):
        whole = all(isinstance(value, int) for value in plain_values) and plain_values
        return np.array(plain_values, np.int64 if whole else np.float64)
    if any(numbers):
        raise bad_request(f"{where}: numbers and other values cannot be reduced together.")
    result = np.empty(len(plain_values), object)
    result[:] = plain_values
    return result
