"""The weights of a network as a table in Earth Engine, so that the expression itself is small.

A row holds a part of one layer's matrix as JSON text: its biases are the last column. Rows carry
the digest of the network they belong to, and only rows of that digest are read: a table that was
replaced by another network's gives no map at all, rather than a wrong one.

    digest  of the simplified network (`LayerGraph.digest`)
    layer   the name of the layer, and of the group of channels where there are several
    part    0, 1, ...: the parts of its text, in order
    text    at most 100,000 characters

Numbers are the shortest decimals that give the same float32 again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
from ee import batch, data

from water_gee.deploy.assets import check_id
from water_gee.deploy.kernels import numbers
from water_gee.deploy.limits import MAX_REQUEST_BYTES
from water_gee.deploy.matrix import rules
from water_gee.deploy.service import asking
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from water_gee.deploy.graph import LayerGraph
    from water_gee.training.model import TrainedModel

    Array = npt.NDArray[np.float32]

MAX_TEXT = 100_000
"""Characters of one string in a table (developers.google.com/earth-engine/guides/table_upload)."""

FUNCTIONS = frozenset(
    {
        "AggregateFeatureCollection.array", "Collection.filter", "Collection.limit",
        "Collection.loadTable", "Filter.equals", "Image.arrayCat", "List.join",
        "String.decodeJSON",
    }
)  # fmt: skip
"""What this form calls beyond the matrix form, by the names on the wire."""


@dataclass(frozen=True, slots=True)
class Row:
    """A part of the text of one layer.

    Attributes:
        layer: Whose.
        part: Which, from 0.
        text: At most `MAX_TEXT` characters.
    """

    layer: str
    part: int
    text: str


def rows_of(graph: LayerGraph) -> list[Row]:
    """What a table of a network's weights holds.

    Args:
        graph: Simplified, with the digits that it is to be used with.

    Raises:
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    from water_gee.deploy.build_ee import run_rules

    rows: list[Row] = []

    def collect(key: str, matrix: Array, bias: Array, column: ee.Image) -> ee.Image:
        text = _text(matrix, bias)
        rows.extend(
            Row(key, part, text[first : first + MAX_TEXT])
            for part, first in enumerate(range(0, len(text), MAX_TEXT))
        )
        return column

    run_rules(graph, ee.Image(0), rules(collect))
    return rows


def _text(matrix: Array, bias: Array) -> str:
    whole = np.concatenate([matrix, bias[:, None]], axis=1)
    return json.dumps(numbers(whole), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Table:
    """Weights that are read from a table when pixels are computed; a `matrix.Held`.

    Attributes:
        asset_id: The table.
        digest: Of the network whose rows are read.
    """

    asset_id: str
    digest: str

    def __call__(self, key: str, matrix: Array, bias: Array, column: ee.Image) -> ee.Image:
        """Multiply: the biases are the last column of the matrix, for a 1 below the numbers."""
        del matrix, bias
        rows = self._rows().filter(ee.Filter.eq("layer", key)).sort("part")
        text = ee.String(ee.List(rows.aggregate_array("text")).join(""))
        whole = ee.Image(ee.Array(ee.List(text.decodeJSON())))
        one = ee.Image(ee.Array([[1]]))
        sums: ee.Image = whole.matrixMultiply(column.arrayCat(one, 0))
        return sums

    def _rows(self) -> ee.FeatureCollection:
        table = ee.FeatureCollection(self.asset_id)
        chosen: ee.FeatureCollection = table.filter(ee.Filter.eq("digest", self.digest))
        return chosen


def store_weights(
    model: TrainedModel | LayerGraph | Path | str | Any,
    asset_id: str,
    *,
    digits: int | None = None,
    overwrite: bool = False,
) -> batch.Task:
    """Start the export of a network's weights to a table asset.

    Args:
        model: A trained model or its file, a Keras network, or a `LayerGraph`.
        asset_id: `projects/YOUR-PROJECT/assets/...`: where the table goes; its folder stands.
        digits: Significant digits to round the weights to, the same as in `to_ee`.
        overwrite: Whether a table that stands there may be replaced.

    Returns:
        The task, started. Once it has succeeded, `to_ee(model, form="assets",
        weights_asset=asset_id)` gives the map.

    Raises:
        AssetIdError: The id is malformed.
        DeployError: The weights are too many for one request, or the service refused.
        UnsupportedLayerError: A layer that has no Earth Engine form.
    """
    from water_gee.deploy.build_ee import prepared

    target = check_id(asset_id)
    graph = prepared(model, digits)
    features = table_of(graph)
    task = batch.Export.table.toAsset(
        collection=features,
        description=f"weights of {graph.digest()[:12]}",
        assetId=target,
        overwrite=overwrite,
    )
    size = request_bytes(features)
    if size > MAX_REQUEST_BYTES:
        raise DeployError(
            f"the {graph.parameters:,} weights take {size:,} bytes as a table, and the service "
            f"takes {MAX_REQUEST_BYTES:,} in one request; round them (digits=4), or convert a "
            "smaller network"
        )
    with asking(f"cannot store weights in {target}"):
        task.start()
    return task


def table_of(graph: LayerGraph) -> ee.FeatureCollection:
    """The table of a simplified network's weights, not stored yet."""
    digest = graph.digest()
    # A table's rows need a geometry: the service exports none without.
    place = ee.Geometry.Point([0, 0])
    features = [
        ee.Feature(
            place, {"digest": digest, "layer": row.layer, "part": row.part, "text": row.text}
        )
        for row in rows_of(graph)
    ]
    table: ee.FeatureCollection = ee.FeatureCollection(features)
    return table


def request_bytes(features: ee.FeatureCollection) -> int:
    """How many bytes the request takes that stores a table."""
    return len(json.dumps(ee.serializer.encode(features, for_cloud_api=True)))


def check(asset_id: str, graph: LayerGraph) -> None:
    """Make sure that a table holds the weights of a network, all of them.

    Args:
        asset_id: The table.
        graph: Simplified, with the digits that the table was stored with.

    Raises:
        AssetIdError: The id is malformed.
        DeployError: There is no table, it belongs to another network, or rows are missing.
        SessionError: The service is gone.
    """
    target = check_id(asset_id)
    store = f'store them with water_gee.deploy.weights.store_weights(model, "{target}")'
    with asking(f"no weights in {target} ({store})"):
        asset: dict[str, Any] = data.getAsset(target)
    if asset.get("type") != "TABLE":
        raise DeployError(f"{target} is no table but {asset.get('type')}; {store}")
    table = ee.FeatureCollection(target)
    wanted = graph.digest()
    own = table.filter(ee.Filter.eq("digest", wanted))
    with asking(f"the weights in {target} cannot be read"):
        found: Any = ee.List([table.size(), own.size()]).getInfo()
    rows, mine = (int(one) for one in found)
    if mine != len(rows_of(graph)):
        whose = "another network" if rows else "no network"
        if mine:
            whose = f"this network only in part ({mine} rows)"
        raise DeployError(
            f"{target} holds {rows} rows of weights, of {whose}; {store}, with the same digits "
            "as the map"
        )
