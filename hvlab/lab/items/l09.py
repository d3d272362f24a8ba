"""Lesson 09: VMBus is memory, letters and doorbells."""

from typing import Final

from hvlab.lab.items import Item, Model
from hvlab.wire import vmbus

MET: Final = (
    "hypervisor/window.py",
    "child/kernel.py",
    "root/vmbus.py",
    "vmbus/guest_base.py",
    "vmbus/host_base.py",
    "vmbus/endpoint.py",
    "vmbus/monitor.py",
    "vmbus/engine/words.py",
    "lab/doorbells.py",
    "lab/ends.py",
)  # where the simplifications that this lesson meets are confessed

PAGES: Final = 130
ROOM = "k1r1_"  # the facts of channel 1's ring from guest to host begin so

ITEMS: Final = (
    Item(
        "09.messages",
        "A guest shares 130 pages, 532,480 bytes. How many messages does it send to name them?",
        "int",
        "naming",
        "The guest sent {value} messages.",
        (
            Model(
                "bus-copies-the-data",
                "this carries the pages' bytes. Only their numbers travel, eight bytes each; the host maps the pages.",
                lambda story: -(-PAGES * 4096 // vmbus.MAX_MESSAGE),
                lambda facts: facts["naming"] > 1,
            ),
            Model(
                "one-message-a-page",
                "a message of 240 bytes has room for more than one number of eight bytes.",
                lambda story: PAGES,
                lambda facts: facts["naming"] > 1,
            ),
            Model(
                "one-list-one-message",
                "a SynIC message ends after 240 bytes: the header names 26 pages, bodies name the rest.",
                lambda story: 1,
                lambda facts: facts["naming"] > 1,
            ),
        ),
    ),
    Item(
        "09.full",
        "4,096 bytes of ring, one packet of 80 bytes in it. The next one takes exactly the 4,016 bytes that are left. "
        "How many packets are in the ring then?",
        "int",
        f"{ROOM}writes",
        "The ring holds {value} packet.",
        (
            Model(
                "full-is-equal",
                "then write index and read index were equal, and equal means empty. Eight bytes always stay free.",
                lambda story: 2,
                lambda facts: facts[f"{ROOM}refused"] > 0,
            ),
            Model(
                "writing-delivers",
                "a write only puts bytes into shared pages. They lie there until the host reads them.",
                lambda story: 0,
                lambda facts: facts[f"{ROOM}refused"] > 0,
            ),
        ),
    ),
    Item(
        "09.masked",
        "The host reads; its mask is 1. The guest writes ten packets. How many signals does it send?",
        "int",
        f"{ROOM}signals",
        "The guest sent {value} signals.",
        (
            Model(
                "signal-every-write",
                "a reader that is awake finds the packets by itself: it looks until the ring is empty.",
                lambda story: 10,
                lambda facts: facts[f"{ROOM}saved"] > 0,
            ),
            Model(
                "mask-is-ignored",
                "the ring was empty before the first one, but the mask is looked at first.",
                lambda story: 1,
                lambda facts: facts[f"{ROOM}saved"] > 0,
            ),
        ),
    ),
    Item(
        "09.closed",
        "The guest sends CLOSECHANNEL. How many messages come back for it?",
        "int",
        "closed_answers",
        "CLOSECHANNEL got {value} messages back.",
        (
            Model(
                "all-is-answered",
                "most requests are answered, this one is not. What comes back later answers GPADL_TEARDOWN.",
                lambda story: 1,
                lambda facts: facts["heard"] > 1,
            ),
        ),
    ),
)
