"""`water-gee tasks`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.argument("asset_id", required=False)
@click.option("--all", "all_tasks", is_flag=True, help="List the maps that stand, too.")
@click.option("--watch", is_flag=True, help="Wait until no task waits or runs.")
@click.option("--resume", is_flag=True, help="Go on with what is not finished, and wait for it.")
@click.option("--cancel", is_flag=True, help="Cancel what waits or runs; maps that stand stay.")
@options.connection
@click.pass_obj
def tasks(
    obj: dict[str, Any], asset_id: str | None, all_tasks: bool, watch: bool, resume: bool,
    cancel: bool, project: str | None, url: str | None, catalog: str | None,
) -> None:  # fmt: skip
    """List the deployments begun on this machine, or that of ASSET_ID, and their tasks.

    Their record is $WATER_GEE_TASKS, or water_gee/tasks.sqlite in the user's state folder.
    """
    if watch + resume + cancel > 1:
        raise click.UsageError("give one of --watch, --resume and --cancel")
    from water_gee.deploy import overview

    options.connect(project, url, catalog)
    if cancel:
        click.echo(f"{overview.cancel(asset_id)} task(s) cancelled", err=True)
    if resume:
        resumed = overview.resume(asset_id, progress=obj["progress"])
        for done in resumed:
            click.echo(done.summary)
        if not resumed:
            click.echo("nothing is unfinished", err=True)
        return
    found = (
        overview.watch(asset_id, progress=obj["progress"])
        if watch
        else overview.overviews(asset_id)
    )
    if not found:
        click.echo("no deployment was begun on this machine for this project", err=True)
    for each in found:
        for line in each.lines(all_tasks=all_tasks):
            click.echo(line)
