"""Lesson 04: a guest address is four indexes and an offset."""

from collections.abc import Callable
from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.story.storyboard import Storyboard

MET: Final = (
    "hardware/processor.py",
    "lab/own_tables.py",
)  # where the simplifications that this lesson meets are confessed


def last(name: str, more: int = 0) -> Callable[[Storyboard], int]:
    """Return a model's answer: a fact of the last frame, and so many more."""
    return lambda story: story.value(name) + more


def levels_used(times: int, more: int = 0) -> Callable[[Storyboard], int]:
    """Return a model's answer: so many for each entry that the walk read, and so many more."""
    return lambda story: times * story.value("reads") + more


MARKS: Final = Item(
    "04.marks",
    "A program writes to its page for the first time: no A or D bit is set yet. How many does the processor set, "
    "in all tables together?",
    "int",
    "marks",
    "The processor set {value} bits.",
    (
        Model(
            "marks-the-leaf-only",
            "this is A and D in the leaf. The entries above were used as well: each of them gets A.",
            levels_used(0, 2),
            lambda facts: facts["marks"] > 0,
        ),
        Model(
            "a-write-sets-d-alone",
            "this is D in the leaf. To write is to use: A is set as well, in every entry on the way.",
            levels_used(0, 1),
            lambda facts: facts["marks"] > 0,
        ),
        Model(
            "dirty-all-the-way",
            "this is A and D at every level. D says that a page was written; no table was.",
            levels_used(2),
            lambda facts: facts["marks"] > 0,
        ),
        Model(
            "forgot-the-dirty-bit",
            "this is A in every entry. The leaf gets D, too, since this is a write.",
            levels_used(1),
            lambda facts: facts["d_new"] > 0,
        ),
    ),
)

UPPER: Final = Item(
    "04.upper",
    "The leaf has W=1. An entry two levels above it now has W=0. A user program writes: does it get a #PF?",
    "yes",
    "to_guest",
    "Did the program get an exception: {value}.",
    (
        Model(
            "leaf-decides",
            "the leaf alone allows it. A right counts only if every entry on the way grants it.",
            lambda story: 0,
            lambda facts: facts["reads"] > 0 and facts["guest_w"] == 0,
        ),
    ),
)

CANONICAL: Final = Item(
    "04.canonical",
    "Bit 47 of an address is 1, the sixteen bits above it are 0. How many entries are read before it is refused?",
    "int",
    "reads",
    "The machine read {value} entries.",
    (
        Model(
            "walks-until-something-is-missing",
            "no walk begins here. The address itself is illegal: #GP, not a #PF of some entry.",
            lambda story: 1,
            lambda facts: facts["fault"] > 0,
        ),
        Model(
            "upper-bits-are-ignored",
            "this walks with 48 bits of the address. The 16 bits above are compared with bit 47 first.",
            last("levels"),
            lambda facts: facts["fault"] > 0,
        ),
    ),
)


def entries(id: str, question: str) -> Item:
    """Return a question for the number of entries read on the way to a large page."""
    return Item(id, question, "int", "reads", "The machine read {value} entries.", LARGE_MODELS)


LARGE_MODELS: Final = (
    Model(
        "as-many-as-levels",
        "this is one for each level of tables. A leaf above level 1 ends the walk early.",
        last("levels"),
        lambda facts: facts["large"] > 12,
    ),
    Model(
        "counted-the-data",
        "this counts the data as well. The walk ends where the data's address is known.",
        last("reads", 1),
        lambda facts: facts["total"] > 0,
    ),
    Model(
        "forgot-the-leaf",
        "these are the entries that lead to a table. The leaf is an entry that is read, too.",
        last("reads", -1),
        lambda facts: facts["large"] > 12,
    ),
)

ITEMS: Final = (
    MARKS,
    UPPER,
    CANONICAL,
    entries("04.large", "Four levels of tables; the address lies in a 2 MiB page. How many entries are read?"),
    entries("04.huge", "Five levels of tables now; the address lies in a 1 GiB page. How many entries are read?"),
)
