"""What a function may ask for beyond its arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from water_gee.emulator.pixels import Context

if TYPE_CHECKING:
    from water_gee.emulator.values import Collection, Image


class AssetLoader(Protocol):
    """Where images and collections come from; the catalogue is one."""

    def load_image(self, asset_id: str) -> Image:
        """Return an image asset.

        Raises:
            ServiceError: 400: there is none, in the service's words.
        """
        ...

    def load_collection(self, asset_id: str) -> Collection:
        """Return an image collection asset, its images in order of their time and index.

        Raises:
            ServiceError: 400: there is none, in the service's words.
        """
        ...

    def load_table(self, asset_id: str) -> Collection:
        """Return a table asset.

        Raises:
            ServiceError: 400: there is none, in the service's words.
        """
        ...


class NoAssets:
    """A catalogue with nothing in it."""

    def load_image(self, asset_id: str) -> Image:
        """Refuse."""
        from water_gee.emulator.registry import bad_request

        raise bad_request(
            f"Image.load: Image asset '{asset_id}' not found "
            "(does not exist or caller does not have access)."
        )

    def load_collection(self, asset_id: str) -> Collection:
        """Refuse."""
        from water_gee.emulator.registry import bad_request

        raise bad_request(
            f"ImageCollection.load: ImageCollection asset '{asset_id}' not found "
            "(does not exist or caller does not have access)."
        )

    def load_table(self, asset_id: str) -> Collection:
        """Refuse."""
        from water_gee.emulator.registry import bad_request

        raise bad_request(
            f"Collection.loadTable: Collection asset '{asset_id}' not found "
            "(does not exist or caller does not have access)."
        )


@dataclass(slots=True)
class Services:
    """The catalogue, and what evaluations of pixels share.

    Attributes:
        assets: Where assets come from.
        pixels: Budget, deadline and caches of the request.
    """

    assets: AssetLoader = field(default_factory=NoAssets)
    pixels: Context = field(default_factory=Context)
