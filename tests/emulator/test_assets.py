"""Asset ids in every form, and records as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from water_gee.emulator.assets import (
    AssetRecord,
    BandRecord,
    bands_from_text,
    bands_to_text,
    canonical_id,
    is_public,
    is_root,
    milliseconds,
    parent_of,
    rest_name,
    timestamp,
)
from water_gee.emulator.values import BYTE, FLOAT, Projection
from water_gee.errors import ServiceError


@pytest.mark.parametrize(
    ("plain", "rest"),
    [
        ("LANDSAT/LC08/C02/T1_L2", "projects/earthengine-public/assets/LANDSAT/LC08/C02/T1_L2"),
        ("projects/my-project/assets/a/b", "projects/my-project/assets/a/b"),
        ("projects/example.com:old/assets/a", "projects/example.com:old/assets/a"),
        ("users/me/a", "projects/earthengine-legacy/assets/users/me/a"),
        (
            "projects/sat-io/open/x",
            "projects/earthengine-legacy/assets/projects/sat-io/open/x",
        ),
    ],
)
def test_an_asset_has_one_plain_id_and_one_rest_name(plain, rest):
    assert rest_name(plain) == rest
    assert canonical_id(rest) == canonical_id(plain) == plain


def test_a_short_project_that_the_client_takes_for_an_old_one_is_itself():
    # The client's pattern wants six letters: `projects/local/...` arrives below the legacy one.
    given_name = "projects/earthengine-legacy/assets/projects/local/assets/a"
    assert canonical_id(given_name) == "projects/local/assets/a"
    assert rest_name("projects/local/assets/a") == "projects/local/assets/a"


@pytest.mark.parametrize(
    "bad",
    ["", "/", "a//b", "../a", "a/../b", "a/./b", "a b", "a/b\n", "a\0b", "é", "/etc/passwd",
     "projects/../assets/x", "a/" * 600, "x" * 201, "C:\\x", "a/*", "@1"],
)  # fmt: skip
def test_no_malformed_id_passes(bad):
    with pytest.raises(ServiceError) as caught:
        canonical_id(bad)
    assert caught.value.code == 400


@given(st.text(max_size=40))
def test_whatever_passes_is_a_path_that_stays_below_its_folder(text):
    try:
        asset_id = canonical_id(text)
    except ServiceError:
        return
    assert not asset_id.startswith("/")
    assert not {"", ".", ".."} & set(asset_id.split("/"))
    assert "\\" not in asset_id


def test_roots_and_the_public_catalogue_are_told_apart():
    assert is_root("projects/p/assets")
    assert is_root("users/me")
    assert is_root("LANDSAT")
    assert not is_root("projects/p/assets/a")
    assert is_public("LANDSAT/LC08")
    assert not is_public("users/me/a")
    assert parent_of("projects/p/assets/a/b") == "projects/p/assets/a"


def test_times_go_both_ways():
    assert timestamp(1_593_572_400_123) == "2020-07-01T03:00:00.123Z"
    assert milliseconds("2020-07-01T03:00:00.123Z") == 1_593_572_400_123
    assert milliseconds("2020-07-01") == 1_593_561_600_000
    assert milliseconds("2019-02-05T23:56:14.5115420Z") == 1_549_410_974_512


def test_band_records_survive_storage():
    projection = Projection("EPSG:32648", (30.0, 0.0, 1.5, 0.0, -30.0, 2.5))
    bands = (
        BandRecord("a", BYTE, projection, (3, 4), "000_a.tif", "MODE"),
        BandRecord("b", FLOAT, projection, (3, 4), "001_b.tif", fraction_file="001_b.mask.tif"),
    )
    assert bands_from_text(bands_to_text(bands)) == bands


def test_an_asset_is_shown_without_what_it_has_not():
    shown = AssetRecord("users/me/a", "FOLDER").to_rest()
    assert shown == {
        "type": "FOLDER",
        "name": "projects/earthengine-legacy/assets/users/me/a",
        "id": "users/me/a",
        "updateTime": "1970-01-01T00:00:00.000Z",
    }
    json.dumps(shown)
