"""Products as data: collections, bands, scales, named QA bits, elevation models.

Sources: USGS, Landsat 8-9 and Landsat 4-7 Collection 2 Level 2 Science Product Guides (LSDS-1619,
LSDS-1618) for scale, offset, valid range and the bits of `QA_PIXEL`; Earth Engine's data catalogue
for ids, band names and properties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import UnknownQaBitError, UnknownSensorError

if TYPE_CHECKING:
    import numpy.typing as npt

COMMON_BANDS = ("Blue", "Green", "Red", "NIR", "SWIR1")
"""The bands every sensor here has, under the names that features use."""

BANDS = (*COMMON_BANDS, "SWIR2")
"""The same and the one that only evidence is made of."""


@dataclass(frozen=True, slots=True)
class QaBit:
    """A field of a QA band.

    Attributes:
        name: What it says.
        start: Its lowest bit, from 0.
        width: In bits; a confidence has 2.
    """

    name: str
    start: int
    width: int = 1

    @property
    def mask(self) -> int:
        """The integer with this field's bits set."""
        return ((1 << self.width) - 1) << self.start

    def decode(self, qa: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """Take this field out of QA values of any shape."""
        return ((qa.astype(np.uint16) & self.mask) >> self.start).astype(np.uint16)


@dataclass(frozen=True, slots=True)
class Band:
    """A band of a product.

    Attributes:
        name: One of `BANDS`.
        native: The product's own name for it.
    """

    name: str
    native: str


QA_PIXEL_BITS = (
    QaBit("fill", 0),
    QaBit("dilated_cloud", 1),
    QaBit("cirrus", 2),
    QaBit("cloud", 3),
    QaBit("cloud_shadow", 4),
    QaBit("snow", 5),
    QaBit("clear", 6),
    QaBit("water", 7),
    QaBit("cloud_confidence", 8, 2),
    QaBit("cloud_shadow_confidence", 10, 2),
    QaBit("snow_confidence", 12, 2),
    QaBit("cirrus_confidence", 14, 2),
)
"""`QA_PIXEL` of Collection 2. Landsat 4-7 have no cirrus band and leave its bits unused.

Over water of Landsat 4-7 the clear bit is off (all of 18.2 million water pixels read), so that
"clear" is never asked for here: an observation is clear where none of `OBSCURING` is set.
"""

OBSCURING = ("fill", "dilated_cloud", "cirrus", "cloud", "cloud_shadow")
"""The bits any of which makes an observation useless for the ground."""


@dataclass(frozen=True, slots=True)
class Sun:
    """The properties of an image that say where the sun stood, in degrees.

    Attributes:
        azimuth: Clockwise from north.
        height: Elevation above the horizon, or what is missing to 90.
        zenith: Whether `height` names the angle from the zenith.
    """

    azimuth: str = "SUN_AZIMUTH"
    height: str = "SUN_ELEVATION"
    zenith: bool = False


@dataclass(frozen=True, slots=True)
class Sensor:
    """A surface reflectance product.

    Attributes:
        name: As in a recipe.
        collection: Earth Engine's collection id.
        bands: In the order of `BANDS`.
        scale: Reflectance of one count.
        offset: Reflectance at count 0.
        valid: Lowest and highest count that is a measurement.
        floor: The count whose reflectance is just above 0; lower ones, common over dark water, are
            raised to it, so that they neither punch holes nor drive mNDWI out of [-1, 1].
        qa_band: The QA band.
        qa_bits: What its bits mean.
        years: First and last year of acquisitions; None where it still flies.
        sun: Where the sun stood.
    """

    name: str
    collection: str
    bands: tuple[Band, ...]
    years: tuple[int, int | None]
    scale: float = 0.0000275
    offset: float = -0.2
    valid: tuple[int, int] = (1, 43636)
    floor: int = 7273
    qa_band: str = "QA_PIXEL"
    qa_bits: tuple[QaBit, ...] = QA_PIXEL_BITS
    sun: Sun = Sun()

    def bit(self, name: str) -> QaBit:
        """A QA field by name.

        Raises:
            UnknownQaBitError: The QA band has no such field.
        """
        for bit in self.qa_bits:
            if bit.name == name:
                return bit
        raise UnknownQaBitError(name, self.qa_band, (bit.name for bit in self.qa_bits))

    @property
    def obscured(self) -> int:
        """The integer with every bit of `OBSCURING` set."""
        mask = 0
        for name in OBSCURING:
            mask |= self.bit(name).mask
        return mask

    @property
    def native_bands(self) -> tuple[str, ...]:
        """The product's names of its bands, in the order of `COMMON_BANDS`."""
        return tuple(self.native(name) for name in COMMON_BANDS)

    def native(self, name: str) -> str:
        """The product's name of one of `BANDS`."""
        return {band.name: band.native for band in self.bands}[name]


def _bands(first: int) -> tuple[Band, ...]:
    numbers = (*range(first, first + len(COMMON_BANDS)), 7)
    return tuple(Band(name, f"SR_B{i}") for name, i in zip(BANDS, numbers, strict=True))


SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor("landsat4", "LANDSAT/LT04/C02/T1_L2", _bands(1), (1982, 1993)),
        Sensor("landsat5", "LANDSAT/LT05/C02/T1_L2", _bands(1), (1984, 2012)),
        Sensor("landsat7", "LANDSAT/LE07/C02/T1_L2", _bands(1), (1999, 2024)),
        Sensor("landsat8", "LANDSAT/LC08/C02/T1_L2", _bands(2), (2013, None)),
        Sensor("landsat9", "LANDSAT/LC09/C02/T1_L2", _bands(2), (2021, None)),
    )
}


def sensor(name: str) -> Sensor:
    """A sensor by the name a recipe gives it.

    Raises:
        UnknownSensorError: There is no such sensor here.
    """
    if name not in SENSORS:
        raise UnknownSensorError(name, SENSORS)
    return SENSORS[name]


@dataclass(frozen=True, slots=True)
class Dem:
    """An elevation model in metres.

    Attributes:
        asset: Earth Engine's id.
        band: The band that holds elevation; None for the first.
        collection: Whether the asset is a collection of images.
    """

    asset: str
    band: str | None
    collection: bool = False


DEMS: dict[str, Dem] = {
    dem.asset: dem
    for dem in (
        Dem("COPERNICUS/DEM/GLO30", "DEM", collection=True),
        Dem("CGIAR/SRTM90_V4", "elevation"),
        Dem("USGS/SRTMGL1_003", "elevation"),
        Dem("NASA/NASADEM_HGT/001", "elevation"),
    )
}


def dem(asset: str) -> Dem:
    """An elevation model by its asset id; an unknown one is an image whose first band is metres."""
    return DEMS.get(asset, Dem(asset, None))
