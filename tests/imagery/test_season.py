"""Months as a season: their order, their days, and how they are said."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from water_gee.errors import RecipeError
from water_gee.imagery import season


@pytest.mark.parametrize(
    ("months", "kept"),
    [
        ((6, 7, 8), (6, 7, 8)),
        ([6, 6, 8], (6, 8)),
        ({8, 6, 7}, (6, 7, 8)),
        (range(1, 13), tuple(range(1, 13))),
        ((12, 1, 2), (12, 1, 2)),
        ((11, 12, 1, 2, 3), (11, 12, 1, 2, 3)),
        ((10, 12, 1, 5), (10, 12, 1, 5)),
        ((*range(10, 13), *range(1, 10)), (10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9)),
        ({12, 1, 2}, (1, 2, 12)),
    ],
)
def test_months_as_in_a_year_or_over_new_year_keep_their_order(months, kept):
    assert season.ordered(months) == kept


@pytest.mark.parametrize(
    ("months", "words"),
    [
        ((12, 11), "months 12, 11: out of order; write them as in a year"),
        ((8, 6, 7), "months 8, 6, 7: out of order"),
        ((11, 2), "out of order"),
        ((11, 1, 2), "or over New Year, such as 11, 12, 1, 2"),
        ((10, 12, 1, 11), "out of order"),
        ((12, 1, 3, 2), "out of order"),
        ((11, 10, 12, 1), "out of order"),
        ((0,), "whole numbers from 1 to 12, 0 among them"),
        ((12, 13), "13 among them"),
        ((True,), "True among them"),
        (("June",), "'June' among them"),
        ({6, "7"}, "'7' among them"),
        ((), "none given"),
    ],
)
def test_any_other_order_is_refused_and_not_guessed_at(months, words):
    with pytest.raises(RecipeError, match=words) as caught:
        season.ordered(months)
    assert "\n" not in str(caught.value)


def test_a_season_over_new_year_has_the_year_of_its_january():
    assert season.dated(2020, (12, 1, 2)) == [(2019, 12), (2020, 1), (2020, 2)]
    assert season.spans([2020], (12, 1, 2)) == [(dt.date(2019, 12, 1), dt.date(2020, 3, 1))]


def test_each_year_gives_its_season_and_each_run_of_months_a_span():
    assert season.spans([2019, 2020], (10, 12, 1)) == [
        (dt.date(2018, 10, 1), dt.date(2018, 11, 1)),
        (dt.date(2018, 12, 1), dt.date(2019, 2, 1)),
        (dt.date(2019, 10, 1), dt.date(2019, 11, 1)),
        (dt.date(2019, 12, 1), dt.date(2020, 2, 1)),
    ]


def test_december_of_a_calendar_year_stays_in_it():
    assert season.spans([2018], (1, 2, 12)) == [
        (dt.date(2018, 1, 1), dt.date(2018, 3, 1)),
        (dt.date(2018, 12, 1), dt.date(2019, 1, 1)),
    ]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1973, 2990))
def test_a_run_of_months_is_one_span_of_their_days(first, count, year):
    months = season.ordered([(first - 1 + i) % 12 + 1 for i in range(count)])
    ((begin, after),) = season.spans([year], months)
    assert len(season.dated(year, months)) == len(months) == count
    assert begin.month == first
    assert (after - dt.timedelta(days=1)).year == year
    assert 28 * count <= (after - begin).days <= 31 * count


def test_words_say_what_lies_in_the_year_before():
    assert season.in_words((6, 7), (2019, 2020)) == "months 6, 7 of 2019, 2020"
    assert season.in_words((11, 12, 1), (2020,)) == "months 11, 12 (of the year before), 1 of 2020"
