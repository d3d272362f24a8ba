"""The worker process: takes messages from the page or from SINT0, lets a device answer, finishes the instruction."""

import pytest
from invariants import hold

from hvlab.child.program import Program, jump, move, special
from hvlab.errors import BadRequest
from hvlab.machine import Machine
from hvlab.root.vdev.ide import Ide
from hvlab.root.vdev.uart import Uart
from hvlab.wire.intercepts import InterceptType
from hvlab.wire.tlfs import MessageType


@pytest.fixture
def child():
    return Machine(memory=2 << 20).child("web", memory=64 * 4096)


@pytest.fixture(params=["page", "SINT0"])
def worker(request, child):
    if request.param == "SINT0":
        child.worker.listen()
    child.worker.add_device(Uart())
    return child.worker


def put(text):
    return [part for byte in text for part in (move("rax", byte), move("rdx", 0x3F8), special("out dx, al"))]


def test_what_the_child_writes_to_the_port_reaches_the_device(child, worker):
    program = Program(put(b"hello"))

    assert child.run(program) is None
    assert worker.bus.devices[0].sent == b"hello"
    assert program.histogram == {"IO": 5, "direct": 10}
    assert {line.handled for line in program.lines if line.exit} == {"parent"}
    hold(child.machine)


def test_what_the_device_has_reaches_the_child(child, worker):
    worker.bus.devices[0].receive(b"x")
    program = Program([move("rax", 0x1234_5600), move("rdx", 0x3F8), special("in al, dx")])

    assert child.run(program) is None
    assert child.vp.get("rax") == 0x1234_5678


def test_a_leaf_and_a_register_are_answered_by_the_worker(child, worker):
    worker.answer_cpuid(0x4000_0001, (1, 2, 3, 4))
    worker.answer_msr(0x1B0, 0x1111_2222_3333_4444)
    program = Program([move("rax", 0x4000_0001), special("cpuid"), move("rcx", 0x1B0), special("rdmsr")])

    assert child.run(program) is None
    assert [child.vp.get(name) for name in ("rax", "rbx", "rdx")] == [0x3333_4444, 2, 0x1111_2222]
    child.vp.put(rcx=0x1B0, rax=5, rdx=6)
    child.vp.execute("wrmsr")
    assert worker.handle().kind == MessageType.MSR_INTERCEPT
    assert worker.msrs[0x1B0] == 6 << 32 | 5


@pytest.mark.parametrize(("whole", "exits"), [(True, 1), (False, 512)])
def test_a_string_is_one_exit_or_one_for_each_element(child, whole, exits):
    child.worker.add_device(Ide())
    child.worker.whole_strings = whole
    disk = [move("rdx", 0x1F7), move("rax", 0xEC), special("out dx, al"), move("rdx", 0x1F0)]
    program = Program([*disk, move("rdi", 0x3000), move("rcx", 512), special("rep insb")])

    assert child.run(program) is None
    assert program.histogram["IO"] == 1 + exits
    assert child.read(0x3000, 512) == child.worker.bus.devices[0].identity.encode()
    assert (child.vp.get("rcx"), child.vp.get("rdi")) == (0, 0x3200)


def test_a_string_through_page_tables_lands_where_they_say(child):
    child.worker.add_device(Ide())
    child.enable_paging({0x7000_0000: 0x5000, 0x7000_1000: 0x9000, 0: 0}, 16)
    child.vp.put(rax=0xEC, rdx=0x1F7)
    child.vp.execute("out dx, al")
    child.worker.handle()
    child.vp.put(rdx=0x1F0, rdi=0x7000_0F00, rcx=512)
    child.vp.execute("rep insb")
    child.worker.handle()

    data = child.worker.bus.devices[0].identity.encode()
    assert child.vp.read_gpa(0x5F00, 256) == data[:256]
    assert child.vp.read_gpa(0x9000, 256) == data[256:]


def test_outs_writes_what_lies_in_memory(child, worker):
    child.write(0x3000, b"bytes")
    program = Program([move("rdx", 0x3F8), move("rsi", 0x3000), move("rcx", 5), special("rep outsb")])

    assert child.run(program) is None
    assert worker.bus.devices[0].sent == b"bytes"


def test_where_the_memory_ends_the_string_stops_and_the_child_waits(child, worker):
    program = Program([move("rdx", 0x3F8), move("rdi", 64 * 4096 - 2), move("rcx", 5), special("rep insb")])

    assert child.run(program).kind == "intercept"
    assert child.vp.suspended and worker.stuck == {0}
    assert child.vp.get("rcx") == 3  # two elements went in before it


def test_an_undefined_instruction_is_skipped_or_is_the_end(child, worker):
    worker.install(InterceptType.EXCEPTION, 6, 4)
    program = Program([special("ud2"), move("rax", 7)])

    assert child.run(program) is None and child.vp.get("rax") == 7
    worker.skip_undefined = False
    assert child.run(program).kind == "intercept" and child.vp.suspended


def test_halt_is_finished_by_the_worker(child, worker):
    child.machine.tell_halt = 1

    assert child.run(Program([special("hlt")])) is None
    assert child.vp.get("rip") == 0x1001


def test_memory_is_not_its_business(child, worker):
    assert child.read(0x80_0000).kind == "intercept"
    assert not worker.handle().resumed


@pytest.mark.parametrize("code", [[special("in al, dx"), jump(-3)], [move("rcx", -1), special("rep insb")]])
def test_a_hostile_program_ends_with_its_budget(child, worker, code):
    child.vp.put(rdx=0x3F8, rdi=0x3000)

    fault = child.run(Program(code), budget=300)

    assert fault.kind in ("budget", "intercept")


def test_messages_on_sint0_come_with_an_interrupt_and_free_their_slot(child):
    child.worker.listen()
    child.worker.add_device(Uart())
    vp = child.machine.root_vp
    child.vp.in_port(0x3F8)
    slot = vp.read(child.worker.message_gpn * 4096, 256)
    assert slot[:4] == (0x8001_0000).to_bytes(4, "little")
    assert int.from_bytes(slot[8:16], "little") == child.partition_id
    assert slot[16:] == vp.read(child.partition.message_gpns[0] * 4096 + 16, 240)
    assert 0x30 in vp.interrupts.waiting

    child.worker.handle()
    assert vp.read(child.worker.message_gpn * 4096, 4) == bytes(4)
    assert vp.interrupts.waiting == () and vp.interrupts.in_service == ()


def test_a_snapshot_holds_the_devices(child, worker):
    program, machine = Program(put(b"ab")), child.machine
    saved = machine.snapshot()
    child.run(program)
    after = machine.hash()

    machine.restore(saved)
    again = machine.children["web"]
    assert again.worker.bus.devices[0].sent == b""
    again.run(program)
    assert again.worker.bus.devices[0].sent == b"ab" and machine.hash() == after


def test_two_devices_cannot_share_a_port(worker):
    with pytest.raises(BadRequest, match="0x3f8"):
        worker.add_device(Uart())
