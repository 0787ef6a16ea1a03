"""GDAL's description of a mosaic: rectangles of files, read as one raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from water_gee.windows import Grid, Window

_TYPES = {"uint8": "Byte", "int8": "Int8"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A rectangle of a file, and where its upper left corner goes in the mosaic."""

    path: Path
    part: Window
    row: int
    col: int


def mosaic(
    pieces: Sequence[Piece],
    grid: Grid,
    *,
    dtype: str,
    nodata: float | None,
    names: Sequence[str],
    overlap: bool,
    tags: Mapping[str, str] | None = None,
    colormap: Mapping[int, tuple[int, int, int, int]] | None = None,
) -> str:
    """Describe files of one grid as one raster; later pieces lie over earlier ones.

    Args:
        pieces: What there is; `nodata` elsewhere.
        grid: Of the mosaic.
        dtype: Of all bands.
        nodata: The value of pixels not observed, or None.
        names: One for each band.
        overlap: Whether pieces overlap, so that a piece's `nodata` must let the one below show.
        tags: Metadata of the whole.
        colormap: Class -> `(red, green, blue, alpha)`, for one band.

    Returns:
        The XML.
    """
    rows, cols = grid.shape
    t = grid.transform
    corner = ", ".join(repr(float(number)) for number in (t.c, t.a, t.b, t.f, t.d, t.e))
    kind = _TYPES.get(dtype) or np.dtype(dtype).name.replace("int", "Int").replace("uI", "UI")
    kind = kind.replace("float", "Float")
    items = "".join(f"<MDI key={quoteattr(k)}>{escape(v)}</MDI>" for k, v in (tags or {}).items())
    empty = "" if nodata is None else repr(float(nodata))
    bands = []
    for number, name in enumerate(names, 1):
        sources = "".join(_source(piece, number, empty if overlap else "") for piece in pieces)
        bands.append(
            f'<VRTRasterBand dataType="{kind}" band="{number}">'
            f"<Description>{escape(name)}</Description>"
            + (f"<NoDataValue>{empty}</NoDataValue>" if empty else "")
            + (_colours(colormap) if colormap is not None else "")
            + f"{sources}</VRTRasterBand>"
        )
    return (
        f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">'
        + (f"<SRS>{escape(grid.crs)}</SRS>" if grid.crs else "")
        + f"<GeoTransform>{corner}</GeoTransform>"
        + (f"<Metadata>{items}</Metadata>" if items else "")
        + "".join(bands)
        + "</VRTDataset>"
    )


def _source(piece: Piece, band: int, empty: str) -> str:
    part = piece.part
    size = f'xSize="{part.width}" ySize="{part.height}"'
    kind = "ComplexSource" if empty else "SimpleSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{escape(str(piece.path.resolve()))}'
        f"</SourceFilename><SourceBand>{band}</SourceBand>"
        f'<SrcRect xOff="{part.col}" yOff="{part.row}" {size}/>'
        f'<DstRect xOff="{piece.col}" yOff="{piece.row}" {size}/>'
        + (f"<NODATA>{empty}</NODATA>" if empty else "")
        + f"</{kind}>"
    )


def _colours(colormap: Mapping[int, tuple[int, int, int, int]]) -> str:
    entries = (colormap.get(value, (0, 0, 0, 255)) for value in range(max(colormap) + 1))
    table = "".join(f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="{a}"/>' for r, g, b, a in entries)
    return f"<ColorInterp>Palette</ColorInterp><ColorTable>{table}</ColorTable>"
