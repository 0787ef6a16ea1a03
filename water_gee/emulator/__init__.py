"""The other Earth Engine: a server on this machine that the stock client talks to.

from water_gee.emulator import start

with start("catalog") as emulator:
    ee.Initialize(credentials=AnonymousCredentials(), url=emulator.url, project="local")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from water_gee.emulator.faults import Faults
    from water_gee.emulator.requestfaults import RequestFaults
    from water_gee.emulator.server import Emulator, start

__all__ = ["Emulator", "Faults", "RequestFaults", "start"]


def __getattr__(name: str) -> Any:
    """Load the server when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from water_gee.emulator import faults, server

    return getattr(faults if name.endswith("Faults") else server, name)
