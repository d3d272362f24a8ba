"""The input blocks of the calls about ports, connections, messages and events.

Source: TLFS, hypercall reference; layouts checked against Linux include/hyperv/hvgdk_mini.h and hvhdk.h.
"""

from hvlab.wire.struct import Struct, Word, bits, raw, u8, u16, u32, u64


class PortId(Word):
    """The number of a port or of a connection. Source: Linux hvgdk_mini.h, hv_port_id and hv_connection_id."""

    id: int = bits(0, 24, "Chosen by whoever makes it.", kind="hex")


class CreatePort(Struct, size=56):
    """Make a place where messages or signals arrive. Source: TLFS, HvCallCreatePort; Linux hv_input_create_port."""

    port_partition: int = u64("Whose processors receive.")
    port_id: int = u32("The port's number in that partition.", kind="hex")
    port_vtl: int = u8("Virtual trust level of the port; 0 here.")
    min_connection_vtl: int = u8("The least level of a sender; 0 here.")
    reserved: int = u16("Zero.")
    connection_partition: int = u64("Who may connect.")
    info: bytes = raw(24, "MessagePortInfo or EventPortInfo.")
    proximity: int = u64("Wish for a memory domain.", kind="hex")


class DeletePort(Struct, size=16):
    """Take a port away, with what is queued. Source: TLFS, HvCallDeletePort."""

    port_partition: int = u64("Whose port.")
    port_id: int = u32("Which one.", kind="hex")
    reserved: int = u32("Zero.")


class ConnectPort(Struct, size=72):
    """Make the sender's end. Source: TLFS, HvCallConnectPort; Linux hv_input_connect_port."""

    connection_partition: int = u64("Who will send.")
    connection_id: int = u32("The connection's number in that partition.", kind="hex")
    connection_vtl: int = u8("Virtual trust level of the sender; 0 here.")
    reserved0: int = u8("Zero.")
    reserved1: int = u16("Zero.")
    port_partition: int = u64("Whose port.")
    port_id: int = u32("Which one.", kind="hex")
    reserved2: int = u32("Zero.")
    info: bytes = raw(32, "ConnectionInfo.")
    proximity: int = u64("Wish for a memory domain.", kind="hex")


class DisconnectPort(Struct, size=16):
    """Take a connection away; queued messages still arrive. Source: TLFS, HvCallDisconnectPort."""

    connection_partition: int = u64("Whose connection.")
    connection_id: int = u32("Which one.", kind="hex")
    padding: int = u32("Zero; bit 0 in newer versions says doorbell.")


class GetPortProperty(Struct, size=24):
    """Ask about a port. Source: Microsoft, Hypervisor Functions, HvGetPortProperty (2013); recalled."""

    port_partition: int = u64("Whose port.")
    port_id: int = u32("Which one.", kind="hex")
    reserved: int = u32("Zero.")
    property: int = u32("0: how many messages were posted through it.")
    padding: int = u32("Zero.")


class PostMessage(Struct, size=256):
    """Send up to 240 bytes. Source: TLFS, HvCallPostMessage; Linux hv_input_post_message."""

    connection_id: int = u32("Through which connection.", kind="hex")
    reserved: int = u32("Zero.")
    type: int = u32("The sender's choice; not 0, and bit 31 is the hypervisor's.", kind="hex")
    payload_size: int = u32("How many bytes of the payload count.")
    payload: bytes = raw(240, "What it says.")


class SignalEvent(Struct, size=8):
    """Set a flag at the receiver. Source: TLFS, HvCallSignalEvent; Mile.HyperV HV_INPUT_SIGNAL_EVENT."""

    connection_id: int = u32("Through which connection.", kind="hex")
    flag: int = u16("Which of the port's flags, from 0.")
    reserved: int = u16("Zero.")
