"""A client that is killed again and again, tasks that fail: every map stands, once and whole."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path

import pytest

from water_gee.imagery.recipe import Recipe

HERE = Path(__file__).parent
SIDE = 80


@pytest.fixture(scope="module")
def benchmark():
    path = HERE.parents[1] / "benchmarks" / "deployment.py"
    spec = importlib.util.spec_from_file_location("deployment_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_a_client_killed_three_times_leaves_every_map_once(benchmark, tmp_path):
    years = [2013, 2014, 2015]
    recipe = Recipe(
        years=(2013,), months=(7,), dem=None, cell=round(0.135 * SIDE / 501, 6), pixels=SIDE
    )
    cells = benchmark.cells_of(2, recipe)
    catalog = tmp_path / "catalog"
    benchmark.make_catalog(catalog, recipe, cells, years)
    dice = random.Random(3)
    # Short, so that on a fast machine too the last client has something left to do.
    delays = [dice.uniform(1.0, 2.5) for _ in range(3)]
    names = ",".join(cell.id for cell in cells)
    with benchmark.served(catalog, 0.2, 5) as url:
        command = [sys.executable, str(HERE.parent / "helpers" / "deploy_client.py"), url]
        command += [benchmark.TARGET, "2013-2015", str(SIDE**2), names, str(SIDE)]
        outcome = benchmark.run_and_kill(command, tmp_path / "tasks", delays, tmp_path / "log")
    assert outcome.status == 0, outcome.said
    assert outcome.kills
    shapes = benchmark.expected_shapes(recipe, cells, years)
    assert sorted(outcome.listed) == sorted(["begun", *shapes])
    found = benchmark.audit(catalog, ["water", "probability"], shapes)
    assert sorted(found.assets) == sorted(shapes)
    assert (found.incomplete, found.twice, found.leftovers, found.open) == ([], [], [], 0)
    assert found.tasks == len(shapes) + found.failed
    assert found.failed >= 1
    summary = outcome.said.strip().splitlines()[-1]
    assert summary.startswith("12 map(s)")
    assert f"{found.failed} task(s) failed and were repeated or cut" in summary


@pytest.mark.slow
def test_the_benchmark_holds_on_fewer_pixels(benchmark, capsys):
    small = ["--years", "3", "--cells", "2", "--kills", "3", "--longest", "30", "--fail", "0.1"]
    assert benchmark.main([*small, "--pixels", "100"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["holds"]
    assert line["parameters"] == 38514
    assert line["figure"] == line["against_figure"] == 12
