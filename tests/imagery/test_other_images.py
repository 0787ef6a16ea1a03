"""Other sensors, other composites, one tile a scene: downloaded, and held against NumPy."""

from __future__ import annotations

import made_up_images as made
import numpy as np
import pytest
import shapely
import small_catalog

from water_gee import session
from water_gee.errors import (
    DownloadError,
    EmptySeasonError,
    EmptyTileWarning,
    RecipeMismatchError,
    StoreError,
)
from water_gee.imagery import acquisitions
from water_gee.imagery.acquisitions import Acquisition
from water_gee.imagery.download import download_tiles
from water_gee.imagery.grid import Cell, place_of
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

SMALL = Recipe(
    years=2020, months=(7,), cell=0.0135, pixels=made.PIXELS, margin=made.MARGIN, dem=None
)
BOX = (149.0401, -35.3699, 149.0534, -35.3566)
BAR = 2e-6


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()


@pytest.fixture
def fetch(tmp_path):
    """Put images into a catalogue of their own, download, and give the store."""

    def run(images, recipe, name="tiles"):
        made.put(tmp_path / "catalog", images)
        with small_catalog.client_in_process(tmp_path / "catalog"):
            return download_tiles(BOX, tmp_path / name, recipe, threads=2, progress=False)

    return run


def compare(store, cell, images, **how):
    features, label, evidence = made.expected(images, **how)
    image, found = store.read_image(cell), store.read_evidence(cell)
    np.testing.assert_array_equal(store.read_mask(cell), label)
    np.testing.assert_array_equal(np.isnan(image[:7]), np.isnan(features))
    seen = label != 255
    assert np.nanmax(np.abs(image[:5] - features[:5])) < BAR
    # mNDWI and line are ratios: where green and SWIR1 are both next to nothing, they amplify.
    dark = np.nan_to_num(features[1] + features[4]) < 0.01
    apart = np.abs(image[5:7] - features[5:7])[:, seen & ~dark]
    assert apart.max() < 2e-4
    assert set(found) == set(evidence)
    for band, values in evidence.items():
        np.testing.assert_array_equal(np.isnan(found[band]), np.isnan(values), band)
        apart = np.abs(found[band] - values)
        apart = np.minimum(apart, 360 - apart) if band == "sun_azimuth" else apart
        assert np.nanmax(apart) < (0.02 if "sun" in band else BAR), band


def season(sensor, count=3):
    days = ("2020-07-02", "2020-07-12", "2020-07-22", "2020-07-30")
    return [
        made.image(sensor, f"{sensor}_{i}", day, i, moved=4 * i)
        for i, day in enumerate(days[:count])
    ]


@pytest.mark.parametrize("sensor", ["landsat8", "sentinel2", "hls_l30", "hls_s30"])
def test_a_median_of_each_kind_of_product(fetch, sensor):
    images = season(sensor)
    store = fetch(images, SMALL.replace(sensors=sensor))
    (cell,) = store.cells()
    compare(store, cell, images)
    mask = store.read_mask(cell)
    assert {0, 1, 255} == set(np.unique(mask))


def test_both_products_of_hls_in_one_median(fetch):
    images = season("hls_l30", 2) + season("hls_s30", 3)
    store = fetch(images, SMALL.replace(sensors=["hls_l30", "hls_s30"]))
    (cell,) = store.cells()
    compare(store, cell, images)
    assert np.nanmax(store.read_evidence(cell)["clear_count"]) > 3


@pytest.mark.parametrize("harmonize", [False, "ols"])
def test_all_landsats_of_a_period_in_one_median(fetch, harmonize):
    images = season("landsat5", 2) + season("landsat7", 3) + season("landsat8", 2)
    sensors = ["landsat5", "landsat7", "landsat8"]
    store = fetch(images, SMALL.replace(sensors=sensors, harmonize=harmonize))
    (cell,) = store.cells()
    compare(store, cell, images, ols=bool(harmonize))


def test_a_mean_has_the_same_label_and_other_features(fetch):
    images = season("landsat8", 4)
    median = fetch(images, SMALL)
    mean = fetch(images, SMALL.replace(composite="mean"), "mean")
    (cell,) = mean.cells()
    compare(mean, cell, images, how="mean")
    np.testing.assert_array_equal(mean.read_mask(cell), median.read_mask(cell))
    assert np.nanmax(np.abs(mean.read_image(cell)[0] - median.read_image(cell)[0])) > 1e-3


@pytest.mark.parametrize(("how", "least"), [("median", 2), ("median", 4), ("mean", 3)])
def test_pixels_with_few_clear_observations_are_not_observed(fetch, how, least):
    images = season("landsat8", 4)
    store = fetch(images, SMALL.replace(min_clear=least, composite=how))
    (cell,) = store.cells()
    compare(store, cell, images, how=how, min_clear=least)
    seen = store.read_mask(cell) != 255
    assert 0 < seen.mean() < 0.9
    assert store.read_evidence(cell)["clear_count"][seen].min() == least
    assert np.isnan(store.read_evidence(cell)["clear_count"][~seen]).all()


def test_more_clear_observations_than_there_are_images_leave_nothing(fetch):
    with pytest.warns(EmptyTileWarning):
        store = fetch(season("landsat8", 2), SMALL.replace(min_clear=3))
    assert store.cells() == []


@pytest.mark.parametrize(
    ("sensor", "name"),
    [
        ("landsat8", "CLOUD_COVER"),
        ("sentinel2", "CLOUDY_PIXEL_PERCENTAGE"),
        ("hls_s30", "CLOUD_COVERAGE"),
    ],
)
def test_images_with_more_cloud_are_left_out_and_those_that_do_not_say_are_kept(
    fetch, sensor, name
):
    images = season(sensor, 4)
    for each, cloud in zip(images, (20.0, 20.5, 90.0, None), strict=True):
        each.properties = made.sun_of(each) | ({} if cloud is None else {name: cloud})
    store = fetch(images, SMALL.replace(sensors=sensor, max_cloud=20))
    (cell,) = store.cells()
    compare(store, cell, [images[0], images[3]])


def test_a_winter_is_of_december_before_and_not_of_december_after(fetch):
    days = ("2019-12-03", "2020-01-31", "2020-02-29", "2020-12-03", "2019-11-30", "2020-03-01")
    images = [made.image("landsat8", f"w_{i}", day, i, moved=4 * i) for i, day in enumerate(days)]
    winter = SMALL.replace(months=[12, 1, 2])
    store = fetch(images, winter)
    (cell,) = store.cells()
    compare(store, cell, images[:3])
    scenes = fetch(images, winter.replace(composite="scene"), "scenes")
    assert {tile.scene for tile in scenes.cells()} == {"w_0", "w_1", "w_2"}


def test_single_scenes_are_chosen_by_cloud_and_keep_their_one_observation(fetch):
    near, _ = scenes()
    for each, cloud in zip(near, (5.0, 50.0, 10.0), strict=True):
        each.properties = made.sun_of(each) | {"CLOUD_COVER": cloud}
    store = fetch(near, SCENES.replace(max_cloud=20, min_clear=3))
    assert {cell.scene for cell in store.cells()} == {near[0].name, near[2].name}
    for cell in store.cells():
        compare(store, cell, [each for each in near if each.name == cell.scene])


def test_where_no_image_says_where_the_sun_stood_nothing_else_is_lost(fetch):
    images = season("landsat8", 2)
    for each in images:
        each.properties = {"CLOUD_COVER": 10.0}
    store = fetch(images, SMALL)
    (cell,) = store.cells()
    _, label, evidence = made.expected(images)
    found = store.read_evidence(cell)
    assert set(found) == {"SWIR2", "water_count", "clear_count"}
    np.testing.assert_array_equal(found["clear_count"], evidence["clear_count"])
    np.testing.assert_array_equal(store.read_mask(cell), label)


def test_where_some_images_say_it_the_mean_is_theirs(fetch):
    images = season("landsat8", 3)
    images[1].properties = {"CLOUD_COVER": 10.0}
    store = fetch(images, SMALL)
    (cell,) = store.cells()
    found = store.read_evidence(cell)
    _, _, three = made.expected(images)
    _, _, two = made.expected([images[0], images[2]])
    np.testing.assert_array_equal(found["clear_count"], three["clear_count"])
    np.testing.assert_array_equal(np.isnan(found["sun_elevation"]), np.isnan(two["sun_elevation"]))
    assert np.nanmax(np.abs(found["sun_elevation"] - two["sun_elevation"])) < 0.02


# ------------------------------------------------------------------ a tile for each acquisition


def scenes():
    """Two paths and, far to the east, one image that reaches no cell."""
    images = [
        made.image("landsat8", "LC08_090085_20200704", "2020-07-04", 1),
        made.image("landsat8", "LC08_091085_20200711", "2020-07-11", 2, moved=8),
        made.image("landsat7", "LE07_090085_20200712", "2020-07-12", 3, moved=20),
        made.image("landsat8", "LC08_089085_20200706", "2020-07-06", 4, moved=2000),
    ]
    return images[:3], images[3]


SCENES = SMALL.replace(sensors=["landsat7", "landsat8"], composite="scene")


def test_each_acquisition_has_its_tile_named_by_path_row_and_date(fetch):
    near, far = scenes()
    store = fetch([*near, far], SCENES)
    cells = store.cells()
    assert [cell.id for cell in cells] == [
        f"E149.0400_S35.3700@{name}"
        for name in ("LC08_090085_20200704", "LC08_091085_20200711", "LE07_090085_20200712")
    ]
    assert {cell.place for cell in cells} == {place_of(cell.id) for cell in cells}
    by_name = {each.name: each for each in near}
    for cell in cells:
        compare(store, cell, [by_name[cell.scene]])
        assert set(np.unique(store.read_evidence(cell)["clear_count"])) >= {1}
    store.write_label(cells[0], store.read_mask(cells[0]))
    assert [store.has_label(cell) for cell in cells] == [True, False, False]


def test_scenes_are_taken_up_where_they_were_left(fetch, tmp_path, monkeypatch):
    near, _ = scenes()
    store = fetch(near, SCENES)
    gone = store.cells()[1]
    store.image_path(gone).unlink()
    asked = []
    from water_gee.imagery import download

    whole = download.request_tile

    def ask(cell, *rest, **how):
        asked.append(cell.id)
        return whole(cell, *rest, **how)

    monkeypatch.setattr(download, "request_tile", ask)
    again = fetch(near, SCENES)
    assert asked == [gone.id]
    assert len(again.cells()) == 3


def test_harmonized_scenes_are_each_as_oli(fetch):
    near, _ = scenes()
    store = fetch(near, SCENES.replace(harmonize="ols"))
    by_name = {each.name: each for each in near}
    for cell in store.cells():
        compare(store, cell, [by_name[cell.scene]], ols=True)


def test_images_far_from_the_area_are_no_season(fetch):
    _, far = scenes()
    with pytest.raises(EmptySeasonError, match="no image of landsat8 at any time over"):
        fetch([far], SCENES.replace(sensors="landsat8"))


def test_images_near_the_area_that_reach_no_cell_are_told_apart(fetch, monkeypatch):
    monkeypatch.setattr(Acquisition, "reached", lambda *_: [])
    near, _ = scenes()
    with pytest.raises(EmptySeasonError, match=r"none of the 3 images .* one of its 1 cell"):
        fetch(near, SCENES)


def test_acquisitions_are_listed_page_by_page(fetch, monkeypatch):
    monkeypatch.setattr(acquisitions, "PAGE", 1)
    near, _ = scenes()
    assert len(fetch(near, SCENES).cells()) == 3


def test_two_images_of_one_name_are_refused(fetch):
    images = season("hls_l30", 1) + season("hls_s30", 1)
    images[1].name = images[0].name
    recipe = SCENES.replace(sensors=["hls_l30", "hls_s30"])
    with pytest.raises(DownloadError, match="two images are called hls_l30_0, of hls_l30 and of"):
        fetch(images, recipe)


def test_a_footprint_that_is_unknown_or_crosses_180_degrees_reaches_everywhere():
    wide = {"type": "Polygon", "coordinates": [[[-179, 0], [179, 0], [179, 1], [-179, 0]]]}
    ring = {"type": "LinearRing", "coordinates": [[0, 0], [1, 0], [1, 1], [0, 0]]}
    assert acquisitions._footprint(wide) is None
    for west, east in ((179, 181), (-181, -179)):
        beyond = shapely.geometry.mapping(shapely.box(west, 10, east, 11))
        assert acquisitions._footprint(beyond) is None
    assert acquisitions._footprint(None) is None
    assert acquisitions._footprint({"type": "Polygon", "coordinates": []}) is None
    cell = Cell(1104, -262)
    assert Acquisition("a", "landsat8", None).reached([cell]) == [cell]
    assert Acquisition("a", "landsat8", acquisitions._footprint(ring)).reached([cell]) == []


def test_a_store_of_scenes_is_no_store_of_medians(fetch):
    near, _ = scenes()
    store = fetch(near, SCENES)
    median = SCENES.replace(composite="median")
    with pytest.raises(RecipeMismatchError, match=r"\(composite: 'median' / 'scene'\)") as caught:
        TileStore.open(store.path, median)
    assert "\n" not in str(caught.value)


def test_maps_are_not_made_of_scenes_that_lie_over_each_other(fetch):
    from water_gee.mapping.sources import opened

    near, _ = scenes()
    store = fetch(near, SCENES)
    refusal = pytest.raises(StoreError, match=r"a tile for each acquisition.*composite='median'")
    with refusal as caught, opened(store, SCENES, 3):
        pass
    assert "\n" not in str(caught.value)


def test_what_scenes_trained_maps_a_service_as_a_median(fetch, tmp_path):
    from water_gee.mapping.sources import opened

    near, _ = scenes()
    made.put(tmp_path / "catalog", near)
    with small_catalog.client_in_process(tmp_path / "catalog"):
        served = session.ensure()
        with opened(served, SCENES, 3, BOX) as source:
            assert source.recipe == SCENES.replace(composite="median")
            assert source.reader.header.names[:8] == SCENES.features


def test_what_scenes_trained_may_map_their_season(fetch):
    from water_gee.mapping.sources import opened

    near, _ = scenes()
    store = fetch(near, SCENES.replace(composite="median"))
    with opened(store, SCENES, 3) as source:
        assert source.recipe.composite == "median"
