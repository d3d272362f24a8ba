"""The hypercalls: code, shape, who may call, and the blocks that cross the boundary.

Codes, layouts, callers and privileges: TLFS v6.0b appendix A and its web edition; sizes and offsets checked against
Linux include/hyperv/hvhdk*.h. A call that is not in `CALLS` answers INVALID_HYPERCALL_CODE.
"""

from dataclasses import dataclass
from typing import Any

from hvlab.wire import ports
from hvlab.wire.intercepts import InstallIntercept
from hvlab.wire.struct import Struct, Word, bit, bits, raw, u8, u16, u32, u64
from hvlab.wire.tlfs import PrivilegeMask

ANY, PARENT, PARENT_OR_ROOT, PARENT_OR_SELF = "any", "parent", "parent or root", "parent or self"


class ProximityDomain(Word):
    """A wish for memory near a processor. Source: Linux hvhdk_mini.h, hv_proximity_domain_info."""

    domain: int = bits(0, 32, "Number of the domain.")
    preferred: int = bit(32, "Another domain will do as well.")
    valid: int = bit(63, "The wish counts.")


class CreatePartition(Struct, size=56):
    """Make a partition, child of the caller. Source: TLFS, HvCallCreatePartition; Linux hv_input_create_partition."""

    flags: int = u64("Kind of partition.", kind="hex")
    proximity: int = u64("Wish for a memory domain.", kind="hex")
    compatibility: int = u32("Version of the interface that the parent expects.", kind="hex")
    padding: int = u32("Zero.")
    disabled_features: bytes = raw(16, "Processor features that the child shall not see.")
    disabled_xsave: int = u64("XSAVE features that the child shall not see.", kind="hex")
    isolation: int = u64("Kind of isolation; 0 none.", kind="hex")


class CreatePartitionOutput(Struct, size=8):
    """The new partition. Source: TLFS, HvCallCreatePartition."""

    partition_id: int = u64("Handle of the child; never used again.")


class PartitionOnly(Struct, size=8):
    """The input of Initialize, Finalize and DeletePartition. Source: TLFS, HvCallInitializePartition and so on."""

    partition_id: int = u64("Which partition.")


class GetPartitionProperty(Struct, size=16):
    """Ask for a property. Source: TLFS, HvCallGetPartitionProperty."""

    partition_id: int = u64("Whose property.")
    property: int = u32("Which property.", kind="hex")
    reserved: int = u32("Zero.")


class PropertyOutput(Struct, size=8):
    """A property's value. Source: TLFS, HvCallGetPartitionProperty."""

    value: int = u64("The value.", kind="hex")


class SetPartitionProperty(Struct, size=24):
    """Change a property. Source: Linux hvhdk.h, hv_input_set_partition_property."""

    partition_id: int = u64("Whose property.")
    property: int = u32("Which property.", kind="hex")
    padding: int = u32("Zero.")
    value: int = u64("The new value.", kind="hex")


class PartitionIdOutput(Struct, size=8):
    """A partition's handle. Source: TLFS, HvCallGetPartitionId, HvCallGetNextChildPartition."""

    partition_id: int = u64("The handle; 0 for none.")


class GetNextChildPartition(Struct, size=16):
    """Go through a partition's children. Source: TLFS, HvCallGetNextChildPartition."""

    parent_id: int = u64("Whose children.")
    previous_id: int = u64("The child before the one wanted; 0 for the first.")


class DepositMemory(Struct, size=8):
    """Give pages to a partition's pool; a list of page numbers follows. Source: TLFS, HvCallDepositMemory."""

    partition_id: int = u64("Whose pool.")


class PageNumber(Struct, size=8):
    """One element of a list of pages. Source: TLFS, HvCallDepositMemory and others."""

    gpn: int = u64("A page of the caller.", kind="page")


class PoolOf(Struct, size=16):
    """The input of WithdrawMemory and GetMemoryBalance. Source: TLFS, HvCallWithdrawMemory, HvCallGetMemoryBalance."""

    partition_id: int = u64("Whose pool.")
    proximity: int = u64("Which memory domain.", kind="hex")


class MemoryBalance(Struct, size=16):
    """How much a pool holds. Source: TLFS, HvCallGetMemoryBalance."""

    available: int = u64("Pages that are free.")
    in_use: int = u64("Pages that the hypervisor uses on the partition's behalf.")


class MapGpaPages(Struct, size=24):
    """Give pages a place in a child's physical memory; a page list follows. Source: Linux hv_input_map_gpa_pages."""

    partition_id: int = u64("Who gets the pages.")
    gpn: int = u64("Where the first one goes.", kind="page")
    flags: int = u32("Rights and page size: MapFlags.", kind="hex")
    padding: int = u32("Zero.")


class UnmapGpaPages(Struct, size=24):
    """Take pages out of a child's physical address space. Source: TLFS, HvCallUnmapGpaPages; Mile.HyperV."""

    partition_id: int = u64("Who loses the pages.")
    gpn: int = u64("The first page.", kind="page")
    flags: int = u32("Page size.", kind="hex")
    padding: int = u32("Zero.")


class CreateVp(Struct, size=40):
    """Make a virtual processor. Source: Linux hvhdk_mini.h, hv_create_vp."""

    partition_id: int = u64("Whose processor.")
    vp_index: int = u32("Its number within the partition.")
    padding: bytes = raw(3, "Zero.")
    subnode_type: int = u8("Kind of place in the processor's topology.")
    subnode_id: int = u64("Which place.")
    proximity: int = u64("Wish for a memory domain.", kind="hex")
    flags: int = u64("Zero.", kind="hex")


class DeleteVp(Struct, size=16):
    """Remove a virtual processor. Source: Linux hvhdk.h, hv_input_delete_vp."""

    partition_id: int = u64("Whose processor.")
    vp_index: int = u32("Which one.")
    reserved: int = u32("Zero.")


class VpRegisters(Struct, size=16):
    """The front of Get and SetVpRegisters; a list follows. Source: TLFS, HvCallGetVpRegisters."""

    partition_id: int = u64("Whose processor.")
    vp_index: int = u32("Which one.")
    target_vtl: int = u8("Virtual trust level; 0 here.")
    reserved: bytes = raw(3, "Zero.")


class RegisterName(Struct, size=4):
    """One element of a list of names. Source: TLFS, HvCallGetVpRegisters."""

    name: int = u32("Which register.", kind="register")


class RegisterValue(Struct, size=16):
    """One element of a list of values. Source: TLFS, HvCallGetVpRegisters."""

    low: int = u64("The value.", kind="hex")
    high: int = u64("Its upper half, for registers of 128 bits.", kind="hex")


class RegisterAssociation(Struct, size=32):
    """One element of SetVpRegisters: a name and a value. Source: TLFS, HvCallSetVpRegisters."""

    name: int = u32("Which register.", kind="register")
    reserved: bytes = raw(12, "Zero.")
    low: int = u64("The value.", kind="hex")
    high: int = u64("Its upper half, for registers of 128 bits.", kind="hex")


class TranslateVirtualAddress(Struct, size=32):
    """Where does a virtual address of another processor lead? Source: TLFS, HvCallTranslateVirtualAddress (also Ex)."""

    partition_id: int = u64("Whose processor.")
    vp_index: int = u32("Which one.")
    padding: int = u32("Zero.")
    flags: int = u64("What to check: TranslateFlags.", kind="hex")
    gvn: int = u64("The page that is asked for.", kind="page")


class TranslationOutput(Struct, size=16):
    """Where it leads. Source: TLFS, HvCallTranslateVirtualAddress."""

    result: int = u64("How it ended: TranslateResult.", kind="hex")
    gpn: int = u64("The guest physical page.", kind="page")


class TranslationOutputEx(Struct, size=24):
    """Where it leads, with room for event information. Source: TLFS, HvCallTranslateVirtualAddressEx."""

    result: int = u64("How it ended: TranslateResult.", kind="hex")
    event_info: int = u64("Not used here.", kind="hex")
    gpn: int = u64("The guest physical page.", kind="page")


class FlushVirtualAddress(Struct, size=24):
    """The front of FlushVirtualAddressSpace and List. Source: Linux asm-generic/hyperv-tlfs.h, hv_tlb_flush."""

    space: int = u64("CR3 of the address space.", kind="hex")
    flags: int = u64("What to drop: FlushFlags.", kind="hex")
    processors: int = u64("One bit for each virtual processor.", kind="hex")


class FlushVirtualAddressEx(Struct, size=32):
    """The same with a sparse set of processors after it. Source: Linux hv_tlb_flush_ex."""

    space: int = u64("CR3 of the address space.", kind="hex")
    flags: int = u64("What to drop: FlushFlags.", kind="hex")
    set_format: int = u64("0 sparse, 1 every processor.")
    banks: int = u64("Which banks of 64 processors follow.", kind="hex")


class FlushRange(Struct, size=8):
    """One element of a flush list. Source: TLFS, HV_GVA_RANGE."""

    range: int = u64("First page and how many more: GvaRange.", kind="hex")


class FlushGuestPhysical(Struct, size=16):
    """Drop what came from a guest hypervisor's second level. Source: Linux hv_guest_mapping_flush."""

    space: int = u64("The guest hypervisor's table.", kind="hex")
    flags: int = u64("Zero.", kind="hex")


class MapVpStatePage(Struct, size=24):
    """Let the parent see a page of a virtual processor's state. Source: TLFS, HvCallMapVpStatePage."""

    partition_id: int = u64("Whose processor.")
    vp_index: int = u32("Which one.")
    type: int = u16("0 registers, 1 intercept message.")
    input_vtl: int = u8("Virtual trust level; 0 here.")
    flags: int = u8("Bit 0: the caller chooses the place.")
    location: int = u64("The place that the caller chooses.", kind="page")


class MapVpStatePageOutput(Struct, size=8):
    """Where the page is. Source: TLFS, HvCallMapVpStatePage."""

    gpn: int = u64("Page in the caller's physical address space.", kind="page")


@dataclass(frozen=True)
class Call:
    """One hypercall: its shape and who may make it."""

    code: int
    name: str
    header: type[Struct] | None = None
    output: type[Struct] | None = None
    element: type[Struct] | None = None  # of the input list
    output_element: type[Struct] | None = None
    rep: bool = False
    privilege: str = ""
    caller: str = ANY
    on_itself: str = ""  # the privilege that a partition needs to make the call about itself
    variable: bool = False  # a variable header may follow

    @property
    def bit(self) -> int:
        """The privilege that the caller needs, as a mask; 0 for none."""
        return PrivilegeMask.mask(self.privilege)

    @property
    def bit_on_itself(self) -> int:
        return PrivilegeMask.mask(self.on_itself)


_OWN_PORT: Any = {"caller": PARENT_OR_SELF, "on_itself": "create_port"}
_OWN_CONNECTION: Any = {"caller": PARENT_OR_SELF, "on_itself": "connect_port"}
_PORT_CALLS = (
    Call(0x0058, "DeletePort", ports.DeletePort, **_OWN_PORT),
    Call(0x005A, "GetPortProperty", ports.GetPortProperty, PropertyOutput, **_OWN_PORT),
    Call(0x005B, "DisconnectPort", ports.DisconnectPort, **_OWN_CONNECTION),
    Call(0x005C, "PostMessage", ports.PostMessage, privilege="post_messages"),
    Call(0x005D, "SignalEvent", ports.SignalEvent, privilege="signal_events"),
    Call(0x0095, "CreatePort", ports.CreatePort, **_OWN_PORT),
    Call(0x0096, "ConnectPort", ports.ConnectPort, **_OWN_CONNECTION),
)
_LIST = (
    Call(0x0002, "FlushVirtualAddressSpace", FlushVirtualAddress),
    Call(0x0003, "FlushVirtualAddressList", FlushVirtualAddress, element=FlushRange, rep=True),
    Call(0x0013, "FlushVirtualAddressSpaceEx", FlushVirtualAddressEx, variable=True),
    Call(0x0014, "FlushVirtualAddressListEx", FlushVirtualAddressEx, element=FlushRange, rep=True, variable=True),
    Call(0x0040, "CreatePartition", CreatePartition, CreatePartitionOutput, privilege="create_partitions"),
    Call(0x0041, "InitializePartition", PartitionOnly, caller=PARENT),
    Call(0x0042, "FinalizePartition", PartitionOnly, caller=PARENT),
    Call(0x0043, "DeletePartition", PartitionOnly, caller=PARENT),
    Call(0x0044, "GetPartitionProperty", GetPartitionProperty, PropertyOutput, caller=PARENT_OR_ROOT),
    Call(0x0045, "SetPartitionProperty", SetPartitionProperty, caller=PARENT_OR_ROOT),
    Call(0x0046, "GetPartitionId", None, PartitionIdOutput, privilege="access_partition_id"),
    Call(0x0047, "GetNextChildPartition", GetNextChildPartition, PartitionIdOutput, caller=PARENT_OR_SELF),
    Call(
        0x0048,
        "DepositMemory",
        DepositMemory,
        element=PageNumber,
        rep=True,
        privilege="access_memory_pool",
        caller=PARENT_OR_ROOT,
    ),
    Call(
        0x0049,
        "WithdrawMemory",
        PoolOf,
        output_element=PageNumber,
        rep=True,
        privilege="access_memory_pool",
        caller=PARENT_OR_ROOT,
    ),
    Call(
        0x004A,
        "GetMemoryBalance",
        PoolOf,
        MemoryBalance,
        privilege="access_memory_pool",
        caller=PARENT_OR_ROOT,
    ),
    Call(0x004B, "MapGpaPages", MapGpaPages, element=PageNumber, rep=True, caller=PARENT),
    Call(0x004C, "UnmapGpaPages", UnmapGpaPages, rep=True, caller=PARENT),
    Call(0x004D, "InstallIntercept", InstallIntercept, caller=PARENT),
    Call(0x004E, "CreateVp", CreateVp, caller=PARENT),
    Call(0x004F, "DeleteVp", DeleteVp, caller=PARENT),
    Call(
        0x0050,
        "GetVpRegisters",
        VpRegisters,
        element=RegisterName,
        output_element=RegisterValue,
        rep=True,
        caller=PARENT_OR_SELF,
        on_itself="access_vp_registers",
    ),
    Call(
        0x0051,
        "SetVpRegisters",
        VpRegisters,
        element=RegisterAssociation,
        rep=True,
        caller=PARENT_OR_SELF,
        on_itself="access_vp_registers",
    ),
    Call(
        0x0052,
        "TranslateVirtualAddress",
        TranslateVirtualAddress,
        TranslationOutput,
        caller=PARENT_OR_SELF,
        on_itself="access_vp_registers",
    ),
    *_PORT_CALLS,
    Call(
        0x00AC,
        "TranslateVirtualAddressEx",
        TranslateVirtualAddress,
        TranslationOutputEx,
        caller=PARENT_OR_SELF,
        on_itself="access_vp_registers",
    ),
    Call(0x00AF, "FlushGuestPhysicalAddressSpace", FlushGuestPhysical),
    Call(0x00B0, "FlushGuestPhysicalAddressList", FlushGuestPhysical, element=FlushRange, rep=True),
    Call(0x00E1, "MapVpStatePage", MapVpStatePage, MapVpStatePageOutput, caller=PARENT),
)
CALLS: dict[int, Call] = {call.code: call for call in _LIST}
CODES: dict[str, int] = {call.name: call.code for call in _LIST}
