"""Every exception and warning of the package, in one tree.

    WaterGeeError
      AoiError (ValueError)              an area that is no area
      GridError (ValueError)             TileOutsideGridError, CoverageError
      RecipeError (ValueError)           RecipeMismatchError
      RasterError (OSError)              WriteFailedError; a file that is no raster, or lacks a band
      SessionError (OSError)             no catalogue, no service, no account
      DownloadError (OSError)            QuotaError, TileFailedError, EmptySeasonError,
                                         TruncatedError
      StoreError (OSError)               a tile store that cannot be read or written
      LabelError (ValueError)            UnknownSensorError, UnknownQaBitError
      TrainingError (ValueError)         too few samples, one class only
      ModelError (ValueError)            a file that is no model of ours
      DeployError (ValueError)           UnsupportedLayerError, ParityError, AssetIdError,
                                         ExportFailedError
      ScenesFailedError (OSError)        some of several scenes have no map
      ClusterError (OSError)             no Dask scheduler, or workers that cannot do the work
      EmulatorError                      AssetNotFoundError, IngestError, ServiceError
      MissingExtraError (ImportError)
    WaterGeeWarning (UserWarning)        AreaRepairedWarning, EmptyTileWarning, FewCellsWarning,
                                         NetworkMountWarning

Each class also inherits the built-in it refines, makes its message from facts, and keeps those
facts as attributes. The command line prints the message of a `WaterGeeError` as its one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class WaterGeeError(Exception):
    """Anything this package refuses; the message says what was wrong, where, and what to do."""


class AoiError(WaterGeeError, ValueError):
    """An area of interest that cannot be read as a polygon on the Earth."""


class GridError(WaterGeeError, ValueError):
    """Something that does not fit the lattice."""


class TileOutsideGridError(GridError):
    """A cell that the lattice does not have."""


class CoverageError(GridError):
    """Windows that leave part of a raster uncovered."""


class RecipeError(WaterGeeError, ValueError):
    """A recipe with a field out of range."""


class RecipeMismatchError(RecipeError):
    """Two recipes that had to be the same.

    Attributes:
        where: The two things compared, for example `("model.keras", "store")`.
        differences: Field name -> the two values.
    """

    def __init__(
        self, where: tuple[str, str], differences: dict[str, tuple[object, object]]
    ) -> None:
        self.where = where
        self.differences = differences
        shown = "; ".join(f"{name}: {a!r} / {b!r}" for name, (a, b) in differences.items())
        super().__init__(
            f"{where[0]} and {where[1]} come from different recipes ({shown}); "
            "use the recipe they were made with, or make one of them anew"
        )


class RasterError(WaterGeeError, OSError):
    """A raster that cannot be read, written, or lacks what was asked of it."""


class WriteFailedError(RasterError):
    """A file that the disk does not take. What is finished of it stays: the same call goes on."""


class SessionError(WaterGeeError, OSError):
    """No Earth Engine to talk to."""


class DownloadError(WaterGeeError, OSError):
    """Tiles that could not be fetched."""


class QuotaError(DownloadError):
    """The service says the quota is used up."""


class TileFailedError(DownloadError):
    """Tiles that failed after every retry.

    Attributes:
        failures: Cell id -> last error message.
    """

    def __init__(self, failures: dict[str, str], total: int) -> None:
        self.failures = failures
        first, why = next(iter(failures.items()))
        super().__init__(
            f"{len(failures)} of {total} tiles failed, the first {first}: {why}; "
            "the others are kept, the same call goes on from here"
        )


class TruncatedError(DownloadError):
    """An answer that ended early."""


class EmptySeasonError(DownloadError):
    """No image of the recipe's sensors, months and years over the area."""


class StoreError(WaterGeeError, OSError):
    """A tile store that cannot be opened, read or written."""


class LabelError(WaterGeeError, ValueError):
    """Labels that cannot be made or corrected."""


class UnknownSensorError(LabelError):
    """A sensor that `imagery/sensors.py` does not have.

    Attributes:
        sensor: What was asked for.
        known: What there is.
    """

    def __init__(self, sensor: str, known: Iterable[str]) -> None:
        self.sensor = sensor
        self.known = tuple(known)
        super().__init__(f"unknown sensor {sensor!r}; known: {', '.join(self.known)}")


class UnknownQaBitError(LabelError):
    """A QA bit that the sensor's QA band does not have."""

    def __init__(self, bit: str, band: str, known: Iterable[str]) -> None:
        self.bit = bit
        self.band = band
        self.known = tuple(known)
        super().__init__(f"{band} has no bit {bit!r}; it has {', '.join(self.known)}")


class TrainingError(WaterGeeError, ValueError):
    """Samples nothing can be learned from."""


class ModelError(WaterGeeError, ValueError):
    """A file that holds no model, or not one with a recipe."""


class DeployError(WaterGeeError, ValueError):
    """A deployment that would be wrong, or that the service refused."""


class UnsupportedLayerError(DeployError):
    """A layer that has no Earth Engine form.

    Attributes:
        layer: The layer's name.
        kind: Its class.
        reason: Why not, and what would help.
    """

    def __init__(self, layer: str, kind: str, reason: str) -> None:
        self.layer = layer
        self.kind = kind
        self.reason = reason
        super().__init__(f"layer {layer!r} ({kind}) cannot be converted: {reason}")


class ParityError(DeployError):
    """The deployed network and the Keras network disagree.

    Attributes:
        worst: `(row, col)` of the worst pixel in the window compared.
        difference: The probability difference there.
        bar: The largest difference allowed.
    """

    def __init__(self, worst: tuple[int, int], difference: float, bar: float, what: str) -> None:
        self.worst = worst
        self.difference = difference
        self.bar = bar
        self.what = what
        super().__init__(
            f"{what} differ by {difference:.3g} at pixel (row {worst[0]}, col {worst[1]}), "
            f"more than {bar:.0e}; nothing was exported"
        )


class AssetIdError(DeployError):
    """An asset id that Earth Engine would not take."""


class ExportFailedError(DeployError):
    """Export tasks that ended without an asset.

    Attributes:
        failures: Asset id -> the service's message.
        total: How many maps there were to be, None where nobody counted.
    """

    def __init__(self, failures: dict[str, str], total: int | None = None) -> None:
        self.failures = failures
        self.total = total
        first = list(failures.items())[:3]
        shown = "; ".join(f"{asset}: {why}" for asset, why in first)
        rest = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
        of_all = f" of {total}" if total is not None and total > 1 else ""
        others = "; the others stand, the same call tries these again" if of_all else ""
        super().__init__(f"{len(failures)}{of_all} export(s) failed: {shown}{rest}{others}")


class ScenesFailedError(WaterGeeError, OSError):
    """Scenes that could not be mapped; the maps of the others are there.

    Attributes:
        failures: Scene -> what was wrong.
    """

    def __init__(self, failures: dict[str, str], total: int, summary: object) -> None:
        self.failures = failures
        first, why = next(iter(failures.items()))
        super().__init__(
            f"{len(failures)} of {total} scenes have no map, the first {first}: {why}; the others "
            f"are kept, {summary} lists them"
        )


class ClusterError(WaterGeeError, OSError):
    """A Dask cluster that does not answer, or whose workers cannot do the work."""


class EmulatorError(WaterGeeError):
    """The Earth Engine emulator could not do what was asked of it."""


class AssetNotFoundError(EmulatorError, KeyError):
    """An asset the catalogue does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class IngestError(EmulatorError, ValueError):
    """A scene that cannot be ingested."""


class ServiceError(EmulatorError):
    """An answer in the service's own form: HTTP code, status and message.

    Attributes:
        code: HTTP status code.
        status: Google's status word, for example `INVALID_ARGUMENT`.
        message: The text the client shows.
    """

    def __init__(self, code: int, status: str, message: str) -> None:
        self.code = code
        self.status = status
        self.message = message
        super().__init__(message)


class MissingExtraError(WaterGeeError, ImportError):
    """An optional part that is not installed.

    Attributes:
        package: What was missing.
        extra: The extra that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed; pip install 'water-gee[{extra}]'")


class WaterGeeWarning(UserWarning):
    """Any warning of this package."""


class AreaRepairedWarning(WaterGeeWarning):
    """An area that was not valid, and what was done about it."""


class EmptyTileWarning(WaterGeeWarning):
    """A tile without one observed pixel."""


class FewCellsWarning(WaterGeeWarning):
    """Fewer than four cells: validation splits by blocks inside cells instead of by cell."""


class NetworkMountWarning(WaterGeeWarning):
    """A tile store on a network mount."""
