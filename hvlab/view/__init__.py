"""VIEWS. What is seen on the screen; the only part that knows Jupyter.

`show(story)` gives the player; everything else is imported from its own module.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hvlab.story.storyboard import Storyboard
    from hvlab.view.player import Player


def show(story: "Storyboard", gate: Any = None, teacher: bool | None = None) -> "Player":
    """Show a story in the notebook.

    Parameters
    ----------
    story
        What happened.
    gate
        A prediction, or several, that close the story until they are answered: a `story.gate.Gate`, or anything that
        carries one as `gate` with `answer` (None or a number) and `confidence`.
    teacher
        True opens all predictions, False closes them; by default ``HVLAB_MODE`` decides.
    """
    from hvlab.view.player import Player

    asked = list(gate) if isinstance(gate, Sequence) else [] if gate is None else [gate]
    if asked:
        story = story.with_gates([getattr(one, "gate", one) for one in asked])
    answers = {
        getattr(one, "gate", one).id: (one.answer, getattr(one, "confidence", ""))
        for one in asked
        if getattr(one, "answer", None) is not None
    }
    return Player(story, teacher, answers)
