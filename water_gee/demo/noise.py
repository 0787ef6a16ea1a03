"""Random fields: named generators, fractal surfaces, and how to bring them to a finer grid."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft as _untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Field = NDArray[np.floating[Any]]

fft: Any = _untyped


def generator(seed: int, name: str) -> np.random.Generator:
    """Make the generator of one named part, so that no part depends on how much another draws.

    Args:
        seed: The season's seed.
        name: The part, for example `"terrain"`.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def fractal(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    slope: float,
    coarsest: float | None = None,
    finest: float = 2.0,
    periodic: bool = False,
) -> Field:
    """Make a Gaussian field whose amplitude spectrum falls as `frequency ** -slope`.

    The spectral method: white noise, filtered in the Fourier domain.

    Args:
        shape: `(row, col)`.
        rng: Where the noise comes from.
        slope: 0 white, 1 rough, 2 smooth like worn hills.
        coarsest: Longest wavelength kept, in pixels; without it the size of the field.
        finest: Shortest wavelength kept, in pixels.
        periodic: Let opposite edges meet; otherwise the field is cut from a larger one.

    Returns:
        `float32 (row, col)` with mean 0 and standard deviation 1.
    """
    rows, cols = shape
    pad = 0 if periodic else int(min(max(shape), coarsest or max(shape)) // 2)
    full = tuple(int(fft.next_fast_len(n + pad, real=True)) for n in shape)
    white = rng.standard_normal(full, dtype=np.float32)
    spectrum = fft.rfft2(white, workers=2)
    fy = fft.fftfreq(full[0]).astype(np.float32)[:, None]
    fx = fft.rfftfreq(full[1]).astype(np.float32)[None, :]
    squared = fy * fy + fx * fx
    longest = float(coarsest or max(full))
    gain = np.maximum(squared, np.float32(longest**-2)) ** np.float32(-slope / 2)
    gain[squared > (1 / finest) ** 2] = 0
    gain[squared < (0.5 / longest) ** 2] = 0
    field = fft.irfft2(spectrum * gain, s=full, workers=2)[:rows, :cols]
    field -= field.mean()
    field /= field.std() + 1e-12
    out: Field = field.astype(np.float32)
    return out


def enlarge(field: Field, factor: int, shape: tuple[int, int]) -> Field:
    """Bring a field to a `factor` times finer grid, linearly between pixel centres.

    Args:
        field: `(row, col)`.
        factor: Fine pixels per coarse pixel and side.
        shape: Fine `(row, col)`, at most `factor` times the coarse one.

    Returns:
        `float32` of `shape`.
    """
    rows, cols = shape
    padded = np.pad(field.astype(np.float32, copy=False), 1, mode="edge")
    tall = np.empty((field.shape[0] * factor, padded.shape[1]), dtype=np.float32)
    wide = np.empty((rows, field.shape[1] * factor), dtype=np.float32)
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5  # of the fine centre from the coarse one
        other = slice(0, -2) if offset < 0 else slice(2, None)
        share = np.float32(abs(offset))
        tall[phase::factor] = (1 - share) * padded[1:-1] + share * padded[other]
    for phase in range(factor):
        offset = (phase + 0.5) / factor - 0.5
        other = slice(0, -2) if offset < 0 else slice(2, None)
        share = np.float32(abs(offset))
        wide[:, phase::factor] = (1 - share) * tall[:rows, 1:-1] + share * tall[:rows, other]
    return wide[:, :cols]


def shrink(field: Field, factor: int) -> Field:
    """Average blocks of `factor` x `factor` pixels; both sides must divide.

    Returns:
        `float32 (row / factor, col / factor)`.
    """
    rows, cols = field.shape
    blocks = field.reshape(rows // factor, factor, cols // factor, factor)
    out: Field = blocks.mean(axis=(1, 3), dtype=np.float32)
    return out


def unit(field: Field) -> Field:
    """Turn a Gaussian field (mean 0, deviation 1) into one that is even over [0, 1]."""
    # Logistic approximation of the normal distribution, within 0.01 of it.
    out: Field = 1 / (1 + np.exp(np.float32(-1.702) * field))
    return out
