"""A child with two virtual processors whose SynIC is switched on, ports to it, and what a test asks of it."""

from hvlab.child.discovery import enable_synic, establish
from hvlab.hypervisor import clockwork, synic_ops
from hvlab.machine import Machine
from hvlab.wire.synic import ConnectionInfo, EventPortInfo, MessagePortInfo, Sint
from hvlab.wire.tlfs import MessageHeader, Msr

PAGE = 4096
MESSAGES, FLAGS, INPUT, HYPERCALL = (20, 21), (22, 23), 24, 25  # guest pages
VECTOR = 0xF3


class Desk:
    """The machine, its child, and operations on it by name."""

    def __init__(self, vps=2, auto_eoi=False, **machine):
        self.machine = Machine(memory=2 << 20, **machine)
        self.child = self.machine.child("web", memory=64 * PAGE, vps=vps, pool=12)
        self.hv, self.vps, self.winhv = self.machine.hv, self.child.vps, self.machine.vid.winhv
        self.partition = self.child.partition_id
        assert establish(self.child.vp, HYPERCALL) is None
        for k, vp in enumerate(self.vps):
            assert enable_synic(vp, MESSAGES[k], FLAGS[k], VECTOR, auto_eoi=auto_eoi) is None

    def number(self, vp):
        return self.vps[vp].number

    # wiring ----------------------------------------------------------------------------------------------------------

    def port(self, number, sint=2, vp=0, flags=None, sender=1):
        """Make a port of the child; `flags` (base, count) make it one for signals."""
        if flags is None:
            info = MessagePortInfo.encode(type=1, sint=sint, vp_index=vp)
        else:
            info = EventPortInfo.encode(type=2, sint=sint, vp_index=vp, base_flag=flags[0], flag_count=flags[1])
        self.winhv.call(
            "CreatePort",
            for_whom=self.partition,
            port_partition=self.partition,
            port_id=number,
            connection_partition=sender,
            info=info,
        )

    def connect(self, connection, port, sender=1, kind=1):
        self.winhv.call(
            "ConnectPort",
            connection_partition=sender,
            connection_id=connection,
            port_partition=self.partition,
            port_id=port,
            info=ConnectionInfo.encode(type=kind),
        )

    def wire(self, connection, sint=2, vp=0, flags=None, sender=1):
        """Make a port and a connection of the same number."""
        self.port(connection, sint, vp, flags, sender)
        self.connect(connection, connection, sender, 1 if flags is None else 2)

    # calls and operations --------------------------------------------------------------------------------------------

    def post(self, connection, payload=b"hello", kind=1, vp=None):
        """Post from the root, or from a virtual processor of the child; return the status."""
        if vp is None:
            at = self.winhv.input_gpn * PAGE
            return self.machine.root_vp.post_message(connection, kind, payload, at) & 0xFFFF
        return self.vps[vp].post_message(connection, kind, payload, INPUT * PAGE) & 0xFFFF

    def signal(self, connection, flag=0, vp=None):
        return (self.machine.root_vp if vp is None else self.vps[vp]).signal_event(connection, flag) & 0xFFFF

    def do(self, op, vp, *words):
        """Do one operation of the event kernel now."""
        with self.hv.action():
            return int(self.hv.turn([(0, int(op), self.number(vp), *words)])[0])

    def take(self, vp=0, sint=2):
        return self.do(synic_ops.TAKE, vp, sint)

    def eom(self, vp=0):
        return self.vps[vp].wrmsr(Msr.EOM, 0)

    def accept(self, vp=0):
        return self.do(clockwork.ACCEPT, vp)

    def eoi(self, vp=0):
        return self.do(clockwork.EOI, vp)

    def sint(self, sint, vp=0, **fields):
        return self.vps[vp].wrmsr(Msr.SINT0 + sint, Sint.encode(**({"vector": VECTOR} | fields)))

    def wait(self, units):
        """Let reference time pass."""
        with self.hv.action():
            self.hv.turn((), until=int(self.hv.state["now"][0]) + 100 * units)

    # what is there ---------------------------------------------------------------------------------------------------

    @property
    def events(self):
        return self.machine.trace.kinds()

    def slot(self, vp=0, sint=2):
        """Return (header, payload) of a slot."""
        data = self.vps[vp].read_gpa(MESSAGES[vp] * PAGE + 256 * sint, 256)
        header = MessageHeader.decode(data)
        return header, data[16 : 16 + header.payload_size]

    def free(self, vp=0, sint=2):
        """Let the guest free a slot by an ordinary write."""
        assert self.vps[vp].write_gpa(MESSAGES[vp] * PAGE + 256 * sint, bytes(4)) is None

    def flags(self, vp=0, sint=2):
        """Return the flags that are set."""
        data = self.vps[vp].read_gpa(FLAGS[vp] * PAGE + 256 * sint, 256)
        word = int.from_bytes(data, "little")
        return [k for k in range(2048) if word >> k & 1]

    def raised(self, vp=0):
        """Return how many fixed interrupts reached the APIC, those that became one with another included."""
        return int(self.hv.state["apic"][0, self.number(vp)]["count"]["raised"])

    def age(self):
        return self.vps[0].rdmsr(Msr.TIME_REF_COUNT)
