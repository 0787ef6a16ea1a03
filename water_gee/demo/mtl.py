"""The MTL.txt of a synthetic scene: the structure USGS ships, holding what readers of it need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyproj import Transformer

from water_gee.demo.site import PIXEL, UTM

if TYPE_CHECKING:
    from datetime import datetime

    from water_gee.demo.site import Site

ORIGIN = "SYNTHETIC: made by the water_gee demo, no satellite saw this"
"""Said wherever the format has a place for it."""

BAND_NUMBERS = (2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """What the metadata file says of one scene.

    Attributes:
        product: Landsat product id.
        when: Time over the scene's centre, UTC.
        made: Day the product was made, as YYYYMMDD.
        path: WRS-2 path.
        row: WRS-2 row.
        sun: Azimuth and elevation in degrees.
        cloud_cover: Per cent of the seen pixels.
    """

    product: str
    when: datetime
    made: str
    path: int
    row: int
    sun: tuple[float, float]
    cloud_cover: float


def write_mtl(facts: SceneFacts, site: Site) -> str:
    """Compose the metadata file.

    Args:
        facts: Of the scene.
        site: Its grid.
    """
    groups = {
        "PRODUCT_CONTENTS": _contents(facts),
        "IMAGE_ATTRIBUTES": _attributes(facts),
        "PROJECTION_ATTRIBUTES": _projection(site),
        "LEVEL2_PROCESSING_RECORD": _processing(facts),
        "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS": _scaling(),
    }
    lines = ["GROUP = LANDSAT_METADATA_FILE"]
    for name, fields in groups.items():
        lines.append(f"  GROUP = {name}")
        lines += [f"    {key} = {value}" for key, value in fields.items()]
        lines.append(f"  END_GROUP = {name}")
    return "\n".join([*lines, "END_GROUP = LANDSAT_METADATA_FILE", "END", ""])


def _quoted(text: str) -> str:
    return f'"{text}"'


def _contents(facts: SceneFacts) -> dict[str, str]:
    fields = {
        "ORIGIN": _quoted(ORIGIN),
        "LANDSAT_PRODUCT_ID": _quoted(facts.product),
        "PROCESSING_LEVEL": _quoted("L2SP"),
        "COLLECTION_NUMBER": "02",
        "COLLECTION_CATEGORY": _quoted("T1"),
        "OUTPUT_FORMAT": _quoted("GEOTIFF"),
    }
    for band in BAND_NUMBERS:
        fields[f"FILE_NAME_BAND_{band}"] = _quoted(f"{facts.product}_SR_B{band}.TIF")
    fields["FILE_NAME_QUALITY_L1_PIXEL"] = _quoted(f"{facts.product}_QA_PIXEL.TIF")
    fields["FILE_NAME_METADATA_ODL"] = _quoted(f"{facts.product}_MTL.txt")
    for band in BAND_NUMBERS:
        fields[f"DATA_TYPE_BAND_{band}"] = _quoted("UINT16")
    fields["DATA_TYPE_QUALITY_L1_PIXEL"] = _quoted("UINT16")
    return fields


def _attributes(facts: SceneFacts) -> dict[str, str]:
    return {
        "SPACECRAFT_ID": _quoted("LANDSAT_8"),
        "SENSOR_ID": _quoted("OLI_TIRS"),
        "WRS_TYPE": "2",
        "WRS_PATH": str(facts.path),
        "WRS_ROW": str(facts.row),
        "NADIR_OFFNADIR": _quoted("NADIR"),
        "TARGET_WRS_PATH": str(facts.path),
        "TARGET_WRS_ROW": str(facts.row),
        "DATE_ACQUIRED": facts.when.strftime("%Y-%m-%d"),
        "SCENE_CENTER_TIME": _quoted(facts.when.strftime("%H:%M:%S.%f") + "0Z"),
        "CLOUD_COVER": f"{facts.cloud_cover:.2f}",
        "CLOUD_COVER_LAND": f"{facts.cloud_cover:.2f}",
        "IMAGE_QUALITY_OLI": "9",
        "ROLL_ANGLE": "0.000",
        "SUN_AZIMUTH": f"{facts.sun[0]:.8f}",
        "SUN_ELEVATION": f"{facts.sun[1]:.8f}",
        "EARTH_SUN_DISTANCE": "1.0150000",
    }


def _projection(site: Site) -> dict[str, str]:
    rows, cols = site.shape
    left, top = site.transform.c, site.transform.f
    right, bottom = left + cols * PIXEL, top - rows * PIXEL
    fields = {
        "MAP_PROJECTION": _quoted("UTM"),
        "DATUM": _quoted("WGS84"),
        "ELLIPSOID": _quoted("WGS84"),
        "UTM_ZONE": str(int(UTM[-2:])),
        "GRID_CELL_SIZE_REFLECTIVE": f"{PIXEL:.2f}",
        "REFLECTIVE_LINES": str(rows),
        "REFLECTIVE_SAMPLES": str(cols),
        "ORIENTATION": _quoted("NORTH_UP"),
    }
    # USGS gives the centres of the corner pixels.
    half = PIXEL / 2
    corners = {
        "UL": (left + half, top - half),
        "UR": (right - half, top - half),
        "LL": (left + half, bottom + half),
        "LR": (right - half, bottom + half),
    }
    back = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    for corner, (x, y) in corners.items():
        longitude, latitude = back.transform(x, y)
        fields[f"CORNER_{corner}_LAT_PRODUCT"] = f"{latitude:.5f}"
        fields[f"CORNER_{corner}_LON_PRODUCT"] = f"{longitude:.5f}"
    for corner, (x, y) in corners.items():
        fields[f"CORNER_{corner}_PROJECTION_X_PRODUCT"] = f"{x:.3f}"
        fields[f"CORNER_{corner}_PROJECTION_Y_PRODUCT"] = f"{y:.3f}"
    return fields


def _processing(facts: SceneFacts) -> dict[str, str]:
    made = f"{facts.made[:4]}-{facts.made[4:6]}-{facts.made[6:]}"
    return {
        "ORIGIN": _quoted(ORIGIN),
        "LANDSAT_PRODUCT_ID": _quoted(facts.product),
        "PROCESSING_LEVEL": _quoted("L2SP"),
        "OUTPUT_FORMAT": _quoted("GEOTIFF"),
        "DATE_PRODUCT_GENERATED": f"{made}T00:00:00Z",
        "PROCESSING_SOFTWARE_VERSION": _quoted("water_gee demo"),
        "ALGORITHM_SOURCE_SURFACE_REFLECTANCE": _quoted("SYNTHETIC"),
    }


def _scaling() -> dict[str, str]:
    fields = {}
    for name, value in (
        ("REFLECTANCE_MAXIMUM_BAND", "1.602213"),
        ("REFLECTANCE_MINIMUM_BAND", "-0.199972"),
        ("QUANTIZE_CAL_MAX_BAND", "65535"),
        ("QUANTIZE_CAL_MIN_BAND", "1"),
        ("REFLECTANCE_MULT_BAND", "2.75e-05"),
        ("REFLECTANCE_ADD_BAND", "-0.2"),
    ):
        for band in BAND_NUMBERS:
            fields[f"{name}_{band}"] = value
    return fields
