"""Maps of what a service composes, over a real emulator: the pixels are those of tiles."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from networks import small_cnn, undecided

from water_gee import raster, session
from water_gee.errors import AoiError, ClusterError, EmptySeasonError
from water_gee.imagery.download import download_tiles
from water_gee.imagery.recipe import Recipe
from water_gee.mapping import composed
from water_gee.mapping.classifier import classify
from water_gee.mapping.predict import predict
from water_gee.training.model import TrainedModel

RECIPE = Recipe()


@pytest.fixture(autouse=True, scope="module")
def _no_session_left():
    yield
    if session.current() is not None:
        session.current().close()


@pytest.fixture(scope="module")
def trained():
    return TrainedModel(undecided(small_cnn()), RECIPE, {})


@pytest.fixture(scope="module")
def box(tiny_season):
    """An area that touches 71 x 46 pixels in the middle of the cell; no side on a pixel edge."""
    west, south, east, north = tiny_season.bounds
    x, y, step = (west + east) / 2, (south + north) / 2, float(RECIPE.pixel_degrees)
    return (x - 40.3 * step, y - 20.3 * step, x + 30.3 * step, y + 25.3 * step)


@pytest.fixture(scope="module")
def tile(tiny_catalog, tiny_season, tmp_path_factory):
    """The features of the cell as tiles have them, with their grid."""
    session.connect(catalog=tiny_catalog)
    folder = tmp_path_factory.mktemp("tiles")
    with download_tiles(tiny_season.bounds, folder / "store", RECIPE, progress=False) as store:
        (cell,) = store.cells()
        return store.read_image(cell), cell.grid


def expected(trained, tile, found):
    """What the network says of the tile where the map lies."""
    values, grid = tile
    t = grid.transform
    col = round((found.grid.transform.c - t.c) / t.a)
    row = round((found.grid.transform.f - t.f) / t.e)
    rows, cols = found.grid.shape
    return classify(trained.network, values)[0][row : row + rows, col : col + cols]


def test_a_map_of_a_catalogue_is_that_of_its_tiles(trained, tiny_catalog, box, tile, tmp_path):
    out = predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=box, progress=False)
    found = raster.read(out)
    assert found.grid.shape == (46, 71)
    step = float(RECIPE.pixel_degrees)
    assert found.grid.transform.a == step
    np.testing.assert_array_equal(found.values[0], expected(trained, tile, found))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.json", "map.qml", "map.tif"]


def test_a_map_of_another_year_than_the_models_says_so(trained, tiny_catalog, box, tmp_path):
    model = TrainedModel(trained.network, RECIPE.replace(years=(1999,)), {})
    (year,) = RECIPE.years
    out = predict(model, tiny_catalog, tmp_path / "map.tif", aoi=box, years=year, progress=False)
    assert json.loads(raster.describe(out).tags["water_gee_recipe"])["years"] == [year]
    item = json.loads(out.with_suffix(".json").read_text())
    assert item["properties"]["start_datetime"].startswith(str(year))


def test_windows_asked_one_by_one_make_the_same_map(
    trained, tiny_catalog, box, tile, tmp_path, monkeypatch
):
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 32)
    out = predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=box, progress=False)
    found = raster.read(out)
    np.testing.assert_array_equal(found.values[0], expected(trained, tile, found))


def test_pixels_outside_the_area_are_not_observed(trained, tiny_catalog, box, tile, tmp_path):
    west, south, east, north = box
    triangle = shapely.Polygon([(west, south), (east, south), (west, north)])
    found = raster.read(
        predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=triangle, progress=False)
    )
    rows, cols = found.grid.shape
    centres = [found.grid.point(r + 0.5, c + 0.5) for r in range(rows) for c in range(cols)]
    inside = shapely.contains_xy(triangle, np.array(centres)).reshape(rows, cols)
    whole = expected(trained, tile, found)
    edge = np.array([triangle.boundary.distance(shapely.Point(p)) for p in centres])
    clear = edge.reshape(rows, cols) > 1e-9
    np.testing.assert_array_equal(
        found.values[0][clear], np.where(inside, whole, np.uint8(255))[clear]
    )
    assert 0.4 < inside.mean() < 0.6


def test_it_goes_on_where_the_service_failed(trained, tiny_catalog, box, tmp_path, monkeypatch):
    """The emulator dies under the third strip; finished ones are not asked for again."""
    monkeypatch.setattr("water_gee.mapping.predict.WINDOW", 16)
    monkeypatch.setattr("water_gee.pipeline.PANEL", 5)
    plain, asked = composed.request_pixels, []

    def failing(image, names, grid):
        asked.append(grid)
        if len(asked) > 12:
            raise KeyboardInterrupt
        return plain(image, names, grid)

    with monkeypatch.context() as patch:
        patch.setattr(composed, "request_pixels", failing)
        with pytest.raises(KeyboardInterrupt):
            predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=box, progress=False)
    strips = len(list((tmp_path / ".map.tif.parts").glob("0*.tif")))
    assert strips >= 1
    again = []

    def counted(*arguments):
        again.append(1)
        return plain(*arguments)

    monkeypatch.setattr(composed, "request_pixels", counted)
    predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=box, progress=False)
    assert len(again) == 5 * (3 - strips)
    predict(trained, tiny_catalog, tmp_path / "whole.tif", aoi=box, progress=False)
    assert (tmp_path / "map.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_the_area_of_a_catalogue_is_the_ground_of_its_scenes(tiny_catalog, tiny_season):
    with composed.opened(tiny_catalog, RECIPE, 3, None, None) as (reader, within):
        grid = reader.header.grid
        there = grid.window(within.row, within.col, within.height, within.width).bounds
    cell = shapely.box(*tiny_season.bounds)
    assert shapely.box(*there).buffer(1e-6).contains(cell)
    assert shapely.box(*there).area < 4 * cell.area


def test_a_service_of_the_whole_earth_needs_an_area(trained, tiny_catalog, tmp_path):
    connected = session.current() or session.connect(catalog=tiny_catalog)
    elsewhere = session.Session(connected.url, connected.project)
    with pytest.raises(AoiError, match="what area"):
        predict(trained, elsewhere, tmp_path / "map.tif", progress=False)
    assert not list(tmp_path.iterdir())


def test_a_season_without_scenes_says_so(trained, tiny_catalog, box, tmp_path):
    for area in (box, None):
        with pytest.raises(EmptySeasonError, match="1999") as caught:
            predict(trained, tiny_catalog, tmp_path / "map.tif", aoi=area, years=1999)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_windows_of_one_request_stay_under_the_limit():
    """518 x 518 pixels of nine float bands."""
    from water_gee.imagery.request import MAX_REQUEST_BYTES
    from water_gee.mapping.predict import WINDOW

    assert (WINDOW + 2 * 3) ** 2 * (len(RECIPE.features) + 1) * 4 < MAX_REQUEST_BYTES


def test_a_cluster_does_not_compose(trained, tiny_catalog, box, tmp_path):
    from water_gee.mapping.cluster import _on_disk
    from water_gee.mapping.sources import Opened

    with composed.opened(tiny_catalog, RECIPE, 3, box, None) as (reader, within):
        features = Opened(reader, within, None, reader.identity, reader.recipe, clipped=True)
        with pytest.raises(ClusterError, match="mapped without --dask"):
            _on_disk(None, features)
