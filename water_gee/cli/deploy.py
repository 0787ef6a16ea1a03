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
@click.option("--recipe", help="TOML file: how the features of a bare network are made.")
@click.option(
    "--if-exists",
    type=click.Choice(["fail", "skip", "overwrite"]),
    default="fail",
    show_default=True,
    help="What to do about maps of another model or area.",
)
@click.option(
    "--form",
    type=click.Choice(["auto", "kernels", "matrix", "assets"]),
    default="auto",
    show_default=True,
    help="How the network is written.",
)
@click.option("--digits", type=click.IntRange(1, 9), help="Round the weights to so many digits.")
@click.option("--no-probability", is_flag=True, help="Only the band of classes.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=100_000_000,
    show_default=True,
    help="Most pixels of one export.",
)
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Tasks for one map at most.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 3000),
    default=500,
    show_default=True,
    help="Tasks waiting or running at once.",
)
@click.option(
    "--reader",
    "readers",
    multiple=True,
    metavar="WHO",
    help="Who may look: user:NAME@HOST, allUsers, ...; may be given again.",
)
@click.option("--no-wait", is_flag=True, help="Start the tasks and leave; see `water-gee tasks`.")
@click.option("--dry-run", is_flag=True, help="Print the plan, and ask the service nothing.")
@options.connection
@click.pass_obj
def deploy(
    obj: dict[str, Any], model: str, asset_id: str, aoi: str | None,
    years: tuple[int, ...] | None, recipe: str | None, if_exists: Any, form: str,
    digits: int | None, no_probability: bool, max_pixels: int, attempts: int, in_flight: int,
    readers: tuple[str, ...], no_wait: bool, dry_run: bool, project: str | None, url: str | None,
    catalog: str | None,
) -> None:  # fmt: skip
    """Map water inside Earth Engine: MODEL as an expression, exported to ASSET_ID.

    Before anything is exported, the service is asked to compute one window, which must equal what
    the network gives here. Stopped or killed, the same command goes on where it was, and so does
    `water-gee tasks --resume`.
    """
    network: dict[str, Any] = {"form": form, "digits": digits, "probability": not no_probability}
    if recipe is not None:
        network["recipe"] = options.make_recipe(options.recipe_fields(recipe))
    if dry_run:
        from water_gee.deploy.plan import plan_deployment
        from water_gee.deploy.sharing import check_readers

        check_readers(readers)
        plan = plan_deployment(
            model, asset_id, aoi=aoi, years=years, max_pixels=max_pixels, **network
        )
        click.echo(plan.table())
        return
    from water_gee.deploy.export import deploy_to_gee

    options.connect(project, url, catalog)
    done = deploy_to_gee(
        model, asset_id, aoi=aoi, years=years, if_exists=if_exists, max_pixels=max_pixels,
        attempts=attempts, in_flight=in_flight, readers=readers, wait=not no_wait,
        progress=obj["progress"], **network,
    )  # fmt: skip
    for asset in done.assets:
        click.echo(asset)
    if obj["progress"]:
        click.echo(done.summary, err=True)
