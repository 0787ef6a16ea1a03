"""A trained model as a script for the Code Editor, the same map that `to_ee` makes in Python.

The script is written from the expression that Python's client would send, so features and network
have one definition, and the script sends that expression again: nothing in it is computed anew or
rounded. Weights stand in it as arrays, or with `form="assets"` in an asset.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ee
import shapely

from water_gee import session
from water_gee._version import __version__
from water_gee.deploy import javascript_text as js
from water_gee.deploy.build_ee import AUTO, PROBABILITY_BAND, WATER_BAND, to_ee
from water_gee.deploy.graph import digest_of
from water_gee.deploy.javascript_calls import Client
from water_gee.deploy.javascript_statements import Script, script
from water_gee.deploy.javascript_wire import with_parameters
from water_gee.deploy.limits import check_size
from water_gee.deploy.network import resolve_with
from water_gee.errors import DeployError
from water_gee.files import refuse_same, write_bytes
from water_gee.imagery.aoi import read_aoi
from water_gee.imagery.grid import Lattice, cell_from_id
from water_gee.imagery.store import COLORS, LAND, WATER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapely.geometry.base import BaseGeometry

    from water_gee.deploy.limits import Size
    from water_gee.imagery.recipe import Recipe
    from water_gee.training.model import TrainedModel

MAP = "waterMap"
"""The variable that holds the map."""

_OF = "waterMapOf"
_NAMES = frozenset({MAP, _OF, "waterMaps", "area", "shown", "crs", "crsTransform", "geometry"})
_ZOOM = 12
"""Where a pixel of the screen is about one of the network's."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a script is about.

    Attributes:
        images: The maps, by the name of their layer.
        model: The model, or None for an image that the caller made.
        recipe: Its recipe, with the years of all maps.
        area: Where to look, EPSG:4326.
        form: How the network is written.
        probability: Whether there is a band of it.
    """

    images: dict[str, ee.Image]
    model: TrainedModel | None
    recipe: Recipe | None
    area: BaseGeometry | None
    form: str
    probability: bool


def to_javascript(
    model: TrainedModel | ee.Image | Path | str,
    *,
    aoi: Any = None,
    years: int | Iterable[int] | None = None,
    form: str = AUTO,
    probability: bool = True,
    digits: int | None = None,
    weights_asset: str | None = None,
    recipe: Recipe | None = None,
) -> str:
    """Write a script for the Code Editor that loads the map of a model.

    No service is needed, unless the weights are to come from an asset. The same model and options
    give the same script, byte for byte; it is ECMAScript 5 in ASCII.

    Args:
        model: A trained model or its file; or an image with a band `water`, such as `to_ee` gives.
        aoi: Where to look, as `download_tiles` takes it. By default the cells that the model was
            trained on.
        years: A map of each. By default one map of all the recipe's years together.
        form: How the network is written, as `to_ee` takes it; `auto` is the shortest script:
            `matrix`, or with a `weights_asset` `assets`.
        probability: Whether to show the probability of water, too.
        digits: Significant digits to round the weights to; by default they are exact.
        weights_asset: The table of the weights that `weights.store_weights` made; the connected
            service is asked whether it holds this network's.
        recipe: Of a network that has none of its own.

    Returns:
        The script. It defines `waterMap`, or for several years `waterMapOf` and `waterMaps`, shows
        it in the pixels of the recipe, and ends in an export that is commented out.

    Raises:
        DeployError: The expression is over a limit of the service, or has something that
            JavaScript's client cannot send.
        UnsupportedLayerError: A layer that has no Earth Engine form.
        ModelError: No model there.
        AoiError: No area.
        RecipeError: A year that is none.
        SessionError: A `weights_asset`, and no service to ask.
    """
    if weights_asset is not None:
        session.ensure()  # which is asked what the asset holds
    with session.building():
        if isinstance(model, ee.Image):
            if years is not None:
                raise DeployError("an image has its years already; give a model to choose others")
            area = read_aoi(aoi) if aoi is not None else None
            subject = _Subject({"water": model}, None, None, area, "", probability=False)
        else:
            options = {"form": form, "digits": digits, "weights_asset": weights_asset}
            trained = resolve_with(model, recipe)
            subject = _of_model(trained, aoi, years, options, probability=probability)
        client = Client(ee.ApiFunction.allSignatures())
        expressions = [_encoded(image) for image in subject.images.values()]
    size = check_size(expressions[0], "the map's expression")
    if len(expressions) == 1:
        written = script(expressions[0], client, MAP, _NAMES)
        calls: list[str] = []
    else:
        shared, rows = with_parameters(expressions)
        written = script(shared, client, _OF, _NAMES)
        made = (js.call(_OF, *map(js.literal, row)) for row in rows)
        maps = js.keyed(zip(subject.images, made, strict=True))
        calls = [js.statement("waterMaps", maps), f"var {MAP} = waterMaps[{_last(subject)}];"]
    return _page(subject, written, calls, size)


def write_javascript(
    model: TrainedModel | ee.Image | Path | str, path: Path | str, **options: Any
) -> Path:
    """Write the script of `to_javascript` to a file, which appears whole or not at all.

    Args:
        model: As `to_javascript` takes it.
        path: The file; one that is there is replaced.
        options: As `to_javascript` takes them.

    Returns:
        The file.

    Raises:
        RasterError: The folder does not exist or cannot be written, the disk is full, or the file
            is the model.
        DeployError: As `to_javascript`, or the path is a folder.
    """
    target = Path(path)
    if target.is_dir():
        raise DeployError(f"{target} is a folder; give the name of a file in it")
    read = getattr(model, "path", model)  # of a model in memory, the file it came from
    if isinstance(read, (str, Path)):
        refuse_same(target, [Path(read)])
    write_bytes(target, to_javascript(model, **options).encode("ascii"))
    return target


# ------------------------------------------------------------------------------------ the parts


def _of_model(
    trained: TrainedModel,
    aoi: Any,
    years: int | Iterable[int] | None,
    options: dict[str, Any],
    *,
    probability: bool,
) -> _Subject:
    recipe = trained.recipe.season
    chosen = [years] if isinstance(years, int) else sorted(set(years)) if years is not None else []
    if years is not None and not chosen:
        raise DeployError("no years given; leave them out to map the recipe's")
    recipes = [recipe.replace(years=(year,)) for year in chosen] or [recipe]
    form = options["form"]
    if form == AUTO:
        form = "assets" if options["weights_asset"] is not None else "matrix"
    options = options | {"form": form, "probability": probability}
    whole = recipe.replace(years=tuple(chosen)) if chosen else recipe
    images = {}
    for each in recipes:
        name = f"water {each.years[0]}" if chosen else "water"
        images[name] = to_ee(replace(trained, recipe=each), **options)
    return _Subject(images, trained, whole, _area(trained, aoi), form, probability)


def _area(trained: TrainedModel, aoi: Any) -> BaseGeometry | None:
    if aoi is not None:
        return read_aoi(aoi)
    names = trained.record.get("cells") or ()
    cells = [cell_from_id(name, trained.recipe).polygon for name in names]
    return shapely.union_all(cells) if cells else None


def _encoded(image: ee.Image) -> dict[str, Any]:
    encoded: dict[str, Any] = ee.serializer.encode(image)
    return encoded


# ------------------------------------------------------------------------------------- the page


def _page(subject: _Subject, written: Script, calls: list[str], size: Size) -> str:
    blocks = [js.header(_header(subject, size))]
    blocks += ["\n".join(written.helpers)] if written.helpers else []
    if written.weights:
        blocks += ["// The weights of the network.\n" + "\n".join(written.weights)]
    blocks += ["// The features, the network, the map.\n" + "\n".join(written.statements)]
    blocks += ["\n".join(calls)] if calls else []
    blocks += ["\n".join(_layers(subject)), "\n".join(_export(subject))]
    return "\n\n".join(blocks) + "\n"


def _header(subject: _Subject, size: Size) -> list[str]:
    lines = [
        "A map of surface water, for the Code Editor of Google Earth Engine:",
        "paste it into https://code.earthengine.google.com and press Run.",
        "",
        f"Written by water_gee {__version__} from the expression that water_gee.to_ee() builds in",
        "Python; it sends the same one. Do not edit it by hand, write it anew.",
        "",
    ]
    if subject.model is not None and subject.recipe is not None:
        lines += [f"model   {digest_of(subject.model)}", f"recipe  {subject.recipe.digest()}"]
        fields = subject.recipe.to_dict()
        lines += [f"        {name}: {json.dumps(value)}" for name, value in fields.items()]
        lines += [f"form    {subject.form}"]
    lines += [f"size    {size.bytes:,} bytes, {size.calls:,} calls, nested {size.nesting} deep"]
    return lines


def _layers(subject: _Subject) -> list[str]:
    """Show the maps, in their own pixels."""
    lines = []
    shown = MAP
    if subject.recipe is not None:
        step = Lattice.of(subject.recipe).degrees(1)
        lines += [
            "// The network is right in the pixels that it was trained on, so it is computed in "
            "them, not in",
            "// those of the screen. From far away they are too many for one tile: zoom in, or "
            "export.",
            js.statement("crs", js.literal(subject.recipe.crs)),
            js.statement("crsTransform", js.literal([step, 0, 0, 0, -step, 0])),
        ]
        shown = f"{MAP}.reproject(crs, crsTransform)"
    if subject.area is not None:
        lines += [
            js.statement("area", _geometry(subject.area)),
            f"Map.centerObject(area, {_ZOOM});",
        ]
    if len(subject.images) > 1:
        return [*lines, *_layers_of_years(subject)]
    lines += [f"var shown = {shown};"]
    if subject.probability:
        lines += [_layer("shown", PROBABILITY_BAND, "'probability of water'", "false")]
    return [*lines, _layer("shown", WATER_BAND, "'water'", "true")]


def _layers_of_years(subject: _Subject) -> list[str]:
    """A layer for each map; only the last is shown."""
    bands = ([PROBABILITY_BAND] if subject.probability else []) + [WATER_BAND]
    lines = ["Object.keys(waterMaps).forEach(function (name) {"]
    lines += ["  var shown = waterMaps[name].reproject(crs, crsTransform);"]
    for band in bands:
        title = "name" if band == WATER_BAND else f"'{band} of ' + name"
        show = f"name === {_last(subject)}" if band == WATER_BAND else "false"
        lines += [_layer("shown", band, title, show, 2)]
    return [*lines, "});"]


def _layer(image: str, band: str, title: str, show: str, indent: int = 0) -> str:
    colors = [f"{red:02x}{green:02x}{blue:02x}" for red, green, blue, _ in
              (COLORS[LAND], COLORS[WATER])]  # fmt: skip
    seen = {"bands": [band], "min": 0, "max": 1, "palette": colors}
    code = js.call("Map.addLayer", js.Text(image), js.literal(seen), js.Text(title), js.Text(show))
    return f"{' ' * indent}{js.render(code, indent, indent, 1)};"


def _export(subject: _Subject) -> list[str]:
    """An export, commented out."""
    image: js.Code = js.Text(MAP)
    pixels: dict[str, js.Code] = {"scale": js.literal(30)}
    if subject.model is not None and subject.recipe is not None:
        recipe = subject.recipe
        if len(subject.images) > 1:
            recipe = recipe.replace(years=recipe.years[-1:])
        about = {
            "water_gee_model": digest_of(subject.model),
            "water_gee_recipe": json.dumps(recipe.to_dict(), sort_keys=True),
            "water_gee_version": __version__,
        }
        image = js.call(f"{MAP}.set", js.literal(about))
        pixels = {"crs": js.Text("crs"), "crsTransform": js.Text("crsTransform")}
    given: dict[str, js.Code] = {
        "image": image,
        "description": js.literal("water"),
        "assetId": js.literal("projects/YOUR-PROJECT/assets/water"),
        "pyramidingPolicy": js.literal({".default": "mean", WATER_BAND: "mode"}),
        "region": js.Text("area" if subject.area is not None else "geometry"),
        **pixels,
        "maxPixels": js.literal(10**10),
    }
    code = js.render(js.call("Export.image.toAsset", js.keyed(given.items())), 0, 0, 1)
    drawn = "" if subject.area is not None else "draw a rectangle on the map, "
    return [
        "// To keep the map as an asset, take the signs // away below, name your project, "
        f"{drawn}run again,",
        "// and start the task under Tasks.",
        *(f"// {line}".rstrip() for line in f"{code};".splitlines()),
    ]


def _last(subject: _Subject) -> str:
    return js.string(list(subject.images)[-1])


def _geometry(area: BaseGeometry) -> js.Code:
    west, south, east, north = (float(edge) for edge in area.bounds)
    if area.equals(shapely.box(west, south, east, north)):
        corners = js.literal([west, south, east, north])
        return js.call("ee.Geometry.Rectangle", corners, js.Text("null"), js.Text("false"))
    shape = json.loads(shapely.to_geojson(area))
    return js.call("ee.Geometry", js.literal(shape), js.Text("null"), js.Text("false"))
