"""The hypervisor's CPUID leaves. Source: TLFS, feature and interface discovery; openvmm hvdef (bit positions)."""

from hvlab.wire.struct import Word, bit, bits

PRESENT_LEAF, VENDOR, INTERFACE, VERSION, FEATURES, RECOMMENDATIONS, LIMITS, HARDWARE = (
    0x00000001,
    0x40000000,
    0x40000001,
    0x40000002,
    0x40000003,
    0x40000004,
    0x40000005,
    0x40000006,
)
MANAGEMENT, SHARED_MEMORY, NESTED, NESTED_OPTIMIZATIONS = 0x40000007, 0x40000008, 0x40000009, 0x4000000A
LAST_LEAF = NESTED_OPTIMIZATIONS
# What each leaf says; to be decided on, in this order. Source: TLFS, feature and interface discovery.
LEAVES = {
    PRESENT_LEAF: "ECX bit 31: a hypervisor is present",
    VENDOR: "EAX the last leaf; EBX, ECX, EDX the vendor",
    INTERFACE: "EAX the interface: Hv#1",
    VERSION: "EAX build, EBX version; ECX service pack, EDX service branch and number",
    FEATURES: "EAX and EBX the privilege mask; EDX features",
    RECOMMENDATIONS: "EAX hints; EBX when to tell of a long spin wait; ECX address bits",
    LIMITS: "EAX most virtual processors, EBX most logical ones, ECX most interrupt vectors for remapping",
    HARDWARE: "EAX hardware features that the hypervisor uses",
    MANAGEMENT: "CPU management; for the root partition only",
    SHARED_MEMORY: "shared virtual memory (in older versions); 0",
    NESTED: "features for a hypervisor in a partition; 0: none",
    NESTED_OPTIMIZATIONS: "EAX versions of the enlightened VMCS; 0: none",
}
VENDOR_NAME = b"Microsoft Hv"  # EBX, ECX, EDX of leaf 0x40000000: what Linux looks at
INTERFACE_NAME = b"Hv#1"  # EAX of leaf 0x40000001: what the TLFS says to decide on
HYPERVISOR_PRESENT = 1 << 31  # leaf 1, ECX: the bit that processor makers left to hypervisors


class FeatureBits(Word):
    """EDX of leaf 0x40000003: features beyond the privilege mask. Source: TLFS, hypervisor feature identification."""

    mwait: int = bit(0, "MWAIT may be used (deprecated).")
    guest_debugging: int = bit(1, "The debugging calls are there.")
    performance_monitors: int = bit(2, "Performance counters.")
    dynamic_partitioning: int = bit(3, "Processors may come and go.")
    xmm_input: int = bit(4, "Fast calls may use XMM registers for input.")
    guest_idle: int = bit(5, "GUEST_IDLE is there.")
    sleep_state: int = bit(6, "Sleep states of the hypervisor.")
    numa_distance: int = bit(7, "Distances between memory domains can be asked for.")
    frequency_msrs: int = bit(8, "TSC_FREQUENCY and APIC_FREQUENCY are there.")
    synthetic_machine_check: int = bit(9, "Synthetic machine checks.")
    guest_crash_msrs: int = bit(10, "A guest can report its crash.")
    debug_msrs: int = bit(11, "The debugger's MSRs.")
    npiep: int = bit(12, "Non-privileged instruction execution prevention.")
    disable_hypervisor: int = bit(13, "The hypervisor can be switched off.")
    extended_ranges: int = bit(14, "Flush lists may use the long form.")
    xmm_output: int = bit(15, "Fast calls may return output in XMM registers.")
    polling: int = bit(17, "A SINT may be polled.")
    hypercall_lock: int = bit(18, "The hypercall MSR can be locked.")
    direct_timers: int = bit(19, "Synthetic timers may raise a vector directly.")
    translate_flags: int = bit(30, "TranslateVirtualAddress knows the newer flags.")


class RecommendationBits(Word):
    """EAX of leaf 0x40000004: what a guest had better do. Source: TLFS, implementation recommendations."""

    hypercall_for_space_switch: int = bit(0, "Switch address spaces by hypercall.")
    hypercall_for_local_flush: int = bit(1, "Flush its own translations by hypercall.")
    hypercall_for_remote_flush: int = bit(2, "Flush other processors' translations by hypercall.")
    apic_msrs: int = bit(3, "Use the synthetic APIC registers.")
    reset_msr: int = bit(4, "Reset by MSR.")
    relaxed_timing: int = bit(5, "Take no late timer for a hang.")
    dma_remapping: int = bit(6, "Use DMA remapping (deprecated).")
    interrupt_remapping: int = bit(7, "Use interrupt remapping (deprecated).")
    x2apic_msrs: int = bit(8, "Use the x2APIC registers.")
    no_auto_eoi: int = bit(9, "Do not use automatic EOI.")
    cluster_ipi: int = bit(10, "Send IPIs by hypercall.")
    ex_masks: int = bit(11, "Use the calls with sparse processor sets.")
    nested: int = bit(12, "This hypervisor runs under another one.")
    mbec_system_calls: int = bit(13, "Use INT for system calls under mode-based execute control.")
    enlightened_vmcs: int = bit(14, "Use the enlightened VMCS.")


class AddressBits(Word):
    """ECX of leaf 0x40000004. Source: TLFS, implementation recommendations."""

    physical_bits: int = bits(0, 7, "Physical address bits that are implemented; 0: not said.")


class HardwareBits(Word):
    """EAX of leaf 0x40000006: hardware features in use. Source: TLFS, implementation hardware features."""

    apic_overlay: int = bit(0, "APIC overlay assist.")
    msr_bitmaps: int = bit(1, "MSR bitmaps.")
    performance_counters: int = bit(2, "Architectural performance counters.")
    second_level: int = bit(3, "Second-level address translation.")
    dma_remapping: int = bit(4, "DMA remapping.")
    interrupt_remapping: int = bit(5, "Interrupt remapping.")
    patrol_scrubber: int = bit(6, "A memory patrol scrubber is present.")
    dma_protection: int = bit(7, "DMA protection.")
    hpet_requested: int = bit(8, "HPET is wanted.")
    volatile_timers: int = bit(9, "Synthetic timers are volatile.")
