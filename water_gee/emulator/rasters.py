"""Plain GeoTIFFs as image assets: where they go, what their bands are called, what masks them."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags

from water_gee.emulator.assets import IMAGE_COLLECTION, milliseconds
from water_gee.emulator.bandfiles import ranges
from water_gee.emulator.newband import NewBand
from water_gee.emulator.pixels import Block, Window
from water_gee.emulator.scenes import open_raster, projection_of, read_window
from water_gee.emulator.values import INTEGER_RANGES
from water_gee.errors import IngestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from water_gee.emulator.catalog import Catalog

DEFAULT_DEM = "COPERNICUS/DEM/GLO30"


@dataclass(frozen=True, slots=True)
class Dem:
    """An elevation asset of Earth Engine: its band, and whether it is a collection of images."""

    band: str
    is_collection: bool


DEMS: Mapping[str, Dem] = MappingProxyType(
    {
        "COPERNICUS/DEM/GLO30": Dem("DEM", True),
        "JAXA/ALOS/AW3D30/V3_2": Dem("DSM", True),
        "CGIAR/SRTM90_V4": Dem("elevation", False),
        "USGS/SRTMGL1_003": Dem("elevation", False),
        "NASA/NASADEM_HGT/001": Dem("elevation", False),
        "MERIT/DEM/v1_0_3": Dem("dem", False),
    }
)
"""Elevation assets by id, with the band their own images have."""

COLLECTIONS = ("COPERNICUS/S2_SR_HARMONIZED", "NASA/HLS/HLSL30/v002", "NASA/HLS/HLSS30/v002")
"""Collections of Earth Engine whose images may be given as plain GeoTIFFs, one a file."""

_QA_NAMES = ("QA", "SCL", "FMASK")
"""Parts of the names of bands that hold codes, of which no mean can be taken."""

_BAND_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image goes.

    Attributes:
        asset_id: Its id.
        properties: Its properties, times perhaps among them.
        start_time: Milliseconds since 1970 UTC.
        end_time: The same.
        in_collection: Whether what is above it is a collection rather than a folder.
        band: The name of its only band, None for names from the file.
    """

    asset_id: str
    properties: Mapping[str, Any]
    start_time: int | None = None
    end_time: int | None = None
    in_collection: bool = True
    band: str | None = None

    def with_properties(self, more: Mapping[str, Any]) -> Target:
        """Return the target with other properties over its own."""
        return replace(self, properties={**self.properties, **more})


def raster_target(
    catalog: Catalog, path: Path, asset_id: str | None, dem: bool, many: bool
) -> Target:
    """Return where a GeoTIFF goes.

    Args:
        catalog: Says which ids are collections already.
        path: The file; its name becomes the last part of an id in a collection.
        asset_id: What the caller named, None for nothing.
        dem: Whether the caller says it is elevation.
        many: Whether more files come, so that the id has to be a collection.

    Raises:
        IngestError: No id, or one that cannot hold the file.
    """
    if asset_id is None:
        if not dem:
            raise IngestError(f"{path} is a plain raster and needs an asset id (--id ASSET_ID)")
        asset_id = DEFAULT_DEM
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem)
    for base, known in DEMS.items():
        if known.is_collection and asset_id == base:
            return Target(f"{base}/{name}", {}, band=known.band)
        if known.is_collection and asset_id.startswith(f"{base}/") and not many:
            return Target(asset_id, {}, band=known.band)
        if asset_id == base and not many:
            return Target(asset_id, {}, in_collection=False, band=known.band)
    if asset_id.startswith(tuple(f"{base}/" for base in COLLECTIONS)) and not many:
        return Target(asset_id, {})
    record = catalog.record(asset_id)
    many = many or asset_id in COLLECTIONS
    if many or (record is not None and record.type == IMAGE_COLLECTION):
        return Target(f"{asset_id}/{name}", {}, band="DEM" if dem else None)
    return Target(asset_id, {}, in_collection=False, band="DEM" if dem else None)


@contextlib.contextmanager
def open_raster_bands(path: Path, target: Target) -> Iterator[list[NewBand]]:
    """Open a GeoTIFF and yield its bands; alpha bands, masks and nodata values become the mask.

    Raises:
        IngestError: It is no raster, has no place on the Earth, or a kind of pixel Earth Engine has
            not.
    """
    with open_raster(path) as dataset:
        projection = projection_of(dataset)
        if projection is None:
            raise IngestError(f"{path} has no coordinate reference system")
        indices = [
            index
            for index, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
            if meaning != ColorInterp.alpha
        ]
        if target.band is not None and len(indices) != 1:
            raise IngestError(
                f"{path} has {len(indices)} bands; elevation is a single band ({target.band})"
            )
        names = [target.band] if target.band is not None else _names(dataset, indices)
        yield [
            NewBand(
                name,
                projection,
                dataset.shape,
                _dtype(path, dataset.dtypes[index - 1]),
                _reader(dataset, index),
                _nodata(dataset, index),
                "SAMPLE" if any(part in name.upper() for part in _QA_NAMES) else "MEAN",
            )
            for name, index in zip(names, indices, strict=True)
        ]


def _names(dataset: Any, indices: list[int]) -> list[str]:
    """Return the bands' descriptions, or `b1`, `b2`, ... where they are no names."""
    described = [dataset.descriptions[index - 1] or "" for index in indices]
    if len(set(described)) == len(described) and all(map(_BAND_NAME.fullmatch, described)):
        return described
    return [f"b{number}" for number in range(1, len(indices) + 1)]


def _dtype(path: Path, dtype: str) -> str:
    if dtype not in (*INTEGER_RANGES, "float32", "float64"):
        raise IngestError(f"{path} has pixels of type {dtype}, which Earth Engine does not have")
    return dtype


def _nodata(dataset: Any, index: int) -> float | None:
    if MaskFlags.nodata not in dataset.mask_flag_enums[index - 1]:
        return None
    return float(dataset.nodatavals[index - 1])


def _reader(dataset: Any, index: int) -> Any:
    flags = dataset.mask_flag_enums[index - 1]

    def read(window: Window) -> Block:
        values = read_window(dataset, window, index)
        if MaskFlags.all_valid in flags or MaskFlags.nodata in flags:
            return Block(values)
        mask = dataset.read_masks(index, window=ranges(window)) > 0
        return Block(values, None if mask.all() else mask)

    return read


def split_properties(
    properties: Mapping[str, Any],
) -> tuple[dict[str, Any], int | None, int | None]:
    """Return properties without times, and the times in milliseconds since 1970 UTC.

    Raises:
        IngestError: A time is none, a value is no property, or a `system:` property cannot be set.
    """
    plain = dict(properties)
    start = _time(plain.pop("system:time_start", None), "system:time_start")
    end = _time(plain.pop("system:time_end", None), "system:time_end")
    for name, value in plain.items():
        if name.startswith("system:"):
            raise IngestError(f"the property {name} follows from the image and cannot be set")
        members = value if isinstance(value, list) else [value]
        if not all(isinstance(member, (str, int, float, bool, np.number)) for member in members):
            raise IngestError(f"the property {name} is a {type(value).__name__}, no number or text")
        if isinstance(value, np.number):
            plain[name] = value.item()
    return plain, start, end


def _time(value: Any, name: str) -> int | None:
    if value is None:
        return None
    try:
        return int(value) if isinstance(value, (int, float)) else milliseconds(str(value))
    except (ValueError, OverflowError):
        raise IngestError(f"{name} is neither ISO 8601 nor milliseconds: {value!r}") from None
