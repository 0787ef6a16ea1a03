"""Surface-water mapping: from an area on the map to a trained network and water maps.

    import water_gee
    water_gee.download_tiles((149.05, -35.35, 149.20, -35.25))
    model = water_gee.train()
    water_gee.deploy_to_gee(model, "projects/my-project/assets/water")

Names are loaded on first use: importing the package loads neither TensorFlow nor `ee`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from water_gee import errors
from water_gee._version import __version__
from water_gee.errors import WaterGeeError, WaterGeeWarning

if TYPE_CHECKING:
    from water_gee.deploy.build_ee import to_ee
    from water_gee.deploy.export import deploy_to_gee
    from water_gee.deploy.javascript import to_javascript
    from water_gee.deploy.plan import plan_deployment
    from water_gee.deploy.registering import register_network
    from water_gee.imagery.download import download_tiles
    from water_gee.imagery.recipe import Recipe
    from water_gee.mapping.compare import compare
    from water_gee.mapping.evaluate import evaluate
    from water_gee.mapping.points import draw_points
    from water_gee.mapping.pointscores import evaluate_points
    from water_gee.mapping.predict import predict
    from water_gee.mapping.series import series
    from water_gee.mapping.vectors import polygons
    from water_gee.session import connect
    from water_gee.training.fit import train
    from water_gee.training.labels import denoise_labels
    from water_gee.workflow import run

_HOME = {
    "Recipe": "water_gee.imagery.recipe",
    "compare": "water_gee.mapping.compare",
    "connect": "water_gee.session",
    "denoise_labels": "water_gee.training.labels",
    "deploy_to_gee": "water_gee.deploy.export",
    "download_tiles": "water_gee.imagery.download",
    "draw_points": "water_gee.mapping.points",
    "evaluate": "water_gee.mapping.evaluate",
    "evaluate_points": "water_gee.mapping.pointscores",
    "plan_deployment": "water_gee.deploy.plan",
    "polygons": "water_gee.mapping.vectors",
    "predict": "water_gee.mapping.predict",
    "register_network": "water_gee.deploy.registering",
    "run": "water_gee.workflow",
    "series": "water_gee.mapping.series",
    "to_ee": "water_gee.deploy.build_ee",
    "to_javascript": "water_gee.deploy.javascript",
    "train": "water_gee.training.fit",
}

__all__ = [
    "Recipe",
    "WaterGeeError",
    "WaterGeeWarning",
    "__version__",
    "compare",
    "connect",
    "denoise_labels",
    "deploy_to_gee",
    "download_tiles",
    "draw_points",
    "errors",
    "evaluate",
    "evaluate_points",
    "plan_deployment",
    "polygons",
    "predict",
    "register_network",
    "run",
    "series",
    "to_ee",
    "to_javascript",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'water_gee' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
