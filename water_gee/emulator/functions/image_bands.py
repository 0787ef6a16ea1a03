"""Bands of an image: where they come from, selecting, naming, adding, casting."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator.bands import cast, check_names, pointwise, uniquely_named
from water_gee.emulator.coerce import coerce
from water_gee.emulator.nodes import Blockwise, Constant
from water_gee.emulator.pixels import Block, Values
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.services import Services
from water_gee.emulator.values import (
    DOUBLE,
    FLOAT,
    INTEGER_RANGES,
    Band,
    Date,
    Image,
    PixelType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@REGISTRY.function("Image.load")
def load(services: Services, id: str, version: int = -1) -> Image:
    """Return the image asset of an id."""
    if version != -1:
        raise bad_request("Image.load: Asset versions are not implemented by this emulator.")
    return services.assets.load_image(id)


@REGISTRY.function("Image.constant")
def constant(value: Any) -> Image:
    """Return an image of a number, an array, or a list of these everywhere."""
    if isinstance(value, Image):
        return value
    if isinstance(value, list) and not value:
        return Image()
    image = coerce(value, Image, "Image.constant, argument 'value'")
    assert isinstance(image, Image)
    return image


@REGISTRY.function("Image.select", arrays=True)
def select(input: Image, bandSelectors: list[Any], newNames: list[str] | None = None) -> Image:
    """Return the bands that names, patterns or indices say, renamed if asked."""
    chosen = [band for selector in bandSelectors for band in _matching(input, selector)]
    if newNames is not None:
        return input.with_bands(_renamed(chosen, newNames, "Image.select"))
    return input.with_bands(uniquely_named(chosen))


def _matching(image: Image, selector: Any) -> list[Band]:
    if isinstance(selector, str):
        for band in image.bands:
            if band.name == selector:
                return [band]
        try:
            pattern = re.compile(selector)
        except re.error as error:
            raise bad_request(f"Image.select: Invalid pattern '{selector}': {error}.") from error
        found = [band for band in image.bands if pattern.fullmatch(band.name)]
        if not found:
            raise bad_request(
                f"Image.select: Band pattern '{selector}' did not match any bands. "
                f"Available bands: [{', '.join(image.names)}]"
            )
        return found
    if isinstance(selector, bool) or not isinstance(selector, (int, float)):
        raise bad_request(
            f"Image.select: Band selectors must be names or numbers. Got {selector!r}."
        )
    index = int(selector)
    if index != selector or not 0 <= index < len(image.bands):
        raise bad_request(
            f"Image.select: Band index {selector} is out of range; "
            f"the image has {len(image.bands)} band(s)."
        )
    return [image.bands[index]]


def _renamed(bands: Sequence[Band], names: Sequence[Any], where: str) -> list[Band]:
    if len(names) != len(bands):
        raise bad_request(
            f"{where}: The number of names ({len(names)}) must match "
            f"the number of bands ({len(bands)})."
        )
    fresh = check_names(names, where)
    return [replace(band, name=name) for band, name in zip(bands, fresh, strict=True)]


@REGISTRY.function("Image.rename", arrays=True)
def rename(input: Image, names: list[str]) -> Image:
    """Return the image with new names for all its bands."""
    return input.with_bands(_renamed(input.bands, names, "Image.rename"))


@REGISTRY.function("Image.regexpRename", arrays=True)
def regexp_rename(input: Image, regex: str, replacement: str, all: bool = True) -> Image:
    """Return the image with a pattern replaced in its bands' names; `$1` is the first group."""
    try:
        pattern = re.compile(regex)
        template = re.sub(r"\$(\d+)", r"\\g<\1>", replacement)
        names = [pattern.sub(template, name, count=0 if all else 1) for name in input.names]
    except (re.error, IndexError) as error:
        raise bad_request(f"Image.regexpRename: Invalid pattern '{regex}': {error}.") from error
    return input.with_bands(_renamed(input.bands, names, "Image.regexpRename"))


@REGISTRY.function("Image.slice", arrays=True)
def slice_bands(image: Image, start: int, end: int | None = None) -> Image:
    """Return a run of bands by position; negative positions count from the end."""
    return image.with_bands(image.bands[start:end])


@REGISTRY.function("Image.addBands", arrays=True)
def add_bands(
    dstImg: Image, srcImg: Image, names: list[str] | None = None, overwrite: bool = False
) -> Image:
    """Return the first image with bands of the second behind its own."""
    source = srcImg if names is None else select(srcImg, list(names))
    if not overwrite:
        added = uniquely_named(source.bands, taken=dstImg.names)
        return dstImg.with_bands([*dstImg.bands, *added])
    newer = {band.name: band for band in source.bands}
    kept = [newer.pop(band.name, band) for band in dstImg.bands]
    return dstImg.with_bands([*kept, *newer.values()])


@REGISTRY.function("Image.cat")
def cat(images: list[Any]) -> Image:
    """Return one image with the bands of all, and the metadata of the first."""
    found: list[Image] = [coerce(one, Image, "Image.cat, argument 'images'") for one in images]
    if not found:
        return Image()
    return found[0].with_bands(uniquely_named(band for image in found for band in image.bands))


@REGISTRY.function("Image.bandNames", arrays=True)
def band_names(image: Image) -> list[Any]:
    """Return the names of the bands, in order."""
    return list(image.names)


@REGISTRY.function("Image.bandTypes", arrays=True)
def band_types(image: Image) -> dict[str, Any]:
    """Return the pixel type of each band, by name."""
    return {band.name: band.type for band in image.bands}


@REGISTRY.function("Image.metadata")
def metadata(image: Image, property: str, name: str | None = None) -> Image:
    """Return a constant image of a number among the image's properties."""
    value = image.properties.get(property)
    if isinstance(value, Date):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_request(f"Image.metadata: Property '{property}' is not a number: {value!r}.")
    kind = PixelType("double", float(value), float(value))
    return Image((Band(name or property, kind, Constant(float(value), np.float64)),))


def as_type(band: Band, kind: PixelType) -> Band:
    """Return a band cast to a type; whole numbers are cut off towards zero and clamped."""
    kind = replace(kind, dimensions=band.type.dimensions)
    if kind.precision != "int":
        return replace(band, type=kind, node=cast(band.node, kind))
    if _holds(kind, band.type):
        return replace(band, type=kind, node=cast(band.node, kind))
    node = pointwise([band.node], lambda values: clamped(values, kind), kind, "cast")
    return replace(band, type=kind, node=node)


def clamped(values: Values, kind: PixelType) -> Values:
    """Return numbers as a type holds them; whole ones are cut off towards zero and clamped."""
    if kind.precision != "int":
        return values.astype(kind.dtype, copy=False)
    low, high = _bounds(kind)
    if values.dtype.kind != "f":
        return np.asarray(np.clip(values, low, high))
    # The largest doubles below 2^63 fit; beyond, the cast itself would wrap.
    cut = np.clip(np.nan_to_num(np.trunc(values), nan=0.0), float(low), float(high))
    if high > 2**53:
        cut = np.where(cut >= float(high), high, cut.astype(np.int64))
    return np.asarray(cut)


def _bounds(kind: PixelType) -> tuple[int, int]:
    low, high = INTEGER_RANGES["int64"]
    return (
        low if kind.minimum is None else int(kind.minimum),
        high if kind.maximum is None else int(kind.maximum),
    )


def _holds(kind: PixelType, inner: PixelType) -> bool:
    """Say whether all whole numbers of `inner` lie in the range of `kind`."""
    if inner.precision != "int" or inner.minimum is None or inner.maximum is None:
        return False
    low, high = _bounds(kind)
    return low <= inner.minimum and inner.maximum <= high


CASTS: dict[PixelType, tuple[str, ...]] = {
    FLOAT: ("float", "toFloat"),
    DOUBLE: ("double", "toDouble"),
    PixelType("int", *INTEGER_RANGES["uint8"]): ("uint8", "toUint8", "byte", "toByte"),
    PixelType("int", *INTEGER_RANGES["int8"]): ("int8", "toInt8"),
    PixelType("int", *INTEGER_RANGES["uint16"]): ("uint16", "toUint16"),
    PixelType("int", *INTEGER_RANGES["int16"]): ("int16", "toInt16", "short", "toShort"),
    PixelType("int", *INTEGER_RANGES["uint32"]): ("uint32", "toUint32"),
    PixelType("int", *INTEGER_RANGES["int32"]): ("int32", "toInt32", "int", "toInt"),
    PixelType("int", *INTEGER_RANGES["int64"]): ("int64", "toInt64", "long", "toLong"),
}


def _cast_to(kind: PixelType) -> Any:
    def convert(value: Image) -> Image:
        """Return the image cast to a type."""
        return value.with_bands(as_type(band, kind) for band in value.bands)

    return convert


for _kind, _names in CASTS.items():
    REGISTRY.function(*(f"Image.{_name}" for _name in _names), arrays=True)(_cast_to(_kind))


@REGISTRY.function("Image.cast")
def cast_bands(
    image: Image, bandTypes: dict[str, Any], bandOrder: list[str] | None = None
) -> Image:
    """Return the image with some bands cast; types of bands it lacks add masked ones."""
    kinds: Mapping[str, PixelType] = {
        name: coerce(kind, PixelType, f"Image.cast, type of band '{name}'")
        for name, kind in bandTypes.items()
    }
    bands = {
        band.name: as_type(band, kinds[band.name]) if band.name in kinds else band
        for band in image.bands
    }
    for name in sorted(kinds.keys() - bands.keys()):
        bands[name] = Band(name, kinds[name], _nothing(kinds[name]))
    if bandOrder is None:
        return image.with_bands(bands.values())
    missing = [name for name in bandOrder if name not in bands]
    if missing or len(bandOrder) != len(bands):
        raise bad_request(
            f"Image.cast: 'bandOrder' must list every band once: [{', '.join(bands)}]."
        )
    return image.with_bands(bands[name] for name in bandOrder)


def _nothing(kind: PixelType) -> Blockwise:
    """Return a node that is masked everywhere."""
    return Blockwise(
        (Constant(0, kind.dtype),),
        lambda block: Block(block.values, np.zeros(block.values.shape, bool)),
        kind.dtype,
    )
