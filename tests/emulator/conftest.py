"""A small catalogue, and the stock client over it on both seams."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from small_catalog import Client, client_in_process, client_over_http, fill

from water_gee.emulator.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small catalogue; nobody may write to it."""
    folder = tmp_path_factory.mktemp("filled") / "catalog"
    with Catalog.open(folder, create=True) as catalog:
        fill(catalog)
    return folder


@pytest.fixture
def catalog(filled: Path, tmp_path: Path) -> Iterator[Catalog]:
    """A small catalogue to write to."""
    shutil.copytree(filled, tmp_path / "catalog")
    with Catalog.open(tmp_path / "catalog") as found:
        yield found


@pytest.fixture(scope="module", params=["in process", "over HTTP"])
def ee_session(
    request: pytest.FixtureRequest, filled: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """The stock client over a copy of the small catalogue, which a module's tests share."""
    folder = tmp_path_factory.mktemp("served") / "catalog"
    shutil.copytree(filled, folder)
    seam = client_in_process if request.param == "in process" else client_over_http
    with seam(folder) as client:
        yield client


@pytest.fixture
def local(filled: Path, tmp_path: Path) -> Iterator[Client]:
    """The stock client in process, over a copy of the small catalogue of its own."""
    shutil.copytree(filled, tmp_path / "catalog")
    with client_in_process(tmp_path / "catalog") as client:
        yield client
