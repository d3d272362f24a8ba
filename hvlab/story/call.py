"""The lens of a hypercall: registers of the caller, the page between, and what the hypervisor does with the list.

It tells what one virtual processor asks of the hypervisor: register accesses, calls, and what comes back. How the
processor found the addresses meanwhile is another story (`hvlab.story.walk`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.frame import Fact, Frame, Kind, spoken
from hvlab.story.gate import Gate
from hvlab.story.lens import GRAINS, PLACES, kinds, ruler
from hvlab.story.picture import Element, Picture, box, wire, words
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import trace_of
from hvlab.trace.events import GUEST
from hvlab.trace.journal import Trace
from hvlab.trace.words import ENUMS as WORDS
from hvlab.wire.cpuid import PRESENT_LEAF
from hvlab.wire.tlfs import HypercallControl, HypercallMsr, HypercallResult, Msr, Status

PHASES: Final = ("set up", "enter", "check", "act", "return")
SET_UP: Final = ("msr_written", "msr_read", "cpuid_answered", "overlay_placed", "overlay_removed", "memory_written")
ACTS: Final = (
    *("partition_created", "partition_initialized", "partition_finalized", "partition_deleted", "property_set"),
    *("memory_deposited", "memory_withdrawn", "page_given", "page_scrubbed", "page_mapped", "page_unmapped"),
    *("second_level_entry_written", "vp_created", "vp_deleted", "register_set", "vp_resumed", "tlb_flushed"),
    *("output_written", "rep_done"),
)
PHASE_OF: Final = {
    **dict.fromkeys(SET_UP, "set up"),
    **dict.fromkeys(ACTS, "act"),
    "hypercall_entered": "enter",
    "call_denied": "check",
    **dict.fromkeys(("vp_exited", "intercept_posted", "exception_raised"), "check"),
    **dict.fromkeys(("hypercall_continued", "hypercall_returned"), "return"),
}
LETTERS: Final = dict.fromkeys(PHASE_OF, "H") | {"call_denied": "!", "exception_raised": "!", "intercept_posted": "M"}
LEADS: Final = ("rep_done", "partition_created", "partition_initialized", "property_set", "vp_created", "page_mapped")
NOT_YET: Final = 0xFFFF
AT, BEHIND, ELSEWHERE = 0, 1, 2
UNSEEN, COVERS, ABSENT = 0, 1, 2
NO_MESSAGE: Final = 0
SAID: Final[dict[str, dict[int, str]]] = {
    "rip": {AT: N_("at the call"), BEHIND: N_("behind the call"), ELSEWHERE: N_("in the kernel")},
    "call_now": {0: N_("none yet")},
    "page_state": {UNSEEN: N_("not seen yet"), COVERS: N_("covers the guest's page"), ABSENT: N_("is not there")},
    "reply": {NOT_YET: N_("no answer yet")},
    "trap": {0: N_("none")},
    "post": {NO_MESSAGE: N_("nothing")},
}
NAMED: Final[dict[str, dict[int, str]]] = {
    "call_now": WORDS["call"],
    "reply": {status.value: status.name for status in Status},
    "trap": WORDS["exception"],
    "post": WORDS["message"],
}
FACTS: Final = (
    Fact("code", "Call", "enum:call_now", True),
    Fact("rip", "RIP", "enum:rip", True, ELSEWHERE),
    Fact("rcx", "RCX", "word:HypercallControl", True),
    Fact("rdx", "RDX", "hex"),
    Fact("r8", "R8", "hex"),
    Fact("rax", "RAX", "word:HypercallResult", True),
    Fact("status", "Answer", "enum:reply", True, NOT_YET),
    Fact("count", "Elements in the list", "dec", True),
    Fact("done", "Elements done", "dec", True),
    Fact("entries", "Times that the call was entered", "dec", True),
    Fact("answers"),
    Fact("granted"),
    Fact("trap", "Exception", "enum:trap", True),
    Fact("post", "Message to the parent", "enum:post", True),
    Fact("msr", "HYPERCALL register", "word:HypercallMsr", True),
    Fact("page", "The hypercall page", "enum:page_state", True),
    Fact("share"),
    Fact("seen"),
    Fact("vector"),
    Fact("placed"),
    Fact("by_mask"),
    Fact("slices"),
    Fact("asked"),
    Fact("register"),
    Fact("present"),
    Fact("told"),
    Fact("heard"),
)
BEFORE: Final = Kind("before", N_("VP {actor} is about to begin."), rule="TLFS, hypercall interface", letter="H")
LIST_WIDTH: Final = 288
REGISTERS: Final = (
    ("RIP", "rip", "enum:rip"),
    *((name, name.lower(), "hex") for name in ("RCX", "RDX", "R8", "RAX")),
)
Part = tuple[list[Element], list[Element]]
ABOUT: Final = N_("Left: the caller's registers. Right: what the hypervisor does. Below: the bits of RCX and RAX.")


def enums() -> dict[str, dict[int, str]]:
    """The story's own words, in the learner's language; the names of the interfaces stay."""
    said = {name: {value: _(text) for value, text in words.items()} for name, words in SAID.items()}
    return {name: {**NAMED.get(name, {}), **words} for name, words in said.items()}


@dataclass(frozen=True)
class CallLens:
    """Tell hypercalls: one frame for each call (`request`), for each sub-goal of it (`event`) or each row (`bit`)."""

    grain: str = "event"

    def story(self, what: Any, title: str = "", gates: Sequence[Gate] = ()) -> Storyboard:
        """Return the story of the calls and register accesses in a trace.

        Raises
        ------
        BadRequest
            If the trace holds none, or the grain is not one of `GRAINS`.
        """
        trace = trace_of(what)
        if self.grain not in GRAINS:
            raise BadRequest(f"the grain {self.grain!r}", "", ", ".join(GRAINS))
        frames = list(self.frames(trace))
        if not frames:
            raise BadRequest("the story of a call", "a trace without one", "the trace of vp.hypercall(...)")
        return Storyboard.from_frames(
            title or _("A guest calls the hypervisor"),
            frames,
            kinds=[*kinds(tuple(PHASE_OF), LETTERS, {}), *spoken([BEFORE])],
            facts=spoken(FACTS),
            pictures=[picture()],
            gates=gates,
            places=spoken(PLACES),
            phases=PHASES,
            words={word.__name__: ruler(word) for word in (HypercallControl, HypercallResult, HypercallMsr)},
            enums=enums(),
            about=_(ABOUT),
        )

    def frames(self, trace: Trace) -> Iterator[Frame]:
        """Yield the frames, each with the facts after it; first the moment before."""
        teller, frame_of = Teller(), dict[int, int]()
        for number, group in enumerate(self.groups(trace), 1):
            if number == 1:
                _, begun, actor = (int(word) for word in trace.rows[group[0], :3])
                yield Frame(kind="before", phase="set up", src="guest", actor=actor, time=begun)
            for row in group:
                teller.tell(trace.event(row).name, trace.facts(row))
                frame_of[row] = number
            lead = self.lead(trace, group)
            declared = trace.event(lead)
            because = frame_of.get(int(trace.rows[group[0], 3]), number)
            yield Frame(
                kind=declared.name,
                words=trace.facts(lead),
                facts=dict(teller.facts),
                phase=PHASE_OF[declared.name],
                src=declared.box,
                dst="hypervisor" if declared.box == GUEST else "",
                actor=int(trace.rows[lead, 2]),
                cause=because if because < number else None,
                time=int(trace.rows[group[-1], 1]),
            )

    def groups(self, trace: Trace) -> Iterator[tuple[int, ...]]:
        """Yield the rows of each frame."""
        frame: list[int] = []
        before = ""
        for row, name in enumerate(trace.kinds()):
            if name not in PHASE_OF:
                continue
            if frame and not self._joins(name, before):
                yield tuple(frame)
                frame = []
            frame.append(row)
            before = name
        if frame:
            yield tuple(frame)

    def _joins(self, name: str, before: str) -> bool:
        if self.grain == "bit":
            return False
        if name == before == "memory_written":
            return True
        if self.grain == "request":
            return (
                name not in (*SET_UP, "hypercall_entered")
                and before not in SET_UP
                or (name == "hypercall_entered" and before == "hypercall_continued")
            )
        return name in ACTS and before in ACTS

    def lead(self, trace: Trace, group: Sequence[int]) -> int:
        """Return the row that gives a frame its sentence."""
        if self.grain == "request":
            return group[-1]
        names = {trace.event(row).name: row for row in group}
        return next((names[name] for name in LEADS if name in names), group[0])


class Teller:
    """Follows the caller's registers through the rows of a trace."""

    def __init__(self) -> None:
        self.facts = {fact.name: fact.start for fact in FACTS}

    def tell(self, name: str, words: Mapping[str, int]) -> None:
        """Take one row."""
        method = getattr(self, f"_{name}", None)
        if method is not None:
            method(words)
        facts = self.facts
        facts["share"] = facts["done"] * LIST_WIDTH // facts["count"] if facts["count"] else 0

    def _hypercall_entered(self, words: Mapping[str, int]) -> None:
        control = HypercallControl.decode(words["control"] & (1 << 64) - 1)
        again = self.facts["rip"] == AT and self.facts["slices"] > 0 and self.facts["rcx"] == words["control"]
        fresh = {} if again else {"entries": 0, "slices": 0}
        self.facts |= fresh
        self.facts["asked"] += not again
        self.facts |= {
            "code": words["code"], "rip": AT, "rcx": words["control"], "rdx": words["input"], "r8": words["output"],
            "rax": 0, "status": NOT_YET, "count": control.rep_count, "done": control.rep_start, "page": COVERS,
            "seen": 1, "heard": 1, "told": 0, "register": 0, "entries": self.facts["entries"] + 1,
        }  # fmt: skip

    def _rep_done(self, words: Mapping[str, int]) -> None:
        self.facts["done"] = words["rep"] + 1

    def _hypercall_continued(self, words: Mapping[str, int]) -> None:
        self.facts |= {"rcx": words["control"], "done": words["rep"], "slices": self.facts["slices"] + 1}

    def _hypercall_returned(self, words: Mapping[str, int]) -> None:
        self.facts |= {"rax": words["result"], "status": words["status"], "rip": BEHIND}
        self.facts["answers"] += 1
        self.facts["granted"] += words["status"] == Status.SUCCESS
        self.facts["by_mask"] += words["status"] == Status.SUCCESS

    def _call_denied(self, words: Mapping[str, int]) -> None:
        self.facts["by_mask"] += words["wanted"] == 0

    def _exception_raised(self, words: Mapping[str, int]) -> None:
        self.facts |= {"trap": words["vector"], "vector": words["vector"], "rip": AT}

    def _intercept_posted(self, words: Mapping[str, int]) -> None:
        self.facts |= {"post": words["kind"], "rip": AT}

    def _cpuid_answered(self, words: Mapping[str, int]) -> None:
        if words["leaf"] == PRESENT_LEAF:
            self.facts |= {"present": words["ecx"] >> 31 & 1, "told": 1, "heard": 1, "seen": 0}

    def _msr_written(self, words: Mapping[str, int]) -> None:
        if words["msr"] == Msr.HYPERCALL:
            enabled = words["held"] & HypercallMsr.mask("enable")
            page = COVERS if enabled else ABSENT
            self.facts |= {"msr": words["held"], "page": page, "placed": enabled, "register": 1}


def picture() -> Picture:
    """Return the drawing: the caller's registers, the page, the hypervisor with the list, the parent."""
    parts = (_boxes(), _handler(), _parent_and_trap(), _rulers(), _registers())
    layer, bind = ([one for part in parts for one in part[at]] for at in (0, 1))
    alt = _(
        "The caller's RIP is {rip:enum:rip}, RCX {rcx:hex}, RDX {rdx:hex}, R8 {r8:hex}, RAX {rax:hex}. "
        "The hypercall page {page:enum:page_state}. The hypervisor: {status:enum:reply}, {done} of {count} elements "
        "done, entered {entries} times. Exception: {trap:enum:trap}. The parent gets {post:enum:post}."
    )
    return Picture(_("Call"), _("A call and its registers"), 844, 230, layer, bind, alt)


def _boxes() -> Part:
    """The caller, and the hypercall page between it and the hypervisor."""
    layer: list[Element] = [
        box("caller", 8, 8, 274, 214),
        words("", 20, 30, _("Caller"), "label title", 240),
        box("pagebox", 312, 8, 202, 74),
        words("", 324, 30, _("Hypercall page"), "label title", 180),
        words("pagestate", 324, 54, "", "small", 182),
        words("", 324, 72, _("of the hypervisor, read-only"), "small soft", 182),
    ]
    return layer, [["text", "pagestate", "page", "enum:page_state"], ["lit", "pagebox", "page", [COVERS]]]


def _handler() -> Part:
    """The hypervisor: what it answers, and how far it is in the list of a rep call."""
    layer: list[Element] = [
        box("handler", 544, 8, 292, 140),
        words("", 556, 30, _("Hypervisor"), "label title", 270),
        words("cpuid", 556, 54, "", "small code"),
        words("callname", 556, 54, "", "small code"),
        words("answer", 556, 76, "", "small", 274),
        words("progress", 556, 98, "", "small", 274),
        box("listbox", 546, 108, LIST_WIDTH, 12, "cell"),
        box("listdone", 546, 108, 0, 12, "cell hatched"),
        words("entered", 556, 138, "", "small soft", 274),
    ]
    bind: list[Element] = [
        ["lit", "handler", "heard"],
        ["say", "cpuid", _("CPUID leaf 1, ECX bit 31: {present}")],
        ["show", "cpuid", "told"],
        ["show", "callname", "seen"],
        ["show", "answer", "seen"],
        ["text", "callname", "code", "enum:call_now"],
        ["say", "answer", _("Answer: {status:enum:reply}")],
        ["changed", "answer", "status"],
        ["say", "progress", _("{done} of {count} elements done")],
        *(["show", id, "count"] for id in ("progress", "listbox", "listdone")),
        ["attr", "listdone", "width", "share", 1, 0],
        ["say", "entered", _("entries for this call: {entries}")],
        ["show", "entered", "entries"],
    ]
    return layer, bind


def _parent_and_trap() -> Part:
    """What comes of a call that is no call: a message to the parent, or an exception of the caller."""
    layer: list[Element] = [
        box("parentbox", 544, 164, 292, 58),
        words("", 556, 186, _("Parent"), "label title", 270),
        words("message", 556, 208, "", "small", 274),
        box("trapbox", 312, 164, 202, 58),
        words("", 324, 186, _("Exception"), "label title", 180),
        words("trap", 324, 208, "", "small code"),
        wire("out", "M282 45H312"),
        wire("in", "M514 45H544"),
    ]
    bind: list[Element] = [
        ["say", "message", _("gets {post:enum:post}")],
        ["card", "caller", "guest"],
        ["card", "handler", "hypervisor"],
        ["lit", "parentbox", "post"],
        ["text", "trap", "trap", "enum:trap"],
        ["lit", "trapbox", "trap"],
    ]
    return layer, bind


def _rulers() -> Part:
    """The words of the call, bit by bit, as soon as there is something in them."""
    rulers = (
        ("rcx-bits", "rcx", "seen", "1", "HypercallControl"),
        ("rax-bits", "rax", "rip", str(BEHIND), "HypercallResult"),
        ("msr-bits", "msr", "register", "1", "HypercallMsr"),
    )
    bind: list[Element] = [
        ["ruler", id, fact, {"fact": by, "cases": {now: word}, "else": ""}] for id, fact, by, now, word in rulers
    ]
    return [], bind


def _registers() -> Part:
    """The caller's registers."""
    layer, bind = list[Element](), list[Element]()
    for at, (label, fact, kind) in enumerate(REGISTERS):
        y = 64 + 34 * at
        layer += [words("", 20, y, label, "small soft"), words(f"v-{fact}", 66, y, "", "label code")]
        bind += [["text", f"v-{fact}", fact, kind], ["changed", f"v-{fact}", fact]]
    return layer, bind


def call_story(what: Any, grain: str = "event", title: str = "") -> Storyboard:
    """Tell the hypercalls and register accesses of a trace, or of whatever carries one, such as a `Vp`.

    Parameters
    ----------
    grain
        `request`: each call is one frame; `event`: its sub-goals; `bit`: each recorded row.
    """
    return CallLens(grain).story(what, title)
