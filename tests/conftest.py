"""What every test may use: fixed seeds, a quiet TensorFlow, the real scenes where they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Before anything imports TensorFlow: its start-up lines are no test output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

# The same examples in every run: what passes here passes in CI.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

REPOSITORY = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Where the real scenes are: `$WATER_GEE_TEST_DATA`, else `shared/data` beside the clone."""
    given = os.environ.get("WATER_GEE_TEST_DATA")
    return Path(given) if given else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - libraries that still read the global generator


@pytest.fixture(autouse=True)
def _no_outside_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own catalogue or server must not reach a test."""
    for name in ("WATER_GEE_URL", "WATER_GEE_CATALOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test's deployments are not entered among a developer's own."""
    record = tmp_path_factory.getbasetemp() / f"tasks-{uuid.uuid4().hex}.sqlite"
    monkeypatch.setenv("WATER_GEE_TASKS", str(record))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scenes; a test that asks for it skips, saying so, where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real scenes at {folder}; set WATER_GEE_TEST_DATA")
    return folder


def shared_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder of this test run that all of its worker processes share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one worker make what the others then find."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def tiny_season(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The synthetic season over one cell, made once; nobody may change it."""
    from water_gee.demo.season import make_season

    base = shared_base(tmp_path_factory)
    with one_at_a_time(base / "tiny_season.lock"):
        return make_season(base / "tiny", seed=0, cells=(1, 1))


@pytest.fixture(scope="session")
def tiny_catalog(tmp_path_factory: pytest.TempPathFactory, tiny_season: Any) -> Path:
    """A catalogue of that season and its elevation; nobody may add to it."""
    from water_gee.emulator.ingest import ingest

    base = shared_base(tmp_path_factory)
    with one_at_a_time(base / "tiny_catalog.lock"):
        ingest(base / "tiny_catalog", tiny_season.scenes)
        ingest(base / "tiny_catalog", [tiny_season.dem], dem=True)
    return base / "tiny_catalog"
