"""Each check turns red when exactly its own thing is broken, and says what and where."""

import numpy as np
import pytest

from hvlab.hypervisor import invariants
from hvlab.hypervisor.address import R, W, X, leaf, map_page
from hvlab.wire.tlfs import Status


def break_owner(machine, child):
    machine.hv.memory.mark(200, owner=7)


def break_right(machine, child):
    map_page(machine.hv, 2, 3, leaf(machine.state, 200, R | W | X), None)


def break_share(machine, child):
    spn = child.partition.pages[3]
    machine.hv.memory.mark(spn, sharer=255, share_rights=0)


def break_teardown(machine, child):
    child.read(0)
    machine.state["guest"]["partition"][0, child.vp.number] = 5


def break_scrub(machine, child):
    machine.hv.memory.mark(child.partition.pages[3], dirty=1)


def break_table(machine, child):
    map_page(machine.hv, 2, 3, leaf(machine.state, int(machine.state["partition"]["root"][0, 2]) >> 12, R), None)


def break_cache(machine, child):
    child.read(0)
    cache = machine.state["lp"][0, 1]["tlb"]["l1"]
    where = np.nonzero(cache["tag"])
    cache["entry"][where] ^= 1 << 13


def break_call(machine, child):
    machine.hv.findings.append("I6: something failed and changed something")


def break_privilege(machine, child):
    machine.hv.done.append((0x48, 2, 0, int(Status.SUCCESS)))


def break_message(machine, child):
    machine.state["messages"]["accepted"] += 1


def break_port(machine, child):
    machine.state["port"]["owner"][0, 5] = 6


def break_interrupts(machine, child):
    machine.state["apic"][0, child.vp.number]["irr"][0] |= 1 << 5


def break_core(machine, child):
    machine.state["scheduler"]["kind"], machine.state["scheduler"]["smt"] = 1, 1
    machine.state["lane"]["vp"][0, :2] = machine.root_vp.number + 1, child.vp.number + 1


BREACHES = {
    "check_siblings": break_core,
    "check_interrupts": break_interrupts,
    "check_messages": break_message,
    "check_message_teardown": break_port,
    "check_one_owner": break_owner,
    "check_mapped_is_allowed": break_right,
    "check_no_alias": break_share,
    "check_teardown": break_teardown,
    "check_scrubbed": break_scrub,
    "check_tables_out_of_reach": break_table,
    "check_tlb": break_cache,
    "check_atomic": break_call,
    "check_privileges": break_privilege,
}


def test_a_sound_machine_shows_no_breach(machine, child):
    child.read(0)
    child.write(0x5000, b"x")

    assert invariants.check_all(machine) == []


def test_every_check_has_its_breach():
    assert set(BREACHES) == {check.__name__ for check in invariants.CHECKS}


@pytest.mark.parametrize("name", BREACHES)
def test_the_check_turns_red(machine, child, name):
    BREACHES[name](machine, child)

    assert getattr(invariants, name)(machine) != []
    assert all(sentence.startswith(("I", "…")) for sentence in invariants.check_all(machine))


def test_many_breaches_are_cut_short(machine, child):
    for spn in range(300, 320):
        machine.hv.memory.mark(spn, owner=7)

    assert len(invariants.check_one_owner(machine)) == invariants.MOST + 1


def test_an_audited_call_that_changes_something_is_found(machine, caller, monkeypatch):
    from hvlab.hypervisor import hypercall

    def careless(hv, request):
        hv.state["partition"]["guest_os_id"][0, 1] += 1
        return Status.INVALID_PARAMETER

    monkeypatch.setitem(hypercall.SIMPLE, 0x46, careless)
    machine.hv.audit = True

    caller("GetPartitionId")

    assert invariants.check_atomic(machine) == ["I6: GetPartitionId failed and changed something"]


def test_two_traces_are_compared_row_by_row(machine, child):
    one = machine.translate(child.vp, 0x1000).trace
    other = machine.translate(child.vp, 0x1000).trace

    assert invariants.check_same(one, one) == []
    assert "row 0 differs" in invariants.check_same(one, other)[0] or "row 1" in invariants.check_same(one, other)[0]
