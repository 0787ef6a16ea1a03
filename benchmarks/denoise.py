"""How much better than its source is a corrected label, on chips labelled by hand?

    python benchmarks/denoise.py [--data DIR] [--qa-data DIR] [--methods evidence seed]
                                 [--pictures DIR] [--each] [--seed 0]

Makes a tile store of the chips, corrects its labels with each method, and prints one JSON line; a
readable table goes to standard error. Neither a method nor a baseline sees the hand labels. The
figure is the pooled water IoU of the default method less that of the raw label; it holds where
that is at least the bar, no baseline is above, and a tile of 512 x 512 pixels takes at most 10 s
once the method is prepared. A second table, without bar, is over chips that have a QA water bit.

Cloud is left out, shadow and snow are land. A pixel that a method leaves undecided is scored in
three ways: as the raw label, as land, and left out; the figure takes the worse of the first two.
Intervals are 95 %, of the bootstrap over blocks of 64 x 64 pixels of all chips together; that of a
difference draws the same blocks for both. `--data` takes other chips (`chips.py` says in which
layouts), `--each` a store of its own for every chip, so that nothing is learned across chips.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import chips as labelled
import numpy as np

from water_gee import indices
from water_gee.imagery.store import LABELS
from water_gee.metrics import NOT_OBSERVED, Confusion
from water_gee.training import labels as correction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from chips import ByteArray, Chip

    from water_gee.imagery.store import TileStore
    from water_gee.training.methods import Correction, Method, Tile, Tiles

    Counts = npt.NDArray[np.int64]

BAR = 0.10
"""Water IoU above the raw label."""

MAX_SECONDS = 10.0
"""A tile of 512 x 512 pixels."""

DEFAULT = "evidence"
RAW = "raw"

BLOCK = 64
DRAWS = 2000

UNDECIDED = ("raw", "land", "out")
"""How undecided pixels may be counted."""

PACKAGES = ("water-gee", "tensorflow", "keras", "numpy", "scipy")

HERE = Path(__file__).resolve().parent


# ---------------------------------------------------------------------- maps


def baselines(chip: Chip) -> dict[str, ByteArray]:
    """The raw label and the indices, uint8 `(row, col)`."""
    blue, green, red, nir, swir1, swir2 = chip.bands
    wetness = indices.mndwi(green, swir1)
    return {
        RAW: chip.raw,
        "MNDWI > 0": indices.above(wetness),
        "MNDWI Otsu": indices.above(wetness, indices.otsu(wetness)),
        "AWEI sh": indices.above(indices.awei_sh(blue, green, nir, swir1, swir2)),
        "AWEI nsh": indices.above(indices.awei_nsh(green, nir, swir1, swir2)),
        "DSWE 3 of 5": indices.dswe_water(blue, green, red, nir, swir1, swir2),
    }


class Timed:
    """A method that keeps how long each correction took."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.name = method.name
        self.seconds: list[float] = []
        self.core_seconds: list[float] = []
        self.prepared = 0.0

    def prepare(self, tiles: Tiles, *, seed: int, progress: bool) -> None:
        start = time.perf_counter()
        self._method.prepare(tiles, seed=seed, progress=progress)
        self.prepared = time.perf_counter() - start

    def correct(self, tile: Tile) -> Correction | None:
        start, core = time.perf_counter(), time.process_time()
        done = self._method.correct(tile)
        self.seconds.append(time.perf_counter() - start)
        self.core_seconds.append(time.process_time() - core)
        return done


@dataclass(frozen=True)
class Corrected:
    """What a method made of the chips.

    Attributes:
        labels: One a chip, uint8 `(row, col)`.
        prepare_seconds: All that came before the first tile, of all stores.
        tile_seconds: Of the slowest tile, scaled to 512 x 512 pixels.
        tile_core_seconds: The same, of all cores together: what other work beside it does not
            lengthen.
    """

    labels: list[ByteArray]
    prepare_seconds: float
    tile_seconds: float
    tile_core_seconds: float


def correct(chips: Sequence[Chip], method: str, seed: int, *, each: bool = False) -> Corrected:
    """Correct the chips' raw labels with a method."""
    groups = [[chip] for chip in chips] if each else [list(chips)]
    found: list[ByteArray] = []
    prepared, slowest, busiest = 0.0, 0.0, 0.0
    for group in groups:
        with (
            tempfile.TemporaryDirectory() as folder,
            labelled.make_store(Path(folder), group) as store,
        ):
            timed = run_method(store, method, seed)
            found += [labelled.read_label(store, i, chip, LABELS) for i, chip in enumerate(group)]
            scale = 512**2 / store.recipe.side**2
        prepared += timed.prepared
        slowest = max(slowest, scale * max(timed.seconds, default=0.0))
        busiest = max(busiest, scale * max(timed.core_seconds, default=0.0))
    return Corrected(found, prepared, slowest, busiest)


def run_method(store: TileStore, method: str, seed: int) -> Timed:
    """Correct a store with one of the package's methods, and say how long it took."""
    made = correction._method
    timed: list[Timed] = []

    def timing(*how: Any) -> Timed:
        timed.append(Timed(made(*how)))
        return timed[-1]

    with mock.patch.object(correction, "_method", timing):
        correction.denoise_labels(store, method=method, seed=seed, progress=False)
    return timed[0]


# ---------------------------------------------------------------------- scores


def filled(label: ByteArray, raw: ByteArray, how: str) -> ByteArray:
    """A label whose undecided pixels count as the raw label, as land, or not at all."""
    undecided = (label == NOT_OBSERVED) & (raw != NOT_OBSERVED)
    replacement = {"raw": raw, "land": np.zeros_like(raw), "out": label}[how]
    return np.where(undecided, replacement, label).astype(np.uint8)


def block_counts(reference: ByteArray, predicted: ByteArray) -> Counts:
    """True positives, false positives and false negatives of each block, `(block, 3)`."""
    used = (reference != NOT_OBSERVED) & (predicted != NOT_OBSERVED)
    true, found = (reference == 1) & used, (predicted == 1) & used
    layers = np.stack([true & found, found & ~true, true & ~found])
    rows, cols = (range(0, size, BLOCK) for size in reference.shape)
    counts = [
        layers[:, row : row + BLOCK, col : col + BLOCK].sum(axis=(1, 2))
        for row in rows
        for col in cols
    ]
    return np.asarray(counts, np.int64)


def iou(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Intersection over union of counts `(..., 3)`; NaN where there is no water."""
    total = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, counts[..., 0] / total, np.nan)


def draws_of(blocks: int, seed: int) -> Counts:
    """How often each block is drawn in each turn of the bootstrap, `(draw, block)`."""
    return np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), DRAWS)


def interval(values: npt.NDArray[np.float64]) -> list[float]:
    """95 % of them."""
    return [round(float(value), 4) for value in np.nanpercentile(values, [2.5, 97.5])]


def table(
    chips: Sequence[Chip], maps: Mapping[str, Sequence[ByteArray]], seed: int
) -> dict[str, dict[str, Any]]:
    """Score each map, pooled and by chip.

    Args:
        chips: With their references.
        maps: Name -> a label for each chip; the raw label and the baselines among them.
        seed: Of the bootstrap.

    Returns:
        Name -> `iou` (the figure), `interval`, `undecided` (their share), `iou_undecided` (how they
        are counted -> IoU), `counted` (as what, in the figure), `chips` (name -> IoU), and the
        pooled `precision` and `recall`; for all but the raw label, `above_raw`; for methods,
        `above_best_baseline`, each a difference with its interval.
    """
    scores: dict[str, dict[str, Any]] = {}
    resampled: dict[str, npt.NDArray[np.float64]] = {}
    weights: Counts | None = None
    for name, labels in maps.items():
        counts = {how: _counts(chips, labels, how) for how in UNDECIDED}
        pooled = {how: float(iou(each.sum(axis=0))) for how, each in counts.items()}
        counted = min(("raw", "land"), key=pooled.__getitem__)
        if weights is None:
            weights = draws_of(len(counts["raw"]), seed)
        resampled[name] = iou(weights @ counts[counted])
        scores[name] = {
            "iou": round(pooled[counted], 4),
            "interval": interval(resampled[name]),
            "undecided": round(_undecided(chips, labels), 4),
            "iou_undecided": {how: round(value, 4) for how, value in pooled.items()},
            "counted": counted,
            **_pooled(chips, labels, counted),
            "chips": {
                chip.name: round(float(iou(_counts([chip], [label], counted).sum(axis=0))), 4)
                for chip, label in zip(chips, labels, strict=True)
            },
        }
    best = max((n for n in scores if n in baselines(chips[0])), key=lambda n: scores[n]["iou"])
    for name, against, key in _pairs(scores, best):
        scores[name][key] = {
            "against": against,
            "difference": round(scores[name]["iou"] - scores[against]["iou"], 4),
            "interval": interval(resampled[name] - resampled[against]),
        }
    return scores


def _pairs(scores: Mapping[str, Any], best: str) -> list[tuple[str, str, str]]:
    rivals = [name for name in scores if name != RAW]
    pairs = [(name, RAW, "above_raw") for name in rivals]
    return pairs + [(n, best, "above_best_baseline") for n in rivals if n in correction.METHODS]


def _counts(chips: Sequence[Chip], labels: Sequence[ByteArray], how: str) -> Counts:
    return np.concatenate(
        [
            block_counts(chip.reference, filled(label, chip.raw, how))
            for chip, label in zip(chips, labels, strict=True)
        ]
    )


def _pooled(chips: Sequence[Chip], labels: Sequence[ByteArray], how: str) -> dict[str, float]:
    tp, fp, fn = (int(count) for count in _counts(chips, labels, how).sum(axis=0))
    confusion = Confusion(tp=tp, fp=fp, fn=fn, tn=0)
    return {"precision": round(confusion.precision, 4), "recall": round(confusion.recall, 4)}


def _undecided(chips: Sequence[Chip], labels: Sequence[ByteArray]) -> float:
    """Share of the observed pixels."""
    observed = sum(int((chip.raw != NOT_OBSERVED).sum()) for chip in chips)
    undecided = sum(
        int(((label == NOT_OBSERVED) & (chip.raw != NOT_OBSERVED)).sum())
        for chip, label in zip(chips, labels, strict=True)
    )
    return undecided / max(1, observed)


def show(title: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a table to standard error."""
    lines = [f"\n{title}", f"{'':14}{'IoU':>7}  {'95 %':16}{'prec':>6}{'rec':>7}{'undec':>7}"]
    for name, score in scores.items():
        low, high = score["interval"]
        line = (
            f"{name:14}{score['iou']:7.4f}  {low:.3f} .. {high:.3f}  {score['precision']:6.3f}"
            f"{score['recall']:7.3f}{score['undecided']:7.3f}"
        )
        if "above_raw" in score:
            low, high = score["above_raw"]["interval"]
            line += f"  raw {score['above_raw']['difference']:+.3f} ({low:+.3f} .. {high:+.3f})"
        if "tile_seconds" in score:
            line += f"  {score['tile_seconds']:.1f} s/tile after {score['prepare_seconds']:.1f} s"
            line += f" ({score['tile_core_seconds']:.1f} core s/tile)"
        lines.append(line)
    few = len(next(iter(scores.values()))["chips"]) <= 12
    for chip in next(iter(scores.values()))["chips"] if few else ():
        each = ", ".join(f"{name} {score['chips'][chip]:.3f}" for name, score in scores.items())
        lines.append(f"  {chip}: {each}")
    print("\n".join(lines), file=sys.stderr)


# ---------------------------------------------------------------------- pictures


def draw(
    folder: Path,
    chips: Sequence[Chip],
    maps: Mapping[str, Sequence[ByteArray]],
    shown: Sequence[str],
) -> None:
    """Write a panel a chip: RGB, raw label, reference, each method and where it errs."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    for number, chip in enumerate(chips):
        panels: dict[str, npt.NDArray[Any]] = {
            "Red, Green, Blue": _rgb(chip, (2, 1, 0)),
            "SWIR1, NIR, Red": _rgb(chip, (4, 3, 2)),
            "reference": _painted(chip.reference),
        }
        for name in shown:
            label = maps[name][number]
            panels[f"{name} (red: false water, blue: missed)"] = _errors(chip, label)
        across = min(4, len(panels))
        down = -(-len(panels) // across)
        figure, axes = plt.subplots(down, across, figsize=(5 * across, 5.3 * down), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for axis, (title, picture) in zip(axes.flat, panels.items(), strict=False):
            axis.imshow(picture, interpolation="nearest")
            axis.set_title(title, fontsize=11)
        figure.tight_layout()
        figure.savefig(folder / f"{chip.name}.png", dpi=70)
        plt.close(figure)


WATER_RGB, LAND_RGB, NONE_RGB = (0.12, 0.47, 0.71), (0.87, 0.84, 0.77), (0.6, 0.6, 0.6)
RIGHT_RGB, FALSE_RGB, MISSED_RGB = (0.75, 0.88, 1.0), (0.85, 0.1, 0.1), (0.05, 0.05, 0.9)
UNDECIDED_RGB = (1.0, 0.85, 0.2)


def _rgb(chip: Chip, bands: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    picture = np.stack([chip.bands[band] for band in bands], axis=-1).astype(float)
    low, high = np.nanpercentile(picture, [1, 99])
    return np.nan_to_num(np.clip((picture - low) / max(high - low, 1e-6), 0, 1), nan=1.0)


def _painted(codes: ByteArray) -> npt.NDArray[np.float64]:
    picture = np.empty((*codes.shape, 3))
    picture[:] = LAND_RGB
    picture[codes == 1], picture[codes == NOT_OBSERVED] = WATER_RGB, NONE_RGB
    return picture


def _errors(chip: Chip, label: ByteArray) -> npt.NDArray[np.float64]:
    picture = _painted(chip.reference)
    seen = chip.reference != NOT_OBSERVED
    picture[seen & (chip.reference == 1)] = RIGHT_RGB
    picture[seen & (label == NOT_OBSERVED)] = UNDECIDED_RGB
    picture[seen & (label == 1) & (chip.reference != 1)] = FALSE_RGB
    picture[seen & (label == 0) & (chip.reference == 1)] = MISSED_RGB
    return picture


# ---------------------------------------------------------------------- the run


def measure(folder: Path, asked: argparse.Namespace, pictures: Path | None) -> dict[str, Any]:
    """Score every method and baseline over the chips of a folder."""
    chips = labelled.read(folder)
    each = [baselines(chip) for chip in chips]
    maps: dict[str, list[ByteArray]] = {name: [one[name] for one in each] for name in each[0]}
    done = {name: correct(chips, name, asked.seed, each=asked.each) for name in asked.methods}
    maps |= {name: found.labels for name, found in done.items()}
    scores = table(chips, maps, asked.seed)
    for name, found in done.items():
        scores[name]["tile_seconds"] = round(found.tile_seconds, 2)
        scores[name]["tile_core_seconds"] = round(found.tile_core_seconds, 2)
        scores[name]["prepare_seconds"] = round(found.prepare_seconds, 1)
    show(f"{folder.name}: {len(chips)} chips", scores)
    if pictures is not None:
        draw(pictures / folder.name, chips, maps, (RAW, "DSWE 3 of 5", *asked.methods))
    return scores


def judge(scores: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> dict[str, Any]:
    """What is asked of the default method."""
    default = scores[methods[0] if DEFAULT not in methods else DEFAULT]
    rivals = [score["iou"] for name, score in scores.items() if name not in methods]
    gain = round(default["iou"] - scores[RAW]["iou"], 4)
    return {
        "figure": gain,
        "unit": "water IoU above the raw label, chips pooled",
        "against": "raw label (IoU)",
        "against_figure": scores[RAW]["iou"],
        "ratio": round(default["iou"] / scores[RAW]["iou"], 4) if scores[RAW]["iou"] else None,
        "bar": BAR,
        "holds": gain >= BAR
        and default["iou"] > max(rivals)
        and default["tile_seconds"] <= MAX_SECONDS,
    }


def data_folder() -> Path:
    """Where the real scenes are: `$WATER_GEE_TEST_DATA`, else `shared/data` beside the clone."""
    given = os.environ.get("WATER_GEE_TEST_DATA")
    return Path(given) if given else HERE.parents[1] / "shared" / "data"


def main() -> None:
    """Run, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--data", type=Path, help="labelled chips (default: `labelled` of the test data)"
    )
    parser.add_argument(
        "--qa-data",
        type=Path,
        help="chips of the second table (default: `labelled_qa` there; none with --data)",
    )
    parser.add_argument(
        "--methods", nargs="+", choices=correction.METHODS, default=list(correction.METHODS)
    )
    parser.add_argument("--each", action="store_true", help="a store of its own for every chip")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a PNG a chip here")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    scores = measure(asked.data or data_folder() / "labelled", asked, asked.pictures)
    second = asked.qa_data or (None if asked.data else data_folder() / "labelled_qa")
    line = {
        "name": "denoise",
        **judge(scores, asked.methods),
        "max_seconds": MAX_SECONDS,
        "scores": scores,
        "scores_qa": measure(second, asked, asked.pictures) if second else None,
        "each": asked.each,
        "seed": asked.seed,
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
    print(json.dumps(line))
    sys.exit(0 if line["holds"] else 1)


if __name__ == "__main__":
    main()
