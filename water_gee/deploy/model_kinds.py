"""Which library's model something is, without importing any of the libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from water_gee.errors import DeployError, UnsupportedLayerError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence


def kind_of(model: Any, known: Container[str]) -> str | None:
    """The `library.Class` of a model, or of what it is derived from, if it is known.

    Args:
        model: Anything.
        known: Such names, for example `sklearn.Pipeline`.
    """
    for base in type(model).__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in known:
            return name
    return None


def unpacked(model: Any) -> tuple[tuple[Any, ...], Any]:
    """What a scikit-learn `Pipeline` does first, and the model at its end.

    Returns:
        `((), model)` of anything else. Steps that do nothing are left out.
    """
    if kind_of(model, ("sklearn.Pipeline",)) is None:
        return (), model
    steps = [step for _, step in model.steps if step is not None and step != "passthrough"]
    before: list[Any] = []
    for step in steps[:-1]:
        inner, last = unpacked(step)
        before += [*inner, last]
    inner, final = unpacked(steps[-1])
    return (*before, *inner), final


def library_of(model: Any) -> str:
    """The top package a model's class comes from."""
    return type(model).__module__.partition(".")[0]


def unsupported(model: Any, reason: str) -> UnsupportedLayerError:
    """The refusal of a model, by its kind."""
    return UnsupportedLayerError("model", type(model).__name__, reason)


def categorical(model: Any, feature: int) -> UnsupportedLayerError:
    """The refusal of a split by category."""
    return unsupported(
        model,
        f"it splits feature {feature} by category, and a tree's text only compares numbers; "
        "train with a band for each category",
    )


def fitted(model: Any, attribute: str) -> Any:
    """What a scikit-learn model has only once it is fitted.

    Raises:
        DeployError: It has not.
    """
    if not hasattr(model, attribute):
        raise DeployError(f"{type(model).__name__} is not fitted; call its fit() first")
    return getattr(model, attribute)


def names_of(model: Any) -> tuple[str, ...] | None:
    """What scikit-learn remembers of the names of the features."""
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def classes_of(model: Any) -> tuple[Any, ...] | None:
    """A classifier's classes as plain Python values, None of a regression.

    Raises:
        UnsupportedLayerError: Several targets.
    """
    classes = getattr(model, "classes_", None)
    if classes is None:
        return None
    if isinstance(classes, list):
        raise unsupported(model, "it has several targets; train one model for each")
    return tuple(one.item() if hasattr(one, "item") else one for one in classes)


def place_of_water(classes: Sequence[Any], water_class: Any = None) -> int:
    """The place of the water class among a model's classes.

    Args:
        classes: In the model's order.
        water_class: Which of them is water; None for 1, or one named «water» in any case.

    Raises:
        DeployError: There is none, or nobody can say which.
    """
    places = {
        index
        for index, one in enumerate(classes)
        if (_is_water(one) if water_class is None else one == water_class)
    }
    if len(places) == 1:
        return places.pop()
    said = "which class is water?" if water_class is None else f"no class is {water_class!r};"
    raise DeployError(f"{said} the model has {', '.join(map(repr, classes))}; give water_class=")


def _is_water(name: Any) -> bool:
    return name.lower() == "water" if isinstance(name, str) else bool(name == 1)
