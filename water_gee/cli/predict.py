"""`water-gee predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from water_gee.cli import options

if TYPE_CHECKING:
    from water_gee.session import Session


@click.command()
@click.argument("source", nargs=-1)
@click.option("--model", required=True, help="The .keras file of a trained model.")
@click.option("--out", required=True, help="The map, a GeoTIFF; a folder for several scenes.")
@click.option("--probability", is_flag=True, help="Also write OUT_probability.tif.")
@click.option("--aoi", help="Area to compose, where Earth Engine composes the features.")
@click.option("--years", type=options.Integers(), help="Other years than the model's, there.")
@click.option("--dask", metavar="ADDRESS", help="Map on the workers of this Dask scheduler.")
@options.connection
@click.pass_obj
def predict(
    obj: dict[str, Any], source: tuple[str, ...], model: str, out: str, probability: bool,
    aoi: str | None, years: tuple[int, ...] | None, dask: str | None, project: str | None,
    url: str | None, catalog: str | None,
) -> None:  # fmt: skip
    """Map water with a trained model.

    SOURCE is a folder of tiles (./water_gee_tiles if not given); GeoTIFFs with the features of the
    model, on one grid for one map, or of any grids where OUT is a folder; or the folder of a
    catalogue. With --catalog, --url or --project, Earth Engine composes the features of the area.

    The map has 0 land, 1 water, 255 not observed. What was killed, the same command goes on with.
    """
    from water_gee.mapping.predict import predict as write_map

    chosen = _source(source, project, url, catalog)
    path = write_map(
        model,
        chosen,
        out,
        probability=probability,
        aoi=aoi,
        years=years,
        dask=dask,
        progress=obj["progress"],
    )
    if path.is_dir():
        click.echo(f"{path / 'maps.csv'}")
    else:
        click.echo(f"{path}")


def _source(
    source: tuple[str, ...], project: str | None, url: str | None, catalog: str | None
) -> Session | str | list[str]:
    """What to map: files, a store, or a service."""
    if project or url or catalog:
        if source:
            raise click.UsageError(
                "give SOURCE, or one of --catalog, --url and --project, not both"
            )
        from water_gee import session

        return session.connect(project=project, url=url, catalog=catalog)
    if len(source) > 1:
        return list(source)
    return next(iter(source), options.DEFAULT_STORE)
