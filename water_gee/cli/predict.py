"""`water-gee predict`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.argument("source", nargs=-1)
@click.option("--model", required=True, help="The .keras file of a trained model.")
@click.option("--out", required=True, help="The map, a GeoTIFF.")
@click.option("--probability", is_flag=True, help="Also write OUT_probability.tif.")
@click.pass_obj
def predict(
    obj: dict[str, Any], source: tuple[str, ...], model: str, out: str, probability: bool
) -> None:
    """Map water with a trained model.

    SOURCE is a folder of tiles (./water_gee_tiles if not given), or GeoTIFFs with the model's
    features. The map has 0 land, 1 water, 255 not observed.
    """
    from water_gee.mapping.predict import predict as write_map

    if not source:
        what: str | list[str] = options.DEFAULT_STORE
    else:
        what = source[0] if len(source) == 1 else list(source)
    path = write_map(model, what, out, probability=probability, progress=obj["progress"])
    click.echo(f"{path}")
