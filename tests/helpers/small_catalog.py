"""A small catalogue with known pixels, and the stock client over it, in process and over HTTP."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from water_gee.emulator.catalog import Catalog
from water_gee.emulator.newband import NewBand
from water_gee.emulator.server import Emulator
from water_gee.emulator.service import Service
from water_gee.emulator.transport import LOCAL_URL, InProcessTransport
from water_gee.emulator.values import Projection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

UTM = Projection("EPSG:32648", (30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0))
SHAPE = (40, 50)
COLLECTION = "LANDSAT/LC08/C02/T1_L2"
FIRST = f"{COLLECTION}/LC08_132023_20200701"
SECOND = f"{COLLECTION}/LC08_132023_20200717"
DEM = "COPERNICUS/DEM/GLO30/tile"
TIMES = {FIRST: 1_593_572_400_000, SECOND: 1_594_954_800_000}


def scene_arrays(asset_id: str) -> dict[str, np.ndarray]:
    """The digital numbers of a scene of the small catalogue; 0 is fill, QA_PIXEL 1 is."""
    random = np.random.default_rng(TIMES[asset_id] % 1000 + 7)
    arrays = {
        name: random.integers(7000, 40000, SHAPE).astype(np.uint16)
        for name in ("SR_B2", "SR_B3", "SR_B6")
    }
    arrays["SR_B3"][5:9, 10:30] = 0
    arrays["QA_PIXEL"] = random.choice(np.array([21824, 21952, 22280], np.uint16), SHAPE)
    for array in arrays.values():
        array[:3, :4] = 0
    arrays["QA_PIXEL"][:3, :4] = 1
    return arrays


def dem_array() -> np.ndarray:
    """Metres, -32767 where there are none."""
    heights = np.random.default_rng(5).uniform(400, 900, (30, 20)).astype(np.float32)
    heights[0, :5] = -32767
    return heights


def fill(catalog: Catalog) -> None:
    """Put the scenes and the elevation into a catalogue."""
    for asset_id, time in TIMES.items():
        catalog.ensure_parents(asset_id, collection=True)
        bands = [
            NewBand.of_array(
                name,
                values,
                UTM,
                nodata=1 if name == "QA_PIXEL" else 0,
                policy="SAMPLE" if name == "QA_PIXEL" else "MEAN",
            )
            for name, values in scene_arrays(asset_id).items()
        ]
        properties = {"WRS_PATH": 132, "CLOUD_COVER": 10.5 if asset_id == FIRST else 70.0}
        catalog.add_image(asset_id, bands, properties, start_time=time, end_time=time)
    catalog.ensure_parents(DEM, collection=True)
    degrees = Projection("EPSG:4326", (0.001, 0.0, 105.0, 0.0, -0.001, 52.36))
    catalog.add_image(DEM, [NewBand.of_array("DEM", dem_array(), degrees, nodata=-32767)])
    catalog.ensure_parents("projects/local/assets/maps/any")


@dataclass
class Client:
    """The stock client on one seam.

    Attributes:
        ee: The client.
        service: What answers it.
        fetch: From an address to the bytes there.
        status: From an address to the HTTP status there.
    """

    ee: ModuleType
    service: Service
    fetch: Callable[[str], bytes]
    status: Callable[[str], int]

    def pixels(self, image, bands, shape, transform, crs="EPSG:32648", file_format="NUMPY_NDARRAY"):
        """What `ee.data.computePixels` returns."""
        names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
        request = {
            "expression": image,
            "fileFormat": file_format,
            "bandIds": bands,
            "grid": {
                "dimensions": {"width": shape[1], "height": shape[0]},
                "affineTransform": dict(zip(names, transform, strict=True)),
                "crsCode": crs,
            },
        }
        return self.ee.data.computePixels(request)

    def export(self, image, asset_id, **options):
        """Export to an asset and return the operation once it has ended."""
        task = self.ee.batch.Export.image.toAsset(
            image=image, description="test", assetId=asset_id, **options
        )
        task.start()
        return self.service.tasks.wait(task.id, 60)


def connect(url: str, **options) -> ModuleType:
    """Point the stock client at a server."""
    import ee
    from google.auth.credentials import AnonymousCredentials

    ee.deprecation.deprecated_assets = {"_": None}
    ee.Initialize(credentials=AnonymousCredentials(), url=url, project="local", **options)
    return ee


@contextlib.contextmanager
def client_in_process(folder: Path) -> Iterator[Client]:
    with Service(Catalog.open(folder)) as service:
        transport = InProcessTransport(service)
        ee = connect(LOCAL_URL, http_transport=transport)
        yield Client(
            ee,
            service,
            lambda url: transport.request(url)[1],
            lambda url: transport.request(url)[0].status,
        )
        ee.data.reset()


@contextlib.contextmanager
def client_over_http(folder: Path) -> Iterator[Client]:
    import requests

    with Emulator(folder) as emulator:
        ee = connect(emulator.url)
        yield Client(
            ee,
            emulator.service,
            lambda url: requests.get(url, timeout=60).content,
            lambda url: requests.get(url, timeout=60).status_code,
        )
        ee.data.reset()
