"""Charts of the lessons' sweeps: what one knob does to all of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hvlab.lab.slices import AIM, Slices
from hvlab.lab.spread import LEVELS, Spreads, size
from hvlab.language import _
from hvlab.trace.words import say
from hvlab.view.figures import FAULT, INK, SERIES, Chart, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MICRO: Final = 1000  # nanoseconds
KIB: Final = 1024


def slice_stays(sweep: Slices) -> Chart:
    """Draw longest stay in the hypervisor and whole time against the elements of a slice: for `sweep_slices`."""
    rows = sorted(sweep.rows, key=lambda row: row.limit or row.reps)
    x = [row.limit or row.reps for row in rows]
    names = [str(row.limit) if row.limit else _("all {reps}").format(reps=row.reps) for row in rows]

    def draw(figure: Figure) -> None:
        stay = figure.add_axes((0.1, 0.55, 0.86, 0.33))
        whole = figure.add_axes((0.1, 0.14, 0.86, 0.33))
        _line(stay, x, [row.longest / MICRO for row in rows], 0)
        _line(whole, x, [row.total / MICRO for row in rows], 1)
        stay.axhline(AIM / MICRO, color=FAULT, linestyle=(0, (5, 3)), linewidth=1.5)
        stay.annotate(
            _("aim: {time}").format(time=say("time", AIM)), (x[0], AIM / MICRO), (0, 4), textcoords="offset points",
            color=FAULT, fontweight="bold",
        )  # fmt: skip
        stay.set_ylabel(_("longest stay, µs"))
        whole.set_ylabel(_("all of it, µs"))
        stay.set_xticks(x, [""] * len(x))
        whole.set_xticks(x, names)
        whole.set_xlabel(_("elements that the hypervisor does before the guest runs again (log scale)"))
        figure.suptitle(_("Short stays cost entries, long stays make the guest wait"), x=0.02, y=0.97, ha="left",
                        fontsize=16)  # fmt: skip

    told = "; ".join(
        _("{name}: longest stay {stay}, in all {total}").format(
            name=name, stay=say("time", row.longest), total=say("time", row.total)
        )
        for name, row in zip(names, rows, strict=True)
    )
    alt = _("Two line charts against the elements of a slice. {told}. The aim of {aim} is a dashed line.").format(
        told=told, aim=say("time", AIM)
    )
    return drawn(_("A long call in slices"), alt, repr(sweep), 430, draw)


def _line(axes: Axes, x: list[int], y: list[float], series: int) -> None:
    ink, _tint, dash, marker, _hatch = SERIES[series]
    axes.set_xscale("log", base=2)
    axes.plot(x, y, color=ink, linestyle=dash, marker=marker, markersize=8, linewidth=2.5, clip_on=False)
    axes.grid(True, axis="y")
    top = max(y) * 1.15
    axes.set_ylim(0, top)
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
    axes.set_xlim(x[0] / 1.2, x[-1] * 1.2)
    axes.minorticks_off()
    axes.tick_params(labelsize=13, length=4)


def table_memory(sweep: Spreads) -> Chart:
    """Draw the memory that page tables take against the distance of the pages, by level: for `sweep_spread`."""
    rows = sweep.rows
    data = rows[0].pages * 4

    def draw(figure: Figure) -> None:
        from matplotlib.patches import Rectangle

        axes = figure.add_axes((0.1, 0.15, 0.86, 0.68))
        for k, row in enumerate(rows):
            _stack(axes, k, row.tables)
            axes.annotate(size(4 * KIB * sum(row.tables)), (k, 4 * sum(row.tables)), (0, 4),
                          textcoords="offset points", ha="center", fontsize=12)  # fmt: skip
        axes.axhline(data, color=INK, linestyle=(0, (5, 3)), linewidth=1.5)
        axes.annotate(
            _("the {pages} pages\nthemselves: {size}").format(pages=rows[0].pages, size=size(data * KIB)),
            (-0.45, data), (0, 4), textcoords="offset points", fontweight="bold",
        )  # fmt: skip
        axes.set_xticks(range(len(rows)), [size(row.apart) for row in rows])
        axes.set_xlabel(_("distance from one page to the next"))
        axes.set_ylabel(_("memory for tables, KiB"))
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_ylim(0, max(data, 4 * max(sum(row.tables) for row in rows)) * 1.12)
        axes.grid(True, axis="y")
        axes.tick_params(labelsize=13, length=4)
        patches = [Rectangle((0, 0), 1, 1, facecolor=SERIES[k][1], edgecolor=SERIES[k][0], hatch=SERIES[k][4])
                   for k in range(len(LEVELS))]  # fmt: skip
        words = [_("level {level}").format(level=level) for level in LEVELS]
        figure.legend(patches, words, loc="upper left", bbox_to_anchor=(0.09, 0.93), ncols=4, frameon=False)
        figure.suptitle(_("What page tables take, by how far apart pages are"), x=0.02, y=0.97, ha="left", fontsize=16)

    told = "; ".join(f"{size(row.apart)}: {size(row.bytes)}" for row in rows)
    alt = _("Bars: memory for the tables of {pages} pages, by their distance. {told}.").format(
        pages=rows[0].pages, told=told
    )
    return drawn(_("Memory for page tables"), alt, repr(sweep), 420, draw)


def _stack(axes: Axes, place: int, tables: tuple[int, ...]) -> None:
    """One bar, its levels one above the other, the top level lowest."""
    low = 0
    for (ink, tint, _dash, _marker, hatch), count in zip(SERIES, tables, strict=False):
        axes.bar(place, 4 * count, 0.62, bottom=low, facecolor=tint, edgecolor=ink, hatch=hatch, linewidth=1.2)
        low += 4 * count
