"""A store says how far it is and whether it is sound, and is mended with what it lacks."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import textwrap

import fake_service
import geopandas as gpd
import pytest
import shapely
from fake_service import FakeService, RefusalError
from made_up_tiles import AREA, CELLS, SMALL, get, whole
from PIL import Image

from water_gee import session
from water_gee.cli.app import main
from water_gee.errors import NetworkMountWarning, RasterError, StoreError, TileFailedError
from water_gee.imagery import upkeep
from water_gee.imagery.claims import Presence, orders
from water_gee.imagery.gridmap import write_grid
from water_gee.imagery.store import TileStore

BOX = shapely.to_wkb(shapely.box(*AREA))


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()


@pytest.fixture
def service():
    with fake_service.client_of(FakeService(pixels=whole)) as running:
        yield running


@pytest.fixture
def store(service, tmp_path):
    with get(tmp_path) as opened:
        yield opened


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# ------------------------------------------------------------------ status


def test_status_counts_tiles_and_says_what_the_last_download_was(store):
    found = upkeep.status(store)
    assert (found.done, found.empty, found.failed) == (CELLS, 0, 0)
    size = sum(path.stat().st_size for path in store.path.glob("*/*.tif"))
    assert found.bytes == size
    (order,) = found.orders
    assert (order.cells, order.there, order.fetched, order.running) == (CELLS, 0, CELLS, False)
    assert order.ended is not None
    assert found.per_second is None


def test_status_of_a_running_download_says_its_rate_and_the_time_left(store, tmp_path):
    with Presence(store.manifest, BOX, 3 * CELLS) as presence:
        presence.claim([cell.id for cell in store.cells()])
        presence.begin()
        moment = datetime.datetime.now(datetime.UTC)
        began = (moment - datetime.timedelta(seconds=100)).isoformat(timespec="seconds")
        store.manifest.commit([("UPDATE orders SET began = ?", (began,))])
        with TileStore.open(tmp_path / "tiles") as looking:
            found = upkeep.status(looking, moment)
        assert found.orders[0].running
        assert found.per_second == pytest.approx(CELLS / 100, rel=0.02)
        assert found.seconds_left == pytest.approx(2 * CELLS / found.per_second)
    assert not upkeep.status(store).orders[0].running


def test_tiles_that_failed_are_counted_until_they_come(service, tmp_path):
    def refuse(body):
        if service.count("image:computePixels") == 2:
            raise RefusalError(400, "Image.select: no band 'B9'.")
        return whole(body)

    service.pixels = refuse
    with pytest.raises(TileFailedError):
        get(tmp_path, threads=1)
    with TileStore.open(tmp_path / "tiles") as there:
        (failure,) = there.manifest.failures()
        assert (failure.times, failure.error) == (1, "Image.select: no band 'B9'.")
        assert upkeep.status(there).failed == 1
    service.pixels = whole
    assert upkeep.status(get(tmp_path)).failed == 0


# ------------------------------------------------------------------ verify, repair


def test_a_sound_store_is_found_sound(store):
    found = upkeep.verify(store)
    assert (found.tiles, found.unknown, found.broken) == (CELLS, 0, [])


@pytest.mark.parametrize("folder", ["images", "masks", "evidence"])
def test_a_file_that_is_gone_or_changed_by_one_bit_is_found(store, folder):
    first, second = (row.cell for row in store.rows()[:2])
    flip(store.file(folder, first))
    store.file(folder, second).unlink()
    found = {(each.cell, each.folder, each.fault) for each in upkeep.verify(store).broken}
    assert found == {(first, folder, "changed"), (second, folder, "missing")}


def test_tiles_of_older_versions_are_read_where_there_is_nothing_to_compare(store):
    columns = "images = NULL, masks = NULL, evidence = NULL"
    store.manifest.commit([(f"UPDATE tiles SET {columns}", ())])
    first = store.rows()[0].cell
    store.file("images", first).write_bytes(b"II*")
    found = upkeep.verify(store)
    assert found.unknown == CELLS
    assert [(each.cell, each.fault) for each in found.broken] == [(first, "unreadable")]


def test_repair_fetches_what_is_broken_missing_or_failed_and_nothing_else(service, store, tmp_path):
    first, second, third = (row.cell for row in store.rows()[:3])
    flip(store.file("images", first))
    store.file("evidence", second).unlink()
    store.manifest.forget([third])
    before = service.count("image:computePixels")
    assert upkeep.repair(store, progress=False) == 3
    assert service.count("image:computePixels") == before + 3
    assert upkeep.verify(store).broken == []
    assert len(store.cells()) == CELLS
    assert upkeep.repair(store, progress=False) == 0
    assert service.count("image:computePixels") == before + 3


def test_repair_goes_on_with_a_download_that_was_killed(service, tmp_path):
    cells = [cell.id for cell in get(tmp_path / "whole").cells()]
    with TileStore.open(tmp_path / "tiles", SMALL, create=True) as store:
        with Presence(store.manifest, BOX, CELLS) as killed:
            killed.begin()
        assert upkeep.repair(store, progress=False) == CELLS
        assert [cell.id for cell in store.cells()] == cells


# ------------------------------------------------------------------ several processes


def test_a_cell_is_one_downloads_until_it_is_over(store, tmp_path):
    with (
        TileStore.open(tmp_path / "tiles") as other,
        Presence(store.manifest, BOX, 2) as first,
        Presence(other.manifest, BOX, 2) as second,
    ):
        first.begin()
        second.begin()
        assert first.claim(["A", "B"]).mine == ["A", "B"]
        found = second.claim(["A", "C"])
        assert (found.mine, found.others) == (["C"], ["A"])
        assert [order.running for order in orders(store.manifest)] == [True, True, False]
        with first:
            pass
        assert second.claim(["A"]).mine == ["A"]


def test_what_a_killed_process_had_claimed_is_anybodys(store, tmp_path):
    script = f"""
        import sys, time
        from water_gee.imagery.claims import Presence
        from water_gee.imagery.store import TileStore
        store = TileStore.open({str(tmp_path / "tiles")!r})
        presence = Presence(store.manifest, b"", 1)
        presence.claim(["A"])
        presence.begin()
        print("claimed", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with Presence(store.manifest, BOX, 1) as presence:
        presence.begin()
        assert presence.claim(["A"]).others == ["A"]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert presence.claim(["A"]).mine == ["A"]
        assert [order.running for order in orders(store.manifest)] == [True, False, False]


def test_a_network_mount_is_told_and_gets_another_journal(tmp_path, monkeypatch):
    from water_gee import files

    mounts = tmp_path / "mounts"
    place = str(tmp_path / "net work").replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/export {place} nfs4 rw 0 0\n")
    monkeypatch.setattr(files, "_MOUNTS", mounts)
    with (
        pytest.warns(NetworkMountWarning, match=r"network mount \(nfs4\).*rollback journal"),
        TileStore.open(tmp_path / "net work" / "tiles", SMALL, create=True) as store,
    ):
        assert store.manifest.ask("PRAGMA journal_mode") == [("truncate",)]
    with TileStore.open(tmp_path / "local", SMALL, create=True) as store:
        assert store.manifest.ask("PRAGMA journal_mode") == [("wal",)]


# ------------------------------------------------------------------ the map of the grid


def test_the_grid_is_drawn_by_what_became_of_each_cell(service, store, tmp_path):
    service.pixels = lambda body: (_ for _ in ()).throw(RefusalError(400, "no band"))
    failed, missing = (row.cell for row in store.rows()[:2])
    store.manifest.forget([failed, missing])
    store.manifest.put_failure(failed, "no band")
    expected = {"done": CELLS - 2, "empty": 0, "failed": 1, "missing": 1}
    assert write_grid(store, tmp_path / "grid.gpkg") == expected
    table = gpd.read_file(tmp_path / "grid.gpkg", layer="tiles").set_index("cell")
    assert table.crs.to_epsg() == 4326
    assert table.state.value_counts().to_dict() == {"done": CELLS - 2, "failed": 1, "missing": 1}
    assert table.error[failed] == "no band"
    assert table.union_all().bounds == pytest.approx((148.995 + 0.045, -35.37, 149.445, -35.1))
    assert write_grid(store, tmp_path / "grid.png") == expected
    with Image.open(tmp_path / "grid.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x1F, 0x78, 0xB4), (0xD7, 0x30, 0x1F)} <= colours


def test_a_map_into_a_folder_that_is_not_there_is_one_line(store, tmp_path):
    for name in ("grid.png", "grid.gpkg"):
        with pytest.raises(RasterError, match="does not exist"):
            write_grid(store, tmp_path / "none" / name)


def test_a_map_with_another_ending_is_refused(store, tmp_path):
    with pytest.raises(StoreError, match=r"\.png or a \.gpkg"):
        write_grid(store, tmp_path / "grid.shp")


# ------------------------------------------------------------------ the commands


def said(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code, capsys.readouterr()


def test_the_commands_say_what_they_found(service, store, tmp_path, capsys):
    folder = str(store.path)
    code, output = said(capsys, "tiles", "status", "--store", folder)
    assert (code, output.err) == (0, "")
    assert output.out.startswith(f"{CELLS} tiles, 0 of them without one observed pixel, 0 failed")
    assert f"complete: {CELLS} of {CELLS} tiles, {CELLS} of them fetched by it" in output.out
    code, output = said(capsys, "tiles", "verify", "--store", folder)
    assert (code, output.out) == (0, f"{CELLS} tiles; all sound\n")
    broken = store.rows()[0].cell
    flip(store.file("masks", broken))
    code, output = said(capsys, "tiles", "verify", "--store", folder)
    assert code == 1
    assert output.out == f"changed: masks/{broken}.tif\n"
    assert output.err.count("\n") == 1
    assert f"1 of {CELLS} tiles are not what was written; `water-gee tiles repair" in output.err
    code, output = said(capsys, "tiles", "map", "--store", folder, "--out", str(tmp_path / "a.png"))
    assert (code, output.out) == (0, f"{tmp_path / 'a.png'}: {CELLS} done\n")


@pytest.mark.parametrize("command", ["status", "verify", "repair"])
def test_a_folder_without_store_is_one_line(tmp_path, capsys, command):
    code, output = said(capsys, "tiles", command, "--store", str(tmp_path / "none"))
    assert code == 1
    assert "no tile store at" in output.err
    assert output.err.count("\n") == 1
