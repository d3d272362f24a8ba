"""Lesson 09, exercises: VMBus is memory, letters and doorbells."""

from typing import Final

from hvlab.hardware.memory import PAGE
from hvlab.lab.answer import Number
from hvlab.lab.exercise import Exercise, Wrong, in_own_words
from hvlab.lab.items.e09_ends import E3
from hvlab.lab.items.e09_gpadl import E1
from hvlab.lab.items.e09_ops import E2
from hvlab.lab.ring_bench import HEAD, Bench
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.vmbus.gpadl import messages
from hvlab.wire import vmbus
from hvlab.wire.ring import TRAILER

World = dict[str, int]

# exit -----------------------------------------------------------------------------------------------------------------


def unread(draw: Draw) -> World:
    """Draw a ring that nobody reads, and packets of one size; half of the rings would be full to the byte."""
    size, data = PAGE * draw.between(1, 3), draw.between(24, 400)
    if draw.chance(1, 2):
        needs = draw.pick([one for one in range(64, 512, 8) if size % one == 0])
        data = needs - HEAD - TRAILER - draw.below(8)
    return {"size": size, "data": data}


def taken(world: World) -> int:
    """Return how many packets go in, by the engine."""
    return Bench(world["size"]).write(world["data"], world["size"] // needs(world) + 1)


def needs(world: World) -> int:
    """Return how many bytes a packet takes."""
    return HEAD + -(-world["data"] // 8) * 8 + TRAILER


def ask_unread(world: World) -> str:
    """Say what the exit asks."""
    return _(
        "A ring has {size} bytes of data, and nobody reads. A guest writes in-band packets with {data} bytes of data "
        "each, one after the other. How many of them go in?"
    ).format(size=f"{world['size']:,}", data=world["data"])


UNREAD_WRONG: Final = (
    Wrong(
        "full-is-equal",
        N_("the ring is never filled: a packet that would leave nothing free is refused."),
        "ring-free",
        lambda world: None if world["size"] % needs(world) else world["size"] // needs(world),
    ),
    Wrong(
        "length-counts-the-trailer",
        N_("behind each packet stand eight bytes more than its length says."),
        "ring-packet",
        lambda world: (world["size"] - 1) // (needs(world) - TRAILER),
    ),
    Wrong(
        "data-only",
        N_("a descriptor of sixteen bytes and a trailer of eight stand around the data."),
        "ring-packet",
        lambda world: world["size"] // world["data"],
    ),
)

X1: Final = Exercise(
    id="09.X1",
    version=1,
    kind="exit",
    shape=Number(high=99_999),
    make=unread,
    ask=ask_unread,
    truth=taken,
    tested=N_("one ring, one size of packets, nobody reads"),
    hints=(
        N_("How many bytes does one packet take, with all that stands around its data?"),
        N_("Count how many fit; then ask whether the last one would leave nothing free."),
    ),
    wrong=UNREAD_WRONG,
)
X2: Final = in_own_words(
    "09.X2",
    N_(
        "The overview says: all access to physical memory by a child is via VMBus or the hypervisor. Correct the "
        "sentence with what a packet carries, and who reads the page that it names."
    ),
)

# warm-up --------------------------------------------------------------------------------------------------------------


def some_pages(draw: Draw) -> World:
    """Draw a number of pages that needs bodies."""
    return {"pages": draw.between(27, 400), "channel": draw.between(1, 60)}


def said(world: World) -> int:
    """Return how many messages name them, by the lab's own guest."""
    return len(messages(world["channel"], vmbus.FIRST_GPADL, range(0x100, 0x100 + world["pages"])))


def some_writes(draw: Draw) -> World:
    """Draw writes into an empty ring while nobody reads, some under the mask."""
    return {"masked": draw.between(1, 9), "open": draw.between(1, 9), "reads": draw.between(1, 3)}


def rung(world: World) -> int:
    """Return how many signals they make, by the engine."""
    bench = Bench()
    bench.mask(1)
    for _write in range(world["masked"]):
        bench.write(8)
    bench.mask(0)
    for _write in range(world["open"]):
        bench.write(8)
    for _read in range(world["reads"]):
        bench.read(99)
        bench.write(8)
        bench.write(8)
    return bench.signals


SHORTS: Final = (
    Exercise(
        id="09.short.messages",
        version=1,
        kind="recall",
        shape=Number(high=99_999),
        make=some_pages,
        ask=lambda world: _("A guest names {pages} pages as one range. How many messages does it take?").format(
            pages=world["pages"]
        ),
        truth=said,
        tested=N_("one range"),
        hints=(
            N_("How many page numbers go with the header, how many with each body?"),
            N_("26 in the header; the rest in pieces of 28."),
        ),
        wrong=(
            Wrong(
                "bus-copies-the-data",
                N_("pages are named, not copied: eight bytes for each of them."),
                "gpadl-pages",
                lambda world: -(-world["pages"] * PAGE // vmbus.MAX_MESSAGE),
            ),
            Wrong(
                "one-message-a-page",
                N_("a message carries as many numbers as have room in it."),
                "gpadl-messages",
                lambda world: world["pages"],
            ),
        ),
    ),
    Exercise(
        id="09.short.signals",
        version=1,
        kind="recall",
        shape=Number(high=999),
        make=some_writes,
        ask=lambda world: _(
            "An empty ring. The reader sets its mask; {masked} packets are written. It clears the mask and looks at "
            "nothing; {open} more are written. Then {reads} times: it reads everything, and two packets are written. "
            "How many signals?"
        ).format(**world),
        truth=rung,
        tested=N_("one ring, packets of 8 bytes"),
        hints=(
            N_("When is a reader signalled: two things must hold."),
            N_("The mask is 0, and the ring was empty before this write."),
        ),
        wrong=(
            Wrong(
                "signal-every-write",
                N_("only a write into an empty ring has to wake anybody."),
                "ring-signal",
                lambda world: world["masked"] + world["open"] + 2 * world["reads"],
            ),
            Wrong(
                "unmasking-rings",
                N_("clearing the mask signals nothing by itself: the reader has to look again."),
                "ring-mask",
                lambda world: world["reads"] + 1,
            ),
        ),
    ),
)
EXERCISES: Final = (E1, E2, E3, X1, X2)
