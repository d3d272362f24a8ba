"""The agenda against a sorted list: what comes out when, what moves, what leaves."""

import random

import numpy as np
import pytest

from hvlab.hypervisor import agenda
from hvlab.hypervisor.partition import STATE

TIMER, PAUSE = agenda.STIMER, agenda.PAUSE_END


@pytest.fixture
def m():
    return np.zeros(1, STATE)[0]


def drain(m):
    taken = []
    while m["agenda"]["size"]:
        kind, who, what, generation, cause = agenda.take(m)
        taken.append((int(m["now"]), int(kind), int(who), int(what), int(generation), int(cause)))
    return taken


def test_what_is_due_first_comes_first_and_the_clock_goes_there(m):
    agenda.put(m, 30, TIMER, 1, 0, 7, 11)
    agenda.put(m, 10, PAUSE, 2, 0, 8, 12)

    assert agenda.due(m) == 10
    assert drain(m) == [(10, PAUSE, 2, 0, 8, 12), (30, TIMER, 1, 0, 7, 11)]
    assert agenda.due(m) == agenda.FOREVER
    assert agenda.take(m)[0] == agenda.NONE


def test_of_one_time_the_one_put_in_first_comes_first(m):
    for vp in (5, 3, 7, 0):
        agenda.put(m, 40, PAUSE, vp, 0, 0, -1)

    assert [row[2] for row in drain(m)] == [5, 3, 7, 0]


def test_a_timer_that_is_set_again_moves_and_is_not_there_twice(m):
    for again in range(10_000):
        assert agenda.put(m, 1_000 - again % 50, TIMER, 1, 2, again, -1)

    assert [(row[0], row[4]) for row in drain(m)] == [(951, 9_999)]


def test_what_is_cancelled_does_not_come(m):
    agenda.put(m, 10, TIMER, 1, 0, 0, -1)
    agenda.put(m, 20, TIMER, 1, 1, 0, -1)

    assert agenda.cancel(m, TIMER, 1, 0)
    assert not agenda.cancel(m, TIMER, 1, 0)
    assert not agenda.holds(m, TIMER, 1, 0) and agenda.holds(m, TIMER, 1, 1)
    assert [row[3] for row in drain(m)] == [1]


@pytest.mark.parametrize("seat", [(0, 0, 0), (8, 0, 0), (-1, 0, 0), (1, 8, 0), (1, -1, 0), (1, 0, 4), (1, 0, -1)])
def test_a_seat_that_does_not_exist_is_refused_and_nothing_changes(m, seat):
    before = m.tobytes()

    assert not agenda.put(m, 5, *seat, 0, -1)
    assert not agenda.cancel(m, *seat)
    assert not agenda.holds(m, *seat)
    assert m.tobytes() == before


def test_time_never_goes_back(m):
    m["now"] = 100
    agenda.put(m, 60, PAUSE, 0, 0, 0, -1)

    agenda.take(m)

    assert m["now"] == 100


@pytest.mark.parametrize("seed", range(6))
def test_a_random_life_is_that_of_a_sorted_list(m, seed):
    deal, held, count = random.Random(seed), {}, 0
    for _ in range(1_500):
        seat = (deal.randrange(1, agenda.KINDS), deal.randrange(agenda.WHO), deal.randrange(agenda.WHAT))
        choice = deal.random()
        if choice < 0.6:
            time, count = int(m["now"]) + deal.randrange(1, 40), count + 1
            assert agenda.put(m, time, *seat, count, count)
            held[seat] = (time, count)
        elif choice < 0.75:
            assert agenda.cancel(m, *seat) == (held.pop(seat, None) is not None)
        elif held:
            first = min(held, key=held.get)
            time, number = held.pop(first)
            taken = [int(word) for word in agenda.take(m)]
            assert taken == [*first, number, number]
            assert m["now"] == time
        assert m["agenda"]["size"] == len(held)
        assert agenda.due(m) == min((time for time, _ in held.values()), default=agenda.FOREVER)

    assert [row[1:4] for row in drain(m)] == [seat for seat, _ in sorted(held.items(), key=lambda entry: entry[1])]
