"""One small season for all tests of this folder."""

from __future__ import annotations

import pytest

from water_gee.demo.season import make_season


@pytest.fixture(scope="session")
def season(tmp_path_factory):
    """A season of one cell, seed 3."""
    return make_season(tmp_path_factory.mktemp("season"), seed=3, cells=(1, 1))
