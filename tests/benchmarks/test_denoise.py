"""Chips as a tile store, and the scores of corrected labels, against answers worked out by hand."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import correlate

from water_gee.training.methods import Correction

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    """The benchmark and its chips, as `python benchmarks/denoise.py` imports them."""
    sys.path.insert(0, str(HERE))
    try:
        yield SimpleNamespace(
            chips=importlib.import_module("chips"), denoise=importlib.import_module("denoise")
        )
    finally:
        sys.path.remove(str(HERE))
        for name in ("chips", "denoise"):
            sys.modules.pop(name, None)


WATER = (0.06, 0.08, 0.05, 0.03, 0.02, 0.01)
LAND = (0.05, 0.08, 0.08, 0.30, 0.20, 0.10)


def one_date(folder, name, side=40, width=None, seed=0):
    """A chip with a lake, a cloud, a shadow and snow, in the layout of one file a chip."""
    rng = np.random.default_rng(seed)
    mask = np.full((side, width or side, 1), 3, np.uint8)
    mask[5:20, 5:20], mask[25:30, 5:20], mask[30:35, 5:9], mask[30:35, 12:20] = 1, 4, 0, 2
    image = np.where(mask == 1, WATER, LAND) + rng.normal(0, 0.001, (*mask.shape[:2], 6))
    np.savez(folder / f"{name}.npz", img=image.astype(np.float32), msk=mask)
    return image.astype(np.float32), mask[..., 0]


def with_qa(folder, count=2, side=32):
    rng = np.random.default_rng(1)
    image = rng.integers(200, 3000, (count, 12, side, side)).astype(np.int16)
    image[:, 7] = 64
    image[:, 7, :10] = 64 | 32
    image[:, 7, 15, :4] = (64 | 2, 64 | 4, 64 | 8, 255)
    image[:, 9] = 400
    label = np.zeros((count, side, side), np.uint8)
    label[:, :8] = 1
    np.savez(folder / "chips.npz", image=image, label=label, id=np.arange(count) + 7)
    return image, label


def test_a_chip_of_one_date_has_cloud_unseen_and_shadow_and_snow_as_land(scripts, tmp_path):
    image, mask = one_date(tmp_path, "a")
    (chip,) = scripts.chips.read(tmp_path)
    expected = np.select([mask == 4, mask == 1], [255, 1], 0)
    np.testing.assert_array_equal(chip.reference, expected)
    cloud = mask == 4
    assert np.isnan(chip.bands[:, cloud]).all()
    assert (chip.raw[cloud] == 255).all()
    np.testing.assert_array_equal(chip.bands[:, ~cloud].T, image[~cloud])
    ndvi = (image[..., 3] - image[..., 2]) / (image[..., 3] + image[..., 2])
    cfmask = ((ndvi < 0.01) & (image[..., 3] < 0.11)) | ((ndvi < 0.1) & (image[..., 3] < 0.05))
    np.testing.assert_array_equal(chip.raw[~cloud], cfmask[~cloud])
    assert chip.elevation is None


def test_chips_with_qa_take_its_water_bit_and_leave_what_it_calls_obscured(scripts, tmp_path):
    image, label = with_qa(tmp_path)
    chips = scripts.chips.read(tmp_path)
    assert [chip.name for chip in chips] == ["chips-007", "chips-008"]
    for chip, one, truth in zip(chips, image, label, strict=True):
        obscured = np.zeros(truth.shape, bool)
        obscured[15, :4] = True
        assert (chip.raw[obscured] == 255).all()
        assert (chip.reference[obscured] == 255).all()
        np.testing.assert_array_equal(chip.raw[~obscured], ((one[7] & 32) > 0)[~obscured])
        np.testing.assert_array_equal(chip.reference[~obscured], truth[~obscured])
        np.testing.assert_allclose(chip.bands[0][~obscured], one[1][~obscured] * 1e-4, rtol=1e-6)
        assert (chip.elevation == 400).all()


def test_the_line_feature_is_the_largest_of_four_kernels(scripts):
    index = np.random.default_rng(0).normal(size=(12, 15)).astype(np.float32)
    responses = []
    for ends in (((2, 0), (2, 4)), ((0, 2), (4, 2)), ((0, 0), (4, 4)), ((0, 4), (4, 0))):
        kernel = np.zeros((5, 5))
        kernel[2, 2] = 2
        for end in ends:
            kernel[end] = -1
        responses.append(correlate(index.astype(float), kernel))
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(
        scripts.chips.line(index)[inner], np.max(responses, axis=0)[inner], atol=1e-6
    )


def test_a_missing_end_of_a_line_counts_as_its_centre(scripts):
    index = np.zeros((5, 5), np.float32)
    index[2, 2], index[2, 0], index[0, 2] = 1, np.nan, 0.5
    found = scripts.chips.line(index)
    # West-east: 2 - 1 - 0; north-south: 2 - 0.5 - 0; both diagonals: 2 - 0 - 0.
    assert found[2, 2] == 2
    assert np.isnan(found[2, 0])
    assert scripts.chips.line(np.ones((1, 1), np.float32))[0, 0] == 0


def test_a_store_gives_back_what_the_chips_are(scripts, tmp_path):
    (tmp_path / "data").mkdir()
    one_date(tmp_path / "data", "a", 40)
    one_date(tmp_path / "data", "b", 30, width=36, seed=1)
    chips = scripts.chips.read(tmp_path / "data")
    with scripts.chips.make_store(tmp_path / "store", chips) as store:
        assert store.recipe.side == 40
        assert store.recipe.dem is None
        cells = scripts.chips.cells(store.recipe, 2)
        assert sorted(cell.id for cell in store.cells()) == sorted(cell.id for cell in cells)
        degrees = cells[0].affine.a
        assert 28 < degrees * 111_320 < 34
        for number, (cell, chip) in enumerate(zip(cells, chips, strict=True)):
            rows, cols = chip.shape
            features = store.read_image(cell)
            np.testing.assert_array_equal(features[:5, :rows, :cols], chip.bands[:5])
            assert np.isnan(features[:, rows:]).all()
            assert np.isnan(features[:, :, cols:]).all()
            swir2 = store.read_evidence(cell)["SWIR2"]
            np.testing.assert_array_equal(swir2[:rows, :cols], chip.bands[5])
            assert (store.read_mask(cell)[rows:] == 255).all()
            found = scripts.chips.read_label(store, number, chip, "labels")
            np.testing.assert_array_equal(found, chip.raw)


def test_chips_with_elevation_keep_it_in_metres_over_4000(scripts, tmp_path):
    with_qa(tmp_path)
    chips = scripts.chips.read(tmp_path)
    features = chips[0].features
    seen = chips[0].raw != 255
    assert features[7][seen] == pytest.approx(0.1)
    assert np.isnan(features[:, ~seen]).all()
    assert scripts.chips.recipe_of(chips).dem is not None


@pytest.mark.parametrize("what", ["nothing", "another layout"])
def test_a_folder_without_chips_is_refused_in_one_line(scripts, tmp_path, what):
    if what == "another layout":
        np.savez(tmp_path / "a.npz", pixels=np.zeros(3))
    with pytest.raises(SystemExit, match=r"no \.npz files|holds pixels; known are"):
        scripts.chips.read(tmp_path)


# ---------------------------------------------------------------------- scores


def chip_of(scripts, reference, raw):
    bands = np.full((6, *reference.shape), 0.1, np.float32)
    return scripts.chips.Chip("c", bands, raw, reference)


def test_undecided_pixels_count_as_raw_as_land_or_not_at_all(scripts):
    raw = np.array([[1, 1, 0, 255]], np.uint8)
    label = np.array([[255, 0, 255, 255]], np.uint8)
    found = {
        how: scripts.denoise.filled(label, raw, how).tolist() for how in ("raw", "land", "out")
    }
    assert found == {
        "raw": [[1, 0, 0, 255]],
        "land": [[0, 0, 0, 255]],
        "out": [[255, 0, 255, 255]],
    }


def test_the_figure_takes_the_worse_way_to_count_undecided_pixels(scripts):
    """Raw is right at two of its four water pixels: as land they are misses, as raw they count."""
    reference = np.array([[1, 1, 1, 0, 0, 0]], np.uint8)
    raw = np.array([[1, 1, 0, 1, 1, 0]], np.uint8)
    label = np.array([[255, 255, 1, 0, 0, 0]], np.uint8)
    chip = chip_of(scripts, reference, raw)
    scores = scripts.denoise.table([chip], {"raw": [raw], "evidence": [label]}, 0)
    assert scores["evidence"]["iou_undecided"] == {"raw": 1.0, "land": 0.3333, "out": 1.0}
    assert scores["evidence"]["iou"] == 0.3333
    assert scores["evidence"]["counted"] == "land"
    assert scores["evidence"]["undecided"] == 0.3333
    assert scores["raw"]["iou"] == 0.4


def test_blocks_count_every_pixel_once(scripts):
    rng = np.random.default_rng(0)
    reference = rng.choice([0, 1, 255], (150, 70)).astype(np.uint8)
    label = rng.choice([0, 1, 255], (150, 70)).astype(np.uint8)
    counts = scripts.denoise.block_counts(reference, label)
    assert counts.shape == (3 * 2, 3)
    expected = [
        ((reference == 1) & (label == 1)).sum(),
        ((reference == 0) & (label == 1)).sum(),
        ((reference == 1) & (label == 0)).sum(),
    ]
    assert counts.sum(axis=0).tolist() == expected
    first = (reference[:64, :64] == 1) & (label[:64, :64] == 1)
    assert counts[0, 0] == first.sum()


def test_intervals_hold_the_score_and_a_difference_to_itself_has_none(scripts):
    rng = np.random.default_rng(0)
    reference = (rng.random((256, 256)) < 0.3).astype(np.uint8)
    raw = np.where(rng.random(reference.shape) < 0.1, 1 - reference, reference).astype(np.uint8)
    chip = chip_of(scripts, reference, raw)
    scores = scripts.denoise.table(
        [chip], {"raw": [raw], "evidence": [raw.copy()], "MNDWI > 0": [reference]}, 0
    )
    low, high = scores["raw"]["interval"]
    assert low < scores["raw"]["iou"] < high
    assert high - low < 0.05
    assert scores["evidence"]["above_raw"] == {
        "against": "raw",
        "difference": 0.0,
        "interval": [0.0, 0.0],
    }
    assert scores["evidence"]["above_best_baseline"]["against"] == "MNDWI > 0"
    assert scores["evidence"]["above_best_baseline"]["interval"][1] < 0


def test_the_bar_needs_the_gain_every_baseline_and_the_time(scripts):
    def verdict(default, baseline, seconds):
        scores = {
            "raw": {"iou": 0.5},
            "MNDWI > 0": {"iou": baseline},
            "evidence": {"iou": default, "tile_seconds": seconds},
            "seed": {"iou": 0.9, "tile_seconds": 99.0},
        }
        return scripts.denoise.judge(scores, ["evidence", "seed"])["holds"]

    assert verdict(0.6, 0.55, 10.0)
    assert not verdict(0.59, 0.55, 1.0)
    assert not verdict(0.7, 0.7, 1.0)
    assert not verdict(0.7, 0.5, 10.1)


class _Inverting:
    """Stands in for a method: what was land is water, and the first row is not decided."""

    name = "evidence"

    def prepare(self, tiles, *, seed, progress):
        self.tiles = len(tiles.names)

    def correct(self, tile):
        label = np.where(tile.qa == 255, 255, 1 - tile.qa).astype(np.uint8)
        label[0] = 255
        return Correction(label, {"trusted": True})


@pytest.mark.parametrize("each", [False, True])
def test_a_method_is_run_by_denoise_labels_and_timed(scripts, tmp_path, monkeypatch, each):
    made = []

    def method(*how):
        made.append(_Inverting())
        return made[-1]

    monkeypatch.setattr("water_gee.training.labels._method", method)
    for number in range(2):
        one_date(tmp_path, f"chip{number}", seed=number)
    chips = scripts.chips.read(tmp_path)
    found = scripts.denoise.correct(chips, "evidence", 0, each=each)
    for chip, label in zip(chips, found.labels, strict=True):
        seen = chip.raw != 255
        seen[0] = False
        np.testing.assert_array_equal(label[seen], 1 - chip.raw[seen])
        assert (label[0] == 255).all()
    assert [method.tiles for method in made] == ([1, 1] if each else [2])
    assert found.tile_seconds > 0


def test_one_line_of_json_comes_out_and_a_picture_a_chip(scripts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("water_gee.training.labels._method", lambda *how: _Inverting())
    (tmp_path / "data").mkdir()
    one_date(tmp_path / "data", "a")
    arguments = ["--data", str(tmp_path / "data"), "--methods", "evidence"]
    arguments += ["--pictures", str(tmp_path / "pictures")]
    monkeypatch.setattr(sys, "argv", ["denoise.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        scripts.denoise.main()
    out, told = capsys.readouterr()
    line = json.loads(out)
    assert ended.value.code == 1
    assert line["name"] == "denoise"
    assert line["holds"] is False
    assert line["scores_qa"] is None
    assert line["against_figure"] == 1.0
    assert set(line["scores"]) == {
        "raw", "MNDWI > 0", "MNDWI Otsu", "AWEI sh", "AWEI nsh", "DSWE 3 of 5", "evidence",
    }  # fmt: skip
    assert "evidence" in told
    assert (tmp_path / "pictures" / "data" / "a.png").stat().st_size > 1000


def test_on_the_real_chips_the_baselines_score_what_their_source_says(scripts, shared_data):
    """The figures of the data's own description, over all pixels of the chips with a QA band."""
    with np.load(shared_data / "labelled_qa" / "chips.npz") as file:
        image, label = file["image"], file["label"]
    image[:, 7] &= 32
    bands = [image[:, number] * 1e-4 for number in range(1, 7)]
    chip = scripts.chips.Chip("all", np.stack(bands), (image[:, 7] > 0).astype(np.uint8), label)
    found = {name: iou(label, codes) for name, codes in scripts.denoise.baselines(chip).items()}
    assert found["raw"] == pytest.approx(0.775, abs=1e-3)
    assert found["MNDWI > 0"] == pytest.approx(0.723, abs=1e-3)
    assert found["DSWE 3 of 5"] == pytest.approx(0.723, abs=1e-3)


def iou(truth, found):
    water, called = truth == 1, found == 1
    return (water & called).sum() / (water | called).sum()
