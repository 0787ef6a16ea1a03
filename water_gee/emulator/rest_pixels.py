"""Routes that compute: values, pixels, pictures and downloads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from water_gee.emulator.assets import canonical_id, rest_name
from water_gee.emulator.describe import to_json
from water_gee.emulator.errors import asset_missing, bad_request, refusal
from water_gee.emulator.geojson import geometry_from_json
from water_gee.emulator.gridrequest import wire_request
from water_gee.emulator.limits import MAX_DOWNLOAD_BYTES, MAX_DOWNLOAD_SIDE
from water_gee.emulator.service import Thumbnail, with_bands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from water_gee.emulator.routes import Request
    from water_gee.emulator.service import Service
    from water_gee.emulator.values import Image

FORMATS = (
    "",
    "IMAGE_FILE_FORMAT_UNSPECIFIED",
    "JPEG",
    "PNG",
    "AUTO_JPEG_PNG",
    "NPY",
    "GEO_TIFF",
    "ZIPPED_GEO_TIFF",
    "ZIPPED_GEO_TIFF_PER_BAND",
)
"""The image formats made here."""


def value(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Compute the value of an expression: what `getInfo` asks."""
    del name
    with service.evaluation(request.wanted) as context:
        return {"result": to_json(service.value(request.message.get("expression"), context))}


def compute_pixels(service: Service, name: str, request: Request) -> tuple[bytes, str]:
    """Compute pixels of an expression on a grid."""
    del name
    with service.evaluation(request.wanted) as context:
        image = service.image(request.message.get("expression"), context)
        return service.pixels(image, request.message, context=context)


def asset_pixels(service: Service, name: str, request: Request) -> tuple[bytes, str]:
    """Compute pixels of an image asset, in a region perhaps."""
    wire = request.message
    asset_id = canonical_id(name)
    record = service.catalog.record(asset_id)
    if record is None:
        raise asset_missing(rest_name(asset_id))
    with service.evaluation(request.wanted) as context:
        image = service.catalog.load_image(asset_id)
        if wire.get("region") is not None:
            image = _in_region(image, wire["region"])
        return service.pixels(image, wire, context=context)


def _in_region(image: Any, region: Any) -> Any:
    """Return an image whose footprint is a region: its pixels are those asked for."""
    if not isinstance(region, dict):
        raise bad_request("region: expected a GeoJSON object.")
    return replace(image, footprint=geometry_from_json(region))


def create_thumbnail(service: Service, name: str, request: Request) -> dict[str, Any]:
    """Remember a picture or download under a name; pixels are computed when they are fetched."""
    wire = request.message
    if str(wire.get("fileFormat") or "") not in FORMATS:
        raise bad_request(
            f"fileFormat: '{wire['fileFormat']}' is not implemented by this emulator."
        )
    with service.evaluation(request.wanted) as context:
        # What cannot be computed is refused now, as the service does, and not when it is fetched.
        image = with_bands(service.image(wire.get("expression"), context), wire.get("bandIds"))
        pixels = wire_request(image, wire.get("grid"))
    digest = hashlib.sha256(json.dumps(wire, sort_keys=True).encode()).hexdigest()
    thumbnail = f"{name}/thumbnails/{digest[:32]}-{digest[32:]}"
    kind = _kind(wire, image, pixels.window.shape) if service.faults.canned else None
    service.keep_thumbnail(thumbnail, Thumbnail(wire, kind))
    return {**wire, "name": thumbnail}


def _kind(wire: Mapping[str, Any], image: Image, shape: tuple[int, int]) -> bytes:
    """Return what pictures have in common that differ in their pixels and their place alone."""
    bands = [(band.name, repr(band.type)) for band in image.bands]
    rest = {name: part for name, part in wire.items() if name not in ("expression", "grid")}
    text = json.dumps([shape, bands, rest], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def thumbnail_pixels(service: Service, name: str, request: Request) -> tuple[bytes, str]:
    """Compute the pixels of a picture or download that was asked for."""
    kept = service.thumbnail(name)
    if kept is None:
        raise refusal(404, f"Thumbnail '{name}' not found; ask for it again.")
    wire = kept.wire
    with service.evaluation(request.wanted) as context:
        image = service.image(wire.get("expression"), context)
        return service.pixels(
            image,
            wire,
            bytes_limit=MAX_DOWNLOAD_BYTES,
            side_limit=MAX_DOWNLOAD_SIDE,
            context=context,
        )
