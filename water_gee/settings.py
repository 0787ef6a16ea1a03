"""What a run is asked for: one TOML file, or options, or both, checked and made whole.

    aoi = [149.05, -35.35, 149.20, -35.25]   # or a file, wrs:PATH/ROW, ..., or several
    out = "canberra"
    scenes = ["LC08_L2SP_090085_20190205_02_T1.tar"]
    dem = "dem.tif"                          # or an asset id, or "none"
    asset_id = "projects/my-project/assets/water"
    seed = 0
    epochs = 40
    threads = 8
    deploy = true
    project = "my-project"                   # or url, or catalog

    [recipe]
    sensors = ["landsat8"]
    years = [2019]
    months = [1, 2]

Paths in the file are relative to the file. An option given beside the file beats it.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee.errors import RecipeError
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.vector_files import exists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_THREADS = 8

KEYS: dict[str, tuple[type, ...]] = {
    "aoi": (str, list, dict),
    "scenes": (str, list),
    "out": (str,),
    "recipe": (dict,),
    "dem": (str,),
    "asset_id": (str,),
    "seed": (int,),
    "epochs": (int,),
    "threads": (int,),
    "deploy": (bool,),
    "project": (str,),
    "url": (str,),
    "catalog": (str,),
}
"""What the file may hold, and of which TOML types."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run, as asked for.

    Attributes:
        aoi: Anything `read_aoi` takes; None with scenes: all that they cover.
        scenes: Folders, archives and GeoTIFFs to ingest first; empty: what the session serves.
        out: The folder of results.
        recipe: Fields of the recipe that were given; with scenes the others come from them.
        dem: An elevation GeoTIFF to ingest, an asset id, `none`, or None: as the recipe says.
        asset_id: Where to deploy; None: `projects/PROJECT/assets/NAME OF OUT`.
        seed: Of everything random.
        epochs: At most so many of training; None: as `train` has it.
        threads: Tiles fetched at the same time.
        deploy: Whether to deploy at all.
        project: A Google Cloud project.
        url: A server that speaks the Earth Engine REST API.
        catalog: An emulator's folder.
    """

    aoi: Any
    scenes: tuple[Path, ...]
    out: Path
    recipe: Mapping[str, Any]
    dem: Path | str | None
    asset_id: str | None
    seed: int
    epochs: int | None
    threads: int
    deploy: bool
    project: str | None
    url: str | None
    catalog: Path | None


def order(config: Path | str | None, given: Mapping[str, Any]) -> Order:
    """Join a TOML file and options into what is asked for.

    Args:
        config: The file, or None.
        given: Options under the names of `KEYS`; None: not given.

    Raises:
        RecipeError: An unreadable file, an unknown key, a value of the wrong type, no `out`, or
            neither area nor scenes.
    """
    values = read(config) if config is not None else {}
    options = {name: value for name, value in given.items() if value is not None}
    recipe = _recipe_fields(values.pop("recipe", {})) | _recipe_fields(options.pop("recipe", {}))
    values |= options
    if values.get("out") is None:
        raise RecipeError("a run needs `out`, the folder its results go to")
    scenes = _paths(values.get("scenes") or ())
    if values.get("aoi") is None and not scenes:
        raise RecipeError("a run needs an area (`aoi`) or scenes (`scenes`) to work on")
    return Order(
        aoi=values.get("aoi"),
        scenes=scenes,
        out=Path(values["out"]),
        recipe=recipe,
        dem=values.get("dem"),
        asset_id=values.get("asset_id"),
        seed=_whole("seed", values.get("seed", 0), 0),
        epochs=_whole("epochs", values["epochs"], 1) if "epochs" in values else None,
        threads=_whole("threads", values.get("threads", DEFAULT_THREADS), 1),
        deploy=bool(values.get("deploy", True)),
        project=values.get("project"),
        url=values.get("url"),
        catalog=Path(values["catalog"]) if values.get("catalog") else None,
    )


def read(path: Path | str) -> dict[str, Any]:
    """Read a run's TOML file; its paths come out relative to the current folder, or absolute.

    Raises:
        RecipeError: It cannot be read, or holds something a run does not know.
    """
    plain = read_toml(path)
    for key, value in plain.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; it may hold {', '.join(KEYS)}"
            raise RecipeError(f"{path}: unknown key {key!r}{meant}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, bool) and key != "deploy"):
            wanted = " or ".join(kind.__name__ for kind in KEYS[key])
            raise RecipeError(f"{path}: {key} must be {wanted}, not {type(value).__name__}")
    folder = Path(path).parent
    for key in ("out", "catalog"):
        if key in plain:
            plain[key] = folder / plain[key]
    if "scenes" in plain:
        plain["scenes"] = [folder / scene for scene in _paths(plain["scenes"])]
    for key in ("aoi", "dem"):
        if key in plain:
            value = plain[key]
            several = isinstance(value, list)
            found = [_found(folder, each) for each in (value if several else [value])]
            plain[key] = found if several else found[0]
    return plain


def _found(folder: Path, value: Any) -> Any:
    """A value, or the path to the file of that name in a folder."""
    if isinstance(value, str) and value.strip() and exists(folder / value):
        return folder / value
    return value


def read_recipe(path: Path | str) -> dict[str, Any]:
    """Read a recipe's fields from a TOML file, from its table `[recipe]` where it has one.

    Raises:
        RecipeError: It cannot be read, or holds something a recipe does not have.
    """
    plain = read_toml(path)
    return _recipe_fields(plain.get("recipe", plain))


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        RecipeError: There is none, or it is no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is no TOML: {error}") from error


def _recipe_fields(given: Recipe | Mapping[str, Any] | Path | str) -> dict[str, Any]:
    if isinstance(given, Recipe):
        return given.to_dict()
    if isinstance(given, str | Path):
        return read_recipe(given)
    if not hasattr(given, "items"):
        raise RecipeError(f"recipe: a Recipe, a mapping or a TOML file, not {given!r}")
    fields = dict(given)
    Recipe.from_dict(fields)  # refuses what no recipe has
    return fields


def _paths(given: Any) -> tuple[Path, ...]:
    values: Sequence[Any] = (given,) if isinstance(given, str | Path) else given
    return tuple(Path(value) for value in values)


def _whole(name: str, value: Any, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise RecipeError(f"{name}: a whole number from {low} up, not {value!r}")
    return value
