"""Dynamic Memory: the first messages of a balloon channel, plain packets in both directions.

Source: Linux drivers/hv/hv_balloon.c (v6.1).
"""

from enum import IntEnum

from hvlab.wire.struct import Struct, Word, bit, bits, u16, u32, u64


class BalloonType(IntEnum):
    """What a message says. Source: Linux enum dm_message_type."""

    VERSION_REQUEST = 1
    VERSION_RESPONSE = 2
    CAPABILITIES = 3
    CAPABILITIES_RESPONSE = 4


class BalloonHeader(Struct, size=8):
    """The head of each message. Source: Linux dm_header."""

    type: int = u16("1, 2: version asked, answered; 3, 4: capabilities said, answered.")
    length: int = u16("Bytes, with this head.")
    transaction_id: int = u32("The answer repeats it.")


class BalloonCaps(Word):
    """What the guest can do. Source: Linux dm_caps."""

    balloon: int = bit(0, "Give pages back.")
    hot_add: int = bit(1, "Take pages that it never had.")
    hot_add_alignment: int = bits(2, 4, "In units of 2**n MiB.")


class BalloonVersion(Struct, size=16):
    """I speak this version. Source: Linux dm_version_request."""

    type: int = u16("1.")
    length: int = u16("16.")
    transaction_id: int = u32("The answer repeats it.")
    version: int = u32("Major in the high half, minor in the low half.", kind="hex")
    last: int = u32("Bit 0: there will be no other.")


class BalloonAnswer(Struct, size=16):
    """Yes, or no. Source: Linux dm_version_response, dm_capabilities_resp_msg."""

    type: int = u16("2 or 4.")
    length: int = u16("16.")
    transaction_id: int = u32("That of the request.")
    flags: int = u64("Bit 0: accepted; of capabilities bit 1: hot remove, bit 2: no pressure reports.", kind="hex")


class BalloonCapabilities(Struct, size=32):
    """This I can do. Source: Linux dm_capabilities."""

    type: int = u16("3.")
    length: int = u16("32.")
    transaction_id: int = u32("The answer repeats it.")
    caps: int = u64("Bit 0: it gives pages back; bit 1: it takes new ones; bits 2-5: their alignment.", kind="hex")
    min_pages: int = u64("The least that it keeps.")
    max_page: int = u64("The highest page number; all ones: no bound.", kind="hex")
