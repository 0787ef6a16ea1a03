"""One image of features in an emulator in this process, and expressions over it as arrays."""

from __future__ import annotations

import json
from pathlib import Path

import ee
import numpy as np
from google.auth.credentials import AnonymousCredentials

from water_gee import raster, session
from water_gee.deploy.graph import INPUT
from water_gee.deploy.layers import extents
from water_gee.deploy.service import fetch
from water_gee.emulator.catalog import Catalog
from water_gee.emulator.ingest import ingest
from water_gee.emulator.service import Service
from water_gee.emulator.transport import LOCAL_URL, InProcessTransport
from water_gee.imagery.grid import Cell

ASSET = "projects/local/assets/features"


class Emulated:
    """`values` is float32 `(band, row, col)`, NaN where masked; use it in a `with`."""

    def __init__(self, folder, values):
        self.values = values
        cell = Cell(790, 387)
        self.grid = cell.grid.window(0, 0, *values.shape[1:])
        stack = Path(folder) / "features.tif"
        names = tuple(f"b{index}" for index in range(len(values)))
        raster.write(stack, values, self.grid, nodata=float("nan"), names=names)
        self.catalog = Path(folder) / "catalog"
        ingest(self.catalog, [stack], asset_id=ASSET)

    def __enter__(self):
        ee.deprecation.deprecated_assets = {"_": None}
        transport = InProcessTransport(Service(Catalog.open(self.catalog)))
        ee.Initialize(
            credentials=AnonymousCredentials(),
            project="local",
            url=LOCAL_URL,
            http_transport=transport,
        )
        return self

    def __exit__(self, *_):
        if session._current is not None:
            session._current.close()
        ee.Reset()

    def features(self, channels):
        """The first bands, unmasked everywhere."""
        chosen = ee.Image(ASSET).select(list(range(channels)))
        return chosen.toFloat().unmask(0, False)

    def fetch(self, image, margins=(0, 0)):
        """`(row, col, band)` of an image, all pixels but the margins; NaN where masked."""
        rows, cols = margins
        height, width = self.grid.shape
        window = self.grid.window(rows, cols, height - 2 * rows, width - 2 * cols)
        return fetch(image, window, "the network").transpose(1, 2, 0)

    def array(self, channels):
        """The first bands as a network takes them, `(row, col, band)`, NaN as 0."""
        return np.nan_to_num(self.values[:channels]).transpose(1, 2, 0)

    def says(self, graph, rules):
        """What a graph's image is by a form's rules, away from the border."""
        lost = extents(graph)[graph.output].lost
        image = image_of(graph, self.features(graph.input.attributes["channels"]), rules)
        found = self.fetch(image)
        assert np.isfinite(found).all()
        height, width = found.shape[:2]
        top, bottom, left, right = lost
        return found[top : height - bottom, left : width - right]


def image_of(graph, features, rules):
    """The network as an image, by the rules of one form."""
    made = {}
    for node in graph:
        inputs = [features] if node.kind == INPUT else [made[name] for name in node.inputs]
        made[node.name] = rules[node.kind](node, inputs)
    return made[graph.output]


def on_the_wire(image):
    """The expression as the service gets it."""
    return json.loads(json.dumps(ee.serializer.encode(image)))
