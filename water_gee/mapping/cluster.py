"""Parts of a map made by the workers of a Dask cluster.

A task carries names and numbers only: the model's file, the source's, a window, and where the part
file goes. Every worker opens the files itself, so they must lie where all of them see them. A
worker that is lost loses the part in its hands, which another one then makes.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from water_gee import pipeline
from water_gee.errors import (
    ClusterError,
    MissingExtraError,
    RasterError,
    WaterGeeError,
    WriteFailedError,
)
from water_gee.files import write_bytes
from water_gee.mapping.classifier import LANES, Classifier
from water_gee.training.model import TrainedModel, load, save

if TYPE_CHECKING:
    from collections.abc import Iterator

    from water_gee.mapping.sources import Opened
    from water_gee.pipeline import Job
    from water_gee.windows import Window

ANSWER_SECONDS = 5
"""How long a scheduler may take to answer."""

WORKERS_SECONDS = 120
"""How long the first worker may take to appear."""

_working = threading.Lock()


class Cluster:
    """A connection to a Dask scheduler; a context manager.

    Args:
        address: For example `tcp://10.0.0.1:8786`.

    Raises:
        MissingExtraError: Dask is not installed.
        ClusterError: Nobody answers there, or the cluster has no worker.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
            from distributed.comm.addressing import get_address_host
        except ImportError as error:
            raise MissingExtraError("distributed", "dask") from error
        self.address = address
        self._distributed: Any = distributed
        with _quiet():
            try:
                _look_up(get_address_host(address))
                self._client: Any = self._distributed.Client(
                    address, timeout=ANSWER_SECONDS, set_as_default=False
                )
            except (OSError, ValueError) as error:
                raise ClusterError(
                    f"no Dask scheduler answers at {address}; start one with `dask scheduler` and "
                    "workers with `dask worker ADDRESS`, or correct the address"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with _quiet(), contextlib.suppress(OSError, TimeoutError):
            self._client.close(timeout=5)

    def compute(self, job: Job, features: Opened, trained: TrainedModel, progress: bool) -> None:
        """Let the workers make the missing parts of a job; may be called from several threads.

        Raises:
            ClusterError: No worker, workers that lack the package, or that write elsewhere.
            RasterError: A worker could not read or write.
        """
        missing = job.missing
        if not missing:
            return
        source = _on_disk(job, features)
        model = _model_file(job, trained)
        digest = trained.digest()
        self._wait_for_a_worker()
        futures = [
            self._client.submit(
                *(map_part, job, part, str(source), str(model), digest, features.nodata),
                key=f"water_gee-{job.folder.resolve()}-{part.row}-{part.col}",
                pure=False,
                retries=1,
            )
            for part in missing
        ]
        try:
            self._gather(futures, progress)
        finally:
            self._client.cancel(futures, force=True)
        for part in missing:
            for path in job.paths(part):
                if not path.exists():
                    raise ClusterError(
                        f"the workers of {self.address} say that {path} is written, and it is not "
                        "here; map from and to a folder that this machine and all workers share"
                    )

    def _gather(self, futures: list[Any], progress: bool) -> None:
        from tqdm.auto import tqdm

        done = self._distributed.as_completed(futures, loop=self._client.loop)
        for future in tqdm(done, total=len(futures), desc="map", unit="part", disable=not progress):
            error = future.exception()
            if error is not None:
                raise _in_words(error, self.address) from error
            why, unwritten = future.result()
            if why:
                raise (WriteFailedError if unwritten else RasterError)(why)

    def _wait_for_a_worker(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"the scheduler at {self.address} has no worker; start some with "
                f"`dask worker {self.address}`"
            ) from error


def map_part(
    job: Job, part: Window, source: str, model: str, digest: str, nodata: float | None
) -> tuple[str, bool]:
    """Make one part of a map: what a worker is asked to do.

    Args:
        job: What is written; plain facts.
        part: The rectangle to map.
        source: A file of features, or a VRT of several.
        model: The model's file.
        digest: That of the network in it.
        nodata: What stands for not observed, besides NaN.

    Returns:
        Why it cannot be made, in one line, or nothing; and whether the disk did not take it. An
        error would be tried again elsewhere, and not every one survives the journey.
    """
    from water_gee.mapping.predict import features_to_map

    try:
        with _working:  # one part at a time bounds the memory
            classifier = _classifier(model, Path(model).stat().st_mtime_ns, digest)
            function = features_to_map(classifier, nodata, len(job.outputs))
            with pipeline.FileReader(Path(source)) as reader:
                pipeline.compute(job, [part], reader, function, None, LANES)
    except (WaterGeeError, OSError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        return why, isinstance(error, WriteFailedError)
    return "", False


@functools.lru_cache(maxsize=2)
def _classifier(model: str, _written: int, digest: str) -> Classifier:
    trained = load(model)
    if trained.digest() != digest:
        raise RasterError(f"{model} is another model for this worker than where the map was asked")
    return Classifier(trained.network)


def _on_disk(job: Job, features: Opened) -> Path:
    """The source as one file that the workers can open."""
    if features.path is not None:
        return features.path.resolve()
    if features.text is None:
        raise ClusterError(
            "a cluster maps files; what a service composes is mapped without --dask, or "
            "downloaded first"
        )
    path = job.folder.resolve() / "source.vrt"
    write_bytes(path, features.text.encode())
    return path


def _model_file(job: Job, trained: TrainedModel) -> Path:
    if trained.path is not None and trained.path.is_file():
        return trained.path.resolve()
    saved = save(trained, job.folder.resolve() / "model.keras")
    assert saved.path is not None
    return saved.path


def _in_words(error: BaseException, address: str) -> ClusterError:
    """What a worker did not foresee, in one line."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, ImportError) or "No module named" in text:
        return ClusterError(
            f"the workers of {address} cannot import what they need ({text}); install "
            "water-gee[dask] of the same version there"
        )
    kind = type(error).__name__
    if kind == "KilledWorker":
        return ClusterError(
            f"workers of {address} died one after the other over the same part; give them more "
            "memory (2 GB each), then run the same again"
        )
    return ClusterError(f"the cluster at {address} failed: {kind}: {text}; run the same again")


def _look_up(host: str) -> None:
    """Ask for a host's address, in a thread that is left behind where no answer comes.

    Dask's own deadline does not hold here: it waits until the system's lookup has given up.

    Raises:
        OSError: The name is unknown, or nobody says within `ANSWER_SECONDS`.
    """
    found: list[Any] = []

    def ask() -> None:
        with contextlib.suppress(OSError, ValueError):  # the second: a name that is none
            found.extend(socket.getaddrinfo(host, None))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    if not found:
        raise OSError(f"no address is known of {host}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask logs about a connection to itself; it is raised in one line."""
    loggers = [logging.getLogger(name) for name in ("distributed.client", "distributed.comm")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
