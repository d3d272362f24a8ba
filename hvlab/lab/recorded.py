"""What one line of a lesson left in the trace: told by a lens of its own, joined with what the next line left."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.trace.journal import Trace


@dataclass(frozen=True)
class Recorded(ABC):
    """What one line did.

    Attributes
    ----------
    trace, before : Trace
        What it did, and what was recorded before it.
    grain : str
        How finely the story tells it.
    """

    trace: Trace
    before: Trace
    grain: str = "event"

    @property
    @abstractmethod
    def lens(self) -> SystemLens:
        """What tells it; `compare` takes it, too."""

    @property
    def story(self) -> Storyboard:
        """The line as a story."""
        return self.lens.story(self.trace)

    def __add__(self, other: Self) -> Self:
        """Return both as one, told as the first; all else is the last one's."""
        return replace(other, trace=self.trace + other.trace, before=self.before, grain=self.grain)

    def count(self, name: str) -> int:
        """Return how many events of a name there are."""
        return self.trace.kinds().count(name)
