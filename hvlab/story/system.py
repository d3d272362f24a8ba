"""The lens of the whole machine: power-on, the making of a child, one load, one intercept, on the map and in lanes.

Every arrow is a recorded event. What software decides for itself has no recorded cause, and none is drawn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.frame import Fact, Frame, Kind, spoken
from hvlab.story.gate import Gate
from hvlab.story.host import BOXES, Card, places
from hvlab.story.hostmap import Drawn, host_map
from hvlab.story.lanes import LANES, lanes
from hvlab.story.lens import kinds
from hvlab.story.owners import owner_enums, owners
from hvlab.story.steps import CALL_PHASES, INTERCEPT_PHASES, TOLD, WALK_PHASES, Step, steps
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import LEFT_OUT, trace_of
from hvlab.story.where import AT, VMBUS
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS as WORDS

NOT_YET: Final = 0xFFFF
TOKENS: Final = {
    "H": N_("a hypercall"),
    "X": N_("an exit"),
    "M": N_("a message"),
    "A": N_("a memory access"),
    "W": N_("a management call"),
    "!": N_("a fault"),
    "I": N_("an interrupt"),
}
BUS_TOKENS: Final = {"F": N_("an event flag"), "V": N_("a channel message"), "R": N_("a ring packet")}
LETTER_NUMBER: Final = {letter: number for number, letter in enumerate([*TOKENS, *BUS_TOKENS], 1)}
CALL: Final = Kind(
    "call_made",
    "VP {actor} calls {code:enum:call}: {status:enum:status}, {reps} elements; {pages} pages change owner, "
    "{writes} second-level entries are written.",
    ("code", "status", "reps", "pages", "writes"),
    ("enum:call", "enum:status", "dec", "dec", "dec"),
    "TLFS, hypercall interface",
    "",
    "H",
)
COUNTED: Final = {
    "calls": frozenset({"hypercall_entered"}),
    "exits": frozenset({"vp_exited", "msr_written", "msr_read", "cpuid_answered", "hypercall_entered"}),
    "reads": frozenset({"table_entry_read", "second_level_entry_read"}),
    "stores": frozenset(
        {"memory_written", "output_written", "second_level_entry_written", "accessed_set", "dirty_set"}
    ),
    "given": frozenset({"page_given"}),
}
FACTS: Final = [
    Fact("code", "Hypercall", "enum:asked", True),
    Fact("status", "Answer", "enum:reply", True, NOT_YET),
    Fact("request", "Request", "dec", True),
    Fact("calls", "Hypercalls so far", "dec", True),
    Fact("exits", "Times control left a guest", "dec", True),
    Fact("reads", "Table entries read", "dec", True),
    Fact("stores", "Words written to memory", "dec", True),
    Fact("given", "Pages that changed owner", "dec", True),
    Fact("now", "Simulated time", "time", True),
    Fact("letter", kind="enum:token"),
]
OF_CALLS: Final = frozenset({"code", "status", "calls", "given"})


@dataclass(frozen=True)
class SystemLens:
    """Tell whatever the machine did, box by box.

    Parameters
    ----------
    grain
        `request`: one frame for each hypercall, access, register access or intercept; `event`: its sub-goals one by
        one; `bit`: each recorded row.
    guest, name
        Which column of the map is the child (``windows``, ``linux``, ``unenlightened``), and what it is called.
    cards
        Sentences, sources and lessons of the glossary for the boxes: ``{"VID": (sentence, source, "02")}``.
    root
        The root's virtual processor; -1 for a recorded machine, which has none.
    """

    grain: str = "event"
    guest: str = "windows"
    name: str = ""
    cards: Mapping[str, Card] | None = field(default=None)
    root: int = 0

    def story(
        self, what: Any, title: str = "", gates: Sequence[Gate] = (), token: str = "", about: str = ""
    ) -> Storyboard:
        """Return the story of a trace (or of a step that carries one).

        Raises
        ------
        BadRequest
            If the trace holds no rows, or for an unknown grain or guest.
        """
        trace = trace_of(what)
        told = self.told(trace)
        drawn = self.pictures(trace, told)
        facts = [*self.facts(trace), *(fact for one in drawn for fact in one.facts)]
        return Storyboard.from_frames(
            title or _("What the machine did"),
            self.frames(trace, told, drawn),
            kinds=kinds_told(self.kinds(), trace),
            facts=facts,
            pictures=[one.picture for one in drawn],
            gates=gates,
            places=places({self.guest: self.name} if self.name else {}, self.cards),
            phases=self.phases(trace),
            enums=self.enums(trace),
            token=token,
            about=about or _("Each arrow is one recorded event; its token says by shape and letter what travels."),
        )

    def enums(self, trace: Trace) -> dict[str, dict[int, str]]:
        """Return the words of its facts."""
        found = enums(self.guest, self.name)
        if VMBUS.keys() & set(trace.kinds()):
            found["token"] |= {LETTER_NUMBER[letter]: _(text) for letter, text in BUS_TOKENS.items()}
        return found

    def told(self, trace: Trace) -> list[Step]:
        """Return the steps of the story."""
        return steps(trace, self.grain, self.guest, self.root)

    def kinds(self) -> list[Kind]:
        """Return the kinds of its frames."""
        return [*kinds(tuple(AT), {name: at[2] for name, at in AT.items()}, LEFT_OUT), *spoken([CALL])]

    def facts(self, trace: Trace) -> list[Fact]:
        """Return its facts, beside those of the pictures."""
        calls = "hypercall_entered" in trace.kinds()
        return [replace(fact, panel=fact.panel and (calls or fact.name not in OF_CALLS)) for fact in spoken(FACTS)]

    def pictures(self, trace: Trace, told: Sequence[Step]) -> list[Drawn]:
        """Return the pictures of the story."""
        drawn = [host_map(told, self.name, self.guest), lanes(told)]
        return [*drawn, owners(trace, told, self.name)] if "page_given" in trace.kinds() else drawn

    def phases(self, trace: Trace) -> tuple[str, ...]:
        """Return the sub-goals of what the trace holds."""
        names = set(trace.kinds())
        if TOLD & names:
            return INTERCEPT_PHASES
        loads = "access_begun" in names and "hypercall_entered" not in names
        return (*WALK_PHASES, "act") if loads else CALL_PHASES

    def frames(self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn]) -> list[Frame]:
        """Return the frames: each step with its facts and those of the pictures."""
        counts, now = dict.fromkeys(COUNTED, 0), {"code": 0, "status": NOT_YET}
        found = []
        for number, step in enumerate(told):
            for row in step.rows:
                name = trace.event(row).name
                for fact, names in COUNTED.items():
                    counts[fact] += name in names
                if name == "hypercall_entered":
                    now = {"code": trace.fact(row, "code"), "status": NOT_YET}
                elif name == "hypercall_returned":
                    now = {"code": trace.fact(row, "code"), "status": trace.fact(row, "status")}
            facts = {**now, **counts, "request": step.request + 1, "now": step.time}
            facts["letter"] = LETTER_NUMBER[step.letter]
            for one in drawn:
                facts |= one.values[number]
            found.append(
                Frame(
                    kind=step.kind,
                    words=step.words,
                    facts=facts,
                    phase=step.phase,
                    src=step.src,
                    dst=step.dst,
                    actor=step.actor,
                    cause=step.cause,
                    time=step.time,
                )
            )
        return found


def kinds_told(every: Sequence[Kind], *traces: Trace) -> list[Kind]:
    """Return the kinds of frames without those of VMBus that no trace holds: few stories are about it."""
    names = {name for trace in traces for name in trace.kinds()}
    return [kind for kind in every if kind.name not in VMBUS or kind.name in names]


def enums(guest: str, name: str) -> dict[str, dict[int, str]]:
    """Return the story's own words: boxes by number, answers, tokens."""
    boxes = {0: _("nothing")}
    for number, place in enumerate(places({guest: name} if name else {}), 1):
        boxes[number] = place.label
    assert len(boxes) == len(BOXES) + 1
    return {
        **owner_enums(),
        "token": {LETTER_NUMBER[letter]: _(text) for letter, text in TOKENS.items()},
        "answer": {NOT_YET: _("not yet")},
        "lane": {0: _("none"), **{number: _(lane) for number, lane in enumerate(LANES, 1)}},
        "asked": {0: _("none"), **WORDS["call"]},
        "reply": {NOT_YET: _("not yet"), **WORDS["status"]},
        "box": boxes,
    }


STORIES: Final = {  # the event without which it is not that story, its title, a sentence beneath
    "power_on": (
        "partition_created",
        N_("Power-on: the hypervisor first, then the root partition"),
        N_("The root is a partition too. It says who it is, and gets the page through which it calls."),
    ),
    "create_child": (
        "partition_created",
        N_("A child partition is made by hypercalls"),
        N_("The root gives pages first to the hypervisor, for its tables, then to the child, one by one."),
    ),
    "one_load": (
        "access_begun",
        N_("One load that needs no software"),
        N_("The processor reads the tables of both levels by itself; the lanes of all software stay empty."),
    ),
    "one_intercept": (
        "intercept_posted",
        N_("One intercept: the second level says no, and the parent is told"),
        N_("The child does not run meanwhile; it goes on when its parent clears the suspend register."),
    ),
}


def power_on(what: Any, lens: SystemLens | None = None, gates: Sequence[Gate] = (), token: str = "") -> Storyboard:
    """Return the story of `machine.boot`: hypervisor, root partition, hypercall page."""
    return _told("power_on", what, lens, gates, token)


def create_child(what: Any, lens: SystemLens | None = None, gates: Sequence[Gate] = (), token: str = "") -> Storyboard:
    """Return the story of the trace that `machine.child(name)` left: the page owners change one by one."""
    return _told("create_child", what, lens, gates, token)


def one_load(what: Any, lens: SystemLens | None = None, gates: Sequence[Gate] = (), token: str = "") -> Storyboard:
    """Return the story of one access of a child that the hardware answers alone."""
    return _told("one_load", what, lens, gates, token)


def one_intercept(what: Any, lens: SystemLens | None = None, gates: Sequence[Gate] = (), token: str = "") -> Storyboard:
    """Return the story of an access that leaves the guest, and of what the parent does about it."""
    return _told("one_intercept", what, lens, gates, token)


def _told(name: str, what: Any, lens: SystemLens | None, gates: Sequence[Gate], token: str) -> Storyboard:
    event, title, about = STORIES[name]
    if not list(trace_of(what).of(event)):
        raise BadRequest(f"the story {name}", f"a trace without {event}", "machine.boot, or machine.trace after it")
    return (lens or SystemLens()).story(what, _(title), gates, token, _(about))
