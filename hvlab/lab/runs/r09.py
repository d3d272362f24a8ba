"""The runs of lesson 09."""

from collections.abc import Callable, Mapping
from typing import Final

from hvlab.lab.bus import RULES, Run, bus
from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.lab.talk import ready
from hvlab.language import N_
from hvlab.story.channels import ChannelLens
from hvlab.story.storyboard import Storyboard
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

Values = Mapping[str, int]
SPOKEN: Final = ("5.3", "5.0", "4.1", "4.0", "2.4")
FEW: Final = 40  # packets and messages up to which a run is told event by event


def contact(seed: int, knobs: Values) -> Run:
    """A guest that asks for one version after the other; the seed says how late."""
    guest = "windows" if knobs["windows"] else "linux"
    one = bus(speaks=SPOKEN[knobs["speaks"]], guest=guest)
    return one.connect() if seed == 0 else one.wait(Draw(seed).between(1, 99)) + one.connect()


def naming(seed: int, knobs: Values) -> Run:
    """Pages that a guest names; the seed says where in the first of them the range begins."""
    one = bus()
    one.connect()
    one.offers()
    return one.share(knobs["pages"], offset=0 if seed == 0 else Draw(seed).between(1, 4095))


def talking(seed: int, knobs: Values) -> Run:
    """Packets of one size into a ring that nobody reads at first."""
    one = ready(rule=RULES[knobs["rule"]])
    size = 52 if seed == 0 else Draw(seed).between(1, 200)
    masked = [one.mask()] if knobs["masked"] else []
    runs = [*masked, one.send(bytes(size), times=knobs["times"])] + ([one.drain()] if knobs["read"] else [])
    run = runs[0]
    for more in runs[1:]:
        run = run + more
    return run


def closing(seed: int, knobs: Values) -> Run:
    """A channel that is closed, by the guest or because the host takes the device away; the seed says what waits."""
    one = ready()
    last = one.send(b"last" if seed == 0 else Draw(seed).word().to_bytes(8, "little"))
    return last + (one.rescind() if knobs["rescind"] else one.close())


def told(before: Callable[[], Trace]) -> Callable[[Trace, str], Storyboard]:
    """Return what tells such a run: what was set up before it is the same for all of them."""

    def story(trace: Trace, token: str) -> Storyboard:
        few = sum(1 for _row in trace.of("packet_written", "packet_refused")) <= FEW
        return ChannelLens("event" if few else "request", before=before()).story(trace, token=token)

    return story


SCENARIOS: Final = (
    Scenario(
        "bus-contact", N_("Contact: one version after the other."),
        (Knob("s", "speaks", tuple(range(len(SPOKEN))), 0), Knob("w", "windows", (0, 1), 0)),
        lambda seed, knobs: contact(seed, knobs).trace, told(lambda: bus().before),
    ),
    Scenario(
        "bus-pages", N_("Pages that a guest names."),
        (Knob("p", "pages", (8, 26, 27, 130), 130),),
        lambda seed, knobs: naming(seed, knobs).trace, told(lambda: bus().before),
    ),
    Scenario(
        "bus-packets", N_("Packets into a ring."),
        (
            Knob("t", "times", (1, 10, 60), 10), Knob("m", "masked", (0, 1), 0),
            Knob("r", "rule", tuple(range(len(RULES))), 0), Knob("d", "read", (0, 1), 0),
        ),
        lambda seed, knobs: talking(seed, knobs).trace, told(lambda: ready().before),
    ),
    Scenario(
        "bus-close", N_("A channel that is closed."),
        (Knob("r", "rescind", (0, 1), 0),),
        lambda seed, knobs: closing(seed, knobs).trace, told(lambda: ready().before),
    ),
)  # fmt: skip
