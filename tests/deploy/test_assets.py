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


def test_a_collection_is_made(service):
    assets.make_collection("projects/local/assets/water")
    assert service.assets["projects/local/assets/water"]["type"] == "IMAGE_COLLECTION"


def test_a_collection_in_a_project_of_somebody_else_is_one_line_with_the_remedy(service):
    service.denied = True
    with pytest.raises(DeployError, match=r"denied on resource .*; give an id in a project") as it:
        assets.make_collection("projects/other/assets/water")
    assert "\n" not in str(it.value)


def test_children_are_listed_by_id_and_can_be_removed(service):
    service.assets["projects/local/assets/water"] = {"type": "IMAGE_COLLECTION"}
    one = {"type": "IMAGE", "name": "projects/local/assets/water/2019", "properties": {"a": 1}}
    service.assets["projects/local/assets/water/2019"] = one
    found = assets.children("projects/local/assets/water")
    assert found == {"projects/local/assets/water/2019": one}
    assets.remove("projects/local/assets/water/2019")
    assert assets.children("projects/local/assets/water") == {}
