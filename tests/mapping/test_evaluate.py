"""Labels and maps against a reference: a table on the same pixels, for stores with gaps."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import scored_store
import shapely
from affine import Affine
from rasterio import features as shapes_of
from scored_store import SIDE, STEP
from sklearn import metrics as sk
from water_shapes import write_map, write_probability

from water_gee import raster
from water_gee.errors import ModelError, RasterError, StoreError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.store import TileStore
from water_gee.mapping import bootstrap, ground
from water_gee.mapping.evaluate import evaluate
from water_gee.metrics import Confusion
from water_gee.training.strata import STRATA

quiet = {"progress": False, "resamples": 100}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Six cells, most of them apart, with corrected labels and SWIR2; not to be changed."""
    return scored_store.make(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def table(scored):
    return evaluate(scored.path, scored.reference, **quiet)


def core(cell, values):
    return values[..., *cell.core.slices]


def pixels(scored, read):
    """Of all cells: reference and what `read` gives of (store, cell), as flat arrays."""
    truth, found = [], []
    with TileStore.open(scored.path) as store:
        for cell in scored.cells:
            truth.append(scored.truth[cell.id].ravel())
            found.append(core(cell, read(store, cell)).ravel())
    return np.concatenate(truth), np.concatenate(found)


# ------------------------------------------------------------------------------------ counts


def test_counts_are_those_of_the_pixels_that_everybody_saw(scored, table):
    truth, qa = pixels(scored, lambda store, cell: store.read_mask(cell))
    common = (truth != 255) & (qa != 255)
    assert table.pixels == common.sum() == table["QA bit"].confusion.total
    assert table.known == (truth != 255).sum()
    assert table["QA bit"].confusion == Confusion.of(truth, qa)
    _, label = pixels(scored, lambda store, cell: store.read_label(cell))
    assert table["corrected labels"].confusion == Confusion.of(truth, label)
    assert table["QA bit"].not_observed == ((truth != 255) & (qa == 255)).sum() > 0
    assert table["QA bit"].scores["kappa"].value == pytest.approx(
        sk.cohen_kappa_score(truth[common], qa[common])
    )


def test_baselines_are_the_published_rules_written_out(scored, table):
    def bands(store, cell):
        image = store.read_image(cell).astype(np.float64)
        return np.concatenate([image[:5], store.read_evidence(cell)["SWIR2"][np.newaxis]])

    truth, _ = pixels(scored, lambda store, cell: store.read_mask(cell))
    planes = [pixels(scored, lambda s, c, k=k: bands(s, c)[k])[1] for k in range(6)]
    b, g, r, n, s1, s2 = planes
    seen = (truth != 255) & np.isfinite(sum(planes))
    mndwi = (g - s1) / (g + s1)
    ndvi = (n - r) / (n + r)
    awei_sh = b + 2.5 * g - 1.5 * (n + s1) - 0.25 * s2
    tests = (
        (mndwi > 0.124) * 1
        + (g + r > n + s1)
        + (awei_sh > 0)
        + ((mndwi > -0.44) & (s1 < 0.09) & (n < 0.15) & (ndvi < 0.7))
        + ((mndwi > -0.5) & (b < 0.1) & (s1 < 0.3) & (s2 < 0.1) & (n < 0.25))
    )
    rules = {
        "MNDWI > 0": mndwi > 0,
        "AWEIsh > 0": awei_sh > 0,
        "AWEInsh > 0": 4 * (g - s1) - (0.25 * n + 2.75 * s2) > 0,
        "DSWE 3 of 5": tests >= 3,
    }
    for name, water in rules.items():
        assert table[name].confusion == Confusion.of(truth[seen], water[seen]), name
        assert 0 < table[name].scores["iou"].value < 1


def test_otsu_is_one_threshold_for_all_tiles_together(scored, table):
    _, mndwi = pixels(scored, lambda store, cell: store.read_image(cell)[5].astype(np.float64))
    values = np.sort(mndwi[np.isfinite(mndwi)])
    cuts = np.linspace(-0.9, 0.9, 1801)
    apart = []
    for cut in cuts:
        low, high = values[values <= cut], values[values > cut]
        share = len(low) / len(values)
        gap = (low.mean() if len(low) else 0) - (high.mean() if len(high) else 0)
        apart.append(share * (1 - share) * gap**2)
    name = next(each.row for each in table.rows if "Otsu" in each.row)
    said = float(name.split("> ")[1].split(" ")[0])
    # Between the two heaps every threshold is as good as another.
    best = cuts[np.array(apart) >= max(apart) * (1 - 1e-4)]
    assert best.min() - 0.002 <= said <= best.max() + 0.002
    assert any(note.startswith(name) and "one threshold for all 6 tiles" in note
               for note in table.notes)  # fmt: skip


def test_a_row_that_saw_less_takes_its_pixels_from_all(scored, tmp_path):
    half = {name: values[:, : SIDE // 2] for name, values in scored.truth.items()}
    half = {k: np.pad(v, ((0, 0), (0, SIDE - SIDE // 2)), constant_values=255)
            for k, v in half.items()}  # fmt: skip
    partial = scored.write(tmp_path / "half.tif", half)
    found = evaluate([scored.path, partial], scored.reference, **quiet, baselines=False)
    known = sum((v != 255).sum() for v in half.values())
    truth, _ = pixels(scored, lambda store, cell: store.read_mask(cell))
    assert found["half"].not_observed == (truth != 255).sum() - known
    assert found["half"].scores["iou"].value == 1
    assert found.pixels == found["QA bit"].confusion.total < known
    assert any("'half' did not observe" in note for note in found.notes)


def test_intervals_come_from_whole_cells_and_are_seeded(scored, table):
    assert (table.cells, table.unit, table.units) == (6, "cell", 6)
    again = evaluate(scored.path, scored.reference, **quiet)
    assert again.to_dict() == table.to_dict()
    other = evaluate(scored.path, scored.reference, **quiet, seed=3)
    assert other["QA bit"].confusion == table["QA bit"].confusion
    assert other["QA bit"].scores["iou"] != table["QA bit"].scores["iou"]
    none = evaluate(scored.path, scored.reference, progress=False, resamples=0)
    assert np.isnan(none["QA bit"].scores["iou"].low)
    apart = table["corrected labels"].differences["iou"]
    ours, theirs = (table[name].scores["iou"].value for name in ("corrected labels", "QA bit"))
    assert apart.value == pytest.approx(ours - theirs)
    assert apart.low < apart.value < apart.high


def test_with_few_cells_blocks_inside_them_are_drawn_and_that_is_said(tmp_path):
    few = scored_store.make(tmp_path, cells=2)
    found = evaluate(few.path, few.reference, **quiet)
    assert (found.cells, found.unit) == (2, "block")
    assert found.units == 2 * 4
    assert any("only 2 cell(s), so 8 blocks of 64 pixels" in note for note in found.notes)


# ------------------------------------------------------------------------------------ groups


def test_strata_and_bands_are_parts_of_the_whole(table):
    for row in table.rows:
        for groups, known in ((table.strata, STRATA), (table.shore, None)):
            parts = [each for each in groups if each.row == row.row]
            assert known is None or {each.group for each in parts} <= set(known)
            total = sum((each.confusion for each in parts), Confusion(0, 0, 0, 0))
            assert total == row.confusion


def test_bands_count_pixels_from_the_shore_on_both_sides(tmp_path):
    """Water left of column 100: pixels right at the shore are half a pixel away from it."""
    truth = np.zeros((100, 200), np.uint8)
    truth[:, :100] = 1
    mapped = truth.copy()
    mapped[:, 98:100], mapped[:10, 100] = 0, 1
    one = write_map(tmp_path / "map.tif", mapped)
    two = write_map(tmp_path / "truth.tif", truth)
    found = evaluate(one, two, **quiet)
    by_band = {each.group: each.confusion for each in found.shore}
    assert list(by_band) == ["0-1 px", "1-2 px", "2-4 px", "4-8 px", "> 8 px"]
    assert by_band["0-1 px"] == Confusion(0, 10, 100, 90)
    assert by_band["1-2 px"] == Confusion(0, 0, 100, 100)
    assert by_band["2-4 px"] == Confusion(200, 0, 0, 200)
    assert by_band["4-8 px"] == Confusion(400, 0, 0, 400)
    assert by_band["> 8 px"] == Confusion(9200, 0, 0, 9200)
    sides = {each.group: each for each in found.shore}["0-1 px"].scores
    assert sides["recall"].value == 0
    assert sides["land_recall"].value == pytest.approx(0.9)


def test_bands_in_metres_follow_the_pixels_of_the_place(tmp_path):
    """Pixels of 20 by 40 m: a shore along columns is 40 m a column away, less half a pixel."""
    place = Affine(40, 0, 500_000, 0, -20, 5_800_000)
    truth = np.zeros((60, 60), np.uint8)
    truth[:, :30] = 1
    one = write_map(tmp_path / "map.tif", truth, crs="EPSG:32648", transform=place)
    found = evaluate(one, one, **quiet, shore=(30, 70, 150), shore_unit="m")
    sizes = {each.group: each.confusion.total for each in found.shore}
    # 40, 80, 120, 160 m to the first pixel beyond the shore, less 15 m.
    assert sizes == {"0-30 m": 120, "30-70 m": 120, "70-150 m": 240, "> 150 m": 3120}


def test_shores_beyond_a_cells_edge_count(tmp_path):
    """The water is in the next square of the map; its shore is three columns away."""
    truth = np.zeros((64, 1024), np.uint8)
    truth[:, 515:] = 1
    one = write_map(tmp_path / "map.tif", truth)
    found = evaluate(one, one, **quiet)
    nearest = next(each for each in found.shore if each.group == "0-1 px").confusion
    assert (nearest.tp, nearest.tn) == (64, 64)
    second = next(each for each in found.shore if each.group == "2-4 px").confusion
    assert (second.tp, second.tn) == (128, 128)


# ------------------------------------------------------------------------------------ sources


def test_maps_alone_are_scored_in_squares_and_have_no_baselines(scored, tmp_path):
    maps = {"first": scored.write(tmp_path / "a.tif", scored.truth), "second": scored.reference}
    found = evaluate(maps, scored.reference, **quiet)
    assert [each.row for each in found.rows] == ["first", "second"]
    assert found.against == "first"
    assert found.strata == ()
    assert any("a map has no bands" in note for note in found.notes)
    named = evaluate([f"mine={tmp_path / 'a.tif'}"], scored.reference, **quiet)
    assert [each.row for each in named.rows] == ["mine"]


def test_a_map_on_another_grid_is_read_at_the_pixels_centres(scored, tmp_path, table):
    """Twice as fine as the store and shifted: every pixel's centre lies in a copy of itself."""
    whole = scored.whole(scored.truth)
    fine = np.kron(whole, np.ones((2, 2), np.uint8))
    with rasterio.open(scored.reference) as source:
        t = source.transform
    place = Affine(t.a / 2, 0, t.c - t.a / 8, 0, t.e / 2, t.f - t.e / 8)
    other = write_map(tmp_path / "fine.tif", fine, transform=place)
    found = evaluate([scored.path, other], scored.reference, **quiet, baselines=False)
    assert found["fine"].confusion.fp + found["fine"].confusion.fn == 0
    assert found.pixels == table.pixels


def test_polygons_are_a_reference_and_say_land_elsewhere(scored, tmp_path):
    whole = scored.whole({k: np.where(v == 255, 0, v) for k, v in scored.truth.items()}, fill=0)
    with rasterio.open(scored.reference) as source:
        place = source.transform
    rings = [shapely.geometry.shape(g) for g, v in
             shapes_of.shapes(whole, transform=place) if v == 1]  # fmt: skip
    lakes = tmp_path / "lakes.gpkg"
    geopandas.GeoDataFrame(geometry=rings, crs="EPSG:4326").to_file(lakes)
    found = evaluate(scored.path, lakes, **quiet)
    _, qa = pixels(scored, lambda store, cell: store.read_mask(cell))
    truth = np.concatenate([np.where(scored.truth[c.id] == 255, 0, scored.truth[c.id]).ravel()
                            for c in scored.cells])  # fmt: skip
    assert found["QA bit"].confusion == Confusion.of(truth, qa)


def test_a_share_of_water_is_a_reference_from_a_value_on(scored, tmp_path, table):
    share = {k: np.where(v == 255, np.nan, v * 0.5 + 0.1) for k, v in scored.truth.items()}
    path = scored.write(tmp_path / "share.tif", share, fill=np.nan, dtype=np.float32)
    found = evaluate(scored.path, path, above=0.5, **quiet)
    assert found["QA bit"] == table["QA bit"]
    with pytest.raises(RasterError, match="holds measures, not classes"):
        evaluate(scored.path, path, **quiet)


def test_probabilities_are_rows_with_a_calibration(scored, tmp_path):
    likely = {k: np.where(v == 255, 0.3, 0.35 + 0.3 * v) for k, v in scored.truth.items()}
    path = scored.write(tmp_path / "likely.tif", likely, fill=np.nan, dtype=np.float32)
    found = evaluate([scored.path, path], scored.reference, **quiet, baselines=False)
    assert found["likely"].scores["iou"].value == 1
    (one,) = found.calibrations
    assert one.row == "likely"
    assert one.pixels == found.known
    assert one.error.value == pytest.approx(0.35, abs=1e-6)
    low = evaluate([scored.path, path], scored.reference, **quiet, threshold=0.2, baselines=False)
    assert low["likely"].scores["land_recall"].value == 0


def test_the_probability_beside_a_map_is_looked_at(tmp_path):
    truth = (np.arange(4096).reshape(64, 64) % 3 == 0).astype(np.uint8)
    one = write_map(tmp_path / "map.tif", truth, years=[2020])
    write_probability(tmp_path / "map_probability.tif", 0.2 + 0.6 * truth, like=one)
    found = evaluate(one, one, **quiet)
    assert found.calibrations[0].error.value == pytest.approx(0.2)
    moved = evaluate(one, one, **quiet, threshold=0.9)
    assert moved["map"].scores["recall"].value == 0
    assert any("from a probability of 0.9 on" in note for note in moved.notes)


def test_a_model_maps_the_tiles_of_a_store(scored, tmp_path):
    from water_gee.mapping.classifier import classify
    from water_gee.training.model import TrainedModel, save
    from water_gee.training.network import pixel_cnn

    with TileStore.open(scored.path) as store:
        model = TrainedModel(pixel_cnn(), store.recipe, {})
        other = TrainedModel(pixel_cnn(), store.recipe.replace(months=[1]), {})
    save(model, tmp_path / "model.keras")
    save(other, tmp_path / "other.keras")
    options = {**quiet, "baselines": False}
    found = evaluate([scored.path, tmp_path / "model.keras"], scored.reference, **options)
    truth, said = pixels(
        scored, lambda store, cell: classify(model.network, store.read_image(cell))[0]
    )
    _, qa = pixels(scored, lambda store, cell: store.read_mask(cell))
    both = np.where(qa == 255, 255, truth)
    assert found["model"].confusion == Confusion.of(both, said)
    assert found.calibrations[0].row == "model"
    assert evaluate([scored.path, model], scored.reference, **options).rows == found.rows
    with pytest.raises(RasterError, match="a model needs a store"):
        evaluate(tmp_path / "model.keras", scored.reference, **quiet)
    with pytest.raises(Exception, match="different recipes"):
        evaluate([scored.path, tmp_path / "other.keras"], scored.reference, **quiet)
    (tmp_path / "no.keras").write_bytes(b"text")
    with pytest.raises(ModelError):
        evaluate([scored.path, tmp_path / "no.keras"], scored.reference, **quiet)


def far_seeing(recipe):
    """A model that sees nine pixels around each, where tiles have a margin of three."""
    from networks import undecided

    from water_gee.training.model import TrainedModel
    from water_gee.training.network import context_cnn
    from water_gee.training.scaling import finish

    network = undecided(context_cnn(8, width=6, dilations=(2, 5), hidden=8))
    return TrainedModel(finish(network), recipe, {})


def test_a_model_that_sees_beyond_the_margin_scores_as_the_map_that_it_makes(scored, tmp_path):
    from water_gee.mapping.predict import predict

    model = far_seeing(scored_store.RECIPE)
    chart = predict(model, scored.path, tmp_path / "map.tif", probability=True, progress=False)
    options = {**quiet, "baselines": False}
    found = evaluate({"store": scored.path, "m": model}, scored.reference, **options)
    wanted = evaluate({"store": scored.path, "m": chart}, scored.reference, **options)
    assert found.pixels == wanted.pixels > 0.9 * found.known
    assert found.rows == wanted.rows
    assert found.calibrations == wanted.calibrations
    some = {**options, "cells": [scored.cells[k].id for k in (1, 4)]}
    found = evaluate({"store": scored.path, "m": model}, scored.reference, **some)
    wanted = evaluate({"store": scored.path, "m": chart}, scored.reference, **some)
    assert found.rows == wanted.rows


def test_a_model_that_sees_beyond_the_margin_maps_a_single_scene_to_its_edge(tmp_path):
    recipe = scored_store.RECIPE.replace(composite="scene")
    _, features, qa, _ = scored_store.scene_of(0, SIDE + 6)
    cell = Cell(5300, 2600, Lattice.of(recipe))
    with TileStore.open(tmp_path / "tiles", recipe, create=True) as store:
        store.write_tile(cell.of("LC08_132024_20200720"), features, qa)
    raster.write(tmp_path / "truth.tif", qa, cell.grid, nodata=255, names=("water",))
    given = {"store": tmp_path / "tiles", "m": far_seeing(recipe)}
    found = evaluate(given, tmp_path / "truth.tif", **quiet, baselines=False)
    # A hole of 4 by 20 pixels, around which three more on each side are not classified.
    assert found["m"].not_observed == 10 * 26 - 4 * 20
    assert found.known == SIDE**2 - 4 * 20


def test_a_store_without_swir2_says_which_rows_it_cannot_have(tmp_path):
    plain = scored_store.make(tmp_path, cells=2, swir2=False, labels=False)
    found = evaluate(plain.path, plain.reference, **quiet)
    assert [each.row.split(" ")[0] for each in found.rows] == ["QA", "MNDWI", "MNDWI"]
    said = [note for note in found.notes if "2 of 2 tiles have no SWIR2" in note]
    assert [note.split(":")[0] for note in said] == ["AWEIsh > 0", "AWEInsh > 0", "DSWE 3 of 5"]
    assert any("corrected labels" in note and "has none" in note for note in found.notes)


def test_cells_without_a_label_keep_the_qa_bit_or_are_not_observed(tmp_path):
    some = scored_store.make(tmp_path, labels=False)
    with TileStore.open(some.path) as store:
        for cell in some.cells[:3]:
            perfect = np.pad(some.truth[cell.id], 3, constant_values=255)
            for folder in ("labels", "mine"):
                store.write_label(cell, perfect, folder)
    found = evaluate(some.path, some.reference, labels=["labels", "mine"], **quiet)
    assert found["mine"].scores["iou"].value == 1
    assert found.cells == 3
    own = evaluate(some.path, some.reference, **quiet)
    assert own.cells == 6
    qa, corrected = own["QA bit"].confusion, own["corrected labels"].confusion
    assert 0 < corrected.fp < qa.fp
    assert any("3 of 6 cells have none; the QA bit stands there" in note for note in own.notes)
    (some.path / "mine.json").write_text("{}")
    corrected_elsewhere = evaluate(some.path, some.reference, labels=["mine"], **quiet)
    assert corrected_elsewhere.cells == 6
    assert corrected_elsewhere["mine"].confusion == corrected


def test_it_is_said_how_labels_were_corrected_and_whether_that_was_finished(tmp_path):
    made = scored_store.make(tmp_path, cells=1)
    for record, words in (
        ({"method": "seed", "seed": 4}, "corrected labels: by the method 'seed', seed 4"),
        ({"unfinished": "a", "seed": 4}, "corrected labels: begun and not finished"),
    ):
        (made.path / "labels.json").write_text(json.dumps(record))
        found = evaluate(made.path, made.reference, baselines=False, **quiet)
        assert any(note.startswith(words) for note in found.notes)


def test_the_world_between_two_cells_costs_nothing(tmp_path):
    """Two cells on opposite sides of the Earth: nothing is read or held of what lies between."""
    lattice = Lattice.of(scored_store.RECIPE)
    store = TileStore.open(tmp_path / "tiles", scored_store.RECIPE, create=True)
    _, features, qa, _ = scored_store.scene_of(0, SIDE + 6)
    for place in ((-8999, -4400), (8998, 4400)):
        store.write_tile(Cell(*place, lattice), features, qa)
    store.close()
    here = ground.of_store(TileStore.open(tmp_path / "tiles"), 9)
    assert here.chart.grid.shape[1] > 1_300_000
    grid = Cell(8998, 4400, lattice).grid
    raster.write(tmp_path / "truth.tif", qa, grid, nodata=255, names=("water",))
    found = evaluate(tmp_path / "tiles", tmp_path / "truth.tif", **quiet)
    assert found.cells == 1
    inner = qa[3:-3, 3:-3]
    assert found["QA bit"].confusion == Confusion.of(inner, inner)


def test_only_counts_are_kept_of_a_cell(scored, monkeypatch):
    """What is held after a cell does not grow with its pixels."""
    kept = []
    add = bootstrap.Units.add

    def spy(self, place, values):
        kept.append(values.size)
        add(self, place, values)

    monkeypatch.setattr(bootstrap.Units, "add", spy)
    monkeypatch.setattr(bootstrap, "FEWEST", 1)
    evaluate(scored.path, scored.reference, **quiet)
    assert len(kept) == 6
    assert max(kept) <= 8 * 13 * 4


def test_figures_are_plain_json_csv_and_text(table, scored):
    plain = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert plain["rows"][0]["tp"] == table.rows[0].confusion.tp
    assert plain["rows"][1]["differences"]["iou"]["low"] is not None
    lines = table.to_csv().splitlines()
    assert lines[0].startswith("by,group,row,tp,fp,fn,tn,not_observed,iou,iou_low,iou_high,f1,")
    assert len(lines) == 1 + len(table.rows) + len(table.strata) + len(table.shore)
    assert lines[1].split(",")[:3] == ["all", "all", "QA bit"]
    assert "nan" not in table.to_csv()
    text = str(table)
    assert scored.reference.name in text
    assert "DSWE 3 of 5" in text
    assert max(map(len, text.splitlines())) < 140


def test_charts_are_pictures_of_everything(scored, tmp_path):
    from PIL import Image

    likely = {k: np.where(v == 255, 0.3, 0.35 + 0.3 * v) for k, v in scored.truth.items()}
    path = scored.write(tmp_path / "likely.tif", likely, fill=np.nan, dtype=np.float32)
    given = [scored.path, {"a map/of mine": path}]
    evaluate(given, scored.reference, **quiet, charts=tmp_path / "charts")
    names = {each.name for each in (tmp_path / "charts").iterdir()}
    assert names == {"scores.png", "strata.png", "shore.png", "calibration_a_map_of_mine.png"}
    for name in names:
        with Image.open(tmp_path / "charts" / name) as picture:
            assert min(picture.size) > 300
            colours = picture.convert("RGB").getcolors(1 << 20)
            assert colours is not None
            assert len(colours) > 20
    before = {name: (tmp_path / "charts" / name).read_bytes() for name in names}
    evaluate(given, scored.reference, **quiet, charts=tmp_path / "charts")
    assert before == {name: (tmp_path / "charts" / name).read_bytes() for name in names}


def test_rows_whose_names_differ_in_signs_only_have_pictures_of_their_own(tmp_path):
    truth = (np.arange(4096).reshape(64, 64) % 3 == 0).astype(np.uint8)
    one = write_map(tmp_path / "map.tif", truth, years=[2020])
    likely = write_probability(tmp_path / "likely.tif", 0.2 + 0.6 * truth, like=one)
    given = {"map": one, "a b": likely, "a_b": likely, "a/b": likely}
    evaluate(given, one, **quiet, charts=tmp_path / "charts")
    names = {each.name for each in (tmp_path / "charts").glob("calibration_*")}
    assert names == {f"calibration_a_b{number}.png" for number in ("", "_2", "_3")}


# ------------------------------------------------------------------------------------ bad input


def test_bad_input_is_refused_in_a_line(scored, tmp_path):
    away = write_map(tmp_path / "away.tif", np.ones((9, 9)))
    blank = scored.write(
        tmp_path / "blank.tif", {k: np.full_like(v, 255) for k, v in scored.truth.items()}
    )
    strange = scored.write(
        tmp_path / "strange.tif", {k: np.minimum(v, 1) * 7 for k, v in scored.truth.items()}
    )
    high = scored.write(
        tmp_path / "high.tif",
        {k: v.astype(np.float32) * 3 for k, v in scored.truth.items()},
        fill=np.nan,
        dtype=np.float32,
    )
    endless = scored.write(
        tmp_path / "endless.tif",
        {k: np.where(v == 1, np.inf, 0.5) for k, v in scored.truth.items()},
        fill=np.nan,
        dtype=np.float32,
    )
    truth, store = scored.reference, scored.path
    twins = [tmp_path / "twin" / "blank.tif", blank]
    twins[0].parent.mkdir()
    twins[0].write_bytes(blank.read_bytes())
    cases = (
        ((store, away), {}, RasterError, "away.tif lies outside"),
        ((store, blank), {}, RasterError, "blank.tif says nothing about"),
        (([store, blank], truth), {}, RasterError, "'blank' did not observe 30,636"),
        ((store, tmp_path / "no.tif"), {}, RasterError, "no such file"),
        ((tmp_path / "no", truth), {}, StoreError, "no tile store at"),
        ((tmp_path / "no.tif", truth), {}, RasterError, "no such file or folder"),
        ((tmp_path, truth), {}, StoreError, "no tile store at"),
        (([store, strange], truth), {}, RasterError, "holds the value 7, so it is no water map"),
        (([store, high], truth), {}, RasterError, "outside 0 to 1, so they are no probabilities"),
        (([store, endless], truth), {}, RasterError, "outside 0 to 1, so they are no probabi"),
        (
            (store, truth),
            {"labels": ["images"]},
            StoreError,
            "no labels in 'images'; it has labels",
        ),
        ((store, truth), {"labels": ["evidence/"]}, StoreError, "no labels in 'evidence/'; it has"),
        ((store, truth), {"labels": ["mine"]}, StoreError, "no labels in 'mine'; it has labels"),
        ((blank, truth), {"labels": ["mine"]}, RasterError, "give the tile store, too"),
        ((store, truth), {"against": "him"}, RasterError, "no row is called 'him'; there are QA b"),
        ((store, truth), {"threshold": 1.5}, RasterError, "give a probability between 0 and 1"),
        ((store, truth), {"shore": (2, 1)}, RasterError, "positive numbers, rising"),
        ((store, truth), {"shore": (1, 999)}, RasterError, "more than 256 pixels"),
        ((store, truth), {"shore_unit": "km"}, RasterError, "px or m, not 'km'"),
        ((store, truth), {"water": [1], "land": [1]}, RasterError, "1 is water and something"),
        (([store, store], truth), {}, StoreError, "a second store"),
        ((twins, truth), {}, RasterError, "two rows are called 'blank'"),
        (([], truth), {}, RasterError, "nothing is given"),
    )
    for arguments, options, kind, words in cases:
        with pytest.raises(kind, match=words.replace("(", r"\(")) as caught:
            evaluate(*arguments, **quiet, **options)
        assert "\n" not in str(caught.value), words


def test_an_empty_store_and_one_without_corrected_labels_say_what_to_do(tmp_path):
    TileStore.open(tmp_path / "empty", scored_store.RECIPE, create=True).close()
    one = write_map(tmp_path / "m.tif", np.ones((9, 9)))
    with pytest.raises(StoreError, match="no observed tile; download some first"):
        evaluate(tmp_path / "empty", one, **quiet)
    plain = scored_store.make(tmp_path, cells=1, labels=False)
    with pytest.raises(StoreError, match="has no corrected labels; `water-gee labels` makes them"):
        evaluate(plain.path, plain.reference, labels=["labels"], **quiet)


def test_labels_of_another_size_or_with_other_codes_are_refused(tmp_path):
    made = scored_store.make(tmp_path, cells=1)
    cell = made.cells[0]
    for name, side, value, words in (
        ("small", SIDE, 1, "has 74 x 74 pixels, a tile 80 x 80, margin included"),
        ("codes", SIDE + 6, 3, "holds codes other than 0 land, 1 water, 255"),
    ):
        (made.path / name).mkdir()
        grid = cell.grid.window(0, 0, side, side)
        values = np.full((side, side), value, np.uint8)
        raster.write(made.path / name / f"{cell.id}.tif", values, grid, nodata=255, names=("w",))
        with pytest.raises(StoreError, match=words):
            evaluate(made.path, made.reference, labels=[name], baselines=False, **quiet)


def made_by(recipe, scored, path):
    """A perfect map that says which recipe it was made with."""
    values = scored.whole(scored.truth)
    with rasterio.open(scored.reference) as source:
        grid = raster.Grid("EPSG:4326", source.transform, values.shape)
    tags = {"water_gee_recipe": json.dumps(recipe.to_dict())}
    raster.write(path, values, grid, nodata=255, names=("water",), tags=tags)
    return path


def test_a_map_of_another_recipe_is_scored_and_that_is_said(scored, tmp_path):
    other = made_by(scored_store.RECIPE.replace(years=[2019]), scored, tmp_path / "old.tif")
    found = evaluate([scored.path, other], scored.reference, **quiet, baselines=False)
    assert any("old: made with another recipe than the store (years: [2019] / [2020])" in note
               for note in found.notes)  # fmt: skip


def test_it_is_said_where_only_one_of_map_and_store_has_a_setting(scored, tmp_path):
    recipe = scored_store.RECIPE.replace(harmonize="rma", composite="mean")
    other = made_by(recipe, scored, tmp_path / "mean.tif")
    found = evaluate([scored.path, other], scored.reference, **quiet, baselines=False)
    (said,) = (note for note in found.notes if "made with another recipe" in note)
    assert "harmonize: 'rma' / False" in said
    assert "composite: 'mean' / 'median'" in said


def test_a_reference_of_one_class_says_so(scored, tmp_path):
    """Nothing to find, or nothing to mistake: what cannot be measured is left empty everywhere."""
    likely = {k: np.where(v == 255, 0.3, 0.35 + 0.3 * v) for k, v in scored.truth.items()}
    given = scored.write(tmp_path / "likely.tif", likely, fill=np.nan, dtype=np.float32)
    for value, words in ((0, "has no water here"), (1, "has no land here")):
        one = {k: np.where(v == 255, 255, value) for k, v in scored.truth.items()}
        path = scored.write(tmp_path / f"one{value}.tif", one)
        found = evaluate([scored.path, given], path, **quiet, charts=tmp_path / f"charts{value}")
        assert any(words in note for note in found.notes)
        assert np.isnan(found["QA bit"].scores["land_recall" if value else "recall"].value)
        assert np.isnan(found.calibrations[0].skill.value)
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert "nan" not in str(found)
        assert STEP > 0


# ------------------------------------------------------------------------------------ cells


def test_cells_are_chosen_by_id_or_by_what_a_model_has_not_seen(scored, tmp_path):
    from water_gee.training.model import TrainedModel, save
    from water_gee.training.network import pixel_cnn

    names = [cell.id for cell in scored.cells]
    two = evaluate(scored.path, scored.reference, cells=names[1:3], **quiet)
    assert two.cells == 2
    with TileStore.open(scored.path) as store:
        qa = [core(cell, store.read_mask(cell)).ravel() for cell in scored.cells[1:3]]
        recipe = store.recipe
    truth = [scored.truth[name].ravel() for name in names[1:3]]
    assert two["QA bit"].confusion == Confusion.of(np.concatenate(truth), np.concatenate(qa))
    record = {"cells": names[:5], "validation_cells": names[3:5], "validated_by": "cells"}
    save(TrainedModel(pixel_cnn(), recipe, record), tmp_path / "m.keras")
    options = {**quiet, "baselines": False, "held_out": tmp_path / "m.keras"}
    found = evaluate(scored.path, scored.reference, **options)
    assert found.cells == 3
    by_id = evaluate(scored.path, scored.reference, cells=names[3:], baselines=False, **quiet)
    assert found.to_dict() == by_id.to_dict()
    given = [scored.path, tmp_path / "m.keras"]
    seen = evaluate(given, scored.reference, baselines=False, **quiet)
    assert "m: learned from 3 of these 6 cells, which flatters it; score those held out" in (
        seen.notes
    )
    assert not any("learned" in note for note in evaluate(given, scored.reference, **options).notes)
    blocks = {"cells": names, "validation_cells": names, "validated_by": "blocks"}
    whole = TrainedModel(pixel_cnn(), recipe, blocks)
    with pytest.raises(StoreError, match="learned from every cell"):
        evaluate(scored.path, scored.reference, held_out=whole, **quiet)
    with pytest.raises(ModelError, match="does not say which cells"):
        evaluate(
            scored.path, scored.reference, held_out=TrainedModel(pixel_cnn(), recipe, {}), **quiet
        )
    with pytest.raises(StoreError, match="no observed tile of a cell 'E1'"):
        evaluate(scored.path, scored.reference, cells=["E1"], **quiet)
    with pytest.raises(StoreError, match="a map has no cells to choose from"):
        evaluate(scored.reference, scored.reference, cells=names, **quiet)


def test_scenes_of_a_cell_are_drawn_as_one(tmp_path):
    recipe = scored_store.RECIPE.replace(composite="scene")
    lattice = Lattice.of(recipe)
    _, features, qa, _ = scored_store.scene_of(0, SIDE + 6)
    cell = Cell(5300, 2600, lattice)
    with TileStore.open(tmp_path / "tiles", recipe, create=True) as store:
        for scene in ("LC08_132024_20200720", "LC08_132024_20200805"):
            store.write_tile(cell.of(scene), features, qa)
    raster.write(tmp_path / "truth.tif", qa, cell.grid, nodata=255, names=("water",))
    found = evaluate(tmp_path / "tiles", tmp_path / "truth.tif", **quiet)
    assert (found.cells, found.unit, found.units) == (1, "block", 4)
    inner = qa[3:-3, 3:-3]
    once = Confusion.of(inner, inner)
    assert found["QA bit"].confusion == once + once
