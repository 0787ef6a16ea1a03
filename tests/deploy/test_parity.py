"""Keras = NumPy = Earth Engine, or an error that names the worst pixel."""

from __future__ import annotations

import numpy as np
import pytest
from networks import small_cnn, undecided
from tiny_service import TinyService

from water_gee.deploy import parity
from water_gee.deploy.build_ee import to_ee
from water_gee.deploy.read_keras import read
from water_gee.errors import DeployError, ParityError
from water_gee.imagery.grid import Cell, Lattice
from water_gee.imagery.recipe import Recipe

RECIPE = Recipe(cell=0.0375, pixels=150)
LATTICE = Lattice.of(RECIPE)
CELL = Cell(0, 0, LATTICE)
STEP = float(RECIPE.pixel_degrees)


@pytest.fixture(scope="module")
def network():
    return undecided(small_cnn())


def field(seed=2):
    """Features over two cells and their margins; the eastern one unobserved by half."""
    values = np.random.default_rng(seed).normal(0.2, 0.5, (8, 160, 310)).astype(np.float32)
    values[:, 70:, 150:] = np.nan
    values[2, 75, 80] = np.nan
    return values


@pytest.fixture
def service(ee, monkeypatch):
    """A connected service; its pixels begin five pixels before the first cell."""
    west, north = -5, 155
    tiny = TinyService(field(), RECIPE.features, west=west, north=north, step=STEP)
    return tiny.install(monkeypatch)


def test_keras_and_its_graph_agree(network, rng):
    values = rng.normal(0.2, 0.5, (8, 40, 50)).astype(np.float32)
    values[1, 20, 20] = np.nan
    agreement = parity.check_numpy(network, read(network), values)
    assert agreement.pixels == 34 * 44 - 49
    assert agreement.largest < 1e-6
    assert agreement.undecided > 100


def test_a_graph_with_one_other_weight_is_found_out_and_the_pixel_named(network, rng):
    values = rng.normal(0.2, 0.5, (8, 30, 30)).astype(np.float32)
    graph = read(network)
    first = next(node for node in graph if node.kind == "conv")
    first.weights["kernel"][0, 2, 3, 1] += 0.05
    words = r"at pixel \(row \d+, col \d+\).*nothing was exported"
    with pytest.raises(ParityError, match=words) as caught:
        parity.check_numpy(network, graph, values)
    row, col = caught.value.worst
    expected = parity.keras_probability(network, values)
    found = parity.numpy_probability(graph, values)
    difference = np.abs(expected - found)
    assert difference[row, col] == difference.max() == pytest.approx(caught.value.difference)


def test_probabilities_within_the_bar_agree():
    expected = np.array([[0.1, 0.5, np.nan]])
    found = np.array([[0.1, 0.5 + 4e-5, np.nan]])
    agreement = parity.agree(expected, found, 1e-4, "both")
    assert agreement == parity.Agreement(pixels=2, undecided=2, largest=pytest.approx(4e-5))


def test_a_pixel_that_only_one_of_them_has_is_a_difference():
    one, other = np.array([[0.5, 0.5]]), np.array([[0.5, np.nan]])
    for expected, found in ((one, other), (other, one)):
        with pytest.raises(ParityError, match=r"differ by inf at pixel \(row 0, col 1\)"):
            parity.agree(expected, found, 1e-4, "both")


def test_a_probe_of_a_service_that_cross_correlates_passes(service):
    parity.probe_orientation(CELL.grid)
    assert service.pixel_requests == 1


def test_a_service_that_flips_kernels_is_found_out(service):
    service.flip = True
    with pytest.raises(ParityError, match=r"kernel probe.*differ by 8 at pixel"):
        parity.probe_orientation(CELL.grid)


def test_a_service_that_shifts_pixels_is_found_out(service):
    service.spoil = lambda table: np.roll(table, 1, axis=1)
    with pytest.raises(ParityError, match="kernel probe"):
        parity.probe_orientation(CELL.grid)


def test_a_window_is_found_inside_the_cell(service, network, ee):
    view = parity.find_view(network, ee.Image("here"), [CELL])
    assert view.grid.shape == (64, 64)
    west, south, east, north = view.grid.bounds
    assert CELL.bounds[0] <= west < east <= CELL.bounds[2]
    assert CELL.bounds[1] <= south < north <= CELL.bounds[3]
    assert view.observed == 64 * 64 - 49
    assert view.undecided > 1000
    assert service.pixel_requests == 1


def test_the_search_goes_on_where_a_window_says_nothing(service, network, ee):
    """The first cell's middle is not observed, and its corners only in part."""
    service.values[:, :, :155] = np.nan
    other = Cell(1, 0, LATTICE)
    view = parity.find_view(network, ee.Image("here"), [CELL, other])
    assert view.grid.bounds[0] >= other.bounds[0]
    assert service.pixel_requests > 2


def test_an_area_without_an_observed_pixel_is_refused(service, network, ee):
    service.values[:] = np.nan
    with pytest.raises(DeployError, match="no observed pixel to check the deployment on, in 5 win"):
        parity.find_view(network, ee.Image("here"), [CELL])


def test_a_true_deployment_agrees_on_its_window(service, network, ee):
    view = parity.find_view(network, ee.Image("here"), [CELL])
    agreement = parity.check_window(view, to_ee(network, ee.Image("here")))
    assert agreement.pixels == view.observed
    assert agreement.largest < 1e-6


def test_a_deployment_of_another_network_is_refused_and_the_pixel_named(service, network, ee):
    view = parity.find_view(network, ee.Image("here"), [CELL])
    other = undecided(small_cnn(), seed=12)
    with pytest.raises(ParityError, match="Keras and the deployed network differ by"):
        parity.check_window(view, to_ee(other, ee.Image("here")))


def test_a_deployment_that_masks_otherwise_is_refused(service, network, ee):
    view = parity.find_view(network, ee.Image("here"), [CELL])
    wrong = to_ee(network, ee.Image("here").unmask(0, False))
    with pytest.raises(ParityError, match="differ by inf"):
        parity.check_window(view, wrong)


def test_what_the_service_says_comes_through_in_one_line(service, network, ee, monkeypatch):
    def refuses(_):
        raise ee.EEException("Image.convolve:\n too much memory")

    monkeypatch.setattr(ee.data, "computePixels", refuses)
    with pytest.raises(DeployError, match=r"compute the kernel probe: Image\.convolve: too"):
        parity.probe_orientation(CELL.grid)
