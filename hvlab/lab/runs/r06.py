"""The runs of lesson 06."""

from collections.abc import Mapping
from typing import Final

from hvlab.lab.interrupting import PACKET, busy, one_apic, two_guests
from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.language import N_
from hvlab.story.interrupts import InterruptLens
from hvlab.story.storyboard import Storyboard
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

Values = Mapping[str, int]


def told(trace: Trace, token: str) -> Storyboard:
    """Tell a run of interrupts."""
    return InterruptLens().story(trace, token=token)


def local_apic(seed: int, knobs: Values) -> Trace:
    """The lesson's vectors for seed 0, else drawn ones; the task priority is set before they come."""
    draw = Draw(seed)
    drawn = [0x62, 0x6F, 0x71, 0x31] if seed == 0 else [draw.between(0x20, 255) for _k in range(4)]
    first, *others = [f"raise {vector:#x}" for vector in drawn]
    steps = [first, "take", f"tpr {knobs['task']:#x}", *others, "take", "eoi", "eoi", "tpr 0", "take", "eoi"]
    return one_apic(", ".join(steps), bool(knobs["assist"]), bool(knobs["virtual"])).trace


def packet(seed: int, knobs: Values) -> Trace:
    """A packet for guest A; its vector is the lesson's for seed 0, else drawn."""
    vector = PACKET if seed == 0 else Draw(seed).between(0x20, 255)
    return two_guests("A" if knobs["runs_a"] else "B", bool(knobs["assist"]), vector)


def shared(seed: int, knobs: Values) -> Trace:
    """Two guests that always compute share two threads of one core, or one processor; the seed draws for how long."""
    kind = "core" if knobs["core"] else "classic"
    milliseconds = 4 if seed == 0 else Draw(seed).between(5, 12)
    return busy(knobs["weight"], knobs["cap"], kind, knobs["processors"], knobs["vps"], milliseconds)


ASSIST: Final = Knob("e", "assist", (0, 1), 0)
SCENARIOS: Final = (
    Scenario(
        "local-apic",
        N_("One local APIC takes and ends some vectors."),
        (Knob("t", "task", (0, 0x20, 0x60, 0x80), 0x20), ASSIST, Knob("d", "virtual", (0, 1), 0)),
        local_apic,
        told,
    ),
    Scenario(
        "packet",
        N_("A packet for guest A arrives at the only processor."),
        (Knob("a", "runs_a", (0, 1), 0), ASSIST),
        packet,
        told,
    ),
    Scenario(
        "shared-processor",
        N_("Two guests that always compute share the processors."),
        (
            Knob("w", "weight", (50, 100, 200, 300), 100),
            Knob("c", "cap", (25, 50, 100), 100),
            Knob("k", "core", (0, 1), 0),
            Knob("p", "processors", (1, 2), 1),
            Knob("v", "vps", (1, 2, 3), 1),
        ),
        shared,
        told,
    ),
)
