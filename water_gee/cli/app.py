"""`water-gee`: the group of commands, and how it ends when something is wrong."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, NoReturn

import click

from water_gee._version import __version__
from water_gee.cli import failures
from water_gee.cli.compare import compare
from water_gee.cli.demo import demo
from water_gee.cli.deploy import deploy
from water_gee.cli.download import download
from water_gee.cli.emit import emit
from water_gee.cli.emulator import emulator
from water_gee.cli.evaluate import evaluate
from water_gee.cli.labels import labels
from water_gee.cli.points import points
from water_gee.cli.polygons import polygons
from water_gee.cli.predict import predict
from water_gee.cli.run import run
from water_gee.cli.series import series
from water_gee.cli.tasks import tasks
from water_gee.cli.tiles import tiles
from water_gee.cli.train import train

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMANDS = (
    download,
    tiles,
    labels,
    train,
    predict,
    polygons,
    series,
    compare,
    points,
    evaluate,
    deploy,
    tasks,
    emit,
    run,
    demo,
    emulator,
)
"""In the order in which they are used, and listed."""


class InOrder(click.Group):
    """A group that lists its commands in the order they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in order."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Errors are one line; --debug, before the command, shows where they come from.",
)
@click.version_option(__version__, prog_name="water-gee", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and results.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Surface water: from an area on the map to a trained network and water maps.

    Runs against Google Earth Engine (--project), or without an account against the emulator that
    comes with it (--catalog, or ./catalog).
    """
    ctx.obj = {"debug": debug, "progress": not quiet}
    failures.listen(quiet)


for _command in COMMANDS:
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0, 1 for a refusal, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in _before_the_command(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = failures.show_warning
        status = _status(arguments, debug)
    _flush()
    sys.exit(status)


def _status(arguments: list[str], debug: bool) -> int:
    try:
        ended = cli.main(args=arguments, prog_name="water-gee", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the last one who could say it in a line
        status, line = failures.explain(error)
        if debug and not isinstance(error, click.ClickException | click.exceptions.Exit):
            traceback.print_exc()
        if line:
            click.echo(f"water-gee: {line}", err=True)
        return status
    return ended if isinstance(ended, int) else 0


def _before_the_command(arguments: Iterable[str]) -> list[str]:
    found = []
    for argument in arguments:
        if not argument.startswith("-"):
            break
        found.append(argument)
    return found


def _flush() -> None:
    """Write out what is written, unless the reader has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
