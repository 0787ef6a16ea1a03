"""A function over a raster of any size: threads, parts that survive a kill, bounded memory."""

from __future__ import annotations

import fcntl
import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from water_gee import pipeline, raster
from water_gee.errors import DownloadError, RasterError, WriteFailedError
from water_gee.pipeline import FileReader, map_windows, parts_folder

NAN = float("nan")
AFFINE = Affine(30, 0, 691000, 0, -30, 6094000)


def grid(rows, cols):
    return raster.Grid("EPSG:32655", AFFINE, (rows, cols))


def field(rows, cols, bands=2, seed=0):
    values = np.random.default_rng(seed).normal(0, 1, (bands, rows, cols)).astype(np.float32)
    values[:, rows // 3, cols // 2] = np.nan
    return values


def write(path, values, nodata=NAN):
    names = [f"b{i}" for i in range(len(values))]
    raster.write(path, values, grid(*values.shape[1:]), nodata=nodata, names=names)
    return path


def output(path, dtype="float32", nodata=NAN):
    return raster.Output(path, dtype, nodata, ("x",))


def window_sum(halo):
    """Sums of (2 halo + 1)-windows of the first band in one order, so equal bit by bit."""

    def function(values):
        band = values[0]
        rows, cols = (n - 2 * halo for n in band.shape)
        total = np.zeros((rows, cols), np.float32)
        for r in range(2 * halo + 1):
            for c in range(2 * halo + 1):
                total += band[r : r + rows, c : c + cols]
        return total

    return function


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Memory:
    """A reader of an array that remembers what was read."""

    def __init__(self, values, threads=1):
        self.values, self.threads, self.seen = values, threads, []
        self.header = raster.Header(grid(*values.shape[1:]), ("a", "b"), NAN, {}, "float32")

    def read(self, window):
        self.seen.append((window.row, window.col))
        return self.values[:, *window.slices].copy()


# ------------------------------------------------------------------ no seams


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 90)),
    size=st.integers(3, 64),
    halo=st.integers(0, 5),
    panel=st.integers(1, 4),
    inset=st.integers(0, 3),
)
def test_windowed_equals_whole_bit_by_bit(tmp_path_factory, shape, size, halo, panel, inset):
    """Rasters smaller than a window, halos beyond the raster, panels, parts of a raster."""
    folder = tmp_path_factory.mktemp("seams")
    values = field(*shape)
    rows, cols = (max(n - 2 * inset, 1) for n in shape)
    row, col = min(inset, shape[0] - 1), min(inset, shape[1] - 1)
    within = raster.Window(row, col, min(rows, shape[0] - row), min(cols, shape[1] - col))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "PANEL", panel)
        out = output(folder / "out.tif")
        map_windows(Memory(values), out, window_sum(halo), size=size, halo=halo, within=within)
    around = np.pad(values, ((0, 0), (halo, halo), (halo, halo)), constant_values=np.nan)
    expected = window_sum(halo)(around)[within.slices]
    np.testing.assert_array_equal(raster.read(out.path).values[0], expected)
    assert names(folder) == ["out.tif"]


def test_several_readers_at_once_change_nothing(tmp_path):
    values = field(90, 70)
    for threads in (1, 4):
        out = output(tmp_path / f"{threads}.tif")
        map_windows(Memory(values, threads), out, window_sum(2), size=16, halo=2)
    assert (tmp_path / "1.tif").read_bytes() == (tmp_path / "4.tif").read_bytes()


def test_a_raster_without_place_or_crs_stays_without(tmp_path):
    reader = Memory(field(20, 20))
    nowhere = raster.Grid("", Affine.identity(), (20, 20))
    reader.header = raster.Header(nowhere, ("a", "b"), NAN, {}, "float32")
    out = output(tmp_path / "out.tif")
    map_windows(reader, out, window_sum(0), size=8)
    assert raster.read(out.path).grid.crs == ""


def test_tags_with_marks_of_xml_and_colours_arrive(tmp_path):
    colours = {0: (1, 2, 3, 255), 1: (40, 50, 60, 255)}
    tags = {"about": 'a < b & "c"'}
    out = raster.Output(tmp_path / "out.tif", "uint8", 255, ("a & b",), tags, colours, "mode")
    map_windows(Memory(field(9, 9)), out, lambda v: (v[0] > 0).astype(np.uint8), size=4)
    with rasterio.open(out.path) as made:
        assert made.tags()["about"] == tags["about"]
        assert made.descriptions == ("a & b",)
        assert [made.colormap(1)[i] for i in (0, 1)] == [colours[0], colours[1]]
        assert made.nodata == 255
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_every_type_of_pixels_passes(tmp_path, kind):
    out = raster.Output(tmp_path / "out.tif", kind, None, ("x",))
    map_windows(Memory(np.nan_to_num(field(30, 30))), out, lambda v: v[0].astype(kind), size=16)
    expected = np.nan_to_num(field(30, 30))[0].astype(kind)
    np.testing.assert_array_equal(raster.read(out.path).values[0], expected)


# ------------------------------------------------------------------ threads


def test_reading_stays_a_few_windows_ahead(tmp_path):
    """So that memory does not grow with the raster."""
    reader = Memory(field(64, 64))
    done, most = [], []

    def function(values):
        done.append(1)
        most.append(len(reader.seen) - len(done))
        return values[0]

    map_windows(reader, output(tmp_path / "out.tif"), function, size=8)
    assert len(done) == 64
    assert max(most) <= pipeline.AHEAD + 1


def test_the_function_runs_in_the_callers_thread(tmp_path):
    threads = set()

    def function(values):
        threads.add(threading.current_thread())
        return values[0]

    map_windows(Memory(field(20, 20)), output(tmp_path / "out.tif"), function, size=8)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("key", [None, "k"])
def test_an_error_of_the_reader_is_raised_and_nothing_left(tmp_path, key):
    reader = Memory(field(40, 40))
    plain = reader.read

    def read(window):
        if window.row >= 16:
            raise RasterError("cannot read scene.tif: torn")
        return plain(window)

    reader.read = read
    with pytest.raises(RasterError, match=r"cannot read scene\.tif: torn"):
        map_windows(reader, output(tmp_path / "o.tif"), lambda v: v[0], size=8, key=key)
    assert names(tmp_path) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("water_gee-")]


def test_an_error_of_the_function_is_raised_and_nothing_left(tmp_path):
    def function(values):
        raise ZeroDivisionError("in the network")

    with pytest.raises(ZeroDivisionError):
        map_windows(Memory(field(40, 40)), output(tmp_path / "o.tif"), function, size=8, key="k")
    assert names(tmp_path) == []


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(tmp_path, monkeypatch):
    plain, calls = pipeline.publish, []

    def full(temporary, target):
        calls.append(target)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        plain(temporary, target)

    monkeypatch.setattr(pipeline, "publish", full)
    out = output(tmp_path / "o.tif")

    def run():
        made = []
        map_windows(Memory(field(40, 16)), out, lambda v: made.append(1) or v[0], size=8, key="k")
        return len(made)

    with pytest.raises(
        WriteFailedError, match=r"cannot write .*o\.tif: the disk is full"
    ) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == [".o.tif.parts"]
    assert run() == 3 * 2  # of five strips of two windows two were finished
    assert names(tmp_path) == ["o.tif"]


def test_a_window_that_could_not_be_written_is_missing_in_no_part(tmp_path, monkeypatch):
    """The disk is full for a moment, under the third of four windows of the first part."""
    plain, calls = pipeline.core_of, []

    def full(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise WriteFailedError("the disk is full")
        return plain(*arguments)

    def slow(values):
        made.append(1)
        if len(made) == 8:
            time.sleep(1)  # the writer has the windows before it, and comes to the second part
        return values[0]

    made = []
    monkeypatch.setattr(pipeline, "core_of", full)
    monkeypatch.setattr(pipeline, "AHEAD", 20)
    values, out = field(40, 32), output(tmp_path / "o.tif")
    with pytest.raises(WriteFailedError):
        map_windows(Memory(values), out, slow, size=8, key="k")
    map_windows(Memory(values), out, slow, size=8, key="k")
    np.testing.assert_array_equal(raster.read(tmp_path / "o.tif").values[0], values[0])


def test_any_error_of_the_disk_is_one_line_and_keeps_what_is_finished(tmp_path, monkeypatch):
    """A quota says the same in other words, or in none."""

    def refused(temporary, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(pipeline, "publish", refused)
    with pytest.raises(WriteFailedError, match=r"cannot write .*o\.tif: .*Input/output error") as e:
        map_windows(
            Memory(field(40, 40)), output(tmp_path / "o.tif"), lambda v: v[0], size=8, key="k"
        )
    assert "\n" not in str(e.value)
    assert names(tmp_path) == [".o.tif.parts"]
    assert names(tmp_path / ".o.tif.parts") == ["job", "lock"]


def test_a_file_broken_in_its_middle_is_named_and_nothing_left(tmp_path, capfd):
    values = np.random.default_rng(0).random((2, 700, 700)).astype(np.float32)
    path = write(tmp_path / "scene.tif", values)
    torn = bytearray(path.read_bytes())
    middle = len(torn) // 2
    torn[middle : middle + 4000] = b"\0" * 4000
    path.write_bytes(torn)
    with pytest.raises(RasterError, match=r"cannot read .*scene\.tif") as caught:
        map_windows(path, output(tmp_path / "out.tif"), lambda v: v[0], size=128, key="k")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == ["scene.tif"]
    assert capfd.readouterr().err == ""


def test_gdal_keeps_few_blocks_and_its_setting_is_given_back(tmp_path):
    path = write(tmp_path / "scene.tif", field(300, 300))
    before = rasterio.env.get_gdal_config("GDAL_CACHEMAX")
    with FileReader(path):
        inside = rasterio.env.get_gdal_config("GDAL_CACHEMAX")
    assert inside == pipeline.CACHE_BYTES[0]
    assert rasterio.env.get_gdal_config("GDAL_CACHEMAX") == before


# ------------------------------------------------------------------ going on


class Stopped:
    """A function that is interrupted after some windows, and counts."""

    def __init__(self, after, error=KeyboardInterrupt):
        self.after, self.error, self.calls = after, error, 0

    def __call__(self, values):
        self.calls += 1
        if self.calls > self.after:
            raise self.error("stop")
        return values[0] * 2


def stopped(tmp_path, after, key="k", error=KeyboardInterrupt, values=None):
    function = Stopped(after, error)
    reader = Memory(field(40, 24) if values is None else values)
    out = output(tmp_path / "out.tif")
    if after < 15:
        with pytest.raises(error):
            map_windows(reader, out, function, size=8, key=key)
    else:
        map_windows(reader, out, function, size=8, key=key)
    return function.calls


@pytest.mark.parametrize("error", [KeyboardInterrupt, DownloadError])
def test_what_was_finished_is_not_made_again_and_the_file_is_the_same(tmp_path, error):
    """5 strips of 3 windows; stopped in the fourth, after three were written."""
    assert stopped(tmp_path, 11, error=error) == 12
    assert names(tmp_path) == [".out.tif.parts"]
    kept = [name for name in names(parts_folder(tmp_path / "out.tif")) if name.endswith(".tif")]
    assert 2 <= len(kept) <= 3  # the third is finished when the fourth begins
    assert stopped(tmp_path, 99) == 15 - 3 * len(kept)
    assert names(tmp_path) == ["out.tif"]
    (tmp_path / "whole").mkdir()
    stopped(tmp_path / "whole", 99)
    assert (tmp_path / "whole" / "out.tif").read_bytes() == (tmp_path / "out.tif").read_bytes()


def test_another_key_starts_anew(tmp_path):
    stopped(tmp_path, 11)
    assert stopped(tmp_path, 99, key="another") == 15


def test_another_raster_starts_anew(tmp_path):
    stopped(tmp_path, 11)
    assert stopped(tmp_path, 99, values=field(48, 24)) == 18


def test_without_a_key_nothing_is_kept(tmp_path):
    stopped(tmp_path, 11, key=None)
    assert names(tmp_path) == []


def test_half_a_part_of_a_killed_process_is_thrown_away(tmp_path):
    stopped(tmp_path, 11)
    folder = parts_folder(tmp_path / "out.tif")
    half = folder / ".0000024_0000000_0.tif.99999-00000000.tmp"
    half.write_bytes(b"half")
    assert stopped(tmp_path, 99) <= 9
    assert names(tmp_path) == ["out.tif"]


def test_two_processes_do_not_write_one_output(tmp_path):
    folder = parts_folder(tmp_path / "out.tif")
    folder.mkdir()
    with (folder / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(RasterError, match=r"out\.tif is being written by another process"):
            map_windows(Memory(field(9, 9)), output(tmp_path / "out.tif"), lambda v: v[0], key="k")
    assert folder.is_dir()


def test_an_output_that_is_a_folder_is_refused(tmp_path):
    with pytest.raises(RasterError, match="is a folder; name the file"):
        map_windows(Memory(field(9, 9)), output(tmp_path), lambda v: v[0], key="k")
    assert names(tmp_path) == []


def test_a_job_travels_as_plain_facts():
    job = pipeline.plan(Memory(field(40, 24)).header, output(Path("out.tif")), "k", 8)
    again = pickle.loads(pickle.dumps(job))
    assert repr(again) == repr(job)
    assert len(again.parts) == 5
    assert again.folder.is_absolute()  # a worker has another working folder
