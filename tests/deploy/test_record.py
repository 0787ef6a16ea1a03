"""The record of deployments: kept through kills, shared by processes, believed by nobody."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from water_gee.deploy.record import FAILED, FINISHED, SENDING, SENT, Record, default_path
from water_gee.errors import DeployError

TARGET = "projects/p1/assets/water"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "tasks.sqlite"


def begun(record, key="k", **more):
    arguments = {"model": None, "years": [2019]} | more
    return record.begin(key, TARGET, "p1", arguments, 9)


def test_a_deployment_is_begun_and_taken_up(path):
    with Record(path) as record:
        first = begun(record)
        assert (first.runs, first.state, first.maps) == (1, "unfinished", 9)
        record.end("k", FINISHED)
    with Record(path) as record:
        again = begun(record, years=[2019, 2020])
        assert (again.runs, again.state) == (2, "unfinished")
        assert again.arguments["years"] == [2019, 2020]
        assert again.created == first.created
        assert [each.id for each in record.deployments("p1")] == ["k"]
        assert record.deployments("p2") == []


def test_what_is_noted_again_is_changed_not_added(path):
    with Record(path) as record:
        begun(record)
        record.note("k", "a", "m", 1, "2019", SENDING)
        record.note("k", "a", "m", 1, "2019", SENT, operation="op1")
        record.note("k", "a", "m", 1, "2019", FAILED, error="Internal error.")
        record.note("k", "a", "m", 2, "2019", SENDING)
        first, second = record.tasks("k")
        assert (first.operation, first.state, first.error) == ("op1", FAILED, "Internal error.")
        assert (second.attempt, second.operation) == (2, None)
        assert record.attempts("k", "m") == {1: FAILED, 2: SENDING}


def test_what_is_checked_is_known_the_next_time(path):
    with Record(path) as record:
        assert begun(record).checked is None
        record.note_checked("k", {"url": "http://here"})
    with Record(path) as record:
        assert begun(record).checked == {"url": "http://here"}


def test_a_forgotten_deployment_takes_its_tasks_along(path):
    with Record(path) as record:
        begun(record)
        record.note("k", "a", "m", 1, "2019", SENT)
        record.forget("k")
        assert record.deployments() == []
        assert record.tasks("k") == []


def test_two_processes_write_to_one_record(path):
    with Record(path) as one, Record(path) as other:
        begun(one)
        other.note("k", "a", "m", 1, "2019", SENT)
        assert [sent.asset for sent in one.tasks("k")] == ["a"]


def test_a_file_that_is_no_record_is_one_line(path):
    path.parent.mkdir()
    path.write_text("no database at all, but a text long enough to be looked at" * 20)
    with pytest.raises(DeployError, match="set WATER_GEE_TASKS to another file") as caught:
        Record(path)
    assert "\n" not in str(caught.value)


def test_a_record_of_a_newer_version_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DeployError, match="another version of water_gee"):
        Record(path)


def test_where_the_record_is(monkeypatch, tmp_path):
    monkeypatch.setenv("WATER_GEE_TASKS", str(tmp_path / "mine.sqlite"))
    assert default_path() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("WATER_GEE_TASKS")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "water_gee" / "tasks.sqlite"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert default_path() == Path.home() / ".local/state/water_gee/tasks.sqlite"
