"""JavaScript text: literals that mean exactly the value, and code broken into lines.

Code is built as a tree that knows how long it is on one line; `render` breaks what does not fit.
Everything is ECMAScript 5, in ASCII.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 100
"""Columns of a line, where it can be broken."""

STEP = 2
"""Columns of an indentation."""

RESERVED = frozenset(
    {
        "abstract", "arguments", "await", "boolean", "break", "byte", "case", "catch", "char",
        "class", "const", "continue", "debugger", "default", "delete", "do", "double", "else",
        "enum", "eval", "export", "extends", "false", "final", "finally", "float", "for",
        "function", "goto", "if", "implements", "import", "in", "instanceof", "int", "interface",
        "let", "long", "native", "new", "null", "package", "private", "protected", "public",
        "return", "short", "static", "super", "switch", "synchronized", "this", "throw", "throws",
        "transient", "true", "try", "typeof", "undefined", "var", "void", "volatile", "while",
        "with", "yield", "NaN", "Infinity", "Object", "Array", "Function", "String", "Number",
        "Boolean", "Date", "Math", "JSON", "RegExp", "Error",
    }
)  # fmt: skip
"""Words that are no name, in any edition of the language, and globals that nobody should hide."""

_UNSAFE_KEYS = frozenset({"__proto__", "constructor"})
"""The first is no property in an object literal; Google's client deletes the second."""

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Text:
    """Code that is never broken."""

    text: str

    @property
    def length(self) -> int:
        """Columns."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class Joined:
    """Pieces one after the other; each may be broken inside."""

    parts: tuple[Code, ...]
    length: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", sum(part.length for part in self.parts))


@dataclass(frozen=True, slots=True)
class Group:
    """Items between brackets: one on each line where they do not fit on one, numbers filled up."""

    opening: str
    items: tuple[Code, ...]
    closing: str
    length: int = field(init=False)

    def __post_init__(self) -> None:
        inner = sum(item.length + 2 for item in self.items) - 2 if self.items else 0
        object.__setattr__(self, "length", len(self.opening) + inner + len(self.closing))


@dataclass(frozen=True, slots=True)
class Function:
    """A function literal: statements and what is returned."""

    parameters: tuple[str, ...]
    statements: tuple[tuple[str, Code], ...]
    result: Code
    length: int = WIDTH + 1  # never on one line


Code = Text | Joined | Group | Function
"""A piece of code."""


# ------------------------------------------------------------------------------------- literals


def literal(value: Any) -> Code:
    """A JSON value as JavaScript writes it.

    Raises:
        DeployError: A number that is no double, or a key that no object literal can have.
    """
    if value is None or isinstance(value, bool):
        return Text(json.dumps(value))
    if isinstance(value, str):
        return Text(string(value))
    if isinstance(value, (int, float)):
        return Text(number(value))
    if isinstance(value, dict):
        return keyed((name, literal(part)) for name, part in value.items())
    return Group("[", tuple(literal(part) for part in value), "]")


def number(value: float) -> str:
    """The shortest text that JavaScript reads as this double.

    Raises:
        DeployError: Not finite, or a whole number that no double holds.
    """
    try:
        double = float(value)
    except OverflowError:
        double = math.inf if isinstance(value, float) else math.nan
    if isinstance(value, int) and double != value:
        raise DeployError(
            f"the expression holds {_short(value)}, and JavaScript's numbers keep no more than 53 "
            "bits; send it as text and let the service read it (ee.Number.parse)"
        )
    if not math.isfinite(double):
        raise DeployError(
            f"the expression holds the number {value}, which no request can carry; look for it "
            "among the network's weights and the image's constants"
        )
    if double == 0:
        return "-0" if math.copysign(1, double) < 0 else "0"
    return str(int(double)) if abs(double) <= _EXACT and double.is_integer() else repr(double)


def _short(value: int) -> str:
    """A whole number, however long."""
    return str(value) if value.bit_length() <= 128 else f"a number of {value.bit_length()} bits"


def string(text: str) -> str:
    """A string literal, in ASCII; in single quotes where it needs no escape."""
    plain = text.isascii() and text.isprintable() and not {"'", "\\"} & set(text)
    return f"'{text}'" if plain else json.dumps(text)


def keyed(entries: Iterable[tuple[str, Code]]) -> Group:
    """An object literal.

    Raises:
        DeployError: A key that no object literal can have.
    """
    return Group("{", tuple(Joined((Text(f"{_key(name)}: "), part)) for name, part in entries), "}")


def _key(name: str) -> str:
    if name in _UNSAFE_KEYS:
        raise DeployError(
            f"the expression has a dictionary with the key {name!r}, which JavaScript's client "
            "cannot send; give it another name"
        )
    plain = _IDENTIFIER.match(name) and name not in RESERVED
    return name if plain else string(name)


def is_identifier(name: str) -> bool:
    """Whether a text can be a variable's name."""
    return bool(_IDENTIFIER.match(name)) and name not in RESERVED


def call(function: str, *arguments: Code) -> Joined:
    """`function(arguments)`."""
    return Joined((Text(function), Group("(", arguments, ")")))


# -------------------------------------------------------------------------------------- layout


def statement(name: str, code: Code, indent: int = 0) -> str:
    """`var name = code;`, its first line indented."""
    head = f"{' ' * indent}var {name} = "
    return f"{head}{render(code, indent, len(head), 1)};"


def render(code: Code, indent: int = 0, column: int = 0, after: int = 0) -> str:
    """Code as text.

    Args:
        code: What to write.
        indent: Of the line it begins on.
        column: Where on that line it begins.
        after: Columns to keep free behind it.
    """
    if isinstance(code, Text):
        return code.text
    if isinstance(code, Function):
        return _function(code, indent)
    if column + code.length + after <= WIDTH:
        return _flat(code)
    if isinstance(code, Joined):
        return _joined(code, indent, column, after)
    return _broken(code, indent, column)


def _flat(code: Code) -> str:
    if isinstance(code, Text):
        return code.text
    if isinstance(code, Joined):
        return "".join(_flat(part) for part in code.parts)
    assert isinstance(code, Group)
    return f"{code.opening}{', '.join(_flat(item) for item in code.items)}{code.closing}"


def _joined(code: Joined, indent: int, column: int, after: int) -> str:
    """A chain of methods with one on each line, if that is enough; else the parts in turn."""
    links = _links(code)
    inner = indent + STEP
    if len(links) > 2 and max(link.length for link in links) + inner + after <= WIDTH:
        first, *others = (_flat(link) for link in links)
        if column + len(first) <= WIDTH:
            return f"\n{' ' * inner}".join([first, *others])
    out = ""
    for index, part in enumerate(code.parts):
        # Each leaves room for the rest up to where that could be broken.
        text = render(part, indent, column, _until_break(code.parts[index + 1 :], after))
        out += text
        column = len(text) - text.rfind("\n") - 1 if "\n" in text else column + len(text)
    return out


def _links(code: Joined) -> list[Joined]:
    """A chain cut before its points; the first link is the object with its first method."""
    links: list[list[Code]] = [[]]
    for index, part in enumerate(code.parts):
        if isinstance(part, Text) and part.text.startswith(".") and index > 1:
            links.append([])
        links[-1].append(part)
    return [Joined(tuple(link)) for link in links]


def _until_break(parts: tuple[Code, ...], after: int) -> int:
    """Columns up to the first place where one of these pieces can be broken."""
    columns = 0
    for part in parts:
        if isinstance(part, Group) and part.items:
            return columns + len(part.opening)
        columns += part.length
    return columns + after


def _broken(code: Group, indent: int, column: int) -> str:
    inner = " " * (indent + STEP)
    if all(_is_small(item) for item in code.items):
        lines = _filled([_flat(item) for item in code.items], inner)
    elif len(code.items) == 1 and isinstance(code.items[0], (Group, Function)):
        # A lone list or function hugs its brackets.
        text = render(code.items[0], indent, column + len(code.opening), len(code.closing))
        return f"{code.opening}{text}{code.closing}"
    else:
        lines = [inner + render(item, indent + STEP, indent + STEP, 1) for item in code.items]
        lines = [f"{line}," for line in lines[:-1]] + lines[-1:]
    body = "\n".join(lines)
    return f"{code.opening}\n{body}\n{' ' * indent}{code.closing}"


def _is_small(code: Code) -> bool:
    """Whether several stand on a line: a literal, or a list of one."""
    if isinstance(code, Group) and code.opening == "[" and len(code.items) == 1:
        (code,) = code.items
    return isinstance(code, Text)


def _filled(texts: list[str], indent: str) -> list[str]:
    lines: list[str] = []
    line = indent
    for index, text in enumerate(texts):
        piece = text if index == len(texts) - 1 else f"{text},"
        if line != indent and len(line) + 1 + len(piece) > WIDTH:
            lines.append(line)
            line = indent
        line += piece if line == indent else f" {piece}"
    return [*lines, line]


def _function(code: Function, indent: int) -> str:
    inner = indent + STEP
    lines = [f"function ({', '.join(code.parameters)}) {{"]
    lines += [statement(name, part, inner) for name, part in code.statements]
    head = f"{' ' * inner}return "
    lines.append(f"{head}{render(code.result, inner, len(head), 1)};")
    return "\n".join([*lines, f"{' ' * indent}}}"])


def header(lines: Iterable[str]) -> str:
    """A block comment; nothing in it can end it early."""
    safe = [line.encode("ascii", "backslashreplace").decode() for line in lines]
    body = "\n".join(f" * {line.replace('*/', '* /')}".rstrip() for line in safe)
    return f"/**\n{body}\n */"
