"""A story or a trace as plain text: the twin of every picture, and what a test compares."""

from typing import Any

from hvlab.language import N_, _
from hvlab.story.gate import mode
from hvlab.story.storyboard import Storyboard

FIRST = N_("Answer {id} first, then run this cell again.")


def first_closed(story: Storyboard, answered: frozenset[str] | set[str] = frozenset()) -> dict[str, Any] | None:
    """The first gate of a story without an answer, in every mode."""
    return next((gate for gate in story.scene["gates"] if gate["id"] not in answered), None)


def told(story: Any, answered: frozenset[str] | set[str] = frozenset()) -> str:
    """The text of a story (up to its first open prediction) or of a trace (its sentences)."""
    if not isinstance(story, Storyboard):
        return "\n".join(story.sentences())
    gate = first_closed(story, answered) if mode() == "learn" else None
    if gate is None:
        return story.table()
    return f"{story.table(gate['frame'])}\n{_(FIRST).format(id=gate['id'])}"


def tell(story: Any, gate: Any = None) -> None:
    """Print a story or a trace, one sentence a step.

    Parameters
    ----------
    story : Storyboard or Trace
        What happened.
    gate
        A prediction that must be in first: a gate (with an `answer` attribute that is not None once answered). In
        `learn` mode nothing below it is printed before.
    """
    if gate is not None and mode() == "learn" and getattr(gate, "answer", None) is None:
        print(_(FIRST).format(id=gate.id))
        return
    answered = {gate.id} if gate is not None else set()
    print(told(story, answered))
