"""Two partitions, a port and a connection: what a lesson does with letters and doorbells, one line each.

The receiver ``web`` has its SynIC switched on; the sender ``db`` may post through connection 4 and signal through
connection 5. The root, which made both, wired them: neither can do that alone.

SIMPLER THAN REAL: processors of this machine do not reorder reads and writes, so a routine without a barrier behaves
as if it had one; on a real one the read of MessagePending may come before the write of the type.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hvlab.child.discovery import enable_synic, establish
from hvlab.errors import BadRequest
from hvlab.hardware.memory import PAGE
from hvlab.hardware.processor import READ
from hvlab.hypervisor import hypercall, synic_ops
from hvlab.hypervisor.vp import Fault
from hvlab.lab.receiver import ORDERS, Desk, Routine, receive, routine_of
from hvlab.lab.recorded import Recorded
from hvlab.machine import Machine
from hvlab.story.synic import SynicLens
from hvlab.trace.journal import Trace
from hvlab.wire.synic import PAYLOAD, ConnectionInfo, EventPortInfo, MessagePortInfo, PortType, Sint, StimerConfig
from hvlab.wire.tlfs import Msr, Status

SINT, VECTOR = 2, 0xF3
MESSAGES, SIGNALS = 4, 5  # numbers of port and connection
OTHER, OTHER_SINT = 6, 3  # of a bench: messages for another source
MESSAGE_PAGE, FLAGS_PAGE, CALL_PAGE, INPUT_PAGE = 20, 21, 22, 23  # guest pages
FLAG_COUNT: Final = 128
POLICIES: Final = ("tlfs", "openvmm")
FEW: Final = 4  # more posts or signals than that are told one frame each
UNIT: Final = 100  # nanoseconds of reference time


@dataclass(frozen=True, repr=False)
class Run(Recorded):
    """What one line did.

    Attributes
    ----------
    statuses : tuple of Status
        What the calls answered.
    """

    statuses: tuple[Status, ...] = ()

    @property
    def lens(self) -> SynicLens:
        return SynicLens(self.grain, before=self.before)

    def __add__(self, other: "Run") -> "Run":
        return replace(super().__add__(other), statuses=self.statuses + other.statuses)

    def __repr__(self) -> str:
        told = ", ".join(status.name for status in dict.fromkeys(self.statuses))
        return f"Run({len(self.trace)} events{', ' + told if told else ''})"


class Letters:
    """A machine with two partitions that can write to each other.

    Parameters
    ----------
    auto_eoi, masked : bool
        How the receiver sets its SINT.
    policy : str
        What a signal for a masked SINT comes to: ``"tlfs"`` (the call fails) or ``"openvmm"`` (nothing at all).
    buffers : int
        How many messages may wait at the port; 16 on a real one.

    Attributes
    ----------
    machine : Machine
    web, db : Child
        Receiver and sender.
    wiring : Run
        How all of it was made.
    """

    def __init__(self, auto_eoi: bool = True, masked: bool = False, policy: str = "tlfs", buffers: int = 16) -> None:
        if policy not in POLICIES or not 1 <= buffers <= 16:
            raise BadRequest(f"policy {policy!r}, {buffers} buffers", "", "tlfs or openvmm, 1 to 16 buffers")
        self.machine = machine = Machine(memory=2 << 20)
        self.hv = machine.hv
        self.web = machine.child("web", memory=64 * PAGE, pool=12)
        self.db = machine.child("db", memory=32 * PAGE, pool=4)
        books = machine.state["messages"][0]
        books["openvmm_signal"], books["buffers"] = policy == "openvmm", buffers
        with machine.action():
            for child in (self.web, self.db):
                self._done(establish(child.vp, CALL_PAGE))
            self._done(enable_synic(self.web.vp, MESSAGE_PAGE, FLAGS_PAGE, VECTOR, SINT, auto_eoi))
            if masked:
                self._done(
                    self.web.vp.wrmsr(Msr.SINT0 + SINT, Sint.encode(vector=VECTOR, masked=1, auto_eoi=int(auto_eoi)))
                )
            self.wire(MESSAGES)
            self.wire(SIGNALS, flags=FLAG_COUNT)
        self.before = machine.trace
        self.wiring = Run(machine.trace, Trace(machine.trace.rows[:0]))

    @staticmethod
    def _done(fault: Fault | int | None) -> None:
        if isinstance(fault, Fault):
            raise BadRequest("to set up the SynIC", fault.kind, "a machine in its first state")

    # wiring ----------------------------------------------------------------------------------------------------------

    def wire(self, number: int, sint: int = SINT, flags: int = 0) -> None:
        """Let the root make a port of the receiver, and the sender's connection to it, both with this number."""
        kind = PortType.EVENT if flags else PortType.MESSAGE
        if flags:
            info = EventPortInfo.encode(type=kind, sint=sint, flag_count=flags)
        else:
            info = MessagePortInfo.encode(type=kind, sint=sint)
        to, sender, winhv = self.web.partition_id, self.db.partition_id, self.machine.vid.winhv
        winhv.call("CreatePort", for_whom=to, port_partition=to, port_id=number, connection_partition=sender, info=info)
        winhv.call(
            "ConnectPort",
            for_whom=sender,
            connection_partition=sender,
            connection_id=number,
            port_partition=to,
            port_id=number,
            info=ConnectionInfo.encode(type=kind),
        )

    # what sender and receiver do -------------------------------------------------------------------------------------

    @contextmanager
    def _acting(self) -> Iterator[None]:
        with self.machine.action():
            yield

    def _run(self, statuses: Sequence[int] = (), many: bool = False) -> Run:
        trace = self.machine.trace
        run = Run(trace, self.before, "request" if many else "event", tuple(Status(one) for one in statuses))
        self.before = self.before + trace
        return run

    def post(self, payload: bytes = b"hello", times: int = 1, kind: int = 1) -> Run:
        """Let the sender post a message, or the same one many times.

        Raises
        ------
        BadRequest
            For a payload that no message can carry.
        """
        if len(payload) > PAYLOAD:
            raise BadRequest(f"a payload of {len(payload)} bytes", "", f"at most {PAYLOAD}")
        with self._acting():
            said = [self.db.vp.post_message(MESSAGES, kind, payload, INPUT_PAGE * PAGE) for _ in range(times)]
        return self._run([_status(one) for one in said], times > FEW)

    def signal(self, flag: int = 0, times: int = 1) -> Run:
        """Let the sender signal a flag."""
        with self._acting():
            said = [self.db.vp.signal_event(SIGNALS, flag) for _ in range(times)]
        return self._run([_status(one) for one in said], times > FEW)

    def read(self, order: str = "right", meanwhile: str = "", flag: int = -1) -> Run:
        """Let the receiver take its interrupts, each by a run of its routine.

        Parameters
        ----------
        order
            One of `ORDERS`: the right one, or one with a mistake that has a name.
        meanwhile
            After the first of these steps (``"copy"``, ``"free"``, ``"barrier"``, ``"pending"``, ``"eom"``,
            ``"flags"``, ``"clear"``) the sender posts a message, or signals `flag` if one is given.
        """
        routine, once = routine_of(order), [meanwhile]

        def after(step: str) -> None:
            if once and step == once[0]:
                once.clear()
                with self.hv.action(self.db.vp.number):
                    said = self.db.vp.signal_event(SIGNALS, flag) if flag >= 0 else self._letter()
                    _status(said)

        with self._acting():
            self.receive(routine, after)
        return self._run()

    def _letter(self) -> int | Fault:
        return self.db.vp.post_message(MESSAGES, 1, b"meanwhile", INPUT_PAGE * PAGE)

    def receive(self, routine: Routine, after: Callable[[str], None] = lambda step: None) -> None:
        """Let the receiver run a routine for each interrupt that it has."""
        receive(Desk(self.hv, self.web.vp.number, SINT, after), routine)

    def eom(self) -> Run:
        """Let the receiver write EOM."""
        self._done(self.web.vp.wrmsr(Msr.EOM, 0))
        return self._run()

    def free(self) -> Run:
        """Let the receiver write 0 over the type in its slot, and do nothing else."""
        self._done(self.web.vp.write_gpa(MESSAGE_PAGE * PAGE + 256 * SINT, bytes(4)))
        return self._run()

    def mask(self, on: bool = True) -> Run:
        """Let the receiver mask its SINT, or unmask it."""
        word = Sint.decode(int(self._value(self.web.vp.rdmsr(Msr.SINT0 + SINT))))
        fields = {"vector": word.vector, "auto_eoi": word.auto_eoi, "masked": int(on)}
        self._done(self.web.vp.wrmsr(Msr.SINT0 + SINT, Sint.encode(**fields)))
        return self._run()

    def _value(self, found: int | Fault) -> int:
        self._done(found)
        assert isinstance(found, int)
        return found

    def timer(self, microseconds: int, again: bool = False, lazy: bool = False, number: int = 0) -> Run:
        """Let the receiver set a timer that sends to its SINT: once after so many microseconds, or again and again."""
        units, vp = microseconds * 1000 // UNIT, self.web.vp
        count = units if again else self._value(vp.rdmsr(Msr.TIME_REF_COUNT)) + units
        word = StimerConfig.encode(periodic=int(again), lazy=int(lazy), auto_enable=1, sint=SINT)
        with self._acting():
            self._done(vp.wrmsr(Msr.STIMER0_CONFIG + 2 * number, word))
            self._done(vp.wrmsr(Msr.STIMER0_COUNT + 2 * number, count))
        return self._run()

    def wait(self, microseconds: int) -> Run:
        """Let time pass."""
        with self.hv.action():
            self.hv.turn((), until=int(self.machine.state["now"][0]) + 1000 * microseconds)
        return self._run()

    # what is there ---------------------------------------------------------------------------------------------------

    @property
    def slot(self) -> bytes:
        """The 256 bytes of the receiver's slot, by its own address."""
        found = self.web.vp.read_gpa(MESSAGE_PAGE * PAGE + 256 * SINT, 256)
        assert isinstance(found, bytes)
        return found

    @property
    def waiting(self) -> int:
        """How many messages wait behind the slot."""
        return int(self.machine.state["synic"][0, self.web.vp.number]["depth"][SINT])

    def sint(self) -> Sint:
        """Return the receiver's register of its SINT."""
        return Sint.decode(self._value(self.web.vp.rdmsr(Msr.SINT0 + SINT)))


def letters(auto_eoi: bool = True, masked: bool = False, policy: str = "tlfs", buffers: int = 16) -> Letters:
    """Return a machine with two partitions that can write to each other; see `Letters`."""
    return Letters(auto_eoi, masked, policy, buffers)


def _status(result: int | Fault) -> int:
    if isinstance(result, Fault):
        raise BadRequest("a call of the sender", result.kind, "a sender whose kernel has its hypercall page")
    return result & 0xFFFF


# a bench for many small runs -----------------------------------------------------------------------------------------


class Bench:
    """One receiver and one sender that can be put back to their beginning: exercises run thousands of worlds on it.

    Messages are numbers: post `n` has type 1 and the eight bytes of n.
    """

    LABELS: Final = 64

    def __init__(self, auto_eoi: bool = True, buffers: int = 16) -> None:
        self.letters = Letters(auto_eoi, buffers=buffers)
        self.hv, self.auto_eoi = self.letters.hv, auto_eoi
        self.sender, self.receiver = self.letters.db.vp.number, self.letters.web.vp.number
        self.letters._done(
            self.letters.db.vp.write_gpa(
                INPUT_PAGE * PAGE, b"".join(k.to_bytes(8, "little") for k in range(self.LABELS))
            )
        )
        spa = hypercall.reach(self.hv, self.sender, INPUT_PAGE * PAGE, int(READ))
        assert isinstance(spa, int)
        self.page, s = spa, self.hv.state["synic"][0, self.receiver]
        self.letters.wire(OTHER, sint=OTHER_SINT)
        self.letters.signal(0)
        self.letters.read()  # both pages are there from now on
        self.before = self.letters.before
        ports = [int(spn) for spn in self.hv.state["port"]["spn"][0] if spn]
        self.spns = (0, int(s["message_spn"]), int(s["flags_spn"]), *ports, spa >> 12)
        self.state = self.hv.state.view(np.uint8).copy()
        self.words = {spn: self.hv.memory.page(spn).copy() for spn in self.spns}

    def put_back(self) -> None:
        """Go back to the beginning."""
        self.hv.state.view(np.uint8)[:] = self.state
        for spn, words in self.words.items():
            self.hv.memory.page(spn)[:] = words

    @contextmanager
    def recorded(self) -> Iterator[list[Trace]]:
        """Join what is done inside into one trace, which stands in the list afterwards."""
        found = list[Trace]()
        with self.hv.action():
            yield found
        found.append(self.hv.last)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Record nothing inside."""
        was, self.hv.recording = self.hv.recording, False
        try:
            with self.hv.action():
                yield
        finally:
            self.hv.recording = was

    def op(self, op: int, vp: int, *words: int) -> int:
        """Do one operation of the engine."""
        return int(self.hv.turn([(0, op, vp, *words)])[0])

    def post(self, label: int, size: int = 8, kind: int = 1, connection: int = MESSAGES) -> int:
        """Let the sender post message number `label`; return the status."""
        return self.op(int(synic_ops.POST), self.sender, connection, kind, size, self.page + 8 * label)

    def signal(self, flag: int) -> int:
        """Let the sender signal; return the status."""
        return self.op(int(synic_ops.SIGNAL), self.sender, SIGNALS, flag)

    def desk(self, after: Callable[[str], None] = lambda step: None) -> Desk:
        """Return the receiver's side."""
        return Desk(self.hv, self.receiver, SINT, after)

    @property
    def waiting(self) -> int:
        """How many messages wait behind the slot."""
        return int(self.hv.state["synic"][0, self.receiver]["depth"][SINT])

    def interrupt(self) -> bool:
        """Whether an interrupt waits for the receiver."""
        return bool(self.hv.state["apic"][0, self.receiver]["irr"].any())


__all__ = ["ORDERS", "Bench", "Letters", "Run", "letters"]
