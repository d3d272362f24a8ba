"""Pictures of tables that real systems built: an address space area by area, and guest memory slot by slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hvlab.capture import NestedTables, Region, Space
from hvlab.capture.describe import SIZES, amount, leaves
from hvlab.capture.regions import R_WRITE, Walk, walk
from hvlab.capture.summary import spell
from hvlab.language import N_, _, ngettext
from hvlab.trace.words import say
from hvlab.view.drawing import Drawing, figure

T = TypeVar("T", str, int)
LEFT, RIGHT, PITCH = 250, 836, 64
MOST_ROWS: Final = 300
# what a page may be used for, by its letters without u: class of its colour, hatch
RIGHTS: Final = {"r--": ("plain", ""), "r-x": ("data", ""), "rw-": ("call", "stripes"), "rwx": ("fault", "cross")}
WORDS: Final = {"r--": N_("read only"), "r-x": N_("code"), "rw-": N_("data"), "rwx": N_("writable code")}
PAGES: Final = {12: ("plain", ""), 21: ("memory", "bars"), 30: ("memory", "stripes")}
BUCKETS: Final = 146
MOST_SLOTS: Final = 40


# --- an address space ------------------------------------------------------------------------------------------------


def space_map(space: Space, number: int) -> str:
    """The areas of one address space: for each how much is mapped, with which rights, in which page sizes."""
    regions = space.regions
    drawing = Drawing(f"space{number}", _title(space), _said(space), 68 + PITCH * len(regions))
    _legend(drawing)
    most = max((log2(region.mapped) for region in regions), default=1.0)
    for k, region in enumerate(regions):
        _region(drawing, region, 60 + PITCH * k, (RIGHT - LEFT) * log2(region.mapped) / most)
    rows = [_row(region) for region in regions]
    where = [_("area"), _("half"), _("first GVA"), _("last GVA")]
    what = [_("leaves"), _("pages by size"), _("effective rights"), _("mapped"), _("reached")]
    return figure(drawing, where + what, rows)


def _title(space: Space) -> str:
    text = _("Address space below the top table at GPA {root}: areas, rights, page sizes")
    return text.format(root=say("gpa", space.root))


def _said(space: Space) -> str:
    parts = [
        f"{_(region.name)} ({_half(region)}): {amount(region.mapped)}, {_sizes(region.sizes)}"
        for region in space.regions
    ]
    text = _("One strip an area, its length by the logarithm of its size. {areas}.")
    return text.format(areas="; ".join(parts))


def _half(region: Region) -> str:
    return _("kernel half") if region.upper else _("user half")


def _sizes(sizes: Mapping[int, int]) -> str:
    text = _("{leaves} of {size}")
    return ", ".join(
        text.format(leaves=f"{number:,}", size=SIZES.get(shift, f"2**{shift}"))
        for shift, number in sorted(sizes.items())
    )


def _rights(rights: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {letters}" for letters, number in sorted(rights.items()))


def _row(region: Region) -> list[str]:
    first, last = say("gva", region.first), say("gva", region.last)
    sizes, rights = _sizes(region.sizes), _rights(region.rights)
    reached = f"{region.times:,}"
    return [
        _(region.name),
        _half(region),
        first,
        last,
        f"{region.leaves:,}",
        sizes,
        rights,
        amount(region.mapped),
        reached,
    ]


def _legend(drawing: Drawing) -> None:
    x = 8.0
    for letters, (tone, hatch) in RIGHTS.items():
        drawing.rect(x, 8, 24, 16, f"bar {tone}", hatch)
        text = f"{letters} {_(WORDS[letters])}"
        drawing.text(x + 30, 21, text, "small")
        x += 44 + 7.2 * len(text)
    for shift, (tone, hatch) in PAGES.items():
        drawing.rect(x, 12, 24, 10, f"bar {tone}", hatch)
        drawing.text(x + 30, 21, SIZES[shift], "small")
        x += 82
    text = _("upper strip: rights of its leaves; lower strip: page sizes; length: logarithm of the size")
    drawing.text(8, 44, text, "small soft", 120)


def _region(drawing: Drawing, region: Region, y: float, wide: float) -> None:
    drawing.rect(8, y, 22, 22, "box")
    drawing.text(19, y + 16, "K" if region.upper else "U", "middle title")
    drawing.text(38, y + 11, _(region.name), "title", 24)
    drawing.text(38, y + 28, f"{amount(region.mapped)}, {leaves(region.leaves)}", "small", 32)
    drawing.text(38, y + 45, say("gva", region.first), "small code soft")
    _strip(drawing, y, 22, wide, {k: v for k, v in _by_use(region.rights).items() if v}, RIGHTS)
    _strip(drawing, y + 26, 12, wide, region.sizes, PAGES)
    drawing.text(LEFT, y + 52, _sizes(region.sizes) + "; " + _rights(region.rights), "small", 84)


def _by_use(rights: Mapping[str, int]) -> dict[str, int]:
    return {use: sum(number for letters, number in rights.items() if letters[1:] == use) for use in RIGHTS}


def _strip(
    drawing: Drawing, y: float, height: float, wide: float, parts: Mapping[T, int], looks: Mapping[T, tuple[str, str]]
) -> None:
    """A strip, divided by how many leaves each part has; a part that is there is at least 3 px wide."""
    total = sum(parts.values())
    widths = [max(3.0, wide * number / total) for number in parts.values()]
    x, scale = float(LEFT), wide / sum(widths)
    for part, width in zip(parts, widths, strict=True):
        tone, hatch = looks.get(part, ("plain", ""))
        drawing.rect(x, y, width * scale, height, f"bar {tone}", hatch)
        if isinstance(part, str) and width * scale > 44:
            drawing.rect(x + 5, y + 3, 30, height - 6, "halo")
            drawing.text(x + 8, y + height - 6, part, "small code")
        x += width * scale


# --- guest memory ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """One range of guest memory: bytes mapped, and bytes mapped but not writable, in each of its `BUCKETS` parts."""

    name: str
    first: int
    size: int
    mapped: NDArray[np.float64]
    closed: NDArray[np.float64]
    backing: str


def guest_map(snapshot: NestedTables) -> str:
    """Guest physical memory: the slots that the monitor registered, what of them is mapped, and what backs it."""
    found = walk(snapshot.table_spa, snapshot.table_data, snapshot.ncr3, snapshot.levels)
    strips = _strips(snapshot, found)
    title = _("Guest physical memory: slots, what of them is mapped, what backs it")
    drawing = Drawing("guest", title, _seen(strips, len(snapshot.slots) - MOST_SLOTS), 56 + PITCH * len(strips))
    for x, tone, hatch, text in (
        (8, "call", "", _("mapped")),
        (110, "signal", "stripes", _("mapped, not writable")),
        (290, "plain", "", _("not mapped yet: an access leaves the guest (nested page fault)")),
    ):
        drawing.rect(x, 8, 24, 16, f"bar {tone}", hatch)
        drawing.text(x + 30, 21, text, "small", 90)
    for k, strip in enumerate(strips):
        _slot(drawing, 48 + PITCH * k, strip)
    rows = _runs(found)
    head = ["GPA", _("last GPA"), _("backed by SPA"), _("leaves"), _("page size"), _("rights")]
    return figure(drawing, head, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


def _seen(strips: list[Strip], left: int) -> str:
    """The strips in words, and how many slots have none."""
    text = _("{slot}: {size} mapped, {backing}")
    said = "; ".join(
        text.format(slot=one.name, size=amount(round(one.mapped.sum())), backing=one.backing) for one in strips
    )
    words = _("One strip a slot, from its first to its last GPA. {slots}.").format(slots=said)
    if left < 1:
        return words
    more = ngettext("{count} more slot is not drawn.", "{count} more slots are not drawn.", left)
    return f"{words} {more.format(count=f'{left:,}')}"


def _strips(snapshot: NestedTables, found: Walk) -> list[Strip]:
    """A strip for each slot, and one for what lies in none."""
    size = np.uint64(1) << found.shift.astype(np.uint64)
    left = np.ones(len(size), np.bool_)
    strips: list[Strip] = []
    for slot in snapshot.slots:
        inside = (found.gva >= np.uint64(slot.gpa)) & (found.gva < np.uint64(slot.gpa + slot.size))
        left &= ~inside
        text = _("read-only slot {index}") if slot.read_only else _("slot {index}")
        if len(strips) < MOST_SLOTS:
            strips.append(_strip_of(text.format(index=slot.index), slot.gpa, slot.size, found, size, inside))
    if left.any():
        first = int(found.gva[left].min())
        end = int((found.gva[left] + size[left]).max())
        strips.append(_strip_of(_("in no slot"), first, end - first, found, size, left))
    return strips


def _strip_of(
    name: str, first: int, whole: int, found: Walk, size: NDArray[np.uint64], inside: NDArray[np.bool_]
) -> Strip:
    edges = first + max(whole, 1) * np.arange(BUCKETS + 1) / BUCKETS
    closed = inside & (found.rights & R_WRITE == 0)
    counted = []
    for part in (inside, closed):
        begin, wide = found.gva[part].astype(np.float64), size[part].astype(np.float64)
        counted.append(np.diff([np.clip(edge - begin, 0, wide).sum() for edge in edges]))
    backing = _("on nothing yet")
    if inside.any():
        low, high = int(found.frame[inside].min()), int((found.frame[inside] + size[inside]).max()) - 1
        backing = _("on SPA {low} to {high}").format(low=say("spa", low), high=say("spa", high))
    return Strip(name, first, whole, counted[0], counted[1], backing)


def _slot(drawing: Drawing, y: float, strip: Strip) -> None:
    drawing.text(8, y + 11, strip.name, "title", 30)
    text = _("{size}, {mapped} mapped").format(size=amount(strip.size), mapped=amount(round(strip.mapped.sum())))
    drawing.text(8, y + 28, text, "small", 36)
    drawing.rect(LEFT, y, RIGHT - LEFT, 26, "bar plain")
    wide = (RIGHT - LEFT) / BUCKETS
    for values, tone, hatch in ((strip.mapped, "call", ""), (strip.closed, "signal", "stripes")):
        for start, end in _spans(values > 0.5):
            drawing.rect(LEFT + start * wide, y, (end - start) * wide, 26, f"bar {tone}", hatch)
    drawing.text(LEFT, y + 42, f"GPA {say('gpa', strip.first)}", "small code")
    drawing.text((LEFT + RIGHT) / 2, y + 42, strip.backing, "small code soft middle", 44)
    drawing.text(RIGHT, y + 42, say("gpa", strip.first + max(strip.size, 1) - 1), "small code end")


def _spans(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _runs(found: Walk) -> list[list[str]]:
    """Leaves that follow each other in GPA and in SPA with the same size and rights, as one row."""
    order = np.argsort(found.gva)
    gpa, spa = found.gva[order].astype(np.int64), found.frame[order].astype(np.int64)
    shift, rights = found.shift[order].astype(np.int64), found.rights[order]
    step = np.int64(1) << shift[:-1]
    joined = (np.diff(gpa) == step) & (np.diff(spa) == step) & (np.diff(shift) == 0) & (rights[1:] == rights[:-1])
    begins = np.flatnonzero(np.concatenate([np.ones(min(len(gpa), 1), np.bool_), ~joined]))
    leaves = np.diff([*begins, len(gpa)])
    return [
        [
            say("gpa", int(gpa[k])),
            say("gpa", int(gpa[k]) + (number << int(shift[k])) - 1),
            say("spa", int(spa[k])),
            f"{number:,}",
            SIZES.get(int(shift[k]), f"2**{shift[k]}"),
            spell(int(rights[k])),
        ]
        for k, number in zip(begins.tolist(), leaves.tolist(), strict=True)
    ]
