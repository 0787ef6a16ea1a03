"""`water-gee deploy`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.argument("model")
@click.argument("asset_id")
@click.option("--aoi", help="Area to map; where the model was trained, if not given.")
@click.option("--years", type=options.Integers(), help="A map of each of these years.")
@click.option("--overwrite", is_flag=True, help="Replace what another model or area made there.")
@options.connection
@click.pass_obj
def deploy(
    obj: dict[str, Any], model: str, asset_id: str, aoi: str | None,
    years: tuple[int, ...] | None, overwrite: bool, project: str | None, url: str | None,
    catalog: str | None,
) -> None:  # fmt: skip
    """Map water inside Earth Engine: MODEL as an expression, exported to ASSET_ID.

    Before anything is exported, the service is asked to compute one window, which must equal what
    the network gives here.
    """
    from water_gee.deploy.export import deploy_to_gee

    options.connect(project, url, catalog)
    done = deploy_to_gee(
        model, asset_id, aoi=aoi, years=years, overwrite=overwrite, progress=obj["progress"]
    )
    for asset in done.assets:
        click.echo(asset)
