"""A STAC item beside each map: what it is, where, of when, and how its files can be checked.

The item follows STAC 1.1 with the extensions projection 2, raster 2, classification 2 and file 2.1:
https://stac-extensions.github.io. Its links are relative, so that a folder can be moved as a whole.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import pystac

from water_gee import metrics, raster
from water_gee._version import __version__
from water_gee.errors import RasterError
from water_gee.files import write_bytes
from water_gee.imagery import season as seasons
from water_gee.imagery.store import NOT_OBSERVED
from water_gee.mapping import maps, styles
from water_gee.mapping.footprint import bounding_box, footprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from water_gee.mapping.maps import WaterMap
    from water_gee.mapping.styles import Category

EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)

_NUMBERS = re.compile(r"\[[-+.\d\seE,\[\]]*\]")
"""Lists of plain numbers, which stand on one line."""

Period = tuple[dt.date, dt.date]
"""First and last day."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file beside a map is.

    Attributes:
        media: Its media type.
        roles: What it is for.
        title: For people.
    """

    media: str
    roles: tuple[str, ...]
    title: str


_BESIDE = {
    ".gpkg": Kind("application/geopackage+sqlite3", ("data",), "Water bodies as polygons"),
    ".qml": Kind("application/xml", ("style", "metadata"), "Style for QGIS"),
    ".html": Kind("text/html", ("overview",), "Report"),
    ".png": Kind("image/png", ("overview",), "Picture"),
    ".csv": Kind("text/csv", ("data",), "Table"),
    ".keras": Kind("application/octet-stream", ("metadata",), "The model"),
}


def write_item(
    map_path: Path | str,
    out: Path | str | None = None,
    *,
    period: Period | None = None,
    categories: Sequence[Category] = styles.MAP,
    title: str = "Surface water",
    assets: Mapping[str, Path | str] | None = None,
) -> Path:
    """Write the STAC item of a map beside it, and its style for QGIS.

    The geometry is the outline of what was observed, to one part in 500 of the map's longer side.

    Args:
        map_path: A class raster; 255 is not observed.
        out: The item; `MAP.json` by default.
        period: First and last day; that of the map's own recipe by default.
        categories: The raster's classes.
        title: For people.
        assets: More files that belong to it, by key, such as `{"polygons": "water.gpkg"}`. Its
            style, and `MAP_probability.tif` where that was made with it, are in the item anyway.

    Returns:
        The item's path.

    Raises:
        RasterError: No such map, one that does not say of when it is, or a full disk.
    """
    codes = tuple(int(item.value) for item in categories)
    chart = maps.open_map(map_path, classes=codes)
    target = Path(out) if out is not None else chart.path.with_suffix(".json")
    when = period or _period(chart)
    styles.write_qml(chart.path, categories)
    item = _item(chart, when, title)
    item.add_asset("map", _raster_asset(chart.path, target.parent, title, categories))
    likely = maps.probability_beside(chart)
    if likely is not None:
        name = "Probability of water"
        item.add_asset("probability", _raster_asset(likely, target.parent, name, ()))
    for key, path in {"style": styles.sidecar(chart.path), **(assets or {})}.items():
        item.add_asset(key, _other_asset(Path(path), target.parent))
    return _written(item, target)


def write_quantity_item(
    path: Path | str,
    period: Period,
    stops: Sequence[tuple[float, styles.Colour]],
    unit: str,
    title: str,
) -> Path:
    """Write the STAC item, and the style for QGIS, of a raster of small whole numbers.

    Args:
        path: One band of bytes; 255 is not observed.
        period: First and last day.
        stops: Values and their colours.
        unit: Of the values; may be empty.
        title: For people.

    Returns:
        The item's path.

    Raises:
        RasterError: As in `write_item`.
    """
    chart = maps.open_map(path, classes=tuple(range(NOT_OBSERVED)))
    styles.write_ramp_qml(chart.path, stops, unit)
    target = chart.path.with_suffix(".json")
    item = _item(chart, period, title)
    item.add_asset("map", _raster_asset(chart.path, target.parent, title, (), unit))
    item.add_asset("style", _other_asset(styles.sidecar(chart.path), target.parent))
    return _written(item, target)


def _item(chart: WaterMap, when: Period, title: str) -> pystac.Item:
    whole = footprint(chart)
    return pystac.Item(
        id=chart.path.stem,
        geometry=whole,
        bbox=bounding_box(whole),
        datetime=None,
        start_datetime=dt.datetime.combine(when[0], dt.time.min, dt.UTC),
        end_datetime=dt.datetime.combine(when[1], dt.time(23, 59, 59), dt.UTC),
        properties={"title": title, **_projection(chart), **_origin(chart)},
        stac_extensions=list(EXTENSIONS),
    )


def _written(item: pystac.Item, target: Path) -> Path:
    plain = item.to_dict(include_self_link=False, transform_hrefs=False)
    text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), json.dumps(plain, indent=2))
    write_bytes(target, f"{text}\n".encode())
    return target


def season(years: Sequence[int], months: Sequence[int] = tuple(range(1, 13))) -> Period:
    """First and last day of the seasons of some years; months as `imagery.season.ordered` has."""
    spans = seasons.spans(sorted(years), seasons.ordered(months))
    return spans[0][0], spans[-1][1] - dt.timedelta(days=1)


def _period(chart: WaterMap) -> Period:
    recipe = chart.recipe
    try:
        return season(
            [int(year) for year in recipe["years"]], [int(month) for month in recipe["months"]]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RasterError(
            f"{chart.path} does not say which years it shows; give write_item a `period`"
        ) from error


def _projection(chart: WaterMap) -> dict[str, Any]:
    grid = chart.grid
    system = pyproj.CRS.from_user_input(grid.crs)
    named: dict[str, Any] = {"proj:code": grid.crs}
    if not grid.crs.startswith("EPSG:"):
        named = {"proj:code": None, "proj:wkt2": system.to_wkt("WKT2_2019")}
    middle = (np.array([grid.shape[0] / 2]), np.array([grid.shape[1] / 2]))
    sides = metrics.pixel_sides_m(grid.transform, *middle, crs=grid.crs)
    return {
        "gsd": round(max(float(sides[0][0]), float(sides[1][0])), 2),
        **named,
        "proj:shape": list(grid.shape),
        "proj:transform": [*grid.transform[:6]],
        "proj:bbox": [*grid.bounds],
    }


def _origin(chart: WaterMap) -> dict[str, Any]:
    """What the map itself says of how it was made."""
    found: dict[str, Any] = {"water_gee:version": chart.tags.get("water_gee_version", __version__)}
    if chart.recipe:
        found["water_gee:recipe"] = chart.recipe
    if "water_gee_model" in chart.tags:
        found["water_gee:model"] = chart.tags["water_gee_model"]
    return found


def _raster_asset(
    path: Path, folder: Path, title: str, categories: Sequence[Category], unit: str = ""
) -> pystac.Asset:
    header = raster.describe(path)
    nodata: Any = header.nodata
    if nodata is not None and np.isnan(nodata):
        nodata = "nan"
    elif nodata is not None:
        nodata = int(nodata) if float(nodata).is_integer() else nodata
    band: dict[str, Any] = {
        "name": header.names[0] or "water",
        "data_type": header.dtype,
        "raster:sampling": "area",
    }
    if nodata is not None:
        band["nodata"] = nodata
    if unit:
        band["unit"] = unit
    if categories:
        band["classification:classes"] = [*map(_class, categories), _UNSEEN]
    return pystac.Asset(
        href=_href(path, folder),
        title=title,
        media_type=pystac.MediaType.COG,
        roles=["data"],
        extra_fields={"bands": [band], **_file(path)},
    )


_UNSEEN = {
    "value": NOT_OBSERVED,
    "name": "not-observed",
    "description": "not observed",
    "nodata": True,
}


def _class(item: Category) -> dict[str, Any]:
    name = "".join(letter if letter.isalnum() else "-" for letter in item.name)
    while "--" in name:
        name = name.replace("--", "-")
    return {
        "value": int(item.value),
        "name": name.strip("-"),
        "description": item.name,
        "color_hint": "{:02X}{:02X}{:02X}".format(*item.colour),
    }


def _other_asset(path: Path, folder: Path) -> pystac.Asset:
    if not path.is_file():
        raise RasterError(f"{path}: no such file, so it cannot stand in a STAC item")
    kind = _BESIDE.get(path.suffix.lower(), Kind("application/octet-stream", ("data",), path.name))
    return pystac.Asset(
        href=_href(path, folder),
        title=kind.title,
        media_type=kind.media,
        roles=list(kind.roles),
        extra_fields=_file(path),
    )


def _href(path: Path, folder: Path) -> str:
    """The way from the item to a file, as a relative link."""
    way = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    return way if way.startswith("../") else f"./{way}"


def _file(path: Path) -> dict[str, Any]:
    """Size and multihash (0x12, 0x20: SHA-256 of 32 bytes) of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return {"file:size": path.stat().st_size, "file:checksum": f"1220{digest.hexdigest()}"}
