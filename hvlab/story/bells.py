"""The price of a doorbell: the same packets under several rules of signalling, on one clock.

Each rule is a strip: packets that arrive, signals, packets that are read, times in which the host does not listen. What
a rule costs is counted from the recorded events: entries into the hypervisor, and how long packets wait.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.frame import Fact, Frame, Kind
from hvlab.story.gate import Gate
from hvlab.story.host import places
from hvlab.story.hostmap import token
from hvlab.story.lanes import Axis
from hvlab.story.lens import kinds
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.ring_state import TO_HOST
from hvlab.story.steps import Reader
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import trace_of
from hvlab.story.where import AT
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

WIDTH: Final = 836
LEFT, RIGHT, TOP, STRIP = 150, 612, 36, 128
LINES: Final = (N_("packets written"), N_("signals"), N_("packets read"))
LINE: Final = 31
BIN: Final = 8  # px that share a mark
MOST_RULES: Final = 3
ARRIVES, SIGNALS, READS = range(3)
TELLS: Final[dict[str, int]] = {
    "packet_written": ARRIVES, "doorbell_rung": SIGNALS, "trigger_found": SIGNALS, "packet_read": READS,
}  # fmt: skip
BESIDE: Final = ("doorbell_saved", "trigger_set", "guest_throttled")
COLUMNS: Final = (
    ("packets", N_("packets"), "dec"),
    ("signals", N_("signals"), "dec"),
    ("saved", N_("signals saved"), "dec"),
    ("entries", N_("entries for them"), "dec"),
    ("mean", N_("a packet waits, mean"), "time"),
    ("longest", N_("at most"), "time"),
    ("deaf", N_("not listened to"), "time"),
)
LETTER: Final = {ARRIVES: "R", SIGNALS: "F", READS: "R"}


@dataclass
class Price:
    """What one rule cost, up to some moment.

    Attributes
    ----------
    packets, read, signals, saved : int
        Packets written and read, signals made and spared. A trigger of the monitor page spares one when it is set.
    entries : int
        Hypercalls of the writer that signal.
    waits : list of int
        How long each packet lay there until it was read, in nanoseconds.
    deaf : int
        How long the host did not listen, in nanoseconds.
    """

    packets: int = 0
    read: int = 0
    signals: int = 0
    saved: int = 0
    entries: int = 0
    waits: list[int] = field(default_factory=list)
    deaf: int = 0

    @property
    def mean(self) -> int:
        """Return how long a packet waits, on average."""
        return round(sum(self.waits) / len(self.waits)) if self.waits else 0

    @property
    def longest(self) -> int:
        """Return how long the one waited that waited longest."""
        return max(self.waits, default=0)


class Meter:
    """Follows one run: only the ring from guest to host counts."""

    def __init__(self) -> None:
        self.price = Price()
        self.since: list[int] = []

    def read(self, trace: Trace, row: int) -> None:
        """Take in a row."""
        name, words, time = trace.event(row).name, trace.facts(row), int(trace.rows[row, 1])
        price = self.price
        if "ring" in words and words["ring"] != TO_HOST:
            return
        if name == "packet_written":
            price.packets += 1
            self.since.append(time)
        elif name == "packet_read" and self.since:
            price.read += 1
            price.waits.append(time - self.since.pop(0))
        elif name in ("doorbell_rung", "trigger_found"):
            price.signals += 1
            price.entries += name == "doorbell_rung"
        elif name in ("doorbell_saved", "trigger_set"):
            price.saved += 1
        elif name == "guest_throttled":
            price.deaf += words["nanoseconds"]


def price_of(what: Any) -> Price:
    """Return what a run's rule cost in all."""
    trace, meter = trace_of(getattr(what, "run", what)), Meter()
    for row in range(len(trace)):
        meter.read(trace, row)
    return meter.price


@dataclass(frozen=True)
class Prices:
    """What several rules cost, as a table."""

    rules: tuple[str, ...]
    rows: tuple[Price, ...]

    def __repr__(self) -> str:
        heads = ["", *(_(label) for _name, label, _kind in COLUMNS)]
        lines = [heads]
        for rule, price in zip(self.rules, self.rows, strict=True):
            lines.append([rule, *(say(kind, getattr(price, name)) for name, _label, kind in COLUMNS)])
        wide = [max(len(line[k]) for line in lines) for k in range(len(heads))]
        told = (
            "  ".join([line[0].ljust(wide[0]), *(cell.rjust(wide[k]) for k, cell in enumerate(line) if k)])
            for line in lines
        )
        return "\n".join(one.rstrip() for one in told)


def prices(runs: Mapping[str, Any]) -> Prices:
    """Return what each of several rules cost for the same packets.

    Raises
    ------
    BadRequest
        Where the runs did not write the same number of packets, or are not one to three.
    """
    rows = tuple(price_of(run) for run in runs.values())
    if not 0 < len(rows) <= MOST_RULES or len({row.packets for row in rows}) > 1 or not rows[0].packets:
        found = ", ".join(f"{name}: {row.packets}" for name, row in zip(runs, rows, strict=True))
        raise BadRequest("to compare rules of signalling", f"packets {found}", "up to three runs with the same packets")
    return Prices(tuple(runs), rows)


# the story ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """One event of one run: when, since the run began."""

    since: int
    run: int
    row: int


def bells(
    runs: Mapping[str, Any], title: str = "", gates: Sequence[Gate] = (), guest: str = "linux", token: str = ""
) -> Storyboard:
    """Return the same packets under several rules as one story, a strip each on one clock.

    Parameters
    ----------
    runs
        Up to three: the name of the rule, and its run or trace (or what carries a ``run``).

    Raises
    ------
    BadRequest
        Where the runs did not write the same number of packets.
    """
    prices(runs)
    traces = [trace_of(getattr(run, "run", run)) for run in runs.values()]
    names = list(runs)
    moments = _moments(traces)
    longest = max(moment.since for moment in moments)
    axis = Axis(0, max(longest, 1), False, LEFT + 8, RIGHT - 8)
    frames, facts, bins = _frames(traces, moments, axis, guest)
    picture = _picture(names, traces, bins, axis, moments)
    said = _("Signals: {told}.").format(told="; ".join(_summary(at, name) for at, name in enumerate(names)))
    return Storyboard.from_frames(
        title or _("What a doorbell costs, rule by rule"),
        frames,
        kinds=_kinds(names, {frame.kind for frame in frames}),
        facts=[*facts, *_facts(names)],
        pictures=[Picture(_("Bells"), picture[0], WIDTH, picture[1], picture[2], picture[3], said)],
        gates=gates,
        places=places({}),
        phases=[],
        token=token,
        about=_("The same packets each time. A signal is an entry into the hypervisor; a spared one may cost time."),
    )


def _moments(traces: Sequence[Trace]) -> list[Moment]:
    found = []
    for run, trace in enumerate(traces):
        begin = int(trace.rows[0, 1])
        for row, name in enumerate(trace.kinds()):
            if name in TELLS or name in BESIDE:
                words = trace.facts(row)
                if words.get("ring", TO_HOST) == TO_HOST:
                    found.append(Moment(int(trace.rows[row, 1]) - begin, run, row))
    return sorted(found, key=lambda one: (one.since, one.run, one.row))


def _frames(
    traces: Sequence[Trace], moments: Sequence[Moment], axis: Axis, guest: str
) -> tuple[list[Frame], list[Fact], dict[tuple[int, int, int], list[int]]]:
    """The frames; and which of them fall on which mark of which strip."""
    meters, readers = [Meter() for _ in traces], [Reader(trace, guest) for trace in traces]
    bins: dict[tuple[int, int, int], list[int]] = {}
    frames = []
    for number, moment in enumerate(moments):
        trace, meter = traces[moment.run], meters[moment.run]
        meter.read(trace, moment.row)
        name = trace.event(moment.row).name
        facts = {"x": round(axis.x(moment.since)), "run": moment.run + 1}
        if name in TELLS:
            place = moment.run, TELLS[name], int((axis.x(moment.since) - axis.left) // BIN)
            bins.setdefault(place, []).append(number)
            facts[_bin(place)] = 1
        for at, one in enumerate(meters):
            facts |= {f"{column}{at}": getattr(one.price, column) for column, _label, _kind in COLUMNS}
            facts[f"there{at}"] = one.price.packets - one.price.read
        src, dst, _letter = readers[moment.run].move(moment.row)
        frames.append(
            Frame(f"{name}_{moment.run}", trace.facts(moment.row), facts, "", src, dst, int(trace.rows[moment.row, 2]),
                  None, moment.since)
        )  # fmt: skip
    return frames, [Fact(_bin(place)) for place in bins], bins


def _bin(place: tuple[int, int, int]) -> str:
    return "b{}_{}_{}".format(*place)


def _facts(names: Sequence[str]) -> list[Fact]:
    found = [Fact("x"), Fact("run")]
    for at, name in enumerate(names):
        for column, label, kind in COLUMNS:
            label = _("{rule}: {what}").format(rule=name, what=_(label))
            found.append(
                Fact(f"{column}{at}", label, kind, column in ("signals", "entries", "mean", "longest", "deaf"))
            )
        found.append(Fact(f"there{at}"))
    return found


def _kinds(names: Sequence[str], used: set[str]) -> list[Kind]:
    """The kinds of frames, each with the name of its rule before it."""
    found = []
    every = kinds((*TELLS, *BESIDE), {name: AT[name][2] for name in (*TELLS, *BESIDE)}, {})
    for kind in every:
        for at, name in enumerate(names):
            if f"{kind.name}_{at}" in used:
                says = _("{rule}: {says}").replace("{says}", kind.says).replace("{rule}", name)
                found.append(
                    Kind(f"{kind.name}_{at}", says, kind.fields, kind.kinds, kind.rule, kind.left_out, kind.letter)
                )
    return found


def _summary(at: int, name: str) -> str:
    said = _("{rule}: {signals}, entries {entries}, a packet waits {mean} on average, {longest} at most")
    return _of(said.replace("{rule}", name), at)


def _of(text: str, at: int) -> str:
    """Put a rule's facts into a sentence: ``{entries}`` becomes the fact of this rule."""
    return re.sub(r"\{(\w+)\}", rf"{{\g<1>{at}}}", text)


# the picture ----------------------------------------------------------------------------------------------------------


def _picture(
    names: Sequence[str],
    traces: Sequence[Trace],
    bins: Mapping[tuple[int, int, int], Sequence[int]],
    axis: Axis,
    moments: Sequence[Moment],
) -> tuple[str, int, list[Element], list[Element]]:
    """Title, height, layer and bindings: a strip for each rule."""
    layer, bind = list[Element](), list[Element]()
    bottom = TOP + STRIP * len(names)
    for tick in axis.ticks():
        x = axis.x(tick)
        layer.append(faint(x, TOP, x, bottom - 28))
        layer.append(words("", x, bottom - 12, f"+{say('time', tick)}" if tick else "0", "small soft middle"))
    tallest = max(len(found) for found in bins.values())
    for at, name in enumerate(names):
        part = _strip(at, name, traces[at], axis)
        layer += part[0]
        bind += part[1]
    for place, numbers in bins.items():
        run, line, column = place
        foot = TOP + STRIP * run + LINE * (line + 1) - 5
        high = round(4 + 18 * len(numbers) / tallest, 1)
        id = _bin(place)
        mark = box("", axis.left + BIN * column, foot - high, BIN - 2, high, "solid")
        layer.append(group(id, [mark], "signal" if line == SIGNALS else "data"))
        bind += [["show", id, id], ["jump", id, numbers[0]]]
    if any(list(trace.of("guest_throttled")) for trace in traces):
        layer.append(box("", RIGHT + 14, bottom - 22, 26, 10, "hatched"))
        layer.append(words("", RIGHT + 46, bottom - 12, _("nobody listens"), "small soft", WIDTH - RIGHT - 50))
    layer.append(wire("line", f"M0 {TOP - 4}V{bottom - 28}", "call lit"))
    bind.append(["attr", "line", "move-x", "x", 1, 0])
    return _("The same packets under each rule, on one clock"), bottom + 4, layer, bind


def _strip(at: int, name: str, trace: Trace, axis: Axis) -> tuple[list[Element], list[Element]]:
    """One rule: its lines, the times in which nobody listens, and what it has cost so far."""
    top = TOP + STRIP * at
    layer: list[Element] = [words(f"rule{at}", 6, top - 6, name, "label title", LEFT - 12)]
    bind: list[Element] = [["lit", f"rule{at}", "run", [at + 1]]]
    for line, text in enumerate(LINES):
        y = top + LINE * line
        layer += [
            faint(LEFT, y + LINE - 4, RIGHT, y + LINE - 4),
            token("", LETTER[line], 16, y + 18),
            words("", 32, y + 22, _(text), "small", LEFT - 36),
        ]
    begin = int(trace.rows[0, 1])
    for row in trace.of("guest_throttled"):
        since = int(trace.rows[row, 1]) - begin
        x, end = axis.x(since), min(axis.x(since + trace.fact(row, "nanoseconds")), RIGHT)
        id = f"deaf{at}_{row}"
        layer.append(group(id, [box("", x, top + 2, max(end - x, 2), LINE * 3 - 8, "hatched")], "fault"))
        bind.append(["show", id, f"deaf{at}"])
    lines = (
        _("signals {signals}, saved {saved}"),
        _("entries {entries}"),
        _("a packet waits {mean}"),
        _("at most {longest}"),
        _("not listened to {deaf}"),
    )
    for k, text in enumerate(lines):
        id = f"say{at}_{k}"
        layer.append(words(id, RIGHT + 14, top + 10 + 19 * k, "", "small", WIDTH - RIGHT - 18))
        bind.append(["say", id, _of(text, at)])
    return layer, bind
