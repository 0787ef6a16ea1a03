"""Which of Earth Engine's functions this emulator has, as a page.

python -m water_gee.emulator.coverage > docs/emulator_coverage.md
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from water_gee.emulator.discovery import algorithms
from water_gee.emulator.evaluator import standard_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH = 120
"""Columns the page is wrapped at."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The functions of the client's list, and which of them are here.

    Attributes:
        listed: Names in the list, with whether the client hides them.
        here: Names registered.
    """

    listed: Mapping[str, bool]
    here: frozenset[str]

    @classmethod
    def of_installed(cls) -> Coverage:
        """Compare the installed client's list with the registry."""
        listed = {
            entry["name"].removeprefix("algorithms/"): bool(entry.get("hidden"))
            for entry in json.loads(algorithms())["algorithms"]
        }
        return cls(listed, frozenset(standard_registry().entries))

    def families(self) -> list[str]:
        """Return the families of the list, those with most functions here first."""
        here = Counter(family_of(name) for name in self.here)
        return sorted({family_of(name) for name in self.listed}, key=lambda f: (-here[f], f))

    def members(self, family: str) -> tuple[list[str], list[str]]:
        """Return the names of a family that are here and those that are not."""
        names = sorted(name for name in self.listed if family_of(name) == family)
        return [n for n in names if n in self.here], [n for n in names if n not in self.here]


def family_of(name: str) -> str:
    """Return what a function belongs to: what comes before the first point, else `others`."""
    family, point, _ = name.partition(".")
    return family.replace("/", "_") if point else "others"


def page(coverage: Coverage, version: str) -> str:
    """Return the page.

    Args:
        coverage: What is compared.
        version: The client's.
    """
    hidden = sum(coverage.listed.values())
    introduction = (
        "Made by `python -m water_gee.emulator.coverage > docs/emulator_coverage.md`; a test fails "
        f"where it is not current. The client (earthengine-api {version}) knows "
        f"{len(coverage.listed)} functions, {hidden} of them hidden; {len(coverage.here)} are "
        "here. Any other is refused by its name with HTTP 400. Signatures are held against the "
        "client's list by `tests/emulator/test_registry.py`."
    )
    lines = [
        "# What the emulator covers",
        "",
        *_wrapped(introduction.split()),
        "",
        "| family | here | listed |",
        "|---|---:|---:|",
    ]
    families = coverage.families()
    empty = [family for family in families if not coverage.members(family)[0]]
    for family in families:
        here, missing = coverage.members(family)
        if here:
            lines.append(f"| {family} | {len(here)} | {len(here) + len(missing)} |")
    rest = sum(len(coverage.members(family)[1]) for family in empty)
    lines.append(f"| the other {len(empty)} | 0 | {rest} |")
    for family in families:
        here, missing = coverage.members(family)
        if here:
            lines += ["", f"## {family}", "", *_wrapped(_short(here, family))]
        if here and missing:
            lines += ["", *_wrapped(["Not here:", *_short(missing, family)])]
    lines += ["", "## Families not here", "", *_wrapped(_listed(empty))]
    return "\n".join(lines) + "\n"


def _short(names: Iterable[str], family: str) -> list[str]:
    """Return names without their family, as code, with commas."""
    return _listed(name.removeprefix(f"{family}.") for name in names)


def _listed(names: Iterable[str]) -> list[str]:
    quoted = [f"`{name}`" for name in names]
    return [f"{name}," for name in quoted[:-1]] + quoted[-1:]


def _wrapped(words: Iterable[str]) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def main() -> None:
    """Write the page of the installed client to standard output."""
    sys.stdout.write(page(Coverage.of_installed(), importlib.metadata.version("earthengine-api")))


if __name__ == "__main__":
    main()
