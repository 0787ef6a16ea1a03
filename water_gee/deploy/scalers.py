"""Scalers of scikit-learn that stand before a model in a pipeline: numbers, channel by channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy.ensemble import Step
from water_gee.deploy.model_kinds import fitted, kind_of, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable


def scaler_steps(scaler: Any) -> tuple[Step, ...]:
    """What a fitted scaler does to each feature, step by step as it does it.

    Args:
        scaler: A `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler` or `RobustScaler`.

    Raises:
        UnsupportedLayerError: Something else.
        DeployError: It is not fitted.
    """
    kind = kind_of(scaler, SCALERS)
    if kind is None:
        known = ", ".join(name.partition(".")[2] for name in SCALERS)
        raise unsupported(scaler, f"it cannot stand before the model; known: {known}")
    return SCALERS[kind](scaler)


def _standard(scaler: Any) -> tuple[Step, ...]:
    fitted(scaler, "scale_")
    # It brings its numbers to the type of the features, which have 32 bits, before it uses them.
    mean, scale = (
        None if one is None else np.asarray(one, np.float32)
        for one in (scaler.mean_ if scaler.with_mean else None, scaler.scale_)
    )
    return _centred(mean, scale)


def _robust(scaler: Any) -> tuple[Step, ...]:
    fitted(scaler, "scale_" if scaler.with_scaling else "center_")
    centre = scaler.center_ if scaler.with_centering else None
    return _centred(centre, scaler.scale_ if scaler.with_scaling else None)


def _centred(centre: Any, scale: Any) -> tuple[Step, ...]:
    found = (("subtract", centre), ("divide", scale))
    return tuple(Step(how, np.asarray(by, np.float64)) for how, by in found if by is not None)


def _largest(scaler: Any) -> tuple[Step, ...]:
    _refuse_clipping(scaler)
    return (Step("divide", np.asarray(fitted(scaler, "scale_"), np.float64)),)


def _span(scaler: Any) -> tuple[Step, ...]:
    _refuse_clipping(scaler)
    scale = np.asarray(fitted(scaler, "scale_"), np.float64)
    return (Step("multiply", scale), Step("add", np.asarray(scaler.min_, np.float64)))


def _refuse_clipping(scaler: Any) -> None:
    if getattr(scaler, "clip", False):
        raise unsupported(scaler, "it clips; make it with clip=False")


SCALERS: dict[str, Callable[[Any], tuple[Step, ...]]] = {
    "sklearn.StandardScaler": _standard,
    "sklearn.MinMaxScaler": _span,
    "sklearn.MaxAbsScaler": _largest,
    "sklearn.RobustScaler": _robust,
}
"""By library and class."""
