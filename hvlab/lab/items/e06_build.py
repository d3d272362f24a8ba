"""Lesson 06, E3: which vector comes, and what an EOI ends, against the engine on 2,000 hidden events."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from hvlab.lab.answer import Number, Plain, record
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.interrupting import Bench, Run
from hvlab.lab.items.e06_script import EOI, RAISE, TAKE, TPR, Event
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.interrupts import interrupt_story

NONE: Final = -1


@dataclass(frozen=True)
class State:
    """A local APIC that some events led to: what is in service (the lowest first), TPR, what waits.

    `on`: the processor's interrupt flag; `vector`: whose handler writes EOI.
    """

    served: tuple[int, ...]
    tpr: int
    waiting: tuple[int, ...]
    on: bool
    vector: int = 0

    @property
    def irr(self) -> int:
        """IRR as 256 bits."""
        return sum(1 << vector for vector in self.waiting)

    @property
    def isr(self) -> int:
        """ISR as 256 bits."""
        return sum(1 << vector for vector in self.served)

    def events(self) -> list[Event]:
        """Return the events that lead there."""
        nested = [event for vector in self.served for event in (Event(RAISE, vector), Event(TAKE))]
        return [*nested, Event(TPR, self.tpr), *(Event(RAISE, vector) for vector in self.waiting)]


def hidden(draw: Draw, k: int) -> State:
    """Draw hidden state k: handlers nested by class, a task priority, up to six vectors that wait."""
    classes = sorted(draw.sample(range(2, 16), draw.pick((0, 1, 1, 2, 3))))
    served = tuple(number << 4 | draw.below(16) for number in classes)
    near = [number << 4 | draw.below(16) for number in classes]
    waiting = {draw.between(0x20, 255) for _time in range(draw.below(5))} | set(near if draw.chance(1, 2) else ())
    tpr = draw.pick((0, 0, draw.below(256)))
    vector = draw.pick(served) if served and draw.chance(1, 2) else (served[-1] if served else 0)
    return State(served, tpr, tuple(sorted(waiting)), not draw.chance(1, 6), vector)


def ended(draw: Draw, k: int) -> State:
    """Draw hidden state k in which at least one interrupt is in service."""
    state = hidden(draw, k)
    while not state.served:
        state = hidden(draw, k)
    return state


@lru_cache(maxsize=4096)
def run(state: State, last: tuple[int, ...]) -> Run:
    """Let the engine come to a state and do what follows."""
    return Bench().run(event.row() for event in (*state.events(), *(Event(kind) for kind in last)))


def selected(state: State) -> Plain:
    """Return what the engine takes; a processor that does not look takes nothing."""
    return run(state, (TAKE,)).answers[-1] if state.on else NONE


def after_eoi(state: State) -> Plain:
    """Return what the engine's EOI ends, and what it takes then."""
    answers = run(state, (EOI, TAKE)).answers
    return answers[-2], answers[-1]


def call_select(function: Callable[..., Any], state: State, meter: Meter) -> Any:
    """Call the learner's function."""
    return function(state.irr, state.isr, state.tpr, state.on)


def call_eoi(function: Callable[..., Any], state: State, meter: Meter) -> Any:
    """Call the learner's function."""
    return function(state.irr, state.isr, state.tpr, state.vector)


def told(state: State) -> str:
    """Say a state."""
    names = [", ".join(f"{vector:#x}" for vector in some) or _("none") for some in (state.waiting, state.served)]
    return _("waiting {irr}, in service {isr}, TPR {tpr}, interrupts {on}, the handler of {vector}.").format(
        irr=names[0],
        isr=names[1],
        tpr=f"{state.tpr:#x}",
        on=_("on") if state.on else _("off"),
        vector=f"{state.vector:#x}",
    )


def tested(states: list[State]) -> str:
    """Say what was tested."""
    nested, off = sum(len(state.served) > 1 for state in states), sum(not state.on for state in states)
    return _(
        "{count} events, {nested} with nested handlers, {off} with interrupts off; not tested: NMIs, levels"
    ).format(count=f"{len(states):,}", nested=nested, off=off)


# wrong models --------------------------------------------------------------------------------------------------------


def by_number(state: State) -> Plain:
    """The highest vector, if its number is above TPR and above that in service."""
    best = max(state.waiting, default=NONE)
    return best if state.on and best > max(state.tpr, *state.served, 0) else NONE


def lowest(state: State) -> Plain:
    """Of what the engine lets through, the lowest."""
    if not state.on:
        return NONE
    may = [v for v in state.waiting if run(State(state.served, state.tpr, (v,), True), (TAKE,)).answers[-1] == v]
    return min(may, default=NONE)


def without_service(state: State) -> Plain:
    """The engine with nothing in service: TPR alone holds back."""
    return selected(State((), state.tpr, state.waiting, state.on))


def flag_ignored(state: State) -> Plain:
    """The engine of a processor that always looks."""
    return selected(State(state.served, state.tpr, state.waiting, True))


def by_name(state: State) -> Plain:
    """The handler's own vector ends; what comes then is the engine's."""
    left = tuple(vector for vector in state.served if vector != state.vector)
    return state.vector, selected(State(left, state.tpr, state.waiting, True))


def all_end(state: State) -> Plain:
    """The highest is named, and nothing is left in service."""
    return state.served[-1], selected(State((), state.tpr, state.waiting, True))


def lowest_ends(state: State) -> Plain:
    """The lowest in service ends."""
    return state.served[0], selected(State(state.served[1:], state.tpr, state.waiting, True))


def steps() -> list[str]:
    """Return where the rules stand that can be read."""
    return [
        _("The engine's own functions are there to be read: source('hardware.apic.waiting') and"),
        _("source('hardware.apic.end'). The highest bit of a number: value.bit_length() - 1, which is -1 for 0."),
    ]


HINTS: Final = (
    N_("Phase *deliver*: the highest bit of IRR, its class, and two classes that it must be above."),
    N_("Sub-goal: a helper highest(bits) = bits.bit_length() - 1; a class is a vector >> 4."),
)

E3: Final = Construct(
    id="06.E3",
    version=1,
    shape=Number("hex", low=NONE, high=255),
    make=hidden,
    ask=lambda: _(
        "Write select_vector(irr, isr, tpr, interrupts_on): the vector that the processor takes now, or -1. irr, isr "
        "are numbers of 256 bits, tpr one of 8; interrupts_on is its flag IF. check('06.E3', select_vector) asks it "
        "about 1,000 hidden events."
    ),
    truth=selected,
    call=call_select,
    tell=told,
    story=lambda state: interrupt_story(run(state, (TAKE,) if state.on else (TPR,))),
    tested=tested,
    steps=steps,
    hints=HINTS,
    wrong=(
        Wrong("compare-vectors", N_("classes are compared, not vectors."), "apic-priority", by_number),
        Wrong("lower-is-higher", N_("of what may come, the highest class comes first."), "apic-priority", lowest),
        Wrong(
            "tpr-alone",
            N_("what is in service holds its class and those below back."),
            "apic-priority",
            without_service,
        ),
        Wrong(
            "flag-ignored",
            N_("with the interrupt flag off the processor takes nothing, whatever waits."),
            "apic-accept",
            flag_ignored,
        ),
    ),
)

E3_EOI: Final = Construct(
    id="06.E3.eoi",
    version=1,
    shape=record(ended=Number("hex", high=255), taken=Number("hex", low=NONE, high=255)),
    make=ended,
    ask=lambda: _(
        "Write eoi(irr, isr, tpr, vector): the handler of `vector` writes EOI while its flag IF is set. Return the "
        "vector that ends in ISR, and the one that is taken then, or -1. check('06.E3.eoi', eoi) asks it about 1,000 "
        "hidden events."
    ),
    truth=after_eoi,
    call=call_eoi,
    tell=told,
    story=lambda state: interrupt_story(run(state, (EOI, TAKE))),
    tested=tested,
    steps=steps,
    hints=(
        N_("Phase *end*: what does a write to EOI carry, and which bit of ISR can it mean then?"),
        N_("Sub-goal: clear the highest bit of isr, then ask your select_vector."),
    ),
    wrong=(
        Wrong(
            "eoi-names-its-vector", N_("a write to EOI names nobody: the highest in service ends."), "apic-eoi", by_name
        ),
        Wrong("eoi-ends-all", N_("one EOI ends one interrupt; those that it interrupted go on."), "apic-eoi", all_end),
        Wrong("lower-is-higher", N_("of what is in service, the highest ends."), "apic-eoi", lowest_ends),
    ),
)
