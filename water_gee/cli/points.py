"""`water-gee points`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli import options


@click.command()
@click.argument("map_path", metavar="MAP")
@click.option("--out", required=True, metavar="FILE.gpkg", help="The points, a GeoPackage.")
@click.option("--number", "-n", type=click.IntRange(min=1), default=500, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--near-shore", type=click.FloatRange(0, 100), default=0, metavar="PIXELS",
              help="Make land and water so near the map's shore strata of their own.")  # fmt: skip
@click.option("--minimum", type=click.IntRange(min=2),
              help="Points of each stratum at least; 50, or fewer of few.")  # fmt: skip
@click.option("--show-class", is_flag=True, help="Write the map's class beside each point.")
@options.seed
@click.pass_obj
def points(
    obj: dict[str, Any],
    map_path: str,
    out: str,
    number: int,
    near_shore: float,
    minimum: int | None,
    show_class: bool,
    seed: int,
) -> None:
    """Draw points of a map for people to label.

    Points are drawn at random within the map's land and water. Fill in their column `reference`
    (water or land) in a GIS; then `water-gee evaluate MAP --points FILE.gpkg` gives the map's
    accuracy and the area of water, with standard errors.
    """
    from water_gee.mapping.points import draw_points

    drawn = draw_points(
        map_path,
        out,
        number=number,
        near_shore=near_shore,
        minimum=minimum,
        show_class=show_class,
        seed=seed,
        progress=obj["progress"],
    )
    click.echo(f"{drawn.path}")
    if obj["progress"]:
        for stratum, count in drawn.points.items():
            click.echo(
                f"{count} points in {drawn.areas_km2[stratum]:.3f} km² of {stratum}", err=True
            )
