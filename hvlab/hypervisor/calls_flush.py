"""Flushes that a guest asks for: it changed its own tables and wants other processors to forget.

Source: TLFS, virtual MMU: HvCallFlushVirtualAddressSpace and List. The second level is the hypervisor's own business.

SIMPLER THAN REAL: with PCIDs an address space is the PCID in the low bits of CR3, whatever its table address.
SIMPLER THAN REAL: no partition runs a hypervisor of its own, so the guest-physical flushes answer FEATURE_UNAVAILABLE.
"""

from collections.abc import Iterator

from hvlab.hardware import flush
from hvlab.hardware.memory import signed
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import vps_of
from hvlab.hypervisor.request import Request
from hvlab.wire.hypercalls import FlushRange
from hvlab.wire.tlfs import FlushFlags, GvaRange, Status
from hvlab.wire.x64 import Cr3, Cr4

MANY = 64  # pages after which a range drops the whole space; dropping more than asked is always allowed
SPARSE, ALL = 0, 1


def processors(hv: Hypervisor, request: Request) -> Iterator[int]:
    """Yield the machine's numbers of the chosen virtual processors of the caller's own partition."""
    given, flags = request.input, FlushFlags.decode(request.input.flags)
    for vp in vps_of(hv.state, request.slot):
        index = int(hv.state["guest"]["index"][0, vp])
        if flags.all_processors or (request.call.variable and given.set_format == ALL):
            yield vp
        elif request.call.variable:
            bank = sum(1 for k in range(index // 64) if given.banks >> k & 1)
            word = int.from_bytes(request.variable[8 * bank : 8 * bank + 8], "little")
            if given.banks >> index // 64 & 1 and word >> index % 64 & 1:
                yield vp
        elif index < 64 and given.processors >> index & 1:
            yield vp


def wrong(request: Request) -> bool:
    """Whether flags or processor set ask for something that is not there."""
    given = request.input
    if FlushFlags.undeclared(given.flags) or FlushFlags.decode(given.flags).extended_ranges:
        return True
    if not request.call.variable:
        return False
    if given.set_format not in (SPARSE, ALL):
        return True
    return given.set_format == SPARSE and 8 * given.banks.bit_count() != len(request.variable)


def space_of(hv: Hypervisor, vp: int, cr3: int) -> int | None:
    """Return the tag of an address space on a virtual processor; None if nothing of it can be cached."""
    record = hv.state["vp"][0, vp]
    if int(record["cr4"]) & Cr4.mask("pcid"):
        return cr3 & Cr3.mask("pcid")
    return 0 if (int(record["cr3"]) ^ cr3) & Cr3.mask("frame") == 0 else None


def space(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallFlushVirtualAddressSpace (and Ex)."""
    # CHECK
    if wrong(request):
        return Status.INVALID_PARAMETER
    # ACT
    flags = FlushFlags.decode(request.input.flags)
    for vp in processors(hv, request):
        if flags.all_spaces:
            drop_tag(hv, vp, bool(flags.non_global_only))
        else:
            drop_space(hv, vp, request.input.space, bool(flags.non_global_only))
    return b""


def drop_tag(hv: Hypervisor, vp: int, keep_globals: bool) -> None:
    """Drop every address space of a virtual processor."""
    record = hv.state["vp"][0, vp]
    flush.one_tag(hv.state["lp"][0, int(record["lp"])]["tlb"], int(record["vpid"]), keep_globals)
    hv.tell("tlb_flushed", what=flush.ONE_TAG, vpid=int(record["vpid"]), gva=0)
    hv.spend("flush")


def drop_space(hv: Hypervisor, vp: int, cr3: int, keep_globals: bool) -> None:
    """Drop one address space of a virtual processor, and its global translations unless they are to be kept."""
    record, pcid = hv.state["vp"][0, vp], space_of(hv, vp, cr3)
    if pcid is None and keep_globals:
        return
    tlb, vpid = hv.state["lp"][0, int(record["lp"])]["tlb"], int(record["vpid"])
    if pcid is not None:
        flush.one_space(tlb, vpid, pcid)
    if not keep_globals:
        flush.one_space(tlb, vpid, flush.GLOBAL_MARK)
    what = flush.ONE_SPACE if keep_globals else flush.WITH_GLOBALS
    hv.tell("tlb_flushed", what=what, vpid=vpid, gva=0)
    hv.spend("flush")


def address(hv: Hypervisor, request: Request, k: int, element: FlushRange) -> bytes | Status:
    """HvCallFlushVirtualAddressList (and Ex), one range."""
    # CHECK
    if wrong(request):
        return Status.INVALID_PARAMETER
    # ACT
    span, flags = GvaRange.decode(element.range), FlushFlags.decode(request.input.flags)
    for vp in processors(hv, request):
        pcid = space_of(hv, vp, request.input.space)
        if flags.all_spaces or span.more_pages >= MANY:
            drop_tag(hv, vp, bool(flags.non_global_only))
            continue
        record = hv.state["vp"][0, vp]
        tlb, vpid = hv.state["lp"][0, int(record["lp"])]["tlb"], int(record["vpid"])
        for page in range(span.gvn, span.gvn + span.more_pages + 1):
            gva = signed(page << 12)
            flush.one_address(tlb, vpid, flush.GLOBAL_MARK if pcid is None else pcid, gva)
            hv.tell("tlb_flushed", what=flush.ONE_ADDRESS, vpid=vpid, gva=gva)
        hv.spend("flush")
    return b""


def guest_physical(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallFlushGuestPhysicalAddressSpace: for hypervisors in partitions, of which there are none."""
    return Status.FEATURE_UNAVAILABLE


def guest_physical_element(hv: Hypervisor, request: Request, k: int, element: FlushRange) -> bytes | Status:
    """HvCallFlushGuestPhysicalAddressList: for hypervisors in partitions, of which there are none."""
    return Status.FEATURE_UNAVAILABLE
