"""`water-gee run`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.option(
    "--aoi",
    help="WEST,SOUTH,EAST,NORTH, a vector file, wrs:PATH/ROW or ee:TABLE.",
)
@click.option("--scenes", multiple=True, metavar="PATH...",
              help="Landsat scenes to ingest first: folders, archives, GeoTIFFs.")  # fmt: skip
@click.argument("more_scenes", nargs=-1, metavar="")
@click.option("--out", help="Folder of results.")
@options.recipe
@click.option("--dem", help="Elevation in metres: a GeoTIFF, an asset id, or none.")
@click.option("--asset-id", help="Where to deploy; projects/PROJECT/assets/OUT if not given.")
@click.option("--seed", type=click.IntRange(min=0), help="Of everything random.  [default: 0]")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many of training.")
@click.option("--threads", type=click.IntRange(1, 40),
              help="Tiles fetched at the same time.  [default: 8]")  # fmt: skip
@click.option("--deploy/--no-deploy", default=None, help="Whether to deploy.  [default: deploy]")
@click.option("--config", help="TOML file with any of these; options beat it.")
@options.connection
@click.pass_context
def run(
    ctx: click.Context, /, aoi: str | None, scenes: tuple[str, ...], more_scenes: tuple[str, ...],
    recipe: str | None, sensors: tuple[str, ...] | None, years: tuple[int, ...] | None,
    months: tuple[int, ...] | None, min_clear: int | None, max_cloud: float | None, **given: Any,
) -> None:  # fmt: skip
    """Do the whole job: tiles, labels, network, maps, deployment, report.

    From an area (--aoi), or from Landsat scenes on disk (--scenes). What stands is not done again:
    after a stop of any kind the same command goes on.
    """
    from water_gee import workflow

    if more_scenes and not scenes:
        raise click.UsageError(f"unexpected {more_scenes[0]!r}; scenes follow --scenes", ctx)
    fields = options.recipe_fields(
        recipe, sensors, years, months, min_clear=min_clear, max_cloud=max_cloud
    )
    done = workflow.run(
        aoi=aoi,
        scenes=[*scenes, *more_scenes] or None,
        recipe=fields or None,
        progress=ctx.obj["progress"],
        **given,
    )
    click.echo(f"map       {done.map}")
    click.echo(f"polygons  {done.polygons}")
    click.echo(f"model     {done.model}")
    click.echo(f"report    {done.report}")
    for asset in done.assets:
        click.echo(f"asset     {asset}")
