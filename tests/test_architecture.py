"""The direction of imports, read from the source, and what importing the package loads."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "water_gee"

LAYERS = {
    "errors": 0,
    "_version": 0,
    "files": 1,
    "windows": 1,
    "vrt": 1,
    "geotiff": 1,
    "pipeline": 1,
    "raster": 1,
    "metrics": 1,
    "indices": 1,
    "drainage": 1,
    "session": 1,
    "transport": 1,
    "imagery": 2,
    "training": 3,
    "mapping": 4,
    "deploy": 4,
    "segmentation": 4,
    "superres": 4,
    "seaice": 4,
    "journal": 1,
    "settings": 4,
    "workflow": 5,
    "demo": 6,
    "cli": 7,
    "__main__": 8,
}
"""Part -> layer. An import goes down or stays in its part; the files of layer 1 are one part."""

EMULATOR_SEES = {"errors", "_version", "emulator"}
SEE_THE_EMULATOR = {"cli", "demo", "emulator"}
HEAVY = {"tensorflow", "keras", "torch", "ee"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    """`water_gee.imagery.grid` -> `imagery`; the package itself -> `` (empty)."""
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


def dotted(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imported(source: str) -> list[str]:
    """Every module an import statement of this source names, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.append("." * node.level + (node.module or ""))
            elif node.module == "water_gee":
                found += [f"water_gee.{alias.name}" for alias in node.names]
            else:
                found.append(node.module or "")
    return found


def violation(module: str, target: str) -> str | None:
    """Why `module` may not import `target`, or None."""
    if target.startswith("."):
        return "relative import"
    if target.split(".")[0] != "water_gee":
        return None
    here, there = part_of(module), part_of(target)
    if not there or there == "__version__":
        return "imports the public face"
    if here == "emulator":
        return None if there in EMULATOR_SEES else "emulator sees only errors and _version"
    if there == "emulator":
        return None if here in SEE_THE_EMULATOR else "only cli, demo and tests see the emulator"
    if here not in LAYERS or there not in LAYERS:
        return f"{there if here in LAYERS else here} has no layer in this test"
    same = here == there or LAYERS[here] == LAYERS[there] == 1
    return None if same or LAYERS[there] < LAYERS[here] else "goes up"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_go_down_or_stay_in_their_part(path):
    module = dotted(path)
    if module == "water_gee":
        pytest.skip("the public face names every part; test_public_face.py looks at it")
    wrong = [
        f"{module} -> {target}: {why}"
        for target in imported(path.read_text())
        if (why := violation(module, target))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("water_gee.imagery.grid", "from water_gee.training.fit import train"),
        ("water_gee.raster", "from water_gee import imagery"),
        ("water_gee.workflow", "import water_gee"),
        ("water_gee.workflow", "from water_gee import run"),
        ("water_gee.imagery.grid", "from .recipe import Recipe"),
        ("water_gee.emulator.catalog", "from water_gee.imagery import grid"),
        ("water_gee.workflow", "from water_gee.emulator import ingest"),
        ("water_gee.mapping.predict", "from water_gee.deploy import graph"),
        ("water_gee.segmentation.fit", "import water_gee.superres"),
        ("water_gee.new", "import water_gee.raster"),
    ],
)
def test_a_planted_violation_is_found(module, source):
    assert any(violation(module, target) for target in imported(source))


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_keras_and_torch_never_meet_in_one_module(path):
    names = {target.split(".")[0] for target in imported(path.read_text())}
    keras = names & {"keras", "tensorflow"} or "training.backend" in path.read_text()
    assert not (keras and "torch" in names)


@pytest.mark.parametrize(
    "statement",
    ["import water_gee", "from water_gee import errors, Recipe, connect", "import water_gee.cli"],
)
def test_importing_loads_nothing_heavy(statement):
    code = f"{statement}\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "path", [p for p in modules() if p.name == "__init__.py" and p.parent != PACKAGE], ids=dotted
)
def test_a_subpackage_is_only_a_docstring_unless_it_is_a_door(path):
    """What a subpackage imports is loaded by each of its modules; so it imports nothing heavy."""
    body = ast.parse(path.read_text()).body
    top = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {target.split(".")[0] for node in top for target in imported(ast.unparse(node))}
    assert names <= set(sys.stdlib_module_names) | {"water_gee", "click"}
    doors = {"emulator", "cli", "deploy"}
    if part_of(dotted(path)) not in doors and dotted(path).count(".") == 1:
        assert all(isinstance(node, ast.Expr | ast.ImportFrom) for node in body)


def requirement_names(text: str) -> set[str]:
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return {re.split(r"[\[<>=!~ ]", line)[0].lower() for line in lines if line and line[0] != "%"}


def test_every_third_party_import_is_declared():
    """A package that some other package happens to bring today is missing tomorrow."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    declared = requirement_names(config["options"]["install_requires"])
    for extra in config["options.extras_require"].values():
        declared |= requirement_names(extra)
    called = {
        "concurrent_log_handler": "concurrent-log-handler",
        "ee": "earthengine-api",
        "googleapiclient": "earthengine-api",
        "google": "earthengine-api",
        "httplib2": "earthengine-api",
        "affine": "rasterio",
        "PIL": "pillow",
    }
    own = set(sys.stdlib_module_names) | {"water_gee", "__future__"}
    missing = {
        f"{dotted(path)}: {top}"
        for path in modules()
        for top in {target.split(".")[0] for target in imported(path.read_text())} - own
        if called.get(top, top).lower() not in declared
    }
    assert not missing
