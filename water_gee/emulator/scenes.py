"""Landsat scenes in a folder, as the USGS ships them: found, checked, read as Collection 2."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from water_gee.emulator import landsat
from water_gee.emulator.bandfiles import ranges
from water_gee.emulator.landsat import FILL_QA, PRODUCT_ID, PRODUCTS, Product
from water_gee.emulator.mtl import Metadata, read_mtl
from water_gee.emulator.newband import NewBand
from water_gee.emulator.pixels import Block, Values, Window
from water_gee.emulator.values import Projection
from water_gee.errors import IngestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOG = logging.getLogger(__name__)

_opening = threading.Lock()
"""Filters of warnings belong to the process: one thread at a time changes them."""

QA_SOURCE = "water_gee:qa_source"
"""Property of an image whose QA_PIXEL did not come with the product."""

CFMASK_QA = "CFMask water test, made at ingest"

CONVERTED = "water_gee:converted_from"
"""Property of an image that was not Collection 2 before."""

COLLECTION1 = "Landsat Collection 1 surface reflectance and pixel_qa"

NEEDED_FIELDS = (
    "LANDSAT_PRODUCT_ID",
    "SPACECRAFT_ID",
    "WRS_PATH",
    "WRS_ROW",
    "DATE_ACQUIRED",
    "SCENE_CENTER_TIME",
    "CLOUD_COVER",
    "SUN_AZIMUTH",
    "SUN_ELEVATION",
)

_MTL = re.compile(r"(.+)_MTL\.(txt|xml)", re.IGNORECASE)
_BAND = re.compile(r"(.+?)_(SR_B\d+|sr_band\d+)\.tiff?", re.IGNORECASE)
_COLLECTION1_BAND = re.compile(r"SR_BAND(\d+)")


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition.

    Attributes:
        name: What its files' names begin with.
        metadata: Its MTL.
        product: The spacecraft's product.
        files: Collection 2 band name -> file.
        collection1: Whether the files hold Collection 1.
    """

    name: str
    metadata: Metadata
    product: Product
    files: Mapping[str, Path]
    collection1: bool

    @property
    def asset_id(self) -> str:
        """Earth Engine's id of the scene."""
        parts = _parts(self.metadata.product_id)
        prefix, tier = self.product.prefix, "T2" if parts["tier"] == "T2" else "T1"
        index = f"{prefix}_{parts['path']}{parts['row']}_{parts['date']}"
        return f"LANDSAT/{prefix}/C02/{tier}_L2/{index}"

    @property
    def has_qa(self) -> bool:
        """Whether a QA band came with the scene."""
        return "QA_PIXEL" in self.files

    def properties(self) -> dict[str, Any]:
        """Return Earth Engine's properties, and how the scene differs from its."""
        found = self.metadata.properties()
        if self.collection1:
            found = {name: found[name] for name in found if not name.startswith("REFLECTANCE_")}
            found |= {"COLLECTION_NUMBER": 2, CONVERTED: COLLECTION1}
            for band in (name[4:] for name in self.files if name.startswith("SR_B")):
                found[f"REFLECTANCE_MULT_BAND_{band}"] = landsat.SCALE
                found[f"REFLECTANCE_ADD_BAND_{band}"] = landsat.OFFSET
        if not self.has_qa:
            found[QA_SOURCE] = CFMASK_QA
        return found


def find_scenes(folder: Path) -> list[Scene]:
    """Return the scenes whose files lie in a folder, by name.

    Raises:
        IngestError: There are files of a scene, but they make no whole scene.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    described: dict[str, Path] = {}
    for path in files:
        match = _MTL.fullmatch(path.name)
        # The text form comes first where there are both.
        if match is not None:
            described.setdefault(match[1], path)
    for path in files:
        match = _BAND.fullmatch(path.name)
        if match is not None and match[1] not in described:
            others = ", ".join(mtl.name for mtl in described.values())
            beside = f"; {others} describes another scene" if others else ""
            raise IngestError(f"{path}: no {match[1]}_MTL.txt beside it{beside}")
    return [_scene(name, path, files) for name, path in described.items()]


def _scene(name: str, mtl: Path, files: list[Path]) -> Scene:
    metadata = read_mtl(mtl)
    _refuse_level1(name, files)
    for field in NEEDED_FIELDS:
        metadata.need(field)
    if metadata.product_id != name:
        raise IngestError(
            f"{mtl} describes another scene: {metadata.product_id}; the files beside it are {name}"
        )
    parts = _parts(name, mtl)
    product = PRODUCTS.get(parts["sensor"].replace("LO", "LC"))
    if product is None or metadata.need("SPACECRAFT_ID") != product.spacecraft:
        raise IngestError(
            f"{mtl}: sensor {parts['sensor']} of {metadata.need('SPACECRAFT_ID')} is not one of "
            f"{', '.join(PRODUCTS)}"
        )
    stated = str(metadata.need("DATE_ACQUIRED")).replace("-", "")
    places = int(metadata.need("WRS_PATH")), int(metadata.need("WRS_ROW"))
    if (stated, *places) != (parts["date"], int(parts["path"]), int(parts["row"])):
        raise IngestError(
            f"{mtl} describes another scene: path {places[0]}, row {places[1]}, {stated}"
        )
    metadata.acquired()
    found, collection1 = _band_files(name, product, files)
    _check_bands(name, product, found, collection1)
    return Scene(name, metadata, product, found, collection1)


def _refuse_level1(name: str, files: list[Path]) -> None:
    named = [path.name for path in files if path.name.startswith(f"{name}_")]
    level1 = re.compile(rf"{re.escape(name)}_B\d+\.tiff?", re.IGNORECASE)
    if any(map(level1.fullmatch, named)) and not any(map(_BAND.fullmatch, named)):
        raise IngestError(
            f"{name} holds Level 1 digital numbers; Level 2 surface reflectance (SR_B*) is needed"
        )


def _parts(product_id: str, mtl: Path | None = None) -> Mapping[str, str]:
    match = PRODUCT_ID.match(product_id)
    if match is None:
        where = f"{mtl}: " if mtl is not None else ""
        raise IngestError(
            f"{where}'{product_id}' is not the name of a Landsat product of Collection 1 or 2"
        )
    return match.groupdict()


def _band_files(name: str, product: Product, files: list[Path]) -> tuple[dict[str, Path], bool]:
    """Return Collection 2 band names with their files, and whether those hold Collection 1."""
    found: dict[str, Path] = {}
    collection1 = False
    for path in files:
        if not path.name.startswith(f"{name}_") or path.suffix.lower() not in (".tif", ".tiff"):
            continue
        band = path.stem[len(name) + 1 :].upper()
        match = _COLLECTION1_BAND.fullmatch(band)
        if match is not None:
            band, collection1 = f"SR_B{match[1]}", True
        elif band == "PIXEL_QA":
            band, collection1 = "QA_PIXEL", True
        if band in product.bands:
            found[band] = path
    return {band: found[band] for band in product.bands if band in found}, collection1


def _check_bands(
    name: str,
    product: Product,
    found: Mapping[str, Path],
    collection1: bool,
) -> None:
    missing = [band for band in product.needed if band not in found]
    if not missing:
        return
    expected = f"{name}_{missing[0]}.TIF"
    if collection1:
        expected = f"{name}_sr_band{missing[0][4:]}.tif"
    raise IngestError(f"{name}: band {missing[0]} is missing (there is no {expected})")


@contextlib.contextmanager
def open_bands(scene: Scene) -> Iterator[list[NewBand]]:
    """Open a scene's files and yield its Collection 2 bands, in Earth Engine's order.

    Outside the image (fill in QA_PIXEL) every band is masked.

    Raises:
        IngestError: A file is no raster, or lies on another grid than the others.
    """
    with contextlib.ExitStack() as stack:
        datasets = {
            band: stack.enter_context(open_raster(path)) for band, path in scene.files.items()
        }
        projection, shape = _grid(scene, datasets)
        reader = _Reader(scene, datasets)
        bands = [name for name in scene.product.bands if name in datasets or name == "QA_PIXEL"]
        yield [
            NewBand(
                band,
                projection,
                shape,
                reader.dtype(band),
                reader.function(band),
                landsat.nodata_of(band),
                landsat.policy_of(band),
            )
            for band in bands
        ]


@contextlib.contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open a raster.

    Raises:
        IngestError: It is none.
    """
    try:
        with _opening, warnings.catch_warnings():
            # Scenes cut out with other tools may have lost their place; the MTL has it.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except RasterioError as error:
        raise IngestError(f"{path} is no raster: {error}") from error
    with dataset:
        yield dataset


def read_window(dataset: Any, window: Window, index: int = 1) -> Values:
    """Read a window of a raster's band.

    Raises:
        IngestError: The file is damaged.
    """
    try:
        values: Values = dataset.read(index, window=ranges(window))
    except RasterioError as error:
        raise IngestError(f"{dataset.name} is damaged: {error.__cause__ or error}") from error
    return values


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads windows of a scene's open files as Collection 2."""

    scene: Scene
    datasets: Mapping[str, Any]

    def dtype(self, band: str) -> str:
        """Return the type of a band's pixels."""
        if band == "QA_PIXEL" or self.scene.collection1:
            return "uint16"
        return str(self.datasets[band].dtypes[0])

    def function(self, band: str) -> Any:
        """Return the function that reads windows of a band."""
        return lambda window: self.read(band, window)

    def read(self, band: str, window: Window) -> Block:
        """Read a window of a band."""
        qa = self.qa(window)
        if band == "QA_PIXEL":
            return Block(qa)
        return Block(self.values(band, window), qa != FILL_QA)

    def values(self, band: str, window: Window) -> Values:
        """Read a window of a band that came with the scene."""
        values = read_window(self.datasets[band], window)
        return landsat.collection2_dn(values) if self.scene.collection1 else values

    def qa(self, window: Window) -> Values:
        """Read the QA band; make it where there is none."""
        product = self.scene.product
        if self.scene.has_qa:
            values = read_window(self.datasets["QA_PIXEL"], window)
            if self.scene.collection1:
                values = landsat.collection2_qa(values, product)
            return values
        red, nir = self.values(product.red, window), self.values(product.nir, window)
        return landsat.qa_from_cfmask_water(product, red, nir)


def _grid(scene: Scene, datasets: Mapping[str, Any]) -> tuple[Projection, tuple[int, int]]:
    first = scene.product.needed[0]
    shape = datasets[first].shape
    projection = projection_of(datasets[first]) or _grid_from_mtl(scene, shape)
    for band, dataset in datasets.items():
        if band.startswith("SR_B") and not np.issubdtype(np.dtype(dataset.dtypes[0]), np.integer):
            raise IngestError(
                f"{scene.name}: {band} is {dataset.dtypes[0]}; the products' digital numbers are "
                "integers"
            )
        other = projection_of(dataset) or (
            projection if projection_of(datasets[first]) is None else None
        )
        if dataset.shape != shape or other is None or not _aligned(projection, other):
            raise IngestError(f"{scene.name}: {first} and {band} have different grids")
    return projection, shape


def _aligned(one: Projection, two: Projection) -> bool:
    return one.grid.offset(two.grid) == (0, 0)


def projection_of(dataset: Any) -> Projection | None:
    """Return the grid of an open raster, None where it has no place on the Earth."""
    if dataset.crs is None:
        return None
    authority = dataset.crs.to_authority()
    crs = ":".join(authority) if authority is not None else dataset.crs.to_wkt()
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    return Projection(crs, (a, b, c, d, e, f))


def _grid_from_mtl(scene: Scene, shape: tuple[int, int]) -> Projection:
    """Return the grid an MTL gives; its corners are the centres of the corner pixels."""
    need = scene.metadata.need
    stated = int(need("REFLECTIVE_LINES")), int(need("REFLECTIVE_SAMPLES"))
    if stated != shape:
        raise IngestError(
            f"{scene.name}: the files have {shape[0]} x {shape[1]} pixels and no georeference, "
            f"the MTL describes {stated[0]} x {stated[1]}"
        )
    kind = need("MAP_PROJECTION")
    if kind == "UTM":
        crs = f"EPSG:{32600 + int(need('UTM_ZONE'))}"
    elif kind == "PS":
        crs = "EPSG:3031"
    else:
        raise IngestError(f"{scene.name}: the MTL's map projection {kind} is not known")
    size = float(need("GRID_CELL_SIZE_REFLECTIVE"))
    left = float(need("CORNER_UL_PROJECTION_X_PRODUCT")) - size / 2
    top = float(need("CORNER_UL_PROJECTION_Y_PRODUCT")) + size / 2
    LOG.info("%s: the files have no georeference; taken from the MTL", scene.name)
    return Projection(crs, (size, 0.0, left, 0.0, -size, top))
