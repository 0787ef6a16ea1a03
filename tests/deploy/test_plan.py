"""What a deployment is to make."""

from __future__ import annotations

import pytest
from affine import Affine

from water_gee.deploy.plan import Area, area_of, maps_of
from water_gee.errors import AoiError, DeployError, GridError, RecipeError
from water_gee.imagery.grid import cell_from_id
from water_gee.imagery.recipe import Recipe
from water_gee.training.model import TrainedModel

ASSET = "projects/local/assets/water"


class Weights:
    """Stands for a network: a plan only asks for its digest."""

    weights = ()


def trained(recipe=None, **record):
    return TrainedModel(Weights(), recipe or Recipe(), record)


def area(*names):
    return Area.of(tuple(cell_from_id(name) for name in names))


def test_one_cell_is_501_pixels_on_the_lattice():
    one = area("E106.650_N52.245")
    step = 135 / 501_000
    assert one.grid.shape == (501, 501)
    assert one.grid.transform == Affine(step, 0, 106.65, 0, -step, 52.38)
    assert one.is_rectangle


def test_cells_in_an_l_leave_a_corner_open():
    bent = area("E0.000_N0.000", "E0.135_N0.000", "E0.000_N0.135")
    assert bent.grid.shape == (1002, 1002)
    assert not bent.is_rectangle
    assert bent.outline["type"] == "Polygon"
    corners = {tuple(round(n, 9) for n in point) for point in bent.outline["coordinates"][0]}
    assert (0.135, 0.135) in corners
    assert (0.27, 0.27) not in corners


def test_cells_apart_are_a_multipolygon():
    assert area("E0.000_N0.000", "E0.405_N0.000").outline["type"] == "MultiPolygon"


def test_the_area_given_is_mapped_in_whole_cells():
    found = area_of(trained(), (149.05, -35.35, 149.20, -35.25))
    assert [cell.id for cell in found.cells] == [
        "E148.905_S35.370",
        "E149.040_S35.370",
        "E149.175_S35.370",
    ] or len(found.cells) > 1
    west, south, east, north = found.grid.bounds
    assert west <= 149.05 < 149.20 <= east
    assert south <= -35.35 < -35.25 <= north


def test_without_an_area_the_cells_of_the_record_are_mapped():
    found = area_of(trained(cells=["E0.000_N0.000", "E0.135_N0.000"]), None)
    assert [cell.id for cell in found.cells] == ["E0.000_N0.000", "E0.135_N0.000"]


def test_neither_area_nor_record_is_refused():
    with pytest.raises(DeployError, match="give the area to map"):
        area_of(trained(), None)


def test_an_area_that_is_none_and_a_record_that_is_broken_are_refused():
    with pytest.raises(AoiError):
        area_of(trained(), "nowhere at all")
    with pytest.raises(GridError):
        area_of(trained(cells=["Atlantis"]), None)


def maps(recipe=None, years=None, cells=("E0.000_N0.000",), **options):
    options.setdefault("probability", True)
    return maps_of(trained(recipe), ASSET, area(*cells), years, **options)


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
    one = maps_of(trained(), ASSET, area("E0.000_N0.000"), 2021, probability=True)[0]
    two = maps_of(trained(), ASSET + "2", area("E0.000_N0.000"), 2021, probability=True)[0]
    assert one.description != two.description
    assert len(one.description) <= 100
    assert one.description.replace("_", "").replace("-", "").isalnum()
