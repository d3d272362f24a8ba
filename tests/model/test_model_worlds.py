"""The random worlds: the same from the same seed, and each way an access can end is met often."""

from collections import Counter

import numpy as np

from model.paging import Outcome, translate
from model.worlds import World, make_world

KINDS = [
    "ok",
    "page_fault",
    "general_protection",
    "ept_violation",
    "ept_misconfiguration",
    "nested_page_fault",
    "memory_missing",
]
WORLDS = 250


def run(world: World) -> list[Outcome]:
    return [translate(world.memory, world.cpu, world.second, gva, access) for gva, access in world.accesses]


def test_a_world_is_decided_by_its_seed():
    first, again, other = make_world(7), make_world(7), make_world(8)

    assert (first.cpu, first.second, first.accesses) == (again.cpu, again.second, again.accesses)
    assert np.array_equal(first.words(), again.words())
    assert run(first) == run(again)
    assert np.array_equal(first.words(), again.words())
    assert not np.array_equal(first.words(), other.words())


def test_a_world_fits_its_memory():
    for seed in range(40):
        world = make_world(seed, pages=2048)

        assert all(spn < 2048 for spn in world.memory.pages)
        assert len(world.words()) == 2048 * 512
        assert all(0 <= word < 2**64 for page in world.memory.pages.values() for word in page)


def test_the_flat_memory_holds_each_word_at_its_address():
    world = make_world(3)
    words = world.words()
    for spn, page in world.memory.pages.items():
        for index in range(512):
            assert int(words[spn * 512 + index]) % 2**64 == page[index]
    assert np.count_nonzero(words) == sum(word != 0 for page in world.memory.pages.values() for word in page)


def test_each_way_to_end_is_met_often():
    outcomes = [outcome for seed in range(WORLDS) for outcome in run(make_world(seed))]
    kinds = Counter(outcome.kind for outcome in outcomes)

    assert len(outcomes) == WORLDS * 16 >= 2_000
    assert set(kinds) == set(KINDS), kinds
    assert min(kinds.values()) >= 100, kinds
    assert kinds["ok"] >= len(outcomes) // 5, kinds


def test_the_worlds_reach_every_corner():
    codes, places, shapes, marks, kinds = Counter(), Counter(), Counter(), Counter(), Counter()
    for seed in range(WORLDS):
        world = make_world(seed)
        for outcome in run(world):
            kinds[world.second.kind] += 1
            codes.update(bit for bit in range(6) if (outcome.error_code or 0) >> bit & 1)
            places.update([(outcome.kind, outcome.guest_level == 0)] if outcome.guest_level is not None else [])
            shapes.update([outcome.shift] if outcome.kind == "ok" else [])
            marks.update([old ^ new for _, old, new in outcome.writes])

    assert min(kinds[kind] for kind in ("none", "ept", "npt")) > 500, kinds
    assert min(codes[bit] for bit in range(6)) > 50, codes
    assert len(places) == 6 and min(places.values()) >= 10, places
    assert min(shapes[shift] for shift in (12, 21, 30)) > 50, shapes
    assert {0x20, 0x40, 0x60, 0x100, 0x200, 0x300} == set(marks), marks
