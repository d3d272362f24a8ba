"""Virtual devices of the worker process: register files behind ports. Their state is plain data, and copies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from hvlab.errors import BadRequest


class Device(Protocol):
    """What the worker process asks of a device."""

    kind: int
    ports: Sequence[int]

    def read(self, port: int, size: int) -> int:
        """Answer a read of `size` bytes."""

    def write(self, port: int, size: int, value: int) -> None:
        """Take what was written."""


@dataclass
class Bus:
    """Which device answers at which port; a port that no device claims reads all ones.

    Attributes
    ----------
    devices : list of Device
        In the order in which they were added.
    """

    devices: list[Device] = field(default_factory=list)

    def add(self, device: Device) -> None:
        """Register a device by its ports.

        Raises
        ------
        BadRequest
            If another device has one of them.
        """
        taken = {port for other in self.devices for port in other.ports}
        if twice := sorted(taken & set(device.ports)):
            raise BadRequest(f"a second device at port {twice[0]:#x}", f"ports {', '.join(map(hex, sorted(taken)))}")
        self.devices.append(device)

    def at(self, port: int) -> Device | None:
        """Return the device behind a port."""
        return next((device for device in self.devices if port in device.ports), None)

    def read(self, port: int, size: int) -> tuple[int, int]:
        """Return (kind of the device or 0, value)."""
        device = self.at(port)
        ones = (1 << 8 * size) - 1
        return (0, ones) if device is None else (device.kind, device.read(port, size) & ones)

    def write(self, port: int, size: int, value: int) -> int:
        """Hand a value on; return the kind of the device, or 0."""
        device = self.at(port)
        if device is None:
            return 0
        device.write(port, size, value)
        return device.kind
