"""Ports and connections, and what goes with a partition or a virtual processor: queues, timers, pages.

A port is the receiver's: a SINT of one of its virtual processors (or of any), and for messages a page of sixteen
buffers from its pool. A connection is the sender's. Source: TLFS, ports and connections.

SIMPLER THAN REAL: connections, and ports for signals, take nothing from a pool.
SIMPLER THAN REAL: no monitored notifications and no doorbells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hvlab.errors import BadRequest
from hvlab.hardware import processor
from hvlab.hypervisor import agenda, overlay, pages, queues, synic_ops
from hvlab.hypervisor.partition import vps_of
from hvlab.wire.synic import GUEST_BUFFERS, PAYLOAD, SINT_AT_RESET, SINTS, TIMERS, PortType
from hvlab.wire.tlfs import Status

if TYPE_CHECKING:
    from hvlab.hypervisor.core import Hypervisor

MASK = (1 << 64) - 1


def switch_on(hv: Hypervisor, vp: int) -> None:
    """Put a virtual processor's SynIC and timers into the state after reset: every source masked."""
    forget = np.zeros((), hv.state["synic"].dtype)
    forget["sint"] = SINT_AT_RESET
    hv.state["synic"][0, vp] = forget
    hv.state["timer"][0, vp] = np.zeros((), hv.state["timer"].dtype)


def find_port(hv: Hypervisor, slot: int, number: int) -> int | None:
    """Return the place of a partition's port, or None."""
    table = hv.state["port"][0]
    found = np.flatnonzero((table["owner"] == slot) & (table["id"] == number))
    return int(found[0]) if len(found) else None


def find_connection(hv: Hypervisor, slot: int, number: int) -> int | None:
    """Return the place of a partition's connection, or None."""
    table = hv.state["connection"][0]
    found = np.flatnonzero((table["owner"] == slot) & (table["id"] == number))
    return int(found[0]) if len(found) else None


def free_place(table: np.void) -> int | None:
    """Return the first free place of a table of ports or connections."""
    found = np.flatnonzero(table["owner"] == 0)
    return int(found[0]) if len(found) else None


def create(hv: Hypervisor, k: int, slot: int, number: int, sender: int, **given: int) -> None:
    """Make a port at a free place; `given` are its kind, sint, target, base and count. The caller checked all."""
    # ACT
    port, messages = hv.state["port"][0, k], hv.state["messages"][0]
    messages["serial"] += 1
    port["owner"], port["id"], port["sender"], port["serial"] = slot, number, sender, messages["serial"]
    for name, value in given.items():
        port[name] = value
    if given["kind"] == PortType.MESSAGE:
        port["spn"], port["room"] = pages.take(hv, slot), int(messages["buffers"]) or GUEST_BUFFERS
    # RECORD
    hv.tell(
        "port_created",
        partition=hv.id_of(slot),
        port=number,
        kind=given["kind"],
        vp_index=given["target"],
        sint=given["sint"],
        spa=int(port["spn"]) << 12,
    )


def delete(hv: Hypervisor, k: int) -> None:
    """Take a port away, with the messages that wait in its buffers; its page goes back to the pool."""
    # ACT
    port = hv.state["port"][0, k]
    slot, number, spn = int(port["owner"]), int(port["id"]), int(port["spn"])
    tickets = range(k * GUEST_BUFFERS + 1, (k + 1) * GUEST_BUFFERS + 1)
    dropped = _drop(hv, vps_of(hv.state, slot), set(tickets))
    hv.state["port"][0, k] = np.zeros((), port.dtype)
    if spn:
        pages.put_back(hv, spn)
    # RECORD
    hv.tell("port_deleted", partition=hv.id_of(slot), port=number, dropped=dropped)


def connect(hv: Hypervisor, k: int, slot: int, number: int, port: int) -> None:
    """Make a connection at a free place. The caller checked all."""
    # ACT
    there = hv.state["port"][0, port]
    record = hv.state["connection"][0, k]
    record["owner"], record["id"], record["port"], record["serial"] = slot, number, port, there["serial"]
    # RECORD
    owner = hv.id_of(int(there["owner"]))
    hv.tell("connection_made", partition=hv.id_of(slot), connection=number, owner=owner, port=int(there["id"]))


def disconnect(hv: Hypervisor, k: int) -> None:
    """Take a connection away; what was posted through it still arrives."""
    record = hv.state["connection"][0, k]
    partition, number = hv.id_of(int(record["owner"])), int(record["id"])
    hv.state["connection"][0, k] = np.zeros((), record.dtype)
    hv.tell("connection_removed", partition=partition, connection=number)


def _drop(hv: Hypervisor, vps: list[int], tickets: set[int] | None = None) -> int:
    """Take messages out of queues: those behind these tickets, or all. Return how many there were."""
    m, count = hv.state[0], 0
    for vp in vps:
        for sint in range(SINTS):
            at = int(m["synic"][vp]["head"][sint])
            while at:
                behind = int(queues.next_of(m, vp, at))
                if tickets is None or at in tickets:
                    queues.unlink(m, vp, sint, at)
                    queues.release(m, vp, at)
                    count += 1
                at = behind
    m["messages"]["dropped"] += count
    return count


def forget_vp(hv: Hypervisor, vp: int) -> None:
    """Take away what a virtual processor has of SynIC and timers: queues, agenda, pages."""
    # ACT
    overlay.remove_all(hv, hv.slot_of(vp), vp)
    dropped = _drop(hv, [vp])
    for timer in range(TIMERS):
        agenda.cancel(hv.state[0], agenda.STIMER, vp, timer)
    record, guest = hv.state["synic"][0, vp], hv.state["guest"][0, vp]
    for spn in (int(record["message_spn"]), int(record["flags_spn"]), int(guest["assist_spn"])):
        if spn:
            pages.put_back(hv, spn)
    hv.state["synic"][0, vp] = np.zeros((), record.dtype)
    hv.state["timer"][0, vp] = np.zeros((), hv.state["timer"].dtype)
    # RECORD
    if dropped:
        hv.tell("messages_dropped", dropped=dropped)


def forget_partition(hv: Hypervisor, slot: int) -> None:
    """Take away the ports and connections of a partition, and its place as a sender at the ports of others."""
    port, connection = hv.state["port"][0], hv.state["connection"][0]
    overlay.remove_all(hv, slot)
    for k in np.flatnonzero(port["owner"] == slot).tolist():
        delete(hv, k)
    for k in np.flatnonzero(connection["owner"] == slot).tolist():
        disconnect(hv, k)
    port["sender"][port["sender"] == slot] = 0


def post_from_hypervisor(hv: Hypervisor, vp: int, sint: int, kind: int, payload: bytes, sender: int = 0) -> Status:
    """Send a message of the hypervisor's own to a virtual processor, as an intercept is told to the parent.

    Parameters
    ----------
    vp : int
        The machine's number of the receiving virtual processor.
    sint : int
        Which source; intercepts go to 0.
    kind : int
        Message type, bit 31 set.
    payload : bytes
        At most 240.
    sender : int
        The partition that it is about.

    Raises
    ------
    BadRequest
        For a receiver, source, type or payload that no message can have.
    """
    if not 0 <= vp < processor.VPS or not 0 <= sint < SINTS or kind >> 31 != 1 or len(payload) > PAYLOAD:
        raise BadRequest(f"a message {kind:#x} of {len(payload)} bytes for SINT {sint} of VP {vp}")
    spa = queues.SCRATCH * 8
    hv.memory.write(spa, payload.ljust(-(-len(payload) // 8) * 8, b"\0"))
    return Status(int(hv.turn([(0, int(synic_ops.ANNOUNCE), vp, sint, kind, len(payload), sender, spa)])[0]))
