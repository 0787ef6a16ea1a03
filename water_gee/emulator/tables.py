"""Tables: features as assets, exported whole and loaded as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from water_gee.emulator.assets import TABLE, AssetRecord
from water_gee.emulator.coerce import coerce, type_name
from water_gee.emulator.describe import to_json
from water_gee.emulator.errors import bad_request
from water_gee.emulator.export import Destination, destination_of
from water_gee.emulator.geojson import geometry_to_json
from water_gee.emulator.limits import MAX_TABLE_COLUMNS, MAX_TABLE_TEXT
from water_gee.emulator.tablefile import TABLE_FILE
from water_gee.emulator.values import Collection, Feature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.pixels import Context

_OWN_PROPERTIES = ("system:index", "id")

_STEP = 1_000
"""Features between two looks at whether the task is to stop."""


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What an `ExportTableRequest` asks for, checked.

    Attributes:
        to: Where the table goes, and what the task is called.
        selectors: The properties kept; all where there are none.
    """

    to: Destination
    selectors: tuple[str, ...] = ()

    kind: ClassVar[str] = "EXPORT_FEATURES"
    response: ClassVar[str] = "ExportTableResponse"

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> TableRequest:
        """Check a request.

        Raises:
            ServiceError: 400: something in it is malformed or not done here; 403: it writes into
                the public catalogue.
        """
        selectors = wire.get("selectors") or []
        if not isinstance(selectors, list) or not all(isinstance(one, str) for one in selectors):
            raise bad_request("Export.table: 'selectors' must be a list of names.")
        return cls(destination_of(wire, "Export.table"), tuple(selectors))

    def checked(self, value: Any) -> Collection:
        """Return what the expression has resulted in, as a collection of features.

        Raises:
            ServiceError: 400: it is none.
        """
        found: Collection = coerce(value, Collection, "Export.table, argument 'collection'")
        if found.kind != "FeatureCollection":
            raise bad_request(f"Export.table: A FeatureCollection is needed. Got {found.kind}.")
        return found

    def run(
        self,
        catalog: Catalog,
        value: Any,
        step: Callable[[float], None],
        done: Callable[[], None],
        context: Context,
    ) -> None:
        """Write the features and make an asset of them; see `export.export_image`.

        Raises:
            ServiceError: 400: a feature cannot be kept, or the asset is there already.
            OSError: The disk is full.
        """
        collection = self.checked(value)
        asset_id, overwrite = self.to.asset_id, self.to.overwrite
        catalog.check_free(asset_id, overwrite=overwrite, kind=TABLE)
        properties = {
            name: to_json(one)
            for name, one in collection.properties.items()
            if not name.startswith("system:")
        }
        with catalog.stage() as folder:
            with (folder / TABLE_FILE).open("w", encoding="utf-8") as file:
                for number, feature in enumerate(collection):
                    if number % _STEP == 0:
                        context.check()
                        step(number / (len(collection) + 1))
                    file.write(json.dumps(self._row(feature)) + "\n")
            step(len(collection) / (len(collection) + 1))
            record = AssetRecord(asset_id, TABLE, properties)
            catalog.publish(folder, record, overwrite=overwrite, also=done)

    def _row(self, feature: Any) -> dict[str, Any]:
        if not isinstance(feature, Feature):
            raise bad_request(f"Export.table: Features are needed. Got {type_name(feature)}.")
        if feature.geometry is None or feature.geometry.shape is None:
            raise bad_request("Unable to export features with null geometry.")
        kept = {
            name: value
            for name, value in feature.properties.items()
            if (name in self.selectors if self.selectors else name not in _OWN_PROPERTIES)
        }
        if len(kept) > MAX_TABLE_COLUMNS:
            raise bad_request(
                f"Export.table: A feature has {len(kept)} properties (max: {MAX_TABLE_COLUMNS})."
            )
        return {
            "geometry": geometry_to_json(feature.geometry),
            "properties": {name: _cell(name, value) for name, value in kept.items()},
        }


def _cell(name: str, value: Any) -> Any:
    """Return a property as a table keeps it.

    Raises:
        ServiceError: 400: no table keeps such values, or the text is too long.
    """
    shown = to_json(value)
    if isinstance(shown, str) and len(shown) > MAX_TABLE_TEXT:
        raise bad_request(
            f"Export.table: The property '{name}' has {len(shown)} characters "
            f"(max: {MAX_TABLE_TEXT})."
        )
    if isinstance(shown, (str, int, float, bool)) or shown is None or _is_list(shown):
        return shown
    raise bad_request(
        f"Export.table: The property '{name}' has unsupported type: {type_name(value)}."
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, (str, int, float)) or _is_list(one) for one in value
    )
