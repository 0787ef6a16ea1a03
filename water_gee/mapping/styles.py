"""How QGIS shows what this package writes: names and colours, in the files themselves.

- A class raster carries its colours as a colour table, and beside it `MAP.qml`, which QGIS takes by
  itself: a GeoTIFF cannot hold the names of classes, and without it QGIS lists all 256 entries.
- A GeoPackage carries its styles in the table `layer_styles`, as QGIS itself would save them (QML,
  and SLD for other programs), one of them the default.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from water_gee.files import write_bytes
from water_gee.imagery.store import COLORS, LAND, NOT_OBSERVED, WATER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Colour = tuple[int, int, int]

EPOCH = "2000-01-01T00:00:00.000Z"
"""Written into every file as its date, so that equal maps give equal files."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class and how it is shown.

    Attributes:
        value: Its code in a raster, or its word in a table.
        name: What a legend says.
        colour: Red, green and blue, 0 to 255.
    """

    value: int | str
    name: str
    colour: Colour


LAND_COLOUR, WATER_COLOUR = COLORS[LAND][:3], COLORS[WATER][:3]
GAIN_COLOUR: Colour = (0, 158, 115)
LOSS_COLOUR: Colour = (213, 94, 0)
SEASONAL_COLOUR: Colour = (153, 217, 234)
UNCLEAR_COLOUR: Colour = (140, 140, 150)
ONLY_MAP: Colour = (230, 140, 20)
ONLY_REFERENCE: Colour = (200, 30, 60)
"""Apart for the colour-blind too, as the pairs gain and loss, lake and river are."""

MAP = (Category(LAND, "land", LAND_COLOUR), Category(WATER, "water", WATER_COLOUR))
CHANGE = (
    Category(0, "land in both", LAND_COLOUR),
    Category(1, "water in both", WATER_COLOUR),
    Category(2, "gain: land became water", GAIN_COLOUR),
    Category(3, "loss: water became land", LOSS_COLOUR),
)
SEASONALITY = (
    Category(0, "never water", LAND_COLOUR),
    Category(1, "seasonal water", SEASONAL_COLOUR),
    Category(2, "permanent water", WATER_COLOUR),
)
AGREEMENT = (
    Category(0, "land in both", LAND_COLOUR),
    Category(1, "water in both", WATER_COLOUR),
    Category(2, "water in the map only", ONLY_MAP),
    Category(3, "water in the reference only", ONLY_REFERENCE),
)
BODIES = (
    Category("river", "river", WATER_COLOUR),
    Category("lake", "lake", (86, 180, 233)),
    Category("unclear", "cut too much to tell", UNCLEAR_COLOUR),
)
CHANGED = (Category("gain", "gain", GAIN_COLOUR), Category("loss", "loss", LOSS_COLOUR))


def colour_table(categories: Sequence[Category]) -> dict[int, tuple[int, int, int, int]]:
    """The colour table of a class raster; what was not observed is transparent."""
    table = {int(item.value): (*item.colour, 255) for item in categories}
    return table | {NOT_OBSERVED: (0, 0, 0, 0)}


def ramp(stops: Sequence[tuple[int, Colour]]) -> dict[int, tuple[int, int, int, int]]:
    """A colour table for quantities: colours in between by straight lines, 255 transparent."""
    table = {}
    for (low, first), (high, last) in itertools.pairwise(stops):
        for value in range(low, high + 1):
            share = (value - low) / (high - low)
            mixed = [round(a + (b - a) * share) for a, b in zip(first, last, strict=True)]
            table[value] = (mixed[0], mixed[1], mixed[2], 255)
    return table | {NOT_OBSERVED: (0, 0, 0, 0)}


def sidecar(path: Path | str) -> Path:
    """Where QGIS looks for the style of a raster: `MAP.qml` beside `MAP.tif`."""
    return Path(path).with_suffix(".qml")


def write_qml(path: Path | str, categories: Sequence[Category] = MAP) -> Path:
    """Write the style of a class raster beside it.

    Args:
        path: The raster.
        categories: Its classes; those of a water map by default.

    Returns:
        The style's path.

    Raises:
        RasterError: The disk is full, or the folder cannot be written.
    """
    target = sidecar(path)
    write_bytes(target, raster_qml(categories).encode())
    return target


def write_ramp_qml(path: Path | str, stops: Sequence[tuple[float, Colour]], unit: str) -> Path:
    """Write the style of a raster of quantities beside it; see `write_qml`."""
    target = sidecar(path)
    write_bytes(target, ramp_qml(stops, unit).encode())
    return target


# ------------------------------------------------------------------------------------ rasters

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def raster_qml(categories: Sequence[Category]) -> str:
    """A QGIS style with a name and a colour for each class."""
    entries = "".join(
        f'<paletteEntry value="{item.value}" color="{_hex(item.colour)}" alpha="255" '
        f"label={quoteattr(item.name)}/>"
        for item in categories
    )
    return _raster_style(
        '<rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">'
        f"<rasterTransparency/><colorPalette>{entries}</colorPalette></rasterrenderer>"
    )


def ramp_qml(stops: Sequence[tuple[float, Colour]], unit: str) -> str:
    """A QGIS style with colours that run from stop to stop."""
    low, high = stops[0][0], stops[-1][0]
    items = "".join(
        f'<item value="{value:g}" color="{_hex(colour)}" alpha="255" '
        f"label={quoteattr(f'{value:g} {unit}'.strip())}/>"
        for value, colour in stops
    )
    return _raster_style(
        '<rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" '
        f'nodataColor="" classificationMin="{low:g}" classificationMax="{high:g}">'
        "<rasterTransparency/><rastershader>"
        '<colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" '
        f'minimumValue="{low:g}" maximumValue="{high:g}">{items}</colorrampshader>'
        "</rastershader></rasterrenderer>"
    )


def _raster_style(renderer: str) -> str:
    return (
        f'{_DOCTYPE}<qgis version="3.22.0" styleCategories="Symbology">'
        f"<pipe>{renderer}"
        '<brightnesscontrast brightness="0" contrast="0" gamma="1"/>'
        '<huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>'
        '<rasterresampler maxOversampling="2"/></pipe><blendMode>0</blendMode></qgis>\n'
    )


# ------------------------------------------------------------------------------------ polygons


def polygon_qml(field: str, categories: Sequence[Category]) -> str:
    """A QGIS style for polygons, by the words in a column."""
    items, symbols = [], []
    for number, item in enumerate(categories):
        items.append(
            f"<category value={quoteattr(str(item.value))} label={quoteattr(item.name)} "
            f'symbol="{number}" render="true" type="string"/>'
        )
        symbols.append(_symbol(number, item.colour))
    return (
        f'{_DOCTYPE}<qgis version="3.22.0" styleCategories="Symbology">'
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} symbollevels="0" '
        'enableorderby="0" forceraster="0">'
        f"<categories>{''.join(items)}</categories><symbols>{''.join(symbols)}</symbols>"
        "</renderer-v2><blendMode>0</blendMode><featureBlendMode>0</featureBlendMode>"
        "<layerGeometryType>2</layerGeometryType></qgis>\n"
    )


def symbol(kind: str, layer: str, number: int, values: Mapping[str, str]) -> str:
    """A symbol of one layer, as QGIS writes it.

    Args:
        kind: `fill` or `marker`.
        layer: The layer's class, such as `SimpleFill`.
        number: The symbol's name.
        values: Properties of the layer.
    """
    options = "".join(
        f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in values.items()
    )
    # QGIS before 3.20 reads `prop`, later ones `Option`.
    props = "".join(f'<prop k="{name}" v="{value}"/>' for name, value in values.items())
    return (
        f'<symbol type="{kind}" name="{number}" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="{layer}" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{options}</Option>{props}</layer></symbol>'
    )


def _symbol(number: int, colour: Colour) -> str:
    red, green, blue = colour
    dark = ",".join(str(part * 2 // 3) for part in colour)
    values = {
        "color": f"{red},{green},{blue},217",
        "style": "solid",
        "outline_color": f"{dark},255",
        "outline_style": "solid",
        "outline_width": "0.2",
        "outline_width_unit": "MM",
        "joinstyle": "round",
    }
    return symbol("fill", "SimpleFill", number, values)


def polygon_sld(layer: str, field: str, categories: Sequence[Category]) -> str:
    """The same as OGC Styled Layer Descriptor 1.1, for other programs."""
    rules = "".join(
        f"<se:Rule><se:Name>{escape(item.name)}</se:Name>"
        '<ogc:Filter xmlns:ogc="http://www.opengis.net/ogc"><ogc:PropertyIsEqualTo>'
        f"<ogc:PropertyName>{escape(field)}</ogc:PropertyName>"
        f"<ogc:Literal>{escape(str(item.value))}</ogc:Literal>"
        "</ogc:PropertyIsEqualTo></ogc:Filter><se:PolygonSymbolizer>"
        f'<se:Fill><se:SvgParameter name="fill">{_hex(item.colour)}</se:SvgParameter>'
        '<se:SvgParameter name="fill-opacity">0.85</se:SvgParameter></se:Fill>'
        '<se:Stroke><se:SvgParameter name="stroke">'
        f"{_hex((item.colour[0] * 2 // 3, item.colour[1] * 2 // 3, item.colour[2] * 2 // 3))}"
        '</se:SvgParameter><se:SvgParameter name="stroke-width">1</se:SvgParameter></se:Stroke>'
        "</se:PolygonSymbolizer></se:Rule>"
        for item in categories
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<StyledLayerDescriptor version="1.1.0" xmlns="http://www.opengis.net/sld" '
        'xmlns:se="http://www.opengis.net/se">'
        f"<NamedLayer><se:Name>{escape(layer)}</se:Name><UserStyle><se:Name>{escape(layer)}"
        f"</se:Name><se:FeatureTypeStyle>{rules}</se:FeatureTypeStyle></UserStyle></NamedLayer>"
        "</StyledLayerDescriptor>\n"
    )


_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)
"""


def add_to_geopackage(
    path: Path, layer: str, field: str, categories: Sequence[Category], description: str
) -> None:
    """Put the style of a layer of polygons into a GeoPackage, as its default.

    Args:
        path: The GeoPackage, which nobody else has open.
        layer: The layer.
        field: The column that tells the categories.
        categories: What is in that column.
        description: A line about it.

    Raises:
        OSError: The file cannot be written, or the disk is full.
    """
    qml, sld = polygon_qml(field, categories), polygon_sld(layer, field, categories)
    put_style(path, layer, (qml, sld), description)


def put_style(path: Path, layer: str, texts: tuple[str, str], description: str) -> None:
    """Put a style into a GeoPackage that has none, as the default of a layer.

    Args:
        path: The GeoPackage, which nobody else has open.
        layer: The layer.
        texts: QML and SLD.
        description: A line about it.

    Raises:
        OSError: The file cannot be written, or the disk is full.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            (column,) = database.execute(
                "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
            ).fetchone()
            database.execute(_TABLE)
            database.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                "owner, ui, update_time) VALUES ('', '', ?, ?, ?, ?, ?, 1, ?, '', NULL, ?)",
                (
                    layer,
                    column,
                    layer,
                    *texts,
                    description,
                    EPOCH,
                ),
            )
            database.execute(
                "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, "
                "last_change, srs_id) VALUES ('layer_styles', 'attributes', 'layer_styles', '', "
                "?, 0)",
                (EPOCH,),
            )
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
