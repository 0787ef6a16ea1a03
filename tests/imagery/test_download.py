"""Tiles come home whole, whatever the service does; what cannot come says why in one line."""

from __future__ import annotations

import errno
import io
import itertools
import json
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ee
import fake_service
import numpy as np
import pytest
import tenacity
from fake_service import FakeService, RefusalError, npy
from made_up_tiles import CELLS, NAMES, SIDE, SMALL, get, west, whole

import water_gee
from water_gee import session
from water_gee.errors import (
    AoiError,
    DownloadError,
    EmptySeasonError,
    EmptyTileWarning,
    QuotaError,
    RasterError,
    RecipeMismatchError,
    SessionError,
    TileFailedError,
    WaterGeeWarning,
)
from water_gee.imagery import composite, download, evidence, request, retries
from water_gee.imagery.claims import orders
from water_gee.imagery.download import download_tiles
from water_gee.imagery.grid import Cell, Lattice, cell_from_id
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.request import request_tile
from water_gee.imagery.store import TileStore


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(retries, "WAIT", tenacity.wait_random(0, 0.01))
    monkeypatch.setattr(retries, "PROBE_SECONDS", 0.02)


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()


@pytest.fixture
def service():
    with fake_service.client_of(FakeService(pixels=whole)) as running:
        yield running


def log_of(tmp_path):
    return (tmp_path / "tiles" / "water_gee.log").read_text().splitlines()


# ------------------------------------------------------------------ what is asked, what is kept


def test_each_cell_is_asked_for_once_and_kept(service, tmp_path):
    store = get(tmp_path)
    assert len(store.cells()) == CELLS
    assert service.count("image:computePixels") == CELLS
    image, mask = store.read_image(store.cells()[0]), store.read_mask(store.cells()[0])
    assert image.shape == (8, SIDE, SIDE)
    np.testing.assert_array_equal(image[:, 10, 10], np.arange(1, 9, dtype=np.float32) * 0.1)
    assert np.isnan(image[:, -4:, -4:]).all()
    assert np.isfinite(image[:, :, 0]).all()
    assert (mask[:5, :5] == 1).all()
    assert (mask[-4:, -4:] == 255).all()
    assert (mask == 0).sum() == SIDE * SIDE - 25 - 16


def test_evidence_comes_with_the_tile_in_its_own_units(service, tmp_path):
    store = get(tmp_path)
    found = store.read_evidence(store.cells()[0])
    assert tuple(found) == composite.EVIDENCE
    expected = {"SWIR2": np.float32(0.05), "clear_count": 255, "sun_elevation": 31.5}
    for name, value in expected.items():
        assert (found[name][:-4, :-4] == value).all(), name
    # 255 clear observations are no hole; the mean of vectors that point north-west is 315 degrees.
    np.testing.assert_allclose(found["sun_azimuth"][:-4, :-4], 315, atol=1e-4)
    assert (found["water_count"][:5, :5] == 255).all()
    assert found["water_count"][5, 5] == 0
    for name, values in found.items():
        assert np.isnan(values[-4:, -4:]).all(), name
        assert values.dtype == np.float32


def test_gaps_of_the_evidence_alone_are_kept_and_bands_that_nobody_knows_left_out(service):
    def partly(body):
        pixels = np.load(io.BytesIO(whole(body)))
        pixels["SWIR2"][3, 3] = 255
        for name in evidence.SUN:
            pixels[name] = evidence.ABSENT
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        return buffer.getvalue()

    service.pixels = partly
    tile = request_tile(Cell(1104, -262, Lattice.of(SMALL)), SMALL)
    assert set(tile.evidence) == {"SWIR2", "water_count", "clear_count"}
    assert np.isnan(tile.evidence["SWIR2"][3, 3])
    assert np.isfinite(tile.features[:, 3, 3]).all()
    assert tile.mask[3, 3] == 1


def test_a_tile_too_large_for_one_answer_comes_in_strips(service, monkeypatch):
    cell = Cell(1104, -262, Lattice.of(SMALL))
    together = request_tile(cell, SMALL)
    count = service.count("image:computePixels")
    # Features and label alone would fit.
    monkeypatch.setattr(request, "MAX_REQUEST_BYTES", SIDE * SIDE * 33)
    apart = request_tile(cell, SMALL)
    asked = [body["grid"] for _, body in service.requests][count:]
    assert [grid["dimensions"]["height"] for grid in asked] == [22, 10]
    lattice, (_, top) = cell.lattice, cell.origin
    assert [grid["affineTransform"]["translateY"] for grid in asked] == [
        lattice.degrees(top),
        lattice.degrees(top - 22),
    ]
    assert apart.features.shape == together.features.shape
    np.testing.assert_array_equal(apart.features[:, :18], together.features[:, :18])


def test_the_request_names_the_tiles_own_pixels(service, tmp_path):
    store = get(tmp_path)
    asked = [body["grid"] for kind, body in service.requests if kind == "image:computePixels"]
    assert {
        (grid["affineTransform"]["translateX"], grid["affineTransform"]["translateY"])
        for grid in asked
    } == {(cell.affine.c, cell.affine.f) for cell in store.cells()}
    for grid in asked:
        assert grid["crsCode"] == "EPSG:4326"
        assert grid["dimensions"] == {"width": SIDE, "height": SIDE}
        transform = grid["affineTransform"]
        assert transform["scaleX"] == -transform["scaleY"] == 0.135 / 26
        assert transform["shearX"] == transform["shearY"] == 0


def test_the_default_tile_has_507_pixels_along_its_side(service):
    recipe = Recipe()
    tile = request_tile(Cell(1104, -262), recipe)
    assert tile.features.shape == (8, 507, 507)
    assert tile.mask.shape == (507, 507)
    grid = service.requests[-1][1]["grid"]
    assert grid["dimensions"] == {"width": 507, "height": 507}
    assert grid["affineTransform"]["scaleX"] == 0.135 / 501


def test_what_lies_beyond_180_degrees_is_not_asked_for_and_not_observed(service):
    lattice = Lattice.of(SMALL)
    cell = Cell(1333, 0, lattice)
    tile = request_tile(cell, SMALL)
    image, mask = tile.features, tile.mask
    grid = service.requests[-1][1]["grid"]
    # 180 degrees are 34,666.67 pixels: the pixel that 180 cuts is left out.
    assert grid["dimensions"] == {"width": 34_666 - 1333 * 26 + 3, "height": SIDE}
    assert (mask[:, grid["dimensions"]["width"] :] == 255).all()
    assert np.isnan(image[:, :, grid["dimensions"]["width"] :]).all()
    west_cell = Cell(-1334, 0, lattice)
    request_tile(west_cell, SMALL)
    assert west(service.requests[-1][1]) == lattice.degrees(-34_666)


def test_the_same_call_again_asks_for_nothing(service, tmp_path):
    get(tmp_path)
    before = len(service.requests)
    store = get(tmp_path)
    assert len(store.cells()) == CELLS
    assert len(service.requests) == before


def test_a_removed_tile_is_asked_for_again(service, tmp_path):
    store = get(tmp_path)
    gone = store.cells()[2]
    store.image_path(gone).unlink()
    before = service.count("image:computePixels")
    get(tmp_path)
    assert service.count("image:computePixels") == before + 1
    assert store.image_path(gone).exists()


def test_without_a_recipe_the_stores_own_is_used(service, tmp_path):
    get(tmp_path)
    assert get(tmp_path, recipe=None).recipe == SMALL


def test_years_may_be_given_beside_the_recipe(service, tmp_path):
    assert get(tmp_path, years=2019).recipe.years == (2019,)
    with pytest.raises(RecipeMismatchError, match="years"):
        get(tmp_path, recipe=None, years=[2018])


def test_another_recipe_is_refused_before_anything_is_asked(service, tmp_path):
    get(tmp_path)
    before = len(service.requests)
    with pytest.raises(RecipeMismatchError):
        get(tmp_path, recipe=SMALL.replace(dem=None))
    assert len(service.requests) == before


def test_the_public_name_is_this_function():
    assert water_gee.download_tiles is download_tiles


def test_an_empty_tile_is_kept_as_empty_and_told(service, tmp_path):
    def clouds(body):
        return npy(NAMES, (SIDE, SIDE), **dict.fromkeys(NAMES, 255))

    service.pixels = clouds
    with pytest.warns(EmptyTileWarning, match="not one pixel was observed in 6 tiles"):
        store = get(tmp_path)
    assert {row.state for row in store.rows()} == {"empty"}
    assert store.cells() == []
    assert np.isnan(store.read_image(store.cells(empty=True)[0])).all()


def test_the_log_lies_in_the_store_and_names_every_tile(service, tmp_path):
    store = get(tmp_path)
    told = {line["cell"]: line for line in map(json.loads, log_of(tmp_path)) if "cell" in line}
    assert set(told) == {cell.id for cell in store.cells()}
    assert all(line["water"] == 25 and line["attempts"] == 1 for line in told.values())
    assert logging.getLogger("water_gee").handlers == []


def test_a_log_that_cannot_be_written_is_one_warning_and_no_traceback(
    service, tmp_path, monkeypatch, capsys
):
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    def full(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ConcurrentRotatingFileHandler, "do_write", full)
    with pytest.warns(WaterGeeWarning, match=r"water_gee.log cannot be written .*No space") as told:
        assert len(get(tmp_path).cells()) == CELLS
    assert len(told) == 1
    assert capsys.readouterr().err == ""


def test_the_progress_bar_counts_tiles(service, tmp_path, capsys):
    get(tmp_path, progress=True)
    assert "6/6" in capsys.readouterr().err


# ------------------------------------------------------------------ what goes wrong, and passes


@pytest.mark.parametrize("code", [429, 500, 503])
def test_what_passes_is_asked_again_and_the_clients_own_retries_stay_out(service, tmp_path, code):
    failed = set()

    def once(body):
        if west(body) not in failed:
            failed.add(west(body))
            raise RefusalError(code, "try later")
        return whole(body)

    service.pixels = once
    assert len(get(tmp_path).cells()) == CELLS
    # 3 columns of cells failed once each: every request is one attempt of ours.
    assert service.count("image:computePixels") == CELLS + 3
    assert ee.data._get_state().max_retries == 5
    assert f"HTTP {code}" in (tmp_path / "tiles" / "water_gee.log").read_text()


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), TimeoutError("too slow")])
def test_resets_and_timeouts_pass_too(service, tmp_path, error):
    seen = []

    def once(body):
        seen.append(body)
        if len(seen) == 1:
            raise error
        return whole(body)

    service.pixels = once
    assert len(get(tmp_path, threads=1).cells()) == CELLS


# ------------------------------------------------------------------ what goes wrong, and stays


def test_a_tile_that_fails_does_not_take_the_others_with_it(service, tmp_path):
    bad = cell_from_id("E149.175_S35.370", SMALL)

    def refuse(body):
        transform = body["grid"]["affineTransform"]
        if (transform["translateX"], transform["translateY"]) == (bad.affine.c, bad.affine.f):
            raise RefusalError(400, "Image.select: no band 'B9'.")
        return whole(body)

    service.pixels = refuse
    with pytest.raises(TileFailedError, match=r"1 of 6 tiles failed.*no band 'B9'") as caught:
        get(tmp_path)
    assert list(caught.value.failures) == [bad.id]
    assert service.count("image:computePixels") == CELLS  # a 400 is not tried again
    service.pixels = whole
    assert len(get(tmp_path).cells()) == CELLS
    assert service.count("image:computePixels") == CELLS + 1


@pytest.mark.parametrize("code", [400, 404, 501])
def test_what_every_tile_would_hear_stops_the_run(service, tmp_path, monkeypatch, code):
    monkeypatch.setattr(download, "_ALIKE", 2)

    def refuse(body):
        time.sleep(0.1)
        raise RefusalError(code, "ImageCollection.load: 'COPERNICUS/DEM/GLO30' not found.")

    service.pixels = refuse
    with pytest.raises(DownloadError, match=r"refuses every tile: .*GLO30' not found") as caught:
        get(tmp_path, threads=1)
    assert service.count("image:computePixels") <= 4
    assert "name another `dem` in the recipe" in str(caught.value)


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_account_stops_at_once_with_the_remedy(service, tmp_path, code):
    def refuse(body):
        raise RefusalError(code, "no permission")

    service.value = refuse
    with pytest.raises(SessionError, match="earthengine authenticate"):
        get(tmp_path)
    assert len(service.requests) == 1


def test_a_quota_that_stays_used_up_stops_and_says_what_is_kept(service, tmp_path):
    counter = []

    def spent(body):
        counter.append(1)
        if len(counter) > 2:
            raise RefusalError(429, "Quota exceeded")
        return whole(body)

    service.pixels = spent
    with pytest.raises(QuotaError, match=r"Quota exceeded; 2 tiles are in .*goes on from there"):
        get(tmp_path, threads=1)


def test_a_server_that_stays_away_stops_the_run_in_one_line(service, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(retries, "PROBE_SECONDS", 0.05)
    counter = []

    def gone(body):
        counter.append(1)
        if len(counter) > 2:
            raise ConnectionRefusedError(111, "Connection refused")
        return whole(body)

    service.pixels = gone
    with pytest.raises(SessionError, match="no longer answers") as caught:
        get(tmp_path, threads=1)
    assert "\n" not in str(caught.value)
    assert len(TileStore.open(tmp_path / "tiles").rows()) == 2


def test_the_run_waits_for_a_service_that_is_gone_for_a_while(service, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "PROBE_SECONDS", 0.02)
    counter = itertools.count()

    def away(body):
        if 2 <= next(counter) < 2 + 3 * retries.ATTEMPTS:
            raise ConnectionRefusedError(111, "Connection refused")
        return whole(body)

    service.pixels = away
    assert len(get(tmp_path).cells()) == CELLS
    said = [json.loads(line)["message"] for line in log_of(tmp_path)]
    waits = sum("waiting up to 600 s for the service" in line for line in said)
    # Two, where an answer that was under way comes between.
    assert 1 <= waits <= 2
    assert sum("the service answers again" in line for line in said) == waits


def test_a_front_end_that_says_unavailable_for_a_while_is_waited_for(service, tmp_path):
    counter = itertools.count()

    def away(body):
        if 2 <= next(counter) < 2 + 3 * retries.ATTEMPTS:
            raise RefusalError(503, "The service is currently unavailable.")
        return whole(body)

    service.pixels = away
    assert len(get(tmp_path).cells()) == CELLS


def test_a_slow_service_is_not_taken_for_one_that_is_gone(service, tmp_path):
    late = set()

    def slow(body):
        place = str(body["grid"]["affineTransform"])
        if place not in late:
            late.add(place)
            raise TimeoutError("no answer within 10 s")
        return whole(body)

    service.pixels = slow
    store = get(tmp_path)
    assert {row.attempts for row in store.rows()} == {2}
    assert "waiting up to" not in "".join(log_of(tmp_path))


def test_cells_that_failed_before_do_not_keep_the_others_away(service, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_ALIKE", 2)

    def refuse(body):
        if west(body) < 149.1:
            raise RefusalError(400, "no band")
        time.sleep(0.2)
        return whole(body)

    service.pixels = refuse
    store = None
    for _ in range(2):
        with pytest.raises((TileFailedError, DownloadError)):
            get(tmp_path, threads=4)
    store = TileStore.open(tmp_path / "tiles")
    assert len(store.rows()) == CELLS - 2


def test_an_answer_cut_short_is_asked_for_again(service, tmp_path):
    cut = []

    def short(body):
        if len(cut) < 2:
            cut.append(body)
            return whole(body)[:-100]
        return whole(body)

    service.pixels = short
    assert len(get(tmp_path).cells()) == CELLS
    assert service.count("image:computePixels") == CELLS + 2


def test_a_clock_that_jumps_changes_nothing(service, tmp_path, monkeypatch):
    real, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() - 86_400 * next(calls))
    assert len(get(tmp_path, progress=True).cells()) == CELLS


# ------------------------------------------------------------------ too much for one request


def by_place(body):
    """Pixels that tell where they lie, so that a stitch in the wrong place shows."""
    size, affine = body["grid"]["dimensions"], body["grid"]["affineTransform"]
    shape = (size["height"], size["width"])
    east = affine["translateX"] + (np.arange(shape[1]) + 0.5) * affine["scaleX"]
    north = affine["translateY"] + (np.arange(shape[0]) + 0.5) * affine["scaleY"]
    bands = {name: np.broadcast_to(east, shape) for name in SMALL.features}
    bands["Green"] = np.broadcast_to(north[:, np.newaxis], shape)
    return npy(NAMES, shape, **bands)


@pytest.mark.parametrize(
    "refusal",
    [
        (400, "User memory limit exceeded."),
        (400, "Computation timed out."),
        (400, "Total request size (66000000 bytes) must be less than or equal to 50331648 bytes."),
    ],
)
def test_what_is_too_much_for_one_request_comes_in_quarters(service, tmp_path, refusal):
    recipe = SMALL.replace(pixels=101, cell=0.045)
    service.pixels = by_place
    together = get(tmp_path / "whole", recipe=recipe)
    cells = together.cells()
    before = service.count("image:computePixels")

    def small(body):
        if body["grid"]["dimensions"]["width"] > 60:
            raise RefusalError(*refusal)
        return by_place(body)

    service.pixels = small
    apart = get(tmp_path / "parts", recipe=recipe, threads=1)
    for cell in cells:
        # Of these pixels each tells its centre, which two corners do not give alike.
        np.testing.assert_allclose(
            apart.read_image(cell), together.read_image(cell), rtol=0, atol=2e-5
        )
    # The first tiles are refused whole; the others are asked for in quarters at once.
    assert len(cells) > 30
    assert service.count("image:computePixels") - before - 4 * len(cells) <= 12
    assert {row.attempts for row in apart.rows()} == {4, 5}


def test_a_tile_that_is_always_too_much_does_not_cut_the_others(service, tmp_path):
    recipe = SMALL.replace(pixels=101)

    def one(body):
        if west(body) < 149.1:
            raise RefusalError(400, "User memory limit exceeded.")
        return by_place(body)

    service.pixels = one
    with pytest.raises(TileFailedError, match="2 of 6 tiles failed"):
        get(tmp_path, recipe=recipe, threads=2)
    with TileStore.open(tmp_path / "tiles") as store:
        assert {row.attempts for row in store.rows()} == {1}


def test_quarters_that_are_too_much_are_quartered_until_they_are_small(service, tmp_path):
    def never(body):
        raise RefusalError(400, "User memory limit exceeded.")

    service.pixels = never
    with pytest.raises(DownloadError, match="User memory limit exceeded"):
        get(tmp_path, recipe=SMALL.replace(pixels=101), threads=1)
    sides = {body["grid"]["dimensions"]["width"] for _, body in service.requests if "grid" in body}
    assert min(sides) >= request.LEAST_SIDE


# ------------------------------------------------------------------ several at one store


def test_two_downloads_into_one_store_share_the_work(service, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CLAIMED", 1)
    monkeypatch.setattr(download, "_BESIDE", 1)

    def slow(body):
        time.sleep(0.3)
        return whole(body)

    service.pixels = slow
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(get, tmp_path, threads=1) for _ in range(2)]
        stores = [run.result() for run in runs]
    assert [len(store.cells()) for store in stores] == [CELLS, CELLS]
    assert service.count("image:computePixels") == CELLS
    fetched = [order.fetched for order in orders(stores[0].manifest)]
    assert sum(fetched) == CELLS
    assert min(fetched) > 0
    assert ee.data._get_state().max_retries == 5


def test_two_downloads_that_fail_do_not_wait_for_each_other(service, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CLAIMED", 3)

    def refuse(body):
        time.sleep(0.1)
        raise RefusalError(400, f"no band at {west(body)}")

    service.pixels = refuse
    with ThreadPoolExecutor(2) as both:
        runs = [both.submit(get, tmp_path, threads=2) for _ in range(2)]
        for run in runs:
            assert isinstance(run.exception(timeout=60), TileFailedError)


def test_an_answer_that_is_no_tile_fails_that_tile(service, tmp_path):
    answers = iter([b"<html>", npy(("water",), (SIDE, SIDE)), npy(NAMES, (3, 3))])
    service.pixels = lambda body: next(answers, None) or whole(body)
    with pytest.raises(TileFailedError) as caught:
        get(tmp_path, threads=1)
    said = " ".join(caught.value.failures.values())
    assert "is no NPY array, it begins b'<html>'" in said
    assert "asked for bands" in said
    assert len(caught.value.failures) == 3


def test_a_full_disk_stops_the_run_in_one_line(service, tmp_path, monkeypatch):
    from water_gee import files

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(RasterError, match="the disk is full; free some space and run the same"):
        get(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(retries, "WAIT", tenacity.wait_none())
    assert len(get(tmp_path).cells()) == CELLS


def test_a_season_without_images_says_what_was_looked_for_and_how_to_widen(service, tmp_path):
    counts = iter([0, 1])
    service.value = lambda body: next(counts)
    with pytest.raises(EmptySeasonError) as caught:
        get(tmp_path)
    line = str(caught.value)
    for part in ("landsat8", "months 6, 7, 8", "2023", "W 149.050", "more `months`"):
        assert part in line
    assert "\n" not in line
    assert service.count("image:computePixels") == 0


def test_an_area_outside_all_images_is_told_apart(service, tmp_path):
    service.value = lambda body: 0
    with pytest.raises(EmptySeasonError, match="lies outside all images"):
        get(tmp_path)


def test_the_question_for_images_carries_the_area_on_flat_ground(service, tmp_path):
    get(tmp_path)
    body = next(body for kind, body in service.requests if kind == "value:compute")
    assert "GeometryConstructors.MultiPolygon" in str(body)
    assert "'geodesic': {'constantValue': False}" in str(body)


@pytest.mark.parametrize("threads", [0, 41, "4", 2.5])
def test_more_threads_than_the_service_allows_are_refused(service, tmp_path, threads):
    with pytest.raises(DownloadError, match="from 1 to 40"):
        get(tmp_path, threads=threads)


def test_a_tile_larger_than_an_answer_may_be_is_refused(service, tmp_path):
    with pytest.raises(DownloadError, match="fewer `pixels`"):
        get(tmp_path, recipe=Recipe(pixels=4000))


def test_what_is_no_area_is_refused_before_anything_is_written(service, tmp_path):
    with pytest.raises(AoiError):
        download_tiles((1, 2, 3), tmp_path / "tiles")
    assert not (tmp_path / "tiles").exists()


# ------------------------------------------------------------------ Ctrl-C


def test_ctrl_c_finishes_the_tiles_in_hand_and_says_how_to_go_on(service, tmp_path):
    started = threading.Barrier(3, timeout=10)
    main = threading.main_thread().ident

    def slow(body):
        if service.count("image:computePixels") <= 2:
            started.wait()
            time.sleep(0.5)
        return whole(body)

    def press():
        started.wait()
        signal.pthread_kill(main, signal.SIGINT)

    service.pixels = slow
    with ThreadPoolExecutor(1) as helper:
        helper.submit(press)
        with pytest.raises(KeyboardInterrupt, match=r"2 tiles are in .*tiles, the same call"):
            get(tmp_path, threads=2)
    assert len(TileStore.open(tmp_path / "tiles").rows()) == 2
    service.pixels = whole
    assert len(get(tmp_path).cells()) == CELLS
