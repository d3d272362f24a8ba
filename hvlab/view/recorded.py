"""A real connection as a story: the messages of a recording step by step, beside what the protocol expects.

Nothing here is simulated: each frame is a recorded message, or one that the protocol expects there and that is missing.
Times are the recorder's clock; a missing message has none of its own and stands where it would have come.
"""

from collections.abc import Sequence
from typing import Final

from hvlab.capture.busfields import by_guest, name_of, version_name
from hvlab.capture.buslog import BusLog
from hvlab.capture.handshake import (
    MARKS,
    MISSING,
    REFUSED,
    RETRIED,
    SEEN,
    UNASKED,
    Handshake,
    Row,
    expected,
    handshake,
)
from hvlab.language import _
from hvlab.story.frame import Fact, Frame, Kind, spoken
from hvlab.story.host import BOXES, places
from hvlab.story.hostmap import Drawn
from hvlab.story.lanes import LANES, lanes
from hvlab.story.picture import Element, Picture, group, wire, words
from hvlab.story.steps import Step
from hvlab.story.storyboard import Storyboard

GUEST, HOST = "linux.VMBus", "root.VMBus"
SHOWN: Final = 16  # rows of the picture at once
TOP, STEP = 42, 26
AT_GUEST, AT_HOST, AT_WORDS = 92, 336, 372
KEY: Final = 148  # px between the marks that are explained below
MOST: Final = 2_000  # frames of one story
RULE: Final = "Linux drivers/hv/connection.c, channel_mgmt.c, channel.c"
KINDS: Final = (
    Kind(SEEN, "{row:enum:row}", ("row", "number"), ("enum:row", "dec"), RULE, "", "V"),
    Kind(RETRIED, "{row:enum:row}", ("row", "number"), ("enum:row", "dec"), RULE, "", "V"),
    Kind(MISSING, "{row:enum:row}", ("row", "number"), ("enum:row", "dec"), RULE, "", "!"),
    Kind(REFUSED, "{row:enum:row}", ("row", "number"), ("enum:row", "dec"), RULE, "", "!"),
    Kind(UNASKED, "{row:enum:row}", ("row", "number"), ("enum:row", "dec"), RULE, "", "!"),
)
FACTS: Final = (
    Fact("messages", "Messages so far", "dec", True),
    Fact("missing", "Missing so far", "dec", True),
    Fact("refused", "Refused so far", "dec", True),
    Fact("retried", "Retried so far", "dec", True),
    Fact("agreed", "Version agreed on", "enum:agreed", True),
    Fact("current", "What it is", "enum:row"),
    Fact("wants", "What the protocol expects", "enum:wants", True),
    Fact("now", "Recorder's clock, since the first message", "time", True),
    Fact("request"),
    Fact("part"),
)


def recorded_story(log: BusLog) -> Storyboard:
    """Return the story of a recording."""
    found = handshake(log)
    rows = found.rows[:MOST]
    told = _steps(rows)
    drawn = [_ladder(rows), lanes(told, waits="", ordered=True)]
    facts = [*spoken(FACTS), *(fact for one in drawn for fact in one.facts)]
    return Storyboard.from_frames(
        _("How a real guest and its host came to talk"),
        _frames(found, rows, told, drawn),
        kinds=spoken(KINDS),
        facts=facts,
        pictures=[one.picture for one in drawn],
        places=places({}),
        phases=list(dict.fromkeys(row.phase for row in rows)),
        enums=_enums(found, rows),
        about=_("Recorded, not simulated. A dashed arrow is a message that the protocol expects and nobody recorded."),
    )


def says(row: Row) -> str:
    """Return a row in one line: the message, its mark if it is not just seen, what it says."""
    mark = "" if row.mark == SEEN else f" ({_(row.mark)})"
    return f"{name_of(row.number)}{mark}" + (f": {row.says}" if row.says else "")


def _enums(found: Handshake, rows: Sequence[Row]) -> dict[str, dict[int, str]]:
    version = version_name(found.version) if found.version is not None else _("not recorded")
    return {
        "row": {0: "", **{at: says(row) for at, row in enumerate(rows, 1)}},
        "wants": {0: "", **{number: expected(number) for number in sorted({row.number for row in rows})}},
        "agreed": {0: _("none yet"), 1: version},
        "lane": {0: _("none"), **{number: _(lane) for number, lane in enumerate(LANES, 1)}},
    }


def _steps(rows: Sequence[Row]) -> list[Step]:
    """The rows for the lanes: the guest's kernel sends what a guest sends, the root's kernel the rest."""
    begin = next((row.message.seconds for row in rows if row.message), 0.0)
    found, time, asked = list[Step](), 0, dict[int, int]()
    for at, row in enumerate(rows):
        time = max(time, round((row.message.seconds - begin) * 1e9)) if row.message else time
        src, dst = (GUEST, HOST) if by_guest(row.number) else (HOST, GUEST)
        found.append(
            Step(
                rows=(),
                lead=at,
                kind=row.mark,
                words={"row": at + 1, "number": row.number},
                phase=row.phase,
                src=src,
                dst=dst,
                letter="V" if row.mark in (SEEN, RETRIED) else "!",
                actor=-1,
                cause=asked.get(row.answers.line) if row.answers else None,
                time=time,
                lane=BOXES[src].lane,
                waits=(),
                request=0,
                moves=(),
                boxes=(src, dst),
            )
        )
        if row.message is not None:
            asked[row.message.line] = at
    return found


def _frames(found: Handshake, rows: Sequence[Row], told: Sequence[Step], drawn: Sequence[Drawn]) -> list[Frame]:
    frames = []
    counts = {MISSING: 0, REFUSED: 0, RETRIED: 0}
    agreed = messages = 0
    for at, (row, step) in enumerate(zip(rows, told, strict=True)):
        messages += row.message is not None
        counts[MISSING] += row.mark == MISSING
        counts[REFUSED] += row.mark == REFUSED
        counts[RETRIED] += row.mark == RETRIED or (row.message is not None and row.message.tries > 1)
        agreed = agreed or int(found.agreed and row.number == 15 and row.mark in (SEEN, RETRIED))
        facts = {"messages": messages, "agreed": agreed, "current": at + 1, "wants": row.number, "request": 1}
        facts["now"] = step.time
        facts |= {name: counts[name] for name in counts} | {"part": at // SHOWN}
        for one in drawn:
            facts |= one.values[at]
        frames.append(
            Frame(
                kind=row.mark, words=step.words, facts=facts, phase=row.phase, src=step.src, dst=step.dst,
                cause=step.cause, time=step.time,
            )
        )  # fmt: skip
    return frames


def _ladder(rows: Sequence[Row]) -> Drawn:
    """Guest and host as two lines, each message an arrow, beside it what the protocol expects; sixteen at once."""
    layer: list[Element] = [
        words("", AT_GUEST, 18, _("guest"), "label title middle"),
        words("", AT_HOST, 18, _("host"), "label title middle"),
        words("", AT_WORDS, 18, _("the protocol expects"), "small soft", 836 - AT_WORDS),
        wire("", f"M{AT_GUEST} 26V{TOP + STEP * SHOWN}"),
        wire("", f"M{AT_HOST} 26V{TOP + STEP * SHOWN}"),
    ]
    bind: list[Element] = []
    for first in range(0, len(rows), SHOWN):
        content: list[Element] = []
        for at in range(first, min(first + SHOWN, len(rows))):
            content.append(_rung(rows, at, TOP + STEP * (at - first)))
            bind += [["lit", f"rung{at}", "current", [at + 1]], ["jump", f"rung{at}", at]]
        layer.append(group(f"part{first // SHOWN}", content))
        bind.append(["show", f"part{first // SHOWN}", "part", [first // SHOWN]])
    foot = TOP + STEP * SHOWN + 16
    for at, (mark, sign) in enumerate(MARKS.items()):
        layer += [
            words("", AT_GUEST + KEY * at, foot, sign, "label middle"),
            words("", AT_GUEST + KEY * at + 14, foot, _(mark), "small soft", KEY - 30),
        ]
    picture = Picture(
        _("Handshake"), _("The handshake, beside what the protocol expects"), 836, foot + 6, layer, bind,
        "{current:enum:row}",
    )  # fmt: skip
    return Drawn(picture, [], [{} for _row in rows])


def _rung(rows: Sequence[Row], at: int, y: int) -> Element:
    row = rows[at]
    right = by_guest(row.number)
    start, end, back = (AT_GUEST + 3, AT_HOST - 3, -8) if right else (AT_HOST - 3, AT_GUEST + 3, 8)
    tone = "call" if row.mark == SEEN else "signal" if row.mark == RETRIED else "fault"
    content: list[Element] = [
        wire("", f"M{start} {y + 8}H{end}", tone + (" dashed" if row.mark == MISSING else "")),
        wire("", f"M{end + back} {y + 4}L{end} {y + 8}L{end + back} {y + 12}", tone),
        words("", (AT_GUEST + AT_HOST) // 2, y + 4, name_of(row.number), "small middle", AT_HOST - AT_GUEST - 20),
        words("", AT_HOST + 18, y + 12, MARKS[row.mark], "label middle"),
        words("", AT_WORDS, y + 12, expected(row.number), "small", 836 - AT_WORDS),
    ]
    first = at % SHOWN == 0 or rows[at - 1].phase != row.phase
    if first:
        content.append(words("", 6, y + 12, row.phase, "small soft", AT_GUEST - 12))
    return group(f"rung{at}", content)
