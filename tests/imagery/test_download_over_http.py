"""Downloads from a server that fails as the real one does, and that are killed at any instant."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import tenacity

from water_gee import session
from water_gee.emulator import Faults, RequestFaults, start
from water_gee.imagery import retries, upkeep
from water_gee.imagery.download import download_tiles
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore

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
