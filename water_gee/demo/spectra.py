"""Reflectance of the synthetic covers in the six Landsat 8 bands the season carries.

Values follow the shapes of published spectral libraries (R. Kokaly et al. 2017, USGS Data Series
1035) and were held against surface reflectance of water, forest, grass and bare ground in real
chips. Covers that only some noise regimes have say where their values are from. Every cover lies
between two ends, because no cover has one spectrum: `low` and `high` are those ends, for
example wet and dry, or little and much sediment.
"""

from __future__ import annotations

from dataclasses import dataclass

BANDS = ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")
"""Blue, green, red, near infrared and two shortwave infrared bands, always in this order."""

SIX = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class CoverKind:
    """One land or water cover.

    Attributes:
        name: What it is.
        low: Reflectance in `BANDS` at one end of its range.
        high: Reflectance at the other end.
        axis: Which of the shared variation fields (0-2) moves it between the two.
        water: Whether the truth calls it water.
        green: Whether its near infrared follows the season.
        colour: For pictures, 8-bit red, green, blue.
    """

    name: str
    low: SIX
    high: SIX
    axis: int = 0
    water: bool = False
    green: bool = False
    colour: tuple[int, int, int] = (128, 128, 128)


KINDS: tuple[CoverKind, ...] = (
    CoverKind(
        "conifer",
        (0.014, 0.028, 0.018, 0.165, 0.070, 0.030),
        (0.024, 0.044, 0.034, 0.250, 0.125, 0.056),
        axis=0,
        green=True,
        colour=(28, 84, 52),
    ),
    CoverKind(
        "broadleaf",
        (0.020, 0.046, 0.026, 0.300, 0.140, 0.062),
        (0.030, 0.064, 0.038, 0.390, 0.190, 0.090),
        axis=0,
        green=True,
        colour=(70, 140, 60),
    ),
    CoverKind(
        "grass",
        (0.036, 0.066, 0.054, 0.290, 0.200, 0.105),
        (0.062, 0.098, 0.108, 0.245, 0.290, 0.190),
        axis=1,
        green=True,
        colour=(190, 196, 110),
    ),
    CoverKind(
        "crop",
        (0.028, 0.060, 0.036, 0.400, 0.185, 0.085),
        (0.050, 0.086, 0.076, 0.300, 0.240, 0.140),
        axis=1,
        green=True,
        colour=(150, 200, 60),
    ),
    CoverKind(
        "tilled soil",
        (0.028, 0.038, 0.046, 0.068, 0.075, 0.066),
        (0.062, 0.084, 0.104, 0.150, 0.200, 0.170),
        axis=2,
        colour=(110, 84, 66),
    ),
    CoverKind(
        "rock",
        (0.070, 0.092, 0.108, 0.140, 0.170, 0.150),
        (0.130, 0.165, 0.190, 0.235, 0.280, 0.245),
        axis=2,
        colour=(170, 160, 150),
    ),
    CoverKind(
        "gravel",
        (0.090, 0.118, 0.136, 0.175, 0.210, 0.175),
        (0.140, 0.180, 0.205, 0.255, 0.310, 0.265),
        axis=2,
        colour=(214, 200, 170),
    ),
    CoverKind(
        "burnt",
        (0.020, 0.026, 0.030, 0.045, 0.058, 0.062),
        (0.034, 0.046, 0.056, 0.105, 0.145, 0.140),
        axis=1,
        colour=(84, 44, 50),
    ),
    CoverKind(
        "built",
        (0.060, 0.078, 0.088, 0.130, 0.135, 0.115),
        (0.120, 0.140, 0.155, 0.215, 0.225, 0.195),
        axis=2,
        colour=(200, 60, 60),
    ),
    CoverKind(
        "snow",
        (0.52, 0.54, 0.53, 0.46, 0.100, 0.080),
        (0.82, 0.84, 0.82, 0.72, 0.120, 0.090),
        axis=1,
        colour=(250, 250, 255),
    ),
    CoverKind(
        "wetland",
        (0.026, 0.050, 0.037, 0.100, 0.024, 0.013),
        (0.034, 0.062, 0.050, 0.220, 0.135, 0.072),
        axis=1,
        colour=(96, 150, 130),
    ),
    CoverKind(
        "clear water",
        (0.010, 0.014, 0.007, 0.003, 0.0015, 0.001),
        (0.030, 0.042, 0.026, 0.012, 0.004, 0.003),
        axis=0,
        water=True,
        colour=(20, 60, 150),
    ),
    CoverKind(
        "turbid water",
        (0.050, 0.082, 0.086, 0.040, 0.008, 0.005),
        (0.085, 0.130, 0.160, 0.125, 0.030, 0.018),
        axis=2,
        water=True,
        colour=(90, 130, 190),
    ),
    CoverKind(
        "shallow water",
        (0.038, 0.060, 0.052, 0.032, 0.010, 0.006),
        (0.070, 0.104, 0.098, 0.080, 0.034, 0.022),
        axis=0,
        water=True,
        colour=(80, 170, 210),
    ),
    CoverKind(
        "weedy water",
        (0.018, 0.034, 0.022, 0.036, 0.012, 0.007),
        (0.022, 0.044, 0.028, 0.062, 0.018, 0.010),
        axis=1,
        water=True,
        colour=(50, 120, 130),
    ),
    CoverKind(
        "algal bloom",
        (0.028, 0.074, 0.040, 0.075, 0.034, 0.018),
        (0.040, 0.106, 0.052, 0.200, 0.118, 0.060),
        axis=1,
        water=True,
        colour=(70, 150, 90),
    ),
    # Snow grains that melt and freeze again grow, hold water and gather soot: dark beyond 0.7 um
    # (S. Warren 1982, Reviews of Geophysics 20).
    CoverKind(
        "wet snow",
        (0.24, 0.25, 0.24, 0.150, 0.020, 0.015),
        (0.50, 0.52, 0.50, 0.380, 0.050, 0.038),
        axis=1,
        colour=(200, 215, 240),
    ),
    # Water whose reflectance no longer grows with its sediment in the red, but does in the near
    # infrared (D. Doxaran et al. 2002, Remote Sensing of Environment 81).
    CoverKind(
        "silt-laden water",
        (0.070, 0.112, 0.150, 0.095, 0.018, 0.010),
        (0.105, 0.155, 0.215, 0.205, 0.052, 0.028),
        axis=2,
        water=True,
        colour=(150, 140, 130),
    ),
    # Soil at saturation: half as bright as dry, most so in the shortwave infrared (D. Lobell,
    # G. Asner 2002, Soil Science Society of America Journal 66).
    CoverKind(
        "wet mud",
        (0.050, 0.072, 0.090, 0.110, 0.085, 0.050),
        (0.085, 0.115, 0.145, 0.185, 0.200, 0.140),
        axis=0,
        colour=(120, 100, 80),
    ),
    # Lily pads, duckweed and reeds over a third to two thirds of open water (T. Silva et al. 2008,
    # Environmental Monitoring and Assessment 140).
    CoverKind(
        "floating plants",
        (0.018, 0.036, 0.024, 0.085, 0.026, 0.013),
        (0.026, 0.054, 0.034, 0.210, 0.085, 0.040),
        axis=2,
        water=True,
        green=True,
        colour=(60, 130, 110),
    ),
    # Basalt, from fresh and glassy to weathered with lichen (R. Kokaly et al. 2017).
    CoverKind(
        "lava",
        (0.024, 0.028, 0.031, 0.035, 0.040, 0.040),
        (0.052, 0.060, 0.070, 0.088, 0.105, 0.098),
        axis=0,
        colour=(60, 50, 60),
    ),
    # Streets and roofs (M. Herold et al. 2004, Remote Sensing of Environment 91; S. Meerdink et al.
    # 2019, Remote Sensing of Environment 230).
    CoverKind(
        "asphalt",
        (0.058, 0.066, 0.073, 0.085, 0.105, 0.100),
        (0.095, 0.110, 0.122, 0.142, 0.165, 0.155),
        axis=2,
        colour=(90, 90, 95),
    ),
    CoverKind(
        "dark roof",
        (0.028, 0.031, 0.033, 0.038, 0.042, 0.042),
        (0.060, 0.066, 0.070, 0.082, 0.092, 0.090),
        axis=0,
        colour=(60, 60, 75),
    ),
    CoverKind(
        "bright roof",
        (0.215, 0.235, 0.220, 0.255, 0.205, 0.150),
        (0.480, 0.520, 0.535, 0.545, 0.450, 0.380),
        axis=1,
        colour=(225, 225, 230),
    ),
    # The direct light is gone, the sky's and that of the walls across the street are left.
    CoverKind(
        "building shade",
        (0.024, 0.023, 0.020, 0.024, 0.019, 0.015),
        (0.036, 0.038, 0.036, 0.050, 0.042, 0.034),
        axis=1,
        colour=(35, 35, 60),
    ),
    # Halite crust, and how wetness takes its shortwave infrared (J. Crowley 1991, Journal of
    # Geophysical Research 96).
    CoverKind(
        "salt crust",
        (0.34, 0.41, 0.45, 0.490, 0.400, 0.300),
        (0.50, 0.58, 0.62, 0.640, 0.520, 0.400),
        axis=0,
        colour=(245, 240, 230),
    ),
    CoverKind(
        "wet salt",
        (0.100, 0.120, 0.130, 0.105, 0.035, 0.018),
        (0.310, 0.370, 0.395, 0.385, 0.180, 0.085),
        axis=1,
        colour=(200, 190, 190),
    ),
    # Centimetres of brine over salt: bright below, black in the shortwave infrared.
    CoverKind(
        "brine",
        (0.090, 0.115, 0.110, 0.060, 0.010, 0.006),
        (0.215, 0.270, 0.275, 0.180, 0.032, 0.017),
        axis=2,
        water=True,
        colour=(130, 200, 200),
    ),
)

CODE: dict[str, int] = {kind.name: code for code, kind in enumerate(KINDS)}
"""Name -> index in `KINDS`."""

SNOW = (CODE["snow"], CODE["wet snow"])
"""What melts."""
