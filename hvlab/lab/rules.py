"""Why each event happened: the platform's rule behind it, in our words, with its document and section."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from hvlab.errors import BadFile
from hvlab.lab import tables

FILE: Final = "rules.toml"


@dataclass(frozen=True, repr=False)
class Rule:
    """One rule of the platform, or one point on which its sources disagree.

    Parameters
    ----------
    id, document, section
        The rule's name in the lab, and where it stands.
    says
        The rule in our own words.
    standing
        ``checked`` (read for this lab) or ``recalled`` (known from memory).
    cites
        The citation as the declarations of `events` carry it.
    events
        The events that follow this rule.
    disagree, follows
        What each source says where they differ (``source: claim``), and what this machine does now.
    """

    id: str
    document: str
    section: str
    says: str
    standing: str
    cites: str = ""
    events: tuple[str, ...] = ()
    disagree: tuple[str, ...] = ()
    follows: str = ""

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Say the rule, where it stands, and what its sources say where they disagree."""
        mark = "" if self.standing == "checked" else " (from memory)"
        yield tables.paragraph(self.says, f"{self.id}: ")
        yield tables.paragraph(f"{self.document}, {self.section}{mark}", "  Source: ")
        for claim in self.disagree:
            yield tables.paragraph(claim, "  - ")
        if self.follows:
            yield tables.paragraph(self.follows, "  This machine: ")


@cache
def rules() -> tuple[Rule, ...]:
    """Return every rule.

    Raises
    ------
    BadFile
        If an event has two rules, or a disagreement has fewer than two sides or no decision.
    """
    found = tables.rows(FILE, "rule", Rule)
    tables.unique(FILE, [event for rule in found for event in rule.events])
    for rule in found:
        tables.one_of(FILE, f"{rule.id}, standing", rule.standing, tables.STANDING)
        if bool(rule.events) != bool(rule.cites):
            raise BadFile(FILE, rule.id, "events or cites alone", "both, or neither")
        if bool(rule.disagree) != bool(rule.follows) or len(rule.disagree) == 1:
            raise BadFile(
                FILE, rule.id, f"{len(rule.disagree)} sides", "two sides or more, and what the machine follows"
            )
    return found


def rule(id: str) -> Rule:
    """Return a rule by its id; an unknown id is answered with the nearest three."""
    known = {one.id: one for one in rules()}
    if id not in known:
        raise tables.nearest("rule", id, known)
    return known[id]


def why(event: str) -> Rule:
    """Return the rule that an event follows; an unknown event is answered with the nearest three."""
    known = {name: one for one in rules() for name in one.events}
    if event not in known:
        raise tables.nearest("event", event, known)
    return known[event]
