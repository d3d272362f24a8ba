"""The receiver's side of a SINT, step by step, and the routines that empty it: the right one, and wrong ones by name.

A routine is a function of a `Desk`; it returns the messages and flags that it took. Between any two of its steps the
sender may act: `Desk.after` is told each step.
"""

from collections.abc import Callable
from typing import Final

from hvlab.errors import BadRequest
from hvlab.hypervisor import clockwork, synic_ops
from hvlab.hypervisor.core import Hypervisor
from hvlab.wire.tlfs import MessageHeader

SLOT, WORDS = 256, 32
Taken = tuple[list[int], list[int]]  # messages (the first eight bytes of each as a number), flags
Routine = Callable[["Desk"], Taken]
MOST_RUNS: Final = 64  # runs of a routine without an end: it spins


class Desk:
    """What the routine of one SINT can do.

    Parameters
    ----------
    hv, vp, sint
        Whose SynIC.
    after
        Told after each step, by its name.
    """

    def __init__(self, hv: Hypervisor, vp: int, sint: int, after: Callable[[str], None] = lambda step: None) -> None:
        self._hv, self._vp, self._sint, self._after = hv, vp, sint, after
        synic = hv.state["synic"][0, vp]
        self._message = (int(synic["message_spn"]) << 12) + SLOT * sint
        self._flags = (int(synic["flags_spn"]) << 12) + SLOT * sint

    # the engine's side -----------------------------------------------------------------------------------------------

    def _op(self, op: int, *words: int) -> int:
        return int(self._hv.turn([(0, op, self._vp, *words)])[0])

    def _tell(self, event: str, step: str, **words: int) -> None:
        self._hv.tell(event, sint=self._sint, **words)
        self._after(step)

    def take_interrupt(self) -> int:
        """Take the highest interrupt that waits: its vector, or -1."""
        return self._op(int(clockwork.ACCEPT))

    def end_interrupt(self) -> None:
        """Write EOI."""
        self._op(int(clockwork.EOI))

    def begin(self, vector: int) -> None:
        """The routine begins."""
        self._tell("routine_begun", "begin", vector=vector)

    def end(self) -> None:
        """The routine ends."""
        self._tell("routine_ended", "end")

    # what a routine may do -------------------------------------------------------------------------------------------

    def copy(self) -> tuple[int, int]:
        """Return (type, first eight bytes of the payload as a number) of the message in the slot; type 0: none."""
        header = MessageHeader.decode(self._hv.memory.read(self._message, 16))
        word = int.from_bytes(self._hv.memory.read(self._message + 16, 8), "little")
        words = {"kind": header.type, "size": header.payload_size, "word": word, "spa": self._message}
        self._tell("message_copied", "copy", **words)
        return header.type, word

    def kind(self) -> int:
        """Return the type in the slot, and copy nothing."""
        found = int.from_bytes(self._hv.memory.read(self._message, 4), "little")
        self._after("kind")
        return found

    def free(self) -> None:
        """Set the type in the slot to 0: the slot is free."""
        kind = int.from_bytes(self._hv.memory.read(self._message, 4), "little")
        self._hv.store(self._message, bytes(4), gva=0)
        self._tell("slot_freed", "free", kind=kind, spa=self._message)

    def barrier(self) -> None:
        """Pass a full barrier."""
        self._tell("barrier_passed", "barrier")

    def pending(self) -> int:
        """Return MessagePending: 1 if another message waits for the slot."""
        found = self._hv.memory.read(self._message + 5, 1)[0] & 1
        self._tell("pending_tested", "pending", pending=found)
        return found

    def eom(self) -> None:
        """Write EOM: the hypervisor looks for the next message."""
        self._op(int(synic_ops.EOM))
        self._after("eom")

    def flags(self) -> list[int]:
        """Return the flags that are set, by ordinary reads."""
        data = self._hv.memory.read(self._flags, SLOT)
        words = [int.from_bytes(data[8 * k : 8 * k + 8], "little") for k in range(WORDS)]
        for k, word in enumerate(words):
            if word:
                self._hv.tell("flags_read", sint=self._sint, word=k, value=word)
        self._after("flags")
        return [64 * k + bit for k, word in enumerate(words) for bit in range(64) if word >> bit & 1]

    def clear(self, flag: int) -> int:
        """Clear a flag by a locked operation; return what it was."""
        spa = self._flags + 8 * (flag >> 6)
        old = int.from_bytes(self._hv.memory.read(spa, 8), "little")
        new = old & ~(1 << (flag & 63))
        if old != new:
            self._hv.memory.write(spa, new.to_bytes(8, "little"))
            self._hv.tell("event_flag_cleared", sint=self._sint, flag=flag, spa=spa, old=old, new=new)
        self._after("clear")
        return old >> (flag & 63) & 1

    def flag(self, flag: int) -> bool:
        """Whether a flag is set; no step of a routine."""
        word = int.from_bytes(self._hv.memory.read(self._flags + 8 * (flag >> 6), 8), "little")
        return bool(word >> (flag & 63) & 1)

    def overwrite(self, word: int) -> None:
        """Write 0 over a word of the flags, without a lock."""
        spa = self._flags + 8 * word
        old = int.from_bytes(self._hv.memory.read(spa, 8), "little")
        self._hv.memory.write(spa, bytes(8))
        self._tell("flags_overwritten", "overwrite", word=word, old=old, spa=spa)


def receive(desk: Desk, routine: Routine) -> Taken:
    """Let a receiver run its routine for each interrupt that waits, until there is none; return all that it took."""
    messages, flags = list[int](), list[int]()
    for _run in range(MOST_RUNS):
        with desk._hv.action(desk._vp):
            vector = desk.take_interrupt()
            if vector < 0:
                break
            desk.begin(vector)
            taken = routine(desk)
            desk.end()
            desk.end_interrupt() if in_service(desk) else None
        messages += taken[0]
        flags += taken[1]
    return messages, flags


def in_service(desk: Desk) -> bool:
    """Whether an interrupt of the receiver's is in service: one without auto-EOI."""
    return bool(desk._hv.state["apic"][0, desk._vp]["isr"].any())


# routines ------------------------------------------------------------------------------------------------------------


def right(desk: Desk) -> Taken:
    """Copy, free, barrier, test, EOM if a message waits; flags one by one, each by a locked operation."""
    found, word = desk.copy()
    messages = [word] if found else []
    if found:
        desk.free()
        desk.barrier()
        if desk.pending():
            desk.eom()
    return messages, scan(desk)


def scan(desk: Desk) -> list[int]:
    """Take the flags that are set, each by a locked operation."""
    return [flag for flag in desk.flags() if desk.clear(flag)]


def test_then_clear(desk: Desk) -> Taken:
    """It looks at MessagePending while the slot is still full."""
    found, word = desk.copy()
    if not found:
        return [], scan(desk)
    pending = desk.pending()
    desk.free()
    desk.barrier()
    if pending:
        desk.eom()
    return [word], scan(desk)


def no_eom(desk: Desk) -> Taken:
    """It never writes EOM."""
    found, word = desk.copy()
    if found:
        desk.free()
        desk.barrier()
        desk.pending()
    return ([word] if found else []), scan(desk)


def always_eom(desk: Desk) -> Taken:
    """It writes EOM after each message, whether or not another one waits."""
    found, word = desk.copy()
    if found:
        desk.free()
        desk.barrier()
        desk.eom()
    return ([word] if found else []), scan(desk)


def copy_late(desk: Desk) -> Taken:
    """It frees the slot first, and copies what then lies there."""
    if not desk.kind():
        return [], scan(desk)
    desk.free()
    _found, word = desk.copy()
    desk.barrier()
    if desk.pending():
        desk.eom()
    return [word], scan(desk)


def one_flag(desk: Desk) -> Taken:
    """It takes one flag, and expects an interrupt for each of the others."""
    found, word = desk.copy()
    if found:
        desk.free()
        desk.barrier()
        if desk.pending():
            desk.eom()
    return ([word] if found else []), [flag for flag in desk.flags()[:1] if desk.clear(flag)]


def plain_flags(desk: Desk) -> Taken:
    """It reads the words of flags and writes 0 over them."""
    found, word = desk.copy()
    if found:
        desk.free()
        desk.barrier()
        if desk.pending():
            desk.eom()
    flags = desk.flags()
    for one in sorted({flag >> 6 for flag in flags}):
        desk.overwrite(one)
    return ([word] if found else []), flags


ORDERS: Final[dict[str, Routine]] = {
    "right": right,
    "test-then-clear": test_then_clear,
    "no-eom": no_eom,
    "always-eom": always_eom,
    "copy-late": copy_late,
    "plain-flags": plain_flags,
    "one-flag": one_flag,
}


def routine_of(order: str) -> Routine:
    """Return a routine by its name."""
    if order not in ORDERS:
        raise BadRequest(f"the order {order!r}", "", ", ".join(ORDERS))
    return ORDERS[order]
