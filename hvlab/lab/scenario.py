"""A run from its token, and the token of a run: the same token gives the same trace, everywhere."""

from dataclasses import dataclass

from hvlab.errors import BadRequest, plain
from hvlab.lab.runs import Scenario, scenarios
from hvlab.language import _
from hvlab.story.storyboard import Storyboard
from hvlab.tokens import Token, read, write
from hvlab.trace.journal import Trace


@dataclass(frozen=True)
class Replay:
    """A run that a token made.

    Attributes
    ----------
    token : str
        The token as it is written; ``show(replay)`` begins at its frame.
    trace : Trace
    story : Storyboard
    frame : int
    """

    token: str
    trace: Trace
    story: Storyboard
    frame: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the trace."""
        return self.trace.digest()

    def __repr__(self) -> str:
        told = _("{token}: {events} events, {frames} frames, trace {digest}")
        return told.format(token=self.token, events=len(self.trace), frames=len(self.story), digest=self.digest[:16])


def scenario(text: str) -> Replay:
    """Run what a token names.

    Parameters
    ----------
    text
        Such as ``"hv1-second-level-0-P"``; ``@12`` may follow: the frame to begin with.

    Raises
    ------
    BadToken
        With the position and what was expected there; nothing was started.
    BadRequest
        If the run has no such frame.
    """
    known = scenarios()
    found = read(text, {name: one.knobs for name, one in known.items()})
    one = known[found.scenario]
    trace = one.run(found.seed, one.values(found.changes))
    written = write(Token(found.scenario, found.seed, found.changes), one.knobs)
    story = one.story(trace, written)
    frame = found.frame or 0
    if frame >= len(story):
        raise BadRequest(f"frame {frame} of {written}", f"frames 0 to {len(story) - 1}")
    return Replay(written, trace, story, frame)


def token(name: str, seed: int = 0, **changes: int) -> str:
    """Return the token of a scenario with some changes: ``token("second-level", levels=5)``.

    Raises
    ------
    BadRequest
        For an unknown scenario, or a change that it does not take, with those that there are.
    """
    one = scenarios().get(name)
    if one is None:
        raise BadRequest(f"the scenario {plain(name, 40)!r}", "", ", ".join(scenarios()))
    for change, value in changes.items():
        if not any(knob.name == change and value in knob.values for knob in one.knobs):
            raise BadRequest(f"{name} with {plain(change, 40)}={plain(value, 20)}", "", told(one))
    if type(seed) is not int or not 0 <= seed < 1 << 64:
        raise BadRequest(f"the seed {plain(seed, 40)}", "", "0 to 2**64 - 1")
    return write(Token(name, seed, changes), one.knobs)


def told(one: Scenario) -> str:
    """Say which changes a scenario takes."""
    return "; ".join(f"{knob.name} {', '.join(map(str, knob.values))}" for knob in one.knobs)
