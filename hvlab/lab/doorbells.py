"""The same packets under three rules of signalling: how often the hypervisor is entered, and how long packets wait.

In a burst the host is awake: its mask is set, and it reads by itself what is there. A guest that signals all the same
wakes nobody, and a host that counts such signals stops listening to it for a while. Between bursts the host sleeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.errors import BadRequest
from hvlab.lab.bus import RULES, Bus, Run
from hvlab.story.bells import Prices, bells, prices
from hvlab.story.storyboard import Storyboard

DATA: Final = b"x" * 40
ARRIVALS: Final = ((0, 1), (40, 3), (120, 1), (400, 4), (480, 1))  # microseconds, packets: the host sleeps
BURSTS: Final = ((200, 12, 10),)  # microseconds, packets, microseconds between them: the host is awake
AFTER: Final = 300  # microseconds that are waited in the end
STEP: Final = 10  # microseconds after which a host that does not listen looks whether its time is over


@dataclass(frozen=True)
class Doorbells:
    """The runs of several rules with the same packets.

    Attributes
    ----------
    runs : dict
        Rule -> run.
    """

    runs: dict[str, Run]

    @property
    def story(self) -> Storyboard:
        """All of them on one clock."""
        return bells(self.runs)

    @property
    def prices(self) -> Prices:
        """What each rule cost."""
        return prices(self.runs)

    def __repr__(self) -> str:
        return repr(self.prices)


def doorbells(
    rules: Sequence[str] = ("always", "empty", "monitor"),
    arrivals: Sequence[tuple[int, int]] = ARRIVALS,
    bursts: Sequence[tuple[int, int, int]] = BURSTS,
    throttle: tuple[int, int] | None = (6, 250),
    latency: int = 100,
) -> Doorbells:
    """Send the same packets at the same times under each rule.

    Parameters
    ----------
    rules
        Of `hvlab.lab.bus.RULES`.
    arrivals
        (microseconds since the beginning, packets) while the host sleeps.
    bursts
        (microseconds since the beginning, packets, microseconds between two of them) while it is awake.
    throttle
        (signals that nobody needed, microseconds for which the host does not listen then), or None.
    latency
        How long a trigger of the monitor page may wait, in microseconds.

    Raises
    ------
    BadRequest
        For an unknown rule, or nothing to send.
    """
    if not set(rules) <= set(RULES) or not rules or not (arrivals or bursts):
        raise BadRequest(f"the rules {', '.join(rules)}", f"{len(arrivals) + len(bursts)} arrivals", ", ".join(RULES))
    todo = sorted([*((at, count, False) for at, count in arrivals), *_spread(bursts)])
    return Doorbells({rule: _played(rule, todo, throttle, latency) for rule in rules})


def _spread(bursts: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, bool]]:
    for at, count, apart in bursts:
        yield from ((at + apart * k, 1, True) for k in range(count))


def _played(rule: str, todo: Sequence[tuple[int, int, bool]], throttle: tuple[int, int] | None, latency: int) -> Run:
    """Play one rule."""
    one = Office(rule=rule, throttle=throttle, latency=latency, devices=("scsi",))
    for step in (one.connect, one.offers, one.open):
        step()
    begin, run, awake = _now(one), None, False
    for at, count, reads in todo:
        parts = list(_until(one, begin + 1000 * at))
        if reads != awake:
            parts.append(one.sleep() if awake else one.mask(True))
            awake = reads
        parts.append(one.burst() if reads else one.send(DATA, times=count))
        for part in parts:
            run = part if run is None else run + part
    assert run is not None
    for part in (one.sleep() if awake else one.wait(0), *_until(one, _now(one) + 1000 * AFTER)):
        run = run + part
    return run


def _now(one: Bus) -> int:
    return int(one.machine.state["now"][0])


def _until(one: Bus, time: int) -> Iterator[Run]:
    """Wait up to a moment; a guest that is late sends at once."""
    while (left := (time - _now(one)) // 1000) > 0:
        yield one.wait(min(left, STEP))


class Office(Bus):
    """A bus whose host can be awake: it reads by itself, with its mask set, and looks at signals only afterwards."""

    def burst(self) -> Run:
        """Let the guest send one packet, and the host read it at once."""
        mine, theirs = self.end(), self.end(host=True)
        with self._line():
            mine.send(DATA)
            theirs.reader.read_all()
        return self._run(channel=mine.channel_id)

    def sleep(self) -> Run:
        """Let the host open its mask and look once more."""
        return self.mask(False) + self.drain()


__all__ = ["Doorbells", "doorbells"]
