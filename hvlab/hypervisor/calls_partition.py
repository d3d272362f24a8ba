"""The life of a partition: create, properties, initialize, finalize, delete. Source: TLFS, partition management.

Each function checks all, then changes all, then tells; it returns the output block, or the status that stopped it.
"""

import numpy as np

from hvlab.hardware.memory import signed
from hvlab.hypervisor import calls_vp, intercept_table, pages, ports
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.msr import fill_hypercall_page, remove_overlay
from hvlab.hypervisor.partition import ROOT, SLOTS, Life, vps_of
from hvlab.hypervisor.request import Request
from hvlab.wire.hypercalls import CreatePartitionOutput, PartitionIdOutput, PropertyOutput
from hvlab.wire.tlfs import GUEST_PRIVILEGES, Property, Status

MASK = (1 << 64) - 1


def create(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallCreatePartition: a child of the caller, on a page of the caller's own pool."""
    # CHECK
    if request.slot != ROOT:
        return Status.PARTITION_TOO_DEEP
    if request.input.padding or request.input.isolation:
        return Status.INVALID_PARAMETER
    if len(hv.alive()) == SLOTS - 1:
        return Status.NO_RESOURCES
    if len(pages.pool(hv, request.slot)[0]) < 1:
        return Status.INSUFFICIENT_MEMORY
    # ACT
    slot = next(slot for slot in range(ROOT + 1, SLOTS) if slot not in hv.alive())
    record, parent = hv.state["partition"][0, slot], hv.state["partition"][0, request.slot]
    record["life"], record["id"] = Life.CREATED, hv.state["hypervisor"]["next_id"][0]
    record["parent"], record["overlay_gpn"] = request.slot, -1
    record["privileges"] = int(parent["privileges"]) & GUEST_PRIVILEGES
    record["block_spn"], record["born"] = pages.take(hv, request.slot), hv.state["now"][0] // 100 * 100
    hv.state["hypervisor"]["next_id"] += 1
    # RECORD
    hv.tell("partition_created", partition=int(record["id"]), parent=int(parent["id"]))
    return CreatePartitionOutput.encode(partition_id=int(record["id"]))


def initialize(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallInitializePartition: the top second-level table and the hypercall page come from the child's pool."""
    # CHECK
    record = hv.state["partition"][0, request.target]
    if record["life"] != Life.CREATED:
        return Status.INVALID_PARTITION_STATE
    if len(pages.pool(hv, request.target)[0]) < 2:
        return Status.INSUFFICIENT_MEMORY
    # ACT
    record["root"] = pages.take(hv, request.target) << 12
    record["overlay_spn"] = pages.take(hv, request.target)
    fill_hypercall_page(hv, int(record["overlay_spn"]))
    record["life"] = Life.ACTIVE
    # RECORD
    hv.tell("partition_initialized", partition=int(record["id"]), root=int(record["root"]))
    return b""


def finalize(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallFinalizePartition: processors go, guest memory returns to the parent, tables return to the pool."""
    # CHECK
    slot = request.target
    record = hv.state["partition"][0, slot]
    if record["life"] not in (Life.CREATED, Life.ACTIVE):
        return Status.INVALID_PARTITION_STATE
    # ACT
    if int(record["overlay_gpn"]) >= 0:
        remove_overlay(hv, slot)
    ports.forget_partition(hv, slot)
    intercept_table.forget_partition(hv.state, slot)
    hv.flush_partition(slot)  # whatever the scenario says about other flushes
    for vp in vps_of(hv.state, slot):
        calls_vp.remove(hv, vp)
    for spn in np.flatnonzero(hv.memory.column("owner") == slot).tolist():
        pages.give(hv, spn, int(record["parent"]))
    for spn in pages.pool(hv, slot)[1].tolist():
        pages.put_back(hv, spn)
    record["root"], record["overlay_spn"], record["hypercall"], record["guest_os_id"] = 0, 0, 0, 0
    record["life"] = Life.FINALIZED
    # RECORD
    hv.tell("partition_finalized", partition=int(record["id"]))
    return b""


def delete(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallDeletePartition: after the pool was withdrawn, nothing is left but the name.

    Source of the statuses: Microsoft, Hypervisor Functions, HvDeletePartition (2013).

    SIMPLER THAN REAL: a partition that was never initialized is finalized before it is deleted, too.
    """
    # CHECK
    record = hv.state["partition"][0, request.target]
    if record["life"] != Life.FINALIZED:
        return Status.INVALID_PARTITION_STATE
    free, used = pages.pool(hv, request.target)
    if len(free) or len(used):
        return Status.OPERATION_DENIED
    # ACT
    number, block = int(record["id"]), int(record["block_spn"])
    pages.put_back(hv, block)
    hv.state["partition"][0, request.target] = np.zeros((), record.dtype)
    # RECORD
    hv.tell("partition_deleted", partition=number)
    return b""


def get_property(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallGetPartitionProperty."""
    # CHECK
    if request.input.reserved:
        return Status.INVALID_PARAMETER
    if request.input.property != Property.PRIVILEGE_FLAGS:
        return Status.UNKNOWN_PROPERTY
    # ACT
    return PropertyOutput.encode(value=int(hv.state["partition"]["privileges"][0, request.target]) & MASK)


def set_property(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallSetPartitionProperty: privileges before the partition is initialized, and none that the parent lacks.

    SIMPLER THAN REAL: privileges are the only property; "none that the parent lacks" is our rule.
    """
    # CHECK
    if request.input.padding:
        return Status.INVALID_PARAMETER
    if request.input.property != Property.PRIVILEGE_FLAGS:
        return Status.UNKNOWN_PROPERTY
    record = hv.state["partition"][0, request.target]
    if record["life"] != Life.CREATED:
        return Status.INVALID_PARTITION_STATE
    if request.input.value & ~int(hv.state["partition"]["privileges"][0, request.slot]) & MASK:
        return Status.PROPERTY_VALUE_OUT_OF_RANGE
    # ACT
    record["privileges"] = signed(request.input.value)
    # RECORD
    hv.tell(
        "property_set",
        partition=int(record["id"]),
        property=request.input.property,
        value=request.input.value,
    )
    return b""


def get_id(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallGetPartitionId."""
    return PartitionIdOutput.encode(partition_id=hv.id_of(request.slot))


def next_child(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallGetNextChildPartition: children in order of their ids; 0 after the last."""
    # CHECK
    records = hv.state["partition"][0]
    children = sorted(hv.id_of(slot) for slot in hv.alive() if records["parent"][slot] == request.target)
    previous = request.input.previous_id
    if previous and previous not in children:
        return Status.INVALID_PARAMETER
    # ACT
    return PartitionIdOutput.encode(partition_id=next((child for child in children if child > previous), 0))
