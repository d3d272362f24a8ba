"""Two runs side by side: counts, their differences, and the first row at which they part."""

import pytest

from hvlab.errors import BadRequest
from hvlab.hardware.tlb import Geometry
from hvlab.story.compare import compare, parting
from hvlab.trace.journal import Trace
from story.machines import runs
from story.walks import CACHED, GVA, USER, WRITE, plain, sized, unmapped

LARGE = """\
                           4 KiB  2 MiB   differs
accesses                       1      1
guest entries read             4      3        -1
second-level entries read     20     16        -4
table reads in all            24     19        -5
A or D written to memory       8      8
simulated time              0 ns   0 ns

Equal up to frame 15. They part at frame 16:
  4 KiB  Guest level 2: entry 418 at SPA 0x0070_3d10 is 0x0060_4027.
  2 MiB  Guest level 2: entry 418 at SPA 0x0070_3d10 is 0x0020_00e7."""


def test_a_large_page_is_named_at_the_entry_that_is_a_leaf():
    told = compare(sized(0, 0).go((GVA, USER)), sized(1, 0).go((GVA, USER)), ("4 KiB", "2 MiB"))

    lines = [line for line in repr(told).splitlines() if not line.startswith(("A or D", "simulated"))]
    assert lines == [line for line in LARGE.splitlines() if not line.startswith(("A or D", "simulated"))]
    assert told.frame == 16


def test_equal_runs_part_nowhere():
    told = compare(plain().go((GVA, USER)), plain().go((GVA, USER)))

    assert told.frame is None and told.sides == ("", "")
    assert repr(told).endswith("Both runs are the same, step by step.")


def test_a_write_to_memory_parts_two_runs_in_the_frame_that_holds_it():
    told = compare(plain().go((GVA, USER)), plain(ad=False).go((GVA, USER)), ("kept", "not kept"))

    assert told.frame == 2
    assert told.sides[0].startswith("The processor sets A in the second level's level-4 entry")
    assert told.sides[1].startswith("Second level, level 3")


def test_caches_are_counted_by_name():
    cached = plain(geometry=CACHED).go((GVA, USER), (GVA, USER), (GVA, USER | WRITE))
    nested = plain(geometry=Geometry(l1_ways=0, l2_ways=0, structure_ways=0)).go((GVA, USER), (GVA, USER), (GVA, USER))

    first = {name: count for name, count, _ in compare(cached, nested).rows}
    second = {name: count for name, _, count in compare(cached, nested).rows}

    assert (first["answered by a TLB"], first["answered by a paging-structure cache"]) == (1, 1)
    assert (second["answered by a TLB"], second["answered by the nested cache"]) == (0, 10)


def test_exits_and_exceptions_are_told_apart():
    told = compare(unmapped().go((GVA, USER)), plain().go((1 << 50, USER)), ("unmapped", "not canonical"))

    counts = {name: (one, other) for name, one, other in told.rows}
    assert counts["exits to the hypervisor"] == (1, 0)
    assert counts["exceptions in the guest"] == (0, 1)
    assert told.frame == 0


def test_time_alone_parts_nothing_and_an_end_does():
    trace = plain().go((GVA, USER))
    later = trace.rows.copy()
    later[:, 1] += 100

    assert compare(trace, Trace(later)).frame is None
    assert compare(trace, Trace(later[:-1])).sides[1] == "has ended."
    assert parting([1, 2], [1, 2, 3]) == 2


def test_a_comparison_wants_two_translations_and_two_names():
    trace = plain().go((GVA, USER))

    with pytest.raises(BadRequest, match="a trace without one"):
        compare(trace, Trace(trace.rows[:0]))
    with pytest.raises(BadRequest, match="3 names for two runs"):
        compare(trace, trace, ("a", "b", "c"))


def test_runs_of_the_whole_machine_are_counted_by_their_own_lens():
    told = compare(runs()["create_child"], runs()["destroyed"], ("made", "taken down"))

    counts = {name: (one, other) for name, one, other in told.rows}
    assert counts["hypercalls"] == (11, 4)
    assert counts["pages that change owner"] == (28, 12)
    assert told.frame == 0
