"""A hidden world of 09.E3 as a story: the lab's own pair on a ring, told by the events of a ring.

The words of the control page change in plain memory here; after each step what changed is told as the engine tells it.
"""

from hvlab.lab.ends import Ends, Shared
from hvlab.lab.exercise import Meter
from hvlab.lab.rings import FOREVER, World, play
from hvlab.machine import Machine
from hvlab.story.channels import ChannelLens
from hvlab.story.storyboard import Storyboard
from hvlab.wire.ring import UNIT, PacketType

CHANNEL = 1
SMALL = 64 * 4096
EMPTY, AWAKE, MASKED = 3, 1, 2  # why a signal is made or saved: ENUMS, "bell"
CANNOT_BE = 2  # ENUMS, "verdict"


class Teller:
    """Tells what changes in a ring, each by the virtual processor whose word it is."""

    def __init__(self, machine: Machine, guest: int, world: World) -> None:
        self.hv, self.world = machine.hv, world
        self.ring = 1 if world.role == "send" else 2
        self.writer, self.reader = (guest, 0) if self.ring == 1 else (0, guest)
        self.words = Shared(world.size, world.start).words
        self.old = world.start  # the write index before the last write

    def tell(self, actor: int, name: str, **words: int) -> None:
        """Tell one event."""
        with self.hv.action(actor):
            self.hv.tell(name, channel=CHANNEL, ring=self.ring, **words)

    def note(self, what: str, where: str | int, shared: Shared) -> None:
        """Tell what changed since the last step, and what this step is."""
        was, self.words = self.words, dict(shared.words)
        for word, name in (("mask", self.mask), ("pending", self.pending), ("write_index", self.written),
                           ("read_index", self.read)):  # fmt: skip
            if was[word] != self.words[word]:
                name(was[word], self.words[word], shared)
        if what == "signal":
            self.signalled(shared)
        if what == "refuse":
            tester = self.writer if self.world.role == "send" else self.reader
            self.tell(tester, "packet_rejected", at=self.words["read_index"], verdict=CANNOT_BE, policy=0)

    def mask(self, _old: int, new: int, _shared: Shared) -> None:
        self.tell(self.reader, "interrupt_mask_set", value=new)

    def pending(self, _old: int, new: int, _shared: Shared) -> None:
        self.tell(self.writer, "pending_size_set", size=new)

    def written(self, old: int, new: int, shared: Shared) -> None:
        self.old = old
        words = {"at": old, "length": (new - old) % shared.size - UNIT, "kind": int(PacketType.IN_BAND)}
        self.tell(self.writer, "packet_written", transaction=0, **words)
        self.tell(self.writer, "write_index_published", old=old, new=new)

    def read(self, old: int, new: int, shared: Shared) -> None:
        words = {"at": old, "length": (new - old) % shared.size - UNIT, "kind": int(PacketType.IN_BAND)}
        self.tell(self.reader, "packet_read", transaction=0, **words)
        self.tell(self.reader, "read_index_published", old=old, new=new)

    def signalled(self, shared: Shared) -> None:
        """The end under test rings: the writer for a packet, the reader for room."""
        words = self.words
        if self.world.role == "send":
            bell = {"mask": words["mask"], "read_index": words["read_index"], "old_index": self.old, "why": EMPTY}
            self.tell(self.writer, "doorbell_rung", **bell)
            return
        free = shared.available - UNIT
        self.tell(self.reader, "room_signalled", before=0, free=free, pending=words["pending"])


def told(world: World) -> Storyboard:
    """Return a world's run, as the lab's own pair has it."""
    machine = Machine(memory=4 << 20)
    guest = machine.child("web", memory=SMALL)
    teller, ends = Teller(machine, guest.vp.number, world), Ends()
    with machine.hv.action(guest.vp.number):
        for ring in (1, 2):
            words = {"channel": CHANNEL, "ring": ring, "size": world.size, "gpa": 4096 * ring, "side": 2}
            machine.hv.tell("ring_begun", **words)
    before = machine.trace
    with machine.action():
        play(world, (ends.send, ends.recv), Meter(FOREVER), teller.note)
    return ChannelLens("event", before=before).story(machine.trace)
