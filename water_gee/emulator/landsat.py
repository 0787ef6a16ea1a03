"""Landsat products: their bands, what fills them, how their QA words are put together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from water_gee.emulator.pixels import Values

SCALE, OFFSET = 0.0000275, -0.2
"""Collection 2 surface reflectance is DN x scale + offset (LSDS-1619, Landsat 8-9 C2 L2 guide)."""

COLLECTION1_SCALE = 0.0001
COLLECTION1_FILL = -9999
"""Collection 1 surface reflectance is DN x 0.0001 (LSDS-1368)."""

PRODUCT_ID = re.compile(
    r"(?P<sensor>L[COTEM]\d\d)_(?P<level>L\w{3})_(?P<path>\d{3})(?P<row>\d{3})"
    r"_(?P<date>\d{8})_\d{8}_(?P<collection>\d\d)_(?P<tier>T1|T2|RT)"
)
"""A product's name: sensor, level, path and row, acquisition, processing, collection, tier."""


@dataclass(frozen=True, slots=True)
class Product:
    """One spacecraft's Collection 2 Level 2 product.

    Attributes:
        prefix: `LC08`; begins ids and names the collection.
        spacecraft: As the MTL names it.
        needed: Surface reflectance bands without which a scene is refused: blue to shortwave
            infrared 1.
        optional: The other bands Earth Engine has, in its order after the reflectances.
        red: The red band.
        nir: The near-infrared band.
        clear_land: QA_PIXEL of clear land.
        clear_water: QA_PIXEL of clear water; its clear bit is off on Landsat 4-7.
    """

    prefix: str
    spacecraft: str
    needed: tuple[str, ...]
    reflectances: tuple[str, ...]
    optional: tuple[str, ...]
    red: str
    nir: str
    clear_land: int
    clear_water: int

    @property
    def bands(self) -> tuple[str, ...]:
        """Every band Earth Engine has, in its order."""
        return (*self.reflectances, *self.optional)


_THERMAL = ("ST_ATRAN", "ST_CDIST", "ST_DRAD", "ST_EMIS", "ST_EMSD", "ST_QA", "ST_TRAD", "ST_URAD")
_QA = ("QA_PIXEL", "QA_RADSAT")


def _oli(number: int) -> Product:
    return Product(
        f"LC{number:02d}",
        f"LANDSAT_{number}",
        tuple(f"SR_B{band}" for band in (2, 3, 4, 5, 6)),
        tuple(f"SR_B{band}" for band in range(1, 8)),
        ("SR_QA_AEROSOL", "ST_B10", *_THERMAL, *_QA),
        "SR_B4",
        "SR_B5",
        21824,
        21952,
    )


def _tm(prefix: str) -> Product:
    number = int(prefix[2:])
    return Product(
        prefix,
        f"LANDSAT_{number}",
        tuple(f"SR_B{band}" for band in (1, 2, 3, 4, 5)),
        tuple(f"SR_B{band}" for band in (1, 2, 3, 4, 5, 7)),
        ("SR_ATMOS_OPACITY", "SR_CLOUD_QA", "ST_B6", *_THERMAL, *_QA),
        "SR_B3",
        "SR_B4",
        5440,
        5504,
    )


PRODUCTS = MappingProxyType(
    {
        product.prefix: product
        for product in (_oli(8), _oli(9), _tm("LE07"), _tm("LT05"), _tm("LT04"))
    }
)
"""Products by the first four letters of their names."""

FILL_QA = 1
"""QA_PIXEL outside the image: the fill bit alone."""


def nodata_of(band: str) -> float | None:
    """Return the fill value of a Collection 2 band, None where every value means something."""
    if band == "QA_PIXEL":
        return FILL_QA
    if re.fullmatch(r"S[RT]_B\d+", band):
        return 0
    return -9999 if band.startswith(("ST_", "SR_ATMOS")) else None


def policy_of(band: str) -> str:
    """Return how a band's coarser pixels are made: bits are not averaged."""
    return "SAMPLE" if "QA" in band else "MEAN"


def reflectance(values: Values) -> Values:
    """Return Collection 2 digital numbers as surface reflectance, float64."""
    return values.astype(np.float64) * SCALE + OFFSET


def qa_from_cfmask_water(product: Product, red: Values, nir: Values) -> Values:
    """Make a QA_PIXEL from two reflectance bands where the product came without one.

    The water test is CFMask's (Zhu and Woodcock 2012, equation 5): NDVI below 0.01 and near
    infrared below 0.11, or NDVI below 0.1 and near infrared below 0.05. Everything else counts as
    clear land: there is no cloud test.

    Args:
        product: Whose codes to write.
        red: Collection 2 digital numbers, uint16.
        nir: The same of the near infrared.

    Returns:
        `uint16`, as large as the bands.
    """
    r, n = reflectance(red), reflectance(nir)
    total = r + n
    with np.errstate(divide="ignore", invalid="ignore"):
        # CFMask's own choice where the sum is zero.
        ndvi = np.where(total == 0, 0.01, (n - r) / total)
    water = ((ndvi < 0.01) & (n < 0.11)) | ((ndvi < 0.1) & (n < 0.05))
    code = np.where(water, product.clear_water, product.clear_land)
    return np.where((red == 0) | (nir == 0), FILL_QA, code).astype(np.uint16)


def collection2_dn(values: Values) -> Values:
    """Convert Collection 1 surface reflectance to Collection 2 digital numbers.

    Args:
        values: int16, reflectance x 10,000, fill -9999.

    Returns:
        `uint16`, fill 0; rounded to the nearest step, kept inside 1 to 65535.
    """
    dn = np.rint((values * COLLECTION1_SCALE - OFFSET) / SCALE)
    return np.where(values == COLLECTION1_FILL, 0, np.clip(dn, 1, 65535)).astype(np.uint16)


def collection2_qa(pixel_qa: Values, product: Product) -> Values:
    """Convert Collection 1 `pixel_qa` to Collection 2 `QA_PIXEL`.

    Collection 1 has bits 0 fill, 1 clear, 2 water, 3 shadow, 4 snow, 5 cloud, 6-7 cloud confidence,
    8-9 cirrus confidence. Collection 2 has 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5
    snow, 6 clear, 7 water, and confidences (0 none, 1 low, 2 medium, 3 high) of cloud (8-9), shadow
    (10-11), snow (12-13) and cirrus (14-15).

    Args:
        pixel_qa: uint16.
        product: Whose codes to write: over water the clear bit of Landsat 4-7 is off.

    Returns:
        `uint16`.
    """

    def bit(number: int) -> Values:
        found: Values = (pixel_qa >> number) & 1
        return found.astype(np.uint32)

    water, shadow, snow, cloud = bit(2), bit(3), bit(4), bit(5)
    cloud_confidence = ((pixel_qa >> 6) & 3).astype(np.uint32)
    cirrus_confidence = ((pixel_qa >> 8) & 3).astype(np.uint32)
    has_cirrus = product.prefix in ("LC08", "LC09")
    clear = 1 - cloud
    if not has_cirrus:
        clear = clear * (1 - water)
    code = (
        ((cirrus_confidence == 3) & has_cirrus).astype(np.uint32) << 2
        | cloud << 3
        | shadow << 4
        | snow << 5
        | clear << 6
        | water << 7
        | np.maximum(cloud_confidence, 1) << 8
        | np.where(shadow == 1, 3, 1).astype(np.uint32) << 10
        | np.where(snow == 1, 3, 1).astype(np.uint32) << 12
        | (np.maximum(cirrus_confidence, 1) if has_cirrus else np.uint32(0)) << 14
    )
    return np.where(bit(0) == 1, FILL_QA, code).astype(np.uint16)
