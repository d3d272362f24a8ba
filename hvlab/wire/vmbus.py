"""VMBus: the messages about channels. Versions, statuses and flags are in `vmbus_terms`, and can be had from here.

A message is a header of eight bytes and one of the bodies below; it travels as the payload of a SynIC message. Some
messages grew: the size decides which form is there. Source: Linux include/linux/hyperv.h (v6.1.192), openvmm
vmbus_core/src/protocol.rs; layouts of both, compiled or read, agree but for what a body's text says.
"""

from typing import Final
from uuid import UUID

from hvlab.wire.struct import Message, Struct, raw, u8, u16, u32, u64
from hvlab.wire.vmbus_terms import BY_NAME as BY_NAME
from hvlab.wire.vmbus_terms import BY_VALUE as BY_VALUE
from hvlab.wire.vmbus_terms import V2_4 as V2_4
from hvlab.wire.vmbus_terms import V4_1 as V4_1
from hvlab.wire.vmbus_terms import V5 as V5
from hvlab.wire.vmbus_terms import V5_3 as V5_3
from hvlab.wire.vmbus_terms import V6 as V6
from hvlab.wire.vmbus_terms import VERSIONS as VERSIONS
from hvlab.wire.vmbus_terms import ChannelStatus as ChannelStatus
from hvlab.wire.vmbus_terms import ConnectionId as ConnectionId
from hvlab.wire.vmbus_terms import FeatureFlags as FeatureFlags
from hvlab.wire.vmbus_terms import OfferFlags as OfferFlags
from hvlab.wire.vmbus_terms import Version as Version

CHILD, ROOT = "child", "root"  # who sends
LINUX: Final = "Source: Linux include/linux/hyperv.h"
MESSAGE_TYPE = 1  # of the SynIC message that carries one of these
SINT = 2  # both ends take their messages and flags there
MAX_MESSAGE = 240
HEADER_PFNS, BODY_PFNS = 26, 28  # page numbers of one range in a GPADL_HEADER, and in each GPADL_BODY
FIRST_GPADL = 0xE1E10  # where Linux begins to count its handles
MAX_GPADLS, CHANNELS = 256, 2047  # channel ids are 1 to 2047: flag 0 is no channel's
NO_VP = 0xFFFFFFFF  # as a target: no interrupts for this channel


class ChannelHeader(Struct, size=8):
    """The head of every channel message. Source: Linux vmbus_channel_message_header."""

    message_type: int = u32("Which message it is.", kind="enum:channel_message")
    padding: int = u32("Zero.")


class Offer(Message, number=1, size=188, sender=ROOT, since="0.13"):
    """Here is a device, and a channel to it (OFFERCHANNEL). Source: Linux vmbus_channel_offer_channel."""

    interface_type: bytes = raw(16, "The kind of device.")
    interface_instance: bytes = raw(16, "Which one of its kind.")
    reserved: bytes = raw(16, "Latencies in old Linux headers; zero.")
    flags: int = u16("What it is: bit 0, user mode sees it; bit 4, a pipe; bit 13, a socket.", kind="hex")
    mmio_megabytes: int = u16("Device memory that it needs.")
    user_defined: bytes = raw(120, "The device's own; of a pipe: its mode first.")
    sub_channel_index: int = u16("0: the first channel of the device; others are further ones of the same.")
    mmio_megabytes_optional: int = u16("Device memory that it can use besides.")
    channel_id: int = u32("The channel's number (relid) while it lives; also its flag.")
    monitor_id: int = u8("Its place in the monitor page.")
    monitor_allocated: int = u8("Bit 0: it has such a place.")
    is_dedicated: int = u16("Bit 0: the channel has a connection of its own.")
    connection_id: int = u32("The connection that signals it.", kind="hex")


class Rescind(Message, number=2, size=4, sender=ROOT, since="0.13"):
    """The device goes away (RESCIND_CHANNELOFFER). Source: Linux vmbus_channel_rescind_offer."""

    channel_id: int = u32("The channel that was offered.")


class RequestOffers(Message, number=3, size=0, sender=CHILD, since="0.13"):
    """Tell me all that you have (REQUESTOFFERS). Source: Linux vmbus_channel_message_header."""


class AllOffers(Message, number=4, size=0, sender=ROOT, since="0.13"):
    """That was all for now (ALLOFFERS_DELIVERED). Source: Linux vmbus_channel_message_header."""


class Open(Message, number=5, size=140, sender=CHILD, since="0.13"):
    """Let us talk through the rings in this GPADL (OPENCHANNEL). Source: Linux vmbus_channel_open_channel."""

    channel_id: int = u32("The channel.")
    open_id: int = u32("The guest's own number of this request; Linux repeats the channel's.")
    gpadl_id: int = u32("The pages of both rings.", kind="hex")
    target_vp: int = u32("Whose SINT the host's signals raise.")
    downstream_offset: int = u32("Page at which the ring from host to guest begins.")
    user_data: bytes = raw(120, "For the device.")


class OpenExtended(Message, number=5, size=148, sender=CHILD, since="6.0"):
    """OPENCHANNEL as it grew with signal parameters of the guest's choice. Source: openvmm OpenChannel2."""

    channel_id: int = u32("The channel.")
    open_id: int = u32("The guest's own number of this request.")
    gpadl_id: int = u32("The pages of both rings.", kind="hex")
    target_vp: int = u32("Whose SINT the host's signals raise.")
    downstream_offset: int = u32("Page at which the ring from host to guest begins.")
    user_data: bytes = raw(120, "For the device.")
    connection_id: int = u32("The connection by which the guest will signal the host.", kind="hex")
    event_flag: int = u16("The flag that the host sets.")
    flags: int = u16("Bit 0: the interrupt goes elsewhere.", kind="hex")


class OpenResult(Message, number=6, size=12, sender=ROOT, since="0.13"):
    """Opened, or not (OPENCHANNEL_RESULT). Source: Linux vmbus_channel_open_result."""

    channel_id: int = u32("The channel.")
    open_id: int = u32("The request that this answers.")
    status: int = u32("0: open.", kind="hex")


class Close(Message, number=7, size=4, sender=CHILD, since="0.13"):
    """The guest stops talking (CLOSECHANNEL); nobody answers. Source: Linux vmbus_channel_close_channel."""

    channel_id: int = u32("The channel.")


class GpadlHeader(Message, number=8, size=12, sender=CHILD, since="0.13"):
    """Name guest pages, so that the root can map them (GPADL_HEADER); ranges follow. Source: Linux gpadl_header."""

    channel_id: int = u32("Channel the pages will back.")
    gpadl_id: int = u32("Handle that the guest chose; unique while it lives.", kind="hex")
    length: int = u16("Bytes of range data in this message and the GPADL_BODY messages after it.")
    count: int = u16("Ranges in that data.")


class GpadlBody(Message, number=9, size=8, sender=CHILD, since="0.13"):
    """Further page numbers of a GPADL (GPADL_BODY); they follow. Source: Linux vmbus_channel_gpadl_body."""

    message_number: int = u32("Linux leaves it 0; hosts do not look.")
    gpadl_id: int = u32("The handle of the header.", kind="hex")


class GpadlCreated(Message, number=10, size=12, sender=ROOT, since="0.13"):
    """The root has mapped the pages, or not (GPADL_CREATED). Source: Linux vmbus_channel_gpadl_created."""

    channel_id: int = u32("The channel.")
    gpadl_id: int = u32("The handle.", kind="hex")
    status: int = u32("0: mapped.", kind="hex")


class GpadlTeardown(Message, number=11, size=8, sender=CHILD, since="0.13"):
    """Forget these pages (GPADL_TEARDOWN). Source: Linux vmbus_channel_gpadl_teardown."""

    channel_id: int = u32("The channel.")
    gpadl_id: int = u32("The handle.", kind="hex")


class GpadlTorndown(Message, number=12, size=4, sender=ROOT, since="0.13"):
    """They are forgotten: the pages are the guest's alone (GPADL_TORNDOWN). Source: Linux gpadl_torndown."""

    gpadl_id: int = u32("The handle.", kind="hex")


class ReleaseChannel(Message, number=13, size=4, sender=CHILD, since="0.13"):
    """The number may be used again (RELID_RELEASED). Source: Linux vmbus_channel_relid_released."""

    channel_id: int = u32("The channel that was rescinded.")


class InitiateContact(Message, number=14, size=32, sender=CHILD, since="0.13"):
    """I speak this version (INITIATE_CONTACT), as it was before 5.0. Source: Linux vmbus_channel_initiate_contact."""

    version: int = u32("Major in the high half, minor in the low half.", kind="enum:vmbus_version")
    target_vp: int = u32("The VP that takes the host's messages.")
    interrupt_page: int = u64("GPA of the page in which both ends set flags of channels.", kind="gpa")
    parent_to_child: int = u64("GPA of the host's monitor page.", kind="gpa")
    child_to_parent: int = u64("GPA of the guest's monitor page.", kind="gpa")


class InitiateContact5(Message, number=14, size=32, sender=CHILD, since="5.0"):
    """INITIATE_CONTACT from 5.0 on: no interrupt page. Source: Linux vmbus_channel_initiate_contact."""

    version: int = u32("Major in the high half, minor in the low half.", kind="enum:vmbus_version")
    target_vp: int = u32("The VP that takes the host's messages.")
    target_sint: int = u8("Its SINT.")
    target_vtl: int = u8("Its trust level.")
    reserved: int = u16("Zero.")
    feature_flags: int = u32("Features that the guest knows; below 6.0 zero.", kind="hex")
    parent_to_child: int = u64("GPA of the host's monitor page.", kind="gpa")
    child_to_parent: int = u64("GPA of the guest's monitor page.", kind="gpa")


class InitiateContact6(Message, number=14, size=48, sender=CHILD, since="6.0"):
    """INITIATE_CONTACT as it grew in 6.0. Source: openvmm InitiateContact2."""

    version: int = u32("Major in the high half, minor in the low half.", kind="enum:vmbus_version")
    target_vp: int = u32("The VP that takes the host's messages.")
    target_sint: int = u8("Its SINT.")
    target_vtl: int = u8("Its trust level.")
    reserved: int = u16("Zero.")
    feature_flags: int = u32("Features that the guest knows.", kind="hex")
    parent_to_child: int = u64("GPA of the host's monitor page.", kind="gpa")
    child_to_parent: int = u64("GPA of the guest's monitor page.", kind="gpa")
    client_id: bytes = raw(16, "Which guest this is.")


class VersionResponse(Message, number=15, size=8, sender=ROOT, since="0.13"):
    """Yes, or no (VERSION_RESPONSE). Source: Linux vmbus_channel_version_response."""

    supported: int = u8("1: this version it is; 0: try another.")
    connection_state: int = u8("0: fine.")
    padding: int = u16("Zero.")
    connection_id: int = u32("From 5.0 on: where all further messages go.", kind="hex")


class VersionResponse6(Message, number=15, size=12, sender=ROOT, since="6.0"):
    """VERSION_RESPONSE with features. Source: openvmm VersionResponse2."""

    supported: int = u8("1: this version it is.")
    connection_state: int = u8("0: fine.")
    padding: int = u16("Zero.")
    connection_id: int = u32("Where all further messages go.", kind="hex")
    feature_flags: int = u32("Features that both ends know.", kind="hex")


class VersionResponsePages(Message, number=15, size=32, sender=ROOT, since="6.0"):
    """VERSION_RESPONSE with features and the host's choice of monitor pages. Source: openvmm VersionResponse3."""

    supported: int = u8("1: this version it is.")
    connection_state: int = u8("0: fine.")
    padding: int = u16("Zero.")
    connection_id: int = u32("Where all further messages go.", kind="hex")
    feature_flags: int = u32("Features that both ends know.", kind="hex")
    padding2: int = u32("Zero.")
    parent_to_child: int = u64("GPA of the host's monitor page.", kind="gpa")
    child_to_parent: int = u64("GPA of the guest's monitor page.", kind="gpa")


class Unload(Message, number=16, size=0, sender=CHILD, since="0.13"):
    """Forget me and all my channels (UNLOAD). Source: Linux vmbus_channel_message_header."""


class UnloadComplete(Message, number=17, size=0, sender=ROOT, since="1.1"):
    """Forgotten (UNLOAD_RESPONSE). Source: Linux vmbus_channel_message_header."""


class OpenReserved(Message, number=18, size=20, sender=CHILD, since="4.0"):
    """Open a channel that stays over an UNLOAD (OPEN_RESERVED_CHANNEL). Source: openvmm OpenReservedChannel."""

    channel_id: int = u32("The channel.")
    target_vp: int = u32("Whose SINT the host's signals raise.")
    target_sint: int = u32("Which SINT.")
    gpadl_id: int = u32("The pages of both rings.", kind="hex")
    downstream_offset: int = u32("Page at which the ring from host to guest begins.")


class CloseReserved(Message, number=19, size=12, sender=CHILD, since="4.0"):
    """Close such a channel (CLOSE_RESERVED_CHANNEL). Source: openvmm CloseReservedChannel."""

    channel_id: int = u32("The channel.")
    target_vp: int = u32("Who takes the answer.")
    target_sint: int = u32("On which SINT.")


class CloseReservedResponse(Message, number=20, size=4, sender=ROOT, since="4.0"):
    """It is closed. Source: openvmm CloseReservedChannelResponse."""

    channel_id: int = u32("The channel.")


class SocketConnect(Message, number=21, size=32, sender=CHILD, since="4.0"):
    """Ask for a socket connection to the host (TL_CONNECT_REQUEST). Source: Linux vmbus_channel_tl_connect_request."""

    endpoint_id: bytes = raw(16, "Which end in the guest.")
    service_id: bytes = raw(16, "Which service of the host.")


class SocketConnectSilo(Message, number=21, size=48, sender=CHILD, since="5.2"):
    """TL_CONNECT_REQUEST with the container it is for. Source: openvmm TlConnectRequest2."""

    endpoint_id: bytes = raw(16, "Which end in the guest.")
    service_id: bytes = raw(16, "Which service of the host.")
    silo_id: bytes = raw(16, "Which container of the host.")


class ModifyChannel(Message, number=22, size=8, sender=CHILD, since="4.1"):
    """From now on signal another VP (MODIFYCHANNEL). Source: Linux vmbus_channel_modifychannel."""

    channel_id: int = u32("The channel.")
    target_vp: int = u32("The VP.")


class SocketResult(Message, number=23, size=36, sender=ROOT, since="4.1"):
    """The socket connection failed, or works (TL_CONNECT_RESULT). Source: openvmm TlConnectResult."""

    endpoint_id: bytes = raw(16, "Which end in the guest.")
    service_id: bytes = raw(16, "Which service of the host.")
    status: int = u32("0: an offer follows.", kind="hex")


class ModifyChannelResponse(Message, number=24, size=8, sender=ROOT, since="5.3"):
    """Signals go there now (MODIFYCHANNEL_RESPONSE). Source: Linux vmbus_channel_modifychannel_response."""

    channel_id: int = u32("The channel.")
    status: int = u32("0: done.", kind="hex")


class ModifyConnection(Message, number=25, size=16, sender=CHILD, since="6.0"):
    """Use other monitor pages, or none (MODIFY_CONNECTION). Source: openvmm ModifyConnection."""

    parent_to_child: int = u64("GPA of the host's monitor page.", kind="gpa")
    child_to_parent: int = u64("GPA of the guest's monitor page.", kind="gpa")


class ModifyConnectionResponse(Message, number=26, size=1, sender=ROOT, since="6.0"):
    """Done, or not. Source: openvmm ModifyConnectionResponse."""

    connection_state: int = u8("0: done.")


class Pause(Message, number=27, size=0, sender=CHILD, since="6.0"):
    """Send me nothing for a while (PAUSE). Source: Mile.HyperV, VMBUS_MESSAGE_HEADER; openvmm protocol.rs."""


class PauseResponse(Message, number=28, size=0, sender=ROOT, since="6.0"):
    """Nothing comes from here on. Source: Mile.HyperV, VMBUS_MESSAGE_HEADER; openvmm protocol.rs."""


class Resume(Message, number=29, size=0, sender=CHILD, since="6.0"):
    """Go on (RESUME). Source: Mile.HyperV, VMBUS_MESSAGE_HEADER; openvmm protocol.rs."""


# Names as Linux prints them, without CHANNELMSG_ or CHANNEL_; of those that only openvmm has, its own.
NAMES: Final = {
    1: "OFFERCHANNEL", 2: "RESCIND_CHANNELOFFER", 3: "REQUESTOFFERS", 4: "ALLOFFERS_DELIVERED", 5: "OPENCHANNEL",
    6: "OPENCHANNEL_RESULT", 7: "CLOSECHANNEL", 8: "GPADL_HEADER", 9: "GPADL_BODY", 10: "GPADL_CREATED",
    11: "GPADL_TEARDOWN", 12: "GPADL_TORNDOWN", 13: "RELID_RELEASED", 14: "INITIATE_CONTACT", 15: "VERSION_RESPONSE",
    16: "UNLOAD", 17: "UNLOAD_RESPONSE", 18: "OPEN_RESERVED_CHANNEL", 19: "CLOSE_RESERVED_CHANNEL",
    20: "CLOSE_RESERVED_RESPONSE", 21: "TL_CONNECT_REQUEST", 22: "MODIFYCHANNEL", 23: "TL_CONNECT_RESULT",
    24: "MODIFYCHANNEL_RESPONSE", 25: "MODIFY_CONNECTION", 26: "MODIFY_CONNECTION_RESPONSE", 27: "PAUSE",
    28: "PAUSE_RESPONSE", 29: "RESUME",
}  # fmt: skip


def _forms() -> dict[int, tuple[type[Message], ...]]:
    found: dict[int, list[type[Message]]] = {}
    for kind in Message.__subclasses__():
        if kind.__module__ == __name__:
            found.setdefault(kind.number, []).append(kind)
    return {number: tuple(kinds) for number, kinds in sorted(found.items())}


FORMS: Final = _forms()  # of each number its bodies, as it grew


def form_of(number: int, size: int, version: int = V5_3) -> type[Message] | None:
    """Return the longest body of this number that fits into `size` bytes; None for an unknown number or too few.

    Two bodies of INITIATE_CONTACT are equally long: the version decides between them.
    """
    fitting = [kind for kind in FORMS.get(number, ()) if kind.size <= size]
    if not fitting:
        return None
    longest = max(kind.size for kind in fitting)
    same = [kind for kind in fitting if kind.size == longest]
    return same[-1] if version >= V5 else same[0]


def pack(kind: type[Message], tail: bytes = b"", **fields: int | bytes) -> bytes:
    """Return a whole message: header, body, and what follows it (the ranges of a GPADL)."""
    body = kind.encode(**fields) + tail
    if ChannelHeader.size + len(body) > MAX_MESSAGE:
        raise ValueError(f"{kind.__name__}: {ChannelHeader.size + len(body)} bytes, a message carries {MAX_MESSAGE}")
    return ChannelHeader.encode(message_type=kind.number) + body


def unpack(data: bytes) -> tuple[Message, bytes]:
    """Take a message apart: its body, and what follows it.

    Raises
    ------
    ValueError
        For a message without its header, of an unknown number, or too short for its number.
    """
    number = ChannelHeader.decode(data).message_type
    body = data[ChannelHeader.size :]
    version = int.from_bytes(body[:4], "little") if number == InitiateContact.number else V5_3
    kind = form_of(number, len(body), version)
    if kind is None:
        if number not in FORMS:
            raise ValueError(f"message type {number} is not known")
        raise ValueError(f"{NAMES[number]}: {min(k.size for k in FORMS[number])} bytes needed, {len(body)} there")
    return kind.decode(body), body[kind.size :]


def guid(text: str) -> bytes:
    """Return the sixteen bytes of a GUID: the first three groups lie little-endian."""
    return UUID(text).bytes_le


def guid_text(data: bytes) -> str:
    """Write sixteen bytes as a GUID, in lower case."""
    return str(UUID(bytes_le=bytes(data)))


class PipeOffer(Struct, size=4):
    """The beginning of `user_defined` of a pipe's offer. Source: Linux vmbus_channel_offer, u.pipe."""

    mode: int = u32("0: bytes; 4: messages.")
