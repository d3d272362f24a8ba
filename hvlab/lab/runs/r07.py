"""The runs of lesson 07."""

from collections.abc import Mapping
from typing import Final

from hvlab.lab.letters import Letters, Run
from hvlab.lab.receiver import ORDERS
from hvlab.lab.runs import Scenario
from hvlab.lab.seed import Draw
from hvlab.language import N_
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic import SynicLens
from hvlab.tokens import Knob
from hvlab.trace.journal import Trace

Values = Mapping[str, int]
NAMES: Final = tuple(ORDERS)
MEANWHILE: Final = ("", "copy", "free", "barrier", "pending", "eom", "flags", "clear")
MASKED: Final = Knob("m", "masked", (0, 1), 0)
POLICY: Final = Knob("p", "openvmm", (0, 1), 0)
AUTO: Final = Knob("a", "auto_eoi", (0, 1), 1)
BUFFERS: Final = Knob("b", "buffers", tuple(range(1, 17)), 16)


def office(knobs: Values) -> Letters:
    """Return two partitions as the knobs say."""
    policy = "openvmm" if knobs.get("openvmm") else "tlfs"
    return Letters(bool(knobs.get("auto_eoi", 1)), bool(knobs.get("masked")), policy, knobs.get("buffers", 16))


def payload(seed: int) -> bytes:
    """Return the lesson's own payload for seed 0, else one that is drawn."""
    draw = Draw(seed)
    return b"hello" if seed == 0 else bytes(draw.below(256) for _ in range(draw.between(1, 24)))


def flood(seed: int, knobs: Values) -> Run:
    """Posts that nobody reads."""
    return office(knobs).post(payload(seed), times=knobs["times"])


def bells(seed: int, knobs: Values) -> Run:
    """Signals of one flag before anybody looks."""
    flag = 3 if seed == 0 else Draw(seed).below(128)
    return office(knobs).signal(flag, times=knobs["times"])


def reading(seed: int, knobs: Values) -> Run:
    """Letters that wait, and a receiver with one of the routines."""
    one = office(knobs)
    run = one.post(payload(seed))
    for _letter in range(knobs["times"] - 1):
        run = run + one.post(b"one more")
    return run + one.read(NAMES[knobs["order"]], MEANWHILE[knobs["meanwhile"]])


def clocks(seed: int, knobs: Values) -> Run:
    """A periodic timer whose messages nobody reads at first."""
    one = office(knobs)
    period = 10 if seed == 0 else Draw(seed).between(5, 50)
    return one.timer(period, again=True, lazy=bool(knobs["lazy"])) + one.wait(period * knobs["times"]) + one.read()


def told(trace: Trace, token: str) -> Storyboard:
    """Tell such a run; what was set up before it is as `letters()` makes it."""
    grain = "request" if sum(1 for _row in trace.of("message_posted", "message_refused")) > 4 else "event"
    return SynicLens(grain, before=Letters().before).story(trace, token=token)


SCENARIOS: Final = (
    Scenario(
        "letters-unread", N_("Posts that nobody reads."),
        (Knob("t", "times", (1, 2, 3, 17, 18, 20), 20), MASKED, BUFFERS),
        lambda seed, knobs: flood(seed, knobs).trace, told,
    ),
    Scenario(
        "doorbells", N_("Signals of one flag before anybody looks."),
        (Knob("t", "times", (1, 2, 3), 2), MASKED, POLICY),
        lambda seed, knobs: bells(seed, knobs).trace, told,
    ),
    Scenario(
        "letters-read", N_("Letters, and a routine that takes them."),
        (
            Knob("o", "order", tuple(range(len(NAMES))), 0),
            Knob("w", "meanwhile", tuple(range(len(MEANWHILE))), 0),
            Knob("t", "times", (1, 2, 3), 1),
            AUTO,
        ),
        lambda seed, knobs: reading(seed, knobs).trace, told,
    ),
    Scenario(
        "clock-letters", N_("A periodic timer whose letters wait."),
        (Knob("t", "times", (1, 2, 3, 4, 5), 3), Knob("l", "lazy", (0, 1), 0)),
        lambda seed, knobs: clocks(seed, knobs).trace, told,
    ),
)  # fmt: skip
