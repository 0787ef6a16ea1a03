"""The product tables against values read in real scenes, and the QA bits against their guide."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from water_gee.errors import UnknownQaBitError, UnknownSensorError
from water_gee.imagery.sensors import COMMON_BANDS, DEMS, OBSCURING, SENSORS, dem, sensor

CLEAR_WATER_LANDSAT_8 = 21952
"""The value of clear water in whole Landsat 8 and 9 scenes: bits 6 and 7 and low confidences."""

CLEAR_WATER_LANDSAT_5 = 5504
"""The same of Landsat 4 to 7: bit 7, and not bit 6."""


def test_bands_lie_at_the_same_wavelengths_under_common_names():
    assert SENSORS["landsat8"].native_bands == ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6")
    assert SENSORS["landsat9"].native_bands == SENSORS["landsat8"].native_bands
    for name in ("landsat4", "landsat5", "landsat7"):
        assert SENSORS[name].native_bands == ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5")
    for product in SENSORS.values():
        assert tuple(band.name for band in product.bands) == (*COMMON_BANDS, "SWIR2")
        assert product.native("SWIR2") == "SR_B7"


def test_collections_are_earth_engines():
    assert {product.collection for product in SENSORS.values()} == {
        *("LANDSAT/LT04/C02/T1_L2", "LANDSAT/LT05/C02/T1_L2", "LANDSAT/LE07/C02/T1_L2"),
        *("LANDSAT/LC08/C02/T1_L2", "LANDSAT/LC09/C02/T1_L2"),
    }


def test_the_floor_is_the_first_count_above_no_reflectance():
    product = SENSORS["landsat8"]
    assert (product.floor - 1) * product.scale + product.offset < 0
    assert 0 < product.floor * product.scale + product.offset < product.scale


@pytest.mark.parametrize("value", [CLEAR_WATER_LANDSAT_8, CLEAR_WATER_LANDSAT_5])
def test_clear_water_is_water_and_not_obscured(value):
    product = SENSORS["landsat8"]
    assert product.bit("water").decode(np.array([value])) == 1
    assert value & product.obscured == 0


def test_the_clear_bit_is_off_over_water_of_landsat_5_so_nothing_may_ask_for_it():
    assert SENSORS["landsat5"].bit("clear").decode(np.array([CLEAR_WATER_LANDSAT_5])) == 0
    assert "clear" not in OBSCURING


def test_bits_that_obscure_are_the_lowest_five():
    assert SENSORS["landsat8"].obscured == 0b11111


def test_fields_of_a_qa_band_do_not_overlap_and_fill_its_sixteen_bits():
    masks = [bit.mask for bit in SENSORS["landsat8"].qa_bits]
    assert sum(masks) == 0xFFFF
    for bit in SENSORS["landsat8"].qa_bits:
        every = np.arange(1 << 16, dtype=np.uint16)
        assert bit.decode(every).max() == (1 << bit.width) - 1


def test_a_real_scene_says_the_same_in_its_confidences(shared_data):
    """Cloud bit set only where the two confidence bits say high, in a true QA_PIXEL."""
    paths = sorted((shared_data / "landsat_c2l2_qa").rglob("*QA_PIXEL*.[tT][iI][fF]"))
    if not paths:
        pytest.skip("no true QA_PIXEL in the shared data")
    for path in paths:
        with rasterio.open(path) as source:
            qa = source.read(1)
        product = SENSORS["landsat8"]
        cloud = product.bit("cloud").decode(qa) == 1
        assert cloud.any()
        assert (product.bit("cloud_confidence").decode(qa)[cloud] == 3).all()


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UnknownSensorError, match="known: landsat4"):
        sensor("sentinel2")
    with pytest.raises(UnknownQaBitError, match="QA_PIXEL has no bit 'haze'; it has fill"):
        sensor("landsat8").bit("haze")


def test_elevation_models_are_found_by_asset_and_others_are_images():
    assert dem("COPERNICUS/DEM/GLO30").collection
    assert dem("COPERNICUS/DEM/GLO30").band == "DEM"
    assert dem("CGIAR/SRTM90_V4").band == "elevation"
    assert not dem("CGIAR/SRTM90_V4").collection
    mine = dem("projects/me/assets/dem")
    assert (mine.band, mine.collection) == (None, False)
    assert set(DEMS) >= {"USGS/SRTMGL1_003", "NASA/NASADEM_HGT/001"}
