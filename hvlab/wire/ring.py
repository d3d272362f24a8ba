"""The ring between two partitions: its control page, and the packets in it.

A packet is a descriptor, what its type adds, the data padded to 8 bytes, and a trailer of 8 bytes that its length does
not count. Source: Linux include/linux/hyperv.h (v6.1.192); openvmm vmbus_ring.
"""

from enum import IntEnum

from hvlab.wire.struct import Struct, Word, bit, raw, u8, u16, u32, u64

CONTROL = 4096  # bytes of the control page; the data follow
UNIT = 8  # what lengths, offsets and indices are counted in
TRAILER = 8  # bytes behind each packet
GAP = 8  # bytes that stay empty: equal indices mean an empty ring


class PacketType(IntEnum):
    """What a packet is. Source: Linux vmbus_packet_type; the other numbers of Linux's list are in nobody else's."""

    IN_BAND = 6
    TRANSFER_PAGES = 7
    GPA_DIRECT = 9
    CANCEL = 10
    COMPLETION = 11


class PipeType(IntEnum):
    """What a packet of a pipe is. Source: openvmm vmbus_ring, PIPE_PACKET_TYPE_*."""

    DATA = 1
    PARTIAL = 2
    SETUP_GPA_DIRECT = 3
    TEARDOWN_GPA_DIRECT = 4


class FeatureBits(Word):
    """What the writer of a ring can do. Source: Linux hv_ring_buffer, feature_bits."""

    pending_send_size: int = bit(0, "It sets the pending send size, and waits for a signal when there is room again.")


class PacketFlags(Word):
    """Flags of a descriptor. Source: Linux VMBUS_DATA_PACKET_FLAG_COMPLETION_REQUESTED."""

    completion_requested: int = bit(0, "The receiver must answer with a completion of the same transaction id.")


class RingControl(Struct, size=4096):
    """The first page of a ring. Source: Linux hv_ring_buffer; the count at the end: MacHyperVSupport VMBusRingBuffer.

    Linux v6.1 leaves the last word as padding, and 0.
    """

    write_index: int = u32("Where the writer goes on; only the writer changes it.", kind="hex")
    read_index: int = u32("Where the reader goes on; only the reader changes it.", kind="hex")
    interrupt_mask: int = u32("1: the reader is awake and wants no signal.")
    pending_send_size: int = u32("Bytes that the writer waits for; 0: it does not wait.")
    reserved1: bytes = raw(48, "Zero.")
    feature_bits: int = u32("What the writer can do; bit 0: it sets the pending send size.", kind="hex")
    reserved2: bytes = raw(4020, "Zero.")
    guest_to_host_interrupt_count: int = u64("How often the guest signalled the host for this ring.")


class PacketDescriptor(Struct, size=16):
    """The head of each packet. Source: Linux vmpacket_descriptor."""

    type: int = u16("What kind of packet it is.", kind="enum:packet")
    offset8: int = u16("Where the data begin, in units of 8 bytes from here.")
    length8: int = u16("Where the data end, in units of 8 bytes from here; without the trailer.")
    flags: int = u16("Bit 0: the receiver must answer with a completion.", kind="hex")
    transaction_id: int = u64("The answer repeats it.", kind="hex")


class PacketTrailer(Struct, size=8):
    """What stands behind each packet. Source: Linux hv_ringbuffer_write; openvmm Footer."""

    reserved: int = u32("Zero.")
    offset: int = u32("The write index before this packet; readers do not look.", kind="hex")


class GpaDirectHeader(Struct, size=8):
    """Behind the descriptor of a GPA-direct packet; that many ranges follow. Source: Linux vmdata_gpa_direct."""

    reserved: int = u32("Zero.")
    range_count: int = u32("Ranges; at least 1.")


class GpaRange(Struct, size=8):
    """Bytes in guest pages; the page numbers follow, 8 bytes each. Source: Linux gpa_range."""

    length: int = u32("Bytes.")
    offset: int = u32("Where they begin in the first page.", kind="hex")


class TransferPagesHeader(Struct, size=8):
    """Behind the descriptor of a transfer-page packet; ranges follow. Source: Linux vmtransfer_page_packet_header."""

    set_id: int = u16("Which buffer was agreed on.", kind="hex")
    sender_owns: int = u8("Linux: whether the sender owns the set.")
    reserved: int = u8("Zero.")
    range_count: int = u32("Ranges.")


class TransferRange(Struct, size=8):
    """Bytes of the agreed buffer. Source: Linux vmtransfer_page_range."""

    length: int = u32("Bytes.")
    offset: int = u32("Where they begin in the buffer.", kind="hex")


class PipeHeader(Struct, size=8):
    """The first 8 bytes of the data of a pipe: ring lengths are multiples of 8. Source: Linux vmpipe_hdr."""

    type: int = u32("1: data; 2: a part of them; 3, 4: pages for them are set up, taken down.")
    length: int = u32("Bytes that follow.")
