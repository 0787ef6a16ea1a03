"""From scenes on disk to water maps, without an account: a small synthetic season, the whole job.

    python examples/quickstart.py [FOLDER]

Put your own Landsat folders or archives in place of `season.scenes`, and leave `dem` out or give a
GeoTIFF of yours.
"""

from __future__ import annotations

import sys
from pathlib import Path

import water_gee
from water_gee import raster
from water_gee.demo.season import make_season
from water_gee.metrics import area_km2


def main(folder: Path) -> None:
    """Make the season, map it, and say what came of it."""
    season = make_season(folder, seed=0, cells=(1, 1))
    done = water_gee.run(
        season.bounds,
        scenes=season.scenes,
        dem=season.dem,
        out=folder / "run",
        epochs=4,  # enough to look at; leave it out for real maps
    )
    water = raster.read(done.map)
    print(f"{area_km2(water.values[0], water.grid.transform):.1f} km² of water in {done.map}")
    print(f"a page to look at: {done.report}")
    print(f"deployed as: {', '.join(done.assets)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "quickstart"))
