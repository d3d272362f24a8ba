"""Where the well-known overview of Hyper-V is loose or wrong, and what is better."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from hvlab.lab import tables
from hvlab.lab.demos import RUNS

FILE: Final = "errata.toml"
LEFT_OUT: Final = "left out"  # shown where a lesson tells what it leaves out


@dataclass(frozen=True, repr=False)
class Erratum:
    """A loose claim, the better one, and what the better one rests on.

    Parameters
    ----------
    id
        Its name in the lab.
    overview_says
        The claim: paraphrased, or at most twelve quoted words.
    better, why, source
        What to say instead, the reason, and where it stands.
    standing
        ``checked`` (read for this lab) or ``recalled`` (known from memory, never asked of a learner).
    shown_in
        The lessons that show it, or ``left out``.
    demo
        The run that shows it (`hvlab.lab.demos`); empty while no run can.
    """

    id: str
    overview_says: str
    better: str
    why: str
    source: str
    standing: str
    shown_in: tuple[str, ...]
    demo: str = ""

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Say the claim, the better one, the reason, and where both can be seen."""
        mark = "" if self.standing == "checked" else " (from memory, not checked)"
        run = f" · run: {self.demo}" if self.demo else ""
        yield tables.paragraph(self.overview_says, f"{self.id}: the overview says: ")
        yield tables.paragraph(self.better, "  Better: ")
        yield tables.paragraph(self.why, "  Why: ")
        yield tables.paragraph(f"{self.source}{mark}", "  Source: ")
        yield f"  Shown in: {', '.join(self.shown_in)}{run}"


class Listing(tuple[Erratum, ...]):
    """Errata that print as a text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self))


@cache
def errata() -> Listing:
    """Return every erratum, as the list that the hunt starts from.

    Raises
    ------
    BadFile
        If a standing, a lesson or a run is unknown.
    """
    found = tables.rows(FILE, "erratum", Erratum)
    for one in found:
        tables.one_of(FILE, f"{one.id}, standing", one.standing, tables.STANDING)
        for place in one.shown_in:
            tables.one_of(FILE, f"{one.id}, shown_in", place, (*tables.LESSONS, LEFT_OUT))
        if one.demo:
            tables.one_of(FILE, f"{one.id}, demo", one.demo, RUNS)
    return Listing(found)


def erratum(id: str) -> Erratum:
    """Return one erratum; an unknown id is answered with the nearest three."""
    known = {one.id: one for one in errata()}
    if id not in known:
        raise tables.nearest("erratum", id, known)
    return known[id]
