"""The dispatcher of hypercalls: shape, privilege, input, relation, the call itself, output.

Order of checks (the platform leaves it open, but for ACCESS_DENIED): code, reserved bits and counts, alignment and page
borders, privilege, then who the caller is to the partition it names, then the call's own checks. A call that fails
changes nothing; a rep call keeps the elements that were done before. Source: TLFS, hypercall interface.

SIMPLER THAN REAL: fast calls take 16 bytes in RDX and R8; none returns output in registers, none uses XMM registers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hvlab.hardware.memory import PAGE
from hvlab.hypervisor import calls_flush, calls_intercept, calls_memory, calls_partition, calls_synic, calls_vp
from hvlab.hypervisor.address import R, W, look_up_one
from hvlab.hypervisor.core import NOT_HASHED, Hypervisor
from hvlab.hypervisor.intercept import exception, second_level_fault
from hvlab.hypervisor.intercept_table import Reason
from hvlab.hypervisor.partition import ROOT, Fault, find
from hvlab.hypervisor.request import Request
from hvlab.wire.hypercalls import ANY, CALLS, PARENT, PARENT_OR_ROOT, PARENT_OR_SELF, Call
from hvlab.wire.struct import Struct
from hvlab.wire.tlfs import SELF, HypercallControl, HypercallMsr, HypercallResult, Status

MASK = (1 << 64) - 1
WRITE, READ = 2, 0
RELATIONS = {ANY: 0, PARENT: 1, PARENT_OR_ROOT: 2, PARENT_OR_SELF: 3}
SIMPLE: dict[int, Any] = {
    0x0002: calls_flush.space,
    0x0013: calls_flush.space,
    0x0040: calls_partition.create,
    0x0041: calls_partition.initialize,
    0x0042: calls_partition.finalize,
    0x0043: calls_partition.delete,
    0x0044: calls_partition.get_property,
    0x0045: calls_partition.set_property,
    0x0046: calls_partition.get_id,
    0x0047: calls_partition.next_child,
    0x004A: calls_memory.balance,
    0x004D: calls_intercept.install,
    0x004E: calls_vp.create,
    0x004F: calls_vp.delete,
    0x0052: calls_vp.translate,
    0x0058: calls_synic.delete,
    0x005A: calls_synic.get_property,
    0x005B: calls_synic.disconnect,
    0x005C: calls_synic.post,
    0x005D: calls_synic.signal,
    0x0095: calls_synic.create,
    0x0096: calls_synic.connect,
    0x00AC: calls_vp.translate,
    0x00AF: calls_flush.guest_physical,
    0x00E1: calls_vp.map_state_page,
}
ENGINE = (0x005C, 0x005D)  # calls that the compiled engine does
REP: dict[int, Any] = {
    0x0003: calls_flush.address,
    0x0014: calls_flush.address,
    0x0048: calls_memory.deposit,
    0x0049: calls_memory.withdraw,
    0x004B: calls_memory.map_element,
    0x004C: calls_memory.unmap_element,
    0x0050: calls_vp.get_register,
    0x0051: calls_vp.set_register,
    0x00B0: calls_flush.guest_physical_element,
}


@dataclass(frozen=True)
class Entry:
    """One time in the hypervisor: finished with a result, stopped by a fault, or to be entered again with `rcx`."""

    finished: bool
    rcx: int
    result: int | Fault = 0


def enter(hv: Hypervisor, vp: int, rcx: int, rdx: int, r8: int) -> Entry:
    """Execute the call instruction once, with these registers."""
    # CHECK: the instruction itself
    rcx, rdx, r8 = rcx & MASK, rdx & MASK, r8 & MASK
    slot, guest = hv.slot_of(vp), hv.state["guest"][0, vp]
    enabled = int(hv.state["partition"]["hypercall"][0, slot]) & HypercallMsr.mask("enable")
    if int(guest["cpl"]) != 0 or not int(hv.state["vp"]["cr0"][0, vp]) & 1 or not enabled:
        return Entry(True, rcx, exception(hv, "#UD"))
    control = HypercallControl.decode(rcx)
    row = hv.tell("hypercall_entered", code=control.code, control=rcx, input=rdx, output=r8)
    hv.leave(vp, Reason.HYPERCALL)
    hv.spend("hypercall")
    with hv.caused_by(row):
        call = CALLS.get(control.code)
        status = shape(call, control, rcx, rdx, r8)
        if status is None or call is None:
            return finish(hv, vp, call, rcx, Status.INVALID_HYPERCALL_CODE if call is None else Status.SUCCESS, 0)
        if isinstance(status, Fault):
            return Entry(True, rcx, exception(hv, status.kind))
        if status != Status.SUCCESS:
            return finish(hv, vp, call, rcx, status, control.rep_start)
        return _with_privilege(hv, vp, slot, call, control, rcx, rdx, r8)


def sizes(call: Call, control: HypercallControl) -> tuple[int, int]:
    """Return the bytes of the input and output blocks."""
    header = (call.header.size if call.header else 0) + 8 * control.variable_header
    element = call.element.size if call.element else 0
    output = call.output_element.size * control.rep_count if call.output_element else 0
    return header + element * control.rep_count, output or (call.output.size if call.output else 0)


def shape(call: Call | None, control: HypercallControl, rcx: int, rdx: int, r8: int) -> Status | Fault | None:
    """Check what needs no privilege: reserved bits, counts, alignment, page borders; None for an unknown call."""
    if call is None:
        return None
    if HypercallControl.undeclared(rcx) or control.nested or (control.variable_header and not call.variable):
        return Status.INVALID_HYPERCALL_INPUT
    if call.rep and control.rep_start >= control.rep_count:
        return Status.INVALID_HYPERCALL_INPUT
    if not call.rep and (control.rep_count or control.rep_start):
        return Status.INVALID_HYPERCALL_INPUT
    needed, given = sizes(call, control)
    if control.fast:
        if needed > 16:
            return Fault("#UD")  # XMM input, which this hypervisor does not offer
        return Status.INVALID_HYPERCALL_INPUT if given else Status.SUCCESS
    blocks = [(gpa, size) for gpa, size in ((rdx, needed), (r8, given)) if size]
    if any(gpa % 8 or gpa % PAGE + size > PAGE for gpa, size in blocks):
        return Status.INVALID_ALIGNMENT
    if len(blocks) == 2 and rdx < r8 + given and r8 < rdx + needed:
        return Status.INVALID_ALIGNMENT
    return Status.SUCCESS


def _with_privilege(
    hv: Hypervisor, vp: int, slot: int, call: Call, control: HypercallControl, rcx: int, rdx: int, r8: int
) -> Entry:
    # CHECK: privilege, then the blocks, then the relation
    held = int(hv.state["partition"]["privileges"][0, slot])
    if call.bit & ~held:
        return denied(hv, vp, call, rcx, control)
    needed, given = sizes(call, control)
    block, spa = rdx.to_bytes(8, "little") + r8.to_bytes(8, "little"), -1
    if not control.fast and needed:
        found = reach(hv, vp, rdx, READ)
        if isinstance(found, Fault):
            return Entry(True, rcx, found)
        block, spa = hv.memory.read(found, needed), found
    output = 0
    if given:
        found = reach(hv, vp, r8, WRITE)
        if isinstance(found, Fault):
            return Entry(True, rcx, found)
        output = found
    header = call.header.decode(block) if call.header else None
    target = relation(hv, slot, held, call, header)
    if target == Status.ACCESS_DENIED and isinstance(target, Status):
        return denied(hv, vp, call, rcx, control)
    if isinstance(target, Status):
        return finish(hv, vp, call, rcx, target, control.rep_start)
    size = call.header.size if call.header else 0
    variable = block[size : size + 8 * control.variable_header]
    request = Request(call, vp, slot, target, header, variable, spa)
    # ACT
    if call.rep:
        return _repeat(hv, request, control, rcx, block[size + len(variable) :], output)
    if call.code in ENGINE:
        hv.turn(())  # what is due happens before the call, not as a part of it
    before = _picture(hv)
    answer = SIMPLE[call.code](hv, request)
    return _settle_simple(hv, request, rcx, answer, output, before)


def reach(hv: Hypervisor, vp: int, gpa: int, access: int) -> int | Fault:
    """Return the SPA behind a GPA of the caller; where the second level says no, the VP stops as for its own access."""
    spn, rights = look_up_one(hv, hv.slot_of(vp), gpa >> 12)
    if not rights & (W if access == WRITE else R):
        return second_level_fault(hv, vp, gpa, gpa, access, 0)
    return spn << 12 | gpa & PAGE - 1


def relation(hv: Hypervisor, slot: int, held: int, call: Call, header: Struct | None) -> int | Status:
    """Return the slot that the call is about, if the caller stands in the right relation to it."""
    if call.caller == ANY or header is None:
        return slot
    number = int(getattr(header, header.fields[0].name))
    target = slot if number == SELF else find(hv.state, number)
    if target is None:  # only the root learns which partitions there are
        return Status.INVALID_PARTITION_ID if slot == ROOT else Status.ACCESS_DENIED
    if int(hv.state["partition"]["parent"][0, target]) == slot and target != slot:
        return target
    if call.caller == PARENT_OR_ROOT and slot == ROOT:
        return target
    if call.caller == PARENT_OR_SELF and target == slot and not call.bit_on_itself & ~held:
        return target
    return Status.ACCESS_DENIED


def denied(hv: Hypervisor, vp: int, call: Call, rcx: int, control: HypercallControl) -> Entry:
    hv.tell("call_denied", code=call.code, wanted=call.bit, relation=RELATIONS[call.caller])
    return finish(hv, vp, call, rcx, Status.ACCESS_DENIED, control.rep_start)


def _settle_simple(hv: Hypervisor, request: Request, rcx: int, answer: Any, output: int, before: Any) -> Entry:
    status = answer if isinstance(answer, Status) else Status.SUCCESS
    if status != Status.SUCCESS:
        _audit(hv, request.call, before)
    elif answer:
        hv.store(output, answer, "output_written")
    _pay(hv, request)
    return finish(hv, request.vp, request.call, rcx, status, 0)


def _repeat(hv: Hypervisor, request: Request, control: Any, rcx: int, data: bytes, output: int) -> Entry:
    """Do elements from the start on, until all are done, one fails, or the time slice is over."""
    call, status, done = request.call, Status.SUCCESS, control.rep_start
    size, out = call.element.size if call.element else 0, call.output_element.size if call.output_element else 0
    limit, begun = int(hv.state["hypervisor"]["slice"][0]), control.rep_start
    while done < control.rep_count:
        if limit and done - begun == limit:
            _pay(hv, request)
            again = rcx & ~(0xFFF << 48) | done << 48
            hv.tell("hypercall_continued", code=call.code, rep=done, control=again)
            return Entry(False, again)
        before = _picture(hv)
        element = call.element.decode(data[done * size :]) if call.element else None
        answer = REP[call.code](hv, request, done, element)
        hv.spend("rep")
        if isinstance(answer, Status):
            status = answer
            _audit(hv, call, before)
            break
        if answer:
            hv.store(output + done * out, answer, "output_written")
        hv.tell("rep_done", code=call.code, rep=done)
        done += 1
    _pay(hv, request)
    return finish(hv, request.vp, call, rcx, status, done)


def _pay(hv: Hypervisor, request: Request) -> None:
    """Flush what is owed before the guest runs again."""
    for slot in sorted(request.owes):
        hv.owe_flush(slot)
    request.owes.clear()


def finish(hv: Hypervisor, vp: int, call: Call | None, rcx: int, status: Status, done: int) -> Entry:
    # RECORD
    code = rcx & 0xFFFF
    done = done if call and call.rep else 0
    result = HypercallResult.encode(status=status, reps_done=done)
    hv.tell("hypercall_returned", code=code, status=status, reps=done, result=result)
    if hv.audit:
        slot = hv.slot_of(vp)
        hv.done.append((code, slot, int(hv.state["partition"]["privileges"][0, slot]), int(status)))
    return Entry(True, rcx, result)


def _picture(hv: Hypervisor) -> Any:
    """For tests: the state and memory as they are, without time, recorder and counters."""
    return (_comparable(hv), hv.mem.copy()) if hv.audit else None


def _comparable(hv: Hypervisor) -> Any:
    copy = hv.state.copy()
    for name in NOT_HASHED:
        copy[name] = np.zeros(1, copy.dtype[name])
    return copy


def _audit(hv: Hypervisor, call: Call, before: Any) -> None:
    if hv.audit and (before[0].tobytes() != _comparable(hv).tobytes() or not np.array_equal(before[1], hv.mem)):
        hv.findings.append(f"I6: {call.name} failed and changed something")
