"""VID: builds partitions out of the root's pages, and takes them down again, in the order of Linux's root driver.

Source of the order: Linux drivers/hv/mshv_root_main.c and mshv_root_hv_call.c (facts; the words are ours).

SIMPLER THAN REAL: a few pages are deposited at first, where Linux gives 208.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault
from hvlab.root.winhv import PAGE, WinHv
from hvlab.wire.hypercalls import RegisterAssociation, RegisterName
from hvlab.wire.tlfs import (
    GUEST_PRIVILEGES,
    SELF,
    MapFlags,
    MemoryIntercept,
    MessageHeader,
    Property,
    Register,
)

EVERY_RIGHT = MapFlags.encode(readable=1, writable=1, kernel_executable=1, user_executable=1)
LARGE = MapFlags.mask("large_page")
INTERCEPT_MESSAGE = 1
PROTECTED = 0x60000011  # CR0 after reset, with protected mode on


@dataclass
class Partition:
    """What the VID knows of a partition that it built: plain data."""

    partition_id: int
    vps: int
    pages: dict[int, int] = field(default_factory=dict)  # the child's page -> the root's page
    message_gpns: dict[int, int] = field(default_factory=dict)  # VP index -> page of its intercept messages
    pinned: dict[int, int] = field(default_factory=dict)  # the child's page -> in how many page lists it is


@dataclass
class Vid:
    """The driver's state: the partitions that it built."""

    winhv: WinHv
    deposit: int = 8
    partitions: dict[int, Partition] = field(default_factory=dict)
    before_destroy: list[Callable[[int], None]] = field(default_factory=list)  # who lets go of a partition first

    def create_partition(
        self,
        pages: int,
        vps: int = 1,
        privileges: int = GUEST_PRIVILEGES,
        large: bool = False,
        rights: int = EVERY_RIGHT,
    ) -> Partition:
        """Make a partition with so many pages from GPA 0 on, and virtual processors that are ready to run."""
        if large and pages % 512:
            raise BadRequest(f"{pages} pages as 2 MiB pages", "", "a multiple of 512")
        call = self.winhv.call
        number = call("CreatePartition", for_whom=SELF).partition_id
        call("SetPartitionProperty", partition_id=number, property=Property.PRIVILEGE_FLAGS, value=privileges)
        self.winhv.deposit(number, self.deposit)
        call("InitializePartition", partition_id=number)
        partition = self.partitions[number] = Partition(number, vps)
        for index in range(vps):
            call("CreateVp", partition_id=number, vp_index=index)
            place = call("MapVpStatePage", partition_id=number, vp_index=index, type=INTERCEPT_MESSAGE)
            partition.message_gpns[index] = place.gpn
        self.add_memory(partition, 0, pages, large, rights)
        for index in range(vps):
            self.set_registers(partition, index, {Register.CR0: PROTECTED, Register.RIP: 0})
            self.resume(partition, index)
        return partition

    def add_memory(
        self, partition: Partition, gpn: int, pages: int, large: bool = False, rights: int = EVERY_RIGHT
    ) -> None:
        """Give a partition pages of the root from guest page `gpn` on."""
        memory = self.winhv.memory
        firsts = [memory.take_large() for _ in range(pages // 512)] if large else memory.take(pages)
        step = 512 if large else 1
        self.winhv.call_list(
            "MapGpaPages",
            [first.to_bytes(8, "little") for first in firsts],
            step="gpn",
            stride=step,
            partition_id=partition.partition_id,
            gpn=gpn,
            flags=rights | (LARGE if large else 0),
        )
        for k, first in enumerate(firsts):
            partition.pages |= {gpn + k * step + part: first + part for part in range(step)}

    def protect(self, partition: Partition, gpn: int, rights: int) -> None:
        """Change the rights of a page that the partition has."""
        page = partition.pages[gpn].to_bytes(8, "little")
        self.winhv.call_list("MapGpaPages", [page], partition_id=partition.partition_id, gpn=gpn, flags=rights)

    def remove_memory(self, partition: Partition, gpn: int, pages: int) -> None:
        """Take pages back from a partition.

        The rule that a page in a page list (GPADL) stays lives here, in the root's driver: the hypervisor knows
        nothing of VMBus.

        Raises
        ------
        BadRequest
            If one of them is in a page list that lives.
        """
        held = [k for k in range(gpn, gpn + pages) if k in partition.pinned]
        if held:
            raise BadRequest(f"page {held[0]:#x} of partition {partition.partition_id}", "it is in a GPADL", "after it")
        self.winhv.call_list("UnmapGpaPages", pages, step="gpn", partition_id=partition.partition_id, gpn=gpn)
        self.winhv.memory.give([partition.pages.pop(k) for k in range(gpn, gpn + pages)])

    def pin(self, partition: Partition, gpns: Iterable[int], count: int) -> None:
        """Count in how many page lists pages of a partition are; while in one, a page stays (I14)."""
        for gpn in gpns:
            left = partition.pinned.pop(gpn, 0) + count
            if left:
                partition.pinned[gpn] = left

    def set_registers(self, partition: Partition, index: int, values: dict[Register, int]) -> None:
        """Set registers of a virtual processor."""
        elements = [RegisterAssociation.encode(name=name, low=value) for name, value in values.items()]
        self.winhv.call_list("SetVpRegisters", elements, partition_id=partition.partition_id, vp_index=index)

    def registers(self, partition: Partition, index: int, names: list[Register]) -> dict[Register, int]:
        """Return registers of a virtual processor."""
        elements = [RegisterName.encode(name=name) for name in names]
        number = partition.partition_id
        found = self.winhv.call_list("GetVpRegisters", elements, partition_id=number, vp_index=index)
        return {name: value.low for name, value in zip(names, found, strict=True)}

    def resume(self, partition: Partition, index: int) -> None:
        """Let a virtual processor run: intercept suspend first, explicit suspend second, as Linux does."""
        self.set_registers(partition, index, {Register.INTERCEPT_SUSPEND: 0, Register.EXPLICIT_SUSPEND: 0})

    def message(self, partition: Partition, index: int) -> tuple[MessageHeader, MemoryIntercept]:
        """Read the message in a virtual processor's intercept page."""
        data = self.winhv.vp.read(partition.message_gpns[index] * PAGE, 256)
        if isinstance(data, Fault):
            raise BadRequest(f"the message page of VP {index}", data.kind)
        return MessageHeader.decode(data), MemoryIntercept.decode(data[MessageHeader.size :])

    def destroy(self, partition: Partition) -> None:
        """Take a partition down: finalize, withdraw what is in its pool, delete."""
        number = partition.partition_id
        for let_go in self.before_destroy:
            let_go(number)
        self.winhv.call("FinalizePartition", partition_id=number)
        self.winhv.withdraw(number)
        self.winhv.call("DeletePartition", partition_id=number)
        self.winhv.memory.give(list(partition.pages.values()))
        del self.partitions[number]
