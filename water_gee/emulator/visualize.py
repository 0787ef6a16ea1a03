"""Bands as a picture, by the wire's `VisualizationOptions`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from water_gee.emulator.errors import bad_request

if TYPE_CHECKING:
    from water_gee.emulator.pixels import Block, Values

_HEX = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")


def picture(blocks: Sequence[Block], options: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Return red, green, blue and alpha of one or three bands.

    Without options values are colours already: cut off at 0 and 255.

    Args:
        blocks: One band (grey, or coloured by a palette) or three (red, green, blue).
        options: `ranges` (one, or one a band), `paletteColors`, `gamma`, `opacity`.

    Returns:
        `uint8 (4, row, col)`.

    Raises:
        ServiceError: 400: neither one band nor three, or malformed options.
    """
    if len(blocks) not in (1, 3):
        raise bad_request(
            f"Image.visualize: Expected one band or three bands for a picture, got {len(blocks)}."
        )
    colors = _palette(options.get("paletteColors") or [])
    if colors is not None and len(blocks) != 1:
        raise bad_request("Image.visualize: A palette needs an image of one band.")
    gamma = _number(_unwrapped(options.get("gamma", 1.0)), "gamma")
    if gamma <= 0:
        raise bad_request(f"Image.visualize: gamma must be positive. Got {gamma}.")
    opacity = _number(_unwrapped(options.get("opacity", 1.0)), "opacity")
    limits = _ranges(options.get("ranges") or [], len(blocks))
    shares = []
    for block, (low, high) in zip(blocks, limits, strict=True):
        span = high - low
        share = (block.values - low) / span if span else (block.values >= low).astype(np.float64)
        shares.append(np.clip(np.nan_to_num(share), 0, 1) ** (1 / gamma))
    if colors is not None:
        places = np.linspace(0, 1, len(colors))
        bands = [np.interp(shares[0], places, colors[:, channel]) for channel in range(3)]
    else:
        bands = [255 * share for share in (shares * 3 if len(shares) == 1 else shares)]
    alpha = np.full(blocks[0].values.shape, 255.0 * min(max(opacity, 0.0), 1.0))
    for block in blocks:
        if block.mask is not None:
            alpha = np.minimum(alpha, 255.0 * block.mask)
    result: npt.NDArray[np.uint8] = np.rint(np.stack([*bands, alpha])).astype(np.uint8)
    return result


def _unwrapped(value: Any) -> Any:
    return value.get("value") if isinstance(value, Mapping) else value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_request(f"Image.visualize: {name} must be a number. Got {value!r}.")
    return float(value)


def _ranges(ranges: Any, count: int) -> list[tuple[float, float]]:
    if not ranges:
        return [(0.0, 255.0)] * count
    found = [
        (_number(one.get("min", 0), "min"), _number(one.get("max", 0), "max"))
        for one in ranges
        if isinstance(one, Mapping)
    ]
    if len(found) not in (1, count):
        raise bad_request(f"Image.visualize: Expected 1 or {count} ranges, got {len(ranges)}.")
    return found * count if len(found) == 1 else found


def _palette(colors: Any) -> Values | None:
    """Return colours `(n, 3)` of 0 to 255; one alone is a palette of that colour everywhere."""
    if not colors:
        return None
    parsed = [_color(str(color)) for color in colors]
    return np.asarray(parsed * 2 if len(parsed) == 1 else parsed, np.float64)


def _color(name: str) -> tuple[int, int, int]:
    match = _HEX.fullmatch(name)
    text = match[1] if match is not None else _NAMED.get(name.lower())
    if text is None:
        raise bad_request(f"Image.visualize: '{name}' is no color of the form RRGGBB.")
    if len(text) == 3:
        text = "".join(letter * 2 for letter in text)
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


_NAMED = {
    "aqua": "00ffff",
    "black": "000000",
    "blue": "0000ff",
    "brown": "a52a2a",
    "cyan": "00ffff",
    "fuchsia": "ff00ff",
    "gray": "808080",
    "green": "008000",
    "grey": "808080",
    "lime": "00ff00",
    "magenta": "ff00ff",
    "maroon": "800000",
    "navy": "000080",
    "olive": "808000",
    "orange": "ffa500",
    "pink": "ffc0cb",
    "purple": "800080",
    "red": "ff0000",
    "silver": "c0c0c0",
    "teal": "008080",
    "white": "ffffff",
    "yellow": "ffff00",
}
"""The colour names of CSS that are in common use."""
