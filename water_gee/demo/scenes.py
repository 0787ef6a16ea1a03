"""Six Landsat 8 acquisitions of the synthetic ground, as Collection 2 Level 2 integers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from water_gee.demo import filters, light, noise, quality, sky
from water_gee.demo.mtl import SceneFacts
from water_gee.demo.site import PIXEL
from water_gee.demo.spectra import BANDS, CODE, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from water_gee.demo.landcover import Ground
    from water_gee.demo.site import Site

    Field = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

SCALE, OFFSET = 2.75e-05, -0.2
"""Reflectance = DN x SCALE + OFFSET (Collection 2 Level 2)."""

WRS_ROW = 24
_SLANT = 15.0
"""Angle of the swath's edges from grid north at 52° N, in degrees."""

_NOISE = (0.0012, 0.0012, 0.0012, 0.0018, 0.0016, 0.0014)
"""Noise of one pixel in each band, reflectance."""

_HAZE = (0.0045, 0.0032, 0.0024, 0.0014, 0.0008, 0.0006)
"""What the atmospheric correction leaves, over some kilometres, reflectance."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One pass over the site.

    Attributes:
        when: Time over the centre, UTC.
        made: Day of the product, YYYYMMDD.
        path: WRS-2 path: 133, or a neighbour that sees a part.
        clouds: Share of the scene under cloud.
        cirrus: Share under cirrus.
        leaf: How green plants are, 1 in midsummer.
        melted: Share of the snow that is gone.
        west: Western edge of the swath as a share of the width; None: outside.
        east: Eastern edge likewise.
    """

    when: datetime
    made: str
    path: int
    clouds: float
    cirrus: float
    leaf: float
    melted: float
    west: float | None = None
    east: float | None = None

    @property
    def product(self) -> str:
        """Landsat product id."""
        day = self.when.strftime("%Y%m%d")
        return f"LC08_L2SP_{self.path:03d}{WRS_ROW:03d}_{day}_{self.made}_02_T1"


def _at(month: int, day: int, minute: int, second: int) -> datetime:
    return datetime(2020, month, day, 3, minute, second, 320000, tzinfo=UTC)


SCHEDULE: tuple[Acquisition, ...] = (
    Acquisition(_at(6, 9, 45, 17), "20200824", 133, 0.05, 0.02, 0.90, 0.00),
    Acquisition(_at(6, 16, 51, 29), "20200824", 134, 0.18, 0.00, 0.96, 0.10, east=0.66),
    Acquisition(_at(6, 25, 45, 23), "20200823", 133, 0.12, 0.04, 1.00, 0.22, west=0.05),
    Acquisition(_at(7, 20, 39, 20), "20200911", 132, 0.10, 0.00, 1.04, 0.40, west=0.31),
    Acquisition(_at(7, 27, 45, 36), "20200908", 133, 0.24, 0.06, 1.03, 0.48, east=0.97),
    Acquisition(_at(8, 12, 45, 42), "20200918", 133, 0.09, 0.03, 0.98, 0.55, west=0.03),
)
"""Sixteen days between passes on one path; the western neighbour follows a week later."""


@dataclass(frozen=True, slots=True)
class View:
    """One acquisition's light and sky, before pixels are made.

    Attributes:
        facts: The pass.
        sun: Azimuth and elevation in degrees.
        direct: Direct light relative to flat ground.
        diffuse: Diffuse light relative to open ground.
        sky: Clouds and shadows.
        seen: Inside the swath.
        snow: Share of each pixel under snow on that day.
    """

    facts: Acquisition
    sun: tuple[float, float]
    direct: Field
    diffuse: Field
    sky: sky.Sky
    seen: Mask
    snow: Field


@dataclass(frozen=True, slots=True)
class Scene:
    """One finished scene.

    Attributes:
        facts: For its metadata file.
        bands: Name -> `uint16 (row, col)`: the six reflectances and QA_PIXEL.
    """

    facts: SceneFacts
    bands: dict[str, NDArray[np.uint16]]


def make_scenes(site: Site, ground: Ground, seed: int) -> Iterator[Scene]:
    """Take the season's pictures, one after the other.

    Args:
        site: Where.
        ground: What is there.
        seed: The season's seed.
    """
    still, green = _reflectance(ground)
    views = [_view(site, ground, facts, seed) for facts in SCHEDULE]
    near_infrared = BANDS.index("SR_B5")
    darkness = np.mean(
        [_lit(still[near_infrared] + green[near_infrared], v, near_infrared) for v in views], axis=0
    )
    weakness = quality.find_weakness(ground, darkness.astype(np.float32), seed)
    looks = [
        quality.look(ground, v.sky, v.seen, noise.generator(seed, f"look {v.facts.product}"))
        for v in views
    ]
    wrong = quality.scale_errors(weakness, looks, ground.water >= 0.5, seed)
    for view, one in zip(views, looks, strict=True):
        rng = noise.generator(seed, f"sensor {view.facts.product}")
        bands = _expose(ground, view, still, green, rng)
        water = one.water(weakness, wrong)
        bands["QA_PIXEL"] = quality.pack(view.sky, view.seen, water, view.snow > 0.5)
        cover = 100 * float(view.sky.is_cloud[view.seen].mean())
        facts = SceneFacts(
            product=view.facts.product,
            when=view.facts.when,
            made=view.facts.made,
            path=view.facts.path,
            row=WRS_ROW,
            sun=view.sun,
            cloud_cover=cover,
        )
        yield Scene(facts, bands)


def _view(site: Site, ground: Ground, facts: Acquisition, seed: int) -> View:
    west, south, east, north = site.bounds
    sun = light.sun_position(facts.when, (west + east) / 2, (south + north) / 2)
    direct, diffuse = light.illumination(ground.elevation, PIXEL, *sun)
    above = sky.make_sky(
        site.shape,
        noise.generator(seed, f"sky {facts.product}"),
        clouds=facts.clouds,
        cirrus=facts.cirrus,
        sun=sun,
    )
    seen = sky.inside_swath(site.shape, facts.west, facts.east, _SLANT)
    snow = ground.shares[CODE["snow"]] * (ground.melt >= facts.melted)
    return View(facts, sun, direct, diffuse, above, seen, snow)


def _reflectance(ground: Ground) -> tuple[Field, Field]:
    """Reflectance of the evenly lit ground, `(band, row, col)`: what stays, what follows leaves."""
    still = np.zeros((len(BANDS), *ground.water.shape), dtype=np.float32)
    green = np.zeros_like(still)
    for kind, share in zip(KINDS, ground.shares, strict=True):
        if not share.any():
            continue
        place = ground.variation[kind.axis]
        for band, (low, high) in enumerate(zip(kind.low, kind.high, strict=True)):
            part = share * (np.float32(low) + np.float32(high - low) * place)
            (green if kind.green else still)[band] += part
    return still, green


def _lit(reflectance: Field, view: View, band: int) -> Field:
    """Reflectance as the product shows it: not corrected for relief, nor for cloud shadow."""
    diffuse = np.float32(light.SKYLIGHT[band])
    direct = view.direct * (1 - view.sky.shadow)
    lit: Field = reflectance * ((1 - diffuse) * direct + diffuse * view.diffuse)
    lit += np.float32(light.ADJACENT[band]) * np.maximum(1 - direct, 0)
    return lit


def _expose(
    ground: Ground, view: View, still: Field, green: Field, rng: np.random.Generator
) -> dict[str, NDArray[np.uint16]]:
    """Make the six bands of one scene as stored integers, fill as 0."""
    leaf = view.facts.leaf
    bared = ground.shares[CODE["snow"]] - view.snow
    snow, rock = KINDS[CODE["snow"]], KINDS[CODE["rock"]]
    age = ground.variation[snow.axis]
    haze = noise.fractal(ground.water.shape, rng, slope=1.8, coarsest=300)
    blur = _spread(rng)
    out = {}
    for band, name in enumerate(BANDS):
        # Near infrared rises with the leaves; red falls.
        season = leaf if band == BANDS.index("SR_B5") else 1 + 0.5 * (1 - leaf)
        flat = still[band] + np.float32(season) * green[band]
        was = np.float32(snow.low[band]) + np.float32(snow.high[band] - snow.low[band]) * age
        flat += bared * (np.float32(rock.low[band]) - was)
        seen = filters.convolve(_lit(np.maximum(flat, 0), view, band), blur)
        seen += np.float32(_HAZE[band]) * (haze + np.float32(rng.normal(0, 0.4)))
        grain = rng.standard_normal(seen.shape, dtype=np.float32)
        seen += grain * (np.float32(_NOISE[band]) + np.float32(0.008) * np.abs(seen))
        seen += view.sky.cirrus * np.float32(0.5 * sky.CIRRUS_COLOUR[band])
        seen += view.sky.cloud * (np.float32(sky.CLOUD_COLOUR[band]) - seen)
        stored = np.clip(np.rint((seen - OFFSET) / SCALE), 1, 65535).astype(np.uint16)
        out[name] = np.where(view.seen, stored, np.uint16(0))
    return out


def _spread(rng: np.random.Generator) -> Field:
    """The sensor's point spread over 3 x 3 pixels, with the scene's misregistration in it."""
    down, right = rng.normal(0, 0.10, size=2)
    step = np.arange(-1, 2)
    kernel = np.outer(
        np.exp(-((step - down) ** 2) / (2 * 0.42**2)),
        np.exp(-((step - right) ** 2) / (2 * 0.42**2)),
    )
    out: Field = (kernel / kernel.sum()).astype(np.float32)
    return out
