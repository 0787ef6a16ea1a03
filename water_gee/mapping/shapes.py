"""River or lake: what the shape of a body of water says, and how wide and long it is.

Two lengths describe a body: those of the rectangle with the same area and the same length of shore
(the equivalent rectangle of hydrology: Roche, M. (1963), Hydrologie de surface, Gauthier-Villars).
For a long, winding channel they are its mean width and the length of its middle line, without one
having to be drawn; a round pond is a square. Long shore for little area is the mark of rivers, as
the shoreline development index is that of winding lakes (Hutchinson, G. E. (1957), A Treatise on
Limnology, vol. 1). A body is a

- **river** if it is at least `RIVER_ELONGATION` times as long as wide,
- but a **lake** if at least half of it lies in parts wider than twice that mean width: a reservoir
  with long arms, a lake that brooks run into;
- and a **lake** if it is one closed bend: at most `OXBOW_ELONGATION` times as long as wide, with
  its ends closer together than `OXBOW_STRAIGHTNESS` of its length, and whole on the map. Free bends
  have radii of two to three widths (Leopold, L. B. and Wolman, M. G. (1960), River meanders,
  GSA Bulletin 71, 769-793), so that a loop cut off, three quarters of a circle or more, is ten to
  twenty widths long: an ox-bow lake;
- **unclear** if more than a quarter of its outline is a cut: the map's edge, or pixels that were
  not observed. What is seen of it is a sliver of a shape nobody knows;
- else a **lake**.

Islands do not make a lake a river, and bars do not make a braided river a lake: where water covers
at least half of what the outer shore encloses, the outer shore alone is judged; otherwise the
channels are. The thresholds are ours, tried on shapes that were drawn for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from scipy.spatial.distance import pdist

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Shapes = npt.NDArray[np.object_]

RIVER, LAKE, UNCLEAR = "river", "lake", "unclear"

RIVER_ELONGATION = 8.0
"""Length over width from which a body is a river."""

OXBOW_ELONGATION = 30.0
OXBOW_STRAIGHTNESS = 0.6
"""A closed bend: no longer than so many widths, and its greatest extent below this share of it."""

CUT_SHARE = 0.25
"""A body of whose outline more than this was cut has no shape to judge."""

WIDE = 2.0
"""Parts wider than so many mean widths are no channel."""


@dataclass(frozen=True, slots=True)
class Forms:
    """What shapes say; arrays have one entry for each body.

    Attributes:
        kind: `river`, `lake` or `unclear`.
        shore_m: Length of the shores, islands' with them, m.
        width_m: Mean width of the water: of the threads of a braided river, m.
        length_m: Length along the middle, m.
        elongation: Length over width of what was judged: the outer shore, or the channels.
    """

    kind: npt.NDArray[np.object_]
    shore_m: Floats
    width_m: Floats
    length_m: Floats
    elongation: Floats


def forms(outlines: Shapes, area_m2: Floats, cut_share: Floats) -> Forms:
    """Tell rivers from lakes.

    Args:
        outlines: Multipolygons in metres, without the steps of pixels.
        area_m2: Areas of the bodies; the outlines' own may be a little off.
        cut_share: Share of each outline that is a cut, 0 to 1.
    """
    count = len(outlines)
    if count == 0:
        none = np.zeros(0)
        return Forms(np.empty(0, dtype=object), none, none, none, none)
    shore = np.asarray(shapely.length(outlines), dtype=np.float64)
    width, length = equivalent_rectangle(area_m2, shore)
    filled = _filled(outlines)
    hull = np.asarray(shapely.area(filled), dtype=np.float64)
    mostly_water = area_m2 >= 0.5 * hull
    judged = np.where(mostly_water, filled, outlines)
    own_width, own_length = equivalent_rectangle(
        np.where(mostly_water, np.maximum(hull, area_m2), area_m2),
        np.where(mostly_water, shapely.length(filled), shore),
    )
    elongation = own_length / own_width
    kind = np.full(count, LAKE, dtype=object)
    for body in np.flatnonzero(elongation >= RIVER_ELONGATION):
        if not _is_wide(judged[body], float(own_width[body])):
            bend = elongation[body] <= OXBOW_ELONGATION and cut_share[body] == 0
            closed = bend and _extent(judged[body]) < OXBOW_STRAIGHTNESS * own_length[body]
            kind[body] = LAKE if closed else RIVER
    kind[cut_share > CUT_SHARE] = UNCLEAR
    return Forms(kind, shore, width, length, elongation)


def equivalent_rectangle(area: Floats, perimeter: Floats) -> tuple[Floats, Floats]:
    """Width and length of the rectangle of this area and perimeter; a square where there is none.

    Args:
        area: m².
        perimeter: m.

    Returns:
        m and m, the shorter first.
    """
    root = np.sqrt(np.maximum(perimeter**2 - 16 * area, 0.0))
    none = perimeter**2 < 16 * area
    length = np.where(none, np.sqrt(area), (perimeter + root) / 4)
    return area / length, length


def _filled(outlines: Shapes) -> Shapes:
    """The same without holes."""
    parts, body = shapely.get_parts(outlines, return_index=True)
    shells: Any = shapely.polygons(shapely.get_exterior_ring(parts))
    return np.asarray(shapely.multipolygons(shells, indices=body), dtype=object)


def _is_wide(outline: Any, width: float) -> bool:
    """Whether half of a body lies in parts wider than `WIDE` mean widths (an opening by a disc)."""
    radius = WIDE * width / 2
    core = shapely.buffer(outline, -radius, quad_segs=4)
    if shapely.is_empty(core):
        return False
    opened = shapely.buffer(core, radius, quad_segs=4)
    return bool(shapely.area(opened) > 0.5 * shapely.area(outline))


def _extent(outline: Any) -> float:
    """The greatest distance between two points of a body."""
    points = shapely.get_coordinates(shapely.convex_hull(outline))
    return float(pdist(points).max()) if len(points) > 1 else 0.0
