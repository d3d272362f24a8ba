"""What the hypervisor keeps about partitions and virtual processors: records in the one state of the machine.

Slots: 0 the hypervisor, 1 the root, from 2 on the children. A slot is used again, a partition's id never.

SIMPLER THAN REAL: ids are small numbers; a real machine hands out opaque 64-bit handles.
SIMPLER THAN REAL: children have no children; a second level of partitions answers PARTITION_TOO_DEEP.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from hvlab.hardware import apic, ioapic, processor
from hvlab.hypervisor import agenda, intercept_table, queues, scheduler
from hvlab.kernel import I

SLOTS = 8
ROOT = 1
INTEL, AMD = 1, 2


class Life(IntEnum):
    """Where a partition stands in its life."""

    FREE = 0
    CREATED = 1
    ACTIVE = 2
    FINALIZED = 3


PARTITION = [
    ("life", I),
    ("id", I),
    ("parent", I),  # slot
    ("privileges", I),
    ("root", I),  # SPA of the top second-level table; 0: none yet
    ("guest_os_id", I),
    ("hypercall", I),  # the MSR
    ("overlay_spn", I),  # the hypercall page of this partition; 0: none yet
    ("overlay_gpn", I),  # where it lies; -1: nowhere
    ("beneath", I),  # the second-level entry that it covers
    ("born", I),  # when its reference time was 0
    ("reference_tsc", I),  # the MSR
    ("tsc_spn", I),  # the reference TSC page; 0: none yet
    ("crash", I, (6,)),  # the words of a crash report, then CRASH_CTL
    ("controls", I, (4,)),  # re-enlightenment, TSC emulation and its status, invariant TSC
    ("block_spn", I),  # the page that CreatePartition took from the parent's pool
]
GUEST = [
    ("partition", I),  # slot; 0: this virtual processor does not exist
    ("index", I),
    ("gpr", I, (16,)),
    ("rip", I),
    ("cpl", I),
    ("explicit_suspend", I),
    ("intercept_suspend", I),
    ("message_spn", I),  # its intercept message page
    ("message_mapped", I),
    ("assist_spn", I),  # its VP assist page; 0: none yet
]
HYPERVISOR = [
    ("vendor", I),
    ("next_id", I),
    ("slice", I),  # elements of a rep call before it returns to the guest; 0: no limit
    ("flush_on_unmap", I),
    ("tags", I),
    ("second_level", I),  # 1 EPT, 2 nested paging
    ("levels", I),  # of every second level
    ("lps", I),
    ("mbec", I),  # mode-based execute control is on
    ("tell_halt", I),  # 1: HLT of a child is its parent's business; 0: the hypervisor lets the processor sleep
]
STATE = processor.state_type(
    ("hypervisor", HYPERVISOR),
    ("partition", PARTITION, (SLOTS,)),
    ("guest", GUEST, (processor.VPS,)),
    ("apic", apic.APIC, (processor.VPS,)),
    ("ioapic", ioapic.IOAPIC),
    ("news", [("who", I), ("row", I, (processor.VPS,))]),  # VPs that an interrupt reached, as bits; where it is told
    ("run", scheduler.RUN, (processor.VPS,)),
    ("lane", scheduler.LANE, (processor.LPS,)),
    ("scheduler", scheduler.SCHEDULER),
    ("agenda", agenda.AGENDA),
    ("synic", queues.SYNIC, (processor.VPS,)),
    ("timer", queues.TIMER, (processor.VPS, 4)),
    ("port", queues.PORT, (queues.PORTS,)),
    ("connection", queues.CONNECTION, (queues.CONNECTIONS,)),
    ("messages", queues.MESSAGES),
    ("overlay", queues.OVERLAY, (queues.OVERLAYS,)),
    ("request", intercept_table.REQUEST, (intercept_table.REQUESTS,)),
    intercept_table.EXITS,
)


@dataclass(frozen=True)
class Fault:
    """What stopped an access or an instruction of a guest: data, never an exception of ours.

    Attributes
    ----------
    kind : str
        ``#PF``, ``#GP``, ``#UD``; ``intercept`` (the parent got a message, the processor waits);
        ``ept_misconfiguration``, ``memory_missing`` (errors of whoever built the tables).
    """

    kind: str
    error_code: int = 0
    gva: int = 0
    gpa: int = 0


def find(state: Any, partition_id: int) -> int | None:
    """Return the slot of the partition with this id, or None."""
    records = state["partition"][0]
    for slot in range(1, SLOTS):
        if records["life"][slot] != Life.FREE and int(records["id"][slot]) == partition_id:
            return slot
    return None


def find_vp(state: Any, slot: int, index: int) -> int | None:
    """Return the number of a partition's virtual processor in the machine, or None."""
    guests = state["guest"][0]
    for vp in range(processor.VPS):
        if int(guests["partition"][vp]) == slot and int(guests["index"][vp]) == index:
            return vp
    return None


def vps_of(state: Any, slot: int) -> list[int]:
    """Return the machine's numbers of a partition's virtual processors."""
    return [vp for vp in range(processor.VPS) if int(state["guest"]["partition"][0, vp]) == slot]


def vpid_of(vp: int) -> int:
    """Return the tag of a virtual processor's cached translations (VPID on Intel, ASID on AMD)."""
    return vp + 1
