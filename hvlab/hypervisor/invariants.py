"""What must always hold: one function for each invariant of isolation; each returns a sentence for every breach.

They look at the bytes (second-level tables, page database, caches), not at what the hypervisor believes. The numbers
are those of the project's list of invariants; those of parts that are still to come are not here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hvlab.hardware.flush import vpid_of as vpids_in
from hvlab.hardware.memory import NOBODY, PLACE
from hvlab.hardware.tlb import STALE
from hvlab.hypervisor import stale
from hvlab.hypervisor.address import Words, leaves
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.interrupt_invariants import check_interrupts
from hvlab.hypervisor.message_invariants import check_message_teardown, check_messages
from hvlab.hypervisor.partition import SLOTS, vpid_of
from hvlab.hypervisor.scheduler_invariants import check_siblings
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import Status

MOST = 5  # sentences for one kind of breach


def _hv(machine: Any) -> Hypervisor:
    hv: Hypervisor = getattr(machine, "hv", machine)
    return hv


def _say(text: str, spns: Words) -> list[str]:
    found = [text.format(f"{spn << 12:#x}") for spn in np.asarray(spns)[:MOST].tolist()]
    return found + ([f"… and {len(spns) - MOST} more"] if len(spns) > MOST else [])


def _spaces(hv: Hypervisor) -> Iterator[tuple[int, Words, Words, Words, Words]]:
    """Yield (slot, guest pages, pages, rights, table pages) of each second level."""
    for slot in hv.alive():
        yield slot, *leaves(hv.state, hv.mem, int(hv.state["partition"]["root"][0, slot]))


def check_one_owner(machine: Any) -> list[str]:
    """I1: each page has one owner, who exists; all pages are counted once."""
    hv = _hv(machine)
    there = hv.mem[: hv.memory.pages] >> PLACE != 0
    owner = hv.memory.column("owner")
    counts = {slot: int(np.count_nonzero(there & (owner == slot))) for slot in [0, *hv.alive()]}
    strange = np.flatnonzero(there & ~np.isin(owner, list(counts)))
    found = _say("I1: the page at SPA {} belongs to nobody who exists", strange)
    if sum(counts.values()) + len(strange) != int(np.count_nonzero(there)):
        found.append(f"I1: {sum(counts.values())} pages are counted, {int(np.count_nonzero(there))} exist")
    return found


def check_mapped_is_allowed(machine: Any) -> list[str]:
    """I2: an entry is there only for the partition's own page, or for one shared with it, with those rights."""
    hv, found = _hv(machine), list[str]()
    owner, sharer, given = (hv.memory.column(name) for name in ("owner", "sharer", "share_rights"))
    for slot, _, spns, rights, _ in _spaces(hv):
        if len(spns) and int(spns.max()) >= hv.memory.pages:
            found += _say(f"I2: {hv.id_of(slot)} maps SPA {{}}, where no memory is", spns[spns >= hv.memory.pages])
            continue
        shared = (sharer[spns] == slot) & (rights & 7 & ~given[spns] == 0)
        found += _say(
            f"I2: partition {hv.id_of(slot)} maps SPA {{}} without a right to it", spns[(owner[spns] != slot) & ~shared]
        )
    return found


def check_no_alias(machine: Any) -> list[str]:
    """I3: two partitions map one page only if it is one's own and shared with the other."""
    hv = _hv(machine)
    owner, sharer = hv.memory.column("owner"), hv.memory.column("sharer")
    slots, pages = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for who, _, spns, _, _ in _spaces(hv):
        unique = np.unique(spns[spns < hv.memory.pages])
        slots.append(np.full(len(unique), who))
        pages.append(unique)
    slot, spn = np.concatenate(slots), np.concatenate(pages)
    count = np.bincount(spn, minlength=hv.memory.pages)
    twice = count[spn] > 1
    wrong = twice & (slot != owner[spn]) & (slot != sharer[spn])
    return _say(
        "I3: the page at SPA {} is mapped by two partitions without a share", np.unique(spn[wrong | (count[spn] > 2)])
    )


def check_teardown(machine: Any) -> list[str]:
    """I4: nothing names a partition that is gone: no page, no virtual processor, no cached translation."""
    hv, alive = _hv(machine), [0, *_hv(machine).alive()]
    found, there = list[str](), hv.mem[: hv.memory.pages] >> PLACE != 0
    for name in ("owner", "sharer", "deposited"):
        column = hv.memory.column(name)
        gone = there & ~np.isin(column, alive) & (column != NOBODY)
        found += _say(f"I4: {name} of the page at SPA {{}} is a partition that is gone", np.flatnonzero(gone))
    guests = hv.state["guest"]["partition"][0]
    found += [
        f"I4: VP {vp} belongs to a partition that is gone" for vp, s in enumerate(guests.tolist()) if s not in alive
    ]
    tags = {vpid_of(vp) for vp, slot in enumerate(guests.tolist()) if slot}
    for tlb in hv.lps():
        for cache in ("l1", "l2", "structure"):
            cached = set(np.unique(vpids_in(tlb[cache]["tag"][tlb[cache]["tag"] != 0])).tolist())
            found += [f"I4: the {cache} cache names VPID {tag}, which nobody has" for tag in sorted(cached - tags)]
        nested = tlb["nested"]["tag"]
        spaces = set((np.unique(nested[nested != 0] >> 45) - 1).tolist())
        found += [f"I4: the nested cache names space {slot}, which is gone" for slot in sorted(spaces - set(alive))]
    for slot in range(1, SLOTS):
        if slot not in alive and hv.state["partition"][0, slot].tobytes().strip(b"\0"):
            found.append(f"I4: slot {slot} is free and not empty")
    return found


def check_scrubbed(machine: Any) -> list[str]:
    """I5: a page with a former owner's bytes is in nobody's hands: the hypervisor's, and mapped nowhere."""
    hv = _hv(machine)
    dirty = hv.memory.column("dirty") != 0
    found = _say("I5: the dirty page at SPA {} has an owner", np.flatnonzero(dirty & (hv.memory.column("owner") != 0)))
    for slot, _, spns, _, _ in _spaces(hv):
        seen = spns[dirty[spns]]
        found += _say(f"I5: partition {hv.id_of(slot)} maps the dirty page at SPA {{}}", seen)
    return found


def check_atomic(machine: Any) -> list[str]:
    """I6: a call that failed changed nothing (looked at while `hv.audit` is on)."""
    return list(_hv(machine).findings)


def check_tables_out_of_reach(machine: Any) -> list[str]:
    """I7: no partition maps a page of a second-level table or of another of the hypervisor's own structures."""
    hv, found = _hv(machine), list[str]()
    table, owner = hv.memory.column("table") != 0, hv.memory.column("owner")
    for slot, _, spns, _, tables in _spaces(hv):
        found += _say(f"I7: partition {hv.id_of(slot)} maps the table page at SPA {{}}", spns[table[spns]])
        loose = tables[~table[tables] | (owner[tables] != 0)]
        found += _say(f"I7: a table of partition {hv.id_of(slot)} lies at SPA {{}}, not among the hypervisor's", loose)
    return found


def check_privileges(machine: Any) -> list[str]:
    """I8: no call succeeded whose privilege the caller lacked (looked at while `hv.audit` is on)."""
    found = []
    for code, slot, held, status in _hv(machine).done:
        if status == Status.SUCCESS and CALLS[code].bit & ~held:
            found.append(f"I8: {CALLS[code].name} succeeded for slot {slot} without its privilege")
    return found


def check_tlb(machine: Any) -> list[str]:
    """I13: each cached translation equals a fresh walk, or bears the mark that a flush is owed for it."""
    hv = _hv(machine)
    hv.settle()
    before = {key: words.copy() for key, words in _entries(hv)}
    stale.mark(hv.state, hv.mem)
    found = []
    for key, words in _entries(hv):
        fresh = np.count_nonzero((words & STALE != 0) & (before[key] & STALE == 0))
        if fresh:
            found.append(f"I13: {fresh} entries of {key[1]} on processor {key[0]} are stale without a mark")
        words[...] = before[key]
    return found


def _entries(hv: Hypervisor) -> Iterator[tuple[tuple[int, str], Words]]:
    for lp, tlb in enumerate(hv.lps()):
        for cache in ("l1", "l2", "structure", "nested"):
            yield (lp, cache), tlb[cache]["entry"]


def check_no_stale(machine: Any) -> list[str]:
    """I13, after a flush: nothing bears the mark any more."""
    count = stale.stale(_hv(machine).state)
    return [f"I13: {count} stale entries survived"] if count else []


def check_same(one: Any, other: Any, what: str = "I17") -> list[str]:
    """I12 and I17: two traces that must not differ, row by row; the first difference, told."""
    if one.digest() == other.digest():
        return []
    ours, theirs = one.sentences(), other.sentences()
    for k, (mine, yours) in enumerate(zip(ours, theirs, strict=False)):
        if mine != yours or one.rows[k].tolist() != other.rows[k].tolist():
            return [f"{what}: row {k} differs: {mine!r} against {yours!r}"]
    return [f"{what}: one trace has {len(one)} rows, the other {len(other)}"]


CHECKS = (
    check_siblings,
    check_one_owner,
    check_mapped_is_allowed,
    check_no_alias,
    check_teardown,
    check_scrubbed,
    check_atomic,
    check_tables_out_of_reach,
    check_privileges,
    check_tlb,
    check_interrupts,
    check_messages,
    check_message_teardown,
)


def check_all(machine: Any) -> list[str]:
    """Return every breach of every invariant that a single machine shows."""
    return [sentence for check in CHECKS for sentence in check(machine)]
