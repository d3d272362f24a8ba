"""The root's side of VMBus: ports and connections for each child by the real calls, and who keeps a page in place."""

import pytest
from invariants import hold

from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.vmbus.offer import device
from hvlab.wire.tlfs import Msr

PAGE = 4096


def made(children=2):
    machine = Machine(memory=4 << 20)
    there = [machine.child(f"c{k}", 64 * PAGE, pool=32) for k in range(children)]
    return machine, there, [machine.vmbus.host(child.partition_id) for child in there]


def connections(machine, partition):
    """Return the ids of a partition's connections."""
    table, slots = machine.state["connection"][0], machine.hv.alive()
    slot = next(slot for slot in slots if machine.hv.id_of(slot) == partition)
    return sorted(int(one["id"]) for one in table if int(one["owner"]) == slot)


def test_the_roots_synic_is_switched_on_once():
    machine, _, _ = made()
    vp = machine.root_vp

    assert vp.rdmsr(Msr.SCONTROL) == 1 and vp.rdmsr(Msr.SINT2) == 0x31
    assert vp.rdmsr(Msr.SIMP) & 1 and vp.rdmsr(Msr.SIEFP) & 1


def test_each_child_may_post_on_1_4_and_the_returned_one_and_signal_on_2():
    machine, children, _ = made()

    for child in children:
        assert connections(machine, child.partition_id) == [1, 2, 4, 0x800074]
    assert len(connections(machine, 1)) == 4  # messages and signals to the first VP of each child


def test_a_message_is_known_by_the_port_that_it_came_to():
    machine, children, hosts = made()
    kernels = [machine.boot_kernel(child) for child in children]
    for kernel in kernels:
        kernel.guest.idle = lambda: None
    with machine.action():
        kernels[1].guest.contact(kernels[1].guest.versions[0])
        while machine.vmbus.service() or any(kernel.service() for kernel in kernels):
            pass
    assert (hosts[0].state.version, hosts[1].state.version >> 16) == (0, 5)
    assert kernels[0].guest.state.version == 0


def test_a_child_that_goes_takes_its_ports_and_connections_with_it_and_leaves_the_others():
    machine, children, hosts = made()
    hosts[0].offer(device("scsi"))
    children[0].destroy()

    assert connections(machine, 1) and len(connections(machine, 1)) == 2
    assert connections(machine, children[1].partition_id) == [1, 2, 4, 0x800074]
    hold(machine)


def test_a_page_stays_as_long_as_one_list_names_it():
    machine, (child, _), hosts = made()
    vid, ground = machine.vid, hosts[0].ground
    ground.pin([20, 21, 20], 1)
    ground.pin([20, 21], -1)
    with pytest.raises(BadRequest, match="GPADL"):
        vid.remove_memory(child.partition, 18, 4)
    assert 18 in child.partition.pages

    vid.remove_memory(child.partition, 21, 1)
    ground.pin([20], -1)
    vid.remove_memory(child.partition, 20, 1)
    assert child.partition.pinned == {}
    hold(machine)


def test_a_page_that_the_child_has_not_is_nobodys():
    _, (child, other), hosts = made()

    assert hosts[0].ground.page(63) == child.partition.pages[63]
    assert hosts[0].ground.page(64) is None and hosts[1].ground.page(63) == other.partition.pages[63]
    assert hosts[0].ground.page(1 << 60) is None
