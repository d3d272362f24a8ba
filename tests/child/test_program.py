"""Tiny programs: what runs on the processor, what leaves it, and that nothing runs for ever."""

import pytest

from hvlab.child.program import Program, add, jump, load, loop, move, special, store
from hvlab.errors import BadRequest
from hvlab.machine import Machine


@pytest.fixture
def child():
    return Machine(memory=2 << 20).child("web", memory=64 * 4096)


def test_registers_and_memory_are_no_event_of_the_hypervisor(child):
    child.write(0x3000, b"\1")
    program = Program([move("rsi", 0x3000), load("rax", "rsi"), add("rax", "rax"), store("rsi", "rax")])

    assert child.run(program) is None
    assert child.read(0x3000, 1) == b"\2"
    assert program.exits == [] and program.histogram == {"direct": 4}


def test_what_runs_alone_is_told_by_the_hardware_only(child):
    child.run(Program([move("rax", 5), add("rax", "rax")]))

    assert child.machine.trace.kinds() == []
    assert child.vp.get("rax") == 10


@pytest.mark.parametrize(
    ("instruction", "code"),
    [
        (move("rbx", 0x11), "48bb1100000000000000"),
        (add("rax", "rcx"), "4801c8"),
        (load("rdx", "rsi"), "488b16"),
        (store("rdi", "rax"), "488907"),
        (jump(-2), "ebfe"),
        (loop(4), "e204"),
        (special("rep insb"), "f36c"),
    ],
)
def test_encodings_are_those_of_the_processor(instruction, code):
    assert instruction.code.hex() == code


def test_rip_moves_by_the_length_of_each_instruction(child):
    program = Program([move("rax", 1), add("rax", "rax"), special("cpuid"), special("hlt")], base=0x2000)

    child.run(program)

    assert [line.rip for line in program.lines] == [0x2000, 0x200A, 0x200D, 0x200F]
    assert child.vp.get("rip") == program.end == 0x2010


def test_the_strip_says_why_and_who(child):
    child.worker.answer_cpuid(1, (1, 1, 1, 1))
    program = Program([move("rax", 1), special("cpuid"), move("rcx", 0x4000_0002), special("rdmsr")])

    child.run(program)

    told = [(line.text, line.exit, line.handled) for line in program.lines]
    assert told[1] == ("cpuid", "CPUID", "parent") and told[3] == ("rdmsr", "MSR", "hypervisor")
    assert told[0] == ("mov rax, 0x1", "", "")


def test_a_load_leaves_the_guest_only_where_the_second_level_says_no(child):
    program = Program([move("rsi", 0x80_0000), load("rax", "rsi")])

    assert child.run(program).kind == "intercept"
    assert program.exits == [(0x100A, "MEMORY")]


def test_a_page_fault_is_no_exit(child):
    child.enable_paging({0: 0}, 16)
    program = Program([move("rsi", 0x7000_0000), load("rax", "rsi")])

    assert child.run(program).kind == "#PF"
    assert program.exits == []


def test_loop_counts_down(child):
    program = Program([move("rcx", 4), add("rax", "rcx"), loop(-5)])
    child.vp.put(rax=0)

    assert child.run(program) is None
    assert child.vp.get("rax") == 4 + 3 + 2 + 1


@pytest.mark.parametrize("code", [[jump(-2)], [move("rcx", 0), loop(-2)], [special("cpuid"), jump(-4)]])
def test_a_program_without_an_end_has_a_budget(child, code):
    program = Program(code)

    assert child.run(program, budget=500).kind == "budget"
    assert len(program.lines) <= 500


def test_a_jump_to_nowhere_is_an_undefined_instruction(child):
    assert child.run(Program([jump(100)])).kind == "#UD"
    assert child.run(Program([move("rax", 0), jump(-5)])).kind == "#UD"


def test_time_passes_by_the_table(child):
    costs, now = child.machine.state["cost"][0], child.machine.state["now"]
    begun = int(now[0])
    child.run(Program([move("rax", 1), special("cpuid"), add("rax", "rax")]))

    assert int(now[0]) - begun == 3 * costs["instruction"] + costs["exit"]


@pytest.mark.parametrize("make", [lambda: special("nop"), lambda: load("rax", "rsp"), lambda: move("cr3", 1)])
def test_what_it_does_not_know_is_refused(make):
    with pytest.raises(BadRequest):
        make()
