"""`water-gee deploy` and `water-gee tasks`: what they say, and one line for what is wrong."""

from __future__ import annotations

import time

import numpy as np
import pytest

from water_gee import session
from water_gee.imagery.recipe import Recipe

ASSET = "projects/local/assets/water"
RECIPE = Recipe(years=(2020,), dem=None, cell=0.025, pixels=100)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    if session._current is not None:
        session._current.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of one layer, in its file."""
    from water_gee.training.backend import keras
    from water_gee.training.model import TrainedModel, save

    keras.utils.set_random_seed(3)
    inputs = keras.Input((None, None, 8))
    conv = keras.layers.Conv2D(2, 3, activation="softmax", name="conv")
    path = tmp_path_factory.mktemp("model") / "model.keras"
    save(TrainedModel(keras.Model(inputs, conv(inputs)), RECIPE, {}), path)
    return path


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    """Two years of one small scene each, over 0.1 x 0.1 degrees."""
    from water_gee.emulator.catalog import Catalog
    from water_gee.emulator.newband import NewBand
    from water_gee.emulator.values import Projection

    folder = tmp_path_factory.mktemp("deploy") / "catalog"
    place = Projection("EPSG:4326", (0.00025, 0, 9.99, 0, -0.00025, 50.11))
    with Catalog.open(folder, create=True) as opened:
        for year in (2019, 2020):
            random = np.random.default_rng(year)
            name = f"LANDSAT/LC08/C02/T1_L2/LC08_195025_{year}0701"
            opened.ensure_parents(name, collection=True)
            bands = [
                NewBand.of_array(
                    band,
                    random.integers(7500, 20000, (480, 480)).astype(np.uint16),
                    place,
                    nodata=0,
                )
                for band in ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6")
            ]
            clear = np.full((480, 480), 21824, np.uint16)
            bands.append(NewBand.of_array("QA_PIXEL", clear, place, nodata=1))
            when = int(np.datetime64(f"{year}-07-01T10:00", "ms").astype(int))
            opened.add_image(name, bands, {}, start_time=when, end_time=when)
    return folder


@pytest.fixture
def served(catalog, tmp_path):
    """From faults to the address of a server over a copy of the season."""
    import shutil

    from water_gee.emulator import Faults, start

    servers = []

    def served(**faults):
        folder = tmp_path / f"catalog{len(servers)}"
        shutil.copytree(catalog, folder)
        servers.append(start(folder, faults=Faults(**faults)))
        return servers[-1]

    yield served
    for server in servers:
        server.stop()


AREA = "10.001,50.001,10.049,50.049"  # two by two cells


def below(server, name="projects/local/assets"):
    return {one.id: one.type for one in server.service.catalog.children(name)}


def test_years_and_tiles_are_a_collection_and_the_second_call_does_nothing(call, model, served):
    server = served()
    command = ["deploy", model, ASSET, "--aoi", AREA, "--years", "2019-2020", "--url", server.url]
    command += ["--max-pixels", 20_000, "--reader", "allUsers"]
    status, out, err = call(*command)
    assert status == 0, err
    names = out.split()
    assert len(names) == 4  # two tiles of two cells a year
    assert sorted(names) == sorted(below(server, ASSET))
    assert "exports: 4 done" in err
    assert "4 map(s); 4 task(s) started" in err
    status, out, err = call(*command)
    assert (status, out.split()) == (0, names)
    assert "4 stood before" in err
    status, out, _ = call("tasks", "--url", server.url)
    assert status == 0
    assert out.startswith(f"{ASSET}  finished, begun")
    assert out.rstrip().endswith("4 map(s): 4 done")
    status, out, _ = call("tasks", ASSET, "--all", "--url", server.url)
    assert len(out.splitlines()) == 5


@pytest.mark.parametrize("form", ["kernels", "matrix", "assets"])
def test_every_form_gives_the_same_map(call, model, served, form):
    server = served()
    status, out, err = call(
        "-q", "deploy", model, ASSET, "--aoi", "10.001,50.001,10.02,50.02", "--form", form,
        "--url", server.url,
    )  # fmt: skip
    assert (status, out) == (0, f"{ASSET}\n"), err
    kinds = below(server)
    tables = [name for name, kind in kinds.items() if kind == "TABLE"]
    assert len(tables) == (form == "assets")
    assert kinds[ASSET] == "IMAGE"


def test_failing_tasks_are_repeated_and_the_summary_says_so(call, model, served, monkeypatch):
    from water_gee.deploy import tasks

    monkeypatch.setattr(tasks, "PAUSE", 0.01)
    monkeypatch.setattr(tasks, "FIRST_POLL", 0.02)
    server = served(task_failure=0.5, seed=4)
    status, out, err = call(
        "deploy", model, ASSET, "--aoi", AREA, "--years", "2019-2020", "--max-pixels", 10_000,
        "--attempts", 20, "--url", server.url,
    )  # fmt: skip
    assert status == 0, err
    assert len(out.split()) == len(below(server, ASSET)) == 8
    failed = [o for o in server.service.tasks.all("local") if o.state == "FAILED"]
    assert failed
    assert f"{len(failed)} task(s) failed and were repeated" in err


def test_without_waiting_tasks_are_watched_resumed_and_cancelled_by_hand(call, model, served):
    server = served()
    status, _, err = call(
        "-q", "deploy", model, ASSET, "--aoi", AREA, "--years", "2019-2020", "--no-wait",
        "--url", server.url,
    )  # fmt: skip
    assert status == 0, err
    status, out, err = call("tasks", "--watch", "--url", server.url)
    assert (status, "2 done" in out) == (0, True), err
    status, out, _ = call("tasks", "--resume", "--url", server.url)
    assert "2 map(s); 2 stood before" in out
    status, _, err = call("tasks", "--cancel", "--url", server.url)
    assert "0 task(s) cancelled" in err


def test_tasks_without_any_deployment_say_so(call, served):
    status, out, err = call("tasks", "--url", served().url)
    assert (status, out) == (0, "")
    assert "no deployment was begun on this machine" in err


def test_one_thing_at_a_time_is_asked_of_tasks(call, served):
    status, _, err = call("tasks", "--watch", "--cancel", "--url", served().url)
    assert status == 2
    assert "give one of --watch, --resume and --cancel" in err


def test_the_plan_of_a_continent_is_printed_in_seconds_and_asks_nobody(call, model):
    begun = time.perf_counter()
    status, out, err = call(
        "deploy", model, ASSET, "--aoi", "10,10,30,30", "--years", "2016-2024", "--dry-run",
        "--max-pixels", 10**8,
    )  # fmt: skip
    assert status == 0, err
    assert time.perf_counter() - begun < 20
    lines = out.splitlines()
    assert lines[0].startswith(f"{ASSET}: a collection;")
    assert lines[1].split() == ["year", "tasks", "pixels", "largest", "MB"]
    assert lines[11].split()[0] == "all"
    assert any(line.startswith("Expression: form kernels") for line in lines)
    assert any("multiply-adds" in line for line in lines)
    assert "EECU-hours" in lines[-1]


# ------------------------------------------------------------------ bad input, nothing left behind


def test_a_plan_for_readers_who_are_nobody(refused, model):
    line = refused("deploy", model, ASSET, "--aoi", AREA, "--dry-run", "--reader", "nonsense")
    assert "readers: 'nonsense' is nobody" in line


def untouched(server):
    return below(server) == {} and server.service.tasks.all("local") == []


def test_a_model_without_a_recipe(refused, served, tmp_path):
    from water_gee.training.backend import keras

    server = served()
    inputs = keras.Input((None, None, 8))
    bare = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(inputs))
    bare.save(tmp_path / "bare.keras")
    line = refused("deploy", "bare.keras", ASSET, "--aoi", AREA, "--url", server.url)
    assert "is a Keras model without a recipe" in line
    bare.save(tmp_path / "old.h5")
    line = refused("deploy", "old.h5", ASSET, "--aoi", AREA, "--url", server.url)
    assert "network without a recipe: nothing says how its features are made" in line
    assert untouched(server)


@pytest.mark.parametrize("name", ["bare.keras", "bare.h5"])
def test_a_bare_network_is_mapped_with_the_recipe_given(call, served, tmp_path, name):
    from water_gee.training.backend import keras

    server = served()
    inputs = keras.Input((None, None, 8))
    bare = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(inputs))
    bare.save(tmp_path / name)
    (tmp_path / "recipe.toml").write_text('dem = "none"\ncell = 0.025\npixels = 100\n')
    status, out, err = call(
        "-q", "deploy", name, ASSET, "--aoi", "10.001,50.001,10.02,50.02", "--recipe",
        "recipe.toml", "--url", server.url,
    )  # fmt: skip
    assert (status, out) == (0, f"{ASSET}\n"), err


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ('["Blue", "Green"]', "the network takes 8 features, the recipe has 2: Blue, Green"),
        ('["Blue", "Red", "Red"]', "one is given twice"),
        ('["B2", "B3"]', "'B2' is unknown; there are Blue, Green, Red"),
    ],
)
def test_bands_that_are_not_those_of_the_network(refused, served, tmp_path, features, words):
    from water_gee.training.backend import keras

    server = served()
    inputs = keras.Input((None, None, 8))
    bare = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(inputs))
    bare.save(tmp_path / "bare.keras")
    (tmp_path / "recipe.toml").write_text(f'dem = "none"\nfeatures = {features}\n')
    line = refused(
        "deploy", "bare.keras", ASSET, "--aoi", AREA, "--recipe", "recipe.toml", "--url", server.url
    )
    assert words in line
    assert untouched(server)


def test_a_recipe_for_a_model_that_has_one(refused, served, model, tmp_path):
    (tmp_path / "recipe.toml").write_text('dem = "none"\n')
    line = refused("deploy", model, ASSET, "--recipe", "recipe.toml", "--url", served().url)
    assert "has a recipe of its own" in line


@pytest.mark.parametrize("asset", ["water", "projects/local/water", "projects/local/assets/a b"])
def test_an_id_that_is_none(refused, served, model, asset):
    server = served()
    assert "asset" in refused("deploy", model, asset, "--aoi", AREA, "--url", server.url)
    assert untouched(server)


def test_a_folder_that_does_not_exist(refused, served, model):
    server = served()
    line = refused(
        "deploy", model, "projects/local/assets/maps/water", "--aoi", AREA, "--url", server.url
    )
    assert "there is no folder projects/local/assets/maps" in line
    assert "earthengine create folder" in line
    assert untouched(server)


def test_no_permission(refused, served, model):
    server = served(denied=("projects/other",))
    for years in ("2020", "2019-2020"):
        line = refused(
            "deploy", model, "projects/other/assets/water", "--aoi", AREA, "--years", years,
            "--url", server.url,
        )  # fmt: skip
        assert "denied on resource 'projects/other/assets/water" in line
        assert "roles/earthengine.writer" in line
    assert untouched(server)


def test_over_quota(refused, served, model):
    server = served(storage=1)
    line = refused("deploy", model, ASSET, "--aoi", AREA, "--url", server.url)
    assert "Asset storage quota exceeded" in line
    assert below(server) == {}
    assert [o.state for o in server.service.tasks.all("local")] == ["FAILED"]


def test_an_area_outside_the_collection(refused, served, model):
    server = served()
    line = refused("deploy", model, ASSET, "--aoi", "20.1,50.1,20.2,50.2", "--url", server.url)
    assert "no image of landsat8 at any time over the area" in line
    assert "outside the collection" in line
    assert untouched(server)


def test_a_year_without_an_image(refused, served, model):
    server = served()
    line = refused(
        "deploy", model, ASSET, "--aoi", AREA, "--years", "2018-2020", "--url", server.url
    )
    assert "no image of landsat8 in months 6, 7, 8 of 2018 over the area" in line
    assert untouched(server)


@pytest.mark.parametrize("years", ["1066", "20200"])
def test_years_that_are_none(refused, served, model, years):
    server = served()
    line = refused("deploy", model, ASSET, "--aoi", AREA, "--years", years, "--url", server.url)
    assert f"{years} among them" in line
    assert untouched(server)


def test_an_image_where_a_collection_must_be_and_the_other_way_round(call, refused, served, model):
    server = served()
    one = ["deploy", model, ASSET, "--aoi", "10.001,50.001,10.02,50.02", "--url", server.url]
    assert call("-q", *one)[0] == 0
    line = refused(*one, "--years", "2019-2020")
    assert f"{ASSET} is there and is no collection (IMAGE), but 2 maps need one" in line
    server.service.catalog.create_container(f"{ASSET}s", "IMAGE_COLLECTION")
    line = refused("deploy", model, f"{ASSET}s", *one[3:])
    assert f"{ASSET}s is there and is no image (IMAGE_COLLECTION)" in line
    assert len(server.service.tasks.all("local")) == 1


def test_a_reader_who_is_nobody(refused, served, model):
    server = served()
    line = refused(
        "deploy", model, ASSET, "--aoi", AREA, "--reader", "everybody", "--url", server.url
    )
    assert "readers: 'everybody' is nobody" in line
    assert untouched(server)
