"""A trained model as water maps in Earth Engine: checked, exported, watched, taken up again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from water_gee import session
from water_gee.deploy import assets, parity, record, sharing, tasks
from water_gee.deploy.build_ee import PROBABILITY_BAND, WATER_BAND, read_graph
from water_gee.deploy.network import Written, resolve_with
from water_gee.deploy.plan import MAX_PIXELS, plan_for
from water_gee.deploy.progress import Table
from water_gee.deploy.request import Requests, check_season
from water_gee.deploy.survey import IF_EXISTS, IfExists, survey
from water_gee.errors import DeployError, ExportFailedError
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.composite import feature_image

if TYPE_CHECKING:
    from collections.abc import Iterable

    import ee

    from water_gee.deploy.graph import LayerGraph
    from water_gee.deploy.plan import Map, Plan
    from water_gee.deploy.survey import Survey
    from water_gee.deploy.tasks import Run
    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a call of `deploy_to_gee` has led to.

    Attributes:
        assets: The ids of all maps, year by year.
        tasks: The operations that this call started or took up.
        standing: The ids of those that stood already.
        skipped: Those left to what else stands there.
        retried: Asset id and the service's words, for every task that was repeated or cut.
        replaced: Assets removed, because the same pixels stand elsewhere now.
        unsent: Maps that wait for room in the queue; `water-gee tasks --resume` sends them.
        runs: How many times this deployment was begun or taken up again.
        checked: How well the deployed network and Keras agree; None where nothing was exported, or
            this deployment was checked on this service before.
    """

    assets: tuple[str, ...]
    tasks: tuple[str, ...]
    standing: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    retried: tuple[tuple[str, str], ...] = ()
    replaced: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()
    runs: int = 1
    checked: parity.Agreement | None = field(default=None)

    @property
    def summary(self) -> str:
        """What happened, in a line."""
        parts = [f"{len(self.assets):,} map(s)"]
        if self.standing:
            parts.append(f"{len(self.standing):,} stood before")
        if self.tasks:
            parts.append(f"{len(self.tasks):,} task(s) started or taken up")
        if self.retried:
            parts.append(f"{len(self.retried):,} task(s) failed and were repeated or cut")
        if self.skipped:
            parts.append(f"{len(self.skipped):,} skipped, something else stands there")
        if self.replaced:
            parts.append(f"{len(self.replaced):,} older asset(s) removed")
        if self.unsent:
            parts.append(f"{len(self.unsent):,} wait for room in the queue")
        if self.runs > 1:
            parts.append(f"begun or taken up {self.runs:,} times")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class _Options:
    """How a deployment is to be made."""

    if_exists: IfExists
    form: str
    digits: int | None
    probability: bool
    attempts: int
    in_flight: int
    readers: tuple[str, ...]
    recipe: Recipe | None
    wait: bool
    progress: bool


def deploy_to_gee(
    model: TrainedModel | Path | str | Any,
    asset_id: str,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    *,
    if_exists: IfExists = "fail",
    form: str = "auto",
    digits: int | None = None,
    probability: bool = True,
    max_pixels: int = MAX_PIXELS,
    attempts: int = tasks.ATTEMPTS,
    in_flight: int = tasks.IN_FLIGHT,
    readers: str | Iterable[str] = (),
    recipe: Recipe | None = None,
    wait: bool = True,
    progress: bool = True,
) -> Deployment:
    """Export water maps made by a trained network inside Earth Engine.

    Before anything is exported the connected service is asked how it lays kernels, and the deployed
    network is held against Keras on one window of its own features. The maps lie on the lattice of
    the recipe, pixel for pixel where local maps lie, and cover whole cells; large areas are cut
    into several. Maps that stand already are left, and tasks that still run are taken up again: the
    same call goes on after an interruption, whatever it was, and so does `water-gee tasks
    --resume`. Tasks that fail for want of memory are replaced by quarters, those that fail for the
    service's own reasons are repeated.

    Args:
        model: A trained model, or its file; with `recipe` also a bare network, or the file of one.
        asset_id: `projects/YOUR-PROJECT/assets/...`: the map, or with several years or tiles the
            collection of them.
        aoi: The area, as `download_tiles` takes it. By default the cells the model was trained on.
        years: Maps for each. By default one map of all the recipe's years together.
        if_exists: What to do about assets of another model, recipe, year or area: `fail`, `skip`
            (leave them, make the others) or `overwrite`.
        form: How the network is written: `kernels`, `matrix`, `assets` (its weights are stored in a
            table beside the maps first) or `auto`: the first of these that the service takes.
        digits: Significant digits to round the weights to; by default they are exact.
        probability: Whether the maps have a band `probability`.
        max_pixels: Most pixels of one export.
        attempts: Tasks for one map at most, where the service says that it may go well next time.
        in_flight: Tasks waiting or running at once, at most 3,000.
        readers: Who may look at the maps: `user:NAME@HOST`, `group:NAME@HOST`, `domain:HOST`,
            `allUsers`, ...
        recipe: How the features of a network are made that does not say it itself.
        wait: Whether to wait for the tasks.
        progress: Whether to draw a table meanwhile.

    Returns:
        The assets and tasks; `.summary` says it in a line.

    Raises:
        AssetIdError: The id is malformed, or its folder does not exist.
        AoiError: No area.
        ParityError: Deployed network and Keras disagree; nothing was exported.
        ExportFailedError: Tasks ended without an asset.
        DeployError: Something else stands there, there is no image of a year, an option is none, or
            the service refused.
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
        RecipeError: A year that is none.
        SessionError: No service.
    """
    options = _Options(
        _choice(if_exists), form, digits, probability,
        _count("attempts", attempts, 100), _count("in_flight", in_flight, tasks.MAX_QUEUED),
        sharing.check_readers(readers), recipe, wait, progress,
    )  # fmt: skip
    assets.check_id(asset_id)
    trained = resolve_with(model, recipe)
    graph = read_graph(trained.network)
    plan = plan_for(
        trained,
        asset_id,
        aoi,
        years,
        probability=probability,
        digits=digits,
        max_pixels=max_pixels,
    )
    current = session.ensure()
    found = survey(plan, options.if_exists)
    if not found.missing:
        sharing.share(plan.target, options.readers)
        return _nothing_to_do(plan, found)
    with record.Record() as book:
        arguments = _arguments(model, trained, aoi, plan, years, max_pixels, options)
        entry = book.begin(plan.digest, plan.target, current.project, arguments, len(plan))
        try:
            return _Deploying(trained, graph, plan, options, found, book, current).go()
        except BaseException as error:
            if entry.runs == 1 and not book.tasks(plan.digest):
                book.forget(plan.digest)  # refused before anything was sent
            elif isinstance(error, ExportFailedError):
                book.end(plan.digest, record.UNFINISHED)
            raise


class _Deploying:
    """One call of `deploy_to_gee` that has something to make."""

    def __init__(
        self,
        trained: TrainedModel,
        graph: LayerGraph,
        plan: Plan,
        options: _Options,
        found: Survey,
        book: record.Record,
        current: session.Session,
    ) -> None:
        self.trained, self.plan, self.options = trained, plan, options
        self.written = Written(graph, options.form, options.digits, plan.target)
        self.found, self.book, self.current = found, book, current
        self.made_collection = False
        self.requests = Requests(self._image, overwrite=options.if_exists == "overwrite")

    def go(self) -> Deployment:
        """Check, send, watch, and see whether everything stands."""
        known = tasks.known()
        run = self._run(known)
        for wanted in self.found.missing:
            run.add(wanted)
        checked = None
        fresh = [job.map for job in run.open if not job.in_flight]
        try:
            if fresh:
                checked = self._check(fresh, known)
                self._make_place()
            run.go(wait=self.options.wait)
        except DeployError:
            self._leave_nothing()
            raise
        if self.options.wait:
            self._settle(run)
        done = self._result(run, checked)
        self.book.end(self.plan.digest, record.FINISHED if self.options.wait else record.UNFINISHED)
        return done

    # ------------------------------------------------------------------ before

    def _run(self, known: dict[str, tasks.Known]) -> Run:
        table = None
        if self.options.progress:
            standing: dict[str, int] = {}
            for each in self.found.standing:
                standing[each.label] = standing.get(each.label, 0) + 1
            table = Table(self.plan.labels, standing)
        return tasks.Run(
            self.book,
            self.plan.digest,
            self.requests.send,
            _stands,
            self.found.jobs,
            known,
            attempts=self.options.attempts,
            in_flight=self.options.in_flight,
            may_cut=self.plan.is_collection,
            table=table,
        )

    def _check(self, fresh: list[Map], known: dict[str, tasks.Known]) -> parity.Agreement | None:
        """See that there are images, that the request fits, and that the service agrees with Keras.

        A deployment that is taken up again on the same service was checked there before.
        """
        recipes = {each.label: each.recipe for each in fresh}
        entry = self.book.deployment(self.plan.digest)
        before = entry.checked if entry is not None else None
        is_checked = before is not None and before["url"] == self.current.url
        if not is_checked:
            check_season(recipes.values(), self.plan.area)
        if is_checked and before is not None:
            self.written.form = before["form"]
        else:
            self.written.choose(_features(fresh[0].recipe))
        self.written.store(known, self.options.attempts)
        if is_checked:
            return None
        self.requests.check_size(fresh[0])  # the others differ in a year and a place
        checked = self._agreement(fresh[0].recipe)
        self.book.note_checked(
            self.plan.digest,
            {
                "url": self.current.url,
                "form": self.written.form,
                "time": time.time(),
                "largest": checked.largest,
            },
        )
        return checked

    def _agreement(self, recipe: Recipe) -> parity.Agreement:
        features = _features(recipe)
        area = self.plan.area
        parity.probe_orientation(area.grid)
        view = parity.find_view(self.trained.network, features, area.spread(parity.MAX_WINDOWS))
        return parity.check_window(view, self.written.image(features, [PROBABILITY_BAND]))

    def _make_place(self) -> None:
        if self.plan.is_collection and not self.found.has_target:
            assets.make_collection(self.plan.target)
            self.made_collection = True
            sharing.share(self.plan.target, self.options.readers)

    def _leave_nothing(self) -> None:
        """Remove the collection that was made for tasks of which none could be started."""
        started = any(sent.operation for sent in self.book.tasks(self.plan.digest))
        if not started:
            self.written.forget()
        if self.made_collection and not started:
            assets.remove(self.plan.target)
        if not started:
            self.book.forget(self.plan.digest)

    # ------------------------------------------------------------------ what is sent

    def _image(self, recipe: Recipe) -> ee.Image:
        bands = [WATER_BAND, PROBABILITY_BAND] if self.options.probability else [WATER_BAND]
        return self.written.image(_features(recipe), bands)

    # ------------------------------------------------------------------ after

    def _settle(self, run: Run) -> None:
        """Look again, share, and remove what was replaced.

        Raises:
            ExportFailedError: Maps are not there.
        """
        failures = {
            job.map.asset_id: str(job.error) for job in run.jobs if job.state == tasks.FAILED
        }
        there = self._there()
        for job in run.jobs:
            if job.state == tasks.DONE and there.get(job.map.asset_id) != job.map.job:
                failures[job.map.asset_id] = (
                    "its task ended, but it is not there; run the same again"
                )
        if failures:
            raise ExportFailedError(failures, len(self.plan))
        for old in self.found.replaced:
            if old in there:
                assets.remove(old)
        if not self.made_collection:
            sharing.share(self.plan.target, self.options.readers)

    def _there(self) -> dict[str, str | None]:
        if not self.plan.is_collection:
            standing = assets.look_up(self.plan.target)
            return {} if standing is None else {self.plan.target: assets.job_of(standing)}
        found = assets.children(self.plan.target)
        return {name: assets.job_of(asset) for name, asset in found.items()}

    def _result(self, run: Run, checked: parity.Agreement | None) -> Deployment:
        order = {label: number for number, label in enumerate(self.plan.labels)}
        whole = [job.map for job in run.jobs if job.state != tasks.CUT]
        kept = [*self.found.standing, *self.found.skipped, *whole]
        kept.sort(key=lambda each: (order[each.label], each.asset_id))
        entry = self.book.deployment(self.plan.digest)
        return Deployment(
            assets=tuple(each.asset_id for each in kept),
            tasks=tuple(job.operation for job in run.jobs if job.operation is not None),
            standing=tuple(each.asset_id for each in self.found.standing),
            skipped=tuple(each.asset_id for each in self.found.skipped),
            retried=tuple(
                (sent.asset, str(sent.error))
                for sent in self.book.tasks(self.plan.digest)
                if sent.error is not None
            ),
            replaced=tuple(self.found.replaced) if self.options.wait else (),
            unsent=tuple(job.map.asset_id for job in run.jobs if job.state == tasks.WAITING),
            runs=entry.runs if entry is not None else 1,
            checked=checked,
        )


def _nothing_to_do(plan: Plan, found: Survey) -> Deployment:
    kept = {each.asset_id for each in (*found.standing, *found.skipped)}
    return Deployment(
        tuple(each.asset_id for each in plan if each.asset_id in kept),
        (),
        tuple(each.asset_id for each in found.standing),
        tuple(each.asset_id for each in found.skipped),
    )


def _features(recipe: Recipe) -> ee.Image:
    features: ee.Image = feature_image(recipe).select(list(recipe.features))
    return features


def _stands(wanted: Map) -> bool:
    standing = assets.look_up(wanted.asset_id)
    return standing is not None and assets.job_of(standing) == wanted.job


def _arguments(
    model: Any,
    trained: TrainedModel,
    aoi: Any,
    plan: Plan,
    years: Any,
    max_pixels: int,
    options: _Options,
) -> dict[str, Any]:
    """The call as JSON values, so that it can be repeated."""
    path = model if isinstance(model, str | Path) else trained.path
    if options.recipe is not None and not isinstance(model, str | Path):
        path = None
    return {
        "model": None if path is None else str(Path(path).resolve()),
        "asset_id": plan.target,
        "aoi": None if aoi is None else dict(shapely.geometry.mapping(read_aoi(aoi))),
        "years": None if years is None else [recipe.years[0] for recipe in plan.recipes],
        "if_exists": options.if_exists,
        "form": options.form,
        "digits": options.digits,
        "probability": options.probability,
        "max_pixels": max_pixels,
        "attempts": options.attempts,
        "in_flight": options.in_flight,
        "readers": list(options.readers),
        "recipe": None if options.recipe is None else options.recipe.to_dict(),
    }


def _choice(if_exists: Any) -> IfExists:
    for known in IF_EXISTS:
        if if_exists == known:
            return known
    raise DeployError(f"if_exists {if_exists!r}: must be one of {', '.join(IF_EXISTS)}")


def _count(name: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise DeployError(f"{name} {value!r}: must be a whole number from 1 to {most:,}")
    return value
