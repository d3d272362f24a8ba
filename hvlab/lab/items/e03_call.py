"""Lesson 03, E3: `winhv_call`, the function behind which a kernel hides the calling convention."""

from collections.abc import Callable
from typing import Any, Final

from hvlab.hypervisor.vp import Fault, Vp
from hvlab.lab.answer import Number, Plain, record
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.items.e03_rig import BLOCKS, CALL_PAGE, LIST, NESTED, PAGE, SPACE, Made, effect, guest, outcome, whole
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.call import call_story
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import HypercallControl, HypercallResult

LONG_EVERY: Final = 40
ENTRIES: Final = 400  # times that one case may enter the hypervisor
OUTCOME: Final = record(status=Number("hex"), done=Number(), effect=Number("hex"))


class Door:
    """What the learner's function has of a guest: its free memory, its registers, the call instruction.

    Attributes
    ----------
    free : int
        GPA from which on memory is free, four pages at least; 0: none.
    call_page : int
        Number of a page of the guest over which the hypercall page may lie.
    """

    def __init__(self, vp: Vp, world: Made, meter: Meter) -> None:
        self._vp, self._meter = vp, meter
        self.free, self.call_page = world.free, CALL_PAGE

    def rdmsr(self, number: int) -> Any:
        """Read a register."""
        return _plain(self._vp.rdmsr(int(number)))

    def wrmsr(self, number: int, value: int) -> Any:
        """Write a register."""
        return _plain(self._vp.wrmsr(int(number), int(value)))

    def write(self, gpa: int, data: bytes) -> Any:
        """Write bytes by GPA."""
        return _plain(self._vp.write_gpa(int(gpa), bytes(memoryview(data))))

    def enter(self, rcx: int, rdx: int = 0, r8: int = 0) -> tuple[bool, int, int]:
        """Execute the call instruction once: (did RIP move on, RCX, RAX)."""
        self._meter.read(0)
        entry = self._vp.hypercall_once(int(rcx), int(rdx), int(r8))
        result = _plain(entry.result)
        return entry.finished, entry.rcx, 0 if result is None else result


class Stopped(Exception):
    """The guest got an exception, or waits for its parent."""


def _plain(answer: Any) -> Any:
    if isinstance(answer, Fault):
        raise Stopped(answer.kind if answer.kind.startswith("#") else "the guest waits for its parent")
    return answer


def hidden(draw: Draw, k: int) -> Made:
    """Draw hidden case k; some lists are longer than one page holds."""
    limit, seed, enabled = draw.between(5, 60), draw.bits(32), not draw.chance(1, 4)
    free = BLOCKS * PAGE + draw.pick((0, 8, 4, 12, 4000, 4056, 4090, 1234))
    code = draw.pick((LIST, LIST, LIST, SPACE, NESTED))
    if k % LONG_EVERY == 3:
        return Made(LIST, 1000, limit=37, seed=seed, enabled=enabled, free=free)
    if code == LIST:
        return Made(LIST, draw.between(1, 90), limit=limit, seed=seed, enabled=enabled, free=free)
    return Made(code, limit=limit, seed=seed, enabled=enabled, free=0 if code == NESTED else free)


def truth(world: Made) -> Plain:
    """Return what the engine answers WinHv."""
    trace = whole(world)
    return *outcome(trace), effect(trace)


def call(function: Callable[..., Any], world: Made, meter: Meter) -> Any:
    """Call the learner's function in a guest; what the hypervisor did is read from the trace."""
    machine, vp = guest(world)
    elements = world.elements
    with machine.action():
        said = function(Door(vp, world, meter), world.code, world.header, elements)
    if isinstance(said, tuple | list) and len(said) == 2:
        return said[0], said[1], effect(machine.trace)
    return said


def ask() -> str:
    """Say the task."""
    return _(
        "Write winhv_call(guest, code, header, elements) and return (status, elements done in all). header is bytes, "
        "elements a list of bytes, empty for a simple call. guest.free is the GPA of free memory (four pages at least, "
        "0 if none), guest.write(gpa, data) writes there; guest.rdmsr(n), guest.wrmsr(n, value) reach the registers, "
        "guest.call_page is the number of a page where the hypercall page may lie.\n"
        "guest.enter(rcx, rdx, r8) executes the call instruction once and gives (has RIP moved on, RCX, RAX). "
        "Input of up to 16 bytes fits into RDX and R8; a block needs 8-byte alignment and one page. "
        "Lists may be longer. check('03.E3', winhv_call) runs it in 200 guests."
    )


def tell_case(world: Made) -> str:
    """Say what a case is about."""
    return _("{name}, {count} elements, {limit} at a time; free memory from {free:#x}; hypercall page {page}.").format(
        name=CALLS[world.code].name, count=world.count, limit=world.limit, free=world.free,
        page=_("in place") if world.enabled else _("not enabled yet"),
    )  # fmt: skip


def tested(worlds: list[Made]) -> str:
    """Say what was tested."""
    return _(
        "{count} guests: {lists} lists, {long} of them of 1,000 elements, {fast} without free memory, {off} without a "
        "hypercall page; not tested: XMM input, calls with output"
    ).format(
        count=len(worlds), lists=sum(world.count > 0 for world in worlds), long=sum(w.count > 500 for w in worlds),
        fast=sum(not world.free for world in worlds), off=sum(not world.enabled for world in worlds),
    )  # fmt: skip


# wrong models: WinHv on a processor, or beside memory, as the idea has it ---------------------------------------------


class Other:
    """A virtual processor whose door works as a wrong idea has it; everything else is the real one's."""

    def __init__(self, world: Made, idea: str) -> None:
        self._world, self._idea = world, idea
        self._vp = guest(world)[1]
        self._off = world.free % PAGE
        self.read: list[Any] = []  # the results that it took for final

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vp, name)

    def write(self, gva: int, data: bytes) -> Any:
        """Write the input block, at the first free byte if the idea knows of no alignment."""
        return self._vp.write(gva + (self._off if self._idea == "anywhere" else 0), data)

    def hypercall(self, rcx: int, rdx: int = 0, r8: int = 0) -> Any:
        """Call as the idea does."""
        control = HypercallControl.decode(rcx)
        if self._idea == "anywhere" and not control.fast:
            return self._vp.hypercall(rcx, rdx + self._off, r8)
        if self._idea == "rip":
            entry = self._vp.hypercall_once(rcx, rdx, r8)
            rax = entry.result if entry.finished and isinstance(entry.result, int) else 0
            self.read.append(HypercallResult.decode(rax))
            return HypercallResult.encode(status=self.read[-1].status, reps_done=control.rep_count)
        while True:
            entry = self._vp.hypercall_once(rcx, rdx, r8)
            if entry.finished:
                return entry.result
            left = control.rep_count - HypercallControl.decode(entry.rcx).rep_start
            control = HypercallControl.decode(HypercallControl.encode(code=control.code, rep_count=left))
            rcx = HypercallControl.encode(code=control.code, rep_count=left)


def held(idea: str) -> Callable[[Made], Plain]:
    """Return what a function that holds the idea comes to."""

    def answer(world: Made) -> Plain:
        other = Other(world, idea)
        trace = whole(world, other)  # type: ignore[arg-type]
        if idea == "rip":
            return other.read[-1].status, sum(one.reps_done for one in other.read), effect(trace)
        return *outcome(trace), effect(trace)

    return answer


def steps() -> list[str]:
    """Return where such a function stands that can be read."""
    return [
        _("The root's own function is there to be read: hvlab/root/winhv.py. establish() sets GUEST_OS_ID, then"),
        _("HYPERCALL; raw() chooses registers or memory and builds RCX; batch() and call_list() cut a long list."),
        _("One thing it leaves to the processor: while RIP stays, the same instruction runs again with the new RCX."),
    ]


E3: Final = Construct(
    id="03.E3",
    version=1,
    shape=OUTCOME,
    make=hidden,
    ask=ask,
    truth=truth,
    call=call,
    tell=tell_case,
    story=lambda world: call_story(whole(world)),
    tested=tested,
    steps=steps,
    budget=ENTRIES,
    cases=200,
    hints=(
        N_("Phase *set up* first: what must be true before the call instruction exists at all?"),
        N_("Sub-goal: one short list from an aligned address. Then again with the new RCX, while RIP stays."),
    ),
    wrong=(
        Wrong(
            "rip-moves-on",
            N_("RIP stays at the call until all is done; the same instruction runs again, with the new RCX."),
            "hypercall-continuation", held("rip"),
        ),
        Wrong(
            "memory-is-memory",
            N_("a block begins at a multiple of 8 and lies within one page."),
            "hypercall-output", held("anywhere"),
        ),
        Wrong(
            "count-is-what-is-left",
            N_("RCX comes back ready to be used: the count stays the whole list's, the start has moved on."),
            "hypercall-continuation", held("left"),
        ),
    ),
)  # fmt: skip
