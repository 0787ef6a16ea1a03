"""Paths and rows of Landsat's second Worldwide Reference System (WRS-2), computed.

The system is a circular orbit, flown 233 times in 16 days and cut into 248 rows. What is written
down here is from the Landsat 7 Science Data Users Handbook (NASA), chapter 5: inclination 98.2°,
row 60 at the descending node, path 1 crossing the equator at 64.6° W, paths numbered westward. A
row lies `u = (row - 60) * 360° / 248` behind the node. On a sphere that turns once while the
satellite flies 233/16 orbits,

    sin(latitude) = -sin(inclination) sin(u)
    longitude = node + atan2(cos(inclination) sin(u), cos(u)) - u * 16/233

and the latitude, which is geocentric, is made geodetic on WGS 84.

How exact it is: the latitudes that the handbook names (rows 1, 122, 246 and 248) come out to the
minute. The satellites are kept within some kilometres of the track; six scenes of Landsat 5, 8 and
9 had their centres 0.9 to 5 km from those computed, nearly all of it to the east. A frame is the
nominal 185 km across and 180 km along the track. Two whole scenes of Landsat 8 measured 187 x 197
km: they held 98 % of the frame, and the frame 89 % of them.
"""

from __future__ import annotations

import math
import re

import pyproj
import shapely

from water_gee.errors import AoiError

PATHS, ROWS = 233, 248

NIGHT = range(123, 247)
"""Rows of the ascending half of the orbit, flown by night but for the polar summer."""

ACROSS, ALONG = 185_000.0, 180_000.0
"""Sides of a frame in metres."""

_NODE = -64.6
_INCLINATION = math.radians(98.2)
_DAYS = 16
_ELLIPSOID = pyproj.Geod(ellps="WGS84")

_SYSTEM = re.compile(r"\s*wrs[- ]?(\d)?\s*:(.*)", re.I | re.S)
_PAIR = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")
_WORDS = re.compile(r"\s*path\s*(\d{1,9})\s*,?\s*row\s*(\d{1,9})\s*(?!\d)", re.I)
_EXAMPLE = "write wrs:132/023, several as wrs:132/023,132/024"


def names_rows(text: str) -> bool:
    """Whether a text is meant as paths and rows: `wrs:...`, or `path 132 row 23`."""
    return bool(_SYSTEM.match(text) or _WORDS.match(text))


def read_rows(text: str) -> list[tuple[int, int]]:
    """Paths and rows of a text.

    Args:
        text: `wrs:132/023`, `wrs:132/023,132/024` or `path 132 row 23; path 132 row 24`.

    Raises:
        AoiError: It names none, or is of WRS-1.
    """
    system = _SYSTEM.match(text)
    if system and system[1] not in (None, "2"):
        raise AoiError(
            f"{text.strip()!r}: only WRS-2 is known, that of Landsat 4 to 9; WRS-1 is of Landsat 1 "
            "to 3, which no sensor here has"
        )
    form, parts = _WORDS, re.split(r"[;,\n]\s*(?=path)|\band\b", text, flags=re.I)
    if system:
        form, parts = _PAIR, re.split(r"[,;]|(?<=\d)\s+(?=\d)", system[2])
    found = [form.fullmatch(part) for part in parts]
    pairs = [(int(each[1]), int(each[2])) for each in found if each is not None]
    if len(pairs) != len(parts):
        raise AoiError(f"{text.strip()[:60]!r} is no path and row; {_EXAMPLE}")
    return pairs


def centre(path: int, row: float) -> tuple[float, float]:
    """Longitude, -180 to 180, and latitude of a row's centre in degrees; rows may be broken."""
    behind = math.radians((row - 60) * 360 / ROWS)
    latitude = math.asin(-math.sin(_INCLINATION) * math.sin(behind))
    turned = math.atan2(math.cos(_INCLINATION) * math.sin(behind), math.cos(behind))
    longitude = (
        _NODE
        - (path - 1) * 360 / PATHS
        + math.degrees(turned)
        - math.degrees(behind) * _DAYS / PATHS
    )
    geodetic = math.atan(math.tan(latitude) / (1 - _ELLIPSOID.es))
    return _turned(longitude), math.degrees(geodetic)


def footprint(path: int, row: int) -> shapely.Polygon:
    """The frame of a path and row, by day.

    Args:
        path: 1 to 233.
        row: 1 to 122, or 247 and 248.

    Returns:
        Four corners in degrees; longitudes run on beyond ±180 where the frame crosses it.

    Raises:
        AoiError: There is no such path or row, or it is flown by night.
    """
    if not 1 <= path <= PATHS or not 1 <= row <= ROWS:
        raise AoiError(
            f"path {path} row {row}: WRS-2 has paths 1 to {PATHS} and rows 1 to {ROWS}; {_EXAMPLE}"
        )
    if row in NIGHT:
        raise AoiError(
            f"path {path} row {row}: rows {NIGHT[0]} to {NIGHT[-1]} are flown northward, by night, "
            "and have no reflectance; rows 1 to 122, 247 and 248 are flown by day"
        )
    longitude, latitude = centre(path, row)
    heading = _heading(path, row)
    corners = []
    for way in (0, 180):
        x, y, to_centre = _ELLIPSOID.fwd(longitude, latitude, heading + way, ALONG / 2)
        ends = [_ELLIPSOID.fwd(x, y, to_centre + side, ACROSS / 2) for side in (90, -90)]
        corners += [end[:2] for end in ends]
    return shapely.Polygon([(longitude + _turned(x - longitude), y) for x, y in corners])


def _turned(degrees: float) -> float:
    """An angle from -180 to 180."""
    return (degrees + 180) % 360 - 180


def _heading(path: int, row: int) -> float:
    """The azimuth of the track over the turning ground, clockwise from north."""
    step = 0.01
    before, after = (centre(path, row + side) for side in (-step, step))
    return float(_ELLIPSOID.inv(*before, *after)[0])
