"""The documents: two READMEs that agree, commands that parse, links that lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

import water_gee
from water_gee import settings
from water_gee.cli.app import cli
from water_gee.imagery.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README_zh.md")
PAGES = sorted(
    [ROOT / name for name in (*READMES, "CONTRIBUTING.md", "CHANGELOG.md")]
    + list((ROOT / "docs").rglob("*.md"))
    + list((ROOT / "benchmarks").glob("*.md"))
)


def blocks(page: Path) -> list[tuple[str, str]]:
    """`(language, text)` of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def headings(page: Path) -> list[str]:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.findall(r"^(#+) \S", prose, re.M)


def table_rows(page: Path) -> list[int]:
    """Columns of every table row, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [line.count("|") for line in lines if line.startswith("|")]


def all_blocks(language: str) -> list[str]:
    return [text for page in PAGES for kind, text in blocks(page) if kind == language]


def commands() -> list[str]:
    lines = "".join(all_blocks("console")).splitlines()
    return sorted({line for line in lines if line.startswith("water-gee ")})


def parse(group: click.Command, arguments: list[str], parent: click.Context | None = None) -> None:
    """Let click read a command line without running it."""
    context = group.make_context(group.name or "water-gee", list(arguments), parent=parent)
    if isinstance(group, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = group.resolve_command(context, rest)
        assert name
        assert command is not None
        parse(command, rest, context)


def test_both_readmes_have_the_same_outline_and_tables():
    english, chinese = (ROOT / name for name in READMES)
    assert headings(english) == headings(chinese)
    assert table_rows(english) == table_rows(chinese)


def test_both_readmes_have_the_same_code():
    english, chinese = (ROOT / name for name in READMES)
    assert blocks(english) == blocks(chinese)


def test_the_chinese_readme_is_in_chinese():
    prose = re.sub(
        r"```.*?```", "", (ROOT / "README_zh.md").read_text(encoding="utf-8"), flags=re.S
    )
    assert len(re.findall(r"[\u4e00-\u9fff]", prose)) > 1500


@pytest.mark.parametrize("line", commands())
def test_a_documented_command_is_one_that_click_takes(line):
    parse(cli, shlex.split(line)[1:])


def test_every_command_is_documented():
    shown = {shlex.split(line)[1] for line in commands()}
    assert shown | {"demo"} == set(cli.commands)


@pytest.mark.parametrize("text", all_blocks("python"))
def test_a_documented_script_uses_what_there_is(text):
    tree = ast.parse(text)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "water_gee"
    }
    assert used <= set(water_gee.__all__)


@pytest.mark.parametrize("text", all_blocks("toml"))
def test_a_documented_run_file_can_be_read(text, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    asked = settings.order(tmp_path / "run.toml", {})
    assert Recipe.from_dict(dict(asked.recipe)).years == (2019,)


def test_the_readme_names_the_make_targets_there_are():
    targets = set(re.findall(r"^([.\w]+):", (ROOT / "Makefile").read_text(), re.M))
    shown = set(re.findall(r"make ([.\w]+)", "".join(all_blocks("console"))))
    assert {"demo", "test"} <= shown <= targets


def test_ci_calls_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^exec make test\b", script, re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_are_there(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", water_gee.__version__)
