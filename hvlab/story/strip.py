"""The lens of a tiny program: its instructions as a strip beside the map and the lanes; those that stay are no event.

The strip is drawn from the program's own listing; which instruction a step belongs to, and who answered it, is in the
recorded rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _, ngettext
from hvlab.story.frame import Fact, Frame
from hvlab.story.gate import Gate
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, box, words
from hvlab.story.steps import Step
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.story.walk import trace_of
from hvlab.trace.journal import Trace
from hvlab.trace.words import grouped

WIDTH, ROW, TOP, LEFT = 836, 21, 34, 8
COLUMNS, ROWS = 3, 20
MOST: Final = COLUMNS * ROWS
COLUMN: Final = (WIDTH - 2 * LEFT) // COLUMNS
ROOT, HYPERVISOR = 1, 2
ANSWERERS: Final = {
    0: N_("nobody yet"),
    ROOT: N_("the root partition"),
    HYPERVISOR: N_("the hypervisor"),
    3: N_("the processor, in the guest"),
}
HERE: Final = frozenset({"cpuid_answered", "msr_read", "msr_written", "port_answered", "vp_halted"})
LEAVES: Final = frozenset({"instruction_exited", "vp_exited"})
Place = tuple[int, str]


@dataclass(frozen=True)
class StripLens(SystemLens):
    """Tell the run of a tiny program.

    Parameters
    ----------
    places
        (RIP, text) of each instruction.
    executed
        How many instructions were executed, those that stayed included.
    """

    places: tuple[Place, ...] = ()
    executed: int = 0

    def facts(self, trace: Trace) -> list[Fact]:
        """Return the facts of a program, beside those of the machine."""
        own = [
            Fact("left", _("Times the guest was left"), "dec", True),
            Fact("answered", _("Answered last by"), "enum:answerer", True),
            Fact("elements", _("Bytes and words that devices gave or took"), "dec", True),
            Fact("instructions"),
        ]
        shown = [replace(fact, panel=fact.panel and fact.name in ("calls", "now")) for fact in super().facts(trace)]
        return [*own, *shown]

    def enums(self, trace: Trace) -> dict[str, dict[int, str]]:
        """Return the words of its facts."""
        return {**super().enums(trace), "answerer": {who: _(text) for who, text in ANSWERERS.items()}}

    def pictures(self, trace: Trace, told: Sequence[Step]) -> list[Drawn]:
        """Return the strip first, then the map and the lanes."""
        return [strip(trace, told, self.places), *super().pictures(trace, told)[:2]]

    def frames(self, trace: Trace, told: Sequence[Step], drawn: Sequence[Drawn]) -> list[Frame]:
        """Return the frames, with how often the guest was left so far, and who answered last."""
        found, left, answered, elements = [], 0, 0, 0
        for frame, step in zip(super().frames(trace, told, drawn), told, strict=True):
            for row in step.rows:
                name = trace.event(row).name
                left += name in LEAVES
                answered = ROOT if name == "instruction_emulated" else HYPERVISOR if name in HERE else answered
                elements += trace.fact(row, "elements") if name == "instruction_emulated" else 0
            more = {"left": left, "answered": answered, "elements": elements, "instructions": self.executed}
            found.append(replace(frame, facts={**frame.facts, **more}))
        return found


def strip(trace: Trace, told: Sequence[Step], places: Sequence[Place]) -> Drawn:
    """Return the picture of the instructions: the one at which the guest was left last is lit, with who answered it.

    Raises
    ------
    BadRequest
        For a program that is too long to be drawn.
    """
    if not 0 < len(places) <= MOST:
        raise BadRequest(f"a strip of {len(places)} instructions", "", f"1 to {MOST}")
    at = {rip: number for number, (rip, _text) in enumerate(places, 1)}
    layer: list[Element] = [
        words("", LEFT, 20, _("The program. Who answered: R the root partition, H the hypervisor"), "small soft")
    ]
    bind: list[Element] = []
    for number, (rip, text) in enumerate(places, 1):
        x, y = LEFT + COLUMN * ((number - 1) // ROWS), TOP + ROW * ((number - 1) % ROWS)
        layer.append(box(f"line{number}", x, y, COLUMN - 8, ROW - 2, "cell"))
        layer.append(words("", x + 6, y + 14, grouped(rip, 4), "small code soft"))
        layer.append(words("", x + 64, y + 14, text, "small code"))
        layer.append(words(f"who{number}", x + COLUMN - 24, y + 14, "", "small middle title"))
        bind.append(["lit", f"line{number}", "line", [number]])
        cases = {"0": "", "1": _("R"), "2": _("H")}
        bind.append(["say", f"who{number}", {"fact": f"by{number}", "cases": cases, "else": ""}])
    values = _values(trace, told, at)
    hit = {number for one in values for number in at.values() if one[f"by{number}"]}
    for number in sorted(hit):
        step = next(k for k, one in enumerate(values) if one["line"] == number)
        bind.append(["jump", f"line{number}", step])
    facts = [Fact("line"), Fact("rip", kind="hex"), *(Fact(f"by{number}") for number in at.values())]
    height = max(260, TOP + ROW * min(len(places), ROWS) + 12)
    title = _("The program, and where it left the guest")
    return Drawn(Picture(_("Program"), title, WIDTH, height, layer, bind, _alt()), facts, values)


def _alt() -> dict[str, Any]:
    """The picture in words: how often the guest was left, in the form that goes with the number."""
    once, often = (
        ngettext(
            "The guest was left {left} time so far, last at RIP {rip:hex}; answered by {answered:enum:answerer}.",
            "The guest was left {left} times so far, last at RIP {rip:hex}; answered by {answered:enum:answerer}.",
            count,
        )
        for count in (1, 2)
    )
    return {"fact": "left", "cases": {"1": once}, "else": often}


def _values(trace: Trace, told: Sequence[Step], at: dict[int, int]) -> list[dict[str, int]]:
    """Which instruction each step belongs to, and who answered each so far."""
    line, rip, by = 0, 0, dict.fromkeys(at.values(), 0)
    found = []
    for step in told:
        for row in step.rows:
            name = trace.event(row).name
            if name == "instruction_exited":
                rip = trace.fact(row, "rip")
                line = at.get(rip, 0)
            elif line and name == "parent_told":
                by[line] = ROOT
            elif line and name in HERE and not by[line]:
                by[line] = HYPERVISOR
        found.append({"line": line, "rip": rip, **{f"by{number}": who for number, who in by.items()}})
    return found


def strip_story(
    what: Any,
    places: Sequence[Place],
    executed: int,
    title: str = "",
    gates: Sequence[Gate] = (),
    grain: str = "event",
    token: str = "",
) -> Storyboard:
    """Return the story of a tiny program's run.

    Parameters
    ----------
    places, executed
        Its instructions (RIP, text), and how many were executed.
    """
    lens = StripLens(grain=grain, places=tuple(places), executed=executed)
    about = _("What runs on the bare processor is no event: only what leaves the guest is told.")
    return lens.story(trace_of(what), title or _("A tiny program, and where it leaves the guest"), gates, token, about)
