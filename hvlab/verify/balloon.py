"""The two ends of a balloon channel as far as the recording goes: version, then capabilities.

Source: Linux drivers/hv/hv_balloon.c (the guest's driver); QEMU hw/hyperv/hv-balloon.c (the host's device). What they
can do is the configuration of the recorded ones.
"""

from typing import Any

from hvlab.vmbus.channel import Channel
from hvlab.wire.balloon import (
    BalloonAnswer,
    BalloonCapabilities,
    BalloonCaps,
    BalloonHeader,
    BalloonType,
    BalloonVersion,
)

VERSION = 2 << 16  # 2.0: the newest that Linux 6.1 asks for
CAPS = BalloonCaps.encode(balloon=1, hot_add=1, hot_add_alignment=7)  # 128 MiB: Linux on x86-64
ANY = (1 << 64) - 1
ACCEPTED, ALL = 1, 7


class Driver:
    """The guest's driver."""

    def __init__(self) -> None:
        self.transaction = 0

    def begin(self, end: Channel) -> None:
        """Ask for a version."""
        end.send(BalloonVersion.encode(**self._head(BalloonType.VERSION_REQUEST, 16), version=VERSION))

    def _head(self, kind: int, size: int) -> dict[str, int]:
        self.transaction += 1
        return {"type": kind, "length": size, "transaction_id": self.transaction}

    def take(self, end: Channel, packet: Any) -> None:
        """Say what the guest can do, once its version is accepted."""
        answer = BalloonAnswer.decode(packet.data)
        if answer.type == BalloonType.VERSION_RESPONSE and answer.flags & ACCEPTED:
            end.send(BalloonCapabilities.encode(**self._head(BalloonType.CAPABILITIES, 32), caps=CAPS, max_page=ANY))


def device(end: Channel, packet: Any) -> None:
    """Answer a request as the host's device does; the packet's transaction id is the request's."""
    head = BalloonHeader.decode(packet.data)
    answers = {
        BalloonType.VERSION_REQUEST: (BalloonType.VERSION_RESPONSE, ACCEPTED),
        BalloonType.CAPABILITIES: (BalloonType.CAPABILITIES_RESPONSE, ALL),
    }
    if head.type in answers:
        kind, flags = answers[BalloonType(head.type)]
        words = {"type": kind, "length": 16, "transaction_id": head.transaction_id}
        end.send(BalloonAnswer.encode(**words, flags=flags), transaction=head.transaction_id)
