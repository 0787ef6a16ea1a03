"""The Earth Engine expressions: observations, cloud-free composite, QA water, eight features.

The only definition of a feature: tiles, deployed maps and checks all evaluate what is built here.
Nothing depends on what convolve does at masked pixels, which no page says: values are filled first
and carry their validity along.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
import shapely

from water_gee.imagery import evidence as witnesses
from water_gee.imagery import season as seasons
from water_gee.imagery import sensors as products
from water_gee.imagery.observed import reflectances, says, says_none
from water_gee.imagery.recipe import EVIDENCE as EVIDENCE
from water_gee.imagery.sensors import COMMON_BANDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from water_gee.imagery.recipe import Recipe
    from water_gee.imagery.sensors import Sensor

WATER = "water"
"""The label's band."""

FILL = 255
"""What `request_image` puts where nothing was observed; the label's code for it, too."""

ELEVATION_UNIT = 4000.0
"""Metres to 1 of the elevation feature."""

MOST_BOXES = 200
"""Boxes of an area in a request; of more parts, those near each other share one."""

_LINE_ENDS = (((2, 0), (2, 4)), ((0, 2), (4, 2)), ((0, 0), (4, 4)), ((0, 4), (4, 0)))
"""`(row, col)` of the two ends of each direction in a 5 x 5 kernel: W-E, N-S, NW-SE, NE-SW."""


def tile_image(recipe: Recipe, years: Iterable[int] | None = None) -> ee.Image:
    """The features and the label of a recipe, in one image with one mask.

    Args:
        recipe: What is mapped.
        years: Other years than the recipe's.

    Returns:
        Bands: the recipe's features, float, and `water`, uint8 (0 land, 1 water).
    """
    features, label = _features_and_label(recipe, years)
    return features.addBands(label)


def feature_image(recipe: Recipe, years: Iterable[int] | None = None) -> ee.Image:
    """The features of a recipe, float32, masked where too little was observed; see `tile_image`."""
    return _features_and_label(recipe, years)[0]


def label_image(recipe: Recipe, years: Iterable[int] | None = None) -> ee.Image:
    """The QA label of a recipe: band `water`, uint8.

    1 where more than half of the clear observations have the QA water bit, else 0; masked where
    fewer than the recipe's `min_clear` are clear.
    """
    return _features_and_label(recipe, years)[1]


def request_image(
    recipe: Recipe,
    years: Iterable[int] | None = None,
    *,
    evidence: bool = False,
    scene: tuple[str, str] | None = None,
) -> ee.Image:
    """`tile_image` with 255 in every band where nothing was observed, and no mask.

    An array of pixels brings no mask home; masked ones come as 0, which is a class and a
    reflectance. 255 is none of either, and one mask for all bands means that `water` tells.

    Args:
        recipe: What is mapped.
        years: Other years than the recipe's.
        evidence: Whether to add `evidence.CARRIED`, which `evidence.unpack` reads. Features and
            label are the same with it; 255 is also a count, and SWIR2 may have gaps of its own.
        scene: A sensor and the index of one of its images: that alone instead of the season.
    """
    if scene is not None:
        sensor = products.sensor(scene[0])
        one = images(sensor).filter(ee.Filter.eq("system:index", scene[1]))
        observations = one.map(_observe(sensor, recipe.harmonize, evidence))
        recipe = recipe.replace(min_clear=1)  # of one image there is one observation
    else:
        observations = _merged(recipe, _date_filter(recipe, years), _observe, evidence=evidence)
    if not evidence:
        features, label = _of_composite(recipe, _reduced(recipe, observations))
        return features.addBands(label).unmask(FILL, False)
    chosen = observations.select([*COMMON_BANDS, "SWIR2", WATER])
    composite = _reduced(recipe, chosen)
    features, label = _of_composite(recipe, composite)
    swir2 = composite.select("SWIR2").toFloat()
    carried = swir2.addBands(witnesses.of_season(observations, WATER))
    return features.addBands(label).addBands(carried).unmask(FILL, False)


def season(recipe: Recipe, years: Iterable[int] | None = None) -> ee.ImageCollection:
    """The observations of a recipe, every sensor's under common names.

    Args:
        recipe: Sensors and months.
        years: Other years than the recipe's.

    Returns:
        Images with bands `COMMON_BANDS`, surface reflectance, and `water`, the QA bit (0 or 1).
        One mask for all: no bit of `sensors.OBSCURING` set, and all five counts valid.
    """
    return _merged(recipe, _date_filter(recipe, years), _observe)


def scenes(
    recipe: Recipe, years: Iterable[int] | None = None, *, any_time: bool = False
) -> ee.ImageCollection:
    """The season's images as the catalogue has them, to be counted.

    With `any_time`, all there are: of any date, and however cloudy.
    """
    return _merged(recipe, None if any_time else _date_filter(recipe, years), None)


def boxes(area: Any) -> ee.Geometry:
    """The boxes around an area's parts: a request need not carry every bend of a coast.

    Of more than `MOST_BOXES` parts, those whose middle lies in the same square of 10 degrees share
    one: a request holds 10 MB, and a country may have 50,000 islands.
    """
    around = shapely.bounds(shapely.get_parts(area))
    if len(around) > MOST_BOXES:
        middle = (around[:, :2] + around[:, 2:]) / 2
        _, square = np.unique(np.floor(middle / 10), axis=0, return_inverse=True)
        groups = [around[square.ravel() == index] for index in range(square.max() + 1)]
        around = np.array([[*own[:, :2].min(0), *own[:, 2:].max(0)] for own in groups])
    parts = [[shapely.box(*own).exterior.coords[:]] for own in around.tolist()]
    region: ee.Geometry = ee.Geometry.MultiPolygon(parts, None, False)
    return region


def images(sensor: Sensor, recipe: Recipe | None = None) -> ee.ImageCollection:
    """A sensor's images as the catalogue has them; those of a recipe's season, where given."""
    when = None if recipe is None else _date_filter(recipe, None)
    return _chosen(sensor, when, None if recipe is None else recipe.max_cloud)


def _merged(
    recipe: Recipe, when: Any, observe: Any, *, evidence: bool = False
) -> ee.ImageCollection:
    collections = []
    for name in recipe.sensors:
        sensor = products.sensor(name)
        collection = _chosen(sensor, when, None if when is None else recipe.max_cloud)
        if observe is not None:
            collection = collection.map(observe(sensor, recipe.harmonize, evidence))
        collections.append(collection)
    merged: ee.ImageCollection = functools.reduce(lambda a, b: a.merge(b), collections)
    return merged


def _chosen(sensor: Sensor, when: Any, max_cloud: float | None) -> ee.ImageCollection:
    """A sensor's images by date and by cloud; both None: all of them.

    `lte` is the negation of `gt`, so that an image without the property is kept.
    """
    collection: ee.ImageCollection = ee.ImageCollection(sensor.collection)
    if when is not None:
        collection = collection.filter(when)
    if max_cloud is not None:
        collection = collection.filter(ee.Filter.lte(sensor.cloud, max_cloud))
    return collection


def _date_filter(recipe: Recipe, years: Iterable[int] | None) -> Any:
    """One range of dates for each run of months, half open, in UTC."""
    chosen = tuple(sorted(set(years))) if years is not None else recipe.years
    ranges = [
        ee.Filter.date(str(first), str(after))
        for first, after in seasons.spans(chosen, recipe.months)
    ]
    return ranges[0] if len(ranges) == 1 else ee.Filter.Or(ranges)


def _observe(sensor: Sensor, harmonize: bool | str, evidence: bool) -> Any:
    """What to map over a sensor's collection: scene -> observation."""
    low, high = sensor.valid

    def observation(scene: Any) -> Any:
        counts = scene.select(list(sensor.native_bands), list(COMMON_BANDS))
        qa = scene.select(sensor.qa_band)
        measured = counts.gte(low).And(counts.lte(high)).unmask(0, False)
        usable = measured.reduce(ee.Reducer.min()).And(says_none(sensor, sensor.obscuring, qa))
        reflectance = reflectances(counts, COMMON_BANDS, sensor, harmonize)
        water = says(sensor, WATER, qa).rename(WATER)
        bands = reflectance.addBands(water)
        if evidence:
            bands = bands.addBands(witnesses.of_scene(scene, sensor, harmonize))
        return bands.updateMask(usable)

    return observation


def _features_and_label(recipe: Recipe, years: Iterable[int] | None) -> tuple[ee.Image, ee.Image]:
    # One reduction for both. Median and mean of zeros and ones are above 0.5 where more than half
    # are ones: the median of an even count is the mean of the middle two, and a tie gives 0.5.
    return _of_composite(recipe, _reduced(recipe, season(recipe, years)))


def _reduced(recipe: Recipe, observations: Any) -> Any:
    """The composite, masked where too few observations are clear.

    An observation has one mask for all of its bands, so that the votes for water count it.
    """
    composite = observations.mean() if recipe.composite == "mean" else observations.median()
    if recipe.min_clear == 1:
        return composite
    clear = observations.select(WATER).count()
    return composite.updateMask(clear.gte(recipe.min_clear))


def _of_composite(recipe: Recipe, composite: Any) -> tuple[ee.Image, ee.Image]:
    ndwi = _mndwi(composite)
    features = (
        composite.select(list(COMMON_BANDS))
        .addBands(ndwi.rename("mNDWI"))
        .addBands(_line(ndwi).rename("line"))
        .addBands(_elevation(recipe).rename("elevation"))
        .updateMask(composite.select(WATER).mask())
        .select(list(recipe.features))
        .toFloat()
    )
    label = composite.select(WATER).gt(0.5).toUint8()
    return features, label


def _mndwi(composite: Any) -> Any:
    """(Green - SWIR1)/(Green + SWIR1), 0 where both are 0.

    Written out, as `normalizedDifference` masks negative reflectance, which is common over water.
    """
    green, swir = composite.select("Green"), composite.select("SWIR1")
    return green.subtract(swir).divide(green.add(swir))


def _line(ndwi: Any) -> Any:
    """The largest response of four 5 x 5 kernels: 2 at the centre, -1 at the ends of a direction.

    An end that was not observed counts as the centre: the first term leaves it out, and the kernel
    over the holes is -1 for each end left out.
    """
    valid = ndwi.mask().unmask(0, False)
    filled = ndwi.unmask(0, False)
    holes = valid.multiply(-1).add(1)
    responses = []
    for ends in _LINE_ENDS:
        weights = [[0] * 5 for _ in range(5)]
        weights[2][2] = 2
        for row, col in ends:
            weights[row][col] = -1
        kernel = ee.Kernel.fixed(5, 5, weights)
        responses.append(filled.convolve(kernel).add(ndwi.multiply(holes.convolve(kernel))))
    return functools.reduce(lambda largest, other: largest.max(other), responses)


def _elevation(recipe: Recipe) -> Any:
    """Metres / 4000; gaps, the sea, and a recipe without elevation model are 0."""
    if recipe.dem is None:
        return ee.Image.constant(0)
    dem = products.dem(recipe.dem)
    if dem.collection:
        image = ee.ImageCollection(dem.asset).select(dem.band).mosaic()
    else:
        image = ee.Image(dem.asset).select(dem.band if dem.band is not None else 0)
    return image.divide(ELEVATION_UNIT).unmask(0, False)
