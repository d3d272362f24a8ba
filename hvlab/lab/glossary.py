"""The words of the lab: one card for each, with its place in the diagram, its source and what the overview says."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from hvlab.errors import BadFile
from hvlab.lab import tables
from hvlab.lab.errata import errata

FILE: Final = "glossary.toml"
MOST_WORDS: Final = 25

COLUMNS: Final = ("root partition", "Windows child", "Linux child", "unenlightened child", "hypervisor", "hardware")
BOXES: Final = (
    *COLUMNS,
    *("VMMS", "VMWP", "WMI provider", "I/O stack", "VSPs", "VID", "drivers", "NT kernel", "WinHv", "VMBus"),
    *("applications", "VSCs", "ICs", "hv core", "kernel"),
    *("hypercalls", "MSRs", "intercepts", "APIC", "SynIC", "partition manager", "scheduler", "address management"),
    *("processors", "memory", "IOMMU", "NIC", "disk"),
)
WIRES: Final = {
    "hypercall": "H",
    "exit": "X",
    "interrupt": "I",
    "event flag": "F",
    "message": "M",
    "channel message": "V",
    "ring packet": "R",
    "memory access": "A",
    "DMA": "D",
    "management call": "W",
}


@dataclass(frozen=True, repr=False)
class Card:
    """One word.

    Parameters
    ----------
    term, also, expansion
        The word, its other names, and what its letters stand for.
    short, exactly
        What it is in at most 25 words, and what there is to know beyond that.
    box, wire
        Its box in the diagram, and the kind of token by which it travels (see `BOXES`, `WIRES`).
    lessons
        The lessons that use it, in order; the first one explains it.
    source
        Where it stands.
    overview_says, errata
        What the overview says of it, and the errata that correct that.
    """

    term: str
    short: str
    exactly: str
    box: str
    lessons: tuple[str, ...]
    source: str
    also: tuple[str, ...] = ()
    expansion: str = ""
    wire: str = ""
    overview_says: str = ""
    errata: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which the card is found."""
        return (self.term, *self.also, *([self.expansion] if self.expansion else []))

    def lines(self) -> Iterator[str]:
        """Write the card, a line or a paragraph for each thing that is known."""
        wire = f" · travels as {self.wire} ({WIRES[self.wire]})" if self.wire else ""
        also = f" (also: {', '.join(self.also)})" if self.also else ""
        yield tables.paragraph(f"{self.term}{f': {self.expansion}' if self.expansion else ''}{also}")
        yield tables.paragraph(self.short)
        yield tables.paragraph(self.exactly, "Exactly: ")
        yield f"In the diagram: {self.box}{wire}"
        if self.overview_says:
            yield tables.paragraph(self.overview_says, "The overview says: ")
        if self.errata:
            yield f"Errata: {', '.join(self.errata)}"
        yield f"Lessons: {', '.join(self.lessons)}"
        yield tables.paragraph(self.source, "Source: ")


@cache
def cards() -> tuple[Card, ...]:
    """Return all cards, in the order of the alphabet.

    Raises
    ------
    BadFile
        If a name stands twice, a card is too long, or a box, wire, lesson or erratum is unknown.
    """
    found = tables.rows(FILE, "card", Card)
    tables.unique(FILE, [name for card in found for name in card.names])
    known = [one.id for one in errata()]
    for card in found:
        if len(card.short.split()) > MOST_WORDS:
            raise BadFile(FILE, f"{card.term}, short", f"{len(card.short.split())} words", f"at most {MOST_WORDS}")
        tables.one_of(FILE, f"{card.term}, box", card.box, BOXES)
        if card.wire:
            tables.one_of(FILE, f"{card.term}, wire", card.wire, WIRES)
        if list(card.lessons) != sorted(set(card.lessons)):
            raise BadFile(FILE, f"{card.term}, lessons", ", ".join(card.lessons), "lessons in order, each once")
        for lesson in card.lessons:
            tables.one_of(FILE, f"{card.term}, lessons", lesson, tables.LESSONS)
        for id in card.errata:
            tables.one_of(FILE, f"{card.term}, errata", id, known)
    return tuple(sorted(found, key=lambda card: card.term.casefold()))


@cache
def _names() -> dict[str, Card]:
    return {name.casefold(): card for card in cards() for name in card.names}


def glossary(term: str) -> Card:
    """Return the card of a word; capitals, spaces and a plural s do not matter.

    Raises
    ------
    BadRequest
        If no card has this name; the error gives the nearest three.
    """
    names, key = _names(), " ".join(str(term).split()).casefold()
    for name in (key, key.removesuffix("s")):
        if name in names:
            return names[name]
    raise tables.nearest("word", term, [name for card in cards() for name in card.names])
