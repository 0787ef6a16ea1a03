"""Asset ids, checked before anything is asked of the service."""

from __future__ import annotations

import pytest
from tiny_service import TinyService

from water_gee.deploy import assets
from water_gee.errors import AssetIdError, DeployError


@pytest.mark.parametrize(
    "good",
    [
        "projects/local/assets/water",
        "projects/my-project-7/assets/maps/water_2020",
        "projects/example.com:my-project/assets/water",
        "users/someone/water",
        "users/some.one_1/maps/water-map",
    ],
)
def test_an_id_of_the_service_is_taken(good):
    assert assets.check_id(good) == good


def test_a_slash_at_the_end_is_dropped():
    assert assets.check_id("projects/p1/assets/water/") == "projects/p1/assets/water"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("water", "begins with projects/YOUR-PROJECT/assets/"),
        ("", "give projects/YOUR-PROJECT/assets/water"),
        (None, "None is no asset id"),
        ("projects/local/assets", "goes on with a name"),
        ("projects/local/water", "begins with"),
        ("projects/Local Lakes/assets/water", "begins with"),
        ("projects/local/assets/my water", "'my water' is no name"),
        ("projects/local/assets/a//b", "'' is no name"),
        ("projects/local/assets/süd", "'süd' is no name"),
        ("projects/local/assets/" + "a" * 101, "1 to 100 letters"),
        ("users/someone", "goes on with a name"),
        ("gs://bucket/water.tif", "begins with"),
    ],
)
def test_anything_else_is_refused_in_one_line_that_says_why(bad, why):
    with pytest.raises(AssetIdError) as caught:
        assets.check_id(bad)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def service(ee, monkeypatch):
    return TinyService([], [], west=0, north=0, step=1).install(monkeypatch)


def test_a_root_needs_no_folder(service):
    assets.check_parent("projects/local/assets/water")
    assets.check_parent("users/someone/water")


def test_a_folder_that_does_not_exist_is_named_with_the_remedy(service):
    with pytest.raises(AssetIdError, match="`earthengine create folder projects/local/assets/maps"):
        assets.check_parent("projects/local/assets/maps/water")


def test_a_folder_that_exists_will_do(service):
    service.assets["projects/local/assets/maps"] = {"type": "FOLDER"}
    assets.check_parent("projects/local/assets/maps/water")


def test_a_collection_is_made_once(service):
    assert assets.lacks_collection("projects/local/assets/water")
    assets.make_collection("projects/local/assets/water")
    assert service.assets["projects/local/assets/water"]["type"] == "IMAGE_COLLECTION"
    assert not assets.lacks_collection("projects/local/assets/water")


def test_a_collection_needs_a_folder_too(service):
    with pytest.raises(AssetIdError, match="no folder projects/local/assets/maps"):
        assets.lacks_collection("projects/local/assets/maps/water")


def test_an_image_is_no_collection(service):
    service.assets["projects/local/assets/water"] = {"type": "IMAGE"}
    with pytest.raises(DeployError, match="is no collection"):
        assets.lacks_collection("projects/local/assets/water")
