"""The whole picture in a few lines: a child with a program in it, the parent that serves it, and the map.

What the first lesson's cells and its exercises begin with.
"""

from collections.abc import Mapping
from typing import Any, Final

from hvlab.hardware.processor import PEEK, READ
from hvlab.hypervisor.vp import Fault
from hvlab.lab.host import box_cards
from hvlab.machine import Child, Machine
from hvlab.story import hops as by_hops
from hvlab.story import tour
from hvlab.story.storyboard import Storyboard
from hvlab.trace.journal import Trace

PAGE: Final = 4096
PAGES: Final = 32
READY, FRESH = 0x40_0000, 0x40_1000  # two pages of the program: one has memory behind it, one has not yet
READY_GPN, FRESH_GPN, TABLES_GPN = 5, 0x50, 16
NAME: Final = "web"


def program(machine: Machine, name: str = NAME, mapping: Mapping[int, int] | None = None) -> Child:
    """Return a child whose kernel has mapped two pages for a program, which runs now.

    The kernel believes in memory at both GPAs; the second level has a page behind the first one only.
    """
    child = machine.child(name, memory=PAGES * PAGE)
    pages = mapping or {READY: READY_GPN * PAGE, FRESH: FRESH_GPN * PAGE}
    child.enable_paging(pages, root_gpn=TABLES_GPN)
    child.vp.set(cpl=3)
    return child


def serve(child: Child) -> Trace:
    """Let the root do what a parent does: read the message, give the page that is missing, let the child run."""
    machine = child.machine
    with machine.action():
        _header, told = machine.vid.message(child.partition, 0)
        machine.vid.add_memory(child.partition, told.gpa // PAGE, 1)
        machine.vid.resume(child.partition, 0)
    return machine.trace


def touch(child: Child, gva: int, data: bytes = b"") -> Trace:
    """Let the program read a word, or write one; if that leaves the guest, the parent serves it and it tries again."""
    machine = child.machine
    with machine.action():
        for _try in range(2):
            found = child.write(gva, data) if data else child.read(gva)
            if not isinstance(found, Fault) or found.kind != "intercept":
                break
            serve(child)
    return machine.trace


def entry_of(child: Child, gva: int) -> int:
    """Return the SPA of the second-level entry that decides where a page of the program lies; nothing is cached."""
    seen = child.machine.translate(child.vp, gva, int(READ | PEEK)).trace
    return seen.fact(list(seen.of("second_level_entry_read"))[-1], "spa")


def house(name: str = NAME) -> Storyboard:
    """Return the walk through the house of Hyper-V, its boxes with the glossary's cards."""
    return tour.tour(name, box_cards())


def hops(what: Any, title: str = "", name: str = NAME, token: str = "") -> Storyboard:
    """Return the story of a trace hop by hop, on the map; of several traces, in order.

    Parameters
    ----------
    what
        A trace, what carries one, or a list of these.
    title
        The story's title.
    name
        What the child is called on the map.
    token
        The scenario token that makes this run again.
    """
    return by_hops.hops(what, title, by_hops.HopLens(name=name, cards=box_cards()), token=token)
