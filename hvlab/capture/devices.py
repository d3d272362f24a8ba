"""The devices of a guest's VMBus, as a listing names them: class, channels, and the processor of each channel.

A channel interrupts one processor. Linux spreads the channels of one device; where two of them share a processor while
others have none, half the queues wait for one processor (Linux commit "Drivers: hv: vmbus: Fix duplicate CPU
assignments within a device"). How many processors the guest has is not said by any listing: those that it names count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hvlab.capture.gate import whole_number
from hvlab.capture.source import Unknown, left_over
from hvlab.errors import BadFile
from hvlab.language import N_, _, ngettext
from hvlab.wire.guids import BY_KEY, CLASSES, INSTANCES, DeviceClass

GUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
MOST_VPS: Final = 4096  # a sparse set of virtual processors has 64 banks of 64 (TLFS, virtual processor sets)
MOST_IDS: Final = 1 << 32
STATES: Final = ("offered", "opening", "open", "opened")  # Linux include/linux/hyperv.h, enum vmbus_channel_state
IN_FULL: Final = 8


@dataclass(frozen=True)
class Channel:
    """One channel: its relid, the virtual processor that it interrupts (-1: not said), what else is known of it."""

    relid: int
    vp: int = -1
    primary: bool = True
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Device:
    """One device of a listing.

    Attributes
    ----------
    number : int
        Its VMBus id, the relid of its primary channel; -1 where the listing does not say.
    class_id, instance : str
        The two GUIDs in lower case; "" where the listing does not say.
    label : str
        What the listing calls it.
    channels : tuple of Channel
        In the order of the listing.
    facts : tuple of (name, value)
        Attributes of sysfs beside those.
    """

    number: int
    class_id: str = ""
    instance: str = ""
    label: str = ""
    channels: tuple[Channel, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> DeviceClass | None:
        """Return its class; by its name if only that is printed and no other class has it, None if nobody knows it."""
        if self.class_id:
            return CLASSES.get(self.class_id)
        named = [one for one in BY_KEY.values() if one.name == self.label]
        return named[0] if len(named) == 1 else None

    @property
    def name(self) -> str:
        """Return what to call it."""
        known = self.kind
        return known.name if known else self.label or _("no name here")

    @property
    def family(self) -> str:
        """Return what it serves."""
        known = self.kind
        return _(known.family) if known else _("unknown class")


@dataclass(frozen=True)
class Uneven:
    """A device whose channels could be spread better: the channels of each processor, and how many would do."""

    device: Device
    counts: dict[int, int]
    enough: int

    def says(self) -> str:
        """Return it in a sentence."""
        where = ", ".join(
            ngettext("{count} channel on VP {vp}", "{count} channels on VP {vp}", count).format(count=count, vp=vp)
            for vp, count in sorted(self.counts.items())
        )
        name = f"{self.device.name} {self.device.instance}".rstrip()
        text = _("Lopsided: {name} has {where}; no processor needs more than {enough}.")
        return text.format(name=name, where=where, enough=self.enough)


@dataclass(frozen=True)
class DeviceList:
    """The devices of one guest, and the lines of the listing that mean nothing here."""

    devices: tuple[Device, ...]
    unknown: tuple[Unknown, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.devices)

    @property
    def processors(self) -> int:
        """Return how many processors the listing shows to exist: one more than the highest that it names."""
        return 1 + max((channel.vp for device in self.devices for channel in device.channels), default=-1)

    def load(self) -> dict[int, int]:
        """Return how many channels each of these processors has."""
        seen = Counter(channel.vp for device in self.devices for channel in device.channels if channel.vp >= 0)
        return {vp: seen[vp] for vp in range(self.processors)}

    def lopsided(self) -> list[Uneven]:
        """Return the devices that put more channels on one processor than an even spread would."""
        found = []
        for device in self.devices:
            counts = Counter(channel.vp for channel in device.channels if channel.vp >= 0)
            enough = -(-sum(counts.values()) // max(1, self.processors))
            if counts and max(counts.values()) > enough:
                found.append(Uneven(device, dict(counts), enough))
        return found

    def __repr__(self) -> str:
        return "\n".join(self.told())

    def told(self) -> Iterator[str]:
        """Tell the devices, their channels, what is lopsided, and the lines that are not known."""
        first, *others = self.findings()
        yield first
        if self.devices:
            rows = [(_("id"), _("device"), _("it serves"), _("channel → VP")), *map(_cells, self.devices)]
            wide = [max(len(row[k]) for row in rows) for k in range(3)]
            for row in rows:
                yield "  ".join([*(cell.ljust(w) for cell, w in zip(row, wide, strict=False)), row[3]]).rstrip()
        yield from others
        yield from self.attributes()
        yield from left_over(self.unknown)

    def findings(self) -> Iterator[str]:
        """Tell how many there are, what is lopsided, and which classes nobody knows."""
        channels = sum(len(device.channels) for device in self.devices)
        counts = (
            ngettext("{count} device", "{count} devices", len(self)).format(count=len(self)),
            ngettext("{count} channel", "{count} channels", channels).format(count=channels),
            ngettext("{count} processor named", "{count} processors named", self.processors).format(
                count=self.processors
            ),
        )
        yield ", ".join(counts) if self.devices else _("The bus is there, and no device on it.")
        uneven = self.lopsided()
        yield from (one.says() for one in uneven)
        if uneven:
            yield _("Channels of one device that share a processor wait for each other, while others could take one.")
        elif self.processors > 1:
            yield _("No device puts more channels on one processor than an even spread would.")
        load = ", ".join(f"VP {vp}: {count}" for vp, count in self.load().items() if count)
        if load:
            yield _("Channels of each processor: {load}").format(load=load)
        for device in self.devices:
            if device.class_id and device.kind is None:
                text = _("Class {guid} has no name here: the device is shown as it stands in the listing.")
                yield text.format(guid=device.class_id)

    def attributes(self) -> Iterator[str]:
        """Tell each attribute of sysfs with its meaning."""
        for device in self.devices:
            for title, facts in [("", device.facts), *((_channel(one), one.facts) for one in device.channels)]:
                if facts:
                    yield f"{device.name} {device.instance}{title}".strip()
                    yield from (f"  {name} = {value}{_meaning(name, value, device)}" for name, value in facts)


def _channel(channel: Channel) -> str:
    return ", " + _("channel {relid}").format(relid=channel.relid)


def _cells(device: Device) -> tuple[str, str, str, str]:
    number = str(device.number) if device.number >= 0 else "?"
    return number, device.name, device.family, placed(device.channels)


def placed(channels: Sequence[Channel]) -> str:
    """Return channels with their processors; the sub-channels in brackets."""
    first = [_one(channel) for channel in channels if channel.primary]
    rest = [_one(channel) for channel in channels if not channel.primary]
    return " ".join([*first, f"({' '.join(rest)})"] if rest else first) or _("not said")


def _one(channel: Channel) -> str:
    return f"{channel.relid}→{channel.vp if channel.vp >= 0 else '?'}"


def number_of(file: object, line: int, what: str, text: str, below: int = MOST_IDS) -> int:
    """Return a decimal number of a listing, if it is small enough."""
    return whole_number(file, f"line {line:,}, {what}", int(text), 0, below - 1)


def once(file: object, devices: Sequence[Device]) -> tuple[Device, ...]:
    """Return the devices if each id and each channel stands there once: two listings in one text are refused."""
    for what, seen in (
        ("VMBus id", Counter(device.number for device in devices if device.number >= 0)),
        ("channel", Counter(channel.relid for device in devices for channel in device.channels)),
    ):
        for number, times in seen.items():
            if times > 1:
                raise BadFile(file, "the text", f"{what} {number} {times} times", "the listing of one guest, once")
    return tuple(devices)


# --- what the attributes of sysfs mean --------------------------------------------------------------------------------

# Source: Linux Documentation/ABI/stable/sysfs-bus-vmbus, drivers/hv/vmbus_drv.c. "in" and "out" are the guest's view.
MEANINGS: Final = {
    "channel_vp_mapping": N_("channel:VP of each channel"),
    "class_id": N_("the interface type of the offer"),
    "device_id": N_("the interface instance of the offer"),
    "id": N_("the relid of the primary channel"),
    "device": N_("Linux's number for the class"),
    "vendor": N_("Microsoft's PCI vendor number"),
    "numa_node": N_("the memory node that the host named, -1 for none"),
    "modalias": N_("class as it stands on the wire; it chooses the driver"),
    "driver_override": N_("a driver that was forced upon the device"),
    "monitor_id": N_("bit of the monitor pages"),
    "cpu": N_("the VP that the host interrupts"),
    "events": N_("signals sent to the host"),
    "interrupts": N_("interrupts taken from the host"),
    "intr_in_full": N_("signals because the ring from the host was full no more"),
    "intr_out_empty": N_("signals because the ring to the host was empty before"),
    "out_full_first": N_("writes that found the ring full first"),
    "out_full_total": N_("writes that found the ring full"),
    "in_mask": N_("1: the guest asks for no interrupts"),
    "out_mask": N_("1: the host asks for no signals"),
    "read_avail": N_("bytes to be read from the host"),
    "write_avail": N_("bytes that the guest may write"),
    "subchannel_id": N_("0: the primary channel"),
    "latency": N_("how long the host may wait before it looks"),
    "pending": N_("bit of the monitor page: the host shall look"),
    "in_intr_mask": N_("1: the guest asks for no interrupts"),
    "out_intr_mask": N_("1: the host asks for no signals"),
    "in_read_index": N_("the guest has read as far as this"),
    "in_write_index": N_("the host has written as far as this"),
    "out_read_index": N_("the host has read as far as this"),
    "out_write_index": N_("the guest has written as far as this"),
    "in_read_bytes_avail": N_("bytes that wait in the ring from the host"),
    "in_write_bytes_avail": N_("bytes free in the ring from the host"),
    "out_read_bytes_avail": N_("bytes that wait in the ring to the host"),
    "out_write_bytes_avail": N_("bytes free in the ring to the host"),
}


def _meaning(name: str, value: str, device: Device) -> str:
    if name == "state" and value.isdigit() and int(value) < len(STATES):
        return f"  ({STATES[int(value)]})"
    if name == "device_id" and (known := INSTANCES.get(device.instance)):
        return f"  ({_('the instance that every {name} has').format(name=known.name)})"
    meaning = MEANINGS.get(name)
    return f"  ({_(meaning)})" if meaning else ""


def bare(text: str) -> str:
    """Return a GUID without its braces, in lower case; "" for anything else."""
    found = re.fullmatch(rf"\{{?({GUID})\}}?", text.strip())
    return found[1].lower() if found else ""
