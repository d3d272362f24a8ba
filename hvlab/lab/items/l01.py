"""Lesson 01: Windows itself runs in a partition."""

from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.lab.items.l03 import always

MET: Final = (
    "hypervisor/power.py",
    "hypervisor/partition.py",
    "hypervisor/calls_partition.py",
    "hypervisor/cpuid.py",
    "root/vid.py",
)  # where the simplifications that this lesson meets are confessed

ITEMS: Final = (
    Item(
        "01.present",
        "Windows, on which you installed Hyper-V, executes CPUID leaf 1. Is ECX bit 31 set: is a hypervisor below it?",
        "yes",
        "present",
        "Is a hypervisor below Windows: {value}.",
        (
            Model(
                "type-2",
                "on the disk Windows was there first. At start the hypervisor goes first, and Windows runs above it.",
                always(0),
                lambda facts: facts["present"] > 0,
            ),
        ),
    ),
    Item(
        "01.identity",
        "The root reads one word; its own tables take 3 reads, nothing is cached. How many entries are read in all?",
        "int",
        "reads",
        "The processor read {value} table entries.",
        (
            Model(
                "root-is-outside",
                "these are the root's own entries alone. Below them its addresses are GPAs, as in every partition.",
                always(3),
                lambda facts: facts["reads"] > 3,
            ),
            Model(
                "one-after-the-other",
                "this adds one walk of the second level. Each of the root's own tables needs one as well.",
                always(7),
                lambda facts: facts["reads"] > 7,
            ),
        ),
    ),
    Item(
        "01.owner",
        "The root makes a child of 8 pages. How often does a page of memory change its owner until the child runs?",
        "int",
        "given",
        "Pages changed their owner {value} times.",
        (
            Model(
                "hypervisor-needs-no-memory",
                "these are the child's own pages. Its tables, its call page and its records need pages, too.",
                always(8),
                lambda facts: facts["to_hypervisor"] > 0,
            ),
            Model(
                "memory-is-shared",
                "each page has one owner. That the root may still reach the child's page is a record beside it.",
                always(0),
                lambda facts: facts["given"] > 0,
            ),
        ),
    ),
    Item(
        "01.calls",
        "With the mask of a WSL2 guest, a child tries these six calls about itself. How many of them succeed?",
        "int",
        "granted",
        "{value} of the six calls succeeded.",
        (
            Model(
                "mask-alone-decides",
                "this counts every call for which no bit is missing. Some ask for no bit, but for the parent.",
                lambda story: story.value("by_mask"),
                lambda facts: facts["by_mask"] > facts["granted"],
            ),
            Model(
                "a-child-may-not-call",
                "a guest is meant to call: what it needs for its own work is open to it.",
                always(0),
                lambda facts: facts["granted"] > 0,
            ),
            Model(
                "root-rights-for-all",
                "this child lacks bits that some of the calls ask for, CreatePartitions for one.",
                always(6),
                lambda facts: facts["asked"] > 2,
            ),
        ),
    ),
)
