"""Areas of analytic shapes on the ellipsoid: how far off are those of maps and of polygons?

python benchmarks/areas.py [--pixels N]

Discs of 15 km on the ellipsoid (exact: a geodesic polygon of 3,600 corners, by GeographicLib), and
rectangles between parallels and meridians (exact: Simpson's rule on the ellipsoid), at 0, 45 and 70
degrees latitude, drawn as maps in degrees, UTM and web Mercator; and a polar cap. Prints one line
of JSON with the worst relative error; `against` is what the projections' own planes would say.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
from affine import Affine

from water_gee import raster
from water_gee.mapping.areas import measure
from water_gee.mapping.vectors import polygons
from water_gee.windows import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

BAR = 1e-3
LATITUDES = (0.0, 45.0, 70.0)
LONGITUDE = 104.3
RADIUS_M = 15_000.0
PACKAGES = ("numpy", "pyproj", "rasterio", "shapely")
WGS84 = pyproj.Geod(ellps="WGS84")


def band_m2(south: float, north: float, width: float) -> float:
    """Area between two parallels of WGS84 and two meridians, by Simpson's rule."""
    a, f, n = 6378137.0, 1 / 298.257223563, 2000
    e2 = f * (2 - f)
    latitude = np.radians(np.linspace(south, north, n + 1))
    w = 1 - e2 * np.sin(latitude) ** 2
    strip = a * (1 - e2) / w**1.5 * a * np.cos(latitude) / np.sqrt(w)
    weights = np.where(np.arange(n + 1) % 2, 4, 2)
    weights[[0, -1]] = 1
    step = math.radians(north - south) / n
    return float((weights * strip).sum() * step / 3 * math.radians(width))


def disc_m2(latitude: float) -> float:
    """Area of the disc."""
    turns = np.linspace(0, 360, 3601)[:-1]
    same = np.ones(3600)
    lon, lat, _ = WGS84.fwd(LONGITUDE * same, latitude * same, turns, RADIUS_M * same)
    return abs(float(WGS84.polygon_area_perimeter(lon, lat)[0]))


def grid_around(latitude: float, crs: str, metres: float, pixels: int) -> Affine:
    """A north-up grid around a place, half a pixel off any symmetry."""
    if crs == "EPSG:4326":
        down = metres / 111_200
        across, x, y = down / math.cos(math.radians(latitude)), LONGITUDE, latitude
    else:
        across = down = metres / (math.cos(math.radians(latitude)) if crs == "EPSG:3857" else 1)
        to = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        x, y = to.transform(LONGITUDE, latitude)
    left, top = x - across * (pixels / 2 + 0.31), y + down * (pixels / 2 + 0.27)
    return Affine(across, 0, left, 0, -down, top)


def centres(transform: Affine, crs: str, pixels: int) -> tuple[Any, Any]:
    """Longitude and latitude of the pixels' centres."""
    col, row = np.meshgrid(np.arange(pixels) + 0.5, np.arange(pixels) + 0.5)
    x, y = transform.c + transform.a * col, transform.f + transform.e * row
    if crs == "EPSG:4326":
        return x, y
    return pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)


def shapes(pixels: int) -> Iterator[tuple[str, str, Affine, npt.NDArray[Any], float]]:
    """Name, CRS, transform, where there is water, and the exact area in m²."""
    metres = 2.1 * RADIUS_M / pixels
    for latitude in LATITUDES:
        utm = f"EPSG:{32600 + int((LONGITUDE + 180) // 6) + 1}"
        for crs in ("EPSG:4326", utm, "EPSG:3857"):
            transform = grid_around(latitude, crs, metres, pixels)
            lon, lat = centres(transform, crs, pixels)
            same = np.ones_like(lon)
            away = np.asarray(WGS84.inv(LONGITUDE * same, latitude * same, lon, lat)[2])
            yield f"disc {latitude}", crs, transform, away <= RADIUS_M, disc_m2(latitude)
            tall = 0.2
            wide = tall / math.cos(math.radians(latitude))
            inside = np.abs(lon - LONGITUDE) < wide / 2
            inside &= np.abs(lat - latitude) < tall / 2
            exact = band_m2(latitude - tall / 2, latitude + tall / 2, wide)
            yield f"rectangle {latitude}", crs, transform, inside, exact
    side = 1_100_000.0 / pixels
    transform = Affine(side, 0, -side * pixels / 2 - 300, 0, -side, side * pixels / 2 + 200)
    _, lat = centres(transform, "EPSG:3413", pixels)
    yield "polar cap", "EPSG:3413", transform, lat > 85.5, band_m2(85.5, 90, 360)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=1500, help="along a side of each map")
    options = parser.parse_args(arguments)
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path, package = Path(folder) / "map.tif", Path(folder) / "water.gpkg"
        for name, crs, transform, water, exact in shapes(options.pixels):
            grid = Grid(crs, transform, water.shape)
            raster.write(path, water.astype(np.uint8), grid, nodata=255, names=("water",))
            unit = math.radians(1) * 6371008.8 if crs == "EPSG:4326" else 1.0
            nominal = water.sum() * abs(transform.determinant) * unit**2
            rows[f"{name} {crs}"] = {
                "map": measure(path).water_km2 * 1e6 / exact - 1,
                "polygons": polygons(path, package).area_km2 * 1e6 / exact - 1,
                "plane": float(nominal) / exact - 1,
            }
    worst = max(max(abs(row["map"]), abs(row["polygons"])) for row in rows.values())
    against = max(abs(row["plane"]) for row in rows.values())
    line = {
        "name": "areas",
        "figure": worst,
        "unit": "largest relative error of an area",
        "against": "largest relative error of the projections' own planes",
        "against_figure": against,
        "ratio": worst / against,
        "bar": BAR,
        "holds": worst <= BAR,
        "pixels": options.pixels,
        "errors": {
            name: {kind: float(f"{error:.2e}") for kind, error in row.items()}
            for name, row in rows.items()
        },
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }
    print(json.dumps(line), flush=True)
    return 0 if line["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
