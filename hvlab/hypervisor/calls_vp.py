"""Virtual processors: create, delete, registers, translation on behalf of a parent, state pages.

Source: TLFS, virtual processor management.

SIMPLER THAN REAL: of the state pages only the intercept message page; its place is chosen by the hypervisor.
"""

from typing import Any

import numpy as np

from hvlab.hardware import apic, flush, processor
from hvlab.hardware.memory import signed
from hvlab.hardware.processor import FETCH, PEEK, READ, USER, WRITE
from hvlab.hypervisor import clockwork, pages, ports, scheduler
from hvlab.hypervisor.address import R, leaf, map_page, over
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import Life, find_vp, vpid_of
from hvlab.hypervisor.request import Request
from hvlab.trace.event import by_name
from hvlab.wire.hypercalls import (
    MapVpStatePageOutput,
    RegisterAssociation,
    RegisterName,
    RegisterValue,
    TranslationOutput,
    TranslationOutputEx,
)
from hvlab.wire.tlfs import THIS_VP, Register, Status, TranslateCode, TranslateFlags, TranslateResult

MASK = (1 << 64) - 1
MOST_VPS = 64
RESET = {"cr0": 0x60000010, "rflags": 2}  # SDM vol. 3A, table 10-1: state after reset
RESET_RIP = 0xFFF0
INTERCEPT_MESSAGE = 1
TRANSLATED, GPA_WORD = by_name("translated").number, 4 + by_name("translated").fields.index("gpa")
CONTROL = {Register.CR0: "cr0", Register.CR2: "cr2", Register.CR3: "cr3", Register.CR4: "cr4", Register.EFER: "efer"}


def create(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallCreateVp: a suspended virtual processor; its intercept message page comes from the partition's pool."""
    # CHECK
    given, slot = request.input, request.target
    if hv.state["partition"]["life"][0, slot] != Life.ACTIVE:
        return Status.INVALID_PARTITION_STATE
    if given.vp_index >= MOST_VPS or find_vp(hv.state, slot, given.vp_index) is not None:
        return Status.INVALID_VP_INDEX
    if any(given.padding) or given.flags:
        return Status.INVALID_PARAMETER
    free = np.flatnonzero(hv.state["guest"]["partition"][0] == 0)
    if len(free) == 0:
        return Status.NO_RESOURCES
    if len(pages.pool(hv, slot)[0]) < 1:
        return Status.INSUFFICIENT_MEMORY
    # ACT
    vp = int(free[0])
    setup(hv, vp, slot, given.vp_index)
    guest = hv.state["guest"][0, vp]
    guest["message_spn"], guest["explicit_suspend"] = pages.take(hv, slot), 1
    # RECORD
    hv.tell("vp_created", partition=hv.id_of(slot), vp_index=given.vp_index, slot=vp)
    return b""


def setup(hv: Hypervisor, vp: int, slot: int, index: int) -> None:
    """Put a virtual processor into the state after reset, and its second level in place."""
    record, guest, machine = hv.state["vp"][0, vp], hv.state["guest"][0, vp], hv.state["hypervisor"][0]
    hv.state["vp"][0, vp], hv.state["guest"][0, vp] = np.zeros((), record.dtype), np.zeros((), guest.dtype)
    hv.state["exits"][0, vp] = 0
    for name, value in RESET.items():
        record[name] = value
    record["lp"], record["vpid"], record["space"] = vp % int(machine["lps"]), vpid_of(vp), slot
    record["second_level"], record["second_levels"] = machine["second_level"], machine["levels"]
    record["root"], record["phys_bits"] = hv.state["partition"]["root"][0, slot], hv.state["phys_bits"][0]
    record["accessed_dirty"] = record["execute_only"] = record["host_nxe"] = 1
    record["mbec"] = machine["mbec"]
    guest["partition"], guest["index"], guest["rip"] = slot, index, RESET_RIP
    apic.switch_on(hv.state, vp, index, slot)
    ports.switch_on(hv, vp)


def delete(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallDeleteVp."""
    # CHECK
    vp = find_vp(hv.state, request.target, request.input.vp_index)
    if vp is None:
        return Status.INVALID_VP_INDEX
    # ACT and RECORD
    remove(hv, vp)
    return b""


def remove(hv: Hypervisor, vp: int) -> None:
    """Remove a virtual processor, with its message page and all that caches know of it."""
    # ACT
    record, guest = hv.state["vp"][0, vp], hv.state["guest"][0, vp]
    slot, index, spn = int(guest["partition"]), int(guest["index"]), int(guest["message_spn"])
    parent = int(hv.state["partition"]["parent"][0, slot])
    if hv.state["run"]["state"][0, vp] != scheduler.ABSENT:
        hv.turn([(0, clockwork.STOP, vp)])
    ports.forget_vp(hv, vp)
    if guest["message_mapped"]:
        map_page(hv, parent, spn, 0, None)
        hv.owe_flush(parent)
    for tlb in hv.lps():
        flush.one_tag(tlb, int(record["vpid"]))
    hv.tell("tlb_flushed", what=flush.ONE_TAG, vpid=int(record["vpid"]), gva=0)
    pages.put_back(hv, spn)
    hv.state["vp"][0, vp], hv.state["guest"][0, vp] = np.zeros((), record.dtype), np.zeros((), guest.dtype)
    hv.state["apic"][0, vp] = np.zeros((), hv.state["apic"].dtype)
    scheduler.forget(hv.state, vp)
    hv.handlers.pop(vp, None)
    # RECORD
    hv.tell("vp_deleted", partition=hv.id_of(slot), vp_index=index, slot=vp)


def target_vp(hv: Hypervisor, request: Request) -> int | Status:
    """Return the virtual processor that a call is about."""
    if request.input.vp_index == THIS_VP and request.target == request.slot:
        return request.vp
    vp = find_vp(hv.state, request.target, request.input.vp_index)
    return Status.INVALID_VP_INDEX if vp is None else vp


def get_register(hv: Hypervisor, request: Request, k: int, element: RegisterName) -> bytes | Status:
    """HvCallGetVpRegisters, one register."""
    # CHECK
    vp = target_vp(hv, request)
    if isinstance(vp, Status):
        return vp
    if request.input.target_vtl or any(request.input.reserved) or element.name not in set(Register):
        return Status.INVALID_PARAMETER
    # ACT
    return RegisterValue.encode(low=value_of(hv, vp, Register(element.name)))


def value_of(hv: Hypervisor, vp: int, name: Register) -> int:
    """Return a register's value, unsigned."""
    record, guest = hv.state["vp"][0, vp], hv.state["guest"][0, vp]
    partition = hv.state["partition"][0, int(guest["partition"])]
    if name in CONTROL:
        value = record[CONTROL[name]]
    elif Register.RAX <= name <= Register.R15:
        value = guest["gpr"][name - Register.RAX]
    else:
        value = {
            Register.EXPLICIT_SUSPEND: guest["explicit_suspend"],
            Register.INTERCEPT_SUSPEND: guest["intercept_suspend"],
            Register.RIP: guest["rip"],
            Register.RFLAGS: record["rflags"],
            Register.HYPERCALL: partition["hypercall"],
            Register.GUEST_OS_ID: partition["guest_os_id"],
            Register.VP_INDEX: guest["index"],
        }[name]
    return int(value) & MASK


def set_register(hv: Hypervisor, request: Request, k: int, element: RegisterAssociation) -> bytes | Status:
    """HvCallSetVpRegisters, one register."""
    # CHECK
    vp = target_vp(hv, request)
    if isinstance(vp, Status):
        return vp
    fixed = (Register.HYPERCALL, Register.GUEST_OS_ID, Register.VP_INDEX)
    if request.input.target_vtl or any(request.input.reserved) or any(element.reserved):
        return Status.INVALID_PARAMETER
    if element.name not in set(Register) or element.name in fixed:
        return Status.INVALID_PARAMETER
    if element.high or not sensible(hv, vp, Register(element.name), element.low):
        return Status.INVALID_REGISTER_VALUE
    # ACT
    name, index = Register(element.name), int(hv.state["guest"]["index"][0, vp])
    was = value_of(hv, vp, name)
    store(hv, vp, name, element.low)
    # RECORD
    hv.tell("register_set", partition=hv.id_of(request.target), vp_index=index, name=name, value=element.low)
    if name in (Register.EXPLICIT_SUSPEND, Register.INTERCEPT_SUSPEND) and was and not element.low:
        hv.tell("vp_resumed", partition=hv.id_of(request.target), vp_index=index, suspend=int(name))
    return b""


def sensible(hv: Hypervisor, vp: int, name: Register, value: int) -> bool:
    """Whether a register can hold the value at all. Source: SDM vol. 3A 2.5; TLFS, suspend registers."""
    if name in (Register.EXPLICIT_SUSPEND, Register.INTERCEPT_SUSPEND):
        return value <= 1
    if name == Register.CR0:
        return value >> 32 == 0 and not (value >> 31 & 1 and not value & 1)
    if name in (Register.CR4, Register.EFER, Register.RFLAGS):
        return value >> 32 == 0
    return name != Register.CR3 or value >> int(hv.state["vp"]["phys_bits"][0, vp]) == 0


def store(hv: Hypervisor, vp: int, name: Register, value: int) -> None:
    """Change a register; what a change of a control register makes of cached translations is flushed."""
    record, guest = hv.state["vp"][0, vp], hv.state["guest"][0, vp]
    if name in CONTROL:
        record[CONTROL[name]] = signed(value)
        if name != Register.CR2:
            flush.one_tag(hv.state["lp"][0, int(record["lp"])]["tlb"], int(record["vpid"]))
            hv.tell("tlb_flushed", what=flush.ONE_TAG, vpid=int(record["vpid"]), gva=0)
    elif Register.RAX <= name <= Register.R15:
        guest["gpr"][name - Register.RAX] = signed(value)
    elif name == Register.RFLAGS:
        record["rflags"] = value
    elif name == Register.RIP:
        guest["rip"] = signed(value)
    else:
        guest["explicit_suspend" if name == Register.EXPLICIT_SUSPEND else "intercept_suspend"] = value


def map_state_page(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallMapVpStatePage: the caller may read the VP's intercept message page."""
    # CHECK
    vp = target_vp(hv, request)
    if isinstance(vp, Status):
        return vp
    if request.input.type != INTERCEPT_MESSAGE or request.input.flags or request.input.input_vtl:
        return Status.INVALID_PARAMETER
    # ACT
    guest = hv.state["guest"][0, vp]
    spn = int(guest["message_spn"])
    if not guest["message_mapped"]:
        guest["message_mapped"] = 1
        hv.memory.mark(spn, table=0, sharer=request.slot, share_rights=R)
        map_page(hv, request.slot, spn, leaf(hv.state, spn, R), None)
        # RECORD
        hv.tell("page_mapped", partition=hv.id_of(request.slot), gpa=spn << 12, spa=spn << 12, rights=R, shift=12)
    return MapVpStatePageOutput.encode(gpn=spn)


def translate(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallTranslateVirtualAddress (and Ex): walk another processor's tables without touching its caches."""
    # CHECK
    vp = target_vp(hv, request)
    if isinstance(vp, Status):
        return vp
    if request.input.padding or TranslateFlags.undeclared(request.input.flags) or request.input.gvn >> 52:
        return Status.INVALID_PARAMETER
    # ACT
    flags = TranslateFlags.decode(request.input.flags)
    code, gpn = TranslateCode.SUCCESS, 0
    for access in _accesses(hv, vp, flags):
        fault, gpn = _walk(hv, vp, request.input.gvn << 12, access, bool(flags.privilege_exempt))
        code = _code(fault, access)
        if code != TranslateCode.SUCCESS:
            gpn = 0
            break
    # RECORD
    result = TranslateResult.encode(code=code, cache_type=6 if code == 0 else 0, overlay=_is_overlay(hv, vp, gpn))
    kind = TranslationOutputEx if request.call.output is TranslationOutputEx else TranslationOutput
    return kind.encode(result=result, gpn=gpn)


def _is_overlay(hv: Hypervisor, vp: int, gpn: int) -> int:
    return int(gpn != 0 and over(hv, hv.slot_of(vp), gpn) is not None)


def _accesses(hv: Hypervisor, vp: int, flags: Any) -> list[int]:
    user = USER if flags.user_access or hv.state["guest"]["cpl"][0, vp] == 3 and not flags.supervisor_access else READ
    user = READ if flags.privilege_exempt else user
    wanted = [(flags.validate_read, READ), (flags.validate_write, WRITE), (flags.validate_execute, FETCH)]
    return [int(access | user | PEEK) for asked, access in wanted if asked] or [int(READ | user | PEEK)]


def _walk(hv: Hypervisor, vp: int, gva: int, access: int, exempt: bool) -> tuple[int, int]:
    """Walk on a copy of the state, telling each step; return (fault, guest page number)."""
    scratch = hv.state.copy()
    rows = hv.rows if hv.recording else np.zeros((512, 10), np.int64)
    if not hv.recording:
        scratch["rows"] = 0
    if exempt:
        scratch["vp"]["cr4"][0, vp] &= ~(1 << 20 | 1 << 21)  # SMEP, SMAP
    fault, spa = np.zeros(1, np.int64), np.zeros(1, np.int64)
    processor.run(scratch, hv.mem, rows, vp, np.array([signed(gva)]), np.array([access]), fault, spa)
    count = int(scratch["rows"][0])
    if hv.recording:
        hv.state["rows"] = count
    last = rows[count - 1]
    return int(fault[0]), int(last[GPA_WORD]) >> 12 if last[0] == TRANSLATED else 0


def _code(fault: int, access: int) -> TranslateCode:
    """Name a fault as the call's result does."""
    kind, detail = fault & 255, fault >> 8
    if kind == processor.OK:
        return TranslateCode.SUCCESS
    if kind == processor.PAGE_FAULT:
        if detail & 8:
            return TranslateCode.INVALID_PAGE_TABLE_FLAGS
        return TranslateCode.PRIVILEGE_VIOLATION if detail & 1 else TranslateCode.PAGE_NOT_PRESENT
    if kind == processor.GENERAL_PROTECTION:
        return TranslateCode.PAGE_NOT_PRESENT
    mapped = detail & 1 if kind == processor.NESTED_FAULT else detail >> 3 & 15
    if not mapped:
        return TranslateCode.GPA_UNMAPPED
    return TranslateCode.GPA_NO_WRITE_ACCESS if access & WRITE else TranslateCode.GPA_NO_READ_ACCESS
