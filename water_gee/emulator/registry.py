"""Functions by their wire name, each with the signature its annotations say.

    @REGISTRY.function("Image.select")
    def select(input: Image, bandSelectors: list[Any], newNames: list[str] | None = None) -> Image:
        \"\"\"Select bands from an image.\"\"\"

A parameter annotated `Services` is filled in by the evaluator and is no argument on the wire.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from water_gee.emulator.coerce import coerce, is_wire_type, wire_type
from water_gee.emulator.services import Services
from water_gee.emulator.values import Image
from water_gee.errors import ServiceError

F = TypeVar("F", bound=Callable[..., Any])

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument: its wire name, its annotation, its default (`REQUIRED` where there is none)."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the argument has to be given."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered function.

    Attributes:
        name: On the wire, for example `Image.add`.
        family: The module it lives in, for example `image_math`.
        implementation: The plain Python function.
        parameters: Its arguments in order.
        returns: The annotation of its result.
        services: The name of the parameter that takes `Services`, None for none.
        arrays: Whether its images may hold arrays.
    """

    name: str
    family: str
    implementation: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    returns: Any
    services: str | None
    arrays: bool = False

    def call(self, arguments: Mapping[str, Any], services: Services) -> Any:
        """Call with arguments by wire name: checked, defaulted, coerced.

        Raises:
            ServiceError: 400: an argument is missing, unknown, or of another type.
        """
        known = {parameter.name for parameter in self.parameters}
        for name in arguments:
            if name not in known:
                raise bad_request(f"{self.name}: Unexpected argument '{name}'.")
        values: dict[str, Any] = {}
        for parameter in self.parameters:
            given = arguments.get(parameter.name)
            if given is None:
                if parameter.required:
                    missing = f"Parameter '{parameter.name}' is required and may not be null."
                    raise bad_request(f"{self.name}: {missing}")
                values[parameter.name] = parameter.default
            else:
                where = f"{self.name}, argument '{parameter.name}'"
                values[parameter.name] = coerce(given, parameter.annotation, where)
                if not self.arrays and wire_type(parameter.annotation) == "Image":
                    check_numbers(values[parameter.name], self.name)
        if self.services is not None:
            values[self.services] = services
        return self.implementation(**values)


class Registry:
    """Entries by wire name. Registering is explicit, and refuses a name twice."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All entries by wire name, read only."""
        return MappingProxyType(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def function(self, *names: str, arrays: bool = False) -> Callable[[F], F]:
        """Register a function under its wire names and return it unchanged.

        Args:
            names: On the wire.
            arrays: Whether the images it takes may hold arrays; else such images are refused.

        Raises:
            ValueError: A name is taken, the docstring or an annotation is missing, or an
                annotation has no wire type. Nothing is registered then.
        """

        def register(function: F) -> F:
            entries = [_entry(name, function, arrays=arrays) for name in names]
            taken = [entry.name for entry in entries if entry.name in self._entries]
            if taken:
                raise ValueError(f"{taken[0]} is registered already")
            self._entries.update({entry.name: entry for entry in entries})
            return function

        return register

    def get(self, name: str) -> Entry:
        """Return the entry of a wire name.

        Raises:
            ServiceError: 400: nobody implements it.
        """
        if name not in self._entries:
            raise bad_request(f"Function '{name}' is not implemented by this emulator.")
        return self._entries[name]


def _entry(name: str, function: Callable[..., Any], *, arrays: bool) -> Entry:
    if not inspect.getdoc(function):
        raise ValueError(f"{name} has no docstring")
    hints = typing.get_type_hints(function)
    if "return" not in hints:
        raise ValueError(f"{name} does not say what it returns")
    services: str | None = None
    parameters: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in hints:
            raise ValueError(f"{name}: parameter {parameter.name} has no annotation")
        hint = hints[parameter.name]
        if hint is Services:
            services = parameter.name
            continue
        if not is_wire_type(hint):
            raise ValueError(f"{name}: parameter {parameter.name} has no wire type: {hint}")
        # A trailing underscore keeps clear of a Python keyword: `from_` is `from` on the wire.
        parameters.append(Parameter(parameter.name.rstrip("_"), hint, parameter.default))
    family = function.__module__.rpartition(".")[2]
    if any(one.name.endswith("_") for one in parameters):
        raise ValueError(f"{name}: two trailing underscores")
    made = _renamed(function)
    return Entry(name, family, made, tuple(parameters), hints["return"], services, arrays)


def _renamed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function callable by wire names."""
    names = {
        name.rstrip("_"): name
        for name in inspect.signature(function).parameters
        if name.endswith("_")
    }
    if not names:
        return function

    def call(**arguments: Any) -> Any:
        return function(**{names.get(name, name): value for name, value in arguments.items()})

    return call


def check_numbers(value: Any, where: str) -> None:
    """Refuse an image of which a band holds arrays; other values pass.

    Raises:
        ServiceError: 400: a band does.
    """
    for band in value.bands if isinstance(value, Image) else ():
        if band.type.dimensions:
            raise bad_request(
                f"{where}: The band '{band.name}' holds arrays of {band.type.dimensions} "
                "dimension(s); bands of numbers are needed (Image.arrayFlatten makes them)."
            )


def bad_request(message: str) -> ServiceError:
    """Return the service's answer to a request that is the caller's fault."""
    return ServiceError(400, "INVALID_ARGUMENT", message)


REGISTRY = Registry()
"""The registry the functions of this package fill; a default, tests make their own."""
