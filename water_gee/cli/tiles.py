"""`water-gee tiles`: status, verify, repair, map."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from water_gee.cli import options
from water_gee.errors import StoreError

_LISTED = 20
"""Broken files or failures that are named."""


@click.group()
def tiles() -> None:
    """Look at the tiles of a store: how far it is, whether it is sound; and mend it."""


@tiles.command()
@options.store("Folder of the tiles.")
def status(store: str) -> None:
    """Count the tiles; while a download runs, its speed and the time left."""
    from water_gee.imagery import upkeep
    from water_gee.imagery.store import TileStore

    with TileStore.open(store) as opened:
        found = upkeep.status(opened)
        failures = opened.manifest.failures()
    size = f"{found.bytes / 1e9:.1f} GB" if found.bytes >= 1e8 else f"{found.bytes / 1e6:.1f} MB"
    click.echo(
        f"{found.done + found.empty} tiles, {found.empty} of them without one observed pixel, "
        f"{found.failed} failed; {size}"
    )
    for order in found.orders:
        said = "running" if order.running else "complete" if order.ended else "not complete"
        click.echo(
            f"download of {order.began}, {said}: {order.there + order.fetched} of {order.cells} "
            f"tiles, {order.fetched} of them fetched by it"
        )
    if found.per_second is not None:
        left = "unknown" if found.seconds_left is None else _duration(found.seconds_left)
        click.echo(f"{found.per_second:.2f} tiles/s, time left: {left}")
    for failure in failures[:_LISTED]:
        click.echo(f"failed {failure.times} time(s): {failure.cell}: {failure.error}")
    _and_more(len(failures))


@tiles.command()
@options.store("Folder of the tiles.")
def verify(store: str) -> None:
    """Read every file again and compare it with what was written; exit 1 if one differs."""
    from water_gee.imagery import upkeep
    from water_gee.imagery.store import TileStore

    with TileStore.open(store) as opened:
        found = upkeep.verify(opened)
    for each in found.broken[:_LISTED]:
        click.echo(f"{each.fault}: {each.folder}/{each.cell}.tif")
    _and_more(len(found.broken))
    unknown = f", {found.unknown} of them without digests: read only" if found.unknown else ""
    cells = len({each.cell for each in found.broken})
    if cells:
        raise StoreError(
            f"{cells} of {found.tiles} tiles are not what was written{unknown}; "
            f"`water-gee tiles repair --store {store}` fetches them again"
        )
    click.echo(f"{found.tiles} tiles{unknown}; all sound")


@tiles.command()
@options.store("Folder of the tiles.")
@click.option("--threads", type=click.IntRange(1, 40), default=40, show_default=True,
              help="Tiles fetched at the same time, at most.")  # fmt: skip
@options.connection
@click.pass_obj
def repair(
    obj: dict[str, Any], /, store: str, threads: int,
    project: str | None, url: str | None, catalog: str | None,
) -> None:  # fmt: skip
    """Fetch again what is missing or broken, and what failed."""
    from water_gee.imagery import upkeep
    from water_gee.imagery.store import TileStore

    with TileStore.open(store) as there:
        recipe = there.recipe
    options.connect(project, url, catalog)
    with TileStore.open(store, recipe, create=True) as opened:
        fetched = upkeep.repair(opened, threads, progress=obj["progress"])
    click.echo(f"{fetched} tiles fetched" if fetched else "nothing to mend")


@tiles.command(name="map")
@options.store("Folder of the tiles.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="A picture (.png) or a GeoPackage (.gpkg).")  # fmt: skip
def draw(store: str, out: Path) -> None:
    """Draw the cells, coloured by what became of them."""
    from water_gee.imagery.gridmap import write_grid
    from water_gee.imagery.store import TileStore

    with TileStore.open(store) as opened:
        counts = write_grid(opened, out)
    said = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    click.echo(f"{out}: {said}")


def _and_more(number: int) -> None:
    if number > _LISTED:
        click.echo(f"... and {number - _LISTED} more")


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
