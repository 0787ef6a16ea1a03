"""A water map against a reference: how often they agree, where not, and how sure that is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.errors import RasterError
from water_gee.files import refuse_same, write_bytes
from water_gee.imagery.store import NOT_OBSERVED, WATER
from water_gee.mapping import areas, cogs, maps, named, references, scores, stac, styles
from water_gee.mapping.references import Classes
from water_gee.metrics import Confusion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from water_gee.mapping.maps import WaterMap
    from water_gee.mapping.references import Reference
    from water_gee.mapping.scores import Estimate, Interval

    Codes = npt.NDArray[np.uint8]

BOTH_LAND, BOTH_WATER, MAP_ONLY, REFERENCE_ONLY = 0, 1, 2, 3
"""The codes of an agreement map; 255 where either says nothing."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a map agrees with a reference, over the pixels where both say something.

    Attributes:
        reference: Its name.
        confusion: Counts of pixels, with the scores made of them (IoU, F1, kappa ...).
        intervals: Score -> 95% interval over blocks of pixels; see `water_gee.mapping.scores`.
            Empty for small maps.
        map_km2: Water of the map.
        reference_km2: Water of the reference.
        common_km2: Area where both say something.
        not_comparable_km2: The rest of the map.
        path: The agreement map, if one was asked for.
    """

    reference: str
    confusion: Confusion
    intervals: Mapping[str, Interval]
    map_km2: float
    reference_km2: float
    common_km2: float
    not_comparable_km2: float
    path: Path | None = None

    @property
    def difference_km2(self) -> float:
        """Water of the map less water of the reference."""
        return self.map_km2 - self.reference_km2

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them; None where there is nothing to measure."""
        plain: dict[str, Any] = {
            "reference": self.reference,
            **self.confusion.to_dict(),
            "map_km2": self.map_km2,
            "reference_km2": self.reference_km2,
            "difference_km2": self.difference_km2,
            "common_km2": self.common_km2,
            "not_comparable_km2": self.not_comparable_km2,
        }
        plain = {k: None if v != v else v for k, v in plain.items()}
        return plain | {"intervals_95": {k: list(v) for k, v in self.intervals.items()}}


@dataclass(frozen=True, slots=True)
class SampleComparison:
    """How a map agrees with points whose class is known; see `water_gee.mapping.scores`.

    Attributes:
        reference: Its name.
        confusion: Counts of points.
        estimates: `accuracy`, `precision`, `recall` and `water_km2`, each with its standard error,
            weighted by the areas of the map's classes.
        map_km2: Water of the map.
        left_out: Points outside the map, or where it was not observed.
    """

    reference: str
    confusion: Confusion
    estimates: Mapping[str, Estimate]
    map_km2: float
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON has them; None where there is nothing to measure."""
        plain: dict[str, Any] = {
            "reference": self.reference,
            **{name: getattr(self.confusion, name) for name in ("tp", "fp", "fn", "tn")},
            "map_km2": self.map_km2,
            "left_out": self.left_out,
        }
        for name, estimate in self.estimates.items():
            plain[name] = estimate.value
            plain[f"{name}_standard_error"] = estimate.error
        return {k: None if v != v else v for k, v in plain.items()}


def compare(
    map_path: Path | str,
    reference: Path | str,
    out: Path | str | None = None,
    *,
    water: Collection[int] = (WATER,),
    land: Collection[int] | None = None,
    ignore: Collection[int] = (NOT_OBSERVED,),
    years: Sequence[int] | None = None,
    months: Sequence[int] | None = None,
    progress: bool = False,
) -> Comparison:
    """Compare a map of any size with a reference, pixel by pixel.

    Args:
        map_path: Water map: 0 land, 1 water, 255 not observed.
        reference: A raster on any grid and in any CRS (each map pixel takes the value at its
            centre); a file of polygons of water (land is everywhere else); or by name a map that
            the connected service has: `jrc-yearly`, `jrc`, `dynamic-world`, or their asset ids; see
            `water_gee.mapping.named`.
        out: An agreement map, a Cloud-Optimized GeoTIFF with a style and a STAC item beside it: 0
            land in both, 1 water in both, 2 water in the map only, 3 in the reference only, 255
            where either says nothing. `OUT_scores.json` gets the figures.
        water: Values of a reference raster that are water.
        land: Values that are land; all others by default.
        ignore: Values that say nothing, besides its nodata.
        years: Of a reference by name; those of the map's recipe by default.
        months: Of `dynamic-world`; those of the map's recipe by default.
        progress: Whether to draw a bar.

    Returns:
        Counts, scores with intervals, and areas.

    Raises:
        RasterError: No such file, no water map, a reference elsewhere, or a full disk.
        DownloadError: The connected service has no such map.
        SessionError: No service.
    """
    chart = maps.open_map(map_path)
    if out is not None:
        refuse_same(Path(out), [chart.path, Path(reference)])
    classes = Classes(tuple(water), None if land is None else tuple(land), tuple(ignore))
    if named.is_name(reference):
        source = named.served(str(reference), chart, years, months)
        return _compared(chart, source, out, progress)
    with references.opened(reference, chart, classes) as opened:
        return _compared(chart, opened, out, progress)


def compare_points(
    map_path: Path | str, points: Path | str, *, column: str, water: Collection[Any] = (1, "water")
) -> SampleComparison:
    """Compare a map with points whose class somebody has looked up.

    The points must have been drawn with the map's classes as strata, at random within each.

    Args:
        map_path: Water map.
        points: File of points in any CRS.
        column: Its column with the class.
        water: Values of it that are water; others are land, empty ones are left out.

    Returns:
        Accuracy and area of water with standard errors.

    Raises:
        RasterError: No such file or column, or no point on the map.
    """
    chart, source = maps.open_map(map_path), Path(points)
    if not source.exists():
        raise RasterError(f"{source}: no such file")
    table = references.read_features(source, chart.grid.crs)
    if column not in table.columns:
        known = ", ".join(str(name) for name in table.columns if name != "geometry")
        raise RasterError(f"{source} has no column {column!r}; it has {known}")
    if not (table.geom_type == "Point").all():
        raise RasterError(f"{source} holds other shapes than points; compare with it as polygons")
    known = table[column].notna().to_numpy()
    said = table[column].isin(list(water)).to_numpy().astype(np.uint8)[known]
    x, y = (np.asarray(axis)[known] for axis in (table.geometry.x, table.geometry.y))
    found = _at(chart, x, y)
    used = found != NOT_OBSERVED
    if not used.any():
        raise RasterError(f"no point of {source} lies where {chart.path} was observed")
    confusion = Confusion.of(said[used], found[used])
    counts = np.array([[confusion.tn, confusion.fn], [confusion.fp, confusion.tp]], np.float64)
    measured = areas.measure(chart.path)
    both = np.array([measured.land_km2, measured.water_km2])
    return SampleComparison(
        reference=source.name,
        confusion=confusion,
        estimates=scores.of_sample(counts, both),
        map_km2=measured.water_km2,
        left_out=len(table) - int(used.sum()),
    )


def _at(chart: WaterMap, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Codes:
    """The map's codes at places; 255 outside."""
    t = ~chart.grid.transform
    rows = np.floor(t.d * x + t.e * y + t.f)
    cols = np.floor(t.a * x + t.b * y + t.c)
    out = np.full(x.shape, NOT_OBSERVED, dtype=np.uint8)
    for step in chart.windows():
        core = step.core
        here = (rows >= core.row) & (rows < core.row + core.height)
        here &= (cols >= core.col) & (cols < core.col + core.width)
        if here.any():
            codes = chart.read(core)
            at = (rows[here] - core.row).astype(int), (cols[here] - core.col).astype(int)
            out[here] = codes[at]
    return out


# ------------------------------------------------------------------------------------ windows


@dataclass(slots=True)
class _Sums:
    """What windows add up to."""

    blocks: list[npt.NDArray[np.float64]] = field(default_factory=list)
    ground: list[npt.NDArray[np.float64]] = field(default_factory=list)
    common_m2: float = 0.0
    other_m2: float = 0.0

    def add(self, codes: Codes, ground: npt.NDArray[np.float64]) -> None:
        """Take in a window of the agreement map, and m² of its pixels."""
        order = (BOTH_WATER, MAP_ONLY, REFERENCE_ONLY, BOTH_LAND)
        each = np.broadcast_to(ground, codes.shape)
        counts = [_by_block((codes == code).astype(np.float64)) for code in order]
        water = [
            _by_block(np.where(np.isin(codes, (BOTH_WATER, only)), each, 0.0)) / 1e6
            for only in (MAP_ONLY, REFERENCE_ONLY)
        ]
        self.blocks.append(np.stack(counts, axis=-1).reshape(-1, 4))
        self.ground.append(np.stack(water, axis=-1).reshape(-1, 2))
        self.common_m2 += areas.covered(codes != NOT_OBSERVED, ground)
        self.other_m2 += areas.covered(codes == NOT_OBSERVED, ground)

    def result(self, name: str, path: Path | None) -> Comparison:
        """The scores."""
        counts, ground = np.concatenate(self.blocks), np.concatenate(self.ground)
        tp, fp, fn, tn = (int(value) for value in counts.sum(axis=0))
        in_map, in_reference = (float(value) for value in ground.sum(axis=0))
        return Comparison(
            reference=name,
            confusion=Confusion(tp=tp, fp=fp, fn=fn, tn=tn),
            intervals=scores.intervals(counts, ground),
            map_km2=in_map,
            reference_km2=in_reference,
            common_km2=self.common_m2 / 1e6,
            not_comparable_km2=self.other_m2 / 1e6,
            path=path,
        )


def _by_block(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    for axis in (0, 1):
        starts = np.arange(0, values.shape[axis], scores.BLOCK)
        values = np.add.reduceat(values, starts, axis=axis)
    return values


def agreement(mapped: Codes, reference: Codes) -> Codes:
    """Compare codes pixel by pixel; see `compare` for the result's."""
    table = np.array([[BOTH_LAND, REFERENCE_ONLY], [MAP_ONLY, BOTH_WATER]], dtype=np.uint8)
    out = table[np.minimum(mapped, 1), np.minimum(reference, 1)]
    out[(mapped == NOT_OBSERVED) | (reference == NOT_OBSERVED)] = NOT_OBSERVED
    return out


def _compared(
    chart: WaterMap, reference: Reference, out: Path | str | None, progress: bool
) -> Comparison:
    if out is None:
        return _pass(chart, reference, None, progress, None)
    target = Path(out)
    tags = {"water_gee_reference": reference.name, "water_gee_map": chart.path.name}
    for name in ("water_gee_model", "water_gee_recipe", "water_gee_version"):
        if name in chart.tags:
            tags[name] = chart.tags[name]
    layer = cogs.Layer("agreement", styles.colour_table(styles.AGREEMENT), tags=tags)
    with cogs.writing(target, chart.grid, layer) as writer:
        found = _pass(chart, reference, writer, progress, target)
    text = json.dumps(found.to_dict(), indent=2)
    write_bytes(target.with_name(f"{target.stem}_scores.json"), f"{text}\n".encode())
    styles.write_qml(target, styles.AGREEMENT)
    if chart.recipe.get("years"):
        title = f"Agreement of {chart.path.name} with {reference.name}"
        stac.write_item(target, categories=styles.AGREEMENT, title=title)
    return found


def _pass(
    chart: WaterMap,
    reference: Reference,
    writer: cogs.Writer | None,
    progress: bool,
    path: Path | None,
) -> Comparison:
    sums = _Sums()
    for step in chart.windows(maps.bar("compare", on=progress)):
        mapped = chart.read(step.core)
        said = (
            reference.read(step.core)
            if (mapped != NOT_OBSERVED).any()
            else np.full(mapped.shape, NOT_OBSERVED, dtype=np.uint8)
        )
        codes = agreement(mapped, said)
        sums.add(codes, chart.areas_m2(step.core))
        if writer is not None:
            writer.write(codes, step.core)
    found = sums.result(reference.name, path)
    if not found.confusion.total:
        raise RasterError(
            f"{chart.path} and {reference.name} share no pixel where both say something"
        )
    return found
