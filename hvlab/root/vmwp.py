"""VMWP, the worker process: it hears of a child's intercepts, lets a virtual device answer, and lets the child go on.

Where messages come from: the slot of SINT0 once the worker listens there (`listen`), as under a root whose processors
the hypervisor schedules; else the intercept page that the VID mapped, as Linux's root driver reads it after each run.
Source: Linux drivers/hv/mshv_root_main.c and mshv_synic.c; TLFS, intercepts and HvCallSetVpRegisters.

SIMPLER THAN REAL: driver and process are one; on Windows the VID hands the message up to user mode.
SIMPLER THAN REAL: an undefined instruction is skipped, or the processor stays suspended; nothing is injected.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault
from hvlab.root.vdev import Bus
from hvlab.root.vid import Partition, Vid
from hvlab.root.winhv import PAGE
from hvlab.wire.intercepts import (
    CpuidIntercept,
    ExceptionIntercept,
    InterceptHeader,
    InterceptType,
    IoPortAccessInfo,
    IoPortIntercept,
    MsrIntercept,
)
from hvlab.wire.synic import SLOT, Scontrol, Simp, Sint
from hvlab.wire.tlfs import (
    MemoryIntercept,
    MessageHeader,
    MessageType,
    Msr,
    Register,
    TranslateCode,
    TranslateFlags,
    TranslateResult,
)

LOW = (1 << 32) - 1
MASK = (1 << 64) - 1
READ, WRITE, EXECUTE = 1, 2, 4
STRING = PAGE  # elements of a repeated instruction that are done at once, at most
VECTOR = 0x30  # what the root lets SINT0 raise (our choice)
STATE = ("bus", "cpuid", "msrs", "whole_strings", "skip_undefined", "message_gpn", "stuck")
Values = dict[Register, int]


@dataclass(frozen=True)
class Handled:
    """One intercept that the worker took.

    Attributes
    ----------
    kind : MessageType
    what : int
        Port, MSR, leaf, vector, or the guest physical address.
    rip : int
        Where the child stood.
    elements : int
        What a device gave or took: bytes or words.
    resumed : bool
        Whether the child runs again.
    """

    kind: MessageType
    what: int
    rip: int
    elements: int
    resumed: bool


@dataclass
class Worker:
    """One virtual machine's worker process.

    Attributes
    ----------
    bus : Bus
        Its virtual devices, by port.
    cpuid, msrs : dict
        Answers for leaves (EAX, EBX, ECX, EDX) and registers that it asked for.
    whole_strings : bool
        Whether a repeated INS or OUTS is done whole, with one exit; else one element for each exit.
    """

    vid: Vid
    partition: Partition
    bus: Bus = field(default_factory=Bus)
    cpuid: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    msrs: dict[int, int] = field(default_factory=dict)
    whole_strings: bool = True
    skip_undefined: bool = True
    message_gpn: int = 0  # where it listens to SINT0; 0: it does not
    stuck: set[int] = field(default_factory=set)  # processors that nothing can be done for

    # what it wants to hear of ----------------------------------------------------------------------------------------

    def saved(self) -> Any:
        """Return what it holds, as a copy."""
        return copy.deepcopy({name: getattr(self, name) for name in STATE})

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        for name, value in copy.deepcopy(saved).items():
            setattr(self, name, value)

    def install(self, kind: InterceptType, parameter: int = 0, access: int = READ | WRITE) -> None:
        """Ask the hypervisor for an intercept; an access of 0 takes it back."""
        words = {"access_type": access, "intercept_type": kind, "parameter": parameter}
        self.vid.winhv.call("InstallIntercept", partition_id=self.partition.partition_id, **words)

    def add_device(self, device: Any) -> None:
        """Put a virtual device behind its ports, and ask for them."""
        self.bus.add(device)
        for port in device.ports:
            self.install(InterceptType.IO_PORT, port)

    def answer_cpuid(self, leaf: int, words: tuple[int, int, int, int]) -> None:
        """Answer a CPUID leaf instead of the hypervisor."""
        self.cpuid[leaf] = words
        self.install(InterceptType.CPUID, leaf, EXECUTE)

    def answer_msr(self, number: int, value: int) -> None:
        """Keep a register for the child."""
        self.msrs[number] = value
        self.install(InterceptType.MSR_INDEX, number)

    def listen(self) -> None:
        """Switch the root's SynIC on, so that messages come to SINT0 with an interrupt. Source: TLFS, SynIC."""
        vp, gpn = self.vid.winhv.vp, self.vid.winhv.memory.take(1)[0]
        for register, value in (
            (Msr.SIMP, Simp.encode(enable=1, gpn=gpn)),
            (Msr.SINT0, Sint.encode(vector=VECTOR)),
            (Msr.SCONTROL, Scontrol.encode(enable=1)),
        ):
            if fault := vp.wrmsr(register, value):
                raise BadRequest(f"the root's {register.name}", fault.kind)
        self.message_gpn = gpn

    # the message -----------------------------------------------------------------------------------------------------

    def message(self, index: int) -> tuple[MessageHeader, bytes]:
        """Take the message about a virtual processor: header and payload."""
        page = self.message_gpn or self.partition.message_gpns[index]
        vp = self.vid.winhv.vp
        data = vp.read(page * PAGE, SLOT)
        if isinstance(data, Fault):
            raise BadRequest(f"the message page of VP {index}", data.kind)
        header = MessageHeader.decode(data)
        if self.message_gpn:
            vp.take_interrupt()
            vp.write(page * PAGE, bytes(4))  # the slot is free again: the type first, then the look at the flag
            if header.flags & 1:
                vp.wrmsr(Msr.EOM, 0)
            vp.eoi()
        return header, data[MessageHeader.size : MessageHeader.size + header.payload_size]

    def handle(self, index: int = 0) -> Handled:
        """Take one message, answer it, and resume the virtual processor if it can go on."""
        header, payload = self.message(index)
        kind = MessageType(header.type)
        words = {"partition": self.partition.partition_id, "vp_index": index, "kind": header.type}
        self.vid.winhv.vp.note("message_handled", **words)
        what, front, values, elements = ANSWERS.get(kind, Worker._give_up)(self, index, payload)
        if values is None:
            self.stuck.add(index)
            return Handled(kind, what, front.rip, elements, False)
        rip = values.get(Register.RIP, front.rip)
        self.vid.winhv.vp.note("instruction_emulated", **words, rip=rip, elements=elements)
        self.vid.set_registers(self.partition, index, values | {Register.INTERCEPT_SUSPEND: 0})
        return Handled(kind, what, front.rip, elements, True)

    def run(self, guest: Callable[[], Fault | None], index: int = 0, most: int = 10_000) -> Fault | None:
        """Let the child run, and serve each intercept, until it stops by itself or cannot go on.

        Parameters
        ----------
        guest : callable
            Lets the child's software run until it stops: an ``intercept`` is served, anything else is the end.
        most : int
            Intercepts to serve, and elements of strings; a hostile child cannot keep the worker busy for ever.
        """
        while most > 0:
            fault = guest()
            if fault is None or fault.kind != "intercept":
                return fault
            handled = self.handle(index)
            if not handled.resumed:
                return fault
            most -= 1 + handled.elements
        return Fault("budget")

    # answers: (what, front of the message, registers or None, elements) -----------------------------------------------

    def _cpuid(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        told = CpuidIntercept.decode(payload)
        front, leaf = InterceptHeader.decode(told.header), told.rax & LOW
        default = told.default_rax, told.default_rbx, told.default_rcx, told.default_rdx
        names = Register.RAX, Register.RBX, Register.RCX, Register.RDX
        values = dict(zip(names, self.cpuid.get(leaf, default), strict=True))
        return leaf, front, values | self._next(front), 0

    def _msr(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        told = MsrIntercept.decode(payload)
        front = InterceptHeader.decode(told.header)
        if front.access_type:
            self.msrs[told.msr] = (told.rdx & LOW) << 32 | told.rax & LOW
            return told.msr, front, self._next(front), 0
        value = self.msrs.get(told.msr, 0)
        return told.msr, front, {Register.RAX: value & LOW, Register.RDX: value >> 32} | self._next(front), 0

    def _halt(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        front = InterceptHeader.decode(payload)
        return 0, front, self._next(front), 0

    def _exception(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        told = ExceptionIntercept.decode(payload)
        front = InterceptHeader.decode(told.header)
        if not self.skip_undefined or told.instruction_byte_count == 0:
            return told.vector, front, None, 0
        return told.vector, front, {Register.RIP: front.rip + told.instruction_byte_count & MASK}, 0

    def _give_up(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        """Memory: this worker has no devices in memory."""
        told = MemoryIntercept.decode(payload)
        return told.gpa, told, None, 0

    @staticmethod
    def _next(front: Any) -> Values:
        return {Register.RIP: front.rip + (front.instruction_length & 15) & MASK}

    # ports -----------------------------------------------------------------------------------------------------------

    def _io(self, index: int, payload: bytes) -> tuple[int, Any, Values | None, int]:
        told = IoPortIntercept.decode(payload)
        front, info = InterceptHeader.decode(told.header), IoPortAccessInfo.decode(told.access_info)
        if info.string_op:
            values, elements = self._string(index, told, front, info)
            return told.port, front, values, elements
        size = info.access_size
        if front.access_type:
            self._put(told.port, size, told.rax & (1 << 8 * size) - 1)
            return told.port, front, self._next(front), 1
        value = self._take(told.port, size)
        rax = value if size == 4 else told.rax & ~((1 << 8 * size) - 1) | value
        return told.port, front, {Register.RAX: rax} | self._next(front), 1

    def _string(self, index: int, told: Any, front: Any, info: Any) -> tuple[Values | None, int]:
        """INS or OUTS: as many elements as the knob says, as far as the child's memory reaches."""
        out, size = bool(front.access_type), info.access_size
        wanted = told.rcx if info.rep_prefix else 1
        count = min(wanted, STRING if self.whole_strings else 1)
        place = told.rsi if out else told.rdi
        space = self._reach(index, place, count * size, not out)
        done = len(space) // size
        if done == 0:
            return None, 0
        if out:
            data = self._copy_out(space)
            for k in range(done):
                self._put(told.port, size, int.from_bytes(data[k * size : (k + 1) * size], "little"))
        else:
            taken = [self._take(told.port, size).to_bytes(size, "little") for _ in range(done)]
            self._copy_in(space, b"".join(taken))
        values = {Register.RSI if out else Register.RDI: place + done * size & MASK}
        if info.rep_prefix:
            values[Register.RCX] = wanted - done
        return values | (self._next(front) if done == wanted else {}), done

    def _reach(self, index: int, gva: int, count: int, write: bool) -> list[int]:
        """Return the root's addresses of bytes of the child, as far as it has them: one translation for each page."""
        found, pages = list[int](), dict[int, int | None]()
        for at in range(gva, gva + count):
            page = (at & MASK) // PAGE
            if page not in pages:
                pages[page] = self._page(index, page, write)
            if pages[page] is None:
                break
            found.append((pages[page] or 0) * PAGE + at % PAGE)
        return found

    def _page(self, index: int, gvn: int, write: bool) -> int | None:
        """Return the root's page behind a page of the child, by HvCallTranslateVirtualAddress."""
        flags = TranslateFlags.encode(validate_read=1, validate_write=int(write))
        words = {"partition_id": self.partition.partition_id, "vp_index": index, "flags": flags, "gvn": gvn}
        found = self.vid.winhv.call("TranslateVirtualAddress", **words)
        if TranslateResult.decode(found.result).code != TranslateCode.SUCCESS:
            return None
        return self.partition.pages.get(found.gpn)

    @staticmethod
    def _runs(space: list[int]) -> list[tuple[int, int, int]]:
        """Return (place in the data, address, bytes) of each run that lies in one page."""
        runs = list[tuple[int, int, int]]()
        for k, at in enumerate(space):
            if runs and runs[-1][1] + runs[-1][2] == at and at % PAGE:
                runs[-1] = runs[-1][0], runs[-1][1], runs[-1][2] + 1
            else:
                runs.append((k, at, 1))
        return runs

    def _copy_in(self, space: list[int], data: bytes) -> None:
        for k, at, count in self._runs(space):
            self.vid.winhv.vp.write(at, data[k : k + count])

    def _copy_out(self, space: list[int]) -> bytes:
        parts = [self.vid.winhv.vp.read(at, count) for _, at, count in self._runs(space)]
        return b"".join(part for part in parts if isinstance(part, bytes))

    def _take(self, port: int, size: int) -> int:
        device, value = self.bus.read(port, size)
        self.vid.winhv.vp.note("device_read", device=device, port=port, size=size, value=value)
        return value

    def _put(self, port: int, size: int, value: int) -> None:
        device = self.bus.write(port, size, value)
        self.vid.winhv.vp.note("device_written", device=device, port=port, size=size, value=value)


ANSWERS: dict[MessageType, Callable[[Worker, int, bytes], tuple[int, Any, Values | None, int]]] = {
    MessageType.CPUID_INTERCEPT: Worker._cpuid,
    MessageType.MSR_INTERCEPT: Worker._msr,
    MessageType.IO_PORT_INTERCEPT: Worker._io,
    MessageType.X64_HALT: Worker._halt,
    MessageType.EXCEPTION_INTERCEPT: Worker._exception,
}
