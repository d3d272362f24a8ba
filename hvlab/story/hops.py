"""The lens of one request, hop by hop: from box to box, what many rows do together in one place being one hop.

A walk of 24 table reads is one hop from the processor to memory here; `hvlab.story.walk` tells it read by read. The
first lesson uses this lens: few steps, the whole map.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact, Frame, Kind, spoken
from hvlab.story.gate import Gate
from hvlab.story.hostmap import Drawn
from hvlab.story.lanes import LANES
from hvlab.story.steps import Reader, Step
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.story.walk import trace_of
from hvlab.story.where import WALK
from hvlab.trace.events import SDM_EPT
from hvlab.trace.hypervisor_events import TLFS_CALLS, TLFS_INTERCEPTS
from hvlab.trace.journal import Trace

TABLES: Final = frozenset(
    {"tlb_missed", "second_level_entry_read", "table_entry_read", "accessed_set", "dirty_set"}
    | {"structure_cache_hit", "nested_cache_hit"}
)
DELIVERS: Final = frozenset({"tlb_filled", "translated"})
MAPS: Final = frozenset({"page_scrubbed", "page_given", "second_level_entry_written", "page_mapped"})
WAKES: Final = frozenset({"register_set", "vp_resumed"})
MORE: Final = (
    Kind(
        "tables_read",
        N_("Table entries that the processor itself reads: {own} of the guest's and {below} of the hypervisor's."),
        ("own", "below"),
        ("dec", "dec"),
        SDM_EPT,
        "",
        "A",
    ),
    Kind("input_written", N_("VP {actor} writes the input of its next call into memory."), rule=TLFS_CALLS),
    Kind("message_read", N_("VP {actor} reads the message in memory."), rule=TLFS_INTERCEPTS),
)
TOGETHER: Final = {"tables": "tables_read", "input": "input_written", "message": "message_read"}
PANEL: Final = {
    "exits": N_("Entries into the hypervisor"),
    "reads": N_("Table entries read"),
    "given": N_("Pages that changed owner"),
    "now": N_("Simulated time"),
}
WRITES: Final = 2  # the bit of an access that says write
# The hops that a question puts in order, by digits that say nothing about it.
READ, EXIT, TOLD, GIVEN, RESUMED = 3, 5, 1, 4, 2
DIGITS: Final = {
    "tables_read": READ, "vp_exited": EXIT, "intercept_posted": TOLD, "page_given": GIVEN, "vp_resumed": RESUMED,
}  # fmt: skip


class HopReader(Reader):
    """Reads a trace hop by hop."""

    def __init__(self, trace: Trace, guest: str, root: int = 0) -> None:
        super().__init__(trace, guest, root)
        ahead, writes, self.hops = self._next_call(), False, list[str]()
        for row, name in enumerate(self.names):
            if name == "access_begun":
                writes = bool(trace.fact(row, "access") & WRITES)
            self.hops.append(self._hop(row, name, writes, ahead[row]))

    def _hop(self, row: int, name: str, writes: bool, sets_up: bool) -> str:
        """Return what a row is part of; equal neighbours are one hop."""
        access = name in WALK or name == "memory_written"
        if access and sets_up and writes:
            return "input"
        if access and self.column(row) == "root" and not writes:
            return "message"
        if name == "rep_done":
            return self.hops[-1]
        parts = {"tables": TABLES, "deliver": DELIVERS, "map": MAPS, "wake": WAKES}
        return next((part for part, names in parts.items() if name in names), name)

    def _joins(self, group: Sequence[int], row: int, grain: str) -> bool:
        same = self.hops[row] == self.hops[group[-1]]
        return same and (self.hops[row] in TOGETHER or self.request[row] == self.request[group[-1]])

    def _lead(self, rows: Sequence[int], grain: str) -> tuple[int, str, dict[str, int]]:
        lead, kind, words = super()._lead(rows, grain)
        together = TOGETHER.get(self.hops[rows[0]])
        if together is None:
            return lead, kind, words
        names = [self.names[row] for row in rows]
        if together != "tables_read":
            return rows[0], together, {}
        found = {"own": names.count("table_entry_read"), "below": names.count("second_level_entry_read")}
        reads = [row for row in rows if self.names[row].endswith("entry_read")]
        return (reads[0], together, found) if reads else (lead, kind, words)


@dataclass(frozen=True)
class HopLens(SystemLens):
    """Tell a request hop by hop, on the map and in lanes."""

    def told(self, trace: Trace) -> list[Step]:
        reader = HopReader(trace, self.guest, self.root)
        groups = list(reader.groups("event"))
        frame_of = {row: number for number, rows in enumerate(groups) for row in rows}
        return [reader.step(rows, frame_of, number, "event") for number, rows in enumerate(groups)]

    def kinds(self) -> list[Kind]:
        return [*super().kinds(), *spoken(MORE)]

    def facts(self, trace: Trace) -> list[Fact]:
        shown = [
            replace(fact, panel=fact.name in PANEL, label=_(PANEL.get(fact.name, "")) or fact.label)
            for fact in super().facts(trace)
        ]
        given = "page_given" in trace.kinds()
        shown = [replace(fact, panel=fact.panel and (given or fact.name != "given")) for fact in shown]
        return [*shown, Fact("order"), Fact("writer", kind="enum:lane")]

    def pictures(self, trace: Trace, told: Sequence[Step]) -> list[Drawn]:
        return super().pictures(trace, told)[:2]

    def frames(self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn]) -> list[Frame]:
        frames = super().frames(trace, told, drawn)
        return [replace(frame, facts={**frame.facts, **more}) for frame, more in zip(frames, _more(told), strict=True)]


def _more(told: Sequence[Step]) -> Iterator[dict[str, int]]:
    """Yield, after each hop, the digits of the hops so far, each at its first time, and the lane that wrote last."""
    order, seen, writer = 0, set[int](), 0
    for step in told:
        digit = DIGITS.get(step.kind, 0)
        if digit and digit not in seen:
            order = order << 4 | digit
            seen.add(digit)
        if step.kind == "memory_written":
            writer = LANES.index(step.lane) + 1
        yield {"order": order, "writer": writer}


def hops(
    what: Any, title: str = "", lens: SystemLens | None = None, gates: Sequence[Gate] = (), token: str = ""
) -> Storyboard:
    """Return the story of a trace, hop by hop.

    Parameters
    ----------
    what
        A trace, or several in the order in which they were made, or what carries one.
    """
    traces = [trace_of(part) for part in (what if isinstance(what, list | tuple) else [what])]
    joined = sum(traces[1:], traces[0])
    about = _("A token is one hop; its letter says what travels. A number at a box counts how often it took part.")
    return (lens or HopLens()).story(joined, title or _("One request, hop by hop"), gates, token, about)
