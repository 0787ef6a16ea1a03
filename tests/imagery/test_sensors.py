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


TM = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")
OLI = ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")
LANDSAT = {"scale": 0.0000275, "offset": -0.2, "qa_band": "QA_PIXEL", "family": "landsat"}
HLS = {"scale": 1, "offset": 0, "qa_band": "Fmask", "family": "hls"}
PUBLISHED = {
    # Collection, bands Blue to SWIR2, first year: Earth Engine's data catalogue.
    "landsat4": ("LANDSAT/LT04/C02/T1_L2", TM, 1982, {**LANDSAT, "instrument": "TM"}),
    "landsat5": ("LANDSAT/LT05/C02/T1_L2", TM, 1984, {**LANDSAT, "instrument": "TM"}),
    "landsat7": ("LANDSAT/LE07/C02/T1_L2", TM, 1999, {**LANDSAT, "instrument": "ETM+"}),
    "landsat8": ("LANDSAT/LC08/C02/T1_L2", OLI, 2013, {**LANDSAT, "instrument": "OLI"}),
    "landsat9": ("LANDSAT/LC09/C02/T1_L2", OLI, 2021, {**LANDSAT, "instrument": "OLI"}),
    "sentinel2": (
        "COPERNICUS/S2_SR_HARMONIZED",
        ("B2", "B3", "B4", "B8", "B11", "B12"),
        2017,
        {"scale": 0.0001, "offset": 0, "qa_band": "SCL", "instrument": "MSI"},
    ),
    "hls_l30": ("NASA/HLS/HLSL30/v002", ("B2", "B3", "B4", "B5", "B6", "B7"), 2013, HLS),
    "hls_s30": (
        "NASA/HLS/HLSS30/v002",
        ("B2", "B3", "B4", "B8A", "B11", "B12"),
        2015,
        {**HLS, "instrument": "MSI"},
    ),
}
SUN = {
    "landsat": ("SUN_AZIMUTH", "SUN_ELEVATION", False),
    "sentinel2": ("MEAN_SOLAR_AZIMUTH_ANGLE", "MEAN_SOLAR_ZENITH_ANGLE", True),
    "hls": ("MEAN_SUN_AZIMUTH_ANGLE", "MEAN_SUN_ZENITH_ANGLE", True),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_product_is_as_its_catalogue_entry_says(name):
    collection, bands, first, facts = PUBLISHED[name]
    product = SENSORS[name]
    assert product.collection == collection
    assert tuple(band.name for band in product.bands) == (*COMMON_BANDS, "SWIR2")
    assert tuple(band.native for band in product.bands) == bands
    assert product.native_bands == bands[:5]
    assert product.native("SWIR2") == bands[5]
    assert product.years[0] == first
    assert {field: getattr(product, field) for field in facts} == facts
    sun = product.sun
    assert (sun.azimuth, sun.height, sun.zenith) == SUN[product.family]


def test_there_are_no_other_products():
    assert list(SENSORS) == list(PUBLISHED)


@pytest.mark.parametrize("product", SENSORS.values(), ids=SENSORS)
def test_the_floor_is_the_first_count_above_no_reflectance(product):
    step = {"landsat": 0.0000275}.get(product.family, 0.0001)
    assert 0 < product.floor * product.scale + product.offset < step + 1e-12
    low, high = (count * product.scale + product.offset for count in product.valid)
    assert low <= 0
    assert high == pytest.approx(1, abs=2e-5)


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
    masks = [bit.mask for bit in SENSORS["landsat8"].qa]
    assert sum(masks) == 0xFFFF
    for bit in SENSORS["landsat8"].qa:
        every = np.arange(1 << 16, dtype=np.uint16)
        assert bit.decode(every).max() == (1 << bit.width) - 1


SCL = {
    # ESA, Level-2A Algorithm Theoretical Basis Document: number -> may the ground be judged?
    **dict.fromkeys((0, 1, 3, 8, 9, 10), False),
    **dict.fromkeys((2, 4, 5, 6, 7, 11), True),
}


def test_the_classes_of_sentinel_2_are_read_by_number():
    product = SENSORS["sentinel2"]
    codes = np.arange(12, dtype=np.uint8)
    clear = ~product.says(product.obscuring, codes)
    assert clear.tolist() == [SCL[code] for code in range(12)]
    assert codes[product.says(["water"], codes)].tolist() == [6]
    assert product.mask(product.obscuring) == 0
    assert set(product.classes(product.obscuring)) == {0, 1, 3, 8, 9, 10}
    assert product.bit("snow").decode(codes).tolist() == [0] * 11 + [1]
    with pytest.raises(UnknownQaBitError, match="SCL has no bit 'haze'; it has fill"):
        product.bit("haze")


@pytest.mark.parametrize("name", ["hls_l30", "hls_s30"])
def test_fmask_of_hls_is_read_bit_by_bit(name):
    product = SENSORS[name]
    codes = np.array([0, 1 << 5, 0b11100000, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 0b00100010, 255])
    codes = codes.astype(np.uint8)
    clear = [True, True, True, False, False, False, True, False, False]
    assert (~product.says(product.obscuring, codes) == clear).all()
    assert codes[product.says(["water"], codes)].tolist() == [32, 224, 34, 255]
    assert product.obscured == 0b1110
    assert product.bit("aerosol").decode(codes).tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 3]
    assert sum(bit.mask for bit in product.qa) == 0xFF


def test_real_classes_of_sentinel_2_leave_clear_days_and_drop_overcast_ones(shared_data):
    shares = {}
    for path in sorted((shared_data / "sentinel2_exeter").glob("*.tif")):
        with rasterio.open(path) as source:
            codes = source.read(source.descriptions.index("SCL") + 1)
        product = SENSORS["sentinel2"]
        seen = ~product.says(product.obscuring, codes)
        assert (codes[product.says(["water"], codes)] == 6).all()
        shares[path.name] = seen.mean() / (codes > 0).mean()
    assert sorted(round(float(share), 1) for share in shares.values()) == [0.3, 0.3, 0.4, 1, 1]


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
        sensor("modis")
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
