"""`water-gee polygons`."""

from __future__ import annotations

from typing import Any

import click

from water_gee.cli.options import Measure


@click.command()
@click.argument("map_path", metavar="MAP")
@click.option("--out", help="The GeoPackage; MAP with the ending .gpkg if not given.")
@click.option("--minimum", type=Measure("area"), default="2500m2", show_default=True,
              help="Smallest body kept: 2500m2, 0.25ha, 0.01km2.")  # fmt: skip
@click.option("--simplify", type=Measure("length"), default="1.5px", show_default=True,
              help="How far shores may be moved: 1.5px, 30m; 0px: nothing.")  # fmt: skip
@click.option("--probability", help="Probability of water; that beside MAP if not given.")
@click.pass_obj
def polygons(
    obj: dict[str, Any],
    map_path: str,
    out: str | None,
    minimum: tuple[float, str],
    simplify: tuple[float, str],
    probability: str | None,
) -> None:
    """Turn the water of a map into polygons of rivers and lakes.

    The GeoPackage has a row for each body, with its kind, area and its standard deviation (m²),
    perimeter, width and length (m), and whether the map's edge or pixels not observed cut it. It
    opens in QGIS with its colours.
    """
    from pathlib import Path

    from water_gee.mapping.vectors import polygons as write_polygons

    size, unit = simplify
    done = write_polygons(
        map_path,
        out if out is not None else Path(map_path).with_suffix(".gpkg"),
        minimum_m2=minimum[0],
        tolerance=size if unit == "px" else 0.0,
        tolerance_m=size if unit == "m" else None,
        probability=probability if probability is not None else True,
        progress=obj["progress"],
    )
    click.echo(f"{done.path}")
    if obj["progress"]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in done.kinds.items())
        click.echo(
            f"{done.count} bodies ({kinds}), {done.area_km2:.3f} km²; {done.dropped} smaller ones "
            f"left out, {done.dropped_km2:.3f} km²",
            err=True,
        )
