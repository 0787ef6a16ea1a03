"""The main job, stage after stage: area or scenes -> tiles -> model -> maps -> asset.

    ingest      scenes -> OUT/catalog                    (only with scenes)
    download    area -> OUT/tiles
    labels      QA labels -> corrected labels
    train       tiles -> OUT/model.keras
    map         model -> OUT/map.tif, OUT/map_probability.tif, OUT/water.gpkg
    deploy      model -> an asset of the connected service
    report      OUT/report.html

A stage is skipped when the journal (`OUT/run.json`) says that it ended with the same inputs and
its results are unchanged; otherwise it is made, and taken up where it was left if it can be. Every
stage repeats bit for bit, so that a run killed at any instant ends, when started again, with the
maps of one that was not.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee import session
from water_gee._version import __version__
from water_gee.errors import RasterError, RecipeError, SessionError
from water_gee.imagery import scenes as landsat
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.recipe import NO_DEM, Recipe
from water_gee.journal import Entry, Journal, digest
from water_gee.settings import Order, order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from water_gee.imagery.aoi import Area

log = logging.getLogger(__name__)

STAGES = ("ingest", "download", "labels", "train", "map", "deploy", "report")

Made = tuple["Iterable[Path]", "Mapping[str, Any]"]
"""What making a stage yields: its files, and facts as plain JSON values."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind.

    Attributes:
        out: The folder.
        recipe: What was mapped.
        tiles: The tile store.
        model: The trained model.
        map: Class raster, uint8: 0 land, 1 water, 255 not observed.
        probability: Probability of water, float32, NaN where not observed.
        polygons: GeoPackage of water bodies.
        report: One HTML page.
        assets: Ids of the deployed maps; empty where nothing was deployed.
        seconds: Of each stage when it was made, by name.
        made: The stages that this call made; the others stood already.
        notes: What the reader of the maps should know, a line each.
    """

    out: Path
    recipe: Recipe
    tiles: Path
    model: Path
    map: Path
    probability: Path
    polygons: Path
    report: Path
    assets: tuple[str, ...]
    seconds: Mapping[str, float]
    made: tuple[str, ...]
    notes: tuple[str, ...]


def run(
    aoi: Any = None,
    *,
    scenes: Sequence[Path | str] | Path | str | None = None,
    out: Path | str | None = None,
    recipe: Recipe | Mapping[str, Any] | Path | str | None = None,
    dem: Path | str | None = None,
    asset_id: str | None = None,
    seed: int | None = None,
    epochs: int | None = None,
    threads: int | None = None,
    deploy: bool | None = None,
    config: Path | str | None = None,
    project: str | None = None,
    url: str | None = None,
    catalog: Path | str | None = None,
    progress: bool = True,
) -> RunResult:
    """Do the whole job, or go on with it.

    With `scenes` they are ingested into an emulator's catalogue first (`OUT/catalog`, unless
    `catalog` names another), by the command `water-gee emulator ingest` in a child process;
    sensors, years and months come from them unless the recipe says otherwise, and so does the area.
    Without, the area is asked of the current session, or of what `project`, `url` or `catalog`
    connect to.

    Args:
        aoi: Anything `read_aoi` takes.
        scenes: Landsat products as their agencies ship them: folders, archives, GeoTIFFs.
        out: The folder of results; made where there is none.
        recipe: What is mapped; a `Recipe`, some of its fields, or a TOML file.
        dem: An elevation GeoTIFF in metres to ingest, an asset id, or `none`. With scenes and no
            DEM elevation is 0 everywhere.
        asset_id: Where the map is deployed; default `projects/PROJECT/assets/NAME OF OUT`.
        seed: Of everything random; default 0.
        epochs: At most so many of training; default as `train` has it.
        threads: Tiles fetched at the same time; default 8.
        deploy: Whether to deploy; default True.
        config: A TOML file with any of these, as `water_gee.settings` shows; what is given here
            beats it.
        project: A Google Cloud project.
        url: A server that speaks the Earth Engine REST API.
        catalog: An emulator's folder.
        progress: Whether to draw progress bars on standard error.

    Returns:
        Where everything is.

    Raises:
        WaterGeeError: Any part of the job refuses; the message says what and what to do.
    """
    given = {
        "aoi": aoi,
        "scenes": scenes,
        "out": out,
        "recipe": recipe,
        "dem": dem,
        "asset_id": asset_id,
        "seed": seed,
        "epochs": epochs,
        "threads": threads,
        "deploy": deploy,
        "project": project,
        "url": url,
        "catalog": catalog,
    }
    asked = order(config, given)
    _check(asked)
    with Journal.open(asked.out.absolute()) as book:
        return _Run(asked, book, progress).all()


class _Run:
    """One run: what was asked, the journal, and what has been found out so far."""

    def __init__(self, asked: Order, book: Journal, progress: bool) -> None:
        self.asked = asked
        self.book = book
        self.progress = progress
        self.out = book.folder
        self.tiles = self.out / "tiles"
        self.model = self.out / "model.keras"
        self.map = self.out / "map.tif"
        self.probability = self.out / "map_probability.tif"
        self.polygons = self.out / "water.gpkg"
        self.report = self.out / "report.html"
        self.made: list[str] = []
        self.notes: list[str] = []
        self.source: Any = None
        self.recipe = Recipe()
        self.area: Area | None = None

    def all(self) -> RunResult:
        """Every stage in order."""
        self._connect()
        download = self._stage("download", self._download_inputs(), self._download, self._no_tiles)
        labels = self._stage(
            "labels", [download.digest, self.asked.seed], self._labels, self._no_labels
        )
        train = self._stage(
            "train", [labels.digest, self.asked.seed, self.asked.epochs], self._train
        )
        maps = self._stage("map", [train.digest, download.digest], self._map)
        deployed = self._deployed(train) if self.asked.deploy else None
        entries = [download, labels, train, maps, *([deployed] if deployed else [])]
        self._stage("report", [entry.digest for entry in entries] + self.notes, self._report)
        return RunResult(
            out=self.out,
            recipe=self.recipe,
            tiles=self.tiles,
            model=self.model,
            map=self.map,
            probability=self.probability,
            polygons=self.polygons,
            report=self.report,
            assets=tuple(deployed.facts["assets"]) if deployed else (),
            seconds=self._seconds(),
            made=tuple(self.made),
            notes=tuple(self.notes),
        )

    # ------------------------------------------------------------------ where the pixels are

    def _connect(self) -> None:
        """Ingest what is to be ingested, connect, and settle recipe and area."""
        asked, fields = self.asked, dict(self.asked.recipe)
        elevation = _existing(asked.dem)
        found: list[landsat.Scene] = []
        if asked.scenes or elevation is not None:
            catalog = asked.catalog or self.out / "catalog"
            entry = self._ingested(catalog, elevation)
            found = [landsat.Scene(**plain) for plain in entry.facts["scenes"]]
            self.source = entry.digest
        elif asked.project or asked.url or asked.catalog:
            session.connect(project=asked.project, url=asked.url, catalog=asked.catalog)
        current = session.ensure()
        if self.source is None:
            place = str(current.catalog.absolute()) if current.catalog else current.url
            self.source = [place, current.project]
        self._choose_dem(fields, elevation)
        self.recipe = landsat.recipe_for(found, fields) if found else Recipe.from_dict(fields)
        self.area = read_aoi(asked.aoi) if asked.aoi is not None else landsat.area_of(found)
        made = [scene for scene in found if scene.qa_made]
        if made:
            self._note(
                f"{len(made)} of {len(found)} scenes came without a QA band ({made[0].qa_made}): "
                "the first labels are cruder than a sensor's own"
            )
        if self.recipe.dem is None:
            self._note("no elevation model given: elevation is 0 everywhere")

    def _ingested(self, catalog: Path, elevation: Path | None) -> Entry:
        """Put scenes and elevation into a catalogue, and connect to it."""
        asked = self.asked
        inputs = [str(catalog.absolute()), *map(_fingerprint, asked.scenes)]
        inputs.append(_fingerprint(elevation) if elevation is not None else "")

        def make() -> Made:
            assets = landsat.ingest(catalog, asked.scenes) if asked.scenes else []
            if elevation is not None:
                landsat.ingest(catalog, [elevation], dem=True)
            session.connect(catalog=catalog)
            return (), {"scenes": [asdict(scene) for scene in landsat.describe(assets)]}

        def clear() -> None:
            if asked.catalog is None:
                _remove(catalog)

        if not catalog.is_dir():
            self.book.forget("ingest")
        entry = self._stage("ingest", inputs, make, clear)
        if "ingest" in self.made:
            return entry
        session.connect(catalog=catalog)
        if _all_there(scene["asset"] for scene in entry.facts["scenes"]):
            return entry
        self.book.forget("ingest")
        return self._stage("ingest", inputs, make)

    def _choose_dem(self, fields: dict[str, Any], elevation: Path | None) -> None:
        if elevation is not None:
            fields["dem"] = Recipe().dem
        elif self.asked.dem is not None:
            fields["dem"] = str(self.asked.dem)
        elif self.asked.scenes:
            fields.setdefault("dem", NO_DEM)

    # ------------------------------------------------------------------ the stages

    def _download_inputs(self) -> list[Any]:
        assert self.area is not None
        return [self.recipe.to_dict(), self.area.normalize().wkb_hex, self.source]

    def _download(self) -> Made:
        from water_gee.imagery.download import download_tiles

        for path in self.book.changed("download"):
            path.unlink()
        with download_tiles(
            self.area,
            store=self.tiles,
            recipe=self.recipe,
            threads=self.asked.threads,
            progress=self.progress,
        ) as store:
            rows = store.rows()
        files = [
            self.tiles / folder / f"{row.cell}.tif"
            for row in rows
            for folder in ("images", "masks")
        ]
        facts = {
            "tiles": len(rows),
            "empty": sum(row.state == "empty" for row in rows),
            "observed": sum(row.valid for row in rows),
            "water": sum(row.water for row in rows),
        }
        return files, facts

    def _labels(self) -> Made:
        from water_gee.training.labels import denoise_labels

        facts = denoise_labels(self.tiles, seed=self.asked.seed, progress=self.progress)
        return sorted((self.tiles / "labels").glob("*.tif")), _plain(facts)

    def _train(self) -> Made:
        from water_gee.training.fit import EPOCHS, train

        trained = train(
            self.tiles,
            out=self.model,
            seed=self.asked.seed,
            epochs=self.asked.epochs or EPOCHS,
            progress=self.progress,
        )
        beside = [self.out / "history.csv", self.out / "history.png"]
        return [self.model, *(path for path in beside if path.exists())], _plain(trained.record)

    def _map(self) -> Made:
        from water_gee.mapping.predict import predict
        from water_gee.mapping.stac import write_item
        from water_gee.mapping.styles import sidecar
        from water_gee.mapping.vectors import polygons

        wanted: dict[str, Any] = {"probability": True, "progress": self.progress}
        if self.recipe is not None and self.recipe.composite == "scene":
            # Tiles of single acquisitions lie over each other: what is mapped is their season.
            predict(self.model, session.ensure(), self.map, aoi=self.area, **wanted)
        else:
            predict(self.model, self.tiles, self.map, **wanted)
        polygons(self.map, self.polygons)
        item = write_item(self.map, assets={"polygons": self.polygons})
        return [self.map, self.probability, self.polygons, item, sidecar(self.map)], {}

    def _deployed(self, train: Entry) -> Entry:
        from water_gee.deploy.export import deploy_to_gee

        project = session.ensure().project
        asset = self.asked.asset_id or f"projects/{project}/assets/{_slug(self.out.name)}"
        before = self.book.entry("deploy")
        ours = set(before.facts.get("assets", [])) if before is not None else set()
        if before is not None and before.done and not _all_there(ours):
            self.book.forget("deploy")

        def make() -> Made:
            done = deploy_to_gee(
                self.model,
                asset,
                aoi=self.area,
                # What an earlier run of this folder put there may be replaced.
                if_exists="overwrite" if self.asked.asset_id is None or asset in ours else "fail",
                progress=self.progress,
            )
            return (), {"assets": list(done.assets)}

        inputs = [train.digest, *self._download_inputs(), asset]
        return self._stage("deploy", inputs, make)

    def _report(self) -> Made:
        from water_gee.mapping import report

        report.write(self.report, title=self.out.name, notes=self.notes)
        return [self.report], {}

    # ------------------------------------------------------------------ helpers

    def _stage(
        self,
        name: str,
        inputs: Any,
        make: Callable[[], Made],
        clear: Callable[[], None] | None = None,
    ) -> Entry:
        """Return a stage's entry, making it where it does not stand."""
        key = digest(__version__, name, inputs)
        standing = self.book.standing(name, key)
        if standing is not None:
            log.info("%s: done before", name)
            return standing
        before = self.book.entry(name)
        if clear is not None and (before is None or before.inputs != key):
            clear()
        self.book.begin(name, key)
        start = time.perf_counter()
        outputs, facts = make()
        entry = self.book.end(name, outputs, facts, time.perf_counter() - start)
        self.made.append(name)
        log.info("%s: %.1f s", name, entry.seconds)
        return entry

    def _note(self, line: str) -> None:
        self.notes.append(line)
        log.warning("%s", line)

    def _seconds(self) -> dict[str, float]:
        entries = {name: self.book.entry(name) for name in STAGES}
        return {name: entry.seconds for name, entry in entries.items() if entry is not None}

    def _no_tiles(self) -> None:
        _remove(self.tiles)

    def _no_labels(self) -> None:
        _remove(self.tiles / "labels")


def _check(asked: Order) -> None:
    """Refuse what cannot be, before anything is made.

    Raises:
        RecipeError: Options that exclude each other, or a scene that is not there.
        SessionError: Scenes meant for a service that takes none.
    """
    for path in asked.scenes:
        if not path.exists():
            raise RecipeError(f"no scene at {path}; give a folder, an archive or a GeoTIFF")
    elevation = _existing(asked.dem)
    if elevation is not None and not asked.scenes and asked.catalog is None:
        raise RecipeError(
            f"{elevation} is a file, which can only be ingested into a catalogue: give `catalog` "
            "or `scenes` too, or the asset id of a DEM"
        )
    if (asked.scenes or elevation is not None) and (asked.project or asked.url):
        raise SessionError(
            "scenes and DEM files are ingested into a catalogue of this machine; leave `project` "
            "and `url` out"
        )


def _existing(dem: Path | str | None) -> Path | None:
    """The DEM as a file, or None where it is an asset id or not given."""
    if dem is None:
        return None
    path = Path(dem)
    if path.exists():
        return path
    if isinstance(dem, Path) or path.suffix.lower() in (".tif", ".tiff", ".vrt"):
        raise RasterError(f"no DEM at {path}; give a GeoTIFF, an asset id, or `none`")
    return None


def _fingerprint(path: Path) -> str:
    """Changes with the name, size or time of a file, or of any file in a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    marks = [(str(p.absolute()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return digest(str(path.absolute()), marks)


def _all_there(assets: Iterable[str]) -> bool:
    """Whether the connected service has every one of these."""
    import ee
    from ee import data

    session.ensure()
    for asset in assets:
        try:
            with session.talking():
                data.getAsset(asset)
        except ee.EEException:
            return False
    return True


def _slug(name: str) -> str:
    """A folder's name as an asset may be called."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "water"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON keeps them; what it cannot keep becomes text. Times are the journal's own."""
    kept: dict[str, Any] = json.loads(json.dumps(dict(facts), default=str))
    kept.pop("seconds", None)
    return kept
