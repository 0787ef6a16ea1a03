"""`water-gee download`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.argument("aoi")
@options.store("Folder for the tiles.")
@options.recipe
@click.option("--dem", help="Asset id of the elevation model, or none.")
@click.option(
    "--composite",
    type=click.Choice(["median", "mean", "scene"]),
    help="Of the season's clear observations, or a tile for each acquisition.",
)
@click.option(
    "--harmonize",
    type=click.Choice(["ols", "rma", "none"]),
    help="Bring TM and ETM+ to OLI by a regression of Roy et al. 2016.",
)
@click.option("--threads", type=click.IntRange(1, 40), default=40, show_default=True,
              help="Tiles fetched at the same time, at most.")  # fmt: skip
@options.connection
@click.pass_obj
def download(
    obj: dict[str, Any], /, aoi: str, store: str, threads: int, dem: str | None,
    composite: str | None, harmonize: str | None,
    project: str | None, url: str | None, catalog: str | None, **fields: Any,
) -> None:  # fmt: skip
    """Bring an area home as feature tiles with noisy labels, and what to judge these by.

    AOI is WEST,SOUTH,EAST,NORTH in degrees, a GeoJSON, Shapefile (also zipped), GeoPackage, KML or
    KMZ, wrs:PATH/ROW of Landsat, or ee:TABLE, a table in Earth Engine.
    """
    from water_gee.imagery.download import download_tiles

    given = {"composite": composite, "harmonize": harmonize}
    chosen = options.recipe_fields(**fields, dem=dem)
    chosen |= {name: value for name, value in given.items() if value is not None}
    recipe = options.make_recipe(chosen)
    options.connect(project, url, catalog)
    with download_tiles(
        aoi, store=store, recipe=recipe, threads=threads, progress=obj["progress"]
    ) as tiles:
        counts = tiles.manifest.counts()
    done, empty = counts["done"], counts["empty"]
    click.echo(f"{tiles.path}: {done + empty} tiles, {empty} of them without one observed pixel")
