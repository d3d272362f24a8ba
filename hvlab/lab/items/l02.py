"""Lesson 02: most instructions run on the bare processor."""

from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.lab.items.l03 import always

MET: Final = (
    "hypervisor/intercept.py",
    "hypervisor/intercept_instructions.py",
    "hypervisor/intercept_table.py",
    "child/program.py",
    "root/vmwp.py",
    "root/vdev/uart.py",
    "root/vdev/ide.py",
)  # where the simplifications that this lesson meets are confessed
ROOT, HYPERVISOR, GUEST = 1, 2, 3

ITEMS: Final = (
    Item(
        "02.exits",
        "The guest moves two numbers, adds them, stores the sum and loads it; then CPUID. How often is the guest left?",
        "int",
        "left",
        "Exits in this run: {value}.",
        (
            Model(
                "vm-interprets",
                "nobody reads the guest's instructions one by one. They run on the processor, at its own speed.",
                lambda story: story.value("instructions"),
                lambda facts: facts["left"] > 0,
            ),
            Model(
                "exit-is-a-fault",
                "nothing went amiss here, and yet the guest was left: CPUID always does that on this processor.",
                always(0),
                lambda facts: facts["left"] > 0,
            ),
        ),
    ),
    Item(
        "02.cpuid",
        "Nobody asked for this CPUID leaf. Who answers it?",
        "pick",
        "answered",
        "It was answered by {value}.",
        (
            Model(
                "all-exits-go-to-root",
                "the root's lane stays empty. It hears of a leaf only if it asked for it.",
                always(ROOT),
                lambda facts: facts["left"] > 0,
            ),
            Model(
                "never-on-cpu",
                "the processor ran all the others; this one instruction leaves the guest.",
                always(GUEST),
                lambda facts: facts["left"] > 0,
            ),
        ),
        choices={ROOT: "the root partition", HYPERVISOR: "the hypervisor", GUEST: "the processor, in the guest"},
    ),
    Item(
        "02.strings",
        "The guest reads 512 bytes by one REP INSB. The worker process does a string whole. How many exits is that?",
        "int",
        "left",
        "Exits for the whole string: {value}.",
        (
            Model(
                "one-exit-for-each-byte",
                "the message says that the instruction repeats, and how often; one message is enough.",
                always(512),
                lambda facts: facts["elements"] > facts["left"] > 0,
            ),
            Model(
                "memory-moves-it",
                "there is no memory behind a port. The instruction leaves the guest before it has done anything.",
                always(0),
                lambda facts: facts["elements"] > 0,
            ),
        ),
    ),
)
