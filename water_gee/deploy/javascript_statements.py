"""A wire expression as JavaScript statements that make the same expression again.

Every value that the wire's table shares becomes a variable, as do results that would nest too deep;
a mapped function becomes one with variables of its own. Nothing here knows what is computed.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from water_gee.deploy import javascript_text as js
from water_gee.deploy import javascript_wire as wire
from water_gee.deploy.javascript_calls import COMPUTED, Client
from water_gee.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEPEST = 4
"""Calls within calls in one statement."""

_LONG = 1200
"""Columns of a list that goes into a variable of its own, apart from what computes with it."""

_SHORT = 40
"""Columns of a shared literal that is written out wherever it is used."""

_OFTEN = 4
"""Calls of a function without a method, from which on it gets a helper."""

_EXPRESSION_IMAGE = "DEFAULT_EXPRESSION_IMAGE"
_ELEMENTS = {"ImageCollection": "Image", "FeatureCollection": "Feature", "Collection": "Element"}
_KEEP_CLASS = {"Collection.filter", "Collection.map", "Element.set"}
_TAKEN = frozenset({"ee", "Map", "Export", "print", "Chart", "ui", "exports", "require", "helper"})
"""Names that mean something in the Code Editor."""


@dataclass(frozen=True, slots=True)
class Script:
    """Statements, in order.

    Attributes:
        helpers: Function declarations that the statements use.
        weights: `var` statements of long lists of numbers, to stand before the others.
        statements: `var` statements; the last one's name is the one asked for.
    """

    helpers: tuple[str, ...]
    weights: tuple[str, ...]
    statements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """Code for a value, the class of its object in JavaScript, and how deep its calls nest."""

    code: js.Code
    of: str = COMPUTED
    calls: int = 0


@dataclass(slots=True)
class _Scope:
    """The top of the script, or the body of a function.

    Attributes:
        bound: Arguments on the wire -> their variables, outer functions' included.
        own: Those arguments that are this function's.
        names: Values of the table -> what stands for them here.
        made: Nodes, by identity, for which there is code; a second look makes it no second time.
        statements: So far.
    """

    bound: dict[str, _Made]
    own: frozenset[str]
    names: dict[str, _Made] = field(default_factory=dict)
    made: dict[int, _Made] = field(default_factory=dict)
    statements: list[tuple[str, js.Code]] = field(default_factory=list)


def script(
    expression: Mapping[str, Any], client: Client, result: str, taken: frozenset[str] = frozenset()
) -> Script:
    """Write an expression, as `ee.serializer.encode` gives it, as JavaScript.

    Args:
        expression: `{"result": id, "values": {id: node}}`.
        client: What the client has methods for.
        result: The variable that gets the expression's value.
        taken: Names that the statements must not use.

    Raises:
        DeployError: Something that the client's public functions cannot send.
    """
    return _Writer(expression, client, taken | {result}).write(result)


class _Writer:
    def __init__(self, expression: wire.Node, client: Client, taken: frozenset[str]) -> None:
        self.values: Mapping[str, Any] = expression["values"]
        self.root = str(expression["result"])
        self.client = client
        self.used = set(taken | _TAKEN)
        self.counts: Counter[str] = Counter()
        self.order = wire.in_order(self.values, self.root)
        self.free = wire.free_arguments(self.values, self.order)
        self.frequent = wire.frequent(self.values, self.order)
        self.helpers: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}
        self.weights: list[tuple[str, js.Code]] = []
        self.scopes: list[_Scope] = []

    def write(self, result: str) -> Script:
        if self.free[self.root]:
            raise DeployError("the expression uses an argument of a function outside of it")
        scope = _Scope({}, frozenset())
        made = self.body(self.root, scope)
        scope.statements.append((result, made.code))
        return Script(
            tuple(text for _, text in self.helpers.values()),
            tuple(js.statement(name, code) for name, code in self.weights),
            tuple(js.statement(name, code) for name, code in scope.statements),
        )

    # ----------------------------------------------------------------------------------- scopes

    def body(self, root: str, scope: _Scope) -> _Made:
        """The value that a scope gives, after the statements that it needs."""
        self.scopes.append(scope)
        reached = set(wire.in_order(self.values, root))
        # In order, so that no value's code is made within another's: chains may be long.
        for name in self.order:
            node = self.values[name]
            if name not in reached or name == root or self.owner(name) is not scope:
                continue
            # Functions and numbers are written where they are used.
            if "functionDefinitionValue" not in node and wire.number_of(node, self.values) is None:
                self.reference(name)
        made = self.node(self.values[root])
        self.scopes.pop()
        return made

    def owner(self, name: str) -> _Scope | None:
        """The innermost scope of which a value uses an argument; None if that is not open."""
        free = self.free[name]
        if not all(any(each in scope.own for scope in self.scopes) for each in free):
            return None
        for scope in reversed(self.scopes):
            if free & scope.own:
                return scope
        return self.scopes[0]

    def reference(self, name: str) -> _Made:
        """What stands for a value of the table."""
        scope = self.owner(name)
        if scope is None:
            raise DeployError("the expression uses an argument of a function outside of it")
        if name not in scope.names:
            node = self.values[name]
            if "functionDefinitionValue" in node:
                return self.node(node)  # a function literal; each use writes it again
            made = self.node(node)
            short = made.calls == 0 and made.code.length <= _SHORT
            keep = short or isinstance(made.code, js.Text)
            scope.names[name] = made if keep else self.variable(made, scope, node)
        return scope.names[name]

    def variable(self, made: _Made, scope: _Scope, node: Mapping[str, Any] | None = None) -> _Made:
        """Put code into a variable of its own."""
        name = self.name_for(made, wire.hint(node, self.values))
        scope.statements.append((name, made.code))
        return _Made(js.Text(name), made.of)

    def name_for(self, made: _Made, hint: str | None) -> str:
        if hint is not None and js.is_identifier(hint) and hint not in self.used:
            self.used.add(hint)
            return hint
        kind = "value" if made.of == COMPUTED else made.of[0].lower() + made.of[1:]
        kind = {"imageCollection": "images", "featureCollection": "features"}.get(kind, kind)
        return self.new_name(kind if made.calls else "constant")

    def new_name(self, kind: str) -> str:
        while True:
            self.counts[kind] += 1
            name = f"{kind}{self.counts[kind]}"
            if name not in self.used:
                self.used.add(name)
                return name

    # ------------------------------------------------------------------------------------ nodes

    def node(self, node: Mapping[str, Any]) -> _Made:
        """Code for a node."""
        ((kind, content),) = node.items()
        if kind == "constantValue":
            code = js.literal(content)
            if not isinstance(content, list) or code.length < _LONG:
                return _Made(code)
            self.weights.append((self.new_name("weights"), code))
            return _Made(js.Text(self.weights[-1][0]))
        if kind == "integerValue":
            return _Made(js.literal(int(content)))
        if kind == "valueReference":
            return self.reference(content)
        if kind == "argumentReference":
            return self.scopes[-1].bound[content]
        if kind == "arrayValue":
            items = [self.node(part) for part in content["values"]]
            code = js.Group("[", tuple(item.code for item in items), "]")
            return _Made(code, calls=max((item.calls for item in items), default=0))
        if kind == "dictionaryValue":
            parts = {key: self.node(part) for key, part in content["values"].items()}
            code = js.keyed((key, part.code) for key, part in parts.items())
            return _Made(code, calls=max((part.calls for part in parts.values()), default=0))
        if kind == "functionDefinitionValue":
            return self.function(content, ())
        if kind == "functionInvocationValue":
            return self.invocation(content)
        raise DeployError(
            f"the expression holds a {kind}, which JavaScript's client cannot send; make the "
            "image without it"
        )

    def function(self, content: Mapping[str, Any], classes: tuple[str, ...]) -> _Made:
        """A function literal."""
        bound = dict(self.scopes[-1].bound)
        names = []
        padded = itertools.chain(classes, itertools.repeat(COMPUTED))
        for argument, of in zip(content["argumentNames"], padded, strict=False):
            kind = "item" if of == COMPUTED else f"each{of}"
            names.append(self.new_name("date" if argument.startswith(wire.PARAMETER) else kind))
            bound[argument] = _Made(js.Text(names[-1]), of)
        scope = _Scope(bound, frozenset(content["argumentNames"]))
        made = self.body(str(content["body"]), scope)
        return _Made(js.Function(tuple(names), tuple(scope.statements), made.code), calls=1)

    def invocation(self, content: Mapping[str, Any]) -> _Made:
        """A call: the shortest line that sends it."""
        if "functionReference" in content:
            return self.parsed(content)
        function = str(content["functionName"])
        arguments: dict[str, Any] = dict(content.get("arguments") or {})
        self.check(function, arguments)
        return (
            self.loaded(function, arguments)
            or self.dated(function, arguments)
            or self.by_method(function, arguments)
            or self.by_name(function, arguments)
        )

    def parsed(self, content: Mapping[str, Any]) -> _Made:
        """`image.expression(text, images)`: a call of what the service parsed from a text."""
        made_by = self.values[str(content["functionReference"])].get("functionInvocationValue", {})
        text = {key: self.constant(part) for key, part in (made_by.get("arguments") or {}).items()}
        names = text.get("vars")
        arguments = content["arguments"]
        if (
            made_by.get("functionName") != "Image.parseExpression"
            or text.get("argName") != _EXPRESSION_IMAGE
            or not isinstance(names, list)
            or names[:1] != [_EXPRESSION_IMAGE]
            or set(names) != set(arguments)
            or any(name.isdigit() for name in names)
        ):
            raise DeployError(
                "the expression calls a function that it computes, which JavaScript's client "
                "sends for Image.expression alone; make the image without it"
            )
        image = self.flat(arguments[_EXPRESSION_IMAGE])
        others = [(name, self.flat(arguments[name])) for name in names[1:]]
        given = [js.literal(text["expression"])]
        if others:
            given.append(js.keyed((name, part.code) for name, part in others))
        receiver = image.code if image.of == "Image" else js.call("ee.Image", image.code)
        code = js.Joined((receiver, js.Text(".expression"), js.Group("(", tuple(given), ")")))
        return _Made(code, "Image", _deeper(image, *(part for _, part in others)))

    # ------------------------------------------------------------------------------------ calls

    def loaded(self, function: str, arguments: Mapping[str, Any]) -> _Made | None:
        """Constructors of the client: an asset by its id, an array of numbers."""
        constructors = {
            ("Image.load", "id"): "Image",
            ("ImageCollection.load", "id"): "ImageCollection",
            ("Collection.loadTable", "tableId"): "FeatureCollection",
        }
        for (loader, key), of in constructors.items():
            if function == loader and set(arguments) == {key}:
                value = self.constant(arguments[key])
                if isinstance(value, str):
                    return _Made(js.call(f"ee.{of}", js.literal(value)), of, 1)
        numbers = arguments.get("values")
        if function == "Array" and len(arguments) == 1 and isinstance(self.constant(numbers), list):
            return _Made(js.call("ee.Array", self.flat(arguments["values"]).code), "Array", 1)
        return None

    def dated(self, function: str, arguments: Mapping[str, Any]) -> _Made | None:
        """Filters that the client writes by hand."""
        if function in ("Filter.and", "Filter.or") and set(arguments) == {"filters"}:
            node = self.resolved(arguments["filters"])
            if "arrayValue" not in node or len(node["arrayValue"]["values"]) < 2:
                return None
            parts = [self.flat(part) for part in node["arrayValue"]["values"]]
            code = js.call(f"ee.{function}", *(part.code for part in parts))
            return _Made(code, "Filter", _deeper(*parts))
        if function != "Filter.dateRangeContains" or set(arguments) != {"leftValue", "rightField"}:
            return None
        span = self.resolved(arguments["leftValue"]).get("functionInvocationValue", {})
        ends = span.get("arguments", {})
        dates = [ends.get(name) for name in ("start", "end")]
        if (
            self.constant(arguments["rightField"]) != "system:time_start"
            or span.get("functionName") != "DateRange"
            or set(ends) != {"start", "end"}
            or not all(self.is_text(date) for date in dates)
        ):
            return None
        codes = [self.flat(date).code for date in dates]
        return _Made(js.call("ee.Filter.date", *codes), "Filter", 1)

    def by_method(self, function: str, arguments: dict[str, Any]) -> _Made | None:
        """A method of the first argument."""
        signature = self.client.signatures.get(function)
        if signature is None or not signature.parameters:
            return None
        first = signature.parameters[0]
        if first not in arguments or self.constant(arguments[first]) is not None:
            return None
        receiver = self.flat(arguments[first])
        if receiver.of == COMPUTED or not isinstance(receiver.code, (js.Text, js.Joined)):
            return None
        others = {name: part for name, part in arguments.items() if name != first}
        written = self.hand_written(function, receiver, others)
        if written is not None:
            return written
        method = self.client.method(function, receiver.of)
        given = self.given(function, others, 1)
        if method is None or given is None:
            return None
        codes, calls = given
        of = self.client.class_of(signature.returns)
        return _Made(_method(receiver, method, codes), of, 1 + max(receiver.calls, calls))

    def hand_written(self, function: str, receiver: _Made, others: dict[str, Any]) -> _Made | None:
        """Methods that the client writes itself, where they send just this call."""
        values = {name: self.constant(part) for name, part in others.items()}
        names: tuple[str, ...] | None = None
        if function == "Image.select" and receiver.of == "Image":
            if all(isinstance(value, list) for value in values.values()):
                names = tuple(n for n in ("bandSelectors", "newNames") if n in others)
        elif function == "Image.rename" and receiver.of == "Image":
            names = ("names",) if isinstance(values.get("names"), list) else None
        elif function == "Element.set" and receiver.of in ("Image", "Feature"):
            names = ("key", "value") if isinstance(values.get("key"), str) else None
        elif function == "Collection.filter" and receiver.of in _ELEMENTS:
            names = ("filter",)
        elif function == "Collection.map" and receiver.of in _ELEMENTS:
            mapped = self.resolved(others.get("baseAlgorithm", {}))
            if set(others) != {"baseAlgorithm"} or "functionDefinitionValue" not in mapped:
                return None
            code = self.function(mapped["functionDefinitionValue"], (_ELEMENTS[receiver.of],)).code
            return _Made(_method(receiver, "map", (code,)), receiver.of, _DEEPEST)
        if names is None or set(names) != set(others):
            return None
        made = [self.argument(function, name, others[name]) for name in names]
        of = receiver.of if function in _KEEP_CLASS else "Image"
        method = function.partition(".")[2]
        codes = tuple(each.code for each in made)
        return _Made(_method(receiver, method, codes), of, _deeper(receiver, *made))

    def by_name(self, function: str, arguments: dict[str, Any]) -> _Made:
        """A static function, a helper, or `ee.apply`."""
        known = self.client.signatures.get(function)
        of = self.client.class_of(known.returns) if known is not None else COMPUTED
        static = self.client.static(function)
        given = self.given(function, arguments, 0, keywords=False) if static is not None else None
        if static is not None and given is not None:
            return _Made(js.call(static, *given[0]), of, 1 + given[1])
        made = {name: self.argument(function, name, arguments[name]) for name in sorted(arguments)}
        calls = _deeper(*made.values())
        key = (function, tuple(made))
        if made and self.frequent[key] >= _OFTEN:
            helper = self.helper(key, static)
            return _Made(js.call(helper, *(part.code for part in made.values())), of, calls)
        return _Made(_named(function, static, {n: p.code for n, p in made.items()}), of, calls)

    def helper(self, key: tuple[str, tuple[str, ...]], static: str | None) -> str:
        """The name of a function of the script for calls that are written often."""
        if key not in self.helpers:
            function, parameters = key
            wanted = re.sub(r"\W", "_", function.rpartition(".")[2])
            if js.is_identifier(wanted) and wanted not in self.used:
                self.used.add(wanted)
                name = wanted
            else:
                name = self.new_name(f"{wanted}_")
            shown = {each: each if js.is_identifier(each) else f"{each}_" for each in parameters}
            code = _named(function, static, {n: js.Text(v) for n, v in shown.items()})
            head = f"function {name}({', '.join(shown.values())}) {{"
            self.helpers[key] = name, f"{head}\n  return {js.render(code, 2, 9, 1)};\n}}"
        return self.helpers[key][0]

    # -------------------------------------------------------------------------------- arguments

    def given(
        self, function: str, arguments: dict[str, Any], start: int, *, keywords: bool = True
    ) -> tuple[tuple[js.Code, ...], int] | None:
        """Arguments for a method: in order without gaps, else by name; None if neither is safe."""
        signature = self.client.signatures[function]
        names = signature.leading(arguments, start)
        if names is not None and len(names) <= 3:
            made = [self.argument(function, name, arguments[name]) for name in names]
            # The client takes a lone object literal for arguments by name.
            if not (len(made) == 1 and _is_object(made[0].code)):
                return tuple(each.code for each in made), max((e.calls for e in made), default=0)
        if not keywords or not arguments or not signature.takes_keywords(start):
            return None
        parts = {name: self.argument(function, name, arguments[name]) for name in arguments}
        code = js.keyed((name, part.code) for name, part in parts.items())
        return (code,), max(part.calls for part in parts.values())

    def argument(self, function: str, name: str, node: Mapping[str, Any]) -> _Made:
        """Code for an argument; a number stands for the constant image that the client makes."""
        signature = self.client.signatures.get(function)
        if signature is not None and signature.type_of(name) == "Image":
            value = wire.number_of(self.resolved(node), self.values)
            if value is not None:
                return _Made(js.literal(value))
        return self.flat(node)

    def flat(self, node: Mapping[str, Any]) -> _Made:
        """Code for a node, in a variable if it would nest too deep or is worth a name."""
        scope = self.scopes[-1]
        if id(node) not in scope.made:
            made = self.node(node)
            if made.calls and (made.calls >= _DEEPEST or wire.hint(node, self.values) is not None):
                made = self.variable(made, scope, node)
            scope.made[id(node)] = made
        return scope.made[id(node)]

    def check(self, function: str, arguments: Mapping[str, Any]) -> None:
        """Refuse a literal that the client would make into something else on its way.

        Raises:
            DeployError: There is one.
        """
        signature = self.client.signatures.get(function)
        for name, node in arguments.items():
            kind = signature.type_of(name) if signature is not None else "Object"
            resolved = self.resolved(node)
            value = resolved.get("constantValue")
            value = [] if "arrayValue" in resolved else value
            value = {} if "dictionaryValue" in resolved else value
            if not self.client.takes(kind, value):
                raise DeployError(
                    f"{function} is given {js.render(js.literal(value))[:60]} as {name}, which "
                    f"JavaScript's client would make into an ee.{kind}; give it as one"
                )

    def is_text(self, node: Mapping[str, Any]) -> bool:
        """Whether a node is a text, or a parameter of the whole script, which stands for one."""
        found = self.resolved(node)
        if str(found.get("argumentReference", "")).startswith(wire.PARAMETER):
            return True
        return isinstance(found.get("constantValue"), str)

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """A node, references followed."""
        return wire.resolved(node, self.values)

    def constant(self, node: Mapping[str, Any] | None) -> Any:
        """A node's value if it is a constant or a list of such, else None."""
        return wire.constant(node, self.values)


# ---------------------------------------------------------------------------------------- helpers


def _method(receiver: _Made, name: str, arguments: tuple[js.Code, ...]) -> js.Code:
    parts = receiver.code.parts if isinstance(receiver.code, js.Joined) else (receiver.code,)
    return js.Joined((*parts, js.Text(f".{name}"), js.Group("(", arguments, ")")))


def _named(function: str, static: str | None, arguments: Mapping[str, js.Code]) -> js.Code:
    """A call with arguments by name."""
    given = js.keyed(arguments.items())
    if static is not None:
        return js.call(static, *([given] if arguments else []))
    return js.call("ee.apply", js.literal(function), given)


def _is_object(code: js.Code) -> bool:
    return isinstance(code, js.Group) and code.opening == "{"


def _deeper(*made: _Made) -> int:
    return 1 + max((each.calls for each in made), default=0)
