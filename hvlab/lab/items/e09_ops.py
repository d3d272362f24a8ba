"""Lesson 09, E2: two hundred operations on a ring of 4 KiB; where it then stands, signals and refusals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hvlab.lab.answer import Number, Plain, record
from hvlab.lab.exercise import Exercise, Wrong
from hvlab.lab.ring_bench import HEAD, Bench
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.wire.ring import TRAILER

SIZE: Final = 4096
COUNT: Final = 200
LONGEST: Final = 1200
Op = tuple[str, int, int]  # write: bytes, packets in one update · read: packets, 0 · mask: 0 or 1, 0


@dataclass(frozen=True)
class Ops:
    """A world of E2: what is done to an empty ring whose indices are 0."""

    ops: tuple[Op, ...]


@dataclass
class Ring:
    """A ring as somebody reckons it who holds an idea; none of them: the right one."""

    idea: str = ""
    write: int = 0
    read: int = 0
    mask: int = 0
    signals: int = 0
    refused: int = 0
    waiting: tuple[int, ...] = ()

    @property
    def available(self) -> int:
        """Bytes that are free; what is written is counted, since equal indices may mean a full ring to some."""
        return SIZE - sum(self.waiting)

    def needs(self, size: int) -> int:
        """Return how many bytes a packet takes."""
        padded = size if self.idea == "nothing-is-padded" else -(-size // 8) * 8
        return HEAD + padded + (0 if self.idea == "length-counts-the-trailer" else TRAILER)

    def fits(self, size: int) -> bool:
        need = self.needs(size)
        return self.available >= need if self.idea == "full-is-equal" else self.available > need

    def do(self, op: Op) -> None:
        """Do one operation."""
        what, a, b = op
        if what == "write":
            self.put(a, b)
        elif what == "read":
            self.read = (self.read + sum(self.waiting[:a])) % SIZE
            self.waiting = self.waiting[a:]
        else:
            self.mask = a

    def put(self, size: int, count: int) -> None:
        """Write packets as long as there is room, and decide once."""
        old, done = self.write, 0
        while done < count and self.fits(size):
            self.waiting = (*self.waiting, self.needs(size))
            self.write = (self.write + self.needs(size)) % SIZE
            done += 1
        self.refused += count - done
        if done:
            self.signals += self.rings(old, done)

    def rings(self, old: int, done: int) -> int:
        """Return how often the reader is signalled for packets that were published together."""
        if self.idea == "signal-every-write":
            return done
        if self.idea == "compare-new-write-index":
            return int(not self.mask and self.read == self.write)
        return int((not self.mask or self.idea == "mask-is-ignored") and self.read == old)


def drawn(draw: Draw) -> Ops:
    """Draw operations: the reader sleeps for a while, then is awake; some writes would fill the ring to the brim."""
    ring, ops = Ring(), list[Op]()
    eager = 6
    while len(ops) < COUNT:
        if draw.chance(1, 12):
            eager = draw.pick((3, 6, 9))
        op = one(draw, ring, eager)
        ring.do(op)
        ops.append(op)
    return Ops(tuple(ops))


def one(draw: Draw, ring: Ring, eager: int) -> Op:
    """Draw one operation; `eager`: how many of ten read."""
    if draw.chance(1, 8):
        return "mask", draw.below(2), 0
    if draw.chance(eager, 10):
        return "read", draw.pick((1, 1, 2, 3, 50)), 0
    brim = ring.available - HEAD - TRAILER
    if 0 < brim <= LONGEST and draw.chance(1, 3):
        return "write", brim, 1
    return "write", draw.between(1, draw.pick((60, 600, LONGEST))), draw.pick((1, 1, 1, 2, 3))


def do(bench: Bench, op: Op) -> None:
    """Let the engine do one operation."""
    what, a, b = op
    if what == "write":
        bench.write(a, b)
    elif what == "read":
        bench.read(a)
    else:
        bench.mask(a)


@lru_cache(maxsize=64)
def truth(world: Ops) -> Plain:
    """Return (read index, write index, signals, refusals), by the engine."""
    bench = Bench(SIZE)
    for op in world.ops:
        do(bench, op)
    return bench.read_index, bench.write_index, bench.signals, bench.refused


def believed(world: Ops, idea: str) -> Plain:
    """Return what somebody reckons who holds an idea."""
    ring = Ring(idea)
    for op in world.ops:
        ring.do(op)
    return ring.read, ring.write, ring.signals, ring.refused


def held(idea: str) -> Callable[[Ops], Plain]:
    """Return what somebody who holds an idea answers."""
    return lambda world: believed(world, idea)


def short(op: Op) -> str:
    """Write an operation: w52, w52*3, r2, m1."""
    what, a, b = op
    return f"{what[0]}{a}" + (f"*{b}" if b > 1 else "")


class Look:
    """The operations, for a program."""

    def __init__(self, world: Ops) -> None:
        self.operations = list(world.ops)


def ask(world: Ops) -> str:
    """Say the task."""
    return _(
        "An empty ring with {size} bytes of data, both indices 0, mask 0. {count} operations follow: w52 writes one "
        "in-band packet with 52 bytes of data, w52*3 three of them with one update of the index (as many as there is "
        "room for; each of the others is refused), r2 reads at most two packets, m1 and m0 set the mask (nobody looks "
        "again after m0). Where do read index and write index stand at the end, how often was the reader signalled, "
        "how many packets were refused? task('09.E2').look.operations has them as (what, number, packets).\n{ops}"
    ).format(size=SIZE, count=len(world.ops), ops=" ".join(short(op) for op in world.ops))


def lines(world: Ops) -> Iterator[str]:
    """Say what the worked run came to at its first turns, and at its end."""
    bench, told = Bench(SIZE), 0
    for k, op in enumerate(world.ops):
        before = bench.signals, bench.refused
        do(bench, op)
        if (turn := (bench.signals, bench.refused)) != before and told < 12:
            told += 1
            text = _("{k}: {op} leaves read {read:#x}, write {write:#x}; {signals} signals, {refused} refused so far.")
            words = {"read": bench.read_index, "write": bench.write_index, "signals": turn[0], "refused": turn[1]}
            yield text.format(k=k, op=short(op), **words)
    yield _("At the end: read {read:#x}, write {write:#x}, {signals} signals, {refused} refused.").format(
        read=bench.read_index, write=bench.write_index, signals=bench.signals, refused=bench.refused
    )


E2: Final = Exercise(
    id="09.E2",
    version=1,
    kind="compute",
    shape=record(
        read=Number(high=SIZE - 1), write=Number(high=SIZE - 1), signals=Number(high=9999), refused=Number(high=9999)
    ),
    make=drawn,
    ask=ask,
    truth=truth,
    tested=N_("200 operations on one ring; not tested: a writer that waits, other kinds of packets"),
    hints=(
        N_("Phases *fill* and *publish*: how many bytes does a packet of 52 bytes take, with all that is around it?"),
        N_("Sub-goal: keep a list of what waits. A write compares what is free with what it takes; then one decision."),
    ),
    wrong=(
        Wrong("full-is-equal", N_("a packet that would fill the ring is refused, too: equal indices mean empty."),
              "ring-free", held("full-is-equal"), asks=N_("How would a reader know a full ring from an empty one?")),
        Wrong("length-counts-the-trailer", N_("eight bytes stand behind what length8 counts."), "ring-packet",
              held("length-counts-the-trailer"), asks=N_("Where does a packet of 52 bytes leave the write index?")),
        Wrong("nothing-is-padded", N_("data are padded to a multiple of eight."), "ring-packet",
              held("nothing-is-padded"), asks=N_("May an index be 76?")),
        Wrong("signal-every-write", N_("a reader that has not taken everything yet, or has set the mask, needs no "
              "signal."), "ring-signal", held("signal-every-write"), asks=N_("Who reads what two writes left?")),
        Wrong("compare-new-write-index", N_("the read index is compared with where the write index stood before."),
              "ring-signal", held("compare-new-write-index"), asks=N_("Can both be equal after a write?")),
        Wrong("mask-is-ignored", N_("while the mask is 1 no write signals."), "ring-mask", held("mask-is-ignored"),
              asks=N_("What does a reader that is awake want?")),
    ),
    look=Look,
    steps=lambda world: list(lines(world)),
)  # fmt: skip
