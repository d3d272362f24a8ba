"""What leaves the guest and is not the hypervisor's own business becomes a message to the parent; the child waits.

The message lies in the virtual processor's intercept message page, which the parent mapped (MapVpStatePage): so the
Linux root driver (mshv) reads it when its run call returns. Where the parent has switched on its SynIC, the same
message comes into the slot of its SINT0 as well, and raises its interrupt: so a root whose processors are scheduled by
the hypervisor hears of it. Source: TLFS, intercepts; Linux drivers/hv/mshv_synic.c, HV_SYNIC_INTERCEPTION_SINT_INDEX.

SIMPLER THAN REAL: of several virtual processors of the parent the lowest one gets the message.
SIMPLER THAN REAL: code segment and memory intercepts' instruction bytes are empty: software here is Python, not x86.
SIMPLER THAN REAL: the root has no parent; where its own second level says no it gets #GP (our choice).
"""

from hvlab.hardware.memory import PAGE
from hvlab.hardware.processor import FETCH, WRITE
from hvlab.hypervisor import intercept_table, synic_ops
from hvlab.hypervisor.address import R, W, over, own
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.intercept_table import EXECUTE, Reason
from hvlab.hypervisor.partition import ROOT, Fault, vps_of
from hvlab.wire.intercepts import ExceptionInfo, ExceptionIntercept, InterceptHeader, InterceptType
from hvlab.wire.synic import INTERCEPT_SINT, SLOT, Scontrol, Simp
from hvlab.wire.tlfs import ExecutionState, MemoryAccessInfo, MemoryIntercept, MessageHeader, MessageType
from hvlab.wire.x64 import Cr0, Efer

GENERAL_PROTECTION, UNDEFINED, PAGE_FAULT = 13, 6, 14
WITH_CODE = (GENERAL_PROTECTION, PAGE_FAULT)  # exceptions that have an error code; SDM vol. 3A, exception reference
MASK = (1 << 64) - 1
SENDER = 0  # in the page messages come from the hypervisor itself; in the slot from the child


def exception(
    hv: Hypervisor, kind: str, error_code: int = 0, gva: int = 0, gpa: int = 0, instruction: bytes = b""
) -> Fault:
    """Raise an exception in the guest that runs now, or tell its parent instead, if that wants to hear of it."""
    vector = {"#UD": UNDEFINED, "#GP": GENERAL_PROTECTION, "#PF": PAGE_FAULT}[kind]
    vp = hv.actor
    slot = hv.slot_of(vp) if vp >= 0 else 0
    if slot > ROOT and intercept_table.wanted(hv.state, slot, InterceptType.EXCEPTION, vector, EXECUTE):
        return _exception_told(hv, vp, vector, error_code, gva, instruction)
    hv.tell("exception_raised", vector=vector, error_code=error_code)
    return Fault(kind, error_code, gva, gpa)


def second_level_fault(hv: Hypervisor, vp: int, gpa: int, gva: int, access: int, why: int) -> Fault:
    """Handle an access that the second level forbids: an exception, or a message to the parent and a pause."""
    # CHECK
    slot = hv.slot_of(vp)
    kind = 1 if access & WRITE else 2 if access & FETCH else 0
    row = hv.tell("vp_exited", gpa=gpa, gva=gva, access=kind, why=why)
    hv.leave(vp, Reason.MEMORY)
    with hv.caused_by(row):
        if over(hv, slot, gpa >> 12) is not None or slot == ROOT:
            return exception(hv, "#GP", 0, gva, gpa)
        # ACT
        post(hv, vp, gpa, gva, kind)
    return Fault("intercept", why, gva, gpa)


def execution_state(hv: Hypervisor, vp: int) -> int:
    """Return mode and privilege level as messages have them."""
    registers = hv.state["vp"][0, vp]
    return ExecutionState.encode(
        cpl=int(hv.state["guest"]["cpl"][0, vp]),
        cr0_pe=int(registers["cr0"]) & Cr0.mask("protection"),
        efer_lma=int(registers["efer"]) >> Efer.lo("long_mode_active") & 1,
    )


def post(hv: Hypervisor, vp: int, gpa: int, gva: int, kind: int) -> None:
    """Tell the parent of an access that the second level forbids, and let the VP wait."""
    # CHECK
    slot, guest = hv.slot_of(vp), hv.state["guest"][0, vp]
    _, rights, _ = own(hv, slot, gpa >> 12)
    message = MessageType.GPA_INTERCEPT if rights & (R | W) else MessageType.UNMAPPED_GPA
    # ACT
    payload = MemoryIntercept.encode(
        vp_index=int(guest["index"]),
        access_type=kind,
        execution_state=execution_state(hv, vp),
        rip=int(guest["rip"]) & MASK,
        rflags=int(hv.state["vp"]["rflags"][0, vp]),
        cache_type=6,
        access_info=MemoryAccessInfo.encode(gva_valid=1, gva_gpa_valid=1),
        gva=gva & MASK,
        gpa=gpa,
    )
    spa = _write(hv, vp, message, payload)
    # RECORD
    words = {"partition": hv.id_of(slot), "vp_index": int(guest["index"]), "kind": message}
    row = hv.tell("intercept_posted", **words, gpa=gpa, spa=spa)
    with hv.caused_by(row):
        _announce(hv, vp, message, len(payload), spa)


def header(hv: Hypervisor, vp: int, length: int, access: int) -> bytes:
    """Return the front of an intercept's payload. CR8 is for other kinds of partitions only (Linux hvhdk.h)."""
    return InterceptHeader.encode(
        vp_index=int(hv.state["guest"]["index"][0, vp]),
        instruction_length=length,
        access_type=access,
        execution_state=execution_state(hv, vp),
        rip=int(hv.state["guest"]["rip"][0, vp]) & MASK,
        rflags=int(hv.state["vp"]["rflags"][0, vp]),
    )


def deliver(hv: Hypervisor, vp: int, message: MessageType, payload: bytes, what: int) -> Fault:
    """Tell the parent of an instruction, and let the VP wait at it."""
    # ACT
    spa = _write(hv, vp, message, payload)
    # RECORD
    words = {"partition": hv.id_of(hv.slot_of(vp)), "vp_index": int(hv.state["guest"]["index"][0, vp])}
    row = hv.tell("parent_told", **words, kind=message, what=what, spa=spa)
    with hv.caused_by(row):
        _announce(hv, vp, message, len(payload), spa)
    return Fault("intercept")


def _write(hv: Hypervisor, vp: int, message: MessageType, payload: bytes) -> int:
    """Write a message into the VP's page, suspend the VP, let the time pass; return where the message lies."""
    guest = hv.state["guest"][0, vp]
    data = MessageHeader.encode(type=message, payload_size=len(payload), sender=SENDER) + payload
    spa = int(guest["message_spn"]) * PAGE
    hv.memory.write(spa, data.ljust(SLOT, b"\0"))
    guest["intercept_suspend"] = 1
    hv.spend("message")
    return spa


def _announce(hv: Hypervisor, vp: int, message: MessageType, size: int, spa: int) -> None:
    """Put the message into the parent's slot of SINT0, if the parent has switched its SynIC on."""
    slot = hv.slot_of(vp)
    receiver = vps_of(hv.state, int(hv.state["partition"]["parent"][0, slot]))[0]
    s = hv.state["synic"][0, receiver]
    if int(s["scontrol"]) & Scontrol.mask("enable") and int(s["simp"]) & Simp.mask("enable"):
        words = INTERCEPT_SINT, int(message), size, hv.id_of(slot), spa + MessageHeader.size
        hv.turn([(0, int(synic_ops.ANNOUNCE), receiver, *words)])


def _exception_told(hv: Hypervisor, vp: int, vector: int, error_code: int, gva: int, instruction: bytes) -> Fault:
    """An exception that the parent wants to hear of leaves the guest before it is delivered."""
    guest = hv.state["guest"][0, vp]
    row = hv.tell("instruction_exited", reason=Reason.EXCEPTION, what=vector, rip=int(guest["rip"]), length=0)
    hv.leave(vp, Reason.EXCEPTION)
    payload = ExceptionIntercept.encode(
        header=header(hv, vp, 0, 2),
        vector=vector,
        exception_info=ExceptionInfo.encode(error_code_valid=int(vector in WITH_CODE)),
        instruction_byte_count=len(instruction),
        error_code=error_code,
        parameter=gva & MASK if vector == PAGE_FAULT else 0,
        instruction_bytes=instruction,
        registers=[int(word) & MASK for word in guest["gpr"]],
    )
    with hv.caused_by(row):
        return deliver(hv, vp, MessageType.EXCEPTION_INTERCEPT, payload, vector)
