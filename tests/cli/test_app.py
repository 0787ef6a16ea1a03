"""The command line itself: help, usage, and errors in one line."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import warnings

import click
import pytest

import water_gee
from water_gee import errors
from water_gee.cli import app, failures, options

COMMANDS = [
    "download",
    "tiles",
    "labels",
    "train",
    "predict",
    "polygons",
    "series",
    "compare",
    "points",
]
COMMANDS += ["evaluate", "deploy", "tasks", "emit", "run", "demo", "emulator"]


@pytest.fixture
def failing(monkeypatch):
    """A command `fail` that raises what it is given."""

    def install(error):
        @click.command()
        def fail():
            raise error

        monkeypatch.setitem(app.cli.commands, "fail", fail)

    return install


def test_help_lists_every_command_in_the_order_of_use(call):
    status, out, err = call("--help")
    assert (status, err) == (0, "")
    listed = [
        line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()
    ]
    assert listed[: len(COMMANDS)] == COMMANDS


@pytest.mark.parametrize(
    "command", [[c] for c in COMMANDS] + [["emulator", "start"], ["emulator", "ingest"]]
)
def test_every_command_has_help(call, command):
    status, out, _ = call(*command, "-h")
    assert status == 0
    assert out.startswith(f"Usage: water-gee {' '.join(command)}")


def test_version(call):
    assert call("--version") == (0, f"water-gee {water_gee.__version__}\n", "")


def test_the_module_runs_as_the_command_and_loads_nothing_heavy():
    code = (
        "import runpy, sys\nsys.argv = ['water-gee', 'run', '--help']\n"
        "try: runpy.run_module('water_gee', run_name='__main__')\n"
        "finally: print(sorted({'tensorflow', 'keras', 'ee', 'rasterio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: water-gee run")
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["run", "--nonsense"], "No such option '--nonsense'"),
        (["download"], "Missing argument 'AOI'"),
        (["download", "0,0,1,1", "--years", "twenty"], "'twenty' is not like 2020"),
        (["download", "0,0,1,1", "--years", "2020-2018"], "runs backwards"),
        (["download", "0,0,1,1", "--months", "11-13"], "'11-13' is no run of months"),
        (["download", "0,0,1,1", "--min-clear", "0"], "0 is not in the range"),
        (["download", "0,0,1,1", "--max-cloud", "101"], "101.0 is not in the range"),
        (["download", "0,0,1,1", "--threads", "99"], "99 is not in the range"),
        (["download", "0,0,1,1", "--composite", "best"], "'best' is not one of 'median', 'mean'"),
        (["download", "0,0,1,1", "--harmonize", "yes"], "'yes' is not one of 'ols', 'rma'"),
        (["demo", "--cells", "big"], "'big' is not like 3x3"),
        (["run", "--out", "x", "scene.tar"], "unexpected 'scene.tar'; scenes follow --scenes"),
        (["emulator", "ingest", "x.tif", "--catalog", "c", "--property", "a"], "NAME=VALUE"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(call, arguments, words):
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("water-gee: ")
    assert words in err
    assert err.count("\n") == 1
    assert "--help)" in err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.AoiError("no\narea"), "no area"),
        (errors.AssetNotFoundError("no asset x"), "no asset x"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/out/map.tif"),
            "the disk is full writing /out/map.tif; free some space and run the same again",
        ),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            "the disk is full; free some space and run the same again",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/root/x"),
            "/root/x: Permission denied",
        ),
        (ConnectionRefusedError(111, "Connection refused"), "no connection: "),
        (MemoryError(), "out of memory"),
        (ZeroDivisionError("division by zero"), "unexpected ZeroDivisionError: division by zero"),
    ],
)
def test_any_error_is_one_line_and_status_1(call, failing, error, line):
    failing(error)
    status, out, err = call("fail")
    assert (status, out) == (1, "")
    assert err.startswith(f"water-gee: {line}")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_an_error_of_the_service_is_one_line(call, failing):
    import ee

    failing(ee.EEException("Image.load: no asset\n  x"))
    assert call("fail") == (1, "", "water-gee: Earth Engine: Image.load: no asset x\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_one_line_and_status_130(call, failing, error):
    failing(error)
    status, _, err = call("fail")
    assert status == 130
    # On a terminal ^C stands before it, so click begins a new line.
    assert err.lstrip("\n") == f"water-gee: {failures.explain(KeyboardInterrupt())[1]}\n"


def test_debug_shows_the_traceback_and_the_line(call, failing):
    failing(errors.AoiError("no area"))
    status, _, err = call("--debug", "fail")
    assert status == 1
    assert "Traceback" in err
    assert err.endswith("water-gee: no area\n")


@pytest.mark.filterwarnings("default")
def test_our_warnings_are_one_line_and_others_nothing(call, monkeypatch):
    @click.command()
    def warn():
        warnings.warn("an empty\ntile", errors.EmptyTileWarning, stacklevel=1)
        warnings.warn("of a library", RuntimeWarning, stacklevel=1)

    monkeypatch.setitem(app.cli.commands, "warn", warn)
    assert call("warn") == (0, "", "water-gee: warning: an empty tile\n")


def test_lines_of_the_job_are_shown_unless_quiet(call, monkeypatch):
    @click.command()
    def work():
        logging.getLogger("water_gee.workflow").info("map: %.1f s", 2)
        logging.getLogger("water_gee.workflow").warning("no elevation")
        logging.getLogger("water_gee").info("one tile")

    monkeypatch.setitem(app.cli.commands, "work", work)
    assert call("work") == (0, "", "map: 2.0 s\nwater-gee: note: no elevation\n")
    assert call("-q", "work") == (0, "", "")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2020", (2020,)), ("6-8", (6, 7, 8)), ("1-3,12", (1, 2, 3, 12)), ("7, 9", (7, 9))],
)
def test_numbers_are_read_as_lists_and_ranges(text, numbers):
    assert options.Integers().convert(text, None, None) == numbers


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("6-8", (6, 7, 8)),
        ("7", (7,)),
        ("12-2", (12, 1, 2)),
        ("12,1,2", (12, 1, 2)),
        ("11-12,1-3", (11, 12, 1, 2, 3)),
        ("10-9", (10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
    ],
)
def test_months_may_run_over_new_year(text, months):
    assert options.Months().convert(text, None, None) == months


def test_names_are_separated_by_commas():
    assert options.Names().convert("landsat8, landsat9", None, None) == ("landsat8", "landsat9")
