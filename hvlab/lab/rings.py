"""One end of a ring under test, the other end played by the lab: what arrives, who sleeps for ever, who rings in vain.

The lab's end acts between any two steps of the other. It keeps the rules of `hvlab.lab.ends`, each act at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.lab.ends import HEAD, End, Packet, Shared, get, put
from hvlab.lab.exercise import Meter
from hvlab.wire.ring import UNIT, PacketDescriptor, PacketTrailer, PacketType

Act = tuple[int, str, int]  # after so many steps of the end under test: what the other end does, and how often
FOREVER: Final = 1 << 30
MOST_CALLS: Final = 400


@dataclass(frozen=True)
class World:
    """A hidden world.

    Attributes
    ----------
    role : str
        Which end is under test: ``"send"`` or ``"recv"``.
    size, start : int
        Bytes of the ring, and both indices at the beginning.
    packets : tuple
        (transaction, data) of each packet, in order.
    acts : tuple
        What the other end does meanwhile.
    lie : tuple or None
        ``("write_index", value)`` or ``("read_index", value)``: the other end's index; ``("head", bytes)``: a
        descriptor behind the sound packets; ``("later", length8)``: what the first descriptor's length becomes once it
        was read.
    """

    role: str
    size: int
    start: int
    packets: tuple[Packet, ...]
    acts: tuple[Act, ...] = ()
    lie: tuple[str, Any] | None = None


@dataclass
class Outcome:
    """What came of a world."""

    arrived: list[int] = field(default_factory=list)  # numbers from 1 on; 0: not what was sent
    asleep: int = 0
    needless: int = 0
    refused: int = 0


def padded(data: bytes) -> bytes:
    """Fill up to a multiple of eight."""
    return data + bytes(-len(data) % UNIT)


def image(transaction: int, data: bytes, at: int) -> bytes:
    """Return a packet as it has to lie in a ring at `at`."""
    full = padded(data)
    length8 = (HEAD + len(full)) // UNIT
    head = PacketDescriptor.encode(
        type=PacketType.IN_BAND, offset8=HEAD // UNIT, length8=length8, transaction_id=transaction
    )
    return head + full + PacketTrailer.encode(offset=at)


class Play:
    """What both roles have in common: steps, acts that are due, and the end under test."""

    def __init__(self, world: World, meter: Meter, note: Callable[..., None] | None = None) -> None:
        self.world, self.meter, self.note = world, meter, note or (lambda *_words: None)
        self.shared, self.out = Shared(world.size, world.start), Outcome()
        self.end = End(self.shared, meter, self.after)
        self.todo, self.steps, self.calls = sorted(world.acts), 0, 0
        self.rung = False

    def after(self, what: str, where: str | int) -> None:
        """Count a step, and let the other end do what is due."""
        self.steps += 1
        self.note(what, where, self.shared)
        if what == "refuse":
            self.out.refused += 1
        if what == "signal":
            self.heard()
        self.due()

    def heard(self) -> None:
        """A signal came from the end under test."""

    def due(self) -> None:
        while self.todo and self.todo[0][0] <= self.steps:
            _at, what, count = self.todo.pop(0)
            self.act(what, count)

    def act(self, what: str, count: int) -> None:
        """Do one act of the lab's end."""

    def idle(self) -> bool:
        """Go on to the next act; return whether there was one."""
        if not self.todo:
            return False
        self.steps = max(self.steps, self.todo[0][0])
        self.due()
        return True

    def called(self) -> None:
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise RuntimeError("called again and again, and nothing comes of it")


class Sending(Play):
    """The end under test sends; the lab's reader masks, takes, unmasks, looks, sleeps and is woken."""

    def __init__(self, world: World, meter: Meter, note: Callable[..., None] | None = None) -> None:
        super().__init__(world, meter, note)
        self.awake = self.room = False
        self.coming = False  # it was rung for what lies in the ring, and comes
        self.window = False  # the reader has unmasked and not looked yet
        self.changed = False  # it has masked since the sender published: the sender may have seen 0
        if world.lie:
            self.shared.words["read_index"] = world.lie[1]

    def after(self, what: str, where: str | int) -> None:
        if (what, where) == ("store", "write_index"):
            self.changed = False
        super().after(what, where)

    def heard(self) -> None:
        """Take a signal; it was needless if nobody had to be woken, and if the sender could know."""
        excused = self.window or self.changed
        self.out.needless += self.coming or self.awake and not excused
        self.rung = True
        self.coming = not self.awake and self.shared.used > 0  # a late signal may come when all is taken already

    def act(self, what: str, count: int) -> None:
        self.note(f"the reader: {what}", count, self.shared)
        if what == "mask":
            self.awake, self.changed, self.rung, self.coming = True, True, False, False
            self.shared.words["mask"] = 1
        elif what == "take":
            self.take(count)
        elif what == "unmask":
            self.window, self.shared.words["mask"] = True, 0
        elif what == "look":
            self.finish() if self.shared.used else self.sleep()

    def take(self, count: int = FOREVER) -> None:
        """Take packets, at most so many, and publish the read index once."""
        words, before = self.shared.words, self.shared.available
        for _packet in range(count):
            if not (there := self.shared.used) or not self.one(words["read_index"], there):
                break
        pending = words["pending"]
        if pending and before <= pending < self.shared.available:
            self.room = True

    def one(self, at: int, there: int) -> bool:
        """Take one packet; anything but the next one as it has to be is kept as 0, and ends the taking."""
        sent = self.world.packets
        number = len(self.out.arrived)
        right = image(*sent[number], at) if number < len(sent) else b""
        found = get(_bare(self.shared), at, min(there, len(right)))
        good = bool(right) and found == right
        self.out.arrived.append(number + 1 if good else 0)
        self.shared.words["read_index"] = (
            (at + len(right)) % self.world.size if good else self.shared.words["write_index"]
        )
        return good

    def finish(self) -> None:
        self.shared.words["mask"] = 1
        self.take()
        self.sleep()

    def sleep(self) -> None:
        """Sleep: all was taken, so a signal that came meanwhile is answered, too."""
        self.awake = self.rung = self.coming = self.window = False
        self.shared.words["mask"] = 0

    def play(self, send: Callable[[End, bytes, int], Any]) -> Outcome:
        """Let the end under test send all packets."""
        queue = list(self.world.packets)
        self.due()
        while queue and not self.out.refused:
            self.called()
            self.room = False
            transaction, data = queue[0]
            if send(self.end, data, transaction):
                queue.pop(0)
                continue
            while not self.room and not self.out.refused:
                if not self.rests():
                    self.out.asleep = 1
                    queue.clear()
                    break
        while self.rests():
            pass
        if not self.out.refused:
            self.out.asleep |= int(self.shared.used > 0)
        return self.out

    def rests(self) -> bool:
        """Let the reader go on while the sender does nothing; return whether anything happened."""
        if self.idle():
            return True
        if self.awake or self.rung:
            self.finish()
            return True
        return False


class Receiving(Play):
    """The end under test receives; the lab's writer writes, signals by the rule, and waits for room."""

    def __init__(self, world: World, meter: Meter, note: Callable[..., None] | None = None) -> None:
        super().__init__(world, meter, note)
        self.queue, self.owed, self.waits, self.room = list(world.packets), 0, 0, False
        self.lied = False
        if world.lie:
            self.rung = True
            self.lay()

    def lay(self) -> None:
        """Lay the packets of a hostile world, and the lie."""
        assert self.world.lie
        what, value = self.world.lie
        while self.queue:
            self.put(self.queue.pop(0))
        words = self.shared.words
        if what == "head":
            put(_bare(self.shared), words["write_index"], value)
            words["write_index"] = (words["write_index"] + len(value)) % self.world.size
        elif what == "write_index":
            words["write_index"] = value

    def after(self, what: str, where: str | int) -> None:
        lie = self.world.lie
        if lie and lie[0] == "later" and not self.lied and what == "read":
            self.lied = True
            put(_bare(self.shared), (self.world.start + 4) % self.world.size, lie[1].to_bytes(2, "little"))
        super().after(what, where)

    def heard(self) -> None:
        self.out.needless += not self.waits or self.shared.available <= self.waits
        self.room = True

    def due(self) -> None:
        super().due()
        if self.owed and (self.room or not self.waits):
            self.write()

    def act(self, what: str, count: int) -> None:
        self.note(f"the writer: {what}", count, self.shared)
        self.owed += count

    def put(self, packet: Packet) -> bool:
        """Write a packet if there is room; return whether there was."""
        words = self.shared.words
        old = words["write_index"]
        data = image(*packet, old)
        if self.shared.available <= len(data):
            return False
        put(_bare(self.shared), old, data)
        words["write_index"] = (old + len(data)) % self.world.size
        self.rung |= not words["mask"] and words["read_index"] == old
        return True

    def write(self) -> None:
        """Write what is owed; without room say how much is waited for."""
        while self.owed and self.queue:
            if not self.put(self.queue[0]):
                self.waits = self.shared.words["pending"] = len(image(*self.queue[0], 0))
                self.room = False
                return
            self.queue.pop(0)
            self.owed -= 1
        self.waits = self.shared.words["pending"] = 0
        self.owed = self.owed if self.queue else 0

    def play(self, recv: Callable[[End], Any]) -> Outcome:
        """Let the end under test receive whenever it is woken."""
        self.due()
        while not self.out.refused:
            if self.rung:
                self.rung = False
                self.called()
                self.keep(recv(self.end))
                self.due()
            elif not self.idle():
                break
        if not self.out.refused:
            self.out.asleep = int(self.shared.used > 0 or bool(self.waits) or bool(self.queue))
        return self.out

    def keep(self, found: Any) -> None:
        """Compare what was received with what was sent."""
        for one in list(found)[: len(self.world.packets) + 1]:
            number = len(self.out.arrived)
            sent = self.world.packets[number] if number < len(self.world.packets) else None
            right = sent is not None and len(one) == 2 and one[0] == sent[0] and bytes(one[1]) == padded(sent[1])
            self.out.arrived.append(number + 1 if right else 0)


def _bare(shared: Shared) -> End:
    """Return the lab's own end of a ring: nobody counts its steps."""
    return End(shared, Meter(FOREVER), lambda _what, _where: None)


def play(world: World, ends: Any, meter: Meter, note: Callable[..., None] | None = None) -> tuple[Outcome, Shared]:
    """Play a world with (send, recv); return what came of it, and the ring at the end."""
    one = Sending(world, meter, note) if world.role == "send" else Receiving(world, meter, note)
    send, recv = ends
    out = one.play(send) if isinstance(one, Sending) else one.play(recv)
    return out, one.shared
