"""Points drawn from a map, and what their labels say of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from xml.etree import ElementTree

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pyproj
import pytest
from affine import Affine
from water_shapes import band_km2, blobs, write_map

from water_gee.errors import RasterError
from water_gee.mapping import maps, points, scores
from water_gee.mapping.points import draw_points, strata_of
from water_gee.mapping.pointscores import evaluate_points

PLACE = Affine(30, 0, 500_010, 0, -30, 5_800_020)
UTM = "EPSG:32648"
quiet = {"progress": False}


@pytest.fixture
def mapped(tmp_path):
    values = blobs(1, (300, 400), share=0.2)
    return write_map(tmp_path / "map.tif", values, crs=UTM, transform=PLACE), values


def places(path, layer="points"):
    """Rows and columns of a file's points."""
    table = geopandas.read_file(path, layer=layer)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(
        table.geometry.x, table.geometry.y
    )
    return table, (5_800_020 - np.asarray(y)) / 30, (np.asarray(x) - 500_010) / 30


def answered(path, says, layer="points"):
    """Fill in the answers: `says` gives them of (row, col)."""
    table, rows, cols = places(path, layer)
    table["reference"] = [says(int(r), int(c)) for r, c in zip(rows, cols, strict=True)]
    pyogrio.write_dataframe(table, path, layer=layer, driver="GPKG")
    return path


# ------------------------------------------------------------------------------------ drawing


def test_points_are_pixel_centres_of_their_stratum_each_once(mapped, tmp_path):
    path, values = mapped
    drawn = draw_points(path, tmp_path / "p.gpkg", number=300, show_class=True, **quiet)
    table, rows, cols = places(tmp_path / "p.gpkg")
    assert np.abs(rows % 1 - 0.5).max() < 1e-4
    assert np.abs(cols % 1 - 0.5).max() < 1e-4
    codes = values[rows.astype(int), cols.astype(int)]
    assert list(np.where(codes == 1, "water", "land")) == list(table["map_class"])
    assert len(set(zip(rows.astype(int), cols.astype(int), strict=True))) == 300
    assert drawn.points == {"land": int((codes == 0).sum()), "water": int((codes == 1).sum())}
    assert list(table["id"]) == list(range(1, 301))
    assert table["lon"].to_numpy() == pytest.approx(table.geometry.x.to_numpy())
    assert table["reference"].isna().all()
    # The order gives nothing away.
    first = (codes[:100] == 1).mean()
    assert abs(first - (codes == 1).mean()) < 0.15


def test_the_class_is_hidden_unless_asked_for(mapped, tmp_path):
    draw_points(mapped[0], tmp_path / "p.gpkg", number=50, **quiet)
    table = geopandas.read_file(tmp_path / "p.gpkg", layer="points")
    assert list(table.columns) == ["id", "lon", "lat", "reference", "note", "geometry"]


def test_rare_strata_get_their_minimum_and_the_others_share_by_area(tmp_path):
    values = np.zeros((200, 200), np.uint8)
    values[:, :10] = 1
    path = write_map(tmp_path / "map.tif", values, crs=UTM, transform=PLACE)
    drawn = draw_points(path, tmp_path / "p.gpkg", number=500, **quiet)
    assert drawn.points == {"land": 450, "water": 50}
    more = draw_points(path, tmp_path / "p.gpkg", number=500, minimum=100, **quiet)
    assert more.points == {"land": 400, "water": 100}
    many = draw_points(path, tmp_path / "p.gpkg", number=4000, **quiet)
    assert many.points == {"land": 3800, "water": 200}
    few = draw_points(path, tmp_path / "p.gpkg", number=8, **quiet)
    assert few.points == {"land": 6, "water": 2}
    # 3 columns of water and 3 of land within two and a half pixels of the shore.
    near = draw_points(path, tmp_path / "p.gpkg", number=400, near_shore=2.5, **quiet)
    assert near.points["land"] > 50
    assert [near.points[name] for name in points.STRATA[1:]] == [50, 50, 50]
    all_water = draw_points(path, tmp_path / "p.gpkg", number=4200, minimum=2100, **quiet)
    assert all_water.points == {"land": 2200, "water": 2000}


def test_strata_near_the_shore_are_those_of_brute_force():
    codes = blobs(4, (40, 50), share=0.3)
    found = strata_of(codes, 3)
    rows, cols = np.indices(codes.shape)
    for row in range(0, 40, 3):
        for col in range(50):
            own = codes[row, col]
            if own == 255:
                assert found[row, col] == 255
                continue
            other = codes == 1 - own
            away = np.hypot(rows - row, cols - col)[other].min() - 0.5
            assert found[row, col] == (own + 2 if away <= 3 else own)
    assert (strata_of(codes, 0) == codes).all()
    dry = np.zeros((9, 9), np.uint8)
    assert (strata_of(dry, 3) == 0).all()


def test_windows_leave_no_trace_in_strata(mapped, monkeypatch):
    path, values = mapped
    monkeypatch.setattr(maps, "WINDOW", 64)
    whole = strata_of(values, 4)
    for core, codes in points.windows_of(maps.open_map(path), 4, progress=False):
        assert np.array_equal(codes, whole[core.slices])


def test_every_pixel_of_a_stratum_has_a_chance_by_its_area(tmp_path):
    """Rows at 0° and 75° N: pixels there have about a quarter of the area, and of the points."""
    values = np.ones((2, 3), np.uint8)
    values[:, 0] = 0
    path = write_map(tmp_path / "m.tif", values, transform=Affine(1, 0, 0, 0, -38, 76))
    areas = [band_km2(38, 76, 1), band_km2(0, 38, 1)]
    drawn = np.zeros(2)
    for seed in range(600):
        kept = points._pass(maps.open_map(path), 1, 0, seed, progress=False)
        drawn[int(kept.best[1][1][0])] += 1
    share = areas[0] / sum(areas)
    assert drawn[0] / 600 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 600))


def test_labelled_points_are_not_drawn_over(mapped, tmp_path):
    out = tmp_path / "p.gpkg"
    draw_points(mapped[0], out, number=30, **quiet)
    answered(out, lambda row, col: "water" if row < 100 else None)
    table, rows, _ = places(out)
    with pytest.raises(RasterError, match=rf"{(rows < 100).sum()} labelled point"):
        draw_points(mapped[0], out, number=30, **quiet)
    assert places(out)[0].equals(table)
    answered(out, lambda row, col: None)
    draw_points(mapped[0], out, number=40, **quiet)
    assert len(places(out)[0]) == 40


def test_points_of_a_map_without_water_are_no_sample_of_one_with_water(mapped, tmp_path):
    path, values = mapped
    dry = write_map(tmp_path / "dry.tif", np.zeros_like(values), crs=UTM, transform=PLACE)
    draw_points(dry, tmp_path / "p.gpkg", number=200, **quiet)
    answered(tmp_path / "p.gpkg", lambda row, col: "land")
    with pytest.raises(
        RasterError, match=r"not drawn from .* none of its points were drawn from w"
    ):
        evaluate_points(path, tmp_path / "p.gpkg", **quiet)


def test_a_point_without_a_place_is_named(mapped, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("lon,lat,reference\n105,52.3,water\n,52.3,land\n")
    with pytest.raises(RasterError, match="lon of point 2 is '', not degrees"):
        evaluate_points(mapped[0], path, **quiet)


def test_the_file_brings_its_form_and_its_colours(mapped, tmp_path):
    draw_points(mapped[0], tmp_path / "p.gpkg", number=30, **quiet)
    with contextlib.closing(sqlite3.connect(tmp_path / "p.gpkg")) as database:
        ((layer, qml),) = database.execute("SELECT f_table_name, styleQML FROM layer_styles")
    assert layer == "points"
    root = ElementTree.fromstring(qml)
    assert [each.get("value") for each in root.iter("category")] == ["water", "land", ""]
    (field,) = root.iter("field")
    assert field.get("name") == "reference"
    widget = field.find("editWidget")
    assert widget is not None
    assert widget.get("type") == "ValueMap"
    picks = [each.get("value") for each in widget.iter("Option") if each.get("value")]
    assert picks == ["water", "land"]
    assert "design" in {str(name) for name, _ in pyogrio.list_layers(tmp_path / "p.gpkg")}


def test_equal_seeds_draw_equal_points_and_files(mapped, tmp_path):
    files = [tmp_path / f"{name}.gpkg" for name in "abc"]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        draw_points(mapped[0], path, number=80, near_shore=2, seed=seed, **quiet)
    one, two, other = (geopandas.read_file(path, layer="points") for path in files)
    assert one.equals(two)
    assert not one.geometry.equals(other.geometry)
    assert files[0].read_bytes() == files[1].read_bytes()


# ------------------------------------------------------------------------------------ estimating


def test_a_sample_of_a_known_map_gives_its_known_scores(mapped, tmp_path):
    """The truth is the map with other shores: estimates lie within three standard errors."""
    path, values = mapped
    truth = np.roll(values, 2, axis=1)
    truth[truth == 255] = 0
    seen = values != 255
    found_both = ((values == 1) & (truth == 1) & seen).sum()
    exact = {
        "accuracy": (values == truth)[seen].mean(),
        "precision": found_both / (values == 1).sum(),
        "recall": found_both / ((truth == 1) & seen).sum(),
        "iou": found_both / (((values == 1) | (truth == 1)) & seen).sum(),
    }
    for near in (0, 2):
        sample = tmp_path / f"p{near}.gpkg"
        draw_points(path, sample, number=900, near_shore=near, minimum=150, **quiet)
        answered(sample, lambda row, col: "water" if truth[row, col] == 1 else "Land ")
        found = evaluate_points(path, sample, **quiet)
        for name, value in exact.items():
            one = getattr(found, name)
            assert abs(one.value - value) < 3 * one.error, (near, name)
            assert 0 < one.error < 0.06
        km2 = ((truth == 1) & seen).sum() * 900 / 1e6
        assert abs(found.water_km2.value - km2) < 3 * found.water_km2.error
        assert found.map_water_km2 == pytest.approx((values == 1).sum() * 900 / 1e6, rel=2e-3)
        assert found.left_out == 0
        assert found.notes == ()
    assert found.strata[3][0] == "water near the shore"


def test_figures_are_those_of_the_counts(mapped, tmp_path):
    path, values = mapped
    draw_points(path, tmp_path / "p.gpkg", number=200, **quiet)
    random = np.random.default_rng(0)
    answers = {}
    counts = np.zeros((2, 2))

    def says(row, col):
        said = int(random.random() < (0.9 if values[row, col] == 1 else 0.03))
        if random.random() < 0.1:
            return None
        counts[values[row, col], said] += 1
        answers[row, col] = said
        return str(said)

    answered(tmp_path / "p.gpkg", says)
    found = evaluate_points(path, tmp_path / "p.gpkg", **quiet)
    km2 = np.array([(values == k).sum() * 900 / 1e6 for k in (0, 1)])
    expected = scores.of_sample(counts, km2)
    assert found.accuracy.value == pytest.approx(expected["accuracy"].value, rel=2e-3)
    assert found.accuracy.error == pytest.approx(expected["accuracy"].error, rel=2e-3)
    assert found.recall.error == pytest.approx(expected["recall"].error, rel=5e-3)
    assert found.precision.value == pytest.approx(expected["precision"].value)
    assert found.left_out == 200 - counts.sum() > 0
    assert "points have no answer" in found.notes[0]
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["accuracy"]["high"] <= 1
    assert "user's accuracy of water" in str(found)


def test_points_of_others_count_by_the_maps_classes(mapped, tmp_path):
    path, values = mapped
    sample = tmp_path / "p.gpkg"
    draw_points(path, sample, number=200, **quiet)
    answered(sample, lambda row, col: str(values[row, col]))
    table, _, _ = places(sample)
    plain = pd.DataFrame(table.drop(columns="geometry"))
    plain.to_csv(tmp_path / "p.csv", index=False)
    table.to_file(tmp_path / "p.geojson", driver="GeoJSON")
    own = evaluate_points(path, sample, **quiet)
    for name in ("p.csv", "p.geojson"):
        found = evaluate_points(path, tmp_path / name, **quiet)
        assert found.accuracy.value == 1
        assert found.water_km2.value == pytest.approx(own.water_km2.value)
        assert "nothing says how the points were drawn" in found.notes[0]


# ------------------------------------------------------------------------------------ bad input


def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(tmp_path):
    values = np.zeros((50, 60), np.uint8)
    values[3, 3] = 1
    one = write_map(tmp_path / "one.tif", values)
    blank = write_map(tmp_path / "blank.tif", np.full((9, 9), 255))
    good = write_map(tmp_path / "good.tif", blobs(2, (60, 60)))
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "p.gpkg"
    for arguments, options, words in (
        ((one, out), {}, "the stratum 'water' has 1 pixel"),
        ((blank, out), {}, "has no observed pixel"),
        ((good, out), {"number": 3}, "3 points do not give each of 2 strata 2"),
        ((good, out), {"number": 90, "minimum": 50}, "90 points do not give each of 2 strata 50"),
        ((good, out), {"near_shore": 101}, "give 0 to 100"),
        ((good, tmp_path / "p.shp"), {}, "name it .gpkg"),
        ((tmp_path / "no.tif", out), {}, "no such file"),
        ((good, tmp_path / "no" / "p.gpkg"), {}, "does not exist"),
    ):
        with pytest.raises(RasterError, match=words) as caught:
            draw_points(*arguments, **quiet, **options)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_labels_that_cannot_be_counted_are_refused(mapped, tmp_path):
    path, values = mapped
    sample = tmp_path / "p.gpkg"
    draw_points(path, sample, number=60, **quiet)
    with pytest.raises(RasterError, match="answers in 'reference' for 0 point"):
        evaluate_points(path, sample, **quiet)
    with pytest.raises(RasterError, match="no column 'mine'; it has id, lon, lat, reference"):
        evaluate_points(path, sample, column="mine", **quiet)
    answered(sample, lambda row, col: "swamp" if row % 2 else "water")
    with pytest.raises(RasterError, match="the answer 'swamp' is neither water nor land"):
        evaluate_points(path, sample, **quiet)
    once = []

    def only_one(row, col):
        if values[row, col] == 1:
            once.append(row)
        return "water" if values[row, col] == 0 or len(once) == 1 else None

    answered(sample, only_one)
    with pytest.raises(RasterError, match=r"for 1 point\(s\) of the map's water"):
        evaluate_points(path, sample, **quiet)
    other = write_map(tmp_path / "other.tif", 1 - np.minimum(values, 1), crs=UTM, transform=PLACE)
    answered(sample, lambda row, col: "water")
    with pytest.raises(RasterError, match=r"was not drawn from .*other.tif, but from map.tif"):
        evaluate_points(other, sample, **quiet)
    away = write_map(tmp_path / "away.tif", values)
    with pytest.raises(RasterError, match="no point of"):
        evaluate_points(away, sample, **quiet)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RasterError, match="needs columns lon and lat"):
        evaluate_points(path, tmp_path / "x.csv", **quiet)
    with pytest.raises(RasterError, match="no such file"):
        evaluate_points(path, tmp_path / "no.gpkg", **quiet)
    shapes = geopandas.points_from_xy([105.0], [52.0]).buffer(1)
    table = geopandas.GeoDataFrame({"reference": ["water"]}, geometry=shapes, crs="EPSG:4326")
    table.to_file(tmp_path / "shapes.gpkg")
    with pytest.raises(RasterError, match="holds other shapes than points"):
        evaluate_points(path, tmp_path / "shapes.gpkg", **quiet)


def test_missing_points_are_told_of(mapped, tmp_path):
    path, values = mapped
    sample = tmp_path / "p.gpkg"
    draw_points(path, sample, number=60, **quiet)
    answered(sample, lambda row, col: str(values[row, col]))
    table = geopandas.read_file(sample, layer="points")
    pyogrio.write_dataframe(table[5:], sample, layer="points", driver="GPKG")
    found = evaluate_points(path, sample, **quiet)
    assert found.notes == ("5 of the points drawn are missing from the file",)
