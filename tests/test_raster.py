"""GeoTIFFs that carry their grid, windows, and what a full disk or a broken file says."""

from __future__ import annotations

import resource
from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from water_gee import raster
from water_gee.errors import CoverageError, RasterError

GRID = raster.Grid("EPSG:32655", Affine(30, 0, 691000, 0, -30, 6094000), (70, 90))
NAN = float("nan")


def ramp(bands=2, dtype=np.float32):
    return np.arange(bands * 70 * 90, dtype=dtype).reshape(bands, 70, 90)


@contextmanager
def files_no_larger_than(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ------------------------------------------------------------------ grids


def test_a_grid_knows_its_bounds():
    assert GRID.bounds == (691000, 6094000 - 70 * 30, 691000 + 90 * 30, 6094000)


def test_a_window_of_a_grid_starts_at_its_own_pixel():
    part = GRID.window(row=10, col=20, height=5, width=7)
    assert part.shape == (5, 7)
    assert part.point(0, 0) == (691000 + 600, 6094000 - 300)


def test_a_scaled_grid_covers_the_same_ground():
    fine = GRID.scaled(4)
    assert fine.shape == (280, 360)
    assert fine.transform.a == 7.5
    assert fine.bounds == GRID.bounds


# ------------------------------------------------------------------ files


def test_what_is_written_is_read_back_bit_for_bit(tmp_path):
    values = ramp()
    values[0, :3] = np.nan
    path = tmp_path / "a.tif"
    raster.write(path, values, GRID, nodata=NAN, names=("Blue", "line"), tags={"recipe": "x"})
    back = raster.read(path)
    np.testing.assert_array_equal(back.values, values)
    assert back.grid == GRID
    assert back.names == ("Blue", "line")
    assert np.isnan(back.nodata)
    assert back.tags["recipe"] == "x"


def test_another_program_sees_names_zstd_and_predictor(tmp_path):
    path = tmp_path / "a.tif"
    raster.write(path, ramp(), GRID, nodata=NAN, names=("Blue", "line"))
    with rasterio.open(path) as source:
        assert source.descriptions == ("Blue", "line")
        assert source.crs.to_epsg() == 32655
        structure = source.tags(ns="IMAGE_STRUCTURE")
    assert structure["COMPRESSION"] == "ZSTD"
    assert structure["PREDICTOR"] == "3"


def test_bands_are_read_by_name_or_number_and_windows_by_place(tmp_path):
    path = tmp_path / "a.tif"
    raster.write(path, ramp(3), GRID, nodata=None, names=("a", "b", "c"))
    part = raster.read(path, bands=["c", 1], window=raster.Window(2, 3, 4, 5))
    assert part.names == ("c", "a")
    assert part.grid.point(0, 0) == (691000 + 90, 6094000 - 60)
    np.testing.assert_array_equal(part.values, ramp(3)[[2, 0], 2:6, 3:8])


def test_classes_carry_their_colours_and_overviews_keep_classes(tmp_path):
    path = tmp_path / "map.tif"
    grid = raster.Grid("EPSG:32655", GRID.transform, (1200, 1200))
    classes = (np.indices((1200, 1200)).sum(0) % 2).astype(np.uint8)
    classes[:600] = 255
    raster.write_cog(
        path,
        classes,
        grid,
        nodata=255,
        names=["water"],
        colormap={0: (200, 200, 200, 255), 1: (0, 0, 255, 255)},
        overviews="mode",
    )
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.colormap(1)[1] == (0, 0, 255, 255)
        assert source.overviews(1)
        np.testing.assert_array_equal(source.read(1), classes)
    with rasterio.open(path, overview_level=0) as source:
        assert set(np.unique(source.read(1))) <= {0, 1, 255}


def test_the_same_values_make_the_same_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        raster.write(tmp_path / name, ramp(), GRID, nodata=NAN, names=("x", "y"))
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_raster_without_crs_stays_without(tmp_path):
    path = tmp_path / "a.tif"
    grid = raster.Grid("", Affine.translation(0, 0), (70, 90))
    raster.write(path, ramp(1), grid, nodata=None, names=("x",))
    assert raster.read(path).grid.crs == ""


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RasterError, match=r"gone\.tif: no such file"):
        raster.read(tmp_path / "gone.tif")


def test_a_file_that_is_no_raster_is_named_in_one_line(tmp_path):
    path = tmp_path / "letter.tif"
    path.write_text("dear reader")
    with pytest.raises(RasterError, match=r"cannot read .*letter\.tif") as caught:
        raster.read(path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "a.tif"
    raster.write(path, ramp(4), GRID, nodata=None, names=tuple("abcd"))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(RasterError, match=r"cannot read .*a\.tif"):
        raster.read(path)


def test_a_band_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = tmp_path / "a.tif"
    raster.write(path, ramp(), GRID, nodata=NAN, names=("Blue", "line"))
    with pytest.raises(RasterError, match=r"no band 'NIR'; it has Blue, line"):
        raster.read(path, bands=["NIR"])


def test_values_that_do_not_fit_the_grid_are_refused(tmp_path):
    with pytest.raises(RasterError, match="do not fit"):
        raster.write(tmp_path / "a.tif", ramp()[:, 1:], GRID, nodata=None, names=("x", "y"))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RasterError, match=r"the folder .*nowhere does not exist"):
        raster.write(tmp_path / "nowhere" / "a.tif", ramp(), GRID, nodata=None, names=("x", "y"))


def test_a_full_disk_is_one_line_and_no_half_file(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"what was there")
    noise = np.random.default_rng(0).random((2, 70, 90))
    with (
        files_no_larger_than(20_000),
        pytest.raises(RasterError, match=r"cannot write .*a\.tif: the disk is full") as caught,
    ):
        raster.write(path, noise, GRID, nodata=None, names=("x", "y"))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"what was there"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]


def test_the_file_of_a_dead_process_is_cleared_and_that_of_a_living_one_stays(tmp_path):
    from water_gee.files import remove_leftovers

    dead = tmp_path / ".a.tif.999999999-0a0b0c0d.tmp"
    living = tmp_path / f".a.tif.{__import__('os').getpid()}-0a0b0c0d.tmp"
    for path in (dead, living):
        path.write_bytes(b"")
    remove_leftovers(tmp_path)
    assert not dead.exists()
    assert living.exists()


# ------------------------------------------------------------------ windows


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.integers(1, 40),
    st.integers(0, 9),
)
def test_cores_tile_the_raster_and_outers_reach_one_halo_further(shape, size, halo):
    count = np.zeros(shape, int)
    picture = np.arange(shape[0] * shape[1]).reshape(shape)
    around = np.pad(picture, halo, constant_values=-1)
    for window in raster.windows(shape, size, halo):
        count[window.core.slices] += 1
        seen = np.pad(picture[window.outer.slices], window.pad, constant_values=-1)
        row, col = window.core.row, window.core.col
        expected = around[
            row : row + window.core.height + 2 * halo, col : col + window.core.width + 2 * halo
        ]
        np.testing.assert_array_equal(seen, expected)
    assert (count == 1).all()


def test_windows_of_no_size_are_refused():
    with pytest.raises(CoverageError, match="cover nothing"):
        next(raster.windows((5, 5), 0, 0))


def sum_of_3x3(values):
    """A network of receptive field 3: its output is 2 pixels smaller each way."""
    cube = values[0]
    rows, cols = cube.shape
    return sum(cube[r : rows - 2 + r, c : cols - 2 + c] for r in range(3) for c in range(3))


@pytest.mark.parametrize("size", [7, 32, 1000])
def test_windowed_work_equals_whole_scene_work(tmp_path, size):
    source = tmp_path / "in.tif"
    values = np.random.default_rng(1).integers(0, 100, (1, 70, 90)).astype(np.int32)
    raster.write(source, values, GRID, nodata=None, names=("x",))
    out = raster.Output(tmp_path / "out.tif", "int32", None, ("sum",))
    assert raster.map_windows(source, out, sum_of_3x3, size=size, halo=1) == (out.path,)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1)))
    np.testing.assert_array_equal(raster.read(out.path).values[0], sum_of_3x3(padded))


def test_one_pass_writes_several_files_and_may_enlarge(tmp_path):
    source = tmp_path / "in.tif"
    raster.write(source, ramp(1), GRID, nodata=NAN, names=("x",))
    outputs = [
        raster.Output(tmp_path / "big.tif", "float32", NAN, ("x",)),
        raster.Output(tmp_path / "bad.tif", "uint8", 255, ("hole",), colormap={1: (9, 9, 9, 255)}),
    ]
    seen = []

    def enlarge(values):
        big = values.repeat(2, 1).repeat(2, 2)
        return big, np.isnan(big[0]).astype(np.uint8)

    def watch(steps, count):
        for step in steps:
            seen.append(count)
            yield step

    raster.map_windows(source, outputs, enlarge, size=50, halo=4, scale=2, progress=watch)
    big = raster.read(outputs[0].path)
    np.testing.assert_array_equal(big.values, ramp(1).repeat(2, 1).repeat(2, 2))
    assert big.grid == GRID.scaled(2)
    assert raster.read(outputs[1].path).values.sum() == 0
    assert seen == [4] * 4


def test_a_result_of_another_size_is_refused(tmp_path):
    source = tmp_path / "in.tif"
    raster.write(source, ramp(1), GRID, nodata=NAN, names=("x",))
    out = raster.Output(tmp_path / "out.tif", "float32", NAN, ("x",))
    with pytest.raises(CoverageError, match="must give one or the other"):
        raster.map_windows(source, out, lambda values: values[:, :5, :5], size=32, halo=1)
    assert not out.path.exists()


def test_a_disk_that_fills_up_while_windows_are_written_leaves_nothing(tmp_path, capfd):
    source = tmp_path / "in.tif"
    grid = raster.Grid(GRID.crs, GRID.transform, (800, 800))
    noise = np.random.default_rng(0).random((1, 800, 800))
    raster.write(source, noise, grid, nodata=None, names=("x",))
    out = raster.Output(tmp_path / "out.tif", "float64", None, ("x",))
    with files_no_larger_than(50_000), pytest.raises(RasterError, match=r"cannot write .*out\.tif"):
        raster.map_windows(source, out, lambda values: values, size=128)
    capfd.readouterr()  # GDAL says "File too large" by itself
    assert [entry.name for entry in tmp_path.iterdir()] == ["in.tif"]
