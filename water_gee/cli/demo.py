"""`water-gee demo`."""

from __future__ import annotations

import json
import re
from typing import Any

import click


class Cells(click.ParamType[tuple[int, int]]):
    """`3x3`: rows and columns."""

    name = "rowsxcols"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", str(value))
        if match is None:
            self.fail(f"{value!r} is not like 3x3", param, ctx)
        return int(match[1]), int(match[2])


@click.command()
@click.option("--out", default="water_gee_demo", show_default=True, help="Folder of results.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Of the season and everything else.")  # fmt: skip
@click.option("--cells", type=Cells(), default="3x3", show_default=True, help="Size of the area.")
@click.option(
    "--regime",
    help="Make only one kind of label error, in a world full of it; a wrong name lists them all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.pass_obj
def demo(
    obj: dict[str, Any],
    out: str,
    seed: int,
    cells: tuple[int, int],
    regime: str | None,
    as_json: bool,
) -> None:
    """Run the whole job on a synthetic season with known water.

    No account and no data needed. Prints how well labels, indices, the map and the best possible
    network agree with the truth.
    """
    from water_gee.demo.run import run_demo

    progress = obj["progress"] and not as_json
    result = run_demo(out, seed=seed, cells=cells, regime=regime, progress=progress)
    click.echo(json.dumps(result.to_dict()) if as_json else result.table())
