"""The synthetic interrupt controller (SynIC), its timers and the reference time: registers, pages, messages.

Source: TLFS, inter-partition communication and timers; layouts checked against Linux include/hyperv/hvgdk_mini.h.
"""

from enum import IntEnum

from hvlab.wire.struct import Struct, Word, bit, bits, raw, u16, u32, u64
from hvlab.wire.tlfs import MessageHeader

SINTS, TIMERS = 16, 4
SLOT = 256  # bytes of one message slot, and of the event flags of one SINT
PAYLOAD = 240  # the most that a message carries
FLAGS = 2048  # event flags of one SINT
GUEST_BUFFERS = 16  # message buffers of a port: together one page
LOWEST_VECTOR = 16
ANY_VP = 0xFFFFFFFF  # TLFS, HV_ANY_VP
SVERSION = 1
SINT_AT_RESET = 0x10000
HYPERVISOR_TYPES = 1 << 31  # message types with this bit are the hypervisor's own
INTERCEPT_SINT, VMBUS_SINT = 0, 2


class Scontrol(Word):
    """Whether messages and flags may be directed to a virtual processor. Source: TLFS, SCONTROL register."""

    enable: int = bit(0, "Messages are queued and flags are set.")


class Simp(Word):
    """Where the message page lies. Source: TLFS, SIMP register."""

    enable: int = bit(0, "The page covers the guest's page.")
    preserved: int = bits(1, 11, "Kept as written.")
    gpn: int = bits(12, 52, "Guest page number.", kind="page")


class Siefp(Word):
    """Where the event flags page lies. Source: TLFS, SIEFP register."""

    enable: int = bit(0, "The page covers the guest's page.")
    preserved: int = bits(1, 11, "Kept as written.")
    gpn: int = bits(12, 52, "Guest page number.", kind="page")


class Sint(Word):
    """One of sixteen synthetic interrupt sources. Source: TLFS, SINTx registers (0x40000090 to 0x4000009F)."""

    vector: int = bits(0, 8, "The vector that it raises, 16 to 255.", kind="hex")
    masked: int = bit(16, "It raises nothing; so it is after reset.")
    auto_eoi: int = bit(17, "The interrupt ends by itself when it is delivered.")
    polling: int = bit(18, "Unmasked, but the guest looks for itself: nothing is raised.")


class StimerConfig(Word):
    """How a synthetic timer works. Source: TLFS, synthetic timer configuration register."""

    enable: int = bit(0, "It runs.")
    periodic: int = bit(1, "Again and again; else once.")
    lazy: int = bit(2, "A missed expiry is not made up for.")
    auto_enable: int = bit(3, "Writing the count starts it.")
    vector: int = bits(4, 8, "What it raises in direct mode.", kind="hex")
    direct: int = bit(12, "It raises a vector; no message.")
    sint: int = bits(16, 4, "Where its message goes; not 0.")


class ReferenceTscMsr(Word):
    """Where the reference TSC page lies. Source: TLFS, reference TSC page MSR."""

    enable: int = bit(0, "The page covers the guest's page.")
    preserved: int = bits(1, 11, "Kept as written.")
    gpn: int = bits(12, 52, "Guest page number.", kind="page")


class VpAssistMsr(Word):
    """Where the VP assist page lies. Source: TLFS, virtual VP assist page."""

    enable: int = bit(0, "The page covers the guest's page.")
    preserved: int = bits(1, 11, "Kept as written.")
    gpn: int = bits(12, 52, "Guest page number.", kind="page")


class MessageFlags(Word):
    """Flags of a message's header. Source: TLFS, HV_MESSAGE_FLAGS."""

    pending: int = bit(0, "Another message waits for this slot: write EOM when the slot is free.")


class SynicMessage(Struct, size=256):
    """A message as it lies in its slot. Source: TLFS, HV_MESSAGE; Linux hv_message."""

    header: bytes = raw(MessageHeader.size, "Type, size, flags, sender: MessageHeader. Type 0: the slot is free.")
    payload: bytes = raw(PAYLOAD, "What it says.")


class MessagePage(Struct, size=4096):
    """The SIM page: a slot for each SINT. Source: TLFS, SIM page; Linux hv_message_page."""

    slots: bytes = raw(SINTS * SLOT, "Slot n belongs to SINT n.")


class EventFlags(Struct, size=256):
    """The flags of one SINT. Source: TLFS, HV_SYNIC_EVENT_FLAGS."""

    flags: int = u64("Flag n is bit n % 64 of word n / 64.", kind="hex", count=FLAGS // 64)


class EventFlagsPage(Struct, size=4096):
    """The SIEF page. Source: TLFS, SIEF page; Linux hv_synic_event_flags_page."""

    flags: bytes = raw(SINTS * SLOT, "256 bytes for each SINT.")


class TimerPayload(Struct, size=24):
    """The payload of a timer's message. Source: TLFS, HV_TIMER_MESSAGE_PAYLOAD."""

    timer: int = u32("Which of the four.")
    reserved: int = u32("Zero.")
    expiration: int = u64("When it was due, in units of 100 ns.")
    delivery: int = u64("When the message came into the slot, in units of 100 ns.")


class ReferenceTscPage(Struct, size=24):
    """Reference time without leaving the guest: (TSC * scale >> 64) + offset. Source: TLFS, HV_REFERENCE_TSC_PAGE."""

    sequence: int = u32("Changes with scale and offset; 0: ask TIME_REF_COUNT instead.")
    reserved: int = u32("Zero.")
    scale: int = u64("Units of 100 ns for a tick, as a fraction of 2**64.", kind="hex")
    offset: int = u64("Added to the product; signed.", kind="hex")


class PortType(IntEnum):
    """What a port takes. Source: TLFS, HV_PORT_TYPE; Linux hv_port_type."""

    MESSAGE = 1
    EVENT = 2
    MONITOR = 3
    DOORBELL = 4


class PortProperty(IntEnum):
    """Codes of port properties. Source: TLFS (2012), HV_PORT_PROPERTY_CODE."""

    POST_COUNT = 0


class MessagePortInfo(Struct, size=24):
    """A port that takes messages. Source: TLFS, HV_PORT_INFO; Linux hv_port_info."""

    type: int = u32("1.")
    padding: int = u32("Zero.")
    sint: int = u32("Which source it raises.")
    vp_index: int = u32("On which virtual processor; 0xFFFFFFFF: the hypervisor chooses.", kind="hex")
    reserved: int = u64("Zero.")


class EventPortInfo(Struct, size=24):
    """A port that takes signals. Source: TLFS, HV_PORT_INFO; Linux hv_port_info."""

    type: int = u32("2.")
    padding: int = u32("Zero.")
    sint: int = u32("Which source it raises.")
    vp_index: int = u32("On which virtual processor; 0xFFFFFFFF: the hypervisor chooses.", kind="hex")
    base_flag: int = u16("The first flag that it may set.")
    flag_count: int = u16("How many.")
    reserved: int = u32("Zero.")


class ConnectionInfo(Struct, size=32):
    """How a connection works. Source: TLFS, HV_CONNECTION_INFO (messages and events have nothing to say)."""

    type: int = u32("The type of the port at the other end.")
    padding: int = u32("Zero.")
    address: int = u64("Of monitors and doorbells: where.", kind="gpa")
    value: int = u64("Of doorbells: which value rings.", kind="hex")
    flags: int = u64("Of doorbells: which writes ring.", kind="hex")
