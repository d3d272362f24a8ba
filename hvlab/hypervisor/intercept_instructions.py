"""Instructions that the hypervisor has to see: CPUID, RDMSR, WRMSR, IN, OUT, INS, OUTS, HLT, and an undefined one.

`Instructions` is the part of the door that has them. An instruction reads and writes the registers of its virtual
processor; when it is done RIP stands behind it. Where the parent asked for it, the virtual processor waits at it, and
the parent finishes it. Source: SDM vol. 2 (the instructions), vol. 3C (what leaves the guest); TLFS, intercepts.

A port that no parent asked for has nothing behind it: reads give all ones, writes go nowhere (our choice).

SIMPLER THAN REAL: the root's ports have no devices behind them: all ones, and no exit, as its ports are its own.
SIMPLER THAN REAL: user mode has no I/O permission map; the privilege level in RFLAGS decides alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hvlab.errors import BadRequest
from hvlab.hardware.memory import signed
from hvlab.hypervisor import apic_msr, clockwork, cpuid, intercept_table, msr
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept import deliver, exception, header
from hvlab.hypervisor.intercept_table import EXECUTE, READ, WRITE, Reason
from hvlab.hypervisor.partition import ROOT, Fault
from hvlab.trace.event import by_name
from hvlab.wire.intercepts import (
    CpuidIntercept,
    HaltIntercept,
    InterceptType,
    IoPortAccessInfo,
    IoPortIntercept,
    MsrIntercept,
)
from hvlab.wire.msrs import REGISTERS
from hvlab.wire.tlfs import MessageType

MASK = (1 << 64) - 1
LOW = (1 << 32) - 1
NAMES: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{k}" for k in range(8, 16)))
RAX, RCX, RDX, RBX, RSI, RDI = 0, 1, 2, 3, 6, 7
IOPL = 12  # RFLAGS bits 13:12
IN, OUT = 0, 1


@dataclass(frozen=True)
class Form:
    """How an instruction is encoded, and what it does with ports."""

    code: bytes
    reason: Reason
    access: int = 0
    size: int = 1
    string: bool = False
    rep: bool = False


def _form(code: str, reason: Reason, access: int = IN, size: int = 1, string: bool = False, rep: bool = False) -> Form:
    return Form(bytes.fromhex(code), reason, access, size, string, rep)


# Source of the encodings: SDM vol. 2, instruction set reference.
FORMS: Final[dict[str, Form]] = {
    "cpuid": _form("0fa2", Reason.CPUID, 2),
    "rdmsr": _form("0f32", Reason.MSR, IN),
    "wrmsr": _form("0f30", Reason.MSR, OUT),
    "in al, dx": _form("ec", Reason.IO, IN, 1),
    "in ax, dx": _form("66ed", Reason.IO, IN, 2),
    "in eax, dx": _form("ed", Reason.IO, IN, 4),
    "out dx, al": _form("ee", Reason.IO, OUT, 1),
    "out dx, ax": _form("66ef", Reason.IO, OUT, 2),
    "out dx, eax": _form("ef", Reason.IO, OUT, 4),
    "insb": _form("6c", Reason.IO, IN, 1, True),
    "rep insb": _form("f36c", Reason.IO, IN, 1, True, True),
    "insw": _form("666d", Reason.IO, IN, 2, True),
    "rep insw": _form("f3666d", Reason.IO, IN, 2, True, True),
    "outsb": _form("6e", Reason.IO, OUT, 1, True),
    "rep outsb": _form("f36e", Reason.IO, OUT, 1, True, True),
    "hlt": _form("f4", Reason.HLT, 2),
    "ud2": _form("0f0b", Reason.EXCEPTION, 2),
}
IN_FORMS: Final = {1: "in al, dx", 2: "in ax, dx", 4: "in eax, dx"}
OUT_FORMS: Final = {1: "out dx, al", 2: "out dx, ax", 4: "out dx, eax"}


class Door(Protocol):
    """What an instruction needs of the door that it belongs to."""

    _hv: Hypervisor
    number: int

    def _runs(self) -> None: ...

    def read(self, gva: int, count: int = 8, access: int = 0) -> bytes | Fault: ...

    def write(self, gva: int, data: bytes) -> Fault | None: ...


class Instructions:
    """The instructions of a virtual processor that leave the guest, and its general registers."""

    _hv: Hypervisor
    number: int

    def get(self, name: str) -> int:
        """Return a general register (rax to r15) or rip."""
        guest = self._hv.state["guest"][0, self.number]
        return int(guest["rip"] if name == "rip" else guest["gpr"][_number(name)]) & MASK

    def put(self, **values: int) -> None:
        """Change general registers or rip: a MOV, which no hypervisor sees."""
        guest = self._hv.state["guest"][0, self.number]
        for name, value in values.items():
            if name == "rip":
                guest["rip"] = signed(value & MASK)
            else:
                guest["gpr"][_number(name)] = signed(value & MASK)

    @property
    def exits(self) -> dict[str, int]:
        """How often it left the guest since it was made, by reason."""
        return {reason.name: int(self._hv.state["exits"][0, self.number, reason]) for reason in Reason}

    def note(self, event: str, /, **words: int) -> None:
        """Let software above the hypervisor tell what it does: an event of the guest's box, nothing else."""
        if by_name(event).box != "guest":
            raise BadRequest(f"an event {event} from a guest", "", "an event of the guest's own box")
        with self._hv.action(self.number):
            self._hv.tell(event, **words)

    def direct(self) -> None:
        """Let the time of one instruction pass that the processor does by itself: nobody else is there."""
        self._hv.spend("instruction")

    def execute(self: Door, name: str) -> Fault | None:
        """Execute one instruction of `FORMS` with the registers as they are; RIP moves on when it is done.

        Returns
        -------
        Fault or None
            ``intercept``: the parent was told, the virtual processor waits at the instruction.
        """
        if name not in FORMS:
            raise BadRequest(f"the instruction {name!r}", "", ", ".join(FORMS))
        self._runs()
        form = FORMS[name]
        with self._hv.action(self.number):
            return DO[form.reason](self, form)

    def in_port(self, port: int, size: int = 1) -> int | Fault:
        """IN from the port in DX; return what came."""
        form = _sized(IN_FORMS, port, size)
        self.put(rdx=port)
        fault = self.execute(form)  # type: ignore[misc]  # a door is a Door
        return self.get("rax") & (1 << 8 * size) - 1 if fault is None else fault

    def out_port(self, port: int, value: int, size: int = 1) -> Fault | None:
        """OUT to the port in DX."""
        form = _sized(OUT_FORMS, port, size)
        self.put(rdx=port, rax=value & (1 << 8 * size) - 1)
        return self.execute(form)  # type: ignore[misc]

    def halt(self) -> Fault | None:
        """HLT: wait for the next interrupt."""
        return self.execute("hlt")  # type: ignore[misc]


def _number(name: str) -> int:
    if name not in NAMES:
        raise BadRequest(f"register {name}", "", "rip, " + ", ".join(NAMES))
    return NAMES.index(name)


def _sized(forms: dict[int, str], port: int, size: int) -> str:
    if size not in forms or not 0 <= port < 1 << 16:
        raise BadRequest(f"{size} bytes at port {port:#x}", "", "1, 2 or 4 bytes, ports below 0x10000")
    return forms[size]


# one function for each reason ----------------------------------------------------------------------------------------


def _leave(door: Door, form: Form, what: int) -> int:
    """Tell that an instruction left the guest."""
    rip = int(door._hv.state["guest"]["rip"][0, door.number])
    return door._hv.tell("instruction_exited", reason=form.reason, what=what, rip=rip, length=len(form.code))


def _registers(door: Door) -> tuple[int, ...]:
    return tuple(int(word) & MASK for word in door._hv.state["guest"]["gpr"][0, door.number])


def _done(door: Door, form: Form, **words: int) -> None:
    """Store what an instruction brought, and let RIP move on."""
    guest = door._hv.state["guest"][0, door.number]
    for name, value in words.items():
        guest["gpr"][NAMES.index(name)] = signed(value & MASK)
    guest["rip"] = signed(int(guest["rip"]) + len(form.code) & MASK)


def _kernel(door: Door) -> bool:
    return int(door._hv.state["guest"]["cpl"][0, door.number]) == 0


def _undefined(door: Door, form: Form) -> Fault | None:
    return exception(door._hv, "#UD", instruction=form.code)


def _cpuid(door: Door, form: Form) -> Fault | None:
    hv, vp, gpr = door._hv, door.number, _registers(door)
    leaf = gpr[RAX] & LOW
    with hv.caused_by(_leave(door, form, leaf)):
        if intercept_table.wanted(hv.state, hv.slot_of(vp), InterceptType.CPUID, leaf, EXECUTE):
            hv.leave(vp, Reason.CPUID)
            return _cpuid_told(hv, vp, form, gpr, leaf)
        eax, ebx, ecx, edx = cpuid.answer(hv, vp, leaf)
    _done(door, form, rax=eax, rbx=ebx, rcx=ecx, rdx=edx)
    return None


def _cpuid_told(hv: Hypervisor, vp: int, form: Form, gpr: tuple[int, ...], leaf: int) -> Fault:
    eax, ebx, ecx, edx = cpuid.held(hv, vp, leaf)
    payload = CpuidIntercept.encode(
        header=header(hv, vp, len(form.code), 2),
        rax=gpr[RAX],
        rcx=gpr[RCX],
        rdx=gpr[RDX],
        rbx=gpr[RBX],
        default_rax=eax,
        default_rcx=ecx,
        default_rdx=edx,
        default_rbx=ebx,
    )
    return deliver(hv, vp, MessageType.CPUID_INTERCEPT, payload, leaf)


def msr_wanted(hv: Hypervisor, vp: int, number: int, access: int) -> bool:
    """Whether the parent wants to hear of this MSR: of this very one, or of all that the hypervisor does not have."""
    slot, bits = hv.slot_of(vp), READ if access == IN else WRITE
    if intercept_table.wanted(hv.state, slot, InterceptType.MSR_INDEX, number, bits):
        return True
    here = number in REGISTERS or number in apic_msr.HERE
    return not here and intercept_table.wanted(hv.state, slot, InterceptType.MSR, 0, bits)


def msr_told(hv: Hypervisor, vp: int, number: int, access: int) -> Fault:
    """Tell the parent of RDMSR or WRMSR, with the registers as they are."""
    gpr, length = hv.state["guest"]["gpr"][0, vp], len(FORMS["rdmsr"].code)
    words = {"msr": number, "rdx": int(gpr[RDX]) & MASK, "rax": int(gpr[RAX]) & MASK}
    payload = MsrIntercept.encode(header=header(hv, vp, length, access), **words)
    hv.leave(vp, Reason.MSR)
    return deliver(hv, vp, MessageType.MSR_INTERCEPT, payload, number)


def _msr(door: Door, form: Form) -> Fault | None:
    hv, vp, gpr = door._hv, door.number, _registers(door)
    if not _kernel(door):
        return exception(hv, "#GP", instruction=form.code)
    number = gpr[RCX] & LOW
    with hv.caused_by(_leave(door, form, number)):
        if msr_wanted(hv, vp, number, form.access):
            return msr_told(hv, vp, number, form.access)
        before = int(hv.state["exits"][0, vp, Reason.MSR])
        if form.access == IN:
            found = msr.read(hv, vp, number)
        else:
            found = msr.write(hv, vp, number, (gpr[RDX] & LOW) << 32 | gpr[RAX] & LOW) or 0
        if int(hv.state["exits"][0, vp, Reason.MSR]) == before:  # refused: the guest was left all the same
            hv.leave(vp, Reason.MSR)
    if isinstance(found, Fault):
        return found
    _done(door, form, **({"rax": found & LOW, "rdx": found >> 32} if form.access == IN else {}))
    return None


def _hlt(door: Door, form: Form) -> Fault | None:
    hv, vp = door._hv, door.number
    if not _kernel(door):
        return exception(hv, "#GP", instruction=form.code)
    with hv.caused_by(_leave(door, form, 0)):
        hv.leave(vp, Reason.HLT)
        if hv.state["hypervisor"]["tell_halt"][0] and hv.slot_of(vp) != ROOT:
            payload = HaltIntercept.encode(header=header(hv, vp, len(form.code), 2))
            return deliver(hv, vp, MessageType.X64_HALT, payload, 0)
        hv.turn([(0, int(clockwork.HALT), vp)])
    _done(door, form)
    return None


def _io(door: Door, form: Form) -> Fault | None:
    hv, vp, gpr = door._hv, door.number, _registers(door)
    rflags, cpl = int(hv.state["vp"]["rflags"][0, vp]), int(hv.state["guest"]["cpl"][0, vp])
    if cpl > rflags >> IOPL & 3:
        return exception(hv, "#GP", instruction=form.code)
    if form.rep and gpr[RCX] == 0:
        _done(door, form)
        return None
    port = gpr[RDX] & 0xFFFF
    if hv.slot_of(vp) == ROOT:
        return _nothing_there(door, form, gpr)
    with hv.caused_by(_leave(door, form, port)):
        hv.leave(vp, Reason.IO)
        bits = READ if form.access == IN else WRITE
        if intercept_table.wanted(hv.state, hv.slot_of(vp), InterceptType.IO_PORT, port, bits):
            return _io_told(hv, vp, form, gpr, port)
        value = (1 << 8 * form.size) - 1 if form.access == IN else gpr[RAX] & (1 << 8 * form.size) - 1
        hv.tell("port_answered", port=port, size=form.size, access=form.access, value=value)
        return _nothing_there(door, form, gpr)


def _io_told(hv: Hypervisor, vp: int, form: Form, gpr: tuple[int, ...], port: int) -> Fault:
    info = IoPortAccessInfo.encode(access_size=form.size, string_op=int(form.string), rep_prefix=int(form.rep))
    payload = IoPortIntercept.encode(
        header=header(hv, vp, len(form.code), form.access),
        port=port,
        access_info=info,
        instruction_byte_count=len(form.code),
        rax=gpr[RAX],
        instruction_bytes=form.code,
        rcx=gpr[RCX],
        rsi=gpr[RSI],
        rdi=gpr[RDI],
    )
    return deliver(hv, vp, MessageType.IO_PORT_INTERCEPT, payload, port)


def _nothing_there(door: Door, form: Form, gpr: tuple[int, ...]) -> Fault | None:
    """Finish an access to a port with nothing behind it: one element of a repeated one."""
    ones = (1 << 8 * form.size) - 1
    if not form.string:
        _done(door, form, **({"rax": _merged(gpr[RAX], ones, form.size)} if form.access == IN else {}))
        return None
    place = gpr[RDI if form.access == IN else RSI]
    found = door.write(place, bytes([255] * form.size)) if form.access == IN else door.read(place, form.size)
    if isinstance(found, Fault):
        return found
    words = {"rdi" if form.access == IN else "rsi": place + form.size}
    if form.rep:
        words["rcx"] = gpr[RCX] - 1
    again = form.rep and gpr[RCX] > 1  # RIP stays at the instruction until the last element is done
    _done(door, Form(b"", form.reason) if again else form, **words)
    return None


def _merged(rax: int, value: int, size: int) -> int:
    """What IN leaves in RAX: 1 and 2 bytes keep the rest, 4 bytes clear the upper half. Source: SDM vol. 1, 3.4.1.1."""
    return value & LOW if size == 4 else rax & ~((1 << 8 * size) - 1) | value


DO: Final[dict[Reason, Callable[[Door, Form], Fault | None]]] = {
    Reason.CPUID: _cpuid,
    Reason.MSR: _msr,
    Reason.IO: _io,
    Reason.HLT: _hlt,
    Reason.EXCEPTION: _undefined,
}
