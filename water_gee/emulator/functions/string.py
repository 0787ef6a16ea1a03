"""`String`."""

from __future__ import annotations

import json
import re
from typing import Any

from water_gee.emulator import text
from water_gee.emulator.describe import to_json
from water_gee.emulator.registry import REGISTRY, bad_request


@REGISTRY.function("String")
def string(input: Any) -> str:
    """Write a value as a string; a string is taken as it is."""
    return input if isinstance(input, str) else text.java_string(input)


@REGISTRY.function("String.cat")
def cat(string1: str, string2: str) -> str:
    """Put two strings one after the other."""
    return string1 + string2


@REGISTRY.function("String.compareTo")
def compare_to(string1: str, string2: str) -> int:
    """Return -1, 0 or 1 as the first string comes before, with or after the second."""
    return (string1 > string2) - (string1 < string2)


@REGISTRY.function("String.equals")
def equals(reference: str, target: Any) -> bool:
    """Say whether a value is the same string."""
    return isinstance(target, str) and reference == target


@REGISTRY.function("String.index")
def index(target: str, pattern: str) -> int:
    """Return where a string first occurs in another, -1 where it does not."""
    return target.find(pattern)


@REGISTRY.function("String.rindex")
def rindex(target: str, pattern: str) -> int:
    """Return where a string last occurs in another, -1 where it does not."""
    return target.rfind(pattern)


@REGISTRY.function("String.length")
def length(string: str) -> int:
    """Count the characters."""
    return len(string)


@REGISTRY.function("String.slice")
def slice_(string: str, start: int, end: int | None = None) -> str:
    """Return the characters from `start` up to `end`; negative ones count from the end."""
    return string[start:end]


@REGISTRY.function("String.toLowerCase")
def to_lower_case(string: str) -> str:
    """Return the string in lower case."""
    return string.lower()


@REGISTRY.function("String.toUpperCase")
def to_upper_case(string: str) -> str:
    """Return the string in upper case."""
    return string.upper()


@REGISTRY.function("String.trim")
def trim(string: str) -> str:
    """Return the string without white space around it."""
    return string.strip()


@REGISTRY.function("String.match")
def match(input: str, regex: str, flags: str = "") -> list[str]:
    """Return the first match and its groups, or with the flag `g` every match."""
    pattern = text.expression(regex, flags, "String.match")
    if "g" in flags:
        return [found[0] for found in pattern.finditer(input)]
    found = pattern.search(input)
    return [] if found is None else [found[0], *(group or "" for group in found.groups())]


@REGISTRY.function("String.replace")
def replace(input: str, regex: str, replacement: str, flags: str = "") -> str:
    """Replace the first match, or with the flag `g` every match; `$1` is a match's first group."""
    pattern = text.expression(regex, flags, "String.replace")

    def filled(found: re.Match[str]) -> str:
        return re.sub(r"\$(\d)", lambda group: found[int(group[1])] or "", replacement)

    try:
        return pattern.sub(filled, input, count=0 if "g" in flags else 1)
    except IndexError as error:
        raise bad_request(f"String.replace: no such group in '{replacement}'.") from error


@REGISTRY.function("String.split")
def split(string: str, regex: str, flags: str = "") -> list[str]:
    """Split where a regular expression matches; empty strings at the end are left out."""
    if regex == "":
        return list(string)
    pieces, start = [], 0
    for found in text.expression(regex, flags, "String.split").finditer(string):
        if found.end() > found.start():
            pieces.append(string[start : found.start()])
            start = found.end()
    pieces.append(string[start:])
    while len(pieces) > 1 and not pieces[-1]:
        pieces.pop()
    return pieces


@REGISTRY.function("String.encodeJSON")
def encode_json(object: Any) -> str:
    """Write a value as JSON."""
    return json.dumps(to_json(object), separators=(",", ":"))


@REGISTRY.function("String.decodeJSON")
def decode_json(string: str) -> Any:
    """Read a value from JSON."""
    try:
        return json.loads(string)
    except json.JSONDecodeError as error:
        raise bad_request(f"String.decodeJSON: Invalid JSON: {error}.") from error
