"""Asset ids and asset records: how they are checked, stored as JSON and shown over REST.

An asset has one plain id, the one `ee.Image` takes: `LANDSAT/LC08/C02/T1_L2/LC08_...` in the public
catalogue, `projects/<project>/assets/<path>` in a project, `users/<name>/<path>` of old. REST names
it otherwise: public assets live below `projects/earthengine-public/assets/`, old ones below
`projects/earthengine-legacy/assets/`.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from water_gee.emulator.errors import malformed_asset_id
from water_gee.emulator.values import PixelType, Projection

if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC_PREFIX = "projects/earthengine-public/assets/"
LEGACY_PREFIX = "projects/earthengine-legacy/assets/"

IMAGE = "IMAGE"
IMAGE_COLLECTION = "IMAGE_COLLECTION"
FOLDER = "FOLDER"
TABLE = "TABLE"

MAX_ID_LENGTH = 1_000
MAX_SEGMENT_LENGTH = 200

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:_-]*")


def canonical_id(name: str) -> str:
    """Return the plain id of an asset from any form of its name.

    Args:
        name: `LANDSAT/...`, `projects/p/assets/...`,
            `projects/earthengine-public/assets/LANDSAT/...` and so on.

    Raises:
        ServiceError: 400: no asset can have this id.
    """
    asset_id = name.rstrip("/")
    for prefix in (PUBLIC_PREFIX, LEGACY_PREFIX):
        asset_id = asset_id.removeprefix(prefix)
    if not asset_id:
        raise malformed_asset_id(name, "it is empty")
    if len(asset_id) > MAX_ID_LENGTH:
        raise malformed_asset_id(f"{name[:40]}...", f"longer than {MAX_ID_LENGTH} characters")
    parts = asset_id.split("/")
    for index, part in enumerate(parts):
        is_project = index == 1 and parts[0] == "projects"
        pattern = _PROJECT if is_project else _SEGMENT
        if not pattern.fullmatch(part) or ".." in part:
            what = f"'{part}'" if part else "an empty part"
            raise malformed_asset_id(
                name, f"{what} is not made of letters, digits, underscores and hyphens"
            )
        if len(part) > MAX_SEGMENT_LENGTH:
            raise malformed_asset_id(name, f"a part is longer than {MAX_SEGMENT_LENGTH} characters")
    return asset_id


def rest_name(asset_id: str) -> str:
    """Return the name REST gives a plain id."""
    parts = asset_id.split("/")
    if parts[0] == "projects" and len(parts) > 2 and parts[2] == "assets":
        return asset_id
    if parts[0] in ("projects", "users"):
        return LEGACY_PREFIX + asset_id
    return PUBLIC_PREFIX + asset_id


def is_public(asset_id: str) -> bool:
    """Say whether an id lies in the public catalogue, where a client cannot write."""
    return asset_id.split("/")[0] not in ("projects", "users")


def is_root(asset_id: str) -> bool:
    """Say whether an id is a root folder, which exists without being made."""
    parts = asset_id.split("/")
    if parts[0] == "projects":
        return len(parts) == 2 or (len(parts) == 3 and parts[2] == "assets")
    return len(parts) == (2 if parts[0] == "users" else 1) or not asset_id


def parent_of(asset_id: str) -> str:
    """Return the id of the folder or collection an asset lies in, empty at the top."""
    return asset_id.rpartition("/")[0]


def timestamp(milliseconds: float) -> str:
    """Return milliseconds since 1970 as the wire writes an instant, three fraction digits."""
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def milliseconds(text: str) -> int:
    """Return an ISO 8601 instant (UTC where it names no zone) as milliseconds since 1970.

    Raises:
        ValueError: It is no instant.
    """
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class BandRecord:
    """Where one band of an image asset lies.

    Attributes:
        name: The band's name.
        type: Its pixels' type.
        projection: The grid of the file.
        shape: `(row, col)` of the file.
        file: File name in the asset's folder.
        policy: How coarser pixels are made: `MEAN`, `SAMPLE`, `MODE`, `MIN`, `MAX` or `MEDIAN`.
        fraction_file: File with fractional masks in [0, 1], None where the mask of `file` says all.
    """

    name: str
    type: PixelType
    projection: Projection
    shape: tuple[int, int]
    file: str
    policy: str = "MEAN"
    fraction_file: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as the catalogue stores it."""
        kind = self.type
        return {
            "name": self.name,
            "type": [kind.precision, kind.minimum, kind.maximum, kind.dimensions],
            "crs": self.projection.crs,
            "transform": list(self.projection.transform),
            "shape": list(self.shape),
            "file": self.file,
            "policy": self.policy,
            "fraction_file": self.fraction_file,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BandRecord:
        """Return the record stored so."""
        a, b, c, d, e, f = stored["transform"]
        rows, cols = stored["shape"]
        return cls(
            stored["name"],
            PixelType(*stored["type"]),
            Projection(stored["crs"], (a, b, c, d, e, f)),
            (rows, cols),
            stored["file"],
            stored["policy"],
            stored["fraction_file"],
        )

    def to_rest(self) -> dict[str, Any]:
        """Return the band as the service shows it."""
        a, b, c, d, e, f = self.projection.transform
        crs = self.projection.crs
        kind: dict[str, Any] = {"precision": self.type.precision.upper()}
        if self.type.precision == "int":
            # Zero is left out, as in any proto3 message.
            limits = {"min": self.type.minimum, "max": self.type.maximum}
            kind["range"] = {name: value for name, value in limits.items() if value}
        return {
            "id": self.name,
            "dataType": kind,
            "grid": {
                ("crsCode" if ":" in crs and len(crs) < 40 else "crsWkt"): crs,
                "dimensions": {"width": self.shape[1], "height": self.shape[0]},
                "affineTransform": {
                    name: value
                    for name, value in (
                        ("scaleX", a),
                        ("shearX", b),
                        ("translateX", c),
                        ("shearY", d),
                        ("scaleY", e),
                        ("translateY", f),
                    )
                    if value
                },
            },
            "pyramidingPolicy": self.policy,
        }


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """One asset as the catalogue knows it.

    Attributes:
        id: The plain id.
        type: `IMAGE`, `IMAGE_COLLECTION`, `TABLE` or `FOLDER`.
        properties: Without the `system:` ones that follow from other fields.
        start_time: Milliseconds since 1970 UTC.
        end_time: The same.
        footprint: GeoJSON polygon in degrees, edges close enough together to be drawn straight.
        bands: In order; empty for what is no image.
        folder: Folder of the files, relative to the catalogue; None without files.
        size: Bytes of the files.
        updated: Microseconds since 1970; the asset's version.
        source: What it was ingested from, as a digest; empty for exports.
    """

    id: str
    type: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    start_time: int | None = None
    end_time: int | None = None
    footprint: Mapping[str, Any] | None = None
    bands: tuple[BandRecord, ...] = ()
    folder: str | None = None
    size: int = 0
    updated: int = 0
    source: str = ""

    @property
    def index(self) -> str:
        """The last part of the id."""
        return self.id.rpartition("/")[2]

    def image_properties(self) -> dict[str, Any]:
        """Return the properties an image of this asset has, the `system:` ones included."""
        system: dict[str, Any] = {
            "system:index": self.index,
            "system:asset_size": self.size,
            "system:version": self.updated,
        }
        if self.start_time is not None:
            system["system:time_start"] = self.start_time
        if self.end_time is not None:
            system["system:time_end"] = self.end_time
        if self.footprint is not None:
            system["system:footprint"] = _ring(self.footprint)
        return {**self.properties, **system}

    def to_rest(self, *, full: bool = True) -> dict[str, Any]:
        """Return the asset as the service shows it; the basic view: names and times alone."""
        shown: dict[str, Any] = {
            "type": self.type,
            "name": rest_name(self.id),
            "id": self.id,
            "updateTime": timestamp(self.updated / 1000),
        }
        if self.start_time is not None:
            shown["startTime"] = timestamp(self.start_time)
        if self.end_time is not None:
            shown["endTime"] = timestamp(self.end_time)
        if not full:
            return shown
        if self.properties:
            shown["properties"] = dict(self.properties)
        if self.type in (IMAGE, TABLE):
            shown["sizeBytes"] = str(self.size)
        if self.type == IMAGE:
            shown["bands"] = [band.to_rest() for band in self.bands]
            if self.footprint is not None:
                shown["geometry"] = dict(self.footprint)
        return shown


def _ring(footprint: Mapping[str, Any]) -> dict[str, Any]:
    """Return `system:footprint`: a polygon's outline, or a polygon of several parts as it is."""
    if footprint["type"] != "Polygon":
        return dict(footprint)
    return {"type": "LinearRing", "coordinates": footprint["coordinates"][0]}


def bands_to_text(bands: tuple[BandRecord, ...]) -> str:
    """Return bands as one JSON text."""
    return json.dumps([band.to_json() for band in bands])


def bands_from_text(text: str) -> tuple[BandRecord, ...]:
    """Return the bands of a JSON text."""
    return tuple(BandRecord.from_json(stored) for stored in json.loads(text))
