"""Studies of address traces: what is counted, against rules of thumb and against a TLB model of a few lines."""

import dataclasses

import numpy as np
import pytest

from hvlab.capture import load, sample
from hvlab.capture.accesses import FETCH, LOAD, MODIFY, STORE, AddressTrace
from hvlab.errors import BadRequest
from hvlab.hardware import processor
from hvlab.hardware.bare import UNCACHED
from hvlab.kernel import PLAIN
from hvlab.lab import study as module
from hvlab.lab.guest import MOVED, Plan, guest, touched
from hvlab.lab.study import accesses, describe_study, one_level, study, sweep_pages, sweep_tlb

FIRST = 4_000 if PLAIN else 20_000


def made(*listed: tuple[int, int, int], name: str = "made") -> AddressTrace:
    kind, gva, size = zip(*listed, strict=True)
    return AddressTrace("", name, np.array(kind, np.uint8), np.array(size, np.uint16), np.array(gva, np.int64), "", {})


def one(trace: AddressTrace, geometry=UNCACHED, guest_size=12, second=12):
    (row,) = study(trace, geometry, (guest_size,), second)
    return row


@pytest.mark.parametrize(
    ("guest_size", "second", "reads"),
    [(12, 12, 24), (12, 21, 19), (21, 12, 19), (21, 21, 15), (30, 30, 8), (30, 12, 14), (12, None, 4), (30, None, 2)],
)
def test_a_walk_without_caches_reads_as_many_entries_as_the_square_has_cells(guest_size, second, reads):
    row = one(made((LOAD, 0x1FFE_FFE7E0, 8)), guest_size=guest_size, second=second)

    assert (row.accesses, row.walks, row.reads) == (1, 1, reads)


@pytest.mark.parametrize(
    ("gva", "reads"), [(-(1 << 47), 24), (-(1 << 47) - 4096, 29), ((1 << 47) - 1, 24), (1 << 47, 29)]
)
def test_addresses_that_four_levels_cannot_hold_get_a_guest_of_five(gva, reads):
    assert one(made((LOAD, gva, 1))).reads == reads


def test_an_access_across_a_border_counts_as_two_and_a_modify_reads_then_writes():
    trace = made((LOAD, 0x1FFC, 4), (LOAD, 0x1FFC, 5), (MODIFY, 0x5000, 8), (MODIFY, 0x5FFF, 2), (FETCH, 0x9000, 3))

    gva, access = accesses(trace, 0, len(trace))

    read, write, fetch = (int(kind | processor.USER) for kind in (processor.READ, processor.WRITE, processor.FETCH))
    assert gva.tolist() == [0x1FFC, 0x1FFC, 0x2000, 0x5000, 0x5000, 0x5FFF, 0x6000, 0x5FFF, 0x6000, 0x9000]
    assert access.tolist() == [read, read, read, read, write, read, read, write, write, fetch]


def test_an_access_across_a_border_counts_as_two_for_large_pages_too():
    trace = made((STORE, 0x20_1FFF, 2))

    assert [row.accesses for row in study(trace, page_sizes=(12, 21, 30))] == [2, 2, 2]


def test_the_guest_maps_each_page_to_a_frame_of_its_own_and_keeps_the_offset():
    trace = load(sample("sort"))
    seen = touched(trace)
    gva = (seen.pages << 12) + 0x123

    places = {}
    for plan in (Plan(12, 12), Plan(21, 12), Plan(12, 21), Plan(30, 30), Plan(21, None)):
        fault, spa = guest(seen, plan, UNCACHED).run(gva, int(processor.READ | processor.USER))
        places[plan] = spa
        assert not fault.any()

    for plan, spa in places.items():
        assert (spa & 0xFFF == 0x123).all()
        assert len(np.unique(spa >> 12)) == len(seen.pages) == 363
        assert (spa & (1 << plan.guest) - 1 == gva & (1 << plan.guest) - 1).all()
        assert (spa >= MOVED).all() == (plan.second is not None)


def test_pages_are_found_in_the_order_of_their_first_touch_whatever_the_parts(monkeypatch):
    trace = made((LOAD, 0x9000, 8), (FETCH, 0x3FFF, 2), (LOAD, 0x9008, 8), (STORE, -4096, 8), (LOAD, 0x4000, 1))

    whole = touched(trace).pages.tolist()
    monkeypatch.setattr("hvlab.lab.guest.PART", 2)

    assert whole == touched(trace).pages.tolist() == [9, 3, 4, -1]


def by_hand(trace: AddressTrace, entries: int) -> int:
    """Walks of a one-level LRU TLB of up to 8 ways, where a store to a translation that is not dirty walks again."""
    ways = min(entries, 8)
    sets = [[] for _ in range(entries // ways)]
    dirty, walks = set(), 0
    for address, access in zip(*(part.tolist() for part in accesses(trace, 0, len(trace))), strict=True):
        page, write = address >> 12, bool(access & int(processor.WRITE))
        held = sets[page % len(sets)]
        found = next((entry for entry in held if entry[0] == page), None)
        if found and (found[1] or not write):
            held.remove(found)
            held.append(found)
            continue
        walks += 1
        if write:
            dirty.add(page)
        if found:
            held.remove(found)
        held.append((page, page in dirty))
        del held[:-ways]
    return walks


@pytest.mark.parametrize("name", ["sort", "gzip", "sqlite"])
def test_walks_of_a_small_tlb_are_those_of_a_model_of_lists(name):
    trace = module._first(load(sample(name)), FIRST)

    counted = {row.entries: row.walks for row in sweep_tlb(trace, (4, 16, 64))}

    assert counted == {entries: by_hand(trace, entries) for entries in (4, 16, 64)}


def test_each_access_is_a_first_hit_a_second_hit_or_a_walk():
    for row in study(["gzip", "sqlite"], limit=FIRST):
        assert row.l1_hits + row.l2_hits + row.walks == row.accesses
        assert 0 < row.l1_rate <= row.hit_rate <= 1
        assert row.reads_per_access == pytest.approx(row.reads / row.accesses)
        assert row.reads_per_1000 == pytest.approx(1000 * row.reads_per_access)


@pytest.mark.compiled
def test_a_larger_tlb_walks_less_on_the_real_traces_and_a_large_page_still_less():
    for name in ("sort", "gzip", "sqlite"):
        walks = [row.walks for row in sweep_tlb(name)]
        large = {row.guest: row.walks for row in study(name, one_level(64))}

        assert walks == sorted(walks, reverse=True)
        assert large[12] > large[21] > large[30]


@pytest.mark.compiled
def test_the_real_traces_have_the_known_numbers():
    walks = {(row.trace, row.entries): row.walks for row in sweep_tlb(["sort", "gzip", "sqlite"], (16, 64, 512))}

    assert walks == {
        **{("sort", 16): 4_122, ("sort", 64): 664, ("sort", 512): 404},
        **{("gzip", 16): 10_253, ("gzip", 64): 107, ("gzip", 512): 91},
        **{("sqlite", 16): 79_728, ("sqlite", 64): 6_425, ("sqlite", 512): 253},
    }


def test_a_larger_page_in_one_level_only_saves_reads_but_no_entries_of_the_tlb():
    small, guest_only, second_only, both = (
        next(row for row in sweep_pages("sqlite", limit=FIRST) if (row.guest, row.second) == pair)
        for pair in ((12, 12), (21, 12), (12, 21), (21, 21))
    )

    assert small.walks == guest_only.walks == second_only.walks > both.walks
    assert second_only.reads < small.reads


def test_the_counts_do_not_depend_on_the_slices(monkeypatch):
    whole = sweep_pages("gzip", limit=FIRST)

    monkeypatch.setattr(module, "FIRST_SLICE", 17)
    monkeypatch.setattr(module, "SECONDS", 0.0)

    assert sweep_pages("gzip", limit=1 + FIRST // 10).rows != whole.rows
    assert sweep_pages("gzip", limit=FIRST).rows == whole.rows


def test_an_interrupt_is_heard_between_two_slices(monkeypatch):
    lengths: list[int] = []

    def stop(trace, begin, end):
        lengths.append(end - begin)
        if len(lengths) == 3:
            raise KeyboardInterrupt
        return accesses(trace, begin, end)

    monkeypatch.setattr(module, "accesses", stop)
    monkeypatch.setattr(module, "FIRST_SLICE", 256)
    monkeypatch.setattr(module, "SECONDS", 0.0)

    with pytest.raises(KeyboardInterrupt):
        study("sort", limit=FIRST)
    assert lengths == [256] * 3


def test_a_table_prints_without_a_measured_time_and_says_what_its_numbers_mean():
    first, second = (str(sweep_tlb(["sort", "gzip"], (16, 64), limit=2_000)) for _ in range(2))

    assert first == second == repr(sweep_tlb(["sort", "gzip"], (16, 64), limit=2_000))
    assert "wall" not in first
    assert "costs are assumed: 4 for reading a table entry" in first.replace("\n", " ")
    assert "counts as two; a modify is a read, then a write" in first.replace("\n", " ")
    assert "sort: only the first 2,000 accesses were taken." in first
    assert max(map(len, first.splitlines())) <= module.WIDTH


def test_changed_costs_change_the_time_and_are_named():
    cheap = study("gzip", page_sizes=(12,), limit=2_000)
    dear = study("gzip", page_sizes=(12,), limit=2_000, costs={"table_read": 40})

    assert dear.rows[0].nanoseconds == cheap.rows[0].nanoseconds + 36 * cheap.rows[0].reads
    assert "40 for reading a table entry" in str(dear).replace("\n", " ")


def test_words_for_a_trace_hold_both_sweeps(monkeypatch):
    monkeypatch.setattr(module, "PLAIN", True)

    said = describe_study(load(sample("sort")))

    assert "\nPage size (trace: sort; TLB: 64)\n" in said
    assert "\nTLB size (trace: sort; guest / second: 4 KiB / 4 KiB)\n" in said


def test_a_hostile_trace_is_answered_in_words(monkeypatch):
    monkeypatch.setattr(module, "PLAIN", False)
    far = made(*((LOAD, k << 30, 1) for k in range(1 << 14)))
    edge = made((LOAD, (1 << 56) - 1, 2))

    assert describe_study(far).startswith("TLB and walks: not studied: a guest with ")
    assert "no table maps" in describe_study(edge)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda: study("npt_4lvl"), "no address trace"),
        (lambda: study("sort", page_sizes=(13,)), "13 bits of offset"),
        (lambda: study("sort", second="large"), "second='large'"),
        (lambda: study("sort", limit=0), "first 0 accesses"),
        (lambda: sweep_tlb("sort", (48,)), "TLB of 48 entries"),
        (lambda: sweep_tlb("sort", (1024,)), "TLB of 1024 entries"),
        (lambda: sweep_tlb("sort", (16,), limit=99).of("gzip"), "rows of 'gzip'"),
    ],
)
def test_what_cannot_be_studied_is_refused_with_what_can(asked, says):
    with pytest.raises(BadRequest, match=says):
        asked()


def test_an_empty_trace_is_refused():
    empty = dataclasses.replace(made((LOAD, 0, 1)), **{name: np.zeros(0, np.int64) for name in ("kind", "size", "gva")})

    with pytest.raises(BadRequest, match="without an access"):
        study(empty)
