"""A map for each of several scenes, and a table of what became of them."""

from __future__ import annotations

import csv
import io
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee.errors import RasterError, ScenesFailedError, WaterGeeError, WriteFailedError
from water_gee.files import refuse_write, write_bytes
from water_gee.imagery.store import TileStore
from water_gee.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from water_gee.mapping.predict import Mapper

SUMMARY = "maps.csv"

ON_A_CLUSTER = 4
"""Scenes whose parts a cluster has at once, so that its workers need not wait for assembly."""


@dataclass(slots=True)
class Row:
    """What became of a scene.

    Attributes:
        scene: As it was given.
        map: The map's name in the folder.
        state: `mapped`, `kept` (made by an earlier call) or `failed`.
        seconds: It took.
        error: What was wrong, or empty.
        key: All that the map's pixels depend on.
    """

    scene: str
    map: str
    state: str = "failed"
    seconds: float = 0.0
    error: str = ""
    key: str = ""


def map_scenes(mapper: Mapper, sources: Sequence[Path | str | TileStore], folder: Path) -> Path:
    """Map every scene, whatever becomes of the others; see `predict`.

    A scene that an earlier call has mapped, with the same model from the same pixels, is kept.

    Returns:
        The folder, with the maps and `maps.csv`.

    Raises:
        ScenesFailedError: Some have no map.
        RasterError: No scenes, two of one name, or a folder that cannot be made.
    """
    names = _names(sources)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise RasterError(f"{folder} is a file; several maps need a folder") from error
    except OSError as error:
        refuse_write(folder, error)
    before = {row.scene: row for row in _read(folder / SUMMARY)}
    rows: dict[str, Row] = {}

    def one(source: Any, name: str) -> Row:
        row = Row(str(source.path if isinstance(source, TileStore) else source), name)
        began = time.monotonic()
        try:
            _one(mapper, source, folder / name, row, before.get(row.scene))
        except WriteFailedError:
            raise  # the other maps go to the same disk
        except (WaterGeeError, OSError) as error:
            row.error = " ".join(str(error).split())
        row.seconds = round(time.monotonic() - began, 1)
        return row

    threads = 1 if mapper.cluster is None else ON_A_CLUSTER
    pool = ThreadPoolExecutor(threads, "water_gee-scene") if threads > 1 else None
    try:
        pairs = list(zip(sources, names, strict=True))
        done: Iterable[Row] = (
            pool.map(lambda pair: one(*pair), pairs) if pool else (one(*pair) for pair in pairs)
        )
        for row in done:
            rows[row.scene] = row
            # Rows of an earlier call stay until their turn comes, so that a kill loses none.
            _write(folder / SUMMARY, {**before, **rows}.values())
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    _write(folder / SUMMARY, rows.values())
    failures = {row.scene: row.error for row in rows.values() if row.state == "failed"}
    if failures:
        raise ScenesFailedError(failures, len(rows), folder / SUMMARY)
    return folder


def _one(mapper: Mapper, source: Any, target: Path, row: Row, before: Row | None) -> None:
    with mapper.opened(source) as features:
        row.key = mapper.key(features)
        made = [output.path for output in mapper.outputs(target, features)]
    if (
        before is not None
        and before.state != "failed"
        and (before.key, before.map) == (row.key, row.map)
        and all(path.exists() for path in made)
    ):
        row.state = "kept"
        return
    mapper.map(source, target)
    row.state = "mapped"


def _names(sources: Sequence[Path | str | TileStore]) -> list[str]:
    """A map's name for each scene: the file's, with the folder's where that is not enough.

    Raises:
        RasterError: No scenes, or two that no name tells apart.
    """
    if not sources:
        raise RasterError("no scenes to map; give one source or more")
    if any(isinstance(source, Session) for source in sources):
        raise RasterError("a session is no scene; map it alone, into a file")
    paths = [source.path if isinstance(source, TileStore) else Path(source) for source in sources]
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}_{path.stem}" for path in paths]
    twice = [str(path) for path, name in zip(paths, names, strict=True) if names.count(name) > 1]
    if twice:
        raise RasterError(f"{twice[0]} and {twice[1]} would get maps of one name; map them apart")
    return [f"{name}_water.tif" for name in names]


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    names = [field.name for field in fields(Row)]
    with path.open(newline="", encoding="utf-8") as handle:
        lines = [[line.get(name) or "" for name in names] for line in csv.DictReader(handle)]
    return [Row(scene, name, state, 0.0, error, key) for scene, name, state, _, error, key in lines]


def _write(path: Path, rows: Iterable[Row]) -> None:
    text = io.StringIO()
    table = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_bytes(path, text.getvalue().encode())
