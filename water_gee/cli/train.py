"""`water-gee train`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@options.store("Folder of the tiles.")
@click.option("--out", help="The model's file; STORE/model.keras if not given.")
@click.option("--labels", default="corrected", show_default=True,
              help="corrected (made first if there are none), qa, or a folder.")  # fmt: skip
@options.seed
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many.")
@click.pass_obj
def train(
    obj: dict[str, Any], store: str, out: str | None, labels: str, seed: int, epochs: int | None
) -> None:
    """Train the network on tiles."""
    from water_gee.training.fit import train as fit

    more = {} if epochs is None else {"epochs": epochs}
    trained = fit(store, out=out, labels=labels, seed=seed, progress=obj["progress"], **more)
    click.echo(f"{trained.path}")
