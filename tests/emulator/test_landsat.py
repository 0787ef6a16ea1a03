"""Collection 1 to Collection 2, and a QA band from the published water test."""

from __future__ import annotations

import numpy as np
import pytest

from water_gee.emulator.landsat import (
    PRODUCTS,
    collection2_dn,
    collection2_qa,
    nodata_of,
    policy_of,
    qa_from_cfmask_water,
    reflectance,
)

OLI, TM = PRODUCTS["LC08"], PRODUCTS["LT05"]


@pytest.mark.parametrize(
    ("pixel_qa", "qa_pixel"),
    [
        # Left: LSDS-1368, table 7-4. Right: the code LSDS-1619, table 6-3, has for the same thing.
        (1, 1),  # fill
        (322, 21824),  # clear
        (324, 21952),  # water
        (328, 23888),  # cloud shadow
        (336, 30048),  # snow
        (480, 22280),  # cloud, high confidence
        (386, 22080),  # clear, cloud of medium confidence
    ],
)
def test_landsat_8_codes_become_those_of_collection_2(pixel_qa, qa_pixel):
    found = collection2_qa(np.array([pixel_qa], np.uint16), OLI)
    assert (found.dtype, found[0]) == (np.uint16, qa_pixel)


@pytest.mark.parametrize(("pixel_qa", "qa_pixel"), [(66, 5440), (68, 5504), (1, 1)])
def test_landsat_5_water_is_not_clear(pixel_qa, qa_pixel):
    assert collection2_qa(np.array([pixel_qa], np.uint16), TM)[0] == qa_pixel


def test_cirrus_is_a_bit_of_its_own():
    assert collection2_qa(np.array([322 | 0b11 << 8], np.uint16), OLI)[0] & 0b100


def test_reflectance_is_the_same_to_half_a_step():
    values = np.array([[-9999, -2000, 0, 1234, 10000, 16000]], np.int16)
    dn = collection2_dn(values)
    assert dn.dtype == np.uint16
    assert dn[0, 0] == 0
    assert (dn[0, 1:] > 0).all()
    # -0.2 itself would be the fill value; it becomes the step above.
    assert dn[0, 1] == 1
    assert np.abs(reflectance(dn[0, 2:]) - values[0, 2:] * 0.0001).max() <= 0.0000275 / 2 + 1e-12


def test_reflectance_beyond_the_range_is_cut_off():
    assert collection2_dn(np.array([-2500, 20000], np.int16)).tolist() == [1, 65535]


def dn(value):
    return np.array([round((value + 0.2) / 0.0000275)], np.uint16)


@pytest.mark.parametrize(
    ("red", "nir", "water"),
    [
        (0.05, 0.02, True),  # NDVI -0.43
        (0.05, 0.30, False),  # leaves
        (0.10, 0.1005, True),  # NDVI 0.002, dark
        (0.12, 0.1205, False),  # NDVI 0.002, but bright
        (0.03, 0.035, True),  # NDVI 0.08, very dark
        (0.06, 0.07, False),  # NDVI 0.08, not dark enough
        (0.01, -0.005, True),  # reflectance below 0
    ],
)
def test_the_water_test_is_cfmasks(red, nir, water):
    assert qa_from_cfmask_water(OLI, dn(red), dn(nir))[0] == (21952 if water else 21824)
    assert qa_from_cfmask_water(TM, dn(red), dn(nir))[0] == (5504 if water else 5440)


def test_where_nothing_was_seen_there_is_fill():
    zero = np.zeros(1, np.uint16)
    assert qa_from_cfmask_water(OLI, zero, dn(0.2))[0] == 1
    assert qa_from_cfmask_water(OLI, dn(0.2), zero)[0] == 1


def test_bands_know_their_fill_and_their_pyramid():
    assert [nodata_of(band) for band in ("SR_B2", "ST_B10", "QA_PIXEL", "ST_QA", "QA_RADSAT")] == [
        0, 0, 1, -9999, None,
    ]  # fmt: skip
    assert policy_of("SR_B2") == "MEAN"
    assert policy_of("QA_PIXEL") == "SAMPLE"
    assert OLI.bands[:8] == (*tuple(f"SR_B{band}" for band in range(1, 8)), "SR_QA_AEROSOL")
    assert TM.reflectances == ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")
