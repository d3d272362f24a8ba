"""The calls about ports, connections, messages and events. Source: TLFS, hypercall reference.

Statuses of the four calls about ports and connections: Microsoft, Hypervisor Functions (2013), HvCreatePort and so on.
"""

from hvlab.hypervisor import pages, ports, synic_ops
from hvlab.hypervisor.core import Hypervisor
from hvlab.hypervisor.partition import Life, find
from hvlab.hypervisor.request import Request
from hvlab.wire.hypercalls import PropertyOutput
from hvlab.wire.ports import PostMessage
from hvlab.wire.synic import (
    ANY_VP,
    FLAGS,
    PAYLOAD,
    SINTS,
    ConnectionInfo,
    EventPortInfo,
    MessagePortInfo,
    PortProperty,
    PortType,
)
from hvlab.wire.tlfs import SELF, Status

MOST_VPS = 64
PAYLOAD_AT = PostMessage.size - PAYLOAD
NUMBERS = 1 << 24  # ids of ports and connections have 24 bits


def _active(hv: Hypervisor, slot: int) -> bool:
    return bool(hv.state["partition"]["life"][0, slot] == Life.ACTIVE)


def _named(hv: Hypervisor, request: Request, number: int) -> int | None:
    """Return the slot of a partition that the input names besides the first."""
    return request.slot if number == SELF else find(hv.state, number)


def _port_info(info: bytes) -> dict[str, int] | Status:
    """Take the description of a port apart: what the table of ports keeps of it."""
    kind = int.from_bytes(info[:4], "little")
    if kind not in (PortType.MESSAGE, PortType.EVENT):
        return Status.INVALID_PARAMETER
    given = (MessagePortInfo if kind == PortType.MESSAGE else EventPortInfo).decode(info)
    base, count = (given.base_flag, given.flag_count) if isinstance(given, EventPortInfo) else (0, 0)
    if given.padding or given.reserved or given.sint >= SINTS or base + count > FLAGS:
        return Status.INVALID_PARAMETER
    if kind == PortType.EVENT and count == 0:
        return Status.INVALID_PARAMETER
    if given.vp_index >= MOST_VPS and given.vp_index != ANY_VP:
        return Status.INVALID_VP_INDEX
    return {"kind": kind, "sint": given.sint, "target": given.vp_index, "base": base, "count": count}


def create(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallCreatePort: a place where messages or signals of one sender arrive."""
    # CHECK
    given, slot = request.input, request.target
    info, sender = _port_info(given.info), _named(hv, request, given.connection_partition)
    if not _active(hv, slot):
        return Status.INVALID_PARTITION_STATE
    if sender is None:
        return Status.INVALID_PARTITION_ID
    if given.port_id >= NUMBERS or ports.find_port(hv, slot, given.port_id) is not None:
        return Status.INVALID_PORT_ID
    if isinstance(info, Status):
        return info
    if given.port_vtl or given.min_connection_vtl or given.reserved:
        return Status.INVALID_PARAMETER
    k = ports.free_place(hv.state["port"][0])
    if k is None:
        return Status.NO_RESOURCES
    if info["kind"] == PortType.MESSAGE and len(pages.pool(hv, slot)[0]) < 1:
        return Status.INSUFFICIENT_MEMORY
    # ACT and RECORD
    ports.create(hv, k, slot, given.port_id, sender, **info)
    return b""


def delete(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallDeletePort: what waits in the port's buffers is lost; connections to it become useless."""
    # CHECK
    if not _active(hv, request.target):
        return Status.INVALID_PARTITION_STATE
    k = ports.find_port(hv, request.target, request.input.port_id)
    if k is None:
        return Status.INVALID_PORT_ID
    if request.input.reserved:
        return Status.INVALID_PARAMETER
    # ACT and RECORD
    ports.delete(hv, k)
    return b""


def connect(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallConnectPort: the sender's end, at a port that was made for this sender."""
    # CHECK
    given, slot = request.input, request.target
    owner = _named(hv, request, given.port_partition)
    if owner is None:
        return Status.INVALID_PARTITION_ID
    if not _active(hv, slot) or not _active(hv, owner):
        return Status.INVALID_PARTITION_STATE
    port = ports.find_port(hv, owner, given.port_id)
    if port is None or int(hv.state["port"]["sender"][0, port]) != slot:
        return Status.INVALID_PORT_ID
    if given.connection_id >= NUMBERS or ports.find_connection(hv, slot, given.connection_id) is not None:
        return Status.INVALID_CONNECTION_ID
    info = ConnectionInfo.decode(given.info)
    wrong = info.padding or given.connection_vtl or given.reserved0 or given.reserved1 or given.reserved2
    if wrong or info.type != int(hv.state["port"]["kind"][0, port]):
        return Status.INVALID_PARAMETER
    k = ports.free_place(hv.state["connection"][0])
    if k is None:
        return Status.NO_RESOURCES
    # ACT and RECORD
    ports.connect(hv, k, slot, given.connection_id, port)
    return b""


def disconnect(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallDisconnectPort."""
    # CHECK
    if not _active(hv, request.target):
        return Status.INVALID_PARTITION_STATE
    k = ports.find_connection(hv, request.target, request.input.connection_id)
    if k is None:
        return Status.INVALID_CONNECTION_ID
    if request.input.padding:
        return Status.INVALID_PARAMETER
    # ACT and RECORD
    ports.disconnect(hv, k)
    return b""


def get_property(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallGetPortProperty: how many messages were posted through a port."""
    # CHECK
    k = ports.find_port(hv, request.target, request.input.port_id)
    if k is None:
        return Status.INVALID_PORT_ID
    if request.input.reserved or request.input.padding:
        return Status.INVALID_PARAMETER
    if request.input.property != PortProperty.POST_COUNT:
        return Status.UNKNOWN_PROPERTY
    # ACT
    return PropertyOutput.encode(value=int(hv.state["port"]["posted"][0, k]))


def post(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallPostMessage: the engine does it, from the caller's input page."""
    # CHECK
    given = request.input
    if given.reserved:
        return Status.INVALID_PARAMETER
    # ACT and RECORD
    words = given.connection_id, given.type, given.payload_size, request.spa + PAYLOAD_AT
    status = Status(int(hv.turn([(0, int(synic_ops.POST), request.vp, *words)])[0]))
    return b"" if status == Status.SUCCESS else status


def signal(hv: Hypervisor, request: Request) -> bytes | Status:
    """HvCallSignalEvent: the engine does it."""
    # CHECK
    given = request.input
    if given.reserved:
        return Status.INVALID_PARAMETER
    # ACT and RECORD
    status = Status(int(hv.turn([(0, int(synic_ops.SIGNAL), request.vp, given.connection_id, given.flag)])[0]))
    return b"" if status == Status.SUCCESS else status
