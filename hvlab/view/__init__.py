"""VIEWS. What is seen on the screen; the only part that knows Jupyter.

`show(story)` gives the player; everything else is imported from its own module.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hvlab.view.player import Player


def show(story: Any, gate: Any = None, teacher: bool | None = None, lens: Any = None) -> "Player":
    """Show a story in the notebook.

    Parameters
    ----------
    story
        What happened: a story, or a trace of the machine (or a step that carries one), told by its lens. The run of a
        scenario token begins at the token's frame.
    gate
        A prediction, or several, that close the story until they are answered: a `story.gate.Gate`, or a
        `lab.predict.Prediction`, which hears the answer that is given in the browser.
    teacher
        True opens all predictions, False closes them; by default ``HVLAB_MODE`` decides.
    lens
        Another lens than the one that a trace has by itself, such as ``InterruptLens()``.
    """
    from hvlab.story.walk import story_of
    from hvlab.view.player import Player

    board = story_of(story, lens=lens)
    asked = list(gate) if isinstance(gate, Sequence) else [] if gate is None else [gate]
    if asked:
        board = board.with_gates([one.gate_for(board) if hasattr(one, "gate_for") else one for one in asked])
    answers = {
        one.id: (one.answer, getattr(one, "confidence", ""))
        for one in asked
        if getattr(one, "answer", None) is not None
    }
    player = Player(board, teacher, answers)
    if not asked:
        player.step = getattr(story, "frame", None) or 0
    for one in asked:
        if hasattr(one, "hear"):
            player.observe(lambda change, one=one: one.hear(change["new"]), "answers")
    return player
