"""The table of progress: in place on a terminal, lines elsewhere."""

from __future__ import annotations

import io

from water_gee.deploy import progress
from water_gee.deploy.progress import MAX_ROWS, Table

COUNTS = {"2019": {"pending": 3, "running": 1}, "2020": {"done": 2, "failed": 1, "waiting": 4}}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def cells(line):
    return line.split()


def test_a_row_for_each_year_and_one_for_all():
    lines = Table(["2019", "2020"], {"2019": 5}).lines(COUNTS)
    assert lines[0].split("  ")[0].strip() == "year"
    assert cells(lines[1]) == ["2019", "0", "3", "1", "5", "0"]
    assert cells(lines[2]) == ["2020", "4", "0", "0", "2", "1"]
    assert cells(lines[3]) == ["all", "4", "3", "1", "7", "1"]
    assert len({len(line) for line in lines}) == 1


def test_on_a_terminal_the_table_is_drawn_in_its_own_place():
    out = Terminal()
    table = Table(["2019", "2020"], out=out)
    table.draw(COUNTS)
    assert out.getvalue().count("\n") == 4
    assert "\x1b[4A" not in out.getvalue()
    table.draw(COUNTS)  # nothing has changed
    assert out.getvalue().count("\n") == 4
    table.draw({"2019": {"done": 4}, "2020": {"done": 7}})
    assert out.getvalue().count("\x1b[4A") == 1


def test_elsewhere_there_is_a_line_now_and_then_and_one_at_the_end(monkeypatch):
    out = io.StringIO()
    table = Table(["2019", "2020"], out=out)
    table.draw(COUNTS)
    assert out.getvalue() == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    table.draw(COUNTS)
    table.close()
    line = "exports: 4 to send, 3 pending, 1 running, 2 done, 1 failed\n"
    assert out.getvalue() == line * 2


def test_many_years_are_one_row():
    labels = [str(1900 + n) for n in range(MAX_ROWS + 5)]
    lines = Table(labels).lines({label: {"done": 1} for label in labels})
    assert len(lines) == 2
    assert cells(lines[1])[4] == str(len(labels))
