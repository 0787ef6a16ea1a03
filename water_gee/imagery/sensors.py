"""Products as data: collections, bands, scales, what their QA band says, elevation models.

Sources: USGS, Landsat 8-9 and Landsat 4-7 Collection 2 Level 2 Science Product Guides (LSDS-1619,
LSDS-1618) for scale, offset, valid range and the bits of `QA_PIXEL`; ESA, Sentinel-2 Level-2A
Algorithm Theoretical Basis Document, scene classification; NASA, HLS Product User Guide 2.0, table
of Fmask's bits; Earth Engine's data catalogue for ids, band names, properties and the values as
they are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import UnknownQaBitError, UnknownSensorError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
class QaClass:
    """A class of a QA band that holds one class a pixel.

    Attributes:
        name: What it says.
        value: Its number.
    """

    name: str
    value: int

    def decode(self, qa: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """1 where QA values of any shape are of this class, else 0."""
        return np.asarray(qa == self.value, dtype=np.uint16)


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

FMASK_BITS = (
    QaBit("cirrus", 0),
    QaBit("cloud", 1),
    QaBit("dilated_cloud", 2),
    QaBit("cloud_shadow", 3),
    QaBit("snow", 4),
    QaBit("water", 5),
    QaBit("aerosol", 6, 2),
)
"""`Fmask` of HLS 2.0. Cirrus is reserved and not used; «adjacent to cloud or shadow» is the
dilated cloud of `QA_PIXEL`; fill has every bit set."""

SCL_CLASSES = (
    QaClass("fill", 0),
    QaClass("saturated", 1),
    QaClass("dark", 2),
    QaClass("cloud_shadow", 3),
    QaClass("vegetation", 4),
    QaClass("bare", 5),
    QaClass("water", 6),
    QaClass("unclassified", 7),
    QaClass("cloud_medium", 8),
    QaClass("cloud", 9),
    QaClass("cirrus", 10),
    QaClass("snow", 11),
)
"""`SCL` of Sentinel-2 Level-2A. Class 2 is dark ground and terrain shadow: it was observed."""


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
        years: First and last year of acquisitions; None where it still flies.
        family: Whose reflectances may be merged: made by one processor, alike in their bands.
        instrument: What measured.
        scale: Reflectance of one count.
        offset: Reflectance at count 0.
        valid: Lowest and highest count that is a measurement, up to reflectance 1.
        floor: The count whose reflectance is just above 0; lower ones, common over dark water, are
            raised to it, so that they neither punch holes nor drive mNDWI out of [-1, 1].
        qa_band: The QA band.
        qa: What it says: bits, or classes.
        obscuring: Those of `qa` any of which makes an observation useless for the ground.
        sun: Where the sun stood.
        cloud: The property of an image that says how much of it is cloud, in percent.
    """

    name: str
    collection: str
    bands: tuple[Band, ...]
    years: tuple[int, int | None]
    family: str = "landsat"
    instrument: str = "OLI"
    scale: float = 0.0000275
    offset: float = -0.2
    valid: tuple[float, float] = (1, 43636)
    floor: float = 7273
    qa_band: str = "QA_PIXEL"
    qa: tuple[QaBit, ...] | tuple[QaClass, ...] = QA_PIXEL_BITS
    obscuring: tuple[str, ...] = OBSCURING
    sun: Sun = Sun()
    cloud: str = "CLOUD_COVER"

    def bit(self, name: str) -> QaBit | QaClass:
        """A QA field or class by name.

        Raises:
            UnknownQaBitError: The QA band has no such field.
        """
        for field in self.qa:
            if field.name == name:
                return field
        raise UnknownQaBitError(name, self.qa_band, (field.name for field in self.qa))

    def mask(self, names: Iterable[str]) -> int:
        """The integer with every bit of some fields set; 0 where the QA band holds classes."""
        fields = [self.bit(name) for name in names]
        return sum(field.mask for field in fields if isinstance(field, QaBit))

    def classes(self, names: Iterable[str]) -> tuple[int, ...]:
        """The numbers of some classes; none where the QA band holds bits."""
        fields = [self.bit(name) for name in names]
        return tuple(field.value for field in fields if isinstance(field, QaClass))

    def says(self, names: Iterable[str], qa: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Where QA values of any shape say at least one of some names."""
        answers = [self.bit(name).decode(qa) != 0 for name in names]
        return np.asarray(np.logical_or.reduce(answers), dtype=np.bool_)

    @property
    def obscured(self) -> int:
        """The integer with every bit of `obscuring` set."""
        return self.mask(self.obscuring)

    @property
    def native_bands(self) -> tuple[str, ...]:
        """The product's names of its bands, in the order of `COMMON_BANDS`."""
        return tuple(self.native(name) for name in COMMON_BANDS)

    def native(self, name: str) -> str:
        """The product's name of one of `BANDS`."""
        return {band.name: band.native for band in self.bands}[name]


def _bands(*native: str) -> tuple[Band, ...]:
    return tuple(Band(name, band) for name, band in zip(BANDS, native, strict=True))


_TM = _bands("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")
_OLI = _bands("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")

_HLS: dict[str, Any] = {
    # Earth Engine serves HLS as reflectance, not as the counts of its files: its catalogue draws
    # the bands from 0.01 to 0.18.
    "family": "hls",
    "scale": 1.0,
    "offset": 0.0,
    "valid": (-0.2, 1.0),
    "floor": 0.0001,
    "qa_band": "Fmask",
    "qa": FMASK_BITS,
    "obscuring": ("cloud", "dilated_cloud", "cloud_shadow"),
    "sun": Sun("MEAN_SUN_AZIMUTH_ANGLE", "MEAN_SUN_ZENITH_ANGLE", zenith=True),
    "cloud": "CLOUD_COVERAGE",
}

SENSORS: dict[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor("landsat4", "LANDSAT/LT04/C02/T1_L2", _TM, (1982, 1993), instrument="TM"),
        Sensor("landsat5", "LANDSAT/LT05/C02/T1_L2", _TM, (1984, 2012), instrument="TM"),
        Sensor("landsat7", "LANDSAT/LE07/C02/T1_L2", _TM, (1999, 2024), instrument="ETM+"),
        Sensor("landsat8", "LANDSAT/LC08/C02/T1_L2", _OLI, (2013, None)),
        Sensor("landsat9", "LANDSAT/LC09/C02/T1_L2", _OLI, (2021, None)),
        Sensor(
            "sentinel2",
            "COPERNICUS/S2_SR_HARMONIZED",
            _bands("B2", "B3", "B4", "B8", "B11", "B12"),
            (2017, None),
            family="sentinel2",
            instrument="MSI",
            scale=0.0001,
            offset=0.0,
            # 0 is dark water where later baselines were shifted by 1000; fill is SCL's to say.
            valid=(0, 10000),
            floor=1,
            qa_band="SCL",
            qa=SCL_CLASSES,
            obscuring=("fill", "saturated", "cloud_shadow", "cloud_medium", "cloud", "cirrus"),
            sun=Sun("MEAN_SOLAR_AZIMUTH_ANGLE", "MEAN_SOLAR_ZENITH_ANGLE", zenith=True),
            cloud="CLOUDY_PIXEL_PERCENTAGE",
        ),
        Sensor(
            "hls_l30",
            "NASA/HLS/HLSL30/v002",
            _bands("B2", "B3", "B4", "B5", "B6", "B7"),
            (2013, None),
            **_HLS,
        ),
        Sensor(
            "hls_s30",
            "NASA/HLS/HLSS30/v002",
            _bands("B2", "B3", "B4", "B8A", "B11", "B12"),
            (2015, None),
            instrument="MSI",
            **_HLS,
        ),
    )
}
"""Sentinel-2's near infrared is the broad band of 10 m; HLS S30's is the narrow one, which NASA
adjusts to OLI's."""


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
