"""How a guest finds out where it runs: the order, and where it stops."""

import pytest

from hvlab.child.discovery import LINUX, disable_synic, discover, enable_synic, establish
from hvlab.machine import Machine
from hvlab.wire.tlfs import GUEST_PRIVILEGES, Msr, PrivilegeMask

PAGE = 4096
ORDER = [1, 0x40000000, 0x40000001, 0x40000003, 0x40000004, 0x40000005, 0x40000006]


@pytest.fixture
def machine():
    return Machine(memory=2 << 20)


def test_a_guest_asks_in_the_order_of_the_specification(machine):
    found = discover(machine.child("web", 64 * PAGE).vp)

    assert (found.asked, found.vendor, found.interface) == (ORDER, b"Microsoft Hv", b"Hv#1")
    assert found.enlightened and found.privileges == GUEST_PRIVILEGES
    assert found.may("post_messages") and not found.may("create_partitions")


def test_a_guest_without_hypercall_registers_is_not_enlightened(machine):
    less = GUEST_PRIVILEGES & ~PrivilegeMask.mask("access_hypercall_msrs")
    found = discover(machine.child("less", 16 * PAGE, privileges=less).vp)

    assert found.why == "without access_hypercall_msrs"


class Strange:
    """A processor with another answer to one leaf."""

    def __init__(self, vp, leaf, words):
        self.vp, self.leaf, self.words = vp, leaf, words

    def cpuid(self, leaf):
        return self.words if leaf == self.leaf else self.vp.cpuid(leaf)


@pytest.mark.parametrize(
    ("leaf", "words", "asked", "why"),
    [
        (1, (0, 0, 0, 0), 1, "no hypervisor"),
        (0x40000000, (0x40000001, 0x4B4D564B, 0x564B4D56, 0x4D), 2, "too few leaves"),
        (0x40000001, (0, 0, 0, 0), 3, "another interface"),
    ],
)
def test_it_stops_where_the_rest_means_nothing(machine, leaf, words, asked, why):
    found = discover(Strange(machine.child("web", 64 * PAGE).vp, leaf, words))

    assert (found.asked, found.why) == (ORDER[:asked], why)


def test_a_guest_of_another_vendor_with_the_interface_is_enlightened_as_the_tlfs_says(machine):
    vp = machine.child("web", 64 * PAGE).vp
    found = discover(Strange(vp, 0x40000000, (0x40000006, 0x756E694C, 0x564B2078, 0x7648204D)))

    assert found.enlightened and found.vendor == b"Linux KVM Hv"


def test_identity_comes_before_the_hypercall_page(machine):
    vp = machine.child("web", 64 * PAGE).vp

    assert establish(vp, 9) is None

    assert vp.rdmsr(Msr.GUEST_OS_ID) == LINUX
    assert vp.rdmsr(Msr.HYPERCALL) == 9 << 12 | 1


def test_the_synic_is_switched_on_with_its_control_register_last(machine):
    vp = machine.child("web", 64 * PAGE).vp
    with machine.action():
        assert enable_synic(vp, 5, 6, 0xF3) is None
    trace = machine.trace

    assert [trace.fact(k, "msr") for k in trace.of("msr_written")] == [Msr.SIMP, Msr.SIEFP, Msr.SINT2, Msr.SCONTROL]
    assert vp.rdmsr(Msr.SINT2) == 0x200F3  # what a recorded Linux wrote
    assert disable_synic(vp) is None
    assert (vp.rdmsr(Msr.SIMP), vp.rdmsr(Msr.SCONTROL)) == (0, 0)


def test_a_guest_that_lacks_a_privilege_learns_it_by_a_fault(machine):
    poor = machine.child("poor", 16 * PAGE, privileges=PrivilegeMask.mask("access_vp_index"))

    assert establish(poor.vp, 9).kind == "#GP"
    assert enable_synic(poor.vp, 5, 6, 0xF3).kind == "#GP"
    assert disable_synic(poor.vp).kind == "#GP"
