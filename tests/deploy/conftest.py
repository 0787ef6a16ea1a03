"""An `ee` session without a service: expressions can be built, not run."""

from __future__ import annotations

from importlib import resources

import httplib2
import numpy as np
import pytest

from water_gee import session


class ListsOnly:
    """A transport for `ee.Initialize`: discovery document and algorithm list, from the wheel."""

    def request(self, uri, method="GET", body=None, headers=None, **_):
        name = "algorithms" if "algorithms" in uri else "cloud_api_discovery_document"
        if "algorithms" not in uri and "discovery" not in uri:
            raise AssertionError(f"nothing is to be asked of the service here: {method} {uri}")
        text = resources.files("ee").joinpath("tests", f"{name}.json").read_bytes()
        return httplib2.Response({"status": "200", "content-type": "application/json"}), text


@pytest.fixture(scope="module")
def ee():
    """The stock client, ready to build expressions, connected to nothing."""
    import ee
    from google.auth.credentials import AnonymousCredentials

    ee.deprecation.deprecated_assets = {"_": None}
    ee.Initialize(
        credentials=AnonymousCredentials(),
        url="http://local.invalid",
        project="local",
        http_transport=ListsOnly(),
    )
    yield ee
    if session._current is not None:
        session._current.close()
    ee.Reset()


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)
