"""What it costs to wake a reader: the same arrivals under three rules, side by side.

    bells = doorbells(seed=1); show(bells); bells.prices

``always``: a signal for each packet. ``empty``: only where the ring was empty (Linux, openvmm). ``monitor``: no entry
into the hypervisor; a bit in a page that is looked at when the latency is over. A host that throttles does not listen
for a while to a guest whose signals nobody needed.

SIMPLER THAN REAL: packets of one burst are written before anybody else runs; the host reads as soon as it runs.
SIMPLER THAN REAL: to a guest that rings for nothing the host does not listen for a while; Hyper-V suspends the guest.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hvlab.lab.bus import Bus, Run
from hvlab.story.bells import Prices, bells, prices
from hvlab.story.storyboard import Storyboard

Arrival = tuple[int, tuple[int, ...]]  # microseconds since the last burst, and the bytes of each packet of this one


@dataclass(frozen=True)
class Tally:
    """What came of the arrivals under one rule.

    Attributes
    ----------
    packets, signals, saved : int
        Packets that were written; doorbells rung; doorbells that were not needed.
    triggers, found : int
        Bits set in the monitor page; bits that were found there.
    entries : int
        How often the guest entered the hypervisor to wake the host.
    interrupts : int
        Interrupts that the host took.
    throttled : int
        How often the host stopped listening.
    wait, longest : int
        Nanoseconds from writing a packet to reading it: on average, and at most.
    run : Run
    """

    rule: str
    packets: int
    signals: int
    saved: int
    triggers: int
    found: int
    entries: int
    interrupts: int
    throttled: int
    wait: int
    longest: int
    run: Run = field(repr=False)


@dataclass(frozen=True)
class Doorbells:
    """What each rule makes of the same arrivals.

    Attributes
    ----------
    tallies : dict
        Rule -> what came of it, with its run.
    """

    tallies: dict[str, Tally]

    @property
    def story(self) -> Storyboard:
        """All of them on one clock."""
        return bells(self.tallies)

    @property
    def prices(self) -> Prices:
        """What each rule cost."""
        return prices(self.tallies)

    def __repr__(self) -> str:
        return repr(self.prices)


def arrivals(seed: int = 0, bursts: int = 20, most: int = 8, gap: int = 50, size: int = 200) -> list[Arrival]:
    """Return bursts of up to `most` packets, `gap` microseconds apart on average, each packet of up to `size` bytes."""
    luck = random.Random(seed)
    return [
        (luck.randrange(0, 2 * gap + 1), tuple(luck.randrange(8, size + 1) for _ in range(luck.randrange(1, most + 1))))
        for _ in range(bursts)
    ]


def under(rule: str, given: Sequence[Arrival], latency: int = 100, throttle: tuple[int, int] | None = None) -> Tally:
    """Let the arrivals come under one rule; `latency` and the second number of `throttle` in microseconds."""
    bus = Bus(devices=("net",), rule=rule, latency=latency, throttle=throttle, pages=256)
    bus.connect()
    bus.offers()
    bus.open("net", pages=(9, 3))
    run = bus.wait(0)
    for gap, sizes in given:
        run += bus.wait(gap)
        run += bus.write_all([bytes(size) for size in sizes])
    run += bus.wait(latency + (throttle[1] if throttle else 0) + 1)
    return _tally(bus, rule, run)


def doorbells(
    seed: int = 1,
    bursts: int = 8,
    most: int = 5,
    gap: int = 60,
    latency: int = 100,
    throttle: tuple[int, int] | None = (6, 150),
) -> Doorbells:
    """Let the same bursts of packets come under each rule; the words are those of `arrivals` and `under`."""
    given = arrivals(seed, bursts, most, gap)
    return Doorbells({rule: under(rule, given, latency, throttle) for rule in ("always", "empty", "monitor")})


def _tally(bus: Bus, rule: str, run: Run) -> Tally:
    trace, kinds = run.trace, run.trace.kinds()
    root = bus.machine.root_vp.number
    when: dict[str, list[int]] = {"packet_written": [], "packet_read": []}
    counts = dict.fromkeys(("doorbell_rung", "doorbell_saved", "trigger_set", "trigger_found", "guest_throttled"), 0)
    entries = interrupts = 0
    for k, name in enumerate(kinds):
        actor = int(trace.rows[k, 2])
        if name in when and trace.fact(k, "ring") == 1:
            when[name].append(int(trace.rows[k, 1]))
        elif name in counts:
            counts[name] += 1
        elif name == "hypercall_entered":
            entries += actor != root
        elif name == "vector_delivered":
            interrupts += actor == root
    waits = [read - written for written, read in zip(*when.values(), strict=False)]
    return Tally(
        rule,
        len(when["packet_written"]),
        counts["doorbell_rung"],
        counts["doorbell_saved"],
        counts["trigger_set"],
        counts["trigger_found"],
        entries,
        interrupts,
        counts["guest_throttled"],
        sum(waits) // max(len(waits), 1),
        max(waits, default=0),
        run,
    )
