"""Exports of images to assets: checked, computed window by window, published whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from water_gee.emulator.assets import IMAGE, AssetRecord, canonical_id, is_public
from water_gee.emulator.bandfiles import RESAMPLING, BandWriter
from water_gee.emulator.coerce import coerce
from water_gee.emulator.describe import to_json
from water_gee.emulator.errors import bad_request, export_too_large, read_only
from water_gee.emulator.footprint import outline
from water_gee.emulator.gridrequest import PixelRequest, native_request, wire_request
from water_gee.emulator.limits import DEFAULT_MAX_PIXELS, MAX_REQUEST_ID
from water_gee.emulator.newband import file_name, record_of
from water_gee.emulator.pixels import Context, Window
from water_gee.emulator.plan import Plan
from water_gee.emulator.values import Band, Image, PixelType

if TYPE_CHECKING:
    from pathlib import Path

    from water_gee.emulator.catalog import Catalog

EXPORT_SIDE = 512
"""Pixels a side of the windows computed at once; a multiple of the files' tiles."""

_OWN_PROPERTIES = ("system:index", "system:asset_size", "system:footprint", "system:version", "id")
"""Properties that follow from the asset and are not copied into another."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What every export to an asset asks for, checked.

    Attributes:
        expression: What is to be computed, in wire form.
        asset_id: Where it goes.
        overwrite: Whether an asset there may be replaced.
        description: The task's name.
        request_id: The caller's name for the request, empty for none.
        priority: From 0 to 9999, higher first.
    """

    expression: Mapping[str, Any]
    asset_id: str
    overwrite: bool = False
    description: str = ""
    request_id: str = ""
    priority: int = 100


def destination_of(wire: Mapping[str, Any], where: str) -> Destination:
    """Check what every export to an asset asks for.

    Args:
        wire: An `ExportImageRequest` or `ExportTableRequest`.
        where: `Export.image` or `Export.table`.

    Raises:
        ServiceError: 400: something is malformed or not done here; 403: it writes into the public
            catalogue.
    """
    expression = wire.get("expression")
    if not isinstance(expression, Mapping):
        raise bad_request(f"{where}: Parameter 'expression' is required.")
    if "fileExportOptions" in wire:
        raise bad_request(
            f"{where}: fileExportOptions (Drive, Cloud Storage) is not implemented by this "
            "emulator; export to an asset."
        )
    options = wire.get("assetExportOptions")
    destination = options.get("earthEngineDestination") if isinstance(options, Mapping) else None
    if not isinstance(destination, Mapping):
        raise bad_request(f"{where}: assetExportOptions.earthEngineDestination is required.")
    asset_id = canonical_id(str(destination.get("name") or ""))
    if is_public(asset_id):
        raise read_only(asset_id)
    request_id = str(wire.get("requestId") or "")
    if len(request_id) > MAX_REQUEST_ID:
        raise bad_request(f"requestId must be at most {MAX_REQUEST_ID} characters long.")
    return Destination(
        expression,
        asset_id,
        bool(destination.get("overwrite", False)),
        str(wire.get("description") or f"my{where.title().replace('.', '')}Task"),
        request_id,
        _integer(wire.get("priority"), 100, "priority"),
    )


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What an `ExportImageRequest` asks for, checked.

    Attributes:
        to: Where the image goes, and what the task is called.
        policy: The pyramiding policy of bands not in `policies`.
        policies: Band name -> pyramiding policy.
        max_pixels: Most pixels to compute.
        grid: A `PixelGrid` message, None for the image's own.
    """

    to: Destination
    policy: str = "MEAN"
    policies: Mapping[str, str] = field(default_factory=dict)
    max_pixels: int = DEFAULT_MAX_PIXELS
    grid: Mapping[str, Any] | None = None

    kind: ClassVar[str] = "EXPORT_IMAGE"
    response: ClassVar[str] = "ExportImageResponse"

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> ExportRequest:
        """Check a request.

        Raises:
            ServiceError: 400: something in it is malformed or not done here; 403: it writes into
                the public catalogue.
        """
        to = destination_of(wire, "Export.image")
        options = wire["assetExportOptions"]
        overrides = options.get("pyramidingPolicyOverrides") or {}
        return cls(
            to,
            _policy(options.get("pyramidingPolicy")),
            {str(band): _policy(policy) for band, policy in overrides.items()},
            _integer(wire.get("maxPixels"), DEFAULT_MAX_PIXELS, "maxPixels"),
            wire.get("grid"),
        )

    def checked(self, value: Any) -> Image:
        """Return what the expression has resulted in, as an image.

        Raises:
            ServiceError: 400: it is none.
        """
        found: Image = coerce(value, Image, "expression")
        return found

    def run(
        self,
        catalog: Catalog,
        value: Any,
        step: Callable[[float], None],
        done: Callable[[], None],
        context: Context,
    ) -> None:
        """Compute the image and make an asset of it; see `export_image`."""
        export_image(catalog, self.checked(value), self, step, done, context)


def _policy(name: Any) -> str:
    policy = "MEAN" if name in (None, "", "PYRAMIDING_POLICY_UNSPECIFIED") else str(name)
    if policy not in RESAMPLING:
        raise bad_request(
            f"Export.image: the pyramiding policy {policy} is not implemented by this emulator; "
            f"use {', '.join(RESAMPLING)}."
        )
    return policy


def _integer(value: Any, default: int, name: str) -> int:
    """Read a wrapped or bare integer, which JSON may write as text."""
    bare = value.get("value") if isinstance(value, Mapping) else value
    if bare is None:
        return default
    try:
        return int(bare)
    except (TypeError, ValueError):
        raise bad_request(f"{name}: expected an integer, got {bare!r}.") from None


def export_image(
    catalog: Catalog,
    image: Image,
    request: ExportRequest,
    step: Callable[[float], None],
    done: Callable[[], None],
    context: Context | None = None,
) -> None:
    """Compute an image and make an asset of it.

    Args:
        catalog: Where it goes.
        image: What to compute.
        request: Where it goes and how.
        step: Called after each window with the share done, from 0 to 1; raises to stop.
        done: Called in the transaction that makes the asset.
        context: Budget of the evaluation, and a deadline that may be set while it runs.

    Raises:
        ServiceError: 400: it is too large, unbounded, cannot be computed, or the asset is there
            already.
        OSError: The disk is full.
    """
    context = context or Context()
    catalog.check_free(request.to.asset_id, overwrite=request.to.overwrite)
    place = wire_request(image, request.grid) if request.grid else native_request(image)
    if place.window.area > request.max_pixels:
        raise export_too_large(place.window.area, request.max_pixels)
    _check_bands(image)
    properties, start, end = _properties(image)
    with catalog.stage() as folder, _writers(folder, image, place, request) as writers:
        plan = Plan.of([band.node for band in image.bands], place.grid)
        windows = list(_windows(place.window))
        for number, window in enumerate(windows, start=1):
            blocks = plan.run(window, context)
            local = window.shift(-place.window.row, -place.window.col)
            for writer, block in zip(writers, blocks, strict=True):
                writer.write(local, block)
            step(number / (len(windows) + 1))
        for writer in writers:
            writer.close()
            step(len(windows) / (len(windows) + 1))
        record = AssetRecord(
            request.to.asset_id,
            IMAGE,
            properties,
            start,
            end,
            outline(place.projection, place.window.shape),
            tuple(
                record_of(writer, band.name, _stored_type(band))
                for writer, band in zip(writers, image.bands, strict=True)
            ),
        )
        catalog.publish(folder, record, overwrite=request.to.overwrite, also=done)


def _windows(whole: Window) -> Iterator[Window]:
    for top in range(0, whole.height, EXPORT_SIDE):
        for left in range(0, whole.width, EXPORT_SIDE):
            yield Window(
                whole.row + top,
                whole.col + left,
                min(EXPORT_SIDE, whole.height - top),
                min(EXPORT_SIDE, whole.width - left),
            )


@contextmanager
def _writers(
    folder: Path, image: Image, place: PixelRequest, request: ExportRequest
) -> Iterator[list[BandWriter]]:
    writers: list[BandWriter] = []
    try:
        for index, band in enumerate(image.bands):
            writers.append(
                BandWriter(
                    folder / file_name(index, band.name),
                    place.projection,
                    place.window.shape,
                    band.type.storage,
                    policy=request.policies.get(band.name, request.policy),
                    name=band.name,
                )
            )
        yield writers
    except BaseException:
        for writer in writers:
            writer.abandon()
        raise


def _check_bands(image: Image) -> None:
    if not image.bands:
        raise bad_request("Image has no bands.")
    for band in image.bands:
        if band.type.dimensions:
            raise bad_request(
                f"Export.image: the band '{band.name}' holds arrays, which cannot be exported; "
                "flatten it first (Image.arrayFlatten)."
            )


def _stored_type(band: Band) -> PixelType:
    """Return the type of a band once it is a file: integers have the range of the file's type."""
    if band.type.precision == "int":
        return PixelType.of_dtype(band.type.storage)
    return replace(band.type, minimum=None, maximum=None)


def _properties(image: Image) -> tuple[dict[str, Any], int | None, int | None]:
    """Return the properties an export keeps, and its times in milliseconds since 1970 UTC."""
    found = {
        name: to_json(value)
        for name, value in image.properties.items()
        if name not in _OWN_PROPERTIES
    }
    times: list[int | None] = []
    for name in ("system:time_start", "system:time_end"):
        value = found.pop(name, None)
        if isinstance(value, Mapping):
            value = value.get("value")
        if value is not None and not isinstance(value, (int, float)):
            raise bad_request(f"Export.image: the property {name} is no number: {value!r}.")
        times.append(None if value is None else int(value))
    return found, times[0], times[1]
