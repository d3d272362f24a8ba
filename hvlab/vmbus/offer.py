"""What a host offers: devices, as the machine's configuration says."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from hvlab.errors import BadRequest
from hvlab.wire import vmbus
from hvlab.wire.guids import BY_KEY, DeviceClass

PIPES: Final = {"video": 4, "kbd": 4, "mouse": 4}  # devices whose channels are pipes: openvmm uidevices
NO_MONITOR: Final = 0xFF


@dataclass(frozen=True)
class Device:
    """A device that a host offers: all that an OFFERCHANNEL says of it.

    Attributes
    ----------
    name : str
        For lessons.
    interface, instance : str
        GUIDs.
    flags, mmio : int
        OfferFlags, and megabytes of device memory.
    user_defined : bytes
    index : int
        0 for a device; from 1 on for its further channels.
    monitored : bool
        Its signals may go through the monitor page.
    latency : int
        How long such a signal may wait, in units of 100 ns.
    """

    name: str
    interface: str
    instance: str
    flags: int = 0
    mmio: int = 0
    user_defined: bytes = b""
    index: int = 0
    monitored: bool = False
    latency: int = 100

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes an offer the same offer: openvmm OfferKey."""
        return self.interface, self.instance, self.index


def device(name: str, number: int = 0, monitored: bool = False, latency: int = 100) -> Device:
    """Return a device of a class (`wire.guids`), the `number`-th of its kind."""
    if name not in BY_KEY:
        raise BadRequest(f"a device {name!r}", "", ", ".join(sorted(BY_KEY)))
    kind: DeviceClass = BY_KEY[name]
    pipe = PIPES.get(name)
    flags = vmbus.OfferFlags.mask("enumerate_device_interface")
    if pipe is not None:
        flags |= vmbus.OfferFlags.mask("named_pipe_mode")
    instance = kind.instance if kind.instance and number == 0 else made_instance(kind.guid, number)
    return Device(
        name if number == 0 else f"{name}{number}",
        kind.guid,
        instance,
        int(flags),
        8 if name == "video" else 0,
        vmbus.PipeOffer.encode(mode=pipe) if pipe is not None else b"",
        0,
        monitored,
        latency,
    )


def made_instance(interface: str, number: int) -> str:
    """Return an instance for a device that has none of its own everywhere: the class with its number in front."""
    return str(UUID(int=UUID(interface).int ^ (number + 1) << 96))
