"""Policies of assets: kept, shown, and refused as the service refuses them."""

from __future__ import annotations

import pytest
from small_catalog import COLLECTION, FIRST

MAPS = "projects/local/assets/maps"
YEARS = f"{MAPS}/years"


@pytest.fixture
def ee(local):
    local.ee.data.createAsset({"type": "IMAGE_COLLECTION"}, YEARS)
    return local.ee


def viewers(policy):
    return [
        m for one in policy["bindings"] if one["role"] == "roles/viewer" for m in one["members"]
    ]


def test_an_asset_is_its_owner_s_alone_until_it_is_shared(ee):
    policy = ee.data.getIamPolicy(YEARS)
    assert [one["role"] for one in policy["bindings"]] == ["roles/owner"]
    policy["bindings"].append({"role": "roles/viewer", "members": ["allUsers"]})
    assert viewers(ee.data.setIamPolicy(YEARS, policy)) == ["allUsers"]
    assert viewers(ee.data.getIamPolicy(YEARS)) == ["allUsers"]
    assert viewers(ee.data.getIamPolicy(MAPS)) == []


@pytest.mark.filterwarnings("ignore:.*AssetAcl:DeprecationWarning")
def test_the_client_s_access_lists_are_policies(ee):
    ee.data.setAssetAcl(YEARS, {"readers": ["user:a@example.org"], "all_users_can_read": True})
    acl = ee.data.getAssetAcl(YEARS)
    assert acl["all_users_can_read"]
    assert acl["readers"] == ["user:a@example.org"]
    assert len(acl["owners"]) == 1  # who cannot be taken away


def test_a_policy_that_changed_meanwhile_is_not_overwritten(ee):
    old = ee.data.getIamPolicy(YEARS)
    old["bindings"].append({"role": "roles/viewer", "members": ["allUsers"]})
    ee.data.setIamPolicy(YEARS, old)
    with pytest.raises(ee.EEException, match="concurrent policy changes"):
        ee.data.setIamPolicy(YEARS, old)


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ({"role": "roles/viewer", "members": ["somebody"]}, "Invalid member 'somebody'"),
        ({"role": "roles/viewer", "members": ["user:a"]}, "Invalid member 'user:a'"),
        ({"role": "roles/king", "members": ["allUsers"]}, "Role roles/king is not supported"),
        ("allUsers", "expected a list of objects"),
    ],
)
def test_a_binding_that_is_none_is_refused(ee, binding, words):
    with pytest.raises(ee.EEException, match=words):
        ee.data.setIamPolicy(YEARS, {"bindings": [binding]})
    assert viewers(ee.data.getIamPolicy(YEARS)) == []


def test_an_image_in_a_collection_has_its_collection_s_policy(local, ee):
    image = f"{YEARS}/2020"
    assert local.export(ee.Image(FIRST), image).state == "SUCCEEDED"
    for ask in (
        lambda: ee.data.getIamPolicy(image),
        lambda: ee.data.setIamPolicy(image, {"bindings": []}),
    ):
        with pytest.raises(
            ee.EEException, match=f"Parent of the asset '{image}' is a collection; operation not"
        ):
            ask()


def test_an_image_in_a_folder_has_its_own_and_it_ends_with_the_image(local, ee):
    image = f"{MAPS}/alone"
    local.export(ee.Image(FIRST), image)
    policy = {"bindings": [{"role": "roles/viewer", "members": ["allUsers"]}]}
    ee.data.setIamPolicy(image, policy)
    local.export(ee.Image(FIRST), image, overwrite=True)
    assert viewers(ee.data.getIamPolicy(image)) == ["allUsers"]
    ee.data.deleteAsset(image)
    local.export(ee.Image(FIRST), image)
    assert viewers(ee.data.getIamPolicy(image)) == []


def test_what_is_not_there_and_what_is_public_has_no_policy_to_set(ee):
    with pytest.raises(ee.EEException, match="does not exist or doesn't allow this operation"):
        ee.data.getIamPolicy(f"{MAPS}/nothing")
    with pytest.raises(ee.EEException, match="Permission denied"):
        ee.data.setIamPolicy(COLLECTION, {"bindings": []})
