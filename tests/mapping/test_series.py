"""Series of maps: tables, changes, occurrence; nothing not observed is ever gained or lost."""

from __future__ import annotations

import csv
import json

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from water_shapes import STEP, band_km2, blobs, write_map, write_probability

from water_gee import raster
from water_gee.errors import RasterError
from water_gee.mapping import changes
from water_gee.mapping.periods import Period, check_distinct
from water_gee.mapping.series import series

PIXEL = band_km2(52 - 40 * STEP, 52, 40 * STEP) / 1600
CODES = st.sampled_from([0, 1, 255])


def table(path):
    with path.open() as handle:
        return list(csv.DictReader(handle))


def read(path):
    return raster.read(path).values[0]


@pytest.fixture
def maps(tmp_path):
    """Three years of 40 x 40 pixels: a lake that grows, a pond that goes, clouds in 2019."""
    found = {}
    for year, size in ((2018, 10), (2019, 15), (2020, 20)):
        values = np.zeros((40, 40), np.uint8)
        values[5 : 5 + size, 5:25] = 1
        values[30:34, 30:34] = year == 2018
        if year == 2019:
            values[:, 20:23] = 255
        found[year] = write_map(tmp_path / f"map_{year}.tif", values, years=[year])
    return found


def test_the_table_has_a_row_for_each_year(tmp_path, maps):
    made = series(maps, tmp_path / "out")
    rows = table(made.areas)
    assert [row["period"] for row in rows] == ["2018", "2019", "2020"]
    water = [float(row["water_km2"]) for row in rows]
    assert water == pytest.approx([216 * PIXEL, 255 * PIXEL, 400 * PIXEL], rel=1e-3)
    assert float(rows[1]["high_km2"]) == pytest.approx((255 + 120) * PIXEL, rel=1e-3)
    assert float(rows[1]["low_km2"]) == float(rows[1]["water_km2"])
    shares = [float(row["observed_share"]) for row in rows]
    assert shares == pytest.approx([1, 1480 / 1600, 1], rel=1e-4)
    assert [row["sd_km2"] for row in rows] == ["", "", ""]


def test_water_on_common_pixels_leaves_out_what_one_year_did_not_see(tmp_path, maps):
    rows = table(series(maps, tmp_path / "out").areas)
    common = [float(row["common_water_km2"]) for row in rows]
    assert common == pytest.approx([n * PIXEL for n in (186, 255, 340)], rel=1e-3)
    assert float(rows[0]["common_km2"]) == pytest.approx(1480 * PIXEL, rel=1e-3)


def test_changes_say_both_figures_and_their_bounds(tmp_path, maps):
    made = series(maps, tmp_path / "out", pairs="steps")
    first, second = table(made.changes)
    assert (first["from"], first["to"], second["to"]) == ("2018", "2019", "2020")
    figures = {name: float(value) / PIXEL for name, value in first.items() if "km2" in name}
    expected = {
        "water_from_km2": 216,
        "water_to_km2": 255,
        "common_water_from_km2": 186,
        "common_water_to_km2": 255,
        "gain_km2": 85,
        "loss_km2": 16,
        "net_km2": 69,
        "net_low_km2": 69 - 30,
        "net_high_km2": 69 + 90,
        "water_in_both_km2": 170,
        "land_in_both_km2": 1480 - 85 - 16 - 170,
        "common_km2": 1480,
        "not_comparable_km2": 120,
    }
    assert figures == pytest.approx(expected, rel=2e-3)


def test_the_change_map_has_its_codes_names_and_colours(tmp_path, maps):
    made = series(maps, tmp_path / "out", pairs=[(2018, 2019)])
    path = made.out / "change_2018_2019.tif"
    codes = read(path)
    assert set(np.unique(codes)) == {0, 1, 2, 3, 255}
    assert (codes[:, 20:23] == 255).all()
    assert (codes[30:34, 30:34] == 3).all()
    assert (codes[15:20, 5:20] == 2).all()
    with rasterio.open(path) as source:
        assert source.nodata == 255
        assert source.colormap(1)[2][:3] == (0, 158, 115)
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    style = path.with_suffix(".qml").read_text()
    assert 'label="gain: land became water"' in style
    item = json.loads(path.with_suffix(".json").read_text())
    assert item["properties"]["start_datetime"].startswith("2018-01-01")
    assert item["properties"]["end_datetime"].startswith("2019-12-31")
    assert {"map", "style", "polygons", "picture"} <= set(item["assets"])


def test_gain_and_loss_are_polygons(tmp_path, maps):
    made = series(maps, tmp_path / "out")
    shapes = geopandas.read_file(made.out / "change_2018_2020.gpkg", layer="change")
    assert list(shapes["kind"]) == ["gain", "loss"]
    assert shapes.area_m2.to_numpy() / 1e6 == pytest.approx([200 * PIXEL, 16 * PIXEL], rel=1e-3)
    assert set(shapes.period_from) == {"2018"}
    assert list(shapes["id"]) == [1, 2]


def test_a_series_without_change_has_an_empty_layer(tmp_path):
    values = blobs(1, shape=(40, 40))
    maps = {y: write_map(tmp_path / f"{y}.tif", values) for y in (2001, 2002)}
    made = series(maps, tmp_path / "out")
    shapes = geopandas.read_file(made.out / "change_2001_2002.gpkg", layer="change")
    assert len(shapes) == 0
    assert {"id", "kind", "area_m2"} <= set(shapes.columns)


def test_occurrence_is_the_share_of_the_years_that_saw_a_pixel(tmp_path, maps):
    made = series(maps, tmp_path / "out")
    percent, seen = read(made.out / "occurrence.tif"), read(made.out / "observations.tif")
    assert percent[6, 6] == 100
    assert percent[17, 6] == 67
    assert percent[22, 6] == 33
    assert percent[30, 30] == 33
    assert percent[39, 39] == 0
    assert percent[6, 21] == 100
    assert percent[17, 21] == 50
    assert set(np.unique(seen)) == {2, 3}
    assert (seen[:, 20:23] == 2).all()


def test_months_tell_permanent_from_seasonal_water(tmp_path):
    maps = {}
    for month in (5, 6, 7):
        values = np.zeros((20, 20), np.uint8)
        values[:5] = 1
        values[5:10] = month == 6
        values[:, 0] = 255 if month != 5 else values[:, 0]
        values[:, 19] = 255
        maps[f"2020-0{month}"] = write_map(tmp_path / f"m{month}.tif", values)
    made = series(maps, tmp_path / "out")
    kind, months = (read(made.out / f"seasonality_2020{end}.tif") for end in ("", "_months"))
    assert (kind[:5, :19] == 2).all()
    assert (kind[5:10, 1:19] == 1).all()
    assert (kind[10:, :19] == 0).all()
    assert (kind[:, 19] == 255).all()
    assert kind[7, 0] == 0
    assert months[0, 5] == 3
    assert months[7, 5] == 1
    assert months[0, 0] == 1
    assert (months[:, 19] == 255).all()
    assert [row["period"] for row in table(made.areas)] == ["2020-05", "2020-06", "2020-07"]


def test_probabilities_beside_the_maps_give_standard_deviations(tmp_path, maps):
    for year, path in maps.items():
        likely = np.full((40, 40), 0.5 + 0.1 * (year - 2018), np.float32)
        write_probability(path.with_name(f"map_{year}_probability.tif"), likely, like=path)
    rows = table(series(maps, tmp_path / "out").areas)
    assert float(rows[0]["sd_km2"]) == pytest.approx(7 * PIXEL * np.sqrt(1600 * 0.25), rel=1e-3)
    assert float(rows[2]["expected_km2"]) == pytest.approx(1600 * 0.7 * PIXEL, rel=1e-3)
    rows = table(series(maps, tmp_path / "out", probability=False).areas)
    assert rows[0]["sd_km2"] == ""


def test_pictures_are_drawn_unless_unwanted(tmp_path, maps):
    made = series(maps, tmp_path / "out")
    for name in ("areas.png", "change_2018_2020.png"):
        content = (made.out / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) < 200_000
    bare = series(maps, tmp_path / "bare", plots=False)
    assert not list(bare.out.glob("*.png"))


def test_equal_maps_give_equal_files(tmp_path, maps):
    made = [series(maps, tmp_path / name) for name in ("a", "b")]
    assert len(made[0].files) == len(made[1].files) > 10
    for one, other in zip(made[0].files, made[1].files, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_windows_leave_no_trace(tmp_path, monkeypatch):
    maps = {y: write_map(tmp_path / f"{y}.tif", blobs(y, (400, 300))) for y in (2001, 2002, 2003)}
    whole = series(maps, tmp_path / "whole", plots=False)
    monkeypatch.setattr("water_gee.mapping.series._STACK_BYTES", 1)
    cut = series(maps, tmp_path / "cut", plots=False)
    for name in ("change_2001_2003", "occurrence", "observations"):
        one, other = (read(made.out / f"{name}.tif") for made in (whole, cut))
        assert np.array_equal(one, other)
    for one, other in zip(whole.change_rows, cut.change_rows, strict=True):
        figures = {k: v for k, v in one.items() if isinstance(v, float)}
        assert figures == pytest.approx({k: other[k] for k in figures}, rel=1e-12)


# ------------------------------------------------------------------------------ pixel by pixel


@settings(derandomize=True, deadline=None, max_examples=60)
@given(arrays(np.uint8, (2, 4, 5), elements=CODES))
def test_bounds_hold_whatever_was_not_observed(stack):
    """Every way to fill what was not observed, drawn many times, stays within the bounds."""
    first, last = stack
    ground = np.ones((4, 1)) * 1e6
    sums = changes.ChangeSums()
    sums.add(first, last, changes.change(first, last), ground)
    row = sums.row()
    random = np.random.default_rng(0)
    for share in (0.0, 0.5, 1.0):
        full = [np.where(m == 255, random.random(m.shape) < share, m) for m in (first, last)]
        net = int(full[1].sum()) - int(full[0].sum())
        assert row["net_low_km2"] - 1e-9 <= net <= row["net_high_km2"] + 1e-9
    extremes = [np.where(first == 255, f, first) for f in (0, 1)]
    gone = int(np.where(last == 255, 0, last).sum()) - int(extremes[1].sum())
    come = int(np.where(last == 255, 1, last).sum()) - int(extremes[0].sum())
    assert (row["net_low_km2"], row["net_high_km2"]) == pytest.approx((gone, come))
    assert row["common_km2"] + row["not_comparable_km2"] == pytest.approx(20)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(arrays(np.uint8, (5, 3, 4), elements=CODES))
def test_occurrence_and_seasonality_never_count_what_was_not_observed(stack):
    percent, seen = changes.occurrence(stack)
    months, kind = changes.seasonality(stack)
    for index in np.ndindex(3, 4):
        values = stack[(slice(None), *index)]
        known = values[values != 255]
        assert seen[index] == len(known)
        if len(known) == 0:
            assert percent[index] == months[index] == kind[index] == 255
            continue
        assert percent[index] == round(100 * known.mean())
        assert months[index] == known.sum()
        assert kind[index] == (0 if not known.any() else 2 if known.all() else 1)


# ------------------------------------------------------------------------------ bad input


def test_maps_on_other_grids_are_refused_with_both_named(tmp_path, maps):
    shifted = write_map(
        tmp_path / "shifted.tif",
        np.zeros((40, 40)),
        transform=Affine(STEP, 0, 104.0 + STEP / 3, 0, -STEP, 52.0),
    )
    small = write_map(tmp_path / "small.tif", np.zeros((40, 39)))
    utm = write_map(tmp_path / "utm.tif", np.zeros((40, 40)), crs="EPSG:32648")
    for other, words in ((shifted, "corners"), (small, "40 x 39 pixels"), (utm, "EPSG:32648")):
        with pytest.raises(RasterError, match=words) as caught:
            series({2018: maps[2018], 2021: other}, tmp_path / "out")
        assert "map_2018.tif" in str(caught.value)
        assert other.name in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("years", "words"),
    [
        ([(2018, 2018), ("2018", 2019)], "2018 is given twice"),
        ([(2018, 2018)], "two maps or more, not 1"),
        ([], "two maps or more, not 0"),
        ([("summer", 2018), (2019, 2019)], "'summer' is no year"),
        ([("2020-13", 2018), (2019, 2019)], "'2020-13' is no year"),
        ([("2018-07", 2018), (2019, 2019)], "years and months are mixed"),
    ],
)
def test_years_that_make_no_series_are_refused(tmp_path, maps, years, words):
    with pytest.raises(RasterError, match=words):
        series([(key, maps[year]) for key, year in years], tmp_path / "out")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(2018, 2030)], "no map of 2030 to compare; there are 2018, 2019, 2020"),
        ([(2018, 2018)], "compared with itself"),
        ("all", "use 'ends', 'steps' or pairs"),
    ],
)
def test_pairs_that_are_not_there_are_refused(tmp_path, maps, pairs, words):
    with pytest.raises(RasterError, match=words):
        series(maps, tmp_path / "out", pairs=pairs)


def test_what_is_no_water_map_leaves_nothing_behind(tmp_path, maps):
    values = np.zeros((40, 40))
    values[39, 39] = 9
    bad = write_map(tmp_path / "bad.tif", values)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RasterError, match=r"bad\.tif holds the value 9"):
        series({**maps, 2021: bad}, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_failure_leaves_an_older_series_as_it_was(tmp_path, maps, monkeypatch):
    made = series(maps, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in made.files}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("water_gee.mapping.styles.add_to_geopackage", full)
    with pytest.raises(RasterError, match="disk is full"):
        series(maps, tmp_path / "out", pairs="steps")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path, maps):
    with pytest.raises(RasterError, match="nowhere does not exist"):
        series(maps, tmp_path / "nowhere" / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(RasterError, match="is a file"):
        series(maps, tmp_path / "file")


# ------------------------------------------------------------------------------ periods


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("map_2018.tif", Period(2018)),
        ("2019.tif", Period(2019)),
        ("water-2020-07.tif", Period(2020, 7)),
        ("water_2020_07_v2.tif", Period(2020, 7)),
        ("LC08_20200701.tif", None),
        ("map.tif", None),
        ("map_2018_2020.tif", None),
    ],
)
def test_file_names_say_their_year_or_do_not(name, period):
    assert Period.in_name(name) == period


def test_periods_sort_by_time_and_print_as_written():
    found = sorted(map(Period.of, ("2020-11", "2020-02", "2019-12")))
    assert [str(period) for period in found] == ["2019-12", "2020-02", "2020-11"]
    assert Period.of(2020) == Period.of(" 2020 ")
    assert str(Period(2020, 2).days[1]) == "2020-02-29"
    check_distinct(found)
