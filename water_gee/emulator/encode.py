"""Pixels as files: NPY, GeoTIFF, PNG, JPEG."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import rasterio
from PIL import Image as Pillow
from rasterio.io import MemoryFile

from water_gee.emulator.bandfiles import narrowed
from water_gee.emulator.errors import bad_request
from water_gee.emulator.values import INTEGER_RANGES, PixelType, Projection
from water_gee.emulator.visualize import picture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from water_gee.emulator.pixels import Block, Values

TILE_SIDE = 256


@dataclass(frozen=True, slots=True)
class Picture:
    """Bands over one window.

    Attributes:
        names: The bands' names.
        types: Their pixels' types.
        blocks: Their pixels, all of one shape.
        projection: The grid whose first pixel is the window's.
    """

    names: tuple[str, ...]
    types: tuple[PixelType, ...]
    blocks: tuple[Block, ...]
    projection: Projection

    @property
    def shape(self) -> tuple[int, int]:
        """`(row, col)`."""
        height, width = self.blocks[0].values.shape
        return height, width

    def band(self, index: int) -> Picture:
        """Return one band alone."""
        return Picture(
            (self.names[index],), (self.types[index],), (self.blocks[index],), self.projection
        )


def to_npy(image: Picture) -> bytes:
    """Return a NumPy file: a structured array `(row, col)`, a field a band; masked pixels are 0."""
    dtype = [(name, kind.storage) for name, kind in zip(image.names, image.types, strict=True)]
    array = np.zeros(image.shape, np.dtype(dtype))
    for name, kind, block in zip(image.names, image.types, image.blocks, strict=True):
        values = narrowed(block.values, kind.storage)
        valid = block.valid()
        array[name] = values if valid is None else np.where(valid, values, 0)
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def to_geotiff(image: Picture) -> bytes:
    """Return a GeoTIFF, its bands described by their names.

    All bands have the smallest type that holds each of them. Where a pixel of any band is masked,
    the file has a nodata value, NaN for floating point and for integers one that no pixel has (in a
    larger type if need be), so that the mask survives exactly.
    """
    dtype = np.result_type(*(kind.storage for kind in image.types))
    masks = [block.valid() for block in image.blocks]
    nodata: float | None = None
    if any(mask is not None and not mask.all() for mask in masks):
        dtype, nodata = _nodata(image, masks, dtype)
    height, width = image.shape
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(image.blocks),
        "dtype": dtype.name,
        "crs": image.projection.crs,
        "transform": rasterio.Affine(*image.projection.transform),
        "nodata": nodata,
        "compress": "deflate",
        "interleave": "band",
    }
    if min(height, width) > TILE_SIDE:
        profile |= {"tiled": True, "blockxsize": TILE_SIDE, "blockysize": TILE_SIDE}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            for index, (name, block) in enumerate(
                zip(image.names, image.blocks, strict=True), start=1
            ):
                values, mask = narrowed(block.values, dtype), masks[index - 1]
                if mask is not None and nodata is not None:
                    values = np.where(mask, values, np.asarray(nodata, dtype))
                dataset.write(values, index)
                dataset.set_band_description(index, name)
        return bytes(memory.read())


def _nodata(
    image: Picture, masks: Sequence[Values | None], dtype: np.dtype[Any]
) -> tuple[np.dtype[Any], float]:
    """Return a type and a value of it that no observed pixel has."""
    if dtype.kind == "f":
        return dtype, float("nan")
    used = [
        np.unique(block.values if mask is None else block.values[mask])
        for block, mask in zip(image.blocks, masks, strict=True)
    ]
    present = np.unique(np.concatenate(used))
    low, high = INTEGER_RANGES[dtype.name]
    for value in (0, high, low):
        if value not in present:
            return dtype, float(value)
    # The gaps between the values present; none where a small type is used up.
    gaps = present[:-1][np.diff(present) > 1] + 1
    if len(gaps):
        return dtype, float(gaps[0])
    larger = np.dtype(
        np.int16 if dtype.itemsize == 1 else np.int32 if dtype.itemsize == 2 else float
    )
    return larger, float("nan") if larger.kind == "f" else float(INTEGER_RANGES[larger.name][0])


def to_png(image: Picture, options: Mapping[str, Any]) -> bytes:
    """Return a PNG of one or three bands, transparent where masked."""
    return _as_picture("PNG", picture(image.blocks, options))


def to_jpeg(image: Picture, options: Mapping[str, Any]) -> bytes:
    """Return a JPEG of one or three bands, black where masked."""
    return _as_picture("JPEG", picture(image.blocks, options)[:3])


def _as_picture(kind: str, pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the bytes of `(band, row, column)` pixels of three or four bands."""
    out = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1))).save(out, kind)
    return out.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files by name as one zip archive, the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def encode(
    image: Picture, file_format: str, options: Mapping[str, Any], name: str
) -> tuple[bytes, str]:
    """Return pixels in one of the wire's image formats, with the content type.

    Args:
        image: The pixels.
        file_format: An `ImageFileFormat`.
        options: `VisualizationOptions`, used by pictures.
        name: Begins file names in an archive.

    Raises:
        ServiceError: 400: a format that is not made here, or pixels that do not fit it.
    """
    if file_format == "NPY":
        return to_npy(image), "application/octet-stream"
    if file_format == "GEO_TIFF":
        return to_geotiff(image), "image/tiff"
    if file_format == "ZIPPED_GEO_TIFF":
        return zipped({f"{name}.tif": to_geotiff(image)}), "application/zip"
    if file_format == "ZIPPED_GEO_TIFF_PER_BAND":
        files = {
            f"{name}.{band}.tif": to_geotiff(image.band(index))
            for index, band in enumerate(image.names)
        }
        return zipped(files), "application/zip"
    if file_format in ("PNG", "AUTO_JPEG_PNG", "IMAGE_FILE_FORMAT_UNSPECIFIED", ""):
        return to_png(image, options), "image/png"
    if file_format == "JPEG":
        return to_jpeg(image, options), "image/jpeg"
    raise bad_request(f"fileFormat: '{file_format}' is not implemented by this emulator.")
