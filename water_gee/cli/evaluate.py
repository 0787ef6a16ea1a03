"""`water-gee evaluate`."""

from __future__ import annotations

import json
from typing import Any

import click
from click.core import ParameterSource

from water_gee.cli import options
from water_gee.cli.options import DEFAULT_STORE, Integers, Months, Names


class Bounds(click.ParamType[tuple[tuple[float, ...], str]]):
    """Distances with a unit behind the last: `1,2,4,8px`, `30,60,120m`."""

    name = "distances"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[float, ...], str]:
        """Read the text."""
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        unit = "px" if text.endswith("px") else "m" if text.endswith("m") else ""
        try:
            found = tuple(float(part) for part in text.removesuffix(unit).split(","))
        except ValueError:
            found = ()
        if not found or not unit:
            self.fail(f"{value!r} is not like 1,2,4,8px or 30,60,120m", param, ctx)
        return found, unit


@click.command()
@click.argument("sources", nargs=-1, metavar="[MAP|NAME=MAP|MODEL]...")
@click.option("--reference", metavar="FILE|NAME",
              help="Raster, polygons of water, or jrc-yearly, jrc, dynamic-world.")  # fmt: skip
@click.option("--points", metavar="FILE",
              help="Labelled points instead, of `water-gee points`; needs one MAP.")  # fmt: skip
@click.option("--column", help="Of the points, with their labels; reference.")
@click.option("--store", help=f"Folder of tiles; without MAPs {DEFAULT_STORE}.")
@click.option("--labels", type=Names(), help="Folders of labels in it; the corrected ones.")
@click.option("--cells", type=Names(), help="Cells of the store to score, by id; all.")
@click.option("--held-out", metavar="MODEL", help="Score only cells that it did not learn from.")
@click.option("--baselines/--no-baselines", default=True, help="Rows made of indices alone; yes.")
@click.option("--against", metavar="ROW", help="Take differences from this row; the QA bit.")
@click.option("--water", type=Integers(), default=(1,), help="Values of it that are water; 1.")
@click.option("--land", type=Integers(), help="Values of it that are land; all others.")
@click.option("--ignore", type=Integers(), default=(255,), help="Values that say nothing; 255.")
@click.option("--above", type=float, metavar="SHARE",
              help="It holds a share of water: from this one on it is water.")  # fmt: skip
@click.option("--years", type=Integers(), help="Of a reference by name; those of the recipe.")
@click.option("--months", type=Months(), help="Of dynamic-world; those of the recipe.")
@click.option("--threshold", type=float, default=0.5, show_default=True,
              help="Probability from which there is water.")  # fmt: skip
@click.option("--shore", type=Bounds(), default="1,2,4,8px", show_default=True,
              help="Bounds of the bands of distance to the shore.")  # fmt: skip
@click.option("--charts", metavar="FOLDER", help="Write pictures of scores and calibration.")
@click.option("--csv", "csv_file", metavar="FILE", help="Write all figures as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option("--resamples", type=click.IntRange(0, 100_000), default=2000, show_default=True,
              help="Of the bootstrap over cells; 0: no intervals.")  # fmt: skip
@options.seed
@options.connection
@click.pass_obj
def evaluate(obj: dict[str, Any], /, sources: tuple[str, ...], **given: Any) -> None:
    """Score labels, maps and models against a reference, side by side.

    Of a tile store it scores the QA bit, the corrected labels, and what indices alone give (MNDWI,
    AWEI, DSWE); of maps and models what they map. All of them on the same pixels, with 95%
    intervals from a bootstrap over cells, by land cover and by distance to the shore, and with the
    calibration of what has probabilities.

    With --points, the accuracy of one map and the area of water, from a sample of points.
    """
    from pathlib import Path

    from water_gee.files import refuse_same, write_bytes
    from water_gee.mapping.evaluate import evaluate as score

    as_json, labelled, column = given.pop("as_json"), given.pop("points"), given.pop("column")
    if (labelled is None) == (given["reference"] is None):
        raise click.UsageError("give either --reference or --points")
    if labelled is not None:
        _refuse_others(given)
        _points(sources, labelled, column, as_json, obj["progress"])
        return
    if column is not None:
        raise click.UsageError("--column is one of --points")
    options.connect(given.pop("project"), given.pop("url"), given.pop("catalog"))
    store, csv_file = given.pop("store"), given.pop("csv_file")
    if store is None and all(Path(source).suffix == ".keras" for source in sources):
        store = DEFAULT_STORE
    read = [*sources, *([store] if store is not None else [])]
    if csv_file is not None:
        # A source may be NAME=FILE, or a file with such a name.
        files = [*read, *(source.partition("=")[2] for source in sources), given["held_out"]]
        refuse_same(Path(csv_file), [Path(file) for file in (given["reference"], *files) if file])
    bounds, unit = given.pop("shore")
    found = score(
        [*([Path(store)] if store is not None else []), *sources],
        given.pop("reference"),
        shore=bounds,
        shore_unit=unit,
        progress=obj["progress"],
        **given,
    )
    if csv_file is not None:
        write_bytes(Path(csv_file), found.to_csv().encode())
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))


def _points(
    sources: tuple[str, ...], labelled: str, column: str | None, as_json: bool, progress: bool
) -> None:
    """Score one map by labelled points."""
    from water_gee.mapping.points import ANSWER
    from water_gee.mapping.pointscores import evaluate_points

    if len(sources) != 1:
        raise click.UsageError("--points needs the one MAP that they were drawn from")
    found = evaluate_points(sources[0], labelled, column=column or ANSWER, progress=progress)
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))


def _refuse_others(given: dict[str, Any]) -> None:
    """Refuse options that say something about a reference alone."""
    context = click.get_current_context()
    for name in given:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            shown = "--csv" if name == "csv_file" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{shown} goes with --reference, not with --points")
