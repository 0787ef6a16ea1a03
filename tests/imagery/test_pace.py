"""The number of requests at once: found by asking, on a clock that only moves when told to."""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
import threading

import pytest

from water_gee.imagery.pace import Level, Pace, Slot


class Service:
    """Answers after a time; refuses what comes while so many requests are at work."""

    def __init__(self, seconds=2.0, slots=10_000, cores=None, lost=0.0, seed=0):
        self.seconds, self.slots, self.cores, self.lost = seconds, slots, cores, lost
        self.random = random.Random(seed)
        self.free_at = [0.0] * (cores or 0)
        self.busy = 0

    def end_of(self, now):
        """When the request ends that comes now, and whether it is refused."""
        if self.busy >= self.slots or self.random.random() < self.lost:
            return now + 0.05, True
        seconds = self.seconds * self.random.uniform(0.9, 1.1)
        if self.cores is None:
            return now + seconds, False
        free = heapq.heappop(self.free_at)
        heapq.heappush(self.free_at, max(free, now) + seconds)
        return max(free, now) + seconds, False


def run(level, service, until):
    """Keep as many requests under way as the level says; returns (time, level) and answers."""
    now, seen, answers = 0.0, [], 0
    under_way = []
    numbers = itertools.count()
    while now < until:
        while len(under_way) < int(level):
            end, refused = service.end_of(now)
            service.busy += not refused
            heapq.heappush(under_way, (end, next(numbers), refused, now))
        end, _, refused, began = heapq.heappop(under_way)
        service.busy -= not refused
        now = end
        answers += not refused
        level.note(Slot(began, refused=refused, answered=not refused), now)
        seen.append((now, int(level)))
    return seen, answers


def late(seen, until):
    return [level for moment, level in seen if moment > until / 2]


def test_it_reaches_the_most_in_a_few_rounds_where_nothing_speaks_against_it():
    seen, answers = run(Level(40), Service(), 120)
    assert next(moment for moment, level in seen if level == 40) < 10
    assert set(late(seen, 120)) == {40}
    assert answers > 0.9 * 40 / 2 * 120


def test_it_settles_below_what_the_service_refuses():
    seen, answers = run(Level(40), Service(slots=12), 400)
    levels = late(seen, 400)
    assert 9 <= statistics.mean(levels) <= 13
    assert answers > 0.8 * 12 / 2 * 400


def test_single_refusals_do_not_slow_it_down():
    """A share of 0.02 comes at any level; halving at each would leave a fifth of the speed."""
    seen, answers = run(Level(40), Service(lost=0.02), 400)
    assert statistics.mean(late(seen, 400)) > 38
    assert answers > 0.88 * 40 / 2 * 400


def test_more_at_once_than_the_service_has_cores_for_is_given_up():
    seen, answers = run(Level(40), Service(seconds=1.0, cores=4), 600)
    levels = late(seen, 600)
    assert statistics.mean(levels) < 16
    assert answers > 0.95 * 4 * 600


def test_tiles_that_take_longer_everywhere_do_not_slow_it_down():
    level, service = Level(40), Service(seconds=0.5)
    run(level, service, 60)
    assert int(level) == 40
    service.seconds = 3.0
    level._since = 0.0  # the second run's clock begins anew
    seen, answers = run(level, service, 600)
    assert statistics.mean(late(seen, 600)) > 38
    assert answers > 0.9 * 40 / 3 * 600


def test_it_recovers_when_the_service_does():
    level, service = Level(40), Service(slots=4)
    run(level, service, 200)
    assert int(level) < 8
    service.slots = 10_000
    level._since = 0.0
    seen, _ = run(level, service, 400)
    assert seen[-1][1] == 40


def test_it_never_goes_below_one():
    seen, _ = run(Level(40), Service(slots=0), 100)
    assert seen[-1][1] == 1


@pytest.mark.parametrize("most", [1, 3, 40])
def test_no_more_requests_are_under_way_than_the_most(most):
    pace = Pace(most)
    lock, now, peak = threading.Lock(), [0], [0]

    def ask():
        for _ in range(20):
            with pace.slot() as slot:
                with lock:
                    now[0] += 1
                    peak[0] = max(peak[0], now[0])
                slot.answered = True
                with lock:
                    now[0] -= 1

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= peak[0] <= most


def test_a_request_that_fails_gives_its_place_back():
    pace = Pace(1)
    with pytest.raises(ValueError, match="no"), pace.slot():
        raise ValueError("no")
    with pace.slot() as slot:
        assert not slot.answered
