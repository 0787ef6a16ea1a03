"""What a deployment is to make."""

from __future__ import annotations

import time

import pytest

from water_gee.deploy.plan import area_of, plan_for
from water_gee.errors import AoiError, DeployError, GridError, RecipeError
from water_gee.imagery.recipe import Recipe
from water_gee.training.model import TrainedModel

ASSET = "projects/local/assets/water"


class Weights:
    """Stands for a network: a plan only asks for its digest."""

    weights = ()


def trained(recipe=None, **record):
    return TrainedModel(Weights(), recipe or Recipe(), record)


def test_the_area_given_is_mapped_in_whole_cells():
    found = area_of(trained(), (149.05, -35.35, 149.20, -35.25))
    assert found.count > 1
    west, south, east, north = found.grid.bounds
    assert west <= 149.05 < 149.20 <= east
    assert south <= -35.35 < -35.25 <= north


def test_without_an_area_the_cells_of_the_record_are_mapped():
    found = area_of(trained(cells=["E0.000_N0.000", "E0.135_N0.000"]), None)
    assert [cell.id for cell in found.spread(9)] == ["E0.000_N0.000", "E0.135_N0.000"]


def test_neither_area_nor_record_is_refused():
    with pytest.raises(DeployError, match="give the area to map"):
        area_of(trained(), None)


def test_an_area_that_is_none_and_a_record_that_is_broken_are_refused():
    with pytest.raises(AoiError):
        area_of(trained(), "nowhere at all")
    with pytest.raises(GridError):
        area_of(trained(cells=["Atlantis"]), None)


def plan(recipe=None, years=None, cells=("E0.000_N0.000",), **options):
    return plan_for(trained(recipe, cells=list(cells)), ASSET, None, years, **options)


def maps(*given, **options):
    return list(plan(*given, **options))


def test_without_years_there_is_one_map_of_all_the_years_of_the_recipe():
    (only,) = maps(Recipe(years=(2018, 2019, 2020)))
    assert only.asset_id == ASSET
    assert only.recipe.years == (2018, 2019, 2020)
    assert only.properties["years"] == "2018,2019,2020"


def test_one_year_is_one_map_under_the_id_itself():
    (only,) = maps(years=2021)
    assert (only.asset_id, only.recipe.years) == (ASSET, (2021,))
    assert maps(years=[2021])[0].job == only.job


def test_several_years_are_maps_below_the_id():
    found = maps(years=[2021, 2019, 2021])
    assert [each.asset_id for each in found] == [f"{ASSET}/2019", f"{ASSET}/2021"]
    assert [each.recipe.years for each in found] == [(2019,), (2021,)]


def test_no_years_and_wrong_years_are_refused():
    with pytest.raises(DeployError, match="no years"):
        maps(years=[])
    with pytest.raises(RecipeError, match="years"):
        maps(years=[20])


def test_times_are_the_season_in_milliseconds():
    (summer,) = maps(Recipe(months=(6, 7, 8)), years=2021)
    assert summer.properties["system:time_start"] == 1_622_505_600_000  # 2021-06-01T00:00Z
    assert summer.properties["system:time_end"] == 1_630_454_400_000  # 2021-09-01T00:00Z
    (winter,) = maps(Recipe(months=(11, 12)), years=2021)
    assert winter.properties["system:time_end"] == 1_640_995_200_000  # 2022-01-01T00:00Z
    (over,) = maps(Recipe(months=(12, 1, 2)), years=2022)
    assert over.properties["system:time_start"] == 1_638_316_800_000  # 2021-12-01T00:00Z
    assert over.properties["system:time_end"] == 1_646_092_800_000  # 2022-03-01T00:00Z


def test_a_job_is_the_same_for_the_same_map_and_another_for_any_other():
    base = maps(years=2021)[0]
    assert maps(years=2021)[0].job == base.job
    others = [
        maps(years=2022)[0],
        maps(Recipe(months=(7,)), years=2021)[0],
        maps(years=2021, cells=("E0.135_N0.000",))[0],
        maps(years=2021, probability=False)[0],
    ]
    assert len({base.job, *(each.job for each in others)}) == 5


def test_the_order_of_the_cells_does_not_matter():
    names = ("E0.000_N0.000", "E0.135_N0.000")
    assert maps(cells=names)[0].job == maps(cells=names[::-1])[0].job


def test_a_task_is_called_by_letters_the_service_takes_and_by_its_target():
    (one,) = plan_for(trained(cells=["E0.000_N0.000"]), ASSET, None, 2021)
    (two,) = plan_for(trained(cells=["E0.000_N0.000"]), ASSET + "2", None, 2021)
    assert one.description != two.description
    assert len(one.description) <= 100
    assert one.description.replace("_", "").replace("-", "").isalnum()
    assert len(f"{one.mark}-999") <= 60  # the longest requestId


TWO = ("E0.000_N0.000", "E0.135_N0.000")


def test_tiles_of_one_year_are_a_collection_with_the_cell_in_their_names():
    found = maps(years=2021, cells=TWO, max_pixels=501**2)
    assert [each.asset_id for each in found] == [
        f"{ASSET}/2021_E0p000_N0p000",
        f"{ASSET}/2021_E0p135_N0p000",
    ]
    assert {each.label for each in found} == {"2021"}
    assert len({each.job for each in found}) == 2


def test_tiles_of_several_years_together_are_named_by_them():
    years = Recipe(years=(2018, 2019, 2020))
    found = maps(years, cells=TWO, max_pixels=501**2)
    assert found[0].asset_id == f"{ASSET}/2018-2020_E0p000_N0p000"
    found = maps(Recipe(years=(2016, 2020)), cells=TWO, max_pixels=501**2)
    assert found[0].asset_id == f"{ASSET}/2016-2020_E0p000_N0p000"
    assert found[0].properties["years"] == "2016,2020"


def test_an_asset_says_which_pixels_it_has():
    (first, _) = maps(years=2021, cells=TWO, max_pixels=501**2)
    assert first.properties["water_gee_pixels"] == "0,0,501,501"


def test_quarters_are_named_after_what_they_are_of():
    (first, _) = maps(years=[2020, 2021])
    names = [each.asset_id for each in first.quarters()]
    assert names == [f"{ASSET}/2020_{corner}" for corner in ("nw", "ne", "sw", "se")]
    again = [each.asset_id for each in first.quarters()[2].quarters()]
    assert again[0] == f"{ASSET}/2020_sw_nw"
    (tile, _) = maps(years=2021, cells=TWO, max_pixels=501**2)
    assert tile.quarters()[3].asset_id == f"{ASSET}/2021_E0p000_N0p000_se"
    jobs = {each.job for each in (first, *first.quarters(), *first.quarters()[2].quarters())}
    assert len(jobs) == 9


def test_a_plan_of_a_continent_over_nine_years_is_there_in_seconds():
    begun = time.perf_counter()
    large = plan_for(trained(), ASSET, (10, 10, 30, 30), range(2016, 2025))
    table = large.table()
    assert len(list(large)) == len(large)
    assert time.perf_counter() - begun < 5
    assert large.pixels == 9 * (149 * 501) ** 2
    assert large.bytes == 5 * large.pixels
    assert all(tile.box.pixels <= 10**8 for tile in large.tiles)
    lines = table.splitlines()
    assert "22,201 cells" in lines[0]
    assert [line.split()[0] for line in lines[1:12]] == [
        "year", *(str(year) for year in range(2016, 2025)), "all"
    ]  # fmt: skip
    assert f"{len(large):,}" in lines[11]
    assert "nobody knows" in lines[-1]
    assert "a project may store 10,000 assets and 250 GB" in table  # it has 251
    assert "may store" not in plan(years=2020).table()


def test_years_that_are_no_list_are_refused():
    with pytest.raises(DeployError, match="a year or several"):
        maps(years=20.5)


def test_a_deployment_is_the_same_for_the_same_call_only():
    base = plan(years=[2019, 2020]).digest
    assert plan(years=[2020, 2019]).digest == base
    others = [
        plan(years=[2019, 2021]),
        plan(years=[2019, 2020], digits=4),
        plan(years=[2019, 2020], cells=TWO),
    ]
    assert len({base, *(each.digest for each in others)}) == 4
