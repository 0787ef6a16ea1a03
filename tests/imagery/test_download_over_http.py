"""Downloads from a server that fails as the real one does, and that are killed at any instant."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tenacity
from affine import Affine

from water_gee import session
from water_gee.emulator import Faults, RequestFaults, start
from water_gee.imagery import composite, evidence, retries, upkeep
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.download import download_tiles
from water_gee.imagery.grid import cells_for
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.request import Cut, request_pixels, request_tile
from water_gee.imagery.store import TileStore
from water_gee.raster import Grid

SMALL = Recipe(cell=0.0135, pixels=26, margin=3, years=(2020,), months=(6, 7, 8), dem=None)


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()


def square(season, cells):
    """A box of so many small cells a side; the first one that is asked for lies on the scenes."""
    west, _, _, north = season.bounds
    side = cells * 0.0135
    return west + 0.001, north - side + 0.001, west + side - 0.001, north - 0.001


def whole(folder):
    """The ids in a store, after every file was compared with what was written."""
    with TileStore.open(folder) as store:
        found = upkeep.verify(store)
        assert (found.broken, found.unknown) == ([], 0)
        assert not list(folder.glob("*/.*.tmp*"))
        return [row.cell for row in store.rows()]


def test_every_tile_comes_through_every_fault(tiny_catalog, tiny_season, tmp_path, monkeypatch):
    monkeypatch.setattr(retries, "WAIT", tenacity.wait_random(0, 0.05))
    monkeypatch.setattr(retries, "LEAST_SECONDS", 1.0)
    monkeypatch.setattr(retries, "FIRST_SECONDS", 10.0)
    bad = RequestFaults(
        0.01, too_many=0.05, server_error=0.05, truncate=0.05, hang=0.01, reset=0.03
    )
    faults = Faults(seed=3, requests=bad, slots=40, canned=True)
    area = square(tiny_season, 14)
    with start(tiny_catalog, faults=faults) as emulator:
        with session.connect(url=emulator.url):
            store = download_tiles(area, tmp_path / "tiles", SMALL, progress=False)
        counts = emulator.requests
    number = len(store.rows())
    assert number >= 14 * 14
    assert {"429", "5xx", "truncate", "hang", "reset"} <= set(counts.faults)
    assert counts.peak <= 40
    # What is tried again is what failed, and nothing else.
    failed = sum(counts.faults.values())
    assert counts.total <= number + failed + 2
    store.close()
    assert len(whole(tmp_path / "tiles")) == number


def kill_and_resume(catalog, season, folder, cells, kills, seed):
    """Kill downloads at random moments, then let one end; returns tiles, kills and requests."""
    rng = random.Random(seed)
    faults = Faults(requests=RequestFaults(latency=0.3), slots=40, canned=True)
    with start(catalog, faults=faults) as emulator:
        script = f"""
            import sys
            from water_gee import session
            from water_gee.imagery.download import download_tiles
            from water_gee.imagery.recipe import Recipe
            session.connect(url={emulator.url!r})
            recipe = Recipe.from_dict({SMALL.to_dict()!r})
            print("began", flush=True)
            download_tiles({square(season, cells)!r}, {str(folder)!r}, recipe, progress=False)
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        done = 0
        for _ in range(kills):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "began\n"
                time.sleep(rng.uniform(0.0, 1.5))
                if child.poll() is None:
                    os.kill(child.pid, signal.SIGKILL)
                    done += 1
        subprocess.run(command, check=True)
        return done, emulator.requests.total


@pytest.mark.parametrize(("kills", "side"), [(3, 12), pytest.param(50, 60, marks=pytest.mark.slow)])
def test_kills_lose_no_tile_and_fetch_few_again(tiny_catalog, tiny_season, tmp_path, kills, side):
    """At most what was under way is fetched again, and nothing is half there."""
    done, requests = kill_and_resume(tiny_catalog, tiny_season, tmp_path / "t", side, kills, 1)
    cells = whole(tmp_path / "t")
    assert done >= kills // 2
    assert len(cells) == len(set(cells)) >= side * side
    seasons_asked = kills + 1
    assert requests - seasons_asked - len(cells) <= 40 * done


def test_the_tiles_are_the_composite_in_one_piece_margins_included(
    tiny_catalog, tiny_season, tmp_path
):
    """Bit by bit, over every feature, the label and what it is judged by."""
    side = 4
    with start(tiny_catalog) as emulator, session.connect(url=emulator.url):
        store = download_tiles(square(tiny_season, side), tmp_path / "t", SMALL, progress=False)
        cells = store.cells()
        lattice = cells[0].lattice
        left = min(cell.origin[0] for cell in cells)
        top = max(cell.origin[1] for cell in cells)
        size = side * lattice.pixels + 2 * lattice.margin
        step = lattice.degrees(1)
        corner = Affine(step, 0, lattice.degrees(left), 0, -step, lattice.degrees(top))
        names = (*SMALL.features, composite.WATER, *evidence.CARRIED)
        image = composite.request_image(SMALL, evidence=True)
        whole = request_pixels(image, names, Grid("EPSG:4326", corner, (size, size)))
    assert len(cells) == side * side
    for cell in cells:
        row, col = top - cell.origin[1], cell.origin[0] - left
        part = whole[row : row + cell.shape[0], col : col + cell.shape[1]]
        seen = part[composite.WATER] != 255
        features = np.stack([np.where(seen, part[name], np.nan) for name in SMALL.features])
        np.testing.assert_array_equal(store.read_image(cell), features)
        np.testing.assert_array_equal(store.read_mask(cell), part[composite.WATER])
        expected = evidence.unpack(part, seen, composite.FILL)
        found = store.read_evidence(cell)
        assert set(found) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
    assert sum(int((store.read_mask(cell) != 255).sum()) for cell in cells) > 10_000
    store.close()


def test_quarters_are_the_whole_bit_by_bit(tiny_catalog, tiny_season):
    with start(tiny_catalog) as emulator, session.connect(url=emulator.url):
        cell = next(iter(cells_for(read_aoi(square(tiny_season, 1)), SMALL)))
        together = request_tile(cell, SMALL)
        apart = request_tile(cell, SMALL, cut=Cut(depth=1))
    assert (together.attempts, apart.attempts) == (1, 4)
    assert (together.mask != 255).any()
    np.testing.assert_array_equal(apart.features, together.features)
    np.testing.assert_array_equal(apart.mask, together.mask)
    for name, values in together.evidence.items():
        np.testing.assert_array_equal(apart.evidence[name], values)
