"""How QGIS shows points that wait for labels: what is open stands out, and answers are picked."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from water_gee.mapping.styles import LAND_COLOUR, ONLY_REFERENCE, WATER_COLOUR, symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from water_gee.mapping.styles import Colour

_KINDS: tuple[tuple[str, str, Colour], ...] = (
    ("water", "water", WATER_COLOUR),
    ("land", "land", LAND_COLOUR),
    ("", "not labelled", ONLY_REFERENCE),
)
"""Answer, name and colour; an empty answer is all the others."""


def point_qml(field: str, answers: Sequence[str]) -> str:
    """A QGIS style and form: colours by the answer, which is picked from a list.

    Args:
        field: The column of the answers.
        answers: What can be picked.
    """
    items = "".join(
        f"<category value={quoteattr(value)} label={quoteattr(name)} "
        f'symbol="{number}" render="true" type="string"/>'
        for number, (value, name, _) in enumerate(_KINDS)
    )
    symbols = "".join(_marker(number, colour) for number, (_, _, colour) in enumerate(_KINDS))
    picks = "".join(
        f'<Option type="Map"><Option type="QString" name={quoteattr(answer)} '
        f"value={quoteattr(answer)}/></Option>"
        for answer in answers
    )
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        '<qgis version="3.22.0" styleCategories="Symbology|Fields|Forms">'
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} symbollevels="0" '
        'enableorderby="0" forceraster="0">'
        f"<categories>{items}</categories><symbols>{symbols}</symbols></renderer-v2>"
        f"<fieldConfiguration><field name={quoteattr(field)}>"
        '<editWidget type="ValueMap"><config><Option type="Map"><Option type="List" name="map">'
        f"{picks}</Option></Option></config></editWidget></field></fieldConfiguration>"
        "<layerGeometryType>0</layerGeometryType></qgis>\n"
    )


def _marker(number: int, colour: Colour) -> str:
    red, green, blue = colour
    values = {
        "name": "circle",
        "color": f"{red},{green},{blue},255",
        "outline_color": "35,35,35,255",
        "outline_width": "0.3",
        "size": "2.6",
        "size_unit": "MM",
    }
    return symbol("marker", "SimpleMarker", number, values)
