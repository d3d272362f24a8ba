"""Charts of studies, and the picture of who reaches which page: matplotlib, from `Figure()` objects only.

Never pyplot: inside a widget's callback it leaves half-drawn figures. A chart is a white card with dark ink in either
theme: its hatched patterns keep their contrast there, and a stored copy looks the same for every reader.

A size of one unit is one CSS pixel: 844 wide is what a notebook shows at 1280 x 720.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from hvlab.lab.study import Row, Table
from hvlab.story.topology import Layout

if TYPE_CHECKING:  # matplotlib is loaded when something is drawn, not by the import cell of a lesson
    from IPython.display import Image
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, LINE, FAINT, FAULT = "#1f1f1f", "#595959", "#767676", "#dcdcdc", "#b00020"
# ink, tint, line style, marker, hatch: each alone tells the series apart
SERIES: Final = (
    ("#005a9c", "#d6e8f7", "-", "o", "///"),
    ("#a63c00", "#fbe3d3", "--", "s", "---"),
    ("#00664a", "#d3efe5", "-.", "^", "\\\\\\"),
    ("#8a2f6f", "#f4dcec", ":", "D", "xxx"),
    ("#595959", "#e6e6e6", (0, (6, 2, 1, 2, 1, 2)), "v", "+++"),
)
WIDTH: Final = 844
STYLE: Final[Any] = {
    "svg.hashsalt": "hvlab",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold dollar signs
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 13,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 15,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "hatch.linewidth": 0.8,
}
ASSUMED: Final = "costs are assumed; printed beside the numbers"


class Chart:
    """A picture with its words: shown as a figure with alternative text, a caption and the numbers as text.

    Attributes
    ----------
    title, alt, text : what it is, what is to be seen on it, and its numbers.
    figure : the matplotlib figure.
    """

    def __init__(self, title: str, alt: str, text: str, figure: Figure) -> None:
        self.title, self.alt, self.text, self.figure = title, alt, text, figure

    def _saved(self, form: str, **more: Any) -> bytes:
        import matplotlib

        out = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(out, format=form, facecolor="white", **more)
        return out.getvalue()

    def svg(self) -> str:
        """The picture as SVG, byte for byte the same each time."""
        return self._saved("svg", metadata={"Date": None, "Creator": None}).decode()

    def image(self, scale: float = 2.0) -> Image:
        """The picture as PNG, `scale` dots a pixel, with its alternative text."""
        from IPython.display import Image

        return Image(self._saved("png", dpi=72 * scale), alt=self.alt, width=WIDTH)

    def __repr__(self) -> str:
        return f"Chart({self.title!r})"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        source = base64.b64encode(self.svg().encode()).decode()
        figure = (
            f'<figure class="hvlab-chart"><img width="{WIDTH}" alt="{escape(self.alt)}" '
            f'src="data:image/svg+xml;base64,{source}"><figcaption>{escape(self.title)}</figcaption>'
            f"<details><summary>The same as text</summary><pre>{escape(self.text)}</pre></details></figure>"
        )
        return {"text/html": figure, "text/plain": repr(self)}, {}


def drawn(title: str, alt: str, text: str, height: float, draw: Callable[[Figure], None]) -> Chart:
    """Make a figure of 844 x `height` pixels and let `draw` fill it."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
        draw(figure)
    return Chart(title, alt, text, figure)


# --- studies ---------------------------------------------------------------------------------------------------------


def hit_rates(study: Table) -> Chart:
    """Draw the hit rate against the number of TLB entries, one curve a trace: for `sweep_tlb`."""
    lines = {name: sorted(study.of(name), key=lambda row: row.entries) for name in study.traces()}

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.1, 0.15, 0.87, 0.72))
        axes.set_xscale("log", base=2)
        for (ink, _, dash, marker, _), rows in zip(_series(lines), lines.values(), strict=True):
            x, y = [row.entries for row in rows], [100 * row.hit_rate for row in rows]
            axes.plot(x, y, color=ink, linestyle=dash, marker=marker, markersize=8, linewidth=2.5, clip_on=False)
        _frame(axes, "TLB entries for each page size (log scale)", "accesses that hit, %")
        every = sorted({row.entries for rows in lines.values() for row in rows})
        axes.set_xticks(every, [f"{entries:,}" for entries in every])
        axes.minorticks_off()
        low = min(100 * row.hit_rate for rows in lines.values() for row in rows)
        axes.set_ylim(low - 0.08 * (100 - low) - 0.001, 100)
        axes.set_xlim(every[0] / 1.9, every[-1] * 1.1)
        _label(axes, [(rows[0], name) for name, rows in lines.items()], _series(lines))
        figure.suptitle("How many accesses find their translation in the TLB", x=0.02, y=0.965, ha="left", fontsize=16)

    said = "; ".join(
        f"{name} from {rows[0].hit_rate:.2%} with {rows[0].entries:,} entries to {rows[-1].hit_rate:.2%} with "
        f"{rows[-1].entries:,}"
        for name, rows in lines.items()
    )
    alt = f"Line chart: share of accesses that hit the TLB against its entries. {said}."
    return drawn("TLB hit rate against TLB size", alt, str(study), 420, draw)


def _series(names: Mapping[str, Any] | Sequence[str]) -> list[tuple[Any, ...]]:
    return [SERIES[k % len(SERIES)] for k in range(len(names))]


def _frame(axes: Axes, x: str, y: str) -> None:
    axes.grid(True, axis="y")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.tick_params(labelsize=13, length=4)


def _label(axes: Axes, firsts: list[tuple[Row, str]], series: list[tuple[Any, ...]]) -> None:
    """Write each curve's name left of its first point; names that would meet are moved apart."""
    low, high = axes.get_ylim()
    apart = 18 / (0.72 * 420) * (high - low)
    order = sorted(range(len(firsts)), key=lambda k: firsts[k][0].hit_rate)
    at = [100 * firsts[k][0].hit_rate for k in order]
    for k in range(1, len(at)):
        at[k] = max(at[k], at[k - 1] + apart)
    over = max(0.0, at[-1] - (high - apart / 2))
    at[-1] -= over
    for k in reversed(range(len(at) - 1)):
        at[k] = min(at[k], at[k + 1] - apart)
    for place, k in zip(at, order, strict=True):
        row, name = firsts[k]
        axes.annotate(
            f"{name} ", (row.entries / 1.06, place), ha="right", va="center", color=series[k][0], fontweight="bold"
        )


def costs(study: Table) -> Chart:
    """Draw table reads and simulated time against the page sizes, one bar a trace: for `sweep_pages` and `study`."""
    names = study.traces()
    groups = list(dict.fromkeys(row.pages for row in study))

    def draw(figure: Figure) -> None:
        measures = (
            ("reads_per_1000", "table reads\nfor 1,000 accesses"),
            ("ns_per_1000", "simulated ns\nfor 1,000 accesses"),
        )
        for k, (measure, words) in enumerate(measures):
            axes = figure.add_axes((0.12, 0.54 - 0.43 * k, 0.865, 0.33))
            _bars(axes, study, names, groups, measure)
            _frame(axes, "" if k == 0 else f"page size: guest / second level ({ASSUMED})", words)
            axes.set_xticks(range(len(groups)), groups if k else [""] * len(groups))
        figure.suptitle("What translation costs, by page size (log scales)", x=0.02, y=0.975, ha="left", fontsize=16)
        from matplotlib.patches import Rectangle

        patches = [
            Rectangle((0, 0), 1, 1, facecolor=tint, edgecolor=ink, hatch=hatch)
            for ink, tint, _, _, hatch in _series(names)
        ]
        figure.legend(patches, names, loc="upper right", bbox_to_anchor=(0.985, 0.985), ncols=len(names), frameon=False)

    parts = []
    for name in names:
        rows = study.of(name)
        most, least = max(rows, key=lambda row: row.reads), min(rows, key=lambda row: row.reads)
        parts.append(
            f"{name} from {most.reads_per_1000:.2f} table reads for 1,000 accesses with {most.pages} to "
            f"{least.reads_per_1000:.2f} with {least.pages}"
        )
    alt = f"Two bar charts: table reads and simulated time for 1,000 accesses, by page size. {'; '.join(parts)}."
    return drawn("Cost of translation against page size", alt, str(study), 480, draw)


def _bars(axes: Axes, study: Table, names: Sequence[str], groups: Sequence[str], measure: str) -> None:
    values = {(row.trace, row.pages): getattr(row, measure) for row in study}
    axes.set_yscale("log")
    floor = min((value for value in values.values() if value > 0), default=1.0) / 2
    wide = 0.84 / len(names)
    for k, ((ink, tint, _, _, hatch), name) in enumerate(zip(_series(names), names, strict=True)):
        places = [at + (k - (len(names) - 1) / 2) * wide for at in range(len(groups))]
        heights = [max(values.get((name, group), 0), floor) for group in groups]
        axes.bar(places, heights, wide * 0.92, bottom=0, facecolor=tint, edgecolor=ink, hatch=hatch, linewidth=1.2)
        for place, height, group in zip(places, heights, groups, strict=True):
            value = values.get((name, group), 0)
            axes.annotate(_short(value), (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=12)
    axes.set_ylim(floor, max(*values.values(), 2 * floor) * 4)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    low, high = axes.get_ylim()
    decades = [10.0**k for k in range(-9, 13) if low <= 10.0**k <= high]
    axes.set_yticks(decades, [f"{value:,.9g}" for value in decades])
    axes.minorticks_off()


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def reachability(layout: Layout) -> Chart:
    """Draw who reaches which pages: partitions, the guest physical ranges they have, the pages behind these."""
    from hvlab.view.reach import chart

    return chart(layout)
