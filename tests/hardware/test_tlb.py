"""The translation caches, one behaviour each: who may use what is kept, for how long, and what it spares."""

import numpy as np
import pytest
from hardware.guest import CR4, OTHER, PCIDE, PGE, READS, Guest
from model.build import OPEN
from model.paging import GLOBAL, READ, WRITABLE, WRITE

from hvlab.hardware.tlb import STALE, Geometry


def test_a_translation_answers_until_it_is_flushed_though_the_tables_changed():
    guest = Guest(geometry=Geometry())
    guest.go()
    guest.memory.write64(guest.at[-1], OTHER | OPEN)

    stale = guest.go()
    guest.rig.bare.flush()
    fresh = guest.go()

    assert (stale.spa, fresh.spa) == (guest.data, OTHER)
    assert stale.trace.kinds() == ["access_begun", "tlb_hit"]


@pytest.mark.parametrize("ways", [0, 4])
def test_the_use_of_a_translation_marked_stale_is_told(ways):
    guest = Guest(geometry=Geometry(l1_ways=ways))
    guest.go()
    for cache in ("l1", "l2"):
        guest.rig.state["lp"]["tlb"][cache]["entry"] |= STALE

    end = guest.go()

    assert (end.kind, end.count("stale_entry_used")) == ("ok", 1)


def test_a_write_through_a_clean_translation_walks_sets_dirty_and_replaces_it():
    guest = Guest(geometry=Geometry())
    guest.go(READ)

    write, again = guest.go(WRITE), guest.go(WRITE)

    assert (write.count("tlb_missed"), write.count("dirty_set"), again.count("tlb_hit")) == (1, 1, 1)
    assert [write.trace.fact(k, "evicted") for k in write.trace.of("tlb_filled")] == [0, 0]
    held = guest.rig.state["lp"]["tlb"]
    assert (np.count_nonzero(held["l1"]["tag"]), np.count_nonzero(held["l2"]["tag"])) == (1, 1)


def test_a_right_added_above_counts_at_the_next_try_without_a_flush():
    guest = Guest(geometry=Geometry())
    guest.put(guest.at[1], off=WRITABLE)
    guest.go(READ)

    refused = guest.go(WRITE)
    guest.put(guest.at[1], on=WRITABLE)
    tried_again = guest.go(WRITE)

    assert (refused.kind, refused.code, tried_again.kind) == ("page_fault", 3, "ok")


def test_a_walk_that_knows_the_lowest_table_reads_one_guest_entry():
    guest = Guest("ept", geometry=Geometry(l1_ways=0, l2_ways=0, nested_ways=0))
    guest.go()

    end = guest.go()

    assert (end.count("structure_cache_hit"), end.count("table_entry_read"), end.count(*READS)) == (1, 1, 5)


def test_the_nested_cache_spares_all_second_level_reads():
    guest = Guest("ept", geometry=Geometry(l1_ways=0, l2_ways=0, structure_ways=0))
    guest.go()

    end = guest.go()

    assert (end.count("nested_cache_hit"), end.count(*READS)) == (5, 4)


def test_another_vp_never_uses_a_translation_though_its_tables_are_the_same():
    guest = Guest(geometry=Geometry())
    guest.set(1, cr3=int(guest.rig.state["vp"]["cr3"][0, 0]))
    guest.go()

    end = guest.go(vp=1)

    assert (end.count("tlb_missed"), end.count(*READS)) == (1, 4)


@pytest.mark.parametrize(
    ("cr4", "flag", "hit"),
    [(PCIDE, 0, 0), (PCIDE | PGE, 0, 0), (PCIDE, GLOBAL, 0), (PCIDE | PGE, GLOBAL, 1), (PGE, 0, 1)],
)
def test_another_address_space_uses_a_translation_only_if_it_is_global_under_pge(cr4, flag, hit):
    guest = Guest(geometry=Geometry())
    root = int(guest.rig.state["vp"]["cr3"][0, 0])
    guest.put(guest.at[-1], on=flag)
    guest.set(cr4=CR4 | cr4, cr3=root | 1)
    guest.go()

    guest.set(cr3=root | 2)  # without PCIDE these bits are no tag

    assert guest.go().count("tlb_hit") == hit


def test_coming_back_to_an_address_space_finds_its_translations():
    guest = Guest(geometry=Geometry())
    root = int(guest.rig.state["vp"]["cr3"][0, 0])
    for pcid in (1, 2):
        guest.set(cr4=CR4 | PCIDE, cr3=root | pcid)
        guest.go()

    guest.set(cr3=root | 1)

    assert guest.go().count("tlb_hit") == 1
