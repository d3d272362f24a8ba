"""Lesson 07, E3: the interrupt routine, in a thousand hidden interleavings with a sender."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hvlab.lab.answer import Listed, Number, Plain, record
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.interleavings import Act, always, bench, play
from hvlab.lab.receiver import ORDERS, Desk, Routine, Taken, right
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic import SynicLens

FLAGS: Final = (3, 9, 70, 127)
LATEST: Final = 40


@dataclass(frozen=True)
class World:
    """A hidden interleaving: what the sender does, each after so many steps of the receiver."""

    acts: tuple[Act, ...]


class Slot:
    """What the learner's routine may do; each call is a step after which the sender may act."""

    def __init__(self, desk: Desk, meter: Meter) -> None:
        self._desk, self._meter = desk, meter
        self.saw, self.needless = 0, 0

    def copy(self) -> tuple[int, int]:
        """Return (type, payload as a number); type 0: there is no message."""
        self._meter.read(0)
        return self._desk.copy()

    def kind(self) -> int:
        """Return the type in the slot, and copy nothing."""
        self._meter.read(0)
        return self._desk.kind()

    def free(self) -> None:
        """Set the type in the slot to 0."""
        self._meter.read(0)
        self._desk.free()

    def barrier(self) -> None:
        """Pass a full barrier."""
        self._meter.read(0)
        self._desk.barrier()

    def pending(self) -> int:
        """Return MessagePending."""
        self._meter.read(0)
        self.saw = self._desk.pending()
        return self.saw

    def eom(self) -> None:
        """Write EOM, which leaves the guest."""
        self._meter.read(0)
        self.needless += 1 - self.saw
        self.saw = 0
        self._desk.eom()

    def flags(self) -> list[int]:
        """Return the flags that are set."""
        self._meter.read(0)
        return self._desk.flags()

    def clear(self, flag: int) -> int:
        """Clear a flag by a locked operation; return whether it was set."""
        self._meter.read(0)
        return self._desk.clear(int(flag))

    def overwrite(self, word: int) -> None:
        """Write 0 over a word of 64 flags, without a lock."""
        self._meter.read(0)
        self._desk.overwrite(int(word))


def hidden(draw: Draw, k: int) -> World:
    """Draw hidden interleaving k: a third of them letters only, a third doorbells only, the rest both."""
    posts = draw.between(2, 5) if k % 3 != 1 else 0
    signals = draw.between(2, 5) if k % 3 != 0 else 0
    times = sorted(draw.below(LATEST) for _ in range(posts))
    acts = [(at, "post", n) for n, at in enumerate(times)]
    acts += [(draw.below(LATEST), "signal", draw.pick(FLAGS)) for _ in range(signals)]
    return World(tuple(sorted(acts)))


def judged(world: World, routine: Callable[[Slot], Any], meter: Meter) -> Plain:
    """Run a routine in a world: (messages, waiting, unseen or seen twice, needless EOMs)."""
    needless = [0]

    def one(desk: Desk) -> Taken:
        slot = Slot(desk, meter)
        messages, flags = routine(slot)
        needless[0] += slot.needless
        return [int(word) for word in messages], [int(flag) for flag in flags]

    end = play(always(one), world.acts)
    return tuple(end.messages), end.waiting, difference(end.set_flags, end.seen), needless[0]


def difference(one: "Counter[int]", other: "Counter[int]") -> int:
    """Return how many flags were set and not seen, or seen and not set."""
    return sum((one - other).values()) + sum((other - one).values())


def by(routine: Routine) -> Callable[[World], Plain]:
    """Return what a routine of the lab comes to."""
    return lambda world: judged(world, routine, Meter(1 << 30))  # type: ignore[arg-type]


def ask() -> str:
    """Say the task."""
    return _(
        "Write routine(slot): it is run once for each interrupt of SINT 2 (auto-EOI, so no EOI). "
        "slot.copy() gives (type, "
        "payload), type 0 for none; slot.kind() the type alone; slot.free() sets the type to 0; "
        "slot.barrier(), slot.pending(), slot.eom(); "
        "slot.flags() lists the flags that are set, slot.clear(flag) clears one by a locked "
        "operation and says whether it "
        "was set, slot.overwrite(word) writes 0 over 64 of them.\n"
        "Return (payloads, flags) that this run took. The sender acts between any two calls. Nothing "
        "may be lost or taken "
        "twice, nothing may wait at the end, EOM is written only where MessagePending was 1. check('07.E3', routine)."
    )


def tell_case(world: World) -> str:
    """Say what a case is about."""
    said = ", ".join(f"{at}: {kind} {number}" for at, kind, number in world.acts)
    return _("The sender, after so many steps of the receiver: {said}.").format(said=said)


def tested(worlds: list[World]) -> str:
    """Say what was tested."""
    both = sum({kind for _at, kind, _n in world.acts} == {"post", "signal"} for world in worlds)
    told = _("{count} interleavings, {both} with messages and signals; not tested: several VPs, no auto-EOI")
    return told.format(count=f"{len(worlds):,}", both=both)


def story(world: World) -> Storyboard:
    """Return a case as a right routine has it."""
    trace = play(always(right), world.acts, record=True).trace
    assert trace is not None
    return SynicLens("event", before=bench().before).story(trace)


def steps() -> list[str]:
    """Return where a routine stands that can be read."""
    return [
        _("The lab's own routine is there to be read: source('lab.receiver.right'). Its steps: copy; if there was a"),
        _("message, free the slot, pass a barrier, look at MessagePending, and write EOM only if it was 1."),
        _("Then the flags, one by one: keep those for which the locked clear says that they were set."),
    ]


E3: Final = Construct(
    id="07.E3",
    version=1,
    shape=record(messages=Listed(Number()), waiting=Number(), flags_missed=Number(), needless_eoms=Number()),
    make=hidden,
    ask=ask,
    truth=by(right),
    call=lambda function, world, meter: judged(world, function, meter),
    tell=tell_case,
    story=story,
    tested=tested,
    steps=steps,
    budget=400,
    hints=(
        N_("Copy while the slot is full; only a freed slot can take the next message."),
        N_("Sub-goal: after the type is 0 and the barrier is passed, MessagePending can no longer be missed."),
    ),
    wrong=(
        Wrong(
            "test-then-clear",
            N_("between the look and the write a message came and set MessagePending: nobody asks for it any more."),
            "take-message",
            by(ORDERS["test-then-clear"]),
        ),
        Wrong(
            "auto-eoi-frees",
            N_(
                "auto-EOI ends the interrupt, not the message: the hypervisor looks for the next one at "
                "EOM or at a post."
            ),
            "end-of-message",
            by(ORDERS["no-eom"]),
        ),
        Wrong(
            "eom-is-always-needed",
            N_("a write to EOM leaves the guest; it is due only where MessagePending was 1."),
            "end-of-message",
            by(ORDERS["always-eom"]),
        ),
        Wrong(
            "message-is-shared-memory",
            N_("once the type is 0 the slot belongs to the hypervisor: what is copied then may be the next message."),
            "take-message",
            by(ORDERS["copy-late"]),
        ),
        Wrong(
            "flags-without-lock",
            N_("a flag that was set between read and write is gone, and nobody saw it."),
            "clear-flag",
            by(ORDERS["plain-flags"]),
        ),
        Wrong(
            "flags-count",
            N_("there is no interrupt for each flag: one that waits already stands for all that are set meanwhile."),
            "event-flags",
            by(ORDERS["one-flag"]),
        ),
    ),
)
