"""An Earth Engine of a dozen functions: pixels by the wire interpreter, assets in memory.

It takes the place of the calls in `ee.data`, so that everything above them is the real client.
"""

from __future__ import annotations

import itertools
import json

import ee
import googleapiclient.errors
import httplib2
import numpy as np
from wire_interpreter import Band, evaluate

_AROUND = 8  # pixels evaluated around a window, so that no border shows


class TinyService:
    """Serves one image, `here`, on a lattice of degrees.

    `values` is `(feature, row, col)` with NaN; its upper left corner lies `west`, `north` pixels
    from 0° E, 0° N. `flip` lays kernels the wrong way round. `spoil` changes arrays on their way.
    """

    def __init__(self, values, names, *, west, north, step, flip=False, spoil=None):
        self.values, self.names, self.flip, self.spoil = values, names, flip, spoil
        self.west, self.north, self.step = west, north, step
        self.assets, self.operations, self.requests = {}, {}, []
        self.policies, self.denied = {}, False
        self.pixel_requests = 0
        self.outcome = (
            "SUCCEEDED"  # of exports, or a function of one; ("FAILED", message) fails them
        )
        self.advance_lists = False  # whether tasks go on when they are listed, too
        self.refusal = None  # what starting a task is refused with
        self.polls = 2  # looks at a task until it has ended
        self._numbers = itertools.count(1)

    def install_one(self, name, function):
        """Put another function in the place of one of the calls."""
        from ee import data

        self._monkeypatch.setattr(data, name, function)

    def install(self, monkeypatch):
        from ee import data

        self._monkeypatch = monkeypatch
        for name in (
            "computePixels",
            "getAsset",
            "createAsset",
            "deleteAsset",
            "listAssets",
            "getIamPolicy",
            "setIamPolicy",
            "listOperations",
            "getOperation",
            "cancelOperation",
            "newTaskId",
            "exportImage",
        ):
            monkeypatch.setattr(data, name, getattr(self, name))
        return self

    # ------------------------------------------------------------------------------- pixels

    def computePixels(self, params):  # noqa: N802
        self.pixel_requests += 1
        grid, place = params["grid"], params["grid"]["affineTransform"]
        assert params["fileFormat"] == "NUMPY_NDARRAY"
        assert grid["crsCode"] == "EPSG:4326"
        width, height = grid["dimensions"]["width"], grid["dimensions"]["height"]
        col = place["translateX"] / self.step - self.west
        row = self.north - place["translateY"] / self.step
        assert abs(col - round(col)) < 1e-6, "a window beside the lattice"
        assert abs(row - round(row)) < 1e-6, "a window beside the lattice"
        bands = self._evaluate(params["expression"], round(row), round(col), height, width)
        inner = np.s_[_AROUND:-_AROUND, _AROUND:-_AROUND]
        table = np.zeros((height, width), [(band.name, "f4") for band in bands])
        for band in bands:
            assert (band.mask == 1).all(), "an array carries no mask"
            table[band.name] = band.values[inner]
        return self.spoil(table) if self.spoil else table

    def _evaluate(self, image, row, col, height, width):
        shape = height + 2 * _AROUND, width + 2 * _AROUND
        rows = np.arange(row - _AROUND, row + height + _AROUND)
        cols = np.arange(col - _AROUND, col + width + _AROUND)
        inside = ((rows >= 0) & (rows < self.values.shape[1]))[:, None] & (
            (cols >= 0) & (cols < self.values.shape[2])
        )
        part = self.values[
            :,
            np.clip(rows, 0, self.values.shape[1] - 1)[:, None],
            np.clip(cols, 0, self.values.shape[2] - 1),
        ]
        masks = np.isfinite(part) & inside
        bands = [
            Band(name, np.nan_to_num(band), mask.astype(float))
            for name, band, mask in zip(self.names, part, masks, strict=True)
        ]
        lonlat = (
            (self.west + cols + 0.5) * self.step + 0 * rows[:, None],
            (self.north - rows[:, None] - 0.5) * self.step + 0 * cols,
        )
        expression = json.loads(json.dumps(ee.serializer.encode(image)))
        return evaluate(expression, {"here": bands}, shape, lonlat=lonlat, flip=self.flip)

    # ------------------------------------------------------------------------------- assets

    def getAsset(self, asset_id):  # noqa: N802
        if asset_id in self.assets:
            return self.assets[asset_id]
        answer = httplib2.Response({"status": "404"})
        raise ee.EEException("Asset not found.") from googleapiclient.errors.HttpError(answer, b"")

    def createAsset(self, value, path):  # noqa: N802
        if self.denied:
            self._refuse(
                403, f"Permission 'earthengine.assets.create' denied on resource '{path}'."
            )
        self.assets[path] = {"type": value["type"], "name": path}

    def deleteAsset(self, asset_id):  # noqa: N802
        del self.assets[asset_id]

    def listAssets(self, params):  # noqa: N802
        parent = params["parent"]
        return {
            "assets": [
                asset for name, asset in self.assets.items() if name.rpartition("/")[0] == parent
            ]
        }

    def getIamPolicy(self, asset_id):  # noqa: N802
        owner = {"role": "roles/owner", "members": ["user:me@example.com"]}
        return self.policies.get(asset_id, {"etag": "a", "bindings": [owner]})

    def setIamPolicy(self, asset_id, policy):  # noqa: N802
        self.policies[asset_id] = policy

    @staticmethod
    def _refuse(status, message):
        answer = httplib2.Response({"status": str(status)})
        raise ee.EEException(message) from googleapiclient.errors.HttpError(answer, b"")

    # -------------------------------------------------------------------------------- tasks

    def newTaskId(self):  # noqa: N802
        return [f"task{next(self._numbers)}"]

    def exportImage(self, request_id, request):  # noqa: N802
        name = f"projects/local/operations/{request_id}"
        if name in self.operations:
            return self.operations[name]
        if self.refusal:
            self._refuse(400, self.refusal)
        self.requests.append(request)
        self.operations[name] = {
            "name": name,
            "polls": 0,
            "request": request,
            "metadata": {"state": "PENDING", "description": request["description"]},
        }
        return self.operations[name]

    def listOperations(self):  # noqa: N802
        if self.advance_lists:
            for name in self.operations:
                self.getOperation(name)
        return list(self.operations.values())[::-1]

    def cancelOperation(self, name):  # noqa: N802
        self.operations[name]["metadata"]["state"] = "CANCELLED"

    def getOperation(self, name):  # noqa: N802
        operation = self.operations[name]
        operation["polls"] += 1
        if operation["polls"] >= self.polls:
            self.end(operation)
        return operation

    def end(self, operation):
        outcome = self.outcome(operation) if callable(self.outcome) else self.outcome
        if isinstance(outcome, tuple):
            state, message = outcome
            operation["metadata"]["state"] = state
            operation["error"] = {"message": message}
            return
        operation["metadata"]["state"] = outcome
        if outcome == "SUCCEEDED":
            target = destination_of(operation["request"])
            self.assets[target] = {
                "type": "IMAGE",
                "name": target,
                "properties": properties_of(operation["request"]["expression"]),
            }


def destination_of(request):
    """The asset id; the client writes ids of projects with short names as legacy ones."""
    name = request["assetExportOptions"]["earthEngineDestination"]["name"]
    return name.removeprefix("projects/earthengine-legacy/assets/")


def properties_of(image):
    """What `Element.set` puts on an image, from its wire form."""
    expression = image if isinstance(image, dict) else ee.serializer.encode(image)
    shared = expression["values"]

    def constant(node):
        return (
            constant(shared[node["valueReference"]])
            if "valueReference" in node
            else node["constantValue"]
        )

    found, todo = {}, [expression]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if value.get("functionName") == "Element.set":
                arguments = value["arguments"]
                found[constant(arguments["key"])] = constant(arguments["value"])
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return found
