"""Which requests meet which fault."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from water_gee.emulator import Faults, RequestFaults
from water_gee.emulator.requestfaults import Fault, Repeats
from water_gee.errors import EmulatorError

ALL = RequestFaults(0.5, 0.02, 0.01, 0.005, 0.001, 0.002)


def digest(number):
    return hashlib.sha256(str(number).encode()).digest()


def test_the_command_line_names_every_field():
    text = "latency=0.5,429=0.02,5xx=0.01,truncate=0.005,hang=0.001,reset=0.002"
    assert RequestFaults.parse(text) == ALL
    assert RequestFaults.parse(" hang = 1 , latency=2") == RequestFaults(latency=2, hang=1)
    assert RequestFaults.parse(None) == RequestFaults()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("429=2", "faults: 429=2.0: a share is from 0 to 1"),
        ("reset=-0.1", "faults: reset=-0.1: a share is from 0 to 1"),
        ("hang=nan", "faults: hang=nan: a share is from 0 to 1"),
        ("latency=-1", "faults: latency=-1.0: must be seconds, 0 or more"),
        ("latency=inf", "faults: latency=inf: must be seconds, 0 or more"),
        (
            "foo=1",
            "faults: no fault is called 'foo'; latency, 429, 5xx, truncate, hang, reset are",
        ),
        ("", "faults: '' is not like 429=0.02"),
        ("429=0.1,", "faults: '' is not like 429=0.02"),
        ("429", "faults: '429' is not like 429=0.02"),
        ("429=", "faults: 429=: not a number"),
        ("latency=0.5s", "faults: latency=0.5s: not a number"),
        ("429=0.1,429=0.2", "faults: 429 is given twice"),
        ("429=0.6,reset=0.6", "faults: the shares add up to more than 1"),
    ],
)
def test_settings_that_are_none_are_one_line_each(text, line):
    with pytest.raises(EmulatorError) as raised:
        RequestFaults.parse(text)
    assert str(raised.value) == line


def test_shares_may_add_up_to_one():
    every = RequestFaults(too_many=0.7, server_error=0.1, truncate=0.1, hang=0.05, reset=0.05)
    assert all(every.at(place / 1000) is not None for place in range(999))


def test_each_fault_meets_its_share_of_requests():
    faults = Faults(requests=ALL, seed=5)
    count = 40_000
    found = Counter(faults.of_request(digest(n), 0)[0] for n in range(count))
    for fault, share in ALL.shares.items():
        spread = (count * share * (1 - share)) ** 0.5
        assert abs(found[fault] - count * share) < 4 * spread, fault


def test_a_fault_follows_from_the_seed_the_request_and_how_often_it_came():
    faults = Faults(requests=RequestFaults(too_many=0.1), seed=1)
    fated = [n for n in range(2000) if faults.of_request(digest(n), 0)[0] is Fault.TOO_MANY]
    assert [n for n in range(2000) if faults.of_request(digest(n), 0)[0] is not None] == fated
    # The same request again is another throw of the dice, and so is another seed.
    again = [n for n in fated if faults.of_request(digest(n), 1)[0] is not None]
    assert len(again) < len(fated) / 4
    other = Faults(requests=RequestFaults(too_many=0.1), seed=2)
    assert [n for n in range(2000) if other.of_request(digest(n), 0)[0] is not None] != fated


def test_repetitions_are_counted_for_the_requests_last_seen():
    repeats = Repeats(limit=3)
    assert [repeats.count(digest(0)) for _ in range(3)] == [0, 1, 2]
    for n in range(1, 1000):
        assert repeats.count(digest(n)) == 0
    assert len(repeats) == 3
    assert repeats.count(digest(999)) == 1
    assert repeats.count(digest(0)) == 0


def test_there_is_at_least_one_slot():
    with pytest.raises(EmulatorError, match="slots 0: must be at least 1"):
        Faults(slots=0)
