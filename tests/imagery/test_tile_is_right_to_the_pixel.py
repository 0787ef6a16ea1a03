"""A tile that came through the stock client and the emulator, against an independent composite."""

from __future__ import annotations

import independent_composite
import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from water_gee import session
from water_gee.demo.season import make_season
from water_gee.emulator import start
from water_gee.emulator.ingest import ingest
from water_gee.imagery.download import download_tiles
from water_gee.imagery.recipe import EVIDENCE, Recipe

BAR = 1e-6

UTM = "EPSG:32655"
WEST, NORTH = 684_015.0, -3_902_385.0
"""Upper left corner of the made-up scenes, which cover two thirds of the cell E149.040_S35.370."""

SIZE = 420


@pytest.fixture(autouse=True)
def _no_session_left():
    yield
    if session._current is not None:
        session._current.close()


def compare(store, cell, expected):
    """Every pixel of a tile: masks equal, values within the bar."""
    image, mask = store.read_image(cell), store.read_mask(cell)
    np.testing.assert_array_equal(mask, expected.label)
    np.testing.assert_array_equal(np.isnan(image), np.isnan(expected.features))
    differences = dict(zip(store.recipe.features, expected.difference(image), strict=True))
    assert max(differences.values()) <= BAR, differences


def compare_evidence(store, cell, expected):
    """Counts to the number, reflectance within the bar, the sun within a hundredth of a degree."""
    found = store.read_evidence(cell)
    assert tuple(found) == EVIDENCE
    bars = {"water_count": 0, "clear_count": 0, "SWIR2": BAR}
    for name, values in found.items():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(expected[name]), name)
        apart = np.abs(values - expected[name])
        apart = np.minimum(apart, 360 - apart) if name == "sun_azimuth" else apart
        assert np.nanmax(apart) <= bars.get(name, 0.01), name


def corner(cell):
    lon, lat = cell.id.split("_")
    return tuple(part[1:] if part[0] in "EN" else f"-{part[1:]}" for part in (lon, lat))


def smooth(rng, shape):
    rows, cols = np.indices(shape)
    waves = rng.normal(size=(4, 3))
    return sum(np.sin(a * rows / 37 + b * cols / 29 + c) for a, b, c in waves)


KINDS = {
    # Bands, blue among them; clear water and clear land in QA_PIXEL; spacecraft and sensor.
    "LC08": ((1, 2, 3, 4, 5, 6, 7), 2, (21952, 21824), ("LANDSAT_8", "OLI_TIRS")),
    "LE07": ((1, 2, 3, 4, 5, 7), 1, (5504, 5440), ("LANDSAT_7", "ETM")),
}


def write_scene(folder, kind, day, rng):
    """A made-up scene: lakes, negative reflectance, saturation, clouds, fill, cut edges."""
    bands, blue, codes, craft = KINDS[kind]
    name = f"{kind}_L2SP_091084_202007{day:02d}_20200801_02_T1"
    folder = folder / name
    folder.mkdir(parents=True)
    shape = (SIZE, SIZE)
    water = smooth(np.random.default_rng(5), shape) > 1.2
    grid = {"crs": UTM, "transform": Affine(30, 0, WEST + 30 * (day % 3), 0, -30, NORTH)}
    profile = {"driver": "GTiff", "height": SIZE, "width": SIZE, "count": 1, "dtype": "uint16"}
    outside = np.add(*np.indices(shape)) < 40 + day
    for number in bands:
        place = number - blue
        level = np.where(water, 0.026 - 0.004 * place, 0.08 + 0.03 * place)
        level = level + rng.normal(0, 0.02, shape) + 0.01 * smooth(rng, shape)
        counts = np.clip(np.rint((level + 0.2) / 0.0000275), 1, 65535)
        counts[rng.random(shape) < 0.002] = 60_000
        counts[rng.random(shape) < 0.002] = 0
        counts[outside] = 0
        with rasterio.open(folder / f"{name}_SR_B{number}.TIF", "w", **profile, **grid) as target:
            target.write(counts.astype(np.uint16), 1)
    qa = np.where(water ^ (rng.random(shape) < 0.1), *codes).astype(np.uint16)
    for bit in range(1, 5):
        qa[smooth(rng, shape) > 2.2] |= 1 << bit
    qa[outside] = 1
    with rasterio.open(folder / f"{name}_QA_PIXEL.TIF", "w", **profile, **grid) as target:
        target.write(qa, 1)
    (folder / f"{name}_MTL.txt").write_text(mtl(name, day, *craft))
    return folder


def mtl(name, day, craft, sensor):
    return f"""GROUP = LANDSAT_METADATA_FILE
  GROUP = PRODUCT_CONTENTS
    LANDSAT_PRODUCT_ID = "{name}"
    PROCESSING_LEVEL = "L2SP"
    COLLECTION_NUMBER = 02
    COLLECTION_CATEGORY = "T1"
  END_GROUP = PRODUCT_CONTENTS
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "{craft}"
    SENSOR_ID = "{sensor}"
    WRS_TYPE = 2
    WRS_PATH = 91
    WRS_ROW = 84
    DATE_ACQUIRED = 2020-07-{day:02d}
    SCENE_CENTER_TIME = "23:50:00.0000000Z"
    CLOUD_COVER = 12.00
    SUN_AZIMUTH = {(346 + day) % 360}.25
    SUN_ELEVATION = {30 + day / 8}
  END_GROUP = IMAGE_ATTRIBUTES
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def write_dem(path):
    """Elevation on a grid of degrees, with a gap, ending inside the tile."""
    metres = (600 + 150 * smooth(np.random.default_rng(8), (700, 500))).astype(np.float32)
    metres[100:140, 200:260] = -9999
    grid = {
        "crs": "EPSG:4326",
        "transform": Affine(1 / 3600, 0, 149.03, 0, -1 / 3600, -35.23),
    }
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=700,
        width=500,
        count=1,
        dtype="float32",
        nodata=-9999,
        **grid,
    ) as target:
        target.write(metres, 1)
    return path


def test_made_up_scenes_of_two_sensors_with_every_difficulty(tmp_path):
    rng = np.random.default_rng(3)
    kinds = (("LC08", 4), ("LE07", 12), ("LC08", 20), ("LE07", 28))
    folders = [write_scene(tmp_path / "scenes", kind, day, rng) for kind, day in kinds]
    recipe = Recipe(sensors=("landsat7", "landsat8"), years=2020)
    dem = write_dem(tmp_path / "dem.tif")
    ingest(tmp_path / "catalog", folders)
    ingest(tmp_path / "catalog", [dem], dem=True)
    with start(tmp_path / "catalog") as emulator:
        session.connect(url=emulator.url)
        box = (149.05, -35.36, 149.16, -35.25)
        store = download_tiles(box, tmp_path / "tiles", recipe, progress=False)
    scenes = [independent_composite.scene_in(folder) for folder in folders]
    (cell,) = store.cells()
    expected = independent_composite.composite(scenes, corner(cell), dem)
    seen = expected.label != 255
    assert 0.3 < seen.mean() < 0.9  # part of the tile lies outside all scenes
    assert 1000 < (expected.label == 1).sum() < (expected.label == 0).sum()
    assert (expected.features[7][seen] == 0).any()
    assert (expected.features[7][seen] > 0.1).any()
    compare(store, cell, expected)
    beside = independent_composite.evidence(scenes, corner(cell))
    compare_evidence(store, cell, beside)
    # The season's suns stand on both sides of north, and where SWIR2 saturates it alone has a gap.
    assert np.nanmin(beside["sun_azimuth"]) < 20
    assert np.nanmax(beside["sun_azimuth"]) > 340
    assert np.isnan(beside["SWIR2"][seen]).any()
    assert 1 < len(np.unique(beside["clear_count"][seen])) <= 4


def test_canberra_a_real_scene_with_a_true_water_bit(tmp_path, shared_data):
    folder = shared_data / "landsat8_c1_canberra"
    ingest(tmp_path / "catalog", [folder])
    recipe = Recipe(years=2019, months=(2,), dem=None)
    with start(tmp_path / "catalog") as emulator:
        session.connect(url=emulator.url)
        store = download_tiles(lake(folder), tmp_path / "tiles", recipe, progress=False)
    scenes = [independent_composite.scene_in(folder, collection1=True)]
    assert store.cells()
    for cell in store.cells():
        compare(store, cell, independent_composite.composite(scenes, corner(cell)))
        compare_evidence(store, cell, independent_composite.evidence(scenes, corner(cell)))
    assert sum(row.water for row in store.rows()) > 1000


def test_the_demo_season(tmp_path):
    season = make_season(tmp_path / "demo", seed=1, cells=(1, 1))
    ingest(tmp_path / "catalog", season.scenes)
    ingest(tmp_path / "catalog", [season.dem], dem=True)
    with start(tmp_path / "catalog") as emulator:
        session.connect(url=emulator.url)
        store = download_tiles(season.bounds, tmp_path / "tiles", Recipe(), progress=False)
    scenes = [independent_composite.scene_in(folder) for folder in season.scenes]
    (cell,) = store.cells()
    expected = independent_composite.composite(scenes, corner(cell), season.dem)
    assert (expected.label == 255).any()
    assert (expected.features[7][expected.label != 255] > 0.1).any()
    compare(store, cell, expected)
    compare_evidence(store, cell, independent_composite.evidence(scenes, corner(cell)))


def lake(folder):
    """The box of the scene."""
    with rasterio.open(next(folder.glob("*_sr_band2.tif"))) as source:
        back = Transformer.from_crs(source.crs, 4326, always_xy=True)
        return back.transform_bounds(*source.bounds)
