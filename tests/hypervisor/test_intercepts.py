"""Instructions that leave the guest: who asked, what the message says byte by byte, who answers."""

import struct

import numpy as np
import pytest
from invariants import hold

from hvlab.errors import BadRequest
from hvlab.hypervisor.intercept_table import REQUESTS
from hvlab.wire.intercepts import MESSAGES, InterceptType
from hvlab.wire.tlfs import Status

READ, WRITE, EXECUTE = 1, 2, 4
SEGMENT = struct.pack("<QIHH", 0, 0, 0, 0)


@pytest.fixture
def install(machine, child, caller):
    def ask(kind, parameter=0, access=READ | WRITE, partition=child.partition_id):
        words = {"partition_id": partition, "access_type": access, "intercept_type": kind, "parameter": parameter}
        return caller("InstallIntercept", **words)[0]

    return ask


def page(machine, child):
    return machine.root_vp.read(child.partition.message_gpns[0] * 4096, 256)


def front(kind, size, rip, length, access):
    """Message header and intercept header, laid out by hand from Linux hvhdk.h."""
    head = struct.pack("<IBBHQ", kind, size, 0, 0, 0)
    return head + struct.pack("<IBBH", 0, length, access, 0b100) + SEGMENT + struct.pack("<QQ", rip, 2)


# the call -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "parameter", "access", "status"),
    [
        (InterceptType.IO_PORT, 0xFFFF, 3, "SUCCESS"),
        (InterceptType.IO_PORT, 0x1_0000, 3, "INVALID_PARAMETER"),
        (InterceptType.IO_PORT, 0x80, 4, "INVALID_PARAMETER"),
        (InterceptType.MSR, 0, 3, "SUCCESS"),
        (InterceptType.MSR, 1, 3, "INVALID_PARAMETER"),
        (InterceptType.MSR_INDEX, 0xFFFF_FFFF, 1, "SUCCESS"),
        (InterceptType.CPUID, 0x4000_0000, 4, "SUCCESS"),
        (InterceptType.CPUID, 0x4000_0000, 1, "INVALID_PARAMETER"),
        (InterceptType.EXCEPTION, 31, 4, "SUCCESS"),
        (InterceptType.EXCEPTION, 32, 4, "INVALID_PARAMETER"),
        (5, 0, 1, "INVALID_PARAMETER"),
    ],
)
def test_what_may_be_asked_for(install, machine, child, kind, parameter, access, status):
    before = machine.state["request"].copy()

    assert install(kind, parameter, access) == status
    assert (before.tobytes() == machine.state["request"].tobytes()) == (status != "SUCCESS")


def test_only_the_parent_may_ask(guest, install, child):
    words = {"access_type": 3, "intercept_type": 0, "parameter": 0x80}

    assert guest("InstallIntercept", partition_id=child.partition_id, **words)[0] == "ACCESS_DENIED"
    assert guest("InstallIntercept", partition_id=1, **words)[0] == "ACCESS_DENIED"
    assert install(0, 0x80, partition=1) == "ACCESS_DENIED"
    assert install(0, 0x80, partition=99) == "INVALID_PARTITION_ID"


def test_a_request_that_fails_changes_nothing(install, machine):
    machine.hv.audit = True
    for port in range(REQUESTS):
        assert install(InterceptType.IO_PORT, port) == "SUCCESS"
    before = machine.state["request"].tobytes()

    assert install(InterceptType.IO_PORT, REQUESTS) == "NO_RESOURCES"
    assert install(InterceptType.CPUID, 1, 8) == "INVALID_PARAMETER"
    assert machine.state["request"].tobytes() == before and machine.hv.findings == []
    assert install(InterceptType.IO_PORT, 3, READ) == "SUCCESS"  # one that is there can still be changed


def test_an_access_of_nothing_takes_the_request_back(install, child):
    install(InterceptType.IO_PORT, 0x80)
    install(InterceptType.IO_PORT, 0x80, 0)

    assert install(InterceptType.IO_PORT, 0x81, 0) == "SUCCESS"
    assert child.vp.in_port(0x80) == 0xFF
    assert not child.vp.suspended


def test_requests_end_with_their_partition(install, machine, child):
    install(InterceptType.IO_PORT, 0x80)
    child.destroy()

    assert not machine.state["request"].tobytes().strip(b"\0")
    hold(machine)


# messages, byte by byte -----------------------------------------------------------------------------------------------


def test_a_port_message_lies_as_in_the_header(install, machine, child):
    install(InterceptType.IO_PORT, 0x3F8)
    child.vp.put(rip=0x1234, rax=0x1122_3344_5566_7788, rdx=0xAB_03F8, rcx=9, rsi=0x77, rdi=0x3000)

    assert child.vp.execute("rep insb").kind == "intercept"

    body = struct.pack("<HBBIQ", 0x3F8, 1 | 8 | 16, 2, 0, 0x1122_3344_5566_7788) + b"\xf3\x6c".ljust(16, b"\0")
    body += SEGMENT + SEGMENT + struct.pack("<QQQ", 9, 0x77, 0x3000)
    assert page(machine, child) == (front(0x8001_0000, 128, 0x1234, 2, 0) + body).ljust(256, b"\0")


@pytest.mark.parametrize(("size", "code"), [(1, "ee"), (2, "66ef"), (4, "ef")])
def test_a_port_message_says_how_wide_the_access_is(install, machine, child, size, code):
    install(InterceptType.IO_PORT, 0x1F0, WRITE)

    assert child.vp.out_port(0x1F0, 0x1234_5678, size).kind == "intercept"

    data = page(machine, child)[56:]
    assert data[:4] == struct.pack("<HBB", 0x1F0, size, len(code) // 2)
    assert data[16 : 16 + len(code) // 2].hex() == code
    assert int.from_bytes(data[8:16], "little") == 0x1234_5678 & (1 << 8 * size) - 1


def test_reads_and_writes_are_asked_for_apart(install, child):
    install(InterceptType.IO_PORT, 0x80, WRITE)

    assert child.vp.in_port(0x80, 2) == 0xFFFF
    assert child.vp.out_port(0x80, 1).kind == "intercept"


def test_an_msr_message_lies_as_in_the_header(install, machine, child):
    install(InterceptType.MSR_INDEX, 0x1B0)
    child.vp.put(rip=0x2000)

    assert child.vp.wrmsr(0x1B0, 0x1111_2222_3333_4444).kind == "intercept"

    body = struct.pack("<IIQQ", 0x1B0, 0, 0x1111_2222, 0x3333_4444)
    assert page(machine, child) == (front(0x8001_0001, 64, 0x2000, 2, 1) + body).ljust(256, b"\0")


def test_all_msrs_means_those_that_the_hypervisor_does_not_have(install, child):
    install(InterceptType.MSR)

    assert child.vp.rdmsr(0x4000_0002) == 0  # VP_INDEX
    assert child.vp.rdmsr(0x1B0).kind == "intercept"


def test_a_cpuid_message_carries_what_the_hypervisor_would_say(install, machine, child):
    install(InterceptType.CPUID, 0x4000_0001, EXECUTE)
    child.vp.put(rip=0x2000, rax=0x4000_0001, rcx=1, rdx=2, rbx=3)

    assert child.vp.execute("cpuid").kind == "intercept"

    hv1 = int.from_bytes(b"Hv#1", "little")
    body = struct.pack("<8Q", 0x4000_0001, 1, 2, 3, hv1, 0, 0, 0)
    assert page(machine, child) == (front(0x8001_0002, 104, 0x2000, 2, 2) + body).ljust(256, b"\0")


def test_a_leaf_that_the_parent_answers_has_no_answer_at_once(install, child):
    install(InterceptType.CPUID, 1, EXECUTE)

    with pytest.raises(BadRequest, match="its parent answers it"):
        child.vp.cpuid(1)


def test_an_exception_message_lies_as_in_the_header(install, machine, child):
    install(InterceptType.EXCEPTION, 6, EXECUTE)
    child.vp.put(rip=0x2000, **{name: k for k, name in enumerate(["rax", "rcx", "rdx", "rbx", "rsp"], 1)}, r15=15)

    assert child.vp.execute("ud2").kind == "intercept"

    registers = [1, 2, 3, 4, 5, *[0] * 10, 15]
    body = struct.pack("<HBBIQQ", 6, 0, 2, 0, 0, 0) + b"\x0f\x0b".ljust(16, b"\0") + SEGMENT * 2
    body += struct.pack("<16Q", *registers)
    assert page(machine, child) == front(0x8001_0003, 240, 0x2000, 0, 2) + body


def test_a_general_protection_fault_has_an_error_code(install, machine, child):
    install(InterceptType.EXCEPTION, 13, EXECUTE)

    assert child.vp.rdmsr(0x9999).kind == "intercept"
    assert page(machine, child)[56:60] == struct.pack("<HBB", 13, 1, 0)


def test_an_exception_that_nobody_asked_for_is_no_exit(child):
    before = child.vp.exits

    assert child.vp.execute("ud2").kind == "#UD"
    assert child.vp.exits == before and "instruction_exited" not in child.machine.trace.kinds()


def test_halt_is_told_where_the_knob_says_so(machine, child):
    assert child.vp.halt() is None and not child.vp.suspended

    machine.tell_halt = 1
    child.vp.put(rip=0x40)
    assert child.vp.halt().kind == "intercept"
    assert page(machine, child) == front(0x8001_0007, 40, 0x40, 1, 2).ljust(256, b"\0")


def test_each_message_fits_into_a_slot():
    assert [kind.size for kind in MESSAGES] == [128, 64, 104, 240, 40]
    assert {kind.number for kind in MESSAGES} == {0x8001_0000, 0x8001_0001, 0x8001_0002, 0x8001_0003, 0x8001_0007}


# without a parent that asks -------------------------------------------------------------------------------------------


def test_an_instruction_that_is_done_leaves_its_results_and_moves_on(child):
    child.vp.put(rip=0x1000, rax=0x4000_0000)

    assert child.vp.execute("cpuid") is None
    assert child.vp.get("rip") == 0x1002
    words = b"".join(child.vp.get(name).to_bytes(4, "little") for name in ("rbx", "rcx", "rdx"))
    assert words == b"Microsoft Hv"
    child.vp.put(rcx=0x4000_0002)
    assert child.vp.execute("rdmsr") is None and child.vp.get("rip") == 0x1004


def test_in_keeps_what_it_does_not_write(child):
    child.vp.put(rax=0x1111_2222_3333_4444, rdx=0x80)
    child.vp.execute("in al, dx")
    assert child.vp.get("rax") == 0x1111_2222_3333_44FF
    child.vp.execute("in eax, dx")
    assert child.vp.get("rax") == 0xFFFF_FFFF


def test_a_string_without_a_device_takes_one_exit_for_each_element(child):
    child.vp.put(rip=0x1000, rdx=0x80, rcx=3, rdi=0x3000)
    before = child.vp.exits["IO"]
    rips = []
    while child.vp.get("rip") == 0x1000:
        assert child.vp.execute("rep insb") is None
        rips.append(child.vp.get("rip"))

    assert rips == [0x1000, 0x1000, 0x1002]
    assert child.vp.exits["IO"] - before == 3 and child.vp.get("rcx") == 0
    assert child.read(0x3000, 4) == b"\xff\xff\xff\0"
    assert child.vp.execute("rep insb") is None and child.vp.exits["IO"] - before == 3  # RCX is 0: nothing to do


@pytest.mark.parametrize("name", ["in al, dx", "out dx, al", "hlt", "rdmsr", "wrmsr"])
def test_user_mode_gets_a_fault_before_any_exit(child, name):
    child.vp.set(cpl=3)

    assert child.vp.execute(name).kind == "#GP"
    assert "instruction_exited" not in child.machine.trace.kinds()


def test_the_privilege_level_of_ports_is_in_the_flags(child):
    child.vp.set(cpl=3, rflags=2 | 3 << 12)

    assert child.vp.in_port(0x80) == 0xFF


def test_the_root_uses_its_ports_without_an_exit(machine):
    assert machine.root_vp.in_port(0x80) == 0xFF
    assert machine.root_vp.exits["IO"] == 0


def test_exits_are_counted_by_reason(child):
    child.vp.execute("cpuid")
    child.vp.in_port(0x80)
    child.vp.rdmsr(0x4000_0002)
    child.read(0x80_0000)

    counted = {name: count for name, count in child.vp.exits.items() if count}
    assert counted == {"CPUID": 1, "IO": 1, "MSR": 1, "MEMORY": 1}


def test_each_exit_costs_what_the_table_says(machine, child):
    costs = machine.state["cost"][0]
    begun = int(machine.state["now"][0])
    child.vp.in_port(0x80)
    assert int(machine.state["now"][0]) - begun == costs["exit"]


def test_an_unknown_instruction_or_register_is_refused(child):
    for wrong in (lambda: child.vp.execute("nop"), lambda: child.vp.put(cr3=1), lambda: child.vp.in_port(0x10000)):
        with pytest.raises(BadRequest):
            wrong()
    with pytest.raises(BadRequest):
        child.vp.note("parent_told", partition=1, vp_index=0, kind=0, what=0, spa=0)


def test_random_installs_against_a_table_in_plain_python(install, machine, child):
    pick, model = np.random.default_rng(7), {}
    masks = {InterceptType.IO_PORT: 3, InterceptType.MSR_INDEX: 3, InterceptType.CPUID: 4}
    for _ in range(120):
        kind = list(masks)[pick.integers(3)]
        parameter, access = int(pick.integers(40)), int(pick.integers(8))
        status = install(kind, parameter, access)
        if access & ~masks[kind]:
            expected = "INVALID_PARAMETER"
        elif access and (kind, parameter) not in model and len(model) == REQUESTS:
            expected = "NO_RESOURCES"
        else:
            expected = "SUCCESS"
            if access:
                model[kind, parameter] = access
            else:
                model.pop((kind, parameter), None)
        assert status == expected
        rows = machine.state["request"][0]
        held = {(int(r["type"]), int(r["parameter"])): int(r["access"]) for r in rows if r["owner"]}
        assert held == model
    assert Status[status] in Status
