"""The catalogue: whole whatever happens, and nothing outside it."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import shapely
from shapely.geometry import shape
from small_catalog import COLLECTION, FIRST, SECOND, UTM, scene_arrays

from water_gee.emulator.assets import FOLDER, IMAGE, IMAGE_COLLECTION
from water_gee.emulator.catalog import DATABASE, Catalog
from water_gee.emulator.footprint import outline
from water_gee.emulator.newband import NewBand
from water_gee.emulator.pixels import Window, evaluate
from water_gee.emulator.staging import staged, sweep, try_lock
from water_gee.emulator.values import Projection
from water_gee.errors import EmulatorError, ServiceError

ASSET = "projects/local/assets/maps/one"


def band(value=7, name="b"):
    return NewBand.of_array(name, np.full((8, 9), value, np.uint8), UTM)


def pixels(image, shape=(8, 9)):
    blocks = evaluate([one.node for one in image.bands], UTM.grid, Window(0, 0, *shape))
    return [block.values for block in blocks]


def files(catalog):
    return sorted(path for path in catalog.pixels.rglob("*") if path.is_file())


def test_a_catalogue_that_is_not_there_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(EmulatorError, match=r"no catalogue in .*; make one with"):
        Catalog.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / DATABASE).write_text("not a database at all, but long enough to be looked at" * 9)
    with pytest.raises(EmulatorError, match="cannot be used as a catalogue"):
        Catalog.open(tmp_path)


def test_a_catalogue_of_another_version_is_refused(catalog):
    catalog.close()
    connection = sqlite3.connect(catalog.path / DATABASE)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(EmulatorError, match="another version"):
        Catalog.open(catalog.path)


def test_an_image_comes_back_as_it_was_put_in(catalog):
    image = catalog.load_image(FIRST)
    assert image.id == FIRST
    assert image.properties["system:index"] == "LC08_132023_20200701"
    arrays = scene_arrays(FIRST)
    blocks = evaluate([one.node for one in image.bands], UTM.grid, Window(0, 0, 40, 50))
    for one, block in zip(image.bands, blocks, strict=True):
        valid = arrays[one.name] != (1 if one.name == "QA_PIXEL" else 0)
        np.testing.assert_array_equal(block.mask, valid)
        np.testing.assert_array_equal(block.values[valid], arrays[one.name][valid])


def test_two_loads_share_their_pixel_nodes(catalog):
    once, again = catalog.load_image(FIRST), catalog.load_image(FIRST)
    assert once.bands[0].node is again.bands[0].node
    assert catalog.load_collection(COLLECTION).items[0].bands[0].node is once.bands[0].node


def test_a_collection_lists_its_images_by_time(catalog):
    assert [record.id for record in catalog.list_images(COLLECTION)] == [FIRST, SECOND]
    catalog.add_image(f"{COLLECTION}/A_without_time", [band()])
    ids = [record.index for record in catalog.list_images(COLLECTION)]
    assert ids == ["LC08_132023_20200701", "LC08_132023_20200717", "A_without_time"]


def test_an_image_needs_a_parent(catalog):
    with pytest.raises(ServiceError, match=r"'projects/local/assets/none' does not exist"):
        catalog.add_image("projects/local/assets/none/x", [band()])
    assert not list(catalog.staging.iterdir())
    with pytest.raises(ServiceError, match="is an image"):
        catalog.create_folder(f"{FIRST}/below")


def test_missing_parents_are_made_when_asked(catalog):
    catalog.ensure_parents("projects/local/assets/a/b/c", collection=True)
    assert catalog.record("projects/local/assets/a").type == FOLDER
    assert catalog.record("projects/local/assets/a/b").type == IMAGE_COLLECTION


def test_a_new_version_replaces_the_old_files(catalog):
    catalog.add_image(ASSET, [band(1)])
    first = catalog.load_image(ASSET)
    assert pixels(first)[0].min() == 1
    before = set(files(catalog))
    catalog.add_image(ASSET, [band(2), band(3, "c")])
    assert [int(values.max()) for values in pixels(catalog.load_image(ASSET))] == [2, 3]
    assert len(set(files(catalog)) - before) == 2
    assert len(files(catalog)) == len(before) + 1
    # Who still holds the old image is told to ask again.
    catalog.pool.close()
    with pytest.raises(ServiceError) as caught:
        pixels(first)
    assert caught.value.code == 503


def test_without_overwrite_nothing_is_replaced(catalog):
    catalog.add_image(ASSET, [band(1)])
    with pytest.raises(ServiceError, match=r"Cannot overwrite asset .*already exists"):
        catalog.add_image(ASSET, [band(2)], overwrite=False)
    with pytest.raises(ServiceError, match="Cannot overwrite asset"):
        catalog.add_image("projects/local/assets/maps", [band(2)])
    assert pixels(catalog.load_image(ASSET))[0].max() == 1


def test_deleting_removes_files(catalog):
    before = files(catalog)
    catalog.add_image(ASSET, [band()])
    catalog.delete(ASSET)
    assert files(catalog) == before
    assert catalog.record(ASSET) is None
    with pytest.raises(ServiceError) as caught:
        catalog.delete(ASSET)
    assert caught.value.code == 404


def test_what_goes_wrong_midway_leaves_nothing(catalog):
    def broken(window):
        raise OSError("the disk is gone")

    before = files(catalog)
    bad = NewBand("bad", UTM, (8, 9), "uint8", broken)
    with pytest.raises(OSError, match="disk is gone"):
        catalog.add_image(ASSET, [band(), bad])
    assert files(catalog) == before
    assert not list(catalog.staging.iterdir())
    assert catalog.record(ASSET) is None


def test_what_happens_with_the_row_or_not_at_all_is_undone_together(catalog):
    def refuse():
        raise ValueError("no")

    catalog.add_image(ASSET, [band(1)])
    record = catalog.record(ASSET)
    before = files(catalog)
    with catalog.stage() as folder:
        (folder / "x.tif").write_bytes(b"x")
        with pytest.raises(ValueError, match="no"):
            catalog.publish(folder, record, overwrite=True, also=refuse)
    assert files(catalog) == before
    assert catalog.record(ASSET) == record


def test_staged_folders_of_the_dead_are_swept_and_those_of_the_living_kept(tmp_path):
    (tmp_path / "orphan").mkdir()
    (tmp_path / "left.lock").touch()
    (tmp_path / "left").mkdir()
    with staged(tmp_path) as folder:
        (folder / "file").touch()
        sweep(tmp_path)
        assert (folder / "file").exists()
        assert not (tmp_path / "orphan").exists()
        assert not (tmp_path / "left").exists()
    assert not list(tmp_path.iterdir())


def test_a_lock_is_one_holders(tmp_path):
    import os

    held = try_lock(tmp_path / "x")
    assert held is not None
    assert try_lock(tmp_path / "x") is None
    os.close(held)
    again = try_lock(tmp_path / "x")
    assert again is not None
    os.close(again)


def test_many_threads_write_at_once(catalog):
    def write(number):
        for _ in range(3):
            catalog.add_image(f"{ASSET}_{number}", [band(number)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert pixels(catalog.load_image(f"{ASSET}_{number}"))[0].max() == number


MAKER = "import sys; from water_gee.emulator.catalog import Catalog; " + (
    "Catalog.open(sys.argv[1], create=True).ensure_parents(f'projects/p/assets/{sys.argv[2]}/x')"
)


def test_processes_that_make_one_catalogue_at_once_share_it(tmp_path):
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path / "c"), f"f{number}"])
        for number in range(4)
    ]
    assert [maker.wait() for maker in makers] == [0] * 4
    with Catalog.open(tmp_path / "c") as found:
        assert len(found.children("projects/p/assets")) == 4


WRITER = textwrap.dedent(
    """
    import sys
    import numpy as np
    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.newband import NewBand
    from water_gee.emulator.values import Projection

    grid = Projection("EPSG:32648", (30.0, 0.0, 500010.0, 0.0, -30.0, 5800020.0))
    with Catalog.open(sys.argv[1]) as catalog:
        number = 0
        while True:
            number += 1
            bands = [
                NewBand.of_array(name, np.full((300, 300), number % 251, np.uint8), grid)
                for name in "abc"
            ]
            catalog.add_image(f"projects/local/assets/maps/k{number % 5}", bands, {"n": number})
            print(number, flush=True)
    """
)


def test_killed_at_any_instant_the_catalogue_is_whole(catalog):
    catalog.close()
    random.seed(3)
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(catalog.path)], stdout=subprocess.PIPE
        )
        for _ in range(random.randint(1, 3)):
            assert writer.stdout.readline().strip().isdigit()
        time.sleep(random.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    with Catalog.open(catalog.path) as opened:
        assert not list(opened.staging.iterdir())
        images = [
            record
            for record in opened.children("projects/local/assets/maps")
            if record.type == IMAGE
        ]
        assert images
        for record in images:
            values = pixels(opened.load_image(record.id), (300, 300))
            expected = record.properties["n"] % 251
            assert [(int(v.min()), int(v.max())) for v in values] == [(expected, expected)] * 3
        # One more write of each tidies up what a kill between two steps had left.
        for number in range(5):
            opened.add_image(f"projects/local/assets/maps/k{number}", [band()])
        assert len([p for p in files(opened) if "maps" in p.parts]) == 5


def test_an_outline_follows_the_raster():
    found = shape(outline(UTM, (40, 50)))
    assert found.is_valid
    assert found.contains(shapely.Point(105.01, 52.345))
    degrees = Projection("EPSG:4326", (0.5, 0.0, 10.0, 0.0, -0.25, 60.0))
    assert shape(outline(degrees, (4, 6))).equals(shapely.box(10, 59, 13, 60))


def test_an_outline_across_the_antimeridian_has_two_parts():
    # UTM zone 1 begins at 180 degrees.
    zone1 = Projection("EPSG:32601", (1000.0, 0.0, 200_000.0, 0.0, -1000.0, 7_000_000.0))
    found = shape(outline(zone1, (100, 200)))
    assert found.geom_type == "MultiPolygon"
    assert found.is_valid
    assert -180 <= found.bounds[0] <= found.bounds[2] <= 180
    assert found.area < 20
