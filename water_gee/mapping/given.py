"""What a user gave to be scored: a store, maps, probabilities, models, in any order."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping as Named
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee.errors import RasterError, StoreError
from water_gee.imagery.store import TileStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from water_gee.training.model import TrainedModel


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given to be scored, sorted.

    Attributes:
        store: A tile store, or None.
        rasters: Name -> file of a map or of probabilities.
        models: Name -> trained model, or its file.
    """

    store: TileStore | None
    rasters: Mapping[str, Path]
    models: Mapping[str, TrainedModel | Path]


@contextlib.contextmanager
def sorted_out(given: Any) -> Iterator[Sources]:
    """Sort what a user gave: stores by their folder, models by their ending, the rest are rasters.

    Args:
        given: One or several, or names with them.

    Raises:
        StoreError: A folder that is no store, or a second store.
        RasterError: Two of one name, or none at all.
    """
    with contextlib.ExitStack() as files:
        store: TileStore | None = None
        rasters: dict[str, Path] = {}
        models: dict[str, TrainedModel | Path] = {}
        for name, source in _named(given):
            if isinstance(source, TileStore):
                if store is not None:
                    raise StoreError(f"{source} is a second store; give one, and its folders")
                store = source
                continue
            if not isinstance(source, str | Path):
                _put(models, rasters, name if name is not None else "model", source)
                continue
            path = Path(source)
            if path.is_dir() or not (path.exists() or path.suffix):
                if store is not None:
                    raise StoreError(f"{path} is a second store; give one, and its folders")
                store = files.enter_context(TileStore.open(path))
                continue
            if not path.exists():
                raise RasterError(f"{path}: no such file or folder")
            shown = name if name is not None else path.stem
            if path.suffix == ".keras":
                _put(models, rasters, shown, path)
            else:
                _put(rasters, models, shown, path)
        if store is None and not rasters:
            what = "a model needs a store to map" if models else "nothing is given"
            raise RasterError(f"{what}: give a tile store, or maps")
        if store is None and models:
            raise RasterError(f"{next(iter(models))}: a model needs a store to map; give one, too")
        yield Sources(store, rasters, models)


def _put(into: dict[str, Any], other: Mapping[str, Any], name: str, source: Any) -> None:
    if name in into or name in other:
        raise RasterError(f"two rows are called {name!r}; name them, as NAME=FILE")
    into[name] = source


def _named(given: Any) -> Iterable[tuple[str | None, Any]]:
    if isinstance(given, Named):
        return [(str(name), source) for name, source in given.items()]
    if isinstance(given, list | tuple):
        return [pair for item in given for pair in _named(item)]
    name, equals, path = str(given).partition("=") if isinstance(given, str) else ("", "", "")
    if equals and not Path(str(given)).exists():
        return [(name, path)]
    return [(None, given)]
