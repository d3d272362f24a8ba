"""What CPUID tells a guest about the hypervisor."""

import struct

from hvlab.wire.cpuid import HardwareBits, RecommendationBits
from hvlab.wire.tlfs import GUEST_PRIVILEGES


def test_a_guest_finds_the_hypervisor(child):
    assert child.vp.cpuid(1)[2] >> 31 == 1
    highest, *name = child.vp.cpuid(0x40000000)
    assert highest >= 0x40000005
    assert struct.pack("<3I", *name) == b"Microsoft Hv"
    assert struct.pack("<I", child.vp.cpuid(0x40000001)[0]) == b"Hv#1"


def test_the_privilege_mask_is_the_partitions(machine, child):
    low, high, _, _ = child.vp.cpuid(0x40000003)

    assert high << 32 | low == GUEST_PRIVILEGES
    assert machine.root_vp.cpuid(0x40000003)[1] & 1  # CreatePartitions
    assert not high & 1


def test_features_tell_what_this_hypervisor_does(child):
    edx = child.vp.cpuid(0x40000003)[3]

    assert edx >> 18 & 1 and not edx >> 4 & 1  # the MSR can be locked; no XMM input
    assert RecommendationBits.decode(child.vp.cpuid(0x40000004)[0]).hypercall_for_remote_flush
    assert child.vp.cpuid(0x40000004)[2] == 46
    assert HardwareBits.decode(child.vp.cpuid(0x40000006)[0]).second_level


def test_limits_and_leaves_that_are_not_there(child):
    assert child.vp.cpuid(0x40000005)[:2] == (8, 4)
    assert child.vp.cpuid(0x40000007) == child.vp.cpuid(0) == (0, 0, 0, 0)
