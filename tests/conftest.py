"""What every test may use: fixed seeds, a quiet TensorFlow, the real scenes where they are."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

# Before anything imports TensorFlow: its start-up lines are no test output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

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


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scenes; a test that asks for it skips, saying so, where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real scenes at {folder}; set WATER_GEE_TEST_DATA")
    return folder
