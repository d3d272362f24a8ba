"""A child's access that its second level does not allow becomes a message to its parent; the child waits.

SIMPLER THAN REAL: the parent reads the message in the page that it mapped (MapVpStatePage); no interrupt announces it.
SIMPLER THAN REAL: instruction bytes and code segment are empty: software in this machine is Python, not x86 code.
SIMPLER THAN REAL: the root has no parent; where its own second level says no it gets #GP (our choice).
"""

from hvlab.hardware.processor import FETCH, WRITE
from hvlab.hypervisor.address import R, W, over, own
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import ROOT, Fault
from hvlab.wire.tlfs import ExecutionState, MemoryAccessInfo, MemoryIntercept, MessageHeader, MessageType
from hvlab.wire.x64 import Cr0, Efer

GENERAL_PROTECTION, UNDEFINED, PAGE_FAULT = 13, 6, 14
SENDER = 0  # messages about intercepts come from the hypervisor itself


def exception(hv: Hypervisor, kind: str, error_code: int = 0, gva: int = 0, gpa: int = 0) -> Fault:
    """Raise an exception in the guest that runs now."""
    vector = {"#UD": UNDEFINED, "#GP": GENERAL_PROTECTION, "#PF": PAGE_FAULT}[kind]
    hv.tell("exception_raised", vector=vector, error_code=error_code)
    return Fault(kind, error_code, gva, gpa)


def second_level_fault(hv: Hypervisor, vp: int, gpa: int, gva: int, access: int, why: int) -> Fault:
    """Handle an access that the second level forbids: an exception, or a message to the parent and a pause."""
    # CHECK
    slot = hv.slot_of(vp)
    kind = 1 if access & WRITE else 2 if access & FETCH else 0
    row = hv.tell("vp_exited", gpa=gpa, gva=gva, access=kind, why=why)
    hv.spend("exit")
    with hv.caused_by(row):
        record = hv.state["partition"][0, slot]
        if over(hv, slot, gpa >> 12) is not None or slot == ROOT:
            return exception(hv, "#GP", 0, gva, gpa)
        # ACT
        post(hv, vp, gpa, gva, kind)
    return Fault("intercept", why, gva, gpa)


def post(hv: Hypervisor, vp: int, gpa: int, gva: int, kind: int) -> None:
    """Write the message into the VP's intercept page and let the VP wait."""
    # CHECK
    slot, guest = hv.slot_of(vp), hv.state["guest"][0, vp]
    _, rights, _ = own(hv, slot, gpa >> 12)
    message = MessageType.GPA_INTERCEPT if rights & (R | W) else MessageType.UNMAPPED_GPA
    # ACT
    registers = hv.state["vp"][0, vp]
    state = ExecutionState.encode(
        cpl=int(guest["cpl"]),
        cr0_pe=int(registers["cr0"]) & Cr0.mask("protection"),
        efer_lma=int(registers["efer"]) >> Efer.lo("long_mode_active") & 1,
    )
    payload = MemoryIntercept.encode(
        vp_index=int(guest["index"]),
        access_type=kind,
        execution_state=state,
        rip=int(guest["rip"]) & (1 << 64) - 1,
        rflags=int(registers["rflags"]),
        cache_type=6,
        access_info=MemoryAccessInfo.encode(gva_valid=1, gva_gpa_valid=1),
        gva=gva & (1 << 64) - 1,
        gpa=gpa,
    )
    header = MessageHeader.encode(type=message, payload_size=len(payload), sender=SENDER)
    spn = int(guest["message_spn"])
    hv.memory.write(spn << 12, header + payload)
    guest["intercept_suspend"] = 1
    hv.spend("message")
    # RECORD
    hv.tell(
        "intercept_posted",
        partition=hv.id_of(slot),
        vp_index=int(guest["index"]),
        kind=message,
        gpa=gpa,
        spa=spn << 12,
    )
