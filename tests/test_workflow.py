"""Which stages a run makes, what it hands them, and what it leaves alone."""

from __future__ import annotations

import contextlib
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from water_gee import session, workflow
from water_gee.errors import RasterError, RecipeError, SessionError
from water_gee.imagery import scenes as landsat
from water_gee.imagery.manifest import TileRow
from water_gee.imagery.recipe import Recipe

BOX = (149.05, -35.35, 149.20, -35.25)
ALL = ("download", "labels", "train", "map", "deploy", "report")


@dataclass
class Fakes:
    """Stages that write small files and remember how they were called."""

    calls: list
    assets: set
    fail: str = ""

    def made(self):
        return tuple(name for name, _ in self.calls)

    def note(self, name, **given):
        if self.fail == name:
            raise KeyboardInterrupt
        self.calls.append((name, given))


@pytest.fixture
def fakes(monkeypatch):
    fake = Fakes([], set())

    def put(module, **functions):
        stand_in = types.ModuleType(module)
        for name, function in functions.items():
            setattr(stand_in, name, function)
        monkeypatch.setitem(sys.modules, module, stand_in)
        parent, _, last = module.rpartition(".")
        if parent in sys.modules:
            monkeypatch.setattr(sys.modules[parent], last, stand_in, raising=False)

    def download_tiles(aoi, store, recipe, threads, progress):
        fake.note("download", aoi=aoi, recipe=recipe, threads=threads)
        for folder in ("images", "masks"):
            (store / folder).mkdir(parents=True, exist_ok=True)
            path = store / folder / "a.tif"
            if not path.exists():
                path.write_text(f"{recipe}")
        row = TileRow("a", "done", 1, 2, 3, "now")
        return contextlib.nullcontext(types.SimpleNamespace(rows=lambda: [row], path=store))

    def denoise_labels(store, seed, progress):
        fake.note("labels", seed=seed)
        (store / "labels").mkdir(exist_ok=True)
        (store / "labels" / "a.tif").write_text(f"{seed}")
        return {"tiles": 1}

    def train(store, out, seed, epochs, progress):
        fake.note("train", seed=seed, epochs=epochs)
        out.write_text(f"model {seed}")
        return types.SimpleNamespace(record={"seed": seed}, path=out)

    def predict(model, source, out, probability, progress):
        fake.note("map")
        out.write_text(model.read_text())
        out.with_name(f"{out.stem}_probability.tif").write_text("p")
        return out

    def polygons(source, out):
        out.write_text("polygons")

    def write_item(chart, assets):
        chart.with_suffix(".qml").write_text("style")
        item = chart.with_suffix(".json")
        item.write_text("item")
        return item

    def deploy_to_gee(model, asset_id, aoi, if_exists, progress):
        fake.note("deploy", asset_id=asset_id, overwrite=if_exists == "overwrite")
        fake.assets.add(asset_id)
        return types.SimpleNamespace(assets=(asset_id,))

    def write(path, *arguments, **given):
        fake.note("report")
        path.write_text("page")

    put("water_gee.imagery.download", download_tiles=download_tiles)
    put("water_gee.training.labels", denoise_labels=denoise_labels)
    put("water_gee.training.fit", train=train, EPOCHS=40)
    put("water_gee.mapping.predict", predict=predict)
    put("water_gee.mapping.vectors", polygons=polygons)
    put("water_gee.mapping.stac", write_item=write_item)
    put("water_gee.mapping.report", write=write)
    put("water_gee.deploy.export", deploy_to_gee=deploy_to_gee)
    current = types.SimpleNamespace(project="local", catalog=None, url="http://127.0.0.1:1")
    monkeypatch.setattr(session, "ensure", lambda: current)
    monkeypatch.setattr(session, "connect", lambda **given: current)
    monkeypatch.setattr(workflow, "_all_there", lambda assets: set(assets) <= fake.assets)
    return fake


@pytest.fixture
def go(fakes, tmp_path):
    """Run into one folder; returns the stages that were made."""

    def go(aoi=BOX, **given):
        fakes.calls.clear()
        done = workflow.run(aoi, out=tmp_path / "my run", progress=False, **given)
        assert done.made == fakes.made() or given.get("scenes")
        return done.made

    return go


def test_a_run_makes_every_stage_and_says_where_things_are(fakes, tmp_path):
    done = workflow.run(BOX, out=tmp_path / "my run", progress=False)
    assert done.made == ALL
    assert done.assets == ("projects/local/assets/my_run",)
    for path in (done.map, done.probability, done.polygons, done.report, done.model, done.tiles):
        assert path.exists()
        assert path.is_relative_to(tmp_path / "my run")
    assert set(done.seconds) == set(ALL)
    assert done.recipe == Recipe()


def test_a_second_run_makes_nothing(go):
    assert go() == ALL
    assert go() == ()


def test_another_seed_leaves_the_tiles_alone(go):
    go()
    assert go(seed=1) == ALL[1:]
    assert go(seed=1) == ()


def test_other_epochs_begin_with_the_training(go, fakes):
    go()
    assert go(epochs=3) == ALL[2:]
    assert dict(fakes.calls)["train"]["epochs"] == 3


def test_another_recipe_or_area_begins_anew(go, fakes, tmp_path):
    go()
    (tmp_path / "my run" / "tiles" / "images" / "old.tif").write_text("of the old area")
    assert go(recipe={"years": [2001]}) == ALL
    assert not (tmp_path / "my run" / "tiles" / "images" / "old.tif").exists()
    assert go(aoi=(0, 0, 1, 1), recipe={"years": [2001]}) == ALL


@pytest.mark.parametrize(
    ("lost", "made"),
    [
        ("report.html", ("report",)),
        ("water.gpkg", ("map",)),
        ("map.tif", ("map",)),
        ("model.keras", ("train",)),
        ("tiles/labels/a.tif", ("labels",)),
        ("tiles/images/a.tif", ("download",)),
    ],
)
def test_a_lost_result_is_made_again_and_what_is_the_same_after_it_stands(go, tmp_path, lost, made):
    go()
    (tmp_path / "my run" / lost).unlink()
    assert go() == made


def test_a_spoilt_tile_is_fetched_again(go, tmp_path):
    go()
    tile = tmp_path / "my run" / "tiles" / "images" / "a.tif"
    whole = tile.read_text()
    tile.write_text("spoilt")
    assert go() == ("download",)
    assert tile.read_text() == whole


def test_a_lost_asset_is_deployed_again(go, fakes):
    go()
    fakes.assets.clear()
    assert go() == ("deploy",)


@pytest.mark.parametrize("stage", ALL)
def test_a_run_that_was_stopped_goes_on_at_that_stage(go, fakes, stage):
    fakes.fail = stage
    with pytest.raises(KeyboardInterrupt):
        go()
    assert fakes.made() == ALL[: ALL.index(stage)]
    fakes.fail = ""
    assert go() == ALL[ALL.index(stage) :]


def test_an_asset_of_somebody_else_is_not_replaced_but_ones_own_is(go, fakes):
    mine = "projects/local/assets/mine"
    overwritten = {}
    for seed in (0, 1):
        go(asset_id=mine, seed=seed)
        overwritten[seed] = dict(fakes.calls)["deploy"]["overwrite"]
    assert overwritten == {0: False, 1: True}
    fakes.fail = "deploy"
    with pytest.raises(KeyboardInterrupt):
        go(asset_id=mine, seed=2)
    fakes.fail = ""
    go(asset_id=mine, seed=2)
    assert dict(fakes.calls)["deploy"]["overwrite"] is True


def test_without_deployment_there_is_no_asset(fakes, tmp_path):
    done = workflow.run(BOX, out=tmp_path, deploy=False, progress=False)
    assert done.assets == ()
    assert "deploy" not in done.made


def test_a_file_says_the_same_as_options(fakes, tmp_path):
    (tmp_path / "run.toml").write_text(
        f"aoi = {list(BOX)}\nout = 'x'\nseed = 4\nthreads = 2\n[recipe]\nyears = [2003]\n"
    )
    done = workflow.run(config=tmp_path / "run.toml", progress=False)
    assert done.out == tmp_path / "x"
    calls = dict(fakes.calls)
    assert (calls["train"]["seed"], calls["download"]["threads"]) == (4, 2)
    assert calls["download"]["recipe"].years == (2003,)


# ------------------------------------------------------------------ with scenes


@pytest.fixture
def scene_files(fakes, tmp_path, monkeypatch):
    """Two scenes, of which the second came without QA; ingest is remembered, not done."""
    ring = [[149.0, -35.4], [149.1, -35.4], [149.1, -35.3], [149.0, -35.3], [149.0, -35.4]]
    footprint = {"type": "Polygon", "coordinates": [ring]}
    known = {
        "one": landsat.Scene("one", "landsat8", 2019, 2, footprint, None),
        "two": landsat.Scene("two", "landsat9", 2022, 3, footprint, "CFMask water test"),
    }

    def ingest(catalog, paths, dem=False):
        fakes.note("ingest dem" if dem else "ingest", paths=list(paths))
        catalog.mkdir(parents=True, exist_ok=True)
        names = [Path(path).stem for path in paths]
        fakes.assets.update(names)
        return names

    monkeypatch.setattr(landsat, "ingest", ingest)
    monkeypatch.setattr(landsat, "describe", lambda assets: [known[name] for name in assets])
    for name in ("one.tar", "two.tar", "dem.tif"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_scenes_give_recipe_area_and_notes(fakes, scene_files):
    scenes = [scene_files / "one.tar", scene_files / "two.tar"]
    done = workflow.run(scenes=scenes, out=scene_files / "out", progress=False)
    assert done.made == ("ingest", *ALL)
    assert done.recipe.sensors == ("landsat8", "landsat9")
    assert (done.recipe.years, done.recipe.months) == ((2019, 2022), (2, 3))
    assert done.recipe.dem is None
    assert dict(fakes.calls)["download"]["aoi"].bounds == (149.0, -35.4, 149.1, -35.3)
    assert any("1 of 2 scenes came without a QA band" in note for note in done.notes)
    assert "no elevation model given: elevation is 0 everywhere" in done.notes


def test_scenes_that_stand_are_not_ingested_again(fakes, scene_files):
    scenes = [scene_files / "one.tar"]
    workflow.run(scenes=scenes, out=scene_files / "out", progress=False)
    done = workflow.run(scenes=scenes, out=scene_files / "out", progress=False)
    assert done.made == ()
    assert done.recipe.years == (2019,)


def test_a_changed_scene_begins_anew(fakes, scene_files):
    scenes = [scene_files / "one.tar"]
    workflow.run(scenes=scenes, out=scene_files / "out", progress=False)
    scenes[0].write_text("another scene")
    done = workflow.run(scenes=scenes, out=scene_files / "out", progress=False)
    assert done.made == ("ingest", *ALL)


def test_a_recipe_given_beats_the_scenes_and_a_dem_is_ingested(fakes, scene_files):
    done = workflow.run(
        BOX,
        scenes=scene_files / "one.tar",
        dem=scene_files / "dem.tif",
        recipe={"months": [1, 2]},
        out=scene_files / "out",
        progress=False,
    )
    assert (done.recipe.months, done.recipe.years) == ((1, 2), (2019,))
    assert done.recipe.dem == Recipe().dem
    assert done.notes == ()
    assert "ingest dem" in fakes.made()
    assert dict(fakes.calls)["download"]["aoi"].bounds == BOX


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"scenes": "none.tar"}, RecipeError, "no scene at none.tar"),
        ({"scenes": "one.tar", "project": "mine"}, SessionError, "leave `project`"),
        ({"scenes": "one.tar", "url": "http://x"}, SessionError, "leave `project`"),
        ({"aoi": BOX, "dem": "dem.tif"}, RecipeError, "give `catalog` or `scenes`"),
        ({"aoi": BOX, "dem": "none.tif"}, RasterError, "no DEM at none.tif"),
        ({}, RecipeError, "needs an area"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    fakes, scene_files, monkeypatch, given, error, words
):
    monkeypatch.chdir(scene_files)
    with pytest.raises(error, match=words):
        workflow.run(**given, out="out", progress=False)
    assert fakes.calls == []
    assert not Path("out").exists()
