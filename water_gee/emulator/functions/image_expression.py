"""`Image.expression`: arithmetic as text, parsed into the image functions it stands for.

    expression  := [NAME '='] choice
    choice      := or ['?' choice ':' choice]
    or          := and ('||' and)*
    and         := xor ('&&' xor)*
    xor         := equal ('^' equal)*
    equal       := less (('==' | '!=') less)*
    less        := sum (('<' | '>' | '<=' | '>=') sum)*
    sum         := product (('+' | '-') product)*
    product     := unary (('*' | '/' | '%') unary)*
    unary       := ('-' | '+' | '!') unary | power
    power       := atom ['**' unary]
    atom        := NUMBER | '(' choice ')' | NAME | NAME '.' BAND | NAME '[' bands ']'
                 | NAME '(' ... ')'

Parsing makes a program for a stack, so that long chains need no deep recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.emulator import pixeltypes
from water_gee.emulator.bands import inherited, one_for_all, pointwise
from water_gee.emulator.coerce import coerce
from water_gee.emulator.functions.image_bands import rename, select
from water_gee.emulator.functions.image_logic import LOGIC, logical_not
from water_gee.emulator.functions.image_math import (
    BINARY,
    UNARY,
    Binary,
    apply_binary,
    apply_unary,
)
from water_gee.emulator.registry import REGISTRY, bad_request
from water_gee.emulator.values import Band, Function, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from water_gee.emulator.pixels import Values

WHERE = "Image.parseExpression"

MAX_NESTING = 100
"""Parentheses within parentheses (the client names 100 as the service's nesting limit)."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign>\*\*|==|!=|<=|>=|&&|\|\||[-+*/%<>!^?:()\[\].,=&|~]))"
)

_LEVELS: tuple[dict[str, str], ...] = (
    {"||": "or"},
    {"&&": "and"},
    {"^": "xor"},
    {"==": "eq", "!=": "neq"},
    {"<": "lt", ">": "gt", "<=": "lte", ">=": "gte"},
    {"+": "add", "-": "subtract"},
    {"*": "multiply", "/": "quotient", "%": "mod"},
)
"""Operators of two images from the loosest to the tightest."""


def _floor_divide(a: Values, b: Values) -> Values:
    """Divide whole numbers as `/` in an expression does: down to the next whole one, 0 by 0."""
    zero = b == 0
    return np.where(zero, 0, np.floor_divide(a, np.where(zero, 1, b)))


_OPERATORS: dict[str, Binary] = {
    **BINARY,
    **LOGIC,
    "xor": Binary(lambda _: np.logical_xor, pixeltypes.boolean, "Say where one of both is not 0."),
    "floorDivide": Binary(
        lambda _: _floor_divide, pixeltypes.floor_divide, "Divide whole numbers downwards."
    ),
}

_FUNCTIONS_OF_ONE = frozenset(
    (
        "abs",
        "acos",
        "asin",
        "atan",
        "cbrt",
        "ceil",
        "cos",
        "cosh",
        "exp",
        "floor",
        "log",
        "log10",
        "round",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
    )
)
_FUNCTIONS_OF_TWO = frozenset(("hypot", "mod", "pow"))
_FUNCTIONS_OF_MANY = frozenset(("max", "min"))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a program.

    Attributes:
        kind: `number`, `variable`, `bands`, `binary`, `negative`, `not`, `call` or `choice`.
        value: The number, name, band selectors or operator.
    """

    kind: str
    value: Any = None


@dataclass(slots=True)
class _Parser:
    """A recursive descent over the tokens of an expression, emitting steps in postfix order."""

    tokens: list[tuple[str, str]]
    default: str
    place: int = 0
    depth: int = 0
    steps: list[Step] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def peek(self) -> str:
        """Return the sign that comes next, empty where it is none."""
        if self.place < len(self.tokens) and self.tokens[self.place][0] == "sign":
            return self.tokens[self.place][1]
        return ""

    def accept(self, sign: str) -> bool:
        """Step over a sign if it comes next."""
        found = self.peek() == sign
        self.place += found
        return found

    def expect(self, sign: str) -> None:
        """Step over a sign that has to come next."""
        if not self.accept(sign):
            raise self.unexpected(f"expected '{sign}'")

    def unexpected(self, why: str) -> Exception:
        """Return the error of what comes next."""
        shown = self.tokens[self.place][1] if self.place < len(self.tokens) else "end of expression"
        return bad_request(f"{WHERE}: Unexpected '{shown}', {why}.")

    def choice(self) -> None:
        """Parse a condition, or one with two outcomes."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise bad_request(f"{WHERE}: The expression is nested too deeply.")
        self.level(0)
        if self.accept("?"):
            self.choice()
            self.expect(":")
            self.choice()
            self.steps.append(Step("choice"))
        self.depth -= 1

    def level(self, index: int) -> None:
        """Parse a chain of operators of one precedence, from the left."""
        if index == len(_LEVELS):
            self.unary()
            return
        self.level(index + 1)
        while self.peek() in _LEVELS[index]:
            operator = _LEVELS[index][self.peek()]
            self.place += 1
            self.level(index + 1)
            self.steps.append(Step("binary", operator))

    def unary(self) -> None:
        """Parse signs before an atom; powers bind tighter."""
        signs = []
        while self.peek() in ("-", "+", "!"):
            signs.append(self.peek())
            self.place += 1
        self.atom()
        if self.accept("**"):
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise bad_request(f"{WHERE}: The expression is nested too deeply.")
            self.unary()
            self.depth -= 1
            self.steps.append(Step("binary", "pow"))
        for sign in reversed(signs):
            if sign != "+":
                self.steps.append(Step("negative" if sign == "-" else "not"))

    def atom(self) -> None:
        """Parse a number, a name with what follows it, or parentheses."""
        if self.accept("("):
            self.choice()
            self.expect(")")
            return
        if self.place == len(self.tokens) or self.tokens[self.place][0] not in ("number", "name"):
            raise self.unexpected("expected a number, a name or '('")
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            whole = text.isdigit()
            self.steps.append(Step("number", int(text) if whole else float(text)))
        elif self.peek() == "(":
            self.call(text)
        else:
            self.variable(text)

    def variable(self, name: str) -> None:
        """Parse a variable and the bands chosen of it."""
        self.names.add(name)
        self.steps.append(Step("variable", name))
        if self.accept("."):
            if self.place == len(self.tokens) or self.tokens[self.place][0] != "name":
                raise self.unexpected("expected a band name")
            self.steps.append(Step("bands", [self.tokens[self.place][1]]))
            self.place += 1
        elif self.accept("["):
            self.steps.append(Step("bands", self.selectors("]")))

    def call(self, name: str) -> None:
        """Parse `b(...)`, bands of the default image, or a function."""
        self.expect("(")
        if name == "b":
            self.names.add(self.default)
            self.steps.append(Step("variable", self.default))
            selectors = self.selectors(")")
            if selectors:
                self.steps.append(Step("bands", selectors))
            return
        count = 0
        while not self.accept(")"):
            if count:
                self.expect(",")
            self.choice()
            count += 1
        _check_arguments(name, count)
        if count == 1 and name in _FUNCTIONS_OF_ONE:
            self.steps.append(Step("call", name))
        else:
            self.steps.extend([Step("binary", name)] * (count - 1))

    def selectors(self, end: str) -> list[Any]:
        """Parse band names and indices up to a closing sign."""
        found: list[Any] = []
        while not self.accept(end):
            if found:
                self.expect(",")
            kind, text = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
            if kind == "text":
                found.append(re.escape(text[1:-1]) if not text[1:-1].isidentifier() else text[1:-1])
            elif kind == "number" and text.isdigit():
                found.append(int(text))
            else:
                raise self.unexpected("expected a band's name in quotes or its number")
            self.place += 1
        return found


def _check_arguments(name: str, count: int) -> None:
    if name in _FUNCTIONS_OF_ONE:
        wanted = "1"
        right = count == 1
    elif name in _FUNCTIONS_OF_TWO:
        wanted = "2"
        right = count == 2
    elif name in _FUNCTIONS_OF_MANY:
        wanted = "2 or more"
        right = count >= 2
    else:
        raise bad_request(f"{WHERE}: Function '{name}' is not implemented by this emulator.")
    if not right:
        raise bad_request(f"{WHERE}: {name}() takes {wanted} argument(s). Got {count}.")


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, place = [], 0
    text = expression.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            shown = text[place:].lstrip()[:20]
            raise bad_request(f"{WHERE}: Cannot read the expression from '{shown}' on.")
        found.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return found


@REGISTRY.function("Image.parseExpression")
def parse_expression(
    expression: str,
    argName: str,
    vars: list[str],
    mapFreeVarsToDefaultImageBands: bool = False,
) -> Function:
    """Return a function of images out of an arithmetic expression."""
    tokens = _tokens(expression)
    target: str | None = None
    if len(tokens) > 1 and tokens[0][0] == "name" and tokens[1] == ("sign", "="):
        target, tokens = tokens[0][1], tokens[2:]
    parser = _Parser(tokens, argName)
    parser.choice()
    if parser.place < len(tokens):
        raise parser.unexpected("expected an operator or the end")
    free = sorted(parser.names - set(vars))
    if free and not mapFreeVarsToDefaultImageBands:
        raise bad_request(
            f"{WHERE}: Unknown variable '{free[0]}'. Known variables: [{', '.join(vars)}]."
        )
    steps = tuple(parser.steps)

    def call(*values: Any) -> Image:
        images: dict[str, Image] = {
            name: coerce(value, Image, f"Image.expression, variable '{name}'")
            for name, value in zip(vars, values, strict=True)
        }
        for name in free:
            images[name] = select(images[argName], [name])
        result = _run(steps, images)
        return result if target is None else rename(result, [target])

    return Function(tuple(vars), call)


def _run(steps: Sequence[Step], images: dict[str, Image]) -> Image:
    stack: list[Image] = []
    for step in steps:
        if step.kind == "number":
            stack.append(coerce(step.value, Image, WHERE))
        elif step.kind == "variable":
            stack.append(images[step.value])
        elif step.kind == "bands":
            stack.append(select(stack.pop(), step.value))
        elif step.kind == "binary":
            second, first = stack.pop(), stack.pop()
            stack.append(_binary(step.value, first, second))
        elif step.kind == "choice":
            otherwise, then, condition = stack.pop(), stack.pop(), stack.pop()
            stack.append(_choose(condition, then, otherwise))
        else:
            stack.append(_ONE_IMAGE[step.kind](stack.pop(), step.value))
    return stack.pop()


def _binary(name: str, first: Image, second: Image) -> Image:
    if name == "quotient":
        both = [band.type.precision for band in (*first.bands, *second.bands)]
        name = "floorDivide" if all(one == "int" for one in both) else "divide"
    return apply_binary(_OPERATORS[name], first, second, "Image.expression")


def _negative(image: Image, _: Any) -> Image:
    return apply_binary(BINARY["multiply"], image, coerce(-1, Image, WHERE), "Image.expression")


_ONE_IMAGE: dict[str, Callable[[Image, Any], Image]] = {
    "negative": _negative,
    "not": lambda image, _: logical_not(image),
    "call": lambda image, name: apply_unary(UNARY[name], image),
}


def _either(test: Values, then: Values, otherwise: Values) -> Values:
    return np.where(test != 0, then, otherwise)


def _choose(condition: Image, then: Image, otherwise: Image) -> Image:
    """Return one of two images by a condition; observed where all three are."""
    longest = max((then, otherwise, condition), key=lambda image: len(image.bands))
    parts = [
        one_for_all(longest, image, "Image.expression", name)
        for image, name in ((condition, "condition"), (then, "then"), (otherwise, "else"))
    ]
    bands = []
    for band, test, first, second in zip(longest.bands, *parts, strict=True):
        kind = first.type.union(second.type)
        node = pointwise([test.node, first.node, second.node], _either, kind)
        bands.append(Band(band.name, kind, node, band.projection, band.dimensions))
    return inherited(then, bands, otherwise, condition)
