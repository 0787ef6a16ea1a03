"""The file of a table: one feature a line, as JSON."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

from water_gee.emulator.geojson import geometry_from_json
from water_gee.emulator.values import Feature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE_FILE = "features.jsonl"
"""The only file of a table, in the asset's folder."""


def read_features(path: Path) -> Iterator[Feature]:
    """Yield the features of a table's file, numbered from 0."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            row = json.loads(line)
            properties = {**row["properties"], "system:index": str(number)}
            yield Feature(geometry_from_json(row["geometry"]), MappingProxyType(properties))
