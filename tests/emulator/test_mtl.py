"""Landsat metadata, text and XML."""

from __future__ import annotations

import pytest
from small_scene import MTL, NAME

from water_gee.emulator.mtl import read_mtl
from water_gee.errors import IngestError


@pytest.fixture
def written(tmp_path):
    def write(text, name=f"{NAME}_MTL.txt"):
        (tmp_path / name).write_text(text)
        return read_mtl(tmp_path / name)

    return write


def test_fields_have_the_types_that_earth_engines_properties_have(written):
    found = written(MTL.format(name=NAME)).properties()
    assert found["WRS_PATH"] == 132
    assert found["CLOUD_COVER"] == 12.5
    assert found["COLLECTION_NUMBER"] == 2
    assert found["SPACECRAFT_ID"] == "LANDSAT_8"
    assert found["DATE_ACQUIRED"] == "2020-07-01"
    assert found["SCENE_CENTER_TIME"] == "03:42:17.1234560Z"
    assert found["UTM_ZONE"] == 48


def test_level_1_is_kept_apart_from_level_2(written):
    found = written(MTL.format(name=NAME)).properties()
    assert found["LANDSAT_PRODUCT_ID"] == NAME
    assert found["L1_LANDSAT_PRODUCT_ID"] == "LC08_L1TP_132023_20200701_20200708_02_T1"
    assert found["PROCESSING_LEVEL"] == "L2SP"
    assert found["L1_PROCESSING_LEVEL"] == "L1TP"
    assert found["LANDSAT_SCENE_ID"] == "LC81320232020183LGN00"
    assert found["DATE_PRODUCT_GENERATED"] == 1_599_958_923_000


def test_corners_are_no_properties(written):
    assert not [name for name in written(MTL.format(name=NAME)).properties() if "CORNER" in name]


def test_the_time_is_that_of_the_middle_of_the_scene(written):
    assert written(MTL.format(name=NAME)).acquired() == 1_593_574_937_123
    odd = MTL.format(name=NAME).replace("2020-07-01", "2020-13-01")
    with pytest.raises(IngestError, match="gives no date and time: 2020-13-01T03:42"):
        written(odd).acquired()


def test_a_missing_field_is_named(written):
    found = written(MTL.format(name=NAME))
    with pytest.raises(IngestError, match=rf"{NAME}_MTL.txt lacks the field NO_SUCH"):
        found.need("NO_SUCH")


def test_xml_says_the_same(written):
    text = "<LANDSAT_METADATA_FILE>"
    text += f"<PRODUCT_CONTENTS><LANDSAT_PRODUCT_ID>{NAME}</LANDSAT_PRODUCT_ID></PRODUCT_CONTENTS>"
    text += "<IMAGE_ATTRIBUTES><WRS_PATH>132</WRS_PATH><CLOUD_COVER>12.5</CLOUD_COVER>"
    text += "<DATE_ACQUIRED>2020-07-01</DATE_ACQUIRED></IMAGE_ATTRIBUTES></LANDSAT_METADATA_FILE>"
    found = written(text, "x_MTL.xml")
    assert found.product_id == NAME
    assert found.need("WRS_PATH") == 132
    assert found.need("CLOUD_COVER") == 12.5


@pytest.mark.parametrize(
    ("text", "name", "about"),
    [
        ("hello", "x_MTL.txt", "is no Landsat metadata file"),
        ("", "x_MTL.txt", "is no Landsat metadata file"),
        ("<a><b>", "x_MTL.xml", "is no XML file"),
        ("<a/>", "x_MTL.xml", "is no Landsat metadata file"),
    ],
)
def test_what_is_no_metadata_is_refused(written, text, name, about):
    with pytest.raises(IngestError, match=about):
        written(text, name)


def test_real_metadata_of_every_kind_is_read(shared_data):
    for pattern, path, time in (
        ("landsat8_c1_canberra/*_MTL.txt", 91, 1_549_410_974_512),
        ("landsat_c2l2_qa/greenland_2015/*_MTL.xml", 5, 1_436_538_875_978),
        ("landsat_c2l2_qa/colombia_2019/*_MTL.xml", 8, 1_575_213_498_178),
    ):
        (file,) = shared_data.glob(pattern)
        found = read_mtl(file)
        assert found.need("WRS_PATH") == path
        assert abs(found.acquired() - time) < 86_400_000
        assert found.properties()["SPACECRAFT_ID"] == "LANDSAT_8"
