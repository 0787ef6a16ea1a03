from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib import image

from water_gee import raster
from water_gee.imagery.grid import Cell
from water_gee.imagery.recipe import Recipe
from water_gee.imagery.store import TileStore
from water_gee.journal import file_digest
from water_gee.mapping import pictures, report
from water_gee.mapping.vectors import polygons

VOID = {"meta", "img", "br", "link", "input"}
WATER, LAND, UNSEEN = (31, 120, 180), (222, 214, 196), (150, 150, 150)


class Checker(HTMLParser):
    """Balanced tags, and every address on the page."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.text, self.tags = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def check(path):
    page = Checker()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page, " ".join(page.text)


def figures(path):
    """Title -> picture as uint8 (row, col, 3)."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', text)
    decoded = {
        name: image.imread(io.BytesIO(base64.b64decode(content)), format="png")
        for content, name in found
    }
    return {
        name: np.rint(pixels[..., :3] * 255).astype(int).reshape(*pixels.shape[:2], 3)
        for name, pixels in decoded.items()
    }


def tile_codes(shape, west_water):
    """Water in the west half or the east half, a stripe not observed in the south."""
    codes = np.zeros(shape, dtype=np.uint8)
    half = shape[1] // 2
    codes[:, slice(0, half) if west_water else slice(half, None)] = 1
    codes[-60:] = 255
    return codes


@pytest.fixture
def results(made, tmp_path):
    """A folder of results of one's own."""
    return shutil.copytree(made, tmp_path / "results")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of results: two cells side by side, labels, a map, its polygons and a journal."""
    tmp_path = tmp_path_factory.mktemp("made")
    cells = [Cell(771, 383), Cell(772, 383)]
    with TileStore.open(tmp_path / "tiles", Recipe(), create=True) as store:
        for cell in cells:
            codes = tile_codes(cell.shape, west_water=True)
            picture = np.where(codes == 1, 0.02, 0.3).astype(np.float32)
            picture[codes == 255] = np.nan
            store.write_tile(cell, np.repeat(picture[None], 8, axis=0), codes)
            store.write_label(cell, np.where(codes == 255, 255, 1 - codes).astype(np.uint8))
        left = cells[0]
        whole = np.concatenate(
            [tile_codes((501, 501), west_water=True), tile_codes((501, 501), west_water=False)],
            axis=1,
        )
        lattice = left.grid.window(left.core.row, left.core.col, 501, 1002)
    raster.write_cog(tmp_path / "map.tif", whole, lattice, nodata=255, names=("water",))
    polygons(tmp_path / "map.tif", tmp_path / "water.gpkg")
    stages = {
        name: {"done": name != "deploy", "seconds": seconds}
        for name, seconds in (("train", 60.0), ("download", 2.5), ("deploy", 0.0))
    }
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "stages": stages}))
    return tmp_path


def tell_truth(folder, **changed):
    reference = raster.read(folder / "map.tif")
    truth = reference.values[0].copy()
    truth[:100] = 1 - truth[:100]
    raster.write_cog(folder / "truth.tif", truth, reference.grid, nodata=255, names=("water",))
    score = {"iou": 0.5, "f1": 2 / 3, "accuracy": 0.75, "observed": 1000, "missing": 12}
    known = {
        "synthetic": True,
        "note": "made up",
        "truth": "truth.tif",
        "map_sha256": file_digest(folder / "map.tif"),
        "scores": [{"label": "final map", **score}],
        "seconds": {"season": 9.0},
        **changed,
    }
    (folder / report.KNOWN).write_text(json.dumps(known))


def test_the_page_is_whole_and_fetches_nothing(results):
    path = report.write(results / "report.html", title="Delta & <sea>", notes=["mind the gap"])
    page, text = check(path)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "url(" not in path.read_text()
    assert "Delta & <sea>" in text
    assert "mind the gap" in text
    assert 'name="viewport"' in path.read_text()


def test_the_page_is_light(results):
    assert report.write(results / "report.html", title="x").stat().st_size < 3_000_000


def test_pictures_show_labels_and_map_where_they_lie(results):
    shown = figures(report.write(results / "report.html", title="x"))
    qa, corrected, chart = (shown[name] for name in ("QA labels", "Corrected labels", "Water map"))
    rows, cols = qa.shape[:2]
    assert cols == 2 * rows
    at = {"far west": cols // 8, "west of the middle": 3 * cols // 8, "far east": 7 * cols // 8}
    middle, bottom = rows // 2, rows - 3
    assert tuple(qa[middle, at["far west"]]) == WATER
    assert tuple(qa[middle, at["west of the middle"]]) == LAND
    assert tuple(qa[middle, at["far east"]]) == LAND
    assert tuple(corrected[middle, at["far west"]]) == LAND
    assert tuple(chart[middle, at["far east"]]) == WATER
    for pixels in (qa, corrected, chart, shown["Composite"]):
        assert tuple(pixels[bottom, at["far west"]]) == UNSEEN
    composite = shown["Composite"]
    assert composite[middle, at["far west"]].sum() < composite[middle, at["far east"]].sum()


def test_without_truth_the_map_is_compared_with_the_qa_labels(results):
    shown = figures(report.write(results / "report.html", title="x"))
    assert "Truth" not in shown
    difference = shown["Difference: water map and QA labels"]
    rows, cols = difference.shape[:2]
    assert tuple(difference[rows // 2, 7 * cols // 8]) == pictures.ONLY_MAP
    assert tuple(difference[rows // 2, 5 * cols // 8]) == pictures.ONLY_REFERENCE
    assert tuple(difference[rows // 2, cols // 8]) == pictures.AGREED_WATER
    assert tuple(difference[rows - 3, cols // 8]) == UNSEEN


def test_with_truth_scores_and_differences_are_shown_and_synthetic_is_said(results):
    tell_truth(results)
    path = report.write(results / "report.html", title="x")
    _, text = check(path)
    assert "SYNTHETIC" in text
    assert "<title>x (synthetic)</title>" in path.read_text()
    assert "0.6667" in text
    assert "made up" in text
    shown = figures(path)
    difference = shown["Difference: water map and truth"]
    rows, cols = difference.shape[:2]
    assert tuple(difference[5, cols // 8]) == pictures.ONLY_MAP
    assert tuple(difference[5, 3 * cols // 8]) == pictures.ONLY_REFERENCE
    assert tuple(difference[rows // 2, 3 * cols // 8]) == pictures.AGREED_LAND
    assert "Difference: QA labels and truth" in shown


def test_scores_of_another_map_are_not_shown(results):
    tell_truth(results, map_sha256="0" * 64)
    _, text = check(report.write(results / "report.html", title="x"))
    assert "0.6667" not in text
    assert "SYNTHETIC" in text


def test_nothing_is_called_synthetic_that_is_not(results):
    tell_truth(results, synthetic=False)
    _, text = check(report.write(results / "report.html", title="x"))
    assert "SYNTHETIC" not in text


def test_times_stand_in_the_order_of_the_job(results):
    tell_truth(results)
    _, text = check(report.write(results / "report.html", title="x"))
    order = [text.index(f"{name} ") for name in ("season", "download", "train", "together")]
    assert order == sorted(order)
    assert "71.5 s" in text
    assert "deploy" not in text


def test_area_and_number_of_bodies_are_told(results):
    _, text = check(report.write(results / "report.html", title="x"))
    # Half of 441 x 1002 pixels of 0.135 / 501 degrees at 51.77 N, on a sphere of the right size.
    side = 0.135 / 501 * 111.25
    area = 441 * 501 * side * side * np.cos(np.radians(51.775))
    found = float(re.search(r"([\d.,]+) km²\s+water", text)[1].replace(",", ""))
    assert found == pytest.approx(area, rel=0.005)
    assert re.search(r"\b2\s+water bodies", text)


def test_a_folder_with_nothing_in_it_still_gives_a_page(tmp_path):
    page, text = check(report.write(tmp_path / "report.html", title="Empty"))
    assert "Empty" in text
    assert "figure" not in page.tags


def test_a_broken_truth_file_is_left_out(results):
    (results / report.KNOWN).write_text("{")
    _, text = check(report.write(results / "report.html", title="x"))
    assert "SYNTHETIC" not in text


def test_equal_results_give_equal_pages(results):
    first = report.write(results / "report.html", title="x").read_bytes()
    assert report.write(results / "report.html", title="x").read_bytes() == first


def test_a_thin_river_pales_instead_of_breaking():
    cells = [Cell(771 + col, 383) for col in range(4)]
    on = pictures.sheet(cells)
    assert on.side == pictures.LONGEST // 4

    def read(cell):
        codes = np.zeros((501, 501), dtype=np.uint8)
        codes[250] = 1
        return codes

    pixels = pictures.classes(read, on)
    blue = pixels[..., 2].astype(int) - pixels[..., 0].astype(int)
    land = LAND[2] - LAND[0]
    assert (blue.max(axis=0) > land + 20).all()


def test_the_layout_follows_the_ground():
    on = pictures.sheet([Cell(771, 383)])
    assert on.aspect == pytest.approx(np.cos(np.radians(51.7725)), rel=1e-6)
    wide = pictures.sheet([Cell(771, 383), Cell(772, 383), Cell(771, 384), Cell(772, 384)])
    assert wide.shape == (2 * wide.side, 2 * wide.side)
    assert wide.cells[Cell(771, 384)] == (0, 0)
    assert wide.cells[Cell(772, 383)] == (wide.side, wide.side)
