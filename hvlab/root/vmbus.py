"""The root's VMBus: its SynIC, the ports and connections of each child, and who gets which message.

Messages of all children come into one slot of the root's; the port that they came to says whose they are. A channel's
signals set one flag of the root's.

SIMPLER THAN REAL: one virtual processor of the root takes all of them.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.root.vid import Partition, Vid
from hvlab.root.winhv import PAGE, CallFailed, WinHv
from hvlab.vmbus.endpoint import Mailbox, Outbox
from hvlab.vmbus.host import Host
from hvlab.wire import vmbus
from hvlab.wire.synic import (
    FLAGS,
    ConnectionInfo,
    EventPortInfo,
    MessagePortInfo,
    PortType,
    Scontrol,
    Siefp,
    Simp,
    Sint,
)
from hvlab.wire.tlfs import Msr, Status

VECTOR: Final = 0x31  # what the root lets SINT 2 raise (our choice)
STEP: Final = 1 << 12  # numbers of ports and connections of the root for one child
MESSAGES, EVENTS = PortType.MESSAGE, PortType.EVENT
MOST_TARGETS: Final = 4  # SINTs of one child that messages go to at a time


@dataclass
class Wires:
    """The ports and connections of one child: plain data.

    Attributes
    ----------
    base : int
        Numbers from here on are this child's, among the root's ports and connections.
    targets : dict
        (VP, SINT) of the child -> the root's connection for messages to it, in the order of use.
    flags : dict
        Channel id -> (the root's flag, the child's connection).
    """

    base: int
    targets: dict[tuple[int, int], int] = field(default_factory=dict)
    flags: dict[int, tuple[int, int]] = field(default_factory=dict)
    next: int = 0
    events: set[int] = field(default_factory=set)  # VPs of the child that the root can signal


class Ground:
    """What the driver of one child gets from the root (`vmbus.host_base.Ground`)."""

    def __init__(self, bus: "RootVmbus", partition_id: int, base: int) -> None:
        self.bus, self.partition_id, self.wires = bus, partition_id, Wires(base)
        self.vp = bus.vid.winhv.vp

    @property
    def partition(self) -> Partition:
        return self.bus.vid.partitions[self.partition_id]

    @property
    def vps(self) -> int:
        return self.partition.vps

    def page(self, gpn: int) -> int | None:
        """Return the root's page behind a page of the child, or None."""
        return self.partition.pages.get(gpn)

    def pin(self, gpns: Iterable[int], count: int) -> None:
        """Count in how many page lists each page of the child is."""
        if self.partition_id in self.bus.vid.partitions:
            self.bus.vid.pin(self.partition, gpns, count)

    def now(self) -> int:
        """Return the root's reference time, in nanoseconds."""
        found = self.vp.rdmsr(Msr.TIME_REF_COUNT)
        assert isinstance(found, int)
        return found * 100

    # to the child ----------------------------------------------------------------------------------------------------

    def post(self, connection: int, outbox: Outbox, data: bytes) -> Status:
        """Send a message to the child; it waits where there is no buffer."""
        return outbox.send(self.bus.box, connection, data)

    def signal(self, vp: int, flag: int) -> Status:
        """Set a flag of a virtual processor of the child."""
        return self.bus.box.signal(self._events(vp), flag)

    def _events(self, vp: int) -> int:
        """Return the connection for signals to a virtual processor, made when it is needed first."""
        connection = self.wires.base + STEP // 2 + vp
        if vp not in self.wires.events:
            info = EventPortInfo.encode(type=EVENTS, sint=vmbus.SINT, vp_index=vp, flag_count=FLAGS)
            self._port(self.partition_id, connection, 1, info, connection)
            self.wires.events.add(vp)
        return connection

    def target(self, vp: int, sint: int) -> int:
        """Return the connection for messages to a SINT; the one that was not used for longest makes room."""
        wires = self.wires
        number = wires.targets.pop((vp, sint), None)
        if number is None:
            if len(wires.targets) >= MOST_TARGETS:
                oldest = next(iter(wires.targets))
                self._delete(self.partition_id, wires.targets.pop(oldest), 1)
            wires.next += 1
            number = wires.base + wires.next % (STEP // 4)
            info = MessagePortInfo.encode(type=MESSAGES, sint=sint, vp_index=vp)
            self._port(self.partition_id, number, 1, info, number)
        wires.targets[vp, sint] = number
        return number

    # from the child --------------------------------------------------------------------------------------------------

    def listen(self, connections: Iterable[int]) -> None:
        """Make the root's ports for messages, and the child's connections to them; connection 2 is for signals."""
        for number in connections:
            port = self.wires.base + STEP // 4 + len(self.bus.ports)
            info = MessagePortInfo.encode(type=MESSAGES, sint=vmbus.SINT)
            self._port(1, port, self.partition_id, info, number)
            self.bus.ports[port] = self.partition_id
        info = EventPortInfo.encode(type=EVENTS, sint=vmbus.SINT, flag_count=1)
        port = self.wires.base + STEP // 4 + STEP // 8
        self._port(1, port, self.partition_id, info, int(vmbus.ConnectionId.EVENTS))
        self.target(0, vmbus.SINT)
        self._events(0)

    def open_signal(self, connection: int, channel: int) -> bool:
        """Let the child signal a channel through a connection of its own."""
        flag = next((k for k in range(1, FLAGS) if k not in self.bus.flags), None)
        if flag is None or connection in (1, 2, 3, 4):
            return False
        port = self.wires.base + STEP // 2 + STEP // 4 + channel
        info = EventPortInfo.encode(type=EVENTS, sint=vmbus.SINT, base_flag=flag, flag_count=1)
        try:
            self._port(1, port, self.partition_id, info, connection)
        except CallFailed:
            return False
        self.bus.flags[flag] = (self.partition_id, channel)
        self.wires.flags[channel] = (flag, connection)
        return True

    def close_signal(self, channel: int) -> None:
        """Take that connection away."""
        flag, connection = self.wires.flags.pop(channel)
        del self.bus.flags[flag]
        if self.partition_id in self.bus.vid.partitions:
            self._delete(1, self.wires.base + STEP // 2 + STEP // 4 + channel, self.partition_id, connection)

    def _port(self, owner: int, port: int, sender: int, info: bytes, connection: int) -> None:
        """Make a port, and the sender's connection to it; both or none."""
        call, kind = self.bus.winhv.call, int.from_bytes(info[:4], "little")
        call("CreatePort", for_whom=owner, port_partition=owner, port_id=port, connection_partition=sender, info=info)
        try:
            call(
                "ConnectPort",
                for_whom=sender,
                connection_partition=sender,
                connection_id=connection,
                port_partition=owner,
                port_id=port,
                info=ConnectionInfo.encode(type=kind),
            )
        except CallFailed:
            call("DeletePort", port_partition=owner, port_id=port)
            raise

    def _delete(self, owner: int, port: int, sender: int, connection: int | None = None) -> None:
        call = self.bus.winhv.call
        number = port if connection is None else connection
        call("DisconnectPort", connection_partition=sender, connection_id=number)
        call("DeletePort", port_partition=owner, port_id=port)

    def forget(self) -> None:
        """Take away what the root still has for a child that is taken down."""
        for connection in self.wires.targets.values():
            self._delete(self.partition_id, connection, 1)
        for vp in self.wires.events:
            self._delete(self.partition_id, self.wires.base + STEP // 2 + vp, 1)
        for port in [port for port, owner in self.bus.ports.items() if owner == self.partition_id]:
            self.bus.winhv.call("DeletePort", port_partition=1, port_id=port)
            del self.bus.ports[port]
        port = self.wires.base + STEP // 4 + STEP // 8
        self.bus.winhv.call("DeletePort", port_partition=1, port_id=port)
        self.wires = Wires(self.wires.base)


class RootVmbus:
    """VMBus in the root: switched on once, with a driver for each child.

    Attributes
    ----------
    hosts : dict
        Partition id -> driver.
    """

    def __init__(self, vid: Vid) -> None:
        self.vid, self.hosts, self.grounds = vid, dict[int, Host](), dict[int, Ground]()
        self.ports, self.flags = dict[int, int](), dict[int, tuple[int, int]]()
        self.next_base = STEP
        self.winhv = WinHv(vid.winhv.vp, vid.winhv.memory, physical=True)
        self.pages = vid.winhv.memory.take(3)
        message, flags, block = (gpn * PAGE for gpn in self.pages)
        for register, value in (
            (Msr.SIMP, Simp.encode(enable=1, gpn=self.pages[0])),
            (Msr.SIEFP, Siefp.encode(enable=1, gpn=self.pages[1])),
            (Msr(Msr.SINT0 + vmbus.SINT), Sint.encode(vector=VECTOR)),
            (Msr.SCONTROL, Scontrol.encode(enable=1)),
        ):
            if fault := vid.winhv.vp.wrmsr(register, value):
                raise BadRequest(f"the root's {register.name}", fault.kind)
        self.box = Mailbox(vid.winhv.vp, message, flags, block, auto_eoi=False)
        vid.before_destroy.append(self.forget)

    def host(self, partition_id: int, connections: Iterable[int] = (1, 4, 0x800074), **how: Any) -> Host:
        """Begin to serve a child: its ports and connections, and a driver for it.

        Parameters
        ----------
        connections : iterable of int
            On which connections the child may post.
        **how
            As `Host` takes it.
        """
        ground = self.grounds[partition_id] = Ground(self, partition_id, self.next_base)
        self.next_base += STEP
        ground.listen(connections)
        self.hosts[partition_id] = Host(ground, **how)
        return self.hosts[partition_id]

    def forget(self, partition_id: int) -> None:
        """Let go of a child before it is taken down."""
        if partition_id in self.hosts:
            self.hosts.pop(partition_id).forget()
            self.grounds.pop(partition_id).forget()

    def service(self) -> bool:
        """Take an interrupt that waits, and send what waits; whether anything was done."""
        done = False
        for host in self.hosts.values():
            outbox = host.state.outbox
            done |= bool(outbox.waiting) and outbox.flush(self.box)
        if self.box.waits():
            self.box.interrupt(self._interrupt)
            done = True
        return done

    def _interrupt(self) -> None:
        for flag in self.box.flags():
            owner, channel = self.flags.get(flag, (0, 0))
            if owner in self.hosts:
                self.hosts[owner].signalled(channel)
        if (letter := self.box.take()) is not None:
            owner = self.ports.get(letter.port, 0)
            if owner in self.hosts:
                self.hosts[owner].take(letter, self.box.spa)

    # a machine that is saved -----------------------------------------------------------------------------------------

    def saved(self) -> Any:
        """Return what it holds, as a copy."""
        hosts = {number: (host, host.saved()) for number, host in self.hosts.items()}
        grounds = {number: (ground, copy.deepcopy(ground.wires)) for number, ground in self.grounds.items()}
        return hosts, grounds, dict(self.ports), dict(self.flags), self.next_base

    def restore(self, saved: Any) -> None:
        """Go back to what `saved` returned."""
        hosts, grounds, ports, flags, self.next_base = saved
        self.hosts = {number: host for number, (host, _) in hosts.items()}
        self.grounds = {number: ground for number, (ground, _) in grounds.items()}
        self.ports, self.flags = dict(ports), dict(flags)
        for host, record in hosts.values():
            host.restore(record)
        for ground, wires in grounds.values():
            ground.wires = copy.deepcopy(wires)
