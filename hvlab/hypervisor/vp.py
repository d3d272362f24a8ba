"""The door: what software in a partition has. Memory by GVA and GPA, hypercalls, MSRs, CPUID, its own registers.

Nothing else of hypervisor or hardware is visible from above. What goes wrong in the guest comes back as a `Fault`.
A `Window` is some of the partition's own pages in a row, for code that uses many of their words.

SIMPLER THAN REAL: a read or write of many bytes makes one translation for each page it touches.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hvlab.errors import BadRequest
from hvlab.hardware import apic, flush
from hvlab.hardware.memory import PAGE, signed
from hvlab.hardware.processor import DETAIL, EPT_VIOLATION, FETCH, NESTED_FAULT, READ, USER, WRITE
from hvlab.hypervisor import apic_msr, calls_vp, clockwork, cpuid, hypercall, msr, msr_pages
from hvlab.hypervisor.core import Hypervisor, fault_of
from hvlab.hypervisor.hypercall import Entry
from hvlab.hypervisor.intercept import exception, second_level_fault
from hvlab.hypervisor.intercept_instructions import IN, OUT, Instructions, msr_told, msr_wanted
from hvlab.hypervisor.intercept_table import EXECUTE, wanted
from hvlab.hypervisor.partition import Fault
from hvlab.hypervisor.window import Window, Windows
from hvlab.trace.journal import Trace
from hvlab.wire.apic import Icr, Offset
from hvlab.wire.hypercalls import CODES
from hvlab.wire.intercepts import InterceptType
from hvlab.wire.ports import PostMessage, SignalEvent
from hvlab.wire.synic import PAYLOAD
from hvlab.wire.tlfs import HypercallControl, Register
from hvlab.wire.x64 import Cr3, Cr4

__all__ = ["Entry", "Fault", "Interrupts", "Vp", "Window"]
MASK, LOW = (1 << 64) - 1, (1 << 32) - 1
KEEP = 1 << 63  # MOV CR3 with PCIDs: do not flush
CONTROL = {name.lower(): Register[name] for name in ("CR0", "CR2", "CR3", "CR4", "EFER")}


@dataclass(frozen=True)
class Interrupts:
    """What a virtual processor's local APIC holds.

    Attributes
    ----------
    waiting, in_service : tuple of int
        The vectors in IRR and ISR.
    tpr, ppr : int
        Task priority and processor priority.
    deliverable : int or None
        What would be taken now (2: an NMI); None: nothing, or all that waits is held back.
    """

    waiting: tuple[int, ...]
    in_service: tuple[int, ...]
    tpr: int
    ppr: int
    deliverable: int | None


def _vectors(words: list[int]) -> tuple[int, ...]:
    """Return the vectors whose bits are set in four words."""
    return tuple(64 * k + bit for k, word in enumerate(words) if word for bit in range(64) if word >> bit & 1)


class Vp(Instructions, Windows):
    """One virtual processor, as the software that runs on it sees it.

    Parameters
    ----------
    hv : Hypervisor
        The machine's hypervisor.
    number : int
        The machine's number of the virtual processor.
    """

    def __init__(self, hv: Hypervisor, number: int) -> None:
        self._hv, self.number = hv, number
        self._id = hv.id_of(hv.slot_of(number))

    @property
    def index(self) -> int:
        """Its number within the partition (VP index)."""
        return int(self._hv.state["guest"]["index"][0, self.number])

    @property
    def suspended(self) -> bool:
        """Whether it waits for its parent."""
        guest = self._hv.state["guest"][0, self.number]
        return bool(guest["explicit_suspend"] or guest["intercept_suspend"])

    @property
    def trace(self) -> Trace:
        """What the last action on this machine did."""
        return self._hv.last

    @property
    def exists(self) -> bool:
        """Whether its partition still has it."""
        return self._id != 0 and self._hv.id_of(self._hv.slot_of(self.number)) == self._id

    def _runs(self) -> None:
        if not self.exists:
            raise BadRequest(f"VP {self.number} of partition {self._id}", "no such virtual processor any more")
        if self.suspended:
            raise BadRequest(
                f"let VP {self.number} of partition {self._id} run",
                "a suspended virtual processor",
                "its parent's SetVpRegisters on the suspend registers",
            )

    # memory ---------------------------------------------------------------------------------------------------------

    def _parts(self, address: int, count: int) -> Iterator[tuple[int, int, int]]:
        """Split a range at page borders: (address, place in the data, bytes)."""
        done = 0
        while done < count:
            size = min(count - done, PAGE - (address + done & PAGE - 1))
            yield address + done & MASK, done, size
            done += size

    def _translate(self, gva: int, access: int) -> int | Fault:
        """Translate for one access; a fault of the second level leaves the guest."""
        hv = self._hv
        if int(hv.state["guest"]["cpl"][0, self.number]) == 3:
            access |= int(USER)
        faults, spas = hv.run(self.number, np.array([signed(gva)]), np.array([access], np.int64))
        fault, spa = int(faults[0]), int(spas[0])
        kind = fault & (1 << int(DETAIL)) - 1
        if fault:
            found = fault_of(fault, gva, 0)
            with hv.caused_by(hv.newest):
                if kind in (EPT_VIOLATION, NESTED_FAULT):
                    gpa = int(hv.state["vp"]["fault_gpa"][0, self.number])
                    return second_level_fault(hv, self.number, gpa, gva, access, fault >> int(DETAIL))
                return exception(hv, found.kind, found.error_code, gva) if found.kind.startswith("#") else found
        if not hv.memory.exists(spa >> 12):
            return Fault("memory_missing", 0, gva)
        return spa

    def read(self, gva: int, count: int = 8, access: int = int(READ)) -> bytes | Fault:
        """Read bytes by guest virtual address (`access` may say FETCH); a fault names the page where it stopped."""
        self._runs()
        data = bytearray()
        with self._hv.action(self.number):
            for at, _, size in self._parts(gva, count):
                spa = self._translate(at, access)
                if isinstance(spa, Fault):
                    return spa
                data += self._hv.memory.read(spa, size)
        return bytes(data)

    def fetch(self, gva: int, count: int = 8) -> bytes | Fault:
        """Read bytes as instructions."""
        return self.read(gva, count, int(FETCH))

    def write(self, gva: int, data: bytes) -> Fault | None:
        """Write bytes by guest virtual address; pages before the one with the fault are written."""
        self._runs()
        with self._hv.action(self.number):
            for at, done, size in self._parts(gva, len(data)):
                spa = self._translate(at, int(WRITE))
                if isinstance(spa, Fault):
                    return spa
                with self._hv.caused_by(self._hv.newest):
                    self._hv.store(spa, data[done : done + size], gva=at)
        return None

    def read_gpa(self, gpa: int, count: int = 8) -> bytes | Fault:
        """Read bytes by guest physical address: through the second level only, as with paging switched off."""
        self._runs()
        data = bytearray()
        with self._hv.action(self.number):
            for at, _, size in self._parts(gpa, count):
                spa = hypercall.reach(self._hv, self.number, at, int(READ))
                if isinstance(spa, Fault):
                    return spa
                data += self._hv.memory.read(spa, size)
        return bytes(data)

    def write_gpa(self, gpa: int, data: bytes) -> Fault | None:
        """Write bytes by guest physical address: through the second level only."""
        self._runs()
        with self._hv.action(self.number):
            for at, done, size in self._parts(gpa, len(data)):
                spa = hypercall.reach(self._hv, self.number, at, int(WRITE))
                if isinstance(spa, Fault):
                    return spa
                self._hv.store(spa, data[done : done + size], gva=at)
        return None

    # calls, MSRs, CPUID ---------------------------------------------------------------------------------------------

    def hypercall_once(self, rcx: int, rdx: int = 0, r8: int = 0) -> Entry:
        """Execute the hypercall instruction once: it may have to be executed again, with another RCX."""
        self._runs()
        with self._hv.action(self.number):
            return hypercall.enter(self._hv, self.number, rcx, rdx, r8)

    def hypercall(self, rcx: int, rdx: int = 0, r8: int = 0) -> int | Fault:
        """Call the hypervisor; return RAX. RIP stays at the instruction until the call is finished."""
        self._runs()
        with self._hv.action(self.number):
            while True:
                entry = hypercall.enter(self._hv, self.number, rcx, rdx, r8)
                if entry.finished:
                    return entry.result
                rcx = entry.rcx

    def post_message(self, connection_id: int, kind: int, payload: bytes, input_gpa: int) -> int | Fault:
        """Write the input block of HvCallPostMessage to a page of the guest's own, and make the call; return RAX."""
        block = PostMessage.encode(
            connection_id=connection_id, type=kind, payload_size=len(payload), payload=payload[:PAYLOAD]
        )
        fault = self.write_gpa(input_gpa, block)
        return fault if fault is not None else self.hypercall(CODES["PostMessage"], input_gpa)

    def signal_event(self, connection_id: int, flag: int = 0) -> int | Fault:
        """Make HvCallSignalEvent, whose input fits into a register; return RAX."""
        word = int.from_bytes(SignalEvent.encode(connection_id=connection_id, flag=flag), "little")
        return self.hypercall(HypercallControl.encode(code=CODES["SignalEvent"], fast=1), word)

    @property
    def tsc(self) -> int:
        """What RDTSC returns: ticks since power-on, the same on each processor."""
        return int(self._hv.state["now"][0]) * msr_pages.TICKS

    def rdmsr(self, number: int) -> int | Fault:
        """Read a model-specific register."""
        self._runs()
        with self._hv.action(self.number):
            if int(self._hv.state["guest"]["cpl"][0, self.number]) != 0:
                return exception(self._hv, "#GP")
            if msr_wanted(self._hv, self.number, number, IN):
                self.put(rcx=number)
                return msr_told(self._hv, self.number, number, IN)
            return msr.read(self._hv, self.number, number)

    def wrmsr(self, number: int, value: int) -> Fault | None:
        """Write a model-specific register."""
        self._runs()
        with self._hv.action(self.number):
            if int(self._hv.state["guest"]["cpl"][0, self.number]) != 0:
                return exception(self._hv, "#GP")
            if msr_wanted(self._hv, self.number, number, OUT):
                self.put(rcx=number, rax=value & LOW, rdx=value >> 32)
                return msr_told(self._hv, self.number, number, OUT)
            return msr.write(self._hv, self.number, number, value)

    def cpuid(self, leaf: int, subleaf: int = 0) -> tuple[int, int, int, int]:
        """Return (EAX, EBX, ECX, EDX); the hypervisor's leaves have no subleaves.

        A leaf that the parent asked for has no answer at once: `execute("cpuid")`.
        """
        self._runs()
        if wanted(self._hv.state, self._hv.slot_of(self.number), InterceptType.CPUID, leaf, EXECUTE):
            raise BadRequest(f"CPUID leaf {leaf:#x} at once", "its parent answers it", 'execute("cpuid")')
        with self._hv.action(self.number):
            return cpuid.answer(self._hv, self.number, leaf)

    # interrupts -----------------------------------------------------------------------------------------------------

    @property
    def interrupts(self) -> Interrupts:
        """What its local APIC holds now."""
        a = self._hv.state["apic"][0, self.number]
        irr, isr = _vectors(a["irr"].tolist()), _vectors(a["isr"].tolist())
        best = int(apic.deliverable(self._hv.state[0], self.number))
        return Interrupts(irr, isr, int(a["tpr"]), int(apic.ppr(a)), None if best < 0 else best)

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt can be taken now."""
        a = self._hv.state["apic"][0, self.number]
        if not a["irr"].any() and a["nmi"] <= a["nmi_runs"]:
            return False
        return bool(apic.deliverable(self._hv.state[0], self.number) >= 0)

    def take_interrupt(self) -> int | None:
        """Take what is deliverable, as the processor does between two instructions; return its vector (2: an NMI)."""
        return self._vector(int(clockwork.ACCEPT))

    def eoi(self) -> int | None:
        """End the interrupt in service, without an exit if the assist page or the processor allows; return its vector.

        An enlightened guest tests and clears "no EOI required" and only else writes the register.
        """
        return self._vector(int(clockwork.EOI))

    def _vector(self, operation: int) -> int | None:
        self._runs()
        with self._hv.action(self.number):
            vector = int(self._hv.turn([(0, operation, self.number)])[0])
        return None if vector < 0 else vector

    @property
    def tpr(self) -> int:
        """Task priority; CR8 is its upper half. Vectors of its class and of those below wait."""
        return int(self._hv.state["apic"]["tpr"][0, self.number])

    @tpr.setter
    def tpr(self, value: int) -> None:
        self._runs()
        if not 0 <= value < 256:
            raise BadRequest(f"task priority {value:#x}", "", "0 to 0xff")
        with self._hv.action(self.number):
            apic_msr.put(self._hv, self.number, Offset.TPR, value)

    def icr(self, **fields: int) -> int:
        """Write the interrupt command register, field by field (`wire.apic.Icr`); return whom it meant, as bits.

        The destination is an APIC ID or a logical destination, of the width of the APIC's mode.
        """
        self._runs()
        x2apic = bool(apic_msr.mode(self._hv, self.number) & apic_msr.EXTENDED)
        destination = fields.pop("destination", 0)
        word = Icr.encode(destination=destination if x2apic else destination << 24, **fields)
        with self._hv.action(self.number):
            return apic_msr.put(self._hv, self.number, Offset.ICR, word)

    # its own registers and caches ------------------------------------------------------------------------------------

    @property
    def registers(self) -> dict[str, int]:
        """Control registers, flags, key rights and privilege level."""
        record, guest = self._hv.state["vp"][0, self.number], self._hv.state["guest"][0, self.number]
        names = ("cr0", "cr2", "cr3", "cr4", "efer", "rflags", "pkru")
        return {name: int(record[name]) & MASK for name in names} | {"cpl": int(guest["cpl"])}

    def set(self, **values: int) -> Fault | None:
        """Change own registers: cr0, cr2, cr3, cr4, efer as a kernel does; rflags, pkru; cpl as a mode switch does.

        MOV to CR3 drops the new address space's translations but the global ones, unless bit 63 is set (with PCIDs).
        """
        self._runs()
        hv = self._hv
        with hv.action(self.number):
            for name, value in values.items():
                if name not in CONTROL and name not in ("rflags", "pkru", "cpl"):
                    raise BadRequest(f"register {name}", "", "one of " + ", ".join([*CONTROL, "rflags", "pkru", "cpl"]))
                if name == "cr3":
                    if fault := self._mov_cr3(value):
                        return fault
                elif name in CONTROL:
                    kernel = int(hv.state["guest"]["cpl"][0, self.number]) == 0
                    if not kernel or not calls_vp.sensible(hv, self.number, CONTROL[name], value):
                        return exception(hv, "#GP")
                    hv.tell("control_register_written", name=CONTROL[name], value=value)
                    calls_vp.store(hv, self.number, CONTROL[name], value)
                elif name == "cpl":
                    hv.state["guest"]["cpl"][0, self.number] = value & 3
                else:
                    hv.state["vp"][name][0, self.number] = signed(value)
        return None

    def _mov_cr3(self, value: int) -> Fault | None:
        hv, record = self._hv, self._hv.state["vp"][0, self.number]
        pcid = bool(int(record["cr4"]) & Cr4.mask("pcid"))
        keep, value = bool(value & KEEP) and pcid, value & ~KEEP if pcid else value
        kernel = int(hv.state["guest"]["cpl"][0, self.number]) == 0
        if not kernel or not calls_vp.sensible(hv, self.number, Register.CR3, value):
            return exception(hv, "#GP")
        hv.tell("control_register_written", name=Register.CR3, value=value)
        record["cr3"] = signed(value)
        if not keep:
            tag = value & Cr3.mask("pcid") if pcid else 0
            flush.one_space(self._tlb, int(record["vpid"]), tag)
            hv.tell("tlb_flushed", what=flush.ONE_SPACE, vpid=int(record["vpid"]), gva=0)
        hv.unsettled = True  # what stays in the caches is compared with the new tables
        return None

    @property
    def _tlb(self) -> np.void:
        tlb: np.void = self._hv.state["lp"][0, int(self._hv.state["vp"]["lp"][0, self.number])]["tlb"]
        return tlb

    @property
    def _pcid(self) -> int:
        record = self._hv.state["vp"][0, self.number]
        return int(record["cr3"]) & 4095 if int(record["cr4"]) & Cr4.mask("pcid") else 0

    def invlpg(self, gva: int) -> Fault | None:
        """Drop what is cached for one address: after the software changed its own tables."""
        return self._flush(flush.ONE_ADDRESS, signed(gva & MASK))

    def invpcid(self, kind: int, pcid: int = 0, gva: int = 0) -> Fault | None:
        """INVPCID: 0 one address, 1 one address space, 2 everything, 3 everything but global translations."""
        if kind not in range(4) or not 0 <= pcid < 4096:
            raise BadRequest(f"INVPCID {kind}, PCID {pcid}", "", "types 0 to 3, PCIDs below 4096")
        what = (flush.ONE_ADDRESS, flush.ONE_SPACE, flush.ONE_TAG, flush.ONE_TAG)[kind]
        return self._flush(what, signed(gva & MASK), pcid, keep_globals=kind == 3)

    def _flush(self, what: int, gva: int, pcid: int = -1, keep_globals: bool = False) -> Fault | None:
        self._runs()
        hv, vpid = self._hv, int(self._hv.state["vp"]["vpid"][0, self.number])
        space = self._pcid if pcid < 0 else pcid
        with hv.action(self.number):
            if int(hv.state["guest"]["cpl"][0, self.number]) != 0:
                return exception(hv, "#GP")
            if what == flush.ONE_ADDRESS:
                flush.one_address(self._tlb, vpid, space, gva)
            elif what == flush.ONE_SPACE:
                flush.one_space(self._tlb, vpid, space)
            else:
                flush.one_tag(self._tlb, vpid, keep_globals)
            hv.tell("tlb_flushed", what=what, vpid=vpid, gva=gva)
        return None
