"""`water-gee emulator`: serve a catalogue, and fill it."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import click

from water_gee._version import __version__


@click.group()
def emulator() -> None:
    """The Earth Engine emulator: a server on this machine, without an account."""


@emulator.command()
@click.option("--catalog", required=True, help="Folder of assets.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one."
)
@click.option(
    "--fail-tasks",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Let this share of the tasks fail, 0 to 1, with the service's own messages.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, help="Of which tasks and requests fail."
)
@click.option(
    "--fail-message",
    "messages",
    multiple=True,
    metavar="TEXT",
    help="What failing tasks say [Internal error.]; may be given again.",
)
@click.option(
    "--deny",
    multiple=True,
    metavar="PROJECT",
    help="A project of somebody else, such as projects/other; may be given again.",
)
@click.option(
    "--max-queued", type=click.IntRange(min=1), default=None, help="Tasks that may wait [3000]."
)
@click.option("--storage", type=click.IntRange(min=0), default=None, metavar="BYTES",
              help="Bytes that all assets may take.")  # fmt: skip
@click.option(
    "--faults",
    "request_faults",
    metavar="NAME=VALUE,...",
    help="Of requests for data: latency=SECONDS, and shares from 0 to 1 of those refused with 429, "
    "answered with a server error (5xx), cut off (truncate), never answered (hang), or whose "
    "connection is reset (reset).",
)
@click.option(
    "--slots",
    type=click.IntRange(min=1),
    default=None,
    help="Requests for data at once [no limit].",
)
@click.option(
    "--canned", is_flag=True, help="Compute pixels once for each kind of request, wherever it is."
)
def start(
    catalog: str, port: int, fail_tasks: float, seed: int, messages: tuple[str, ...],
    deny: tuple[str, ...], max_queued: int | None, storage: int | None,
    request_faults: str | None, slots: int | None, canned: bool,
) -> None:  # fmt: skip
    """Serve a catalogue on 127.0.0.1 until Ctrl-C.

    With options for what goes wrong at the real service now and then, so that a client can be tried
    against it.
    """
    from water_gee.emulator import Faults, RequestFaults
    from water_gee.emulator import start as serve

    usual = Faults()
    faults = Faults(
        task_failure=fail_tasks,
        seed=seed,
        messages=messages or usual.messages,
        denied=deny,
        max_queued=max_queued or usual.max_queued,
        storage=storage,
        requests=RequestFaults.parse(request_faults),
        slots=slots,
        canned=canned,
    )
    with serve(catalog, port=port, faults=faults) as server:
        click.echo(json.dumps({"url": server.url}))
        click.echo(f'water_gee {__version__}: water_gee.connect(url="{server.url}")', err=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            click.echo("stopped", err=True)


@emulator.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--catalog", required=True, help="Folder of assets; made where there is none.")
@click.option("--id", "asset_id", help="Asset id of a plain GeoTIFF.")
@click.option("--dem", is_flag=True, help="The files are elevation in metres.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE",
              help="Set on every image; may be given again.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--with-parent", is_flag=True, hidden=True)
def ingest(
    paths: tuple[str, ...], catalog: str, asset_id: str | None, dem: bool,
    properties: tuple[str, ...], as_json: bool, with_parent: bool,
) -> None:  # fmt: skip
    """Put Landsat scenes and GeoTIFFs into a catalogue.

    PATH is a scene as USGS ships it (folder, tar or MTL file), or a GeoTIFF (with --id or --dem).
    """
    if with_parent:
        _end_with_parent()
    from water_gee.emulator.ingest import ingest as put

    assets = put(catalog, paths, asset_id=asset_id, properties=_parsed(properties) or None, dem=dem)
    if as_json:
        click.echo(json.dumps({"assets": assets}))
    else:
        for asset in assets:
            click.echo(asset)


def _parsed(properties: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` pairs; a value that is a JSON number is one."""
    found: dict[str, Any] = {}
    for pair in properties:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not like NAME=VALUE", param_hint="--property")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found[name] = value if isinstance(value, int | float | str) else text
    return found


def _end_with_parent() -> None:
    """End this process when its standard input closes, as it does however the parent ends."""

    def watch() -> None:
        # Not through sys.stdin: its lock would be held when the interpreter ends.
        while os.read(0, 1 << 16):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
