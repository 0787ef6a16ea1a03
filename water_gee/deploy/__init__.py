"""From a trained network to an Earth Engine expression and its assets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from water_gee.deploy.costs import Cost, Estimate, estimate

__all__ = ["Cost", "Estimate", "estimate"]


def __getattr__(name: str) -> Any:
    """Load the estimate, and Earth Engine with it, when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from water_gee.deploy import costs

    return getattr(costs, name)
