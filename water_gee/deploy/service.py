"""Talking to the connected service about a deployment: errors in one line, windows of pixels."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import ee
import numpy as np
from ee import data

from water_gee import session
from water_gee.errors import DeployError, SessionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from water_gee.windows import Grid

    FloatArray = npt.NDArray[np.float32]

FILL = 255.0
"""Stands for masked pixels on the way: arrays carry no mask, and no feature is ever so large."""


_DENIED = re.compile(r"permission.* denied|does not have .*permission|insufficient perm", re.I)


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what the service answers to a wrong request into one line.

    Args:
        what: What was asked for, to be put before the service's words.

    Raises:
        DeployError: The service refused, or the account may not do this.
        SessionError: It is gone, or refuses the account altogether.
    """
    try:
        with session.talking():
            yield
    except ee.EEException as error:
        raise DeployError(f"{what}: {words(error)}") from error
    except SessionError as error:
        cause = error.__cause__
        if isinstance(cause, ee.EEException) and _DENIED.search(str(cause)):
            raise DeployError(
                f"{what}: {words(cause)}; give an id in a project that is yours, or ask its owner "
                "for the role roles/earthengine.writer"
            ) from error
        raise


def words(error: BaseException) -> str:
    """What the service said, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def fetch(image: ee.Image, grid: Grid, what: str) -> FloatArray:
    """Compute a window of an image.

    Args:
        image: Bands that never hold 255.
        grid: The window; its CRS an EPSG code.
        what: Its name, for errors.

    Returns:
        `float32 (band, row, col)`, NaN where masked.

    Raises:
        DeployError: The service refused.
        SessionError: It is gone, or refuses the account.
    """
    step = grid.transform
    request = {
        "expression": image.toFloat().unmask(FILL, False),
        "fileFormat": "NUMPY_NDARRAY",
        "grid": {
            "dimensions": {"width": grid.shape[1], "height": grid.shape[0]},
            "affineTransform": {
                "scaleX": step.a,
                "shearX": step.b,
                "translateX": step.c,
                "shearY": step.d,
                "scaleY": step.e,
                "translateY": step.f,
            },
            "crsCode": grid.crs,
        },
    }
    with asking(f"the service could not compute {what}"):
        table: Any = data.computePixels(request)
    values = np.stack([table[name] for name in table.dtype.names]).astype(np.float32)
    return np.where(values == FILL, np.float32("nan"), values)
