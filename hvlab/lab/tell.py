"""What happened, as text: the twin of the picture, and what a test of a lesson compares."""

from typing import Any

from hvlab.lab.predict import Prediction
from hvlab.language import _
from hvlab.story.gate import mode
from hvlab.story.storyboard import Storyboard
from hvlab.story.walk import story_of

MOST_LINES = 30


def tell(
    what: Any, gate: Prediction | None = None, grain: str = "event", most: int = MOST_LINES, lens: Any = None
) -> None:
    """Print what happened, one sentence a step; nothing of it before the prediction is in.

    Parameters
    ----------
    what : a story, a trace, or a step of the machine
    gate
        The prediction that closes it, in `learn` mode.
    grain
        `request`, `event` or `bit`: how finely a trace is told.
    most
        So many lines; the middle of a longer story is left out, and counted.
    lens
        Another lens than the one that a trace has by itself.
    """
    if gate is not None and mode() == "learn" and gate.answer is None:
        print(_("Answer {id} first, then run this cell again.").format(id=gate.id))
        return
    story = story_of(what, grain, lens=lens)
    print("\n".join(shortened(lines_of(story), most)))
    outcome = gate.outcome(story) if gate is not None and mode() == "learn" else None
    if outcome is not None:
        print(f"\n{outcome}")


def lines_of(story: Storyboard) -> list[str]:
    """Return the captions of a story, each with the number of its frame."""
    width = len(str(len(story) - 1))
    return [f"{k:{width}}  {row['what']}" for k, row in enumerate(story.rows())]


def shortened(lines: list[str], most: int) -> list[str]:
    """Return at most so many lines: the first ones, a count, and the last two."""
    if len(lines) <= max(most, 4):
        return lines
    left_out = len(lines) - most + 1
    return [*lines[: most - 3], _("… {count} more steps …").format(count=left_out), *lines[-2:]]
