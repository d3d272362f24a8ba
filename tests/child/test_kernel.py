"""A guest's kernel boots up to VMBus: what it asks, what it sets, and what a Windows guest does otherwise."""

import pytest

from hvlab.child.kernel import KINDS, WINDOWS, Places
from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.wire import vmbus
from hvlab.wire.tlfs import GUEST_PRIVILEGES, GuestOsId, Msr, PrivilegeMask

PAGE = 4096
SYNIC = [Msr.SIMP, Msr.SIEFP, Msr.SINT2, Msr.SCONTROL]


def boot(kind="linux", vps=2, **how):
    machine = Machine(memory=4 << 20)
    child = machine.child("web", 64 * PAGE, vps=vps, pool=32)
    machine.vmbus.host(child.partition_id)
    return machine, child, machine.boot_kernel(child, kind, **how), machine.trace


def registers(trace):
    """Return (VP, register, value) of each register that was written, in order."""
    return [
        (int(trace.rows[k, 2]), trace.fact(k, "msr"), trace.fact(k, "value"))
        for k, name in enumerate(trace.kinds())
        if name == "msr_written"
    ]


def test_a_kernel_says_who_it_is_then_the_hypercall_page_then_each_synic_with_scontrol_last():
    _, child, _, trace = boot()
    first, second = (vp.number for vp in child.vps)

    wanted = [(first, Msr.GUEST_OS_ID), (first, Msr.HYPERCALL)]
    wanted += [(vp, register) for vp in (first, second) for register in SYNIC]
    assert [(vp, register) for vp, register, _ in registers(trace)] == wanted


def test_the_sint_of_vmbus_is_0x200f3_as_linux_sets_it():
    _, _, _, trace = boot()

    assert [value for _, register, value in registers(trace) if register == Msr.SINT2] == [0x200F3, 0x200F3]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_linux_and_windows_say_another_identity_and_another_first_version(kind):
    _, _, kernel, trace = boot(kind)
    identity = GuestOsId.decode(registers(trace)[0][2])

    if kind == "windows":
        assert registers(trace)[0][2] == WINDOWS and (identity.vendor, identity.os) == (1, 4)
        assert kernel.guest.versions[0] == vmbus.V6 and kernel.guest.features
    else:
        assert registers(trace)[0][2] >> 48 & 0xFFFF == 0x8100  # open source, Linux
        assert [vmbus.BY_VALUE[one].name for one in kernel.guest.versions] == [
            "5.3", "5.2", "5.1", "5.0", "4.1", "4.0", "3.0", "2.4",
        ]  # fmt: skip


def test_a_kernel_has_its_pages_where_it_is_told():
    places = Places(7, ((9, 8, 11),), (12, 13, 14), tuple(range(20, 40)))
    machine, child, kernel, trace = boot(vps=1, places=places)

    assert [value >> 12 for _, register, value in registers(trace) if register in (Msr.SIMP, Msr.SIEFP)] == [9, 8]
    kernel.guest.idle = lambda: [machine.vmbus.service(), kernel.service(), machine.vmbus.service(), kernel.service()]
    with machine.action():
        assert kernel.guest.connect().name == "5.3"


def test_a_guest_without_the_privilege_for_its_synic_does_not_get_as_far_as_vmbus():
    machine = Machine(memory=4 << 20)
    less = GUEST_PRIVILEGES & ~PrivilegeMask.mask("access_synic_msrs")
    child = machine.child("less", 64 * PAGE, privileges=less, pool=32)
    with pytest.raises(BadRequest, match="SynIC"):
        machine.boot_kernel(child)


def test_an_unknown_kind_of_guest_names_those_there_are():
    machine = Machine(memory=4 << 20)
    child = machine.child("web", 64 * PAGE, pool=32)
    with pytest.raises(BadRequest, match="linux, windows"):
        machine.boot_kernel(child, "freebsd")
