"""Landsat scenes of a few pixels, named and packed as the USGS does."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import numpy as np
import rasterio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "LC08_L2SP_132023_20200701_20200913_02_T1"
SHAPE = (12, 9)
TRANSFORM = rasterio.Affine(30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0)

MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{name}"
    PROCESSING_LEVEL = "L2SP"
    COLLECTION_NUMBER = 02
    COLLECTION_CATEGORY = "T1"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    SENSOR_ID = "OLI_TIRS"
    WRS_PATH = 132
    WRS_ROW = 23
    DATE_ACQUIRED = 2020-07-01
    SCENE_CENTER_TIME = "03:42:17.1234560Z"
    CLOUD_COVER = 12.5
    SUN_AZIMUTH = 150.25
    SUN_ELEVATION = 55.5
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = PROJECTION_ATTRIBUTES
    MAP_PROJECTION = "UTM"
    UTM_ZONE = 48
    GRID_CELL_SIZE_REFLECTIVE = 30.00
    REFLECTIVE_LINES = 12
    REFLECTIVE_SAMPLES = 9
    CORNER_UL_PROJECTION_X_PRODUCT = 500025.000
    CORNER_UL_PROJECTION_Y_PRODUCT = 5800005.000
  END_GROUP = PROJECTION_ATTRIBUTES
  GROUP = LEVEL2_PROCESSING_RECORD
    DATE_PRODUCT_GENERATED = 2020-09-13T01:02:03Z
    PROCESSING_SOFTWARE_VERSION = "LPGS_15.3.1c"
  END_GROUP = LEVEL2_PROCESSING_RECORD
  GROUP = LEVEL1_PROCESSING_RECORD
    LANDSAT_SCENE_ID = "LC81320232020183LGN00"
    LANDSAT_PRODUCT_ID = "LC08_L1TP_132023_20200701_20200708_02_T1"
    PROCESSING_LEVEL = "L1TP"
    PROCESSING_SOFTWARE_VERSION = "LPGS_13.0.0"
  END_GROUP = LEVEL1_PROCESSING_RECORD
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def scene_bands(seed: int = 0) -> dict[str, np.ndarray]:
    """Digital numbers of a scene: six reflectances and QA_PIXEL, the first row fill."""
    random = np.random.default_rng(seed)
    bands = {
        f"SR_B{number}": random.integers(7000, 20000, SHAPE).astype(np.uint16)
        for number in range(2, 8)
    }
    bands["QA_PIXEL"] = random.choice(np.array([21824, 21952, 22280], np.uint16), SHAPE)
    for band in bands.values():
        band[0] = 0
    bands["QA_PIXEL"][0] = 1
    return bands


def write_band(
    path: Path,
    values: np.ndarray,
    *,
    transform: rasterio.Affine = TRANSFORM,
    crs: str | None = "EPSG:32648",
    nodata: float | None = None,
) -> None:
    """Write one band as a GeoTIFF."""
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
    ) as dataset:
        dataset.write(values, 1)


def write_scene(
    folder: Path,
    *,
    name: str = NAME,
    bands: Mapping[str, np.ndarray] | None = None,
    mtl: str | None = None,
    mtl_name: str | None = None,
    **changes: str,
) -> Path:
    """Write a scene into a folder and return the folder.

    Args:
        folder: Made where it is not there.
        name: The product's name.
        bands: By Collection 2 name; `scene_bands()` where None.
        mtl: The metadata file's text.
        mtl_name: The product that names the metadata file.
        changes: Field -> what its value is to be; `None` removes the line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for band, values in (scene_bands() if bands is None else bands).items():
        write_band(folder / f"{name}_{band}.TIF", values)
    text = MTL.format(name=name) if mtl is None else mtl
    lines = []
    for line in text.splitlines():
        field = line.split("=")[0].strip()
        if field not in changes:
            lines.append(line)
        elif changes[field] is not None:
            lines.append(f"    {field} = {changes[field]}")
    (folder / f"{mtl_name or name}_MTL.txt").write_text("\n".join(lines) + "\n")
    return folder


def pack(folder: Path, path: Path, prefix: str = "") -> Path:
    """Pack a folder's files as a tar and return its path."""
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, prefix + file.name)
    return path
