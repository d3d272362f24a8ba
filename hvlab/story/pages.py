"""The pages of a GPADL: which page of the child is which page of the root and of the machine, and which part of a ring.

Both names of a page are in the recorded events; the parts follow from the OPENCHANNEL that lies in its slot.
"""

from collections.abc import Sequence
from typing import Final

from hvlab.language import N_, _
from hvlab.story.channel_state import DENIED, GONE, MAPPED, Gpadl, replayed
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn, token
from hvlab.story.picture import Element, Picture, box, group, wire, words
from hvlab.story.steps import Step
from hvlab.trace.journal import Trace
from hvlab.trace.words import say

WIDTH: Final = 836
TOP, ROW = 70, 23
INDEX, CHILD, ROOT, REAL, PART = 8, 96, 266, 436, 610  # columns
BOX: Final = 138
MOST_GPADLS: Final = 3
MOST_ROWS: Final = 16
FATES: Final = {
    0: N_("not mapped yet"),
    1: N_("asked for"),
    MAPPED: N_("mapped"),
    DENIED: N_("refused"),
    GONE: N_("let go"),
}
PARTS: Final = {
    (1, True): N_("guest to host: control page"),
    (1, False): N_("guest to host: data"),
    (2, True): N_("host to guest: control page"),
    (2, False): N_("host to guest: data"),
}


def page_words() -> dict[str, dict[int, str]]:
    """Return the words of this picture's facts."""
    return {"fate": {fate: _(text) for fate, text in FATES.items()}}


def gpadl_pages(trace: Trace, steps: Sequence[Step], before: Trace | None, root: int = 0) -> list[Drawn]:
    """Return a picture for each GPADL that a story tells of, three at most."""
    bus = replayed(before, root)
    told = {trace.fact(row, "gpadl") for row in trace.of("gpadl_page_mapped", "gpadl_mapped", "gpadl_refused")}
    told |= {trace.fact(row, "gpadl") for row in trace.of("gpadl_unmapped")}
    if not told:
        return []
    moments = list[list[tuple[int, int, int]]]()
    splits = list[dict[int, int]]()
    for step in steps:
        for row in step.rows:
            bus.read(trace, row)
        moments.append([(one.fate, len(one.pages), max(one.pages, default=-1)) for one in bus.gpadls])
        splits.append({one.gpadl: one.downstream for one in bus.channels.values() if one.downstream >= 0})
    mine = [(at, one) for at, one in enumerate(bus.gpadls) if one.handle in told][:MOST_GPADLS]
    return [_drawn(number, at, one, moments, splits) for number, (at, one) in enumerate(mine)]


def _drawn(
    number: int, at: int, one: Gpadl, moments: Sequence[list[tuple[int, int, int]]], splits: Sequence[dict[int, int]]
) -> Drawn:
    """The picture of one GPADL."""
    key, values = f"g{number}", list[dict[str, int]]()
    rows = _rows(one)
    before = -1
    for now, split in zip(moments, splits, strict=True):
        fate, count, last = now[at] if at < len(now) else (0, 0, -1)
        facts = {f"{key}_fate": fate, f"{key}_count": count, f"{key}_split": split.get(one.handle, -1) + 1}
        facts |= {f"{key}_p{index}": int(index <= last) + int(before < index <= last) for index in rows}
        facts |= {f"{key}_why": one.why if fate == DENIED else 0, f"{key}_word": one.word if fate == DENIED else 0}
        values.append(facts)
        before = last
    facts_of = [Fact(f"{key}_fate", _("GPADL {handle}").format(handle=f"{one.handle:#x}"), "enum:fate", True)]
    facts_of += [Fact(f"{key}_{name}") for name in ("count", "split")]
    facts_of += [Fact(f"{key}_why", kind="enum:gpadl_refusal"), Fact(f"{key}_word", kind="hex")]
    facts_of += [Fact(f"{key}_p{index}") for index in rows]
    last_split = next((found[one.handle] for found in reversed(splits) if one.handle in found), -1)
    layer, bind = _head(key, one)
    for place, index in enumerate(rows):
        part = _row(key, one, index, TOP + ROW * place, last_split)
        layer += part[0]
        bind += part[1]
    if len(rows) < len(one.pages):
        more = _("{count} pages between them are left out here.")
        y = TOP + ROW * len(rows) + 16
        layer.append(words("", INDEX, y, more.format(count=len(one.pages) - len(rows)), "small soft", WIDTH - 16))
    handle = f"{one.handle:#x}"
    height = TOP + ROW * max(3, len(rows)) + 28
    title = _("The pages of GPADL {handle}, by each of their names").format(handle=handle)
    alt = _alt(key, one)
    picture = Picture(_("Pages {handle}").format(handle=handle), title, WIDTH, height, layer, bind, alt)
    return Drawn(picture, facts_of, values)


def _rows(one: Gpadl) -> list[int]:
    """Which pages are drawn: all, or the first ones and the last three."""
    found = sorted(one.pages)
    return found if len(found) <= MOST_ROWS else [*found[: MOST_ROWS - 4], *found[-3:]]


def _head(key: str, one: Gpadl) -> tuple[list[Element], list[Element]]:
    title = _("GPADL {handle} for channel {channel}: {fate}").format(
        handle=f"{one.handle:#x}", channel=one.channel, fate=f"{{{key}_fate:enum:fate}}"
    )
    layer: list[Element] = [words("title", INDEX, 20, "", "label title", WIDTH - 16)]
    heads = ((INDEX, _("page"), 80), (CHILD, _("child GPA"), 160), (ROOT, _("root GPA"), 160), (REAL, _("SPA"), 160),
             (PART, _("part"), 220))  # fmt: skip
    layer += [words("", x, TOP - 10, text, "small soft", room) for x, text, room in heads if one.pages]
    bind: list[Element] = [["say", "title", title]]
    refused = [token("", "!", INDEX + 10, 40), words("why_text", INDEX + 28, 45, "", "label fault", WIDTH - 48)]
    layer.append(group("why", refused, "fault"))
    said = _("{why}; the word that was wrong: {word}. No page is mapped.")
    said = said.replace("{why}", f"{{{key}_why:enum:gpadl_refusal}}").replace("{word}", f"{{{key}_word:hex}}")
    bind += [["say", "why_text", said], ["show", "why", f"{key}_fate", [DENIED]]]
    return layer, bind


def _row(key: str, one: Gpadl, index: int, y: float, split: int) -> tuple[list[Element], list[Element]]:
    """One page: its three names with arrows between them, and its part."""
    id, fact = f"p{index}", f"{key}_p{index}"
    content: list[Element] = [words("", INDEX + 40, y + 15, str(index), "small title end")]
    names = zip((CHILD, ROOT, REAL), ("gpa", "gpa", "spa"), one.pages[index], strict=True)
    for x, kind, value in names:
        content.append(box("", x, y + 1, BOX, ROW - 4, "cell"))
        content.append(words("", x + BOX / 2, y + 15, say(kind, value), "small code middle"))
        if x != REAL:
            middle = y + ROW / 2 - 1
            content.append(wire("", f"M{x + BOX + 4} {middle}h22m-6 -4l6 4l-6 4"))
    content.append(words(f"{id}t", PART, y + 15, "", "small", WIDTH - PART - 4))
    part = _(PARTS[(1, index == 0) if index < split else (2, index == split)]) if split >= 0 else ""
    bind: list[Element] = [
        ["show", id, fact],
        ["lit", id, fact, [2]],
        ["say", f"{id}t", {"fact": f"{key}_split", "cases": {"0": ""}, "else": part}],
    ]
    return [group(id, content, "memory")], bind


def _alt(key: str, one: Gpadl) -> dict[str, object]:
    """The picture in words."""
    said = _("GPADL {handle}: {fate}, {count} pages so far.").replace("{handle}", f"{one.handle:#x}")
    said = said.replace("{fate}", f"{{{key}_fate:enum:fate}}").replace("{count}", f"{{{key}_count}}")
    why = _("GPADL {handle}: refused, {why}.").replace("{handle}", f"{one.handle:#x}")
    why = why.replace("{why}", f"{{{key}_why:enum:gpadl_refusal}}")
    rows = [
        _("Page {index}: child GPA {gpa}, root GPA {root}, SPA {spa}.").format(
            index=index, gpa=say("gpa", names[0]), root=say("gpa", names[1]), spa=say("spa", names[2])
        )
        for index, names in sorted(one.pages.items())[:MOST_ROWS]
    ]
    return {"fact": f"{key}_fate", "cases": {str(DENIED): why, str(MAPPED): " ".join([said, *rows])}, "else": said}
