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


@pytest.fixture
def refused(call):
    """Run a command that must be refused with status 1; returns its one line."""

    def refused(*arguments):
        status, out, err = call("-q", *arguments)
        assert (status, out) == (1, ""), err
        assert err.startswith("water-gee: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert "please report it" not in err
        return err

    return refused
