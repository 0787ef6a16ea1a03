"""One self-contained HTML page about a run: pictures, scores, areas, timings, recipe, model.

It is read off the folder of results, whatever of it is there:

    tiles/              the composite, QA labels and corrected labels
    map.tif             the water map; water.gpkg its polygons
    model.keras         recipe and training record; history.png its curves
    run.json            seconds of each stage
    truth.json          what is known of the truth, where it is known (see `Known`)

No script, no font and no picture is fetched from anywhere.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyogrio

from water_gee.errors import StoreError
from water_gee.files import write_bytes
from water_gee.imagery.store import LABELS, TileStore
from water_gee.journal import file_digest
from water_gee.mapping import areas, maps, page, pictures, vectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from water_gee.imagery.grid import Cell

KNOWN = "truth.json"
"""What is known of the truth, beside the report."""

MODEL_MEMBER = "water_gee.json"

_STAGES = ("season", "ingest", "download", "labels", "train", "map", "deploy", "ceiling")
"""The order in which times are shown; others follow."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the truth: the content of `truth.json`.

    Attributes:
        synthetic: Whether the ground was made up; the page then says so loudly.
        note: Where the truth comes from.
        truth: Class raster on the lattice, relative to the folder; None: no pictures of it.
        map_sha256: The map that was scored; scores of another map are not shown.
        scores: A row each: `label`, `iou`, `f1`, `accuracy`, `observed`, `missing` (pixels).
        seconds: Time of stages that the run's own journal does not know.
    """

    synthetic: bool
    note: str
    truth: str | None
    map_sha256: str
    scores: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]


def write(
    path: Path | str, *, title: str, folder: Path | str | None = None, notes: Sequence[str] = ()
) -> Path:
    """Write the report of a folder of results.

    Args:
        path: The page; it appears whole or not at all.
        title: Its heading.
        folder: The results; default the page's own folder.
        notes: What a reader of the maps should know, a line each.

    Returns:
        The page's path.

    Raises:
        RasterError: A map or tile that is there, but cannot be read; or a full disk.
        StoreError: A tile store that cannot be read.
    """
    target = Path(path)
    results = Path(folder) if folder is not None else target.parent
    known = read_known(results)
    if known is not None and known.synthetic:
        title = f"{title} (synthetic)"
    parts = [
        _heading(title, results, known, notes),
        _scores(known),
        _figures(results, known),
        page.table("Time", _times(results, known)),
        page.table("Recipe", _recipe(results)),
        page.table("Model", _model(results)),
        _curves(results),
    ]
    body = "\n".join(part for part in parts if part)
    write_bytes(target, page.whole(title, body))
    return target


def read_known(folder: Path) -> Known | None:
    """Read what is known of the truth; None where nothing is, or where it is of another map."""
    try:
        plain = json.loads((folder / KNOWN).read_bytes())
        known = Known(
            synthetic=bool(plain["synthetic"]),
            note=str(plain["note"]),
            truth=plain["truth"],
            map_sha256=str(plain["map_sha256"]),
            scores=list(plain["scores"]),
            seconds=dict(plain["seconds"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    chart = folder / "map.tif"
    if known.map_sha256 and (not chart.exists() or file_digest(chart) != known.map_sha256):
        return Known(known.synthetic, known.note, known.truth, "", (), known.seconds)
    return known


# ------------------------------------------------------------------------------------ parts


def _heading(title: str, folder: Path, known: Known | None, notes: Iterable[str]) -> str:
    out = [f"<h1>{page.escape(title)}</h1>"]
    if known is not None and known.synthetic:
        out.append(
            '<p class="loud">SYNTHETIC: this ground, its water and its pictures were computed. '
            "No satellite saw them.</p>"
        )
    if known is not None and known.note:
        out.append(f"<p>{page.escape(known.note)}</p>")
    out += [f'<p class="note">{page.escape(note)}</p>' for note in notes]
    facts = _facts(folder)
    if facts:
        cells = "".join(
            f"<div><b>{page.escape(v)}</b><span>{page.escape(k)}</span></div>" for k, v in facts
        )
        out.append(f'<div class="facts">{cells}</div>')
    return "\n".join(out)


def _facts(folder: Path) -> list[tuple[str, str]]:
    facts = []
    chart = folder / "map.tif"
    if chart.exists():
        found = areas.measure(chart, maps.probability_beside(maps.open_map(chart)))
        doubt = "" if found.sd_km2 is None else f" ± {found.sd_km2:,.1f}"
        facts.append(("water", f"{found.water_km2:,.1f}{doubt} km²"))
        facts.append(("mapped", f"{found.water_km2 + found.land_km2:,.0f} km²"))
        unseen = 100 * (1 - found.observed_pixels / found.pixels)
        facts.append(("not observed", f"{unseen:.2f} %"))
    bodies = folder / "water.gpkg"
    if bodies.exists():
        facts.append(
            ("water bodies", f"{pyogrio.read_info(bodies, layer=vectors.LAYER)['features']:,}")
        )
    return facts


def _scores(known: Known | None) -> str:
    if known is None or not known.scores:
        return ""
    head = ("", "IoU", "F1", "accuracy", "pixels scored", "not observed")
    rows = [
        (
            str(row["label"]),
            *(f"{float(row[name]):.4f}" for name in ("iou", "f1", "accuracy")),
            *(f"{int(row[name]):,}" for name in ("observed", "missing")),
        )
        for row in known.scores
    ]
    return page.table("Against the truth", rows, head)


def _figures(folder: Path, known: Known | None) -> str:
    try:
        store = TileStore.open(folder / "tiles")
    except StoreError:
        return ""
    with store:
        cells = store.cells()
        if not cells:
            return ""
        on = pictures.sheet(cells)
        figures = [
            page.figure(name, pictures.data_uri(pictures.png(pixels)), caption, on.aspect)
            for name, pixels, caption in _pictures(store, on, folder, known)
        ]
    return f'<h2>Pictures</h2>\n<div class="figures">{"".join(figures)}</div>'


def _pictures(
    store: TileStore, on: pictures.Sheet, folder: Path, known: Known | None
) -> Iterator[tuple[str, Any, str]]:
    def inside(codes: Any, cell: Cell) -> Any:
        return codes[cell.core.slices]

    def qa(cell: Cell) -> Any:
        return inside(store.read_mask(cell), cell)

    def corrected(cell: Cell) -> Any:
        return inside(store.read_label(cell), cell) if store.has_label(cell) else None

    named = page.legend(
        ("water", pictures.CLASS_COLOURS[1]),
        ("land", pictures.CLASS_COLOURS[0]),
        ("not observed", pictures.UNSEEN),
    )
    yield (
        "Composite",
        pictures.false_colour(store, on),
        " shortwave infrared, near infrared, red" + page.legend(("not observed", pictures.UNSEEN)),
    )
    yield "QA labels", pictures.classes(qa, on), named
    ours: list[tuple[str, Any]] = [("QA labels", qa)]
    if any(store.has_label(cell, LABELS) for cell in on.cells):
        yield "Corrected labels", pictures.classes(corrected, on), named
        ours.append(("corrected labels", corrected))
    chart = folder / "map.tif"
    if chart.exists():
        mapped = pictures.from_raster(chart)
        yield "Water map", pictures.classes(mapped, on), named
        ours.append(("water map", mapped))
    truth = folder / known.truth if known is not None and known.truth else None
    if truth is not None and truth.exists():
        reference, against = pictures.from_raster(truth), "truth"
        yield "Truth", pictures.classes(reference, on), named
    else:
        (against, reference), ours = ours[0], ours[1:]
    for name, read in ours:
        yield (
            f"Difference: {name} and {against}",
            pictures.differences(read, reference, on),
            page.legend(
                ("water in both", pictures.AGREED_WATER),
                (f"missed: water in the {against} only", pictures.ONLY_REFERENCE),
                (f"false: water in the {name} only", pictures.ONLY_MAP),
                ("not observed", pictures.UNSEEN),
            ),
        )


def _times(folder: Path, known: Known | None) -> list[tuple[str, str]]:
    seconds: dict[str, float] = dict(known.seconds) if known is not None else {}
    try:
        stages = json.loads((folder / "run.json").read_bytes())["stages"]
        seconds |= {name: stage["seconds"] for name, stage in stages.items() if stage["done"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    # The time of the page itself would make no two pages equal.
    shown = {name: float(value) for name, value in seconds.items() if name != "report"}
    order = [name for name in _STAGES if name in shown]
    order += [name for name in shown if name not in order]
    rows = [(name, f"{shown[name]:.1f} s") for name in order]
    return [*rows, ("together", f"{sum(shown.values()):.1f} s")] if rows else []


def _recipe(folder: Path) -> list[tuple[str, str]]:
    try:
        with TileStore.open(folder / "tiles") as store:
            plain = store.recipe.to_dict()
            rows = store.rows()
    except StoreError:
        return []
    shown = [(name, page.plain(value)) for name, value in plain.items()]
    return [*shown, ("tiles", str(len(rows))), ("digest", store.recipe.digest()[:16])]


def _model(folder: Path) -> list[tuple[str, str]]:
    try:
        with zipfile.ZipFile(folder / "model.keras") as members:
            about = json.loads(members.read(MODEL_MEMBER))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return []
    record = about.get("record", {})
    rows = [(name, page.plain(value)) for name, value in record.items()]
    return [(name, value) for name, value in rows if len(value) < 200]


def _curves(folder: Path) -> str:
    for name in ("history.png", "model_history.png"):
        picture = folder / name
        if picture.exists():
            address = pictures.data_uri(picture.read_bytes())
            return (
                f'<h2>Training</h2>\n<figure class="wide"><img src="{address}" '
                'alt="Loss and IoU by epoch"></figure>'
            )
    return ""
