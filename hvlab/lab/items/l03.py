"""Lesson 03: a guest calls the hypervisor through a page it cannot write."""

from collections.abc import Callable
from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.story.storyboard import Storyboard

MET: Final = (
    "hypervisor/hypercall.py",
    "hypervisor/msr.py",
    "hypervisor/cpuid.py",
    "hypervisor/intercept.py",
    "hypervisor/calls_flush.py",
)  # where the simplifications that this lesson meets are confessed


def always(value: int) -> Callable[[Storyboard], int]:
    """Return a model's answer that does not depend on the run."""
    return lambda story: value


ITEMS: Final = (
    Item(
        "03.enable",
        "GUEST_OS_ID is still 0. The guest writes HYPERCALL with its enable bit set. Does the hypercall page appear?",
        "yes",
        "placed",
        "Does the page lie there: {value}.",
        (
            Model(
                "a-register-keeps-what-is-written",
                "a synthetic register is the hypervisor's code. It reads the write, and drops what it does not allow.",
                always(1),
                lambda facts: facts["page"] == 2,
            ),
        ),
    ),
    Item(
        "03.page",
        "The guest's kernel writes a byte into its hypercall page. Which exception does it get? Vector number; 0: none",
        "int",
        "vector",
        "The guest got vector {value}.",
        (
            Model(
                "my-page-my-bytes",
                "the page covers the guest's own one. It is the hypervisor's, and the second level grants R and X.",
                always(0),
                lambda facts: facts["vector"] > 0,
            ),
            Model(
                "violation-is-page-fault",
                "the guest's own tables allow the write. The second level refuses it, so this is no #PF.",
                always(14),
                lambda facts: facts["vector"] > 0,
            ),
        ),
    ),
    Item(
        "03.border",
        "The input block is aligned, but its last bytes lie in the next page. Which status comes back? 0x…",
        "int",
        "status",
        "The status is {value}.",
        (
            Model(
                "memory-is-memory",
                "both pages are the guest's, but the hypervisor looks up one page for each block and goes no further.",
                always(0),
                lambda facts: facts["answers"] > 0,
            ),
            Model(
                "bad-input",
                "no field has a bad value. It is the place of the block that is refused, before a byte of it is read.",
                always(5),
                lambda facts: facts["answers"] > 0,
            ),
            Model(
                "bad-control-word",
                "RCX is in order here. Only where RDX points is not.",
                always(3),
                lambda facts: facts["answers"] > 0,
            ),
        ),
    ),
    Item(
        "03.unmapped",
        "RDX names a GPA where the guest has no memory. Does the call return a status?",
        "yes",
        "answers",
        "Did a status come back: {value}.",
        (
            Model(
                "every-call-returns",
                "the hypervisor reads the block as the guest would: the hole is an intercept, told to the parent.",
                always(1),
                lambda facts: facts["post"] != 0,
            ),
        ),
    ),
    Item(
        "03.cpl",
        "A program (CPL 3) executes the call instruction itself. Does the hypervisor answer it?",
        "yes",
        "answers",
        "Did the hypervisor answer: {value}.",
        (
            Model(
                "syscall-to-the-host",
                "a hypercall is the kernel's. For a program the instruction does not exist: #UD, in its own kernel.",
                always(1),
                lambda facts: facts["vector"] > 0,
            ),
        ),
    ),
    Item(
        "03.rip",
        "The hypervisor's time is up after 37 of 500 elements, and the guest runs. Does its RIP stand behind the call?",
        "yes",
        "rip",
        "Does RIP stand behind the call: {value}.",
        (
            Model(
                "rip-moves-on",
                "RIP stays. What moved is the start element in RCX, so the same instruction goes on with the list.",
                always(1),
                lambda facts: facts["slices"] > 0,
            ),
        ),
    ),
    Item(
        "03.entries",
        "A list of 1,000 elements, 37 at a time. How often is the hypervisor entered until the call is finished?",
        "int",
        "entries",
        "It was entered {value} times.",
        (
            Model(
                "once-is-enough",
                "it may not keep a processor for so long. After each slice the guest runs, and the same call goes on.",
                always(1),
                lambda facts: facts["slices"] > 0,
            ),
            Model(
                "forgot-the-rest",
                "these are the full slices. One more entry does what is left.",
                lambda story: story.value("slices"),
                lambda facts: facts["answers"] > 0,
            ),
            Model(
                "one-exit-for-each-element",
                "a rep call exists to save this: one entry does a whole slice of the list.",
                lambda story: story.value("count"),
                lambda facts: facts["done"] > 1,
            ),
        ),
    ),
)
