"""`water-gee labels`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@options.store("Folder of the tiles.")
@options.seed
@click.pass_obj
def labels(obj: dict[str, Any], store: str, seed: int) -> None:
    """Correct the noisy QA labels of tiles."""
    from water_gee.training.labels import denoise_labels

    denoise_labels(store, seed=seed, progress=obj["progress"])
    click.echo(f"{store}: labels corrected")
