"""The lens of interrupts: raised, accepted, delivered, handled, ended; and who runs where meanwhile.

Pictures: a local APIC for each virtual processor that the trace is about, the scheduler's strips if it took part, and
lanes, in which the chain of causes leads from a pin, an IPI or a timer to the handler.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.apics import OF_APIC, TAKEN, Sets, apics
from hvlab.story.frame import Fact, Frame, spoken
from hvlab.story.gantt import gantt, lps_of, runner_words, scheduled
from hvlab.story.gate import Gate
from hvlab.story.hostmap import Drawn
from hvlab.story.lanes import lanes
from hvlab.story.steps import Step, requests_by_cause
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.story.walk import trace_of
from hvlab.story.where import INTERRUPTS, SCHEDULING
from hvlab.trace.journal import Trace

PHASES: Final = ("raise", "accept", "deliver", "handle", "end")
PHASE_OF: Final = {
    **dict.fromkeys(("device_interrupt", "ipi_sent", "ipi_refused", "apic_timer_set", "apic_timer_expired"), "raise"),
    **dict.fromkeys(("pin_sent", "pin_masked", "pin_held", "pin_programmed"), "raise"),
    **dict.fromkeys(("vector_raised", "vector_coalesced", "vector_refused", "vector_dropped"), "accept"),
    **dict.fromkeys(("nmi_raised", "nmi_merged", "init_received", "startup_received", "startup_ignored"), "accept"),
    **dict.fromkeys(("tpr_written", "apic_written", "assist_withdrawn", "vp_interrupted", "root_signalled"), "accept"),
    **dict.fromkeys(("vp_ready", "vp_scheduled", "vp_descheduled", "vp_dispatched"), "deliver"),
    **dict.fromkeys((*TAKEN, "nmi_taken", "assist_offered"), "deliver"),
    **dict.fromkeys(("handler_entered", "burst_begun", "vp_halted"), "handle"),
    **dict.fromkeys(("eoi_written", "eoi_saved", "eoi_without_interrupt", "vector_ended"), "end"),
    **dict.fromkeys(("assist_cleared", "nmi_ended", "pin_ended"), "end"),
}
OF_INTERRUPTS: Final = frozenset({*INTERRUPTS, *SCHEDULING})
COUNTED: Final = {
    "raised": frozenset({"vector_raised", "vector_coalesced"}),
    "merged": frozenset({"vector_coalesced"}),
    "taken": TAKEN,
    "eoi_exits": frozenset({"eoi_written"}),
    "eoi_saved": frozenset({"eoi_saved"}),
    "lost": frozenset({"vector_dropped", "vector_refused", "pin_masked"}),
    "placed": frozenset({"vp_scheduled"}),
}
SHOWN: Final = {  # facts that the state table has only where one of these happened
    "raised": OF_APIC,
    "merged": COUNTED["merged"],
    "taken": OF_APIC,
    "eoi_exits": OF_APIC,
    "eoi_saved": COUNTED["eoi_saved"],
    "lost": COUNTED["lost"],
    "placed": COUNTED["placed"],
}
FACTS: Final = (
    Fact("raised", N_("Interrupts raised"), "dec", True),
    Fact("merged", N_("Merged with one that waited"), "dec", True),
    Fact("taken", N_("Interrupts taken"), "dec", True),
    Fact("eoi_exits", N_("EOIs that left the guest"), "dec", True),
    Fact("eoi_saved", N_("EOIs without an exit"), "dec", True),
    Fact("lost", N_("Dropped, refused or masked"), "dec", True),
    Fact("placed", N_("Times that a VP was put on a processor"), "dec", True),
    Fact("taker"),  # the virtual processor that took the last interrupt, from 1
    Fact("kept"),  # 1: one that came while its virtual processor did not run was taken by that one later
    Fact("now", N_("Simulated time"), "time", True),
)
FEW: Final = 48  # steps that lanes show one beside the other; of more, the time shows better what belongs together
WAITS: Final = N_("a virtual processor is ready and waits for a logical one")
ABOUT: Final = N_("A vector's class is its upper hex digit. What waits comes only if its class is above PPR's.")


ABOUT_RUNNING: Final = N_("A bar is a stretch of time. Hatched: it could run, and no processor is free for it.")


@dataclass(frozen=True)
class InterruptLens(SystemLens):
    """Tell interrupts: APICs, scheduler and the way of each cause; grains as `SystemLens` has them.

    Parameters
    ----------
    lps
        How many logical processors the machine has: one on which nothing ran gets its strip, too. 0: as many as the
        trace names.
    """

    lps: int = 0

    def story(
        self, what: Any, title: str = "", gates: Sequence[Gate] = (), token: str = "", about: str = ""
    ) -> Storyboard:
        """Return the story of the interrupts of a trace.

        Raises
        ------
        BadRequest
            If the trace holds no event of an APIC or of the scheduler.
        """
        trace = trace_of(what)
        if not OF_INTERRUPTS & set(trace.kinds()):
            raise BadRequest("the story of an interrupt", "a trace without one", "the trace of one_apic(...)")
        told = ABOUT if OF_APIC & set(trace.kinds()) else ABOUT_RUNNING
        return super().story(trace, title or title_of(trace), gates, token, about or _(told))

    def told(self, trace: Trace) -> list[Step]:
        """Return the steps: each with its sub-goal; a request is what follows from one event without a cause."""
        phase = [PHASE_OF.get(name, "handle") for name in trace.kinds()]
        return requests_by_cause(
            replace(step, phase=phase[step.lead], waits=tuple(_waits(trace, step))) for step in super().told(trace)
        )

    def phases(self, trace: Trace) -> tuple[str, ...]:
        """Return the sub-goals of an interrupt."""
        return PHASES

    def facts(self, trace: Trace) -> list[Fact]:
        """Return its facts, beside those of the pictures."""
        own = {fact.name for fact in FACTS}
        others = [replace(fact, panel=False) for fact in super().facts(trace) if fact.name not in own]
        names = set(trace.kinds())
        mine = [replace(fact, panel=fact.panel and bool(names & SHOWN.get(fact.name, names))) for fact in spoken(FACTS)]
        return [*others, *mine, *(Fact(f"on{lp}", kind="enum:runner") for lp in range(self.processors(trace)))]

    def processors(self, trace: Trace) -> int:
        """Return how many logical processors are drawn."""
        return max(self.lps if scheduled(trace) else 0, lps_of(trace))

    def enums(self, trace: Trace) -> dict[str, dict[int, str]]:
        """Return the words of its facts: sets of vectors by number, who runs."""
        sets = Sets()
        apics(trace, self.told(trace), sets, 0)
        return {**super().enums(trace), "vectors": sets.texts(), **runner_words(trace)}

    def pictures(self, trace: Trace, told: Sequence[Step]) -> list[Drawn]:
        """Return an APIC for each virtual processor, the scheduler's strips, and the lanes."""
        ordered = len(told) <= FEW
        path = lanes(told, "" if ordered else WAITS, ordered)
        lps = self.processors(trace)
        return [*apics(trace, told, Sets(), lps), *gantt(trace, told, lps), path]

    def frames(self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn]) -> list[Frame]:
        """Return the frames: each step with its facts and those of the pictures."""
        counts, on = dict.fromkeys(COUNTED, 0), dict.fromkeys(range(self.processors(trace)), 0)
        waiting, more = set[int](), {"taker": 0, "kept": 0}
        found = []
        for frame, step in zip(super().frames(trace, told, drawn), told, strict=True):
            for row in step.rows:
                name, vp = trace.event(row).name, int(trace.rows[row, 2])
                for fact, names in COUNTED.items():
                    counts[fact] += name in names
                if name == "vp_scheduled":
                    on[trace.fact(row, "lp")] = vp + 1
                elif name == "vp_descheduled":
                    on[trace.fact(row, "lp")] = 0
                elif name == "vector_raised" and on and vp + 1 not in on.values():
                    waiting.add(vp)
                elif name in TAKEN:
                    more = {"taker": vp + 1, "kept": int(more["kept"] or vp in waiting)}
            facts = {**frame.facts, **counts, **more, **{f"on{lp}": who for lp, who in on.items()}}
            found.append(replace(frame, facts=facts))
        return found


def _waits(trace: Trace, step: Step) -> list[tuple[str, int, int]]:
    """How long virtual processors that are put on a processor in this step were ready before."""
    found = []
    for row in step.rows:
        if trace.event(row).name == "vp_scheduled" and trace.fact(row, "waited"):
            time, side = int(trace.rows[row, 1]), "root" if trace.fact(row, "partition") == 1 else "child"
            found.append((f"{side} kernel", time - trace.fact(row, "waited"), time))
    return found


def title_of(trace: Trace) -> str:
    """Return what a story of this trace is called."""
    names = set(trace.kinds())
    if names & OF_APIC and names & set(SCHEDULING):
        return _("An interrupt finds its virtual processor")
    return _("Interrupts of a local APIC") if names & OF_APIC else _("Who runs when")


def of_interrupts(trace: Trace) -> bool:
    """Whether a trace tells of interrupts or of the scheduler."""
    return bool(OF_INTERRUPTS & set(trace.kinds()))


def interrupt_story(what: Any, grain: str = "event", title: str = "") -> Storyboard:
    """Tell the interrupts of a trace, or of whatever carries one.

    Parameters
    ----------
    grain
        `event`: one frame an event; `bit`: each recorded row.
    """
    return InterruptLens(grain).story(what, title)
