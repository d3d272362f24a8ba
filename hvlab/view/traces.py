"""Pictures of an address trace: its mix, its pages over time, its working set, its TLB hit rate."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hvlab.capture import TraceSummary
from hvlab.capture.accesses import FETCH, LETTERS, STORE, AddressTrace
from hvlab.capture.describe import MIX, pages
from hvlab.lab.study import Table
from hvlab.language import N_, _
from hvlab.trace.words import say
from hvlab.view.drawing import Drawing, figure

TIMES: Final = 140
MOST_LANES: Final = 120
LEFT, RIGHT = 190, 836
LOOKS: Final = {"I": ("data", ""), "L": ("call", "stripes"), "S": ("signal", "bars"), "M": ("memory", "cross")}
# what a mark means: class of its colour, and its dashes, so that colour is not the only sign
LAYERS: Final = ((N_("code"), "data"), (N_("data read"), "call dashes"), (N_("data written"), "signal dots"))


def mix_bars(numbers: TraceSummary) -> str:
    """How many accesses of each kind."""
    drawing = Drawing("mix", _("Mix of accesses"), "", 16 + 40 * len(numbers.mix))
    parts, rows = [], []
    for k, (letter, number) in enumerate(numbers.mix.items()):
        tone, hatch = LOOKS[letter]
        share, name = number / numbers.accesses, _(MIX[letter])
        y = 10 + 40 * k
        wide = (RIGHT - 130 - LEFT) * share
        drawing.text(LEFT - 10, y + 20, name, "end", 28)
        drawing.rect(LEFT, y, wide, 28, f"bar {tone}", hatch)
        drawing.text(LEFT + wide + 8, y + 20, f"{share:.1%}, {number:,}", "")
        parts.append(f"{name} {share:.1%}")
        rows.append([name, f"{number:,}", f"{share:.2%}"])
    words = _("Bars: {parts} of {accesses} accesses.")
    drawing.words = words.format(parts=", ".join(parts), accesses=f"{numbers.accesses:,}")
    return figure(drawing, [_("kind"), _("accesses"), _("share")], rows)


# --- pages over time -------------------------------------------------------------------------------------------------


def pages_over_time(trace: AddressTrace) -> str:
    """Which pages are touched when: a lane for each page, or for some neighbours, in the order of their addresses."""
    page = trace.gva >> 12
    every, place = np.unique(page, return_inverse=True)
    each = -(-len(every) // MOST_LANES)
    lane, lanes = place // each, -(-len(every) // each)
    time = np.arange(len(page)) * TIMES // len(page)
    tall = max(3.0, min(14.0, 440 / lanes))
    title = _("Pages over time, {count} to a lane") if each > 1 else _("Pages over time")
    words = _(
        "{pages} from low addresses (top) to high, {accesses} accesses from left to right in {columns} columns; a mark "
        "says that pages of the lane were touched then."
    ).format(pages=pages(len(every)), accesses=f"{len(page):,}", columns=TIMES)
    drawing = Drawing("time", title.format(count=f"{each:,}"), words, 40 + tall * lanes + 36)
    x = float(LEFT)
    for name, tone in LAYERS:
        drawing.path(f"M{x:.0f} 16h24", tone, 8)
        drawing.text(x + 32, 21, _(name), "small")
        x += 60 + 7.5 * len(_(name))
    kinds = (trace.kind == FETCH, (trace.kind != FETCH) & (trace.kind < STORE), trace.kind >= STORE)
    for (_name, tone), chosen in zip(LAYERS, kinds, strict=True):
        drawing.path(_marks(lane[chosen], time[chosen], tall), tone, max(1.5, 0.8 * tall))
    _lane_names(drawing, every[::each], tall)
    _ends(drawing, 40 + tall * lanes + 24, len(page))
    head = [_("first page"), _("pages"), _("fetches"), _("reads"), _("writes"), _("first access"), _("last access")]
    return figure(drawing, head, _lane_rows(trace, every, lane, each))


def _ends(drawing: Drawing, y: float, accesses: int) -> None:
    """The first and the last access below a picture."""
    drawing.text(LEFT, y, _("first access"), "small soft")
    drawing.text(RIGHT, y, _("access {number}").format(number=f"{accesses:,}"), "small soft end")


def _marks(lane: NDArray[np.int64], time: NDArray[np.int64], tall: float) -> str:
    """A dash for each run of columns in which a lane is touched."""
    wide = (RIGHT - LEFT) / TIMES
    cells = np.unique(lane * TIMES + time)
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(cells) != 1) | (cells[1:] % TIMES == 0)])[: len(cells)])
    ends = [*begins[1:].tolist(), len(cells)][: len(begins)]
    return "".join(
        f"M{LEFT + cells[a] % TIMES * wide:.1f} {40 + (cells[a] // TIMES + 0.5) * tall:.1f}h{(b - a) * wide:.1f}"
        for a, b in zip(begins.tolist(), ends, strict=True)
    )


def _lane_names(drawing: Drawing, firsts: NDArray[np.int64], tall: float) -> None:
    """Addresses beside the lanes, at least 16 px apart; a jump in the addresses is named first."""
    jumps = np.concatenate([[True], np.diff(firsts) > 4096])
    taken: list[float] = []
    for k in [*np.flatnonzero(jumps).tolist(), *range(len(firsts))]:
        y = 40 + (k + 0.5) * tall + 4
        if all(abs(y - other) >= 16 for other in taken):
            taken.append(y)
            drawing.text(LEFT - 10, y, say("gva", int(firsts[k]) << 12), "small code end")


def _lane_rows(trace: AddressTrace, pages: NDArray[np.int64], lane: NDArray[np.int64], each: int) -> list[list[str]]:
    order = np.arange(len(lane))
    first, last = np.full(lane.max() + 1, len(lane)), np.zeros(lane.max() + 1, np.int64)
    np.minimum.at(first, lane, order)
    np.maximum.at(last, lane, order)
    kinds = [np.bincount(lane[trace.kind == kind], minlength=len(first)) for kind in range(len(LETTERS))]
    return [
        [
            say("gva", int(pages[k * each]) << 12),
            f"{len(pages[k * each : (k + 1) * each]):,}",
            *(f"{number:,}" for number in (kinds[0][k], kinds[1][k], kinds[2][k] + kinds[3][k])),
            f"{first[k] + 1:,}",
            f"{last[k] + 1:,}",
        ]
        for k in range(len(first))
    ]


# --- curves ----------------------------------------------------------------------------------------------------------


def working_set(numbers: TraceSummary) -> str:
    """How many different pages each window of the trace touches."""
    values = numbers.working_set
    words = _("Curve over {windows} windows of {window} accesses: from {low} to {high} pages.").format(
        windows=len(values), window=f"{numbers.window:,}", low=f"{min(values):,}", high=f"{max(values):,}"
    )
    drawing = Drawing("set", _("Working set: pages touched in each window"), words, 300)
    step = (RIGHT - LEFT) / max(1, len(values))
    top = max(values)
    _axis(drawing, [(0.0, "0"), (0.5, f"{top / 2:g}"), (1.0, f"{top:,}")], _("pages of 4 KiB"))
    ys = [_y(value / top) for value in values]
    drawing.path(
        "".join(f"{'L' if k else 'M'}{LEFT + k * step:.1f} {y:.1f}h{step:.1f}" for k, y in enumerate(ys)), "data", 3
    )
    _ends(drawing, 284, numbers.accesses)
    rows = [[f"{k + 1}", f"{k * numbers.window + 1:,}", f"{value:,}"] for k, value in enumerate(values)]
    return figure(drawing, [_("window"), _("from access"), _("pages")], rows)


def hit_curve(study: Table) -> str:
    """The hit rate of TLBs of several sizes."""
    rows = list(study)
    low = min(row.hit_rate for row in rows)
    text = _("{entries} entries {rate:.3%}")
    said = ", ".join(text.format(entries=f"{row.entries:,}", rate=row.hit_rate) for row in rows)
    drawing = Drawing("tlb", _("TLB hit rate against TLB size"), _("Curve: {said}.").format(said=said), 300)
    floor = low - 0.1 * (1 - low) - 1e-9
    _axis(drawing, [(k, f"{100 * (floor + k * (1 - floor)):.2f}") for k in (0.0, 0.5, 1.0)], _("accesses that hit, %"))
    first, last = log2(rows[0].entries), log2(rows[-1].entries)
    at = [
        (
            LEFT + 20 + (RIGHT - LEFT - 60) * (log2(row.entries) - first) / max(last - first, 1),
            _y((row.hit_rate - floor) / (1 - floor)),
        )
        for row in rows
    ]
    drawing.path("".join(f"{'L' if k else 'M'}{x:.1f} {y:.1f}" for k, (x, y) in enumerate(at)), "call", 3)
    for (x, y), row in zip(at, rows, strict=True):
        drawing.rect(x - 4, y - 4, 8, 8, "bar call solid")
        drawing.text(x, 266, f"{row.entries:,}", "small middle")
    foot = _("TLB entries for each page size, one level (logarithm)")
    drawing.text((LEFT + RIGHT) / 2, 286, foot, "small middle")
    return figure(drawing, *_study_cells(study))


def _study_cells(study: Table) -> tuple[Sequence[str], list[list[str]]]:
    cells = study.cells()
    return cells[0], cells[1:]


def _axis(drawing: Drawing, ticks: Sequence[tuple[float, str]], name: str) -> None:
    drawing.text(LEFT - 10, 18, name, "small end")
    for share, label in ticks:
        drawing.path(f"M{LEFT} {_y(share):.1f}H{RIGHT}", "faint")
        drawing.text(LEFT - 10, _y(share) + 4, label, "small end")


def _y(share: float) -> float:
    """Where a share of the whole height stands, between 248 (0) and 36 (1)."""
    return 248 - 212 * share
