"""`water-gee compare`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from water_gee.cli import options
from water_gee.cli.options import Integers, Months

if TYPE_CHECKING:
    from water_gee.mapping.compare import Comparison, SampleComparison


@click.command()
@click.argument("map_path", metavar="MAP")
@click.argument("reference")
@click.option("--out", help="Write where both agree, a GeoTIFF, and OUT_scores.json.")
@click.option("--water", type=Integers(), default=(1,), help="Its values that are water; 1.")
@click.option("--land", type=Integers(), help="Its values that are land; all others.")
@click.option("--ignore", type=Integers(), default=(255,), help="Values that say nothing; 255.")
@click.option("--column", help="Of a file of points: the column with their class.")
@click.option("--years", type=Integers(), help="Of a reference by name; those of the map's recipe.")
@click.option("--months", type=Months(), help="Of dynamic-world; those of the map's recipe.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@options.connection
@click.pass_obj
def compare(
    obj: dict[str, Any],
    map_path: str,
    reference: str,
    out: str | None,
    water: tuple[int, ...],
    land: tuple[int, ...] | None,
    ignore: tuple[int, ...],
    column: str | None,
    years: tuple[int, ...] | None,
    months: tuple[int, ...] | None,
    as_json: bool,
    project: str | None,
    url: str | None,
    catalog: str | None,
) -> None:
    """Compare a water map with a reference.

    REFERENCE is a raster on any grid, a file of polygons of water, a file of points (with
    --column), or by name a map of the connected Earth Engine: jrc-yearly and jrc (Global Surface
    Water), dynamic-world.
    """
    from water_gee.mapping import compare as comparing

    options.connect(project, url, catalog)
    found: Comparison | SampleComparison
    if column is not None:
        if out is not None:
            raise click.UsageError("points give no map: leave --out or --column away")
        found = comparing.compare_points(map_path, reference, column=column)
    else:
        found = comparing.compare(
            map_path,
            reference,
            out,
            water=water,
            land=land,
            ignore=ignore,
            years=years,
            months=months,
            progress=obj["progress"],
        )
    plain = found.to_dict()
    click.echo(json.dumps(plain, indent=2) if as_json else _lines(plain))


def _lines(plain: dict[str, Any]) -> str:
    """Figures, a line each, with their intervals."""
    intervals = plain.pop("intervals_95", {})
    width = max(map(len, plain))
    lines = []
    for name, value in plain.items():
        if value is None:
            shown = "-"
        else:
            shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        if name in intervals:
            shown += "  (95%: {:.4f} to {:.4f})".format(*intervals[name])
        lines.append(f"{name:<{width}}  {shown}")
    return "\n".join(lines)
