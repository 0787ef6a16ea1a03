"""`water-gee series`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from water_gee.cli.options import Measure


@click.command()
@click.argument("maps", nargs=-1, required=True, metavar="[YEAR=]MAP...")
@click.option("--out", required=True, help="The folder for tables, maps and plots.")
@click.option("--compare", "pairs", multiple=True, metavar="A:B",
              help="Such as 2018:2020; the first and the last if not given.")  # fmt: skip
@click.option("--steps", is_flag=True, help="Compare each map with the next.")
@click.option("--minimum", type=Measure("area"), default="2500m2", show_default=True,
              help="Smallest polygon of gain or loss: 2500m2, 0.25ha.")  # fmt: skip
@click.option("--no-plots", is_flag=True, help="Draw no pictures.")
@click.pass_obj
def series(
    obj: dict[str, Any],
    maps: tuple[str, ...],
    out: str,
    pairs: tuple[str, ...],
    steps: bool,
    minimum: tuple[float, str],
    no_plots: bool,
) -> None:
    """Compare maps of several years, or months.

    MAP is a water map; its year, or month (2020-07), stands before it or in its name: 2018=a.tif,
    water_2019.tif. All lie on one grid. Writes areas.csv and changes.csv, maps of change,
    occurrence and (of months) seasonality, polygons of gain and loss, and plots.
    """
    from water_gee.mapping.series import series as write_series

    if steps and pairs:
        raise click.UsageError("give --steps or --compare, not both")
    chosen = [_pair(text) for text in pairs]
    done = write_series(
        [_dated(text) for text in maps],
        out,
        pairs=chosen or ("steps" if steps else "ends"),
        minimum_m2=minimum[0],
        plots=not no_plots,
        progress=obj["progress"],
    )
    click.echo(f"{done.out}")
    if obj["progress"]:
        for row in done.rows:
            click.echo(
                f"{row['period']}  {row['water_km2']:12.3f} km² of water, "
                f"{100 * row['observed_share']:6.2f} % observed",
                err=True,
            )
        for row in done.change_rows:
            click.echo(
                f"{row['from']} to {row['to']}: gain {row['gain_km2']:.3f} km², "
                f"loss {row['loss_km2']:.3f} km², "
                f"not comparable {row['not_comparable_km2']:.3f} km²",
                err=True,
            )


def _dated(text: str) -> tuple[str, str]:
    """The period and the path of `2018=map.tif` or `map_2018.tif`."""
    from water_gee.mapping.periods import Period

    before, equals, after = text.partition("=")
    if equals and not Path(text).exists():
        return before, after
    period = Period.in_name(Path(text).name)
    if period is None:
        raise click.UsageError(
            f"{text}: its name does not say one year; write it as 2020={text}, or 2020-07={text}"
        )
    return str(period), text


def _pair(text: str) -> tuple[str, str]:
    first, colon, last = text.partition(":")
    if not colon:
        raise click.UsageError(f"--compare {text}: write two periods as 2018:2020")
    return first, last
