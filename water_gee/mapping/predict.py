"""A trained network over rasters of any size: maps of classes and probabilities.

What is computed is in `classifier.py`, over what in `sources.py`, how threads and files work
together in `water_gee/pipeline.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from water_gee import pipeline, raster
from water_gee._version import __version__
from water_gee.errors import RasterError
from water_gee.files import refuse_same, remove_leftovers
from water_gee.imagery.store import COLORS, NOT_OBSERVED
from water_gee.mapping import stac
from water_gee.mapping.classifier import BLOCK, LANES, Classifier, classify
from water_gee.mapping.sources import opened
from water_gee.training.model import TrainedModel, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from water_gee.mapping.cluster import Cluster
    from water_gee.mapping.sources import Opened, Source
    from water_gee.pipeline import Function

__all__ = ["BLOCK", "WINDOW", "Classifier", "classify", "predict", "probability_path"]

WINDOW = pipeline.SIZE
"""Side of the windows that are read and written, in pixels; twice that of a block."""


def predict(
    model: TrainedModel | Path | str,
    source: Source,
    out: Path | str,
    *,
    probability: bool = False,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    dask: str | None = None,
    progress: bool = True,
) -> Path:
    """Map water over local rasters, or over what a service composes.

    A call that was killed, or stopped by Ctrl-C, a full disk, or a service or cluster that failed,
    is gone on with by the same call: what it had finished waits in a hidden folder `.OUT.parts`
    beside the map.

    Args:
        model: A trained model, or its file.
        source: One of
            - a tile store or its folder, of which the cells are mapped as one;
            - a GeoTIFF with one float band for each feature of the model's recipe;
            - several on one grid, mapped as one; or, where `out` is a folder, several sources of
              any grids, of which each gets a map of its own;
            - the folder of an emulator's catalogue, or a session: season and features are composed
              by the service by the model's recipe, and nothing is kept of them.
        out: The map, a Cloud-Optimized GeoTIFF: uint8, 0 land, 1 water, 255 not observed, with a
            colour table. It appears whole or not at all; beside it a STAC item (`.json`) and a
            style for QGIS (`.qml`), where it has a CRS. With a folder, which is made where it does
            not exist, maps are `SCENE_water.tif`, and `maps.csv` says what became of each.
        probability: Whether to write the probability of water beside it, float32, NaN where not
            observed, as `OUT_probability.tif`.
        aoi: The area to compose, as `imagery.aoi.read_aoi` takes it; pixels outside are not
            observed. By default the ground that a catalogue's scenes cover.
        years: Other years than the recipe's, for what is composed.
        dask: Address of a Dask scheduler, whose workers map the parts; they must see the same files
            under the same names.
        progress: Whether to draw a bar.

    Returns:
        The map's path, or the folder's.

    Raises:
        ModelError: No model there.
        RasterError: A source that cannot be read, has other bands, or is the output as well.
        WriteFailedError: A full disk.
        RecipeMismatchError: A store of another recipe.
        StoreError: No store there, or an empty one.
        AoiError: No area, or one for files.
        SessionError: Nobody answers where features are composed.
        DownloadError: The service refuses, or has no scene of the season.
        ClusterError: No cluster there, or one that cannot do it.
        ScenesFailedError: Some of several scenes failed; the maps of the others are there.
        MissingExtraError: `dask` is given, and Dask is not installed.
    """
    target = Path(out)
    with contextlib.ExitStack() as stack:
        cluster = None
        if dask is not None:
            from water_gee.mapping.cluster import Cluster

            cluster = stack.enter_context(Cluster(dask))
        mapper = Mapper(
            resolve(model),
            probability=probability,
            aoi=aoi,
            years=years,
            cluster=cluster,
            progress=progress,
        )
        if isinstance(source, (list, tuple)) and _is_folder(target):
            from water_gee.mapping.scenes import map_scenes

            return map_scenes(mapper, source, target)
        if _is_folder(target):
            what = "is a folder" if target.is_dir() else "has no ending"
            raise RasterError(
                f"{target} {what}; name the map, for example {target / 'map.tif'}, or give several "
                "scenes"
            )
        mapper.map(source, target)
    return target


def probability_path(out: Path | str) -> Path:
    """Where `predict` writes probabilities: beside the map, `OUT_probability.tif`."""
    target = Path(out)
    return target.with_name(f"{target.stem}_probability.tif")


class Mapper:
    """A model and how to map with it; see `predict`."""

    def __init__(
        self,
        trained: TrainedModel,
        *,
        probability: bool,
        aoi: Any,
        years: int | Iterable[int] | None,
        cluster: Cluster | None,
        progress: bool,
    ) -> None:
        self.trained = trained
        self.probability = probability
        self.aoi = aoi
        self.years = years
        self.cluster = cluster
        self.progress = progress
        self.classifier = Classifier(trained.network)

    def map(self, source: Source, target: Path) -> None:
        """Make one map."""
        remove_leftovers(target.parent)
        read = [self.trained.path, *(source if isinstance(source, (list, tuple)) else [source])]
        with self.opened(source) as features:
            outputs, key = self.outputs(target, features), self.key(features)
            for output in outputs:
                refuse_same(output.path, [Path(p) for p in read if isinstance(p, (str, Path))])
            job = pipeline.plan(
                features.reader.header,
                outputs,
                key,
                WINDOW,
                self.classifier.halo,
                fill=float("nan"),
                within=features.within,
            )
            with pipeline.kept(job, key):
                if self.cluster is not None:
                    self.cluster.compute(job, features, self.trained, self.progress)
                else:
                    function = features_to_map(
                        self.classifier, features.nodata, len(outputs), features.clipped
                    )
                    bar = bar_of("map", "window") if self.progress else None
                    pipeline.compute(job, job.missing, features.reader, function, bar, LANES)
                pipeline.assemble(job)
            if job.grid.crs:
                stac.write_item(target)

    def opened(self, source: Source) -> contextlib.AbstractContextManager[Opened]:
        """The source, checked against the model's recipe."""
        recipe, halo = self.trained.recipe, self.classifier.halo
        return opened(source, recipe, halo, self.aoi, self.years)

    def outputs(self, target: Path, features: Opened) -> list[raster.Output]:
        """The rasters of a map."""
        tags = {
            "water_gee_model": self.trained.digest(),
            "water_gee_recipe": json.dumps(features.recipe.to_dict(), sort_keys=True),
            "water_gee_version": __version__,
        }
        names = ("water",)
        files = [raster.Output(target, "uint8", NOT_OBSERVED, names, tags, COLORS, "mode")]
        if self.probability:
            nan, names = float("nan"), ("probability",)
            beside = probability_path(target)
            files.append(raster.Output(beside, "float32", nan, names, tags, None, "average"))
        return files

    def key(self, features: Opened) -> str:
        """All that a map's pixels depend on, as one digest."""
        facts = (
            self.trained.digest(),
            self.trained.network.to_json(),
            features.recipe.digest(),
            BLOCK,
            features.identity,
            repr(features.nodata),
        )
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def features_to_map(
    classifier: Classifier, nodata: float | None, outputs: int, clipped: bool = False
) -> Function:
    """What `raster.map_windows` runs over windows of features.

    Args:
        classifier: The network.
        nodata: What stands for not observed, besides NaN.
        outputs: 1 for the class alone, 2 with the probability.
        clipped: Whether a last band says which pixels are wanted.
    """
    marked = nodata is not None and not np.isnan(nodata)

    def function(values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        inside = None
        if clipped:
            values, inside = values[:-1], values[-1] == 1
        given = values.astype(np.float32, copy=False)
        if marked:
            given = np.where(values == nodata, np.float32("nan"), given)
        water, probability = classifier(given)
        if inside is not None:
            water[~inside], probability[~inside] = NOT_OBSERVED, np.nan
        results: list[npt.NDArray[Any]] = [water, probability]
        return results[:outputs]

    return function


def bar_of(what: str, unit: str) -> pipeline.Progress:
    """A progress bar for windows or parts."""

    def bar(steps: Iterator[Any], total: int) -> Iterator[Any]:
        return iter(tqdm(steps, total=total, desc=what, unit=unit))

    return bar


def _is_folder(target: Path) -> bool:
    return target.is_dir() or not target.suffix
