"""A converted model of trees against the model itself, on the connected service.

What the service does with trees that come as text is said by few pages (`docs/decisions`); before
quota is spent on a map, one small window says whether it is what this package takes it to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.deploy import read_trees
from water_gee.deploy.model_kinds import place_of_water
from water_gee.deploy.parity import BAR, Agreement, agree
from water_gee.deploy.service import fetch
from water_gee.deploy.trees import (
    PROBABILITY_BAND,
    VALUE_BAND,
    loaded,
    observed_features,
    trees_to_ee,
)
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ee

    from water_gee.windows import Grid


def check_trees(
    model: Any,
    image: ee.Image,
    grid: Grid,
    *,
    bands: Sequence[str] | None = None,
    water_class: Any = None,
    bar: float = BAR,
) -> Agreement:
    """Hold a converted model against what the model says of one window.

    Args:
        model: A fitted model of trees, as `trees.trees_to_ee` takes it.
        image: The features.
        grid: The window, small enough for one request: 64 x 64 pixels say enough.
        bands: As in `trees_to_ee`.
        water_class: As in `trees_to_ee`.
        bar: The largest difference of probabilities allowed; of a regression, in parts of its
            largest value where that is above 1.

    Returns:
        How many pixels were compared, and the largest difference.

    Raises:
        ParityError: They differ; it names the worst pixel of the window.
        DeployError: Nothing is observed there, or the service refused.
    """
    model = loaded(model)
    ensemble = read_trees.read(model)
    features = fetch(observed_features(ensemble, image, bands), grid, "the features")
    seen = np.isfinite(features).all(axis=0)
    if not seen.any():
        raise DeployError("no pixel of the window has all features; choose another window")
    said = ensemble.predict(features[:, seen].T)
    regression = ensemble.classes is None
    place = 0 if regression else place_of_water(ensemble.classes or (), water_class)
    expected = np.full(seen.shape, np.nan, np.float32)
    expected[seen] = said[:, place]
    made = trees_to_ee(model, image, bands=bands, water_class=water_class)
    band = VALUE_BAND if regression else PROBABILITY_BAND
    found = fetch(made.select([band]), grid, "the converted trees")[0]
    scale = max(1.0, float(np.abs(expected[seen]).max()))
    return agree(expected, found, bar * scale, "the model and the converted trees")
