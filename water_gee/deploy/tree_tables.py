"""The text of trees kept in tables on Earth Engine, for ensembles that no request holds.

Each table is one export, small enough for a request, of whole trees: the service reads a string of
many trees as it reads many strings. Rows carry the digest of the model they belong to, and only
rows of that digest are read: a table that another model replaced gives no map, not a wrong one.

    digest  of all strings of the model
    output  which class's, or 0
    part    0, 1, ...: the order of the texts
    text    at most 100,000 characters
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
from ee import batch

from water_gee.deploy.assets import check_id
from water_gee.deploy.service import asking
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_TEXT = 100_000
"""Characters of one string in a table (developers.google.com/earth-engine/guides/table_upload)."""

MAX_TABLE_BYTES = 9_000_000
"""Of the text that one export carries; a request takes 10,485,760 bytes."""

ROW_BYTES = 600
"""Of a row beside its text, at most: its digest, its place, the calls that make it."""

FUNCTIONS = frozenset(
    {
        "AggregateFeatureCollection.array", "AggregateFeatureCollection.count", "Collection",
        "Collection.filter", "Collection.limit", "Collection.loadTable", "Feature",
        "Filter.equals", "GeometryConstructors.Point", "List.join",
    }
)  # fmt: skip
"""What is called beyond `trees.EE_FUNCTIONS`, by the names on the wire."""


@dataclass(frozen=True, slots=True)
class Row:
    """A part of the text of one output."""

    output: int
    part: int
    text: str


@dataclass(frozen=True, slots=True)
class Tables:
    """A model's text, laid out in tables.

    Attributes:
        digest: Of all its strings.
        rows: One sequence for each table; no tree is cut between tables.
    """

    digest: str
    rows: tuple[tuple[Row, ...], ...]

    def names(self, asset_id: str) -> list[str]:
        """The asset ids: the one given, and `_2`, `_3`, ... behind it."""
        target = check_id(asset_id)
        return [target, *(f"{target}_{number}" for number in range(2, len(self.rows) + 1))]

    def texts(self, asset_id: str, output: int) -> ee.List:
        """The strings of one output, as the service reads them."""
        strings = []
        for name, rows in zip(self.names(asset_id), self.rows, strict=True):
            if any(row.output == output for row in rows):
                own = self._own(name).filter(ee.Filter.eq("output", output)).sort("part")
                strings.append(ee.String(ee.List(own.aggregate_array("text")).join("")))
        return ee.List(strings)

    def _own(self, name: str) -> ee.FeatureCollection:
        chosen: ee.FeatureCollection = ee.FeatureCollection(name).filter(
            ee.Filter.eq("digest", self.digest)
        )
        return chosen

    def check(self, asset_id: str) -> None:
        """Make sure that the tables are there, whole.

        Raises:
            AssetIdError: The id is malformed.
            DeployError: One is not there, or holds something else.
            SessionError: The service is gone.
        """
        names = self.names(asset_id)
        remedy = f'store them with water_gee.deploy.tree_tables.store_trees(model, "{names[0]}")'
        counts = ee.List([self._own(name).aggregate_count("part") for name in names])
        with asking(f"no trees in {names[0]} ({remedy})"):
            found: Any = counts.getInfo()
        for name, rows, count in zip(names, self.rows, found, strict=True):
            if int(count) != len(rows):
                raise DeployError(
                    f"{name} holds {int(count)} of the {len(rows)} rows of this model; {remedy}"
                )


def tables_of(strings: Mapping[int, Sequence[str]]) -> Tables:
    """Lay the strings of each output out in tables.

    Args:
        strings: Output -> its strings.

    Raises:
        DeployError: A single tree is larger than a request.
    """
    digest = hashlib.sha256(json.dumps(sorted(strings.items())).encode()).hexdigest()
    tables: list[tuple[Row, ...]] = []
    group: list[tuple[int, str]] = []
    held = 0
    for output, texts in sorted(strings.items()):
        for text in texts:
            size = _bytes(text)
            if size > MAX_TABLE_BYTES:
                raise DeployError(
                    f"the text of one tree takes {size:,} bytes, and a request 10,485,760; train "
                    "smaller trees (max_leaf_nodes, max_depth, min_samples_leaf)"
                )
            if group and held + size > MAX_TABLE_BYTES:
                tables.append(_rows(group))
                group, held = [], 0
            group.append((output, text))
            held += size
    return Tables(digest, (*tables, _rows(group)))


def _bytes(text: str) -> int:
    """In a request, where the end of a line is two characters; and its share of a row."""
    return len(text) + text.count("\n") + ROW_BYTES * (len(text) // MAX_TEXT + 1)


def _rows(group: Sequence[tuple[int, str]]) -> tuple[Row, ...]:
    return tuple(_parts(group))


def _parts(group: Sequence[tuple[int, str]]) -> Iterator[Row]:
    """Join the trees of each output, and cut them where a row is full."""
    for output in sorted({output for output, _ in group}):
        whole = "".join(text for one, text in group if one == output)
        for part, first in enumerate(range(0, len(whole), MAX_TEXT)):
            yield Row(output, part, whole[first : first + MAX_TEXT])


def store_trees(
    model: Any, asset_id: str, *, water_class: Any = None, overwrite: bool = False
) -> tuple[batch.Task, ...]:
    """Start the exports of a model's trees to table assets.

    Args:
        model: As `trees.trees_to_ee` takes it.
        asset_id: `projects/YOUR-PROJECT/assets/...`: where the first table goes; its folder
            stands. Further tables end in `_2`, `_3`, ...
        water_class: As in `trees_to_ee`.
        overwrite: Whether tables that stand there may be replaced.

    Returns:
        The tasks, started. Once all have succeeded, `trees_to_ee(model, image,
        trees_asset=asset_id)` gives the map.

    Raises:
        AssetIdError: The id is malformed.
        UnsupportedLayerError: No model of trees, or one that cannot be written.
        DeployError: A tree larger than a request, or the service refused.
    """
    from water_gee.deploy.trees import strings_of

    tables = tables_of(strings_of(model, water_class))
    tasks = []
    for number, (name, rows) in enumerate(zip(tables.names(asset_id), tables.rows, strict=True)):
        # A table's rows need a geometry: the service exports none without.
        place = ee.Geometry.Point([0, 0])
        features = [
            ee.Feature(
                place,
                {"digest": tables.digest, "output": row.output, "part": row.part, "text": row.text},
            )
            for row in rows
        ]
        task = batch.Export.table.toAsset(
            collection=ee.FeatureCollection(features),
            description=f"trees of {tables.digest[:12]} {number + 1} of {len(tables.rows)}",
            assetId=name,
            overwrite=overwrite,
        )
        with asking(f"cannot store trees in {name}"):
            task.start()
        tasks.append(task)
    return tuple(tasks)
