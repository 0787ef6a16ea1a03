"""The file of a table: one feature a line, as JSON."""

from __future__ import annotations

import json
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING

from water_gee.emulator.geojson import geometry_from_json
from water_gee.emulator.values import Collection, Feature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from water_gee.emulator.assets import AssetRecord

TABLE_FILE = "features.jsonl"
"""The only file of a table, in the asset's folder."""

KEPT_TABLES = 8
"""Tables remembered as values."""


class TableCache:
    """Tables as values, each read once; safe for many threads."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Collection]] = {}
        self._lock = threading.Lock()

    def load(self, folder: Path, record: AssetRecord) -> Collection:
        """Return a table; one that was replaced is read anew."""
        known = self._known.get(record.id)
        if known is not None and known[0] == record.updated:
            return known[1]
        features = tuple(read_features(folder / TABLE_FILE))
        properties = MappingProxyType({**record.properties, "system:version": record.updated})
        table = Collection(features, "FeatureCollection", properties, record.id)
        with self._lock:
            while len(self._known) >= KEPT_TABLES:
                self._known.pop(next(iter(self._known)))
            self._known[record.id] = (record.updated, table)
        return table


def read_features(path: Path) -> Iterator[Feature]:
    """Yield the features of a table's file, numbered from 0."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            properties = {**row["properties"], "system:index": str(number)}
            yield Feature(geometry_from_json(row["geometry"]), MappingProxyType(properties))
