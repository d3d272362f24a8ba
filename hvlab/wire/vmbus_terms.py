"""VMBus: the versions of its protocol, and the numbers and flags that channel messages use.

Source: Linux include/linux/hyperv.h (v6.1.192), openvmm vmbus_core/src/protocol.rs.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hvlab.wire.struct import Word, bit


class ConnectionId(IntEnum):
    """Well-known connections of a guest. Source: Linux include/linux/hyperv.h; openvmm vmbus_core."""

    MESSAGES = 1  # channel messages, below version 5.0
    EVENTS = 2  # the legacy event connection, for channels without one of their own
    MONITOR = 3
    MESSAGES_5 = 4  # INITIATE_CONTACT from 5.0 on
    REDIRECT = 0x800074


class ChannelStatus(IntEnum):
    """NT statuses that answers carry; 0 is success. Source: openvmm vmbus_core/src/protocol.rs; MS-ERREF."""

    SUCCESS = 0
    UNSUCCESSFUL = 0x8000FFFF
    CONNECTION_REFUSED = 0xC0000236


@dataclass(frozen=True)
class Version:
    """One version of the protocol.

    Attributes
    ----------
    value : int
        Major in the high half, minor in the low half.
    host : str
        The first host that speaks it, as Linux and openvmm name it.
    adds : str
        What is new in it.
    """

    value: int
    host: str
    adds: str

    @property
    def name(self) -> str:
        """Major and minor, as Linux prints them."""
        return f"{self.value >> 16}.{self.value & 0xFFFF}"


def _version(major: int, minor: int, host: str, adds: str) -> Version:
    return Version(major << 16 | minor, host, adds)


# Newest first: the order in which a guest tries. Source: Linux include/linux/hyperv.h, drivers/hv/connection.c;
# openvmm vmbus_core/src/protocol.rs. What each adds is read from these, host names are theirs.
VERSIONS: Final = (
    _version(6, 0, "Windows Server 2025", "feature flags, a client id, longer OPENCHANNEL and VERSION_RESPONSE"),
    _version(5, 3, "Windows Server 2022", "an answer to MODIFYCHANNEL"),
    _version(5, 2, "Windows Server 2019", "the silo id of a socket connection; confidential guests need it"),
    _version(5, 1, "Windows 10 version 1803", "the trust level (VTL) that a connection is for"),
    _version(
        5, 0, "Windows 10 version 1709", "contact on connection 4, and an own connection for all further messages"
    ),
    _version(4, 1, "Windows 10 version 1709", "MODIFYCHANNEL, and results of socket connections"),
    _version(4, 0, "Windows Server 2016", "socket connections and reserved channels"),
    _version(3, 0, "Windows Server 2012 R2", "nothing that Linux or openvmm name"),
    _version(2, 4, "Windows Server 2012", "a connection for each channel, its target VP, sub-channels, flow control"),
    _version(1, 1, "Windows Server 2008 R2", "an answer to UNLOAD"),
    _version(0, 13, "Windows Server 2008", "the first one"),
)
BY_NAME: Final = {version.name: version for version in VERSIONS}
BY_VALUE: Final = {version.value: version for version in VERSIONS}
V5, V5_3, V6, V2_4, V4_1 = (BY_NAME[name].value for name in ("5.0", "5.3", "6.0", "2.4", "4.1"))


class FeatureFlags(Word):
    """Features that both ends must know, from 6.0 on. Source: openvmm vmbus_core/src/protocol.rs, FeatureFlags."""

    guest_specified_signal_parameters: int = bit(0, "OPENCHANNEL may name connection and flag.")
    channel_interrupt_redirection: int = bit(1, "A channel's interrupt may go elsewhere.")
    modify_connection: int = bit(2, "MODIFY_CONNECTION is known.")
    client_id: int = bit(3, "The contact carries the guest's id.")
    confidential_channels: int = bit(4, "Offers say which channels are confidential.")
    pause_resume: int = bit(5, "PAUSE and RESUME are known.")
    server_specified_monitor_pages: int = bit(6, "The host names the monitor pages.")


class OfferFlags(Word):
    """Flags of an offer (16 bits). Source: openvmm vmbus_core/src/protocol.rs, OfferFlags; Linux VMBUS_CHANNEL_*."""

    enumerate_device_interface: int = bit(0, "The device shows itself to user mode.")
    confidential_ring_buffer: int = bit(1, "The rings may lie in memory that the host cannot read.")
    confidential_external_memory: int = bit(2, "So may the pages that packets name.")
    named_pipe_mode: int = bit(4, "A pipe: each packet begins with a pipe header.")
    loopback: int = bit(8, "Linux only, old: the offer came from the guest itself.")
    parent_offer: int = bit(9, "Linux only, old: the offer comes from the parent.")
    request_monitored_notification: int = bit(10, "Linux only, old: signals may go through the monitor page.")
    tlnpi_provider: int = bit(13, "A socket connection (Hyper-V socket).")
