"""Lesson 06: an interrupt finds the virtual processor it belongs to."""

from collections.abc import Callable, Mapping
from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.story.apics import HELD
from hvlab.story.storyboard import Storyboard

MET: Final = (
    "hardware/apic.py",
    "hypervisor/virtual_apic.py",
    "hypervisor/scheduler.py",
    "hypervisor/workload.py",
    "hypervisor/clockwork.py",
)  # where the simplifications that this lesson meets are confessed

SERVED, TASK = 0x62, 0x20
WAITING: Final = (0x2F, 0x31, 0x6F, 0x71)
LADDER: Final = ", ".join([f"raise {SERVED:#x}, take, tpr {TASK:#x}", *(f"raise {vector:#x}" for vector in WAITING)])
A, B, ROOT, NOBODY = 2, 3, 1, 9  # who takes an interrupt: virtual processors from 1, as the story counts them


def waiting_if(test: Callable[[int], bool]) -> Callable[[Storyboard], int]:
    """Return a model's choice: of what waits, the vectors for which the test holds."""
    return lambda story: sum(1 << place for place, vector in enumerate(WAITING) if test(vector))


def held(vector: int) -> Callable[[Mapping[str, int]], bool]:
    """Return whether a frame holds a vector back."""
    return lambda facts: facts[f"r{vector:x}_0"] == HELD


def always(value: int) -> Callable[[Storyboard], int]:
    """Return a model that says the same of every run."""
    return lambda story: value


ITEMS: Final = (
    Item(
        "06.class",
        "Vector 0x62 is in service, TPR is 0x20. Four vectors wait. Which of them may interrupt now?",
        "subset",
        "open_0",
        "The machine would let through: {value}.",
        (
            Model(
                "compare-vectors",
                "these are the vectors above 0x62. Classes are compared, not vectors: 0x6f is of class 6, as 0x62 is.",
                waiting_if(lambda vector: vector > SERVED),
                held(0x6F),
            ),
            Model(
                "lower-is-higher",
                "these are the vectors below 0x62. Here a higher class goes before a lower one.",
                waiting_if(lambda vector: vector < SERVED),
                held(0x2F),
            ),
            Model(
                "tpr-alone",
                "these are above TPR. What is in service counts as well: 0x62 makes the processor's priority 0x60.",
                waiting_if(lambda vector: vector >> 4 > TASK >> 4),
                held(0x31),
            ),
        ),
        choices={1 << place: f"{vector:#x}" for place, vector in enumerate(WAITING)},
    ),
    Item(
        "06.who",
        "A packet for guest A arrives while guest B runs on the only processor. Which software handles its vector?",
        "pick",
        "taker",
        "It was handled by {value}.",
        (
            Model(
                "running-vm-gets-it",
                "the vector goes to the virtual processor that it belongs to, whoever runs when the device calls.",
                always(B),
                lambda facts: facts["taker"] > 0,
            ),
            Model(
                "hypervisor-does-io",
                "the hypervisor has no driver for the device. It routes the interrupt; a guest's handler serves it.",
                always(NOBODY),
                lambda facts: facts["taker"] > 0,
            ),
            Model(
                "root-gets-all",
                "this device is assigned to guest A. Without that the root's kernel would be the one.",
                always(ROOT),
                lambda facts: facts["taker"] > 0,
            ),
        ),
        choices={
            B: "guest B's kernel, which runs on that processor",
            ROOT: "the root's kernel",
            A: "guest A's kernel, on its own virtual processor",
            NOBODY: "the hypervisor's own driver",
        },
    ),
    Item(
        "06.lost",
        "Guest A's virtual processor does not run when its interrupt comes. Is the interrupt lost?",
        "yes",
        "lost",
        "Was it lost: {value}.",
        (
            Model(
                "running-vm-gets-it",
                "guest B left for a moment and went on. It never saw A's vector.",
                always(0),
                lambda facts: facts["kept"] > 0,
                reason=2,
            ),
            Model(
                "nobody-listens",
                "a virtual processor's local APIC is there also while that does not run, and its IRR keeps the bit.",
                always(1),
                lambda facts: facts["kept"] > 0,
                reason=3,
            ),
        ),
        reasons={  # by the value of the fact `kept`
            1: "its APIC keeps the bit in IRR, and the scheduler lets that virtual processor run",
            2: "the virtual processor that runs takes it over",
            3: "a virtual processor that does not run cannot listen",
        },
        because="kept",
    ),
    Item(
        "06.twice",
        "A device raises vector 0x51 two times before the processor takes it. How often does the handler run?",
        "int",
        "taken",
        "The handler ran {value} times.",
        (
            Model(
                "irr-counts",
                "a vector has one bit in IRR. Set twice, it still tells of one interrupt.",
                lambda story: story.value("raised"),
                lambda facts: facts["merged"] > 0,
            ),
        ),
    ),
    Item(
        "06.exits",
        "Five interrupts end, with the assist page in use. How many of the five EOIs leave the guest?",
        "int",
        "eoi_exits",
        "{value} EOIs left the guest.",
        (
            Model(
                "assist-saves-all",
                "the page saves an EOI only where nothing depends on it: nothing else waits, and it is no level.",
                always(0),
                lambda facts: facts["eoi_exits"] > 0,
            ),
            Model(
                "every-eoi-exits",
                "where the page says that no EOI is required, the guest clears one bit and stays.",
                lambda story: story.value("eoi_exits") + story.value("eoi_saved"),
                lambda facts: facts["eoi_saved"] > 0,
            ),
        ),
    ),
)
