"""The journal of a run: what stands, what has to be made again."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from water_gee import journal
from water_gee.errors import StoreError
from water_gee.journal import Journal


@pytest.fixture
def book(tmp_path):
    with Journal.open(tmp_path / "out") as opened:
        yield opened


def made(book, stage="map", inputs="a", content="pixels"):
    path = book.folder / f"{stage}.tif"
    path.write_text(content)
    book.begin(stage, inputs)
    return path, book.end(stage, [path], {"water": 3}, 1.5)


def reopened(book):
    folder = book.folder
    book.close()
    return Journal.open(folder)


def test_a_stage_that_ended_stands_with_the_same_inputs_only(book):
    _, entry = made(book)
    assert book.standing("map", "a") == entry
    assert book.standing("map", "b") is None
    assert book.standing("other", "a") is None


def test_what_is_entered_is_read_back_the_same(book):
    _, entry = made(book)
    with reopened(book) as again:
        assert again.standing("map", "a") == entry
        assert again.entry("map").digest == entry.digest


def test_a_stage_that_only_began_does_not_stand(book):
    made(book)
    book.begin("map", "a")
    with reopened(book) as again:
        assert again.standing("map", "a") is None
        assert again.entry("map").inputs == "a"


@pytest.mark.parametrize("harm", ["removed", "shortened", "altered"])
def test_a_stage_whose_file_was_harmed_does_not_stand(book, harm):
    path, _ = made(book)
    if harm == "removed":
        path.unlink()
    else:
        path.write_text("pixel" if harm == "shortened" else "PIXELS")
        os.utime(path, (1, 1))
    assert book.standing("map", "a") is None
    assert book.changed("map") == ([] if harm == "removed" else [path])


def test_a_file_that_was_only_touched_still_stands(book):
    path, _ = made(book)
    os.utime(path, (1, 1))
    assert book.standing("map", "a") is not None


def test_the_digest_follows_the_content_not_the_time(book):
    _, first = made(book)
    _, same = made(book)
    _, other = made(book, content="others")
    assert first.digest == same.digest != other.digest


def test_ending_a_stage_without_its_file_is_refused(book):
    book.begin("map", "a")
    with pytest.raises(StoreError, match="should be there by now"):
        book.end("map", [book.folder / "none.tif"], {}, 0)


def test_a_forgotten_stage_is_forgotten_for_good(book):
    made(book)
    book.forget("map")
    book.forget("never was")
    with reopened(book) as again:
        assert again.entry("map") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "stages": {"a": {}}}']
)
def test_a_broken_journal_counts_as_none(tmp_path, text):
    (tmp_path / journal.NAME).write_text(text)
    with Journal.open(tmp_path) as book:
        assert book.entry("a") is None


def test_a_newer_journal_is_refused(tmp_path):
    (tmp_path / journal.NAME).write_text(json.dumps({"format": 99, "stages": {}}))
    with pytest.raises(StoreError, match="newer water_gee"):
        Journal.open(tmp_path)


def test_two_runs_in_one_folder_are_refused(book, monkeypatch):
    monkeypatch.setattr(journal, "LOCK_SECONDS", 0.2)
    with pytest.raises(StoreError, match="another run is at work"):
        Journal.open(book.folder)


def test_the_lock_ends_with_the_process_that_holds_it(tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from water_gee.journal import Journal
book = Journal.open(Path({str(tmp_path)!r}))
book.begin("map", "a")
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    with Journal.open(tmp_path) as book:
        assert book.entry("map").done is False


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to"):
        Journal.open(tmp_path / "file" / "out")


def test_digest_tells_order_and_values_apart():
    assert journal.digest(1, "a") == journal.digest(1, "a")
    assert len({journal.digest(1, 2), journal.digest(2, 1), journal.digest([1, 2])}) == 3
