"""`water-gee emit`."""

from __future__ import annotations

import click

from water_gee.cli import options

FORMS = ("auto", "kernels", "matrix", "assets")


@click.command()
@click.argument("model")
@click.option("--out", required=True, help="The script to write, for example water.js.")
@click.option("--aoi", help="Where to look; where the model was trained, if not given.")
@click.option("--years", type=options.Integers(), help="A map of each of these years.")
@click.option("--recipe", help="TOML file: how the features of a bare network are made.")
@click.option("--form", type=click.Choice(FORMS), default="auto", show_default=True,
              help="How the network is written; matrix is the shortest script.")  # fmt: skip
@click.option("--digits", type=click.IntRange(1, 9), help="Of the weights; exact if not given.")
@click.option("--weights-asset", help="For --form assets: the asset that holds the weights.")
@click.option("--no-probability", is_flag=True, help="Show the classes alone.")
@options.connection
def emit(
    model: str, out: str, aoi: str | None, years: tuple[int, ...] | None,
    recipe: str | None, form: str, digits: int | None, weights_asset: str | None,
    no_probability: bool, project: str | None, url: str | None, catalog: str | None,
) -> None:  # fmt: skip
    """Write MODEL as a script for the Code Editor of Google Earth Engine.

    The script shows the map that `deploy` exports. No account and no service are needed to write
    it, unless the weights come from an asset.
    """
    from water_gee.deploy.javascript import write_javascript

    options.connect(project, url, catalog)
    own = options.recipe_fields(recipe) if recipe else {}
    path = write_javascript(
        model, out, aoi=aoi, years=years, form=form, digits=digits, weights_asset=weights_asset,
        probability=not no_probability, recipe=options.make_recipe(own),
    )  # fmt: skip
    click.echo(path)
