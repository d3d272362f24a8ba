"""Words, numbers and messages of the hypervisor's interface: the Top Level Functional Specification (TLFS).

Values and bit positions: TLFS v6.0b and its current web edition, checked against Linux include/hyperv/{hvgdk,hvhdk}*.h
and openvmm hvdef. The input and output blocks of the calls stand in `hypercalls.py`, the CPUID leaves in `cpuid.py`.
"""

from enum import IntEnum

from hvlab.wire.struct import Struct, Word, bit, bits, raw, u8, u16, u32, u64

SELF = (1 << 64) - 1  # the partition that makes the call; TLFS, HV_PARTITION_ID_SELF
THIS_VP = (1 << 32) - 2  # the virtual processor that makes the call; TLFS, HV_VP_INDEX_SELF


class HypercallControl(Word):
    """The input value of a hypercall (RCX). Source: TLFS, hypercall inputs; openvmm hvdef hypercall::Control."""

    code: int = bits(0, 16, "Which call.", kind="hex")
    fast: int = bit(16, "Input is in registers, not in memory.")
    variable_header: int = bits(17, 10, "Size of the variable header in 8-byte units.")
    nested: int = bit(31, "The call is for the hypervisor one level down.")
    rep_count: int = bits(32, 12, "Elements in the list of a rep call, in all.")
    rep_start: int = bits(48, 12, "The first element that is still to be done.")


class HypercallResult(Word):
    """The result of a hypercall (RAX). Source: TLFS, hypercall outputs (its table misprints the reserved bits)."""

    status: int = bits(0, 16, "0 or why the call stopped.", kind="status")
    reps_done: int = bits(32, 12, "Elements done in all, counted from the first, not from the start of this try.")


class Status(IntEnum):
    """Why a call stopped. Source: TLFS v6.0b appendix B; Linux hvgdk_mini.h."""

    SUCCESS = 0x00
    INVALID_HYPERCALL_CODE = 0x02
    INVALID_HYPERCALL_INPUT = 0x03
    INVALID_ALIGNMENT = 0x04
    INVALID_PARAMETER = 0x05
    ACCESS_DENIED = 0x06
    INVALID_PARTITION_STATE = 0x07
    OPERATION_DENIED = 0x08
    UNKNOWN_PROPERTY = 0x09
    PROPERTY_VALUE_OUT_OF_RANGE = 0x0A
    INSUFFICIENT_MEMORY = 0x0B
    PARTITION_TOO_DEEP = 0x0C
    INVALID_PARTITION_ID = 0x0D
    INVALID_VP_INDEX = 0x0E
    NOT_FOUND = 0x10
    INVALID_PORT_ID = 0x11
    INVALID_CONNECTION_ID = 0x12
    INSUFFICIENT_BUFFERS = 0x13
    INVALID_VP_STATE = 0x15
    INVALID_SYNIC_STATE = 0x18
    OBJECT_IN_USE = 0x19
    NO_DATA = 0x1B
    NO_RESOURCES = 0x1D
    FEATURE_UNAVAILABLE = 0x1E
    INVALID_REGISTER_VALUE = 0x50


class PrivilegeMask(Word):
    """What a partition may do, as CPUID 0x40000003 shows it (EAX, then EBX).

    Source: TLFS, HV_PARTITION_PRIVILEGE_MASK; openvmm hvdef.
    """

    access_vp_runtime_msr: int = bit(0, "Read VP_RUNTIME.")
    access_partition_reference_counter: int = bit(1, "Read TIME_REF_COUNT.")
    access_synic_msrs: int = bit(2, "Use SCONTROL, SIMP, SIEFP, SINTx, EOM.")
    access_synthetic_timer_msrs: int = bit(3, "Use STIMERx.")
    access_apic_msrs: int = bit(4, "Use EOI, ICR, TPR and the VP assist page.")
    access_hypercall_msrs: int = bit(5, "Use GUEST_OS_ID and HYPERCALL.")
    access_vp_index: int = bit(6, "Read VP_INDEX.")
    access_reset_msr: int = bit(7, "Use RESET.")
    access_stats_msr: int = bit(8, "Use the statistics pages' MSRs.")
    access_partition_reference_tsc: int = bit(9, "Use REFERENCE_TSC.")
    access_guest_idle_msr: int = bit(10, "Use GUEST_IDLE.")
    access_frequency_msrs: int = bit(11, "Read TSC_FREQUENCY and APIC_FREQUENCY.")
    access_debug_msrs: int = bit(12, "Use the debugger's MSRs (reserved in the TLFS).")
    access_reenlightenment_ctrls: int = bit(13, "Use the re-enlightenment controls.")
    access_root_scheduler_msr: int = bit(14, "Use the root scheduler's MSR (reserved in the TLFS).")
    access_tsc_invariant_controls: int = bit(15, "Use TSC_INVARIANT_CONTROL.")
    create_partitions: int = bit(32, "HvCallCreatePartition.")
    access_partition_id: int = bit(33, "HvCallGetPartitionId.")
    access_memory_pool: int = bit(34, "Deposit, withdraw and ask for the balance of memory pools.")
    adjust_message_buffers: int = bit(35, "Change the number of message buffers (reserved in the TLFS).")
    post_messages: int = bit(36, "HvCallPostMessage.")
    signal_events: int = bit(37, "HvCallSignalEvent.")
    create_port: int = bit(38, "HvCallCreatePort.")
    connect_port: int = bit(39, "HvCallConnectPort.")
    access_stats: int = bit(40, "Map statistics pages.")
    debugging: int = bit(43, "The debugging calls.")
    cpu_management: int = bit(44, "The power and processor management calls.")
    configure_profiler: int = bit(45, "Configure the profiler (reserved in the TLFS).")
    access_vp_exit_tracing: int = bit(46, "Trace exits of virtual processors (reserved in the TLFS).")
    enable_extended_gva_ranges_flush_va_list: int = bit(47, "Longer ranges in flush lists (reserved in the TLFS).")
    access_vsm: int = bit(48, "Use virtual secure mode.")
    access_vp_registers: int = bit(49, "Get and set registers of its own virtual processors.")
    fast_hypercall_output: int = bit(51, "Output of fast calls in registers (reserved in the TLFS).")
    enable_extended_hypercalls: int = bit(52, "Calls from 0x8001 on.")
    start_virtual_processor: int = bit(53, "HvCallStartVirtualProcessor.")
    isolation: int = bit(54, "The partition is isolated from its parent (reserved in the TLFS).")


EVERY_PRIVILEGE = sum(field.mask for field in PrivilegeMask.fields)
# What a guest under WSL2 was given, as its boot log prints it: low 0xae7f, high 0x3b8030.
GUEST_PRIVILEGES = 0x3B8030 << 32 | 0xAE7F


class Msr(IntEnum):
    """Synthetic model-specific registers; what each is stands in `msrs`. Source: TLFS v6.0b appendix C."""

    GUEST_OS_ID = 0x40000000
    HYPERCALL = 0x40000001
    VP_INDEX = 0x40000002
    VP_RUNTIME = 0x40000010
    TIME_REF_COUNT = 0x40000020
    REFERENCE_TSC = 0x40000021
    TSC_FREQUENCY = 0x40000022
    APIC_FREQUENCY = 0x40000023
    EOI = 0x40000070
    ICR = 0x40000071
    TPR = 0x40000072
    VP_ASSIST_PAGE = 0x40000073
    SCONTROL = 0x40000080
    SVERSION = 0x40000081
    SIEFP = 0x40000082
    SIMP = 0x40000083
    EOM = 0x40000084
    SINT0 = 0x40000090
    SINT1 = 0x40000091
    SINT2 = 0x40000092
    SINT3 = 0x40000093
    SINT4 = 0x40000094
    SINT5 = 0x40000095
    SINT6 = 0x40000096
    SINT7 = 0x40000097
    SINT8 = 0x40000098
    SINT9 = 0x40000099
    SINT10 = 0x4000009A
    SINT11 = 0x4000009B
    SINT12 = 0x4000009C
    SINT13 = 0x4000009D
    SINT14 = 0x4000009E
    SINT15 = 0x4000009F
    STIMER0_CONFIG = 0x400000B0
    STIMER0_COUNT = 0x400000B1
    STIMER1_CONFIG = 0x400000B2
    STIMER1_COUNT = 0x400000B3
    STIMER2_CONFIG = 0x400000B4
    STIMER2_COUNT = 0x400000B5
    STIMER3_CONFIG = 0x400000B6
    STIMER3_COUNT = 0x400000B7
    GUEST_IDLE = 0x400000F0
    CRASH_P0 = 0x40000100
    CRASH_P1 = 0x40000101
    CRASH_P2 = 0x40000102
    CRASH_P3 = 0x40000103
    CRASH_P4 = 0x40000104
    CRASH_CTL = 0x40000105
    REENLIGHTENMENT_CONTROL = 0x40000106
    TSC_EMULATION_CONTROL = 0x40000107
    TSC_EMULATION_STATUS = 0x40000108
    TSC_INVARIANT_CONTROL = 0x40000118


class GuestOsId(Word):
    """Who the guest says it is; not 0 before the hypercall page can be enabled. Source: TLFS, guest OS identity."""

    build: int = bits(0, 16, "Build number.")
    service: int = bits(16, 8, "Service pack.")
    minor: int = bits(24, 8, "Minor version.")
    major: int = bits(32, 8, "Major version.")
    os: int = bits(40, 8, "The vendor's number of the system.")
    vendor: int = bits(48, 15, "1 Microsoft.")
    open_source: int = bit(63, "The bits mean something else: type, system, kernel version.")


class HypercallMsr(Word):
    """Where the hypercall page lies, and whether it does. Source: TLFS, establishing the hypercall interface."""

    enable: int = bit(0, "The page covers the guest page; stays 0 while GUEST_OS_ID is 0.")
    locked: int = bit(1, "Nothing here can be changed until the partition is reset.")
    gpn: int = bits(12, 52, "Guest page number.", kind="page")


class Register(IntEnum):
    """Names of registers in Get and SetVpRegisters. Source: Linux hvgdk_mini.h, enum hv_register_name."""

    EXPLICIT_SUSPEND = 0x00000000
    INTERCEPT_SUSPEND = 0x00000001
    RAX = 0x00020000
    RCX = 0x00020001
    RDX = 0x00020002
    RBX = 0x00020003
    RSP = 0x00020004
    RBP = 0x00020005
    RSI = 0x00020006
    RDI = 0x00020007
    R8 = 0x00020008
    R9 = 0x00020009
    R10 = 0x0002000A
    R11 = 0x0002000B
    R12 = 0x0002000C
    R13 = 0x0002000D
    R14 = 0x0002000E
    R15 = 0x0002000F
    RIP = 0x00020010
    RFLAGS = 0x00020011
    CR0 = 0x00040000
    CR2 = 0x00040001
    CR3 = 0x00040002
    CR4 = 0x00040003
    EFER = 0x00080001
    HYPERCALL = 0x00090001
    GUEST_OS_ID = 0x00090002
    VP_INDEX = 0x00090003


class Property(IntEnum):
    """Codes of partition properties. Source: Linux hvhdk_mini.h, enum hv_partition_property_code."""

    PRIVILEGE_FLAGS = 0x00010000
    SYNTHETIC_PROC_FEATURES = 0x00010001


class MapFlags(Word):
    """What a partition may do with a page that is mapped for it. Source: Linux hvhdk_mini.h, HV_MAP_GPA_*."""

    readable: int = bit(0, "Reads.")
    writable: int = bit(1, "Writes.")
    kernel_executable: int = bit(2, "Fetches in supervisor mode.")
    user_executable: int = bit(3, "Fetches in user mode (with mode-based execute control).")
    adjustable: int = bit(15, "The guest may change the rights of the page itself.")
    no_access: int = bit(16, "The page is given without any right.")
    not_cached: int = bit(21, "Memory type UC.")
    large_page: int = bit(31, "Each element of the list is a 2 MiB page.")


class FlushFlags(Word):
    """What the flush calls drop. Source: TLFS, HV_FLUSH_FLAGS."""

    all_processors: int = bit(0, "Every virtual processor of the partition; the mask does not count.")
    all_spaces: int = bit(1, "Every address space; the given one does not count.")
    non_global_only: int = bit(2, "Keep translations marked global.")
    extended_ranges: int = bit(3, "The ranges of the list have the long form.")


class GvaRange(Word):
    """One element of a flush list. Source: TLFS, HV_GVA_RANGE."""

    more_pages: int = bits(0, 12, "Pages after the first one.")
    gvn: int = bits(12, 52, "The first page.", kind="page")


class TranslateFlags(Word):
    """How a virtual address is to be translated. Source: TLFS, HV_TRANSLATE_GVA_CONTROL_FLAGS."""

    validate_read: int = bit(0, "Fail where a read would.")
    validate_write: int = bit(1, "Fail where a write would.")
    validate_execute: int = bit(2, "Fail where a fetch would.")
    privilege_exempt: int = bit(3, "User or supervisor mode does not count, nor do SMEP and SMAP.")
    set_page_table_bits: int = bit(4, "Set A and D as the processor would.")
    flush_inhibit: int = bit(5, "Hold back flushes until the intercept is done.")
    supervisor_access: int = bit(6, "As if in supervisor mode.")
    user_access: int = bit(7, "As if in user mode.")
    input_vtl: int = bits(56, 8, "Which virtual trust level, with its valid bit.")


class TranslateCode(IntEnum):
    """How a translation ended. Source: TLFS, HV_TRANSLATE_GVA_RESULT_CODE."""

    SUCCESS = 0
    PAGE_NOT_PRESENT = 1
    PRIVILEGE_VIOLATION = 2
    INVALID_PAGE_TABLE_FLAGS = 3
    GPA_UNMAPPED = 4
    GPA_NO_READ_ACCESS = 5
    GPA_NO_WRITE_ACCESS = 6
    GPA_ILLEGAL_OVERLAY_ACCESS = 7


class TranslateResult(Word):
    """How a translation ended, and what the page is like. Source: TLFS, HV_TRANSLATE_GVA_RESULT."""

    code: int = bits(0, 32, "0 or the reason.", kind="translate")
    cache_type: int = bits(32, 8, "6 for write-back memory.")
    overlay: int = bit(40, "The page belongs to the hypervisor.")


class MessageType(IntEnum):
    """Types of messages from the hypervisor. Source: TLFS, HV_MESSAGE_TYPE."""

    NONE = 0x00000000
    UNMAPPED_GPA = 0x80000000
    GPA_INTERCEPT = 0x80000001
    TIMER_EXPIRED = 0x80000010
    IO_PORT_INTERCEPT = 0x80010000
    MSR_INTERCEPT = 0x80010001
    CPUID_INTERCEPT = 0x80010002
    EXCEPTION_INTERCEPT = 0x80010003
    X64_HALT = 0x80010007


class MessageHeader(Struct, size=16):
    """The front of every message of 256 bytes. Source: TLFS, HV_MESSAGE_HEADER."""

    type: int = u32("What the payload is.", kind="message")
    payload_size: int = u8("Bytes of payload, at most 240.")
    flags: int = u8("Bit 0: another message waits for this slot.")
    reserved: int = u16("Zero.")
    sender: int = u64("The partition, or the port, that it came from.", kind="hex")


class ExecutionState(Word):
    """What the processor was doing at an intercept. Source: Linux hvhdk.h, hv_x64_vp_execution_state."""

    cpl: int = bits(0, 2, "Privilege level: 0 kernel, 3 user.")
    cr0_pe: int = bit(2, "Protected mode.")
    cr0_am: int = bit(3, "Alignment mask.")
    efer_lma: int = bit(4, "Long mode.")
    debug_active: int = bit(5, "A debug register is armed.")
    interruption_pending: int = bit(6, "An event was being delivered.")
    vtl: int = bits(7, 4, "Virtual trust level.")
    enclave_mode: int = bit(11, "Inside an enclave.")
    interrupt_shadow: int = bit(12, "Interrupts are held back for one instruction.")
    virtualization_fault_active: int = bit(13, "A virtualization fault is being delivered.")


class MemoryAccessInfo(Word):
    """Which addresses of a memory intercept are valid. Source: Linux hvhdk.h, hv_x64_memory_access_info."""

    gva_valid: int = bit(0, "The virtual address is valid.")
    gva_gpa_valid: int = bit(1, "It is the virtual address of this physical one.")
    hypercall_output_pending: int = bit(2, "The hypervisor was writing the output of a call.")
    tlb_locked_no_overlay: int = bit(3, "Translations are held, and no overlay is involved.")


class MemoryIntercept(Struct, size=80):
    """Why a child stopped at a guest physical address. Source: Linux hvhdk.h, hv_x64_memory_intercept_message."""

    vp_index: int = u32("Which virtual processor.")
    instruction_length: int = u8("Bits 3:0 length of the instruction (0: not known), 7:4 CR8.", kind="hex")
    access_type: int = u8("0 read, 1 write, 2 fetch.")
    execution_state: int = u16("Mode and privilege level: ExecutionState.", kind="hex")
    cs_base: int = u64("Code segment: base.", kind="hex")
    cs_limit: int = u32("Code segment: limit.", kind="hex")
    cs_selector: int = u16("Code segment: selector.", kind="hex")
    cs_attributes: int = u16("Code segment: attributes.", kind="hex")
    rip: int = u64("The instruction that stopped; it has not been done.", kind="hex")
    rflags: int = u64("Flags.", kind="hex")
    cache_type: int = u32("6 for write-back memory.")
    instruction_byte_count: int = u8("How many of the instruction bytes are valid.")
    access_info: int = u8("Which addresses are valid: MemoryAccessInfo.", kind="hex")
    tpr_priority: int = u8("Task priority.")
    reserved: int = u8("Zero.")
    gva: int = u64("Guest virtual address.", kind="gva")
    gpa: int = u64("Guest physical address.", kind="gpa")
    instruction_bytes: bytes = raw(16, "The instruction, as far as it was fetched.")
