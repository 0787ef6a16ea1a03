"""Bands on disk: what is written is read back, masks included, and other programs see the same."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import rasterio

from water_gee.emulator.bandfiles import BandWriter, HandlePool, levels_of, narrowed, read_block
from water_gee.emulator.newband import NewBand, strips, write_bands
from water_gee.emulator.pixels import Block, Window
from water_gee.emulator.values import Projection
from water_gee.errors import ServiceError

UTM = Projection("EPSG:32648", (30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0))
SHAPE = (600, 531)


def whole(shape=SHAPE):
    return Window(0, 0, *shape)


def blocks(shape, side=512):
    return [
        Window(top, left, min(side, shape[0] - top), min(side, shape[1] - left))
        for top in range(0, shape[0], side)
        for left in range(0, shape[1], side)
    ]


def write(path, values, mask=None, nodata=None, policy="MEAN"):
    writer = BandWriter(
        path, UTM, values.shape, values.dtype, nodata=nodata, policy=policy, name="x"
    )
    for window in blocks(values.shape):
        writer.write(window, Block(values, mask).view(whole(values.shape), window))
    writer.close()
    return writer


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64",
                                   "float32", "float64"])  # fmt: skip
def test_values_and_mask_come_back_exactly(tmp_path, dtype):
    random = np.random.default_rng(0)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        values = random.normal(size=SHAPE).astype(kind)
        values[0, 0], values[0, 1] = np.inf, np.nan
    else:
        info = np.iinfo(kind)
        values = random.integers(info.min, info.max, SHAPE, kind, endpoint=True)
    mask = random.random(SHAPE) > 0.3
    mask[0, :2] = True
    write(tmp_path / "a.tif", values, mask)
    block = read_block(HandlePool(), tmp_path / "a.tif", 0, whole())
    np.testing.assert_array_equal(block.mask, mask)
    np.testing.assert_array_equal(block.values[mask], values[mask])
    with rasterio.open(tmp_path / "a.tif") as dataset:
        np.testing.assert_array_equal(dataset.read_masks(1) > 0, mask)
        assert dataset.descriptions == ("x",)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.crs.to_epsg() == 32648
        assert tuple(dataset.transform)[:6] == UTM.transform


def test_a_band_without_masked_pixels_has_no_mask(tmp_path):
    values = np.ones((70, 80), np.uint8)
    write(tmp_path / "a.tif", values, np.ones((70, 80), bool))
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.mask_flag_enums == ([rasterio.enums.MaskFlags.all_valid],)
    window = Window(10, 20, 5, 6)
    assert read_block(HandlePool(), tmp_path / "a.tif", 0, window).mask is None


def test_nodata_is_a_mask(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30)
    mask = np.ones((20, 30), bool)
    mask[5, 5] = False
    write(tmp_path / "a.tif", values, mask, nodata=0)
    block = read_block(HandlePool(), tmp_path / "a.tif", 0, Window(0, 0, 20, 30))
    mask[0, 0] = False  # the value 0 itself
    np.testing.assert_array_equal(block.mask, mask)
    nan = np.where(mask, 1.5, np.nan).astype(np.float32)
    write(tmp_path / "b.tif", nan, nodata=float("nan"))
    block = read_block(HandlePool(), tmp_path / "b.tif", 0, Window(0, 0, 20, 30))
    np.testing.assert_array_equal(block.mask, mask)


def test_masks_between_0_and_1_come_back_exactly(tmp_path):
    random = np.random.default_rng(1)
    values = random.normal(size=SHAPE).astype(np.float32)
    mask = np.ones(SHAPE, np.float32)
    # Only in the last window, so that the file for them is begun late.
    mask[520:, 515:] = random.choice(np.array([0, 0.25, 1 / 3, 1], np.float32), (80, 16))
    writer = write(tmp_path / "a.tif", values, mask)
    assert writer.has_fractions
    block = read_block(HandlePool(), writer.path, 0, whole(), writer.fraction_path)
    np.testing.assert_array_equal(block.mask, mask)


def test_pyramids_halve_the_side_and_average_what_is_observed(tmp_path):
    random = np.random.default_rng(2)
    values = random.normal(size=(512, 256)).astype(np.float32)
    mask = random.random((512, 256)) > 0.4
    write(tmp_path / "a.tif", values, mask)
    assert levels_of((512, 256)) == 8
    observed = np.where(mask, values, np.nan).astype(np.float64)
    for level in (1, 2):
        height, width = 512 >> level, 256 >> level
        block = read_block(HandlePool(), tmp_path / "a.tif", level, Window(0, 0, height, width))
        cells = observed.reshape(height, 2, width, 2)
        count = np.isfinite(cells).sum(axis=(1, 3))
        mean = np.nansum(cells, axis=(1, 3)) / np.maximum(count, 1)
        valid = np.ones((height, width), bool) if block.mask is None else block.mask
        np.testing.assert_array_equal(valid, count > 0)
        np.testing.assert_allclose(block.values[count > 0], mean[count > 0], rtol=1e-4, atol=1e-6)
        observed = np.where(count > 0, mean, np.nan)


def test_bits_are_not_averaged_in_pyramids(tmp_path):
    values = np.random.default_rng(3).choice(np.array([21824, 21952], np.uint16), (64, 64))
    write(tmp_path / "a.tif", values, policy="SAMPLE")
    block = read_block(HandlePool(), tmp_path / "a.tif", 2, Window(0, 0, 16, 16))
    assert set(np.unique(block.values)) <= {21824, 21952}


def test_odd_sides_are_rounded_up_at_every_level(tmp_path):
    write(tmp_path / "a.tif", np.ones((37, 51), np.uint8))
    for level, shape in ((1, (19, 26)), (2, (10, 13)), (5, (2, 2))):
        block = read_block(HandlePool(), tmp_path / "a.tif", level, Window(0, 0, *shape))
        assert block.values.shape == shape


def test_narrowing_cuts_off_and_does_not_wrap():
    found = narrowed(np.array([-5, 100, 300]), np.dtype(np.uint8))
    assert found.tolist() == [0, 100, 255]


def test_many_threads_read_one_file(tmp_path):
    values = np.random.default_rng(4).integers(0, 9999, SHAPE).astype(np.uint16)
    write(tmp_path / "a.tif", values)
    pool = HandlePool(capacity=2)
    wrong = []

    def read(seed):
        random = np.random.default_rng(seed)
        for _ in range(20):
            row, col = int(random.integers(0, 500)), int(random.integers(0, 400))
            window = Window(row, col, 100, 131)
            block = read_block(pool, tmp_path / "a.tif", 0, window)
            if not np.array_equal(block.values, values[row : row + 100, col : col + 131]):
                wrong.append(window)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    pool.close()


def test_a_file_that_went_away_may_be_asked_for_again(tmp_path):
    with pytest.raises(ServiceError) as caught:
        read_block(HandlePool(), tmp_path / "gone.tif", 0, Window(0, 0, 1, 1))
    assert caught.value.code == 503
    (tmp_path / "bad.tif").write_bytes(b"no raster")
    with pytest.raises(ServiceError) as caught:
        read_block(HandlePool(), tmp_path / "bad.tif", 0, Window(0, 0, 1, 1))
    assert caught.value.code == 500


def test_a_writer_that_cannot_write_says_which_file(tmp_path):
    if os.geteuid() == 0:
        target = tmp_path / "no" / "folder" / "a.tif"
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        target = tmp_path / "locked" / "a.tif"
    with pytest.raises(OSError, match=r"cannot write a\.tif"):
        BandWriter(target, UTM, (5, 5), "uint8")


def test_strips_cover_a_raster_once():
    seen = np.zeros((1100, 3), int)
    for window in strips((1100, 3)):
        seen[window.row : window.row + window.height, window.col : window.col + window.width] += 1
    assert (seen == 1).all()


def test_bands_whose_names_differ_in_case_keep_their_own_files(tmp_path):
    bands = [
        NewBand.of_array(name, np.full((4, 4), i, np.uint8), UTM) for i, name in enumerate("aA")
    ]
    records = write_bands(tmp_path, bands)
    assert len({record.file.lower() for record in records}) == 2
    odd = write_bands(tmp_path, [NewBand.of_array("../é b", np.zeros((4, 4), np.uint8), UTM)])
    assert (tmp_path / odd[0].file).is_file()
    assert odd[0].name == "../é b"
