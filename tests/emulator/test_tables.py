"""Features as assets: written by a task, loaded as they were, refused where no table holds them."""

from __future__ import annotations

import pytest
from small_catalog import FIRST

from water_gee.emulator.limits import MAX_TABLE_TEXT
from water_gee.emulator.tasks import FAILED, SUCCEEDED

ASSET = "projects/local/assets/maps/weights"


@pytest.fixture
def export(local):
    """Return what exports a collection and gives the operation once it has ended."""

    def run(collection, asset_id=ASSET, **options):
        task = local.ee.batch.Export.table.toAsset(
            collection=collection, description="rows", assetId=asset_id, **options
        )
        task.start()
        return local.service.tasks.wait(task.id, 60)

    return run


@pytest.fixture
def rows(local):
    ee = local.ee
    place = ee.Geometry.Point([106.5, 52.25])
    return ee.FeatureCollection(
        [
            ee.Feature(place, {"name": "b", "part": 1, "text": "x" * MAX_TABLE_TEXT}),
            ee.Feature(place, {"name": "a", "part": 0, "share": 0.1, "list": [1, 2.5]}),
        ]
    )


def test_a_table_keeps_features_and_properties(local, export, rows):
    ee = local.ee
    done = export(rows)
    assert (done.state, done.kind, done.error) == (SUCCEEDED, "EXPORT_FEATURES", None)
    table = ee.FeatureCollection(ASSET)
    assert table.size().getInfo() == 2
    assert table.sort("part").aggregate_array("name").getInfo() == ["a", "b"]
    first = ee.Feature(table.filter(ee.Filter.eq("name", "a")).first()).getInfo()
    assert first["properties"] == {"name": "a", "part": 0, "share": 0.1, "list": [1, 2.5]}
    assert first["geometry"]["coordinates"] == [106.5, 52.25]
    assert [row["id"] for row in table.getInfo()["features"]] == ["0", "1"]
    text = ee.Feature(table.filter(ee.Filter.eq("name", "b")).first()).get("text")
    assert len(text.getInfo()) == MAX_TABLE_TEXT


def test_a_table_is_an_asset_like_others(local, export, rows):
    ee = local.ee
    export(rows)
    asset = ee.data.getAsset(ASSET)
    assert asset["type"] == "TABLE"
    assert int(asset["sizeBytes"]) > MAX_TABLE_TEXT
    listed = ee.data.listAssets({"parent": "projects/local/assets/maps"})["assets"]
    assert ASSET in [one["name"] for one in listed]
    ee.data.deleteAsset(ASSET)
    with pytest.raises(ee.EEException, match="not found"):
        ee.FeatureCollection(ASSET).size().getInfo()


def test_a_table_is_replaced_only_if_asked(local, export, rows):
    export(rows)
    again = export(rows.limit(1))
    assert again.state == FAILED
    assert again.error == f"Cannot overwrite asset '{ASSET}': it already exists."
    assert export(rows.limit(1), overwrite=True).state == SUCCEEDED
    assert local.ee.FeatureCollection(ASSET).size().getInfo() == 1


def test_chosen_columns_alone_are_kept(local, rows):
    ee = local.ee
    ee.data.exportTable(
        "chosen",
        {
            "expression": rows,
            "assetExportOptions": {"earthEngineDestination": {"name": ASSET}},
            "selectors": ["name"],
        },
    )
    (task,) = local.service.tasks.all("local")
    assert local.service.tasks.wait(task.id, 60).description == "myExportTableTask"
    first = ee.Feature(ee.FeatureCollection(ASSET).first()).getInfo()
    assert first["properties"] == {"name": "b"}


def test_rows_that_no_table_holds_end_the_task(local, export):
    ee = local.ee
    place = ee.Geometry.Point([0, 0])
    bare = export(ee.FeatureCollection([ee.Feature(None, {"a": 1})]))
    assert (bare.state, bare.error) == (FAILED, "Unable to export features with null geometry.")
    long = ee.Feature(place, {"text": "x" * (MAX_TABLE_TEXT + 1)})
    assert "100001 characters (max: 100000)" in export(ee.FeatureCollection([long])).error
    odd = ee.Feature(place, {"when": ee.Date(0)})
    assert "'when' has unsupported type: Date" in export(ee.FeatureCollection([odd])).error
    with pytest.raises(ee.EEException, match="not found"):
        ee.FeatureCollection(ASSET).size().getInfo()


def test_what_is_no_table_is_refused_before_a_task_is_made(local):
    ee = local.ee
    options = {"assetExportOptions": {"earthEngineDestination": {"name": ASSET}}}
    with pytest.raises(ee.EEException, match="A FeatureCollection is needed"):
        ee.data.exportTable("images", {"expression": ee.ImageCollection([ee.Image(1)]), **options})
    with pytest.raises(ee.EEException, match=r"Export\.table, argument 'collection'"):
        ee.data.exportTable("number", {"expression": ee.Number(1), **options})
    with pytest.raises(ee.EEException, match=r"Export\.table: fileExportOptions"):
        ee.data.exportTable("file", {"expression": ee.FeatureCollection([]),
                                     "fileExportOptions": {}})  # fmt: skip
    assert local.service.tasks.all("local") == []


def test_tables_and_images_are_not_taken_for_each_other(local, export, rows):
    ee = local.ee
    export(rows)
    with pytest.raises(ee.EEException, match="is not an Image"):
        ee.Image(ASSET).bandNames().getInfo()
    with pytest.raises(ee.EEException, match="is not an FeatureCollection"):
        ee.FeatureCollection(FIRST).size().getInfo()
    with pytest.raises(ee.EEException, match="not found"):
        ee.FeatureCollection("projects/local/assets/maps/none").size().getInfo()
    with pytest.raises(ee.EEException, match="is a table; operation not allowed"):
        ee.data.createAsset({"type": "FOLDER"}, f"{ASSET}/below")
