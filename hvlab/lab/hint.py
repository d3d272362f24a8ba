"""Hints in four stages: where to look, the next sub-goal, a full run of another seed, the solution and a new seed."""

from dataclasses import dataclass
from typing import Final

from hvlab.errors import BadRequest, plain
from hvlab.lab import progress
from hvlab.lab.check import ATTEMPTS
from hvlab.lab.deal import Dealt, hand, next_deal
from hvlab.lab.exercise import Construct, Exercise
from hvlab.lab.tables import wrapped
from hvlab.language import _
from hvlab.story.gate import mode
from hvlab.story.storyboard import Storyboard

LAST: Final = 4
FREE_AFTER: Final = 3  # attempts


@dataclass(frozen=True)
class Hint:
    """One stage of a hint.

    Attributes
    ----------
    stage : int
    text : str
    story : Storyboard or None
        Stage 3: the worked run of another seed: ``show(hint("05.E1", 3))``.
    """

    id: str
    stage: int
    text: str
    story: Storyboard | None = None

    def __repr__(self) -> str:
        return wrapped(self.text)


def hint(id: str, stage: int | None = None) -> Hint:
    """Return a hint; it is kept in the progress file and costs nothing.

    Parameters
    ----------
    id
        Such as ``"05.E1"``.
    stage
        1 which phase or rule to look at; 2 the next sub-goal; 3 a full worked run of another seed, in the player by
        ``show(hint(id, 3))``; 4 the solution, after which a new world is dealt. Without one: the next that is due.

    Raises
    ------
    BadRequest
        For an unknown id, with the nearest three; or a stage that is none of the four.
    """
    held = hand(id)
    if stage is None:
        stage = due(held)
    if type(stage) is not int or not 1 <= stage <= LAST:
        raise BadRequest(f"stage {plain(stage, 20)} of a hint", "", f"1 to {LAST}")
    found = made(held, stage)
    progress.note(id, "hint", seed=held.seed_text, hint=stage)
    if stage == LAST and mode() != "teach":
        next_deal(id)
    return found


def due(held: Dealt) -> int:
    """Return the stage that comes next; the solution only after three attempts."""
    rows = [r for r in progress.BOOK.reading().rows if r.item == held.id and r.seed == held.seed_text]
    mine = [row for row in rows if row.learner == held.learner]
    given = max((row.hint for row in mine), default=0)
    tried = sum(row.verdict in ATTEMPTS for row in mine)
    return min(given + 1, LAST if tried >= FREE_AFTER else LAST - 1)


def made(held: Dealt, stage: int) -> Hint:
    """Return a stage of the hint for a hand."""
    item, head = held.item, _("{id}, hint {stage} of {last}: ").format(id=held.id, stage=stage, last=LAST)
    if stage < 3:
        text = item.hints[stage - 1] if any(item.hints) else ""
        return Hint(held.id, stage, head + (_(text) if text else _("read the task once more; this item has no hint.")))
    if stage == 3:
        return worked(held, head)
    end = "" if mode() == "teach" else "\n" + _("A new world is dealt: the same task with other numbers.")
    return Hint(held.id, stage, f"{head}\n" + "\n".join(steps(held)) + end)


def worked(held: Dealt, head: str) -> Hint:
    """Return the worked run of a world that nobody is asked about."""
    item = held.item
    if isinstance(item, Construct):
        story = item.story(held.other().case(0))
        return Hint(
            held.id, 3, head + _("one case, step by step: show(hint({id}, 3)).").format(id=repr(held.id)), story
        )
    other = held.other()
    if item.story is None:
        return Hint(held.id, 3, f"{head}\n{item.ask(other.world)}\n" + "\n".join(steps(other)))
    told = _("another world, worked. See it by show(hint({id}, 3)).").format(id=repr(held.id))
    return Hint(
        held.id, 3, f"{head}{told}\n{item.ask(other.world)}\n" + "\n".join(steps(other)), item.story(other.world)
    )


def steps(held: Dealt) -> list[str]:
    """Return the solution of a hand as lines, computed now."""
    item = held.item
    if isinstance(item, Construct):
        return item.steps()
    if item.steps is not None:
        return item.steps(held.world)
    return [solved(item, held)]


def solved(item: Exercise, held: Dealt) -> str:
    """Return the answer of a world as text."""
    atoms = item.shape.atoms(item.truth(held.world))
    parts = (
        f"{name} {value:#x}" if isinstance(value, int) and value > 999 else f"{name} {value}" for name, value in atoms
    )
    return _("The answer: {answer}.").format(answer=", ".join(part.strip() for part in parts))
