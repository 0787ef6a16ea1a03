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
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="0: any free one.")  # fmt: skip
def start(catalog: str, port: int) -> None:
    """Serve a catalogue on 127.0.0.1 until Ctrl-C."""
    from water_gee.emulator import start as serve

    with serve(catalog, port=port) as server:
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
