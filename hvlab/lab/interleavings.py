"""A receiver and a sender in every order: which routines lose something, and in how many interleavings.

The sender acts between any two steps of the receiver's routine. Everything runs on the engine; nothing is reckoned.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations_with_replacement
from typing import Final

from hvlab.errors import BadRequest
from hvlab.lab.letters import Bench
from hvlab.lab.receiver import MOST_RUNS, ORDERS, Desk, Routine, in_service, routine_of
from hvlab.language import _
from hvlab.trace.journal import Trace
from hvlab.wire.tlfs import Status

Act = tuple[int, str, int]  # after so many steps of the receiver: "post" and a label, or "signal" and a flag
MOST_ACTS: Final = 4
STEPS: Final = 7  # a run of the right routine with a message that waits: begin to end


@dataclass
class Played:
    """What came of one interleaving.

    Attributes
    ----------
    posted, messages : list of int
        The labels that were accepted, and those that the receiver took.
    set_flags, seen : Counter
        How often each flag went from 0 to 1, and how often the receiver took it.
    waiting : int
        Messages that wait at the end, though nothing is going to happen.
    runs : int
        How often the routine ran.
    """

    posted: list[int] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    set_flags: Counter[int] = field(default_factory=Counter)
    seen: Counter[int] = field(default_factory=Counter)
    waiting: int = 0
    runs: int = 0
    spins: bool = False
    trace: Trace | None = None

    @property
    def unseen(self) -> int:
        """How many flags were set and never seen."""
        return sum((self.set_flags - self.seen).values())

    @property
    def whole(self) -> bool:
        """Whether everything arrived, once and in order."""
        return self.messages == self.posted and self.seen == self.set_flags and not self.spins


@cache
def bench(auto_eoi: bool = True) -> Bench:
    """Return the bench that such runs are made on."""
    return Bench(auto_eoi)


def play(
    routine: Callable[[int], Routine], acts: Sequence[Act], on: Bench | None = None, record: bool = False,
    watch: Callable[[str], None] = lambda step: None,
) -> Played:  # fmt: skip
    """Let a receiver run while a sender acts.

    Parameters
    ----------
    routine
        What the receiver runs the n-th time, from 0.
    acts
        What the sender does, each after so many steps of the receiver; where the receiver rests, the next one comes.
    record
        Whether the trace is kept.
    watch
        Told each step.
    """
    on = on or bench()
    on.put_back()
    if record:
        with on.recorded() as traces:
            found = _play(routine, acts, on, watch)
        found.trace = traces[0]
        return found
    with on.silent():
        return _play(routine, acts, on, watch)


def _play(routine: Callable[[int], Routine], acts: Sequence[Act], on: Bench, watch: Callable[[str], None]) -> Played:
    found, todo, steps = Played(), deque(sorted(acts)), [0]

    def due() -> None:
        while todo and todo[0][0] <= steps[0]:
            _at, kind, number = todo.popleft()
            with on.hv.action(on.sender):
                if kind == "post":
                    found.posted += [number] if on.post(number) == Status.SUCCESS else []
                else:
                    found.set_flags[number] += not desk.flag(number)
                    on.signal(number)

    def after(step: str) -> None:
        steps[0] += 1
        watch(step)
        due()

    desk = on.desk(after)
    while True:
        due()
        with on.hv.action(on.receiver):
            vector = desk.take_interrupt()
            if vector >= 0:
                desk.begin(vector)
                messages, flags = routine(found.runs)(desk)
                desk.end()
                if in_service(desk):
                    desk.end_interrupt()
                found.messages += messages
                found.seen.update(flags)
                found.runs += 1
        found.spins = found.runs > MOST_RUNS
        if vector < 0 and not todo or found.spins:
            break
        if vector < 0:
            steps[0] = todo[0][0]
    found.waiting = on.waiting
    return found


def always(routine: Routine) -> Callable[[int], Routine]:
    """Return what runs the same routine every time."""
    return lambda run: routine


@dataclass(frozen=True)
class Interleavings:
    """How often a routine loses something, over every interleaving."""

    rows: tuple[tuple[str, int, int, int, int], ...]  # name, interleavings, messages stuck, flags unseen, others wrong

    def __repr__(self) -> str:
        head = (_("routine"), _("interleavings"), _("a message stuck"), _("a flag unseen"), _("out of order or twice"))
        table = [head, *((name, *(f"{number:,}" for number in numbers)) for name, *numbers in self.rows)]
        wide = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines = ("  ".join([row[0].ljust(wide[0]), *(row[k].rjust(wide[k]) for k in range(1, 5))]) for row in table)
        return "\n".join(lines)


def interleavings(*orders: str, posts: int = 2, signals: int = 0, auto_eoi: bool = True) -> Interleavings:
    """Try every place between a receiver's steps at which a sender may act.

    Parameters
    ----------
    orders
        Names of routines (`ORDERS`); all of them if none is given.
    posts, signals
        What the sender does besides a first post or signal that starts the receiver: at most 4 acts in all.

    Raises
    ------
    BadRequest
        For an unknown routine, or more acts than that.
    """
    if not 0 <= posts <= MOST_ACTS or not 0 <= signals <= MOST_ACTS or not 0 < posts + signals <= MOST_ACTS:
        raise BadRequest(f"{posts} posts and {signals} signals", "", f"1 to {MOST_ACTS} in all")
    rows = []
    for name in orders or ORDERS:
        routine, total, stuck, unseen, other = routine_of(name), 0, 0, 0, 0
        first: list[Act] = [(0, "post", 0)] if posts else [(0, "signal", 3)]
        for places in combinations_with_replacement(range(1, STEPS * (posts + 1) + 1), posts + signals):
            acts = [*first, *((at, *what) for at, what in zip(places, _acts(posts, signals), strict=True))]
            end = play(always(routine), acts, bench(auto_eoi))
            total += 1
            stuck += end.waiting > 0
            unseen += end.unseen > 0
            other += not end.whole and not end.waiting and not end.unseen
        rows.append((name, total, stuck, unseen, other))
    return Interleavings(tuple(rows))


def _acts(posts: int, signals: int) -> list[tuple[str, int]]:
    return [("post", 1 + k) for k in range(posts)] + [("signal", 9 + 64 * (k & 1) + k) for k in range(signals)]


__all__ = ["Desk", "Interleavings", "Played", "bench", "interleavings", "play"]
