"""A guest, a host and the VMBus between them: what a lesson does with it, one line each.

    bus().connect()                      the handshake up to the version
    b = bus(devices=("scsi", "net")); b.connect(); b.offers(); b.open("scsi"); b.send(b"hello")

Nothing is said until a line says it; after each line everybody is at rest. What a line did is a `Run`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hvlab.child.kernel import Kernel
from hvlab.errors import BadRequest
from hvlab.hardware.memory import PAGE
from hvlab.lab.recorded import Recorded
from hvlab.machine import Child, Machine
from hvlab.story.channels import ChannelLens
from hvlab.trace.journal import Trace
from hvlab.vmbus.channel import Channel, Knobs
from hvlab.vmbus.guest_base import Named, Offered
from hvlab.vmbus.host import Host
from hvlab.vmbus.offer import Device, device
from hvlab.vmbus.pump import rest
from hvlab.vmbus.ring import Packet
from hvlab.wire import vmbus
from hvlab.wire.ring import CONTROL, PacketType, RingControl

RULES: Final = ("empty", "always", "monitor")
PAGES: Final = 256  # of the guest, unless more are asked for
ROOM: Final = 768  # pages of the machine for the root and the hypervisor
FEW: Final = 16  # packets of one line that are told one frame each


@dataclass(frozen=True, repr=False)
class Run(Recorded):
    """What one line did.

    Attributes
    ----------
    value : Any
        What the line came to: a version, offers, what a write answered.
    channel : int
        The id of the channel that it was about; 0: of none.
    """

    value: Any = None
    channel: int = 0

    @property
    def lens(self) -> ChannelLens:
        return ChannelLens(self.grain, before=self.before)

    def __repr__(self) -> str:
        return f"Run({len(self.trace)} events{'' if self.value is None else f', {self.value!r}'})"


@dataclass(frozen=True)
class Ring:
    """One ring as its bytes are now."""

    name: str
    data: bytes = field(repr=False)

    @property
    def control(self) -> RingControl:
        """Its control page."""
        return RingControl.decode(self.data)

    @property
    def size(self) -> int:
        """Bytes of data."""
        return len(self.data) - CONTROL

    def bytes(self, offset: int = 0, count: int = 64) -> bytes:
        """Return bytes of the data, from a place in the ring on."""
        return self.data[CONTROL + offset : CONTROL + offset + count]


class Bus:
    """A machine with a guest ``web`` whose root serves it over VMBus.

    Parameters
    ----------
    version : str
        The newest version that the guest asks for.
    speaks : str, optional
        The newest one that the host accepts.
    guest : str
        ``"linux"`` or ``"windows"``.
    devices : sequence of str or Device
        Classes of `wire.guids`: what the host offers.
    vps : int
        Virtual processors of the guest.
    rule : str
        When the guest rings: ``"empty"``, ``"always"``, or ``"monitor"``.
    policy : str
        Whose rules the host's reader keeps: ``"hvlab"``, ``"openvmm"``, ``"linux"``.
    lazy : bool
        The host reads only when it is told (`drain`).
    latency : int
        How long a signal through the monitor page may wait, in microseconds.
    throttle : tuple of int, optional
        (signals, microseconds): after so many signals that nobody needed, the host does not listen for so long.
    pages : int
        The guest's memory.
    recording : bool
        False: nothing is recorded, as for a study.
    features : int, optional
        The FeatureFlags that the guest asks for; without them those of its kind.
    services, **how
        As `Host` has them.

    Attributes
    ----------
    machine : Machine
    web : Child
    host, guest : Host, Guest
        The two drivers: neither knows the other.
    wiring : Run
        How the machine was made.
    """

    def __init__(
        self,
        version: str = "5.3",
        speaks: str | None = None,
        guest: str = "linux",
        devices: Sequence[str | Device] = ("scsi", "net"),
        vps: int = 1,
        rule: str = "empty",
        policy: str = "hvlab",
        lazy: bool = False,
        latency: int = 100,
        throttle: tuple[int, int] | None = None,
        pages: int = PAGES,
        recording: bool = True,
        features: int | None = None,
        services: Sequence[str] = (),
        **how: Any,
    ) -> None:
        if rule not in RULES:
            raise BadRequest(f"the rule {rule!r}", "", ", ".join(RULES))
        self.rule, self.latency = rule, latency
        self.machine = machine = Machine(memory=(pages + ROOM) * PAGE)
        machine.hv.recording = recording
        self.parties = [self._root]
        with machine.action():
            machine.child("web", memory=pages * PAGE, vps=vps, pool=4 * vps + 24)
            self.host: Host = machine.vmbus.host(
                self.web.partition_id,
                speaks=_up_to(speaks or "6.0"),
                knobs=Knobs("empty", policy),
                throttle=None if throttle is None else (throttle[0], throttle[1] * 1000),
                services=services,
                **how,
            )
            self.host.lazy = lazy
            self.kernel: Kernel = machine.boot_kernel(
                self.web,
                guest,
                versions=_up_to(version),
                features=features,
                knobs=Knobs(rule, count=throttle is not None),
                idle=self.rest,
            )
            self.guest = self.kernel.guest
            self.parties.append(self.kernel.service)
            for one in devices:
                self._offer(one)
        self.before = machine.trace
        self.wiring = Run(machine.trace, Trace(machine.trace.rows[:0]))

    @property
    def web(self) -> Child:
        """The guest's partition."""
        return self.machine.children["web"]

    def _root(self) -> bool:
        return self.machine.vmbus.service()

    def _offer(self, what: str | Device) -> int:
        if isinstance(what, str):
            known = sum(one.device.name.startswith(what) for one in self.host.state.channels.values())
            what = device(what, known, self.rule == "monitor", self.latency * 10)
        return self.host.offer(what)

    def rest(self) -> int:
        """Let everybody run until nobody has anything to do."""
        return rest(self.parties)

    @contextmanager
    def _line(self) -> Iterator[None]:
        with self.machine.action():
            yield
            self.rest()

    def _run(self, value: Any = None, many: bool = False, channel: int = 0) -> Run:
        trace = self.machine.trace
        run = Run(trace, self.before, "request" if many else "event", value, channel)
        self.before = self.before + trace
        return run

    # the handshake ---------------------------------------------------------------------------------------------------

    def connect(self, refuse: Sequence[str] = ()) -> Run:
        """Let the guest ask for one version after the other; the host refuses those that it does not speak.

        `refuse`: versions that it does not speak besides.
        """
        spoken = self.host.speaks
        self.host.speaks = spoken - {vmbus.BY_NAME[name].value for name in refuse}
        with self._line():
            version = self.guest.connect()
        self.host.speaks = spoken
        return self._run(version.name if version else None)

    def offers(self) -> Run:
        """Let the guest ask what there is."""
        with self._line():
            found = self.guest.request_offers()
        return self._run(tuple(one.channel_id for one in found))

    def offer(self, what: str | Device) -> Run:
        """Let the host offer one more device: a hot add."""
        with self._line():
            number = self._offer(what)
        return self._run(self.host.state.channels[number].channel_id)

    def subchannels(self, name: str | int = "", count: int = 1) -> Run:
        """Let the host offer further channels of a device."""
        first = self.host_channel(name)
        made = sum(one.device.instance == first.device.instance for one in self.host.state.channels.values())
        with self._line():
            numbers = [self.host.offer(replace(first.device, index=made + k)) for k in range(count)]
        return self._run(tuple(self.host.state.channels[number].channel_id for number in numbers))

    # a channel -------------------------------------------------------------------------------------------------------

    def channel(self, name: str | int = "") -> Offered:
        """Return the guest's record of a channel, by its id or its device's name; by default the first one."""
        number = self.host_channel(name).channel_id
        if number not in self.guest.offers:
            raise BadRequest(f"channel {name!r}", f"the guest knows {sorted(self.guest.offers)}", "offers() first")
        return self.guest.offers[number]

    def host_channel(self, name: str | int = "") -> Any:
        """Return the host's record of a channel."""
        channels = list(self.host.state.channels.values())
        if not channels:
            raise BadRequest(f"channel {name!r}", "no device")
        if name == "":
            opened = [one for one in channels if one.channel_id in self.guest.ends]
            return (opened or channels)[0]
        for one in channels:
            if name in (one.channel_id, one.device.name):
                return one
        raise BadRequest(f"channel {name!r}", ", ".join(one.device.name for one in channels))

    def open(self, name: str | int = "", pages: tuple[int, int] = (4, 4), vp: int = 0) -> Run:
        """Let the guest open a channel, with rings of so many pages (the control page is one of them)."""
        number = self.channel(name).channel_id
        with self._line():
            end = self.guest.open(number, pages, vp)
        return self._run(end is not None, channel=number)

    def share(self, pages: int = 8, name: str | int = "", length: int | None = None, offset: int = 0) -> Run:
        """Let the guest name pages to the host, and nothing else: a page list without a channel."""
        number = self.channel(name).channel_id
        with self._line():
            named = self.guest.create_gpadl(number, self.guest.frames(pages), length, offset)
        return self._run(named.status, channel=number)

    def unshare(self, gpadl_id: int) -> Run:
        """Let the guest take a page list back."""
        named: Named = self.guest.state.gpadls[gpadl_id]
        with self._line():
            done = self.guest.teardown_gpadl(named)
        return self._run(done, channel=named.channel_id)

    def close(self, name: str | int = "") -> Run:
        """Let the guest close a channel."""
        number = self.channel(name).channel_id
        with self._line():
            self.guest.close(number)
        return self._run(channel=number)

    def modify(self, vp: int, name: str | int = "") -> Run:
        """Let the guest take a channel's interrupts on another virtual processor."""
        number = self.channel(name).channel_id
        with self._line():
            status = self.guest.modify(number, vp)
        return self._run(status, channel=number)

    def rescind(self, name: str | int = "") -> Run:
        """Let the host take a device away."""
        channel = self.host_channel(name)
        with self._line():
            self.host.rescind(channel.number)
        return self._run(channel=channel.channel_id)

    def unload(self) -> Run:
        """Let the guest end the connection."""
        with self._line():
            done = self.guest.unload()
        return self._run(done)

    # packets ---------------------------------------------------------------------------------------------------------

    def end(self, name: str | int = "", host: bool = False) -> Channel:
        """Return one end of an open channel."""
        number, ends = self.host_channel(name).channel_id, self.host.ends if host else self.guest.ends
        if number not in ends:
            raise BadRequest(f"channel {name!r}", "it is not open", "open() first")
        return ends[number]

    def send(
        self, data: bytes = b"hello", name: str | int = "", times: int = 1, batch: int = 0, completion: bool = False
    ) -> Run:
        """Let the guest write packets: one after the other, or `batch` of them with one index update."""
        if not batch:
            return self.write_all([data] * times, name, completion)
        end, numbers = self.end(name), range(times * batch)
        packets = [Packet(PacketType.IN_BAND, data, number, completion) for number in numbers]
        with self._line():
            written = [end.send_batch(packets[k : k + batch]) for k in numbers[::batch]]
        return self._run(written[-1] if written else None, times > FEW, end.channel_id)

    def write_all(self, payloads: Sequence[bytes], name: str | int = "", completion: bool = False) -> Run:
        """Let the guest write several packets, each with its own index update, before anybody else runs."""
        end = self.end(name)
        with self._line():
            written = [end.send(data, transaction=k, completion=completion) for k, data in enumerate(payloads)]
        return self._run(written[-1] if written else None, len(payloads) > FEW, end.channel_id)

    def reply(self, data: bytes = b"done", name: str | int = "", times: int = 1, transaction: int | None = None) -> Run:
        """Let the host write packets; with a transaction id, completions."""
        end = self.end(name, host=True)
        kind = PacketType.IN_BAND if transaction is None else PacketType.COMPLETION
        with self._line():
            written = [end.send(data, kind=kind, transaction=transaction or 0) for _ in range(times)]
        return self._run(written[-1] if written else None, times > FEW, end.channel_id)

    def drain(self, name: str | int = "") -> Run:
        """Let the host read all that is there."""
        end = self.end(name, host=True)
        with self._line():
            count = self.host.drain(end.channel_id)
        return self._run(count, channel=end.channel_id)

    def mask(self, on: bool = True, name: str | int = "") -> Run:
        """Let the host's reading end set its mask, or open it."""
        end = self.end(name, host=True)
        with self._line():
            left = end.reader.begin() if on else end.reader.end()
        return self._run(left, channel=end.channel_id)

    def wait(self, microseconds: int) -> Run:
        """Let time pass: noted signals are made when their latency is over, a host that did not listen looks again."""
        hv, until = self.machine.hv, int(self.machine.state["now"][0]) + 1000 * microseconds
        born = int(self.machine.state["partition"]["born"][0, hv.slot_of(0)])  # where the host's time begins
        with self._line():
            self.rest()
            while (due := self.host.notice()) is not None and born + due <= until:
                hv.turn((), until=max(born + due, int(self.machine.state["now"][0])))
                for number in self.host.look() + self.host.wake_due():
                    self.host.signalled(number)
                self.rest()
            hv.turn((), until=until)
        return self._run()

    # what is there ---------------------------------------------------------------------------------------------------

    def ring(self, which: str = "out", name: str | int = "") -> Ring:
        """Return a ring's bytes: ``"out"`` from guest to host, ``"in"`` from host to guest."""
        end = self.end(name)
        window = (end.writer if which == "out" else end.reader).window
        data = window.read(0, window.size)
        if which not in ("out", "in") or not isinstance(data, bytes):
            raise BadRequest(f"the ring {which!r}", "", "out or in")
        return Ring(which, data)

    def slot(self, host: bool = False) -> bytes:
        """Return the 256 bytes of a message slot: the guest's, or the host's."""
        box = self.machine.vmbus.box if host else self.kernel.boxes[0]
        data = box.vp.read_gpa(box.slot, 256)
        assert isinstance(data, bytes)
        return data


def _up_to(version: str) -> tuple[str, ...]:
    """Return the versions that Linux or openvmm speak, from this one downwards."""
    if version not in vmbus.BY_NAME:
        raise BadRequest(f"version {version!r}", "", ", ".join(vmbus.BY_NAME))
    most = vmbus.BY_NAME[version].value
    return tuple(one.name for one in vmbus.VERSIONS if vmbus.V2_4 <= one.value <= most)


def bus(**how: Any) -> Bus:
    """Return a guest and a host at two ends of a VMBus that is silent yet; see `Bus`."""
    return Bus(**how)
