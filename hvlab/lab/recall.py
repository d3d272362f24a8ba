"""The warm-up: three short questions about earlier lessons, with new seeds."""

from functools import cache
from typing import Any, Final

from hvlab.errors import BadRequest, plain
from hvlab.lab import items, tables
from hvlab.lab.exercise import Exercise
from hvlab.lab.seed import Draw, seed_of
from hvlab.language import _

BACK: Final = (1, 3, 6)  # from so many lessons ago, or the nearest earlier one that asks
ANY_COMPUTER: Final = "any"


@cache
def sources(lesson: str) -> tuple[str, ...]:
    """Return the lessons that the three questions come from; `any`: about any computer."""
    return tuple(_nearest(int(lesson) - back) for back in BACK)


def _nearest(number: int) -> str:
    earlier = (f"{n:02}" for n in range(number, -1, -1))
    return next((one for one in earlier if items.shorts(one)), ANY_COMPUTER)


def ids(lesson: str) -> tuple[str, ...]:
    """Return the ids of a lesson's warm-up."""
    return tuple(f"{lesson}.R{k}" for k in range(1, len(BACK) + 1))


def short_of(id: str, learner: str) -> Exercise | None:
    """Return the short form that stands behind an id such as ``"05.R1"`` for a learner; None for another id."""
    lesson, _dot, rest = str(id).partition(".")
    if lesson not in tables.LESSONS or id not in ids(lesson):
        return None
    from hvlab.lab.items import any_computer

    place = int(rest[1:]) - 1
    source = sources(lesson)[place]
    bank = any_computer.SHORTS if source == ANY_COMPUTER else items.shorts(source)
    order = Draw(seed_of(f"{lesson}.R:{source}", 1, learner)).shuffled(bank)  # one order for all places: no doubles
    return order[sources(lesson)[:place].count(source) % len(order)]


def recall(lesson: str, answers: Any = None) -> None:
    """Ask three short questions about earlier lessons; may be skipped.

    Parameters
    ----------
    lesson
        The number of the lesson that begins, such as ``"05"``.
    answers
        Up to three answers in order, None where there is none yet. One at a time works as well:
        ``check("05.R1", 24)``.
    """
    from hvlab.lab.check import check, task

    if lesson not in tables.LESSONS:
        raise tables.nearest("lesson", lesson, tables.LESSONS)
    given = [] if answers is None else list(answers) if isinstance(answers, list | tuple) else [answers]
    if len(given) > len(BACK):
        raise BadRequest(
            f"{len(given)} answers", f"{len(BACK)} questions", f"recall({plain(lesson, 4)!r}, [24, None, 7])"
        )
    for id in ids(lesson):
        print(task(id))
    for id, answer in zip(ids(lesson), given, strict=False):
        if answer is not None:
            check(id, answer)
    if not given:
        print(_("Answer with check({id!r}, …) or go on: nothing is marked.").replace("{id!r}", repr(ids(lesson)[0])))
