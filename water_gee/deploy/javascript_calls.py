"""Which line of Google's JavaScript client sends a given call.

Most functions of the service are methods that the client makes from the list of algorithms, as
Python's does; some it writes by hand, and these may send something else (its `ee.Image.cat` is a
chain of `addBands`). So methods are looked up as the client binds them (`apifunction.js`,
`importApi`), names that it writes by hand are used only where they are known to send the same
(`HAND_WRITTEN`), and for everything else there is `ee.apply`, which sends what it is told
(developers.google.com/earth-engine/apidocs/ee-apply).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from water_gee.deploy.javascript_text import RESERVED, is_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPUTED = "ComputedObject"
"""The class of what has no other."""

_IMPORTS: dict[str, tuple[tuple[str, str], ...]] = {
    "Image": (("Image", ""),),
    "ImageCollection": (("ImageCollection", ""), ("reduce", "")),
    "FeatureCollection": (("FeatureCollection", ""),),
    "Collection": (("Collection", ""), ("AggregateFeatureCollection", "aggregate_")),
}
"""Class -> the prefixes whose functions become its methods, with what goes before their names;
other classes have their own name's."""

_PARENTS = {
    "Image": "Element",
    "Feature": "Element",
    "Collection": "Element",
    "ImageCollection": "Collection",
    "FeatureCollection": "Collection",
}

_HAND_WRITTEN = {
    "ComputedObject": "aside encode encodeCloudValue evaluate getInfo isVariable name serialize"
    " toString castInternal constructor func args varName",
    "Element": "set",
    "Image": "cat clip combine_ expression getDownloadURL getMap getMapId getThumbId getThumbURL"
    " rename rgb select",
    "Collection": "elementType filter filterBounds filterDate filterMetadata iterate limit map"
    " sort",
    "ImageCollection": "first getFilmstripThumbURL getVideoThumbURL getMap getMapId"
    " linkCollection select getThumbURL_",
    "FeatureCollection": "getDownloadURL getMap getMapId select",
    "Feature": "getMap getMapId",
    "Filter": "and append_ bounds date eq gt gte inList lt lte metadata neq not or",
    "Geometry": "BBox LineString LinearRing MultiLineString MultiPoint MultiPolygon Point Polygon"
    " Rectangle toGeoJSON toGeoJSONString",
}
"""Class -> names that the client writes itself (version 1.7.45)."""

_OF_FUNCTIONS = frozenset({"apply", "bind", "call", "length", "name", "prototype", "toString"})
"""What every constructor has, and so cannot get from the list."""

_SUBTYPES = {
    "Element": {"Element", "Image", "Feature", "Collection", "ImageCollection",
                "FeatureCollection"},
    "FeatureCollection": {"Collection", "ImageCollection", "FeatureCollection"},
    "Collection": {"Collection", "ImageCollection", "FeatureCollection"},
}  # fmt: skip
"""Type of a first argument -> classes of which the function becomes a method (`types.js`)."""

_NUMBERS = {"Number", "Float", "Long", "Integer", "Short", "Byte"}
_BY_TYPE = dict.fromkeys(_NUMBERS, "Number") | {"Collection": "FeatureCollection"}
_AS_GIVEN: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_NUMBERS, (int, float)),
    "String": (str,),
    "List": (list,),
    "Dictionary": (dict,),
}
"""Type of an argument -> literals that the client sends as they are, if it is a class of its."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of the service.

    Attributes:
        name: On the wire.
        parameters: Their names, in order.
        types: Of the parameters, without what is in angle brackets.
        returns: The type of the result, likewise.
    """

    name: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    returns: str

    def type_of(self, parameter: str) -> str:
        """The type of a parameter; `Object` of one that the list does not have."""
        known = dict(zip(self.parameters, self.types, strict=True))
        return known.get(parameter, "Object")

    def takes_keywords(self, start: int = 0) -> bool:
        """Whether the client can take the arguments from `start` on by name.

        Where a dictionary comes first it may hold a lone object literal for its value.
        """
        return "Dictionary" not in self.types[start : start + 1]

    def leading(self, given: Mapping[str, Any], start: int = 0) -> tuple[str, ...] | None:
        """The names given from `start` on, if they are the first ones without a gap."""
        names = self.parameters[start : start + len(given)]
        return names if set(names) == set(given) else None


class Client:
    """Google's JavaScript client, as far as methods and classes go.

    Args:
        signatures: The list of algorithms, as `ee.ApiFunction.allSignatures()` gives it.
    """

    def __init__(self, signatures: Mapping[str, Mapping[str, Any]]) -> None:
        self.signatures = {name: _signature(name, facts) for name, facts in signatures.items()}
        owners = {name.partition(".")[0] for name in self.signatures}
        returned = {signature.returns for signature in self.signatures.values()}
        own = {"Image", "Feature", "Collection", "ImageCollection", "FeatureCollection", "Filter",
               "Geometry", "List", "Number", "String", "Dictionary", "Date", "Element",
               COMPUTED}  # fmt: skip
        self.classes = (owners & returned) | own

    def class_of(self, returned: str) -> str:
        """The class of what a function gives whose result has this type."""
        found = _BY_TYPE.get(returned, returned)
        return found if found in self.classes else COMPUTED

    def takes(self, kind: str, value: Any) -> bool:
        """Whether the client sends a literal for a parameter of this type as it is."""
        if value is None or kind not in self.classes | _NUMBERS:
            return True
        if isinstance(value, bool):
            return False
        return isinstance(value, _AS_GIVEN.get(kind, ()))

    def method(self, function: str, receiver: str) -> str | None:
        """The method of a class that calls a function with the object as its first argument."""
        signature = self.signatures.get(function)
        prefix, _, own = function.partition(".")
        if signature is None or not signature.parameters or "." in own or not own:
            return None
        for owner in _chain(receiver):
            for imported, prepended in _imports(owner):
                if imported != prefix:
                    continue
                name = prepended + own
                if self._bound(receiver, name) == function and _usable(name):
                    return name
        return None

    def static(self, function: str) -> str | None:
        """`ee.Class.name` that calls a function, without an object."""
        owner, _, own = function.partition(".")
        signature = self.signatures.get(function)
        if signature is None or owner not in self.classes or "." in own or not own:
            return None
        if _is_instance(signature, owner) or own in _OF_FUNCTIONS or not _usable(own):
            return None
        if own in _HAND_WRITTEN.get(owner, "").split() or not signature.takes_keywords():
            return None
        return f"ee.{owner}.{own}"

    def _bound(self, receiver: str, name: str) -> str | None:
        """The function behind a method's name: the nearest class, the list's last prefix."""
        for owner in _chain(receiver):
            if name in _HAND_WRITTEN.get(owner, "").split():
                return None
            for imported, prepended in reversed(_imports(owner)):
                if not name.startswith(prepended):
                    continue
                signature = self.signatures.get(f"{imported}.{name.removeprefix(prepended)}")
                if signature is not None and _is_instance(signature, owner):
                    return signature.name
        return None


def _signature(name: str, facts: Mapping[str, Any]) -> Signature:
    parameters = facts["args"]
    return Signature(
        name,
        tuple(str(each["name"]) for each in parameters),
        tuple(_plain(each["type"]) for each in parameters),
        _plain(facts["returns"]),
    )


def _plain(kind: str) -> str:
    return str(kind).partition("<")[0]


def _chain(owner: str) -> list[str]:
    """A class and those that it inherits from."""
    chain = [owner]
    while chain[-1] in _PARENTS:
        chain.append(_PARENTS[chain[-1]])
    return chain if chain[-1] == COMPUTED else [*chain, COMPUTED]


def _imports(owner: str) -> tuple[tuple[str, str], ...]:
    return () if owner == COMPUTED else _IMPORTS.get(owner, ((owner, ""),))


def _is_instance(signature: Signature, owner: str) -> bool:
    """Whether the client makes a method of a function, rather than a static function."""
    if not signature.parameters or signature.types[0] == "Object":
        return False
    first = signature.types[0]
    return first == owner or owner in _SUBTYPES.get(first, ())


def _usable(name: str) -> bool:
    # A reserved word after a point is allowed since ECMAScript 5, and reads badly before.
    return is_identifier(name) or name in RESERVED
