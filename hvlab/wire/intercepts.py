"""Intercepts: what a parent may ask to hear of, and the messages that tell it.

Numbers and layouts: TLFS (HV_INTERCEPT_TYPE, HV_MESSAGE_TYPE, HvCallInstallIntercept); Linux include/hyperv/hvhdk.h
(hv_x64_*_intercept_message) and hvgdk_mini.h; checked against openvmm hvdef. Messages about guest physical addresses
stand in `tlfs`.
"""

from enum import IntEnum

from hvlab.wire.struct import Message, Struct, Word, bit, bits, raw, u8, u16, u32, u64
from hvlab.wire.tlfs import MessageType


class InterceptType(IntEnum):
    """What can be intercepted, of the list of the TLFS. Source: TLFS, HV_INTERCEPT_TYPE; Linux hv_intercept_type."""

    IO_PORT = 0x0
    MSR = 0x1
    CPUID = 0x2
    EXCEPTION = 0x3
    MSR_INDEX = 0xC


class InterceptAccess(Word):
    """Which accesses are intercepted; none: no longer. Source: TLFS, HV_INTERCEPT_ACCESS_TYPE_MASK."""

    read: int = bit(0, "Reads: IN, RDMSR.")
    write: int = bit(1, "Writes: OUT, WRMSR.")
    execute: int = bit(2, "The instruction itself: CPUID; the delivery of an exception.")


class InstallIntercept(Struct, size=24):
    """Say what the parent wants to hear of. Source: TLFS, HvCallInstallIntercept; Linux hv_input_install_intercept."""

    partition_id: int = u64("Which child.")
    access_type: int = u32("Which accesses: InterceptAccess; 0 takes an intercept back.", kind="hex")
    intercept_type: int = u32("Which kind: InterceptType.")
    parameter: int = u64("Port, CPUID leaf, vector or MSR; 0 for all MSRs.", kind="hex")


class InterceptHeader(Struct, size=40):
    """The front of each intercept's payload. Source: Linux hvhdk.h, hv_x64_intercept_message_header."""

    vp_index: int = u32("Which virtual processor.")
    instruction_length: int = u8("Bits 3:0 length of the instruction, 7:4 CR8.", kind="hex")
    access_type: int = u8("0 read, 1 write, 2 execute.")
    execution_state: int = u16("Mode and privilege level: ExecutionState.", kind="hex")
    cs_base: int = u64("Code segment: base.", kind="hex")
    cs_limit: int = u32("Code segment: limit.", kind="hex")
    cs_selector: int = u16("Code segment: selector.", kind="hex")
    cs_attributes: int = u16("Code segment: attributes.", kind="hex")
    rip: int = u64("The instruction that stopped; it has not been done.", kind="hex")
    rflags: int = u64("Flags.", kind="hex")


class IoPortAccessInfo(Word):
    """How a port was used. Source: Linux hvhdk.h, hv_x64_io_port_access_info."""

    access_size: int = bits(0, 3, "Bytes: 1, 2 or 4.")
    string_op: int = bit(3, "INS or OUTS: the data is in memory.")
    rep_prefix: int = bit(4, "It repeats, RCX times.")


class ExceptionInfo(Word):
    """What is known of an exception. Source: Linux hvhdk.h, hv_x64_exception_info."""

    error_code_valid: int = bit(0, "It has an error code.")
    software_exception: int = bit(1, "An instruction asked for it.")


class IoPortIntercept(Message, number=MessageType.IO_PORT_INTERCEPT, sender="hypervisor", size=128):
    """A child's IN, OUT, INS or OUTS. Source: Linux hvhdk.h, hv_x64_io_port_intercept_message."""

    header: bytes = raw(InterceptHeader.size, "Who, where, in which mode: InterceptHeader.")
    port: int = u16("Which port.", kind="hex")
    access_info: int = u8("Size, string, repeat: IoPortAccessInfo.", kind="hex")
    instruction_byte_count: int = u8("How many of the instruction bytes are valid.")
    reserved: int = u32("Zero.")
    rax: int = u64("What an OUT writes is in its low bytes.", kind="hex")
    instruction_bytes: bytes = raw(16, "The instruction.")
    ds: bytes = raw(16, "Data segment: where OUTS reads.")
    es: bytes = raw(16, "Extra segment: where INS writes.")
    rcx: int = u64("How often a repeated one is still to be done.")
    rsi: int = u64("Where OUTS reads next.", kind="gva")
    rdi: int = u64("Where INS writes next.", kind="gva")


class MsrIntercept(Message, number=MessageType.MSR_INTERCEPT, sender="hypervisor", size=64):
    """A child's RDMSR or WRMSR. Source: Linux hvhdk.h, hv_x64_msr_intercept_message."""

    header: bytes = raw(InterceptHeader.size, "Who, where, in which mode: InterceptHeader.")
    msr: int = u32("Which register.", kind="hex")
    reserved: int = u32("Zero.")
    rdx: int = u64("Upper half of what is written.", kind="hex")
    rax: int = u64("Lower half of what is written.", kind="hex")


class CpuidIntercept(Message, number=MessageType.CPUID_INTERCEPT, sender="hypervisor", size=104):
    """A child's CPUID. Source: Linux hvhdk.h, hv_x64_cpuid_intercept_message."""

    header: bytes = raw(InterceptHeader.size, "Who, where, in which mode: InterceptHeader.")
    rax: int = u64("The leaf.", kind="hex")
    rcx: int = u64("The subleaf.", kind="hex")
    rdx: int = u64("RDX before the instruction.", kind="hex")
    rbx: int = u64("RBX before the instruction.", kind="hex")
    default_rax: int = u64("What the hypervisor would answer in RAX.", kind="hex")
    default_rcx: int = u64("In RCX.", kind="hex")
    default_rdx: int = u64("In RDX.", kind="hex")
    default_rbx: int = u64("In RBX.", kind="hex")


class ExceptionIntercept(Message, number=MessageType.EXCEPTION_INTERCEPT, sender="hypervisor", size=240):
    """An exception in a child, not delivered yet. Source: Linux hvhdk.h, hv_x64_exception_intercept_message."""

    header: bytes = raw(InterceptHeader.size, "Who, where, in which mode: InterceptHeader.")
    vector: int = u16("Which exception.")
    exception_info: int = u8("What is known of it: ExceptionInfo.", kind="hex")
    instruction_byte_count: int = u8("How many of the instruction bytes are valid.")
    error_code: int = u32("Its error code.", kind="hex")
    parameter: int = u64("For #PF the address.", kind="gva")
    reserved: int = u64("Zero.")
    instruction_bytes: bytes = raw(16, "The instruction.")
    ds: bytes = raw(16, "Data segment.")
    ss: bytes = raw(16, "Stack segment.")
    registers: int = u64("RAX RCX RDX RBX RSP RBP RSI RDI, then R8 to R15.", kind="hex", count=16)


class HaltIntercept(Message, number=MessageType.X64_HALT, sender="hypervisor", size=40):
    """A child's HLT. Source: Linux hvhdk.h, hv_x64_halt_message."""

    header: bytes = raw(InterceptHeader.size, "Who, where, in which mode: InterceptHeader.")


MESSAGES = (IoPortIntercept, MsrIntercept, CpuidIntercept, ExceptionIntercept, HaltIntercept)
