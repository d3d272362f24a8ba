"""Lesson 07, exercises: two partitions exchange letters and doorbells."""

from collections.abc import Callable
from typing import Any, Final

from hvlab.lab.answer import Bytes, Number, Plain
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.interleavings import bench
from hvlab.lab.items.e07_bugs import E2
from hvlab.lab.items.e07_routine import E3
from hvlab.lab.items.e07_script import SLOT, Script, believed, drawn, lines, sentences, story
from hvlab.lab.letters import MESSAGES
from hvlab.lab.receiver import receive, right
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic import SynicLens
from hvlab.wire.tlfs import Status


def ask(script: Script) -> str:
    """Say the task of E1."""
    return _(
        "web's SINT 2 has auto-EOI; SINT 3 stands apart. Slots were never used: all zero. Ports have "
        "the numbers of their "
        "connections.\n{script}\nGive the 256 bytes of the slot of SINT 2 (offsets 0x200 to 0x2FF of "
        "the message page). "
        "A message begins with type (4 bytes), payload size (1), flags (1; bit 0 is MessagePending), 2 bytes of zero, "
        "the port's number (8); then its payload. All little-endian."
    ).format(script=sentences(script.acts))


def held(idea: str) -> Callable[[Script], Plain]:
    """Return what somebody who holds an idea answers."""
    return lambda script: believed(script, idea)


def wrong(name: str, says: str, rule: str, parts: Callable[[Any], bool], asks: str) -> Wrong:
    """Return a wrong model of E1."""
    return Wrong(name, says, rule, held(name), parts, asks)


E1: Final = Exercise(
    id="07.E1",
    version=1,
    kind="trace",
    shape=Bytes(SLOT),
    make=drawn,
    ask=ask,
    truth=lambda script: script.slot,
    tested=N_("one script of posts to two sources; not tested: EOI, timers, a full port"),
    hints=(
        N_("Phases *queue* and *fill slot*: what makes the hypervisor look at the queue?"),
        N_("Sub-goal: after each line, write down type, MessagePending, and which messages wait; the rest stays."),
    ),
    wrong=(
        wrong(
            "message-is-shared-memory",
            N_("a post never writes over a message that lies in the slot: it waits behind it."),
            "message",
            lambda facts: facts["waiting"] > 0,
            N_("Who decides when the bytes of a slot change?"),
        ),
        wrong(
            "eom-is-always-needed",
            N_("a new post makes the hypervisor try the queue, too, and the oldest message goes first."),
            "message-buffers",
            lambda facts: facts["posts"] > 2,
            N_("Name the three things after which a queue is tried."),
        ),
        wrong(
            "free-is-enough",
            N_("the hypervisor does not see an ordinary write: a freed slot stays empty until it is told."),
            "end-of-message",
            lambda facts: facts["stuck"] > 0,
            N_("How would the hypervisor learn that four bytes of memory are 0 now?"),
        ),
        wrong(
            "slot-is-wiped",
            N_("only header and payload are written; what lay behind them stays."),
            "message",
            lambda facts: facts["taken"] > 0 or facts["posts"] > 2,
            N_("How many bytes does a message of 5 bytes change?"),
        ),
        wrong(
            "sint-msrs-are-one",
            N_("each source has its own register (0x40000090 to 0x4000009F), its own slot and its own queue."),
            "sint-registers",
            lambda facts: facts["posts"] > 1,
            N_("Which MSR belongs to SINT 3?"),
        ),
    ),
    story=story,
    steps=lines,
)


# exit and warm-up -----------------------------------------------------------------------------------------------------


def counted(draw: Draw) -> dict[str, int]:
    """Draw a port with fewer buffers, and how many messages were read before the flood."""
    return {"buffers": draw.between(2, 15), "reads": draw.between(1, 3)}


def first_refused(world: dict[str, int]) -> int:
    """Return the first post that fails, by the engine."""
    on = bench()
    on.put_back()
    with on.silent():
        return _flood(world)


def _flood(world: dict[str, int]) -> int:
    """Let a receiver read some letters, each as it comes, and then no more; return the first post that fails."""
    on, posts = bench(), 0
    places = on.hv.state["port"][0]
    places["room"][places["id"] == MESSAGES] = world["buffers"]
    for _read in range(world["reads"]):
        posts += 1
        on.post(posts)
        receive(on.desk(), right)
    while on.post(posts + 1) == Status.SUCCESS:
        posts += 1
    return posts + 1


def flooded(world: dict[str, int]) -> Storyboard:
    """Return the same as a story."""
    on = bench()
    on.put_back()
    with on.recorded() as traces:
        _flood(world)
    return SynicLens("request", before=on.before).story(traces[0])


def ask_first(world: dict[str, int]) -> str:
    """Say what the exit asks."""
    return _(
        "A port with {buffers} buffers. The receiver reads the first {reads} messages, each as soon "
        "as it comes, and then "
        "never again. The sender posts on. Which post of all is the first that fails?"
    ).format(buffers=world["buffers"], reads=world["reads"])


def capacity(name: str, says: str, answer: Callable[[dict[str, int]], int]) -> Wrong:
    """Return a wrong model of such a count."""
    return Wrong(name, says, "message-buffers", answer)


FIRST_WRONG: Final = (
    capacity(
        "slot-keeps-its-buffer",
        N_("the message in the slot needs no buffer any more: it was copied there."),
        lambda world: world["reads"] + world["buffers"] + 1,
    ),
    capacity(
        "message-is-shared-memory",
        N_("a full slot refuses nothing: messages wait in the port's buffers."),
        lambda world: world["reads"] + 2,
    ),
)

X1: Final = Exercise(
    id="07.X1",
    version=1,
    kind="exit",
    shape=Number(high=99),
    make=counted,
    ask=ask_first,
    truth=first_refused,
    tested=N_("one port; the buffers of a real one are sixteen"),
    hints=(
        N_("Where does a message lie: in the slot, in a buffer, or read?"),
        N_("Count how many can be under way at once; add those that were read; the next one fails."),
    ),
    wrong=FIRST_WRONG,
    story=flooded,
)
X2: Final = in_own_words(
    "07.X2",
    N_("The overview says: MSR stands for Memory Service Routine. Correct the sentence with what you wrote to SINT2."),
)


def merged(draw: Draw) -> dict[str, int]:
    """Draw signals of some flags before anybody looks."""
    flags = [draw.below(128) for _ in range(draw.between(2, 4))]
    signals = flags + [draw.pick(flags) for _ in range(draw.between(1, 3))]
    return {"signals": len(signals), "flags": len(set(flags)), **{f"s{k}": one for k, one in enumerate(signals)}}


def rung(world: dict[str, int]) -> int:
    """Return how many bits are set, by the engine."""
    on = bench()
    on.put_back()
    with on.silent():
        for k in range(world["signals"]):
            on.signal(world[f"s{k}"])
        return sum(on.desk().flag(flag) for flag in range(128))


SHORTS: Final = (
    Exercise(
        id="07.short.bits",
        version=1,
        kind="recall",
        shape=Number(high=2048),
        make=merged,
        ask=lambda world: _("Nobody looks. The sender signals the flags {flags}. How many bits are set?").format(
            flags=", ".join(str(world[f"s{k}"]) for k in range(world["signals"]))
        ),
        truth=rung,
        tested=N_("signals of one port, none refused"),
        hints=(N_("What is a flag?"), N_("A flag that is set already stays set.")),
        wrong=(
            Wrong(
                "flags-count",
                N_("a flag says that it was signalled, not how often."),
                "event-flags",
                lambda world: world["signals"],
            ),
        ),
    ),
    Exercise(
        id="07.short.full",
        version=1,
        kind="recall",
        shape=Number(high=99),
        make=counted,
        ask=ask_first,
        truth=first_refused,
        tested=N_("one port; the buffers of a real one are sixteen"),
        hints=(
            N_("Where does a message lie: in the slot, in a buffer, or read?"),
            N_("Count how many can be under way at once; add those that were read; the next one fails."),
        ),
        wrong=FIRST_WRONG,
        story=flooded,
    ),
)
EXERCISES: Final = (E1, E2, E3, X1, X2)
