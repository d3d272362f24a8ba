"""The state beside the steps of a SynIC's story: facts frame by frame, bytes on show, and what the story uses."""

from collections.abc import Sequence
from typing import Any, Final

from hvlab.language import N_, _
from hvlab.story.frame import Page
from hvlab.story.hostmap import Drawn
from hvlab.story.lanes import lanes
from hvlab.story.steps import Step
from hvlab.story.synic_panel import FlagSets, Scope, Slots, facts_of, modes, panel, strip, values
from hvlab.story.synic_state import (
    DELIVERED,
    DROPPED,
    FLAGS_PAGE,
    MERGED,
    MESSAGE_PAGE,
    NO_BUFFER,
    NO_INTERRUPT,
    NOT_READY,
    QUEUED,
    REFUSED,
    SLOT,
    SYNIC_MSRS,
    Office,
)
from hvlab.story.synic_wires import MOST_WIRES, wire_values, wires
from hvlab.story.where import SYNIC
from hvlab.trace.journal import Trace
from hvlab.wire.synic import PAYLOAD
from hvlab.wire.tlfs import MessageHeader, Msr

ENDINGS: Final = {
    0: N_("nothing yet"),
    DELIVERED: N_("it lies there, and the interrupt is raised"),
    QUEUED: N_("it waits in the queue"),
    NO_INTERRUPT: N_("it lies there, and no interrupt is raised"),
    MERGED: N_("the flag was set already: nothing more happens"),
    NOT_READY: N_("the call fails: INVALID_SYNIC_STATE"),
    NO_BUFFER: N_("the call fails: INSUFFICIENT_BUFFERS"),
    DROPPED: N_("the call succeeds, and nothing happens"),
    REFUSED: N_("the call fails"),
}
MESSAGE_FIELDS: Final = tuple(MessageHeader.fields)


class Watch:
    """The state beside the steps of a story: its facts frame by frame, and what of it the story uses."""

    def __init__(self, trace: Trace, told: Sequence[Step], before: Trace | None) -> None:
        self.trace, self.told, self.before = trace, told, before
        self.slots, self.sets = Slots(), FlagSets()
        self.scopes = scopes(trace, before)
        self.office = Office()
        for row in range(len(before) if before is not None else 0):
            assert before is not None
            self.office.read(before, row)
        self.office.counts = dict.fromkeys(self.office.counts, 0)
        self.office.ending = 0
        for synic in self.office.synics.values():
            synic.order = [0] * len(synic.order)
            for source in synic.sources.values():
                source.raised = source.withheld = 0
        self.ports = ports(trace, before)
        self.facts, self.panels, self.wiring = list[dict[str, int]](), list[dict[str, int]](), list[dict[str, int]]()
        for step in told:
            self.office.open()
            for row in step.rows:
                self.office.read(trace, row)
            self.facts.append(self._counts())
            self.panels.append({})
            for scope in self.scopes:
                self.panels[-1] |= values(self.office.synic(scope.vp), scope, self.slots, self.sets)
            self.wiring.append(wire_values(self.office, self.ports))

    def _counts(self) -> dict[str, int]:
        sources = [source for one in self.office.synics.values() for source in one.sources.values()]
        facts = {**self.office.counts, "ending": self.office.ending}
        facts["bits"] = sum(len(source.flags) for source in sources)
        facts["waiting"] = sum(len(source.queue) for source in sources)
        facts["stuck"] = int(any(source.queue and not source.slot for source in sources))
        return facts

    def drawn(self) -> list[Drawn]:
        """Return the pictures."""
        found = []
        for scope in self.scopes:
            names = {fact.name for fact in facts_of(scope)}
            found.append(panel(scope, [{k: v for k, v in now.items() if k in names} for now in self.panels]))
            for sint in sorted({sint for sint, _flag in scope.flags}):
                one = strip(scope, sint)
                nothing: list[dict[str, int]] = [{} for _ in self.panels]
                found.append(Drawn(one.picture, [], nothing))
        if self.ports:
            found.append(wires(self.office, self.ports, self.wiring))
        return [*found, lanes(self.told)]

    def enums(self) -> dict[str, dict[int, str]]:
        """Return the words of the facts."""
        endings = {number: _(text) for number, text in ENDINGS.items()}
        return {"slots": self.slots.seen, "flag_sets": self.sets.texts(), "modes": modes(), "endings": endings}

    def slots_on_show(self) -> list[Page]:
        """Return the slots and flags of the story as bytes, as they are when it begins."""
        found = []
        for scope in self.scopes:
            synic = self.office.synic(scope.vp)
            for sint in scope.sints:
                for kind, name in ((MESSAGE_PAGE, _("slot of SINT {sint}")), (FLAGS_PAGE, _("flags of SINT {sint}"))):
                    base = synic.pages.get(kind)
                    spa = -1 if base is None else base + SLOT * sint
                    start = None if base is None else start_of(self.trace, self.before, spa)
                    if start is not None:
                        fields = MESSAGE_FIELDS if kind == MESSAGE_PAGE else ()
                        named = name.format(sint=sint) + _(", VP {vp}").format(vp=scope.vp)
                        found.append(Page(named, spa, SLOT, "spa", start, fields_of(fields)))
        return found


def fields_of(declared: Sequence[Any]) -> list[tuple[str, int, int, str, str]]:
    """Return the fields of a message as the bytes picture wants them: those of the header, then the payload."""
    if not declared:
        return []
    kinds = {"bytes": "bytes"}
    found = [
        (one.name, one.offset, one.bytes, _(one.doc), kinds.get(one.kind, "bytes" if one.count > 1 else "hex"))
        for one in declared
    ]
    says = _("What it says; only payload_size bytes count.")
    return [*found, ("payload", MessageHeader.size, PAYLOAD, says, "bytes")]


def start_of(trace: Trace, before: Trace | None, spa: int) -> bytes | None:
    """Return 256 bytes as they are when a story begins, from the words that were recorded; None if none of them was."""
    found: dict[int, int] = {}
    for part, key in ((before, "new"), (trace, "old")):
        for row in range(len(part) if part is not None else 0):
            assert part is not None
            words = part.facts(row)
            at = words.get("spa", -1)
            if "old" in words and "new" in words and spa <= at < spa + SLOT:
                found[at] = words["new"] if key == "new" else found.get(at, words["old"])
    if not found:
        return None
    return b"".join((found.get(spa + at, 0) & (1 << 64) - 1).to_bytes(8, "little") for at in range(0, SLOT, 8))


def slots_pages(trace: Trace, before: Trace | None) -> frozenset[int]:
    """Return the page numbers of message and flags pages that the rows name."""
    found = set[int]()
    for part in (before, trace):
        if part is not None:
            for row in part.of("page_overlaid", "slot_filled", "event_flag_set"):
                if part.event(row).name != "page_overlaid" or part.fact(row, "page") in (MESSAGE_PAGE, FLAGS_PAGE):
                    found.add(part.fact(row, "spa") >> 12)
    return frozenset(found)


def scopes(trace: Trace, before: Trace | None) -> list[Scope]:
    """Return which sources and flags of which virtual processors a story uses."""
    sints: dict[int, set[int]] = {}
    flags: dict[int, set[tuple[int, int]]] = {}
    for row, name in enumerate(trace.kinds()):
        words, vp = trace.facts(row), int(trace.rows[row, 2])
        if name == "message_posted":
            sints.setdefault(words["vp"], set()).add(words["sint"])
        elif name in SYNIC and "sint" in words and name != "port_created":
            sints.setdefault(vp, set()).add(words["sint"])
            if name in ("event_flag_set", "event_flag_already_set"):
                flags.setdefault(vp, set()).add((words["sint"], words["flag"]))
        elif name.startswith("timer_"):
            sints.setdefault(vp, set())
        elif name == "msr_written" and words["msr"] in SYNIC_MSRS:
            found = sints.setdefault(vp, set())
            if words["msr"] >= Msr.SINT0:
                found |= {words["msr"] - Msr.SINT0} if words["msr"] < Msr.SINT0 + 16 else set()
    for row in before.of("event_flag_set") if before is not None else ():
        vp = int(before.rows[row, 2]) if before is not None else 0
        if vp in sints and before is not None:
            flags.setdefault(vp, set()).add((before.fact(row, "sint"), before.fact(row, "flag")))
    return [Scope(vp, tuple(sorted(sints[vp])), tuple(sorted(flags.get(vp, ())))) for vp in sorted(sints)]


def ports(trace: Trace, before: Trace | None) -> list[int]:
    """Return the ports that a story uses, or that it makes."""
    used = {trace.fact(row, "port") for row in trace.of("message_posted", "event_flag_set", "event_flag_already_set")}
    used |= {trace.fact(row, "port") for row in trace.of("port_created", "connection_made", "port_deleted")}
    for row in before.of("connection_made") if before is not None else ():
        assert before is not None
        used.add(before.fact(row, "port"))
    return sorted(used)[:MOST_WIRES]
