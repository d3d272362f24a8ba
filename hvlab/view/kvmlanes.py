"""Pictures of a trace of KVM's Hyper-V events: who did what when, as lanes; and a few events, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.capture.kvmlog import KvmEvent, KvmLog, event_words
from hvlab.language import _
from hvlab.view.drawing import Drawing, figure

COLUMNS: Final = 160
MOST_VPS: Final = 4
MOST_CLOSE: Final = 24
LEFT, RIGHT, TOTAL = 190, 770, 836
LANE, TALL = 30, 22


@dataclass(frozen=True)
class Lane:
    """A place and a kind of event: what a guest does on a virtual processor, or what KVM does for it."""

    name: str
    vp: int
    kind: str
    guest: bool

    @property
    def look(self) -> tuple[str, str]:
        """Class and hatch: what the guest does is striped, what KVM does is filled."""
        return ("bar call", "stripes") if self.guest else ("bar signal solid", "")


def kvm_lanes(log: KvmLog) -> Iterator[str]:
    """Yield the lanes of a trace, whole and at its beginning; nothing if the guest did nothing."""
    lane_of = _places(log)
    mine = [event for event in log.events if event.by_guest and lane_of(event) is not None]
    if mine:
        yield _whole(mine, lane_of)
        yield _close(mine, lane_of)


def _places(log: KvmLog) -> Callable[[KvmEvent], Lane | None]:
    """Return which lane an event is in; None for what says the same as another event."""
    runs = log.runners()
    says = {kind: (name, guest) for kind, name, guest in _kinds()}

    def lane(event: KvmEvent) -> Lane | None:
        if event.kind not in says:
            return None
        name, guest = says[event.kind]
        vp = event.vcpu if event.vcpu >= 0 else runs.get(event.task, -1)
        return Lane(f"VP {vp}: {name}" if vp >= 0 else name, vp, event.kind, guest)

    return lane


def _kinds() -> tuple[tuple[str, str, bool], ...]:
    """Kinds of events in the order of their lanes: the trace point, in words, and whether the guest does it."""
    return (
        ("synic_set_msr", _("writes a register"), True),
        ("stimer_set_count", _("sets a timer"), True),
        ("hypercall", _("makes a hypercall"), True),
        ("stimer_expiration", _("timer expires"), False),
        ("synic_set_irq", _("SINT is raised"), False),
        ("notify_acked_sint", _("SINT ends"), False),
    )


def _sorted(events: Sequence[KvmEvent], lane_of: Callable[[KvmEvent], Lane | None]) -> dict[Lane, list[KvmEvent]]:
    """The events of each lane; the lanes of one virtual processor stand together."""
    found: dict[Lane, list[KvmEvent]] = {}
    for event in events:
        if (one := lane_of(event)) is not None:
            found.setdefault(one, []).append(event)
    order = [kind for kind, _name, _guest in _kinds()]
    return {one: found[one] for one in sorted(found, key=lambda one: (one.vp, order.index(one.kind)))}


def _whole(events: Sequence[KvmEvent], lane_of: Callable[[KvmEvent], Lane | None]) -> str:
    """Every event of the guest's time: a bar for each column of time and lane."""
    every = _sorted(events, lane_of)
    place = {one: of for one, of in every.items() if one.vp < MOST_VPS}
    begin, span = events[0].seconds, max(events[-1].seconds - events[0].seconds, 1e-6)
    parts = ", ".join(f"{one.name} {len(of):,}" for one, of in place.items())
    words = _("{lanes} lanes over {span} s, from the guest's first event on. Events: {parts}.")
    said = words.format(lanes=len(place), span=f"{span:.1f}", parts=parts)
    drawing = Drawing("lanes", _("What happened when"), said, 46 + LANE * len(place) + 26)
    _key(drawing)
    rows = []
    for k, (one, of) in enumerate(place.items()):
        high = Counter(min(int((event.seconds - begin) / span * COLUMNS), COLUMNS - 1) for event in of)
        _bars(drawing, 46 + LANE * k, one, high)
        told = [f"{event.seconds - begin:.3f} s" for event in (of[0], of[-1])]
        rows.append([one.name, f"{len(of):,}", *told, f"{max(high.values()):,}"])
    base = 46 + LANE * len(place) + 18
    drawing.text(LEFT, base, "0 s", "small soft")
    drawing.text(RIGHT, base, f"{span:.1f} s", "small soft end")
    head = [_("lane"), _("events"), _("first"), _("last"), _("most in {wide} s").format(wide=f"{span / COLUMNS:.2f}")]
    return figure(drawing, head, rows, len(every) - len(place))


def _key(drawing: Drawing) -> None:
    drawing.rect(LEFT, 8, 24, 14, "bar call", "stripes")
    drawing.text(LEFT + 32, 20, _("the guest does it"), "small")
    drawing.rect(LEFT + 190, 8, 24, 14, "bar signal solid")
    drawing.text(LEFT + 222, 20, _("KVM does it for the guest"), "small")
    drawing.text(TOTAL, 20, _("in all"), "small end")


def _bars(drawing: Drawing, y: float, lane: Lane, high: Counter[int]) -> None:
    """One lane: its name, a bar for each column that has events, how many there are."""
    floor, wide, most = y + TALL, (RIGHT - LEFT) / COLUMNS, max(high.values())
    drawing.text(LEFT - 10, floor - 5, lane.name, "small end", 32)
    drawing.text(TOTAL, floor - 5, f"{sum(high.values()):,}", "small end")
    drawing.path(f"M{LEFT} {floor}H{RIGHT}", "faint")
    d = "".join(
        f"M{LEFT + column * wide:.1f} {floor}v{-max(4, TALL * count / most):.1f}h{wide:.1f}V{floor}"
        for column, count in sorted(high.items())
    )
    look, hatch = lane.look
    drawing.area(d, look, hatch)


def _close(events: Sequence[KvmEvent], lane_of: Callable[[KvmEvent], Lane | None]) -> str:
    """A few events from the guest's first SynIC register on, one column each: what follows what can be read."""
    first = next((k for k, event in enumerate(events) if event.kind == "synic_set_msr"), 0)
    shown = events[first : first + MOST_CLOSE]
    lanes = list(_sorted(shown, lane_of))
    begin, wide = shown[0].seconds, (TOTAL - LEFT) / MOST_CLOSE
    synic = shown[0].kind == "synic_set_msr"
    what = _("{count} events from the guest's first SynIC register on") if synic else _("The first {count} events")
    title = what.format(count=len(shown))
    words = _("{count} events in their order, from left to right, not to scale; each has its number.")
    drawing = Drawing("close", title, words.format(count=len(shown)), 12 + LANE * len(lanes))
    for k, one in enumerate(lanes):
        drawing.text(LEFT - 10, 25 + LANE * k, one.name, "small end", 32)
        drawing.path(f"M{LEFT} {21 + LANE * k}H{TOTAL}", "faint")
    rows = []
    for k, event in enumerate(shown):
        its = lane_of(event)
        assert its is not None
        x, y = LEFT + (k + 0.5) * wide, 21 + LANE * lanes.index(its)
        drawing.rect(x - 11, y - 10, 22, 20, f"box {'call' if its.guest else 'signal'}")
        drawing.text(x, y + 4.5, f"{k + 1}", "small middle")
        rows.append([f"{k + 1}", f"{event.seconds - begin:.6f} s", its.name, event_words(event)])
    return figure(drawing, [_("number"), _("after"), _("lane"), _("what")], rows, len(events) - len(shown))
