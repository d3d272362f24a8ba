"""Lanes: what happened when, and why. One lane for each place, in order of privilege around the hypervisor.

The horizontal axis is simulated time. A mark is one step, or as many as fall into its width, with their number. The
current step's causes are joined to the first by numbered arrows; whatever is not on that chain is only an outline.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.language import N_, _
from hvlab.story.arrows import Mark, arrows
from hvlab.story.frame import LETTERS, Fact
from hvlab.story.host import BOXES
from hvlab.story.hostmap import Drawn, token
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.steps import Step
from hvlab.trace.words import ENUMS, say

LANES: Final = (
    N_("child user"),
    N_("child kernel"),
    N_("hypervisor"),
    N_("root kernel"),
    N_("root user"),
    N_("processor"),
    N_("TLB"),
    N_("memory"),
)
WIDTH: Final = 836
HEIGHT: Final = 430
LEFT, RIGHT = 128, 748
BANDS, PHASES, TOP, LANE = 3, 28, 50, 39  # tops of requests, sub-goals and lanes; height of a lane
BIN: Final = 36  # px of the axis that share a mark
MOST_MARKS: Final = 400
MOST_HOPS = 128
SHARPEST: Final = "!XVRMFIHW"  # which of several tokens a mark shows
LETTER_WIDTH: Final = 7.4
CAPITAL_WIDTH: Final = 9.8  # of names in capitals
UPPER, LOWER = 9, 25  # a lane has two rows of marks: what travels between privileges, and memory


@dataclass(frozen=True)
class Axis:
    """Simulated time on the picture's horizontal axis; where no time passes, the order of the steps."""

    begin: int
    end: int
    ordered: bool = False
    left: float = LEFT + 14
    right: float = RIGHT - 36  # the last mark has a count of two digits beside it

    def x(self, time: int) -> float:
        """Return where a moment stands."""
        return round(self.left + (self.right - self.left) * (time - self.begin) / max(1, self.end - self.begin), 1)

    def at(self, step: Step, number: int) -> float:
        """Return where a step stands."""
        return self.x(number if self.ordered else step.time)

    def ticks(self) -> list[int]:
        """Return some round numbers of nanoseconds since the beginning."""
        if self.ordered:
            return []
        span = max(1, self.end - self.begin)
        step = next(s for n in range(12) for s in (10**n, 2 * 10**n, 5 * 10**n) if span / s <= 7)
        return list(range(0, self.end - self.begin + 1, step))


def axis_of(steps: Sequence[Step]) -> Axis:
    """Return the axis from the first moment to the last."""
    begin = min([steps[0].time, *(wait[1] for wait in steps[0].waits)])
    end = max(step.time for step in steps)
    return Axis(begin, end) if end > begin else Axis(0, len(steps), True)


def lanes(
    steps: Sequence[Step], waits: str = N_("time of the cost table; every cost is assumed"), ordered: bool = False
) -> Drawn:
    """Return the lanes of a story.

    Parameters
    ----------
    steps
        What `hvlab.story.steps.steps` gave.
    waits
        What a hatched bar is, and where its cost comes from.
    ordered
        Give each step the same room, also where time passes.
    """
    axis = Axis(0, len(steps), True) if ordered else axis_of(steps)
    marks = placed(steps, axis, LANES)
    for mark in marks:
        mark.y = TOP + LANE * mark.lane + (UPPER, LOWER)[mark.row]
    mark_of = {number: at for at, mark in enumerate(marks) for number in mark.steps}
    chains = [chain(steps, number) for number in range(len(steps))]
    edges = sorted({pair for one in chains for pair in joined(one, mark_of)})
    many = len(steps) > MOST_MARKS
    layer, bind = _ground(axis, _(waits) if waits else "", ordered)
    bands = [] if axis.ordered else [_bands(steps, axis), _phase_bands(steps, axis)]
    for part in (*bands, arrows(edges, marks, (LEFT, RIGHT), many), _marks(marks, many)):
        layer += part[0]
        bind += part[1]
    facts = [Fact("line_x"), Fact("reach"), Fact("hops"), Fact("because"), Fact("lane_tale")]
    facts += [Fact("line_lane", kind="enum:lane"), Fact("chain_time", kind="time")]
    facts += [Fact(f"{name}{at}", kind="time") for name in ("sum", "spent") for at in range(len(LANES))]
    facts += [Fact(f"mark{at}") for at in range(len(marks))] + [Fact(f"many{at}") for at in range(len(marks))]
    facts += [Fact(f"hop{at}") for at in range(len(edges))]
    facts += [Fact(f"band{request}") for request in sorted({step.request for step in steps})]
    values = _values(steps, chains, marks, mark_of, edges)
    picture = Picture(_("Lanes"), _("Lanes: what happened when, and why"), WIDTH, HEIGHT, layer, bind, _alt())
    return Drawn(picture, facts, values)


def lane_of(step: Step) -> int:
    """Return the number of a step's lane."""
    return LANES.index(step.lane)


def chain(steps: Sequence[Step], number: int) -> list[int]:
    """Return a step and its causes, the first one first."""
    found, at = [number], steps[number].cause
    while at is not None and len(found) <= MOST_HOPS:
        found.append(at)
        at = steps[at].cause
    return found[::-1]


def joined(one: Sequence[int], mark_of: dict[int, int]) -> list[tuple[int, int]]:
    """Return the arrows of a chain, from mark to mark."""
    pairs = ((mark_of[a], mark_of[b]) for a, b in zip(one, one[1:], strict=False))
    return [(a, b) for a, b in pairs if a != b]


def placed(steps: Sequence[Step], axis: Axis, names: Sequence[str], rows: int = 2) -> list[Mark]:
    """Return the marks: steps of one lane and row that would overlap share one."""
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        row = int(step.letter == "A") if rows > 1 else 0
        groups[names.index(step.lane), row, int((axis.at(step, number) - axis.left + 10) // BIN)].append(number)
    marks = []
    for (lane, row, place), found in sorted(groups.items()):
        letters = {steps[number].letter for number in found}
        letter = next((one for one in SHARPEST if one in letters), "A")
        mean = sum(axis.at(steps[number], number) for number in found) / len(found)
        left = axis.left - 10 + BIN * place
        x = min(max(mean, left + 10), left + BIN - (24 if len(found) > 1 else 10))
        marks.append(Mark(lane, row, round(x, 1), found, letter))
    return marks


def _values(
    steps: Sequence[Step],
    chains: Sequence[list[int]],
    marks: Sequence[Mark],
    mark_of: dict[int, int],
    edges: Sequence[tuple[int, int]],
) -> list[dict[str, int]]:
    """The facts of the lanes: what was seen so far, the line, the chain and its arrows, the sums of lanes."""
    place = {pair: at for at, pair in enumerate(edges)}
    seen, count, spent, bands = set[int](), Counter[int](), dict.fromkeys(LANES, 0), dict[str, int]()
    found = []
    for number, (step, links) in enumerate(zip(steps, chains, strict=True)):
        seen.add(mark_of[number])
        count[mark_of[number]] += 1
        bands[f"band{step.request}"] = 1
        for lane, begin, end in step.waits:
            spent[lane] += end - begin
        facts = {f"mark{at}": int(at in seen) for at in range(len(marks))}
        facts |= {f"many{at}": count[at] if count[at] > 1 else 0 for at in range(len(marks))}
        facts |= {f"mark{mark_of[link]}": 2 for link in links} | {f"mark{mark_of[number]}": 3}
        facts |= {f"hop{at}": 0 for at in range(len(edges))} | bands
        facts |= {f"hop{place[pair]}": hop for hop, pair in enumerate(joined(links, mark_of), 1)}
        facts |= {f"spent{at}": spent[lane] for at, lane in enumerate(LANES)}
        found.append(facts | _here(steps, step, links, marks[mark_of[number]]))
    return found


def _here(steps: Sequence[Step], step: Step, links: Sequence[int], mark: Mark) -> dict[str, int]:
    """Where one step stands, and the sums of its chain."""
    sums = dict.fromkeys(range(len(LANES)), 0)
    for before, after in zip(links, links[1:], strict=False):
        sums[lane_of(steps[after])] += steps[after].time - steps[before].time
    reached = BOXES[step.dst].lane if step.dst else ""
    return {f"sum{lane}": nanoseconds for lane, nanoseconds in sums.items()} | {
        "line_x": round(mark.x),
        "line_lane": lane_of(step) + 1,
        "reach": LANES.index(reached) + 1 if reached in LANES and reached != step.lane else 0,
        "hops": len(links) - 1,
        "chain_time": step.time - steps[links[0]].time,
        "because": links[0],
        "lane_tale": int(step.cause is not None),
    }


def _ground(axis: Axis, waits: str, ordered: bool) -> tuple[list[Element], list[Element]]:
    """Lanes with their names and sums, the axis, the line of the current step, the legend."""
    layer: list[Element] = []
    bind: list[Element] = []
    bottom = TOP + LANE * len(LANES)
    for at, name in enumerate(LANES):
        y = TOP + LANE * at
        layer.append(box(f"lane{at}", LEFT, y, RIGHT - LEFT, LANE, "plain"))
        layer.append(words(f"lane{at}name", 6, y + 16, _(name), "label", LEFT - 12))
        layer.append(words(f"spent{at}", 6, y + 32, "", "small soft", LEFT - 12))
        spent = _("so far {time}").replace("{time}", f"{{spent{at}:time}}")
        bind += [["say", f"spent{at}", spent], ["show", f"spent{at}", f"spent{at}"]]
        layer.append(words(f"sum{at}", RIGHT + 8, y + 24, "", "label code"))
        bind += [["lit", f"lane{at}name", "line_lane", [at + 1]], ["text", f"sum{at}", f"sum{at}", "time"]]
        bind.append(["show", f"sum{at}", f"sum{at}"])
    for tick in axis.ticks():
        x = axis.x(axis.begin + tick)
        layer.append(faint(x, TOP, x, bottom + 5))
        layer.append(words("", x, bottom + 18, f"+{say('time', tick)}" if tick else "0", "small soft middle"))
    untimed = _("in order of the steps; time is not to scale") if ordered else _("in order; no time passes")
    since = untimed if axis.ordered else _("since {time}").format(time=say("time", axis.begin))
    layer.append(words("", 6, bottom + 18, since, "small soft", RIGHT if axis.ordered else LEFT - 12))
    layer.append(words("", RIGHT + 8, TOP - 24, _("on the chain"), "small soft", WIDTH - RIGHT - 10))
    layer.append(words("", RIGHT + 8, TOP - 8, _("of causes"), "small soft", WIDTH - RIGHT - 10))
    line = wire("line", f"M0 {TOP - 4}V{bottom + 4}", "call lit")
    layer.append(line)
    layer.append(group("reach", [["circle", "", "plain", {"cx": 0, "cy": 0, "r": 6}, ""]], "call lit"))
    bind += [["attr", "line", "move-x", "line_x", 1, 0], ["attr", "reach", "move-x", "line_x", 1, 0]]
    bind += [["attr", "reach", "move-y", "reach", LANE, TOP - LANE // 2], ["show", "reach", "reach"]]
    if waits:
        layer += [box("", 6, bottom + 29, 26, 8, "hatched")]
        layer += [words("", 38, bottom + 38, waits, "small soft", WIDTH - 44)]
    layer.append(words("because", 6, bottom + 58, "", "label", WIDTH - 12))
    chained = _("The chain of causes begins at frame {because}: arrows {hops}, time {chain_time:time}.")
    first = _("No cause is recorded: software, or whoever set the machine going, decided this.")
    bind.append(["say", "because", {"fact": "lane_tale", "cases": {"0": first, "1": chained}, "else": ""}])
    return layer, bind


def _bands(steps: Sequence[Step], axis: Axis) -> tuple[list[Element], list[Element]]:
    """Requests by name, with the time that passes in each lane; a pointer on a request goes to its first frame."""
    layer, bind = [], list[Element]()
    found: dict[int, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        found[step.request].append(number)
    for request, numbers in found.items():
        own = [steps[number] for number in numbers]
        begin = axis.x(min([own[0].time, *(wait[1] for wait in own[0].waits)]))
        width, key = axis.x(own[-1].time) - begin, f"request{request}"
        content = _bars(own, axis)
        if width >= 3:
            content.append(box(key, begin, BANDS, width - 1, 22, "cell"))
            bind += [["jump", key, numbers[0]], ["lit", key, "request", [request + 1]]]
            content += _fitting(name_of(own), str(request + 1), begin, width)
        if content:
            layer.append(group(f"band{request}", content))
            bind.append(["show", f"band{request}", f"band{request}"])
    return layer, bind


def _fitting(text: str, short: str, x: float, width: float) -> list[Element]:
    """The text if it fits, else a shorter one, else nothing."""
    wide = CAPITAL_WIDTH if text.isupper() and len(text) > 5 else LETTER_WIDTH
    text = text if wide * len(text) + 6 <= width else short
    fits = LETTER_WIDTH * len(text) + 4 <= width
    return [words("", x + width / 2, BANDS + 16, text, "label middle")] if fits else []


def _phase_bands(steps: Sequence[Step], axis: Axis) -> tuple[list[Element], list[Element]]:
    """The sub-goals, under the requests; each is shown when its request is reached."""
    layer, bind = [], list[Element]()
    for at, (phase, begin, end, request) in enumerate(_phases(steps)):
        left, width = axis.x(begin), axis.x(end) - axis.x(begin)
        if width < 3:
            continue
        content, phase = [box("", left, PHASES, width - 1, 17, "cell")], _(phase)
        if LETTER_WIDTH * len(phase) + 4 <= width:
            content.append(words("", left + width / 2, PHASES + 13, phase, "small middle"))
        layer.append(group(f"phase{at}", content))
        bind.append(["show", f"phase{at}", f"band{request}"])
    return layer, bind


def name_of(steps: Sequence[Step]) -> str:
    """Return what a request is: the name of its channel message or hypercall, or of what it does."""
    for step in steps:
        if step.kind in ("channel_message_sent", "bus_message_sent"):
            return ENUMS["channel_message"].get(step.words["number"]) or _("channel message")
        if step.kind in ("packet_written", "packet_read"):
            return _("packet written") if step.kind == "packet_written" else _("packet read")
        if step.kind in ("hypercall_entered", "call_made"):
            return ENUMS["call"].get(step.words["code"]) or _("call {code}").format(code=hex(step.words["code"]))
    kinds = [step.kind for step in steps]
    if {"intercept_posted", "vp_exited", "instruction_exited", "parent_told"} & set(kinds):
        return _("intercept")
    named = {"msr_written": _("MSR write"), "msr_read": _("MSR read"), "cpuid_answered": "CPUID"}
    named |= {"device_interrupt": _("device interrupt"), "pin_sent": _("device interrupt"), "ipi_sent": "IPI"}
    named |= {"apic_timer_expired": _("APIC timer"), "vector_raised": _("interrupt"), "vector_ended": "EOI"}
    return next((named[kind] for kind in kinds if kind in named), _("access"))


def _phases(steps: Sequence[Step]) -> list[tuple[str, int, int, int]]:
    """The sub-goals of each request in order, from when to when."""
    found: list[tuple[str, int, int, int]] = []
    end = axis_of(steps).begin
    for step in steps:
        key = step.phase, step.request
        if step.phase and found and (found[-1][0], found[-1][3]) == key:
            found[-1] = step.phase, found[-1][1], step.time, step.request
        elif step.phase:
            found.append((step.phase, end, step.time, step.request))
        end = step.time
    return found


def _bars(steps: Sequence[Step], axis: Axis) -> list[Element]:
    """Where time passes: hatched bars at the foot of the lanes."""
    merged: list[list[float]] = []
    for lane, begin, end in sorted((LANES.index(w[0]), axis.x(w[1]), axis.x(w[2])) for s in steps for w in s.waits):
        if merged and merged[-1][0] == lane and begin - merged[-1][2] < 1.5:
            merged[-1][2] = max(end, merged[-1][2])
        else:
            merged.append([lane, begin, end])
    return [
        box("", begin, TOP + LANE * lane + LANE - 5, max(end - begin, 2), 4, "hatched") for lane, begin, end in merged
    ]


def _marks(marks: Sequence[Mark], many: bool) -> tuple[list[Element], list[Element]]:
    """The marks with the number of steps seen in each; of very many steps, columns with counts."""
    layer, bind = [], list[Element]()
    tallest = max(len(mark.steps) for mark in marks)
    for at, mark in enumerate(marks):
        key, (aside, under) = f"mark{at}", mark.count_at(many)
        if many:
            height = 3 + round(9 * len(mark.steps) / tallest, 1)
            bar = box(f"{key}s", mark.x - 12, mark.y + 8 - height, 9, height, "cell")
            content = [bar, words(f"{key}n", mark.x + aside, mark.y + under, "", "small")]
            layer.append(group(key, content, LETTERS[mark.letter]))
        else:
            drawn = token(key, mark.letter, mark.x, mark.y)
            drawn[4][0][1:3] = [f"{key}s", "hollow"]
            drawn[4][1][1:3] = [f"{key}l", "small middle"]
            drawn[4].append(words(f"{key}n", aside, under, "", "small"))
            layer.append(drawn)
            bind.append(["class", f"{key}l", key, {"2": "letter", "3": "letter"}])
        bind += [["show", key, key], ["class", f"{key}s", key, {"2": "solid", "3": "solid"}], ["lit", key, key, [3]]]
        bind += [["text", f"{key}n", f"many{at}", "dec"], ["show", f"{key}n", f"many{at}"]]
        bind.append(["jump", key, mark.steps[0]])
    return layer, bind


def _alt() -> dict[str, object]:
    """The picture in words."""
    return {
        "fact": "lane_tale",
        "cases": {
            "0": _("At {now:time}, in the lane {line_lane:enum:lane}; no cause is recorded."),
            "1": _(
                "At {now:time}, in the lane {line_lane:enum:lane}; the chain of causes begins at frame {because}: "
                "arrows {hops}, time {chain_time:time}."
            ),
        },
        "else": "",
    }
