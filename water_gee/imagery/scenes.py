"""Scenes on disk: into a catalogue, and what they say about the recipe and the area.

The emulator is a program of its own, and this package talks to it over the wire alone. So ingest is
started as its command, in a child process that ends with this one, and what came of it is asked of
the connected service.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import shapely
import shapely.geometry

from water_gee import session
from water_gee.errors import AoiError, IngestError, RecipeError
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.sensors import SENSORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from water_gee.imagery.aoi import Area

INGEST = (sys.executable, "-m", "water_gee", "emulator", "ingest")
"""The command; with `--json` it prints `{"assets": [id, ...]}`."""

QA_MADE = "water_gee:qa_source"
"""The property of a scene whose QA band was made at ingest; it says how."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene in the catalogue.

    Attributes:
        asset: Its id.
        sensor: As a recipe names it; None where it is of no sensor here.
        year: Of its acquisition, UTC.
        month: Of its acquisition, 1 to 12.
        footprint: GeoJSON, degrees; None where it is unbounded.
        qa_made: How its QA band was made at ingest; None where it came with one.
    """

    asset: str
    sensor: str | None
    year: int | None
    month: int | None
    footprint: dict[str, Any] | None
    qa_made: str | None


def ingest(
    catalog: Path, paths: Sequence[Path], *, dem: bool = False, asset_id: str | None = None
) -> list[str]:
    """Put scenes into a catalogue, in a child process.

    Args:
        catalog: The emulator's folder; made where there is none.
        paths: Folders, archives and GeoTIFFs.
        dem: Whether they are elevation models.
        asset_id: Where a plain GeoTIFF goes.

    Returns:
        The ids of the assets.

    Raises:
        IngestError: What the command says, in its own words.
    """
    options = ["--catalog", str(catalog), "--json"]
    options += ["--dem"] if dem else []
    options += ["--id", asset_id] if asset_id is not None else []
    child = subprocess.Popen(
        [*INGEST, "--with-parent", *options, *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said: list[bytes] = []
    listener = threading.Thread(target=_listen, args=(child.stderr, said), daemon=True)
    listener.start()
    try:
        output = child.stdout.read() if child.stdout is not None else b""
        status = child.wait()
    finally:
        # It watches its standard input, and ends when that closes.
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        child.wait()
        listener.join()
    if status != 0:
        lines = b"".join(said).decode(errors="replace").strip().splitlines()
        why = lines[-1].removeprefix("water-gee: ") if lines else f"exit status {status}"
        raise IngestError(why)
    return [str(asset) for asset in json.loads(output)["assets"]]


def describe(assets: Iterable[str]) -> list[Scene]:
    """Ask the connected service about scenes.

    Raises:
        IngestError: It does not have one of them.
        SessionError: It does not answer.
    """
    import ee
    from ee import data

    session.ensure()
    found = []
    for asset in assets:
        try:
            with session.talking():
                about = data.getAsset(asset)
        except ee.EEException as error:
            raise IngestError(f"{asset} was ingested, but cannot be read: {error}") from error
        found.append(_scene(asset, about))
    return found


def recipe_for(scenes: Sequence[Scene], given: Mapping[str, Any]) -> Recipe:
    """The recipe of a folder of scenes: what was given, the rest as the scenes are.

    Args:
        scenes: What was ingested.
        given: Fields of the recipe that are set already.

    Raises:
        RecipeError: No scene is of a sensor that recipes know, or says when it was taken.
    """
    usable = [scene for scene in scenes if scene.sensor is not None and scene.year is not None]
    if not usable and not {"sensors", "years", "months"} <= set(given):
        raise RecipeError(
            "none of the scenes is a dated product of a known sensor, so the recipe must name "
            "`sensors`, `years` and `months`"
        )
    fields: dict[str, Any] = {
        "sensors": [scene.sensor for scene in usable],
        "years": [scene.year for scene in usable],
        "months": sorted(scene.month for scene in usable if scene.month is not None),
    }
    kept = {name: value for name, value in fields.items() if name not in given}
    return Recipe.from_dict({**given, **kept})


def area_of(scenes: Sequence[Scene]) -> Area:
    """Everything that scenes cover, as one polygon in degrees.

    Raises:
        AoiError: None of them has a footprint.
    """
    shapes = [
        shapely.make_valid(shapely.geometry.shape(scene.footprint))
        for scene in scenes
        if scene.footprint is not None
    ]
    joined = shapely.union_all([shape for shape in shapes if not shape.is_empty])
    parts = [part for part in shapely.get_parts(joined) if part.geom_type == "Polygon"]
    if not parts:
        raise AoiError("the scenes say not where they lie; give an area")
    area: Area = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return area


def _scene(asset: str, about: Mapping[str, Any]) -> Scene:
    properties = about.get("properties", {})
    when = about.get("startTime")
    taken = datetime.fromisoformat(str(when)).astimezone(UTC) if when else None
    made = properties.get(QA_MADE)
    return Scene(
        asset=asset,
        sensor=_sensor_of(asset),
        year=taken.year if taken else None,
        month=taken.month if taken else None,
        footprint=_polygon_of(about.get("geometry")),
        qa_made=str(made) if made else None,
    )


def _sensor_of(asset: str) -> str | None:
    collection = asset.rpartition("/")[0]
    for sensor in SENSORS.values():
        if collection == sensor.collection or collection.endswith(f"/{sensor.collection}"):
            return sensor.name
    return None


def _polygon_of(geometry: Any) -> dict[str, Any] | None:
    """A footprint that is an area; Earth Engine writes scene outlines as closed rings."""
    if not isinstance(geometry, dict) or not geometry.get("coordinates"):
        return None
    if geometry.get("type") in ("LinearRing", "LineString"):
        return {"type": "Polygon", "coordinates": [geometry["coordinates"]]}
    return dict(geometry)


def _listen(stream: IO[bytes] | None, said: list[bytes]) -> None:
    if stream is not None:
        with stream:
            said.extend(stream)
