"""A trained network with the recipe of its features and the record of its training, in one file.

The file is an ordinary `.keras` archive with one more member, `water_gee.json`. Any Keras 3 loads
it; this package refuses one without that member, since features made in another way give wrong
maps and no error.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from water_gee._version import __version__
from water_gee.errors import ModelError, RecipeError
from water_gee.files import write_bytes
from water_gee.imagery.recipe import Recipe
from water_gee.training.backend import keras
from water_gee.training.soundness import neutral

MEMBER = "water_gee.json"
"""The archive member with recipe and record."""

FORMAT = 1
"""Version of that member; a reader refuses newer ones."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A network that knows what its features are.

    Attributes:
        network: Keras model, `(n, h, w, band)` -> `(n, h - 2 halo, w - 2 halo, 2)`, channel 0 =
            water; its halo is what `network.halo` says, 3 of `pixel_cnn`.
        recipe: How the features it was trained on were made.
        record: Seed, scores, versions, ... of its training; plain JSON values.
        path: The file it was read from or written to; None for one in memory only.
    """

    network: keras.Model
    recipe: Recipe
    record: dict[str, Any]
    path: Path | None = None

    def digest(self) -> str:
        """SHA-256 of the weights in order, hexadecimal: equal for equal networks, however saved."""
        return weights_digest(self.network)


def weights_digest(network: keras.Model) -> str:
    """SHA-256 of a network's weights, names and shapes, hexadecimal.

    How a network saved by `scaling.finish` scales its features counts too: it is no weight.
    """
    total = hashlib.sha256()
    if neutral(network) is not None:
        first = network.layers[1]
        total.update(repr((first.scale, first.offset)).encode())
    for variable in network.weights:
        total.update(f"{variable.path}{tuple(variable.shape)}".encode())
        total.update(variable.numpy().tobytes())
    return total.hexdigest()


def save(trained: TrainedModel, path: Path | str) -> TrainedModel:
    """Write a model; the file appears whole or not at all.

    Args:
        trained: What to write.
        path: Where; the name must end in `.keras`.

    Returns:
        The same model with its path.

    Raises:
        ModelError: The name does not end in `.keras`, or its folder does not exist.
    """
    target = Path(path)
    check_target(target)
    about = {
        "format": FORMAT,
        "version": __version__,
        "recipe": trained.recipe.to_dict(),
        "record": trained.record,
    }
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "network.keras"
        trained.network.save(plain)
        archive = io.BytesIO(plain.read_bytes())
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as members:
        members.writestr(MEMBER, json.dumps(about, indent=1, sort_keys=True))
    write_bytes(target, archive.getvalue())
    return TrainedModel(trained.network, trained.recipe, trained.record, target)


def check_target(target: Path) -> None:
    """Refuse a place where no model can be written, before hours go into making one.

    Raises:
        ModelError: The name does not end in `.keras`, or its folder does not exist.
    """
    if target.suffix != ".keras":
        raise ModelError(f"a model file's name ends in .keras, not {target.name!r}")
    if not target.parent.is_dir():
        raise ModelError(f"cannot write {target}: the folder {target.parent} does not exist")


def load(path: Path | str) -> TrainedModel:
    """Read a model.

    Raises:
        ModelError: There is no such file, it is no Keras model, or it carries no recipe of ours.
    """
    source = Path(path)
    about = _read_about(source)
    try:
        recipe = Recipe.from_dict(about["recipe"])
    except (RecipeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{source} carries a recipe that cannot be read: {error}") from error
    try:
        network = keras.saving.load_model(source, compile=False)
    except Exception as error:  # Keras raises whatever its parts raise
        raise ModelError(
            f"{source} holds no network that Keras can load: {_line(error)}"
        ) from error
    record = about.get("record")
    trained = TrainedModel(network, recipe, record if isinstance(record, dict) else {}, source)
    _check_shape(trained, source)
    return trained


def resolve(model: TrainedModel | Path | str) -> TrainedModel:
    """Take a model as it is, or read it from its file.

    Raises:
        ModelError: As `load`, or the argument is neither.
    """
    if isinstance(model, TrainedModel):
        return model
    if isinstance(model, str | Path):
        return load(model)
    raise ModelError(
        f"expected a trained model or the path of one, not {type(model).__name__}; "
        "a bare Keras network has no recipe, wrap it in TrainedModel(network, recipe, {})"
    )


def _read_about(source: Path) -> dict[str, Any]:
    """The JSON member of a model file."""
    if not source.is_file():
        raise ModelError(f"there is no model at {source}; water_gee.train() makes one")
    if source.suffix.lower() in {".h5", ".hdf5"}:
        raise ModelError(
            f"{source} is a Keras 2 file, which does not say how its features are made; "
            "water_gee.deploy.read_h5.load(path, recipe) makes a model of it that can be saved"
        )
    try:
        with zipfile.ZipFile(source) as members:
            names = set(members.namelist())
            raw = members.read(MEMBER) if MEMBER in names else None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ModelError(f"{source} is no model file: {_line(error)}") from error
    if not {"config.json", "model.weights.h5"} <= names:
        raise ModelError(f"{source} is a zip archive, but no Keras model")
    if raw is None:
        raise ModelError(
            f"{source} is a Keras model without a recipe; train it with water_gee.train(), or "
            "save it with water_gee.training.model.save(TrainedModel(network, recipe, {}), path)"
        )
    try:
        about = json.loads(raw)
        newer = int(about["format"]) > FORMAT
        about = dict(about)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{source}: {MEMBER} cannot be read: {_line(error)}") from error
    if newer:
        raise ModelError(
            f"{source} was written by water_gee {about.get('version')}, newer than this one "
            f"({__version__}); update the package"
        )
    return about


def _check_shape(trained: TrainedModel, source: Path) -> None:
    """Refuse a network that does not fit its recipe's features."""
    shape = getattr(trained.network, "input_shape", None)
    bands = shape[-1] if isinstance(shape, tuple) and shape else None
    if bands != len(trained.recipe.features):
        raise ModelError(
            f"{source}: the network takes {bands} features, "
            f"its recipe has {len(trained.recipe.features)}"
        )
    made = trained.network.output_shape
    if not isinstance(made, tuple) or made[-1] not in (1, 2):
        raise ModelError(
            f"{source}: the network gives {made}; a map takes a softmax over (water, land), or one "
            "sigmoid"
        )


def _line(error: BaseException) -> str:
    """The first line of an error's message, shortened; or its kind."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
