"""Lenses: which events of a trace matter, how they group into frames, and which facts each frame shows.

A lens reads recorded words only; what the engine did not record, no story tells. One run has three grains: a frame for
each *request*, for each *event*, or for each recorded *bit* of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hvlab.errors import BadRequest
from hvlab.language import _
from hvlab.story.frame import Kind, Place
from hvlab.trace.event import by_name
from hvlab.trace.journal import Trace
from hvlab.wire.struct import Word

GRAINS = ("request", "event", "bit")
PLACES = (
    Place(
        "guest",
        "Guest",
        "The guest's own kernel: it writes its page tables and handles #PF.",
        "child partition, kernel mode",
        "Intel SDM vol. 3A, 4.1",
    ),
    Place(
        "processor",
        "Processor",
        "Its page walker reads the tables of both levels by itself; no software runs meanwhile.",
        "hardware",
        "Intel SDM vol. 3A, 4.5; vol. 3C, EPT",
    ),
    Place(
        "tlb",
        "TLB and walk caches",
        "They keep what earlier walks found, each entry with the tag of its virtual processor.",
        "hardware, one for each logical processor",
        "Intel SDM vol. 3A, 4.10",
    ),
    Place(
        "memory",
        "Memory",
        "Holds both levels of tables, at system physical addresses, and the data.",
        "hardware",
        "Intel SDM vol. 3A, 4.2",
    ),
    Place(
        "hypervisor",
        "Hypervisor",
        "It owns the second level and handles what leaves the guest there.",
        "below all partitions",
        "TLFS, guest physical address spaces",
    ),
)


def kinds(names: Sequence[str], letters: Mapping[str, str], left_out: Mapping[str, str]) -> list[Kind]:
    """Return the kinds of frames that tell these events, with the captions and rules of the catalogue."""
    found = []
    for name in names:
        declared = by_name(name)
        written = tuple(declared.template_kind(field) for field in declared.fields)
        letter, note = letters.get(name, "A"), left_out.get(name, "")
        found.append(Kind(name, _(declared.says), declared.fields, written, declared.rule, _(note), letter))
    return found


def ruler(word: type[Word]) -> list[dict[str, Any]]:
    """Return a declared word as the ruler beside a picture wants it: its bits, with their texts."""
    return [
        {"name": one.name, "lo": one.lo, "width": one.width, "doc": _(one.doc)}
        | ({"kind": "page"} if one.kind == "page" else {})
        for one in word.fields
    ]


def groups(
    trace: Trace, grain: str, tells: frozenset[str], opens: frozenset[str], joins: Mapping[str, frozenset[str]]
) -> Iterator[tuple[int, ...]]:
    """Yield the rows of each frame, in order.

    Parameters
    ----------
    grain : str
        `bit`: each row alone; `event`: a row goes with the row before it where `joins` says so; `request`: all rows
        from one of `opens` to the next.
    tells : frozenset of str
        The events that the lens tells at all.
    """
    if grain not in GRAINS:
        raise BadRequest(f"the grain {grain!r}", "", ", ".join(GRAINS))
    frame: list[int] = []
    before = ""
    for row, name in enumerate(trace.kinds()):
        if name not in tells:
            continue
        joined = grain == "request" and name not in opens or grain == "event" and before in joins.get(name, ())
        if frame and not joined:
            yield tuple(frame)
            frame = []
        frame.append(row)
        before = name
    if frame:
        yield tuple(frame)
