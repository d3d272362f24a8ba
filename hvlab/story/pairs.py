"""Two runs on one clock: the same lanes twice, the first step at which they part, and a ledger of what each did.

Steps that both runs share are one frame. Where they differ, each run's own steps follow by their time since its begin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.language import _
from hvlab.story.arrows import Mark
from hvlab.story.frame import Fact, Frame, Kind, spoken
from hvlab.story.gate import Gate
from hvlab.story.host import places
from hvlab.story.hostmap import token
from hvlab.story.lanes import LANES, Axis, placed
from hvlab.story.ledger import TIME, counted
from hvlab.story.lens import kinds
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.steps import Step, steps
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import CALL, kinds_told
from hvlab.story.walk import LEFT_OUT, of_interrupts, trace_of
from hvlab.story.where import AT, SCHEDULING
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

WIDTH: Final = 836
LEFT, RIGHT, TOP, BOTTOM = 112, 560, 50, 380
TALLEST: Final = 44  # px of a lane
COLUMN: Final = 66  # px of a column of the ledger
MOST_MATCHED: Final = 4_000  # steps; longer runs are not brought together again after they part
BOTH, ONLY_FIRST, ONLY_SECOND = 0, 1, 2


@dataclass(frozen=True)
class Pace:
    """One frame of the pair: the number of a step in each run, None where the run has none here."""

    first: int | None
    second: int | None

    @property
    def side(self) -> int:
        return BOTH if None not in (self.first, self.second) else ONLY_FIRST if self.second is None else ONLY_SECOND


@dataclass(frozen=True)
class Side:
    """One run: its trace and steps, the marks of its lanes, and its own beginning on the clock."""

    name: str
    trace: Trace
    steps: list[Step]
    begin: int

    def since(self, number: int) -> int:
        """Return the time of a step since the run began."""
        return self.steps[number].time - self.begin


def two_runs(
    first: Any,
    second: Any,
    names: tuple[str, str] = ("A", "B"),
    knob: str = "",
    grain: str = "event",
    guest: str = "windows",
    root: int | None = None,
    title: str = "",
    gates: Sequence[Gate] = (),
) -> Storyboard:
    """Return two runs as one story.

    Parameters
    ----------
    first, second : traces, or steps of the machine that carry one
    names, knob
        What the runs are called, and the one thing that differs between them.
    grain, guest, root
        As for `SystemLens`. Without `root`: VP 0, or nobody where a local APIC stands alone.

    Raises
    ------
    BadRequest
        If a trace has no rows, or there are not two names.
    """
    if len(names) != 2 or names[0] == names[1]:
        raise BadRequest(f"the names {names!r} for two runs", "", 'names=("4 KiB", "2 MiB")')
    traces = trace_of(first), trace_of(second)
    if root is None:
        root = -1 if all(of_interrupts(trace) and not {*trace.kinds()} & {*SCHEDULING} for trace in traces) else 0
    told = [steps(trace, grain, guest, root) for trace in traces]
    sides = [Side(name, trace, own, begin_of(own)) for name, trace, own in zip(names, traces, told, strict=True)]
    paces = list(paired(sides))
    apart = next((at for at, pace in enumerate(paces) if pace.side != BOTH), None)
    drawn, facts = _picture(sides, paces, apart, knob)
    sentence = _("Both runs are the same, step by step.")
    if apart is not None:
        sentence = _("They part at frame {frame}.").format(frame=apart)
    only = _("only {name}")
    side = {BOTH: _("both runs"), ONLY_FIRST: only.format(name=names[0]), ONLY_SECOND: only.format(name=names[1])}
    differs = _("What differs: {knob}.").format(knob=knob) if knob else ""
    return Storyboard.from_frames(
        title or _("{first} and {second} on one clock").format(first=names[0], second=names[1]),
        list(_frames(sides, paces, _marks_of(sides))),
        kinds=_kinds(sides, paces),
        facts=facts,
        pictures=[drawn],
        gates=gates,
        places=places({}),
        phases=tuple(dict.fromkeys(step.phase for side in sides for step in side.steps if step.phase)),
        enums={"side": side},
        about=" ".join(part for part in (differs, sentence) if part),
    )


def first_divergence(story: Storyboard) -> int | None:
    """Return the first frame of a pair that only one run has."""
    sides = (story.value("side", k) for k in range(len(story)))
    return next((k for k, side in enumerate(sides) if side != BOTH), None)


def paired(sides: Sequence[Side]) -> Iterator[Pace]:
    """Yield the frames: shared steps once, the others by their time since the beginning of their run."""
    one, other = ([_key(step) for step in side.steps] for side in sides)
    blocks: list[tuple[int, int, int]] = []
    if max(len(one), len(other)) <= MOST_MATCHED:
        found = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
        blocks = [(block.a, block.b, block.size) for block in found]
    else:
        same = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        blocks = [(0, 0, same), (len(one), len(other), 0)]
    a = b = 0
    for begin, start, size in blocks:
        alone = [(sides[0].since(k), 0, Pace(k, None)) for k in range(a, begin)]
        alone += [(sides[1].since(k), 1, Pace(None, k)) for k in range(b, start)]
        yield from (pace for _, _, pace in sorted(alone, key=lambda row: row[:2]))
        yield from (Pace(begin + k, start + k) for k in range(size))
        a, b = begin + size, start + size


def _key(step: Step) -> tuple[Any, ...]:
    return step.kind, step.src, step.dst, tuple(step.words.items()), len(step.rows)


def _kinds(sides: Sequence[Side], paces: Sequence[Pace]) -> list[Kind]:
    """The kinds of both runs, and those that begin with the name of the only run that has them."""
    every = [*kinds(tuple(AT), {name: at[2] for name, at in AT.items()}, LEFT_OUT), *spoken([CALL])]
    whole = kinds_told(every, *(side.trace for side in sides))
    alone = {(pace.side, _step(sides, pace).kind) for pace in paces if pace.side != BOTH}
    by_name = {kind.name: kind for kind in whole}
    for side, name in sorted(alone):
        kind = by_name[name]
        says = _("Only {name}: {says}").replace("{says}", kind.says).replace("{name}", sides[side - 1].name)
        whole.append(Kind(f"{name}_{side}", says, kind.fields, kind.kinds, kind.rule, kind.left_out, kind.letter))
    return whole


def _step(sides: Sequence[Side], pace: Pace) -> Step:
    if pace.first is not None:
        return sides[0].steps[pace.first]
    assert pace.second is not None
    return sides[1].steps[pace.second]


def begin_of(steps: Sequence[Step]) -> int:
    """Return the moment at which a run begins."""
    return min([steps[0].time, *(begin for _, begin, _ in steps[0].waits)])


def _axes(sides: Sequence[Side]) -> list[Axis]:
    """The clock of each run, on one scale; the order of the steps where no time passes."""
    longest = max(side.steps[-1].time - side.begin for side in sides)
    if not longest:
        return [Axis(0, max(len(side.steps) for side in sides), True, LEFT + 16, RIGHT - 26)] * 2
    return [Axis(side.begin, side.begin + longest, False, LEFT + 16, RIGHT - 26) for side in sides]


def _marks_of(sides: Sequence[Side]) -> list[tuple[list[Mark], dict[int, int]]]:
    """The marks of each run, and the mark of each of its steps."""
    found = []
    for side, axis in zip(sides, _axes(sides), strict=True):
        marks = placed(side.steps, axis, _lanes(sides), rows=1)
        found.append((marks, {number: at for at, mark in enumerate(marks) for number in mark.steps}))
    return found


def _lanes(sides: Sequence[Side]) -> list[str]:
    used = {step.lane for side in sides for step in side.steps}
    return [lane for lane in LANES if lane in used]


def _frames(
    sides: Sequence[Side], paces: Sequence[Pace], marks: Sequence[tuple[list[Mark], dict[int, int]]]
) -> Iterator[Frame]:
    """The frames, with the ledger so far and the marks seen so far."""
    rows = counted(*(side.trace for side in sides))
    ledger = [dict.fromkeys([*rows, "time"], 0), dict.fromkeys([*rows, "time"], 0)]
    seen, number_of = dict[str, int](), [dict[int, int](), dict[int, int]()]
    parted = False
    for number, pace in enumerate(paces):
        step, facts = _step(sides, pace), dict[str, int]()
        parted = parted or pace.side != BOTH
        own = 0 if pace.first is not None else 1
        for at, (side, k) in enumerate(zip(sides, (pace.first, pace.second), strict=True)):
            if k is None:
                facts[f"now{at}"] = 0
                continue
            number_of[at][k] = number
            for row in side.steps[k].rows:
                for name, events in rows.items():
                    ledger[at][name] += side.trace.event(row).name in events
            ledger[at]["time"] = max(side.since(k), ledger[at]["time"])
            found, mark_of = marks[at]
            seen[f"m{at}_{mark_of[k]}"] = 1
            facts |= {f"now{at}": 1, f"x{at}": round(found[mark_of[k]].x)}
        facts |= {f"l{at}_{row}": value for at in (0, 1) for row, value in enumerate(ledger[at].values())}
        totals = zip(ledger[0].values(), ledger[1].values(), strict=True)
        facts |= {f"d_{row}": other - one for row, (one, other) in enumerate(totals)}
        lit = {name: 2 if name == _lit(marks, pace, name) else 1 for name in seen}
        yield Frame(
            kind=step.kind if pace.side == BOTH else f"{step.kind}_{pace.side}",
            words=step.words,
            facts=facts | lit | {"side": pace.side, "parted": int(parted)},
            phase=step.phase,
            src=step.src,
            dst=step.dst,
            actor=step.actor,
            cause=None if step.cause is None else number_of[own].get(step.cause),
            time=sides[own].since(pace.first if pace.first is not None else pace.second or 0),
        )


def _lit(marks: Sequence[tuple[list[Mark], dict[int, int]]], pace: Pace, name: str) -> str:
    """The name itself if its mark holds the current step, else nothing."""
    at, mark = (int(part) for part in name[1:].split("_"))
    k = (pace.first, pace.second)[at]
    return name if k is not None and marks[at][1][k] == mark else ""


def _picture(sides: Sequence[Side], paces: Sequence[Pace], apart: int | None, knob: str) -> tuple[Picture, list[Fact]]:
    """Both runs' lanes, the ruler where they part, the ledger."""
    lanes, marks = _lanes(sides), _marks_of(sides)
    height = min(TALLEST, (BOTTOM - TOP - 26) // (2 * len(lanes)))
    axes = _axes(sides)
    layer: list[Element] = [words("", 6, 17, _("What differs: {knob}").format(knob=knob) if knob else "", "label")]
    bind: list[Element] = []
    alone = _alone(paces)
    for at, side in enumerate(sides):
        top = TOP + at * (height * len(lanes) + 26)
        for part in (
            _lane_boxes(at, side.name, lanes, top, height, axes[at]),
            _ruler(at, sides, paces, apart, axes[at], top, height * len(lanes)),
            _marks(at, marks[at][0], alone[at], top, height),
        ):
            layer += part[0]
            bind += part[1]
    bottom = TOP + 2 * height * len(lanes) + 26
    for tick in axes[0].ticks():
        layer.append(
            words(
                "",
                axes[0].x(axes[0].begin + tick),
                bottom + 18,
                say("time", tick) if tick else "0",
                "small soft middle",
            )
        )
    since = _("in order") if axes[0].ordered else _("since its begin")
    layer.append(words("", 6, bottom + 18, since, "small soft", LEFT))
    found = _ledger(sides)
    told = equal = _("Equal so far.")
    if apart is not None:
        told = _("Equal up to frame {last}; they part at {frame}.").format(last=apart - 1, frame=apart)
    told = _("They part at the first frame.") if apart == 0 else told
    layer += found[0]
    layer.append(words("told", 6, bottom + 40, "", "label title"))
    bind += [*found[1], ["say", "told", {"fact": "parted", "cases": {"1": told}, "else": equal}]]
    both = _("{what} {first} and {second}")
    said = (
        both.format(what=_(name), first=f"{{l0_{row}}}", second=f"{{l1_{row}}}")
        for row, name in enumerate([*counted(*(side.trace for side in sides)), TIME])
    )
    alt = f"{_('This step: {side:enum:side}.')} {', '.join(said)}"
    rows = len(counted(*(side.trace for side in sides))) + 1
    facts = [Fact("side", _("This step"), "enum:side", True), *_facts(marks, sides)]
    picture = Picture(
        _("Two runs"),
        _("Two runs on one clock"),
        WIDTH,
        max(bottom + 52, 360, TOP + 64 + 30 * rows),
        layer,
        bind,
        alt + ".",
    )
    return picture, facts


def _facts(marks: Sequence[tuple[list[Mark], dict[int, int]]], sides: Sequence[Side]) -> list[Fact]:
    rows = [*counted(*(side.trace for side in sides)), "time"]
    found = [Fact("parted"), *(Fact(f"{name}{at}") for name in ("x", "now") for at in (0, 1))]
    for at, side in enumerate(sides):
        for row, name in enumerate(rows):
            kind = "time" if name == "time" else "dec"
            found.append(Fact(f"l{at}_{row}", f"{side.name}: {_(name)}", kind))
        found += [Fact(f"m{at}_{mark}") for mark in range(len(marks[at][0]))]
    return found + [Fact(f"d_{row}", kind="time" if name == "time" else "dec") for row, name in enumerate(rows)]


def _alone(paces: Sequence[Pace]) -> tuple[set[int], set[int]]:
    """The steps of each run that the other has not."""
    return (
        {pace.first for pace in paces if pace.side == ONLY_FIRST and pace.first is not None},
        {pace.second for pace in paces if pace.side == ONLY_SECOND and pace.second is not None},
    )


def _lane_boxes(
    at: int, name: str, lanes: Sequence[str], top: int, height: int, axis: Axis
) -> tuple[list[Element], list[Element]]:
    """The lanes of one run, with its name above and the line of its current step."""
    layer: list[Element] = [words("", 6, top - 7, name[:14], "label title")]
    for row, lane in enumerate(lanes):
        y = top + height * row
        layer.append(box("", LEFT, y, RIGHT - LEFT, height, "plain"))
        layer.append(words("", 6, y + height / 2 + 5, _(lane), "label", LEFT - 12))
    bottom = top + height * len(lanes)
    xs = [axis.x(axis.begin + tick) for tick in axis.ticks()]
    layer += [faint(x, top, x, bottom) for x in xs]
    layer.append(wire(f"line{at}", f"M0 {top - 3}V{bottom + 3}", "call lit"))
    return layer, [["attr", f"line{at}", "move-x", f"x{at}", 1, 0], ["show", f"line{at}", f"now{at}"]]


def _ruler(
    at: int, sides: Sequence[Side], paces: Sequence[Pace], apart: int | None, axis: Axis, top: int, height: int
) -> tuple[list[Element], list[Element]]:
    """The ruler where the runs part: after the last shared step."""
    if apart is None:
        return [], []
    shared = paces[apart - 1] if apart else None
    number = None if shared is None else (shared.first, shared.second)[at]
    x = (axis.left if number is None else axis.at(sides[at].steps[number], number)) + 4
    late = x > RIGHT - 70
    content = [
        wire("", f"M{x:g} {top - 14}V{top + height}", "fault dashed"),
        words("", x - 5 if late else x + 5, top - 7, _("they part"), "small fault end" if late else "small fault", 66),
    ]
    return [group(f"ruler{at}", content)], [["show", f"ruler{at}", "parted"]]


def _marks(
    at: int, marks: Sequence[Mark], alone: set[int], top: int, height: int
) -> tuple[list[Element], list[Element]]:
    """The marks of one run; a step that the other run has not is an outline."""
    layer, bind = [], list[Element]()
    for number, mark in enumerate(marks):
        key = f"m{at}_{number}"
        drawn = token(key, mark.letter, mark.x, top + height * mark.lane + height / 2)
        if alone.issuperset(mark.steps):
            drawn[4][0][2], drawn[4][1][2] = "hollow dashed", "small middle"
        if len(mark.steps) > 1:
            drawn[4].append(words("", 11, 8, str(len(mark.steps)), "small"))
        layer.append(drawn)
        bind += [["show", key, key], ["lit", key, key, [2]]]
    return layer, bind


def _ledger(sides: Sequence[Side]) -> tuple[list[Element], list[Element]]:
    """What each run did so far, and the difference."""
    columns = (694, 764, 832)
    layer: list[Element] = [words("", 570, TOP - 26, _("so far"), "small soft")]
    bind: list[Element] = []
    for name, x in zip((*(side.name for side in sides), _("differ")), columns, strict=True):
        heading = words("", x, TOP - 7, name[:12], "label title end", COLUMN)
        heading[3]["width"] = COLUMN
        layer.append(heading)
    rows = [*counted(*(side.trace for side in sides)), "time"]
    for row, name in enumerate(rows):
        y = TOP + 22 + 30 * row
        kind, size = ("time", "small") if name == "time" else ("dec", "label")
        layer += [
            words("", 570, y, _(name), "label", 92),
            faint(570, y + 9, 832, y + 9),
        ]
        for column, (fact, x) in enumerate(zip((f"l0_{row}", f"l1_{row}", f"d_{row}"), columns, strict=True)):
            layer.append(words(f"ledger{row}{column}", x, y, "", f"{size} code end"))
            bind.append(["text", f"ledger{row}{column}", fact, kind])
        bind += [["lit", f"ledger{row}2", f"d_{row}"]]
    y = TOP + 22 + 30 * len(rows)
    layer += [token("", "A", 582, y - 4), words("", 598, y, _("in both runs"), "small soft")]
    only = token("", "A", 582, y + 22)
    only[4][0][2], only[4][1][2] = "hollow dashed", "small middle"
    return [*layer, only, words("", 598, y + 26, _("in one run only"), "small soft")], bind
