"""The same packets under three rules of signalling, to be shown: strips on one clock, a chart, a table."""

from dataclasses import dataclass

from hvlab.lab.doorbells import Tally, economics
from hvlab.story.bells import Prices, bells, prices
from hvlab.story.storyboard import Storyboard


@dataclass(frozen=True)
class Doorbells:
    """What each rule makes of the same arrivals.

    Attributes
    ----------
    tallies : dict
        Rule -> what came of it, with its run.
    """

    tallies: dict[str, Tally]

    @property
    def story(self) -> Storyboard:
        """All of them on one clock."""
        return bells(self.tallies)

    @property
    def prices(self) -> Prices:
        """What each rule cost."""
        return prices(self.tallies)

    def __repr__(self) -> str:
        return repr(self.prices)


def doorbells(
    seed: int = 1,
    bursts: int = 8,
    most: int = 5,
    gap: int = 60,
    latency: int = 100,
    throttle: tuple[int, int] | None = (6, 150),
) -> Doorbells:
    """Let the same bursts of packets come under each rule; the words are those of `economics`."""
    return Doorbells(economics(seed, bursts, most, gap, latency, throttle))
