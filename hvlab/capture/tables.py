"""Page tables as real systems built them: a guest's own tables, and a hypervisor's nested tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

NOWHERE = (1 << 64) - 1


@dataclass(frozen=True)
class Registers:
    """The control registers that decide how one virtual processor walks its tables."""

    cr0: int
    cr3: int
    cr4: int
    efer: int
    levels: int
    cpl: int
    rip: int = 0
    rsp: int = 0

    @property
    def root(self) -> int:
        """GPA of the top table: CR3 without its low twelve bits (PCID or cache bits) and without LAM bits."""
        return self.cr3 & 0x000F_FFFF_FFFF_F000


@dataclass(frozen=True, eq=False)
class Leaves:
    """Oracle: every leaf that the emulator listed. Flags are those of the leaf entry only."""

    gva: Words
    gpa: Words
    flags: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Rights:
    """Oracle: effective rights of address ranges, u=4 r=2 w=1, ANDed over the levels; `end` is exclusive and may wrap to 0."""

    start: Words
    end: Words
    urw: Bytes


@dataclass(frozen=True, eq=False)
class Probes:
    """Oracle: single addresses and where they lead; `NOWHERE` means unmapped."""

    gva: Words
    gpa: Words


@dataclass(frozen=True, eq=False)
class Cpu:
    """One virtual processor of a snapshot with its three oracles, each of which may be empty."""

    registers: Registers
    leaves: Leaves
    rights: Rights
    probes: Probes


@dataclass(frozen=True, eq=False)
class PageTables:
    """A guest's page tables: `table_data[i]` are the 512 entries of the table at `table_gpa[i]`."""

    file: str
    name: str
    cpus: tuple[Cpu, ...]
    table_gpa: Words
    table_data: Words
    meta: dict[str, Any] = field(repr=False)

    @property
    def levels(self) -> int:
        """Levels of the tables (of the deepest, should the processors differ)."""
        return max(cpu.registers.levels for cpu in self.cpus)

    @property
    def ram_bytes(self) -> int:
        """Size of the guest's memory as recorded, or 0 when the file does not say."""
        size = self.meta.get("ram_bytes", 0)
        return size if isinstance(size, int) and size > 0 else 0


@dataclass(frozen=True)
class Control:
    """What an AMD virtual machine control block says about the nested guest. Source: AMD APM 2, appendix B."""

    asid: int
    exit_code: int
    np_enable: bool
    ncr3: int
    l2: Registers


@dataclass(frozen=True)
class Slot:
    """One range of guest memory that the virtual machine monitor registered."""

    index: int
    gpa: int
    size: int
    hva: int
    flags: int

    @property
    def read_only(self) -> bool:
        """The monitor asked for this range to be read-only (bit 1 of the flags is KVM's KVM_MEM_READONLY)."""
        return bool(self.flags)


@dataclass(frozen=True, eq=False)
class NestedTables:
    """A real second level: nested tables (GPA of L2 to SPA), and L2's own tables, so that the whole walk can be replayed.

    `table_spa[i]` holds `table_data[i]` and stands at `table_level[i]`; L2's own table at `l2_gpa[i]` lies at
    `l2_spa[i]` and holds `l2_data[i]`. Oracles: `pagemap_gpa` to `pagemap_spa`; `touched_gva` with `touched_first8`
    (the first eight bytes that the program read there; empty where they were not recorded).
    """

    file: str
    name: str
    levels: int
    ncr3: int
    table_spa: Words
    table_level: Bytes
    table_data: Words
    l2_gpa: Words
    l2_spa: Words
    l2_data: Words
    vmcb: Words
    vmcb_spa: int
    control: Control
    pagemap_gpa: Words
    pagemap_spa: Words
    touched_gva: Words
    touched_first8: Words
    slots: tuple[Slot, ...]
    meta: dict[str, Any] = field(repr=False)

    @property
    def registers(self) -> Registers:
        """L2's control registers, read from the control block."""
        return self.control.l2
