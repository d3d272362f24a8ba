"""Who runs when: a strip for each logical processor, and one for each virtual processor with what it waits for.

A bar grows while its story goes on: its width is a fact. The bars come from the scheduler's events alone; where a trace
begins, nothing is known of a virtual processor until the first event that tells of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hvlab.language import N_, _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn
from hvlab.story.lanes import Axis
from hvlab.story.picture import Element, Picture, box, faint, group, wire, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

WIDTH, LEFT, RIGHT, TOP = 836, 128, 664, 30
LANE, ROW = 32, 27  # heights of a logical and of a virtual processor's strip
MOST_BARS: Final = 400
LETTER: Final = 7.4
NAMED: Final = 38  # px that a bar needs for its name
RUNNING, READY, HALTED, CAPPED, MIXED, GONE = range(1, 7)
AFTER: Final = {1: HALTED, 2: READY, 3: CAPPED, 4: READY}  # what follows a reason to leave; suspended: nothing
LOOKS: Final = {READY: "cell hatched", HALTED: "cell plain", CAPPED: "cell ghost", MIXED: "cell hatched"}
TONES: Final = ("call", "signal", "data", "memory", "manage")
EXITS: Final = frozenset({"vp_interrupted", "eoi_written", "vp_halted"})
LEGEND: Final = (
    ("cell call tinted", N_("runs")),
    ("cell hatched", N_("ready: waits for a processor")),
    ("cell plain", N_("halted")),
    ("cell ghost", N_("held by its cap")),
)


@dataclass
class Bar:
    """A stretch of time on a strip, from one row of the trace to another; `lp` is -1 on a virtual processor's strip."""

    lp: int
    vp: int
    state: int
    begin: int
    end: int
    born: int
    died: int
    left: float = 0.0
    width: float = 0.0

    def state_at(self, row: int) -> int:
        """What it shows once a row is told: 0 if it has not begun or is over."""
        return self.state if self.born <= row < self.died else 0

    def lasted(self, row: int, now: int) -> int:
        """How long it has lasted once a row is told, at this time."""
        return min(now, self.end) - self.begin if self.born <= row else 0


def scheduled(trace: Trace) -> bool:
    """Whether a scheduler took part."""
    return "vp_scheduled" in trace.kinds()


def lps_of(trace: Trace) -> int:
    """Return how many logical processors a trace names; 0 without a scheduler."""
    rows = trace.of("vp_scheduled", "vp_descheduled", "device_interrupt")
    return max((trace.fact(row, "lp") + 1 for row in rows), default=0)


def partitions_of(trace: Trace) -> dict[int, int]:
    """Return the partition of each virtual processor that ran."""
    return {int(trace.rows[row, 2]): trace.fact(row, "partition") for row in trace.of("vp_scheduled")}


def vps_of(trace: Trace) -> list[int]:
    """Return the virtual processors that the scheduler had to do with."""
    names = ("vp_ready", "vp_scheduled", "vp_descheduled", "vp_halted")
    return sorted({int(trace.rows[row, 2]) for row in trace.of(*names)})


def runner_words(trace: Trace) -> dict[str, dict[int, str]]:
    """Return the words for who runs on a logical processor, and for what a virtual one does."""
    whose = partitions_of(trace)
    runner = {
        vp + 1: _("VP {number} of {owner}").format(number=vp, owner=owner(whose.get(vp, 0))) for vp in vps_of(trace)
    }
    does = {0: _("not seen yet"), RUNNING: _("runs"), READY: _("ready"), HALTED: _("halted"), CAPPED: _("capped")}
    does[GONE] = _("suspended")
    return {"runner": {0: _("nobody"), **runner}, "does": does}


def owner(partition: int) -> str:
    """Return what a partition is called."""
    return _("the root") if partition == 1 else _("partition {number}").format(number=partition)


def bars_of(trace: Trace) -> list[Bar]:
    """Return the stretches of a trace in the order in which they begin; the last ones end with the trace."""
    found: list[Bar] = []
    open_bars: dict[tuple[int, int], Bar] = {}
    last = int(trace.rows[-1, 1])

    def change(lp: int, vp: int, state: int, row: int) -> None:
        key, time = (lp, vp if lp < 0 else -1), int(trace.rows[row, 1])
        if key in open_bars:
            over = open_bars.pop(key)
            over.end, over.died = time, row
        if state:
            open_bars[key] = Bar(lp, vp, state, time, last, row, len(trace))
            found.append(open_bars[key])

    for row, name in enumerate(trace.kinds()):
        vp = int(trace.rows[row, 2])
        if name == "vp_scheduled":
            change(trace.fact(row, "lp"), vp, RUNNING, row)
            change(-1, vp, RUNNING, row)
        elif name == "vp_descheduled":
            change(trace.fact(row, "lp"), vp, 0, row)
            change(-1, vp, AFTER.get(trace.fact(row, "why"), 0), row)
        elif name == "vp_ready":
            change(-1, vp, READY, row)
        elif name == "vp_halted" and (-1, vp) not in open_bars:
            change(-1, vp, HALTED, row)
    return found


def ran_and_waited(trace: Trace) -> dict[int, tuple[int, int]]:
    """Return how many nanoseconds each virtual processor ran, and was ready and waited, within a trace."""
    found: dict[int, list[int]] = {}
    for bar in bars_of(trace) if len(trace) else ():
        if bar.lp < 0 and bar.state in (RUNNING, READY):
            found.setdefault(bar.vp, [0, 0])[bar.state == READY] += bar.end - bar.begin
    return {vp: (times[0], times[1]) for vp, times in found.items()}


def gantt(trace: Trace, steps: Sequence[Step], lps: int = 0) -> list[Drawn]:
    """Return the strips of a trace; nothing if its scheduler did nothing, or no time passed.

    `lps`: how many logical processors there are; as many as the trace names if those are more.
    """
    if not scheduled(trace) or int(trace.rows[-1, 1]) <= int(trace.rows[0, 1]):
        return []
    axis = Axis(int(trace.rows[0, 1]), int(trace.rows[-1, 1]), left=LEFT, right=RIGHT)
    vps, lps = vps_of(trace), max(lps, lps_of(trace))
    tops = {("lp", lp): TOP + LANE * lp for lp in range(lps)}
    tops |= {("vp", vp): TOP + LANE * lps + 12 + ROW * at for at, vp in enumerate(vps)}
    bars = merged(bars_of(trace), axis)
    height = TOP + LANE * lps + 12 + ROW * len(vps) + 62
    layer, bind = _ground(trace, axis, tops, height)
    for at, bar in enumerate(bars):
        part = _bar(at, bar, trace, tops)
        layer += part[0]
        bind += part[1]
    exits = exits_of(trace, axis, vps)
    for part in (_exits(exits, tops), _line(height)):
        layer += part[0]
        bind += part[1]
    facts = [Fact(f"bar{at}") for at in range(len(bars))] + [Fact(f"named{at}") for at in range(len(bars))]
    facts += [Fact(f"exit{at}") for at in range(len(exits))] + [Fact("gantt_x"), *_own_facts(vps)]
    title = _("Who runs when: logical processors above, virtual processors below")
    picture = Picture(_("Scheduler"), title, WIDTH, height, layer, bind, _alt(lps, vps))
    return [Drawn(picture, facts, _values(trace, steps, axis, bars, vps, exits))]


def _own_facts(vps: Sequence[int]) -> list[Fact]:
    """What the state table says of each virtual processor."""
    found = []
    for vp in vps:
        found.append(Fact(f"does{vp}", _("VP {number}").format(number=vp), "enum:does", True))
        found.append(Fact(f"ran{vp}", _("VP {number} has run").format(number=vp), "time", True))
        found.append(Fact(f"stolen{vp}", _("VP {number} was ready and waited").format(number=vp), "time", True))
    return found


def merged(bars: Sequence[Bar], axis: Axis) -> list[Bar]:
    """Return the bars with their places; of many, those too narrow to be told apart become one."""
    narrow = 0.0
    while True:
        found: list[Bar] = []
        last: dict[tuple[int, int], Bar] = {}
        for bar in bars:
            if bar.end == bar.begin:
                continue
            left = axis.x(bar.begin)
            width = max(axis.x(bar.end) - left, 1.0)
            key = (bar.lp, bar.vp if bar.lp < 0 else -1)
            before = last.get(key)
            joins = before and width < narrow and left <= before.left + before.width + 1
            if before and joins and before.width + width < 8 * narrow:
                before.width, before.state = left + width - before.left, MIXED
                before.end, before.died = bar.end, bar.died
                continue
            last[key] = replace(bar, left=left, width=width)
            found.append(last[key])
        if len(found) <= MOST_BARS:
            return found
        narrow = 2 * narrow + 1


def _ground(
    trace: Trace, axis: Axis, tops: dict[tuple[str, int], int], height: int
) -> tuple[list[Element], list[Element]]:
    """Names, the axis, the legend, and what each virtual processor has had."""
    layer, bind = [], list[Element]()
    whose = partitions_of(trace)
    bottom = height - 58
    for tick in axis.ticks():
        x = axis.x(axis.begin + tick)
        layer.append(faint(x, TOP, x, bottom + 5))
        layer.append(words("", x, bottom + 18, f"+{say('time', tick)}" if tick else "0", "small soft middle"))
    layer.append(words("", 6, bottom + 18, _("time"), "small soft", LEFT - 12))
    layer.append(words("", RIGHT + 8, 20, _("ran / waited"), "small soft", WIDTH - RIGHT - 8))
    for (kind, number), y in tops.items():
        if kind == "lp":
            layer.append(words("", 6, y + 20, _("processor {number}").format(number=number), "label title", LEFT - 12))
            layer.append(box("", LEFT, y + 2, RIGHT - LEFT, LANE - 5, "plain"))
            continue
        name = _("VP {number}, {owner}").format(number=number, owner=owner(whose.get(number, 0)))
        layer.append(words("", 6, y + 18, name, "small", LEFT - 10))
        layer.append(words(f"had{number}", RIGHT + 8, y + 18, "", "small code", WIDTH - RIGHT - 8))
        bind.append(["say", f"had{number}", f"{{ran{number}:time}} / {{stolen{number}:time}}"])
    x = 6.0
    for classes, text in LEGEND:
        thin = 10 if classes == "cell plain" else 0
        layer += [
            box("", x, height - 26 + thin // 2, 26, 14 - thin, classes),
            words("", x + 32, height - 14, _(text), "small soft"),
        ]
        x += 58 + 6.6 * len(_(text))
    layer.append(wire("", f"M{x + 4:g} {height - 26}v14", "edge fault"))
    layer.append(words("", x + 14, height - 14, _("an exit"), "small soft", WIDTH - x - 14))
    return layer, bind


def _tone(trace: Trace, vp: int) -> str:
    """Each partition has a tone of its own; names say the same."""
    known = sorted(set(partitions_of(trace).values()))
    mine = partitions_of(trace).get(vp, 0)
    return TONES[known.index(mine) % len(TONES)] if mine in known else "manage"


def _bar(at: int, bar: Bar, trace: Trace, tops: dict[tuple[str, int], int]) -> tuple[list[Element], list[Element]]:
    """One bar, which grows, with its name as soon as that fits."""
    y = tops[("lp", bar.lp)] + 2 if bar.lp >= 0 else tops[("vp", bar.vp)] + 4
    high = LANE - 5 if bar.lp >= 0 else ROW - 8
    classes = LOOKS.get(bar.state, "cell tinted")
    tone = _tone(trace, bar.vp) if bar.state == RUNNING else ""
    if bar.state == HALTED:
        y, high = y + high // 2 - 2, 4
    content = [box(f"bar{at}", bar.left, y, 0, high, f"{classes} {tone}".strip())]
    bind: list[Element] = [["attr", f"bar{at}", "width", f"bar{at}", 1, 0], ["show", f"bar{at}", f"bar{at}"]]
    name = _("VP {number}").format(number=bar.vp)
    if bar.lp >= 0 and bar.state == RUNNING and bar.width >= NAMED:
        content.append(words(f"name{at}", bar.left + 4, y + 18, name, "small"))
        bind.append(["show", f"name{at}", f"named{at}"])
    return [group("", content)], bind


def exits_of(trace: Trace, axis: Axis, vps: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the exits that get a stroke: (row, virtual processor, place); strokes that would touch are one."""
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    for row in trace.of(*EXITS):
        vp, x = int(trace.rows[row, 2]), round(axis.x(int(trace.rows[row, 1])))
        if vp in vps:
            found.setdefault((vp, x // 3), (row, vp, x))
    return list(found.values())


def _exits(
    exits: Sequence[tuple[int, int, int]], tops: dict[tuple[str, int], int]
) -> tuple[list[Element], list[Element]]:
    """A stroke at each exit, on the strip of who left."""
    layer, bind = [], list[Element]()
    for at, (_row, vp, x) in enumerate(exits):
        layer.append(group(f"exit{at}", [wire("", f"M{x} {tops[('vp', vp)] + 1}v{ROW - 2}", "edge")], "fault"))
        bind.append(["show", f"exit{at}", f"exit{at}"])
    return layer, bind


def _line(height: int) -> tuple[list[Element], list[Element]]:
    """The line of the moment."""
    return [wire("moment", f"M0 {TOP - 6}V{height - 54}", "call lit")], [["attr", "moment", "move-x", "gantt_x", 1, 0]]


def _values(
    trace: Trace,
    steps: Sequence[Step],
    axis: Axis,
    bars: Sequence[Bar],
    vps: Sequence[int],
    exits: Sequence[tuple[int, int, int]],
) -> list[dict[str, int]]:
    """The facts at each step: how wide each bar is by then, what each virtual processor does and has had."""
    own = {vp: [bar for bar in bars_of(trace) if bar.lp < 0 and bar.vp == vp] for vp in vps}
    found = []
    for step in steps:
        row, now = step.rows[-1], step.time
        facts = {"gantt_x": round(axis.x(now))} | {f"exit{at}": int(one[0] <= row) for at, one in enumerate(exits)}
        for at, bar in enumerate(bars):
            width = max(round(axis.x(min(now, bar.end)) - bar.left), 1) if bar.born <= row else 0
            facts |= {f"bar{at}": width, f"named{at}": int(width >= NAMED)}
        for vp, mine in own.items():
            seen = any(bar.died <= row for bar in mine)
            facts[f"does{vp}"] = next((state for bar in reversed(mine) if (state := bar.state_at(row))), GONE * seen)
            for name, state in (("ran", RUNNING), ("stolen", READY)):
                facts[f"{name}{vp}"] = sum(bar.lasted(row, now) for bar in mine if bar.state == state)
        found.append(facts)
    return found


def _alt(lps: int, vps: Sequence[int]) -> str:
    """The picture in words."""
    runs = _("Processor {lp}: {who}.")
    does = _("VP {number}: {does}, has run {ran}, was ready and waited {stolen}.")
    said = [runs.replace("{lp}", str(lp)).replace("{who}", f"{{on{lp}:enum:runner}}") for lp in range(lps)]
    for vp in vps:
        one = does.replace("{number}", str(vp)).replace("{does}", f"{{does{vp}:enum:does}}")
        said.append(one.replace("{ran}", f"{{ran{vp}:time}}").replace("{stolen}", f"{{stolen{vp}:time}}"))
    return " ".join(said)
