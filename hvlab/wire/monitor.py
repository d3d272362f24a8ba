"""Monitored notification: a signal that is only noted in a page, and made by the hypervisor some time later.

Source: Linux include/asm-generic/mshyperv.h and drivers/hv/hyperv_vmbus.h (hv_monitor_page); TLFS, HV_MONITOR_PAGE.
"""

from hvlab.wire.struct import Struct, Word, bits, raw, u16, u32, u64


class MonitorWord(Word):
    """One group of 32 triggers in a monitor page. Source: Linux hv_monitor_trigger_group."""

    pending: int = bits(0, 32, "Bit k: trigger k is set, and its flag is still to be signalled.", kind="hex")
    armed: int = bits(32, 32, "Bit k: trigger k is watched.", kind="hex")


class MonitorParameter(Struct, size=8):
    """Which flag of which connection a trigger stands for. Source: Linux hv_monitor_parameter."""

    connection_id: int = u32("The connection that is signalled.", kind="hex")
    flag: int = u16("Its flag.")
    reserved: int = u16("Zero.")


class MonitorPage(Struct, size=4096):
    """Signals are only noted here; the hypervisor looks now and then. Source: Linux hv_monitor_page."""

    trigger_state: int = u32("Bits 0-3: which groups are in use.", kind="hex")
    reserved1: int = u32("Zero.")
    trigger_group: int = u64("Of each group of 32 triggers: which are set, and which are watched.", kind="hex", count=4)
    reserved2: bytes = raw(24, "Zero.")
    next_check: int = u32("When the hypervisor looks again; its own.", count=128)
    latency: int = u16("How long a trigger may wait, in units of 100 ns; 32 of each group.", count=128)
    reserved3: bytes = raw(256, "Zero.")
    parameters: bytes = raw(1024, "Of each of the 128 triggers, 8 bytes: its connection and its flag.")
    reserved4: bytes = raw(1984, "Zero.")
