"""Lesson 03, exercises: a guest calls the hypervisor through a page it cannot write."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hvlab.lab.answer import Listed, Number, Plain, record
from hvlab.lab.bitfields import parts
from hvlab.lab.exercise import Exercise, World, Wrong, in_own_words
from hvlab.lab.items.e03_call import E3
from hvlab.lab.items.e03_rig import Made, run
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.call import call_story
from hvlab.story.storyboard import Storyboard
from hvlab.trace.words import grouped
from hvlab.wire.tlfs import HypercallControl, HypercallResult, Status

CONTROL: Final = Number("hex")
SIMPLE: Final = {0x0002: "FlushVirtualAddressSpace", 0x0052: "TranslateVirtualAddress", 0x005C: "PostMessage"}
FAST: Final = {0x0008: "NotifyLongSpinWait", 0x000B: "SendSyntheticClusterIpi", 0x005D: "SignalEvent"}
REP: Final = {0x0003: "FlushVirtualAddressList", 0x0048: "DepositMemory", 0x004B: "MapGpaPages"}
SPARSE: Final = {0x0014: "FlushVirtualAddressListEx"}
LEFT: Final = N_("the count stays the whole list's. Only the start moves on.")


# E1: four control words ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What a control word is to say."""

    code: int
    name: str
    fast: int = 0
    variable: int = 0  # units of 8 bytes
    count: int = 0
    start: int = 0

    def word(self, **other: int) -> int:
        """The control word, with some fields as a wrong idea has them."""
        fields = {"code": self.code, "fast": self.fast, "variable_header": self.variable}
        return HypercallControl.encode(**fields | {"rep_count": self.count, "rep_start": self.start} | other)

    def tell(self) -> str:
        """Say the call in words."""
        said = [_("call {code:#06x} {name}").format(code=self.code, name=self.name)]
        if self.variable:
            said.append(_("a variable header of {bytes} bytes").format(bytes=8 * self.variable))
        if self.count:
            said.append(_("a list of {count} elements").format(count=self.count))
        if self.start:
            said.append(_("the first {start} of them are done").format(start=self.start))
        said.append(_("input in registers") if self.fast else _("input in memory"))
        return ", ".join(said)


def going_on(draw: Draw) -> Asked:
    """Draw a rep call that has been entered before."""
    count, code = draw.between(40, 4000), draw.pick(tuple(REP))
    return Asked(code, REP[code], count=count, start=draw.between(1, count - 1))


def in_registers(draw: Draw) -> Asked:
    """Draw a fast call."""
    code = draw.pick(tuple(FAST))
    return Asked(code, FAST[code], fast=1)


def sparse(draw: Draw) -> Asked:
    """Draw a rep call with a variable header that has been entered before."""
    units, count = draw.between(2, 20), draw.between(20, 400)
    return Asked(0x0014, SPARSE[0x0014], variable=units, count=count, start=draw.between(1, count - 1))


def four(draw: Draw) -> World:
    """Draw four calls: one that goes on, one in registers, one with a variable header, one more."""
    code = draw.pick(tuple(SIMPLE) + tuple(REP))
    last = Asked(code, SIMPLE.get(code) or REP[code], count=0 if code in SIMPLE else draw.between(1, 500))
    return tuple(draw.shuffled([going_on(draw), in_registers(draw), sparse(draw), last]))


def of_each(change: Callable[[Asked], int]) -> Callable[[World], Plain]:
    """Return an answer that is made of each call."""
    return lambda world: tuple(change(one) for one in world)


def side_by_side(one: Asked) -> int:
    """The start right behind the count, without the four reserved bits between."""
    return one.word(rep_start=0) | one.start << 44


GOES_ON: Final = (
    Wrong(
        "count-is-what-is-left", LEFT, "hypercall-continuation",
        of_each(lambda one: one.word(rep_count=one.count - one.start)),
        asks=N_("How long is the list in memory when half of it is done?"),
    ),
    Wrong(
        "fields-side-by-side",
        N_("four reserved bits, 47 to 44, stand between count and start."),
        "hypercall-enter", of_each(side_by_side),
    ),
)  # fmt: skip
SHAPES: Final = (
    Wrong(
        "bytes-for-units",
        N_("a variable header is counted in units of 8 bytes."),
        "hypercall-enter", of_each(lambda one: one.word(variable_header=min(8 * one.variable, 1023))),
    ),
    Wrong(
        "fast-is-automatic",
        N_("bit 16 says that RDX and R8 hold the input itself; without it they are addresses."),
        "hypercall-enter", of_each(lambda one: one.word(fast=0)),
    ),
)  # fmt: skip


def encode(id: str, make: Callable[[Draw], World], count: int, wrong: tuple[Wrong, ...], what: str) -> Exercise:
    """Return the task to write so many control words."""
    return Exercise(
        id=id,
        version=1,
        kind="trace",
        shape=Listed(CONTROL, count, "word"),
        make=make,
        ask=lambda world: _("Give RCX, the control word, of each call as a list, in order:\n{calls}").format(
            calls="\n".join(f"  {k}: {one.tell()}" for k, one in enumerate(world))
        ),
        truth=of_each(lambda one: one.word()),
        tested=what,
        hints=(
            N_("Phase *set up*: which field of the control word does each part of the sentence fill?"),
            N_("Sub-goal: write the word of call 0 field by field, from bit 0 upwards. compose(…) helps."),
        ),
        wrong=wrong,
        steps=lambda world: [
            f"{k}: {one.tell()}\n{parts(HypercallControl, one.word())!r}" for k, one in enumerate(world)
        ],
    )


BLANK: Final = encode("03.E1.blank", lambda draw: (going_on(draw),), 1, GOES_ON, N_("one control word"))
BLANKS: Final = encode(
    "03.E1.blanks",
    lambda draw: (in_registers(draw), sparse(draw)),
    2,
    (*GOES_ON, *SHAPES),
    N_("two control words"),
)
E1: Final = encode(
    "03.E1",
    four,
    4,
    (*GOES_ON, *SHAPES),
    N_("four control words; not tested: the bit for nested hypervisors"),
)


# E2: twelve results --------------------------------------------------------------------------------------------------

STOPS: Final = (
    Status.INSUFFICIENT_MEMORY, Status.INVALID_PARAMETER, Status.INVALID_PARTITION_STATE, Status.OPERATION_DENIED,
    Status.NO_RESOURCES, Status.OBJECT_IN_USE,
)  # fmt: skip
RESULTS: Final = 12
ONE: Final = record(status=Number("hex", high=0xFFFF_FFFF), done=Number(high=4095), resume=CONTROL)


def twelve(draw: Draw) -> World:
    """Draw twelve calls that came back: (RCX, RAX); some finished, most stopped on the way."""
    found = []
    for k in range(RESULTS):
        count = draw.between(20, 4000)
        start = draw.between(1, count - 2)
        finished = k % 4 == 3
        done = count if finished else draw.between(start + 1, count - 1)
        status = Status.SUCCESS if finished else draw.pick(STOPS)
        rcx = HypercallControl.encode(code=draw.pick(tuple(REP)), rep_count=count, rep_start=start)
        ignored = draw.bits(16) << 16  # the sources say: to be ignored
        found.append((rcx, HypercallResult.encode(status=status, reps_done=done) | ignored))
    return tuple(draw.shuffled(found))


def resumed(rcx: int, done: int) -> int:
    """The control word that goes on behind the elements that are done; 0 if none is left."""
    control = HypercallControl.decode(rcx)
    if done >= control.rep_count:
        return 0
    return HypercallControl.encode(code=control.code, rep_count=control.rep_count, rep_start=done)


def results(read: Callable[[Any, Any, int], Plain]) -> Callable[[World], Plain]:
    """Return an answer that reads each pair: control, result, RCX."""
    return lambda world: tuple(
        read(HypercallControl.decode(rcx), HypercallResult.decode(rax), rcx) for rcx, rax in world
    )


def relative(control: Any, result: Any, rcx: int) -> Plain:
    """Reps done counted from the start of this try."""
    done = min(control.rep_start + result.reps_done, 4095)
    return result.status, done, resumed(rcx, done)


def what_is_left(control: Any, result: Any, rcx: int) -> Plain:
    """A new call for the rest only."""
    left = control.rep_count - result.reps_done
    again = HypercallControl.encode(code=control.code, rep_count=left) if left else 0
    return result.status, result.reps_done, again


class Pairs:
    """The registers of the twelve calls, as numbers: ``task("03.E2").look.pairs``."""

    def __init__(self, world: World) -> None:
        self.pairs: list[tuple[int, int]] = list(world)


E2: Final = Exercise(
    id="03.E2",
    version=1,
    kind="compute",
    shape=Listed(ONE, RESULTS, "result"),
    make=twelve,
    ask=lambda world: _(
        "Twelve rep calls came back. Give for each: status, done (elements done in all), and resume: the RCX that goes "
        "on with the list once the cause is gone, or 0 if nothing is left. As numbers: task('03.E2').look.pairs\n{rows}"
    ).format(rows="\n".join(f"  {k:2}: RCX {grouped(c, 16)}  RAX {grouped(r, 16)}" for k, (c, r) in enumerate(world))),
    truth=results(lambda control, result, rcx: (result.status, result.reps_done, resumed(rcx, result.reps_done))),
    tested=N_("twelve results, three of them finished; bits 31 to 16 hold anything, as the sources allow"),
    hints=(
        N_("Phase *return*: which bits of RAX are the status, which the reps done, and which say nothing?"),
        N_("Sub-goal: take the first pair. How many elements are done in all? Put this into the start of RCX."),
    ),
    wrong=(
        Wrong(
            "reps-are-relative",
            N_("the result counts from the first element of the list, not from the start of this try."),
            "hypercall-result", results(relative),
            asks=N_("A call starts at element 20 and does one more. Which number stands in bits 43 to 32?"),
        ),
        Wrong("count-is-what-is-left", LEFT, "hypercall-continuation", results(what_is_left)),
        Wrong(
            "start-again",
            N_("elements that are done stay done. The same RCX would do some of them twice."),
            "hypercall-rep",
            results(lambda control, result, rcx: (result.status, result.reps_done, rcx if resumed(rcx, result.reps_done)
                                                  else 0)),
        ),
        Wrong(
            "status-is-a-double-word",
            N_("the status has 16 bits; what stands in the 16 bits above it is to be ignored."),
            "hypercall-result",
            lambda world: tuple(
                (rax & 0xFFFF_FFFF, HypercallResult.decode(rax).reps_done, resumed(rcx, HypercallResult.decode(rax)
                                                                                 .reps_done))
                for rcx, rax in world
            ),
        ),
    ),
    steps=lambda world: [f"{k}: {parts(HypercallResult, rax)!r}" for k, (_rcx, rax) in enumerate(world)],
    look=Pairs,
)  # fmt: skip


# exit and warm-up ----------------------------------------------------------------------------------------------------


def long_list(draw: Draw) -> World:
    """Draw a list that takes several slices and does not end with a full one."""
    limit = draw.between(4, 12)
    count = draw.between(4 * limit, 80)
    start = draw.between(limit + 1, count - limit)
    return Made(code=0x0003, count=count, start=start, limit=limit, seed=draw.bits(32))


def entries(world: Made) -> int:
    """Return how often the engine is entered."""
    return sum(1 for _row in run(world).of("hypercall_entered"))


def story(world: Made) -> Storyboard:
    """Tell the run of a world."""
    return call_story(run(world))


def slices(left: int, limit: int) -> int:
    return -(-left // limit)


X1: Final = Exercise(
    id="03.X1",
    version=1,
    kind="exit",
    shape=Number(high=1 << 20),
    make=long_list,
    ask=lambda world: _(
        "A list has {count} elements; the first {start} are done. The hypervisor does {limit} at a time. "
        "How often is it entered for the rest?"
    ).format(count=world.count, start=world.start, limit=world.limit),
    truth=entries,
    tested=N_("one list"),
    hints=(N_("How many elements are left?"), N_("The last slice need not be full.")),
    wrong=(
        Wrong(
            "once-is-enough",
            N_("after each slice the guest runs, and the same instruction enters again."),
            "hypercall-continuation", lambda world: 1,
        ),
        Wrong(
            "forgot-the-rest",
            N_("one more entry does what the full slices leave."),
            "hypercall-continuation", lambda world: (world.count - world.start) // world.limit,
        ),
        Wrong(
            "starts-at-zero",
            N_("the start in RCX says which elements need not be done again."),
            "hypercall-rep", lambda world: slices(world.count, world.limit),
        ),
        Wrong(
            "one-exit-for-each-element",
            N_("one entry does a whole slice of the list."),
            "hypercall-rep", lambda world: world.count - world.start,
        ),
    ),
    story=story,
)  # fmt: skip

X2: Final = in_own_words(
    "03.X2", N_("The overview's glossary says: MSR, Memory Service Routine. Correct it; say what one does.")
)


def one_word(draw: Draw) -> World:
    """Draw a control word of a rep call that goes on."""
    count = draw.between(10, 4000)
    start = draw.between(1, count - 1)
    return HypercallControl.encode(code=draw.pick(tuple(REP)), rep_count=count, rep_start=start)


def one_result(draw: Draw) -> World:
    """Draw a call that stopped: elements in all, start, done."""
    count = draw.between(30, 900)
    start = draw.between(1, count // 2)
    return count, start, draw.between(start + 1, count - 1)


SHORTS: Final = (
    Exercise(
        id="03.short.left", version=1, kind="recall", shape=Number(high=4095), make=one_word,
        ask=lambda world: _("RCX of a rep call is {rcx}. How many elements are still to be done?").format(
            rcx=grouped(world, 16)
        ),
        truth=lambda world: HypercallControl.decode(world).rep_count - HypercallControl.decode(world).rep_start,
        tested=N_("one control word"),
        hints=(N_("Two fields matter: the count and the start."), N_("Bits 43 to 32, and bits 59 to 48.")),
        wrong=(
            Wrong("count-is-what-is-left", LEFT, "hypercall-continuation",
                  lambda world: HypercallControl.decode(world).rep_count),
        ),
    ),
    Exercise(
        id="03.short.next", version=1, kind="recall", shape=Number(high=4095), make=one_result,
        ask=lambda world: _(
            "A rep call of {count} elements began at element {start}. RAX says INSUFFICIENT_MEMORY, {done} reps done. "
            "Which start does the next try get?"
        ).format(count=world[0], start=world[1], done=world[2]),
        truth=lambda world: HypercallResult.decode(
            HypercallResult.encode(status=Status.INSUFFICIENT_MEMORY, reps_done=world[2])
        ).reps_done,
        tested=N_("one result"),
        hints=(N_("Is the number of reps done a total?"), N_("Elements are counted from 0.")),
        wrong=(
            Wrong("reps-are-relative", N_("reps done counts from the first element of the list."), "hypercall-result",
                  lambda world: world[1] + world[2]),
            Wrong("start-again", N_("elements that are done stay done."), "hypercall-rep", lambda world: world[1]),
        ),
    ),
)  # fmt: skip

EXERCISES: Final = (BLANK, BLANKS, E1, E2, E3, X1, X2)
