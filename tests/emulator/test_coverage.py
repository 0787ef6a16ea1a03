"""The committed page says what there is."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from water_gee.emulator import coverage

PAGE = Path(__file__).parents[2] / "docs" / "emulator_coverage.md"


def test_the_page_is_current():
    version = importlib.metadata.version("earthengine-api")
    committed = PAGE.read_text(encoding="utf-8")
    if f"earthengine-api {version}" not in committed:
        pytest.skip(f"the page was made with another client than {version}")
    assert committed == coverage.page(coverage.Coverage.of_installed(), version), (
        "run `python -m water_gee.emulator.coverage > docs/emulator_coverage.md`"
    )


def test_a_page_names_what_is_here_and_what_is_not():
    known = {"Image.add": False, "Image.fly": False, "If": False, "Sky.blue": True}
    text = coverage.page(coverage.Coverage(known, frozenset({"Image.add", "If"})), "1.0")
    assert "(earthengine-api 1.0) knows 4 functions, 1 of them hidden" in " ".join(text.split())
    assert "| Image | 1 | 2 |" in text
    assert "| the other 1 | 0 | 1 |" in text
    assert "## Image\n\n`add`\n\nNot here: `fly`\n" in text
    assert text.endswith("## Families not here\n\n`Sky`\n")


def test_lines_are_wrapped():
    text = coverage.page(coverage.Coverage.of_installed(), "1.0")
    assert max(map(len, text.splitlines())) <= coverage.WIDTH
    assert text.count("`Image`") == 0


def test_the_command_prints_the_page(capsys):
    coverage.main()
    assert capsys.readouterr().out.startswith("# What the emulator covers\n")
