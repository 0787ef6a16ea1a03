"""Local maps: classes and probabilities over rasters of any size."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import small_cnn, undecided

from water_gee import raster
from water_gee.errors import (
    AoiError,
    ModelError,
    RasterError,
    RecipeMismatchError,
    StoreError,
    WriteFailedError,
)
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.mapping.classifier import BLOCK, Classifier, classify
from water_gee.mapping.predict import predict, probability_path
from water_gee.training.model import TrainedModel, save
from water_gee.training.network import pixel_cnn
from water_gee.windows import Grid

# A small lattice: cells of 40 pixels.
RECIPE = Recipe(cell=0.01, pixels=40)
NAMES = RECIPE.features


@pytest.fixture(scope="module")
def trained():
    return TrainedModel(undecided(pixel_cnn()), RECIPE, {})


def features(rows, cols, seed=0):
    """Smooth enough fields with holes of several kinds."""
    generator = np.random.default_rng(seed)
    values = generator.normal(0.2, 0.5, (8, rows, cols)).astype(np.float32)
    values[:, rows // 2, cols // 3] = np.nan  # a pixel of every feature
    values[5, 4, 5] = np.nan  # a pixel of one feature
    values[:, : rows // 6, -cols // 5 :] = np.nan  # a corner
    return values


def stack(path, values, row=0, col=0, *, names=NAMES, nodata=float("nan"), crs="EPSG:32650"):
    transform = Affine(30, 0, 600_000 + 30 * col, 0, -30, 5_000_000 - 30 * row)
    grid = Grid(crs, transform, values.shape[1:])
    raster.write(path, values, grid, nodata=nodata, names=names)
    return path


def patch_by_patch(network, values, places):
    """The network on one 7 x 7 patch at a time, NaN where a pixel of it is not observed."""
    patches = np.stack([values[:, r - 3 : r + 4, c - 3 : c + 4] for r, c in places])
    said = np.asarray(network(np.nan_to_num(patches).transpose(0, 2, 3, 1)))[:, 0, 0, 0]
    return np.where(np.isfinite(patches).all(axis=(1, 2, 3)), said, np.nan)


def test_every_pixel_says_what_its_own_patch_says(trained):
    values = features(40, 50)
    water, probability = classify(trained.network, values)
    places = [(r, c) for r in range(3, 37) for c in range(3, 47)]
    expected = patch_by_patch(trained.network, values, places)
    found = np.array([probability[place] for place in places])
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    classes = np.array([water[place] for place in places])
    clear = np.abs(expected - 0.5) > 1e-6
    np.testing.assert_array_equal(classes[clear], expected[clear] > 0.5)
    assert set(np.unique(classes)) == {0, 1, 255}
    assert water.dtype == np.uint8
    assert probability.dtype == np.float32


def test_the_border_of_three_pixels_is_not_classified(trained):
    water, probability = classify(trained.network, np.ones((8, 12, 11), np.float32))
    assert (water[3:-3, 3:-3] != 255).all()
    assert (water != 255).sum() == 6 * 5
    np.testing.assert_array_equal(np.isnan(probability), water == 255)


def test_a_raster_smaller_than_one_window_is_not_classified_at_all(trained):
    water, probability = classify(trained.network, np.ones((8, 5, 6), np.float32))
    assert (water == 255).all()
    assert np.isnan(probability).all()


def test_how_a_raster_is_cut_changes_no_bit(trained):
    """Crops at odd places against the whole, across the seams of blocks."""
    values = features(BLOCK[0] + 60, BLOCK[1] + 80)
    water, probability = classify(trained.network, values)
    for row, col, height, width in ((1, 2, 150, 140), (37, 61, 271, 270), (200, 210, 100, 90)):
        part = np.s_[row : row + height, col : col + width]
        crop_water, crop = classify(trained.network, values[:, *part])
        inner = np.s_[3:-3, 3:-3]
        np.testing.assert_array_equal(crop[inner], probability[part][inner])
        np.testing.assert_array_equal(crop_water[inner], water[part][inner])


def test_features_of_another_number_are_refused(trained):
    with pytest.raises(ModelError, match=r"\(7, 20, 20\).*\(8, row, col\)"):
        classify(trained.network, np.ones((7, 20, 20), np.float32))


# --------------------------------------------------------------------------------- whole files


def test_windows_over_a_file_equal_the_whole_bit_by_bit(trained, tmp_path, monkeypatch):
    values = features(150, 170)
    source = stack(tmp_path / "features.tif", values)
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 64)
    out = predict(trained, source, tmp_path / "map.tif", probability=True, progress=False)
    water, probability = classify(trained.network, values)
    np.testing.assert_array_equal(raster.read(out).values[0], water)
    found = raster.read(tmp_path / "map_probability.tif").values[0]
    np.testing.assert_array_equal(found, probability)


def test_a_map_carries_its_grid_its_colours_and_what_made_it(trained, tmp_path):
    source = stack(tmp_path / "features.tif", features(50, 60))
    out = predict(trained, source, tmp_path / "map.tif", probability=True)
    with rasterio.open(out) as written, rasterio.open(source) as given:
        assert (written.crs, written.transform) == (given.crs, given.transform)
        assert (written.nodata, written.dtypes, written.descriptions) == (
            255,
            ("uint8",),
            ("water",),
        )
        colours = written.colormap(1)
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        tags = written.tags()
    red, green, blue, alpha = colours[1]
    assert blue > red
    assert blue > green
    assert alpha == 255
    assert colours[255][3] == 0
    assert tags["water_gee_model"] == trained.digest()
    assert json.loads(tags["water_gee_recipe"]) == RECIPE.to_dict()
    with rasterio.open(probability_path(out)) as beside:
        assert np.isnan(beside.nodata)
        assert beside.dtypes == ("float32",)


def test_numbers_whose_sum_is_too_large_are_numbers(trained):
    """A fill value that the file does not declare; warnings are errors here."""
    values = np.nan_to_num(features(20, 20))
    values[:, :4] = np.finfo(np.float32).min
    water, probability = classify(trained.network, values)
    plain = classify(trained.network, np.where(values < -1e30, np.float32(0), values))
    np.testing.assert_array_equal(water[10:], plain[0][10:])
    np.testing.assert_array_equal(probability[10:-3, 3:-3], plain[1][10:-3, 3:-3])


def test_a_number_for_nodata_is_not_observed(trained, tmp_path):
    values = features(30, 30)
    holes = np.where(np.isnan(values), np.float32(-9999), values)
    out = predict(trained, stack(tmp_path / "a.tif", holes, nodata=-9999), tmp_path / "map.tif")
    np.testing.assert_array_equal(raster.read(out).values[0], classify(trained.network, values)[0])


def test_files_side_by_side_are_mapped_as_one_without_a_seam(trained, tmp_path):
    values = features(60, 90)
    left = stack(tmp_path / "left.tif", values[:, :, :50])
    right = stack(tmp_path / "right.tif", values[:, 10:, 40:], row=10, col=40)
    out = predict(trained, [right, left], tmp_path / "map.tif")
    whole = values.copy()
    whole[:, :10, 50:] = np.nan
    found = raster.read(out)
    assert found.grid.shape == (60, 90)
    assert found.grid.transform == raster.read(left).grid.transform
    np.testing.assert_array_equal(found.values[0], classify(trained.network, whole)[0])


# ------------------------------------------------------------------------------------- stores


def store_of(path, cells, recipe=RECIPE):
    """A store of which neighbouring tiles agree on their shared pixels."""
    field = features(200, 200, seed=5)
    lattice = Lattice.of(recipe)
    store = TileStore.open(path, recipe, create=True)
    for col, row in cells:
        cell = Cell(col, row, lattice)
        top, left = 100 - cell.origin[1], 50 + cell.origin[0]
        image = field[:, top : top + cell.shape[0], left : left + cell.shape[1]]
        observed = np.isfinite(image).all(axis=0)
        store.write_tile(cell, image, np.where(observed, 0, 255).astype(np.uint8))
    return store, field


def test_the_cells_of_a_store_are_mapped_as_one_and_whole(trained, tmp_path):
    """Three cells in an L: their own pixels, and no others, to the last row."""
    store, field = store_of(tmp_path / "store", [(0, 0), (1, 0), (0, 1)])
    out = predict(trained, tmp_path / "store", tmp_path / "map.tif", progress=False)
    found = raster.read(out)
    assert found.grid.shape == (80, 80)
    step = RECIPE.pixel_degrees
    assert found.grid.transform == Affine(float(step), 0, 0.0, 0, -float(step), 0.02)
    whole, _ = classify(trained.network, field)
    expected = whole[20:100, 50:130].copy()
    expected[:40, 40:] = 255  # the cell that is not there
    np.testing.assert_array_equal(found.values[0], expected)
    store.close()


def test_a_margin_never_covers_a_neighbour(trained, tmp_path):
    store, _ = store_of(tmp_path / "store", [(0, 0), (1, 0)])
    cell = Cell(1, 0, Lattice.of(RECIPE))
    spoilt = store.read_image(cell)
    clean = spoilt.copy()
    spoilt[:, :, :3] = 1e3  # its western margin, which lies over cell (0, 0)
    store.write_tile(cell, spoilt, store.read_mask(cell))
    alone = classify(trained.network, store.read_image(Cell(0, 0, Lattice.of(RECIPE))))[0]
    found = raster.read(predict(trained, store, tmp_path / "map.tif")).values[0]
    # In the rows above and below both cells the two margins meet, and either may win.
    np.testing.assert_array_equal(found[3:-3, :37], alone[6:-6, 3:40])
    assert not np.array_equal(spoilt, clean)


def test_a_store_of_other_years_is_mapped(trained, tmp_path):
    store, _ = store_of(tmp_path / "store", [(0, 0)], RECIPE.replace(years=(1999,)))
    assert predict(trained, store, tmp_path / "map.tif").exists()


def test_a_store_of_another_recipe_is_refused(trained, tmp_path):
    store, _ = store_of(tmp_path / "store", [(0, 0)], RECIPE.replace(months=(1,)))
    with pytest.raises(RecipeMismatchError, match=r"the model and the store .*months"):
        predict(trained, store, tmp_path / "map.tif")


def test_an_empty_store_is_refused(trained, tmp_path):
    TileStore.open(tmp_path / "store", RECIPE, create=True).close()
    with pytest.raises(StoreError, match="no observed tile"):
        predict(trained, tmp_path / "store", tmp_path / "map.tif")


def test_a_folder_that_is_no_store_is_refused(trained, tmp_path):
    with pytest.raises(StoreError, match="no tile store"):
        predict(trained, tmp_path, tmp_path / "map.tif")


# ------------------------------------------------------------------------------------ refusals


def refused(trained, tmp_path, source, *, match):
    with pytest.raises(RasterError, match=match) as caught:
        predict(trained, source, tmp_path / "map.tif", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "map.tif").exists()
    assert not [path for path in tmp_path.iterdir() if "map" in path.name]


def test_bands_in_another_order_are_refused(trained, tmp_path):
    names = (NAMES[1], NAMES[0], *NAMES[2:])
    source = stack(tmp_path / "a.tif", features(20, 20), names=names)
    refused(trained, tmp_path, source, match=r"a\.tif has the bands Green, Blue.*takes Blue, Green")


def test_too_few_bands_are_refused(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(20, 20)[:7], names=("",) * 7)
    refused(trained, tmp_path, source, match=r"a\.tif has 7 bands; the model takes 8")


def test_bands_without_names_are_taken_in_order(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(20, 20), names=("",) * 8)
    assert predict(trained, source, tmp_path / "map.tif").exists()


def test_whole_numbers_are_refused(trained, tmp_path):
    counts = np.ones((8, 20, 20), np.int16)
    source = stack(tmp_path / "a.tif", counts, nodata=0)
    refused(trained, tmp_path, source, match="int16, and features are floating point")


def test_files_on_different_grids_are_refused(trained, tmp_path):
    first = stack(tmp_path / "a.tif", features(20, 20))
    other = stack(tmp_path / "b.tif", features(20, 20), crs="EPSG:32651")
    refused(trained, tmp_path, [first, other], match="different grids")
    beside = stack(tmp_path / "c.tif", features(20, 20), row=0.5)
    refused(trained, tmp_path, [first, beside], match=r"c\.tif lies \(0\.5, 0\) pixels beside")


def test_no_files_and_missing_files_are_refused(trained, tmp_path):
    refused(trained, tmp_path, [], match="no files")
    refused(trained, tmp_path, tmp_path / "none.tif", match="no such file")


def test_a_file_that_is_no_raster_is_refused(trained, tmp_path):
    (tmp_path / "a.tif").write_text("no raster")
    refused(trained, tmp_path, tmp_path / "a.tif", match=r"cannot read .*a\.tif")


def test_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no model at"):
        predict(tmp_path / "model.keras", tmp_path / "a.tif", tmp_path / "map.tif")


def test_a_folder_that_does_not_exist_is_refused(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(20, 20))
    with pytest.raises(RasterError, match="does not exist"):
        predict(trained, source, tmp_path / "nowhere" / "map.tif")


def test_a_folder_for_one_source_is_refused(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(20, 20))
    (tmp_path / "maps").mkdir()
    with pytest.raises(
        RasterError, match=r"maps is a folder; name the map, for example .*map\.tif"
    ):
        predict(trained, source, tmp_path / "maps")
    assert not list((tmp_path / "maps").iterdir())


def test_an_area_for_files_is_refused(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(20, 20))
    with pytest.raises(AoiError, match=r"are for what a service composes, not for .*a\.tif"):
        predict(trained, source, tmp_path / "map.tif", aoi=(0, 0, 1, 1))
    with pytest.raises(AoiError, match="`years`"):
        predict(trained, source, tmp_path / "map.tif", years=2020)


def test_a_stack_broken_in_its_middle_is_named_and_nothing_left(trained, tmp_path, capfd):
    source = stack(tmp_path / "a.tif", features(300, 300))
    whole = source.read_bytes()
    source.write_bytes(whole[: len(whole) // 2] + bytes(9000) + whole[len(whole) // 2 + 9000 :])
    refused(trained, tmp_path, source, match=r"cannot read .*a\.tif")
    assert capfd.readouterr().err == ""


def test_a_broken_file_of_several_is_named(trained, tmp_path):
    first = stack(tmp_path / "a.tif", features(120, 120))
    second = stack(tmp_path / "b.tif", features(120, 120), row=120)
    whole = second.read_bytes()
    second.write_bytes(whole[: len(whole) // 2] + bytes(9000) + whole[len(whole) // 2 + 9000 :])
    refused(trained, tmp_path, [first, second], match=r"cannot read .*b\.tif")


def test_after_a_full_disk_the_same_call_goes_on(trained, tmp_path, capfd):
    source = stack(tmp_path / "a.tif", features(300, 300))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(WriteFailedError, match=r"cannot write .*map.*\.tif: ") as caught:
            predict(trained, source, tmp_path / "map.tif", probability=True, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    capfd.readouterr()  # GDAL says "File too large" by itself
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".map.tif.parts", "a.tif"]
    predict(trained, source, tmp_path / "map.tif", probability=True, progress=False)
    predict(trained, source, tmp_path / "never.tif", probability=True, progress=False)
    for name in ("", "_probability"):
        there, never = (tmp_path / f"{stem}{name}.tif" for stem in ("map", "never"))
        assert there.read_bytes() == never.read_bytes()


@pytest.mark.parametrize("name", ["model.keras", "a.tif"])
def test_what_is_read_is_not_replaced(trained, tmp_path, name):
    model, source = (
        save(trained, tmp_path / "model.keras"),
        stack(tmp_path / "a.tif", features(60, 60)),
    )
    before = (tmp_path / name).read_bytes()
    with pytest.raises(RasterError, match=rf"{name} is what is read"):
        predict(model, source, tmp_path / name, progress=False)
    beside = stack(tmp_path / "b_probability.tif", features(60, 60))
    with pytest.raises(RasterError, match=r"b_probability\.tif is what is read"):
        predict(model, [source, beside], tmp_path / "b.tif", probability=True, progress=False)
    assert (tmp_path / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.tif",
        "b_probability.tif",
        "model.keras",
    ]


def test_a_map_without_an_ending_is_asked_for_one(trained, tmp_path):
    source = stack(tmp_path / "a.tif", features(60, 60))
    with pytest.raises(
        RasterError, match=r"maps has no ending; name the map, for example .*map\.tif"
    ):
        predict(trained, source, tmp_path / "maps", progress=False)
    (tmp_path / "maps").write_text("a file")
    with pytest.raises(RasterError, match="maps is a file; several maps need a folder"):
        predict(trained, [source, tmp_path / "b.tif"], tmp_path / "maps", progress=False)


# ---------------------------------------------------------------------------------- going on


class Counted:
    """How many windows were computed."""

    def __init__(self, monkeypatch):
        plain, self.calls = Classifier.__call__, 0

        def counted(classifier, values):
            self.calls += 1
            return plain(classifier, values)

        monkeypatch.setattr(Classifier, "__call__", counted)


KILLED = """
import sys, time
from water_gee.mapping import predict as module
plain = module.Classifier.__call__
def slow(self, features):
    sys.stdout.write("working\\n")
    sys.stdout.flush()
    time.sleep(0.05)
    return plain(self, features)
module.Classifier.__call__ = slow
module.WINDOW = 32
module.predict(*sys.argv[1:], probability=True, progress=False)
"""


def killed_after(windows, *arguments):
    """Run `predict` in another process and kill it after some windows; what it wrote to stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    for _ in range(windows):
        assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]


def test_killed_midway_the_next_call_goes_on_from_whole_strips(trained, tmp_path, monkeypatch):
    """7 strips of 4 windows and 7 of 3, killed under the seventh; the map is that of a run never
    killed.
    """
    model = save(trained, tmp_path / "model.keras")
    source = stack(tmp_path / "a.tif", features(200, 200))
    noise = killed_after(25, model.path, source, tmp_path / "map.tif")
    assert noise == ""  # TensorFlow's start-up lines among it
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".map.tif.parts",
        "a.tif",
        "model.keras",
    ]
    strips = len(list((tmp_path / ".map.tif.parts").glob("0*_1.tif")))
    assert 4 <= strips <= 6
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 32)
    counted = Counted(monkeypatch)
    predict(model, source, tmp_path / "map.tif", probability=True, progress=False)
    assert counted.calls == 49 - 4 * strips
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == [
        *("a.tif", "map.json", "map.qml", "map.tif", "map_probability.tif", "model.keras")
    ]
    (tmp_path / "never").mkdir()
    predict(model, source, tmp_path / "never" / "map.tif", probability=True, progress=False)
    for name in ("map.tif", "map_probability.tif"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "never" / name).read_bytes()


@pytest.mark.parametrize("change", ["model", "source", "probability"])
def test_parts_of_another_model_or_source_are_thrown_away(trained, tmp_path, monkeypatch, change):
    source = stack(tmp_path / "a.tif", features(100, 100))
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 32)
    plain = Classifier.__call__
    calls = []

    def stop(classifier, values):
        calls.append(1)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return plain(classifier, values)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            predict(trained, source, tmp_path / "map.tif", progress=False)
    assert list((tmp_path / ".map.tif.parts").glob("0*.tif"))
    if change == "model":
        trained = TrainedModel(undecided(pixel_cnn(), seed=12), RECIPE, {})
    elif change == "source":
        stack(source, features(100, 100, seed=1))
    counted = Counted(monkeypatch)
    predict(
        trained,
        source,
        tmp_path / "map.tif",
        probability=change == "probability",
        progress=False,
    )
    assert counted.calls == 16
    expected = classify(trained.network, raster.read(source).values)[0]
    np.testing.assert_array_equal(raster.read(tmp_path / "map.tif").values[0], expected)


# ---------------------------------------------------------------------------------- properties


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    window=st.integers(20, 320),
    panel=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_any_windows_make_the_map_of_the_whole(tmp_path_factory, shape, window, panel, seed):
    """Rasters smaller than a block and larger than one, with holes, in windows of any size."""
    folder = tmp_path_factory.mktemp("seams")
    generator = np.random.default_rng(seed)
    values = generator.normal(0.2, 0.5, (8, *shape)).astype(np.float32)
    values[:, generator.random(shape) < 0.002] = np.nan
    values[:, : shape[0] // 5, : shape[1] // 4] = np.nan
    source = stack(folder / "a.tif", values)
    network = TrainedModel(undecided(small_cnn()), RECIPE, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("water_gee.mapping.predict.WINDOW", window)
        patch.setattr("water_gee.pipeline.PANEL", panel)
        out = predict(network, source, folder / "map.tif", probability=True, progress=False)
    around = np.pad(values, ((0, 0), (3, 3), (3, 3)), constant_values=np.nan)
    water, probability = classify(network.network, around)
    np.testing.assert_array_equal(raster.read(out).values[0], water[3:-3, 3:-3])
    found = raster.read(probability_path(out)).values[0]
    np.testing.assert_array_equal(found, probability[3:-3, 3:-3])


def test_a_mosaic_says_nothing_while_it_is_read(trained, tmp_path, capfd, caplog):
    values = features(60, 60)
    files = [stack(tmp_path / "a.tif", values), stack(tmp_path / "b.tif", values, col=50)]
    predict(trained, files, tmp_path / "map.tif", progress=False)
    assert capfd.readouterr().err == ""
    assert not [record for record in caplog.records if record.name.startswith("rasterio")]


def test_the_next_scene_is_not_begun_where_the_disk_takes_no_more(trained, tmp_path, monkeypatch):
    scenes = [stack(tmp_path / f"{name}.tif", features(60, 60)) for name in "ab"]

    def full(temporary, target):
        raise OSError(28, "No space left on device")

    counted = Counted(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("water_gee.pipeline.publish", full)
        with pytest.raises(WriteFailedError, match=r"a_water\.tif: the disk is full"):
            predict(trained, scenes, tmp_path / "maps", progress=False)
    assert counted.calls == 1
    predict(trained, scenes, tmp_path / "maps", progress=False)
    assert len(list((tmp_path / "maps").glob("*_water.tif"))) == 2
