"""The picture of reachability: partition, guest physical pages, the pages behind them in their owner's pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, RegularPolygon

from hvlab.story.topology import (
    HYPERVISOR,
    Layout,
    Path,
    graph,
    isolation,
    owner_of,
    spell,
    table,
    verdict,
    ways,
)
from hvlab.trace.words import say
from hvlab.view.figures import FAULT, INK, LINE, SERIES, SOFT, WIDTH, Chart, drawn

PITCH, TALL = 46, 38
LEFT, MIDDLE, RIGHT = (8, 116), (176, 262), (526, 310)  # where each column begins, and its width
NOBODY: Final = ("#595959", "#e6e6e6", "xxx")  # pattern of the hypervisor's pages
MOST_ROWS: Final = 200
SOUND: Final = "No path leads where it should not."
Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Pages:
    """Pages that have the same owner, the same share record and the same use; `confines` is a partition's id or 0."""

    owner: int
    confines: int
    sharer: int
    rights: int


@dataclass(frozen=True)
class Link:
    """What one partition has of one group of pages; `wrong` says why it should not."""

    partition: int
    pages: Pages
    rights: int
    wrong: str


def chart(layout: Layout) -> Chart:
    """Draw a layout."""
    groups, links = grouped(layout)
    broken = isolation(layout)
    height = 84 + PITCH * max(len(groups), len(links), len(layout.names))
    verdicts = {0: SOUND, 1: "1 path should not be there."}.get(
        len(broken), f"{len(broken)} paths should not be there."
    )

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        axes.axis("off")
        _heads(axes, verdicts, bool(broken))
        _draw(axes, layout, groups, links)

    alt = f"Who reaches which page: {_said(layout, links)}. {verdicts}"
    return drawn("Who reaches which page, by which path", alt, _text(layout, broken), height, draw)


def _said(layout: Layout, links: dict[Link, tuple[Path, ...]]) -> str:
    """The picture in words."""
    parts = []
    for number, _ in layout.names:
        found = [
            f"{_count(paths)} of {_whose(layout, link.pages)}"
            for link, paths in links.items()
            if link.partition == number
        ]
        parts.append(f"{layout.name(number)} reaches {', '.join(found) or 'nothing'}")
    return "; ".join(parts)


def _text(layout: Layout, broken: list[str]) -> str:
    """The paths as a table of text, and what is wrong with them."""
    rows = table(layout)
    shown = rows[: MOST_ROWS + 1]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in shown]
    more = [f"and {len(rows) - len(shown):,} more rows"] if len(rows) > len(shown) else []
    return "\n".join([*lines, *more, "", *(broken[:MOST_ROWS] or [SOUND])])


def grouped(layout: Layout) -> tuple[dict[Pages, Runs], dict[Link, tuple[Path, ...]]]:
    """Pages that are alike, with their runs; and the paths of each partition to each group."""
    groups: dict[Pages, list[tuple[int, int]]] = {}
    of: dict[int, Pages] = {}
    nodes = sorted(node for node in graph(layout) if node[0] == "page")
    for _, spn, pages in nodes:
        of[spn] = _alike(layout, spn)
        groups.setdefault(of[spn], []).append((spn, pages))
    links: dict[Link, list[Path]] = {}
    for partition, _ in layout.names:
        for path in ways(layout, partition):
            if path.gvn is None:
                link = Link(partition, of[path.spn], path.rights, verdict(layout, path).partition(":")[0])
                links.setdefault(link, []).append(path)
    order = sorted(links, key=lambda link: ([i for i, _ in layout.names].index(link.partition), links[link][0].gpn))
    return {key: _joined(runs) for key, runs in groups.items()}, {link: tuple(links[link]) for link in order}


def _alike(layout: Layout, spn: int) -> Pages:
    owner = owner_of(layout, spn)
    confines = next((one.partition for one in layout.tables if one.spn <= spn < one.spn + one.pages), 0)
    share = next((one for one in layout.shares if one.spn <= spn < one.spn + one.pages), None)
    return Pages(-1 if owner is None else owner, confines, share.sharer if share else 0, share.rights if share else 0)


def _joined(runs: list[tuple[int, int]]) -> Runs:
    """Runs that follow each other, as one."""
    found: list[tuple[int, int]] = []
    for start, pages in sorted(runs):
        if found and sum(found[-1]) == start:
            found[-1] = (found[-1][0], found[-1][1] + pages)
        else:
            found.append((start, pages))
    return tuple(found)


def _count(paths: tuple[Path, ...]) -> str:
    pages = sum(path.pages for path in paths)
    return f"{pages:,} page{'s' if pages != 1 else ''} ({spell(paths[0].rights)})"


def _whose(layout: Layout, pages: Pages) -> str:
    return "no memory" if pages.owner < 0 else layout.name(pages.owner)


def _pattern(layout: Layout, owner: int) -> tuple[str, str, str]:
    if owner <= HYPERVISOR:
        return NOBODY
    place = [number for number, _ in layout.names].index(owner) if owner in dict(layout.names) else 0
    ink, tint, _, _, hatch = SERIES[place % (len(SERIES) - 1)]
    return ink, tint, hatch


def _heads(axes: Axes, verdicts: str, broken: bool) -> None:
    axes.text(8, 24, "Who reaches which page", fontsize=16, va="center")
    axes.text(
        WIDTH - 8, 24, verdicts, fontsize=13, ha="right", va="center", color=FAULT if broken else INK, fontweight="bold"
    )
    for (x, _), words in zip(
        (LEFT, MIDDLE, RIGHT), ("partition", "maps (second level)", "pages, in their owner's pattern"), strict=True
    ):
        axes.text(x, 58, words, fontsize=13, va="center", color=SOFT)


def _draw(axes: Axes, layout: Layout, groups: dict[Pages, Runs], links: dict[Link, tuple[Path, ...]]) -> None:
    rows = {key: 76 + PITCH * k for k, key in enumerate(groups)}
    places: dict[int, list[int]] = {number: [] for number, _ in layout.names}
    for k, (link, paths) in enumerate(links.items()):
        y = 76 + PITCH * k
        places[link.partition].append(y)
        _link(axes, link, y, rows[link.pages], paths)
    after = 76 + PITCH * len(links)
    for number, _ in layout.names:
        spots = places[number]
        top = spots[0] if spots else after
        after += 0 if spots else PITCH
        ink, tint, hatch = _pattern(layout, number)
        low = spots[-1] + TALL if spots else top + TALL
        axes.add_patch(Rectangle((LEFT[0], top), 14, low - top, facecolor=tint, edgecolor=ink, hatch=hatch))
        axes.add_patch(Rectangle((LEFT[0], top), LEFT[1], low - top, facecolor="none", edgecolor=ink, linewidth=2))
        axes.text(
            LEFT[0] + 22, (top + low) / 2, _cut(layout.name(number), 12), fontsize=13, va="center", fontweight="bold"
        )
        for y in spots:
            axes.plot([sum(LEFT), MIDDLE[0]], [y + TALL / 2] * 2, color=LINE, linewidth=1)
    for key, runs in groups.items():
        _group(axes, layout, key, rows[key], runs)


def _link(axes: Axes, link: Link, y: float, target: float, paths: tuple[Path, ...]) -> None:
    ink = FAULT if link.wrong else LINE
    pages = sum(path.pages for path in paths)
    runs = _joined([(path.gpn, path.pages) for path in paths])
    box = Rectangle((MIDDLE[0], y), MIDDLE[1], TALL, facecolor="white", edgecolor=ink, linewidth=2 if link.wrong else 1)
    axes.add_patch(box)
    axes.text(MIDDLE[0] + 8, y + 12, _range("gpa", runs), fontsize=12, va="center")
    axes.text(
        MIDDLE[0] + 8,
        y + 28,
        f"{pages:,} page{'s' if pages != 1 else ''}, {spell(link.rights)}",
        fontsize=12,
        va="center",
    )
    style = {"linewidth": 2.5, "linestyle": (0, (5, 3))} if link.wrong else {"linewidth": 1.5}
    axes.plot([sum(MIDDLE), RIGHT[0]], [y + TALL / 2, target + TALL / 2], color=ink if link.wrong else INK, **style)
    if link.wrong:
        spot = (sum(MIDDLE) - 20, y + TALL / 2)
        axes.add_patch(RegularPolygon(spot, 8, radius=13, orientation=0.3927, facecolor=FAULT, edgecolor=FAULT))
        axes.text(*spot, "×", fontsize=16, color="white", ha="center", va="center", fontweight="bold")


def _group(axes: Axes, layout: Layout, key: Pages, y: float, runs: Runs) -> None:
    ink, tint, hatch = _pattern(layout, key.owner)
    axes.add_patch(Rectangle((RIGHT[0], y), 26, TALL, facecolor=tint, edgecolor=ink, hatch=hatch))
    axes.add_patch(Rectangle((RIGHT[0], y), RIGHT[1], TALL, facecolor="none", edgecolor=ink, linewidth=1.5))
    pages = sum(pages for _, pages in runs)
    whose = f"{pages:,} of {_cut(_whose(layout, key), 14)}"
    if key.confines:
        whose = f"{pages:,}: tables that confine {_cut(layout.name(key.confines), 12)}"
    elif key.sharer:
        whose += f"; {_cut(layout.name(key.sharer), 12)} may {spell(key.rights)}"
    axes.text(RIGHT[0] + 34, y + 12, _range("spa", runs), fontsize=12, va="center")
    axes.text(RIGHT[0] + 34, y + 28, whose, fontsize=12, va="center")


def _range(kind: str, runs: Runs) -> str:
    first, last = runs[0][0] << 12, (sum(runs[-1]) << 12) - 1
    text = f"{kind.upper()} {say(kind, first)} – {say(kind, last)}"
    return text if len(runs) == 1 else f"{kind.upper()} {say(kind, first)} and on, {len(runs):,} runs"


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
