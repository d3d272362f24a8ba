"""Lesson 05: every table the guest reads is itself translated."""

from collections.abc import Callable, Mapping
from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.story.cells import READ
from hvlab.story.storyboard import Storyboard

MET: Final = (
    "hardware/processor.py",
    "hardware/second_level.py",
    "hardware/tlb.py",
    "lab/guest.py",
)  # where the simplifications that this lesson meets are confessed

Test = Callable[[int, int], bool]


def cells(story: Storyboard) -> list[tuple[int, int]]:
    """Return the cells that the last access of a story read, as (row, column)."""
    state = story.state_at(len(story) - 1)
    keys = (name[1:] for name, value in state.items() if name[0] == "s" and name[1:].isdigit() and value == READ)
    return sorted((int(key[0]), int(key[1])) for key in keys)


def counted(test: Test) -> Callable[[Storyboard], int]:
    """Return a model's count: the reads for which the test holds."""
    return lambda story: sum(test(row, column) for row, column in cells(story))


def shown(test: Test) -> Callable[[Mapping[str, int]], bool]:
    """Return whether a frame reads a cell for which the test holds."""
    return lambda facts: facts["number"] > 0 and facts["column"] < 15 and test(facts["row"], facts["column"])


def reads(id: str, question: str) -> Item:
    """Return the question for the number of reads, with what is known to be thought instead."""
    return Item(id, question, "int", "reads", "The machine made {value} reads.", READ_MODELS)


READ_MODELS: Final = (
    Model(
        "one-after-the-other",
        "this is the guest's walk and then one second-level walk. Here the first read already is a second-level one.",
        counted(lambda row, column: column == 0 or row == 0),
        shown(lambda row, column: row > 0 and column > 0),
    ),
    Model(
        "forgot-the-last",
        "these are all reads up to the guest's last entry. Its answer is a GPA, too: it is translated once more.",
        counted(lambda row, column: row > 0),
        shown(lambda row, column: row == 0),
    ),
    Model(
        "own-entries-are-free",
        "these are the second-level reads alone. The guest's own entries are reads as well.",
        counted(lambda row, column: column > 0),
        shown(lambda row, column: column == 0),
    ),
    Model(
        "guest-walk-only",
        "this is the guest's own walk, as on a machine without a second level.",
        counted(lambda row, column: column == 0),
        shown(lambda row, column: column > 0),
    ),
    Model(
        "counted-the-data",
        "this counts the data as well. The walk ends where the data's address is known; no table is read there.",
        lambda story: len(cells(story)) + 1,
        lambda facts: facts["total"] > 0,
    ),
)

ITEMS: Final = (
    reads("05.reads", "Four levels in the guest, four below it, nothing cached. How many table entries are read?"),
    reads(
        "05.large", "The guest maps a 2 MiB page; the second level keeps 4 KiB pages. How many entries are read now?"
    ),
    reads("05.huge", "Both levels map 1 GiB pages. How many entries are read now?"),
    Item(
        "05.violation",
        "The guest's own tables allow the access, the second level does not. Does the guest get a #PF?",
        "yes",
        "to_guest",
        "Did the guest get an exception: {value}.",
        (
            Model(
                "violation-is-page-fault",
                "the guest's tables allow the access. What is missing below them is the hypervisor's: an exit.",
                lambda story: 1,
                lambda facts: facts["fault"] > 0,
            ),
            Model(
                "nobody-is-told",
                "the access is not dropped in silence. The processor leaves the guest, and says where and why.",
                lambda story: 0,
                lambda facts: facts["fault"] > 0,
                reason=6,
            ),
        ),
        reasons={  # by the value of the fact `fault`: what the processor made of it
            1: "a right is missing, and a missing right is a page fault of whoever runs",
            2: "the two levels disagree, which is a general protection fault",
            3: "that entry belongs to the hypervisor: the processor leaves the guest",
            6: "there is nothing behind the address: the access is dropped",
        },
        because="fault",
    ),
)
