"""Lesson 07, E2: a receiver with one mistake that harms in one of its runs only. Which event, and which mistake?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.lab.answer import Number, Plain, Word, record
from hvlab.lab.exercise import Exercise, NoWorld, Wrong
from hvlab.lab.interleavings import Act, Played, always, bench, play
from hvlab.lab.receiver import ORDERS, Routine, right
from hvlab.lab.seed import Draw
from hvlab.lab.tell import lines_of
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard
from hvlab.story.synic import SynicLens

# a mistake, and the event of a run in which it shows
BUGS: Final = {
    "test-then-clear": "pending_tested",
    "no-eom": "routine_ended",
    "copy-late": "slot_freed",
    "plain-flags": "flags_overwritten",
}
FLAGS: Final = (3, 9, 17, 40)
PART: Final = 40  # steps between the parts of a log: the receiver has come to rest by then
WORDS: Final = (*BUGS, "none")


@dataclass(frozen=True)
class Log:
    """A world of E2: the mistake, and what the sender does, each after so many steps of the receiver."""

    bug: str
    acts: tuple[Act, ...]


def drawn(draw: Draw) -> Log:
    """Draw a log in which the mistake harms once, and not at its first chance: a calm part, then one that meets it."""
    bug = draw.pick(tuple(BUGS))
    for _attempt in range(400):
        log = Log(bug, tuple(sorted(acts_of(draw, bug))))
        if len(harmful(log)) == 1 and event_of(log) not in (None, first_of(log)):
            return log
    raise NoWorld("07.E2: no log with one harmful run, in 400 draws")


def acts_of(draw: Draw, bug: str) -> list[Act]:
    """Draw what the sender does: something calm, something in the middle of a run, and a flag signalled twice."""
    flags = draw.sample(FLAGS, 3)
    bell = bug == "plain-flags"
    acts: list[Act] = [(0, "signal", flags[0])] if bell else [(0, "post", 0)]
    if draw.chance(1, 2):
        acts.append((PART, "signal", flags[1]) if bell else (PART, "post", 1))
    begin = 2 * PART
    inside = begin + draw.between(1, 9)
    acts += [(begin, "signal", flags[0]), (inside, "signal", flags[1])] if bell else [(begin, "post", 2)]
    if not bell:
        acts += [(inside, "post", 3)] + ([(inside + draw.below(4), "signal", flags[2])] if draw.chance(1, 2) else [])
    return [*acts, (3 * PART, "signal", flags[2]), (3 * PART, "signal", flags[2])]


@lru_cache(maxsize=512)
def harmful(log: Log) -> tuple[int, ...]:
    """Let the engine repair each run of the routine in turn: return those whose repair makes everything arrive."""
    wrong = ORDERS[log.bug]
    end = play(always(wrong), log.acts)
    if end.whole:
        return ()
    return tuple(run for run in range(end.runs) if play(mended_in(run, wrong), log.acts).whole)


def mended_in(run: int, wrong: Routine) -> Callable[[int], Routine]:
    """Return what runs the right routine in one run, and the wrong one in all others."""
    return lambda k: right if k == run else wrong


@lru_cache(maxsize=256)
def recorded(log: Log) -> Played:
    """Return its run with the trace."""
    return play(always(ORDERS[log.bug]), log.acts, record=True)


@lru_cache(maxsize=128)
def story(log: Log) -> Storyboard:
    """Return its run as a story."""
    trace = recorded(log).trace
    assert trace is not None
    return SynicLens("event", before=bench().before).story(trace)


def kinds(log: Log) -> list[str]:
    """Return the kinds of the frames, in order."""
    told = story(log)
    names = [kind["name"] for kind in told.scene["kinds"]]
    return [names[int(number)] for number in told.columns["kind"]]


def runs(log: Log) -> list[tuple[int, int]]:
    """Return the first and the last frame of each run of the routine."""
    found, names = [], kinds(log)
    begins = [k for k, name in enumerate(names) if name == "routine_begun"]
    for begin in begins:
        found.append((begin, next(k for k in range(begin, len(names)) if names[k] == "routine_ended")))
    return found


def in_run(log: Log, run: int) -> int | None:
    """Return the event of a run in which the mistake shows; None if the run came to no such place."""
    first, last = runs(log)[run]
    names = kinds(log)
    if log.bug == "no-eom" and "slot_freed" not in names[first:last]:
        return None
    return next((k for k in range(first, last + 1) if names[k] == BUGS[log.bug]), None)


def event_of(log: Log) -> int | None:
    """Return the event that does the harm."""
    return in_run(log, harmful(log)[0])


def first_of(log: Log) -> int | None:
    """Return the first event in which the mistake shows, harmful or not."""
    found = (in_run(log, run) for run in range(len(runs(log))))
    return next((event for event in found if event is not None), None)


def truth(log: Log) -> Plain:
    """Return event and mistake."""
    return event_of(log), log.bug


def ask(log: Log) -> str:
    """Say the task."""
    return _(
        "This is the log of a receiver whose SINT 2 has auto-EOI. Its routine has one mistake, the same in every run: "
        "test-then-clear (it looks at MessagePending before it frees the slot), no-eom (it never "
        "writes EOM), copy-late "
        "(it copies the message after it has freed the slot) or plain-flags (it clears flags without "
        "a lock). In one run, "
        "and only there, it does harm: a right routine in that run alone, and everything would have arrived. Give the "
        "number of the event there in which the mistake shows (for no-eom: the end of the routine), "
        "and its name.\n{log}"
    ).format(log="\n".join(lines_of(story(log))))


def without_eom(log: Log) -> Plain | None:
    """Blame the first run that took a message and wrote no EOM."""
    names = kinds(log)
    for first, last in runs(log):
        if "slot_freed" in names[first:last] and "eom_written" not in names[first:last]:
            return (last, "no-eom") if (last, "no-eom") != truth(log) else None
    return None


def unraised(log: Log) -> Plain | None:
    """Blame the first signal that raised nothing."""
    names = kinds(log)
    return (names.index("event_flag_already_set"), "none") if "event_flag_already_set" in names else None


def at_first(log: Log) -> Plain | None:
    """Blame the first run in which the mistake shows."""
    return first_of(log), log.bug


def mended(log: Log) -> list[str]:
    """Return the log, and what was tried."""
    end = play(always(ORDERS[log.bug]), log.acts)
    told = _(
        "Sent {posted}, taken {taken}, waiting {waiting}, flags unseen {unseen}; run {run} done right loses nothing."
    )
    words = {"posted": len(end.posted), "taken": len(end.messages), "waiting": end.waiting, "unseen": end.unseen}
    return [*lines_of(story(log)), told.format(**words, run=harmful(log)[0])]


E2: Final = Exercise(
    id="07.E2",
    version=1,
    kind="compute",
    shape=record(event=Number(high=9999), bug=Word(WORDS)),
    make=drawn,
    ask=ask,
    truth=truth,
    tested=N_("one mistake of four; the engine repaired each run of the routine in turn"),
    hints=(
        N_("Phases *take* and *free slot*: in which order does each run copy, free, look and write EOM?"),
        N_("Sub-goal: find what did not arrive; then the run between whose steps the sender acted on it."),
    ),
    wrong=(
        Wrong(
            "order-alone-loses",
            N_("there the mistake harmed nothing: the sender did not act between these steps."),
            "take-message",
            at_first,
            lambda facts: facts["taken"] > 0,
            N_("What arrived, and what did not?"),
        ),
        Wrong(
            "eom-is-always-needed",
            N_(
                "without a message that waits no EOM is due; this run could end without one, or another "
                "mistake was there."
            ),
            "end-of-message",
            without_eom,
            lambda facts: facts["taken"] > 0,
            N_("Was MessagePending set when this run ended?"),
        ),
        Wrong(
            "flags-count",
            N_(
                "a signal of a flag that is set raises nothing, and nothing is lost by it: the bit is "
                "still there to be seen."
            ),
            "event-flags",
            unraised,
            lambda facts: facts["merged"] > 0,
            N_("Is the flag still set when the receiver looks?"),
        ),
    ),
    story=story,
    steps=mended,
)
