"""Collections as arrays: what is masked is left out, or masks the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from studio import UTM

from water_gee.emulator.pixels import Context, Window, evaluate


@pytest.fixture
def season(client, studio):
    """Three images of two bands over a row of three pixels; holes in the second and third."""
    images = []
    for number, mask in enumerate(([1, 1, 1], [1, 0, 0], [1, 1, 0])):
        values = np.array([[1.0, 2, 3]]) + 10 * number
        hole = np.array([mask], bool)
        both = studio.raster(values, mask=hole).addBands(studio.raster(-values), ["b1"])
        images.append(both.rename(["up", "down"]))
    return client.ImageCollection(images)


def arrays(studio, thing):
    """Each pixel's array as lists, None where masked, for each band."""
    image = studio.compute(thing)
    blocks = evaluate([band.node for band in image.bands], UTM, Window(0, 0, 1, 3), Context())
    found = {}
    for band, block in zip(image.bands, blocks, strict=True):
        mask = np.ones((1, 3), bool) if block.mask is None else block.mask > 0
        found[band.name] = [
            np.asarray(block.values[0, col]).tolist() if mask[0, col] else None for col in range(3)
        ]
    return found


def test_images_lie_along_the_first_axis_and_bands_along_the_second(studio, season):
    assert arrays(studio, season.toArray()) == {
        "array": [
            [[1, -1], [11, -11], [21, -21]],
            [[2, -2], [22, -22]],
            [[3, -3]],
        ]
    }


def test_the_length_tells_how_often_a_pixel_was_observed(client, studio, season):
    lengths = arrays(studio, season.toArray().arrayLength(0))
    assert lengths == {"array": [3, 2, 1]}
    mean = season.toArray().arrayReduce(client.Reducer.mean(), [0]).arraySlice(1, 0, 1)
    assert arrays(studio, mean.arrayGet([0, 0])) == {"array": [11, 12, 3]}


def test_a_pixel_that_was_never_observed_is_masked(client, studio):
    never = studio.raster(np.array([[1.0, 2, 3]]), mask=np.array([[1, 0, 1]], bool))
    found = arrays(studio, client.ImageCollection([never, never]).toArray())
    assert found == {"array": [[[1], [1]], None, [[3], [3]]]}


def test_each_band_has_its_own_array(studio, season):
    found = arrays(studio, season.toArrayPerBand(0))
    assert found["up"] == [[1, 11, 21], None, None]
    assert found["down"] == [[-1, -11, -21], [-2, -12, -22], [-3, -13, -23]]
    dropped = arrays(studio, season.toArrayPerBand(0, True))
    assert dropped["up"] == [[1, 11, 21], [2, 22], [3]]


def test_a_regression_is_solved_as_the_guide_does(client, studio):
    """arrays_transformations: x = solve(predictors, response) over the images of a pixel."""
    times = np.array([0.0, 1, 2, 5])
    truth = np.array([[1.5, -2.0, 0.5], [0.25, 3.0, -1.0]])  # offset and slope of three pixels
    images = [
        client.Image.cat([client.Image(1), client.Image(float(t)), studio.raster(
            (truth[0] + truth[1] * t)[None]
        )]).rename(["one", "t", "y"])
        for t in times
    ]  # fmt: skip
    array = client.ImageCollection(images).toArray()
    predictors, response = array.arraySlice(1, 0, 2), array.arraySlice(1, 2)
    found = predictors.matrixSolve(response).arrayProject([0]).arrayFlatten([["a", "b"]])
    solved = np.array(list(arrays(studio, found).values()))
    np.testing.assert_allclose(solved, truth, atol=1e-12)
    pseudo = predictors.matrixPseudoInverse().matrixMultiply(response)
    again = np.array(
        list(arrays(studio, pseudo.arrayProject([0]).arrayFlatten([["a", "b"]])).values())
    )
    np.testing.assert_allclose(again, truth, atol=1e-12)


def test_what_does_not_fit_is_refused(client, studio, season):
    array = client.ImageCollection([client.Image([1, 2]).toArray()])
    assert "holds arrays" in studio.refused(array.mean())
    assert "holds arrays" in studio.refused(array.toArray())
    assert "is empty" in studio.refused(client.ImageCollection([]).toArray())
    uneven = client.ImageCollection([client.Image(1), client.Image([1, 2])])
    assert "same number of bands" in studio.refused(uneven.toArray())
    assert "'dropMasked'" in studio.refused(season.toArrayPerBand(1, True))
