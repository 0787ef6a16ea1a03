"""Images out of arrays, and arrays out of what the client says to do with them; no service."""

from __future__ import annotations

import json

import numpy as np
import pytest
from shapely.geometry import box

from water_gee.emulator.describe import to_json
from water_gee.emulator.evaluator import Evaluator
from water_gee.emulator.nodes import Source, Warp
from water_gee.emulator.pixels import Block, Context, Grid, Window, evaluate
from water_gee.emulator.services import NoAssets
from water_gee.emulator.values import Band, Geometry, Image, PixelType, Projection
from water_gee.errors import ServiceError

UTM = Grid("EPSG:32648", (30.0, 0.0, 500_000.0, 0.0, -30.0, 6_000_000.0))
"""30 m pixels, north up, on the central meridian of zone 48."""


class Rasters(NoAssets):
    """A catalogue of arrays."""

    def __init__(self):
        self.images = {}

    def load_image(self, asset_id):
        return self.images[asset_id] if asset_id in self.images else super().load_image(asset_id)


class Studio:
    """Makes images out of arrays, and arrays out of what the client says to do with them."""

    def __init__(self, client):
        self.client = client
        self.assets = Rasters()
        self.evaluator = Evaluator(self.assets)

    def raster(self, *arrays, mask=None, names=None, grid=UTM, kind=None, properties=None):
        """Return an `ee.Image` of arrays `(row, col)` on a grid, with one mask, bool or float."""
        asset_id = f"test/r{len(self.assets.images)}"
        names = names or [f"b{number}" for number in range(1, len(arrays) + 1)]
        bands = [
            self._band(name, np.asarray(array), mask, grid, kind)
            for name, array in zip(names, arrays, strict=True)
        ]
        height, width = np.asarray(arrays[0]).shape
        left, top = grid.coordinates(np.float64(0), np.float64(0))
        right, bottom = grid.coordinates(np.float64(width), np.float64(height))
        shape = box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        footprint = Geometry(shape, grid.crs, geodesic=False)
        self.assets.images[asset_id] = Image(tuple(bands), properties or {}, asset_id, footprint)
        return self.client.Image(asset_id)

    def _band(self, name, array, mask, grid, kind):
        def read(level, window):
            step = 2**level
            cut = (
                slice(window.row * step, (window.row + window.height) * step, step),
                slice(window.col * step, (window.col + window.width) * step, step),
            )
            return Block(array[cut], None if mask is None else np.asarray(mask)[cut])

        node = Warp(Source(grid, array.shape, read, array.dtype), grid)
        size = array.shape[::-1]
        projection = Projection(grid.crs, grid.transform)
        return Band(name, kind or PixelType.of_dtype(array.dtype), node, projection, size)

    def compute(self, thing):
        """Return the value of what the client serialises."""
        encoded = self.client.serializer.encode(thing, for_cloud_api=True)
        return self.evaluator.compute(encoded)

    def info(self, thing):
        """Return what `getInfo` would."""
        return json.loads(json.dumps(to_json(self.compute(thing))))

    def blocks(self, thing, shape=(4, 5), grid=UTM, offset=(0, 0), context=None):
        """Return `{band: (values, mask)}` over a window of a grid, masks bool or float."""
        image = self.compute(thing)
        window = Window(*offset, *shape)
        found = evaluate([band.node for band in image.bands], grid, window, context or Context())
        assert all(block.values.shape == shape for block in found)
        return {
            band.name: (
                block.values,
                np.ones(shape, bool) if block.mask is None else block.mask,
            )
            for band, block in zip(image.bands, found, strict=True)
        }

    def pixels(self, thing, shape=(4, 5), **how):
        """Return the only band as a masked array."""
        ((values, mask),) = self.blocks(thing, shape, **how).values()
        return np.ma.masked_array(values, ~(mask > 0))

    def refused(self, thing):
        """Return the message an expression is refused with."""
        with pytest.raises(ServiceError) as caught:
            self.compute(thing)
        assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
        return caught.value.message

    def refused_pixels(self, thing, shape=(4, 5), **how):
        """Return the message that pixels are refused with."""
        with pytest.raises(ServiceError) as caught:
            self.blocks(thing, shape, **how)
        return caught.value.message


def same(found, expected, mask=None, tolerance=0.0):
    """Assert that a masked array has these values where `mask` says, and is masked elsewhere."""
    expected = np.asarray(expected)
    observed = np.ones(found.shape, bool) if mask is None else np.asarray(mask, bool)
    np.testing.assert_array_equal(~np.ma.getmaskarray(found), observed)
    np.testing.assert_allclose(
        found.data[observed].astype(float),
        np.broadcast_to(expected, found.shape)[observed].astype(float),
        rtol=tolerance,
        atol=tolerance,
    )
