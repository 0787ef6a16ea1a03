"""The network of a deployment: where its recipe comes from, in which form it is written."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ee import data

from water_gee.deploy import assets, costs, read_h5, tasks, weights
from water_gee.deploy.build_ee import prepared, read_graph, to_ee
from water_gee.deploy.layers import extents
from water_gee.deploy.service import asking
from water_gee.errors import DeployError, ExportFailedError, ModelError
from water_gee.training.model import MEMBER, TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ee

    from water_gee.deploy.graph import LayerGraph
    from water_gee.imagery.recipe import Recipe


def resolve_with(model: Any, recipe: Recipe | None) -> TrainedModel:
    """A model with its recipe: its own, or for a network that has none the one given.

    Args:
        model: A trained model or its file; with `recipe` also a bare network, or the file of one.
        recipe: How the features of a bare network are made, in the order in which it reads them.

    Raises:
        DeployError: A recipe for a model that has one, or none for a file that has none.
        ModelError: No model there, or a network of another number of features.
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    if recipe is None:
        if read_h5.is_h5(model) and Path(model).is_file():
            raise DeployError(
                f"{model} is a network without a recipe: nothing says how its features are made; "
                "give recipe=Recipe(...)"
            )
        return resolve(model)
    if isinstance(model, TrainedModel) or _has_recipe(model):
        raise DeployError("the model has a recipe of its own; leave `recipe` out")
    network = model
    if read_h5.is_h5(model):
        network = read_h5.read(model)
    elif isinstance(model, str | Path):
        network = _keras(Path(model))
    graph = read_graph(network)
    channels = graph.input.attributes["channels"]
    if channels != len(recipe.features):
        raise ModelError(
            f"the network takes {channels} features, the recipe has {len(recipe.features)}: "
            f"{', '.join(recipe.features)}"
        )
    extents(graph)
    path = Path(model) if isinstance(model, str | Path) else None
    return TrainedModel(network, recipe, {}, path)


def _has_recipe(model: Any) -> bool:
    """Whether this is the file of a trained model."""
    if not isinstance(model, str | Path) or not zipfile.is_zipfile(model):
        return False
    with zipfile.ZipFile(model) as members:
        return MEMBER in members.namelist()


def _keras(source: Path) -> Any:
    if not source.is_file():
        raise ModelError(f"there is no model at {source}")
    from water_gee.training.backend import keras

    try:
        return keras.saving.load_model(source, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"{source} holds no network that Keras can load: {line}") from error


class Written:
    """A network in the form in which it is deployed.

    Args:
        graph: As it was read.
        form: `kernels`, `matrix`, `assets` or `auto`.
        digits: Significant digits of the weights, None for all.
        target: The deployment's asset id; a table of weights lies beside it.
    """

    def __init__(self, graph: LayerGraph, form: str, digits: int | None, target: str) -> None:
        self.graph, self.digits = graph, digits
        self.form = form
        self.made_table = False
        self._target = target
        self._table: str | None = None

    def choose(self, features: ee.Image) -> None:
        """Choose a form that the service takes, where none was asked for.

        Raises:
            DeployError: None fits.
        """
        found = costs.estimate(self.graph, self.form, image=features, digits=self.digits)
        if found.chosen is None:
            raise DeployError(
                "the network is too large for every form; round its weights (digits=4), or use a "
                "smaller one"
            )
        self.form = found.chosen

    def store(self, known: Mapping[str, tasks.Known], attempts: int) -> None:
        """Have the weights stored, where the form reads them from a table, and wait for it.

        Raises:
            ExportFailedError: The task ended without the table.
            DeployError: The service refused.
        """
        if self.form != "assets":
            return
        digest = prepared(self.graph, self.digits).digest()
        table = f"{self._target}_weights_{digest[:12]}"
        # Named by what it holds: another network's weights lie elsewhere.
        self._table = assets.check_id(table)
        if assets.look_up(table) is not None:
            return
        about = known.get(f"weights of {digest[:12]}")
        operation = about.active[0] if about is not None and about.active is not None else None
        message = "no attempt was made"
        for _ in range(attempts):
            if operation is None:
                task = weights.store_weights(self.graph, table, digits=self.digits)
                operation = str(task.operation_name)
                self.made_table = True
            message = _wait(operation, table) or "its task ended, but it is not there"
            if assets.look_up(table) is not None:
                return
            operation = None
            if tasks.remedy(message) != "again":
                break
        raise ExportFailedError({table: message})

    def forget(self) -> None:
        """Remove the table that was stored for a deployment that was then refused."""
        if self.made_table and self._table is not None and assets.look_up(self._table) is not None:
            assets.remove(self._table)

    def image(self, features: ee.Image, bands: list[str]) -> ee.Image:
        """The network over an image of its features."""
        water = to_ee(
            self.graph, features, form=self.form, digits=self.digits, weights_asset=self._table
        )
        chosen: ee.Image = water.select(bands)
        return chosen


def _wait(operation: str, table: str) -> str | None:
    """Wait for a task; returns what went wrong."""
    begun = time.monotonic()
    while True:
        with asking(f"cannot ask for the task of {table}"):
            found = data.getOperation(operation)
        if tasks.has_ended(found):
            return tasks.why(found)
        waited = time.monotonic() - begun
        time.sleep(min(max(waited / 10, tasks.FIRST_POLL), tasks.LONGEST_POLL))
