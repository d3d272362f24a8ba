"""Lesson 07: two partitions exchange letters and doorbells."""

from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.story.synic_state import DELIVERED, DROPPED, MERGED, NO_INTERRUPT, NOT_READY, QUEUED
from hvlab.story.synic_watch import ENDINGS

MET: Final = (
    "hypervisor/synic.py",
    "hypervisor/ports.py",
    "hypervisor/timers.py",
    "hypervisor/overlay.py",
    "lab/letters.py",
)  # where the simplifications that this lesson meets are confessed

ITEMS: Final = (
    Item(
        "07.posts",
        "Nobody reads. The sender posts again and again. Which post is the first that fails?",
        "int",
        "refused_at",
        "The machine refused post {value}.",
        (
            Model(
                "message-is-shared-memory",
                "this takes the slot for shared memory that is full after one message. Behind it "
                "stand sixteen buffers.",
                lambda story: 2,
                lambda facts: facts["waiting"] > 0,
            ),
            Model(
                "slot-keeps-its-buffer",
                "these are sixteen messages in all. The one in the slot was copied there, and its "
                "buffer is free again.",
                lambda story: 17,
                lambda facts: facts["posts"] == 17,
            ),
            Model(
                "queue-has-no-end",
                "then a sender could fill the receiver's memory. A port has sixteen buffers, and no more.",
                lambda story: 0,
                lambda facts: facts["refused_at"] > 0,
            ),
        ),
    ),
    Item(
        "07.interrupts",
        "The sender signals the same flag twice before the receiver looks. How many interrupts are raised?",
        "int",
        "interrupts",
        "The machine raised {value} interrupt.",
        (
            Model(
                "flags-count",
                "this counts signals. A flag that is set already raises nothing: the bit says that, not how often.",
                lambda story: story.value("signals"),
                lambda facts: facts["merged"] > 0,
            ),
            Model(
                "a-flag-is-polled",
                "nobody has to look again and again: a flag that was clear raises its SINT.",
                lambda story: 0,
                lambda facts: facts["interrupts"] > 0,
            ),
        ),
    ),
    Item(
        "07.bits",
        "And how many bits are set then?",
        "int",
        "bits",
        "The machine set {value} bit.",
        (
            Model(
                "flags-count",
                "this counts signals. Both name the same flag, and one flag is one bit.",
                lambda story: story.value("signals"),
                lambda facts: facts["merged"] > 0,
            ),
        ),
    ),
    Item(
        "07.masked",
        "The receiver has masked its SINT. The sender signals. What happens?",
        "pick",
        "ending",
        "By the TLFS: {value}.",
        (
            Model(
                "signal-is-a-message",
                "so it is with a message: it lies in the slot. A signal for a masked source is refused.",
                lambda story: NO_INTERRUPT,
                lambda facts: facts["ending"] == NOT_READY,
            ),
            Model(
                "masked-means-later",
                "nothing waits for the mask to go: the call fails, and no flag is set.",
                lambda story: QUEUED,
                lambda facts: facts["ending"] == NOT_READY,
            ),
            Model(
                "masked-drops-quietly",
                "this is OpenVMM's answer, the second policy. The TLFS tells the sender.",
                lambda story: DROPPED,
                lambda facts: facts["ending"] == NOT_READY,
            ),
        ),
        choices={number: ENDINGS[number] for number in (DELIVERED, NO_INTERRUPT, QUEUED, DROPPED, NOT_READY, MERGED)},
    ),
    Item(
        "07.taken",
        "Two messages were posted. The routine never writes EOM, but ends its interrupt by EOI. How many does it get?",
        "int",
        "taken",
        "The receiver got {value} messages.",
        (
            Model(
                "eom-is-always-needed",
                "an EOI that the hypervisor sees makes it look for the next message, too.",
                lambda story: 1,
                lambda facts: facts["taken"] > 1,
            ),
            Model(
                "reading-needs-no-interrupt",
                "the receiver is told of a message by an interrupt; then it reads.",
                lambda story: 0,
                lambda facts: facts["taken"] > 0,
            ),
        ),
    ),
)
