"""Runs of lesson 00 by their tokens: one load, and one first touch."""

from collections.abc import Mapping
from typing import Final

from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.lab.whole import FRESH, FRESH_GPN, PAGE, READY, READY_GPN, hops, program, touch
from hvlab.language import N_
from hvlab.machine import Machine
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

Values = Mapping[str, int]
WORD: Final = b"written!"
WRITES: Final = Knob("w", "write", (0, 1), 0)
VENDOR: Final = Knob("v", "amd", (0, 1), 0)


def at(page: int, seed: int) -> int:
    """Return the lesson's own page for seed 0, else a page of the user half."""
    return page if seed == 0 else Draw(seed ^ page).below(1 << 34) * PAGE


def run(page: int, seed: int, knobs: Values) -> Trace:
    """Let a program use one of its two pages."""
    machine = Machine(vendor="amd" if knobs["amd"] else "intel")
    pages = {at(READY, seed): READY_GPN * PAGE, at(FRESH, seed): FRESH_GPN * PAGE}
    child = program(machine, mapping=pages)
    return touch(child, at(page, seed) + 0xAB8, WORD if knobs["write"] else b"")


SCENARIOS: Final = (
    Scenario(
        "plain-load",
        N_("A program uses a page that it has; no software takes part."),
        (WRITES, VENDOR),
        lambda seed, knobs: run(READY, seed, knobs),
        lambda trace, token: hops(trace, "A program uses its memory", token=token),
    ),
    Scenario(
        "first-touch",
        N_("A program uses a page that its parent gives only then."),
        (WRITES, VENDOR),
        lambda seed, knobs: run(FRESH, seed, knobs),
        lambda trace, token: hops(trace, "A page is given when it is touched", token=token),
    ),
)
