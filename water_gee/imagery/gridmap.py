"""A picture, or a layer for a GIS, of a store's cells, coloured by what became of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from water_gee.errors import StoreError
from water_gee.files import atomic
from water_gee.imagery.grid import cell_from_id, place_of
from water_gee.imagery.upkeep import missing_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from water_gee.imagery.store import TileStore

STATES = {
    "done": "#1f78b4",
    "empty": "#bdbdbd",
    "failed": "#d7301f",
    "missing": "#ffffff",
}
"""What a cell can be, in the order of the legend, and its colour; other ones than red and green."""

SUFFIXES = (".png", ".gpkg")

_INCHES, _DPI = 9.0, 120


def write_grid(store: TileStore, out: Path | str) -> dict[str, int]:
    """Draw the cells of a store.

    Args:
        store: Its tiles, those that failed, and those that downloads into it have yet to bring.
        out: A picture (`.png`), or a GeoPackage (`.gpkg`) with layer `tiles`: `cell`, `state`,
            `water_share`, `observed_share`, `attempts`, `error`.

    Returns:
        State -> tiles.

    Raises:
        StoreError: Another ending, or nothing to draw.
        RasterError: The disk is full, or the folder cannot be written.
    """
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES:
        raise StoreError(f"{path}: a map of the tiles is a {' or a '.join(SUFFIXES)}")
    rows = list(_rows(store))
    if not rows:
        raise StoreError(f"{store.path} holds no tile yet, and nothing was asked for")
    if path.suffix.lower() == ".gpkg":
        _write_layer(rows, path)
    else:
        _write_picture(rows, path)
    return {state: sum(row["state"] == state for row in rows) for state in STATES}


def _rows(store: TileStore) -> Iterator[dict[str, Any]]:
    for row in store.rows():
        yield {
            "cell": row.cell,
            "state": row.state,
            "water_share": row.water / row.valid if row.valid else None,
            "observed_share": row.valid / row.pixels,
            "attempts": row.attempts,
            "error": None,
            "geometry": cell_from_id(row.cell, store.recipe).polygon,
        }
    failures = {failure.cell: failure.error for failure in store.manifest.failures()}
    others = {cell.id: "missing" for cell in missing_cells(store)} | dict.fromkeys(
        failures, "failed"
    )
    for cell, state in others.items():
        yield {
            "cell": cell,
            "state": state,
            "water_share": None,
            "observed_share": None,
            "attempts": None,
            "error": failures.get(cell),
            "geometry": cell_from_id(cell, store.recipe).polygon,
        }


def _write_layer(rows: list[dict[str, Any]], path: Path) -> None:
    import geopandas as gpd

    table = gpd.GeoDataFrame(rows, crs="EPSG:4326")
    with atomic(path) as temporary:
        # GDAL knows the format by the ending.
        named = temporary.with_suffix(".gpkg")
        if not path.parent.is_dir():
            raise FileNotFoundError(path.parent)
        try:
            table.to_file(named, layer="tiles", driver="GPKG", engine="pyogrio")
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)


def _write_picture(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    worst = {state: rank for rank, state in enumerate(("empty", "done", "missing", "failed"))}
    shown: dict[str, dict[str, Any]] = {}
    for row in rows:  # of several scenes of a place, the worst is what matters
        place = place_of(row["cell"])
        if place not in shown or worst[row["state"]] > worst[shown[place]["state"]]:
            shown[place] = row
    counts = {state: sum(row["state"] == state for row in rows) for state in STATES}
    boxes = [list(row["geometry"].exterior.coords)[:4] for row in shown.values()]
    figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.add_collection(
        PolyCollection(
            boxes,
            facecolors=[STATES[row["state"]] for row in shown.values()],
            edgecolors="#525252",
            linewidths=0.4 if len(boxes) < 5000 else 0.0,
        )
    )
    axes.autoscale_view()
    south, north = axes.get_ylim()
    middle = abs(south + north) / 2
    axes.set_aspect(1.0 / max(math.cos(math.radians(middle)), 0.05))
    axes.set_xlabel("longitude, degrees east")
    axes.set_ylabel("latitude, degrees north")
    axes.set_title(f"{len(rows)} tiles")
    axes.legend(
        handles=[
            Patch(facecolor=STATES[state], edgecolor="#525252", label=f"{state}: {number}")
            for state, number in counts.items()
            if number
        ],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
    )
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
