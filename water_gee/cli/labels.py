"""`water-gee labels`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@options.store("Folder of the tiles.")
@click.option("--method", default="evidence", show_default=True,
              help="evidence, or seed: the published method.")  # fmt: skip
@options.seed
@click.pass_obj
def labels(obj: dict[str, Any], store: str, method: str, seed: int) -> None:
    """Correct the noisy QA labels of tiles."""
    from water_gee.training.labels import denoise_labels

    record = denoise_labels(store, method=method, seed=seed, progress=obj["progress"])
    click.echo(f"{store}: labels of {len(record['cells'])} tile(s) corrected")
    for name, why in record["untrusted"].items():
        click.echo(f"not to be trusted: {name}: {why}")
