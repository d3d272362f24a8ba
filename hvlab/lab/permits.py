"""Who may make which hypercall: a bit of the privilege mask, a relation to the partition that is named, or both.

Callers and privileges: TLFS v6.0b, appendix A; for the calls of later interfaces the web edition's privilege table.
A relation is no bit: no mask makes a child its own parent.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.errors import BadRequest, plain
from hvlab.language import N_, _
from hvlab.trace.words import grouped
from hvlab.wire.tlfs import PrivilegeMask

ANY, PARENT, PARENT_OR_ROOT, ROOT = "anyone", N_("parent"), N_("parent or root"), N_("root")
PARENT_OR_SELF = "parent or self"  # the parent without a bit, a partition itself with one
CHILD = "child"  # a child that names itself
MASK: Final = (1 << 64) - 1


@dataclass(frozen=True)
class Permit:
    """What one hypercall, or one synthetic register, asks of its caller."""

    code: int
    name: str
    privilege: str = ""
    caller: str = ANY

    @property
    def bit(self) -> int:
        """The number of the privilege's bit; -1 for none."""
        return PrivilegeMask.lo(self.privilege) if self.privilege else -1

    def related(self, who: str) -> bool:
        """Whether the caller stands in the right relation: the root to its child, or a child to itself."""
        return self.caller in (ANY, PARENT_OR_SELF) or who == ROOT

    def given(self, mask: int) -> bool:
        """Whether a mask has the bit, if there is one."""
        return not self.privilege or bool(mask & PrivilegeMask.mask(self.privilege))

    def allows(self, mask: int, who: str) -> bool:
        """Whether a caller with this mask may."""
        if self.caller == PARENT_OR_SELF and who == ROOT:
            return True
        return self.related(who) and self.given(mask)


CALLS: Final = tuple(
    Permit(*row)
    for row in (
        (0x0002, "FlushVirtualAddressSpace"), (0x0003, "FlushVirtualAddressList"),
        (0x000B, "SendSyntheticClusterIpi"), (0x000D, "EnablePartitionVtl", "access_vsm"),
        (0x000F, "EnableVpVtl", "access_vsm"), (0x0013, "FlushVirtualAddressSpaceEx"),
        (0x0014, "FlushVirtualAddressListEx"),
        (0x0040, "CreatePartition", "create_partitions"), (0x0041, "InitializePartition", "", PARENT),
        (0x0042, "FinalizePartition", "", PARENT), (0x0043, "DeletePartition", "", PARENT),
        (0x0044, "GetPartitionProperty", "", PARENT_OR_ROOT), (0x0045, "SetPartitionProperty", "", PARENT_OR_ROOT),
        (0x0046, "GetPartitionId", "access_partition_id"),
        (0x0048, "DepositMemory", "access_memory_pool", PARENT_OR_ROOT),
        (0x0049, "WithdrawMemory", "access_memory_pool", PARENT_OR_ROOT),
        (0x004A, "GetMemoryBalance", "access_memory_pool", PARENT_OR_ROOT),
        (0x004B, "MapGpaPages", "", PARENT_OR_ROOT), (0x004C, "UnmapGpaPages", "", PARENT),
        (0x004D, "InstallIntercept", "", PARENT), (0x004E, "CreateVp", "", PARENT), (0x004F, "DeleteVp", "", PARENT),
        (0x0050, "GetVpRegisters", "access_vp_registers", PARENT_OR_SELF),
        (0x0051, "SetVpRegisters", "access_vp_registers", PARENT_OR_SELF),
        (0x0053, "ReadGpa", "", PARENT), (0x0054, "WriteGpa", "", PARENT),
        (0x0058, "DeletePort", "", PARENT_OR_ROOT), (0x005B, "DisconnectPort", "", PARENT_OR_ROOT),
        (0x005C, "PostMessage", "post_messages"), (0x005D, "SignalEvent", "signal_events"),
        (0x0069, "PostDebugData", "debugging"), (0x006A, "RetrieveDebugData", "debugging"),
        (0x006B, "ResetDebugSession", "debugging"),
        (0x007C, "MapDeviceInterrupt", "cpu_management", ROOT),
        (0x007D, "UnmapDeviceInterrupt", "cpu_management", ROOT),
        (0x007E, "RetargetDeviceInterrupt", "cpu_management"),
        (0x0082, "AttachDevice", "cpu_management", ROOT), (0x0083, "DetachDevice", "cpu_management", ROOT),
        (0x0099, "StartVirtualProcessor", "start_virtual_processor"),
        (0x8001, "ExtCallQueryCapabilities", "enable_extended_hypercalls"),
    )
)  # fmt: skip
REGISTERS: Final = tuple(
    Permit(*row)
    for row in (
        (0x40000001, "HYPERCALL", "access_hypercall_msrs"), (0x40000002, "VP_INDEX", "access_vp_index"),
        (0x40000003, "RESET", "access_reset_msr"), (0x40000010, "VP_RUNTIME", "access_vp_runtime_msr"),
        (0x40000020, "TIME_REF_COUNT", "access_partition_reference_counter"),
        (0x40000021, "REFERENCE_TSC", "access_partition_reference_tsc"),
        (0x40000022, "TSC_FREQUENCY", "access_frequency_msrs"), (0x40000070, "EOI", "access_apic_msrs"),
        (0x40000080, "SCONTROL", "access_synic_msrs"), (0x400000B0, "STIMER0_CONFIG", "access_synthetic_timer_msrs"),
        (0x400000F0, "GUEST_IDLE", "access_guest_idle_msr"),
    )
)  # fmt: skip
BY_CODE: Final = {one.code: one for one in CALLS}


def allowed(mask: int, who: str = CHILD) -> list[int]:
    """Return the codes of the calls that a caller may make: a child about itself, or the root about its child."""
    return [one.code for one in CALLS if one.allows(mask, who)]


def least(finishes: Callable[[int], bool]) -> int:
    """Return the smallest mask with which something finishes: each bit is taken away in turn, or stays if needed."""
    mask = sum(1 << field.lo for field in PrivilegeMask.fields)
    for field in PrivilegeMask.fields:
        if finishes(mask & ~(1 << field.lo)):
            mask &= ~(1 << field.lo)
    return mask


@dataclass(frozen=True)
class Ruling:
    """What a mask and a relation come to for one call or register, in words."""

    permit: Permit
    allowed: bool
    why: str


def asks_for(one: Permit) -> str:
    """Say what a call asks of its caller: a bit, a relation, both, or nothing."""
    if one.caller == PARENT_OR_SELF:
        return _("bit {bit}, or parent").format(bit=one.bit)
    bit = _("bit {bit}").format(bit=one.bit) if one.privilege else ""
    relation = _(one.caller) if one.caller != ANY else ""
    return " + ".join(part for part in (bit, relation) if part) or _("nothing")


def ruled(mask: int, who: str = CHILD, permits: Sequence[Permit] = CALLS) -> list[Ruling]:
    """Return who may do what with a mask: a child about itself, or the root about its child."""
    return [Ruling(one, one.allows(mask, who), _why(one, mask, who)) for one in permits]


def _why(one: Permit, mask: int, who: str) -> str:
    if one.allows(mask, who):
        return _("may")
    if not one.related(who):
        return _("no: a child is not its own parent")
    return _("no: bit {bit} is 0").format(bit=one.bit)


def changed(before: int, after: int, who: str = CHILD) -> list[str]:
    """Say which calls and registers a change of the mask opens or closes, one sentence each."""
    every = (*CALLS, *REGISTERS)
    opened = [one.name for one in every if one.allows(after, who) and not one.allows(before, who)]
    closed = [one.name for one in every if one.allows(before, who) and not one.allows(after, who)]
    said = [_("Now open: {names}.").format(names=", ".join(opened))] if opened else []
    return said + ([_("Now closed: {names}.").format(names=", ".join(closed))] if closed else [])


@dataclass(frozen=True, repr=False)
class Inspected:
    """Masks beside the calls: who may make which, and why not."""

    masks: tuple[tuple[str, int], ...]
    who: str = CHILD

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield "    ".join(f"{name}: {grouped(mask, 16)}" for name, mask in self.masks)
        rows = [("call", "", "asks for", *(name for name, _mask in self.masks))]
        for one in CALLS:
            relation = one.caller if one.caller != ANY else ""
            asks = ", ".join(part for part in (f"bit {one.bit}" if one.privilege else "", relation) if part)
            rows.append((f"{one.code:#06x}", one.name, asks or "nothing", *(self._says(one, m) for _, m in self.masks)))
        wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        for row in rows:
            yield "  ".join(cell.ljust(w) for cell, w in zip(row, wide, strict=True)).rstrip()

    def _says(self, one: Permit, mask: int) -> str:
        if one.allows(mask, self.who):
            return "may"
        return "–  no bit" if one.related(self.who) else "–  relation"


def inspect(*masks: int, names: tuple[str, ...] = (), who: str = CHILD) -> Inspected:
    """Set one or more masks beside some forty calls.

    Parameters
    ----------
    names
        What the masks are called.
    who
        ``"child"``: a child that names itself; ``"root"``: the root about its child.
    """
    if who not in (CHILD, ROOT) or not masks or len(names) not in (0, len(masks)):
        raise BadRequest(f"{len(masks)} masks of a {plain(who, 20)}", "", "child or root, and as many names as masks")
    called = names or tuple(f"mask {k}" if len(masks) > 1 else "mask" for k in range(len(masks)))
    return Inspected(tuple((name, int(mask) & MASK) for name, mask in zip(called, masks, strict=True)), who)
