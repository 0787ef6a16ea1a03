"""Commands, run in this process."""

from __future__ import annotations

import logging

import pytest

from water_gee.cli import app


@pytest.fixture
def call(capsys):
    """Run a command: `(status, stdout, stderr)`."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            app.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    yield call
    logger = logging.getLogger("water_gee")
    logger.handlers.clear()
    logger.propagate = True
