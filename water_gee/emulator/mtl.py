"""Landsat metadata files: MTL.txt (ODL, groups of `NAME = value`) and MTL.xml, both collections."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from water_gee.emulator.assets import milliseconds
from water_gee.errors import IngestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LINE = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*$")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

_KEPT = re.compile(
    r"""(?x)
    ALGORITHM_SOURCE_\w+ | CLOUD_COVER(_LAND)? | COLLECTION_(CATEGORY|NUMBER) | DATA_SOURCE_\w+
    | DATE_ACQUIRED | DATE_PRODUCT_GENERATED | DIGITAL_OBJECT_IDENTIFIER | EARTH_SUN_DISTANCE
    | GEOMETRIC_RMSE_\w+ | GROUND_CONTROL_POINTS_\w+ | IMAGE_QUALITY(_\w+)? | LANDSAT_PRODUCT_ID
    | LANDSAT_SCENE_ID | MAP_PROJECTION | NADIR_OFFNADIR | ORIENTATION | PROCESSING_LEVEL
    | PROCESSING_SOFTWARE_VERSION | REFLECTANCE_(ADD|MULT)_BAND_\d+ |
    (REFLECTIVE|THERMAL)_(LINES|SAMPLES) | REQUEST_ID | ROLL_ANGLE | SATURATION_BAND_\d+ |
    SCENE_CENTER_TIME | SENSOR_(ID|MODE\w*) | SPACECRAFT_ID | STATION_ID | SUN_AZIMUTH |
    SUN_ELEVATION | TARGET_WRS_(PATH|ROW) | TEMPERATURE_\w+_BAND_ST_B\d+ | TRUNCATION_OLI | UTM_ZONE
    | WRS_(PATH|ROW|TYPE)
    """
)
"""The fields that Earth Engine's Landsat images have as properties (its catalogue pages)."""

_LEVEL1_PREFIXED = (
    "DATE_PRODUCT_GENERATED",
    "LANDSAT_PRODUCT_ID",
    "PROCESSING_LEVEL",
    "PROCESSING_SOFTWARE_VERSION",
    "REQUEST_ID",
)
"""Fields of the Level 1 record that Earth Engine shows with `L1_` before them."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an MTL file says.

    Attributes:
        path: The file, for messages.
        groups: Group name -> field -> value; numbers are numbers, everything else is text.
    """

    path: Path
    groups: Mapping[str, Mapping[str, Any]]

    @property
    def product_id(self) -> str:
        """The product the file describes."""
        return str(self.need("LANDSAT_PRODUCT_ID"))

    def get(self, name: str) -> Any:
        """Return the first field of that name, None where there is none."""
        for fields in self.groups.values():
            if name in fields:
                return fields[name]
        return None

    def need(self, name: str) -> Any:
        """Return the first field of that name.

        Raises:
            IngestError: There is none.
        """
        value = self.get(name)
        if value is None:
            raise IngestError(f"{self.path.name} lacks the field {name}")
        return value

    def acquired(self) -> int:
        """Return the middle of the acquisition, milliseconds since 1970 UTC.

        Raises:
            IngestError: A field is missing or holds no date.
        """
        text = f"{self.need('DATE_ACQUIRED')}T{str(self.need('SCENE_CENTER_TIME')).strip()}"
        try:
            return milliseconds(text)
        except ValueError:
            raise IngestError(f"{self.path.name} gives no date and time: {text}") from None

    def properties(self) -> dict[str, Any]:
        """Return the fields Earth Engine keeps, under its names."""
        found: dict[str, Any] = {}
        for group, fields in self.groups.items():
            for name, value in fields.items():
                if group == "LEVEL1_PROCESSING_RECORD" and name in _LEVEL1_PREFIXED:
                    found[f"L1_{name}"] = value
                elif _KEPT.fullmatch(name) and name not in found:
                    found[name] = value
        generated = found.get("DATE_PRODUCT_GENERATED")
        if isinstance(generated, str):
            found["DATE_PRODUCT_GENERATED"] = milliseconds(generated)
        return found


def read_mtl(path: Path) -> Metadata:
    """Read an MTL file, text or XML.

    Raises:
        IngestError: It is none.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror}") from error
    groups = _from_xml(path, text) if path.suffix.lower() == ".xml" else _from_odl(text)
    if not groups:
        raise IngestError(f"{path.name} is no Landsat metadata file")
    return Metadata(path, groups)


def _from_odl(text: str) -> dict[str, dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    stack: list[str] = []
    # Files cut from a padded record may end in zero bytes.
    for line in text.replace("\0", "").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, value = match.groups()
        if name == "GROUP":
            stack.append(value)
        elif name == "END_GROUP":
            del stack[-1:]
        elif stack:
            groups.setdefault(stack[-1], {})[name] = _value(value)
    return groups


def _from_xml(path: Path, text: str) -> dict[str, dict[str, Any]]:
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise IngestError(f"{path.name} is no XML file: {error}") from error
    return {
        group.tag: {field.tag: _value(field.text or "") for field in group}
        for group in root
        if len(group)
    }


def _value(text: str) -> Any:
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return text[1:-1]
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
