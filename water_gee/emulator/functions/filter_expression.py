"""`Filter.expression`: filters as text, such as `CLOUD_COVER < 20 && month in [6, 7, 8]`.

either     := both (('||' | 'or') both)*
both       := one (('&&' | 'and') one)*
one        := ('!' | 'not') one | '(' either ')' | operand sign operand | operand ['not'] 'in' list
sign       := '==' | '!=' | '<' | '<=' | '>' | '>='
operand    := NUMBER | STRING | NAME
list       := '[' [value (',' value)*] ']'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Filter

MAX_NESTING = 100
"""Parentheses within parentheses."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9:.]*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],]))"
)

_SIGNS = {
    "==": "Filter.equals",
    "!=": "Filter.notEquals",
    "<": "Filter.lessThan",
    "<=": "Filter.lessThanOrEquals",
    ">": "Filter.greaterThan",
    ">=": "Filter.greaterThanOrEquals",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of an expression: its kind (`number`, `name`, `text`, `sign`, `end`) and its text."""

    kind: str
    text: str


@REGISTRY.function("Filter.expression")
def expression(expression: str) -> Filter:
    """Make a filter of text: comparisons, `in` with a list, `&&`, `||`, `!` and parentheses."""
    parser = _Parser(_tokens(expression), expression)
    result = parser.either(0)
    parser.expect("end")
    return result


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    stripped = text.rstrip()
    while place < len(stripped):
        match = _TOKEN.match(stripped, place)
        if match is None or match.lastgroup is None:
            raise bad_request(
                f"Filter.expression: Unexpected '{stripped[place:].strip()[:1]}' in '{text}'."
            )
        tokens.append(Token(match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return [*tokens, Token("end", "")]


def _call(name: str, **arguments: Any) -> Filter:
    made: Filter = REGISTRY.get(name).implementation(**arguments)
    return made


class _Parser:
    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.place = 0

    def take(self, *texts: str) -> bool:
        """Go past the next token where it is one of these."""
        token = self.tokens[self.place]
        found = token.kind in ("sign", "name") and token.text in texts
        self.place += found
        return found

    def expect(self, what: str) -> None:
        token = self.tokens[self.place]
        if what not in (token.text, token.kind):
            shown = token.text or "the end"
            raise bad_request(f"Filter.expression: Unexpected '{shown}' in '{self.text}'.")
        self.place += 1

    def either(self, depth: int) -> Filter:
        members = [self.both(depth)]
        while self.take("||", "or"):
            members.append(self.both(depth))
        return members[0] if len(members) == 1 else _call("Filter.or", filters=members)

    def both(self, depth: int) -> Filter:
        members = [self.one(depth)]
        while self.take("&&", "and"):
            members.append(self.one(depth))
        return members[0] if len(members) == 1 else _call("Filter.and", filters=members)

    def one(self, depth: int) -> Filter:
        if depth > MAX_NESTING:
            raise bad_request("Filter.expression: the expression is nested too deeply.")
        if self.take("!", "not"):
            return _call("Filter.not", filter=self.one(depth + 1))
        if self.take("("):
            inner = self.either(depth + 1)
            self.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Filter:
        left = self.operand("left")
        negated = self.take("not")
        if negated or self.tokens[self.place].text == "in":
            self.expect("in")
            within = _call("Filter.inList", **left, rightValue=self.values())
            return _call("Filter.not", filter=within) if negated else within
        sign = self.tokens[self.place]
        if sign.text not in _SIGNS:
            self.expect("a comparison")
        self.place += 1
        return _call(_SIGNS[sign.text], **left, **self.operand("right"))

    def operand(self, side: str) -> dict[str, Any]:
        token = self.tokens[self.place]
        if token.kind == "name":
            self.place += 1
            return {f"{side}Field": token.text}
        return {f"{side}Value": self.value()}

    def value(self) -> Any:
        token = self.tokens[self.place]
        if token.kind == "text":
            self.place += 1
            return token.text[1:-1]
        if token.kind != "number":
            self.expect("a value")
        self.place += 1
        return int(token.text) if token.text.lstrip("-").isdigit() else float(token.text)

    def values(self) -> list[Any]:
        self.expect("[")
        found: list[Any] = []
        while not self.take("]"):
            if found:
                self.expect(",")
            found.append(self.value())
        return found
