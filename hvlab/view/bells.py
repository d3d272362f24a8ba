"""A chart of what each rule of signalling costs: entries, waiting, and how long the host does not listen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hvlab.language import N_, _
from hvlab.story.bells import Price, Prices
from hvlab.trace.words import say
from hvlab.view.figures import SERIES, Chart, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MICRO: Final = 1000
PANELS: Final = (
    (N_("signals that enter\nthe hypervisor"), ("entries",)),
    (N_("a packet waits, µs:\non average, at most"), ("mean", "longest")),
    (N_("the host does\nnot listen, µs"), ("deaf",)),
)


def bell_prices(what: Any) -> Chart:
    """Draw what each rule cost for the same packets: for what `doorbells` gave, or `prices`."""
    costs: Prices = getattr(what, "prices", what)

    def draw(figure: Figure) -> None:
        left = 0.11
        for title, names in PANELS:
            axes = figure.add_axes((left, 0.08, 0.24, 0.64))
            _bars(axes, costs, names)
            axes.set_title(_(title), loc="left", fontsize=13, fontweight="normal")
            axes.set_yticks(range(len(costs.rules)), costs.rules if left < 0.2 else [""] * len(costs.rules))
            left += 0.30
        figure.suptitle(_("The same {packets} packets, by the rule that rings").format(packets=costs.rows[0].packets),
                        x=0.02, y=0.97, ha="left", fontsize=16)  # fmt: skip

    told = "; ".join(
        _("{rule}: {entries} entries, a packet waits {mean} on average and {longest} at most, not listened to {deaf}")
        .format(rule=rule, entries=row.entries, mean=say("time", row.mean), longest=say("time", row.longest),
                deaf=say("time", row.deaf))
        for rule, row in zip(costs.rules, costs.rows, strict=True)
    )  # fmt: skip
    alt = _("Three bar charts, a bar for each rule. {told}.").format(told=told)
    return drawn(_("What a doorbell costs"), alt, repr(costs), 120 + 90 * len(costs.rules), draw)


def _bars(axes: Axes, costs: Prices, names: tuple[str, ...]) -> None:
    """One measure: a bar for each rule, two of them where there are a mean and a longest."""
    high = 0.62 / len(names)
    values = [[_value(row, name) for row in costs.rows] for name in names]
    most = max(max(one) for one in values) or 1
    for k, (name, row) in enumerate(zip(names, values, strict=True)):
        for place, value in enumerate(row):
            ink, tint, _dash, _marker, hatch = SERIES[place % len(SERIES)]
            at = place + (k - (len(names) - 1) / 2) * high
            axes.barh(at, value, high * 0.9, facecolor=tint, edgecolor=ink, hatch=hatch, linewidth=1.2)
            text = f"{value:g}" if name == "entries" else f"{value:,.1f}"
            axes.annotate(text, (value, at), (4, 0), textcoords="offset points", va="center", fontsize=12)
    axes.set_xlim(0, most * 1.35)
    axes.set_ylim(len(costs.rules) - 0.5, -0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(labelsize=13, length=0)


def _value(row: Price, name: str) -> float:
    found: int = getattr(row, name)
    return found if name == "entries" else found / MICRO
