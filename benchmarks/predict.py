"""How fast is `predict` from a compressed COG to compressed COGs, against the bare network?

python benchmarks/predict.py [--size 8192] [--keep DIR] [--memory]

Prints one line of JSON. Bare is the same network as a `tf.function` over blocks that lie in memory,
in the block size that is fastest for it, measured before, between and after the maps. `--memory`
measures the peak of memory of one map with probability of 10,980 x 10,980 pixels instead.

The scene is ZSTD with predictor 3 (floating point), in blocks of 512: eight features as a composite
has them, reflectances in steps of a Landsat count, a few clouds as holes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine

from water_gee.imagery.recipe import FEATURES, Recipe

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float32]

BARS = {"class": 0.72, "with_probability": 0.62}
PATCHES_BAR = 30
MEMORY_BAR = 1.5e9
MEMORY_SIZE = 10_980
BLOCKS = (256, 512, 1024, 2048)
PATCHES = 4096
PACKAGES = ("keras", "tensorflow", "rasterio", "numpy")

CHILD = """
import sys, json, resource, time
from water_gee.mapping.predict import predict
start = time.perf_counter()
predict(*sys.argv[1:4], probability=True, progress=False)
seconds = time.perf_counter() - start
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"seconds": seconds, "peak": int(peak[0]) * 1024}))
"""


def strip(top: int, rows: int, cols: int, seed: int) -> FloatArray:
    """Rows of the scene: broad forms, noise, counts of 16 bits, holes; the same for any strip."""
    down, across = np.arange(top, top + rows, dtype=np.float32), np.arange(cols, dtype=np.float32)
    values = np.empty((len(FEATURES), rows, cols), np.float32)
    for band in range(len(FEATURES)):
        wave = np.outer(np.sin(down / (90 + 17 * band)), np.cos(across / (110 + 13 * band)))
        noise = np.random.default_rng((seed, band, top)).standard_normal((rows, cols), np.float32)
        counts = np.round(9000 + 2500 * wave + 250 * noise)
        values[band] = counts * np.float32(2.75e-5) - np.float32(0.2)
    green, swir = values[1], values[4]
    values[5] = (green - swir) / (green + swir)
    holes = np.outer(np.sin(down / 700), np.sin(across / 500)) > 0.97
    values[:, holes] = np.nan
    return values


def random_network() -> Any:
    """The pixel network with seeded weights, as often on one side of 0.5 as on the other."""
    from water_gee.training.backend import keras
    from water_gee.training.network import pixel_cnn

    keras.utils.set_random_seed(0)
    network = pixel_cnn()
    said = np.asarray(network(np.nan_to_num(strip(0, 200, 200, 0)).transpose(1, 2, 0)[np.newaxis]))
    last, margin = network.layers[-1], np.log(said[..., 0] / said[..., 1])
    gain = 3 / margin.std()
    last.kernel.assign(last.kernel.numpy() * gain)
    last.bias.assign([-np.median(margin) * gain, 0])
    return network


def make_scene(path: Path, size: int, seed: int) -> None:
    """Write the scene, strip by strip, as a COG."""
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(
        plain,
        "w",
        driver="GTiff",
        height=size,
        width=size,
        count=len(FEATURES),
        dtype="float32",
        crs="EPSG:32650",
        transform=Affine(30, 0, 600_000, 0, -30, 5_000_000),
        nodata=math.nan,
        compress="zstd",
        zstd_level=1,
        predictor=3,
        tiled=True,
        blockxsize=512,
        blockysize=512,
        bigtiff="if_safer",
    ) as target:
        target.descriptions = FEATURES
        for top in range(0, size, 512):
            rows = min(512, size - top)
            window = rasterio.windows.Window(0, top, size, rows)
            target.write(strip(top, rows, size, seed), window=window)
    rasterio.shutil.copy(
        plain,
        path,
        driver="COG",
        compress="ZSTD",
        level=6,
        predictor="FLOATING_POINT",
        overviews="NONE",
        bigtiff="IF_SAFER",
        num_threads="ALL_CPUS",
    )
    plain.unlink()


class Bare:
    """The network alone, over blocks in memory: nothing read, nothing written, nothing masked."""

    def __init__(self, network: Any, pixels: int) -> None:
        from water_gee.training.backend import tf

        self._tf, self._network, self.pixels = tf, network, pixels
        tried = {side: self._speed(*self._prepare(side), pixels // 2)[0] for side in BLOCKS}
        self.block = max(tried, key=tried.__getitem__)
        self._ready = self._prepare(self.block)

    def __call__(self) -> tuple[float, float]:
        """Pixels per second, and per second of a core."""
        return self._speed(*self._ready, self.pixels)

    def _prepare(self, side: int) -> tuple[Any, Any]:
        tf, outer = self._tf, side + 6
        function = tf.function(
            lambda x: self._network(x, training=False)[..., 0],
            input_signature=[tf.TensorSpec((1, outer, outer, 8), tf.float32)],
        )
        values = np.nan_to_num(strip(0, outer, outer, 0)).transpose(1, 2, 0)[np.newaxis]
        block = tf.constant(values)
        function(block)
        return function, block

    def _speed(self, function: Any, block: Any, pixels: int) -> tuple[float, float]:
        side = block.shape[1] - 6
        times = max(1, round(pixels / side**2))
        start, core = time.perf_counter(), time.process_time()
        for _ in range(times):
            function(block)
        done = times * side**2
        return done / (time.perf_counter() - start), done / (time.process_time() - core)


def patch_wise(network: Any) -> float:
    """Pixels per second of Keras' own `predict` over 7 x 7 patches, 32 at a time."""
    values = np.nan_to_num(strip(0, 70, 70, 0)).transpose(1, 2, 0)
    patches = np.stack([values[r : r + 7, c : c + 7] for r in range(64) for c in range(64)])
    network.predict(patches[:64], verbose=0)
    start = time.perf_counter()
    network.predict(patches[:PATCHES], batch_size=32, verbose=0)
    return PATCHES / (time.perf_counter() - start)


def speed(folder: Path, scene: Path, size: int, rounds: int) -> dict[str, Any]:
    """Maps between measurements of the bare network."""
    from water_gee.mapping.predict import predict
    from water_gee.training.model import TrainedModel

    network = random_network()
    model = TrainedModel(network, Recipe(), {})
    bare = Bare(network, min(size**2, 8_000_000))
    # The first map of a process pays for what is loaded once.
    predict(model, small(folder), folder / "warm.tif", progress=False)
    found: dict[str, list[float]] = {"class": [], "with_probability": []}
    ratios: dict[str, list[float]] = {"class": [], "with_probability": []}
    cores: dict[str, list[float]] = {"class": [], "with_probability": []}
    first, core = bare()
    bares, bare_cores = [first], [core]
    for _ in range(rounds):
        for name in found:
            start, core = time.perf_counter(), time.process_time()
            predict(model, scene, folder / "map.tif", probability=name != "class", progress=False)
            found[name].append(size**2 / (time.perf_counter() - start))
            cores[name].append(size**2 / (time.process_time() - core))
            after, core = bare()
            bares.append(after)
            bare_cores.append(core)
            ratios[name].append(found[name][-1] / ((bares[-2] + bares[-1]) / 2))
    patches = patch_wise(network)
    lines = {name: median(values) for name, values in ratios.items()}
    fast = median(found["class"])
    return {
        "figure": round(lines["class"], 3),
        "unit": "of the pixels per second of the bare network, class alone",
        "against": "bare tf.function over blocks in memory, pixels per second",
        "against_figure": round(median(bares)),
        "ratio": round(lines["class"], 3),
        "bar": BARS["class"],
        "with_probability": round(lines["with_probability"], 3),
        "with_probability_bar": BARS["with_probability"],
        "pixels_per_second": {name: round(median(values)) for name, values in found.items()},
        "bare_block": bare.block,
        "bare_runs": [round(value) for value in bares],
        "ratios_of_core_seconds": {
            name: round(median(values) / median(bare_cores), 3) for name, values in cores.items()
        },
        "ratios": {name: [round(r, 3) for r in values] for name, values in ratios.items()},
        "patch_wise_pixels_per_second": round(patches),
        "times_patch_wise": round(fast / patches, 1),
        "times_patch_wise_bar": PATCHES_BAR,
        "holds": all(lines[name] >= bar for name, bar in BARS.items())
        and fast >= PATCHES_BAR * patches,
    }


def small(folder: Path) -> Path:
    """A scene to warm up with."""
    path = folder / "warm_scene.tif"
    if not path.exists():
        make_scene(path, 600, 1)
    return path


def memory(folder: Path, scene: Path) -> dict[str, Any]:
    """The peak of a process that makes one map with probability."""
    from water_gee.training.model import TrainedModel, save

    save(TrainedModel(random_network(), Recipe(), {}), folder / "model.keras")
    arguments = [str(folder / "model.keras"), str(scene), str(folder / "map.tif")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout.splitlines()[-1])
    return {
        "figure": said["peak"],
        "unit": "bytes, peak resident memory of one map with probability",
        "against": "1.5 GB",
        "against_figure": MEMORY_BAR,
        "ratio": round(said["peak"] / MEMORY_BAR, 3),
        "bar": 1.0,
        "seconds": round(said["seconds"], 1),
        "holds": said["peak"] <= MEMORY_BAR,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, help="side of the scene; 8192, for memory 10980")
    parser.add_argument("--rounds", type=int, default=1, help="maps of each kind")
    parser.add_argument("--keep", type=Path, help="folder where scenes are made once and kept")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    options = parser.parse_args(arguments)
    size = options.size or (MEMORY_SIZE if options.memory else 8192)
    load = [round(value, 2) for value in os.getloadavg()]
    folder = options.keep or Path(tempfile.mkdtemp(prefix="water_gee_predict_"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scene = folder / f"scene_{size}.tif"
        if not scene.exists():
            making = folder / f"making_{size}.tif"
            make_scene(making, size, 0)
            making.replace(scene)
        if options.memory:
            facts = memory(folder, scene)
        else:
            facts = speed(folder, scene, size, options.rounds)
        facts["scene_bytes_per_pixel"] = round(scene.stat().st_size / size**2, 2)
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    line = {
        "name": "predict_memory" if options.memory else "predict",
        **facts,
        "size": size,
        "codec": "ZSTD, predictor 3, blocks of 512",
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "gdal": rasterio.__gdal_version__,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": load,
    }
    print(json.dumps(line))
    return 0 if line["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
