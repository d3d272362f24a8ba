"""Words and numbers of the interrupt controllers: local APIC, IOAPIC, message signalled interrupts.

Source: SDM vol. 3A, "Advanced Programmable Interrupt Controller"; Linux arch/x86/include/asm/apicdef.h; openvmm
x86defs/src/apic.rs; for the I/O APIC Intel's data sheet 82093AA. The synthetic short cuts: TLFS, virtual interrupts.
"""

from enum import IntEnum

from hvlab.wire.struct import Word, bit, bits

LOWEST_VECTOR = 16  # vectors 0 to 15 are illegal
BASE = 0xFEE0_0000  # where the registers of a local APIC lie after reset
X2APIC = 0x800  # the first of the x2APIC's model-specific registers
PAGE = 0xFFF
EVERYBODY = 0xFF  # xAPIC: the destination that is everyone; x2APIC: all 32 bits set
LVTS = 7
PINS = 24


class Offset(IntEnum):
    """Offsets of the local APIC's registers in its page; an x2APIC has them as MSRs 0x800 + offset / 16."""

    ID = 0x20
    VERSION = 0x30
    TPR = 0x80
    APR = 0x90
    PPR = 0xA0
    EOI = 0xB0
    RRR = 0xC0
    LDR = 0xD0
    DFR = 0xE0
    SVR = 0xF0
    ISR = 0x100
    TMR = 0x180
    IRR = 0x200
    ESR = 0x280
    LVT_CMCI = 0x2F0
    ICR = 0x300
    ICR_HIGH = 0x310
    LVT_TIMER = 0x320
    LVT_THERMAL = 0x330
    LVT_PERFORMANCE = 0x340
    LVT_LINT0 = 0x350
    LVT_LINT1 = 0x360
    LVT_ERROR = 0x370
    INITIAL_COUNT = 0x380
    CURRENT_COUNT = 0x390
    DIVIDE = 0x3E0
    SELF_IPI = 0x3F0


class ApicMsr(IntEnum):
    """Model-specific registers beside the local APIC's own. Source: SDM vol. 4."""

    APIC_BASE = 0x1B
    TSC_DEADLINE = 0x6E0


class Delivery(IntEnum):
    """Delivery modes of ICR, LVT, redirection entries and MSI data."""

    FIXED = 0
    LOWEST = 1
    SMI = 2
    NMI = 4
    INIT = 5
    STARTUP = 6
    EXTINT = 7


class Shorthand(IntEnum):
    """Destination shorthands of the ICR."""

    NONE = 0
    SELF = 1
    ALL = 2
    OTHERS = 3


class TimerMode(IntEnum):
    """Modes of the LVT timer entry."""

    ONE_SHOT = 0
    PERIODIC = 1
    TSC_DEADLINE = 2


class ApicBase(Word):
    """IA32_APIC_BASE. Source: SDM vol. 3A, local APIC status and location; x2APIC enabling."""

    bsp: int = bit(8, "This processor booted the machine.")
    x2apic: int = bit(10, "EXTD: the registers are model-specific registers.")
    enable: int = bit(11, "The local APIC is switched on.")
    frame: int = bits(12, 24, "Page number of the registers (xAPIC).", kind="page")


class Svr(Word):
    """Spurious-interrupt vector register. Source: SDM vol. 3A, local APIC."""

    vector: int = bits(0, 8, "Vector that is delivered when an interrupt disappeared.", kind="hex")
    enable: int = bit(8, "Software switches the APIC on; without it fixed interrupts are not taken.")
    focus: int = bit(9, "Focus processor checking is off.")
    suppress_eoi_broadcast: int = bit(12, "An EOI of a level interrupt is not told to the I/O APICs.")


class Icr(Word):
    """Interrupt command register (x2APIC form; an xAPIC has the destination in bits 63:56).

    Source: SDM vol. 3A, local APIC.
    """

    vector: int = bits(0, 8, "Vector of the interrupt; page number of the start-up code for SIPI.", kind="hex")
    delivery_mode: int = bits(8, 3, "0 fixed, 1 lowest priority, 2 SMI, 4 NMI, 5 INIT, 6 start-up.")
    logical: int = bit(11, "The destination is a logical one; 0: an APIC ID.")
    pending: int = bit(12, "xAPIC: the last command is still being sent.")
    assert_level: int = bit(14, "1 but for the INIT level de-assert of old processors.")
    level: int = bit(15, "Trigger mode: level.")
    shorthand: int = bits(18, 2, "0 none, 1 self, 2 all including self, 3 all excluding self.")
    destination: int = bits(32, 32, "APIC ID or logical destination.", kind="hex")


class Lvt(Word):
    """An entry of the local vector table. Source: SDM vol. 3A, local APIC."""

    vector: int = bits(0, 8, "Vector to raise.", kind="hex")
    delivery_mode: int = bits(8, 3, "As in the ICR (not for timer and error).")
    pending: int = bit(12, "Accepted by the processor not yet.")
    active_low: int = bit(13, "LINT0, LINT1: polarity.")
    remote_irr: int = bit(14, "LINT0, LINT1: a level interrupt waits for its EOI.")
    level: int = bit(15, "LINT0, LINT1: level triggered.")
    masked: int = bit(16, "Raises nothing.")
    timer_mode: int = bits(17, 2, "Timer: 0 one-shot, 1 periodic, 2 TSC deadline.")


class Esr(Word):
    """Error status register: a write shows what was collected since the write before, and begins anew.

    Source: SDM vol. 3A, local APIC.
    """

    send_checksum: int = bit(0, "P6 only.")
    receive_checksum: int = bit(1, "P6 only.")
    send_accept: int = bit(2, "P6 only.")
    receive_accept: int = bit(3, "P6 only.")
    redirectable_ipi: int = bit(4, "A lowest-priority IPI where none is supported.")
    send_illegal_vector: int = bit(5, "An IPI with a vector below 16 was to be sent.")
    receive_illegal_vector: int = bit(6, "An interrupt with a vector below 16 arrived.")
    illegal_register: int = bit(7, "A register that is not there was touched (xAPIC).")


class Version(Word):
    """Local APIC version register. Source: SDM vol. 3A, local APIC."""

    version: int = bits(0, 8, "0x10 to 0x15: an APIC inside the processor.", kind="hex")
    max_lvt: int = bits(16, 8, "Entries of the local vector table, less one.")
    suppress_eoi_broadcast: int = bit(24, "SVR bit 12 is there.")


class Divide(Word):
    """Divide configuration register of the timer: by 2 to 128 for codes 0 to 6, by 1 for 7.

    Source: SDM vol. 3A, local APIC.
    """

    low: int = bits(0, 2, "Bits 1:0 of the code.")
    high: int = bit(3, "Bit 2 of the code.")


class Redirection(Word):
    """An entry of the I/O APIC's redirection table. Source: Intel 82093AA, I/O redirection table registers."""

    vector: int = bits(0, 8, "Vector to raise.", kind="hex")
    delivery_mode: int = bits(8, 3, "As in the ICR.")
    logical: int = bit(11, "The destination is a logical one; 0: an APIC ID.")
    pending: int = bit(12, "Sent, and not accepted yet.")
    active_low: int = bit(13, "Polarity of the pin.")
    remote_irr: int = bit(14, "Level: accepted by a local APIC, and its EOI has not come.")
    level: int = bit(15, "Level triggered; 0: edge.")
    masked: int = bit(16, "Sends nothing; an edge that comes meanwhile is lost.")
    destination: int = bits(56, 8, "APIC ID or logical destination.", kind="hex")


class MsiAddress(Word):
    """The address that a device writes to for a message signalled interrupt. Source: SDM vol. 3A, MSI."""

    logical: int = bit(2, "The destination is a logical one.")
    redirection_hint: int = bit(3, "Choose one of several destinations.")
    destination: int = bits(12, 8, "APIC ID or logical destination.", kind="hex")
    region: int = bits(20, 12, "0xfee: the window of the local APICs.", kind="hex")


class MsiData(Word):
    """What a device writes for a message signalled interrupt. Source: SDM vol. 3A, MSI."""

    vector: int = bits(0, 8, "Vector to raise.", kind="hex")
    delivery_mode: int = bits(8, 3, "As in the ICR.")
    assert_level: int = bit(14, "Level: asserted.")
    level: int = bit(15, "Level triggered.")


class AssistMsr(Word):
    """HV_X64_MSR_VP_ASSIST_PAGE. Source: TLFS, virtual interrupts: EOI assist."""

    enable: int = bit(0, "The page is in use.")
    gpn: int = bits(12, 52, "Guest page number of the page.", kind="page")


class ApicAssist(Word):
    """The first word of the VP assist page. Source: TLFS, virtual interrupts: EOI assist."""

    no_eoi_required: int = bit(0, "The guest clears it instead of writing to EOI; if it was clear, it writes.")
