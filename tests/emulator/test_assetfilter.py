"""The filter of asset lists."""

from __future__ import annotations

import pytest

from water_gee.emulator.assetfilter import parse_filter
from water_gee.emulator.assets import AssetRecord
from water_gee.errors import ServiceError

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
RECORD = AssetRecord(
    "projects/p/assets/a",
    "IMAGE",
    {"CLOUD_COVER": 20, "class": "urban", "system:x": 1},
    start_time=1_577_836_800_000,  # 2020-01-01
    footprint=SQUARE,
)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("   ", True),
        ("properties.CLOUD_COVER < 20.5", True),
        ("properties.CLOUD_COVER<20", False),
        ("properties.CLOUD_COVER>=20", True),
        ("properties.CLOUD_COVER != 20", False),
        ('properties.class="urban"', True),
        ("properties.class=urban", True),
        ("properties.class='rural'", False),
        ("properties.system:x = 1", True),
        ("properties.none > 1", False),
        ("properties.class > 1", False),
        ('startTime >= "2020-01-01T00:00:00.000Z"', True),
        ('startTime > "2020-01-01T00:00:00.000Z"', False),
        ('endTime < "2020-01-01T00:00:01Z"', True),
        ("type = IMAGE", True),
        ('id = "projects/p/assets/b"', False),
        ("intersects(\"{'type':'Point','coordinates':[1,1]}\")", True),
        ("intersects(\"{'type':'Point','coordinates':[3,1]}\")", False),
        ('intersects("POINT (1 1)")', True),
        ('type = IMAGE AND properties.CLOUD_COVER < 30 AND intersects("POINT (1 1)")', True),
        ('type = IMAGE AND properties.CLOUD_COVER < 3 AND intersects("POINT (1 1)")', False),
    ],
)
def test_a_filter_lets_through_what_it_says(text, passes):
    assert parse_filter(text)(RECORD) is passes


@pytest.mark.parametrize(
    "text",
    ["cloud", "type IMAGE", "type = IMAGE OR type = FOLDER", "type = IMAGE AND", "nothing = 1",
     'startTime > "soon"', 'intersects("here")', "intersects(\"{'type':'Hole'}\")"],
)  # fmt: skip
def test_a_malformed_filter_is_refused(text):
    with pytest.raises(ServiceError) as caught:
        parse_filter(text)
    assert caught.value.code == 400
    assert caught.value.message.startswith("filter: ")


def test_an_asset_without_a_footprint_is_nowhere():
    assert not parse_filter('intersects("POINT (1 1)")')(AssetRecord("a/b", "FOLDER"))
