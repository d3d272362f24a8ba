"""Lesson 00: one read crosses four worlds; its memory half."""

from collections.abc import Callable
from typing import Final

from hvlab.lab.items import Facts, Item, Model
from hvlab.story.hops import EXIT, GIVEN, READ, RESUMED, TOLD
from hvlab.story.storyboard import Storyboard

MET: Final = (
    "hypervisor/power.py",
    "hypervisor/vp.py",
    "hypervisor/intercept.py",
    "hypervisor/cpuid.py",
)  # where the simplifications that this lesson meets are confessed

ALL_FOUR, VID, VMBUS, WINHV = 15, 10, 12, 9
STOP_OF_VID, STOP_OF_VMBUS = 4, 7
LANES: Final = {2: "the child's kernel", 3: "the hypervisor", 4: "the root's kernel", 6: "no software: the processor"}
HOPS: Final = {
    TOLD: "the root is told",
    RESUMED: "the child may run again",
    READ: "the processor reads the tables",
    GIVEN: "the root gives a page",
    EXIT: "the child's processor leaves the guest",
}


def digits(*hops: int) -> int:
    """Return an order of hops as one number."""
    return int("".join(f"{hop:x}" for hop in hops), 16)


def always(value: int) -> Callable[[Storyboard], int]:
    """Return a model's answer that is the same for every run."""
    return lambda story: value


def frames_of(story: Storyboard, *kinds: str) -> int:
    """Return how many frames of a story are of these kinds."""
    names = [kind["name"] for kind in story.scene["kinds"]]
    return sum(names[int(number)] in kinds for number in story.columns["kind"])


def plus(*kinds: str) -> Callable[[Storyboard], int]:
    """Return a model's answer: the truth, and one more for each frame of these kinds."""
    return lambda story: story.value("exits") + frames_of(story, *kinds)


def digit(number: int) -> Callable[[Facts], bool]:
    """Whether the hop of this digit was the last new one."""
    return lambda facts: facts["order"] & 15 == number


ITEMS: Final = (
    Item(
        "00.inside",
        "Find these four on the map. Which of them run with the hypervisor's own privilege?",
        "subset",
        "inside",
        "With the hypervisor's privilege runs: {value}. The others stand in the kernel mode of a partition.",
        (
            Model(
                "all-of-it-is-the-hypervisor",
                "Hyper-V is more than its hypervisor. Three of the four stand above it, in the root.",
                always(ALL_FOUR),
                lambda facts: facts["stop"] == STOP_OF_VID,
            ),
            Model(
                "vid-is-the-hypervisor",
                "VID builds partitions, but by asking: it is a driver in the root's kernel.",
                always(VID),
                lambda facts: facts["stop"] == STOP_OF_VID,
            ),
            Model(
                "vmbus-is-in-the-hypervisor",
                "VMBus is memory that two partitions share, and a driver in each of them.",
                always(VMBUS),
                lambda facts: facts["stop"] == STOP_OF_VMBUS,
            ),
            Model(
                "winhv-is-the-hypervisor",
                "WinHv is the part of a kernel that makes hypercalls. It stands above the line that they cross.",
                always(WINHV),
                lambda facts: facts["stop"] == STOP_OF_VID,
            ),
        ),
        choices={1: "WinHv", 2: "VID", 4: "VMBus", 8: "partition manager"},
    ),
    Item(
        "00.load",
        "A program in the child reads one word of its memory. How often does control enter the hypervisor?",
        "int",
        "exits",
        "Control entered the hypervisor {value} times.",
        (
            Model(
                "every-load-exits",
                "the processor reads the tables of both levels by itself. The hypervisor wrote its tables before.",
                always(1),
                lambda facts: facts["reads"] > 0,
            ),
            Model(
                "each-level-asks",
                "this is one entry for each entry of the hypervisor's tables. The processor reads these alone, too.",
                lambda story: story.words_at(1)["below"],
                lambda facts: facts["reads"] > 0,
            ),
        ),
    ),
    Item(
        "00.writer",
        "A program in the child stores one word. Which software finds the place in memory and changes it?",
        "pick",
        "writer",
        "The place was found and changed by {value}.",
        (
            Model(
                "the-kernel-copies",
                "the child's kernel wrote its tables long before. During the store it does not run.",
                always(2),
                lambda facts: facts["writer"] > 0,
            ),
            Model(
                "hypervisor-does-it",
                "its lane stays empty. It prepared a table, and the processor uses it without asking.",
                always(3),
                lambda facts: facts["writer"] > 0,
            ),
            Model(
                "the-root-holds-the-memory",
                "the page is the child's now. No processor of the root takes part in the store.",
                always(4),
                lambda facts: facts["writer"] > 0,
            ),
        ),
        choices=LANES,
    ),
    Item(
        "00.hops",
        "The program reads a page that is not there yet. In which order do these five happen?",
        "order",
        "order",
        "The machine went: {value}.",
        (
            Model(
                "the-exit-comes-first",
                "before it has read the tables, the processor does not know that anything is missing.",
                always(digits(EXIT, READ, TOLD, GIVEN, RESUMED)),
                digit(READ),
            ),
            Model(
                "the-page-comes-first",
                "the root gives this page because it was told. Until then nobody knows that it is wanted.",
                always(digits(GIVEN, READ, EXIT, TOLD, RESUMED)),
                digit(TOLD),
            ),
            Model(
                "the-child-runs-on-meanwhile",
                "the child's processor is stopped from its exit on: the load cannot end without the page.",
                always(digits(READ, EXIT, TOLD, RESUMED, GIVEN)),
                digit(GIVEN),
            ),
        ),
        choices=HOPS,
    ),
    Item(
        "00.touch",
        "The same read: how often does control enter the hypervisor, until the program has its word?",
        "int",
        "exits",
        "Control entered the hypervisor {value} times.",
        (
            Model(
                "the-hypervisor-gives-the-page",
                "that is the exit alone. The root has the pages, and it too has to call: to give one, and to let go.",
                always(1),
                lambda facts: facts["exits"] > 1,
            ),
            Model(
                "a-fault-is-the-kernels",
                "the child's own tables allow the access. What is missing lies below them, out of its kernel's reach.",
                always(0),
                lambda facts: facts["exits"] > 0,
            ),
            Model(
                "every-load-exits",
                "this counts the second try as well. Then the page is there, and nothing leaves the guest.",
                plus("translated"),
                lambda facts: facts["exits"] > 2,
            ),
        ),
    ),
    Item(
        "00.mixed",
        "The child's kernel: four loads, one CPUID, one read of a synthetic register, one hypercall. How many entries?",
        "int",
        "exits",
        "Control entered the hypervisor {value} times.",
        (
            Model(
                "every-load-exits",
                "this counts the four loads. They need no software, as before.",
                plus("access_begun"),
                lambda facts: facts["reads"] > 0,
            ),
            Model(
                "only-calls-enter",
                "CPUID and synthetic registers have nothing in hardware behind them: the hypervisor answers.",
                always(1),
                lambda facts: facts["exits"] > 0,
            ),
        ),
    ),
)
